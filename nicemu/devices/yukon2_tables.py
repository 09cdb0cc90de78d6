"""Registers and rules of the Marvell 88E8057 (Yukon Ultra 2), the `yukon2`.

Marvell never published a data sheet.  Names are those of the vendor's headers, which the drivers of Linux (sky2),
FreeBSD and OpenBSD (msk) share; sections are those of docs/yukon2-facts.md, which says for each fact where it can be
seen and marks what was decided for want of a source.

Most switches of this chip are pairs: one bit sets, its neighbour clears, 0 leaves alone, and a read shows the half that
is in force.  Parts of the second port, which this chip lacks, are not here: their offsets read 0.

This module needs neither the engine nor numpy; list elements are in `yukon2_descriptors`.
"""

from __future__ import annotations

from collections.abc import Sequence

from nicemu.findings import Rule, Severity
from nicemu.registers import Field, Gate, Register, Reserved, Reset, State, Table, Window, flags

__all__ = ["IO", "MIB", "MMIO", "RULES", "TABLES"]

#: Left alone by CTST's software and master reset (2.1).
KEPT = frozenset({Reset.SOFT})
NONE: frozenset[Reset] = frozenset()


def word(
    name: str,
    offset: int,
    doc: str,
    section: str,
    *,
    size: int = 4,
    width: int = 0,
    access: str = "rw",
    reset: int = 0,
    state: State = State.MODELLED,
    keeps: frozenset[Reset] = NONE,
    count: int = 1,
    stride: int = 0,
    interrupt: bool = False,
) -> Register:
    """A register that holds one number in its low `width` bits (0: all); those above are reserved."""
    width = width or 8 * size
    fields = [Field(name, 0, width, access, reset, doc, state, keeps)]
    if width < 8 * size:
        fields.append(Reserved(width, 8 * size - width))
    return Register(name, offset, doc, section, fields, size=size, count=count, stride=stride, interrupt=interrupt)


def stored(name: str, offset: int, doc: str, section: str, *, size: int = 4, count: int = 1) -> Register:
    """A register that keeps what is written: what it does lies outside what a model can show."""
    return word(name, offset, doc, section, size=size, count=count, state=State.STORED)


def shown(name: str, offset: int, doc: str, section: str, *, size: int = 4, count: int = 1) -> Register:
    """A register that shows a place or level within the chip's own memories, which hold nothing here: it reads 0."""
    return word(name, offset, doc, section, size=size, count=count, access="ro", state=State.STORED)


def switch(
    name: str,
    bit: int,
    low: str,
    high: str,
    *,
    reset: int = 1,
    state: State = State.MODELLED,
    keeps: frozenset[Reset] = NONE,
) -> Field:
    """A pair: what its lower and its upper bit do; `reset` 1 is the lower one, 2 the upper one."""
    return Field(name, bit, 2, "pair", reset, "Switch", state, keeps, values={1: low, 2: high})


def act(name: str, bit: int, doc: str) -> Field:
    """A bit that acts when 1 is written and reads 0."""
    return Field(name, bit, 1, "sc", 0, doc)


def undocumented(bit: int, width: int) -> Field:
    """Bits that no driver explains; they keep what is written."""
    return Field("", bit, width, "rw", 0, "No driver tells", State.UNDOCUMENTED)


RESET = ("reset", "out of reset")
OFF_ON = ("off", "on")

# ---------------------------------------------------------------- 2.1: control and interrupts

SOURCES = [
    Field("CHK_TXA1", 0, 1, "ro", 0, "List element error, asynchronous transmit queue"),
    Field("CHK_TXS1", 1, 1, "ro", 0, "List element error, synchronous transmit queue"),
    Field("CHK_RX1", 2, 1, "ro", 0, "List element error, receive queue"),
    Field("IRQ_MAC1", 3, 1, "ro", 0, "GMAC_IRQ_SRC and GMAC_IRQ_MSK"),
    Field("IRQ_PHY1", 4, 1, "ro", 0, "The PHY's interrupt"),
    Reserved(5, 3),
    Reserved(8, 5),
    Reserved(13, 11),
    Field("TIMINT", 24, 1, "ro", 0, "The general timer ran out"),
    Field("IRQ_SW", 25, 1, "ro", 0, "Raised by software: CTST"),
    Field("TWSI_RDY", 26, 1, "ro", 0, "A transfer on the two-wire serial interface is over"),
    Field("POLL_CHK", 27, 1, "ro", 0, "List element error of the polling unit; 0", State.STORED),
    Field("CPU_TO", 28, 1, "ro", 0, "Watchdog of the ASF processor; 0", State.STORED),
    Field("ASF", 29, 1, "ro", 0, "ASF; 0", State.STORED),
    Field("STAT_BMU", 30, 1, "ro", 0, "The status unit has written; STAT_CTRL clears it"),
    Field("HW_ERR", 31, 1, "ro", 0, "B0_HWE_ISRC and B0_HWE_IMSK"),
]


def _errors(access: str) -> list[Field]:
    names = ("TCP_TXA1", "TCP_TXS1", "PAR_RX1", "PAR_MAC1", "PAR_WR1", "PAR_RD1")
    docs = (
        "A segmentation request's lengths do not fit, asynchronous queue",
        "The same, synchronous queue",
        "Parity error, receive queue; 0",
        "Fault of the MAC; 0",
        "Parity error, write to RAM; 0",
        "Parity error, read from RAM; 0",
    )
    low = [Field(name, bit, 1, access, 0, doc) for bit, (name, doc) in enumerate(zip(names, docs, strict=True))]
    second = Reserved(6, 2), Field("LINK_2", 8, 6, access, 0, "The same of a second link; 0", State.STORED)
    return [
        *low,
        *second,
        Reserved(14, 10),
        Field("PCI_NEXP", 24, 1, access, 0, "PCI Express error of another kind; 0", State.STORED),
        Field("PCI_EXP", 25, 1, access, 0, "PCI Express error; 0", State.STORED),
        Field("IRQ_STAT", 26, 1, access, 0, "An error bit of PCI STATUS is set"),
        Field("MST_ERR", 27, 1, access, 0, "Master error; 0", State.STORED),
        Field("SENSOR", 28, 1, access, 0, "Sensor; 0", State.STORED),
        Field("TIST_OV", 29, 1, access, 0, "The time stamp timer ran over"),
        Reserved(30, 2),
    ]


def _mask(fields: Sequence[Field]) -> list[Field]:
    return [Field(f.name, f.bit, f.width, "rw", 0, "Mask") if f.name else f for f in fields]


