"""Linux's ne2k-pci driver passes its guest table.

A guest is booted once for each kernel; each check of the table is then a test. The older kernel runs the first part of
the table: `python -m conformance.guest ne2000` runs all of it on both.
"""

from __future__ import annotations

import functools
from dataclasses import replace

import pytest

from .cards import Check, card
from .guest import Result, run_table, table
from .provision import KERNEL_SUITES

CARD = card("ne2000")
NEWEST = list(KERNEL_SUITES)[-1]
ESSENTIAL = ("probe", "DHCP", "ping", "iperf3 out", "iperf3 in")


def wanted(kernel: str) -> tuple[Check, ...]:
    return tuple(check for check in CARD.checks if kernel == NEWEST or check.name in ESSENTIAL)


@functools.cache
def results(kernel: str) -> tuple[dict[str, Result], Exception | None]:
    """What came of the checks, and what kept the rest from running."""
    done: dict[str, Result] = {}
    try:
        for result in run_table(replace(CARD, checks=wanted(kernel)), kernel):
            done[result.check.name] = result
    except Exception as error:
        return done, error
    return done, None


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("kernel", "check"), [(kernel, check.name) for kernel in KERNEL_SUITES for check in wanted(kernel)]
)
def test_guest(kernel: str, check: str) -> None:
    done, trouble = results(kernel)
    if check not in done and trouble is not None:
        raise trouble
    assert done[check].passed, table(CARD.model, [done[check]])
