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

from nicemu.devices import models

from .cases import load
from .generate import generate
from .minimise import minimise
from .run import Result, run_all


def _arguments() -> argparse.Namespace:
    about, _, examples = str(__doc__).partition("\n\n")
    parser = argparse.ArgumentParser(
        prog="python -m tests.fuzz",
        description=about,
        epilog=f"examples:\n{examples}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--seed", type=int, default=0, help="the first seed (default: 0)")
    parser.add_argument("--count", type=int, help="how many seeds (default: 1, or as many as fit into --seconds)")
    parser.add_argument("--steps", type=int, default=1000, help="operations in a case (default: 1000)")
    parser.add_argument("--seconds", type=float, help="begin no case after so long")
    parser.add_argument("--model", action="append", default=[], help="this model; may be given again (default: all)")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="where cases that fail are written, made small")
    parser.add_argument("--digests", action="store_true", help="print what each case made visible, in this process")
    parser.add_argument("--replay", type=Path, nargs="+", metavar="FILE", default=[], help="cases to run again")
    arguments = parser.parse_args()
    _check(parser, arguments)
    if arguments.count is None and arguments.seconds is None:
        arguments.count = 1
    return arguments


def _check(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> None:
    """Ends the program, with what was expected, where the command line makes no sense."""
    for name, least in (("count", 1), ("steps", 1), ("seconds", 0)):
        value = getattr(arguments, name)
        if value is not None and value < least:
            parser.error(f"--{name} {value}; expected {least} or more")
    known = [info.name for info in models()]
    for model in arguments.model:
        if model not in known:
            parser.error(f"no model {model!r}; expected one of {', '.join(known)}")
    for path in arguments.replay:
        if not path.is_file():
            parser.error(f"no file {path}")


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
        if arguments.count is None
        else range(arguments.seed, arguments.seed + arguments.count)
    )
    if arguments.digests:
        for seed in seeds:
            print(seed, generate(seed, arguments.steps, arguments.model).run(), flush=True)
        return 0
    begin = time.monotonic()
    until = float("inf") if arguments.seconds is None else begin + arguments.seconds
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
