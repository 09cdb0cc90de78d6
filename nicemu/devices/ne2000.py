"""The NE2000 and its relatives: everything around the datapath.

Data sheets: National, DP8390D/NS32490D Network Interface Controller (July 1995); Realtek, RTL8029AS Preliminary
(LS009.0, 1997; its sections as Barrelfish's rtl8029as.dev, made from it, has them); Microchip 93C46 for the EEPROM.
Novell's NE1000 and NE2000 boards, and Realtek's RTL8019AS, are as drivers know them.

The register table is in `ne2000_tables`, the datapath in csrc/ne2000*.c.  In this file, in this order: identity and PCI
function; the ID PROM; Novell's boards; Realtek's with their EEPROM and page 3.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from nicemu.core import Nic
from nicemu.devices.ne2000_tables import DP8390, IO, LINES, PORTS, RTL8019, RULES
from nicemu.eeprom import EepromFile, MicrowireEeprom
from nicemu.engine import lib
from nicemu.errors import ConfigurationError
from nicemu.options import Option
from nicemu.pci import Bar, Function
from nicemu.registers import Reset

__all__ = ["NE1000", "NE2000", "RTL8019AS", "RTL8029AS"]

# 9346CR (RTL8029AS 5.1.2.2).
EEDO, EEDI, EESK, EECS, EEM = 1 << 0, 1 << 1, 1 << 2, 1 << 3, 3 << 6
MODE_NORMAL, MODE_LOAD, MODE_PROGRAM, MODE_CONFIG = range(4)
CONFIG0_BNC = 1 << 2
MEDIUM_AUTO, MEDIUM_10BASE2 = 0, 3

#: How long the EEPROM takes to be read by the chip in the `wire` profile, ns: 64 words at 1 MHz, 27 clocks each.
LOAD_NS = 1_700_000

#: Where ISA boards can be strapped to, and their interrupts.
BASES = range(0x200, 0x3E1, 0x20)
IRQS = (2, 3, 4, 5, 7, 9, 10, 11, 12, 15)

#: What `disturb` can do to packets; in full duplex nothing collides.
DISTURBANCES = {
    "one-collision": lib.NE2000_ONE_COLLISION,
    "more-collisions": lib.NE2000_MORE_COLLISIONS,
    "late-collision": lib.NE2000_LATE_COLLISION,
    "excessive-collisions": lib.NE2000_EXCESSIVE_COLLISIONS,
    "carrier-loss": lib.NE2000_CARRIER_LOSS,
    "no-heartbeat": lib.NE2000_NO_HEARTBEAT,
    "underrun": lib.NE2000_UNDERRUN,
    "overrun": lib.NE2000_OVERRUN,
}

FUNCTION = Function(
    vendor_id=0x10EC,
    device_id=0x8029,
    revision=0x00,
    subsystem_vendor_id=0x10EC,
    subsystem_id=0x8029,
    bars={0: Bar(32, io=True)},
    status=0x0200,  # medium DEVSEL, as lspci shows boards
    interrupt_bits=False,  # PCI 2.1
)


def id_prom(mac: bytes, signature: bytes) -> bytes:
    """The 16 bytes of the board's ID PROM: address, product bytes, and a signature that tells the width."""
    return mac + bytes(8) + signature * 2


class DP8390Board(Nic):
    """What all boards with the chip have in common."""

    CARD = "ne2000"
    BARS: ClassVar[Mapping[int, str]] = {0: "io"}
    RULES = RULES
    DISTURBANCES = DISTURBANCES


# ------------------------------------------------------------------------------------------------- Novell


class IsaBoard(DP8390Board):
    """What boards for ISA have in common.

    iobase: first of its 32 ports; the host that maps them asks for it.
    irq:    called with the level of the interrupt line, as for every card.
    irq_number: the line that the board is strapped to; for the host.
    """

    FUNCTION = None
    OPTIONS: ClassVar[tuple[Option, ...]] = (
        Option("iobase", "int", "first of the 32 ports", "0x300"),
        Option("irq", "int", "interrupt line that the board is strapped to", "9", parameter="irq_number"),
    )
    IRQS: ClassVar[tuple[int, ...]] = IRQS

    def __init__(self, *, iobase: int = 0x300, irq_number: int = 9, **options: Any) -> None:
        if iobase not in BASES:
            raise ConfigurationError(f"iobase={iobase:#x}; expected a multiple of 0x20 from 0x200 to 0x3e0")
        if irq_number not in self.IRQS:
            raise ConfigurationError(f"irq={irq_number}; expected one of {', '.join(map(str, self.IRQS))}")
        self.straps: tuple[int, int] = (iobase, irq_number)
        super().__init__(**options)

    @property
    def iobase(self) -> int:
        """First of the board's 32 ports."""
        return self.straps[0]

    @property
    def irq_number(self) -> int:
        """The interrupt line that the board drives."""
        return self.straps[1]


