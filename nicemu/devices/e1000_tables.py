"""Registers and rules of the Intel 82540EM, the `e1000`.

Sections are those of Intel's "PCI/PCI-X Family of Gigabit Ethernet Controllers Software Developer's Manual", 317453
(8254x SDM).  Each list below is one part of its chapter 13, in its order; `MMIO` sorts them by offset.

What is not here: FLA, TXDMAC and the wake-up filter's ITCO, which other members of the family have, and the 82542's
offsets for these registers (RDBAL at 0x110, TDBAL at 0x420 and so on), which the manual gives for no part and which are
not decoded.  What is here although the manual leaves it out: MANC, which drivers of this part read and write.

Undefined at power-on ("X" in the manual) is `reset=None`; a register that has no initial value has no reset circuit
either, so resets leave it alone.  Statistics do start at 0 (14.8), although 13.7 says that they do not.

This module needs neither the engine nor numpy; descriptor layouts are in `e1000_descriptors`.
"""

from __future__ import annotations

from nicemu.findings import Rule, Severity
from nicemu.registers import Field, Register, Reserved, Reset, State, Table, Window

__all__ = ["IO", "MMIO", "RULES", "TABLES"]

#: Left alone by RST# and by CTRL.RST (14.7).
KEPT = frozenset({Reset.BUS, Reset.SOFT})
#: Left alone by CTRL.RST only.
KEPT_SOFT = frozenset({Reset.SOFT})


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
    """A register that holds one number, in `width` bits from `bit` on; those below it are 0, those above reserved."""
    fields = [Field(field or name, bit, width, access, reset, doc, state, keeps)]
    if bit:
        fields.insert(0, Field("", 0, bit, "rsvd", 0, "0, whatever is written", State.STORED))
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
        Field("GPI_EN0", 0, 1, "rw", 0, "General purpose interrupt of a pin that this part lacks", State.STORED),
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
        Field("IPS0", 14, 1, "rw", 0, "No effect, to be written as 0; from EEPROM", State.STORED),
        Field("SPD_BYPS", 15, 1, "rw", 0, "Speed select bypass: CTRL.FRCSPD is ignored"),
        Field("IPS1", 16, 1, "rw", 0, "No effect, to be written as 0; from EEPROM", State.STORED),
        Reserved(17, 15),
    ]),
    Register("MDIC", 0x0020, "PHY access", "13.4.7", [
        Field("DATA", 0, 16, "rw", None, "What is written, or was read", keeps=KEPT),
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
    # 14.7 does not name it; drivers write it and then set CTRL.RST to make the new division take effect.
    Register("PBA", 0x1000, "Packet buffer allocation", "13.4.16", [
        Field("RXA", 0, 7, "rw", 0x30, "KiB of the packet buffer for receive, a multiple of 8", keeps=KEPT_SOFT),
        Reserved(7, 9),
        Field("TXA", 16, 16, "ro", 0x10, "KiB for transmit: 64 - RXA", keeps=KEPT_SOFT),
    ]),
]

# ---------------------------------------------------------------- 13.4.17-21: interrupts


def _causes(access: str, reserved: State = State.RESERVED) -> list[Field]:
    """The interrupt causes, with the access word of one of the four registers that show them.

    Every bit up to 16 is a flip-flop that ICS, IMS and IMC reach, the reserved ones too: Linux's `ethtool -t` expects
    an interrupt from each of bits 0 to 9.  There is no INT_ASSERTED in bit 31; that came with later parts.
    """
    unnamed = "Reserved, without a source; ICS sets it", State.UNDOCUMENTED
    return [
        Field("TXDW", 0, 1, access, 0, "Transmit descriptor written back"),
        Field("TXQE", 1, 1, access, 0, "Transmit queue empty"),
        Field("LSC", 2, 1, access, 0, "Link status changed"),
        Field("RXSEQ", 3, 1, access, 0, "Receive sequence error of a SerDes; here only ICS sets it", State.STORED),
        Field("RXDMT0", 4, 1, access, 0, "Free receive descriptors fell to RCTL.RDMTS"),
        Field("CAUSE5", 5, 1, access, 0, *unnamed),
        Field("RXO", 6, 1, access, 0, "Receive FIFO overrun"),
        Field("RXT0", 7, 1, access, 0, "Receive timer expired"),
        Field("CAUSE8", 8, 1, access, 0, *unnamed),
        Field("MDAC", 9, 1, access, 0, "PHY access complete"),
        Field("RXCFG", 10, 1, access, 0, "Ordered sets of a SerDes; here only ICS sets it", State.STORED),
        Field("CAUSE11", 11, 1, access, 0, *unnamed),
        Field("PHYINT", 12, 1, access, 0, "The PHY's interrupt, where CTRL_EXT.PHYINT_EN is set"),
        Field("GPI_SDP6", 13, 1, access, 0, "Pin SDP6; without a board only ICS sets it", State.STORED),
        Field("GPI_SDP7", 14, 1, access, 0, "Pin SDP7; without a board only ICS sets it", State.STORED),
        Field("TXD_LOW", 15, 1, access, 0, "Pending transmit descriptors fell to TXDCTL.LWTHRESH"),
        Field("SRPD", 16, 1, access, 0, "Small packet received: RSRPD"),
        Field("", 17, 15, "rsvd", 0, "Reserved", reserved),
    ]


# Reserved bits are to be written as 1 in IMC, may be written as 1 in ICR, and are to be 0 in ICS and IMS.
INTERRUPT = [
    Register("ICR", 0x00C0, "Interrupt causes; a read clears all", "13.4.17", _causes("rc_w1c", State.STORED),
             interrupt=True),
    number("ITR", 0x00C4, "Least time between interrupts, in 256 ns; 0: none", "13.4.18", field="INTERVAL", width=16),
    Register("ICS", 0x00C8, "Interrupt causes to set", "13.4.19", _causes("wo1s"), cell="ICR", interrupt=True),
    Register("IMS", 0x00D0, "Interrupt mask: causes to enable; reads show it", "13.4.20", _causes("w1s"),
             interrupt=True),
    Register("IMC", 0x00D8, "Interrupt causes to disable", "13.4.21", _causes("wo1c", State.STORED), cell="IMS",
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
        Field("LBM", 6, 2, doc="Loopback; the PHY's own loopback works without it", values={0: "none", 3: "PHY"}),
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
    Register("FCRTH", 0x2168, "Receive FIFO level, in bytes, at which an XOFF is sent", "13.4.24", [
        Reserved(0, 3),
        Field("RTH", 3, 13, doc="The level, in 8 bytes"),
        Reserved(16, 16),
    ]),
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
        Field("PTHRESH", 0, 6, doc="Prefetch when fewer descriptors are on the chip", state=State.STORED),
        Reserved(6, 2),
        Field("HTHRESH", 8, 6, doc="Prefetch when at least so many are in memory", state=State.STORED),
        Reserved(14, 2),
        Field("WTHRESH", 16, 6, "rw", 1, "Write back when so many descriptors are done"),
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
        Field("CT", 4, 8, doc="Collision threshold: attempts before giving up", state=State.STORED),
        Field("COLD", 12, 10, doc="Collision distance in byte times", state=State.STORED),
        Field("SWXOFF", 22, 1, "sc", doc="Send an XOFF frame"),
        Reserved(23),
        Field("RTLC", 24, doc="Retransmit on late collision", state=State.STORED),
        Reserved(25, 7),
    ]),
    Register("TIPG", 0x0410, "Inter packet gap", "13.4.34", [
        Field("IPGT", 0, 10, "rw", None, "Gap between packets back to back, in MAC clocks, less 4", keeps=KEPT),
        Field("IPGR1", 10, 10, "rw", None, "First part of the gap, half duplex", State.STORED, KEPT),
        Field("IPGR2", 20, 10, "rw", None, "Whole gap, half duplex", State.STORED, KEPT),
        Reserved(30, 2),
    ]),
    number("AIFS", 0x0458, "Adaptive inter-frame spacing throttle (AIT), in 8 ns", "13.4.35", width=16),
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
        Field("PTHRESH", 0, 6, doc="Prefetch when fewer descriptors are on the chip", state=State.STORED),
        Reserved(6, 2),
        Field("HTHRESH", 8, 6, doc="Prefetch when at least so many are in memory", state=State.STORED),
        Reserved(14, 2),
        Field("WTHRESH", 16, 6, doc="Write back when so many descriptors are done; 0: at once, the status only"),
        Reserved(22, 2),
        Field("GRAN", 24, doc="Unit of the thresholds", values={0: "cache lines", 1: "descriptors"}),
        Field("LWTHRESH", 25, 7, doc="Low threshold, in 8 descriptors: ICR.TXD_LOW"),
    ]),
    number("TADV", 0x382C, "Transmit absolute interrupt delay, in 1.024 us; 0: off", "13.4.44", field="IDV", width=16),
    Register("TSPMT", 0x3830, "TCP segmentation pad and minimum threshold", "13.4.45", [
        Field("TSMT", 0, 16, "rw", 0x0400, "Smallest burst of a segmentation, bytes", State.STORED),
        Field("TSPBP", 16, 16, "rw", 0x0100, "Packet buffer kept free for headers, bytes", State.STORED),
    ]),
]

