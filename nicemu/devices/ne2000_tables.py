"""Registers and rules of the NE2000 and its relatives: the DP8390 core, and what the RTL8029AS adds.

Sections are those of National's "DP8390D/NS32490D Network Interface Controller" (July 1995), chapter 10 for the
registers and 11 for what RESET leaves; "RTL8029AS" is Realtek's specification LS009.0 (1997), chapter 5; "RTL8019AS" is
what NetBSD's and egnite's drivers name of that part's registers.  Ports 10h to 1Fh are not the chip's but the NE2000
board's.

`IO` is the RTL8029AS; boards with a DP8390 take it without what Realtek added, and the RTL8019AS with some registers of
its own in place of the RTL8029AS's.  A register that is written in page 0 and read in page 2 stands here twice, with
one storage.

Power-on leaves most registers undefined (`reset=None`); RESET touches CR, ISR.RST, IMR, DCR.LAS and TCR.LB and nothing
else (chapter 11).
"""

from __future__ import annotations

from typing import Any, Literal

from nicemu.findings import Rule, Severity
from nicemu.registers import Field, Gate, Register, Reserved, Reset, State, Table

__all__ = ["DP8390", "IO", "RTL8019", "RULES", "TABLES"]

#: Left alone by RESET, whether it comes from the bus or from the reset port (11.0).
KEPT = frozenset({Reset.BUS, Reset.SOFT})
UNLOCKED = (Gate("CR9346", 0xC0, 0xC0),)


def ones(bit: int, width: int = 1) -> Field:
    """Bits that the DP8390 reserves and the RTL8029AS shows as 1; what is written there does not matter."""
    return Field("ONES", bit, width, "ro", (1 << width) - 1, "Always 1", State.STORED, KEPT)


def byte(
    name: str,
    offset: int,
    doc: str,
    section: str = "10.0",
    *,
    page: int = 0,
    direction: Literal["r", "w", "rw"] = "rw",
    access: str = "rw",
    reset: int | None = None,
    **options: Any,
) -> Register:
    """A register that holds one number; undefined after power-on."""
    keeps = frozenset() if reset is None else KEPT
    whole = Field(name, 0, 8, access, reset, doc, State.MODELLED, keeps)
    return Register(name, offset, doc, section, [whole], size=1, pages=(page,), direction=direction, **options)


def shadow(name: str, offset: int, of: Register) -> Register:
    """The read side, in page 2, of a register that is written in page 0."""
    fields = [Field(f.name, f.bit, f.width, "ro", f.reset, f.doc, f.state, f.keeps) for f in of.fields]
    return Register(
        name, offset, f"{of.name}, read back", "10.1", fields, size=1, cell=of.name, pages=(2,), direction="r"
    )


# ---------------------------------------------------------------- 10.3: command and data configuration

REMOTE_COMMANDS = {0: "not allowed", 1: "remote read", 2: "remote write", 3: "send packet", 4: "abort or complete"}

CR = Register("CR", 0x00, "Command: start and stop, transmit, remote DMA, register page", "10.3 CR", [
    Field("STP", 0, 1, "rw", 1, "Stop: software reset; what is under way is finished first"),
    Field("STA", 1, 1, "w1s", 0, "Start; stays set until RESET"),
    Field("TXP", 2, 1, "w1s", 0, "Transmit; clears itself when the packet has been sent or given up"),
    Field("RD", 3, 3, "rw", 4, "Remote DMA command", values=REMOTE_COMMANDS),
    Field("PS", 6, 2, "rw", 0, "Register page"),
], size=1, interrupt=True)  # fmt: skip

ISR = Register("ISR", 0x07, "Interrupt status", "10.3 ISR", [
    Field("PRX", 0, 1, "w1c", None, "Packet received without error"),
    Field("PTX", 1, 1, "w1c", None, "Packet transmitted"),
    Field("RXE", 2, 1, "w1c", None, "Packet received with an error, or missed"),
    Field("TXE", 3, 1, "w1c", None, "Transmission given up: excessive collisions or FIFO underrun"),
    Field("OVW", 4, 1, "w1c", None, "The receive ring is exhausted: local DMA has reached BNRY"),
    Field("CNT", 5, 1, "w1c", None, "A tally counter has reached 128"),
    Field("RDC", 6, 1, "w1c", None, "Remote DMA is complete"),
    Field("RST", 7, 1, "ro", 1, "In reset state, or the ring has overflowed; causes no interrupt"),
], size=1, pages=(0,), interrupt=True)  # fmt: skip

