"""Descriptors of the Intel 82540EM as numpy dtypes, 16 bytes each (8254x SDM 3.2.3 and 3.3).

A ring is an array of them over guest memory: `ring = memory_view.view(RX_DESCRIPTOR)`.
"""

from __future__ import annotations

from enum import IntFlag
from typing import Any

import numpy as np

__all__ = [
    "DTYP_CONTEXT",
    "DTYP_DATA",
    "RX_DESCRIPTOR",
    "TX_CONTEXT",
    "TX_DATA",
    "TX_LEGACY",
    "ContextCommand",
    "DataCommand",
    "LegacyCommand",
    "PacketOptions",
    "RxError",
    "RxStatus",
    "TxStatus",
    "context",
    "data",
    "legacy",
]

#: Receive (3.2.3): software writes `address`, the card the rest.
RX_DESCRIPTOR = np.dtype(
    [
        ("address", "<u8"),
        ("length", "<u2"),
        ("checksum", "<u2"),
        ("status", "u1"),
        ("errors", "u1"),
        ("special", "<u2"),
    ]
)

#: Transmit, legacy (3.3.3).
TX_LEGACY = np.dtype(
    [
        ("address", "<u8"),
        ("length", "<u2"),
        ("cso", "u1"),
        ("cmd", "u1"),
        ("sta", "u1"),
        ("css", "u1"),
        ("special", "<u2"),
    ]
)

#: Transmit, context (3.3.6).  `command` is PAYLEN in bits 19:0, DTYP in 23:20 and TUCMD in 31:24.
TX_CONTEXT = np.dtype(
    [
        ("ipcss", "u1"),
        ("ipcso", "u1"),
        ("ipcse", "<u2"),
        ("tucss", "u1"),
        ("tucso", "u1"),
        ("tucse", "<u2"),
        ("command", "<u4"),
        ("sta", "u1"),
        ("hdrlen", "u1"),
        ("mss", "<u2"),
    ]
)

#: Transmit, data (3.3.7).  `command` is DTALEN in bits 19:0, DTYP in 23:20 and DCMD in 31:24.
TX_DATA = np.dtype(
    [
        ("address", "<u8"),
        ("command", "<u4"),
        ("sta", "u1"),
        ("popts", "u1"),
        ("special", "<u2"),
    ]
)

DTYP_CONTEXT, DTYP_DATA = 0, 1


class RxStatus(IntFlag):
    """RDESC.STATUS (3.2.3.1)."""

    DD = 1 << 0  #: descriptor done
    EOP = 1 << 1  #: end of packet
    IXSM = 1 << 2  #: ignore the checksum bits
    VP = 1 << 3  #: a VLAN tag was stripped into `special`
    TCPCS = 1 << 5  #: TCP or UDP checksum verified
    IPCS = 1 << 6  #: IPv4 header checksum verified
    PIF = 1 << 7  #: passed the inexact filter (MTA) only


class RxError(IntFlag):
    """RDESC.ERRORS (3.2.3.2)."""

    CE = 1 << 0  #: FCS or alignment
    SE = 1 << 1  #: symbol, SerDes
    SEQ = 1 << 2  #: sequence, SerDes
    TCPE = 1 << 5  #: TCP or UDP checksum
    IPE = 1 << 6  #: IPv4 header checksum
    RXE = 1 << 7  #: RX_ER


class TxStatus(IntFlag):
    """TDESC.STA (3.3.3.2)."""

    DD = 1 << 0  #: descriptor done
    EC = 1 << 1  #: excess collisions
    LC = 1 << 2  #: late collision


class LegacyCommand(IntFlag):
    """TDESC.CMD of a legacy descriptor (3.3.3.1)."""

    EOP = 1 << 0  #: end of packet
    IFCS = 1 << 1  #: insert FCS
    IC = 1 << 2  #: insert the checksum from CSS on at CSO
    RS = 1 << 3  #: report status
    VLE = 1 << 6  #: insert a VLAN tag with `special`
    IDE = 1 << 7  #: delay the interrupt


class ContextCommand(IntFlag):
    """TDESC.TUCMD of a context descriptor (3.3.6.1)."""

    TCP = 1 << 0  #: TCP, else UDP
    IP = 1 << 1  #: IPv4, else IPv6
    TSE = 1 << 2  #: for segmentation, else for checksums
    RS = 1 << 3  #: report status
    DEXT = 1 << 5  #: not a legacy descriptor
    IDE = 1 << 7  #: delay the interrupt


class DataCommand(IntFlag):
    """TDESC.DCMD of a data descriptor (3.3.7.1)."""

    EOP = 1 << 0  #: end of packet
    IFCS = 1 << 1  #: insert FCS
    TSE = 1 << 2  #: segmentation
    RS = 1 << 3  #: report status
    DEXT = 1 << 5  #: not a legacy descriptor
    VLE = 1 << 6  #: insert a VLAN tag with `special`
    IDE = 1 << 7  #: delay the interrupt


class PacketOptions(IntFlag):
    """TDESC.POPTS of a packet's first data descriptor (3.3.7.3)."""

    IXSM = 1 << 0  #: insert the IP checksum
    TXSM = 1 << 1  #: insert the TCP or UDP checksum


def _record(dtype: np.dtype[Any], **values: int) -> np.void:
    record: np.void = np.zeros(1, dtype)[0]
    for name, value in values.items():
        bits = 8 * dtype[name].itemsize
        if value < 0 or value >> bits:
            raise OverflowError(f"{name} = {value}; a descriptor has {bits} bits for it")
        record[name] = value
    return record


def _command(length: int, dtyp: int, cmd: int) -> int:
    if not 0 <= length < 1 << 20:
        raise OverflowError(f"length = {length}; a descriptor has 20 bits for it")
    return length | dtyp << 20 | cmd << 24


def legacy(address: int, length: int, cmd: int, *, cso: int = 0, css: int = 0, special: int = 0) -> np.void:
    """A legacy transmit descriptor; OverflowError for a value that its field cannot hold."""
    return _record(TX_LEGACY, address=address, length=length, cmd=cmd, cso=cso, css=css, special=special)


def context(tucmd: int, *, paylen: int = 0, **values: int) -> np.void:
    """A context descriptor (DEXT is added); OverflowError for a value that its field cannot hold.

    values: ipcss, ipcso, ipcse, tucss, tucso, tucse, hdrlen and mss; 0 where absent.
    """
    return _record(TX_CONTEXT, command=_command(paylen, DTYP_CONTEXT, tucmd | ContextCommand.DEXT), **values)


def data(address: int, length: int, dcmd: int, *, popts: int = 0, special: int = 0) -> np.void:
    """A data descriptor (DEXT is added); OverflowError for a value that its field cannot hold."""
    command = _command(length, DTYP_DATA, dcmd | DataCommand.DEXT)
    return _record(TX_DATA, address=address, command=command, popts=popts, special=special)
