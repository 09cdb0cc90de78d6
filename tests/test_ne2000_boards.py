"""What is around the DP8390: PROM, packet memory and ports of the NE1000 and NE2000, and what the RTL8029AS adds.

Sections are those of Realtek's RTL8029AS specification (LS009.0).
"""

from __future__ import annotations

from pathlib import Path

import pytest
from ne2000_rig import AB, DATA, LS, READ, RST, STA, STATION, STP, WRITE, Rig, frame

import nicemu
from nicemu.errors import ConfigurationError
from nicemu.registers import Reset

NORMAL, LOAD, PROGRAM, UNLOCKED = (mode << 6 for mode in range(4))
EEDO, EEDI, EESK, EECS = 1, 2, 4, 8
BNC = 1 << 2
FT_8 = 2 << 5

# ------------------------------------------------------------------ ID PROM and packet memory


@pytest.mark.parametrize("model", ["ne2k_pci", "ne2k_isa", "rtl8019as"])
def test_a_wide_board_has_each_byte_twice(model: str) -> None:
    rig = Rig(model).start()
    prom = rig.peek(0, 32)
    assert prom[::2] == prom[1::2]
    assert prom[:12:2] == STATION
    assert prom[28:] == b"WWWW", "W: a board of 16 bits"


def test_a_narrow_board_has_them_once() -> None:
    rig = Rig("ne1k_isa").start()
    prom = rig.peek(0, 16)
    assert prom[:6] == STATION
    assert prom[14:] == b"BB"


@pytest.mark.parametrize("model", ["ne2k_pci", "ne2k_isa", "ne1k_isa"])
def test_the_prom_cannot_be_written(model: str) -> None:
    rig = Rig(model).start()
    before = rig.peek(0, 32)
    rig.poke(0, bytes(32))
    assert rig.peek(0, 32) == before
    rig.arrive(frame(60))
    assert rig.read("CURR") == rig.first + 1, "the filter is that of PAR"


@pytest.mark.parametrize(
    ("model", "first", "last"),
    [("ne2k_pci", 0x4000, 0x7FFF), ("ne2k_isa", 0x4000, 0x7FFF), ("ne1k_isa", 0x2000, 0x3FFF)],
)
def test_where_packet_memory_is(model: str, first: int, last: int) -> None:
    """16 KiB or 8 KiB; higher address lines are not decoded."""
    rig = Rig(model).start()
    rig.write("PSTOP", 0xFF)
    for address in (first, last - 1):
        rig.poke(address, b"ab")
        assert rig.peek(address, 2) == b"ab"
    mirror = (last + 1) | first
    assert rig.peek(mirror, 2) == b"ab"


def test_a_narrow_board_has_no_words() -> None:
    rig = Rig("ne1k_isa").start(dcr=1 | LS | FT_8)
    rig.remote(WRITE, 0x2000, 4)
    for byte in b"abcd":
        rig.io.write(DATA, byte, 1)
    rig.remote(READ, 0x2000, 4)
    assert bytes(rig.io.read(DATA, 1) for _ in range(4)) == b"abcd"


@pytest.mark.parametrize("port", range(0x10, 0x20))
def test_ports_of_a_narrow_board(port: int) -> None:
    """One address line less is decoded: data and reset take turns every four ports."""
    rig = Rig("ne1k_isa").start()
    rig.poke(0x2000, b"x")
    rig.remote(READ, 0x2000, 1)
    if port & 4:
        rig.io.read(port, 1)
        assert rig.read("ISR") & RST
    else:
        assert rig.io.read(port, 1) == ord("x")


# ------------------------------------------------------------------ ISA


def test_strapping() -> None:
    nic = nicemu.create("ne2k_isa", iobase=0x280, irq_number=5)
    assert (nic.iobase, nic.irq_number) == (0x280, 5)  # type: ignore[attr-defined]
    assert nic.FUNCTION is None
    with pytest.raises(ConfigurationError, match="iobase=0x310; expected a multiple of 0x20"):
        nicemu.create("ne2k_isa", iobase=0x310)
    with pytest.raises(ConfigurationError, match="irq=6; expected one of 2, 3, 4"):
        nicemu.create("ne1k_isa", irq_number=6)


def test_a_plain_board_has_no_page_3() -> None:
    rig = Rig("ne2k_isa").start()
    assert (rig.read("ID8029_0"), rig.read("ID8029_1")) == (0xFF, 0xFF)
    assert rig.read("CR9346") == 0xFF


# ------------------------------------------------------------------ RTL8029AS (5.1.2.2)