# ---------------------------------------------------------------- 13.5: filters

FILTERS = [
    number("MTA", 0x5200, "Multicast table array", "13.5.1", reset=None, keeps=KEPT, count=128),
    number("RAL", 0x5400, "Receive address, bytes 0-3", "13.5.2", reset=None, keeps=KEPT, count=16, stride=8),
    Register("RAH", 0x5404, "Receive address, bytes 4-5", "13.5.3", [
        Field("RAH", 0, 16, "rw", None, "Bytes 4 and 5", keeps=KEPT),
        Field("AS", 16, 2, "rw", None, "The packet's address that is compared", keeps=KEPT,
              values={0: "destination", 1: "source"}),
        Reserved(18, 13),
        Field("AV", 31, doc="Address valid; element 0 is loaded from EEPROM and becomes valid after every reset"),
    ], count=16, stride=8),
    number("VFTA", 0x5600, "VLAN filter table array", "13.5.4", reset=None, keeps=KEPT, count=128),
]

# ---------------------------------------------------------------- 13.6: wake-up

WAKE_REASONS = (
    ("LNKC", "Link status change"),
    ("MAG", "Magic packet"),
    ("EX", "Directed packet: one of the 16 receive addresses"),
    ("MC", "Multicast packet: a bit of MTA"),
    ("BC", "Broadcast packet"),
    ("ARP", "ARP request for one of IP4AT"),
    ("IPV4", "IPv4 packet to one of IP4AT"),
    ("IPV6", "IPv6 packet to IP6AT"),
)


