"""What has been done to cards like the 82540EM to break them, as set-ups for tests/robustness/test_lists.py.

Every set-up begins with `ready`: 64 descriptors in each ring, receive buffers of 2048 bytes, both directions on.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations, product
from typing import TYPE_CHECKING

from ..frames import LENGTHS
from ..generator import Operation
from ..world import LAYOUT
from .base import Attack
from .common import BAR, BROKEN_FAR, FRAME, PEER, RAM_END, STATION, by_name, cut_everywhere, fronts, memory, no_leak
from .e1000_registers import (
    CTRL_UP,
    EOP,
    IC,
    IDE,
    IFCS,
    IP,
    IXSM,
    RCTL_ON,
    REG,
    RS,
    RX,
    TCP,
    TCTL_ON,
    TSE,
    TX,
    TXSM,
    VLE,
    context,
    data,
    legacy,
    receive,
    write,
)

if TYPE_CHECKING:
    from ..world import World

__all__ = ["LISTS", "far_rings", "scenes"]

TX_RING, RX_RING, COUNT = 0x1000, 0x2000, 64
RX_BUFFERS, RX_SIZE, DATA = 0x20000, 2048, 0x60000
OURS = ((TX_RING, 16 * COUNT), (RX_RING, 16 * COUNT), (RX_BUFFERS, RX_SIZE * COUNT))
RCTL = RCTL_ON & ~(1 << 25)  # without BSEX: 2048
PHY_LOOPBACK = 3 << 6
KINDS = ("legacy", "data", "segments")


def ready(rctl: int = RCTL, ctrl: int = CTRL_UP, buffers: int = RX_BUFFERS) -> list[Operation]:
    """What a driver does."""
    ring = b"".join(receive(buffers + RX_SIZE * n) for n in range(COUNT))
    return [
        ("write", 6, 4, 7, 2),
        ("advance", 2 * 10**6),  # the EEPROM is read
        write(REG["CTRL"], ctrl),
        ("advance", 3 * 10**9),  # the link comes up
        write(REG["VET"], 0x8100),
        write(REG["RXCSUM"], 0x700),
        memory(RX_RING, ring),
        memory(DATA, STATION + PEER + b"\x08\0\x45" + bytes(15) + b"\x06"),
        *TX.place(TX_RING, 16 * COUNT),
        *RX.place(RX_RING, 16 * COUNT, 0, COUNT - 1),
        write(REG["RCTL"], rctl),
        write(REG["TCTL"], TCTL_ON),
        write(REG["IMS"], 0x1FFFF),
    ]


def send(descriptors: list[bytes], at: int = 0) -> list[Operation]:
    """Puts descriptors into the ring and rings the bell."""
    raw = [memory(TX_RING + 16 * ((at + n) % COUNT), each) for n, each in enumerate(descriptors)]
    return [*raw, write(TX.tail, (at + len(descriptors)) % COUNT)]


# ------------------------------------------------------------------------------------------------- G1 rings


def _wrapped(base: int, length: int) -> tuple[tuple[int, int], ...]:
    """The part of a ring that addresses of 64 bits bring back to the beginning."""
    return ((0, base + length - 2**64),) if base + length > 2**64 else ()


def rings() -> Iterator[Attack]:
    """Where rings lie, how long they are, where head and tail stand; then a kick and a frame."""
    bases = {
        "memory": 0x8000,
        "the end of memory": RAM_END - 16,
        "nothing": 0x70_0000,
        "the card": BAR,
        "2**32": 2**32 - 32,
        "2**64": 2**64 - 32,
        "odd memory": LAYOUT["lazy"][0],
        "ROM": LAYOUT["rom"][0],
    }
    for name, ring in (("transmit", TX), ("receive", RX)):
        for (place, base), length in product(bases.items(), (0, 16, 100, 128, 0xFFF80, 0x100000, 0xFFFFFFFF)):
            last = max(0, (length & 0xFFF80) // 16 - 1)
            points = {
                (0, 0),
                (0, last),
                (0, last + 1),
                (last, 0),
                (last + 1, 0),
                (3, 2),
                (0, 0xFFFF),
                (0xFFFF, 0),
                (5, 5),
            }
            for head, tail in sorted(points):
                filled = b"".join(
                    legacy(DATA, 60, EOP | RS | IFCS) if ring is TX else receive(RX_BUFFERS + RX_SIZE * n)
                    for n in range(8)
                )
                yield Attack(
                    f"{name} ring of {length:#x} in {place}, {head:#x} to {tail:#x}",
                    [
                        *ready(),
                        memory(base, filled[: 16 if base == RAM_END - 16 else 32 if base > BAR else 128]),
                        *ring.place(base, length, head & 0xFFFF, tail & 0xFFFF),
                        FRAME,
                    ],
                    (*OURS, (base, max(16, length & 0xFFF80)), *_wrapped(base, length & 0xFFF80)),
                )


# ------------------------------------------------------------------------------------------------- G2 zeros


def _with_zeros(zero: frozenset[str]) -> list[Operation]:
    def value(name: str, usual: int) -> int:
        return 0 if name in zero else usual

    made = [
        context(
            TCP | IP | TSE,
            value("PAYLEN", 3000),
            value("MSS", 1000),
            value("HDRLEN", 54),
            (value("IPCSS", 14), value("IPCSO", 24), value("IPCSE", 33)),
            (value("TUCSS", 34), value("TUCSO", 50), 0),
        ),
        data(value("address", DATA), value("first length", 54), TSE | IFCS, options=IXSM | TXSM),
        data(DATA, value("length", 3000), TSE | IFCS | EOP | RS | IDE),
        legacy(DATA, value("legacy length", 100), EOP | IFCS | RS | IC, cso=value("CSO", 50), css=value("CSS", 34)),
    ]
    registers = {
        "ITR": 100,
        "TIDV": 8,
        "TADV": 16,
        "RDTR": 8,
        "RADV": 16,
        "PBA": 0x30,
        "TXDCTL": 0x0104_0000,
        "RXDCTL": 0x0104_0000,
        "FCTTV": 0x100,
        "FCRTH": 0x1000,
        "TDLEN": 16 * COUNT,
        "RDLEN": 16 * COUNT,
        "TIPG": 10,
        "RSRPD": 64,
    }
    writes = [write(REG[name], value(name, usual)) for name, usual in registers.items()]
    ring = [memory(RX_RING, receive(0) * COUNT)] if "buffer" in zero else []
    return [*ready(), *ring, *writes, *send(made), FRAME, ("advance", 10**8), FRAME, ("advance", 10**8)]


ZEROS = (
    "PAYLEN",
    "MSS",
    "HDRLEN",
    "IPCSS",
    "IPCSO",
    "IPCSE",
    "TUCSS",
    "TUCSO",
    "address",
    "first length",
    "length",
    "legacy length",
    "CSO",
    "CSS",
    "ITR",
    "TIDV",
    "TADV",
    "RDTR",
    "RADV",
    "PBA",
    "TXDCTL",
    "RXDCTL",
    "FCRTH",
    "TDLEN",
    "RDLEN",
    "TIPG",
    "buffer",
)


def zeros() -> Iterator[Attack]:
    """Every length, count and interval 0, alone and in pairs."""
    for zero in (*((name,) for name in ZEROS), *combinations(ZEROS, 2)):
        yield Attack(" and ".join(zero), _with_zeros(frozenset(zero)), OURS)


# ------------------------------------------------------------------------------------------------- G3 changes


def _halves(kind: str) -> tuple[list[bytes], list[bytes]]:
    """A packet's descriptors before and after the change."""
    if kind == "legacy":
        return [legacy(DATA, 700, IFCS)], [legacy(DATA + 700, 700, EOP | IFCS | RS)]
    if kind == "data":
        return [context(TCP | IP, 0, 0, 0), data(DATA, 700, IFCS, options=3)], [data(DATA, 700, EOP | IFCS | RS)]
    return (
        [context(TCP | IP | TSE, 4000, 1000, 54), data(DATA, 1554, TSE | IFCS, options=3)],
        [data(DATA, 2500, TSE | EOP | IFCS | RS)],
    )


