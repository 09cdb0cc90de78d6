"""Benchmarks of the data path: `python -m nicemu bench [MODEL...]`.

What is measured is the card, not a driver: rings and buffers stand ready in guest memory, and a script of register
accesses, played from C, puts the ring back, rings the doorbell and reads a register.  The time of the same script
without the doorbell is taken off.  Frames go to the `null` backend and come from a source in C.

A machine has slow and fast spells, so each workload is measured in rounds of fresh processes, and with `--peer` each
round is followed by one of QEMU's own model of the card, which a checkout's `conformance` drives by the same script
through qtest.  What is told is the best round, the median, and the median of the rounds' ratios.
"""

from __future__ import annotations

import json
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from nicemu.cli import Parser
from nicemu.devices import find_class, models
from nicemu.drivers.workload import (
    Arrive,
    Block,
    Flag,
    Marks,
    Port,
    Read,
    Step,
    Store,
    Until,
    Workload,
    Write,
    workloads,
)
from nicemu.errors import ConfigurationError, NicemuError

__all__ = ["Bench", "BenchError", "Row", "main", "measured"]

MAC = "52:54:00:12:34:56"
MEMORY = 64 << 20
DOORBELLS, REPEATS, ROUNDS = 4, 20, 5
LEAST = 4 * 1024  #: frames of a measurement, where a ring is short
PATIENCE = 10.0


def measured() -> list[str]:
    """The models that have workloads."""
    return [
        info.name for info in models() if find_spec(f"nicemu.drivers.{find_class(info.name).CARD}_bench") is not None
    ]


class BenchError(NicemuError):
    """A card did not do the work that was to be measured, or a tool that measures is missing."""


# ------------------------------------------------------------------------------------------------- in this process


