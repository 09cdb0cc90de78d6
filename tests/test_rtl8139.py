"""RTL8139, behaviour: both modes against the data sheets.  Sections are those of the RTL8139C(L)'s (DS)."""

from __future__ import annotations

import struct
import zlib
from ipaddress import IPv4Address

import pytest
from rtl8139_rig import (
    AAP,
    AB,
    AER,
    AM,
    APM,
    AR,
    AUTOLOAD,
    BUFE,
    CONFIG_WRITE,
    CPRX,
    CPTX,
    EOR,
    FOVW,
    FS,
    HIGH_RING,
    LGSEN,
    LS,
    OWN,
    PUN,
    RE,
    RER,
    ROK,
    RST,
    RX_BUFFER,
    RX_BUFFERS,
    RX_RING,
    RXCHKSUM,
    RXOVW,
    RXVLAN,
    STATION,
    SWINT,
    TALLY,
    TDU,
    TE,
    TER,
    TOK,
    TX_DATA,
    TX_RING,
    WRAP,
    Rig,
    frame,
)

from nicemu.drivers import wire
from nicemu.drivers.rtl8139 import multicast_bit
from nicemu.engine import lib
from nicemu.errors import ConfigurationError
from nicemu.registers import Reset

BROADCAST, GROUP, OTHER = b"\xff" * 6, bytes.fromhex("01005e000001"), bytes.fromhex("525400999999")
FCS = 4


# ------------------------------------------------------------------ transmit in C mode (DS 5.2, 5.17)


def test_a_packet_leaves_and_its_descriptor_tells() -> None:
    rig = Rig().start()
    assert rig.read("TSD") == 0x2000, "OWN after power-on"
    rig.send(frame(60))
    assert rig.sent() == [frame(60)]
    assert rig.read("TSD") == 0xA000 | 60
    assert rig.read("TSAD") == 0x100F, "TOK of descriptor 0, OWN of all"
    assert rig.read("ISR") & TOK


def test_descriptors_take_turns() -> None:
    rig = Rig().start()
    rig.send(frame(60, fill=1), 1)
    assert rig.sent() == [], "descriptor 0 is first"
    rig.send(frame(60), 0)
    assert rig.sent() == [frame(60), frame(60, fill=1)]


def test_runts_leave_as_they_are() -> None:
    rig = Rig().start()
    rig.send(frame(20))
    assert rig.sent() == [frame(20)]


def test_the_transmitter_begins_anew_at_descriptor_0() -> None:
    rig = Rig().start()
    rig.send(frame(60))
    rig.write("CR", RE)
    rig.write("CR", RE | TE)
    rig.send(frame(60, fill=2))
    assert rig.sent() == [frame(60), frame(60, fill=2)]


def test_a_lost_carrier_shows() -> None:
    rig = Rig().start()
    rig.nic.set_link(False)
    rig.send(frame(60))
    assert rig.read("TSD") >> 31 == 1
    assert rig.sent() == []


def test_a_bus_error_stops_the_descriptor() -> None:
    rig = Rig().start()
    rig.write("TSAD0", 0x7000_0000)
    rig.write("TSD", 60)
    assert rig.read("ISR") & 0x8000
    assert rig.nic.pci.STATUS.value & 1 << 13, "received master abort"
    assert not rig.read("TSD") & 0x2000


def test_a_packet_takes_its_time_in_wire() -> None:
    rig = Rig(profile="wire").start()
    rig.send(frame(1500))
    assert not rig.read("TSD") & 0x2000
    rig.clock.advance((8 + 1500 + 4 + 12) * 80)
    assert rig.read("TSD") & 0xA000 == 0xA000


# ------------------------------------------------------------------ what a wire does (DS 5.2, 5.6, 5.7; C+, DTCCR)

NCC, CDH, OWC, TABT, CRS, TUN = 1 << 24, 1 << 28, 1 << 29, 1 << 30, 1 << 31, 1 << 14
HALF_100, HALF_10, CLRABT = 0x2000, 0x0000, 1
TALLY_FIELDS = ("tx_ok", "rx_ok", "tx_err", "rx_err", "missed", "fae", "one", "many", "physical", "broadcast",
                "multicast", "abort", "underrun")  # fmt: skip


