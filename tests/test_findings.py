"""Findings, the part that all cards share: each rule of the engine with a driver that breaks it and one that does not.

The rules of a card are tested beside it (test_e1000_findings.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from selection import models_with

import nicemu
from nicemu import GuestMemory, Nic
from nicemu.backends import PythonBackend
from nicemu.drivers import Driver, attach
from nicemu.engine import ffi, lib
from nicemu.findings import Finding, Rule
from nicemu.registers import Register, Reset, State, Table


class Rig:
    """A card, its driver and its wire, on a clock that stands still."""

    def __init__(self, model: str, profile: str = "instant") -> None:
        self.memory = GuestMemory(1 << 20)
        self.wire = PythonBackend()
        self.nic = nicemu.create(
            model, memory=self.memory, clock=nicemu.Clock.virtual(), backend=self.wire, profile=profile
        )
        self.driver: Driver = attach(self.nic, tx_count=8, rx_count=8)
        self.driver.start()
        self.driver.wait(self.driver.link_up, "link")
        self.nic.findings  # noqa: B018 (looking takes them out)

    @property
    def card(self) -> str:
        return self.nic.CARD

    def register(self, accept: Callable[[Register], bool]) -> tuple[nicemu.core.Space, Register]:
        """The first register of a BAR that the test can use."""
        number, register = usable(type(self.nic), accept)
        return self.nic.bars[number], register


def usable(card: type[Nic], accept: Callable[[Register], bool]) -> tuple[int, Register]:
    """The first register of a BAR that `accept` takes, and the number of the BAR."""
    return next((n, r) for n in card.BARS for r in spaces(card)[n] if r.present and not r.window and accept(r))


def spaces(card: type[Nic]) -> dict[int, Table]:
    return card.model().spaces


def hole(card: type[Nic]) -> tuple[int, Register, int] | None:
    """An offset of a BAR where no register is, with a register of that BAR; None if every offset holds one."""
    number, register = usable(card, lambda r: r.direction == "rw")
    table = spaces(card)[number]
    taken = {offset for _, offset in table.placements()}
    free = (at for at in range(0, table.size, 4) if at not in taken and at - 1 not in taken)
    return next(((number, register, at) for at in free), None)


def rule(name: str) -> Callable[[type[Nic]], bool]:
    """Whether a card has one of the general rules."""
    return lambda card: any(r.id == f"{card.CARD}.{name}" for r in card.RULES)


@pytest.fixture
def rig(model: str) -> Iterator[Rig]:
    rig = Rig(model)
    yield rig
    rig.nic.close()


def ids(rig: Rig) -> list[str]:
    return [finding.id for finding in rig.nic.findings]


# ---------------------------------------------------------------- the rules that every card has


def test_a_driver_by_the_book_breaks_nothing(rig: Rig) -> None:
    rig.driver.send(b"\x52\x54\0\0\0\x02" + rig.driver.mac + b"\x88\xb5" + bytes(60))
    rig.wire.deliver([rig.driver.mac * 2 + b"\x88\xb5" + bytes(60)])
    rig.nic.poll()
    assert len(rig.driver.receive()) == 1
    assert rig.nic.findings == []
    assert rig.nic.finding_counts == {}


def test_width(rig: Rig) -> None:
    space, register = rig.register(lambda r: "r" in r.direction)
    odd = [size for size in (1, 2, 4, 8) if size not in space.table.widths]
    for size in space.table.widths:
        space.read(register.offset, size)
    assert f"{rig.card}.access.width" not in ids(rig)
    for size in odd:
        space.read(register.offset, size)
        [finding] = [f for f in rig.nic.findings if f.id == f"{rig.card}.access.width"]
        assert (finding.first, finding.second) == (register.offset, size)
        assert rig.nic.counters["odd_widths"] > 0


def test_reserved_bits(rig: Rig) -> None:
    space, register = rig.register(lambda r: bool(r.mask_of(State.RESERVED)) and not r.count > 1 and r.name != "CTRL")
    reserved = register.mask_of(State.RESERVED)
    value = space.read(register.offset, register.size)
    space.write(register.offset, value, register.size)
    assert f"{rig.card}.access.reserved-bits" not in ids(rig)
    bit = reserved & -reserved
    space.write(register.offset, value ^ bit, register.size)
    [finding] = [f for f in rig.nic.findings if f.id == f"{rig.card}.access.reserved-bits"]
    assert finding.first == register.offset
    assert rig.nic.counters["reserved_writes"] > 0


@pytest.mark.parametrize("model", models_with(lambda card: hole(card) is not None))
def test_unmapped(rig: Rig) -> None:
    where = hole(type(rig.nic))
    assert where
    number, register, free = where
    space = rig.nic.bars[number]
    space.read(register.offset, register.size)
    assert f"{rig.card}.access.unmapped" not in ids(rig)
    space.read(free, 4)
    space.write(free, 0, 4)
    found = [f for f in rig.nic.findings if f.id == f"{rig.card}.access.unmapped"]
    assert [f.first for f in found] == [free, free]
    assert rig.nic.counters["unmapped_accesses"] == 2


@pytest.mark.parametrize("model", models_with(rule("access.during-reset")))
def test_during_reset(model: str) -> None:
    """Only where resets take time; configuration space is always there."""
    rig = Rig(model, profile="wire")
    rig.nic.reset(Reset.SOFT)
    rig.nic.config.read(0)
    assert rig.nic.findings == []
    space = next(iter(rig.nic.bars.values()))
    space.read(0)
    [finding] = rig.nic.findings
    assert finding.id == f"{rig.card}.access.during-reset"
    assert finding.second > 0
    rig.nic.clock.advance(finding.second)
    space.read(0)
    assert rig.nic.findings == []
    rig.nic.close()


@pytest.mark.parametrize("model", models_with(rule("dma.bus-master-off")))
def test_bus_master_off(rig: Rig) -> None:
    rig.nic.config.write(4, 3, 2)
    rig.driver.send(b"\x52\x54\0\0\0\x02" + rig.driver.mac + b"\x88\xb5" + bytes(60))
    assert f"{rig.card}.dma.bus-master-off" in ids(rig)


@pytest.mark.parametrize("model", models_with(rule("dma.unmapped")))
def test_dma_to_nowhere(rig: Rig) -> None:
    """The guest's memory is gone: what the card cannot reach is a finding and a counter, once for each attempt."""
    before = rig.nic.counters["dma_errors"]
    rig.memory.clear()
    rig.wire.deliver([rig.driver.mac * 2 + b"\x88\xb5" + bytes(60)])
    rig.nic.poll()
    assert f"{rig.card}.dma.unmapped" in ids(rig)
    assert rig.nic.counters["dma_errors"] > before


