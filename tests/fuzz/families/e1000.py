"""The 82540EM to the fuzzer and the robustness tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from random import Random
from typing import Any

import nicemu
from nicemu.devices.e1000 import eeprom_image

from ..generator import Generator, Operation
from . import e1000_lists
from .base import Attack, Family
from .e1000_generator import E1000Generator
from .e1000_registers import CTRL_UP, EOP, IFCS, IP, REG, RS, TCP, TSE, context, data, legacy, receive, write

__all__ = ["E1000"]


class E1000(Family):
    """The 82540EM."""

    descriptor_bytes = 16
    most_descriptors = 4 * 65536
    driver_options: dict[str, Any] = {"tx_count": 8, "rx_count": 8}  # noqa: RUF012
    kept_by_soft_reset = frozenset({"mmio.PBM"})
    footprint = 8 * (16 + 4096) + 8 * (16 + 2048)

    def invented(self, choice: int, address: int) -> bytes:
        return (
            legacy(address, choice % 1600, EOP | RS | IFCS),
            data(address, choice % 4000, EOP | IFCS | TSE, options=choice & 3),
            context(TCP | IP | TSE | RS, choice & 0xFFFFF, choice % 3000, choice % 256),
            receive(address),
            legacy(address, choice % 200, choice & 0xDE, cso=choice & 255, css=choice >> 8 & 255),
        )[choice % 5]

    def generator(self, random: Random, model: str) -> Generator:
        return E1000Generator(random, model)

    def soft_reset(self) -> list[Operation]:
        return [write(REG["CTRL"], CTRL_UP | 1 << 26)]

    def scenes(self, place: str) -> Iterator[tuple[str, list[Operation]]]:
        return e1000_lists.scenes(place)

    def far_rings(self) -> Iterator[list[Operation]]:
        return e1000_lists.far_rings()

    def repair(self, nic: nicemu.Nic) -> None:
        state = nic.parts()["eeprom"].state()
        words = eeprom_image(nic.mac)
        nic.parts()["eeprom"].load_state({**state, "words": words})

    def lists(self) -> Mapping[str, Callable[[], Iterator[Attack]]]:
        return e1000_lists.LISTS
