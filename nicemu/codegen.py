"""Generates a card's C header from its tables: cell numbers, field masks and rule numbers.

The header is checked in so that a build needs no generator; a test holds it against the tables.
Run `python -m nicemu.codegen` after changing a table.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path

from nicemu.findings import Rule
from nicemu.registers import Register, RegisterError, Table

__all__ = ["CARDS", "cells", "header"]

#: Cards with a C datapath: each has nicemu/devices/<card>_tables.py with TABLES and RULES.
CARDS = ("e1000", "ne2000", "pcnet", "rtl8139", "yukon2")


def cells(tables: Sequence[Table]) -> Iterator[tuple[Table, Register, int]]:
    """(table, register, first cell) of every register with storage of its own, in the order of the engine's cells."""
    cell = 0
    for table in tables:
        for register in table:
            if not register.cell:
                yield table, register, cell
                cell += register.count


def header(card: str, tables: Sequence[Table], rules: Sequence[Rule]) -> str:
    """The text of csrc/<card>_registers.h."""
    prefix = card.upper()
    lines = [
        f"/* Made from nicemu/devices/{card}_tables.py by `python -m nicemu.codegen`: edit that file, not this. */",
        f"#ifndef NICEMU_{prefix}_REGISTERS_H",
        f"#define NICEMU_{prefix}_REGISTERS_H",
        "",
        "enum { /* cells, in the order of the tables */",
    ]
    total = 0
    for _, register, cell in cells(tables):
        lines.append(f"    {prefix}_{register.name} = {cell},")
        total = cell + register.count
    lines += [f"    {prefix}_CELLS = {total},", "};", ""]
    for _, register, _ in cells(tables):
        lines += _masks(f"{prefix}_{register.name}", register)
    lines += ["", "enum { /* findings */"]
    lines += [f"    {rule.constant} = {number}," for number, rule in enumerate(rules)]
    lines += ["};", "", "#endif", ""]
    _check_names(card, lines)
    return "\n".join(lines)


def _masks(prefix: str, register: Register) -> Iterator[str]:
    """A mask for each named field, and a shift for those of several bits."""
    for f in register.fields:
        if f.name and f.name != register.name:
            yield f"#define {prefix}_{f.name} {f.mask:#010x}u"
            if f.width > 1:
                yield f"#define {prefix}_{f.name}_SHIFT {f.bit}"


def _check_names(card: str, lines: Sequence[str]) -> None:
    """A register A with a field B_C and a register A_B with a field C would share a name."""
    names = [match[1] for line in lines if (match := re.match(r"(?:#define|   ) (\w+) ", line))]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise RegisterError(f"{card}: {', '.join(twice)} would be defined twice in its C header")


def main() -> None:
    """Writes the headers of all cards."""
    folder = Path(__file__).resolve().parent.parent / "csrc"
    for card in CARDS:
        tables = import_module(f"nicemu.devices.{card}_tables")
        (folder / f"{card}_registers.h").write_text(header(card, tables.TABLES, tables.RULES))


if __name__ == "__main__":
    main()
