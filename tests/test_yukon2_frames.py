"""The 88E8057's datapath: list elements, offloads, buffers, timers (docs/yukon2-facts.md, 2.10, 3, 6)."""

from __future__ import annotations

from ipaddress import IPv4Address
from itertools import pairwise

import pytest
from yukon2_rig import EOP, MAC, PEER, RX_BUFFERS, RX_STEP, SECOND, STAT_BMU, SUMS, Rig, close_rigs, ethernet

from nicemu.devices.yukon2_descriptors import Control, Opcode, RxStatus, element
from nicemu.drivers import wire
from nicemu.engine import lib

__all__ = ["close_rigs"]

FRAME = ethernet(MAC, PEER, size=100)
A, B = IPv4Address("192.0.2.1"), IPv4Address("192.0.2.2")
US = 1000


def packet(length: int, *, vlan: int | None = None, flags: int = 0x18, ident: int = 7) -> bytes:
    """TCP over IPv4."""
    payload = bytes(i * 7 & 0xFF for i in range(length))
    segment = wire.tcp(A, B, (1, 2), payload, sequence=1000, flags=flags)
    return wire.ethernet(PEER, MAC, wire.IPV4, wire.ipv4(A, B, wire.TCP, segment, ident=ident), vlan=vlan)


# ------------------------------------------------------------------------------------------------- transmit


@pytest.mark.parametrize("queue", ["XA1", "XS1"])
def test_scattered_frames_leave_whole_on_both_queues(queue: str) -> None:
    rig = Rig()
    rig.start_transmit(queue=queue)
    frame = ethernet(size=1514)
    for cuts in ([], [1], [14, 60], list(range(20, 1500, 20))[:50]):
        limits = [0, *cuts, 1514]
        pieces = pairwise(limits)
        rig.place(frame)
        elements = [
            element(Opcode.BUFFER if n else Opcode.PACKET, 0x100000 + first, end - first, 0 if end < 1514 else EOP)
            for n, (first, end) in enumerate(pieces)
        ]
        rig.put(*elements)
        assert rig.take() == [frame]
        index = rig.tx_put
        assert rig.status() == [(Opcode.TXINDEXLE, index if queue == "XA1" else index << 12, 0)]


def test_a_frame_waits_for_its_end() -> None:
    rig = Rig()
    rig.start_transmit()
    rig.place(FRAME)
    rig.put(element(Opcode.PACKET, 0x100000, 40))
    assert (rig.take(), rig["XA1_PREF_GET_IDX"]) == ([], 0)
    rig.put(element(Opcode.BUFFER, 0x100028, 60, EOP))
    assert (rig.take(), rig["XA1_PREF_GET_IDX"]) == ([FRAME], 2)


def test_padding_and_a_frame_that_brings_its_fcs() -> None:
    rig = Rig()
    rig.start_transmit()
    rig.send(ethernet(size=20))
    assert rig.take() == [ethernet(size=20).ljust(60, b"\0")]
    rig["GM_TX_CTRL"] = 0x4000
    fcs = lib.nic_crc32(0, FRAME, len(FRAME)).to_bytes(4, "little")
    rig.send(FRAME + fcs)
    assert rig.take() == [FRAME]


@pytest.mark.parametrize("vlan", [None, 0x2064])
def test_checksums(vlan: int | None) -> None:
    rig = Rig()
    rig.start_transmit()
    rig["TX_GMF_CTRL"] = 1 << 25
    for length in (1, 2, 101, 1400):
        frame = packet(length)
        parsed = wire.parse(frame)
        assert parsed
        ready = frame[:24] + frame[24:26] + wire.prepare(frame, parsed)[26:]
        before = [element(Opcode.TCPLISW, 34 << 16 | 50, 0, 1)]
        if vlan is not None:
            before.insert(0, element(Opcode.VLAN, 0, 0x6420))
        rig.send(ready, SUMS | (Control.INS_VLAN if vlan is not None else 0), *before)
        expected = frame if vlan is None else frame[:12] + bytes.fromhex("81002064") + frame[12:]
        [sent] = rig.take()
        assert sent[: len(expected)] == expected
        assert not any(sent[len(expected) :])