def shared(plus: bool = False, bmcr: int = HALF_100) -> Rig:
    """A card in half duplex: nothing collides otherwise."""
    rig = Rig()
    rig.write("CR9346", CONFIG_WRITE)
    rig.write("BMCR", bmcr)
    rig.write("CR9346", 0)
    rig.clock.advance(3 * 10**9)
    rig = rig.start_plus() if plus else rig.start()
    rig.write("ISR", 0xFFFF)
    return rig


def tally(rig: Rig) -> dict[str, int]:
    """The counters that are not 0; the dump is C+ transmit mode's."""
    if not rig.read("CPCR") & CPTX:
        rig.write("CPCR", CPTX)
    rig.write("DTCCRL", TALLY | 8)
    values = struct.unpack("<QQQIHHIIQQIHH", rig.memory.read(TALLY, 64))
    return {name: value for name, value in zip(TALLY_FIELDS, values, strict=True) if value}


@pytest.mark.parametrize(
    ("what", "status", "opts1", "counted"),
    [
        ("one-collision", NCC, 1 << 16, {"tx_ok": 1, "one": 1}),
        ("more-collisions", 2 * NCC, 2 << 16, {"tx_ok": 1, "many": 1}),
        ("late-collision", OWC | NCC, 1 << 23 | 1 << 22 | 1 << 16, {"tx_err": 1}),
        ("carrier-loss", CRS, 1 << 23 | 1 << 21, {"tx_err": 1}),
        ("underrun", TUN, 1 << 25, {"tx_err": 1, "underrun": 1}),
    ],
)
def test_what_a_packet_meets_that_is_sent(what: str, status: int, opts1: int, counted: dict[str, int]) -> None:
    """TSD, the C+ descriptor, ISR and tally; after an underrun ISR has TOK and TSD has not (DS 5.2, TUN)."""
    for plus in (False, True):
        rig = shared(plus)
        rig.nic.disturb(what)
        for n in range(2):
            rig.write("ISR", 0xFFFF)
            (rig.send_plus if plus else rig.send)(frame(60), index=n)
            assert rig.read("ISR") & (TOK | TER) == TOK
        if plus:
            assert [rig.take(TX_RING, n)[0] for n in range(2)] == [FS | LS | opts1, FS | LS]
        else:
            tok = 0 if what == "underrun" else 0x8000
            assert [rig.read("TSD", n) for n in range(2)] == [status | tok | 0x2000 | 60, 0xA000 | 60]
            assert rig.read("TSAD") == (0xF | 0x2000 | (0x100 if what == "underrun" else 0x1000))
        assert rig.sent() == [frame(60), frame(60)]
        assert tally(rig) == counted | {"tx_ok": counted.get("tx_ok", 0) + 1}


def test_nothing_collides_in_full_duplex() -> None:
    rig = Rig().start()
    for what in ("one-collision", "excessive-collisions", "carrier-loss"):
        rig.nic.disturb(what)
    rig.send(frame(60))
    assert rig.read("TSD") == 0xA000 | 60


def test_the_heartbeat() -> None:
    """CDH is for 10 Mb/s, and for a transceiver that is asked for a heartbeat (DS 5.2, 5.27)."""
    for bmcr, cscr, status in ((HALF_100, 0x1C0, 0), (HALF_10, 0x0C0, 0), (HALF_10, 0x1C0, CDH)):
        rig = shared(bmcr=bmcr)
        rig.write("CSCR", cscr | 0x200)
        rig.nic.disturb("no-heartbeat")
        rig.send(frame(60))
        assert rig.read("TSD") == status | 0xA000 | 60


