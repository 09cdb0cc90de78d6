"""Real code drives an NE2000: a small driver runs on Unicorn, in real mode and then as flat 32-bit code.

    pip install 'nicemu[unicorn]'
    python examples/ne2000_unicorn.py [FRAMES]

The driver (`ne2000_unicorn.S`, whose bytes stand below) initialises the ISA card by the data sheet, answers some
frames, and takes in FRAMES long ones (2000) as fast as it can.  The wire holds back what the ring has no room for: none
is lost.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterable

from unicorn import UC_ARCH_X86, UC_MODE_16, UC_MODE_32, Uc
from unicorn.x86_const import UC_X86_REG_EIP, UC_X86_REG_ESP

import nicemu
from nicemu.backends import Backend, PythonBackend
from nicemu.hosts.unicorn import Bus

MODES = {16: UC_MODE_16, 32: UC_MODE_32}
CODE = {
    16: bytes.fromhex("""
        fcba1f03eceeba0703eca88074f8ba0003b021eeba0e03b049eeba0a03b000eeba0b03b000eeba0c03b020eeba0d03b002eeba01
        03b046eeba0303b046eeba0203b080eeba0703b0ffeeba0f03b000eeba0003b022ee31dbb92000bf0020e83a01ba0003b061eebe
        0020bf1008ba0103b90600adeeaa42e2faba0703b047eeba0803b9080030c0ee42e2fcba0003b022eeba0d03b000eeba0c03b004
        eeb747f4eb0eba0703eca80174f8ba0703b001ee833e1808000f859e00ba0003b062eeba0703ec88c4ba0003b022ee38e774d330
        dbb90400bf2008e8c100b30431c98b0e220883e904010e0408831606080051bf0020e8a60059ff0600088a3e210888f83c467502
        b080fec8ba0303eea10c203d88b574243d88b6740c3d88b77404890e1608f4eb8bbe0020d1e931d2ad01c2e2fb01160808e978ff
        51be0620bf0020b90300f3a5be1008b90300f3a559e81400ff060c08e959ff31c9870e1808e80400f4e94cffba050388c8ee4288
        e8eeba0403b040ee53bb0040b412e83400be0020f36fe81d005bba0003b026eeba0703eca80a74f8ba0703b00aeec3b40ae81100
        f36dba0703eca84074f8ba0703b040eec383c10183e1feba0a0388c8ee4288e8eeba080388d8ee4288f8eeba000388e0eed1e9ba
        1003c3
    """),
    32: bytes.fromhex("""
        fc66ba1f03ecee66ba0703eca88074f766ba0003b021ee66ba0e03b049ee66ba0a03b000ee66ba0b03b000ee66ba0c03b020ee66
        ba0d03b002ee66ba0103b046ee66ba0303b046ee66ba0203b080ee66ba0703b0ffee66ba0f03b000ee66ba0003b022ee6631dbb9
        20000000bf00200000e8ac01000066ba0003b061eebe00200000bf1008000066ba0103b90600000066adeeaa6642e2f866ba0703
        b047ee66ba0803b90800000030c0ee6642e2fb66ba0003b022ee66ba0d03b000ee66ba0c03b004eeb747f4eb1066ba0703eca801
        74f766ba0703b001ee66833d18080000000f85e300000066ba0003b062ee66ba0703ec88c466ba0003b022ee38e774c930dbb904
        000000bf20080000e811010000b30431c9668b0d2208000083e90466010d04080000668315060800000051bf00200000e8e90000
        005966ff05000800008a3d2108000088f83c467502b080fec866ba0303ee66a10c200000663d88b57436663d88b67413663d88b7
        740766890d16080000f4e95effffffbe00200000d1e96631d266ad6601c2e2f966011508080000e941ffffff51be06200000bf00
        200000b90300000066f3a5be10080000b90300000066f3a559e82000000066ff050c080000e90fffffff31c966870d18080000e8
        06000000f4e9fbfeffff66ba050388c8ee664288e8ee66ba0403b040ee5366bb0040b412e83f000000be00200000f36fe8220000
        005b66ba0003b026ee66ba0703eca80a74f766ba0703b00aeec3b40ae813000000f36d66ba0703eca84074f766ba0703b040eec3
        83c10383e1fc66ba0a0388c8ee664288e8ee66ba080388d8ee664288f8ee66ba000388e0eec1e90266ba1003c3
    """),
}
ORIGIN, STACK, MEMORY = 0x1000, 0xF000, 1 << 20
FRAMES, SUM = 0x800, 0x808  # where the driver counts
TAKEN, GIVEN, FRAME = 0x816, 0x818, 0x2000  # lengths of frames of other types, and where the one in hand is
CARD, STATION = bytes.fromhex("525400123456"), bytes.fromhex("020000000001")
ANSWER, ADD, END = b"\x88\xb5", b"\x88\xb6", b"\x88\xb7"


class Station(PythonBackend):
    """The far end of the wire: says its frames as there is room for them, and keeps what it hears."""

    def __init__(self) -> None:
        self.waiting: list[bytes] = []
        self.heard: list[bytes] = []
        super().__init__(name="station")

    def send(self, frames: list[bytes]) -> None:
        """Frames of the card."""
        self.heard += frames

    def poll(self) -> None:
        """Says what there is room for."""
        said = self.deliver(self.waiting[:64])
        del self.waiting[:said]


def frame(kind: bytes, length: int, seed: int = 0) -> bytes:
    """A frame for the card, its contents by `seed`."""
    content = bytes((seed + 7 * at) & 0xFF for at in range(256)) * (length // 256 + 1)
    return (CARD + STATION + kind + content)[:length]


def words(data: bytes) -> int:
    """The sum of the words, as the driver makes it."""
    return sum(data[at] | data[at + 1] << 8 for at in range(0, len(data), 2)) & 0xFFFF


class Computer:
    """An engine with the driver in its memory, and an NE2000 on a wire to a station, or to another backend."""

    def __init__(self, bits: int, backend: Backend | None = None, overflow: str = "hold") -> None:
        self.station = Station()
        self.nic = nicemu.create("ne2k_isa", backend=backend or self.station, overflow=overflow, mac=CARD.hex(":"))
        self.uc = Uc(UC_ARCH_X86, MODES[bits])
        self.uc.mem_map(0, MEMORY)
        self.uc.mem_write(ORIGIN, CODE[bits])
        self.uc.reg_write(UC_X86_REG_ESP, STACK)
        self.bus = Bus(self.uc)
        self.bus.add_isa(self.nic)
        self.end = ORIGIN + len(CODE[bits])
        self.uc.emu_start(ORIGIN, self.end)  # to its first HLT: it is ready

    def hear(self, frames: Iterable[bytes]) -> None:
        """Runs the driver while the station says these frames, to the last."""
        self.station.waiting += [*frames, frame(END, 60)]
        self.run()

    def run(self) -> None:
        """Runs the driver to its next HLT."""
        self.uc.emu_start(self.uc.reg_read(UC_X86_REG_EIP), self.end)

    def send(self, content: bytes) -> None:
        """Has the driver send a frame."""
        self.uc.mem_write(FRAME, content)
        self.uc.mem_write(GIVEN, len(content).to_bytes(2, "little"))
        self.run()

    def receive(self) -> bytes:
        """Runs the driver until a frame of another type than it knows has come in."""
        self.run()
        return bytes(self.uc.mem_read(FRAME, self.result(TAKEN)))

    def result(self, address: int) -> int:
        """One of the driver's counts, a word."""
        return int.from_bytes(self.uc.mem_read(address, 2), "little")