def _wakes(access: str, keeps: frozenset[Reset] = frozenset()) -> list[Field]:
    """The reasons to wake up, as WUFC enables and WUS records them."""
    fields = [Field(name, bit, 1, access, 0, doc, keeps=keeps) for bit, (name, doc) in enumerate(WAKE_REASONS)]
    fields.append(Reserved(8, 8))
    fields += [Field(f"FLX{i}", 16 + i, 1, access, 0, f"Flexible filter {i}", keeps=keeps) for i in range(4)]
    return [*fields, Reserved(20, 12)]


# RST# resets WUC, WUFC and IPAV (14.7; 13.6.1 makes that depend on AUX_POWER, which this board has).
WAKEUP = [
    Register("WUC", 0x5800, "Wake-up control", "13.6.1", [
        Field("APME", 0, doc="Advanced power management wake-up; from EEPROM"),
        Field("PME_EN", 1, doc="PME_En of PMCSR; outlives RST# on auxiliary power", keeps=KEPT),
        Field("PME_STATUS", 2, 1, "w1c", doc="PME_Status of PMCSR; outlives RST# on auxiliary power", keeps=KEPT),
        Field("APMPME", 3, doc="Assert PME# on APM wake-up; from EEPROM"),
        Reserved(4, 28),
    ]),
    Register("WUFC", 0x5808, "Wake-up filter control", "13.6.2", _wakes("rw")),
    Register("WUS", 0x5810, "Wake-up status", "13.6.3", _wakes("w1c", KEPT)),
    Register("IPAV", 0x5838, "IP address valid", "13.6.4", [
        *(Field(f"V4{i}", i, doc=f"IP4AT[{i}] is valid") for i in range(4)),
        Reserved(4, 12),
        Field("V60", 16, doc="IP6AT is valid"),
        Reserved(17, 15),
    ]),
    number("IP4AT", 0x5840, "IPv4 address table", "13.6.5", reset=None, keeps=KEPT, count=4, stride=8),
    number("IP6AT", 0x5880, "IPv6 address table", "13.6.6", reset=None, keeps=KEPT, count=4),
    number("WUPL", 0x5900, "Length of the first wake-up packet, at most 2047", "13.6.7", field="LEN", width=12,
           reset=None, keeps=KEPT),
    number("WUPM", 0x5A00, "First 128 bytes of the wake-up packet", "13.6.8", reset=None, keeps=KEPT, count=32),
    number("FFLT", 0x5F00, "Flexible filter lengths: bytes that a packet must have to pass", "13.6.9", field="LEN",
           width=11, count=4, stride=8),
    number("FFMT", 0x9000, "Flexible filter masks: which filters compare byte n", "13.6.10", field="MASK", width=4,
           reset=None, keeps=KEPT, count=128, stride=8),
    Register("FFVT", 0x9800, "Flexible filter values: what byte n is compared with", "13.6.11", [
        Field("VALUE0", 0, 8, "rw", None, "For filter 0", keeps=KEPT),
        Field("VALUE1", 8, 8, "rw", None, "For filter 1", keeps=KEPT),
        Field("VALUE2", 16, 8, "rw", None, "For filter 2", keeps=KEPT),
        Field("VALUE3", 24, 8, "rw", None, "For filter 3", keeps=KEPT),
    ], count=128, stride=8),
]

