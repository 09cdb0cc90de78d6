"""What a frame costs on a wire over a Unix socket: nicemu's card and QEMU's beside the bare socket calls.

``python -m conformance.wire_bench [--rounds N] [--queue N]`` prints a table. All three are measured in turn, in rounds.
*out*: from the doorbell until the last of 2000 frames is with a sink in another process. *in*: from the first call of a
blaster until the last frame is in guest memory. The floor is that blaster into that sink, 64 frames to a call.
``--queue`` sets net.unix.max_dgram_qlen, in a network namespace of its own (root); the kernel's default is 10.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import mmap
import os
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import nicemu
from nicemu.backends import parse
from nicemu.drivers import attach
from nicemu.engine import lib

from .emulated import driven
from .provision import ensure
from .qemu import stop

HERE = Path(__file__).parent
FRAMES, RING = 2000, 4096
TIMES = 3
#: Bursts inward, of every side, for the first is the dearest: a peer that comes later would meet a link that QEMU's
#: card negotiates anew, in virtual time.
INWARD = {"dgram": TIMES, "stream": 1}
PATIENCE = 20.0
#: ns that a turn of our loop waits at most: a sink's count is no event, while frames that arrive are one.
LOOK, SLEEP = 10**6, 10**9
#: s in which QEMU has accepted a peer.
SETTLED = 0.05
CLONE_NEWNET = 0x40000000
#: What is measured: the wire, and the direction as seen from the card.
SUBJECTS = [(wire, way, size) for wire in ("dgram", "stream") for way in ("out", "in") for size in (60, 1514)]


class BenchError(Exception):
    """A tool or a side did not do its part."""


class Cost(NamedTuple):
    """ns per frame: elapsed, and of the processor for the end that is measured."""

    elapsed: float
    processor: float = float("nan")


@dataclass
class Side:
    """What one side took, a cost a burst."""

    costs: list[Cost] = field(default_factory=list)

    @property
    def elapsed(self) -> float:
        """The best."""
        return min(cost.elapsed for cost in self.costs)

    @property
    def processor(self) -> float:
        """The best."""
        return min(cost.processor for cost in self.costs)

    @property
    def shown(self) -> str:
        """Best and median of the elapsed time."""
        return f"{self.elapsed:.0f} ({statistics.median(cost.elapsed for cost in self.costs):.0f})"


@dataclass
class Row:
    """One subject."""

    wire: str
    way: str
    size: int
    floor: Side = field(default_factory=Side)
    ours: Side = field(default_factory=Side)
    qemu: Side = field(default_factory=Side)


def netdevs(wire: str, folder: Path) -> str:
    """The netdev of a card, QEMU's and ours alike; the far end is at ``far``."""
    if wire == "stream":
        return f"stream,addr.type=unix,addr.path={folder}/far"
    return f"dgram,local.type=unix,local.path={folder}/near,remote.type=unix,remote.path={folder}/far"


def incoming(wire: str, folder: Path) -> str:
    """The same where frames only arrive, at ``near``."""
    if wire == "stream":
        return f"stream,server=on,addr.type=unix,addr.path={folder}/near"
    return netdevs(wire, folder)


class Sink:
    """A process that counts the frames which arrive at ``far``, for a ``with`` block."""

    def __init__(self, tool: Path, wire: str, folder: Path) -> None:
        self.far = folder / "far"
        counts = folder / "counts"
        counts.write_bytes(bytes(4096))
        with open(counts, "r+b") as file:
            self._counts = mmap.mmap(file.fileno(), 4096)
        self.process = subprocess.Popen([tool, "sink", wire, self.far, counts])

    def __enter__(self) -> Sink:
        wait(lambda: struct.unpack_from("=Q", self._counts, 8)[0], "sink")
        return self

    def __exit__(self, *_: object) -> None:
        stop(self.process)

    @property
    def frames(self) -> int:
        """So far."""
        return int(struct.unpack_from("=Q", self._counts)[0])

    @property
    def processor(self) -> int:
        """ns of the processor so far (proc(5), schedstat)."""
        return int(Path(f"/proc/{self.process.pid}/schedstat").read_text().split()[0])