def changes() -> Iterator[Attack]:
    """Limits, modes and rings that change between two descriptors of one packet, or two buffers of one frame."""
    between: dict[str, list[Operation]] = {
        f"{name} := {value:#x}": [write(REG[name], value)]
        for name, values in {
            "TDLEN": (0, 128, 0xFFF80),
            "TDH": (0, 63, 0xFFFF),
            "TDBAL": (0x3000, BAR),
            "TDBAH": (1,),
            "TCTL": (0, TCTL_ON & ~8),
            "RCTL": (0, RCTL | 3 << 16, RCTL | 1 << 25 | 1 << 16),
            "CTRL": (0, CTRL_UP | 1 << 30, CTRL_UP | 1 << 26, CTRL_UP | 1 << 31),
            "PBA": (0, 8, 0x40, 0x7F),
            "TXDCTL": (0x0120_0000, 0),
            "RDLEN": (0, 128),
            "RDH": (0, 63, 0xFFFF),
            "RDT": (0, 5, 0xFFFF),
            "RDBAL": (0x3000, BAR),
            "RXDCTL": (0x0120_0000,),
            "VET": (0,),
        }.items()
        for value in values
    }
    between |= {f"reset {kind}": [("reset", kind)] for kind in (0, 1, 2)}
    between |= {
        "bus master off": [("write", 6, 4, 3, 2)],
        "D3": [("write", 6, 0xE0, 3, 2)],
        "cable": [("cable", False)],
    }
    smaller = context(TCP | IP | TSE, 100, 1, 255), context(TCP | IP | TSE, 0xFFFFF, 0xFFFF, 0), context(0, 0, 0, 0)
    for kind in KINDS:
        before, after = _halves(kind)
        for name, change in between.items():
            frames = ("frames", [(STATION.hex(), 4000)])
            few = write(RX.tail, 1)  # one buffer: the frame is half stored when the change comes
            yield Attack(
                f"{kind}: {name}",
                [
                    *ready(),
                    few,
                    *send(before),
                    frames,
                    *change,
                    *send(after, len(before)),
                    write(RX.tail, 40),
                    ("advance", 10**6),
                    FRAME,
                ],
                (
                    *OURS,
                    (0x3000, 16 * COUNT),
                    (2**32 + TX_RING, 16 * COUNT),
                    *(((0, RAM_END),) if change == [write(RX.low, BAR)] else ()),
                ),
            )
        for n, other in enumerate(smaller):
            yield Attack(f"{kind}: another context, {n}", [*ready(), *send([*before, other, *after])], OURS)


