"""Register scripts for the 82540EM.

Sections in comments are those of the PCI/PCI-X Family of Gigabit Ethernet Controllers Software Developer's Manual.
The scripts initialise what the manual leaves undefined before they depend on it, as a driver must.
"""

from __future__ import annotations

import re
import struct

from nicemu.devices.e1000_tables import IO, MMIO
from nicemu.registers import Register, Table

from ..steps import Arrive, Config, Left, Line, Pass, Peek, Poke, Read, ReadConfig, Space, Step, Until, Write
from . import frames

SPACES: tuple[tuple[Space, Table], ...] = (("memory", MMIO), ("io", IO))

TX_RING, RX_RING, DESCRIPTORS = 0x200000, 0x210000, 8
TX_DATA, RX_DATA, STRIDE = 0x220000, 0x300000, 0x4000
# Descriptor commands: 3.3.3.1 (legacy), 3.3.6.1 (context), 3.3.7.1 (data).
EOP, IFCS, IC, RS, DEXT, VLE = 0x01, 0x02, 0x04, 0x08, 0x20, 0x40
TCP, IPV4, TSE = 0x01, 0x02, 0x04
IXSM, TXSM = 0x01, 0x02
TCTL_ON = 0x0004_00FA  # EN, PSP, CT 0Fh, COLD 40h (14.5)
RCTL_ON = 0x0000_8002  # EN, BAM, buffers of 2048 bytes
SLU, VME, RST, RFCE = 1 << 6, 1 << 30, 1 << 26, 1 << 27
# Causes that come and go in ways of their own, and are looked at once: TXQE, LSC, RXDMT0 and TXD_LOW.
USUAL_CAUSES = 0xFFFFFFFF & ~(1 << 1 | 1 << 2 | 1 << 4 | 1 << 15)
UPE, MPE, SECRC, VFE, LPE, SBP = 1 << 3, 1 << 4, 1 << 26, 1 << 18, 1 << 5, 1 << 2
BSIZE_256 = 3 << 16
LINK_UP = Until("STATUS", 2, 2, "link")


def locate(register: str) -> tuple[Space, int]:
    """Space and offset of a register, or of an element such as ``RAL[3]``, by the card's own tables."""
    name, index = re.fullmatch(r"(\w+?)(?:\[(\d+)\])?", register).groups()  # type: ignore[union-attr]
    for space, table in SPACES:
        for entry in table:
            if entry.name == name:
                return space, entry.offset + int(index or 0) * entry.stride
    raise ValueError(f"no register {register}")


# ---------------------------------------------------------------------------------------------- every register


def elements(register: Register) -> list[str]:
    """The register, or the first and the last of an array."""
    if register.count == 1:
        return [register.name]
    return [f"{register.name}[0]", f"{register.name}[{register.count - 1}]"]


def reset_values() -> list[Step]:
    """What every register reads after power-on, but for the bits that the manual leaves undefined (13.3)."""
    steps: list[Step] = []
    for register in MMIO:
        defined = 0xFFFFFFFF & ~register.undefined
        steps += [Read(name, mask=defined) for name in elements(register) if defined]
    return [*steps, ReadConfig(0x00, "identity"), ReadConfig(0x04, "command and status"),
            ReadConfig(0x08, "class and revision"), ReadConfig(0x2C, "subsystem"),
            ReadConfig(0x14, "BAR 1 is I/O", 1), ReadConfig(0x18, "BAR 2 is I/O", 1),
            ReadConfig(0x34, "capability pointer", 0xFF), ReadConfig(0x3C, "interrupt pin", 0xFFFFFF00)]  # fmt: skip


# Written with less than all ones: bits that reset the card or start something would disturb what comes after.
GENTLE = {"CTRL": 0x7BFFFFFF, "CTRL_EXT": 0xFFFFDFFF, "MDIC": 0x0BFFFFFF, "EERD": 0xFFFFFFFE}
# Registers whose value after a write depends on what else happens; the scripts further down look at them.
ELSEWHERE = ("ICR", "ICS", "IMS", "IMC", "MDIC", "EERD")


