"""The monitor at a Unix socket: lines as at a terminal, JSON as QMP has it, for any number of hostile clients.

A line that begins with `{` is answered in JSON.  Of others every answer ends with a line `OK`, or is one line
`ERR reason`, so that a program can read it; `socat - UNIX-CONNECT:PATH` makes it a console.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import socket
from collections.abc import Callable
from typing import Any

from nicemu.errors import NicemuError
from nicemu.monitor.commands import REFUSED, Monitor
from nicemu.unix_socket import listen

__all__ = ["MonitorServer", "answer_json", "answer_line", "split_values"]

#: A longer line, or an answer that nobody reads, ends the connection.
LINE_MAX, UNREAD_MAX = 4096, 1 << 20
CLIENTS_MAX = 16


def answer_line(monitor: Monitor, line: str) -> str:
    """The answer to a line: what the command shows and `OK`, or `ERR reason`."""
    try:
        text = monitor.line(line)
    except REFUSED as error:
        return f"ERR {error}".replace("\n", " ")
    return f"{text}\nOK" if text else "OK"


# ------------------------------------------------------------------------------------------------- what has come


def split_lines(data: bytes) -> tuple[list[bytes], bytes]:
    """Whole lines, and what is left."""
    *lines, rest = data.split(b"\n")
    return lines, rest


def split_values(data: bytes) -> tuple[list[bytes], bytes]:
    """Whole JSON values, which QMP clients need not end with a line, and what is left."""
    values = []
    while (data := data.lstrip()) and (end := _value_end(data)):
        values.append(data[:end])
        data = data[end:]
    return values, data


def _value_end(data: bytes) -> int:
    """Where the object or array that begins here ends, or the line if neither does; 0: not yet."""
    if data[:1] not in (b"{", b"["):
        return data.find(b"\n") + 1
    depth, quoted, escaped = 0, False, False
    for at, byte in enumerate(data):
        if quoted:
            quoted = escaped or byte != ord('"')
            escaped = not escaped and byte == ord("\\")
        elif byte == ord('"'):
            quoted = True
        elif byte in b"{[":
            depth += 1
        elif byte in b"}]":
            depth -= 1
            if not depth:
                return at + 1
    return 0


# ------------------------------------------------------------------------------------------------- JSON


def answer_json(monitor: Monitor, line: str, negotiated: bool = True) -> str:
    """The answer to a line of JSON, `{"execute": NAME, "arguments": {...}, "id": ANY}`, as QMP gives it."""
    try:
        request = json.loads(line)
    except (ValueError, RecursionError):
        return json.dumps(_error("GenericError", "invalid JSON syntax"))
    answer: dict[str, Any]
    try:
        answer = {"return": _execute(monitor, request, negotiated)}
    except _NotFoundError as error:
        answer = _error("CommandNotFound", str(error))
    except RecursionError:
        answer = _error("GenericError", "arguments are nested too deeply")
    except REFUSED as error:
        answer = _error("GenericError", str(error))
    if isinstance(request, dict) and "id" in request:
        answer["id"] = request["id"]
    return json.dumps(answer)


class _NotFoundError(NicemuError):
    """QMP's CommandNotFound."""


def _error(kind: str, text: str) -> dict[str, Any]:
    return {"error": {"class": kind, "desc": text}}


def _execute(monitor: Monitor, request: Any, negotiated: bool) -> Any:
    if not isinstance(request, dict) or not isinstance(request.get("execute"), str):
        raise NicemuError('expected {"execute": NAME, "arguments": {...}}')
    wrong = set(request) - {"execute", "arguments", "id"}
    arguments = request.get("arguments", {})
    if wrong or not isinstance(arguments, dict):
        raise NicemuError(f"unexpected {sorted(wrong)[0]!r}" if wrong else "arguments must be an object")
    name = request["execute"]
    if name == "qmp_capabilities":
        return {}
    if not negotiated:
        raise _NotFoundError("expected capabilities negotiation with 'qmp_capabilities'")
    if name == "human-monitor-command":
        line = arguments.get("command-line")
        if not isinstance(line, str):
            raise NicemuError("human-monitor-command needs the argument 'command-line'")
        return monitor.line(line)
    if name == "query-commands":
        return [{"name": n} for n in [*monitor.names(), "human-monitor-command", "qmp_capabilities", "query-version"]]
    if name == "query-version":
        return monitor.version()
    if name.replace("-", "_") not in [n.replace("-", "_") for n in monitor.names()]:
        raise _NotFoundError(f"The command {name} has not been found; query-commands lists them")
    return monitor.execute(name, arguments)


