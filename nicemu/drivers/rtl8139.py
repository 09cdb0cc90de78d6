"""Reference drivers for the Realtek RTL8139C and RTL8139C+: one for each mode of the chip.

They follow Realtek's data sheets: chapter 5 of the RTL8139C(L)'s (DS) for registers and the receive buffer, chapter 6
for the EEPROM, and the RTL8139C+'s for descriptors.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from nicemu.devices.rtl8139_tables import REGS
from nicemu.drivers import BUS_MASTER, MEMORY_SPACE, DriverError, Frame, RingDriver, microwire_read
from nicemu.drivers.wire import TCP, UDP, ethernet_crc, parse
from nicemu.errors import ConfigurationError

if TYPE_CHECKING:
    from nicemu.core import Nic
    from nicemu.memory import GuestMemory

__all__ = ["DESCRIPTOR", "DRIVER", "CModeDriver", "CPlusDriver", "RTL8139Driver"]

SHORTEST = 60  #: bytes without FCS: the chip does not pad
LONGEST = 1792  #: bytes of a packet in C mode (DS 5.2)
FCS = 4

# What is used of registers (DS 5).
CR_RST, CR_RE, CR_TE, CR_BUFE = 1 << 4, 1 << 3, 1 << 2, 1 << 0
EEM_NORMAL, EEM_PROGRAMMING, EEM_CONFIG_WRITE = 0, 2 << 6, 3 << 6
EECS, EESK, EEDI, EEDO = 1 << 3, 1 << 2, 1 << 1, 1 << 0
TSD_OWN = 1 << 13
TCR_DEFAULT = 3 << 24 | 6 << 8  # the standard's gap, bursts of 1024 bytes
RCR_AAP, RCR_APM, RCR_AM, RCR_AB, RCR_WRAP = 1 << 0, 1 << 1, 1 << 2, 1 << 3, 1 << 7
RCR_DEFAULT = RCR_WRAP | 7 << 13 | 2 << 11 | 7 << 8  # 32 KiB, whole packets, unlimited bursts
ISR_ROK, ISR_RER, ISR_TOK, ISR_TER, ISR_RXOVW, ISR_LINKCHG, ISR_FOVW = (1 << bit for bit in range(7))
CPCR_DRIVER = 1 << 5 | 1 << 3 | 1 << 1 | 1 << 0  # RXCHKSUM, MULRW, CPRX, CPTX
CPCR_RXVLAN, CPCR_DAC = 1 << 6, 1 << 4
TPPOLL_NPQ = 1 << 6
BMCR_RESET, BMCR_RESTART = 1 << 15, 1 << 9
BMSR_LINK, BMSR_COMPLETE = 1 << 2, 1 << 5
MSR_LINKB = 1 << 2

# The header of the receive buffer (DS 5.1) and the descriptors of C+ mode.
STATUS_ROK = 1 << 0
OWN, EOR, FS, LS, LGSEN = 1 << 31, 1 << 30, 1 << 29, 1 << 28, 1 << 27
IPCS, UDPCS, TCPCS = 1 << 18, 1 << 17, 1 << 16
RES, IPF, UDPF, TCPF = 1 << 20, 1 << 15, 1 << 14, 1 << 13
TAGC, TAVA = 1 << 17, 1 << 16
PID_TCP, PID_UDP = 1, 2

DESCRIPTOR = np.dtype([("opts1", "<u4"), ("opts2", "<u4"), ("address", "<u8")])
MOST = 64  #: descriptors of a ring
RING = MOST * DESCRIPTOR.itemsize  #: bytes of one, and so from one to the next

EEPROM_VALID, EEPROM_ADDRESS = 0x8129, 7
MAR_BITS = 64


def multicast_bit(address: bytes) -> int:
    """The bit of MAR that a group address hashes to: the six highest of its CRC-32, first bit highest (DS 5)."""
    return ethernet_crc(address) >> 26


class RTL8139Driver(RingDriver):
    """What both modes have in common: reset, EEPROM, transceiver, filters, interrupts."""

    COMMON: ClassVar[frozenset[str]] = frozenset({"multicast", "eeprom", "phy", "interrupts"})

    # ------------------------------------------------------------------ registers

    def read(self, name: str, index: int = 0) -> int:
        """A read of the register's own width."""
        register = REGS[name]
        return self.nic.bars[1].read(register.offset + index * register.stride, register.size)

    def write(self, name: str, value: int, index: int = 0) -> None:
        """A write of the register's own width."""
        register = REGS[name]
        self.nic.bars[1].write(register.offset + index * register.stride, value, register.size)

    # ------------------------------------------------------------------ initialization

    def start(self) -> None:
        """Resets and initializes the card; RE and TE come before RCR and TCR (DS 5.4)."""
        self.set_command(MEMORY_SPACE | BUS_MASTER)
        self._reset()
        words = [self.read_eeprom(EEPROM_ADDRESS + word) for word in range(3)]
        self.mac = b"".join(word.to_bytes(2, "little") for word in words)
        self.set_mac(self.mac)
        self._set_hash(0)
        self._start_rings()
        self.write("TCR", TCR_DEFAULT)
        self._rcr = RCR_DEFAULT | RCR_APM | RCR_AB
        self.write("RCR", self._rcr)

    def _reset(self) -> None:
        """CR.RST, with interrupts masked before (DS 5.4)."""
        self.write("IMR", 0)
        self.write("CR", CR_RST)
        self.wait(lambda: not self.read("CR") & CR_RST, "end of CR.RST")

    @abstractmethod
    def _start_rings(self) -> None:
        """Gives the card its memory, and sets RE and TE."""

    def stop(self) -> None:
        """Masks interrupts, stops both directions, and gives up the bus."""
        self._reset()
        self.set_command(BUS_MASTER, False)

    # ------------------------------------------------------------------ filters (DS 5.8)

    def set_mac(self, mac: bytes) -> None:
        """IDR, by doubleword and unlocked (DS 5.9)."""
        self.mac = mac
        self.write("CR9346", EEM_CONFIG_WRITE)
        offset = REGS["IDR"].offset
        self.nic.bars[1].write(offset, int.from_bytes(mac[:4], "little"), 4)
        self.nic.bars[1].write(offset + 4, int.from_bytes(mac[4:], "little"), 4)
        self.write("CR9346", EEM_NORMAL)

    def _set_hash(self, bits: int) -> None:
        offset = REGS["MAR"].offset
        self.nic.bars[1].write(offset, bits & 0xFFFFFFFF, 4)
        self.nic.bars[1].write(offset + 4, bits >> 32, 4)

    def set_filters(
        self,
        *,
        promiscuous: bool = False,
        all_multicast: bool = False,
        multicast: Sequence[bytes] = (),
        vlans: Sequence[int] | None = None,
    ) -> None:
        """RCR.AAP and AM, and the hash in MAR."""
        if vlans is not None:
            raise ConfigurationError(f"{self.nic.MODEL} has no VLAN filter")
        everything = promiscuous or all_multicast
        bits = (1 << MAR_BITS) - 1 if everything else sum({1 << multicast_bit(address) for address in multicast})
        self._set_hash(bits)
        self._rcr = RCR_DEFAULT | RCR_APM | RCR_AB | (RCR_AAP if promiscuous else 0) | (RCR_AM if bits else 0)
        self.write("RCR", self._rcr)

    # ------------------------------------------------------------------ interrupts (DS 5.5, 5.6)

    def enable_interrupts(self, enable: bool) -> None:
        """Received and sent packets, overflows, and the link."""
        causes = ISR_ROK | ISR_RER | ISR_TOK | ISR_TER | ISR_RXOVW | ISR_LINKCHG | ISR_FOVW
        self.write("IMR", causes if enable else 0)

    def acknowledge(self) -> frozenset[str]:
        """Writing the causes back lets go of the line."""
        causes = self.read("ISR")
        self.write("ISR", causes)
        names = {"rx": ISR_ROK | ISR_RXOVW | ISR_FOVW, "tx": ISR_TOK | ISR_TER, "link": ISR_LINKCHG}
        return frozenset(name for name, bits in names.items() if causes & bits)

    # ------------------------------------------------------------------ EEPROM (DS 5.9, 6)

    def read_eeprom(self, word: int) -> int:
        """A word by the pins: the microwire instruction, bit by bit."""
        self.write("CR9346", EEM_PROGRAMMING)
        self.write("CR9346", EEM_PROGRAMMING | EECS)
        for bit in microwire_read(word):
            self._clock_eeprom(EEDI if bit else 0)
        value = 0
        for _ in range(16):
            self._clock_eeprom(0)
            value = value << 1 | self.read("CR9346") & EEDO
        self.write("CR9346", EEM_PROGRAMMING)
        self.write("CR9346", EEM_NORMAL)
        return value

    def _clock_eeprom(self, level: int) -> None:
        """One pulse of EESK, at most 1 MHz."""
        for clock in (0, EESK):
            self.write("CR9346", EEM_PROGRAMMING | EECS | level | clock)
            self.delay(500)

    def check_eeprom(self) -> None:
        """The signature, and the address that the chip itself has read."""
        signature = self.read_eeprom(0)
        if signature != EEPROM_VALID:
            raise DriverError(f"EEPROM word 0 is {signature:#06x}; expected {EEPROM_VALID:#06x}")
        words = [self.read_eeprom(EEPROM_ADDRESS + word) for word in range(3)]
        address = b"".join(word.to_bytes(2, "little") for word in words)
        loaded = bytes(self.nic.bars[1].read(REGS["IDR"].offset + index, 1) for index in range(6))
        if loaded != address:
            raise DriverError(f"IDR holds {loaded.hex(':')} and the EEPROM {address.hex(':')}")

    # ------------------------------------------------------------------ transceiver (DS 5.18, 5.19)

    def link_up(self) -> bool:
        """MSR.LINKB, which is active low."""
        return not self.read("MSR") & MSR_LINKB

    def check_phy(self) -> None:
        """A new negotiation must lead to a link."""
        self.write("CR9346", EEM_CONFIG_WRITE)
        self.write("BMCR", self.read("BMCR") | BMCR_RESTART)
        self.write("CR9346", EEM_NORMAL)
        done = BMSR_LINK | BMSR_COMPLETE
        self.wait(lambda: self.read("BMSR") & done == done, "link after negotiation")
        self.wait(self.link_up, "link in MSR")