def masks() -> list[Step]:
    """Which bits of every register take ones, and which take zeros."""
    steps: list[Step] = []
    for register in MMIO:
        if register.name in ELSEWHERE:
            continue
        for name in elements(register):
            steps += [Write(name, GENTLE.get(register.name, 0xFFFFFFFF)), Read(name, f"{name} ones")]
            steps += [Write(name, 0), Read(name, f"{name} zeros")]
    return steps


def widths() -> list[Step]:
    """Reads and writes of less than a register (13.2 asks for 32 bits)."""
    return [
        Write("RAL[0]", 0x12345678),
        *(Read(("memory", 0x5400 + at), f"byte {at}", size=1) for at in range(4)),
        *(Read(("memory", 0x5400 + at), f"word {at}", size=2) for at in (0, 2)),
        Write(("memory", 0x5400), 0xAA, 1), Read("RAL[0]", "after a byte write at 0"),
        Write("RAL[0]", 0x12345678), Write(("memory", 0x5402), 0xBBCC, 2), Read("RAL[0]", "after a word write at 2"),
    ]  # fmt: skip


# ---------------------------------------------------------------------------------------------- control


def soft_reset() -> list[Step]:
    """CTRL.RST takes registers back to their reset values (13.4.1, 14.7)."""
    kept = {"RAL[1]": 0x11111111, "RAH[1]": 0x80002222, "IMS": 0x9D, "ITR": 0x28B, "RADV": 0x10, "RCTL": 0x8000,
            "TCTL": 0xF8, "RDLEN": 0x80, "RDH": 3, "RDT": 5, "LEDCTL": 0x0F0E0D0C}  # fmt: skip
    return [*(Write(name, value) for name, value in kept.items()), Write("CTRL", RST), Pass(10),
            *(Read(name) for name in kept), Read("RAL[0]"), Read("RAH[0]")]  # fmt: skip


def io_window() -> list[Step]:
    """The I/O BAR reaches the registers through IOADDR and IODATA (13.2.2)."""
    return [
        Write("RAL[1]", 0xCAFEF00D), Write("IOADDR", 0x5408), Read("IOADDR"), Read("IODATA", "RAL[1] by I/O"),
        Write("IODATA", 0x01020304), Read("RAL[1]", "RAL[1] after a write by I/O"),
        Write("ITR", 0x28B), Write("IOADDR", 0), Write("IODATA", RST), Pass(10), Read("ITR", "ITR after reset by I/O"),
    ]  # fmt: skip


def eeprom() -> list[Step]:
    """EERD, and the pins with their request and grant (5.3.1, 13.4.3, 13.4.4)."""
    steps: list[Step] = [Read("EECD", "EECD at rest")]
    for word in (0x00, 0x01, 0x02, 0x0A, 0x0B, 0x0D, 0x0E, 0x0F, 0x24, 0x3F):
        steps += [Write("EERD", word << 8 | 1), Until("EERD", 0x10, 0x10, f"word {word:02x}h done"),
                  Read("EERD", f"word {word:02x}h", mask=0xFFFF0000)]  # fmt: skip
    steps += [Write("EECD", 0x40), Until("EECD", 0xC0, 0xC0, "granted"), Read("EECD", "EECD granted")]
    steps += microwire_read(0x02)
    return [*steps, Write("EECD", 0), Read("EECD", "EECD returned")]


def microwire_read(word: int) -> list[Step]:
    """Start bit, opcode 10, six address bits, then sixteen data bits, each after a rising SK (5.3.1)."""
    sk, cs, di, request = 1, 2, 4, 0x40
    steps: list[Step] = [Write("EECD", request | cs)]
    for bit in f"110{word:06b}":
        level = request | cs | (di if bit == "1" else 0)
        steps += [Write("EECD", level), Write("EECD", level | sk), Write("EECD", level)]
    for place in range(16):
        steps += [Write("EECD", request | cs | sk), Read("EECD", f"pin bit {15 - place}", mask=8),
                  Write("EECD", request | cs)]  # fmt: skip
    return steps