# ------------------------------------------------------------------------------------------------- the socket


class MonitorServer:
    """Takes commands for `monitor` at the Unix socket `path` (mode 0600), on the loop of its network.

    json_only: greet as QMP does, and speak nothing but JSON; commands follow upon qmp_capabilities.
    Close it when done; the socket file goes with it.

    Raises OSError if the path is taken or cannot be one.
    """

    def __init__(self, monitor: Monitor, path: str | os.PathLike[str], *, json_only: bool = False) -> None:
        self.monitor = monitor
        self.path = os.fspath(path)
        self.json_only = json_only
        self._loop = monitor.network.loop
        self._clients: set[_Client] = set()
        self._listener = listen(self.path)
        self._loop.watch(self._listener.fileno(), self._accept)

    def _accept(self, events: int) -> None:
        try:
            connection, _ = self._listener.accept()
        except OSError:  # it hung up meanwhile, or no descriptor is left: it may try again
            return
        if len(self._clients) == CLIENTS_MAX:
            connection.close()
            return
        client = _Client(connection, json_only=self.json_only)
        self._clients.add(client)
        self._loop.watch(connection.fileno(), lambda events: self._serve(client))
        if self.json_only:
            client.answer(json.dumps({"QMP": {"version": self.monitor.version(), "capabilities": []}}))
            self._send(client)

    def _serve(self, client: _Client) -> None:
        for line in client.receive():
            client.answer(self._answer(client, line))
        self._send(client)

    def _answer(self, client: _Client, line: str) -> str:
        if not self.json_only and not line.lstrip().startswith("{"):
            return answer_line(self.monitor, line)
        answer = answer_json(self.monitor, line, client.negotiated)
        client.negotiated = client.negotiated or ("qmp_capabilities" in line and answer.startswith('{"return"'))
        return answer

    def _send(self, client: _Client) -> None:
        if not client.flush():
            self._drop(client)
            return
        wanted = select.EPOLLIN | (select.EPOLLOUT if client.unsent else 0)
        if wanted != client.watched:  # an answer waits for its reader, or no longer does
            client.watched = wanted
            self._loop.unwatch(client.connection.fileno())
            ready: Callable[[int], None] = lambda events: self._serve(client)  # noqa: E731
            self._loop.watch(client.connection.fileno(), ready, wanted)

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

    def __enter__(self) -> MonitorServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Client:
    """One connection: bytes in up to the end of a line or of a JSON value, bytes out that its reader has not taken."""

    def __init__(self, connection: socket.socket, *, json_only: bool) -> None:
        connection.setblocking(False)
        self.connection = connection
        self.json_only = json_only
        self.negotiated = not json_only
        self.watched = int(select.EPOLLIN)
        self.unsent = b""
        self._line = b""
        self._ended = False

    def receive(self) -> list[str]:
        """The whole lines, or values, that have come."""
        try:
            data = self.connection.recv(LINE_MAX)
            self._ended = not data
        except BlockingIOError:
            return []
        except OSError:
            data, self._ended = b"", True
        lines, self._line = (split_values if self.json_only else split_lines)(self._line + data)
        if len(self._line) > LINE_MAX:
            self._ended = True
        return [line.decode(errors="replace") for line in lines]

    def answer(self, text: str) -> None:
        """Queues an answer."""
        self.unsent += text.encode(errors="replace") + b"\n"

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
