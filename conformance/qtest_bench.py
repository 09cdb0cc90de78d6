"""QEMU's own model of a card under the workloads of ``nicemu.bench``, through qtest: ``python -m nicemu bench --peer``.

The accesses of many turns go to QEMU in one piece, and the register read at the end of each turn is answered when its
frames are done; what the same text costs without the doorbell, the protocol included, is taken off. No frame arrives
here, for any netdev costs more than the card: reception is what the PHY's loopback costs more than sending does, or
what a second card on a hub adds to the first one's sending.
"""

from __future__ import annotations

import base64
import contextlib
import functools
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from nicemu.bench import BenchError, per_frame
from nicemu.devices import find_class
from nicemu.drivers.workload import Flag, Marks, Port, Read, Step, Store, Until, Workload, Write

from .cards import MAC, card
from .provision import LOADER, Tree, ensure
from .qtest import WIDTHS, Bar, Machine, machine

CHUNK = 1 << 20
COUNTED_TURNS = 10
PATIENCE = 5.0
#: QEMU's model takes no frame for a second of virtual time after reception was switched on.
SETTLE = 2_000_000_000
FAR_SLOT, FAR_MAC = 6, "52:54:00:12:34:57"  # the second card, where a workload has one


class Session:
    """A machine that is set up for one workload."""

    def __init__(self, computer: Machine, workload: Workload) -> None:
        self.computer = computer
        self.workload = workload
        self.bars = computer.place_bars()
        if workload.hub:
            far = computer.place_bars(FAR_SLOT)
            for step in workload.hub:
                self.perform(step, far)
        for step in workload.setup:
            self.perform(step, self.bars)
        computer.advance(SETTLE)
        self.turn = self.text(workload.back + workload.kick + workload.fence)
        self.rest = self.text(workload.back + workload.rest + workload.fence)
        self.turns(1)

    def perform(self, step: Step, bars: dict[int, Bar]) -> None:
        match step:
            case Write(bar, offset, value, size):
                self.computer.write(bars[bar], offset, value, size)
            case Read(bar, offset, size):
                self.computer.read(bars[bar], offset, size)
            case Store(address, content):
                for at in range(0, len(content), CHUNK):
                    part = content[at : at + CHUNK]
                    coded = base64.b64encode(part).decode()
                    self.computer.command("b64write", hex(address + at), hex(len(part)), coded)
            case Until(bar, offset, mask, value):
                deadline = time.monotonic() + PATIENCE
                while self.computer.read(bars[bar], offset) & mask != value:
                    if time.monotonic() > deadline:
                        raise BenchError(f"QEMU, {self.workload.name}: {offset:#x} & {mask:#x} never was {value:#x}")
                    self.computer.advance(1_000_000)

    def text(self, steps: Sequence[Step]) -> str:
        """The steps of a turn in qtest's words, a line each."""
        lines = []
        for step in steps:
            match step:
                case Write(bar, offset, value, size):
                    lines.append(f"{verb(self.bars[bar], 'write', size)} {self.bars[bar].base + offset:#x} {value:#x}")
                case Read(bar, offset, size):
                    lines.append(f"{verb(self.bars[bar], 'read', size)} {self.bars[bar].base + offset:#x}")
                case Store(address, content):
                    coded = base64.b64encode(content).decode()
                    lines.append(f"b64write {address:#x} {len(content):#x} {coded}")
                case _:
                    raise BenchError(f"QEMU, {self.workload.name}: {step} is not for qtest")
        return "".join(f"{line}\n" for line in lines)

    def play(self, text: str, times: int) -> int:
        """Send the text so many times over at once; ns until the last answer."""
        begun = time.perf_counter_ns()
        self.computer.channel.sendall((text * times).encode())
        for _ in range(text.count("\n") * times):
            answer = self.computer.lines.readline()
            if not answer.startswith(b"OK"):
                raise BenchError(f"QEMU, {self.workload.name}: qtest answered {answer!r}")
        return time.perf_counter_ns() - begun

    def count(self, times: int) -> int:
        """Frames since the last count; where they leave marks, those of the last turn stand for all ``times``."""
        counter = self.workload.counter
        if isinstance(counter, Port):
            raise BenchError(f"QEMU, {self.workload.name}: nothing counts these frames there")
        if isinstance(counter, Marks):
            return times * counter.count(self.computer.peek(counter.address, counter.stride * self.workload.frames))
        if isinstance(counter, Flag):
            done = self.computer.read(self.bars[counter.bar], counter.offset, 1) & counter.mask == counter.value
            return times * self.workload.frames if done else 0
        return self.computer.read(self.bars[counter.bar], counter.offset, counter.size)

    def turns(self, times: int) -> int:
        """Play so many turns; ns taken. BenchError if the card counted other than their frames."""
        self.count(times)
        taken = self.play(self.turn, times)
        counted = self.count(times)
        if counted != times * self.workload.frames:
            expected = times * self.workload.frames
            raise BenchError(f"QEMU, {self.workload.name}: {counted} frames counted, not {expected}")
        return taken

    def idle(self, times: int) -> int:
        """Play so many turns without their doorbells; ns taken."""
        return self.play(self.rest, times)


