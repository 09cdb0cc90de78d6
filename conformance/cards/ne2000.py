"""Realtek RTL8029AS under Linux's ne2k-pci driver.

Sections are those of National's DP8390D data sheet; the driver is 8390.c's, which leaves most of ethtool out.
"""

from . import MAC, Card, Check, on_a_raw_wire, refused, show

CARD = Card(
    model="ne2k_pci",
    module="ne2k-pci",
    peer="ne2k_pci",
    ipxe="rtl8029",
    checks=(
        Check("probe", "probe", (MAC,)),
        Check("DHCP", "dhcp"),
        Check("ping", "ping"),
        # Some hundred port accesses a frame: blocks that arrive within the time of the measurement.
        Check("iperf3 out", "iperf3", ("3", "-l", "4K")),
        Check("iperf3 in", "iperf3", ("3", "-R", "-l", "4K")),
        show("-i", r"^driver: ne2k-pci$", r"^bus-info: 0000:00:05\.0$",
             *(rf"^supports-{what}: no$" for what in ("statistics", "test", "eeprom-access", "register-dump"))),
        *(refused(option) for option in ("-a", "-c", "-d", "-e", "-g")),
        Check("ethtool -s msglvl", "message-level"),
        Check("MAC change", "mac-change"),
        Check("promiscuous", "promiscuous"),
        Check("allmulti", "all-multicast"),
        Check("ifdown/ifup", "ifdown-ifup", ("4",)),
        Check("rmmod/modprobe", "rmmod-modprobe", ("3",)),
        Check("link down/up", "link-down-up", ("no-carrier",)),
        Check("100 connections", "connections", ("100",), seconds=120),
        Check("kernel log", "kernel-log"),
        *on_a_raw_wire(jumbo=None, vlan=("no-tagging", "no-filter")),
        Check("overrun", "overrun", ("300",), station=True),
    ),
    least=0.05,
    lines=2000,
)  # fmt: skip
