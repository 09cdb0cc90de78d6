"""The DP8390 core on all boards, by its data sheet.

Sections are those of National's DP8390D (July 1995); AN-937 is its application note on loopback.
"""

from __future__ import annotations

import zlib
from itertools import count

import pytest
from ne2000_rig import (
    AB,
    ABT,
    AM,
    AR,
    ARM,
    ATD,
    BOS,
    BYTE_NS,
    CDH,
    CNT,
    COL,
    CRC,
    CRS,
    DATA,
    DFR,
    DIS,
    FAE,
    FCS,
    FO,
    FU,
    INHIBIT,
    LS,
    MON,
    MPA,
    ND,
    NO_DMA,
    OVW,
    OWC,
    PEER,
    PHY,
    PRO,
    PRX,
    PTX,
    RDC,
    READ,
    RESET,
    RST,
    RXE,
    SEND,
    SEP,
    STA,
    STATION,
    STP,
    TXE,
    TXP,
    WRITE,
    WTS,
    Rig,
    frame,
)

from nicemu.backends import Pair
from nicemu.drivers.ne2000 import group_hash
from nicemu.engine import lib
from nicemu.errors import ConfigurationError

BROADCAST, OTHER = b"\xff" * 6, bytes.fromhex("525400999999")
BOARDS = ("ne2k_pci", "ne2k_isa", "ne1k_isa", "rtl8019as")
#: Bits of TSR that are always 1 (RTL8029AS, RTL8019AS: TSR).
ONES = {"ne2k_pci": ND, "rtl8019as": ND | FU}
REALTEK = tuple(ONES)
FT_8 = 2 << 5


@pytest.fixture(params=BOARDS)
def board(request: pytest.FixtureRequest) -> str:
    """Every board in turn."""
    return str(request.param)


def fcs(data: bytes) -> bytes:
    return zlib.crc32(data).to_bytes(4, "little")


def group(hashed: int) -> bytes:
    """A group address that hashes to a given bit of MAR."""
    return next(a for n in count() if group_hash(a := b"\x01\x00\x5e" + n.to_bytes(3, "big")) == hashed)


# ------------------------------------------------------------------ command register, reset (10.3 CR, ISR; 11.0)


def test_after_power_on(board: str) -> None:
    rig = Rig(board)
    assert rig.io.read(0, 1) == 0x21, "stopped, remote DMA aborted"
    assert rig.read("ISR") & RST
    assert rig.read("IMR_READ") & 0x7F == 0
    assert rig.read("DCR_READ") & 0x04 == 0
    assert rig.read("TCR_READ") & 0x06 == 0


def test_states_of_the_command_register(board: str) -> None:
    """STA stays set when STP is set on top of it; only STA alone runs the chip."""
    rig = Rig(board).start()
    assert rig.io.read(0, 1) == 0x22
    assert not rig.read("ISR") & RST
    rig.command(STP)
    assert rig.io.read(0, 1) == 0x23
    assert rig.read("ISR") & RST
    rig.command(STA)
    assert rig.io.read(0, 1) == 0x22
    assert not rig.read("ISR") & RST


def test_the_transmit_bit_clears_itself() -> None:
    rig = Rig(profile="wire").start()
    rig.send(frame(60))
    assert rig.io.read(0, 1) == 0x26
    rig.io.write(0, STA | NO_DMA, 1)
    assert rig.io.read(0, 1) == 0x26, "it cannot be taken back"
    rig.clock.advance(10**6)
    assert rig.io.read(0, 1) == 0x22


def test_no_remote_command_is_none() -> None:
    """000 is not allowed: what is under way goes on, and the last command reads back."""
    rig = Rig().start()
    rig.poke(0x4000, bytes(range(8)))
    rig.remote(READ, 0x4000, 8)
    rig.io.write(0, STA, 1)
    assert rig.io.read(0, 1) == STA | READ
    assert rig.io.read_repeat(DATA, 2, 4) == bytes(range(8))


def test_pages_of_registers(board: str) -> None:
    rig = Rig(board).start()
    assert [rig.read("PAR", n) for n in range(6)] == list(STATION)
    assert (rig.read("PSTART_READ"), rig.read("PSTOP_READ"), rig.read("CURR")) == (rig.first, rig.last, rig.first)
    assert rig.read("RCR_READ") & 0x3F == AB
    assert rig.read("DCR_READ") & 0x7F == (WTS if rig.words else 0) | LS | FT_8
    rig.write("IMR", 0x55)
    assert rig.read("IMR_READ") & 0x7F == 0x55


