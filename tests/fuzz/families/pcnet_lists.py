"""What has been done to cards like PCnet to break them, as set-ups for tests/robustness/test_lists.py.

Every set-up begins with `ready`: 64 descriptors in each ring, receive buffers of 2048 bytes, both directions on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations, product
from typing import TYPE_CHECKING

from ..frames import LENGTHS
from ..generator import Operation
from ..world import LAYOUT
from .base import Attack
from .common import BAR, BROKEN, FRAME, PEER, RAM_END, STATION, by_name, memory
from .pcnet_registers import (
    ADD_FCS,
    APAD_XMT,
    ASTRP_RCV,
    BDP,
    DXMTFCS,
    ENP,
    FCOLL,
    IENA,
    INIT,
    INTL,
    LOOP,
    LTINT,
    OWN,
    PROM,
    RAP,
    RDP,
    STOP,
    STP,
    STRT,
    TDMD,
    WHOLE,
    bcr,
    by_csrs,
    csr,
    descriptor,
    size,
    wide,
    write,
)

if TYPE_CHECKING:
    from ..world import World

__all__ = ["LISTS", "far_rings", "scenes"]

TX_RING, RX_RING, COUNT, BLOCK = 0x1000, 0x2000, 64, 0x800
RX_BUFFERS, RX_SIZE, DATA = 0x20000, 2048, 0x60000
OURS = ((TX_RING, 16 * COUNT), (RX_RING, 16 * COUNT), (RX_BUFFERS, RX_SIZE * COUNT))
LOOPS = PROM | LOOP | INTL
STYLES = (0, 1, 2, 3)
RUN = STRT | IENA


def ready(mode: int = PROM, style: int = 2, csr4: int = APAD_XMT | 0x115, given: int = COUNT) -> list[Operation]:
    """What a driver does, by the alternate method."""
    flags = [OWN if n < given else 0 for n in range(COUNT)]
    ring = b"".join(descriptor(RX_BUFFERS + RX_SIZE * n, RX_SIZE, flags[n], style) for n in range(COUNT))
    return [
        ("write", 6, 4, 7, 2),
        ("advance", 3 * 10**9),  # the EEPROM is read, the link comes up
        *csr(0, STOP),
        *bcr(20, style),
        *csr(2, 0),
        *csr(4, csr4),
        memory(RX_RING, ring),
        memory(TX_RING, bytes(size(style) * COUNT)),
        memory(DATA, STATION + PEER + b"\x08\0\x45" + bytes(15) + b"\x06"),
        *by_csrs(RX_RING, COUNT, TX_RING, COUNT, mode),
        *csr(0, RUN),
    ]


def send(descriptors: list[bytes], at: int = 0) -> list[Operation]:
    """Gives descriptors to the card, the last one first, and rings the bell."""
    step = len(descriptors[0])
    raw = [memory(TX_RING + step * ((at + n) % COUNT), each) for n, each in enumerate(descriptors)]
    return [*reversed(raw), *csr(0, TDMD | IENA)]


def plain(length: int = 60, count: int = 1, style: int = 2, flags: int = WHOLE, address: int = DATA) -> list[bytes]:
    """Frames of one buffer."""
    return [descriptor(address, length, flags, style)] * count


# ------------------------------------------------------------------------------------------------- G1 rings


def rings() -> Iterator[Attack]:
    """Where rings lie and how long they are; then a kick and a frame."""
    bases = {
        "memory": 0x8000,
        "odd": 0x8001,
        "the end of memory": RAM_END - 16,
        "nothing": 0x70_0000,
        "the card": BAR,
        "2**32": 2**32 - 16,
        "odd, 2**32": 2**32 - 5,
        "functions": LAYOUT["lazy"][0],
        "ROM": LAYOUT["rom"][0],
    }
    for style, (place, base), count in product((0, 2), bases.items(), (0, 1, 2, 63, 512, 65535)):
        for transmit in (False, True):
            made = descriptor(DATA if transmit else RX_BUFFERS, 60 if transmit else RX_SIZE, WHOLE, style)
            where = [base, count, TX_RING, COUNT] if not transmit else [RX_RING, COUNT, base, count]
            fill = memory(base, made) if base < RAM_END else memory(0x9000, made)
            last = 1 + (size(style) * (count or 65536) - 1)
            yield Attack(
                f"{'transmit' if transmit else 'receive'} ring of {count} at {place}, style {style}",
                [*ready(style=style), *by_csrs(*where), fill, *csr(0, RUN), *csr(0, TDMD), FRAME, ("advance", 10**7)],
                (*OURS, (base, last), (0, base + last - 2**32), (0, RAM_END if base > 0x10000 else 1)),
            )


# ------------------------------------------------------------------------------------------------- G2 zeros

ZEROS = ("CSR76", "CSR78", "CSR47", "CSR80", "CSR100", "BCR31", "count", "address", "ones", "RX count", "RX address")


def _with_zeros(zero: frozenset[str]) -> list[Operation]:
    def value(name: str, usual: int) -> int:
        return 0 if name in zero else usual

    out = bytearray(descriptor(value("address", DATA), value("count", 60), WHOLE))
    into = bytearray(descriptor(value("RX address", RX_BUFFERS), value("RX count", 1600), OWN))
    if "ones" in zero:
        out[5] &= 0x0F
        into[5] &= 0x0F
    registers = {76: -COUNT, 78: -COUNT, 47: 0xC000, 80: 0x1410, 100: 0x200}
    writes = [step for n, usual in registers.items() for step in csr(n, value(f"CSR{n}", usual))]
    return [
        *ready(),
        *csr(0, STOP),
        *writes,
        *bcr(31, value("BCR31", 100)),
        memory(RX_RING, bytes(into) * COUNT),
        *csr(0, RUN),
        *send([bytes(out)] * 3),
        FRAME,
        ("advance", 10**7),
        FRAME,
    ]


def zeros() -> Iterator[Attack]:
    """Every length, count and interval 0, alone and in pairs."""
    everywhere = ((0, RAM_END),)
    for zero in (*((name,) for name in ZEROS), *combinations(ZEROS, 2)):
        wide_open = {"RX address", "CSR76"} & set(zero)
        yield Attack(
            " and ".join(zero), _with_zeros(frozenset(zero)), everywhere if wide_open else (*OURS, (0, 0x2000))
        )


# ------------------------------------------------------------------------------------------------- G3 changes


def changes() -> Iterator[Attack]:
    """Modes, rings and styles that change between two descriptors of one frame, with and without leave to do so."""
    changed = {
        f"CSR{n} := {value:#x}": csr(n, value)
        for n, values in {
            0: (STOP, INIT, STRT, INIT | STRT, 0xFFFF),
            3: (0x20, 0x40),
            4: (0, 0xFFFF),
            5: (1, 2, 3),
            15: (0, 3, LOOPS, LOOPS | FCOLL),
            24: (0x3000,),
            31: (BAR >> 16,),
            76: (0, 1, 0xFFFF),
            78: (0, 1, 0xFFFF),
            72: (0, 1, 0xFFFF),
            74: (0, 1, 0xFFFF),
        }.items()
        for value in values
    }
    changed |= {f"style {style}": bcr(20, style) for style in (*STYLES, 4, 0xFF)}
    changed |= {f"reset {kind}": [("reset", kind)] for kind in (0, 1, 2)}
    changed |= {
        "S_RESET": [("read", 0, 0x14, 2)],
        "DWIO": [write(RDP, 0, 4)],
        "bus master off": [("write", 6, 4, 3, 2)],
        "cable": [("cable", False)],
    }
    halves = [descriptor(DATA, 700, OWN | STP), descriptor(DATA + 700, 700, OWN | ENP)]
    for (name, change), leave in product(changed.items(), ([], csr(5, 1), csr(0, STOP))):
        yield Attack(
            f"{name}, after {leave}",
            [
                *ready(),
                *send(halves[:1]),
                ("frames", [(STATION.hex(), 4000)]),
                *leave,
                *change,
                *csr(5, 0),
                *send(halves[1:], 1),
                *csr(0, RUN),
                ("advance", 10**7),
                FRAME,
            ],
            (*OURS, (0, RAM_END)),
        )


# ------------------------------------------------------------------------------------------------- G4 endless frames


def endless() -> Iterator[Attack]:
    """Frames whose end does not come, or comes after far too much."""
    for style, length in product((0, 2, 3), (1, 60, 1000, 4096)):
        pieces = [descriptor(DATA, length, OWN | STP, style)] + [descriptor(DATA, length, OWN, style)] * (COUNT - 1)
        rounds = [step for _ in range(3) for step in send(pieces)]
        end = send([descriptor(DATA, 1, OWN | ENP, style)])
        yield Attack(f"{length} bytes, style {style}", [*ready(style=style), *rounds, *end, ("advance", 10**7)], OURS)


# ------------------------------------------------------------------------------------------------- G5 short packets

SHORT = (1, 5, 6, 11, 12, 13, 14, 15, 17, 18, 33, 34, 41, 42, 53, 54, 59, 60)


def short_packets() -> Iterator[Attack]:
    """Short frames with every kind of FCS and padding."""
    for style, mode, csr4, flags in product(
        STYLES, (PROM, PROM | DXMTFCS, LOOPS, LOOPS | DXMTFCS), (0, APAD_XMT), (0, ADD_FCS, LTINT)
    ):
        made = [descriptor(DATA, n, WHOLE | flags, style) for n in SHORT]
        yield Attack(
            f"style {style}, CSR15 {mode:#x}, CSR4 {csr4:#x}, {flags:#x}",
            [*ready(mode, style, csr4), *send(made)],
            OURS,
        )


# ------------------------------------------------------------------------------------------------- G7 received frames


def truncated() -> Iterator[Attack]:
    """Received frames of every length, whole and faulty, with stripping, alignment and small buffers."""
    for csr4, align, buffer in product((0x115, 0x115 | ASTRP_RCV), (0, 1), (RX_SIZE, 64, 16)):
        ring = b"".join(descriptor(RX_BUFFERS + RX_SIZE * n, buffer) for n in range(COUNT))
        head = (STATION + PEER + b"\0\x10").hex()
        for flags in (0, 1, 2, 3, 5, 8):
            frames = [("frames", [(head, n)], flags) for n in LENGTHS]
            steps = [
                step for n, frame in enumerate(frames) for step in (frame, *([memory(RX_RING, ring)] if n % 2 else []))
            ]
            yield Attack(
                f"CSR4 {csr4:#x}, RCVALGN {align}, buffers of {buffer}, flags {flags}",
                [*ready(csr4=csr4), memory(RX_RING, ring), *csr(122, align), *steps],
                OURS,
            )


# ------------------------------------------------------------------------------------------------- G8 DMA to itself


def self_dma() -> Iterator[Attack]:
    """Rings, blocks and buffers that are the card's own registers, from outside and by loopback."""
    for mode, (offset, value) in product(
        (PROM, LOOPS), ((RDP, STOP), (RDP, TDMD), (RDP, INIT | STRT), (0x12, 0), (0x14, 0), (0, 0x55))
    ):
        own = BAR + offset
        frame = (value.to_bytes(2, "little") * 60).hex()
        way = f"{offset:#x} {value:#x}, {'loopback' if mode == LOOPS else 'wire'}: "
        out = plain(60, 1) + plain(60, 1, address=own) + [descriptor(own, 4, OWN | STP), descriptor(own, 4, OWN | ENP)]
        yield Attack(
            way + "buffers",
            [
                *ready(mode),
                memory(RX_RING, descriptor(own, 1600) * COUNT),
                memory(DATA, bytes.fromhex(frame)),
                ("frames", [(frame, 120)] * 3),
                *send(out),
            ],
            OURS,
        )
        for where, kind in product((own & ~15, own), ("receive ring", "transmit ring", "block")):
            place = (RX_RING, COUNT, where, 8) if kind == "transmit ring" else (where, 8, TX_RING, COUNT)
            steps = [*csr(0, STOP), *wide(1, where), *csr(0, INIT)] if kind == "block" else by_csrs(*place, mode)
            yield Attack(
                way + f"{kind} at {where:#x}",
                [*ready(mode), *steps, *csr(0, RUN), *csr(0, TDMD), ("frames", [(frame, 120)] * 3), ("advance", 10**6)],
                (*OURS, (0, RAM_END)),
            )


