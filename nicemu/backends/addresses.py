"""Addresses and descriptors of sockets, as options give them; a mistake is answered with what was expected."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Sequence
from ipaddress import IPv4Address

from nicemu.errors import BackendError, ConfigurationError
from nicemu.unix_socket import path_bytes

__all__ = [
    "abstract_address",
    "adopt",
    "choose",
    "host_and_port",
    "packed",
    "port_number",
    "resolve",
    "show",
    "unix_address",
]

#: A socket's address as Python has it: a path, or host, port and perhaps IPv6's flow and scope.
Address = str | tuple[str, int] | tuple[str, int, int, int]

#: Bytes of sockaddr_un.sun_path.
SUN_PATH = 108

TYPES = {socket.SOCK_STREAM: "stream", socket.SOCK_DGRAM: "datagram"}


def choose(prefix: str, kind: str, given: dict[str, bool]) -> str:
    """The address type: the one that is named, or else the one whose options are given; "" where there is neither."""
    types = [name for name, has in given.items() if has]
    if kind and kind not in given:
        raise ConfigurationError(f"{prefix}.type={kind}; expected one of: {', '.join(given)}")
    if len(types) > 1 or (kind and types and types != [kind]):
        raise ConfigurationError(f"{prefix}: options of {' and '.join(types)}; expected those of {kind or 'one type'}")
    return kind or "".join(types)


def port_number(option: str, text: str | int) -> int:
    """A port; ConfigurationError for what is none."""
    digits = str(text)
    if not digits.isdecimal() or not 0 <= int(digits) <= 65535:
        raise ConfigurationError(f"{option}={text} is not a port; expected 0 to 65535")
    return int(digits)


def host_and_port(option: str, text: str) -> tuple[str, int]:
    """`host:port`, `:port` or `[ipv6]:port`."""
    host, colon, port = text.rpartition(":")
    if not colon:
        raise ConfigurationError(f"{option}={text}; expected host:port or :port")
    return host.removeprefix("[").removesuffix("]"), port_number(option, port)


def resolve(
    host: str, port: int, kind: int, *, passive: bool = False, family: int = socket.AF_UNSPEC
) -> list[tuple[int, Address]]:
    """Family and address of each that the name has; BackendError if there is none."""
    flags = socket.AI_PASSIVE if passive else 0
    if not host and passive and family == socket.AF_UNSPEC:
        family = socket.AF_INET  # QEMU's: any IPv4 address
    try:
        found = socket.getaddrinfo(host or None, port, family, kind, 0, flags)
    except (socket.gaierror, UnicodeError) as error:
        raise BackendError(f"cannot find host {host!r}: {getattr(error, 'strerror', error)}") from None
    return [(f, (str(a[0]), int(a[1])) if f == socket.AF_INET else a) for f, _, _, _, a in found]  # type: ignore[misc]


def unix_address(option: str, path: str) -> str:
    """A path that a socket can have; ConfigurationError if it is none."""
    try:
        path_bytes(path)
    except OSError as error:
        raise ConfigurationError(f"{option}={error.strerror}") from None
    return path


def abstract_address(option: str, name: str, tight: bool) -> str:
    """A name in Linux's abstract name space (unix(7)): as long as it is, or (not tight) filled up with zeros."""
    return ("\0" + unix_address(option, name)).ljust(0 if tight else SUN_PATH, "\0")


def packed(family: int, address: Address) -> bytes:
    """The address as a sockaddr of C."""
    head = struct.pack("=H", family)
    if isinstance(address, str):
        raw = os.fsencode(address)
        return head + raw + b"\0" * (not raw.startswith(b"\0"))
    raw = socket.inet_pton(family, address[0].partition("%")[0])
    if family == socket.AF_INET:
        return head + struct.pack("!H4s8x", address[1], raw)
    scope = address[3] if len(address) == 4 else 0
    return head + struct.pack("!HI16s", address[1], 0, raw) + struct.pack("=I", scope)


def show(address: Address | None) -> str:
    """The address for messages and monitors."""
    if not isinstance(address, tuple):
        return (address or "?").replace("\0", "@", 1).rstrip("\0")
    return f"[{address[0]}]:{address[1]}" if ":" in address[0] else f"{address[0]}:{address[1]}"


def adopt(option: str, fd: int | str | socket.socket, kinds: Sequence[int], *, connected: bool = True) -> socket.socket:
    """A socket from outside, which is ours from now on; ConfigurationError unless it is one of those types."""
    wanted = " or ".join(name for kind, name in TYPES.items() if kind in kinds)
    if isinstance(fd, socket.socket):
        return _fitting(option, fd, wanted, kinds, connected)
    if not str(fd).isdecimal():
        raise ConfigurationError(f"{option}={fd}; expected the number of an open {wanted} socket")
    try:
        adopted = socket.socket(fileno=int(fd))
    except OSError as error:
        raise ConfigurationError(f"{option}={fd}: {error.strerror}; expected an open {wanted} socket") from None
    try:
        return _fitting(option, adopted, wanted, kinds, connected)
    except ConfigurationError:
        adopted.detach()
        raise


def _fitting(option: str, end: socket.socket, wanted: str, kinds: Sequence[int], connected: bool) -> socket.socket:
    if end.type not in kinds:
        raise ConfigurationError(f"{option}={end.fileno()} is another type of socket; expected a {wanted} socket")
    try:
        end.getpeername()
    except OSError:
        if connected:
            fd = end.fileno()
            raise ConfigurationError(f"{option}={fd} has no peer; expected a connected {wanted} socket") from None
    return end


def is_multicast(host: str) -> bool:
    """Whether the host is an IPv4 multicast group."""
    try:
        return IPv4Address(host).is_multicast
    except ValueError:
        return False