def test_a_udp_sum_of_zero_is_sent_as_ones_and_a_far_place() -> None:
    rig = Rig()
    rig.start_transmit()
    data = bytes(12) + b"\x88\xb5" + bytes(20) + b"\xff\xff" + bytes(2000)
    for control, expected in ((SUMS, b"\0\0"), (SUMS | Control.UDPTCP, b"\xff\xff")):
        for place in (40, 1000):
            rig.send(data, control, element(Opcode.TCPLISW, 14 << 16 | place, 0, 1))
            [sent] = rig.take()
            assert sent[place : place + 2] == expected
            assert sent[:place] + sent[place + 2 :] == data[:place] + data[place + 2 :]


def test_segments_of_many_requests_in_one_doorbell() -> None:
    """More frames than one call may send, and requests that end within a batch."""
    rig = Rig()
    rig.start_transmit(count=1024)
    frame = packet(9 * 1000 - 1, flags=0x99, ident=0xFFFE)  # CWR, ACK, PSH, FIN
    rig.place(frame)
    rig.put(element(Opcode.LRGLEN, 54 + 1000), ring=False)
    for _ in range(200):
        rig.put(element(Opcode.LARGESEND, 0x100000, 54), element(Opcode.BUFFER, 0x100036, 8999, EOP), ring=False)
    rig.put()
    sent = rig.take()
    assert len(sent) == 1800
    for n, segment in enumerate(sent):
        assert wire.check(segment) == []
        assert segment[54:] == frame[54 + n % 9 * 1000 :][:1000]
        assert int.from_bytes(segment[18:20], "big") == 0xFFFE + n % 9 & 0xFFFF
        assert segment[47] == {0: 0x90, 8: 0x19}.get(n % 9, 0x10)
    assert rig.status()[-1] == (Opcode.TXINDEXLE, rig.tx_put, 0)
    assert rig.counter("TXF_UC_OK") == 1800


@pytest.mark.parametrize("room", range(12))
def test_segmentation_goes_on_where_the_wire_stopped(room: int) -> None:
    rig = Rig()
    rig.start_transmit()
    frame = packet(5500)
    rig.tap.room = room
    rig.send(frame, 0, element(Opcode.LRGLENVLAN, 54 + 1000, 0x6420), opcode=Opcode.LARGESEND)
    rig.send(ethernet())
    rig.send(frame, 0, opcode=Opcode.LARGESEND)
    rig.tap.room = None
    rig.tap.writable()
    sent = rig.take()
    assert len(sent) == 13
    assert b"".join(s[54:] for s in sent[:6]) == b"".join(s[54:] for s in sent[7:]) == frame[54:]
    assert sent[6] == ethernet()
    assert rig.status()[-1][1] == rig.tx_put


def test_lengths_that_do_not_fit_are_a_hardware_error_of_the_queue() -> None:
    rig = Rig()
    rig["B0_HWE_IMSK"] = 1
    rig["B0_IMSK"] = 1 << 31
    rig.start_transmit()
    rig.send(packet(2000), 0, element(Opcode.LRGLEN, 54), opcode=Opcode.LARGESEND)
    assert (rig.take(), rig["B0_HWE_ISRC"], rig.levels) == ([], 1, [True])
    assert rig.status() == [(Opcode.TXINDEXLE, 2, 0)], "what cannot be sent is done too"
    rig["XA1_CSR"] = 0x800
    assert rig["B0_HWE_ISRC"] == 0
    assert rig.nic.finding_counts == {"yukon2.tx.tso-length": 1}


def test_pause_frames_are_obeyed() -> None:
    rig = Rig()
    rig.start_transmit()
    rig.start_receive()
    rig["GMAC_CTRL"] = 8
    rig.arrive(bytes.fromhex("0180c2000001") + PEER + bytes.fromhex("880800010010") + bytes(42))
    rig.send(ethernet())
    assert (rig.take(), rig.status(), rig.counter("RXF_MPAUSE")) == ([], [], 1)
    rig.clock.advance(16 * 512)
    assert rig.take() == [ethernet()]


# ------------------------------------------------------------------------------------------------- receive