IMR = Register("IMR", 0x0F, "Interrupt mask: a bit for each of ISR but RST", "10.3 IMR", [
    *[Field(name, at, 1, "rw", 0) for at, name in enumerate(("PRXE", "PTXE", "RXEE", "TXEE", "OVWE", "CNTE", "RDCE"))],
    Reserved(7),
], size=1, pages=(0,), direction="w", interrupt=True)  # fmt: skip

DCR = Register("DCR", 0x0E, "Data configuration", "10.3 DCR", [
    Field("WTS", 0, 1, "rw", None, "DMA transfers are words"),
    Field("BOS", 1, 1, "rw", None, "Bytes of a word are in 68000's order; counts only with WTS"),
    Field("LAS", 2, 1, "rw", 0, "Remote DMA addresses have 32 bits; the board decodes 16 of them", State.STORED),
    Field("LS", 3, 1, "rw", None, "0: loopback is selected, together with TCR.LB"),
    Field("ARM", 4, 1, "rw", None, "The send packet command is executed"),
    Field("FT", 5, 2, "rw", None, "FIFO threshold", State.STORED),
    ones(7),
], size=1, pages=(0,), direction="w")  # fmt: skip

TCR = Register("TCR", 0x0D, "Transmit configuration", "10.3 TCR", [
    Field("CRC", 0, 1, "rw", None, "No CRC is appended"),
    Field("LB", 1, 2, "rw", 0, "Loopback: 1 within the chip, 2 through the encoder, 3 through the transceiver"),
    Field("ATD", 3, 1, "rw", None, "Multicasts that hash to 62 and 63 switch the transmitter off and on"),
    Field("OFST", 4, 1, "rw", None, "After each of the first three collisions the station waits longer on average"),
    ones(5, 3),
], size=1, pages=(0,), direction="w")  # fmt: skip

TSR = Register("TSR", 0x04, "Transmit status, of the last packet", "10.3 TSR", [
    Field("PTX", 0, 1, "ro", 0, "Sent", keeps=KEPT),
    Field("ND", 1, 1, "ro", 0, "Always 1 after a transmission on the RTL8029AS", keeps=KEPT),
    Field("COL", 2, 1, "ro", 0, "Collided at least once", keeps=KEPT),
    Field("ABT", 3, 1, "ro", 0, "Given up after 16 collisions", keeps=KEPT),
    Field("CRS", 4, 1, "ro", 0, "Carrier was lost", keeps=KEPT),
    Field("FU", 5, 1, "ro", 0, "FIFO underrun", keeps=KEPT),
    Field("CDH", 6, 1, "ro", 0, "The transceiver gave no heartbeat", keeps=KEPT),
    Field("OWC", 7, 1, "ro", 0, "Collided after a slot time", keeps=KEPT),
], size=1, pages=(0,), direction="r")  # fmt: skip

RCR = Register("RCR", 0x0C, "Receive configuration", "10.3 RCR", [
    Field("SEP", 0, 1, "rw", None, "Packets with errors are saved"),
    Field("AR", 1, 1, "rw", None, "Runts are accepted"),
    Field("AB", 2, 1, "rw", None, "Broadcasts are accepted"),
    Field("AM", 3, 1, "rw", None, "Multicasts that pass MAR are accepted"),
    Field("PRO", 4, 1, "rw", None, "All physical addresses are accepted"),
    Field("MON", 5, 1, "rw", None, "Monitor mode: packets are checked and counted, not stored"),
    ones(6, 2),
], size=1, pages=(0,), direction="w")  # fmt: skip

RSR = Register("RSR", 0x0C, "Receive status; as it also stands in the header of a packet", "10.3 RSR", [
    Field("PRX", 0, 1, "ro", 0, "Received without error", keeps=KEPT),
    Field("CRC", 1, 1, "ro", 0, "CRC error", keeps=KEPT),
    Field("FAE", 2, 1, "ro", 0, "Frame alignment error", keeps=KEPT),
    Field("FO", 3, 1, "ro", 0, "FIFO overrun", keeps=KEPT),
    Field("MPA", 4, 1, "ro", 0, "Missed: no buffer, or monitor mode", keeps=KEPT),
    Field("PHY", 5, 1, "ro", 0, "Broadcast or multicast address", keeps=KEPT),
    Field("DIS", 6, 1, "ro", 0, "Receiver disabled by monitor mode", keeps=KEPT),
    Field("DFR", 7, 1, "ro", 0, "Deferring: there is carrier", keeps=KEPT),
], size=1, pages=(0,), direction="r")  # fmt: skip

