"""Cards in the midst of things."""

from __future__ import annotations

from random import Random

from .families import family_of
from .world import World

__all__ = ["busy"]


def busy(model: str, profile: str = "wire", seed: int = 5, steps: int = 400) -> World:
    """A card in the midst of things."""
    world = World(family_of(model), model, profile=profile, watch=False)
    generator = world.family.generator(Random(seed), model)
    world.run([o for o in generator.operations(steps) if o[0] not in ("reset", "unmap", "map", "truncate")])
    world.run([("room", 1), *generator.traffic(), *generator.traffic(), ("frames", [("525400123456", 700)] * 9)])
    return world
