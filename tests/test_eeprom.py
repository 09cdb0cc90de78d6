"""The Microwire EEPROM at its pins, against the data sheets named in nicemu/eeprom.py."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nicemu.eeprom import EepromFile, MicrowireEeprom, with_checksum
from nicemu.errors import ConfigurationError, SnapshotError

READ, WRITE, ERASE, SPECIAL = 0b10, 0b01, 0b11, 0b00
EWDS, WRAL, ERAL, EWEN = 0b00, 0b01, 0b10, 0b11
MILLISECOND = 1_000_000

PARTS = [  # cells, bits in a cell, address bits: DS21712 tables 1-1 to 1-6
    pytest.param(64, 16, 6, id="93C46x16"),
    pytest.param(128, 8, 7, id="93C46x8"),
    pytest.param(128, 16, 8, id="93C56x16"),
    pytest.param(256, 8, 9, id="93C56x8"),
    pytest.param(256, 16, 8, id="93C66x16"),
    pytest.param(512, 8, 9, id="93C66x8"),
]


@dataclass
class Driver:
    """Bit-bangs an EEPROM the way network drivers do."""

    part: MicrowireEeprom
    address_bits: int = 6

    def select(self) -> None:
        self.part.set_pins(False, False, False)
        self.part.set_pins(True, False, False)

    def deselect(self) -> None:
        self.part.set_pins(False, False, False)

    def clock(self, di: int = 0) -> int:
        """One period of SK; returns DO after the rising edge."""
        self.part.set_pins(True, False, bool(di))
        self.part.set_pins(True, True, bool(di))
        level = self.part.do
        self.part.set_pins(True, False, bool(di))
        return int(level)

    def send(self, value: int, bits: int) -> None:
        for bit in reversed(range(bits)):
            self.clock(value >> bit & 1)

    def receive(self, bits: int) -> int:
        value = 0
        for _ in range(bits):
            value = value << 1 | self.clock()
        return value

    def instruction(self, opcode: int, address: int) -> None:
        self.select()
        self.send(1, 1)
        self.send(opcode, 2)
        self.send(address, self.address_bits)

    def special(self, which: int) -> None:
        self.instruction(SPECIAL, which << (self.address_bits - 2))

    def enable(self) -> None:
        self.special(EWEN)
        self.deselect()

    def read(self, address: int) -> int:
        self.instruction(READ, address)
        value = self.receive(self.part.cell_bits)
        self.deselect()
        return value

    def write(self, address: int, value: int) -> None:
        self.instruction(WRITE, address)
        self.send(value, self.part.cell_bits)
        self.deselect()


@dataclass
class Clock:
    now: int = 1_000

    def __call__(self) -> int:
        return self.now


def image(cells: int = 64, bits: int = 16) -> list[int]:
    return [(index * 0x9E37 + 0x1234) & ((1 << bits) - 1) for index in range(cells)]


@pytest.fixture
def driver() -> Driver:
    return Driver(MicrowireEeprom(64, image()))


@dataclass
class Timed:
    """A part whose programming takes 5 ms, its driver and its clock."""

    clock: Clock = field(default_factory=Clock)

    def __post_init__(self) -> None:
        self.part = MicrowireEeprom(64, image(), write_time_ns=5 * MILLISECOND, now_ns=self.clock)
        self.driver = Driver(self.part)


# Instructions


@pytest.mark.parametrize(("cells", "bits", "address_bits"), PARTS)
def test_read_of_every_cell(cells: int, bits: int, address_bits: int) -> None:
    data = image(cells, bits)
    driver = Driver(MicrowireEeprom(cells, data, cell_bits=bits), address_bits)
    assert [driver.read(address) for address in range(cells)] == data


@pytest.mark.parametrize(("cells", "bits", "address_bits"), PARTS)
def test_write_and_erase_of_a_cell(cells: int, bits: int, address_bits: int) -> None:
    data = image(cells, bits)
    driver = Driver(MicrowireEeprom(cells, data, cell_bits=bits), address_bits)
    driver.enable()
    driver.write(cells - 1, 0x5A)
    assert driver.read(cells - 1) == 0x5A
    assert list(driver.part.words[:-1]) == data[:-1]
    driver.instruction(ERASE, cells - 1)
    driver.deselect()
    assert driver.read(cells - 1) == (1 << bits) - 1  # erased bits are ones (DS20001749, 2.4)
    assert list(driver.part.words[:-1]) == data[:-1]


def test_top_address_bit_of_the_93c56_is_dont_care() -> None:
    driver = Driver(MicrowireEeprom(128, image(128)), 8)
    assert driver.read(0x80 | 5) == image(128)[5]  # X A6..A0 (DS21712, table 1-3)


def test_dummy_zero_precedes_read_data(driver: Driver) -> None:
    """DS20001749, 2.7: the dummy bit appears with the last address bit's edge; 25 clocks read a word (table 1-1)."""
    driver.part.write_word(3, 0xFFFF)
    driver.select()
    driver.send(0b110, 3)
    for _ in range(5):
        assert driver.clock(0) == 1  # high impedance, pulled up
    driver.part.set_pins(True, False, True)
    driver.part.set_pins(True, True, True)
    assert driver.part.do is False
    driver.part.set_pins(True, False, True)
    assert driver.part.do is False
    driver.part.write_word(1, 0x8000)
    assert [driver.clock() for _ in range(16)] == [1] + [0] * 15