def phy_read(number: int, name: str, address: int = 1, mask: int = 0xFFFF) -> list[Step]:
    """A read through MDIC (13.4.7)."""
    return [Write("MDIC", 2 << 26 | address << 21 | number << 16), Until("MDIC", 1 << 28, 1 << 28, f"{name} ready"),
            Read("MDIC", name, mask=1 << 30 | mask)]  # fmt: skip


def phy_write(number: int, value: int, name: str) -> list[Step]:
    """A write through MDIC."""
    return [Write("MDIC", 1 << 26 | 1 << 21 | number << 16 | value), Until("MDIC", 1 << 28, 1 << 28, f"{name} ready")]


def phy() -> list[Step]:
    """The PHY's registers (13.4.7.1), reset, power down, restart of negotiation, and a PHY that is not there."""
    steps: list[Step] = [Write("CTRL", SLU), LINK_UP]
    for number in (*range(11), 15, *range(16, 22), 29, 30):
        steps += phy_read(number, f"register {number}")
    steps += phy_read(0, "PHY address 2", address=2)
    steps += phy_write(4, 0x0061, "ANA") + phy_read(4, "ANA of 10 Mb/s")
    steps += [*phy_write(0, 0x8000 | 0x1140, "reset"), Pass(100)]
    steps += phy_read(0, "CR after reset") + phy_read(4, "ANA after reset")
    steps += [*phy_write(0, 0x1940, "power down"), Pass(100)]
    steps += [*phy_read(0, "CR powered down"), Read("STATUS", "link powered down", mask=2)]
    steps += [*phy_write(0, 0x1340, "restart"), Until("STATUS", 2, 2, "link after restart")]
    steps += phy_read(1, "SR first") + phy_read(1, "SR second") + phy_read(0, "CR after restart")
    return [*steps, Read("ICR", "link change reported", mask=4)]


def interrupts() -> list[Step]:
    """ICR, ICS, IMS and IMC (13.4.17 to 13.4.21), and the pin; the PCI status of this part does not show it (4.1)."""
    return [
        Read("ICR", "ICR before"), Write("ICS", 0x04), Read("ICR", "cause without mask"), Read("ICR", "ICR read again"),
        Write("IMS", 0x84), Write("IMS", 0x01), Read("IMS", "IMS set bit by bit"),
        Write("IMC", 0x80), Read("IMS", "IMS after IMC"), Read("IMC", "IMC reads"), Read("ICS", "ICS reads"),
        Line("pin at rest"), Write("ICS", 0x04), Pass(1), Line("pin after ICS"), Read("STATUS", "STATUS", mask=0),
        Line("pin after another register was read"), Read("ICR", "ICR with the pin asserted"),
        Line("pin after ICR was read"), Write("ICS", 0x05), Pass(1), Line("pin with two causes"), Write("ICR", 0x01),
        Line("pin with one cause left"), Write("ICR", 0x04), Line("pin with none left"),
        Write("IMC", 0xFFFFFFFF), Write("ICS", 0x1FFFF), Pass(1), Line("pin masked"),
        ReadConfig(4, "INTERRUPT_STATUS masked", 1 << 19), Write("IMS", 0x10), Pass(1), Line("pin when the mask opens"),
        ReadConfig(4, "INTERRUPT_STATUS asserted", 1 << 19), Write("IMC", 0x10), Line("pin when the mask closes"),
        Read("ICR", "every cause"), Read("ICR", "none left"),
    ]  # fmt: skip


# ---------------------------------------------------------------------------------------------- transmit


def legacy(place: int, length: int, command: int, start: int = 0, offset: int = 0, special: int = 0) -> bytes:
    """A legacy descriptor of data buffer ``place`` (3.3.3); the status byte is not cleared, to see what is written."""
    address = TX_DATA + place * STRIDE
    return struct.pack("<QHBBBBH", address, length, offset, command, 0, start, special)


