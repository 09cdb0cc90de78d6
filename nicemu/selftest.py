"""The self-test: `python -m nicemu selftest [MODEL...]` tries every model on this machine in a few seconds.

What is checked stands in `nicemu.checks`; this module runs it and shows the results.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import ClassVar

from nicemu import drivers
from nicemu.checks import CHECKS, MEMORY, Check, CheckError, check_user
from nicemu.cli import Parser
from nicemu.devices import create, find_class, models
from nicemu.errors import NicemuError
from nicemu.memory import GuestMemory

__all__ = ["Result", "main", "run"]


@dataclass(frozen=True)
class Result:
    """What came of a check: "pass", "fail", or "n/a" where the card does not have what it is about."""

    model: str
    check: str
    outcome: str
    seconds: float
    detail: str


def _features(model: str) -> frozenset[str]:
    with create(model, memory=GuestMemory(MEMORY)) as nic:
        return drivers.attach(nic).features


def run(names: Sequence[str], only: Sequence[Check] = CHECKS) -> Iterator[Result]:
    """The results of the checks on the named models, as they come."""
    for name in names:
        features = _features(name)
        for check in only:
            started = time.perf_counter()
            if check.needs and check.needs not in features:
                outcome, detail = "n/a", "the card has none"
            else:
                outcome, detail = _try(check, name)
            yield Result(name, check.name, outcome, time.perf_counter() - started, detail)


def _try(check: Check, model: str) -> tuple[str, str]:
    try:
        return "pass", check.function(model)
    except (CheckError, NicemuError, OSError) as error:
        return "fail", str(error)
    except Exception as error:  # a fault of nicemu's own is a failed check too, and the others go on
        return "fail", f"{type(error).__name__}: {error}"


@dataclass
class _Report:
    """Shows results as they come."""

    total: int
    results: list[Result] = field(default_factory=list)

    def add(self, result: Result) -> None:
        self.results.append(result)

    def __enter__(self) -> _Report:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    @property
    def failed(self) -> list[Result]:
        return [r for r in self.results if r.outcome == "fail"]

    def summary(self) -> str:
        """One line on all results."""
        passed = sum(r.outcome == "pass" for r in self.results)
        seconds = sum(r.seconds for r in self.results)
        rest = len(self.results) - passed - len(self.failed)
        absent = f", {rest} not applicable" if rest else ""
        return f"{passed} passed, {len(self.failed)} failed{absent} in {seconds:.1f} s"


class _Plain(_Report):
    """A line for each result."""

    def add(self, result: Result) -> None:
        super().add(result)
        count = f"[{len(self.results)}/{self.total}]"
        what = f"{count:>9} {result.model:<11} {result.check:<20} {result.outcome:<5}"
        print(f"{what} {result.seconds:6.2f} s  {result.detail}", flush=True)

    def __exit__(self, *_: object) -> None:
        print(self.summary())


class _Json(_Report):
    """One JSON document at the end."""

    def __exit__(self, *_: object) -> None:
        from nicemu import __version__

        document = {
            "version": __version__,
            "passed": not self.failed and len(self.results) == self.total,
            "results": [asdict(r) for r in self.results],
        }
        print(json.dumps(document, indent=1))


class _Rich(_Report):
    """Coloured lines, and a bar below them that tells how far it is."""

    COLOURS: ClassVar = {"pass": "green", "fail": "bold red", "n/a": "dim"}

    def __enter__(self) -> _Report:
        from rich.progress import Progress

        self._progress = Progress(transient=True)
        self._task = self._progress.add_task("self-test", total=self.total)
        self._progress.start()
        return self

    def add(self, result: Result) -> None:
        from rich.text import Text

        super().add(result)
        outcome = (f"{result.outcome:<5}", self.COLOURS[result.outcome])
        what, seconds = f"{result.model:<11} {result.check:<20} ", (f"{result.seconds:6.2f} s", "dim")
        self._progress.console.print(Text.assemble(what, outcome, seconds, "  ", result.detail))
        self._progress.advance(self._task)

    def __exit__(self, *_: object) -> None:
        self._progress.stop()
        self._progress.console.print(self.summary(), style="bold red" if self.failed else "bold green")


def _report(as_json: bool, total: int) -> _Report:
    if as_json:
        return _Json(total)
    if sys.stdout.isatty():
        try:
            import rich  # noqa: F401

            return _Rich(total)
        except ImportError:
            pass
    return _Plain(total)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the self-test; returns 0 if every check passed, 1 if one failed, 2 if the command line makes no sense."""
    parser = Parser(
        prog="python -m nicemu selftest",
        description="Tries every model on this machine: registers, frames, filters, offloads, interrupts, EEPROM, PHY, "
        "snapshot, and the user network.  Exit status 0 if all checks pass.",
    )
    parser.add_argument("models", metavar="MODEL", nargs="*", help="models to try (default: all)")
    parser.add_argument("--json", action="store_true", help="print one JSON document instead of a table")
    parser.add_argument("--no-user", action="store_true", help="leave the user network out, where libslirp is missing")
    try:
        parsed = parser.parse_args(arguments)
        names = parsed.models or [info.name for info in models()]
        for name in names:
            find_class(name)
    except NicemuError as error:
        print(f"nicemu: {error}", file=sys.stderr)
        return 2
    chosen = [check for check in CHECKS if not (parsed.no_user and check.function is check_user)]
    with _report(parsed.json, len(names) * len(chosen)) as report:
        for result in run(names, chosen):
            report.add(result)
    return 1 if report.failed else 0


if __name__ == "__main__":
    sys.exit(main())
