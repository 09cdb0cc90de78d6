"""Register scripts for the RTL8139C+, in C mode and in C+ mode.

Sections in comments are those of Realtek's RTL8139C(L) data sheet (DS), revision 1.4; C+ stands for the RTL8139C+'s.
"""

from __future__ import annotations

import re
import struct
import zlib

from nicemu.devices.rtl8139_tables import REGS
from nicemu.registers import Register

from ..steps import Arrive, Config, Left, Line, Pass, Peek, Poke, Read, ReadConfig, Space, Step, Until, Write
from . import frames

TX_RING, HIGH_RING, RX_RING, TALLY = 0x200000, 0x201000, 0x202000, 0x203000
TX_DATA, RX_DATA, RX_BUFFER, STRIDE = 0x220000, 0x300000, 0x400000, 0x4000
OWN, EOR, FS, LS, LGSEN = 1 << 31, 1 << 30, 1 << 29, 1 << 28, 1 << 27
IPCS, UDPCS, TCPCS, TAGC = 1 << 18, 1 << 17, 1 << 16, 1 << 17
RE, TE, RST = 8, 4, 16
AAP, APM, AM, AB, WRAP = 1, 2, 4, 8, 0x80
RCR_ON = 0xE700 | APM | AB  # whole packets, unlimited bursts, 8 KiB
TCR_ON = 0x0300_0600
LOOPBACK = 3 << 17
CPTX, CPRX, RXCHKSUM, RXVLAN = 1, 2, 32, 64
ROK, TOK, RXOVW, PUN, FOVW, TDU, SWINT, TIMEOUT = 1, 4, 16, 32, 64, 128, 256, 1 << 14
NORMAL, PROGRAMMING, UNLOCKED = 0, 0x80, 0xC0
NPQ, HPQ = 0x40, 0x80


def entry(register: str) -> tuple[Register, int]:
    """A register by name, or an element such as ``TSD[3]``, with its offset."""
    name, index = re.fullmatch(r"(\w+?)(?:\[(\d+)\])?", register).groups()  # type: ignore[union-attr]
    found = REGS[name]
    return found, found.offset + int(index or 0) * found.stride


def locate(register: str) -> tuple[Space, int]:
    """Space and offset of a register or of an element of an array, by the card's own table."""
    return "memory", entry(register)[1]


def get(register: str, name: str = "", mask: int = 0xFFFFFFFF) -> Read:
    """A read of the register's own width."""
    return Read(register, name, mask, entry(register)[0].size)


def put(register: str, value: int) -> Write:
    """A write of the register's own width."""
    return Write(register, value, entry(register)[0].size)


def until(register: str, mask: int, value: int, name: str) -> Until:
    """A wait for bits of a register."""
    return Until(register, mask, value, name, entry(register)[0].size)


LINK_UP = until("MSR", 4, 0, "link")

# ---------------------------------------------------------------------------------------------- every register

# What runs by itself, or starts something; scripts further down look at them.
ELSEWHERE = ("TCTR", "CR", "ISR", "CR9346", "CPCR", "TPPOLL", "BMCR", "BMSR", "ANAR", "ANLPAR", "ANER", "TSD", "MPC")


def elements(register: Register) -> list[str]:
    """The register, or the first and the last of an array."""
    if register.count == 1:
        return [register.name]
    return [f"{register.name}[0]", f"{register.name}[{register.count - 1}]"]


def reset_values() -> list[Step]:
    """What every register reads after power-on (DS 5), and configuration space (DS 7)."""
    steps: list[Step] = [LINK_UP]
    for register in REGS:
        if register.name != "TCTR" and register.pages != (1,):
            steps += [get(name) for name in elements(register)]
    return [*steps, ReadConfig(0x00, "identity"), ReadConfig(0x04, "command and status"),
            ReadConfig(0x08, "class and revision"), ReadConfig(0x10, "BAR 0 is I/O", 1),
            ReadConfig(0x14, "BAR 1 is memory", 1), ReadConfig(0x2C, "subsystem"),
            ReadConfig(0x34, "capability pointer", 0xFF), ReadConfig(0x50, "power management capability"),
            ReadConfig(0x54, "PMCSR"), ReadConfig(0x3C, "interrupt pin, MIN_GNT, MAX_LAT", 0xFFFFFF00)]  # fmt: skip


