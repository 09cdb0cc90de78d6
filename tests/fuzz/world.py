"""A card under watch: guest memory full of traps, a wire that keeps books, and the oracles.

BOUND    an operation does bounded work: descriptors fetched, processor time.
NOEXC    nothing raises, no hook fails, and after a reset the card works.
NOWRITE  memory that no descriptor names keeps its pattern; buffers lie against pages that nothing may touch.
NOLEAK   outputs do not depend on what the card did before its power-on reset.
COUNTED  what is lost is counted.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import mmap
import os
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

import nicemu
from nicemu import engine
from nicemu.backends import PythonBackend
from nicemu.engine import ffi, lib
from nicemu.registers import Reset

__all__ = ["LAYOUT", "OracleError", "Wire", "World", "body", "guarded", "pattern", "sanitized"]

PAGE = mmap.PAGESIZE
_libc = ctypes.CDLL(None, use_errno=True)


class OracleError(AssertionError):
    """An oracle was violated; its message begins with the oracle's name."""


def sanitized() -> bool:
    """Whether this process runs with AddressSanitizer: several times slower, and with an allocator of its own."""
    return hasattr(_libc, "__asan_init")


# ------------------------------------------------------------------------------------------------- guest memory


def guarded(size: int) -> np.ndarray:
    """Zeroed memory between two inaccessible pages; it ends where the second one begins."""
    room = -(-size // PAGE) * PAGE
    mapping = mmap.mmap(-1, room + 2 * PAGE)
    base = ctypes.addressof(ctypes.c_char.from_buffer(mapping))
    for page in (0, PAGE + room):
        if _libc.mprotect(ctypes.c_void_p(base + page), ctypes.c_size_t(PAGE), 0):
            raise OSError(ctypes.get_errno(), "mprotect")
    return np.frombuffer(mapping, np.uint8, size, PAGE + room - size)


_patterns: dict[tuple[int, int], np.ndarray] = {}


def pattern(address: int, size: int) -> np.ndarray:
    """Bytes that tell where they belong; taken as pointers they lead nowhere."""
    key = address, size
    if key not in _patterns:
        places = np.arange(size, dtype=np.uint64) + np.uint64(address)
        _patterns[key] = (places * np.uint64(0x9E3779B97F4A7C15) >> np.uint64(56)).astype(np.uint8)
    return _patterns[key]


def body(head: bytes, length: int) -> bytes:
    """A frame of `length` bytes that begins with `head`."""
    if length <= len(head):
        return head[:length]
    return head + (b"\x5a\xc3\x96\x0f\x71" * (length // 5 + 1))[: length - len(head)]


#: Regions by name: address, bytes.  The gaps between them answer nothing.
LAYOUT = {
    "ram": (0, 1 << 20),
    "lazy": (0x20_0000, 1 << 16),  # functions; contents made up when they are read
    "fickle": (0x30_0000, 1 << 16),  # functions; each read finds something else
    "rom": (0x40_0000, 1 << 16),  # read-only
    "bar": (0x50_0000, 1 << 17),  # the card's own BAR 0
    "mortal": (0x68_0000, 1 << 16),  # a file that its owner may truncate
    "page": (0x80_0000, PAGE),  # nothing before and behind it
    "keep": (0x5AA5_0000, 1 << 16),  # nothing names it
    "low-end": (0xFFFF_F000, PAGE),  # up to 2**32 ...
    "high": (0x1_0000_0000, 1 << 16),  # ... where the next region begins
    "top": (2**64 - PAGE, PAGE),
}
DRIVER_AT = 0x4000_0000
#: Where a card calls: a wire, an interrupt handler, memory behind functions.
PLACES = ("send", "irq", "read", "write")
MAPPED = ("ram", "rom", "page", "keep", "low-end", "high", "top")


class Inventor:
    """Memory whose contents are invented when a card reads them; what is written to it stays."""

    def __init__(self, world: World, base: int, size: int, *, fickle: bool) -> None:
        self.world, self.base, self.fickle = world, base, fickle
        self.written: dict[int, int] = {}
        self.reads = 0

    def read(self, address: int, length: int) -> bytes:
        if length > 65536:
            raise OracleError(f"BOUND: one DMA of {length} bytes")
        self.reads += 1
        self.world.nested("read")
        salt = self.reads if self.fickle else 0
        data = self.world.family.invent(address - self.base, length, salt + self.world.seed)
        if self.written and not self.fickle:
            data = bytes(self.written.get(address + i, byte) for i, byte in enumerate(data))
        return data

    def write(self, address: int, data: bytes) -> None:
        self.world.nested("write")
        if not self.fickle:
            self.written.update((address + i, byte) for i, byte in enumerate(data))


class Mirror:
    """The card's BAR 0 as its own DMA finds it: accesses come back as register accesses."""

    def __init__(self, world: World, base: int) -> None:
        self.world, self.base = world, base

    def read(self, address: int, length: int) -> bytes:
        handle, at = self.world.nic.handle, address - self.base
        words = [lib.nic_read(handle, 0, at + i, 4) & 0xFFFFFFFF for i in range(0, length, 4)]
        return b"".join(word.to_bytes(4, "little") for word in words)[:length]

    def write(self, address: int, data: bytes) -> None:
        handle, at = self.world.nic.handle, address - self.base
        for i in range(0, len(data), 4):
            lib.nic_write(handle, 0, at + i, int.from_bytes(data[i : i + 4], "little"), min(4, len(data) - i))


# ------------------------------------------------------------------------------------------------- the wire


class Wire(PythonBackend):
    """Keeps books of what leaves the card; takes `room` more frames, or any number (None)."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.room: int | None = None
        self.total = 0
        self.frames: deque[bytes] = deque(maxlen=64)
        super().__init__()

    def send(self, frames: list[bytes]) -> int:
        taken = len(frames) if self.room is None else min(self.room, len(frames))
        if self.room is not None:
            self.room -= taken
        for frame in frames[:taken]:
            self.world.note("sent", frame)
            if not 0 < len(frame) <= 16384:
                self.world.fail(f"NOEXC: a frame of {len(frame)} bytes left the card")
        self.total += taken
        self.frames.extend(frames[:taken])
        self.world.nested("send")
        return taken


# ------------------------------------------------------------------------------------------------- the world


class World:
    """One card and everything around it.  `run` does operations (see `cases`), `finish` checks what is left.

    clean: False: the card has had another life before its power-on reset.
    """

    #: Seconds of processor time that one operation may take.
    SECONDS = 2.0

    def __init__(
        self,
        family: Any,
        model: str,
        *,
        profile: str = "instant",
        overflow: str = "",
        seed: int = 0,
        clean: bool = True,
        watch: bool = True,
    ) -> None:
        self.family, self.model, self.seed = family, model, seed
        self.options = {"profile": profile, "overflow": overflow, "seed": seed}
        self.digest, self.trail = hashlib.sha256(), []  # type: ignore[var-annotated]
        self.limit = self.SECONDS * (10 if sanitized() else 1)
        self.watch, self.levels, self.step, self.pin = watch, 0, 0, False
        self.failure: OracleError | None = None
        self.left: dict[str, Any] = {}
        self._waiting: dict[str, deque[Sequence[Any]]] = {place: deque() for place in PLACES}
        self._inside = False
        self.cable = True
        self.calls = 0  # operations that were done from inside
        self.memory = nicemu.GuestMemory()
        self.buffers: dict[str, np.ndarray] = {}
        self.clock = nicemu.Clock.virtual(1_000_000_000)
        self.wire = Wire(self)
        self._build_memory()
        self.nic = self._create()
        self.nic.plug(self.wire)
        if not clean:
            self._soil()
        self.operations: dict[str, Callable[..., None]] = {
            name[3:]: getattr(self, name) for name in dir(self) if name.startswith("op_")
        }

    def _create(self) -> nicemu.Nic:
        return nicemu.create(
            self.model, memory=self.memory, clock=self.clock, irq=self._interrupt, msi=self._message, **self.options
        )

    def _build_memory(self) -> None:
        for name in MAPPED:
            address, size = LAYOUT[name]
            self.buffers[name] = guarded(size)
            self.buffers[name][:] = pattern(address, size)
        address, size = LAYOUT["mortal"]
        self._file = os.memfd_create("mortal", os.MFD_CLOEXEC)
        os.truncate(self._file, size)
        self.driver_memory = guarded(self.family.footprint)
        self.inventors = {name: Inventor(self, *LAYOUT[name], fickle=name == "fickle") for name in ("lazy", "fickle")}
        self.mirror = Mirror(self, LAYOUT["bar"][0])
        for name in LAYOUT:
            self.map(name)
        self.memory.add(DRIVER_AT, self.driver_memory)
        self.mapped = set(LAYOUT)

    def map(self, name: str) -> None:
        """Puts a region in its place."""
        address, size = LAYOUT[name]
        if name in MAPPED:
            self.memory.add(address, self.buffers[name], writable=name != "rom")
        elif name == "mortal":
            if os.fstat(self._file).st_size < size:
                os.truncate(self._file, size)
            self.memory.add_fd(address, size, self._file)
        else:
            functions = self.mirror if name == "bar" else self.inventors[name]
            self.memory.add_functions(address, size, functions.read, functions.write)

    def _soil(self) -> None:
        """Another life: frames of other contents pass through every buffer; then the power goes off and on."""
        self.family.live(self, b"\xc3" * 1200)
        self.driver_memory[:] = 0
        self.wire.frames.clear()
        self.nic.plug(None)
        lib.nic_device_set_random(self.nic.handle, self.seed)
        for _ in range(2):  # as when a card is made
            self.nic.reset(Reset.POWER)
        self.nic.enable_decoding()
        self.nic.plug(self.wire)
        self.digest, self.levels, self.wire.total = hashlib.sha256(), 0, 0

    def restore(self) -> None:
        """Everything as at the beginning, but for what RST# leaves alone; no more is in the books."""
        for waiting in self._waiting.values():
            waiting.clear()
        for name in LAYOUT:
            self.op_map(name)
        for name, buffer in self.buffers.items():
            buffer[:] = pattern(*LAYOUT[name])
        os.truncate(self._file, LAYOUT["mortal"][1])
        for inventor in self.inventors.values():
            inventor.written.clear()
            inventor.reads = 0
        self.op_room(None)
        self.wire.set_link(True)
        self.op_cable(True)
        self.calm()
        self.family.repair(self.nic)
        self.nic.reset(Reset.BUS)
        self.wire.frames.clear()
        self.digest, self.trail = hashlib.sha256(), []

    # ------------------------------------------------------------------ books

    def note(self, kind: str, *values: Any) -> None:
        """Something that the guest or the wire can see."""
        for value in values:
            self.digest.update(value if isinstance(value, bytes) else repr((kind, value)).encode())

    def fail(self, message: str) -> None:
        """An oracle was violated inside a callback: told when the operation is over."""
        self.failure = self.failure or OracleError(message)

    def _interrupt(self, level: bool) -> None:
        self.levels, self.pin = self.levels + 1, level
        self.note("interrupt", level)
        self.nested("irq")

    def _message(self) -> None:
        self.note("message", 1)
        self.nested("irq")

    def nested(self, place: str) -> None:
        """Does what was put up to be done from inside a callback."""
        if self._inside or not self._waiting[place]:
            return
        self._inside = True
        self.calls += 1
        for operation in self._waiting[place].popleft():
            self.operations[operation[0]](*operation[1:])
        self._inside = False

    @contextlib.contextmanager
    def outside(self) -> Iterator[None]:
        """What waits to be done from inside a callback waits on."""
        inside, self._inside = self._inside, True
        yield
        self._inside = inside

    # ------------------------------------------------------------------ operations

    def run(self, operations: Sequence[Sequence[Any]]) -> None:
        """Does operations under watch; OracleError if one of them does what it may not."""
        spent = self._spent()
        for operation in operations:
            self.operations[operation[0]](*operation[1:])
            spent = self._judge(operation, spent)
            self.step += 1
            if self.watch:
                self.trail.append(self.digest.hexdigest()[:16])

    @contextlib.contextmanager
    def watched(self, what: object = "") -> Iterator[None]:
        """BOUND and NOEXC for whatever is done inside."""
        spent = self._spent()
        yield
        self._judge(what, spent)

    def _spent(self) -> tuple[int, float]:
        """Descriptors that were fetched, and seconds of processor time, until now."""
        return lib.nic_device_counters(self.nic.handle).descriptors, time.thread_time()

    def _judge(self, what: object, before: tuple[int, float]) -> tuple[int, float]:
        """BOUND and NOEXC for what was done since then; what is spent by now."""
        counters, now = lib.nic_device_counters(self.nic.handle), time.thread_time()
        # A ring in memory that keeps no write is sent again and again, at the wire's rate, while time passes.
        share = 1.0
        if isinstance(what, tuple) and what[0] == "advance":
            share += what[1] / 1e9
        if now - before[1] > self.limit * share:
            raise OracleError(f"BOUND: {now - before[1]:.2f} s of processor time for {what!r}")
        if counters.descriptors - before[0] > self.family.most_descriptors * share:
            raise OracleError(f"BOUND: {counters.descriptors - before[0]} descriptors for {what!r}")
        if counters.python_errors:
            raise OracleError(f"NOEXC: a hook raised at {what!r}")
        if self.nic.interrupt != self.pin:
            raise OracleError(f"NOEXC: the pin is {self.nic.interrupt} and the host was told {self.pin} at {what!r}")
        engine.raise_pending()
        if self.failure:
            raise self.failure
        return counters.descriptors, now

    def op_write(self, space: int, offset: int, value: int, size: int) -> None:
        lib.nic_write(self.nic.handle, space, offset, value, size)

    def op_read(self, space: int, offset: int, size: int) -> None:
        self.note("read", int(lib.nic_read(self.nic.handle, space, offset, size)))

    def op_reads(self, space: int, offset: int, size: int, count: int) -> None:
        for _ in range(count):
            self.op_read(space, offset, size)

    def op_block_read(self, space: int, offset: int, size: int, count: int) -> None:
        buffer = bytearray(size * count)
        lib.nic_read_repeat(self.nic.handle, space, offset, size, ffi.from_buffer(buffer), count)
        self.note("block", bytes(buffer))

    def op_block_write(self, space: int, offset: int, size: int, data: str) -> None:
        raw = bytes.fromhex(data)
        lib.nic_write_repeat(self.nic.handle, space, offset, size, raw, len(raw) // size)

    def op_memory(self, address: int, data: str) -> None:
        raw = bytes.fromhex(data)
        lib.nic_memory_write(self.memory.handle, address, raw, len(raw))

    def op_frames(self, frames: Sequence[tuple[str, int]], flags: int = 0) -> None:
        self.wire.deliver([body(bytes.fromhex(head), length) for head, length in frames], flags=flags)
        self.nic.poll()

    def op_poll(self) -> None:
        self.nic.poll()

    def op_advance(self, ns: int) -> None:
        self.clock.advance(ns)

    def op_link(self, up: bool) -> None:
        self.wire.set_link(up)

    def op_cable(self, plugged: bool) -> None:
        self.cable = plugged
        self.nic.set_link(plugged)

    def op_room(self, frames: int | None) -> None:
        self.wire.room = frames
        if frames != 0:
            self.wire.writable()

    def op_reset(self, kind: int) -> None:
        self.nic.reset(Reset(kind))

    def op_snapshot(self) -> None:
        """Saving, loading and saving again gives the same bytes."""
        before = self.nic.save()
        self.nic.load(before)
        if self.nic.save() != before:
            raise OracleError(f"SNAPSHOT: changed by a round trip: {nicemu.snapshot.diff(before, self.nic.save())}")

    def op_migrate(self) -> None:
        """Another card of the model goes on where this one stopped."""
        before, old = self.nic.save(), self.nic
        old.plug(None)
        self.pin = False
        new = self._create()
        new.set_link(self.cable)
        with self.outside():  # no guest runs while its card is loaded
            new.load(before)
        self.nic = new
        if new.save() != before:
            raise OracleError(f"SNAPSHOT: changed by a migration: {nicemu.snapshot.diff(before, new.save())}")
        old.close()
        new.plug(self.wire)

    def op_disturb(self, what: str, frames: int) -> None:
        self.nic.disturb(what, frames)

    def calm(self) -> None:
        """Nothing is left to be met by frames."""
        for what in self.nic.DISTURBANCES:
            self.nic.disturb(what, 0)

    def op_unmap(self, name: str) -> None:
        if name in self.mapped:
            self.memory.remove(*LAYOUT[name])
            self.mapped.discard(name)

    def op_map(self, name: str) -> None:
        if name not in self.mapped:
            self.map(name)
            self.mapped.add(name)

    def op_truncate(self, size: int) -> None:
        os.truncate(self._file, size)

    def op_inside(self, place: str, operations: Sequence[Sequence[Any]]) -> None:
        """The next time that the card calls out (see PLACES), these operations are done from inside the call."""
        self._waiting[place].append(operations)

    # ------------------------------------------------------------------ the end

    def finish(self) -> str:
        """Checks what must hold after any operations; the digest of everything that could be seen."""
        for waiting in self._waiting.values():
            waiting.clear()
        self.left = self.family.visible_state(self.nic)
        self.left |= {name: buffer.tobytes() for name, buffer in self.buffers.items()}
        self.note("left", *(part for _, part in sorted(self.left.items())))
        digest = self.digest.hexdigest()
        for name in ("keep", "rom"):
            self.check_unchanged(name)
        self.check_alive()
        return digest

    def check_unchanged(self, name: str, allowed: Sequence[tuple[int, int]] = ()) -> None:
        """NOWRITE: a region has its pattern, but for (address, length) that were `allowed`."""
        address, size = LAYOUT[name]
        if np.array_equal(self.buffers[name], pattern(address, size)):
            return
        wrong = self.buffers[name] != pattern(address, size)
        for begin, length in allowed:
            wrong[max(0, begin - address) : max(0, begin - address + length)] = False
        if wrong.any():
            places = np.flatnonzero(wrong)
            raise OracleError(
                f"NOWRITE: {len(places)} bytes of {name} changed, from {address + int(places[0]):#x}"
                f" to {address + int(places[-1]):#x}"
            )

    def check_alive(self) -> None:
        """NOEXC: after a reset the card sends and receives."""
        for waiting in self._waiting.values():  # nobody meddles with this driver
            waiting.clear()
        with self.watched("check that the card is alive"):
            self.calm()
            self.nic.reset(Reset.BUS)
            self.op_room(None)
            self.wire.set_link(True)
            self.op_cable(True)
            self.family.live(self, bytes(range(60, 200)))

    def close(self) -> None:
        """Frees everything."""
        self.nic.close()
        self.wire.close()
        self.memory.clear()
        os.close(self._file)