def test_identity() -> None:
    rig = Rig()
    assert rig.nic.config.read(0, 4) == 0x802910EC
    assert rig.nic.config.read(8, 4) >> 8 == 0x020000
    assert rig.nic.config.read(0x3D, 1) == 1
    assert (rig.read("ID8029_0"), rig.read("ID8029_1")) == (0x50, 0x43)
    assert (rig.read("ASID0"), rig.read("ASID1")) == (0x29, 0x80)


def test_ports_answer_once_they_are_decoded() -> None:
    rig = Rig()
    rig.nic.config.write(4, 0, 2)
    assert rig.io.read(0, 1) == 0xFF
    rig.nic.config.write(0x10, 0xFFFFFFFF, 4)
    assert rig.nic.config.read(0x10, 4) == 0xFFFFFFE1, "32 ports"


# ------------------------------------------------------------------ the EEPROM of both


class Pins:
    """Software at the EEPROM's pins."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig

    def command(self, bits: int, length: int, reads: int = 0) -> int:
        value = 0
        self.rig.write("CR9346", PROGRAM | EECS)
        for bit in range(length - 1, -1, -1):
            data = EEDI if bits >> bit & 1 else 0
            self.rig.write("CR9346", PROGRAM | EECS | data)
            self.rig.write("CR9346", PROGRAM | EECS | data | EESK)
        for _ in range(reads):
            self.rig.write("CR9346", PROGRAM | EECS)
            self.rig.write("CR9346", PROGRAM | EECS | EESK)
            value = value << 1 | self.rig.read("CR9346") & EEDO
        self.rig.write("CR9346", PROGRAM)
        return value

    def read(self, word: int) -> int:
        return self.command(0b110 << 6 | word, 9, 16)

    def write(self, word: int, value: int) -> None:
        self.command(0b100 << 6 | 0b11 << 4, 9)
        self.command((0b101 << 6 | word) << 16 | value, 25)
        self.command(0b100 << 6, 9)


def test_the_eeprom_at_its_pins() -> None:
    pins = Pins(Rig())
    assert [pins.read(word) for word in (1, 2, 3)] == [0x5452, 0x1200, 0x5634]
    pins.write(0x20, 0xA55A)
    assert pins.read(0x20) == 0xA55A


def test_what_is_written_is_loaded_on_command() -> None:
    """Auto-load reads the EEPROM into PROM and CONFIG registers, and goes back to normal mode."""
    rig = Rig(profile="wire").start()
    pins = Pins(rig)
    pins.write(1, 0xBBAA)
    rig.clock.advance(10**7)
    assert rig.peek(0, 4) == b"\x52\x52\x54\x54"
    rig.write("CR9346", LOAD)
    assert rig.read("CR9346") & 0xC0 == LOAD
    rig.clock.advance(2_000_000)
    assert rig.read("CR9346") & 0xC0 == NORMAL
    assert rig.peek(0, 4) == b"\xaa\xaa\xbb\xbb"


def test_the_bus_reset_loads_and_the_reset_port_does_not() -> None:
    rig = Rig().start()
    Pins(rig).write(1, 0xBBAA)
    rig.io.read(0x1F, 1)
    rig.state = STP
    rig.command(STA)
    assert rig.peek(0, 2) == b"\x52\x52"
    rig.nic.reset(Reset.BUS)
    rig.nic.enable_decoding()
    rig.start()
    assert rig.peek(0, 2) == b"\xaa\xaa"


def test_configuration_is_locked() -> None:
    rig = Rig().start()
    rig.write("CONFIG3", 1 << 6)
    assert rig.read("CONFIG3") & 1 << 6 == 0
    rig.write("CR9346", UNLOCKED)
    rig.write("CONFIG3", 1 << 6)
    rig.write("CONFIG2", 1 << 6)
    rig.write("CR9346", NORMAL)
    assert rig.read("CONFIG3") & 1 << 6, "FUDUP"
    assert rig.read("CONFIG2") >> 6 == 1, "10BaseT"


def test_full_duplex_and_medium_from_the_eeprom() -> None:
    rig = Rig()
    Pins(rig).write(0, 1 << 14 | 1 << 6)
    rig.nic.reset(Reset.BUS)
    rig.nic.enable_decoding()
    assert rig.read("CONFIG3") & 1 << 6
    assert rig.read("CONFIG2") >> 6 == 1


@pytest.mark.parametrize(("medium", "collides"), [(1, False), (3, True)])
def test_in_full_duplex_nothing_collides(medium: int, collides: bool) -> None:
    """CONFIG3.FUDUP counts on twisted pair; a thin cable is shared."""
    rig = Rig().start()
    rig.write("CR9346", UNLOCKED)
    rig.write("CONFIG3", 1 << 6)
    rig.write("CONFIG2", medium << 6)
    rig.nic.disturb("excessive-collisions")
    rig.send(frame(60))
    assert rig.sent() == ([] if collides else [frame(60)])
    rig.nic.disturb("one-collision")
    rig.send(frame(60))
    assert rig.read("NCR") == collides


@pytest.mark.parametrize(("medium", "link", "bnc"), [(0, True, 0), (0, False, BNC), (1, False, 0), (3, True, BNC)])
def test_the_link_shows_as_the_medium(medium: int, link: bool, bnc: int) -> None:
    """CONFIG0.BNC: auto-detection takes the thin cable where twisted pair has no link."""
    rig = Rig().start()
    rig.write("CR9346", UNLOCKED)
    rig.write("CONFIG2", medium << 6)
    rig.nic.set_link(link)
    assert rig.read("CONFIG0") == bnc


def test_the_eeprom_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "eeprom"
    rig = Rig(eeprom=path)
    assert path.read_bytes()[2:8] == STATION
    Pins(rig).write(3, 0x7856)
    assert path.read_bytes()[6:8] == b"\x56\x78"
    rig.nic.close()
    rig = Rig(eeprom=path, mac="02:00:00:00:00:01").start(AB)
    assert rig.peek(0, 12)[::2] == bytes.fromhex("525400125678")
    path.write_bytes(bytes(100))
    with pytest.raises(ConfigurationError, match="100 bytes; expected 128"):
        Rig(eeprom=path)


# ------------------------------------------------------------------ RTL8019AS


def isa(**options: object) -> Rig:
    return Rig("rtl8019as", **options)


def test_identity_on_isa() -> None:
    rig = isa()
    assert (rig.read("ID8029_0"), rig.read("ID8019_1")) == (0x50, 0x70)
    assert rig.read("ASID0") == 0xFF, "of the RTL8029AS alone"
    assert rig.nic.FUNCTION is None


@pytest.mark.parametrize(("iobase", "irq", "config1"), [(0x300, 9, 0x80), (0x3E0, 15, 0xF7), (0x240, 5, 0xBA)])
def test_resources_are_in_the_eeprom(iobase: int, irq: int, config1: int) -> None:
    rig = isa(iobase=iobase, irq_number=irq)
    assert rig.read("CONFIG1") == config1
    rig.write("CR9346", UNLOCKED)
    rig.write("CONFIG1", 0)
    assert rig.read("CONFIG1") == config1


def test_resources_change_with_the_eeprom() -> None:
    """What is written there counts from the next load on."""
    rig = isa()
    Pins(rig).write(0, 0xC3)
    assert (rig.nic.iobase, rig.nic.irq_number) == (0x300, 9)  # type: ignore[attr-defined]
    rig.write("CR9346", LOAD)
    assert (rig.nic.iobase, rig.nic.irq_number) == (0x360, 10)  # type: ignore[attr-defined]
    other = isa(iobase=0x200)
    other.nic.load(rig.nic.save())
    assert (other.nic.iobase, other.nic.irq_number) == (0x360, 10)  # type: ignore[attr-defined]
    with pytest.raises(ConfigurationError, match="irq=7; expected one of 9, 3, 4"):
        isa(irq_number=7)


def test_the_interrupt_can_be_off() -> None:
    """CONFIG1.IRQEN; INTR shows the line."""
    rig = isa(irq_number=4).start(imr=0x7F)
    rig.send(frame(60))
    assert rig.lines[-1]
    assert rig.read("INTR") == 1 << 2
    rig.write("ISR", 0xFF)
    assert rig.read("INTR") == 0
    Pins(rig).write(0, 0x20)
    rig.write("CR9346", LOAD)
    rig.send(frame(60))
    assert not rig.lines[-1]


def test_configuration_is_locked_on_isa() -> None:
    rig = isa().start()
    rig.write("CONFIG3_8019", 1 << 6)
    assert rig.read("CONFIG3_8019") == 0
    rig.write("CR9346", UNLOCKED)
    rig.write("CONFIG3_8019", 0xFF)
    rig.write("CONFIG2_8019", 3 << 6 | 0x1F)
    assert rig.read("CONFIG3_8019") == 0x46
    assert rig.read("CONFIG2_8019") == 0xC0
    assert rig.read("CONFIG0") == BNC, "10Base2"


def test_the_address_comes_from_the_eeprom_on_isa() -> None:
    rig = isa(mac="52:54:00:00:00:07").start()
    assert Pins(rig).read(4) == 0x0700
    rig.command(STA)
    assert rig.peek(0, 12)[::2] == bytes.fromhex("525400000007")