def masks() -> list[Step]:
    """Which bits of every register take ones, and which take zeros; unlocked and enabled (DS 5.4, 5.9)."""
    steps: list[Step] = [put("CR9346", UNLOCKED), put("CR", RE | TE)]
    for register in REGS:
        if register.name in ELSEWHERE or register.pages == (1,) or register.access in ("ro", "rc"):
            continue
        for name in elements(register):
            steps += [put(name, 0xFFFFFFFF >> 32 - 8 * register.size), get(name, f"{name} ones")]
            steps += [put(name, 0), get(name, f"{name} zeros")]
    steps += [put("CR", 0xE3), get("CR", "CR ones but RST, TE and RE"), put("CR", RE), get("CR", "CR of RE")]
    return [*steps, put("CPCR", 0xFFFE), get("CPCR", "CPCR ones"), put("CPCR", 0), get("CPCR", "CPCR zeros")]


def locks() -> list[Step]:
    """9346CR locks IDR and CONFIG, CR.RE and CR.TE lock RCR and TCR (DS 5.4, 5.9)."""
    steps: list[Step] = [get("CR9346", "mode at rest"), Write(("memory", 0), 0x33221100), put("IDR[4]", 0x44)]
    steps += [get("IDR[0]", "IDR locked"), get("IDR[4]", "IDR[4] locked")]
    for name in ("CONFIG1", "CONFIG3", "CONFIG4", "CONFIG5", "TCR", "RCR"):
        steps += [put(name, 0x10), get(name, f"{name} locked")]
    steps += [put("BMCR", 0x0100), get("BMCR", "BMCR locked"), put("CR9346", UNLOCKED), get("CR9346", "mode unlocked")]
    steps += [Write(("memory", 0), 0x33221100), get("IDR[0]", "IDR unlocked"), get("IDR[3]", "IDR[3] unlocked")]
    steps += [put("CONFIG1", 0x30), get("CONFIG1", "CONFIG1 unlocked")]
    steps += [put("CONFIG3", 0), get("CONFIG3", "CONFIG3 unlocked")]
    steps += [put("CR9346", NORMAL), put("CR", TE), put("TCR", TCR_ON), put("RCR", APM)]
    return [*steps, get("TCR", "TCR with TE"), get("RCR", "RCR with TE"), put("CR", RE | TE), put("RCR", APM),
            get("RCR", "RCR with RE")]  # fmt: skip


def widths() -> list[Step]:
    """Bytes, words and doublewords in both spaces (DS 5)."""
    steps: list[Step] = []
    for space in ("memory", "io"):
        at: Space = space  # type: ignore[assignment]
        steps += [Write((at, 0x08), 0x12345678)]
        steps += [Read((at, 0x08 + n), f"{space} byte {n}", size=1) for n in range(4)]
        steps += [Read((at, 0x08 + n), f"{space} word {n}", size=2) for n in (0, 2)]
        steps += [Read((at, 0x08), f"{space} doubleword")]
        steps += [Write((at, 0x09), 0xAA, 1), Write((at, 0x0A), 0xBBCC, 2)]
        steps += [Read((at, 0x08), f"{space} after narrow writes")]
        steps += [Read((at, 0x50), f"{space} four bytes from CR9346", mask=0xFF00FFFF)]
    return steps


# ---------------------------------------------------------------------------------------------- control


def soft_reset() -> list[Step]:
    """CR.RST stops the chip and spares addresses and configuration (DS 5.4)."""
    kept = {"IMR": 0x4005, "RBSTART": 0x123456, "TIMERINT": 0x1000000, "MULINT": 0x55, "TSAD1": 0x5550}
    steps: list[Step] = [Write(("memory", 8), 0x11223344), put("CR", RE | TE), put("RCR", RCR_ON), put("TCR", TCR_ON)]
    steps += [put(name, value) for name, value in kept.items()]
    steps += [put("CR", RST), until("CR", 0x10, 0, "reset done"), get("CR", "CR after reset")]
    others = ("RCR", "TCR", "CAPR", "CBR", "ISR", "TSD[0]", "MAR[0]")
    steps += [get(name, f"{name} after reset") for name in (*kept, *others)]
    return [*steps, get("IDR[0]", "IDR after reset"), get("CONFIG1", "CONFIG1 after reset")]


