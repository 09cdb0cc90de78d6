"""Linux's 8139cp and 8139too drivers pass their guest tables.

The older kernel runs the first part of the tables: `python -m conformance.guest rtl8139` runs all of it on both.
"""

from __future__ import annotations

import pytest

from .cards import card
from .guest_tests import expect_pass, shorter
from .provision import KERNEL_SUITES

ESSENTIAL = ("probe", "DHCP", "ping", "iperf3 out", "iperf3 in")
NEWEST = list(KERNEL_SUITES)[-1]
TABLES = {
    (name, kernel): card(name) if kernel == NEWEST else shorter(card(name), ESSENTIAL)
    for name in ("rtl8139", "rtl8139c")
    for kernel in KERNEL_SUITES
}


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("name", "kernel", "check"), [(*key, check.name) for key, tested in TABLES.items() for check in tested.checks]
)
def test_guest(name: str, kernel: str, check: str) -> None:
    expect_pass(TABLES[name, kernel], kernel, check)