MANC_BITS = (
    (0, "SMBUS_EN", "ro", "SMBus enabled; from EEPROM"),
    (1, "ASF_EN", "ro", "ASF enabled; from EEPROM"),
    (2, "R_ON_FORCE", "ro", "Reset on a forced TCO; from EEPROM"),
    (8, "RMCP_EN", "rw", "UDP port 026Fh is management; from EEPROM"),
    (9, "RMCP_0298_EN", "rw", "UDP port 0298h is management; from EEPROM"),
    (10, "IPV4_EN", "rw", "IPv4 packets"),
    (11, "IPV6_EN", "rw", "IPv6 packets"),
    (12, "SNAP_EN", "rw", "LLC/SNAP packets"),
    (13, "ARP_EN", "rw", "ARP requests go to management; from EEPROM"),
    (14, "NEIGHBOR_EN", "rw", "Neighbour discovery goes to management"),
    (15, "ARP_RES_EN", "rw", "ARP responses go to management; from EEPROM"),
    (16, "TCO_RESET", "rw", "A TCO reset occurred"),
    (17, "RCV_TCO_EN", "rw", "Management packets are received"),
    (18, "REPORT_STATUS", "rw", "Status is reported"),
    (19, "RCV_ALL", "rw", "All packets are received"),
    (20, "EN_MAC_ADDR_FILTER", "rw", "The address filter applies"),
    (21, "EN_MNG2HOST", "rw", "Management packets go to the host too"),
    (22, "EN_IP_ADDR_FILTER", "rw", "The IP address filter applies"),
    (23, "EN_XSUM_FILTER", "rw", "The checksum filter applies"),
    (24, "SMB_REQ", "rw", "SMBus request"),
    (25, "SMB_GNT", "rw", "SMBus grant"),
    (26, "SMB_CLK_IN", "rw", "SMBus clock in"),
    (27, "SMB_DATA_IN", "rw", "SMBus data in"),
    (28, "SMB_DATA_OUT", "rw", "SMBus data out"),
    (29, "SMB_CLK_OUT", "rw", "SMBus clock out"),
)


def _manc() -> list[Field]:
    fields = [Field(name, bit, 1, access, 0, doc, State.UNDOCUMENTED) for bit, name, access, doc in MANC_BITS]
    return [*fields[:3], Reserved(3, 5), *fields[3:], Reserved(30, 2)]


# Its names are those of Linux's e1000_hw.h; the EEPROM's management word (5.6.24) tells what some bits are for.
MANAGEMENT = [Register("MANC", 0x5820, "Management control: no management controller is there", "5.6.24", _manc())]

# ---------------------------------------------------------------- 13.7: statistics

