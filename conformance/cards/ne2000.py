"""Realtek RTL8029AS under Linux's ne2k-pci driver.

Sections are those of National's DP8390D data sheet; the driver is 8390.c's, which leaves most of ethtool out.
"""

from . import MAC, Card, Check, refused, show

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
        show("-i", r"^driver: ne2k-pci$", r"^bus-info: 0000:00:05\.0$", r"^supports-statistics: no$"),
        refused("-g"),
        refused("-a"),
        Check("ethtool -s msglvl", "message-level"),
        Check("MAC change", "mac-change"),
        Check("promiscuous", "promiscuous"),
        Check("allmulti", "all-multicast"),
        Check("ifdown/ifup", "ifdown-ifup", ("4",)),
        Check("rmmod/modprobe", "rmmod-modprobe", ("3",)),
        Check("100 connections", "connections", ("100",), seconds=120),
        Check("kernel log", "kernel-log"),
    ),
)
