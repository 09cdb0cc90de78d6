"""TCP and UDP packets of any length as a stack hands them to a card that segments, and dpkt's judgement of frames."""

from __future__ import annotations

import struct

import dpkt

from nicemu.engine import lib

ETHERNET = bytes.fromhex("525400000002 525400000001")
FIN, SYN, PSH, ACK, CWR = 0x01, 0x02, 0x08, 0x10, 0x80
SOURCE, DESTINATION = (
    {4: b"\x0a\0\0\1", 6: b"\xfd" + bytes(14) + b"\1"},
    {4: b"\x0a\0\0\2", 6: b"\xfd" + bytes(14) + b"\2"},
)
TCP_OPTIONS = bytes.fromhex("0101080a0000000100000002")


def pseudo_sum(version: int, protocol: int, length: int) -> int:
    """The sum of the pseudo header, which the sender of an unfinished packet leaves in the checksum's field."""
    content = SOURCE[version] + DESTINATION[version] + struct.pack(">HHI", 0, protocol, length)
    return int(lib.nic_checksum(content, len(content), 0))


def packet(version: int, protocol: int, payload: bytes, *, flags: int = ACK, tag: int | None = None) -> bytearray:
    """One packet of any length, as a stack hands it to a card that segments."""
    if protocol == dpkt.ip.IP_PROTO_TCP:
        length = 20 + len(TCP_OPTIONS) + len(payload)
        offset = (20 + len(TCP_OPTIONS)) // 4 << 4
        check = pseudo_sum(version, protocol, length)
        transport = struct.pack(">HHIIBBHHH", 1000, 2000, 0xFFFFF000, 7, offset, flags, 512, check, 0) + TCP_OPTIONS
    else:
        length = 8 + len(payload)
        transport = struct.pack(">HHHH", 1000, 2000, length, pseudo_sum(version, protocol, length))
    if version == 4:
        ip = bytearray(struct.pack(">BBHHHBBH", 0x45, 0, 20 + length, 0xFFFE, 0x4000, 64, protocol, 0))
        ip += SOURCE[4] + DESTINATION[4]
        struct.pack_into(">H", ip, 10, ~lib.nic_checksum(bytes(ip), 20, 0) & 0xFFFF)
    else:
        ip = bytearray(struct.pack(">IHBB", 6 << 28, length, protocol, 64)) + SOURCE[6] + DESTINATION[6]
    kind = struct.pack(">H", 0x0800 if version == 4 else 0x86DD)
    tagged = b"" if tag is None else struct.pack(">HH", 0x8100, tag)
    return bytearray(ETHERNET + tagged + kind + ip + transport + payload)


def judge(frame: bytes) -> tuple[dpkt.Packet, dpkt.Packet]:
    """The IP packet and the transport header of a frame, both checksums of which dpkt computes again."""
    ip = dpkt.ethernet.Ethernet(frame).data
    transport = ip.data
    given = transport.sum
    if isinstance(ip, dpkt.ip.IP):
        assert ip.len == len(bytes(ip))
        assert dpkt.in_cksum(bytes(ip)[:20]) == 0
    else:
        assert ip.plen == len(bytes(transport))
    transport.sum = 0
    ip.sum = 0
    fresh = type(ip)(bytes(ip))  # dpkt computes what is zero when it packs
    assert fresh.data.sum == given
    return ip, transport