def pins(bits: str) -> list[Step]:
    """Bits shifted into the EEPROM, each at a rising EESK (DS 5.9; 93C46)."""
    steps: list[Step] = []
    for bit in bits:
        level = PROGRAMMING | 8 | (2 if bit == "1" else 0)
        steps += [put("CR9346", level), put("CR9346", level | 4)]
    return steps


def word_read(word: int, name: str) -> list[Step]:
    """READ: start bit, opcode and six address bits, then sixteen data bits."""
    steps: list[Step] = [put("CR9346", PROGRAMMING), put("CR9346", PROGRAMMING | 8), *pins(f"110{word:06b}")]
    steps += [put("CR9346", PROGRAMMING | 8), get("CR9346", f"{name} dummy bit", mask=1)]
    for place in range(16):
        steps += [put("CR9346", PROGRAMMING | 8 | 4), get("CR9346", f"{name} bit {15 - place}", mask=1)]
        steps += [put("CR9346", PROGRAMMING | 8)]
    return [*steps, put("CR9346", PROGRAMMING)]


def eeprom() -> list[Step]:
    """The signature, the address and CONFIG by the pins, a write that takes, and auto-load (DS 5.9, 6)."""
    steps: list[Step] = [get("CR9346", "9346CR at rest")]
    for word in (0x00, 0x01, 0x02, 0x07, 0x08, 0x09):
        steps += word_read(word, f"word {word:02x}h")
    instructions = {"EWEN": "100110000", "WRITE": "101111111" + f"{0xA5C3:016b}", "EWDS": "100000000"}
    for bits in instructions.values():
        steps += [put("CR9346", PROGRAMMING), put("CR9346", PROGRAMMING | 8), *pins(bits), put("CR9346", PROGRAMMING),
                  put("CR9346", PROGRAMMING | 8), Pass(10), put("CR9346", PROGRAMMING)]  # fmt: skip
    steps += [*word_read(0x3F, "written word"), put("CR9346", UNLOCKED), Write(("memory", 0), 0)]
    steps += [get("IDR[1]", "IDR changed")]
    return [*steps, put("CR9346", 0x40), Pass(20), get("CR9346", "9346CR after auto-load"), get("IDR[1]", "IDR loaded")]


def transceiver() -> list[Step]:
    """The transceiver's registers, reset, and a new negotiation (DS 5.18 to 5.22)."""
    steps: list[Step] = [LINK_UP, until("BMSR", 0x24, 0x24, "negotiated")]
    steps += [get(name) for name in ("BMCR", "BMSR", "ANAR", "ANLPAR", "ANER", "NWAYTR", "CSCR", "MSR")]
    steps += [put("ANAR", 0x0061), get("ANAR", "ANAR of 10 Mb/s"), put("CR9346", UNLOCKED), put("BMCR", 0x1200)]
    steps += [until("MSR", 4, 0, "link at 10 Mb/s"), until("BMSR", 0x20, 0x20, "negotiated 10 Mb/s")]
    steps += [get("MSR", "MSR at 10 Mb/s", mask=0x0C)]
    steps += [put("BMCR", 0x9000), Pass(20), get("BMCR", "BMCR after reset"), get("ANAR", "ANAR after reset")]
    return [*steps, put("BMCR", 0x2100), get("BMCR", "BMCR forced")]


def interrupts() -> list[Step]:
    """IMR and ISR, and the pin (DS 5.5, 5.6)."""
    return [
        LINK_UP, put("ISR", 0xFFFF), get("ISR", "ISR cleared"), put("IMR", 0), put("CR", RE | TE), put("TSD[0]", 0),
        put("CPCR", CPTX), put("TPPOLL", 1), get("ISR", "SWINT without mask", mask=SWINT), Line("pin masked"),
        put("IMR", SWINT), Line("pin when the mask opens"), put("ISR", TOK), Line("pin after another cause"),
        put("ISR", SWINT), Line("pin after the cause was cleared"), get("ISR", "ISR at the end", mask=SWINT),
        put("IMR", 0xFFFF), get("IMR", "IMR ones"), put("ISR", 0xFFFF), put("CPCR", 0), put("CAPR", 0),
        get("ISR", "CAPR written while the buffer is empty", mask=PUN), put("ISR", 0xFFFF), Line("pin at the end"),
    ]  # fmt: skip


