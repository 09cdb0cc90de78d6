"""Cards under real code: the Unicorn bus, and the example's driver for the NE2000."""

from __future__ import annotations

import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dpkt
import pytest
from backend_station import GATEWAY, Connection, Station
from unicorn import UC_ARCH_ARM, UC_ARCH_X86, UC_MODE_16, UC_MODE_32, UC_MODE_ARM, UC_PROT_READ, Uc
from unicorn.x86_const import (
    UC_X86_REG_EAX,
    UC_X86_REG_ECX,
    UC_X86_REG_EDI,
    UC_X86_REG_EDX,
    UC_X86_REG_EFLAGS,
    UC_X86_REG_ESI,
    UC_X86_REG_ESP,
    UC_X86_REG_IDTR,
)

import nicemu
from nicemu.backends import PythonBackend, User
from nicemu.drivers import attach
from nicemu.errors import ConfigurationError
from nicemu.hosts import HostError
from nicemu.hosts.unicorn import Bus

EXAMPLES = Path(__file__).parent.parent / "examples"
sys.path.insert(0, str(EXAMPLES))
from ne2000_unicorn import ADD, ANSWER, CARD, CODE, FRAMES, MODES, STATION, SUM, Computer, frame, words  # noqa: E402

ORIGIN, DATA, BASE = 0x1000, 0x2000, 0x300
IF = 1 << 9
# With DX, ECX, ESI and EDI set from outside.
IN_BYTE, IN_DWORD, OUT_BYTE, OUT_DWORD = "ec", "ed", "ee", "ef"
REP_INSB, REP_INSW, REP_OUTSW, REP_INSW_DOWN = "fcf36c", "fcf3666d", "fcf3666f", "fdf3666d"


def engine(mode: int = UC_MODE_32) -> Uc:
    uc = Uc(UC_ARCH_X86, mode)
    uc.mem_map(0, 1 << 20)
    return uc


def execute(uc: Uc, code: str, **registers: int) -> int:
    """Runs instructions with these registers; returns EAX."""
    instructions = bytes.fromhex(code)
    uc.mem_write(ORIGIN, instructions)
    names = {"eax": UC_X86_REG_EAX, "ecx": UC_X86_REG_ECX, "edx": UC_X86_REG_EDX, "esi": UC_X86_REG_ESI,
             "edi": UC_X86_REG_EDI}  # fmt: skip
    for name, value in registers.items():
        uc.reg_write(names[name], value)
    uc.emu_start(ORIGIN, ORIGIN + len(instructions))
    return int(uc.reg_read(UC_X86_REG_EAX))


# ------------------------------------------------------------------------------------------------- the example


@pytest.mark.parametrize("bits", CODE)
def test_the_bytes_of_the_example_are_those_of_its_source(bits: int, tmp_path: Path) -> None:
    source, code, binary = EXAMPLES / "ne2000_unicorn.S", tmp_path / "code.o", tmp_path / "code.bin"
    subprocess.run(["gcc", "-m32", f"-DBITS={bits}", "-c", source, "-o", code], check=True)
    subprocess.run(["objcopy", "-O", "binary", "-j", ".text", code, binary], check=True)
    assert binary.read_bytes() == CODE[bits]


@pytest.mark.parametrize("bits", CODE)
def test_real_code_answers_frames_of_all_lengths(bits: int) -> None:
    computer = Computer(bits)
    asked = [frame(ANSWER, length, length) for length in (60, 61, 62, 63, 255, 256, 257, 1000, 1513, 1514)]
    computer.hear(asked)
    assert computer.station.heard == [STATION + CARD + question[12:] for question in asked]
    assert not computer.nic.findings


