"""Register scripts for the Am79C970A.

Sections in comments are titles of AMD's data sheet 19436. What it leaves undefined after power-on is initialised before
anything depends on it, as a driver must.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from nicemu.devices.pcnet_descriptors import LAYOUTS, Layout, Rx, Tx, two_s_complement
from nicemu.devices.pcnet_tables import IO, TABLES_970A
from nicemu.registers import Register, Table

from ..steps import Arrive, Config, Left, Line, Pass, Peek, Poke, Read, ReadConfig, Space, Step, Until, Write
from . import frames

BLOCK, RX_RING, TX_RING = 0x200000, 0x201000, 0x202000
TX_DATA, RX_DATA, STRIDE = 0x210000, 0x220000, 0x1000
COUNT, CODE = 4, 2  # descriptors of a ring, and their number as RLEN and TLEN have it
PORTS = {register.name: register.offset for register in IO}
INIT, STRT, STOP, TDMD, TXON, RXON, IENA, INTR = (1 << bit for bit in range(8))
IDON, TINT, RINT, MISS, CERR, BABL = 1 << 8, 1 << 9, 1 << 10, 1 << 12, 1 << 13, 1 << 14
STARTED = STRT | TXON | RXON
TXSTRT, UINT, UINTCMD, APAD_XMT, TXDPOLL, ASTRP_RCV = 1 << 3, 1 << 6, 1 << 7, 1 << 11, 1 << 12, 1 << 10
MASKS4 = 0x0115  # of CSR4: no cause interrupts
SPND, LTINTEN, TOKINTD = 1 << 0, 1 << 14, 1 << 15
DRX, DTX, LOOP, DXMTFCS, FCOLL, DRTY, INTL = (1 << bit for bit in range(7))
DRCVPA, DRCVBC, PROM = 1 << 13, 1 << 14, 1 << 15
WHOLE = Tx.OWN | Tx.STP | Tx.ENP


def locate(register: str) -> tuple[Space, int]:
    """Space and offset of a port."""
    return "io", PORTS[register]


def port(offset: int) -> tuple[Space, int]:
    """A place in the I/O BAR, whatever is there in the mode of the moment."""
    return "io", offset


# ---------------------------------------------------------------------------------------------- registers by number


def csr(number: int, value: int) -> list[Step]:
    """Writes a CSR, in double word mode."""
    return [Write("RAP32", number), Write("RDP", value)]


def bcr(number: int, value: int) -> list[Step]:
    """Writes a BCR, in double word mode."""
    return [Write("RAP32", number), Write("BDP32", value)]


def see_csr(number: int, name: str = "", mask: int = 0xFFFF) -> list[Step]:
    """Observes a CSR."""
    return [Write("RAP32", number), Read("RDP", name or f"CSR{number}", mask)]


def see_bcr(number: int, name: str = "", mask: int = 0xFFFF) -> list[Step]:
    """Observes a BCR."""
    return [Write("RAP32", number), Read("BDP32", name or f"BCR{number}", mask)]


def wait(mask: int, value: int, name: str) -> list[Step]:
    """Until CSR0 has those bits."""
    return [Write("RAP32", 0), Until("RDP", mask, value, name)]


DWIO: list[Step] = [Write("RDP", 0)]  # a double word write of RDP (I/O Resources)


def registers(name: str) -> list[Register]:
    """The registers of a table that are no window."""
    table: Table = next(table for table in TABLES_970A if table.name == name)
    return [register for register in table if not register.window]


# ---------------------------------------------------------------------------------------------- every register


def reset_values() -> list[Step]:
    """What every register reads after power-on, but for the bits that the data sheet leaves undefined."""
    steps: list[Step] = [Read(("io", at), f"APROM {at}", 0xFF, 1) for at in range(16)]
    steps += [Read(("io", 0x14), "S_RESET reads", 0, 2), *DWIO]
    for name, see in (("csr", see_csr), ("bcr", see_bcr)):
        for register in registers(name):
            defined = 0xFFFF & ~register.undefined
            if defined:
                steps += see(register.offset // 2, mask=defined)
    return [*steps, ReadConfig(0x00, "identity"), ReadConfig(0x04, "command and status"),
            ReadConfig(0x08, "class and revision"), ReadConfig(0x2C, "subsystem"), ReadConfig(0x10, "BAR 0 is I/O", 1),
            ReadConfig(0x14, "BAR 1 is memory", 1), ReadConfig(0x34, "capability pointer", 0xFF),
            ReadConfig(0x3C, "interrupt pin and latencies", 0xFFFFFF00)]  # fmt: skip


# Looked at by scripts further down: they start something, or move registers.
ELSEWHERE = {"csr": (0, 5), "bcr": (18, 19, 20)}


def masks() -> list[Step]:
    """Which bits of every register take ones, and which take zeros, while STOP is set."""
    steps: list[Step] = [*DWIO, *csr(0, STOP)]
    for name, write, see in (("csr", csr, see_csr), ("bcr", bcr, see_bcr)):
        for register in registers(name):
            number = register.offset // 2
            if number in ELSEWHERE[name]:
                continue
            if (name, number) == ("csr", 124):
                steps += csr(4, 1 << 15)  # EN124
            for value, title in ((0xFFFF, "ones"), (0, "zeros")):
                steps += [*write(number, value), *see(number, f"{name.upper()}{number} {title}")]
    return steps


def ports() -> list[Step]:
    """Word and double word mode, accesses of other widths, RESET (I/O Resources)."""
    rdp, rap, reset, bdp = (port(offset) for offset in (0x10, 0x12, 0x14, 0x16))
    words: list[Step] = [
        Read(port(0), "APROM word", size=2), Read(port(0), "APROM double word"),
        Read(("memory", 4), "APROM in memory", size=2), Write(rap, 0xFF7C, 2), Read(rap, "RAP's width", size=2),
        Write(rap, 88, 2), Read(rdp, "CSR88 by words", size=2), Write(rap, 89, 2), Read(rdp, "CSR89 by words", size=2),
        Write(rap, 18, 2), Read(bdp, "BCR18 by words", size=2), Write(rap, 3, 2), Write(rdp, 0x5F00, 2),
        Read(reset, "S_RESET by words", 0, 2), Write(rap, 3, 2), Read(rdp, "CSR3 after S_RESET by words", size=2),
        Read(rdp, "RDP by a double word"), Write(rap, 0, 2),
    ]  # fmt: skip
    doubles: list[Step] = [
        *DWIO, *see_bcr(18, "BCR18 in DWIO"), Read(port(0), "APROM double word in DWIO"),
        Read(port(1), "APROM byte in DWIO", size=1), Read(rap, "RAP by words in DWIO", size=2),
        Write(port(0x14), 89, 2), *see_csr(88, "CSR88 in DWIO"), Read("RESET32", "S_RESET by double words", 0),
        Read("RAP32", "RAP after S_RESET"), *see_csr(0, "CSR0 after S_RESET"), *see_bcr(18, "BCR18 after S_RESET"),
    ]  # fmt: skip
    return [*words, *doubles]


# ---------------------------------------------------------------------------------------------- rings


def place(layout: Layout, address: int, length: int, status: int) -> bytes:
    """A descriptor; RMD2 or TMD2 has a pattern, to see what is written."""
    one = np.zeros(1, layout.dtype)
    layout.set_address(one[0], address)
    one[0]["count"] = two_s_complement(length)
    one[0]["misc"] = 0
    layout.set_status(one[0], status)
    return one.tobytes()


def receive_ring(layout: Layout, lengths: Sequence[int], owned: Sequence[bool] = ()) -> Poke:
    """A receive ring with buffers of those lengths."""
    owned = owned or [True] * len(lengths)
    made = [place(layout, RX_DATA + STRIDE * i, length, Rx.OWN if mine else 0)
            for i, (length, mine) in enumerate(zip(lengths, owned, strict=True))]  # fmt: skip
    return Poke(RX_RING, b"".join(made))


def initialize(
    mode: int = 0,
    style: int = 2,
    ladrf: int = 0,
    features: int = APAD_XMT | MASKS4,
    lengths: Sequence[int] = (1600,) * COUNT,
    start: int = STRT | IDON,
) -> list[Step]:
    """Software style, empty rings, the initialization block, INIT, STRT."""
    layout = LAYOUTS[style]
    block = layout.block(mode, frames.CARD, ladrf, (RX_RING, CODE), (TX_RING, CODE))
    return [
        *DWIO, *csr(0, STOP), *bcr(20, style), *csr(3, 0), *csr(4, features), Poke(BLOCK, block),
        Poke(TX_RING, bytes(layout.dtype.itemsize * COUNT)), receive_ring(layout, lengths),
        *csr(1, BLOCK & 0xFFFF), *csr(2, BLOCK >> 16), *csr(0, INIT), *wait(IDON, IDON, "initialised"), *csr(0, start),
    ]  # fmt: skip


def see_ring(base: int, name: str, style: int = 2, count: int = COUNT) -> list[Step]:
    """Observes the descriptors of a ring, byte for byte, with what was written to buffers."""
    size = LAYOUTS[style].dtype.itemsize
    return [Peek(base + size * i, size, f"{name} descriptor {i}") for i in range(count)]


def send(name: str, pieces: Sequence[tuple[bytes, int]], count: int, at: int = 0, style: int = 2) -> list[Step]:
    """Buffers with their flags from descriptor ``at`` on, TDMD, the frames, the descriptors, the causes."""
    layout = LAYOUTS[style]
    size = layout.dtype.itemsize
    steps: list[Step] = []
    places = [(at + number) % COUNT for number in range(len(pieces))]
    for index, (content, flags) in reversed(list(zip(places, pieces, strict=True))):
        data = TX_DATA + STRIDE * index
        steps += [Poke(data, content), Poke(TX_RING + size * index, place(layout, data, len(content), flags))]
    steps += [*csr(0, TDMD), Left(count, f"{name} frame")]
    steps += [Peek(TX_RING + size * index, size, f"{name} descriptor {index}") for index in places]
    return [*steps, *see_csr(0, f"{name} CSR0"), *csr(0, 0x7F00)]


def arrive(name: str, frame: bytes, at: int, *, taken: bool = True, style: int = 2) -> list[Step]:
    """A frame that is taken into descriptor ``at``, or not: what is there then."""
    size = LAYOUTS[style].dtype.itemsize
    steps: list[Step] = [Arrive(frame), *(wait(RINT, RINT, f"{name} arrived") if taken else [Pass(5)])]
    steps += [Peek(RX_RING + size * at, size, f"{name} descriptor")]
    if taken:
        data = RX_DATA + STRIDE * at
        steps += [Peek(data, len(frame), f"{name} data"), Peek(data + len(frame), 4, f"{name} FCS")]
    return [*steps, *see_csr(0, f"{name} CSR0"), *csr(0, 0x7F00)]


# ---------------------------------------------------------------------------------------------- initialization


def initialization(style: int) -> list[Step]:
    """Every register that a block fills, then a frame each way with that layout (Initialization Block, BCR20)."""
    steps = [*initialize(style=style, mode=PROM, ladrf=0x0123456789ABCDEF, start=IDON), *see_bcr(20), *see_csr(58)]
    for number in (1, 2, *range(8, 16), 24, 25, 30, 31, 76, 78):
        steps += see_csr(number)
    steps += [*see_csr(0, "CSR0 before STRT"), *csr(0, STRT), *see_csr(0, "CSR0 after STRT")]
    steps += send("sent", [(frames.plain(80), WHOLE)], 1, style=style)
    return [*steps, *arrive("received", frames.plain(80, frames.CARD, frames.STATION), 0, style=style)]


def alternate() -> list[Step]:
    """No block: CSRs are written (Alternate Method for Initialization)."""
    layout = LAYOUTS[2]
    steps: list[Step] = [*DWIO, *csr(0, STOP), *bcr(20, 2), *csr(3, 0), *csr(4, APAD_XMT | MASKS4)]
    words = [int.from_bytes(frames.CARD[at : at + 2], "little") for at in (0, 2, 4)]
    values = {8: 0, 9: 0, 10: 0, 11: 0, 12: words[0], 13: words[1], 14: words[2], 15: 0,
              24: RX_RING & 0xFFFF, 25: RX_RING >> 16, 30: TX_RING & 0xFFFF, 31: TX_RING >> 16, 47: 0,
              76: 0x10000 - COUNT, 78: 0x10000 - COUNT}  # fmt: skip
    steps += [step for number, value in values.items() for step in csr(number, value)]
    steps += [
        Poke(TX_RING, bytes(16 * COUNT)),
        receive_ring(layout, [1600] * COUNT),
        *csr(0, STRT),
        *see_csr(0, "CSR0"),
    ]
    steps += send("sent", [(frames.plain(80), WHOLE)], 1)
    steps += [Arrive(frames.plain(80, frames.CARD, frames.STATION)), Pass(5), *see_ring(RX_RING, "received", count=1)]
    return [*steps, *see_csr(0, "CSR0 at the end"), *see_csr(112)]


def locked() -> list[Step]:
    """CSRs and BCRs that may be written while STOP or SPND is set only (Control and Status Registers)."""
    numbers = (1, 2, 8, 12, 14, 15, 24, 30, 47, 76, 78, 80, 82, 100, 112, 124)
    steps = [*initialize(features=MASKS4 | 1 << 15)]
    for number in numbers:
        steps += [*csr(number, 0x0008), *see_csr(number, f"CSR{number} running")]
    for number in (20, 22):
        steps += [*bcr(number, 0x0001), *see_bcr(number, f"BCR{number} running")]
    steps += [*csr(5, SPND), *see_csr(5, "CSR5 suspended", SPND), *see_csr(0, "CSR0 suspended")]
    for number in (8, 15, 80):
        steps += [*csr(number, 0x0040), *see_csr(number, f"CSR{number} suspended")]
    steps += [*csr(5, 0), *see_csr(5, "CSR5 resumed", SPND), *csr(0, STOP), *see_csr(0, "CSR0 stopped")]
    return [*steps, *csr(8, 0x0080), *see_csr(8, "CSR8 stopped")]


def soft_reset() -> list[Step]:
    """What S_RESET and STOP leave (Software Access; Reset)."""
    csrs = {3: 0x5F00, 4: 0x0915, 5: 0x4008, 8: 0x1111, 12: 0x2222, 15: 0x8000, 24: 0x3330, 47: 0x4444, 76: 0xFFF0,
            80: 0x1400, 82: 0x5555, 100: 0x0777}  # fmt: skip
    bcrs = {2: 0x0002, 4: 0x00C1, 9: 1, 18: 0x9060, 20: 2}
    writes: list[Step] = [*DWIO, *csr(0, STOP)]
    writes += [step for number, value in csrs.items() for step in csr(number, value)]
    writes += [step for number, value in bcrs.items() for step in bcr(number, value)]
    steps = [*writes, *csr(0, STOP)]
    steps += [step for number in csrs for step in see_csr(number, f"CSR{number} after STOP")]
    steps += [Read("RESET32", "S_RESET", 0), Write("RAP32", 0), *DWIO]
    steps += [step for number in csrs for step in see_csr(number, f"CSR{number} after S_RESET")]
    return [*steps, *(step for number in bcrs for step in see_bcr(number, f"BCR{number} after S_RESET"))]


def eeprom_and_leds() -> list[Step]:
    """PREAD, PVALID and EEDET, a word read by the pins, LEDOUT of BCR4 (EEPROM Interface; BCR4, BCR19)."""
    esk, ecs, edi, een, pread = 1 << 1, 1 << 2, 1 << 0, 1 << 4, 1 << 14
    steps: list[Step] = [
        *DWIO,
        *see_bcr(19, "BCR19 at rest"),
        *bcr(19, pread),
        Pass(5),
        *see_bcr(19, "BCR19 after PREAD"),
    ]
    steps += bcr(19, een | ecs)
    for bit in "110000000":  # start bit, READ, word 0
        level = een | ecs | (edi if bit == "1" else 0)
        steps += [*bcr(19, level), *bcr(19, level | esk), *bcr(19, level)]
    for number in range(16):
        steps += [*bcr(19, een | ecs | esk), *bcr(19, een | ecs), *see_bcr(19, f"bit {15 - number}", edi)]
    steps += bcr(19, 0)
    for name, value in {"link": 0x40, "nothing": 0, "link, active high": 0x4040, "full duplex": 0x100}.items():
        steps += [*bcr(4, value), *see_bcr(4, f"LED0 with {name}")]
    return steps


# ---------------------------------------------------------------------------------------------- interrupts


def interrupts() -> list[Step]:
    """Causes, masks, IENA and the pin (Interrupts)."""
    return [
        *initialize(start=0), *see_csr(0, "IDON"), Line("pin, IENA off"), *csr(0, IENA), *see_csr(0, "with IENA"),
        Line("pin, IENA on"), *csr(3, IDON), *see_csr(0, "masked"), Line("pin, masked"), *csr(3, 0),
        Line("pin, unmasked"), *csr(0, IENA), Line("pin, a zero written"), *csr(0, IDON),
        *see_csr(0, "cleared, IENA not written"), Line("pin, cleared"), *csr(4, MASKS4 | UINTCMD), *see_csr(4, "UINT"),
        Line("pin, UINT with IENA off"), *csr(0, IENA), Line("pin, UINT"), *see_csr(0, "CSR0 with UINT"),
        *csr(4, MASKS4 | UINT), *see_csr(4, "UINT cleared"), Line("pin, UINT cleared"), *csr(0, STRT | IENA),
        *see_csr(0, "started"), *csr(0, STOP), *see_csr(0, "stopped"), Line("pin, stopped"),
    ]  # fmt: skip


def interrupt_causes() -> list[Step]:
    """TINT, TXSTRT, LTINT, TOKINTD, BABL, CERR (CSR0, CSR4, CSR5)."""
    steps = initialize()
    steps += [*send("plain", [(frames.plain(80), WHOLE)], 1), *see_csr(4, "TXSTRT", TXSTRT)]
    steps += [*csr(4, APAD_XMT | MASKS4 | TXSTRT), *see_csr(4, "TXSTRT cleared", TXSTRT), *csr(5, LTINTEN)]
    steps += send("without LTINT", [(frames.plain(80), WHOLE)], 1, at=1)
    steps += send("with LTINT", [(frames.plain(80), WHOLE | Tx.LTINT)], 1, at=2)
    steps += [*csr(5, TOKINTD), *send("TOKINTD", [(frames.plain(80), WHOLE)], 1, at=3), *csr(5, 0)]
    return [*steps, *send("1515 bytes", [(frames.plain(1515), WHOLE)], 1)]


# ---------------------------------------------------------------------------------------------- transmit


def transmit() -> list[Step]:
    """Sizes, chains, padding, FCS (Transmit Operation)."""
    steps = initialize()
    for at, size in enumerate((60, 64, 1000, 1514)):
        steps += send(f"{size} bytes", [(frames.plain(size), WHOLE)], 1, at=at)
    whole = frames.plain(600)
    steps += send(
        "three pieces", [(whole[:14], Tx.OWN | Tx.STP), (whole[14:300], Tx.OWN), (whole[300:], Tx.OWN | Tx.ENP)], 1
    )
    steps += send("20 bytes padded", [(frames.plain(20), WHOLE)], 1, at=3)
    steps += [*csr(4, MASKS4), *send("20 bytes not padded", [(frames.plain(20), WHOLE)], 1, at=0)]
    steps += send("two frames", [(frames.plain(70), WHOLE), (frames.plain(71), WHOLE)], 2, at=1)
    return [*steps, *send("no start", [(frames.plain(80), Tx.OWN | Tx.ENP)], 0, at=3)]


def transmit_modes() -> list[Step]:
    """FCS of the driver; DTX; polling without TDMD, and TXDPOLL (CSR4, CSR15, CSR47, TMD1.ADD_FCS)."""
    given = place(LAYOUTS[2], TX_DATA, 80, WHOLE)
    steps = initialize(mode=DXMTFCS, features=MASKS4)
    steps += send("ADD_FCS", [(frames.plain(80), WHOLE | Tx.ADD_FCS)], 1)
    steps += send("DXMTFCS", [(frames.plain(80), WHOLE)], 1, at=1)
    steps += [*initialize(mode=DTX), *see_csr(0, "CSR0 with DTX"), *send("DTX", [(frames.plain(80), WHOLE)], 0)]
    steps += [*initialize(), Poke(TX_DATA, frames.plain(80)), Poke(TX_RING, given), Pass(20), Left(1, "polled frame")]
    steps += [
        *see_csr(0, "polled CSR0"),
        *csr(0, 0x7F00),
        *csr(4, APAD_XMT | MASKS4 | TXDPOLL),
        Poke(TX_RING + 16, given),
    ]
    return unique([*steps, Pass(20), Left(0, "TXDPOLL frame"), *see_csr(0, "TXDPOLL CSR0")])


def unique(steps: list[Step]) -> list[Step]:
    """The same steps with the second and further ``initialised`` told apart."""
    return list(_numbered(steps))


def _numbered(steps: list[Step]) -> Iterator[Step]:
    seen = 0
    for step in steps:
        if isinstance(step, Until) and step.name == "initialised":
            seen += 1
            yield Until(step.register, step.mask, step.value, f"initialised, {seen}")
        else:
            yield step


def no_bus_master() -> list[Step]:
    """COMMAND without its bus master bit: no DMA (PCI Command Register)."""
    steps = [
        *initialize(),
        Config(4, 3),
        Poke(TX_DATA, frames.plain(80)),
        Poke(TX_RING, place(LAYOUTS[2], TX_DATA, 80, WHOLE)),
    ]
    return [*steps, *csr(0, TDMD), Left(0, "frame"), Peek(TX_RING, 16, "descriptor"), *see_csr(0, "CSR0")]


# ---------------------------------------------------------------------------------------------- receive

INBOUND = (frames.CARD, frames.STATION)


def receive() -> list[Step]:
    """Sizes, and the bits that say how the address matched (Receive Operation, RMD1)."""
    steps = initialize(ladrf=0xFFFFFFFFFFFFFFFF)
    for at, size in enumerate((60, 64, 1000, 1514)):
        steps += arrive(f"{size} bytes", frames.plain(size, *INBOUND), at)
    steps += [receive_ring(LAYOUTS[2], [1600] * COUNT)]
    for at, (name, target) in enumerate(
        {"physical": frames.CARD, "multicast": frames.GROUP, "broadcast": frames.BROADCAST}.items()
    ):
        steps += arrive(name, frames.plain(100, target, frames.STATION), at)
    return steps


def receive_filters() -> list[Step]:
    """LADRF, PROM, DRCVBC, DRCVPA (Address Matching)."""
    steps: list[Step] = []
    for name, mode, ladrf in (("none", 0, 0), ("PROM", PROM, 0), ("DRCVBC", DRCVBC, 0), ("DRCVPA", DRCVPA, 0),
                              ("DRCVBC with LADRF", DRCVBC, (1 << 64) - 1)):  # fmt: skip
        steps += initialize(mode=mode, ladrf=ladrf)
        for target, address in {
            "own": frames.CARD,
            "other": frames.OTHER,
            "group": frames.GROUP,
            "all": frames.BROADCAST,
        }.items():
            steps += [Arrive(frames.plain(100, address, frames.STATION)), Pass(5)]
            steps += [Peek(RX_RING + 16 * i + 4, 4, f"{name}, {target}: RMD1 of {i}") for i in range(COUNT)]
    return unique(steps)


def receive_chains() -> list[Step]:
    """A frame over several buffers, one that finds too few, one that finds none (Receive Descriptor Management)."""
    steps = initialize(lengths=(100, 100, 100, 1600))
    steps += [
        Arrive(frames.plain(250, *INBOUND)),
        *wait(RINT, RINT, "three buffers"),
        *see_ring(RX_RING, "three buffers"),
    ]
    steps += [*csr(0, 0x7F00), receive_ring(LAYOUTS[2], [100] * COUNT, [True, False, False, True])]
    steps += [Arrive(frames.plain(250, *INBOUND)), Pass(5), *see_ring(RX_RING, "too few"), *see_csr(0, "too few CSR0")]
    steps += [*initialize(), receive_ring(LAYOUTS[2], [1600] * COUNT, [False, True, True, True])]
    steps += [Arrive(frames.plain(100, *INBOUND)), Pass(5), *see_ring(RX_RING, "missed"), *see_csr(0, "missed CSR0")]
    return unique([*steps, *see_csr(112)])


def receive_modes() -> list[Step]:
    """ASTRP_RCV, where the length field says so; DRX and STOP (Automatic Pad Stripping; CSR0, CSR15)."""
    short = frames.CARD + frames.STATION + (20).to_bytes(2, "big") + frames.pattern(20) + bytes(26)
    steps = initialize(features=MASKS4 | ASTRP_RCV)
    steps += arrive("length 20", short, 0)
    steps += arrive("a type", frames.plain(60, *INBOUND), 1)
    steps += [
        *initialize(mode=DRX),
        *see_csr(0, "CSR0 with DRX"),
        *arrive("DRX", frames.plain(100, *INBOUND), 0, taken=False),
    ]
    return unique([*steps, *csr(0, STOP), *arrive("STOP", frames.plain(100, *INBOUND), 0, taken=False)])


# ---------------------------------------------------------------------------------------------- loopback


def loopback() -> list[Step]:
    """Internal loopback: frames come back, with the FCS of the chip or of the driver; FCOLL (Loopback Operation)."""
    steps: list[Step] = []
    for name, mode in (("FCS by the chip", LOOP | INTL), ("FCS by the driver", LOOP | INTL | DXMTFCS),
                       ("collision", LOOP | INTL | FCOLL | DRTY)):  # fmt: skip
        steps += [*initialize(mode=mode, features=MASKS4), Poke(RX_DATA, bytes(104))]
        steps += send(name, [(frames.plain(100, frames.CARD), WHOLE)], 0)
        steps += [*see_ring(RX_RING, f"{name}, received", count=1), Peek(RX_DATA, 100, f"{name}, data"),
                  Peek(RX_DATA + 100, 4, f"{name}, FCS")]  # fmt: skip
    return unique(steps)


SCRIPTS: dict[str, list[Step]] = {
    "reset": reset_values(),
    "masks": masks(),
    "ports": ports(),
    "style-0": initialization(0),
    "style-1": initialization(1),
    "style-2": initialization(2),
    "style-3": initialization(3),
    "alternate": alternate(),
    "locked": locked(),
    "soft-reset": soft_reset(),
    "eeprom-leds": eeprom_and_leds(),
    "interrupts": interrupts(),
    "interrupt-causes": interrupt_causes(),
    "transmit": transmit(),
    "transmit-modes": transmit_modes(),
    "no-bus-master": no_bus_master(),
    "receive": receive(),
    "receive-filters": receive_filters(),
    "receive-chains": receive_chains(),
    "receive-modes": receive_modes(),
    "loopback": loopback(),
}
