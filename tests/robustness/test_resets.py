"""G15 resets in every state.

After a reset a card is as after power-on, but for what the data sheet says is kept; also when the reset comes from the
inside of what the card is doing: from an interrupt handler that runs at once, or from a wire that answers.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any

import pytest
from fuzz.families import family_of
from fuzz.world import World
from measure import not_growing, repeat

from nicemu.devices import models
from nicemu.engine import lib
from nicemu.registers import Reset

PROFILES = ("instant", "wire", "chaos")


def states(world: World) -> Iterator[tuple[str, list[tuple[Any, ...]]]]:
    """States in which resets have gone wrong, and what leads there."""
    generator = world.family.generator(Random(15), world.model)
    traffic = generator.traffic()
    yield "idle", []
    yield "running", [*generator.setup(), *traffic]
    yield "wire blocked", [*generator.setup(), ("room", 1), *traffic, *traffic]
    yield "bursts of everything", [*generator.setup(), *(o for _ in range(60) for o in generator.transmit())]
    yield "ring full", [*generator.setup(), *[("frames", [("525400123456", 1500)] * 64)] * 4]
    yield "cable out", [*generator.setup(), *traffic, ("cable", False), *traffic]
    yield "asleep", [*generator.setup(), *traffic, *generator.configuration(), ("write", 6, 4, 0, 2)]
    yield "slow blocks busy", [*generator.setup(), *(o for _ in range(20) for o in generator.slow_blocks())]


def power_on_state(world: World) -> dict[str, Any]:
    """What is there after power-on with the seed of the world."""
    world.family.repair(world.nic)
    world.nic.plug(None)
    lib.nic_device_set_random(world.nic.handle, world.seed)
    world.nic.reset(Reset.POWER)
    state: dict[str, Any] = world.family.visible_state(world.nic)
    world.nic.plug(world.wire)
    world.restore()
    world.nic.enable_decoding()
    return state


@pytest.mark.parametrize("profile", PROFILES)
def test_power_on_is_always_the_same(model: str, profile: str) -> None:
    world = World(family_of(model), model, profile=profile, watch=False)
    fresh = power_on_state(world)
    for name, operations in states(world):
        world.run(operations)
        after = power_on_state(world)
        assert {k: (fresh[k], after[k]) for k in fresh if fresh[k] != after[k]} == {}, name
    world.check_alive()
    world.close()


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("kind", list(Reset))
def test_reset_storms(model: str, profile: str, kind: Reset) -> None:
    """Resets in every state, many times: nothing grows, and the card works."""
    world = World(family_of(model), model, profile=profile, watch=False)
    for name, operations in states(world):
        world.restore()
        world.run(operations)
        world.run([("reset", kind.value)] * 3)
        with not_growing():
            world.run([*operations, *[("reset", kind.value)] * repeat(30, 3_000)])
        assert not world.nic.interrupt, name
    world.check_alive()
    world.close()


def reset_registers(world: World, operations: list[tuple[Any, ...]]) -> dict[str, Any]:
    """The registers after some operations, and after time has passed."""
    world.run([*operations, ("advance", 10**9)])
    visible = world.family.visible_state(world.nic)
    return {name: value for name, value in visible.items() if name not in world.family.kept_by_soft_reset}


def places() -> Iterator[pytest.param]:  # type: ignore[valid-type]
    """Where each model calls out: to the wire, with its interrupt, and for DMA."""
    for info in models():
        for place in ("send", "irq", *(("read", "write") if family_of(info.name).dma else ())):
            yield pytest.param(info.name, place, id=f"{info.name}-{place}")


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize(("model", "place"), list(places()))
def test_a_reset_from_inside(model: str, profile: str, place: str) -> None:
    """The card's own reset, from inside one of its calls: nothing of what was under way shows afterwards."""
    world = World(family_of(model), model, profile=profile, watch=False)
    reset, scenes = world.family.soft_reset(), list(world.family.scenes(place))
    assert scenes
    for name, operations in scenes:
        world.restore()
        expected = reset_registers(world, [*operations[:-1], *reset])
        world.restore()
        world.run(operations[:-1])
        calls = world.calls
        found = reset_registers(world, [("inside", place, reset), operations[-1]])
        assert world.calls > calls, f"{name}: the card did not call"
        assert {k: (expected[k], found[k]) for k in expected if expected[k] != found[k]} == {}, name
    world.check_alive()
    world.close()