# ------------------------------------------------------------------------------------------------- G9 loopback


def loopback() -> Iterator[Attack]:
    """Frames that come back: every length, from the very end of memory, into rings that have no room for them."""
    for given, mode, bcr32 in product((COUNT, 0, 1), (LOOPS, LOOPS | FCOLL, LOOPS | DXMTFCS, PROM), (0, 2)):
        made = [descriptor(DATA, n, WHOLE) for n in LENGTHS if 0 < n <= 4096]
        steps = [step for at in range(0, len(made), 60) for step in send(made[at : at + 60], at)]
        yield Attack(
            f"{given} buffers, CSR15 {mode:#x}, BCR32 {bcr32}",
            [*ready(mode, given=given), *bcr(32, bcr32), *steps, ("advance", 10**7)],
            OURS,
        )
    page_end = sum(LAYOUT["page"])
    for length in (1, 14, 59, 60, 61, 1514, 4096):
        out = send([descriptor(page_end - length, length, WHOLE)])
        into = memory(RX_RING, descriptor(page_end - length, length) * COUNT)
        yield Attack(f"{length} bytes, end of a page", [*ready(LOOPS), *out], OURS)
        yield Attack(f"{length} bytes, onto themselves", [*ready(LOOPS), into, *out], (*OURS, LAYOUT["page"]))


