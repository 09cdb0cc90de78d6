"""Registers and rules of the Realtek RTL8139C and RTL8139C+.

Sections are those of Realtek's RTL8139C(L) data sheet (DS), revision 1.4; what only the RTL8139C+ has is marked C+ and
cites its data sheet by the register's name.  Registers stand in the order of their offsets, which is that of DS 5.

In C+ transmit mode (CPCR.CPTX) the sixteen bytes of TSD and of the TSADn show other registers; that is page 1.  The
addresses share their storage, since drivers write them on either side of the switch.

What is here although the data sheet leaves it out: CSCR bits 10 and 11, without which Linux's 8139too never learns of a
link that changed; HLTCLK, which came with older members and is written to all.

This module needs neither the engine nor numpy; descriptor layouts are in csrc/rtl8139.h.
"""

from __future__ import annotations

from nicemu.findings import Rule, Severity
from nicemu.registers import Field, Gate, Register, Reserved, Reset, State, Table

__all__ = ["CPLUS_ONLY", "REGS", "RULES", "TABLES"]

#: CR.RST leaves addresses and configuration alone (DS 5.4).
KEPT = frozenset({Reset.SOFT})
#: No reset circuit: only power-on and the driver change it.
STICKY = frozenset({Reset.SOFT, Reset.BUS})
STORED, UNDOCUMENTED, UNMODELLED = State.STORED, State.UNDOCUMENTED, State.UNMODELLED

#: Writes count in the mode "configuration register write enable" (DS 5.9).
UNLOCKED = (Gate("CR9346", 0xC0, 0xC0),)
#: RCR and TCR are to be written after the receiver and the transmitter were enabled (DS 5.4, 5.7, 5.8).
RECEIVING = (Gate("CR", 0x08, 0x08),)
SENDING = (Gate("CR", 0x04, 0x04),)

BURSTS = {n: f"{16 << n} bytes" for n in range(8)}

# ---------------------------------------------------------------- 0x00-0x3F: addresses, transmit, receive, interrupts


def _tsd() -> list[Field]:
    return [
        Field("SIZE", 0, 13, doc="Bytes of the packet; at most 1792"),
        Field("OWN", 13, 1, "rw", 1, "The chip is done with the buffer; writing 0 starts transmission"),
        Field("TUN", 14, 1, "ro", 0, "The FIFO ran empty during transmission"),
        Field("TOK", 15, 1, "ro", 0, "Sent without error"),
        Field("ERTXTH", 16, 6, doc="FIFO level at which transmission begins, in 32 bytes; 0: 8 bytes", state=STORED),
        Reserved(22, 2),
        Field("NCC", 24, 4, "ro", 0, "Collisions"),
        Field("CDH", 28, 1, "ro", 0, "No heartbeat after a transmission at 10 Mb/s"),
        Field("OWC", 29, 1, "ro", 0, "Collision out of window"),
        Field("TABT", 30, 1, "ro", 0, "Given up after too many collisions"),
        Field("CRS", 31, 1, "ro", 0, "Carrier was lost, or there was none"),
    ]


def _causes(access: str, reserved: State = State.RESERVED) -> list[Field]:
    """Interrupt causes, with the access word of ISR or of IMR (DS 5.5, 5.6)."""
    return [
        Field("ROK", 0, 1, access, 0, "A packet was received"),
        Field("RER", 1, 1, access, 0, "A packet came with a wrong FCS or alignment"),
        Field("TOK", 2, 1, access, 0, "A packet was sent"),
        Field("TER", 3, 1, access, 0, "Transmission was given up"),
        Field("RXOVW", 4, 1, access, 0, "The receive buffer is full; C+: no receive descriptor is left (RDU)"),
        Field("PUN_LINKCHG", 5, 1, access, 0, "CAPR was written when the buffer was empty, or the link changed"),
        Field("FOVW", 6, 1, access, 0, "The receive FIFO ran over"),
        Field("TDU", 7, 1, access, 0, "C+: no transmit descriptor is left"),
        Field("SWINT", 8, 1, access, 0, "C+: TPPOLL.FSWINT was written"),
        Field("", 9, 4, "rsvd", 0, "Reserved", reserved),
        Field("LENCHG", 13, 1, access, 0, "The cable has another length"),
        Field("TIMEOUT", 14, 1, access, 0, "TCTR reached TIMERINT"),
        Field("SERR", 15, 1, access, 0, "System error on the PCI bus"),
    ]


