"""The RTL8139's buffers and descriptors, and the operations that set them up."""

from __future__ import annotations

import struct

from nicemu.devices.rtl8139_tables import REGS

from ..generator import Operation

REG = {register.name: register.offset for register in REGS}
OWN, EOR, FS, LS, LGSEN = 1 << 31, 1 << 30, 1 << 29, 1 << 28, 1 << 27
IPCS, UDPCS, TCPCS, TAGC = 1 << 18, 1 << 17, 1 << 16, 1 << 17
RE_TE, RST = 0x0C, 0x10
#: Everything is accepted; 8, 16, 32, 64 KiB by bits 12:11, WRAP by bit 7.
RCR_ON = 0xE73F
TCR_ON, LOOPBACK = 0x0300_0600, 3 << 17
CPCR_ON = 0x7B  # RXVLAN, RXCHKSUM, DAC, MULRW, CPRX, CPTX
NPQ, HPQ, SWINT = 0x40, 0x80, 1
CONFIG_WRITE = 0xC0


def write(name: str, value: int, size: int = 0, index: int = 0) -> Operation:
    """A register write in the memory BAR."""
    register = REGS[name]
    size = size or register.size
    return ("write", 1, register.offset + index * register.stride, value & (1 << 8 * size) - 1, size)


def descriptor(address: int, opts1: int, opts2: int = 0) -> bytes:
    """A descriptor of C+ mode, either way."""
    return struct.pack("<IIQ", opts1 & 0xFFFFFFFF, opts2, address & (1 << 64) - 1)


def packet(address: int, length: int, options: int = 0, opts2: int = 0) -> bytes:
    """A transmit descriptor that is a whole packet."""
    return descriptor(address, OWN | FS | LS | options | length & 0xFFFF, opts2)


def receive(address: int, size: int = 2048, end: bool = False) -> bytes:
    """A receive descriptor."""
    return descriptor(address, OWN | (EOR if end else 0) | size)


def send_c(index: int, address: int, length: int, threshold: int = 0) -> list[Operation]:
    """Hands over a packet in C mode."""
    return [write(f"TSAD{index}", address), write("TSD", length & 0x1FFF | threshold << 16, index=index)]


def place(ring: str, base: int) -> list[Operation]:
    """Writes that put a ring of C+ mode somewhere."""
    return [write(f"{ring}H", base >> 32), write(f"{ring}L", base)]