# ------------------------------------------------------------------------------------------------- G10, G11 memory


def _honest(world: World) -> None:
    """No descriptor reports more bytes than its buffer took."""
    ring = world.buffers["ram"][RX_RING : RX_RING + 16 * COUNT].reshape(COUNT, 16)
    for raw in ring:
        if not raw[7] & 0x80 and raw[7] & 1:
            reported = int.from_bytes(raw[8:10].tobytes(), "little") & 0xFFF
            buffer = int.from_bytes(raw[:4].tobytes(), "little")
            reachable = max(0, RAM_END - buffer) if buffer < RAM_END else 0
            assert reported <= reachable, f"{reported} bytes are reported at {buffer:#x}, {reachable} are there"


def broken_memory() -> Iterator[Attack]:
    """Pointers that lead out of memory, into ROM, or to where it ends in the middle; memory that goes away."""
    frames = ("frames", [(STATION.hex(), n) for n in (60, 100, 101, 1514, 4000)])
    for name, address in BROKEN.items():
        ends = ((address, RX_SIZE),)
        out = [*plain(200, address=address), descriptor(DATA, 100, OWN | STP), descriptor(address, 200, OWN | ENP)]
        yield Attack(f"transmit buffer: {name}", [*ready(), *send(out)], OURS)
        into = memory(RX_RING, descriptor(address, 1600) * COUNT)
        yield Attack(f"receive buffer: {name}", [*ready(), into, frames], (*OURS, *ends), _honest)
        yield Attack(
            f"block: {name}", [*ready(), *csr(0, STOP), *wide(1, address), *csr(0, INIT | STRT)], (*OURS, (0, RAM_END))
        )
        for style, transmit in product((0, 2), (False, True)):
            base = address & ~15
            place = (RX_RING, COUNT, base, COUNT) if transmit else (base, COUNT, TX_RING, COUNT)
            yield Attack(
                f"{'transmit' if transmit else 'receive'} ring: {name}, style {style}",
                [*ready(style=style), *by_csrs(*place), *csr(0, RUN), *csr(0, TDMD), frames],
                (*OURS, (base, 1024), (0, RAM_END)),
            )
    for region in ("mortal", "page"):
        for gone in (("unmap", region), ("truncate", 0)):
            base = LAYOUT[region][0]
            rings_there = by_csrs(base + 1024, COUNT, base, COUNT)
            steps = [*rings_there, *csr(0, RUN), gone, *csr(0, TDMD), FRAME, ("map", region), *csr(0, RUN), FRAME]
            yield Attack(f"{region}: {gone}", [*ready(), *steps], (*OURS, LAYOUT["page"], (0, RAM_END)))


