"""The 10/100 Mb/s transceiver that is built into AMD's Am79C973.

Registers ANR0 to ANR24 of AMD's data sheet 21510, chapter "Physical Layer Control and Status Registers"; those below 16
are the standard's.  PHY identifier: AMD's OUI 00001Ah, model 36h.
"""

from __future__ import annotations

from typing import ClassVar

from nicemu.link import Link, Outcome
from nicemu.mii import MII_100, adapted, mii_register
from nicemu.phy import Phy
from nicemu.registers import Field, Register, Reserved, State, Table

__all__ = ["Am79C973Phy"]

ANR16, ANR17, ANR18, ANR19, ANR24 = 16, 17, 18, 19, 24
INT_LINK, INT_DUPLEX, INT_NEGOTIATED, INT_SPEED = 1 << 4, 1 << 3, 1 << 2, 1 << 1
SUMMARY_SPEED, SUMMARY_NEGOTIATED, SUMMARY_FULL, SUMMARY_LINK = 1 << 0, 1 << 1, 1 << 2, 1 << 3

_EVENTS = (
    (0, "GLOBAL", "Any of them"),
    (1, "SPEED", "Speed changed"),
    (2, "AN_CHANGE", "Autonegotiation came to another end"),
    (3, "DUPLEX", "Duplex changed"),
    (4, "LINK", "Link changed"),
)

_OWN: tuple[Register, ...] = (
    mii_register(
        ANR16,
        "ANR16",
        "Interrupt status and enable",
        "ANR16",
        [
            *(Field(name, bit, 1, "rc", 0, doc) for bit, name, doc in _EVENTS),
            Reserved(5, 4),
            *(
                Field(f"{name}_EN", bit + 9, 1, "rw", 0, f"Enables it: {doc}", State.STORED)
                for bit, name, doc in _EVENTS
            ),
            Field("TEST", 14, 1, "rw", 0, "Interrupt test", State.STORED),
            Reserved(15),
        ],
    ),
    mii_register(
        ANR17,
        "ANR17",
        "PHY control and status",
        "ANR17",
        [
            Reserved(0, 2),
            Field("POLARITY", 2, 1, "ro", 0, "Polarity of the receiver is reversed"),
            Field("REVERSE_POLARITY_DISABLE", 3, 1, "rw", 0, "No correction of polarity", State.STORED),
            Reserved(4, 4),
            Field("SCRAMBLER_DISABLE", 8, 1, "rw", 0, "No scrambling at 100 Mb/s", State.STORED),
            Reserved(9, 4),
            Field("FORCE_LINK", 13, 1, "rw", 0, "Link always up", State.STORED),
            Reserved(14, 2),
        ],
    ),
    mii_register(ANR18, "ANR18", "Descrambler resynchronization timer", "ANR18", state=State.STORED),
    mii_register(
        ANR19,
        "ANR19",
        "PHY management extension",
        "ANR19",
        [Field("PHY_ADDRESS", 0, 5, "ro", 0x1E, "Its address"), Reserved(5, 11)],
    ),
    mii_register(
        ANR24,
        "ANR24",
        "Summary status",
        "ANR24",
        [
            Field("SPEED", 0, 1, "ro", 0, "100 Mb/s"),
            Field("AN_ALERT", 1, 1, "ro", 0, "Autonegotiation is complete"),
            Field("FULL_DUPLEX", 2, 1, "ro", 0, "Full duplex"),
            Field("LINK", 3, 1, "ro", 0, "Link up"),
            Reserved(4, 12),
        ],
    ),
)

_STANDARD = (
    *(r for r in MII_100 if r.name not in ("PHYID1", "PHYID2")),
    adapted(MII_100["PHYID1"], "ANR2", "ANR2", reset=0x0000),
    adapted(MII_100["PHYID2"], "ANR3", "ANR3", reset=0x6B60),
)


class Am79C973Phy(Phy):
    """The Am79C973's PHY: what `Phy` has, and registers 16 to 19 and 24."""

    TABLE: ClassVar[Table] = Table(
        "anr", 64, sorted((*_STANDARD, *_OWN), key=lambda r: r.offset), widths=(2,), doc="Management registers ANR0-31"
    )

    def _link_changed(self, before: Link) -> None:
        link = self.link
        summary = SUMMARY_SPEED * (link.speed == 100) | SUMMARY_FULL * link.full_duplex | SUMMARY_LINK * link.up
        self._change(ANR24, SUMMARY_SPEED | SUMMARY_FULL | SUMMARY_LINK, summary if link.up else 0)
        if not link.up:
            self._change(ANR24, SUMMARY_NEGOTIATED)
        events = INT_LINK * (link.up != before.up) | INT_SPEED * (link.speed != before.speed)
        events |= INT_DUPLEX * (link.full_duplex != before.full_duplex)
        self._change(ANR16, 0, events | bool(events))

    def _negotiation_complete(self, outcome: Outcome) -> None:
        self._change(ANR24, 0, SUMMARY_NEGOTIATED)
        self._change(ANR16, 0, INT_NEGOTIATED | 1)
