"""Builds nicemu._engine with cffi (API mode, abi3) from the C files of this folder."""

from __future__ import annotations

import os
import re
from pathlib import Path

from cffi import FFI

HERE = Path(__file__).resolve().parent
#: What Python sees, the common types first; each is declarations only, so cffi reads it as it stands.
APIS = sorted(HERE.glob("*_api.h"), key=lambda p: (p.name != "nic_api.h", p.name))
SOURCES = sorted(p for p in HERE.glob("*.c"))

CALLBACKS = """
extern "Python" {
    uint32_t nicemu_read(void *, uint32_t, uint32_t, uint32_t, uint32_t);
    void nicemu_write(void *, uint32_t, uint32_t, uint32_t, uint32_t, uint32_t);
    void nicemu_reset(void *, int);
    void nicemu_timer(void *, uint32_t);
    void nicemu_link(void *, int);
    void nicemu_event(void *, uint32_t, uint64_t);
    void nicemu_interrupt(void *, uint32_t, int);
    int nicemu_memory_read(void *, uint64_t, void *, size_t);
    int nicemu_memory_write(void *, uint64_t, const void *, size_t);
    size_t nicemu_backend_send(void *, const uint8_t *, const uint32_t *, size_t);
    void nicemu_backend_poll(void *);
    void nicemu_backend_lost(void *, int);
    void nicemu_source(void *, uint32_t);
    int nicemu_vfio_request(void *, uint32_t, const uint8_t *, size_t, const int *, size_t);
}
"""


def declarations() -> str:
    """The text of the API headers without preprocessor lines."""
    text = "\n".join(p.read_text() for p in APIS)
    return re.sub(r"^#.*$", "", text, flags=re.MULTILINE)


def flags() -> list[str]:
    """Compiler flags; NICEMU_CFLAGS adds to them (warnings as errors and sanitizers in CI)."""
    return [
        "-std=gnu11",
        "-O2",
        "-g",
        "-fvisibility=hidden",
        "-Wall",
        "-Wextra",
        "-Wno-missing-field-initializers",  # a literal names what is not zero
        *os.environ.get("NICEMU_CFLAGS", "").split(),
    ]


ffi = FFI()
ffi.cdef(declarations() + CALLBACKS)
ffi.set_source(
    "nicemu._engine",
    "\n".join(['#include "nic.h"', *(f'#include "{p.name}"' for p in APIS if p.name != "nic_api.h")]),
    sources=[os.path.relpath(p, HERE.parent) for p in SOURCES],
    depends=[os.path.relpath(p, HERE.parent) for p in sorted(HERE.glob("*.h"))],
    include_dirs=[os.path.relpath(HERE, HERE.parent)],
    extra_compile_args=flags(),
    extra_link_args=os.environ.get("NICEMU_LDFLAGS", "").split(),
    libraries=["dl"],
    py_limited_api=True,
)
