"""Cards and wires from option lists."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nicemu.options import model_arguments, parse

if TYPE_CHECKING:
    from nicemu.backends import Backend
    from nicemu.core import Nic

__all__ = ["make_nic", "make_wire"]


def make_nic(text: str, **more: Any) -> Nic:
    """A card from `MODEL[,option=value...]`; ConfigurationError names what is wrong."""
    from nicemu.devices import find_class

    options = parse(text)
    model = find_class(options.word)
    return model(**model_arguments(model, options), **more)


def make_wire(text: str) -> Backend:
    """A backend from `TYPE[,option=value...]`; ConfigurationError names what is wrong."""
    from nicemu import backends

    options = parse(text)
    return backends.create(options.word, options.values)
