"""The 88E8057's lists and list elements, and the operations that set them up (docs/yukon2-facts.md, 2 and 3)."""

from __future__ import annotations

import struct

from nicemu.devices.yukon2_tables import MMIO

from ..generator import Operation

REG = {register.name: register.offset for register in MMIO}
SIZE = {register.name: register.size for register in MMIO}
OWN, EOP, VLAN, CALSUM, WR_SUM, UDP, FORCE = 0x80, 0x80, 0x20, 0x02, 0x04, 0x01, 0x40
ADDR64, TAG, LRGLEN, SUM, START = 0x21, 0x22, 0x24, 0x1F, 0x12
BUFFER, PACKET, LARGESEND = 0x40, 0x41, 0x43
LE = 8
RX_ENA, TX_ENA, LOOP = 1 << 11, 1 << 12, 1 << 9
CSR_RUN = 0x0D28  # out of reset, operational, started
STRIP_AND_INSERT = 1 << 25


def le(opcode: int, address: int = 0, length: int = 0, control: int = 0) -> bytes:
    """A list element that is the card's."""
    return struct.pack("<IHBB", address & 0xFFFFFFFF, length & 0xFFFF, control & 0xFF, (opcode | OWN) & 0xFF)


def write(name: str, value: int, index: int = 0) -> Operation:
    """A register write in BAR 0, in the register's own width."""
    register = MMIO[name]
    mask = (1 << 8 * register.size) - 1
    return ("write", 0, register.offset + index * register.stride, value & mask, register.size)


class List:
    """The registers of one queue."""

    def __init__(self, name: str) -> None:
        self.name = name

    def place(self, base: int, last: int, put: int | None = None) -> list[Operation]:
        """Writes that reset the queue and put its list somewhere."""
        name = self.name
        made = [
            write(f"{name}_CSR", 0x16),
            write(f"{name}_CSR", CSR_RUN),
            write(f"{name}_CSR", 0x80),
            write(f"{name}_PREF_CTRL", 1),
            write(f"{name}_PREF_CTRL", 2),
            write(f"{name}_PREF_ADDR_LO", base),
            write(f"{name}_PREF_ADDR_HI", base >> 32),
            write(f"{name}_PREF_LAST_IDX", last),
            write(f"{name}_PREF_CTRL", 8),
        ]
        return made if put is None else [*made, write(f"{name}_PREF_PUT_IDX", put)]

    def put(self, index: int) -> Operation:
        """The doorbell."""
        return write(f"{self.name}_PREF_PUT_IDX", index)


TX, XS, RX = List("XA1"), List("XS1"), List("R1")
