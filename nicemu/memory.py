"""Guest memory: what a card's DMA reaches."""

from __future__ import annotations

import errno
import mmap
import os
from collections.abc import Callable
from typing import Any

from nicemu.engine import ffi, lib, owned, raise_pending
from nicemu.errors import ConfigurationError

__all__ = ["GuestMemory"]

_ERRORS = {
    errno.EEXIST: "overlaps a region that is there",
    errno.EINVAL: "is empty, passes the end of the address space, or lies beyond the end of its file",
    errno.ENOENT: "is not exactly one of the regions",
}


class _Functions:
    """The two functions behind a region that cannot be mapped."""

    def __init__(self, read: Callable[[int, int], bytes] | None, write: Callable[[int, bytes], None] | None) -> None:
        self.read, self.write = read, write


class GuestMemory:
    """The guest's physical address space as cards see it: regions of RAM at guest addresses.

    `GuestMemory(64 << 20)` makes that many bytes of RAM at address 0; `GuestMemory()` is empty.  Cards reach every
    region that is mapped here without a copy; what no region covers answers no DMA.
    """

    def __init__(self, size: int = 0) -> None:
        self.handle = owned(lib.nic_memory_new(), lib.nic_memory_free)
        self._owners: dict[int, tuple[int, Any]] = {}
        if size:
            self.add(0, mmap.mmap(-1, size))

    def _check(self, error: int, address: int, length: int) -> None:
        if error:
            why = _ERRORS.get(error, os.strerror(error))
            raise ConfigurationError(f"guest memory {address:#x}..{address + length - 1:#x} {why}")

    def add(self, address: int, buffer: Any, *, writable: bool = True) -> None:
        """Puts `buffer` (mmap, bytearray, numpy array: anything with a writable buffer) at a guest address, uncopied.

        writable: whether cards may write to it (False: guest ROM).
        Raises ConfigurationError if the region is empty or overlaps another; TypeError if `buffer` has no buffer.
        """
        view = ffi.from_buffer("uint8_t[]", buffer, require_writable=writable)
        access = lib.NIC_REGION_READ | (lib.NIC_REGION_WRITE if writable else 0)
        self._check(lib.nic_memory_add_host(self.handle, address, len(view), view, access), address, len(view))
        self._owners[address] = (len(view), view)

    def add_fd(self, address: int, length: int, fd: int, offset: int = 0, *, writable: bool = True) -> None:
        """Maps `length` bytes of a file (a memfd, hugetlbfs, /dev/shm) from `offset` at a guest address.

        The descriptor is not kept.  If its owner truncates the file later, the missing pages read as 0.
        """
        access = lib.NIC_REGION_READ | (lib.NIC_REGION_WRITE if writable else 0)
        error = lib.nic_memory_add_fd(self.handle, address, length, fd, offset, access)
        self._check(error, address, length)
        self._owners[address] = (length, None)

    def add_functions(
        self,
        address: int,
        length: int,
        read: Callable[[int, int], bytes] | None = None,
        write: Callable[[int, bytes], None] | None = None,
    ) -> None:
        """A region behind functions, for emulators whose memory cannot be mapped.

        read:  called as read(address, length), returns exactly `length` bytes; None: reads fail.
        write: called as write(address, data); None: the region is read-only.
        """
        access = (lib.NIC_REGION_READ if read else 0) | (lib.NIC_REGION_WRITE if write else 0)
        functions = _Functions(read, write)
        handle = ffi.new_handle(functions)
        self._check(lib.nic_memory_add_python(self.handle, address, length, handle, access), address, length)
        self._owners[address] = (length, (functions, handle))

    def remove(self, address: int, length: int) -> None:
        """Takes exactly one region away."""
        self._check(lib.nic_memory_remove(self.handle, address, length), address, length)
        self._owners.pop(address, None)

    def clear(self) -> None:
        """Takes all regions away."""
        lib.nic_memory_clear(self.handle)
        self._owners.clear()

    @property
    def regions(self) -> list[tuple[int, int]]:
        """(address, length) of every region, ascending."""
        return sorted((address, length) for address, (length, _) in self._owners.items())

    @property
    def faults(self) -> int:
        """Mapped pages of this process that a file's owner truncated away while they were in use."""
        return int(lib.nic_memory_faults(self.handle))

    def read(self, address: int, length: int) -> bytes:
        """`length` bytes at a guest address; ConfigurationError where nothing answers."""
        buffer = bytearray(length)
        if length and not lib.nic_memory_read(self.handle, address, ffi.from_buffer(buffer), length):
            raise_pending()
            raise ConfigurationError(f"no guest memory to read at {address:#x}..{address + length - 1:#x}")
        return bytes(buffer)

    def write(self, address: int, data: bytes | bytearray | memoryview) -> None:
        """Stores `data` at a guest address; ConfigurationError where nothing can be written."""
        if len(data) and not lib.nic_memory_write(self.handle, address, ffi.from_buffer(data), len(data)):
            raise_pending()
            raise ConfigurationError(f"no guest memory to write at {address:#x}..{address + len(data) - 1:#x}")

    def view(self, address: int, length: int) -> memoryview:
        """A writable view of mapped guest memory, for numpy and struct; ConfigurationError if it is not mapped."""
        for base, (size, owner) in self._owners.items():
            if (
                base <= address
                and address + length <= base + size
                and owner is not None
                and not isinstance(owner, tuple)
            ):
                return memoryview(ffi.buffer(owner))[address - base : address - base + length]
        raise ConfigurationError(f"guest memory {address:#x}..{address + length - 1:#x} is not one mapped buffer")
