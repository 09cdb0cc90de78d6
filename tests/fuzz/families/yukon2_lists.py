"""What can be done to an 88E8057 to break it, as set-ups for tests/robustness/test_lists.py.

Every set-up begins with `ready`: 64 list elements in each list, receive buffers of 2048 bytes, a status list of 256
elements, both directions on.
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
from .yukon2_registers import (
    ADDR64,
    BUFFER,
    CALSUM,
    EOP,
    FORCE,
    LARGESEND,
    LE,
    LOOP,
    LRGLEN,
    PACKET,
    REG,
    RX,
    RX_ENA,
    START,
    STRIP_AND_INSERT,
    SUM,
    TAG,
    TX,
    TX_ENA,
    VLAN,
    WR_SUM,
    le,
    write,
)

if TYPE_CHECKING:
    pass

__all__ = ["LISTS", "far_rings", "ready", "scenes"]

TX_RING, RX_RING, STATUS, COUNT, STATUS_COUNT = 0x1000, 0x2000, 0x3000, 64, 256
RX_BUFFERS, RX_SIZE, DATA = 0x20000, 2048, 0x60000
OURS = ((STATUS, LE * STATUS_COUNT), (RX_BUFFERS, RX_SIZE * COUNT))
HEADERS = STATION + PEER + b"\x08\0\x45" + bytes(8) + b"\x06" + bytes(22) + b"\x50" + bytes(7)
BOTH = RX_ENA | TX_ENA


def buffers(first: int = RX_BUFFERS, size: int = RX_SIZE) -> bytes:
    """A receive list full of buffers."""
    return b"".join(le(PACKET, first + RX_SIZE * n, size) for n in range(COUNT))


def status(base: int = STATUS, last: int = STATUS_COUNT - 1) -> list[Operation]:
    """The status unit's list; no timer runs."""
    return [
        write("STAT_CTRL", 1),
        write("STAT_CTRL", 2),
        write("STAT_LIST_ADDR_LO", base),
        write("STAT_LIST_ADDR_HI", base >> 32),
        write("STAT_LAST_IDX", last),
        write("STAT_CTRL", 8),
    ]


def ready(control: int = BOTH, receive: bytes | None = None) -> list[Operation]:
    """What a driver does."""
    return [
        ("write", 6, 4, 7, 2),
        write("B0_CTST", 2),
        write("B0_CTST", 8),
        write("GPHY_CTRL", 1),
        write("GPHY_CTRL", 2),
        ("advance", 3 * 10**9),  # the link comes up
        write("GMAC_CTRL", 2),
        *(write("GM_SRC_ADDR_1", int.from_bytes(STATION[2 * n : 2 * n + 2], "little"), n) for n in range(3)),
        write("GM_RX_CTRL", 1 << 13),
        write("GM_SERIAL_MODE", 0x31E),
        write("RX_GMF_CTRL", 2),
        write("RX_GMF_CTRL", 8),
        write("RX_GMF_CTRL", STRIP_AND_INSERT),
        write("TX_GMF_CTRL", 2),
        write("TX_GMF_CTRL", 8),
        write("TX_GMF_CTRL", STRIP_AND_INSERT),
        *status(),
        memory(RX_RING, buffers() if receive is None else receive),
        memory(DATA, HEADERS),
        *TX.place(TX_RING, COUNT - 1),
        *RX.place(RX_RING, COUNT - 1, COUNT - 1),
        write("R1_CSR", 1 << 13),
        write("GM_GP_CTRL", control),
        write("B0_HWE_IMSK", 0x3F),
        write("B0_IMSK", 0xC000001F),
    ]


def send(elements: list[bytes], at: int = 0) -> list[Operation]:
    """Puts list elements into the transmit list and rings the bell."""
    raw = [memory(TX_RING + LE * ((at + n) % COUNT), each) for n, each in enumerate(elements)]
    return [*raw, TX.put((at + len(elements)) % COUNT)]


def rounds(elements: list[bytes]) -> list[Operation]:
    """All of them, as many at a time as the list holds."""
    return [step for at in range(0, len(elements), 60) for step in send(elements[at : at + 60], at)]


