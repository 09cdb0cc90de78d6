"""A card at rest costs no processor time and little memory; ``conformance.lean`` tells the figures."""

from __future__ import annotations

import pytest

from . import lean

pytestmark = pytest.mark.alone


@pytest.mark.parametrize("name", ["e1000"])
def test_served_card_at_rest(name: str) -> None:
    missed = [figure for figure in lean.served(name) if not figure.kept]
    assert not missed


@pytest.mark.parametrize("name", ["e1000"])
def test_further_cards(name: str) -> None:
    missed = [figure for figure in lean.further(name) if not figure.kept]
    assert not missed
