"""Which models a test is for: chosen when the tests are collected, so that none has to be skipped when it runs."""

from __future__ import annotations

from collections.abc import Callable

import nicemu
from nicemu import Nic
from nicemu.devices import find_class

__all__ = ["models_with"]


def models_with(feature: Callable[[type[Nic]], bool]) -> list[str]:
    """The models whose class has a feature; AssertionError if none does, for then the test would test nothing."""
    chosen = [info.name for info in nicemu.models() if feature(find_class(info.name))]
    assert chosen, "no model has the feature"
    return chosen