def test_frames_fill_buffers_and_begin_at_a_packet() -> None:
    rig = Rig()
    rig["GM_SERIAL_MODE"] = 0x31E
    rig.start_receive(buffers=0)
    for n in range(3):
        places = [RX_BUFFERS + RX_STEP * (3 * n + part) for part in range(3)]
        rig.give(element(Opcode.PACKET, places[0], 1000), *(element(Opcode.BUFFER, at, 1000) for at in places[1:]))
    long, short = ethernet(MAC, PEER, size=2500), ethernet(MAC, PEER, size=70)
    rig.arrive(long, short, long)
    assert [length for _, _, length in rig.status()] == [2500, 70, 2500]
    for n, frame in ((0, long), (2, long)):
        got = b"".join(bytes(rig.ram[RX_BUFFERS + RX_STEP * (3 * n + p) :][:1000]) for p in range(3))
        assert got[: len(frame)] == frame
    assert rig.ram[RX_BUFFERS + 3 * RX_STEP :][:70] == short
    assert rig["R1_PREF_GET_IDX"] == rig.rx_put


def test_a_frame_longer_than_its_buffers_is_cut_off_and_told() -> None:
    rig = Rig()
    rig.start_receive(buffers=3, size=128)
    rig.arrive(ethernet(MAC, PEER, size=200), FRAME)
    first, second = rig.status()
    assert first == (Opcode.RXSTAT, 200 << 16 | RxStatus.LONG_ERR, 128)
    assert second == (Opcode.RXSTAT, 100 << 16 | RxStatus.RX_OK, 100)
    assert rig.ram[RX_BUFFERS + RX_STEP :][:100] == FRAME
    assert rig.nic.finding_counts == {"yukon2.rx.buffers-too-small": 1}


def test_the_list_may_end_between_an_address_and_its_packet() -> None:
    """FreeBSD's first PUT_IDX (3.4); and elements that are no buffers are eaten without reception (2.6)."""
    rig = Rig()
    rig.start_receive(buffers=0)
    rig["GM_GP_CTRL"] = 0
    high = bytearray(4096)
    rig.memory.add(3 << 32, high)
    rig.give(element(Opcode.TCPSTART, 14 << 16 | 14), element(Opcode.ADDR64, 3))
    assert rig["R1_PREF_GET_IDX"] == 2
    rig["GM_GP_CTRL"] = 0x800
    rig.give(element(Opcode.PACKET, 0, 2048))
    rig.arrive(FRAME)
    assert high[:100] == FRAME


def test_sums_as_a_little_endian_processor_adds() -> None:
    rig = Rig()
    rig.start_receive(control=1 << 13, buffers=0)
    rig.give(element(Opcode.TCPSTART, 34 << 16 | 14))
    rig.give(*(element(Opcode.PACKET, RX_BUFFERS + RX_STEP * n, 2048) for n in range(4)))
    for frame in (packet(333), packet(1)):
        frame = MAC + frame[6:]
        rig.arrive(frame)
        (opcode, sums, _), _ = rig.status()
        stored = frame.ljust(60, b"\0")
        assert opcode == Opcode.RXCHKS
        for start, found in ((14, sums & 0xFFFF), (34, sums >> 16)):
            body = stored[start:] + b"\0" * (len(stored) - start & 1)
            total = sum(int.from_bytes(body[i : i + 2], "little") for i in range(0, len(body), 2))
            while total >> 16:
                total = (total & 0xFFFF) + (total >> 16)
            assert found == total


def test_the_hash_is_toeplitz() -> None:
    """Microsoft's verification vectors, as far as 16 bytes of key reach."""
    key = bytes.fromhex("6d5a56da255b0ec24167253d43a38fb0")
    rig = Rig()
    rig.start_receive(control=1 << 15)
    rig["R1_CSR"] = 1 << 12
    for n in range(4):
        rig["RSS_KEY", n] = int.from_bytes(key[4 * n : 4 * n + 4], "little")
    source, destination = IPv4Address("66.9.149.187"), IPv4Address("161.142.100.80")
    for protocol, expected in ((wire.TCP, 0x51CCC178), (wire.UDP, 0x323E8FC2)):
        build = wire.tcp if protocol == wire.TCP else wire.udp
        body = wire.ipv4(source, destination, protocol, build(source, destination, (2794, 1766), b"data"))
        rig.arrive(wire.ethernet(MAC, PEER, wire.IPV4, body))
        (opcode, found, _), _ = rig.status()
        assert (opcode, found) == (Opcode.RSS_HASH, expected)
    rig.arrive(FRAME)
    assert [opcode for opcode, _, _ in rig.status()] == [Opcode.RXSTAT]


