"""The case of a seed.  Equal seeds make equal cases."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from .cases import Case
from .families import family_of, models_covered

__all__ = ["generate"]


def generate(seed: int, steps: int, models: Sequence[str] = ()) -> Case:
    """The case of a seed."""
    random = Random(seed)
    model = random.choice(list(models) or models_covered())
    return Case(
        model,
        profile=random.choices(("instant", "wire", "chaos"), (5, 2, 1))[0],
        overflow=random.choice(("drop", "drop", "hold")),
        seed=random.getrandbits(32),
        twin=random.random() < 0.25,
        operations=family_of(model).generator(random, model).operations(steps),
    )
