"""Snapshots: the state of a running card as data that can be read, compared and edited by register name.

A snapshot is JSON text.  Loading one and saving again gives the same bytes.  Times are saved as distances from the
moment of saving, so a snapshot can be loaded on another clock.
"""

from __future__ import annotations

import errno
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nicemu.clock import NEVER
from nicemu.codegen import cells
from nicemu.engine import ffi, lib
from nicemu.errors import SnapshotError

if TYPE_CHECKING:
    from nicemu.core import Nic

__all__ = ["VERSION", "diff", "load", "save"]

FORMAT = "nicemu snapshot"
#: Raised when the meaning of a snapshot changes; older ones are refused with a message that says so.
VERSION = 1

#: Where the flags of a frame that waits stand above its length, and the flag of one that is not complete (port.c).
_FLAGS, _OFFLOAD = 1 << 20, 1 << 11

_ITEMS = {1: "uint8_t", 2: "uint16_t", 4: "uint32_t", 8: "uint64_t"}


# ------------------------------------------------------------------------------------------------- saving


def save(nic: Nic) -> bytes:
    """The card's whole state: registers, private state of the datapath, timers, parts, frames on their way in."""
    model = nic.compiled
    registers: dict[str, dict[str, Any]] = {}
    for table, register, cell in cells(model.tables):
        width = 2 + 2 * register.size
        values = [f"{nic.cells[cell + i]:#0{width}x}" for i in range(register.count)]
        registers.setdefault(table.name, {})[register.name] = values[0] if register.count == 1 else values
    document = {
        "format": FORMAT,
        "version": VERSION,
        "model": nic.MODEL,
        "registers": registers,
        "state": {name: _save_field(nic, view) for name, view in _views(nic)},
        "timers": _save_timers(nic),
        "parts": {name: part.state() for name, part in nic.parts().items()},
        "inbound": list(_inbound(nic)),
        "interrupt": bool(lib.nic_interrupt_asserted(nic.handle)),
        "pages": [int(lib.nic_device_page(nic.handle, space)) for space in range(lib.NIC_SPACES)],
        "work": int(lib.nic_device_work(nic.handle)),
        "random": int(lib.nic_device_random(nic.handle)),
    }
    return json.dumps(document, indent=1).encode()


@dataclass(frozen=True)
class _View:
    """One named piece of the datapath's private state."""

    data: Any  #: where it lies in the card
    size: int  #: bytes of an element
    count: int
    kind: int  #: lib.NIC_KIND_*


def _views(nic: Nic) -> Iterator[tuple[str, _View]]:
    count = lib.nic_state(nic.handle, ffi.NULL, 0)
    views = ffi.new("nic_state_view[]", max(count, 1))
    lib.nic_state(nic.handle, views, count)
    for i in range(count):  # copies: they outlive the array
        yield ffi.string(views[i].name).decode(), _View(views[i].data, views[i].size, views[i].count, views[i].kind)


def _save_field(nic: Nic, view: _View) -> Any:
    if view.size == 1 and view.count > 1:
        return bytes(ffi.buffer(ffi.cast("uint8_t *", view.data), view.count)).hex()
    items = ffi.cast(f"{_ITEMS[view.size]} *", view.data)
    values = [_readable(nic, view, int(items[i])) for i in range(view.count)]
    return values[0] if view.count == 1 else values


def _readable(nic: Nic, view: _View, value: int) -> int | bool | None:
    if view.kind == lib.NIC_KIND_TIME:
        return _distance(nic, value)
    return bool(value) if view.kind == lib.NIC_KIND_FLAG else value


def _distance(nic: Nic, time: int) -> int | None:
    return None if time == NEVER else time - nic.clock.now


def _save_timers(nic: Nic) -> dict[str, int | None]:
    timers: dict[str, int | None] = {}
    for number in range(lib.nic_timer_count(nic.handle)):
        name = ffi.string(lib.nic_timer_name(nic.handle, number)).decode()
        timers[name] = _distance(nic, int(lib.nic_timer_deadline(nic.handle, number)))
    return timers


