"""What host programs look at a card through: registers by name, and the address spaces as the guest sees them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from nicemu.engine import ffi, lib, raise_pending
from nicemu.errors import ConfigurationError
from nicemu.registers import Register, Table

if TYPE_CHECKING:
    from nicemu.core import Nic
    from nicemu.model import Model

__all__ = ["RegisterFile", "RegisterView", "Space"]


class RegisterView:
    """One register of a card by name, for tests and tools: looking or setting has no side effect on the card.

    `view.value` is the stored value, `view.FIELD` one field; both can be set.  `view[i]` is an element of an array.
    """

    __slots__ = ("_cells", "_index", "_register")
    _cells: Any
    _index: int
    _register: Register

    def __init__(self, cells: Any, register: Register, index: int) -> None:
        object.__setattr__(self, "_cells", cells)
        object.__setattr__(self, "_register", register)
        object.__setattr__(self, "_index", index)

    @property
    def value(self) -> int:
        """The stored value."""
        return int(self._cells[self._index])

    @value.setter
    def value(self, value: int) -> None:
        self._cells[self._index] = value & ((1 << 8 * self._register.size) - 1)

    def __getitem__(self, index: int) -> RegisterView:
        if not 0 <= index < self._register.count:
            raise IndexError(f"{self._register.name}[{index}]; it has {self._register.count} elements")
        return RegisterView(self._cells, self._register, self._index + index)

    def __getattr__(self, name: str) -> int:
        try:
            f = self._register.field(name)
        except KeyError as error:
            raise AttributeError(error.args[0]) from None
        return (self.value & f.mask) >> f.bit

    def __setattr__(self, name: str, value: int) -> None:
        if name == "value":
            object.__setattr__(self, name, value)
            return
        f = self._register.field(name)
        self.value = (self.value & ~f.mask) | ((value << f.bit) & f.mask)

    def __int__(self) -> int:
        return self.value

    def __repr__(self) -> str:
        return f"{self._register.name} = {self.value:#010x} {self._register.describe(self.value)}".rstrip()


class RegisterFile:
    """The registers of a card by name."""

    __slots__ = ("_cells", "_model", "_tables")

    def __init__(self, model: Model, cells: Any, tables: Sequence[Table]) -> None:
        self._model, self._cells, self._tables = model, cells, tables

    def __getattr__(self, name: str) -> RegisterView:
        for table in self._tables:
            register = table.by_name.get(name)
            if register:
                return RegisterView(self._cells, register, self._model.cell(table.name, name))
        raise AttributeError(f"{self._model.name} has no register {name!r}")

    def __dir__(self) -> list[str]:
        return [r.name for t in self._tables for r in t]

    def __iter__(self) -> Iterator[tuple[str, RegisterView]]:
        for table in self._tables:
            for register in table:
                for index in range(register.count):
                    cell = self._model.cell(table.name, register.name) + index
                    yield register.element_name(index), RegisterView(self._cells, register, cell)


class Space:
    """An address space of a card as the guest sees it: a BAR or configuration space."""

    __slots__ = ("_nic", "number", "table")

    def __init__(self, nic: Nic, number: int, table: Table) -> None:
        self._nic, self.number, self.table = nic, number, table

    @property
    def size(self) -> int:
        """Bytes."""
        return int(self._nic.compiled.c.spaces[self.number].size)

    def read(self, offset: int, size: int = 4) -> int:
        """A guest's read of 1, 2, 4 or 8 bytes, with all its side effects."""
        if size not in (1, 2, 4, 8) or offset < 0:
            raise ConfigurationError(f"read of {size} bytes at {offset:#x}; expected 1, 2, 4 or 8 at 0 or above")
        value = int(lib.nic_read(self._nic.handle, self.number, offset, size))
        raise_pending()
        return value

    def write(self, offset: int, value: int, size: int = 4) -> None:
        """A guest's write of 1, 2, 4 or 8 bytes, with all its side effects."""
        if size not in (1, 2, 4, 8) or offset < 0:
            raise ConfigurationError(f"write of {size} bytes at {offset:#x}; expected 1, 2, 4 or 8 at 0 or above")
        lib.nic_write(self._nic.handle, self.number, offset, value & ((1 << 8 * size) - 1), size)
        raise_pending()

    def read_repeat(self, offset: int, size: int, count: int) -> bytes:
        """`count` reads of one offset (rep insb/insw/insl), as one little-endian byte string."""
        if size not in (1, 2, 4, 8) or offset < 0 or count < 0:
            raise ConfigurationError(
                f"{count} reads of {size} bytes at {offset:#x}; expected 1, 2, 4 or 8 at 0 or above"
            )
        buffer = bytearray(size * count)
        lib.nic_read_repeat(self._nic.handle, self.number, offset, size, ffi.from_buffer(buffer), count)
        raise_pending()
        return bytes(buffer)

    def write_repeat(self, offset: int, size: int, data: bytes) -> None:
        """Writes of `size` bytes to one offset (rep outsb/outsw/outsl) until `data` is used up."""
        if size not in (1, 2, 4, 8) or offset < 0:
            raise ConfigurationError(f"writes of {size} bytes at {offset:#x}; expected 1, 2, 4 or 8 at 0 or above")
        if len(data) % size:
            raise ConfigurationError(f"{len(data)} bytes of data; expected a multiple of {size}")
        lib.nic_write_repeat(self._nic.handle, self.number, offset, size, ffi.from_buffer(data), len(data) // size)
        raise_pending()
