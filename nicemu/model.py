"""Compiles a card's register tables into the engine's rows, once for each model in a process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from nicemu.codegen import cells
from nicemu.engine import ffi, lib
from nicemu.errors import NicemuError
from nicemu.findings import Rule
from nicemu.pci import Bar
from nicemu.registers import Register, Reset, State, Table

__all__ = ["CONFIG", "ROM", "Model"]

#: The engine's number of PCI configuration space.
CONFIG = 6
#: Its number of the expansion ROM.
ROM = 7


class Model:
    """The compiled form of a card's tables: shared by all devices of a model, never changed.

    spaces:       table by engine space number: BARs 0 to 5, `CONFIG`.
    own_tables:   the card's tables in the order of the generated header.
    python_reads, python_writes: (table name, register name) of the hooks that the card has in Python.
    hooks:        False: rows alone, without the card's C hooks (for tests of the rows).
    """

    def __init__(
        self,
        name: str,
        card: str,
        spaces: Mapping[int, Table],
        own_tables: Sequence[Table],
        rules: Sequence[Rule],
        python_reads: set[tuple[str, str]],
        python_writes: set[tuple[str, str]],
        *,
        bars: Mapping[int, Bar] = MappingProxyType({}),
        hooks: bool = True,
    ) -> None:
        self.name = name
        self.spaces = dict(spaces)
        self.bars = dict(bars)
        self.rules = tuple(rules)
        self.tables = [*own_tables, *(t for t in spaces.values() if t not in own_tables)]
        self.cell_of: dict[tuple[str, str], int] = {}
        self.cell_count = 0
        for table, register, cell in cells(self.tables):
            self.cell_of[table.name, register.name] = cell
            self.cell_count = cell + register.count
        self.rows: list[tuple[Table, Register]] = [(t, r) for t in self.tables for r in t]
        self._row_of = {(t.name, r.name): i for i, (t, r) in enumerate(self.rows)}
        self._kept: list[Any] = []
        self._slot_tables: dict[tuple[str, int, str], Any] = {}
        self.c = ffi.new("nic_model *")
        self.c.name = self._keep(ffi.new("char[]", name.encode()))
        self.c.card = lib.nic_card_find(card.encode())
        if self.c.card == ffi.NULL:
            raise NicemuError(f"the engine has no datapath called {card!r}")
        self._compile_rows(python_reads, python_writes)
        self._compile_resets()
        for number, table in self.spaces.items():
            self._compile_space(number, table)
        self._find_pci_cells()
        self.c.rule_count = len(self.rules)
        self._find_general_rules(card)
        if hooks:
            self._link_hooks(card)

    def _keep(self, thing: Any) -> Any:
        self._kept.append(thing)
        return thing

    def cell(self, table: str, register: str) -> int:
        """The first cell of a register (of the one that it shares with, for a set/clear pair)."""
        named = next(t for t in self.tables if t.name == table)[register]
        return self.cell_of[table, named.cell or register]

    def _space_of(self, table: Table) -> int:
        for number, t in self.spaces.items():
            if t is table:
                return number
        raise NicemuError(f"{self.name}: table {table.name} is at no BAR and in no space of its own (SPACES)")

    def _cell_named(self, table: Table, name: str) -> int:
        """The cell of a register of `table`, or of another one as `table.REGISTER`."""
        where, _, register = name.rpartition(".")
        return self.cell(where or table.name, register)

    def _compile_rows(self, reads: set[tuple[str, str]], writes: set[tuple[str, str]]) -> None:
        self.c.rows = self._keep(ffi.new("nic_row[]", len(self.rows)))
        self.c.row_count = len(self.rows)
        unknown = (reads | writes) - set(self._row_of)
        if unknown:
            raise NicemuError(f"{self.name}: hooks for registers that no table has: {sorted(unknown)}")
        for number, (table, register) in enumerate(self.rows):
            row = self.c.rows[number]
            row.id = number
            row.cell = self.cell(table.name, register.name)
            row.clears = self.cell(table.name, register.clears) if register.clears else lib.NIC_NO_CELL
            row.size, row.offset, row.stride = register.size, register.offset, register.stride
            row.space = self._space_of(table)
            row.count, row.pair = register.count, register.pairs
            row.bank_cell = self._cell_named(table, register.bank) if register.bank else lib.NIC_NO_CELL
            self._compile_gates(row, table, register)
            for rule in ("read", "write", "w1c", "w1s", "rc"):
                setattr(row, rule, register.mask(rule))
            row.reserved = register.mask_of(State.RESERVED)
            row.unmodelled = register.mask_of(State.UNMODELLED)
            row.flags = (
                (lib.NIC_ROW_INTERRUPT if register.interrupt else 0)
                | (lib.NIC_ROW_PYTHON_READ if (table.name, register.name) in reads else 0)
                | (lib.NIC_ROW_PYTHON_WRITE if (table.name, register.name) in writes else 0)
                | (lib.NIC_ROW_WINDOW if register.window else 0)
                | (lib.NIC_ROW_BANK if register.bank else 0)
                | (lib.NIC_ROW_GATED if register.gates else 0)
                | (lib.NIC_ROW_PAIRS if register.pairs else 0)
            )
            if register.window:
                w = register.window
                row.window_space = next(n for n, t in self.spaces.items() if t.name == w.space)
                row.window_cell = self._cell_named(table, w.index) if w.index else lib.NIC_NO_CELL
                row.window_scale, row.window_base = w.scale, w.base

    def _compile_gates(self, row: Any, table: Table, register: Register) -> None:
        if len(register.gates) > lib.NIC_GATES:
            raise NicemuError(f"{self.name}: {register.name} has {len(register.gates)} gates; at most {lib.NIC_GATES}")
        for place in range(lib.NIC_GATES):
            row.gates[place].cell = lib.NIC_NO_CELL
        for place, gate in enumerate(register.gates):
            row.gates[place] = (self._cell_named(table, gate.register), gate.mask, gate.value)

    def _compile_resets(self) -> None:
        resets = self._keep(ffi.new("nic_reset_cell[]", self.cell_count))
        for _, register, cell in cells(self.tables):
            keep_bus, keep_soft, undefined = (
                register.kept(Reset.BUS),
                register.kept(Reset.SOFT),
                register.undefined,
            )
            for index in range(register.count):
                reset = resets[cell + index]
                reset.value = register.reset_value(index)
                reset.undefined, reset.keep_bus, reset.keep_soft = undefined, keep_bus, keep_soft
        self.c.resets = resets
        self.c.cell_count = self.cell_count

    def _compile_space(self, number: int, table: Table) -> None:
        space = self.c.spaces[number]
        bar = self.bars.get(number)
        space.size = bar.size if bar else table.size
        space.widths = sum({1: 1, 2: 2, 4: 4, 8: 8}[w] for w in table.widths)
        space.whole, space.io, space.unmapped = table.whole, bool(bar and bar.io), table.unmapped
        offsets = [(r.offset, r.stride, *r.aliases) for r in table]
        dwords = all(value % 4 == 0 for entry in offsets for value in entry) and all(r.size == 4 for r in table)
        granule = 2 if dwords else 0
        space.granule = granule
        end = max(
            (base + (r.places - 1) * r.stride + r.size for r in table for base in (r.offset, *r.aliases)), default=0
        )
        space.slots = (end + (1 << granule) - 1) >> granule
        for page in range(table.pages):
            for direction, maps in (("r", space.read), ("w", space.write)):
                maps[page] = self._slots(table, page, direction, granule, space.slots)

    def _slots(self, table: Table, page: int, direction: str, granule: int, count: int) -> Any:
        if all(r.direction == "rw" for r in table):
            direction = "r"
        key = (table.name, page, direction)
        if key in self._slot_tables:
            return self._slot_tables[key]
        slots = self._keep(ffi.new("nic_slot[]", max(count, 1)))
        for register in table:
            if not register.visible(page, direction):
                continue
            row = self._row_of[table.name, register.name] + 1
            for base in (register.offset, *register.aliases):
                for index in range(register.places):
                    at = base + index * register.stride
                    for byte in range(0, register.size, 1 << granule):
                        slot = slots[(at + byte) >> granule]
                        slot.row, slot.index, slot.byte = row, index, byte
        self._slot_tables[key] = slots
        return slots

    def _find_pci_cells(self) -> None:
        names = {
            "command": "COMMAND",
            "status": "STATUS",
            "msi_control": "MSI_CONTROL",
            "msi_address": "MSI_ADDRESS",
            "msi_data": "MSI_DATA",
            "pm_control": "PMCSR",
            "rom_base": "ROM_BASE",
        }
        for member, register in names.items():
            present = self.cell_of.get(("config", register))
            setattr(self.c.pci, member, lib.NIC_NO_CELL if present is None else present)
        config = self.spaces.get(CONFIG)
        self.c.pci.intx_bits = config is not None and "INTERRUPT_STATUS" in config["STATUS"].decode(0)

    def _find_general_rules(self, card: str) -> None:
        names = ("access.width", "access.reserved-bits", "access.unmapped", "access.during-reset", "dma.bus-master-off")
        for place, name in enumerate((*names, "dma.unmapped", "access.locked")):
            numbers = [i for i, rule in enumerate(self.rules) if rule.id == f"{card}.{name}"]
            self.c.general[place] = numbers[0] if numbers else lib.NIC_RULES

    def _link_hooks(self, card: str) -> None:
        """Gives rows their C hooks; every C hook must find its row, and none may exist in both languages."""
        for number, (table, register) in enumerate(self.rows):
            found = lib.nic_model_link_hook(self.c, number, table.name.encode(), register.name.encode())
            row = self.c.rows[number]
            if (found & 1 and row.flags & lib.NIC_ROW_PYTHON_READ) or (
                found & 2 and row.flags & lib.NIC_ROW_PYTHON_WRITE
            ):
                raise NicemuError(f"{card}: {register.name} has a hook in C and in Python")
        space, name = ffi.new("char **"), ffi.new("char **")
        n = 0
        while lib.nic_card_hook(self.c.card, n, space, name):
            key = (ffi.string(space[0]).decode(), ffi.string(name[0]).decode())
            if key not in self._row_of:
                raise NicemuError(f"{card}: C hook for {key[0]}.{key[1]}, which no table has")
            n += 1
