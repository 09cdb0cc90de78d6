"""An RTL8139 with a recording wire, driven register by register."""

from __future__ import annotations

import struct
from typing import Any

import nicemu
from nicemu.checks import Recorder
from nicemu.devices.rtl8139_tables import REGS

STATION = bytes.fromhex("525400123456")
PEER = bytes.fromhex("525400aabbcc")
TX_RING, HIGH_RING, RX_RING, TALLY = 0x1000, 0x1400, 0x1800, 0x1C00
TX_DATA, RX_BUFFERS, RX_BUFFER = 0x10000, 0x40000, 0x80000
OWN, EOR, FS, LS, LGSEN = 1 << 31, 1 << 30, 1 << 29, 1 << 28, 1 << 27
RE, TE, RST, BUFE = 8, 4, 16, 1
AAP, APM, AM, AB, AR, AER, WRAP = (1 << bit for bit in (0, 1, 2, 3, 4, 5, 7))
ROK, RER, TOK, TER, RXOVW, PUN, FOVW, TDU, SWINT = (1 << bit for bit in range(9))
CONFIG_WRITE, PROGRAMMING, AUTOLOAD = 0xC0, 0x80, 0x40
CPTX, CPRX, DAC, RXCHKSUM, RXVLAN = 1, 2, 16, 32, 64


def frame(size: int, to: bytes = STATION, fill: int = 0) -> bytes:
    return (to + PEER + b"\x88\xb5").ljust(size, bytes([fill]))[:size]


class Rig:
    """`start` is what a driver does in either mode; descriptors are written by `put`."""

    def __init__(self, model: str = "rtl8139", **options: Any) -> None:
        self.wire = Recorder()
        self.clock = nicemu.Clock.virtual()
        self.memory = nicemu.GuestMemory(1 << 20)
        options.setdefault("overflow", "drop")
        self.nic = nicemu.create(model, memory=self.memory, backend=self.wire, clock=self.clock, **options)
        self.nic.config.write(4, 7, 2)
        self.clock.advance(3 * 10**9)

    def read(self, name: str, index: int = 0) -> int:
        register = REGS[name]
        return self.nic.bars[1].read(register.offset + index * register.stride, register.size)

    def write(self, name: str, value: int, index: int = 0, size: int = 0) -> None:
        register = REGS[name]
        self.nic.bars[1].write(register.offset + index * register.stride, value, size or register.size)

    def start(self, rcr: int = APM | AB, tcr: int = 0x03000600) -> Rig:
        self.write("RBSTART", RX_BUFFER)
        self.write("CR", RE | TE)
        self.write("RCR", rcr)
        self.write("TCR", tcr)
        return self

    def start_plus(self, cpcr: int = CPTX | CPRX, rcr: int = APM | AB, buffer: int = 2048, count: int = 64) -> Rig:
        self.write("CPCR", cpcr)
        for name, address in (("TNPDS", TX_RING), ("THPDS", HIGH_RING), ("RDSAR", RX_RING)):
            self.write(f"{name}L", address)
            self.write(f"{name}H", 0)
        for n in range(count):
            self.put(RX_RING, n, OWN | buffer | (EOR if n == count - 1 else 0), RX_BUFFERS + 2048 * n)
        return self.start(rcr)

    def put(self, ring: int, index: int, opts1: int, address: int, opts2: int = 0) -> None:
        self.memory.write(ring + 16 * index, struct.pack("<IIQ", opts1, opts2, address))

    def take(self, ring: int, index: int) -> tuple[int, int]:
        opts1, opts2, _ = struct.unpack("<IIQ", self.memory.read(ring + 16 * index, 16))
        return opts1, opts2

    def send(self, data: bytes, index: int = 0) -> None:
        """C mode."""
        self.memory.write(TX_DATA + 2048 * index, data)
        self.write(f"TSAD{index}", TX_DATA + 2048 * index)
        self.write("TSD", len(data), index)

    def send_plus(self, data: bytes, options: int = 0, opts2: int = 0, index: int = 0) -> None:
        self.memory.write(TX_DATA, data)
        self.put(TX_RING, index, OWN | FS | LS | options | len(data), TX_DATA, opts2)
        self.write("TPPOLL", 0x40)

    def sent(self) -> list[bytes]:
        frames, self.wire.frames = self.wire.frames, []
        return frames

    def arrive(self, *frames: bytes, flags: int = 0) -> None:
        self.wire.deliver(list(frames), flags=flags)
        self.nic.poll()

    def header(self, at: int) -> tuple[int, int]:
        """(status, length) at an offset of the receive buffer."""
        status, length = struct.unpack("<HH", self.memory.read(RX_BUFFER + at, 4))
        return status, length

    @property
    def found(self) -> dict[str, int]:
        return self.nic.finding_counts
