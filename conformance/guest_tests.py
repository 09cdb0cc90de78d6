"""A guest table as tests: a guest is booted once for each kernel, and each check of the table is then a test.

Whatever keeps a guest from booting, no QEMU to be had included, fails every test.
"""

from __future__ import annotations

import functools
from collections.abc import Collection
from dataclasses import replace

from .cards import Card
from .guest import Result, run_table, table

__all__ = ["expect_pass", "shorter"]


def shorter(tested: Card, names: Collection[str]) -> Card:
    """The card with those of its checks alone that have one of these names."""
    return replace(tested, checks=tuple(check for check in tested.checks if check.name in names))


def expect_pass(tested: Card, kernel: str, check: str) -> None:
    """AssertionError if the check failed; what kept it from being run, if it was not."""
    done, trouble = _results(tested, kernel)
    if check not in done and trouble is not None:
        raise trouble
    assert done[check].passed, table(tested.model, [done[check]])


@functools.cache
def _results(tested: Card, kernel: str) -> tuple[dict[str, Result], Exception | None]:
    """What came of the checks, and what kept the rest from running."""
    done: dict[str, Result] = {}
    try:
        for result in run_table(tested, kernel):
            done[result.check.name] = result
    except Exception as error:
        return done, error
    return done, None
