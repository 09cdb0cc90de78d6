"""Marvell 88E8057 (Yukon Ultra 2) Gigabit Ethernet, the `yukon2`: everything around the datapath.

There is no public data sheet: sections are those of docs/yukon2-facts.md, which says where each fact can be seen.

The register table is in `yukon2_tables`, frames, list elements and interrupts in csrc/yukon2*.c.  In this file, in this
order: identity and PCI function; vital product data; the class with resets, register hooks, PHY and link, power.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

from nicemu.core import EthtoolDump, Nic
from nicemu.devices.yukon2_tables import RULES, TABLES
from nicemu.engine import lib
from nicemu.errors import ConfigurationError, SnapshotError
from nicemu.m88e1149 import M88E1149
from nicemu.model import CONFIG
from nicemu.options import Option
from nicemu.pci import Bar, Capability, Function, msi, pci_express, power_management
from nicemu.registers import Field, Register, Reset, State

__all__ = ["Yukon2"]

# Bits of registers that the hooks below use (2.11, 2.12).
UNIT_RESET, UNIT_RUNS = 1 << 0, 1 << 1
GPHY_STATUS = 0x7F << 24
GPHY_STABLE, GPHY_DUPLEX, GPHY_LINK, GPHY_RX_PAUSE, GPHY_TX_PAUSE = (1 << b for b in (24, 25, 26, 29, 30))
STAT_LINK = 1 << 4 | 1 << 12 | 1 << 14 | 1 << 15 | 1 << 2 | 1 << 13
STAT_RX_FC_OFF, STAT_GIGABIT, STAT_UP, STAT_TX_FC_OFF, STAT_DUPLEX, STAT_100 = (1 << b for b in (2, 4, 12, 13, 14, 15))
STAT_PAUSE = 1 << 11
SMI_BUSY, SMI_VALID, SMI_READ = 1 << 3, 1 << 4, 1 << 5
I2C_FLAG = 1 << 31
VPD_FLAG = 1 << 15
PMCSR_STATE, PMCSR_PME_STATUS = 3, 1 << 15

#: A PHY access in the `wire` profile: 64 clocks of 2.5 MHz (IEEE 802.3, 22.2.2.11), ns.
SMI_NS = 25_600
#: A transfer of four bytes on the two-wire serial interface at 100 kHz, ns.
TWSI_NS = 600_000
#: Where the VPD EEPROM answers on the two-wire serial interface.
TWSI_DEVICE = 0x50

#: Blocks of 128 bytes that sky2 reads for `ethtool -d`, of a part with one link; the rest it fills with zeros (8.3).
DUMPED = frozenset({0, 2, 3, 4, 7, 8, 12, 13, 16, 18, 20, 21, 24, 26, 28, 29, 30, *range(32, 40), 48, 50,
                    *range(56, 61), *range(80, 85)})  # fmt: skip
#: What it leaves out of block 3: the RAM interface's address and data.
DUMP_HOLE = range(0x180, 0x190)

KEEPS = frozenset({Reset.SOFT})


def _vendor(name: str, offset: int, reset: int, doc: str, state: State = State.STORED) -> Register:
    return Register(name, offset, doc, "facts 1.3", reset=reset, state=state, keeps=KEEPS)


#: Bytes of VPD: DEV_REG2 bits 16:14 are 2, and 2 ** (2 + 8) bytes are 1024 (1.3).
VPD_SIZE = 1024

VENDOR_REGISTERS = (
    _vendor("DEV_REG1", 0x40, 0x00000000, "Power of the PHY, link power management"),
    _vendor("DEV_REG2", 0x44, 0x00A08000, "VPD and bus"),
    Register("OUR_STATUS", 0x7C, "Bus; 0 on PCI Express", "facts 1.3", access="ro", keeps=KEEPS),
    _vendor("DEV_REG3", 0x80, 0x00000000, "Clocks that stand still"),
    _vendor("DEV_REG4", 0x84, 0x00000000, "Link state, power management"),
    _vendor("DEV_REG5", 0x88, 0x00000000, "Clock gating"),
    _vendor("CFG_REG_0", 0x90, 0x00000000, "No driver uses it"),
    _vendor("CFG_REG_1", 0x94, 0x00000000, "Clock release events"),
)


def _vpd(offset: int) -> Capability:
    """Vital product data (PCI Local Bus 3.0, appendix I)."""
    fields = [
        Field("ADDRESS", 0, 15, "rw", 0, "Byte address, a multiple of 4", keeps=KEEPS),
        Field("FLAG", 15, 1, "rw", 0, "Written 1: write VPD_DATA, 0: read; inverted when done", keeps=KEEPS),
    ]
    return Capability(
        0x03,
        offset,
        8,
        [
            Register("VPD_ADDRESS", 2, "Address and command", "PCI I", fields, size=2),
            Register("VPD_DATA", 4, "Four bytes", "PCI I", keeps=KEEPS),
        ],
    )


def _errors(offset: int) -> Capability:
    """PCI Express Advanced Error Reporting (PCIe 1.1, 7.10): no error happens on this bus."""

    def one(name: str, at: int, doc: str, access: str, reset: int = 0) -> Register:
        return Register(name, at, doc, "PCIe 7.10", access=access, reset=reset, keeps=KEEPS, state=State.STORED)

    return Capability(
        0x0001,
        offset,
        0x2C,
        [
            one("AER_UNCORRECTABLE_STATUS", 0x04, "Uncorrectable errors", "w1c"),
            one("AER_UNCORRECTABLE_MASK", 0x08, "Mask of uncorrectable errors", "rw"),
            one("AER_UNCORRECTABLE_SEVERITY", 0x0C, "Which are fatal", "rw", 0x00062011),
            one("AER_CORRECTABLE_STATUS", 0x10, "Correctable errors", "w1c"),
            one("AER_CORRECTABLE_MASK", 0x14, "Mask of correctable errors", "rw"),
            one("AER_CONTROL", 0x18, "Capabilities and control", "rw"),
            *(one(f"AER_HEADER_LOG_{i}", 0x1C + 4 * i, "Header of the first error", "ro") for i in range(4)),
        ],
    )


def _serial_number(offset: int) -> Capability:
    """Device Serial Number (PCIe 1.1, 7.12): the address with FFFEh in its middle, filled in for each card."""

    def half(name: str, at: int, doc: str) -> Register:
        return Register(name, at, doc, "PCIe 7.12", access="ro", keeps=KEEPS)

    registers = [half("SERIAL_NUMBER_LOW", 4, "Lower half of the number"), half("SERIAL_NUMBER_HIGH", 8, "Upper half")]
    return Capability(0x0003, offset, 12, registers)


def _function(device_id: int, express: int) -> Function:
    """Configuration space of a part; `express` is where it has the PCI Express capability."""
    return Function(
        vendor_id=0x11AB,
        device_id=device_id,
        revision=0x10,
        subsystem_vendor_id=0x11AB,
        subsystem_id=device_id,
        bars={0: Bar(16 << 10, wide=True), 2: Bar(256, io=True)},
        capabilities=(
            power_management(0x48, pmc=0xFE03, data=True),
            _vpd(0x50),
            msi(0x5C),
            pci_express(express, capabilities=0x0011, device=0x00000000, link=0x00011C11, link_status=0x1011),
        ),
        registers=VENDOR_REGISTERS,
        extended=(_errors(0x100), _serial_number(0x130)),
    )


# ------------------------------------------------------------------------------------------------- VPD


def vpd_image(part: str, mac: bytes) -> bytes:
    """A product's VPD: its name, part and serial number, with the checksum (PCI I.3)."""
    name = f"Marvell Yukon {part} Gigabit Ethernet Controller".encode()
    number = f"Yukon {part}".encode()
    entries = ((b"PN", number), (b"EC", b"Rev. 1.0"), (b"MN", b"Marvell"), (b"SN", mac.hex().encode()))
    read_only = b"".join(key + bytes([len(text)]) + text for key, text in entries)
    head = b"\x82" + len(name).to_bytes(2, "little") + name
    length = len(read_only) + 4
    head += b"\x90" + length.to_bytes(2, "little") + read_only + b"RV\x01"
    head += bytes([-sum(head) & 0xFF])
    return (head + b"\x78").ljust(VPD_SIZE, b"\xff")


