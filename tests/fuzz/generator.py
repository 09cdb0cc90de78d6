"""Making up operations: what all families share."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from nicemu.devices import find_class
from nicemu.engine import lib
from nicemu.model import CONFIG
from nicemu.registers import Register, Table

from .frames import LENGTHS, front
from .world import LAYOUT, PLACES

__all__ = ["Generator", "Operation"]

Operation = tuple[Any, ...]
#: What is likely to be an edge of something.
EDGES = (0, 1, 2, 3, 7, 8, 15, 16, 17, 31, 32, 63, 64, 127, 128, 255, 256, 4095, 4096, 65535, 65536, 1 << 20, 1 << 31)


class Generator:
    """Makes up operations by weight.  A subclass adds what it knows of its family to `kinds`."""

    def __init__(self, random: Random, model: str) -> None:
        self.random = random
        self.card = find_class(model)
        self.station = bytes.fromhex("525400123456")
        self.places = [
            (number, register, register.offset + index * register.stride)
            for number, table in self.card.model().spaces.items()
            if number < lib.NIC_SPACE_OWN
            for register in table
            for index in range(min(register.count, 4))
        ]
        self.kinds: list[tuple[float, Callable[[], list[Operation]]]] = [
            (12, self.write_any),
            (6, self.read_any),
            (3, self.odd_access),
            (8, self.frames),
            (4, self.time),
            (1, lambda: [("poll",)]),
            (1.5, self.wire),
            (2, self.configuration),
            (0.4, self.reset),
            (0.15, lambda: [(self.random.choice(("snapshot", "migrate")),)]),
            (0.6, self.regions),
            (0.8, self.from_inside),
        ]

    def setup(self) -> list[Operation]:
        """What a driver does first; without it most of a card sleeps."""
        return []

    def reset(self) -> list[Operation]:
        """A reset, and mostly a driver that comes back."""
        again = self.setup() if self.random.random() < 0.8 else []
        return [("reset", self.random.choice((0, 1, 1, 2, 2))), *again]

    def operations(self, steps: int) -> list[Operation]:
        """At least `steps` operations."""
        made: list[Operation] = self.setup() if self.random.random() < 0.9 else []
        weights = [weight for weight, _ in self.kinds]
        while len(made) < steps:
            made += self.random.choices(self.kinds, weights)[0][1]()
        return made

    # ------------------------------------------------------------------ numbers

    def number(self, bits: int = 32) -> int:
        """A number that may be an edge."""
        kind = self.random.randrange(6)
        if kind == 0:
            value = self.random.choice(EDGES)
        elif kind == 1:
            value = (1 << bits) - 1 - self.random.choice((0, 0, 1, 2, 15, 16))
        elif kind == 2:
            value = 1 << self.random.randrange(bits)
        elif kind == 3:
            value = 0
        else:
            value = self.random.getrandbits(bits)
        return value & ((1 << bits) - 1)

    def address(self, align: int = 1) -> int:
        """Where DMA might go: memory, its edges, holes, the card itself."""
        random = self.random
        name = random.choices(list(LAYOUT), (60, 4, 3, 3, 3, 4, 3, 0, 3, 3, 3))[0]
        base, size = LAYOUT[name]
        where = random.randrange(8)
        if where == 0:
            value = base + size - random.randrange(1, 17)
        elif where == 1:
            value = base + size - random.randrange(1, 5000)
        elif where == 2:
            value = random.choice((0, 0x70_0000, base, (1 << 64) - random.randrange(1, 64), random.getrandbits(64)))
        else:
            value = base + random.randrange(size)
        return value // align * align

    # ------------------------------------------------------------------ descriptors

    def spoiled(self, descriptors: list[bytes]) -> list[bytes]:
        """A packet's descriptors, now and then out of order or with one bit wrong."""
        random = self.random
        if random.random() < 0.1:
            random.shuffle(descriptors)
        if random.random() < 0.1:
            spot = random.randrange(len(descriptors))
            raw = bytearray(descriptors[spot])
            raw[random.randrange(len(raw))] ^= 1 << random.randrange(8)
            descriptors[spot] = bytes(raw)
        return descriptors

    # ------------------------------------------------------------------ registers

    def write_any(self) -> list[Operation]:
        space, register, offset = self.random.choice(self.places)
        return [("write", space, offset, self.number(8 * register.size), register.size)]

    def read_any(self) -> list[Operation]:
        space, register, offset = self.random.choice(self.places)
        return [("read", space, offset, register.size)]

    def odd_access(self) -> list[Operation]:
        """Sizes and places that no driver uses: unaligned, straddling, beyond the end."""
        random = self.random
        space, _, offset = random.choice(self.places)
        size = random.choice((1, 2, 4, 8))
        table: Table = self.card.model().spaces[space]
        at = random.choice(
            (offset + random.randrange(-3, 4), random.randrange(table.size), table.size - size, table.size)
        )
        if random.random() < 0.5:
            return [("read", space, max(0, at), size)]
        return [("write", space, max(0, at), self.number(8 * size), size)]

    def configuration(self) -> list[Operation]:
        """Decoding, bus mastering, power states and BARs, in the midst of things."""
        random = self.random
        if CONFIG not in self.card.model().spaces:
            return []
        command = random.choice((7, 7, 7, 3, 0, 5, 6, 0x407, 0x407))
        writes = [("write", CONFIG, 4, command, 2)]
        for name in ("PMCSR", "MSI_CONTROL"):
            register = self._config(name)
            if register and random.random() < 0.3:
                value = random.choice((0, 0, 1, 3, self.number(16)))
                writes.append(("write", CONFIG, register.offset, value, 2))
        if random.random() < 0.2:
            writes.append(("write", CONFIG, 0x10 + 4 * random.randrange(7), self.number(32), 4))
        if random.random() < 0.7:
            writes.append(("write", CONFIG, 4, 7, 2))
        return writes

    def _config(self, name: str) -> Register | None:
        return self.card.model().spaces[CONFIG].by_name.get(name)

    # ------------------------------------------------------------------ the world around

    def frames(self) -> list[Operation]:
        random = self.random
        made = []
        for _ in range(random.choice((1, 1, 1, 2, 8, 70))):
            head = front(random, self.station)
            made.append((head.hex(), random.choice((len(head), max(60, len(head)), random.choice(LENGTHS)))))
        return [("frames", made, random.choice((0, 0, 0, 0, 1, 2, 6, 8, 9, 15)))]

    def time(self) -> list[Operation]:
        return [("advance", self.random.choice((0, 1, 256, 1024, 70_000, 10**6, 2 * 10**6, 10**8, 3 * 10**9)))]

    def wire(self) -> list[Operation]:
        random = self.random
        kind = random.randrange(4)
        if kind == 0:
            return [("link", random.random() < 0.7)]
        if kind == 1:
            return [("cable", random.random() < 0.7)]
        return [("room", random.choice((None, None, 0, 1, 3, 64)))]

    def regions(self) -> list[Operation]:
        random = self.random
        if random.random() < 0.3:
            return [("truncate", random.choice((0, 1, 4096, 65536)))]
        name = random.choice(("ram", "ram", "page", "mortal", "lazy", "high"))
        if random.random() < 0.5:
            return [("map", name)]
        return [("unmap", name), *self.write_any(), ("map", name)]

    def from_inside(self) -> list[Operation]:
        """Register accesses from inside a callback: an interrupt handler that runs at once, a wire that answers."""
        operations: list[Operation] = []
        for _ in range(self.random.randrange(1, 6)):
            operations += self.random.choice((self.write_any, self.read_any, self.doorbell))()
        return [("inside", self.random.choice(PLACES), operations)]

    def microwire(self) -> list[int]:
        """Levels of an EEPROM's DI over an instruction: read, write, erase, their "all" forms, enable, disable."""
        random = self.random
        bits = 1 << 8 | random.getrandbits(8)
        levels = [bits >> n & 1 for n in range(8, -1, -1)]
        return levels + [random.getrandbits(1) for _ in range(random.choice((0, 16, 17)))]

    def slow_blocks(self) -> list[Operation]:
        """Accesses to what is clocked bit by bit; a family knows where that is."""
        return self.write_any()

    def traffic(self) -> list[Operation]:
        """Well-formed frames that leave the card."""
        return self.write_any()

    def control(self) -> list[Operation]:
        """A register that changes what the datapath does."""
        return self.write_any()

    def doorbell(self) -> list[Operation]:
        """Something that starts work; a family knows better."""
        return self.write_any()
