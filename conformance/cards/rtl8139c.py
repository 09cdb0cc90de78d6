"""Realtek RTL8139C under Linux's 8139too driver, in C mode."""

from . import Card, Check, first_light, life, on_a_raw_wire, refused, show

REGISTERS = (
    r"^RealTek RTL8139C? registers:",
    r"^0x00: MAC Address +52:54:00:12:34:56$",
    r"^0x37: Command +0x0[cd]$",
    r"Rx on, Tx on",
    r"^0x40: Tx Configuration +0x77000680$",
    r"^0x44: Rx Configuration +0x0000f7[0-9a-f]e$",
)

CARD = Card(
    model="rtl8139c",
    module="8139too",
    peer=None,
    ipxe="rtl8139",
    checks=(
        *first_light(),
        show("-i", r"^driver: 8139too$", r"^bus-info: 0000:00:05\.0$", r"^supports-statistics: yes$"),
        show("-d", *REGISTERS),
        refused("-e"),
        show("-S", r"^ +early_rx: 0$", r"^ +tx_timeouts: 0$", r"^ +rx_lost_in_ring: 0$"),
        refused("-g"),
        show("-k", r"^tx-checksumming: on$", r"^scatter-gather: on$", r"^rx-fcs: off$", r"^rx-all: off$"),
        Check("ethtool -K", "offloads", ("rx-fcs=rx-fcs", "rx-all=rx-all")),
        refused("-c"),
        refused("-a"),
        Check("ethtool -s", "link-modes", ("10/half", "10/full", "100/half", "100/full")),
        Check("ethtool -s msglvl", "message-level"),
        Check("ethtool -s wol", "wake-on-lan", ("pumbg",)),
        Check("ethtool -r", "negotiate"),
        *life(),
        *on_a_raw_wire(jumbo=None, vlan=("no-tagging", "no-filter")),
        Check("overrun", "overrun", ("3000",), station=True),
    ),
)  # fmt: skip