def main() -> None:
    """Both kinds of code, each with answers and then in bulk."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("frames", type=int, nargs="?", default=2000, help="of 1514 bytes, to take in")
    count = parser.parse_args().frames
    for bits in CODE:
        computer = Computer(bits)
        asked = [frame(ANSWER, length, length) for length in (60, 61, 256, 1000, 1513, 1514)]
        computer.hear(asked)
        heard = computer.station.heard
        right = heard == [STATION + CARD + question[12:] for question in asked]
        print(f"{bits}-bit code: {len(heard)} answers to {len(asked)} frames, {'as' if right else 'not as'} asked")

        computer = Computer(bits)
        bulk = [frame(ADD, 1514, seed) for seed in range(count)]
        begin = time.perf_counter()
        computer.hear(bulk)
        seconds = time.perf_counter() - begin
        came, found, expected = computer.result(FRAMES) - 1, computer.result(SUM), sum(map(words, bulk)) & 0xFFFF
        print(f"{bits}-bit code: {came} of {count} frames came in, sum {found:04x} of {expected:04x}", end=", ")
        print(f"{8 * 1514 * count / seconds / 1e6:.0f} Mbit/s")
        print("findings:", [str(finding) for finding in computer.nic.findings] or "none")


if __name__ == "__main__":
    main()
