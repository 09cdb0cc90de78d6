"""nicemu: network cards at register level, as the silicon behaves.

>>> import nicemu
>>> nic = nicemu.create("e1000", mac="52:54:00:12:34:56", backend=nicemu.backends.Null())
>>> nic.regs.STATUS.LU
1

Names are loaded when first used, so that importing the package costs nothing that is not needed.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nicemu import backends as backends
    from nicemu.clock import Clock as Clock
    from nicemu.core import Nic as Nic
    from nicemu.devices import create as create
    from nicemu.devices import models as models
    from nicemu.errors import ConfigurationError as ConfigurationError
    from nicemu.errors import NicemuError as NicemuError
    from nicemu.findings import Finding as Finding
    from nicemu.findings import Rule as Rule
    from nicemu.loop import Loop as Loop
    from nicemu.memory import GuestMemory as GuestMemory
    from nicemu.network import Network as Network

__version__ = "0.1.0"

_HOMES = {
    "Clock": "nicemu.clock",
    "ConfigurationError": "nicemu.errors",
    "Finding": "nicemu.findings",
    "GuestMemory": "nicemu.memory",
    "Loop": "nicemu.loop",
    "Network": "nicemu.network",
    "Nic": "nicemu.core",
    "NicemuError": "nicemu.errors",
    "Rule": "nicemu.findings",
    "create": "nicemu.devices",
    "models": "nicemu.devices",
}
__all__ = [*_HOMES, "backends"]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    if name in ("backends", "hosts", "drivers"):
        return import_module(f"nicemu.{name}")
    raise AttributeError(f"module 'nicemu' has no attribute {name!r}")
