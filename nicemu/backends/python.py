"""Backends written in Python."""

from __future__ import annotations

import os
import select
from collections.abc import Iterable

from nicemu.backends.base import Backend
from nicemu.engine import ffi, lib
from nicemu.errors import BackendError, ConfigurationError

__all__ = ["PythonBackend"]

FRAME_MAX = 16384


class PythonBackend(Backend):
    """Base of a backend of your own: override `send`, and `poll` or `fileno` if frames come from outside.

    >>> class Echo(PythonBackend):
    ...     def send(self, frames):
    ...         self.deliver(frames)

    An exception that one of these methods raises surfaces from the call that moved the card (`Nic.poll`, `Loop.run`, a
    register access); the batch under way counts as sent.
    """

    kind = "python"

    def __init__(self, *, name: str = "") -> None:
        self._python = ffi.new_handle(self)
        super().__init__(lib.nic_python_backend_new(self._python), name or type(self).__name__)
        self.watch(self.fileno())

    def send(self, frames: list[bytes]) -> int | None:
        """Takes a batch that leaves the card: whole Ethernet frames without FCS.

        Returns how many, from the first, were taken; None: all.  After fewer, call `writable` when there is room.
        """
        return None

    def poll(self) -> None:
        """Called when `fileno` is ready for reading, or each turn where there is no fileno; calls `deliver`."""

    def fileno(self) -> int | None:
        """A descriptor to watch, or None.  Asked when the backend is made; `watch` changes it later."""
        return None

    def deliver(self, frames: Iterable[bytes], *, flags: int = 0) -> int:
        """Queues frames for the card; they reach it with its next poll.  Returns how many found room.

        May be called at any time in the loop's thread, from inside `send` too.  A frame is 0 to 16384 bytes without
        FCS; ConfigurationError for a longer one.

        flags: what happened to all of them on their way, lib.NIC_FRAME_*: short as they are, a wrong FCS, and so on.
        """
        batch = [bytes(f) for f in frames]
        for frame in batch:
            if len(frame) > FRAME_MAX:
                raise ConfigurationError(f"a frame of {len(frame)} bytes; expected at most {FRAME_MAX} without FCS")
        lengths = ffi.new("uint32_t[]", [len(f) | flags << 16 for f in batch])
        return int(lib.nic_python_backend_deliver(self.handle, b"".join(batch), lengths, len(batch)))

    def writable(self) -> None:
        """Tells the card that `send` takes frames again."""
        lib.nic_python_backend_writable(self.handle)

    def set_link(self, up: bool) -> None:
        """Tells the card that the far side came or went."""
        lib.nic_python_backend_set_link(self.handle, up)

    def watch(self, fd: int | None, events: int = select.EPOLLIN) -> None:
        """Watches another descriptor (None: none) for `events` (select.EPOLL*)."""
        every_turn = fd is None and type(self).poll is not PythonBackend.poll
        error = lib.nic_python_backend_watch(self.handle, every_turn, -1 if fd is None else fd, events)
        if error:
            raise BackendError(error, f"cannot watch file descriptor {fd}: {os.strerror(error)}")
