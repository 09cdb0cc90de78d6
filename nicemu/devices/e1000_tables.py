"""Registers and rules of the Intel 82540EM, the `e1000`.

Sections are those of Intel's "PCI/PCI-X Family of Gigabit Ethernet Controllers Software Developer's Manual", 8254x SDM,
revision 4.0; where a driver uses what that manual leaves out, the section says so.  Each list below is one part of
chapter 13, in its order; `MMIO` sorts them by offset.

The 82542's offsets for the same registers (RDBAL at 0x110, TDBAL at 0x420 and so on) are not decoded: the manual gives
them for no part of this family.  FLA, TXDMAC, and the wake-up filter's ITCO belong to other members of the family and
are absent too.

This module needs neither the engine nor numpy; descriptor layouts are in e1000_descriptors.
"""

from __future__ import annotations

from collections.abc import Sequence

from nicemu.findings import Rule
from nicemu.registers import Field, Register, Reserved, Reset, State, Table

__all__ = ["IO", "MMIO", "RULES", "TABLES"]

#: What RST# and CTRL.RST leave alone (14.7).
KEPT = frozenset({Reset.BUS, Reset.SOFT})


def number(
    name: str,
    offset: int,
    doc: str,
    section: str,
    *,
    field: str = "",
    bit: int = 0,
    width: int = 32,
    access: str = "rw",
    reset: int | None = 0,
    state: State = State.MODELLED,
    keeps: frozenset[Reset] = frozenset(),
    count: int = 1,
    stride: int = 0,
    clears: str = "",
) -> Register:
    """A register that holds one number, in `width` bits from `bit` on; the others are reserved."""
    fields = [Field(field or name, bit, width, access, reset, doc, state, keeps)]
    if bit:
        fields.insert(0, Reserved(0, bit))
    if bit + width < 32:
        fields.append(Reserved(bit + width, 32 - bit - width))
    return Register(name, offset, doc, section, fields, count=count, stride=stride, clears=clears)


# ---------------------------------------------------------------- 13.4.1-15: general

LED_MODES = {
    0: "LINK_10/1000",
    1: "LINK_100/1000",
    2: "LINK_UP",
    3: "ACTIVITY",
    4: "LINK/ACTIVITY",
    5: "LINK_10",
    6: "LINK_100",
    7: "LINK_1000",
    8: "PCIX_MODE",
    9: "FULL_DUPLEX",
    10: "COLLISION",
    11: "BUS_SPEED",
    12: "BUS_SIZE",
    13: "PAUSED",
    14: "LED_ON",
    15: "LED_OFF",
}
SPEEDS = {0: "10", 1: "100", 2: "1000", 3: "1000"}


def _led(index: int, mode: int, blink: int) -> list[Field]:
    base, stored = 8 * index, State.STORED
    return [
        Field(f"LED{index}_MODE", base, 4, "rw", mode, "What lights it", stored, values=LED_MODES),
        Reserved(base + 4, 2),
        Field(f"LED{index}_IVRT", base + 6, 1, "rw", 0, "Inverted drive", stored),
        Field(f"LED{index}_BLINK", base + 7, 1, "rw", blink, "Blinks while lit", stored),
    ]