#: Offset, name and what is counted, in the order of 13.7.1 to 13.7.54.  Lengths are from destination address to FCS.
#: "Accepted" frames passed the filters and found room in the packet buffer, whether or not they reached memory.
COUNTERS = (
    (0x4000, "CRCERRS", "Accepted frames of 64 bytes and more with a wrong FCS"),
    (0x4004, "ALGNERRC", "Accepted frames of 64 bytes and more that end inside a byte, 10/100 Mb/s"),
    (0x4008, "SYMERRS", "Symbol errors of a SerDes: 0"),
    (0x400C, "RXERRC", "Frames that the PHY marked with RX_ER"),
    (0x4010, "MPC", "Frames missed because the receive FIFO was full"),
    (0x4014, "SCC", "Frames sent after one collision"),
    (0x4018, "ECOL", "Frames given up after 16 collisions"),
    (0x401C, "MCC", "Frames sent after 2 to 15 collisions"),
    (0x4020, "LATECOL", "Late collisions"),
    (0x4028, "COLC", "Collisions that were not late"),
    (0x4030, "DC", "Times that sending had to wait: traffic, XOFF, link down"),
    (0x4034, "TNCRS", "Frames sent without carrier sense"),
    (0x4038, "SEC", "Sequence errors of a SerDes: 0"),
    (0x403C, "CEXTERR", "Frames with a carrier extension error, 1000 Mb/s"),
    (0x4040, "RLEC", "Frames below 64 bytes or above the longest allowed"),
    (0x4048, "XONRXC", "XON frames received"),
    (0x404C, "XONTXC", "XON frames sent"),
    (0x4050, "XOFFRXC", "XOFF frames received"),
    (0x4054, "XOFFTXC", "XOFF frames sent"),
    (0x4058, "FCRUC", "Flow control frames received with another opcode than PAUSE"),
    (0x405C, "PRC64", "Good frames accepted of 64 bytes"),
    (0x4060, "PRC127", "Good frames accepted of 65-127 bytes"),
    (0x4064, "PRC255", "Good frames accepted of 128-255 bytes"),
    (0x4068, "PRC511", "Good frames accepted of 256-511 bytes"),
    (0x406C, "PRC1023", "Good frames accepted of 512-1023 bytes"),
    (0x4070, "PRC1522", "Good frames accepted of 1024 bytes and more"),
    (0x4074, "GPRC", "Good frames accepted, without flow control"),
    (0x4078, "BPRC", "Good broadcast frames accepted"),
    (0x407C, "MPRC", "Good multicast frames accepted, without broadcast and flow control"),
    (0x4080, "GPTC", "Good frames sent, without flow control"),
    (0x4088, "GORC", "Octets of good frames accepted, without flow control"),
    (0x4090, "GOTC", "Octets of good frames sent, without flow control"),
    (0x40A0, "RNBC", "Frames that arrived at an empty receive ring"),
    (0x40A4, "RUC", "Frames below 64 bytes with a right FCS"),
    (0x40A8, "RFC", "Frames below 64 bytes with a wrong FCS"),
    (0x40AC, "ROC", "Frames above the longest allowed with a right FCS"),
    (0x40B0, "RJC", "Frames above the longest allowed with a wrong FCS"),
    (0x40B4, "MGTPRC", "Management frames received: 0"),
    (0x40B8, "MGTPDC", "Management frames dropped: 0"),
    (0x40BC, "MGTPTC", "Management frames sent: 0"),
    (0x40C0, "TOR", "Octets of all frames received, good or not"),
    (0x40C8, "TOT", "Octets of all frames sent"),
    (0x40D0, "TPR", "All frames received, good or not"),
    (0x40D4, "TPT", "All frames sent"),
    (0x40D8, "PTC64", "Frames sent of 64 bytes, without PAUSE"),
    (0x40DC, "PTC127", "Frames sent of 65-127 bytes"),
    (0x40E0, "PTC255", "Frames sent of 128-255 bytes"),
    (0x40E4, "PTC511", "Frames sent of 256-511 bytes"),
    (0x40E8, "PTC1023", "Frames sent of 512-1023 bytes"),
    (0x40EC, "PTC1522", "Frames sent of 1024 bytes and more"),
    (0x40F0, "MPTC", "Multicast frames sent, without flow control"),
    (0x40F4, "BPTC", "Broadcast frames sent"),
    (0x40F8, "TSCTC", "TCP segmentation contexts sent"),
    (0x40FC, "TSCTFC", "TCP segmentation contexts that ended before all of PAYLEN was sent"),
)
#: Counters of 64 bits, in two registers.
WIDE_COUNTERS = ("GORC", "GOTC", "TOR", "TOT")


