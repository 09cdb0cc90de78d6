"""The 82540EM's rings and descriptors, and the operations that set them up (8254x SDM chapters 3 and 13)."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from nicemu.devices.e1000_tables import MMIO

from ..generator import Operation

REG = {register.name: register.offset for register in MMIO}
EOP, IFCS, IC, TSE, RS, DEXT, VLE, IDE = 0x01, 0x02, 0x04, 0x04, 0x08, 0x20, 0x40, 0x80
TCP, IP = 0x01, 0x02
IXSM, TXSM = 1, 2
RCTL_ON = 0x0600_801E | 1 << 5  # EN, SBP, UPE, MPE, LPE, BAM, SECRC, BSEX; BSIZE 00
TCTL_ON = 0x0104_010A
CTRL_UP = 0x41  # SLU, FD


# ------------------------------------------------------------------------------------------------- descriptors


def legacy(
    address: int, length: int, command: int, *, cso: int = 0, status: int = 0, css: int = 0, special: int = 0
) -> bytes:
    """A legacy transmit descriptor (3.3.3)."""
    return struct.pack("<QHBBBBH", address, length, cso, command, status, css, special)


def context(
    tucmd: int,
    paylen: int,
    mss: int,
    hdrlen: int,
    ip: Sequence[int] = (14, 24, 33),
    transport: Sequence[int] = (34, 50, 0),
    *,
    kind: int = 0,
) -> bytes:
    """A context descriptor (3.3.6); ip and transport are start, offset, end."""
    return struct.pack(
        "<BBHBBHIBBH", *ip, *transport, paylen & 0xFFFFF | kind << 20 | (tucmd | DEXT) << 24, 0, hdrlen, mss
    )


def data(address: int, length: int, command: int, *, options: int = 0, special: int = 0, kind: int = 1) -> bytes:
    """A data descriptor (3.3.7)."""
    return struct.pack("<QIBBH", address, length & 0xFFFFF | kind << 20 | (command | DEXT) << 24, 0, options, special)


def receive(address: int) -> bytes:
    """A receive descriptor (3.2.3)."""
    return struct.pack("<QQ", address, 0)


class Ring:
    """The registers of one ring."""

    def __init__(self, letter: str) -> None:
        self.low, self.high = REG[f"{letter}DBAL"], REG[f"{letter}DBAH"]
        self.length, self.head, self.tail = REG[f"{letter}DLEN"], REG[f"{letter}DH"], REG[f"{letter}DT"]

    def place(self, base: int, length: int, head: int = 0, tail: int = 0) -> list[Operation]:
        """Writes that put the ring somewhere."""
        values = (base & 0xFFFFFFFF, base >> 32, length, head, tail)
        places = (self.low, self.high, self.length, self.head, self.tail)
        return [write(offset, value) for offset, value in zip(places, values, strict=True)]


TX, RX = Ring("T"), Ring("R")


def write(offset: int, value: int) -> Operation:
    """A register write in BAR 0."""
    return ("write", 0, offset, value & 0xFFFFFFFF, 4)