def fickle_memory() -> Iterator[Attack]:
    """Descriptors that read differently the second time; contents that are made up as they are read."""
    for region, transmit, count in product(("fickle", "lazy"), (False, True), (1, 8, 64, 4096)):
        base = LAYOUT[region][0]
        place = (RX_RING, COUNT, base, count) if transmit else (base, count, TX_RING, COUNT)
        yield Attack(
            f"{'transmit' if transmit else 'receive'} ring of {count} in {region} memory",
            [*ready(), *by_csrs(*place), *csr(0, RUN), FRAME, FRAME, *csr(0, TDMD), FRAME],
            (*OURS, (0, RAM_END)),
        )


# ------------------------------------------------------------------------------------------------- G14 timers


def timers() -> Iterator[Attack]:
    """Shortest and longest intervals, rewritten while they run, and resets of all kinds while they run."""
    for poll, software, reset in product((0, 1, 0xFFFF, 0x8000), (0, 1, 0xFFFF), (0, 1, 2)):
        setting = [*csr(5, 1), *csr(47, poll), *csr(5, 0), *bcr(31, software)]
        traffic = [*send(plain(60, 8)), FRAME]
        yield Attack(
            f"CSR47 {poll:#x}, BCR31 {software:#x}, reset {reset}",
            [
                *ready(),
                *setting,
                *traffic,
                ("advance", 1000),
                *setting,
                FRAME,
                ("advance", 10**7),
                ("reset", reset),
                ("advance", 10**7),
            ],
            OURS,
        )


