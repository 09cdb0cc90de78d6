"""User-mode networking: a private network behind a NAT, by libslirp."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from pathlib import Path
from typing import Any, NamedTuple

from nicemu.backends.base import Backend, BackendType
from nicemu.backends.forwarding import GuestForward, HostForward, UnixForward, read_hostfwd, read_ipv4, read_port
from nicemu.backends.smb import PORTS, SmbShare
from nicemu.engine import ffi, lib
from nicemu.errors import BackendError, ConfigurationError
from nicemu.options import Option

__all__ = ["TYPES", "HostForward", "User", "UserCounters", "library_version"]

#: Networks that RFC 1918 and RFC 2544 give, for a `net` without a mask; other addresses go by their class.
PRIVATE = [IPv4Network(n) for n in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "198.18.0.0/15")]


def library_version() -> str:
    """The version of the libslirp that is installed; BackendError, naming the package to install, if there is none."""
    version = lib.nic_user_version()
    if version == ffi.NULL:
        reason = ffi.string(lib.nic_user_load_error()).decode(errors="replace")
        raise BackendError(
            f"backend user needs libslirp ({reason}); install package libslirp0 (Debian, Ubuntu) or libslirp (Fedora)"
        )
    return str(ffi.string(version).decode())


def _ipv6(option: str, text: str | IPv6Address) -> IPv6Address:
    try:
        return IPv6Address(text)
    except ValueError:
        raise ConfigurationError(f"{option}={text} is not an IPv6 address; expected one like fec0::2") from None


@dataclass(frozen=True)
class UserCounters:
    """What happened around libslirp; all since the backend was made."""

    #: Frames of the guest that the strict filter refused, by reason.
    filtered: dict[str, int]
    #: Frames of the guest that libslirp was given.
    passed: int
    #: TCP segments whose URG bit and urgent pointer were cleared on the way.
    urgent_cleared: int
    #: Mistakes of the guest that libslirp reported.
    guest_errors: int
    #: Frames for the guest that found no room.
    queue_full: int
    #: Times that the card had no room and the host's sockets were left alone.
    holds: int
    #: Times that a host socket was ready and could not be served (no file descriptor left).
    stalls: int


def _network(net: str) -> IPv4Network:
    """The network of option net: with /24 or /255.255.255.0, or by RFC 1918 and the address's class."""
    try:
        if "/" in net:
            network = IPv4Network(net, strict=False)
        else:
            address = IPv4Address(net)
            private = [n for n in PRIVATE if address in n]
            by_class = 8 if int(address) < 1 << 31 else 16 if int(address) < 3 << 30 else 24
            network = private[0] if private else IPv4Network((int(address), by_class), strict=False)
    except ValueError:
        raise ConfigurationError(f"net={net} is not a network; expected one like 10.0.2.0/24") from None
    if network.prefixlen > 28:
        raise ConfigurationError(f"net={net} is too small; expected a mask of at most 28 bits")
    return network


def _net(net: str, ip: str) -> str:
    """The network of `net`, or of QEMU's older `ip`, which has no mask."""
    if net and ip:
        raise ConfigurationError(f"net={net} and ip={ip} are one option; expected one of them")
    return net or f"{read_ipv4('ip', ip) if ip else '10.0.2.0'}/24"


class _Ipv4Plan(NamedTuple):
    net: IPv4Network
    host: IPv4Address
    dhcpstart: IPv4Address
    dns: IPv4Address


def _plan_ipv4(net: str, host: str, dhcpstart: str, dns: str) -> _Ipv4Plan:
    """Addresses, where unset at QEMU's places: host .2.2, dns .2.3, dhcpstart .2.15, cut to the network."""
    network = _network(net)

    def place(option: str, text: str, default: int) -> IPv4Address:
        address = read_ipv4(option, text) if text else network[default & int(network.hostmask)]
        if address not in network or address in (network.network_address, network.broadcast_address):
            raise ConfigurationError(f"{option}={address} is no station's address in net={network}; expected another")
        return address

    start = 0x20F if network.prefixlen < 28 else 4
    plan = _Ipv4Plan(
        network, place("host", host, 0x202), place("dhcpstart", dhcpstart, start), place("dns", dns, 0x203)
    )
    if len({plan.host, plan.dhcpstart, plan.dns}) < 3:
        raise ConfigurationError(
            f"host={plan.host}, dns={plan.dns} and dhcpstart={plan.dhcpstart}: expected three different addresses"
        )
    return plan


