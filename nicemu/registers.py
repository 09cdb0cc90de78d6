"""Register tables: the data sheet as data.

A card declares every register and every bit once, in a `Table`.  The engine's rows, the names that C code uses, the
decoded trace, `nicemu info regs`, the documentation and the access tests are all made from it.

A table describes one *address space*: a memory or I/O BAR, PCI configuration space, an indexed window (PCnet's CSRs),
a PHY's management registers.  This module only describes; it knows nothing of the engine and imports nothing of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import cached_property
from types import MappingProxyType
from typing import Literal

__all__ = [
    "ACCESS",
    "Access",
    "Field",
    "Gate",
    "Register",
    "RegisterError",
    "Reserved",
    "Reset",
    "State",
    "Table",
    "Window",
]


class RegisterError(ValueError):
    """A register table contradicts itself; the message names the register and what was expected."""


class Reset(Enum):
    """The three resets, by name."""

    POWER = 0  #: power-on, LAN_PWR_GOOD: everything
    BUS = 1  #: RST# or a function level reset
    SOFT = 2  #: the card's own reset bits


class State(Enum):
    """How far a field is modelled."""

    MODELLED = "modelled"  #: has its effect
    STORED = "stored"  #: keeps its value; the effect lies outside what a model can show (LED drive, cable length)
    RESERVED = "reserved"  #: reserved by the data sheet
    UNDOCUMENTED = "undocumented"  #: drivers use it, the data sheet does not tell
    UNMODELLED = "unmodelled"  #: documented, effect missing: every use is counted


@dataclass(frozen=True)
class Access:
    """What an access word means, as which of a field's bits take part in each rule."""

    read: bool = True  #: a read shows the stored value (else 0)
    write: bool = False  #: a write stores the value
    w1c: bool = False  #: writing 1 clears
    w1s: bool = False  #: writing 1 sets
    rc: bool = False  #: reading clears
    trigger: bool = False  #: writing 1 starts an action; the bit itself is never stored
    pair: bool = False  #: two bits of one switch: writing 1 to one sets it and clears the other
    meaning: str = ""


ACCESS: Mapping[str, Access] = MappingProxyType(
    {
        "rw": Access(write=True, meaning="read and write"),
        "ro": Access(meaning="read only; the card sets it"),
        "wo": Access(read=False, write=True, meaning="write only; reads as 0"),
        "w1c": Access(w1c=True, meaning="read; writing 1 clears"),
        "w1s": Access(w1s=True, meaning="read; writing 1 sets"),
        "wo1c": Access(read=False, w1c=True, meaning="writing 1 clears; reads as 0"),
        "wo1s": Access(read=False, w1s=True, meaning="writing 1 sets; reads as 0"),
        "rc": Access(rc=True, meaning="read only; reading clears"),
        "rc_w1c": Access(rc=True, w1c=True, meaning="reading clears; writing 1 clears"),
        "rc_rw": Access(rc=True, write=True, meaning="read and write; reading clears"),
        "sc": Access(read=False, trigger=True, meaning="writing 1 starts an action; reads as 0 (self-clearing)"),
        "pair": Access(pair=True, meaning="two bits of one switch; writing 1 to one sets it and clears the other"),
        "rsvd": Access(meaning="reserved; reads as its reset value, writes are ignored"),
    }
)


@dataclass(frozen=True)
class Field:
    """Some bits of a register.

    name:    the data sheet's name.
    bit:     number of the lowest bit.
    width:   number of bits.
    access:  a word of `ACCESS`.
    reset:   value after power-on; None where the data sheet leaves it undefined (filled from a seed at power-on).
    keeps:   the resets that leave the field alone (never POWER).
    """

    name: str
    bit: int
    width: int = 1
    access: str = "rw"
    reset: int | None = 0
    doc: str = ""
    state: State = State.MODELLED
    keeps: frozenset[Reset] = frozenset()
    values: Mapping[int, str] = field(default_factory=dict, hash=False)

    def check(self, register: str) -> None:
        """Raises RegisterError if the field contradicts itself."""
        where = f"{register}.{self.name or 'reserved'}"
        if self.name and not self.name.isidentifier():
            raise RegisterError(f"{where}: expected a name that Python and C accept")
        if self.access not in ACCESS:
            raise RegisterError(f"{where}: access word {self.access!r}; expected one of {', '.join(ACCESS)}")
        if self.width < 1:
            raise RegisterError(f"{where}: width is {self.width}; expected at least 1 bit")
        if self.reset is not None and self.reset >> self.width:
            raise RegisterError(f"{where}: reset {self.reset:#x} does not fit into {self.width} bits")
        if any(value >> self.width for value in self.values):
            raise RegisterError(f"{where}: names values that do not fit into {self.width} bits")
        if Reset.POWER in self.keeps:
            raise RegisterError(f"{where}: nothing survives power-on")

    @property
    def mask(self) -> int:
        """The field's bits, in place."""
        return ((1 << self.width) - 1) << self.bit