def test_a_packet_that_is_given_up_and_sent_again() -> None:
    """TABT, TER; the transmitter stands until CLRABT has the packet sent again (DS 5.2, 5.6, 5.7)."""
    rig = shared()
    rig.nic.disturb("excessive-collisions", 2)
    rig.send(frame(60, fill=0))
    rig.send(frame(60, fill=1), 1)
    assert rig.read("ISR") & (TOK | TER) == TER
    assert rig.read("TSD") == TABT | 15 * NCC | 0x2000 | 60
    assert rig.read("TSAD") == 0x1D, "TABT of descriptor 0, OWN of all but the waiting 1"
    assert rig.sent() == []
    rig.nic.load(rig.nic.save())
    rig.write("TCR", 0x03000600 | CLRABT)
    assert rig.read("TSD") & TABT, "given up once more"
    rig.write("ISR", 0xFFFF)
    rig.write("TCR", 0x03000600 | CLRABT)
    assert rig.sent() == [frame(60, fill=0), frame(60, fill=1)]
    assert [rig.read("TSD", n) for n in range(2)] == [0xA000 | 60] * 2
    assert rig.read("ISR") & (TOK | TER) == TOK
    assert tally(rig) == {"tx_ok": 2, "tx_err": 2, "abort": 2}
    assert "rtl8139.tx.abort-clear" not in rig.found


def test_a_packet_in_the_place_of_one_that_was_given_up() -> None:
    """Drivers take the buffer for free before they clear the abort."""
    rig = shared()
    rig.nic.disturb("excessive-collisions")
    for n in range(4):
        rig.send(frame(60, fill=n), n)
    rig.send(frame(60, fill=4))
    rig.write("TCR", 0x03000600 | CLRABT)
    assert rig.sent() == [frame(60, fill=n) for n in (1, 2, 3, 4)]
    assert "rtl8139.tx.order" not in rig.found


@pytest.mark.parametrize("again", [TE, RST])
def test_a_transmitter_that_begins_anew_has_given_nothing_up(again: int) -> None:
    rig = shared()
    rig.nic.disturb("excessive-collisions")
    rig.send(frame(60))
    rig.write("CR", 0 if again == TE else RST)
    rig.start()
    rig.send(frame(60, fill=1))
    assert rig.sent() == [frame(60, fill=1)]


@pytest.mark.parametrize("profile", ["instant", "wire"])
def test_a_given_up_packet_of_cplus_mode(profile: str) -> None:
    """Its descriptor tells; no driver clears anything, and the ring goes on."""
    rig = Rig(profile=profile)
    rig.write("CR9346", CONFIG_WRITE)
    rig.write("BMCR", HALF_100)
    rig.clock.advance(3 * 10**9)
    rig.start_plus()
    rig.write("ISR", 0xFFFF)
    rig.nic.disturb("excessive-collisions")
    rig.send_plus(frame(60))
    rig.send_plus(frame(60), index=1)
    rig.clock.advance(10**6)
    assert [rig.take(TX_RING, n)[0] for n in range(2)] == [FS | LS | 1 << 23 | 1 << 20 | 15 << 16, FS | LS]
    assert rig.read("ISR") & (TOK | TER) == TOK | TER
    assert rig.sent() == [frame(60)]
    assert tally(rig) == {"tx_ok": 1, "tx_err": 1, "abort": 1}


def test_what_a_large_send_meets() -> None:
    """One descriptor has the status of all frames."""
    given_up = 1 << 23 | 1 << 20 | 15 << 16
    for what, status, count in (("one-collision", 1 << 16, 3), ("excessive-collisions", given_up, 0)):
        rig = shared(True)
        rig.nic.disturb(what)
        rig.send_plus(packet(bytes(3000)), LGSEN | 1000 << 16)
        assert rig.take(TX_RING, 0)[0] == FS | LS | status
        assert len(rig.sent()) == count


@pytest.mark.parametrize("plus", [False, True])
def test_a_frame_that_the_fifo_has_no_room_for(plus: bool) -> None:
    """FOVW and MPC (DS 5.6); in C+ mode the next descriptor tells of it."""
    rig = Rig().start_plus() if plus else Rig().start()
    rig.write("ISR", 0xFFFF)
    rig.nic.disturb("receive-overflow")
    rig.arrive(frame(60), frame(60, OTHER), frame(60, fill=1))
    assert rig.read("ISR") & (ROK | RXOVW | FOVW) == ROK | FOVW
    assert rig.read("MPC") == 1
    if plus:
        assert rig.take(RX_RING, 0)[0] & (OWN | 1 << 22) == 1 << 22
    else:
        assert rig.memory.read(RX_BUFFER + 4 + 59, 1) == b"\x01"
        assert rig.read("CBR") == 68
    assert tally(rig) == {"rx_ok": 1, "physical": 1, "missed": 1}
    assert "rtl8139.rx.overrun" not in rig.found, "the driver could not help it"


