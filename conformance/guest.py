"""Boots Linux with the card under test and runs the card's guest table.

``python -m conformance.guest e1000 [--kernel 6.12] [--peer] [--only NAME]`` prints one table; the exit status tells.
``--soak SECONDS`` runs mixed traffic for that long in place of the card's checks, and has the kernel's log judged.
The guest's console goes to a log in the cache; orders and results travel on a second serial port, see
``guest/agent``.
"""

from __future__ import annotations

import argparse
import contextlib
import re
import shlex
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from . import image
from .cards import Card, Check, card, soak
from .nic import Nic, Peer, Served, ServerError, Wired, datagrams
from .provision import KERNEL_SUITES, ProvisionError, Tree, cache, ensure
from .qemu import Qemu, QemuError
from .services import Services
from .station import Station

BOOT_SECONDS = 120


class GuestError(Exception):
    """The guest did not boot, died or fell silent; the text names the console log."""


@dataclass
class Result:
    """What became of one check on one kernel."""

    check: Check
    kernel: str
    complaints: list[str]
    seconds: float = 0.0
    note: str = ""
    output: str = ""

    @property
    def passed(self) -> bool:
        return not self.complaints


@dataclass
class Said:
    """What a script said: its lines, its notes, and its exit status."""

    lines: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    status: int = 0


class Guest:
    """A booted guest that takes orders on its second serial port."""

    def __init__(self, qemu: Qemu, nic: Nic, port: socket.socket, console: Path, act: Callable[[str], None]) -> None:
        self.qemu = qemu
        self.nic = nic
        self.port = port
        self.console = console
        self.act = act
        self.pending = b""
        self.transcript = console.with_suffix(".txt")
        self.transcript.write_text("")
        first = self.line(time.monotonic() + BOOT_SECONDS)
        if not first.startswith("@@ready "):
            raise GuestError(f"the guest's first word was {first!r}; console: {console}")
        self.release = first.split()[1]

    def line(self, deadline: float) -> str:
        """The next line from the guest; GuestError at the deadline or when QEMU ends."""
        while b"\n" not in self.pending:
            self.port.settimeout(max(0.01, deadline - time.monotonic()))
            try:
                data = self.port.recv(65536)
            except TimeoutError:
                raise GuestError(f"the guest fell silent; console: {self.console}") from None
            if not data:
                raise GuestError(f"QEMU ended: {self.qemu.said()}; console: {self.console}")
            self.pending += data
        line, self.pending = self.pending.split(b"\n", 1)
        with open(self.transcript, "ab") as transcript:
            transcript.write(line + b"\n")
        return line.decode(errors="replace").rstrip("\r")

    def run(self, check: Check) -> Said:
        """Run the check's script in the guest, acting for it where it asks the host to."""
        with open(self.transcript, "a") as transcript:
            transcript.write(f"== {check.name}\n")
        order = shlex.join(["run", str(check.seconds), check.name, check.script, *check.arguments])
        self.port.sendall(order.encode() + b"\n")
        said = Said()
        deadline = time.monotonic() + check.seconds + 20
        while True:
            line = self.line(deadline)
            verb, _, rest = line.partition(" ")
            if verb == "@@end":
                said.status = int(rest)
                return said
            if verb == "@@note":
                said.notes.append(rest)
            elif verb == "@@ask":
                self.port.sendall(self.answer(rest).encode() + b"\n")
            else:
                said.lines.append(line)

    def answer(self, request: str) -> str:
        """Do what the guest asks; OK, or ERR and why not."""
        try:
            self.act(request)
        except (OSError, QemuError, ServerError, ValueError) as error:
            return f"ERR {' '.join(str(error).split())}"
        return "OK"