PLAIN = le(PACKET, DATA, 60, EOP)
LARGE = [le(LRGLEN, 1054), le(LARGESEND, DATA, 4054, EOP)]


# ------------------------------------------------------------------------------------------------- G1 lists


def _span(base: int, last: int) -> tuple[tuple[int, int], ...]:
    size = LE * (last + 1)
    wrapped = ((0, base + size - 2**64),) if base + size > 2**64 else ()
    return ((base, size), *wrapped)


def rings() -> Iterator[Attack]:
    """Where lists lie, how long they are, where GET and PUT stand; then a kick and a frame."""
    bases = {
        "memory": 0x8000,
        "the end of memory": RAM_END - 16,
        "nothing": 0x70_0000,
        "the card": BAR,
        "2**32": 2**32 - 32,
        "2**64": 2**64 - 32,
        "odd memory": LAYOUT["lazy"][0],
        "ROM": LAYOUT["rom"][0],
        "an odd address": 0x8003,
    }
    for (place, base), last in product(bases.items(), (0, 1, 2, 7, 0x17F, 0xFFF)):
        filled = le(ADDR64) + b"".join(le(PACKET, RX_BUFFERS + RX_SIZE * n, 60, EOP) for n in range(7))
        content = memory(base, filled[: 16 if base == RAM_END - 16 else 32 if base > BAR else 64])
        for put in sorted({0, 1, last, last + 1, 5, 0xFFF}):
            for name, ring in (("transmit", TX), ("receive", RX)):
                yield Attack(
                    f"{name} list of {last + 1} in {place}, up to {put}",
                    [*ready(), content, *ring.place(base, last, put & 0xFFF), FRAME, ring.put(0), FRAME],
                    OURS,
                )
        yield Attack(
            f"status list of {last + 1} in {place}",
            [*ready(), *status(base, last), *send([PLAIN] * 20), FRAME, FRAME],
            (*OURS, *_span(base, last)),
        )


# ------------------------------------------------------------------------------------------------- G2 zeros

ZEROS = (
    "LRGLEN", "start", "place", "length", "first length", "tag", "buffer",
    "XA1_PREF_LAST_IDX", "R1_PREF_LAST_IDX", "STAT_LAST_IDX", "STAT_TX_IDX_TH", "STAT_FIFO_WM", "STAT_FIFO_ISR_WM",
    "STAT_LEV_TIMER_INI", "STAT_TX_TIMER_INI", "STAT_ISR_TIMER_INI", "B2_IRQM_INI", "RX_GMF_TR_THR", "GM_SERIAL_MODE",
    "RX_GMF_VLAN", "TX_GMF_VLAN",
)  # fmt: skip


def _with_zeros(zero: frozenset[str]) -> list[Operation]:
    def value(name: str, usual: int) -> int:
        return 0 if name in zero else usual

    made = [
        le(LRGLEN | 2, value("LRGLEN", 1054), value("tag", 0x0520)),
        le(SUM, value("start", 34) << 16 | value("place", 50), 0, 1),
        le(LARGESEND, DATA, value("first length", 54), VLAN | CALSUM | WR_SUM),
        le(BUFFER, DATA, value("length", 3000), EOP),
        le(PACKET, DATA, value("length", 100), EOP | VLAN | CALSUM | WR_SUM),
    ]
    usual = {
        "XA1_PREF_LAST_IDX": COUNT - 1, "R1_PREF_LAST_IDX": COUNT - 1, "STAT_LAST_IDX": STATUS_COUNT - 1,
        "STAT_TX_IDX_TH": 10, "STAT_FIFO_WM": 16, "STAT_FIFO_ISR_WM": 16, "STAT_LEV_TIMER_INI": 12500,
        "STAT_TX_TIMER_INI": 125000, "STAT_ISR_TIMER_INI": 2500, "B2_IRQM_INI": 12500, "RX_GMF_TR_THR": 0x17A,
        "GM_SERIAL_MODE": 0x31E, "RX_GMF_VLAN": 0x8100, "TX_GMF_VLAN": 0x8100,
    }  # fmt: skip
    writes = [write(name, value(name, number)) for name, number in usual.items()]
    started = [write(f"STAT_{name}_TIMER_CTRL", 4) for name in ("LEV", "TX", "ISR")]
    moderated = [write("B2_IRQM_MSK", 0xC000001F), write("B2_IRQM_CTRL", 4), write("RX_GMF_CTRL", 0x08000000)]
    ring = [memory(RX_RING, buffers(0, 0))] if "buffer" in zero else []
    late = ("advance", 10**8)
    return [*ready(), *ring, *writes, *started, *moderated, *send(made), FRAME, late, *send([PLAIN], 5), FRAME, late]


