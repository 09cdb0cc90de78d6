"""Rules of the user network: hostfwd leads from this host to the guest, guestfwd from the guest to this host."""

from __future__ import annotations

import os
import re
import shlex
import sys
from ipaddress import IPv4Address
from typing import NamedTuple

from nicemu.errors import ConfigurationError

__all__ = ["GuestForward", "HostForward", "UnixForward", "read_hostfwd", "read_ipv4"]


def read_ipv4(option: str, text: str | IPv4Address) -> IPv4Address:
    """An address; ConfigurationError, naming the option, if it is none."""
    try:
        return IPv4Address(text)
    except ValueError:
        raise ConfigurationError(f"{option}={text} is not an IPv4 address; expected one like 10.0.2.2") from None


def read_port(rule: str, text: str) -> int:
    """A port; ConfigurationError, naming the rule, if it is none."""
    if not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise ConfigurationError(f"{rule!r}: {text!r} is not a port; expected 1 to 65535")
    return int(text)


def read_path(rule: str, path: str) -> str:
    """The path of a Unix socket; ConfigurationError, naming the rule, if it is too long for one."""
    if not 1 <= len(os.fsencode(path)) <= 107:
        raise ConfigurationError(f"{rule!r}: expected 1 to 107 bytes for the path of a socket")
    return path


class HostForward(NamedTuple):
    """One rule of hostfwd: what arrives at a port of this host goes to a port of the guest."""

    udp: bool
    host: IPv4Address
    host_port: int
    #: 0.0.0.0: the first address that DHCP gives.
    guest: IPv4Address
    guest_port: int

    @classmethod
    def parse(cls, rule: str) -> HostForward:
        """Reads QEMU's form, `tcp:127.0.0.1:5555-10.0.2.15:22` or `udp::5555-:22`; ConfigurationError if it is not."""
        match = re.fullmatch(r"(tcp|udp|):([^:]*):([^:-]*)-([^:]*):([^:]*)", rule)
        if not match:
            raise ConfigurationError(
                f"hostfwd={rule} is not a rule; expected [tcp|udp]:[hostaddr]:hostport-[guestaddr]:guestport "
                "or unix:path-[guestaddr]:guestport"
            )
        protocol, host, host_port, guest, guest_port = match.groups()
        return cls(
            protocol == "udp",
            read_ipv4("hostfwd", host or "0.0.0.0"),
            read_port(rule, host_port),
            read_ipv4("hostfwd", guest or "0.0.0.0"),
            read_port(rule, guest_port),
        )

    def __str__(self) -> str:
        protocol = "udp" if self.udp else "tcp"
        return f"{protocol}:{self.host}:{self.host_port}-{self.guest}:{self.guest_port}"


class UnixForward(NamedTuple):
    """One rule of hostfwd with a Unix socket of this host in place of a port."""

    path: str
    #: 0.0.0.0: the first address that DHCP gives.
    guest: IPv4Address
    guest_port: int

    @classmethod
    def parse(cls, rule: str) -> UnixForward:
        """Reads QEMU's form, `unix:/run/guest.sock-:22`; ConfigurationError if it is not."""
        match = re.fullmatch(r"unix:(.+)-([^:-]*):([^:-]*)", rule)
        if not match:
            raise ConfigurationError(f"hostfwd={rule} is not a rule; expected unix:path-[guestaddr]:guestport")
        path, guest, port = match.groups()
        return cls(read_path(rule, path), read_ipv4("hostfwd", guest or "0.0.0.0"), read_port(rule, port))

    def __str__(self) -> str:
        return f"unix:{self.path}-{self.guest}:{self.guest_port}"


def read_hostfwd(rule: str) -> HostForward | UnixForward:
    """A rule of hostfwd of either kind; ConfigurationError if it is none."""
    return UnixForward.parse(rule) if rule.startswith("unix:") else HostForward.parse(rule)


class GuestForward(NamedTuple):
    """One rule of guestfwd: connections of the guest to an address in its network end at something of this host."""

    server: IPv4Address | None  #: None: the place of the SMB server, .2.4
    port: int
    path: str  #: a Unix socket that each connection of the guest opens, or nothing
    command: str  #: a program that is started for each, joined to it by standard input and output

    @classmethod
    def parse(cls, rule: str) -> GuestForward:
        """Reads QEMU's form; ConfigurationError if it is not.

        `tcp:10.0.2.100:80-unix:/run/web.sock`, `tcp:10.0.2.100:80-tcp:127.0.0.1:8080`, or with a program,
        `tcp:10.0.2.100:80-cmd:cat /etc/motd`.
        """
        match = re.fullmatch(r"(?:tcp|):([^:]*):([^:-]*)-(cmd|unix|tcp):(.+)", rule)
        if not match:
            raise ConfigurationError(
                f"guestfwd={rule} is not a rule; expected tcp:[server]:port-cmd:COMMAND, -unix:PATH or -tcp:HOST:PORT"
            )
        server, port, kind, target = match.groups()
        place = read_ipv4("guestfwd", server) if server else None
        path, command = "", target
        if kind == "unix":
            path, command = read_path(rule, target), ""
        elif kind == "tcp":
            host, _, host_port = target.rpartition(":")
            read_port(rule, host_port)
            command = shlex.join([sys.executable, "-m", "nicemu.relay", host.strip("[]") or "127.0.0.1", host_port])
        return cls(place, read_port(rule, port), path, command)
