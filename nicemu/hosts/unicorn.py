"""Cards on the bus of a Unicorn engine (`unicorn.Uc`, x86), so that real code drives them (extra `unicorn`).

`Bus` takes IN, OUT, INS and OUTS of the emulated processor, and the memory that its cards decode, to cards: ISA cards
at their ports, PCI cards at their BARs and through configuration mechanism 1 (PCI Local Bus 3.0, 3.2.2.3.2).  What a
REP INS or REP OUTS still has to move is one call to the card wherever the processor's segments are known to be plain.
"""

from __future__ import annotations

import errno
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nicemu.errors import ConfigurationError
from nicemu.hosts import HostError
from nicemu.memory import GuestMemory
from nicemu.views import Space

try:
    import unicorn
    from unicorn import x86_const as x86
except ImportError as error:
    raise ImportError("nicemu.hosts.unicorn needs Unicorn 2: pip install 'nicemu[unicorn]'") from error

if TYPE_CHECKING:
    from nicemu.core import Nic

__all__ = ["Bus"]

CONFIG_ADDRESS, CONFIG_DATA = 0xCF8, 0xCFC
BAR0, COMMAND, COMMAND_IO, INTERRUPT_LINE = 0x10, 0x04, 1, 0x3C
SLOTS = range(1, 32)
PORTS = 0x10000
#: Accesses to ports between two looks at the wires, so that code that polls a card sees its frames come.
POLL_EVERY = 32
PAGE = 4096

CR0_PE, CR0_PG, DIRECTION = 1 << 0, 1 << 31, 1 << 10
TRAP, INTERRUPTS, NESTED, RESUME, VIRTUAL, ALIGNMENT = 1 << 8, 1 << 9, 1 << 14, 1 << 16, 1 << 17, 1 << 18
VECTORS = range(256)
#: Gates of the interrupt descriptor table, present: one that disables interrupts, and one that leaves them.
INTERRUPT_GATE, TRAP_GATE = 0x8E, 0x8F
DPL = 3 << 5
INS, OUTS = range(0x6C, 0x6E), range(0x6E, 0x70)
REPEAT, OPERAND_SIZE, ADDRESS_SIZE = {0xF2, 0xF3}, 0x66, 0x67
PREFIXES = {*REPEAT, OPERAND_SIZE, ADDRESS_SIZE}
LONGEST_INSTRUCTION = 15
STATE = (x86.UC_X86_REG_CR0, x86.UC_X86_REG_EFLAGS, x86.UC_X86_REG_CS, x86.UC_X86_REG_EIP)
#: Count, and the index of INS and of OUTS, by width of addresses.
REGISTERS = {
    16: (x86.UC_X86_REG_CX, x86.UC_X86_REG_DI, x86.UC_X86_REG_SI),
    32: (x86.UC_X86_REG_ECX, x86.UC_X86_REG_EDI, x86.UC_X86_REG_ESI),
}


@dataclass(frozen=True)
class _Block:
    """What a REP INS or REP OUTS still has to move: registers, and where in memory."""

    counter: int
    index: int
    count: int
    offset: int
    address: int


@dataclass(frozen=True)
class _Slot:
    """A PCI card and the ports that its BARs may ask for."""

    nic: Nic
    io: Mapping[int, Space]