def timer() -> list[Step]:
    """TCTR and TIMERINT at 33 MHz (DS 5)."""
    return [
        put("ISR", 0xFFFF), put("TIMERINT", 330_000), put("TCTR", 0), get("ISR", "before", mask=TIMEOUT), Pass(30),
        get("ISR", "after 10 ms", mask=TIMEOUT), put("TIMERINT", 0), put("ISR", 0xFFFF), put("TCTR", 0), Pass(30),
        get("ISR", "TIMERINT 0", mask=TIMEOUT), get("TCTR", "TCTR is below 2 s", mask=0xFC000000),
    ]  # fmt: skip


# ---------------------------------------------------------------------------------------------- transmit in C mode


def fill(*buffers: bytes) -> list[Step]:
    """Data buffers from number 0 on."""
    return [Poke(TX_DATA + place * STRIDE, content) for place, content in enumerate(buffers)]


def enabled(rcr: int = RCR_ON, tcr: int = TCR_ON) -> list[Step]:
    """Both directions in C mode, with the receive buffer full of EEh (DS 5.4)."""
    return [
        LINK_UP, Poke(RX_BUFFER, b"\xee" * (8192 + 16 + 2048)), put("RBSTART", RX_BUFFER), put("CR", RE | TE),
        put("TCR", tcr), put("RCR", rcr), put("CAPR", 0xFFF0), put("ISR", 0xFFFF),
    ]  # fmt: skip


def send(name: str, descriptor: int, place: int, size: int, count: int = 1) -> list[Step]:
    """A buffer given to a descriptor: what leaves, and what the registers tell."""
    return [
        put(f"TSAD{descriptor}", TX_DATA + place * STRIDE), put(f"TSD[{descriptor}]", size), Pass(1),
        Left(count, f"{name} frame"), get(f"TSD[{descriptor}]", f"{name} TSD"), get("TSAD", f"{name} TSAD"),
        get("ISR", f"{name} ISR", mask=TOK), put("ISR", 0xFFFF),
    ]  # fmt: skip


def transmit() -> list[Step]:
    """Sizes up to the longest, descriptors in turn, and a short packet, which is not padded (DS 5.2)."""
    sizes = (60, 64, 252, 508, 1020, 1514, 1792)
    steps = [*enabled(), *fill(*(frames.plain(size) for size in sizes))]
    for place, size in enumerate(sizes):
        steps += send(f"{size} bytes", place % 4, place, size)
    return [*steps, *fill(frames.plain(42)), *send("42 bytes", 3, 0, 42)]


def transmit_order() -> list[Step]:
    """Descriptor 1 waits for descriptor 0; a transmitter that starts again begins with 0 (DS 5.2)."""
    steps = [*enabled(), *fill(frames.plain(60), frames.plain(61)), put("TSAD1", TX_DATA + STRIDE), put("TSD[1]", 61)]
    steps += [Pass(1), Left(0, "before descriptor 0"), get("TSD[1]", "TSD that waits"), put("TSAD0", TX_DATA)]
    steps += [put("TSD[0]", 60), Pass(1), Left(2, "both in order"), put("CR", RE), put("CR", RE | TE)]
    return [*steps, *send("after a new start", 0, 0, 60)]


def transmit_disabled() -> list[Step]:
    """Without CR.TE nothing leaves (DS 5.4); nor without bus mastering (DS 7)."""
    steps = [LINK_UP, *fill(frames.plain(60)), put("TSAD0", TX_DATA), put("TSD[0]", 60), Pass(1), Left(0, "without TE")]
    steps += [put("CR", TE), Config(4, 3), put("TSAD0", TX_DATA), put("TSD[0]", 60), Pass(5)]
    return [*steps, Left(0, "without bus mastering"), get("TSD[0]", "TSD without bus mastering", mask=0xFFFF)]


def transmit_own_fcs() -> list[Step]:
    """TCR.CRC: the packet ends with an FCS that the driver made (DS 5.7)."""
    frame = frames.plain(100)
    steps = [*enabled(tcr=TCR_ON | 1 << 16), *fill(frame + zlib.crc32(frame).to_bytes(4, "little"))]
    return [*steps, *send("own FCS", 0, 0, 104)]