def wait(condition: Callable[[], object], what: str) -> None:
    """Look often, and let the others have the processor in between."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise BenchError(f"no {what} within {PATIENCE:.0f} s")
        time.sleep(2e-5)


def blast(tool: Path, wire: str, path: Path, size: int, buffers: int = 64) -> subprocess.Popen[bytes]:
    """A process that is connected and will send the frames when it is told to go."""
    command = [tool, "blast", wire, path, str(FRAMES), str(size), str(buffers)]
    blaster = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert blaster.stdout is not None
    if blaster.stdout.readline() != b"ready\n":
        raise BenchError("the blaster found nobody")
    return blaster


def go(blaster: subprocess.Popen[bytes]) -> None:
    """Have it begin."""
    assert blaster.stdin is not None
    with blaster.stdin:
        blaster.stdin.write(b"\n")


def told(blaster: subprocess.Popen[bytes]) -> tuple[int, int]:
    """When it began, and ns of the processor that it took."""
    assert blaster.stdout is not None
    with blaster.stdout:
        said = blaster.stdout.readline()
    if blaster.wait(PATIENCE) or not said:
        raise BenchError("the blaster failed")
    begun, used = said.split()
    return int(begun), int(used)


def floor(tool: Path, wire: str, way: str, size: int, folder: Path) -> list[Cost]:
    """Blaster to sink; the end that is measured is the one in our card's place, and sends from as many buffers."""
    taken, buffers = [], FRAMES if way == "out" else 64
    with Sink(tool, wire, folder) as sink:
        for number in range(1, (TIMES if way == "out" else INWARD[wire]) + 1):
            before = sink.processor
            blaster = blast(tool, wire, sink.far, size, buffers)
            go(blaster)
            wait(lambda number=number: sink.frames == number * FRAMES, "frames")
            end = time.monotonic_ns()
            begun, sending = told(blaster)
            used = sending if way == "out" else sink.processor - before
            taken.append(Cost((end - begun) / FRAMES, used / FRAMES))
    return taken


@contextlib.contextmanager
def our_card(netdev: str) -> Iterator[tuple[nicemu.Nic, nicemu.drivers.Driver]]:
    """Our card on that wire, and on a loop."""
    memory = nicemu.GuestMemory(64 << 20)
    with (
        parse(netdev) as backend,
        nicemu.create("e1000", memory=memory, loop=nicemu.Loop(), backend=backend) as nic,
    ):
        driver = attach(nic, tx_count=RING, rx_count=RING)
        driver.view[:] = bytes(driver.footprint)  # no page is touched for the first time
        driver.start()
        driver.wait(lambda: (backend.link_up and driver.link_up()) or netdev.startswith("stream,server"), "link")
        yield nic, driver


def cost(start: int, used: int) -> Cost:
    """Of a burst since then, by the clock and by this thread's processor time."""
    return Cost((time.monotonic_ns() - start) / FRAMES, (time.thread_time_ns() - used) / FRAMES)


def turn_until(nic: nicemu.Nic, condition: Callable[[], object], wait: int = LOOK) -> None:
    """Run the card's loop until the condition holds."""
    deadline = time.monotonic() + PATIENCE
    loop = nic.loop.handle
    while not condition():
        if lib.nic_loop_turn(loop, wait) or time.monotonic() > deadline:
            raise BenchError(f"no frames within {PATIENCE:.0f} s")


def ours_out(tool: Path, wire: str, size: int, folder: Path) -> list[Cost]:
    """Our card to the sink."""
    taken = []
    with Sink(tool, wire, folder) as sink, our_card(netdevs(wire, folder)) as (nic, driver):
        for number in range(1, TIMES + 1):
            for _ in range(FRAMES):
                driver.queue(b"\xff" * size)
            start, used = time.monotonic_ns(), time.thread_time_ns()
            driver.ring()
            turn_until(nic, lambda number=number: sink.frames == number * FRAMES)
            taken.append(cost(start, used))
    return taken


def ours_in(tool: Path, wire: str, size: int, folder: Path) -> list[Cost]:
    """The blaster to our card."""
    taken = []
    with our_card(incoming(wire, folder)) as (nic, driver):
        for _ in range(INWARD[wire]):
            assert nic.backend is not None
            before = nic.backend.counters.received_frames
            blaster = blast(tool, wire, folder / "near", size)
            turn_until(nic, lambda: nic.backend.link_up)
            go(blaster)
            used = time.thread_time_ns()
            turn_until(nic, lambda before=before: nic.backend.counters.received_frames == before + FRAMES, SLEEP)
            now = cost(0, used)
            taken.append(Cost(now.elapsed - told(blaster)[0] / FRAMES, now.processor))
            turn_until(nic, lambda: nic.backend.link_up is (wire == "dgram"), SLEEP)
            if len(driver.receive()) != FRAMES:
                raise BenchError("our card lost frames")
    return taken


