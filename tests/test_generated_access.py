"""Access tests made from the register tables: every register of every model, every access word, every byte lane.

The engine runs each model's rows here without the card's hooks, so that what is tested is what the table says; the laws
are worked out again below, in Python, from the access words alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import pytest

import nicemu
from nicemu.devices import find_class
from nicemu.engine import ffi, lib
from nicemu.model import Model
from nicemu.registers import ACCESS, Register, Reset, Table

PATTERNS = (0x00000000, 0xFFFFFFFF, 0x5A5A5A5A, 0xA5A5A5A5, 0x01234567)
#: What cells hold before a reset.
BEFORE = 0xA5A5A5A5


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


def every_table() -> Iterator[pytest.param]:  # type: ignore[valid-type]
    for info in nicemu.models():
        for number, table in find_class(info.name).model().spaces.items():
            if registers(table):
                yield pytest.param(info.name, number, table, id=f"{info.name}-{number}-{table.name}")


def registers(table: Table) -> list[Register]:
    return [register for register in table if not register.window and register.present]


class Law:
    """What the access words of a register make of reads and writes with byte enables."""

    def __init__(self, register: Register, table: Table) -> None:
        def bits(word: str) -> int:
            return sum(f.mask for f in register.fields if getattr(ACCESS[f.access], word))

        self.whole = (1 << 8 * register.size) - 1 if table.whole else 0
        self.shown, self.rc, self.plain, self.w1s, self.w1c = map(bits, ("read", "rc", "write", "w1s", "w1c"))
        self.pairs = [f.bit for f in register.fields if ACCESS[f.access].pair]

    def write(self, old: int, value: int, enable: int) -> int:
        """What is stored afterwards."""
        if self.whole and enable != self.whole:
            return old
        old = old & ~(self.plain & enable) | value & self.plain & enable
        old |= value & self.w1s & enable
        old &= ~(value & self.w1c & enable)
        for bit in self.pairs:
            for own, other in ((bit, bit + 1), (bit + 1, bit)):
                if value & enable & 1 << own:
                    old |= 1 << own if not value & enable & 1 << other else 0
                    old &= ~(1 << other)
        return old

    def read(self, old: int, enable: int) -> tuple[int, int]:
        """(what a read shows of the whole register, what it leaves stored)."""
        return old & self.shown, old & ~(self.rc & (self.whole or enable))


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


@pytest.mark.parametrize(("name", "space", "table"), list(every_table()))
def test_access_laws(name: str, space: int, table: Table) -> None:
    device = bare(name)
    for register in registers(table):
        if table.pages > 1:
            lib.nic_select_page(device.handle, space, register.pages[0] if register.pages else 0)
        open_gate(device, table, register)
        for element in elements(register):
            obeys(device, space, table, register, element)


def obeys(device: Bare, space: int, table: Table, register: Register, element: int) -> None:
    """Reads and writes of every lane do what the access words say."""
    law, top = Law(register, table), (1 << 8 * register.size) - 1
    cell = device.model.cell(table.name, register.name) + element
    patterns = [pattern & top for pattern in PATTERNS]
    for first, size in lanes(register):
        lane, where = (1 << 8 * size) - 1, register.offset + element * register.stride + first
        enable, place = lane << 8 * first, f"{register.name} [{element}], lane {first}:{size}"
        for old, value in product(patterns, patterns if "w" in register.direction else ()):
            device.cells[cell] = old
            lib.nic_write(device.handle, space, where, value >> 8 * first & lane, size)
            assert device.cells[cell] == law.write(old, value, enable), f"{place}: write of {value:#x} over {old:#x}"
        for old in patterns if "r" in register.direction else ():
            device.cells[cell] = old
            shown, left = law.read(old, enable)
            seen = lib.nic_read(device.handle, space, where, size)
            assert seen == shown >> 8 * first & lane, f"{place}: read of {old:#x}"
            assert device.cells[cell] == left, f"{place}: left by a read of {old:#x}"


@pytest.mark.parametrize("kind", list(Reset))
@pytest.mark.parametrize(("name", "space", "table"), list(every_table()))
def test_resets(name: str, space: int, table: Table, kind: Reset) -> None:
    """Each kind of reset, with every cell of the table holding a pattern."""
    device = bare(name)
    own = [(r, device.model.cell(table.name, r.name)) for r in registers(table) if not r.cell]
    for register, cell in own:
        for element in elements(register):
            device.cells[cell + element] = BEFORE & (1 << 8 * register.size) - 1
    lib.nic_reset(device.handle, kind.value)
    for register, cell in own:
        top, kept, undefined = (1 << 8 * register.size) - 1, register.kept(kind), register.undefined
        for element in elements(register):
            value, place = int(device.cells[cell + element]), f"{register.name} [{element}]"
            assert value & kept & ~undefined == BEFORE & kept & ~undefined, f"{place}: what it spares"
            defined = top & ~kept & ~undefined
            assert value & defined == register.reset_value(element) & defined, f"{place}: what it sets"
            if kind is not Reset.POWER:
                assert value & undefined == BEFORE & undefined & top, f"{place}: it touches undefined bits"
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
