"""The strict filter in front of libslirp: each refusal by its name, and nothing inconsistent passes."""

from __future__ import annotations

import dpkt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nicemu.engine import ffi, lib

MTU = 1500
MAC = bytes.fromhex("525400123456")


def judge(frame: bytes) -> tuple[str, bytes, int]:
    """(reason, the frame as it would go on, URG pointers cleared)."""
    buffer = ffi.new("uint8_t[]", max(len(frame), 1))
    ffi.memmove(buffer, frame, len(frame))
    length, cleared = ffi.new("uint32_t *", len(frame)), ffi.new("uint64_t *")
    reason = ffi.string(lib.nic_filter_reason(lib.nic_filter_frame(buffer, length, MTU, cleared))).decode()
    return reason, bytes(ffi.buffer(buffer, length[0])) if length[0] else b"", cleared[0]


def ethernet(payload: bytes, ethertype: int) -> bytes:
    return b"\xff" * 6 + MAC + ethertype.to_bytes(2, "big") + payload


def ipv4(payload: bytes, protocol: int = 17, **fields: object) -> bytes:
    packet = dpkt.ip.IP(src=b"\x0a\0\x02\x0f", dst=b"\x0a\0\x02\x02", p=protocol, data=payload)
    raw = bytearray(bytes(packet))
    for at, value in fields.items():
        raw[int(at[1:])] = value  # type: ignore[call-overload]
    return ethernet(bytes(raw), 0x800)


def ipv6(payload: bytes, protocol: int = 17, claimed: int | None = None) -> bytes:
    length = len(payload) if claimed is None else claimed
    head = b"\x60\0\0\0" + length.to_bytes(2, "big") + bytes([protocol, 64]) + bytes(15) + b"\1" + bytes(15) + b"\2"
    return ethernet(head + payload, 0x86DD)


def udp(data: bytes = b"hello", claimed: int | None = None, port: int = 9) -> bytes:
    length = 8 + len(data) if claimed is None else claimed
    return (4000).to_bytes(2, "big") + port.to_bytes(2, "big") + length.to_bytes(2, "big") + b"\0\0" + data


def tcp(data: bytes = b"", offset: int = 5, flags: int = 0x10, urgent: int = 0) -> bytes:
    head = (4000).to_bytes(2, "big") + (80).to_bytes(2, "big") + bytes(8)
    return head + bytes([offset << 4, flags]) + b"\x10\0\0\0" + urgent.to_bytes(2, "big") + data


def arp(**fields: int) -> bytes:
    raw = bytearray(bytes(dpkt.arp.ARP(sha=MAC, spa=bytes(4), tpa=b"\x0a\0\x02\x02")))
    for at, value in fields.items():
        raw[int(at[1:])] = value
    return ethernet(bytes(raw), 0x806)


ICMPV6_SOLICIT = bytes([135]) + bytes(23)

PASSING = {
    "arp request": arp(),
    "arp reply": arp(b7=2),
    "arp padded": arp().ljust(60, b"\0"),
    "udp": ipv4(udp()),
    "udp empty": ipv4(udp(b"")),
    "udp shorter than ip": ipv4(udp(b"hello", claimed=10)),
    "udp largest": ipv4(udp(bytes(1472))),
    "dhcp": ipv4(udp(bytes(240), port=67)),
    "tcp": ipv4(tcp(b"data"), 6),
    "tcp options": ipv4(tcp(bytes(40), offset=15), 6),
    "echo": ipv4(b"\x08" + bytes(7), 1),
    "do not fragment": ipv4(udp(), b6=0x40),
    "udp over ipv6": ipv6(udp()),
    "tcp over ipv6": ipv6(tcp(), 6),
    "solicitation": ipv6(ICMPV6_SOLICIT, 58),
    "router solicitation": ipv6(bytes([133]) + bytes(7), 58),
}

