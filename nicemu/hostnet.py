"""Taps and bridges of this machine, made and taken away again: what tunctl and brctl did.

Needs pyroute2 (`pip install nicemu[net]`) and CAP_NET_ADMIN.
"""

from __future__ import annotations

import argparse
import errno
import grp
import ipaddress
import os
import pwd
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from nicemu.errors import BackendError, ConfigurationError

__all__ = ["join", "main", "setup", "teardown"]


@contextmanager
def _netlink(what: str) -> Iterator[Any]:
    """A netlink socket; what goes wrong on it becomes a BackendError that begins with `what`."""
    try:
        from pyroute2 import IPRoute, NetlinkError
    except ImportError as error:
        raise BackendError(f"{what}: pyroute2 is missing; pip install nicemu[net]") from error
    try:
        with IPRoute() as ip:
            yield ip
    except NetlinkError as error:
        hint = "; it needs CAP_NET_ADMIN" if error.code == errno.EPERM else ""
        raise BackendError(error.code, f"{what}: {os.strerror(error.code)}{hint}") from error


def _index(ip: Any, name: str) -> int:
    found = ip.link_lookup(ifname=name)
    if not found:
        raise BackendError(errno.ENODEV, f"there is no interface {name}")
    return int(found[0])


def _kind(ip: Any, index: int) -> str:
    info = ip.get_links(index)[0].get_attr("IFLA_LINKINFO")
    return str(info.get_attr("IFLA_INFO_KIND")) if info else ""


def join(ifname: str, bridge: str) -> None:
    """Puts an interface into a bridge and takes it up; BackendError if one of them is missing or it is not allowed."""
    with _netlink(f"cannot put {ifname} into bridge {bridge}") as ip:
        master = _index(ip, bridge)
        if _kind(ip, master) != "bridge":
            raise BackendError(errno.EINVAL, f"{bridge} is no bridge")
        ip.link("set", index=_index(ip, ifname), master=master, state="up")


def setup(
    *,
    taps: Sequence[str] = (),
    bridge: str = "",
    user: str = "",
    group: str = "",
    address: str = "",
) -> None:
    """Makes taps that stay, and a bridge with all of them in it, and takes them up.

    taps:    their names.
    bridge:  its name; one that exists is used.
    user, group: who may use the taps without privilege; by default the user who asks.
    address: of the bridge, or without one of the only tap: `192.168.53.1/24`.

    Raises ConfigurationError for what makes no sense, BackendError for what the kernel refuses; nothing is then left.
    """
    owner = _owner(user, group)
    if not taps and not bridge:
        raise ConfigurationError("nothing to set up; expected a tap or a bridge")
    if address and not bridge and len(taps) != 1:
        raise ConfigurationError(f"address {address} has {len(taps)} taps to go to; expected a bridge, or one tap")
    where = _interface(address)
    undo: list[Callable[[], Any]] = []
    with _netlink("cannot set up " + ", ".join([*taps, *([bridge] if bridge else [])])) as ip:
        try:
            master = _make_bridge(ip, bridge, undo) if bridge else 0
            for tap in taps:
                if ip.link_lookup(ifname=tap):  # or else the kernel hands out that one
                    raise BackendError(errno.EEXIST, f"cannot make tap {tap}: {os.strerror(errno.EEXIST)}")
                ip.link("add", ifname=tap, kind="tuntap", mode="tap", **owner)
                index = _index(ip, tap)
                undo.append(partial(ip.link, "del", index=index))
                ip.link("set", index=index, state="up", **({"master": master} if master else {}))
            if where:
                ip.addr("add", index=master or index, address=str(where.ip), prefixlen=where.network.prefixlen)
        except BaseException:
            for step in reversed(undo):
                step()
            raise


def _make_bridge(ip: Any, name: str, undo: list[Callable[[], Any]]) -> int:
    if not ip.link_lookup(ifname=name):
        ip.link("add", ifname=name, kind="bridge")
        index = _index(ip, name)
        undo.append(partial(ip.link, "del", index=index))
    index = _index(ip, name)
    if _kind(ip, index) != "bridge":
        raise BackendError(errno.EEXIST, f"{name} exists and is no bridge")
    ip.link("set", index=index, state="up")
    return index


