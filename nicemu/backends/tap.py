"""A network interface of this machine's kernel as the wire: `tap`, and `bridge`, which finds its own.

Sources: Linux Documentation/networking/tuntap.rst; qemu-options.hx of QEMU 11, "-netdev tap" and "-netdev bridge".
"""

from __future__ import annotations

import array
import errno
import fcntl
import logging
import os
import shlex
import socket
import struct
import subprocess
from functools import partial
from pathlib import Path

from nicemu.backends.base import Backend, BackendType
from nicemu.backends.units import parse_size
from nicemu.engine import ffi, lib
from nicemu.errors import BackendError, ConfigurationError
from nicemu.options import Option

__all__ = ["TYPES", "Bridge", "Tap"]

log = logging.getLogger("nicemu.tap")

SCRIPT, DOWNSCRIPT = "/etc/qemu-ifup", "/etc/qemu-ifdown"
HELPER = "/usr/lib/qemu/qemu-bridge-helper"
BRIDGE = "br0"
DEVICE = "/dev/net/tun"
NAME_MAX = 15  #: bytes of an interface's name (IFNAMSIZ less its NUL)
SNDBUF_MAX = 0x7FFFFFFF

# linux/if_tun.h
TUNSETIFF, TUNSETOFFLOAD, TUNSETSNDBUF, TUNSETVNETHDRSZ = 0x400454CA, 0x400454D0, 0x400454D4, 0x400454D8
TUNGETIFF, TUNGETFEATURES, TUNGETVNETHDRSZ = 0x800454D2, 0x800454CF, 0x800454D7
IFF_TAP, IFF_NO_PI, IFF_VNET_HDR = 0x0002, 0x1000, 0x4000
TUN_F_CSUM, TUN_F_TSO4, TUN_F_TSO6, TUN_F_TSO_ECN, TUN_F_USO4, TUN_F_USO6 = 0x01, 0x02, 0x04, 0x08, 0x20, 0x40
IFREQ = struct.Struct("16sH22x")
HEADER = 10  #: bytes of struct virtio_net_hdr


# ------------------------------------------------------------------------------------------------- descriptors


def _int_of(fd: int, request: int) -> int:
    value = array.array("i", [0])
    fcntl.ioctl(fd, request, value)
    return value[0]


def _check_name(option: str, name: str) -> None:
    size = len(os.fsencode(name))
    if not 1 <= size <= NAME_MAX or "/" in name or any(c.isspace() for c in name):
        raise ConfigurationError(f"{option}={name!r} is no interface name; expected 1 to {NAME_MAX} bytes")