def test_diagnostic_registers_of_page_2(board: str) -> None:
    """10.1: local DMA can be aimed, the pointers of local and remote DMA and the address counter are read back."""
    rig = Rig(board).start()
    rig.write("CLDA0_WRITE", 0x34)
    rig.write("CLDA1_WRITE", 0x12)
    assert (rig.read("CLDA0"), rig.read("CLDA1")) == (0x34, 0x12)
    for name, value in (("RNPP", 0x11), ("LNPP", 0x22), ("ACU", 0x33), ("ACL", 0x44)):
        rig.write(name, value)
        assert rig.read(name) == value
    rig.arrive(frame(60))
    assert rig.read("LNPP") == rig.first + 1


def test_what_power_on_leaves_undefined_comes_from_the_seed(board: str) -> None:
    def found(seed: int) -> list[int]:
        rig = Rig(board, seed=seed)
        return [rig.read(name) for name in ("PSTART_READ", "PSTOP_READ", "TPSR_READ", "CURR", "BNRY")]

    assert found(1) == found(1)
    assert found(1) != found(2)


def test_stop_lets_a_packet_finish() -> None:
    """10.3 CR: STP takes effect when what is being sent has been sent; ISR.RST then says so."""
    rig = Rig(profile="wire").start()
    rig.send(frame(1000))
    rig.command(STP)
    assert not rig.read("ISR") & (RST | PTX)
    rig.clock.advance(10**6)
    assert rig.read("ISR") & (RST | PTX) == RST | PTX
    assert rig.sent() == [frame(1000)]


def test_a_stopped_chip_hears_nothing_and_counts_nothing(board: str) -> None:
    rig = Rig(board).start()
    rig.command(STP)
    rig.arrive(frame(60))
    assert (rig.read("CURR"), rig.read("CNTR2")) == (rig.first, 0)
    rig.command(STA)
    rig.arrive(frame(60))
    assert rig.read("CURR") == rig.first + 1


@pytest.mark.parametrize("port", range(0x18, 0x20))
@pytest.mark.parametrize("way", ["read", "write"])
def test_the_reset_port(port: int, way: str) -> None:
    """The board's port pulls RESET (11.0): CR, IMR and two bits are reset, and all else is left."""
    rig = Rig().start(imr=0x7F, tcr=1 << 1)
    rig.write("TPSR", 0x44)
    if way == "read":
        rig.io.read(port, 1)
    else:
        rig.io.write(port, 0, 1)
    rig.state = STP
    assert rig.io.read(0, 1) == 0x21
    assert rig.read("ISR") & RST
    assert (rig.read("IMR_READ") & 0x7F, rig.read("TCR_READ") & 6) == (0, 0)
    assert (rig.read("PSTART_READ"), rig.read("TPSR_READ"), rig.read("PAR", 5)) == (0x4C, 0x44, 0x56)


def test_interrupts_follow_isr_and_imr() -> None:
    rig = Rig().start(imr=PTX)
    assert not rig.lines or not rig.lines[-1]
    rig.send(frame(60))
    assert rig.lines[-1]
    rig.write("ISR", PTX)
    assert not rig.lines[-1]
    rig.arrive(frame(60))
    assert not rig.lines[-1], "not enabled"
    rig.write("IMR", PTX | PRX)
    assert rig.lines[-1]
    rig.write("IMR", 0)
    rig.command(STP)
    rig.write("IMR", 0x7F)
    rig.write("ISR", 0x7F)
    assert rig.read("ISR") == RST, "RST is not cleared by writing"
    assert not rig.lines[-1], "and does not interrupt"


# ------------------------------------------------------------------ remote DMA (9.0)


def test_what_is_written_is_read(board: str) -> None:
    rig = Rig(board).start()
    data = bytes(range(200))
    rig.poke(rig.tx_page << 8, data)
    assert rig.read("ISR") & RDC
    assert rig.peek(rig.tx_page << 8, 200) == data


def test_addresses_count_and_completion_is_told() -> None:
    rig = Rig().start(imr=RDC)
    rig.remote(READ, 0x4000, 6)
    assert rig.read("CRDA0") | rig.read("CRDA1") << 8 == 0x4000, "follows RSAR at once"
    rig.io.read(DATA, 2)
    rig.io.read(DATA, 2)
    assert rig.read("CRDA0") | rig.read("CRDA1") << 8 == 0x4004
    assert not rig.read("ISR") & RDC
    rig.io.read(DATA, 2)
    assert rig.read("ISR") & RDC
    assert rig.lines[-1]
    assert rig.io.read(DATA, 2) == 0xFFFF, "nobody drives the bus"


def test_bytes_and_words() -> None:
    """10.3 DCR: WTS says how much goes with each cycle; a byte access in word mode still takes a word."""
    rig = Rig().start()
    rig.poke(0x4000, bytes(range(16)))
    rig.remote(READ, 0x4000, 8)
    assert [rig.io.read(DATA, 1) for _ in range(4)] == [0, 2, 4, 6]
    rig.write("DCR", LS)
    rig.remote(READ, 0x4001, 3)
    assert [rig.io.read(DATA, 1) for _ in range(3)] == [1, 2, 3]
    assert rig.read("ISR") & RDC


