"""The PCI function around a card: configuration space as a register table (PCI Local Bus 3.0, chapter 6).

A card describes its function; `config_table` makes the table that the engine runs, so that configuration space obeys
the same masks, shows in the same `info regs` and is covered by the same generated tests as the card's own registers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from nicemu.registers import Field, Register, RegisterError, Reserved, Reset, State, Table, flags

__all__ = [
    "Bar",
    "Capability",
    "Function",
    "config_table",
    "msi",
    "msix",
    "pci_express",
    "pcix",
    "power_management",
]

#: Configuration space outlives a card's own reset bits.
KEEPS = frozenset({Reset.SOFT})
#: PME context also outlives RST# while auxiliary power is there (PCI Power Management 1.2, 3.2.4).
STICKY = frozenset({Reset.SOFT, Reset.BUS})


@dataclass(frozen=True)
class Bar:
    """A base address register.

    size: bytes, a power of two (at least 16 for memory, 4 for I/O).
    io:   I/O space instead of memory space.
    wide: a 64-bit memory BAR; it takes the next register too.
    """

    size: int
    io: bool = False
    wide: bool = False
    prefetchable: bool = False


@dataclass(frozen=True)
class Capability:
    """An entry of the capability list: `registers` are relative to its own offset, behind ID and next pointer."""

    id: int
    offset: int
    length: int
    registers: Sequence[Register]


@dataclass(frozen=True)
class Function:
    """What configuration space says of a card.

    class_code has 24 bits: class, subclass, programming interface.  status: the constant bits of STATUS.
    interrupt_bits: Interrupt Disable and Interrupt Status, new in PCI 2.3.
    registers: the vendor's own, behind the header.
    extended: PCI Express extended capabilities (from 0x100 on): configuration space has 4096 bytes.
    """

    vendor_id: int
    device_id: int
    revision: int
    class_code: int = 0x020000
    subsystem_vendor_id: int = 0
    subsystem_id: int = 0
    bars: Mapping[int, Bar] = field(default_factory=dict)
    rom_size: int = 0
    interrupt_pin: int = 1
    min_gnt: int = 0
    max_lat: int = 0
    status: int = 0
    memory_write_invalidate: bool = False
    interrupt_bits: bool = True
    capabilities: Sequence[Capability] = ()
    registers: Sequence[Register] = ()
    extended: Sequence[Capability] = ()


def _constant(name: str, offset: int, size: int, value: int, doc: str, section: str = "PCI 6.2.1") -> Register:
    return Register(name, offset, doc, section, size=size, access="ro", reset=value, keeps=KEEPS)


def _command(function: Function) -> Register:
    fast = (
        Field("MEMORY_WRITE_INVALIDATE", 4, keeps=KEEPS, state=State.STORED)
        if function.memory_write_invalidate
        else Reserved(4)
    )
    return Register(
        "COMMAND",
        0x04,
        "What the function may do",
        "PCI 6.2.2",
        size=2,
        fields=[
            Field("IO_SPACE", 0, keeps=KEEPS, doc="answers I/O accesses"),
            Field("MEMORY_SPACE", 1, keeps=KEEPS, doc="answers memory accesses"),
            Field("BUS_MASTER", 2, keeps=KEEPS, doc="may start DMA and send MSI"),
            Reserved(3),
            fast,
            Reserved(5),
            Field("PARITY_ERROR_RESPONSE", 6, keeps=KEEPS, state=State.STORED),
            Reserved(7),
            Field("SERR_ENABLE", 8, keeps=KEEPS, state=State.STORED),
            Reserved(9),
            *(
                [Field("INTERRUPT_DISABLE", 10, keeps=KEEPS, doc="keeps INTx# from being asserted"), Reserved(11, 5)]
                if function.interrupt_bits
                else [Reserved(10, 6)]
            ),
        ],
    )


def _status(function: Function) -> Register:
    late = (
        "SIGNALED_TARGET_ABORT",
        "RECEIVED_TARGET_ABORT",
        "RECEIVED_MASTER_ABORT",
        "SIGNALED_SYSTEM_ERROR",
        "DETECTED_PARITY_ERROR",
    )
    return Register(
        "STATUS",
        0x06,
        "What happened on the bus, and what the function can do",
        "PCI 6.2.3",
        size=2,
        fields=[
            *(
                [
                    Reserved(0, 3),
                    Field(
                        "INTERRUPT_STATUS",
                        3,
                        access="ro",
                        keeps=KEEPS,
                        doc="the card asserts its interrupt, disabled or not",
                    ),
                ]
                if function.interrupt_bits
                else [Reserved(0, 4)]
            ),
            Field("CAPABILITIES_LIST", 4, access="ro", reset=int(bool(function.capabilities)), keeps=KEEPS),
            Field("CAPABLE_66MHZ", 5, access="ro", reset=function.status >> 5 & 1, keeps=KEEPS),
            Reserved(6),
            Field("FAST_BACK_TO_BACK", 7, access="ro", reset=function.status >> 7 & 1, keeps=KEEPS),
            Field("MASTER_DATA_PARITY_ERROR", 8, access="w1c", keeps=KEEPS),
            Field("DEVSEL_TIMING", 9, 2, access="ro", reset=function.status >> 9 & 3, keeps=KEEPS),
            *flags(late, first=11, access="w1c", keeps=KEEPS),
        ],
    )


def _bar_registers(index: int, bar: Bar) -> list[Register]:
    least = 4 if bar.io else 16
    if bar.size < least or bar.size & (bar.size - 1):
        raise RegisterError(f"BAR {index}: size {bar.size:#x}; expected a power of two of at least {least}")
    bits = bar.size.bit_length() - 1
    fixed = 2 if bar.io else 4
    kind = (
        [Field("IO", 0, access="ro", reset=1, keeps=KEEPS), Reserved(1)]
        if bar.io
        else [
            Field("IO", 0, access="ro", reset=0, keeps=KEEPS),
            Field("TYPE", 1, 2, "ro", 2 if bar.wide else 0, keeps=KEEPS),
            Field("PREFETCHABLE", 3, access="ro", reset=int(bar.prefetchable), keeps=KEEPS),
        ]
    )
    zeros = (
        [Field("SIZE", fixed, bits - fixed, "ro", 0, "reads 0: tells the size", keeps=KEEPS)] if bits > fixed else []
    )
    low = Register(
        f"BAR{index}",
        0x10 + 4 * index,
        f"Base address of {bar.size:#x} bytes of {'I/O' if bar.io else 'memory'} space",
        "PCI 6.2.5",
        fields=[*kind, *zeros, Field("BASE", bits, 32 - bits, keeps=KEEPS)],
    )
    high = Register(f"BAR{index + 1}", 0x14 + 4 * index, f"High half of BAR{index}", "PCI 6.2.5", keeps=KEEPS)
    return [low, high] if bar.wide else [low]


def _rom_register(size: int) -> Register:
    if not size:
        return _constant("ROM_BASE", 0x30, 4, 0, "No expansion ROM", "PCI 6.2.5.2")
    bits = size.bit_length() - 1
    return Register(
        "ROM_BASE",
        0x30,
        f"Base address of {size:#x} bytes of expansion ROM",
        "PCI 6.2.5.2",
        fields=[
            Field("ENABLE", 0, keeps=KEEPS),
            Field("SIZE", 1, bits - 1, "ro", 0, "reads 0: tells the size", keeps=KEEPS),
            Field("BASE", bits, 32 - bits, keeps=KEEPS),
        ],
    )


def _header(function: Function) -> list[Register]:
    bars: list[Register] = []
    for index in range(6):
        if any(r.name == f"BAR{index}" for r in bars):
            continue
        bar = function.bars.get(index)
        if bar:
            bars += _bar_registers(index, bar)
        else:
            bars.append(_constant(f"BAR{index}", 0x10 + 4 * index, 4, 0, "Not implemented", "PCI 6.2.5"))
    first = function.capabilities[0].offset if function.capabilities else 0
    return [
        _constant("VENDOR_ID", 0x00, 2, function.vendor_id, "Who made the chip"),
        _constant("DEVICE_ID", 0x02, 2, function.device_id, "Which chip"),
        _command(function),
        _status(function),
        _constant("REVISION_ID", 0x08, 1, function.revision, "Stepping"),
        _constant("PROGRAMMING_INTERFACE", 0x09, 1, function.class_code & 0xFF, "Low byte of the class code"),
        _constant("SUBCLASS", 0x0A, 1, function.class_code >> 8 & 0xFF, "Ethernet controller"),
        _constant("CLASS", 0x0B, 1, function.class_code >> 16, "Network controller"),
        Register("CACHE_LINE_SIZE", 0x0C, "In units of 4 bytes", "PCI 6.2.4", size=1, keeps=KEEPS, state=State.STORED),
        Register("LATENCY_TIMER", 0x0D, "In PCI clocks", "PCI 6.2.4", size=1, keeps=KEEPS, state=State.STORED),
        _constant("HEADER_TYPE", 0x0E, 1, 0, "Type 0, one function"),
        _constant("BIST", 0x0F, 1, 0, "No built-in self test"),
        *bars,
        _constant("CARDBUS_CIS", 0x28, 4, 0, "Not a CardBus card", "PCI 6.2.4"),
        _constant("SUBSYSTEM_VENDOR_ID", 0x2C, 2, function.subsystem_vendor_id, "Who made the board", "PCI 6.2.4"),
        _constant("SUBSYSTEM_ID", 0x2E, 2, function.subsystem_id, "Which board", "PCI 6.2.4"),
        _rom_register(function.rom_size),
        _constant("CAPABILITIES_POINTER", 0x34, 1, first, "First entry of the capability list", "PCI 6.7"),
        Register(
            "INTERRUPT_LINE",
            0x3C,
            "Where firmware routed the pin",
            "PCI 6.2.4",
            size=1,
            keeps=KEEPS,
            state=State.STORED,
        ),
        _constant("INTERRUPT_PIN", 0x3D, 1, function.interrupt_pin, "1: INTA#", "PCI 6.2.4"),
        _constant("MIN_GNT", 0x3E, 1, function.min_gnt, "Burst length wanted, in 250 ns", "PCI 6.2.4"),
        _constant("MAX_LAT", 0x3F, 1, function.max_lat, "How often the bus is wanted, in 250 ns", "PCI 6.2.4"),
    ]


def config_table(function: Function) -> Table:
    """Configuration space of `function`: header, BARs and capability list."""
    registers = _header(function)
    capabilities = list(function.capabilities)
    for capability, following in zip(capabilities, [*capabilities[1:], None], strict=False):
        prefix, at = f"CAP_{capability.offset:02X}", capability.offset
        registers.append(_constant(f"{prefix}_ID", at, 1, capability.id, "Which capability", "PCI 6.7"))
        registers.append(
            _constant(f"{prefix}_NEXT", at + 1, 1, following.offset if following else 0, "Next entry", "PCI 6.7")
        )
        for register in capability.registers:
            registers.append(_moved(register, at))
    extended = list(function.extended)
    for capability, following in zip(extended, [*extended[1:], None], strict=False):
        value = capability.id | 1 << 16 | (following.offset if following else 0) << 20
        registers.append(_constant(f"CAP_{capability.offset:03X}", capability.offset, 4, value, "Header", "PCIe 7.9.3"))
        registers += [_moved(register, capability.offset) for register in capability.registers]
    registers += function.registers
    registers.sort(key=lambda r: r.offset)
    return Table("config", 4096 if extended else 256, registers, widths=(1, 2, 4), doc="PCI configuration space")


def _moved(register: Register, base: int) -> Register:
    return replace(register, offset=register.offset + base)


# ---------------------------------------------------------------------------------------------- capabilities


def power_management(offset: int, *, pmc: int, data: bool = False) -> Capability:
    """PCI Power Management 1.1/1.2, 3.2.  pmc: the read-only capabilities word (version, D1/D2, PME support)."""
    control = Register(
        "PMCSR",
        4,
        "Power state and wake-up",
        "PCI PM 3.2.4",
        size=2,
        fields=[
            Field("POWER_STATE", 0, 2, keeps=KEEPS, values={0: "D0", 1: "D1", 2: "D2", 3: "D3hot"}),
            Reserved(2, 6),
            Field("PME_EN", 8, keeps=STICKY),
            Field("DATA_SELECT", 9, 4, "rw" if data else "rsvd", keeps=KEEPS),
            Field("DATA_SCALE", 13, 2, "ro", keeps=KEEPS),
            Field("PME_STATUS", 15, access="w1c", keeps=STICKY),
        ],
    )
    return Capability(
        0x01,
        offset,
        8,
        [
            _constant("PMC", 2, 2, pmc, "Power management capabilities", "PCI PM 3.2.3"),
            control,
            _constant("PMCSR_BSE", 6, 1, 0, "No bridge", "PCI PM 3.2.5"),
            Register("PM_DATA", 7, "Power consumed, by DATA_SELECT", "PCI PM 3.2.6", size=1, access="ro", keeps=KEEPS),
        ],
    )


def msi(offset: int, *, wide: bool = True) -> Capability:
    """Message signalled interrupts, one message.  wide: 64-bit message address (PCI 6.8.1)."""
    control = Register(
        "MSI_CONTROL",
        2,
        "Message control",
        "PCI 6.8.1.3",
        size=2,
        fields=[
            Field("ENABLE", 0, keeps=KEEPS),
            Field("MULTIPLE_MESSAGE_CAPABLE", 1, 3, "ro", keeps=KEEPS),
            Field("MULTIPLE_MESSAGE_ENABLE", 4, 3, keeps=KEEPS, state=State.STORED),
            Field("WIDE", 7, access="ro", reset=int(wide), keeps=KEEPS),
            Reserved(8, 8),
        ],
    )
    address = Register(
        "MSI_ADDRESS",
        4,
        "Message address",
        "PCI 6.8.1.4",
        fields=[Reserved(0, 2), Field("ADDRESS", 2, 30, keeps=KEEPS)],
    )
    upper = (
        [Register("MSI_UPPER_ADDRESS", 8, "High half of the message address", "PCI 6.8.1.5", keeps=KEEPS)]
        if wide
        else []
    )
    data = Register("MSI_DATA", 12 if wide else 8, "Message data", "PCI 6.8.1.6", size=2, keeps=KEEPS)
    return Capability(0x05, offset, 14 if wide else 10, [control, address, *upper, data])


def pcix(offset: int, *, command: int = 0, status: int = 0) -> Capability:
    """PCI-X (PCI-X 1.0a, 7.2).  command, status: reset values of the two registers."""
    return Capability(
        0x07,
        offset,
        8,
        [
            Register(
                "PCIX_COMMAND",
                2,
                "PCI-X command",
                "PCI-X 7.2.3",
                size=2,
                fields=[
                    Field("DATA_PARITY_RECOVERY", 0, reset=command & 1, keeps=KEEPS, state=State.STORED),
                    Field("RELAXED_ORDERING", 1, reset=command >> 1 & 1, keeps=KEEPS, state=State.STORED),
                    Field("MAX_READ_BYTE_COUNT", 2, 2, reset=command >> 2 & 3, keeps=KEEPS, state=State.STORED),
                    Field("MAX_SPLIT_TRANSACTIONS", 4, 3, reset=command >> 4 & 7, keeps=KEEPS, state=State.STORED),
                    Reserved(7, 9),
                ],
            ),
            _constant("PCIX_STATUS", 4, 4, status, "PCI-X status", "PCI-X 7.2.4"),
        ],
    )


def msix(offset: int, *, vectors: int, table_bar: int, table: int, pba_bar: int, pba: int) -> Capability:
    """MSI-X (PCI 6.8.2): `vectors` messages, the table and pending bits at byte offsets in their BARs."""
    if table % 8 or pba % 8:
        raise RegisterError(f"MSI-X: table {table:#x} and PBA {pba:#x}; expected multiples of 8")
    control = Register(
        "MSIX_CONTROL",
        2,
        "Message control",
        "PCI 6.8.2.3",
        size=2,
        fields=[
            Field("TABLE_SIZE", 0, 11, "ro", vectors - 1, keeps=KEEPS),
            Reserved(11, 3),
            Field("FUNCTION_MASK", 14, keeps=KEEPS),
            Field("ENABLE", 15, keeps=KEEPS),
        ],
    )
    return Capability(
        0x11,
        offset,
        12,
        [
            control,
            _constant("MSIX_TABLE", 4, 4, table | table_bar, "Where the table is", "PCI 6.8.2.4"),
            _constant("MSIX_PBA", 8, 4, pba | pba_bar, "Where the pending bits are", "PCI 6.8.2.5"),
        ],
    )


def pci_express(offset: int, *, capabilities: int, device: int, link: int, link_status: int) -> Capability:
    """PCI Express, version 1 endpoint (PCIe 1.1, 7.8): the read-only words as the part has them."""
    return Capability(
        0x10,
        offset,
        20,
        [
            _constant("PCIE_CAPABILITIES", 2, 2, capabilities, "Version, port type", "PCIe 7.8.2"),
            _constant("PCIE_DEVICE_CAPABILITIES", 4, 4, device, "Payload size, latencies", "PCIe 7.8.3"),
            Register(
                "PCIE_DEVICE_CONTROL",
                8,
                "Error reporting, payload size",
                "PCIe 7.8.4",
                size=2,
                reset=0x2810,
                keeps=KEEPS,
                state=State.STORED,
            ),
            Register("PCIE_DEVICE_STATUS", 10, "Errors detected", "PCIe 7.8.5", size=2, access="w1c", keeps=KEEPS),
            _constant("PCIE_LINK_CAPABILITIES", 12, 4, link, "Speed and width", "PCIe 7.8.6"),
            Register(
                "PCIE_LINK_CONTROL", 16, "Link power management", "PCIe 7.8.7", size=2, keeps=KEEPS, state=State.STORED
            ),
            _constant("PCIE_LINK_STATUS", 18, 2, link_status, "Negotiated speed and width", "PCIe 7.8.8"),
        ],
    )