def zeros() -> Iterator[Attack]:
    """Every length, count and interval 0, alone and in pairs."""
    for zero in (*((name,) for name in ZEROS), *combinations(ZEROS, 2)):
        yield Attack(" and ".join(zero), _with_zeros(frozenset(zero)), OURS)


# ------------------------------------------------------------------------------------------------- G3 changes

HALVES = {
    "one frame": ([le(PACKET, DATA, 700)], [le(BUFFER, DATA + 700, 700, EOP)]),
    "segments": ([le(LRGLEN, 1054), le(LARGESEND, DATA, 1554)], [le(BUFFER, DATA, 2500, EOP)]),
    "a high address between": ([le(PACKET, DATA, 700), le(ADDR64, 0)], [le(BUFFER, DATA, 700, EOP)]),
}


def changes() -> Iterator[Attack]:
    """Limits, modes and lists that change between two elements of one frame, or two buffers of one."""
    between: dict[str, list[Operation]] = {
        f"{name} := {value:#x}": [write(name, value)]
        for name, values in {
            "XA1_PREF_LAST_IDX": (0, 1, 0xFFF),
            "XA1_PREF_ADDR_LO": (0x4000, BAR),
            "XA1_PREF_ADDR_HI": (1,),
            "XA1_PREF_CTRL": (1, 4),
            "XA1_CSR": (0x11, 0x200, 4, 0x400, 0x1000),
            "R1_PREF_LAST_IDX": (0, 1, 0xFFF),
            "R1_PREF_ADDR_LO": (0x4000,),
            "R1_PREF_PUT_IDX": (0, 1, 0xFFF),
            "R1_PREF_CTRL": (1, 4),
            "R1_CSR": (0x11, 0x200, 4, 0x1000, 0x8000),
            "STAT_CTRL": (1, 4, 0x10),
            "STAT_LAST_IDX": (0, 1),
            "GM_GP_CTRL": (0, RX_ENA, TX_ENA, BOTH | LOOP),
            "GM_TX_CTRL": (0x2000, 0x4000),
            "GM_RX_CTRL": (0, 0xC000),
            "RX_GMF_CTRL": (1, 4, 1 << 24, 0x08000000),
            "TX_GMF_CTRL": (1, 4, 1 << 24),
            "GMAC_CTRL": (1, 0x20),
            "GPHY_CTRL": (1,),
            "B0_CTST": (1, 4, 0x10),
        }.items()
        for value in values
    }
    between |= {f"reset {kind}": [("reset", kind)] for kind in (0, 1, 2)}
    between |= {
        "bus master off": [("write", 6, 4, 3, 2)],
        "D3": [("write", 6, 0x4C, 3, 2)],
        "cable": [("cable", False)],
    }
    frames: Operation = ("frames", [(STATION.hex(), 4000)])
    for (kind, (before, after)), (name, change) in product(HALVES.items(), between.items()):
        yield Attack(
            f"{kind}: {name}",
            [
                *ready(),
                *RX.place(RX_RING, COUNT - 1, 1),  # one buffer: the frame waits for more
                *send(before),
                frames,
                *change,
                *send(after, len(before)),
                RX.put(40),
                ("advance", 10**6),
                FRAME,
            ],
            OURS,
        )


# ------------------------------------------------------------------------------------------------- G4 endless frames