def context(command: int, header: int, payload: int, segment: int, network: tuple[int, int, int],
            transport: tuple[int, int, int]) -> bytes:  # fmt: skip
    """A context descriptor (3.3.6): start, offset and end of the two checksums; command of TUCMD."""
    low = struct.pack("<BBHBBH", *network, *transport)
    return low + struct.pack("<IBBH", payload | (command | DEXT) << 24, 0, header, segment)


def data(place: int, length: int, command: int, options: int, special: int = 0) -> bytes:
    """A data descriptor (3.3.7)."""
    address = TX_DATA + place * STRIDE
    return struct.pack("<QIBBH", address, length | 1 << 20 | (command | DEXT) << 24, 0, options, special)


def transmitter(control: int = SLU, tctl: int = TCTL_ON) -> list[Step]:
    """Link, ring and transmitter as 14.5 sets them up."""
    return [
        Write("CTRL", control), LINK_UP, Write("TDBAL", TX_RING), Write("TDBAH", 0), Write("TDLEN", 16 * DESCRIPTORS),
        Write("TDH", 0), Write("TDT", 0), Write("TIPG", 0x00602008), Write("TIDV", 0), Write("IMS", 0),
        Write("VET", 0x8100), Write("TCTL", tctl), Read("ICR", "causes before", mask=USUAL_CAUSES),
    ]  # fmt: skip


def fill(*buffers: bytes) -> list[Step]:
    """Data buffers from number 0 on."""
    return [Poke(TX_DATA + place * STRIDE, content) for place, content in enumerate(buffers)]


def send(name: str, start: int, descriptors: list[bytes], count: int) -> list[Step]:
    """Descriptors put at ``start``, the doorbell, the frames, the status written back, and the causes."""
    tail = (start + len(descriptors)) % DESCRIPTORS
    steps: list[Step] = [Poke(TX_RING + 16 * ((start + place) % DESCRIPTORS), descriptor)
                         for place, descriptor in enumerate(descriptors)]  # fmt: skip
    steps += [Write("TDT", tail), Until("TDH", 0xFFFF, tail, f"{name} all fetched"), Left(count, f"{name} frame")]
    for place in range(len(descriptors)):
        at, title = TX_RING + 16 * ((start + place) % DESCRIPTORS), f"{name} descriptor {place}"
        steps += [Peek(at + 8, 4, f"{title} low"), Peek(at + 12, 4, f"{title} high")]
    return [*steps, Pass(1), Read("ICR", f"{name} causes", mask=USUAL_CAUSES)]


def counters(*names: str) -> list[Step]:
    """Statistics, each read twice: the second look must find it cleared."""
    return [*(Read(name) for name in names), *(Read(name, f"{name} again") for name in names)]


SENT = ("GPTC", "TPT", "GOTCL", "GOTCH", "TOTL", "TOTH", "PTC64", "PTC127", "PTC255", "PTC511", "PTC1023", "PTC1522",
        "MPTC", "BPTC", "TSCTC", "TSCTFC")  # fmt: skip
RECEIVED = ("GPRC", "TPR", "GORCL", "GORCH", "TORL", "TORH", "PRC64", "PRC127", "PRC255", "PRC511", "PRC1023",
            "PRC1522", "MPRC", "BPRC", "ROC", "RUC", "RNBC", "MPC", "RLEC")  # fmt: skip


