"""Reference driver for AMD's PCnet (`pcnet`, `pcnet-fast3`), with word or double word I/O and every software style.

It follows the chapters "Software Access", "Initialization", "Buffer Management" and "EEPROM Interface" of AMD's data
sheet 19436, and "PHY Access Registers" of 21510.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from nicemu.devices.pcnet_descriptors import LAYOUTS, Rx, Tx, two_s_complement
from nicemu.drivers import BUS_MASTER, IO_SPACE, DriverError, Frame, RingDriver, microwire_read
from nicemu.engine import lib
from nicemu.errors import ConfigurationError

if TYPE_CHECKING:
    from nicemu.core import Nic
    from nicemu.memory import GuestMemory

__all__ = ["DRIVER", "PCnetDriver"]

RDP = 0x10
#: Offsets of RAP, RESET and BDP, and the size of an access, by I/O mode.
PORTS = {False: (0x12, 0x14, 0x16, 2), True: (0x14, 0x18, 0x1C, 4)}

INIT, STRT, STOP, TDMD, TXON, RXON, IENA, INTR = (1 << bit for bit in range(8))
IDON, TINT, RINT, MERR, MISS = 1 << 8, 1 << 9, 1 << 10, 1 << 11, 1 << 12
CAUSES = 0x7F00
APAD_XMT, DMAPLUS, MASKS4 = 1 << 11, 1 << 14, 0x0115
SPND = 1 << 0
PROM = 1 << 15
LNKSTE, LEDOUT = 1 << 6, 1 << 15
MAPINTE, MAPINT, APEP = 1 << 6, 1 << 7, 1 << 11
EDI, ESK, ECS, EEN, PREAD, PVALID = 1 << 0, 1 << 1, 1 << 2, 1 << 4, 1 << 14, 1 << 15

TX_BUFFER, RX_BUFFER, BLOCK = 2048, 1536, 64  #: bytes
PHY_ADDRESS, PHY_IDENTITY = 0x1E, 0x00006B60
BMCR_RESET, BMSR_LINK, BMSR_NEGOTIATED = 1 << 15, 1 << 2, 1 << 5


class PCnetDriver(RingDriver):
    """Drives one PCnet through its I/O BAR.

    tx_count, rx_count: descriptors of the rings, powers of two of at most 512 (128 with 16-bit structures).
    style: BCR20.SWSTYLE.  dword: double word I/O; a card that is in that mode already is left in it.
    """

    features: ClassVar[frozenset[str]] = frozenset({"multicast", "scatter", "eeprom", "interrupts"})
    link_interrupts: ClassVar[bool] = False

    def __init__(
        self,
        nic: Nic,
        memory: GuestMemory | None = None,
        *,
        base: int = 0,
        max_frame: int = 1514,
        tx_count: int = 64,
        rx_count: int = 64,
        style: int = 2,
        dword: bool = False,
    ) -> None:
        if style not in LAYOUTS:
            raise ConfigurationError(f"style={style}; expected 0, 1, 2 or 3")
        self.layout = LAYOUTS[style]
        for name, count in (("tx_count", tx_count), ("rx_count", rx_count)):
            if count & (count - 1) or not 1 <= count <= 1 << self.layout.longest:
                raise ConfigurationError(
                    f"{name}={count}; expected a power of two of at most {1 << self.layout.longest}"
                )
        self.tx_count, self.rx_count, self.dword = tx_count, rx_count, dword
        self._ports = PORTS[dword]
        super().__init__(nic, memory, base=base, max_frame=max_frame)
        size = self.layout.dtype.itemsize
        rx_ring = BLOCK + size * tx_count
        self._tx_buffers = rx_ring + size * rx_count
        self._rx_buffers = self._tx_buffers + TX_BUFFER * tx_count
        self.tx = np.frombuffer(self.view[BLOCK:rx_ring], self.layout.dtype)
        self.rx = np.frombuffer(self.view[rx_ring : self._tx_buffers], self.layout.dtype)
        self._rx_ring = rx_ring

    @property
    def footprint(self) -> int:
        """The block, rings, and a buffer for each descriptor."""
        size = self.layout.dtype.itemsize
        return BLOCK + self.tx_count * (size + TX_BUFFER) + self.rx_count * (size + RX_BUFFER)

    # ------------------------------------------------------------------ registers (I/O Resources)

    def read_csr(self, number: int) -> int:
        """A control and status register."""
        return self._read(RDP, number)

    def write_csr(self, number: int, value: int) -> None:
        """Writes a control and status register."""
        self._write(RDP, number, value)

    def read_bcr(self, number: int) -> int:
        """A bus configuration register."""
        return self._read(self._ports[2], number)

    def write_bcr(self, number: int, value: int) -> None:
        """Writes a bus configuration register."""
        self._write(self._ports[2], number, value)

    def _read(self, port: int, number: int) -> int:
        rap, _, _, size = self._ports
        self.nic.bars[0].write(rap, number, size)
        return self.nic.bars[0].read(port, size) & 0xFFFF

    def _write(self, port: int, number: int, value: int) -> None:
        rap, _, _, size = self._ports
        self.nic.bars[0].write(rap, number, size)
        self.nic.bars[0].write(port, value, size)

    # ------------------------------------------------------------------ initialization

    def start(self) -> None:
        """S_RESET, software style, initialization block, and STRT once IDON is there."""
        self.set_command(IO_SPACE | BUS_MASTER)
        self._reset()
        self.mac = bytes(self.nic.bars[0].read(i, 1) for i in range(6))
        self.write_bcr(20, self.layout.style)
        self.write_csr(4, APAD_XMT | DMAPLUS | MASKS4)
        self._ladrf, self._mode = 0, 0
        self._make_rings()
        self._initialize()

    def _reset(self) -> None:
        """A read of the reset register, in the mode that the card is in; then the mode that is asked for."""
        if not self._is_word_mode():
            self.dword = True
        elif self.dword:
            self.nic.bars[0].write(RDP, 0, 4)
        self._ports = PORTS[self.dword]
        _, reset, _, size = self._ports
        self.nic.bars[0].read(reset, size)
        self.delay(1_000)
        if self.read_csr(0) & 0x7FF != STOP:
            raise DriverError(f"CSR0 is {self.read_csr(0):#06x} after S_RESET; expected STOP alone")

    def _is_word_mode(self) -> bool:
        """RAP is where it is in WIO mode; a card leaves DWIO mode by H_RESET only."""
        rap, _, _, size = PORTS[False]
        self.nic.bars[0].write(rap, 88, size)
        return self.nic.bars[0].read(rap, size) == 88

    def _make_rings(self) -> None:
        self.tx[:] = np.zeros(1, self.layout.dtype)
        self.rx[:] = np.zeros(1, self.layout.dtype)
        for index in range(self.rx_count):
            self._give(index)
        self._empty_ring()
        self._rx_next = 0
        self._rx_parts: list[bytes] = []

    def _initialize(self) -> None:
        rings = [
            (self.base + at, count.bit_length() - 1)
            for at, count in ((self._rx_ring, self.rx_count), (BLOCK, self.tx_count))
        ]
        block = self.layout.block(self._mode, self.mac, self._ladrf, rings[0], rings[1])
        self.view[: len(block)] = block
        self.write_csr(1, self.base & 0xFFFF)
        self.write_csr(2, self.base >> 16)
        self.write_csr(0, INIT)
        self.wait(lambda: bool(self.read_csr(0) & IDON), "IDON")
        self.write_csr(0, IDON | STRT)
        self.wait(lambda: self.read_csr(0) & (TXON | RXON) == TXON | RXON, "transmitter and receiver")

    def stop(self) -> None:
        """STOP, and the bus is given up."""
        self.write_csr(0, STOP)
        self.set_command(BUS_MASTER, False)

    # ------------------------------------------------------------------ sending (Transmit Descriptor Management)

    def ring(self) -> None:
        """The doorbell, TDMD: the card looks at the ring now."""
        self.write_csr(0, TDMD | (self.read_csr(0) & IENA))

    def queue(
        self, frame: bytes, *, vlan: int | None = None, checksum: bool = False, mss: int = 0, cuts: Sequence[int] = ()
    ) -> None:
        """Puts a frame into the ring: descriptors are given to the card from the last to the first."""
        if vlan is not None or checksum or mss:
            raise ConfigurationError("vlan, checksum and mss: PCnet has no such thing")
        pieces = self._cut(frame, cuts, TX_BUFFER)
        self._make_room(len(pieces))
        for number, (begin, end) in reversed(list(enumerate(pieces))):
            index = (self._tx_next + number) % self.tx_count
            flags = Tx.OWN | (Tx.STP if number == 0 else 0) | (Tx.ENP if number == len(pieces) - 1 else 0)
            self._put(index, frame[begin:end], flags)
        self._advance(len(pieces))

    def _put(self, index: int, part: bytes, flags: int) -> None:
        offset = self._tx_buffers + TX_BUFFER * index
        self.view[offset : offset + len(part)] = part
        descriptor = self.tx[index]
        self.layout.set_address(descriptor, self.base + offset)
        descriptor["count"] = two_s_complement(len(part))
        descriptor["misc"] = 0
        self.layout.set_status(descriptor, flags)

    def _is_sent(self, index: int) -> bool:
        return not self.layout.status(self.tx[index]) & Tx.OWN

    # ------------------------------------------------------------------ receiving (Receive Descriptor Management)

    def _give(self, index: int) -> None:
        descriptor = self.rx[index]
        self.layout.set_address(descriptor, self.base + self._rx_buffers + RX_BUFFER * index)
        descriptor["count"] = two_s_complement(RX_BUFFER)
        descriptor["misc"] = 0
        self.layout.set_status(descriptor, Rx.OWN)

    def receive(self) -> list[Frame]:
        """Takes what the card gave back, in the ring's order, and gives it the buffers again."""
        frames = []
        while not (status := self.layout.status(self.rx[self._rx_next])) & Rx.OWN:
            begin = self._rx_buffers + RX_BUFFER * self._rx_next
            self._rx_parts.append(bytes(self.view[begin : begin + RX_BUFFER]))
            if status & Rx.ENP or status & Rx.BUFF:
                data = b"".join(self._rx_parts)
                if status & Rx.ENP:
                    data = data[: self._length(len(data))]
                frames.append(Frame(data, good=not status & Rx.ERR, buffers=len(self._rx_parts)))
                self._rx_parts = []
            self._give(self._rx_next)
            self._rx_next = (self._rx_next + 1) % self.rx_count
        return frames

    def _length(self, most: int) -> int:
        """Bytes of the frame that ends here, without FCS: MCNT has 12 bits, and there are `most` bytes of buffers."""
        count = int(self.rx[self._rx_next]["misc"]) & 0xFFF
        return max(count + (most - count) // 4096 * 4096 - 4, 0)

    # ------------------------------------------------------------------ filters (Address Matching)

    def _suspended(self, enabled: bool) -> None:
        """SPND, in which the mode and the address registers may be written."""
        csr5 = self.read_csr(5) & ~SPND & 0x45C9  # causes are left alone
        self.write_csr(5, csr5 | (SPND if enabled else 0))
        if enabled:
            self.wait(lambda: bool(self.read_csr(5) & SPND), "SPND")

    def set_mac(self, mac: bytes) -> None:
        """CSR12-14."""
        self.mac = mac
        self._suspended(True)
        for i in range(3):
            self.write_csr(12 + i, int.from_bytes(mac[2 * i : 2 * i + 2], "little"))
        self._suspended(False)

    def set_filters(
        self,
        *,
        promiscuous: bool = False,
        all_multicast: bool = False,
        multicast: Sequence[bytes] = (),
        vlans: Sequence[int] | None = None,
    ) -> None:
        """CSR15.PROM and the logical address filter: the six highest bits of an address's CRC choose the bit."""
        if vlans is not None:
            raise ConfigurationError("vlans: PCnet has no VLAN filter")
        self._ladrf = (1 << 64) - 1 if all_multicast else 0
        for address in multicast:
            self._ladrf |= 1 << (int(lib.nic_hash_little(address)) >> 26)
        self._mode = PROM if promiscuous else 0
        self._suspended(True)
        for i in range(4):
            self.write_csr(8 + i, self._ladrf >> 16 * i & 0xFFFF)
        self.write_csr(15, self._mode)
        self._suspended(False)

    # ------------------------------------------------------------------ link and interrupts

    def link_up(self) -> bool:
        """LED0, which shows the link."""
        return bool(self.read_bcr(4) & LEDOUT)

    def enable_interrupts(self, enable: bool) -> None:
        """IENA; no cause is masked."""
        self.write_csr(0, IENA if enable else 0)

    def acknowledge(self) -> frozenset[str]:
        """Writing the causes back clears them."""
        causes = self.read_csr(0)
        self.write_csr(0, causes & (CAUSES | IENA))
        names = {"rx": RINT | MISS, "tx": TINT}
        return frozenset(name for name, bits in names.items() if causes & bits)

    # ------------------------------------------------------------------ EEPROM (EEPROM Interface)

    def read_eeprom(self, word: int) -> int:
        """A word by BCR19: the microwire instruction, bit by bit."""
        self.write_bcr(19, EEN | ECS)
        for bit in microwire_read(word):
            level = EDI if bit else 0
            self.write_bcr(19, EEN | ECS | level)
            self._clock_eeprom(level)
        value = 0
        for _ in range(16):
            self._clock_eeprom(0)
            value = value << 1 | (self.read_bcr(19) & EDI)
        self.write_bcr(19, EEN)
        self.write_bcr(19, 0)
        return value

    def _clock_eeprom(self, level: int) -> None:
        """One pulse of ESK, at most 1 MHz."""
        for clock in (ESK, 0):
            self.write_bcr(19, EEN | ECS | level | clock)
            self.delay(500)

    def check_eeprom(self) -> None:
        """PREAD must find the checksum right, and the address must be that of APROM with its own checksum."""
        self.write_csr(0, STOP)
        self.write_bcr(19, PREAD)
        self.wait(lambda: bool(self.read_bcr(19) & PVALID), "PVALID after PREAD")
        words = b"".join(self.read_eeprom(word).to_bytes(2, "little") for word in range(8))
        aprom = bytes(self.nic.bars[0].read(i, 1) for i in range(16))
        if words != aprom:
            raise DriverError(f"EEPROM begins with {words.hex()}, APROM is {aprom.hex()}")
        total = sum(aprom[:12]) + sum(aprom[14:])
        if aprom[14:] != b"WW" or int.from_bytes(aprom[12:14], "little") != total:
            raise DriverError(f"APROM {aprom.hex()}: signature or checksum ({total:#06x}) is wrong")
        self._initialize()


class PCnetFast3Driver(PCnetDriver):
    """Drives one Am79C973: its PHY beside the rest."""

    features: ClassVar[frozenset[str]] = PCnetDriver.features | {"phy"}
    link_interrupts: ClassVar[bool] = True

    def enable_interrupts(self, enable: bool) -> None:
        """IENA, and auto-poll, which tells of the link (BCR32.APEP, CSR7.MAPINT)."""
        bcr32 = self.read_bcr(32) & ~APEP
        self.write_bcr(32, bcr32 | (APEP if enable else 0))
        self.write_csr(7, MAPINT | (MAPINTE if enable else 0))
        super().enable_interrupts(enable)

    def acknowledge(self) -> frozenset[str]:
        """CSR7 as well as CSR0."""
        causes = super().acknowledge()
        csr7 = self.read_csr(7)
        self.write_csr(7, csr7)
        return causes | {"link"} if csr7 & MAPINT else causes

    def read_phy(self, register: int) -> int:
        """A register of the internal PHY (BCR33, BCR34)."""
        self.write_bcr(33, PHY_ADDRESS << 5 | register)
        return self.read_bcr(34)

    def write_phy(self, register: int, value: int) -> None:
        """Writes a register of the internal PHY."""
        self.write_bcr(33, PHY_ADDRESS << 5 | register)
        self.write_bcr(34, value)

    def check_phy(self) -> None:
        """Identifiers, then a reset that must lead to a new link."""
        identity = self.read_phy(2) << 16 | self.read_phy(3)
        if identity & ~15 != PHY_IDENTITY:
            raise DriverError(f"PHY identifies as {identity:#010x}; expected {PHY_IDENTITY:#010x}")
        self.write_phy(0, self.read_phy(0) | BMCR_RESET)
        self.wait(lambda: not self.read_phy(0) & BMCR_RESET, "end of the PHY's reset")
        done = BMSR_LINK | BMSR_NEGOTIATED
        self.wait(lambda: self.read_phy(1) & done == done, "link after negotiation")
        self.wait(self.link_up, "link in BCR4")


def DRIVER(nic: Nic, memory: GuestMemory | None = None, **options: Any) -> PCnetDriver:  # noqa: N802 (stands for a class)
    """What `nicemu.drivers.attach` makes."""
    return (PCnetFast3Driver if nic.MODEL == "pcnet-fast3" else PCnetDriver)(nic, memory, **options)
