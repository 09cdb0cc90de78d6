"""The door to the C engine: the library handle, and the calls that come back from C.

Card hooks that raise are our bugs, not the guest's fault: they are logged, counted and kept from the guest.
Callbacks of the host program (an interrupt sink, memory functions, a Python backend) that raise are the host
program's bugs: the exception surfaces from the call into nicemu that is under way (`raise_pending`).
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any, Protocol

try:
    from nicemu._engine import ffi, lib
except ImportError as error:  # pragma: no cover - a broken installation
    raise ImportError(
        "nicemu's engine is not built; install the package (`pip install .`, or `pip install -e .` to work on it) "
        "instead of importing it from a checkout"
    ) from error

__all__ = ["Hooks", "Sink", "ffi", "lib", "owned", "raise_pending", "set_vfio_request"]

log = logging.getLogger("nicemu")


class _Pending(threading.local):
    """What callbacks raised while C was running; each thread has its own cards, and its own errors."""

    errors: tuple[BaseException, ...] = ()


_pending = _Pending()


def _fail(error: BaseException) -> None:
    """Keeps an exception of the host program until its next call returns, and makes a running loop return."""
    _pending.errors = (*_pending.errors, error)
    lib.nic_loop_break()


def raise_pending() -> None:
    """Raises what a callback of the host program raised while C was running."""
    if _pending.errors:
        error = _pending.errors[0]
        _pending.errors = ()
        raise error


def owned(handle: Any, free: Any) -> Any:
    """A structure of the engine that `free` takes back with its last reference; MemoryError if there is none."""
    if handle == ffi.NULL:
        raise MemoryError("no memory for the engine")
    return ffi.gc(handle, free)


class Hooks(Protocol):
    """What a device handle refers to: the Python side of a card."""

    def hook_read(self, row: int, index: int, enable: int, value: int) -> int:
        """A register read."""

    def hook_write(self, row: int, index: int, enable: int, value: int, old: int) -> None:
        """A register write."""

    def hook_reset(self, kind: int) -> None:
        """The cells were reset."""

    def hook_timer(self, timer: int) -> None:
        """A Python timer is due."""

    def hook_link(self, up: bool) -> None:
        """The wire went up or down."""

    def hook_event(self, event: int, value: int) -> None:
        """The card's C side tells something."""

    def hook_error(self) -> None:
        """One of the above raised; counts it."""


class Sink(Protocol):
    """What takes interrupts."""

    def interrupt(self, vector: int, level: bool) -> None:
        """The line changed (vector 0) or a message was sent (vector 1)."""


def _hook_failed(handle: Any) -> None:
    log.exception("a card hook raised; the guest does not see it")
    ffi.from_handle(handle).hook_error()


@ffi.def_extern()  # type: ignore[untyped-decorator]
def nicemu_read(handle: Any, row: int, index: int, enable: int, value: int) -> int:
    """A register read asks Python."""
    try:
        hooks: Hooks = ffi.from_handle(handle)
        return hooks.hook_read(row, index, enable, value)
    except Exception:
        _hook_failed(handle)
        return value


@ffi.def_extern()  # type: ignore[untyped-decorator]
def nicemu_write(handle: Any, row: int, index: int, enable: int, value: int, old: int) -> None:
    """A register write tells Python."""
    try:
        ffi.from_handle(handle).hook_write(row, index, enable, value, old)
    except Exception:
        _hook_failed(handle)


@ffi.def_extern()  # type: ignore[untyped-decorator]
def nicemu_reset(handle: Any, kind: int) -> None:
    """The cells were reset."""
    try:
        ffi.from_handle(handle).hook_reset(kind)
    except Exception:
        _hook_failed(handle)


@ffi.def_extern()  # type: ignore[untyped-decorator]
def nicemu_timer(handle: Any, timer: int) -> None:
    """A Python timer is due."""
    try:
        ffi.from_handle(handle).hook_timer(timer)
    except Exception:
        _hook_failed(handle)


@ffi.def_extern()  # type: ignore[untyped-decorator]
def nicemu_link(handle: Any, up: int) -> None:
    """The wire went up or down."""
    try:
        ffi.from_handle(handle).hook_link(bool(up))
    except Exception:
        _hook_failed(handle)


