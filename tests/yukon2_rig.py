"""A bare 88E8057 with lists at fixed places in guest memory: what the datapath tests drive by registers and bytes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
import pytest

import nicemu
from nicemu.backends import PythonBackend
from nicemu.devices.yukon2_descriptors import LIST_ELEMENT, OWNER, Control, Opcode, element
from nicemu.devices.yukon2_tables import MIB, MMIO

MAC = bytes.fromhex("525400123456")
PEER = bytes.fromhex("0200000000aa")
BROADCAST = b"\xff" * 6
TX_LIST, RX_LIST, STATUS_LIST = 0x8000, 0x10000, 0x18000
TX_BUFFERS, RX_BUFFERS = 0x100000, 0x400000
RX_STEP = 0x4000  #: from one receive buffer to the next
MEMORY = 16 << 20
SECOND = 1_000_000_000
STAT_BMU, IRQ_SW, PHY1, MAC1, HW_ERR = 1 << 30, 1 << 25, 1 << 4, 1 << 3, 1 << 31
EOP = int(Control.EOP)
SUMS = int(Control.CALSUM | Control.WR_SUM | Control.INIT_SUM | Control.LOCK_SUM)


def ethernet(
    destination: bytes = PEER, source: bytes = MAC, kind: int = 0x88B5, payload: bytes = b"", size: int = 60
) -> bytes:
    """A frame of `size` bytes (or more, if the payload is longer); what the payload leaves is a counting pattern."""
    frame = destination + source + kind.to_bytes(2, "big") + payload
    return frame + bytes(i & 0xFF for i in range(len(frame), size))


class Tap(PythonBackend):
    """A wire that keeps what is sent and takes at most `room` frames."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[bytes] = []
        self.room: int | None = None

    def send(self, frames: list[bytes]) -> int | None:
        take = len(frames) if self.room is None else min(self.room, len(frames))
        self.sent += frames[:take]
        if self.room is not None:
            self.room -= take
        return take