def qemu_out(tool: Path, wire: str, size: int, folder: Path) -> list[Cost]:
    """QEMU's card to the sink."""
    taken = []
    with (
        Sink(tool, wire, folder) as sink,
        driven(ensure(), folder, "e1000", netdevs(wire, folder), tx_count=RING, rx_count=RING) as (_, driver),
    ):
        wait(driver.link_up, "link of QEMU's card")
        for number in range(1, TIMES + 1):
            for _ in range(FRAMES):
                driver.queue(b"\xff" * size)
            start = time.monotonic_ns()
            driver.ring()
            wait(lambda number=number: sink.frames == number * FRAMES, "frames of QEMU's card")
            taken.append(Cost((time.monotonic_ns() - start) / FRAMES))
    return taken


def qemu_in(tool: Path, wire: str, size: int, folder: Path) -> list[Cost]:
    """The blaster to QEMU's card."""
    taken = []
    with driven(ensure(), folder, "e1000", incoming(wire, folder), tx_count=RING, rx_count=RING) as (_, driver):
        for number in range(1, INWARD[wire] + 1):
            last = (number * FRAMES - 1) % RING
            blaster = blast(tool, wire, folder / "near", size)
            time.sleep(SETTLED)
            go(blaster)
            wait(lambda last=last: driver.rx["status"][last] & 1, "frames of QEMU's card")
            end = time.monotonic_ns()
            taken.append(Cost((end - told(blaster)[0]) / FRAMES))
            if len(driver.receive()) != FRAMES:
                raise BenchError("QEMU's card lost frames")
    return taken


def build(folder: Path) -> Path:
    """The tool, compiled."""
    tool = folder / "wire_tool"
    subprocess.run(["cc", "-O2", "-Wall", "-o", tool, HERE / "wire_tool.c"], check=True)
    return tool


def measure(rows: list[Row]) -> None:
    """One round: every side of every row in turn."""
    with tempfile.TemporaryDirectory(prefix="nicemu-wire-") as name:
        tool = build(Path(name))
        for row in rows:
            sides = (
                (row.floor, lambda tool, wire, size, folder, way=row.way: floor(tool, wire, way, size, folder)),
                (row.ours, ours_out if row.way == "out" else ours_in),
                (row.qemu, qemu_out if row.way == "out" else qemu_in),
            )
            for side, measured in sides:
                with tempfile.TemporaryDirectory(prefix="nicemu-wire-") as folder:
                    side.costs += measured(tool, row.wire, row.size, Path(folder))


def table(rows: list[Row]) -> str:
    """Best and median of each side, and how the bests compare; at the end the processor's time."""
    lines = [
        "| wire | way | bytes | floor | nicemu | QEMU | nicemu / floor | QEMU / nicemu | CPU floor | nicemu | ratio |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        floor, ours, qemu = row.floor, row.ours, row.qemu
        cells = (
            f"{row.wire} | {row.way} | {row.size} | {floor.shown} | {ours.shown} | {qemu.shown}",
            f"{ours.elapsed / floor.elapsed:.2f} | {qemu.elapsed / ours.elapsed:.1f}",
            f"{floor.processor:.0f} | {ours.processor:.0f} | {ours.processor / floor.processor:.2f}",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def set_queue(length: int) -> None:
    """Give this process a network namespace whose datagram sockets queue so many; OSError without the privilege."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "cannot make a network namespace")
    Path("/proc/sys/net/unix/max_dgram_qlen").write_text(str(length))


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m conformance.wire_bench", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--queue", type=int, help="net.unix.max_dgram_qlen, in a network namespace (root)")
    options = parser.parse_args()
    if options.queue is not None:
        set_queue(options.queue)
    print(f"ns per frame, best (median) of {options.rounds} rounds; {os.uname().release}\n")
    rows = [Row(*subject) for subject in SUBJECTS]
    for _ in range(options.rounds):
        measure(rows)
    print(table(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
