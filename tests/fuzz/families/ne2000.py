"""The NE2000 family to the fuzzer and the robustness tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import combinations, product
from random import Random
from typing import Any

import nicemu
from nicemu.devices.ne2000 import RealtekBoard
from nicemu.devices.ne2000_tables import IO
from nicemu.registers import Reset

from ..frames import LENGTHS
from ..generator import Generator, Operation
from .base import Attack, Family
from .common import FRAME, STATION, by_name

__all__ = ["NE2000"]

REG = {register.name: register.offset for register in IO}
START, TRANSMIT, READ, WRITE, SEND, ABORT = 0x22, 0x26, 0x0A, 0x12, 0x1A, 0x22
DATA, RESET = REG["DATA"], 0x1F
PAGE_0 = ("PSTART", "PSTOP", "BNRY", "TPSR", "TBCR0", "TBCR1", "RSAR0", "RSAR1", "RBCR0", "RBCR1", "RCR", "TCR", "DCR")


def write(name: str, value: int, index: int = 0) -> Operation:
    """A register of the selected page."""
    return ("write", 0, REG[name] + index, value & 0xFF, 1)


def command(value: int) -> Operation:
    """CR."""
    return ("write", 0, 0, value, 1)


def ready(*, rcr: int = 0x1F, tcr: int = 0, dcr: int = 0x49, first: int = 0x40, last: int = 0x80) -> list[Operation]:
    """What a driver does: ring behind twelve pages for sending, everything received, reception and interrupts on."""
    made = [("write", 6, 4, 7, 2), command(0x21), write("DCR", dcr), write("RBCR0", 0), write("RBCR1", 0)]
    made += [write("PSTART", first + 12), write("PSTOP", last), write("BNRY", last - 1), write("ISR", 0xFF)]
    made += [write("IMR", 0x7F), command(0x61), write("CURR", first + 12)]
    made += [write("PAR", value, n) for n, value in enumerate(STATION)] + [write("MAR", 0xFF, n) for n in range(8)]
    return [*made, command(START), write("TCR", tcr), write("RCR", rcr)]


def remote(direction: int, address: int, count: int) -> list[Operation]:
    """A remote DMA command."""
    made = [command(ABORT), write("RBCR0", count), write("RBCR1", count >> 8)]
    return [*made, write("RSAR0", address), write("RSAR1", address >> 8), command(direction)]


def fill(address: int, content: bytes) -> list[Operation]:
    """Bytes into packet memory."""
    return [*remote(WRITE, address, len(content)), ("block_write", 0, DATA, 2, content.hex())]


def send(length: int, page: int = 0x40) -> list[Operation]:
    """A packet that is in packet memory."""
    return [write("TPSR", page), write("TBCR0", length), write("TBCR1", length >> 8), command(TRANSMIT)]


# ------------------------------------------------------------------------------------------------- lists


def rings() -> Iterator[Attack]:
    """PSTART, PSTOP, BNRY and CURR anywhere; then frames, and their removal by send packet."""
    edges = (0, 0x3F, 0x4C, 0x7F, 0x80, 0xFF)
    for start, stop, boundary in product(edges, edges, (0, 0x4B, 0x4C, 0x7F, 0xFF)):
        for current in (start, boundary, 0x7F, 0xFF):
            made = [write("PSTART", start), write("PSTOP", stop), write("BNRY", boundary)]
            made += [command(0x62), write("CURR", current), command(START)]
            frames = ("frames", [(STATION.hex(), length) for length in (60, 251, 252, 253, 1514, 16384)])
            again = [command(SEND), ("block_read", 0, DATA, 2, 40), write("BNRY", current), FRAME]
            yield Attack(
                f"{start:#x}-{stop:#x}, {boundary:#x}, {current:#x}", [*ready(dcr=0x59), *made, frames, *again]
            )


def zeros() -> Iterator[Attack]:
    """Every count and address 0, alone and in pairs."""
    names = ("PSTART", "PSTOP", "BNRY", "TPSR", "TBCR", "RBCR", "RSAR", "DCR", "RCR")
    for zero in (*((name,) for name in names), *combinations(names, 2)):
        made = [write(f"{name}{n}" if name[1:] in ("BCR", "SAR") else name, 0) for name in zero for n in range(2)]
        use = [command(READ), ("block_read", 0, DATA, 2, 100), command(WRITE), ("block_write", 0, DATA, 4, "5a" * 400)]
        yield Attack(" and ".join(zero), [*ready(), *made, FRAME, *use, command(TRANSMIT), FRAME, ("advance", 10**7)])


def changes() -> Iterator[Attack]:
    """Registers that change in the middle of remote DMA, of a transmission, and between frames."""
    values = (0, 1, 0x40, 0x4C, 0x80, 0xFF)
    for name, value in product(PAGE_0, values):
        middle = [write(name, value)]
        made = [*ready(), *remote(READ, 0x4C00, 3000), ("block_read", 0, DATA, 2, 100), *middle]
        made += [
            ("block_read", 0, DATA, 4, 1000),
            *remote(WRITE, 0x4000, 1500),
            ("block_write", 0, DATA, 2, "a5" * 500),
        ]
        made += [*middle, ("block_write", 0, DATA, 4, "5a" * 4000), *send(1500), *middle, FRAME, ("advance", 10**7)]
        yield Attack(f"{name} := {value:#x}", made)
    for kind in range(3):
        made = [*ready(), *remote(READ, 0x4C00, 3000), ("block_read", 0, DATA, 2, 100), *send(1500), ("reset", kind)]
        yield Attack(f"reset {kind}", [*made, ("block_read", 0, DATA, 2, 100), FRAME])


def endless() -> Iterator[Attack]:
    """Packets longer than packet memory, from every page, in all modes."""
    lengths = (1515, 4096, 16383, 16384, 16385, 32767, 32768, 65535)
    for length, page, tcr, dcr in product(lengths, (0, 0x40, 0x7F, 0xFF), (0, 1, 2, 6), (0x49, 0x4B, 0x48)):
        yield Attack(
            f"{length} bytes at page {page:#x}, TCR {tcr}, DCR {dcr:#x}",
            [*ready(tcr=tcr, dcr=dcr), *send(length, page), ("advance", 10**8)],
        )


def short_packets() -> Iterator[Attack]:
    """Packets of hardly any bytes, with and without the chip's CRC."""
    for length, tcr, dcr in product(range(20), (0, 1, 2, 3), (0x49, 0x48, 0x4B)):
        made = [*ready(tcr=tcr, dcr=dcr), *fill(0x4000, STATION * 4), *send(length), ("advance", 10**6)]
        yield Attack(f"{length} bytes, TCR {tcr}, DCR {dcr:#x}", [*made, ("reads", 0, REG["FIFO"], 1, 9)])