def _inbound(nic: Nic) -> Iterator[str]:
    """The frames that wait, in hexadecimal; one with faults (NIC_FRAME_*) has their number and a colon before it.

    The bit above all faults marks a frame that is not complete: the description of what it lacks stands before it.
    """
    size = lib.nic_inbound(nic.handle, ffi.NULL, 0)
    records = bytearray(size)
    if size:
        lib.nic_inbound(nic.handle, ffi.from_buffer(records), size)
    at = 0
    while at < size:
        flags, length = divmod(int.from_bytes(records[at : at + 4], "little"), _FLAGS)
        end = at + 4 + length + (ffi.sizeof("nic_offload") if flags & _OFFLOAD else 0)
        yield (f"{flags}:" if flags else "") + records[at + 4 : end].hex()
        at = end


# ------------------------------------------------------------------------------------------------- loading


def load(nic: Nic, data: bytes) -> None:
    """Puts a card into a saved state; SnapshotError, and no change, if `data` is not a snapshot of this model."""
    document = _parse(nic, data)
    before = save(nic)
    try:
        _apply(nic, document)
    except (KeyError, TypeError, ValueError, OverflowError, AttributeError, MemoryError) as error:
        _apply(nic, json.loads(before))
        if isinstance(error, MemoryError):
            raise
        raise SnapshotError(f"malformed snapshot: {error}") from error


def _parse(nic: Nic, data: bytes) -> dict[str, Any]:
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise SnapshotError(f"not a snapshot: {error}") from error
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise SnapshotError(f"not a snapshot: expected a JSON object whose format is {FORMAT!r}")
    if document.get("version") != VERSION:
        raise SnapshotError(f"snapshot of version {document.get('version')!r}; this nicemu reads version {VERSION}")
    if document.get("model") != nic.MODEL:
        raise SnapshotError(f"snapshot of a {document.get('model')!r}; this card is a {nic.MODEL!r}")
    for key, kind in (
        ("registers", dict),
        ("state", dict),
        ("timers", dict),
        ("parts", dict),
        ("inbound", list),
        ("pages", list),
        ("interrupt", bool),
    ):
        if not isinstance(document.get(key), kind):
            raise SnapshotError(f"malformed snapshot: {key} is missing or is not a {kind.__name__}")
    return document


def _apply(nic: Nic, document: Mapping[str, Any]) -> None:
    _apply_registers(nic, document["registers"])
    state = dict(_views(nic))
    _same_names("state", state, document["state"])
    for name, view in state.items():
        _load_field(nic, name, view, document["state"][name])
    _apply_timers(nic, document["timers"])
    parts = nic.parts()
    _same_names("parts", parts, document["parts"])
    for name, part in parts.items():
        part.load_state(document["parts"][name])
    _apply_inbound(nic, document["inbound"])
    if len(document["pages"]) != lib.NIC_SPACES:
        raise ValueError(f"{len(document['pages'])} pages; expected {lib.NIC_SPACES}")
    for space, page in enumerate(document["pages"]):
        lib.nic_select_page(nic.handle, space, page)
    lib.nic_device_set_random(nic.handle, document["random"])
    lib.nic_interrupt_restore(nic.handle, document["interrupt"])
    lib.nic_state_loaded(nic.handle)
    lib.nic_device_set_work(nic.handle, document["work"])  # last: bus mastering that comes on asks for work
    nic.after_load()


def _same_names(what: str, expected: Mapping[str, Any], found: Mapping[str, Any]) -> None:
    if set(expected) != set(found):
        odd = sorted(set(expected) ^ set(found))
        raise ValueError(f"{what}: {', '.join(odd)} missing or unknown")


