"""What has been done to cards like the RTL8139 to break them, as set-ups for tests/robustness/test_lists.py.

Every set-up begins with `ready` (C mode: four buffers, a receive buffer of 8 KiB) or `ready_plus` (C+ mode: rings of 64
descriptors, receive buffers of 2048 bytes); on a plain RTL8139C the latter leads to C mode without what C+ alone has.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations, pairwise, product
from random import Random

from nicemu.devices.rtl8139 import DISTURBANCES

from ..frames import LENGTHS, front
from ..generator import Operation
from ..world import LAYOUT
from .base import Attack
from .common import BAR, FRAME, PEER, RAM_END, STATION, by_name, cut_everywhere, fronts, memory
from .rtl8139_registers import (
    CONFIG_WRITE,
    CPCR_ON,
    EOR,
    FS,
    HPQ,
    IPCS,
    LGSEN,
    LOOPBACK,
    LS,
    NPQ,
    OWN,
    RCR_ON,
    RE_TE,
    REG,
    RST,
    TAGC,
    TCPCS,
    TCR_ON,
    UDPCS,
    descriptor,
    packet,
    place,
    receive,
    send_c,
    write,
)

__all__ = ["LISTS", "far_rings", "scenes"]

TX_RING, HIGH_RING, RX_RING, COUNT = 0x1000, 0x1800, 0x2000, 64
RX_BUFFERS, RX_SIZE, DATA, RX_BUFFER = 0x20000, 2048, 0x60000, 0x80000
BEYOND = 0x4800  # what a packet may go on beyond the receive buffer with WRAP
OURS = (
    (TX_RING, 16 * COUNT),
    (HIGH_RING, 16 * COUNT),
    (RX_RING, 16 * COUNT),
    (RX_BUFFERS, RX_SIZE * COUNT),
    (RX_BUFFER, 0x10000 + BEYOND),
)
HEADERS = STATION + PEER + b"\x08\0\x45\0\x0f\xff" + bytes(5) + b"\x06" + bytes(22) + b"\x50"


def _begin() -> list[Operation]:
    return [
        ("write", 6, 4, 7, 2),
        ("advance", 3 * 10**6),  # the EEPROM is read
        write("CR", RST),
        ("advance", 3 * 10**9),  # the link comes up
        memory(DATA, HEADERS),
    ]


def _enable(rcr: int, tcr: int) -> list[Operation]:
    return [
        write("RBSTART", RX_BUFFER),
        write("CR", RE_TE),
        write("RCR", rcr),
        write("TCR", tcr),
        write("ISR", 0xFFFF),
        write("IMR", 0xFFFF),
    ]


def ready(rcr: int = RCR_ON, tcr: int = TCR_ON) -> list[Operation]:
    """What a driver does in C mode."""
    return [*_begin(), *_enable(rcr, tcr)]


def ready_plus(rcr: int = RCR_ON, tcr: int = TCR_ON, buffers: int = RX_BUFFERS, size: int = RX_SIZE) -> list[Operation]:
    """What a driver does in C+ mode."""
    ring = b"".join(receive(buffers + RX_SIZE * n, size, n == COUNT - 1) for n in range(COUNT))
    return [
        *_begin(),
        write("CPCR", CPCR_ON),
        memory(RX_RING, ring),
        memory(TX_RING, bytes(16 * COUNT)),
        memory(HIGH_RING, bytes(16 * COUNT)),
        *place("TNPDS", TX_RING),
        *place("THPDS", HIGH_RING),
        *place("RDSAR", RX_RING),
        *_enable(rcr, tcr),
    ]


def send(descriptors: list[bytes], at: int = 0, ring: int = TX_RING) -> list[Operation]:
    """Puts descriptors into a ring and rings the bell."""
    raw = []
    for n, each in enumerate(descriptors):
        index = (at + n) % COUNT
        opts1 = int.from_bytes(each[:4], "little") | (EOR if index == COUNT - 1 else 0)
        raw.append(memory(ring + 16 * index, opts1.to_bytes(4, "little") + each[4:]))
    return [*raw, write("TPPOLL", NPQ if ring == TX_RING else HPQ)]


def kick(plus: bool, count: int = 4, address: int = DATA, length: int = 100) -> list[Operation]:
    """Packets in either mode."""
    if plus:
        return send([packet(address, length)] * count)
    return [op for n in range(count) for op in send_c(n % 4, address, length)]


# ------------------------------------------------------------------------------------------------- G1 rings


def rings() -> Iterator[Attack]:
    """Where buffers and rings lie, and where CAPR stands; then a kick and frames."""
    bases = {
        "memory": 0x8000,
        "odd memory": 0x8004,
        "the end of memory": RAM_END - 256,
        "nothing": 0x70_0000,
        "the card": BAR,
        "2**32": 2**32 - 256,
        "2**64": 2**64 - 256,
        "invented memory": LAYOUT["lazy"][0],
        "ROM": LAYOUT["rom"][0],
    }
    for (name, base), rblen, wrap in product(bases.items(), range(4), (0, 0x80)):
        low = base & 0xFFFFFFFF
        yield Attack(
            f"receive buffer {rblen} in {name}, WRAP {wrap:#x}",
            [
                *ready(RCR_ON | rblen << 11 | wrap),
                write("RBSTART", low),
                *[("frames", [(STATION.hex(), 1500)] * 8)] * 6,
                *(
                    op
                    for capr in (0x1000, 0x1FF0, 0xFFF0, 0x3333, 0x8000)
                    for op in (write("CAPR", capr), ("frames", [(STATION.hex(), 4000)] * 4))
                ),
            ],
            (*OURS, (low, (8192 << rblen) + BEYOND), *(((0, BEYOND + 0x10000),) if low > 2**31 else ())),
        )
    for (name, base), which, end in product(bases.items(), ("TNPDS", "THPDS", "RDSAR"), (0, 3, 63, None)):
        filled = b"".join(
            (receive(RX_BUFFERS + RX_SIZE * n) if which == "RDSAR" else packet(DATA, 60)) for n in range(COUNT)
        )
        if end is not None:
            last = int.from_bytes(filled[16 * end : 16 * end + 4], "little") | EOR
            filled = filled[: 16 * end] + last.to_bytes(4, "little") + filled[16 * end + 4 :]
        room = 256 if base >= RAM_END - 256 else 16 * COUNT
        yield Attack(
            f"{which} in {name}, EOR {end}",
            [
                *ready_plus(),
                memory(base & ~255, filled[: 32 if base == BAR else room]),
                *place(which, base),
                write("TPPOLL", NPQ | HPQ),
                FRAME,
                ("advance", 10**6),
                FRAME,
            ],
            (*OURS, (base & ~255, 16 * COUNT), (0, 16 * COUNT) if base > 2**63 else (base & ~255, 16)),
        )


# ------------------------------------------------------------------------------------------------- G2 zeros

ZEROS = (
    "MSS",
    "address",
    "length",
    "first length",
    "buffer size",
    "buffer address",
    "TSD",
    "TSAD0",
    "RBSTART",
    "TIMERINT",
    "MULINT",
    "ETTHR",
    "options",
    "TPPOLL",
)


def zeros() -> Iterator[Attack]:
    """Every length, count and interval 0, alone and in pairs."""
    for zero in (*((name,) for name in ZEROS), *combinations(ZEROS, 2)):

        def value(name: str, usual: int, zero: tuple[str, ...] = zero) -> int:
            return 0 if name in zero else usual

        options = value("options", LGSEN) | value("MSS", 1000) << 16
        pieces = [
            descriptor(value("address", DATA), OWN | FS | options | value("first length", 54)),
            descriptor(DATA, OWN | LS | options | value("length", 3000)),
        ]
        buffer = receive(value("buffer address", RX_BUFFERS), value("buffer size", RX_SIZE))
        both = [
            *send(pieces),
            memory(RX_RING, buffer * COUNT),
            FRAME,
            write("TPPOLL", value("TPPOLL", NPQ)),
            *(write(name, value(name, 1000)) for name in ("TIMERINT", "MULINT", "ETTHR")),
        ]
        c_mode = [write("RBSTART", value("RBSTART", RX_BUFFER)), *send_c(0, value("TSAD0", DATA), value("TSD", 100))]
        for begin in (ready(), ready_plus()):
            yield Attack(
                " and ".join(zero),
                [*begin, *both, *c_mode, FRAME, ("advance", 10**8), FRAME, ("advance", 10**8)],
                (*OURS, (0, 0x10000 + BEYOND)),
            )


# ------------------------------------------------------------------------------------------------- G3 changes


def changes() -> Iterator[Attack]:
    """Limits, modes and rings that change between two descriptors of one packet, or two buffers of one frame."""
    between: dict[str, list[Operation]] = {
        f"{name} := {value:#x}": [write(name, value)]
        for name, values in {
            "CR": (0, 4, 8, RST),
            "RCR": (0, RCR_ON | 3 << 11, RCR_ON | 0x80),
            "TCR": (TCR_ON | LOOPBACK, TCR_ON | 1 << 16),
            "CPCR": (0, 1, 2, CPCR_ON & ~0x40),
            "TNPDSL": (0x3000, BAR),
            "TNPDSH": (1,),
            "RDSARL": (0x3000, BAR),
            "RBSTART": (0x3000, BAR),
            "CAPR": (0, 0x1000, 0xFFF0),
            "TSAD0": (0, BAR),
            "TSD": (0, 0x2000, 0x1FFF),
        }.items()
        for value in values
    }
    between |= {f"reset {kind}": [("reset", kind)] for kind in (0, 1, 2)}
    between |= {
        "bus master off": [("write", 6, 4, 3, 2)],
        "D3": [("write", 6, 0x54, 3, 2)],
        "cable": [("cable", False)],
    }
    everything = ((0, RAM_END),)
    for options, plus in product((0, IPCS | TCPCS, LGSEN | 100 << 16), (False, True)):
        first = [descriptor(DATA, OWN | FS | options | 700), descriptor(DATA, options | 700)]
        rest = [descriptor(DATA, OWN | options | 700), descriptor(DATA + 700, OWN | LS | options | 700)]
        for name, change in between.items():
            frames = ("frames", [(STATION.hex(), 4000)] * 3)
            halves = (send(first), send(rest, 1)) if plus else (kick(False, 1), kick(False, 3))
            yield Attack(
                f"options {options:#x}, C+ {plus}: {name}",
                [
                    *(ready_plus(size=64) if plus else ready()),
                    ("room", 1),
                    *halves[0],
                    frames,
                    *change,
                    *halves[1],
                    ("room", None),
                    ("advance", 10**6),
                    FRAME,
                ],
                (
                    *OURS,
                    (0x3000, 0x3000),
                    (0x1FC0, 64),
                    (2**32 + TX_RING, 16 * COUNT),
                    *(everything if name[:4] in ("RCR ", "CPCR") else ()),
                ),
            )


# ------------------------------------------------------------------------------------------------- G4 endless packets


def endless() -> Iterator[Attack]:
    """Packets whose end does not come, or comes after far too much; rings of few descriptors; then an end."""
    for options, length, ring in product(
        (0, IPCS | TCPCS, LGSEN | 1000 << 16, LGSEN | 1 << 16), (0, 1, 1000, 65535), (1, 2, 63, 64)
    ):
        pieces = [descriptor(DATA, OWN | (FS if n == 0 else 0) | options | length) for n in range(ring)]
        pieces[-1] = descriptor(DATA, OWN | EOR | (FS if ring == 1 else 0) | options | length)
        end = descriptor(DATA, OWN | EOR | LS | (FS if ring == 1 else 0) | options)
        yield Attack(
            f"options {options:#x}, {ring} descriptors of {length:#x} bytes",
            [
                *ready_plus(),
                *send(pieces),
                *[write("TPPOLL", NPQ)] * 3,
                memory(TX_RING + 16 * (ring - 1), end),
                *[write("TPPOLL", NPQ)] * 3,
            ],
            OURS,
        )


# ------------------------------------------------------------------------------------------------- G5 short packets

SHORT = (1, 5, 6, 11, 12, 13, 14, 15, 17, 18, 33, 34, 41, 42, 53, 54, 59, 60)


def short_packets(loopback: bool = False) -> Iterator[Attack]:
    """Packets shorter than what the card wants to change in them, with every offload on and off."""
    tcr = TCR_ON | (LOOPBACK if loopback else 0)
    options = (0, IPCS, TCPCS, UDPCS, IPCS | TCPCS | UDPCS, LGSEN | 7 << 16)
    for each, opts2, crc in product(options, (0, TAGC | 0x123), (0, 1 << 16)):
        made = [packet(DATA, n, each, opts2) for n in (0, *SHORT)]
        made += [half for n in SHORT for half in (
            descriptor(DATA, OWN | FS | each | n // 2, opts2), descriptor(DATA + n // 2, OWN | LS | each | n - n // 2)
        )]  # fmt: skip
        steps = [step for at in range(0, len(made), 48) for step in send(made[at : at + 48], at)]
        plain = [op for n, size in enumerate((0, *SHORT)) for op in send_c(n % 4, DATA, size)]
        for begin, work in ((ready_plus(tcr=tcr | crc), steps), (ready(tcr=tcr | crc), plain)):
            yield Attack(f"options {each:#x}, {opts2:#x}, CRC {crc:#x}", [*begin, *work], OURS)


# ------------------------------------------------------------------------------------------------- G7 parsers


def offsets() -> Iterator[Attack]:
    """Headers of every kind under every offload, cut into pieces anywhere."""
    random = Random(8139)
    for options in (IPCS, IPCS | TCPCS, IPCS | UDPCS, LGSEN | 100 << 16, LGSEN | 1 << 16):
        for n in range(40):
            frame = front(random, STATION) + bytes(random.randrange(200))
            cuts = sorted({0, len(frame), *(random.randrange(len(frame) + 1) for _ in range(random.randrange(5)))})
            made = []
            for begin, end in pairwise(cuts):
                flags = (FS if begin == 0 else 0) | (LS if end == len(frame) else 0)
                made.append(descriptor(DATA + begin, OWN | flags | options | end - begin, TAGC if n & 1 else 0))
            yield Attack(f"options {options:#x}, frame {n}", [*ready_plus(), memory(DATA, frame), *send(made)], OURS)


def truncated() -> Iterator[Attack]:
    """Received frames that end at every byte of their headers; short ones as they are, and padded."""
    for n, frame in enumerate(fronts(81390, 40)):
        ring = memory(RX_RING, b"".join(receive(RX_BUFFERS + RX_SIZE * i, RX_SIZE, i == 63) for i in range(COUNT)))
        for plus in (False, True):
            again = [ring] if plus else [write("CR", 4), write("CR", RE_TE)]
            parts = [step for frames in cut_everywhere(frame) for step in (frames, *again)]
            yield Attack(f"frame {n}, C+ {plus}", [*(ready_plus() if plus else ready()), *parts], OURS)


# ------------------------------------------------------------------------------------------------- G8 DMA to self


def self_dma() -> Iterator[Attack]:
    """Rings, buffers and dumps that are the card's own registers, from outside and by loopback."""
    registers = ("TSD", "TSAD0", "RBSTART", "CR", "CAPR", "ISR", "RCR", "CR9346", "BMCR", "TPPOLL", "CPCR", "RDSARL")
    for tcr, name, plus in product((TCR_ON, TCR_ON | LOOPBACK), registers, (False, True)):
        own = BAR + REG[name] // 4 * 4
        buffers = [memory(RX_RING, receive(own, 64) * COUNT)] if plus else [write("RBSTART", own)]
        values = {"CR": RST << 24, "TPPOLL": NPQ << 8, "CPCR": CPCR_ON, "TSD": 60}
        frame = (STATION + values.get(name, 0).to_bytes(4, "little") * 20).hex()
        dump = [write("DTCCRH", 0), write("DTCCRL", BAR | 8)] if plus else []
        yield Attack(
            f"{name}, TCR {tcr:#x}, C+ {plus}",
            [
                *(ready_plus(tcr=tcr) if plus else ready(tcr=tcr)),
                *buffers,
                ("frames", [(frame, 80)] * 3),
                *kick(plus, 4, own, 60),
                *dump,
                *([*place("TNPDS", BAR), write("TPPOLL", NPQ)] if plus else []),
                FRAME,
            ],
            ((0, RAM_END),),  # registers that DMA has written lead anywhere
        )