def test_data_changes_on_rising_edges_only(driver: Driver) -> None:
    """DS20001749, 2.7."""
    driver.part.write_word(0, 0xA000)
    driver.instruction(READ, 0)
    for expected in (True, False, True, False):
        driver.part.set_pins(True, True, False)
        assert driver.part.do is expected
        driver.part.set_pins(True, True, True)  # DI is "don't care" now
        assert driver.part.do is expected
        driver.part.set_pins(True, False, False)
        assert driver.part.do is expected


def test_sequential_read_has_no_further_dummy_bit_and_wraps(driver: Driver) -> None:
    """DS20001749, 2.7: with CS high the memory cycles to the next register."""
    driver.instruction(READ, 62)
    assert [driver.receive(16) for _ in range(4)] == [image()[62], image()[63], image()[0], image()[1]]


def test_zeros_before_the_start_bit_are_ignored(driver: Driver) -> None:
    """DS20001749, 2.1: any number of clocks may come before the start condition."""
    driver.select()
    driver.send(0, 23)
    driver.send(0b110_000111, 9)
    assert driver.receive(16) == image()[7]


def test_start_bit_needs_a_clock_edge_with_cs_high(driver: Driver) -> None:
    part = driver.part
    part.set_pins(False, False, True)
    part.set_pins(False, True, True)  # SK is "don't care" while CS is low (DS21173, 2.2)
    part.set_pins(True, True, True)  # CS rises with SK already high: no edge
    part.set_pins(True, False, False)
    driver.send(0b110_000111, 9)
    assert driver.receive(16) == image()[7]


def test_sk_rising_together_with_cs_is_no_edge(driver: Driver) -> None:
    """The set-up time of CS before SK (tCSS) is not met."""
    driver.part.set_pins(False, False, True)
    driver.part.set_pins(True, True, True)
    driver.part.set_pins(True, False, False)
    driver.send(0b110_001001, 9)
    assert driver.receive(16) == image()[9]


def test_cs_low_aborts_an_instruction(driver: Driver) -> None:
    driver.select()
    driver.send(0b110_00, 5)
    driver.deselect()
    assert driver.read(5) == image()[5]
    driver.enable()
    driver.instruction(WRITE, 5)
    driver.send(0, 15)  # one data bit is missing
    driver.deselect()
    assert driver.part.words[5] == image()[5]