def endless() -> Iterator[Attack]:
    """Frames whose end does not come, or comes after far too much; then an end of length 0; lists without a frame."""
    for first, length in product((PACKET, LARGESEND), (0, 1, 1000, 16288, 65535)):
        pieces = [le(first, DATA, length)] + [le(BUFFER, DATA, length)] * (COUNT - 3)
        end = send([le(BUFFER, DATA, 0, EOP)], COUNT - 2)
        again = [step for n in range(4) for step in send(pieces, n * (COUNT - 2))]
        yield Attack(f"opcode {first:#x} of {length} bytes", [*ready(), *send(pieces), *end, *again], OURS)
        yield Attack(
            f"opcode {first:#x} again and again, {length}", [*ready(), *send([le(first, DATA, length)] * 63)], OURS
        )
    for opcode in (ADDR64, BUFFER, START, TAG, SUM, 0, 0x7F):
        lists = [memory(RX_RING, le(opcode, 0, 60) * COUNT), memory(TX_RING, le(opcode, 0, 60) * COUNT)]
        yield Attack(
            f"nothing but {opcode:#x}", [*ready(), *lists, TX.put(63), RX.put(0), FRAME, RX.put(63), FRAME], OURS
        )


# ------------------------------------------------------------------------------------------------- G5 short frames

SHORT = (0, 1, 5, 6, 11, 12, 13, 14, 15, 17, 18, 33, 34, 41, 42, 53, 54, 59, 60)


def short_packets(loopback: bool = False) -> Iterator[Attack]:
    """Frames shorter than what the card wants to change in them, with every offload on and off."""
    for kind, vlan, sums, mode in product((PACKET, LARGESEND), (0, VLAN), (0, CALSUM, 6, 7), (0, 0x2000, 0x4000)):
        made = [le(TAG, 0, 0x0520), le(SUM, 34 << 16 | 50, 0, 1)]
        for n in SHORT:
            made += [
                le(LRGLEN, n + 7),
                le(kind, DATA, n, EOP | vlan | sums),
                le(kind, DATA, n),
                le(BUFFER, DATA, n, EOP),
            ]
        yield Attack(
            f"opcode {kind:#x}, VLAN {vlan}, control {sums}, GM_TX_CTRL {mode:#x}",
            [*ready(BOTH | (LOOP if loopback else 0)), write("GM_TX_CTRL", mode), *rounds(made)],
            OURS,
        )


# ------------------------------------------------------------------------------------------------- G7 parsers


def offsets() -> Iterator[Attack]:
    """Checksum start, place and initial value anywhere; segments of any length."""
    spots = (0, 1, 13, 59, 60, 254, 255, 256, 999, 1000, 65535)
    for control in (6, 7, 6 | VLAN, CALSUM, WR_SUM):
        made = []
        for start, place in product(spots, spots):
            made += [le(SUM, start << 16 | place, start ^ place, 1), le(PACKET, DATA, 1000, EOP | control)]
        yield Attack(f"control {control:#x}", [*ready(), *rounds(made)], OURS)
    for large in (0, 1, 53, 54, 55, 60, 1000, 16380, 16384, 65535, 2**32 - 1):
        made = [le(LRGLEN, large), le(LARGESEND, DATA, 54, EOP), le(LARGESEND, DATA, 1000, EOP), *LARGE]
        huge = [le(LARGESEND, DATA, 54), *[le(BUFFER, DATA, 65535 - 54)], le(BUFFER, DATA, 300, EOP)]
        yield Attack(f"LRGLEN {large}", [*ready(), *rounds([*made, *huge])], OURS)
    for at, byte in product((12, 13, 14, 23, 46), (0, 0x40, 0x45, 0x4F, 0x50, 0x81, 0xF0, 0xFF)):
        headers = HEADERS[:at] + bytes([byte]) + HEADERS[at + 1 :]
        yield Attack(f"headers with {byte:#x} at {at}", [*ready(), memory(DATA, headers), *send(LARGE)], OURS)


def truncated() -> Iterator[Attack]:
    """Frames that end at every byte of their headers; short ones as they are, and padded; with every offload."""
    refill = [*RX.place(RX_RING, COUNT - 1, COUNT - 1), *status()]
    for n, frame in enumerate(fronts(88057)):
        parts = [step for frames in cut_everywhere(frame) for step in (*refill, write("R1_CSR", 0xA000), frames)]
        yield Attack(f"frame {n}", [*ready(), *parts], OURS)


# ------------------------------------------------------------------------------------------------- G8 DMA to self