class CModeDriver(RTL8139Driver):
    """C mode: four transmit buffers and one receive buffer of 32 KiB, in which packets go on beyond its end.

    tx_count, rx_count: taken for the sake of other drivers' callers; the chip's own numbers hold.
    """

    features = RTL8139Driver.COMMON

    TX_BUFFER, RX_BUFFER, RX_BEYOND = 2048, 32768, 2048

    def __init__(
        self,
        nic: Nic,
        memory: GuestMemory | None = None,
        *,
        base: int = 0,
        max_frame: int = 1514,
        tx_count: int = 4,
        rx_count: int = MOST,
    ) -> None:
        super().__init__(nic, memory, base=base, max_frame=max_frame)
        self.tx_count = 4

    @property
    def footprint(self) -> int:
        """Transmit buffers, then the receive buffer."""
        return 4 * self.TX_BUFFER + self.RX_BUFFER + self.RX_BEYOND

    def _start_rings(self) -> None:
        self.write("RBSTART", self.base + 4 * self.TX_BUFFER)
        self._rx_at = self._tx_next = self._tx_free = 0
        self._queued: list[tuple[int, int]] = []  # descriptors that are filled and not handed over, and lengths
        self.write("CR", CR_RE | CR_TE)
        for index in range(4):
            self.write(f"TSAD{index}", self.base + index * self.TX_BUFFER)

    def ring(self) -> None:
        """The doorbells: everything that is queued may be sent."""
        for index, length in self._queued:
            self.write("TSD", length, index)
        self._queued.clear()

    def queue(
        self, frame: bytes, *, vlan: int | None = None, checksum: bool = False, mss: int = 0, cuts: Sequence[int] = ()
    ) -> None:
        """Copies the frame into the next buffer; the four are used in turn (DS 5.2)."""
        if vlan is not None or checksum or mss or cuts:
            raise ConfigurationError("C mode sends one buffer as it is: no vlan, checksum, mss or cuts")
        if not 0 < len(frame) <= LONGEST:
            raise ConfigurationError(f"a frame of {len(frame)} bytes; expected 1 to {LONGEST}")
        self._make_room(1)
        frame = frame.ljust(SHORTEST, b"\0")
        index = self._tx_next % 4
        self.view[index * self.TX_BUFFER : index * self.TX_BUFFER + len(frame)] = frame
        self._tx_next += 1
        self._queued.append((index, len(frame)))

    def _has_room(self, count: int) -> bool:
        """All four may be under way; those that are queued are not the card's yet, and so have OWN as well."""
        while self._tx_free < self._tx_next - len(self._queued) and self.read("TSD", self._tx_free % 4) & TSD_OWN:
            self._tx_free += 1
        return self._tx_next - self._tx_free + count <= 4

    def receive(self) -> list[Frame]:
        """Takes packets until CR.BUFE; CAPR is behind the driver's place by 16."""
        frames = []
        while not self.read("CR") & CR_BUFE:
            at = 4 * self.TX_BUFFER + self._rx_at
            header = int.from_bytes(self.view[at : at + 4], "little")
            length = header >> 16
            if not FCS <= length <= self.RX_BUFFER:
                raise DriverError(f"a packet of {length} bytes at {self._rx_at:#x} of the receive buffer")
            data = bytes(self.view[at + 4 : at + length])
            frames.append(Frame(data, good=bool(header & STATUS_ROK)))
            self._rx_at = (self._rx_at + 4 + (length + 3 & ~3)) % self.RX_BUFFER
            self.write("CAPR", self._rx_at - 16 & 0xFFFF)
        return frames