@ffi.def_extern()  # type: ignore[untyped-decorator]
def nicemu_event(handle: Any, event: int, value: int) -> None:
    """The card's C side tells something."""
    try:
        ffi.from_handle(handle).hook_event(event, value)
    except Exception:
        _hook_failed(handle)


@ffi.def_extern()  # type: ignore[untyped-decorator]
def nicemu_interrupt(handle: Any, vector: int, level: int) -> None:
    """The interrupt line changed, or a message was sent."""
    try:
        ffi.from_handle(handle).interrupt(vector, bool(level))
    except BaseException as error:
        _fail(error)


@ffi.def_extern()  # type: ignore[untyped-decorator]
def nicemu_memory_read(handle: Any, address: int, buffer: Any, length: int) -> int:
    """A region behind a Python function is read."""
    try:
        data = ffi.from_handle(handle).read(address, length)
        if len(data) != length:
            return 1
        ffi.memmove(buffer, data, length)
        return 0
    except BaseException as error:
        _fail(error)
        return 1


@ffi.def_extern()  # type: ignore[untyped-decorator]
def nicemu_memory_write(handle: Any, address: int, buffer: Any, length: int) -> int:
    """A region behind a Python function is written."""
    try:
        ffi.from_handle(handle).write(address, bytes(ffi.buffer(buffer, length)))
        return 0
    except BaseException as error:
        _fail(error)
        return 1


@ffi.def_extern()  # type: ignore[untyped-decorator]
def nicemu_backend_send(handle: Any, frames: Any, lengths: Any, count: int) -> int:
    """A batch leaves through a Python backend: frames laid end to end."""
    try:
        batch, at = [], 0
        for i in range(count):
            batch.append(bytes(ffi.buffer(frames + at, lengths[i])))
            at += lengths[i]
        taken = ffi.from_handle(handle).send(batch)
        return count if taken is None else max(0, min(count, int(taken)))
    except BaseException as error:
        _fail(error)
        return count


@ffi.def_extern()  # type: ignore[untyped-decorator]
def nicemu_backend_poll(handle: Any) -> None:
    """A turn of the loop gives a Python backend its chance."""
    try:
        ffi.from_handle(handle).poll()
    except BaseException as error:
        _fail(error)


@ffi.def_extern()  # type: ignore[untyped-decorator]
def nicemu_backend_lost(handle: Any, code: int) -> None:
    """The far side of a wire went away."""
    try:
        ffi.from_handle(handle)(code)
    except BaseException as error:
        _fail(error)


@ffi.def_extern()  # type: ignore[untyped-decorator]
def nicemu_source(handle: Any, events: int) -> None:
    """A Python file descriptor on a loop is ready."""
    try:
        ffi.from_handle(handle)(events)
    except BaseException as error:
        _fail(error)


_vfio_request: Callable[[Any, int, bytes, list[int]], int] | None = None


def set_vfio_request(handler: Callable[[Any, int, bytes, list[int]], int]) -> None:
    """The vfio-user host registers how it answers the requests that C leaves to Python."""
    global _vfio_request
    _vfio_request = handler


@ffi.def_extern()  # type: ignore[untyped-decorator]
def nicemu_vfio_request(handle: Any, command: int, payload: Any, size: int, fds: Any, count: int) -> int:
    """A vfio-user request that is not a region access."""
    try:
        assert _vfio_request is not None, "set when a server is made"
        data = bytes(ffi.buffer(payload, size)) if size else b""
        return _vfio_request(ffi.from_handle(handle), command, data, [fds[i] for i in range(count)])
    except BaseException as error:
        _fail(error)
        return 5  # EIO: the client's request could not be served


_callbacks = ffi.new(
    "nic_python *",
    {
        "read": lib.nicemu_read,
        "write": lib.nicemu_write,
        "reset": lib.nicemu_reset,
        "timer": lib.nicemu_timer,
        "link": lib.nicemu_link,
        "event": lib.nicemu_event,
        "interrupt": lib.nicemu_interrupt,
        "memory_read": lib.nicemu_memory_read,
        "memory_write": lib.nicemu_memory_write,
        "backend_send": lib.nicemu_backend_send,
        "backend_poll": lib.nicemu_backend_poll,
        "backend_lost": lib.nicemu_backend_lost,
        "source": lib.nicemu_source,
    },
)
lib.nic_set_python(_callbacks)
