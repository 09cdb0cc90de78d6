"""Hosts: what speaks the bus to a card on behalf of a guest."""

from __future__ import annotations

from nicemu.errors import NicemuError

__all__ = ["HostError"]


class HostError(NicemuError, OSError):
    """A card could not be served: the socket is taken, or the operating system refused; the message says which."""
