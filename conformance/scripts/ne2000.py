"""Register scripts for the RTL8029AS, whose core is the DP8390.

Sections in comments are those of National's DP8390D data sheet, unless they name Realtek's RTL8029AS.  The scripts
initialise what the data sheet leaves undefined before they depend on it, as a driver must.
"""

from __future__ import annotations

import zlib

from nicemu.devices.ne2000_tables import IO

from ..steps import Arrive, Left, Line, Pass, Read, ReadConfig, Space, Step, Until, Write
from . import frames

DATA, RESET = 0x10, 0x1F
STOP, START, START_TXP = 0x21, 0x22, 0x26
REMOTE_READ, REMOTE_WRITE = 0x0A, 0x12
FIRST, END, SEND_AT = 0x46, 0x80, 0x40
WORDS, NORMAL = 0x49, 0x04  # DCR: words, no loopback; RCR: broadcasts
MONITOR, LOOPBACK = 0x20, 0x02
PRX, PTX, RXE, OVW, RDC, RST = 0x01, 0x02, 0x04, 0x10, 0x40, 0x80


def locate(register: str) -> tuple[Space, int]:
    """Space and offset of a register by the card's own table."""
    return "io", IO.by_name[register].offset


def put(register: str, value: int, index: int = 0) -> Step:
    """A register of one byte."""
    return Write(("io", locate(register)[1] + index), value, 1)


def get(register: str, name: str = "", mask: int = 0xFF, index: int = 0) -> Step:
    """A register of one byte."""
    return Read(("io", locate(register)[1] + index), name or register, mask, 1)


def reach(register: str, mask: int, value: int, name: str) -> Step:
    """Waits for a register of one byte."""
    return Until(locate(register), mask, value, name, 1)


def page(number: int, command: int = START) -> Step:
    return put("CR", command | number << 6)


def pair(low: str, high: str, value: int) -> list[Step]:
    return [put(low, value & 0xFF), put(high, value >> 8)]


def remote(command: int, address: int, count: int) -> list[Step]:
    """A remote DMA command (9.0)."""
    return [put("ISR", RDC), *pair("RBCR0", "RBCR1", count), *pair("RSAR0", "RSAR1", address), put("CR", command)]


def store(address: int, content: bytes) -> list[Step]:
    """Into packet memory, by words."""
    content += bytes(len(content) % 2)
    words = [content[at] | content[at + 1] << 8 for at in range(0, len(content), 2)]
    return [*remote(REMOTE_WRITE, address, len(content)), *(Write(("io", DATA), word, 2) for word in words)]


def fetch(address: int, count: int, name: str, size: int = 2, port: int = DATA) -> list[Step]:
    """Out of packet memory."""
    steps = remote(REMOTE_READ, address, count)
    return [*steps, *(Read(("io", port), f"{name} +{at:02x}", size=size) for at in range(0, count, size))]


def started(rcr: int = NORMAL, tcr: int = 0, dcr: int = WORDS) -> list[Step]:
    """Initialization in the order of 11.0."""
    return [
        put("CR", STOP), put("DCR", dcr), put("RBCR0", 0), put("RBCR1", 0), put("RCR", MONITOR),
        put("TCR", LOOPBACK), put("PSTART", FIRST), put("BNRY", FIRST), put("PSTOP", END), put("ISR", 0xFF),
        put("IMR", 0), page(1, STOP), *(put("PAR", byte, at) for at, byte in enumerate(frames.CARD)),
        *(put("MAR", 0, at) for at in range(8)), put("CURR", FIRST + 1), put("CR", START), put("TCR", tcr),
        put("RCR", rcr),
    ]  # fmt: skip


# ---------------------------------------------------------------------------------------------- registers


def reset_values() -> list[Step]:
    """What reads defined after power-on (10.3, 11.0)."""
    return [
        get("CR"), get("ISR", mask=RST), get("NCR"), get("CNTR0"), get("CNTR1"), get("CNTR2"), get("TSR"),
        page(2, STOP), get("IMR_READ", mask=0x7F), get("TCR_READ", mask=0x06),
    ]  # fmt: skip


