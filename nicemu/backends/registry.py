"""Backends and wrappers by name, with QEMU's names and options: `user,hostfwd=tcp::5555-:22`, `filter-dump,file=x`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nicemu.backends import dgram, faults, l2tpv3, passt, pcap, rate, socket_netdev, stream, tap, tee, user, vde, wires
from nicemu.backends.base import OVERFLOW, Backend, BackendType, Kind, Wrapper, WrapperType, drops
from nicemu.errors import ConfigurationError
from nicemu.options import parse as split

__all__ = ["available", "create", "keywords", "parse", "wrap", "wrappers"]

_TYPES = {
    t.name: t
    for t in (
        *user.TYPES,
        *tap.TYPES,
        *stream.TYPES,
        *dgram.TYPES,
        *socket_netdev.TYPES,
        *l2tpv3.TYPES,
        *passt.TYPES,
        *vde.TYPES,
        *wires.TYPES,
    )
}
_WRAPPERS = {t.name: t for t in (*pcap.WRAPPERS, *faults.WRAPPERS, *rate.WRAPPERS, *tee.WRAPPERS)}


def available() -> list[BackendType]:
    """The types of backend that can be made by name."""
    return list(_TYPES.values())


def wrappers() -> list[WrapperType]:
    """The types of wrapper that can be made by name (`-object`)."""
    return list(_WRAPPERS.values())


def keywords(what: str, kind: Kind, options: Mapping[str, Any]) -> dict[str, Any]:
    """The Python arguments of `options`, where `id` is `name`; ConfigurationError, naming what is valid, if wrong.

    what: the word for such a kind in messages.
    """
    known = {option.name: option for option in kind.known}
    found = {}
    for name, value in options.items():
        values = list(value) if isinstance(value, (list, tuple)) else [value]
        if name == "id":
            found["name"] = str(values[0])
        elif name not in known:
            names = ", ".join(["id", *known])
            raise ConfigurationError(f"{what} {kind.name} has no option {name!r}; expected one of: {names}")
        else:
            found[known[name].keyword] = known[name].read(values)
    for option in kind.options:
        if option.required and option.keyword not in found:
            raise ConfigurationError(f"{what} {kind.name} needs {option.name}=<{option.kind}>: {option.doc}")
    return found


def create(kind: str, options: Mapping[str, Any] | None = None) -> Backend:
    """Makes a backend from QEMU's names; a list is for an option that may be given more than once.

    `id` names it.  Raises ConfigurationError, naming what is valid, for an unknown type, option or value.
    """
    if kind not in _TYPES:
        raise ConfigurationError(f"unknown backend {kind!r}; expected one of: {', '.join(_TYPES)}")
    arguments = keywords("backend", _TYPES[kind], options or {})
    own = any(option.name == OVERFLOW.name for option in _TYPES[kind].options)
    overflow = None if own else arguments.pop(OVERFLOW.name, None)
    if overflow is not None:
        drops(overflow)
    backend = _TYPES[kind].make(**arguments)
    if overflow is not None:
        backend.overflow = overflow
    return backend


def wrap(lower: Backend, kind: str, options: Mapping[str, Any] | None = None) -> Wrapper:
    """Makes a wrapper around `lower` from the names of `-object`, without `netdev`; the rest is as in `create`.

    An option that names a netdev is given as a backend.
    """
    if kind not in _WRAPPERS:
        raise ConfigurationError(f"unknown object {kind!r}; expected one of: {', '.join(_WRAPPERS)}")
    return _WRAPPERS[kind].make(lower, **keywords("object", _WRAPPERS[kind], options or {}))


def parse(text: str) -> Backend:
    """Makes a backend from the argument of -netdev, `user,id=n0,hostfwd=tcp::5555-:22` (see `nicemu.options`).

    Raises ConfigurationError as `create` does.
    """
    options = split(text)
    return create(options.word, options.values)
