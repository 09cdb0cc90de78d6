"""Workloads for the 88E8057: lists of the greatest length, and one doorbell for all of it (docs/yukon2-facts.md)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from nicemu.devices.yukon2_descriptors import LIST_ELEMENT, OWNER, Control, Opcode
from nicemu.devices.yukon2_tables import MIB, MMIO
from nicemu.drivers.workload import Arrive, Read, Step, Store, Until, Workload, Write

__all__ = ["workloads"]

COUNT = 4096  #: list elements, the most that LAST_IDX can tell
FRAMES = COUNT - 64  #: the status list has an element for each of them, and for reports
TX_LIST, RX_LIST, STATUS_LIST, TX_BUFFERS, RX_BUFFERS = 0x100000, 0x200000, 0x300000, 0x1000000, 0x2000000
BUFFER = 2048  #: bytes
LE = 8  #: bytes of a list element
MSS, SEGMENTS, PACKETS = 1460, 9, 455  #: of TCP segmentation
PACKET = 16384  #: bytes from one to the next

DESTINATION = bytes.fromhex("525400123456")  #: the card's own address
RST_SET, RST_CLR, ON = 1, 2, 8
CSR = (0x16, 0xD28, 0x80)  #: out of reset, operational, FIFO on (8.2)
RX_ENA, TX_ENA, LOOP = 1 << 11, 1 << 12, 1 << 9
CRC_DIS, MIB_CLR, LINK_UP = 1 << 13, 1 << 5, 1 << 26


def write(register: str, value: int, index: int = 0) -> Write:
    """A write of a register of BAR 0, in its own width."""
    found = MMIO[register]
    return Write(0, found.offset + index * found.stride, value, found.size)


def counter(name: str) -> Read:
    """The low half of a counter, which reading clears."""
    return Read(0, MMIO["GM_MIB_LOW"].offset + 8 * MIB.index(name), 2)


def frame(size: int) -> bytes:
    """A frame to the card itself, of a local experimental type (IEEE 802)."""
    head = DESTINATION + bytes.fromhex("525400aabbcc 88b5")
    return head + bytes(i & 0xFF for i in range(size - len(head)))


def base() -> tuple[Step, ...]:
    """Out of reset, link up, counters that clear, both FIFOs on."""
    address = [int.from_bytes(DESTINATION[2 * n : 2 * n + 2], "little") for n in range(3)]
    fifos = [write(name, value) for name in ("RX_GMF_CTRL", "TX_GMF_CTRL") for value in (RST_CLR, ON)]
    return (
        write("B0_CTST", RST_CLR),
        write("B0_CTST", ON),
        Until(0, MMIO["GPHY_CTRL"].offset, LINK_UP, LINK_UP),
        write("GMAC_CTRL", RST_CLR),
        write("GM_PHY_ADDR", MIB_CLR),
        *(write("GM_SRC_ADDR_1", word, n) for n, word in enumerate(address)),
        write("GM_RX_CTRL", CRC_DIS),
        *fifos,
        *status(),
    )


def enabled(control: int) -> tuple[Step, ...]:
    """The MAC sends and receives."""
    return (write("GM_GP_CTRL", control),)


def status() -> tuple[Step, ...]:
    """An empty status list, written as Linux has it: after 16 elements, with a report each 10 frames (8.1)."""
    registers = {
        "STAT_LIST_ADDR_LO": STATUS_LIST,
        "STAT_LIST_ADDR_HI": 0,
        "STAT_LAST_IDX": COUNT - 1,
        "STAT_TX_IDX_TH": 10,
        "STAT_FIFO_WM": 16,
        "STAT_FIFO_ISR_WM": 16,
        "STAT_CTRL": ON,
    }
    reset = write("STAT_CTRL", RST_SET), write("STAT_CTRL", RST_CLR)
    return Store(STATUS_LIST, bytes(LE * COUNT)), *reset, *(write(name, value) for name, value in registers.items())


def rewound(queue: str) -> tuple[Step, ...]:
    """The queue's list from its beginning: the prefetch unit is reset."""
    return tuple(write(f"{queue}_PREF_CTRL", value) for value in (RST_SET, RST_CLR, ON))


def placed(queue: str, at: int, elements: np.ndarray) -> tuple[Step, ...]:
    """A queue that runs on a list with these elements."""
    return (
        Store(at, elements.tobytes().ljust(LE * COUNT, b"\0")),
        *(write(f"{queue}_CSR", value) for value in CSR),
        write(f"{queue}_PREF_ADDR_LO", at),
        write(f"{queue}_PREF_ADDR_HI", 0),
        write(f"{queue}_PREF_LAST_IDX", COUNT - 1),
        *rewound(queue),
    )