def self_dma() -> Iterator[Attack]:
    """Lists and buffers that are the card's own registers, from outside and by loopback."""
    values = {
        "XA1_PREF_PUT_IDX": 5, "R1_PREF_PUT_IDX": 5, "B0_CTST": 1, "XA1_CSR": 0x11, "R1_PREF_CTRL": 1,
        "STAT_CTRL": 0x11, "GM_SMI_CTRL": 0x20, "GMAC_CTRL": 1, "GPHY_CTRL": 1, "B2_TI_CTRL": 4,
        "STAT_TX_TIMER_CTRL": 4, "B0_Y2_SP_ICR": 2, "GM_GP_CTRL": 0x1A00, "B2_I2C_CTRL": 0xA000,
        "WOL_CTRL_STAT": 0xAAA, "Y2_CFG_SPC": 7,
    }  # fmt: skip
    anywhere = (*OURS, (0, RAM_END))  # registers, taken as addresses, may lead anywhere
    for (name, value), control in product(values.items(), (BOTH, BOTH | LOOP)):
        own = BAR + REG[name]
        frame = (value.to_bytes(4, "little") * 30).hex()
        way = f"{name}, {'loopback' if control & LOOP else 'wire'}: "
        out = [PLAIN, le(PACKET, own, 60, EOP), le(PACKET, own, 14), le(BUFFER, own, 60, EOP)]
        yield Attack(
            way + "receive buffers",
            [
                *ready(control, le(PACKET, own, 64) * COUNT),
                memory(DATA, bytes.fromhex(frame)),
                ("frames", [(frame, 120)] * 3),
                *send(out),
            ],
            OURS,
        )
        place = own & ~7
        for ring in (TX, RX):
            steps = [*ring.place(place, 7, 7), ("frames", [(frame, 120)] * 3), ("advance", 10**6)]
            yield Attack(way + f"{ring.name} list", [*ready(control), *steps], anywhere)
        steps = [*status(place, 3), *send([PLAIN] * 5), ("frames", [(frame, 120)] * 3)]
        yield Attack(way + "status list", [*ready(control), *steps], anywhere)


# ------------------------------------------------------------------------------------------------- G9 loopback


def loopback() -> Iterator[Attack]:
    """Frames that come back: every length, from the very end of memory, into lists that have no room for them."""
    for (name, put), extra in product({"full": COUNT - 1, "empty": 0, "one": 1}.items(), (0, 0x4000, 0x2000)):
        made = [le(PACKET, DATA, n, EOP) for n in LENGTHS if n <= 0xFFFF]
        yield Attack(
            f"list {name}, GM_TX_CTRL {extra:#x}",
            [*ready(BOTH | LOOP), write("GM_TX_CTRL", extra), *RX.place(RX_RING, COUNT - 1, put), *rounds(made),
             RX.put(20), ("advance", 10**6)],
            OURS,
        )  # fmt: skip
    page_end = sum(LAYOUT["page"])
    for n, frame in enumerate(fronts(88057)):
        steps = []
        for length in range(14, len(frame) + 1):
            source = page_end - length
            steps += [("memory", source, frame[:length].hex()), *send([le(PACKET, source, length, EOP)], length - 14)]
            if length % 60 == 0:
                steps += [*RX.place(RX_RING, COUNT - 1, COUNT - 1), *status()]
        yield Attack(f"frame {n} at the end of a page", [*ready(BOTH | LOOP), *steps], (*OURS, LAYOUT["page"]))
    for attack in short_packets(True):
        yield Attack(f"loopback, {attack.name}", attack.operations, attack.writes)


# ------------------------------------------------------------------------------------------------- G10, G11 memory


