"""A wire over a byte stream: TCP or a Unix socket, each frame behind its length."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from dataclasses import dataclass

from nicemu.backends.addresses import (
    Address,
    abstract_address,
    adopt,
    choose,
    packed,
    port_number,
    resolve,
    show,
    unix_address,
)
from nicemu.backends.base import Backend, BackendType
from nicemu.engine import ffi, lib
from nicemu.errors import BackendError, ConfigurationError
from nicemu.options import Option
from nicemu.unix_socket import SocketFile, listen

__all__ = ["TYPES", "Stream", "StreamCounters"]

CONNECT_SECONDS = 10.0


@dataclass(frozen=True)
class StreamCounters:
    """What became of a stream's connections; all since the backend was made."""

    #: Peers so far.
    connects: int
    disconnects: int
    #: Attempts to connect that failed.
    attempts: int
    #: Times that a peer waited and could not be accepted (no file descriptor left).
    refused: int
    #: Peers that sent a length which no frame has, and were sent away.
    protocol_errors: int
    #: Frames that ended with the connection.
    truncated: int


class Stream(Backend):
    """A wire over a byte stream, as QEMU's netdev stream: each frame behind its length, a u32 in network order.

    `Stream(server=True, addr_path="/run/a")` listens at a Unix socket (removed on closing), `addr_host` and `addr_port`
    at a TCP port (0: any that is free; see `address`; with `addr_to` the first free one up to that); one peer at a
    time.  With `addr_abstract` the path is a name in Linux's abstract name space (unix(7)).  Without `server` it
    connects: at once, or, with `reconnect_ms`, so long after each failure and each loss of the peer, in the background.
    `Stream(fd=n)` takes over a connected stream socket, a socket object too.

    The link is up while there is a peer.  Frames that find no room in the socket wait, as does the card, or are lost
    and counted (`overflow`); while the card has no room, the peer waits.  A frame of more than 16384 bytes is dropped
    and counted; a peer that claims more than 69632 speaks another protocol and is sent away.

    Raises BackendError if the address cannot be had or nobody listens there, ConfigurationError for a wrong option.
    """

    kind = "stream"
    lossless = True

    def __init__(
        self,
        *,
        server: bool = False,
        addr_type: str = "",
        addr_host: str = "",
        addr_port: str | int = "",
        addr_to: str | int = "",
        addr_path: str | os.PathLike[str] = "",
        addr_str: str | int = "",
        addr_ipv4: bool = True,
        addr_ipv6: bool = True,
        addr_keep_alive: bool = False,
        addr_abstract: bool = False,
        addr_tight: bool = True,
        fd: int | str | socket.socket | None = None,
        reconnect_ms: int = 0,
        reconnect: int = 0,
        name: str = "",
    ) -> None:
        config = ffi.new("nic_stream_config *", {"fd": -1, "listen_fd": -1})
        self._config = config
        self._file: SocketFile | None = None
        #: Where it listens or connects to, for people.
        self.address = ""
        if fd is None and addr_str != "":
            fd = addr_str
        path = os.fspath(addr_path)
        inet = bool(addr_host or str(addr_port))
        kind = choose("addr", addr_type, {"inet": inet, "unix": bool(path), "fd": fd is not None})
        config.reconnect = _interval(reconnect_ms, reconnect, server or fd is not None)
        config.keep_alive = addr_keep_alive
        _check_type(kind, "inet", {"addr.to": addr_to != "", "addr.keep-alive": addr_keep_alive})
        _check_type(kind, "unix", {"addr.abstract": addr_abstract, "addr.tight": not addr_tight})
        if kind == "fd" and fd is not None:
            self._descriptor(fd)
        elif kind == "unix":
            if addr_abstract:
                self._abstract(abstract_address("addr.path", path, addr_tight), server)
            else:
                self._unix(unix_address("addr.path", path), server)
        elif kind == "inet":
            ports = _ports(port_number("addr.port", addr_port), addr_to, server)
            self._tcp(addr_host, ports, server, _family(addr_ipv4, addr_ipv6))
        else:
            raise ConfigurationError(f"{self.kind}: expected addr.path, addr.host and addr.port, or fd")
        failure = ffi.new("int *")
        handle = lib.nic_stream_new(config, failure)
        if handle == ffi.NULL:
            raise BackendError(failure[0], f"cannot make a wire of the socket: {os.strerror(failure[0])}")
        super().__init__(handle, name)

    def _descriptor(self, fd: int | str | socket.socket) -> None:
        end = adopt("fd", fd, (socket.SOCK_STREAM,))
        self.address = f"fd {end.fileno()}"
        self._config.fd = end.detach()

    def _unix(self, path: str, server: bool) -> None:
        self.address = path
        if not server:
            self._connect([(socket.AF_UNIX, path)])
            return
        try:
            self._config.listen_fd = listen(path).detach()
        except OSError as error:
            raise BackendError(error.errno, error.strerror) from None
        self._file = SocketFile(path)

    def _abstract(self, name: str, server: bool) -> None:
        self.address = show(name)
        if server:
            self._listen([(socket.AF_UNIX, name)])
        else:
            self._connect([(socket.AF_UNIX, name)])

    def _tcp(self, host: str, ports: range, server: bool, family: int) -> None:
        found = resolve(host, ports[0], socket.SOCK_STREAM, passive=server, family=family)
        self.address = show(found[0][1])
        if not server:
            self._connect(found)
            return
        self._listen([resolve(host, port, socket.SOCK_STREAM, passive=True, family=family)[0] for port in ports])

    def _listen(self, places: list[tuple[int, Address]]) -> None:
        """At the first of the places that is free."""
        failure = OSError("no address")
        for family, place in places:
            listener = socket.socket(family, socket.SOCK_STREAM)
            try:
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                listener.bind(place)
                listener.listen(1)
            except OSError as error:
                listener.close()
                failure = error
                if error.errno != errno.EADDRINUSE:
                    break
            else:
                if family != socket.AF_UNIX:
                    self.address = show(listener.getsockname())
                self._config.listen_fd = listener.detach()
                return
        raise BackendError(failure.errno, f"cannot listen at {self.address}: {failure.strerror}") from None

    def _connect(self, found: list[tuple[int, Address]]) -> None:
        """Connects now, or leaves it to the engine where failures are followed by attempts."""
        if not self._config.reconnect:
            self._config.fd = self._connect_now(found).detach()
            return
        for at, (family, address) in enumerate(found[: lib.NIC_STREAM_ADDRESSES]):
            raw = packed(family, address)
            self._config.addresses[at].length = len(raw)
            ffi.memmove(self._config.addresses[at].bytes, raw, len(raw))
            self._config.address_count = at + 1

    def _connect_now(self, found: list[tuple[int, Address]]) -> socket.socket:
        failure = OSError("no address")
        for family, address in found:
            end = socket.socket(family, socket.SOCK_STREAM)
            end.settimeout(CONNECT_SECONDS)
            try:
                end.connect(address)
                return end
            except OSError as error:
                end.close()
                failure = error
        text = f"cannot connect to {self.address}: {failure.strerror or failure}; start its server first, or give"
        raise BackendError(failure.errno, f"{text} reconnect-ms") from None

    @property
    def stream_counters(self) -> StreamCounters:
        """A reading of the counters that only this backend has."""
        c = lib.nic_stream_get_counters(self.handle)
        return StreamCounters(c.connects, c.disconnects, c.attempts, c.refused, c.protocol_errors, c.truncated)

    @property
    def error(self) -> OSError | None:
        """What ended the last connection, or the last attempt at one; None where the peer simply left."""
        code = lib.nic_stream_error(self.handle)
        return OSError(code, os.strerror(code), self.address) if code else None

    @property
    def details(self) -> str:
        """Its addresses."""
        return self.address

    def close(self) -> None:
        """Unplugs it, closes its connection, and removes its Unix socket; again is harmless."""
        super().close()
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.remove()
            self._file = None