def test_a_frame_that_is_not_a_whole_number_of_bytes() -> None:
    """FAE, RER (DS 5.1, 5.6); accepted with AER only."""
    for rcr, kept in ((APM, False), (APM | AER, True)):
        rig = Rig().start(rcr)
        rig.write("ISR", 0xFFFF)
        rig.nic.disturb("alignment-error")
        rig.arrive(frame(60))
        assert rig.read("ISR") & (ROK | RER) == RER
        assert bool(rig.read("CR") & BUFE) != kept
        assert not kept or rig.header(0)[0] == 0x4006
        rig.arrive(frame(60))
        assert rig.read("ISR") & ROK
        assert tally(rig) == {"rx_ok": 1, "physical": 1, "rx_err": 1, "fae": 1}


def test_nothing_else_disturbs() -> None:
    with pytest.raises(ConfigurationError, match="disturb 'flood', 1; expected one of one-collision"):
        Rig().nic.disturb("flood")


# ------------------------------------------------------------------ receive in C mode (DS 5.1, 5.8)


def test_a_packet_in_the_buffer() -> None:
    rig = Rig().start()
    rig.write("ISR", 0xFFFF)
    assert rig.read("CR") & BUFE
    rig.arrive(frame(100))
    assert not rig.read("CR") & BUFE
    status, length = rig.header(0)
    assert (status, length) == (0x4001, 104), "PAM, ROK"
    data = frame(100)
    assert rig.memory.read(RX_BUFFER + 4, 104) == data + struct.pack("<I", zlib.crc32(data))
    assert (rig.read("CBR"), rig.read("CAPR")) == (108, 0xFFF0)
    rig.write("CAPR", 108 - 16)
    assert rig.read("CR") & BUFE
    assert rig.read("ISR") & (ROK | PUN) == ROK
    rig.write("CAPR", 108 - 16)
    assert rig.read("ISR") & PUN, "nothing was there to be read"


