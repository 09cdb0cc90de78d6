"""What Linux, FreeBSD and OpenBSD do to an 88E8057, access by access (docs/yukon2-facts.md, 4 and 8).

A script is what the driver's functions do, in their order and widths: `W16 c50=b` writes, `R8 11b=ba` reads and must
get that, `R32 00c` reads; `CW16 006=f910` and `CR16 006` are configuration cycles. Numbers are hexadecimal, offsets
those of BAR 0 or of configuration space.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
import pytest

import nicemu
from nicemu.checks import Recorder
from nicemu.devices.yukon2_descriptors import LIST_ELEMENT, OWNER, Opcode, element

MAC = bytes.fromhex("525400123456")
PEER = bytes.fromhex("0200000000aa")
STATUS, TX, RX, BUFFERS, DATA = 0x10000, 0x20000, 0x30000, 0x100000, 0x400000
OUT = PEER + MAC + b"\x88\xb5" + bytes(range(100))
IN = MAC + PEER + b"\x88\xb5" + bytes(range(200))


class Machine:
    """The card as firmware leaves it, and a driver that is a script."""

    def __init__(self, chip: str = "88e8057") -> None:
        self.chip = chip
        self.ram = bytearray(8 << 20)
        memory = nicemu.GuestMemory()
        memory.add(0, self.ram)
        self.wire, self.lines, self.messages = Recorder(), [], 0
        self.clock = nicemu.Clock.virtual()
        self.nic = nicemu.create(
            "yukon2", mac=MAC.hex(":"), memory=memory, backend=self.wire, clock=self.clock,
            irq=self.lines.append, msi=self.message, chip=chip,
        )  # fmt: skip
        self.nic.config.write(4, 7, 2)
        self.taken = 0

    def message(self) -> None:
        self.messages += 1

    def run(self, script: str) -> int:
        """Does the accesses; returns what the last one read. Scripts have the ids of the 88E8057."""
        value = 0
        if self.chip == "88e8056":
            script = script.replace("R8 11b=ba; R8 11a=1;", "R8 11b=b4; R8 11a=31;")
        for step in filter(None, map(str.strip, re.split(r"[;\n]", script))):
            match = re.fullmatch(r"(C?)([WR])(8|16|32) ([0-9a-f]+)(?:=([0-9a-f]+))?", step)
            assert match, step
            space = self.nic.config if match[1] else self.nic.bars[0]
            offset, size = int(match[4], 16), int(match[3]) // 8
            if match[2] == "W":
                space.write(offset, int(match[5], 16), size)
                continue
            value = space.read(offset, size)
            assert match[5] is None or value == int(match[5], 16), f"{step}, but it read {value:#x}"
        return value

    def poll_for(self, offset: int, size: int, mask: int, limit: int) -> None:
        """A driver's polling loop."""
        for _ in range(limit):
            if self.nic.bars[0].read(offset, size) & mask:
                return
        raise AssertionError(f"{offset:#x} & {mask:#x} stayed 0 for {limit} reads")

    def phy(self, register: int, value: int | None = None) -> int:
        """An SMI access with the loops that all drivers have."""
        if value is not None:
            self.run(f"W16 2884={value:x}; W16 2880={register << 6:x}")
            assert not self.nic.bars[0].read(0x2880, 2) & 8
            return value
        self.run(f"W16 2880={register << 6 | 0x20:x}")
        self.poll_for(0x2880, 2, 0x10, 1000)
        return self.run("R16 2884")

    def put(self, at: int, index: int, le: np.void) -> None:
        """A list element."""
        self.ram[at + 8 * index : at + 8 * index + 8] = le.tobytes()

    def by_owner(self) -> list[tuple[int, int, int]]:
        """The status list by HW_OWNER, as OpenBSD and FreeBSD take it."""
        found = []
        while self.ram[STATUS + 8 * self.taken + 7] & OWNER:
            [le] = np.frombuffer(bytes(self.ram[STATUS + 8 * self.taken :][:8]), LIST_ELEMENT)
            self.ram[STATUS + 8 * self.taken : STATUS + 8 * self.taken + 8] = bytes(8)
            found.append((int(le["opcode"]) & ~OWNER, int(le["address"]), int(le["length"])))
            self.taken = (self.taken + 1) % 2048
        return found

    def arrive(self, frame: bytes) -> None:
        """A frame comes over the wire."""
        assert self.wire.deliver([frame]) == 1
        self.nic.poll()