# ------------------------------------------------------------------------------------------------- G4 endless packets


def _piece(kind: str, length: int, command: int) -> bytes:
    if kind == "legacy":
        return legacy(DATA, length & 0xFFFF, command)
    return data(DATA, length, command | (TSE if kind == "segments" else 0))


def endless() -> Iterator[Attack]:
    """Packets whose end does not come, or comes after far too much; then an end of length 0."""
    for kind, length in product(KINDS, (0, 1, 1000, 16288, 65535, 0xFFFFF)):
        contexts = [context(TCP | IP | TSE, 0xFFFFF, 1000, 54)] if kind == "segments" else []
        pieces = [_piece(kind, length, IFCS)] * (COUNT - 1)
        rounds = [step for n in range(4) for step in send(pieces, n * (COUNT - 1) + len(contexts))]
        end = send([_piece(kind, 0, EOP | IFCS | RS)], 4 * (COUNT - 1) + len(contexts))
        yield Attack(f"{kind} of {length:#x} bytes", [*ready(), *send(contexts), *rounds, *end], OURS)


# ------------------------------------------------------------------------------------------------- G5 short packets

SHORT = (0, 1, 5, 6, 11, 12, 13, 14, 15, 17, 18, 33, 34, 41, 42, 53, 54, 59, 60)