CONTROL = [
    Register("B0_RAP", 0x000, "Block that the upper half of the I/O BAR shows", "2.1",
             [Field("RAP", 0, 7), Reserved(7)], size=1),
    Register("B0_CTST", 0x004, "Reset and global switches", "2.1", [
        switch("RST", 0, "software reset", "out of reset", keeps=KEPT),
        switch("MRST", 2, "master reset", "out of reset", keeps=KEPT),
        Field("STOP_MAST", 4, 1, "w1s", 0, "Stop the bus master; until a reset"),
        Field("STOP_DONE", 5, 1, "ro", 0, "It has stopped"),
        switch("SW_IRQ", 6, "clear the software interrupt", "raise it"),
        switch("LED", 8, *OFF_ON, state=State.STORED),
        switch("CLK_RUN", 10, *OFF_ON, state=State.STORED),
        switch("ASF", 12, *OFF_ON, state=State.STORED),
        switch("HW_WOL", 14, *OFF_ON, state=State.STORED),
    ], size=2, interrupt=True),
    Register("B0_CTST_POWER", 0x006, "Power that is there", "2.1", [
        Field("VAUX_AVAIL", 0, 1, "ro", 1, "Auxiliary power", keeps=KEPT),
        Field("VMAIN_AVAIL", 1, 1, "ro", 1, "Main power", keeps=KEPT),
        Reserved(2, 6),
    ], size=1),
    Register("B0_POWER_CTRL", 0x007, "Power switches", "2.1", [
        switch("VCC", 0, *OFF_ON, reset=2, state=State.STORED, keeps=KEPT),
        switch("VAUX", 2, *OFF_ON, state=State.STORED, keeps=KEPT),
        switch("VCC_ENA", 4, "disabled", "enabled", reset=2, state=State.STORED, keeps=KEPT),
        switch("VAUX_ENA", 6, "disabled", "enabled", state=State.STORED, keeps=KEPT),
    ], size=1),
    Register("B0_ISRC", 0x008, "Interrupt sources; a read has no effect", "2.1", SOURCES),
    Register("B0_IMSK", 0x00C, "Interrupt mask", "2.1", _mask(SOURCES), interrupt=True),
    Register("B0_HWE_ISRC", 0x010, "Hardware error sources", "2.1", _errors("ro")),
    Register("B0_HWE_IMSK", 0x014, "Hardware error mask", "2.1", _errors("rw"), interrupt=True),
    word("B0_SP_ISRC1", 0x018, "Unused by drivers; 0", "2.1", access="ro", state=State.UNDOCUMENTED),
    word("B0_Y2_SP_ISRC2", 0x01C, "Sources that are not masked; a read enters the handler", "2.1", access="ro"),
    word("B0_Y2_SP_ISRC3", 0x020, "Sources that are not masked", "2.1", access="ro"),
    word("B0_Y2_SP_EISR", 0x024, "As B0_Y2_SP_ISRC2: a read enters the handler", "2.1", access="ro"),
    word("B0_Y2_SP_LISR", 0x028, "A read leaves the handler", "2.1", access="ro"),
    Register("B0_Y2_SP_ICR", 0x02C, "Entering and leaving the handler", "2.1", [
        act("ENTER", 0, "Enter: the interrupt stays down"),
        act("LEAVE", 1, "Leave: what is pending interrupts again"),
        Field("IN_ISR", 2, 1, "ro", 0, "Within the handler"),
        Reserved(3, 29),
    ]),
]  # fmt: skip

# ---------------------------------------------------------------- 2.2: block 2


def timer(name: str, at: int, what: str, section: str, *, control: int = 8, test: int = 9) -> list[Register]:
    """A down counter of 8 ns ticks: initial value, value, start and stop, test."""
    return [
        word(f"{name}_INI", at, f"{what}: where it starts", section),
        word(f"{name}_{'CNT' if name.startswith('STAT') else 'VAL'}", at + 4, f"{what}: ticks left", section),
        Register(f"{name}_CTRL", at + control, f"{what}: control", section, [
            act("CLR_IRQ", 0, "Clear its interrupt"),
            switch("RUN", 1, "stop", "start"),
            Reserved(3, 5),
        ], size=1),
        stored(f"{name}_TEST", at + test, f"{what}: test", section, size=1),
    ]  # fmt: skip


def constant(name: str, offset: int, value: int, doc: str, section: str) -> Register:
    """A byte that tells what the chip is."""
    return word(name, offset, doc, section, size=1, access="ro", reset=value, keeps=KEPT)


BLOCK_2 = [
    word("B2_MAC_1", 0x100, "Station address, first byte first", "2.2", size=1, count=6, keeps=KEPT),
    word("B2_MAC_2", 0x108, "Station address of link 2: the same", "2.2", size=1, count=6, keeps=KEPT),
    word("B2_MAC_3", 0x110, "Third address", "2.2", size=1, count=8, state=State.STORED, keeps=KEPT),
    constant("B2_CONN_TYP", 0x118, 0x4A, "Connector: RJ-45", "2.2"),
    constant("B2_PMD_TYP", 0x119, 0x54, "Medium: 1000BASE-T", "2.2"),
    Register("B2_MAC_CFG", 0x11A, "Revision, number of MACs", "2.2", [
        Field("SNG_MAC", 0, 1, "ro", 1, "One MAC", keeps=KEPT),
        Field("DIS_M2_CLK", 1, 1, "ro", 0, "Clock of a second MAC off", keeps=KEPT),
        Reserved(2, 2),
        Field("CHIP_R", 4, 4, "ro", 0, "Chip revision", keeps=KEPT),
    ], size=1),
    constant("B2_CHIP_ID", 0x11B, 0xBA, "Chip: Yukon Ultra 2", "2.2"),
    constant("B2_E_0", 0x11C, 0, "RAM buffer in units of 4 KiB: none", "2.2"),
    stored("B2_Y2_CLK_GATE", 0x11D, "Clock gating of the links", "2.2", size=1),
    Register("B2_Y2_HW_RES", 0x11E, "Links that are there", "2.2", [
        Field("LINK_1", 0, 1, "ro", 1, "Link 1", keeps=KEPT),
        Field("LINK_2", 1, 1, "ro", 0, "Link 2", keeps=KEPT),
        Field("LED_MODE", 2, 3, "ro", 0, "LED mode", keeps=KEPT),
        Reserved(5, 3),
    ], size=1),
    constant("B2_E_3", 0x11F, 0, "Unused", "2.2"),
    Register("B2_Y2_CLK_CTRL", 0x120, "Core clock divider", "2.2", [
        switch("DIV", 0, *OFF_ON, state=State.STORED),
        Reserved(2, 14),
        Field("DIV_VAL", 16, 8, "rw", 0, "Divisor", State.STORED),
        Reserved(24, 8),
    ]),
    *timer("B2_TI", 0x130, "General timer", "2.2"),
    *timer("B2_IRQM", 0x140, "Interrupt moderation timer", "2.2"),
    Register("B2_IRQM_MSK", 0x14C, "Sources that wait for the moderation timer", "2.2", _mask(SOURCES), interrupt=True),
    Register("B2_IRQM_HWE_MSK", 0x150, "Error sources that wait for it; they never do here", "2.2", _errors("rw")),
    Register("B2_TST_CTRL1", 0x158, "Writes to configuration space, forced errors", "2.2", [
        switch("CFG_WRITE", 0, *OFF_ON),
        Field("FORCE", 2, 6, "rw", 0, "Force parity errors", State.UNMODELLED),
    ], size=1),
    stored("B2_TST_CTRL2", 0x159, "Test", "2.2", size=1),
    stored("B2_GP_IO", 0x15C, "General purpose pins; 13 disables a status race", "2.2"),
    Register("B2_I2C_CTRL", 0x160, "Two-wire serial interface: command", "2.2", [
        Field("STOP", 0, 1, "rw", 0, "Stop the transfer", State.STORED),
        Field("DEV_SIZE", 1, 3, "rw", 0, "Size of the device", State.STORED),
        Field("BURST", 4, 1, "rw", 0, "Burst of 4 bytes", State.STORED),
        Reserved(5, 4),
        Field("DEV_SEL", 9, 7, "rw", 0, "Device"),
        Field("ADDR", 16, 15, "rw", 0, "Address within the device"),
        Field("FLAG", 31, 1, "rw", 0, "Written 1: write, 0: read; inverted when the transfer is over"),
    ]),
    word("B2_I2C_DATA", 0x164, "Two-wire serial interface: four bytes", "2.2"),
    Register("B2_I2C_IRQ", 0x168, "Two-wire serial interface: interrupt", "2.2",
             [act("CLR", 0, "Clear TWSI_RDY"), Reserved(1, 31)], interrupt=True),
    stored("B2_I2C_SW", 0x16C, "Two-wire serial interface: pins", "2.2"),
    word("Y2_PEX_PHY_DATA", 0x170, "PCI Express PHY: data", "2.2", size=2, state=State.UNDOCUMENTED),
    word("Y2_PEX_PHY_ADDR", 0x172, "PCI Express PHY: address", "2.2", size=2, state=State.UNDOCUMENTED),
]  # fmt: skip

