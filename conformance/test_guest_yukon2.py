"""Linux's sky2 driver passes the guest table: all of it on the newer kernel, a shorter one on the older, and that once
more with the interrupt pin in place of messages.

``python -m conformance.guest yukon2`` and ``yukon2_intx`` run all of it on every kernel.
"""

from __future__ import annotations

import functools
from dataclasses import replace

import pytest

from .cards import Card, card
from .guest import Result, run_table, table

SHORT = ("probe", "interrupt", "DHCP", "ping", "iperf3 out", "iperf3 in", "ifdown/ifup", "link down/up", "kernel log")


def shorter(tested: Card) -> Card:
    """The card with the checks that every driver and interrupt needs."""
    return replace(tested, checks=tuple(check for check in tested.checks if check.name in SHORT))


TABLES = {
    "6.12": (card("yukon2"), "6.12"),
    "6.1": (shorter(card("yukon2")), "6.1"),
    "6.12-intx": (shorter(card("yukon2_intx")), "6.12"),
}


@functools.cache
def results(name: str) -> tuple[dict[str, Result], Exception | None]:
    """What came of the checks, and what kept the rest from running."""
    done: dict[str, Result] = {}
    try:
        for result in run_table(*TABLES[name]):
            done[result.check.name] = result
    except Exception as error:
        return done, error
    return done, None


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("name", "check"), [(name, check.name) for name, (tested, _) in TABLES.items() for check in tested.checks]
)
def test_guest(name: str, check: str) -> None:
    done, trouble = results(name)
    if check not in done and trouble is not None:
        raise trouble
    assert done[check].passed, table(TABLES[name][0].model, [done[check]])
