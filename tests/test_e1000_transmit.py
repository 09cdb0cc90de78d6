"""82540EM, transmit (8254x SDM 3.3 to 3.6): descriptors, offloads, write-back, statistics, hostile rings."""

from __future__ import annotations

import itertools
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from e1000_rig import (
    BROADCAST,
    CTRL,
    ICR,
    MAC,
    MEMORY,
    PATTERN,
    PEER,
    TCTL,
    TX_BUFFERS,
    TX_RING,
    TXDCTL,
    Rig,
    close_rigs,  # noqa: F401 (a fixture)
    ethernet,
    functions_memory,
    ones_sum,
)

import nicemu
from nicemu.devices.e1000_descriptors import (
    ContextCommand,
    DataCommand,
    LegacyCommand,
    PacketOptions,
    context,
    data,
    legacy,
)

EOP, IFCS, IC, RS, VLE, IDE = (
    LegacyCommand.EOP,
    LegacyCommand.IFCS,
    LegacyCommand.IC,
    LegacyCommand.RS,
    LegacyCommand.VLE,
    LegacyCommand.IDE,
)
SENT = EOP | IFCS | RS


@pytest.fixture
def rig() -> Rig:
    rig = Rig()
    rig.start_transmit()
    return rig


# ------------------------------------------------------------------ legacy descriptors (3.3.3)


def test_one_descriptor_is_one_frame(rig: Rig) -> None:
    rig.send(frame := ethernet())
    assert rig.take() == [frame]
    assert rig["TDH"] == 1
    assert rig.tx_status(0) == 1


def test_only_the_status_byte_of_descriptors_with_rs_is_written(rig: Rig) -> None:
    """3.4.2: with TXDCTL.WTHRESH 0 a single byte."""
    with_rs = legacy(rig.place(ethernet()), 60, SENT, special=0x1234, css=9)
    without = legacy(rig.place(ethernet()), 60, EOP | IFCS)
    rig.put(with_rs, without)
    expected = bytearray(with_rs.tobytes())
    expected[12] = 1
    assert rig.memory.read(TX_RING, 32) == bytes(expected) + without.tobytes()


@pytest.mark.parametrize("cuts", [(30,), (1, 2, 3), (14, 14), (0, 60), tuple(range(1, 7))])
def test_a_frame_of_several_descriptors(rig: Rig, cuts: tuple[int, ...]) -> None:
    frame = ethernet()
    limits = [0, *cuts, 60]
    pieces = [frame[a:b] for a, b in itertools.pairwise(limits)]
    for number, piece in enumerate(pieces):
        last = number == len(pieces) - 1
        rig.put(legacy(rig.place(piece, TX_BUFFERS + 0x1000 * number), len(piece), SENT if last else 0), ring=last)
    assert rig.take() == [frame]


def test_descriptors_without_data_transfer_nothing(rig: Rig) -> None:
    """3.3.3.1, note 3: a null address or no length; DD is written if RS asks."""
    frame = ethernet()
    rig.put(legacy(0, 100, RS), legacy(TX_BUFFERS, 0, RS), legacy(rig.place(frame), 60, SENT))
    assert rig.take() == [frame]
    assert [rig.tx_status(i) for i in range(3)] == [1, 1, 1]


def test_a_frame_that_begins_in_one_doorbell_and_ends_in_another(rig: Rig) -> None:
    """What was fetched is in the FIFO: TDH has passed it, its status is written, and the buffer may be reused."""
    frame = ethernet()
    rig.put(legacy(rig.place(frame[:20]), 20, RS))
    assert rig.take() == []
    assert (rig["TDH"], rig.tx_status(0)) == (1, 1)
    rig.place(b"\0" * 20)
    rig.put(legacy(rig.place(frame[20:], TX_BUFFERS + 0x100), 40, SENT))
    assert rig.take() == [frame]


def test_more_pieces_than_a_vector_holds() -> None:
    rig = Rig(count=256)
    rig.start_transmit()
    frame = ethernet(size=1514)
    rig.place(frame)
    for i in range(0, 1514, 8):
        size = min(8, 1514 - i)
        rig.put(legacy(TX_BUFFERS + i, size, SENT if i + size == 1514 else 0), ring=False)
    rig["TDT"] = rig.tail
    assert rig.take() == [frame]


def test_the_ring_wraps(rig: Rig) -> None:
    frames = [ethernet(payload=bytes([i]) * 46) for i in range(50)]
    for frame in frames:
        rig.send(frame)
    assert rig.take() == frames
    assert rig["TDH"] == 50 % 8


def test_a_batch_larger_than_a_vector_goes_in_order() -> None:
    rig = Rig(count=512)
    rig.start_transmit()
    frames = [ethernet(payload=i.to_bytes(46, "big")) for i in range(500)]
    for i, frame in enumerate(frames):
        rig.put(legacy(rig.place(frame, TX_BUFFERS + 64 * i), 60, SENT), ring=False)
    rig["TDT"] = rig.tail
    assert rig.take() == frames
    assert all(rig.tx_status(i) == 1 for i in range(500))


# ------------------------------------------------------------------ padding, FCS, VLAN (3.3.3.1, 13.4.33, 9.2.1)


@pytest.mark.parametrize("length", [14, 20, 48, 59, 60, 61])
def test_padding(rig: Rig, length: int) -> None:
    frame = ethernet(size=length)[:length]
    rig.send(frame)
    assert rig.take() == [frame]
    rig["TCTL"] = TCTL.EN | TCTL.PSP
    rig.send(frame)
    assert rig.take() == [frame + bytes(max(0, 60 - length))]


def test_short_packets_are_found(rig: Rig) -> None:
    rig.send(ethernet(size=50)[:50])
    assert rig.nic.finding_counts == {"e1000.tx.runt": 1}
    rig["TCTL"] = TCTL.EN | TCTL.PSP
    rig.send(ethernet(size=50)[:50])
    rig.send(ethernet())
    assert rig.nic.finding_counts == {"e1000.tx.runt": 1}


