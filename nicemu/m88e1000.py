"""The Marvell 88E1000/88E1011 transceiver as it is built into Intel's 82540EM.

Register names and sections are those of Intel's 8254x Software Developer's Manual (SDM), revision 4.0, 13.4.7.1; what
the software reset leaves alone is in its column "SW Rst": fields marked Retain or Update keep their value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from nicemu.errors import ConfigurationError, SnapshotError
from nicemu.link import Link, Outcome
from nicemu.mii import BMCR, BMCR_DUPLEX, BMCR_MODE, BMCR_POWER_DOWN, MII_1000, adapted, mii_register
from nicemu.phy import Phy
from nicemu.registers import Field, Register, Reserved, Reset, State, Table

__all__ = ["M88E1000"]

PSCON, PSSTAT, PINTE, PINTS, EPSCON1, PREC, R30PS, R30AW = 16, 17, 18, 19, 20, 21, 29, 30

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

_KEPT = frozenset({Reset.SOFT})


def _kept(name: str, bit: int, width: int = 1, reset: int = 0, doc: str = "", state: State = State.STORED) -> Field:
    """A read-write field that the software reset leaves alone."""
    return Field(name, bit, width, "rw", reset, doc, state, _KEPT)


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


def _interrupts(reserved: Field, access: str, keeps: frozenset[Reset]) -> list[Field]:
    found = [Field(name, bit, 1, access, 0, doc, state, keeps) for bit, name, doc, state in _INTERRUPTS]
    return [*found[:2], reserved, *found[2:]]


_STANDARD = (
    adapted(MII_1000["BMCR"], "PCTRL", "13.4.7.1.1", retain=BMCR_MODE),
    adapted(MII_1000["BMSR"], "PSTATUS", "13.4.7.1.2"),
    adapted(MII_1000["PHYID1"], "PID", "13.4.7.1.3", reset=0x0141),
    adapted(MII_1000["PHYID2"], "EPID", "13.4.7.1.4", reset=0x0C20),
    adapted(
        MII_1000["ANAR"], "ANA", "13.4.7.1.5", retain=0xBDE0, contents=[_kept("XNP", 12, doc="Reserved by IEEE 802.3")]
    ),
    adapted(MII_1000["ANLPAR"], "LPA", "13.4.7.1.6"),
    adapted(MII_1000["ANER"], "ANE", "13.4.7.1.7"),
    adapted(MII_1000["ANNPTR"], "NPT", "13.4.7.1.8"),
    adapted(MII_1000["ANNPRR"], "LPN", "13.4.7.1.9"),
    adapted(
        MII_1000["GBCR"],
        "GCON",
        "13.4.7.1.10",
        retain=0x1F00,
        reset=0x1E00,
        contents=[Field("", 0, 8, "rw", 0, "Reserved", State.RESERVED)],
    ),
    adapted(MII_1000["GBSR"], "GSTATUS", "13.4.7.1.11"),
    adapted(MII_1000["ESTATUS"], "EPSTATUS", "13.4.7.1.12"),
)

_OWN: tuple[Register, ...] = (
    mii_register(
        PSCON,
        "PSCON",
        "PHY specific control",
        "13.4.7.1.13",
        [
            _kept("JABBER_DISABLE", 0),
            _kept("POLARITY_DISABLE", 1, doc="Do not correct reversed polarity"),
            _kept("SQE_TEST", 2),
            _kept("MAC_POWER", 3, reset=1, doc="The MAC interface never powers down"),
            Reserved(4),
            _kept("CROSSOVER", 5, 2, 3, "00 MDI, 01 MDI-X, 11 automatic; from the next link on", State.MODELLED),
            _kept("EXT_DISTANCE", 7, doc="Lower 10BASE-T receive threshold"),
            _kept("ENERGY_DETECT", 8, 2, 0, "0x off, 10 sense, 11 sense and pulse", State.MODELLED),
            _kept("FORCE_LINK", 10, doc="Link always up at a forced 10 or 100 Mb/s", state=State.MODELLED),
            _kept("CRS_ON_TX", 11, doc="Assert CRS on transmit in half duplex"),
            _kept("RX_FIFO", 12, 2),
            _kept("TX_FIFO", 14, 2),
        ],
    ),
    mii_register(
        PSSTAT,
        "PSSTAT",
        "PHY specific status",
        "13.4.7.1.14",
        [
            Field("JABBER", 0, 1, "ro", 0, "Jabber, real time", State.STORED, _KEPT),
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
            Field("DUPLEX", 13, 1, "ro", 0, "Full duplex", State.MODELLED, _KEPT),
            Field("SPEED", 14, 2, "ro", 0, "10 1000, 01 100, 00 10 Mb/s", State.MODELLED, _KEPT),
        ],
    ),
    mii_register(
        PINTE,
        "PINTE",
        "PHY interrupt enable",
        "13.4.7.1.15",
        _interrupts(Field("", 2, 2, "rw", 0, "Reserved", State.RESERVED, _KEPT), "rw", _KEPT),
        interrupt=True,
    ),
    mii_register(
        PINTS,
        "PINTS",
        "PHY interrupt status",
        "13.4.7.1.16",
        _interrupts(Reserved(2, 2), "rc", frozenset()),
        interrupt=True,
    ),
    mii_register(
        EPSCON1,
        "EPSCON1",
        "Extended PHY specific control 1",
        "13.4.7.1.17",
        [
            Field("", 0, 2, "rw", 0, "Reserved", State.RESERVED, _KEPT),
            Reserved(2),
            Field("", 3, 1, "rw", 0, "Reserved", State.RESERVED),
            _kept("TX_CLK", 4, 3, 6, "Reserved by the manual; drivers set the MAC interface clock"),
            Field("", 7, 1, "rw", 0, "Reserved", State.RESERVED, _KEPT),
            _kept("SLAVE_DOWNSHIFT", 8, 2, 1, "Attempts at 1000 Mb/s as slave; 0: no downshift", State.MODELLED),
            _kept("MASTER_DOWNSHIFT", 10, 2, 3, "Attempts at 1000 Mb/s as master, less one", State.MODELLED),
            Field("", 12, 4, "rw", 0, "Reserved", State.RESERVED),
        ],
    ),
    mii_register(
        PREC,
        "PREC",
        "Receive error counter",
        "13.4.7.1.18",
        [Field("PREC", 0, 16, "rc", 0, "Receive errors; stays at FFFFh")],
    ),
    mii_register(R30PS, "R30PS", "Register 30 page select", "13.4.7.1.25"),
    mii_register(R30AW, "R30AW", "Register 30 access window", "13.4.7.1.26", state=State.STORED),
)


class M88E1000(Phy):
    """The 82540EM's PHY: what `Phy` has, and registers 16 to 21, 29 and 30.

    revision: the low four bits of EPID, which the manual leaves open.

    Software that puts something into effect by a software reset, a restart of autonegotiation, the end of power-down or
    a loss of link (SDM 11.1.3) finds it done then and not before.  Raises ConfigurationError for another revision than
    0 to 15.
    """

    TABLE: ClassVar[Table] = Table(
        "phy", 64, (*_STANDARD, *_OWN), widths=(2,), doc="MDIO registers of the 82540EM's PHY, SDM 13.4.7.1"
    )
    UPDATES_LATER: ClassVar[bool] = True
    LATCHED: ClassVar[Sequence[int]] = (BMCR, PSCON, EPSCON1)

    #: Registers behind R30PS and R30AW; the manual and drivers know of numbers up to 31 (13.4.7.1.27).
    WINDOW_SIZE: ClassVar[int] = 32

    def __init__(self, *, revision: int = 0, **options: Any) -> None:
        if type(revision) is not int or not 0 <= revision <= 15:
            raise ConfigurationError(f"revision is {revision!r}; expected 0..15")
        self._window = [0] * self.WINDOW_SIZE
        super().__init__(identifier=0x01410C20 | revision, **options)

    # Registers, in order

    def write_16(self, old: int, value: int) -> None:
        """PSCON: energy detection and a forced link act at once."""
        if (old ^ value) & PSCON_FORCE_LINK and not self.negotiates:
            self._restart()
        self._show_energy()

    def write_29(self, old: int, value: int) -> None:
        """R30PS: another register appears in R30AW."""
        self._cells[R30AW] = self._window[value % self.WINDOW_SIZE]

    def write_30(self, old: int, value: int) -> None:
        """R30AW: the register that R30PS selects."""
        self._window[self._cells[R30PS] % self.WINDOW_SIZE] = value

    def count_receive_errors(self, count: int = 1) -> None:
        """Let the receiver see errors: PREC, which sticks at FFFFh, and the symbol error interrupt."""
        if self._stage != "reset":
            self._cells[PREC] = min(self._cells[PREC] + count, 0xFFFF)
            self._raise(INT_SYMBOL_ERROR)

    # Resets

    def _reset_registers(self, reset: Reset) -> None:
        super()._reset_registers(reset)
        self._window = [0] * self.WINDOW_SIZE

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

    def _downshift_attempts(self, master: bool) -> int | None:
        """Return the attempts at 1000 Mb/s before the PHY does with less (11.2.2, table 13-39)."""
        control = self._in_effect[EPSCON1]
        return (control >> 10 & 3) + 1 if master else control >> 8 & 3 or None

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

    # Snapshot

    def state(self) -> dict[str, Any]:
        """Return what `Phy.state` does and `window`, the registers behind R30AW."""
        return {**super().state(), "window": list(self._window)}

    def _check_state(self, state: Mapping[str, Any], link: Link) -> None:
        super()._check_state(state, link)
        window = state["window"]
        if (
            not isinstance(window, Sequence)
            or len(window) != self.WINDOW_SIZE
            or not all(type(value) is int and 0 <= value <= 0xFFFF for value in window)
        ):
            raise SnapshotError(f"window is no list of {self.WINDOW_SIZE} numbers of 16 bits")

    def _load_more(self, state: Mapping[str, Any]) -> None:
        self._window = list(state["window"])