class NE2000(IsaBoard):
    """Novell NE2000, 16-bit ISA."""

    MODEL = "ne2k_isa"
    ALIASES = ("ne2000",)
    DESCRIPTION = "Novell NE2000, 16-bit ISA"
    TABLES = (DP8390,)
    BOARD: ClassVar[int] = lib.NE2000_BOARD_NE2000
    SIGNATURE: ClassVar[bytes] = b"\x57"  #: W: a 16-bit board

    def setup(self) -> None:
        """Tells the datapath what the board looks like."""
        lib.ne2000_set_board(self.handle, self.BOARD)
        lib.ne2000_set_prom(self.handle, id_prom(self.mac, self.SIGNATURE))


class NE1000(NE2000):
    """Novell NE1000, 8-bit ISA: 8 KiB of packet memory, and no DMA by words."""

    MODEL = "ne1k_isa"
    ALIASES = ("ne1000",)
    DESCRIPTION = "Novell NE1000, 8-bit ISA"
    BOARD = lib.NE2000_BOARD_NE1000
    SIGNATURE = b"\x42"  #: B: an 8-bit board


# ------------------------------------------------------------------------------------------------- Realtek


def words_of(image: bytes) -> list[int]:
    """The contents of an EEPROM, in words."""
    return [int.from_bytes(image[i : i + 2], "little") for i in range(0, len(image), 2)]


class RealtekBoard(DP8390Board):
    """What Realtek's chips with a DP8390 have in common: an EEPROM, and page 3.

    eeprom: a file of 128 bytes (64 little-endian words) that is the card's EEPROM: made if it is missing, kept in step
            with what the driver writes.  Its address then replaces `mac`.
    """

    OPTIONS: ClassVar[tuple[Option, ...]] = (
        Option("eeprom", "file", "128 bytes of EEPROM contents, made if missing and kept in step"),
    )
    BOARD: ClassVar[int]
    ADDRESS_AT: ClassVar[int]  #: byte of the EEPROM

    def __init__(self, *, eeprom: str | Path | None = None, **options: Any) -> None:
        self._eeprom_file = EepromFile(eeprom)
        super().__init__(**options)

    def setup(self) -> None:
        """Tells the datapath what the board looks like, and puts the EEPROM beside it."""
        lib.ne2000_set_board(self.handle, self.BOARD)
        self._cell = {r.name: self.compiled.cell("io", r.name) for r in IO}
        self.timed = self.profile != "instant"
        self.eeprom = MicrowireEeprom(
            64,
            self._eeprom_file.load(self.default_image()),
            write_time_ns=5_000_000 if self.timed else 0,
            now_ns=(lambda: self.clock.now) if self.timed else None,
            on_change=lambda first, count: self._eeprom_file.save(self.eeprom.words),
        )
        self._load_timer = self.timer("eeprom-load", self._loaded)

    def parts(self) -> Mapping[str, Any]:
        """The EEPROM."""
        return {"eeprom": self.eeprom}

    def after_reset(self, kind: Reset) -> None:
        """Power-on and RST# load the EEPROM; the reset port does not reach what Realtek added."""
        if kind is Reset.SOFT:
            return
        if kind is Reset.POWER:
            self.eeprom.power_on()
        self._load_timer.stop()
        self._load_eeprom()

    # --------------------------------------------------------------------------------------------- EEPROM

    def default_image(self) -> list[int]:
        """The 64 words of a good EEPROM of this card."""
        raise NotImplementedError

    def configure(self, image: bytes) -> None:
        """Takes the CONFIG registers from what the EEPROM holds."""
        raise NotImplementedError

    def _load_eeprom(self) -> None:
        """CONFIG registers, and the address in the ID PROM."""
        image = b"".join(int(word).to_bytes(2, "little") for word in self.eeprom.words)
        self.configure(image)
        self.mac = image[self.ADDRESS_AT : self.ADDRESS_AT + 6]
        lib.ne2000_set_prom(self.handle, id_prom(self.mac, b"\x57"))
        self._update_link()

    def _loaded(self) -> None:
        """An auto-load is over: the mode is normal again."""
        self._load_eeprom()
        self.cells[self._cell["CR9346"]] &= ~EEM

    # --------------------------------------------------------------------------------------------- page 3

    def read_io_CR9346(self, value: int, index: int) -> int:  # noqa: N802
        """9346CR: the EEPROM's data pin, where its pins are software's."""
        shows = value >> 6 != MODE_PROGRAM or self.eeprom.do
        return (value & ~EEDO) | (EEDO if shows else 0)

    def write_io_CR9346(self, value: int, old: int, index: int) -> None:  # noqa: N802
        """9346CR: auto-load, and the EEPROM's pins in programming mode."""
        mode = value >> 6
        if mode == MODE_PROGRAM:
            self.eeprom.set_pins(bool(value & EECS), bool(value & EESK), bool(value & EEDI))
        elif mode == MODE_LOAD and old >> 6 != MODE_LOAD:
            if self.timed:
                self._load_timer.start(LOAD_NS)
            else:
                self._loaded()

    # --------------------------------------------------------------------------------------------- link

    def link_changed(self, up: bool) -> None:
        """The cable was plugged in or pulled out, or the far side came or went."""
        self._update_link()

    def _update_link(self) -> None:
        """CONFIG0.BNC: without a link on twisted pair, detection settles on the thin cable."""
        medium = int(self.cells[self._cell["CONFIG2"]]) >> 6
        coax = medium == MEDIUM_10BASE2 or (medium == MEDIUM_AUTO and not self.wire_up)
        self.cells[self._cell["CONFIG0"]] = CONFIG0_BNC if coax else 0


