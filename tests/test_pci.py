"""PCI configuration space of every card that has one: what firmware and operating systems do, and what gates what."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from selection import models_with

import nicemu
from nicemu.devices import find_class
from nicemu.model import CONFIG
from nicemu.pci import Bar
from nicemu.registers import RegisterError, Reset

COMMAND, STATUS, HEADER_TYPE, BAR0, ROM, POINTER = 0x04, 0x06, 0x0E, 0x10, 0x30, 0x34
IO, MEMORY, MASTER, INTX_DISABLE = 1, 2, 4, 1 << 10
CAPABILITY_LIST, INTX_STATUS = 1 << 4, 1 << 3
PM, MSI = 0x01, 0x05


def with_capability(number: int) -> list[str]:
    """The models that have this capability."""
    return models_with(lambda card: card.FUNCTION is not None and number in [c.id for c in card.FUNCTION.capabilities])


@pytest.fixture(params=models_with(lambda card: card.FUNCTION is not None))
def model(request: pytest.FixtureRequest) -> str:
    """Every model with a PCI function in turn."""
    return str(request.param)


@pytest.fixture
def nic(model: str) -> Iterator[nicemu.Nic]:
    nic = nicemu.create(model, clock=nicemu.Clock.virtual(), decode=False)
    yield nic
    nic.close()


def capabilities(nic: nicemu.Nic) -> dict[int, int]:
    """Offset of each capability by its identifier; walks as an operating system does."""
    found: dict[int, int] = {}
    at = nic.config.read(POINTER, 1)
    for _ in range(48):
        if not at:
            return found
        assert at % 4 == 0
        assert at >= 0x40
        found[nic.config.read(at, 1)] = at
        at = nic.config.read(at + 1, 1)
    raise AssertionError("the list of capabilities has no end")


def bars(nic: nicemu.Nic) -> dict[int, Bar]:
    assert nic.FUNCTION
    return dict(nic.FUNCTION.bars)


# ---------------------------------------------------------------- header


def test_identity(nic: nicemu.Nic) -> None:
    function = nic.FUNCTION
    assert function
    assert nic.config.read(0x00, 4) == function.device_id << 16 | function.vendor_id
    assert nic.config.read(0x08, 4) == function.class_code << 8 | function.revision
    assert nic.config.read(0x0B, 1) == 2, "a network controller"
    assert nic.config.read(HEADER_TYPE, 1) == 0
    assert nic.config.read(0x2C, 4) == function.subsystem_id << 16 | function.subsystem_vendor_id
    assert nic.config.read(0x3D, 1) in (1, 2, 3, 4)


def test_after_power_on_nothing_is_enabled(nic: nicemu.Nic) -> None:
    assert nic.config.read(COMMAND, 2) & (IO | MEMORY | MASTER | INTX_DISABLE) == 0
    assert all(nic.config.read(BAR0 + 4 * n, 4) & ~0xF == 0 for n in range(6))


def test_bars_tell_their_size(nic: nicemu.Nic) -> None:
    """All ones written, the size comes back, and the bits that tell the kind; what is no BAR stays 0."""
    for number in range(6):
        offset = BAR0 + 4 * number
        nic.config.write(offset, 0xFFFFFFFF)
        value = nic.config.read(offset)
        if number not in bars(nic):
            if number - 1 not in bars(nic):  # not the upper half of a 64-bit BAR
                assert value == 0
            continue
        bar = bars(nic)[number]
        kind = 3 if bar.io else 15
        assert (~value & 0xFFFFFFFF | kind) + 1 == bar.size
        assert value & 1 == bar.io
        nic.config.write(offset, 0xABCDEF01)
        assert nic.config.read(offset) & ~kind == 0xABCDEF01 & ~(bar.size - 1) & 0xFFFFFFFF
        assert nic.config.read(offset) & kind == value & kind


def test_nothing_but_what_may_change_changes(nic: nicemu.Nic) -> None:
    """Every byte, written with ones and zeros: exactly the bits that the table lets software write.

    The power data and their scale are left out: they follow what PMCSR selects.
    """
    table = nic.model().spaces[CONFIG]
    writable = bytearray(table.size)
    for register in table:
        mask = register.mask("write") | register.mask("w1s") | register.mask("w1c")
        if register.name in ("PMCSR", "PM_DATA"):
            mask = 0xFFFF
        for byte in range(register.size):
            writable[register.offset + byte] |= mask >> 8 * byte & 0xFF
    before = bytes(nic.config.read(at, 1) for at in range(table.size))
    for value in (0xFF, 0x00, 0x5A):
        for at in range(table.size):
            nic.config.write(at, value, 1)
            assert (nic.config.read(at, 1) ^ before[at]) & ~writable[at] & 0xFF == 0, hex(at)


def test_accesses_of_every_size_agree(nic: nicemu.Nic) -> None:
    size = nic.model().spaces[CONFIG].size
    whole = bytes(nic.config.read(at, 1) for at in range(size))
    for width in (2, 4, 8):
        for at in range(0, size - width + 1):
            assert nic.config.read(at, width) == int.from_bytes(whole[at : at + width], "little")


# ---------------------------------------------------------------- capabilities


def test_the_list_of_capabilities(nic: nicemu.Nic) -> None:
    found = capabilities(nic)
    assert bool(nic.config.read(STATUS, 2) & CAPABILITY_LIST) == bool(found)
    assert nic.FUNCTION
    assert found == {c.id: c.offset for c in nic.FUNCTION.capabilities}


@pytest.mark.parametrize("model", with_capability(PM))
def test_power_states(nic: nicemu.Nic) -> None:
    """In D3hot a card answers nothing but configuration accesses, and asks for no bus; back in D0 it is there again."""
    offset = capabilities(nic)[PM]
    nic.config.write(COMMAND, IO | MEMORY | MASTER, 2)
    usual = {number: space.read(0) for number, space in nic.bars.items()}
    nic.config.write(offset + 4, 3, 2)
    assert nic.config.read(offset + 4, 2) & 3 == 3
    assert all(space.read(0) == 0xFFFFFFFF for space in nic.bars.values())
    nic.config.write(offset + 4, 0, 2)
    nic.config.write(COMMAND, IO | MEMORY | MASTER, 2)
    nic.clock.advance(10**9)
    assert {number: space.read(0) for number, space in nic.bars.items()}.keys() == usual.keys()
    assert any(space.read(0) != 0xFFFFFFFF for space in nic.bars.values())


# ---------------------------------------------------------------- what COMMAND gates


def test_decoding(nic: nicemu.Nic) -> None:
    """A BAR answers while its kind of space is enabled; what is not answered reads as all ones and is counted."""
    for command in (0, IO, MEMORY, IO | MEMORY):
        nic.config.write(COMMAND, command, 2)
        for number, space in nic.bars.items():
            enabled = command & (IO if bars(nic)[number].io else MEMORY)
            before = nic.counters["gated_accesses"]
            for width in (1, 2, 4, 8):
                value = space.read(0, width)
                if not enabled:
                    assert value == (1 << 8 * width) - 1
                space.write(space.size - 8, 0, width)
            assert nic.counters["gated_accesses"] - before == (0 if enabled else 8)


def test_reset_disables_and_keeps_identity(nic: nicemu.Nic) -> None:
    nic.config.write(COMMAND, IO | MEMORY | MASTER, 2)
    nic.config.write(BAR0, 0xFEB00000)
    nic.config.write(0x3C, 11, 1)
    nic.reset(Reset.SOFT)
    assert nic.config.read(COMMAND, 2) & 7 == IO | MEMORY | MASTER
    assert nic.config.read(BAR0) & ~0xF == 0xFEB00000
    nic.reset(Reset.BUS)
    assert nic.config.read(COMMAND, 2) & 7 == 0
    assert nic.config.read(BAR0) & ~0xF == 0
    test_identity(nic)


# ---------------------------------------------------------------- interrupts


@pytest.fixture
def interrupting(model: str) -> Iterator[tuple[nicemu.Nic, list[bool], list[int]]]:
    """A card whose interrupt is asserted by its driver's own means: a frame arrives."""
    from nicemu.backends import PythonBackend
    from nicemu.drivers import attach

    levels: list[bool] = []
    messages: list[int] = []
    wire = PythonBackend()
    nic = nicemu.create(
        model,
        memory=nicemu.GuestMemory(1 << 20),
        clock=nicemu.Clock.virtual(),
        backend=wire,
        irq=levels.append,
        msi=lambda: messages.append(1),
    )
    driver = attach(nic, tx_count=8, rx_count=8)
    driver.start()
    driver.wait(driver.link_up, "link")
    driver.acknowledge()
    driver.enable_interrupts(True)
    nic.raise_it = lambda: (wire.deliver([driver.mac * 2 + b"\x88\xb5" + bytes(60)]), nic.poll())  # type: ignore[attr-defined]
    nic.lower_it = driver.acknowledge  # type: ignore[attr-defined]
    yield nic, levels, messages
    nic.close()


