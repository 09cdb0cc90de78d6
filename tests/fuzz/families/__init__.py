"""What the fuzzer and the robustness tests know of each family of cards."""

from __future__ import annotations

from nicemu.devices import find_class, models

from .base import Family
from .e1000 import E1000
from .ne2000 import NE2000
from .pcnet import PCnet
from .rtl8139 import RTL8139
from .yukon2 import Yukon2

__all__ = ["FAMILIES", "Family", "family_of"]

#: By the name of the C datapath (`Nic.CARD`), or of a model that differs from the rest of its family.
FAMILIES: dict[str, Family] = {
    "e1000": E1000(),
    "ne2000": NE2000(),
    "pcnet": PCnet(),
    "rtl8139": RTL8139(),
    "rtl8139c": RTL8139(plus=False),
    "yukon2": Yukon2(),
}


def family_of(model: str) -> Family:
    """The family of a model; KeyError for one that was forgotten here."""
    return FAMILIES.get(model) or FAMILIES[find_class(model).CARD]


def models_covered() -> list[str]:
    """Every model that the package has: each must have a family here."""
    return [info.name for info in models() if family_of(info.name)]