@pytest.fixture
def machine() -> Iterator[Machine]:
    machine = Machine()
    yield machine
    machine.nic.close()


@pytest.fixture(params=["88e8057", "88e8056"])
def either(request: pytest.FixtureRequest) -> Iterator[Machine]:
    """A machine with one part, and with the other: drivers do the same to both here."""
    machine = Machine(request.param)
    yield machine
    machine.nic.close()


def address_writes() -> str:
    words = [int.from_bytes(MAC[2 * i : 2 * i + 2], "little") for i in range(3)]
    return "; ".join(f"W16 {base + 4 * i:x}={word:x}" for base in (0x281C, 0x2828) for i, word in enumerate(words))


# ------------------------------------------------------------------------------------------------- FreeBSD


FREEBSD_ATTACH = """
    W32 1c80=0; W16 004=2; R8 11b=ba; R8 11a=1; R8 119=54; R8 11e=1
    CR16 006=10; W8 158=2; CW16 006=f910; W16 004=8; W32 1d04=ffffffff; R32 1d04=0; W8 007=a6; W32 120=1; W8 11d=0
    R32 1c40; R32 1c84; W32 1c84=0; R32 1c88; W32 1c88=0; W32 1c94=0; W16 004=8000; R32 15c=0; W32 15c=2000
    R32 15c=2000; W32 1c40=0; W16 f10=1; W16 f10=2; W8 f04=1; W8 f04=2; W32 f00=1; W32 f00=2; W32 f00=10
    W8 158=1; W16 004=200; W32 168=1; W8 138=2; W8 138=1; W8 e08=1; W8 e18=2; W8 e18=1
    W32 014=0; R32 014=0; W32 00c=0; R32 00c=0; CR16 0c8=2810; CW16 0c8=4810; CR16 0c8=4810
    W32 e80=1; W32 e80=2; W32 e88=10000; W32 e8c=0; W16 e84=7ff; W16 e98=a; W8 eac=10; W8 ead=10
    W32 ed0=190; W32 ec0=1e848; W32 e80=8; W8 ec8=4; W8 eb8=4; W8 ed8=4
    R8 11c=0; R8 100=52; R8 101=54; R8 102=0; R8 103=12; R8 104=34; R8 105=56
"""
FREEBSD_INIT = """
    W32 f00=1; W32 f00=2; W32 f00=10; W16 2804=0; R8 f08=0
    R16 2888=0; W16 2888=20; {counters}; W16 2888=0
    W16 280c=2000; W16 2808=1000; W16 2810=ffff; W16 2814=d7c4; W16 2818=221e
    {addresses}
    W16 2850=0; W16 2854=0; W16 2858=0; W32 c48=1; W32 c48=2; W32 c48=88
    R16 280c=2000; W16 2834=0; W16 2838=0; W16 283c=0; W16 2840=0; W16 280c=a000
    W32 c4c=18fb; W16 c50=b; W32 d48=1; W32 d48=2; W32 d48=8; W32 c48=02000000; W32 d48=02000000
    W16 c5a=60; W16 c58=80; W32 d48=40000000; W8 210=54; W8 210=2; W8 a28=1
    W32 6b4=16; W32 6b4=d28; W32 6b4=80; W16 6c0=600; W32 434=16; W32 434=d28; W32 434=80; W16 440=600
    W32 6d0=1; W32 6d0=2; W32 6d8=20000; W32 6dc=0; W16 6d4=17f; W32 6d0=8; R32 6d0=a
    W32 434=6000; W32 450=1; W32 450=2; W32 458=30000; W32 45c=0; W16 454=1ff; W32 450=8; R32 450=a
"""
FREEBSD_ON = """
    W32 14c=c000001d; W32 140=30d4; W32 144=30d4; W8 148=4; W32 014=2f00003f; R32 014=2f00003f
    W32 00c=c000001d; R32 00c=c000001d
"""
FREEBSD_STOP = """
    W32 014=0; R32 014=0; W32 00c=0; R32 00c=0; R16 2804; W16 2804=0; R16 2804=0; W32 6b4=200
"""
FREEBSD_RESET_ALL = """
    W8 aa8=5; W8 f0c=0; W16 2884=0; W16 2880=480; R16 2880=480; W8 210=54; W32 6b4=11; W32 6d0=1; W32 d48=1; W32 f00=4
    W8 828=4
"""


