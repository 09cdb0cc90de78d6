"""The steps that register scripts are made of; see ``conformance/scripts``.

A script is a list of steps. Steps that observe carry a name; what they saw is recorded as ``SCRIPT/NAME`` and
compared between the two sides. A register is named by the card's tables, or by space and offset; a space is the
card's first BAR of that kind, for cards and models do not agree on the number.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Space = Literal["memory", "io"]


@dataclass(frozen=True)
class Write:
    """Write a register."""

    register: str | tuple[Space, int]
    value: int
    size: int = 4


@dataclass(frozen=True)
class Read:
    """Observe the bits in ``mask`` of a register; ``name`` is its own name unless given."""

    register: str | tuple[Space, int]
    name: str = ""
    mask: int = 0xFFFFFFFF
    size: int = 4


@dataclass(frozen=True)
class Until:
    """Let time pass until the register's masked bits have that value; observe ``reached`` or ``never``."""

    register: str | tuple[Space, int]
    mask: int
    value: int
    name: str = ""
    size: int = 4


@dataclass(frozen=True)
class Poke:
    """Write guest memory."""

    address: int
    content: bytes


@dataclass(frozen=True)
class Peek:
    """Observe guest memory."""

    address: int
    length: int
    name: str


@dataclass(frozen=True)
class Config:
    """Write a dword of configuration space."""

    offset: int
    value: int


@dataclass(frozen=True)
class ReadConfig:
    """Observe the bits in ``mask`` of a dword of configuration space."""

    offset: int
    name: str
    mask: int = 0xFFFFFFFF


@dataclass(frozen=True)
class Line:
    """Observe whether the card's interrupt pin is asserted, as the interrupt controller sees it."""

    name: str


@dataclass(frozen=True)
class Arrive:
    """A frame arrives from the wire, without FCS."""

    frame: bytes


@dataclass(frozen=True)
class Left:
    """Observe the frames that left the card since the last look; ``count`` are waited for, further ones show too."""

    count: int
    name: str


@dataclass(frozen=True)
class Pass:
    """Let time pass: virtual time for QEMU's own model, a short sleep for a card on its own clock."""

    milliseconds: int


Step = Write | Read | Until | Poke | Peek | Config | ReadConfig | Line | Arrive | Left | Pass
