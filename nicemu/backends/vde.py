"""A port of a VDE switch, and whatever else libvdeplug reaches by a URL."""

from __future__ import annotations

import errno
import getpass
import grp
import itertools
import os
import re
import socket
import tempfile
from dataclasses import dataclass
from typing import Any

from nicemu.backends.base import Backend, BackendType
from nicemu.engine import ffi, lib
from nicemu.errors import BackendError, ConfigurationError
from nicemu.options import Option
from nicemu.unix_socket import path_bytes

__all__ = ["TYPES", "Vde", "VdeCounters", "VdePlug"]

#: Where VDE's own programs look for a switch that is not named.
DEFAULTS = ("~/.vde2/default.switch", "/run/vde.ctl", "/var/run/vde.ctl", "/tmp/vde.ctl")
PORT_MAX = 65535

_numbers = itertools.count()


@dataclass(frozen=True)
class VdeCounters:
    """What became of the connection to the switch; all since the backend was made."""

    #: Times that the switch gave a port.
    connects: int
    #: Times that it went away.
    disconnects: int
    #: Attempts that failed.
    attempts: int


class Vde(Backend):
    """A port of a VDE switch: `Vde("/tmp/switch")`, with the switch started by `vde_switch -sock /tmp/switch`.

    sock:  the switch's folder; by default where VDE's programs look (~/.vde2/default.switch, /run/vde.ctl,
           /tmp/vde.ctl).
    port:  the switch's port; 0: any that is free.
    mode:  permissions of this end's own socket, which the switch must be able to write to (0700).
    group: its group.

    It speaks the switch's protocol itself; no library is needed.  When the switch ends, the link goes down, and the
    backend asks for the port again: after 0.1 s at first, then less and less often, every 5 s at last.

    Raises BackendError if there is no switch or it refuses the port, ConfigurationError for a wrong option.
    """

    kind = "vde"
    lossless = True

    def __init__(
        self,
        sock: str | os.PathLike[str] = "",
        *,
        port: int = 0,
        group: str = "",
        mode: int | str = 0o700,
        name: str = "",
    ) -> None:
        if "://" in os.fspath(sock):
            raise ConfigurationError(f"sock={sock} is a URL; expected the folder of a switch, or VdePlug for the URL")
        self.sock = _switch(os.fspath(sock))
        self.port = _port(port)
        control = os.path.join(self.sock, "ctl")
        permissions, gid = _mode(mode), _gid(group)
        try:
            path_bytes(control)
        except OSError as error:
            raise ConfigurationError(f"sock={self.sock}: {error.strerror}") from None
        own, path = _bind(self.sock)
        try:
            os.chmod(path, permissions)
            if gid is not None:
                os.chown(path, -1, gid)
        except OSError as error:
            own.close()
            os.unlink(path)
            raise BackendError(error.errno, f"cannot give {path} to group {group}: {error.strerror}") from None
        self._join(own, path, control, name)

    def _join(self, own: socket.socket, path: str, control: str, name: str) -> None:
        description = ffi.new("char[]", f"nicemu user={_user()} pid={os.getpid()}".encode()[:127])
        paths = [ffi.new("char[]", os.fsencode(p)) for p in (control, path)]
        config = ffi.new("nic_vde_config *")
        config.fd, config.port, config.description = own.detach(), self.port, description
        config.control, config.own = paths
        failure = ffi.new("int *")
        handle = lib.nic_vde_new(config, failure)
        if handle == ffi.NULL:
            code = int(failure[0])
            reason = os.strerror(code)
            if code == errno.ECONNRESET:
                reason = f"the switch refused port {self.port or '0 (any)'}"
            elif code in (errno.ENOENT, errno.ECONNREFUSED):
                reason = f"{reason}; start it with vde_switch -sock {self.sock}"
            raise BackendError(code, f"no VDE switch at {self.sock}: {reason}")
        super().__init__(handle, name)

    @property
    def details(self) -> str:
        """What `info network` says of it."""
        return f"sock={self.sock},port={self.port}"

    @property
    def vde_counters(self) -> VdeCounters:
        """A reading of the counters that only this backend has."""
        c = lib.nic_vde_get_counters(self.handle)
        return VdeCounters(c.connects, c.disconnects, c.attempts)