# ------------------------------------------------------------------------------------------------- G9 loopback


def loopback() -> Iterator[Attack]:
    """Short packets that come back; packets that come back to where they lie; a ring without room."""
    yield from short_packets(loopback=True)
    for length, plus in product(LENGTHS, (False, True)):
        tcr = TCR_ON | LOOPBACK
        if plus:
            begin = [*ready_plus(tcr=tcr), memory(RX_RING, receive(DATA + 4, 2048) * COUNT)]
        else:
            begin = [*ready(tcr=tcr), write("RBSTART", DATA)]
        far = RAM_END - length
        work = [*kick(plus, 8, DATA, length), *kick(plus, 4, far, length)]
        yield Attack(f"{length} bytes, C+ {plus}", [*begin, *work], (*OURS, (DATA, 0x10000 + BEYOND)))


# ------------------------------------------------------------------------------------------------- G10, G11 memory


def broken_memory() -> Iterator[Attack]:
    """Packets and buffers that are not in memory, or only in part."""
    places = (
        0x70_0000,
        RAM_END - 1,
        RAM_END - 59,
        2**32 - 30,
        2**64 - 30,
        LAYOUT["rom"][0] + 0xFFFF,
        LAYOUT["page"][0] - 4,
        LAYOUT["page"][0] + 4090,
        LAYOUT["mortal"][0],
    )
    for address, plus in product(places, (False, True)):
        buffers = [memory(RX_RING, receive(address, 1024) * COUNT)] if plus else [write("RBSTART", address & ~3)]
        yield Attack(
            f"{address:#x}, C+ {plus}",
            [
                *(ready_plus() if plus else ready()),
                ("truncate", 100),
                *buffers,
                *kick(plus, 4, address, 60),
                *([] if not plus else send([packet(address, 1000, LGSEN | 100 << 16)], 4)),
                *[FRAME] * 3,
            ],
            (*OURS, (address & 2**32 - 4, 0x10000), (address, 1024), (0, 0x10000)),
        )