PSTART = byte("PSTART", 0x01, "First page of the receive ring", "10.3 PSTART", direction="w")
PSTOP = byte("PSTOP", 0x02, "Page behind the receive ring", "10.3 PSTOP", direction="w")
TPSR = byte("TPSR", 0x04, "Page where the packet to send begins", "10.3 TPSR", direction="w")
CLDA0 = byte("CLDA0", 0x01, "Current local DMA address, low", "10.3 CLDA", direction="r", access="ro")
CLDA1 = byte("CLDA1", 0x02, "Current local DMA address, high", "10.3 CLDA", direction="r", access="ro")

# ---------------------------------------------------------------- 10.1: pages 0 to 2


def tally(name: str, offset: int, doc: str) -> Register:
    """A tally counter: stops at 192, cleared by reading."""
    return byte(name, offset, doc, "10.3 CNTR", direction="r", access="rc", reset=0)


PAGE_0 = [
    CR, CLDA0, CLDA1, PSTART, PSTOP,
    byte("BNRY", 0x03, "Boundary: the page before the first that was not yet read", "10.3 BNRY"),
    TSR, TPSR,
    byte("NCR", 0x05, "Collisions of the last packet", "10.3 NCR", direction="r", access="ro", reset=0),
    byte("TBCR0", 0x05, "Bytes to send, low", "10.3 TBCR", direction="w"),
    byte("FIFO", 0x06, "The FIFO's next byte, after loopback", "10.3 FIFO", direction="r", access="ro", reset=0),
    byte("TBCR1", 0x06, "Bytes to send, high", "10.3 TBCR", direction="w"),
    ISR,
    byte("CRDA0", 0x08, "Current remote DMA address, low", "10.3 CRDA", direction="r", access="ro"),
    byte("RSAR0", 0x08, "Remote start address, low", "10.3 RSAR", direction="w"),
    byte("CRDA1", 0x09, "Current remote DMA address, high", "10.3 CRDA", direction="r", access="ro"),
    byte("RSAR1", 0x09, "Remote start address, high", "10.3 RSAR", direction="w"),
    byte("ID8029_0", 0x0A, "8029ID0: P", "RTL8029AS 5.1.2.2", direction="r", access="ro", reset=0x50),
    byte("RBCR0", 0x0A, "Remote byte count, low", "10.3 RBCR", direction="w"),
    byte("ID8029_1", 0x0B, "8029ID1: C", "RTL8029AS 5.1.2.2", direction="r", access="ro", reset=0x43),
    byte("ID8019_1", 0x0B, "8019ID1 of the RTL8019AS: p", "RTL8019AS", direction="r", access="ro", reset=0x70,
         present=False),
    byte("RBCR1", 0x0B, "Remote byte count, high", "10.3 RBCR", direction="w"),
    RSR, RCR,
    tally("CNTR0", 0x0D, "Tally of frame alignment errors"), TCR,
    tally("CNTR1", 0x0E, "Tally of CRC errors"), DCR,
    tally("CNTR2", 0x0F, "Tally of missed packets"), IMR,
]  # fmt: skip

PAGE_1 = [
    byte("PAR", 0x01, "Physical address", "10.3 PAR", page=1, count=6),
    byte("CURR", 0x07, "Page where the next packet is put", "10.3 CURR", page=1),
    byte("MAR", 0x08, "Multicast address filter: bit n passes hash n", "10.3 MAR", page=1, count=8),
]

PAGE_2 = [
    shadow("PSTART_READ", 0x01, PSTART),
    Register("CLDA0_WRITE", 0x01, "CLDA0, written", "10.1", [Field("CLDA0_WRITE", 0, 8, reset=None)], size=1,
             cell="CLDA0", pages=(2,), direction="w"),
    shadow("PSTOP_READ", 0x02, PSTOP),
    Register("CLDA1_WRITE", 0x02, "CLDA1, written", "10.1", [Field("CLDA1_WRITE", 0, 8, reset=None)], size=1,
             cell="CLDA1", pages=(2,), direction="w"),
    byte("RNPP", 0x03, "Remote next packet pointer", "10.1", page=2),
    shadow("TPSR_READ", 0x04, TPSR),
    byte("LNPP", 0x05, "Local next packet pointer", "10.1", page=2),
    byte("ACU", 0x06, "Address counter, upper", "10.1", page=2),
    byte("ACL", 0x07, "Address counter, lower", "10.1", page=2),
    shadow("RCR_READ", 0x0C, RCR), shadow("TCR_READ", 0x0D, TCR), shadow("DCR_READ", 0x0E, DCR),
    shadow("IMR_READ", 0x0F, IMR),
]  # fmt: skip

