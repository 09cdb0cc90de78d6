"""Operations on a PCnet, made up: registers by number, initialization blocks, rings, EEPROM and PHY."""

from __future__ import annotations

from random import Random

from ..frames import LENGTHS
from ..generator import Generator, Operation
from .common import memory
from .pcnet_registers import (
    ADD_FCS,
    ENP,
    IENA,
    INIT,
    LTINT,
    OWN,
    PROM,
    STOP,
    STP,
    STRT,
    TDMD,
    WHOLE,
    bcr,
    by_csrs,
    csr,
    descriptor,
    size,
    wide,
    write,
)

__all__ = ["PCnetGenerator"]

CSRS = (
    *range(48),
    58,
    *range(60, 68),
    72,
    74,
    76,
    78,
    80,
    82,
    84,
    85,
    86,
    88,
    89,
    92,
    94,
    100,
    112,
    114,
    116,
    122,
    124,
    125,
)
BCRS = (0, 1, 2, 4, 5, 6, 7, 9, *range(16, 49))


class PCnetGenerator(Generator):
    """Knows CSRs and BCRs by number, blocks, rings, EEPROM and PHY."""

    TX, RX, BLOCK, BUFFERS = 0x1000, 0x4000, 0x800, 0x20000
    COUNT = 64

    def __init__(self, random: Random, model: str) -> None:
        super().__init__(random, model)
        self.style = 2
        self.tx = self.rx = 0
        self.kinds += [
            (20, self.transmit),
            (6, self.refill),
            (6, self.doorbell),
            (8, self.any_csr),
            (4, self.any_bcr),
            (3, self.control),
            (2, self.hostile_ring),
            (2, self.block),
            (1, self.setup),
            (1, self.slow_blocks),
            (0.3, lambda: [write(0x10, self.number(32), 4)]),
            (0.5, lambda: [("read", 0, self.random.choice((0x14, 0x18)), self.random.choice((2, 4)))]),
        ]

    def setup(self) -> list[Operation]:
        random = self.random
        self.style, self.tx, self.rx = random.choice((0, 1, 2, 2, 2, 3)), 0, 0
        ring = b"".join(descriptor(self.BUFFERS + 2048 * n, 1600, OWN, self.style) for n in range(self.COUNT))
        made: list[Operation] = [("write", 6, 4, 7, 2), *csr(0, STOP), *bcr(20, self.style)]
        made += [
            *csr(2, 0),
            memory(self.RX, ring),
            memory(self.TX, bytes(16 * self.COUNT)),
            *by_csrs(self.RX, self.COUNT, self.TX, self.COUNT),
        ]
        made += csr(4, random.choice((0x0915, 0x0000, 0x1915, 0x0D15)))
        return [*made, *csr(0, STRT | IENA), ("advance", 3 * 10**9)]

    # ------------------------------------------------------------------ rings

    def transmit(self) -> list[Operation]:
        """Descriptors of a chain, well formed or not, and mostly the doorbell."""
        random = self.random
        pieces = random.choice((1, 1, 1, 2, 3, 8, 70))
        made = []
        for n in range(pieces):
            flags = OWN | (STP if n == 0 else 0) | (ENP if n == pieces - 1 else 0)
            flags |= random.choice((0, 0, ADD_FCS, LTINT))
            if random.random() < 0.05:
                flags ^= 1 << random.randrange(16, 32)
            address = self.address() if random.random() < 0.2 else self.BUFFERS + 0x40000 + random.randrange(0x8000)
            length = random.choice((60, 100, 1000, 1500, random.choice(LENGTHS), self.number(12)))
            raw = descriptor(address & 0xFFFFFFFF, length, flags, self.style, self.number(32))
            made.append(raw if random.random() < 0.95 else random.randbytes(size(self.style)))
        operations = [
            memory(self.TX + size(self.style) * ((self.tx + n) % self.COUNT), raw)
            for n, raw in reversed(list(enumerate(made)))
        ]
        self.tx = (self.tx + pieces) % self.COUNT
        return operations + (csr(0, TDMD | IENA) if random.random() < 0.8 else [])

    def traffic(self) -> list[Operation]:
        raw = descriptor(self.BUFFERS + 0x40000, 60, WHOLE, self.style)
        places = [self.TX + size(self.style) * ((self.tx + n) % self.COUNT) for n in range(4)]
        self.tx = (self.tx + 4) % self.COUNT
        return [*(memory(place, raw) for place in places), *csr(0, TDMD | IENA)]

    def refill(self) -> list[Operation]:
        random = self.random
        made = []
        for _ in range(random.choice((1, 4, 16, 63))):
            sane = self.BUFFERS + 2048 * (self.rx % 64)
            address = sane if random.random() < 0.8 else self.address() & 0xFFFFFFFF
            length = random.choice((1600, 1600, 1600, 64, 1, 4096, 300))
            flags = random.choice((OWN, OWN, OWN | STP, 0))
            raw = descriptor(address, length, flags, self.style)
            made.append(memory(self.RX + size(self.style) * (self.rx % self.COUNT), raw))
            self.rx += 1
        return made

    def hostile_ring(self) -> list[Operation]:
        random = self.random
        bases = [self.address(random.choice((1, 8, 16))) & 0xFFFFFFFF for _ in range(2)]
        counts = [random.choice((0, 1, 2, 64, 512, 65535, self.number(16))) for _ in range(2)]
        return [*by_csrs(bases[0], counts[0], bases[1], counts[1]), *csr(0, STRT | IENA)]

    def block(self) -> list[Operation]:
        random = self.random
        address = self.BLOCK if random.random() < 0.7 else self.address() & 0xFFFFFFFF
        made = [memory(self.BLOCK, random.randbytes(28))] if random.random() < 0.5 else []
        return [
            *made,
            *csr(0, STOP),
            *wide(1, address),
            *csr(0, random.choice((INIT, INIT | STRT, INIT | STRT | IENA))),
        ]

    # ------------------------------------------------------------------ registers

    def doorbell(self) -> list[Operation]:
        values = (TDMD, TDMD | IENA, STOP, STRT, INIT, INIT | STRT, 0x7F40, self.number(16))
        return csr(0, self.random.choice(values))

    def any_csr(self) -> list[Operation]:
        number = self.random.choice(CSRS)
        if self.random.random() < 0.3:
            return [write(0x12, number), ("read", 0, 0x10, self.random.choice((1, 2, 4)))]
        return csr(number, self.number(16))

    def any_bcr(self) -> list[Operation]:
        number = self.random.choice(BCRS)
        if self.random.random() < 0.3:
            return [write(0x12, number), ("read", 0, 0x16, 2)]
        return bcr(number, self.number(16))

    def control(self) -> list[Operation]:
        """A mode that changes under a running card, as far as it lets itself be changed."""
        random = self.random
        spend = csr(5, 1) if random.random() < 0.5 else []
        number, values = random.choice(
            (
                (3, (0, 0x20, 0x40, 0x5F00, 0x5F60)),
                (4, (0x0915, 0x1915, 0x0115, 0x0D15, 0xFFFF)),
                (5, (0, 1, 2, 0x4000, 0x8000, 0x4400)),
                (7, (0, 0x1000, 0x2000, 0x0555)),
                (15, (0, PROM, PROM | 0x44, PROM | 8, PROM | 0x54, 3)),
                (47, (0, 0xFFFF, 0x8000)),
                (122, (0, 1)),
                (124, (0, 8)),
            )
        )
        return [*spend, *csr(number, random.choice(values)), *(csr(5, 0) if random.random() < 0.7 else [])]

    def slow_blocks(self) -> list[Operation]:
        """EEPROM pins and PHY registers."""
        random = self.random
        if random.random() < 0.5:
            return [step for _ in range(20) for step in bcr(19, random.choice((0x10, 0x14, 0x15, 0x16, 0x17, 0x4000)))]
        where = random.choice((0x1E, 0x1E, 0x1E, random.randrange(32))) << 5 | random.randrange(32)
        return [*bcr(33, where), *bcr(34, self.number(16)), write(0x12, 34), ("read", 0, 0x16, 2)]
