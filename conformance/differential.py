"""Holds a card against QEMU's own model of it: both do the same register scripts, and differ only where the file says.

``python -m conformance.differential e1000`` runs every script of ``conformance/scripts/e1000.py`` on QEMU's model and
on nicemu's card behind vfio-user, each in a fresh machine without a processor. What the two observed is held against
``conformance/differences/e1000.toml``, in which every difference stands with what each side showed, the section of
the manual that decides it, and why. A difference that is not listed, one that is listed and gone, and one that looks
other than listed are all errors. ``--stubs`` prints what is not listed in the file's form.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import hashlib
import importlib
import socket
import sys
import tempfile
import termios
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from . import isa
from .cards import card
from .nic import Peer, ServerError, Wired, datagrams
from .provision import ProvisionError, Tree, ensure
from .qemu import QemuError
from .qtest import Bar, Machine, machine
from .steps import Arrive, Config, Left, Line, Pass, Peek, Poke, Read, ReadConfig, Space, Step, Until, Write

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # type: ignore[import-not-found]

HERE = Path(__file__).parent
PATIENCE = 3.0
STRAY_FRAME_SECONDS = 0.05
TAKEN_SECONDS = 1.0  # after that, a frame is one that the other side holds back
INTERRUPT_SECONDS = 0.01  # from the card's process to the interrupt controller
#: Scripts for ISA boards, which no guest has: their model, by the same name in QEMU.
ISA = {"ne2000_isa": "ne2k_isa"}
Observations = dict[str, str]


class Scripts(Protocol):
    """What a file of ``conformance/scripts`` offers."""

    SCRIPTS: dict[str, list[Step]]

    def locate(self, register: str) -> tuple[Space, int]:
        """Space and offset of a register by name."""
        ...


@dataclass(frozen=True)
class Difference:
    """One listed observation: what each side shows, and why."""

    nicemu: str
    qemu: str
    section: str
    why: str


class Side:
    """One of the two machines while it does one script."""

    def __init__(
        self, computer: Machine | isa.Here, wire: socket.socket, remote: Path, scripts: Scripts, virtual: bool
    ) -> None:
        self.computer = computer
        self.wire = wire
        self.remote = remote
        self.scripts = scripts
        self.virtual = virtual
        computer.route_interrupts()
        bars = computer.place_bars()
        self.spaces = {"io" if bars[number].io else "memory": bars[number] for number in sorted(bars, reverse=True)}

    def perform(self, script: str, steps: Sequence[Step]) -> Observations:
        """Do every step; what was observed, by name."""
        seen: Observations = {}
        for step in steps:
            for name, value in self.step(step).items():
                if f"{script}/{name}" in seen:
                    raise ValueError(f"script {script} observes {name} twice")
                seen[f"{script}/{name}"] = value
        return seen

    def step(self, step: Step) -> Observations:
        match step:
            case Write(register, value, size):
                bar, offset = self.place(register)
                self.computer.write(bar, offset, value, size)
            case Read(register, name, mask, size):
                bar, offset = self.place(register)
                value = self.computer.read(bar, offset, size) & mask
                return {name or str(register): f"0x{value:0{2 * size}x}"}
            case Until(register, mask, value, name, size):
                reached = self.until(register, mask, value, size)
                return {name or f"{register} & {mask:#x} == {value:#x}": "reached" if reached else "never"}
            case Poke(address, content):
                self.computer.poke(address, content)
            case Peek(address, length, name):
                return {name: show(self.computer.peek(address, length))}
            case Config(offset, value):
                self.computer.config_write(offset, value)
            case ReadConfig(offset, name, mask):
                return {name: f"0x{self.computer.config_read(offset) & mask:08x}"}
            case Line(name):
                time.sleep(INTERRUPT_SECONDS)
                return {name: "asserted" if self.computer.interrupt_line() else "not asserted"}
            case Arrive(frame):
                self.arrive(frame)
            case Left(count, name):
                return self.left(count, name)
            case Pass(milliseconds):
                self.pass_time(milliseconds)
        return {}

    def place(self, register: str | tuple[Space, int]) -> tuple[Bar, int]:
        space, offset = self.scripts.locate(register) if isinstance(register, str) else register
        return self.spaces[space], offset

    def arrive(self, frame: bytes) -> None:
        """Sends a frame, and waits until the other side has taken it: what comes next finds it in the card.

        A side that holds it back leaves it in the socket.
        """
        self.wire.sendto(frame, str(self.remote))
        if isinstance(self.computer, isa.Here):  # nobody else reads the socket
            self.computer.nic.poll()
        deadline = time.monotonic() + TAKEN_SECONDS
        while waiting(self.wire) and time.monotonic() < deadline:
            time.sleep(0.0005)

    def pass_time(self, milliseconds: int) -> None:
        if self.virtual:
            self.computer.advance(milliseconds * 1_000_000)
        else:
            time.sleep(min(milliseconds, 20) / 1000)

    def until(self, register: str | tuple[Space, int], mask: int, value: int, size: int) -> bool:
        bar, offset = self.place(register)
        deadline = time.monotonic() + PATIENCE
        while self.computer.read(bar, offset, size) & mask != value:
            if time.monotonic() > deadline:
                return False
            self.pass_time(1)
            time.sleep(0.001)
        return True

    def left(self, count: int, name: str) -> Observations:
        frames: list[bytes] = []
        with contextlib.suppress(TimeoutError):
            while True:
                self.wire.settimeout(PATIENCE if len(frames) < count else STRAY_FRAME_SECONDS)
                frames.append(self.wire.recv(1 << 17))
        seen = {f"{name}[{number}]": show(frame) for number, frame in enumerate(frames)}
        return {f"{name} count": str(len(frames)), **seen}


def waiting(wire: socket.socket) -> int:
    """Bytes that were sent and not taken, as the kernel accounts them."""
    return int.from_bytes(fcntl.ioctl(wire, termios.TIOCOUTQ, bytes(4)), sys.byteorder)


def show(content: bytes) -> str:
    """Bytes as text that can be compared by eye where they are few, and by hash beyond that."""
    if len(content) <= 64:
        return content.hex()
    return f"{len(content)} bytes {content[:54].hex()}... sha256 {hashlib.sha256(content).hexdigest()[:16]}"


def observe(tree: Tree, name: str, scripts: Scripts, script: str, peer: bool) -> Observations:
    """One script on one side, in a machine of its own."""
    with tempfile.TemporaryDirectory(prefix="nicemu-diff-") as folder, contextlib.ExitStack() as stack:
        here = Path(folder)
        ours, theirs = here / "wire", here / "card"
        wire = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
        wire.bind(str(ours))
        if name in ISA.values():
            computer = stack.enter_context(isa.board(tree, here, name, theirs, ours, peer))
        else:
            nic: Peer | Wired = Peer(name, datagrams(theirs, ours)) if peer else Wired(name, here, theirs, ours)
            stack.enter_context(nic)
            computer = stack.enter_context(machine(tree, here, nic.arguments()))
        return Side(computer, wire, theirs, scripts, virtual=peer).perform(script, scripts.SCRIPTS[script])


def models(name: str) -> tuple[str, str]:
    """Our model and QEMU's of the card that scripts are for; ValueError where QEMU has none."""
    if name in ISA:
        return ISA[name], ISA[name]
    tested = card(name)
    if tested.peer is None:
        raise ValueError(f"QEMU has no model of {tested.model}")
    return tested.model, tested.peer


