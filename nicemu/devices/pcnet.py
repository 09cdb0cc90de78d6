"""AMD PCnet: Am79C970A PCnet-PCI II, the `pcnet`, and Am79C973 PCnet-FAST III, the `pcnet-fast3`.

Data sheets: AMD 19436 (Am79C970A), 21510 (Am79C973/Am79C975); a 93C46 for the EEPROM; the PHY of the Am79C973 is in
nicemu.am79c973_phy.

The register tables are in `pcnet_tables`, rings and frames in csrc/pcnet*.c.  In this file, in this order: identities;
EEPROM image; the class with resets, BCR hooks in order, EEPROM, link, power and wake-up, the dump for ethtool; the
Am79C973 with its PHY.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

from nicemu.am79c973_phy import Am79C973Phy
from nicemu.core import EthtoolDump, Nic
from nicemu.devices.pcnet_tables import BCR, CSR, IO, RULES, TABLES_970A
from nicemu.eeprom import EepromFile, MicrowireEeprom
from nicemu.engine import lib
from nicemu.options import Option
from nicemu.pci import Bar, Function, power_management
from nicemu.registers import Reset, Table

__all__ = ["PCnet", "PCnetFast3"]

# Bits of registers that the hooks below use.
EDI, ESK, ECS, EEN, EEDET, PREAD, PVALID = 1 << 0, 1 << 1, 1 << 2, 1 << 4, 1 << 13, 1 << 14, 1 << 15
CSR7_MCCINT, CSR7_MAPINT, CSR7_MREINT = 1 << 5, 1 << 7, 1 << 9
CSR116_LCMODE, CSR116_LCDET = 1 << 8, 1 << 9
BCR9_FDEN, BCR32_APEP = 1 << 0, 1 << 11
PMCSR_STATE, PMCSR_PME_STATUS = 3, 1 << 15
FAST_BACK_TO_BACK_MEDIUM = 0x0280

#: One bit of the 93C46 in the `wire` profile: a PREAD takes 27 clocks a word at 1 MHz (EEPROM Interface).
EEPROM_WORD_NS = 27_000

#: What `disturb` can do to frames.
DISTURBANCES = {
    "late-collision": lib.PCNET_LATE_COLLISION,
    "excessive-collisions": lib.PCNET_EXCESSIVE_COLLISIONS,
    "one-collision": lib.PCNET_ONE_COLLISION,
    "more-collisions": lib.PCNET_MORE_COLLISIONS,
    "deferral": lib.PCNET_DEFERRAL,
    "excessive-deferral": lib.PCNET_EXCESSIVE_DEFERRAL,
    "carrier-loss": lib.PCNET_CARRIER_LOSS,
    "underflow": lib.PCNET_UNDERFLOW,
    "no-heartbeat": lib.PCNET_NO_HEARTBEAT,
    "bus-timeout": lib.PCNET_BUS_TIMEOUT,
    "receive-overflow": lib.PCNET_RECEIVE_OVERFLOW,
}

FUNCTION = Function(
    vendor_id=0x1022,
    device_id=0x2000,
    revision=0x10,
    bars={0: Bar(32, io=True), 1: Bar(32)},
    min_gnt=0x06,
    max_lat=0xFF,
    status=FAST_BACK_TO_BACK_MEDIUM,
    interrupt_bits=False,
)

FUNCTION_FAST3 = Function(
    vendor_id=0x1022,
    device_id=0x2000,
    revision=0x40,
    subsystem_vendor_id=0x1022,
    subsystem_id=0x2000,
    bars={0: Bar(32, io=True), 1: Bar(32)},
    min_gnt=0x06,
    max_lat=0xFF,
    status=FAST_BACK_TO_BACK_MEDIUM,
    interrupt_bits=False,
    capabilities=(power_management(0x40, pmc=0xC811, data=True),),
)

# ------------------------------------------------------------------------------------------------- EEPROM image

#: Registers that the EEPROM fills, from word 08h on (EEPROM Map).
EEPROM_BCRS = (2, 4, 5, 6, 7, 9, 18, 22)
#: Those of the Am79C973 behind them.
EEPROM_BCRS_FAST3 = (*EEPROM_BCRS, 23, 24, 25, 26, 27, 32, 33, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 48)
EEPROM_WORDS = 64


def aprom_image(mac: bytes) -> bytes:
    """The 16 bytes of the address PROM: address, hardware identity, checksum and `WW` (EEPROM Map)."""
    head, signature = mac + bytes([0, 0, 0, 0x11, 0, 0]), b"WW"
    return head + (sum(head) + sum(signature)).to_bytes(2, "little") + signature


def eeprom_image(mac: bytes, values: Mapping[int, int], bcrs: tuple[int, ...], length: int) -> list[int]:
    """A good EEPROM: address PROM, registers, and the byte that makes the sum of the first `length` FFh."""
    content = bytearray(aprom_image(mac))
    for number in bcrs:
        content += values[number].to_bytes(2, "little")
    content = content.ljust(length, b"\0")
    content[length - 1] = (0xFF - sum(content[: length - 1])) & 0xFF
    content = content.ljust(2 * EEPROM_WORDS, b"\xff")
    return [int.from_bytes(content[i : i + 2], "little") for i in range(0, len(content), 2)]


class PCnet(Nic):
    """AMD Am79C970A.

    eeprom: a file of 128 bytes (64 little-endian words) that is the card's EEPROM: made if it is missing, kept in step
            with what the driver writes.  Its address then replaces `mac`.
    on_wake: called with bits of CSR116 when a Magic Packet, a pattern or the link wakes the system.
    """

    MODEL = "pcnet"
    ALIASES = ("am79c970a",)
    DESCRIPTION = "AMD Am79C970A PCnet-PCI II Ethernet"
    CARD = "pcnet"
    TABLES = TABLES_970A
    BARS: ClassVar[Mapping[int, str]] = {0: "io", 1: "io"}
    SPACES = ("csr", "bcr")
    FUNCTION = FUNCTION
    RULES = RULES
    DISTURBANCES = DISTURBANCES
    OPTIONS = (Option("eeprom", "file", "128 bytes of EEPROM contents, made if missing and kept in step"),)

    #: Registers that the EEPROM fills, and the bytes that its checksum covers.
    EEPROM_BCRS: ClassVar[tuple[int, ...]] = EEPROM_BCRS
    EEPROM_LENGTH: ClassVar[int] = 36
    #: Number of CSRs and BCRs in Linux's dump, and whether PHYs follow.
    PHY_ADDRESS: ClassVar[int | None] = None

    def __init__(
        self, *, eeprom: str | Path | None = None, on_wake: Callable[[int], None] | None = None, **options: Any
    ) -> None:
        self._eeprom_file = EepromFile(eeprom)
        self.on_wake = on_wake
        super().__init__(**options)

    def setup(self) -> None:
        """EEPROM, and the timer of its reading in the `wire` profile."""
        model = self.compiled
        self._csr = {r.offset // 2: model.cell("csr", r.name) for r in self._table("csr")}
        self._bcr = {r.offset // 2: model.cell("bcr", r.name) for r in self._table("bcr")}
        self._aprom = model.cell("io", "APROM")
        self.timed = self.profile != "instant"
        self.eeprom = MicrowireEeprom(
            EEPROM_WORDS,
            self._eeprom_contents(),
            write_time_ns=5_000_000 if self.timed else 0,
            now_ns=(lambda: self.clock.now) if self.timed else None,
            on_change=lambda first, count: self._eeprom_file.save(self.eeprom.words),
        )
        self._read_timer = self.timer("eeprom-read", self.load_eeprom)

    def _table(self, name: str) -> Table:
        return next(t for t in self.TABLES if t.name == name)

    def parts(self) -> Mapping[str, Any]:
        """The EEPROM."""
        return {"eeprom": self.eeprom}

    def after_load(self) -> None:
        """The datapath's copy of the link."""
        self._update_link()

    # --------------------------------------------------------------------------------------------- resets

    def after_reset(self, kind: Reset) -> None:
        """H_RESET reads the EEPROM; S_RESET, a read of the reset register, does not (Software Access)."""
        if kind is not Reset.SOFT:
            self.eeprom.set_pins(False, False, False)
            if kind is Reset.POWER:
                self.eeprom.power_on()
            self._read_timer.stop()
            self.load_eeprom()
        self._update_link()

    # --------------------------------------------------------------------------------------------- BCRs

    def read_bcr_BCR19(self, value: int, index: int) -> int:  # noqa: N802
        """BCR19: EDO is seen at EDI."""
        value |= EEDET
        if value & EEN:
            value = (value & ~EDI) | (EDI if self.eeprom.do else 0)
        return value

    def write_bcr_BCR19(self, value: int, old: int, index: int) -> None:  # noqa: N802
        """BCR19: pins while EEN is set, or a read of the whole EEPROM."""
        if value & PREAD:
            self._store_bcr(19, int(self.cells[self._bcr[19]]) & ~PVALID)
            if self.timed:
                self._read_timer.start(EEPROM_WORD_NS * ((self.EEPROM_LENGTH + 1) // 2))
            else:
                self.load_eeprom()
        elif value & EEN:
            self.eeprom.set_pins(bool(value & ECS), bool(value & ESK), bool(value & EDI))
        elif old & EEN:
            self.eeprom.set_pins(False, False, False)
        elif value & ECS:
            self.find("pcnet.eeprom.no-enable", value)

    def write_bcr_BCR9(self, value: int, old: int, index: int) -> None:  # noqa: N802
        """BCR9: full duplex."""
        self._update_link()

    def write_bcr_BCR22(self, value: int, old: int, index: int) -> None:  # noqa: N802
        """BCR22: MIN_GNT and MAX_LAT of configuration space."""
        self._update_latency()

    def _update_latency(self) -> None:
        latency = int(self.cells[self._bcr[22]])
        self.cells[self.compiled.cell("config", "MIN_GNT")] = latency & 0xFF
        self.cells[self.compiled.cell("config", "MAX_LAT")] = latency >> 8

    def _store_bcr(self, number: int, value: int) -> None:
        self.cells[self._bcr[number]] = value

    # --------------------------------------------------------------------------------------------- EEPROM

    def default_image(self) -> list[int]:
        """The 64 words of a good EEPROM with this card's address and the defaults of its registers."""
        table = self._table("bcr")
        defaults = {r.offset // 2: r.reset_value() for r in table}
        return eeprom_image(self.mac, defaults, self.EEPROM_BCRS, self.EEPROM_LENGTH)

    def _eeprom_contents(self) -> list[int]:
        words = self._eeprom_file.load(self.default_image())
        self.mac = b"".join(word.to_bytes(2, "little") for word in words[:3])
        return words

    def load_eeprom(self) -> None:
        """What H_RESET and PREAD read; a wrong checksum leaves every register at its default (EEPROM Interface)."""
        content = b"".join(w.to_bytes(2, "little") for w in self.eeprom.words)
        valid = sum(content[: self.EEPROM_LENGTH]) & 0xFF == 0xFF
        if valid:
            self._load_registers(content)
        else:
            for number in self.EEPROM_BCRS:
                self._store_bcr(number, self._table("bcr")[f"BCR{number}"].reset_value())
        status = int(self.cells[self._bcr[19]]) & ~PVALID
        self._store_bcr(19, status | EEDET | (PVALID if valid else 0))
        self._update_latency()
        self._update_link()

    def _load_registers(self, content: bytes) -> None:
        for at in range(16):
            self.cells[self._aprom + at] = content[at]
        for i in range(3):
            self.cells[self._csr[12 + i]] = int.from_bytes(content[2 * i : 2 * i + 2], "little")
        table = self._table("bcr")
        for place, number in enumerate(self.EEPROM_BCRS):
            register = table[f"BCR{number}"]
            value = int.from_bytes(content[16 + 2 * place : 18 + 2 * place], "little")
            loaded = register.mask("write")
            self._store_bcr(number, (int(self.cells[self._bcr[number]]) & ~loaded) | (value & loaded))

    # --------------------------------------------------------------------------------------------- link

    def link_changed(self, up: bool) -> None:
        """The cable was plugged in or pulled out, or the far side came or went."""
        self._update_link()

    def _update_link(self) -> None:
        """10BASE-T: link pulses are all there is to it (10BASE-T Interface)."""
        full = bool(self.cells[self._bcr[9]] & BCR9_FDEN)
        lib.pcnet_set_link(self.handle, self.wire_up, 10, full)

    # --------------------------------------------------------------------------------------------- ethtool -d

    def ethtool_dump(self) -> EthtoolDump:
        """As pcnet32 has it: address PROM, CSRs 0 to 89, 112 and 114, BCRs 0 to 35 with 0 for 30, PHY registers."""
        csr, bcr = self._numbered("csr"), self._numbered("bcr")
        csr |= {0: lib.pcnet_csr0(self.handle), 16: csr[1], 17: csr[2], 58: bcr[20]}
        aprom = bytes(int(self.cells[self._aprom + i]) for i in range(16))
        words = [int.from_bytes(aprom[i : i + 2], "little") for i in range(0, 16, 2)]
        words += [csr.get(n, 0) for n in (*range(90), 112, 114)]
        words += [bcr.get(n, 0) if n != 30 else 0 for n in range(36)]  # a read of BCR30 hangs an Am79C976
        words += self._phy_registers()
        return EthtoolDump("pcnet32", 0, b"".join(w.to_bytes(2, sys.byteorder) for w in words))

    def _phy_registers(self) -> list[int]:
        return []

    def _numbered(self, table: str) -> dict[int, int]:
        numbers = self._csr if table == "csr" else self._bcr
        return {
            r.offset // 2: int(self.cells[numbers[r.offset // 2]])
            for r in self._table(table)
            if r.present and not r.window
        }


# ------------------------------------------------------------------------------------------------- the Am79C973

CSR_FAST3 = CSR.with_resets({"CSR88": 0x5003})


class PCnetFast3(PCnet):
    """AMD Am79C973: 10/100 Mb/s with an internal PHY, power management and OnNow wake-up."""

    MODEL = "pcnet-fast3"
    ALIASES = ("am79c973",)
    DESCRIPTION = "AMD Am79C973 PCnet-FAST III Fast Ethernet"
    TABLES = (IO, CSR_FAST3, BCR)
    FUNCTION = FUNCTION_FAST3
    EEPROM_BCRS = EEPROM_BCRS_FAST3
    EEPROM_LENGTH = 82
    PHY_ADDRESS = 0x1E

    def setup(self) -> None:
        """The PHY beside what the Am79C970A has."""
        super().setup()
        self._pmcsr = self.compiled.cell("config", "PMCSR")
        self._phy_timer = self.timer("phy", lambda: self.phy.poll())
        self.phy = Am79C973Phy(
            now_ns=(lambda: self.clock.now) if self.timed else None,
            on_link_change=lambda up, speed, full: self._phy_link_changed(),
            on_deadline=self._phy_timer.at,
        )
        self.phy.set_cable(self.wire_up)

    def parts(self) -> Mapping[str, Any]:
        """EEPROM and PHY."""
        return {**super().parts(), "phy": self.phy}

    def after_load(self) -> None:
        """The datapath's copies of what the PHY says."""
        super().after_load()
        self._update_loopback()

    def after_reset(self, kind: Reset) -> None:
        """H_RESET resets the PHY too."""
        if kind is not Reset.SOFT:
            self.phy.hardware_reset()
        super().after_reset(kind)
        self._update_loopback()

    # --------------------------------------------------------------------------------------------- MII (BCR32-34)

    def read_bcr_BCR34(self, value: int, index: int) -> int:  # noqa: N802
        """BCR34: reads the PHY register that BCR33 names; ones where there is no PHY."""
        where = int(self.cells[self._bcr[33]])
        if where >> 5 & 31 != self.PHY_ADDRESS:
            self.find("pcnet.mii.bad-phy", where)
            self._cause7(CSR7_MREINT)
            return 0xFFFF
        value = self.phy.read(where & 31)
        self._cause7(CSR7_MCCINT)
        return value

    def write_bcr_BCR34(self, value: int, old: int, index: int) -> None:  # noqa: N802
        """BCR34: writes the PHY register that BCR33 names."""
        where = int(self.cells[self._bcr[33]])
        if self.enable != 0xFFFF:
            return
        if where >> 5 & 31 != self.PHY_ADDRESS:
            self.find("pcnet.mii.bad-phy", where)
        else:
            self.phy.write(where & 31, value)
            self._update_loopback()
        self._cause7(CSR7_MCCINT)

    def _cause7(self, bits: int) -> None:
        self.cells[self._csr[7]] |= bits
        lib.nic_tell_interrupt(self.handle)

    def link_changed(self, up: bool) -> None:
        """The PHY sees it."""
        self.phy.set_cable(up)
        self._update_link()

    def _phy_link_changed(self) -> None:
        """Auto-poll tells of it (CSR7.MAPINT), and it may wake the system (CSR116.LCDET)."""
        self._update_link()
        if self.cells[self._bcr[32]] & BCR32_APEP:
            self._cause7(CSR7_MAPINT)
        if self.cells[self._csr[116]] & CSR116_LCMODE:
            self._wake(CSR116_LCDET)

    def _update_link(self) -> None:
        link = self.phy.link
        lib.pcnet_set_link(self.handle, link.up, link.speed, link.full_duplex)

    def _update_loopback(self) -> None:
        lib.pcnet_set_phy_loopback(self.handle, self.phy.data_path == "loopback")

    # --------------------------------------------------------------------------------------------- power and wake-up

    def event(self, event: int, value: int) -> None:
        """A frame that wakes the system (OnNow)."""
        if event == lib.PCNET_EVENT_WAKE:
            self._wake(value)

    def _wake(self, bits: int) -> None:
        self.cells[self._csr[116]] |= bits
        self.cells[self._pmcsr] |= PMCSR_PME_STATUS
        if self.on_wake:
            self.on_wake(bits)

    def write_config_PMCSR(self, value: int, old: int, index: int) -> None:  # noqa: N802
        """PMCSR: D0 and D3hot, nothing between; leaving D3 is a reset (PCI PM 1.1, 5.4)."""
        new = int(self.cells[self._pmcsr])
        if new & PMCSR_STATE in (1, 2):
            new = (new & ~PMCSR_STATE) | (old & PMCSR_STATE)
            self.cells[self._pmcsr] = new
        if old & PMCSR_STATE and not new & PMCSR_STATE:
            self.reset(Reset.SOFT)
        lib.nic_pci_changed(self.handle)

    # --------------------------------------------------------------------------------------------- ethtool -d

    def _phy_registers(self) -> list[int]:
        numbers = {r.offset // 2 for r in self.phy.TABLE}
        return [self.phy.peek(n) if n in numbers else 0 for n in range(32)]
