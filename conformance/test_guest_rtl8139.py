"""Linux's 8139cp and 8139too drivers pass their guest tables.

A guest is booted once for each kernel; each check of the table is then a test. The older kernel runs the first part of
the tables: `python -m conformance.guest rtl8139` runs all of it on both.
"""

from __future__ import annotations

import functools
from dataclasses import replace

import pytest

from .cards import Check, card
from .guest import Result, run_table, table
from .provision import KERNEL_SUITES

CARDS = {name: card(name) for name in ("rtl8139", "rtl8139c")}
NEWEST = list(KERNEL_SUITES)[-1]
ESSENTIAL = ("DHCP", "ping", "iperf3 out", "iperf3 in")


def wanted(kernel: str, check: Check) -> bool:
    return kernel == NEWEST or check.name in ESSENTIAL


CASES = [
    (name, kernel, check.name)
    for name, tested in CARDS.items()
    for kernel in KERNEL_SUITES
    for check in tested.checks
    if wanted(kernel, check) or check.script == "probe"
]


@functools.cache
def results(name: str, kernel: str) -> tuple[dict[str, Result], Exception | None]:
    """What came of the checks, and what kept the rest from running."""
    done: dict[str, Result] = {}
    tested = CARDS[name]
    chosen = tuple(check for check in tested.checks if wanted(kernel, check) or check.script == "probe")
    try:
        for result in run_table(replace(tested, checks=chosen), kernel):
            done[result.check.name] = result
    except Exception as error:
        return done, error
    return done, None


@pytest.mark.timeout(900)
@pytest.mark.parametrize(("name", "kernel", "check"), CASES)
def test_guest(name: str, kernel: str, check: str) -> None:
    done, trouble = results(name, kernel)
    if check not in done and trouble is not None:
        raise trouble
    assert done[check].passed, table(CARDS[name].model, [done[check]])