def _short(kind: str, flags: int, options: int) -> list[bytes]:
    if kind == "legacy":
        return [
            legacy(DATA, n, flags | EOP | RS | (IC if options & 1 else 0), cso=16, css=14, special=0x123) for n in SHORT
        ]
    if kind == "data":
        return [
            context(TCP | IP, 0, 0, 0),
            *(data(DATA, n, flags | EOP | RS, options=options, special=0x123) for n in SHORT),
        ]
    made = []
    for n in SHORT:
        made += [
            context(TCP | IP | TSE, n, 7, n),
            data(DATA, n, flags | TSE, options=options, special=0x123),
            data(DATA, n, flags | TSE | EOP | RS),
        ]
    return made


def short_packets(loopback: bool = False) -> Iterator[Attack]:
    """Packets shorter than what the card wants to change in them, with every offload on and off."""
    for kind, vlan, fcs, options, padding in product(KINDS, (0, VLE), (0, IFCS), range(4), (0, 8)):
        made = _short(kind, vlan | fcs, options)
        steps = [step for at in range(0, len(made), 48) for step in send(made[at : at + 48], at)]
        rctl = RCTL | (PHY_LOOPBACK if loopback else 0)
        yield Attack(
            f"{kind}, VLE {vlan}, IFCS {fcs}, options {options}, PSP {padding}",
            [*ready(rctl, CTRL_UP | (1 << 30 if vlan else 0)), write(REG["TCTL"], TCTL_ON & ~8 | padding), *steps],
            OURS,
        )


# ------------------------------------------------------------------------------------------------- G7 parsers


def offsets() -> Iterator[Attack]:
    """Checksum start, offset and end anywhere, for frames that are one packet and for segments."""
    starts = list(product((0, 13, 255), (0, 13, 255), (0, 1, 255, 65535)))
    for options, segment in product((IXSM, TXSM, 3), (0, TSE)):
        made = []
        for n, spots in enumerate(starts):
            ip = spots if options & IXSM else (14, 24, 33)
            transport = starts[-1 - n] if options == 3 else spots if options & TXSM else (34, 50, 0)
            made.append(
                [
                    context(TCP | IP | segment, 300, 100, 54, ip, transport),
                    data(DATA, (60, 354)[segment > 0], segment | IFCS | EOP | RS, options=options),
                ]
            )
        flat = [raw for pair in made for raw in pair]
        steps = [step for at in range(0, len(flat), 60) for step in send(flat[at : at + 60], at)]
        yield Attack(f"options {options}, {'segments' if segment else 'one frame'}", [*ready(), *steps], OURS)


def truncated() -> Iterator[Attack]:
    """Frames that end at every byte of their headers; short ones as they are, and padded."""
    for n, frame in enumerate(fronts(82540)):
        refill = [write(RX.head, 0), write(RX.tail, COUNT - 1)]
        parts = [step for frames in cut_everywhere(frame) for step in (frames, *refill)]
        yield Attack(f"frame {n}", [*ready(), *parts], OURS)


# ------------------------------------------------------------------------------------------------- G8 DMA to self


def _work_registers() -> dict[str, int]:
    """Registers that start work, with a value that does."""
    return {
        "TDT": 5,
        "RDT": 5,
        "CTRL": 1 << 26 | CTRL_UP,
        "TCTL": TCTL_ON | 1 << 22,
        "RDTR": 1 << 31,
        "ICS": 0x1FFFF,
        "EERD": 1,
        "MDIC": 0x0821_1140,
        "CTRL_EXT": 1 << 13,
        "RCTL": RCTL,
        "IMS": 0x1FFFF,
        "TDH": 0,
        "TDLEN": 128,
    }