def load_scripts(name: str) -> Scripts:
    """The scripts of a card; ValueError when there are none."""
    try:
        module: Scripts = importlib.import_module(f"{__package__}.scripts.{name}")
    except ModuleNotFoundError as error:
        raise ValueError(f"no scripts for {name!r} in conformance/scripts") from error
    return module


def load_differences(name: str) -> dict[str, Difference]:
    """The listed differences by observation; ValueError for a file that lists one twice or leaves a reason out."""
    path = HERE / "differences" / f"{name}.toml"
    listed: dict[str, Difference] = {}
    for entry in tomllib.loads(path.read_text()).get("difference", []):
        if not entry.get("section") or not entry.get("why"):
            raise ValueError(f"{path.name}: {list(entry['seen'])[:1]} has no section or no reason")
        for observation, seen in entry["seen"].items():
            if observation in listed:
                raise ValueError(f"{path.name}: {observation} is listed twice")
            listed[observation] = Difference(seen["nicemu"], seen["qemu"], entry["section"], entry["why"])
    return listed


def complaints(script: str, ours: Observations, theirs: Observations, listed: dict[str, Difference]) -> Iterator[str]:
    """Everything in which the two sides and the file do not agree, for one script."""
    expected = {name: difference for name, difference in listed.items() if name.split("/")[0] == script}
    for name in [*theirs, *(name for name in ours if name not in theirs)]:
        nicemu, qemu = ours.get(name, "-"), theirs.get(name, "-")
        difference = expected.pop(name, None)
        if difference is None and nicemu != qemu:
            yield f"{name}: not listed: nicemu {nicemu}, QEMU {qemu}"
        elif difference is not None and nicemu == qemu:
            yield f"{name}: listed, but both show {nicemu}"
        elif difference is not None and (nicemu, qemu) != (difference.nicemu, difference.qemu):
            yield (
                f"{name}: listed as nicemu {difference.nicemu}, QEMU {difference.qemu}; "
                f"now nicemu {nicemu}, QEMU {qemu}"
            )
    for name in expected:
        yield f"{name}: listed, but nothing of that name was observed"


def stubs(ours: Observations, theirs: Observations, listed: dict[str, Difference]) -> Iterator[str]:
    """Lines for the file, for every difference that is not in it."""
    for name in [*theirs, *(name for name in ours if name not in theirs)]:
        nicemu, qemu = ours.get(name, "-"), theirs.get(name, "-")
        if nicemu != qemu and name not in listed:
            yield f'"{name}" = {{ nicemu = "{nicemu}", qemu = "{qemu}" }}'


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m conformance.differential", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("card", help="a file of conformance/scripts, such as e1000")
    parser.add_argument("--script", action="append", help="only this script; may be given again")
    parser.add_argument("--peer", action="store_true", help="only show what QEMU's own model does")
    parser.add_argument("--stubs", action="store_true", help="print unlisted differences in the file's form")
    options = parser.parse_args()
    found = 0
    try:
        scripts, tree, listed = load_scripts(options.card), ensure(), load_differences(options.card)
        model, model_of_qemu = models(options.card)
        for script in options.script or scripts.SCRIPTS:
            theirs = observe(tree, model_of_qemu, scripts, script, peer=True)
            if options.peer:
                print("\n".join(f"{name} = {value}" for name, value in theirs.items()))
                continue
            ours = observe(tree, model, scripts, script, peer=False)
            lines = list(stubs(ours, theirs, listed) if options.stubs else complaints(script, ours, theirs, listed))
            found += len(lines)
            print(f"# {script}: {len(theirs)} observations" if options.stubs else f"{script}: {len(theirs)} compared")
            print("".join(f"{line}\n" for line in lines), end="", flush=True)
    except (OSError, ProvisionError, QemuError, ServerError, ValueError) as error:
        print(f"differential: {error}", file=sys.stderr)
        return 1
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
