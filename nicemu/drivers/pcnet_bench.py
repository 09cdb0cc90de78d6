"""Workloads for PCnet: rings of 512 descriptors, the most that an initialization block can name (RLEN and TLEN)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from nicemu.devices.pcnet_descriptors import LAYOUTS, Rx, Tx, two_s_complement
from nicemu.drivers.workload import Arrive, Marks, Read, Step, Store, Until, Workload, Write

__all__ = ["workloads"]

FRAMES = 512  #: descriptors of a ring
CODE = 9  #: their number, as RLEN and TLEN have it
BLOCK, TX_RING, RX_RING, TX_BUFFERS, RX_BUFFERS = 0x80000, 0x100000, 0x200000, 0x1000000, 0x2000000
FAR = 0x4000000  #: where in memory the second card has its own
BUFFER = 2048  #: bytes
LAYOUT = LAYOUTS[2]
RDP, RAP, BDP = 0x10, 0x14, 0x1C  #: ports of DWIO mode
INIT, STRT, STOP, TDMD, IDON = 1, 2, 4, 8, 0x100
LOOPS = 0x44  #: CSR15.INTL and LOOP
UNPOLLED = 0x1115  #: CSR4: TXDPOLL, so that a ring put back waits for its doorbell; no cause interrupts
DESTINATION = bytes.fromhex("525400123456")  #: the card's own address, as both sides are given it
OWN_BYTE = 7  #: of a descriptor: the highest bit is OWN


def csr(number: int, value: int) -> tuple[Write, ...]:
    """A CSR is written."""
    return Write(0, RAP, number), Write(0, RDP, value)


def frame(size: int) -> bytes:
    """A frame to the card itself, of a local experimental type (IEEE 802)."""
    head = DESTINATION + bytes.fromhex("525400aabbcc 88b5")
    return head + bytes(i & 0xFF for i in range(size - len(head)))


def ring(buffers: int, length: int, flags: int) -> bytes:
    """A ring all of whose descriptors are the card's."""
    made = np.zeros(FRAMES, LAYOUT.dtype)
    made["address"] = buffers + BUFFER * np.arange(FRAMES)
    made["count"] = two_s_complement(length)
    made["status"] = flags
    return made.tobytes()


def setup(mode: int, size: int, at: int = 0) -> tuple[Step, ...]:
    """DWIO, software style 2, the block, STRT; RAP stays at CSR0.  `at`: where in memory everything begins."""
    block = LAYOUT.block(mode, DESTINATION, 0, (at + RX_RING, CODE), (at + TX_RING, CODE))
    return (
        Write(0, RDP, 0),
        *csr(0, STOP),
        *csr(4, UNPOLLED),
        Write(0, RAP, 20),
        Write(0, BDP, LAYOUT.style),
        Store(at + BLOCK, block),
        Store(at + TX_BUFFERS, frame(size).ljust(BUFFER, b"\0") * FRAMES),
        Store(at + RX_BUFFERS, bytes(BUFFER * FRAMES)),
        *csr(1, at + BLOCK & 0xFFFF),
        *csr(2, at + BLOCK >> 16),
        *csr(0, INIT),
        Until(0, RDP, IDON, IDON),
        *csr(0, IDON | STRT),
    )


def full(size: int) -> tuple[Step, ...]:
    """The transmit ring as a driver fills it."""
    return (Store(TX_RING, ring(TX_BUFFERS, size, Tx.OWN | Tx.STP | Tx.ENP)),)


EMPTY = (Store(RX_RING, ring(RX_BUFFERS, BUFFER, Rx.OWN)),)
KICK = (Write(0, RDP, TDMD),)
FENCE = (Read(0, RDP),)
SENT = Marks(TX_RING + OWN_BYTE, LAYOUT.dtype.itemsize, 0x80, 0)
RECEIVED = Marks(RX_RING + OWN_BYTE, LAYOUT.dtype.itemsize, 0x80, 0)


def transmit(size: int) -> Workload:
    """Frames into a wire that swallows them."""
    return Workload(f"TX {size}", FRAMES, setup(0, size), full(size), KICK, FENCE, SENT)


def receive(size: int) -> Workload:
    """Frames from the wire.  QEMU's model gets them from a second one: loopback costs it an FCS besides."""
    arrivals = (Arrive(FRAMES, frame(size)),)
    instead = over_a_hub(size, setup(0, size, FAR)), over_a_hub(size, ())
    return Workload(f"RX {size}", FRAMES, setup(0, size), EMPTY, arrivals, FENCE, RECEIVED, instead)


def over_a_hub(size: int, far: tuple[Step, ...]) -> Workload:
    """Frames into a hub, and out of it into a second card, where there is one."""
    back = (*full(size), Store(FAR + RX_RING, ring(FAR + RX_BUFFERS, BUFFER, Rx.OWN)))
    done = Marks(FAR + RX_RING + OWN_BYTE, LAYOUT.dtype.itemsize, 0x80, 0) if far else SENT
    return Workload(f"hub {size}", FRAMES, setup(0, size), back, KICK, FENCE, done, hub=far)


def loop(size: int) -> Workload:
    """Frames that turn round inside the card."""
    return Workload(f"loopback {size}", FRAMES, setup(LOOPS, size), full(size) + EMPTY, KICK, FENCE, RECEIVED)


def workloads() -> Iterator[Workload]:
    """Both directions, with short frames and long ones."""
    for size in (60, 1514):
        yield transmit(size)
        yield receive(size)
        yield loop(size)
