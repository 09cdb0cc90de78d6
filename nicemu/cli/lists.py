"""What `help` and `info` print: models, netdevs, and the options of either, in QEMU's layout."""

from __future__ import annotations

from nicemu.errors import ConfigurationError
from nicemu.options import backend_help, model_help

__all__ = ["print_model_options", "print_models", "print_netdevs"]


def print_models() -> None:
    """The models, one a line."""
    from nicemu.devices import models

    for info in models():
        alias = "".join(f', alias "{a}"' for a in info.aliases)
        print(f'name "{info.name}", bus {info.bus}{alias}, desc "{info.description}"')


def print_model_options(name: str) -> None:
    """The options of a model."""
    from nicemu.devices import find_class

    print(f"{name} options:\n{model_help(find_class(name))}")


def print_netdevs(kind: str = "") -> None:
    """The types of netdev, or the options of one."""
    from nicemu.backends import available

    if not kind:
        print("Available netdev backend types:")
        print("\n".join(f"  {backend.name:<10} {backend.description}" for backend in available()))
        return
    chosen = [backend for backend in available() if backend.name == kind]
    if not chosen:
        raise ConfigurationError(f"no netdev type {kind!r}; expected one of: {', '.join(b.name for b in available())}")
    print(f"netdev {kind} options:\n{backend_help(chosen[0])}")