@pytest.mark.parametrize(
    ("flags", "size", "status", "counter"),
    [
        (2, 100, RxStatus.CRC_ERR, "RXF_FCS_ERR"),
        (1, 40, RxStatus.UN_SIZE, "RXF_SHT"),
        (3, 40, RxStatus.CRC_ERR | RxStatus.FRAGMENT, "RXE_FRAG"),
        (0, 1600, RxStatus.LONG_ERR, "RXF_LNG_ERR"),
        (2, 1600, RxStatus.LONG_ERR | RxStatus.JABBER | RxStatus.CRC_ERR, "RXF_JAB_PKT"),
    ],
)
def test_frames_with_errors(flags: int, size: int, status: int, counter: str) -> None:
    rig = Rig()
    rig.start_receive()
    rig.arrive(ethernet(MAC, PEER, size=size)[:size], flags=flags)
    [(opcode, word, length)] = rig.status()
    assert (opcode, word & 0xFFFF, word >> 16, length) == (Opcode.RXSTAT, status, size, size)
    assert rig.counter(counter) == 1
    rig["RX_GMF_CTRL"] = 1 << 7
    rig["RX_GMF_FL_MSK"] = 0x187B
    rig.arrive(ethernet(MAC, PEER, size=size)[:size], flags=flags)
    assert rig.status() == [], "the flush mask drops it in the FIFO"


def test_truncation() -> None:
    rig = Rig()
    rig["GM_SERIAL_MODE"] = 0x31E
    rig.start_receive()
    rig["RX_GMF_TR_THR"] = 0x17A
    rig["RX_GMF_CTRL"] = 1 << 27
    rig.arrive(ethernet(MAC, PEER, size=1520), ethernet(MAC, PEER, size=1521))
    assert rig.status() == [
        (Opcode.RXSTAT, 1520 << 16 | RxStatus.RX_OK, 1520),
        (Opcode.RXSTAT, 1521 << 16 | RxStatus.LONG_ERR, 1520),
    ]


def test_the_fcs_is_stored_where_asked_for() -> None:
    rig = Rig()
    rig["GM_RX_CTRL"] = 0xC000
    rig.start_receive()
    rig.arrive(FRAME)
    assert rig.status() == [(Opcode.RXSTAT, 104 << 16 | RxStatus.RX_OK, 104)]
    assert rig.ram[RX_BUFFERS + 100 :][:4] == lib.nic_crc32(0, FRAME, 100).to_bytes(4, "little")


# ------------------------------------------------------------------------------------------------- times (2.10, 6.5)


def test_reports_wait_for_the_threshold_or_the_timer() -> None:
    rig = Rig()
    rig["STAT_TX_IDX_TH"] = 3
    rig["STAT_TX_TIMER_INI"], rig["STAT_TX_TIMER_CTRL"] = 125_000, 4  # 1 ms
    rig.start_transmit()
    rig.send(ethernet())
    rig.send(ethernet())
    assert rig.status() == []
    rig.send(ethernet())
    assert rig.status() == [(Opcode.TXINDEXLE, 3, 0)]
    rig.send(ethernet())
    rig.clock.advance(999 * US)
    assert rig.status() == []
    assert rig["STAT_TX_TIMER_CNT"] == 125
    rig.clock.advance(US)
    assert rig.status() == [(Opcode.TXINDEXLE, 4, 0)]
    rig.send(ethernet(), Control.FRC_STAT)
    assert rig.status() == [(Opcode.TXINDEXLE, 5, 0)]


