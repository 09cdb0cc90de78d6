"""What `help` and `info` say: models, netdevs, objects, and the options of each, in QEMU's layout."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from nicemu.errors import ConfigurationError
from nicemu.options import backend_help, model_help, options_help

if TYPE_CHECKING:
    from nicemu.backends.base import Kind
    from nicemu.cli.plan import Given

__all__ = ["asked", "model_options", "models_list", "netdevs_list", "objects_list"]


def models_list() -> str:
    """The models, one a line."""
    return "\n".join(_models())


def _models() -> Iterator[str]:
    from nicemu.devices import models

    for info in models():
        alias = "".join(f', alias "{a}"' for a in info.aliases)
        yield f'name "{info.name}", bus {info.bus}{alias}, desc "{info.description}"'


def model_options(name: str) -> str:
    """The options of a model."""
    from nicemu.cli.cards import DEVICE_OPTIONS
    from nicemu.devices import find_class

    model = find_class(name)
    device = [option for option in DEVICE_OPTIONS if model.FUNCTION or option.name == "netdev"]  # QEMU takes PCI cards
    return f"{name} options:\n{model_help(model)}\n{options_help(device)}"


def netdevs_list(kind: str = "") -> str:
    """The types of netdev, or the options of one."""
    from nicemu.network import netdev_types

    return _kinds(netdev_types(), kind, "netdev", "Available netdev backend types:")


def objects_list(kind: str = "") -> str:
    """The types of object, or the options of one."""
    from nicemu.backends import wrappers

    return _kinds(wrappers(), kind, "object", "Available objects, each around a netdev (netdev=<id>):")


def _kinds(kinds: Sequence[Kind], name: str, what: str, title: str) -> str:
    if not name:
        return "\n".join([title, *(f"  {kind.name:<12} {kind.description}" for kind in kinds)])
    chosen = [kind for kind in kinds if kind.name == name]
    if not chosen:
        raise ConfigurationError(f"no {what} type {name!r}; expected one of: {', '.join(k.name for k in kinds)}")
    wrapped = "  netdev=<id>               - the netdev to wrap\n" if what == "object" else ""
    return f"{what} {name} options:\n{wrapped}{backend_help(chosen[0])}"


def asked(given: Sequence[Given]) -> str:
    """The answer to the first option that asks for help, or nothing."""
    from nicemu.cli.plan import KEYS, split

    for option in given:
        if option.option not in KEYS:
            continue
        parts = split(option)
        if not parts.help:
            continue
        if option.option == "object":
            return objects_list(parts.word)
        if option.option == "device":
            return model_options(parts.word) if parts.word else models_list()
        return _net_help(option.option, parts.word, parts.model)
    return ""


def _net_help(option: str, word: str, model: str | None) -> str:
    """Help of -netdev, -nic and -net; `model` is the value of that key, where it was given."""
    from nicemu.options import HELP_WORDS

    if model in HELP_WORDS:
        return models_list()
    if model or word == "nic":
        return model_options(model or "e1000")
    if word == "dump":
        return DUMP
    more = {
        "net": "\n  nic          a card on the VLAN: `-net nic,model=help` lists models\n  dump         "
        "a record of what passes on the VLAN: file=, len=\n  none         nothing",
        "nic": "\n  none         neither wire nor card",
    }
    return netdevs_list(word) + ("" if word else more.get(option, ""))


DUMP = """\
net dump options:
  file=<file>               - the file; classic pcap, pcapng if it ends so (default: qemu-vlan<N>.pcap)
  len=<int>                 - the most bytes of a frame that are kept (default: 65536)
  vlan=<int>                - the VLAN whose frames are recorded (default: 0)"""