def truncated() -> Iterator[Attack]:
    """Frames of every length, as short as they are and padded, in all receive modes."""
    for rcr, dcr in product(range(64), (0x49, 0x4B, 0x48)):
        frames = [(STATION.hex(), length) for length in LENGTHS if length <= 16384]
        steps = [step for flags in range(16) for step in (("frames", frames[:40], flags), *removal())]
        yield Attack(f"RCR {rcr:#x}, DCR {dcr:#x}", [*ready(rcr=rcr, dcr=dcr), *steps, ("frames", frames, 0)])


def removal() -> list[Operation]:
    """Everything is taken out of the ring, and the tallies are read."""
    return [write("BNRY", 0x7F), command(0x62), write("CURR", 0x4C), command(START), ("reads", 0, REG["CNTR2"], 1, 1)]


def loopback() -> Iterator[Attack]:
    """Every mode of loopback, with all lengths; FIFO and tallies are read."""
    for mode, crc, dcr in product((1, 2, 3), (0, 1), (0x41, 0x43, 0x40, 0x49)):
        for length in (0, 7, 8, 64, 1514, 40000, 65535):
            made = [*ready(tcr=mode << 1 | crc, dcr=dcr), *fill(0x4000, STATION * 20), *send(length)]
            yield Attack(f"mode {mode}, CRC {crc}, {length} bytes", [*made, ("reads", 0, REG["FIFO"], 1, 20), FRAME])