@pytest.mark.parametrize("bits", CODE)
def test_real_code_loses_no_frame_in_bulk(bits: int) -> None:
    """The ring holds eight of these: a hundred are said at once, and each comes in once."""
    computer = Computer(bits)
    bulk = [frame(ADD, 1514, seed) for seed in range(100)]
    computer.hear(bulk)
    assert computer.result(FRAMES) == 101
    assert computer.result(SUM) == sum(map(words, bulk)) & 0xFFFF
    counters = computer.nic.counters
    assert counters["port_received_frames"] == 101
    assert not any(counters[name] for name in counters if "drop" in name or name.endswith("queue_full"))
    assert computer.nic.regs.CNTR2.value == 0
    assert not computer.nic.findings


def test_the_example_runs() -> None:
    shown = subprocess.run(
        [sys.executable, EXAMPLES / "ne2000_unicorn.py", "20"], check=True, capture_output=True, text=True, timeout=50
    ).stdout
    assert shown.count("6 answers to 6 frames, as asked") == 2
    assert shown.count("20 of 20 frames came in") == 2
    assert shown.count("findings: none") == 2


# ------------------------------------------------------------------------------------------------- TCP


class Guest(Station):
    """A station behind the driver: every frame of it is moved by real code through the card's port."""

    def __init__(self, computer: Computer) -> None:
        self.computer = computer
        self.given: list[bytes] = []
        self.taken: list[bytes] = []
        self.gateway_mac = b""

    def put(self, *frames: bytes) -> None:
        self.given += frames

    def frames(self) -> list[bytes]:
        taken, self.taken = self.taken, []
        return taken

    def wait(self, condition: Callable[[], object], seconds: float = 30.0) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"nothing after {seconds} s"
            while self.given:
                self.computer.send(self.given.pop(0))
            self.taken.append(self.computer.receive())


class Strict(Connection):
    """Counts segments with data that are not the next in turn: what was lost, or sent again."""

    out_of_turn = 0

    def take_segment(self, segment: dpkt.tcp.TCP) -> None:
        self.out_of_turn += bool(segment.data) and segment.seq != self.acknowledged
        super().take_segment(segment)


@pytest.mark.parametrize("bits", CODE)
def test_tcp_through_real_code_loses_nothing(bits: int) -> None:
    """The window is 64 KiB and the ring holds 14: a sender that may say 43 frames at once never says one again."""
    data = bytes(range(251)) * 2000
    with User() as user, socket.create_server(("127.0.0.1", 0)) as server:
        computer = Computer(bits, user, "")
        guest = Guest(computer)
        guest.arp()
        server.settimeout(30)
        connection = Strict(guest, 41000, GATEWAY, server.getsockname()[1])
        connection.connect()
        peer, _ = server.accept()

        def write() -> None:
            with peer:
                peer.sendall(data)

        writer = threading.Thread(target=write, daemon=True)
        begin = time.perf_counter()
        writer.start()
        connection.until(lambda: connection.finished, 50.0)
        seconds = time.perf_counter() - begin
        writer.join(30)
        print(f"{bits}-bit code: TCP at {8 * len(data) / seconds / 1e6:.1f} Mbit/s")
        assert connection.received == data
        assert connection.out_of_turn == 0
        counters = computer.nic.counters
        assert not any(counters[name] for name in counters if "drop" in name or name.endswith("queue_full"))
        assert computer.nic.regs.CNTR2.value == 0
        assert not computer.nic.findings


# ------------------------------------------------------------------------------------------------- string instructions


class Stream:
    """A card in reset state whose PROM is being read, in words."""

    def __init__(self, mode: int = UC_MODE_32) -> None:
        self.uc = engine(mode)
        self.nic = nicemu.create("ne2k_isa", mac="02:11:22:33:44:55")
        self.bus = Bus(self.uc)
        self.bus.add_isa(self.nic)
        for offset, value in ((0x00, 0x21), (0x0E, 0x49), (0x0A, 32), (0x0B, 0), (0x08, 0), (0x09, 0), (0x0C, 0x20),
                              (0x0D, 0x02), (0x00, 0x0A)):  # fmt: skip
            self.nic.bars[0].write(offset, value, 1)

    def reads(self, code: str, **registers: int) -> int:
        before = self.nic.counters["reads"]
        execute(self.uc, code, edx=BASE + 0x10, **registers)
        return self.nic.counters["reads"] - before


