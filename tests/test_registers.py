"""The register language: what it refuses, and what it says of a table that it takes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nicemu.codegen import cells, header
from nicemu.findings import Finding, Rule
from nicemu.registers import ACCESS, Field, Register, RegisterError, Reserved, Reset, State, Table, Window, flags

KEPT = frozenset({Reset.BUS, Reset.SOFT})


def table(*registers: Register, size: int = 0x100, **options: object) -> Table:
    return Table("mmio", size, registers, **options)  # type: ignore[arg-type]


# ------------------------------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ([Field("A", 0, 31)], "describes 31 bits; expected 32"),
        ([Field("A", 0, 33)], "describes 33 bits; expected 32"),
        ([Field("A", 0, 8), Field("B", 7, 25)], "bit 7 is described twice"),
        ([Field("A", 8, 8), Field("B", 0, 8)], "bits 0..7 before it are not described"),
        ([Field("A", 0, 8), Field("B", 9, 23)], "bits 8..8 before it are not described"),
        ([Field("A", -1, 33)], "bit -1 is described twice"),
        ([Field("A", 0, 0), Field("B", 0, 32)], "width is 0"),
        ([Field("A", 0, 32, "read-write")], "access word 'read-write'; expected one of rw, ro"),
        ([Field("A", 0, 2, reset=4), Reserved(2, 30)], "reset 0x4 does not fit into 2 bits"),
        ([Field("A", 0, 2, reset=-1), Reserved(2, 30)], "reset -0x1 does not fit into 2 bits"),
        ([Reserved(0, 32, reset=1 << 32)], "does not fit into 32 bits"),
        ([Field("A", 0, 1, values={2: "two"}), Reserved(1, 31)], "names values that do not fit into 1 bits"),
        ([Field("A", 0, 32, keeps=frozenset({Reset.POWER}))], "nothing survives power-on"),
        ([Field("A", 0, 16), Field("A", 16, 16)], "a field name occurs twice"),
        ([Field("66MHZ", 0, 32)], "expected a name that Python and C accept"),
    ],
)
def test_fields_that_contradict_themselves(fields: list[Field], complaint: str) -> None:
    with pytest.raises(RegisterError, match=rf"^R\b.*{complaint}"):
        Register("R", 0, fields=fields)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"size": 3}, "size is 3; expected 1, 2 or 4 bytes"),
        ({"size": 8}, "size is 8"),
        ({"count": 0}, "count is 0"),
        ({"count": 2, "stride": 2}, "stride 2 is less than its size 4"),
        ({"count": 2, "reset": [1]}, "1 reset values for 2 elements"),
        ({"count": 2, "reset": [1, 1 << 32]}, "a reset value does not fit into 32 bits"),
        ({"size": 1, "reset": 0x100}, "reset 0x100 does not fit into 8 bits"),
        ({"access": "x"}, "access word 'x'"),
        ({"direction": "x"}, "direction is 'x'"),
    ],
)
def test_registers_that_contradict_themselves(options: dict[str, object], complaint: str) -> None:
    with pytest.raises(RegisterError, match=rf"^R\b.*{complaint}"):
        Register("R", 0, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("registers", "complaint"),
    [
        ([Register("A", 0), Register("B", 3, size=1)], "B at 0x3 overlaps A"),
        ([Register("A", 0, count=4), Register("B", 12)], "B at 0xc overlaps A"),
        ([Register("A", 0, count=4, stride=8), Register("B", 8)], "B at 0x8 overlaps A"),
        ([Register("A", 0), Register("B", 8, aliases=[0])], "B at 0x0 overlaps A"),
        ([Register("A", 0), Register("B", 2, size=2, direction="w")], "B at 0x2 overlaps A"),
        ([Register("A", 0xFE)], "A at 0xfe lies outside the 0x100 bytes of table mmio"),
        ([Register("A", 0xF8, count=3)], "A at 0xf8 lies outside"),
        ([Register("A", -4)], "A at -0x4 lies outside"),
        ([Register("A", 0, aliases=[0x100])], "A at 0x100 lies outside"),
        ([Register("A", 0), Register("A", 4)], "A described twice"),
        ([Register("A", 0, cell="B")], "A: cell='B' is no register of table mmio"),
        ([Register("A", 0, clears="B")], "A: clears='B' is no register of table mmio"),
        ([Register("A", 0, window=Window("csr", "B"))], "A: .*'?B'? is no register of table mmio"),
        ([Register("A", 0, count=2), Register("B", 8, cell="A")], "B: A has another count or size"),
        ([Register("A", 0, size=2), Register("B", 8, cell="A")], "B: A has another count or size"),
        ([Register("A", 0, count=2), Register("B", 8, clears="A")], "B: A has another count or size"),
        ([Register("A", 0, cell="B"), Register("B", 4, cell="A")], "A: shares the cells of B, which has none"),
        ([Register("A", 0, pages=[1])], r"A: in pages \[1\]; table mmio has 1"),
    ],
)
def test_tables_that_contradict_themselves(registers: list[Register], complaint: str) -> None:
    with pytest.raises(RegisterError, match=complaint):
        table(*registers)


@pytest.mark.parametrize("widths", [(), (3,), (4, 16)])
def test_widths_that_no_bus_has(widths: tuple[int, ...]) -> None:
    with pytest.raises(RegisterError, match="widths are"):
        table(Register("A", 0), widths=widths)


# ------------------------------------------------------------------------------------------------- fields and masks


def test_masks_of_every_access_word() -> None:
    """One field for each word: it takes part in exactly the rules that the word means."""
    taking_part = {
        "read": {"rw", "ro", "w1c", "w1s", "rc", "rc_w1c", "rc_rw", "rsvd"},
        "write": {"rw", "wo", "rc_rw"},
        "w1c": {"w1c", "wo1c", "rc_w1c"},
        "w1s": {"w1s", "wo1s"},
        "rc": {"rc", "rc_w1c", "rc_rw"},
        "trigger": {"sc"},
    }
    words = [word for word in ACCESS if word != "pair"]  # a pair is two bits wide: see below
    fields = [Field(word.upper(), bit, 1, word) for bit, word in enumerate(words)]
    register = Register("R", 0, fields=[*fields, Reserved(len(words), 32 - len(words))])
    named = (1 << len(words)) - 1
    for rule, members in taking_part.items():
        assert register.mask(rule) & named == sum(1 << words.index(word) for word in members), rule
    assert all(access.meaning for access in ACCESS.values())


def test_reserved_bits_read_and_ignore_writes() -> None:
    register = Register("R", 0, size=1, fields=[Field("A", 0, 4), Reserved(4, 4, reset=5)])
    assert register.mask_of(State.RESERVED) == 0xF0
    assert register.mask("read") == 0xFF
    assert register.mask("write") == 0x0F
    assert register.reset_value() == 0x50


def test_a_register_without_fields_is_one_field() -> None:
    register = Register("R", 0, "what it is", size=2, access="ro", reset=0x8086, state=State.STORED, keeps=KEPT)
    assert register.fields == (Field("R", 0, 16, "ro", 0x8086, "what it is", State.STORED, KEPT),)
    assert register.decode(0x1234) == {"R": 0x1234}


def test_resets() -> None:
    register = Register(
        "R",
        0,
        fields=[
            Field("A", 0, 8, reset=0x12),
            Field("B", 8, 8, reset=None, keeps=KEPT),
            Field("C", 16, 8, reset=0x34, keeps=frozenset({Reset.SOFT})),
            Reserved(24, 8),
        ],
    )
    assert register.reset_value() == 0x00340012
    assert register.undefined == 0x0000FF00
    assert register.kept(Reset.POWER) == 0
    assert register.kept(Reset.BUS) == 0x0000FF00
    assert register.kept(Reset.SOFT) == 0x00FFFF00


def test_resets_of_single_elements() -> None:
    register = Register("PROM", 0, size=1, count=4, reset=[0x52, 0x54, 0x00, 0x57])
    assert [register.reset_value(i) for i in range(4)] == [0x52, 0x54, 0x00, 0x57]


def test_a_field_by_name() -> None:
    register = Register("R", 0, fields=[Reserved(0, 31), Field("EN", 31)])
    assert register.field("EN").mask == 0x80000000
    with pytest.raises(KeyError, match="R has no field 'EM'; it has EN"):
        register.field("EM")


RCTL = Register(
    "RCTL",
    0,
    fields=[
        Reserved(0),
        Field("EN", 1),
        Field("MO", 2, 2),
        Field("SIZE", 4, 2, values={0: "2048", 1: "1024"}),
        Reserved(6, 2, reset=1),
        Field("REST", 8, 24),
    ],
)


@given(st.integers(0, 0xFFFFFFFF))
def test_decoding_and_encoding_are_inverse(value: int) -> None:
    named = sum(f.mask for f in RCTL.fields if f.name)
    assert RCTL.encode(**RCTL.decode(value)) == value & named


def test_encoding_refuses_what_does_not_fit() -> None:
    assert RCTL.encode(EN=1, SIZE=1) == 0x12
    for value in (4, -1):
        with pytest.raises(ValueError, match=r"RCTL\.SIZE"):
            RCTL.encode(SIZE=value)
    with pytest.raises(KeyError, match="no field 'EM'"):
        RCTL.encode(EM=1)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0x00, ""),
        (0x02, "EN"),
        (0x12, "EN SIZE=1024"),
        (0x2C, "MO=0x3 SIZE=0x2"),
        (0x40, ""),  # reserved bits as they come out of reset
        (0x80, "reserved[7:6]=0x2"),
        (0x01, "reserved[0:0]"),
    ],
)
def test_a_value_in_words(value: int, words: str) -> None:
    assert RCTL.describe(value) == words


def test_flags() -> None:
    register = Register("ISR", 0, size=1, fields=[*flags(["PRX", "PTX", "", "RXE"], access="w1c"), Reserved(4, 4)])
    assert register.mask("w1c") == 0b1011
    assert register.mask_of(State.RESERVED) == 0b11110100


# ------------------------------------------------------------------------------------------------- places


def test_interleaved_arrays() -> None:
    both = table(Register("RAL", 0x40, count=4, stride=8), Register("RAH", 0x44, count=4, stride=8))
    places = sorted((offset, register.name) for register, offset in both.placements())
    assert places == [(0x40 + 4 * i, ("RAL", "RAH")[i % 2]) for i in range(8)]
    assert both["RAL"].element_name(3) == "RAL[3]"
    assert table(Register("A", 0))["A"].element_name(0) == "A"


def test_aliases_reach_every_element() -> None:
    aliased = table(Register("MTA", 0x40, count=2, aliases=[0x80]))
    assert [offset for _, offset in aliased.placements()] == [0x40, 0x44, 0x80, 0x84]


def test_pages_and_directions_separate_registers() -> None:
    ne2000 = table(
        Register("CR", 0, size=1, aliases=()),
        Register("CLDA0", 1, size=1, pages=[0], direction="r", access="ro"),
        Register("PSTART", 1, size=1, pages=[0], direction="w"),
        Register("PAR0", 1, size=1, pages=[1, 2]),
        pages=3,
    )

    def names(page: int, direction: str) -> list[str]:
        return [register.name for register, _ in ne2000.placements(page, direction)]

    assert names(0, "r") == ["CR", "CLDA0"]
    assert names(0, "w") == ["CR", "PSTART"]
    assert names(1, "r") == names(1, "w") == names(2, "w") == ["CR", "PAR0"]


def test_a_register_by_name() -> None:
    one = table(Register("A", 0))
    assert [r.name for r in one] == ["A"]
    with pytest.raises(KeyError, match="table mmio has no register 'B'"):
        one["B"]


def test_other_resets_for_another_identity() -> None:
    first = table(
        Register("ID", 0, reset=0x100E8086),
        Register("X", 4, fields=[Field("A", 0, 16, reset=None), Field("B", 16, 16, reset=1)]),
        Register("PROM", 8, size=1, count=2, reset=[1, 2]),
    )
    second = first.with_resets({"ID": 0x100F8086, "X": 0x00020003, "PROM": 7})
    assert second["ID"].reset_value() == 0x100F8086
    assert (second["X"].reset_value(), second["X"].undefined) == (0x00020003, 0)
    assert [second["PROM"].reset_value(i) for i in range(2)] == [7, 7]
    assert (first["ID"].reset_value(), first["X"].undefined) == (0x100E8086, 0xFFFF), "the first must stay as it was"
    with pytest.raises(RegisterError, match="has no register Y"):
        first.with_resets({"Y": 0})
    with pytest.raises(RegisterError, match="PROM: reset 0x100 does not fit into 8 bits"):
        first.with_resets({"PROM": 0x100})


# ------------------------------------------------------------------------------------------------- the C header


def test_cells_go_through_all_tables() -> None:
    tables = (
        table(Register("ICR", 0), Register("ICS", 4, cell="ICR"), Register("MTA", 8, count=4), Register("RDT", 0x20)),
        Table("io", 8, [Register("IOADDR", 0)]),
    )
    assert [(r.name, cell) for _, r, cell in cells(tables)] == [("ICR", 0), ("MTA", 1), ("RDT", 5), ("IOADDR", 6)]


def test_header() -> None:
    rules = [Rule("toy.tx.ring-unaligned", "error", "It is aligned", "1.2"), Rule("toy.rx.overrun", "note", "No", "3")]
    tables = [
        table(
            Register("CTRL", 0, fields=[Reserved(0), Field("EN", 1), Field("SPEED", 2, 2), Reserved(4, 28)]),
            Register("ICS", 4, fields=[Field("X", 0, 32)], cell="CTRL"),
            Register("RDT", 8, fields=[Field("RDT", 0, 16), Reserved(16, 16)]),
        )
    ]
    lines = header("toy", tables, rules).splitlines()
    assert [line for line in lines if "TOY_" in line and "NICEMU" not in line] == [
        "    TOY_CTRL = 0,",
        "    TOY_RDT = 1,",
        "    TOY_CELLS = 2,",
        "#define TOY_CTRL_EN 0x00000002u",
        "#define TOY_CTRL_SPEED 0x0000000cu",
        "#define TOY_CTRL_SPEED_SHIFT 2",
        "    TOY_FIND_TX_RING_UNALIGNED = 0,",
        "    TOY_FIND_RX_OVERRUN = 1,",
    ]


def test_header_refuses_names_that_meet() -> None:
    clash = table(
        Register("CTRL", 0, fields=[Field("EXT", 0, 32)]),
        Register("CTRL_EXT", 4),
    )
    with pytest.raises(RegisterError, match="TOY_CTRL_EXT would be defined twice"):
        header("toy", [clash], [])


def test_a_finding_in_words() -> None:
    rule = Rule("toy.tx.ring-unaligned", "error", "The ring begins at a multiple of 16", "toy 1.2", "TDBAL", "")
    assert str(Finding(17, rule, 0x1008, 0)) == (
        "error: toy.tx.ring-unaligned: The ring begins at a multiple of 16 (toy 1.2); TDBAL = 0x1008"
    )


# ------------------------------------------------------------------------------------------------- pairs, gates, parts


def test_a_pair_is_two_bits_of_one_switch() -> None:
    register = Register("R", 0, fields=[Field("A", 0, 2, "pair", 1), Reserved(2, 28), Field("B", 30, 2, "pair", 2)])
    assert register.pairs == 1 << 0 | 1 << 30
    with pytest.raises(RegisterError, match=r"R\.A: a pair has 2 bits, not 3"):
        Register("R", 0, fields=[Field("A", 0, 3, "pair"), Reserved(3, 29)])


def test_a_part_of_the_family_lacks_registers_but_keeps_the_cells() -> None:
    whole = table(Register("A", 0), Register("B", 4), Register("C", 8))
    part = whole.without("B")
    assert [r.name for r, _ in part.placements()] == ["A", "C"]
    assert [r.name for r in part] == ["A", "B", "C"]


def test_a_part_of_the_family_has_registers_of_its_own() -> None:
    """They may lie where another part has others, and share the others' cells."""
    whole = table(Register("A", 0), Register("B", 4), Register("B_2", 4, cell="B", present=False))
    part = whole.without("B").having("B_2")
    assert [r.name for r, _ in whole.placements()] == ["A", "B"]
    assert [r.name for r, _ in part.placements()] == ["A", "B_2"]
    with pytest.raises(RegisterError, match="B_2 at 0x4 overlaps B"):
        whole.having("B_2")
    with pytest.raises(KeyError, match="no register 'C'"):
        whole.having("C")
