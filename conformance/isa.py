"""ISA boards for the differential: QEMU's by qtest, ours in this process, for vfio-user serves PCI functions only."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import nicemu
from nicemu.backends import Dgram

from .cards import MAC
from .nic import datagrams
from .provision import Tree
from .qtest import INTERRUPT, Bar, Machine, machine

IOBASE, PORTS = 0x300, 32
PLACE = f"iobase={IOBASE:#x},irq={INTERRUPT}"


class Slotted(Machine):
    """A machine whose board stands at fixed ports, on the line that is level-triggered for the scripts."""

    def place_bars(self) -> dict[int, Bar]:
        return {0: Bar(True, IOBASE, PORTS)}


class Here:
    """Our board, as scripts see a machine."""

    def __init__(self, nic: nicemu.Nic) -> None:
        self.nic = nic

    def route_interrupts(self) -> None:
        """Nothing lies between the board and who looks at its line."""

    def place_bars(self) -> dict[int, Bar]:
        return {0: Bar(True, 0, PORTS)}

    def read(self, bar: Bar, offset: int, size: int = 4) -> int:
        self.nic.poll()
        return self.nic.bars[0].read(offset, size)

    def write(self, bar: Bar, offset: int, value: int, size: int = 4) -> None:
        self.nic.bars[0].write(offset, value, size)
        self.nic.poll()

    def interrupt_line(self) -> bool:
        return self.nic.interrupt


@contextlib.contextmanager
def board(tree: Tree, folder: Path, model: str, local: Path, remote: Path, peer: bool) -> Iterator[Machine | Here]:
    """A machine with QEMU's board, or ours, on a wire of datagrams, for a ``with`` block."""
    if peer:
        device = f"{model},netdev=wire,mac={MAC},{PLACE}"
        arguments = ["-netdev", f"{datagrams(local, remote)},id=wire", "-device", device]
        with machine(tree, folder, arguments, Slotted) as computer:
            yield computer
        return
    wire = Dgram(local_path=local, remote_path=remote)
    nic = nicemu.create(model, mac=MAC, backend=wire, overflow="drop", iobase=IOBASE, irq_number=INTERRUPT)
    try:
        yield Here(nic)
    finally:
        nic.close()
