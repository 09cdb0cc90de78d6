"""Backends by name, with QEMU's names and options: `user,hostfwd=tcp::5555-:22`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from nicemu.backends.base import Backend
from nicemu.errors import ConfigurationError
from nicemu.options import Option
from nicemu.options import parse as split

__all__ = ["BackendType", "available", "create", "parse"]


@dataclass(frozen=True)
class BackendType:
    """A type of backend: QEMU's name, a line about it, its options, and how it is made."""

    name: str
    description: str
    options: tuple[Option, ...]
    make: Callable[..., Backend]


def _make_null(**options: Any) -> Backend:
    from nicemu.backends.wires import Null

    return Null(**options)


def _make_loopback(**options: Any) -> Backend:
    from nicemu.backends.wires import Loopback

    return Loopback(**options)


def _make_user(**options: Any) -> Backend:
    from nicemu.backends.user import User

    return User(**options)


_USER_OPTIONS = (
    Option("net", "addr/len", "the guest's IPv4 network", "10.0.2.0/24"),
    Option("host", "addr", "the gateway, which is this machine to the guest", "10.0.2.2"),
    Option("dhcpstart", "addr", "the first address that DHCP gives", "10.0.2.15"),
    Option("dns", "addr", "the name server", "10.0.2.3"),
    Option("hostname", "str", "the name that DHCP gives to the guest"),
    Option("domainname", "str", "the domain that DHCP gives to the guest"),
    Option("dnssearch", "str", "a domain to search names in", many=True),
    Option("restrict", "bool", "let nothing out of the network", "off"),
    Option("tftp", "dir", "a folder to serve by TFTP"),
    Option("bootfile", "str", "the file that DHCP names for booting"),
    Option("tftp-server-name", "str", "the TFTP server that DHCP names"),
    Option("ipv4", "bool", "have IPv4", "on"),
    Option("ipv6", "bool", "have IPv6", "on"),
    Option("ipv6-net", "addr/len", "the guest's IPv6 prefix", "fec0::/64"),
    Option("ipv6-host", "addr", "the IPv6 gateway", "fec0::2"),
    Option("ipv6-dns", "addr", "the IPv6 name server", "fec0::3"),
    Option("hostfwd", "rule", "forward a port: [tcp|udp]:[hostaddr]:hostport-[guestaddr]:guestport", many=True),
)

_TYPES = {
    t.name: t
    for t in (
        BackendType(
            "user", "a private network behind a NAT, by libslirp; no privilege needed", _USER_OPTIONS, _make_user
        ),
        BackendType("loopback", "a plug that returns every frame", (), _make_loopback),
        BackendType("null", "a wire that swallows every frame", (), _make_null),
    )
}


def available() -> list[BackendType]:
    """The types of backend that can be made by name."""
    return list(_TYPES.values())


def create(kind: str, options: Mapping[str, Any] | None = None) -> Backend:
    """Makes a backend from QEMU's names; a list is for an option that may be given more than once.

    `id` names it.  Raises ConfigurationError, naming what is valid, for an unknown type, option or value.
    """
    if kind not in _TYPES:
        raise ConfigurationError(f"unknown backend {kind!r}; expected one of: {', '.join(_TYPES)}")
    known = {option.name: option for option in _TYPES[kind].options}
    keywords = {}
    for name, value in (options or {}).items():
        values = list(value) if isinstance(value, (list, tuple)) else [value]
        if name == "id":
            keywords["name"] = str(values[0])
        elif name not in known:
            names = ", ".join(["id", *known])
            raise ConfigurationError(f"backend {kind} has no option {name!r}; expected one of: {names}")
        else:
            keywords[known[name].keyword] = known[name].read(values)
    return _TYPES[kind].make(**keywords)


def parse(text: str) -> Backend:
    """Makes a backend from the argument of -netdev, `user,id=n0,hostfwd=tcp::5555-:22` (see `nicemu.options`).

    Raises ConfigurationError as `create` does.
    """
    options = split(text)
    return create(options.word, options.values)