LOWER = [
    Register("IDR", 0x00, "Station address, from EEPROM; written by doubleword", "DS 5", size=1, count=6, keeps=KEPT,
             gates=UNLOCKED),
    Register("IDR_END", 0x06, "Reserved; written with the last bytes of IDR", "DS 5", size=2, access="rsvd",
             state=STORED),
    Register("MAR", 0x08, "Multicast hash", "DS 5", size=1, count=8, keeps=KEPT),
    Register("TSD", 0x10, "Transmit status of a descriptor", "DS 5.2", _tsd(), count=4, pages=(0,)),
    Register("DTCCRL", 0x10, "Dump of the tally counters", "C+, DTCCR", [
        Reserved(0, 3),
        Field("CMD", 3, 1, doc="Dump; 0 when done"),
        Reserved(4, 2),
        Field("ADDRESS", 6, 26, doc="Where to, low half; a multiple of 64"),
    ], pages=(1,)),
    Register("DTCCRH", 0x14, "Where to, high half", "C+, DTCCR", pages=(1,)),
    *(
        Register(f"TSAD{n}", 0x20 + 4 * n, f"Address of the packet of descriptor {n}", "DS 5", pages=(0,))
        for n in range(4)
    ),
    Register("TNPDSL", 0x20, "Normal priority transmit descriptors, low half; a multiple of 256", "C+, TNPDS",
             cell="TSAD0", pages=(1,)),
    Register("TNPDSH", 0x24, "Normal priority transmit descriptors, high half", "C+, TNPDS", cell="TSAD1", pages=(1,)),
    Register("THPDSL", 0x28, "High priority transmit descriptors, low half; a multiple of 256", "C+, THPDS",
             cell="TSAD2", pages=(1,)),
    Register("THPDSH", 0x2C, "High priority transmit descriptors, high half", "C+, THPDS", cell="TSAD3", pages=(1,)),
    Register("RBSTART", 0x30, "Address of the receive buffer", "DS 5"),
    Register("ERBCR", 0x34, "Bytes of the packet when it was reported early", "DS 5", size=2, access="ro"),
    Register("ERSR", 0x36, "Early receive status", "DS 5.3", [
        Field("EROK", 0, 1, "ro", 0, "A packet has reached the threshold and is not complete"),
        Field("EROVW", 1, 1, "w1c", 0, "The buffer ran over meanwhile"),
        Field("ERBAD", 2, 1, "w1c", 0, "It turned out bad"),
        Field("ERGOOD", 3, 1, "w1c", 0, "It turned out good"),
        Reserved(4, 4),
    ], size=1),
    Register("CR", 0x37, "Command", "DS 5.4", [
        Field("BUFE", 0, 1, "ro", 1, "The receive buffer is empty"),
        Reserved(1),
        Field("TE", 2, doc="Transmitter enable"),
        Field("RE", 3, doc="Receiver enable"),
        Field("RST", 4, 1, "rw", 0, "Software reset; 0 when done"),
        Reserved(5, 3),
    ], size=1),
    Register("CAPR", 0x38, "Offset of the next packet to read, less 16", "DS 5", size=2, reset=0xFFF0),
    Register("CBR", 0x3A, "Offset of the next packet to be written", "DS 5", size=2, access="ro"),
    Register("IMR", 0x3C, "Interrupt mask", "DS 5.5", _causes("rw"), size=2, interrupt=True),
    Register("ISR", 0x3E, "Interrupt status", "DS 5.6", _causes("w1c", STORED), size=2, interrupt=True),
]

# ---------------------------------------------------------------- 0x40-0x61: configuration, timer, EEPROM