def ports() -> Iterator[Attack]:
    """Remote DMA of all counts from all addresses, by every width at every port, beyond its end."""
    for address, count, dcr in product(
        (0, 0x1F, 0x3FFF, 0x4000, 0x7FFF, 0x8000, 0xFFFF), (1, 2, 255, 65535), (0x49, 0x48)
    ):
        made = list(ready(dcr=dcr))
        for direction in (READ, WRITE, SEND):
            for size in (1, 2, 4, 8):
                made += [*remote(direction, address, count), ("reads", 0, DATA + size - 1, size, 3)]
                made += [("block_read", 0, DATA, size, 40), ("block_write", 0, DATA, size, "3c" * 8 * 40)]
                made += [("write", 0, DATA + 5, 0x1234567812345678, size)]
        yield Attack(f"{count} bytes at {address:#x}, DCR {dcr:#x}", [*made, FRAME])


def bus() -> Iterator[Attack]:
    """Decoding off and on in the midst of traffic, and the reset ports."""
    for value in (0, 1, 2, 4, 7):
        made = [*ready(), *remote(READ, 0x4C00, 3000), ("write", 6, 4, value, 2), ("block_read", 0, DATA, 2, 100)]
        yield Attack(f"COMMAND {value}", [*made, *send(1500), FRAME, ("write", 6, 4, 7, 2), FRAME])
    for offset in range(0x18, 0x20):
        yield Attack(f"reset port {offset:#x}", [*ready(), *send(1500), ("read", 0, offset, 1), FRAME])


LISTS = by_name(rings, zeros, changes, endless, short_packets, truncated, loopback, ports, bus)


# ------------------------------------------------------------------------------------------------- operations


