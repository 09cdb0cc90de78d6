"""PCnet: ports, initialization, both rings, errors, interrupts, EEPROM and PHY (AMD 19436 and 21510)."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from pcnet_rig import (
    BABL,
    CERR,
    ERR,
    IDON,
    IENA,
    INTR,
    LOOPS,
    MAC,
    MERR,
    MISS,
    PEER,
    RINT,
    RX_BUFFERS,
    RX_RING,
    RXON,
    STOP,
    STRT,
    TDMD,
    TINT,
    TX_BUFFERS,
    TX_RING,
    TXON,
    Rig,
    frame,
)

import nicemu
from nicemu.backends import Loopback
from nicemu.devices.pcnet_descriptors import LAYOUTS, Rx, Tx, TxMisc
from nicemu.drivers.pcnet import PCnetDriver
from nicemu.engine import lib
from nicemu.errors import ConfigurationError
from nicemu.registers import Reset


@pytest.fixture(params=["pcnet", "pcnet-fast3"])
def rig(request: pytest.FixtureRequest) -> Iterator[Rig]:
    made = Rig(request.param)
    yield made
    made.nic.close()


# ------------------------------------------------------------------ ports (I/O Resources)


def test_aprom_has_address_checksum_and_signature(rig: Rig) -> None:
    content = bytes(rig.bar.read(i, 1) for i in range(16))
    assert content[:6] == MAC
    assert content[14:] == b"WW"
    assert int.from_bytes(content[12:14], "little") == sum(content[:12]) + sum(content[14:])
    rig.bar.write(0, 0xFF, 1)
    assert rig.bar.read(0, 1) == 0x52
    rig.bcr(2, rig.bcr(2) | 0x100)  # APROMWE
    rig.bar.write(0, 0xAA, 1)
    assert rig.bar.read(0, 1) == 0xAA


def test_dword_mode_outlives_s_reset_only(rig: Rig) -> None:
    """A double word write of RDP switches; S_RESET leaves DWIO, H_RESET ends it (BCR18, DWIO)."""
    rig.bar.write(0x10, 0, 4)
    rig.bar.write(0x14, 88, 4)
    assert rig.bar.read(0x14, 4) == 88
    assert rig.bar.read(0x10, 4) == (0x1003 if rig.nic.MODEL == "pcnet" else 0x5003)
    rig.bar.read(0x18, 4)
    rig.bar.write(0x14, 18, 4)
    assert rig.bar.read(0x1C, 4) & 0x80
    rig.nic.reset(Reset.BUS)
    rig.nic.enable_decoding()
    rig.bar.write(0x12, 88, 2)
    assert rig.bar.read(0x12, 2) == 88
    assert not rig.bcr(18) & 0x80


def test_s_reset_is_a_read_of_reset(rig: Rig) -> None:
    rig.start()
    rig.csr(3, 0x5F00)
    rig.bar.read(0x14, 2)
    assert rig.csr(0) == STOP
    assert rig.csr(3) == 0
    assert rig.bcr(20) & 0xFF == 2  # BCRs keep their values


def test_chip_identity(rig: Rig) -> None:
    assert (rig.csr(88), rig.csr(89)) == ((0x1003 if rig.nic.MODEL == "pcnet" else 0x5003), 0x0262)


# ------------------------------------------------------------------ initialization


@pytest.mark.parametrize("style", LAYOUTS)
def test_every_software_style(style: int) -> None:
    rig = Rig(style=style)
    assert rig.bcr(20) & 0x300 == {0: 0x200, 1: 0x100, 2: 0x300, 3: 0x300}[style]
    rig.start()
    assert rig.csr(0) & (TXON | RXON) == TXON | RXON
    assert rig.send(frame(100, PEER)) == 0
    assert rig.wire.frames == [frame(100, PEER)]
    assert not rig.status(TX_RING, 0) & Tx.OWN
    rig.arrive(frame(100))
    assert rig.status(RX_RING, 0) & (Rx.OWN | Rx.ERR | Rx.STP | Rx.ENP) == Rx.STP | Rx.ENP
    assert int(rig.descriptor(RX_RING, 0)["misc"]) & 0xFFF == 104
    assert rig.memory.read(RX_BUFFERS, 100) == frame(100)
    rig.nic.close()


def test_alternate_initialization(rig: Rig) -> None:
    """Ring bases and lengths by CSRs, lengths in two's complement (Alternate Method for Initialization)."""
    for number, value in {24: RX_RING, 25: 0, 30: TX_RING, 31: 0, 76: -4 & 0xFFFF, 78: -4 & 0xFFFF, 15: 0}.items():
        rig.csr(number, value)
    rig.csr(0, STRT)
    assert rig.csr(0) & (TXON | RXON) == TXON | RXON
    rig.send(frame(60, PEER))
    rig.arrive(frame())
    assert rig.wire.frames == [frame(60, PEER)]
    assert rig.status(RX_RING, 0) & Rx.ENP
    assert rig.nic.finding_counts == {}


def test_block_sets_lengths_in_two_s_complement(rig: Rig) -> None:
    rig.start()
    assert (rig.csr(76), rig.csr(78)) == (0xFFFC, 0xFFFC)
    assert (rig.csr(12), rig.csr(13), rig.csr(14)) == (0x5452, 0x1200, 0x5634)