def fickle_memory() -> Iterator[Attack]:
    """Descriptors and data that are something else whenever they are read."""
    fickle = LAYOUT["fickle"][0]
    for at, which in product(range(0, 0x2000, 0x100), ("TNPDS", "THPDS", "RDSAR")):
        yield Attack(
            f"{which} at {at:#x}",
            [*ready_plus(), *place(which, fickle + at), write("TPPOLL", NPQ | HPQ), FRAME, FRAME],
            ((0, RAM_END),),
        )
    for length in (60, 600, 1500, 5000):
        for plus in (False, True):
            begin = ready_plus() if plus else ready()
            yield Attack(f"data, {length}", [*begin, *kick(plus, 4, fickle, length)], OURS)


# ------------------------------------------------------------------------------------------------- what a wire does


def disturbances() -> Iterator[Attack]:
    """What can happen to packets in both modes, at 10 and at 100 Mb/s; aborts that are cleared late, twice, never,
    or when their descriptor was used again, with a wire that takes nothing in between.
    """
    abort: list[Operation] = [write("TCR", TCR_ON | 1)]
    after: dict[str, list[Operation]] = {
        "nothing": [],
        "CLRABT": abort,
        "CLRABT twice": [*abort, *abort],
        "used again": [*kick(False), *abort],
        "TE": [write("CR", 8), write("CR", RE_TE), *abort],
        "RST": [write("CR", RST), *abort],
        "C+": [*place("TNPDS", TX_RING), write("CPCR", 1), *abort, write("TPPOLL", NPQ)],
        "a full wire": [("room", 0), *abort, ("room", None), ("room", 1), *abort],
        "snapshot": [("snapshot",), *abort, ("migrate",)],
        "no memory": [write("TSAD0", 0x70_0000), *abort],
    }
    large = [packet(DATA, 3000, LGSEN | 500 << 16)]
    for n, ((name, then), what) in enumerate(product(after.items(), DISTURBANCES)):
        bmcr = (0, 0x2000)[n & 1]
        for plus in (False, True):
            yield Attack(
                f"{what}, BMCR {bmcr:#x}, C+ {plus}, {name}",
                [
                    *(ready_plus(RCR_ON | 0x20) if plus else ready(RCR_ON | 0x20)),
                    write("CR9346", CONFIG_WRITE),
                    write("BMCR", bmcr),
                    ("advance", 3 * 10**9),
                    ("disturb", what, 3),
                    *kick(plus),
                    *(send(large, 8) if plus else []),
                    *[FRAME] * 2,
                    *then,
                    *kick(plus, 2),
                    ("advance", 10**7),
                    *[FRAME] * 2,
                ],
                OURS,
            )


