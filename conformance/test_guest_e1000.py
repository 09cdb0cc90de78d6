"""Linux's e1000 driver passes the whole guest table on every kernel."""

from __future__ import annotations

import pytest

from .cards import card
from .guest_tests import expect_pass
from .provision import KERNEL_SUITES

CARD = card("e1000")


@pytest.mark.timeout(900)
@pytest.mark.parametrize("check", [check.name for check in CARD.checks])
@pytest.mark.parametrize("kernel", list(KERNEL_SUITES))
def test_guest(kernel: str, check: str) -> None:
    expect_pass(CARD, kernel, check)