def test_the_pin(interrupting: tuple[nicemu.Nic, list[bool], list[int]]) -> None:
    nic, levels, messages = interrupting
    levels.clear()
    nic.raise_it()  # type: ignore[attr-defined]
    assert nic.interrupt
    assert levels == [True]
    nic.raise_it()  # type: ignore[attr-defined]
    assert levels == [True], "a level is told once"
    nic.lower_it()  # type: ignore[attr-defined]
    assert levels == [True, False]
    assert not nic.interrupt
    assert messages == []


def test_the_disable_bit(interrupting: tuple[nicemu.Nic, list[bool], list[int]]) -> None:
    """Where a card has it (PCI 2.3): the pin is quiet while it is set, and follows the cause when it is cleared."""
    nic, levels, _ = interrupting
    has_it = "INTERRUPT_DISABLE" in nic.model().spaces[CONFIG]["COMMAND"].decode(0)
    levels.clear()
    nic.config.write(COMMAND, 7 | INTX_DISABLE, 2)
    nic.raise_it()  # type: ignore[attr-defined]
    assert nic.interrupt != has_it
    if has_it:
        assert nic.config.read(STATUS, 2) & INTX_STATUS
    nic.config.write(COMMAND, 7, 2)
    assert nic.interrupt
    nic.lower_it()  # type: ignore[attr-defined]
    assert levels == [True, False]


