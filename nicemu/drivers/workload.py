"""Workloads: bulk work for a card in terms of guest accesses, so that any host can do it and measure it.

Each family's are in `nicemu/drivers/<family>_bench.py`; `nicemu.bench` measures our cards by them, and
`conformance.qtest_bench` QEMU's.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib import import_module

from nicemu.devices import find_class
from nicemu.errors import ConfigurationError

__all__ = [
    "Arrive",
    "Block",
    "Flag",
    "Marks",
    "Port",
    "Read",
    "Step",
    "Store",
    "Until",
    "Workload",
    "Write",
    "workloads",
]


@dataclass(frozen=True)
class Write:
    """A guest's write of `size` bytes to BAR `bar`."""

    bar: int
    offset: int
    value: int
    size: int = 4


@dataclass(frozen=True)
class Read:
    """A guest's read of `size` bytes of BAR `bar`."""

    bar: int
    offset: int
    size: int = 4


@dataclass(frozen=True)
class Block:
    """`count` accesses of `size` bytes to one offset in one call (rep ins, rep outs).

    content: what is written, or nothing: reads.
    """

    bar: int
    offset: int
    size: int
    count: int
    content: bytes = field(default=b"", repr=False)


@dataclass(frozen=True)
class Store:
    """The guest's processor stores bytes in guest memory."""

    address: int
    content: bytes = field(repr=False)


@dataclass(frozen=True)
class Until:
    """Wait until the bits `mask` of a register are `value`; only before the measurement."""

    bar: int
    offset: int
    mask: int
    value: int


@dataclass(frozen=True)
class Arrive:
    """`count` copies of a frame come from the wire, as fast as the card takes them."""

    count: int
    frame: bytes = field(repr=False)


@dataclass(frozen=True)
class Marks:
    """For a card without a counter: a byte of guest memory for each frame of a turn, `stride` bytes apart.

    A frame is done when the bits `mask` of its byte are `value`.
    """

    address: int
    stride: int
    mask: int
    value: int

    def count(self, memory: bytes) -> int:
        """How many frames are done; `memory` begins at `address`."""
        return sum(byte & self.mask == self.value for byte in memory[:: self.stride])


@dataclass(frozen=True)
class Flag:
    """For a card that counts nothing: the bits `mask` of a register are `value` when a turn's last frame is done."""

    bar: int
    offset: int
    mask: int
    value: int


@dataclass(frozen=True)
class Port:
    """For frames that nothing in the guest tells of: one of our own counters, by its name in `Nic.counters`."""

    name: str


Step = Write | Read | Block | Store | Until | Arrive


@dataclass(frozen=True)
class Workload:
    """What is repeated.

    frames:  that one turn moves.
    setup:   done once: rings, buffers, the card switched on.
    back:    makes the ring as it was before the turn.
    kick:    the doorbell, or the frames that arrive.
    fence:   a read that is answered when the work is done.
    counter: a register that counts the frames and is cleared by reading, or where a turn's frames leave their marks.
    instead: for a host to which no frames arrive, two workloads whose difference comes closest.
    hub:     for such a workload, what sets up a second card on one wire with this one; nothing: the wire alone.
    rest:    what takes the doorbell's place while the rest of a turn is timed: as many accesses, without an effect.
    """

    name: str
    frames: int
    setup: tuple[Step, ...]
    back: tuple[Step, ...]
    kick: tuple[Step, ...]
    fence: tuple[Step, ...]
    counter: Read | Marks | Flag | Port
    instead: tuple[Workload, Workload] | None = None
    rest: tuple[Step, ...] = ()
    hub: tuple[Step, ...] | None = None

    @property
    def ours_alone(self) -> bool:
        """Only this package's host can do it: others count no such frames, or none arrive there."""
        arrives = any(isinstance(step, Arrive) for step in self.kick)
        return isinstance(self.counter, Port) or (arrives and self.instead is None)


def workloads(model: str) -> list[Workload]:
    """The workloads of a model's family; ConfigurationError if there are none."""
    family = find_class(model).CARD
    try:
        module = import_module(f"nicemu.drivers.{family}_bench")
    except ModuleNotFoundError as error:
        raise ConfigurationError(f"no workloads for {model} ({family})") from error
    of_model = getattr(module, "workloads_of", None)  # for a family whose members differ
    return list(of_model(model) if of_model else module.workloads())