def test_do_is_pulled_up_while_deselected(driver: Driver) -> None:
    driver.part.write_word(0, 0)
    driver.instruction(READ, 0)
    driver.clock()
    assert driver.part.do is False
    driver.deselect()
    assert driver.part.do is True


@pytest.mark.parametrize("extra", [1, 16])
def test_clocks_beyond_the_instruction_abort_programming(driver: Driver, extra: int) -> None:
    """M93C46 (Doc ID 4997), section 9: the clock pulse counter."""
    driver.enable()
    driver.instruction(WRITE, 5)
    driver.send(0, 16 + extra)
    driver.deselect()
    driver.instruction(ERASE, 6)
    driver.send(0, extra)
    driver.deselect()
    assert list(driver.part.words) == image()


# Write enable


def test_programming_is_disabled_at_power_on(driver: Driver) -> None:
    """DS20001749, 2.6."""
    assert not driver.part.write_enabled
    driver.write(1, 0)
    driver.instruction(ERASE, 2)
    driver.deselect()
    driver.special(ERAL)
    driver.deselect()
    driver.special(WRAL)
    driver.send(0, 16)
    driver.deselect()
    assert list(driver.part.words) == image()


def test_ewen_lasts_until_ewds(driver: Driver) -> None:
    driver.enable()
    driver.write(1, 0x1111)
    driver.write(2, 0x2222)
    driver.special(EWDS)
    driver.deselect()
    driver.write(3, 0x3333)
    assert list(driver.part.words[1:4]) == [0x1111, 0x2222, image()[3]]


def test_power_off_disables_programming_and_keeps_contents(driver: Driver) -> None:
    driver.enable()
    driver.write(1, 0x1111)
    driver.part.power_on()
    driver.write(2, 0x2222)
    assert list(driver.part.words[1:3]) == [0x1111, image()[2]]


def test_eral_and_wral_reach_every_cell(driver: Driver) -> None:
    driver.enable()
    driver.special(ERAL)
    driver.deselect()
    assert set(driver.part.words) == {0xFFFF}
    driver.special(WRAL)
    driver.send(0x1234, 16)
    driver.deselect()
    assert set(driver.part.words) == {0x1234}


# Ready and busy


def test_busy_until_programming_is_over() -> None:
    """DS20001749, 2.8 and Doc ID 4997, section 6: DO low while busy when CS is high again, then high."""
    timed = Timed()
    driver, part = timed.driver, timed.part
    driver.enable()
    driver.write(4, 0xBEEF)
    assert part.busy
    assert part.do is True  # CS is low: high impedance
    part.set_pins(True, False, False)
    assert part.do is False
    timed.clock.now += 5 * MILLISECOND - 1
    assert part.do is False
    timed.clock.now += 1
    assert part.do is True
    assert not part.busy
    assert driver.read(4) == 0xBEEF


def test_instructions_are_ignored_while_busy() -> None:
    """Doc ID 4997, section 6."""
    timed = Timed()
    timed.driver.enable()
    timed.driver.write(4, 0xBEEF)
    timed.driver.write(5, 0xDEAD)
    timed.driver.special(EWDS)
    timed.clock.now += 5 * MILLISECOND
    assert timed.part.words[5] == image()[5]
    assert timed.part.write_enabled


def test_part_is_never_busy_without_a_programming_time(driver: Driver) -> None:
    driver.enable()
    driver.write(4, 0xBEEF)
    driver.part.set_pins(True, False, False)
    assert driver.part.do is True


# The controller's side and the host program


def test_controller_reads_and_writes_whole_words(driver: Driver) -> None:
    driver.part.write_word(7, 0xCAFE)
    assert driver.part.read_word(7) == driver.read(7) == 0xCAFE
    assert driver.part.read_word(64 + 7) == 0xCAFE
    with pytest.raises(ConfigurationError, match=r"expected 0\.\.0xffff"):
        driver.part.write_word(7, 0x10000)


