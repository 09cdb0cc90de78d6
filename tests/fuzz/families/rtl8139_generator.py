"""Operations on an RTL8139, made up: packets of both modes, rings, EEPROM and transceiver."""

from __future__ import annotations

from random import Random

from ..frames import LENGTHS, front
from ..generator import Generator, Operation
from ..world import LAYOUT
from .common import memory
from .rtl8139_registers import (
    CONFIG_WRITE,
    CPCR_ON,
    EOR,
    FS,
    HPQ,
    IPCS,
    LGSEN,
    LOOPBACK,
    LS,
    NPQ,
    OWN,
    RCR_ON,
    RE_TE,
    RST,
    SWINT,
    TAGC,
    TCPCS,
    TCR_ON,
    UDPCS,
    descriptor,
    packet,
    place,
    receive,
    send_c,
    write,
)

__all__ = ["RTL8139Generator"]


class RTL8139Generator(Generator):
    """Knows both modes; on the plain RTL8139C what belongs to the other mode meets no register."""

    TX_RING, HIGH_RING, RX_RING, RX_BUFFERS, DATA, RX_BUFFER = 0x1000, 0x1800, 0x2000, 0x20000, 0x60000, 0x80000

    def __init__(self, random: Random, model: str) -> None:
        super().__init__(random, model)
        self.plus = False
        self.base = 0
        self.next = self.index = 0
        self.kinds += [
            (22, self.transmit),
            (6, self.refill),
            (6, self.doorbell),
            (2, self.hostile_ring),
            (3, self.control),
            (1.5, self.phy),
            (1, self.eeprom_pins),
            (0.5, self.mode),
            (1, self.disturb),
        ]

    def setup(self) -> list[Operation]:
        random = self.random
        self.plus = bool(self.card.TABLES[0]["CPCR"].present) and random.random() < 0.6
        self.base = random.choice((0, 0, 0, LAYOUT["lazy"][0], LAYOUT["mortal"][0]))
        self.next = self.index = 0
        made: list[Operation] = [("write", 6, 4, 7, 2), ("advance", 3 * 10**6), write("CR", RST), ("advance", 10**6)]
        rcr = RCR_ON | random.randrange(4) << 11 | random.choice((0, 0x80)) | random.choice((0, 0, 3 << 24))
        if self.plus:
            made += [write("CPCR", CPCR_ON), *place("TNPDS", self.base + self.TX_RING)]
            made += [*place("THPDS", self.base + self.HIGH_RING), *place("RDSAR", self.base + self.RX_RING)]
            made += self.refill()
        made += [write("RBSTART", self.RX_BUFFER), write("CR", RE_TE), write("RCR", rcr), write("TCR", TCR_ON)]
        made += [write("IMR", 0xFFFF), write("MAR", 0xFFFFFFFF, 4), memory(self.DATA, front(random, self.station))]
        return [*made, ("advance", 3 * 10**9)]

    def disturb(self) -> list[Operation]:
        """What a wire does, mostly one on which it can happen: half duplex, now and then at 10 Mb/s."""
        random = self.random
        what = random.choice(list(self.card.DISTURBANCES))
        made: list[Operation] = [("disturb", what, random.choice((1, 1, 2, 5, 100)))]
        if random.random() < 0.5:
            made = [write("CR9346", CONFIG_WRITE), write("BMCR", random.choice((0, 0x2000))), ("advance", 10**9), *made]
        return [*made, *self.doorbell(), write("TCR", TCR_ON | 1)]

    # ------------------------------------------------------------------ transmit

    def transmit(self) -> list[Operation]:
        return self._ring_packets() if self.plus else self._c_packets()

    def _length(self) -> int:
        return self.random.choice((60, 100, 1000, 1500, self.random.choice(LENGTHS), self.number(16)))

    def _place(self) -> int:
        return self.address() if self.random.random() < 0.3 else self.DATA + self.random.randrange(0x8000)

    def _c_packets(self) -> list[Operation]:
        random = self.random
        made = []
        for _ in range(random.choice((1, 1, 2, 4, 5))):
            index = self.next if random.random() < 0.95 else random.randrange(4)
            self.next = (index + 1) % 4
            made += send_c(index, self._place(), self._length(), random.randrange(64))
        return made

    def _ring_packets(self) -> list[Operation]:
        random = self.random
        made = []
        pieces = random.choice((1, 1, 1, 2, 3, 8, 64))
        options = random.choice((0, IPCS, IPCS | TCPCS, IPCS | UDPCS, LGSEN | self._mss() << 16, self.number()))
        opts2 = random.choice((0, TAGC | random.getrandbits(16), self.number()))
        for n in range(pieces):
            flags = (FS if n == 0 else 0) | (LS if n == pieces - 1 else 0)
            if random.random() < 0.03:
                flags ^= random.choice((FS, LS))
            end = EOR if self.index == 63 else 0
            opts1 = OWN | flags | end | options & ~(OWN | EOR | FS | LS | 0xFFFF) | self._length()
            spot = self.base + random.choice((self.TX_RING,) * 8 + (self.HIGH_RING,)) + 16 * self.index
            made.append(memory(spot, descriptor(self._place(), opts1, opts2)))
            self.index = (self.index + 1) % 64
        if random.random() < 0.8:
            made.append(write("TPPOLL", random.choice((NPQ, NPQ, HPQ, NPQ | HPQ | SWINT))))
        return made

    def _mss(self) -> int:
        return self.random.choice((1460, 536, 100, 1, 0, 2047))

    def traffic(self) -> list[Operation]:
        if not self.plus:
            made = [op for n in range(4) for op in send_c((self.next + n) % 4, self.DATA, 60)]
            return made
        ring = []
        for _ in range(4):
            end = EOR if self.index == 63 else 0
            ring.append(memory(self.base + self.TX_RING + 16 * self.index, packet(self.DATA, 60, end)))
            self.index = (self.index + 1) % 64
        return [*ring, write("TPPOLL", NPQ)]

    # ------------------------------------------------------------------ receive

    def refill(self) -> list[Operation]:
        random = self.random
        if not self.plus:
            return [write("CAPR", random.choice((0xFFF0, self.number(16), self.number(16) & ~3)))]
        size = random.choice((2048, 2048, 1536, 64, 8, 0, 8191))
        ring = [
            receive(self.RX_BUFFERS + 2048 * n if random.random() < 0.9 else self.address(), size, n == 63)
            for n in range(64)
        ]
        return [memory(self.base + self.RX_RING, b"".join(ring)), write("ISR", 0xFFFF)]

    def doorbell(self) -> list[Operation]:
        random = self.random
        return [
            random.choice(
                (
                    write("TPPOLL", random.getrandbits(8)),
                    write("TSD", self.number() & 0x3FFF, index=random.randrange(4)),
                    write("CAPR", self.number(16)),
                    write("DTCCRL", self.address(64) & 0xFFFFFFC0 | 8),
                    write("ISR", self.number(16)),
                )
            )
        ]

    def hostile_ring(self) -> list[Operation]:
        name = self.random.choice(("TNPDS", "THPDS", "RDSAR"))
        made = [*place(name, self.address()), write("RBSTART", self.address() & 0xFFFFFFFF)]
        return self.random.sample(made, self.random.randrange(1, 4))

    def mode(self) -> list[Operation]:
        """From one mode to the other, with and without a reset between."""
        if self.random.random() < 0.5:
            return self.setup()
        self.plus = not self.plus
        return [write("CPCR", self.random.choice((0, CPCR_ON, 1, 2, self.number(16))))]

    def control(self) -> list[Operation]:
        """Registers that change what the datapath does."""
        random = self.random
        name, values = random.choice(
            (
                ("CR", (RE_TE, RE_TE, 4, 8, 0, RST)),
                ("RCR", (RCR_ON, RCR_ON | 0x80, RCR_ON | 0x1800, self.number(), RCR_ON ^ 1 << random.randrange(28))),
                ("TCR", (TCR_ON, TCR_ON | LOOPBACK, TCR_ON | 1 << 16, TCR_ON | 1, self.number())),
                ("CPCR", (CPCR_ON, CPCR_ON ^ 1 << random.randrange(7), 0)),
                ("IMR", (0xFFFF, self.number(16))),
                ("TIMERINT", (0, 1, 1000, 0xFFFFFFFF, self.number())),
                ("TCTR", (0,)),
                ("MULINT", (0, 1, 100, 0xFFF)),
                ("CONFIG4", (0, 0x80)),
                ("MSR", (0, 0xC0)),
            )
        )
        unlock = [write("CR9346", random.choice((0, CONFIG_WRITE)))] if random.random() < 0.3 else []
        return [*unlock, write(name, random.choice(values))]

    # ------------------------------------------------------------------ slow blocks

    def slow_blocks(self) -> list[Operation]:
        return self.random.choice((self.phy, self.eeprom_pins))()

    def phy(self) -> list[Operation]:
        random = self.random
        name = random.choice(("BMCR", "BMCR", "ANAR", "CSCR", "NWAYTR", "PHY1_PARM"))
        value = random.choice((0x3100, 0xB100, 0x1200, 0x2100, 0x0000, random.getrandbits(16)))
        return [write("CR9346", random.choice((0, CONFIG_WRITE))), write(name, value)]

    def eeprom_pins(self) -> list[Operation]:
        """Random edges, a whole microwire instruction, or auto-load."""
        random = self.random
        kind = random.randrange(5)
        if kind == 0:
            return [write("CR9346", 0x40)]
        if kind < 3:
            return [write("CR9346", 0x80 | random.getrandbits(4)) for _ in range(24)]
        levels = self.microwire()
        made = [write("CR9346", 0x80), write("CR9346", 0x88)]
        for level in levels:
            made += [write("CR9346", 0x88 | level << 1), write("CR9346", 0x8C | level << 1)]
        return [*made, write("CR9346", 0x80), write("CR9346", random.choice((0, 0x80)))]
