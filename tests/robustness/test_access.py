"""G12 access shapes, G13 bit-banged blocks: whatever a guest reads or writes, wherever, in whichever size."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

import pytest
from fuzz.families import family_of
from fuzz.world import World
from measure import not_growing, repeat

from nicemu.engine import lib
from nicemu.model import CONFIG

SIZES = (1, 2, 4, 8)


def spaces(world: World) -> Iterator[tuple[int, int]]:
    """Number and size of every address space that a host reaches."""
    for number, table in world.nic.model().spaces.items():
        if number < lib.NIC_SPACE_OWN:
            yield number, table.size


@pytest.fixture
def worlds(model: str) -> Iterator[tuple[World, World]]:
    """Two cards of different pasts."""
    pair = World(family_of(model), model, seed=7), World(family_of(model), model, seed=7, clean=False)
    yield pair
    for world in pair:
        world.close()


def test_every_offset_reads_the_same_whatever_was_before(worlds: tuple[World, World]) -> None:
    """Every offset of every space, in all sizes, aligned and not, straddling registers and the end."""
    for number, size in spaces(worlds[0]):
        step = 1 if size <= 4096 else 3  # 3: every alignment, every register
        for width in SIZES:
            first, second = (
                [lib.nic_read(w.nic.handle, number, at, width) for at in range(0, size + 9, step)] for w in worlds
            )
            assert first == second
            assert max(first) < 1 << 8 * width
    for world in worlds:
        with world.watched("reads of everything"):
            pass
        world.check_alive()


@pytest.mark.parametrize("profile", ["instant", "wire"])
def test_every_offset_takes_every_write(model: str, profile: str) -> None:
    """Any value in any size at any offset: the card lives, and writes nothing to memory that it was not told to."""
    random = Random(12)
    world = World(family_of(model), model, profile=profile, watch=False)
    for number, size in spaces(world):
        for width in SIZES:
            for at in range(0, size + 9, 1 if size <= 256 else 7):
                world.run(
                    [("write", number, at, random.choice((0, (1 << 8 * width) - 1, random.getrandbits(64))), width)]
                )
            world.run([("advance", 10**9), ("poll",)])
    world.check_unchanged("keep")
    world.check_alive()
    world.close()


def test_accesses_beyond_everything(model: str) -> None:
    """Offsets and spaces that do not exist read as all ones, take writes, and are counted."""
    world = World(family_of(model), model)
    handle = world.nic.handle
    before = world.nic.counters["gated_accesses"]
    for space in (1, 5, lib.NIC_SPACE_ROM, lib.NIC_SPACE_OWN, lib.NIC_SPACES, 255, 2**32 - 1):
        if space in world.nic.model().spaces:
            continue
        assert lib.nic_read(handle, space, 0, 4) == 0xFFFFFFFF
        lib.nic_write(handle, space, 0, 0x5A5A5A5A, 4)
    for offset in (2**20, 2**32, 2**63, 2**64 - 1):
        assert lib.nic_read(handle, CONFIG, offset, 8) == 2**64 - 1
        lib.nic_write(handle, CONFIG, offset, 0, 8)
    for size in (0, 9, 255, 2**32 - 1):
        lib.nic_read(handle, CONFIG, 0, size)
        lib.nic_write(handle, CONFIG, 0, 0, size)
    assert world.nic.counters["gated_accesses"] > before
    world.check_alive()
    world.close()


def test_slow_blocks(model: str) -> None:
    """EEPROM pins, PHY and the like with random edges: no growth, no end of patience."""
    world = World(family_of(model), model, profile="wire", watch=False)
    generator = world.family.generator(Random(13), model)
    world.run(generator.setup())
    warmed = False
    done, enough = 0, repeat(20_000, 1_000_000)
    while done < enough:
        with not_growing() if warmed else pytest.MonkeyPatch.context():
            for _ in range(200):
                operations = generator.slow_blocks()
                world.run(operations)
                done += len(operations)
            world.run([("advance", 10**7)])
        warmed = True
    world.check_alive()
    world.close()