# ---------------------------------------------------------------- 2.3, 2.4: RAM interface, transmit arbiter, RSS


def _ram_control(name: str, at: int) -> Register:
    return Register(name, at, "RAM interface: control", "2.3", [
        switch("RST", 0, *RESET, state=State.STORED),
        Reserved(2, 6),
        act("CLR_WR_PERR", 8, "Clear the interrupt of a parity error in a write"),
        act("CLR_RD_PERR", 9, "Clear that of one in a read"),
        Reserved(10, 6),
    ], size=2)  # fmt: skip


RAM_AND_ARBITER = [
    stored("B3_RAM_ADDR", 0x180, "RAM interface: address; there is no RAM", "2.3"),
    shown("B3_RAM_DATA_LO", 0x184, "RAM interface: data", "2.3"),
    shown("B3_RAM_DATA_HI", 0x188, "RAM interface: data", "2.3"),
    stored("B3_RI_WTO", 0x190, "RAM interface: bursts of each queue", "2.3", size=1, count=12),
    shown("B3_RI_TO_VAL", 0x19C, "RAM interface: timeout counter", "2.3", size=1),
    _ram_control("B3_RI_CTRL", 0x1A0),
    stored("B3_RI_TEST", 0x1A2, "RAM interface: test", "2.3", size=1),
    stored("B3_RI_WTO_2", 0x1D0, "RAM interface: bursts, second copy", "2.3", size=1, count=12),
    _ram_control("B3_RI_CTRL_2", 0x1E0),
    stored("TXA_ITI_INI", 0x200, "Transmit arbiter: interval of the synchronous queue", "2.4"),
    stored("TXA_ITI_VAL", 0x204, "Transmit arbiter: interval counter", "2.4"),
    stored("TXA_LIM_INI", 0x208, "Transmit arbiter: limit of the synchronous queue", "2.4"),
    stored("TXA_LIM_VAL", 0x20C, "Transmit arbiter: limit counter", "2.4"),
    Register("TXA_CTRL", 0x210, "Transmit arbiter: control", "2.4", [
        switch("ARB", 0, *OFF_ON, state=State.STORED),
        switch("RC", 2, "rate control off", "on", state=State.STORED),
        switch("ALLOC", 4, "no free bandwidth", "free bandwidth to the other queue", state=State.STORED),
        switch("FSYNC", 6, *OFF_ON, state=State.STORED),
    ], size=1),
    stored("TXA_TEST", 0x211, "Transmit arbiter: test", "2.4", size=1),
    shown("TXA_STAT", 0x212, "Transmit arbiter: state", "2.4", size=1),
    word("RSS_KEY", 0x220, "Key of the receive hash", "2.4", count=4),
    word("RSS_CFG", 0x248, "Kinds of receive hash on later chips", "2.4", state=State.UNDOCUMENTED),
]  # fmt: skip

# ---------------------------------------------------------------- 2.5, 2.6: queues and their prefetch units


def _csr(name: str, at: int, receive: bool) -> Register:
    offloads = (
        [switch("CHKSUM", 12, *OFF_ON), switch("RSS_HASH", 14, *OFF_ON)]
        if receive
        else [switch("IPIDINCR", 12, *OFF_ON, reset=2), undocumented(14, 2)]
    )
    kinds = (
        [Field("RX_IP_PKT", 29, 1, "ro", 0, "Last frame was IP", State.STORED),
         Field("RX_TCP_PKT", 30, 1, "ro", 0, "Last frame was TCP", State.STORED)]
        if receive
        else [Reserved(29, 2)]
    )  # fmt: skip
    return Register(name, at, "Control and status of the queue", "2.5", [
        switch("RST", 0, *RESET),
        switch("OP", 2, *OFF_ON),
        switch("FIFO", 4, "reset", "enabled", state=State.STORED),
        switch("FIFO_OP", 6, *OFF_ON, state=State.STORED),
        switch("RUN", 8, "start", "stop", reset=2),
        act("CLR_IRQ_CHK", 10, "Clear the interrupt of a list element error, and go on"),
        act("CLR_IRQ_PAR" if receive else "CLR_IRQ_TCP", 11, "Clear the interrupt of a parity or segmentation error"),
        *offloads,
        undocumented(16, 13),
        *kinds,
        Field("IDLE", 31, 1, "ro", 1, "Nothing is under way"),
    ], interrupt=True)  # fmt: skip