def Reserved(bit: int, width: int = 1, *, reset: int = 0) -> Field:  # noqa: N802 (reads as a kind of field)
    """Bits that the data sheet reserves: they read as `reset` and ignore writes."""
    return Field("", bit, width, "rsvd", reset, "Reserved", State.RESERVED)


@dataclass(frozen=True)
class Gate:
    """A condition for writes: `register` (of the same table, or `table.REGISTER`), masked, has `value`."""

    register: str
    mask: int
    value: int


@dataclass(frozen=True)
class Window:
    """Accesses go on to another space, with their byte enables.

    An access to byte b of element i reaches offset base + scale * (value of `index`) + i * stride + b of `space`.
    The target's own space need not be enabled in COMMAND.

    space: name of the table.
    index: register that selects, of the same table or `table.REGISTER`; empty for a fixed window.
    """

    space: str
    index: str = ""
    scale: int = 1
    base: int = 0


@dataclass(frozen=True)
class Register:
    """One register, or an array of equal ones.

    name:     the data sheet's name; elements of an array are `NAME[i]`.
    offset:   byte offset in its space (for a PHY or CSR table: the register number).
    doc:      one line of meaning.
    section:  where the data sheet says so.
    fields:   every bit, lowest first, gaps written as `Reserved`.  Empty: one field over the whole register that has
              `access`, `reset` and the register's name.
    size:     bytes: 1, 2 or 4.
    count, stride: an array of `count` elements `stride` bytes apart.
    reset:    the value after power-on, where no `fields` tell it; or one value for each element of an array.
    aliases:  further offsets that reach the same register (for an array: offsets of its first element).
    cell:     name of the register whose storage this one shares (set/clear pairs such as IMS and IMC).
    clears:   name of the register that a read of this one clears too (64-bit counters).
    window:   accesses go on to another space (IODATA, RDP).
    bank:     name of a register of the table that holds the index: the elements of the array take turns at one offset.
    gates:    writes count only while one of these holds (at most two); others are dropped and reported.
    present:  False: this part lacks it; the cells stay, so that all parts of a family share a header.
    pages:    the register pages in which it is visible (NE2000); empty for all.
    direction: "r" or "w" where reads and writes of an offset reach different registers; "rw" otherwise.
    interrupt: an access may change the interrupt line.
    """

    name: str
    offset: int
    doc: str = ""
    section: str = ""
    fields: Sequence[Field] = ()
    size: int = 4
    count: int = 1
    stride: int = 0
    access: str = "rw"
    reset: int | Sequence[int] | None = 0
    state: State = State.MODELLED
    keeps: frozenset[Reset] = frozenset()
    aliases: Sequence[int] = ()
    cell: str = ""
    clears: str = ""
    window: Window | None = None
    bank: str = ""
    gates: Sequence[Gate] = ()
    present: bool = True
    pages: Sequence[int] = ()
    direction: Literal["r", "w", "rw"] = "rw"
    interrupt: bool = False

    def __post_init__(self) -> None:
        if self.size not in (1, 2, 4):
            raise RegisterError(f"{self.name}: size is {self.size}; expected 1, 2 or 4 bytes")
        if self.count < 1:
            raise RegisterError(f"{self.name}: count is {self.count}; expected at least 1")
        if not self.stride:
            object.__setattr__(self, "stride", self.size)
        if self.stride < self.size:
            raise RegisterError(f"{self.name}: stride {self.stride} is less than its size {self.size}")
        if self.direction not in ("r", "w", "rw"):
            raise RegisterError(f"{self.name}: direction is {self.direction!r}; expected 'r', 'w' or 'rw'")
        if not isinstance(self.reset, (int, type(None))):
            self._check_resets(self.reset)
        if not self.fields:
            reset = self.reset if isinstance(self.reset, (int, type(None))) else 0
            whole = Field(self.name, 0, 8 * self.size, self.access, reset, self.doc, self.state, self.keeps)
            object.__setattr__(self, "fields", (whole,))
        self._check_fields()

    def _check_resets(self, values: Sequence[int]) -> None:
        if len(values) != self.count:
            raise RegisterError(f"{self.name}: {len(values)} reset values for {self.count} elements")
        if any(value >> 8 * self.size for value in values):
            raise RegisterError(f"{self.name}: a reset value does not fit into {8 * self.size} bits")

    def _check_fields(self) -> None:
        expected = 0
        for f in self.fields:
            f.check(self.name)
            where = f"{self.name}.{f.name or 'reserved'}"
            if f.bit < expected:
                raise RegisterError(f"{where}: bit {f.bit} is described twice (fields go from the lowest bit up)")
            if f.bit > expected:
                raise RegisterError(f"{where}: bits {expected}..{f.bit - 1} before it are not described")
            if ACCESS[f.access].pair and f.width != 2:
                raise RegisterError(f"{where}: a pair has 2 bits, not {f.width}")
            expected = f.bit + f.width
        if expected != 8 * self.size:
            raise RegisterError(f"{self.name}: describes {expected} bits; expected {8 * self.size}")
        names = [f.name for f in self.fields if f.name]
        if len(names) != len(set(names)):
            raise RegisterError(f"{self.name}: a field name occurs twice in {', '.join(names)}")

    def visible(self, page: int, direction: str) -> bool:
        """Whether an access in `page` going in `direction` ("r" or "w") reaches this register."""
        return self.present and (not self.pages or page in self.pages) and direction in self.direction

    def mask(self, rule: str) -> int:
        """Bits whose access word takes part in `rule` (an attribute name of `Access`)."""
        return sum(f.mask for f in self.fields if getattr(ACCESS[f.access], rule))

    def mask_of(self, state: State) -> int:
        """Bits that are modelled as `state` says."""
        return sum(f.mask for f in self.fields if f.state is state)

    def kept(self, reset: Reset) -> int:
        """Bits that `reset` leaves alone."""
        return sum(f.mask for f in self.fields if reset in f.keeps)

    @property
    def pairs(self) -> int:
        """The lower bits of all pairs."""
        return sum(1 << f.bit for f in self.fields if ACCESS[f.access].pair)

    @property
    def places(self) -> int:
        """How many elements stand side by side; a bank has one place."""
        return 1 if self.bank else self.count

    @property
    def undefined(self) -> int:
        """Bits that the data sheet leaves undefined at power-on."""
        return sum(f.mask for f in self.fields if f.reset is None)

    def reset_value(self, index: int = 0) -> int:
        """Value after power-on of element `index` (undefined bits as 0)."""
        if isinstance(self.reset, Sequence):
            return self.reset[index]
        return sum((f.reset or 0) << f.bit for f in self.fields)

    def field(self, name: str) -> Field:
        """The field called `name`; KeyError with the known names if there is none."""
        for f in self.fields:
            if f.name == name:
                return f
        raise KeyError(f"{self.name} has no field {name!r}; it has {', '.join(f.name for f in self.fields if f.name)}")

    def decode(self, value: int) -> dict[str, int]:
        """The value of each named field in `value`."""
        return {f.name: (value & f.mask) >> f.bit for f in self.fields if f.name}

    def encode(self, **values: int) -> int:
        """The register's value with these fields set and the others 0; ValueError for a value that does not fit.

        `RCTL.encode(EN=1, BAM=1, BSIZE=2)`; KeyError with the known names for an unknown field.
        """
        word = 0
        for name, value in values.items():
            f = self.field(name)
            if value < 0 or value >> f.width:
                raise ValueError(f"{self.name}.{name} = {value:#x}; it has {f.width} bits")
            word |= value << f.bit
        return word

    def describe(self, value: int) -> str:
        """`value` in words: the names of set flags, `NAME=value` of wider fields that are not 0."""
        words = []
        for f in self.fields:
            part = (value & f.mask) >> f.bit
            if not part or (not f.name and f.state is State.RESERVED and part == f.reset):
                continue
            name = f.name or f"reserved[{f.bit + f.width - 1}:{f.bit}]"
            words.append(name if f.width == 1 else f"{name}={f.values.get(part, f'{part:#x}')}")
        return " ".join(words)

    def element_name(self, index: int) -> str:
        """`NAME`, or `NAME[index]` for an array."""
        return self.name if self.count == 1 else f"{self.name}[{index}]"


