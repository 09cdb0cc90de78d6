"""Linux's ne2k-pci driver passes its guest table.

The older kernel runs the first part of the table: `python -m conformance.guest ne2000` runs all of it on both.
"""

from __future__ import annotations

import pytest

from .cards import card
from .guest_tests import expect_pass, shorter
from .provision import KERNEL_SUITES

ESSENTIAL = ("probe", "DHCP", "ping", "iperf3 out", "iperf3 in")
NEWEST = list(KERNEL_SUITES)[-1]
TABLES = {
    kernel: card("ne2000") if kernel == NEWEST else shorter(card("ne2000"), ESSENTIAL) for kernel in KERNEL_SUITES
}


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("kernel", "check"), [(kernel, check.name) for kernel, tested in TABLES.items() for check in tested.checks]
)
def test_guest(kernel: str, check: str) -> None:
    expect_pass(TABLES[kernel], kernel, check)