class _Ipv6Plan(NamedTuple):
    prefix: IPv6Network
    host: IPv6Address
    dns: IPv6Address


def _plan_ipv6(net: str, host: str, dns: str) -> _Ipv6Plan:
    try:
        prefix = IPv6Network(net, strict=False)
    except ValueError:
        raise ConfigurationError(f"ipv6-net={net} is not a prefix; expected one like fec0::/64") from None
    if prefix.prefixlen > 126:
        raise ConfigurationError(f"ipv6-net={net} is too small; expected a prefix of at most 126 bits")
    plan = _Ipv6Plan(prefix, _ipv6("ipv6-host", host or prefix[2]), _ipv6("ipv6-dns", dns or prefix[3]))
    for option, address in (("ipv6-host", plan.host), ("ipv6-dns", plan.dns)):
        if address not in prefix:
            raise ConfigurationError(f"{option}={address} is outside of ipv6-net={prefix}")
    return plan


def _prefix6(net: str, prefix: str, length: int | None) -> str:
    """One prefix of QEMU's two ways to give it."""
    if net and (prefix or length is not None):
        raise ConfigurationError(f"ipv6-net={net} and ipv6-prefix: expected one of them")
    return net or f"{prefix or 'fec0::'}/{64 if length is None else length}"


def _unlink(path: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)


def _check_text(option: str, text: str, limit: int) -> str:
    if len(text.encode()) > limit or any(ord(c) < 32 for c in text):
        raise ConfigurationError(f"{option}: expected at most {limit} bytes without control characters")
    return text