class Bench:
    """A card in this process, set up for one workload.

    Raises BenchError if the card does not get ready for it.
    """

    def __init__(self, model: str, workload: Workload) -> None:
        from nicemu import GuestMemory, create
        from nicemu.backends import Null

        self.workload = workload
        self._port = 0
        self.memory = GuestMemory(MEMORY)
        self.wire = Null()
        self.nic = create(model, mac=MAC, memory=self.memory, backend=self.wire)
        if self.nic.FUNCTION:
            self.nic.config.write(0x04, 7, 2)  # decoding and bus mastering
        for step in workload.setup:
            self._perform(step)
        self._turn = self._script(workload.back + workload.kick + workload.fence)
        self._idle = self._script(workload.back + workload.rest + workload.fence)
        self.turns(1)

    def _perform(self, step: Step) -> None:
        match step:
            case Write(bar, offset, value, size):
                self.nic.bars[bar].write(offset, value, size)
            case Read(bar, offset, size):
                self.nic.bars[bar].read(offset, size)
            case Block(bar, offset, size, count, content):
                if content:
                    self.nic.bars[bar].write_repeat(offset, size, content)
                else:
                    self.nic.bars[bar].read_repeat(offset, size, count)
            case Store(address, content):
                self.memory.write(address, content)
            case Until(bar, offset, mask, value):
                deadline = time.monotonic() + PATIENCE
                while self.nic.bars[bar].read(offset) & mask != value:
                    if time.monotonic() > deadline:
                        raise BenchError(f"{self.workload.name}: register {offset:#x} & {mask:#x} never was {value:#x}")
                    self.nic.loop.turn(0.001)
            case Arrive():
                raise BenchError("frames can arrive in a turn only")

    def _script(self, steps: Sequence[Step]) -> tuple[Any, int, list[Any]]:
        """The steps as C takes them, how many, and what keeps their data alive."""
        from nicemu.engine import ffi, lib

        script, kept = ffi.new("nic_step[]", len(steps)), []
        for entry, step in zip(script, steps, strict=True):
            match step:
                case Write(bar, offset, value, size):
                    entry.kind, entry.space, entry.offset, entry.value = lib.NIC_STEP_WRITE, bar, offset, value
                    entry.size = size
                case Read(bar, offset, size):
                    entry.kind, entry.space, entry.offset, entry.size = lib.NIC_STEP_READ, bar, offset, size
                case Block(bar, offset, size, count, data):
                    entry.kind = lib.NIC_STEP_WRITE_BLOCK if data else lib.NIC_STEP_READ_BLOCK
                    entry.space, entry.offset, entry.size, entry.value = bar, offset, size, count
                    kept.append(ffi.from_buffer(data))
                    entry.data, entry.length = kept[-1], len(data)
                case Store(address, data) | Arrive(address, data):
                    entry.kind = lib.NIC_STEP_STORE if isinstance(step, Store) else lib.NIC_STEP_ARRIVE
                    entry.offset = entry.value = address
                    kept.append(ffi.from_buffer(data))
                    entry.data, entry.length = kept[-1], len(data)
                case Until():
                    raise BenchError("a turn waits for nothing")
        return script, len(steps), kept

    def _play(self, script: tuple[Any, int, list[Any]], times: int) -> int:
        from nicemu.engine import lib

        steps, count, _ = script
        begun = time.perf_counter_ns()
        done = lib.nic_play(self.nic.handle, steps, count, times)
        taken = time.perf_counter_ns() - begun
        if not done:
            raise BenchError(f"{self.workload.name}: the card did not take every frame, or there is no such memory")
        return taken

    def _count(self, times: int) -> int:
        """Frames since the last count; where they leave marks, those of the last turn stand for all `times`."""
        counter, frames = self.workload.counter, self.workload.frames
        if isinstance(counter, Port):
            before, self._port = self._port, self.nic.counters[counter.name]
            return self._port - before
        if isinstance(counter, Marks):
            return times * counter.count(self.memory.read(counter.address, counter.stride * frames))
        if isinstance(counter, Flag):
            done = self.nic.bars[counter.bar].read(counter.offset, 1) & counter.mask == counter.value
            return times * frames if done else 0
        return self.nic.bars[counter.bar].read(counter.offset, counter.size)

    def turns(self, times: int) -> int:
        """Plays so many turns; ns taken.  BenchError if the card counted other than their frames."""
        self._count(times)
        taken = self._play(self._turn, times)
        counted = self._count(times)
        if counted != times * self.workload.frames:
            raise BenchError(f"{self.workload.name}: {counted} frames counted, not {times * self.workload.frames}")
        return taken

    def idle(self, times: int) -> int:
        """Plays so many turns without what their doorbells do; ns taken."""
        return self._play(self._idle, times)

    def close(self) -> None:
        """Frees card and wire."""
        self.nic.close()
        self.wire.close()