def test_an_odd_count_in_words_takes_one_more() -> None:
    rig = Rig().start()
    rig.poke(0x4000, b"abcd")
    rig.remote(READ, 0x4000, 3)
    assert rig.io.read_repeat(DATA, 2, 2) == b"abcd"
    assert rig.read("ISR") & RDC


@pytest.mark.parametrize("port", range(0x10, 0x18, 2))
@pytest.mark.parametrize("size", [2, 4])
def test_every_data_port_and_width(port: int, size: int) -> None:
    rig = Rig().start()
    data = bytes(range(1, 41))
    rig.remote(WRITE, 0x4000, 40)
    for at in range(0, 40, size):
        rig.io.write(port if port + size <= 0x18 else 0x10, int.from_bytes(data[at : at + size], "little"), size)
    assert rig.read("ISR") & RDC
    rig.remote(READ, 0x4000, 40)
    values = [rig.io.read(port if port + size <= 0x18 else 0x10, size) for _ in range(40 // size)]
    assert b"".join(value.to_bytes(size, "little") for value in values) == data


@pytest.mark.parametrize("size", [1, 2, 4])
@pytest.mark.parametrize("wts", [0, WTS])
def test_a_block_is_its_accesses(size: int, wts: int) -> None:
    """insb, insw and insl in one call do what the accesses do one by one, beyond the end of the count too."""
    data = bytes(i * 7 & 0xFF for i in range(96))
    rigs = [Rig().start(dcr=wts | LS) for _ in range(2)]
    for blocks, rig in enumerate(rigs):
        rig.remote(WRITE, 0x4100, 64)
        if blocks:
            rig.io.write_repeat(DATA, size, data)
        else:
            for at in range(0, 96, size):
                rig.io.write(DATA, int.from_bytes(data[at : at + size], "little"), size)
    one, many = ([rig.read("CRDA0"), rig.read("ISR")] for rig in rigs)
    assert one == many
    for rig in rigs:
        rig.write("DCR", WTS | LS)
    assert rigs[0].peek(0x4100, 80) == rigs[1].peek(0x4100, 80)
    reads = []
    for blocks, rig in enumerate(rigs):
        rig.write("DCR", wts | LS)
        rig.remote(READ, 0x4100, 64)
        if blocks:
            reads.append(rig.io.read_repeat(DATA, size, 96 // size))
        else:
            reads.append(b"".join(rig.io.read(DATA, size).to_bytes(size, "little") for _ in range(96 // size)))
    assert reads[0] == reads[1]


@pytest.mark.parametrize("command", [READ, WRITE])
def test_remote_dma_wraps_where_the_ring_does(command: int) -> None:
    """9.0: at PSTOP the address goes on at PSTART, so that a packet is read in one piece."""
    rig = Rig().start()
    rig.poke(0x7FFC, b"abcd")
    rig.poke(0x4C00, b"efgh")
    if command == WRITE:
        rig.remote(WRITE, 0x7FFC, 8)
        rig.io.write_repeat(DATA, 2, b"ABCDEFGH")
        assert (rig.peek(0x7FFC, 4), rig.peek(0x4C00, 4)) == (b"ABCD", b"EFGH")
    else:
        assert rig.peek(0x7FFC, 8) == b"abcdefgh"
    assert rig.read("ISR") & RDC
    assert rig.read("CRDA0") | rig.read("CRDA1") << 8 == 0x4C04


def test_abort_ends_a_transfer() -> None:
    rig = Rig().start()
    rig.poke(0x4000, bytes(8))
    rig.remote(READ, 0x4000, 8)
    rig.io.read(DATA, 2)
    rig.command(STA)
    assert rig.io.read(DATA, 2) == 0xFFFF
    assert not rig.read("ISR") & RDC
    assert rig.read("CRDA0") == 2, "no byte went after the abort"


def test_a_transfer_survives_other_commands() -> None:
    """The same remote command with TXP is no new one."""
    rig = Rig(profile="wire").start()
    rig.load(frame(60))
    rig.poke(0x4600, b"abcdefgh")
    rig.remote(READ, 0x4600, 8)
    assert rig.io.read_repeat(DATA, 2, 2) == b"abcd"
    rig.command(STA | TXP | READ)
    assert rig.io.read_repeat(DATA, 2, 2) == b"efgh"
    assert not rig.found


def test_send_packet_removes_the_packet_at_the_boundary() -> None:
    """9.0: address and count come from BNRY and the header; at the end BNRY is the next packet's page."""
    rig = Rig().start(dcr=WTS | LS | ARM | FT_8)
    rig.write("BNRY", 0x4C)
    rig.write("CURR", 0x4C)
    rig.write("BNRY", 0x7F)
    rig.arrive(frame(300), frame(60, fill=1))
    rig.write("BNRY", 0x4C)
    rig.command(STA | SEND)
    assert rig.io.read_repeat(DATA, 2, 2) == bytes((PRX, 0x4E, 304 & 0xFF, 304 >> 8))
    assert rig.io.read_repeat(DATA, 2, 150) == frame(300)
    assert rig.read("ISR") & RDC
    assert rig.read("BNRY") == 0x4E
    assert rig.read("RNPP") == 0x4E


def test_send_packet_needs_autoinitialize() -> None:
    rig = Rig().start()
    rig.arrive(frame(60))
    rig.command(STA | SEND)
    assert rig.io.read(DATA, 2) == 0xFFFF
    assert rig.read("BNRY") == rig.last - 1


# ------------------------------------------------------------------ the receive ring (7.0)


def test_a_packet_in_the_ring(board: str) -> None:
    rig = Rig(board).start()
    data = frame(100, fill=7)
    rig.arrive(data)
    assert rig.packet(rig.first) == (PRX, rig.first + 1, data + fcs(data))
    assert rig.read("CURR") == rig.first + 1
    assert rig.read("BNRY") == rig.last - 1
    assert rig.read("RSR") == PRX
    assert rig.read("ISR") & (PRX | RXE) == PRX


@pytest.mark.parametrize(("length", "pages"), [(60, 1), (248, 1), (249, 2), (504, 2), (505, 3), (1514, 6)])
def test_pages_of_a_packet(length: int, pages: int) -> None:
    """Header, packet and CRC fill pages of 256 bytes; a full last page takes no further one."""
    rig = Rig().start()
    rig.arrive(frame(length))
    assert rig.packet(0x4C)[1] == 0x4C + pages
    assert rig.read("CURR") == 0x4C + pages
    assert rig.read("CLDA0") | rig.read("CLDA1") << 8 == 0x4C00 + 256 * pages


def test_a_packet_across_the_end_of_the_ring(board: str) -> None:
    rig = Rig(board).start()
    rig.write("CURR", rig.last - 2)
    rig.write("BNRY", rig.last - 3)
    data = bytes(STATION + PEER + b"\x88\xb5" + bytes(i & 0xFF for i in range(1000)))
    rig.arrive(data)
    status, following, stored = rig.packet(rig.last - 2)
    assert (status, following, stored) == (PRX, rig.first + 2, data + fcs(data))


def test_68000_order() -> None:
    """7.0: with BOS the bytes of each word change places, of the packet and of the count, not status and next page."""
    rig = Rig().start(dcr=WTS | BOS | LS | FT_8)
    data = bytes(STATION + PEER + b"\x88\xb5" + bytes(range(46)))
    rig.arrive(data)
    stored = rig.peek(0x4C00, 4 + len(data))
    assert stored[:4] == bytes((PRX, 0x4D, 0, len(data) + FCS))
    swapped = stored[4:]
    assert b"".join(swapped[i : i + 2][::-1] for i in range(0, len(data), 2)) == data
    rig.poke(0x4000, swapped)
    rig.write("TPSR", 0x40)
    rig.pair("TBCR", len(data))
    rig.command(STA | TXP)
    assert rig.sent() == [data]


def fill(rig: Rig) -> int:
    """Frames of one page until one is missed; how many were stored."""
    for n in count():
        rig.arrive(frame(60, fill=n))
        if rig.read("ISR") & OVW:
            return n
        assert n < 256
    raise AssertionError


def test_a_full_ring_overflows(board: str) -> None:
    """Local DMA reaches BNRY: OVW and RST, the packet is missed and counted, the others are whole."""
    rig = Rig(board).start()
    stored = fill(rig)
    assert stored == rig.last - rig.first - 2, "BNRY and the page before it stay free"
    assert rig.read("ISR") & (OVW | RST | RXE) == OVW | RST | RXE
    assert rig.read("RSR") & MPA
    assert rig.read("CNTR2") == 1
    page = rig.first
    for n in range(stored):
        status, page, data = rig.packet(page)
        assert (status, data[:60]) == (PRX, frame(60, fill=n))
    assert page == rig.read("CURR")


def test_an_aborted_packet_leaves_current_where_it_was() -> None:
    rig = Rig().start()
    rig.write("BNRY", 0x4F)
    rig.arrive(frame(60), frame(1514))
    assert rig.read("CURR") == 0x4D
    rig.arrive(frame(60, fill=3))
    assert rig.packet(0x4D)[2][:60] == frame(60, fill=3), "a shorter one fits"


def recover(rig: Rig) -> int:
    """The procedure of 7.0, step by step; how many packets it removed."""
    resend = rig.io.read(0, 1) & TXP
    rig.command(STP)
    rig.clock.advance(1_600_000)
    rig.pair("RBCR", 0)
    resend = resend and not rig.read("ISR") & PTX
    rig.write("TCR", 1 << 1)
    rig.command(STA)
    page = rig.read("BNRY") + 1 if rig.read("BNRY") + 1 < rig.last else rig.first
    removed = 0
    while page != rig.read("CURR"):
        _, page, _ = rig.packet(page)
        rig.write("BNRY", page - 1 if page > rig.first else rig.last - 1)
        removed += 1
    rig.write("ISR", OVW)
    rig.write("TCR", 0)
    if resend:
        rig.command(STA | TXP)
    return removed


@pytest.mark.parametrize("profile", ["instant", "wire", "chaos"])
def test_recovery_from_overflow(profile: str) -> None:
    rig = Rig(profile=profile).start()
    stored = fill(rig)
    assert recover(rig) == stored
    current = rig.read("CURR")
    rig.arrive(frame(60, fill=9))
    assert rig.packet(current)[2][:60] == frame(60, fill=9)
    assert not rig.read("ISR") & (OVW | RST)
    assert not rig.found


def test_recovery_in_the_midst_of_a_transmission() -> None:
    """STP lets the packet out, so there is nothing to send again."""
    rig = Rig(profile="wire").start()
    rig.send(frame(1000))
    fill(rig)
    recover(rig)
    rig.clock.advance(10**7)
    assert rig.sent() == [frame(1000)]


def test_without_the_procedure_local_dma_may_stay_off() -> None:
    """7.0: what the chip may do it does in some cases of `chaos`, and never once it was stopped."""
    outcomes = set()
    for seed in range(8):
        rig = Rig(profile="chaos", seed=seed).start()
        fill(rig)
        rig.write("BNRY", rig.read("CURR") - 1)
        current = rig.read("CURR")
        rig.arrive(frame(60))
        outcomes.add(rig.read("CURR") != current)
        recover(rig)
        current = rig.read("CURR")
        rig.arrive(frame(60))
        assert rig.read("CURR") != current
    assert outcomes == {False, True}


def test_held_frames_wait_for_room() -> None:
    """overflow=hold: nothing is missed; PRX stands while frames wait, and BNRY lets them in."""
    rig = Rig(overflow="hold").start()
    for n in range(60):
        rig.arrive(frame(60, fill=n))
    assert not rig.read("ISR") & OVW
    rig.write("ISR", 0xFF)
    assert rig.read("ISR") & PRX, "packets are there to be read"
    page, seen = 0x4C, []
    while page != rig.read("CURR"):
        _, page, data = rig.packet(page)
        seen.append(data[14])
        rig.write("BNRY", page - 1 if page > rig.first else rig.last - 1)
        rig.nic.poll()
    assert seen == list(range(60))
    assert rig.read("CNTR2") == 0


# ------------------------------------------------------------------ filters (10.3 RCR, PAR, MAR)


def stored(rig: Rig, *frames: bytes, flags: int = 0) -> int:
    """How many pages of the ring some frames take."""
    before = rig.read("CURR")
    rig.arrive(*frames, flags=flags)
    return rig.read("CURR") - before


@pytest.mark.parametrize(
    ("rcr", "to", "passes"),
    [
        (0, STATION, True),
        (0, OTHER, False),
        (0, BROADCAST, False),
        (AB, BROADCAST, True),
        (AB, group(5), False),
        (AM, group(5), True),
        (AM, group(6), False),
        (AM, BROADCAST, False),
        (PRO, OTHER, True),
        (PRO, group(5), False),
        (PRO, BROADCAST, False),
        (PRO | AB | AM, group(6), False),
    ],
)
def test_filters(board: str, rcr: int, to: bytes, passes: bool) -> None:
    """PRO covers physical addresses alone; groups need AM and their bit of MAR, broadcasts AB."""
    rig = Rig(board).start(rcr)
    rig.write("MAR", 1 << 5, 0)
    assert stored(rig, frame(60, to)) == passes
    if passes:
        assert rig.packet(rig.first)[0] == (PRX | PHY if to[0] & 1 else PRX)


def test_every_bit_of_mar() -> None:
    rig = Rig().start(AM)
    for hashed in range(64):
        for n in range(8):
            rig.write("MAR", 1 << (hashed & 7) if n == hashed >> 3 else 0, n)
        rig.write("BNRY", rig.read("CURR") - 1 if rig.read("CURR") > 0x4C else 0x7F)
        before = rig.read("CURR")
        rig.arrive(frame(60, group(hashed)), frame(60, group(hashed ^ 1)))
        assert (rig.read("CURR") - before) % 0x34 == 1


def test_a_broadcast_passes_by_its_hash() -> None:
    rig = Rig().start(AM)
    hashed = group_hash(BROADCAST)
    rig.write("MAR", 1 << (hashed & 7), hashed >> 3)
    assert stored(rig, frame(60, BROADCAST)) == 1


def test_the_address_is_that_of_par() -> None:
    """Not that of the PROM, which the driver only copies."""
    rig = Rig().start(0)
    for n, byte in enumerate(OTHER):
        rig.write("PAR", byte, n)
    assert stored(rig, frame(60)) == 0
    assert stored(rig, frame(60, OTHER)) == 1


def test_runts() -> None:
    """AR; fewer than 8 bytes are no packet at all.  What its sender left unpadded is no runt."""
    rig = Rig().start(0)
    assert stored(rig, frame(59), flags=lib.NIC_FRAME_SHORT) == 0
    assert stored(rig, frame(59)) == 1
    rig = Rig().start(AR)
    assert stored(rig, frame(20), flags=lib.NIC_FRAME_SHORT) == 1
    assert rig.packet(0x4C)[2] == frame(20) + fcs(frame(20))
    assert stored(rig, frame(7), flags=lib.NIC_FRAME_SHORT) == 0


@pytest.mark.parametrize(
    ("flag", "status", "counter"),
    [(lib.NIC_FRAME_BAD_FCS, CRC, "CNTR1"), (lib.NIC_FRAME_ALIGNMENT, CRC | FAE, "CNTR0")],
)
def test_errors(flag: int, status: int, counter: str) -> None:
    """10.3 RSR: counted and not saved, but with SEP; a frame alignment error shows CRC too, and has its own tally."""
    rig = Rig().start()
    assert stored(rig, frame(60), flags=flag) == 0
    assert rig.read("RSR") == status
    assert rig.read("ISR") & (PRX | RXE) == RXE
    assert [rig.read(name) for name in ("CNTR0", "CNTR1", "CNTR2")] == [
        int(name == counter) for name in ("CNTR0", "CNTR1", "CNTR2")
    ]
    rig.write("RCR", SEP)
    assert stored(rig, frame(60), flags=flag) == 1
    assert rig.packet(0x4C)[0] == status
    assert stored(rig, frame(60, OTHER), flags=flag) == 0
    assert rig.read(counter) == 1, "only of packets that are recognized"


def test_monitor_mode() -> None:
    """Packets are recognized, checked and counted as missed, not stored; DIS shows it."""
    rig = Rig().start(MON | AB)
    assert rig.read("RSR") & DIS
    assert stored(rig, frame(60), frame(60, OTHER)) == 0
    assert rig.read("CNTR2") == 1
    assert rig.read("RSR") & (MPA | DIS) == MPA | DIS
    assert rig.read("ISR") & (PRX | RXE) == RXE, "a missed packet is an error (10.3 ISR)"
    rig.write("RCR", AB)
    assert not rig.read("RSR") & DIS


def test_tally_counters() -> None:
    """CNT at 128, stop at 192, cleared by reading."""
    rig = Rig().start(imr=CNT)
    for _ in range(127):
        rig.arrive(frame(60), flags=lib.NIC_FRAME_BAD_FCS)
    assert not rig.read("ISR") & CNT
    rig.arrive(frame(60), flags=lib.NIC_FRAME_BAD_FCS)
    assert rig.read("ISR") & CNT
    assert rig.lines[-1]
    for _ in range(100):
        rig.arrive(frame(60), flags=lib.NIC_FRAME_BAD_FCS)
    assert rig.read("CNTR1") == 192
    assert rig.read("CNTR1") == 0


# ------------------------------------------------------------------ transmission (8.0)


def test_a_packet_leaves(board: str) -> None:
    rig = Rig(board).start()
    rig.send(frame(100))
    assert rig.sent() == [frame(100)]
    assert rig.read("TSR") == 1 | ONES.get(board, 0)
    assert rig.read("NCR") == 0
    assert rig.read("ISR") & PTX


@pytest.mark.parametrize("length", [1, 14, 59, 60, 1514, 2000])
def test_packets_leave_as_they_are(board: str, length: int) -> None:
    """8.0: nothing is padded, and nothing is too long for the chip."""
    rig = Rig(board).start()
    rig.send(frame(length))
    assert rig.sent() == [frame(length)]


def test_a_packet_takes_its_time() -> None:
    """Preamble, packet, CRC and gap at 10 Mb/s."""
    rig = Rig(profile="wire").start()
    rig.send(frame(1000))
    time = (8 + 1000 + FCS + 12) * BYTE_NS
    rig.clock.advance(time - 1)
    assert not rig.read("ISR") & PTX
    rig.clock.advance(1)
    assert rig.read("ISR") & PTX
    assert rig.sent() == [frame(1000)]


def test_crc_of_the_driver() -> None:
    """10.3 TCR: with CRC inhibited the last four bytes of the packet are its CRC, right or wrong."""
    rig = Rig().start(tcr=INHIBIT)
    rig.send(frame(60) + fcs(frame(60)))
    assert rig.sent() == [frame(60)]
    here, there = Pair.create()
    rig, peer = Rig(backend=here).start(tcr=INHIBIT), Rig(backend=there).start()
    rig.send(frame(60) + fcs(frame(60)))
    rig.send(frame(60) + b"beef")
    peer.nic.poll()
    assert (peer.read("CURR"), peer.read("CNTR1")) == (0x4D, 1), "one was good, one was not"


def test_without_a_link_there_is_no_carrier() -> None:
    rig = Rig().start()
    rig.nic.set_link(False)
    rig.send(frame(60))
    assert rig.read("TSR") & CRS
    assert rig.sent() == []


def test_a_multicast_switches_the_transmitter_off_and_on() -> None:
    """10.3 TCR: with ATD, hash 62 disables it and hash 63 enables it."""
    rig = Rig().start(AM, ATD)
    rig.write("MAR", 0xC0, 7)
    rig.arrive(frame(60, group(62)))
    rig.send(frame(60))
    assert rig.sent() == []
    rig.arrive(frame(60, group(63)))
    assert rig.sent() == [frame(60)]
    rig = Rig().start(AM)
    rig.write("MAR", 0xC0, 7)
    rig.arrive(frame(60, group(62)))
    rig.send(frame(60))
    assert rig.sent() == [frame(60)], "not without ATD"


@pytest.mark.parametrize(
    ("what", "status", "collisions"),
    [
        ("one-collision", COL, 1),
        ("more-collisions", COL, 2),
        ("late-collision", OWC | COL, 1),
        ("carrier-loss", CRS, 0),
        ("no-heartbeat", CDH, 0),
    ],
)
def test_what_a_packet_met_on_its_way(board: str, what: str, status: int, collisions: int) -> None:
    """10.3 TSR, NCR: it was sent all the same."""
    rig = Rig(board).start()
    rig.nic.disturb(what)
    rig.send(frame(60))
    assert rig.read("TSR") == status | 1 | ONES.get(board, 0)
    assert rig.read("NCR") == collisions
    assert rig.read("ISR") & (PTX | TXE) == PTX
    assert rig.sent() == [frame(60)]
    rig.send(frame(60))
    assert (rig.read("TSR"), rig.read("NCR")) == (1 | ONES.get(board, 0), 0)


@pytest.mark.parametrize(("what", "status"), [("excessive-collisions", ABT | COL), ("underrun", FU)])
def test_a_transmission_that_is_given_up(board: str, what: str, status: int) -> None:
    """10.3 TSR, ISR: TXE in place of PTX; NCR is 0 after sixteen collisions; Realtek's parts have no FU (5.1.2.1)."""
    rig = Rig(board).start(imr=TXE)
    rig.nic.disturb(what)
    rig.send(frame(60))
    shown = status & ~FU if board in REALTEK else status
    assert rig.read("TSR") == shown | ONES.get(board, 0)
    assert rig.read("NCR") == 0
    assert rig.read("ISR") & (PTX | TXE) == TXE
    assert rig.lines[-1]
    assert rig.io.read(0, 1) & TXP == 0
    assert rig.sent() == []


def test_an_overrun_of_the_fifo(board: str) -> None:
    """10.3 RSR: reception is aborted; Realtek's parts have no FO (5.1.2.1)."""
    rig = Rig(board).start()
    rig.nic.disturb("overrun")
    assert stored(rig, frame(60)) == 0
    assert rig.read("RSR") == (0 if board in REALTEK else FO)
    assert rig.read("ISR") & (PRX | RXE) == RXE
    assert stored(rig, frame(60)) == 1


SLOT_NS, FRAME_NS = 64 * BYTE_NS, (60 + FCS + 8 + 12) * BYTE_NS
OFST = 1 << 4


def time_to_send(what: str, seed: int, tcr: int = 0) -> int:
    """Slot times until CR.TXP is 0 again, over those of a packet that meets nothing."""
    rig = Rig(profile="wire", seed=seed).start(tcr=tcr)
    rig.nic.disturb(what)  # type: ignore[attr-defined]
    rig.send(frame(60))
    begin = rig.clock.now
    while rig.io.read(0, 1) & TXP:
        rig.clock.advance(SLOT_NS)
    over = rig.clock.now - begin - (0 if what == "excessive-collisions" else FRAME_NS)
    return max(0, over) // SLOT_NS


def test_collisions_take_time_and_lower_priority_takes_more() -> None:
    """8.0; 10.3 TCR: after the first one, up to one slot time, or with OFST up to fifteen."""
    normal = {time_to_send("one-collision", seed) for seed in range(100)}
    lower = {time_to_send("one-collision", seed, OFST) for seed in range(100)}
    assert normal == {1, 2}
    assert lower == set(range(1, 17))


def test_sixteen_collisions_take_their_time() -> None:
    """8.0: fifteen times back-off, up to 1023 slot times."""
    found = [time_to_send("excessive-collisions", seed) for seed in range(20)]
    most = 16 + sum((1 << min(n, 10)) - 1 for n in range(1, 16))
    assert all(16 <= slots <= most for slots in found)
    assert len(set(found)) > 10


def test_carrier_is_there_while_a_packet_is_sent() -> None:
    """10.3 RSR: DFR shows it; what is said of the last packet stays."""
    rig = Rig(profile="wire").start()
    rig.arrive(frame(60))
    assert rig.read("RSR") == PRX
    rig.send(frame(60))
    assert rig.read("RSR") == DFR | PRX
    rig.clock.advance(FRAME_NS)
    assert rig.read("RSR") == PRX


def test_without_a_link_and_within_the_chip_there_is_nothing_to_defer_to() -> None:
    rig = Rig(profile="wire").start()
    rig.nic.set_link(False)
    rig.send(frame(60))
    assert rig.io.read(0, 1) & TXP
    assert not rig.read("RSR") & DFR
    for mode, carrier in ((1, 0), (2, DFR), (3, DFR)):
        rig = Rig(profile="wire").start(tcr=mode << 1, dcr=WTS | FT_8)
        rig.send(frame(60))
        assert rig.io.read(0, 1) & TXP
        assert rig.read("RSR") & DFR == carrier


def test_nothing_else_disturbs() -> None:
    with pytest.raises(ConfigurationError, match="disturb 'flood', 1; expected one of one-collision"):
        Rig().nic.disturb("flood")


# ------------------------------------------------------------------ loopback (12.0; AN-937)

#: TSR without ND: carrier and heartbeat that nobody gives.
LOOPED = {1: 1 | CRS | CDH, 2: 1 | CDH, 3: 1}


def looped(rig: Rig, data: bytes) -> bytes:
    """Sends a packet in loopback; the eight bytes that the FIFO then has, from the oldest on."""
    rig.write("ISR", 0xFF)
    rig.send(data)
    return bytes(rig.read("FIFO") for _ in range(8))


@pytest.mark.parametrize("mode", [1, 2, 3])
def test_loopback_modes(mode: int) -> None:
    """AN-937 6.1: the receiver cannot check the CRC that the transmitter makes; nothing goes into the ring."""
    rig = Rig().start(tcr=mode << 1, dcr=FT_8)
    looped(rig, frame(60))
    assert rig.read("TSR") & ~ND == LOOPED[mode]
    assert rig.read("RSR") == CRC
    assert rig.read("ISR") & ~RDC == PTX | RXE
    assert rig.read("CURR") == 0x4C
    assert rig.sent() == ([frame(60)] if mode == 3 else [])


def test_a_looped_packet_for_somebody_else() -> None:
    """AN-937 6.3: no error is seen in it."""
    rig = Rig().start(tcr=2, dcr=FT_8)
    looped(rig, frame(60, OTHER))
    assert rig.read("RSR") == PRX
    assert rig.read("ISR") & ~RDC == PTX


@pytest.mark.parametrize(
    ("to", "good", "status"),
    [(STATION, True, 1), (STATION, False, 2), (OTHER, False, 1), (BROADCAST, True, 0x21), (BROADCAST, False, 0x22)],
)
def test_the_receiver_checks_the_driver_s_crc(to: bytes, good: bool, status: int) -> None:
    """12.0, tests A to C: TCR 03h and a CRC made by software."""
    rig = Rig().start(tcr=2 | INHIBIT, dcr=FT_8)
    data = frame(60, to)
    looped(rig, data + (fcs(data) if good else b"beef"))
    assert rig.read("RSR") == status


def test_what_the_fifo_has() -> None:
    """12.0: the last bytes of the packet, its CRC, and the length, whose upper byte is there twice."""
    rig = Rig().start(tcr=2, dcr=FT_8)
    data = bytes(STATION + PEER + b"\x88\xb5" + bytes(range(50)))
    length = len(data) + FCS
    expected = data[-1:] + fcs(data) + bytes((length & 0xFF, length >> 8, length >> 8))
    read = looped(rig, data)
    turns = [read[n:] + read[:n] for n in range(8)]
    assert expected in turns


def test_words_are_halved() -> None:
    """12.0: half of each word is looped, and the count with it."""
    rig = Rig().start(tcr=2, dcr=WTS | FT_8)
    data = bytes(STATION + PEER + b"\x88\xb5" + bytes(range(50)))
    half = data[1::2]
    length = len(half) + FCS
    read = looped(rig, data)
    expected = half[-1:] + fcs(half) + bytes((length & 0xFF, length >> 8, length >> 8))
    assert expected in [read[n:] + read[:n] for n in range(8)]


def test_nothing_is_received_in_loopback() -> None:
    rig = Rig().start(tcr=2, dcr=FT_8)
    rig.arrive(frame(60))
    assert rig.read("CURR") == 0x4C


def test_reading_the_reset_port_ends_a_transmission() -> None:
    rig = Rig(profile="wire").start()
    rig.send(frame(1000))
    rig.io.read(RESET, 1)
    rig.clock.advance(10**7)
    assert rig.io.read(0, 1) == 0x21
    assert not rig.read("ISR") & PTX
