"""What `help` and `info` print: models, netdevs, objects, and the options of each, in QEMU's layout."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from nicemu.errors import ConfigurationError
from nicemu.options import backend_help, model_help, options_help

if TYPE_CHECKING:
    from nicemu.backends.base import Kind
    from nicemu.cli.plan import Given

__all__ = ["print_asked", "print_model_options", "print_models", "print_netdevs"]


def print_models() -> None:
    """The models, one a line."""
    from nicemu.devices import models

    for info in models():
        alias = "".join(f', alias "{a}"' for a in info.aliases)
        print(f'name "{info.name}", bus {info.bus}{alias}, desc "{info.description}"')


def print_model_options(name: str) -> None:
    """The options of a model."""
    from nicemu.cli.cards import DEVICE_OPTIONS
    from nicemu.devices import find_class

    print(f"{name} options:\n{model_help(find_class(name))}\n{options_help(DEVICE_OPTIONS)}")


def print_netdevs(kind: str = "") -> None:
    """The types of netdev, or the options of one."""
    from nicemu.network import netdev_types

    _print_kinds(netdev_types(), kind, "netdev", "Available netdev backend types:")


def print_objects(kind: str = "") -> None:
    """The types of object, or the options of one."""
    from nicemu.backends import wrappers

    _print_kinds(wrappers(), kind, "object", "Available objects, each around a netdev (netdev=<id>):")


def _print_kinds(kinds: Sequence[Kind], name: str, what: str, title: str) -> None:
    if not name:
        print(title)
        print("\n".join(f"  {kind.name:<12} {kind.description}" for kind in kinds))
        return
    chosen = [kind for kind in kinds if kind.name == name]
    if not chosen:
        raise ConfigurationError(f"no {what} type {name!r}; expected one of: {', '.join(k.name for k in kinds)}")
    print(f"{what} {name} options:\n{backend_help(chosen[0])}")


def print_asked(given: Sequence[Given]) -> bool:
    """Answers the first option that asks for help; whether one did."""
    from nicemu.cli.plan import split

    keys = {"netdev": "type", "net": "type", "nic": "type", "object": "qom-type", "device": "driver"}
    for option in given:
        if option.option not in keys:
            continue
        parts = split(option, keys[option.option])
        if not parts.help:
            continue
        if option.option == "object":
            print_objects(parts.word)
        elif option.option == "device" or parts.word == "nic" or "model" in parts.values:
            name = parts.word if option.option == "device" else ""
            (print_model_options(name) if name else print_models())
        else:
            print_netdevs(parts.word)
            if option.option == "net" and not parts.word:
                print("  nic          a card on the VLAN: `-net nic,model=help` lists models")
        return True
    return False