def per_frame(turns: Callable[[int], int], idle: Callable[[int], int], frames: int) -> float:
    """ns per frame: the median of REPEATS measurements of DOORBELLS turns each, more of short ones, less idle ones."""
    times = max(DOORBELLS, LEAST // frames)
    net = [turns(times) - idle(times) for _ in range(REPEATS)]
    return statistics.median(net) / (times * frames)


def measure_once(model: str, workload: Workload) -> float:
    """One round in this process: ns per frame."""
    bench = Bench(model, workload)
    try:
        return per_frame(bench.turns, bench.idle, workload.frames)
    finally:
        bench.close()


# ------------------------------------------------------------------------------------------------- rounds


@dataclass
class Row:
    """A workload's results: ns per frame of every round, ours and the peer's, and instructions per frame."""

    model: str
    workload: str
    frames: int
    rounds: list[float] = field(default_factory=list)
    peer: list[float] = field(default_factory=list)
    instructions: float | None = None
    peer_instructions: float | None = None

    @property
    def ratio(self) -> float | None:
        """The median of the rounds' ratios, ours over the peer's; None where that is lost in what its host takes."""
        if not self.peer or min(self.peer) <= 0:
            return None
        return statistics.median(a / b for a, b in zip(self.rounds, self.peer, strict=True))

    def summary(self) -> dict[str, Any]:
        """Everything, for machines."""
        document = asdict(self)
        for name, found in (("", self.rounds), ("peer_", self.peer)):
            if found:
                document |= {f"{name}best": min(found), f"{name}median": statistics.median(found)}
        return document | ({"ratio": self.ratio} if self.peer else {})


def _child(*arguments: str, prefix: Sequence[str] = ()) -> str:
    command = [*prefix, sys.executable, "-m", "nicemu", "bench", *arguments]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode:
        said = done.stderr.strip().splitlines()
        raise BenchError(f"`{' '.join(command)}` ended with status {done.returncode}: {said[-1] if said else ''}")
    return done.stdout


def run_rounds(rows: Sequence[tuple[Row, Workload]], rounds: int, peer: Any = None) -> Iterator[int]:
    """Fills in the rows' times, round by round; yields each round's number when it is done."""
    for number in range(1, rounds + 1):
        for row, workload in rows:
            row.rounds.append(float(_child(row.model, "--once", row.workload)))
            if peer is not None and not workload.ours_alone:
                row.peer.append(peer.measure_once(row.model, workload))
        yield number


def _peer() -> Any:
    try:
        return import_module("conformance.qtest_bench")
    except ModuleNotFoundError as error:
        if not (error.name or "").startswith("conformance"):
            raise
        raise ConfigurationError("--peer needs a checkout of nicemu as the working directory") from error


# ------------------------------------------------------------------------------------------------- instructions

CALLGRIND = ("--tool=callgrind", "--toggle-collect=nic_play", "--dump-after=nic_play")


def count_instructions(model: str) -> dict[str, float]:
    """User-mode instructions per frame by workload, counted by valgrind's callgrind inside the engine."""
    valgrind = shutil.which("valgrind")
    if valgrind is None:
        raise BenchError("--instructions needs valgrind (package valgrind)")
    totals = []
    with tempfile.TemporaryDirectory(prefix="nicemu-bench-") as folder:
        out = Path(folder) / "out"
        frames = json.loads(_child(model, "--count", prefix=[valgrind, *CALLGRIND, f"--callgrind-out-file={out}"]))
        for dump in sorted(Path(folder).glob("out.*"), key=lambda path: int(path.suffix[1:])):
            found = re.search(r"^(?:totals|summary): (\d+)", dump.read_text(), re.MULTILINE)
            totals.append(int(found[1]) if found else 0)
    if len(totals) != 3 * len(frames):
        raise BenchError(f"{len(totals)} dumps of callgrind; expected three for each of {len(frames)} workloads")
    # The three: one to warm up, one turn, one idle turn.
    turns = zip(frames.items(), totals[1::3], totals[2::3], strict=True)
    return {name: (busy - idle) / count for (name, count), busy, idle in turns}


def _play_for_count(model: str) -> None:
    """What runs under callgrind."""
    frames = {}
    for workload in workloads(model):
        bench = Bench(model, workload)
        bench.turns(1)
        bench.idle(1)
        bench.close()
        frames[workload.name] = workload.frames
    print(json.dumps(frames))


# ------------------------------------------------------------------------------------------------- report


def _cell(value: float | None, places: int = 0) -> str:
    return "-" if value is None else f"{value:.{places}f}"


def _show(rows: Sequence[Row]) -> None:
    peer, counted = any(row.peer for row in rows), any(row.instructions is not None for row in rows)
    heads = ["model", "workload", "frames", "best ns", "median ns", "M/s"]
    heads += ["instr."] * counted + ["QEMU best", "median", "ratio"] * peer + ["instr."] * (peer and counted)
    table = [heads]
    for row in rows:
        median = statistics.median(row.rounds)
        cells = [row.model, row.workload, str(row.frames)]
        cells += [_cell(min(row.rounds), 1), _cell(median, 1), _cell(1e3 / median, 1)]
        if counted:
            cells.append(_cell(row.instructions))
        if peer:
            found = (min(row.peer), statistics.median(row.peer)) if row.peer else (None, None)
            cells += [*(_cell(value, 1) for value in found), _cell(row.ratio, 2)]
        if peer and counted:
            cells.append(_cell(row.peer_instructions))
        table.append(cells)
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for line in table:
        padded = [cell.ljust(width) for cell, width in zip(line[:2], widths, strict=False)]
        padded += [cell.rjust(width) for cell, width in zip(line[2:], widths[2:], strict=True)]
        print("  ".join(padded))


def _parser() -> Parser:
    parser = Parser(prog="python -m nicemu bench", description="Measures what a frame costs the cards on this machine.")
    parser.add_argument("models", metavar="MODEL", nargs="*", help="models to measure (default: all)")
    parser.add_argument("--workload", metavar="NAME", action="append", help="only this one; may be given again")
    parser.add_argument(
        "--rounds", type=int, default=ROUNDS, help=f"how often, each time in fresh processes (default: {ROUNDS})"
    )
    parser.add_argument("--peer", action="store_true", help="QEMU's own models next to ours (in a checkout only)")
    parser.add_argument("--instructions", action="store_true", help="count instructions per frame, by valgrind")
    parser.add_argument("--json", action="store_true", help="print one JSON document instead of a table")
    parser.add_argument("--once", metavar="NAME", help="one round of one workload in this process: ns per frame")
    parser.add_argument("--count", action="store_true", help="a few turns of each workload, for a counting tool")
    return parser


def _choose(models: Sequence[str], names: Sequence[str] | None) -> list[tuple[str, Workload]]:
    """The workloads of these models, or those of them that are named."""
    every = [(model, workload) for model in models for workload in workloads(model)]
    unknown = set(names or ()) - {workload.name for _, workload in every}
    if unknown:
        there = dict.fromkeys(workload.name for _, workload in every)
        raise ConfigurationError(f"no workload {', '.join(sorted(unknown))}; there are {', '.join(there)}")
    return [(model, workload) for model, workload in every if not names or workload.name in names]


def _count(rows: Sequence[tuple[Row, Workload]], peer: Any) -> None:
    counts = {model: count_instructions(model) for model in dict.fromkeys(row.model for row, _ in rows)}
    for row, workload in rows:
        row.instructions = counts[row.model][workload.name]
        if peer is not None and not workload.ours_alone:
            row.peer_instructions = peer.count_instructions(row.model, workload)


def _report(models: Sequence[str], options: Any) -> None:
    peer = _peer() if options.peer else None
    rows = [(Row(model, w.name, w.frames), w) for model, w in _choose(models, options.workload)]
    for number in run_rounds(rows, options.rounds, peer):
        print(f"round {number} of {options.rounds}", file=sys.stderr, flush=True)
    if options.instructions:
        _count(rows, peer)
    results = [row for row, _ in rows]
    if options.json:
        print(json.dumps([row.summary() for row in results], indent=1))
    else:
        _show(results)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the benchmarks; returns 0, 1 if one failed, 2 if the command line makes no sense."""
    try:
        options = _parser().parse_args(arguments)
        if options.rounds < 1:
            raise ConfigurationError(f"--rounds {options.rounds}; expected 1 or more")
        chosen = options.models or measured()
        if options.once:
            for model, workload in _choose(chosen, [options.once]):
                print(measure_once(model, workload))
        elif options.count:
            for model in chosen:
                _play_for_count(model)
        else:
            _report(chosen, options)
    except (NicemuError, OSError) as error:
        print(f"nicemu: {error}", file=sys.stderr)
        return 2 if isinstance(error, ConfigurationError) else 1
    return 0
