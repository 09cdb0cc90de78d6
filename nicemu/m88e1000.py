"""The Marvell 88E1000/88E1011 transceiver as it is built into Intel's 82540EM.

Register names and sections are those of Intel's 8254x Software Developer's Manual (SDM), revision 4.0, 13.4.7.1; what
the software reset leaves alone is in its column "SW Rst": fields marked Retain or Update keep their value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from nicemu.errors import ConfigurationError, SnapshotError
from nicemu.link import Link
from nicemu.marvell import (
    INT_SYMBOL_ERROR,
    KEPT,
    PINTE,
    PINTS,
    PSCON,
    MarvellPhy,
    interrupt_fields,
    kept,
    status_register,
)
from nicemu.mii import BMCR, BMCR_MODE, MII_1000, adapted, mii_register
from nicemu.registers import Field, Register, Reserved, Reset, State, Table

__all__ = ["M88E1000"]

EPSCON1, PREC, R30PS, R30AW = 20, 21, 29, 30

_STANDARD = (
    adapted(MII_1000["BMCR"], "PCTRL", "13.4.7.1.1", retain=BMCR_MODE),
    adapted(MII_1000["BMSR"], "PSTATUS", "13.4.7.1.2"),
    adapted(MII_1000["PHYID1"], "PID", "13.4.7.1.3", reset=0x0141),
    adapted(MII_1000["PHYID2"], "EPID", "13.4.7.1.4", reset=0x0C20),
    adapted(
        MII_1000["ANAR"], "ANA", "13.4.7.1.5", retain=0xBDE0, contents=[kept("XNP", 12, doc="Reserved by IEEE 802.3")]
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
            kept("JABBER_DISABLE", 0),
            kept("POLARITY_DISABLE", 1, doc="Do not correct reversed polarity"),
            kept("SQE_TEST", 2),
            kept("MAC_POWER", 3, reset=1, doc="The MAC interface never powers down"),
            Reserved(4),
            kept("CROSSOVER", 5, 2, 3, "00 MDI, 01 MDI-X, 11 automatic; from the next link on", State.MODELLED),
            kept("EXT_DISTANCE", 7, doc="Lower 10BASE-T receive threshold"),
            kept("ENERGY_DETECT", 8, 2, 0, "0x off, 10 sense, 11 sense and pulse", State.MODELLED),
            kept("FORCE_LINK", 10, doc="Link always up at a forced 10 or 100 Mb/s", state=State.MODELLED),
            kept("CRS_ON_TX", 11, doc="Assert CRS on transmit in half duplex"),
            kept("RX_FIFO", 12, 2),
            kept("TX_FIFO", 14, 2),
        ],
    ),
    status_register(),
    mii_register(
        PINTE,
        "PINTE",
        "PHY interrupt enable",
        "13.4.7.1.15",
        interrupt_fields(Field("", 2, 2, "rw", 0, "Reserved", State.RESERVED, KEPT), "rw", KEPT),
        interrupt=True,
    ),
    mii_register(
        PINTS,
        "PINTS",
        "PHY interrupt status",
        "13.4.7.1.16",
        interrupt_fields(Reserved(2, 2), "rc", frozenset()),
        interrupt=True,
    ),
    mii_register(
        EPSCON1,
        "EPSCON1",
        "Extended PHY specific control 1",
        "13.4.7.1.17",
        [
            Field("", 0, 2, "rw", 0, "Reserved", State.RESERVED, KEPT),
            Reserved(2),
            Field("", 3, 1, "rw", 0, "Reserved", State.RESERVED),
            kept("TX_CLK", 4, 3, 6, "Reserved by the manual; drivers set the MAC interface clock"),
            Field("", 7, 1, "rw", 0, "Reserved", State.RESERVED, KEPT),
            kept("SLAVE_DOWNSHIFT", 8, 2, 1, "Attempts at 1000 Mb/s as slave; 0: no downshift", State.MODELLED),
            kept("MASTER_DOWNSHIFT", 10, 2, 3, "Attempts at 1000 Mb/s as master, less one", State.MODELLED),
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


class M88E1000(MarvellPhy):
    """The 82540EM's PHY: what `Phy` has, and registers 16 to 21, 29 and 30.

    revision: the low four bits of EPID, which the manual leaves open.

    Software that puts something into effect by a software reset, a restart of autonegotiation, the end of power-down or
    a loss of link (SDM 11.1.3) finds it done then and not before.  Raises ConfigurationError for another revision than
    0 to 15.
    """

    TABLE: ClassVar[Table] = Table(
        "phy", 64, (*_STANDARD, *_OWN), widths=(2,), doc="MDIO registers of the 82540EM's PHY, SDM 13.4.7.1"
    )
    LATCHED: ClassVar[Sequence[int]] = (BMCR, PSCON, EPSCON1)

    #: Registers behind R30PS and R30AW; the manual and drivers know of numbers up to 31 (13.4.7.1.27).
    WINDOW_SIZE: ClassVar[int] = 32

    def __init__(self, *, revision: int = 0, **options: Any) -> None:
        if type(revision) is not int or not 0 <= revision <= 15:
            raise ConfigurationError(f"revision is {revision!r}; expected 0..15")
        self._window = [0] * self.WINDOW_SIZE
        super().__init__(identifier=0x01410C20 | revision, **options)

    # Registers, in order

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

    # Link

    def _downshift_attempts(self, master: bool) -> int | None:
        """Return the attempts at 1000 Mb/s before the PHY does with less (11.2.2, table 13-39)."""
        control = self._in_effect[EPSCON1]
        return (control >> 10 & 3) + 1 if master else control >> 8 & 3 or None

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
