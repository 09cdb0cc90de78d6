"""A bare 82540EM with rings at fixed places in guest memory: what the datapath tests drive by registers and bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, ClassVar

import numpy as np
import pytest

import nicemu
from nicemu.backends import PythonBackend
from nicemu.devices.e1000_descriptors import RX_DESCRIPTOR, TX_LEGACY, LegacyCommand, RxStatus, legacy
from nicemu.devices.e1000_tables import MMIO

MAC = bytes.fromhex("525400123456")
PEER = bytes.fromhex("0200000000aa")
BROADCAST = b"\xff" * 6
TX_RING, RX_RING = 0x1000, 0x12000
TX_BUFFERS, RX_BUFFERS = 0x100000, 0x400000
MEMORY = 16 << 20
PATTERN = 0xA5
SECOND = 1_000_000_000


class Bits:
    """The fields of a register as masks: `RCTL.EN`; `RCTL(MO=2)` puts numbers in their places."""

    def __init__(self, name: str) -> None:
        self._masks = {f.name: f.mask for f in MMIO[name].fields if f.name}

    def __getattr__(self, field: str) -> int:
        return self._masks[field]

    def __call__(self, **fields: int) -> int:
        return sum(value * (self._masks[name] & -self._masks[name]) for name, value in fields.items())


CTRL, STATUS, ICR, RCTL, TCTL, TXDCTL, RXDCTL, RXCSUM, RAH, RDTR, FCRTL, WUC, WUFC, WUS = map(
    Bits,
    (
        "CTRL",
        "STATUS",
        "ICR",
        "RCTL",
        "TCTL",
        "TXDCTL",
        "RXDCTL",
        "RXCSUM",
        "RAH",
        "RDTR",
        "FCRTL",
        "WUC",
        "WUFC",
        "WUS",
    ),
)


def ethernet(
    destination: bytes = PEER, source: bytes = MAC, kind: int = 0x88B5, payload: bytes = b"", size: int = 60
) -> bytes:
    """A frame of `size` bytes (or more, if the payload is longer); what the payload leaves is a counting pattern."""
    frame = destination + source + kind.to_bytes(2, "big") + payload
    return frame + bytes(i & 0xFF for i in range(len(frame), size))


class Tap(PythonBackend):
    """A wire that keeps what is sent, takes at most `room` frames, and brings what `arrive` is given."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[bytes] = []
        self.room: int | None = None
        self.batches: list[int] = []

    def send(self, frames: list[bytes]) -> int | None:
        take = len(frames) if self.room is None else min(self.room, len(frames))
        self.sent += frames[:take]
        self.batches.append(take)
        if self.room is not None:
            self.room -= take
        return take


