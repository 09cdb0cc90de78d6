"""Writes docs/<model>-registers.md from a card's tables: every register, every field, every finding.

The pages are checked in; a test holds them against the tables.  Run `python -m nicemu.docgen` after changing a table.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path

from nicemu.codegen import CARDS
from nicemu.findings import Rule
from nicemu.registers import ACCESS, Field, Register, Reset, State, Table

__all__ = ["page"]

DOCS = Path(__file__).resolve().parent.parent / "docs"
RESETS = {Reset.BUS: "RST#", Reset.SOFT: "soft"}


def page(card: str, tables: Sequence[Table], rules: Sequence[Rule]) -> str:
    """The reference page of a card as Markdown."""
    lines = [
        f"# {card}: registers and findings",
        "",
        f"Made from `nicemu/devices/{card}_tables.py` by `python -m nicemu.docgen`; the engine runs the same table.",
        "",
        *_access_words(tables),
    ]
    for table in tables:
        lines += ["", f"## {table.name}", "", f"{table.doc}. {table.size:#x} bytes.", ""]
        lines += ["| offset | register | meaning | section |", "|---|---|---|---|"]
        lines += [_summary(register) for register in table]
        for register in table:
            if len(register.fields) > 1:
                lines += ["", *_fields(register)]
    lines += ["", "## Findings", "", *_rules(rules), ""]
    return "\n".join(lines)


def _access_words(tables: Sequence[Table]) -> list[str]:
    used = {f.access for t in tables for r in t for f in r.fields}
    return ["| access | meaning |", "|---|---|", *(f"| {w} | {a.meaning} |" for w, a in ACCESS.items() if w in used)]


def _place(register: Register) -> str:
    if register.count == 1:
        return f"{register.offset:#07x}"
    return f"{register.offset:#07x} + {register.stride} i, i < {register.count}"


def _summary(register: Register) -> str:
    name = register.name if register.count == 1 else f"{register.name}[i]"
    return f"| {_place(register)} | {name} | {register.doc} | {register.section} |"


def _fields(register: Register) -> Iterator[str]:
    yield f"### {register.name}"
    yield ""
    yield f"{register.doc} ({register.section})"
    yield ""
    yield "| bits | field | access | reset | meaning |"
    yield "|---|---|---|---|---|"
    for f in register.fields:
        yield _field(f)


def _field(f: Field) -> str:
    bits = str(f.bit) if f.width == 1 else f"{f.bit + f.width - 1}:{f.bit}"
    reset = "undefined" if f.reset is None else f"{f.reset:#x}"
    if f.keeps:
        reset += f", kept by {' and '.join(RESETS[r] for r in Reset if r in f.keeps)}"
    values = "; ".join(f"{value}: {meaning}" for value, meaning in f.values.items())
    notes = [text for text in (f.doc, values, _state(f)) if text]
    return f"| {bits} | {f.name or '–'} | {f.access} | {reset} | {'. '.join(notes)} |"


def _state(f: Field) -> str:
    if f.state in (State.MODELLED, State.RESERVED):
        return ""
    return f"*{f.state.value}*"


def _rules(rules: Sequence[Rule]) -> Iterator[str]:
    yield "| rule | severity | what the data sheet asks | section |"
    yield "|---|---|---|---|"
    for rule in rules:
        yield f"| {rule.id} | {rule.severity} | {rule.asks} | {rule.section} |"


def main() -> None:
    """Writes the pages of all cards."""
    for card in CARDS:
        tables = import_module(f"nicemu.devices.{card}_tables")
        (DOCS / f"{card}-registers.md").write_text(page(card, tables.TABLES, tables.RULES))


if __name__ == "__main__":
    main()
