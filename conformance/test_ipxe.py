"""iPXE's driver gets a lease over the card."""

from __future__ import annotations

import pytest

from . import ipxe
from .cards import card


@pytest.mark.timeout(180)
@pytest.mark.parametrize("name", ["e1000", "ne2000", "pcnet", "pcnet_fast3", "rtl8139", "rtl8139c", "yukon2"])
def test_ipxe(name: str) -> None:
    outcome = ipxe.run(card(name))
    assert not outcome.complaints, outcome.console
