"""`python -m nicemu info`: models, netdevs, registers, rules."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from nicemu import __version__
from nicemu.cli.lists import model_options, models_list, netdevs_list, objects_list
from nicemu.cli.status import DONE
from nicemu.errors import BackendError, ConfigurationError

if TYPE_CHECKING:
    from nicemu.registers import Register

__all__ = ["run"]


def run(arguments: argparse.Namespace) -> int:
    """The command; returns its exit status."""
    what, names = arguments.what, arguments.names
    if what is None:
        _print_overview()
    elif what in ("regs", "rules"):
        most = 2 if what == "regs" else 1
        if not 1 <= len(names) <= most:
            raise ConfigurationError(f"expected info {what} MODEL{' [REGISTER]' if most == 2 else ''}")
        (_print_registers if what == "regs" else _print_rules)(*names)
    elif names:
        raise ConfigurationError(f"unexpected {names[0]!r}; expected info MODEL, info regs MODEL or info rules MODEL")
    else:
        lists = {"models": models_list, "netdevs": netdevs_list, "objects": objects_list}
        print(lists[what]() if what in lists else model_options(what))
    return DONE


def _print_overview() -> None:
    import platform

    from nicemu.backends.user import library_version

    print(f"nicemu {__version__}, Python {platform.python_version()}\n\nModels:\n{models_list()}")
    print(f"\n{netdevs_list()}\n\n{objects_list()}")
    try:
        found = f"libslirp {library_version()}"
    except BackendError as error:
        found = f"libslirp is missing: {error}"
    print(f"\nLibraries:\n  {found}")


def _print_rules(model: str) -> None:
    from nicemu.devices import find_class

    for rule in find_class(model).RULES:
        print(f"{rule.severity:<8}{rule.id}\n        {rule.asks} ({rule.section})")


def _print_registers(model: str, name: str = "") -> None:
    from nicemu.devices import find_class
    from nicemu.pci import config_table

    found = find_class(model)
    tables = [*found.TABLES, *([config_table(found.FUNCTION)] if found.FUNCTION else [])]
    if name:
        _print_register(model, name, [r for t in tables for r in t if r.present])
        return
    for table in tables:
        print(f"{table.name}: {table.doc}, {table.size:#x} bytes")
        for register in (r for r in table if r.present):
            print(f"  {register.offset:#07x}  {_shape(register):<18} {register.doc}")


def _shape(register: Register) -> str:
    return register.name if register.count == 1 else f"{register.name}[{register.count}]"


def _print_register(model: str, name: str, registers: Sequence[Register]) -> None:
    from nicemu.registers import State

    chosen = [r for r in registers if r.name == name.upper()]
    if not chosen:
        raise ConfigurationError(f"{model} has no register {name!r}; `info regs {model}` lists them")
    for r in chosen:
        stride = f", {r.stride} bytes apart" if r.count > 1 else ""
        reset = "undefined" if r.undefined else f"{r.reset_value():#0{2 + 2 * r.size}x}"
        print(f"{_shape(r)} at {r.offset:#x}{stride}, {8 * r.size} bits, reset {reset}: {r.doc} ({r.section})")
        for f in r.fields:
            bits = f"{f.bit + f.width - 1}:{f.bit}" if f.width > 1 else f"{f.bit}"
            notes = "" if f.state in (State.MODELLED, State.RESERVED) else f" [{f.state.value}]"
            words = "; ".join(f"{v:#x} {text}" for v, text in f.values.items())
            print(f"  {bits:>6} {f.access:<7} {f.name:<14} {f.doc}{notes}{f' ({words})' if words else ''}".rstrip())
