"""Frames that leave work to be done: segmentation and checksums in software, with dpkt as the judge."""

from __future__ import annotations

import struct

import dpkt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packets import ACK, CWR, FIN, PSH, TCP_OPTIONS, judge, packet

from nicemu.engine import ffi, lib


def segmented(frame: bytes, kind: int, **fields: int) -> list[bytes]:
    """The complete frames that the engine makes of one."""
    offload = ffi.new("nic_offload *", {"kind": kind, **fields})
    out, lengths = bytearray(1 << 20), ffi.new("uint32_t[]", 4096)
    count = lib.nic_gso_segment(bytes(frame), len(frame), offload, ffi.from_buffer(out), len(out), lengths, 4096)
    frames, at = [], 0
    for length in lengths[0:count]:
        frames.append(bytes(out[at : at + length]))
        at += length
    return frames


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("tag", [None, 5])
@pytest.mark.parametrize("size", [1, 999, 1000, 1001, 5000, 64000])
def test_tcp_becomes_right_segments(version: int, tag: int | None, size: int) -> None:
    payload = bytes(i * 7 & 0xFF for i in range(size))
    kind = lib.NIC_OFFLOAD_TCP4 if version == 4 else lib.NIC_OFFLOAD_TCP6
    frames = segmented(packet(version, 6, payload, flags=ACK | PSH | FIN | CWR, tag=tag), kind, segment_size=1000)
    assert len(frames) == -(-size // 1000)
    back = b""
    for index, frame in enumerate(frames):
        ip, tcp = judge(frame)
        last = index == len(frames) - 1
        assert (tcp.seq, tcp.ack) == ((0xFFFFF000 + len(back)) & 0xFFFFFFFF, 7)
        assert tcp.opts == TCP_OPTIONS
        assert bool(tcp.flags & FIN) == bool(tcp.flags & PSH) == last
        assert bool(tcp.flags & CWR) == (index == 0)
        assert version == 6 or ip.id == (0xFFFE + index) & 0xFFFF
        assert tag is None or dpkt.ethernet.Ethernet(frame).vlan_tags[0].id == tag
        assert last or len(tcp.data) == 1000
        back += tcp.data
    assert back == payload


@pytest.mark.parametrize("version", [4, 6])
def test_udp_becomes_datagrams(version: int) -> None:
    payload = bytes(range(250)) * 10
    frames = segmented(packet(version, 17, payload), lib.NIC_OFFLOAD_UDP, segment_size=600)
    assert [judge(frame)[1].ulen - 8 for frame in frames] == [600, 600, 600, 600, 100]
    assert b"".join(judge(frame)[1].data for frame in frames) == payload


@settings(deadline=None)  # what else the machine does is no matter here
@given(payload=st.binary(max_size=3000), version=st.sampled_from([4, 6]), protocol=st.sampled_from([6, 17]))
def test_a_checksum_is_completed(payload: bytes, version: int, protocol: int) -> None:
    start, offset = 14 + (20 if version == 4 else 40), 16 if protocol == 6 else 6
    frame = packet(version, protocol, payload)
    done = segmented(frame, lib.NIC_OFFLOAD_CHECKSUM, checksum_start=start, checksum_offset=offset)
    assert [len(d) for d in done] == [len(frame)]
    judge(done[0])


def test_a_udp_checksum_of_zero_is_not_sent_as_none() -> None:
    payload = bytearray(2)
    frame = packet(4, 17, bytes(payload))
    total = int(lib.nic_checksum(bytes(frame[34:]), 10, 0))
    struct.pack_into(">H", frame, 42, 0xFFFF - total)
    (done,) = segmented(frame, lib.NIC_OFFLOAD_CHECKSUM, checksum_start=34, checksum_offset=6)
    assert done[40:42] == b"\xff\xff"


HOSTILE = {
    "no segment size": (packet(4, 6, bytes(3000)), "TCP4", {"segment_size": 0}),
    "other version": (packet(6, 6, bytes(3000)), "TCP4", {"segment_size": 1000}),
    "other protocol": (packet(4, 17, bytes(3000)), "TCP4", {"segment_size": 1000}),
    "no headers": (bytes(3000), "TCP4", {"segment_size": 1000}),
    "cut off in the TCP header": (packet(4, 6, b"")[:50], "TCP4", {"segment_size": 1000}),
    "empty": (b"", "TCP6", {"segment_size": 1}),
    "segments longer than any frame": (packet(4, 6, bytes(40000)), "TCP4", {"segment_size": 20000}),
    "two kinds": (packet(4, 6, bytes(3000)), "BOTH", {"segment_size": 1000}),
    "checksum behind the end": (packet(4, 6, b""), "CHECKSUM", {"checksum_start": 60, "checksum_offset": 16}),
    "checksum beyond the headers": (bytes(3000), "CHECKSUM", {"checksum_start": 300, "checksum_offset": 16}),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_not_as_described_is_refused(name: str) -> None:
    frame, kind, fields = HOSTILE[name]
    number = lib.NIC_OFFLOAD_TCP4 | lib.NIC_OFFLOAD_TCP6 if kind == "BOTH" else getattr(lib, f"NIC_OFFLOAD_{kind}")
    assert segmented(bytes(frame), number, **fields) == []


@settings(deadline=None)  # what else the machine does is no matter here
@given(
    frame=st.binary(max_size=200),
    kind=st.integers(0, 255),
    numbers=st.lists(st.integers(0, 65535), min_size=4, max_size=4),
)
def test_any_bytes_are_survived(frame: bytes, kind: int, numbers: list[int]) -> None:
    names = ("checksum_start", "checksum_offset", "header_length", "segment_size")
    for made in segmented(frame, kind, **dict(zip(names, numbers, strict=True))):
        assert len(made) <= len(frame)


def test_a_fragment_is_not_segmented() -> None:
    frame = packet(4, 6, bytes(3000))
    struct.pack_into(">H", frame, 20, 0x2000)
    assert segmented(frame, lib.NIC_OFFLOAD_TCP4, segment_size=1000) == []
