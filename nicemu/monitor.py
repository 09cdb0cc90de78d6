"""The monitor: a Unix socket that takes commands, one a line, in QEMU's words.

Every answer ends with a line `OK`, or is one line `ERR reason`.  It runs on the loop of its cards, so that a command
acts between two turns.  `socat - UNIX-CONNECT:PATH` makes it a console.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from nicemu.errors import ConfigurationError, NicemuError
from nicemu.unix_socket import listen

if TYPE_CHECKING:
    from nicemu.backends import Backend
    from nicemu.core import Nic

__all__ = ["Monitor"]

#: A longer line, or an answer that nobody reads, ends the connection.
LINE_MAX, UNREAD_MAX = 4096, 1 << 20
CLIENTS_MAX = 16

HELP = """\
set_link [NAME] on|off  plug the cable of a card in, or pull it
info network            cards, and what their cables lead to
info nic [NAME]         registers of a card that are not 0, decoded
info counters [NAME]    what a card and its wire counted
info findings [NAME]    how often each rule of the data sheet was broken
info usernet            connections of user networks
quit                    end the program
help                    this list"""


class Monitor:
    """Takes commands at the Unix socket `path` (mode 0600) for cards that share one loop.

    A card is called by its name; a command without a name means the first.  `on_quit` is called for `quit`.  Close it
    when done; the socket file goes with it.

    Raises OSError if the path is taken or cannot be one.
    """

    def __init__(
        self, nics: Sequence[Nic], path: str | os.PathLike[str], *, on_quit: Callable[[], None] | None = None
    ) -> None:
        if not nics:
            raise ConfigurationError("a monitor needs at least one card")
        self.nics = list(nics)
        self.path = os.fspath(path)
        self._loop = nics[0].loop
        self._on_quit = on_quit
        self._clients: set[_Client] = set()
        self._commands: dict[str, Callable[[list[str]], str]] = {
            "set_link": self._set_link,
            "info": self._info,
            "quit": self._quit,
            "help": lambda words: HELP,
        }
        self._infos: dict[str, Callable[[list[str]], str]] = {
            "network": lambda words: self._info_network(),
            "nic": lambda words: _decoded(self._find(words)),
            "counters": lambda words: _counted(self._find(words)),
            "findings": lambda words: _table(self._find(words).finding_counts),
            "usernet": lambda words: self._info_usernet(),
        }
        self._listener = listen(self.path)
        self._loop.watch(self._listener.fileno(), self._accept)

    # ------------------------------------------------------------------ commands

    def execute(self, line: str) -> str:
        """The answer to one command, its last line `OK` or `ERR reason`."""
        words = line.split()
        command = self._commands.get(words[0]) if words else None
        if command is None:
            return f"ERR unknown command {' '.join(words[:1])!r}; expected one of: {', '.join(self._commands)}"
        try:
            text = command(words[1:])
        except (NicemuError, OSError) as error:
            return f"ERR {error}".replace("\n", " ")
        return f"{text}\nOK" if text else "OK"

    def _find(self, words: Sequence[str]) -> Nic:
        if len(words) > 1:
            raise ConfigurationError(f"unexpected {words[1]!r}; expected at most the name of a card")
        if not words:
            return self.nics[0]
        for nic in self.nics:
            if words[0] == nic.name or (nic.backend is not None and words[0] == nic.backend.name):
                return nic
        raise ConfigurationError(f"no card {words[0]!r}; expected one of: {', '.join(n.name for n in self.nics)}")

    def _set_link(self, words: list[str]) -> str:
        if not 1 <= len(words) <= 2 or words[-1] not in ("on", "off"):
            raise ConfigurationError("expected set_link [NAME] on|off")
        self._find(words[:-1]).set_link(words[-1] == "on")
        return ""

    def _info(self, words: list[str]) -> str:
        if not words or words[0] not in self._infos:
            raise ConfigurationError(f"expected info and one of: {', '.join(self._infos)}")
        return self._infos[words[0]](words[1:])

    def _info_network(self) -> str:
        lines = []
        for nic in self.nics:
            link = "up" if nic.wire_up else "down"
            lines.append(f"{nic.name}: index=0,type=nic,model={nic.MODEL},macaddr={nic.mac.hex(':')},link={link}")
            if nic.backend is not None:
                lines.append(f" \\ {nic.backend.name}: index=0,type={_end(nic.backend).kind}")
        return "\n".join(lines)

    def _info_usernet(self) -> str:
        from nicemu.backends import User

        lines = []
        for nic in self.nics:
            wire = nic.backend and _end(nic.backend)
            if isinstance(wire, User):
                lines.append(f"{wire.name}:\n{wire.info()}".rstrip())
        return "\n".join(lines)

    def _quit(self, words: list[str]) -> str:
        if self._on_quit:
            self._on_quit()
        return ""

    # ------------------------------------------------------------------ clients

    def _accept(self, events: int) -> None:
        try:
            connection, _ = self._listener.accept()
        except OSError:  # it hung up meanwhile, or no descriptor is left: it may try again
            return
        if len(self._clients) == CLIENTS_MAX:
            connection.close()
            return
        client = _Client(connection)
        self._clients.add(client)
        self._loop.watch(connection.fileno(), lambda events: self._serve(client))

    def _serve(self, client: _Client) -> None:
        for line in client.receive():
            client.answer(self.execute(line))
        if not client.flush():
            self._drop(client)
            return
        wanted = select.EPOLLIN | (select.EPOLLOUT if client.unsent else 0)
        if wanted != client.watched:  # an answer waits for its reader, or no longer does
            client.watched = wanted
            self._loop.unwatch(client.connection.fileno())
            self._loop.watch(client.connection.fileno(), lambda events: self._serve(client), wanted)

    def _drop(self, client: _Client) -> None:
        self._loop.unwatch(client.connection.fileno())
        client.connection.close()
        self._clients.discard(client)

    def close(self) -> None:
        """Ends all connections and removes the socket file; harmless when done twice."""
        if self._listener.fileno() < 0:
            return
        for client in list(self._clients):
            self._drop(client)
        self._loop.unwatch(self._listener.fileno())
        self._listener.close()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path)

    def __enter__(self) -> Monitor:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Client:
    """One connection: bytes in up to a line's end, bytes out that its reader has not taken."""

    def __init__(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        self.connection = connection
        self.watched = int(select.EPOLLIN)
        self.unsent = b""
        self._line = b""
        self._ended = False

    def receive(self) -> list[str]:
        """The whole lines that have come."""
        try:
            data = self.connection.recv(LINE_MAX)
            self._ended = not data
        except BlockingIOError:
            return []
        except OSError:
            data, self._ended = b"", True
        *lines, self._line = (self._line + data).split(b"\n")
        if len(self._line) > LINE_MAX:
            self._ended = True
        return [line.decode(errors="replace") for line in lines]

    def answer(self, text: str) -> None:
        """Queues an answer."""
        self.unsent += text.encode() + b"\n"

    def flush(self) -> bool:
        """Sends what its reader takes; whether the connection goes on."""
        try:
            if self.unsent:
                self.unsent = self.unsent[self.connection.send(self.unsent) :]
        except BlockingIOError:
            pass
        except OSError:
            return False
        return not self._ended and len(self.unsent) <= UNREAD_MAX


# ------------------------------------------------------------------------------------------------- answers


def _end(wire: Backend) -> Backend:
    """The backend below all wrappers."""
    while (lower := getattr(wire, "lower", None)) is not None:
        wire = lower
    return wire


def _table(values: dict[str, int]) -> str:
    return "\n".join(f"{name} {value}" for name, value in values.items())


def _counted(nic: Nic) -> str:
    counts = nic.counters
    if nic.backend is not None:
        counts |= {f"backend_{name}": value for name, value in vars(nic.backend.counters).items()}
    return _table(counts)


def _decoded(nic: Nic) -> str:
    """Registers that are not 0, without memories such as filter tables."""
    lines = []
    for table in nic.TABLES:
        for register in table:
            if register.count > 16 or register.cell or register.window:
                continue
            view = getattr(nic.regs, register.name)
            for index in range(register.count):
                value = view[index].value
                if value:
                    words = register.describe(value)
                    lines.append(
                        f"{register.element_name(index)} = {value:#0{2 + 2 * register.size}x} {words}".rstrip()
                    )
    return "\n".join(lines)
