"""A wire of datagrams, one frame in each: Unix, UDP, UDP multicast."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
from dataclasses import replace

from nicemu.backends.addresses import (
    Address,
    adopt,
    choose,
    is_multicast,
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
from nicemu.unix_socket import SocketFile, bind_datagram

__all__ = ["TYPES", "Dgram"]

#: What is asked of the kernel for each direction of a socket of ours; it grants what net.core allows.
ROOM = 4 << 20
IP_RECVERR, IPV6_RECVERR = 11, 25  # linux/in.h, linux/in6.h: ICMP errors reach the socket that sent the datagram


class Dgram(Backend):
    """A wire of datagrams, one frame in each with no header, as QEMU's netdev dgram.

    `Dgram(local_path="/run/a", remote_path="/run/b")`: Unix sockets; the file is removed on closing.
    `Dgram(local_host="127.0.0.1", local_port=1001, remote_host="127.0.0.1", remote_port=1002)`: UDP.
    `Dgram(remote_host="230.0.0.1", remote_port=1234)`: a UDP multicast group, which any number may join;
    `local_host` is then the address of the interface.
    `Dgram(fd=n)`: a connected datagram socket that is open already, a socket object too; it is taken over.

    Frames that find no room in the peer's socket wait, as does the card, or are lost and counted (`overflow`).  While
    the card has no room the socket is left alone: a Unix peer waits, UDP loses in the kernel.  Frames for a peer that
    is not there are lost and counted (`send_drops`); the next that binds to the address gets those that follow.

    Raises BackendError if an address cannot be had, ConfigurationError for a wrong option.
    """

    kind = "dgram"
    lossless = True

    def __init__(
        self,
        *,
        local_type: str = "",
        local_host: str = "",
        local_port: str | int = "",
        local_path: str | os.PathLike[str] = "",
        local_str: str | int = "",
        remote_type: str = "",
        remote_host: str = "",
        remote_port: str | int = "",
        remote_path: str | os.PathLike[str] = "",
        fd: int | str | socket.socket | None = None,
        name: str = "",
    ) -> None:
        self._config = ffi.new("nic_dgram_config *", {"send_fd": -1})
        self._file: SocketFile | None = None
        if fd is None and local_str != "":
            fd = local_str
        here, there = os.fspath(local_path), os.fspath(remote_path)
        inet = bool(local_host or str(local_port))
        local = choose("local", local_type, {"inet": inet, "unix": bool(here), "fd": fd is not None})
        far_inet = bool(remote_host or str(remote_port))
        remote = choose("remote", remote_type, {"inet": far_inet, "unix": bool(there)})
        if remote == "inet" and is_multicast(remote_host):
            self._multicast(fd, local_host, remote_host, port_number("remote.port", remote_port))
        elif fd is not None:
            self._descriptor(fd, remote)
        elif local == "unix" and remote == "unix":
            self._unix(unix_address("local.path", here), unix_address("remote.path", there))
        elif local == "inet" and remote == "inet":
            far = remote_host, port_number("remote.port", remote_port)
            self._udp((local_host, port_number("local.port", local_port)), far)
        else:
            raise ConfigurationError(
                "dgram: expected local.path and remote.path, local.port and remote.host and remote.port, "
                "a multicast group in remote.host and remote.port, or fd"
            )
        failure = ffi.new("int *")
        handle = lib.nic_dgram_new(self._config, failure)
        if handle == ffi.NULL:
            raise BackendError(failure[0], f"cannot make a wire of the socket: {os.strerror(failure[0])}")
        super().__init__(handle, name)

    def _open(self, receiver: socket.socket, sender: socket.socket | None, to: bytes = b"") -> None:
        """Hands the sockets to the engine's configuration."""
        for end in (receiver, sender or receiver):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, ROOM)
            end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, ROOM)
        self._hand_over(receiver, sender, to)

    def _hand_over(self, receiver: socket.socket, sender: socket.socket | None = None, to: bytes = b"") -> None:
        self._to = ffi.from_buffer(to)
        self._config.receive_fd = receiver.detach()
        if sender is not None:
            self._config.send_fd = sender.detach()
        if to:
            self._config.to = self._to
            self._config.to_length = len(to)

    def _descriptor(self, fd: int | str | socket.socket, remote: str) -> None:
        if remote:
            raise ConfigurationError("dgram: fd is a connected socket; expected no remote address")
        end = adopt("fd", fd, (socket.SOCK_DGRAM,))
        self.address = f"fd {end.fileno()}"
        self._hand_over(end)

    def _unix(self, local: str, remote: str) -> None:
        try:
            receiver, sender = bind_datagram(local)
        except OSError as error:
            raise BackendError(error.errno, error.strerror) from None
        self._file = SocketFile(local)
        self.address = f"{local} to {remote}"
        self._config.connect = True
        self._open(receiver, sender, packed(socket.AF_UNIX, remote))

    def _udp(self, local: tuple[str, int], remote: tuple[str, int]) -> None:
        if not remote[0] or not remote[1]:
            raise ConfigurationError("dgram: expected the peer's address in remote.host and remote.port")
        family, far = resolve(*remote, socket.SOCK_DGRAM)[0]
        near = resolve(*local, socket.SOCK_DGRAM, passive=True, family=family)[0][1]
        end = socket.socket(family, socket.SOCK_DGRAM)
        _bind(end, near)
        ipv4 = family == socket.AF_INET
        end.setsockopt(*((socket.IPPROTO_IP, IP_RECVERR) if ipv4 else (socket.IPPROTO_IPV6, IPV6_RECVERR)), 1)
        self.address = f"{show(end.getsockname())} to {show(far)}"
        self._open(end, None, packed(family, far))

    def _multicast(self, fd: int | str | socket.socket | None, local: str, group: str, port: int) -> None:
        if not port:
            raise ConfigurationError("dgram: expected the port of the multicast group in remote.port")
        interface = "0.0.0.0"
        if local:
            interface = str(resolve(local, 0, socket.SOCK_DGRAM, family=socket.AF_INET)[0][1][0])
        if fd is not None:
            receiver = adopt("fd", fd, (socket.SOCK_DGRAM,), connected=False)
        else:
            receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            receiver.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            _bind(receiver, (group, port))
            self._join(receiver, group, interface)
        sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 1)
            sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(interface))
            sender.connect((group, port))
        except OSError as error:
            receiver.close()
            sender.close()
            raise BackendError(error.errno, f"cannot send to {group}:{port}: {error.strerror}") from None
        self.address = f"{group}:{port} by {show(sender.getsockname())}"
        self._config.ignore_own = True
        self._open(receiver, sender, packed(socket.AF_INET, (group, port)))

    @staticmethod
    def _join(end: socket.socket, group: str, interface: str) -> None:
        request = struct.pack("4s4s", socket.inet_aton(group), socket.inet_aton(interface))
        try:
            end.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, request)
        except OSError as error:
            end.close()
            raise BackendError(error.errno, f"cannot join {group} by {interface}: {error.strerror}") from None

    @property
    def details(self) -> str:
        """Its addresses."""
        return self.address

    def close(self) -> None:
        """Unplugs it, and closes and removes its socket; again is harmless."""
        super().close()
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.remove()
            self._file = None


def _bind(end: socket.socket, address: Address) -> None:
    try:
        end.bind(address)
    except OSError as error:
        end.close()
        raise BackendError(error.errno, f"cannot bind to {show(address)}: {error.strerror}") from None


_LISTED = (
    Option("local.type", "str", "inet, unix or fd", "by the options given"),
    Option("local.host", "addr", "the address to receive at; with a multicast group, the interface's", "any"),
    Option("local.port", "int", "the UDP port to receive at"),
    Option("local.path", "file", "the Unix socket to receive at; made here"),
    Option("local.str", "int", "with local.type=fd: an open, connected datagram socket"),
    Option("remote.type", "str", "inet or unix", "by the options given"),
    Option("remote.host", "addr", "the address to send to; may be an IPv4 multicast group"),
    Option("remote.port", "int", "the UDP port to send to"),
    Option("remote.path", "file", "the Unix socket to send to"),
    Option("fd", "int", "an open, connected datagram socket; short for local.type=fd,local.str="),
)
_OPTIONS = tuple(replace(option, parameter=option.name.replace(".", "_")) for option in _LISTED)

TYPES = (BackendType("dgram", "a frame a datagram, over Unix sockets, UDP or multicast", _OPTIONS, Dgram),)