FREEBSD_SUSPEND = """
    W32 00c=0; R32 00c=0; W32 014=0; R32 014=0; R32 1c40; W32 1c40=0c000000; W8 11d=77; W8 007=a9; W16 004=1
"""
FREEBSD_DETACH = "W32 00c=0; R32 00c=0; W32 014=0; R32 014=0; W16 004=100; W16 004=1"


def counters_of_freebsd() -> str:
    """Both halves of each, the high one first."""
    return "; ".join(f"R16 {0x2904 + 8 * i:x}; R16 {0x2900 + 8 * i:x}" for i in range(44))


def freebsd_receive_list(machine: Machine) -> None:
    """Two elements for the start of checksums, then address and buffer, until the list is exactly full (3.4)."""
    for n in range(2):
        machine.put(RX, n, element(Opcode.TCPSTART, 14 << 16 | 14))
    for n in range(255):
        machine.put(RX, 2 + 2 * n, element(Opcode.ADDR64, 0))
        machine.put(RX, 3 + 2 * n, element(Opcode.PACKET, BUFFERS + 2048 * n, 0x7FE))


def freebsd_stop(machine: Machine) -> None:
    machine.run(FREEBSD_STOP)
    machine.poll_for(0x6B4, 4, 0x80000200, 1000)  # "Tx BMU stop failed"
    machine.run(FREEBSD_RESET_ALL)
    assert machine.run("R8 846") == machine.run("R8 84a")  # "Rx BMU stop failed"
    machine.run("W32 434=11; W32 450=1; W32 c48=1")


def freebsd_up(machine: Machine) -> None:
    machine.run(FREEBSD_ATTACH)
    freebsd_stop(machine)  # what msk_init_locked begins with
    machine.run(FREEBSD_INIT.format(addresses=address_writes(), counters=counters_of_freebsd()))
    freebsd_receive_list(machine)
    machine.run("W16 464=1ff")
    machine.poll_for(0x460, 2, 0xFFF, 100)  # "prefetch unit stuck?"
    machine.run(FREEBSD_ON)


