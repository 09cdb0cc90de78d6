"""Realtek RTL8139C and RTL8139C+, `rtl8139c` and `rtl8139`: everything around the datapath.

Data sheets: Realtek, RTL8139C(L), revision 1.4 (DS), and RTL8139C+; Microchip 93C46 for the EEPROM; IEEE 802.3 clauses
22 and 28 for the transceiver.

The register table is in `rtl8139_tables`, frames and descriptors in csrc/rtl8139*.c.  In this file, in this order:
identity and PCI function; EEPROM image; the transceiver; the class with resets, register hooks in address order,
EEPROM, link, power, and the dump for ethtool; the identity of the plain RTL8139C.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from nicemu.core import EthtoolDump, Latch, Nic
from nicemu.devices.rtl8139_tables import CPLUS_ONLY, REGS, RULES, TABLES
from nicemu.eeprom import EepromFile, MicrowireEeprom
from nicemu.engine import lib
from nicemu.mii import AN_PAUSE, ANAR, BMCR, MII_100
from nicemu.options import Option
from nicemu.pci import Bar, Function, power_management
from nicemu.phy import Phy
from nicemu.registers import Reset, Table

__all__ = ["RTL8139", "RTL8139C"]

# Bits of registers that the hooks below use (DS 5).
EEDO, EEDI, EESK, EECS, EEM = 1 << 0, 1 << 1, 1 << 2, 1 << 3, 3 << 6
EEM_AUTOLOAD, EEM_PROGRAMMING, EEM_CONFIG_WRITE = 1 << 6, 2 << 6, 3 << 6
ISR_PUN_LINKCHG, ISR_LENCHG = 1 << 5, 1 << 13
MSR_LINKB, MSR_SPEED_10, MSR_FLOW = 1 << 2, 1 << 3, 3 << 6
CONFIG1_PMEN, CONFIG3_LINKUP, CONFIG3_PARM_EN = 1 << 0, 1 << 4, 1 << 6
BMCR_LOCKED = 1 << 13 | 1 << 12 | 1 << 8
CSCR_CON_STATUS, CSCR_F_LINK_100, CSCR_LINK_OK, CSCR_LINK_CHANGE = 1 << 3, 1 << 6, 1 << 10, 1 << 11
FLASH_SWRWEN, FLASH_OEB, FLASH_ROMCSB = 1 << 17, 1 << 19, 1 << 20
CPCR_CPTX = 1 << 0
PMCSR_STATE, PMCSR_PME_STATUS = 3, 1 << 15

#: Auto-load takes about 2 ms (DS 5.9).
LOAD_NS = 2_000_000

#: What `disturb` can do to packets; in full duplex nothing collides and no carrier is lost.
DISTURBANCES = {
    "one-collision": lib.RTL8139_ONE_COLLISION,
    "more-collisions": lib.RTL8139_MORE_COLLISIONS,
    "late-collision": lib.RTL8139_LATE_COLLISION,
    "excessive-collisions": lib.RTL8139_EXCESSIVE_COLLISIONS,
    "carrier-loss": lib.RTL8139_CARRIER_LOSS,
    "no-heartbeat": lib.RTL8139_NO_HEARTBEAT,
    "underrun": lib.RTL8139_UNDERRUN,
    "receive-overflow": lib.RTL8139_RECEIVE_OVERFLOW,
    "alignment-error": lib.RTL8139_ALIGNMENT_ERROR,
}

FUNCTION = Function(
    vendor_id=0x10EC,
    device_id=0x8139,
    revision=0x20,
    subsystem_vendor_id=0x10EC,
    subsystem_id=0x8139,
    bars={0: Bar(256, io=True), 1: Bar(256)},
    min_gnt=0x20,
    max_lat=0x40,
    status=0x0280,  # fast back-to-back capable, medium DEVSEL (DS 7)
    interrupt_bits=False,  # PCI 2.2
    capabilities=(power_management(0x50, pmc=0xF7C2),),
)

# ------------------------------------------------------------------------------------------------- EEPROM image

#: Bytes that differ from 0 in a good image (DS 6); the address is added for each card.
EEPROM_BYTES = {
    0x00: b"\x29\x81",  # valid
    0x02: b"\xec\x10\x39\x81\xec\x10\x39\x81",  # vendor and device, subsystem
    0x0A: b"\x20\x40",  # MIN_GNT, MAX_LAT
    0x0C: b"\xf1\x20",  # MSR and BMCR; CONFIG3: Magic Packet
    0x14: b"\x10\x8d\xc2\xf7",  # CONFIG0, CONFIG1, PMC
    0x19: b"\x00",  # CONFIG4
    0x1A: b"\x88\x83\xfa\x78\x02",  # PHY1_PARM, PHY2_PARM
    0x1F: b"\x01",  # CONFIG5
    0x20: b"\x43\xde\x38\xcb",  # TW_PARM
}
VALID = 0x8129


def eeprom_image(mac: bytes) -> list[int]:
    """The 64 words of a good EEPROM with this address (DS 6)."""
    image = bytearray(128)
    for at, data in EEPROM_BYTES.items():
        image[at : at + len(data)] = data
    image[0x0E:0x14] = mac
    return [int.from_bytes(image[at : at + 2], "little") for at in range(0, 128, 2)]


# ------------------------------------------------------------------------------------------------- the transceiver


class Transceiver(Phy):
    """The internal transceiver: registers 0, 1, 4, 5 and 6 show at 62h to 6Bh, no others (DS 5.18 to 5.22)."""

    TABLE: ClassVar[Table] = MII_100.with_resets({"BMSR": 0x7809, "ANAR": 0x01E1 | AN_PAUSE})

    force_100 = False  #: CSCR.F_LINK_100 is 0

    def _link_is_forced(self) -> bool:
        return self.force_100

    @property
    def _forced_speed(self) -> int:
        return 100 if self.force_100 else super()._forced_speed

    def set_force(self, force: bool) -> None:
        """Forces a good link at 100 Mb/s, or no more (CSCR.F_LINK_100)."""
        if force != self.force_100:
            self.force_100 = force
            self._restart()


#: PHY register by register of the chip.
PHY_REGISTERS = {"BMCR": 0, "BMSR": 1, "ANAR": 4, "ANLPAR": 5, "ANER": 6}


class RTL8139(Nic):
    """Realtek RTL8139C+.

    eeprom: a file of 128 bytes (64 little-endian words) that is the card's EEPROM: made if it is missing, kept in step
            with what the driver writes.  Its address then replaces `mac`.
    on_wake: called with lib.RTL8139_WAKE_* bits when a frame or the link wakes the system.
    """

    MODEL = "rtl8139"
    ALIASES = ("rtl8139cp",)
    DESCRIPTION = "Realtek RTL8139C+ Fast Ethernet"
    CARD = "rtl8139"
    TABLES = TABLES
    BARS: ClassVar[Mapping[int, str]] = {0: "regs", 1: "regs"}
    FUNCTION = FUNCTION
    RULES = RULES
    DISTURBANCES = DISTURBANCES
    OPTIONS = (Option("eeprom", "file", "128 bytes of EEPROM contents, made if missing and kept in step"),)

    def __init__(
        self, *, eeprom: str | Path | None = None, on_wake: Callable[[int], None] | None = None, **options: Any
    ) -> None:
        self._eeprom_file = EepromFile(eeprom)
        self.on_wake = on_wake
        super().__init__(**options)

    def setup(self) -> None:
        """EEPROM, transceiver, and the timers of what takes time in the `wire` profile."""
        model = self.compiled
        self._cell = {register.name: model.cell("regs", register.name) for register in self.TABLES[0]}
        self._pmcsr = model.cell("config", "PMCSR")
        self._latch = Latch(forced=False, was_up=False)
        self._quiet = False
        self.timed = self.profile != "instant"
        clock = (lambda: self.clock.now) if self.timed else None
        self.eeprom = MicrowireEeprom(
            64,
            self._eeprom_contents(),
            write_time_ns=5_000_000 if self.timed else 0,
            now_ns=clock,
            on_change=lambda first, count: self._eeprom_file.save(self.eeprom.words),
        )
        self._phy_timer = self.timer("phy", lambda: self.phy.poll())
        self._load_timer = self.timer("eeprom-load", self._load_eeprom)
        self.phy = Transceiver(
            now_ns=clock,
            on_link_change=lambda up, speed, full: self._update_link(),
            on_deadline=self._phy_timer.at,
        )
        self._cable_length = self.phy.cable.length_m
        self.phy.set_cable(self.wire_up)

    def after_load(self) -> None:
        """The transceiver's copy of CSCR; the length that the last link was seen with."""
        self.phy.force_100 = self._latch.forced
        self._cable_length = self.phy.cable.length_m

    def parts(self) -> Mapping[str, Any]:
        """EEPROM, transceiver, and flags: the link is forced; it was up when last told of."""
        return {"eeprom": self.eeprom, "phy": self.phy, "latch": self._latch}

    # --------------------------------------------------------------------------------------------- resets (DS 5.4)

    def after_reset(self, kind: Reset) -> None:
        """RST# and power-on read the EEPROM and reset the transceiver; CR.RST does not.  Each lets go of the EEPROM."""
        self.eeprom.set_pins(False, False, False)
        if kind is not Reset.SOFT:
            if kind is Reset.POWER:
                self.eeprom.power_on()
            self.phy.force_100 = self._latch.forced = False
            self._quiet = True  # what the transceiver goes through is no event
            self.phy.hardware_reset()
            self._quiet = False
            if self.timed:
                self._load_timer.start(LOAD_NS)
            else:
                self._load_eeprom()
        self._show_link()

    # --------------------------------------------------------------------------------------------- registers (DS 5)

    def read_regs_CR9346(self, value: int, index: int) -> int:  # noqa: N802
        """9346CR: the EEPROM's data pin."""
        return value & ~EEDO | (EEDO if self.eeprom.do else 0)

    def write_regs_CR9346(self, value: int, old: int, index: int) -> None:  # noqa: N802
        """9346CR: the EEPROM's pins in programming mode, auto-load (DS 5.9)."""
        mode = value & EEM
        pins = EECS | EESK | EEDI
        if mode == EEM_PROGRAMMING:
            self.eeprom.set_pins(bool(value & EECS), bool(value & EESK), bool(value & EEDI))
            return
        if value & pins:
            self.find("rtl8139.eeprom.mode", value, old)
        if old & EEM == EEM_PROGRAMMING:
            self.eeprom.set_pins(False, False, False)
        if mode == EEM_AUTOLOAD:
            if self.timed:
                self._load_timer.start(LOAD_NS)
            else:
                self._load_eeprom()

    def write_regs_CONFIG1(self, value: int, old: int, index: int) -> None:  # noqa: N802
        """CONFIG1: power management on or off."""
        self._update_sleep()

    def write_regs_MSR(self, value: int, old: int, index: int) -> None:  # noqa: N802
        """MSR: flow control is the negotiation's while that is in effect (DS 5.12)."""
        self._show_link()
        lib.rtl8139_link_changed(self.handle, self.phy.link.up, self.phy.link.full_duplex)

    def read_regs_BMCR(self, value: int, index: int) -> int:  # noqa: N802
        """BMCR."""
        return self._read_phy("BMCR")

    def write_regs_BMCR(self, value: int, old: int, index: int) -> None:  # noqa: N802
        """BMCR: bits 13, 12 and 8 only in the mode "config write" (DS 5.9)."""
        present = self.phy.peek(BMCR)
        value |= present & ~self.enable
        mode = int(self.cells[self._cell["CR9346"]])
        if mode & EEM != EEM_CONFIG_WRITE and (value ^ present) & BMCR_LOCKED:
            self.find("rtl8139.config.bmcr-locked", value, mode)
            value = value & ~BMCR_LOCKED | present & BMCR_LOCKED
        self._write_phy("BMCR", value)

    def read_regs_BMSR(self, value: int, index: int) -> int:  # noqa: N802
        """BMSR: the link bit stays 0 after a loss until it is read."""
        return self._read_phy("BMSR")

    def read_regs_ANAR(self, value: int, index: int) -> int:  # noqa: N802
        """ANAR."""
        return self._read_phy("ANAR")

    def write_regs_ANAR(self, value: int, old: int, index: int) -> None:  # noqa: N802
        """ANAR: takes effect with the next negotiation."""
        self._write_phy("ANAR", value | self.phy.peek(ANAR) & ~self.enable)

    def read_regs_ANLPAR(self, value: int, index: int) -> int:  # noqa: N802
        """ANLPAR."""
        return self._read_phy("ANLPAR")

    def read_regs_ANER(self, value: int, index: int) -> int:  # noqa: N802
        """ANER: what is latched goes with the read."""
        return self._read_phy("ANER")

    def write_regs_CSCR(self, value: int, old: int, index: int) -> None:  # noqa: N802
        """CSCR: forces a good link (DS 5.27)."""
        self._latch.forced = not int(self.cells[self._cell["CSCR"]]) & CSCR_F_LINK_100
        self.phy.set_force(self._latch.forced)

    def write_regs_PHY1_PARM(self, value: int, old: int, index: int) -> None:  # noqa: N802
        """PHY1_PARM: fixed while CONFIG3.PARM_EN is set (DS 5.13)."""
        self._keep_parameter("PHY1_PARM", old)

    def write_regs_TW_PARM(self, value: int, old: int, index: int) -> None:  # noqa: N802
        """TW_PARM: fixed while CONFIG3.PARM_EN is set (DS 5.13)."""
        self._keep_parameter("TW_PARM", old)

    def write_regs_PHY2_PARM(self, value: int, old: int, index: int) -> None:  # noqa: N802
        """PHY2_PARM: fixed while CONFIG3.PARM_EN is set (DS 5.13)."""
        self._keep_parameter("PHY2_PARM", old)

    def _keep_parameter(self, name: str, old: int) -> None:
        if int(self.cells[self._cell["CONFIG3"]]) & CONFIG3_PARM_EN:
            self.cells[self._cell[name]] = old

    def read_regs_FLASH(self, value: int, index: int) -> int:  # noqa: N802
        """FLASH: the boot ROM's data while software reads it (DS 5.28)."""
        if value & FLASH_SWRWEN and not value & (FLASH_OEB | FLASH_ROMCSB):
            data = self.rom.read(value & 0x1FFFF, 1) if self.rom else 0xFF
            return value & 0x00FFFFFF | data << 24
        return value

    def _read_phy(self, name: str) -> int:
        value = self.phy.read(PHY_REGISTERS[name])
        self.cells[self._cell[name]] = self.phy.peek(PHY_REGISTERS[name])
        return value

    def _write_phy(self, name: str, value: int) -> None:
        self.phy.write(PHY_REGISTERS[name], value)
        self._show_link()

    # --------------------------------------------------------------------------------------------- EEPROM (DS 6)

    def _eeprom_contents(self) -> list[int]:
        words = self._eeprom_file.load(eeprom_image(self.mac))
        self.mac = b"".join(word.to_bytes(2, "little") for word in words[7:10])
        return words

    def _load_eeprom(self) -> None:
        """What the hardware reads by itself, if word 0 says that the image is valid; the mode is normal then."""
        if self.eeprom.words[0] == VALID:
            image = b"".join(word.to_bytes(2, "little") for word in self.eeprom.words)
            for index in range(6):
                self.cells[self._cell["IDR"] + index] = image[0x0E + index]
            places = {"CONFIG0": 0x14, "CONFIG1": 0x15, "CONFIG3": 0x0D, "CONFIG4": 0x19, "CONFIG5": 0x1F}
            for name, at in places.items():
                self.cells[self._cell[name]] = image[at]
            self.cells[self._cell["CONFIG1"]] |= 0x0C  # both spaces are always there
            self.cells[self._cell["PHY1_PARM"]] = int.from_bytes(image[0x1A:0x1E], "little")
            self.cells[self._cell["PHY2_PARM"]] = image[0x1E]
            self.cells[self._cell["TW_PARM"]] = int.from_bytes(image[0x20:0x24], "little")
            self._load_modes(image[0x0C])
        self.cells[self._cell["CR9346"]] &= ~EEM if self._autoloading else 0xFF
        self._update_sleep()

    @property
    def _autoloading(self) -> bool:
        return int(self.cells[self._cell["CR9346"]]) & EEM == EEM_AUTOLOAD

    def _load_modes(self, byte: int) -> None:
        """MSRBMCR: bits 7 and 6 of MSR; bits 13, 12 and 8 of BMCR from bits 5, 4 and 0."""
        msr = self._cell["MSR"]
        self.cells[msr] = int(self.cells[msr]) & ~MSR_FLOW | byte & MSR_FLOW
        wanted = (byte >> 5 & 1) << 13 | (byte >> 4 & 1) << 12 | (byte & 1) << 8
        present = self.phy.peek(BMCR)
        if (present ^ wanted) & BMCR_LOCKED:
            self.phy.write(BMCR, present & ~BMCR_LOCKED | wanted)
        self._show_link()

    # --------------------------------------------------------------------------------------------- link

    def link_changed(self, up: bool) -> None:
        """The cable was plugged in or pulled out, or the far side came or went."""
        self.phy.set_cable(up)

    def _show_link(self) -> None:
        """MSR, CSCR and the transceiver's registers as the transceiver has them now."""
        link, cells = self.phy.link, self.cells
        for name, number in PHY_REGISTERS.items():
            cells[self._cell[name]] = self.phy.peek(number)
        msr = int(cells[self._cell["MSR"]]) & ~(MSR_LINKB | MSR_SPEED_10)
        msr |= (0 if link.up else MSR_LINKB) | (MSR_SPEED_10 if link.speed == 10 else 0)
        if self.phy.negotiates:
            msr = msr & ~MSR_FLOW | link.receive_pause << 6 | link.transmit_pause << 7
        cells[self._cell["MSR"]] = msr
        cscr = int(cells[self._cell["CSCR"]]) & ~(CSCR_CON_STATUS | CSCR_LINK_OK)
        cells[self._cell["CSCR"]] = cscr | (CSCR_CON_STATUS | CSCR_LINK_OK if link.up else 0)

    def _update_link(self) -> None:
        """The link came up or went down: LinkChg; LenChg where the cable has another length than before (DS 5.6)."""
        link = self.phy.link
        self._show_link()
        lib.rtl8139_link_changed(self.handle, link.up, link.full_duplex)
        changed, self._latch.was_up = link.up != self._latch.was_up, link.up
        if not changed or self._quiet:
            return
        causes = ISR_PUN_LINKCHG
        if link.up and self.phy.cable.length_m != self._cable_length:
            self._cable_length = self.phy.cable.length_m
            causes |= ISR_LENCHG
        if not link.up:
            count = self._cell["DIS"]
            self.cells[count] = min(int(self.cells[count]) + 1, 0xFFFF)
        self.cells[self._cell["CSCR"]] |= CSCR_LINK_CHANGE
        lib.rtl8139_cause(self.handle, causes)
        if link.up and self._sleeping and int(self.cells[self._cell["CONFIG3"]]) & CONFIG3_LINKUP:
            self._wake(lib.RTL8139_WAKE_LINK)

    # --------------------------------------------------------------------------------------------- power (DS 7.6)

    @property
    def _sleeping(self) -> bool:
        powered = int(self.cells[self._cell["CONFIG1"]]) & CONFIG1_PMEN
        return bool(powered) and bool(int(self.cells[self._pmcsr]) & PMCSR_STATE)

    def _update_sleep(self) -> None:
        lib.rtl8139_set_sleeping(self.handle, self._sleeping)

    def write_config_PMCSR(self, value: int, old: int, index: int) -> None:  # noqa: N802
        """PMCSR: D0 to D3hot; leaving D3 is a reset that spares configuration space (PCI PM 5.4)."""
        new = int(self.cells[self._pmcsr])
        if old & PMCSR_STATE == 3 and not new & PMCSR_STATE:
            self.reset(Reset.SOFT)
        self._update_sleep()
        lib.nic_pci_changed(self.handle)

    def event(self, event: int, value: int) -> None:
        """A frame that wakes the system."""
        if event == lib.RTL8139_EVENT_WAKE:
            self._wake(value)

    def _wake(self, events: int) -> None:
        self.cells[self._pmcsr] |= PMCSR_PME_STATUS
        if self.on_wake:
            self.on_wake(events)

    # --------------------------------------------------------------------------------------------- ethtool -d

    LINUX_DRIVER: ClassVar[str] = "8139cp"  #: Linux's driver of the part

    def ethtool_dump(self) -> EthtoolDump:
        """The 256 bytes of the registers, in the page that is in view, as both of Linux's drivers dump them."""
        page = 1 if self.TABLES[0]["CPCR"].present and int(self.cells[self._cell["CPCR"]]) & CPCR_CPTX else 0
        data = bytearray(256)
        for register, offset in self.TABLES[0].placements(page):
            index = (offset - register.offset) // register.stride
            cell = self._cell[register.cell or register.name] + index
            value = int(self.cells[cell]) & register.mask("read")
            data[offset : offset + register.size] = value.to_bytes(register.size, "little")
        return EthtoolDump(self.LINUX_DRIVER, 1, bytes(data))


# ------------------------------------------------------------------------------------------------- the plain RTL8139C


class RTL8139C(RTL8139):
    """Realtek RTL8139C: no C+ mode, revision 10h, another version in TCR."""

    MODEL = "rtl8139c"
    ALIASES = ("rtl8139too",)
    DESCRIPTION = "Realtek RTL8139C Fast Ethernet"
    TABLES = (REGS.without(*CPLUS_ONLY).with_resets({"TCR": 0x74000000, "RERID": 0x10}),)
    FUNCTION = replace(FUNCTION, revision=0x10)
    LINUX_DRIVER = "8139too"
