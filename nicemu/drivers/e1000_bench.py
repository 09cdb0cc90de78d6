"""Workloads for the 82540EM: rings of the greatest length, and one doorbell for all of it (8254x SDM 3.2, 3.4)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from nicemu.devices.e1000_descriptors import (
    RX_DESCRIPTOR,
    TX_LEGACY,
    ContextCommand,
    DataCommand,
    LegacyCommand,
    PacketOptions,
    context,
    data,
)
from nicemu.devices.e1000_tables import MMIO
from nicemu.drivers.workload import Arrive, Read, Step, Store, Until, Workload, Write

__all__ = ["workloads"]

COUNT = 4096  #: descriptors of a ring, the most that TDLEN and RDLEN hold
FRAMES = COUNT - 1  #: head equal to tail means an empty ring
TX_RING, RX_RING, TX_BUFFERS, RX_BUFFERS = 0x100000, 0x200000, 0x1000000, 0x2000000
BUFFER = 2048  #: bytes
DESCRIPTOR = 16  #: bytes
MSS, SEGMENTS, PACKETS = 1460, 9, FRAMES // 9  #: of TCP segmentation
PAYLOAD = MSS * SEGMENTS - 460  #: QEMU's model adds an empty segment where the last one is full
PACKET = 16384  #: bytes from one to the next

RCTL_EN, RCTL_BAM, RCTL_SECRC = 1 << 1, 1 << 15, 1 << 26
TCTL = 1 << 1 | 1 << 3 | 0x10 << 4 | 0x40 << 12  #: EN, PSP, CT, COLD as 13.4.33 suggests
TIPG = 8 | 8 << 10 | 6 << 20  #: IPGT, IPGR1, IPGR2 as 13.4.34 has them for copper
CTRL_SLU, STATUS_LU = 1 << 6, 1 << 1
#: PHY register 0: loopback, 1000 Mb/s, full duplex; as MDIC takes it (13.4.6).
MDIC_LOOPBACK = 1 << 26 | 1 << 21 | 0x4140
MDIC_READY = 1 << 28

DESTINATION = bytes.fromhex("525400123456")  #: the card's own address, as both sides are given it


def write(register: str, value: int, index: int = 0) -> Write:
    """A 32-bit write of a register of BAR 0."""
    return Write(0, MMIO[register].offset + index * MMIO[register].stride, value)


def clear(register: str, first: int = 0) -> tuple[Write, ...]:
    """An array's elements, which power-on leaves undefined (14.4)."""
    return tuple(write(register, 0, index) for index in range(first, MMIO[register].count))


def frame(size: int) -> bytes:
    """A frame to the card itself, of a local experimental type (IEEE 802)."""
    head = DESTINATION + bytes.fromhex("525400aabbcc 88b5")
    return head + bytes(i & 0xFF for i in range(size - len(head)))


def base() -> tuple[Step, ...]:
    """Interrupts masked, link up."""
    link = Until(0, MMIO["STATUS"].offset, STATUS_LU, STATUS_LU)
    return write("IMC", 0xFFFFFFFF), write("CTRL", CTRL_SLU), link


def transmitter(ring: bytes, buffers: bytes) -> tuple[Step, ...]:
    """A ring of descriptors, all of which are in use."""
    where = {"TDBAL": TX_RING, "TDBAH": 0, "TDLEN": COUNT * DESCRIPTOR, "TDH": 0, "TDT": 0}
    registers = where | {"TIPG": TIPG, "TCTL": TCTL}
    return (
        Store(TX_RING, ring),
        Store(TX_BUFFERS, buffers),
        *(write(register, value) for register, value in registers.items()),
    )


def plain(size: int, report: bool) -> tuple[Step, ...]:
    """A legacy descriptor and a buffer for each frame."""
    ring = np.zeros(COUNT, TX_LEGACY)
    ring["address"] = TX_BUFFERS + BUFFER * np.arange(COUNT)
    ring["length"] = size
    ring["cmd"] = LegacyCommand.EOP | LegacyCommand.IFCS | (LegacyCommand.RS if report else 0)
    return transmitter(ring.tobytes(), frame(size).ljust(BUFFER, b"\0") * COUNT)