def test_what_has_no_header_is_not_sent(rig: Rig) -> None:
    for length in range(14):
        rig.send(bytes(length))
        assert rig.take() == []
        assert rig.tx_status((rig.tail - 1) % 8) == 1
    counts = rig.nic.finding_counts
    assert counts["e1000.tx.length-zero"] == 1
    assert counts["e1000.tx.runt"] == 13
    rig.send(frame := ethernet())
    assert rig.take() == [frame]


@pytest.mark.parametrize("length", [60, 61, 300, 1514])
def test_a_frame_with_its_own_fcs(rig: Rig, length: int) -> None:
    """IFCS 0: the last four bytes are the FCS."""
    frame = ethernet(size=length)
    rig.send(frame + zlib.crc32(frame).to_bytes(4, "little"), EOP | RS)
    assert rig.take() == [frame]
    assert rig["GPTC"] == 1


@pytest.mark.parametrize("cut", [1, 57, 60, 61, 62, 63])
def test_its_own_fcs_in_any_piece(rig: Rig, cut: int) -> None:
    frame = ethernet()
    whole = frame + zlib.crc32(frame).to_bytes(4, "little")
    rig.place(whole)
    rig.put(legacy(TX_BUFFERS, cut, 0), legacy(TX_BUFFERS + cut, 64 - cut, EOP | RS))
    assert rig.take() == [frame]


def test_a_wrong_fcs_goes_nowhere_but_is_counted_as_sent(rig: Rig) -> None:
    rig.send(ethernet(size=64), EOP | RS)
    assert rig.take() == []
    assert rig.tx_status(0) == 1
    assert rig["TPT"] == 1


def test_vlan_tag_is_inserted_where_vme_allows(rig: Rig) -> None:
    frame = ethernet()
    rig.send(frame, SENT | VLE, special=0xA123)
    assert rig.take() == [frame]
    rig["CTRL"] |= CTRL.VME
    rig.send(frame, SENT | VLE, special=0xA123)
    assert rig.take() == [frame[:12] + bytes.fromhex("8100a123") + frame[12:]]
    rig["VET"] = 0x88A8
    rig.send(frame, EOP | RS | VLE, special=0x0FFF)  # with VLE the FCS is always inserted
    assert rig.take() == [frame[:12] + bytes.fromhex("88a80fff") + frame[12:]]


@pytest.mark.parametrize("cut", [1, 6, 11, 12, 13, 16])
def test_vlan_tag_across_pieces_and_with_padding(rig: Rig, cut: int) -> None:
    rig["CTRL"] |= CTRL.VME
    rig["TCTL"] = TCTL.EN | TCTL.PSP
    frame = ethernet(size=40)[:40]
    rig.place(frame)
    rig.put(legacy(TX_BUFFERS, cut, 0), legacy(TX_BUFFERS + cut, 40 - cut, SENT | VLE, special=5))
    assert rig.take() == [frame[:12] + bytes.fromhex("81000005") + frame[12:] + bytes(16)]


# ------------------------------------------------------------------ legacy checksum (3.3.3, IC)


@pytest.mark.parametrize(("css", "cso"), [(14, 40), (15, 40), (14, 41), (0, 58), (59, 57), (34, 16), (14, 14)])
def test_legacy_checksum(rig: Rig, css: int, cso: int) -> None:
    """The sum from CSS to the end, with what stands at CSO, complemented, at CSO."""
    frame = ethernet()
    rig.send(frame, SENT | IC, css=css, cso=cso)
    (sent,) = rig.take()
    value = 0xFFFF ^ ones_sum(frame[css:])
    assert sent == frame[:cso] + value.to_bytes(2, "big") + frame[cso + 2 :]


@pytest.mark.parametrize(("css", "cso"), [(60, 40), (255, 40), (14, 59), (14, 60), (14, 255)])
def test_legacy_checksum_out_of_the_packet_is_ignored(rig: Rig, css: int, cso: int) -> None:
    """IC is ignored if CSS >= length or CSO >= length - 1."""
    rig.send(frame := ethernet(), SENT | IC, css=css, cso=cso)
    assert rig.take() == [frame]


def test_css_counts_in_the_first_descriptor_and_cso_in_the_last(rig: Rig) -> None:
    frame = ethernet()
    rig.place(frame)
    rig.put(
        legacy(TX_BUFFERS, 20, 0, css=14, cso=33),
        legacy(TX_BUFFERS + 20, 20, IC, css=1, cso=34),
        legacy(TX_BUFFERS + 40, 20, SENT | IC, css=2, cso=50),
    )
    value = (0xFFFF ^ ones_sum(frame[14:])).to_bytes(2, "big")
    assert rig.take() == [frame[:50] + value + frame[52:]]


def test_checksum_is_taken_before_the_tag(rig: Rig) -> None:
    """3.3.3, note 2: the tag is not summed, and offsets are those of the packet as the driver made it."""
    rig["CTRL"] |= CTRL.VME
    frame = ethernet()
    rig.send(frame, SENT | IC | VLE, css=14, cso=40, special=7)
    value = (0xFFFF ^ ones_sum(frame[14:])).to_bytes(2, "big")
    summed = frame[:40] + value + frame[42:]
    assert rig.take() == [summed[:12] + bytes.fromhex("81000007") + summed[12:]]


# ------------------------------------------------------------------ context and data descriptors (3.3.6, 3.3.7, 3.6)