CONFIGURATION = [
    Register("TCR", 0x40, "Transmit configuration", "DS 5.7", [
        Field("CLRABT", 0, 1, "sc", 0, "Send the packet again that was given up"),
        Reserved(1, 3),
        Field("TXRR", 4, 4, doc="Further tries after 16, in 16", state=STORED),
        Field("MXDMA", 8, 3, doc="Longest burst", state=STORED, values=BURSTS),
        Reserved(11, 5),
        Field("CRC", 16, doc="The driver's packets end with their FCS"),
        Field("LBK", 17, 2, doc="Loopback", values={0: "none", 3: "loopback"}),
        Reserved(19, 3),
        Field("HWVERID1", 22, 2, "ro", 2, "Version, low part"),
        Field("IFG", 24, 2, doc="Gap between frames; 3 is the standard's", state=STORED,
              values={0: "8.4 us", 1: "8.8 us", 2: "9.2 us", 3: "9.6 us"}),
        Field("HWVERID0", 26, 5, "ro", 0x1D, "Version, high part"),
        Reserved(31),
    ], gates=SENDING),
    Register("RCR", 0x44, "Receive configuration", "DS 5.8", [
        Field("AAP", 0, doc="Accept any individual address"),
        Field("APM", 1, doc="Accept the station address"),
        Field("AM", 2, doc="Accept multicast that MAR hashes"),
        Field("AB", 3, doc="Accept broadcast"),
        Field("AR", 4, doc="Accept runts of 8 bytes and more"),
        Field("AER", 5, doc="Accept packets with errors"),
        Field("SEL9356", 6, 1, "ro", 0, "The EEPROM is a 93C56"),
        Field("WRAP", 7, doc="A packet goes on beyond the end of the buffer instead of at its beginning"),
        Field("MXDMA", 8, 3, doc="Longest burst", state=STORED, values={**BURSTS, 7: "unlimited"}),
        Field("RBLEN", 11, 2, doc="Size of the receive buffer", values={n: f"{8 << n} KiB" for n in range(4)}),
        Field("RXFTH", 13, 3, doc="FIFO level at which a burst begins", state=STORED,
              values={**BURSTS, 7: "whole packet"}),
        Field("RER8", 16, doc="Accept errored packets from 8 bytes on, not from 64"),
        Field("MULERINT", 17, doc="Early interrupts by MULINT for packets of any protocol"),
        Reserved(18, 6),
        Field("ERTH", 24, 4, doc="Part of a packet, in sixteenths, after which it is reported early; 0: never"),
        Reserved(28, 4),
    ], gates=RECEIVING),
    Register("TCTR", 0x48, "Timer, in 33 MHz; a write sets it to 0", "DS 5"),
    Register("MPC", 0x4C, "Packets missed for want of FIFO; a write clears it", "DS 5", [
        Field("COUNT", 0, 24, "rw", 0, "Packets"),
        Reserved(24, 8),
    ]),
    Register("CR9346", 0x50, "EEPROM pins and mode (9346CR)", "DS 5.9", [
        Field("EEDO", 0, 1, "ro", 0, "Data out of the EEPROM"),
        Field("EEDI", 1, doc="Data into the EEPROM"),
        Field("EESK", 2, doc="Clock"),
        Field("EECS", 3, doc="Chip select"),
        Reserved(4, 2),
        Field("EEM", 6, 2, doc="Mode", values={0: "normal", 1: "auto-load", 2: "programming", 3: "config write"}),
    ], size=1),
    Register("CONFIG0", 0x51, "Configuration 0, from EEPROM", "DS 5.10", [
        Field("BS", 0, 3, "ro", 0, "Size of the boot ROM", keeps=KEPT,
              values={0: "none", 1: "8K", 2: "16K", 3: "32K", 4: "64K", 5: "128K"}),
        Field("PL", 3, 2, "ro", 2, "Medium; 2: twisted pair", keeps=KEPT),
        Field("T10", 5, 1, "ro", 0, "Transceiver held at 10 Mb/s", keeps=KEPT),
        Field("PCS", 6, 1, "ro", 0, "Physical coding sublayer bypassed", keeps=KEPT),
        Field("SCR", 7, 1, "ro", 0, "Scrambler bypassed", keeps=KEPT),
    ], size=1),
    Register("CONFIG1", 0x52, "Configuration 1, from EEPROM", "DS 5.11", [
        Field("PMEN", 0, 1, "rw", 1, "Power management is there", keeps=KEPT),
        Field("VPD", 1, doc="Vital product data is there", keeps=KEPT, state=STORED),
        Field("IOMAP", 2, 1, "ro", 1, "Registers in I/O space", keeps=KEPT),
        Field("MEMMAP", 3, 1, "ro", 1, "Registers in memory space", keeps=KEPT),
        Field("LWACT", 4, doc="Polarity and form of the LWAKE pin", keeps=KEPT, state=STORED),
        Field("DVRLOAD", 5, doc="A driver is loaded", keeps=KEPT, state=STORED),
        Field("LEDS", 6, 2, "rw", 2, "What the LEDs show", keeps=KEPT, state=STORED),
    ], size=1, gates=UNLOCKED),
    Register("TIMERINT", 0x54, "Value of TCTR that raises ISR.TIMEOUT; 0: none", "DS 5"),
    Register("MSR", 0x58, "Media status", "DS 5.12", [
        Field("RXPF", 0, 1, "ro", 0, "Transmission is paused"),
        Field("TXPF", 1, 1, "ro", 0, "A PAUSE frame was sent and has not been taken back"),
        Field("LINKB", 2, 1, "ro", 1, "The link is down"),
        Field("SPEED_10", 3, 1, "ro", 0, "10 Mb/s"),
        Field("AUX_STATUS", 4, 1, "ro", 1, "Auxiliary power is there", keeps=KEPT),
        Reserved(5),
        Field("RXFCE", 6, 1, "rw", 0, "Obey PAUSE frames; read-only while negotiation has set it", keeps=KEPT),
        Field("TXFCE", 7, 1, "rw", 0, "Send PAUSE frames; read-only while negotiation has set it", keeps=KEPT),
    ], size=1),
    Register("CONFIG3", 0x59, "Configuration 3, from EEPROM", "DS 5.13", [
        Field("FBTBEN", 0, 1, "ro", 0, "Fast back-to-back transfers", keeps=KEPT),
        Field("FUNCREGEN", 1, 1, "ro", 0, "CardBus function registers", keeps=KEPT),
        Field("CLKRUN_EN", 2, 1, "ro", 0, "CLKRUN", keeps=KEPT),
        Field("CARDB_EN", 3, 1, "ro", 0, "CardBus", keeps=KEPT),
        Field("LINKUP", 4, doc="Wake up when the link comes up", keeps=KEPT),
        Field("MAGIC", 5, 1, "rw", 1, "Wake up on a Magic Packet", keeps=KEPT),
        Field("PARM_EN", 6, doc="PHY parameters come from EEPROM and cannot be written", keeps=KEPT),
        Field("GNTDEL", 7, 1, "ro", 0, "Delay from GNT", keeps=KEPT),
    ], size=1, gates=UNLOCKED),
    Register("CONFIG4", 0x5A, "Configuration 4, from EEPROM", "DS 5.14", [
        Field("PBWAKEUP", 0, doc="Pre-boot wake-up", keeps=KEPT, state=STORED),
        Reserved(1),
        Field("LWPTN", 2, doc="Pattern of the LWAKE pin", keeps=KEPT, state=STORED),
        Reserved(3),
        Field("LWPME", 4, doc="LWAKE follows PME#", keeps=KEPT, state=STORED),
        Field("LONGWF", 5, doc="Wake-up frames of 128 bytes", keeps=KEPT, state=UNMODELLED),
        Field("ANAOFF", 6, doc="Analog part off", keeps=KEPT, state=STORED),
        Field("RXFIFOAUTOCLR", 7, doc="A FIFO overflow clears the FIFO", keeps=KEPT),
    ], size=1, gates=UNLOCKED),
    Register("HLTCLK", 0x5B, "Clock of older members: 'R' runs, 'H' halts", "none", size=1, access="wo",
             state=UNDOCUMENTED),
    Register("MULINT", 0x5C, "Bytes after which packets of unknown protocols are reported early", "DS 5.15", [
        Field("MISR", 0, 12, doc="The bytes"),
        Reserved(12, 4),
    ], size=2),
    Register("RERID", 0x5E, "PCI revision", "DS 5.16", size=1, access="ro", reset=0x20),
    Register("TSAD", 0x60, "Transmit status of all descriptors", "DS 5.17", [
        Field("OWN", 0, 4, "ro", 15, "TSD.OWN of descriptors 0 to 3"),
        Field("TABT", 4, 4, "ro", 0, "TSD.TABT of descriptors 0 to 3"),
        Field("TUN", 8, 4, "ro", 0, "TSD.TUN of descriptors 0 to 3"),
        Field("TOK", 12, 4, "ro", 0, "TSD.TOK of descriptors 0 to 3"),
    ], size=2),
]

