"""QEMU's own model of a card under nicemu's reference driver, by qtest: what stands at the far end of a wire.

To a driver it looks like a ``Nic``: BARs, configuration space, guest memory and a virtual clock.
"""

from __future__ import annotations

import contextlib
import mmap
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nicemu.drivers import Driver, attach

from .cards import MAC
from .provision import Tree
from .qemu import MEMORY, QemuError
from .qtest import SLOT, Bar, Machine, machine

#: QEMU's models take no frame for a second of virtual time after reception was switched on.
SETTLE = 2_000_000_000
DRIVER_AT = 16 << 20


class Registers:
    """A BAR as drivers see one."""

    def __init__(self, computer: Machine, bar: Bar) -> None:
        self.computer, self.bar = computer, bar

    def read(self, offset: int, size: int = 4) -> int:
        return self.computer.read(self.bar, offset, size)

    def write(self, offset: int, value: int, size: int = 4) -> None:
        self.computer.write(self.bar, offset, value, size)


class Config:
    """Configuration space, by dwords."""

    def __init__(self, computer: Machine) -> None:
        self.computer = computer

    def read(self, offset: int, size: int = 4) -> int:
        return self.computer.config_read(offset, SLOT) >> 8 * (offset & 3) & (1 << 8 * size) - 1

    def write(self, offset: int, value: int, size: int = 4) -> None:
        """Writes one field; the rest of its dword must not mind being written back."""
        shift = 8 * (offset & 3)
        rest = self.computer.config_read(offset, SLOT) & ~((1 << 8 * size) - 1 << shift)
        self.computer.config_write(offset, rest & 0xFFFF | value << shift, SLOT)


class Clock:
    """QEMU's virtual time, from 0 on."""

    is_virtual = True
    next_deadline = None

    def __init__(self, computer: Machine) -> None:
        self.computer, self.now = computer, 0

    def advance(self, ns: int) -> None:
        self.computer.advance(ns)
        self.now += ns


class Memory:
    """Guest memory, shared with QEMU through the file behind it."""

    def __init__(self, process: int) -> None:
        descriptors = Path(f"/proc/{process}/fd")
        found = [fd for fd in descriptors.iterdir() if os.readlink(fd).startswith("/memfd:memory-backend")]
        if not found:
            raise QemuError("QEMU has no memory that can be shared")
        with open(found[0], "r+b") as file:
            self._map = mmap.mmap(file.fileno(), MEMORY)

    def view(self, address: int, length: int) -> memoryview:
        return memoryview(self._map)[address : address + length]


class Emulated:
    """The card; ``CARD`` and ``MODEL`` choose its driver."""

    def __init__(self, computer: Machine, model: str) -> None:
        self.CARD = self.MODEL = model
        self.bars = {number: Registers(computer, bar) for number, bar in computer.place_bars().items()}
        self.config = Config(computer)
        self.clock = Clock(computer)
        self.memory = Memory(computer.qemu.process.pid)

    def poll(self) -> None:
        """Nothing to do: QEMU runs by itself."""


@contextlib.contextmanager
def driven(tree: Tree, folder: Path, model: str, netdev: str, **options: Any) -> Iterator[tuple[Machine, Driver]]:
    """A machine with QEMU's card on that netdev, its driver started, for a ``with`` block."""
    arguments = ["-netdev", f"{netdev},id=wire", "-device", f"{model},netdev=wire,id=nic,mac={MAC},addr=5,romfile="]
    with machine(tree, folder, arguments) as computer:
        card: Any = Emulated(computer, model)
        driver = attach(card, base=DRIVER_AT, **options)
        computer.command("memset", hex(DRIVER_AT), hex(driver.footprint), "0")  # QEMU has touched all of it
        driver.start()
        computer.advance(SETTLE)
        yield computer, driver