def broken_memory() -> Iterator[Attack]:
    """Pointers that lead out of memory, into ROM, or to where it ends in the middle; memory that goes away."""
    frames: Operation = ("frames", [(STATION.hex(), n) for n in (60, 100, 101, 1514, 4000)])
    for name, address in BROKEN_FAR.items():
        high = le(ADDR64, address >> 32)
        out = [
            high,
            le(PACKET, address, 200, EOP),
            le(LRGLEN, 154),
            le(LARGESEND, address, 1054, EOP),
            le(ADDR64, 0),
            le(PACKET, DATA, 100),
            high,
            le(BUFFER, address, 200, EOP),
            le(ADDR64, 0),
            PLAIN,
        ]
        if name != "ROM":  # which can be read
            yield Attack(f"transmit buffer: {name}", [*ready(), *send(out)], OURS, no_leak)
        there = (*OURS, (address, RX_SIZE), (0, max(0, address + RX_SIZE - 2**64)))
        receive = (high + le(PACKET, address, RX_SIZE)) * (COUNT // 2)
        yield Attack(f"receive buffer: {name}", [*ready(BOTH, receive), frames], there)
        base = address & ~7
        for ring in (TX, RX):
            yield Attack(f"{ring.name} list: {name}", [*ready(), *ring.place(base, 63, 20), frames, ring.put(21)], OURS)
        spans = (*OURS, *_span(base, 63))
        yield Attack(f"status list: {name}", [*ready(), *status(base, 63), frames, *send([PLAIN] * 9), frames], spans)
    for region, gone in product(("mortal", "page"), (0, 1)):
        base, action = LAYOUT[region][0], (("unmap", region), ("truncate", 0))[gone]
        steps = [*TX.place(base, 63), *RX.place(base + 512, 63, 40), *status(base + 1024, 63), action, TX.put(9), FRAME]
        back = [("map", region), TX.put(12), FRAME]
        yield Attack(f"{region}: {action}", [*ready(), *steps, *back], (*OURS, LAYOUT["page"], LAYOUT["mortal"]))


def fickle_memory() -> Iterator[Attack]:
    """List elements that read differently the second time; contents that are made up as they are read."""
    for region, ring, last in product(("fickle", "lazy"), (TX, RX), (15, 127, 4095)):
        base = LAYOUT[region][0]
        for put in (1, 7, last):
            yield Attack(
                f"{ring.name} list of {last + 1} in {region} memory, up to {put}",
                [*ready(), *ring.place(base, last, put), FRAME, FRAME, ring.put(put - 1)],
                (*OURS, (0, RAM_END)),  # what the elements name is all over memory
            )
    for region in ("fickle", "lazy"):
        steps = [*status(LAYOUT[region][0], 63), *send([PLAIN] * 9), FRAME, write("STAT_CTRL", 0x10), FRAME]
        yield Attack(f"status list in {region} memory", [*ready(), *steps], OURS)


# ------------------------------------------------------------------------------------------------- G14 timers


def timers() -> Iterator[Attack]:
    """Shortest and longest intervals, rewritten while they run, and resets of all kinds while they run."""
    names = ("STAT_LEV_TIMER", "STAT_TX_TIMER", "STAT_ISR_TIMER", "B2_IRQM", "B2_TI")
    for values in product((0, 1, 0xFFFFFFFF), repeat=len(names)):
        setting = [write(f"{name}_INI", value) for name, value in zip(names, values, strict=True)]
        setting += [write(f"{name}_CTRL", 4) for name in names]
        setting += [write("B2_IRQM_MSK", 0xC100001F), write("STAT_TX_IDX_TH", 3), write("STAT_FIFO_WM", 16)]
        setting += [write("GMAC_TI_ST_CTRL", 4), write("STAT_FIFO_ISR_WM", 16)]
        traffic = [*send([PLAIN, le(PACKET, DATA, 60, EOP | FORCE)] * 4), FRAME]
        stop = [write(f"{name}_CTRL", 2) for name in names]
        reads = [("read", 0, REG[name], 4) for name in ("B2_TI_VAL", "STAT_TX_TIMER_CNT", "B0_Y2_SP_ISRC2")]
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
                *reads,
                write("B0_Y2_SP_ICR", 2),
                *stop,
                ("advance", 10**8),
                *setting,
                FRAME,
                ("reset", values[0] % 3),
                ("advance", 40 * 10**9),
            ],
            OURS,
        )


# ------------------------------------------------------------------------------------------------- G17 bus