# ---------------------------------------------------------------- 0x62-0x83: transceiver


def _abilities(access: str, reset: int) -> list[Field]:
    names = ("T10", "T10FD", "TX", "TXFD", "T4", "PAUSE")
    return [
        Field(name, 5 + n, 1, "ro" if name == "T4" else access, reset >> (5 + n) & 1, keeps=STICKY)
        for n, name in enumerate(names)
    ]


TRANSCEIVER = [
    Register("BMCR", 0x62, "Basic mode control", "DS 5.18", [
        Reserved(0, 8),
        Field("DUPLEX", 8, 1, "rw", 1, "Full duplex, without negotiation; needs CR9346.EEM = 3", keeps=STICKY),
        Field("RESTART_AN", 9, 1, "sc", 0, "Negotiate anew", keeps=STICKY),
        Reserved(10, 2),
        Field("ANE", 12, 1, "rw", 1, "Negotiate; needs CR9346.EEM = 3", keeps=STICKY),
        Field("SPD_SET", 13, 1, "rw", 1, "100 Mb/s, without negotiation; needs CR9346.EEM = 3", keeps=STICKY),
        Reserved(14),
        Field("RESET", 15, 1, "sc", 0, "Reset the transceiver", keeps=STICKY),
    ], size=2),
    Register("BMSR", 0x64, "Basic mode status", "DS 5.19", [
        Field("EXT_CAPABLE", 0, 1, "ro", 1, "Has the extended registers", keeps=STICKY),
        Field("JABBER", 1, 1, "ro", 0, "Jabber seen", keeps=STICKY),
        Field("LINK", 2, 1, "ro", 0, "Link up; after a loss 0 until read", keeps=STICKY),
        Field("AN_ABLE", 3, 1, "ro", 1, "Can negotiate", keeps=STICKY),
        Field("REMOTE_FAULT", 4, 1, "ro", 0, "The partner reported a fault", keeps=STICKY),
        Field("AN_COMPLETE", 5, 1, "ro", 0, "Negotiation is complete", keeps=STICKY),
        Reserved(6, 5),
        Field("T10_HD", 11, 1, "ro", 1, keeps=STICKY),
        Field("T10_FD", 12, 1, "ro", 1, keeps=STICKY),
        Field("X100_HD", 13, 1, "ro", 1, keeps=STICKY),
        Field("X100_FD", 14, 1, "ro", 1, keeps=STICKY),
        Field("T4", 15, 1, "ro", 0, keeps=STICKY),
    ], size=2),
    Register("ANAR", 0x66, "Advertisement", "DS 5.20", [
        Field("SELECTOR", 0, 5, "ro", 1, "IEEE 802.3", keeps=STICKY),
        *_abilities("rw", 0x05E0),
        Reserved(11, 2),
        Field("RF", 13, doc="Report a fault to the partner", keeps=STICKY, state=STORED),
        Field("ACK", 14, 1, "ro", 0, "The partner's page was acknowledged", keeps=STICKY),
        Field("NP", 15, 1, "ro", 0, "No next pages", keeps=STICKY),
    ], size=2),
    Register("ANLPAR", 0x68, "The partner's abilities", "DS 5.21", [
        Field("SELECTOR", 0, 5, "ro", 0, "IEEE 802.3", keeps=STICKY),
        *_abilities("ro", 0),
        Reserved(11, 2),
        Field("RF", 13, 1, "ro", 0, "The partner reports a fault", keeps=STICKY),
        Field("ACK", 14, 1, "ro", 0, "The partner has our page", keeps=STICKY),
        Field("NP", 15, 1, "ro", 0, "The partner has next pages", keeps=STICKY),
    ], size=2),
    Register("ANER", 0x6A, "Negotiation expansion", "DS 5.22", [
        Field("LP_NW_ABLE", 0, 1, "ro", 0, "The partner negotiates", keeps=STICKY),
        Field("PAGE_RX", 1, 1, "ro", 0, "A page has come; a read clears it", keeps=STICKY),
        Field("NP_ABLE", 2, 1, "ro", 0, "Can send next pages", keeps=STICKY),
        Field("LP_NP_ABLE", 3, 1, "ro", 0, "The partner can send next pages", keeps=STICKY),
        Field("MLF", 4, 1, "ro", 0, "Multiple link fault; a read clears it", keeps=STICKY),
        Reserved(5, 11),
    ], size=2),
    Register("DIS", 0x6C, "Disconnects; a read clears", "DS 5.23", size=2, access="rc", keeps=STICKY),
    Register("FCSC", 0x6E, "False carriers; a read clears", "DS 5.24", size=2, access="rc", keeps=STICKY),
    Register("NWAYTR", 0x70, "Negotiation test", "DS 5.25", [
        Field("FLAGLSC", 0, 1, "ro", 0, "Link pulses are checked", keeps=STICKY),
        Field("FLAGPDF", 1, 1, "ro", 0, "Parallel detection fault", keeps=STICKY),
        Field("FLAGABD", 2, 1, "ro", 0, "Ability detection", keeps=STICKY),
        Field("ENNWLE", 3, doc="LEDs show the negotiation", keeps=STICKY, state=STORED),
        Reserved(4, 3),
        Field("NWLPBK", 7, doc="Negotiation loopback", keeps=STICKY, state=UNMODELLED),
        Reserved(8, 8),
    ], size=2),
    Register("REC", 0x72, "Packets with RX_ER; a read clears", "DS 5.26", size=2, access="rc", keeps=STICKY),
    Register("CSCR", 0x74, "CS configuration", "DS 5.27", [
        Field("PASS_SCR", 0, doc="Bypass the scrambler", keeps=STICKY, state=STORED),
        Reserved(1),
        Field("CON_STATUS_EN", 2, doc="LED1 shows the connection", keeps=STICKY, state=STORED),
        Field("CON_STATUS", 3, 1, "ro", 0, "A valid link is there", keeps=STICKY),
        Reserved(4),
        Field("F_CONNECT", 5, doc="Bypass the disconnect function", keeps=STICKY, state=STORED),
        Field("F_LINK_100", 6, 1, "rw", 1, "0 forces a good link at 100 Mb/s", keeps=STICKY),
        Field("JBEN", 7, 1, "rw", 1, "Jabber detection", keeps=STICKY, state=STORED),
        Field("HEARTBEAT", 8, 1, "rw", 1, "Heartbeat at 10 Mb/s", keeps=STICKY),
        Field("LD", 9, 1, "rw", 1, "0 disables the link function", keeps=STICKY, state=STORED),
        Field("LINK_OK", 10, 1, "ro", 0, "The link is up", UNDOCUMENTED, keeps=STICKY),
        Field("LINK_CHANGE", 11, 1, "rc", 0, "The link has changed; a read clears it", UNDOCUMENTED, keeps=STICKY),
        Field("CABLE", 12, 3, "ro", 0, "Length of the cable as the equaliser sees it", UNDOCUMENTED, keeps=STICKY),
        Field("TESTFUN", 15, 1, "wo", 0, "Fast negotiation timers", keeps=STICKY, state=STORED),
    ], size=2),
    Register("PHY1_PARM", 0x78, "PHY parameters, from EEPROM", "DS 5", keeps=STICKY, state=STORED),
    Register("TW_PARM", 0x7C, "Twister parameters, from EEPROM", "DS 5", keeps=STICKY, state=STORED),
    Register("PHY2_PARM", 0x80, "PHY parameters, from EEPROM", "DS 5", size=1, keeps=STICKY, state=STORED),
]

