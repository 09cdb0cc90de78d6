"""Backends: the wire that a card is joined to.

>>> from nicemu.backends import Pcap, User
>>> wire = Pcap(User(hostfwd=["tcp::5555-:22"]), "boot.pcap")

A backend is given to a card when it is made (`backend=`) or later (`Nic.plug`).  `create` and `parse` make one from
QEMU's names; `available` lists them.
"""

from __future__ import annotations

from nicemu.backends.base import Backend, BackendType, Counters, Wrapper, WrapperType
from nicemu.backends.dgram import Dgram
from nicemu.backends.faults import FaultCounters, Faults
from nicemu.backends.l2tpv3 import L2tpv3, L2tpv3Counters
from nicemu.backends.passt import Passt
from nicemu.backends.pcap import Pcap
from nicemu.backends.python import PythonBackend
from nicemu.backends.rate import Rate, RateCounters
from nicemu.backends.registry import available, create, parse, wrap, wrappers
from nicemu.backends.socket_netdev import SocketDgram, SocketStream, make_socket
from nicemu.backends.stream import Stream, StreamCounters
from nicemu.backends.tap import Bridge, Tap
from nicemu.backends.tee import Tee
from nicemu.backends.user import User, UserCounters
from nicemu.backends.vde import Vde, VdeCounters, VdePlug
from nicemu.backends.wires import Hub, HubPort, Loopback, Null, Pair

__all__ = [
    "Backend",
    "BackendType",
    "Bridge",
    "Counters",
    "Dgram",
    "FaultCounters",
    "Faults",
    "Hub",
    "HubPort",
    "L2tpv3",
    "L2tpv3Counters",
    "Loopback",
    "Null",
    "Pair",
    "Passt",
    "Pcap",
    "PythonBackend",
    "Rate",
    "RateCounters",
    "SocketDgram",
    "SocketStream",
    "Stream",
    "StreamCounters",
    "Tap",
    "Tee",
    "User",
    "UserCounters",
    "Vde",
    "VdeCounters",
    "VdePlug",
    "Wrapper",
    "WrapperType",
    "available",
    "create",
    "make_socket",
    "parse",
    "wrap",
    "wrappers",
]
