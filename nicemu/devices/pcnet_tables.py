"""Registers and rules of AMD's PCnet: the Am79C970A (`pcnet`) and the Am79C973 (`pcnet-fast3`).

Sections are register names, or titles of chapters, of AMD's data sheets: Am79C970A PCnet-PCI II, 19436 (970A), and
Am79C973/Am79C975 PCnet-FAST III, 21510 (973).  The tables below hold what either part has, so that both share the cells
of one C header; `TABLES_970A` leaves out what came later.

Registers are known by number and 16 bits wide: CSRs by way of RDP, BCRs by way of BDP, both at offset 2 * number of
their own spaces.  What the data sheets say is "unaffected by H_RESET" and has no value at power-on is undefined there.

S_RESET (a read of RESET) leaves alone what `KEPT_SOFT` marks; setting STOP has further effects, which csrc/pcnet.c has.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from nicemu.findings import Rule, Severity
from nicemu.registers import Field, Gate, Register, Reserved, Reset, State, Table, Window

__all__ = ["BCR", "CSR", "IO", "RULES", "TABLES", "TABLES_970A"]

#: Left alone by S_RESET.
KEPT_SOFT = frozenset({Reset.SOFT})
#: Left alone by H_RESET too.
KEPT = frozenset({Reset.BUS, Reset.SOFT})

#: "Read/Write accessible only when either the STOP or the SPND bit is set."
STOPPED = (Gate("csr.CSR0", 0x0004, 0x0004), Gate("csr.CSR5", 0x0001, 0x0001))
#: "Write accessible only when STOP is set."
ONLY_STOP = (Gate("csr.CSR0", 0x0004, 0x0004),)

# ---------------------------------------------------------------- I/O resources: WIO is page 0, DWIO page 1

WIO, DWIO = 0, 1


def _port(name: str, offset: int, page: int, doc: str, *, cell: str = "", window: Window | None = None) -> Register:
    return Register(name, offset, doc, "I/O Resources", size=2, pages=(page,), cell=cell, window=window)


def _high(name: str, offset: int) -> Register:
    """The upper word of a port in DWIO mode."""
    fields = [Reserved(0, 16)]
    return Register(name, offset, "Upper half: written as zeros", "I/O Resources", fields, size=2, pages=(DWIO,))


_CSR_WINDOW, _BCR_WINDOW = Window("csr", "RAP", scale=2), Window("bcr", "RAP", scale=2)
_RAP = [Field("RAP", 0, 8, doc="Number of the CSR or BCR"), Reserved(8, 8)]

IO = Table(
    "io",
    32,
    [
        Register("APROM", 0x00, "Address PROM: station address, checksum and signature, from the EEPROM", "APROM",
                 size=1, count=16, keeps=KEPT, gates=(Gate("bcr.BCR2", 1 << 8, 1 << 8),)),
        Register("RDP", 0x10, "The CSR that RAP names", "RDP", size=2, window=_CSR_WINDOW),
        Register("RAP", 0x12, "Register address port", "RAP", _RAP, size=2, pages=(WIO,)),
        Register("RESET", 0x14, "A read is S_RESET", "Reset Register", size=2, pages=(WIO,), state=State.STORED),
        Register("BDP", 0x16, "The BCR that RAP names", "BDP", size=2, pages=(WIO,), window=_BCR_WINDOW),
        Register("RESERVED18", 0x18, "Reserved", "I/O Resources", [Reserved(0, 16)], size=2, count=4, pages=(WIO,)),
        _high("RDP_HIGH", 0x12),
        Register("RAP32", 0x14, "Register address port", "RAP", _RAP, size=2, pages=(DWIO,), cell="RAP"),
        _high("RAP_HIGH", 0x16),
        Register("RESET32", 0x18, "A read is S_RESET", "Reset Register", size=2, pages=(DWIO,), state=State.STORED,
                 cell="RESET"),
        _high("RESET_HIGH", 0x1A),
        Register("BDP32", 0x1C, "The BCR that RAP names", "BDP", size=2, pages=(DWIO,), window=_BCR_WINDOW),
        _high("BDP_HIGH", 0x1E),
    ],
    pages=2,
    doc="BAR 0 (I/O) and BAR 1 (memory): ports, in word mode (WIO) or double word mode (DWIO)",
)

# ---------------------------------------------------------------- CSRs


def _csr(number: int, doc: str, fields: Sequence[Field] = (), **options: object) -> Register:
    return Register(f"CSR{number}", 2 * number, doc, f"CSR{number}", fields, size=2, **options)  # type: ignore[arg-type]


def _number(
    number: int,
    name: str,
    doc: str,
    *,
    reset: int | None = None,
    gates: Sequence[Gate] = STOPPED,
    state: State = State.MODELLED,
    access: str = "rw",
    keeps: frozenset[Reset] = KEPT,
    width: int = 16,
    cell: str = "",
) -> Register:
    """A CSR that holds one number; by default undefined at power-on, and unaffected by resets."""
    fields = [Field(name, 0, width, access, reset, doc, state, keeps)]
    if width < 16:
        fields.append(Reserved(width, 16 - width))
    return _csr(number, doc, fields, gates=gates, cell=cell)


def _pair(number: int, name: str, doc: str, *, state: State = State.MODELLED) -> list[Register]:
    """A 32-bit number in two CSRs, the lower half first."""
    return [
        _number(number, f"{name}L", f"{doc}, lower half", state=state),
        _number(number + 1, f"{name}U", f"{doc}, upper half", state=state),
    ]


def _counts(number: int, name: str, doc: str) -> list[Register]:
    """Byte count and status of a descriptor that the chip holds."""
    return [
        _number(number, f"{name}BC", f"{doc}: byte count, two's complement", width=12),
        _number(number + 1, f"{name}ST", f"{doc}: bits 31-16 of its RMD1 or TMD1"),
    ]


def _event(name: str, bit: int, doc: str, state: State = State.MODELLED) -> Field:
    return Field(name, bit, 1, "w1c", 0, doc, state)


def _enable(name: str, bit: int, doc: str = "") -> Field:
    return Field(name, bit, 1, "rw", 0, doc or f"Lets {name[:-1]} interrupt")


CSR0 = _csr(0, "Controller status and control", [
    Field("INIT", 0, 1, "w1s", 0, "Read the initialization block; cleared by STOP"),
    Field("STRT", 1, 1, "w1s", 0, "Send and receive; cleared by STOP"),
    Field("STOP", 2, 1, "w1s", 1, "No activity; overrides INIT and STRT, which clear it"),
    Field("TDMD", 3, 1, "w1s", 0, "Look at the transmit ring now; cleared when that is done"),
    Field("TXON", 4, 1, "ro", 0, "The transmitter is on"),
    Field("RXON", 5, 1, "ro", 0, "The receiver is on"),
    Field("IENA", 6, 1, "rw", 0, "INTR asserts INTA"),
    Field("INTR", 7, 1, "ro", 0, "A cause whose mask or enable allows it is there"),
    _event("IDON", 8, "Initialization done"),
    _event("TINT", 9, "The last descriptor of a frame was given back"),
    _event("RINT", 10, "The last descriptor of a received frame was given back"),
    _event("MERR", 11, "The bus was not granted within the time of CSR100"),
    _event("MISS", 12, "A frame was lost for want of a descriptor"),
    _event("CERR", 13, "No SQE test signal after a transmission, or the 10BASE-T link has failed"),
    _event("BABL", 14, "A frame of more than 1518 bytes was sent"),
    Field("ERR", 15, 1, "ro", 0, "BABL, CERR, MISS or MERR"),
], interrupt=True)

CSR3 = _csr(3, "Interrupt masks and deferral control", [
    Reserved(0, 2),
    Field("BSWP", 2, 1, "rw", 0, "Buffers are big endian: the bytes of each double word are swapped"),
    Field("EMBA", 3, 1, "rw", 0, "Modified back-off", State.STORED),
    Field("DXMT2PD", 4, 1, "rw", 0, "No two-part deferral", State.STORED),
    Field("LAPPEN", 5, 1, "rw", 0, "Look-ahead packet processing"),
    Field("DXSUFLO", 6, 1, "rw", 0, "An underflow does not switch the transmitter off"),
    Reserved(7),
    Field("IDONM", 8, doc="Masks IDON"), Field("TINTM", 9, doc="Masks TINT"), Field("RINTM", 10, doc="Masks RINT"),
    Field("MERRM", 11, doc="Masks MERR"), Field("MISSM", 12, doc="Masks MISS"), Reserved(13),
    Field("BABLM", 14, doc="Masks BABL"), Reserved(15),
], interrupt=True)

CSR4 = _csr(4, "Test and features control", [
    Field("JABM", 0, 1, "rw", 1, "Masks JAB"), _event("JAB", 1, "The 10BASE-T transceiver stopped a jabbering frame"),
    Field("TXSTRTM", 2, 1, "rw", 1, "Masks TXSTRT"), _event("TXSTRT", 3, "A transmission has begun"),
    Field("RCVCCOM", 4, 1, "rw", 1, "Masks RCVCCO"), _event("RCVCCO", 5, "CSR114 went from FFFFh to 0"),
    _event("UINT", 6, "User interrupt"),
    Field("UINTCMD", 7, 1, "sc", 0, "Sets UINT"),
    Field("MFCOM", 8, 1, "rw", 1, "Masks MFCO"), _event("MFCO", 9, "CSR112 went from FFFFh to 0"),
    Field("ASTRP_RCV", 10, doc="Strip padding and FCS of received frames whose length field is below 46"),
    Field("APAD_XMT", 11, doc="Pad frames to 64 bytes; adds the FCS whatever else says"),
    Field("TXDPOLL", 12, doc="Do not poll the transmit ring"),
    Field("TIMER", 13, 1, "rw", 0, "Bus activity timer", State.STORED),
    Field("DMAPLUS", 14, 1, "rw", 0, "Bursts are not limited by CSR80", State.STORED),
    Field("EN124", 15, doc="CSR124 may be written"),
], interrupt=True)

CSR5 = _csr(5, "Extended control and interrupt", [
    Field("SPND", 0, doc="Suspend: stop after the frame under way, keep all state; reads 1 once that is so"),
    Field("MPMODE", 1, doc="Magic Packet mode"),
    Field("MPEN", 2, 1, "rw", 0, "Allows the sleep pin to start Magic Packet mode", State.STORED),
    _enable("MPINTE", 3), _event("MPINT", 4, "A Magic Packet came"),
    Field("MPPLBA", 5, doc="A Magic Packet may come to a logical address or as broadcast"),
    _enable("EXDINTE", 6), _event("EXDINT", 7, "Excessive deferral"),
    _enable("SLPINTE", 8), _event("SLPINT", 9, "The sleep pin woke the chip", State.STORED),
    _enable("SINTE", 10), _event("SINT", 11, "A master or target abort ended a DMA cycle"),
    Reserved(12, 2),
    Field("LTINTEN", 14, doc="TINT only for descriptors with LTINT"),
    Field("TOKINTD", 15, doc="No TINT for frames that were sent without error"),
], interrupt=True)

CSR7 = _csr(7, "Extended control and interrupt 2", [
    _enable("MIIPDTINTE", 0), _event("MIIPDTINT", 1, "BCR32.MIIPD changed"),
    _enable("MCCIINTE", 2), _event("MCCIINT", 3, "The chip's own PHY access is complete"),
    _enable("MCCINTE", 4), _event("MCCINT", 5, "A PHY access by BCR34 is complete"),
    _enable("MAPINTE", 6), _event("MAPINT", 7, "Auto-poll found a change in the PHY's status"),
    _enable("MREINTE", 8), _event("MREINT", 9, "A PHY read failed"),
    _enable("STINTE", 10), _event("STINT", 11, "The software timer of BCR31 ran down"),
    Field("RXDPOLL", 12, doc="Do not poll the receive ring"),
    Field("RDMD", 13, 1, "sc", 0, "Look at the receive ring now"),
    Field("RXFRTG", 14, 1, "rw", 0, "Tags of external address detection logic go to RMD2; there is none", State.STORED),
    Field("FASTSPNDE", 15, 1, "rw", 0, "Suspend without waiting for the FIFOs", State.STORED),
], interrupt=True)

CSR15 = _csr(15, "Mode", [
    Field("DRX", 0, doc="STRT leaves the receiver off"), Field("DTX", 1, doc="STRT leaves the transmitter off"),
    Field("LOOP", 2, doc="Loopback"), Field("DXMTFCS", 3, doc="No FCS is added, but where ADD_FCS says so"),
    Field("FCOLL", 4, doc="Force collisions in internal loopback"), Field("DRTY", 5, doc="One attempt, no retries"),
    Field("INTL", 6, doc="Loopback is internal"),
    Field("PORTSEL", 7, 2, "rw", 0, "Port", State.STORED, values={0: "AUI", 1: "10BASE-T", 2: "GPSI", 3: "MII"}),
    Field("TSEL", 9, 1, "rw", 0, "Low receive threshold, or transmit mode", State.STORED),
    Field("MENDECL", 10, 1, "rw", 0, "Internal loopback goes through the Manchester encoder", State.STORED),
    Field("DAPC", 11, 1, "rw", 0, "No automatic polarity correction", State.STORED),
    Field("DLNKTST", 12, doc="No link test: the 10BASE-T link counts as up"),
    Field("DRCVPA", 13, doc="No reception by physical address"), Field("DRCVBC", 14, doc="No reception of broadcasts"),
    Field("PROM", 15, doc="Promiscuous"),
], gates=STOPPED)

CSR116 = _csr(116, "OnNow", [
    Field("RST_POL", 0, 1, "rw", 0, "PHY reset polarity", State.STORED, KEPT_SOFT),
    Field("RWU_POL", 1, 1, "rw", 0, "RWU polarity", State.STORED, KEPT_SOFT),
    Field("RWU_GATE", 2, 1, "rw", 0, "RWU gate", State.STORED, KEPT_SOFT),
    Field("RWU_DRIVER", 3, 1, "rw", 0, "RWU driver type", State.STORED, KEPT_SOFT),
    Field("MPPEN", 4, 1, "rw", 0, "The sleep pin allows Magic Packet mode", State.STORED, KEPT_SOFT),
    Field("MPMAT", 5, 1, "w1c", 0, "A Magic Packet came", keeps=KEPT_SOFT),
    Field("EMPPLBA", 6, 1, "rw", 0, "As CSR5.MPPLBA", keeps=KEPT_SOFT),
    Field("PMAT", 7, 1, "w1c", 0, "A pattern matched", keeps=KEPT_SOFT),
    Field("LCMODE", 8, 1, "rw", 0, "A change of the link sets LCDET", keeps=KEPT_SOFT),
    Field("LCDET", 9, 1, "w1c", 0, "The link changed", keeps=KEPT_SOFT),
    Field("PME_EN_OVR", 10, 1, "rw", 0, "PME without PMCSR.PME_EN", State.STORED, KEPT_SOFT),
    Reserved(11, 5),
])

CSR = Table("csr", 0x200, [
    CSR0,
    _number(1, "IADRL", "Initialization block address, lower half"),
    _number(2, "IADRU", "Initialization block address, upper half; bits 31-24 of every address with 16-bit structures"),
    CSR3, CSR4, CSR5,
    _csr(6, "Lengths as the initialization block gave them", [
        Reserved(0, 8), Field("RLEN", 8, 4, "ro", 0, "RLEN"), Field("TLEN", 12, 4, "ro", 0, "TLEN"),
    ]),
    CSR7,
    *(_number(8 + i, f"LADRF{i}", f"Logical address filter, bits {16 * i + 15}-{16 * i}") for i in range(4)),
    *(
        _number(12 + i, f"PADR{i}", f"Physical address, bytes {2 * i} and {2 * i + 1}; from the EEPROM")
        for i in range(3)
    ),
    CSR15,
    _number(16, "IADRL_ALIAS", "CSR1", cell="CSR1"), _number(17, "IADRU_ALIAS", "CSR2", cell="CSR2"),
    *_pair(18, "CRBA", "Current receive buffer address"), *_pair(20, "CXBA", "Current transmit buffer address"),
    *_pair(22, "NRBA", "Next receive buffer address"),
    *_pair(24, "BADR", "Base of the receive ring"),
    *_pair(26, "NRDA", "Next receive descriptor address"), *_pair(28, "CRDA", "Current receive descriptor address"),
    *_pair(30, "BADX", "Base of the transmit ring"),
    *_pair(32, "NXDA", "Next transmit descriptor address"), *_pair(34, "CXDA", "Current transmit descriptor address"),
    *_pair(36, "NNRD", "Next next receive descriptor address"),
    *_pair(38, "NNXD", "Next next transmit descriptor address"),
    *_counts(40, "CR", "Current receive descriptor"), *_counts(42, "CX", "Current transmit descriptor"),
    *_counts(44, "NR", "Next receive descriptor"),
    _number(46, "POLL", "Poll time counter", state=State.STORED),
    _number(47, "POLLINT", "Polling interval in bus clocks, two's complement; 0 is 65536", reset=0, keeps=frozenset()),
    _csr(58, "Software style: BCR20", window=Window("bcr", "", base=2 * 20)),
    *_pair(60, "PXDA", "Previous transmit descriptor address"), *_counts(62, "PX", "Previous transmit descriptor"),
    *_pair(64, "NXBA", "Next transmit buffer address"), *_counts(66, "NX", "Next transmit descriptor"),
    _number(72, "RCVRC", "Receive ring counter, two's complement: CSR76 is the first descriptor, 0 the last"),
    _number(74, "XMTRC", "Transmit ring counter, two's complement: CSR78 is the first descriptor, 0 the last"),
    _number(76, "RCVRL", "Receive ring length, two's complement"),
    _number(78, "XMTRL", "Transmit ring length, two's complement"),
    _csr(80, "DMA transfer counter and FIFO watermarks", [
        Field("DMATC", 0, 8, "rw", 0x10, "Transfers in a burst", State.STORED),
        Field("XMTFW", 8, 2, "rw", 0, "Transmit FIFO watermark", State.STORED),
        Field("XMTSP", 10, 2, "rw", 1, "Transmit start point", State.STORED),
        Field("RCVFW", 12, 2, "rw", 1, "Receive FIFO watermark", State.STORED), Reserved(14, 2),
    ], gates=STOPPED),
    _number(82, "DMABAT", "Bus activity timer", reset=0, state=State.STORED, keeps=frozenset()),
    *_pair(84, "DMABA", "Address of the last DMA access", state=State.STORED),
    _number(86, "DMABC", "Byte count of the DMA access, two's complement", width=12, state=State.STORED),
    _number(88, "PARTIDL", "Chip identity, lower half", reset=0x1003, access="ro", gates=(), keeps=frozenset()),
    _number(89, "PARTIDU", "Chip identity, upper half", reset=0x0262, access="ro", gates=(), keeps=frozenset()),
    _number(92, "RCON", "Ring length conversion", state=State.STORED),
    _number(94, "XMTTDR", "Time from the start of a transmission to its collision, in 100 ns", reset=0, width=10,
            access="ro", gates=(), keeps=frozenset()),
    _number(100, "MERRTO", "Longest wait for the bus, in bus clocks", reset=0x0200, state=State.MODELLED,
            keeps=frozenset()),
    _number(112, "MFC", "Missed frames", reset=0, keeps=frozenset()),
    _number(114, "RCC", "Receive collisions", reset=0, keeps=frozenset()),
    CSR116,
    _csr(122, "Advanced feature control", [
        Field("RCVALGN", 0, doc="Two bytes go before each received frame, so that its data are aligned"),
        Reserved(1, 15),
    ]),
    _csr(124, "Test register 1", [
        Reserved(0, 3), Field("RPA", 3, doc="Accept runts"),
        Field("GPSIEN", 4, 1, "rw", 0, "General purpose serial interface", State.STORED), Reserved(5, 11),
    ], gates=ONLY_STOP),
    _csr(125, "MAC enhanced configuration control", [
        Field("IFS1", 0, 8, "rw", 0x3C, "Inter-frame space, part 1, in bit times", State.STORED),
        Field("IPG", 8, 8, "rw", 0x60, "Inter-packet gap, in bit times"),
    ], gates=STOPPED),
], widths=(2,), doc="Control and status registers, by way of RDP; offset 2 * number")

# ---------------------------------------------------------------- BCRs


def _bcr(number: int, doc: str, fields: Sequence[Field] = (), **options: object) -> Register:
    kept = [replace(f, keeps=KEPT_SOFT) if f.name else f for f in fields]
    return Register(f"BCR{number}", 2 * number, doc, f"BCR{number}", kept, size=2, **options)  # type: ignore[arg-type]


def _whole(number: int, name: str, doc: str, reset: int, *, access: str = "rw", state: State = State.STORED,
           gates: Sequence[Gate] = ()) -> Register:  # fmt: skip
    return _bcr(number, doc, [Field(name, 0, 16, access, reset, doc, state)], gates=gates)


def _led(number: int, reset: int, doc: str) -> Register:
    names = ("COLE", "SPEEDE", "RCVE", "RXPOLE", "XMTE", "RCVME", "LNKSTE", "PSE", "FDLSE", "MPSE")
    docs = ("Collisions", "100 Mb/s (970A: jabber)", "Receive activity", "Power (970A: polarity)", "Transmit activity",
            "Received frames that match", "Link", "Stretches pulses", "Full duplex link", "Magic Packet")
    fields = [
        Field(name, bit, 1, "rw", reset >> bit & 1, text,
              State.MODELLED if name in ("LNKSTE", "SPEEDE", "FDLSE", "MPSE", "RXPOLE") else State.STORED)
        for bit, (name, text) in enumerate(zip(names, docs, strict=True))
    ]
    return _bcr(number, doc, [
        *fields, Reserved(10, 2),
        Field("E100", 12, 1, "rw", 0, "100 Mb/s", State.STORED),
        Field("LEDDIS", 13, 1, "rw", 0, "Output disabled", State.STORED),
        Field("LEDPOL", 14, 1, "rw", 0, "Output is active high", State.STORED),
        Field("LEDOUT", 15, 1, "ro", 0, "What the functions that are enabled say now"),
    ])


BCR20 = _bcr(20, "Software style", [
    Field("SWSTYLE", 0, 8, "rw", 0, "Layout of initialization block and descriptors",
          values={0: "16 bits (LANCE)", 1: "32 bits (ILACC)", 2: "32 bits (PCnet-PCI)", 3: "32 bits, reordered"}),
    Field("SSIZE32", 8, 1, "ro", 0, "Structures have 32 bits; follows SWSTYLE"),
    Field("CSRPCNET", 9, 1, "ro", 1, "CSRs are those of the PCnet family; follows SWSTYLE"),
    Field("APERREN", 10, 1, "rw", 0, "Advanced parity error handling", State.STORED),
    Reserved(11, 5),
], gates=STOPPED)

BCR = Table("bcr", 0x200, [
    _whole(0, "MSRDA", "Reserved", 0x0005, access="ro"), _whole(1, "MSWRA", "Reserved", 0x0005, access="ro"),
    _bcr(2, "Miscellaneous configuration", [
        Field("XMAUSEL", 0, 1, "rw", 0, "External MAU", State.STORED),
        Field("ASEL", 1, 1, "rw", 1, "The port is selected automatically", State.STORED),
        Field("AWAKE", 2, 1, "rw", 0, "Sleep with link test", State.STORED),
        Field("EADISEL", 3, 1, "rw", 0, "External address detection", State.STORED),
        Field("DXCVRPOL", 4, 1, "rw", 0, "Polarity of the DXCVR pin", State.STORED),
        Field("DXCVRCTL", 5, 1, "rw", 0, "The DXCVR pin", State.STORED), Reserved(6),
        Field("INTLEVEL", 7, 1, "rw", 0, "Interrupt by edge", State.STORED),
        Field("APROMWE", 8, doc="APROM may be written"), Reserved(9, 3),
        Field("LEDPE", 12, 1, "rw", 0, "LED registers may be written by software", State.STORED),
        Field("PHYSELEN", 13, 1, "rw", 0, "PHYSEL of BCR18 counts", State.STORED),
        Field("TMAULOOP", 14, 1, "rw", 0, "10BASE-T transceiver loops back", State.STORED),
        Field("SMIUEN", 15, 1, "rw", 0, "Serial management interface (Am79C975)", State.STORED),
    ]),
    _led(4, 0x00C0, "LED0: link status"), _led(5, 0x0084, "LED1: receive"), _led(6, 0x0088, "LED2: polarity"),
    _led(7, 0x0090, "LED3: transmit"),
    _bcr(9, "Full-duplex control", [
        Field("FDEN", 0, doc="Full duplex"), Field("AUIFD", 1, 1, "rw", 0, "Full duplex on AUI", State.STORED),
        Field("FDRPAD", 2, 1, "rw", 0, "No runts in full duplex mode", State.STORED), Reserved(3, 13),
    ]),
    _whole(16, "IOBASEL", "Reserved", 0), _whole(17, "IOBASEU", "Reserved", 0),
    _bcr(18, "Burst and bus control", [
        Field("LINBC", 0, 3, "ro", 1, "Linear burst count", State.STORED),
        Field("PHYSEL", 3, 2, "rw", 0, "Which PHY", State.STORED),
        Field("BWRITE", 5, 1, "rw", 0, "Burst writes", State.STORED),
        Field("BREADE", 6, 1, "rw", 0, "Burst reads", State.STORED),
        Field("DWIO", 7, 1, "ro", 0, "Double word I/O mode; set by a double word write of RDP"),
        Field("EXTREQ", 8, 1, "rw", 0, "Extended request", State.STORED),
        Field("MEMCMD", 9, 1, "rw", 0, "Memory command", State.STORED), Reserved(10),
        Field("NOUFLO", 11, 1, "rw", 0, "No underflow: frames wait until they are whole in the FIFO", State.STORED),
        Field("ROMTMG", 12, 4, "rw", 9, "Expansion ROM timing", State.STORED),
    ]),
    _bcr(19, "EEPROM control and status", [
        Field("EDI", 0, 1, "rw", 0, "Data: to the EEPROM as written, from it as read"),
        Field("ESK", 1, 1, "rw", 1, "Clock"), Field("ECS", 2, doc="Chip select"), Reserved(3),
        Field("EEN", 4, doc="EDI, ESK and ECS drive the pins"), Reserved(5, 8),
        Field("EEDET", 13, 1, "ro", 0, "An EEPROM is there"),
        Field("PREAD", 14, 1, "sc", 0, "Read the EEPROM into registers"),
        Field("PVALID", 15, 1, "ro", 0, "The EEPROM was read and its checksum is right"),
    ]),
    BCR20,
    _whole(21, "INTCON", "Reserved", 0),
    _bcr(22, "PCI latency", [
        Field("MIN_GNT", 0, 8, "rw", 0x06, "MIN_GNT of configuration space"),
        Field("MAX_LAT", 8, 8, "rw", 0xFF, "MAX_LAT of configuration space"),
    ], gates=STOPPED),
    _whole(23, "SVID", "PCI subsystem vendor", 0x1022, access="ro"),
    _whole(24, "SID", "PCI subsystem", 0x2000, access="ro"),
    _whole(25, "SRAM_SIZE", "SRAM size", 0x0017, gates=STOPPED),
    _whole(26, "SRAM_BND", "SRAM boundary", 0, gates=STOPPED),
    _whole(27, "SRAMIC", "SRAM interface control", 0, gates=STOPPED),
    _whole(28, "EPADDRL", "Expansion port address, lower half", 0),
    _whole(29, "EPADDRU", "Expansion port address, upper half", 0),
    _whole(30, "EBDATA", "Expansion bus data", 0),
    _whole(31, "STVAL", "Software timer, in 12.8 us", 0xFFFF, state=State.MODELLED),
    _bcr(32, "PHY control and status", [
        Reserved(0), Field("MIIILP", 1, doc="MII loopback: transmit data come back inside the chip"), Reserved(2),
        Field("XPHYSP", 3, 1, "rw", 0, "100 Mb/s, where the port manager sets the PHY up", State.STORED),
        Field("XPHYFD", 4, 1, "rw", 0, "Full duplex, where the port manager sets the PHY up", State.STORED),
        Field("XPHYANE", 5, 1, "rw", 0, "Negotiate, where the port manager sets the PHY up", State.STORED),
        Field("XPHYRST", 6, 1, "rw", 0, "Reset of an external PHY", State.STORED),
        Field("DANAS", 7, 1, "rw", 0, "The port manager leaves the PHY to software", State.STORED),
        Field("APDW", 8, 3, "rw", 0, "Time between auto-polls", State.STORED),
        Field("APEP", 11, doc="Auto-poll the PHY's status"),
        Field("FMDC", 12, 2, "rw", 0, "MDC clock", State.STORED),
        Field("MIIPD", 14, 1, "ro", 1, "A PHY is there"),
        Field("ANTST", 15, 1, "rw", 0, "Reserved for tests", State.STORED),
    ]),
    _bcr(33, "PHY address", [
        Field("REGAD", 0, 5, doc="Register"), Field("PHYAD", 5, 5, "rw", 0x1E, "PHY"), Reserved(10, 6),
    ]),
    _whole(34, "MIIMD", "PHY data: an access reaches the register that BCR33 names", 0, state=State.MODELLED),
    _whole(35, "VID", "PCI vendor", 0x1022, access="ro"),
    _whole(36, "PMC_ALIAS", "PMC of configuration space", 0xC811, access="ro"),
    *(_whole(37 + i, f"DATA{i}", f"Power data {i}", 0, access="ro") for i in range(8)),
    _bcr(45, "OnNow pattern matching 1", [
        Field("PMR_ADDR", 0, 7, "rw", 0, "Address in the pattern match RAM (PMR)"),
        Field("PMAT_MODE", 7, 1, "rw", 0, "Frames are matched against the PMR, which then cannot be accessed"),
        Field("PMR_B0", 8, 8, "rw", 0, "Byte 0 of the word; a read shows what the PMR holds"),
    ]),
    _bcr(46, "OnNow pattern matching 2", [
        Field("PMR_B1", 0, 8, "rw", 0, "Byte 1"),
        Field("PMR_B2", 8, 8, "rw", 0, "Byte 2"),
    ]),
    _bcr(47, "OnNow pattern matching 3", [
        Field("PMR_B3", 0, 8, "rw", 0, "Byte 3"),
        Field("PMR_B4", 8, 8, "rw", 0, "Byte 4; a write of this register stores all five"),
    ]),
    _led(48, 0x0082, "LED4: speed"),
], widths=(2,), doc="Bus configuration registers, by way of BDP; offset 2 * number")

TABLES = (IO, CSR, BCR)

# ---------------------------------------------------------------- the Am79C970A

#: Fields that came with later parts, by register: reserved here.
_LATER: Mapping[str, Sequence[str]] = {
    "BCR2": ("LEDPE", "PHYSELEN", "SMIUEN"),
    "BCR18": ("PHYSEL", "NOUFLO"),
    **{f"BCR{number}": ("E100",) for number in (4, 5, 6, 7)},
}


def _reserve(register: Register, names: Sequence[str]) -> Register:
    fields = [Reserved(f.bit, f.width) if f.name in names else f for f in register.fields]
    return replace(register, fields=fields)


def _earlier(table: Table) -> Table:
    return replace(table, registers=[_reserve(r, _LATER.get(r.name, ())) for r in table])


TABLES_970A = (
    IO,
    CSR.without("CSR7", "CSR116", "CSR125"),
    _earlier(BCR.without(*(f"BCR{number}" for number in (*range(23, 38), *range(38, 49))))),
)

# ---------------------------------------------------------------- findings


def _rule(id: str, severity: Severity, section: str, asks: str, first: str = "", second: str = "") -> Rule:
    return Rule(f"pcnet.{id}", severity, asks, f"Am79C970A {section}", first, second)


# Where a rule speaks of a descriptor, its value is the descriptor's index in the ring.
RULES: tuple[Rule, ...] = (
    _rule("access.width", "error", "I/O Resources",
          "Ports are accessed by 16 bits in WIO mode, by 32 bits in DWIO mode, APROM also by bytes in WIO mode",
          "offset", "bytes"),
    _rule("access.reserved-bits", "warning", "I/O Resources", "Reserved bits are written as zeros", "offset", "value"),
    _rule("access.unmapped", "warning", "I/O Resources", "Only registers that exist are accessed", "offset", "bytes"),
    _rule("access.locked", "error", "Control and Status Registers",
          "Registers that are accessible only while STOP or SPND is set are written then", "row", "value"),
    _rule("dma.bus-master-off", "error", "PCI Command Register",
          "COMMAND has its bus master bit set before DMA begins", "address", "bytes"),
    _rule("dma.unmapped", "error", "Master Abort", "Rings, blocks and buffers lie in memory", "address", "bytes"),
    _rule("init.block-unaligned", "error", "Initialization Block",
          "The initialization block begins at a multiple of 4 (of 2 with 16-bit structures)", "IADR"),
    _rule("init.not-waited", "error", "CSR0", "STRT is set after IDON, or together with INIT", "CSR0 written", "CSR0"),
    _rule("init.while-running", "error", "CSR0", "INIT is set while STOP is set", "CSR0 written", "CSR0"),
    _rule("start.never-initialized", "error", "Re-Initialization",
          "Ring bases and lengths are there, from a block or by CSRs, before STRT", "CSR0 written"),
    _rule("style.undefined", "error", "BCR20", "SWSTYLE is 0 to 3", "BCR20 written"),
    _rule("style.after-init", "warning", "BCR20", "SWSTYLE is set before the initialization block is read",
          "BCR20 written"),
    _rule("ring.unaligned", "error", "Descriptor Rings",
          "Rings begin at a multiple of 16 (of 8 with 16-bit structures)", "base"),
    _rule("ring.length-encoding", "warning", "RLEN and TLEN", "RLEN and TLEN are at most 9 (7 with 16-bit structures)",
          "code"),
    _rule("ring.length-sign", "error", "Alternate Method for Initialization",
          "Ring lengths are written to CSR76 and CSR78 in two's complement", "value"),
    _rule("tx.no-start", "error", "Transmit Descriptor Management", "The first descriptor of a frame has STP",
          "descriptor"),
    _rule("tx.chain-broken", "error", "Transmit Descriptor Management",
          "The descriptors of a frame are given to the chip from the last to the first", "descriptor"),
    _rule("tx.changed", "error", "TMD1",
          "A frame's descriptors and data stay as they are while the chip owns them", "descriptor"),
    _rule("tx.count-ones", "warning", "TMD1", "Bits 15-12 of TMD1 and RMD1 are ones", "word", "descriptor"),
    _rule("tx.runt", "warning", "Automatic Pad Generation",
          "Frames have 60 bytes, or APAD_XMT pads them", "bytes", "descriptor"),
    _rule("tx.babble", "error", "CSR0", "Frames have at most 1514 bytes before the FCS", "bytes", "descriptor"),
    _rule("tx.link-down", "note", "TMD2", "Frames are sent while the link is up", "descriptor"),
    _rule("rx.missed", "note", "CSR0", "Descriptors are given to the chip before the ring is empty", "CSR112"),
    _rule("rx.changed", "error", "RMD1", "A receive descriptor stays as it is while the chip owns it", "descriptor"),
    _rule("rx.buffer-short", "error", "Receive Descriptor Management",
          "The next descriptor is given to the chip before a frame needs it", "descriptor", "bytes"),
    _rule("eeprom.no-enable", "error", "BCR19", "EEN is set while EDI, ESK and ECS are driven", "BCR19 written"),
    _rule("mii.bad-phy", "note", "BCR33", "PHYAD is the address of a PHY that is there", "BCR33"),
    _rule("timer.zero", "warning", "BCR31", "STVAL is not 0", "value"),
)
