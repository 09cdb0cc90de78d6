"""Mistakes of the host program.  A guest can cause none of these."""

from __future__ import annotations

__all__ = ["BackendError", "ConfigurationError", "NicemuError", "SnapshotError"]


class NicemuError(Exception):
    """Base of all errors that nicemu raises on purpose."""


class ConfigurationError(NicemuError, ValueError):
    """An option, address or name is not what was expected; the message says what was."""


class BackendError(NicemuError, OSError):
    """A wire could not be set up: a library, device, socket or file is missing or refused."""


class SnapshotError(NicemuError, ValueError):
    """A snapshot is malformed, of another version, or of another model; nothing was changed."""
