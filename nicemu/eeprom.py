"""Microwire serial EEPROMs of the family 93C46, 93C56, 93C66: the chip beside a network controller.

The controller's driver moves three pins (CS, SK, DI) and looks at a fourth (DO).  The part is modelled at those pins,
bit by bit, so a driver's bit-banging works or fails as on the board:

* A start bit, a two-bit opcode and the address are shifted in on rising edges of SK while CS is high, most significant
  bit first.  Zeros before the start bit are ignored.  CS low aborts whatever is going on.
* READ drives DO from the last address bit's edge on: a dummy 0, then the data, one bit after each rising edge.  With CS
  held high the next word follows without a dummy bit, wrapping at the end of the array.
* WRITE, ERASE, WRAL and ERAL are carried out when CS falls after exactly the right number of clocks; one clock more or
  less and nothing is programmed.  They need EWEN first, which EWDS and power-off undo.
* While the part programs itself, CS high shows DO = 0 (busy) and the pins are ignored; then DO = 1 (ready).
* DO is in high impedance otherwise; boards pull it up, so it reads as 1.

Sources: Microchip 93AA46/93LC46/93C46 (DS20001749), 93AA56/93LC56/93C56 (DS21794), 93LC46/56/66 (DS21712);
ST M93C46..M93C86 (Doc ID 4997), sections 6 (ready/busy) and 9 (clock pulse counter);
Atmel AT93C46/56/66 (0172Z), functional description.
"""

from __future__ import annotations

import operator
from array import array
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from nicemu.errors import ConfigurationError, SnapshotError

__all__ = ["EepromFile", "MicrowireEeprom", "with_checksum"]

#: Address bits in an instruction, by (cells, bits in a cell).  The 93C56 takes one bit more than it uses
#: (DS21712, tables 1-1 to 1-6).
ADDRESS_BITS: Mapping[tuple[int, int], int] = {
    (64, 16): 6,  # 93C46
    (128, 8): 7,
    (128, 16): 8,  # 93C56
    (256, 8): 9,
    (256, 16): 8,  # 93C66
    (512, 8): 9,
}


def with_checksum(words: Sequence[int], index: int, total: int = 0xBABA) -> list[int]:
    """Return a copy of `words` whose word `index` makes words 0 to `index` add up to `total` (modulo 2**16).

    Intel's controllers call the image valid when words 00h to 3Fh add up to BABAh (8254x SDM 5.6.35).
    Raises ConfigurationError when `index` is not a word of the image.
    """
    if not 0 <= index < len(words):
        raise ConfigurationError(f"checksum index is {index}; expected 0..{len(words) - 1}")
    image = list(words)
    image[index] = (total - sum(image[:index])) & 0xFFFF
    return image


class EepromFile:
    """The file that keeps the contents of an EEPROM of 16-bit cells, little-endian; without a path nothing is kept.

    path: the file, or None.
    """

    def __init__(self, path: str | Path | None) -> None:
        self.path = Path(path) if path else None

    def load(self, image: Sequence[int]) -> list[int]:
        """Return what the file holds; it is made with `image` if it is missing.

        Raises ConfigurationError when it is not as long as `image`.
        """
        if not self.path:
            return list(image)
        if not self.path.exists():
            self.save(image)
        data = self.path.read_bytes()
        if len(data) != 2 * len(image):
            raise ConfigurationError(
                f"eeprom={self.path}: {len(data)} bytes; expected {2 * len(image)} ({len(image)} words)"
            )
        return [int.from_bytes(data[at : at + 2], "little") for at in range(0, len(data), 2)]

    def save(self, words: Sequence[int]) -> None:
        """Put `words` into the file."""
        if self.path:
            self.path.write_bytes(b"".join(word.to_bytes(2, "little") for word in words))


