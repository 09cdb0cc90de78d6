"""AMD Am79C973 under Linux's pcnet32 driver."""

from . import Card, Check, first_light, life, on_a_raw_wire, show
from .pcnet import COMMON, KNOWN, REGISTERS

CARD = Card(
    model="pcnet-fast3",
    module="pcnet32",
    peer=None,
    ipxe="pcnet32",
    checks=(
        *first_light(),
        *COMMON,
        show("-d", *REGISTERS, r"BCR32:\s+MII Control and Status"),
        Check("ethtool -s", "link-modes", ("10/half", "10/full", "100/half", "100/full")),
        *life(KNOWN),
        *on_a_raw_wire(jumbo=None, vlan=("no-tagging", "no-filter")),
    ),
)
