"""Linux's pcnet32 driver passes the guest table of both PCnets.

A guest is booted once for each card and kernel; each check of the table is then a test. The older kernel sees what its
driver depends on; the whole table on it is for `python -m conformance.guest`.
"""

from __future__ import annotations

import functools
from dataclasses import replace

import pytest

from .cards import card
from .guest import Result, run_table, table
from .provision import KERNEL_SUITES

CARDS = {name: card(name) for name in ("pcnet", "pcnet_fast3")}
NEWEST = list(KERNEL_SUITES)[-1]
SHORT = ("probe", "DHCP", "ping", "iperf3 out", "iperf3 in", "ethtool -t offline", "ifdown/ifup", "link down/up")
CASES = [
    pytest.param(name, kernel, check.name, id=f"{name}-{kernel}-{check.name}")
    for name, tested in CARDS.items()
    for kernel in KERNEL_SUITES
    for check in tested.checks
    if kernel == NEWEST or (name == "pcnet" and check.name in SHORT)
]


@functools.cache
def results(name: str, version: str) -> tuple[dict[str, Result], Exception | None]:
    """What came of the checks, and what kept the rest from running."""
    done: dict[str, Result] = {}
    tested = CARDS[name]
    if version != NEWEST:
        tested = replace(tested, checks=tuple(check for check in tested.checks if check.name in SHORT))
    try:
        for result in run_table(tested, version):
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
