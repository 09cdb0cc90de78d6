"""AMD Am79C970A under Linux's pcnet32 driver."""

from . import Card, Check, first_light, life, on_a_raw_wire, show

#: What the driver of either part shows and lets change.
COMMON = (
    Check("ethtool -t offline", "self-test", ("offline",)),
    show("-i", r"^driver: pcnet32$", r"^bus-info: 0000:00:05\.0$",
         *(rf"^supports-{what}: yes$" for what in ("test", "register-dump"))),
    show("-g", r"maximums:\nRX:\s+512$", r"settings:\nRX:\s+32$"),
    Check("ethtool -G", "rings", ("64", "32", "512", "512")),
    Check("ethtool -s msglvl", "message-level"),
    Check("ethtool -p", "identify"),
)  # fmt: skip

CARD = Card(
    model="pcnet",
    module="pcnet32",
    peer="pcnet",
    ipxe="79c970",
    checks=(
        *first_light(),
        *COMMON,
        show("-d", r"Driver:\s+pcnet32$", r"APROM:\s+5452 1200 5634", r"CSR0:"),
        *life(),
        *on_a_raw_wire(jumbo=None),
    ),
)