def _apply_registers(nic: Nic, tables: Mapping[str, Mapping[str, Any]]) -> None:
    model = nic.compiled
    expected = {f"{t.name}.{r.name}" for t, r, _ in cells(model.tables)}
    found = {f"{table}.{name}" for table, registers in tables.items() for name in registers}
    if expected != found:
        raise ValueError(f"registers {', '.join(sorted(expected ^ found)[:5])} missing or unknown")
    for table, register, cell in cells(model.tables):
        given = tables[table.name][register.name]
        values = [given] if register.count == 1 else given
        if not isinstance(values, list) or len(values) != register.count:
            raise ValueError(f"{register.name} needs {register.count} values")
        for index, text in enumerate(values):
            value = int(text, 16)
            if value < 0 or value >> 8 * register.size:
                raise ValueError(f"{register.element_name(index)} = {text} does not fit into {register.size} bytes")
            nic.cells[cell + index] = value


def _load_field(nic: Nic, name: str, view: _View, value: Any) -> None:
    if view.size == 1 and view.count > 1:
        data = bytes.fromhex(value)
        if len(data) != view.count:
            raise ValueError(f"{name} has {len(data)} bytes; expected {view.count}")
        ffi.memmove(view.data, data, len(data))
        return
    values = [value] if view.count == 1 else value
    if not isinstance(values, list) or len(values) != view.count:
        raise ValueError(f"{name} needs {view.count} values")
    items = ffi.cast(f"{_ITEMS[view.size]} *", view.data)
    for index, item in enumerate(values):
        if view.kind == lib.NIC_KIND_FLAG and not isinstance(item, bool):
            raise ValueError(f"{name} is {item!r}; expected true or false")
        items[index] = _time(nic, item) if view.kind == lib.NIC_KIND_TIME else item


def _time(nic: Nic, distance: int | None) -> int:
    """A time on this card's clock; what lies before the clock's start becomes its start."""
    return NEVER if distance is None else max(0, nic.clock.now + distance)


def _apply_timers(nic: Nic, timers: Mapping[str, Any]) -> None:
    numbers = {
        ffi.string(lib.nic_timer_name(nic.handle, n)).decode(): n for n in range(lib.nic_timer_count(nic.handle))
    }
    _same_names("timers", numbers, timers)
    for name, number in numbers.items():
        lib.nic_timer_set(nic.handle, number, _time(nic, timers[name]))


def _apply_inbound(nic: Nic, frames: list[str]) -> None:
    records = bytearray()
    for text in frames:
        flags, _, digits = text.rpartition(":")
        frame, number = bytes.fromhex(digits), int(flags or 0)
        length = len(frame) - (ffi.sizeof("nic_offload") if number & _OFFLOAD else 0)
        if not 0 <= length < _FLAGS or not 0 <= number <= _OFFLOAD * 2 - 1:
            raise ValueError(f"an inbound frame of {len(frame)} bytes with faults {number:#x}")
        records += (length | number * _FLAGS).to_bytes(4, "little") + frame
    error = lib.nic_inbound_load(nic.handle, ffi.from_buffer(bytes(records) or b"\0"), len(records))
    if error == errno.ENOMEM:
        raise MemoryError("no memory for inbound frames")
    if error:
        raise ValueError("inbound frames do not fit")


# ------------------------------------------------------------------------------------------------- comparing


def diff(before: bytes, after: bytes) -> dict[str, tuple[Any, Any]]:
    """What differs between two snapshots, by path (`registers.mmio.TDT`, `parts.phy....`): (before, after)."""
    return dict(_differences("", json.loads(before), json.loads(after)))


def _differences(path: str, a: Any, b: Any) -> Iterator[tuple[str, tuple[Any, Any]]]:
    if isinstance(a, dict) and isinstance(b, dict):
        for key in sorted({*a, *b}):
            yield from _differences(f"{path}.{key}" if path else key, a.get(key), b.get(key))
    elif isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        for index, (x, y) in enumerate(zip(a, b, strict=True)):
            yield from _differences(f"{path}[{index}]", x, y)
    elif a != b:
        yield path, (a, b)
