"""Workloads for the RTL8139: C+ rings of 64 descriptors with one doorbell for all of them, and the four of C mode."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from nicemu.devices import find_class
from nicemu.devices.rtl8139_tables import REGS
from nicemu.drivers.rtl8139 import DESCRIPTOR, EOR, FS, LGSEN, LS, OWN
from nicemu.drivers.workload import Arrive, Marks, Port, Read, Step, Store, Until, Workload, Write

__all__ = ["workloads_of"]

COUNT = 64  #: descriptors of a ring, the most that there are
TX_RING, RX_RING, TX_BUFFERS, RX_BUFFERS = 0x100000, 0x101000, 0x1000000, 0x2000000
BUFFER = 2048  #: bytes
MSS, SEGMENTS, LARGE = 1460, 9, 7  #: of a large send, and how many of them a turn has
PAYLOAD = MSS * SEGMENTS - 460  #: QEMU's model adds an empty segment where the last one is full
PACKET = 16384  #: bytes from one to the next

RE_TE, NPQ = 0x0C, 0x40
CPCR = 0x03  #: CPRX, CPTX
RCR = 7 << 13 | 7 << 8 | 0x0A  #: AB, APM
TCR, LOOPBACK = 3 << 24 | 6 << 8, 3 << 17
MSR_LINKB = 1 << 2

DESTINATION = bytes.fromhex("525400123456")  #: the card's own address, as both sides are given it


def write(register: str, value: int, index: int = 0) -> Write:
    """A write of a register's own width, in the memory BAR."""
    found = REGS[register]
    return Write(1, found.offset + index * found.stride, value, found.size)


def frame(size: int) -> bytes:
    """A frame to the card itself, of a local experimental type (IEEE 802)."""
    head = DESTINATION + bytes.fromhex("525400aabbcc 88b5")
    return head + bytes(i & 0xFF for i in range(size - len(head)))


def ring(address: int, stride: int, opts1: int, count: int = COUNT) -> bytes:
    """Descriptors that belong to the card; the last of `count` ends the ring."""
    made = np.zeros(count, DESCRIPTOR)
    made["address"] = address + stride * np.arange(count)
    made["opts1"] = OWN | opts1
    made["opts1"][-1] |= EOR
    return made.tobytes()


def linked() -> Until:
    """The link is up: MSR.LINKB is active low, and a doubleword read begins at MSR."""
    return Until(1, REGS["MSR"].offset, MSR_LINKB, 0)


def cplus(tcr: int = TCR) -> tuple[Step, ...]:
    """C+ mode, both rings in place, both directions on."""
    places = {"TNPDSL": TX_RING, "TNPDSH": 0, "THPDSL": 0, "THPDSH": 0, "RDSARL": RX_RING, "RDSARH": 0}
    return (
        linked(),
        write("CPCR", CPCR),
        *(write(name, value) for name, value in places.items()),
        write("CR", RE_TE),
        write("RCR", RCR),
        write("TCR", tcr),
    )


def sender(size: int) -> Store:
    """A ring of packets that are one descriptor each."""
    return Store(TX_RING, ring(TX_BUFFERS, BUFFER, FS | LS | size))


RECEIVER = Store(RX_RING, ring(RX_BUFFERS, BUFFER, BUFFER))
DOORBELL = (write("TPPOLL", NPQ),)
FENCE = (Read(1, REGS["CR"].offset, 1),)
#: OWN, in the highest byte of a descriptor's first doubleword, is 0 when the card is done.
SENT, RECEIVED = (Marks(address + 3, DESCRIPTOR.itemsize, 0x80, 0) for address in (TX_RING, RX_RING))


def buffers(size: int) -> Store:
    """What is sent."""
    return Store(TX_BUFFERS, frame(size).ljust(BUFFER, b"\0") * COUNT)


def transmit(size: int) -> Workload:
    """Frames into a wire that swallows them."""
    return Workload(f"TX {size}", COUNT, (buffers(size), *cplus()), (sender(size),), DOORBELL, FENCE, SENT)


def receive(size: int) -> Workload:
    """Frames from the wire."""
    arrivals = (Arrive(COUNT, frame(size)),)
    instead = loop(size), transmit(size)
    return Workload(f"RX {size}", COUNT, cplus(), (RECEIVER,), arrivals, FENCE, RECEIVED, instead)


def loop(size: int) -> Workload:
    """Frames that TCR.LBK turns round."""
    setup = (buffers(size), *cplus(TCR | LOOPBACK))
    return Workload(f"loopback {size}", COUNT, setup, (sender(size), RECEIVER), DOORBELL, FENCE, RECEIVED)


def segment() -> Workload:
    """Large send, into frames of 1514 bytes."""
    ethernet = DESTINATION + bytes.fromhex("525400aabbcc 0800")
    ip = bytes.fromhex("4500") + (40 + PAYLOAD).to_bytes(2, "big") + bytes.fromhex("00000000400600000a00020f0a000202")
    headers = ethernet + ip + bytes.fromhex("1000200000000000000000005010ffff00000000")
    packets = Store(TX_BUFFERS, (headers + bytes(PAYLOAD)).ljust(PACKET, b"\0") * LARGE)
    made = ring(TX_BUFFERS, PACKET, FS | LS | LGSEN | MSS << 16 | len(headers) + PAYLOAD, LARGE)
    frames = LARGE * SEGMENTS  # so many descriptors are looked at: none of the packets' may still be the card's
    return Workload("TSO 1514", frames, (packets, *cplus()), (Store(TX_RING, made),), DOORBELL, FENCE, SENT)


def transmit_c(size: int) -> Workload:
    """The four descriptors of C mode, each with a doorbell of its own."""
    setup: tuple[Step, ...] = (
        buffers(size),
        linked(),
        write("CR", RE_TE),
        write("TCR", TCR),
        *(write(f"TSAD{n}", TX_BUFFERS + BUFFER * n) for n in range(4)),
    )
    kick = tuple(write("TSD", size, n) for n in range(4))
    return Workload(f"TX {size} in C mode", 4, setup, (), kick, FENCE, Port("port_sent_frames"))


def workloads_of(model: str) -> Iterator[Workload]:
    """Both directions of C+ mode where the part has it, with short frames and long ones; C mode."""
    for size in (60, 1514):
        if find_class(model).TABLES[0]["CPCR"].present:
            yield transmit(size)
            yield receive(size)
            yield loop(size)
        yield transmit_c(size)
    if find_class(model).TABLES[0]["CPCR"].present:
        yield segment()