GENERAL = [
    Register("CTRL", 0x0000, "Device control", "13.4.1", [
        Field("FD", 0, 1, "rw", 1, "Full duplex, where FRCDPLX forces it; from EEPROM"),
        Reserved(1, 2),
        Field("LRST", 3, 1, "rw", 1, "Link reset of a SerDes; no effect on copper", State.STORED),
        Reserved(4),
        Field("ASDE", 5, 1, "rw", 0, "Detect the PHY's speed; from EEPROM"),
        Field("SLU", 6, 1, "rw", 0, "Set link up: the MAC sees the PHY's link; 1 where EEPROM enables APM or SMBus"),
        Field("ILOS", 7, 1, "rw", 0, "Invert the PHY's link indication"),
        Field("SPEED", 8, 2, "rw", 2, "Speed, where FRCSPD forces it", values=SPEEDS),
        Reserved(10),
        Field("FRCSPD", 11, 1, "rw", 1, "Force SPEED; from EEPROM"),
        Field("FRCDPLX", 12, 1, "rw", 0, "Force FD"),
        Reserved(13, 5),
        Field("SDP0_DATA", 18, 1, "rw", 0, "Pin SDP0; from EEPROM", State.STORED),
        Field("SDP1_DATA", 19, 1, "rw", 0, "Pin SDP1; from EEPROM", State.STORED),
        Field("ADVD3WUC", 20, 1, "rw", 0, "Advertise wake-up from D3cold in PMC; from EEPROM"),
        Field("EN_PHY_PWR_MGMT", 21, 1, "rw", 0, "PHY powers down in D3; from EEPROM", State.STORED),
        Field("SDP0_IODIR", 22, 1, "rw", 0, "SDP0 is an output; from EEPROM", State.STORED, KEPT),
        Field("SDP1_IODIR", 23, 1, "rw", 0, "SDP1 is an output; from EEPROM", State.STORED, KEPT),
        Reserved(24, 2),
        Field("RST", 26, 1, "sc", 0, "Global reset"),
        Field("RFCE", 27, 1, "rw", 0, "Obey received PAUSE frames"),
        Field("TFCE", 28, 1, "rw", 0, "Send PAUSE frames"),
        Reserved(29),
        Field("VME", 30, 1, "rw", 0, "VLAN mode: strip tags on receive, insert them where a descriptor asks"),
        Field("PHY_RST", 31, 1, "rw", 0, "Hold the PHY in reset"),
    ]),
    Register("STATUS", 0x0008, "Device status", "13.4.2", [
        Field("FD", 0, 1, "ro", 0, "Full duplex"),
        Field("LU", 1, 1, "ro", 0, "Link up: the PHY's link and CTRL.SLU"),
        Field("FUNCTION_ID", 2, 2, "ro", 0, "PCI function of a dual part; 0"),
        Field("TXOFF", 4, 1, "ro", 0, "Transmission is paused by a received XOFF"),
        Field("TBIMODE", 5, 1, "ro", 0, "Ten-bit interface; 0"),
        Field("SPEED", 6, 2, "ro", 0, "Speed", values=SPEEDS),
        Field("ASDV", 8, 2, "ro", 0, "Speed that auto-detection found", values=SPEEDS),
        Reserved(10),
        Field("PCI66", 11, 1, "ro", 0, "The bus runs at 66 MHz"),
        Field("BUS64", 12, 1, "ro", 0, "The bus is 64 bits wide; 0"),
        Field("PCIX_MODE", 13, 1, "ro", 0, "The bus is PCI-X; 0"),
        Field("PCIXSPD", 14, 2, "ro", 0, "PCI-X speed; 0"),
        Reserved(16, 16),
    ]),
    Register("EECD", 0x0010, "EEPROM pins", "13.4.3", [
        Field("SK", 0, 1, "rw", 0, "Clock"),
        Field("CS", 1, 1, "rw", 0, "Chip select"),
        Field("DI", 2, 1, "rw", 0, "Data into the EEPROM"),
        Field("DO", 3, 1, "ro", 1, "Data out of the EEPROM; pulled up"),
        Field("FWE", 4, 2, "rw", 1, "Flash write enable", State.STORED, values={1: "disabled", 2: "enabled"}),
        Field("EE_REQ", 6, 1, "rw", 0, "Software asks for the pins"),
        Field("EE_GNT", 7, 1, "ro", 0, "Software has the pins"),
        Field("EE_PRES", 8, 1, "ro", 1, "An EEPROM answered"),
        Field("EE_SIZE", 9, 1, "ro", 0, "Size", values={0: "64 words", 1: "256 words"}),
        Reserved(10, 22),
    ]),
    Register("EERD", 0x0014, "EEPROM read", "13.4.4", [
        Field("START", 0, 1, "sc", 0, "Read the word at ADDR"),
        Reserved(1, 3),
        Field("DONE", 4, 1, "ro", 0, "DATA holds the word"),
        Reserved(5, 3),
        Field("ADDR", 8, 8, "rw", None, "Word address", keeps=KEPT),
        Field("DATA", 16, 16, "ro", None, "The word", keeps=KEPT),
    ]),
    Register("CTRL_EXT", 0x0018, "Extended device control", "13.4.6", [
        Field("GPI_EN0", 0, 1, "rw", 0, "Unused on this part", State.STORED),
        Field("PHYINT_EN", 1, 1, "rw", 0, "The PHY's interrupt raises ICR.PHYINT"),
        Field("SDP6_GPIEN", 2, 1, "rw", 0, "Pin SDP6 raises ICR.GPI_SDP6", State.STORED),
        Field("SDP7_GPIEN", 3, 1, "rw", 0, "Pin SDP7 raises ICR.GPI_SDP7", State.STORED),
        Reserved(4),
        Field("PHYINT", 5, 1, "ro", 0, "The PHY's interrupt is asserted"),
        Field("SDP6_DATA", 6, 1, "rw", 0, "Pin SDP6; from EEPROM", State.STORED),
        Field("SDP7_DATA", 7, 1, "rw", 0, "Pin SDP7; from EEPROM", State.STORED),
        Reserved(8, 2, reset=1),
        Field("SDP6_IODIR", 10, 1, "rw", 0, "SDP6 is an output; from EEPROM", State.STORED, KEPT),
        Field("SDP7_IODIR", 11, 1, "rw", 0, "SDP7 is an output; from EEPROM", State.STORED, KEPT),
        Field("ASDCHK", 12, 1, "sc", 0, "Detect the PHY's speed once: STATUS.ASDV"),
        Field("EE_RST", 13, 1, "sc", 0, "Read the EEPROM again"),
        Field("IPS0", 14, 1, "ro", 0, "Reserved; from EEPROM", State.STORED),
        Field("SPD_BYPS", 15, 1, "rw", 0, "Speed select bypass: CTRL.FRCSPD is ignored"),
        Field("IPS1", 16, 1, "ro", 0, "Reserved; from EEPROM", State.STORED),
        Reserved(17, 15),
    ]),
    Register("MDIC", 0x0020, "PHY access", "13.4.7", [
        Field("DATA", 0, 16, "rw", None, "Data", keeps=KEPT),
        Field("REGADD", 16, 5, "rw", 0, "PHY register"),
        Field("PHYADD", 21, 5, "rw", 0, "PHY address; the internal PHY is 1"),
        Field("OP", 26, 2, "rw", 0, "Operation", values={1: "write", 2: "read"}),
        Field("R", 28, 1, "rw", 0, "Ready: the access is done"),
        Field("I", 29, 1, "rw", 0, "Raise ICR.MDAC when done"),
        Field("E", 30, 1, "rw", 0, "Error: nothing answered"),
        Reserved(31),
    ]),
    number("FCAL", 0x0028, "Flow control address, bytes 0-3", "13.4.8", reset=None, keeps=KEPT),
    number("FCAH", 0x002C, "Flow control address, bytes 4-5", "13.4.9", width=16, reset=None, keeps=KEPT),
    number("FCT", 0x0030, "Flow control type", "13.4.10", width=16, reset=None, keeps=KEPT),
    number("VET", 0x0038, "VLAN type", "13.4.11", width=16, reset=None, keeps=KEPT),
    number("FCTTV", 0x0170, "Pause time of sent XOFF frames, in slots of 512 bit times", "13.4.12",
           field="TTV", width=16, reset=None, keeps=KEPT),
    Register("TXCW", 0x0178, "Transmit configuration word of a SerDes; no effect on copper", "13.4.13", [
        Field("TXCONFIGWORD", 0, 16, "rw", 0, "Word to negotiate with", State.STORED),
        Reserved(16, 14),
        Field("TXCONFIG", 30, 1, "rw", 0, "Send TXCONFIGWORD", State.STORED),
        Field("ANE", 31, 1, "rw", 0, "Negotiate", State.STORED),
    ]),
    Register("RXCW", 0x0180, "Receive configuration word of a SerDes; 0 on copper", "13.4.14", access="ro",
             state=State.STORED),
    Register("LEDCTL", 0x0E00, "LED control", "13.4.15",
             [*_led(0, 2, 0), *_led(1, 3, 1), *_led(2, 6, 0), *_led(3, 7, 0)]),
    Register("PBA", 0x1000, "Packet buffer allocation", "13.4.16", [
        Field("RXA", 0, 7, "rw", 0x30, "KiB of the packet buffer for receive, a multiple of 8"),
        Reserved(7, 9),
        Field("TXA", 16, 16, "ro", 0x10, "KiB for transmit: 64 - RXA"),
    ]),
]

