"""A client of QEMU's qtest protocol: a machine without a processor, driven access by access from here.

See QEMU's docs/devel/testing/qtest.rst for the protocol. The machine is a pc; its PCI bus is reached by configuration
mechanism 1 (PCI Local Bus Specification 3.2.2.3.2).
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .provision import Tree
from .qemu import Qemu, QemuError

SLOT = 5
BRIDGE_SLOT, BRIDGE_ROUTES = 1, 0x60  # the PIIX3's PIRQ routing registers
INTERRUPT = 11
MEMORY_WINDOW = 0xE0000000
IO_WINDOW = 0xC000
SLOT_IO, SLOT_MEMORY = 0x400, 0x1000000  # what each slot's BARs have there
COMMAND_IO, COMMAND_MEMORY, COMMAND_MASTER = 1, 2, 4
WIDTHS = {1: "b", 2: "w", 4: "l", 8: "q"}


@dataclass(frozen=True)
class Bar:
    """A base address register after it was placed."""

    io: bool
    base: int
    size: int


class Machine:
    """A running machine; every method is one or a few qtest commands and waits for their answers."""

    def __init__(self, qemu: Qemu, channel: socket.socket) -> None:
        self.qemu = qemu
        self.channel = channel
        self.lines = channel.makefile("rb")

    def command(self, *words: str) -> str:
        """Send one command; the text after OK. QemuError for any other answer."""
        self.channel.sendall(" ".join(words).encode() + b"\n")
        while line := self.lines.readline().decode().strip():
            if line.startswith("OK"):
                return line[3:]
            if not line.startswith("IRQ"):
                raise QemuError(f"qtest {' '.join(words)[:80]!r} was answered {line!r}")
        raise QemuError(f"QEMU ended at qtest {' '.join(words)[:80]!r}: {self.qemu.said()}")

    def read(self, bar: Bar, offset: int, size: int = 4) -> int:
        """Read a register of 1, 2, 4 or (in memory space) 8 bytes."""
        name = f"{'in' if bar.io else 'read'}{WIDTHS[size]}"
        return int(self.command(name, hex(bar.base + offset)), 16)

    def write(self, bar: Bar, offset: int, value: int, size: int = 4) -> None:
        """Write a register of 1, 2, 4 or (in memory space) 8 bytes."""
        self.command(f"{'out' if bar.io else 'write'}{WIDTHS[size]}", hex(bar.base + offset), hex(value))

    def peek(self, address: int, length: int) -> bytes:
        """Read guest memory."""
        return bytes.fromhex(self.command("read", hex(address), hex(length))[2:])

    def poke(self, address: int, content: bytes) -> None:
        """Write guest memory."""
        self.command("write", hex(address), hex(len(content)), "0x" + content.hex())

    def advance(self, nanoseconds: int) -> None:
        """Let virtual time pass: the timers of QEMU's own models run."""
        self.command("clock_step", str(nanoseconds))

    def config_read(self, offset: int, slot: int = SLOT) -> int:
        """Read a dword of configuration space, the card's unless another slot is given."""
        self.command("outl", "0xcf8", hex(0x80000000 | slot << 11 | offset & 0xFC))
        return int(self.command("inl", "0xcfc"), 16)

    def config_write(self, offset: int, value: int, slot: int = SLOT) -> None:
        """Write a dword of configuration space, the card's unless another slot is given."""
        self.command("outl", "0xcf8", hex(0x80000000 | slot << 11 | offset & 0xFC))
        self.command("outl", "0xcfc", hex(value))

    def route_interrupts(self) -> None:
        """Lead INTA to INTD to one level-triggered input of the second interrupt controller."""
        self.config_write(BRIDGE_ROUTES, INTERRUPT * 0x01010101, BRIDGE_SLOT)
        self.command("outb", "0x4d1", hex(1 << INTERRUPT - 8))

    def interrupt_line(self) -> bool:
        """Whether that input is high, from the controller's request register (8259A, OCW3)."""
        self.command("outb", "0xa0", "0x0a")
        return bool(int(self.command("inb", "0xa0"), 16) >> INTERRUPT - 8 & 1)

    def place_bars(self, slot: int = SLOT) -> dict[int, Bar]:
        """Size and place every BAR, then enable I/O, memory and bus mastering; BARs by number."""
        bars: dict[int, Bar] = {}
        next_base = {True: IO_WINDOW + (slot - SLOT) * SLOT_IO, False: MEMORY_WINDOW + (slot - SLOT) * SLOT_MEMORY}
        for number in range(6):
            offset = 0x10 + 4 * number
            self.config_write(offset, 0xFFFFFFFF, slot)
            answer = self.config_read(offset, slot)
            if answer in (0, 0xFFFFFFFF):
                continue
            io = bool(answer & 1)
            size = (~(answer & (0xFFFC if io else 0xFFFFFFF0)) & (0xFFFF if io else 0xFFFFFFFF)) + 1
            base = -(-next_base[io] // size) * size
            next_base[io] = base + size
            self.config_write(offset, base, slot)
            bars[number] = Bar(io, base, size)
        self.config_write(4, COMMAND_IO | COMMAND_MEMORY | COMMAND_MASTER, slot)
        return bars


@contextlib.contextmanager
def machine(tree: Tree, folder: Path, arguments: list[str], kind: type[Machine] = Machine) -> Iterator[Machine]:
    """A machine with those further QEMU options, for a ``with`` block."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(folder / "qtest"))
        listener.listen(1)
        listener.settimeout(30)
        control = ["-qtest", f"unix:{folder}/qtest", "-qtest-log", "none"]
        with Qemu(tree, folder, [*control, *arguments], accelerator="qtest") as qemu:
            try:
                channel, _ = listener.accept()
            except TimeoutError:
                raise QemuError(f"QEMU did not start: {qemu.said()}") from None
            with channel:
                channel.settimeout(30)
                yield kind(qemu, channel)