def segmented() -> tuple[Step, ...]:
    """For each packet its context, its headers, and its payload in one piece (3.5)."""
    ethernet = DESTINATION + bytes.fromhex("525400aabbcc 0800")
    ip = bytes.fromhex("4500000000000000400600000a00020f0a000202")
    headers = ethernet + ip + bytes.fromhex("1000200000000000000000005010ffff00000000")
    tcp = ContextCommand.TCP | ContextCommand.IP | ContextCommand.TSE
    options = PacketOptions.TXSM | PacketOptions.IXSM
    each = DataCommand.IFCS | DataCommand.TSE | DataCommand.RS
    ring = np.zeros(3 * PACKETS, TX_LEGACY)
    ring[0::3] = np.frombuffer(
        context(tcp, ipcss=14, ipcso=24, ipcse=33, tucss=34, tucso=50, mss=MSS, hdrlen=54, paylen=PAYLOAD),
        TX_LEGACY,
    )
    addresses = TX_BUFFERS + PACKET * np.arange(PACKETS)
    ring[1::3] = np.frombuffer(data(0, len(headers), each, popts=options), TX_LEGACY)
    ring[1::3]["address"] = addresses
    ring[2::3] = np.frombuffer(data(0, PAYLOAD, each | DataCommand.EOP), TX_LEGACY)
    ring[2::3]["address"] = addresses + len(headers)
    return transmitter(ring.tobytes(), (headers + bytes(PAYLOAD)).ljust(PACKET, b"\0") * PACKETS)


def receiver() -> tuple[Step, ...]:
    """A ring of buffers of 2048 bytes."""
    ring = np.zeros(COUNT, RX_DESCRIPTOR)
    ring["address"] = RX_BUFFERS + BUFFER * np.arange(COUNT)
    registers = {"RDBAL": RX_RING, "RDBAH": 0, "RDLEN": ring.nbytes, "RDH": 0, "RDT": FRAMES}
    return (
        Store(RX_RING, ring.tobytes()),
        Store(RX_BUFFERS, bytes(BUFFER * COUNT)),
        *clear("RAH", 1),
        *clear("RAL", 1),
        *clear("MTA"),
        *(write(register, value) for register, value in registers.items()),
        write("RCTL", RCTL_EN | RCTL_BAM | RCTL_SECRC),
    )


SENT = Read(0, MMIO["GPTC"].offset)
RECEIVED = Read(0, MMIO["GPRC"].offset)
FENCE = (Read(0, MMIO["STATUS"].offset),)
RING_SENDS = (write("TDT", FRAMES),)
EMPTY = write("TDH", 0), write("TDT", 0)
FULL = write("RDH", 0), write("RDT", FRAMES)


def transmit(size: int, report: bool) -> Workload:
    """Frames into a wire that swallows them."""
    name = f"TX {size}" + (" RS" if report else "")
    return Workload(name, FRAMES, base() + plain(size, report), EMPTY, RING_SENDS, FENCE, SENT)


def segment() -> Workload:
    """TCP segmentation, into frames of 1514 bytes."""
    kick = (write("TDT", 3 * PACKETS),)
    return Workload("TSO 1514", PACKETS * SEGMENTS, base() + segmented(), EMPTY, kick, FENCE, SENT)


def receive(size: int) -> Workload:
    """Frames from the wire."""
    arrivals = (Arrive(FRAMES, frame(size)),)
    instead = loop(size), transmit(size, False)
    return Workload(f"RX {size}", FRAMES, base() + receiver(), FULL, arrivals, FENCE, RECEIVED, instead)


def loop(size: int) -> Workload:
    """Frames that the PHY turns round."""
    loopback = (write("MDIC", MDIC_LOOPBACK), Until(0, MMIO["MDIC"].offset, MDIC_READY, MDIC_READY))
    setup = base() + loopback + receiver() + plain(size, False)
    return Workload(f"loopback {size}", FRAMES, setup, EMPTY + FULL, RING_SENDS, FENCE, RECEIVED)


def workloads() -> Iterator[Workload]:
    """Both directions, with short frames and long ones, and segmentation."""
    for size in (60, 1514):
        yield transmit(size, True)
        yield transmit(size, False)
        yield receive(size)
        yield loop(size)
    yield segment()