def bus() -> Iterator[Attack]:
    """Decoding, bus mastering, power and BARs that change in the midst of traffic, from both sides."""
    traffic = [*send([PLAIN] * 8), FRAME]
    for name, change in {
        "bus master off": ("write", 6, 4, 3, 2),
        "all off": ("write", 6, 4, 0, 2),
        "memory off": ("write", 6, 4, 5, 2),
        "D3": ("write", 6, 0x4C, 3, 2),
        "BAR 0 moved": ("write", 6, 0x10, 0x1234_0000, 4),
        "BAR 0 over memory": ("write", 6, 0x10, 0, 4),
        "MSI to itself": ("write", 6, 0x60, BAR & 0xFFFFFFFF, 4),
        "MSI on": ("write", 6, 0x5E, 1, 2),
        "all off, through BAR 0": ("write", 0, REG["Y2_CFG_SPC"] + 4, 0, 2),
    }.items():
        for then in (("write", 6, 4, 7, 2), ("write", 6, 0x4C, 0, 2), ("reset", 1), ("poll",)):
            steps = [write("B2_TST_CTRL1", 2), *traffic, change, *traffic, then, *traffic, TX.put(30)]
            yield Attack(f"{name}, then {then}", [*ready(), *steps], OURS)
    silent = [("write", 6, 4, 3, 2), *send([PLAIN] * 8), FRAME, ("advance", 10**9)]
    yield Attack("no DMA without bus mastering", [*ready(), *silent])


# ------------------------------------------------------------------------------------------------- calls out


def scenes(place: str) -> Iterator[tuple[str, list[Operation]]]:
    """Operations of which the last one makes the card call out (see base.Family.scenes)."""
    lazy = LAYOUT["lazy"][0]
    many: Operation = ("frames", [(STATION.hex(), 100)] * 20)
    quiet = [write("STAT_CTRL", 0x10), write("B0_Y2_SP_ICR", 2)]
    if place == "send":
        yield "plain frames", [*ready(), *quiet, *send([PLAIN] * 20)]
        yield "segments", [*ready(), *quiet, *send([le(LRGLEN, 1054), le(LARGESEND, DATA, 40054, EOP)])]
    elif place == "irq":
        yield "sent", [*ready(), *quiet, *send([PLAIN] * 20)]
        yield "received", [*ready(), *quiet, many]
        yield "looped back", [*ready(BOTH | LOOP), *quiet, *send([PLAIN] * 20)]
    elif place == "read":
        yield "data", [*ready(), *quiet, *send([le(PACKET, lazy, 100, EOP)])]
        yield "transmit ring", [*ready(), *quiet, *TX.place(lazy, 127, 20)]
        yield "receive ring", [*ready(), *quiet, *RX.place(lazy, 127, 20)]
        yield (
            "newest status",
            [*ready(), *status(lazy, 63), *send([PLAIN]), ("advance", 10**6), write("STAT_CTRL", 0x10)],
        )
    else:
        yield "buffers", [*ready(BOTH, buffers(lazy)), *quiet, ("frames", [(STATION.hex(), 1500)] * 4)]
        yield "status list", [*ready(), *quiet, *status(lazy, 63), *send([PLAIN] * 20)]
        yield "looped back", [*ready(BOTH | LOOP, buffers(lazy)), *quiet, *send([PLAIN] * 20)]


def far_rings() -> Iterator[list[Operation]]:
    """Lists in memory behind functions (see base.Family.far_rings)."""
    lazy = LAYOUT["lazy"][0]
    for delay in (0, 1):
        yield [
            *ready(),
            *(write(f"STAT_{name}_TIMER_INI", 9) for name in ("LEV", "TX", "ISR")),
            *(write(f"STAT_{name}_TIMER_CTRL", 4 if delay else 2) for name in ("LEV", "TX", "ISR")),
            write("STAT_FIFO_WM", 16),
            write("STAT_TX_IDX_TH", 10),
            memory(lazy + 1024, buffers()),
            *TX.place(lazy, 63),
            *RX.place(lazy + 1024, 63, 63),
            *status(lazy + 2048, 255),
        ]


LISTS = by_name(
    rings, zeros, changes, endless, short_packets, offsets, truncated, self_dma, loopback, broken_memory,
    fickle_memory, timers, bus,
)  # fmt: skip