# ------------------------------------------------------------------------------------------------- large sends


def large_sends() -> Iterator[Attack]:
    """Headers whose lengths do not fit, with every MSS that is an edge; a wire that takes some of the frames, and what
    becomes of the packet while it waits.
    """
    kept = HEADERS[:46]
    heads = {f"data offset {n}": kept + bytes([n << 4]) for n in range(16)}
    heads |= {f"IHL {n}": HEADERS[:14] + bytes([0x40 | n]) + HEADERS[15:] for n in range(16)}
    heads |= {"a fragment": HEADERS[:20] + b"\x20\x01" + HEADERS[22:], "UDP": HEADERS[:23] + b"\x11" + HEADERS[24:]}
    heads |= {
        "IPv6": HEADERS[:12] + b"\x86\xdd\x60" + HEADERS[15:],
        "tagged": HEADERS[:12] + b"\x81\0\0\1" + HEADERS[12:],
    }
    for (name, head), mss, length in product(heads.items(), (0, 7, 0x7FF), (53, 55, 115, 700)):
        yield Attack(
            f"{name}, MSS {mss}, {length} bytes",
            [*ready_plus(), memory(DATA, head), *send([packet(DATA, length, LGSEN | mss << 16)])],
            OURS,
        )
    between: dict[str, list[Operation]] = {
        "nothing": [],
        "shorter": [memory(TX_RING, packet(DATA, 60, LGSEN | 100 << 16))],
        "another MSS": [memory(TX_RING, packet(DATA, 9000, LGSEN | 7 << 16))],
        "no large send": [memory(TX_RING, packet(DATA, 9000))],
        "not the chip's": [memory(TX_RING, bytes(16))],
        "other headers": [memory(DATA, bytes(60))],
        "TNPDS": place("TNPDS", TX_RING),
        "TE": [write("CR", 8), write("CR", RE_TE)],
        "collisions": [("disturb", "excessive-collisions", 1)],
        "snapshot": [("snapshot",), ("migrate",)],
    }
    for (name, change), taken, options in product(between.items(), (0, 1, 64, 65), (0, TAGC | 1)):
        yield Attack(
            f"{taken} frames, then {name}, {options:#x}",
            [
                *ready_plus(),
                write("CR9346", CONFIG_WRITE),
                write("BMCR", 0x2000),
                ("advance", 3 * 10**9),
                ("room", taken),
                *send([packet(DATA, 9000, LGSEN | 100 << 16, options), packet(DATA, 60)]),
                ("advance", 10**7),
                *change,
                ("room", None),
                write("TPPOLL", NPQ),
                ("advance", 10**9),
            ],
            OURS,
        )