class RTL8029AS(RealtekBoard):
    """Realtek RTL8029AS, PCI."""

    MODEL = "ne2k_pci"
    ALIASES = ("rtl8029", "rtl8029as")
    DESCRIPTION = "Realtek RTL8029AS, NE2000 for PCI"
    TABLES = (IO,)
    FUNCTION = FUNCTION
    BOARD = lib.NE2000_BOARD_RTL8029
    ADDRESS_AT = 2

    def default_image(self) -> list[int]:
        """Configuration, address, and the PCI identity at the end."""
        image = bytearray(128)
        image[2:8] = self.mac
        for at in (0x76, 0x7A, 0x7E):
            image[at : at + 2] = FUNCTION.device_id.to_bytes(2, "little")
        for at in (0x78, 0x7C):
            image[at : at + 2] = FUNCTION.vendor_id.to_bytes(2, "little")
        return words_of(bytes(image))

    def configure(self, image: bytes) -> None:
        """CONFIG2 and CONFIG3 are the first two bytes."""
        self.cells[self._cell["CONFIG2"]] = image[0] & 0xE3
        self.cells[self._cell["CONFIG3"]] = image[1] & 0x76

    def write_io_CONFIG2(self, value: int, old: int, index: int) -> None:  # noqa: N802
        """CONFIG2: the medium."""
        self._update_link()


class RTL8019AS(RealtekBoard, IsaBoard):
    """Realtek RTL8019AS, ISA, in jumperless mode and a 16-bit slot; there is no Plug and Play.

    iobase, irq_number: what a new EEPROM says; the card goes by CONFIG1, into which the EEPROM is loaded.
    """

    MODEL = "rtl8019as"
    ALIASES = ("rtl8019",)
    DESCRIPTION = "Realtek RTL8019AS, NE2000 for 16-bit ISA"
    TABLES = (RTL8019,)
    OPTIONS = (*IsaBoard.OPTIONS, *RealtekBoard.OPTIONS)
    IRQS = LINES
    BOARD = lib.NE2000_BOARD_RTL8019
    ADDRESS_AT = 4

    @property
    def iobase(self) -> int:
        """First of the 32 ports, as CONFIG1 has it."""
        port: int = PORTS[int(self.cells[self._cell["CONFIG1"]]) & 15]
        return port

    @property
    def irq_number(self) -> int:
        """The interrupt line that CONFIG1 selects."""
        line: int = LINES[int(self.cells[self._cell["CONFIG1"]]) >> 4 & 7]
        return line

    def default_image(self) -> list[int]:
        """CONFIG1 to CONFIG3, and the address; nothing for Plug and Play."""
        image = bytearray(128)
        iobase, irq_number = self.straps
        image[0] = 1 << 7 | LINES.index(irq_number) << 4 | PORTS.index(iobase)
        image[4:10] = self.mac
        return words_of(bytes(image))

    def configure(self, image: bytes) -> None:
        """CONFIG1 to CONFIG3 are the first three bytes."""
        self.cells[self._cell["CONFIG1"]] = image[0]
        self.cells[self._cell["CONFIG2"]] = image[1]
        self.cells[self._cell["CONFIG3"]] = image[2] & 0xF7

    def write_io_CONFIG2_8019(self, value: int, old: int, index: int) -> None:  # noqa: N802
        """CONFIG2: the medium."""
        self._update_link()

    def read_io_INTR(self, value: int, index: int) -> int:  # noqa: N802
        """INTR: the line that is selected, as this card drives it."""
        return int(self.interrupt) << (int(self.cells[self._cell["CONFIG1"]]) >> 4 & 7)
