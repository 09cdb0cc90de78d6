"""Workloads for the NE2000 family, whose packets move through ports.

What a packet costs the card itself is measured by transmissions out of packet memory, one command each, and by
arrivals in the ring; "through ports" is all that a driver does to a packet, the data port by blocks.
"""

from __future__ import annotations

from collections.abc import Iterator

from nicemu.devices.ne2000_tables import IO
from nicemu.drivers.ne2000 import (
    DATA,
    DCR_FIFO_8,
    DCR_NORMAL,
    DCR_WORDS,
    FCS,
    HEADER,
    NO_DMA,
    PAGE,
    PTX,
    RCR_BROADCAST,
    READ,
    STA,
    STP,
    TX_PAGES,
    TXP,
    WRITE,
)
from nicemu.drivers.workload import Arrive, Block, Flag, Port, Read, Step, Workload, Write

__all__ = ["workloads_of"]

COMMANDS = 64  #: transmissions of a turn
DESTINATION = bytes.fromhex("525400123456")  #: the card's own address, as both sides are given it


def frame(size: int) -> bytes:
    """A frame to the card itself, of a local experimental type (IEEE 802)."""
    head = DESTINATION + bytes.fromhex("525400aabbcc 88b5")
    return head + bytes(i & 0xFF for i in range(size - len(head)))


def write(register: str, value: int, index: int = 0) -> Write:
    """A register of the selected page."""
    return Write(0, IO[register].offset + index, value, 1)


def command(bits: int, page: int = 0) -> Write:
    """CR; without a remote DMA command, none is under way afterwards."""
    return Write(0, 0, bits | page << 6 | (0 if bits & (READ | WRITE) else NO_DMA), 1)


def pair(register: str, value: int) -> tuple[Step, ...]:
    """Two registers that hold a number of 16 bits."""
    return write(f"{register}0", value & 0xFF), write(f"{register}1", value >> 8)


class Board:
    """The workloads of one board: where its packet memory is, and how wide its port."""

    def __init__(self, *, wide: bool) -> None:
        self.size = 2 if wide else 1
        self.tx, self.last = (0x40, 0x80) if wide else (0x20, 0x40)
        self.first = self.tx + TX_PAGES

    def remote(self, direction: int, address: int, count: int) -> tuple[Step, ...]:
        """A remote DMA command (9.0); `count` in whole units of the port."""
        return (command(STA), *pair("RBCR", count), *pair("RSAR", address), command(STA | direction))

    def whole(self, length: int) -> int:
        """A length in whole units of the port."""
        return -(-length // self.size) * self.size

    def fill(self, data: bytes) -> tuple[Step, ...]:
        """A packet goes into packet memory."""
        content = data.ljust(self.whole(len(data)), b"\0")
        block = Block(0, DATA, self.size, len(content) // self.size, content)
        return (*self.remote(WRITE, self.tx * PAGE, len(content)), block)

    def empty(self) -> tuple[Step, ...]:
        """The ring as after the start: BNRY a page behind CURR."""
        curr = (command(STA, page=1), write("CURR", self.first), command(STA))
        return (*curr, write("BNRY", self.last - 1), write("ISR", 0xFF))

    def setup(self, size: int) -> tuple[Step, ...]:
        """The order of 11.0; then a packet of `size` bytes stands ready."""
        return (
            command(STP),
            write("DCR", DCR_NORMAL | DCR_FIFO_8 | (DCR_WORDS if self.size == 2 else 0)),
            *pair("RBCR", 0),
            write("RCR", RCR_BROADCAST),
            write("TCR", 0),
            write("PSTART", self.first),
            write("PSTOP", self.last),
            write("BNRY", self.last - 1),
            write("ISR", 0xFF),
            command(STP, page=1),
            *(write("PAR", byte, n) for n, byte in enumerate(DESTINATION)),
            *(write("MAR", 0, n) for n in range(8)),
            write("CURR", self.first),
            command(STA),
            *self.fill(frame(size)),
            write("TPSR", self.tx),
            *pair("TBCR", size),
        )

    def transmit(self, size: int) -> Workload:
        """Packets out of packet memory into a wire that swallows them."""
        sent = Flag(0, IO["ISR"].offset, PTX, PTX)
        return Workload(
            f"TX {size}",
            COMMANDS,
            self.setup(size),
            (write("ISR", 0xFF),),
            (command(STA | TXP),) * COMMANDS,
            (Read(0, IO["CR"].offset, 1),),
            sent,
            rest=(command(STA),) * COMMANDS,
        )

    def receive(self, size: int) -> Workload:
        """As many packets from the wire as an empty ring takes."""
        pages = -(-(HEADER + size + FCS) // PAGE)
        frames = (self.last - self.first - 2) // pages
        at = IO["CURR"].offset
        fence = (command(STA, page=1), Read(0, at, 1))
        full = Flag(0, at, 0xFF, self.first + frames * pages)
        arrivals = (Arrive(frames, frame(size)),)
        return Workload(f"RX {size}", frames, self.setup(size), self.empty(), arrivals, fence, full)

    def transmit_through_ports(self, size: int) -> Workload:
        """What a driver does to send a packet."""
        kick = (*self.fill(frame(size)), write("TPSR", self.tx), *pair("TBCR", size), command(STA | TXP))
        fence = (Read(0, IO["CR"].offset, 1),)
        counter = Port("port_sent_frames")
        return Workload(f"TX {size} through ports", 1, self.setup(size), (write("ISR", 0xFF),), kick, fence, counter)

    def receive_through_ports(self, size: int) -> Workload:
        """What a driver does to take a packet out of the ring: header, packet, BNRY."""
        count = self.whole(size)
        kick: tuple[Step, ...] = (
            Arrive(1, frame(size)),
            *self.remote(READ, self.first * PAGE, HEADER),
            Block(0, DATA, self.size, HEADER // self.size),
            *self.remote(READ, self.first * PAGE + HEADER, count),
            Block(0, DATA, self.size, count // self.size),
            write("BNRY", self.first),
        )
        fence = (Read(0, IO["ISR"].offset, 1),)
        counter = Port("port_received_frames")
        return Workload(f"RX {size} through ports", 1, self.setup(size), self.empty(), kick, fence, counter)


def workloads_of(model: str) -> Iterator[Workload]:
    """Both directions, with short frames and long ones, of packet memory alone and through the port."""
    board = Board(wide=model != "ne1k_isa")
    for size in (60, 1514):
        yield board.transmit(size)
        yield board.receive(size)
        yield board.transmit_through_ports(size)
        yield board.receive_through_ports(size)
