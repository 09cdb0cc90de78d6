"""Marvell 88E8057 (Yukon Ultra 2) under Linux's sky2 driver; sections are those of docs/yukon2-facts.md."""

import re

from . import MAC, Card, Check, first_light, life, on_a_raw_wire, refused, show, soak

OFFLOADS = ("tso=tcp-segmentation-offload", "tx=tx-checksumming", "rx=rx-checksumming", "sg=scatter-gather",
            "rxvlan=rx-vlan-offload", "txvlan=tx-vlan-offload", "rxhash=receive-hashing")  # fmt: skip
# What the driver has set up on a link of 1000 Mb/s (8.2), as ethtool decodes it.
REGISTERS = (
    r"^FIFO Flush Mask +0x0000187B$",
    r"^Truncation Threshold +0x0000017A$",
    r"^Receive Queue 1\n-+$",
    r"^BMU Control/Status +0x8000A1AA$",
    r"^Sync Transmit Queue 1 \(disabled\)$",
    r"^Async Transmit Queue 1\n-+$",
    r"^BMU Control/Status +0x800021AA$",
    r"^Receive RAMbuffer 1 \(disabled\)$",
)
# Nothing goes wrong on this wire, and what a counter counts did happen before the check (0 would be a dead counter).
STATISTICS = (
    *(rf"^ +{name}: 0$" for name in (
        "collisions", "late_collision", "aborted", "single_collisions", "multi_collisions", "rx_short", "rx_runt",
        "rx_too_long", "rx_fifo_overflow", "rx_jabber", "rx_fcs_error", "tx_fifo_underrun", "rx_mac_pause")),
    *(rf"^ +{name}: [1-9]\d*$" for name in (
        "tx_bytes", "rx_bytes", "tx_broadcast", "tx_multicast", "tx_unicast", "rx_unicast",
        "tx_64_byte_packets", "rx_256_to_511_byte_packets", "tx_256_to_511_byte_packets")),
)  # fmt: skip


def judge_vpd(text: str, part: str = "88E8057") -> list[str]:
    """1024 bytes with the product's name, the station address as serial number, and a checksum of 0 (PCI I.3)."""
    content = bytes.fromhex("".join(re.findall(r"^0x\w+:\s+([0-9a-f ]+)$", text, re.MULTILINE)))
    end = content.find(b"RV\x01") + 4
    complaints = [] if len(content) == 1024 else [f"{len(content)} bytes in place of 1024"]
    if part.encode() not in content:
        complaints.append("the product has no name")
    if b"SN\x0c" + MAC.replace(":", "").encode() not in content:
        complaints.append("the serial number is not the station address")
    if end < 4 or sum(content[:end]) & 0xFF:
        complaints.append("there is no checksum, or a wrong one")
    return complaints


CARD = Card(
    model="yukon2",
    module="sky2",
    peer=None,
    ipxe="m88e8057",
    checks=(
        *first_light(),
        Check("interrupt", "interrupts", ("PCI-MSI",)),
        refused("-t"),
        show("-i", r"^driver: sky2$", r"^bus-info: 0000:00:05\.0$",
             *(rf"^supports-{what}: yes$" for what in ("statistics", "eeprom-access", "register-dump"))),
        show("-d", *REGISTERS),
        show("-e", judge=judge_vpd),
        Check("ethtool -S", "statistics", ("tx_unicast", "rx_unicast", "tx_bytes", "rx_bytes"), STATISTICS),
        show("-g", r"maximums:\nRX:\s+168$", r"settings:\nRX:\s+168$"),
        Check("ethtool -G", "rings", ("64", "64", "168", "512")),
        show("-k", r"^scatter-gather: on$", r"^tcp-segmentation-offload: on$", r"^rx-vlan-offload: on$",
             r"^tx-vlan-offload: on$", r"^receive-hashing: on$", r"^rx-vlan-filter: off \[fixed\]$"),
        Check("ethtool -K", "offloads", OFFLOADS),
        show("-c", r"^rx-usecs:\s+100$", r"^rx-frames:\s+16$", r"^rx-usecs-irq:\s+20$", r"^rx-frames-irq:\s+16$",
             r"^tx-usecs:\s+1000$", r"^tx-frames:\s+10$"),
        Check("ethtool -C", "coalescing", ("0", "20", "500")),
        show("-a", r"^Autonegotiate:\s+on$", r"^RX:\s+on$", r"^TX:\s+on$"),
        Check("ethtool -A", "pause"),
        Check("ethtool -s", "link-modes", ("10/half", "10/full", "100/half", "100/full", "1000/full")),
        Check("ethtool -s msglvl", "message-level"),
        Check("ethtool -s wol", "wake-on-lan", ("pg",)),
        Check("ethtool -p", "identify"),
        Check("MTU 9000, TCP", "mtu", ("9000",)),
        soak(5),
        *life(),
        *on_a_raw_wire(jumbo=9000, vlan=("insertion", "no-filter")),
    ),
)  # fmt: skip
