"""The RTL8139C and C+ to the fuzzer and the robustness tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from random import Random
from typing import Any

import nicemu
from nicemu.devices.rtl8139 import eeprom_image

from ..generator import Generator, Operation
from . import rtl8139_lists
from .base import Attack, Family
from .rtl8139_generator import RTL8139Generator
from .rtl8139_registers import IPCS, LGSEN, RST, TAGC, TCPCS, packet, receive, write

__all__ = ["RTL8139"]


class RTL8139(Family):
    """The RTL8139C+ in both of its modes, or the RTL8139C (plus=False)."""

    #: Three seconds of a ring that is looked at every 10 ms, and of looks at the receive ring with each.
    most_descriptors = 300 * 4 * 64
    driver_options: dict[str, Any] = {}  # noqa: RUF012
    kept_by_soft_reset = frozenset()
    footprint = 64 * (2 * 16 + 4096 + 1536)

    def __init__(self, *, plus: bool = True) -> None:
        self.plus = plus
        self.descriptor_bytes = 16 if plus else 0

    def invented(self, choice: int, address: int) -> bytes:
        return (
            packet(address, 60 + choice % 1400),
            packet(address, 60 + choice % 1400, IPCS | TCPCS, TAGC | choice & 0xFFFF),
            packet(address, choice % 4000, LGSEN | (choice & 0x3FF | 0x400) << 16),
            receive(address, choice & 0x1FF8),
        )[choice % 4]

    def generator(self, random: Random, model: str) -> Generator:
        return RTL8139Generator(random, model)

    def soft_reset(self) -> list[Operation]:
        return [write("CR", RST)]

    def scenes(self, place: str) -> Iterator[tuple[str, list[Operation]]]:
        return rtl8139_lists.scenes(place, self.plus)

    def far_rings(self) -> Iterator[list[Operation]]:
        return rtl8139_lists.far_rings(self.plus)

    def repair(self, nic: nicemu.Nic) -> None:
        state = nic.parts()["eeprom"].state()
        nic.parts()["eeprom"].load_state({**state, "words": eeprom_image(nic.mac), "busy_ns": None})

    def lists(self) -> Mapping[str, Callable[[], Iterator[Attack]]]:
        lists = rtl8139_lists.LISTS
        if not self.plus:
            needs_plus = ("endless", "offsets", "large sends")
            lists = {name: made for name, made in lists.items() if name not in needs_plus}
        return {name: lambda made=made: self._fitting(made()) for name, made in lists.items()}

    def _fitting(self, attacks: Iterator[Attack]) -> Iterator[Attack]:
        """Without those on what the plain chip lacks."""
        for attack in attacks:
            if self.plus or not rtl8139_lists.is_plus(attack):
                yield attack
