"""What Marvell's gigabit transceivers have in common: control, status and interrupts in registers 16 to 19.

Names and sections are those of Intel's 8254x Software Developer's Manual (SDM), revision 4.0, 13.4.7.1, which documents
one of them, the 88E1011, as it is built into the 82540EM.
"""

from __future__ import annotations

from typing import ClassVar

from nicemu.link import Link, Outcome
from nicemu.mii import BMCR, BMCR_DUPLEX, BMCR_POWER_DOWN, mii_register
from nicemu.phy import Phy
from nicemu.registers import Field, Register, Reset, State

__all__ = ["KEPT", "PINTE", "PINTS", "PSCON", "PSSTAT", "MarvellPhy", "interrupt_fields", "kept", "status_register"]

PSCON, PSSTAT, PINTE, PINTS = 16, 17, 18, 19

# PSCON (13.4.7.1.13)
PSCON_FORCE_LINK, PSCON_ENERGY_DETECT, PSCON_CROSSOVER, PSCON_MDIX = 0x0400, 0x0200, 0x0060, 0x0020
# PSSTAT (13.4.7.1.14)
PSSTAT_SPEED_SHIFT, PSSTAT_FULL, PSSTAT_PAGE, PSSTAT_RESOLVED = 14, 0x2000, 0x1000, 0x0800
PSSTAT_LINK, PSSTAT_LENGTH_SHIFT, PSSTAT_MDIX, PSSTAT_DOWNSHIFT = 0x0400, 7, 0x0040, 0x0020
PSSTAT_SLEEP, PSSTAT_TX_PAUSE, PSSTAT_RX_PAUSE = 0x0010, 0x0008, 0x0004
PSSTAT_MODE = 3 << PSSTAT_SPEED_SHIFT | PSSTAT_FULL
PSSTAT_LINK_DETAILS = PSSTAT_LINK | 7 << PSSTAT_LENGTH_SHIFT | PSSTAT_TX_PAUSE | PSSTAT_RX_PAUSE
# PINTE and PINTS (13.4.7.1.15, 13.4.7.1.16)
INT_AN_ERROR, INT_SPEED, INT_DUPLEX, INT_PAGE = 0x8000, 0x4000, 0x2000, 0x1000
INT_AN_COMPLETE, INT_LINK, INT_SYMBOL_ERROR = 0x0800, 0x0400, 0x0200
INT_CROSSOVER, INT_DOWNSHIFT, INT_ENERGY = 0x0040, 0x0020, 0x0010

#: Upper limits in metres of PSSTAT's first four cable length ranges.
CABLE_LENGTHS = (50, 80, 110, 140)

#: Left alone by the software reset.
KEPT = frozenset({Reset.SOFT})


def kept(name: str, bit: int, width: int = 1, reset: int = 0, doc: str = "", state: State = State.STORED) -> Field:
    """A read-write field that the software reset leaves alone."""
    return Field(name, bit, width, "rw", reset, doc, state, KEPT)


_INTERRUPTS = (
    (0, "JABBER", "Jabber", State.STORED),
    (1, "POLARITY", "Polarity changed", State.STORED),
    (4, "ENERGY_DETECT", "Energy detect state changed", State.MODELLED),
    (5, "DOWNSHIFT", "Downshift", State.MODELLED),
    (6, "CROSSOVER", "MDI crossover changed", State.MODELLED),
    (7, "FIFO", "FIFO overflow or underflow", State.STORED),
    (8, "FALSE_CARRIER", "False carrier", State.STORED),
    (9, "SYMBOL_ERROR", "Symbol error", State.MODELLED),
    (10, "LINK", "Link status changed", State.MODELLED),
    (11, "AN_COMPLETE", "Autonegotiation completed", State.MODELLED),
    (12, "PAGE", "Page received", State.MODELLED),
    (13, "DUPLEX", "Duplex changed", State.MODELLED),
    (14, "SPEED", "Speed changed", State.MODELLED),
    (15, "AN_ERROR", "Autonegotiation failed", State.MODELLED),
)


def interrupt_fields(reserved: Field, access: str, keeps: frozenset[Reset]) -> list[Field]:
    """Fields of PINTE and PINTS; `reserved` are the bits between POLARITY and ENERGY_DETECT."""
    found = [Field(name, bit, 1, access, 0, doc, state, keeps) for bit, name, doc, state in _INTERRUPTS]
    return [*found[:2], reserved, *found[2:]]