class _Processor:
    """What has to be known of the processor in the middle of an access to a port."""

    def __init__(self, uc: Any) -> None:
        self.uc = uc
        self.mode = uc.query(unicorn.UC_QUERY_MODE)
        self.cards: list[tuple[int, int]] = []  # memory that is a card's: address, length

    def has(self, address: int, length: int, rights: int) -> bool:
        """Whether all of this is memory with these rights, and none of it a card's."""
        end = address + length
        if any(address < first + size and first < end for first, size in self.cards):
            return False
        regions = self.uc.mem_regions()
        return any(first <= address and end <= last + 1 and given & rights == rights for first, last, given in regions)

    def block(self, opcodes: range, size: int) -> _Block | None:
        """What the string instruction under way has to move yet; None: it has to go element by element.

        Paging, a count that goes down, a segment override and tables that cannot be read are left to the processor.
        """
        cr0, flags, selector, pointer = self.uc.reg_read_batch(STATE)
        if cr0 & CR0_PG or flags & DIRECTION:
            return None
        code, width = self._segment(selector, cr0)
        *prefixes, opcode = self._instruction(code + pointer) if width else (0,)
        if opcode not in opcodes or not REPEAT.intersection(prefixes) or not PREFIXES.issuperset(prefixes):
            return None
        if ADDRESS_SIZE in prefixes:
            width = 48 - width
        counter, destination, source = REGISTERS[width]
        index, segment = (destination, x86.UC_X86_REG_ES) if opcodes is INS else (source, x86.UC_X86_REG_DS)
        rights = unicorn.UC_PROT_WRITE if opcodes is INS else unicorn.UC_PROT_READ
        selector, count, offset = self.uc.reg_read_batch((segment, counter, index))
        base, known = self._segment(selector, cr0)
        inside = known and offset + size * count <= 1 << width
        if count < 2 or not inside or not self.has(base + offset, size * count, rights):
            return None
        return _Block(counter, index, count, offset, base + offset)

    def leave_one(self, block: _Block, size: int) -> None:
        """All but one element were moved."""
        self.uc.reg_write(block.index, block.offset + size * (block.count - 1))
        self.uc.reg_write(block.counter, 1)

    @property
    def place(self) -> int:
        """The address of the next instruction, as `emu_start` takes it."""
        cr0, _, selector, pointer = self.uc.reg_read_batch(STATE)
        return int(pointer if cr0 & CR0_PE else (selector << 4) + (pointer & 0xFFFF))

    def interrupt(self, vector: int) -> bool:
        """Enters the handler of an interrupt; False where EFLAGS.IF is clear."""
        cr0, flags, selector, pointer = self.uc.reg_read_batch(STATE)
        if not flags & INTERRUPTS:
            return False
        if cr0 & CR0_PE:
            kind, handler = self._gate(vector, cr0, selector)
            self._push(4, (flags, selector, pointer), cr0)
            cleared = TRAP | NESTED | RESUME | VIRTUAL | (INTERRUPTS if kind == INTERRUPT_GATE else 0)
        else:
            offset, segment = struct.unpack("<HH", self._descriptor(vector, 4))
            self._push(2, (flags, selector, pointer), cr0)
            cleared = TRAP | INTERRUPTS | ALIGNMENT
            self.uc.reg_write(x86.UC_X86_REG_CS, segment)
            handler = offset
        self.uc.reg_write(x86.UC_X86_REG_EFLAGS, flags & ~cleared)
        self.uc.reg_write(x86.UC_X86_REG_EIP, handler)
        return True

    def _gate(self, vector: int, cr0: int, selector: int) -> tuple[int, int]:
        """Kind and handler of a gate that changes neither privilege nor code segment; HostError for any other."""
        low, segment, _, access, high = struct.unpack("<HHBBH", self._descriptor(vector, 8))
        kind = access & ~DPL
        if cr0 & CR0_PG or kind not in (INTERRUPT_GATE, TRAP_GATE) or (segment ^ selector) & 0xFFFC:
            raise HostError(
                errno.ENOTSUP, f"vector {vector:#x} of code segment {selector:#x} has a gate of {access:#x} to "
                f"{segment:#x}; expected a 32-bit interrupt or trap gate to the same segment, without paging"
            )  # fmt: skip
        return kind, low | high << 16

    def _descriptor(self, vector: int, size: int) -> bytes:
        """What the interrupt table has for a vector: `size` tells that of real mode, 4, from the IDT, 8."""
        _, table, limit, _ = self.uc.reg_read(x86.UC_X86_REG_IDTR)
        if size == 4 and not limit:  # as an engine for 16 bits starts, in place of what RESET# leaves
            limit = 4 * len(VECTORS) - 1
        address = table + size * vector
        if size * vector + size - 1 > limit or not self.has(address, size, unicorn.UC_PROT_READ):
            raise HostError(errno.EFAULT, f"vector {vector:#x} is not in the interrupt table at {table:#x}")
        return bytes(self.uc.mem_read(address, size))

    def _push(self, size: int, values: tuple[int, ...], cr0: int) -> None:
        """Puts values on the stack, the first one deepest."""
        selector, pointer = self.uc.reg_read_batch((x86.UC_X86_REG_SS, x86.UC_X86_REG_ESP))
        base, width = self._segment(selector, cr0)
        mask = (1 << width) - 1
        lower = pointer & ~mask | (pointer - size * len(values)) & mask
        if not width or lower & mask > mask + 1 - size * len(values):
            raise HostError(errno.EFAULT, f"the stack at {selector:#x}:{pointer:#x} cannot take {len(values)} values")
        content = b"".join((value & (1 << 8 * size) - 1).to_bytes(size, "little") for value in reversed(values))
        if not self.has(base + (lower & mask), len(content), unicorn.UC_PROT_WRITE):
            raise HostError(errno.EFAULT, f"there is no memory for the stack at {selector:#x}:{pointer:#x}")
        self.uc.mem_write(base + (lower & mask), content)
        self.uc.reg_write(x86.UC_X86_REG_ESP, lower)

    def _instruction(self, address: int) -> bytes:
        """Prefixes and opcode of the instruction at an address; a zero byte where it cannot be read."""
        for length in (LONGEST_INSTRUCTION, 4, 2):  # memory may end behind it
            try:
                code = bytes(self.uc.mem_read(address, length))
            except unicorn.UcError:
                continue
            end = next((at for at, byte in enumerate(code) if byte not in PREFIXES), length - 1)
            return code[: end + 1]
        return b"\0"

    def _segment(self, selector: int, cr0: int) -> tuple[int, int]:
        """Base of a segment and its default width; width 0: not known."""
        if not cr0 & CR0_PE:
            return selector << 4, 16
        _, table, limit, _ = self.uc.reg_read(x86.UC_X86_REG_GDTR)
        if not limit:  # as an engine for 32 bits starts: flat
            return 0, 32 if self.mode == unicorn.UC_MODE_32 else 0
        at = selector & 0xFFF8
        if selector & 4 or at + 7 > limit or not self.has(table + at, 8, unicorn.UC_PROT_READ):
            return 0, 0
        entry = int.from_bytes(self.uc.mem_read(table + at, 8), "little")
        base = entry >> 16 & 0xFFFFFF | entry >> 56 << 24
        return base, 0 if entry >> 53 & 1 else 32 if entry >> 54 & 1 else 16