def test_changes_are_reported() -> None:
    changes: list[tuple[int, int]] = []
    part = MicrowireEeprom(64, image(), on_change=lambda first, count: changes.append((first, count)))
    driver = Driver(part)
    driver.write(1, 0)  # not enabled
    driver.enable()
    driver.write(1, 0)
    part.write_word(2, 0)
    driver.special(ERAL)
    driver.deselect()
    assert changes == [(1, 1), (2, 1), (0, 64)]


def test_cells_beyond_the_data_are_erased() -> None:
    assert list(MicrowireEeprom(64, [1, 2]).words) == [1, 2] + [0xFFFF] * 62
    assert list(MicrowireEeprom(128, [1], cell_bits=8).words) == [1] + [0xFF] * 127


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"words": 65}, "64 of 16 bits"),
        ({"words": 64, "cell_bits": 8}, "64 of 16 bits"),
        ({"words": 64, "data": [0] * 65}, "65 values"),
        ({"words": 64, "data": [0x10000]}, "cell 0 is 65536"),
        ({"words": 64, "data": ["a"]}, "cell 0 is 'a'"),
        ({"words": 64, "write_time_ns": -1}, "0 or more"),
        ({"words": 64, "write_time_ns": 1}, "now_ns"),
    ],
)
def test_impossible_parts_are_refused(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        MicrowireEeprom(**arguments)  # type: ignore[arg-type]


def test_checksum_covers_the_words_up_to_its_own() -> None:
    """8254x SDM 5.6.35: words 00h to 3Fh add up to BABAh."""
    words = with_checksum(image(256), 0x3F)
    assert sum(words[:0x40]) & 0xFFFF == 0xBABA
    assert words[:0x3F] == image(256)[:0x3F]
    assert words[0x40:] == image(256)[0x40:]
    assert sum(with_checksum(image(), 63, total=0)) & 0xFFFF == 0
    with pytest.raises(ConfigurationError, match=r"expected 0\.\.63"):
        with_checksum(image(), 64)


# Snapshot


@given(clocks=st.integers(0, 60), time=st.integers(0, 6 * MILLISECOND))
def test_state_carries_an_instruction_over(clocks: int, time: int) -> None:
    """A part restored in the middle of EWEN, WRITE, READ goes on like the one that it was saved from."""
    frames = [(0b100_11_0000, 9), (0b101_000101 << 16 | 0xBEEF, 25), (0b110_000101 << 16, 25)]
    timed, copy = Timed(), Timed()
    pins = [(False, False, False)]
    for value, bits in frames:
        for bit in reversed(range(bits)):
            di = bool(value >> bit & 1)
            pins += [(True, False, di), (True, True, di)]
        pins += [(True, False, False), (False, False, False)]
    for step in pins[: 2 * clocks]:
        timed.part.set_pins(*step)
    timed.clock.now += time
    saved = json.loads(json.dumps(timed.part.state()))
    copy.clock.now = 77
    copy.part.load_state(saved)
    assert copy.part.state() == saved
    for step in pins[2 * clocks :]:
        for each in (timed, copy):
            each.part.set_pins(*step)
            each.clock.now += MILLISECOND
        assert timed.part.do == copy.part.do
    assert timed.part.state() == copy.part.state()


def test_loading_does_not_report_a_change() -> None:
    changes: list[tuple[int, int]] = []
    part = MicrowireEeprom(64, on_change=lambda first, count: changes.append((first, count)))
    part.load_state(MicrowireEeprom(64, image()).state())
    assert list(part.words) == image()
    assert changes == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"phase": "reading"}, "stage"),
        ({"phase": "data out"}, "stage"),
        ({"phase": "complete", "opcode": "READ"}, "stage"),
        ({"phase": "instruction", "left": 0}, r"left is 0; expected 1\.\.8"),
        ({"phase": "instruction", "left": 9}, r"expected 1\.\.8"),
        ({"phase": "instruction", "left": 8, "shift": 1}, "more bits"),
        ({"phase": "data in", "opcode": "WRITE", "left": 16, "shift": 1}, "more bits"),
        ({"phase": ["start"]}, "stage"),
        ({"address": 64}, r"expected 0\.\.63"),
        ({"shift": -1}, "shift"),
        ({"shift": 1 << 16}, "shift"),
        ({"left": True}, "left"),
        ({"do": False}, "do is false"),
        ({"cs": 1}, "cs is 1"),
        ({"words": [0] * 63}, "64 numbers"),
        ({"words": [0] * 63 + [-1]}, "cell 63"),
        ({"words": [0] * 63 + [None]}, "cell 63"),
        ({"words": "x" * 64}, "64 numbers"),
        ({"busy_ns": -1}, "busy_ns"),
        ({"busy_ns": "soon"}, "busy_ns"),
        ({"extra": 0}, "entries"),
    ],
)
def test_bad_state_is_refused_whole(change: dict[str, object], message: str) -> None:
    part = MicrowireEeprom(64, image())
    before = part.state()
    with pytest.raises(SnapshotError, match=message):
        part.load_state({**MicrowireEeprom(64).state(), **change})
    assert part.state() == before


