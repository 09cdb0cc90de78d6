"""Frames for reference drivers and the self-test: Ethernet, ARP, IPv4, IPv6, ICMP, UDP, TCP and a little DHCP.

Builders return bytes with correct checksums; `parse` finds the headers of a frame, `check` says whether its checksums
are right, and `prepare` does what a host's network stack does before it leaves checksums or segmentation to a card.
Frames stand without FCS.  Sources: RFC 791, 792, 768, 9293, 826, 2131, 8200; IEEE 802.1Q.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple

__all__ = [
    "BROADCAST",
    "Lease",
    "Packet",
    "arp_reply_address",
    "arp_request",
    "check",
    "checksum",
    "dhcp_answer",
    "dhcp_message",
    "echo_request",
    "ethernet",
    "ethernet_crc",
    "ipv4",
    "ipv6",
    "is_echo_reply",
    "parse",
    "prepare",
    "tcp",
    "udp",
]

BROADCAST = b"\xff" * 6
ARP, IPV4, IPV6, VLAN = 0x0806, 0x0800, 0x86DD, 0x8100
ICMP, TCP, UDP, ICMPV6 = 1, 6, 17, 58

Address = IPv4Address | IPv6Address


def checksum(data: bytes, start: int = 0) -> int:
    """The Internet checksum of `data` (RFC 1071): the complement of the sum, to which `start` is added."""
    total: int = start + sum(struct.unpack(f">{len(data) // 2}H", data[: len(data) & ~1]))
    if len(data) & 1:
        total += data[-1] << 8
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


def ethernet_crc(data: bytes) -> int:
    """The CRC-32 of IEEE 802.3 3.2.9 before its complement, the term of the highest power first."""
    reflected = zlib.crc32(data) ^ 0xFFFFFFFF
    return int(f"{reflected:032b}"[::-1], 2)


def _pseudo(source: Address, destination: Address, protocol: int, length: int) -> int:
    """Sum, not complemented, of the pseudo header (RFC 9293 3.1, RFC 8200 8.1); it fits 16 bits."""
    data = source.packed + destination.packed + struct.pack(">II", length, protocol)
    return checksum(data) ^ 0xFFFF


# ------------------------------------------------------------------------------------------------- builders


def ethernet(destination: bytes, source: bytes, kind: int, payload: bytes, *, vlan: int | None = None) -> bytes:
    """An Ethernet frame with EtherType `kind`; `vlan` is the TCI of an 802.1Q tag."""
    tag = b"" if vlan is None else struct.pack(">HH", VLAN, vlan)
    return destination + source + tag + struct.pack(">H", kind) + payload


def ipv4(source: IPv4Address, destination: IPv4Address, protocol: int, payload: bytes, *, ident: int = 0) -> bytes:
    """An IPv4 packet without options."""
    header = struct.pack(">BBHHHBB", 0x45, 0, 20 + len(payload), ident, 0, 64, protocol)
    addresses = source.packed + destination.packed
    return header + checksum(header + b"\0\0" + addresses).to_bytes(2, "big") + addresses + payload


def ipv6(source: IPv6Address, destination: IPv6Address, protocol: int, payload: bytes) -> bytes:
    """An IPv6 packet without extension headers."""
    return struct.pack(">IHBB", 6 << 28, len(payload), protocol, 64) + source.packed + destination.packed + payload


def udp(source: Address, destination: Address, ports: tuple[int, int], payload: bytes) -> bytes:
    """A UDP datagram from ports[0] to ports[1]."""
    length = 8 + len(payload)
    header = struct.pack(">HHH", *ports, length)
    found = checksum(header + b"\0\0" + payload, _pseudo(source, destination, UDP, length))
    return header + (found or 0xFFFF).to_bytes(2, "big") + payload


def tcp(
    source: Address,
    destination: Address,
    ports: tuple[int, int],
    payload: bytes,
    *,
    sequence: int = 0,
    flags: int = 0x18,
) -> bytes:
    """A TCP segment from ports[0] to ports[1]; flags are ACK and PSH by default."""
    header = struct.pack(">HHIIBBH", *ports, sequence, 0, 5 << 4, flags, 0xFFFF)
    pseudo = _pseudo(source, destination, TCP, 20 + len(payload))
    return header + checksum(header + b"\0\0\0\0" + payload, pseudo).to_bytes(2, "big") + b"\0\0" + payload


def echo_request(identifier: int, sequence: int, payload: bytes) -> bytes:
    """An ICMP echo request."""
    header = struct.pack(">HH", identifier, sequence) + payload
    return b"\x08\x00" + checksum(b"\x08\x00" + header).to_bytes(2, "big") + header


def arp_request(mac: bytes, source: IPv4Address, target: IPv4Address) -> bytes:
    """A whole frame that asks who has `target`."""
    body = struct.pack(">HHBBH", 1, IPV4, 6, 4, 1) + mac + source.packed + bytes(6) + target.packed
    return ethernet(BROADCAST, mac, ARP, body)


def arp_reply_address(frame: bytes, target: IPv4Address) -> bytes | None:
    """The address that an ARP reply gives for `target`, or None if the frame is no such reply."""
    if frame[12:14] == ARP.to_bytes(2, "big") and frame[20:22] == b"\0\2" and frame[28:32] == target.packed:
        return frame[22:28]
    return None


# ------------------------------------------------------------------------------------------------- DHCP (RFC 2131)

DISCOVER, OFFER, REQUEST, ACK = 1, 2, 3, 5
_COOKIE = b"\x63\x82\x53\x63"


class Lease(NamedTuple):
    """What a DHCP server offered or granted."""

    kind: int
    address: IPv4Address
    server: IPv4Address
    router: IPv4Address | None


def dhcp_message(mac: bytes, transaction: int, offer: Lease | None = None) -> bytes:
    """A whole frame: DISCOVER, or with an offer the REQUEST that takes it."""
    options = bytes([53, 1, REQUEST if offer else DISCOVER])
    if offer:
        options += bytes([50, 4]) + offer.address.packed + bytes([54, 4]) + offer.server.packed
    fixed = struct.pack(">BBBBIHH", 1, 1, 6, 0, transaction, 0, 0x8000) + bytes(16) + mac.ljust(16, b"\0") + bytes(192)
    nobody, everybody = IPv4Address(0), IPv4Address("255.255.255.255")
    datagram = udp(nobody, everybody, (68, 67), (fixed + _COOKIE + options + b"\xff").ljust(300, b"\0"))
    return ethernet(BROADCAST, mac, IPV4, ipv4(nobody, everybody, UDP, datagram))


def dhcp_answer(frame: bytes, transaction: int) -> Lease | None:
    """What a DHCP server says in this frame, or None if it is no answer to `transaction`."""
    packet = parse(frame)
    if packet is None or packet.protocol != UDP or frame[packet.transport : packet.transport + 2] != b"\0\x43":
        return None
    message = frame[packet.payload :]
    if message[4:8] != transaction.to_bytes(4, "big") or message[236:240] != _COOKIE:
        return None
    options, at = {}, 240
    while at + 1 < len(message) and message[at] != 255:
        length = message[at + 1] if message[at] else -1  # option 0 is a single byte of padding
        options[message[at]] = message[at + 2 : at + 2 + length]
        at += 2 + length
    if len(options.get(53, b"")) != 1 or len(options.get(54, b"")) != 4:
        return None
    router = IPv4Address(options[3][:4]) if len(options.get(3, b"")) >= 4 else None
    return Lease(options[53][0], IPv4Address(message[16:20]), IPv4Address(options[54]), router)


def is_echo_reply(frame: bytes, request: bytes) -> bool:
    """Whether a frame is the answer to the ICMP echo `request` (the ICMP message alone)."""
    packet = parse(frame)
    if packet is None or packet.protocol != ICMP:
        return False
    reply = frame[packet.transport : packet.end]
    return reply[:2] == b"\0\0" and reply[4:] == request[4:]


# ------------------------------------------------------------------------------------------------- parsing


@dataclass(frozen=True)
class Packet:
    """Where the headers of an IP frame lie: byte offsets from the start of the frame.

    `payload` is where the transport's data begins and `end` where it ends (padding comes after); protocols other than
    TCP and UDP have no transport header: `payload` equals `transport`.
    """

    network: int
    transport: int
    payload: int
    end: int
    protocol: int
    source: Address
    destination: Address

    @property
    def version(self) -> int:
        """4 or 6."""
        return self.source.version

    @property
    def checksum_at(self) -> int:
        """Offset of the TCP or UDP checksum."""
        return self.transport + (16 if self.protocol == TCP else 6)


def parse(frame: bytes) -> Packet | None:
    """The headers of an IPv4 or IPv6 frame, tagged or not; None for anything else and for headers that do not fit.

    IPv6 extension headers are not followed.
    """
    at = 18 if frame[12:14] == b"\x81\x00" else 14
    kind, version = int.from_bytes(frame[at - 2 : at], "big"), frame[at] >> 4 if len(frame) > at else 0
    source: Address
    destination: Address
    if kind == IPV4 and version == 4 and len(frame) >= at + 20:
        transport, end = at + 4 * (frame[at] & 15), at + int.from_bytes(frame[at + 2 : at + 4], "big")
        protocol = frame[at + 9]
        source, destination = IPv4Address(frame[at + 12 : at + 16]), IPv4Address(frame[at + 16 : at + 20])
    elif kind == IPV6 and version == 6 and len(frame) >= at + 40:
        transport, end = at + 40, at + 40 + int.from_bytes(frame[at + 4 : at + 6], "big")
        protocol = frame[at + 6]
        source, destination = IPv6Address(frame[at + 8 : at + 24]), IPv6Address(frame[at + 24 : at + 40])
    else:
        return None
    there = min(end, len(frame)) > transport + 12
    header = 8 if protocol == UDP else 4 * (frame[transport + 12] >> 4) if protocol == TCP and there else 0
    if not at + 20 <= transport <= transport + header <= end <= len(frame):
        return None
    return Packet(at, transport, transport + header, end, protocol, source, destination)


def check(frame: bytes) -> list[str]:
    """The checksums of a frame that are wrong: of "IPv4", "TCP", "UDP", "ICMP"; empty if all that it has are right."""
    packet = parse(frame)
    if packet is None:
        return []
    wrong = []
    if packet.version == 4 and checksum(frame[packet.network : packet.transport]):
        wrong.append("IPv4")
    body = frame[packet.transport : packet.end]
    pseudo = _pseudo(packet.source, packet.destination, packet.protocol, len(body))
    names = {TCP: "TCP", UDP: "UDP", ICMP: "ICMP"}
    absent = packet.protocol == UDP and packet.version == 4 and body[6:8] == b"\0\0"
    if packet.protocol in names and not absent and checksum(body, 0 if packet.protocol == ICMP else pseudo):
        wrong.append(names[packet.protocol])
    return wrong


def prepare(frame: bytes, packet: Packet, *, segmented: bool = False) -> bytes:
    """The frame as a network stack hands it to a card that inserts checksums or segments.

    The IPv4 checksum is 0 and the TCP or UDP checksum holds the sum of the pseudo header: with its length, or without
    it where the card will segment and adds the length of each piece.
    """
    prepared = bytearray(frame)
    if packet.version == 4:
        prepared[packet.network + 10 : packet.network + 12] = b"\0\0"
    length = 0 if segmented else packet.end - packet.transport
    pseudo = _pseudo(packet.source, packet.destination, packet.protocol, length)
    prepared[packet.checksum_at : packet.checksum_at + 2] = pseudo.to_bytes(2, "big")
    if segmented and packet.version == 4:
        prepared[packet.network + 2 : packet.network + 4] = b"\0\0"
    return bytes(prepared)