def loopback() -> list[Step]:
    """TCR.LBK: what leaves comes back, and nothing reaches the wire (DS 5.7)."""
    steps = [*enabled(tcr=TCR_ON | LOOPBACK), *fill(frames.plain(100, frames.CARD))]
    return [*steps, *send("sent", 0, 0, 100, 0), *stored("looped", 0, 104)]


# ---------------------------------------------------------------------------------------------- receive in C mode


def stored(name: str, at: int, size: int) -> list[Step]:
    """A packet in the receive buffer: header, data with FCS, and where the next one goes (DS 5.1)."""
    return [
        until("CR", 1, 0, f"{name} in the buffer"), Pass(1), Peek(RX_BUFFER + at, 4, f"{name} header"),
        Peek(RX_BUFFER + at + 4, size, f"{name} data"), get("CBR", f"{name} CBR"), get("CAPR", f"{name} CAPR"),
        get("ISR", f"{name} ISR", mask=ROK | RXOVW), put("ISR", 0xFFFF),
    ]  # fmt: skip


def to_card(size: int, target: bytes = frames.CARD) -> Arrive:
    return Arrive(frames.plain(size, target, frames.STATION))


def receive() -> list[Step]:
    """Sizes, headers and pointers, and the empty buffer (DS 5.1)."""
    steps = [*enabled(), get("CR", "empty", mask=1)]
    at = 0
    for size in (60, 61, 62, 63, 1514):
        steps += [to_card(size), *stored(f"{size} bytes", at, size + 4)]
        at += 4 + (size + 4 + 3 & ~3)
        steps += [put("CAPR", at - 16 & 0xFFFF), get("CR", f"{size} bytes read", mask=1)]
    return [*steps, to_card(42), *stored("padded", at, 64)]


def receive_filters() -> list[Step]:
    """What RCR and MAR let in, and what the header tells of the address (DS 5.8)."""
    steps = enabled()
    bit = 1 << hash_bit(frames.GROUP)
    every = 2**64 - 1
    cases = {
        "APM and AB": (RCR_ON, 0, (frames.OTHER, frames.GROUP, frames.CARD)),
        "AAP": (RCR_ON | AAP, 0, (frames.OTHER, frames.GROUP, frames.CARD)),
        "AM with all bits": (RCR_ON | AM, every, (frames.OTHER, frames.GROUP)),
        "AM with the right bit": (RCR_ON | AM, bit, (frames.GROUP,)),
        "AM with the other bits": (RCR_ON | AM, every ^ bit, (frames.GROUP,)),
    }
    for name, (rcr, mar, targets) in cases.items():
        steps += [Write("MAR[0]", mar & 0xFFFFFFFF), Write("MAR[4]", mar >> 32), put("RCR", rcr), Pass(1500)]
        steps += [to_card(60, target) for target in targets]
        steps += [to_card(60, frames.BROADCAST), Pass(20), until("CR", 1, 0, f"{name}: something")]
        steps += [get("CBR", f"{name}: CBR"), Peek(RX_BUFFER, 4 * 68 + 4, f"{name}: buffer"), *renew()]
    return steps


def renew() -> list[Step]:
    """An empty receive buffer."""
    return [Poke(RX_BUFFER, b"\xee" * 512), put("CR", TE), put("CR", RE | TE), put("CAPR", 0xFFF0), put("ISR", 0xFFFF)]


def hash_bit(address: bytes) -> int:
    """The bit of MAR that a group address goes by: the six highest of its CRC-32 (DS 5)."""
    crc = 0xFFFFFFFF
    for byte in address:
        for place in range(8):
            feedback = crc >> 31 ^ byte >> place & 1
            crc = crc << 1 & 0xFFFFFFFF ^ (0x04C11DB7 if feedback else 0)
    return crc >> 26


def receive_end(wrap: int) -> list[Step]:
    """A packet at the end of the buffer, with and without WRAP (DS 5.8)."""
    steps = enabled(RCR_ON | wrap)
    at = 0
    for place in range(6):
        steps += [to_card(1514), until("CBR", 0xFFFF, at + 1524 & 0x1FFF, f"packet {place} stored")]
        at += 1524
        if place < 5:
            steps += [put("CAPR", at - 16 & 0xFFFF)]
    last = 5 * 1524
    steps += [Peek(RX_BUFFER + last, 8192 - last, "before the end"), Peek(RX_BUFFER + 8192, 1024, "beyond the end")]
    return [*steps, Peek(RX_BUFFER, 960, "at the beginning"), get("CBR", "CBR at last")]