class Rig:
    """The card, its memory and its wire; the link is up, both FIFOs are on, no list is set up."""

    open: ClassVar[list[Rig]] = []

    def __init__(self, **options: Any) -> None:
        self.clock = options.setdefault("clock", nicemu.Clock.virtual())
        self.levels: list[bool] = []
        self.messages = 0
        self.tap = Tap()
        self.ram = bytearray(MEMORY)
        self.memory = nicemu.GuestMemory()
        self.memory.add(0, self.ram)
        self.nic = nicemu.create(
            "yukon2", mac=MAC.hex(":"), memory=self.memory, backend=self.tap,
            irq=self.levels.append, msi=self._message, **options,
        )  # fmt: skip
        Rig.open.append(self)
        self.nic.config.write(0x04, 0x0007, 2)
        self["B0_CTST"] = 2
        self["B0_CTST"] = 8
        self.clock.advance(10 * SECOND)
        self["GMAC_CTRL"] = 2
        for i in range(3):
            self["GM_SRC_ADDR_1", i] = int.from_bytes(MAC[2 * i : 2 * i + 2], "little")
        self["GM_RX_CTRL"] = 0xE000
        for name in ("RX_GMF_CTRL", "TX_GMF_CTRL"):
            self[name] = 2
            self[name] = 8
        self["STAT_CTRL"] = 1
        self["STAT_CTRL"] = 2
        self["STAT_LIST_ADDR_LO"], self["STAT_LIST_ADDR_HI"], self["STAT_LAST_IDX"] = STATUS_LIST, 0, 2047
        self["STAT_CTRL"] = 8
        self.taken = 0

    def _message(self) -> None:
        self.messages += 1

    # ------------------------------------------------------------------ registers

    def __getitem__(self, name: str | tuple[str, int]) -> int:
        """A guest's read, in the register's own width."""
        return self.nic.bars[0].read(*self._place(name))

    def __setitem__(self, name: str | tuple[str, int], value: int) -> None:
        """A guest's write."""
        offset, size = self._place(name)
        self.nic.bars[0].write(offset, value, size)

    @staticmethod
    def _place(name: str | tuple[str, int]) -> tuple[int, int]:
        register, index = (name, 0) if isinstance(name, str) else name
        return MMIO[register].offset + index * MMIO[register].stride, MMIO[register].size

    def counter(self, name: str) -> int:
        """A counter, both halves."""
        index = MIB.index(name)
        return self["GM_MIB_HIGH", index] << 16 | self["GM_MIB_LOW", index]

    def start_queue(self, name: str, at: int, count: int) -> None:
        """A queue and its list, as sky2 sets it up (8.2)."""
        for value in (0x16, 0xD28, 0x80):
            self[f"{name}_CSR"] = value
        self[f"{name}_PREF_CTRL"] = 1
        self[f"{name}_PREF_CTRL"] = 2
        self[f"{name}_PREF_ADDR_HI"], self[f"{name}_PREF_ADDR_LO"] = at >> 32, at & 0xFFFFFFFF
        self[f"{name}_PREF_LAST_IDX"] = count - 1
        self[f"{name}_PREF_CTRL"] = 8

    # ------------------------------------------------------------------ transmit

    def start_transmit(self, count: int = 64, queue: str = "XA1", at: int = TX_LIST) -> None:
        """A list, and GM_GP_CTRL.TX_ENA."""
        self.start_queue(queue, at, count)
        self.tx_count, self.tx_put, self.tx_at, self.queue = count, 0, at, queue
        self["GM_GP_CTRL"] |= 1 << 12

    def put(self, *elements: np.void, ring: bool = True) -> None:
        """Adds list elements and rings the doorbell."""
        for le in elements:
            self.memory.write(self.tx_at + 8 * self.tx_put, le.tobytes())
            self.tx_put = (self.tx_put + 1) % self.tx_count
        if ring:
            self[f"{self.queue}_PREF_PUT_IDX"] = self.tx_put

    def place(self, data: bytes, at: int = TX_BUFFERS) -> int:
        """Writes data into a buffer; returns its address."""
        self.memory.write(at, data)
        return at

    def send(self, frame: bytes, control: int = 0, *before: np.void, opcode: Opcode = Opcode.PACKET) -> None:
        """Sends a frame from one buffer, behind other elements."""
        at = self.place(frame, TX_BUFFERS + 0x11000 * (self.tx_put % 32))
        self.put(*before, element(opcode, at, len(frame), control | EOP))

    def take(self) -> list[bytes]:
        """What went out since the last call."""
        sent, self.tap.sent = self.tap.sent, []
        return sent

    # ------------------------------------------------------------------ receive

    def start_receive(self, buffers: int = 8, size: int = 2048, count: int = 64, control: int = 1 << 12) -> None:
        """A list of PACKETs and GM_GP_CTRL.RX_ENA; `control` goes to R1_CSR (bit 12: no sums)."""
        self.start_queue("R1", RX_LIST, count)
        self["R1_CSR"] = control
        self.rx_count, self.rx_put = count, 0
        self.give(*(element(Opcode.PACKET, RX_BUFFERS + RX_STEP * n, size) for n in range(buffers)))
        self["GM_GP_CTRL"] |= 1 << 11

    def give(self, *elements: np.void) -> None:
        """Adds receive list elements."""
        for le in elements:
            self.memory.write(RX_LIST + 8 * self.rx_put, le.tobytes())
            self.rx_put = (self.rx_put + 1) % self.rx_count
        self["R1_PREF_PUT_IDX"] = self.rx_put

    def arrive(self, *frames: bytes, flags: int = 0) -> None:
        """Frames come over the wire."""
        assert self.tap.deliver(frames, flags=flags) == len(frames)
        self.nic.poll()

    # ------------------------------------------------------------------ status

    def status(self) -> list[tuple[int, int, int]]:
        """(opcode, status, length) of what stands before STAT_PUT_IDX; each element must have HW_OWNER and link 0."""
        found = []
        while self.taken != self["STAT_PUT_IDX"]:
            at = STATUS_LIST + 8 * self.taken
            [le] = np.frombuffer(self.memory.read(at, 8), LIST_ELEMENT)
            assert le["opcode"] & OWNER, "STAT_PUT_IDX moved before the element was there"
            assert le["control"] == 0, "the link byte leads to a port that is not there"
            self.memory.write(at, bytes(8))
            found.append((int(le["opcode"]) & ~OWNER, int(le["address"]), int(le["length"])))
            self.taken = (self.taken + 1) % (self["STAT_LAST_IDX"] + 1)
        return found


@pytest.fixture(autouse=True)
def close_rigs() -> Iterator[None]:
    """Closes the cards that a test made."""
    yield
    while Rig.open:
        Rig.open.pop().nic.close()