def self_dma() -> Iterator[Attack]:
    """Rings and buffers that are the card's own registers, from outside and by loopback."""
    for rctl in (RCTL, RCTL | PHY_LOOPBACK):
        for name, value in _work_registers().items():
            own = BAR + REG[name]
            frame = (value.to_bytes(4, "little") * 30).hex()
            out = [legacy(DATA, 60, IFCS | EOP | RS), legacy(own, 60, IFCS | EOP | RS), data(own, 4, EOP | IFCS | RS)]
            way = f"{name}, {'loopback' if rctl & PHY_LOOPBACK else 'wire'}: "
            yield Attack(
                way + "receive buffers",
                [
                    *ready(rctl),
                    memory(RX_RING, receive(own) * COUNT),
                    memory(DATA, bytes.fromhex(frame)),
                    ("frames", [(frame, 120)] * 3),
                    *send(out),
                ],
                OURS,
            )
            for ring, where in product((TX, RX), (own - 12, own - 8, own)):
                place = where & ~15
                steps = [
                    write(ring.low, place & 0xFFFFFFFF),
                    write(ring.length, 128),
                    write(ring.head, 0),
                    write(ring.tail, 7),
                ]
                writes = (*OURS, (0, RAM_END))  # registers, taken as addresses, may lead anywhere
                yield Attack(
                    way + f"{'transmit' if ring is TX else 'receive'} ring at {place:#x}",
                    [*ready(rctl), *steps, ("frames", [(frame, 120)] * 3), ("advance", 10**6)],
                    writes,
                )


# ------------------------------------------------------------------------------------------------- G9 loopback


def loopback() -> Iterator[Attack]:
    """Frames that come back: every length, from the very end of memory, into rings that have no room for them."""
    rings_with = {"full": COUNT - 1, "empty": 0, "one": 1}
    for (name, tail), rctl in product(rings_with.items(), (RCTL, RCTL & ~2, RCTL | 3 << 16, RCTL & ~(1 << 26))):
        made = [legacy(DATA, n, EOP | RS | IFCS) for n in LENGTHS]
        steps = [step for at in range(0, len(made), 60) for step in send(made[at : at + 60], at)]
        yield Attack(
            f"ring {name}, RCTL {rctl:#x}",
            [*ready(rctl | PHY_LOOPBACK), write(RX.tail, tail), *steps, write(RX.tail, 20), ("advance", 10**6)],
            OURS,
        )
    for n, frame in enumerate(fronts(82540)):
        page_end = sum(LAYOUT["page"])
        steps = []
        for length in range(14, len(frame) + 1):
            steps += [
                ("memory", page_end - length, frame[:length].hex()),
                *send([legacy(page_end - length, length, EOP | RS | IFCS)], length - 14),
            ]
            if length % 60 == 0:
                steps += [write(RX.head, 0), write(RX.tail, COUNT - 1)]
        yield Attack(f"frame {n} at the end of a page", [*ready(RCTL | PHY_LOOPBACK), *steps], (*OURS, LAYOUT["page"]))
    for attack in short_packets(True):
        yield Attack(f"loopback, {attack.name}", attack.operations, attack.writes)


# ------------------------------------------------------------------------------------------------- G10, G11 memory


def _honest(world: World) -> None:
    """No descriptor reports more bytes than its buffer took."""
    ring = world.buffers["ram"][RX_RING : RX_RING + 16 * COUNT].reshape(COUNT, 16)
    for raw in ring:
        if raw[12] & 1:
            reported, buffer = (
                int.from_bytes(raw[8:10].tobytes(), "little"),
                int.from_bytes(raw[:8].tobytes(), "little"),
            )
            reachable = max(0, RAM_END - buffer) if buffer < RAM_END else 0
            assert reported <= reachable, f"{reported} bytes are reported at {buffer:#x}, {reachable} are there"