def _open(ifname: str, vnet_hdr: bool | None) -> tuple[int, str, bool]:
    """A tap of that name, made if there is none: its descriptor, its name, and whether it has virtio-net headers."""
    try:
        fd = os.open(DEVICE, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise BackendError(error.errno, f"cannot open {DEVICE}: {error.strerror}; a tap needs it") from error
    try:
        able = bool(_int_of(fd, TUNGETFEATURES) & IFF_VNET_HDR)
        if vnet_hdr and not able:
            raise BackendError(errno.ENOTSUP, "vnet_hdr=on, but this kernel's taps have no virtio-net headers")
        header = able if vnet_hdr is None else vnet_hdr
        flags = IFF_TAP | IFF_NO_PI | (IFF_VNET_HDR if header else 0)
        request = bytearray(IFREQ.pack(os.fsencode(ifname or "tap%d"), flags))
        try:
            fcntl.ioctl(fd, TUNSETIFF, request)
        except OSError as error:
            what = f"cannot have tap {ifname or 'tap%d'}: {error.strerror}"
            hint = "; it needs CAP_NET_ADMIN, or a tap made for this user (nicemu net setup)"
            raise BackendError(error.errno, what + (hint if error.errno == errno.EPERM else "")) from error
        return fd, os.fsdecode(IFREQ.unpack(request)[0].rstrip(b"\0")), header
    except BaseException:
        os.close(fd)
        raise


def _inherited(fd: int) -> tuple[int, str, bool]:
    """A descriptor that something else opened: what `_open` returns; BackendError if it is no tap's."""
    request = bytearray(IFREQ.size)
    try:
        fcntl.ioctl(fd, TUNGETIFF, request)
    except OSError as error:
        raise BackendError(error.errno, f"descriptor {fd} is no tap's: {error.strerror}") from error
    name, flags = IFREQ.unpack(request)
    if not flags & IFF_TAP or not flags & IFF_NO_PI:
        kind = "tun (IP packets)" if not flags & IFF_TAP else "tap with packet information"
        raise BackendError(errno.EINVAL, f"descriptor {fd} is a {kind}; expected IFF_TAP and IFF_NO_PI")
    os.set_blocking(fd, False)
    os.set_inheritable(fd, False)
    return fd, os.fsdecode(name.rstrip(b"\0")), bool(flags & IFF_VNET_HDR)


def _offer(fd: int) -> int:
    """Tells the kernel what it may leave to us; returns what we may leave to the kernel, as NIC_OFFLOAD_*."""
    fcntl.ioctl(fd, TUNSETVNETHDRSZ, struct.pack("i", HEADER))
    tcp = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN
    kinds = lib.NIC_OFFLOAD_CHECKSUM | lib.NIC_OFFLOAD_TCP4 | lib.NIC_OFFLOAD_TCP6
    try:
        fcntl.ioctl(fd, TUNSETOFFLOAD, tcp | TUN_F_USO4 | TUN_F_USO6)
        return int(kinds | lib.NIC_OFFLOAD_UDP)
    except OSError:  # kernels before 6.2
        fcntl.ioctl(fd, TUNSETOFFLOAD, tcp)
        return int(kinds)


# ------------------------------------------------------------------------------------------------- scripts, helper


def _run_script(script: str, ifname: str) -> None:
    try:
        status = subprocess.run([script, ifname], stdin=subprocess.DEVNULL, close_fds=True).returncode
    except OSError as error:
        raise BackendError(
            error.errno, f"cannot run network script {script}: {error.strerror}; `no` in its place does without"
        ) from error
    if status:
        raise BackendError(f"network script {script} {ifname} failed with status {status}")


def _helper_command(helper: str, bridge: str, fd: int) -> list[str]:
    """QEMU's rule: a helper with blanks is a command line, to which only what it lacks is added."""
    words = shlex.split(helper) if any(c.isspace() for c in helper) else [helper]
    if "--use-vnet" not in words:
        words.append("--use-vnet")
    if not any(word.startswith("--br=") for word in words):
        words.append(f"--br={bridge}")
    return [*words, f"--fd={fd}"]


def _ask_helper(helper: str, bridge: str) -> int:
    """The descriptor of a tap that the helper makes and puts into the bridge."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    with ours, theirs:
        command = _helper_command(helper, bridge, theirs.fileno())
        try:
            status = subprocess.run(command, stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()]).returncode
        except OSError as error:
            where = "; package qemu-system-common has it" if error.errno == errno.ENOENT else ""
            what = f"cannot run bridge helper {command[0]}: {error.strerror}"
            raise BackendError(error.errno, what + where) from error
        theirs.close()
        _, passed, _, _ = socket.recv_fds(ours, 1, 1, socket.MSG_DONTWAIT) if not status else (b"", [], 0, None)
    if not passed:
        raise BackendError(f"bridge helper `{shlex.join(command)}` failed with status {status}")
    return int(passed[0])


def _from_helper(helper: str, bridge: str) -> tuple[int, str, bool]:
    fd = _ask_helper(helper, bridge)
    try:
        return _inherited(fd)
    except BaseException:
        os.close(fd)
        raise


# ------------------------------------------------------------------------------------------------- the backends


class Tap(Backend):
    """A tap: what the card sends comes out of an interface of this machine, and the other way round.

    ifname:     its name; one that does not exist is made, and goes when this is closed.  By default tap0, tap1, ...
    script:     run with the name as its argument when the tap is there (QEMU's qemu-ifup); `no`: none.  By default
                /etc/qemu-ifup, and none with `fd`, `helper` and `br`.
    downscript: likewise before the tap goes.  By default /etc/qemu-ifdown, where there is one.
    br:         puts the tap into this bridge and takes it up: by `helper`, or else itself (needs pyroute2).
    helper:     the program that makes the tap and puts it into `br` (QEMU's qemu-bridge-helper).
    fd:         the descriptor of a tap that is open, which becomes this object's.  All of the above is then invalid.
    vnet_hdr:   whether frames have a virtio-net header, so that checksums and segmentation can be left to the kernel
                and large packets come in one read; by default if the kernel can.
    sndbuf:     bytes that may wait in the kernel, or a text such as `1M`; 0: no limit.

    While the card has no room the tap is not read, and frames wait (and after a thousand are dropped) in the kernel.

    Raises ConfigurationError for options that do not go together, BackendError for a tap that cannot be had, a script
    or a helper that fails.
    """

    kind = "tap"
    lossless = True

    def __init__(
        self,
        *,
        ifname: str = "",
        fd: int | None = None,
        script: str = "",
        downscript: str = "",
        br: str = "",
        helper: str = "",
        vnet_hdr: bool | None = None,
        sndbuf: int | str = 0,
        name: str = "",
    ) -> None:
        given = {"ifname": ifname, "script": script, "downscript": downscript, "br": br, "helper": helper}
        given["vnet_hdr"] = "" if vnet_hdr is None else "given"
        _check_together(fd, given)
        limit = parse_size("sndbuf", sndbuf)
        self.downscript = _downscript(downscript, ready_made=fd is not None or bool(helper))
        if fd is not None:
            opened = _inherited(fd)
            self._from = f"fd={fd}"
        elif helper:
            opened = _from_helper(helper, br or BRIDGE)
            self._from = f"helper={helper}"
        else:
            opened = _open(ifname, vnet_hdr)
            self.script = script or ("no" if br else SCRIPT)
            self._from = f"ifname={opened[1]},script={self.script},downscript={self.downscript or 'no'}"
        self._told, handle, self.ifname, self.vnet_hdr = self._start(*opened, limit)
        super().__init__(handle, name)
        if fd is None and not helper:
            self._bring_up(br)

    @staticmethod
    def _start(fd: int, ifname: str, header: bool, limit: int) -> tuple[object, object, str, bool]:
        try:
            offloads = _offer(fd) if header else 0
            fcntl.ioctl(fd, TUNSETSNDBUF, struct.pack("i", limit or SNDBUF_MAX))
        except OSError as error:
            os.close(fd)
            raise BackendError(error.errno, f"tap {ifname} cannot be set up: {error.strerror}") from error
        told = ffi.new_handle(partial(_tell_loss, ifname))
        return told, lib.nic_tap_new(fd, HEADER if header else 0, offloads, told), ifname, header

    def _bring_up(self, bridge: str) -> None:
        try:
            if bridge:
                from nicemu.hostnet import join

                join(self.ifname, bridge)
            if self.script != "no":
                _run_script(self.script, self.ifname)
        except BaseException:
            self.downscript = ""
            self.close()
            raise

    @property
    def details(self) -> str:
        """Where the tap is from, as QEMU's `info network` has it."""
        return self._from

    @property
    def error(self) -> OSError | None:
        """Why the interface went away (it was deleted, say), or None.  The wire is then down for good."""
        code = lib.nic_tap_error(self.handle)
        return OSError(code, os.strerror(code), self.ifname) if code else None

    def close(self) -> None:
        """Runs the downscript and frees the tap; again is harmless.  BackendError, after that, if the script failed."""
        if self._handle is None:
            return
        try:
            if self.downscript and not self.error:
                _run_script(self.downscript, self.ifname)
        finally:
            super().close()


def _tell_loss(ifname: str, code: int) -> None:
    log.warning("tap %s went away (%s): its wire is down", ifname, os.strerror(code))


def _check_together(fd: int | None, given: dict[str, str]) -> None:
    for option in ("ifname", "br"):
        if given[option]:
            _check_name(option, given[option])
    chosen = [option for option, value in given.items() if value]
    if fd is not None and chosen:
        raise ConfigurationError(f"{chosen[0]} is invalid with fd; expected fd and sndbuf only")
    barred = [option for option in ("ifname", "script", "downscript", "vnet_hdr") if given[option]]
    if given["helper"] and barred:
        raise ConfigurationError(f"{barred[0]} is invalid with helper; expected helper, br and sndbuf only")


def _downscript(given: str, ready_made: bool) -> str:
    """The script to run at the end, or nothing."""
    if given == "no" or (not given and (ready_made or not Path(DOWNSCRIPT).exists())):
        return ""
    script = given or DOWNSCRIPT
    if not os.access(script, os.X_OK):
        raise BackendError(errno.EACCES, f"cannot run network script {script}; `no` in its place does without")
    return script


class Bridge(Tap):
    """A tap in a bridge of this machine, made by QEMU's qemu-bridge-helper, so that no privilege is needed here.

    br:     the bridge, which /etc/qemu/bridge.conf must allow.
    helper: the program.

    Raises BackendError if the helper fails.
    """

    kind = "bridge"

    def __init__(self, *, br: str = BRIDGE, helper: str = HELPER, name: str = "") -> None:
        super().__init__(br=br, helper=helper, name=name)
        self._from = f"helper={helper},br={br}"


_BR = Option("br", "str", "the bridge that the tap is put into", BRIDGE)
_HELPER = Option("helper", "file", "the program that makes the tap and puts it into the bridge", HELPER)

TYPES = (
    BackendType(
        "tap",
        "an interface of this machine's kernel",
        (
            Option("ifname", "str", "name of the interface; made if there is none", "tap0, tap1, ..."),
            Option("fd", "int", "descriptor of a tap that is open already"),
            Option("script", "file", "run with the name when the tap is there; no: none", SCRIPT),
            Option("downscript", "file", "run with the name before the tap goes; no: none", DOWNSCRIPT),
            Option("br", "str", "a bridge to put the tap into, by helper or through pyroute2"),
            Option("helper", "file", "the program that makes the tap and puts it into the bridge"),
            Option("sndbuf", "size", "bytes that may wait in the kernel; 0: no limit", "0"),
            Option("vnet_hdr", "bool", "leave checksums and segmentation to the kernel", "on, if the kernel can"),
        ),
        Tap,
    ),
    BackendType("bridge", "a tap in a bridge of this machine, made by QEMU's helper", (_BR, _HELPER), Bridge),
)