def verb(bar: Bar, kind: str, size: int) -> str:
    """qtest's command for an access."""
    return {"read": "in", "write": "out"}[kind] + WIDTHS[size] if bar.io else kind + WIDTHS[size]


def cards_on_a_wire(peer: str, hub: Sequence[Step] | None) -> list[str]:
    """QEMU's options for one card without a wire, one on a hub, or two."""
    if hub is None:
        return ["-device", f"{peer},mac={MAC},addr=5,romfile="]
    cards = [(5, MAC), (FAR_SLOT, FAR_MAC)][: 2 if hub else 1]
    return [
        option
        for slot, mac in cards
        for option in ("-netdev", f"hubport,id=port{slot},hubid=0",
                       "-device", f"{peer},netdev=port{slot},mac={mac},addr={slot},romfile=")
    ]  # fmt: skip


@contextlib.contextmanager
def session(tree: Tree, model: str, workload: Workload) -> Iterator[Session]:
    """A fresh QEMU with its model of the card, set up for the workload: no netdev, or a hub, perhaps a second card."""
    found = card(find_class(model).CARD)
    peer = found.peer if found.model == model else None
    if peer is None:
        raise BenchError(f"QEMU has no model of {model}")
    with (
        tempfile.TemporaryDirectory(prefix="nicemu-bench-") as folder,
        machine(tree, Path(folder), cards_on_a_wire(peer, workload.hub)) as computer,
    ):
        yield Session(computer, workload)


def measure_once(model: str, workload: Workload) -> float:
    """One round, in a QEMU of its own: ns per frame."""
    if workload.instead is not None:
        both, one = (measure_once(model, part) for part in workload.instead)
        return both - one
    with session(ensure(), model, workload) as found:
        return per_frame(found.turns, found.idle, workload.frames)


@dataclass(frozen=True)
class Counted(Tree):
    """A tree whose QEMU runs under valgrind, which counts its instructions into the file ``log``."""

    log: Path = field(default_factory=Path)

    def qemu(self) -> list[str]:
        command = super().qemu()
        at = command.index(str(self.root / LOADER))
        counter = [sys.executable, "-m", "conformance.without_io_uring", "valgrind", "--tool=cachegrind"]
        counter += ["--cache-sim=no", "--cachegrind-out-file=/dev/null", f"--log-file={self.log}"]
        return [*command[:at], *counter, *command[at:]]


def instructions_of(model: str, workload: Workload, turns: int) -> int:
    """Of a whole life of QEMU with so many turns in it."""
    with tempfile.TemporaryDirectory(prefix="nicemu-bench-") as folder:
        log = Path(folder) / "log"
        with session(Counted(ensure().path, log), model, workload) as found:
            found.turns(turns)
            found.computer.qemu.command("quit")
            found.computer.qemu.process.wait(30)
        counted = re.search(r"I\s+refs:\s+([\d,]+)", log.read_text())
    if counted is None:
        raise BenchError(f"valgrind counted nothing: {log}")
    return int(counted[1].replace(",", ""))


@functools.cache
def count_instructions(model: str, workload: Workload) -> float:
    """User-mode instructions per frame: those of a QEMU that does many turns less those of one that does a few."""
    if shutil.which("valgrind") is None:
        raise BenchError("--instructions needs valgrind (package valgrind)")
    if workload.instead is not None:
        both, one = (count_instructions(model, part) for part in workload.instead)
        return both - one
    few, many = 1, 1 + COUNTED_TURNS
    return (instructions_of(model, workload, many) - instructions_of(model, workload, few)) / (
        COUNTED_TURNS * workload.frames
    )