def _statistics() -> list[Register]:
    """The counters: cleared by reading, those of 64 bits by reading the high half."""
    registers = []
    for place, (offset, name, doc) in enumerate(COUNTERS, 1):
        section = f"13.7.{place}"
        if name in WIDE_COUNTERS:
            low, high = f"{name}L", f"{name}H"
            registers.append(number(low, offset, f"{doc}, low half", section, access="ro"))
            registers.append(number(high, offset + 4, f"{doc}, high half", section, access="rc", clears=low))
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
        number("IOADDR", 0x0, "Offset that IODATA reaches", "13.2.2.1", width=20, keeps=KEPT_SOFT),
        Register("IODATA", 0x4, "The register at IOADDR", "13.2.2.2", window=Window("mmio", "IOADDR")),
    ],
    widths=(4,),
    whole=True,
    doc="I/O BAR: a window on BAR 0 (13.2.2)",
)

TABLES = (MMIO, IO)

# ---------------------------------------------------------------- findings


def _rule(id: str, severity: Severity, section: str, asks: str, first: str = "", second: str = "") -> Rule:
    return Rule(f"e1000.{id}", severity, asks, f"8254x SDM {section}", first, second)


# Where a rule speaks of a descriptor, its value is the descriptor's index in the ring.
RULES: tuple[Rule, ...] = (
    _rule("access.width", "error", "13.2", "Registers are accessed 32 bits at a time", "offset", "bytes"),
    _rule("access.reserved-bits", "warning", "13.2", "Reserved bits keep their value", "offset", "value"),
    _rule("access.unmapped", "warning", "13.2", "Only offsets that hold a register are accessed", "offset", "bytes"),
    _rule("access.during-reset", "error", "13.4.1",
          "Nothing is accessed within 1 us of setting CTRL.RST", "offset", "ns left"),
    _rule("dma.bus-master-off", "error", "4.1",
          "COMMAND has its bus master bit set before DMA begins", "address", "bytes"),
    _rule("dma.unmapped", "error", "3.2", "Rings and buffers lie in memory", "address", "bytes"),
    _rule("control.undefined-used", "error", "13.2",
          "What power-on leaves undefined (FCAL, FCAH, FCT, FCTTV, VET, RDBAL, RDBAH, TDBAL, TDBAH) is written "
          "before it is needed", "offset"),
    _rule("control.packet-buffer", "error", "13.4.16",
          "PBA.RXA is a multiple of 8 and leaves both sides some memory", "PBA written"),
    _rule("link.forced-mismatch", "error", "13.4.1",
          "Speed and duplex that CTRL forces are those of the PHY", "CTRL", "STATUS"),
    _rule("eeprom.no-grant", "error", "5.3.1",
          "SK, CS and DI are driven while EECD.EE_GNT is 1", "EECD written", "EECD"),
    _rule("eeprom.busy", "error", "13.4.4",
          "EERD is used while no read is under way and software does not hold the pins", "EERD written", "EECD"),
    _rule("mdic.busy", "error", "13.4.7", "A command is written after the last one is ready", "MDIC written", "MDIC"),
    _rule("mdic.command", "error", "13.4.7", "A command has OP 01 or 10, and R and E clear", "MDIC written"),
    _rule("mdic.bad-phy", "warning", "13.4.7", "PHYADD is 1, the internal PHY", "MDIC written"),
    _rule("flow.threshold", "error", "8.7.5",
          "FCRTH is not above the size of the receive FIFO, nor below FCRTL", "FCRTH", "PBA"),
    _rule("tx.ring-unaligned", "error", "13.4.36", "The ring begins at a multiple of 16", "TDBAL written"),
    _rule("tx.ring-length", "error", "13.4.38",
          "TDLEN is a multiple of 128, and not 0 when descriptors are added", "TDLEN written"),
    _rule("tx.tail-out-of-ring", "error", "3.4", "TDT lies within the ring", "TDT", "TDLEN"),
    _rule("tx.tail-equals-head", "error", "3.4",
          "TDT does not catch up with TDH, which would mean an empty ring", "TDT", "TDH"),
    _rule("tx.head-written-while-enabled", "error", "13.4.39",
          "TDH is written after a reset and before TCTL.EN", "TDH written", "TDH"),
    _rule("tx.runt", "warning", "3.3.3",
          "Packets have 48 bytes before padding, and 60 where TCTL.PSP does not pad them", "bytes", "descriptor"),
    _rule("tx.length-zero", "error", "3.3.3", "Packets have data", "descriptor"),
    _rule("tx.oversize", "error", "3.3.3",
          "Packets have at most 16288 bytes, and 80 less than the transmit FIFO", "bytes", "descriptor"),
    _rule("tx.checksum-offset", "warning", "3.3.3.1",
          "Checksum start and offset lie within the packet", "offset", "bytes"),
    _rule("tx.tso-header", "error", "3.5.5",
          "HDRLEN is at most 240 and covers the headers, each whole in a descriptor", "HDRLEN", "descriptor"),
    _rule("tx.tso-mss", "error", "3.3.6",
          "MSS is not 0, and MSS + HDRLEN is 80 less than the transmit FIFO", "MSS", "HDRLEN"),
    _rule("tx.tso-length", "error", "3.3.7.1", "The data up to EOP are HDRLEN + PAYLEN bytes", "bytes", "PAYLEN"),
    _rule("tx.context-missing", "error", "3.3.5",
          "A context descriptor comes before the first packet that uses it", "command", "descriptor"),
    _rule("tx.mixed-descriptors", "error", "3.3.5",
          "A packet's descriptors are of one type, without a context among them", "command", "descriptor"),
    _rule("tx.descriptor-reserved", "warning", "3.3.2",
          "Reserved bits and types of descriptors are not used", "command", "descriptor"),
    _rule("tx.vlan-mode", "warning", "3.3.3.1", "VLE is used while CTRL.VME is set", "CTRL", "descriptor"),
    _rule("tx.tidv-zero", "error", "13.4.41", "TIDV is not 0 where a descriptor has IDE", "descriptor"),
    _rule("tx.gap-undefined", "warning", "13.4.34",
          "TIPG, which power-on leaves undefined, is written before TCTL.EN is set", "TIPG"),
    _rule("tx.link-down", "note", "8.6.5.2", "Packets are sent while STATUS.LU is 1", "STATUS", "TDT"),
    _rule("rx.ring-unaligned", "error", "13.4.25", "The ring begins at a multiple of 16", "RDBAL written"),
    _rule("rx.ring-length", "error", "13.4.27",
          "RDLEN is a multiple of 128, and not 0 when descriptors are added", "RDLEN written"),
    _rule("rx.tail-out-of-ring", "error", "3.2.6", "RDT lies within the ring", "RDT", "RDLEN"),
    _rule("rx.tail-equals-head", "error", "3.2.6",
          "RDT does not catch up with RDH, which would mean an empty ring", "RDT", "RDH"),
    _rule("rx.head-written-while-enabled", "error", "13.4.28",
          "RDH is written after a reset and before RCTL.EN", "RDH written", "RDH"),
    _rule("rx.enabled-without-buffers", "note", "14.4", "The ring has descriptors when RCTL.EN is set", "RDH", "RDT"),
    _rule("rx.reenabled", "warning", "13.4.22", "The receiver is reset before RCTL.EN is set again", "RCTL"),
    _rule("rx.control-reserved", "error", "13.4.22", "RCTL has no reserved BSIZE, RDMTS or LBM", "RCTL written"),
    _rule("rx.overrun", "note", "3.2.7.4", "Descriptors are added before the receive FIFO is full", "bytes", "MPC"),
    _rule("filter.undefined-used", "error", "14.4",
          "MTA, VFTA and receive addresses, undefined at power-on, are written before RCTL has them decide about "
          "frames", "offset"),
    _rule("wake.written-while-enabled", "error", "13.6.9",
          "WUFC.FLX3-0 are clear while FFLT, FFMT and FFVT are written", "offset", "WUFC"),
    _rule("stats.high-first", "error", "13.7",
          "The low half of a 64-bit counter is read before the high half clears it", "offset"),
)