class Vpd:
    """The bytes behind the VPD registers and the two-wire serial interface."""

    def __init__(self, contents: bytes, on_change: Callable[[], None]) -> None:
        self.contents = bytearray(contents)
        self._on_change = on_change

    def read(self, address: int) -> int:
        """Four bytes; behind the end all ones."""
        at = address & ~3
        return int.from_bytes(self.contents[at : at + 4].ljust(4, b"\xff"), "little")

    def write(self, address: int, value: int) -> None:
        """Four bytes; behind the end nothing."""
        at = address & ~3
        if at < VPD_SIZE:
            self.contents[at : at + 4] = value.to_bytes(4, "little")
            self._on_change()

    def state(self) -> dict[str, str]:
        """The contents."""
        return {"contents": self.contents.hex()}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Takes over saved contents; SnapshotError if they are not such."""
        try:
            contents = bytes.fromhex(state["contents"])
        except (KeyError, TypeError, ValueError) as error:
            raise SnapshotError(f"VPD contents: {error}") from error
        if len(contents) != VPD_SIZE:
            raise SnapshotError(f"VPD has {len(contents)} bytes; expected {VPD_SIZE}")
        self.contents = bytearray(contents)


# ------------------------------------------------------------------------------------------------- the card


class Yukon2(Nic):
    """Marvell 88E8057, or a part like it.

    chip:    the part: `88e8057` (Yukon Ultra 2) or `88e8056` (Yukon EC Ultra).
    vpd:     a file of 1024 bytes that is the card's vital product data: made if it is missing, kept in step.
    on_wake: called with the bits of WOL_CTRL_STAT when a frame or the link wakes the system.
    """

    MODEL = "yukon2"
    ALIASES = ("sky2", "88e8057")
    DESCRIPTION = "Marvell 88E8057 (Yukon Ultra 2) Gigabit Ethernet"
    CARD = "yukon2"
    TABLES = TABLES
    BARS: ClassVar[Mapping[int, str]] = {0: "mmio", 2: "io"}
    FUNCTION = _function(0x4380, 0xC0)
    RULES = RULES
    OPTIONS = (
        Option("chip", "str", "88e8057, or 88e8056: Yukon EC Ultra", "88e8057"),
        Option("vpd", "file", "1024 bytes of vital product data, made if missing and kept in step"),
    )
    PART: ClassVar[str] = "88E8057"

    def __new__(cls, *, chip: str = "88e8057", **options: Any) -> Yukon2:
        """The part's own class."""
        parts = {one.PART.lower(): one for one in (Yukon2, YukonECUltra)}
        if chip not in parts:
            raise ConfigurationError(f"chip={chip!r}; expected one of {', '.join(parts)}")
        return super().__new__(parts[chip])

    def __init__(
        self,
        *,
        chip: str = "88e8057",
        vpd: str | Path | None = None,
        on_wake: Callable[[int], None] | None = None,
        **options: Any,
    ) -> None:
        self._vpd_file = Path(vpd) if vpd else None
        self.on_wake = on_wake
        super().__init__(**options)

    def setup(self) -> None:
        """VPD, PHY, and the timers of what takes time in the `wire` profile."""
        model = self.compiled
        self._cell = {name: model.cell("mmio", name) for name in (r.name for t, r in model.rows if t.name == "mmio")}
        self._config = {
            name: model.cell("config", name) for name in (r.name for t, r in model.rows if t.name == "config")
        }
        self.timed = self.profile != "instant"
        clock = (lambda: self.clock.now) if self.timed else None
        self.vpd = Vpd(self._vpd_contents(), self._save_vpd)
        self._phy_timer = self.timer("phy", lambda: self.phy.poll())
        self._smi_timer = self.timer("smi", self._finish_smi)
        self._twsi_timer = self.timer("twsi", self._finish_twsi)
        self._was_up = False
        self.phy = M88E1149(
            now_ns=clock,
            on_link_change=lambda up, speed, full: self._update_link(),
            on_interrupt=lambda level: lib.yukon2_set_phy_interrupt(self.handle, level),
            on_deadline=self._phy_timer.at,
        )
        self.phy.set_cable(self.wire_up)

    def parts(self) -> Mapping[str, Any]:
        """VPD and PHY."""
        return {"vpd": self.vpd, "phy": self.phy}

    def after_load(self) -> None:
        """What is derived from the PHY's state."""
        self._was_up = self.phy.link.up
        lib.yukon2_set_loopback(self.handle, self.phy.data_path == "loopback")

    # --------------------------------------------------------------------------------------------- resets (2.1)

    def after_reset(self, kind: Reset) -> None:
        """RST# and power-on load the address and reset the PHY; CTST's resets do not."""
        self._smi_timer.stop()
        self._twsi_timer.stop()
        if kind is not Reset.SOFT:
            for name in ("B2_MAC_1", "B2_MAC_2"):
                for i, byte in enumerate(self.mac):
                    self.cells[self._cell[name] + i] = byte
            serial = self.mac[:3] + b"\xff\xfe" + self.mac[3:]
            self.cells[self._config["SERIAL_NUMBER_LOW"]] = int.from_bytes(serial[4:], "big")
            self.cells[self._config["SERIAL_NUMBER_HIGH"]] = int.from_bytes(serial[:4], "big")
            self.phy.hardware_reset()
        self._update_link()

    # --------------------------------------------------------------------------------------------- registers

    def write_mmio_GPHY_CTRL(self, value: int, old: int, index: int) -> None:  # noqa: N802
        """GPHY_CTRL: the PHY's reset pin (2.11)."""
        if value & UNIT_RESET and not value & UNIT_RUNS:
            self.phy.set_reset(True)
        elif value & UNIT_RUNS:
            self.phy.set_reset(False)
        self._update_phy()

    def write_mmio_GM_SMI_CTRL(self, value: int, old: int, index: int) -> None:  # noqa: N802
        """GM_SMI_CTRL: one read or write of a PHY register (2.12)."""
        cell = self._cell["GM_SMI_CTRL"]
        if self._smi_timer.running:
            self.find("yukon2.smi.busy", value, old)
            return
        self.cells[cell] &= ~SMI_VALID
        if self.timed:
            self.cells[cell] |= SMI_BUSY
            self._smi_timer.start(SMI_NS)
        else:
            self._finish_smi()

    def _finish_smi(self) -> None:
        control, data = self._cell["GM_SMI_CTRL"], self._cell["GM_SMI_DATA"]
        value = int(self.cells[control])
        register, address = value >> 6 & 31, value >> 11 & 31
        self.cells[control] = value & ~SMI_BUSY | (SMI_VALID if value & SMI_READ else 0)
        if address:
            self.find("yukon2.smi.bad-phy", value)
            if value & SMI_READ:
                self.cells[data] = 0xFFFF
        elif value & SMI_READ:
            self.cells[data] = self.phy.read(register)
        else:
            self.phy.write(register, int(self.cells[data]))
        self._update_phy()

    def write_mmio_B2_I2C_CTRL(self, value: int, old: int, index: int) -> None:  # noqa: N802
        """B2_I2C_CTRL: four bytes from or to the VPD EEPROM, once the whole command is there (2.2)."""
        if not self.enable >> 24:
            return
        if self.timed:
            self._twsi_timer.start(TWSI_NS)
        else:
            self._finish_twsi()

    def _finish_twsi(self) -> None:
        control, data = self._cell["B2_I2C_CTRL"], self._cell["B2_I2C_DATA"]
        value = int(self.cells[control])
        known = value >> 9 & 0x7F == TWSI_DEVICE
        if not value & I2C_FLAG:
            self.cells[data] = self.vpd.read(value >> 16 & 0x7FFF) if known else 0xFFFFFFFF
        elif known:
            self.vpd.write(value >> 16 & 0x7FFF, int(self.cells[data]))
        self.cells[control] = value ^ I2C_FLAG
        lib.yukon2_twsi_done(self.handle)

    # --------------------------------------------------------------------------------------------- VPD

    def _vpd_contents(self) -> bytes:
        if not self._vpd_file:
            return vpd_image(self.PART, self.mac)
        if not self._vpd_file.exists():
            self._vpd_file.write_bytes(vpd_image(self.PART, self.mac))
        data = self._vpd_file.read_bytes()
        if len(data) != VPD_SIZE:
            raise ConfigurationError(f"vpd={self._vpd_file}: {len(data)} bytes; expected {VPD_SIZE}")
        return data

    def _save_vpd(self) -> None:
        if self._vpd_file:
            self._vpd_file.write_bytes(self.vpd.contents)

    def write_config_VPD_ADDRESS(self, value: int, old: int, index: int) -> None:  # noqa: N802
        """VPD_ADDRESS: reads or writes VPD_DATA once both bytes are there (PCI I)."""
        cell, data = self._config["VPD_ADDRESS"], self._config["VPD_DATA"]
        if not self.enable >> 8:
            return
        command = int(self.cells[cell])
        if command & VPD_FLAG:
            self.vpd.write(command & 0x7FFF, int(self.cells[data]))
        else:
            self.cells[data] = self.vpd.read(command & 0x7FFF)
        self.cells[cell] = command ^ VPD_FLAG

    # --------------------------------------------------------------------------------------------- PHY and link

    def link_changed(self, up: bool) -> None:
        """The cable was plugged in or pulled out, or the far side came or went."""
        self.phy.set_cable(up)

    def _update_phy(self) -> None:
        lib.yukon2_set_loopback(self.handle, self.phy.data_path == "loopback")
        self._update_link()

    def _update_link(self) -> None:
        """What GM_GP_STAT and GPHY_CTRL show of the PHY (2.11, 2.12)."""
        link, up = self.phy.link, self.phy.link.up
        status = int(self.cells[self._cell["GM_GP_STAT"]]) & ~STAT_LINK
        phy = int(self.cells[self._cell["GPHY_CTRL"]]) & ~GPHY_STATUS | GPHY_STABLE
        if up:
            status |= STAT_UP | {1000: STAT_GIGABIT, 100: STAT_100}.get(link.speed, 0)
            status |= STAT_DUPLEX * link.full_duplex
            phy |= GPHY_LINK | {1000: 2, 100: 1}.get(link.speed, 0) << 27 | GPHY_DUPLEX * link.full_duplex
            phy |= GPHY_RX_PAUSE * link.receive_pause | GPHY_TX_PAUSE * link.transmit_pause
        else:
            status &= ~STAT_PAUSE
        status |= STAT_RX_FC_OFF * (not link.receive_pause) | STAT_TX_FC_OFF * (not link.transmit_pause)
        self.cells[self._cell["GM_GP_STAT"]] = status
        self.cells[self._cell["GPHY_CTRL"]] = phy
        lib.yukon2_link_changed(self.handle, up != self._was_up)
        self._was_up = up

    # --------------------------------------------------------------------------------------------- power (1.2, 2.11)

    def write_config_PMCSR(self, value: int, old: int, index: int) -> None:  # noqa: N802
        """PMCSR: leaving D3hot is a reset of everything but the PHY."""
        new = int(self.cells[self._config["PMCSR"]])
        if old & PMCSR_STATE == 3 and not new & PMCSR_STATE:
            self.reset(Reset.SOFT)
        lib.nic_pci_changed(self.handle)

    def event(self, event: int, value: int) -> None:
        """A frame or the link wakes the system."""
        if event == lib.YUKON2_EVENT_WAKE:
            self.cells[self._config["PMCSR"]] |= PMCSR_PME_STATUS
            if self.on_wake:
                self.on_wake(value)

    # --------------------------------------------------------------------------------------------- ethtool -d

    def ethtool_dump(self) -> EthtoolDump:
        """The 16 KiB of BAR 0 as sky2 dumps them (8.3)."""
        data = bytearray(self.TABLES[0].size)
        for register, offset in self.TABLES[0].placements():
            if offset // 128 in DUMPED and offset not in DUMP_HOLE:
                value = self._peek(register, (offset - register.offset) // register.stride)
                data[offset : offset + register.size] = value.to_bytes(register.size, "little")
        return EthtoolDump("sky2", 1, bytes(data))

    def _peek(self, register: Register, index: int) -> int:
        """What an element of a register of BAR 0 shows, without effects; of a window what lies behind it."""
        if not register.window:
            cell = self._cell[register.cell or register.name] + index
            return int(lib.yukon2_peek(self.handle, cell)) & register.mask("read")
        behind, found = register.window.base + 4 * index, 0
        for other, offset in self.compiled.spaces[CONFIG].placements():
            if behind <= offset < behind + 4:
                value = int(self.cells[self._config[other.name] + (offset - other.offset) // other.stride])
                found |= (value & other.mask("read")) << 8 * (offset - behind)
        return found & 0xFFFFFFFF


# ------------------------------------------------------------------------------------------------- the 88E8056


class YukonECUltra(Yukon2):
    """Marvell 88E8056: the same list elements under another chip id (1.4)."""

    MODEL = "yukon2-88e8056"
    DESCRIPTION = "Marvell 88E8056 (Yukon EC Ultra) Gigabit Ethernet"
    TABLES = (TABLES[0].with_resets({"B2_CHIP_ID": 0xB4, "B2_MAC_CFG": 0x31}), *TABLES[1:])
    FUNCTION = _function(0x4364, 0xE0)
    PART = "88E8056"