# ---------------------------------------------------------------- 0x84-0xFF: wake-up, flash, C+ mode, CardBus

UPPER = [
    Register("CRC", 0x84, "CRC of a wake-up frame", "DS 5", size=1, count=8, keeps=STICKY, state=UNMODELLED),
    Register("WAKEUP", 0x8C, "Masks of eight wake-up frames, bytes 12 to 75; 0 to 63 are WAKEUP0..7", "DS 5", size=1,
             count=64, keeps=STICKY, state=UNMODELLED),
    Register("LSBCRC", 0xCC, "Last masked byte of a wake-up frame", "DS 5", size=1, count=8, keeps=STICKY,
             state=UNMODELLED),
    Register("FLASH", 0xD4, "Flash memory read and write", "DS 5.28", [
        Field("ADDRESS", 0, 17, doc="Address pins"),
        Field("SWRWEN", 17, doc="Software drives the pins"),
        Field("WEB", 18, 1, "rw", 1, "Write enable pin, active low"),
        Field("OEB", 19, 1, "rw", 1, "Output enable pin, active low"),
        Field("ROMCSB", 20, 1, "rw", 1, "Chip select pin, active low"),
        Reserved(21, 3),
        Field("DATA", 24, 8, "rw", 0xFF, "Data pins"),
    ]),
    Register("CONFIG5", 0xD8, "Configuration 5, from EEPROM", "DS 5.29", [
        Field("PME_STS", 0, doc="RST# resets PMCSR.PME_STATUS", keeps=KEPT, state=STORED),
        Field("LANWAKE", 1, doc="LANWAKE signal enable", keeps=KEPT, state=STORED),
        Field("LDPS", 2, doc="No power saving while the link is down", keeps=KEPT, state=STORED),
        Field("FIFOADDRPTR", 3, doc="Test of the FIFO memory", keeps=KEPT, state=STORED),
        Field("UWF", 4, doc="Wake up on frames to the station address", keeps=KEPT),
        Field("MWF", 5, doc="Wake up on multicast that MAR hashes", keeps=KEPT),
        Field("BWF", 6, doc="Wake up on broadcast", keeps=KEPT),
        Reserved(7),
    ], size=1),
    Register("TPPOLL", 0xD9, "Transmit priority polling", "C+, TPPoll", [
        Field("FSWINT", 0, 1, "sc", 0, "Raise ISR.SWINT"),
        Reserved(1, 5),
        Field("NPQ", 6, 1, "sc", 0, "Normal priority descriptors are ready"),
        Field("HPQ", 7, 1, "sc", 0, "High priority descriptors are ready"),
    ], size=1),
    Register("CPCR", 0xE0, "C+ command", "C+ 6.33", [
        Field("CPTX", 0, doc="C+ transmit mode"),
        Field("CPRX", 1, doc="C+ receive mode"),
        Reserved(2),
        Field("MULRW", 3, doc="PCI memory read multiple", state=STORED),
        Field("DAC", 4, doc="PCI dual address cycle: 64-bit addresses"),
        Field("RXCHKSUM", 5, doc="Verify checksums"),
        Field("RXVLAN", 6, doc="Strip VLAN tags"),
        Reserved(7, 9),
    ], size=2),
    Register("RDSARL", 0xE4, "Receive descriptors, low half; a multiple of 256", "C+, RDSAR"),
    Register("RDSARH", 0xE8, "Receive descriptors, high half", "C+, RDSAR"),
    Register("ETTHR", 0xEC, "Early transmit threshold", "C+, ETThR", [
        Field("THRESHOLD", 0, 6, doc="FIFO level at which transmission begins, in 32 bytes", state=STORED),
        Reserved(6, 2),
    ], size=1),
    Register("FER", 0xF0, "CardBus function event; 0 without CONFIG3.CARDB_EN", "DS 5.30", access="ro", state=STORED),
    Register("FEMR", 0xF4, "CardBus function event mask", "DS 5.31", access="ro", state=STORED),
    Register("FPSR", 0xF8, "CardBus function present state", "DS 5.32", access="ro", state=STORED),
    Register("FFER", 0xFC, "CardBus function force event", "DS 5.33", access="wo", state=STORED),
]

