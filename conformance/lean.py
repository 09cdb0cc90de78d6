"""What nicemu costs when nothing happens: ``python -m conformance.lean [MODEL]``.

Start-up of ``python -m nicemu info``, processor time and memory of a served card at rest, memory of each further card
in a process, and the size of the wheel. Prints a table; exit status 1 when a bound is missed.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .nic import CHECKOUT, Served, ServerError

STARTS, REST_SECONDS, FURTHER = 7, 10, 50
FURTHER_CARDS = """
import sys, gc, nicemu
from nicemu.backends import Null
def resident(): return int(open("/proc/self/statm").read().split()[1])
cards = [nicemu.create(sys.argv[1], backend=Null()) for _ in range(2)]
gc.collect()
before = resident()
cards += [nicemu.create(sys.argv[1], backend=Null()) for _ in range(int(sys.argv[2]))]
gc.collect()
print(resident() - before)
"""


@dataclass(frozen=True)
class Figure:
    """Something measured, and what it has to stay under."""

    name: str
    value: float
    bound: float
    unit: str

    @property
    def kept(self) -> bool:
        return self.value < self.bound


def startup() -> Iterator[Figure]:
    """The median of a few starts, the first of which warms the caches."""
    taken = []
    for _ in range(STARTS + 1):
        begun = time.perf_counter()
        subprocess.run([sys.executable, "-m", "nicemu", "info"], cwd=CHECKOUT, stdout=subprocess.DEVNULL, check=True)
        taken.append(time.perf_counter() - begun)
    yield Figure("python -m nicemu info", statistics.median(taken[1:]), 0.3, "s")


def processor_seconds(pid: int) -> float:
    """User and system time so far (proc(5), stat)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident(pid: int) -> float:
    """MB that are resident."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def served(model: str) -> Iterator[Figure]:
    """A served card with the user network, and nobody at its socket."""
    with tempfile.TemporaryDirectory(prefix="nicemu-lean-") as folder, Served(model, Path(folder)) as card:
        time.sleep(1)
        before = processor_seconds(card.process.pid)
        time.sleep(REST_SECONDS)
        busy = 100 * (processor_seconds(card.process.pid) - before) / REST_SECONDS
        yield Figure(f"served {model} at rest, processor", busy, 0.5, "%")
        yield Figure(f"served {model} at rest, memory", resident(card.process.pid), 45, "MB")


def further(model: str) -> Iterator[Figure]:
    """Each card after the first in a process."""
    command = [sys.executable, "-c", FURTHER_CARDS, model, str(FURTHER)]
    said = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=True).stdout
    yield Figure(f"each further {model}, memory", int(said) * os.sysconf("SC_PAGE_SIZE") / FURTHER / 1e6, 1, "MB")


def wheel() -> Iterator[Figure]:
    """Built from the source distribution, as a release is."""
    with tempfile.TemporaryDirectory(prefix="nicemu-lean-") as folder:
        command = [sys.executable, "-m", "build", "--outdir", folder, str(CHECKOUT)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        (found,) = Path(folder).glob("*.whl")
        yield Figure("wheel", found.stat().st_size / 1e6, 2, "MB")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m conformance.lean", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("model", nargs="?", default="e1000")
    model = parser.parse_args().model
    missed = 0
    try:
        for figures in (startup(), served(model), further(model), wheel()):
            for figure in figures:
                verdict = "under" if figure.kept else "NOT under"
                measured = f"{figure.name:<34} {figure.value:8.3f} {figure.unit:<2}"
                print(f"{measured}  {verdict} {figure.bound:g} {figure.unit}", flush=True)
                missed += not figure.kept
    except (OSError, ServerError, subprocess.CalledProcessError) as error:
        print(f"lean: {error}", file=sys.stderr)
        return 1
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