def status_register() -> Register:
    """PSSTAT."""
    return mii_register(
        PSSTAT,
        "PSSTAT",
        "PHY specific status",
        "13.4.7.1.14",
        [
            Field("JABBER", 0, 1, "ro", 0, "Jabber, real time", State.STORED, KEPT),
            Field("POLARITY", 1, 1, "ro", 0, "Polarity reversed, real time", State.STORED),
            Field("RX_PAUSE", 2, 1, "ro", 0, "Receive PAUSE enabled"),
            Field("TX_PAUSE", 3, 1, "ro", 0, "Transmit PAUSE enabled"),
            Field("SLEEP", 4, 1, "ro", 0, "Energy detect: no energy on the line"),
            Field("DOWNSHIFT", 5, 1, "ro", 0, "Speed was reduced for want of a good cable"),
            Field("MDIX", 6, 1, "ro", 0, "Crossed over"),
            Field("CABLE_LENGTH", 7, 3, "ro", 0, "Below 50, 80, 110, 140 m, above"),
            Field("LINK", 10, 1, "ro", 0, "Link up, real time"),
            Field("RESOLVED", 11, 1, "ro", 0, "Speed, duplex, PAUSE and crossover are valid"),
            Field("PAGE", 12, 1, "rc", 0, "Page received (latched)"),
            Field("DUPLEX", 13, 1, "ro", 0, "Full duplex", State.MODELLED, KEPT),
            Field("SPEED", 14, 2, "ro", 0, "10 1000, 01 100, 00 10 Mb/s", State.MODELLED, KEPT),
        ],
    )


class MarvellPhy(Phy):
    """A PHY of this family; a subclass has its table.

    Software that puts something into effect by a software reset, a restart of autonegotiation, the end of power-down or
    a loss of link (SDM 11.1.3) finds it done then and not before.
    """

    UPDATES_LATER: ClassVar[bool] = True

    def write_16(self, old: int, value: int) -> None:
        """PSCON: energy detection and a forced link act at once."""
        if (old ^ value) & PSCON_FORCE_LINK and not self.negotiates:
            self._restart()
        self._show_energy()

    def _wake_up(self) -> None:
        self.soft_reset()  # leaving power-down does both without being asked (table 13-16, bit 12)

    # Link

    def _update_mode(self) -> None:
        super()._update_mode()
        crossed = self._in_effect[PSCON] & PSCON_CROSSOVER == PSCON_MDIX
        if crossed != bool(self._cells[PSSTAT] & PSSTAT_MDIX):
            self._raise(INT_CROSSOVER)
        self._change(PSSTAT, PSSTAT_MDIX | PSSTAT_DOWNSHIFT | PSSTAT_RESOLVED, PSSTAT_MDIX * crossed)
        if not self.negotiates:
            self._show_mode(self._forced_speed, bool(self._mode & BMCR_DUPLEX))
        self._show_energy()

    def _link_is_forced(self) -> bool:
        return not self.negotiates and bool(self._cells[PSCON] & PSCON_FORCE_LINK)

    def _link_changed(self, before: Link) -> None:
        link = self.link
        self._change(PSSTAT, PSSTAT_LINK_DETAILS)
        if link.up:
            self._show_mode(link.speed, link.full_duplex)
            details = PSSTAT_LINK | PSSTAT_TX_PAUSE * link.transmit_pause | PSSTAT_RX_PAUSE * link.receive_pause
            if link.speed > 10:
                details |= sum(self.cable.length_m >= limit for limit in CABLE_LENGTHS) << PSSTAT_LENGTH_SHIFT
            self._change(PSSTAT, 0, details)
        self._raise(INT_LINK)

    def _show_mode(self, speed: int, full_duplex: bool) -> None:
        """Show a resolved speed and duplex mode; they stay in PSSTAT when the link goes down."""
        before = self._cells[PSSTAT]
        mode = {10: 0, 100: 1, 1000: 2}[speed] << PSSTAT_SPEED_SHIFT | PSSTAT_FULL * full_duplex
        self._change(PSSTAT, PSSTAT_MODE, mode | PSSTAT_RESOLVED)
        changed = before ^ self._cells[PSSTAT]
        self._raise(INT_SPEED * bool(changed >> PSSTAT_SPEED_SHIFT) | INT_DUPLEX * bool(changed & PSSTAT_FULL))

    def _show_energy(self) -> None:
        """Energy detection sleeps while nothing is at the other end (11.4.1)."""
        detects = self._cells[PSCON] & PSCON_ENERGY_DETECT and not self._cells[BMCR] & BMCR_POWER_DOWN
        sleeps = bool(detects) and not self.cable.connected
        if sleeps != bool(self._cells[PSSTAT] & PSSTAT_SLEEP):
            self._change(PSSTAT, PSSTAT_SLEEP, PSSTAT_SLEEP * sleeps)
            self._raise(INT_ENERGY)

    def _medium_changed(self) -> None:
        if self._stage != "reset":
            self._show_energy()

    def _negotiation_complete(self, outcome: Outcome) -> None:
        self._show_page(outcome)
        self._change(PSSTAT, 0, PSSTAT_DOWNSHIFT * outcome.downshift)
        self._raise(INT_AN_COMPLETE | INT_DOWNSHIFT * outcome.downshift)

    def _negotiation_failed(self, outcome: Outcome) -> None:
        self._show_page(outcome)
        self._raise(INT_AN_ERROR)

    def _show_page(self, outcome: Outcome) -> None:
        if not outcome.parallel:
            self._change(PSSTAT, 0, PSSTAT_PAGE)
            self._raise(INT_PAGE)

    # Interrupt

    def _raise(self, causes: int) -> None:
        if self._stage != "reset":
            self._change(PINTS, 0, causes)
            self._update_interrupt()

    def _interrupt_level(self) -> bool:
        return bool(self._cells[PINTS] & self._cells[PINTE])