def broken_memory() -> Iterator[Attack]:
    """Pointers that lead out of memory, into ROM, or to where it ends in the middle; memory that goes away."""
    for name, address in BROKEN_FAR.items():
        ends = ((address, RX_SIZE),)
        out = [
            legacy(address, 200, EOP | IFCS | RS),
            data(address, 200, EOP | IFCS | RS),
            context(TCP | IP | TSE, 1000, 100, 54),
            data(address, 1054, TSE | EOP | IFCS | RS, options=3),
            legacy(DATA, 100, 0),
            legacy(address, 200, EOP | IFCS | RS),
            legacy(DATA, 100, EOP | IFCS | RS),
        ]
        if name != "ROM":  # which can be read
            yield Attack(f"transmit buffer: {name}", [*ready(), *send(out)], OURS, no_leak)
        frames = ("frames", [(STATION.hex(), n) for n in (60, 100, 101, 1514, 4000)])
        yield Attack(
            f"receive buffer: {name}",
            [*ready(), memory(RX_RING, receive(address) * COUNT), frames],
            (*OURS, *ends),
            _honest,
        )
        for ring in (TX, RX):
            base = address & ~15
            yield Attack(
                f"{'transmit' if ring is TX else 'receive'} ring: {name}",
                [*ready(), *ring.place(base, 1024, 0, 20), frames, write(ring.tail, 21)],
                (*OURS, (base, 1024), *_wrapped(base, 1024)),
            )
    for region in ("mortal", "page"):
        for gone in (("unmap", region), ("truncate", 0)):
            base = LAYOUT[region][0]
            steps = [
                *TX.place(base, 1024),
                *RX.place(base + 1024, 1024, 0, 40),
                gone,
                write(TX.tail, 9),
                FRAME,
                ("map", region),
                write(TX.tail, 12),
                FRAME,
            ]
            yield Attack(f"{region}: {gone}", [*ready(), *steps], (*OURS, LAYOUT["page"]))


