"""Snapshots: a card goes on where it was, here or elsewhere, and its state can be read, compared and edited.

What is no snapshot is in robustness/test_snapshots.py.
"""

from __future__ import annotations

import json
from random import Random

import pytest
from fuzz.busy import busy
from selection import models_with

import nicemu
from nicemu import snapshot

PROFILES = ("instant", "wire", "chaos")
PCI_MODELS = models_with(lambda card: card.FUNCTION is not None)

# ---------------------------------------------------------------- there and back


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("seed", range(6))
def test_a_round_trip_changes_nothing(model: str, profile: str, seed: int) -> None:
    """Saving, loading and saving gives the same bytes: in place, and in another card."""
    world = busy(model, profile, seed)
    world.run([("snapshot",), ("migrate",), ("snapshot",)])
    world.check_alive()
    world.close()


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("seed", range(6))
def test_the_copy_goes_on_as_the_original_would_have(model: str, profile: str, seed: int) -> None:
    """The same things are done to a card that stayed and to one that was moved: the wire and the guest see the same."""
    stays, moves = busy(model, profile, seed), busy(model, profile, seed)
    moves.run([("migrate",)])
    for world in (stays, moves):
        generator = world.family.generator(Random(seed + 100), model)
        world.run([("room", None), ("advance", 10**6), *generator.operations(150)])
    assert stays.wire.total == moves.wire.total
    assert stays.family.visible_state(stays.nic) == moves.family.visible_state(moves.nic)
    for name, buffer in stays.buffers.items():
        assert bytes(buffer) == bytes(moves.buffers[name]), name
    for world in (stays, moves):
        world.close()


def test_another_clock(model: str) -> None:
    """Times are distances: what was due in 5 ms is due in 5 ms, whatever the clock of the new place shows."""
    clock = nicemu.Clock.virtual(10**9)
    memory = nicemu.GuestMemory(1 << 20)
    nic = nicemu.create(model, memory=memory, clock=clock, profile="wire", backend=nicemu.backends.Null())
    clock.advance(1000)
    if clock.next_deadline is None:  # a card that waits for nothing by itself
        driver = nicemu.drivers.attach(nic)
        driver.start()
        if clock.next_deadline is None:
            driver.send(bytes(60))
    due = clock.next_deadline
    assert due is not None
    for now in (0, 5, 10**15):
        other = nicemu.create(model, clock=nicemu.Clock.virtual(now), profile="wire")
        other.load(nic.save())
        assert other.clock.next_deadline == due - clock.now + now
        assert other.save() == nic.save()
        other.close()
    nic.close()


def test_text_by_register_name(model: str) -> None:
    nic = nicemu.create(model)
    document = json.loads(nic.save())
    assert document["format"] == "nicemu snapshot"
    assert document["version"] == snapshot.VERSION
    assert document["model"] == model
    for table in nic.TABLES:
        assert set(document["registers"][table.name]) == {r.name for r in table if not r.cell}
    nic.close()


@pytest.mark.parametrize("model", PCI_MODELS)
def test_differences_by_name(model: str) -> None:
    nic = nicemu.create(model, clock=nicemu.Clock.virtual())
    before = nic.save()
    assert snapshot.diff(before, before) == {}
    nic.pci.INTERRUPT_LINE.value = 11
    assert snapshot.diff(before, nic.save()) == {"registers.config.INTERRUPT_LINE": ("0x00", "0x0b")}
    nic.close()


@pytest.mark.parametrize("model", PCI_MODELS)
def test_an_edited_snapshot_loads(model: str) -> None:
    nic = nicemu.create(model)
    document = json.loads(nic.save())
    document["registers"]["config"]["INTERRUPT_LINE"] = "0x7"
    nic.load(json.dumps(document).encode())
    assert nic.pci.INTERRUPT_LINE.value == 7
    nic.close()
