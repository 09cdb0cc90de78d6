"""What must not grow, and how much time there is for finding out."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import threading
from collections.abc import Callable, Iterator

from fuzz.world import OracleError, sanitized

__all__ = ["THOROUGH", "allocated", "not_growing", "repeat"]

#: Set by tests/sanitized: repeats what is repeated far more often.
THOROUGH = bool(os.environ.get("NICEMU_THOROUGH"))

_libc = ctypes.CDLL(None)


class _Mallinfo(ctypes.Structure):
    _fields_ = tuple(
        (name, ctypes.c_size_t)
        for name in (
            "arena",
            "ordblks",
            "smblks",
            "hblks",
            "hblkhd",
            "usmblks",
            "fsmblks",
            "uordblks",
            "fordblks",
            "keep",
        )
    )


def repeat(usually: int, thoroughly: int) -> int:
    """How often to do something."""
    return thoroughly if THOROUGH else usually


def allocated() -> int:
    """Bytes that malloc has given out: small Python objects do not count, the engine's memory does."""
    gc.collect()
    if sanitized():
        count = _libc.__sanitizer_get_current_allocated_bytes
        count.restype = ctypes.c_size_t
        return int(count())
    _libc.mallinfo2.restype = _Mallinfo
    info = _libc.mallinfo2()
    return int(info.uordblks + info.hblkhd)


@contextlib.contextmanager
def not_growing(bytes_allowed: int = 65536) -> Iterator[None]:
    """NOGROW: what is done inside leaves no memory, descriptors or threads behind."""

    def reading() -> tuple[int, int]:
        return len(os.listdir("/proc/self/fd")), threading.active_count()

    before, counts = allocated(), reading()
    yield
    after = allocated()
    if reading() != counts:
        raise OracleError(f"NOGROW: descriptors and threads were {counts}, are {reading()}")
    if after - before > bytes_allowed:
        raise OracleError(f"NOGROW: {after - before} bytes more than before")


def warm(action: Callable[[], None]) -> None:
    """Does something twice, so that caches are filled."""
    for _ in range(2):
        action()
