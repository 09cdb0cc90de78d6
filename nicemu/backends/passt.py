"""User-mode networking by passt, in a process of its own."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import socket as sockets
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from subprocess import DEVNULL
from typing import Any

from nicemu.backends.base import BackendType
from nicemu.backends.stream import Stream
from nicemu.errors import BackendError, ConfigurationError
from nicemu.options import Option

__all__ = ["TYPES", "Passt"]

log = logging.getLogger("nicemu")

#: How long passt may take to start, and to end when it is told to.
SECONDS = 5.0

#: QEMU's names of options that passt takes with a value, and passt's where they differ.
VALUES = {
    "mtu": "", "address": "", "netmask": "", "mac": "mac-addr", "gateway": "", "interface": "", "outbound": "",
    "outbound-if4": "", "outbound-if6": "", "dns": "", "search": "", "fqdn": "", "map-host-loopback": "",
    "map-guest-addr": "", "dns-forward": "", "dns-host": "", "tcp-ports": "", "udp-ports": "",
}  # fmt: skip
#: Of switches: what passt is given when one is off, and when it is on; all but freebind are on by default.
SWITCHES = {
    "quiet": ("", "--quiet"), "dhcp-dns": ("--no-dhcp-dns", ""), "dhcp-search": ("--no-dhcp-search", ""),
    "tcp": ("--no-tcp", ""), "udp": ("--no-udp", ""), "icmp": ("--no-icmp", ""), "dhcp": ("--no-dhcp", ""),
    "ndp": ("--no-ndp", ""), "dhcpv6": ("--no-dhcpv6", ""), "ra": ("--no-ra", ""), "freebind": ("", "--freebind"),
    "ipv4": ("--ipv6-only", ""), "ipv6": ("--ipv4-only", ""),
}  # fmt: skip
DEFAULT_OFF = ("freebind",)
MANY = ("search", "tcp-ports", "udp-ports", "param")


class Passt(Stream):
    """A network behind passt, which translates the guest's connections to sockets of this machine.

    `Passt(address="10.0.2.15", tcp_ports=["2222:22"])` starts the program `path` (by default `passt`, as the shell
    finds it) with QEMU's options of `-netdev passt`; each is passt's own option of that name, `mac` its `--mac-addr`,
    and passt(1) tells what they mean.  Switches (`tcp`, `udp`, `icmp`, `dhcp`, `dhcp_dns`, `dhcp_search`, `ndp`,
    `dhcpv6`, `ra`, `ipv4`, `ipv6`, `quiet`: on; `freebind`: off) take True or False.  `search`, `tcp_ports`,
    `udp_ports` and `param` (anything else for the command line) may be lists.  `Passt(socket="/tmp/passt_1.socket")`
    connects to one that runs already instead, again and again while it is away; options are its own then.

    What it says is logged (`nicemu`, at level info).

    passt ends with this backend, or with this process, however it ends.  When passt ends by itself the link goes down
    (`stream_counters.disconnects`); frames that find no room in its socket wait, as does the card.

    Raises BackendError if passt is missing or does not start, with its words; ConfigurationError for a wrong option.
    """

    kind = "passt"

    def __init__(
        self, *, path: str | os.PathLike[str] = "passt", socket: str = "", name: str = "", **options: Any
    ) -> None:
        options = {option.replace("_", "-"): value for option, value in options.items()}
        self._process: subprocess.Popen[bytes] | None = None
        if socket:
            if options or path != "passt":
                raise ConfigurationError("socket is that of a running passt; expected none of the other options")
            super().__init__(addr_path=socket, reconnect_ms=1000, name=name)
            return
        command = [_program(os.fspath(path)), *arguments(options)]
        ours, theirs = sockets.socketpair(sockets.AF_UNIX, sockets.SOCK_STREAM)
        try:
            with theirs:
                self._start(command, theirs.fileno())
            super().__init__(fd=ours, name=name)
        except BaseException:
            ours.close()
            self._end()
            raise

    def _start(self, command: list[str], fd: int) -> None:
        """Starts passt at its end of the socket, and waits until it serves: it writes its pid file last."""
        with tempfile.TemporaryDirectory(prefix="nicemu-passt-") as folder:
            ready = os.path.join(folder, "pid")
            command = [*command, "--foreground", "--pid", ready, "--fd", str(fd)]
            try:
                self._process = process = subprocess.Popen(
                    command, stdin=DEVNULL, stdout=DEVNULL, stderr=subprocess.PIPE, pass_fds=[fd]
                )
            except OSError as error:
                raise BackendError(error.errno, f"cannot start {command[0]}: {error.strerror}") from None
            deadline = time.monotonic() + SECONDS
            while not _written(ready):
                if process.poll() is not None:
                    raise BackendError(f"passt ended with status {process.returncode}: {_words(process)}")
                if time.monotonic() > deadline:
                    raise BackendError(f"passt does not start within {SECONDS:.0f} s")
                time.sleep(0.005)
        threading.Thread(target=_attend, args=[process], name=f"passt {process.pid}", daemon=True).start()

    @property
    def pid(self) -> int | None:
        """The process that was started, while it runs."""
        running = self._process is not None and self._process.returncode is None
        return self._process.pid if running and self._process else None

    @property
    def details(self) -> str:
        """What `info network` says of it."""
        return f"pid={self.pid}" if self.pid else ""

    def close(self) -> None:
        """Unplugs it and ends the passt that it started; again is harmless."""
        super().close()
        self._end()

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()  # nothing to one that was waited for
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(SECONDS)
        if process.returncode is None:
            process.kill()
            process.wait()


def _program(path: str) -> str:
    found = shutil.which(path)
    if not found:
        raise BackendError(f"backend passt needs the program {path}; install package passt, or name it with path=")
    return found


def arguments(options: Mapping[str, Any]) -> list[str]:
    """passt's command line for QEMU's options; ConfigurationError for one that there is not."""
    given = []
    for option, value in options.items():
        if option in SWITCHES:
            if not isinstance(value, bool):
                raise ConfigurationError(f"{option}={value} is not a switch; expected on or off")
            given.append(SWITCHES[option][value])
        elif option == "param":
            given += _listed(value)
        elif option in VALUES:
            if not isinstance(value, (str, int)) and option not in MANY:
                raise ConfigurationError(f"{option}={value!r}; expected one value")
            if option == "mtu" and not 0 <= _number(value) <= 65535:
                raise ConfigurationError(f"mtu={value}; expected a number from 0 (none is told) to 65535")
            for part in _listed(value):
                given += [f"--{VALUES[option] or option}", part]
        else:
            known = ", ".join(["path", "socket", *VALUES, *SWITCHES, "param"])
            raise ConfigurationError(f"backend passt has no option {option!r}; expected one of: {known}")
    if "quiet" not in options:
        given.append("--quiet")
    if options.get("ipv4") is False and options.get("ipv6") is False:
        raise ConfigurationError("ipv4=off and ipv6=off leave no network; expected at least one of them on")
    return [argument for argument in given if argument]


def _number(value: str | int) -> int:
    try:
        return int(value)
    except ValueError:
        return -1


def _listed(value: str | int | Sequence[str]) -> list[str]:
    return [str(value)] if isinstance(value, (str, int)) else [str(part) for part in value]


def _written(path: str) -> bool:
    try:
        return os.path.getsize(path) > 0
    except FileNotFoundError:
        return False


def _attend(process: subprocess.Popen[bytes]) -> None:
    """Logs what passt says, so that it never waits for a reader, and reaps it."""
    with process:
        for line in process.stderr or ():
            log.info("passt %d: %s", process.pid, line.decode(errors="replace").rstrip())


def _words(process: subprocess.Popen[bytes]) -> str:
    said = process.communicate()[1].decode(errors="replace")
    return "; ".join(line.strip() for line in said.splitlines() if line.strip())[-500:] or "it said nothing"


_TEXTS = {
    "mtu": "MTU that DHCP and NDP give",
    "address": "the guest's address",
    "netmask": "and its mask",
    "mac": "passt's own MAC address",
    "gateway": "the gateway that DHCP gives",
    "interface": "interface whose addresses and routes are taken",
    "outbound": "source address of outgoing connections",
    "outbound-if4": "interface of outgoing IPv4 connections",
    "outbound-if6": "interface of outgoing IPv6 connections",
    "dns": "the name server that DHCP gives",
    "search": "a search domain",
    "fqdn": "the name that DHCP gives to the guest",
    "map-host-loopback": "address by which the guest reaches this machine's loopback",
    "map-guest-addr": "address by which the guest reaches the one that it shares with this machine",
    "dns-forward": "address whose DNS queries are forwarded",
    "dns-host": "name server to which they go",
    "tcp-ports": "TCP ports to forward to the guest, as 2222:22",
    "udp-ports": "UDP ports to forward to the guest",
    "quiet": "have passt say errors only",
    "dhcp-dns": "DHCP gives name servers",
    "dhcp-search": "DHCP gives search domains",
    "tcp": "carry TCP",
    "udp": "carry UDP",
    "icmp": "carry ICMP echoes",
    "dhcp": "answer DHCP",
    "ndp": "answer NDP",
    "dhcpv6": "answer DHCPv6",
    "ra": "advertise routers",
    "freebind": "forward from addresses that are not this machine's",
    "ipv4": "have IPv4",
    "ipv6": "have IPv6",
}

TYPES = (
    BackendType(
        "passt",
        "a network by passt, in a process of its own; no privilege needed",
        (
            Option("path", "file", "the program", "passt"),
            Option("socket", "file", "of a passt that runs already, in place of a program"),
            *(Option(name, "str", _TEXTS[name], many=name in MANY) for name in VALUES),
            *(Option(name, "bool", _TEXTS[name], "off" if name in DEFAULT_OFF else "on") for name in SWITCHES),
            Option("param", "str", "anything else for passt's command line", many=True),
        ),
        Passt,
    ),
)
