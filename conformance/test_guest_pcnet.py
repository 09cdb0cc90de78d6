"""Linux's pcnet32 driver passes the guest table of both PCnets.

The older kernel sees what its driver depends on; the whole table on it is for `python -m conformance.guest`.
"""

from __future__ import annotations

import pytest

from .cards import card
from .guest_tests import expect_pass, shorter
from .provision import KERNEL_SUITES

SHORT = ("probe", "DHCP", "ping", "iperf3 out", "iperf3 in", "ethtool -t offline", "ifdown/ifup", "link down/up")
NEWEST = list(KERNEL_SUITES)[-1]
TABLES = {(name, NEWEST): card(name) for name in ("pcnet", "pcnet_fast3")}
TABLES |= {("pcnet", kernel): shorter(card("pcnet"), SHORT) for kernel in KERNEL_SUITES if kernel != NEWEST}


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("name", "kernel", "check"), [(*key, check.name) for key, tested in TABLES.items() for check in tested.checks]
)
def test_guest(name: str, kernel: str, check: str) -> None:
    expect_pass(TABLES[name, kernel], kernel, check)