def queue(name: str, base: int, what: str, *, receive: bool = False) -> list[Register]:
    """One queue and its prefetch unit; all queues have the same registers in the same order."""
    prefetch, section = f"{name}_PREF", "2.6"
    return [
        shown(f"{name}_D", base, f"{what}: current list element", "2.5", count=8),
        shown(f"{name}_VLAN", base + 0x20, f"{what}: current tag", "2.5"),
        word(f"{name}_DONE", base + 0x24, f"{what}: first list element that is not done", "2.5", size=2, access="ro"),
        shown(f"{name}_AC_L", base + 0x28, f"{what}: current address, low half", "2.5"),
        shown(f"{name}_AC_H", base + 0x2C, f"{what}: current address, high half", "2.5"),
        shown(f"{name}_BC", base + 0x30, f"{what}: bytes left", "2.5"),
        _csr(f"{name}_CSR", base + 0x34, receive),
        stored(f"{name}_TEST", base + 0x38, f"{what}: test and work-arounds", "2.5"),
        stored(f"{name}_WM", base + 0x40, f"{what}: FIFO watermark", "2.5", size=2),
        stored(f"{name}_AL", base + 0x42, f"{what}: FIFO alignment", "2.5", size=2),
        shown(f"{name}_RSP", base + 0x44, f"{what}: FIFO read shadow pointer", "2.5", size=1),
        shown(f"{name}_RSL", base + 0x46, f"{what}: FIFO read shadow level", "2.5", size=1),
        shown(f"{name}_RP", base + 0x48, f"{what}: FIFO read pointer", "2.5", size=1),
        shown(f"{name}_RL", base + 0x4A, f"{what}: FIFO read level", "2.5", size=1),
        shown(f"{name}_WP", base + 0x4C, f"{what}: FIFO write pointer", "2.5", size=1),
        shown(f"{name}_WSP", base + 0x4D, f"{what}: FIFO write shadow pointer", "2.5", size=1),
        shown(f"{name}_WL", base + 0x4E, f"{what}: FIFO write level", "2.5", size=1),
        shown(f"{name}_WSL", base + 0x4F, f"{what}: FIFO write shadow level", "2.5", size=1),
        Register(f"{prefetch}_CTRL", base + 0x50, f"{what}: prefetch unit", section, [
            switch("RST", 0, *RESET),
            switch("OP", 2, *OFF_ON),
            Reserved(4, 28),
        ], interrupt=True),
        word(f"{prefetch}_LAST_IDX", base + 0x54, f"{what}: last index of the list", section, size=2, width=12),
        word(f"{prefetch}_ADDR_LO", base + 0x58, f"{what}: where the list is, low half", section),
        word(f"{prefetch}_ADDR_HI", base + 0x5C, f"{what}: where the list is, high half", section),
        word(f"{prefetch}_GET_IDX", base + 0x60, f"{what}: list element to be fetched next", section,
             size=2, width=12, access="ro"),
        word(f"{prefetch}_PUT_IDX", base + 0x64, f"{what}: first list element that is not the card's", section,
             size=2, width=12),
        shown(f"{prefetch}_FIFO_WP", base + 0x70, f"{what}: FIFO of the prefetch unit", section, size=1),
        shown(f"{prefetch}_FIFO_RP", base + 0x74, f"{what}: FIFO of the prefetch unit", section, size=1),
        stored(f"{prefetch}_FIFO_WM", base + 0x78, f"{what}: FIFO watermark", section, size=1),
        shown(f"{prefetch}_FIFO_LEV", base + 0x7C, f"{what}: FIFO level", section, size=1),
    ]  # fmt: skip


QUEUES = [
    *queue("R1", 0x400, "Receive", receive=True),
    *queue("XS1", 0x600, "Synchronous transmit"),
    *queue("XA1", 0x680, "Asynchronous transmit"),
]

# ---------------------------------------------------------------- 2.7: RAM buffers


def ram_buffer(name: str, base: int, what: str) -> list[Register]:
    """The registers of a part of a RAM buffer; without RAM they hold numbers."""
    places = ("START", "END", "WP", "RP", "UTPP", "LTPP", "UTHP", "LTHP")
    return [
        *(stored(f"RB_{name}_{place}", base + 4 * i, f"{what}: RAM buffer", "2.7") for i, place in enumerate(places)),
        shown(f"RB_{name}_PC", base + 0x20, f"{what}: frames in the RAM buffer", "2.7"),
        shown(f"RB_{name}_LEV", base + 0x24, f"{what}: level of the RAM buffer", "2.7"),
        Register(f"RB_{name}_CTRL", base + 0x28, f"{what}: control of the RAM buffer", "2.7", [
            switch("RST", 0, *RESET, state=State.STORED),
            switch("OP", 2, *OFF_ON, state=State.STORED),
            switch("STFWD", 4, *OFF_ON, state=State.STORED),
            Reserved(6, 2),
        ], size=1),
        stored(f"RB_{name}_TST1", base + 0x29, f"{what}: test", "2.7", size=1),
        stored(f"RB_{name}_TST2", base + 0x2A, f"{what}: test", "2.7", size=2),
        shown(f"RB_{name}_RSL", base + 0x46, f"{what}: read shadow level, which a stopped receiver makes equal", "2.7",
              size=1),
        shown(f"RB_{name}_RL", base + 0x4A, f"{what}: read level", "2.7", size=1),
    ]  # fmt: skip


BUFFERS = [
    *ram_buffer("R1", 0x800, "Receive"),
    *ram_buffer("XS1", 0xA00, "Synchronous transmit"),
    *ram_buffer("XA1", 0xA80, "Asynchronous transmit"),
]

# ---------------------------------------------------------------- 2.8: MAC FIFOs and LEDs


def _led(name: str, base: int, what: str) -> list[Register]:
    return [
        stored(f"{name}_INI", base, f"{what}: initial value", "2.8"),
        stored(f"{name}_VAL", base + 4, f"{what}: value", "2.8"),
        stored(f"{name}_CTRL", base + 8, f"{what}: control", "2.8", size=1),
        stored(f"{name}_TST", base + 9, f"{what}: test", "2.8", size=1),
    ]