# ---------------------------------------------------------------- RTL8029AS 5.1.2.2: page 3

MODES = {0: "normal", 1: "auto-load", 2: "9346 programming", 3: "configuration registers can be written"}
MEDIA = {0: "auto-detect", 1: "10BaseT", 2: "10Base5", 3: "10Base2"}

CR9346 = Register("CR9346", 0x01, "9346CR: the EEPROM's pins, and the operating mode", "RTL8029AS 5.1.2.2", [
    Field("EEDO", 0, 1, "ro", 0, "Data from the EEPROM"),
    Field("EEDI", 1, 1, "rw", 0, "Data to the EEPROM", keeps=KEPT),
    Field("EESK", 2, 1, "rw", 0, "Its clock", keeps=KEPT),
    Field("EECS", 3, 1, "rw", 0, "Its chip select", keeps=KEPT),
    Field("", 4, 2, "rsvd", 0, "Unused", State.STORED),
    Field("EEM", 6, 2, "rw", 0, "Operating mode", keeps=KEPT, values=MODES),
], size=1, pages=(3,))  # fmt: skip

CONFIG0 = Register("CONFIG0", 0x03, "Configuration 0", "RTL8029AS 5.1.2.2", [
    Field("", 0, 2, "ro", 0, "Always 0", State.STORED, KEPT),
    Field("BNC", 2, 1, "ro", 0, "10Base2 is in use: TP has no link, or the medium is set so", keeps=KEPT),
    Field("", 3, 5, "ro", 0, "Unused", State.STORED, KEPT),
], size=1, pages=(3,), direction="r")  # fmt: skip

CONFIG2 = Register("CONFIG2", 0x05, "Configuration 2", "RTL8029AS 5.1.2.2", [
    Field("BS", 0, 2, "ro", 0, "Boot ROM size", State.STORED, KEPT),
    Field("", 2, 2, "rsvd", 0, "Unused", State.STORED),
    Field("PF", 4, 1, "ro", 0, "A PAUSE has been received", State.STORED, KEPT),
    Field("FCE", 5, 1, "rw", 0, "Flow control is enabled", State.STORED, KEPT),
    Field("PL", 6, 2, "rw", 0, "Medium", keeps=KEPT, values=MEDIA),
], size=1, pages=(3,), gates=UNLOCKED)  # fmt: skip

CONFIG3 = Register("CONFIG3", 0x06, "Configuration 3", "RTL8029AS 5.1.2.2", [
    Field("", 0, 1, "rsvd", 0, "Unused", State.STORED),
    Field("PWRDN", 1, 1, "rw", 0, "Power down", State.STORED, KEPT),
    Field("SLEEP", 2, 1, "rw", 0, "Sleep", State.STORED, KEPT),
    Field("", 3, 1, "rsvd", 0, "Always 0", State.STORED),
    Field("LEDS", 4, 2, "ro", 0, "What the LEDs show", State.STORED, KEPT),
    Field("FUDUP", 6, 1, "rw", 0, "Full duplex", keeps=KEPT),
    Field("", 7, 1, "rsvd", 0, "Unused", State.STORED),
], size=1, pages=(3,), gates=UNLOCKED)  # fmt: skip

PAGE_3 = [
    CR9346, CONFIG0, CONFIG2, CONFIG3,
    Register("HLTCLK", 0x09, "Halt clock: R runs, H halts in power down", "RTL8029AS 5.1.2.2",
             [Field("HLTCLK", 0, 8, "rw", 0x52, "R or H", State.STORED, KEPT)], size=1, pages=(3,), direction="w"),
    byte("ASID0", 0x0E, "8029ASID0", "RTL8029AS 5.1.2.2", page=3, direction="r", access="ro", reset=0x29),
    byte("ASID1", 0x0F, "8029ASID1", "RTL8029AS 5.1.2.2", page=3, direction="r", access="ro", reset=0x80),
]  # fmt: skip

# ---------------------------------------------------------------- page 3 of the RTL8019AS

