"""PCnet's registers, rings and descriptors, and the operations that set them up (Am79C970A data sheet, 19436)."""

from __future__ import annotations

import struct

from ..generator import Operation

RDP, RAP, BDP = 0x10, 0x12, 0x16
INIT, STRT, STOP, TDMD, IENA = 1, 2, 4, 8, 0x40
OWN, ADD_FCS, LTINT, STP, ENP = 0x80000000, 1 << 29, 1 << 28, 1 << 25, 1 << 24
WHOLE = OWN | STP | ENP
APAD_XMT, TXDPOLL, ASTRP_RCV = 0x0800, 0x1000, 0x0400
PROM, LOOP, INTL, DXMTFCS, FCOLL = 0x8000, 4, 0x40, 8, 0x10


def write(offset: int, value: int, size: int = 2) -> Operation:
    """A register write in BAR 0."""
    return ("write", 0, offset, value, size)


def csr(number: int, value: int) -> list[Operation]:
    """A CSR is written, in WIO mode."""
    return [write(RAP, number), write(RDP, value & 0xFFFF)]


def bcr(number: int, value: int) -> list[Operation]:
    """A BCR is written, in WIO mode."""
    return [write(RAP, number), write(BDP, value & 0xFFFF)]


def wide(number: int, value: int) -> list[Operation]:
    """A 32-bit number in two CSRs."""
    return [*csr(number, value), *csr(number + 1, value >> 16)]


def descriptor(address: int, length: int, flags: int = OWN, style: int = 2, misc: int = 0) -> bytes:
    """A descriptor of either ring; `flags` are bits 31-16 of RMD1 or TMD1."""
    count = -length & 0xFFF | 0xF000
    if style == 0:
        return struct.pack("<HBBHH", address & 0xFFFF, address >> 16 & 0xFF, flags >> 24, count, misc & 0xFFFF)
    status = flags & 0xFFFF0000 | count
    first, third = (misc, address) if style == 3 else (address, misc)
    return struct.pack("<IIII", first & 0xFFFFFFFF, status, third & 0xFFFFFFFF, 0)


def size(style: int) -> int:
    """Bytes of a descriptor."""
    return 16 if style else 8


def by_csrs(rx: int, rx_count: int, tx: int, tx_count: int, mode: int = PROM) -> list[Operation]:
    """The alternate method of initialization: STOP, rings and mode by CSRs."""
    return [
        *csr(0, STOP),
        *wide(24, rx),
        *wide(30, tx),
        *csr(76, -rx_count),
        *csr(78, -tx_count),
        *csr(15, mode),
    ]
