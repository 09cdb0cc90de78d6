"""The monitor at the terminal (`-monitor stdio`), with readline's editing, history and completion."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import termios
import threading
from typing import Any

from nicemu.errors import NicemuError
from nicemu.monitor.commands import REFUSED, Monitor

__all__ = ["Console"]

PROMPT = "(nicemu) "


class Console:
    """Takes commands from standard input for `monitor`, on the loop of its network; answers go to standard output.

    At a terminal a thread reads lines with readline and hands them to the loop, so that typing delays no card.  What is
    no terminal is read as it comes; at its end the program goes on.
    """

    def __init__(self, monitor: Monitor) -> None:
        self.monitor = monitor
        self._loop = monitor.network.loop
        self._terminal = os.isatty(0) and os.isatty(1)
        self._pending = b""
        if self._terminal:
            self._mode = termios.tcgetattr(0)
            self._near, self._far = socket.socketpair()
            self._fd = self._near.fileno()
            threading.Thread(target=self._read_lines, name="monitor", daemon=True).start()
        else:
            self._fd = os.dup(0)
        self._watching = self._watchable()

    def _watchable(self) -> bool:
        try:
            self._loop.watch(self._fd, self._ready)
        except NicemuError:  # a file, which is always ready: all of it now
            with open(self._fd, "rb", closefd=False) as stream:
                self._take(stream.read())
            return False
        return True

    # ------------------------------------------------------------------ the reading thread

    def _read_lines(self) -> None:
        with contextlib.suppress(ImportError):
            import readline

            readline.set_completer(self._complete)
            readline.parse_and_bind("tab: complete")
            readline.set_completer_delims(" ")
        with contextlib.suppress(OSError):  # the console was closed
            while True:
                try:
                    line = input(PROMPT)
                except EOFError:
                    print("\n`quit` ends the program")
                    continue
                self._far.sendall(line.encode(errors="replace") + b"\n")
                if not self._far.recv(1):  # a byte: the answer is out; none: the console was closed
                    return

    def _complete(self, text: str, state: int) -> str | None:
        import readline

        before = readline.get_line_buffer()[: readline.get_begidx()].split()
        lines = [command.line.split() for command in self.monitor.commands]
        names = {words[len(before)] for words in lines if len(words) > len(before) and words[: len(before)] == before}
        if before and not names:
            names = {*self.monitor.network.cards, *self.monitor.network.netdevs, "on", "off"}
        fitting = sorted(name for name in names if name.startswith(text))
        return f"{fitting[state]} " if state < len(fitting) else None

    # ------------------------------------------------------------------ on the loop

    def _ready(self, events: int) -> None:
        data = os.read(self._fd, 4096)
        if not data:
            self._unwatch()
        self._take(data)

    def _take(self, data: bytes) -> None:
        *lines, self._pending = (self._pending + data).split(b"\n")
        for line in lines:
            self._answer(line.decode(errors="replace"))
            if self._terminal and not self.monitor.ended:  # a prompt after the end would leave the terminal in its mode
                self._near.send(b"\n")

    def _answer(self, line: str) -> None:
        if not line.strip():
            return
        try:
            text = self.monitor.line(line)
        except REFUSED as error:
            text = f"Error: {error}"
        if text:
            print(text)
        sys.stdout.flush()

    def _unwatch(self) -> None:
        if self._watching:
            self._loop.unwatch(self._fd)
            self._watching = False

    def close(self) -> None:
        """Leaves the terminal as it was; harmless when done twice."""
        self._unwatch()
        if self._fd < 0:
            return
        if self._terminal:
            termios.tcsetattr(0, termios.TCSADRAIN, self._mode)
            self._near.close()
            self._far.close()
        else:
            os.close(self._fd)
        self._fd = -1

    def __enter__(self) -> Console:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()