# ---------------------------------------------------------------- 13.4.17-21: interrupts


def _causes(access: str, reserved: str) -> list[Field]:
    """The interrupt causes, each with the access word of one of the four registers that show them."""
    undocumented = State.UNDOCUMENTED
    return [
        Field("TXDW", 0, 1, access, 0, "Transmit descriptor written back"),
        Field("TXQE", 1, 1, access, 0, "Transmit queue empty"),
        Field("LSC", 2, 1, access, 0, "Link status changed"),
        Field("RXSEQ", 3, 1, access, 0, "Receive sequence error of a SerDes; only ICS sets it"),
        Field("RXDMT0", 4, 1, access, 0, "Receive descriptors at or below RCTL.RDMTS"),
        Field("CAUSE5", 5, 1, access, 0, "No source; a driver's self-test sets it through ICS", undocumented),
        Field("RXO", 6, 1, access, 0, "Receive overrun"),
        Field("RXT0", 7, 1, access, 0, "Receive timer expired"),
        Field("CAUSE8", 8, 1, access, 0, "No source; a driver's self-test sets it through ICS", undocumented),
        Field("MDAC", 9, 1, access, 0, "PHY access complete"),
        Field("RXCFG", 10, 1, access, 0, "Configuration words of a SerDes; only ICS sets it"),
        Field("CAUSE11", 11, 1, access, 0, "No source; a driver's self-test sets it through ICS", undocumented),
        Field("PHYINT", 12, 1, access, 0, "The PHY's interrupt, where CTRL_EXT.PHYINT_EN is set"),
        Field("GPI_SDP6", 13, 1, access, 0, "Pin SDP6; only ICS sets it"),
        Field("GPI_SDP7", 14, 1, access, 0, "Pin SDP7; only ICS sets it"),
        Field("TXD_LOW", 15, 1, access, 0, "Transmit descriptors at or below TXDCTL.LWTHRESH"),
        Field("SRPD", 16, 1, access, 0, "Small packet received: RSRPD"),
        Field("", 17, 15, "rsvd", 0, "Reserved", State.STORED if reserved == "any" else State.RESERVED),
    ]