# ---------------------------------------------------------------- how they are kept


def rules(rig: Rig) -> list[Rule]:
    return list(rig.nic.RULES)


def test_all_are_counted_and_a_few_are_kept(rig: Rig) -> None:
    """A rule that is broken for every frame neither fills the memory nor pushes the others out."""
    first, second = rules(rig)[:2]
    for n in range(1000):
        rig.nic.find(first.id, n, 2 * n)
    rig.nic.find(second.id, 7)
    found = rig.nic.findings
    assert [f.id for f in found].count(first.id) == 8
    assert [(f.first, f.second) for f in found[:8]] == [(n, 2 * n) for n in range(8)]
    assert found[-1].id == second.id
    assert rig.nic.finding_counts == {first.id: 1000, second.id: 1}


def test_a_look_makes_room(rig: Rig) -> None:
    rule = rules(rig)[0]
    for look in range(5):
        for n in range(20):
            rig.nic.find(rule.id, 100 * look + n)
        assert [f.first for f in rig.nic.findings] == [100 * look + n for n in range(8)]
        assert rig.nic.findings == []
    assert rig.nic.finding_counts[rule.id] == 100


def test_all_rules_at_once(rig: Rig) -> None:
    """More kinds than the ring has room for at eight each: the oldest are kept, all are counted."""
    every = rules(rig)
    for _ in range(10):
        for rule in every:
            rig.nic.find(rule.id)
    found = rig.nic.findings
    assert len(found) == min(8 * len(every), lib.NIC_FINDINGS_KEPT)
    assert rig.nic.finding_counts == {rule.id: 10 for rule in every}
    assert {f.id for f in found} == {rule.id for rule in every}


def test_the_ring_goes_round(rig: Rig) -> None:
    """Kept, taken, kept again, far more often than the ring is long."""
    rule = rules(rig)[-1]
    for n in range(1000):
        rig.nic.find(rule.id, n)
        [finding] = rig.nic.findings
        assert finding.first == n


def test_numbers_that_are_no_rule(rig: Rig) -> None:
    """A card without one of the general rules reports it to nobody."""
    for number in (lib.NIC_RULES, 2**32 - 1):
        lib.nic_find(rig.nic.handle, number, 1, 2)
    assert rig.nic.findings == []
    assert rig.nic.finding_counts == {}


def test_time_and_text(rig: Rig) -> None:
    rig.nic.clock.advance(123)
    now = rig.nic.clock.now
    rule = next(r for r in rules(rig) if r.first and r.second)
    rig.nic.find(rule.id, 0xAB, 0xCD)
    [finding] = rig.nic.findings
    assert isinstance(finding, Finding)
    assert finding.time == now
    assert str(finding) == (
        f"{rule.severity}: {rule.id}: {rule.asks} ({rule.section}); {rule.first} = 0xab, {rule.second} = 0xcd"
    )
    assert ffi.typeof("nic_finding").fields


def test_findings_change_nothing_that_a_guest_sees(model: str) -> None:
    """The same accesses with and without findings taken: equal registers."""
    quiet, loud = Rig(model), Rig(model)
    for rig in (quiet, loud):
        for at in range(0, 64, 1):
            next(iter(rig.nic.bars.values())).read(at, 1)
            if rig is loud:
                rig.nic.findings  # noqa: B018
                rig.nic.find(rules(rig)[0].id)
    assert quiet.nic.save() == loud.nic.save()
    for rig in (quiet, loud):
        rig.nic.close()
