"""A network card: the object that host programs hold, and the base of every card's Python side."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from nicemu.clock import NEVER, Clock
from nicemu.engine import ffi, lib, raise_pending
from nicemu.errors import ConfigurationError, NicemuError
from nicemu.findings import Finding, Rule
from nicemu.loop import Loop
from nicemu.memory import GuestMemory
from nicemu.model import CONFIG, ROM, Model
from nicemu.options import Option
from nicemu.pci import Function, config_table
from nicemu.registers import Reset, Table
from nicemu.views import RegisterFile, Space

if TYPE_CHECKING:
    from nicemu.backends import Backend

__all__ = ["EthtoolDump", "Latch", "Nic", "RingView", "Timer", "TraceEntry", "parse_mac"]

PROFILES = {"instant": 0, "wire": 1, "chaos": 2}


def parse_mac(text: str) -> bytes:
    """Six bytes from `52:54:00:12:34:56` (or with `-`); ConfigurationError for anything else, or a group address."""
    parts = text.replace("-", ":").split(":")
    try:
        mac = bytes(int(p, 16) for p in parts if len(p) <= 2)
    except ValueError:
        mac = b""
    if len(parts) != 6 or len(mac) != 6:
        raise ConfigurationError(f"mac={text!r}; expected six hexadecimal bytes such as 52:54:00:12:34:56")
    if mac[0] & 1:
        raise ConfigurationError(f"mac={text!r} is a group address; a card needs an individual one (first byte even)")
    return mac


def _rom_image(file: str | Path | None) -> bytes:
    """The contents of an expansion ROM, filled up to a power of two of at least 2 KiB (PCI 6.2.5.2)."""
    if file is None:
        return b""
    try:
        contents = Path(file).read_bytes()
    except OSError as error:
        raise ConfigurationError(f"romfile={file}: {error.strerror}") from error
    if contents[:2] != b"\x55\xaa" or len(contents) > 16 << 20:
        raise ConfigurationError(f"romfile={file}; expected a PCI expansion ROM (55h AAh) of at most 16 MiB")
    return contents.ljust(max(2048, 1 << (len(contents) - 1).bit_length()), b"\xff")


# ------------------------------------------------------------------------------------------------- timers and trace


class Timer:
    """A timer of a card's Python side, on the card's clock; its deadline is part of snapshots."""

    __slots__ = ("_nic", "number")

    def __init__(self, nic: Nic, number: int) -> None:
        self._nic, self.number = nic, number

    def start(self, ns: int) -> None:
        """Expires in `ns` nanoseconds from now."""
        lib.nic_timer_set(self._nic.handle, self.number, self._nic.clock.now + ns)

    def at(self, deadline: int | None) -> None:
        """Expires at `deadline`, in ns on the card's clock; None: does not expire."""
        lib.nic_timer_set(self._nic.handle, self.number, NEVER if deadline is None else deadline)

    def stop(self) -> None:
        """Does not expire."""
        lib.nic_timer_stop(self._nic.handle, self.number)

    @property
    def running(self) -> bool:
        """Whether it will expire."""
        return int(lib.nic_timer_deadline(self._nic.handle, self.number)) != NEVER


class Latch:
    """Named flags of a card's Python side that are part of snapshots: `Latch(waiting=False)`."""

    def __init__(self, **flags: bool) -> None:
        self.__dict__.update(flags)

    def __getattr__(self, name: str) -> bool:  # only for what was not given to the constructor
        raise AttributeError(f"no flag {name!r}")

    def state(self) -> dict[str, bool]:
        """The flags by name."""
        return dict(self.__dict__)

    def load_state(self, state: Mapping[str, bool]) -> None:
        """Takes over saved flags; ValueError if they are not these flags."""
        if set(state) != set(self.__dict__) or not all(isinstance(v, bool) for v in state.values()):
            raise ValueError(f"flags {dict(state)!r}; expected {', '.join(self.__dict__)} as true or false")
        self.__dict__.update(state)

    def __setattr__(self, name: str, value: bool) -> None:
        getattr(self, name)
        self.__dict__[name] = value


class TraceEntry(NamedTuple):
    """One access to a register, decoded."""

    time: int
    space: str
    offset: int
    size: int
    write: bool
    value: int
    register: str
    meaning: str

    def __str__(self) -> str:
        arrow = "<-" if self.write else "->"
        where = f"{self.space}+{self.offset:#07x} {self.register or '?':10}"
        text = f"{self.time / 1e9:14.9f} {where} {arrow} {self.value:#0{2 + 2 * self.size}x} {self.meaning}"
        return text.rstrip()