LINES = (9, 3, 4, 5, 10, 11, 12, 15)  #: ISA interrupts that CONFIG1.IRQS selects
PORTS = (*range(0x300, 0x400, 0x20), *range(0x200, 0x300, 0x20))  #: first ports that CONFIG1.IOS selects

CONFIG1 = Register("CONFIG1", 0x04, "Configuration 1 of the RTL8019AS", "RTL8019AS", [
    Field("IOS", 0, 4, "ro", 0, "First port", keeps=KEPT, values={n: f"{port:x}h" for n, port in enumerate(PORTS)}),
    Field("IRQS", 4, 3, "ro", 0, "Interrupt", keeps=KEPT, values={n: str(line) for n, line in enumerate(LINES)}),
    Field("IRQEN", 7, 1, "ro", 1, "The interrupt line is driven", keeps=KEPT),
], size=1, pages=(3,), direction="r", present=False)  # fmt: skip

CONFIG2_8019 = Register("CONFIG2_8019", 0x05, "Configuration 2 of the RTL8019AS", "RTL8019AS", [
    Field("BS", 0, 5, "ro", 0, "Boot ROM: size and base", State.STORED, KEPT),
    Field("BSELB", 5, 1, "rw", 0, "Boot ROM is disabled", State.STORED, KEPT),
    Field("PL", 6, 2, "rw", 0, "Medium", keeps=KEPT, values=MEDIA),
], size=1, pages=(3,), gates=UNLOCKED, cell="CONFIG2", present=False)  # fmt: skip

CONFIG3_8019 = Register("CONFIG3_8019", 0x06, "Configuration 3 of the RTL8019AS", "RTL8019AS", [
    Field("ACTIVEB", 0, 1, "ro", 0, "Not activated by Plug and Play", State.STORED, KEPT),
    Field("PWRDN", 1, 1, "rw", 0, "Power down", State.STORED, KEPT),
    Field("SLEEP", 2, 1, "rw", 0, "Sleep", State.STORED, KEPT),
    Field("", 3, 1, "rsvd", 0, "Unused", State.STORED),
    Field("LEDS", 4, 2, "ro", 0, "What the LEDs show", State.STORED, KEPT),
    Field("FUDUP", 6, 1, "rw", 0, "Full duplex", keeps=KEPT),
    Field("PNP", 7, 1, "ro", 0, "Plug and Play mode", State.STORED, KEPT),
], size=1, pages=(3,), gates=UNLOCKED, cell="CONFIG3", present=False)  # fmt: skip

PAGE_3_8019 = [
    Register("BPAGE", 0x02, "Page of the boot ROM, of the RTL8019AS", "RTL8019AS",
             [Field("BPAGE", 0, 8, "rw", 0, "Page", State.STORED, KEPT)], size=1, pages=(3,), present=False),
    CONFIG1, CONFIG2_8019, CONFIG3_8019,
    byte("CSNSAV", 0x08, "Card select number of Plug and Play, of the RTL8019AS", "RTL8019AS", page=3, direction="r",
         access="ro", reset=0, present=False),
    byte("INTR", 0x0B, "Levels of the eight interrupts, as far as the RTL8019AS drives them", "RTL8019AS", page=3,
         direction="r", access="ro", reset=0, present=False),
]  # fmt: skip

# ---------------------------------------------------------------- the board's ports

BOARD = [
    Register("DATA", 0x10, "Remote DMA port", "NE2000; RTL8029AS 5.1", size=4, count=2, interrupt=True),
    Register("RESET", 0x18, "Reset port: any access resets the chip", "NE2000; RTL8029AS 5.1", size=1, count=8,
             interrupt=True),
]  # fmt: skip

IO = Table("io", 0x20, [*PAGE_0, *PAGE_1, *PAGE_2, *PAGE_3, *PAGE_3_8019, *BOARD], unmapped=0xFF, pages=4,
           doc="DP8390 registers in four pages, the remote DMA port and the reset port")  # fmt: skip

#: Boards with the chip alone.
DP8390 = IO.without("ID8029_0", "ID8029_1", *(register.name for register in PAGE_3))

RTL8019 = IO.without("ID8029_1", "CONFIG2", "CONFIG3", "ASID0", "ASID1").having(
    "ID8019_1", *(register.name for register in PAGE_3_8019)
)

TABLES = (IO,)

# ---------------------------------------------------------------- rules