def test_freebsd(machine: Machine) -> None:
    """mskc_attach, mskc_reset, msk_init_locked; link by polling, interrupts by 01c, stop with its three loops."""
    freebsd_up(machine)
    assert [machine.phy(n) for n in (2, 3)] == [0x0141, 0x0CB1]
    machine.phy(1)
    assert machine.phy(1) & 4
    assert machine.phy(17) & 0xEC00 == 0xAC00
    machine.run("W8 f0c=a; W16 2804=18a7; R16 2804=18a7; W32 f00=8")
    machine.phy(18, 0x0080)
    frames = 0
    for n in range(900):  # round a list of 384 elements more than twice
        at = n % 384
        machine.ram[DATA : DATA + len(OUT)] = OUT
        machine.put(TX, at, element(Opcode.PACKET, DATA, len(OUT), 0x80))
        machine.run(f"W16 6e4={(at + 1) % 384:x}")
        if n % 12 == 11:
            machine.clock.advance(2_000_000)
            assert machine.run("R32 01c") == 1 << 30
            reports = machine.by_owner()
            assert machine.run("R16 e9c") == machine.taken
            assert {opcode for opcode, _, _ in reports} == {Opcode.TXINDEXLE}
            assert reports[-1][1] == (at + 1) % 384
            machine.run("W32 e80=10; W32 02c=2")
            frames += 12
    assert machine.wire.frames == [OUT] * frames == [OUT] * 900
    machine.arrive(IN)
    machine.clock.advance(1_000_000)
    assert machine.run("R32 01c") == 1 << 30
    sums, status = machine.by_owner()
    assert (sums[0], status) == (Opcode.RXCHKS, (Opcode.RXSTAT, len(IN) << 16 | 0x100, len(IN)))
    assert machine.ram[BUFFERS : BUFFERS + len(IN)] == IN
    machine.run("W32 e80=10; W32 02c=2; R32 01c=0; W32 02c=2")
    freebsd_stop(machine)
    assert machine.run("R16 6e0") == machine.run("R16 460") == 0
    machine.run(FREEBSD_DETACH)
    assert machine.nic.finding_counts == {}


def test_freebsd_takes_the_first_buffer_whose_address_came_before_put(machine: Machine) -> None:
    """Its first PUT_IDX stands between an ADDR64 and its PACKET."""
    freebsd_up(machine)
    machine.run("W16 2804=18a7")
    for n in range(254):
        machine.arrive(IN)
        assert len(machine.by_owner()) == 2, n
    assert machine.run("R16 460") == 0x1FF  # the address is eaten, its buffer is not there yet
    machine.run("W16 464=0")
    machine.arrive(IN)
    assert len(machine.by_owner()) == 2
    assert machine.ram[BUFFERS + 2048 * 254 :][: len(IN)] == IN
    freebsd_stop(machine)
    machine.run(FREEBSD_SUSPEND)  # it powers the PHY down with the gate to configuration space closed
    assert machine.nic.finding_counts == {"yukon2.access.locked": 1}


# ------------------------------------------------------------------------------------------------- OpenBSD

OPENBSD_RESET = """
    R8 11b=ba; R8 11a=1; W8 004=1; W8 004=4; W8 004=2; W8 004=8; W8 158=2; W32 1c80=0
    R32 1c84; W32 1c84=0; R32 1c88; W32 1c88=0; W32 1c94=0; R32 15c; W32 15c=2000; R32 15c=2000; R32 1c40; W32 1c40=0
    W8 11d=0; W16 f10=1; W16 f90=1; W16 f10=2; W16 f90=2; W8 158=1; W8 e68=8; W16 004=1000; W32 168=1; W8 138=2
    W8 138=1; W32 e08=1; W8 e18=2; W8 e18=1; W8 1a0=2; {arbiter}; W8 1e0=2; {second}
    W32 e80=1; W32 e80=2; W16 e84=7ff; W32 e88=10000; W32 e8c=0; W16 e98=a; W8 eac=10; W8 ead=10; W32 ed0=1f4
    W32 e80=8; W8 eb8=4; W8 ec8=4; W8 ed8=4; R8 11c=0; R8 119=54; R8 11e=1; W16 006=200
"""
OPENBSD_PORT = """
    R8 100=52; R8 101=54; R8 102=0; R8 103=12; R8 104=34; R8 105=56; W32 f00=1; W32 f04=1; W32 f04=2; W32 f00=1a
    R16 f08=0; R16 2888; W16 2888=20; {counters}; W16 2888=0; W16 280c=2000; W16 2814=d7c4; W16 2818=231e
    R16 108=5452; R16 10a=1200; R16 10c=5634; {addresses}; W16 280c=e000
    W16 2834=0; W16 2838=0; W16 283c=0; W16 2840=0; W16 2850=0; W16 2854=0; W16 2858=0
    W16 c4c=187b; W8 c48=2; W16 c48=88; W16 c50=b; W8 d48=2; W16 d48=8; W16 2804=1800
"""
OPENBSD_INIT = """
    W8 210=54; W8 210=2; W8 828=2; W32 800=0; W32 804=ffffffff; W32 808=0; W32 80c=0; W8 828=8; W8 aa8=2; W32 a80=0
    W32 a84=ffffffff; W8 aa8=8; W32 434=16; W32 434=d28; W32 434=80; W16 440=600; W32 6b4=16; W32 6b4=d28; W32 6b4=80
    W16 6c0=600; W8 a28=1
"""
OPENBSD_ON = """
    W32 450=1; W32 450=2; W16 454=1ff; W32 458=30000; W32 45c=0; W32 450=8; R32 450=a
    W32 6d0=1; W32 6d0=2; W16 6d4=1ff; W32 6d8=20000; W32 6dc=0; W32 6d0=8; R32 6d0=a
    W16 464=41; W16 6e4=0; W32 00c=4000001d
"""
OPENBSD_STOP = """
    W32 c48=2a; W32 d48=6a; W32 434=00155500; W8 828=5; W32 6b4=00155500; W8 aa8=5; W8 210=15; W8 c28=2; W8 d28=2
    W8 c3c=1; W32 450=1; W32 6d0=1; W32 00c=0
"""