class NE2000Generator(Generator):
    """Knows pages, remote DMA, packets and the EEPROM's pins."""

    def __init__(self, random: Random, model: str) -> None:
        super().__init__(random, model)
        self.kinds += [
            (14, self.dma),
            (10, self.transmit),
            (8, self.control),
            (5, self.doorbell),
            (2, self.eeprom_pins),
        ]

    def setup(self) -> list[Operation]:
        narrow = self.card.MODEL == "ne1k_isa"
        first, last = (0x20, 0x40) if narrow else (0x40, 0x80)
        dcr = self.random.choice((0x49, 0x49, 0x59, 0x4B, 0x48))
        return [*ready(dcr=dcr, first=first, last=last), ("advance", 10**6)]

    def dma(self) -> list[Operation]:
        """A command, and blocks through the port that mostly fit."""
        random = self.random
        count = random.choice((2, 4, 60, 256, 1514, random.getrandbits(16)))
        address = random.choice((0, 0x2000, 0x4000, 0x4C00, 0x7F00, random.getrandbits(16)))
        size = random.choice((1, 2, 2, 4))
        times = min(2000, count) // size + random.choice((0, 0, 1))
        direction = random.choice((READ, WRITE, SEND))
        if direction == WRITE:
            return [
                *remote(direction, address, count),
                ("block_write", 0, DATA, size, random.randbytes(size * times).hex()),
            ]
        return [*remote(direction, address, count), ("block_read", 0, DATA, size, times)]

    def transmit(self) -> list[Operation]:
        random = self.random
        length = random.choice((60, 64, 1514, random.choice(LENGTHS) & 0xFFFF, random.getrandbits(16)))
        return send(length, random.choice((0x40, 0x46, 0x20, 0x4C, random.getrandbits(8))))

    def traffic(self) -> list[Operation]:
        return [*fill(0x4000, self.station * 2 + bytes(48)), *send(60), FRAME]

    def doorbell(self) -> list[Operation]:
        value = self.random.choice((0x21, 0x22, 0x26, 0x62, 0xA2, 0xE2, 0x1A, self.random.getrandbits(8)))
        return [command(value)]

    def control(self) -> list[Operation]:
        """Registers that change what the datapath does, mostly to something sensible."""
        random = self.random
        name, values = random.choice(
            (
                ("RCR", (0x04, 0x1F, 0x20, 0x3F)), ("TCR", (0, 1, 2, 4, 6, 8, 9)),
                ("DCR", (0x49, 0x48, 0x4B, 0x59, 0x41)),
                ("BNRY", (0x4B, 0x4C, 0x60, 0x7F)), ("PSTART", (0x4C, 0x46)), ("PSTOP", (0x80, 0x60)),
                ("IMR", (0, 0x7F)), ("ISR", (0xFF,)),
            )
        )  # fmt: skip
        value = random.choice((*values, random.getrandbits(8)))
        return [command(START), write(name, value)]

    def slow_blocks(self) -> list[Operation]:
        return self.eeprom_pins()

    def eeprom_pins(self) -> list[Operation]:
        """Random edges in programming mode, and the other modes."""
        random = self.random
        edges = [write("CR9346", 0x80 | random.getrandbits(3) << 1) for _ in range(20)]
        bits = 1 << 8 | random.getrandbits(8)
        for level in [bits >> n & 1 for n in range(8, -1, -1)] + [random.getrandbits(1) for _ in range(16)]:
            edges += [write("CR9346", 0x88 | level << 1), write("CR9346", 0x8C | level << 1)]
        made = edges if random.random() < 0.7 else [write("CR9346", random.choice((0x40, 0xC0, 0)))]
        return [command(0xE2), *made, write("CR9346", 0x80), write("CR9346", 0), command(START)]


class NE2000(Family):
    """Boards with a DP8390, and the RTL8029AS."""

    dma = False
    descriptor_bytes = 1
    twins = frozenset({"ne2k_isa", "rtl8019as"})
    most_descriptors = 0
    driver_options: dict[str, Any] = {}  # noqa: RUF012
    #: RESET reaches CR, IMR, ISR.RST and little else (DP8390D 11.0).
    kept_by_soft_reset = frozenset(
        f"io.{register.name}{place}"
        for register in IO
        for place in ("", *(f"[{n}]" for n in range(register.count)))
        if register.name not in ("CR", "IMR")
    )
    footprint = 4096

    def invented(self, choice: int, address: int) -> bytes:
        """Nothing reads memory."""
        return b"\0"

    def generator(self, random: Random, model: str) -> Generator:
        return NE2000Generator(random, model)

    def soft_reset(self) -> list[Operation]:
        return [("read", 0, RESET, 1)]

    def scenes(self, place: str) -> Iterator[tuple[str, list[Operation]]]:
        quiet: list[Operation] = [write("ISR", 0xFF)]
        if place == "send":
            yield "a packet", [*ready(), *quiet, *send(60)]
            yield "a long packet", [*ready(), *quiet, *send(1514)]
        elif place == "irq":
            yield "sent", [*ready(), *quiet, *send(60)]
            yield "received", [*ready(), *quiet, ("frames", [(STATION.hex(), 100)] * 20)]
            yield "looped back", [*ready(tcr=2, dcr=0x41), *quiet, *send(60)]

    def far_rings(self) -> Iterator[list[Operation]]:
        return iter(())

    def repair(self, nic: nicemu.Nic) -> None:
        if isinstance(nic, RealtekBoard):
            nic.mac = STATION
            nic.eeprom.load_state({**nic.eeprom.state(), "words": nic.default_image()})
            nic.reset(Reset.BUS)  # the chip reads its address and medium from there

    def lists(self) -> Mapping[str, Callable[[], Iterator[Attack]]]:
        return LISTS
