"""The 88E8056 (Yukon EC Ultra), as the option `chip` makes one, under the same driver."""

from dataclasses import replace

from . import Check
from .yukon2 import CARD as ULTRA_2
from .yukon2 import judge_vpd

PART = "88E8056"


def adapted(check: Check) -> Check:
    """The part's own name where a check looks for it."""
    if check.name == "ethtool -e":
        return replace(check, judge=lambda text: judge_vpd(text, PART))
    return check


CARD = replace(
    ULTRA_2,
    model=f"yukon2,chip={PART.lower()}",
    ipxe=None,
    checks=tuple(adapted(check) for check in ULTRA_2.checks),
)
