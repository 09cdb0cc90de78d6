"""Frames for register scripts: well-formed ones, by dpkt, and what the scripts' memory layout asks for."""

from __future__ import annotations

import struct

import dpkt  # type: ignore[import-untyped]

CARD = bytes.fromhex("525400123456")
STATION = bytes.fromhex("525400aabbcc")
OTHER = bytes.fromhex("525400deadbe")
GROUP = bytes.fromhex("01005e010203")
BROADCAST = b"\xff" * 6
SOURCE4, TARGET4 = bytes((10, 0, 2, 15)), bytes((10, 0, 2, 2))
SOURCE6, TARGET6 = (bytes.fromhex("fec0") + bytes(13) + bytes((last,)) for last in (15, 2))


def pattern(length: int) -> bytes:
    """Bytes that tell their place."""
    return bytes((place * 7 + place // 256) & 0xFF for place in range(length))


def plain(length: int, target: bytes = STATION, source: bytes = CARD) -> bytes:
    """A frame of that many bytes, without FCS, of the experimental EtherType."""
    return target + source + b"\x88\xb5" + pattern(length - 14)


def tagged(length: int, tag: int, target: bytes = CARD, source: bytes = STATION) -> bytes:
    """The same with an 802.1Q tag."""
    return target + source + struct.pack(">HHH", 0x8100, tag, 0x88B5) + pattern(length - 18)


def ip4(segment: dpkt.Packet, protocol: int, target: bytes = STATION, source: bytes = CARD) -> bytes:
    """An IPv4 frame with every checksum right."""
    packet = dpkt.ip.IP(src=SOURCE4, dst=TARGET4, p=protocol, id=0x1234, ttl=64, data=segment)
    packet.len = len(packet)
    return bytes(dpkt.ethernet.Ethernet(dst=target, src=source, type=0x0800, data=packet))


def ip6(segment: dpkt.Packet, protocol: int, target: bytes = STATION, source: bytes = CARD) -> bytes:
    """An IPv6 frame; the segment's checksum is made right by dpkt."""
    packet = dpkt.ip6.IP6(src=SOURCE6, dst=TARGET6, nxt=protocol, hlim=64, plen=len(segment), data=segment)
    packet.extension_hdrs = {}
    return bytes(dpkt.ethernet.Ethernet(dst=target, src=source, type=0x86DD, data=packet))


def tcp(payload: bytes, flags: int = 0x18) -> dpkt.tcp.TCP:
    """A TCP segment; its checksum is 0 until it is put into a packet."""
    return dpkt.tcp.TCP(sport=1000, dport=2000, seq=0x01020304, ack=0x05060708, flags=flags, win=4096, data=payload)


def udp(payload: bytes) -> dpkt.udp.UDP:
    """A UDP datagram; its checksum is 0 until it is put into a packet."""
    return dpkt.udp.UDP(sport=1000, dport=2000, ulen=8 + len(payload), data=payload)


def for_offload(frame: bytes, with_length: bool) -> bytes:
    """A TCP or UDP frame as a driver hands it over: IPv4 checksum 0, pseudo header's sum in place of the segment's.

    The pseudo header's length is left out where the card is to segment (8254x SDM 3.5.5).
    """
    content = bytearray(frame)
    version = content[14] >> 4
    if version == 4:
        protocol, start, addresses = content[23], 34, bytes(content[26:34])
        content[24:26] = b"\0\0"
    else:
        protocol, start, addresses = content[20], 54, bytes(content[22:54])
    length = len(content) - start if with_length else 0
    total = sum(struct.unpack(f">{len(addresses) // 2}H", addresses)) + protocol + length
    total = (total & 0xFFFF) + (total >> 16)
    total = (total & 0xFFFF) + (total >> 16)
    field = start + (16 if protocol == 6 else 6)
    content[field : field + 2] = struct.pack(">H", total)
    return bytes(content)
