"""List elements of the Marvell 88E8057 as numpy dtypes, 8 bytes each (docs/yukon2-facts.md, 3).

A list is an array of them over guest memory: `np.frombuffer(view, LIST_ELEMENT)`.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag
from typing import Any

import numpy as np

__all__ = ["LIST_ELEMENT", "OWNER", "Control", "Opcode", "RxStatus", "element"]

#: Transmit, receive and status (3).  Of a status element `address` is the status and `control` the link.
LIST_ELEMENT = np.dtype([("address", "<u4"), ("length", "<u2"), ("control", "u1"), ("opcode", "u1")])

#: HW_OWNER: the element is the card's, or, in the status list, the driver's to take.
OWNER = 0x80


class Opcode(IntEnum):
    """What an element is (3.2), without HW_OWNER."""

    TCPSTART = 0x12  #: receive: where the checksums start
    TCPLISW = 0x1F  #: transmit: start, place and initial value of the checksum
    ADDR64 = 0x21
    VLAN = 0x22
    LRGLEN = 0x24
    LRGLENVLAN = 0x26
    BUFFER = 0x40
    PACKET = 0x41
    LARGESEND = 0x43
    RXSTAT = 0x60
    RXVLAN = 0x62
    RXCHKS = 0x64
    RSS_HASH = 0x65
    RXCHKSVLAN = 0x66
    TXINDEXLE = 0x68


class Control(IntFlag):
    """The control byte of transmit elements (3.1)."""

    UDPTCP = 0x01
    CALSUM = 0x02
    WR_SUM = 0x04
    INIT_SUM = 0x08
    LOCK_SUM = 0x10
    INS_VLAN = 0x20
    FRC_STAT = 0x40
    EOP = 0x80


class RxStatus(IntFlag):
    """The status word of RXSTAT (3.5); the frame's length stands above."""

    RX_FF_OV = 1 << 0
    CRC_ERR = 1 << 1
    FRAGMENT = 1 << 3
    LONG_ERR = 1 << 4
    MII_ERR = 1 << 5
    BAD_FC = 1 << 6
    GOOD_FC = 1 << 7
    RX_OK = 1 << 8
    BROADCAST = 1 << 9
    MULTICAST = 1 << 10
    UN_SIZE = 1 << 11
    JABBER = 1 << 12
    VLAN = 1 << 13


def element(opcode: int, address: int = 0, length: int = 0, control: int = 0) -> np.void:
    """An element that is the card's; `address` is cut to 32 bits."""
    made: Any = np.zeros((), LIST_ELEMENT)
    made[()] = (address & 0xFFFFFFFF, length, control, opcode | OWNER)
    found: np.void = made[()]
    return found