FIFOS = [
    *_led("RX_LED", 0xC20, "Receive LED"),
    *_led("LNK_SYNC", 0xC30, "Link synchronization counter"),
    Register("LNK_LED_REG", 0xC3C, "Link LED", "2.8", [
        switch("LED", 0, *OFF_ON, state=State.STORED),
        switch("LINKSYNC", 2, *OFF_ON, state=State.STORED),
        switch("BLINK", 4, *OFF_ON, state=State.STORED),
        Reserved(6, 2),
    ], size=1),
    stored("RX_GMF_EA", 0xC40, "Receive FIFO: end address", "2.8"),
    stored("RX_GMF_AF_THR", 0xC44, "Receive FIFO: almost full threshold", "2.8"),
    Register("RX_GMF_CTRL", 0xC48, "Receive FIFO: control", "2.8", [
        switch("RST", 0, *RESET),
        switch("OPER", 2, *OFF_ON),
        act("CLI_RX_C", 4, "Clear the interrupt of a received frame"),
        act("CLI_RX_FO", 5, "Clear that of an overrun"),
        switch("FLUSH", 6, "off", "drop frames that the flush mask finds"),
        undocumented(8, 14),
        switch("MACSEC_FLUSH", 22, *OFF_ON, state=State.STORED),
        switch("VLAN_STRIP", 24, *OFF_ON),
        switch("TRUNC", 26, "off", "cut frames off at the truncation threshold"),
        switch("STFWD", 28, "on", "off", state=State.STORED),
        switch("CLK_GATE", 30, *OFF_ON, state=State.STORED),
    ], interrupt=True),
    word("RX_GMF_FL_MSK", 0xC4C, "Receive FIFO: status bits for which frames are dropped", "2.8", width=16),
    stored("RX_GMF_FL_THR", 0xC50, "Receive FIFO: flush threshold", "2.8", size=2),
    stored("RX_GMF_FL_CTRL", 0xC52, "Receive FIFO: flush control", "2.8", size=2),
    word("RX_GMF_TR_THR", 0xC54, "Receive FIFO: truncation threshold in units of 4 bytes", "2.8", width=16),
    stored("RX_GMF_UP_THR", 0xC58, "Receive FIFO: level that sends a PAUSE frame; a frame without buffer does here",
           "2.8", size=2),
    stored("RX_GMF_LP_THR", 0xC5A, "Receive FIFO: level that ends the pause; the end of waiting does here", "2.8",
           size=2),
    word("RX_GMF_VLAN", 0xC5C, "Type of tags that are stripped", "2.8", width=16, reset=0x8100),
    shown("RX_GMF_WP", 0xC60, "Receive FIFO: write pointer", "2.8"),
    shown("RX_GMF_WLEV", 0xC68, "Receive FIFO: write level", "2.8"),
    shown("RX_GMF_RP", 0xC70, "Receive FIFO: read pointer", "2.8"),
    shown("RX_GMF_RLEV", 0xC78, "Receive FIFO: read level", "2.8"),
    *_led("TX_LED", 0xD20, "Transmit LED"),
    stored("TX_GMF_EA", 0xD40, "Transmit FIFO: end address", "2.8"),
    stored("TX_GMF_AE_THR", 0xD44, "Transmit FIFO: almost empty threshold", "2.8"),
    Register("TX_GMF_CTRL", 0xD48, "Transmit FIFO: control", "2.8", [
        switch("RST", 0, *RESET),
        switch("OPER", 2, *OFF_ON),
        act("CLI_TX_PE", 4, "Clear the interrupt of a parity error"),
        act("CLI_TX_FC", 5, "Clear that of a sent frame"),
        act("CLI_TX_FU", 6, "Clear that of an underrun"),
        undocumented(7, 15),
        switch("JUMBO", 22, *OFF_ON, state=State.STORED),
        switch("VLAN", 24, "tags are not inserted", "tags are inserted"),
        undocumented(26, 4),
        switch("STFWD", 30, "on", "off", state=State.STORED),
    ], interrupt=True),
    word("TX_GMF_VLAN", 0xD5C, "Type of tags that are inserted", "2.8", width=16, reset=0x8100),
    shown("TX_GMF_WP", 0xD60, "Transmit FIFO: write pointer", "2.8"),
    shown("TX_GMF_WSP", 0xD64, "Transmit FIFO: write shadow pointer", "2.8"),
    shown("TX_GMF_WLEV", 0xD68, "Transmit FIFO: write level", "2.8"),
    shown("TX_GMF_RP", 0xD70, "Transmit FIFO: read pointer", "2.8"),
    shown("TX_GMF_RSTP", 0xD74, "Transmit FIFO: restart pointer", "2.8"),
    shown("TX_GMF_RLEV", 0xD78, "Transmit FIFO: read level", "2.8"),
]  # fmt: skip

# ---------------------------------------------------------------- 2.9: polling, time stamps, ASF

ASF_DOC = "ASF, which is off"
TIMERS = [
    stored("B28_DPT_INI", 0xE00, "Descriptor poll timer: initial value; prefetch units need no polling", "2.9"),
    stored("B28_DPT_VAL", 0xE04, "Descriptor poll timer: value", "2.9"),
    Register("B28_DPT_CTRL", 0xE08, "Descriptor poll timer: control", "2.9",
             [switch("RUN", 0, "stop", "start", state=State.STORED), Reserved(2, 6)], size=1),
    stored("B28_DPT_TST", 0xE0A, "Descriptor poll timer: test", "2.9", size=1),
    word("GMAC_TI_ST_VAL", 0xE14, "Time stamp timer: 8 ns ticks since it was started", "2.9", access="ro"),
    Register("GMAC_TI_ST_CTRL", 0xE18, "Time stamp timer: control", "2.9", [
        act("CLR_IRQ", 0, "Clear TIST_OV"),
        switch("RUN", 1, "stop", "start"),
        Reserved(3, 5),
    ], size=1, interrupt=True),
    stored("GMAC_TI_ST_TST", 0xE1A, "Time stamp timer: test", "2.9", size=1),
    stored("POLL_CTRL", 0xE20, "Polling unit: control; no driver uses it", "2.9"),
    stored("POLL_LAST_IDX", 0xE24, "Polling unit: last index", "2.9", size=2),
    stored("POLL_LIST_ADDR_LO", 0xE28, "Polling unit: list, low half", "2.9"),
    stored("POLL_LIST_ADDR_HI", 0xE2C, "Polling unit: list, high half", "2.9"),
    stored("B28_Y2_SMB_CONFIG", 0xE40, ASF_DOC, "2.9"),
    stored("B28_Y2_SMB_CSD_REG", 0xE44, ASF_DOC, "2.9"),
    stored("CPU_WDOG", 0xE48, ASF_DOC, "2.9"),
    stored("CPU_CNTR", 0xE4C, ASF_DOC, "2.9"),
    stored("CPU_TIM", 0xE50, ASF_DOC, "2.9"),
    stored("CPU_AHB", 0xE54, ASF_DOC, "2.9", count=3),
    stored("B28_Y2_ASF_IRQ_V_BASE", 0xE60, ASF_DOC, "2.9"),
    stored("CPU_AHB_CTRL", 0xE64, ASF_DOC, "2.9"),
    stored("B28_Y2_ASF_STAT_CMD", 0xE68, ASF_DOC, "2.9"),
    stored("B28_Y2_ASF_HOST_COM", 0xE6C, ASF_DOC, "2.9"),
    stored("B28_Y2_DATA_REG", 0xE70, ASF_DOC, "2.9", count=4),
]  # fmt: skip

# ---------------------------------------------------------------- 2.10: status unit

