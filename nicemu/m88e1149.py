"""The Marvell 88E1149 transceiver as it is built into the 88E8057.

There is no public data sheet; sections are those of docs/yukon2-facts.md.  Registers 0 to 15 and 22 show in every page,
register 22 selects the page of all others, and registers 16 to 19 of page 0 are those of Marvell's older parts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from nicemu.marvell import KEPT, PINTE, PINTS, PSCON, MarvellPhy, interrupt_fields, kept, status_register
from nicemu.mii import BMCR, BMCR_MODE, MII_1000, adapted, mii_register
from nicemu.registers import Field, Register, Reserved, State, Table

__all__ = ["M88E1149"]

PAGE = 22

#: Pages that software is known to use, by what register 22 holds; the table numbers them through.
PAGES = {0: 0, 1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 6: 6, 0xFF: 7}
#: The table's number of a page that has only the registers common to all.
NO_PAGE = 8

_COMMON = (
    adapted(MII_1000["BMCR"], "CTRL", "5.1", retain=BMCR_MODE),
    adapted(MII_1000["BMSR"], "STAT", "5.1"),
    adapted(MII_1000["PHYID1"], "ID0", "5.1", reset=0x0141),
    adapted(MII_1000["PHYID2"], "ID1", "5.1", reset=0x0CB1),
    adapted(
        MII_1000["ANAR"], "AUNE_ADV", "5.1", retain=0xBDE0, contents=[kept("XNP", 12, doc="Reserved by IEEE 802.3")]
    ),
    adapted(MII_1000["ANLPAR"], "AUNE_LP", "5.1"),
    adapted(MII_1000["ANER"], "AUNE_EXP", "5.1"),
    adapted(MII_1000["ANNPTR"], "NEPG", "5.1"),
    adapted(MII_1000["ANNPRR"], "NEPG_LP", "5.1"),
    adapted(MII_1000["GBCR"], "T1000_CTRL", "5.1", retain=0x1F00, reset=0x0300),
    adapted(MII_1000["GBSR"], "T1000_STAT", "5.1"),
    adapted(MII_1000["ESTATUS"], "EXT_STAT", "5.1"),
    mii_register(PAGE, "EXT_ADR", "Page", "5.2", [Field("PAGE", 0, 8), Reserved(8, 8)]),
)

_PAGE_0 = (
    mii_register(
        PSCON,
        "PHY_CTRL",
        "PHY specific control",
        "5.1",
        [
            kept("JABBER_DISABLE", 0),
            kept("POLARITY_DISABLE", 1, doc="Do not correct reversed polarity"),
            kept("POWER_DOWN", 2),
            kept("TX_DISABLE", 3, doc="Copper transmitter off"),
            kept("CLK_125_DISABLE", 4),
            kept("CROSSOVER", 5, 2, 3, "00 MDI, 01 MDI-X, 11 automatic; from the next link on", State.MODELLED),
            kept("EXT_DISTANCE", 7, doc="Lower 10BASE-T receive threshold"),
            kept("ENERGY_DETECT", 8, 2, 0, "0x off, 10 sense, 11 sense and pulse", State.MODELLED),
            kept("FORCE_LINK", 10, doc="Link always up at a forced 10 or 100 Mb/s", state=State.MODELLED),
            kept("DOWNSHIFT", 11, doc="Try less than 1000 Mb/s after as many failures as bits 14:12 say and one",
                 state=State.MODELLED),
            kept("DOWNSHIFT_COUNT", 12, 3, 0, "Attempts, less one", State.MODELLED),
            kept("LINK_PULSES_DISABLE", 15),
        ],
        pages=(0,),
    ),
    status_register(),
    mii_register(
        PINTE,
        "INT_MASK",
        "Interrupt mask",
        "5.1",
        interrupt_fields(Field("", 2, 2, "rw", 0, "Reserved", State.RESERVED, KEPT), "rw", KEPT),
        pages=(0,),
        interrupt=True,
    ),
    mii_register(
        PINTS,
        "INT_STAT",
        "Interrupt status",
        "5.1",
        interrupt_fields(Reserved(2, 2), "rc", frozenset()),
        pages=(0,),
        interrupt=True,
    ),
    mii_register(20, "EXT_CTRL", "Extended control", "5.1", state=State.STORED, pages=(0,)),
    mii_register(21, "RXE_CNT", "Receive errors", "5.1", access="rc", state=State.STORED, pages=(0,)),
)  # fmt: skip


def _stored(page: int, numbers: Sequence[int]) -> list[Register]:
    """Registers that keep what is written: LEDs, analogue trimming, cable diagnostics."""
    name = {v: f"{k:X}" for k, v in PAGES.items()}[page]
    return [
        mii_register(n, f"P{name}_{n}", f"Register {n} of page {name}", "5.2", state=State.STORED, pages=(page,))
        for n in numbers
    ]


def _registers() -> list[Register]:
    paged = [Register(**{**vars(r), "pages": (0,)}) if not r.pages else r for r in _PAGE_0]
    found = [*_COMMON, *paged, *_stored(0, range(23, 32))]
    for page in range(1, NO_PAGE):
        found += _stored(page, [*range(16, 22), *range(23, 32)])
    return sorted(found, key=lambda r: (r.offset, r.pages))


class M88E1149(MarvellPhy):
    """The 88E8057's PHY."""

    TABLE: ClassVar[Table] = Table(
        "phy", 64, _registers(), widths=(2,), pages=NO_PAGE + 1, doc="MDIO registers of the 88E8057's PHY (5)"
    )
    LATCHED: ClassVar[Sequence[int]] = (BMCR, PSCON)

    def __init__(self, **options: Any) -> None:
        super().__init__(identifier=0x01410CB1, **options)

    def write_22(self, old: int, value: int) -> None:
        """EXT_ADR: another page."""
        self.page = PAGES.get(value & 0xFF, NO_PAGE)

    def _downshift_attempts(self, master: bool) -> int | None:
        control = self._in_effect[PSCON]
        return (control >> 12 & 7) + 1 if control & 0x0800 else None