def receive_overflow() -> list[Step]:
    """A full buffer: RXOVW, and room again after CAPR (DS 5.6)."""
    steps = [*enabled(), *(to_card(1514) for _ in range(5)), until("CBR", 0xFFFF, 5 * 1524, "five stored"), Pass(5)]
    steps += [get("ISR", "five stored: ISR", mask=ROK | RXOVW), put("ISR", 0xFFFF), to_card(1514), Pass(20)]
    steps += [get("CBR", "full: CBR"), get("ISR", "full: ISR", mask=ROK | RXOVW | FOVW)]
    steps += [put("CAPR", 5 * 1524 - 16), Pass(20), get("CBR", "room again: CBR")]
    return [
        *steps,
        put("ISR", 0xFFFF),
        to_card(60),
        Pass(20),
        get("CBR", "next: CBR"),
        get("ISR", "next: ISR", mask=ROK | RXOVW | FOVW),
    ]


PAUSE = bytes.fromhex("0180c2000001") + frames.STATION + bytes.fromhex("88080001") + b"\xff\xff" + bytes(42)


def flow_control() -> list[Step]:
    """A PAUSE frame stops the transmitter; a buffer with less than 3 KiB sends one (DS 9.9)."""
    steps = [*enabled(), get("MSR", "before", mask=0xC3), Arrive(PAUSE), to_card(60), *stored("after the PAUSE", 0, 64)]
    steps += [get("MSR", "RXPF", mask=1), *fill(frames.plain(60)), put("TSAD0", TX_DATA), put("TSD[0]", 60), Pass(1)]
    steps += [Left(0, "while paused"), Arrive(PAUSE[:16] + bytes(44)), Pass(20), Left(1, "after XON")]
    steps += [*(to_card(1514) for _ in range(4)), Pass(20), Left(1, "XOFF frame"), get("MSR", "TXPF", mask=2)]
    return [*steps, put("CAPR", 68 + 4 * 1524 - 16), Pass(20), Left(1, "XON frame"), get("MSR", "TXPF at last", mask=2)]


# ---------------------------------------------------------------------------------------------- C+ mode


def descriptor(opts1: int, address: int, opts2: int = 0) -> bytes:
    return struct.pack("<IIQ", opts1, opts2, address)


def plus(cpcr: int = CPTX | CPRX, buffers: int = 8, size: int = 2048, rcr: int = RCR_ON) -> list[Step]:
    """Both directions in C+ mode, with rings of eight descriptors."""
    steps: list[Step] = [LINK_UP, put("CPCR", cpcr)]
    for ring in (TX_RING, HIGH_RING, RX_RING):
        steps += [Poke(ring, bytes(1024))]
    for n in range(8):
        own = OWN if n < buffers else 0
        steps += [Poke(RX_RING + 16 * n, descriptor(own | size | (EOR if n == 7 else 0), RX_DATA + n * STRIDE))]
        steps += [Poke(RX_DATA + n * STRIDE, b"\xee" * 2048)]
    for name, address in (("TNPDS", TX_RING), ("THPDS", HIGH_RING), ("RDSAR", RX_RING)):
        steps += [put(f"{name}H", 0), put(f"{name}L", address)]
    return [*steps, put("CR", RE | TE), put("TCR", TCR_ON), put("RCR", rcr), put("ISR", 0xFFFF)]


def give(
    name: str, start: int, descriptors: list[bytes], count: int, ring: int = TX_RING, poll: int = NPQ
) -> list[Step]:
    """Transmit descriptors and the doorbell: the frames, what is written back, and the causes."""
    steps: list[Step] = [Poke(ring + 16 * (start + n), one) for n, one in enumerate(descriptors)]
    steps += [put("TPPOLL", poll), Pass(1), Left(count, f"{name} frame")]
    for n in range(len(descriptors)):
        steps += [Peek(ring + 16 * (start + n), 8, f"{name} descriptor {n}")]
    return [*steps, get("ISR", f"{name} ISR", mask=TOK | TDU), put("ISR", 0xFFFF)]


