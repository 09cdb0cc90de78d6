"""Runs cases in child processes, so that a crash, a sanitizer's report or a hang is a result like any other."""

from __future__ import annotations

import ctypes
import faulthandler
import gc
import json
import os
import re
import select
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from .cases import Case
from .world import OracleError, sanitized

__all__ = ["LEAK", "Result", "check_leaks", "in_child", "run_all", "run_case"]

LEAK = "LEAK: memory of the engine is lost"
#: Seconds after which a case that says nothing hangs: three of a busy wire's take a third of that on a slow machine.
SILENCE = 30.0


@dataclass(frozen=True)
class Result:
    """What became of a case: `kind` is empty if all was well, else names what failed; `text` tells it all."""

    kind: str = ""
    text: str = ""


def check_leaks() -> bool:
    """Asks LeakSanitizer, if it is there, whether memory of the engine is lost by now; its report goes to stderr.

    What others have lost (the interpreter does when it forks and when it ends) does not count.
    """
    check = getattr(ctypes.CDLL(None), "__lsan_do_recoverable_leak_check", None)
    if check is None or "detect_leaks=1" not in os.environ.get("ASAN_OPTIONS", ""):
        return False
    gc.collect()
    sys.stderr.flush()
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as report:
        os.dup2(report.fileno(), 2)
        check()
        os.dup2(stderr, 2)
        os.close(stderr)
        report.seek(0)
        leaks = report.read().decode(errors="replace").split("\n\n")
    ours = [leak for leak in leaks if " leak of " in leak and ("_engine" in leak or "csrc/" in leak)]
    sys.stderr.write("\n\n".join(ours))
    return bool(ours)


def _kind(error: BaseException) -> str:
    """The oracle, or the exception's type and place."""
    if isinstance(error, OracleError):
        return str(error).partition(":")[0]
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} in {os.path.basename(frame.filename)}:{frame.name}"


def _child(jobs: Iterable[tuple[int, Callable[[], Case]]], pipe: int, leaks: bool) -> None:
    """Runs jobs; tells the number of each before it begins, and what failed."""
    for number, make in jobs:
        os.write(pipe, f"begin {number}\n".encode())
        try:
            make().run()
        except BaseException as error:
            sys.stderr.write(traceback.format_exc())
            os.write(pipe, f"fail {_kind(error)}\n".encode())
            return
    if leaks and check_leaks():
        os.write(pipe, f"fail {LEAK}\n".encode())
        return
    os.write(pipe, b"done\n")


def _listen(pipe: int, pid: int, timeout: float) -> list[str]:
    """Lines of a child, until it ends; it is killed when it says nothing for so long."""
    said, end = b"", time.monotonic() + timeout
    while True:
        ready, _, _ = select.select([pipe], [], [], max(0.0, end - time.monotonic()))
        if not ready:
            os.kill(pid, signal.SIGKILL)
            return [*said.decode().splitlines(), "fail BOUND"]
        part = os.read(pipe, 4096)
        if not part:
            return said.decode().splitlines()
        said, end = said + part, time.monotonic() + timeout


def _verdict(lines: list[str], status: int, errors: str) -> Result:
    if lines and lines[-1] == "done":
        return Result()
    if lines and lines[-1].startswith("fail "):
        return Result(lines[-1][5:], errors or "no operation came to an end in time")
    report = re.search(r"SUMMARY: \w+: (\S+ \S+)|runtime error: (.*)", errors)
    kind = next(group for group in report.groups() if group) if report else f"exit status {status}"
    return Result(kind, errors)


def _fork(work: Callable[[int], None], timeout: float) -> tuple[list[str], int, str]:
    """Lets a child process do something; the lines that it wrote to the pipe, its exit status, and its stderr.

    It is killed when it says nothing for `timeout` seconds (sanitized: ten times); then its last line is "fail BOUND".
    """
    reader, writer = os.pipe()
    with tempfile.TemporaryFile() as errors:
        pid = os.fork()
        if not pid:
            os.dup2(errors.fileno(), 2)
            faulthandler.enable(2)
            os.close(reader)
            status = 1
            try:
                work(writer)
                status = 0
            finally:
                os._exit(status)
        os.close(writer)
        lines = _listen(reader, pid, timeout * (10 if sanitized() else 1))
        os.close(reader)
        _, status = os.waitpid(pid, 0)
        errors.seek(0)
        return lines, status, errors.read().decode(errors="replace")


def in_child(action: Callable[[], Any], timeout: float = 60.0) -> Any:
    """What an action returns in a child process, as JSON carries it; AssertionError if it raises, crashes or hangs."""

    def work(pipe: int) -> None:
        try:
            said = json.dumps(action())
        except BaseException:
            os.write(2, traceback.format_exc().encode())
            raise
        os.write(pipe, said.encode())

    lines, status, errors = _fork(work, timeout)
    if status or not lines:
        raise AssertionError(f"the child ended with status {status}, and said {lines}; {errors}")
    return json.loads(lines[0])


def _run(jobs: list[tuple[int, Callable[[], Case]]], timeout: float, leaks: bool) -> tuple[Result, int]:
    """The result of some jobs, and the number of the one that was under way at the end."""
    lines, status, text = _fork(lambda pipe: _child(jobs, pipe, leaks), timeout)
    begun = [int(line[6:]) for line in lines if line.startswith("begin ")]
    return _verdict(lines, status, text), begun[-1] if begun else jobs[0][0]


def run_case(case: Case, timeout: float = SILENCE, *, leaks: bool = False) -> Result:
    """Runs one case in a child process; one that takes more than `timeout` seconds (sanitized: ten times) hangs."""
    return _run([(0, lambda: case)], timeout, leaks)[0]


def run_all(
    make: Callable[[int], Case], seeds: Iterable[int], until: float, *, leaks: bool = False, batch: int = 16
) -> Iterator[tuple[int, Result]]:
    """Runs cases by seed until a time (time.monotonic); yields every seed that was run, with its result.

    leaks: look for lost memory too, if LeakSanitizer is there; only in a process that has and had one thread.
    """
    pending: list[int] = []
    source = iter(seeds)
    while time.monotonic() < until:
        while len(pending) < batch and (seed := next(source, None)) is not None:
            pending.append(seed)
        if not pending:
            return
        result, stopped = _run([(seed, lambda seed=seed: make(seed)) for seed in pending], SILENCE, leaks)
        if result.kind == LEAK:
            yield from _blame(make, pending, result)
            pending = []
            continue
        done = pending.index(stopped) if result.kind else len(pending)
        yield from ((seed, Result()) for seed in pending[:done])
        if result.kind:
            yield stopped, result
        pending = pending[done + 1 :]


def _blame(make: Callable[[int], Case], seeds: list[int], whole: Result) -> Iterator[tuple[int, Result]]:
    """Finds the seeds of a batch that leak."""
    results = [(seed, run_case(make(seed), leaks=True)) for seed in seeds]
    yield from results
    if not any(result.kind for _, result in results):
        yield seeds[-1], whole
