"""Intel 82540EM Gigabit Ethernet, the `e1000`: everything around the datapath.

Data sheets: Intel, PCI/PCI-X Family of Gigabit Ethernet Controllers Software Developer's Manual, 317453 (8254x SDM);
Microchip 93C46 for the EEPROM; the PHY follows SDM chapter 11 and 13.4.7.1 (nicemu.m88e1000).

The register table is in `e1000_tables`, frames and descriptors in csrc/e1000.c.  In this file, in this order: identity
and PCI function; EEPROM image; the class with resets, register hooks in address order, EEPROM, PHY and link, power, and
the dump for ethtool.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

from nicemu.core import EthtoolDump, Latch, Nic, RingView, Timer
from nicemu.devices.e1000_tables import RULES, TABLES
from nicemu.eeprom import EepromFile, MicrowireEeprom, with_checksum
from nicemu.engine import lib
from nicemu.m88e1000 import M88E1000
from nicemu.options import Option
from nicemu.pci import Bar, Function, msi, pcix, power_management
from nicemu.registers import Reset

__all__ = ["E1000"]

# Bits of registers that the hooks below use (13.4).
CTRL_FD, CTRL_SLU, CTRL_ILOS, CTRL_SPEED, CTRL_FRCSPD, CTRL_FRCDPLX = 1 << 0, 1 << 6, 1 << 7, 3 << 8, 1 << 11, 1 << 12
CTRL_RST, CTRL_PHY_RST = 1 << 26, 1 << 31
STATUS_FD, STATUS_LU, STATUS_SPEED, STATUS_ASDV = 1 << 0, 1 << 1, 3 << 6, 3 << 8
EECD_SK, EECD_CS, EECD_DI, EECD_DO, EECD_REQ, EECD_GNT = (1 << b for b in (0, 1, 2, 3, 6, 7))
EERD_START, EERD_DONE = 1 << 0, 1 << 4
CTRL_EXT_PHYINT_EN, CTRL_EXT_PHYINT, CTRL_EXT_ASDCHK, CTRL_EXT_EE_RST = 1 << 1, 1 << 5, 1 << 12, 1 << 13
CTRL_EXT_SPD_BYPS = 1 << 15
MDIC_R, MDIC_I, MDIC_E = 1 << 28, 1 << 29, 1 << 30
ICR_LSC, ICR_MDAC, ICR_PHYINT = 1 << 2, 1 << 9, 1 << 12
WUC_APME, WUC_PME_EN, WUC_PME_STATUS, WUC_APMPME = 1 << 0, 1 << 1, 1 << 2, 1 << 3
RAH_AV = 1 << 31
PMCSR_STATE, PMCSR_PME_EN, PMCSR_PME_STATUS = 3, 1 << 8, 1 << 15
PMCSR_DATA_SCALE, PMCSR_TENTHS = 3 << 13, 1 << 13

#: STATUS.SPEED by speed in Mb/s.
SPEED_CODES = {10: 0, 100: 1, 1000: 2}

# Durations in the `wire` profile, ns.
RESET_NS = 1_000  #: CTRL.RST (13.4.1)
EEPROM_LOAD_NS = 1_500_000  #: some fifty words at 1 MHz, 27 clocks each (5.3.1)
EERD_NS = 30_000  #: one word
MDIC_NS = 25_600  #: 64 clocks of 2.5 MHz (802.3 22.2.2.11)

#: Drivers change what CTRL forces first and the PHY then: for so long the two may differ, ns.
MISMATCH_NS = 1_000_000_000

FUNCTION = Function(
    vendor_id=0x8086,
    device_id=0x100E,
    revision=0x02,
    subsystem_vendor_id=0x8086,
    subsystem_id=0x001E,
    bars={0: Bar(128 << 10), 2: Bar(64, io=True)},
    min_gnt=0xFF,
    status=0x0220,  # 66 MHz capable, medium DEVSEL (SDM 4-4)
    memory_write_invalidate=True,
    interrupt_bits=False,  # those of PCI 2.3 came with the 82541 (SDM table 4-3)
    capabilities=(
        power_management(0xDC, pmc=0xC822, data=True),
        pcix(0xE4, command=0x0002, status=0x04400000),
        msi(0xF0),
    ),
)

#: What Linux's e1000 driver dumps first (e1000_get_regs); PHY registers follow.
DUMPED = ("CTRL", "STATUS", "RCTL", "RDLEN", "RDH", "RDT", "RDTR", "TCTL", "TDLEN", "TDH", "TDT", "TIDV")

# ------------------------------------------------------------------------------------------------- EEPROM image

#: Words that differ from 0 in a good image (SDM table 5-2); the address and the checksum are added for each card.
EEPROM_WORDS = {
    0x04: 0xFFFF,  # ID LED settings: default
    0x08: 0xFFFF,  # part number: none
    0x09: 0xFFFF,
    0x0A: 0x640B,  # valid, 32-bit BARs, full duplex, power management, load both pairs of IDs
    0x0B: 0x001E,  # subsystem: PRO/1000 MT Desktop
    0x0C: 0x8086,
    0x0D: 0x100E,
    0x0E: 0x8086,
    0x0F: 0x3040,  # symmetric and asymmetric PAUSE
    0x21: 0x7061,  # circuit control
    0x22: 0x280C,  # D0 and D3 power, 0.1 W
    0x23: 0x00C8,
    0x24: 0x08C8,  # no flash, APM wake-up off
    0x2F: 0x0602,  # LED modes
}


def eeprom_image(mac: bytes) -> list[int]:
    """The 64 words of a good EEPROM with this address (SDM 5.6)."""
    words = [EEPROM_WORDS.get(i, 0) for i in range(64)]
    words[0:3] = [int.from_bytes(mac[i : i + 2], "little") for i in (0, 2, 4)]
    return with_checksum(words, 0x3F)


class E1000(Nic):
    """Intel 82540EM.

    eeprom: a file of 128 bytes (64 little-endian words) that is the card's EEPROM: made if it is missing, kept in step
            with what the driver writes.  Its address then replaces `mac`.
    on_wake: called with the bits of WUS when a frame or the link wakes the system.
    """

    MODEL = "e1000"
    ALIASES = ("e1000-82540em",)
    DESCRIPTION = "Intel 82540EM Gigabit Ethernet"
    CARD = "e1000"
    TABLES = TABLES
    BARS: ClassVar[Mapping[int, str]] = {0: "mmio", 2: "io"}
    FUNCTION = FUNCTION
    RULES = RULES
    OPTIONS = (Option("eeprom", "file", "128 bytes of EEPROM contents, made if missing and kept in step"),)

    def __init__(
        self, *, eeprom: str | Path | None = None, on_wake: Callable[[int], None] | None = None, **options: Any
    ) -> None:
        self._eeprom_file = EepromFile(eeprom)
        self.on_wake = on_wake
        super().__init__(**options)

    def setup(self) -> None:
        """EEPROM, PHY, and the timers of what takes time in the `wire` profile."""
        model = self.compiled
        self._cell = {
            name: model.cell("mmio", name) for _, name in ((t, r.name) for t, r in model.rows if t.name == "mmio")
        }
        self._pmcsr, self._pm_data = model.cell("config", "PMCSR"), model.cell("config", "PM_DATA")
        self._latch = Latch(eerd_waits=False, load_directions=True)
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
        self._eerd_timer = self.timer("eerd", self._finish_eerd)
        self._mdic_timer = self.timer("mdic", self._finish_mdic)
        self._mismatch_timer = self.timer("mismatch", self._report_mismatch)
        self.phy = M88E1000(
            now_ns=clock,
            on_link_change=lambda up, speed, full: self._update_link(),
            on_interrupt=self._phy_interrupt,
            on_deadline=self._phy_timer.at,
        )
        self.phy.set_cable(self.wire_up)

    def after_load(self) -> None:
        """The datapath's copies of what the PHY says."""
        self._update_loopback()

    def parts(self) -> Mapping[str, Any]:
        """EEPROM, PHY, and flags: an EERD command waits for the EEPROM; the next load includes pin directions."""
        return {"eeprom": self.eeprom, "phy": self.phy, "latch": self._latch}

    # --------------------------------------------------------------------------------------------- resets (14.7)

    def after_reset(self, kind: Reset) -> None:
        """Every reset reads the EEPROM again; RST# and power-on also reset the PHY, CTRL.RST does not."""
        for timer in (self._eerd_timer, self._mdic_timer):
            timer.stop()
        self._latch.eerd_waits = False
        self._latch.load_directions = kind is not Reset.SOFT
        if kind is Reset.POWER:
            self.eeprom.power_on()
        if kind is not Reset.SOFT:
            self.phy.hardware_reset()
        if self.timed:
            if kind is Reset.SOFT:
                lib.nic_set_resetting(self.handle, self.clock.now + RESET_NS)
            self._load_timer.start(EEPROM_LOAD_NS)
        else:
            self._load_eeprom()
        self._update_loopback()
        self._update_link()

    def _run_or_start(self, timer: Timer, ns: int, action: Callable[[], None]) -> None:
        """Does something now, or in the `wire` profile when it would be done."""
        if self.timed:
            timer.start(ns)
        else:
            action()

    # --------------------------------------------------------------------------------------------- registers (13.4)

    def write_mmio_CTRL(self, value: int, old: int, index: int) -> None:  # noqa: N802
        """CTRL: global reset, PHY reset pin, and how the link is seen."""
        if value & CTRL_RST:
            self.reset(Reset.SOFT)
            return
        lib.e1000_check_control(self.handle, old)
        if (value ^ old) & CTRL_PHY_RST:
            self.phy.set_reset(bool(value & CTRL_PHY_RST))
        self._update_link()

    def read_mmio_EECD(self, value: int, index: int) -> int:  # noqa: N802
        """EECD: the EEPROM's data pin."""
        if value & EECD_GNT and not self.eeprom.do:
            return value & ~EECD_DO
        return value | EECD_DO

    def write_mmio_EECD(self, value: int, old: int, index: int) -> None:  # noqa: N802
        """EECD: request, grant, and the pins while they are granted (5.3.1)."""
        cell = self._cell["EECD"]
        if value & EECD_REQ and not self._load_timer.running:
            self.cells[cell] |= EECD_GNT
        elif not value & EECD_REQ:
            self.cells[cell] &= ~EECD_GNT
            if old & EECD_GNT:
                self._resume_eerd()
        pins = EECD_SK | EECD_CS | EECD_DI
        if self.cells[cell] & EECD_GNT:
            self.eeprom.set_pins(bool(value & EECD_CS), bool(value & EECD_SK), bool(value & EECD_DI))
        elif (value ^ old) & pins and value & pins:
            self.find("e1000.eeprom.no-grant", value, int(self.cells[cell]))

    def write_mmio_EERD(self, value: int, old: int, index: int) -> None:  # noqa: N802
        """EERD: reads one word, unless software has the pins (13.4.4)."""
        if not value & EERD_START:
            return
        if self._eerd_timer.running or self.cells[self._cell["EECD"]] & EECD_GNT:
            self.find("e1000.eeprom.busy", value, int(self.cells[self._cell["EECD"]]))
        self.cells[self._cell["EERD"]] &= 0xFF00
        if not self.cells[self._cell["EECD"]] & EECD_GNT:
            self._run_or_start(self._eerd_timer, EERD_NS, self._finish_eerd)
        else:
            self._latch.eerd_waits = True

    def _resume_eerd(self) -> None:
        if self._latch.eerd_waits:
            self._latch.eerd_waits = False
            self._run_or_start(self._eerd_timer, EERD_NS, self._finish_eerd)

    def _finish_eerd(self) -> None:
        cell = self._cell["EERD"]
        address = int(self.cells[cell]) >> 8 & 0x3F
        self.cells[cell] = self.eeprom.read_word(address) << 16 | (self.cells[cell] & 0xFF00) | EERD_DONE

    def write_mmio_CTRL_EXT(self, value: int, old: int, index: int) -> None:  # noqa: N802
        """CTRL_EXT: EEPROM reload, speed detection, the PHY's interrupt."""
        if value & CTRL_EXT_EE_RST:
            self._run_or_start(self._load_timer, EEPROM_LOAD_NS, self._load_eeprom)
        if value & CTRL_EXT_ASDCHK:
            status = self._cell["STATUS"]
            code = SPEED_CODES[self.phy.link.speed] if self.phy.link.up else 0
            self.cells[status] = (self.cells[status] & ~STATUS_ASDV) | code << 8
        self._phy_interrupt(self.phy.interrupt)
        self._update_link()

    def write_mmio_MDIC(self, value: int, old: int, index: int) -> None:  # noqa: N802
        """MDIC: one read or write of a PHY register (13.4.7)."""
        if self._mdic_timer.running:
            self.find("e1000.mdic.busy", value, old)
            return
        known = value >> 26 & 3 in (1, 2)
        if value & (MDIC_R | MDIC_E) or not known:
            self.find("e1000.mdic.command", value)
        if value & MDIC_R or not known:
            return
        self._run_or_start(self._mdic_timer, MDIC_NS, self._finish_mdic)

    def _finish_mdic(self) -> None:
        cell = self._cell["MDIC"]
        value = int(self.cells[cell])
        register, address, read = value >> 16 & 31, value >> 21 & 31, value >> 26 & 3 == 2
        if address != 1:
            self.find("e1000.mdic.bad-phy", value)
            value |= MDIC_E if read else 0
        elif read:
            value = (value & ~0xFFFF & ~MDIC_E) | self.phy.read(register)
        else:
            self.phy.write(register, value & 0xFFFF)
            self._update_loopback()
        self.cells[cell] = value | MDIC_R
        if value & MDIC_I:
            self._cause(ICR_MDAC)

    def write_mmio_WUC(self, value: int, old: int, index: int) -> None:  # noqa: N802
        """WUC: PME_En and PME_Status are those of PMCSR (13.6.1)."""
        wuc = int(self.cells[self._cell["WUC"]])
        pmcsr = int(self.cells[self._pmcsr]) & ~(PMCSR_PME_EN | PMCSR_PME_STATUS)
        pmcsr |= (PMCSR_PME_EN if wuc & WUC_PME_EN else 0) | (PMCSR_PME_STATUS if wuc & WUC_PME_STATUS else 0)
        self.cells[self._pmcsr] = pmcsr

    # --------------------------------------------------------------------------------------------- EEPROM (5.4, 5.6)

    def _eeprom_contents(self) -> list[int]:
        words = self._eeprom_file.load(eeprom_image(self.mac))
        self.mac = b"".join(word.to_bytes(2, "little") for word in words[:3])
        return words

    def _load_eeprom(self) -> None:
        """What the hardware reads by itself, if word 0Ah says that the image is valid (5.4)."""
        word = self.eeprom.words
        if word[0x0A] >> 14 == 1:
            self._load_address(word)
            self._load_control(word)
            self._load_wake_up(word)
        self._update_power_data()
        if self.cells[self._cell["EECD"]] & EECD_REQ:
            self.cells[self._cell["EECD"]] |= EECD_GNT
        self._update_link()

    def _load_address(self, word: Any) -> None:
        self.cells[self._cell["RAL"]] = word[1] << 16 | word[0]
        self.cells[self._cell["RAH"]] = RAH_AV | word[2]

    def _load_control(self, word: Any) -> None:
        """Words 0Ah, 0Fh, 20h and 24h into CTRL and CTRL_EXT; word 2Fh into LEDCTL."""
        control1, control2, pins, control3 = word[0x0A], word[0x0F], word[0x20], word[0x24] >> 8
        ctrl = int(self.cells[self._cell["CTRL"]])
        ctrl &= ~(1 << 0 | 1 << 3 | 1 << 5 | 1 << 6 | 1 << 7 | 1 << 11 | 0x3C << 16)
        ctrl |= (
            (control1 >> 10 & 1) << 0 | (control1 >> 9 & 1) << 3 | (control1 >> 4 & 1) << 7 | (control1 >> 11 & 1) << 11
        )
        ctrl |= (control2 >> 14 & 1) << 5
        ctrl |= (pins & 3) << 18 | (pins >> 2 & 3) << 20
        if control3 & 4 or word[0x23] & 1:  # APM or SMBus enabled
            ctrl |= CTRL_SLU
        ext = int(self.cells[self._cell["CTRL_EXT"]]) & ~(3 << 6 | 1 << 14 | 1 << 16)
        ext |= (pins >> 6 & 3) << 6 | (control1 >> 12 & 1) << 14 | (control1 >> 8 & 1) << 16
        if self._latch.load_directions:  # the directions of the software pins outlive CTRL.RST (14.7)
            ctrl |= (pins >> 8 & 3) << 22
            ext |= (pins >> 14 & 3) << 10
        self.cells[self._cell["CTRL"]] = ctrl
        self.cells[self._cell["CTRL_EXT"]] = ext
        leds = word[0x2F]
        led = int(self.cells[self._cell["LEDCTL"]]) & 0xFF00FF00
        self.cells[self._cell["LEDCTL"]] = led | (leds & 0xCF) | (leds & 0xCF00) << 8

    def _load_wake_up(self, word: Any) -> None:
        control2, management, control3 = word[0x0F], word[0x23], word[0x24] >> 8
        wuc = int(self.cells[self._cell["WUC"]]) & ~(WUC_APME | WUC_APMPME)
        wuc |= (WUC_APME if control3 & 4 else 0) | (WUC_APMPME if control2 & 0x8000 else 0)
        self.cells[self._cell["WUC"]] = wuc
        self.cells[self._cell["IPAV"]] = (management >> 6 & 1) | (management >> 7 & 1) << 16
        if management & 0x40:
            self.cells[self._cell["IP4AT"]] = word[0x26] << 16 | word[0x25]

    # --------------------------------------------------------------------------------------------- PHY and link (14.5)

    def link_changed(self, up: bool) -> None:
        """The cable was plugged in or pulled out, or the far side came or went."""
        self.phy.set_cable(up)

    def _phy_interrupt(self, level: bool) -> None:
        ext = self._cell["CTRL_EXT"]
        before = bool(self.cells[ext] & CTRL_EXT_PHYINT)
        self.cells[ext] = (self.cells[ext] & ~CTRL_EXT_PHYINT) | (CTRL_EXT_PHYINT if level else 0)
        if level and not before and self.cells[ext] & CTRL_EXT_PHYINT_EN:
            self._cause(ICR_PHYINT)

    def _update_loopback(self) -> None:
        lib.e1000_set_loopback(self.handle, self.phy.data_path == "loopback")

    def _update_link(self) -> None:
        """STATUS.LU, FD and SPEED from the PHY and what CTRL forces (14.5.5); LSC when LU changes."""
        ctrl, status = int(self.cells[self._cell["CTRL"]]), self._cell["STATUS"]
        link = self.phy.link
        up = bool(ctrl & CTRL_SLU) and link.up != bool(ctrl & CTRL_ILOS)
        before = int(self.cells[status])
        value = before & ~(STATUS_LU | STATUS_FD | STATUS_SPEED)
        if up:
            forced = ctrl & CTRL_FRCSPD and not self.cells[self._cell["CTRL_EXT"]] & CTRL_EXT_SPD_BYPS
            value |= STATUS_LU | (ctrl >> 8 & 3 if forced else SPEED_CODES[link.speed]) << 6
            full = bool(ctrl & CTRL_FD) if ctrl & CTRL_FRCDPLX else link.full_duplex
            value |= STATUS_FD if full else 0
        self.cells[status] = value
        if value != before:
            lib.e1000_link_changed(self.handle)
            self._watch_mismatch()
        if (value ^ before) & STATUS_LU:
            self._cause(ICR_LSC)
            lib.e1000_wake_link(self.handle)

    def _mismatched(self) -> bool:
        """Whether the MAC works at another speed or duplex than the PHY (13.4.1)."""
        status, link = int(self.cells[self._cell["STATUS"]]), self.phy.link
        return (
            bool(status & STATUS_LU)
            and link.up
            and (status >> 6 & 3 != SPEED_CODES[link.speed] or bool(status & STATUS_FD) != link.full_duplex)
        )

    def _watch_mismatch(self) -> None:
        if not self._mismatched():
            self._mismatch_timer.stop()
        elif not self._mismatch_timer.running:
            self._mismatch_timer.start(MISMATCH_NS)

    def _report_mismatch(self) -> None:
        if self._mismatched():
            cells = self.cells
            self.find("e1000.link.forced-mismatch", int(cells[self._cell["CTRL"]]), int(cells[self._cell["STATUS"]]))

    def _cause(self, bits: int) -> None:
        lib.e1000_cause(self.handle, bits)

    # --------------------------------------------------------------------------------------------- power (6.3, 13.6)

    def write_config_PMCSR(self, value: int, old: int, index: int) -> None:  # noqa: N802
        """PMCSR: D0 and D3hot, nothing between; leaving D3 is a reset (6.3.3, 14.7)."""
        new = int(self.cells[self._pmcsr])
        if new & PMCSR_STATE in (1, 2):
            new = (new & ~PMCSR_STATE) | (old & PMCSR_STATE)
            self.cells[self._pmcsr] = new
        self._update_power_data()
        wuc = int(self.cells[self._cell["WUC"]]) & ~(WUC_PME_EN | WUC_PME_STATUS)
        wuc |= (WUC_PME_EN if new & PMCSR_PME_EN else 0) | (WUC_PME_STATUS if new & PMCSR_PME_STATUS else 0)
        self.cells[self._cell["WUC"]] = wuc
        if old & PMCSR_STATE and not new & PMCSR_STATE:
            self.phy.hardware_reset()
            self.reset(Reset.SOFT)
        elif new & PMCSR_STATE and not old & PMCSR_STATE:
            self.cells[self.compiled.cell("config", "COMMAND")] &= ~3
        lib.nic_pci_changed(self.handle)

    def _update_power_data(self) -> None:
        """What PMCSR.DATA_SELECT asks for: D0 and D3 power from EEPROM word 22h, in units of 0.1 W (6.3.3.4)."""
        pmcsr = int(self.cells[self._pmcsr])
        select = pmcsr >> 9 & 15
        power = {0: self.eeprom.words[0x22] >> 8, 3: self.eeprom.words[0x22] & 0xFF}
        known = select < 8 and select & 3 in power
        self.cells[self._pmcsr] = (pmcsr & ~PMCSR_DATA_SCALE) | (PMCSR_TENTHS if known else 0)
        self.cells[self._pm_data] = power[select & 3] if known else 0

    def event(self, event: int, value: int) -> None:
        """A frame that wakes the system (13.6.3)."""
        if event == lib.E1000_EVENT_WAKE:
            self._wake(value)

    def _wake(self, bits: int) -> None:
        self.cells[self._cell["WUS"]] |= bits
        self.cells[self._cell["WUC"]] |= WUC_PME_STATUS
        self.cells[self._pmcsr] |= PMCSR_PME_STATUS
        if self.on_wake:
            self.on_wake(bits)

    # --------------------------------------------------------------------------------------------- for monitors

    def rings(self) -> Mapping[str, RingView]:
        """The receive and transmit rings of 16-byte descriptors (3.2.6, 3.4)."""

        def view(letter: str) -> RingView:
            low, high, length, head, tail = (
                int(self.cells[self._cell[f"{letter}D{name}"]]) for name in ("BAL", "BAH", "LEN", "H", "T")
            )
            return RingView(high << 32 | low & ~15, length >> 4, head, tail)

        return {"receive": view("R"), "transmit": view("T")}

    def ethtool_dump(self) -> EthtoolDump:
        """The 32 words of Linux's e1000 driver, with PHY type M88.

        Words 21 and 22, which the driver adds up over time, are what the PHY's own counters hold.
        """
        status, control, gigabit = (self.phy.peek(name) for name in ("PSSTAT", "PSCON", "GSTATUS"))
        words = dict(enumerate(int(self.cells[self._cell[name]]) for name in DUMPED))
        words |= {13: status, 17: control, 18: status, 20: control, 21: gigabit & 0xFF, 22: self.phy.peek("PREC")}
        words |= {23: status, 24: gigabit, 25: gigabit, 26: int(self.cells[self._cell["MANC"]])}
        version = 1 << 24 | FUNCTION.revision << 16 | FUNCTION.device_id
        return EthtoolDump("e1000", version, struct.pack("=32I", *(words.get(i, 0) for i in range(32))))
