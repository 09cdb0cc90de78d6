"""What a family of cards has to tell."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any

import nicemu
from nicemu import drivers

if TYPE_CHECKING:
    from ..generator import Generator, Operation
    from ..world import World

__all__ = ["Attack", "Family"]


@dataclass(frozen=True)
class Attack:
    """One hostile set-up, as operations on a world that has just been reset.

    writes: (address, length) of memory that the card or the operations may write.
    check:  what else must hold after them.
    """

    name: str
    operations: Sequence[Operation]
    writes: tuple[tuple[int, int], ...] = ()
    check: Callable[[World], None] | None = None


class Family(ABC):
    """One family of cards, for the fuzzer and the robustness tests."""

    #: Whether the card reads and writes guest memory; else frames go through ports.
    dma: bool = True
    #: Descriptors that one operation may take: all of every ring.
    most_descriptors: int
    #: Bytes of a descriptor; 0 where the card has none in memory.
    descriptor_bytes: int
    #: Bytes of memory that the reference driver needs, with `driver_options`.
    footprint: int
    driver_options: dict[str, Any]
    #: Models that do to packets just what another of the family does, so that the lists need not be done to them.
    twins: frozenset[str] = frozenset()
    #: Parts of `visible_state` that the card's own reset leaves alone.
    kept_by_soft_reset: frozenset[str]

    def invent(self, offset: int, length: int, salt: int) -> bytes:
        """Contents for memory that a card reads: descriptors, depending on nothing but the arguments."""
        size = self.descriptor_bytes or 16
        made = b""
        for place in range(offset // size, (offset + length + size - 1) // size):
            choice = (place * 2654435761 + salt * 40503) >> 3
            made += self.invented(choice, 0x20000 + (choice & 0x3FFF8))
        return made[offset % size : offset % size + length]

    @abstractmethod
    def invented(self, choice: int, address: int) -> bytes:
        """One of the descriptors that `invent` consists of, of every kind that names memory; else bytes of a frame."""

    @abstractmethod
    def generator(self, random: Random, model: str) -> Generator:
        """Makes up operations."""

    @abstractmethod
    def lists(self) -> Mapping[str, Callable[[], Iterator[Attack]]]:
        """What can be done to the card, by the names that tests/robustness/test_lists.py explains."""

    @abstractmethod
    def soft_reset(self) -> list[Operation]:
        """What a driver does to reset the card."""

    @abstractmethod
    def scenes(self, place: str) -> Iterator[tuple[str, list[Operation]]]:
        """Operations of which the last one makes the card call out at `place` (see world.PLACES), by name."""

    @abstractmethod
    def far_rings(self) -> Iterator[list[Operation]]:
        """Set-ups whose rings lie in the region "lazy", with write-back delayed if the card can do that."""

    @abstractmethod
    def repair(self, nic: nicemu.Nic) -> None:
        """Undoes what a guest may lastingly do to a board: contents of its EEPROM."""

    def visible_state(self, nic: nicemu.Nic) -> dict[str, Any]:
        """What a guest could find out by reading, by name: not what is left over in private buffers."""
        document = json.loads(nic.save())
        visible = {
            f"{table}.{name}": value for table, names in document["registers"].items() for name, value in names.items()
        }
        return visible | {key: document[key] for key in ("timers", "parts", "inbound", "work")}

    def live(self, world: World, payload: bytes) -> None:
        """A driver starts the card, sends a frame and receives one; AssertionError or DriverError if it cannot."""
        from ..world import DRIVER_AT

        self.repair(world.nic)
        world.nic.enable_decoding()
        driver = drivers.attach(world.nic, base=DRIVER_AT, **self.driver_options)
        driver.start()
        driver.wait(driver.link_up, "link")
        out = b"\x52\x54\0\0\0\x02" + driver.mac + b"\x88\xb5" + payload
        back = driver.mac + b"\x52\x54\0\0\0\x02" + b"\x88\xb5" + payload[::-1]
        before = world.wire.total
        driver.send(out)
        driver.wait(lambda: world.wire.total > before, "frame on the wire")
        if world.wire.frames[-1] != out:
            raise AssertionError(f"sent {out.hex()}, the wire has {world.wire.frames[-1].hex()}")
        driver.wait(lambda: world.wire.deliver([back]) == 1 or self._arrived(world, driver, b""), "room on the wire")
        driver.wait(lambda: self._arrived(world, driver, back), "frame in memory")
        driver.stop()

    @staticmethod
    def _arrived(world: World, driver: drivers.Driver, frame: bytes) -> bool:
        """Takes what is there, what was still on the wire too; whether `frame` is in it."""
        while True:
            world.nic.poll()
            received = [arrival.data for arrival in driver.receive()]
            if frame in received or not received:
                return bool(received)