class User(Backend):
    """A network of the guest's own behind a NAT: DHCP, DNS, TCP, UDP and ICMP echo, with no privilege and no set-up.

    Options are QEMU's: `net` (10.0.2.0/24; or `ip`, whose mask is /24), `host` (the gateway, 10.0.2.2, which reaches
    this machine's 127.0.0.1), `dns` (10.0.2.3), `dhcpstart` (10.0.2.15), `hostname` and `domainname` and `dnssearch`
    for DHCP, `restrict` (nothing leaves the network but what hostfwd lets in), `tftp` (a folder that is served) with
    `bootfile` and `tftp_server_name`, `ipv4` and `ipv6` (each may be switched off) with `ipv6_net` (or `ipv6_prefix`
    and `ipv6_prefixlen`), `ipv6_host` and `ipv6_dns`, `hostfwd` rules such as `tcp::5555-:22` or `unix:/run/x-:22`,
    `guestfwd` rules such as `tcp:10.0.2.100:80-cmd:cat` (`-unix:PATH`, `-tcp:HOST:PORT`), and `smb`, a folder that
    Samba's smbd serves at `smbserver` (10.0.2.4).  A guest reaches guestfwd and SMB although `restrict` is on.

    While the card has no room for frames the host's sockets are left alone, so that TCP towards the guest waits and
    loses nothing.  The MTU is 1500; longer frames of the guest are refused, as is everything that the strict filter
    finds inconsistent (`user_counters`); IP fragments are among it.  Frames for the guest are padded to 60 bytes.

    Raises BackendError if libslirp or smbd is missing or a port cannot be had, ConfigurationError for a wrong option.
    """

    kind = "user"
    lossless = True

    _handle = None
    _smb: SmbShare | None = None

    def __init__(
        self,
        *,
        net: str = "",
        host: str = "",
        dhcpstart: str = "",
        dns: str = "",
        hostname: str = "",
        domainname: str = "",
        dnssearch: Sequence[str] = (),
        restrict: bool = False,
        tftp: str | os.PathLike[str] = "",
        bootfile: str = "",
        tftp_server_name: str = "",
        ipv4: bool = True,
        ipv6: bool = True,
        ipv6_net: str = "",
        ipv6_host: str = "",
        ipv6_dns: str = "",
        ipv6_prefix: str = "",
        ipv6_prefixlen: int | None = None,
        hostfwd: Sequence[str] = (),
        guestfwd: Sequence[str] = (),
        smb: str | os.PathLike[str] = "",
        smbserver: str = "",
        ip: str = "",
        name: str = "",
    ) -> None:
        if not ipv4 and not ipv6:
            raise ConfigurationError("ipv4=off and ipv6=off leave no network; expected at least one of them on")
        if any(isinstance(many, str) for many in (hostfwd, guestfwd, dnssearch)):
            raise ConfigurationError("hostfwd, guestfwd and dnssearch take lists, as in hostfwd=['tcp::5555-:22']")
        rules = [read_hostfwd(rule) for rule in hostfwd]
        ways = [GuestForward.parse(rule) for rule in guestfwd]
        folder = os.fspath(tftp)
        if folder and not Path(folder).is_dir():
            raise ConfigurationError(f"tftp={folder} is not a folder; expected the one to serve")
        self.ipv4 = _plan_ipv4(_net(net, ip), host, dhcpstart, dns)
        self.ipv6 = _plan_ipv6(_prefix6(ipv6_net, ipv6_prefix, ipv6_prefixlen), ipv6_host, ipv6_dns)
        ways += self._share(os.fspath(smb), smbserver)
        self.restrict = restrict
        self._places: set[tuple[IPv4Address, int]] = set()  #: of guestfwd
        self._paths: list[str] = []  #: Unix sockets of hostfwd
        config = ffi.new("nic_user_config *")
        config.restricted, config.ipv4, config.ipv6 = restrict, ipv4, ipv6
        texts = {
            "hostname": _check_text("hostname", hostname, 255),
            "domainname": _check_text("domainname", domainname, 255),
            "bootfile": _check_text("bootfile", bootfile, 127),
            "tftp_server_name": _check_text("tftp-server-name", tftp_server_name, 255),
            "tftp": folder,
        }
        self._fill(config, texts, [_check_text("dnssearch", d, 253) for d in dnssearch], name)
        self._add_rules(rules, ways)

    def _share(self, folder: str, server: str) -> list[GuestForward]:
        """What leads the guest to smbd."""
        place = self._place("smbserver", read_ipv4("smbserver", server) if server else None)
        if not folder:
            return []
        self._smb = SmbShare(folder)
        return [GuestForward(place, port, "", self._smb.command) for port in PORTS]

    def _place(self, option: str, address: IPv4Address | None) -> IPv4Address:
        """An address in the network that nothing has; by default QEMU's, .2.4."""
        network = self.ipv4.net
        found = address or network[0x204 & int(network.hostmask)]
        if found not in network or found in (self.ipv4.host, self.ipv4.dns, self.ipv4.dhcpstart):
            raise ConfigurationError(f"{option}={found}; expected a free address in net={network}")
        return found

    def _fill(self, config: Any, texts: dict[str, str], dnssearch: list[str], name: str) -> None:
        library_version()
        config.net, config.mask = int(self.ipv4.net.network_address), int(self.ipv4.net.netmask)
        config.host, config.dns, config.dhcp_start = int(self.ipv4.host), int(self.ipv4.dns), int(self.ipv4.dhcpstart)
        config.prefix6 = list(self.ipv6.prefix.network_address.packed)
        config.prefix6_length = self.ipv6.prefix.prefixlen
        config.host6, config.dns6 = list(self.ipv6.host.packed), list(self.ipv6.dns.packed)
        keep = {option: ffi.new("char[]", os.fsencode(text)) for option, text in texts.items() if text}
        for option, text in keep.items():
            setattr(config, option, text)
        domains = [ffi.new("char[]", domain.encode()) for domain in dnssearch]
        listed = ffi.new("const char *[]", [*domains, ffi.NULL])
        config.dnssearch = listed if domains else ffi.NULL
        failure = ffi.new("int *")
        handle = lib.nic_user_new(config, failure)
        if handle == ffi.NULL:
            raise BackendError(failure[0], f"libslirp {library_version()} failed: {os.strerror(failure[0])}")
        super().__init__(handle, name)

    def _add_rules(self, rules: Sequence[HostForward | UnixForward], ways: Sequence[GuestForward]) -> None:
        try:
            for rule in rules:
                self._add(rule)
            for way in ways:
                self._add_way(way)
        except (BackendError, ConfigurationError):
            self.close()
            raise

    def _add(self, rule: HostForward | UnixForward) -> None:
        guest = int(rule.guest)
        if isinstance(rule, UnixForward):
            error = lib.nic_user_hostfwd_unix(self.handle, os.fsencode(rule.path), guest, rule.guest_port)
            if not error:
                os.chmod(rule.path, 0o600)
                self._paths.append(rule.path)
        else:
            error = lib.nic_user_hostfwd_add(
                self.handle, rule.udp, int(rule.host), rule.host_port, guest, rule.guest_port
            )
        if error:
            raise BackendError(error, f"hostfwd={rule}: {os.strerror(error)}")

    def _add_way(self, way: GuestForward) -> None:
        server, target = self._place("guestfwd", way.server), way.path or way.command
        if (server, way.port) in self._places:  # libslirp's own check compares ports of different byte orders
            raise ConfigurationError(f"guestfwd to {server}:{way.port} is given twice; expected one for each place")
        self._places.add((server, way.port))
        error = lib.nic_user_guestfwd(self.handle, int(server), way.port, os.fsencode(target), bool(way.command))
        if error:
            raise BackendError(error, f"guestfwd to {server}:{way.port}: {os.strerror(error)}")

    def hostfwd_add(self, rule: str) -> None:
        """Forwards a port of this host, as `tcp:127.0.0.1:5555-10.0.2.15:22`, or a Unix socket, as `unix:/run/x-:22`.

        Raises BackendError if it cannot be had.
        """
        self._add(read_hostfwd(rule))

    def hostfwd_remove(self, rule: str) -> None:
        """Ends a forwarding, named by its host side as `tcp:127.0.0.1:5555`; ConfigurationError if there is none."""
        if rule.startswith("unix:"):
            self._remove_unix(rule)
            return
        match = re.fullmatch(r"(tcp|udp|):([^:]*):([^:-]*)(-.*)?", rule)
        if not match:
            raise ConfigurationError(f"{rule!r} names no forwarding; expected [tcp|udp]:[hostaddr]:hostport")
        protocol, host, port, _ = match.groups()
        address = read_ipv4("hostaddr", host or "0.0.0.0")
        if lib.nic_user_hostfwd_remove(self.handle, protocol == "udp", int(address), read_port(rule, port)):
            raise ConfigurationError(f"{rule!r}: nothing is forwarded from there; see info()")

    def _remove_unix(self, rule: str) -> None:
        text = rule.removeprefix("unix:")
        path = next((p for p in self._paths if text == p or text.startswith(f"{p}-")), "")
        if not path or lib.nic_user_hostfwd_unix_remove(self.handle, os.fsencode(path)):
            raise ConfigurationError(f"{rule!r}: nothing is forwarded from there; see info()")
        self._paths.remove(path)
        _unlink(path)

    def close(self) -> None:
        """Ends all connections, and removes what was made for them."""
        super().close()
        while self._paths:
            _unlink(self._paths.pop())
        if self._smb:
            self._smb.close()

    def info(self) -> str:
        """The connections under way, as libslirp lists them (QEMU's `info usernet`)."""
        size = int(lib.nic_user_info(self.handle, ffi.NULL, 0))
        text = ffi.new("char[]", size + 1)
        lib.nic_user_info(self.handle, text, size + 1)
        return str(ffi.string(text).decode(errors="replace"))

    @property
    def details(self) -> str:
        """The network and whether it is shut, as QEMU's `info network` has them."""
        return f"net={self.ipv4.net.network_address},restrict={'on' if self.restrict else 'off'}"

    @property
    def version(self) -> str:
        """The version of libslirp."""
        return library_version()

    @property
    def user_counters(self) -> UserCounters:
        """A reading of the counters that only this backend has."""
        c = lib.nic_user_get_counters(self.handle)
        reasons = {
            str(ffi.string(lib.nic_filter_reason(i)).decode()): int(c.filter[i])
            for i in range(1, lib.NIC_FILTER_REASONS)
        }
        return UserCounters(reasons, c.filter[0], c.urgent_cleared, c.guest_errors, c.queue_full, c.holds, c.stalls)


_OPTIONS = (
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
    Option("ipv6-prefix", "addr", "the guest's IPv6 prefix, without its length", "fec0::"),
    Option("ipv6-prefixlen", "int", "the length of ipv6-prefix", "64"),
    Option("ip", "addr", "net=, without its length, which is 24"),
    Option(
        "hostfwd",
        "rule",
        "to the guest: [tcp|udp]:[hostaddr]:hostport-[guestaddr]:guestport or unix:path-[guestaddr]:guestport",
        many=True,
    ),
    Option(
        "guestfwd",
        "rule",
        "from the guest: tcp:[server]:port-cmd:COMMAND, -unix:PATH or -tcp:HOST:PORT",
        many=True,
    ),
    Option("smb", "dir", "a folder to serve by SMB; needs smbd"),
    Option("smbserver", "addr", "the address of the SMB server", "10.0.2.4"),
)

TYPES = (BackendType("user", "a private network behind a NAT, by libslirp; no privilege needed", _OPTIONS, User),)
