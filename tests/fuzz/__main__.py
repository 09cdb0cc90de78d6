"""`python -m tests.fuzz`: runs cases by seed, or replays files; a case that fails is made small and printed.

python -m tests.fuzz --seed 7 --count 1 --steps 5000      one case
python -m tests.fuzz --seconds 60                         as many as fit into a minute
python -m tests.fuzz --replay case.py                     what a file holds, in this process
"""

from __future__ import annotations

import argparse
import itertools
import sys
import time
from pathlib import Path

from .cases import load
from .generate import generate
from .minimise import minimise
from .run import Result, run_all


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__.partition("\n")[0])  # type: ignore[union-attr]
    parser.add_argument("--seed", type=int, default=0, help="the first seed")
    parser.add_argument("--count", type=int, default=0, help="how many seeds (default: as many as there is time for)")
    parser.add_argument("--steps", type=int, default=1000, help="operations in a case")
    parser.add_argument("--seconds", type=float, default=0.0, help="stop after so long")
    parser.add_argument("--model", action="append", default=[], help="models (default: all)")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="where cases that fail are written, made small")
    parser.add_argument("--digests", action="store_true", help="print what each case made visible, in this process")
    parser.add_argument("--replay", type=Path, nargs="+", default=[], help="files to run")
    arguments = parser.parse_args()
    if not arguments.count and not arguments.seconds:
        arguments.count = 1
    return arguments


def _report(arguments: argparse.Namespace, seed: int, result: Result) -> None:
    case = generate(seed, arguments.steps, arguments.model)
    print(f"seed {seed}, steps {arguments.steps}: {result.kind}\n{result.text}", flush=True)
    if arguments.keep:
        small = minimise(case, result.kind)
        arguments.keep.mkdir(parents=True, exist_ok=True)
        path = arguments.keep / f"seed-{seed}.py"
        path.write_text(small.text(f"{result.kind}; seed {seed}, {arguments.steps} steps"))
        print(f"{len(small.operations)} operations in {path}:\n{path.read_text()}", flush=True)


def main() -> int:
    """Returns the exit status: 0 if no case failed."""
    arguments = _arguments()
    for path in arguments.replay:
        print(path, load(path).run(), flush=True)
    if arguments.replay:
        return 0
    seeds = (
        itertools.count(arguments.seed)
        if not arguments.count
        else range(arguments.seed, arguments.seed + arguments.count)
    )
    if arguments.digests:
        for seed in seeds:
            print(seed, generate(seed, arguments.steps, arguments.model).run(), flush=True)
        return 0
    begin = time.monotonic()
    until = begin + arguments.seconds if arguments.seconds else float("inf")
    run = failed = 0
    for seed, result in run_all(
        lambda seed: generate(seed, arguments.steps, arguments.model), seeds, until, leaks=True
    ):
        run += 1
        if result.kind:
            failed += 1
            _report(arguments, seed, result)
    spent = time.monotonic() - begin
    print(f"{run} cases of {arguments.steps} operations in {spent:.0f} s, {failed} failed", flush=True)
    return 1 if failed or not run else 0


if __name__ == "__main__":
    sys.exit(main())