def identity() -> list[Step]:
    """What tells an RTL8029AS (RTL8029AS 5.1.2.2), and configuration space."""
    return [
        get("ID8029_0"), get("ID8029_1"), page(2, STOP), get("TCR_READ", mask=0xE0), page(3, STOP),
        get("CR9346", mask=0xFE), get("CONFIG0"), get("CONFIG2"), get("CONFIG3"), get("ASID0"), get("ASID1"),
        ReadConfig(0x00, "identity"), ReadConfig(0x04, "command and status"),
        ReadConfig(0x08, "class and revision"), ReadConfig(0x2C, "subsystem"), ReadConfig(0x3C, "pin", 0xFFFFFF00),
    ]  # fmt: skip


def command() -> list[Step]:
    """CR: what reads back of legal and illegal values (10.3 CR)."""
    steps: list[Step] = started()
    for value in (0x22, 0x62, 0xA2, 0xE2, 0x21, 0x20, 0x23, 0x02, 0x00, 0x3A, 0x2A):
        steps += [put("CR", value), get("CR", f"CR after {value:02x}h")]
    steps += [put("CR", 0x21), get("ISR", "ISR stopped", RST), put("CR", 0x22), get("ISR", "ISR started", RST)]
    return steps


def read_back() -> list[Step]:
    """Pages 1 and 2 (10.1)."""
    steps: list[Step] = [put("CR", STOP)]
    pairs = {"PSTART": 0x4C, "PSTOP": 0x80, "TPSR": 0x41, "RCR": 0x15, "TCR": 0x1A, "DCR": 0x4B, "IMR": 0x55}
    steps += [put(name, value) for name, value in pairs.items()]
    steps += [put("BNRY", 0x5A), get("BNRY"), page(1, STOP)]
    for name, count in (("PAR", 6), ("MAR", 8), ("CURR", 1)):
        steps += [put(name, 0x11 * (at + 1), at) for at in range(count)]
        steps += [get(name, f"{name}[{at}]", index=at) for at in range(count)]
    steps += [page(2, STOP), *(get(f"{name}_READ") for name in pairs)]
    steps += [page(0, STOP), put("RSAR0", 0x34), put("RSAR1", 0x52), get("CRDA0"), get("CRDA1")]
    return steps


def configuration() -> list[Step]:
    """Page 3: locks, and the EEPROM's mode (RTL8029AS 5.1.2.2)."""
    return [
        page(3, STOP), put("CONFIG3", 0x40), get("CONFIG3", "CONFIG3 locked"), put("CR9346", 0xC0), get("CR9346"),
        put("CONFIG3", 0x40), get("CONFIG3", "CONFIG3 unlocked"), put("CONFIG2", 0x20), get("CONFIG2"),
        put("CR9346", 0), put("CONFIG3", 0), get("CONFIG3", "CONFIG3 locked again"),
    ]  # fmt: skip


# ---------------------------------------------------------------------------------------------- remote DMA


def prom() -> list[Step]:
    """The PROM of the board, which cannot be written."""
    steps = [*started(), *fetch(0, 32, "PROM"), get("ISR", "ISR at the end", RDC)]
    return [*steps, *store(0, b"\xaa\xbb"), *fetch(0, 4, "PROM after a write")]


def remote_dma() -> list[Step]:
    """Words and dwords, the count, CRDA, RDC, the wrap at PSTOP, and the port with nothing to do (9.0)."""
    pattern = frames.pattern(16)
    steps = [*started(), *store(0x4000, pattern), get("ISR", "RDC after a write", RDC)]
    steps += [*fetch(0x4000, 16, "by words"), get("CRDA0", "CRDA0 at the end"), get("CRDA1", "CRDA1 at the end")]
    steps += fetch(0x4000, 16, "by dwords", 4)
    for port in (0x12, 0x14, 0x16):
        steps += fetch(0x4000, 4, f"port {port:02x}", 2, port)
    steps += [*remote(REMOTE_WRITE, 0x4010, 8), Write(("io", DATA), 0x44332211, 4), Write(("io", DATA), 0x6655, 2)]
    steps += [get("ISR", "RDC with two bytes left", RDC), Write(("io", DATA), 0x8877, 2), get("ISR", "RDC", RDC)]
    steps += fetch(0x4010, 8, "dword and words")
    steps += [*store((END << 8) - 4, pattern[:8]), *fetch(FIRST << 8, 4, "behind PSTOP")]
    steps += [Read(("io", DATA), "port without a command", size=2)]
    steps += [*store(0x4020, b"\x99" * 8), *remote(REMOTE_WRITE, 0x4020, 8), Write(("io", DATA), 0x0102, 2)]
    return [*steps, put("CR", START), Write(("io", DATA), 0x0304, 2), *fetch(0x4020, 8, "aborted")]