INTERRUPT = [
    Register("ICR", 0x00C0, "Interrupt causes; a read clears all", "13.4.17", _causes("rc_w1c", ""), interrupt=True),
    number("ITR", 0x00C4, "Least time between interrupts, in 256 ns; 0: none", "13.4.18", field="INTERVAL", width=16),
    Register("ICS", 0x00C8, "Interrupt causes to set", "13.4.19", _causes("wo1s", ""), cell="ICR", interrupt=True),
    Register("IMS", 0x00D0, "Interrupt mask: causes to enable; reads show it", "13.4.20", _causes("w1s", ""),
             interrupt=True),
    Register("IMC", 0x00D8, "Interrupt causes to disable", "13.4.21", _causes("wo1c", "any"), cell="IMS",
             interrupt=True),
]

# ---------------------------------------------------------------- 13.4.22-32, 46, 47: receive

RECEIVE = [
    Register("RCTL", 0x0100, "Receive control", "13.4.22", [
        Reserved(0),
        Field("EN", 1, doc="Receiver enable"),
        Field("SBP", 2, doc="Store bad packets"),
        Field("UPE", 3, doc="Unicast promiscuous"),
        Field("MPE", 4, doc="Multicast promiscuous"),
        Field("LPE", 5, doc="Long packets, up to 16384 bytes"),
        Field("LBM", 6, 2, doc="Loopback", values={0: "none", 3: "PHY"}),
        Field("RDMTS", 8, 2, doc="Free descriptors that raise RXDMT0", values={0: "1/2", 1: "1/4", 2: "1/8"}),
        Reserved(10, 2),
        Field("MO", 12, 2, doc="Address bits that the multicast hash takes",
              values={0: "47:36", 1: "46:35", 2: "45:34", 3: "43:32"}),
        Reserved(14),
        Field("BAM", 15, doc="Accept broadcast"),
        Field("BSIZE", 16, 2, doc="Buffer size; with BSEX, sixteen times as much",
              values={0: "2048", 1: "1024", 2: "512", 3: "256"}),
        Field("VFE", 18, doc="VLAN filter enable"),
        Field("CFIEN", 19, doc="Discard tagged packets whose CFI differs from CFI"),
        Field("CFI", 20, doc="The CFI to accept"),
        Reserved(21),
        Field("DPF", 22, doc="Discard PAUSE frames"),
        Field("PMCF", 23, doc="Pass MAC control frames"),
        Reserved(24),
        Field("BSEX", 25, doc="Buffer size extension"),
        Field("SECRC", 26, doc="Strip the FCS"),
        Reserved(27, 5),
    ]),
    Register("FCRTL", 0x2160, "Receive FIFO level, in bytes, at which an XON is sent", "13.4.23", [
        Reserved(0, 3),
        Field("RTL", 3, 13, doc="The level, in 8 bytes"),
        Reserved(16, 15),
        Field("XONE", 31, doc="Send XON frames"),
    ]),
    number("FCRTH", 0x2168, "Receive FIFO level, in bytes, at which an XOFF is sent", "13.4.24",
           field="RTH", bit=3, width=13),
    number("RDBAL", 0x2800, "Receive descriptor base address, low", "13.4.25", bit=4, width=28, reset=None, keeps=KEPT),
    number("RDBAH", 0x2804, "Receive descriptor base address, high", "13.4.26", reset=None, keeps=KEPT),
    number("RDLEN", 0x2808, "Receive descriptor ring length in bytes, a multiple of 128", "13.4.27",
           field="LEN", bit=7, width=13),
    number("RDH", 0x2810, "Receive descriptor head", "13.4.28", width=16),
    number("RDT", 0x2818, "Receive descriptor tail", "13.4.29", width=16),
    Register("RDTR", 0x2820, "Receive delay timer", "13.4.30", [
        Field("DELAY", 0, 16, doc="Delay after the last packet, in 1.024 us; 0: none"),
        Reserved(16, 15),
        Field("FPD", 31, 1, "sc", doc="Expire now"),
    ]),
    Register("RXDCTL", 0x2828, "Receive descriptor control", "13.4.46", [
        Field("PTHRESH", 0, 6, doc="Prefetch threshold"),
        Reserved(6, 2),
        Field("HTHRESH", 8, 6, doc="Host threshold"),
        Reserved(14, 2),
        Field("WTHRESH", 16, 6, "rw", 1, "Write-back threshold"),
        Reserved(22, 2),
        Field("GRAN", 24, 1, "rw", 1, "Unit of the thresholds", values={0: "cache lines", 1: "descriptors"}),
        Reserved(25, 7),
    ]),
    number("RADV", 0x282C, "Receive absolute delay timer, in 1.024 us; 0: off", "13.4.31", field="DELAY", width=16),
    number("RSRPD", 0x2C00, "Packets of at most this many bytes raise ICR.SRPD", "13.4.32", field="SIZE", width=12),
    Register("RXCSUM", 0x5000, "Receive checksum control", "13.4.47", [
        Field("PCSS", 0, 8, doc="First byte of the packet checksum"),
        Field("IPOFLD", 8, doc="Verify IPv4 header checksums"),
        Field("TUOFLD", 9, doc="Verify TCP and UDP checksums"),
        Field("IPV6OFL", 10, doc="Verify TCP and UDP checksums over IPv6"),
        Reserved(11, 21),
    ]),
]