def openbsd_up(machine: Machine) -> None:
    first, second = ("; ".join(f"W8 {base + i:x}=24" for i in range(12)) for base in (0x190, 0x1D0))
    machine.run(OPENBSD_RESET.format(arbiter=first, second=second))
    counters = "; ".join(f"R16 {0x2900 + 8 * i:x}" for i in range(44))
    machine.run(OPENBSD_PORT.format(addresses=address_writes(), counters=counters))
    machine.taken = 0


def test_openbsd(either: Machine) -> None:
    """mskc_reset, msk_init_yukon, msk_init; it goes by HW_OWNER and reads the sources at 008."""
    machine = either
    openbsd_up(machine)
    machine.arrive(IN)  # GP_CTRL receives long before there is a list: the frame is lost, and nothing else
    found = [address for address in range(32) if machine_phy_answers(machine, address)]
    assert found == [0]
    openbsd_traffic(machine)
    openbsd_up(machine)  # its watchdog resets and initializes everything
    openbsd_traffic(machine)


def openbsd_traffic(machine: Machine) -> None:
    machine.wire.frames.clear()
    machine.put(RX, 0, element(Opcode.ADDR64, 0))
    for n in range(64):
        machine.put(RX, 1 + n, element(Opcode.PACKET, BUFFERS + 0x2400 * n, 0x233C))
    machine.put(TX, 0, element(Opcode.ADDR64, 0))
    machine.run(OPENBSD_INIT)
    machine.run(OPENBSD_ON)
    machine.ram[DATA : DATA + len(OUT)] = OUT
    machine.put(TX, 1, element(Opcode.PACKET, DATA, 50))
    machine.put(TX, 2, element(Opcode.BUFFER, DATA + 50, len(OUT) - 50, 0x80))
    machine.run("W16 6e4=3")
    machine.clock.advance(5_000)
    assert machine.wire.frames == [OUT]
    assert machine.lines[-1] is True
    machine.run("R32 01c=40000000; R32 008=40000000")
    assert machine.by_owner() == [(Opcode.TXINDEXLE, 3, 0)]
    machine.run("W32 e80=10; W32 02c=2; R32 01c=0; W32 02c=2")
    machine.arrive(IN)
    machine.clock.advance(5_000)
    machine.run("R32 01c=40000000; R32 008=40000000")
    assert machine.by_owner() == [(Opcode.RXSTAT, len(IN) << 16 | 0x100, len(IN))]
    assert machine.ram[BUFFERS : BUFFERS + len(IN)] == IN
    machine.put(RX, 65, element(Opcode.PACKET, BUFFERS + 0x2400 * 64, 0x233C))
    machine.run("W32 e80=10; W32 02c=2; W16 464=42")
    assert machine.lines[-1] is False
    machine.run(OPENBSD_STOP)
    machine.run("R16 6e0=0; R16 460=0")
    machine.arrive(IN)
    assert machine.by_owner() == []