REGS = Table("regs", 256, [*LOWER, *CONFIGURATION, *TRANSCEIVER, *UPPER], pages=2,
             doc="Operational registers, in I/O and in memory space (DS 5)")

TABLES = (REGS,)

#: What the plain RTL8139C lacks.
CPLUS_ONLY = ("DTCCRL", "DTCCRH", "TNPDSL", "TNPDSH", "THPDSL", "THPDSH", "TPPOLL", "CPCR", "RDSARL", "RDSARH", "ETTHR")

# ---------------------------------------------------------------- findings


def _rule(id: str, severity: Severity, section: str, asks: str, first: str = "", second: str = "") -> Rule:
    return Rule(f"rtl8139.{id}", severity, asks, f"RTL8139 {section}", first, second)


# Where a rule speaks of a descriptor, its value is the descriptor's index.
RULES: tuple[Rule, ...] = (
    _rule("access.width", "error", "DS 5", "Accesses have 1, 2 or 4 bytes", "offset", "bytes"),
    _rule("access.reserved-bits", "warning", "DS 5", "Reserved bits keep their value", "offset", "value"),
    _rule("access.unmapped", "warning", "DS 5", "Only offsets that hold a register are accessed", "offset", "bytes"),
    _rule("cr.reset-pending", "error", "DS 5.4", "CR and TSDn are not written until CR.RST reads 0", "offset",
          "ns left"),
    _rule("access.doubleword", "error", "DS 5.2", "TSDn and IDRn are written by doubleword", "offset", "bytes"),
    _rule("isr.unacknowledged", "error", "DS 5.6", "A cause that interrupts is cleared or masked", "ISR", "IMR"),
    _rule("dma.bus-master-off", "error", "DS 7", "COMMAND has its bus master bit set before DMA begins", "address",
          "bytes"),
    _rule("dma.unmapped", "error", "DS 5.6", "Descriptors and buffers lie in memory", "address", "bytes"),
    _rule("access.locked", "error", "DS 5.9",
          "IDR and CONFIG1, 3, 4 are written while CR9346.EEM is 3, RCR while CR.RE and TCR while CR.TE is 1",
          "row", "value"),
    _rule("config.bmcr-locked", "error", "DS 5.9", "BMCR bits 13, 12 and 8 are written while CR9346.EEM is 3",
          "BMCR written", "CR9346"),
    _rule("eeprom.mode", "error", "DS 5.9", "EEPROM pins are driven in programming mode", "CR9346 written", "CR9346"),
    _rule("tx.order", "error", "DS 5.2", "Descriptors are used in the order 0, 1, 2, 3", "descriptor", "next"),
    _rule("tx.busy", "error", "DS 5.2", "TSDn and TSADn are written while OWN is 1", "descriptor", "written"),
    _rule("tx.disabled", "error", "DS 5.4", "Descriptors are handed over while CR.TE is 1", "descriptor", "CR"),
    _rule("tx.unaligned", "error", "DS 5", "Buffers of TSAD0-3 begin at a multiple of 4", "TSADn", "descriptor"),
    _rule("tx.too-long", "error", "DS 5.2", "Packets have at most 1792 bytes", "bytes", "descriptor"),
    _rule("tx.runt", "warning", "DS 5.2", "Packets of C mode, which does not pad, have at least 60 bytes", "bytes",
          "descriptor"),
    _rule("tx.length-zero", "error", "DS 5.2", "Packets have data", "descriptor"),
    _rule("tx.link-down", "note", "DS 5.2", "Packets are sent while the link is up", "descriptor"),
    _rule("tx.abort-clear", "error", "DS 5.7", "TCR.CLRABT is written while a packet has been given up", "TCR"),
    _rule("cp.ring-unaligned", "error", "C+, TNPDS", "Descriptor rings begin at a multiple of 256", "address"),
    _rule("cp.ring-length", "error", "C+, EOR", "One of the 64 descriptors of a ring has EOR", "ring"),
    _rule("cp.high-address", "error", "C+ 6.33", "Addresses above 4 GiB are used with CPCR.DAC only", "address"),
    _rule("cp.enable-order", "warning", "C+ 6.33", "CPCR's enables are set before CR's", "CPCR", "CR"),
    _rule("cp.no-first", "error", "C+, FS", "A packet's first descriptor has FS and no other has", "opts1",
          "descriptor"),
    _rule("cp.no-last", "error", "C+, LS", "A packet's last descriptor has LS, within the ring", "ring"),
    _rule("cp.oversize", "error", "C+, LGSEN", "Packets without large send fit into a frame", "bytes", "descriptor"),
    _rule("cp.mss", "error", "C+, LGSEN", "Large send has an MSS that is not 0", "opts1", "descriptor"),
    _rule("cp.large-send", "error", "C+, LGSEN", "Large send carries TCP over IPv4", "opts1", "descriptor"),
    _rule("cp.checksum", "warning", "C+, IPCS", "Checksums are asked for where the packet has them", "opts1",
          "descriptor"),
    _rule("cp.poll-disabled", "error", "C+, TPPoll", "TPPOLL is written while CPCR.CPTX and CR.TE are set", "TPPOLL",
          "CPCR"),
    _rule("cp.dump-unaligned", "error", "C+, DTCCR", "The dump goes to a multiple of 64", "DTCCR written"),
    _rule("rx.buffer-unaligned", "error", "DS 5", "RBSTART is a multiple of 4", "RBSTART"),
    _rule("rx.capr-unaligned", "error", "DS 5", "CAPR + 16 is a multiple of 4", "CAPR"),
    _rule("rx.capr-out-of-data", "error", "DS 5", "CAPR + 16 lies between the last read packet and CBR", "CAPR", "CBR"),
    _rule("rx.overrun", "note", "DS 5.6", "Room is made before the receive FIFO is full", "bytes", "MPC"),
    _rule("rx.overflow-cleared-full", "warning", "DS 5.6",
          "ISR.RXOVW is cleared after CAPR or descriptors have made room", "CAPR", "CBR"),
    _rule("rx.acknowledged-unread", "warning", "DS 5.6",
          "ISR.ROK is cleared before the last look at CR.BUFE, and only where it was read", "CAPR", "CBR"),
    _rule("rx.wrap-64k", "warning", "DS 5.8", "WRAP is not used with a buffer of 64 KiB", "RCR"),
    _rule("rx.buffer-size", "error", "C+, Rx descriptor", "Receive buffers have a size that is a multiple of 8, not 0",
          "bytes", "descriptor"),
)