def transmit_plain() -> list[Step]:
    """Frames of all sizes, gathered, padded, with and without RS, around the end of the ring (3.3.3, 3.4)."""
    sizes = (60, 64, 124, 252, 508, 1020, 1514)
    steps = [*transmitter(), *fill(*(frames.plain(size) for size in sizes))]
    steps += send("seven sizes", 0, [legacy(n, size, EOP | IFCS | RS) for n, size in enumerate(sizes)], 7)
    steps += fill(frames.plain(60, frames.BROADCAST), frames.plain(90, frames.GROUP))
    steps += send("broadcast and multicast", 7, [legacy(0, 60, EOP | IFCS), legacy(1, 90, EOP | IFCS | RS)], 2)
    whole = frames.plain(600)
    steps += fill(whole[:14], whole[14:300], whole[300:])
    pieces = [legacy(0, 14, IFCS | RS), legacy(1, 286, IFCS | RS), legacy(2, 300, EOP | IFCS | RS)]
    steps += send("three pieces", 1, pieces, 1)
    steps += [*fill(frames.plain(48)), *send("48 bytes padded", 4, [legacy(0, 48, EOP | IFCS | RS)], 1)]
    steps += [Write("TCTL", TCTL_ON & ~8), *send("48 bytes not padded", 5, [legacy(0, 48, EOP | IFCS | RS)], 1)]
    steps += counters(*SENT)
    steps += [*fill(frames.plain(60)), Poke(TX_RING + 16 * 6, legacy(0, 60, EOP | IFCS | RS)), Write("TDT", 7)]
    return [*steps, Until("TDH", 0xFFFF, 7, "last fetched"), Read("ICR", "queue causes", mask=1 << 15 | 1 << 1)]


def transmit_legacy_checksum() -> list[Step]:
    """IC with CSS and CSO (3.3.3.1)."""
    frame = frames.for_offload(frames.ip4(frames.udp(frames.pattern(100)), 17), with_length=True)
    steps = [*transmitter(), *fill(frame)]
    return [*steps, *send("IC", 0, [legacy(0, len(frame), EOP | IFCS | IC | RS, start=34, offset=40)], 1)]


def transmit_vlan() -> list[Step]:
    """VLE inserts a tag of VET (9.3)."""
    frame = frames.plain(100)
    steps = [*transmitter(SLU | VME), *fill(frame)]
    steps += send("legacy VLE", 0, [legacy(0, 100, EOP | IFCS | RS | VLE, special=0x6005)], 1)
    steps += [Write("VET", 0x88A8)]
    return [*steps, *send("other VET", 1, [legacy(0, 100, EOP | IFCS | RS | VLE, special=0x6005)], 1)]


def transmit_offload() -> list[Step]:
    """Checksums by context and data descriptors (3.3.5 to 3.3.7)."""
    packets = {
        "TCP over IPv4": (frames.ip4(frames.tcp(frames.pattern(333)), 6), TCP | IPV4, (14, 24, 33), (34, 50, 0)),
        "UDP over IPv4": (frames.ip4(frames.udp(frames.pattern(334)), 17), IPV4, (14, 24, 33), (34, 40, 0)),
        "TCP over IPv6": (frames.ip6(frames.tcp(frames.pattern(335)), 6), TCP, (14, 0, 53), (54, 70, 0)),
    }
    steps = transmitter()
    for number, (name, (frame, command, network, transport)) in enumerate(packets.items()):
        prepared = frames.for_offload(frame, with_length=True)
        options = TXSM | (IXSM if command & IPV4 else 0)
        ring = [context(command, 0, 0, 0, network, transport), data(0, 40, IFCS, options),
                data(1, len(frame) - 40, EOP | IFCS | RS, options)]  # fmt: skip
        steps += [*fill(prepared[:40], prepared[40:]), *send(name, 3 * number % DESCRIPTORS, ring, 1)]
    return steps


