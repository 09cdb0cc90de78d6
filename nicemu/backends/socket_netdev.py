"""QEMU's netdev socket, the older name of `stream` and `dgram`: listen, connect, mcast, udp, fd."""

from __future__ import annotations

import socket

from nicemu.backends.addresses import adopt, host_and_port, is_multicast
from nicemu.backends.base import Backend, BackendType
from nicemu.backends.dgram import Dgram
from nicemu.backends.stream import Stream
from nicemu.errors import ConfigurationError
from nicemu.options import Option

__all__ = ["TYPES", "SocketDgram", "SocketStream", "make_socket"]


class SocketStream(Stream):
    """A `Stream` by the name of QEMU's netdev socket."""

    kind = "socket"


class SocketDgram(Dgram):
    """A `Dgram` by the name of QEMU's netdev socket."""

    kind = "socket"


def make_socket(
    *,
    fd: int | str | socket.socket | None = None,
    listen: str = "",
    connect: str = "",
    mcast: str = "",
    localaddr: str = "",
    udp: str = "",
    name: str = "",
) -> Backend:
    """The backend of `-netdev socket`: exactly one of `fd`, `listen`, `connect`, `mcast` and `udp`.

    Addresses are `host:port`.  `localaddr` is the interface's address for `mcast`, and where `udp` receives.

    Raises BackendError if an address cannot be had or nobody listens there, ConfigurationError for a wrong option.
    """
    given = {"fd": fd is not None, "listen": listen, "connect": connect, "mcast": mcast, "udp": udp}
    chosen = [option for option, has in given.items() if has]
    if len(chosen) != 1:
        raise ConfigurationError(
            f"socket: {' and '.join(chosen) or 'nothing'} given; expected one of: {', '.join(given)}"
        )
    if localaddr and not (mcast or udp):
        raise ConfigurationError("socket: localaddr goes with mcast or udp")
    if fd is not None:
        end = adopt("fd", fd, (socket.SOCK_STREAM, socket.SOCK_DGRAM))
        return (SocketStream if end.type == socket.SOCK_STREAM else SocketDgram)(fd=end, name=name)
    if listen or connect:
        host, port = host_and_port("listen" if listen else "connect", listen or connect)
        return SocketStream(server=bool(listen), addr_host=host, addr_port=port, name=name)
    if mcast:
        group, port = host_and_port("mcast", mcast)
        if not is_multicast(group):
            raise ConfigurationError(f"mcast={mcast} is no IPv4 multicast group; expected one like 230.0.0.1:1234")
        return SocketDgram(remote_host=group, remote_port=port, local_host=localaddr, name=name)
    if not localaddr:
        raise ConfigurationError("socket: udp needs localaddr, where frames are received")
    (host, port), (here, here_port) = host_and_port("udp", udp), host_and_port("localaddr", localaddr)
    return SocketDgram(local_host=here, local_port=here_port, remote_host=host, remote_port=port, name=name)


_OPTIONS = (
    Option("fd", "int", "an open, connected socket, stream or datagram"),
    Option("listen", "host:port", "the TCP address to listen at; without a host: any"),
    Option("connect", "host:port", "the TCP address to connect to"),
    Option("mcast", "host:port", "the UDP multicast group to join"),
    Option("udp", "host:port", "the UDP address to send to"),
    Option("localaddr", "addr", "with mcast: the interface's address; with udp: host:port to receive at"),
)

TYPES = (BackendType("socket", "stream and dgram in QEMU's older words", _OPTIONS, make_socket),)