# ------------------------------------------------------------------------------------------------- patterns

PMAT_MODE, WORDS = 0x80, 64
WAKE_FRAMES: tuple[Operation, ...] = (
    ("frames", [((STATION + b"\x52\x54\0\0\0\x02\x88\xb5").hex(), n) for n in (14, 15, 59, 60, 61, 1514, 1518)]),
    ("frames", [(STATION.hex(), n) for n in LENGTHS]),
    ("frames", [(STATION.hex(), n) for n in (0, 1, 3, 13, 14, 40)], 8),
)


def pattern_word(address: int, content: Sequence[int]) -> list[Operation]:
    """Five bytes of the pattern match RAM; `address` may have PMAT_MODE."""
    control, first, second, third, fourth = content
    return [*bcr(45, address | control << 8), *bcr(46, first | second << 8), *bcr(47, third | fourth << 8)]


#: What the RAM may say: where the eight patterns begin, and what every other word is.
PATTERN_RAMS: Mapping[str, tuple[Sequence[int], Sequence[int]]] = {
    "patterns that begin behind the RAM": ((0xFF, 64, 65, 127, 255), (0x8F, 0, 0, 0, 0)),
    "patterns that begin in the last word": ((0xFF, 63, 63, 63, 63), (0x0F, 0x52, 0x54, 0, 0)),
    "patterns without an end": ((0xFF, 2, 2, 2, 2), (0x00, 0, 0, 0, 0)),
    "patterns without an end that skip": ((0xFF, 2, 3, 62, 63), (0x70, 0, 0, 0, 0)),
    "patterns that skip past the frame": ((0xFF, 2, 2, 2, 2), (0xFF, 0, 0, 0, 0)),
    "patterns that always match": ((0xFF, 2, 2, 2, 2), (0x80, 0, 0, 0, 0)),
    "patterns in the words that list them": ((0xFF, 0, 1, 0, 1), (0xFF, 1, 0, 1, 0)),
    "no pattern": ((0, 255, 255, 255, 255), (0x8F, 1, 2, 3, 4)),
}


def patterns() -> Iterator[Attack]:
    """The pattern match RAM with every sort of contents; frames of any length, in every power state."""
    asleep: Mapping[str, list[Operation]] = {
        "D0": [],
        "D3": [("write", 6, 0x44, 0x8103, 2)],
        "no receiver": csr(0, STOP),
        "Magic Packet mode": csr(5, 2),
        "bus master off": [("write", 6, 4, 3, 2)],
    }
    for (name, (head, rest)), (state, steps) in product(PATTERN_RAMS.items(), asleep.items()):
        words = [head, head, *[rest] * (WORDS - 2)]
        ram = [step for address, content in enumerate(words) for step in pattern_word(address, content)]
        yield Attack(
            f"{name}, {state}",
            [
                *ready(),
                *csr(116, 0x06F0),
                *ram,
                *bcr(45, PMAT_MODE),
                *steps,
                *WAKE_FRAMES,
                ("write", 6, 0x44, 0x8000, 2),
            ],
            OURS,
        )
    for address in (0, 63, 64, 127, PMAT_MODE, PMAT_MODE | 127):
        reads = [step for number in (45, 46, 47) for step in (write(RAP, number), ("read", 0, BDP, 2))]
        steps = [*pattern_word(address, (0xFF,) * 5), *reads, *bcr(47, 0), *bcr(45, PMAT_MODE), *bcr(46, 1), *reads]
        yield Attack(f"accesses to word {address:#x}", [*ready(), *steps, *WAKE_FRAMES, ("reset", 1), *reads], OURS)


# ------------------------------------------------------------------------------------------------- byte order

BSWP = 4