# ---------------------------------------------------------------- 13.4.33-45: transmit

TRANSMIT = [
    Register("TCTL", 0x0400, "Transmit control", "13.4.33", [
        Reserved(0),
        Field("EN", 1, doc="Transmitter enable"),
        Reserved(2),
        Field("PSP", 3, doc="Pad short packets to 64 bytes"),
        Field("CT", 4, 8, doc="Collision threshold: attempts before giving up"),
        Field("COLD", 12, 10, doc="Collision distance in byte times"),
        Field("SWXOFF", 22, 1, "sc", doc="Send an XOFF frame"),
        Reserved(23),
        Field("RTLC", 24, doc="Retransmit on late collision"),
        Reserved(25, 7),
    ]),
    Register("TIPG", 0x0410, "Inter packet gap", "13.4.34", [
        Field("IPGT", 0, 10, "rw", None, "Back to back", keeps=KEPT),
        Field("IPGR1", 10, 10, "rw", None, "First part, half duplex", keeps=KEPT),
        Field("IPGR2", 20, 10, "rw", None, "Total, half duplex", keeps=KEPT),
        Reserved(30, 2),
    ]),
    number("AIT", 0x0458, "Adaptive inter-frame spacing, in 8 ns", "13.4.35", field="AIFS", width=16),
    number("TDBAL", 0x3800, "Transmit descriptor base address, low", "13.4.36", bit=4, width=28, reset=None,
           keeps=KEPT),
    number("TDBAH", 0x3804, "Transmit descriptor base address, high", "13.4.37", reset=None, keeps=KEPT),
    number("TDLEN", 0x3808, "Transmit descriptor ring length in bytes, a multiple of 128", "13.4.38",
           field="LEN", bit=7, width=13),
    number("TDH", 0x3810, "Transmit descriptor head", "13.4.39", width=16),
    number("TDT", 0x3818, "Transmit descriptor tail", "13.4.40", width=16),
    number("TIDV", 0x3820, "Transmit interrupt delay, in 1.024 us", "13.4.41", field="IDV", width=16, reset=None,
           keeps=KEPT),
    Register("TXDCTL", 0x3828, "Transmit descriptor control", "13.4.43", [
        Field("PTHRESH", 0, 6, doc="Prefetch threshold"),
        Reserved(6, 2),
        Field("HTHRESH", 8, 6, doc="Host threshold"),
        Reserved(14, 2),
        Field("WTHRESH", 16, 6, doc="Write-back threshold"),
        Reserved(22, 2),
        Field("GRAN", 24, doc="Unit of the thresholds", values={0: "cache lines", 1: "descriptors"}),
        Field("LWTHRESH", 25, 7, doc="Low threshold, in 8 descriptors: ICR.TXD_LOW"),
    ]),
    number("TADV", 0x382C, "Transmit absolute interrupt delay, in 1.024 us; 0: off", "13.4.44", field="IDV", width=16),
    Register("TSPMT", 0x3830, "TCP segmentation pad and minimum threshold", "13.4.45", [
        Field("TSMT", 0, 16, "rw", 0x0400, "Smallest transfer, bytes"),
        Field("TSPBP", 16, 16, "rw", 0x0100, "Packet buffer padding, bytes"),
    ]),
]

# ---------------------------------------------------------------- 13.5: filters

FILTERS = [
    number("MTA", 0x5200, "Multicast table array", "13.5.1", reset=None, keeps=KEPT, count=128),
    number("RAL", 0x5400, "Receive address, bytes 0-3", "13.5.2", reset=None, keeps=KEPT, count=16, stride=8),
    Register("RAH", 0x5404, "Receive address, bytes 4-5", "13.5.3", [
        Field("RAH", 0, 16, "rw", None, "The address", keeps=KEPT),
        Field("AS", 16, 2, "rw", None, "Address compared with", keeps=KEPT, values={0: "destination", 1: "source"}),
        Reserved(18, 13),
        Field("AV", 31, doc="Address valid"),
    ], count=16, stride=8),
    number("VFTA", 0x5600, "VLAN filter table array", "13.5.4", reset=None, keeps=KEPT, count=128),
]

# ---------------------------------------------------------------- 13.6: wake-up

WAKE_REASONS = ("LNKC", "MAG", "EX", "MC", "BC", "ARP", "IPV4", "IPV6")


def _wakes(access: str, keeps: frozenset[Reset]) -> list[Field]:
    fields = [Field(name, bit, 1, access, 0, keeps=keeps) for bit, name in enumerate(WAKE_REASONS)]
    fields.append(Reserved(8, 8))
    fields += [Field(f"FLX{i}", 16 + i, 1, access, 0, keeps=keeps) for i in range(4)]
    return [*fields, Reserved(20, 12)]