def plus_transmit() -> list[Step]:
    """Sizes, packets of several descriptors, both rings, and the end of a ring (C+)."""
    sizes = (60, 64, 508, 1514)
    steps = [*plus(), *fill(*(frames.plain(size) for size in sizes))]
    ring = [descriptor(OWN | FS | LS | size, TX_DATA + n * STRIDE) for n, size in enumerate(sizes)]
    steps += give("four sizes", 0, ring, 4)
    whole = frames.plain(600)
    steps += fill(whole[:14], whole[14:300], whole[300:])
    pieces = [descriptor(OWN | FS | 14, TX_DATA), descriptor(OWN | 286, TX_DATA + STRIDE),
              descriptor(OWN | LS | EOR | 300, TX_DATA + 2 * STRIDE)]  # fmt: skip
    steps += give("three pieces", 4, pieces, 1)
    steps += [*fill(frames.plain(42)), *give("42 bytes", 0, [descriptor(OWN | FS | LS | 42, TX_DATA)], 1)]
    high = [descriptor(OWN | FS | LS | EOR | 60, TX_DATA + STRIDE)]
    return [*steps, *fill(frames.plain(60), frames.plain(60)), *give("high priority", 0, high, 1, HIGH_RING, HPQ)]


def plus_vlan() -> list[Step]:
    """TAGC inserts a tag (C+)."""
    tagged = [descriptor(OWN | FS | LS | 100, TX_DATA, TAGC | 0x0560)]
    return [*plus(), *fill(frames.plain(100)), *give("tag", 0, tagged, 1)]


def plus_offload() -> list[Step]:
    """IPv4, TCP and UDP checksums are inserted (C+)."""
    packets = {
        "TCP": (frames.ip4(frames.tcp(frames.pattern(333)), 6), IPCS | TCPCS),
        "UDP": (frames.ip4(frames.udp(frames.pattern(334)), 17), IPCS | UDPCS),
        "IPv4 alone": (frames.ip4(frames.udp(frames.pattern(335)), 17), IPCS),
    }
    steps = plus()
    for number, (name, (frame, options)) in enumerate(packets.items()):
        prepared = frames.for_offload(frame, with_length=True)
        ring = [descriptor(OWN | FS | options | 40, TX_DATA),
                descriptor(OWN | LS | options | len(frame) - 40, TX_DATA + STRIDE)]  # fmt: skip
        steps += [*fill(prepared[:40], prepared[40:]), *give(name, 2 * number, ring, 1)]
    return steps


def plus_segments() -> list[Step]:
    """Large send (C+)."""
    frame = frames.ip4(frames.tcp(frames.pattern(3500), 0x19), 6)
    prepared = frames.for_offload(frame, with_length=False)
    options = LGSEN | 1000 << 16
    ring = [descriptor(OWN | FS | options | 54, TX_DATA),
            descriptor(OWN | LS | options | len(frame) - 54, TX_DATA + STRIDE)]  # fmt: skip
    return [*plus(), *fill(prepared[:54], prepared[54:]), *give("TCP", 0, ring, 4)]


def took(name: str, *places: int, length: int = 64) -> list[Step]:
    """Receive descriptors, and what their buffers hold."""
    steps: list[Step] = [until("ISR", ROK, ROK, f"{name} stored"), Pass(1)]
    for place in places:
        steps += [Peek(RX_RING + 16 * place, 4, f"{name} descriptor {place}")]
        steps += [Peek(RX_RING + 16 * place + 4, 4, f"{name} descriptor {place} opts2")]
        steps += [Peek(RX_DATA + place * STRIDE, length, f"{name} data {place}")]
    return [*steps, get("ISR", f"{name} ISR", mask=ROK | RXOVW), put("ISR", 0xFFFF)]


def plus_receive() -> list[Step]:
    """Sizes, and what the status tells of the address; the ring goes round (C+)."""
    steps = plus(rcr=RCR_ON | AAP)
    arrivals = {"exact": (75, frames.CARD), "broadcast": (60, frames.BROADCAST), "other": (61, frames.OTHER),
                "full size": (1514, frames.CARD)}  # fmt: skip
    for place, (name, (size, target)) in enumerate(arrivals.items()):
        steps += [to_card(size, target), *took(name, place, length=size + 5)]
    steps += [to_card(60) for _ in range(4)]
    steps += [until("ISR", ROK, ROK, "the ring is full"), Pass(20)]
    steps += [Peek(RX_RING + 16 * 7, 4, "the last descriptor")]
    steps += [put("ISR", 0xFFFF), Poke(RX_RING, descriptor(OWN | 2048, RX_DATA)), to_card(62)]
    return [*steps, *took("round the ring", 0, length=67)]