STATUS = [
    Register("STAT_CTRL", 0xE80, "Status unit: control", "2.10", [
        switch("RST", 0, *RESET),
        switch("OP", 2, *OFF_ON),
        act("CLR_IRQ", 4, "Clear STAT_BMU"),
        Reserved(5, 27),
    ], interrupt=True),
    word("STAT_LAST_IDX", 0xE84, "Status unit: last index of the list", "2.10", size=2, width=12),
    word("STAT_LIST_ADDR_LO", 0xE88, "Status unit: where the list is, low half", "2.10"),
    word("STAT_LIST_ADDR_HI", 0xE8C, "Status unit: where the list is, high half", "2.10"),
    word("STAT_TXA1_RIDX", 0xE90, "Index last reported, asynchronous queue", "2.10", size=2, access="ro"),
    word("STAT_TXS1_RIDX", 0xE92, "Index last reported, synchronous queue", "2.10", size=2, access="ro"),
    shown("STAT_TXA2_RIDX", 0xE94, "The same of link 2", "2.10", size=2),
    shown("STAT_TXS2_RIDX", 0xE96, "The same of link 2", "2.10", size=2),
    word("STAT_TX_IDX_TH", 0xE98, "Frames sent that are reported at once", "2.10", size=2, width=12),
    word("STAT_PUT_IDX", 0xE9C, "Status unit: entry to be written next", "2.10", size=2, width=12, access="ro"),
    shown("STAT_FIFO_WP", 0xEA0, "Status FIFO: write pointer", "2.10", size=1),
    shown("STAT_FIFO_RP", 0xEA4, "Status FIFO: read pointer", "2.10", size=1),
    shown("STAT_FIFO_RSP", 0xEA6, "Status FIFO: read shadow pointer", "2.10", size=1),
    word("STAT_FIFO_LEVEL", 0xEA8, "Status FIFO: entries", "2.10", size=1, access="ro"),
    shown("STAT_FIFO_SHLVL", 0xEAA, "Status FIFO: shadow level", "2.10", size=1),
    word("STAT_FIFO_WM", 0xEAC, "Status FIFO: entries that are written at once", "2.10", size=1),
    word("STAT_FIFO_ISR_WM", 0xEAD, "Entries written that interrupt at once", "2.10", size=1),
    *timer("STAT_LEV_TIMER", 0xEB0, "Status FIFO timer", "2.10"),
    *timer("STAT_TX_TIMER", 0xEC0, "Transmit report timer", "2.10"),
    *timer("STAT_ISR_TIMER", 0xED0, "Interrupt delay timer", "2.10"),
]  # fmt: skip

# ---------------------------------------------------------------- 2.11: GMAC and GPHY control, wake on LAN

LINK = [
    Register("GMAC_CTRL", 0xF00, "GMAC: control", "2.11", [
        switch("RST", 0, *RESET),
        switch("PAUSE", 2, *OFF_ON),
        switch("LOOP", 4, *OFF_ON),
        switch("BURST", 6, *OFF_ON, state=State.STORED),
        Field("BYPASS", 8, 6, "rw", 0, "MACsec and retransmission bypass", State.STORED),
        switch("SEC_RST", 14, *RESET, state=State.STORED),
        Reserved(16, 16),
    ]),
    Register("GPHY_CTRL", 0xF04, "PHY: control and status", "2.11", [
        switch("RST", 0, *RESET, reset=2, keeps=KEPT),
        undocumented(2, 22),
        Field("CLK_STABLE", 24, 1, "ro", 1, "The PHY's clock is stable", keeps=KEPT),
        Field("DUPLEX", 25, 1, "ro", 0, "Full duplex", keeps=KEPT),
        Field("LINK", 26, 1, "ro", 0, "Link is up", keeps=KEPT),
        Field("SPEED", 27, 2, "ro", 0, "Speed", keeps=KEPT, values={0: "10", 1: "100", 2: "1000"}),
        Field("RX_PAUSE", 29, 1, "ro", 0, "Receive PAUSE negotiated", keeps=KEPT),
        Field("TX_PAUSE", 30, 1, "ro", 0, "Transmit PAUSE negotiated", keeps=KEPT),
        Reserved(31),
    ]),
    Register("GMAC_IRQ_SRC", 0xF08, "GMAC: interrupt sources", "2.11", [
        Field("RX_COMPL", 0, 1, "ro", 0, "Frame received; 0", State.STORED),
        Field("RX_FF_OR", 1, 1, "ro", 0, "Receive FIFO overrun"),
        Field("TX_COMPL", 2, 1, "ro", 0, "Frame sent; 0", State.STORED),
        Field("TX_FF_UR", 3, 1, "ro", 0, "Transmit FIFO underrun; 0", State.STORED),
        Field("RX_CO_OV", 4, 1, "ro", 0, "A receive counter ran over; 0", State.STORED),
        Field("TX_CO_OV", 5, 1, "ro", 0, "A transmit counter ran over; 0", State.STORED),
        Reserved(6, 10),
    ], size=2),
    word("GMAC_IRQ_MSK", 0xF0C, "GMAC: interrupt mask", "2.11", size=2, width=6, interrupt=True),
    Register("GMAC_LINK_CTRL", 0xF10, "Link: control", "2.11",
             [switch("RST", 0, *RESET, state=State.STORED), Reserved(2, 14)], size=2),
    Register("WOL_CTRL_STAT", 0xF20, "Wake on LAN: control and status", "2.11", [
        switch("ENA_PATTERN", 0, *OFF_ON, state=State.UNMODELLED),
        switch("ENA_MAGIC", 2, *OFF_ON),
        switch("ENA_LINK", 4, *OFF_ON),
        switch("PME_PATTERN", 6, *OFF_ON, state=State.UNMODELLED),
        switch("PME_MAGIC", 8, *OFF_ON),
        switch("PME_LINK", 10, *OFF_ON),
        act("CLEAR_RESULT", 12, "Clear what occurred"),
        Field("PATTERN_OCC", 13, 1, "ro", 0, "A pattern matched; 0", State.STORED),
        Field("MAGIC_OCC", 14, 1, "ro", 0, "A magic packet came"),
        Field("LINK_CHG_OCC", 15, 1, "ro", 0, "The link changed"),
    ], size=2),
    stored("WOL_MATCH_CTL", 0xF22, "Wake on LAN: patterns in use", "2.11", size=1),
    shown("WOL_MATCH_RES", 0xF23, "Wake on LAN: patterns that matched", "2.11", size=1),
    word("WOL_MAC_ADDR", 0xF24, "Wake on LAN: address in magic packets", "2.11", size=1, count=6),
    shown("WOL_PATT_RPTR", 0xF2C, "Wake on LAN: pattern read pointer", "2.11", size=1),
    stored("WOL_PATT_LEN", 0xF30, "Wake on LAN: pattern lengths", "2.11", size=1, count=7),
    shown("WOL_PATT_CNT", 0xF38, "Wake on LAN: pattern counters", "2.11", size=1, count=7),
    stored("WOL_PATT_RAM", 0x1000, "Wake on LAN: patterns, in a layout that no driver tells", "2.11", count=256),
]  # fmt: skip

# ---------------------------------------------------------------- 2.12: GMAC port registers


def half(
    name: str, offset: int, doc: str, fields: Sequence[Field] = (), *, count: int = 1, stride: int = 0
) -> Register:
    """A 16-bit register of the port."""
    return Register(name, offset, doc, "2.12", fields, size=2, count=count, stride=stride)


