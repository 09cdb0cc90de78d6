"""A PCnet with rings, for tests."""

from __future__ import annotations

from typing import Any

import numpy as np

import nicemu
from nicemu.checks import Recorder
from nicemu.devices.pcnet_descriptors import LAYOUTS, Rx, Tx, two_s_complement

MAC = bytes.fromhex("525400123456")
PEER = bytes.fromhex("020000000001")
BLOCK, TX_RING, RX_RING, TX_BUFFERS, RX_BUFFERS = 0x100, 0x1000, 0x2000, 0x10000, 0x40000
INIT, STRT, STOP, TDMD, TXON, RXON, IENA, INTR, IDON, TINT, RINT, MERR, MISS, CERR, BABL, ERR = (
    1 << b for b in range(16)
)
LOOPS = 0x44


class Rig:
    """A card in WIO mode with rings of `count` descriptors."""

    def __init__(self, model: str = "pcnet", *, style: int = 2, count: int = 4, **options: Any) -> None:
        self.clock = nicemu.Clock.virtual()
        self.memory = nicemu.GuestMemory(1 << 20)
        self.wire = options.pop("backend", None) or Recorder()
        self.levels: list[bool] = []
        self.nic = nicemu.create(
            model, memory=self.memory, backend=self.wire, clock=self.clock, irq=self.levels.append, **options
        )
        self.nic.config.write(0x04, 7, 2)
        self.clock.advance(4 * 10**9)
        self.layout, self.count = LAYOUTS[style], count
        self.bar = self.nic.bars[0]
        self.bcr(20, style)
        for index in range(count):
            self.put_rx(index)
            self.memory.write(self.at(TX_RING, index), bytes(self.layout.dtype.itemsize))

    def csr(self, number: int, value: int | None = None) -> int:
        return self.port(0x10, number, value)

    def bcr(self, number: int, value: int | None = None) -> int:
        return self.port(0x16, number, value)

    def port(self, port: int, number: int, value: int | None) -> int:
        self.bar.write(0x12, number, 2)
        if value is None:
            return self.bar.read(port, 2)
        self.bar.write(port, value, 2)
        return value

    def at(self, ring: int, index: int) -> int:
        return ring + index * self.layout.dtype.itemsize

    def put(self, ring: int, index: int, address: int, length: int, flags: int) -> None:
        made = np.zeros(1, self.layout.dtype)
        self.layout.set_address(made[0], address)
        made[0]["count"] = two_s_complement(length)
        self.layout.set_status(made[0], flags)
        self.memory.write(self.at(ring, index), made.tobytes())

    def put_rx(self, index: int, length: int = 1600, flags: int = Rx.OWN) -> None:
        self.put(RX_RING, index, RX_BUFFERS + 2048 * index, length, flags)

    def put_tx(self, index: int, data: bytes, flags: int = Tx.OWN | Tx.STP | Tx.ENP) -> None:
        self.memory.write(TX_BUFFERS + 4096 * index, data)
        self.put(TX_RING, index, TX_BUFFERS + 4096 * index, len(data), flags)

    def descriptor(self, ring: int, index: int) -> Any:
        return np.frombuffer(self.memory.read(self.at(ring, index), self.layout.dtype.itemsize), self.layout.dtype)[0]

    def status(self, ring: int, index: int) -> int:
        return self.layout.status(self.descriptor(ring, index))

    def start(self, mode: int = 0, *, start: bool = True) -> None:
        """By the initialization block (Initialization)."""
        code = self.count.bit_length() - 1
        block = self.layout.block(mode, MAC, 0, (RX_RING, code), (TX_RING, code))
        self.memory.write(BLOCK, block)
        self.csr(1, BLOCK)
        self.csr(2, 0)
        self.csr(0, INIT)
        if start:
            assert self.csr(0) & IDON
            self.csr(0, IDON | STRT)

    def send(self, data: bytes, index: int = 0, flags: int = Tx.OWN | Tx.STP | Tx.ENP) -> int:
        """Sends a frame of one buffer; TMD2."""
        self.put_tx(index, data, flags)
        self.csr(0, TDMD)
        return self.layout.tx_misc(self.descriptor(TX_RING, index))

    def arrive(self, *frames: bytes) -> None:
        assert self.wire.deliver(list(frames)) == len(frames)
        self.nic.poll()


def frame(size: int = 60, to: bytes = MAC, kind: int = 0x88B5) -> bytes:
    head = to + PEER + kind.to_bytes(2, "big")
    return head + bytes(i & 0xFF for i in range(size - len(head)))
