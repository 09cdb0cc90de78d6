"""What lies beyond a PHY: the cable, the link partner, and what the two ends agree on.

Sources: IEEE Std 802.3 clause 28, Annex 28B (priorities, PAUSE), 40.5 (1000BASE-T).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

from nicemu.errors import ConfigurationError
from nicemu.mii import (
    AN_ASM_DIR,
    AN_NEXT_PAGE,
    AN_PAUSE,
    AN_REMOTE_FAULT,
    AN_SELECTOR,
    GBCR_MANUAL,
    GBCR_MASTER,
    GBCR_MULTIPORT,
)

__all__ = ["LINK_MODES", "Cable", "Link", "LinkMode", "LinkPartner", "Outcome", "resolve_master", "resolve_pause"]


@dataclass(frozen=True)
class LinkMode:
    """A technology that autonegotiation can choose, with its bits in ANAR, GBCR and GBSR."""

    name: str
    speed: int
    full_duplex: bool
    anar: int = 0
    gbcr: int = 0
    gbsr: int = 0


#: What two partners may agree on, best first (Annex 28B.3), under the names that ethtool uses.
LINK_MODES = (
    LinkMode("1000baseT/Full", 1000, True, gbcr=0x0200, gbsr=0x0800),
    LinkMode("1000baseT/Half", 1000, False, gbcr=0x0100, gbsr=0x0400),
    LinkMode("100baseT/Full", 100, True, anar=0x0100),
    LinkMode("100baseT/Half", 100, False, anar=0x0080),
    LinkMode("10baseT/Full", 10, True, anar=0x0040),
    LinkMode("10baseT/Half", 10, False, anar=0x0020),
)


def resolve_pause(local: int, partner: int) -> tuple[bool, bool]:
    """Return (may send PAUSE, obeys PAUSE) for the local side of a full duplex link (Annex 28B, table 28B-3).

    `local` and `partner` are the base pages of the two sides (bits 10 PAUSE and 11 ASM_DIR).
    """
    if local & partner & AN_PAUSE:
        return True, True
    if local & partner & AN_ASM_DIR:
        return bool(partner & AN_PAUSE), bool(local & AN_PAUSE)
    return False, False


def resolve_master(gbcr: int, partner: LinkPartner) -> bool | None:
    """Return whether the local PHY becomes master of a 1000BASE-T link, None if both insist on one role (table 40-5).

    Where the standard leaves it to the higher random seed, the local side becomes slave.
    """
    if gbcr & GBCR_MANUAL:
        master = bool(gbcr & GBCR_MASTER)
        return None if partner.master == master else master
    if partner.master is not None:
        return not partner.master
    return bool(gbcr & GBCR_MULTIPORT) and not partner.multiport


def _check_flags(thing: object, *names: str) -> None:
    for name in names:
        value = getattr(thing, name)
        if type(value) is not bool:
            raise ConfigurationError(f"{name} is {value!r}; expected true or false")


@dataclass(frozen=True)
class LinkPartner:
    """What is at the other end of the cable; by default the port of a gigabit switch.

    modes:        what it can do, by names of `LINK_MODES`; a partner that does not negotiate has exactly one.
    autoneg:      whether it negotiates; 1000BASE-T needs that (40.5.1).
    pause, asm_dir: its flow control bits (Annex 28B.2).
    multiport:    whether it prefers to be master, as switches do (40.5.2).
    master:       the role it insists on in 1000BASE-T; None: by negotiation.
    remote_fault: whether it reports a fault.

    Raises ConfigurationError for a partner that cannot exist.
    """

    modes: Sequence[str] = tuple(mode.name for mode in LINK_MODES if mode.name != "1000baseT/Half")
    autoneg: bool = True
    pause: bool = True
    asm_dir: bool = True
    multiport: bool = True
    master: bool | None = None
    remote_fault: bool = False

    def __post_init__(self) -> None:
        names = [mode.name for mode in LINK_MODES]
        if isinstance(self.modes, str) or not isinstance(self.modes, Sequence) or not self.modes:
            raise ConfigurationError(f"modes is {self.modes!r}; expected a list of {', '.join(names)}")
        for name in self.modes:
            if name not in names:
                raise ConfigurationError(f"link mode {name!r}; expected one of {', '.join(names)}")
        object.__setattr__(self, "modes", tuple(name for name in names if name in self.modes))
        _check_flags(self, "autoneg", "pause", "asm_dir", "multiport", "remote_fault")
        if self.master is not None:
            _check_flags(self, "master")
        if not self.autoneg and (len(self.modes) != 1 or self.gigabit):
            raise ConfigurationError(
                f"a partner that does not negotiate has one mode of 10 or 100 Mb/s, not {self.modes}"
            )

    @property
    def link_modes(self) -> tuple[LinkMode, ...]:
        """What it can do, best first."""
        return tuple(mode for mode in LINK_MODES if mode.name in self.modes)

    @property
    def gigabit(self) -> bool:
        """Whether it can do 1000BASE-T."""
        return any(mode.speed == 1000 for mode in self.link_modes)

    @property
    def base_page(self) -> int:
        """The link code word that it sends (28.2.1.2), without Acknowledge."""
        page = AN_SELECTOR | sum(mode.anar for mode in self.link_modes)
        page |= AN_PAUSE * self.pause | AN_ASM_DIR * self.asm_dir | AN_REMOTE_FAULT * self.remote_fault
        return page | AN_NEXT_PAGE * self.gigabit


@dataclass(frozen=True)
class Cable:
    """The wire between the PHY and its partner.

    connected: whether it is plugged in.
    pairs:     how many of the four pairs are sound; 1000BASE-T needs them all, the slower ones two.
    length_m:  metres, for PHYs that estimate it.

    Raises ConfigurationError for a cable that cannot exist.
    """

    connected: bool = True
    pairs: int = 4
    length_m: int = 10

    def __post_init__(self) -> None:
        _check_flags(self, "connected")
        if type(self.pairs) is not int or self.pairs not in (2, 3, 4):
            raise ConfigurationError(f"pairs is {self.pairs!r}; expected 2, 3 or 4")
        if type(self.length_m) is not int or self.length_m < 0:
            raise ConfigurationError(f"length_m is {self.length_m!r}; expected 0 or more")


@dataclass(frozen=True)
class Link:
    """State of the link.  While it is down the rest tells how it was last up.

    speed:            10, 100 or 1000 Mb/s.
    transmit_pause:   the MAC may send PAUSE frames; receive_pause: it obeys those that it gets.
    master:           clock role in 1000BASE-T.
    duplex_mismatch:  the two ends disagree about the duplex mode.
    """

    up: bool = False
    speed: int = 10
    full_duplex: bool = False
    transmit_pause: bool = False
    receive_pause: bool = False
    master: bool = False
    duplex_mismatch: bool = False

    def __post_init__(self) -> None:
        _check_flags(self, *(f.name for f in fields(self) if f.name != "speed"))
        if type(self.speed) is not int or self.speed not in (10, 100, 1000):
            raise ConfigurationError(f"speed is {self.speed!r}; expected 10, 100 or 1000")


@dataclass(frozen=True)
class Outcome:
    """What autonegotiation arrives at: `mode` is None where no link can be had."""

    mode: LinkMode | None
    parallel: bool = False
    downshift: bool = False
    master: bool | None = False