WAKEUP = [
    Register("WUC", 0x5800, "Wake-up control", "13.6.1", [
        Field("APME", 0, doc="Advanced power management wake-up; from EEPROM"),
        Field("PME_EN", 1, doc="PME_En of PMCSR", keeps=KEPT),
        Field("PME_STATUS", 2, 1, "w1c", doc="PME_Status of PMCSR", keeps=KEPT),
        Field("APMPME", 3, doc="Assert PME# on APM wake-up; from EEPROM"),
        Reserved(4, 28),
    ]),
    Register("WUFC", 0x5808, "Wake-up filter control", "13.6.2", _wakes("rw", frozenset())),
    Register("WUS", 0x5810, "Wake-up status", "13.6.3", _wakes("w1c", KEPT)),
    Register("IPAV", 0x5838, "IP address valid", "13.6.4", [
        *(Field(f"V4{i}", i, doc=f"IP4AT[{i}] is valid") for i in range(4)),
        Reserved(4, 12),
        Field("V60", 16, doc="IP6AT is valid"),
        Reserved(17, 15),
    ]),
    number("IP4AT", 0x5840, "IPv4 address table", "13.6.5", reset=None, keeps=KEPT, count=4, stride=8),
    number("IP6AT", 0x5880, "IPv6 address table", "13.6.6", reset=None, keeps=KEPT, count=4),
    number("WUPL", 0x5900, "Wake-up packet length", "13.6.7", field="LEN", width=12, reset=None, keeps=KEPT),
    number("WUPM", 0x5A00, "Wake-up packet memory", "13.6.8", reset=None, keeps=KEPT, count=32),
    number("FFLT", 0x5F00, "Flexible filter length table", "13.6.9", field="LEN", width=11, count=4, stride=8),
    number("FFMT", 0x9000, "Flexible filter mask table", "13.6.10", field="MASK", width=4, reset=None, keeps=KEPT,
           count=128, stride=8),
    Register("FFVT", 0x9800, "Flexible filter value table", "13.6.11",
             [Field(f"VALUE{i}", 8 * i, 8, "rw", None, keeps=KEPT) for i in range(4)], count=128, stride=8),
]

MANC_BITS: Sequence[tuple[int, str]] = (
    (0, "SMBUS_EN"), (1, "ASF_EN"), (2, "R_ON_FORCE"), (8, "RMCP_EN"), (9, "0298_EN"), (10, "IPV4_EN"),
    (11, "IPV6_EN"), (12, "SNAP_EN"), (13, "ARP_EN"), (14, "NEIGHBOR_EN"), (15, "ARP_RES_EN"), (16, "TCO_RESET"),
    (17, "RCV_TCO_EN"), (18, "REPORT_STATUS"), (20, "BLK_PHY_RST_ON_IDE"), (21, "EN_MAC_ADDR_FILTER"),
    (22, "EN_MNG2HOST"), (23, "EN_IP_ADDR_FILTER"), (24, "EN_XSUM_FILTER"), (25, "BR_EN"), (26, "SMB_REQ"),
    (27, "SMB_GNT"), (28, "SMB_CLK_IN"), (29, "SMB_DATA_IN"), (30, "SMB_DATA_OUT"), (31, "SMB_CLK_OUT"),
)


def _manc() -> list[Field]:
    fields: list[Field] = []
    for bit, name in MANC_BITS:
        end = fields[-1].bit + fields[-1].width if fields else 0
        if end < bit:
            fields.append(Reserved(end, bit - end))
        fields.append(Field(name, bit, state=State.UNDOCUMENTED))
    return fields


MANAGEMENT = [Register("MANC", 0x5820, "Management control", "Linux e1000_hw.h", _manc())]

# ---------------------------------------------------------------- 13.7: statistics