class Rig:
    """The card, its memory and its wire."""

    open: ClassVar[list[Rig]] = []

    def __init__(self, *, count: int = 8, memory: nicemu.GuestMemory | None = None, **options: Any) -> None:
        self.clock = options.setdefault("clock", nicemu.Clock.virtual())
        self.levels: list[bool] = []
        self.tap = Tap()
        if memory is None:
            self.ram = bytearray(bytes([PATTERN]) * MEMORY)
            memory = nicemu.GuestMemory()
            memory.add(0, self.ram)
        self.memory = memory
        self.nic = nicemu.create(
            "e1000",
            mac=":".join(f"{b:02x}" for b in MAC),
            memory=memory,
            backend=self.tap,
            irq=self.levels.append,
            **options,
        )
        Rig.open.append(self)
        self.nic.config.write(0x04, 0x0007, 2)
        self.count = count
        self.clock.advance(10 * SECOND)
        self["CTRL"] |= CTRL.SLU
        self.clock.advance(10 * SECOND)
        assert self.nic.regs.STATUS.LU
        self["VET"] = 0x8100
        self["TIPG"] = 8 | 8 << 10 | 6 << 20
        for name, value in (("FCAL", 0x00C28001), ("FCAH", 0x0100), ("FCT", 0x8808), ("FCTTV", 0x1234)):
            self[name] = value
        for i in range(128):
            self["MTA", i] = 0
            self["VFTA", i] = 0
        for i in range(1, 16):
            self["RAH", i] = 0
            self["RAL", i] = 0
        self["ICR"]  # what the link left

    # ------------------------------------------------------------------ registers

    def __getitem__(self, name: str | tuple[str, int]) -> int:
        """A guest's read."""
        return self.nic.bars[0].read(self._offset(name))

    def __setitem__(self, name: str | tuple[str, int], value: int) -> None:
        """A guest's write."""
        self.nic.bars[0].write(self._offset(name), value)

    @staticmethod
    def _offset(name: str | tuple[str, int]) -> int:
        register, index = (name, 0) if isinstance(name, str) else name
        return MMIO[register].offset + index * MMIO[register].stride

    def stored(self, name: str) -> int:
        """A register's value without the effects of a read."""
        return int(getattr(self.nic.regs, name))

    # ------------------------------------------------------------------ transmit

    def start_transmit(self, *, tctl: int = 0, txdctl: int = 0, base: int = TX_RING) -> None:
        """Ring and TCTL; short packets are not padded unless `tctl` says so."""
        self["TDBAL"], self["TDBAH"], self["TDLEN"] = base & 0xFFFFFFFF, base >> 32, 16 * self.count
        self["TDH"] = self["TDT"] = 0
        self["TXDCTL"], self["TIDV"], self["TADV"] = txdctl, 8, 0
        self["TCTL"] = TCTL.EN | tctl
        self.tail = 0

    def put(self, *descriptors: np.void, ring: bool = True) -> None:
        """Adds descriptors to the ring and rings the doorbell."""
        for descriptor in descriptors:
            self.memory.write(TX_RING + 16 * self.tail, descriptor.tobytes())
            self.tail = (self.tail + 1) % self.count
        if ring:
            self["TDT"] = self.tail

    def place(self, data: bytes, at: int = TX_BUFFERS) -> int:
        """Writes data into a buffer; returns its address."""
        self.memory.write(at, data)
        return at

    def send(
        self, frame: bytes, command: int = LegacyCommand.EOP | LegacyCommand.IFCS | LegacyCommand.RS, **fields: int
    ) -> None:
        """Sends a frame with one legacy descriptor, from a buffer of its own."""
        address = self.place(frame, TX_BUFFERS + 0x4000 * self.tail) if frame else TX_BUFFERS
        self.put(legacy(address, len(frame), command, **fields))

    def take(self) -> list[bytes]:
        """What went out since the last call."""
        sent, self.tap.sent = self.tap.sent, []
        return sent

    def tx_status(self, index: int) -> int:
        """Status byte of a transmit descriptor."""
        return int(np.frombuffer(self.memory.read(TX_RING + 16 * index, 16), TX_LEGACY)["sta"][0])

    # ------------------------------------------------------------------ receive

    def start_receive(
        self, rctl: int = 0, *, buffer: int = 2048, tail: int | None = None, count: int | None = None
    ) -> None:
        """Ring, one buffer for each descriptor, RCTL; what the card is to write in descriptors is 0xEE before."""
        self.rx_count = count or self.count
        self.buffer = buffer
        for i in range(self.rx_count):
            self.memory.write(RX_RING + 16 * i, (RX_BUFFERS + 0x4000 * i).to_bytes(8, "little") + b"\xee" * 8)
        self["RDBAL"], self["RDBAH"], self["RDLEN"] = RX_RING, 0, 16 * self.rx_count
        self["RDH"] = 0
        self["RDT"] = self.rx_count - 1 if tail is None else tail
        self["RCTL"] = RCTL.EN | RCTL.BAM | rctl
        self.seen = 0

    def arrive(self, *frames: bytes) -> None:
        """Frames come over the wire."""
        assert self.tap.deliver(frames) == len(frames)
        self.nic.poll()

    def descriptor(self, index: int) -> Any:
        """A receive descriptor."""
        return np.frombuffer(self.memory.read(RX_RING + 16 * index, 16), RX_DESCRIPTOR)[0]

    def received(self) -> list[tuple[bytes, Any]]:
        """(data, last descriptor) of each packet that was stored since the last call."""
        packets, data = [], b""
        while self.seen != self.stored("RDH"):
            d = self.descriptor(self.seen)
            assert d["status"] & RxStatus.DD
            data += self.memory.read(int(d["address"]), int(d["length"])) if d["address"] else b""
            if d["status"] & RxStatus.EOP and d["address"]:
                packets.append((data, d))
                data = b""
            self.seen = (self.seen + 1) % self.rx_count
        assert not data, "a packet without an end"
        return packets

    def frames(self) -> list[bytes]:
        """The data of `received`."""
        return [data for data, _ in self.received()]


@pytest.fixture(autouse=True)
def close_rigs() -> Iterator[None]:
    """Closes the cards that a test made."""
    yield
    while Rig.open:
        Rig.open.pop().nic.close()


def untouched(rig: Rig, spans: Iterable[tuple[int, int]], before: bytes) -> bool:
    """Whether memory outside (begin, end) spans is what it was."""
    now, then = bytearray(rig.ram), bytearray(before)
    for begin, end in spans:
        now[begin:end] = then[begin:end] = bytes(end - begin)
    return now == then


def functions_memory(
    reads: list[tuple[int, int]] | None = None, change: Callable[[int, int, bytes], bytes] | None = None
) -> tuple[nicemu.GuestMemory, bytearray]:
    """Memory behind two functions, as that of an emulator that cannot map it; `change` may alter what a read yields."""
    ram = bytearray(bytes([PATTERN]) * MEMORY)

    def read(address: int, length: int) -> bytes:
        data = bytes(ram[address : address + length])
        if reads is not None:
            reads.append((address, length))
        return change(address, length, data) if change else data

    def write(address: int, data: bytes) -> None:
        ram[address : address + len(data)] = data

    memory = nicemu.GuestMemory()
    memory.add_functions(0, MEMORY, read, write)
    return memory, ram


def ones_sum(data: bytes, total: int = 0) -> int:
    """RFC 1071's sum, folded, as an independent judge."""
    data += b"\0" * (len(data) & 1)
    total += sum(data[i] << 8 | data[i + 1] for i in range(0, len(data), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total
