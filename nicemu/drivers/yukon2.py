"""Reference driver for the Marvell 88E8057 (yukon2).

It follows what the drivers of Linux, FreeBSD and OpenBSD have in common, as docs/yukon2-facts.md tells: 4 for the order
of initialization, 3 for list elements, 5 for the PHY.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from nicemu.devices.yukon2_descriptors import LIST_ELEMENT, OWNER, Control, Opcode, RxStatus, element
from nicemu.devices.yukon2_tables import MMIO
from nicemu.drivers import BUS_MASTER, MEMORY_SPACE, DriverError, Frame, RingDriver
from nicemu.drivers.wire import TCP, UDP, Packet, checksum, ethernet_crc, parse, prepare
from nicemu.errors import ConfigurationError

if TYPE_CHECKING:
    from nicemu.core import Nic
    from nicemu.memory import GuestMemory

__all__ = ["DRIVER", "Yukon2Driver"]

TX_BUFFER = 4096  #: bytes; longer frames take several list elements
RX_BUFFER = 2048  #: bytes
LE = 8  #: bytes of a list element
STATUS_COUNT = 2048  #: elements of the status list

# Halves of pairs (2.1, 2.5, 2.6, 2.8, 2.10, 2.11).
RST_SET, RST_CLR, OFF, ON = 1, 2, 4, 8
MRST_CLR = 8
CONFIG_OFF, CONFIG_ON = 1, 2
CSR_RESET = 1 << 4 | OFF | RST_CLR
CSR_RUN = 1 << 11 | 1 << 10 | 1 << 8 | 1 << 5 | ON
CSR_FIFO_ON, CSR_STOP = 1 << 7, 1 << 9
CSR_CHECKSUM_ON, CSR_HASH_OFF = 1 << 13, 1 << 14
FLUSH_ON, STRIP = 1 << 7, (1 << 24, 1 << 25)
STAT_CLR_IRQ = 1 << 4
TIMER_STOP = 2
ICR_LEAVE = 2
IRQ_STATUS, IRQ_PHY = 1 << 30, 1 << 4
RX_ENA, TX_ENA = 1 << 11, 1 << 12
MCF_ENA, UCF_ENA, CRC_DIS = 1 << 14, 1 << 15, 1 << 13
SMI_BUSY, SMI_VALID, SMI_READ = 1 << 3, 1 << 4, 1 << 5
SERIAL_PLAIN, SERIAL_JUMBO = 0x1E | 1 << 9, 0x1E | 1 << 9 | 1 << 8
FLUSH_MASK = (
    RxStatus.RX_FF_OV | RxStatus.CRC_ERR | RxStatus.FRAGMENT | RxStatus.LONG_ERR | RxStatus.MII_ERR
    | RxStatus.BAD_FC | RxStatus.UN_SIZE | RxStatus.JABBER
)  # fmt: skip
SEGMENTS_LOST = 3  #: B0_HWE_ISRC: a segmentation request's lengths do not fit

# PHY registers (5.1) and what is used of them.
PHY_CTRL, PHY_ID0, PHY_ID1, PHY_STATUS, PHY_INT_MASK, PHY_INT_STAT = 0, 2, 3, 17, 18, 19
PHY_RESET = 1 << 15
PHY_RESOLVED_UP = 1 << 11 | 1 << 10
PHY_LINK_CHANGES = 1 << 15 | 1 << 11 | 1 << 10
MARVELL, M88E1149 = 0x0141, 0x0CB0

VPD_ADDRESS, VPD_DATA, VPD_FLAG, VPD_SIZE, TWSI_DEVICE = 0x52, 0x54, 1 << 15, 1024, 0x50


class Yukon2Driver(RingDriver):
    """Drives one 88E8057.

    tx_count: list elements of the transmit list.
    rx_count: frames that the receive list has buffers for.
    """

    features: ClassVar[frozenset[str]] = frozenset(
        {"checksum", "checksum6", "tso", "rx-checksum", "vlan", "multicast", "jumbo", "scatter"}
        | {"eeprom", "phy", "interrupts"}
    )

    def __init__(
        self,
        nic: Nic,
        memory: GuestMemory | None = None,
        *,
        base: int = 0,
        max_frame: int = 1514,
        tx_count: int = 256,
        rx_count: int = 128,
    ) -> None:
        if not 8 <= tx_count <= 4096:
            raise ConfigurationError(f"tx_count={tx_count}; expected 8 to 4096")
        if not 1 <= rx_count <= 512:
            raise ConfigurationError(f"rx_count={rx_count}; expected 1 to 512")
        if max_frame > 9018:
            raise ConfigurationError(f"max_frame={max_frame}; the 88E8057 takes at most 9018 bytes without FCS (6.4)")
        self.tx_count, self.rx_count = tx_count, rx_count
        self.parts = -(-(max_frame + 4) // RX_BUFFER)  # buffers of a frame, with a tag
        self.rx_elements = rx_count * self.parts + 4
        super().__init__(nic, memory, base=base, max_frame=max_frame)
        self._status_at = 0
        self._tx_at = self._status_at + LE * STATUS_COUNT
        self._rx_at = self._tx_at + LE * tx_count
        self._tx_buffers = self._rx_at + LE * self.rx_elements
        self._rx_buffers = self._tx_buffers + TX_BUFFER * tx_count
        self.status = self._list(self._status_at, STATUS_COUNT)
        self.tx = self._list(self._tx_at, tx_count)
        self.rx = self._list(self._rx_at, self.rx_elements)
        self._vlan = False

    @property
    def footprint(self) -> int:
        """Three lists, a buffer for each transmit element, and those of the frames to come."""
        lists = STATUS_COUNT + self.tx_count + self.rx_elements
        return LE * lists + TX_BUFFER * self.tx_count + RX_BUFFER * self.parts * self.rx_count

    def _list(self, at: int, count: int) -> Any:
        return np.frombuffer(self.view[at : at + LE * count], LIST_ELEMENT)

    # ------------------------------------------------------------------ registers

    def read(self, register: str, index: int = 0) -> int:
        """A register of BAR 0, in its own width."""
        found = MMIO[register]
        return self.nic.bars[0].read(found.offset + index * found.stride, found.size)

    def write(self, register: str, value: int, index: int = 0) -> None:
        """A write in the register's own width."""
        found = MMIO[register]
        self.nic.bars[0].write(found.offset + index * found.stride, value, found.size)

    # ------------------------------------------------------------------ initialization (4)

    def start(self) -> None:
        """Resets and initializes the card."""
        self.set_command(MEMORY_SPACE | BUS_MASTER)
        self._reset()
        self.mac = bytes(self.read("B2_MAC_1", i) for i in range(6))
        self._start_status()
        self._start_phy()
        self._start_mac()
        self._start_transmit()
        self._start_receive()
        self.write("GM_GP_CTRL", RX_ENA | TX_ENA)

    def _reset(self) -> None:
        """CTST's software reset (2.1), power and clocks (4.11)."""
        self.write("B0_CTST", RST_SET)
        self.write("B0_CTST", RST_CLR)
        self.write("B0_CTST", MRST_CLR)
        self.write("B2_TST_CTRL1", CONFIG_ON)
        for offset in (0x80, 0x40):  # all clocks run, the PHY has power
            self.nic.bars[0].write(0x1C00 + offset, 0, 4)
        self.write("B2_TST_CTRL1", CONFIG_OFF)
        self.write("B0_HWE_IMSK", 0)
        self.write("B0_IMSK", 0)
        self._interrupts = 0
        self._seen: set[str] = set()

    def _start_status(self) -> None:
        """The status list; without timers every element is written and interrupts at once (2.10)."""
        self.status[:] = 0
        self._status_next = 0
        self._done: deque[Frame] = deque()
        self._sums: int | None = None
        self._tag: int | None = None
        self.write("STAT_CTRL", RST_SET)
        self.write("STAT_CTRL", RST_CLR)
        self._set_address("STAT_LIST_ADDR", self._status_at)
        self.write("STAT_LAST_IDX", STATUS_COUNT - 1)
        self.write("STAT_TX_IDX_TH", 1)
        for timer in ("LEV", "TX", "ISR"):
            self.write(f"STAT_{timer}_TIMER_CTRL", TIMER_STOP)
        self.write("STAT_CTRL", ON)

    def _set_address(self, register: str, at: int) -> None:
        address = self.base + at
        self.write(f"{register}_LO", address & 0xFFFFFFFF)
        self.write(f"{register}_HI", address >> 32)

    def _start_phy(self) -> None:
        """The PHY's reset pin (2.11); its power-on defaults negotiate."""
        self.write("GPHY_CTRL", RST_SET)
        self.write("GPHY_CTRL", RST_CLR)
        self.write("GMAC_CTRL", RST_SET)
        self.write("GMAC_CTRL", RST_CLR)
        self.write_phy(PHY_INT_MASK, 0)

    def _start_mac(self) -> None:
        """Addresses, frame lengths, filters, and both FIFOs (8.2)."""
        for i in range(3):
            word = int.from_bytes(self.mac[2 * i : 2 * i + 2], "little")
            self.write("GM_SRC_ADDR_1", word, i)
            self.write("GM_SRC_ADDR_2", word, i)
        self.write("GM_TX_CTRL", 4 << 10)
        self.write("GM_SERIAL_MODE", SERIAL_JUMBO if self.max_frame > 1514 else SERIAL_PLAIN)
        self.set_filters()
        self.write("RX_GMF_CTRL", RST_CLR)
        self.write("RX_GMF_CTRL", FLUSH_ON | ON)
        self.write("RX_GMF_FL_MSK", int(FLUSH_MASK))
        self.write("TX_GMF_CTRL", RST_CLR)
        self.write("TX_GMF_CTRL", ON)

    def _start_queue(self, queue: str, at: int, count: int) -> None:
        """A queue's reset, its prefetch unit and list (2.5, 2.6)."""
        self.write(f"{queue}_CSR", CSR_RESET)
        self.write(f"{queue}_CSR", CSR_RUN)
        self.write(f"{queue}_CSR", CSR_FIFO_ON)
        self.write(f"{queue}_PREF_CTRL", RST_SET)
        self.write(f"{queue}_PREF_CTRL", RST_CLR)
        self._set_address(f"{queue}_PREF_ADDR", at)
        self.write(f"{queue}_PREF_LAST_IDX", count - 1)
        self.write(f"{queue}_PREF_CTRL", ON)

    def _start_transmit(self) -> None:
        self._start_queue("XA1", self._tx_at, self.tx_count)
        self.tx[:] = 0
        self._empty_ring()
        self._tx_high = 0

    def _start_receive(self) -> None:
        """Where checksums start, and all buffers (3.4)."""
        self._start_queue("R1", self._rx_at, self.rx_elements)
        self.write("R1_CSR", CSR_CHECKSUM_ON | CSR_HASH_OFF)
        self.rx[:] = 0
        self._rx_next = 0
        self._put_rx(element(Opcode.TCPSTART, 14 << 16 | 14))
        self._put_rx(element(Opcode.ADDR64, self.base >> 32))
        for frame in range(self.rx_count):
            self._give(frame)
        self._taken = 0  # of the frames' buffers: whose is next
        self.write("R1_PREF_PUT_IDX", self._rx_next)

    def _put_rx(self, le: np.void) -> None:
        self.rx[self._rx_next] = le
        self._rx_next = (self._rx_next + 1) % self.rx_elements

    def _give(self, frame: int) -> None:
        """The buffers of one frame."""
        for part in range(self.parts):
            address = self.base + self._rx_buffers + RX_BUFFER * (frame * self.parts + part)
            self._put_rx(element(Opcode.BUFFER if part else Opcode.PACKET, address, RX_BUFFER))

    def stop(self) -> None:
        """Stops both directions, resets, and gives up the bus."""
        self.write("B0_IMSK", 0)
        self.write("GM_GP_CTRL", 0)
        for queue in ("XA1", "R1"):
            self.write(f"{queue}_CSR", CSR_STOP)
            self._wait_idle(queue)
            self.write(f"{queue}_PREF_CTRL", RST_SET)
        self._reset()
        self.set_command(BUS_MASTER, False)

    def _wait_idle(self, queue: str) -> None:
        self.wait(lambda: bool(self.read(f"{queue}_CSR") >> 31), f"idle {queue}")

    # ------------------------------------------------------------------ sending (3.1 to 3.3)

    def ring(self) -> None:
        """The doorbell: everything that is queued may be sent."""
        self.write("XA1_PREF_PUT_IDX", self._tx_next)

    def queue(
        self, frame: bytes, *, vlan: int | None = None, checksum: bool = False, mss: int = 0, cuts: Sequence[int] = ()
    ) -> None:
        """Puts a frame into the list; the arguments are those of `send`."""
        if vlan is not None and not self._vlan:
            raise ConfigurationError("send(vlan=) needs set_vlan_offload(True)")
        pieces = self._cut(frame, cuts, TX_BUFFER)
        changed = self.base >> 32 != self._tx_high
        self._make_room(len(pieces) + changed + bool(checksum or mss) + bool(vlan is not None or mss))
        control = 0
        if checksum or mss:
            frame, control = self._offload(frame, mss, vlan)
        if vlan is not None:
            if not mss:
                self._put_tx(element(Opcode.VLAN, length=_swap(vlan)))
            control |= Control.INS_VLAN
        if changed:
            self._tx_high = self.base >> 32
            self._put_tx(element(Opcode.ADDR64, self._tx_high))
        for number, (begin, end) in enumerate(pieces):
            first = Opcode.LARGESEND if mss else Opcode.PACKET
            address = self._fill(frame[begin:end])
            last = Control.EOP if number == len(pieces) - 1 else 0
            self._put_tx(element(Opcode.BUFFER if number else first, address, end - begin, control | last))

    def _reclaim(self) -> None:
        """The status list tells how far the card is."""
        self._take_status()

    def _fill(self, part: bytes) -> int:
        """Copies a part of a frame into the buffer of the next list element; returns its guest address."""
        offset = self._tx_buffers + TX_BUFFER * self._tx_next
        self.view[offset : offset + len(part)] = part
        return self.base + offset

    def _put_tx(self, le: np.void) -> None:
        self.tx[self._tx_next] = le
        self._tx_next = (self._tx_next + 1) % self.tx_count

    def _offload(self, frame: bytes, mss: int, vlan: int | None) -> tuple[bytes, int]:
        """What a checksum or segmentation needs: list elements before the frame, and its control byte (6.1, 6.2)."""
        packet = parse(frame)
        if packet is None or packet.protocol not in (TCP, UDP):
            raise ConfigurationError("checksum and mss need a TCP or UDP frame over IPv4 or IPv6")
        if mss and (packet.protocol != TCP or packet.version != 4):
            raise ConfigurationError("mss needs a TCP frame over IPv4")
        prepared = prepare(frame, packet, segmented=bool(mss))
        if mss:
            tag = 0 if vlan is None else _swap(vlan)
            self._put_tx(element(Opcode.LRGLEN if vlan is None else Opcode.LRGLENVLAN, packet.payload + mss, tag))
        else:  # the card has no checksum of the IPv4 header to give
            prepared = prepared[: packet.network] + _with_header_sum(frame, packet) + prepared[packet.transport :]
        self._put_tx(element(Opcode.TCPLISW, packet.transport << 16 | packet.checksum_at, control=1))
        control = Control.CALSUM | Control.WR_SUM | Control.INIT_SUM | Control.LOCK_SUM
        return prepared, control | (Control.UDPTCP if packet.protocol == UDP else 0)

    # ------------------------------------------------------------------ the status list (3.5)

    def _take_status(self) -> None:
        """Takes what is in the status list, by HW_OWNER."""
        given = False
        while (le := self.status[self._status_next])["opcode"] & OWNER:
            opcode, word, length = int(le["opcode"]) & ~OWNER, int(le["address"]), int(le["length"])
            le["opcode"] = 0
            self._status_next = (self._status_next + 1) % STATUS_COUNT
            if opcode == Opcode.TXINDEXLE:
                self._tx_free = word & 0xFFF
                self._seen.add("tx")
                continue
            if opcode in (Opcode.RXVLAN, Opcode.RXCHKSVLAN):
                self._tag = _swap(length)
            if opcode in (Opcode.RXCHKS, Opcode.RXCHKSVLAN):
                self._sums = word
            elif opcode == Opcode.RXSTAT:
                self._done.append(self._frame(word, length))
                self._give(self._taken)
                self._taken = (self._taken + 1) % self.rx_count
                given = True
                self._seen.add("rx")
            elif opcode not in (Opcode.RXVLAN, Opcode.RSS_HASH):
                raise DriverError(f"status element {self._status_next - 1} has opcode {opcode:#x}")
        if given:
            self.write("R1_PREF_PUT_IDX", self._rx_next)

    def _frame(self, status: int, length: int) -> Frame:
        """The frame in the buffers that are next, and what was told of it (3.5)."""
        at = self._rx_buffers + RX_BUFFER * self.parts * self._taken
        data = bytes(self.view[at : at + length])
        tag, sums, self._tag, self._sums = self._tag, self._sums, None, None
        told = (status >> 16) - (4 if tag is not None else 0)
        good = bool(status & RxStatus.RX_OK)
        if good and told != length:
            raise DriverError(f"a frame of {told} bytes was stored in {length}")
        ip, transport = _verdicts(data, sums)
        return Frame(
            data, vlan=tag, ip_checksum=ip, l4_checksum=transport, good=good, buffers=max(1, -(-length // RX_BUFFER))
        )

    def receive(self) -> list[Frame]:
        """Takes what is done, in the list's order, and returns the buffers to the card."""
        self._take_status()
        frames, self._done = list(self._done), deque()
        return frames

    # ------------------------------------------------------------------ filters (2.12)

    def set_mac(self, mac: bytes) -> None:
        """GM_SRC_ADDR_1 and 2."""
        self.mac = mac
        for i in range(3):
            word = int.from_bytes(mac[2 * i : 2 * i + 2], "little")
            self.write("GM_SRC_ADDR_1", word, i)
            self.write("GM_SRC_ADDR_2", word, i)

    def set_filters(
        self,
        *,
        promiscuous: bool = False,
        all_multicast: bool = False,
        multicast: Sequence[bytes] = (),
        vlans: Sequence[int] | None = None,
    ) -> None:
        """GM_RX_CTRL and the hash of group addresses."""
        if vlans is not None:
            raise ConfigurationError("vlans: the 88E8057 has no filter of VLAN identifiers")
        words = [0xFFFF if all_multicast else 0] * 4
        for address in multicast:
            bit = _hash(address)
            words[bit // 16] |= 1 << bit % 16
        for i, word in enumerate(words):
            self.write("GM_MC_ADDR", word, i)
        self.write("GM_RX_CTRL", CRC_DIS | (0 if promiscuous else UCF_ENA | MCF_ENA))

    def set_vlan_offload(self, enable: bool) -> None:
        """Tags are stripped in the receive FIFO and inserted in the transmit FIFO (2.8)."""
        self._vlan = enable
        self.write("RX_GMF_CTRL", STRIP[enable])
        self.write("TX_GMF_CTRL", STRIP[enable])

    # ------------------------------------------------------------------ interrupts (2.1)

    def enable_interrupts(self, enable: bool) -> None:
        """The status unit and the PHY."""
        self._interrupts = IRQ_STATUS | IRQ_PHY if enable else 0
        self.write_phy(PHY_INT_MASK, PHY_LINK_CHANGES if enable else 0)
        self.write("B0_IMSK", self._interrupts)

    def acknowledge(self) -> frozenset[str]:
        """Enters the handler, takes what the status list has, clears its interrupt and the PHY's, and leaves."""
        self.read("B0_Y2_SP_ISRC2")
        self._take_status()
        self.write("STAT_CTRL", STAT_CLR_IRQ)
        if self.read_phy(PHY_INT_STAT) & PHY_LINK_CHANGES and self._interrupts:
            self._seen.add("link")
        self.write("B0_Y2_SP_ICR", ICR_LEAVE)
        causes, self._seen = frozenset(self._seen), set()
        return causes

    # ------------------------------------------------------------------ vital product data (1.2, 2.2)

    def read_vpd(self, address: int) -> int:
        """Four bytes by the capability in configuration space (PCI Local Bus 3.0, appendix I)."""
        self.nic.config.write(VPD_ADDRESS, address, 2)
        self.wait(lambda: bool(self.nic.config.read(VPD_ADDRESS, 2) & VPD_FLAG), "end of a VPD read")
        return self.nic.config.read(VPD_DATA, 4)

    def read_twsi(self, address: int) -> int:
        """Four bytes by the two-wire serial interface (2.2)."""
        self.write("B2_I2C_CTRL", address << 16 | TWSI_DEVICE << 9)
        self.wait(lambda: bool(self.read("B2_I2C_CTRL") >> 31), "end of a two-wire transfer")
        self.write("B2_I2C_IRQ", 1)
        return self.read("B2_I2C_DATA")

    def check_eeprom(self) -> None:
        """All of the VPD by both ways, and the checksum over its read-only part."""
        contents = b""
        for address in range(0, VPD_SIZE, 4):
            word, other = self.read_vpd(address), self.read_twsi(address)
            if word != other:
                raise DriverError(f"VPD at {address:#x} is {word:#x} by its capability and {other:#x} by the bus")
            contents += word.to_bytes(4, "little")
        end = contents.find(b"RV\x01") + 4
        if end < 4 or sum(contents[:end]) & 0xFF:
            raise DriverError("VPD has no checksum, or a wrong one")

    # ------------------------------------------------------------------ PHY (5)

    def link_up(self) -> bool:
        """The PHY's status register: resolved, and up."""
        return self.read_phy(PHY_STATUS) & PHY_RESOLVED_UP == PHY_RESOLVED_UP

    def read_phy(self, register: int) -> int:
        """A register of the PHY."""
        self.write("GM_SMI_CTRL", register << 6 | SMI_READ)
        self.wait(lambda: bool(self.read("GM_SMI_CTRL") & SMI_VALID), "end of a PHY access")
        return self.read("GM_SMI_DATA")

    def write_phy(self, register: int, value: int) -> None:
        """Writes a register of the PHY."""
        self.write("GM_SMI_DATA", value)
        self.write("GM_SMI_CTRL", register << 6)
        self.wait(lambda: not self.read("GM_SMI_CTRL") & SMI_BUSY, "end of a PHY access")

    def check_phy(self) -> None:
        """Identifiers, then a reset that must lead to a new link."""
        identity = self.read_phy(PHY_ID0), self.read_phy(PHY_ID1) & ~15
        if identity != (MARVELL, M88E1149):
            raise DriverError(f"PHY identifies as {identity[0]:#06x} {identity[1]:#06x}; expected an 88E1149")
        self.write_phy(PHY_CTRL, self.read_phy(PHY_CTRL) | PHY_RESET)
        self.wait(lambda: not self.read_phy(PHY_CTRL) & PHY_RESET, "end of the PHY's reset")
        self.wait(self.link_up, "link after negotiation")


# ------------------------------------------------------------------ arithmetic


def _swap(value: int) -> int:
    """A tag as it stands in list elements: high byte first (3.2)."""
    return value >> 8 | (value & 0xFF) << 8


def _hash(address: bytes) -> int:
    """The bit of a group address: six bits of the Ethernet CRC, highest power first (2.12)."""
    return ethernet_crc(address) & 63


def _with_header_sum(frame: bytes, packet: Packet) -> bytes:
    """The IP header with the checksum that IPv4 has."""
    header = bytearray(frame[packet.network : packet.transport])
    if packet.version == 4:
        header[10:12] = b"\0\0"
        header[10:12] = checksum(bytes(header)).to_bytes(2, "big")
    return bytes(header)


def _verdicts(data: bytes, sums: int | None) -> tuple[bool | None, bool | None]:
    """What the card's sum over all behind the Ethernet header says of IPv4 and of TCP or UDP (6.3)."""
    if sums is None or data[12:14] not in (b"\x08\x00", b"\x86\xdd"):
        return None, None
    first, second = sums & 0xFFFF, sums >> 16
    if first != second:
        raise DriverError(f"two sums from one place differ: {first:#x} and {second:#x}")
    ip = None
    if data[14] >> 4 == 4:
        ip = not checksum(data[14 : 14 + 4 * (data[14] & 15)])
    packet = parse(data)
    if packet is None or packet.protocol not in (TCP, UDP):
        return ip, None
    if packet.protocol == UDP and data[packet.checksum_at : packet.checksum_at + 2] == b"\0\0":
        return ip, None
    addresses = packet.source.packed + packet.destination.packed
    length = packet.end - packet.transport
    pseudo = addresses + length.to_bytes(4, "big") + packet.protocol.to_bytes(4, "big")
    # The sum of all, less what does not belong to the transport, and with the pseudo header, is all ones.
    total = _swap(first) + checksum(data[14 : packet.transport]) + (checksum(pseudo) ^ 0xFFFF)
    if packet.end < len(data):
        padding = data[packet.end :]
        total += checksum(b"\0" * (packet.end & 1) + padding)
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ip, total == 0xFFFF


#: What `nicemu.drivers.attach` makes.
DRIVER = Yukon2Driver