# ------------------------------------------------------------------------------------------------- G14 timers


def timers() -> Iterator[Attack]:
    """Shortest and longest intervals of TIMERINT, PAUSE and what takes time."""
    pause = b"\x01\x80\xc2\0\0\x01" + bytes(6) + b"\x88\x08\0\x01"
    for value, quanta in product((0, 1, 2, 33, 0x7FFFFFFF, 0xFFFFFFFF), (0, 1, 0xFFFF)):
        yield Attack(
            f"TIMERINT {value:#x}, PAUSE {quanta:#x}",
            [
                *ready(),
                write("TIMERINT", value),
                write("TCTR", 0),
                ("frames", [((pause + quanta.to_bytes(2, "big")).hex(), 60)]),
                *kick(False),
                ("advance", 1),
                ("advance", 10**6),
                write("TIMERINT", 0),
                ("advance", 10**9),
            ],
            OURS,
        )


# ------------------------------------------------------------------------------------------------- G17 the bus


def bus() -> Iterator[Attack]:
    """Decoding, bus mastering, power states and BARs in the midst of traffic."""
    for command, power, plus in product((0, 1, 2, 3, 4, 5, 6, 7, 0x407), (0, 3), (False, True)):
        yield Attack(
            f"COMMAND {command:#x}, D{power}, C+ {plus}",
            [
                *(ready_plus() if plus else ready()),
                *kick(plus),
                ("write", 6, 4, command, 2),
                ("write", 6, 0x54, power, 2),
                *kick(plus),
                FRAME,
                ("write", 6, 0x14, 0xFFFFFFFF, 4),
                ("write", 6, 0x54, 0, 2),
                ("write", 6, 4, 7, 2),
                ("advance", 10**7),
                FRAME,
            ],
            OURS,
        )