@pytest.mark.parametrize("model", with_capability(MSI))
def test_messages_take_the_place_of_the_pin(interrupting: tuple[nicemu.Nic, list[bool], list[int]]) -> None:
    """One message for each rise; with MSI enabled the pin does nothing, and it takes over when MSI goes off."""
    nic, levels, messages = interrupting
    offset = capabilities(nic)[MSI]
    levels.clear()
    nic.config.write(offset + 2, 1, 2)
    nic.raise_it()  # type: ignore[attr-defined]
    nic.raise_it()  # type: ignore[attr-defined]
    assert messages == [1]
    nic.lower_it()  # type: ignore[attr-defined]
    nic.raise_it()  # type: ignore[attr-defined]
    assert messages == [1, 1]
    assert levels == []
    assert not nic.interrupt
    nic.config.write(offset + 2, 0, 2)
    assert levels == [True]
    nic.config.write(offset + 2, 1, 2)
    assert levels == [True, False]
    assert messages == [1, 1], "the cause was told already"


@pytest.mark.parametrize("kind", list(Reset))
def test_resets_let_go_of_the_pin(interrupting: tuple[nicemu.Nic, list[bool], list[int]], kind: Reset) -> None:
    nic, levels, _ = interrupting
    nic.raise_it()  # type: ignore[attr-defined]
    assert nic.interrupt
    nic.reset(kind)
    assert not nic.interrupt
    assert levels[-1] is False


# ---------------------------------------------------------------- what a card declares


@pytest.mark.parametrize("options", [{"size": 3}, {"size": 0}, {"size": 8}, {"size": 2, "io": True}, {"size": -16}])
def test_bars_that_cannot_be(options: dict[str, int]) -> None:
    with pytest.raises((RegisterError, ValueError)):
        _function_with(Bar(**options))  # type: ignore[arg-type]


def _function_with(bar: Bar) -> None:
    from dataclasses import replace

    from nicemu.pci import config_table

    function = find_class(models_with(lambda card: card.FUNCTION is not None)[0]).FUNCTION
    assert function
    config_table(replace(function, bars={0: bar}))