def _rule(id: str, severity: Severity, section: str, asks: str, first: str = "", second: str = "") -> Rule:
    where = section if section.startswith(("RTL", "NE2000", "IEEE")) else f"DP8390D {section}"
    return Rule(f"ne2000.{id}", severity, asks, where, first, second)


RULES: tuple[Rule, ...] = (
    _rule("access.width", "warning", "NE2000", "Accesses have 1, 2 or 4 bytes", "offset", "bytes"),
    _rule("access.reserved-bits", "warning", "10.3", "Reserved bits are written as 0", "offset", "value"),
    _rule("access.unmapped", "warning", "10.1", "Only registers that the selected page has are accessed", "offset",
          "bytes"),
    _rule("access.locked", "error", "RTL8029AS 5.1.2.2", "9346CR.EEM is 3 while CONFIG2 and CONFIG3 are written",
          "row", "value"),
    _rule("cr.remote-command", "error", "10.3 CR", "CR is written with a remote DMA command: 000 is not allowed",
          "CR written"),
    _rule("cr.transmit-stopped", "error", "10.3 CR", "TXP is set while the chip is started", "CR written", "CR"),
    _rule("cr.transmit-busy", "error", "10.3 CR", "TXP is set when the last transmission has ended", "CR written"),
    _rule("cr.page", "error", "10.3 CR", "Page 3 is not selected where there is none", "CR written"),
    _rule("cr.start-before-reset", "error", "7.0",
          "After STP, a transmission has had the time to end (1.6 ms) before the chip is started", "CR written"),
    _rule("start.undefined", "error", "11.0",
          "PSTART, PSTOP, BNRY, CURR, DCR, RCR, TCR and all of PAR are written before the chip is first started",
          "registers missing"),
    _rule("start.ring", "error", "7.0", "PSTART is below PSTOP and both lie in packet memory", "PSTART", "PSTOP"),
    _rule("ring.boundary", "error", "7.0", "BNRY lies in the receive ring", "BNRY", "PSTOP"),
    _rule("ring.boundary-equals-current", "warning", "7.0",
          "BNRY stays a page behind CURR while the chip runs: where they meet, a full ring looks empty", "BNRY"),
    _rule("rx.overflow-recovery", "error", "7.0",
          "After an overflow the chip is stopped before packets are removed", "BNRY written"),
    _rule("rx.overflow-loopback", "warning", "7.0",
          "Stopped after an overflow, the chip is started in loopback until packets have been removed", "CR written",
          "TCR"),
    _rule("rcr.promiscuous", "note", "10.3 RCR",
          "PRO is set together with AB, AM and all of MAR: it does not cover groups", "RCR written"),
    _rule("dcr.long-address", "error", "10.3 DCR", "LAS is 0: the board has 16 address lines", "DCR written"),
    _rule("dma.idle", "error", "9.0",
          "The remote DMA port is used while a remote DMA command has bytes left", "port", "CR"),
    _rule("dma.direction", "error", "9.0", "The port is read in a remote read and written in a remote write", "port",
          "CR"),
    _rule("dma.width", "warning", "9.0", "The port is accessed by words exactly when DCR.WTS is set", "bytes", "DCR"),
    _rule("dma.odd-port", "warning", "NE2000", "Words are transferred at an even port", "port", "bytes"),
    _rule("dma.odd-count", "warning", "9.0", "In word mode the remote byte count is even", "RBCR"),
    _rule("dma.zero-count", "error", "9.0", "RBCR is not 0 when a remote DMA command is given", "CR written"),
    _rule("dma.unfinished", "error", "9.0",
          "A remote DMA command is given when the last is complete or aborted", "CR written", "bytes left"),
    _rule("dma.outside-memory", "error", "NE2000", "Remote writes go to packet memory; the PROM cannot be written",
          "address"),
    _rule("tx.runt", "warning", "8.0", "Packets have at least 60 bytes: the chip does not pad", "bytes"),
    _rule("tx.oversize", "error", "IEEE 802.3 3.2.7", "Packets have at most 1518 bytes without CRC", "bytes"),
    _rule("tx.outside-memory", "error", "8.0", "The packet to send lies in packet memory", "address", "bytes"),
    _rule("tx.buffer-in-use", "error", "8.0", "A packet is not changed while it is being sent", "address"),
    _rule("loopback.not-selected", "warning", "12.0", "DCR.LS is 0 where TCR.LB selects loopback", "TCR", "DCR"),
)  # fmt: skip