_COUNTERS: Sequence[tuple[int, str, str]] = (
    (0x4000, "CRCERRS", "Frames with a wrong FCS"),
    (0x4004, "ALGNERRC", "Frames with an alignment error"),
    (0x4008, "SYMERRS", "Symbol errors of a SerDes"),
    (0x400C, "RXERRC", "Frames with RX_ER during reception"),
    (0x4010, "MPC", "Frames missed for lack of room in the receive FIFO"),
    (0x4014, "SCC", "Frames sent after one collision"),
    (0x4018, "ECOL", "Frames given up after 16 collisions"),
    (0x401C, "MCC", "Frames sent after several collisions"),
    (0x4020, "LATECOL", "Late collisions"),
    (0x4028, "COLC", "Collisions"),
    (0x4030, "DC", "Deferrals"),
    (0x4034, "TNCRS", "Frames sent without carrier sense"),
    (0x4038, "SEC", "Sequence errors of a SerDes"),
    (0x403C, "CEXTERR", "Carrier extension errors"),
    (0x4040, "RLEC", "Frames whose length field does not match"),
    (0x4048, "XONRXC", "XON frames received"),
    (0x404C, "XONTXC", "XON frames sent"),
    (0x4050, "XOFFRXC", "XOFF frames received"),
    (0x4054, "XOFFTXC", "XOFF frames sent"),
    (0x4058, "FCRUC", "Unsupported flow control frames received"),
    (0x405C, "PRC64", "Frames received of 64 bytes"),
    (0x4060, "PRC127", "Frames received of 65-127 bytes"),
    (0x4064, "PRC255", "Frames received of 128-255 bytes"),
    (0x4068, "PRC511", "Frames received of 256-511 bytes"),
    (0x406C, "PRC1023", "Frames received of 512-1023 bytes"),
    (0x4070, "PRC1522", "Frames received of 1024 bytes and more"),
    (0x4074, "GPRC", "Good frames received"),
    (0x4078, "BPRC", "Broadcast frames received"),
    (0x407C, "MPRC", "Multicast frames received"),
    (0x4080, "GPTC", "Good frames sent"),
    (0x4088, "GORC", "Good octets received"),
    (0x4090, "GOTC", "Good octets sent"),
    (0x40A0, "RNBC", "Frames that met an empty receive ring"),
    (0x40A4, "RUC", "Undersize frames received"),
    (0x40A8, "RFC", "Fragments received"),
    (0x40AC, "ROC", "Oversize frames received"),
    (0x40B0, "RJC", "Jabbers received"),
    (0x40B4, "MGTPRC", "Management frames received"),
    (0x40B8, "MGTPDC", "Management frames dropped"),
    (0x40BC, "MGTPTC", "Management frames sent"),
    (0x40C0, "TOR", "Octets received"),
    (0x40C8, "TOT", "Octets sent"),
    (0x40D0, "TPR", "Frames received"),
    (0x40D4, "TPT", "Frames sent"),
    (0x40D8, "PTC64", "Frames sent of 64 bytes"),
    (0x40DC, "PTC127", "Frames sent of 65-127 bytes"),
    (0x40E0, "PTC255", "Frames sent of 128-255 bytes"),
    (0x40E4, "PTC511", "Frames sent of 256-511 bytes"),
    (0x40E8, "PTC1023", "Frames sent of 512-1023 bytes"),
    (0x40EC, "PTC1522", "Frames sent of 1024 bytes and more"),
    (0x40F0, "MPTC", "Multicast frames sent"),
    (0x40F4, "BPTC", "Broadcast frames sent"),
    (0x40F8, "TSCTC", "TCP segmentation contexts sent"),
    (0x40FC, "TSCTFC", "TCP segmentation contexts that failed"),
)
_WIDE = ("GORC", "GOTC", "TOR", "TOT")


def _statistics() -> list[Register]:
    """The counters, in the order of 13.7.1 to 13.7.54: cleared by reading; a pair by reading its high half."""
    registers = []
    for place, (offset, name, doc) in enumerate(_COUNTERS, 1):
        section = f"13.7.{place}"
        if name in _WIDE:
            registers.append(number(f"{name}L", offset, f"{doc}, low half", section, access="ro"))
            registers.append(
                number(f"{name}H", offset + 4, f"{doc}, high half", section, access="rc", clears=f"{name}L")
            )
        else:
            registers.append(number(name, offset, doc, section, access="rc"))
    return registers


# ---------------------------------------------------------------- 13.8: diagnostics

DIAGNOSTICS = [
    number("RDFH", 0x2410, "Receive FIFO head", "13.8.1", width=13),
    number("RDFT", 0x2418, "Receive FIFO tail", "13.8.2", width=13),
    number("RDFHS", 0x2420, "Receive FIFO head, saved", "13.8.3", width=13),
    number("RDFTS", 0x2428, "Receive FIFO tail, saved", "13.8.4", width=13),
    number("RDFPC", 0x2430, "Packets in the receive FIFO", "13.8.5", width=13),
    number("TDFH", 0x3410, "Transmit FIFO head", "13.8.6", width=11),
    number("TDFT", 0x3418, "Transmit FIFO tail", "13.8.7", width=11),
    number("TDFHS", 0x3420, "Transmit FIFO head, saved", "13.8.8", width=13),
    number("TDFTS", 0x3428, "Transmit FIFO tail, saved", "13.8.9", width=13),
    number("TDFPC", 0x3430, "Packets in the transmit FIFO", "13.8.10", width=13),
    number("PBM", 0x10000, "Packet buffer memory", "13.8.11", reset=None, keeps=KEPT, count=16384),
]

# ---------------------------------------------------------------- the spaces

MMIO = Table(
    "mmio",
    0x20000,
    sorted(
        [*GENERAL, *INTERRUPT, *RECEIVE, *TRANSMIT, *FILTERS, *WAKEUP, *MANAGEMENT, *_statistics(), *DIAGNOSTICS],
        key=lambda register: register.offset,
    ),
    widths=(4,),
    whole=True,
    doc="BAR 0: registers and packet buffer memory (13.2)",
)

IO = Table(
    "io",
    64,
    [
        number("IOADDR", 0x0, "Offset that IODATA reaches", "13.2.2.1", width=20, keeps=frozenset({Reset.SOFT})),
        Register("IODATA", 0x4, "The register at IOADDR", "13.2.2.2", window=("mmio", "IOADDR")),
    ],
    widths=(4,),
    whole=True,
    io=True,
    doc="I/O BAR: a window on BAR 0 (13.2.2)",
)

TABLES = (MMIO, IO)

# ---------------------------------------------------------------- findings