PROM = bytes.fromhex("0202111122223333444455550000000000000000000000000000000057575757")


@pytest.mark.parametrize("mode", MODES.values())
def test_rep_ins_leaves_registers_and_memory_as_the_processor_does(mode: int) -> None:
    stream = Stream(mode)
    code = "fcf36d" if mode == UC_MODE_16 else REP_INSW
    stream.reads(code, ecx=16, edi=DATA)
    assert bytes(stream.uc.mem_read(DATA, 34)) == PROM + bytes(2)
    assert stream.uc.reg_read(UC_X86_REG_ECX) == 0
    assert stream.uc.reg_read(UC_X86_REG_EDI) == DATA + 32
    assert stream.nic.regs.ISR.RDC == 1


@pytest.mark.parametrize("slice_of", [1, 2, 5])
def test_rep_ins_loses_nothing_in_slices_of_instructions(slice_of: int) -> None:
    stream = Stream()
    code = bytes.fromhex(REP_INSW + "90")
    stream.uc.mem_write(ORIGIN, code)
    for name, value in ((UC_X86_REG_EDX, BASE + 0x10), (UC_X86_REG_ECX, 16), (UC_X86_REG_EDI, DATA)):
        stream.uc.reg_write(name, value)
    begin = ORIGIN
    while begin != ORIGIN + len(code):
        stream.uc.emu_start(begin, ORIGIN + len(code), count=slice_of)
        begin = stream.bus.place
    assert bytes(stream.uc.mem_read(DATA, 34)) == PROM + bytes(2)


def test_a_count_of_none_moves_nothing() -> None:
    stream = Stream()
    assert stream.reads(REP_INSW, ecx=0, edi=DATA) == 0
    assert stream.nic.regs.ISR.RDC == 0


def test_ins_that_counts_down_goes_word_by_word() -> None:
    stream = Stream()
    stream.reads(REP_INSW_DOWN, ecx=16, edi=DATA + 30)
    words_down = [PROM[at : at + 2] for at in range(0, 32, 2)][::-1]
    assert bytes(stream.uc.mem_read(DATA, 32)) == b"".join(words_down)


def test_ins_around_the_end_of_a_segment_wraps() -> None:
    """DI is a word in real mode: element by element, as the processor does."""
    stream = Stream(UC_MODE_16)
    stream.reads("fcf36d", ecx=16, edi=0xFFF0)
    assert bytes(stream.uc.mem_read(0xFFF0, 16)) + bytes(stream.uc.mem_read(0, 16)) == PROM


def test_ins_into_memory_that_cannot_be_written_faults_without_the_block() -> None:
    from unicorn import UcError

    stream = Stream()
    stream.uc.mem_map(0x200000, 0x1000, UC_PROT_READ)
    with pytest.raises(UcError):
        stream.reads(REP_INSW, ecx=16, edi=0x200000)
    assert stream.nic.regs.ISR.RDC == 0


def test_rep_outs_is_taken_from_memory() -> None:
    stream = Stream()
    for offset, value in ((0x0A, 8), (0x0B, 0), (0x08, 0), (0x09, 0x40), (0x00, 0x12)):
        stream.nic.bars[0].write(offset, value, 1)
    stream.uc.mem_write(DATA, bytes(range(8)))
    execute(stream.uc, REP_OUTSW, edx=BASE + 0x10, ecx=4, esi=DATA)
    assert stream.uc.reg_read(UC_X86_REG_ESI) == DATA + 8
    for offset, value in ((0x0A, 8), (0x0B, 0), (0x08, 0), (0x09, 0x40), (0x00, 0x0A)):
        stream.nic.bars[0].write(offset, value, 1)
    assert stream.nic.bars[0].read_repeat(0x10, 2, 4) == bytes(range(8))