@pytest.mark.parametrize(
    ("to", "rcr", "status"),
    [(STATION, APM, 0x4001), (BROADCAST, AB, 0x2001), (GROUP, AM, 0x8001), (OTHER, AAP, 0x0001)],
)
def test_filters_and_what_they_tell(to: bytes, rcr: int, status: int) -> None:
    """The address bits are true in promiscuous mode too."""
    for accept in (rcr, AAP | APM | AM | AB):
        rig = Rig().start(accept)
        rig.write("MAR", 1 << multicast_bit(GROUP) % 8, multicast_bit(GROUP) // 8)
        rig.arrive(frame(60, to))
        assert rig.header(0)[0] == status
    rig = Rig().start((APM | AM | AB | AAP) & ~rcr & ~(AAP if to == STATION else 0))
    rig.arrive(frame(60, to))
    assert rig.read("CR") & BUFE


@pytest.mark.parametrize(
    ("flags", "bits"),
    [(lib.NIC_FRAME_BAD_FCS, 0x04), (lib.NIC_FRAME_ALIGNMENT, 0x06), (lib.NIC_FRAME_RX_ERROR, 0x24)],
)
def test_errors(flags: int, bits: int) -> None:
    rig = Rig().start()
    rig.arrive(frame(100), flags=flags)
    assert rig.read("CR") & BUFE
    assert rig.read("ISR") & (RER | ROK) == RER
    rig.write("RCR", APM | AER)
    rig.arrive(frame(100), flags=flags)
    assert rig.header(0) == (0x4000 | bits, 104)


def test_runts_come_in_with_ar_only() -> None:
    rig = Rig().start()
    rig.arrive(frame(30), flags=lib.NIC_FRAME_SHORT)
    assert rig.read("CR") & BUFE
    rig.write("RCR", APM | AR)
    rig.arrive(frame(30), flags=lib.NIC_FRAME_SHORT)
    assert rig.header(0) == (0x4010, 34)


@pytest.mark.parametrize("rblen", range(4))
@pytest.mark.parametrize("wrap", [0, WRAP])
def test_the_end_of_the_buffer(rblen: int, wrap: int) -> None:
    """With WRAP a packet goes on behind the end, but never with 64 KiB (DS 5.8)."""
    rig = Rig().start(APM | wrap | rblen << 11)
    size, at = 8192 << rblen, 0
    while at + 1508 < size:
        rig.arrive(frame(1500))
        at += 1508
        rig.write("CAPR", at - 16 & 0xFFFF)
    data = frame(1500, fill=7)
    rig.arrive(data)
    assert rig.header(at)[1] == 1504
    stored = rig.memory.read(RX_BUFFER + at + 4, size - at - 4)
    beyond = wrap and rblen < 3
    stored += rig.memory.read(RX_BUFFER + (size if beyond else 0), 1500 - len(stored))
    assert stored == data
    assert rig.read("CBR") == (at + 1508) % size


def test_overflow_the_fifo_and_recovery() -> None:
    """RXOVW when the buffer is full, FOVW and MPC when the FIFO is; what is in the FIFO is not lost (DS 5.6)."""
    rig = Rig().start()
    frames = [frame(1500, fill=n) for n in range(1, 9)]
    rig.arrive(*frames[:5])
    assert not rig.read("ISR") & RXOVW
    rig.arrive(frames[5])
    assert rig.read("ISR") & (RXOVW | FOVW) == RXOVW
    rig.arrive(*frames[6:])
    assert rig.read("ISR") & FOVW
    assert rig.read("MPC") == 2
    rig.write("MPC", 1)
    assert rig.read("MPC") == 0
    rig.write("CAPR", 5 * 1508 - 16)
    rig.write("ISR", RXOVW | FOVW | ROK)
    at = 5 * 1508
    assert rig.header(at)[1] == 1504
    first = rig.memory.read(RX_BUFFER + at + 4, 600)
    assert first == frames[5][:600]
    rig.write("CAPR", rig.read("CBR") - 16 & 0xFFFF)
    rig.arrive(frame(60))
    assert rig.read("ISR") & (RXOVW | ROK) == ROK


def test_early_receive() -> None:
    rig = Rig().start(APM | 8 << 24)
    rig.arrive(frame(196))
    assert rig.read("ERBCR") == 0, "of an unknown protocol, which MULINT decides about"
    rig.arrive(frame(196)[:12] + b"\x08\x00" + bytes(182))
    assert rig.read("ERBCR") == 100, "eight sixteenths"
    assert rig.read("ERSR") == 0x08
    rig.write("ERSR", 0x08)
    assert rig.read("ERSR") == 0


def test_loopback() -> None:
    rig = Rig().start(APM, 0x0306_0600)
    rig.send(frame(100))
    assert rig.sent() == []
    assert rig.header(0) == (0x4001, 104)


def test_pause_frames_both_ways() -> None:
    """DS 9.9: XOFF below 3 KiB of room, XON above; a received one stops transmission."""
    rig = Rig().start()
    assert rig.read("MSR") & 0xC0 == 0xC0, "negotiated"
    for _ in range(4):
        rig.arrive(frame(1500))
    [xoff] = rig.sent()
    assert (xoff[:6].hex(), xoff[12:18].hex()) == ("0180c2000001", "88080001ffff")
    assert rig.read("MSR") & 2
    rig.write("CAPR", rig.read("CBR") - 16)
    [xon] = rig.sent()
    assert xon[16:18] == b"\0\0"
    rig.arrive(bytes.fromhex("0180c2000001") + STATION + bytes.fromhex("880800010010") + bytes(42))
    assert rig.read("MSR") & 1
    rig.send(frame(60))
    assert rig.sent() == []
    rig.clock.advance(16 * 512 * 10)
    assert rig.sent() == [frame(60)]


# ------------------------------------------------------------------ C+ mode


def test_both_rings_and_their_end() -> None:
    """The high priority ring goes first; TDU tells that nothing is left."""
    rig = Rig().start_plus()
    rig.memory.write(TX_DATA, frame(60) + frame(60, fill=9))
    rig.put(TX_RING, 0, OWN | FS | LS | EOR | 60, TX_DATA)
    rig.put(HIGH_RING, 0, OWN | FS | LS | EOR | 60, TX_DATA + 60)
    rig.write("TPPOLL", 0xC1)
    assert rig.sent() == [frame(60, fill=9), frame(60)]
    assert rig.take(TX_RING, 0)[0] == EOR | FS | LS, "the rest of a status descriptor is 0"
    assert rig.read("ISR") & (TOK | TDU | SWINT) == TOK | TDU | SWINT


def test_short_packets_are_padded() -> None:
    rig = Rig().start_plus()
    rig.send_plus(frame(42))
    assert rig.sent() == [frame(42) + bytes(18)]


def test_a_doorbell_is_good_for_one_round_of_a_ring() -> None:
    """Descriptors that stay the chip's do not keep it busy for ever; it comes back to them every 10 ms."""
    rig = Rig()
    ring = struct.pack("<IIQ", OWN | FS | LS | 60, 0, TX_DATA) * 64
    rig.memory.add_functions(
        0x20_0000, 1024, lambda address, length: (ring * 2)[address % 1024 :][:length], lambda *_: None
    )
    rig.start_plus()
    rig.write("TNPDSL", 0x20_0000)
    rig.write("TPPOLL", 0x40)
    rig.clock.advance(9 * 10**6)
    assert len(rig.sent()) == 64
    rig.clock.advance(10**6)
    assert len(rig.sent()) == 64
    rig.write("TPPOLL", 0x40)
    assert len(rig.sent()) == 64


def test_a_packet_of_several_descriptors_waits_for_its_last() -> None:
    rig = Rig().start_plus()
    rig.memory.write(TX_DATA, frame(100))
    rig.put(TX_RING, 0, OWN | FS | 40, TX_DATA)
    rig.put(TX_RING, 1, LS | 60, TX_DATA + 40)
    rig.write("TPPOLL", 0x40)
    assert rig.sent() == []
    rig.put(TX_RING, 1, OWN | LS | 60, TX_DATA + 40)
    rig.write("TPPOLL", 0x40)
    assert rig.sent() == [frame(100)]


def test_a_tag_is_inserted() -> None:
    rig = Rig().start_plus()
    rig.send_plus(frame(60), opts2=1 << 17 | 0x0520)
    assert rig.sent() == [frame(60)[:12] + b"\x81\x00\x20\x05" + frame(60)[12:]]


def packet(payload: bytes, protocol: int = wire.TCP) -> bytes:
    ends = IPv4Address("10.0.0.1"), IPv4Address("10.0.0.2")
    build = wire.tcp if protocol == wire.TCP else wire.udp
    return wire.ethernet(
        STATION, b"\x52\x54\0\0\0\x02", wire.IPV4, wire.ipv4(*ends, protocol, build(*ends, (1, 2), payload))
    )


@pytest.mark.parametrize(("protocol", "bit"), [(wire.TCP, 1 << 16), (wire.UDP, 1 << 17)])
def test_checksums_are_inserted(protocol: int, bit: int) -> None:
    rig = Rig().start_plus()
    good = packet(bytes(range(99)), protocol)
    at = 34 + (16 if protocol == wire.TCP else 6)
    rig.send_plus(good[:24] + b"\xab\xcd" + good[26:at] + b"\x12\x34" + good[at + 2 :], 1 << 18 | bit)
    assert rig.sent() == [good]


def test_large_send_and_a_wire_that_stops_in_between() -> None:
    rig = Rig().start_plus()
    rig.send_plus(packet(bytes(3000)), LGSEN | 1000 << 16)
    segments = rig.sent()
    assert [len(s) for s in segments] == [1054] * 3
    assert not any(wire.check(s) for s in segments)
    assert rig.take(TX_RING, 0)[0] == FS | LS


def test_reception_over_several_descriptors() -> None:
    rig = Rig().start_plus(buffer=64)
    rig.arrive(frame(150, fill=3))
    first, second, third = (rig.take(RX_RING, n)[0] for n in range(3))
    assert (first, second) == (FS | 64, 64)
    assert third == LS | 1 << 25 | 154
    stored = b"".join(rig.memory.read(RX_BUFFERS + 2048 * n, 64) for n in range(3))
    assert stored[:150] == frame(150, fill=3)


def test_a_tag_is_stripped() -> None:
    rig = Rig().start_plus(CPTX | CPRX | RXVLAN)
    data = frame(100)
    rig.arrive(data[:12] + b"\x81\x00\x20\x05" + data[12:])
    opts1, opts2 = rig.take(RX_RING, 0)
    assert (opts1 & 0x1FFF, opts2) == (104, 1 << 16 | 0x0520)
    assert rig.memory.read(RX_BUFFERS, 100) == data


@pytest.mark.parametrize(("protocol", "pid", "bit"), [(wire.TCP, 1, 1 << 13), (wire.UDP, 2, 1 << 14)])
def test_checksums_are_verified(protocol: int, pid: int, bit: int) -> None:
    rig = Rig().start_plus(CPTX | CPRX | RXCHKSUM)
    good = packet(bytes(range(100)), protocol)
    rig.arrive(good, good[:-1] + b"\xff", good[:22] + b"\x07" + good[23:], frame(100))
    marks = [rig.take(RX_RING, n)[0] & 0x3E000 for n in range(4)]
    assert marks == [pid << 16, pid << 16 | bit, pid << 16 | 1 << 15, 0]


def test_the_ring_runs_dry_and_fills_again() -> None:
    """RDU, then the FIFO; BOVF and FOVF mark the next packet."""
    rig = Rig().start_plus(count=1)
    rig.arrive(frame(1000), frame(1000, fill=1), frame(1500, fill=2))
    assert rig.read("ISR") & (RXOVW | FOVW) == RXOVW | FOVW
    assert rig.read("MPC") == 1
    rig.put(RX_RING, 0, OWN | EOR | 2048, RX_BUFFERS)
    rig.write("ISR", 0xFFFF)
    opts1, _ = rig.take(RX_RING, 0)
    assert opts1 >> 22 & 3 == 3
    assert rig.memory.read(RX_BUFFERS, 1000) == frame(1000, fill=1)


def test_a_late_acknowledgement_does_not_hide_what_waits() -> None:
    """A driver that goes by ROK alone and clears that of frames it has not seen is reminded while more wait."""
    rig = Rig(overflow="hold").start_plus(count=4)
    rig.arrive(*(frame(100, fill=n) for n in range(6)))
    rig.write("ISR", 0xFFFF)
    rig.clock.advance(10**5)
    assert rig.read("ISR") & (ROK | RXOVW) == ROK | RXOVW
    for n in range(4):
        rig.put(RX_RING, n, OWN | (EOR if n == 3 else 0) | 2048, RX_BUFFERS + 2048 * n)
    rig.write("ISR", 0xFFFF)
    assert [rig.take(RX_RING, n)[0] & OWN for n in range(4)] == [0, 0, OWN, OWN]


def test_the_tally_has_both_modes() -> None:
    rig = Rig().start()
    rig.send(frame(60))
    rig.arrive(frame(60), frame(60, BROADCAST))
    rig.write("CR", 0)
    rig.start_plus()
    rig.send_plus(frame(60))
    rig.write("DTCCRL", TALLY | 8)
    assert not rig.read("DTCCRL") & 8
    fields = struct.unpack("<QQQIHHIIQQIHH", rig.memory.read(TALLY, 64))
    assert fields == (2, 2, 0, 0, 0, 0, 0, 0, 1, 1, 0, 0, 0)


def test_addresses_share_their_storage_and_tsd_does_not() -> None:
    rig = Rig()
    rig.write("TSAD0", 0x1234)
    rig.write("CPCR", CPTX)
    assert rig.read("TNPDSL") == 0x1234
    assert rig.nic.bars[1].read(0x10, 4) == 0
    rig.write("CPCR", 0)
    assert rig.nic.bars[1].read(0x10, 4) == 0x2000


# ------------------------------------------------------------------ the rest


def test_the_plain_part_has_no_cplus_mode() -> None:
    rig = Rig("rtl8139c")
    rig.nic.bars[1].write(0xE0, 3, 2)
    assert rig.nic.bars[1].read(0xE0, 2) == 0
    assert (rig.read("TCR"), rig.read("RERID"), rig.nic.config.read(8, 1)) == (0x74000000, 0x10, 0x10)
    assert (Rig().read("TCR"), Rig().nic.config.read(8, 1)) == (0x74800000, 0x20)


def test_what_is_locked() -> None:
    """DS 5.9: IDR and CONFIG by CR9346; RCR by CR.RE, TCR by CR.TE."""
    rig = Rig()
    values = {"IDR": 0xAA, "CONFIG1": 0xAD, "CONFIG3": 0x10, "CONFIG4": 0x10, "RCR": 0xF, "TCR": 0x0300_0000}
    before = {name: rig.read(name) for name in values}
    for name, value in values.items():
        rig.write(name, value)
    assert {name: rig.read(name) for name in values} == before
    rig.write("CR9346", CONFIG_WRITE)
    rig.write("CR", RE | TE)
    for name, value in values.items():
        rig.write(name, value)
    assert all(rig.read(name) != before[name] for name in values)


def test_the_eeprom_is_loaded_again() -> None:
    rig = Rig(profile="wire")
    rig.nic.parts()["eeprom"].write_word(7, 0x2211)
    rig.write("CR9346", AUTOLOAD)
    assert rig.read("IDR") == 0x52
    rig.clock.advance(2_000_000)
    assert (rig.read("IDR"), rig.read("IDR", 1)) == (0x11, 0x22)
    assert rig.read("CR9346") & 0xC0 == 0, "normal mode again"


def test_the_timer_runs_at_33_mhz() -> None:
    rig = Rig()
    rig.write("TCTR", 0)
    rig.clock.advance(1_000_000)
    assert rig.read("TCTR") == 33_000
    rig.write("ISR", 0xFFFF)
    rig.write("TIMERINT", 66_000)
    rig.clock.advance(999_999)
    assert not rig.read("ISR") & 0x4000
    rig.clock.advance(2)
    assert rig.read("ISR") & 0x4000


def test_the_link_and_its_cable() -> None:
    rig = Rig()
    rig.write("ISR", 0xFFFF)
    rig.read("CSCR")
    rig.nic.set_link(False)
    assert rig.read("MSR") & 4
    assert rig.read("ISR") & PUN
    assert rig.read("CSCR") & 0xC00 == 0x800, "it changed, and is not there"
    assert rig.read("DIS") == 1
    rig.write("ISR", 0xFFFF)
    rig.nic.phy.set_cable(True, length_m=80)  # type: ignore[attr-defined]
    assert rig.read("ISR") & (PUN | 0x2000) == PUN | 0x2000
    assert not rig.read("MSR") & 4


def test_negotiation_takes_time_in_wire() -> None:
    rig = Rig(profile="wire")
    rig.nic.reset(Reset.POWER)
    rig.nic.enable_decoding()
    rig.clock.advance(10**9)
    assert rig.read("MSR") & 4
    rig.clock.advance(10**9)
    assert not rig.read("MSR") & 4


def test_a_software_reset_leaves_addresses() -> None:
    """DS 5.4."""
    rig = Rig().start()
    rig.write("MAR", 0x55)
    rig.write("CR", RST)
    assert (rig.read("CR"), rig.read("RCR"), rig.read("MAR"), rig.read("IDR")) == (BUFE, 0, 0x55, 0x52)


def test_waking_up() -> None:
    woken: list[int] = []
    rig = Rig(on_wake=woken.append)
    rig.nic.config.write(0x54, 3, 2)
    rig.arrive(BROADCAST + STATION + b"\x08\x42" + b"\xff" * 6 + STATION * 16)
    assert woken == [lib.RTL8139_WAKE_MAGIC]
    assert rig.nic.pci.PMCSR.value & 0x8000


def test_every_width_everywhere() -> None:
    """Both BARs answer bytes, words and doublewords alike."""
    rig = Rig()
    whole = b"".join(rig.nic.bars[0].read(at, 4).to_bytes(4, "little") for at in range(0, 64, 4))
    for bar in rig.nic.bars.values():
        for size in (1, 2, 4):
            parts = [bar.read(at, size).to_bytes(size, "little") for at in range(0, 64, size)]
            assert b"".join(parts) == whole
