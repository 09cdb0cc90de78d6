"""MDIO registers as IEEE 802.3 clause 22 defines them: numbers, bits and register tables.

A table gives a register's offset as twice its number, since each is 16 bits wide.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from nicemu.registers import Field, Register, Reserved, Reset, State, Table

# Register numbers (IEEE 802.3 table 22-6)
BMCR, BMSR, PHYID1, PHYID2, ANAR, ANLPAR, ANER, ANNPTR, ANNPRR, GBCR, GBSR, ESTATUS = (*range(11), 15)

# BMCR (22.2.4.1)
BMCR_RESET, BMCR_LOOPBACK, BMCR_AUTONEG, BMCR_POWER_DOWN = 0x8000, 0x4000, 0x1000, 0x0800
BMCR_ISOLATE, BMCR_RESTART, BMCR_DUPLEX = 0x0400, 0x0200, 0x0100
BMCR_SPEED_LSB, BMCR_SPEED_MSB = 0x2000, 0x0040
BMCR_MODE = BMCR_AUTONEG | BMCR_DUPLEX | BMCR_SPEED_LSB | BMCR_SPEED_MSB
# BMSR (22.2.4.2)
BMSR_COMPLETE, BMSR_REMOTE_FAULT, BMSR_LINK = 0x0020, 0x0010, 0x0004
# ANAR and ANLPAR (28.2.4.1.3, Annex 28B.2)
AN_NEXT_PAGE, AN_ACKNOWLEDGE, AN_REMOTE_FAULT = 0x8000, 0x4000, 0x2000
AN_ASM_DIR, AN_PAUSE, AN_SELECTOR = 0x0800, 0x0400, 0x0001
# ANER (28.2.4.1.5)
ANER_PARTNER_NEXT_PAGE, ANER_NEXT_PAGE, ANER_PAGE, ANER_PARTNER_ABLE = 0x0008, 0x0004, 0x0002, 0x0001
# GBCR and GBSR (table 40-3)
GBCR_MANUAL, GBCR_MASTER, GBCR_MULTIPORT, GBCR_MODES = 0x1000, 0x0800, 0x0400, 0x0300
GBSR_FAULT, GBSR_MASTER, GBSR_LOCAL_OK, GBSR_REMOTE_OK, GBSR_IDLE_ERRORS = 0x8000, 0x4000, 0x2000, 0x1000, 0x00FF


def mii_register(
    number: int, name: str, doc: str, section: str, contents: Sequence[Field] = (), **options: Any
) -> Register:
    """Return register `number`, 16 bits wide; `options` are those of `Register`."""
    return Register(name, 2 * number, doc, section, contents, size=2, **options)


def adapted(
    register: Register,
    name: str,
    section: str,
    *,
    retain: int = 0,
    reset: int | None = None,
    contents: Sequence[Field] | None = None,
) -> Register:
    """Return one of the standard's registers as a part's data sheet has it.

    name, section: what the data sheet calls it and where.
    retain:        bits that the part's software reset leaves alone.
    reset:         value after a hardware reset; None: the standard's.
    contents:      fields that replace those of the standard at the same lowest bit.
    """
    replaced = {f.bit: f for f in contents or ()}
    changed = []
    for f in register.fields:
        f = replaced.get(f.bit, f)
        value = f.reset if reset is None else (reset & f.mask) >> f.bit
        changed.append(replace(f, reset=value, keeps=frozenset({Reset.SOFT}) if f.mask & retain else frozenset()))
    return replace(register, name=name, section=section, fields=changed)


def _abilities(reset: int, access: str = "rw") -> list[Field]:
    """The technology ability field of a base page, bits 5 to 11 (Annex 28B.2)."""
    names = ("T10_HD", "T10_FD", "TX100_HD", "TX100_FD", "T4", "PAUSE", "ASM_DIR")
    return [
        Field(name, bit, 1, "ro" if name == "T4" else access, reset >> bit & 1) for bit, name in enumerate(names, 5)
    ]


def _next_page(access: str, reset: int) -> list[Field]:
    state = State.UNMODELLED
    return [
        Field("MESSAGE", 0, 11, access, reset & 0x7FF, "Message or unformatted code", state),
        Field("TOGGLE", 11, 1, "ro", 0, "Toggles from page to page", state),
        Field("ACK2", 12, 1, access, 0, "Will comply with the message", state),
        Field("MP", 13, 1, access, reset >> 13 & 1, "Message page", state),
        Field("ACK", 14, 1, "ro", 0, "Partner has received our page", state),
        Field("NP", 15, 1, access, 0, "More pages follow", state),
    ]


_BMCR = mii_register(
    BMCR,
    "BMCR",
    "Basic mode control",
    "802.3 22.2.4.1",
    [
        Reserved(0, 6),
        Field("SPEED_MSB", 6, 1, "rw", 1, "Speed with bit 13: 10 1000, 01 100, 00 10 Mb/s"),
        Field("COLLISION_TEST", 7, 1, "rw", 0, "COL follows TX_EN", State.STORED),
        Field("DUPLEX", 8, 1, "rw", 1, "Full duplex when not negotiating"),
        Field("RESTART_AN", 9, 1, "sc", 0, "Restart autonegotiation"),
        Field("ISOLATE", 10, 1, "rw", 0, "Cut off from the MII"),
        Field("POWER_DOWN", 11, 1, "rw", 0, "Answers MDIO only"),
        Field("AN_ENABLE", 12, 1, "rw", 1, "Autonegotiation decides on speed and duplex"),
        Field("SPEED_LSB", 13, 1, "rw", 0, "Speed with bit 6"),
        Field("LOOPBACK", 14, 1, "rw", 0, "MII transmit data come back, the medium is cut off"),
        Field("RESET", 15, 1, "sc", 0, "Reset the PHY"),
    ],
)
_BMSR = mii_register(
    BMSR,
    "BMSR",
    "Basic mode status",
    "802.3 22.2.4.2",
    [
        Field("EXT_CAPABLE", 0, 1, "ro", 1, "Has the extended registers"),
        Field("JABBER", 1, 1, "rc", 0, "Jabber seen (latched)", State.STORED),
        Field("LINK", 2, 1, "ro", 0, "Link up; after a loss 0 until read"),
        Field("AN_ABLE", 3, 1, "ro", 1, "Can negotiate"),
        Field("REMOTE_FAULT", 4, 1, "rc", 0, "Partner reported a fault (latched)"),
        Field("AN_COMPLETE", 5, 1, "ro", 0, "Autonegotiation is complete"),
        Field("MF_PREAMBLE", 6, 1, "ro", 1, "Management frames need no preamble"),
        Reserved(7),
        Field("EXT_STATUS", 8, 1, "ro", 1, "Register 15 is there"),
        Field("T2_HD", 9, 1, "ro", 0),
        Field("T2_FD", 10, 1, "ro", 0),
        Field("T10_HD", 11, 1, "ro", 1),
        Field("T10_FD", 12, 1, "ro", 1),
        Field("X100_HD", 13, 1, "ro", 1),
        Field("X100_FD", 14, 1, "ro", 1),
        Field("T4", 15, 1, "ro", 0),
    ],
)
_PHYID1 = mii_register(PHYID1, "PHYID1", "OUI bits 3 to 18", "802.3 22.2.4.3.1", access="ro")
_PHYID2 = mii_register(
    PHYID2,
    "PHYID2",
    "OUI bits 19 to 24, model, revision",
    "802.3 22.2.4.3.1",
    [Field("REVISION", 0, 4, "ro"), Field("MODEL", 4, 6, "ro"), Field("OUI", 10, 6, "ro")],
)
_ANAR = mii_register(
    ANAR,
    "ANAR",
    "Autonegotiation advertisement",
    "802.3 28.2.4.1.3",
    [
        Field("SELECTOR", 0, 5, "ro", AN_SELECTOR, "IEEE 802.3"),
        *_abilities(0x01E0),
        Field("XNP", 12, 1, "ro", 0, "Extended next page"),
        Field("RF", 13, 1, "rw", 0, "Report a fault to the partner", State.STORED),
        Reserved(14),
        Field("NP", 15, 1, "rw", 0, "Software has next pages to send", State.UNMODELLED),
    ],
)
_ANLPAR = mii_register(
    ANLPAR,
    "ANLPAR",
    "Link partner's base page",
    "802.3 28.2.4.1.4",
    [
        Field("SELECTOR", 0, 5, "ro"),
        *_abilities(0, "ro"),
        Field("XNP", 12, 1, "ro"),
        Field("RF", 13, 1, "ro"),
        Field("ACK", 14, 1, "ro"),
        Field("NP", 15, 1, "ro"),
    ],
)
_ANER = mii_register(
    ANER,
    "ANER",
    "Autonegotiation expansion",
    "802.3 28.2.4.1.5",
    [
        Field("LP_AN_ABLE", 0, 1, "ro", 0, "Partner negotiates"),
        Field("PAGE_RX", 1, 1, "rc", 0, "A page has come in (latched)"),
        Field("NP_ABLE", 2, 1, "ro", 0, "Can send next pages"),
        Field("LP_NP_ABLE", 3, 1, "ro", 0, "Partner can send next pages"),
        Field("PDF", 4, 1, "rc", 0, "Parallel detection fault (latched)"),
        Reserved(5, 11),
    ],
)
_ANNPTR = mii_register(ANNPTR, "ANNPTR", "Next page to send", "802.3 28.2.4.1.6", _next_page("rw", 0x2001))
_ANNPRR = mii_register(ANNPRR, "ANNPRR", "Next page received", "802.3 28.2.4.1.7", _next_page("ro", 0))
_GBCR = mii_register(
    GBCR,
    "GBCR",
    "1000BASE-T (master-slave) control",
    "802.3 40.5.1.1",
    [
        Reserved(0, 8),
        Field("T1000_HD", 8, 1, "rw", 1, "Advertise half duplex"),
        Field("T1000_FD", 9, 1, "rw", 1, "Advertise full duplex"),
        Field("MULTIPORT", 10, 1, "rw", 0, "Prefer to be master"),
        Field("MASTER", 11, 1, "rw", 0, "Role when set by hand: 1 master"),
        Field("MANUAL", 12, 1, "rw", 0, "Role is set by hand"),
        Field("TEST_MODE", 13, 3, "rw", 0, "Transmitter test waveforms", State.STORED),
    ],
)
_GBSR = mii_register(
    GBSR,
    "GBSR",
    "1000BASE-T (master-slave) status",
    "802.3 40.5.1.1",
    [
        Field("IDLE_ERRORS", 0, 8, "rc", 0, "Errors seen in idle; stays at FFh"),
        Reserved(8, 2),
        Field("LP_T1000_HD", 10, 1, "ro", 0, "Partner can do half duplex"),
        Field("LP_T1000_FD", 11, 1, "ro", 0, "Partner can do full duplex"),
        Field("REMOTE_OK", 12, 1, "ro", 0, "Partner's receiver is fine"),
        Field("LOCAL_OK", 13, 1, "ro", 0, "Own receiver is fine"),
        Field("MASTER", 14, 1, "ro", 0, "Role: 1 master, 0 slave"),
        Field("MS_FAULT", 15, 1, "rc", 0, "Both sides insist on one role (latched)"),
    ],
)
_ESTATUS = mii_register(
    ESTATUS,
    "ESTATUS",
    "Extended status",
    "802.3 22.2.4.4",
    [
        Reserved(0, 12),
        Field("T1000_HD", 12, 1, "ro", 1),
        Field("T1000_FD", 13, 1, "ro", 1),
        Field("X1000_HD", 14, 1, "ro", 0),
        Field("X1000_FD", 15, 1, "ro", 0),
    ],
)

_BASIC = (_BMCR, _BMSR, _PHYID1, _PHYID2, _ANAR, _ANLPAR, _ANER, _ANNPTR, _ANNPRR)

#: The standard's registers of a 10/100/1000 PHY.
MII_1000 = Table("mii", 64, (*_BASIC, _GBCR, _GBSR, _ESTATUS), widths=(2,), doc="MDIO registers, IEEE 802.3 clause 22")


def _fast_ethernet() -> Table:
    """Return the same without 1000BASE-T: 22.2.4.1.3 and 22.2.4.2.16 fix the bits that speak of it."""
    bmcr = replace(_BMCR, fields=[Reserved(0, 7), *_BMCR.fields[2:]])
    table = Table("mii", 64, (bmcr, *_BASIC[1:]), widths=(2,), doc=MII_1000.doc)
    return table.with_resets({"BMCR": 0x3100, "BMSR": 0x7849})


#: The standard's registers of a 10/100 PHY.
MII_100 = _fast_ethernet()
