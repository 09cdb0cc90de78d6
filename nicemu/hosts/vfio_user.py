"""A card served to an emulator by vfio-user (QEMU docs/interop/vfio-user.rst; structures of <linux/vfio.h>).

`Server` offers one card on a Unix socket.  Register accesses, interrupts and DMA run in C without the interpreter
(csrc/vfio_user.c); what happens at set-up, reset and shutdown is decided here.  QEMU 11.1 or newer is the recommended
client; give it shared memory (`memory-backend-memfd,share=on`), so that the card reaches the guest's RAM directly.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import socket
import struct
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from nicemu.engine import ffi, lib, set_vfio_request
from nicemu.errors import ConfigurationError
from nicemu.hosts import HostError
from nicemu.registers import Reset
from nicemu.unix_socket import listen

if TYPE_CHECKING:
    from nicemu.core import Nic

__all__ = ["Server"]

log = logging.getLogger("nicemu.vfio_user")

# Commands ("Commands").
VERSION, DMA_MAP, DMA_UNMAP, GET_INFO, GET_REGION_INFO, GET_REGION_IO_FDS, GET_IRQ_INFO, SET_IRQS = range(1, 9)
DEVICE_RESET, DIRTY_PAGES, DEVICE_FEATURE, MIG_DATA_READ, MIG_DATA_WRITE = 13, 14, 16, 17, 18

# What a PCI device has (<linux/vfio.h>, VFIO_PCI_*): six BARs, ROM, configuration space, VGA; five kinds of interrupt.
REGIONS, ROM_REGION, CONFIG_REGION = 9, 6, 7
IRQS, INTX, MSI = 5, 0, 1
INFO_RESET, INFO_PCI = 1, 2
REGION_READ, REGION_WRITE = 1, 2
IRQ_EVENTFD, IRQ_MASKABLE, IRQ_AUTOMASKED, IRQ_NORESIZE = 1, 2, 4, 8
UNMAP_ALL = 2

# SET_IRQS: one kind of data and one action.
DATA_NONE, DATA_BOOL, DATA_EVENTFD = 1, 2, 4
ACTION_MASK, ACTION_UNMASK, ACTION_TRIGGER = 8, 16, 32

#: Windows of memory that one client may map: the protocol's own limit.
MAX_MAPS = 65535
MAX_DATA = 1 << 20
MAX_FDS = 16
MAX_VERSION_TEXT = 65536


class _RefusedError(Exception):
    """A request is answered with an errno, and a body for clients that read one regardless."""

    def __init__(self, error: int, body: bytes = b"") -> None:
        super().__init__(error)
        self.error, self.body = error, body


class _HangUpError(_RefusedError):
    """The request leaves no common ground: the connection is closed after the answer."""


# ------------------------------------------------------------------------------------------------- version


def _number(capabilities: Mapping[str, Any], name: str, default: int, least: int) -> int:
    value = capabilities.get(name, default)
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise _HangUpError(errno.EINVAL)
    return value


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def parse_capabilities(data: bytes) -> Mapping[str, Any]:
    """The capabilities of a version message's JSON text; _HangUpError if it is not what the specification asks for."""
    if not data:
        return {}
    text, terminator, _ = data.partition(b"\0")
    if not terminator or len(text) > MAX_VERSION_TEXT:
        raise _HangUpError(errno.EINVAL)
    try:
        document = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise _HangUpError(errno.EINVAL) from None
    capabilities = document.get("capabilities", {}) if isinstance(document, dict) else None
    if not isinstance(capabilities, dict) or not isinstance(capabilities.get("write_multiple", False), bool):
        raise _HangUpError(errno.EINVAL)
    _number(capabilities, "max_msg_fds", 1, 0)
    _number(capabilities, "max_data_xfer_size", MAX_DATA, 1)
    _number(capabilities, "max_dma_maps", MAX_MAPS, 1)
    _number(capabilities, "pgsizes", 4096, 1)
    return capabilities