def test_the_status_fifo_waits_for_its_watermark_or_timer_and_interrupts_later() -> None:
    rig = Rig()
    rig["B0_IMSK"] = STAT_BMU
    rig["STAT_FIFO_WM"], rig["STAT_FIFO_ISR_WM"] = 3, 16
    rig["STAT_LEV_TIMER_INI"], rig["STAT_LEV_TIMER_CTRL"] = 12_500, 4  # 100 us
    rig["STAT_ISR_TIMER_INI"], rig["STAT_ISR_TIMER_CTRL"] = 2_500, 4  # 20 us
    rig.start_receive()
    rig.arrive(FRAME)
    assert (rig["STAT_FIFO_LEVEL"], rig.status()) == (1, [])
    rig.arrive(FRAME, FRAME)
    assert (rig["STAT_FIFO_LEVEL"], len(rig.status()), rig.levels) == (0, 3, [])
    rig.clock.advance(20 * US)
    assert rig.levels == [True]
    rig["STAT_CTRL"] = 0x10
    rig.arrive(FRAME)
    rig.clock.advance(100 * US)
    assert (len(rig.status()), rig.levels) == (1, [True, False])
    rig.clock.advance(20 * US)
    assert rig.levels == [True, False, True]


def test_moderation_holds_interrupts_to_a_period() -> None:
    rig = Rig()
    rig["B0_IMSK"] = rig["B2_IRQM_MSK"] = STAT_BMU
    rig["B2_IRQM_INI"] = 12_500  # 100 us
    rig["B2_IRQM_CTRL"] = 4
    rig.start_receive()
    rig.clock.advance(30 * US)
    rig.arrive(FRAME)
    assert rig.levels == []
    rig.clock.advance(70 * US)
    assert rig.levels == [True]


def test_the_general_timer_and_the_time_stamp() -> None:
    rig = Rig()
    rig["B0_IMSK"] = 1 << 24
    rig["B2_TI_INI"], rig["B2_TI_CTRL"] = 1000, 4
    assert rig["B2_TI_CTRL"] == 4
    rig.clock.advance(4 * US)
    assert rig["B2_TI_VAL"] == 500
    rig.clock.advance(4 * US)
    assert rig.levels == [True]
    rig["B2_TI_CTRL"] = 1
    assert rig.levels == [True, False]
    rig["GMAC_TI_ST_CTRL"] = 4
    rig.clock.advance(SECOND)
    assert rig["GMAC_TI_ST_VAL"] == 125_000_000
    rig.clock.advance(34 * SECOND)
    assert rig["B0_HWE_ISRC"] == 1 << 29


# ------------------------------------------------------------------------------------------------- counters, waking


def test_counters_in_both_modes() -> None:
    rig = Rig()
    rig.start_transmit()
    rig.start_receive()
    for size in (60, 65, 128, 300, 600, 1100):
        rig.send(ethernet(size=size))
        rig.arrive(ethernet(MAC, PEER, size=size))
    total = sum((60, 65, 128, 300, 600, 1100)) + 6 * 4
    for way in "TR":
        assert rig.counter(f"{way}XF_UC_OK") == 6
        assert rig.counter(f"{way}XO_OK_LO") == total
        names = ("64B", "127B", "255B", "511B", "1023B", "1518B", "MAX_SZ")
        assert [rig.counter(f"{way}XF_{name}") for name in names] == [1, 1, 1, 1, 1, 1, 0]
    rig["GM_PHY_ADDR"] |= 0x20
    assert rig.counter("TXF_UC_OK") == 6  # high half first, as FreeBSD reads
    assert rig.counter("TXF_UC_OK") == 0


def test_a_magic_packet_wakes() -> None:
    woken: list[int] = []
    rig = Rig(on_wake=woken.append)
    for i, byte in enumerate(MAC):
        rig["WOL_MAC_ADDR", i] = byte
    rig["WOL_CTRL_STAT"] = 0x0659  # as sky2_wol_init has it: magic packets only
    rig.nic.config.write(0x4C, 0x0103, 2)
    rig.arrive(FRAME)
    assert woken == []
    rig.arrive(ethernet(MAC, PEER, payload=b"\xff" * 6 + MAC * 16))
    assert woken == [1 << 14]
    assert rig.nic.config.read(0x4C, 2) & 0x8000


def test_vital_product_data_can_be_written() -> None:
    rig = Rig()
    config = rig.nic.config
    config.write(0x54, 0x11223344, 4)
    config.write(0x52, 0x8000 | 0x100, 2)
    assert config.read(0x52, 2) == 0x100
    config.write(0x52, 0x100, 2)
    assert (config.read(0x52, 2), config.read(0x54, 4)) == (0x8100, 0x11223344)