def tcp4(payload: bytes, *, flags: int = 0x18, options: bytes = b"", tcp_options: bytes = b"") -> tuple[bytes, int]:
    """(Ethernet, IPv4 and TCP with partial pseudo-header sum, offset of TCP)."""
    ip_length = 20 + len(options)
    tcp_length = 20 + len(tcp_options)
    ip = (
        struct.pack(
            ">BBHHHBBH4s4s",
            0x40 | ip_length // 4,
            0,
            ip_length + tcp_length + len(payload),
            0x1234,
            0x4000,
            64,
            6,
            0,
            bytes([10, 0, 2, 15]),
            bytes([10, 0, 2, 2]),
        )
        + options
    )
    pseudo = ones_sum(ip[12:20] + bytes([0, 6]) + (tcp_length + len(payload)).to_bytes(2, "big"))
    tcp = struct.pack(">HHIIBBHHH", 1234, 80, 0xFFFFFF00, 7, tcp_length // 4 << 4, flags, 8192, pseudo, 0) + tcp_options
    return PEER + MAC + b"\x08\x00" + ip + tcp + payload, 14 + ip_length


def context_for(at: int, *, tucmd: int = 0, ip_end: int | None = None, offset: int = 16, **values: int) -> np.void:
    return context(
        tucmd,
        ipcss=14,
        ipcso=24,
        ipcse=at - 1 if ip_end is None else ip_end,
        tucss=at,
        tucso=at + offset,
        tucse=0,
        **values,
    )


def check_tcp4(frame: bytes, at: int = 34) -> None:
    """IPv4 and TCP checksums are right."""
    assert ones_sum(frame[14:at]) == 0xFFFF
    segment = frame[at : 14 + int.from_bytes(frame[16:18], "big")]
    assert ones_sum(frame[26:34] + bytes([0, frame[23]]) + len(segment).to_bytes(2, "big") + segment) == 0xFFFF


BOTH = PacketOptions.IXSM | PacketOptions.TXSM
DATA = DataCommand.EOP | DataCommand.IFCS | DataCommand.RS


@pytest.mark.parametrize("size", [0, 1, 6, 7, 100, 1460])
@pytest.mark.parametrize("options", [b"", b"\x01" * 8])
def test_checksums_of_a_context(rig: Rig, size: int, options: bytes) -> None:
    frame, at = tcp4(bytes(range(256)) * 6, options=options)
    frame = frame[: at + 20 + size]
    frame = frame[:16] + (len(frame) - 14).to_bytes(2, "big") + frame[18:]
    pseudo = ones_sum(frame[26:34] + bytes([0, 6]) + (20 + size).to_bytes(2, "big"))
    frame = frame[: at + 16] + pseudo.to_bytes(2, "big") + frame[at + 18 :]
    rig.put(context_for(at), data(rig.place(frame), len(frame), DATA, popts=BOTH))
    (sent,) = rig.take()
    check_tcp4(sent, at)
    assert sent[:24] == frame[:24]


@pytest.mark.parametrize("popts", [0, PacketOptions.IXSM, PacketOptions.TXSM])
def test_checksums_only_where_asked(rig: Rig, popts: int) -> None:
    frame, at = tcp4(b"x" * 33)
    rig.put(context_for(at), data(rig.place(frame), len(frame), DATA, popts=popts))
    (sent,) = rig.take()
    assert (sent[24:26] != frame[24:26]) == bool(popts & PacketOptions.IXSM)
    assert (sent[at + 16 : at + 18] != frame[at + 16 : at + 18]) == bool(popts & PacketOptions.TXSM)


def test_a_context_stays_until_the_next(rig: Rig) -> None:
    frame, at = tcp4(b"y" * 40)
    rig.put(context_for(at))
    for _ in range(3):
        rig.put(data(rig.place(frame), len(frame), DATA, popts=BOTH))
        check_tcp4(rig.take()[0], at)


def test_popts_count_in_the_first_descriptor_only(rig: Rig) -> None:
    frame, at = tcp4(b"z" * 40)
    rig.place(frame)
    command = DataCommand.EOP | DataCommand.IFCS
    rig.put(context_for(at), data(TX_BUFFERS, 20, 0, popts=BOTH), data(TX_BUFFERS + 20, len(frame) - 20, command))
    check_tcp4(rig.take()[0], at)
    rig.put(data(TX_BUFFERS, 20, 0), data(TX_BUFFERS + 20, len(frame) - 20, command, popts=BOTH))
    assert rig.take() == [frame]


@pytest.mark.parametrize("end", [20, 33, 40])
def test_the_end_of_a_checksum(rig: Rig, end: int) -> None:
    """xxCSE is the last byte summed; 0 is the end of the packet."""
    frame = ethernet()
    rig.put(context(0, ipcss=14, ipcso=50, ipcse=end), data(rig.place(frame), 60, DATA, popts=PacketOptions.IXSM))
    value = (0xFFFF ^ ones_sum(frame[14 : end + 1])).to_bytes(2, "big")
    assert rig.take() == [frame[:50] + value + frame[52:]]


@pytest.mark.parametrize(
    "values",
    [{"ipcss": 60, "ipcso": 24}, {"ipcss": 255, "ipcso": 24}, {"ipcss": 14, "ipcso": 59}, {"ipcss": 14, "ipcso": 255}],
)
def test_checksum_fields_out_of_the_packet(rig: Rig, values: dict[str, int]) -> None:
    frame = ethernet()
    rig.put(context(0, **values), data(rig.place(frame), 60, DATA, popts=PacketOptions.IXSM))
    assert rig.take() == [frame]


def test_both_checksums_are_of_the_data_as_it_came(rig: Rig) -> None:
    """3.6: they are independent, so an overlap takes the bytes from before either was inserted."""
    frame = ethernet()
    rig.put(context(0, ipcss=14, ipcso=40, tucss=14, tucso=44), data(rig.place(frame), 60, DATA, popts=BOTH))
    value = (0xFFFF ^ ones_sum(frame[14:])).to_bytes(2, "big")
    assert rig.take() == [frame[:40] + value + frame[42:44] + value + frame[46:]]


def test_offloads_without_a_context_are_found(rig: Rig) -> None:
    frame = ethernet()
    rig.put(data(rig.place(frame), 60, DATA, popts=BOTH))
    assert rig.take() == [frame]
    assert "e1000.tx.context-missing" in rig.nic.finding_counts


def test_vlan_and_padding_of_data_descriptors(rig: Rig) -> None:
    rig["CTRL"] |= CTRL.VME
    rig["TCTL"] = TCTL.EN | TCTL.PSP
    frame = ethernet(size=50)[:50]
    rig.place(frame)
    rig.put(
        data(TX_BUFFERS, 20, DataCommand.VLE, special=1), data(TX_BUFFERS + 20, 30, DATA | DataCommand.VLE, special=2)
    )
    assert rig.take() == [frame[:12] + bytes.fromhex("81000002") + frame[12:] + bytes(6)]


def test_a_context_with_rs_reports(rig: Rig) -> None:
    rig.put(context_for(34, tucmd=ContextCommand.RS))
    assert rig.tx_status(0) == 1
    assert rig["ICR"] & ICR.TXDW


# ------------------------------------------------------------------ segmentation (3.5)


def segment(
    rig: Rig,
    header: bytes,
    payload: bytes,
    mss: int,
    *,
    tucmd: int,
    at: int,
    offset: int = 16,
    popts: int = BOTH,
    paylen: int | None = None,
    cuts: tuple[int, ...] = (),
    special: int = 0,
    dcmd: int = 0,
    ip_end: int | None = None,
) -> list[bytes]:
    """Sends one segmented packet in pieces; returns the frames."""
    whole = header + payload
    rig.place(whole)
    rig.put(
        context_for(
            at,
            tucmd=tucmd | ContextCommand.TSE,
            hdrlen=len(header),
            mss=mss,
            offset=offset,
            ip_end=ip_end,
            paylen=len(payload) if paylen is None else paylen,
        ),
        ring=False,
    )
    limits = [0, *(c for c in cuts if c < len(whole)), len(whole)]
    for first, end in itertools.pairwise(limits):
        last = end == len(whole)
        command = DataCommand.TSE | dcmd | (DataCommand.EOP | DataCommand.RS if last else 0)
        rig.put(data(TX_BUFFERS + first, end - first, command, popts=popts, special=special), ring=False)
    rig["TDT"] = rig.tail
    return rig.take()


def prototype(size: int, flags: int = 0x19, **options: bytes) -> tuple[bytes, int]:
    """A TCP prototype header: total length 0, checksum 0, pseudo-header sum without length (3.5.5)."""
    frame, at = tcp4(b"", flags=flags, **options)
    pseudo = ones_sum(frame[26:34] + bytes([0, 6]))
    frame = frame[:16] + b"\0\0" + frame[18:]
    return frame[: at + 16] + pseudo.to_bytes(2, "big") + frame[at + 18 :], at


TSO4 = ContextCommand.TCP | ContextCommand.IP


@pytest.mark.parametrize(
    ("size", "mss"), [(1, 1460), (1460, 1460), (1461, 1460), (4000, 1000), (20000, 1448), (100, 1), (37, 7)]
)
@pytest.mark.parametrize("cuts", [(), (54,), (54, 100, 1000, 1001), (14, 34, 54)])
def test_tcp_segmentation(size: int, mss: int, cuts: tuple[int, ...]) -> None:
    rig = Rig(count=64)
    rig.start_transmit()
    payload = bytes(i * 7 & 0xFF for i in range(size))
    header, at = prototype(size)
    frames = segment(rig, header, payload, mss, tucmd=TSO4, at=at, cuts=cuts)
    assert b"".join(f[54:] for f in frames) == payload
    assert [len(f) - 54 for f in frames] == [min(mss, size - i) for i in range(0, size, mss)]
    for number, frame in enumerate(frames):
        check_tcp4(frame)
        total, identification = struct.unpack_from(">HH", frame, 16)
        assert total == len(frame) - 14
        assert identification == 0x1234 + number
        assert struct.unpack_from(">I", frame, 38)[0] == (0xFFFFFF00 + mss * number) & 0xFFFFFFFF
        assert frame[47] == (0x19 if number == len(frames) - 1 else 0x10)  # FIN and PSH in the last only
    assert (rig["TSCTC"], rig["TSCTFC"]) == (1, 0)


def test_segmentation_of_headers_with_options_and_tags() -> None:
    rig = Rig(count=64)
    rig.start_transmit()
    rig["CTRL"] |= CTRL.VME
    header, at = prototype(0, options=b"\x01" * 12, tcp_options=b"\x01" * 12)
    frames = segment(rig, header, bytes(2500), 1000, tucmd=TSO4, at=at, special=0x2005, dcmd=DataCommand.VLE)
    assert [f[12:16] for f in frames] == [bytes.fromhex("81002005")] * 3
    for frame in frames:
        check_tcp4(frame[:12] + frame[16:], at)


def test_vlan_of_a_segmented_packet_is_that_of_the_first_descriptor() -> None:
    """3.3.7.1, note: with TSE the VLE, IFCS and VLAN fields count in the first data descriptor."""
    rig = Rig(count=64)
    rig.start_transmit()
    rig["CTRL"] |= CTRL.VME
    header, at = prototype(0)
    rig.place(header + bytes(100))
    rig.put(
        context_for(at, tucmd=TSO4 | ContextCommand.TSE, hdrlen=54, mss=60, paylen=100),
        data(TX_BUFFERS, 54, DataCommand.TSE | DataCommand.VLE, special=3, popts=BOTH),
        data(TX_BUFFERS + 54, 100, DataCommand.TSE | DataCommand.EOP, special=9),
    )
    assert [f[12:16] for f in rig.take()] == [bytes.fromhex("81000003")] * 2


def test_segmentation_of_tcp_over_ipv6(rig: Rig) -> None:
    """TUCMD.IP 0: the payload length of IPv6, which does not count its own header."""
    addresses = bytes(range(32))
    ip = struct.pack(">IHBB", 0x60000000, 0, 6, 64) + addresses
    pseudo = ones_sum(addresses + bytes([0, 6]))
    tcp = struct.pack(">HHIIBBHHH", 1, 2, 100, 0, 0x50, 0x18, 100, pseudo, 0)
    header = PEER + MAC + b"\x86\xdd" + ip + tcp
    payload = bytes(range(250)) * 4
    frames = segment(rig, header, payload, 600, tucmd=ContextCommand.TCP, at=54, popts=PacketOptions.TXSM)
    assert b"".join(f[74:] for f in frames) == payload
    for frame in frames:
        length = int.from_bytes(frame[18:20], "big")
        assert length == len(frame) - 54
        assert ones_sum(addresses + length.to_bytes(4, "big") + bytes([0, 0, 0, 6]) + frame[54:]) == 0xFFFF


def test_segmentation_of_udp(rig: Rig) -> None:
    """TUCMD.TCP 0: the UDP length of each frame."""
    frame, _ = tcp4(b"")
    ip = bytearray(frame[14:34])
    ip[2:4], ip[9] = b"\0\0", 17
    pseudo = ones_sum(bytes(ip[12:20]) + bytes([0, 17]))
    header = frame[:14] + bytes(ip) + struct.pack(">HHHH", 5, 6, 0, pseudo)
    frames = segment(rig, header, bytes(range(200)) * 5, 400, tucmd=ContextCommand.IP, at=34, offset=6)
    assert [len(f) for f in frames] == [442, 442, 242]
    for f in frames:
        assert int.from_bytes(f[38:40], "big") == len(f) - 34
        check_tcp4(f)


def test_segmentation_with_a_constant_header(rig: Rig) -> None:
    """3.3.6.1, note 2: with TCP and IP clear, blocks of any kind."""
    header = ethernet()[:30]
    frames = segment(rig, header, bytes(range(100)), 40, tucmd=0, at=14, popts=0)
    assert frames == [header + bytes(range(100))[i : i + 40] for i in (0, 40, 80)]


@pytest.mark.parametrize(("paylen", "sizes"), [(150, [100, 50]), (300, [100, 100]), (0, []), (50, [50])])
def test_data_that_differs_from_paylen_fails_the_context(rig: Rig, paylen: int, sizes: list[int]) -> None:
    """3.3.7.1, EOP: counted in TSCTFC, once."""
    header, at = prototype(0)
    frames = segment(rig, header, bytes(200), 100, tucmd=TSO4, at=at, paylen=paylen)
    assert [len(f) - 54 for f in frames] == sizes
    assert (rig["TSCTC"], rig["TSCTFC"]) == (0, 1)
    assert frames == [] or frames[-1][47] == (0x10 if paylen == 300 else 0x19)
    rig.send(frame := ethernet())
    assert rig.take() == [frame]


@pytest.mark.parametrize(
    ("values", "finding"),
    [
        ({"mss": 0}, "e1000.tx.tso-mss"),
        ({"mss": 0xFFFF}, "e1000.tx.tso-mss"),
        ({"hdrlen": 241}, "e1000.tx.tso-header"),
        ({"hdrlen": 255, "mss": 1}, "e1000.tx.tso-header"),
    ],
)
def test_contexts_that_cannot_be(rig: Rig, values: dict[str, int], finding: str) -> None:
    fields = {"hdrlen": 54, "mss": 100, "paylen": 1000, **values}
    rig.put(
        context_for(34, tucmd=TSO4 | ContextCommand.TSE, **fields),
        data(TX_BUFFERS, 2000, DATA | DataCommand.TSE, popts=BOTH),
    )
    rig.take()
    assert finding in rig.nic.finding_counts
    rig.send(frame := ethernet())
    assert rig.take() == [frame]


def test_a_context_in_mid_packet_does_not_change_the_packet(rig: Rig) -> None:
    header, at = prototype(0)
    rig.place(header + bytes(300))
    rig.put(
        context_for(at, tucmd=TSO4 | ContextCommand.TSE, hdrlen=54, mss=100, paylen=300),
        data(TX_BUFFERS, 154, DataCommand.TSE, popts=BOTH),
        context_for(at, tucmd=TSO4 | ContextCommand.TSE, hdrlen=3, mss=1, paylen=7),
        data(TX_BUFFERS + 154, 200, DATA | DataCommand.TSE),
    )
    assert [len(f) for f in rig.take()] == [154] * 3


def test_one_descriptor_of_many_frames_is_done_in_bounded_steps(rig: Rig) -> None:
    """A descriptor of a mebibyte with MSS 1 is a million frames: no call sends more than its budget."""
    header, at = prototype(0)
    rig.place(header)
    total = (1 << 20) - 1 - 54
    rig.put(
        context_for(at, tucmd=TSO4 | ContextCommand.TSE, hdrlen=54, mss=1, paylen=total),
        data(TX_BUFFERS, (1 << 20) - 1, DATA | DataCommand.TSE, popts=BOTH),
    )
    seen = []
    for _ in range(5):
        seen.append(len(rig.take()))
        rig.nic.poll()
    assert 0 < max(seen) <= 20000
    assert rig["TDH"] == 1
    rig.nic.reset(nicemu.registers.Reset.SOFT)
    assert rig["TDH"] == 0


# ------------------------------------------------------------------ write-back and causes (3.4.2, 3.4.3)


def test_causes_of_a_sent_frame(rig: Rig) -> None:
    rig["ICR"]
    rig.send(ethernet())
    assert rig["ICR"] & (ICR.TXDW | ICR.TXQE) == ICR.TXDW | ICR.TXQE
    rig.send(ethernet(), EOP | IFCS)
    assert rig["ICR"] & (ICR.TXDW | ICR.TXQE) == ICR.TXQE


@pytest.mark.parametrize("threshold", [1, 2, 3, 5])
def test_write_back_threshold(threshold: int) -> None:
    """WTHRESH descriptors are written together; those without RS count once one with RS has started it."""
    rig = Rig(count=16)
    rig.start_transmit(txdctl=TXDCTL(WTHRESH=threshold) | TXDCTL.GRAN)
    address = rig.place(ethernet())
    for number in range(1, 11):
        rig.put(legacy(address, 60, SENT if number % 2 else EOP | IFCS))
        done = [rig.tx_status(i) for i in range(number)]
        if threshold == 1:
            assert done == [1 - i % 2 for i in range(number)]
        else:
            assert sum(done) == sum(1 for i in range(number) if done[i])
            assert done == [1] * sum(done) + [0] * (number - sum(done)) or 0 in done[: sum(done)]
    assert len(rig.take()) == 10


def test_write_backs_that_wait_are_flushed_by_tidv() -> None:
    rig = Rig(count=16)
    rig.start_transmit(txdctl=TXDCTL(WTHRESH=8) | TXDCTL.GRAN)
    rig["TIDV"] = 10
    address = rig.place(ethernet())
    rig.put(*[legacy(address, 60, SENT) for _ in range(5)])
    assert [rig.tx_status(i) for i in range(5)] == [0] * 5
    assert rig["TDH"] == 5
    rig["ICR"]
    rig.clock.advance(10 * 1024 - 1)
    assert rig.tx_status(0) == 0
    rig.clock.advance(1)
    assert [rig.tx_status(i) for i in range(6)] == [1] * 5 + [PATTERN]
    assert rig["ICR"] & ICR.TXDW


def test_low_threshold(rig: Rig) -> None:
    """TXD_LOW when the descriptors that wait come down to 8 * LWTHRESH (13.4.43)."""
    rig = Rig(count=64)
    rig.start_transmit(txdctl=TXDCTL(LWTHRESH=1))
    address = rig.place(ethernet())
    rig["TCTL"] = 0
    rig.put(*[legacy(address, 60, EOP | IFCS) for _ in range(8)])
    rig["ICR"]
    rig["TCTL"] = TCTL.EN
    assert not rig["ICR"] & ICR.TXD_LOW
    rig["TCTL"] = 0
    rig.put(*[legacy(address, 60, EOP | IFCS) for _ in range(9)])
    rig["TCTL"] = TCTL.EN
    assert rig["ICR"] & ICR.TXD_LOW


# ------------------------------------------------------------------ statistics (13.7)


def test_statistics_of_sizes(rig: Rig) -> None:
    sizes = {"PTC64": 60, "PTC127": 61, "PTC255": 200, "PTC511": 300, "PTC1023": 1019, "PTC1522": 1020}
    for size in sizes.values():
        rig.send(ethernet(size=size))
    rig.send(ethernet(size=40)[:40])  # below 64: in no bin, and not good
    for name in sizes:
        assert rig[name] == 1, name
        assert rig[name] == 0, "cleared by reading"
    octets = sum(sizes.values()) + 4 * 6
    assert (rig["GPTC"], rig["TPT"]) == (6, 7)
    assert (rig["GOTCL"], rig["GOTCH"]) == (octets, 0)
    assert (rig["TOTL"], rig["TOTH"]) == (octets + 44, 0)
    assert (rig["TOTL"], rig["GOTCL"]) == (0, 0), "cleared by reading the high half"


def test_statistics_of_groups(rig: Rig) -> None:
    rig.send(ethernet(BROADCAST))
    rig.send(ethernet(bytes.fromhex("01005e000001")))
    rig.send(ethernet())
    assert (rig["BPTC"], rig["MPTC"]) == (1, 1)
    rig.place(ethernet(BROADCAST))
    rig.put(legacy(TX_BUFFERS, 3, 0), legacy(TX_BUFFERS + 3, 57, SENT))
    assert rig["BPTC"] == 1


def test_statistics_stick(rig: Rig) -> None:
    rig.nic.regs.TPT.value = 0xFFFFFFFF
    rig.nic.regs.TOTL.value = rig.nic.regs.TOTH.value = 0xFFFFFFFF
    rig.send(ethernet())
    assert rig["TPT"] == 0xFFFFFFFF
    assert (rig["TOTL"], rig["TOTH"]) == (0xFFFFFFFF, 0xFFFFFFFF)


# ------------------------------------------------------------------ enabling, link, back-pressure


def test_nothing_moves_while_disabled(rig: Rig) -> None:
    rig["TCTL"] = 0
    rig.send(frame := ethernet())
    assert (rig.take(), rig["TDH"]) == ([], 0)
    rig["TCTL"] = TCTL.EN
    assert (rig.take(), rig["TDH"]) == ([frame], 1)


def test_nothing_moves_without_bus_mastering(rig: Rig) -> None:
    """4.1: and the driver that forgot it is told."""
    rig.nic.config.write(0x04, 3, 2)
    rig.send(frame := ethernet())
    assert (rig.take(), rig["TDH"], rig.tx_status(0)) == ([], 0, 0)
    assert "e1000.dma.bus-master-off" in rig.nic.finding_counts
    rig.nic.config.write(0x04, 7, 2)
    assert (rig.take(), rig["TDH"]) == ([frame], 1)


def test_nothing_moves_without_a_link(rig: Rig) -> None:
    rig.nic.set_link(False)
    rig.send(frame := ethernet())
    assert (rig.take(), rig["TDH"]) == ([], 0)
    rig.nic.set_link(True)
    rig.clock.advance(10_000_000_000)
    rig.nic.poll()
    assert (rig.take(), rig["TDH"]) == ([frame], 1)


def test_a_busy_wire_holds_back_and_nothing_is_lost_or_doubled() -> None:
    rig = Rig(count=256)
    rig.start_transmit()
    frames = [ethernet(payload=i.to_bytes(1000, "big")) for i in range(200)]
    for i, frame in enumerate(frames):
        rig.put(legacy(rig.place(frame, TX_BUFFERS + 1024 * i), len(frame), SENT), ring=False)
    rig.tap.room = 3
    rig["TDT"] = rig.tail
    assert rig.take() == frames[:3]
    head = rig["TDH"]
    assert 3 < head < 30, "the FIFO holds 16 KiB, no more"
    assert all(rig.tx_status(i) == 1 for i in range(head))
    assert rig.tx_status(head) == 0
    got = frames[:3]
    while len(got) < 200:
        rig.tap.room = 7
        rig.tap.writable()
        got += rig.take()
    assert got == frames
    assert rig["TDH"] == 200
    assert rig["GPTC"] == 200


def test_waiting_frames_are_in_the_packet_buffer(rig: Rig) -> None:
    """13.8: TDFPC counts them, and their bytes lie in the transmit part of PBM."""
    rig.tap.room = 0
    rig.send(frame := ethernet())
    assert rig["TDFPC"] == 1
    assert rig["TDFT"] == (8 + 64) // 8
    pbm = b"".join(rig["PBM", 48 * 256 + i].to_bytes(4, "little") for i in range(17))
    assert pbm[8:68] == frame
    rig.tap.room = None
    rig.tap.writable()
    assert rig.take() == [frame]
    assert (rig["TDFPC"], rig["TDFH"]) == (0, rig["TDFT"])


def test_a_guest_that_writes_over_the_packet_buffer_harms_only_its_frames(rig: Rig) -> None:
    rig.tap.room = 0
    rig.send(ethernet())
    rig.send(ethernet())
    rig["PBM", 48 * 256] = 0xFFFFFFFF
    rig.tap.room = None
    rig.tap.writable()
    rig.take()
    rig.send(frame := ethernet())
    assert rig.take() == [frame]


def test_reset_drops_what_waits(rig: Rig) -> None:
    rig.tap.room = 0
    rig.send(ethernet())
    rig["CTRL"] = CTRL.RST
    rig.tap.room = None
    rig.tap.writable()
    assert rig.take() == []


# ------------------------------------------------------------------ memory that is not mapped, or not there


def test_memory_behind_functions() -> None:
    memory, _ = functions_memory()
    rig = Rig(memory=memory, count=64)
    rig.start_transmit()
    rig["CTRL"] |= CTRL.VME
    frame = ethernet()
    rig.send(frame)
    rig.send(frame, SENT | VLE, special=1)
    rig.send(frame, SENT | IC, css=14, cso=40)
    first, second, third = rig.take()
    assert first == frame
    assert second == frame[:12] + bytes.fromhex("81000001") + frame[12:]
    assert third[40:42] == (0xFFFF ^ ones_sum(frame[14:])).to_bytes(2, "big")
    header, at = prototype(0)
    frames = segment(rig, header, bytes(range(250)) * 20, 1000, tucmd=TSO4, at=at, cuts=(54, 700, 2000))
    assert b"".join(f[54:] for f in frames) == bytes(range(250)) * 20
    for f in frames:
        check_tcp4(f)
    assert rig.tx_status(0) == 1


def test_each_descriptor_is_read_once() -> None:
    """G11: a guest that changes a descriptor behind the card's back changes nothing."""
    reads: list[tuple[int, int]] = []
    memory, _ = functions_memory(reads)
    rig = Rig(memory=memory)
    rig.start_transmit()
    reads.clear()
    rig.send(ethernet(), EOP | IFCS | RS)
    ring = [r for r in reads if TX_RING <= r[0] < TX_RING + 128]
    assert ring == [(TX_RING, 16)]


@pytest.mark.parametrize("address", [MEMORY, MEMORY - 10, 0xFFFF_FFFF_FFFF_FFF0, 1 << 40])
def test_a_buffer_that_is_not_there_sends_nothing(rig: Rig, address: int) -> None:
    rig.put(legacy(address, 60, SENT))
    assert rig.take() == []
    assert (rig["TDH"], rig.tx_status(0)) == (1, 1)
    assert rig.nic.counters["dma_errors"] == 1
    rig.send(frame := ethernet())
    assert rig.take() == [frame]


@pytest.mark.parametrize("base", [MEMORY, MEMORY - 16, 0xFFFF_FFFF_FFFF_FFC0, 1 << 50])
def test_a_ring_that_is_not_there(base: int) -> None:
    rig = Rig()
    rig.start_transmit(base=base)
    rig["TDT"] = 7
    assert rig.take() == []
    assert rig["TDH"] <= 1
    rig.start_transmit()
    rig.send(frame := ethernet())
    assert rig.take() == [frame]


# ------------------------------------------------------------------ hostile rings (G1-G5)


@pytest.mark.parametrize("length", [0, 0x80, 0xFFF80, 0xFFFFFFFF, 0x7F, 0x90])
@pytest.mark.parametrize("head", [0, 7, 8, 0xFFFF])
@pytest.mark.parametrize("tail", [0, 6, 7, 8, 0x7FFF, 0xFFFF])
def test_geometry(length: int, head: int, tail: int) -> None:
    rig = Rig()
    rig.ram[TX_RING:] = bytes(MEMORY - TX_RING)
    rig.start_transmit()
    rig["TDLEN"], rig["TDH"] = length, head
    before = bytes(rig.ram)
    descriptors = rig.nic.counters["descriptors"]
    rig["TDT"] = tail
    rig.nic.poll()
    count = (length & 0xFFF80) // 16
    assert rig.nic.counters["descriptors"] - descriptors <= max(count, 1)
    assert rig.take() == []
    assert bytes(rig.ram) == before, "null descriptors without RS write nothing"
    rig["TCTL"] = 0
    rig.start_transmit()
    rig.send(frame := ethernet())
    assert rig.take() == [frame]


@pytest.mark.parametrize("size", [16, 1000, 16288, 65535])
def test_a_frame_that_never_ends(size: int) -> None:
    rig = Rig(count=64)
    rig.start_transmit()
    rig.put(*[legacy(TX_BUFFERS, size, RS) for _ in range(63)])
    assert rig.take() == []
    assert rig["TDH"] == 63
    rig.put(legacy(0, 0, EOP | IFCS | RS))
    if 63 * size > 16288:
        assert rig.take() == []
        assert rig.nic.finding_counts["e1000.tx.oversize"] == 1
    else:
        assert len(rig.take()[0]) == 63 * size
    rig.send(frame := ethernet())
    assert rig.take() == [frame]


@pytest.mark.parametrize("length", [16288, 16289, 65535])
def test_the_longest_packet(rig: Rig, length: int) -> None:
    frame = ethernet(size=length)
    rig.put(legacy(rig.place(frame), length, SENT))
    assert rig.take() == ([frame] if length == 16288 else [])


def test_a_frame_longer_than_the_fifo_does_not_stop_the_rest(rig: Rig) -> None:
    rig["PBA"] = 56
    rig.put(legacy(rig.place(ethernet(size=9000)), 9000, SENT))
    assert rig.take() == []
    assert "e1000.tx.oversize" in rig.nic.finding_counts
    rig.send(frame := ethernet())
    assert rig.take() == [frame]


@pytest.mark.parametrize("length", [0, 1, 5, 6, 11, 12, 13, 14, 15, 17, 18, 33, 34, 41, 42, 53, 54, 59, 60])
@pytest.mark.parametrize("vme", [False, True])
def test_short_frames_with_every_offload(length: int, vme: bool) -> None:
    """G5: nothing that nobody wrote leaves the card: only the frame, tag, padding and checksums of it."""
    rig = Rig(count=256)
    rig.start_transmit(tctl=TCTL.PSP)
    rig["CTRL"] = rig["CTRL"] & ~CTRL.VME | (CTRL.VME if vme else 0)
    frame = bytes(range(0x80, 0x80 + length))
    rig.place(b"\x00" * 0x1000)
    rig.place(frame)
    for command in range(0, 256):
        if command & 0x20:
            dtyp = 0 if command & 1 else 1
            rig.put(data(TX_BUFFERS, length, command | DataCommand.EOP, popts=command & 3)) if dtyp else rig.put(
                context(
                    command, ipcss=command & 63, ipcso=command >> 2, tucss=5, tucso=9, hdrlen=length, mss=9, paylen=30
                )
            )
        else:
            rig.put(legacy(TX_BUFFERS, length, command | EOP, cso=command & 63, css=command >> 2, special=0x8888))
    allowed = set(frame) | {0x81, 0x00, 0x88}
    for sent in rig.take():
        strange = [i for i, b in enumerate(sent) if b not in allowed]
        assert len(strange) <= 4, "two checksums"
    rig.send(good := ethernet())
    assert rig.take()[-1] == good


def test_loads_of_random_descriptors_leave_the_card_alive() -> None:
    rng = np.random.default_rng(1)
    rig = Rig(count=64)
    rig.start_transmit()
    rig.memory.write(TX_BUFFERS, rng.bytes(1 << 20))
    for _ in range(300):
        words = rng.integers(0, 1 << 63, 2, dtype=np.uint64)
        words[0] = TX_BUFFERS + int(words[0]) % 0x80000 if rng.random() < 0.8 else words[0]
        raw = bytearray(words.tobytes())
        if rng.random() < 0.5:
            raw[10] = raw[10] & 0x0F | int(rng.integers(0, 3)) << 4
            raw[11] |= 0x20
        rig.put(np.frombuffer(bytes(raw), "u1"))
        rig["CTRL"] = (rig["CTRL"] & ~CTRL.VME) | (CTRL.VME if rng.random() < 0.5 else 0)
        if rng.random() < 0.1:
            rig.nic.poll()
    rig["CTRL"] = CTRL.RST
    rig["CTRL"] |= CTRL.SLU
    rig.clock.advance(10_000_000_000)
    rig.take()
    rig.start_transmit()
    rig.send(frame := ethernet())
    assert rig.take() == [frame]


# ------------------------------------------------------------------ time (wire and chaos profiles)


@pytest.mark.parametrize("profile", ["wire", "chaos"])
def test_profiles_with_time_send_the_same_frames(profile: str) -> None:
    rig = Rig(count=64, profile=profile, seed=3)
    rig.start_transmit()
    frames = [ethernet(payload=i.to_bytes(46 + 20 * i, "big")) for i in range(40)]
    for i, frame in enumerate(frames):
        rig.put(legacy(rig.place(frame, TX_BUFFERS + 2048 * i), len(frame), SENT), ring=False)
    rig["TDT"] = rig.tail
    assert rig.take() == [], "not in the doorbell"
    assert rig.tx_status(0) == 0
    rig.clock.advance(1_000_000_000)
    assert rig.take() == frames
    assert rig["TDH"] == 40
    assert all(rig.tx_status(i) == 1 for i in range(40))


def test_the_wire_takes_its_time() -> None:
    rig = Rig(count=64, profile="wire")
    rig.start_transmit()
    frame = ethernet(size=1514)
    rig.place(frame)
    rig.put(*[legacy(TX_BUFFERS, 1514, SENT) for _ in range(50)])
    start = rig.clock.now
    while len(rig.tap.sent) < 50:
        deadline = rig.clock.next_deadline
        assert deadline is not None
        rig.clock.advance(deadline - rig.clock.now)
    elapsed = rig.clock.now - start
    assert 50 * 1538 * 8 <= elapsed <= 50 * 1538 * 8 + 30_000, "1538 byte times each at 1 Gb/s"


def test_dd_means_that_the_data_was_fetched_not_that_it_left() -> None:
    """3.3.3.2; the buffer may be reused then."""
    rig = Rig(count=64, profile="wire")
    rig.start_transmit()
    frame = ethernet(size=1514)
    rig.send(frame)
    while not rig.tx_status(0):
        rig.clock.advance(100)
    assert rig.take() == []
    rig.place(bytes(1514))
    rig.clock.advance(20_000)
    assert rig.take() == [frame]


# ------------------------------------------------------------------ snapshots


def states() -> list[Any]:
    def partial(rig: Rig) -> None:
        rig.put(legacy(rig.place(ethernet()[:20]), 20, RS))

    def blocked(rig: Rig) -> None:
        rig.tap.room = 0
        for _ in range(5):
            rig.send(ethernet())

    def segmenting(rig: Rig) -> None:
        header, at = prototype(0)
        rig.place(header + bytes(300))
        rig.put(
            context_for(at, tucmd=TSO4 | ContextCommand.TSE, hdrlen=54, mss=100, paylen=300),
            data(TX_BUFFERS, 204, DataCommand.TSE, popts=BOTH),
        )

    def delayed(rig: Rig) -> None:
        rig.send(ethernet(), SENT | IDE)

    return [partial, blocked, segmenting, delayed]


@pytest.mark.parametrize("prepare", states(), ids=lambda f: f.__name__)
def test_snapshot_in_mid_work(prepare: Any) -> None:
    rig = Rig()
    rig.start_transmit()
    prepare(rig)
    rig.take()
    saved = rig.nic.save()
    other = Rig()
    other.memory.write(0, bytes(rig.ram))
    other.nic.load(saved)
    assert other.nic.save() == saved
    other.tail = rig.tail
    for r in (rig, other):
        r.tap.room = None
        r.tap.writable()
        r.memory.write(TX_BUFFERS + 0x9000, bytes(200))
        r.put(data(TX_BUFFERS + 0x9000, 100, DATA | DataCommand.TSE))
        r.clock.advance(1_000_000)
    assert rig.take() == other.take()
    assert rig.stored("ICR") == other.stored("ICR")
    assert rig.nic.save() == other.nic.save()