# ------------------------------------------------------------------------------------------------- scenes


def scenes(place_: str, plus: bool) -> Iterator[tuple[str, list[Operation]]]:
    """Operations whose last one makes the card call out (see base.Family.scenes)."""
    lazy = LAYOUT["lazy"][0]
    frames: Operation = ("frames", [(STATION.hex(), 100)] * 20)
    looped = TCR_ON | LOOPBACK
    if place_ == "send":
        yield "C mode", [*ready(), *kick(False, 1)]
    elif place_ == "irq":
        yield "sent", [*ready(), *kick(False, 1)]
        yield "received", [*ready(), frames]
        yield "looped back", [*ready(tcr=looped), *kick(False, 1)]
    elif place_ == "read":
        yield "data", [*ready(), *send_c(0, lazy, 100)]
    else:
        yield "buffer", [*ready(), write("RBSTART", lazy), frames]
    if not plus:
        return
    if place_ == "send":
        yield "C+ mode", [*ready_plus(), *kick(True)]
        yield "large send", [*ready_plus(), *send([packet(DATA, 3000, LGSEN | 500 << 16)])]
    elif place_ == "irq":
        yield "sent, C+", [*ready_plus(), *kick(True)]
        yield "received, C+", [*ready_plus(), frames]
        yield "looped back, C+", [*ready_plus(tcr=looped), *kick(True)]
    elif place_ == "read":
        yield "data, C+", [*ready_plus(), *kick(True, address=lazy)]
        stop = memory(lazy + 16 * 20, descriptor(0, 0))
        yield "transmit ring", [*ready_plus(), stop, *place("TNPDS", lazy), write("TPPOLL", NPQ)]
        ring = memory(lazy, receive(RX_BUFFERS) * COUNT)
        yield "receive ring", [*ready_plus(), ring, *place("RDSAR", lazy), ("frames", [(STATION.hex(), 60)] * 20)]
    else:
        yield "buffers", [*ready_plus(), memory(RX_RING, receive(lazy) * COUNT), frames]
        yield "transmit ring", [*ready_plus(), *place("TNPDS", lazy), write("TPPOLL", NPQ)]


def far_rings(plus: bool) -> Iterator[list[Operation]]:
    """Rings and buffers in memory behind functions (see base.Family.far_rings)."""
    lazy = LAYOUT["lazy"][0]
    for _ in range(1 if plus else 3):  # random accesses soon move the one address that there is
        yield [*ready(), write("RBSTART", lazy), write("TSAD0", lazy)]
    if plus:
        ring = memory(lazy + 1024, b"".join(receive(RX_BUFFERS + RX_SIZE * n, RX_SIZE, n == 63) for n in range(COUNT)))
        yield [*ready_plus(), ring, *place("TNPDS", lazy), *place("RDSAR", lazy + 1024)]


def is_plus(attack: Attack) -> bool:
    """Whether it begins with C+ mode."""
    return ("write", 1, REG["CPCR"], CPCR_ON, 2) in attack.operations[:8]


LISTS = by_name(
    rings, zeros, changes, endless, short_packets, offsets, truncated, self_dma, loopback, broken_memory,
    fickle_memory, disturbances, large_sends, timers, bus,
)  # fmt: skip
