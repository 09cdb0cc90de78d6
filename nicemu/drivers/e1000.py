"""Reference driver for the Intel 82540EM (e1000).

It follows chapter 14 of Intel's 8254x software developer's manual (SDM) for initialization, 3.2 for receiving, 3.3 to
3.5 for sending, and 5.3 and 13.4.7 for EEPROM and PHY.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from nicemu.devices.e1000_descriptors import (
    RX_DESCRIPTOR,
    TX_CONTEXT,
    TX_DATA,
    TX_LEGACY,
    ContextCommand,
    DataCommand,
    LegacyCommand,
    PacketOptions,
    RxError,
    RxStatus,
    TxStatus,
    context,
    data,
    legacy,
)
from nicemu.devices.e1000_tables import MMIO
from nicemu.drivers import BUS_MASTER, MEMORY_SPACE, DriverError, Frame, RingDriver, microwire_read
from nicemu.drivers.wire import TCP, UDP, Packet, parse, prepare
from nicemu.errors import ConfigurationError

if TYPE_CHECKING:
    from nicemu.core import Nic
    from nicemu.memory import GuestMemory

__all__ = ["DRIVER", "E1000Driver"]


class _Register:
    """A register of BAR 0: its offset, and its fields' masks by name (`CTRL.RST`)."""

    def __init__(self, name: str) -> None:
        register = MMIO[name]
        self.offset, self.stride, self.count = register.offset, register.stride, register.count
        self._masks = {f.name: f.mask for f in register.fields if f.name}

    def __getattr__(self, field: str) -> int:
        try:
            return self._masks[field]
        except KeyError:
            raise AttributeError(field) from None

    def value(self, **fields: int) -> int:
        """Fields of more than one bit, put in their places."""
        return sum(value * (self._masks[name] & -self._masks[name]) for name, value in fields.items())


CTRL, STATUS, CTRL_EXT, EECD, EERD, MDIC = map(_Register, ("CTRL", "STATUS", "CTRL_EXT", "EECD", "EERD", "MDIC"))
FCAL, FCAH, FCT, FCTTV, VET = map(_Register, ("FCAL", "FCAH", "FCT", "FCTTV", "VET"))
ICR, ITR, IMS, IMC = map(_Register, ("ICR", "ITR", "IMS", "IMC"))
RCTL, RDBAL, RDBAH, RDLEN, RDH, RDT = map(_Register, ("RCTL", "RDBAL", "RDBAH", "RDLEN", "RDH", "RDT"))
RDTR, RADV, RXDCTL, RXCSUM = map(_Register, ("RDTR", "RADV", "RXDCTL", "RXCSUM"))
TCTL, TIPG, TDBAL, TDBAH, TDLEN, TDH, TDT = map(_Register, ("TCTL", "TIPG", "TDBAL", "TDBAH", "TDLEN", "TDH", "TDT"))
TIDV, TADV, TXDCTL = map(_Register, ("TIDV", "TADV", "TXDCTL"))
RAL, RAH, MTA, VFTA = map(_Register, ("RAL", "RAH", "MTA", "VFTA"))

TX_BUFFER = 4096  #: bytes; longer frames take several descriptors
TX_SHORTEST = 48  #: bytes that a packet has before the card pads it (3.3.3)
RX_BUFFER = 2048  #: bytes; RCTL.BSIZE 00
DESCRIPTOR = 16  #: bytes

# PHY registers (13.4.7.1) and what is used of them.
PHY_ADDRESS = 1
PCTRL, PSTATUS, PID, EPID = 0, 1, 2, 3
PCTRL_RESET, PCTRL_RESTART = 1 << 15, 1 << 9
PSTATUS_LINK, PSTATUS_NEGOTIATED = 1 << 2, 1 << 5
MARVELL, M88E1011 = 0x0141, 0x0C20

EEPROM_SUM = 0xBABA  #: of words 00h to 3Fh (5.6.35)