def machine_phy_answers(machine: Machine, address: int) -> bool:
    """The MII scan: BMSR of every address, neither 0 nor all ones."""
    machine.run(f"W16 2880={address << 11 | 1 << 6 | 0x20:x}")
    machine.poll_for(0x2880, 2, 0x10, 1000)
    return machine.run("R16 2884") not in (0, 0xFFFF)


# ------------------------------------------------------------------------------------------------- Linux

LINUX_PROBE = """
    W32 1c80=0; W8 004=2; R8 11b=ba; R8 11a=1; R8 119=54; R8 11e=1; R8 11c=0
    W8 e68=8; W16 004=1000; W8 004=1; W8 004=2; W8 158=2; R16 1c06=10; W16 1c06=f910; W8 004=8; W32 1d04=ffffffff
    R32 010=0; W8 007=a6; W32 120=1; W8 11d=0; W32 1c80=0; R32 1c84; W32 1c84=0; R32 1c88; W32 1c88=0; W32 1c94=0
    W16 004=8000; R32 15c=0; W32 15c=2000; R32 15c=2000; W16 004=200; W8 158=1; W8 f10=1; W8 f10=2; W32 168=1
    W8 138=2; W8 138=1; W32 e08=1; W8 e18=2; W8 e18=1; W8 210=2; W8 1a0=2; W32 014=2e003f3f
    W8 f0c=0; W16 2834=0; W16 2838=0; W16 283c=0; W16 2840=0; R16 280c=0; W16 280c=c000
    W32 e80=1; W32 e80=2; W32 e88=10000; W32 e8c=0; W16 e84=7ff; W16 e98=a; W8 eac=10; W8 ead=10
    W32 ec0=1e848; W32 ed0=9c4; W32 eb0=30d4; W32 e80=8; W8 ec8=4; W8 eb8=4; W8 ed8=4
    R32 100=12005452; R16 104=5634
"""
LINUX_MSI_TEST = "W32 00c=02000000; W8 004=80; R8 004; R32 01c=02000000; W8 004=40; W32 02c=2; W32 00c=0; R32 00c=0"
LINUX_STOP = """
    W32 00c=0; R32 00c=0; W32 f00=4; W32 6b4=200; R32 6b4; W32 aa8=5; R16 2804; W16 2804=0; W8 f04=1; W8 f00=1; W8 c48=1
    W32 eb4=0; W32 ec4=0; W32 ed4=0; R8 ed8=4; W8 828=4; R8 846=0; R8 84a=0; W32 434=11; W32 450=1; W8 f04=2; W8 f00=2
    W16 2804=4f
"""


def test_linux_probe_and_the_last_accesses_of_stop(either: Machine) -> None:
    """sky2_probe, sky2_reset, sky2_test_msi; what sky2_close leaves (the rest runs in real guests)."""
    machine = either
    assert machine.nic.config.read(0x44, 4) != 0xFFFFFFFF
    machine.run(LINUX_PROBE)
    machine.nic.config.write(0x5E, 1, 2)
    machine.run(LINUX_MSI_TEST)
    assert (machine.messages, machine.lines) == (1, [])
    machine.run(LINUX_STOP)
    machine.phy(0, 0x0800)
    machine.run(
        "W8 158=2; R32 1c40; W32 1c40=04000000; W8 158=1; W8 210=54; W32 200=0; W32 208=0; W32 6b4=11; W32 6d0=1"
    )
    machine.run("W8 aa8=1; W8 d48=1; R32 004")
    assert machine.run("R32 1c40") == 0x04000000
    machine.run("W8 11d=77; R32 004; W8 007=a9; W16 004=100; W8 004=1; R8 004")
    assert machine.run("R8 11b") == {"88e8057": 0xBA, "88e8056": 0xB4}[machine.chip]
