"""The event loop that cards, their backends and their hosts share."""

from __future__ import annotations

import errno
import os
import select
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from nicemu.engine import ffi, lib, owned, raise_pending
from nicemu.errors import ConfigurationError, NicemuError

if TYPE_CHECKING:
    from nicemu.backends import Backend
    from nicemu.core import Nic

__all__ = ["Loop"]


class Loop:
    """Runs cards in one thread: `run()` for a program of its own, `turn()` and `fileno()` inside another's loop."""

    def __init__(self) -> None:
        self.handle = owned(lib.nic_loop_new(), lib.nic_loop_free)
        self._sources: dict[int, Any] = {}
        self._nics: list[Nic] = []

    def add(self, nic: Nic) -> None:
        """Puts a card (and its backend) on this loop."""
        error = lib.nic_loop_add_device(self.handle, nic.handle)
        if error:
            raise NicemuError(f"cannot add {nic.name} to the loop: {os.strerror(error)}")
        self._nics.append(nic)

    def remove(self, nic: Nic) -> None:
        """Takes a card off this loop."""
        lib.nic_loop_remove_device(self.handle, nic.handle)
        self._nics = [n for n in self._nics if n is not nic]

    def add_wire(self, wire: Backend) -> None:
        """Runs a wire that no card has; closing it takes it off.

        Raises ConfigurationError if a card, a wrapper or a loop has it.
        """
        error = lib.nic_loop_add_wire(self.handle, wire.handle)
        if error:
            raise ConfigurationError(f"cannot add {wire.name} to the loop: {os.strerror(error)}")

    def watch(self, fd: int, callback: Callable[[int], None], events: int = select.EPOLLIN) -> None:
        """Calls callback(events) when `fd` is ready for any of `events` (select.EPOLL*)."""
        handle = ffi.new_handle(callback)
        error = lib.nic_loop_add_source(self.handle, fd, events, handle)
        if error:
            raise NicemuError(f"cannot watch file descriptor {fd}: {os.strerror(error)}")
        self._sources[fd] = (callback, handle)

    def unwatch(self, fd: int) -> None:
        """Forgets a watched descriptor."""
        lib.nic_loop_remove_source(self.handle, fd)
        self._sources.pop(fd, None)

    def fileno(self) -> int:
        """A descriptor that is readable when `turn` has something to do: for asyncio, select or an emulator's loop."""
        return int(lib.nic_loop_fileno(self.handle))

    def turn(self, timeout: float | None = 0.0) -> None:
        """One turn: frames, timers, doorbells.  Waits at most `timeout` seconds (None: no limit) for any of them."""
        lib.nic_loop_turn(self.handle, -1 if timeout is None else int(timeout * 1e9))
        raise_pending()

    def run(self) -> None:
        """Turns until `stop()`; signals reach Python's handlers as usual."""
        while lib.nic_loop_run(self.handle) == errno.EINTR:
            raise_pending()
        raise_pending()

    def stop(self) -> None:
        """Makes `run` return."""
        lib.nic_loop_stop(self.handle)