@contextlib.contextmanager
def booted(
    tree: Tree, version: str, nic: Nic, console: Path, parameters: dict[str, str], far: Station | None
) -> Iterator[Guest]:
    """A guest with that kernel and card, its parameters in the environment of every script, for a ``with`` block."""
    kernel = tree.kernel(version)
    with tempfile.TemporaryDirectory(prefix="nicemu-guest-") as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        initrd = folder / "initrd"
        initrd.write_bytes(image.image(tree, version).read_bytes() + image.scripts())
        listener = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
        listener.bind(str(folder / "agent"))
        listener.listen(1)
        listener.settimeout(30)
        words = " ".join(f"conformance.{key}={value}" for key, value in parameters.items())
        qemu = stack.enter_context(Qemu(tree, folder, [
            "-chardev", f"file,id=console,path={console}", "-serial", "chardev:console",
            "-chardev", f"socket,id=agent,path={folder}/agent", "-serial", "chardev:agent",
            "-kernel", str(kernel.image), "-initrd", str(initrd),
            "-append", f"console=ttyS0 panic=-1 rdinit=/{image.SCRIPTS_AT}/init {words}",
            *nic.arguments(),
        ]))  # fmt: skip
        try:
            port, _ = listener.accept()
        except TimeoutError:
            raise GuestError(f"QEMU did not start: {qemu.said()}") from None
        stack.enter_context(port)

        def act(request: str) -> None:
            match request.split():
                case ["link", ("on" | "off") as state]:
                    nic.set_link(qemu, up=state == "on")
                case ["speak", vlan, count] if far is not None:
                    far.speak(int(vlan), int(count))
                case _:
                    raise ValueError(f"unknown request {request!r}")

        yield Guest(qemu, nic, port, console, act)


def judge(check: Check, said: Said) -> list[str]:
    """Everything that speaks against a check having passed."""
    text = "\n".join(said.lines)
    complaints = [line for line in said.lines if line.startswith("FAIL: ")]
    if said.status in (124, 137, 143):
        complaints.append(f"not done after {check.seconds} s")
    elif said.status and not complaints:
        complaints.append(f"status {said.status}")
    if said.status == 0:
        complaints += [f"not shown: {p}" for p in check.expect if not re.search(p, text, re.MULTILINE)]
        complaints += check.judge(text) if check.judge else []
    return complaints


def run_table(tested: Card, version: str, peer: bool = False, only: str | None = None) -> Iterator[Result]:
    """Boot one kernel and run the card's checks, in order; a guest that dies fails every check that is left.

    ``peer`` takes QEMU's own model; ``only`` takes the checks whose name has that text. Raises ProvisionError,
    ServerError, QemuError or GuestError when it does not come as far as a booted guest, ValueError when QEMU has no
    model of the card.
    """
    wanted = (only or "").lower()
    checks = [check for check in tested.checks if check.script == "probe" or wanted in check.name.lower()]
    for station in (False, True):
        part = [check for check in checks if check.station == station]
        if part:
            with guest_of(tested, version, peer, station) as guest:
                yield from run_checks(guest, version, part)


@contextlib.contextmanager
def guest_of(tested: Card, version: str, peer: bool = False, station: bool = False) -> Iterator[Guest]:
    """A booted guest with the card, or QEMU's own, on the user network or facing a station."""
    tree = ensure()
    logs = cache() / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    model = tested.model.replace(",", "-").replace("=", "-")  # with options, which QEMU would take for its own
    console = logs / f"guest-{model}-{version}{'-station' * station}{'-peer' * peer}.log"
    with tempfile.TemporaryDirectory(prefix="nicemu-nic-") as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        services = stack.enter_context(Services(tree))
        far = stack.enter_context(Station(folder / "station", folder / "card")) if station else None
        nic = stack.enter_context(make_nic(tested, peer, folder, far))
        ports = {"iperf": str(services.iperf), "service": str(services.service)}
        demands = {"least": str(tested.least), "lines": str(tested.lines)}
        parameters = {"module": tested.module, "options": tested.options, **demands, **ports}
        yield stack.enter_context(booted(tree, version, nic, console, parameters, far))