def byte_order() -> Iterator[Attack]:
    """CSR3.BSWP with buffers of every length at every address modulo 4, at the ends of memory, and changed midway."""
    places = {"memory": DATA, "the end of memory": RAM_END - 8, "a page": sum(LAYOUT["page"]) - 8, "2**32": 2**32 - 8}
    lengths = (1, 2, 3, 4, 5, 7, 8, 1023, 1024, 1025, 1518, 4096)
    for (name, place), offset, mode in product(places.items(), range(4), (PROM, LOOPS, LOOPS | DXMTFCS)):
        address = place + offset
        last = (address & ~3, 4100)
        out = [descriptor(address & 0xFFFFFFFF, n, WHOLE) for n in lengths]
        into = b"".join(descriptor(address & 0xFFFFFFFF, lengths[n % len(lengths)]) for n in range(COUNT))
        yield Attack(
            f"{name}, {offset} bytes on, CSR15 {mode:#x}",
            [
                *ready(mode),
                *csr(3, BSWP),
                memory(RX_RING, into),
                *send(out),
                ("frames", [(STATION.hex(), n) for n in (14, 60, 61, 1514)]),
                *csr(3, 0),
                *send(out, len(out)),
                ("advance", 10**7),
            ],
            (*OURS, last, (0, 4100)),
        )
    for region in ("lazy", "rom", "fickle", "bar"):
        base = LAYOUT[region][0] + 1
        into = memory(RX_RING, descriptor(base, 1600) * COUNT)
        yield Attack(f"{region}", [*ready(), *csr(3, BSWP), into, *send(plain(61, 2, address=base)), FRAME], OURS)


# ------------------------------------------------------------------------------------------------- G17 bus


def bus() -> Iterator[Attack]:
    """Decoding, bus mastering, power and BARs that change in the midst of traffic."""
    traffic = [*send(plain(60, 8)), FRAME]
    for name, change in {
        "bus master off": ("write", 6, 4, 3, 2),
        "all off": ("write", 6, 4, 0, 2),
        "I/O off": ("write", 6, 4, 6, 2),
        "D3": ("write", 6, 0x44, 3, 2),
        "BAR 0 moved": ("write", 6, 0x10, 0x1234, 4),
        "BAR 1 over memory": ("write", 6, 0x14, 0, 4),
    }.items():
        for then in (("write", 6, 4, 7, 2), ("write", 6, 0x44, 0, 2), ("reset", 1), ("poll",)):
            yield Attack(f"{name}, then {then}", [*ready(), *traffic, change, *traffic, then, *traffic], OURS)
    silent = [("write", 6, 4, 3, 2), *send(plain(60, 8)), FRAME, ("advance", 10**8)]
    rings_only = ((TX_RING, 128), (RX_RING, 16 * COUNT))  # where the guest itself wrote
    yield Attack("no DMA without bus mastering", [*ready(), *silent], rings_only)


# ------------------------------------------------------------------------------------------------- calls out


def scenes(place: str) -> Iterator[tuple[str, list[Operation]]]:
    """Operations of which the last one makes the card call out (see base.Family.scenes)."""
    lazy = LAYOUT["lazy"][0]
    quiet = csr(0, 0x7F00 | IENA)
    frames = ("frames", [(STATION.hex(), 100)] * 20)
    if place == "send":
        yield "plain frames", [*ready(), *quiet, *send(plain(60, 20))]
        chained = [descriptor(DATA, 700, OWN | STP), descriptor(DATA, 700, OWN | ENP)] * 10
        yield "chains", [*ready(), *quiet, *send(chained)]
    elif place == "irq":
        yield "sent", [*ready(), *quiet, *send(plain(60, 20))]
        yield "received", [*ready(), *quiet, frames]
        yield "looped back", [*ready(LOOPS), *quiet, *send(plain(60, 20))]
    elif place == "read":
        yield "data", [*ready(), *quiet, *send(plain(60, 20, address=lazy))]
        yield "transmit ring", [*ready(), *by_csrs(RX_RING, COUNT, lazy, COUNT), *csr(0, RUN)]
        yield "receive ring", [*ready(), *by_csrs(lazy, COUNT, TX_RING, COUNT), *csr(0, RUN), frames]
    else:
        ring = memory(RX_RING, descriptor(lazy, 1600) * COUNT)
        yield "buffers", [*ready(), *quiet, ring, frames]
        yield "transmit ring", [*ready(), *by_csrs(RX_RING, COUNT, lazy, COUNT), *csr(0, RUN)]
        yield "looped back", [*ready(LOOPS), *quiet, ring, *send(plain(60, 20))]


def far_rings() -> Iterator[list[Operation]]:
    """Rings in memory behind functions (see base.Family.far_rings)."""
    lazy = LAYOUT["lazy"][0]
    for style in (0, 2):
        yield [*ready(style=style), *by_csrs(lazy + 2048, COUNT, lazy, COUNT), *csr(0, RUN)]


LISTS = by_name(
    rings, zeros, changes, endless, short_packets, truncated, self_dma, loopback, broken_memory, fickle_memory,
    timers, patterns, byte_order, bus,
)  # fmt: skip
