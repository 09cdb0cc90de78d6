"""Every set-up that has broken an emulated card, as each family lists it.

rings           G1  where rings lie, their length, head and tail
zeros           G2  every length, count and interval 0, alone and in pairs
changes         G3  limits, modes and resets between the descriptors of one packet
endless         G4  packets that do not end
short packets   G5  shorter than what the offloads want to change
offsets         G7  checksum offsets anywhere
truncated       G7  received frames that end inside any header
self DMA        G8  DMA to the card's own registers
loopback        G9  all of that coming back, from the very end of memory, into rings without room
broken memory   G10 pointers that lead out of memory
fickle memory   G11 memory that reads differently the second time
disturbances        what a wire does, and drivers that answer it wrongly
large sends         headers that lie, and packets that change under way
ports               remote DMA by every width, of all counts from all addresses
timers          G14 shortest and longest intervals
patterns            what frames that wake are compared with: any contents, in every power state
byte order          buffers with swapped bytes, of every length and alignment
bus             G17 decoding, bus mastering, power and BARs in the midst of traffic

Of each: bounded work, no exception, no write where no descriptor leads, no stale byte on the wire or in memory, and a
card that works after a reset.  What a host, a wire or time alone can do is in the other files of this folder.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pytest
from fuzz.families import family_of
from fuzz.families.base import Attack
from fuzz.world import LAYOUT, OracleError, World
from measure import THOROUGH

from nicemu.devices import models

ALIVE_EVERY = 100


def cases() -> Iterator[pytest.param]:  # type: ignore[valid-type]
    """Every list of every model, at once and with time in between; of a further model of a family, the latter alone."""
    seen: set[int] = set()
    for info in reversed(models()):  # the last by name has most to it
        family = family_of(info.name)
        if info.name in family.twins:
            continue
        for name in family.lists():
            for profile in ("wire",) if id(family) in seen and not THOROUGH else ("instant", "wire"):
                yield pytest.param(info.name, name, profile, id=f"{info.name}-{name.replace(' ', '-')}-{profile}")
        seen.add(id(family))


def strike(world: World, attack: Attack) -> str:
    """One set-up on a fresh world; a digest of what it made visible.  What it left in memory is left there."""
    world.restore()
    world.run(attack.operations)
    for name in world.buffers:
        base, size = LAYOUT[name]
        inside = [(at, length) for at, length in attack.writes if at < base + size and at + length > base]
        world.check_unchanged(name, [*inside, *cpu_writes(attack, base, size)])
    if attack.check:
        attack.check(world)
    return world.digest.hexdigest()


def cpu_writes(attack: Attack, base: int, size: int) -> Sequence[tuple[int, int]]:
    """What the operations themselves put into a region."""
    return [
        (operation[1], len(operation[2]) // 2)
        for operation in attack.operations
        if operation[0] == "memory" and base <= operation[1] < base + size
    ]


@pytest.mark.timeout(120, method="thread")
@pytest.mark.parametrize(("model", "name", "profile"), list(cases()))
def test_list(model: str, name: str, profile: str) -> None:
    family = family_of(model)
    worlds = [World(family, model, profile=profile, clean=clean, watch=False) for clean in (True, False)]
    number = -1
    for number, attack in enumerate(family.lists()[name]()):
        try:
            first, second = (strike(world, attack) for world in worlds)
            if first != second or not np.array_equal(*(world.buffers["ram"] for world in worlds)):
                raise OracleError("NOLEAK: the card's past shows")
            if number % ALIVE_EVERY == 0:
                for world in worlds:
                    world.check_alive()
        except Exception as error:
            raise AssertionError(f"{attack.name}: {error}; {list(attack.operations)}") from error
    assert number >= 0, "the list is empty"
    for world in worlds:
        world.check_alive()
        world.close()