def _interval(milliseconds: int, seconds: int, passive: bool) -> int:
    """Options reconnect-ms and reconnect (seconds), in ns."""
    if milliseconds and seconds:
        raise ConfigurationError("reconnect and reconnect-ms exclude one another; expected one of them")
    if milliseconds < 0 or seconds < 0:
        raise ConfigurationError("reconnect-ms is a time; expected 0 (never) or more")
    if passive and (milliseconds or seconds):
        raise ConfigurationError("reconnect-ms is for a client that connects; expected neither server=on nor fd")
    return milliseconds * 1_000_000 + seconds * 1_000_000_000


def _family(ipv4: bool, ipv6: bool) -> int:
    if not ipv4 and not ipv6:
        raise ConfigurationError("addr.ipv4 and addr.ipv6 are both off; expected one of them")
    return socket.AF_UNSPEC if ipv4 and ipv6 else socket.AF_INET if ipv4 else socket.AF_INET6


def _ports(first: int, last: str | int, server: bool) -> range:
    """Those that a server may take, in turn."""
    if last == "":
        return range(first, first + 1)
    end = port_number("addr.to", last)
    if not server or end < first:
        raise ConfigurationError(f"addr.to={last} is the last port to try; expected server=on and addr.port or more")
    return range(first, end + 1)


def _check_type(kind: str, needed: str, given: dict[str, bool]) -> None:
    """Options of one address type with another would do nothing."""
    for name, has in given.items():
        if has and kind != needed:
            raise ConfigurationError(f"{name} is for addr.type={needed}; here it is {kind or 'not given'}")


_OPTIONS = (
    Option("server", "bool", "listen, and take one peer at a time", "off"),
    Option("addr.type", "str", "inet, unix or fd", "by the options given", "addr_type"),
    Option("addr.host", "addr", "the host to connect to, or the address to listen at", "any", "addr_host"),
    Option("addr.port", "int", "the TCP port", "", "addr_port"),
    Option("addr.to", "int", "with server=on: the last of the ports to try", "addr.port", "addr_to"),
    Option("addr.ipv4", "bool", "use IPv4 addresses of the host", "on", "addr_ipv4"),
    Option("addr.ipv6", "bool", "use IPv6 addresses of the host", "on", "addr_ipv6"),
    Option("addr.keep-alive", "bool", "ask a silent peer whether it is there", "off", "addr_keep_alive"),
    Option("addr.path", "file", "the Unix socket", "", "addr_path"),
    Option("addr.abstract", "bool", "addr.path is a name in Linux's abstract name space", "off", "addr_abstract"),
    Option("addr.tight", "bool", "an abstract name ends where it does, not after 107 bytes", "on", "addr_tight"),
    Option("addr.str", "int", "with addr.type=fd: an open, connected stream socket", "", "addr_str"),
    Option("fd", "int", "an open, connected stream socket; short for addr.type=fd,addr.str="),
    Option("reconnect-ms", "int", "connect again so long after a failure or a loss; 0: never", "0"),
    Option("reconnect", "int", "the same in seconds", "0"),
)

TYPES = (BackendType("stream", "frames in a byte stream, over TCP or a Unix socket", _OPTIONS, Stream),)
