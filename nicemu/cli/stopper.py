"""Signals that end a program."""

from __future__ import annotations

import signal
import socket

from nicemu.loop import Loop

__all__ = ["Stopper"]


class Stopper:
    """Ends a loop on SIGTERM and SIGINT, whether the signal meets it in C or in Python.

    The interpreter writes the signal's number into a socket that the loop watches; a handler alone would not do, for
    one that runs between two turns leaves nothing behind for the next to see.
    """

    SIGNALS = (signal.SIGTERM, signal.SIGINT)

    def __init__(self, loop: Loop) -> None:
        self.loop, self.stopped = loop, False

    def __enter__(self) -> Stopper:
        self._read, self._write = socket.socketpair()
        self._read.setblocking(False)
        self._write.setblocking(False)
        self._old_fd = signal.set_wakeup_fd(self._write.fileno())
        self._old = {number: signal.signal(number, lambda *_: None) for number in self.SIGNALS}
        self.loop.watch(self._read.fileno(), self._ready)
        return self

    def _ready(self, events: int) -> None:
        if any(number in self.SIGNALS for number in self._read.recv(64)):
            self.stop()

    def stop(self) -> None:
        """Ends the loop with its present turn."""
        self.stopped = True
        self.loop.stop()

    def __exit__(self, *_: object) -> None:
        self.loop.unwatch(self._read.fileno())
        for number, handler in self._old.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._old_fd)
        self._read.close()
        self._write.close()