@dataclass(frozen=True)
class Table:
    """All registers of one address space, checked when built.

    name:     what the space is called (`mmio`, `io`, `config`, `csr`).
    size:     bytes that the registers may take; a BAR may be larger, and reads `unmapped` behind them.
    registers: the registers; they may not overlap within a page and direction.
    widths:   access sizes, in bytes, that the data sheet allows; others are counted.
    whole:    a partial write of a register is ignored and a partial read has the side effects of a full one
              (8254x SDM 13.2); otherwise only the bytes that were accessed are affected.
    unmapped: the byte that an access to no register reads.
    pages:    number of register pages.
    """

    name: str
    size: int
    registers: Sequence[Register]
    widths: Sequence[int] = (1, 2, 4)
    whole: bool = False
    unmapped: int = 0x00
    pages: int = 1
    doc: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "registers", tuple(self.registers))
        if not self.widths or any(width not in (1, 2, 4, 8) for width in self.widths):
            raise RegisterError(f"table {self.name}: widths are {list(self.widths)}; expected some of 1, 2, 4 and 8")
        names = self.by_name
        if len(names) != len(self.registers):
            twice = [r.name for i, r in enumerate(self.registers) if r.name in {q.name for q in self.registers[:i]}]
            raise RegisterError(f"table {self.name}: {', '.join(twice)} described twice")
        for register in self.registers:
            self._check_references(register)
        self._check_overlaps()

    def _check_references(self, register: Register) -> None:
        """What a register says of others of the table."""
        named = [("cell", register.cell), ("clears", register.clears), ("bank", register.bank)]
        named += [("window", register.window.index)] if register.window else []
        named += [("gate", gate.register) for gate in register.gates]
        for attribute, other in named:
            if other and "." not in other and other not in self.by_name:
                raise RegisterError(f"{register.name}: {attribute}={other!r} is no register of table {self.name}")
        for other in filter(None, (register.cell, register.clears)):
            if (self.by_name[other].count, self.by_name[other].size) != (register.count, register.size):
                raise RegisterError(f"{register.name}: {other} has another count or size")
        if register.cell and self.by_name[register.cell].cell:
            raise RegisterError(f"{register.name}: shares the cells of {register.cell}, which has none of its own")
        if any(not 0 <= page < self.pages for page in register.pages):
            raise RegisterError(f"{register.name}: in pages {list(register.pages)}; table {self.name} has {self.pages}")

    def _check_overlaps(self) -> None:
        for direction in "rw":
            for page in range(self.pages):
                end, last = 0, ""
                for begin, length, register in sorted(self._extents(page, direction), key=lambda e: e[0]):
                    if begin < 0 or begin + length > self.size:
                        raise RegisterError(
                            f"{register.name} at {begin:#x} lies outside the {self.size:#x} bytes of table {self.name}"
                        )
                    if begin < end:
                        raise RegisterError(f"{register.name} at {begin:#x} overlaps {last}")
                    end, last = begin + length, register.name

    def _extents(self, page: int, direction: str) -> Iterator[tuple[int, int, Register]]:
        """(first byte, bytes, register) of everything visible; a dense array is one extent."""
        for register in self.registers:
            if not register.visible(page, direction):
                continue
            for base in (register.offset, *register.aliases):
                if register.stride == register.size:
                    yield base, register.places * register.size, register
                else:
                    for index in range(register.places):
                        yield base + index * register.stride, register.size, register

    def placements(self, page: int = 0, direction: str = "r") -> Iterator[tuple[Register, int]]:
        """Every (register, byte offset of one element) that is visible in `page` for `direction`, aliases included."""
        for register in self.registers:
            if not register.visible(page, direction):
                continue
            for base in (register.offset, *register.aliases):
                for index in range(register.places):
                    yield register, base + index * register.stride

    @cached_property
    def by_name(self) -> dict[str, Register]:
        """Registers by name."""
        return {r.name: r for r in self.registers}

    def __getitem__(self, name: str) -> Register:
        try:
            return self.by_name[name]
        except KeyError:
            raise KeyError(f"table {self.name} has no register {name!r}") from None

    def __iter__(self) -> Iterator[Register]:
        return iter(self.registers)

    def without(self, *names: str) -> Table:
        """A copy for a part that lacks the named registers; their cells stay."""
        for name in names:
            self[name]
        return replace(self, registers=[replace(r, present=r.present and r.name not in names) for r in self.registers])

    def having(self, *names: str) -> Table:
        """A copy for a part that has the named registers, which the others lack (`present=False`)."""
        for name in names:
            self[name]
        return replace(self, registers=[replace(r, present=r.present or r.name in names) for r in self.registers])

    def with_resets(self, values: Mapping[str, int]) -> Table:
        """A copy whose named registers come up with other values (an identity of the same family).

        Each value replaces the whole reset value of the register (of every element of an array); bits of undefined
        fields become defined.
        """
        changed = []
        for register in self.registers:
            if register.name in values:
                value = values[register.name]
                if value < 0 or value >> 8 * register.size:
                    raise RegisterError(f"{register.name}: reset {value:#x} does not fit into {8 * register.size} bits")
                fields = [replace(f, reset=(value & f.mask) >> f.bit) for f in register.fields]
                register = replace(register, fields=fields, reset=0)
            changed.append(register)
        unknown = set(values) - set(self.by_name)
        if unknown:
            raise RegisterError(f"table {self.name} has no register {', '.join(sorted(unknown))}")
        return replace(self, registers=changed)


def flags(
    names: Iterable[str], *, first: int = 0, access: str = "rw", keeps: frozenset[Reset] = frozenset()
) -> list[Field]:
    """One-bit fields in ascending order from bit `first`; an empty name reserves the bit."""
    return [
        Field(name, first + i, 1, access, keeps=keeps) if name else Reserved(first + i) for i, name in enumerate(names)
    ]