def by_bytes() -> list[Step]:
    """DCR.WTS is 0."""
    steps = started(dcr=0x48)
    steps += [*remote(REMOTE_WRITE, 0x4000, 4), *(Write(("io", DATA), value, 1) for value in (1, 2, 3, 4))]
    return [*steps, get("ISR", "RDC", RDC), *fetch(0x4000, 4, "byte", 1)]


def send_packet() -> list[Step]:
    """CR.RD 011b reads the packet at BNRY and its length from its header (9.0)."""
    steps = [
        *started(dcr=0x59),
        Arrive(frames.plain(60, frames.BROADCAST)),
        page(1),
        reach("CURR", 0xFF, FIRST + 2, "came"),
    ]
    steps += [page(0), put("BNRY", FIRST + 1), put("CR", 0x1A)]
    steps += [Read(("io", DATA), f"send packet +{at:02x}", size=2) for at in range(0, 8, 2)]
    return [*steps, get("CRDA1", "CRDA1")]


def reset_port() -> list[Step]:
    """Every port from 18h on resets, on reads and on writes; what RESET leaves (11.0)."""
    steps: list[Step] = []
    for port in (0x18, 0x1F):
        steps += [*started(), put("IMR", 0x7F), Read(("io", port), f"port {port:02x}", mask=0, size=1)]
        steps += [get("CR", f"CR after a read of {port:02x}"), get("ISR", f"ISR after a read of {port:02x}", RST)]
        steps += [*started(), Write(("io", port), 0, 1), get("CR", f"CR after a write to {port:02x}")]
    steps += [page(2, STOP), get("PSTART_READ", "PSTART kept"), get("IMR_READ", "IMR cleared"), page(1, STOP)]
    return [*steps, get("PAR", "PAR kept"), get("CURR", "CURR kept")]


# ---------------------------------------------------------------------------------------------- traffic


def interrupts() -> list[Step]:
    """ISR, IMR and the pin (10.3)."""
    return [
        *started(), Line("pin at rest"), *store(0x4000, b"12"), get("ISR", "RDC masked"), Line("pin masked"),
        put("IMR", RDC), Line("pin when the mask opens"), put("ISR", PRX), Line("pin after another bit was written"),
        put("ISR", RDC), Line("pin cleared"), get("ISR", "ISR cleared"), *store(0x4000, b"34"),
        Line("pin asserted again"), put("IMR", 0), Line("pin when the mask closes"), put("IMR", RDC),
        put("CR", STOP), Line("pin stopped"), put("ISR", 0xFF), put("IMR", 0x80),
        get("ISR", "RST", RST), Line("pin of RST"),
    ]  # fmt: skip


def send(name: str, content: bytes, length: int = 0) -> list[Step]:
    """A packet into memory, the command, and what came of it."""
    return [
        *store(SEND_AT << 8, content), put("ISR", 0xFF), put("TPSR", SEND_AT),
        *pair("TBCR0", "TBCR1", length or len(content)), put("CR", START_TXP),
        reach("CR", 0x04, 0, f"{name}: TXP clears"), get("TSR", f"{name}: TSR"), get("ISR", f"{name}: ISR"),
        get("NCR", f"{name}: NCR"),
    ]  # fmt: skip


def transmit() -> list[Step]:
    """Frames leave as they are (8.0); CRC inhibit; the command while the chip is stopped."""
    steps = started()
    for size in (60, 61, 48, 1514):
        steps += [*send(f"{size} bytes", frames.plain(size)), Left(1, f"{size} bytes")]
    steps += [put("TCR", 0x01), *send("own CRC", frames.plain(60) + zlib.crc32(frames.plain(60)).to_bytes(4, "little"))]
    steps += [Left(1, "own CRC"), put("TCR", 0), put("CR", STOP), put("ISR", 0xFF), put("CR", 0x25), Pass(2)]
    return [*steps, Left(0, "stopped"), get("CR", "CR stopped"), get("ISR", "ISR stopped", PTX)]


def loopback() -> list[Step]:
    """Loopback within the chip leaves nothing on the wire and puts nothing into the ring (12.0)."""
    steps = started(dcr=0x41, tcr=LOOPBACK, rcr=0x1F)
    packet = frames.plain(64, frames.CARD)
    steps += [*send("mode 1", packet), Left(0, "mode 1"), get("RSR", "RSR")]
    return [*steps, page(1), get("CURR", "CURR: nothing is stored")]