def _owner(user: str, group: str) -> dict[str, int]:
    try:
        owner = {"uid": pwd.getpwnam(user).pw_uid if user else os.getuid()}
        return owner | ({"gid": grp.getgrnam(group).gr_gid} if group else {})
    except KeyError:
        raise ConfigurationError(f"no such user or group: {user or group}") from None


def _interface(address: str) -> ipaddress.IPv4Interface | ipaddress.IPv6Interface | None:
    try:
        return ipaddress.ip_interface(address) if address else None
    except ValueError:
        raise ConfigurationError(f"{address!r} is no address; expected one like 192.168.53.1/24") from None


def teardown(*, taps: Sequence[str] = (), bridge: str = "") -> None:
    """Takes taps and a bridge away.

    Raises BackendError, and takes nothing away, if one is missing or something else, or the bridge has other ports.
    """
    if not taps and not bridge:
        raise ConfigurationError("nothing to take away; expected a tap or a bridge")
    with _netlink("cannot take away " + ", ".join([*taps, *([bridge] if bridge else [])])) as ip:
        doomed = [_doomed(ip, tap, "tun") for tap in taps]
        if bridge:
            master = _doomed(ip, bridge, "bridge")
            others = [link for link in ip.get_links(master=master) if link["index"] not in doomed]
            if others:
                names = ", ".join(link.get_attr("IFLA_IFNAME") for link in others)
                raise BackendError(errno.EBUSY, f"bridge {bridge} has other ports: {names}")
            doomed.append(master)
        for index in doomed:
            ip.link("del", index=index)


def _doomed(ip: Any, name: str, kind: str) -> int:
    index = _index(ip, name)
    if _kind(ip, index) != kind:
        raise BackendError(errno.EINVAL, f"{name} is no {'tap' if kind == 'tun' else kind}; it stays")
    return index


# ------------------------------------------------------------------------------------------------- command line

EPILOG = """\
examples:
  python -m nicemu net setup --bridge br0 --address 192.168.53.1/24 --tap tap0 --tap tap1 --user alice
  python -m nicemu serve e1000 --netdev tap,ifname=tap0,script=no,downscript=no --socket-path nic.sock
  python -m nicemu net teardown --tap tap0 --tap tap1 --bridge br0
"""


def add_commands(net: argparse.ArgumentParser) -> None:
    """The commands of `nicemu net`."""
    commands = net.add_subparsers(metavar="setup | teardown", required=True)
    make = commands.add_parser("setup", help="make taps that stay, and a bridge with them in it")
    undo = commands.add_parser("teardown", help="take them away")
    for command in (make, undo):
        command.add_argument("--tap", metavar="NAME", action="append", default=[], help="a tap; may be repeated")
        command.add_argument("--bridge", metavar="NAME", default="", help="a bridge; setup uses one that exists")
    make.add_argument("--user", metavar="NAME", default="", help="who may use the taps (default: who asks)")
    make.add_argument("--group", metavar="NAME", default="", help="a group that may use the taps")
    make.add_argument("--address", metavar="ADDR/LEN", default="", help="of the bridge, or of the only tap")
    make.set_defaults(run=lambda a: setup(taps=a.tap, bridge=a.bridge, user=a.user, group=a.group, address=a.address))
    undo.set_defaults(run=lambda a: teardown(taps=a.tap, bridge=a.bridge))


def main(arguments: Sequence[str]) -> int:
    """Runs `nicemu net`; raises as `setup` and `teardown` do."""
    from nicemu.cli import Parser

    parser = Parser(
        prog="python -m nicemu net",
        description="Taps and bridges of this machine.  Needs CAP_NET_ADMIN and pyroute2 (pip install nicemu[net]).",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_commands(parser)
    parsed = parser.parse_args(arguments)
    parsed.run(parsed)
    return 0
