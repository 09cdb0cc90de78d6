"""A board with a DP8390 and a recording wire, driven register by register."""

from __future__ import annotations

from typing import Any

import nicemu
from nicemu.checks import Recorder
from nicemu.devices.ne2000_tables import IO

STATION, PEER = bytes.fromhex("525400123456"), bytes.fromhex("525400aabbcc")
STP, STA, TXP, READ, WRITE, SEND, NO_DMA = 1, 2, 4, 1 << 3, 2 << 3, 3 << 3, 4 << 3
PRX, PTX, RXE, TXE, OVW, CNT, RDC, RST = (1 << bit for bit in range(8))
SEP, AR, AB, AM, PRO, MON = (1 << bit for bit in range(6))
INHIBIT, ATD = 1 << 0, 1 << 3
WTS, BOS, LAS, LS, ARM = (1 << bit for bit in range(5))
CRC, FAE, FO, MPA, PHY, DIS, DFR = (1 << bit for bit in range(1, 8))  # RSR; PRX is bit 0
ND, COL, ABT, CRS, FU, CDH, OWC = (1 << bit for bit in range(1, 8))  # TSR; PTX is bit 0
DATA, RESET = 0x10, 0x1F
FCS = 4
BYTE_NS = 800


def frame(size: int, to: bytes = STATION, fill: int = 0) -> bytes:
    return (to + PEER + b"\x88\xb5").ljust(size, bytes([fill]))[:size]


class Rig:
    """`start` is what a driver does; registers are reached in their page, which is 0 between accesses."""

    def __init__(self, model: str = "ne2k_pci", **options: Any) -> None:
        self.wire = Recorder()
        self.clock = nicemu.Clock.virtual()
        self.lines: list[bool] = []
        options.setdefault("overflow", "drop")
        options.setdefault("mac", "52:54:00:12:34:56")
        options.setdefault("backend", self.wire)
        self.nic = nicemu.create(model, clock=self.clock, irq=self.lines.append, **options)
        if self.nic.FUNCTION:
            self.nic.config.write(4, 1, 2)
        self.io = self.nic.bars[0]
        narrow = model == "ne1k_isa"
        self.words = not narrow
        self.tx_page = 0x20 if narrow else 0x40
        self.first, self.last = (0x26, 0x40) if narrow else (0x4C, 0x80)
        self.state = STP

    # ------------------------------------------------------------------ registers

    def command(self, bits: int, page: int = 0) -> None:
        """Writes CR; where no remote DMA is commanded, one under way is aborted."""
        self.state = bits & (STP | STA) or self.state
        self.io.write(0, bits | page << 6 | (0 if bits & 0x38 else NO_DMA), 1)

    def read(self, name: str, index: int = 0) -> int:
        page = IO[name].pages[0] if IO[name].pages else 0
        if page:
            self.command(self.state, page)
        value = self.io.read(IO[name].offset + index, 1)
        if page:
            self.command(self.state)
        return value

    def write(self, name: str, value: int, index: int = 0) -> None:
        page = IO[name].pages[0] if IO[name].pages else 0
        if page:
            self.command(self.state, page)
        self.io.write(IO[name].offset + index, value, 1)
        if page:
            self.command(self.state)

    def pair(self, name: str, value: int) -> None:
        """Two registers that hold a number of 16 bits."""
        self.write(f"{name}0", value & 0xFF)
        self.write(f"{name}1", value >> 8)

    def start(self, rcr: int = AB, tcr: int = 0, dcr: int | None = None, imr: int = 0) -> Rig:
        """The order of 11.0."""
        self.command(STP)
        self.write("DCR", (WTS if self.words else 0) | LS | 2 << 5 if dcr is None else dcr)
        self.pair("RBCR", 0)
        self.write("RCR", rcr)
        self.write("TCR", 1 << 1)
        self.write("PSTART", self.first)
        self.write("PSTOP", self.last)
        self.write("BNRY", self.last - 1)
        self.write("ISR", 0xFF)
        self.write("IMR", imr)
        for i, byte in enumerate(STATION):
            self.write("PAR", byte, i)
        for i in range(8):
            self.write("MAR", 0, i)
        self.write("CURR", self.first)
        self.command(STA)
        self.write("TCR", tcr)
        return self

    # ------------------------------------------------------------------ remote DMA (9.0)

    def remote(self, command: int, address: int, count: int) -> None:
        """A remote DMA command."""
        self.command(self.state)
        self.write("ISR", RDC)
        self.pair("RBCR", count)
        self.pair("RSAR", address)
        self.command(self.state | command)

    def peek(self, address: int, count: int) -> bytes:
        """Bytes of the chip's memory, by a remote read."""
        size = 2 if self.words else 1
        self.remote(READ, address, count + count % size)
        return self.io.read_repeat(DATA, size, -(-count // size))[:count]

    def poke(self, address: int, data: bytes) -> None:
        """Bytes into the chip's memory, by a remote write."""
        size = 2 if self.words else 1
        data += bytes(len(data) % size)
        self.remote(WRITE, address, len(data))
        self.io.write_repeat(DATA, size, data)

    # ------------------------------------------------------------------ packets

    def load(self, data: bytes) -> None:
        """A packet into the transmit buffer."""
        self.poke(self.tx_page << 8, data)
        self.write("TPSR", self.tx_page)
        self.pair("TBCR", len(data))

    def send(self, data: bytes) -> None:
        self.load(data)
        self.command(STA | TXP)

    def sent(self) -> list[bytes]:
        frames, self.wire.frames = self.wire.frames, []
        return frames

    def arrive(self, *frames: bytes, flags: int = 0) -> None:
        self.wire.deliver(list(frames), flags=flags)
        self.nic.poll()

    def packet(self, page: int) -> tuple[int, int, bytes]:
        """(status, next page, bytes with CRC) of the packet that begins at a page, across the end of the ring."""
        status, following, low, high = self.peek(page << 8, 4)
        return status, following, self.peek((page << 8) + 4, low | high << 8)

    @property
    def found(self) -> dict[str, int]:
        return self.nic.finding_counts