class E1000Driver(RingDriver):
    """Drives one 82540EM.

    tx_count, rx_count: descriptors of the rings, multiples of 8 (RDLEN and TDLEN count 128 bytes).
    """

    features: ClassVar[frozenset[str]] = frozenset(
        {"checksum", "checksum6", "tso", "tso6", "rx-checksum", "vlan", "vlan-filter", "multicast", "jumbo"}
        | {"scatter", "eeprom", "phy", "interrupts"}
    )

    def __init__(
        self,
        nic: Nic,
        memory: GuestMemory | None = None,
        *,
        base: int = 0,
        max_frame: int = 1514,
        tx_count: int = 256,
        rx_count: int = 256,
    ) -> None:
        for name, count in (("tx_count", tx_count), ("rx_count", rx_count)):
            if count % 8 or not 8 <= count <= 4096:
                raise ConfigurationError(f"{name}={count}; expected a multiple of 8 from 8 to 4096")
        if max_frame > 16380:
            raise ConfigurationError(f"max_frame={max_frame}; the 82540EM takes at most 16384 bytes with FCS (13.4.22)")
        self.tx_count, self.rx_count = tx_count, rx_count
        super().__init__(nic, memory, base=base, max_frame=max_frame)
        rx_ring = DESCRIPTOR * tx_count
        self._tx_buffers = rx_ring + DESCRIPTOR * rx_count
        self._rx_buffers = self._tx_buffers + TX_BUFFER * tx_count
        self.tx = np.frombuffer(self.view[:rx_ring], TX_LEGACY)
        self.rx = np.frombuffer(self.view[rx_ring : self._tx_buffers], RX_DESCRIPTOR)
        self._vlan = False

    @property
    def footprint(self) -> int:
        """Rings, and a buffer for each descriptor."""
        return self.tx_count * (DESCRIPTOR + TX_BUFFER) + self.rx_count * (DESCRIPTOR + RX_BUFFER)

    # ------------------------------------------------------------------ registers

    def read(self, register: _Register, index: int = 0) -> int:
        """A 32-bit read; other widths are not allowed (13.2)."""
        return self.nic.bars[0].read(register.offset + index * register.stride, 4)

    def write(self, register: _Register, value: int, index: int = 0) -> None:
        """A 32-bit write."""
        self.nic.bars[0].write(register.offset + index * register.stride, value, 4)

    # ------------------------------------------------------------------ initialization (chapter 14)

    def start(self) -> None:
        """Resets and initializes the card in the order of chapter 14."""
        self._enable_function()
        self._reset()
        self.mac = b"".join(self.read_eeprom(word).to_bytes(2, "little") for word in range(3))
        self._configure()
        self._start_receive()
        self._start_transmit()

    def _enable_function(self) -> None:
        """Memory decoding and bus mastering (4.1)."""
        self.set_command(MEMORY_SPACE | BUS_MASTER)

    def _reset(self) -> None:
        """CTRL.RST, with interrupts masked and both directions stopped before (13.4.1, 14.7)."""
        self.write(IMC, 0xFFFFFFFF)
        self.write(RCTL, 0)
        self.write(TCTL, TCTL.PSP)
        self.write(CTRL, self.read(CTRL) | CTRL.RST)
        self.delay(1_000)
        self.wait(lambda: not self.read(CTRL) & CTRL.RST, "end of CTRL.RST")
        self._own_eeprom(True)  # granted once the card has read what it needs itself (5.3.1)
        self._own_eeprom(False)
        self.write(IMC, 0xFFFFFFFF)
        self.read(ICR)

    def _configure(self) -> None:
        """14.3: link by negotiation, no flow control, no VLANs."""
        ctrl = self.read(CTRL) & ~(CTRL.LRST | CTRL.PHY_RST | CTRL.ILOS | CTRL.FRCSPD | CTRL.FRCDPLX | CTRL.VME)
        self.write(CTRL, ctrl | CTRL.SLU | CTRL.ASDE)
        for register in (FCAL, FCAH, FCT, FCTTV):
            self.write(register, 0)
        self.write(VET, 0x8100)
        self._vlan = False

    def _start_receive(self) -> None:
        """14.4: address and tables, ring and buffers, then RCTL."""
        self._clear(RAH, RAL)
        self.set_mac(self.mac)
        self._clear(MTA, VFTA)
        self.write(RDTR, 0)  # every frame is reported at once
        self.write(RADV, 0)
        self.write(RXCSUM, RXCSUM.IPOFLD | RXCSUM.TUOFLD | RXCSUM.IPV6OFL)
        self.rx[:] = 0
        first = self.base + self._rx_buffers
        self.rx["address"] = first + RX_BUFFER * np.arange(self.rx_count, dtype=np.uint64)
        ring = self.base + DESCRIPTOR * self.tx_count
        self._set_ring((RDBAL, RDBAH, RDLEN, RDH, RDT), ring, self.rx_count)
        self._rx_next = 0
        self._rx_parts: list[bytes] = []
        self.write(RDT, self.rx_count - 1)  # equal to RDH it would mean an empty ring
        long_packets = RCTL.LPE if self.max_frame > 1514 else 0
        self.write(RCTL, RCTL.EN | RCTL.BAM | RCTL.SECRC | long_packets)

    def _start_transmit(self) -> None:
        """14.5: ring, then TCTL and the gap between packets."""
        self.tx[:] = 0
        self._set_ring((TDBAL, TDBAH, TDLEN, TDH, TDT), self.base, self.tx_count)
        self._empty_ring()
        self.write(TXDCTL, TXDCTL.GRAN)
        self.write(TIDV, 1)
        self.write(TADV, 0)
        self.write(TIPG, TIPG.value(IPGT=8, IPGR1=8, IPGR2=6))
        self.write(TCTL, TCTL.EN | TCTL.PSP | TCTL.value(CT=0x10, COLD=0x40))

    def _clear(self, *registers: _Register) -> None:
        for register in registers:
            for index in range(register.count):
                self.write(register, 0, index)

    def _set_ring(self, registers: Sequence[_Register], address: int, count: int) -> None:
        low, high, length, head, tail = registers
        self.write(low, address & 0xFFFFFFFF)
        self.write(high, address >> 32)
        self.write(length, DESCRIPTOR * count)
        self.write(head, 0)
        self.write(tail, 0)

    def stop(self) -> None:
        """Masks interrupts, stops both directions, resets, and gives up the bus."""
        self._reset()
        self.set_command(BUS_MASTER, False)

    # ------------------------------------------------------------------ sending (3.3 to 3.5)

    def ring(self) -> None:
        """The doorbell: everything that is queued may be sent."""
        self.write(TDT, self._tx_next)

    def queue(
        self, frame: bytes, *, vlan: int | None = None, checksum: bool = False, mss: int = 0, cuts: Sequence[int] = ()
    ) -> None:
        """Puts a frame into the ring; the arguments are those of `send`."""
        if vlan is not None and not self._vlan:
            raise ConfigurationError("send(vlan=) needs set_vlan_offload(True)")
        if frame and not mss:
            frame = frame.ljust(TX_SHORTEST, b"\0")
        pieces = self._cut(frame, cuts, TX_BUFFER)
        self._make_room(len(pieces) + 1)
        special = 0 if vlan is None else vlan
        tagged = 0 if vlan is None else LegacyCommand.VLE  # bit 6 in all kinds of descriptors
        if checksum or mss:
            self._queue_offloaded(frame, pieces, mss, int(tagged), special)
        else:
            last = len(pieces) - 1
            for number, (begin, end) in enumerate(pieces):
                command = LegacyCommand.EOP | LegacyCommand.IFCS | LegacyCommand.RS | tagged if number == last else 0
                address = self._fill(frame[begin:end])
                self._put(TX_LEGACY, legacy(address, end - begin, command, special=special if number == last else 0))
        self._tx_pending.append((self._tx_next - 1) % self.tx_count)

    def _is_sent(self, index: int) -> bool:
        return bool(self.tx[index]["sta"] & TxStatus.DD)

    def _fill(self, part: bytes) -> int:
        """Copies a part of a frame into the buffer of the next descriptor; returns its guest address."""
        offset = self._tx_buffers + TX_BUFFER * self._tx_next
        self.view[offset : offset + len(part)] = part
        return self.base + offset

    def _put(self, kind: np.dtype[Any], descriptor: np.void) -> None:
        self.tx.view(kind)[self._tx_next] = descriptor
        self._tx_next = (self._tx_next + 1) % self.tx_count

    def _queue_offloaded(
        self, frame: bytes, pieces: list[tuple[int, int]], mss: int, tagged: int, special: int
    ) -> None:
        """A context descriptor says where the headers are, data descriptors carry the frame (3.3.6, 3.3.7, 3.5)."""
        packet = parse(frame)
        if packet is None or packet.protocol not in (TCP, UDP):
            raise ConfigurationError("checksum and mss need a TCP or UDP frame over IPv4 or IPv6")
        frame = prepare(frame, packet, segmented=bool(mss))
        self._put(TX_CONTEXT, self._context(frame, packet, mss))
        options = PacketOptions.TXSM | (PacketOptions.IXSM if packet.version == 4 else 0)
        each = DataCommand.IFCS | (DataCommand.TSE if mss else 0) | tagged
        last = len(pieces) - 1
        for number, (begin, end) in enumerate(pieces):
            command = each | (DataCommand.EOP | DataCommand.RS if number == last else 0)
            popts = options if number == 0 else 0
            self._put(TX_DATA, data(self._fill(frame[begin:end]), end - begin, command, popts=popts, special=special))

    def _context(self, frame: bytes, packet: Packet, mss: int) -> np.void:
        command = (ContextCommand.TCP if packet.protocol == TCP else 0) | (
            ContextCommand.IP if packet.version == 4 else 0
        )
        segmentation = {}
        if mss:
            command |= ContextCommand.TSE
            segmentation = {"mss": mss, "hdrlen": packet.payload, "paylen": packet.end - packet.payload}
        return context(
            command,
            ipcss=packet.network,
            ipcso=packet.network + 10,
            ipcse=packet.transport - 1,
            tucss=packet.transport,
            tucso=packet.checksum_at,
            tucse=packet.end - 1 if packet.end < len(frame) else 0,  # 0: to the end of the packet
            **segmentation,
        )

    # ------------------------------------------------------------------ receiving (3.2)

    def receive(self) -> list[Frame]:
        """Takes what is done, in the ring's order, and returns the descriptors to the card."""
        frames = []
        taken = 0
        while (descriptor := self.rx[self._rx_next])["status"] & RxStatus.DD:
            begin = self._rx_buffers + RX_BUFFER * self._rx_next
            self._rx_parts.append(bytes(self.view[begin : begin + int(descriptor["length"])]))
            if descriptor["status"] & RxStatus.EOP:
                frames.append(self._frame(descriptor))
                self._rx_parts = []
            descriptor["status"] = 0
            self._rx_next = (self._rx_next + 1) % self.rx_count
            taken += 1
        if taken:
            self.write(RDT, (self._rx_next - 1) % self.rx_count)
        return frames

    def _frame(self, descriptor: np.void) -> Frame:
        """What the last descriptor of a frame tells (3.2.3.1, 3.2.3.2, 3.2.9)."""
        status, errors = int(descriptor["status"]), int(descriptor["errors"])
        checked = not status & RxStatus.IXSM
        return Frame(
            b"".join(self._rx_parts),
            vlan=int(descriptor["special"]) if status & RxStatus.VP else None,
            ip_checksum=not errors & RxError.IPE if checked and status & RxStatus.IPCS else None,
            l4_checksum=not errors & RxError.TCPE if checked and status & RxStatus.TCPCS else None,
            good=not errors & (RxError.CE | RxError.SE | RxError.SEQ | RxError.RXE),
            buffers=len(self._rx_parts),
        )

    # ------------------------------------------------------------------ filters (3.2.1, 13.5)

    def set_mac(self, mac: bytes) -> None:
        """RAR 0: the low half first, so that the valid bit comes with the whole address."""
        self.mac = mac
        self.write(RAH, 0)
        self.write(RAL, int.from_bytes(mac[:4], "little"))
        self.write(RAH, int.from_bytes(mac[4:], "little") | RAH.AV)

    def set_filters(
        self,
        *,
        promiscuous: bool = False,
        all_multicast: bool = False,
        multicast: Sequence[bytes] = (),
        vlans: Sequence[int] | None = None,
    ) -> None:
        """RCTL.UPE, RCTL.MPE, the multicast table by bits 47:36 (RCTL.MO 00), and the VLAN table."""
        hashes = [int.from_bytes(address[4:6], "little") >> 4 for address in multicast]
        self._set_table(MTA, hashes)
        self._set_table(VFTA, vlans or ())
        rctl = self.read(RCTL) & ~(RCTL.UPE | RCTL.MPE | RCTL.MO | RCTL.VFE)
        rctl |= (RCTL.UPE if promiscuous else 0) | (RCTL.MPE if all_multicast else 0)
        self.write(RCTL, rctl | (RCTL.VFE if vlans is not None else 0))

    def _set_table(self, table: _Register, bits: Sequence[int]) -> None:
        """4096 bits: bits 11:5 choose the register, 4:0 the bit (13.5.1, 13.5.4)."""
        words = [0] * table.count
        for bit in bits:
            words[bit >> 5] |= 1 << (bit & 31)
        for index, word in enumerate(words):
            self.write(table, word, index)

    def set_vlan_offload(self, enable: bool) -> None:
        """CTRL.VME (9.1)."""
        self._vlan = enable
        self.write(CTRL, self.read(CTRL) & ~CTRL.VME | (CTRL.VME if enable else 0))

    # ------------------------------------------------------------------ interrupts (3.2.7, 3.4.3, 13.4.17)

    def enable_interrupts(self, enable: bool) -> None:
        """The suggested causes of 14.4, and sent frames."""
        causes = IMS.TXDW | IMS.LSC | IMS.RXDMT0 | IMS.RXO | IMS.RXT0
        self.write(IMS if enable else IMC, causes)

    def acknowledge(self) -> frozenset[str]:
        """Reading ICR clears it and lets go of the line."""
        causes = self.read(ICR)
        names = {"rx": ICR.RXT0 | ICR.RXDMT0 | ICR.RXO, "tx": ICR.TXDW, "link": ICR.LSC}
        return frozenset(name for name, bits in names.items() if causes & bits)

    # ------------------------------------------------------------------ EEPROM (5.3)

    def _own_eeprom(self, own: bool) -> None:
        """EECD.EE_REQ and the card's grant."""
        eecd = self.read(EECD) & ~EECD.EE_REQ
        self.write(EECD, eecd | EECD.EE_REQ if own else eecd)
        if own:
            self.wait(lambda: bool(self.read(EECD) & EECD.EE_GNT), "grant of the EEPROM")

    def read_eeprom(self, word: int) -> int:
        """A word by EERD, which does the clocking (13.4.4)."""
        self.write(EERD, EERD.START | EERD.value(ADDR=word))
        self.wait(lambda: bool(self.read(EERD) & EERD.DONE), "end of an EEPROM read")
        return self.read(EERD) >> 16

    def read_eeprom_pins(self, word: int) -> int:
        """A word by EECD: the microwire instruction, bit by bit; the pins must be owned."""
        width = 8 if self.read(EECD) & EECD.EE_SIZE else 6
        idle = self.read(EECD) & ~(EECD.SK | EECD.CS | EECD.DI)
        self.write(EECD, idle | EECD.CS)
        for bit in microwire_read(word, width):
            level = EECD.DI if bit else 0
            self.write(EECD, idle | EECD.CS | level)
            self._clock_eeprom(idle | EECD.CS | level)
        value = 0
        for _ in range(16):
            self._clock_eeprom(idle | EECD.CS)
            value = value << 1 | bool(self.read(EECD) & EECD.DO)
        self.write(EECD, idle)
        return value

    def _clock_eeprom(self, levels: int) -> None:
        """One pulse of SK, at most 1 MHz."""
        for clock in (EECD.SK, 0):
            self.write(EECD, levels | clock)
            self.delay(500)

    def check_eeprom(self) -> None:
        """All 64 words by EERD and by the pins, and their sum (5.6.35)."""
        words = [self.read_eeprom(word) for word in range(64)]
        if sum(words) & 0xFFFF != EEPROM_SUM:
            raise DriverError(f"EEPROM words add up to {sum(words) & 0xFFFF:#06x}; expected {EEPROM_SUM:#06x}")
        self._own_eeprom(True)
        for word, value in enumerate(words):
            read = self.read_eeprom_pins(word)
            if read != value:
                raise DriverError(f"EEPROM word {word:#04x} is {value:#06x} by EERD and {read:#06x} by its pins")
        self._own_eeprom(False)

    # ------------------------------------------------------------------ PHY (13.4.7)

    def link_up(self) -> bool:
        """STATUS.LU."""
        return bool(self.read(STATUS) & STATUS.LU)

    def read_phy(self, register: int) -> int:
        """A register of the internal PHY."""
        return self._phy(register, 2, 0) & 0xFFFF

    def write_phy(self, register: int, value: int) -> None:
        """Writes a register of the internal PHY."""
        self._phy(register, 1, value)

    def _phy(self, register: int, operation: int, value: int) -> int:
        self.write(MDIC, MDIC.value(DATA=value, REGADD=register, PHYADD=PHY_ADDRESS, OP=operation))
        self.wait(lambda: bool(self.read(MDIC) & MDIC.R), "end of a PHY access")
        answer = self.read(MDIC)
        if answer & MDIC.E:
            raise DriverError(f"PHY register {register}: MDIC.E is set")
        return answer

    def check_phy(self) -> None:
        """Identifiers, then a reset that must lead to a new link (14.6)."""
        identity = self.read_phy(PID), self.read_phy(EPID) & ~15
        if identity != (MARVELL, M88E1011):
            raise DriverError(f"PHY identifies as {identity[0]:#06x} {identity[1]:#06x}; expected an M88E1011")
        self.write_phy(PCTRL, self.read_phy(PCTRL) | PCTRL_RESET)
        self.wait(lambda: not self.read_phy(PCTRL) & PCTRL_RESET, "end of the PHY's reset")
        done = PSTATUS_LINK | PSTATUS_NEGOTIATED
        self.wait(lambda: self.read_phy(PSTATUS) & done == done, "link after negotiation")
        self.wait(self.link_up, "link in STATUS")


#: What `nicemu.drivers.attach` makes.
DRIVER = E1000Driver
