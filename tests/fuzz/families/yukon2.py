"""The 88E8057 to the fuzzer and the robustness tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from random import Random
from typing import Any

import nicemu
from nicemu.devices.yukon2 import vpd_image

from ..frames import LENGTHS
from ..generator import Generator, Operation
from . import yukon2_lists
from .base import Attack, Family
from .common import memory
from .yukon2_lists import COUNT, DATA, RX_BUFFERS, RX_RING, RX_SIZE, TX_RING, ready
from .yukon2_registers import (
    ADDR64,
    BUFFER,
    EOP,
    LARGESEND,
    LE,
    LRGLEN,
    PACKET,
    RX,
    START,
    SUM,
    TAG,
    TX,
    XS,
    le,
    write,
)

__all__ = ["Yukon2"]


class Yukon2Generator(Generator):
    """Knows lists, their elements, timers, PHY and VPD."""

    def __init__(self, random: Random, model: str) -> None:
        super().__init__(random, model)
        self.tx, self.rx = 0, COUNT - 1
        self.kinds += [
            (22, self.transmit),
            (6, self.refill),
            (6, self.doorbell),
            (2, self.hostile_list),
            (2, self.sane_lists),
            (4, self.control),
            (3, self.timers),
            (2, self.acknowledge),
            (1.5, self.slow_blocks),
        ]

    def setup(self) -> list[Operation]:
        self.tx, self.rx = 0, COUNT - 1
        made = ready()
        if self.random.random() < 0.5:
            made += self.timers()
        return [*made, write("R1_CSR", self.random.choice((0x2000, 0x9000, 0xA000)))]

    def transmit(self) -> list[Operation]:
        """Elements at PUT_IDX, well formed or not, and mostly the doorbell."""
        made = self.spoiled(self._frame())
        operations = [memory(TX_RING + LE * ((self.tx + n) % COUNT), raw) for n, raw in enumerate(made)]
        self.tx = (self.tx + len(made)) % COUNT
        return [*operations, TX.put(self.tx)] if self.random.random() < 0.8 else operations

    def _frame(self) -> list[bytes]:
        random = self.random
        kind = random.randrange(10)
        if kind == 9:
            return [random.randbytes(LE) for _ in range(random.randrange(1, 5))]
        made = []
        if random.random() < 0.3:
            made.append(le(TAG, 0, random.getrandbits(16)))
        if random.random() < 0.5:
            spots = (0, 14, 34, 50, 60, 200, 1000, 65535)
            made.append(le(SUM, random.choice(spots) << 16 | random.choice(spots), random.choice((0, 1, 0xFFFF)), 1))
        if kind > 5:
            made.append(le(LRGLEN | random.choice((0, 2)), random.choice((54, 55, 100, 1054, 1514, 9000, 0)), 0x1234))
        control = random.choice((0, 0, 6, 7, 0x20, 0x26, 0x40, 0xFF)) & ~EOP
        pieces = random.choice((1, 1, 2, 3, 17))
        for n in range(pieces):
            address = random.choice((DATA, DATA, self.address()))
            if address >> 32:
                made.append(le(ADDR64, address >> 32))
            opcode = BUFFER if n else LARGESEND if kind > 5 else PACKET
            length = random.choice((random.choice(LENGTHS), 54, 1000, 4054, 65535)) & 0xFFFF
            made.append(le(opcode, address, length, control | (EOP if n == pieces - 1 else 0)))
            if address >> 32:
                made.append(le(ADDR64, 0))
        return made

    def traffic(self) -> list[Operation]:
        places = [TX_RING + LE * ((self.tx + n) % COUNT) for n in range(4)]
        self.tx = (self.tx + 4) % COUNT
        return [*(memory(place, le(PACKET, DATA, 60, EOP)) for place in places), TX.put(self.tx)]

    def refill(self) -> list[Operation]:
        """Receive elements, mostly sane."""
        random = self.random
        made = []
        for _ in range(random.choice((1, 4, 30))):
            raw = random.choice(
                (
                    *[le(PACKET, RX_BUFFERS + RX_SIZE * self.rx, random.choice((RX_SIZE, RX_SIZE, 60, 0)))] * 6,
                    le(BUFFER, RX_BUFFERS + RX_SIZE * self.rx, random.choice((1, RX_SIZE))),
                    le(ADDR64, random.choice((0, 0, 1))),
                    le(START, random.choice((0x0E000E, 0, 0xFFFF0000, 0x000E0012))),
                    random.randbytes(LE),
                )
            )
            made.append(memory(RX_RING + LE * self.rx, raw))
            self.rx = (self.rx + 1) % COUNT
        return [*made, RX.put(self.rx)]

    def doorbell(self) -> list[Operation]:
        random = self.random
        ring = random.choice((TX, TX, RX, RX, XS))
        return [ring.put(random.choice((random.randrange(COUNT), self.number(12))))]

    def hostile_list(self) -> list[Operation]:
        random = self.random
        base = self.address(random.choice((1, 8, 4096)))
        if random.random() < 0.3:
            return yukon2_lists.status(base, self.number(12))
        return random.choice((TX, RX, XS)).place(base, self.number(12), self.number(12))

    def sane_lists(self) -> list[Operation]:
        self.tx, self.rx = 0, COUNT - 1
        lists = [*TX.place(TX_RING, COUNT - 1, 0), *RX.place(RX_RING, COUNT - 1, COUNT - 1)]
        return [memory(RX_RING, yukon2_lists.buffers()), *lists, *yukon2_lists.status()]

    def control(self) -> list[Operation]:
        random = self.random
        name, values = random.choice(
            (
                ("GM_GP_CTRL", (0x1800, 0x1800, 0x1A00, 0x0800, 0x1000, 0)),
                ("GM_RX_CTRL", (0x2000, 0xE000, 0xC000, 0, 0x3000)),
                ("GM_TX_CTRL", (0x1000, 0x2000, 0x4000, 0x6000)),
                ("GM_SERIAL_MODE", (0x21E, 0x31E, 0x1E, 0)),
                ("RX_GMF_CTRL", (0x88, 0x40, 1 << 24, 1 << 25, 0x04000000, 0x08000000, 4, 8, 1, 2, 0x20)),
                ("TX_GMF_CTRL", (8, 4, 1 << 24, 1 << 25, 1, 2)),
                ("RX_GMF_TR_THR", (0, 1, 0x17A, 0xFFFF)),
                ("R1_CSR", (0x2000, 0x1000, 0x8000, 0x4000, 0x400, 0x100, 0x200, 0x0D28)),
                ("XA1_CSR", (0x2000, 0x1000, 0xC00, 0x100, 0x200, 0x0D28, 0x11, 0x16)),
                ("GMAC_CTRL", (8, 4, 0x10, 0x20, 1, 2)),
                ("GPHY_CTRL", (1, 2, 2)),
                ("B0_CTST", (1, 2, 8, 0x80, 0x40, 0x10)),
                ("WOL_CTRL_STAT", (0xAAA, 0x555, 0x1000)),
                ("WOL_MAC_ADDR", (0x52, 0xFF)),
                ("B2_TST_CTRL1", (1, 2)),
            )
        )
        return [write(name, random.choice(values))]

    def timers(self) -> list[Operation]:
        random = self.random
        made = [write("STAT_TX_IDX_TH", random.choice((0, 1, 10, 0xFFF)))]
        made += [write(name, random.choice((0, 1, 16, 255))) for name in ("STAT_FIFO_WM", "STAT_FIFO_ISR_WM")]
        for name in ("STAT_LEV_TIMER", "STAT_TX_TIMER", "STAT_ISR_TIMER", "B2_IRQM", "B2_TI"):
            made += [write(f"{name}_INI", random.choice((0, 1, 400, 12500, 0xFFFFFFFF)))]
            made += [write(f"{name}_CTRL", random.choice((2, 4, 4, 1)))]
        return [*made, write("B2_IRQM_MSK", random.choice((0, 0xC000001D)))]

    def acknowledge(self) -> list[Operation]:
        """What handlers do, or half of it."""
        steps: list[Operation] = [
            ("read", 0, 0x1C, 4),
            ("read", 0, 0x24, 4),
            write("STAT_CTRL", 0x10),
            ("read", 0, 0x28, 4),
            write("B0_Y2_SP_ICR", 2),
            write("B0_IMSK", 0xC000001D),
        ]
        return [step for step in steps if self.random.random() < 0.7]

    def slow_blocks(self) -> list[Operation]:
        """PHY, VPD and the two-wire interface."""
        random = self.random
        kind = random.randrange(4)
        if kind < 2:
            register = random.choice((0, 0, 1, 4, 9, 16, 17, 18, 19, 22, random.randrange(32)))
            value = random.choice((0x9140, 0x1340, 0x4140, 0x0800, 0x2100, random.getrandbits(16)))
            command = register << 6 | random.choice((0, 0, 0x20, 0x800))
            return [write("GM_SMI_DATA", value), write("GM_SMI_CTRL", command), ("advance", 30_000)]
        if kind == 2:
            return [("write", 6, 0x54, self.number(), 4), ("write", 6, 0x52, self.number(16), 2), ("read", 6, 0x54, 4)]
        return [write("B2_I2C_DATA", self.number()), write("B2_I2C_CTRL", self.number() & ~0xFE00 | 0xA000)]


class Yukon2(Family):
    """The 88E8057."""

    descriptor_bytes = LE
    most_descriptors = 8 * 4096 + 16 * 8192
    driver_options: dict[str, Any] = {"tx_count": 8, "rx_count": 4}  # noqa: RUF012
    kept_by_soft_reset = frozenset[str]()
    footprint = LE * (2048 + 8 + 8) + 8 * 4096 + 4 * 2048

    def invented(self, choice: int, address: int) -> bytes:
        return (
            le(PACKET, address, choice % 1600, EOP | choice & 0x7F),
            le(LARGESEND, address, choice % 60000, EOP),
            le(LRGLEN, choice % 3000, choice & 0xFFFF),
            le(BUFFER, address, choice % 3000, choice & EOP),
            le(SUM, choice & 0xFFFFFFFF, choice & 0xFFFF),
            le(PACKET, address, 2048),
            le(choice & 0x7F, choice & 0xFFFFFFFF, choice & 0xFFFF, choice & 0xFF),
        )[choice % 7]

    def generator(self, random: Random, model: str) -> Generator:
        return Yukon2Generator(random, model)

    def soft_reset(self) -> list[Operation]:
        return [write("B0_CTST", 1)]

    def scenes(self, place: str) -> Iterator[tuple[str, list[Operation]]]:
        return yukon2_lists.scenes(place)

    def far_rings(self) -> Iterator[list[Operation]]:
        return yukon2_lists.far_rings()

    def repair(self, nic: nicemu.Nic) -> None:
        nic.parts()["vpd"].load_state({"contents": vpd_image(nic.PART, nic.mac).hex()})

    def lists(self) -> Mapping[str, Callable[[], Iterator[Attack]]]:
        return yukon2_lists.LISTS