class MicrowireEeprom:
    """One 93C46, 93C56 or 93C66.

    words:         number of cells: 64, 128 or 256 of 16 bits; 128, 256 or 512 of 8 bits.
    data:          the contents; cells beyond it are in delivery state, all ones.
    cell_bits:     16 or 8: what the ORG pin selects.
    write_time_ns: how long programming takes (M93C46: at most 5 ms).  0: DO never shows busy.
    now_ns:        the card's clock, needed when programming takes time.
    on_change:     called with (first cell, number of cells) after the guest or the controller changed the contents, to
                   keep a file in step.  Restoring a snapshot does not call it.

    Raises ConfigurationError when the arguments describe no such part.
    """

    #: Contents, one item for each cell.
    words: array[int]

    def __init__(
        self,
        words: int,
        data: Sequence[int] = (),
        *,
        cell_bits: int = 16,
        write_time_ns: int = 0,
        now_ns: Callable[[], int] | None = None,
        on_change: Callable[[int, int], None] | None = None,
    ) -> None:
        if (words, cell_bits) not in ADDRESS_BITS:
            sizes = ", ".join(f"{n} of {bits} bits" for n, bits in ADDRESS_BITS)
            raise ConfigurationError(f"an EEPROM of {words} cells of {cell_bits} bits; expected one of {sizes}")
        if write_time_ns < 0:
            raise ConfigurationError(f"write_time_ns is {write_time_ns}; expected 0 or more")
        if write_time_ns and now_ns is None:
            raise ConfigurationError("programming that takes time needs now_ns, the card's clock")
        self.cell_bits = cell_bits
        self.erased = (1 << cell_bits) - 1
        self.write_time_ns = write_time_ns
        self.on_change = on_change
        self._now = now_ns
        self._mask = words - 1
        self._address_bits = ADDRESS_BITS[words, cell_bits]
        self.words = self._contents(words, data)
        self._edges: dict[str, Callable[[bool], None]] = {
            "start": self._edge_start,
            "instruction": self._edge_instruction,
            "data in": self._edge_data_in,
            "data out": self._edge_data_out,
            "complete": self._edge_complete,
            "done": self._edge_done,
        }
        self._cs = self._sk = False
        self.power_on()

    def _contents(self, count: int, data: Sequence[int]) -> array[int]:
        if len(data) > count:
            raise ConfigurationError(f"{len(data)} values for an EEPROM of {count} cells")
        given = [self._check(value, f"cell {index}") for index, value in enumerate(data)]
        return array("H", given + [self.erased] * (count - len(given)))

    def _check(self, value: Any, name: str) -> int:
        try:
            number = operator.index(value)
        except TypeError:
            number = -1
        if not 0 <= number <= self.erased:
            raise ConfigurationError(f"{name} is {value!r}; expected 0..{self.erased:#x}")
        return number

    # Power and the controller's side

    def power_on(self) -> None:
        """Take power away and give it back: contents stay, programming is disabled, any instruction is forgotten."""
        self._enabled = False
        self._busy_until: int | None = None
        self._forget()

    @property
    def write_enabled(self) -> bool:
        """Whether EWEN was given since power-on and no EWDS after it."""
        return self._enabled

    @property
    def busy(self) -> bool:
        """Whether the part is programming itself."""
        if self._busy_until is None:
            return False
        if self._now is not None and self._now() < self._busy_until:
            return True
        self._busy_until = None
        return False

    def read_word(self, index: int) -> int:
        """Return a cell as the controller's own reader gets it; the address wraps, as the part decodes no more bits."""
        return self.words[index & self._mask]

    def write_word(self, index: int, value: int) -> None:
        """Store a cell as the controller's own writer does, write enable or not; the address wraps.

        Raises ConfigurationError when the value does not fit into a cell.
        """
        self._store(index & self._mask, 1, self._check(value, "value"))

    def _store(self, first: int, count: int, value: int) -> None:
        for index in range(first, first + count):
            self.words[index] = value
        if self.on_change is not None:
            self.on_change(first, count)

    # Pins

    @property
    def do(self) -> bool:
        """Level of DO; high impedance reads as 1."""
        return self._do and not (self._cs and self.busy)

    def set_pins(self, cs: bool, sk: bool, di: bool) -> None:
        """Drive the three inputs at once.

        SK counts only when it rises while CS was already high: an edge together with CS violates the set-up time
        (tCSS) and is not one that the part must see.
        """
        if not cs:
            if self._cs:
                self._cs = False
                self._deselect()
        elif not self._cs:
            self._cs = True
        elif sk and not self._sk:
            self._edge(di)
        self._sk = sk

    def _enter(self, phase: str) -> None:
        self._phase = phase
        self._edge = self._edges[phase]

    def _forget(self) -> None:
        self._shift = 0  # bits shifted in, or the cell being shifted out
        self._left = 0  # bits still to come
        self._address = 0
        self._opcode = ""
        self._do = True
        self._enter("start")

    def _deselect(self) -> None:
        if self._phase == "complete" and self._enabled:
            self._program()
        self._forget()

    def _program(self) -> None:
        everywhere = self._opcode in ("ERAL", "WRAL")
        value = self.erased if self._opcode in ("ERASE", "ERAL") else self._shift
        if self.write_time_ns and self._now is not None:
            self._busy_until = self._now() + self.write_time_ns
        self._store(0 if everywhere else self._address, len(self.words) if everywhere else 1, value)

    # What a rising edge of SK does, by phase

    def _edge_start(self, di: bool) -> None:
        if di and not self.busy:
            self._left = 2 + self._address_bits
            self._enter("instruction")

    def _edge_instruction(self, di: bool) -> None:
        self._shift = self._shift << 1 | di
        self._left -= 1
        if self._left:
            return
        opcode, address = divmod(self._shift, 1 << self._address_bits)
        # Opcode 00 takes its meaning from the two highest address bits.
        special = ("EWDS", "WRAL", "ERAL", "EWEN")[address >> (self._address_bits - 2)]
        self._opcode = (special, "WRITE", "READ", "ERASE")[opcode]
        self._address = address & self._mask
        self._shift = 0
        if self._opcode == "READ":
            self._do = False
            self._enter("data out")
        elif self._opcode in ("WRITE", "WRAL"):
            self._left = self.cell_bits
            self._enter("data in")
        elif self._opcode in ("ERASE", "ERAL"):
            self._enter("complete")
        else:
            self._enabled = self._opcode == "EWEN"
            self._enter("done")

    def _edge_data_in(self, di: bool) -> None:
        self._shift = self._shift << 1 | di
        self._left -= 1
        if not self._left:
            self._enter("complete")

    def _edge_data_out(self, di: bool) -> None:
        if not self._left:
            self._shift = self.words[self._address]
            self._address = self._address + 1 & self._mask
            self._left = self.cell_bits
        self._left -= 1
        self._do = bool(self._shift >> self._left & 1)

    def _edge_complete(self, di: bool) -> None:
        self._enter("done")  # one clock too many: the instruction is abandoned (Doc ID 4997, section 9)

    def _edge_done(self, di: bool) -> None:
        pass

    # Snapshot

    def state(self) -> dict[str, Any]:
        """Return everything that the part remembers, as plain numbers, strings, lists and flags."""
        remaining = None
        if self.busy and self._busy_until is not None and self._now is not None:
            remaining = self._busy_until - self._now()
        return {
            "words": list(self.words),
            "write_enabled": self._enabled,
            "busy_ns": remaining,
            "cs": self._cs,
            "sk": self._sk,
            "do": self._do,
            "phase": self._phase,
            "opcode": self._opcode,
            "address": self._address,
            "shift": self._shift,
            "left": self._left,
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Take over what `state` returned, of a part of the same size.

        Raises SnapshotError, and changes nothing, when `state` is not such a description.
        """
        known = self.state()
        if not isinstance(state, Mapping) or set(state) != set(known):
            raise SnapshotError(f"an EEPROM's state has the entries {', '.join(known)}")
        for name in ("write_enabled", "cs", "sk", "do"):
            if type(state[name]) is not bool:
                raise SnapshotError(f"{name} is {state[name]!r}; expected true or false")
        words = state["words"]
        if not isinstance(words, Sequence) or isinstance(words, (str, bytes)) or len(words) != len(self.words):
            raise SnapshotError(f"words is no list of {len(self.words)} numbers")
        try:
            contents = self._contents(len(self.words), words)
        except ConfigurationError as error:
            raise SnapshotError(f"words: {error}") from error
        self._check_instruction(state)
        busy_ns = state["busy_ns"]
        if busy_ns is not None and (type(busy_ns) is not int or busy_ns < 0):
            raise SnapshotError(f"busy_ns is {busy_ns!r}; expected null, or 0 or more")
        self.words = contents
        self._enabled, self._cs, self._sk, self._do = (state[n] for n in ("write_enabled", "cs", "sk", "do"))
        self._opcode, self._address = state["opcode"], state["address"]
        self._shift, self._left = state["shift"], state["left"]
        self._busy_until = None if busy_ns is None or self._now is None else self._now() + busy_ns
        self._enter(state["phase"])

    def _check_instruction(self, state: Mapping[str, Any]) -> None:
        """Raise SnapshotError unless phase, opcode and counters describe an instruction that can be under way."""
        phase, opcode = state["phase"], state["opcode"]
        instruction_bits = 2 + self._address_bits
        most = {"instruction": instruction_bits, "data in": self.cell_bits, "data out": self.cell_bits - 1}
        opcodes = {
            "start": ("",),
            "instruction": ("",),
            "data in": ("WRITE", "WRAL"),
            "data out": ("READ",),
            "complete": ("WRITE", "WRAL", "ERASE", "ERAL"),
            "done": ("WRITE", "WRAL", "ERASE", "ERAL", "EWEN", "EWDS"),
        }
        if not isinstance(phase, str) or opcode not in opcodes.get(phase, ()):
            raise SnapshotError(f"phase {phase!r} with opcode {opcode!r} is no stage of an instruction")
        if not state["do"] and phase != "data out":
            raise SnapshotError(f"do is false in phase {phase!r}; only data pulls it low")
        least = 1 if phase in ("instruction", "data in") else 0
        limits = {
            "left": (least, most.get(phase, 0)),
            "address": (0, self._mask),
            "shift": (0, (1 << max(instruction_bits, self.cell_bits)) - 1),
        }
        for name, (low, high) in limits.items():
            if type(state[name]) is not int or not low <= state[name] <= high:
                raise SnapshotError(f"{name} is {state[name]!r}; expected {low}..{high} in phase {phase!r}")
        shifted = {"instruction": instruction_bits - state["left"], "data in": self.cell_bits - state["left"]}
        if state["shift"] >> shifted.get(phase, self.cell_bits):
            raise SnapshotError(f"shift is {state['shift']:#x}; more bits than were clocked in phase {phase!r}")
