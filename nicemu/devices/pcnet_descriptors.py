"""Descriptors and initialization blocks of PCnet as numpy dtypes, for each software style (BCR20).

A ring is an array of them over guest memory: `ring = memory_view.view(LAYOUTS[2].dtype)`.  `status` holds the flags of
`Rx` or `Tx`; `count` is the length of the buffer in two's complement, `misc` is RMD2 or TMD2 (a word with style 0).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntFlag
from typing import Any

import numpy as np

__all__ = ["LAYOUTS", "Layout", "Rx", "Tx", "TxMisc"]


class Rx(IntFlag):
    """Bits 31-16 of RMD1."""

    OWN = 0x8000
    ERR = 0x4000
    FRAM = 0x2000
    OFLO = 0x1000
    CRC = 0x0800
    BUFF = 0x0400
    STP = 0x0200
    ENP = 0x0100
    BPE = 0x0080
    PAM = 0x0040
    LAFM = 0x0020
    BAM = 0x0010


class Tx(IntFlag):
    """Bits 31-16 of TMD1."""

    OWN = 0x8000
    ERR = 0x4000
    ADD_FCS = 0x2000  #: NO_FCS with style 1
    MORE = 0x1000
    LTINT = 0x1000  #: as the driver gives it
    ONE = 0x0800
    DEF = 0x0400
    STP = 0x0200
    ENP = 0x0100
    BPE = 0x0080


class TxMisc(IntFlag):
    """Bits 31-26 of TMD2."""

    BUFF = 1 << 31
    UFLO = 1 << 30
    EXDEF = 1 << 29
    LCOL = 1 << 28
    LCAR = 1 << 27
    RTRY = 1 << 26


_STYLE_0 = np.dtype(
    [("address_low", "<u2"), ("address_high", "u1"), ("status", "u1"), ("count", "<u2"), ("misc", "<u2")]
)
_STYLE_2 = np.dtype([("address", "<u4"), ("count", "<u2"), ("status", "<u2"), ("misc", "<u4"), ("user", "<u4")])
_STYLE_3 = np.dtype([("misc", "<u4"), ("count", "<u2"), ("status", "<u2"), ("address", "<u4"), ("user", "<u4")])


@dataclass(frozen=True)
class Layout:
    """How structures lie in memory with one software style.

    style: BCR20.SWSTYLE.  dtype: of a descriptor.  longest: the highest code of RLEN and TLEN.
    """

    style: int
    dtype: np.dtype[Any]
    longest: int

    @property
    def wide(self) -> bool:
        """32-bit structures."""
        return self.style != 0

    def set_address(self, descriptor: Any, address: int) -> None:
        """Stores a buffer's address (24 bits with style 0; CSR2 holds the rest)."""
        if self.wide:
            descriptor["address"] = address
        else:
            descriptor["address_low"], descriptor["address_high"] = address & 0xFFFF, address >> 16 & 0xFF

    def set_status(self, descriptor: Any, status: int) -> None:
        """Stores flags; those that style 0 lacks are lost."""
        descriptor["status"] = status if self.wide else status >> 8

    def status(self, descriptor: Any) -> int:
        """The flags."""
        return int(descriptor["status"]) << (0 if self.wide else 8)

    def tx_misc(self, descriptor: Any) -> int:
        """TMD2."""
        return int(descriptor["misc"]) << (0 if self.wide else 16)

    def block(self, mode: int, mac: bytes, ladrf: int, rx: tuple[int, int], tx: tuple[int, int]) -> bytes:
        """An initialization block; rx, tx: base and code of the length of each ring."""
        filter_bytes = ladrf.to_bytes(8, "little")
        if self.wide:
            head = (tx[1] << 28 | rx[1] << 20 | mode).to_bytes(4, "little") + mac + b"\0\0" + filter_bytes
            return head + rx[0].to_bytes(4, "little") + tx[0].to_bytes(4, "little")
        rings = b"".join((base & 0xFFFFFF | code << 29).to_bytes(4, "little") for base, code in (rx, tx))
        return mode.to_bytes(2, "little") + mac + filter_bytes + rings


#: By software style.
LAYOUTS = {
    0: Layout(0, _STYLE_0, 7),
    1: Layout(1, _STYLE_2, 9),
    2: Layout(2, _STYLE_2, 9),
    3: Layout(3, _STYLE_3, 9),
}


def two_s_complement(length: int) -> int:
    """BCNT of a buffer of `length` bytes, with the ones that bits 15-12 must be."""
    return 0xF000 | -length & 0xFFF
