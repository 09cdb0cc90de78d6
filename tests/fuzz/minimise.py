"""Makes a failing case small: leaves operations out as long as it fails in the same way."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from .cases import Case
from .run import LEAK, run_case

__all__ = ["minimise"]


def minimise(case: Case, kind: str, seconds: float = 120.0, *, say: Callable[[str], None] = print) -> Case:
    """The smallest case found in `seconds` that fails with the same kind of result."""
    until = time.monotonic() + seconds

    def fails(candidate: Case) -> bool:
        return time.monotonic() < until and run_case(candidate, leaks=kind == LEAK).kind == kind

    for change in ({"twin": False}, {"profile": "instant"}, {"overflow": "drop"}, {"seed": 0}):
        candidate = replace(case, **change)  # type: ignore[arg-type]
        if candidate != case and fails(candidate):
            case = candidate
    chunk = max(1, len(case.operations) // 2)
    while chunk and time.monotonic() < until:
        before = len(case.operations)
        case = _drop(case, chunk, fails)
        say(f"{len(case.operations)} operations")
        if len(case.operations) == before or chunk > 1:
            chunk //= 2
    return _simplify(case, fails)


def _drop(case: Case, chunk: int, fails: Callable[[Case], bool]) -> Case:
    """Leaves out runs of `chunk` operations, from the end."""
    begin = max(0, len(case.operations) - chunk)
    while True:
        candidate = case.without(begin, begin + chunk)
        if len(candidate.operations) < len(case.operations) and fails(candidate):
            case = candidate
        if not begin:
            return case
        begin = max(0, min(begin, len(case.operations)) - chunk)


def _simplify(case: Case, fails: Callable[[Case], bool]) -> Case:
    """Makes single operations smaller: fewer frames, fewer nested operations."""
    for place, operation in enumerate(case.operations):
        for smaller in _smaller(operation):
            operations = [*case.operations]
            operations[place] = smaller
            candidate = replace(case, operations=operations)
            if fails(candidate):
                case = candidate
                break
    return case


def _smaller(operation: tuple[Any, ...]) -> list[tuple[Any, ...]]:
    if operation[0] == "frames" and len(operation[1]) > 1:
        return [
            ("frames", frames, *operation[2:]) for frames in (*([frame] for frame in operation[1]), operation[1][:2])
        ]
    if operation[0] == "inside" and len(operation[2]) > 1:
        return [("inside", operation[1], [nested]) for nested in operation[2]]
    return []