def test_init_takes_time_in_the_wire_profile() -> None:
    rig = Rig(profile="wire")
    rig.start(start=False)
    assert not rig.csr(0) & IDON
    rig.clock.advance(10**6)
    assert rig.csr(0) & IDON
    rig.csr(0, IDON | STRT)
    rig.send(frame(1514, PEER))
    assert not rig.wire.frames
    rig.clock.advance(1_200_000)  # 1538 bytes at 10 Mb/s are 1.23 ms
    assert not rig.wire.frames
    rig.clock.advance(200_000)
    assert rig.wire.frames == [frame(1514, PEER)]
    rig.nic.close()


def test_registers_are_locked_while_running(rig: Rig) -> None:
    """CSR15 and others are written only while STOP or SPND is set."""
    rig.start()
    rig.csr(15, 0x8000)
    assert rig.csr(15) == 0
    assert rig.nic.finding_counts["pcnet.access.locked"] == 1
    rig.csr(5, 1)
    assert rig.csr(5) & 1
    rig.csr(15, 0x8000)
    assert rig.csr(15) == 0x8000
    rig.csr(5, 0)
    rig.arrive(frame(to=PEER))
    assert rig.status(RX_RING, 0) & Rx.ENP
    assert not rig.status(RX_RING, 0) & (Rx.PAM | Rx.LAFM | Rx.BAM)


def test_suspension_waits_for_the_frame_under_way() -> None:
    """CSR5.SPND reads 1 once it has left; the ring goes on where it was (Suspend)."""
    rig = Rig(profile="wire")
    rig.start(start=False)
    rig.clock.advance(10**6)
    rig.csr(0, STRT)
    for index in (0, 1):
        rig.put_tx(index, frame(1514, PEER))
    rig.csr(0, TDMD)
    rig.csr(5, 1)
    assert not rig.csr(5) & 1
    rig.clock.advance(2 * 10**6)
    assert rig.csr(5) & 1
    rig.clock.advance(10**7)
    assert len(rig.wire.frames) == 1
    rig.csr(5, 0)
    rig.clock.advance(2 * 10**6)
    assert len(rig.wire.frames) == 2
    rig.nic.close()


def test_start_reloads_ring_pointers(rig: Rig) -> None:
    """STOP and STRT without INIT begin at the bases again (Re-Initialization)."""
    rig.start()
    rig.arrive(frame())
    rig.put_rx(0)
    rig.csr(0, STOP)
    rig.csr(0, STRT)
    rig.arrive(frame())
    assert rig.status(RX_RING, 0) & Rx.ENP
    assert rig.status(RX_RING, 1) & Rx.OWN


def held(rig: Rig, address: int, count: int) -> tuple[int, int, int]:
    """Buffer or descriptor address, byte count and status, as three CSRs and the one behind the first show them."""
    return rig.csr(address) | rig.csr(address + 1) << 16, rig.csr(count), rig.csr(count + 1)


@pytest.mark.parametrize("style", LAYOUTS)
@pytest.mark.parametrize("how", ["SPND", "STOP", "S_RESET"])
def test_what_the_chip_holds_of_descriptors(style: int, how: str) -> None:
    """Current, next and previous descriptors, to be read once the chip stands (CSR18 to CSR23, 40 to 45, 60 to 67)."""
    rig = Rig(style=style)
    rig.start()
    rig.arrive(frame())
    rig.put_rx(2, 700)
    rig.send(frame(100, PEER))
    rig.csr(4, 0x1115)  # TXDPOLL: the next frames are seen, not sent
    rig.put_tx(1, frame(200, PEER))
    rig.put_tx(2, frame(300, PEER), Tx.OWN | Tx.STP)
    rig.clock.advance(10**7)
    before = [held(rig, *place) for place in ((18, 40), (22, 44), (20, 42), (64, 66), (60, 62))]
    if how == "S_RESET":
        rig.bar.read(0x14, 2)
    else:
        rig.csr(*((5, 1) if how == "SPND" else (0, STOP)))
    assert held(rig, 18, 40) == (RX_BUFFERS + 2048, -1600 & 0xFFF, Rx.OWN)
    assert held(rig, 22, 44) == (RX_BUFFERS + 4096, -700 & 0xFFF, Rx.OWN)
    assert held(rig, 20, 42) == (TX_BUFFERS + 4096, -200 & 0xFFF, Tx.OWN | Tx.STP | Tx.ENP)
    assert held(rig, 64, 66) == (TX_BUFFERS + 8192, -300 & 0xFFF, Tx.OWN | Tx.STP)
    assert held(rig, 60, 62) == (TX_RING, -100 & 0xFFF, Tx.STP | Tx.ENP)
    assert held(rig, 60, 62) == before[-1]
    assert len(rig.wire.frames) == 1
    assert rig.nic.finding_counts == {}
    rig.nic.close()


def test_a_descriptor_behind_one_of_the_hosts_is_not_looked_at(rig: Rig) -> None:
    """What software wrote while the chip stood stays, where the chip reads nothing anew."""
    for number in (22, 44, 45, 64, 66, 67):
        rig.csr(number, number)
    rig.put_rx(0, flags=0)
    rig.start()
    rig.csr(5, 1)
    assert held(rig, 18, 40) == (RX_BUFFERS, -1600 & 0xFFF, 0)
    assert [rig.csr(number) for number in (22, 44, 45, 64, 66, 67)] == [22, 44, 45, 64, 66, 67]
    rig.csr(40, 5)
    rig.csr(0, STOP)  # it stands already
    assert rig.csr(40) == 5