class CPlusDriver(RTL8139Driver):
    """C+ mode.

    tx_count, rx_count: descriptors of the rings; of more than the 64 that the chip has, 64.
    """

    features = RTL8139Driver.COMMON | {"checksum", "tso", "rx-checksum", "vlan", "scatter"}

    TX_BUFFER, RX_BUFFER = 4096, 1536

    def __init__(
        self,
        nic: Nic,
        memory: GuestMemory | None = None,
        *,
        base: int = 0,
        max_frame: int = 1514,
        tx_count: int = MOST,
        rx_count: int = MOST,
    ) -> None:
        if tx_count < 2 or rx_count < 1:
            raise ConfigurationError(f"tx_count={tx_count}, rx_count={rx_count}; expected 2 and 1 or more")
        self.tx_count, self.rx_count = min(tx_count, MOST), min(rx_count, MOST)
        super().__init__(nic, memory, base=base, max_frame=max_frame)
        self.tx = np.frombuffer(self.view[: self.tx_count * DESCRIPTOR.itemsize], DESCRIPTOR)
        self.rx = np.frombuffer(self.view[RING : RING + self.rx_count * DESCRIPTOR.itemsize], DESCRIPTOR)
        self._tx_buffers = 2 * RING
        self._rx_buffers = self._tx_buffers + self.tx_count * self.TX_BUFFER
        self._vlan = False

    @property
    def footprint(self) -> int:
        """Rings, and a buffer for each descriptor."""
        return 2 * RING + self.tx_count * self.TX_BUFFER + self.rx_count * self.RX_BUFFER

    def _start_rings(self) -> None:
        """CPCR first, then the rings' addresses, then CR (C+ 6.33)."""
        self._vlan = False
        self.write("CPCR", self._cpcr())
        self.tx[:] = 0
        self.tx["opts1"][-1] = EOR
        self.rx["opts2"] = 0
        first = self.base + self._rx_buffers
        self.rx["address"] = first + self.RX_BUFFER * np.arange(self.rx_count, dtype=np.uint64)
        self.rx["opts1"] = OWN | self.RX_BUFFER
        self.rx["opts1"][-1] |= EOR
        self._empty_ring()
        self._rx_next = 0
        for name, address in (("TNPDS", self.base), ("THPDS", 0), ("RDSAR", self.base + RING)):
            self.write(f"{name}L", address & 0xFFFFFFFF)
            self.write(f"{name}H", address >> 32)
        self.write("CR", CR_RE | CR_TE)

    def _cpcr(self) -> int:
        high = self.base + self.footprint > 1 << 32
        return CPCR_DRIVER | (CPCR_RXVLAN if self._vlan else 0) | (CPCR_DAC if high else 0)

    # ------------------------------------------------------------------ sending

    def ring(self) -> None:
        """The doorbell: everything that is queued may be sent."""
        self.write("TPPOLL", TPPOLL_NPQ)

    def queue(
        self, frame: bytes, *, vlan: int | None = None, checksum: bool = False, mss: int = 0, cuts: Sequence[int] = ()
    ) -> None:
        """Puts a frame into the ring; the arguments are those of `send`."""
        if vlan is not None and not self._vlan:
            raise ConfigurationError("send(vlan=) needs set_vlan_offload(True)")
        options = self._options(frame, checksum, mss)
        if frame and not mss:
            frame = frame.ljust(SHORTEST if vlan is None else SHORTEST - 4, b"\0")
        pieces = self._cut(frame, cuts, self.TX_BUFFER)
        self._make_room(len(pieces))
        opts2 = 0 if vlan is None else TAGC | int.from_bytes(vlan.to_bytes(2, "big"), "little")
        first = self._tx_next
        for number, (begin, end) in enumerate(pieces):
            index = (first + number) % self.tx_count
            offset = self._tx_buffers + self.TX_BUFFER * index
            self.view[offset : offset + end - begin] = frame[begin:end]
            opts1 = (end - begin) | options | (EOR if index == self.tx_count - 1 else 0)
            opts1 |= (FS if number == 0 else OWN) | (LS if number == len(pieces) - 1 else 0)
            self.tx[index] = (opts1, opts2, self.base + offset)
        self.tx["opts1"][first] |= OWN  # last, so that the card never sees half of a frame
        self._advance(len(pieces))

    def _options(self, frame: bytes, checksum: bool, mss: int) -> int:
        if not checksum and not mss:
            return 0
        packet = parse(frame)
        if packet is None or packet.version != 4 or packet.protocol not in (TCP, UDP):
            raise ConfigurationError("checksum and mss need a TCP or UDP frame over IPv4")
        if mss:
            return LGSEN | (mss & 0x7FF) << 16
        return IPCS | (TCPCS if packet.protocol == TCP else UDPCS)

    def _is_sent(self, index: int) -> bool:
        return not self.tx["opts1"][index] & OWN

    # ------------------------------------------------------------------ receiving

    def receive(self) -> list[Frame]:
        """Takes what is done, in the ring's order, and returns the descriptors to the card."""
        frames = []
        parts: list[bytes] = []
        while not (opts1 := int(self.rx["opts1"][self._rx_next])) & OWN:
            begin = self._rx_buffers + self.RX_BUFFER * self._rx_next
            before = sum(map(len, parts))
            length = (opts1 & 0x1FFF) - before if opts1 & LS else opts1 & 0x1FFF
            parts.append(bytes(self.view[begin : begin + length]))
            if opts1 & LS:
                frames.append(self._frame(parts, opts1, int(self.rx["opts2"][self._rx_next])))
                parts = []
            self.rx["opts2"][self._rx_next] = 0
            self.rx["opts1"][self._rx_next] = OWN | self.RX_BUFFER | opts1 & EOR
            self._rx_next = (self._rx_next + 1) % self.rx_count
        if frames and self.read("ISR") & (ISR_RXOVW | ISR_FOVW):  # there are descriptors again
            self.write("ISR", ISR_RXOVW | ISR_FOVW)
        return frames

    @staticmethod
    def _frame(parts: Sequence[bytes], opts1: int, opts2: int) -> Frame:
        protocol = opts1 >> 16 & 3
        ip = not opts1 & IPF if protocol else None
        l4 = {PID_TCP: not opts1 & TCPF, PID_UDP: not opts1 & UDPF}.get(protocol)
        vlan = int.from_bytes((opts2 & 0xFFFF).to_bytes(2, "little"), "big") if opts2 & TAVA else None
        data = b"".join(parts)[:-FCS]
        return Frame(data, vlan, ip, l4, good=not opts1 & RES, buffers=len(parts))

    def set_vlan_offload(self, enable: bool) -> None:
        """CPCR.RXVLAN; tags are inserted descriptor by descriptor."""
        self._vlan = enable
        self.write("CPCR", self._cpcr())


def DRIVER(  # noqa: N802 (stands for a class)
    nic: Nic, memory: GuestMemory | None = None, *, base: int = 0, max_frame: int = 1514, mode: str = "", **options: Any
) -> RTL8139Driver:
    """What `nicemu.drivers.attach` makes.  mode: "c" or "c+"; by default what the chip can."""
    if mode not in ("", "c", "c+"):
        raise ConfigurationError(f"mode={mode!r}; expected c or c+")
    kind = CPlusDriver if mode == "c+" or (not mode and nic.TABLES[0]["CPCR"].present) else CModeDriver
    return kind(nic, memory, base=base, max_frame=max_frame, **options)