def transmitter(size: int) -> tuple[Step, ...]:
    """A list element and a buffer for each frame."""
    elements = np.zeros(COUNT, LIST_ELEMENT)
    elements["address"] = TX_BUFFERS + BUFFER * np.arange(COUNT)
    elements["length"] = size
    elements["control"] = Control.EOP
    elements["opcode"] = Opcode.PACKET | OWNER
    return Store(TX_BUFFERS, frame(size).ljust(BUFFER, b"\0") * COUNT), *placed("XA1", TX_LIST, elements)


def segmenter() -> tuple[Step, ...]:
    """For each packet its segment length, its headers, and its payload in one piece (6.2)."""
    ethernet = DESTINATION + bytes.fromhex("525400aabbcc 0800")
    ip = bytes.fromhex("4500000000000000400600000a00020f0a000202")
    headers = ethernet + ip + bytes.fromhex("1000200000000000000000005010ffff00000000")
    payload = MSS * SEGMENTS
    elements = np.zeros(COUNT, LIST_ELEMENT)
    used = elements[: 3 * PACKETS]
    addresses = TX_BUFFERS + PACKET * np.arange(PACKETS)
    used["address"][0::3], used["opcode"][0::3] = len(headers) + MSS, Opcode.LRGLEN | OWNER
    used["address"][1::3], used["length"][1::3], used["opcode"][1::3] = (
        addresses,
        len(headers),
        Opcode.LARGESEND | OWNER,
    )
    used["address"][2::3], used["length"][2::3] = addresses + len(headers), payload
    used["opcode"][2::3], used["control"][2::3] = Opcode.BUFFER | OWNER, Control.EOP
    buffers = (headers + bytes(payload)).ljust(PACKET, b"\0") * PACKETS
    return Store(TX_BUFFERS, buffers), *placed("XA1", TX_LIST, elements)


def receiver() -> tuple[Step, ...]:
    """A list of buffers of 2048 bytes."""
    elements = np.zeros(COUNT, LIST_ELEMENT)
    elements["address"] = RX_BUFFERS + BUFFER * np.arange(COUNT)
    elements["length"] = BUFFER
    elements["opcode"] = Opcode.PACKET | OWNER
    return Store(RX_BUFFERS, bytes(BUFFER * COUNT)), *placed("R1", RX_LIST, elements), FULL


FULL = write("R1_PREF_PUT_IDX", FRAMES)
RING = (write("XA1_PREF_PUT_IDX", FRAMES),)
FENCE = (Read(0, MMIO["GM_GP_CTRL"].offset, 2),)
REFILL = (*rewound("R1"), FULL)
SENT, RECEIVED = counter("TXF_UC_OK"), counter("RXF_UC_OK")


def transmit(size: int) -> Workload:
    """Frames into a wire that swallows them."""
    back = (*rewound("XA1"), *status())
    return Workload(f"TX {size}", FRAMES, base() + transmitter(size) + enabled(TX_ENA), back, RING, FENCE, SENT)


def segment() -> Workload:
    """TCP segmentation, into frames of 1514 bytes."""
    kick = (write("XA1_PREF_PUT_IDX", 3 * PACKETS),)
    back = (*rewound("XA1"), *status())
    return Workload("TSO 1514", PACKETS * SEGMENTS, base() + segmenter() + enabled(TX_ENA), back, kick, FENCE, SENT)


def receive(size: int) -> Workload:
    """Frames from the wire."""
    arrivals = (Arrive(FRAMES, frame(size)),)
    back = (*REFILL, *status())
    instead = loop(size), transmit(size)
    setup = base() + receiver() + enabled(RX_ENA)
    return Workload(f"RX {size}", FRAMES, setup, back, arrivals, FENCE, RECEIVED, instead)


def loop(size: int) -> Workload:
    """Frames that the MAC turns round."""
    setup = base() + receiver() + transmitter(size) + enabled(RX_ENA | TX_ENA | LOOP)
    back = (*rewound("XA1"), *REFILL, *status())
    return Workload(f"loopback {size}", FRAMES, setup, back, RING, FENCE, RECEIVED)


def workloads() -> Iterator[Workload]:
    """Both directions, with short frames and long ones, and segmentation."""
    for size in (60, 1514):
        yield transmit(size)
        yield receive(size)
        yield loop(size)
    yield segment()