def fickle_memory() -> Iterator[Attack]:
    """Descriptors that read differently the second time; contents that are made up as they are read."""
    for region, ring, length in product(("fickle", "lazy"), (TX, RX), (128, 1024, 65536)):
        base = LAYOUT[region][0]
        writes = (*OURS, (0, RAM_END))  # what the descriptors name is all over memory
        for tail in (1, 7, length // 16 - 1):
            yield Attack(
                f"{'transmit' if ring is TX else 'receive'} ring of {length} in {region} memory, tail {tail}",
                [*ready(), *ring.place(base, length, 0, tail), FRAME, FRAME, write(ring.tail, tail - 1)],
                writes,
            )


# ------------------------------------------------------------------------------------------------- G14 timers


def timers() -> Iterator[Attack]:
    """Shortest and longest intervals, rewritten while they run, and resets of all kinds while they run."""
    names = ("ITR", "TIDV", "TADV", "RDTR", "RADV")
    for values in product((0, 1, 0xFFFF), repeat=len(names)):
        setting = [write(REG[name], value) for name, value in zip(names, values, strict=True)]
        traffic = [*send([legacy(DATA, 60, EOP | IFCS | RS | IDE)] * 8), FRAME]
        yield Attack(
            f"{dict(zip(names, values, strict=True))}",
            [
                *ready(),
                *setting,
                *traffic,
                ("advance", 1000),
                *setting,
                FRAME,
                ("advance", 10**6),
                ("read", 0, REG["ICR"], 4),
                ("advance", 10**8),
                ("reset", values[0] % 3),
                ("advance", 10**9),
            ],
            OURS,
        )


# ------------------------------------------------------------------------------------------------- G17 bus


def bus() -> Iterator[Attack]:
    """Decoding, bus mastering, power and BARs that change in the midst of traffic."""
    traffic = [*send([legacy(DATA, 60, EOP | IFCS | RS)] * 8), FRAME]
    for name, change in {
        "bus master off": ("write", 6, 4, 3, 2),
        "all off": ("write", 6, 4, 0, 2),
        "memory off": ("write", 6, 4, 5, 2),
        "D3": ("write", 6, 0xE0, 3, 2),
        "BAR 0 moved": ("write", 6, 0x10, 0x1234_0000, 4),
        "BAR 0 over memory": ("write", 6, 0x10, 0, 4),
        "BARs overlap": ("write", 6, 0x18, 0xFFFFFFFF, 4),
        "MSI to itself": ("write", 6, 0xF4, BAR & 0xFFFFFFFF, 4),
    }.items():
        for then in (("write", 6, 4, 7, 2), ("write", 6, 0xE0, 0, 2), ("reset", 1), ("poll",)):
            yield Attack(
                f"{name}, then {then}", [*ready(), *traffic, change, *traffic, then, *traffic, write(TX.tail, 30)], OURS
            )
    silent = [("write", 6, 4, 3, 2), *send([legacy(DATA, 60, EOP | IFCS | RS)] * 8), FRAME, ("advance", 10**9)]
    rings_only = ((TX_RING, 128), (RX_RING, 16 * COUNT))  # where the guest itself wrote
    yield Attack("no DMA without bus mastering", [*ready(), *silent], rings_only)


# ------------------------------------------------------------------------------------------------- calls out


def scenes(place: str) -> Iterator[tuple[str, list[Operation]]]:
    """Operations of which the last one makes the card call out (see base.Family.scenes)."""
    lazy = LAYOUT["lazy"][0]
    plain = [legacy(DATA, 60, EOP | IFCS | RS)] * 20
    segments = [context(TCP | IP | TSE, 40000, 1000, 54), data(DATA, 40054, TSE | EOP | IFCS | RS, options=3)]
    far = [context(TCP | IP | TSE, 3000, 1000, 54), data(lazy, 3054, TSE | EOP | IFCS | RS, options=3)]
    quiet: list[Operation] = [("read", 0, REG["ICR"], 4)]
    if place == "send":
        yield "plain frames", [*ready(), *quiet, *send(plain)]
        yield "segments", [*ready(), *quiet, *send(segments)]
    elif place == "irq":
        yield "sent", [*ready(), *quiet, *send(plain)]
        yield "received", [*ready(), *quiet, ("frames", [(STATION.hex(), 100)] * 20)]
        yield "looped back", [*ready(RCTL | PHY_LOOPBACK), *quiet, *send(plain)]
    elif place == "read":
        yield "data", [*ready(), *quiet, *send(far)]
        yield "transmit ring", [*ready(), *quiet, *TX.place(lazy, 1024, 0, 20)]
        yield "receive ring", [*ready(), *quiet, *RX.place(lazy, 1024, 0, 20), ("frames", [(STATION.hex(), 100)] * 20)]
    else:
        ring = memory(RX_RING, receive(lazy) * COUNT)
        yield "buffers", [*ready(), *quiet, ring, ("frames", [(STATION.hex(), 5000)] * 4)]
        yield "transmit ring", [*ready(), *quiet, *TX.place(lazy, 1024, 0, 20)]
        yield "looped back", [*ready(RCTL | PHY_LOOPBACK), *quiet, ring, *send(plain)]


def far_rings() -> Iterator[list[Operation]]:
    """Rings in memory behind functions (see base.Family.far_rings)."""
    lazy = LAYOUT["lazy"][0]
    for control in (0, 0x0108_0000):
        ring = memory(lazy + 1024, b"".join(receive(RX_BUFFERS + RX_SIZE * n) for n in range(COUNT)))
        rings = [*TX.place(lazy, 1024), *RX.place(lazy + 1024, 1024, 0, COUNT - 1)]
        yield [
            *ready(),
            write(REG["TXDCTL"], control),
            write(REG["RXDCTL"], control),
            write(REG["RDTR"], 9),
            ring,
            *rings,
        ]


LISTS = by_name(
    rings, zeros, changes, endless, short_packets, offsets, truncated, self_dma, loopback, broken_memory,
    fickle_memory, timers, bus,
)  # fmt: skip
