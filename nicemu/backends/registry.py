"""Backends by name, with QEMU's names and options: `user,hostfwd=tcp::5555-:22`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nicemu.backends import user, wires
from nicemu.backends.base import Backend, BackendType
from nicemu.errors import ConfigurationError
from nicemu.options import parse as split

__all__ = ["available", "create", "parse"]

_TYPES = {t.name: t for t in (*user.TYPES, *wires.TYPES)}


def available() -> list[BackendType]:
    """The types of backend that can be made by name."""
    return list(_TYPES.values())


def create(kind: str, options: Mapping[str, Any] | None = None) -> Backend:
    """Makes a backend from QEMU's names; a list is for an option that may be given more than once.

    `id` names it.  Raises ConfigurationError, naming what is valid, for an unknown type, option or value.
    """
    if kind not in _TYPES:
        raise ConfigurationError(f"unknown backend {kind!r}; expected one of: {', '.join(_TYPES)}")
    known = {option.name: option for option in _TYPES[kind].options}
    keywords = {}
    for name, value in (options or {}).items():
        values = list(value) if isinstance(value, (list, tuple)) else [value]
        if name == "id":
            keywords["name"] = str(values[0])
        elif name not in known:
            names = ", ".join(["id", *known])
            raise ConfigurationError(f"backend {kind} has no option {name!r}; expected one of: {names}")
        else:
            keywords[known[name].keyword] = known[name].read(values)
    return _TYPES[kind].make(**keywords)


def parse(text: str) -> Backend:
    """Makes a backend from the argument of -netdev, `user,id=n0,hostfwd=tcp::5555-:22` (see `nicemu.options`).

    Raises ConfigurationError as `create` does.
    """
    options = split(text)
    return create(options.word, options.values)