@dataclass(frozen=True)
class RingView:
    """Where a descriptor ring lies, and how far it is."""

    address: int
    descriptors: int
    head: int
    tail: int


class EthtoolDump(NamedTuple):
    """What a card's Linux driver answers to ETHTOOL_GDRVINFO and ETHTOOL_GREGS, so that `ethtool -d` decodes it."""

    driver: str  #: the name by which ethtool chooses its decoder
    version: int  #: `ethtool_regs.version`, in whatever form the driver gives it
    data: bytes  #: `ethtool_regs.data`, in the byte order of this machine


class _Sink:
    """Takes the interrupt line to the host program's functions."""

    def __init__(self, irq: Callable[[bool], None] | None, msi: Callable[[], None] | None) -> None:
        self.irq, self.msi = irq, msi

    def interrupt(self, vector: int, level: bool) -> None:
        if vector == lib.NIC_IRQ_INTX:
            if self.irq:
                self.irq(level)
        elif self.msi:
            self.msi()


# ------------------------------------------------------------------------------------------------- the card


class Nic:
    """A network card.  Made by `nicemu.create`; subclasses are the models.

    A subclass names its tables and PCI function, and adds hooks as methods: `read_TABLE_REGISTER(value, index)` returns
    what a read yields, `write_TABLE_REGISTER(value, old, index)` acts on a write (`value` as written; the cell already
    holds what the access words store).

    Attributes: `bars` (by number), `config`, `regs` (registers by name), `pci` (configuration registers by name),
    `memory`, `clock`, `backend`, `mac`, `name`.
    """

    # What a model declares.
    MODEL: ClassVar[str]
    ALIASES: ClassVar[Sequence[str]] = ()
    DESCRIPTION: ClassVar[str]
    CARD: ClassVar[str]  #: name of the C datapath
    TABLES: ClassVar[Sequence[Table]]  #: in the order of the generated header
    BARS: ClassVar[Mapping[int, str]]  #: table name by BAR
    FUNCTION: ClassVar[Function | None]  #: None: an ISA card
    SPACES: ClassVar[Sequence[str]] = ()  #: tables that only windows and hooks reach (CSRs)
    RULES: ClassVar[Sequence[Rule]]
    OPTIONS: ClassVar[Sequence[Option]] = ()
    DISTURBANCES: ClassVar[Mapping[str, int]] = {}  #: kinds of nic_disturb, by the name for `disturb`
    handle: Any = None  #: the engine's nic_device; None before it is made and once it is closed
    _models: ClassVar[dict[int, Model]] = {}

    @classmethod
    def model(cls, rom_size: int = 0) -> Model:
        """The compiled tables, made when the first card of the model (with a ROM of this many bytes) is."""
        if "_models" not in cls.__dict__:
            cls._models = {}
        if rom_size not in cls._models:
            cls._models[rom_size] = cls._compile(rom_size)
        return cls._models[rom_size]

    @classmethod
    def _compile(cls, rom_size: int) -> Model:
        by_name = {t.name: t for t in cls.TABLES}
        spaces = {number: by_name[name] for number, name in cls.BARS.items()}
        spaces |= {lib.NIC_SPACE_OWN + place: by_name[name] for place, name in enumerate(cls.SPACES)}
        bars = cls.FUNCTION.bars if cls.FUNCTION else {}
        if cls.FUNCTION:
            if set(bars) != set(cls.BARS):
                raise NicemuError(f"{cls.MODEL}: BARS {sorted(cls.BARS)} differ from the function's {sorted(bars)}")
            spaces[CONFIG] = config_table(replace(cls.FUNCTION, rom_size=rom_size))
            if rom_size:
                spaces[ROM] = Table("rom", rom_size, [], doc="Expansion ROM")
        tables = [*cls.TABLES, *(table for table in spaces.values() if table not in cls.TABLES)]
        registers = [(t.name, r.name) for t in tables for r in t]
        reads = {key for key in registers if hasattr(cls, f"read_{key[0]}_{key[1]}")}
        writes = {key for key in registers if hasattr(cls, f"write_{key[0]}_{key[1]}")}
        return Model(cls.MODEL, cls.CARD, spaces, cls.TABLES, cls.RULES, reads, writes, bars=bars)

    def __init__(
        self,
        *,
        mac: str = "52:54:00:12:34:56",
        memory: GuestMemory | None = None,
        backend: Backend | None = None,
        clock: Clock | None = None,
        loop: Loop | None = None,
        irq: Callable[[bool], None] | None = None,
        msi: Callable[[], None] | None = None,
        profile: str = "instant",
        overflow: str = "",
        seed: int = 0,
        name: str = "",
        romfile: str | Path | None = None,
        decode: bool = True,
    ) -> None:
        if profile not in PROFILES:
            raise ConfigurationError(f"profile={profile!r}; expected one of {', '.join(PROFILES)}")
        if overflow not in ("", "drop", "hold"):
            raise ConfigurationError(f"overflow={overflow!r}; expected drop or hold")
        if romfile is not None and self.FUNCTION is None:
            raise ConfigurationError(f"romfile={str(romfile)!r}; an ISA card has no expansion ROM")
        self.mac = parse_mac(mac)
        self.name = name or self.MODEL
        self.memory = memory if memory is not None else GuestMemory()
        self.clock = clock or Clock()
        self.loop = loop or Loop()
        self.profile = profile
        self.seed = seed
        self.backend: Backend | None = None
        self._overflow = overflow
        self.closers: list[Callable[[], None]] = []  #: called by `close` first: ends what serves the card
        self._make_device(_rom_image(romfile))
        self._make_views()
        self._timers: dict[int, Callable[[], None]] = {}
        self._sink = _Sink(irq, msi)
        self._sink_handle = ffi.new_handle(self._sink)
        if irq or msi:
            lib.nic_interrupt_to_python(self.handle, self._sink_handle)
        lib.nic_device_set_profile(self.handle, PROFILES[profile])
        self.loop.add(self)
        self.setup()
        lib.nic_device_set_python(self.handle, self._self_handle)
        self.reset(Reset.POWER)
        if decode:
            self.enable_decoding()
        if backend is not None:
            self.plug(backend)

    def _make_device(self, rom: bytes) -> None:
        self.compiled = self.model(len(rom))
        handle = lib.nic_device_new(self.compiled.c, self.memory.handle, self.clock.handle, self.seed)
        if handle == ffi.NULL:
            raise MemoryError("no memory for the card")
        self.handle = handle
        if rom and lib.nic_device_set_rom(self.handle, rom):
            raise MemoryError("no memory for the expansion ROM")
        self._self_handle = ffi.new_handle(self)
        self._read_hooks: dict[int, Callable[[int, int], int]] = {}
        self._write_hooks: dict[int, Callable[[int, int, int], None]] = {}
        self._bind_hooks()

    def _make_views(self) -> None:
        model, spaces = self.compiled, self.compiled.spaces
        self.cells = ffi.cast(f"uint32_t (*)[{model.cell_count}]", lib.nic_device_cells(self.handle))[0]
        self.regs = RegisterFile(model, self.cells, self.TABLES)
        self.pci = RegisterFile(model, self.cells, [spaces[CONFIG]] if CONFIG in spaces else [])
        self.rom = Space(self, ROM, spaces[ROM]) if ROM in spaces else None
        self.bars = {number: Space(self, number, table) for number, table in spaces.items() if number < CONFIG}
        self.config = Space(self, CONFIG, spaces.get(CONFIG, Table("config", 0, ())))

    def _bind_hooks(self) -> None:
        for number, (table, register) in enumerate(self.compiled.rows):
            key = f"{table.name}_{register.name}"
            if hasattr(self, f"read_{key}"):
                self._read_hooks[number] = getattr(self, f"read_{key}")
            if hasattr(self, f"write_{key}"):
                self._write_hooks[number] = getattr(self, f"write_{key}")

    # ------------------------------------------------------------------ for subclasses

    def setup(self) -> None:
        """Makes the parts around the datapath (EEPROM, PHY, timers); called once, before the power-on reset."""

    def after_reset(self, kind: Reset) -> None:
        """Brings the parts in step after the engine has reset the cells."""

    def link_changed(self, up: bool) -> None:
        """The wire went up or down."""

    def event(self, event: int, value: int) -> None:
        """The C datapath tells something."""

    def after_load(self) -> None:
        """Brings what is derived in step after a snapshot was loaded."""

    def parts(self) -> Mapping[str, Any]:
        """Parts with `state()` and `load_state()`, by name, for snapshots."""
        return {}

    def timer(self, name: str, expired: Callable[[], None]) -> Timer:
        """A timer that calls `expired`."""
        number = lib.nic_timer_new(self.handle, self._keep_text(name))
        if number < 0:
            raise ConfigurationError("no more timers")
        self._timers[number] = expired
        return Timer(self, number)

    def _keep_text(self, text: str) -> Any:
        kept = ffi.new("char[]", text.encode())
        self.__dict__.setdefault("_texts", []).append(kept)
        return kept

    def rings(self) -> Mapping[str, RingView]:
        """The descriptor rings as the registers have them now, by name, for monitors."""
        return {}

    def ethtool_dump(self) -> EthtoolDump:
        """The registers as the card's Linux driver dumps them for `ethtool -d`, without the side effects of reading.

        Raises ConfigurationError where that driver has no such dump.
        """
        raise ConfigurationError(f"the Linux driver of {self.MODEL} has no register dump for ethtool")

    # ------------------------------------------------------------------ called from C

    def hook_read(self, row: int, index: int, enable: int, value: int) -> int:
        """A register read asks Python."""
        self.enable = enable
        return self._read_hooks[row](value, index) & 0xFFFFFFFF

    def hook_write(self, row: int, index: int, enable: int, value: int, old: int) -> None:
        """A register write tells Python."""
        self.enable = enable
        self._write_hooks[row](value, old, index)

    def hook_reset(self, kind: int) -> None:
        """The cells were reset, from whichever side."""
        self.after_reset(Reset(kind))

    def hook_timer(self, timer: int) -> None:
        """A timer is due."""
        self._timers[timer]()

    def hook_link(self, up: bool) -> None:
        """The wire went up or down."""
        self.link_changed(up)

    def hook_event(self, event: int, value: int) -> None:
        """The C datapath tells something."""
        self.event(event, value)

    def hook_error(self) -> None:
        """A hook raised."""
        lib.nic_device_counters(self.handle).python_errors += 1

    # ------------------------------------------------------------------ for host programs

    def plug(self, backend: Backend | None) -> None:
        """Joins the card to a wire; None unplugs it."""
        if backend is not None and lib.nic_backend_in_use(backend.handle):
            raise ConfigurationError(f"{backend.name} is already in use; use a Hub to share a wire")
        self.backend = backend
        hold = self._overflow == "hold" or (not self._overflow and backend is not None and backend.lossless)
        lib.nic_device_set_hold(self.handle, hold)
        lib.nic_device_attach(self.handle, backend.handle if backend is not None else ffi.NULL)
        raise_pending()

    def enable_decoding(self) -> None:
        """Does what firmware does: lets the card answer memory and I/O accesses (bus mastering stays the driver's)."""
        if self.FUNCTION:
            self.config.write(0x04, self.config.read(0x04, 2) | 3, 2)

    def reset(self, kind: Reset = Reset.BUS) -> None:
        """Power-on, RST#, or the card's own reset.  Configuration space survives the last only."""
        lib.nic_reset(self.handle, kind.value)
        raise_pending()

    def poll(self) -> None:
        """Delivers frames that have arrived, runs timers that are due, finishes work that was left."""
        self.loop.turn(0)

    def fileno(self) -> int:
        """A descriptor that is readable when `poll` has something to do."""
        return self.loop.fileno()

    def set_link(self, up: bool) -> None:
        """Plugs the cable in or pulls it out."""
        lib.nic_set_cable(self.handle, up)
        raise_pending()

    def disturb(self, what: str, count: int = 1) -> None:
        """Lets a wire, a neighbour or a slow bus do something to the next `count` frames that it can happen to.

        what: one of the names in DISTURBANCES; the card's page says what each comes to.  A second call for the same
        replaces the count that is left.

        Raises ConfigurationError for anything else, and for a card that nothing can be done to in this way.
        """
        if what not in self.DISTURBANCES or not 0 <= count <= 0xFFFFFFFF:
            expected = f"one of {', '.join(self.DISTURBANCES)}" if self.DISTURBANCES else f"nothing for {self.MODEL}"
            raise ConfigurationError(f"disturb {what!r}, {count}; expected {expected}")
        lib.nic_disturb(self.handle, self.DISTURBANCES[what], count)

    @property
    def wire_up(self) -> bool:
        """Whether a cable leads to something that is there."""
        return bool(lib.nic_link_up(self.handle))

    @property
    def interrupt(self) -> bool:
        """The level of the INTx pin."""
        return bool(lib.nic_interrupt_level(self.handle))

    @property
    def counters(self) -> dict[str, int]:
        """What the engine counted: accesses, DMA, and everything that was refused or lost (see docs)."""
        found: dict[str, int] = {}
        for prefix, c in (
            ("", lib.nic_device_counters(self.handle)),
            ("port_", lib.nic_device_port_counters(self.handle)),
        ):
            for member, _ in ffi.typeof(c).item.fields:
                found[prefix + member] = int(getattr(c, member))
        return found

    @property
    def findings(self) -> list[Finding]:
        """Rules of the data sheet that the driver broke since the last look; a look takes them out."""
        found = lib.nic_device_findings(self.handle)
        result = []
        while found.head != found.tail:
            kept = found.kept[found.head % lib.NIC_FINDINGS_KEPT]
            result.append(Finding(kept.time, self.RULES[kept.rule], kept.first, kept.second))
            found.head += 1
        for i in range(len(self.RULES)):
            found.kept_of[i] = 0
        return result

    @property
    def finding_counts(self) -> dict[str, int]:
        """How often each rule was broken, by id; rules that never were are absent."""
        counts = lib.nic_device_findings(self.handle).counts
        return {rule.id: int(counts[i]) for i, rule in enumerate(self.RULES) if counts[i]}

    def find(self, rule: str, first: int = 0, second: int = 0) -> None:
        """Reports a broken rule by id (for the Python side of a card)."""
        number = next(i for i, r in enumerate(self.RULES) if r.id == rule)
        lib.nic_find(self.handle, number, first, second)

    def start_trace(self, entries: int = 65536) -> None:
        """Records register accesses, at most `entries` until they are taken."""
        if lib.nic_trace_start(self.handle, entries):
            raise ConfigurationError(f"cannot trace {entries} entries; expected 1 or more, within memory")

    def stop_trace(self) -> None:
        """Stops recording."""
        lib.nic_trace_stop(self.handle)

    def take_trace(self) -> list[TraceEntry]:
        """Takes the recorded accesses out, decoded."""
        lost = ffi.new("uint64_t *")
        buffer = ffi.new("nic_trace_entry[]", 4096)
        result: list[TraceEntry] = []
        while count := lib.nic_trace_drain(self.handle, buffer, len(buffer), lost):
            result += [self._decode(buffer[i]) for i in range(count)]
        return result

    def _decode(self, entry: Any) -> TraceEntry:
        register, meaning = "", ""
        if entry.row:
            _, described = self.compiled.rows[entry.row - 1]
            register = described.element_name(entry.index)
            if entry.size == described.size:
                meaning = described.describe(entry.value)
        space = self.compiled.spaces[entry.space].name
        return TraceEntry(
            entry.time, space, entry.offset, entry.size, bool(entry.write), entry.value, register, meaning
        )

    def save(self) -> bytes:
        """The card's whole state as JSON text (see `nicemu.snapshot`)."""
        from nicemu import snapshot

        return snapshot.save(self)

    def load(self, data: bytes) -> None:
        """Takes on a saved state; SnapshotError, and no change, if `data` is not a snapshot of this model."""
        from nicemu import snapshot

        snapshot.load(self, data)
        raise_pending()

    def close(self) -> None:
        """Unplugs and frees the card; harmless when done twice.

        Raises ConfigurationError inside one of the card's own calls, such as `irq` or a backend's `send`.
        """
        if self.handle is not None:
            if lib.nic_device_busy(self.handle):
                raise ConfigurationError(f"{self.name} cannot be closed from inside one of its own calls")
            while self.closers:
                self.closers[-1]()
            self.loop.remove(self)
            lib.nic_device_free(self.handle)
            self.handle = None

    def __enter__(self) -> Nic:
        return self

    def __exit__(self, *args: object) -> None:
        self.close()

    def __del__(self) -> None:
        if self.handle is not None:
            self.close()

    def __repr__(self) -> str:
        return f"<{self.MODEL} {self.mac.hex(':')} {'closed' if self.handle is None else self.name}>"
