"""Marvell 88E8057 (Yukon Ultra 2) under Linux's sky2 driver."""

from . import Card, first_light, life, on_a_raw_wire

CARD = Card(
    model="yukon2",
    module="sky2",
    peer=None,
    ipxe="sky2",
    checks=(
        *first_light(),
        *life(),
        *on_a_raw_wire(jumbo=9000, vlan=("no-filter",)),
    ),
)  # fmt: skip
