"""The 82540EM's tables against the manual (8254x SDM), against Linux's register test, and against the C header."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from nicemu.devices.e1000_tables import IO, MMIO, RULES
from nicemu.registers import Register, Reset, State, Window

ROOT = Path(__file__).resolve().parent.parent

# Table 13-2 without what it says belongs to other parts; arrays as (offset of the first element, of the last).
GENERAL = {
    "CTRL": 0x00, "STATUS": 0x08, "EECD": 0x10, "EERD": 0x14, "CTRL_EXT": 0x18, "MDIC": 0x20, "FCAL": 0x28,
    "FCAH": 0x2C, "FCT": 0x30, "VET": 0x38, "FCTTV": 0x170, "TXCW": 0x178, "RXCW": 0x180, "LEDCTL": 0xE00,
    "PBA": 0x1000, "ICR": 0xC0, "ITR": 0xC4, "ICS": 0xC8, "IMS": 0xD0, "IMC": 0xD8,
}  # fmt: skip
RECEIVE = {
    "RCTL": 0x100, "FCRTL": 0x2160, "FCRTH": 0x2168, "RDBAL": 0x2800, "RDBAH": 0x2804, "RDLEN": 0x2808, "RDH": 0x2810,
    "RDT": 0x2818, "RDTR": 0x2820, "RXDCTL": 0x2828, "RADV": 0x282C, "RSRPD": 0x2C00, "RXCSUM": 0x5000,
    "MTA": (0x5200, 0x53FC), "RAL": (0x5400, 0x5478), "RAH": (0x5404, 0x547C), "VFTA": (0x5600, 0x57FC),
}  # fmt: skip
TRANSMIT = {  # TADV: the table prints 282C, its own section 382C
    "TCTL": 0x400, "TIPG": 0x410, "AIFS": 0x458, "TDBAL": 0x3800, "TDBAH": 0x3804, "TDLEN": 0x3808, "TDH": 0x3810,
    "TDT": 0x3818, "TIDV": 0x3820, "TXDCTL": 0x3828, "TADV": 0x382C, "TSPMT": 0x3830,
}  # fmt: skip
WAKEUP = {
    "WUC": 0x5800, "WUFC": 0x5808, "WUS": 0x5810, "IPAV": 0x5838, "IP4AT": (0x5840, 0x5858), "IP6AT": (0x5880, 0x588C),
    "WUPL": 0x5900, "WUPM": (0x5A00, 0x5A7C), "FFLT": (0x5F00, 0x5F18), "FFMT": (0x9000, 0x93F8),
    "FFVT": (0x9800, 0x9BF8), "MANC": 0x5820,
}  # fmt: skip
STATISTICS = {
    "CRCERRS": 0x4000, "ALGNERRC": 0x4004, "SYMERRS": 0x4008, "RXERRC": 0x400C, "MPC": 0x4010, "SCC": 0x4014,
    "ECOL": 0x4018, "MCC": 0x401C, "LATECOL": 0x4020, "COLC": 0x4028, "DC": 0x4030, "TNCRS": 0x4034, "SEC": 0x4038,
    "CEXTERR": 0x403C, "RLEC": 0x4040, "XONRXC": 0x4048, "XONTXC": 0x404C, "XOFFRXC": 0x4050, "XOFFTXC": 0x4054,
    "FCRUC": 0x4058, "PRC64": 0x405C, "PRC127": 0x4060, "PRC255": 0x4064, "PRC511": 0x4068, "PRC1023": 0x406C,
    "PRC1522": 0x4070, "GPRC": 0x4074, "BPRC": 0x4078, "MPRC": 0x407C, "GPTC": 0x4080, "GORCL": 0x4088,
    "GORCH": 0x408C, "GOTCL": 0x4090, "GOTCH": 0x4094, "RNBC": 0x40A0, "RUC": 0x40A4, "RFC": 0x40A8, "ROC": 0x40AC,
    "RJC": 0x40B0, "MGTPRC": 0x40B4, "MGTPDC": 0x40B8, "MGTPTC": 0x40BC, "TORL": 0x40C0, "TORH": 0x40C4,
    "TOTL": 0x40C8, "TOTH": 0x40CC, "TPR": 0x40D0, "TPT": 0x40D4, "PTC64": 0x40D8, "PTC127": 0x40DC, "PTC255": 0x40E0,
    "PTC511": 0x40E4, "PTC1023": 0x40E8, "PTC1522": 0x40EC, "MPTC": 0x40F0, "BPTC": 0x40F4, "TSCTC": 0x40F8,
    "TSCTFC": 0x40FC,
}  # fmt: skip
DIAGNOSTICS = {
    "RDFH": 0x2410, "RDFT": 0x2418, "RDFHS": 0x2420, "RDFTS": 0x2428, "RDFPC": 0x2430, "TDFH": 0x3410, "TDFT": 0x3418,
    "TDFHS": 0x3420, "TDFTS": 0x3428, "TDFPC": 0x3430, "PBM": (0x10000, 0x1FFFC),
}  # fmt: skip


def test_tables_need_neither_engine_nor_numpy() -> None:
    program = (
        "import sys; sys.modules['nicemu._engine'] = sys.modules['numpy'] = None;"
        "from nicemu.devices.e1000_tables import MMIO; print(len(MMIO.registers))"
    )
    result = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert int(result.stdout) == len(MMIO.registers)


# ------------------------------------------------------------------------------------------------- places


def test_offsets_are_those_of_table_13_2() -> None:
    expected = GENERAL | RECEIVE | TRANSMIT | WAKEUP | STATISTICS | DIAGNOSTICS
    found: dict[str, object] = {
        r.name: r.offset if r.count == 1 else (r.offset, r.offset + (r.count - 1) * r.stride) for r in MMIO
    }
    assert found == expected


def test_registers_are_in_the_order_of_their_offsets() -> None:
    offsets = [register.offset for register in MMIO]
    assert offsets == sorted(offsets)
    assert all(register.size == 4 and register.offset % 4 == 0 for register in MMIO)


@pytest.mark.parametrize("offset", [0x110, 0x120, 0x160, 0x420, 0x1C, 0x3000, 0x5844, 0x9004, 0x97FC, 0x9BFC, 0x4100])
def test_offsets_that_reach_nothing(offset: int) -> None:
    """82542 offsets, registers of other parts, and the gaps of arrays."""
    assert offset not in {place for _, place in MMIO.placements()}


def test_spaces() -> None:
    assert (MMIO.size, MMIO.whole, tuple(MMIO.widths)) == (128 << 10, True, (4,))
    assert (IO.size, IO.whole, tuple(IO.widths)) == (64, True, (4,))
    assert IO["IODATA"].offset == 4
    assert IO["IODATA"].window == Window("mmio", "IOADDR")
    assert IO["IOADDR"].mask("write") == 0x000FFFFF
    assert (IO["IOADDR"].kept(Reset.BUS), IO["IOADDR"].kept(Reset.SOFT)) == (0, 0x000FFFFF)


# ------------------------------------------------------------------------------------------------- resets

# Registers that come up with something else than 0, without an EEPROM (each register's table of chapter 13).
POWER_ON = {
    "CTRL": 0x00000A09, "EECD": 0x00000118, "CTRL_EXT": 0x00000100, "LEDCTL": 0x07068302, "PBA": 0x00100030,
    "RXDCTL": 0x01010000, "TSPMT": 0x01000400,
}  # fmt: skip

# Bits with initial value X.
UNDEFINED = {
    "EERD": 0xFFFFFF00, "MDIC": 0x0000FFFF, "FCAL": 0xFFFFFFFF, "FCAH": 0x0000FFFF, "FCT": 0x0000FFFF,
    "VET": 0x0000FFFF, "FCTTV": 0x0000FFFF, "TIPG": 0x3FFFFFFF, "RDBAL": 0xFFFFFFF0, "RDBAH": 0xFFFFFFFF,
    "TDBAL": 0xFFFFFFF0, "TDBAH": 0xFFFFFFFF, "TIDV": 0x0000FFFF, "MTA": 0xFFFFFFFF, "RAL": 0xFFFFFFFF,
    "RAH": 0x0003FFFF, "VFTA": 0xFFFFFFFF, "IP4AT": 0xFFFFFFFF, "IP6AT": 0xFFFFFFFF, "WUPL": 0x00000FFF,
    "WUPM": 0xFFFFFFFF, "FFMT": 0x0000000F, "FFVT": 0xFFFFFFFF, "PBM": 0xFFFFFFFF,
}  # fmt: skip

# Beside those, what resets leave alone: pin directions (13.4.1, 13.4.6), PME (14.7), WUS (13.6.3).
KEPT_BY_BOTH = {"CTRL": 0x00C00000, "CTRL_EXT": 0x00000C00, "WUC": 0x00000006, "WUS": 0x000F00FF}


def test_power_on_values() -> None:
    assert {r.name: r.reset_value() for r in MMIO if r.reset_value() and not r.cell} == POWER_ON


def test_undefined_at_power_on() -> None:
    assert {r.name: r.undefined for r in MMIO if r.undefined} == UNDEFINED


def test_what_resets_leave_alone() -> None:
    assert {r.name: r.kept(Reset.BUS) for r in MMIO if r.kept(Reset.BUS)} == UNDEFINED | KEPT_BY_BOTH
    soft = UNDEFINED | KEPT_BY_BOTH | {"PBA": 0xFFFF007F}
    assert {r.name: r.kept(Reset.SOFT) for r in MMIO if r.kept(Reset.SOFT)} == soft


# ------------------------------------------------------------------------------------------------- access


def changeable(register: Register) -> int:
    return register.mask("write") | register.mask("w1c") | register.mask("w1s")


@pytest.mark.parametrize(
    ("name", "mask"),
    [
        ("CTRL", 0xD8FC1BE9),  # RST does not stay
        ("STATUS", 0),
        ("EECD", 0x00000077),  # DO, GNT, PRES and SIZE are the card's
        ("EERD", 0x0000FF00),
        ("CTRL_EXT", 0x0001CCCF),
        ("MDIC", 0x7FFFFFFF),
        ("RXCW", 0),
        ("LEDCTL", 0xCFCFCFCF),
        ("PBA", 0x0000007F),
        ("ICR", 0x0001FFFF),
        ("IMS", 0x0001FFFF),
        ("ICS", 0x0001FFFF),
        ("IMC", 0x0001FFFF),
        ("ITR", 0x0000FFFF),
        ("RCTL", 0x06DFB3FE),
        ("TCTL", 0x013FFFFA),  # SWXOFF does not stay
        ("FCRTL", 0x8000FFF8),
        ("FCRTH", 0x0000FFF8),
        ("RXDCTL", 0x013F3F3F),
        ("TXDCTL", 0xFF3F3F3F),
        ("TSPMT", 0xFFFFFFFF),
        ("RXCSUM", 0x000007FF),
        ("RAH", 0x8003FFFF),
        ("WUC", 0x0000000F),
        ("WUFC", 0x000F00FF),
        ("WUS", 0x000F00FF),
        ("IPAV", 0x0001000F),
        ("RDFH", 0x00001FFF),
        ("TDFH", 0x000007FF),
        ("GPRC", 0),
    ],
)
def test_bits_that_software_can_change(name: str, mask: int) -> None:
    assert changeable(MMIO[name]) == mask


@pytest.mark.parametrize(
    ("name", "field", "bits"),
    [
        ("CTRL", "SLU", 0x00000040),
        ("CTRL", "RST", 0x04000000),
        ("CTRL", "VME", 0x40000000),
        ("STATUS", "SPEED", 0x000000C0),
        ("EECD", "EE_GNT", 0x00000080),
        ("MDIC", "R", 0x10000000),
        ("MDIC", "PHYADD", 0x03E00000),
        ("RCTL", "BSEX", 0x02000000),
        ("RCTL", "MO", 0x00003000),
        ("TCTL", "COLD", 0x003FF000),
        ("TXDCTL", "LWTHRESH", 0xFE000000),
        ("RDTR", "FPD", 0x80000000),
        ("ICR", "RXT0", 0x00000080),
        ("ICR", "SRPD", 0x00010000),
        ("RXCSUM", "TUOFLD", 0x00000200),
        ("RAH", "AV", 0x80000000),
        ("WUFC", "FLX3", 0x00080000),
    ],
)
def test_fields_are_where_the_manual_has_them(name: str, field: str, bits: int) -> None:
    assert MMIO[name].field(field).mask == bits


def test_self_clearing_bits() -> None:
    assert {r.name: r.mask("trigger") for r in MMIO if r.mask("trigger")} == {
        "CTRL": 1 << 26, "EERD": 1, "CTRL_EXT": 3 << 12, "TCTL": 1 << 22, "RDTR": 1 << 31,
    }  # fmt: skip


def test_interrupt_registers() -> None:
    """ICR and IMS have storage, ICS sets the one and IMC clears the other (13.4.17-21)."""
    icr, ics, ims, imc = (MMIO[name] for name in ("ICR", "ICS", "IMS", "IMC"))
    assert (ics.cell, imc.cell) == ("ICR", "IMS")
    assert icr.mask("rc") == icr.mask("w1c") == ics.mask("w1s") == ims.mask("w1s") == imc.mask("w1c") == 0x1FFFF
    assert icr.mask("read") == ims.mask("read") == 0xFFFFFFFF
    assert not (ics.mask("read") | imc.mask("read")) & 0x1FFFF
    assert all(register.interrupt for register in (icr, ics, ims, imc))
    complains = [bool(register.mask_of(State.RESERVED)) for register in (icr, ics, ims, imc)]
    assert complains == [False, True, True, False], "IMC's reserved bits are written as 1, ICR's may be"
    assert [f.name for f in ics.fields] == [f.name for f in icr.fields] == [f.name for f in imc.fields]


def test_statistics_clear_on_read() -> None:
    """A 64-bit counter is cleared, both halves, by reading the high one (13.7)."""
    pairs = {"GORCH": "GORCL", "GOTCH": "GOTCL", "TORH": "TORL", "TOTH": "TOTL"}
    for name in STATISTICS:
        register = MMIO[name]
        assert register.mask("read") == 0xFFFFFFFF
        assert register.mask("rc") == (0 if name in pairs.values() else 0xFFFFFFFF), name
        assert register.clears == pairs.get(name, ""), name
        assert changeable(register) == 0
    for high, low in pairs.items():
        assert MMIO[high].offset == MMIO[low].offset + 4


# Linux e1000 `ethtool -t`, e1000_reg_test() for this part: register, bits that must read back, bits written.
PATTERN_TEST = [
    ("FCAL", 0xFFFFFFFF, 0xFFFFFFFF), ("FCAH", 0x0000FFFF, 0xFFFFFFFF), ("FCT", 0x0000FFFF, 0xFFFFFFFF),
    ("VET", 0x0000FFFF, 0xFFFFFFFF), ("RDTR", 0x0000FFFF, 0xFFFFFFFF), ("RDBAH", 0xFFFFFFFF, 0xFFFFFFFF),
    ("RDLEN", 0x000FFF80, 0x000FFFFF), ("RDH", 0x0000FFFF, 0x0000FFFF), ("RDT", 0x0000FFFF, 0x0000FFFF),
    ("FCRTH", 0x0000FFF8, 0x0000FFF8), ("FCTTV", 0x0000FFFF, 0x0000FFFF), ("TIPG", 0x3FFFFFFF, 0x3FFFFFFF),
    ("TDBAH", 0xFFFFFFFF, 0xFFFFFFFF), ("TDLEN", 0x000FFF80, 0x000FFFFF), ("RDBAL", 0xFFFFFFF0, 0xFFFFFFFF),
    ("TXCW", 0xC000FFFF, 0x0000FFFF), ("TDBAL", 0xFFFFFFF0, 0xFFFFFFFF), ("TIDV", 0x0000FFFF, 0xFFFFFFFF),
    ("RAH", 0x8003FFFF, 0xFFFFFFFF), ("MTA", 0xFFFFFFFF, 0xFFFFFFFF),
]  # fmt: skip


@pytest.mark.parametrize(("name", "mask", "write"), PATTERN_TEST)
def test_linux_register_test(name: str, mask: int, write: int) -> None:
    """Every pattern reads back as the driver expects, whatever the register held before."""
    register = MMIO[name]
    stored, read = register.mask("write"), register.mask("read")
    for before in (register.reset_value(), register.reset_value() | stored):
        for pattern in (0x5A5A5A5A, 0xA5A5A5A5, 0x00000000, 0xFFFFFFFF):
            after = (before & ~stored) | (pattern & write & stored)
            assert after & read == pattern & write & mask


@pytest.mark.parametrize(
    ("name", "mask", "write"), [("RCTL", 0x06DFB3FE, 0x003FFFFB), ("RCTL", 0x06DFB3FE, 0xFFFFFFFF)]
)
def test_linux_set_and_check_test(name: str, mask: int, write: int) -> None:
    register = MMIO[name]
    assert write & mask & register.mask("write") & register.mask("read") == write & mask


def test_linux_status_test() -> None:
    """The bits that the driver expects to be read-only."""
    assert changeable(MMIO["STATUS"]) & 0xFFFFF833 == 0


# ------------------------------------------------------------------------------------------------- words


def test_everything_is_explained() -> None:
    for register in (*MMIO, *IO):
        assert register.doc, register.name
        assert register.section.startswith(("13.", "5.6.24")), register.name
        for f in register.fields:
            assert f.doc, f"{register.name}.{f.name}"
            assert f.state is not State.UNMODELLED, f"{register.name}.{f.name}"


@pytest.mark.parametrize(
    ("name", "section"),
    [("MPC", "13.7.5"), ("DC", "13.7.11"), ("FCRUC", "13.7.20"), ("GORCH", "13.7.31"), ("TOTL", "13.7.42"),
     ("TPT", "13.7.44"), ("TSCTFC", "13.7.54"), ("RXDCTL", "13.4.46"), ("TADV", "13.4.44"), ("FFVT", "13.6.11")],
)  # fmt: skip
def test_sections(name: str, section: str) -> None:
    assert MMIO[name].section == section


def test_rules() -> None:
    ids = [rule.id for rule in RULES]
    assert len(ids) == len(set(ids)) <= 128
    assert len({rule.constant for rule in RULES}) == len(RULES)
    for rule in RULES:
        assert rule.id.startswith("e1000.")
        assert rule.section.startswith("8254x SDM ")
        assert rule.asks[0].isupper()
        assert not rule.asks.endswith(".")
        assert rule.first or not rule.second
    general = "access.width access.reserved-bits access.unmapped access.during-reset dma.bus-master-off dma.unmapped"
    assert {f"e1000.{name}" for name in general.split()} <= set(ids)


# ------------------------------------------------------------------------------------------------- descriptors


def test_descriptor_layouts() -> None:
    from nicemu.devices import e1000_descriptors as d

    assert {dtype.itemsize for dtype in (d.RX_DESCRIPTOR, d.TX_LEGACY, d.TX_CONTEXT, d.TX_DATA)} == {16}
    cmd = d.LegacyCommand.EOP | d.LegacyCommand.RS
    legacy = d.legacy(0x1122334455667788, 0x0203, cmd, cso=4, css=5, special=0x6007)
    assert legacy.tobytes().hex() == "88776655443322110302040900050760"
    context = d.context(
        d.ContextCommand.TCP | d.ContextCommand.IP | d.ContextCommand.TSE,
        ipcss=14, ipcso=24, ipcse=33, tucss=34, tucso=50, tucse=0, paylen=0x12345, hdrlen=54, mss=1460,
    )  # fmt: skip
    assert context.tobytes().hex() == "0e18210022320000452301270036b405"
    data = d.data(0x1000, 0xFFFFF, d.DataCommand.EOP, popts=d.PacketOptions.TXSM, special=0x1234)
    assert data.tobytes().hex() == "0010000000000000ffff1f2100023412"


def test_descriptors_refuse_what_does_not_fit() -> None:
    from nicemu.devices import e1000_descriptors as d

    with pytest.raises(OverflowError, match="length = 65536; a descriptor has 16 bits"):
        d.legacy(0, 1 << 16, 0)
    with pytest.raises(OverflowError, match="20 bits"):
        d.data(0, 1 << 20, 0)
    with pytest.raises(OverflowError, match="address = -1"):
        d.data(-1, 0, 0)
    with pytest.raises(KeyError):
        d.context(0, ipcs=1)