def transmit_segments() -> list[Step]:
    """Segmentation of TCP over IPv4 and IPv6 and of UDP (3.5)."""
    packets = {
        "TCP over IPv4": (frames.ip4(frames.tcp(frames.pattern(3500), 0x19), 6), TCP | IPV4, (14, 24, 33),
                          (34, 50, 0), 54),
        "TCP over IPv6": (frames.ip6(frames.tcp(frames.pattern(2500), 0x18), 6), TCP, (14, 0, 53), (54, 70, 0), 74),
        "UDP over IPv4": (frames.ip4(frames.udp(frames.pattern(2000)), 17), IPV4, (14, 24, 33), (34, 40, 0), 42),
    }  # fmt: skip
    steps = transmitter()
    for number, (name, (frame, command, network, transport, header)) in enumerate(packets.items()):
        prepared = frames.for_offload(frame, with_length=False)
        payload = len(frame) - header
        options = TXSM | (IXSM if command & IPV4 else 0)
        ring = [context(command | TSE | RS, header, payload, 1000, network, transport),
                data(0, header, IFCS | TSE, options), data(1, payload, EOP | IFCS | TSE | RS, options)]  # fmt: skip
        steps += fill(prepared[:header], prepared[header:])
        steps += send(name, 3 * number % DESCRIPTORS, ring, -(-payload // 1000))
    return [*steps, *counters("GPTC", "TPT", "TSCTC", "TSCTFC")]


def no_bus_master() -> list[Step]:
    """Without COMMAND's bus master bit nothing is fetched (4.1)."""
    steps = [*transmitter(), *fill(frames.plain(60)), Poke(TX_RING, legacy(0, 60, EOP | IFCS | RS))]
    steps += [Config(4, 3), Write("TDT", 1), Pass(10), Left(0, "frame without bus mastering")]
    return [*steps, Peek(TX_RING + 12, 1, "status without bus mastering")]


# ---------------------------------------------------------------------------------------------- receive


def receiver(rctl: int = RCTL_ON, control: int = SLU, buffers: int = DESCRIPTORS - 1) -> list[Step]:
    """Link, filters, ring and receiver as 14.4 sets them up; buffers are full of EEh before."""
    steps: list[Step] = [Write("CTRL", control), LINK_UP, Write("VET", 0x8100), Write("RDTR", 0), Write("RADV", 0)]
    steps += [Write(f"MTA[{n}]", 0) for n in range(128)] + [Write(f"VFTA[{n}]", 0) for n in range(128)]
    for n in range(1, 16):
        steps += [Write(f"RAL[{n}]", 0), Write(f"RAH[{n}]", 0)]
    for n in range(DESCRIPTORS):
        steps += [Poke(RX_RING + 16 * n, struct.pack("<QQ", RX_DATA + n * STRIDE, 0))]
        steps += [Poke(RX_DATA + n * STRIDE, b"\xee" * 2048)]
    steps += [Write("RDBAL", RX_RING), Write("RDBAH", 0), Write("RDLEN", 16 * DESCRIPTORS), Write("RDH", 0),
              Write("RDT", 0), Write("RCTL", rctl), Write("RDT", buffers)]  # fmt: skip
    return [*steps, Pass(1500), Read("ICR", "causes before", mask=USUAL_CAUSES)]


def arrived(name: str, head: int, *descriptors: int, length: int = 64) -> list[Step]:
    """Wait for the head; what the descriptors tell, and the beginning of what their buffers hold."""
    steps: list[Step] = [Until("RDH", 0xFFFF, head, f"{name} stored"), Pass(1)]
    for place in descriptors:
        at, title = RX_RING + 16 * place, f"{name} descriptor {place}"
        steps += [Peek(at + 8, 2, f"{title} length"), Peek(at + 12, 1, f"{title} status")]
        steps += [Peek(at + 13, 1, f"{title} errors"), Peek(at + 14, 2, f"{title} special")]
        steps += [Peek(RX_DATA + place * STRIDE, length, f"{title} data")]
    return [*steps, Read("ICR", f"{name} causes", mask=USUAL_CAUSES)]


def receive_fields() -> list[Step]:
    """A descriptor that held something else before is written whole but for its address (3.2.3)."""
    steps = [*receiver(), Poke(RX_RING + 8, b"\xee" * 4 + b"\x00" + b"\xee" * 3)]
    steps += [Arrive(frames.plain(75, frames.CARD, frames.STATION)), Until("RDH", 0xFFFF, 1, "stored"), Pass(1)]
    for at, length, name in ((8, 2, "length"), (10, 2, "checksum"), (12, 1, "status"), (13, 1, "errors")):
        steps += [Peek(RX_RING + at, length, name)]
    return [*steps, Peek(RX_RING + 14, 2, "special")]


def receive_threshold() -> list[Step]:
    """RXDMT0 when the free descriptors fall to half of the ring, and not again until they do so once more (13.4.22)."""
    steps = receiver(RCTL_ON | SECRC)
    for place in range(6):
        steps += [Arrive(frames.plain(60, frames.BROADCAST, frames.STATION))]
        steps += [Until("RDH", 0xFFFF, place + 1, f"frame {place} stored"), Pass(1)]
        steps += [Read("ICR", f"RXDMT0 with {6 - place} free", mask=1 << 4)]
    return steps


def receive_plain() -> list[Step]:
    """What the filters of 10.1 let in, sizes, and the counters; the last frame proves that all before were seen."""
    steps = receiver()
    for target in (frames.OTHER, frames.GROUP, frames.CARD):
        steps += [Arrive(frames.plain(75, target, frames.STATION))]
    steps += arrived("exact", 1, 0, length=80)
    steps += [Arrive(frames.plain(60, frames.BROADCAST, frames.STATION)), *arrived("broadcast", 2, 1, length=68)]
    steps += [Arrive(frames.plain(1514, frames.CARD, frames.STATION)), *arrived("full size", 3, 2, length=1520)]
    steps += [Write("RCTL", RCTL_ON | SECRC), Pass(1500), Arrive(frames.plain(75, frames.CARD, frames.STATION))]
    steps += arrived("without FCS", 4, 3, length=80)
    steps += [Arrive(frames.plain(1700, frames.CARD, frames.STATION))]
    steps += [Arrive(frames.plain(75, frames.CARD, frames.STATION)), *arrived("after one too long", 5, 4, length=80)]
    return [*steps, *counters(*RECEIVED)]


def receive_filters() -> list[Step]:
    """Promiscuous modes, further addresses and the multicast table (10.1, 13.5)."""
    sentinel = Arrive(frames.plain(60, frames.BROADCAST, frames.STATION))
    other = Arrive(frames.plain(75, frames.OTHER, frames.STATION))
    group = Arrive(frames.plain(76, frames.GROUP, frames.STATION))
    steps = receiver()
    steps += [Write("RCTL", RCTL_ON | UPE), Pass(1500), other, group, sentinel, *arrived("UPE", 2, 0, 1)]
    steps += [Write("RCTL", RCTL_ON | MPE), Pass(1500), other, group, sentinel, *arrived("MPE", 4, 2, 3)]
    low, high = struct.unpack("<IH", frames.OTHER)
    # MO 0 takes bits 47:36 of the address: the last byte and the high half of the one before (13.5.1).
    bits = frames.GROUP[5] << 4 | frames.GROUP[4] >> 4
    steps += [Write("RAL[5]", low), Write("RAH[5]", 1 << 31 | high), Write(f"MTA[{bits >> 5}]", 1 << (bits & 31))]
    steps += [Write("RCTL", RCTL_ON), Pass(1500), other, *arrived("RAR 5", 5, 4), group, *arrived("MTA", 6, 5)]
    return steps


def receive_pieces() -> list[Step]:
    """A frame over several buffers, and the end of the buffers (3.2.6, 3.2.7)."""
    steps = receiver(RCTL_ON | BSIZE_256 | SECRC, buffers=4)
    steps += [Arrive(frames.plain(700, frames.CARD, frames.STATION)), *arrived("700 bytes", 3, 0, 1, 2, length=256)]
    return [*steps, Arrive(frames.plain(100, frames.CARD, frames.STATION)), *arrived("last buffer", 4, 3)]


def receive_vlan() -> list[Step]:
    """Tags taken off, and the filter on them (9.2, 9.4)."""
    steps = receiver(RCTL_ON | VFE | SECRC, SLU | VME)
    steps += [Write("VFTA[0]", 1 << 5), Arrive(frames.tagged(100, 6)), Arrive(frames.tagged(100, 0x6005))]
    steps += arrived("VLAN 5", 1, 0, length=104)
    return [*steps, Arrive(frames.plain(100, frames.CARD, frames.STATION)), *arrived("untagged", 2, 1, length=104)]


def receive_checksum() -> list[Step]:
    """IPv4, TCP and UDP checksums verified, and the packet checksum (3.2.3, 3.2.9, 13.4.47)."""
    to_card = {"target": frames.CARD, "source": frames.STATION}
    good = frames.ip4(frames.tcp(frames.pattern(50)), 6, **to_card)
    bad_ip, bad_tcp = bytearray(good), bytearray(good)
    bad_ip[24] ^= 0x55
    bad_tcp[60] ^= 0x55
    steps = [*receiver(RCTL_ON | SECRC), Write("RXCSUM", 0x30E)]
    arrivals = {"good TCP": good, "bad IPv4": bytes(bad_ip), "bad TCP": bytes(bad_tcp),
                "good UDP": frames.ip4(frames.udp(frames.pattern(51)), 17, **to_card)}  # fmt: skip
    for place, (name, frame) in enumerate(arrivals.items()):
        steps += [Arrive(frame), *arrived(name, place + 1, place)]
    return steps


PAUSE = bytes.fromhex("0180c2000001") + frames.STATION + bytes.fromhex("88080001") + b"\xff\xff" + bytes(42)


def flow_control() -> list[Step]:
    """A PAUSE frame stops the transmitter, and software sends one (8.7, 13.4.33)."""
    steps = [*transmitter(SLU | RFCE), *receiver(RCTL_ON | SECRC, SLU | RFCE)[2:-1], *fill(frames.plain(60))]
    steps += [Write("FCAL", 0x00C28001), Write("FCAH", 0x0100), Write("FCT", 0x8808), Write("FCTTV", 0x1234)]
    steps += [Arrive(PAUSE), Arrive(frames.plain(60, frames.BROADCAST, frames.STATION))]
    steps += [Until("RDH", 0xFFFF, 1, "frame after the PAUSE stored"), Read("STATUS", "TXOFF", mask=1 << 4)]
    steps += [Read("XOFFRXC"), Read("GPRC"), Write("TCTL", TCTL_ON | 1 << 22), Pass(1)]
    return [*steps, Left(1, "XOFF frame"), Read("XOFFTXC")]


def loopback() -> list[Step]:
    """PHY loopback (BMCR bit 14): what leaves comes back and nothing reaches the wire."""
    steps = [*transmitter(), *receiver(RCTL_ON | UPE | SECRC)[2:-1]]
    steps += [*phy_write(0, 0x4140, "loopback"), Pass(600), *fill(frames.plain(100, frames.CARD))]
    steps += [Poke(TX_RING, legacy(0, 100, EOP | IFCS | RS)), Write("TDT", 1)]
    steps += [Until("TDH", 0xFFFF, 1, "fetched"), Left(0, "on the wire")]
    return [*steps, *arrived("looped", 1, 0, length=104)]


SCRIPTS: dict[str, list[Step]] = {
    "reset": reset_values(),
    "masks": masks(),
    "widths": widths(),
    "soft-reset": soft_reset(),
    "io-window": io_window(),
    "eeprom": eeprom(),
    "phy": phy(),
    "interrupts": interrupts(),
    "transmit": transmit_plain(),
    "transmit-legacy-checksum": transmit_legacy_checksum(),
    "transmit-vlan": transmit_vlan(),
    "transmit-offload": transmit_offload(),
    "transmit-segments": transmit_segments(),
    "no-bus-master": no_bus_master(),
    "receive": receive_plain(),
    "receive-fields": receive_fields(),
    "receive-threshold": receive_threshold(),
    "receive-filters": receive_filters(),
    "receive-pieces": receive_pieces(),
    "receive-vlan": receive_vlan(),
    "receive-checksum": receive_checksum(),
    "flow-control": flow_control(),
    "loopback": loopback(),
}
