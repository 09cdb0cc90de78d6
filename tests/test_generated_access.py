"""Access tests made from the register tables: every register of every model, every access word, every byte lane.

The engine runs each model's rows here without the card's hooks, so that what is tested is what the table says; the laws
are worked out again below, in Python, from the access words alone.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import nicemu
from nicemu.devices import find_class
from nicemu.engine import ffi, lib
from nicemu.model import Model
from nicemu.registers import ACCESS, Register, Reset, Table

PATTERNS = (0x00000000, 0xFFFFFFFF, 0x5A5A5A5A, 0xA5A5A5A5, 0x01234567)


class Bare:
    """A device with a model's rows and none of its hooks."""

    def __init__(self, name: str) -> None:
        whole = find_class(name).model()
        self.model = Model(
            name, find_class(name).CARD, whole.spaces, find_class(name).TABLES, (), set(), set(), hooks=False
        )
        self.memory = nicemu.GuestMemory()
        self.clock = nicemu.Clock.virtual()
        self.handle = ffi.gc(
            lib.nic_device_new(self.model.c, self.memory.handle, self.clock.handle, 1), lib.nic_device_free
        )
        self.cells = lib.nic_device_cells(self.handle)
        self.enable()

    def enable(self) -> None:
        """Decoding and bus mastering, where there is PCI."""
        if self.model.c.pci.command != lib.NIC_NO_CELL:
            self.cells[self.model.c.pci.command] = 7
            lib.nic_pci_changed(self.handle)


BARE: dict[str, Bare] = {}


def bare(name: str) -> Bare:
    return BARE.setdefault(name, Bare(name))


def elements(register: Register) -> Iterator[int]:
    yield 0
    if register.count > 1:
        yield register.count - 1


def every_register() -> Iterator[pytest.param]:  # type: ignore[valid-type]
    for info in nicemu.models():
        for number, table in find_class(info.name).model().spaces.items():
            for register in table:
                if not register.window and register.present:
                    yield pytest.param(
                        info.name, number, table, register, id=f"{info.name}-{table.name}-{register.name}"
                    )


def law_write(register: Register, table: Table, old: int, value: int, enable: int) -> int:
    """What the access words make of a write with these byte enables."""
    if table.whole and enable != (1 << 8 * register.size) - 1:
        return old
    for f in register.fields:
        access, bits = ACCESS[f.access], f.mask & enable
        if access.write:
            old = (old & ~bits) | (value & bits)
        if access.w1s:
            old |= value & bits
        if access.w1c:
            old &= ~(value & bits)
        if access.pair:
            for own, other in ((f.bit, f.bit + 1), (f.bit + 1, f.bit)):
                if value & enable & 1 << own:
                    old |= 1 << own if not value & enable & 1 << other else 0
                    old &= ~(1 << other)
    return old


def law_read(register: Register, table: Table, old: int, enable: int) -> tuple[int, int]:
    """(what a read shows of the whole register, what it leaves stored)."""
    if table.whole:
        enable = (1 << 8 * register.size) - 1
    shown = sum(old & f.mask for f in register.fields if ACCESS[f.access].read)
    cleared = sum(f.mask for f in register.fields if ACCESS[f.access].rc) & enable
    return shown, old & ~cleared


def open_gate(device: Bare, table: Table, register: Register) -> None:
    """Lets writes count, for a register that is locked."""
    for gate in register.gates[:1]:
        where, _, name = gate.register.rpartition(".")
        device.cells[device.model.cell(where or table.name, name)] = gate.value


def lanes(register: Register) -> Iterator[tuple[int, int]]:
    """(first byte, bytes) of every aligned access that lies inside the register."""
    for size in (1, 2, 4):
        for first in range(0, register.size - size + 1, size):
            yield first, size


@pytest.mark.parametrize(("name", "space", "table", "register"), list(every_register()))
def test_access_laws(name: str, space: int, table: Table, register: Register) -> None:
    device = bare(name)
    if table.pages > 1:
        lib.nic_select_page(device.handle, space, register.pages[0] if register.pages else 0)
    open_gate(device, table, register)
    cell = device.model.cell(table.name, register.name)
    top = (1 << 8 * register.size) - 1
    for element in elements(register):
        where = register.offset + element * register.stride
        for first, size in lanes(register):
            enable = ((1 << 8 * size) - 1) << 8 * first
            for old in PATTERNS:
                for value in PATTERNS:
                    device.cells[cell + element] = old & top
                    if "w" in register.direction:
                        part = (value & top) >> 8 * first & ((1 << 8 * size) - 1)
                        lib.nic_write(device.handle, space, where + first, part, size)
                        expected = law_write(register, table, old & top, value & top, enable)
                        assert device.cells[cell + element] == expected, (
                            f"write {value:#x} over {old:#x}, lane {first}:{size}"
                        )
                if "r" in register.direction:
                    device.cells[cell + element] = old & top
                    shown, left = law_read(register, table, old & top, enable)
                    seen = lib.nic_read(device.handle, space, where + first, size)
                    assert seen == shown >> 8 * first & ((1 << 8 * size) - 1), f"read of {old:#x}, lane {first}:{size}"
                    assert device.cells[cell + element] == left, f"left by a read of {old:#x}, lane {first}:{size}"


@pytest.mark.parametrize(("name", "space", "table", "register"), list(every_register()))
def test_resets(name: str, space: int, table: Table, register: Register) -> None:
    if register.cell:
        return
    device = bare(name)
    cell = device.model.cell(table.name, register.name)
    top = (1 << 8 * register.size) - 1
    for kind in Reset:
        for element in elements(register):
            device.cells[cell + element] = 0xA5A5A5A5 & top
        lib.nic_reset(device.handle, kind.value)
        for element in elements(register):
            value, kept = int(device.cells[cell + element]), register.kept(kind)
            undefined = register.undefined
            assert value & kept & ~undefined == 0xA5A5A5A5 & kept & ~undefined, kind
            defined = top & ~kept & ~undefined
            assert value & defined == register.reset_value(element) & defined, kind
            if kind is not Reset.POWER:
                assert value & undefined == 0xA5A5A5A5 & undefined & top, f"{kind} touches undefined bits"
    device.enable()


def test_spanning_access(model: str) -> None:
    """An access over two registers acts on each with its own bytes."""
    device = bare(model)
    for space, table in device.model.spaces.items():
        shown = [lib.nic_read(device.handle, space, at, 4) for at in (0, 4)]
        assert lib.nic_read(device.handle, space, 0, 8) == shown[1] << 32 | shown[0], table.name


def test_outside(model: str) -> None:
    """Beyond a space reads are all ones and writes go nowhere; nothing raises."""
    device = bare(model)
    for space, table in device.model.spaces.items():
        assert lib.nic_read(device.handle, space, table.size, 4) == 0xFFFFFFFF
        lib.nic_write(device.handle, space, table.size + 4, 1, 4)
        lib.nic_read(device.handle, space, 2**63, 4)
    assert lib.nic_read(device.handle, 99, 0, 4) == 0xFFFFFFFF


def test_undefined_bits_come_from_the_seed(model: str) -> None:
    """What the data sheet leaves undefined is filled by seed: equal for equal seeds, different otherwise."""

    def contents(seed: int) -> dict[str, int]:
        nic = nicemu.create(model, seed=seed)
        undefined = {r.name: r.undefined for t in nic.TABLES for r in t if r.undefined and not r.cell}
        return {n: v.value & undefined[n.partition("[")[0]] for n, v in nic.regs if n.partition("[")[0] in undefined}

    one = contents(1)
    assert one == contents(1)
    assert not one or one != contents(2)