PORT = [
    half("GM_GP_STAT", 0x2800, "General purpose status", [
        Field("GPSR_BITS_0", 0, 1, "ro", 0, "0", State.STORED),
        Field("PROM", 1, 1, "ro", 0, "Promiscuous; 0", State.STORED),
        Field("FC_RX_DIS", 2, 1, "ro", 0, "Receive flow control off"),
        Field("PART_MODE", 3, 1, "ro", 0, "Partition mode; 0", State.STORED),
        Field("GIG_SPEED", 4, 1, "ro", 0, "1000 Mb/s"),
        Field("PHY_ST_CH", 5, 1, "ro", 0, "The PHY's state changed; 0", State.STORED),
        Reserved(6, 2),
        Field("LATE_COL", 8, 1, "ro", 0, "Late collision; 0", State.STORED),
        Field("EXC_COL", 9, 1, "ro", 0, "Excessive collisions; 0", State.STORED),
        Field("TX_ACTIVE", 10, 1, "ro", 0, "Sending; 0", State.STORED),
        Field("PAUSE", 11, 1, "ro", 0, "Transmission is paused"),
        Field("LINK_UP", 12, 1, "ro", 0, "Link is up"),
        Field("FC_TX_DIS", 13, 1, "ro", 0, "Transmit flow control off"),
        Field("DUPLEX", 14, 1, "ro", 0, "Full duplex"),
        Field("SPEED", 15, 1, "ro", 0, "100 Mb/s"),
    ]),
    half("GM_GP_CTRL", 0x2804, "General purpose control", [
        *flags(("AU_SPD_DIS", "AU_FCT_DIS", "AU_DUP_DIS", "SPEED_100", "FC_RX_DIS", "DUP_FULL", "FL_PASS",
                "GIGS_ENA", "PART_ENA", "LOOP_ENA", "BURST_ENA", "RX_ENA", "TX_ENA", "FC_TX_DIS", "PROM_ENA", "")),
    ]),
    half("GM_TX_CTRL", 0x2808, "Transmit control", [
        Reserved(0, 10),
        Field("COL_THR", 10, 3, "rw", 4, "Collision threshold", State.STORED),
        Field("NO_PAD", 13, 1, "rw", 0, "Short frames are not padded"),
        Field("CRC_DIS", 14, 1, "rw", 0, "Frames bring their FCS"),
        Field("FORCE_JAM", 15, 1, "rw", 0, "Jam", State.STORED),
    ]),
    half("GM_RX_CTRL", 0x280C, "Receive control", [
        Reserved(0, 12),
        Field("PASS_FC", 12, 1, "rw", 0, "Flow control frames are received too"),
        Field("CRC_DIS", 13, 1, "rw", 0, "The FCS is not stored"),
        Field("MCF_ENA", 14, 1, "rw", 0, "Multicast filter on"),
        Field("UCF_ENA", 15, 1, "rw", 0, "Unicast filter on"),
    ]),
    Register("GM_TX_FLOW_CTRL", 0x2810, "Time of the pauses that PAUSE frames ask for, in 512 bits", "2.12", size=2),
    Register("GM_TX_PARAM", 0x2814, "Jam and gap timing", "2.12", size=2, state=State.STORED),
    half("GM_SERIAL_MODE", 0x2818, "Serial mode", [
        Field("IPG", 0, 5, "rw", 0x1E, "Gap between frames", State.STORED),
        Reserved(5),
        Field("NEW_FLOW", 6, 1, "rw", 0, "New flow control", State.STORED),
        Reserved(7),
        Field("JUMBO_ENA", 8, 1, "rw", 0, "Long frames are received"),
        Field("VLAN_ENA", 9, 1, "rw", 0, "Frames may be 1522 bytes long"),
        Field("LIMIT_4", 10, 1, "rw", 0, "Limit of 4 collisions", State.STORED),
        Field("DATABL", 11, 5, "rw", 0, "Data blind time", State.STORED),
    ]),
    half("GM_SRC_ADDR_1", 0x281C, "Station address, two bytes each, first byte low", count=3, stride=4),
    half("GM_SRC_ADDR_2", 0x2828, "Second address", count=3, stride=4),
    half("GM_MC_ADDR", 0x2834, "Hash of group addresses, 16 bits each", count=4, stride=4),
    Register("GM_TX_IRQ_SRC", 0x2844, "Transmit counters that ran over; 0", "2.12", size=2, access="rc",
             state=State.STORED),
    Register("GM_RX_IRQ_SRC", 0x2848, "Receive counters that ran over; 0", "2.12", size=2, access="rc",
             state=State.STORED),
    Register("GM_TR_IRQ_SRC", 0x284C, "Other counters that ran over; 0", "2.12", size=2, access="rc",
             state=State.STORED),
    Register("GM_TX_IRQ_MSK", 0x2850, "Mask of transmit counters", "2.12", size=2, state=State.STORED),
    Register("GM_RX_IRQ_MSK", 0x2854, "Mask of receive counters", "2.12", size=2, state=State.STORED),
    Register("GM_TR_IRQ_MSK", 0x2858, "Mask of other counters", "2.12", size=2, state=State.STORED),
    half("GM_SMI_CTRL", 0x2880, "PHY access", [
        Reserved(0, 3),
        Field("BUSY", 3, 1, "ro", 0, "An access is under way"),
        Field("RD_VAL", 4, 1, "ro", 0, "GM_SMI_DATA holds what was read"),
        Field("OP_RD", 5, 1, "rw", 0, "Read"),
        Field("REG", 6, 5, "rw", 0, "Register"),
        Field("PHY", 11, 5, "rw", 0, "Address; the PHY has 0"),
    ]),
    half("GM_SMI_DATA", 0x2884, "PHY data"),
    half("GM_PHY_ADDR", 0x2888, "Counter modes", [
        Reserved(0, 4),
        Field("MIB_TST", 4, 1, "rw", 0, "Counter test", State.STORED),
        Field("MIB_CLR", 5, 1, "rw", 0, "Reading the low half clears a counter"),
        Reserved(6, 10),
    ]),
    half("GM_MIB_LOW", 0x2900, "Low halves of the counters", count=44, stride=8),
    half("GM_MIB_HIGH", 0x2904, "High halves of the counters", count=44, stride=8),
]  # fmt: skip

#: The counters in the order of GM_MIB_LOW and GM_MIB_HIGH (2.12); an empty name is a spare.
MIB: tuple[str, ...] = (
    "RXF_UC_OK", "RXF_BC_OK", "RXF_MPAUSE", "RXF_MC_OK", "RXF_FCS_ERR", "", "RXO_OK_LO", "RXO_OK_HI",
    "RXO_ERR_LO", "RXO_ERR_HI", "RXF_SHT", "RXE_FRAG", "RXF_64B", "RXF_127B", "RXF_255B", "RXF_511B",
    "RXF_1023B", "RXF_1518B", "RXF_MAX_SZ", "RXF_LNG_ERR", "RXF_JAB_PKT", "", "RXE_FIFO_OV", "",
    "TXF_UC_OK", "TXF_BC_OK", "TXF_MPAUSE", "TXF_MC_OK", "TXO_OK_LO", "TXO_OK_HI", "TXF_64B", "TXF_127B",
    "TXF_255B", "TXF_511B", "TXF_1023B", "TXF_1518B", "TXF_MAX_SZ", "", "TXF_COL", "TXF_LAT_COL",
    "TXF_ABO_COL", "TXF_MUL_COL", "TXF_SNG_COL", "TXE_FIFO_UR",
)  # fmt: skip

