"""Operations on an 82540EM, made up: rings, packets of descriptors, EEPROM and PHY."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from ..frames import LENGTHS
from ..generator import Generator, Operation
from ..world import LAYOUT
from .common import memory
from .e1000_registers import (
    CTRL_UP,
    DEXT,
    EOP,
    IDE,
    IFCS,
    IP,
    IXSM,
    RCTL_ON,
    REG,
    RS,
    RX,
    TCP,
    TCTL_ON,
    TSE,
    TX,
    TXSM,
    VLE,
    context,
    data,
    legacy,
    receive,
    write,
)

__all__ = ["E1000Generator"]


class E1000Generator(Generator):
    """Knows rings, packets of descriptors, EEPROM and PHY."""

    TX_BASE, RX_BASE, BUFFERS = 0x1000, 0x4000, 0x20000

    def __init__(self, random: Random, model: str) -> None:
        super().__init__(random, model)
        self.tx, self.tx_count, self.tx_tail = self.TX_BASE, 64, 0
        self.rx, self.rx_count, self.rx_tail = self.RX_BASE, 64, 0
        self.kinds += [
            (22, self.transmit),
            (5, self.refill),
            (6, self.doorbell),
            (2, self.hostile_ring),
            (2, self.sane_ring),
            (3, self.control),
            (1.5, self.phy),
            (1, self.eeprom_pins),
            (0.7, lambda: [write(REG["EERD"], self.random.getrandbits(8) << 8 | 1)]),
            (1, self.io_window),
        ]

    def setup(self) -> list[Operation]:
        made: list[Operation] = [("write", 6, 4, 7, 2), ("advance", 2 * 10**6)]  # the EEPROM is read
        made += [write(REG["CTRL"], CTRL_UP | self.random.choice((0, 1 << 30)))]
        made += [write(REG["VET"], 0x8100), write(REG["FCAL"], 0xC28001), write(REG["FCAH"], 0x100)]
        made += [write(REG["FCT"], 0x8808), write(REG["FCTTV"], self.random.choice((0, 1, 0xFFFF)))]
        made += [write(REG["RXCSUM"], self.random.choice((0, 0x300, 0x700, 0x70E)))]
        made += [write(REG["RAL"] + 8 * n, 0) for n in range(1, 16)] + [
            write(REG["RAH"] + 8 * n, 0) for n in range(1, 16)
        ]
        self.tx_tail, self.rx_tail = 0, self.rx_count - 1
        made += [memory(self.rx, b"".join(receive(self.BUFFERS + 2048 * n) for n in range(self.rx_count)))]
        made += TX.place(self.tx, 16 * self.tx_count) + RX.place(self.rx, 16 * self.rx_count, 0, self.rx_tail)
        made += [write(REG["RCTL"], RCTL_ON & ~(1 << 25) if self.random.random() < 0.7 else RCTL_ON)]
        made += [write(REG["TCTL"], TCTL_ON), write(REG["TXDCTL"], self.random.choice((0, 0x0101_0000, 0x0108_0000)))]
        return [*made, write(REG["IMS"], 0x1FFFF), ("advance", 3 * 10**9)]

    # ------------------------------------------------------------------ transmit

    def transmit(self) -> list[Operation]:
        """Descriptors at the tail, well formed or not, and mostly the doorbell."""
        made = self.spoiled(self._packet())
        operations = [memory(self.tx + 16 * ((self.tx_tail + n) % self.tx_count), raw) for n, raw in enumerate(made)]
        self.tx_tail = (self.tx_tail + len(made)) % self.tx_count
        if self.random.random() < 0.8:
            operations.append(write(TX.tail, self.tx_tail))
        return operations

    def traffic(self) -> list[Operation]:
        places = [self.tx + 16 * ((self.tx_tail + n) % self.tx_count) for n in range(4)]
        self.tx_tail = (self.tx_tail + 4) % self.tx_count
        sane = legacy(self.BUFFERS + 0x40000, 60, EOP | IFCS | RS)
        return [*(memory(place, sane) for place in places), write(TX.tail, self.tx_tail)]

    def _packet(self) -> list[bytes]:
        random = self.random
        kind = random.randrange(10)
        if kind < 3:
            return self._pieces(
                lambda a, n, last: legacy(
                    a,
                    n & 0xFFFF,
                    random.getrandbits(8) & ~DEXT | last,
                    cso=random.choice((0, 16, 24, 50, 255)),
                    css=random.choice((0, 14, 34, 255)),
                    special=random.getrandbits(16),
                )
            )
        if kind < 5:
            return [self._context(), *self._data(random.choice((0, IFCS, VLE | IFCS)))]
        if kind < 8:
            return [self._context(), *self._data(TSE | random.choice((IFCS, IFCS | VLE, 0)))]
        if kind == 8:
            return self._data(random.choice((TSE, 0)))
        return [random.randbytes(16) for _ in range(random.randrange(1, 5))]

    def _context(self) -> bytes:
        random = self.random
        offsets = (0, 13, 14, 18, 24, 33, 34, 50, 54, 239, 240, 255)
        header = random.choice((54, 54, 54, 66, 74, 0, 1, 13, 14, 42, 240, 241, 255))
        ip = (14, 24, 33) if random.random() < 0.7 else [random.choice(offsets) for _ in range(3)]
        transport = (34, 50, 0) if random.random() < 0.7 else [random.choice((*offsets, 0, 0)) for _ in range(3)]
        return context(
            random.choice((TCP | IP | TSE, TCP | IP | TSE, TCP | TSE, IP | TSE, 0, TCP | IP, random.getrandbits(8))),
            random.choice((0, 1, 100, 1460, 2920, 2921, 5000, 65535, 0xFFFFF)),
            random.choice((1460, 536, 100, 1, 0, 16000, 16288, 65535)),
            header,
            ip,
            transport,
        )

    def _data(self, command: int) -> list[bytes]:
        random = self.random
        options, special = random.choice((0, IXSM, TXSM, IXSM | TXSM)), random.getrandbits(16)
        return self._pieces(
            lambda a, n, last: data(
                a,
                n,
                command | last | random.choice((RS, RS | IDE, 0)),
                options=options,
                special=special,
                kind=1 if random.random() < 0.98 else random.randrange(16),
            )
        )

    def _pieces(self, make: Callable[[int, int, int], bytes]) -> list[bytes]:
        """Buffers in memory and elsewhere; the last one mostly ends the packet."""
        random = self.random
        count = random.choice((1, 1, 1, 2, 3, 8, 70))
        made = []
        for n in range(count):
            address = self.address() if random.random() < 0.3 else self.BUFFERS + 0x40000 + random.randrange(0x8000)
            length = random.choice((54, 60, 100, 1000, 1500, random.choice(LENGTHS), self.number(20)))
            made.append(make(address, length, EOP if n == count - 1 and random.random() < 0.95 else 0))
        return made

    # ------------------------------------------------------------------ rings and doorbells

    def refill(self) -> list[Operation]:
        random = self.random
        count = random.choice((1, 4, 16, self.rx_count - 1))
        made = []
        for n in range(count):
            sane = self.BUFFERS + 2048 * (n % 64)
            address = sane if random.random() < 0.8 else self.address() if random.random() < 0.7 else 0
            made.append(memory(self.rx + 16 * ((self.rx_tail + n) % self.rx_count), receive(address)))
        self.rx_tail = (self.rx_tail + count) % self.rx_count
        return [*made, write(RX.tail, self.rx_tail)]

    def doorbell(self) -> list[Operation]:
        random = self.random
        ring = random.choice((TX, TX, RX))
        count = self.tx_count if ring is TX else self.rx_count
        value = random.choice((random.randrange(count), count - 1, count, self.number(16)))
        return [write(random.choice((ring.tail, ring.tail, ring.tail, ring.head)), value)]

    def hostile_ring(self) -> list[Operation]:
        random = self.random
        length = random.choice((0, 16, 128, 256, 1024, 65536, 0xFFF80, 0xFFFFFFFF))
        places = (0, 1, length // 16, length // 16 - 1, 65535, random.getrandbits(16))
        made = random.choice((TX, RX)).place(self.address(), length, random.choice(places), random.choice(places))
        return random.sample(made, random.randrange(1, 6))

    def sane_ring(self) -> list[Operation]:
        """Back to where the packets go; the rings may be small and lie in odd memory."""
        random = self.random
        base = random.choice((0, 0, 0, LAYOUT["lazy"][0], LAYOUT["high"][0], LAYOUT["mortal"][0]))
        self.tx, self.tx_count, self.tx_tail = base + self.TX_BASE, random.choice((8, 64, 64, 256)), 0
        self.rx, self.rx_count, self.rx_tail = base + self.RX_BASE, random.choice((8, 64, 64, 256)), 0
        made = TX.place(self.tx, 16 * self.tx_count) + RX.place(self.rx, 16 * self.rx_count)
        return [*made, write(REG["RCTL"], RCTL_ON & ~(1 << 25)), write(REG["TCTL"], TCTL_ON), *self.refill()]

    def control(self) -> list[Operation]:
        """Registers that change what the datapath does."""
        random = self.random
        loopback = random.choice((0, 0, 0, 3 << 6))
        name, values = random.choice(
            (
                (
                    "RCTL",
                    (RCTL_ON | loopback, RCTL_ON & ~(1 << 25) | loopback, RCTL_ON ^ 1 << random.randrange(32), 0x8002),
                ),
                ("TCTL", (TCTL_ON, TCTL_ON | 1 << 22, TCTL_ON ^ 1 << random.randrange(32), 0)),
                (
                    "CTRL",
                    (
                        CTRL_UP,
                        CTRL_UP | 1 << 30,
                        CTRL_UP | 3 << 27,
                        CTRL_UP | 1 << 26,
                        CTRL_UP | 1 << 31,
                        self.number(),
                    ),
                ),
                ("TXDCTL", (0, 0x0101_0000, 0x0120_0000, 0x013F_0000, 0x003F_0000, self.number())),
                ("RXDCTL", (0, 0x0101_0000, 0x0108_0000, 0x013F_0000, self.number())),
                ("RXCSUM", (0, 0x700, 0x7FF, self.number(11))),
                ("PBA", (0x30, 0x08, 0x38, 0, 0x40, 0x7F, self.number())),
                ("ITR", (0, 1, 100, 0xFFFF)),
                ("TIDV", (0, 1, 100, 0xFFFF)),
                ("TADV", (0, 1, 0xFFFF)),
                ("RDTR", (0, 1, 100, 0xFFFF, 1 << 31)),
                ("RADV", (0, 1, 0xFFFF)),
                ("IMS", (0x1FFFF, self.number())),
                ("IMC", (0xFFFFFFFF, self.number())),
                ("ICS", (0x1FFFF, self.number())),
                ("FCRTL", (0, 0x8000_1000, self.number())),
                ("FCRTH", (0, 0x2000, self.number())),
                ("WUC", (0, 1, 3, 0xF)),
                ("WUFC", (0, 0xF00FF)),
                ("RAH", (0x8000_5634, 0x5634, self.number())),
            )
        )
        return [write(REG[name], random.choice(values))]

    # ------------------------------------------------------------------ slow blocks

    def slow_blocks(self) -> list[Operation]:
        return self.random.choice((self.phy, self.eeprom_pins))()

    def phy(self) -> list[Operation]:
        random = self.random
        operation = random.choice((1, 1, 2, 2, 0, 3))
        register = random.choice((0, 0, 4, 9, 16, 18, 29, 30, random.randrange(32)))
        value = random.choice((0x1140, 0x9140, 0x5140, 0x4140, 0x0800, 0x3300, random.getrandbits(16)))
        address = random.choice((1, 1, 1, 1, 0, 31))
        return [
            write(REG["MDIC"], value | register << 16 | address << 21 | operation << 26 | random.getrandbits(1) << 29)
        ]

    def eeprom_pins(self) -> list[Operation]:
        """Random edges, or a whole microwire instruction."""
        random = self.random
        if random.random() < 0.5:
            return [write(REG["EECD"], random.getrandbits(3) | random.choice((0x40, 0x40, 0))) for _ in range(24)]
        levels = self.microwire()
        made = [write(REG["EECD"], 0x40), write(REG["EECD"], 0x42)]
        for level in levels:
            made += [write(REG["EECD"], 0x42 | level << 2), write(REG["EECD"], 0x43 | level << 2)]
        return [*made, write(REG["EECD"], 0x40), write(REG["EECD"], random.choice((0, 0x40)))]

    def io_window(self) -> list[Operation]:
        random = self.random
        offset = random.choice((*(o for _, _, o in random.sample(self.places, 3)), self.number(20)))
        access: Operation = ("write", 2, 4, self.number(), 4) if random.random() < 0.6 else ("read", 2, 4, 4)
        return [("write", 2, 0, offset, 4), access]