def test_state_must_be_complete() -> None:
    part = MicrowireEeprom(64)
    state = part.state()
    del state["shift"]
    with pytest.raises(SnapshotError, match="entries"):
        part.load_state(state)
    with pytest.raises(SnapshotError, match="entries"):
        part.load_state([])  # type: ignore[arg-type]


# Any guest


@settings(max_examples=200)
@given(
    cells=st.sampled_from([(64, 16), (128, 8), (256, 16), (512, 8)]),
    pins=st.lists(st.tuples(st.booleans(), st.booleans(), st.booleans()), max_size=400),
)
def test_random_edges_are_harmless(cells: tuple[int, int], pins: list[tuple[bool, bool, bool]]) -> None:
    """Whatever the pins do: no exception, nothing grows, every state can be saved and restored."""
    clock = Clock()
    options = {"cell_bits": cells[1], "write_time_ns": 50, "now_ns": clock}
    part = MicrowireEeprom(cells[0], **options)  # type: ignore[arg-type]
    other = MicrowireEeprom(cells[0], **options)  # type: ignore[arg-type]
    for step in pins:
        part.set_pins(*step)
        clock.now += 1
        assert part.do in (True, False)
        assert len(part.words) == cells[0]
        other.load_state(part.state())
        assert other.state() == part.state()
    assert max(part.words) <= part.erased


@settings(max_examples=50)
@given(
    data=st.lists(st.integers(0, 0xFFFF), min_size=64, max_size=64),
    writes=st.lists(st.tuples(st.integers(0, 63), st.integers(0, 0xFFFF)), max_size=8),
)
def test_what_is_written_is_read(data: list[int], writes: list[tuple[int, int]]) -> None:
    driver = Driver(MicrowireEeprom(64, data))
    driver.enable()
    for address, value in writes:
        driver.write(address, value)
        data[address] = value
    driver.instruction(READ, 0)
    assert [driver.receive(16) for _ in range(64)] == data


def test_a_file_keeps_the_contents(tmp_path: Path) -> None:
    path = tmp_path / "eeprom"
    assert EepromFile(path).load([0x1234, 0x5678]) == [0x1234, 0x5678], "made where there was none"
    assert path.read_bytes() == bytes.fromhex("34127856")
    EepromFile(path).save([1, 2])
    assert EepromFile(path).load([0x1234, 0x5678]) == [1, 2]
    with pytest.raises(ConfigurationError, match=r"eeprom=.*: 4 bytes; expected 6 \(3 words\)"):
        EepromFile(path).load([0, 0, 0])
    without = EepromFile(None)
    without.save([1])
    assert without.load([7]) == [7]
