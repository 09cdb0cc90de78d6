"""What the lists and generators of all families stand on: the station, the world's addresses, and what frames do."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from random import Random
from typing import TYPE_CHECKING

from ..frames import front
from ..generator import Operation
from ..world import LAYOUT

if TYPE_CHECKING:
    from ..world import World
    from .base import Attack

__all__ = [
    "BAR",
    "BROKEN",
    "BROKEN_FAR",
    "FRAME",
    "PEER",
    "RAM_END",
    "STATION",
    "by_name",
    "cut_everywhere",
    "fronts",
    "memory",
    "no_leak",
]

STATION, PEER = bytes.fromhex("525400123456"), bytes.fromhex("525400000002")
#: A frame to the station, of the EtherType for experiments.
FRAME: Operation = ("frames", [((STATION + PEER + b"\x88\xb5").hex(), 100)])
BAR = LAYOUT["bar"][0]
RAM_END = LAYOUT["ram"][1]
#: Where a buffer is not in memory, not all of it, or cannot be written.
BROKEN = {
    "nothing": 0x70_0000,
    "half there": RAM_END - 100,
    "one byte there": RAM_END - 1,
    "ROM": LAYOUT["rom"][0],
    "a hole": 0x0FFF_FFF0,
}
#: The same for cards with addresses of 64 bits.
BROKEN_FAR = BROKEN | {"the end of all addresses": 2**64 - 50, "not an address": 0xDEAD_BEEF_0000_0000}


def by_name(*lists: Callable[[], Iterator[Attack]]) -> Mapping[str, Callable[[], Iterator[Attack]]]:
    """A family's lists by the names that tests/robustness/test_lists.py explains: those of the functions."""
    return {made.__name__.replace("_", " ").replace("dma", "DMA"): made for made in lists}


def memory(address: int, raw: bytes) -> Operation:
    """What the guest puts into memory."""
    return ("memory", address, raw.hex())


def fronts(seed: int, count: int = 60) -> list[bytes]:
    """Headers of every kind that a receiver parses."""
    random = Random(seed)
    return [front(random, STATION) for _ in range(count)]


def cut_everywhere(frame: bytes) -> Iterator[Operation]:
    """The frame up to every byte of it, short ones as they are and padded; at most 60 at a time, which a ring holds."""
    cut = [(frame.hex(), length) for length in range(len(frame) + 1)]
    for at in range(0, len(cut), 60):
        for flags in (0, 1):
            yield ("frames", cut[at : at + 60], flags)


def no_leak(world: World) -> None:
    """What could not be read was not sent."""
    for frame in world.wire.frames:
        assert frame.startswith(STATION), f"a frame of unread memory was sent: {frame[:40].hex()}"