# ------------------------------------------------------------------ receive


def test_receive_stores_a_true_fcs(rig: Rig) -> None:
    rig.start()
    rig.arrive(frame(200))
    stored = rig.memory.read(RX_BUFFERS, 204)
    assert stored[200:] == zlib.crc32(frame(200)).to_bytes(4, "little")


def test_the_current_descriptor_alone_decides(rig: Rig) -> None:
    """A descriptor that is not the chip's is waited for, whatever stands behind it; the frame is missed."""
    rig.put_rx(0, flags=0)
    rig.start()
    rig.arrive(frame())
    assert rig.status(RX_RING, 1) & Rx.OWN
    assert rig.csr(0) & (MISS | ERR) == MISS | ERR
    assert rig.csr(112) == 1
    assert rig.nic.finding_counts["pcnet.rx.missed"] == 1


def test_missed_frame_counter_overflows(rig: Rig) -> None:
    rig.start()
    rig.csr(4, 0x15)  # MFCO is not masked
    rig.csr(5, 1)
    rig.csr(112, 0xFFFF)
    rig.csr(5, 0)
    rig.put_rx(0, flags=0)
    rig.arrive(frame())
    assert rig.csr(112) == 0
    assert rig.csr(4) & 0x200
    assert rig.csr(0) & INTR


def test_a_lossless_wire_is_held_back() -> None:
    rig = Rig(overflow="hold")
    for index in range(4):
        rig.put_rx(index, flags=0)
    rig.start()
    rig.arrive(frame())
    assert not rig.csr(0) & MISS
    rig.put_rx(0)
    rig.csr(0, 0)
    assert rig.status(RX_RING, 0) & Rx.ENP
    assert rig.csr(112) == 0
    rig.nic.close()


def test_receive_chain(rig: Rig) -> None:
    for index in range(4):
        rig.put_rx(index, length=64)
    rig.start()
    rig.arrive(frame(150))
    flags = [rig.status(RX_RING, index) for index in range(3)]
    assert [f & (Rx.OWN | Rx.STP | Rx.ENP) for f in flags] == [Rx.STP, 0, Rx.ENP]
    assert int(rig.descriptor(RX_RING, 2)["misc"]) & 0xFFF == 154


def test_buffer_error_ends_a_chain(rig: Rig) -> None:
    """RMD1.BUFF: the next buffer is not the chip's while a frame needs it."""
    rig.put_rx(0, length=64)
    rig.put_rx(1, length=64, flags=0)
    rig.start()
    rig.arrive(frame(150))
    assert rig.status(RX_RING, 0) & (Rx.OWN | Rx.ERR | Rx.BUFF | Rx.ENP) == Rx.ERR | Rx.BUFF
    assert rig.nic.finding_counts["pcnet.rx.buffer-short"] == 1


@pytest.mark.parametrize(
    ("flags", "expected"),
    [(lib.NIC_FRAME_BAD_FCS, Rx.CRC | Rx.ERR), (lib.NIC_FRAME_ALIGNMENT, Rx.FRAM | Rx.CRC | Rx.ERR)],
)
def test_errors_of_received_frames(rig: Rig, flags: int, expected: int) -> None:
    rig.start()
    assert rig.wire.deliver([frame(100)], flags=flags) == 1
    rig.nic.poll()
    assert rig.status(RX_RING, 0) & (Rx.FRAM | Rx.CRC | Rx.ERR | Rx.ENP) == expected | Rx.ENP


def test_receive_overflow(rig: Rig) -> None:
    rig.start()
    rig.nic.disturb("receive-overflow")
    rig.arrive(frame())
    assert rig.status(RX_RING, 0) & (Rx.OFLO | Rx.ERR | Rx.ENP) == Rx.OFLO | Rx.ERR


def test_runts(rig: Rig) -> None:
    """Runts are counted for the next frame, and stored with CSR124.RPA (Runt Packet Accept).

    RMD2 shows the counts on the Am79C970A; its later relatives have frame tags there, of external logic (RMD2).
    """
    rig.start()
    rig.wire.deliver([frame(40)], flags=lib.NIC_FRAME_SHORT)
    rig.wire.deliver([frame(40)], flags=lib.NIC_FRAME_SHORT | lib.NIC_FRAME_BAD_FCS)
    rig.arrive(frame())
    misc = int(rig.descriptor(RX_RING, 0)["misc"])
    assert (misc >> 16 & 0xFF, misc >> 24) == ((1, 1) if rig.nic.MODEL == "pcnet" else (0, 0))
    assert rig.csr(114) == 1
    rig.csr(0, STOP)
    rig.csr(124, 8)
    rig.put_rx(0)
    rig.csr(0, STRT)
    rig.wire.deliver([frame(40)], flags=lib.NIC_FRAME_SHORT)
    rig.nic.poll()
    assert int(rig.descriptor(RX_RING, 0)["misc"]) & 0xFFF == 44


def test_16_bit_descriptors_have_no_counts_of_runts() -> None:
    """RMD3 is the message length alone, whatever came before the frame."""
    rig = Rig(style=0)
    rig.start()
    for _ in range(255):
        rig.wire.deliver([frame(40)], flags=lib.NIC_FRAME_SHORT | lib.NIC_FRAME_BAD_FCS)
    rig.arrive(frame())
    assert int(rig.descriptor(RX_RING, 0)["misc"]) == 64
    rig.nic.close()