# ---------------------------------------------------------------- the spaces

#: Configuration space answers writes through BAR 0 while B2_TST_CTRL1 allows it (1.3).
OPEN = (Gate("B2_TST_CTRL1", 0x03, 0x02),)

MIRRORS = [
    Register("B7_CFG_SPC", 0x380, "The first 128 bytes of configuration space", "1.3", count=32,
             window=Window("config"), gates=OPEN),
    Register("Y2_CFG_SPC", 0x1C00, "Configuration space", "1.3", count=32, window=Window("config"), gates=OPEN),
    # Drivers write "all clocks run" here before they open the gate, so this one needs none.
    Register("Y2_CFG_REG3", 0x1C80, "Configuration space: DEV_REG3", "1.3", window=Window("config", base=0x80)),
    Register("Y2_CFG_SPC_HIGH", 0x1C84, "Configuration space", "1.3", count=223,
             window=Window("config", base=0x84), gates=OPEN),
]  # fmt: skip

MMIO = Table(
    "mmio",
    0x4000,
    sorted(
        [*CONTROL, *BLOCK_2, *RAM_AND_ARBITER, *QUEUES, *BUFFERS, *FIFOS, *TIMERS, *STATUS, *LINK, *PORT, *MIRRORS],
        key=lambda register: register.offset,
    ),
    widths=(1, 2, 4, 8),
    unmapped=0,
    doc="BAR 0: registers (2)",
)

IO = Table(
    "io",
    256,
    [
        Register("BLOCK_0", 0x00, "Block 0 of BAR 0", "1.1", count=32, window=Window("mmio")),
        Register("BLOCK", 0x80, "The block of BAR 0 that B0_RAP selects", "1.1", count=32,
                 window=Window("mmio", "mmio.B0_RAP", scale=128)),
    ],
    widths=(1, 2, 4),
    unmapped=0,
    doc="BAR 2: a window on BAR 0 (1.1)",
)  # fmt: skip

TABLES = (MMIO, IO)

# ---------------------------------------------------------------- findings


def _rule(id: str, severity: Severity, section: str, asks: str, first: str = "", second: str = "") -> Rule:
    return Rule(f"yukon2.{id}", severity, asks, f"facts {section}", first, second)


# Where a rule speaks of a list element, its value is the element's index in the list.
RULES: tuple[Rule, ...] = (
    _rule("access.width", "error", "2", "Registers are accessed by 1, 2, 4 or 8 bytes", "offset", "bytes"),
    _rule("access.reserved-bits", "warning", "2", "Reserved bits keep their value", "offset", "value"),
    _rule("access.unmapped", "note", "2", "Only offsets that hold a register are accessed", "offset", "bytes"),
    _rule("access.locked", "warning", "1.3",
          "B2_TST_CTRL1 allows writes to configuration space while they go through BAR 0", "row", "value"),
    _rule("dma.bus-master-off", "error", "1.1",
          "COMMAND has its bus master bit set before DMA begins", "address", "bytes"),
    _rule("dma.unmapped", "error", "3", "Lists and buffers lie in memory", "address", "bytes"),
    _rule("smi.bad-phy", "warning", "5", "The PHY is addressed as 0", "GM_SMI_CTRL"),
    _rule("smi.busy", "error", "2.12", "A PHY access begins when the last one is over", "GM_SMI_CTRL", "before"),
    _rule("reset.held", "error", "2.1", "Queues are used once CTST's resets are cleared", "B0_CTST", "queue"),
    _rule("list.put-out-of-list", "error", "2.6", "PUT_IDX lies within the list", "PUT_IDX", "LAST_IDX"),
    _rule("list.put-while-off", "warning", "2.6",
          "PUT_IDX is written once the prefetch unit is out of reset and operational", "PUT_IDX", "PREF_CTRL"),
    _rule("list.unaligned", "error", "2.6", "Lists begin at a multiple of 8", "ADDR_LO written"),
    _rule("list.not-owned", "error", "3", "List elements before PUT_IDX have HW_OWNER set", "list element", "opcode"),
    _rule("list.opcode", "error", "3.2", "List elements have an opcode that the queue knows", "list element", "opcode"),
    _rule("tx.order", "error", "3.3",
          "Between PACKET and EOP there is nothing but BUFFER and ADDR64", "list element", "opcode"),
    _rule("tx.length-zero", "error", "3.3", "Frames have at least 14 bytes", "list element", "bytes"),
    _rule("tx.oversize", "error", "6.2",
          "Frames have at most 16384 bytes, and segmentation requests 64 KiB and headers", "list element", "bytes"),
    _rule("tx.checksum-offset", "error", "6.1", "Checksum start and place lie within the frame", "start, place",
          "bytes"),
    _rule("tx.checksum-partial", "warning", "3.1", "CALSUM and WR_SUM are set together", "control", "list element"),
    _rule("tx.tso-headers", "error", "6.2",
          "A segmentation request begins with Ethernet, IPv4 and TCP headers", "list element", "bytes"),
    _rule("tx.tso-length", "error", "6.2", "LRGLEN is greater than the headers are long", "LRGLEN", "header bytes"),
    _rule("tx.vlan-mode", "warning", "2.8", "INS_VLAN is used while TX_GMF_CTRL inserts tags", "list element"),
    _rule("tx.disabled", "note", "2.12", "Frames are sent while GM_GP_CTRL.TX_ENA is set", "GM_GP_CTRL", "PUT_IDX"),
    _rule("rx.buffers-too-small", "error", "3.4", "A frame fits into its PACKET and BUFFERs", "frame bytes",
          "buffer bytes"),
    _rule("rx.overrun", "note", "6.4", "Buffers are added before the receive FIFO is full", "frame bytes", "PUT_IDX"),
    _rule("rx.enabled-without-list", "note", "4.12",
          "The receive list is set up before GM_GP_CTRL.RX_ENA", "GM_GP_CTRL"),
    _rule("status.unaligned", "error", "2.10", "The status list begins at a multiple of 8", "STAT_LIST_ADDR_LO"),
    _rule("status.overrun", "error", "2.10",
          "Status elements are taken, and their HW_OWNER cleared, before the list is full", "entry", "opcode"),
    _rule("status.off", "error", "2.10", "The status unit is operational when frames are done", "STAT_CTRL"),
)  # fmt: skip
