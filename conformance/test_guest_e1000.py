"""Linux's e1000 driver passes the whole guest table on every kernel.

A guest is booted once for each kernel; each check of the table is then a test. Whatever keeps a guest from booting,
no QEMU to be had included, fails every test.
"""

from __future__ import annotations

import functools

import pytest

from .cards import card
from .guest import Result, run_table, table
from .provision import KERNEL_SUITES

CARD = card("e1000")


@functools.cache
def results(version: str) -> tuple[dict[str, Result], Exception | None]:
    """What came of the checks, and what kept the rest from running."""
    done: dict[str, Result] = {}
    try:
        for result in run_table(CARD, version):
            done[result.check.name] = result
    except Exception as error:
        return done, error
    return done, None


@pytest.mark.timeout(900)
@pytest.mark.parametrize("check", [check.name for check in CARD.checks])
@pytest.mark.parametrize("kernel", list(KERNEL_SUITES))
def test_guest(kernel: str, check: str) -> None:
    done, trouble = results(kernel)
    if check not in done and trouble is not None:
        raise trouble
    assert done[check].passed, table(CARD.model, [done[check]])