class Bus:
    """The bus of one engine.

    uc:    the engine; its code runs by `uc.emu_start` as ever.
    read:  called as read(port, size) for ports that no card decodes; None: they read as all ones.
    write: called as write(port, size, value) for ports that no card decodes; None: such writes vanish.
    irq:   called as irq(line, level) when the interrupt line of a card changes, in the middle of an instruction: it
           must not stop the engine.  Unicorn has no interrupt controller: the host program decides on a vector and
           calls `interrupt` between two runs of the code, or the code polls.

    Attributes: `memory`, the engine's memory for cards with DMA, to be given to `nicemu.create`; `lines`, the level of
    each interrupt line that a card drives.

    Raises ConfigurationError for an engine that does not emulate x86.  What a card or backend in Python raises leaves
    `uc.emu_start`.
    """

    def __init__(
        self,
        uc: Any,
        *,
        read: Callable[[int, int], int] | None = None,
        write: Callable[[int, int, int], None] | None = None,
        irq: Callable[[int, bool], None] | None = None,
    ) -> None:
        if not isinstance(uc, unicorn.Uc) or uc.query(unicorn.UC_QUERY_ARCH) != unicorn.UC_ARCH_X86:
            raise ConfigurationError(f"{uc!r}; expected an engine for UC_ARCH_X86")
        self.uc = uc
        self.lines: dict[int, bool] = {}
        self.memory = GuestMemory()
        self._processor = _Processor(uc)
        self._read, self._write, self._irq = read, write, irq
        self._ports: dict[int, tuple[Space, int]] = {}
        self._slots: dict[int, _Slot] = {}
        self._nics: list[tuple[Nic, int]] = []
        self._config_address = 0
        self._accesses = 0
        self._hooks = [
            uc.hook_add(unicorn.UC_HOOK_INSN, self._port_in, None, 1, 0, x86.UC_X86_INS_IN),
            uc.hook_add(unicorn.UC_HOOK_INSN, self._port_out, None, 1, 0, x86.UC_X86_INS_OUT),
        ]

    # ------------------------------------------------------------------ for host programs

    def share(self, address: int, length: int) -> None:
        """Lets cards reach memory of the engine that was mapped there, by DMA.

        Raises ConfigurationError where the engine has no such memory, or cards reach it already.
        """
        if not self._processor.has(address, length, unicorn.UC_PROT_READ | unicorn.UC_PROT_WRITE):
            raise ConfigurationError(
                f"the engine has no memory at {address:#x}..{address + length - 1:#x}; map it first"
            )
        self.memory.add_functions(
            address,
            length,
            read=lambda at, count: bytes(self.uc.mem_read(at, count)),
            write=lambda at, data: self.uc.mem_write(at, bytes(data)),
        )

    def add_isa(self, nic: Nic) -> None:
        """Puts an ISA card at its `iobase`, on its `irq_number`.

        Raises ConfigurationError for a PCI card, and where another card has one of its ports.
        """
        if nic.FUNCTION is not None:
            raise ConfigurationError(f"{nic.name} is a PCI card; expected one for ISA: use add_pci")
        base: int = nic.iobase  # type: ignore[attr-defined]
        self._claim(nic.name, nic.bars[0], base)
        self._add(nic, nic.irq_number)  # type: ignore[attr-defined]

    def add_pci(self, nic: Nic, slot: int, bars: Mapping[int, int], *, line: int = 11) -> None:
        """Puts a PCI card into a slot of bus 0, placed as firmware would have: BARs at addresses, INTA# on a line.

        Code may move I/O BARs; memory BARs answer where they are put here.  Configuration space is at mechanism 1.

        slot: 1 to 31.
        bars: an address for each BAR of the card.
        Raises ConfigurationError for an ISA card, a slot that is taken, and addresses that do not fit the BARs;
        HostError where the engine cannot map one.
        """
        if nic.FUNCTION is None:
            raise ConfigurationError(f"{nic.name} is an ISA card; expected one for PCI: use add_isa")
        if slot not in SLOTS or slot in self._slots:
            raise ConfigurationError(f"{slot=}; expected one from 1 to 31 that no card has")
        if set(bars) != set(nic.bars):
            raise ConfigurationError(f"bars for {sorted(bars)}; {nic.name} has {sorted(nic.bars)}")
        for number, address in bars.items():
            size, ports = nic.bars[number].size, nic.FUNCTION.bars[number].io
            if (
                address % size
                or not 0 < address <= (PORTS if ports else 1 << 32) - size
                or (not ports and address % PAGE)
            ):
                raise ConfigurationError(f"BAR {number} at {address:#x}; expected a multiple of {size:#x} that fits")
        for number, address in bars.items():
            nic.config.write(BAR0 + 4 * number, address, 4)
            if not nic.FUNCTION.bars[number].io:
                self._map(nic.bars[number], address)
        nic.config.write(INTERRUPT_LINE, line, 1)
        io = {number: space for number, space in nic.bars.items() if nic.FUNCTION.bars[number].io}
        self._slots[slot] = _Slot(nic, io)
        self._add(nic, line)

    def poll(self) -> None:
        """Looks after wires and timers of all cards, and tells changes of interrupt lines.

        Done by itself at every 32nd access to a card; for the host program where code waits without one.
        """
        for nic, _ in self._nics:
            nic.poll()
        self._update_lines()

    @property
    def place(self) -> int:
        """Where the code goes on: what `uc.emu_start` takes as its beginning."""
        return self._processor.place

    def interrupt(self, vector: int) -> bool:
        """Has the processor take an external interrupt; to be called between two runs of the code, such as after HLT.

        Flags and return address go on the stack, and code goes on at the handler (Intel SDM volume 3, 6.12.1 and
        20.1.4): from the interrupt table in real mode, or a 32-bit interrupt or trap gate of the IDT without a change
        of privilege or code segment.

        Returns False, and does nothing, where EFLAGS.IF is clear.
        Raises ConfigurationError for a vector beyond 255; HostError where there is no such gate, or no stack.
        """
        if vector not in VECTORS:
            raise ConfigurationError(f"{vector=}; expected one from 0 to 255")
        return self._processor.interrupt(vector)

    def close(self) -> None:
        """Takes the hooks away; the cards stay as they are.  Harmless when done twice."""
        for hook in self._hooks:
            self.uc.hook_del(hook)
        self._hooks = []

    # ------------------------------------------------------------------ putting cards in

    def _add(self, nic: Nic, line: int) -> None:
        self._nics.append((nic, line))
        self._update_lines()

    def _claim(self, name: str, space: Space, base: int) -> None:
        ports = range(base, base + space.size)
        if taken := [port for port in ports if port in self._ports]:
            raise ConfigurationError(f"{name} at {base:#x}: another card has port {taken[0]:#x}")
        self._ports |= {port: (space, port - base) for port in ports}

    def _map(self, space: Space, address: int) -> None:
        length = -(-space.size // PAGE) * PAGE

        def read(_uc: Any, offset: int, size: int, _data: Any) -> int:
            value = space.read(offset, size)
            self._after_access()
            return value

        def write(_uc: Any, offset: int, size: int, value: int, _data: Any) -> None:
            space.write(offset, value, size)
            self._after_access()

        try:
            self.uc.mmio_map(address, length, read, None, write, None)
        except unicorn.UcError as error:
            raise HostError(error.errno, f"the engine cannot map {length} bytes at {address:#x}: {error}") from error
        self._processor.cards.append((address, length))

    def _update_lines(self) -> None:
        levels: dict[int, bool] = {}
        for nic, line in self._nics:
            levels[line] = levels.get(line, False) or nic.interrupt
        changed = {line: level for line, level in levels.items() if self.lines.get(line) != level}
        known, self.lines = self.lines, levels
        for line, level in changed.items():
            if self._irq and (level or line in known):
                self._irq(line, level)

    def _after_access(self) -> None:
        self._accesses += 1
        if self._accesses % POLL_EVERY == 0:
            self.poll()
        else:
            self._update_lines()

    # ------------------------------------------------------------------ ports

    def _decoded(self, port: int) -> tuple[Space, int] | None:
        """The space that a port belongs to now, and the offset in it."""
        if found := self._ports.get(port):
            return found
        for slot in self._slots.values():
            for number, space in slot.io.items():
                base = slot.nic.config.read(BAR0 + 4 * number, 4) & ~3
                if base <= port < base + space.size and slot.nic.config.read(COMMAND, 2) & COMMAND_IO:
                    return space, port - base
        return None

    def _port_in(self, _uc: Any, port: int, size: int, _data: Any) -> int:
        if place := self._decoded(port):
            space, offset = place
            block = self._processor.block(INS, size)
            value = space.read(offset, size) if block is None else self._block_in(space, offset, size, block)
            self._after_access()
            return value
        if CONFIG_ADDRESS <= port < CONFIG_DATA + 4 and self._slots:
            return self._config_in(port, size)
        return self._read(port, size) if self._read else (1 << 8 * size) - 1

    def _port_out(self, _uc: Any, port: int, size: int, value: int, _data: Any) -> None:
        value &= (1 << 8 * size) - 1
        if place := self._decoded(port):
            space, offset = place
            block = self._processor.block(OUTS, size)
            if block is None:
                space.write(offset, value, size)
            else:
                self._block_out(space, offset, size, block)
            self._after_access()
        elif CONFIG_ADDRESS <= port < CONFIG_DATA + 4 and self._slots:
            self._config_out(port, size, value)
        elif self._write:
            self._write(port, size, value)

    # ------------------------------------------------------------------ blocks

    def _block_in(self, space: Space, offset: int, size: int, block: _Block) -> int:
        """All that is left of a REP INS; the instruction itself stores and counts the first element."""
        data = space.read_repeat(offset, size, block.count)
        self.uc.mem_write(block.address + size, data[size:])
        self._processor.leave_one(block, size)
        return int.from_bytes(data[:size], "little")

    def _block_out(self, space: Space, offset: int, size: int, block: _Block) -> None:
        """All that is left of a REP OUTS; the instruction itself counts the first element."""
        space.write_repeat(offset, size, bytes(self.uc.mem_read(block.address, size * block.count)))
        self._processor.leave_one(block, size)

    # ------------------------------------------------------------------ PCI configuration mechanism 1

    def _target(self) -> tuple[Nic | None, int]:
        """The card that CONFIG_ADDRESS selects, function 0 of a slot of bus 0, and the dword."""
        address = self._config_address
        slot = self._slots.get(address >> 11 & 0x1F)
        selected = address >> 31 and not address & 0x00FF0700
        return (slot.nic if slot and selected else None), address & 0xFC

    def _config_in(self, port: int, size: int) -> int:
        if port < CONFIG_DATA:
            return self._config_address if (port, size) == (CONFIG_ADDRESS, 4) else (1 << 8 * size) - 1
        nic, offset = self._target()
        if nic is None:
            return (1 << 8 * size) - 1
        return nic.config.read(offset + port - CONFIG_DATA, size)

    def _config_out(self, port: int, size: int, value: int) -> None:
        if port < CONFIG_DATA:
            if (port, size) == (CONFIG_ADDRESS, 4):
                self._config_address = value
            return
        nic, offset = self._target()
        if nic is not None:
            nic.config.write(offset + port - CONFIG_DATA, value, size)
