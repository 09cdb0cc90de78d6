"""G6 frames too short and too long, D13 and D14: wires and guests that do not keep up with each other."""

from __future__ import annotations

from random import Random

import pytest
from fuzz.families import family_of
from fuzz.frames import LENGTHS, front
from fuzz.world import World
from measure import not_growing, repeat

import nicemu
from nicemu.engine import ffi, lib

OVERFLOWS = ("drop", "hold")


@pytest.mark.parametrize("overflow", OVERFLOWS)
@pytest.mark.parametrize("profile", ["instant", "wire"])
def test_every_length(model: str, profile: str, overflow: str) -> None:
    """Frames of every length and condition, to a driver that gives buffers and to one that stopped doing so."""
    world = World(family_of(model), model, profile=profile, overflow=overflow, watch=False)
    generator = world.family.generator(Random(6), model)
    station = bytes.fromhex("525400123456")
    world.run(generator.setup())
    for rounds in range(3):  # the buffers of the set-up last for the first
        for length in LENGTHS:
            for flags in (0, 1, 2, 6, 8, 15):
                world.run([("frames", [(station.hex(), length)], flags)])
        world.run([("advance", 10**7)] * (rounds + 1))
    world.check_unchanged("keep")
    world.check_alive()
    world.close()


@pytest.mark.parametrize("length", [16385, 65535, 65536, 1 << 20, (1 << 31) - 1, 1 << 31, (1 << 32) - 1])
def test_frames_beyond_what_the_engine_carries(model: str, length: int) -> None:
    """Refused from Python with an error; refused by the engine without a look at the bytes."""
    world = World(family_of(model), model)
    if length < 1 << 21:
        with pytest.raises(nicemu.ConfigurationError, match=f"a frame of {length} bytes; expected at most 16384"):
            world.wire.deliver([bytes(length)])
    few = ffi.new("uint8_t[]", 16)
    lib.nic_python_backend_deliver(world.wire.handle, few, ffi.new("uint32_t[]", [length]), 1)
    world.nic.poll()
    world.check_alive()
    world.close()


@pytest.mark.parametrize("overflow", OVERFLOWS)
def test_a_guest_that_does_not_look(model: str, overflow: str) -> None:
    """Frames without end to a card whose ring is full: nothing grows, every frame is accounted for, and none is lost
    where frames are held back."""
    world = World(family_of(model), model, overflow=overflow, watch=False)
    random = Random(14)
    world.run(world.family.generator(random, model).setup())
    frames = [front(random, bytes.fromhex("525400123456")).ljust(60, b"\0") for _ in range(50)]
    offered = taken = 0

    def offer() -> None:
        nonlocal offered, taken
        offered += len(frames)
        taken += world.wire.deliver(frames)
        world.nic.poll()

    for _ in range(200):
        offer()
    with not_growing():
        for _ in range(repeat(200, 20_000)):
            offer()
    counters, wire = world.nic.counters, world.wire.counters
    if overflow == "hold":
        assert taken < offered, "a ring that is full for ever must hold the wire back in the end"
        assert counters["port_queue_full"] == 0
    else:
        assert taken == offered == wire.received_frames
        assert counters["port_received_frames"] + counters["port_queue_full"] == offered
    world.check_alive()
    world.close()


def test_a_wire_that_takes_nothing(model: str) -> None:
    """A guest that sends without end to a wire that is stuck; then the wire goes on, then the card is reset."""
    world = World(family_of(model), model, watch=False)
    generator = world.family.generator(Random(15), model)
    world.run([*generator.setup(), ("room", 0)])
    for _ in range(repeat(300, 30_000)):
        world.run(generator.traffic())
    assert world.wire.total == 0
    assert world.nic.counters["port_blocked"] > 0
    world.run([("room", 5), ("room", None), ("advance", 10**9)])
    assert world.wire.total >= (4 if world.family.dma else 1), "what the card itself holds, at least"
    world.run([("room", 0), *generator.traffic(), ("reset", 1), ("room", None), ("advance", 10**9)])
    world.check_alive()
    world.close()
