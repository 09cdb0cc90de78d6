"""AMD Am79C973 under Linux's pcnet32 driver."""

from . import Card, Check, first_light, life, on_a_raw_wire, show
from .pcnet import COMMON

CARD = Card(
    model="pcnet-fast3",
    module="pcnet32",
    peer=None,
    ipxe=None,
    checks=(
        *first_light(),
        *COMMON,
        show("-d", r"Driver:\s+pcnet32$", r"APROM:\s+5452 1200 5634", r"CSR0:", r"MII"),
        Check("ethtool -s", "link-modes", ("10/half", "10/full", "100/half", "100/full")),
        *life(),
        *on_a_raw_wire(jumbo=None),
    ),
)
