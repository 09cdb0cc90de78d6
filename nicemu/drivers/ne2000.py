"""Reference driver for the NE2000 family: NE1000, NE2000, RTL8019AS and RTL8029AS.

It follows National's DP8390D data sheet: 11.0 for initialization, 8.0 for sending, 7.0 for receiving and for what has
to be done after an overflow, 9.0 for remote DMA; and Realtek's RTL8029AS specification for page 3.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from nicemu.devices.ne2000_tables import IO
from nicemu.drivers import IO_SPACE, Driver, DriverError, Frame, microwire_read
from nicemu.drivers.wire import ethernet_crc
from nicemu.errors import ConfigurationError

if TYPE_CHECKING:
    from nicemu.core import Nic
    from nicemu.memory import GuestMemory

__all__ = ["DRIVER", "NE2000Driver", "RTL8029Driver", "RealtekDriver"]

DATA, RESET = IO["DATA"].offset, IO["RESET"].offset + 7
PAGE = 256
TX_PAGES = 6  #: of one buffer: a frame of 1514 bytes
TX_BUFFERS = 2
HEADER, FCS = 4, 4
SHORTEST, LONGEST = 60, 1514

# CR (10.3).
STP, STA, TXP = 1, 2, 4
READ, WRITE, NO_DMA = 1 << 3, 2 << 3, 4 << 3
# ISR and IMR.
PRX, PTX, RXE, TXE, OVW, CNT, RDC, RST = (1 << bit for bit in range(8))
CAUSES = {"rx": PRX | RXE, "tx": PTX | TXE, "overflow": OVW, "counters": CNT}
# DCR, TCR, RCR.
DCR_WORDS, DCR_NORMAL, DCR_FIFO_8 = 1 << 0, 1 << 3, 2 << 5
TCR_NORMAL, TCR_LOOPBACK = 0, 1 << 1
RCR_BROADCAST, RCR_MULTICAST, RCR_PROMISCUOUS, RCR_MONITOR = 1 << 2, 1 << 3, 1 << 4, 1 << 5
RESET_NS = 1_600_000  #: after STP, until a packet that was under way has ended (7.0)

# 9346CR (RTL8029AS 5.1.2.2) and the EEPROM behind it.
EEDO, EEDI, EESK, EECS, PROGRAM = 1 << 0, 1 << 1, 1 << 2, 1 << 3, 2 << 6
CONFIG0_BNC = 1 << 2


class NE2000Driver(Driver):
    """Drives a board with a DP8390; it says nothing of a link, so one is taken for granted."""

    features: ClassVar[frozenset[str]] = frozenset({"multicast", "interrupts"})
    link_interrupts: ClassVar[bool] = False
    link_visible: ClassVar[bool] = False

    def __init__(
        self, nic: Nic, memory: GuestMemory | None = None, *, base: int = 0, max_frame: int = LONGEST, **_: Any
    ) -> None:
        super().__init__(nic, memory, base=base, max_frame=max_frame)
        self.words = nic.MODEL != "ne1k_isa"
        self.first = 0x40 if self.words else 0x20
        self.start_page = self.first + TX_BUFFERS * TX_PAGES
        self.stop_page = 0x80 if self.words else 0x40
        self.overflows = 0
        self._buffer = 0
        self._rcr = RCR_BROADCAST

    @property
    def footprint(self) -> int:
        """None: packets move through ports."""
        return 0

    # ------------------------------------------------------------------ registers

    def read(self, name: str, index: int = 0) -> int:
        """A register of the page that is selected."""
        return self.nic.bars[0].read(IO[name].offset + index, 1)

    def write(self, name: str, value: int, index: int = 0) -> None:
        """Writes a register of the page that is selected."""
        self.nic.bars[0].write(IO[name].offset + index, value, 1)

    def command(self, bits: int, page: int = 0) -> None:
        """Writes CR; without a remote DMA command, one that is under way is aborted."""
        self.write("CR", bits | page << 6 | (0 if bits & (READ | WRITE) else NO_DMA))

    # ------------------------------------------------------------------ remote DMA (9.0)

    def _remote(self, command: int, address: int, length: int) -> None:
        self.command(STA)
        self.write("ISR", RDC)
        self.write("RBCR0", length & 0xFF)
        self.write("RBCR1", length >> 8)
        self.write("RSAR0", address & 0xFF)
        self.write("RSAR1", address >> 8)
        self.command(STA | command)

    def _remote_end(self) -> None:
        if not self.read("ISR") & RDC:
            raise DriverError(f"{self.nic.MODEL}: remote DMA did not complete")
        self.write("ISR", RDC)

    def read_memory(self, address: int, length: int) -> bytes:
        """Bytes as the chip addresses them."""
        size = 2 if self.words else 1
        even = -(-length // size) * size
        self._remote(READ, address, even)
        data = self.nic.bars[0].read_repeat(DATA, size, even // size)
        self._remote_end()
        return data[:length]

    def write_memory(self, address: int, data: bytes) -> None:
        """Puts bytes where the chip addresses them."""
        size = 2 if self.words else 1
        data += bytes(-len(data) % size)
        self._remote(WRITE, address, len(data))
        self.nic.bars[0].write_repeat(DATA, size, data)
        self._remote_end()

    # ------------------------------------------------------------------ initialization (11.0)

    def start(self) -> None:
        """Resets the board, reads the PROM, and starts the chip in the order of 11.0."""
        if self.nic.FUNCTION:
            self.set_command(IO_SPACE)
        self.nic.bars[0].write(RESET, self.nic.bars[0].read(RESET, 1), 1)
        self.wait(lambda: bool(self.read("ISR") & RST), "reset state")
        self.command(STP)
        self.write("DCR", DCR_NORMAL | DCR_FIFO_8 | (DCR_WORDS if self.words else 0))
        self.write("RBCR0", 0)
        self.write("RBCR1", 0)
        self.write("RCR", RCR_MONITOR)
        self.write("TCR", TCR_LOOPBACK)
        self._set_ring()
        prom = self.read_memory(0, 32 if self.words else 16)
        self.mac = prom[:12:2] if self.words else prom[:6]
        self.command(STP)
        self.write("RBCR0", 0)
        self.write("RBCR1", 0)
        self.write("ISR", 0xFF)
        self.write("IMR", 0)
        self.set_mac(self.mac, STP)
        self._set_groups([0] * 8, STP)
        self.command(STA)
        self.write("TCR", TCR_NORMAL)
        self._rcr = RCR_BROADCAST
        self.write("RCR", self._rcr)
        self._buffer = 0

    def _set_ring(self) -> None:
        """BNRY is a page behind CURR (7.0); PAR stands in before the PROM can be read."""
        self.write("PSTART", self.start_page)
        self.write("PSTOP", self.stop_page)
        self.write("BNRY", self.stop_page - 1)
        self.command(STP, page=1)
        for i in range(6):
            self.write("PAR", 0, i)
        self.write("CURR", self.start_page)
        self.command(STP)

    def stop(self) -> None:
        """Masks everything and stops the chip."""
        self.write("IMR", 0)
        self.command(STP)
        self.delay(RESET_NS)
        self.write("ISR", 0xFF)

    # ------------------------------------------------------------------ sending (8.0)

    def send(
        self, frame: bytes, *, vlan: int | None = None, checksum: bool = False, mss: int = 0, cuts: Sequence[int] = ()
    ) -> None:
        """Copies the frame, padded to 60 bytes, into one of two buffers while the other may be on its way."""
        if vlan is not None or checksum or mss or cuts:
            raise ConfigurationError(f"{self.nic.MODEL} sends one buffer as it is: no vlan, checksum, mss or cuts")
        if len(frame) > self.max_frame:
            raise ConfigurationError(f"a frame of {len(frame)} bytes; expected at most {self.max_frame}")
        frame = frame.ljust(SHORTEST, b"\0")
        page = self.first + self._buffer * TX_PAGES
        self._buffer = (self._buffer + 1) % TX_BUFFERS
        self.write_memory(page * PAGE, frame)
        self.wait(lambda: not self.read("CR") & TXP, "end of the last transmission")
        self.write("TPSR", page)
        self.write("TBCR0", len(frame) & 0xFF)
        self.write("TBCR1", len(frame) >> 8)
        self.command(STA | TXP)

    # ------------------------------------------------------------------ receiving (7.0)

    def receive(self) -> list[Frame]:
        """Removes packets from the ring up to CURR; after an overflow, by the procedure of 7.0."""
        if self.read("ISR") & OVW:
            return self._recover()
        return self._remove()

    def _next(self) -> int:
        page = self.read("BNRY") + 1
        return self.start_page if page >= self.stop_page else page

    def _remove(self) -> list[Frame]:
        frames: list[Frame] = []
        page = self._next()
        while True:
            self.command(STA, page=1)
            current = self.read("CURR")
            self.command(STA)
            if page == current:
                return frames
            while page != current:
                status, following, low, high = self.read_memory(page * PAGE, HEADER)
                length = low | high << 8
                if not self.start_page <= following < self.stop_page or length < HEADER:
                    raise DriverError(f"{self.nic.MODEL}: header at page {page:#x} is {status:02x}{following:02x}")
                data = self.read_memory(page * PAGE + HEADER, length - FCS)
                frames.append(Frame(data, good=bool(status & 1)))
                page = following
                self.write("BNRY", (page if page > self.start_page else self.stop_page) - 1)

    def _recover(self) -> list[Frame]:
        """The overflow procedure: stop, wait, loopback, remove packets, back to the wire, resend."""
        self.overflows += 1
        sending = self.read("CR") & TXP
        self.command(STP)
        self.delay(RESET_NS)
        self.write("RBCR0", 0)
        self.write("RBCR1", 0)
        resend = sending and not self.read("ISR") & (PTX | TXE)
        self.write("TCR", TCR_LOOPBACK)
        self.command(STA)
        frames = self._remove()
        self.write("ISR", OVW)
        self.write("TCR", TCR_NORMAL)
        if resend and not self.read("CR") & TXP:
            self.command(STA | TXP)
        return frames

    # ------------------------------------------------------------------ filters (10.3 RCR, PAR, MAR)

    def set_mac(self, mac: bytes, state: int = STA) -> None:
        """PAR0 to PAR5."""
        self.mac = mac
        self.command(state, page=1)
        for i, value in enumerate(mac):
            self.write("PAR", value, i)
        self.command(state)

    def _set_groups(self, table: Sequence[int], state: int = STA) -> None:
        self.command(state, page=1)
        for i, value in enumerate(table):
            self.write("MAR", value, i)
        self.command(state)

    def set_filters(
        self,
        *,
        promiscuous: bool = False,
        all_multicast: bool = False,
        multicast: Sequence[bytes] = (),
        vlans: Sequence[int] | None = None,
    ) -> None:
        """PRO covers physical addresses only: promiscuous opens the group filter too."""
        if vlans is not None:
            raise ConfigurationError(f"{self.nic.MODEL} has no VLAN filter")
        everything = promiscuous or all_multicast
        table = [0xFF if everything else 0] * 8
        for group in multicast:
            hashed = group_hash(group)
            table[hashed >> 3] |= 1 << (hashed & 7)
        self._set_groups(table)
        self._rcr = RCR_BROADCAST | (RCR_MULTICAST if everything or multicast else 0)
        self._rcr |= RCR_PROMISCUOUS if promiscuous else 0
        self.write("RCR", self._rcr)

    # ------------------------------------------------------------------ the rest

    def link_up(self) -> bool:
        """The chip does not know."""
        return True

    def enable_interrupts(self, enable: bool) -> None:
        """IMR; remote DMA is polled."""
        self.write("IMR", (PRX | PTX | RXE | TXE | OVW | CNT) if enable else 0)

    def acknowledge(self) -> frozenset[str]:
        """Reads ISR and clears what it shows; overflow is left to `receive`."""
        causes = self.read("ISR")
        self.write("ISR", causes & ~OVW)
        return frozenset(name for name, bits in CAUSES.items() if causes & bits)


class RealtekDriver(NE2000Driver):
    """Drives an RTL8029AS or RTL8019AS: a link that can be seen, and an EEPROM."""

    features: ClassVar[frozenset[str]] = NE2000Driver.features | {"eeprom"}
    link_visible: ClassVar[bool] = True
    address_word: ClassVar[int] = 2  #: of the EEPROM: where the address begins

    def link_up(self) -> bool:
        """CONFIG0.BNC is clear while detection has settled on twisted pair."""
        self.command(STA, page=3)
        config0 = self.read("CONFIG0")
        self.command(STA)
        return not config0 & CONFIG0_BNC

    def read_eeprom(self, word: int) -> int:
        """One word of the 93C46, bit by bit through 9346CR."""
        self.command(STA, page=3)
        value = 0
        self.write("CR9346", PROGRAM | EECS)
        for bit in microwire_read(word):
            data = EEDI if bit else 0
            self.write("CR9346", PROGRAM | EECS | data)
            self.write("CR9346", PROGRAM | EECS | data | EESK)
        for _ in range(16):
            self.write("CR9346", PROGRAM | EECS)
            self.write("CR9346", PROGRAM | EECS | EESK)
            value = value << 1 | self.read("CR9346") & EEDO
        self.write("CR9346", PROGRAM)
        self.write("CR9346", 0)
        self.command(STA)
        return value

    def check_eeprom(self) -> None:
        """The address is the same in the EEPROM and in the PROM."""
        words = [self.read_eeprom(self.address_word + i) for i in range(3)]
        address = b"".join(w.to_bytes(2, "little") for w in words)
        prom = self.read_memory(0, 12)[::2]
        if not address == prom == self.mac:
            raise DriverError(f"{self.nic.MODEL}: the EEPROM has {address.hex(':')}, the PROM {prom.hex(':')}")


class RTL8029Driver(RealtekDriver):
    """Drives an RTL8029AS."""

    address_word = 1

    def check_eeprom(self) -> None:
        """The PCI identity is in the EEPROM too."""
        super().check_eeprom()
        words = {word: self.read_eeprom(word) for word in (0x3B, 0x3C)}
        if words[0x3B] != 0x8029 or words[0x3C] != 0x10EC:
            raise DriverError(f"{self.nic.MODEL}: the EEPROM says {words[0x3C]:04x}:{words[0x3B]:04x}")


def group_hash(address: bytes) -> int:
    """The upper six bits of the CRC of an address, first bit on the wire first (10.3 MAR)."""
    return ethernet_crc(address) >> 26


def DRIVER(nic: Nic, memory: GuestMemory | None = None, **options: Any) -> Driver:  # noqa: N802 (as in every family)
    """The driver for a model of the family."""
    kinds = {"ne2k_pci": RTL8029Driver, "rtl8019as": RealtekDriver}
    return kinds.get(nic.MODEL, NE2000Driver)(nic, memory, **options)