def make_nic(tested: Card, peer: bool, folder: Path, far: Station | None) -> Nic:
    """The card itself, or QEMU's own; ValueError when QEMU has none."""
    if peer and tested.peer is None:
        raise ValueError(f"QEMU has no model of {tested.model}")
    if peer and tested.peer:
        return Peer(tested.peer, datagrams(far.remote, far.local) if far else "user")
    return Wired(tested.model, folder, far.remote, far.local) if far else Served(tested.model, folder)


def run_checks(guest: Guest, version: str, checks: list[Check]) -> Iterator[Result]:
    """Every check's result; once the guest is lost, the loss is the result."""
    lost: str | None = None
    for check in checks:
        if lost is not None:
            yield Result(check, version, [f"not run: {lost}"])
            continue
        start = time.monotonic()
        try:
            before = traffic(guest) if check.script == "soak" else {}
            said = guest.run(check)
        except GuestError as error:
            lost = str(error)
            yield Result(check, version, [lost], time.monotonic() - start)
        else:
            seconds = time.monotonic() - start
            if before:
                said.notes += [f"{count - before[way]} frames {way}" for way, count in traffic(guest).items()]
            yield Result(check, version, judge(check, said), seconds, ", ".join(said.notes), "\n".join(said.lines))


def traffic(guest: Guest) -> dict[str, int]:
    """Frames that the card sent and received so far, for a card of ours."""
    if not isinstance(guest.nic, Served):
        return {}
    counters = guest.nic.counters()
    return {"out": counters["port_sent_frames"], "in": counters["port_received_frames"]}


def soaked(tested: Card, seconds: int) -> Card:
    """The card with nothing to pass but a long time of traffic."""
    kept = [check for check in tested.checks if check.script in ("probe", "kernel-log") and not check.station]
    return replace(tested, checks=(kept[0], soak(seconds), *kept[1:]))


def table(title: str, results: list[Result]) -> str:
    """One table: a row a check, a column a kernel, then the complaints."""
    kernels = list(dict.fromkeys(result.kernel for result in results))
    names = list(dict.fromkeys(result.check.name for result in results))
    found = {(result.check.name, result.kernel): result for result in results}
    rows = [[title, *(f"Linux {kernel}" for kernel in kernels)]]
    for name in names:
        cells = [found.get((name, kernel)) for kernel in kernels]
        rows.append([name, *("" if cell is None else describe(cell) for cell in cells)])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    lines.insert(1, "  ".join("-" * width for width in widths))
    failed = [result for result in results if not result.passed]
    for result in failed:
        lines.append(f"\n{result.check.name} on Linux {result.kernel}: " + "; ".join(result.complaints))
        lines += ["    " + line for line in result.output.splitlines()[-60:]]
    lines.append(f"\n{len(results) - len(failed)} passed, {len(failed)} failed")
    return "\n".join(lines)


def describe(result: Result) -> str:
    """A cell: the word, the seconds, and what the check noted."""
    return f"{'PASS' if result.passed else 'FAIL'} {result.seconds:5.1f} s  {result.note}".rstrip()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m conformance.guest", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("card", help="a file of conformance/cards, such as e1000")
    parser.add_argument("--kernel", choices=list(KERNEL_SUITES), action="append", help="default: each of them")
    parser.add_argument("--peer", action="store_true", help="QEMU's own model in place of nicemu's")
    parser.add_argument("--only", metavar="NAME", help="only checks whose name has this text (probe always runs)")
    parser.add_argument("--soak", metavar="SECONDS", type=int, help="mixed traffic for so long in place of the checks")
    options = parser.parse_args()
    results: list[Result] = []
    try:
        tested = card(options.card)
        if options.soak:
            tested = soaked(tested, options.soak)
        for version in options.kernel or KERNEL_SUITES:
            for result in run_table(tested, version, options.peer, options.only):
                print(f"{version}: {result.check.name}: {describe(result)}", file=sys.stderr, flush=True)
                results.append(result)
    except (GuestError, ProvisionError, QemuError, ServerError, ValueError) as error:
        print(f"guest: {error}", file=sys.stderr)
        return 1
    print(table(f"{tested.model}{' (QEMU)' if options.peer else ''}", results))
    return 0 if results and all(result.passed for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())
