"""Intel 82540EM under Linux's e1000 driver.

Sections are those of the PCI/PCI-X Family of Gigabit Ethernet Controllers Software Developer's Manual.
"""

import re

from . import MAC, Card, Check, first_light, life, on_a_raw_wire, refused, show

OFFLOADS = ("tso=tcp-segmentation-offload", "tx=tx-checksumming", "rx=rx-checksumming", "sg=scatter-gather",
            "rxvlan=rx-vlan-offload")  # fmt: skip
REGISTERS = (
    r"^0x00008: STATUS .* 0x[0-9A-F]{8}\n\s+Duplex: +full\n\s+Link up: +link config",
    r"Link speed: +1000Mb/s\n\s+Bus type: +PCI\n\s+Bus speed: +33MHz\n\s+Bus width: +32-bit",
    r"^0x00100: RCTL .*\n\s+Receiver: +enabled",
    r"Unicast promiscuous: +disabled\n\s+Multicast promiscuous: +disabled",
    r"Broadcast accept mode: +accept",
    r"^0x02808: RDLEN .* 0x00001000$",
    r"^0x02810: RDH .* 0x000000[0-9A-F]{2}$",
    r"^0x00400: TCTL .*\n\s+Transmitter: +enabled\n\s+Pad short packets: +enabled",
    r"^0x03808: TDLEN .* 0x00001000$",
    r"^PHY type: +M88$",
    r"Link State: +Up\n\s+Speed & Duplex Resolved: +Yes",
    r"Duplex: +Full\n\s+Speed: +1000 mbps",
)
# Nothing goes wrong on this wire, and what a counter counts did happen before the check (0 would be a dead counter).
STATISTICS = (
    *(rf"^ +{name}: 0$" for name in (
        "rx_errors", "tx_errors", "tx_dropped", "collisions", "rx_crc_errors", "rx_frame_errors", "rx_length_errors",
        "tx_aborted_errors", "tx_carrier_errors", "tx_timeout_count", "rx_long_length_errors",
        "rx_short_length_errors", "rx_align_errors", "tx_tcp_seg_failed")),
    *(rf"^ +{name}: [1-9]\d*$" for name in (
        "rx_broadcast", "tx_broadcast", "tx_multicast", "tx_tcp_seg_good")),
)  # fmt: skip


def judge_eeprom(text: str) -> list[str]:
    """64 words with the station address, the identity and the checksum that section 5.6 gives them."""
    content = bytes.fromhex("".join(re.findall(r"^0x\w+:\s+([0-9a-f ]+)$", text, re.MULTILINE)))
    if len(content) != 128:
        return [f"{len(content)} bytes in place of 128"]
    words = [int.from_bytes(content[at : at + 2], "little") for at in range(0, 128, 2)]
    complaints = []
    if content[:6].hex(":") != MAC:
        complaints.append(f"words 00h to 02h hold {content[:6].hex(':')}, not {MAC}")
    if words[0x0D:0x0F] != [0x100E, 0x8086]:
        complaints.append(f"words 0Dh and 0Eh hold {words[0x0D]:04x} {words[0x0E]:04x}, not 100e 8086")
    if sum(words) & 0xFFFF != 0xBABA:
        complaints.append(f"the words sum up to {sum(words) & 0xFFFF:#06x}, not 0xbaba")
    return complaints


CARD = Card(
    model="e1000",
    module="e1000",
    peer="e1000",
    ipxe="82540em",
    checks=(
        *first_light(),
        Check("ethtool -t offline", "self-test", ("offline",)),
        Check("ethtool -t online", "self-test", ("online",)),
        show("-i", r"^driver: e1000$", r"^bus-info: 0000:00:05\.0$",
             *(rf"^supports-{what}: yes$" for what in ("statistics", "test", "eeprom-access", "register-dump"))),
        show("-d", *REGISTERS),
        show("-e", judge=judge_eeprom),
        Check("ethtool -E", "eeprom-write", ("0x100e8086", "0x10")),
        Check("ethtool -S", "statistics", ("tx_packets", "rx_packets", "tx_bytes", "rx_bytes"), STATISTICS),
        show("-g", r"maximums:\nRX:\s+4096$", r"settings:\nRX:\s+256$"),
        Check("ethtool -G", "rings", ("80", "80", "4096", "4096")),
        show("-k", r"^tx-checksumming: on$", r"^scatter-gather: on$", r"^tcp-segmentation-offload: on$",
             r"^rx-vlan-offload: on$", r"^rx-vlan-filter: on \[fixed\]$"),
        Check("ethtool -K", "offloads", OFFLOADS),
        Check("receive checksum", "receive-checksum", ("rx_csum_offload_good", "rx_csum_offload_errors")),
        # The driver offers coalescing from the 82545 on; here its limit is a parameter of the module.
        refused("-c"),
        refused("-C", "rx-usecs", "100"),
        Check("throttling", "throttling", ("InterruptThrottleRate", "2000")),
        show("-a", r"^Autonegotiate:\s+on$", r"^RX:\s+(on|off)$", r"^TX:\s+(on|off)$"),
        Check("ethtool -A", "pause"),
        Check("ethtool -s", "link-modes", ("10/half", "10/full", "100/half", "100/full", "1000/full")),
        Check("ethtool -s msglvl", "message-level"),
        Check("ethtool -s wol", "wake-on-lan", ("umbg",)),
        Check("ethtool -p", "identify"),
        Check("MTU 9000, TCP", "mtu", ("9000",)),
        *life(),
        *on_a_raw_wire(jumbo=9000),
    ),
)  # fmt: skip