RULES: tuple[Rule, ...] = (
    Rule("e1000.access.width", "error", "Registers are accessed 32 bits at a time", "8254x SDM 13.2", "offset", "bytes"),
    Rule("e1000.access.unmapped", "warning", "Only offsets that hold a register are accessed", "8254x SDM 13.2",
         "offset", "value written"),
    Rule("e1000.access.reserved-bits", "warning", "Reserved bits are written as they were read", "8254x SDM 13.2",
         "offset", "value written"),
    Rule("e1000.access.during-reset", "error", "No register is accessed until CTRL.RST has completed, 1 us",
         "8254x SDM 13.4.1", "offset", "ns since the reset"),
    Rule("e1000.dma.bus-master-off", "error", "DMA needs COMMAND bit 2", "8254x SDM 4.1", "address", "bytes"),
    Rule("e1000.dma.unmapped", "error", "Descriptors and buffers are in memory", "8254x SDM 3.2.3", "address", "bytes"),
    Rule("e1000.tx.ring-unaligned", "error", "TDBAL is a multiple of 16", "8254x SDM 13.4.36", "TDBAL written"),
    Rule("e1000.tx.ring-length", "error", "TDLEN is a multiple of 128 and not 0", "8254x SDM 13.4.38", "TDLEN"),
    Rule("e1000.tx.tail-out-of-ring", "error", "TDT is less than TDLEN / 16", "8254x SDM 3.4", "TDT", "TDLEN"),
    Rule("e1000.tx.head-written-while-enabled", "error", "TDH is written only while TCTL.EN is 0", "8254x SDM 13.4.39",
         "value written", "TDH"),
    Rule("e1000.tx.runt", "warning", "Frames have 60 bytes, or TCTL.PSP pads them", "8254x SDM 13.4.33",
         "length", "descriptor"),
    Rule("e1000.tx.length-zero", "error", "A packet has data", "8254x SDM 3.3.3", "descriptor address", "descriptor"),
    Rule("e1000.tx.oversize", "error", "A packet has at most 16288 bytes", "8254x SDM 3.3.3", "length", "descriptor"),
    Rule("e1000.tx.tso-header", "error", "HDRLEN lies within the packet's first data and holds its headers",
         "8254x SDM 3.5", "HDRLEN", "bytes there"),
    Rule("e1000.tx.tso-mss", "error", "MSS is not 0", "8254x SDM 3.3.6", "MSS", "PAYLEN"),
    Rule("e1000.tx.context-missing", "error", "Offloads need a context descriptor first", "8254x SDM 3.3.6",
         "command", "descriptor"),
    Rule("e1000.tx.descriptor-reserved", "warning", "Reserved bits of descriptors are 0", "8254x SDM 3.3",
         "reserved bits set", "descriptor"),
    Rule("e1000.tx.tidv-zero", "error", "TIDV is not 0 when a descriptor asks for the delay", "8254x SDM 13.4.41",
         "descriptor"),
    Rule("e1000.rx.ring-unaligned", "error", "RDBAL is a multiple of 16", "8254x SDM 13.4.25", "RDBAL written"),
    Rule("e1000.rx.ring-length", "error", "RDLEN is a multiple of 128 and not 0", "8254x SDM 13.4.27", "RDLEN"),
    Rule("e1000.rx.tail-out-of-ring", "error", "RDT is less than RDLEN / 16", "8254x SDM 3.2.6", "RDT", "RDLEN"),
    Rule("e1000.rx.head-written-while-enabled", "error", "RDH is written only while RCTL.EN is 0", "8254x SDM 13.4.28",
         "value written", "RDH"),
    Rule("e1000.rx.enabled-without-buffers", "warning", "Descriptors are there before RCTL.EN is set",
         "8254x SDM 14.4", "RDH", "RDT"),
    Rule("e1000.rx.buffer-size-reserved", "error", "BSIZE 00 is reserved with BSEX", "8254x SDM 13.4.22", "RCTL"),
    Rule("e1000.rx.overrun", "note", "Buffers are returned before the FIFO overflows", "8254x SDM 13.7.5",
         "frame length", "MPC"),
    Rule("e1000.filter.undefined-used", "error", "MTA, VFTA and RAR 1-15 are written before they are used",
         "8254x SDM 14.4", "offset"),
    Rule("e1000.eeprom.no-grant", "error", "SK, CS and DI move only while EECD.EE_GNT is 1", "8254x SDM 5.3.1",
         "EECD written"),
    Rule("e1000.eeprom.busy", "error", "EERD is used when DONE is 1 and EECD.EE_REQ is 0", "8254x SDM 13.4.4",
         "EERD written", "EECD"),
    Rule("e1000.mdic.busy", "error", "A command is written when the last one is done", "8254x SDM 13.4.7",
         "MDIC written", "MDIC"),
    Rule("e1000.mdic.bad-phy", "warning", "PHYADD is 1", "8254x SDM 13.4.7", "MDIC written"),
    Rule("e1000.stats.high-first", "error", "The low half of a 64-bit counter is read before the high half",
         "8254x SDM 13.7", "offset"),
)