def plus_receive_pieces() -> list[Step]:
    """A packet over several descriptors (C+)."""
    return [*plus(size=256), to_card(700), *took("700 bytes", 0, 1, 2, length=256)]


def plus_receive_dry() -> list[Step]:
    """No descriptor is left: RDU (C+)."""
    steps = [*plus(buffers=1), to_card(60), *took("first", 0), to_card(60), Pass(20)]
    return [*steps, get("ISR", "dry ISR", mask=ROK | RXOVW)]


def plus_receive_vlan() -> list[Step]:
    """RXVLAN takes tags off (C+)."""
    steps = [*plus(CPTX | CPRX | RXVLAN), Arrive(frames.tagged(100, 0x6005)), *took("tagged", 0, length=101)]
    return [*steps, to_card(100), *took("untagged", 1, length=105)]


def plus_receive_checksum() -> list[Step]:
    """RXCHKSUM verifies IPv4, TCP and UDP (C+)."""
    ends = {"target": frames.CARD, "source": frames.STATION}
    good = frames.ip4(frames.tcp(frames.pattern(50)), 6, **ends)
    bad_ip, bad_tcp = bytearray(good), bytearray(good)
    bad_ip[24] ^= 0x55
    bad_tcp[60] ^= 0x55
    arrivals = {"good TCP": good, "bad IPv4": bytes(bad_ip), "bad TCP": bytes(bad_tcp),
                "good UDP": frames.ip4(frames.udp(frames.pattern(51)), 17, **ends),
                "no IP": frames.plain(60, frames.CARD, frames.STATION)}  # fmt: skip
    steps = plus(CPTX | CPRX | RXCHKSUM)
    for place, (name, frame) in enumerate(arrivals.items()):
        steps += [Arrive(frame), *took(name, place)]
    return steps


def tally() -> list[Step]:
    """The dump of the counters (C+, DTCCR)."""
    steps = [*plus(), *fill(frames.plain(60))]
    steps += give("sent", 0, [descriptor(OWN | FS | LS | 60, TX_DATA)], 1)
    for place, target in enumerate((frames.CARD, frames.BROADCAST)):
        steps += [to_card(60, target), *took(f"received {place}", place)]
    steps += [Poke(TALLY, b"\xee" * 64), put("DTCCRH", 0), put("DTCCRL", TALLY | 8), until("DTCCRL", 8, 0, "dumped")]
    names = (("TxOk", 8), ("RxOk", 8), ("TxErr", 8), ("RxErr", 4), ("MissPkt", 2), ("FAE", 2), ("Tx1Col", 4),
             ("TxMCol", 4), ("RxOkPhy", 8), ("RxOkBrd", 8), ("RxOkMu1", 4), ("TxAbt", 2), ("TxUndrn", 2))  # fmt: skip
    at = TALLY
    for name, size in names:
        steps += [Peek(at, size, name)]
        at += size
    return steps


SCRIPTS: dict[str, list[Step]] = {
    "reset": reset_values(),
    "masks": masks(),
    "locks": locks(),
    "widths": widths(),
    "soft-reset": soft_reset(),
    "eeprom": eeprom(),
    "transceiver": transceiver(),
    "interrupts": interrupts(),
    "timer": timer(),
    "transmit": transmit(),
    "transmit-order": transmit_order(),
    "transmit-disabled": transmit_disabled(),
    "transmit-own-fcs": transmit_own_fcs(),
    "loopback": loopback(),
    "receive": receive(),
    "receive-filters": receive_filters(),
    "receive-end": receive_end(0),
    "receive-end-wrap": receive_end(WRAP),
    "receive-overflow": receive_overflow(),
    "flow-control": flow_control(),
    "plus-transmit": plus_transmit(),
    "plus-vlan": plus_vlan(),
    "plus-offload": plus_offload(),
    "plus-segments": plus_segments(),
    "plus-receive": plus_receive(),
    "plus-receive-pieces": plus_receive_pieces(),
    "plus-receive-dry": plus_receive_dry(),
    "plus-receive-vlan": plus_receive_vlan(),
    "plus-receive-checksum": plus_receive_checksum(),
    "tally": tally(),
}