def arriving(name: str, frame: bytes, pages: int, before: int = FIRST + 1) -> list[Step]:
    """A frame arrives: status, interrupt, header and its first bytes."""
    after = before + pages
    return [
        put("ISR", 0xFF), Arrive(frame), page(1), reach("CURR", 0xFF, after, f"{name}: CURR"), page(0),
        get("ISR", f"{name}: ISR"), get("RSR", f"{name}: RSR"), *fetch(before << 8, 8, f"{name}: header"),
    ]  # fmt: skip


def receive() -> list[Step]:
    """Packets in the ring with their headers (7.0)."""
    steps = started()
    steps += arriving("broadcast", frames.plain(60, frames.BROADCAST), 1)
    steps += arriving("own address", frames.plain(300, frames.CARD), 2, FIRST + 2)
    steps += arriving("1514 bytes", frames.plain(1514, frames.CARD), 6, FIRST + 4)
    steps += fetch((FIRST + 4 << 8) + 4 + 1510, 8, "the last bytes and the CRC")
    return steps


def filters() -> list[Step]:
    """What is not for the station goes by: a broadcast of three pages after each shows how many were stored (10.3 RCR).

    Where CURR stands after it, it does not stand before it, however many of the shorter ones were stored.
    """
    other, group = frames.plain(60, frames.OTHER), frames.plain(60, frames.GROUP)
    mark = Arrive(frames.plain(600, frames.BROADCAST))
    steps: list[Step] = []
    for name, rcr, groups, stored in (
        ("strict", NORMAL, 0, 1), ("PRO", NORMAL | 0x10, 0, 2), ("AM without MAR", NORMAL | 0x08, 0, 1),
        ("AM with MAR", NORMAL | 0x08, 0xFF, 2), ("MAR without AM", NORMAL, 0xFF, 1),
        ("PRO and AM with MAR", NORMAL | 0x18, 0xFF, 3),
    ):  # fmt: skip
        steps += [*started(rcr), page(1), *(put("MAR", groups, at) for at in range(8)), page(0)]
        steps += [Arrive(other), Arrive(group), mark, page(1), reach("CURR", 0xFF, FIRST + 3 + stored, f"{name}: CURR")]
        steps += [page(0)]
    return steps


def own_address() -> list[Step]:
    """PAR decides, whatever the PROM has (10.3 PAR)."""
    steps = [*started(), page(1), *(put("PAR", byte, at) for at, byte in enumerate(frames.OTHER)), page(0)]
    steps += [Arrive(frames.plain(60, frames.CARD)), Arrive(frames.plain(60, frames.OTHER))]
    steps += [Arrive(frames.plain(60, frames.BROADCAST)), page(1), reach("CURR", 0xFF, FIRST + 3, "CURR"), page(0)]
    return [*steps, *fetch((FIRST + 1 << 8) + 4, 6, "stored")]


def monitor() -> list[Step]:
    """Monitor mode checks and counts (10.3 RCR.MON)."""
    steps = [*started(NORMAL | MONITOR), get("RSR", "RSR in monitor mode", 0x40), put("ISR", 0xFF)]
    steps += [Arrive(frames.plain(60, frames.BROADCAST)), reach("ISR", RXE, RXE, "RXE")]
    return [*steps, get("CNTR2", "CNTR2"), page(1), get("CURR", "CURR: nothing is stored")]


def overflow() -> list[Step]:
    """The ring runs over (7.0)."""
    steps = started()
    steps += [Arrive(frames.plain(1514, frames.BROADCAST)) for _ in range(12)]
    steps += [reach("ISR", OVW, OVW, "OVW"), get("ISR", "ISR", OVW | RST | RXE), get("RSR", "RSR", 0x10), page(1)]
    return [*steps, reach("CURR", 0xFF, FIRST + 1 + 54, "CURR: nine are stored"), page(0), get("CNTR2", mask=0)]


#: What every board with the chip does.
BOARD: dict[str, list[Step]] = {
    "reset": reset_values(), "command": command(), "read-back": read_back(), "prom": prom(),
    "remote-dma": remote_dma(), "by-bytes": by_bytes(), "send-packet": send_packet(), "reset-port": reset_port(),
    "interrupts": interrupts(), "transmit": transmit(), "loopback": loopback(), "receive": receive(),
    "filters": filters(), "own-address": own_address(), "monitor": monitor(), "overflow": overflow(),
}  # fmt: skip
SCRIPTS = {"identity": identity(), "configuration": configuration(), **BOARD}
