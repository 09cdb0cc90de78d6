"""Frames that a wire may bring: what parsers meet in the field, and everything that is wrong with it."""

from __future__ import annotations

import struct
from random import Random

__all__ = ["LENGTHS", "checksum", "front"]

#: Frame lengths at which cards have gone wrong, without FCS.
LENGTHS = (
    *(0, 1, 5, 6, 11, 12, 13, 14, 15, 16, 17, 18, 33, 34, 41, 42, 53, 54, 59, 60, 61, 63, 64, 65),
    *(127, 128, 255, 256, 511, 512, 1023, 1024, 1500, *range(1510, 1524), 2044, 2047, 2048, 2049),
    *(4092, 4096, 4097, 8192, 9018, 16376, 16379, 16380, 16381, 16383, 16384),
)
PAUSE_GROUP = bytes.fromhex("0180c2000001")


def checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071)."""
    data += b"\0" * (len(data) & 1)
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


def _transport(random: Random, protocol: int) -> bytes:
    ports = struct.pack(">HH", random.choice((53, 80, 623, 664, 0x26F)), random.getrandbits(16))
    if protocol == 6:
        offset = random.choice((5, 5, 5, 6, 15, 0, 4))
        flags = random.choice((0x10, 0x18, 0x02, 0x11, 0x38))
        return ports + struct.pack(">IIBBHHH", 1, 2, offset << 4, flags, 0xFFFF, random.choice((0, 0x1234)), 0)
    if protocol == 17:
        return ports + struct.pack(">HH", random.choice((8, 26, 0, 7, 65535)), random.choice((0, 0xFFFF, 0x1234)))
    return random.randbytes(12)


def _ipv4(random: Random) -> bytes:
    words = random.choice((5, 5, 5, 5, 6, 15, random.randrange(16)))
    protocol = random.choice((6, 6, 17, 17, 1, 132, 4, 41, random.getrandbits(8)))
    options = random.randbytes(4 * max(0, words - 5))
    inner = _ipv6(random, 0) if protocol == 41 else _transport(random, protocol)
    total = random.choice((20 + len(options) + len(inner), 20, 46, 1500, 0, 65535, 16384))
    fragment = random.choice((0, 0, 0, 0x4000, 0x2000, 0x2001, 0x1FFF))
    head = struct.pack(">BBHHHBB", 4 << 4 | words, 0, total, 7, fragment, 64, protocol)
    addresses = b"\x0a\0\2\x0f\x0a\0\2\2"
    found = checksum(head + b"\0\0" + addresses + options) if random.random() < 0.7 else 0x1234
    return head + struct.pack(">H", found) + addresses + options + inner


def _ipv6(random: Random, depth: int = 6) -> bytes:
    chain, kinds = b"", [random.choice((0, 43, 44, 60, 51, 50)) for _ in range(random.randrange(depth + 1))]
    kinds.append(random.choice((6, 17, 58, 59, 41, 44)))
    for following in kinds[1:]:
        size = random.choice((0, 0, 1, 7, 8, 255))
        segments = random.choice((0, 1, 255))
        chain += bytes((following, size, 0, segments)) + random.randbytes(4 + 8 * min(size, 3))
    inner = _transport(random, kinds[-1])
    payload = random.choice((len(chain) + len(inner), 0, 65535, 1460))
    return struct.pack(">IHBB", 6 << 28, payload, kinds[0], 64) + random.randbytes(32) + chain + inner


def _arp(random: Random) -> bytes:
    operation = random.choice((1, 1, 2, 3))
    return struct.pack(">HHBBH", 1, 0x0800, 6, 4, operation) + random.randbytes(10) + bytes(6) + b"\x0a\0\2\x0f"


def _control(random: Random) -> bytes:
    return struct.pack(">HH", random.choice((1, 1, 1, 0, 0x101)), random.choice((0, 1, 0xFFFF, 0x100)))


_PAYLOADS = (
    (0x0800, _ipv4),
    (0x0800, _ipv4),
    (0x86DD, _ipv6),
    (0x86DD, _ipv6),
    (0x0806, _arp),
    (0x8808, _control),
    (0x88CC, lambda random: random.randbytes(random.randrange(40))),
)


def front(random: Random, station: bytes) -> bytes:
    """Headers of a frame, well formed or not, for a card with the address `station`."""
    group = random.choice((b"\x01\0\x5e\0\0\x01", b"\x33\x33\0\0\0\x01", random.randbytes(6)))
    destination = random.choice((station, station, station, b"\xff" * 6, PAUSE_GROUP, group))
    if random.random() < 0.04:
        return destination + station + b"\x08\x42" + b"\xff" * random.choice((6, 7, 5)) + station * 16
    kind, make = random.choice(_PAYLOADS)
    head = destination + random.choice((b"\x52\x54\0\0\0\x02", station))
    for _ in range(random.choice((0, 0, 0, 1, 1, 2, 5))):
        head += random.choice((b"\x81\0", b"\x81\0", b"\x88\xa8")) + random.randbytes(2)
    if random.random() < 0.1:  # IEEE 802.3 length, LLC and SNAP
        head += struct.pack(">H", random.choice((46, 0, 1500, 1501))) + random.choice(
            (b"\xaa\xaa\x03\0\0\0", b"\x42" * 6)
        )
    data = bytearray(head + struct.pack(">H", kind) + make(random))
    for _ in range(random.choice((0, 0, 0, 1, 3))):
        data[random.randrange(len(data))] = random.getrandbits(8)
    return bytes(data[: random.choice((len(data), len(data), len(data), random.randrange(len(data) + 1)))])