# ------------------------------------------------------------------------------------------------- ports and lines


def test_ports_that_no_card_decodes_go_to_the_host_program() -> None:
    uc, written = engine(), []
    bus = Bus(uc, read=lambda port, size: port + size, write=lambda *what: written.append(what))
    assert execute(uc, IN_DWORD, edx=0x80) == 0x84
    execute(uc, OUT_BYTE, edx=0x80, eax=0x1FF)
    assert written == [(0x80, 1, 0xFF)]
    bus.close()
    bus.close()


def test_nobody_at_a_port_reads_as_ones() -> None:
    uc = engine()
    Bus(uc)
    assert execute(uc, IN_BYTE, edx=0x80, eax=0) == 0xFF


def test_the_line_of_a_card_is_told_when_it_changes() -> None:
    uc, told = engine(), []
    nic = nicemu.create("ne2k_isa", irq_number=5)
    bus = Bus(uc, irq=lambda line, level: told.append((line, level)))
    bus.add_isa(nic)
    execute(uc, OUT_BYTE, edx=BASE + 0x0F, eax=0x40)  # IMR.RDCE
    nic.regs.ISR.value = 0x40
    execute(uc, OUT_BYTE, edx=BASE, eax=0x21)
    assert bus.lines == {5: True}
    execute(uc, OUT_BYTE, edx=BASE + 7, eax=0x40)
    assert told == [(5, True), (5, False)]


HANDLER, VECTOR, COUNT = 0x1800, 0x71, 0x800
WAITS = {
    16: "fbf490",  # sti; hlt; nop
    32: "0f0115000500000f011d08050000ea15100000080066b810008ed08ed8bc00f00000fbf490",  # loads tables and segments first
}
#: Acknowledges RDC at the card, and counts in memory.
HANDLERS = {16: "5052ba0703b040eeff0600085a58cf", 32: "505266ba0703b040ee66ff05000800005a58cf"}
TRAP_KIND, INTERRUPT_KIND = 0x8F, 0x8E


class Interrupted:
    """Code that waits at HLT for the interrupt of a card, whose line is up by then."""

    def __init__(self, bits: int, gate: int = INTERRUPT_KIND, segment: int = 8) -> None:
        self.uc = engine(MODES[bits])
        self.bus = Bus(self.uc)
        self.nic = nicemu.create("ne2k_isa", irq_number=9)
        self.bus.add_isa(self.nic)
        self.uc.mem_write(HANDLER, bytes.fromhex(HANDLERS[bits]))
        if bits == 16:
            self.uc.reg_write(UC_X86_REG_ESP, 0xF000)
            self.uc.mem_write(4 * VECTOR, HANDLER.to_bytes(2, "little") + bytes(2))
        else:
            flat = [bytes(8), bytes.fromhex("ffff0000009acf00"), bytes.fromhex("ffff00000092cf00")]
            self.uc.mem_write(0x500, struct.pack("<HIxxHI", 23, 0x600, 0x7FF, 0x4000))
            self.uc.mem_write(0x600, b"".join(flat))
            self.uc.mem_write(0x4000 + 8 * VECTOR, struct.pack("<HHBBH", HANDLER, segment, 0, gate, 0))
        self.end = ORIGIN + len(WAITS[bits]) // 2
        self.nic.bars[0].write(0x0F, 0x40, 1)  # IMR.RDCE
        self.nic.regs.ISR.value = 0x40
        self.nic.bars[0].write(0x00, 0x21, 1)
        execute(self.uc, WAITS[bits])

    def go_on(self) -> None:
        self.uc.emu_start(self.bus.place, self.end)


