"""The expansion ROM BAR (PCI Local Bus 3.0, 6.2.5.2)."""

from __future__ import annotations

from pathlib import Path

import pytest

import nicemu
from nicemu.errors import ConfigurationError

ROM_BASE, COMMAND = 0x30, 0x04
CONTENTS = b"\x55\xaa" + bytes(range(256)) * 20


@pytest.fixture
def rom(tmp_path: Path) -> Path:
    file = tmp_path / "card.rom"
    file.write_bytes(CONTENTS)
    return file


def test_no_rom_no_bar() -> None:
    nic = nicemu.create("e1000")
    nic.config.write(ROM_BASE, 0xFFFFFFFF)
    assert nic.config.read(ROM_BASE) == 0
    assert nic.rom is None


def test_the_bar_tells_the_size(rom: Path) -> None:
    nic = nicemu.create("e1000", romfile=rom)
    nic.config.write(ROM_BASE, 0xFFFFF800)
    assert nic.config.read(ROM_BASE) == 0xFFFFE000  # 8 KiB hold 5122 bytes
    assert nic.rom is not None
    assert nic.rom.size == 8192


def test_it_answers_when_both_enables_are_on(rom: Path) -> None:
    nic = nicemu.create("e1000", romfile=rom)
    assert nic.rom is not None
    for command, enable, answers in ((0, 0, False), (2, 0, False), (0, 1, False), (2, 1, True)):
        nic.config.write(COMMAND, command, 2)
        nic.config.write(ROM_BASE, enable)
        assert (nic.rom.read(0, 2) == 0xAA55) is answers, (command, enable)


def test_contents_and_filling(rom: Path) -> None:
    nic = nicemu.create("e1000", romfile=rom)
    assert nic.rom is not None
    nic.config.write(ROM_BASE, 1)
    read = b"".join(nic.rom.read(at, 4).to_bytes(4, "little") for at in range(0, nic.rom.size, 4))
    assert read == CONTENTS.ljust(8192, b"\xff")
    nic.rom.write(0, 0)
    assert nic.rom.read(0, 2) == 0xAA55


def test_cards_with_and_without_stand_side_by_side(rom: Path) -> None:
    cards = [nicemu.create("e1000", romfile=rom), nicemu.create("e1000")]
    saved = [nic.save() for nic in cards]
    for nic, state in zip(cards, saved, strict=True):
        nic.load(state)
        assert nic.save().count(b"ROM_BASE") == 1


@pytest.mark.parametrize("contents", [b"", b"no ROM", b"\xaa\x55" + bytes(510)])
def test_what_is_no_rom_is_refused(tmp_path: Path, contents: bytes) -> None:
    file = tmp_path / "x.rom"
    file.write_bytes(contents)
    with pytest.raises(ConfigurationError, match="expected a PCI expansion ROM"):
        nicemu.create("e1000", romfile=file)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"nothing\.rom: No such file"):
        nicemu.create("e1000", romfile=tmp_path / "nothing.rom")


def test_an_isa_card_has_none(rom: Path) -> None:
    with pytest.raises(ConfigurationError, match="an ISA card has no expansion ROM"):
        nicemu.create("ne2k_isa", romfile=rom)
