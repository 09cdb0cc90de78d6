"""G8 DMA to the card itself, G11 double fetch, D25 memory that goes away: exactly, where lists only look for harm."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from random import Random

import pytest
from fuzz.families import family_of
from fuzz.world import LAYOUT, World
from measure import repeat

from nicemu.devices import models
from nicemu.engine import lib


@pytest.fixture(params=[info.name for info in models() if family_of(info.name).dma])
def model(request: pytest.FixtureRequest) -> str:
    """Every model that does DMA in turn."""
    return str(request.param)


@pytest.fixture
def world(model: str) -> Iterator[World]:
    world = World(family_of(model), model, watch=False)
    yield world
    world.close()


class Log:
    """What was read and written of a region of functions, byte by byte."""

    def __init__(self, world: World, region: str) -> None:
        self.reads: Counter[int] = Counter()
        self.depth = self.deepest = self.calls = 0
        self.inner = world.inventors.get(region, world.mirror)
        world.op_unmap(region)
        world.memory.add_functions(*LAYOUT[region], self.read, self.write)

    def read(self, address: int, length: int) -> bytes:
        self.reads.update(range(address, address + length))
        return self._nested(lambda: self.inner.read(address, length))

    def write(self, address: int, data: bytes) -> None:
        self._nested(lambda: self.inner.write(address, data))

    def _nested(self, action):  # type: ignore[no-untyped-def]
        self.depth += 1
        self.calls += 1
        self.deepest = max(self.deepest, self.depth)
        try:
            return action()
        finally:
            self.depth -= 1


def test_every_descriptor_is_read_once(world: World) -> None:
    """A guest that changes a descriptor while the card is at it cannot have checks see one thing and DMA another."""
    scenes = [(name, operations) for name, operations in world.family.scenes("read") if "ring" in name]
    assert bool(scenes) == bool(world.family.descriptor_bytes)
    for name, operations in scenes:
        world.restore()
        log = Log(world, "lazy")
        before = world.nic.counters["descriptors"]
        world.run(operations)
        fetched = world.nic.counters["descriptors"] - before
        size = world.family.descriptor_bytes
        ring = {at: n for at, n in log.reads.items() if at < LAYOUT["lazy"][0] + 64 * size}
        assert fetched, name
        assert set(ring.values()) == {1}, f"{name}: {[hex(at) for at, n in ring.items() if n > 1]} were read again"
        assert len(ring) <= size * fetched
        world.memory.remove(*LAYOUT["lazy"])
        world.mapped.discard("lazy")


def test_dma_to_itself_never_nests(world: World) -> None:
    """Registers that DMA hits answer, but start no work within work; what they asked for is done afterwards."""
    log = Log(world, "bar")
    before = world.nic.counters["reentries"]
    for attack in world.family.lists()["self DMA"]():
        world.run(attack.operations)
        world.nic.reset()
    assert log.reads, "the attacks do not reach the card's registers"
    assert log.deepest == 1
    assert world.nic.counters["reentries"] > before
    world.check_alive()


def test_a_register_access_moves_no_data(model: str) -> None:
    """What a doorbell asks for is done after the access: a host whose DMA is a message can answer the access first."""
    for seed in range(repeat(3, 40)):
        world = World(family_of(model), model, watch=False)
        log = Log(world, "lazy")
        random = Random(seed)
        generator = world.family.generator(random, model)
        for operations in world.family.far_rings():
            world.run([*operations, *generator.traffic()])
            lib.nic_device_set_deferred(world.nic.handle, True)
            for _ in range(400):
                accesses = random.choice(
                    (generator.write_any, generator.doorbell, generator.control, generator.read_any)
                )()
                before = log.calls
                world.run([access for access in accesses if access[0] in ("read", "write")])
                assert log.calls == before, accesses
                lib.nic_run_work(world.nic.handle)
                world.run([("frames", [("525400123456", 100)])])
            lib.nic_device_set_deferred(world.nic.handle, False)
        assert log.calls > 0
        world.close()


def test_dma_without_bus_mastering_is_counted(world: World) -> None:
    """COUNTED: what a card may not read or write shows in its counters and as a finding, and moves nothing."""
    name, operations = next(iter(world.family.scenes("send")))
    world.run(operations[:-1])
    world.run([("write", 6, 4, 3, 2), operations[-1], ("frames", [("525400123456", 100)])])
    assert world.wire.total == 0, name
    assert any(rule.endswith("bus-master-off") for rule in world.nic.finding_counts)


def test_memory_that_comes_back(world: World) -> None:
    """What was unmapped and mapped again is found anew: no pointer outlives a call."""
    for _ in range(20):
        for name, operations in world.family.scenes("send"):
            world.restore()
            world.run(operations)
            world.run([("unmap", "ram"), ("frames", [("525400123456", 1500)] * 3), operations[-1]])
            world.buffers["ram"] = world.buffers["ram"].copy()
            world.run([("map", "ram"), ("frames", [("525400123456", 1500)] * 3), operations[-1]])
            assert name
    world.check_alive()