@pytest.mark.parametrize("bits", CODE)
def test_code_takes_an_interrupt_and_returns(bits: int) -> None:
    board = Interrupted(bits)
    board.bus.poll()
    assert board.bus.lines == {9: True}
    halted, stack = board.bus.place, board.uc.reg_read(UC_X86_REG_ESP)
    assert halted == board.end - 1
    assert board.bus.interrupt(VECTOR)
    assert board.bus.place == HANDLER
    assert not board.uc.reg_read(UC_X86_REG_EFLAGS) & IF
    assert not board.bus.interrupt(VECTOR), "not within the handler"
    board.go_on()
    assert board.bus.lines == {9: False}
    assert board.uc.mem_read(COUNT, 1) == b"\1"
    assert (board.bus.place, board.uc.reg_read(UC_X86_REG_ESP)) == (board.end, stack)
    assert board.uc.reg_read(UC_X86_REG_EFLAGS) & IF


def test_a_trap_gate_leaves_interrupts_on() -> None:
    board = Interrupted(32, TRAP_KIND)
    assert board.bus.interrupt(VECTOR)
    assert board.uc.reg_read(UC_X86_REG_EFLAGS) & IF


@pytest.mark.parametrize(("gate", "segment"), [(0x0E, 8), (0x85, 8), (0x86, 8), (INTERRUPT_KIND, 0x18)])
def test_a_gate_that_leads_elsewhere_is_an_error(gate: int, segment: int) -> None:
    """Not present, a task gate, one of 16 bits, another segment: nothing has been pushed."""
    board = Interrupted(32, gate, segment)
    halted, stack = board.bus.place, board.uc.reg_read(UC_X86_REG_ESP)
    with pytest.raises(HostError, match="expected a 32-bit interrupt or trap gate"):
        board.bus.interrupt(VECTOR)
    assert (board.bus.place, board.uc.reg_read(UC_X86_REG_ESP)) == (halted, stack)


def test_an_interrupt_needs_a_table_a_stack_and_a_vector() -> None:
    board = Interrupted(32)
    with pytest.raises(ConfigurationError, match="vector=256"):
        board.bus.interrupt(256)
    board.uc.reg_write(UC_X86_REG_ESP, 0x80000000)
    with pytest.raises(HostError, match="no memory for the stack"):
        board.bus.interrupt(VECTOR)
    board.uc.reg_write(UC_X86_REG_ESP, 8)
    with pytest.raises(HostError, match="cannot take 3 values"):
        board.bus.interrupt(VECTOR)
    board.uc.reg_write(UC_X86_REG_IDTR, (0, 0x4000, 0xFF, 0))
    with pytest.raises(HostError, match="not in the interrupt table"):
        board.bus.interrupt(VECTOR)


def test_two_boards_cannot_have_one_port() -> None:
    bus = Bus(engine())
    bus.add_isa(nicemu.create("ne2k_isa"))
    bus.add_isa(nicemu.create("ne2k_isa", iobase=0x320))
    with pytest.raises(ConfigurationError, match="another card has port 0x300"):
        bus.add_isa(nicemu.create("ne2k_isa"))


def test_only_x86_has_ports() -> None:
    with pytest.raises(ConfigurationError, match="UC_ARCH_X86"):
        Bus(Uc(UC_ARCH_ARM, UC_MODE_ARM))
    with pytest.raises(ConfigurationError, match="UC_ARCH_X86"):
        Bus(None)


def test_what_a_backend_raises_leaves_emu_start() -> None:
    class Broken(PythonBackend):
        def send(self, frames: list[bytes]) -> None:
            raise RuntimeError("no wire")

    nic = nicemu.create("ne2k_isa", backend=Broken(), memory=nicemu.GuestMemory(1 << 20))
    attach(nic).start()
    uc = engine()
    Bus(uc).add_isa(nic)
    execute(uc, OUT_BYTE, edx=BASE + 5, eax=60)
    with pytest.raises(RuntimeError, match="no wire"):
        execute(uc, OUT_BYTE, edx=BASE, eax=0x26)


# ------------------------------------------------------------------------------------------------- PCI