def version_reply(minor: int, proposed: Mapping[str, Any], room: int, write_multiple: bool) -> bytes:
    """Version 0.x and those of our capabilities that the client proposed too, in at most `room` bytes.

    QEMU receives the reply into the buffer of its request, so a longer one would be lost with the connection.
    """
    ours: dict[str, Any] = {"max_msg_fds": MAX_FDS, "max_data_xfer_size": MAX_DATA}
    if write_multiple:
        ours["write_multiple"] = True
    ours = {name: value for name, value in ours.items() if proposed.get(name)}
    version = struct.pack("=HH", 0, min(minor, 1))
    while ours:
        text = json.dumps({"capabilities": ours}, separators=(",", ":")).encode() + b"\0"
        if len(version) + len(text) <= room:
            return version + text
        ours.popitem()
    return version


# ------------------------------------------------------------------------------------------------- descriptors


def _given(fd: int) -> tuple[int, bool]:
    """A duplicate of a socket that the program was started with, and whether it listens."""
    try:
        given = socket.socket(fileno=os.dup(fd))
    except (OSError, OverflowError):
        raise ConfigurationError(f"fd={fd} is no socket; expected the number of a stream socket") from None
    with given:
        if given.type != socket.SOCK_STREAM:
            raise ConfigurationError(f"fd={fd} is not a stream socket")
        listens = bool(given.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
        return given.detach(), listens


def _eventfd(fd: int) -> int:
    """A duplicate of a client's eventfd that never blocks; _RefusedError for any other kind of descriptor."""
    try:
        if os.readlink(f"/proc/self/fd/{fd}") != "anon_inode:[eventfd]":
            raise _RefusedError(errno.EINVAL)
        os.set_blocking(fd, False)
        return os.dup(fd)
    except OSError as error:
        raise _RefusedError(error.errno or errno.EINVAL) from None


# ------------------------------------------------------------------------------------------------- the server


class Server:
    """Serves one card to one vfio-user client at a time, on the card's own loop.

    socket_path: where to listen.  A socket that nobody listens at is replaced; the file has mode 0600 and is removed by
                 `close`.
    fd:          instead of a path, the number of a stream socket that the program was started with, listening or
                 connected; the server takes it over.
    write_multiple: accept merged writes.  QEMU 10.1 and 10.2 offer them but confuse them with other options.
    spin_us:     how long to poll for the next message before sleeping, in microseconds; others on the loop wait.
    dma_timeout: seconds that a client may take to answer a DMA message before it is disconnected.
    on_connect, on_disconnect: called when a client comes and goes; on_disconnect gets the reason as text.

    Attribute `listens`: whether another client can come; False for a connected socket.

    The card must be for PCI and have no guest memory of its own: its memory is the client's, and goes with the client.
    It keeps its state and its wire for the next one.  Closing the card closes the server.

    Raises ConfigurationError for arguments that make no sense, HostError where a path is taken, too long or unusable.
    """

    def __init__(
        self,
        nic: Nic,
        *,
        socket_path: str | os.PathLike[str] | None = None,
        fd: int | None = None,
        write_multiple: bool = False,
        spin_us: int = 0,
        dma_timeout: float = 5.0,
        on_connect: Callable[[], None] | None = None,
        on_disconnect: Callable[[str], None] | None = None,
    ) -> None:
        self.handle: Any = None
        if (socket_path is None) == (fd is None):
            raise ConfigurationError("a server needs either socket_path= or fd=")
        if not 0 <= spin_us <= 1_000_000 or not 0 < dma_timeout <= 3600:
            raise ConfigurationError(f"{spin_us=}, {dma_timeout=}; expected 0 to 1000000 µs, and up to 3600 s")
        if nic.FUNCTION is None:
            raise ConfigurationError(f"{nic.name} is an ISA card; vfio-user serves PCI cards alone")
        if lib.nic_memory_regions(nic.memory.handle):
            raise ConfigurationError("the card has guest memory of its own; a served card's memory is its client's")
        self.nic = nic
        self.socket_path: str | None = None
        self._file: tuple[int, int] | None = None
        self._write_multiple = write_multiple
        self._on_connect, self._on_disconnect = on_connect, on_disconnect
        self._maps: dict[int, int] = {}
        self._version_seen = False
        self._handlers: dict[int, Callable[[bytes, list[int]], bytes]] = {
            VERSION: self._version,
            DMA_MAP: self._dma_map,
            DMA_UNMAP: self._dma_unmap,
            GET_INFO: self._get_info,
            GET_REGION_INFO: self._get_region_info,
            GET_IRQ_INFO: self._get_irq_info,
            SET_IRQS: self._set_irqs,
            DEVICE_RESET: self._device_reset,
            DEVICE_FEATURE: self._device_feature,
        }
        set_vfio_request(_request)
        self._open(os.fspath(socket_path) if socket_path is not None else None, fd)
        lib.nic_vfio_set_spin(self.handle, spin_us)
        self.set_dma_timeout(dma_timeout)

    def _open(self, path: str | None, fd: int | None) -> None:
        if path is not None:
            try:
                listener = listen(path)
            except OSError as refusal:
                raise HostError(refusal.errno, refusal.strerror) from None
            status = os.lstat(path)
            self.socket_path, self._file = path, (status.st_dev, status.st_ino)
            number, self.listens = listener.detach(), True
        else:
            assert fd is not None
            number, self.listens = _given(fd)
        self._python = ffi.new_handle(self)
        lib.nic_vfio_set_python(lib.nicemu_vfio_request)
        handle = lib.nic_vfio_new(self.nic.handle, self.nic.loop.handle, self._python)
        if handle == ffi.NULL:
            os.close(number)
            raise MemoryError("no memory for the server")
        self.handle = handle
        lib.nic_device_set_deferred(self.nic.handle, True)
        self.nic.closers.append(self.close)
        error = (lib.nic_vfio_listen if self.listens else lib.nic_vfio_connect)(self.handle, number)
        if error:
            os.close(number)
            self.close()
            raise HostError(error, f"cannot serve: {os.strerror(error)}")
        if fd is not None:
            os.close(fd)

    # ------------------------------------------------------------------ for host programs

    @property
    def connected(self) -> bool:
        """Whether a client is there."""
        return self.handle is not None and bool(lib.nic_vfio_connected(self.handle))

    @property
    def maps(self) -> list[tuple[int, int]]:
        """(address, length) of the client's memory, ascending."""
        return sorted(self._maps.items())

    @property
    def counters(self) -> dict[str, int]:
        """What the server saw of its clients, by the names of `nic_vfio_counters`."""
        if self.handle is None:
            raise ConfigurationError("the server is closed")
        counted = lib.nic_vfio_get_counters(self.handle)
        return {name: int(getattr(counted, name)) for name, _ in ffi.typeof(counted).item.fields}

    def set_dma_timeout(self, seconds: float) -> None:
        """How long a client may take to answer a DMA message."""
        lib.nic_vfio_set_dma_timeout(self.handle, max(1, int(seconds * 1000)))

    def close(self) -> None:
        """Ends the session, takes the client's memory away, removes the socket file; harmless when done twice."""
        if self.handle is None:
            return
        handle, self.handle = self.handle, None
        self.nic.closers.remove(self.close)
        lib.nic_vfio_free(handle)
        lib.nic_device_set_deferred(self.nic.handle, False)
        if self.socket_path is not None:
            try:
                status = os.lstat(self.socket_path)
                if (status.st_dev, status.st_ino) == self._file:
                    os.unlink(self.socket_path)
            except FileNotFoundError:
                pass

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *args: object) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "handle", None) is not None:
            self.close()

    # ------------------------------------------------------------------ sessions

    def event(self, event: int, text: str) -> None:
        """C tells that a client came or went, or what it found out about it."""
        if event == lib.NIC_VFIO_OPENED:
            self._version_seen = False
            log.info("a client connected")
            if self._on_connect:
                self._on_connect()
        elif event == lib.NIC_VFIO_CLOSED:
            self._unmap(self._maps)
            log.info("the client is gone: %s", text)
            if self._on_disconnect:
                self._on_disconnect(text)
        elif event == lib.NIC_VFIO_SHIFTED:
            log.warning(
                "the client misplaces the data of DMA messages (QEMU 10.1 to 11.0): the card cannot reach memory that "
                "is not shared; start QEMU with -object memory-backend-memfd,id=m,size=...,share=on "
                "-machine ...,memory-backend=m, or use QEMU 11.1 or newer"
            )

    def request(self, command: int, payload: bytes, fds: list[int]) -> int:
        """Answers a request that is no register access; returns 0, its reply given, or an errno."""
        handler = self._handlers.get(command)
        if handler is None:
            return errno.EOPNOTSUPP
        try:
            body = handler(payload, fds)
        except _RefusedError as refused:
            if isinstance(refused, _HangUpError):
                lib.nic_vfio_hang_up(self.handle, _REFUSED_VERSION)
            lib.nic_vfio_reply(self.handle, refused.error, refused.body, len(refused.body))
            return 0
        lib.nic_vfio_reply(self.handle, 0, body, len(body))
        return 0

    def _version(self, payload: bytes, fds: list[int]) -> bytes:
        if self._version_seen:
            raise _RefusedError(errno.EINVAL)
        self._version_seen = True
        if len(payload) < 4:
            raise _HangUpError(errno.EINVAL)
        major, minor = struct.unpack_from("=HH", payload)
        if major != 0:
            raise _HangUpError(errno.ENOTSUP)
        capabilities = parse_capabilities(payload[4:])
        limit = _number(capabilities, "max_data_xfer_size", MAX_DATA, 1)
        lib.nic_vfio_negotiated(self.handle, min(limit, MAX_DATA))
        return version_reply(minor, capabilities, len(payload), self._write_multiple)

    # ------------------------------------------------------------------ memory

    def _dma_map(self, payload: bytes, fds: list[int]) -> bytes:
        if len(payload) < 32 or len(fds) > 1:
            raise _RefusedError(errno.EINVAL)
        argsz, flags, offset, address, length = struct.unpack_from("=IIQQQ", payload)
        access = flags & (lib.NIC_REGION_READ | lib.NIC_REGION_WRITE)  # newer flags, such as FILE_IO, only offer more
        if argsz < 32 or not access or not length or address + length > 1 << 64:
            raise _RefusedError(errno.EINVAL)
        if len(self._maps) >= MAX_MAPS:
            raise _RefusedError(errno.ENOSPC)
        if fds:
            error = lib.nic_memory_add_fd(self.nic.memory.handle, address, length, fds[0], offset, access)
        else:
            error = lib.nic_vfio_add_memory(self.handle, address, length, access)
        if error:
            raise _RefusedError(error)
        self._maps[address] = length
        return b""

    def _dma_unmap(self, payload: bytes, fds: list[int]) -> bytes:
        # cloud-hypervisor reads the body without a look at the error flag, so it is always there.
        body = payload[:24].ljust(24, b"\0")
        if len(payload) < 24:
            raise _RefusedError(errno.EINVAL, body)
        argsz, flags, address, length = struct.unpack_from("=IIQQ", payload)
        if argsz < 24 or flags & ~UNMAP_ALL or (flags and (address or length)):
            raise _RefusedError(errno.EINVAL, body)
        if not flags and self._maps.get(address) != length:
            raise _RefusedError(errno.ENOENT, body)
        self._unmap(self._maps if flags else [address])
        return body

    def _unmap(self, addresses: Iterable[int]) -> None:
        for address in sorted(addresses, reverse=True):  # the engine's list is cheapest to shorten at its end
            lib.nic_memory_remove(self.nic.memory.handle, address, self._maps.pop(address))

    # ------------------------------------------------------------------ information

    def _get_info(self, payload: bytes, fds: list[int]) -> bytes:
        if len(payload) < 16 or struct.unpack_from("=I", payload)[0] < 16:
            raise _RefusedError(errno.EINVAL)
        return struct.pack("=IIII", 16, INFO_RESET | INFO_PCI, REGIONS, IRQS)

    def _get_region_info(self, payload: bytes, fds: list[int]) -> bytes:
        if len(payload) < 32:
            raise _RefusedError(errno.EINVAL)
        argsz, _, index = struct.unpack_from("=III", payload)
        if argsz < 32 or index >= REGIONS:
            raise _RefusedError(errno.EINVAL)
        space = {ROM_REGION: lib.NIC_SPACE_ROM, CONFIG_REGION: lib.NIC_SPACE_CONFIG}.get(index, index)
        size = int(self.nic.compiled.c.spaces[space].size) if index <= CONFIG_REGION else 0
        flags = 0 if not size else REGION_READ if index == ROM_REGION else REGION_READ | REGION_WRITE
        return struct.pack("=IIIIQQ", 32, flags, index, 0, size, 0)

    def _interrupts(self, index: int) -> tuple[int, int]:
        """(flags, count) of a kind of interrupt."""
        if index == INTX and self.nic.pci.INTERRUPT_PIN.value:
            return IRQ_EVENTFD | IRQ_MASKABLE | IRQ_AUTOMASKED, 1
        if index == MSI and self.nic.compiled.c.pci.msi_control != lib.NIC_NO_CELL:
            return IRQ_EVENTFD | IRQ_NORESIZE, 1
        return 0, 0

    def _get_irq_info(self, payload: bytes, fds: list[int]) -> bytes:
        if len(payload) < 16:
            raise _RefusedError(errno.EINVAL)
        argsz, _, index = struct.unpack_from("=III", payload)
        if argsz < 16 or index >= IRQS:
            raise _RefusedError(errno.EINVAL)
        flags, count = self._interrupts(index)
        return struct.pack("=IIII", 16, flags, index, count)

    def _device_feature(self, payload: bytes, fds: list[int]) -> bytes:
        raise _RefusedError(errno.EINVAL)  # QEMU takes it for "not supported"

    def _device_reset(self, payload: bytes, fds: list[int]) -> bytes:
        self.nic.reset(Reset.BUS)
        return b""

    # ------------------------------------------------------------------ interrupts

    def _set_irqs(self, payload: bytes, fds: list[int]) -> bytes:
        if len(payload) < 20:
            raise _RefusedError(errno.EINVAL)
        argsz, flags, index, start, count = struct.unpack_from("=IIIII", payload)
        data, action = flags & 7, flags & 0x38
        if argsz < 20 or index >= IRQS or flags & ~0x3F or data not in (1, 2, 4) or action not in (8, 16, 32):
            raise _RefusedError(errno.EINVAL)
        if fds and data != DATA_EVENTFD:
            raise _RefusedError(errno.EINVAL)
        if count == 0:
            if data != DATA_NONE or action != ACTION_TRIGGER or start:
                raise _RefusedError(errno.EINVAL)
            self._disable(index)
            return b""
        if start + count > self._interrupts(index)[1] or (fds and len(fds) != count):
            raise _RefusedError(errno.EINVAL)
        if data == DATA_EVENTFD:
            self._assign(index, action, fds[0] if fds else -1)
        elif data == DATA_NONE or self._chosen(payload):
            self._act(index, action)
        return b""

    def _chosen(self, payload: bytes) -> bool:
        """DATA_BOOL: one byte for each interrupt, and every kind has at most one."""
        if len(payload) < 21:
            raise _RefusedError(errno.EINVAL)
        return payload[20] != 0

    def _disable(self, index: int) -> None:
        if index in (INTX, MSI):
            lib.nic_interrupt_set_fd(self.nic.handle, index, -1)
        if index == INTX:
            lib.nic_vfio_set_resample(self.handle, -1)

    def _assign(self, index: int, action: int, fd: int) -> None:
        """Takes an eventfd: to be signalled (TRIGGER), or to be heard when the guest ends an interrupt (UNMASK).

        The specification's text describes the latter the other way round; KVM's resample descriptor, which QEMU sends
        here, is written by the kernel.
        """
        if action == ACTION_TRIGGER:
            lib.nic_interrupt_set_fd(self.nic.handle, index, _eventfd(fd) if fd >= 0 else -1)
        elif action == ACTION_UNMASK and index == INTX:
            error = lib.nic_vfio_set_resample(self.handle, _eventfd(fd) if fd >= 0 else -1)
            if error:
                raise _RefusedError(error)
        else:
            raise _RefusedError(errno.EINVAL)

    def _act(self, index: int, action: int) -> None:
        if action == ACTION_TRIGGER:
            lib.nic_vfio_trigger(self.handle, index)
        elif index == INTX:
            lib.nic_interrupt_mask(self.nic.handle, action == ACTION_MASK)
        else:
            raise _RefusedError(errno.EINVAL)


#: C keeps the pointer.
_REFUSED_VERSION = ffi.new("char[]", b"its version or capabilities were not understood")


def _request(server: Server, command: int, payload: bytes, fds: list[int]) -> int:
    if command > 0xFFFF:
        server.event(command, payload.decode(errors="replace"))
        return 0
    return server.request(command, payload, fds)
