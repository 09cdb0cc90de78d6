"""Linux's sky2 driver passes the guest table: all of it on the newer kernel, a shorter one on the older, and that once
more with the interrupt pin in place of messages.

``python -m conformance.guest yukon2`` and ``yukon2_intx`` run all of it on every kernel.
"""

from __future__ import annotations

import pytest

from .cards import card
from .guest_tests import expect_pass, shorter

#: What every driver and interrupt needs.
SHORT = ("probe", "interrupt", "DHCP", "ping", "iperf3 out", "iperf3 in", "ifdown/ifup", "link down/up", "kernel log")
TABLES = {
    "6.12": (card("yukon2"), "6.12"),
    "6.1": (shorter(card("yukon2"), SHORT), "6.1"),
    "6.12-intx": (shorter(card("yukon2_intx"), SHORT), "6.12"),
}


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("name", "check"), [(name, check.name) for name, (tested, _) in TABLES.items() for check in tested.checks]
)
def test_guest(name: str, check: str) -> None:
    expect_pass(*TABLES[name], check)