@pytest.mark.parametrize(
    ("mode", "to", "expected"),
    [
        (0, MAC, Rx.PAM),
        (0, b"\xff" * 6, Rx.BAM),
        (0, PEER, None),
        (0x2000, MAC, None),
        (0x4000, b"\xff" * 6, None),
        (0x8000, PEER, 0),
        (0, bytes.fromhex("01005e000001"), None),
    ],
)
def test_address_filter(rig: Rig, mode: int, to: bytes, expected: int | None) -> None:
    rig.start(mode)
    rig.arrive(frame(to=to))
    status = rig.status(RX_RING, 0)
    assert bool(status & Rx.OWN) == (expected is None)
    if expected is not None:
        assert status & (Rx.PAM | Rx.LAFM | Rx.BAM) == expected


@pytest.mark.parametrize("to", [bytes.fromhex("01005e000001"), bytes.fromhex("333300000016"), b"\xff" * 6])
def test_logical_address_filter(rig: Rig, to: bytes) -> None:
    """One of 64 bits by the six highest of the CRC; a broadcast is one only where DRCVBC says so (Address Matching)."""
    bit = int(lib.nic_hash_little(to)) >> 26
    broadcast = to == b"\xff" * 6
    for number in range(8, 12):
        rig.csr(number, 1 << bit % 16 if number == 8 + bit // 16 else 0)
    rig.csr(15, 0x4000 if broadcast else 0)
    for number, value in {24: RX_RING, 25: 0, 30: TX_RING, 31: 0, 76: -4 & 0xFFFF, 78: -4 & 0xFFFF}.items():
        rig.csr(number, value)
    rig.csr(0, STRT)
    rig.arrive(frame(to=to))
    assert rig.status(RX_RING, 0) & (Rx.OWN | Rx.PAM | Rx.LAFM | Rx.BAM) == Rx.LAFM
    rig.csr(5, 1)
    rig.csr(8 + bit // 16, ~(1 << bit % 16) & 0xFFFF)
    rig.csr(5, 0)
    rig.arrive(frame(to=to))
    assert rig.status(RX_RING, 1) & Rx.OWN


def test_receive_collision_counter_overflows(rig: Rig) -> None:
    """CSR114 and CSR4.RCVCCO."""
    rig.csr(4, 0x0105)  # RCVCCO is not masked
    rig.csr(114, 0xFFFF)
    rig.start()
    rig.wire.deliver([frame(40)], flags=lib.NIC_FRAME_SHORT | lib.NIC_FRAME_BAD_FCS)
    rig.nic.poll()
    assert rig.csr(114) == 0
    assert rig.csr(4) & 0x20
    assert rig.csr(0) & INTR


def test_pad_stripping(rig: Rig) -> None:
    """CSR4.ASTRP_RCV: padding and FCS go where the length field is below 46, and only there."""
    rig.start()
    rig.csr(4, 0x0515)
    rig.arrive(frame(60, kind=10), frame(60, kind=46))
    assert [int(rig.descriptor(RX_RING, i)["misc"]) & 0xFFF for i in (0, 1)] == [24, 64]


def test_alignment(rig: Rig) -> None:
    rig.start()
    rig.csr(122, 1)
    rig.arrive(frame(100))
    assert int(rig.descriptor(RX_RING, 0)["misc"]) & 0xFFF == 104
    assert rig.memory.read(RX_BUFFERS + 2, 100) == frame(100)


def test_look_ahead_packet_processing(rig: Rig) -> None:
    """CSR3.LAPPEN: frames begin at descriptors with STP; others go back unused."""
    rig.put_rx(1, flags=Rx.OWN | Rx.STP)
    rig.start()
    rig.csr(3, 0x20)
    rig.arrive(frame())
    assert rig.status(RX_RING, 0) & (Rx.OWN | Rx.STP | Rx.ENP) == 0
    assert rig.status(RX_RING, 1) & (Rx.OWN | Rx.ENP) == Rx.ENP


# ------------------------------------------------------------------ transmit


def test_padding_is_asked_for(rig: Rig) -> None:
    """CSR4.APAD_XMT; without it a short frame leaves as it is, and that is a finding."""
    rig.start()
    rig.send(frame(20, PEER))
    assert rig.wire.frames.pop() == frame(20, PEER)
    assert rig.nic.finding_counts == {"pcnet.tx.runt": 1}
    rig.csr(4, 0x0915)
    rig.send(frame(20, PEER), 1)
    assert rig.wire.frames.pop() == frame(20, PEER).ljust(60, b"\0")
    assert rig.nic.finding_counts == {"pcnet.tx.runt": 1}


def test_chain(rig: Rig) -> None:
    rig.start()
    data = frame(300, PEER)
    rig.put_tx(1, data[100:], Tx.OWN | Tx.ENP)
    rig.put_tx(0, data[:100], Tx.OWN | Tx.STP)
    rig.csr(0, TDMD)
    assert rig.wire.frames == [data]
    assert not (rig.status(TX_RING, 0) | rig.status(TX_RING, 1)) & (Tx.OWN | Tx.ERR)
    assert "pcnet.tx.chain-broken" not in rig.nic.finding_counts


@pytest.mark.parametrize("dxsuflo", [False, True])
def test_broken_chain(rig: Rig, dxsuflo: bool) -> None:
    """TMD2.BUFF and UFLO; the transmitter goes off unless CSR3.DXSUFLO."""
    rig.start()
    rig.csr(3, 0x40 if dxsuflo else 0)
    misc = rig.send(frame(100, PEER), flags=Tx.OWN | Tx.STP)
    assert misc & (TxMisc.BUFF | TxMisc.UFLO) == TxMisc.BUFF | TxMisc.UFLO
    assert rig.status(TX_RING, 0) & Tx.ERR
    assert bool(rig.csr(0) & TXON) == dxsuflo
    assert rig.nic.finding_counts["pcnet.tx.chain-broken"] == 1


def test_descriptor_without_start_is_given_back(rig: Rig) -> None:
    rig.start()
    rig.put_tx(1, frame(60, PEER))
    rig.send(frame(60, PEER), flags=Tx.OWN | Tx.ENP)
    assert not rig.status(TX_RING, 0) & Tx.OWN
    assert len(rig.wire.frames) == 1
    assert rig.nic.finding_counts["pcnet.tx.no-start"] == 1


TDR = 100 << 16  # of a collision in the first slot time


def tdr(rig: Rig) -> int:
    """What the Am79C970A adds to RTRY in TMD2: when the collision came, in 100 ns (TMD2, TDR)."""
    return TDR if rig.nic.MODEL == "pcnet" else 0


@pytest.mark.parametrize(
    ("what", "misc", "flags"),
    [
        ("late-collision", TxMisc.LCOL, Tx.ERR),
        ("excessive-collisions", TxMisc.RTRY | 15, Tx.ERR | Tx.MORE),
        ("one-collision", 1, Tx.ONE),
        ("more-collisions", 2, Tx.MORE),
        ("deferral", 0, Tx.DEF),
        ("excessive-deferral", TxMisc.EXDEF, 0),
        ("carrier-loss", TxMisc.LCAR, Tx.ERR),
        ("underflow", TxMisc.UFLO, Tx.ERR),
    ],
)
def test_what_a_wire_does(rig: Rig, what: str, misc: int, flags: int) -> None:
    rig.start()
    rig.nic.disturb(what)
    assert rig.send(frame(60, PEER)) == misc | (tdr(rig) if misc & TxMisc.RTRY else 0)
    assert rig.status(TX_RING, 0) & (Tx.ERR | Tx.MORE | Tx.ONE | Tx.DEF) == flags
    assert rig.csr(0) & TINT
    assert bool(rig.csr(5) & 0x80) == (what == "excessive-deferral")
    assert rig.wire.frames == ([] if misc & (TxMisc.LCOL | TxMisc.RTRY | TxMisc.UFLO) else [frame(60, PEER)])


def test_16_bit_descriptors_have_no_retry_count() -> None:
    """TMD3 is the upper half of TMD2: TRC is not in it."""
    rig = Rig(style=0)
    rig.start()
    rig.nic.disturb("one-collision")
    assert rig.send(frame(60, PEER)) == 0
    assert rig.status(TX_RING, 0) & Tx.ONE
    rig.nic.disturb("excessive-collisions")
    assert rig.send(frame(60, PEER), 1) == TxMisc.RTRY | TDR
    rig.nic.close()


def test_unknown_disturbance(rig: Rig) -> None:
    with pytest.raises(ConfigurationError, match="expected one of late-collision"):
        rig.nic.disturb("flood")


def test_bus_timeout_and_heartbeat() -> None:
    rig = Rig()
    rig.start()
    rig.nic.disturb("no-heartbeat")
    rig.send(frame(60, PEER))
    assert rig.csr(0) & CERR
    rig.nic.disturb("bus-timeout")
    rig.send(frame(60, PEER), 1)
    assert rig.csr(0) & (MERR | TXON | RXON) == MERR
    rig.nic.close()


def test_babble(rig: Rig) -> None:
    rig.start()
    rig.send(frame(1519, PEER))
    assert rig.csr(0) & (BABL | ERR) == BABL | ERR
    assert rig.nic.finding_counts["pcnet.tx.babble"] == 1


def test_jabber() -> None:
    """A frame that would take more than 20 ms is cut off by the 10BASE-T transceiver (CSR4.JAB)."""
    rig = Rig(count=8)
    rig.start()
    for index in range(1, 8):
        rig.put_tx(index, bytes(4096), Tx.OWN | (Tx.ENP if index == 7 else 0))
    rig.send(frame(4096, PEER), flags=Tx.OWN | Tx.STP)
    assert rig.csr(4) & 2
    assert not rig.wire.frames
    assert not any(rig.status(TX_RING, index) & Tx.OWN for index in range(8))
    rig.nic.close()


@pytest.mark.parametrize("good", [True, False])
def test_fcs_from_the_host(rig: Rig, good: bool) -> None:
    """CSR15.DXMTFCS: the last four bytes are the FCS; loopback shows what it is worth (DTCR)."""
    rig.start(LOOPS | 8)
    data = frame(100)
    fcs = zlib.crc32(data) ^ (0 if good else 1)
    rig.send(data + fcs.to_bytes(4, "little"))
    assert bool(rig.status(RX_RING, 0) & Rx.CRC) != good
    assert int(rig.descriptor(RX_RING, 0)["misc"]) & 0xFFF == 104


def test_interrupts_of_sent_frames(rig: Rig) -> None:
    """CSR5.LTINTEN with TMD1.LTINT, and CSR5.TOKINTD."""
    rig.start()
    rig.csr(5, 0x4000)
    rig.send(frame(60, PEER))
    assert not rig.csr(0) & TINT
    rig.send(frame(60, PEER), 1, Tx.OWN | Tx.STP | Tx.ENP | Tx.LTINT)
    assert rig.csr(0) & TINT
    rig.csr(0, TINT)
    rig.csr(5, 0x8000)
    rig.send(frame(60, PEER), 2)
    assert not rig.csr(0) & TINT


def test_polling(rig: Rig) -> None:
    """Without TDMD the ring is looked at every CSR47 clocks, unless TXDPOLL."""
    rig.start()
    rig.put_tx(0, frame(60, PEER))
    rig.clock.advance(3_000_000)
    assert len(rig.wire.frames) == 1
    rig.csr(4, 0x1115)
    rig.put_tx(1, frame(60, PEER))
    rig.clock.advance(10_000_000)
    assert len(rig.wire.frames) == 1


@pytest.mark.parametrize("profile", ["instant", "wire"])
@pytest.mark.parametrize(("interval", "ns"), [(0, 1_966_080), (0x8000, 983_040), (0xFFFF, 500_000)])
def test_polling_interval(profile: str, interval: int, ns: int) -> None:
    """CSR47 counts bus clocks of 30 ns, two's complement; less than 0.5 ms is 0.5 ms."""
    rig = Rig(profile=profile)
    rig.csr(47, interval)
    rig.start(start=False)
    rig.clock.advance(10**6)
    rig.csr(0, STRT)
    rig.put_tx(0, frame(60, PEER))
    rig.clock.advance(ns - 1)
    assert not rig.csr(4) & 8  # TXSTRT
    rig.clock.advance(1)
    assert rig.csr(4) & 8
    rig.nic.close()


# ------------------------------------------------------------------ loopback (Loopback Operation)


def test_internal_loopback(rig: Rig) -> None:
    """Frames come back and do not leave; short ones are accepted."""
    rig.start(LOOPS)
    rig.send(frame(40))
    assert not rig.wire.frames
    assert int(rig.descriptor(RX_RING, 0)["misc"]) & 0xFFF == 44
    assert rig.memory.read(RX_BUFFERS, 40) == frame(40)


@pytest.mark.parametrize(("drty", "retries"), [(0, 15), (0x20, 0)])
def test_forced_collision(rig: Rig, drty: int, retries: int) -> None:
    rig.start(LOOPS | 0x10 | drty)
    assert rig.send(frame()) == TxMisc.RTRY | tdr(rig) | retries
    assert rig.status(RX_RING, 0) & Rx.OWN


def test_external_loopback() -> None:
    rig = Rig(backend=Loopback())
    rig.start(4)
    rig.send(frame(80))
    rig.nic.poll()
    assert rig.memory.read(RX_BUFFERS, 80) == frame(80)
    rig.nic.close()


def test_mii_loopback() -> None:
    rig = Rig("pcnet-fast3")
    rig.start()
    rig.bcr(32, rig.bcr(32) | 2)
    rig.send(frame(80))
    assert not rig.wire.frames
    assert rig.memory.read(RX_BUFFERS, 80) == frame(80)
    rig.nic.close()


# ------------------------------------------------------------------ interrupts


def test_line(rig: Rig) -> None:
    rig.start()
    rig.arrive(frame())
    assert not rig.levels
    rig.csr(0, IENA)
    assert rig.levels == [True]
    rig.csr(3, 0x0400)  # RINTM
    assert rig.levels == [True, False]
    assert not rig.csr(0) & INTR
    rig.csr(3, 0)
    rig.csr(0, RINT | IENA)
    assert rig.levels == [True, False, True, False]


def test_user_interrupt(rig: Rig) -> None:
    rig.start()
    rig.csr(0, IENA)
    rig.csr(4, 0x0195)
    assert rig.csr(4) & 0xC0 == 0x40
    assert rig.nic.interrupt
    rig.csr(4, 0x0155)
    assert not rig.nic.interrupt


def test_software_timer() -> None:
    """BCR31 runs down in 12.8 us, again and again (CSR7.STINT)."""
    rig = Rig("pcnet-fast3")
    rig.start()
    rig.csr(0, IENA)
    rig.csr(7, 0x0400)
    rig.bcr(31, 100)
    rig.clock.advance(1_279_999)
    assert not rig.nic.interrupt
    rig.clock.advance(1)
    assert rig.nic.interrupt
    rig.csr(7, 0x0C00)
    assert not rig.nic.interrupt
    rig.clock.advance(1_280_000)
    assert rig.nic.interrupt
    assert "pcnet.timer.zero" not in rig.nic.finding_counts
    rig.bcr(31, 0)
    assert rig.nic.finding_counts["pcnet.timer.zero"] == 1
    rig.nic.close()


def test_master_abort(rig: Rig) -> None:
    """SINT, PCI's RMABORT, and CSRs as after STOP; the interrupt needs no IENA."""
    rig.csr(5, 0x0400)
    rig.start()
    rig.put(TX_RING, 0, 0x7000_0000, 100, Tx.OWN | Tx.STP | Tx.ENP)
    rig.csr(0, TDMD | IENA)
    assert rig.csr(0) & 0x3F == STOP
    assert rig.csr(5) & 0x0800
    assert rig.nic.config.read(6, 2) & 0x2000
    assert rig.nic.interrupt
    assert rig.nic.finding_counts["pcnet.dma.unmapped"] == 1


# ------------------------------------------------------------------ EEPROM, link, PHY, power


def test_preload_with_a_wrong_checksum(rig: Rig) -> None:
    assert rig.bcr(19) & 0xA000 == 0xA000
    rig.nic.eeprom.write_word(8, rig.nic.eeprom.read_word(8) ^ 1)
    rig.bcr(19, 0x4000)
    assert rig.bcr(19) & 0xA000 == 0x2000


def test_link_led(rig: Rig) -> None:
    assert rig.bcr(4) & 0x8000
    rig.nic.set_link(False)
    assert not rig.bcr(4) & 0x8000


def test_leds_of_speed_and_duplex() -> None:
    """BCR4 to BCR7: SPEEDE shows 100 Mb/s, FDLSE a full duplex link, LEDDIS and LEDPOL nothing to software."""
    rig = Rig("pcnet-fast3")
    for value, lit in ((0x02, True), (0x100, True), (0x200, False), (0, False)):
        rig.bcr(5, value)
        assert bool(rig.bcr(5) & 0x8000) == lit
    rig.nic.set_link(False)
    rig.bcr(5, 0x142)
    assert not rig.bcr(5) & 0x8000
    rig.nic.close()


def test_full_duplex_of_10base_t() -> None:
    """BCR9.FDEN: the far side is not asked (Full-Duplex Operation)."""
    rig = Rig()
    rig.bcr(5, 0x100)
    assert not rig.bcr(5) & 0x8000
    rig.bcr(9, 1)
    assert rig.bcr(5) & 0x8000
    rig.nic.close()


def test_sending_without_a_link() -> None:
    """10BASE-T in Link Fail: LCAR and CERR, unless DLNKTST."""
    rig = Rig()
    rig.start()
    rig.nic.set_link(False)
    assert rig.send(frame(60, PEER)) & TxMisc.LCAR
    assert rig.csr(0) & CERR
    assert rig.nic.finding_counts["pcnet.tx.link-down"] == 1
    rig.nic.close()


def test_phy() -> None:
    rig = Rig("pcnet-fast3")

    def read(register: int, phy: int = 0x1E) -> int:
        rig.bcr(33, phy << 5 | register)
        return rig.bcr(34)

    assert (read(2), read(3)) == (0, 0x6B60)
    read(1)  # the link bit tells of a loss once (802.3 22.2.4.2.13)
    assert read(1) & 0x24 == 0x24
    assert read(24) & 0xF == 0xF
    assert read(1, phy=3) == 0xFFFF
    assert rig.csr(7) & 0x0200
    assert rig.nic.finding_counts["pcnet.mii.bad-phy"] == 1
    rig.nic.close()


@pytest.mark.parametrize(
    ("to", "wide", "wakes"), [(MAC, False, True), (b"\xff" * 6, False, False), (b"\xff" * 6, True, True)]
)
def test_magic_packet(to: bytes, wide: bool, wakes: bool) -> None:
    woken: list[int] = []
    rig = Rig("pcnet-fast3", on_wake=woken.append)
    rig.start()
    rig.csr(5, 0x0A | (0x20 if wide else 0))
    rig.arrive(to + PEER + b"\x08\x42" + b"\xff" * 6 + MAC * 16)
    assert bool(rig.csr(5) & 0x10) == wakes
    assert woken == ([0x20] if wakes else [])
    assert rig.status(RX_RING, 0) & Rx.OWN
    rig.nic.close()


def test_d3_ends_in_a_reset() -> None:
    rig = Rig("pcnet-fast3")
    rig.start()
    rig.nic.config.write(0x44, 3, 2)
    assert rig.bar.read(0x10, 2) == 0xFFFF
    rig.nic.config.write(0x44, 0, 2)
    assert rig.csr(0) == STOP
    rig.nic.close()


def test_patterns_wake_the_system() -> None:
    """The pattern match RAM: 64 words of five bytes by BCR45 to BCR47; control byte, skip and mask (OnNow)."""
    woken: list[int] = []
    rig = Rig("pcnet-fast3", on_wake=woken.append)

    def word(address: int, *content: int) -> None:
        for number, value in ((45, address | content[0] << 8), (46, content[1] | content[2] << 8)):
            rig.bcr(number, value)
        rig.bcr(47, content[3] | content[4] << 8)

    word(0, 1 << 2, 0, 0, 2, 0)  # pattern 2 begins at word 2
    word(1, 0, 0, 0, 0, 0)
    word(2, 3 << 4 | 0x3, 0x88, 0xB5, 0, 0)  # bytes 12 and 13 of the frame
    word(3, 1 << 4 | 0x80 | 0x8, 0, 0, 0, 9)  # byte 23, the last that counts
    rig.bcr(45, 2)
    assert (rig.bcr(45), rig.bcr(46), rig.bcr(47)) == (2 | 0x33 << 8, 0x88 | 0xB5 << 8, 0)
    rig.start()
    rig.arrive(frame(to=PEER))
    assert not woken
    rig.bcr(45, 0x80)  # PMAT_MODE: the RAM cannot be accessed
    assert rig.bcr(46) == 0
    rig.bcr(47, 0xFFFF)
    rig.arrive(frame(to=PEER, kind=0x0800), frame(40, to=PEER)[:23] + b"\0" * 37)
    assert not woken
    rig.arrive(frame(to=PEER), frame(to=PEER))
    assert woken == [0x80]
    assert rig.csr(116) & 0x80
    assert rig.nic.config.read(0x44, 2) & 0x8000  # PME_STATUS
    rig.csr(116, 0x80)
    rig.nic.config.write(0x44, 0x8003, 2)  # D3: patterns are still looked for, nothing is stored or missed
    rig.arrive(frame(to=PEER), frame())
    assert woken == [0x80, 0x80]
    assert rig.status(RX_RING, 0) & Rx.OWN
    assert "pcnet.rx.missed" not in rig.nic.finding_counts
    rig.nic.close()


# ------------------------------------------------------------------ big endian buffers


@pytest.mark.parametrize("offset", range(4))
def test_big_endian_buffers(rig: Rig, offset: int) -> None:
    """CSR3.BSWP: byte n of a frame is at its address with the two lowest bits inverted; descriptors stay."""
    rig.start()
    rig.csr(3, 4)
    data = frame(1501, PEER)
    swapped = bytearray(rig.memory.read(TX_BUFFERS, 1600))
    for n, byte in enumerate(data):
        swapped[offset + n ^ 3] = byte
    rig.memory.write(TX_BUFFERS, bytes(swapped))
    rig.put(TX_RING, 0, TX_BUFFERS + offset, len(data), Tx.OWN | Tx.STP | Tx.ENP)
    rig.csr(0, TDMD)
    assert rig.wire.frames == [data]
    rig.put(RX_RING, 0, RX_BUFFERS + offset, 1600, Rx.OWN)
    before = rig.memory.read(RX_BUFFERS, 1600)
    rig.arrive(frame(1501))
    stored = rig.memory.read(RX_BUFFERS, 1600)
    places = [offset + n ^ 3 for n in range(1505)]
    assert bytes(stored[at] for at in places[:1501]) == frame(1501)
    assert all(stored[at] == before[at] for at in range(1600) if at not in places)


def test_big_endian_buffers_go_on_at_address_0(rig: Rig) -> None:
    """A buffer that begins 512 bytes before 4 GiB: the bus has 32 address lines."""
    top = bytearray(4096)
    rig.memory.add((1 << 32) - len(top), top)
    data = frame(1501, PEER)
    whole = bytearray(2048)
    for n, byte in enumerate(data):
        whole[n ^ 3] = byte
    top[-512:] = whole[:512]
    rig.start()
    rig.csr(3, 4)
    low = rig.memory.read(0, 1024)
    rig.memory.write(0, bytes(whole[512:1536]))
    rig.put(TX_RING, 0, (1 << 32) - 512, len(data), Tx.OWN | Tx.STP | Tx.ENP)
    rig.csr(0, TDMD)
    assert rig.wire.frames == [data]
    rig.memory.write(0, low)
    rig.put(RX_RING, 0, (1 << 32) - 512, 1000, Rx.OWN)
    rig.arrive(frame(900))
    stored = bytes(top[-512:]) + rig.memory.read(0, 512)
    assert bytes(stored[n ^ 3] for n in range(900)) == frame(900)


# ------------------------------------------------------------------ the reference driver


@pytest.mark.parametrize("dword", [False, True])
@pytest.mark.parametrize("style", LAYOUTS)
@pytest.mark.parametrize("profile", ["instant", "wire", "chaos"])
def test_driver(style: int, dword: bool, profile: str) -> None:
    clock = nicemu.Clock.virtual()
    nic = nicemu.create(
        "pcnet-fast3", memory=nicemu.GuestMemory(1 << 20), backend=Loopback(), clock=clock, profile=profile
    )
    driver = PCnetDriver(nic, style=style, dword=dword, tx_count=8, rx_count=8)
    driver.start()
    driver.wait(driver.link_up, "link")
    for size in (60, 700, 1514):
        driver.send(frame(size, driver.mac), cuts=(20, 30))
        got: list[bytes] = []
        driver.wait(lambda got=got: bool(got.extend(f.data for f in driver.receive()) or got), "frame")
        assert got == [frame(size, driver.mac)]
    driver.stop()
    assert nic.finding_counts == {}
    nic.close()


def test_driver_options() -> None:
    nic = nicemu.create("pcnet", memory=nicemu.GuestMemory(1 << 20))
    for options in ({"style": 4}, {"rx_count": 3}, {"rx_count": 256, "style": 0}):
        with pytest.raises(ConfigurationError):
            PCnetDriver(nic, **options)
    nic.close()


def test_ethtool_dump() -> None:
    """136 words for the Am79C970A, 32 more for the Am79C973's PHY; CSR88 where pcnet32 puts it."""
    for model, words in (("pcnet", 136), ("pcnet-fast3", 168)):
        with nicemu.create(model) as nic:
            dump = nic.ethtool_dump()
            assert dump.driver == "pcnet32"
            assert len(dump.data) == 2 * words
            assert np.frombuffer(dump.data, np.uint16)[8 + 88] == (0x1003 if model == "pcnet" else 0x5003)


def test_eeprom_file(tmp_path: Any) -> None:
    with nicemu.create("pcnet", eeprom=tmp_path / "e.bin") as nic:
        assert nic.mac == MAC
    content = bytearray((tmp_path / "e.bin").read_bytes())
    assert sum(content[:36]) & 0xFF == 0xFF
    with nicemu.create("pcnet", eeprom=tmp_path / "e.bin", mac="52:54:00:00:00:01") as nic:
        assert nic.mac == MAC
    (tmp_path / "e.bin").write_bytes(b"short")
    with pytest.raises(ConfigurationError, match="expected 128"):
        nicemu.create("pcnet", eeprom=tmp_path / "e.bin")
