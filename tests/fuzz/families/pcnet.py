"""PCnet to the fuzzer and the robustness tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from random import Random
from typing import Any

import nicemu
from nicemu.devices import pcnet as devices

from ..generator import Generator, Operation
from . import pcnet_lists
from .base import Attack, Family
from .pcnet_generator import PCnetGenerator
from .pcnet_registers import ENP, OWN, STP, WHOLE, descriptor

__all__ = ["PCnet"]


class PCnet(Family):
    """The Am79C970A and the Am79C973."""

    descriptor_bytes = 16
    most_descriptors = 4 * 65536
    driver_options: dict[str, Any] = {"tx_count": 8, "rx_count": 8}  # noqa: RUF012
    #: Where the chip stands in its rings, and what it holds of them, is unaffected by every reset.
    kept_by_soft_reset = frozenset(
        {f"csr.CSR{n}" for n in (*range(18, 24), *range(26, 30), *range(32, 46), *range(60, 68), 72, 74)}
    )
    footprint = 64 + 8 * (16 + 2048) + 8 * (16 + 1536)

    def invented(self, choice: int, address: int) -> bytes:
        return (
            descriptor(address, choice % 1600 + 1, WHOLE),
            descriptor(address, choice % 4096 + 1, OWN | STP),
            descriptor(address, choice % 200 + 1, OWN | ENP),
            descriptor(address, choice % 2000 + 1, choice & 0xFFFF0000),
            descriptor(address, 60, WHOLE, style=3),
        )[choice % 5]

    def generator(self, random: Random, model: str) -> Generator:
        return PCnetGenerator(random, model)

    def soft_reset(self) -> list[Operation]:
        return [("read", 0, 0x14, 2)]

    def scenes(self, place: str) -> Iterator[tuple[str, list[Operation]]]:
        return pcnet_lists.scenes(place)

    def far_rings(self) -> Iterator[list[Operation]]:
        return pcnet_lists.far_rings()

    def repair(self, nic: nicemu.Nic) -> None:
        assert isinstance(nic, devices.PCnet)
        state = nic.parts()["eeprom"].state()
        nic.parts()["eeprom"].load_state({**state, "words": nic.default_image()})
        nic.load_eeprom()  # APROM and the registers that come from it

    def lists(self) -> Mapping[str, Callable[[], Iterator[Attack]]]:
        return pcnet_lists.LISTS