def test_a_pci_card_is_found_by_mechanism_1_and_follows_its_io_bar() -> None:
    uc = engine()
    nic = nicemu.create("ne2k_pci")
    Bus(uc).add_pci(nic, 3, {0: 0xC000})

    def config(offset: int, slot: int = 3) -> None:
        execute(uc, OUT_DWORD, edx=0xCF8, eax=0x80000000 | slot << 11 | offset)

    config(0)
    assert execute(uc, IN_DWORD, edx=0xCFC) == 0x802910EC
    assert execute(uc, IN_DWORD, edx=0xCF8) == 0x80001800
    config(0, slot=4)
    assert execute(uc, IN_DWORD, edx=0xCFC) == 0xFFFFFFFF
    assert execute(uc, IN_BYTE, edx=0xC000, eax=0) == 0x21
    config(0x10)
    execute(uc, OUT_DWORD, edx=0xCFC, eax=0xD000)
    assert execute(uc, IN_BYTE, edx=0xD000, eax=0) == 0x21
    assert execute(uc, IN_BYTE, edx=0xC000, eax=0) == 0xFF
    config(0x04)
    execute(uc, OUT_DWORD, edx=0xCFC, eax=0)
    assert execute(uc, IN_BYTE, edx=0xD000, eax=0) == 0xFF


def test_a_memory_bar_and_dma_reach_the_engine() -> None:
    """An e1000 whose driver is code of the engine: a descriptor in the engine's memory is sent."""
    sent: list[bytes] = []

    class Wire(PythonBackend):
        def send(self, frames: list[bytes]) -> None:
            sent.extend(frames)

    uc = engine()
    bus = Bus(uc)
    nic = nicemu.create("e1000", memory=bus.memory, backend=Wire())
    bus.add_pci(nic, 4, {0: 0xE0000000, 2: 0xC000})
    bus.share(0, 1 << 20)
    nic.config.write(4, 7, 2)
    uc.mem_write(0x3000, (0x4000).to_bytes(8, "little") + (60 | 0x0B << 24).to_bytes(8, "little"))
    uc.mem_write(0x4000, bytes(range(60)))
    for offset, value in ((0x0000, 1 << 6), (0x3800, 0x3000), (0x3804, 0), (0x3808, 128), (0x3810, 0), (0x0400, 2),
                          (0x3818, 1)):  # fmt: skip
        execute(uc, "8907", edi=0xE0000000 + offset, eax=value)  # mov %eax, (%edi)
    assert execute(uc, "8b07", edi=0xE0003810) == 1  # mov (%edi), %eax: TDH
    assert sent == [bytes(range(60))]
    assert uc.mem_read(0x300C, 1)[0] & 1


@pytest.mark.parametrize(
    ("slot", "bars", "expected"),
    [
        (0, {0: 0xC000}, "slot=0"),
        (32, {0: 0xC000}, "slot=32"),
        (3, {}, "bars for"),
        (3, {0: 0xC001}, "multiple of"),
        (3, {0: 0x10000}, "multiple of"),
    ],
)
def test_a_pci_card_that_does_not_fit_is_refused(slot: int, bars: dict[int, int], expected: str) -> None:
    with pytest.raises(ConfigurationError, match=expected):
        Bus(engine()).add_pci(nicemu.create("ne2k_pci"), slot, bars)


def test_a_card_of_the_other_bus_is_refused() -> None:
    bus: Any = Bus(engine())
    with pytest.raises(ConfigurationError, match="use add_pci"):
        bus.add_isa(nicemu.create("ne2k_pci"))
    with pytest.raises(ConfigurationError, match="use add_isa"):
        bus.add_pci(nicemu.create("ne2k_isa"), 3, {0: 0x300})


def test_memory_that_is_taken_or_missing_is_refused() -> None:
    bus = Bus(engine())
    with pytest.raises(HostError, match="cannot map"):
        bus.add_pci(nicemu.create("e1000"), 3, {0: 0x20000, 2: 0xC000})
    with pytest.raises(ConfigurationError, match="map it first"):
        bus.share(1 << 20, 4096)