REFUSED = {
    "nothing": (b"", "short"),
    "13 bytes": (bytes(13), "short"),
    "one byte over the MTU": (ethernet(bytes(MTU + 1), 0x800), "oversize"),
    "VLAN tag": (ethernet(bytes(46), 0x8100), "ethertype"),
    "length field": (ethernet(bytes(46), 46), "ethertype"),
    "NC-SI": (ethernet(bytes(46), 0x88F8), "ethertype"),
    "arp cut": (arp()[:-1], "short"),
    "arp hardware type": (arp(b1=6), "arp"),
    "arp protocol": (arp(b2=0x86), "arp"),
    "arp hardware length": (arp(b4=8), "arp"),
    "arp address length": (arp(b5=16), "arp"),
    "arp operation": (arp(b7=3), "arp"),
    "ip of 19 bytes": (ethernet(bytes([0x45]) + bytes(18), 0x800), "short"),
    "ip version 6 in IPv4": (ipv4(udp(), b0=0x65), "ip_version"),
    "header of 4 words": (ipv4(udp(), b0=0x44), "ip_options"),
    "options": (ipv4(udp(), b0=0x46), "ip_options"),
    "total length beyond the frame": (ipv4(udp(), b3=34), "ip_length"),
    "total length below the header": (ipv4(udp(), b3=19), "ip_length"),
    "first fragment": (ipv4(udp(), b6=0x20), "fragment"),
    "last fragment": (ipv4(udp(), b7=1), "fragment"),
    "largest offset": (ipv4(udp(), b6=0x1F, b7=0xFF), "fragment"),
    "IGMP": (ipv4(bytes(8), 2), "protocol"),
    "tcp of 19 bytes": (ipv4(tcp()[:19], 6), "short"),
    "tcp offset 4": (ipv4(tcp(offset=4), 6), "tcp_header"),
    "tcp offset beyond the packet": (ipv4(tcp(offset=6), 6), "tcp_header"),
    "udp of 7 bytes": (ipv4(udp()[:7]), "short"),
    "udp length 7": (ipv4(udp(claimed=7)), "udp_length"),
    "udp length beyond the packet": (ipv4(udp(claimed=14)), "udp_length"),
    "short dhcp": (ipv4(udp(bytes(239), port=67)), "bootp_length"),
    "icmp of 7 bytes": (ipv4(bytes(7), 1), "icmp_length"),
    "icmp of 0 bytes": (ipv4(b"", 1), "icmp_length"),
    "ICMPv6 in IPv4": (ipv4(bytes(24), 58), "protocol"),
    "ipv6 of 39 bytes": (ethernet(b"\x60" + bytes(38), 0x86DD), "short"),
    "ip version 4 in IPv6": (ethernet(b"\x45" + bytes(47), 0x86DD), "ip_version"),
    "payload beyond the frame": (ipv6(udp(), claimed=14), "ip_length"),
    "ipv6 fragment": (ipv6(bytes(16), 44), "fragment"),
    "hop by hop options": (ipv6(bytes(16), 0), "protocol"),
    "ICMP in IPv6": (ipv6(bytes(8), 1), "protocol"),
    "solicitation of 23 bytes": (ipv6(ICMPV6_SOLICIT[:-1], 58), "icmp_length"),
    "redirect of 39 bytes": (ipv6(bytes([137]) + bytes(38), 58), "icmp_length"),
    "icmpv6 of 0 bytes": (ipv6(b"", 58), "icmp_length"),
}


@pytest.mark.parametrize("frame", PASSING.values(), ids=PASSING)
def test_consistent_frames_pass_unchanged(frame: bytes) -> None:
    reason, passed, cleared = judge(frame)
    assert (reason, cleared) == ("passed", 0)
    assert frame.startswith(passed)


@pytest.mark.parametrize(("frame", "expected"), REFUSED.values(), ids=REFUSED)
def test_inconsistent_frames_are_refused_by_name(frame: bytes, expected: str) -> None:
    assert judge(frame)[0] == expected


def test_every_reason_is_reached_by_a_test() -> None:
    names = {ffi.string(lib.nic_filter_reason(i)).decode() for i in range(1, lib.NIC_FILTER_HELD)}
    assert names == {expected for _, expected in REFUSED.values()}


def test_padding_of_the_frame_is_cut_off() -> None:
    frame = ipv4(udp())
    assert judge(frame.ljust(60, b"\xaa"))[1] == frame


@pytest.mark.parametrize("wrap", [ipv4, ipv6])
@pytest.mark.parametrize(("flags", "urgent"), [(0x30, 0), (0x30, 5), (0x10, 5), (0x3F, 0xFFFF), (0x30, 1)])
def test_urgent_data_becomes_ordinary_with_a_right_checksum(wrap, flags: int, urgent: int) -> None:  # type: ignore[no-untyped-def]
    frame = bytearray(wrap(tcp(b"abcde", flags=flags, urgent=urgent), 6))
    at = len(frame) - 25
    addresses = frame[at - 8 : at] if wrap is ipv4 else frame[at - 32 : at]

    def checksum(segment: bytes) -> int:
        return int(dpkt.in_cksum(bytes(addresses) + bytes([0, 6]) + len(segment).to_bytes(2, "big") + segment))

    frame[at + 16 : at + 18] = checksum(bytes(frame[at:])).to_bytes(2, "big")
    assert checksum(bytes(frame[at:])) == 0
    reason, passed, cleared = judge(bytes(frame))
    assert (reason, cleared) == ("passed", 1)
    segment = passed[at:]
    assert segment[13] == flags & ~0x20
    assert segment[18:20] == b"\0\0"
    assert segment[20:] == b"abcde"
    assert checksum(segment) == 0


@settings(max_examples=2000, deadline=None)
@given(
    st.sampled_from([*PASSING.values(), *(f for f, _ in REFUSED.values())]),
    st.lists(st.tuples(st.integers(0, 80), st.integers(0, 255)), max_size=6),
    st.integers(0, 1514),
)
def test_whatever_passes_is_consistent(base: bytes, changes: list[tuple[int, int]], cut: int) -> None:
    frame = bytearray(base[:cut] if cut < len(base) else base)
    for at, value in changes:
        if at < len(frame):
            frame[at] = value
    reason, passed, _ = judge(bytes(frame))
    if reason != "passed":
        return
    assert len(passed) <= len(frame)
    kind = int.from_bytes(passed[12:14], "big")
    packet = passed[14:]
    if kind == 0x806:
        assert len(packet) >= 28
        return
    head = 20 if kind == 0x800 else 40
    claimed = int.from_bytes(packet[2:4], "big") if head == 20 else 40 + int.from_bytes(packet[4:6], "big")
    assert claimed == len(packet)
    protocol, payload = packet[9 if head == 20 else 6], packet[head:]
    if protocol == 6:
        assert 20 <= (payload[12] >> 4) * 4 <= len(payload)
        assert not payload[13] & 0x20
    elif protocol == 17:
        assert 8 <= int.from_bytes(payload[4:6], "big") <= len(payload)
    else:
        assert protocol in (1, 58)
        assert len(payload) >= 8