class VdePlug(Backend):
    """A virtual network that libvdeplug reaches: `VdePlug("tap://tap0")`, `VdePlug("vxvde://239.0.0.1")`.

    url:  MODULE://WHERE, as `man libvdeplug` lists them.
    port, mode, group: as those of `Vde`; most modules have no use for them.

    Needs the library (Debian's libvdeplug2) and its module for the URL.  Making one may take as long as the module
    takes to connect.  When the network ends the link goes down for good; a switch's port that comes back is `Vde`.

    Raises BackendError if the library or its module is missing or the network cannot be reached, ConfigurationError for
    a wrong option.
    """

    kind = "vde"
    lossless = True

    def __init__(self, url: str, *, port: int = 0, group: str = "", mode: int | str = 0o700, name: str = "") -> None:
        if not re.match(r"[A-Za-z]\w*://", url):
            raise ConfigurationError(f"{url!r} is no URL of libvdeplug; expected one such as tap://tap0 (or Vde)")
        self.url = url
        self.port = _port(port)
        texts = [ffi.new("char[]", os.fsencode(text)) for text in (url, "nicemu", group)]
        config = ffi.new("nic_vdeplug_config *")
        config.url, config.description, config.group = texts[0], texts[1], texts[2] if group else ffi.NULL
        config.port, config.mode = self.port, _mode(mode)
        failure = ffi.new("int *")
        handle = lib.nic_vdeplug_new(config, failure)
        if handle == ffi.NULL:
            raise BackendError(int(failure[0]), f"cannot open {url}: {_library_says(url, int(failure[0]))}")
        super().__init__(handle, name)

    @property
    def details(self) -> str:
        """What `info network` says of it."""
        return f"sock={self.url},port={self.port}"


def _library_says(url: str, code: int) -> str:
    if code == errno.ENOSYS:
        reason = ffi.string(lib.nic_vdeplug_load_error()).decode(errors="replace")
        return f"URLs need libvdeplug, Debian's libvdeplug2, and {reason} (sock=FOLDER of a switch needs no library)"
    if code == errno.EPROTONOSUPPORT:
        return f"libvdeplug has no module {url.partition('://')[0]!r} here"
    return os.strerror(code)


def _make(*, sock: str = "", **options: Any) -> Backend:
    return VdePlug(sock, **options) if "://" in sock else Vde(sock, **options)


def _port(port: int) -> int:
    if not 0 <= port <= PORT_MAX:
        raise ConfigurationError(f"port={port} is out of range; expected 0 (any) to {PORT_MAX}")
    return port


def _switch(sock: str) -> str:
    if sock:
        return os.path.abspath(sock)
    places = [os.path.expanduser(place) for place in DEFAULTS]
    for place in places:
        if os.path.exists(place):
            return os.path.realpath(place)
    raise BackendError(errno.ENOENT, f"no VDE switch at {', '.join(places)}; name its folder with sock=")


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def _mode(mode: int | str) -> int:
    try:
        value = int(mode, 8) if isinstance(mode, str) else mode
    except ValueError:
        value = -1
    if not 0 <= value <= 0o777:
        raise ConfigurationError(f"mode={mode} is not a mode; expected an octal number such as 0700")
    return value


def _gid(group: str) -> int | None:
    if not group:
        return None
    try:
        return int(group) if group.isdecimal() else grp.getgrnam(group).gr_gid
    except KeyError:
        raise ConfigurationError(f"group={group}: there is no such group") from None


def _bind(folder: str) -> tuple[socket.socket, str]:
    """A datagram socket for the switch to send to: beside the switch's own, or where temporary files go."""
    end = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    failure: OSError | None = None
    for place, _ in itertools.product((folder, tempfile.gettempdir()), range(8)):
        path = os.path.join(place, f".{os.getpid():05d}-nicemu{next(_numbers):05d}")
        try:
            end.bind(path)
            return end, path
        except OSError as error:
            failure = error
    end.close()
    reason = failure.strerror if failure else "it is taken"
    raise BackendError(failure.errno if failure else errno.EADDRINUSE, f"no VDE switch at {folder}: {reason}")


TYPES = (
    BackendType(
        "vde",
        "a port of a VDE switch, or what libvdeplug reaches by a URL",
        (
            Option("sock", "dir", "the switch's folder, or a URL for libvdeplug", "where VDE's programs look"),
            Option("port", "int", "the switch's port; 0: any that is free", "0"),
            Option("group", "str", "group of this end's socket"),
            Option("mode", "str", "and its permissions, octal", "0700"),
        ),
        _make,
    ),
)
