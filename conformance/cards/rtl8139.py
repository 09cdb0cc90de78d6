"""Realtek RTL8139C+ under Linux's 8139cp driver, in C+ mode.

Sections are those of the RTL8139C(L) data sheet, whose EEPROM the RTL8139C+ shares.
"""

import re

from . import MAC, Card, Check, first_light, life, on_a_raw_wire, refused, show

OFFLOADS = ("tx=tx-checksumming", "sg=scatter-gather", "tso=tcp-segmentation-offload", "rx=rx-checksumming",
            "rxvlan=rx-vlan-offload")  # fmt: skip
REGISTERS = (
    r"^RealTek RTL8139C\+ registers:",
    r"^0x00: MAC Address +52:54:00:12:34:56$",
    r"^0x37: Command +0x0[cd]$",
    r"Rx on, Tx on",
    r"^0x40: Tx Configuration +0x77800600$",
    r"^0x44: Rx Configuration +0x0000a4[0-9a-f]e$",
    r"^0xE0: C\+ Command +0x00[0-9a-f]{2}$",
)
# Nothing goes wrong on this wire, and what a counter counts did happen before the check (0 would be a dead counter).
STATISTICS = (
    *(rf"^ +{name}: 0$" for name in ("tx_err", "rx_err", "frame_align", "tx_ok_1col", "tx_ok_mcol", "tx_abort",
                                     "tx_underrun", "rx_frags")),
    *(rf"^ +{name}: [1-9]\d*$" for name in ("tx_ok", "rx_ok", "rx_ok_phys", "rx_ok_bcast")),
)  # fmt: skip


def judge_eeprom(text: str) -> list[str]:
    """64 words with the signature, the identity and the station address where section 6 puts them."""
    content = bytes.fromhex("".join(re.findall(r"^0x\w+:\s+([0-9a-f ]+)$", text, re.MULTILINE)))
    if len(content) != 128:
        return [f"{len(content)} bytes in place of 128"]
    complaints = []
    if content[0x0E:0x14].hex(":") != MAC:
        complaints.append(f"bytes 0Eh to 13h hold {content[0x0E:0x14].hex(':')}, not {MAC}")
    if content[:6] != bytes.fromhex("2981ec103981"):
        complaints.append(f"the first bytes are {content[:6].hex()}, not those of a Realtek 8139")
    return complaints


CARD = Card(
    model="rtl8139",
    module="8139cp",
    peer="rtl8139",
    ipxe="rtl8139",
    checks=(
        *first_light(),
        show("-i", r"^driver: 8139cp$", r"^bus-info: 0000:00:05\.0$",
             *(rf"^supports-{what}: yes$" for what in ("statistics", "eeprom-access", "register-dump"))),
        show("-d", *REGISTERS),
        show("-e", judge=judge_eeprom),
        Check("ethtool -E", "eeprom-write", ("0x8139", "0x70")),
        Check("ethtool -S", "statistics", ("tx_ok", "rx_ok"), STATISTICS),
        show("-g", r"maximums:\n(.*\n)*?RX:\s+64$", r"settings:\n(.*\n)*?TX:\s+64$"),
        refused("-G", "rx", "32"),
        show("-k", r"^scatter-gather: on$", r"^rx-vlan-offload: on$", r"^rx-vlan-filter: off \[fixed\]$"),
        Check("ethtool -K", "offloads", OFFLOADS),
        refused("-c"),
        refused("-a"),
        Check("ethtool -s", "link-modes", ("10/half", "10/full", "100/half", "100/full")),
        Check("ethtool -s msglvl", "message-level"),
        Check("ethtool -s wol", "wake-on-lan", ("pumbg",)),
        Check("ethtool -r", "negotiate"),
        *life(),
        *on_a_raw_wire(jumbo=4000, vlan=("no-filter",)),
        Check("overrun", "overrun", ("3000",), station=True),
    ),
)  # fmt: skip
