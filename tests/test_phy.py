"""PHYs: IEEE 802.3 clauses 22 and 28, Annex 28B, and the 82540EM's PHY by the 8254x SDM 11 and 13.4.7.1."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nicemu.errors import ConfigurationError, SnapshotError
from nicemu.link import LINK_MODES, Cable, Link, LinkPartner, resolve_master, resolve_pause
from nicemu.m88e1000 import M88E1000
from nicemu.mii import MII_100, MII_1000, mii_register
from nicemu.phy import Phy
from nicemu.registers import Field, Reserved, State, Table

RESET, LOOPBACK, AUTONEG, POWER_DOWN, ISOLATE, RESTART, DUPLEX = 0x8000, 0x4000, 0x1000, 0x0800, 0x0400, 0x0200, 0x0100
SPEED_1000, SPEED_100, SPEED_10 = 0x0040, 0x2000, 0x0000
LINK, COMPLETE = 0x0004, 0x0020
SECOND = 1_000_000_000
UP_1000, DOWN_1000 = (True, 1000, True), (False, 1000, True)


class FastPhy(Phy):
    """A plain 10/100 PHY."""

    TABLE = MII_100


KINDS = [pytest.param(kind, id=kind.__name__) for kind in (Phy, FastPhy, M88E1000)]


@dataclass
class Bench:
    """A PHY on a clock of its own, with all that it reports; `wire` makes things take their time."""

    kind: type[Phy] = M88E1000
    wire: bool = False
    options: dict[str, Any] = field(default_factory=dict)
    now: int = 5_000
    links: list[tuple[bool, int, bool]] = field(default_factory=list)
    levels: list[bool] = field(default_factory=list)
    odd: list[tuple[str, int, int]] = field(default_factory=list)
    deadline: int | None = None

    def __post_init__(self) -> None:
        def deadline_changed(deadline: int | None) -> None:
            assert deadline != self.deadline
            self.deadline = deadline

        self.phy = self.kind(
            now_ns=(lambda: self.now) if self.wire else None,
            on_link_change=lambda *link: self.links.append(link),
            on_interrupt=self.levels.append,
            on_deadline=deadline_changed,
            on_odd_access=lambda *access: self.odd.append(access),
            **self.options,
        )
        self.phy.hardware_reset()

    def advance(self, ns: int) -> None:
        """Let time pass and poll the PHY exactly when it wants to be."""
        end = self.now + ns
        while self.deadline is not None and self.deadline <= end:
            self.now = max(self.now, self.deadline)
            self.phy.poll()
        self.now = end

    def forget(self) -> None:
        self.links.clear()
        self.levels.clear()


def m88(**options: Any) -> M88E1000:
    phy = M88E1000(**options)
    phy.hardware_reset()
    return phy


def ieee(**options: Any) -> Phy:
    phy = Phy(**options)
    phy.hardware_reset()
    return phy


def partner(*modes: str, **options: Any) -> LinkPartner:
    return LinkPartner(modes, **options)


def forced(mode: str) -> LinkPartner:
    return LinkPartner([mode], autoneg=False)


# Reset values and identity


@pytest.mark.parametrize(
    ("number", "value"),
    [
        (0, 0x1140),  # 13.4.7.1.1
        (2, 0x0141),  # 13.4.7.1.3
        (3, 0x0C20),  # 13.4.7.1.4
        (4, 0x01E1),  # 13.4.7.1.5
        (5, 0x0000),
        (6, 0x0000),
        (7, 0x2001),  # 13.4.7.1.8
        (8, 0x0000),
        (9, 0x1E00),  # 13.4.7.1.10
        (10, 0x0000),
        (15, 0x3000),  # 13.4.7.1.12
        (16, 0x0068),  # 13.4.7.1.13
        (17, 0x0000),
        (18, 0x0000),
        (19, 0x0000),
        (20, 0x0D60),  # 13.4.7.1.17
        (21, 0x0000),
        (29, 0x0000),
        (30, 0x0000),
    ],
)
def test_82540em_hardware_reset_values(number: int, value: int) -> None:
    assert m88(cable=Cable(connected=False)).read(number) == value


def test_82540em_status_before_and_after_the_link() -> None:
    phy = m88(cable=Cable(connected=False))
    assert phy.read(1) == 0x7949  # 13.4.7.1.2
    phy.set_cable(True)
    phy.read(1)
    assert phy.read(1) == 0x796D


def test_identifier() -> None:
    """22.2.4.3.1; the revision is the low nibble of register 3."""
    phy = Phy(identifier=0x0022561B)
    phy.hardware_reset()
    phy.write(0, RESET)
    assert (phy.read(2), phy.read(3)) == (0x0022, 0x561B)
    assert m88(revision=4).read(3) == 0x0C24
    with pytest.raises(ConfigurationError, match=r"expected 0\.\.15"):
        M88E1000(revision=16)


@pytest.mark.parametrize("kind", KINDS)
def test_phy_held_in_reset_is_silent(kind: type[Phy]) -> None:
    phy = kind()
    phy.write(4, 0)
    assert [phy.read(n) for n in (0, 1, 4)] == [0xFFFF] * 3  # MDIO is pulled up
    assert not phy.link.up
    phy.set_reset(False)
    assert phy.link.up
    assert phy.read(4) == 0x01E1
    phy.set_reset(True)
    assert not phy.link.up


@pytest.mark.parametrize("kind", KINDS)
def test_hardware_reset_restores_everything(kind: type[Phy]) -> None:
    bench, fresh = Bench(kind), Bench(kind)
    for number in range(32):
        bench.phy.write(number, 0x5A5A & ~RESET)
    bench.phy.hardware_reset()
    assert bench.phy.state() == fresh.phy.state()


def test_10_100_phy_has_no_gigabit_registers() -> None:
    """22.2.4.1.3 and 22.2.4.2.16."""
    bench = Bench(FastPhy)
    phy = bench.phy
    assert not phy.gigabit
    assert phy.read(0) == 0x3100
    phy.read(1)
    assert phy.read(1) == 0x7849 | COMPLETE | LINK
    assert [phy.read(n) for n in (9, 10, 15)] == [0, 0, 0]
    assert phy.link == Link(True, 100, True)
    phy.write(0, 0xFFFF & ~(RESET | LOOPBACK | POWER_DOWN))
    assert phy.read(0) == 0x3580  # bit 6 stays 0


# MDIO accesses


@pytest.mark.parametrize("kind", KINDS)
def test_access_by_the_tables_words(kind: type[Phy]) -> None:
    """Every register of every table: what may be written is kept, the rest reads as documented."""
    for register in kind.TABLE:
        number = register.offset // 2
        for value in (0x0000, 0xFFFF, 0xA5A5, 0x5A5A):
            phy = kind(cable=Cable(connected=False))
            phy.hardware_reset()
            phy.read(number)
            before = phy.peek(number)
            value &= ~RESET if number == 0 else 0xFFFF
            phy.write(number, value)
            writable = register.mask("write")
            assert phy.read(number) == before & ~writable | value & writable, register.name


@pytest.mark.parametrize("kind", KINDS)
def test_unmapped_registers_read_zero(kind: type[Phy]) -> None:
    bench = Bench(kind)
    mapped = {register.offset // 2 for register in kind.TABLE}
    for number in sorted(set(range(32)) - mapped):
        bench.phy.write(number, 0xFFFF)
        assert bench.phy.read(number) == 0
        assert bench.odd == [("unmapped write", number, 0xFFFF), ("unmapped read", number, 0)]
        bench.odd.clear()


def test_odd_accesses_are_reported() -> None:
    bench = Bench(M88E1000, options={"cable": Cable(connected=False)})
    phy = bench.phy
    phy.write(1, 0xFFFF)
    phy.write(16, 0x0078)  # bit 4 is reserved
    phy.write(4, 0x81E1)  # next pages by software
    phy.write(4, 0x81E1)  # nothing changes any more
    phy.write(9, 0x1E01)  # reserved, though it can be written
    phy.write(16, 0x0808)
    assert bench.odd == [
        ("read-only", 1, 0xFFFF),
        ("reserved", 16, 0x0078),
        ("unmodelled", 4, 0x81E1),
        ("reserved", 9, 0x1E01),
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_linux_setup_is_not_odd(kind: type[Phy]) -> None:
    """What drivers do on every open: reads of the standard's registers, advertisement, restart."""
    bench = Bench(kind)
    for number in (*range(11), 15) if bench.phy.gigabit else range(9):
        bench.phy.read(number)
    bench.phy.write(4, 0x0DE1)
    if bench.phy.gigabit:
        bench.phy.write(9, bench.phy.read(9) & ~0x0100)
    bench.phy.write(0, bench.phy.read(0) | AUTONEG | RESTART)
    assert bench.odd == []


def test_peek_has_no_side_effects() -> None:
    phy = m88()
    assert phy.peek("PINTS") == phy.peek(19) == phy.peek(19) != 0
    assert phy.read(19) != 0
    assert phy.peek("PINTS") == 0
    with pytest.raises(KeyError, match="PSCR"):
        phy.peek("PSCR")
    with pytest.raises(KeyError):
        phy.peek(11)


# BMCR


@pytest.mark.parametrize("kind", KINDS)
def test_reset_bit_clears_itself(kind: type[Phy]) -> None:
    """22.2.4.1.1."""
    bench = Bench(kind)
    default = bench.phy.read(0)
    bench.phy.write(0, RESET | default)
    assert bench.phy.read(0) == default
    assert bench.links[-2:] == [(False, *bench.links[0][1:]), bench.links[0]]


def test_standard_reset_brings_defaults_back() -> None:
    """22.2.4.1.1: status and control registers go to their default states."""
    phy = ieee()
    phy.write(4, 0x0021)
    phy.write(9, 0)
    phy.write(0, RESET | SPEED_100 | LOOPBACK | ISOLATE)
    assert (phy.read(0), phy.read(4), phy.read(9)) == (0x1140, 0x01E1, 0x0300)


def test_82540em_software_reset_retains() -> None:
    """The SW Rst column of tables 13-16 to 13-50."""
    phy = m88()
    phy.write(4, 0x0C41)
    phy.write(7, 0x0123)
    phy.write(9, 0xE1FF)
    phy.write(16, 0xFBEF)
    phy.write(18, 0xFFFF)
    phy.write(20, 0xFFFB)
    phy.write(29, 11)
    phy.write(30, 0x8004)
    phy.count_receive_errors(3)
    phy.write(0, RESET | LOOPBACK | ISOLATE | 0x0080 | DUPLEX | SPEED_100)
    assert phy.read(0) == SPEED_100 | DUPLEX  # Update: 13, 12, 8, 6; others back to 0
    assert phy.read(4) == 0x0C41  # Retain
    assert phy.read(7) == 0x2001  # back
    assert phy.read(9) == 0x0100  # 15:13 and 7:0 back, 12:8 Retain
    assert phy.read(16) == 0xFBEF  # Retain and Update
    assert phy.read(18) == 0xFFFF  # Retain
    assert phy.read(20) == 0x0FF3  # 15:12 and 3 back
    assert phy.read(21) == 0
    assert phy.read(29) == 0
    phy.write(29, 11)
    assert phy.read(30) == 0  # "any time the PHY is reset it returns to Class AB" (table 13-51)


def test_82540em_software_reset_keeps_resolved_mode() -> None:
    """Table 13-33: speed and duplex are retained."""
    bench = Bench(M88E1000, wire=True)
    bench.advance(4 * SECOND)
    assert bench.phy.read(17) & 0xEC00 == 0xAC00
    bench.phy.write(0, RESET | bench.phy.read(0))
    assert bench.phy.read(17) == 0xA000


@pytest.mark.parametrize("kind", KINDS)
def test_power_down(kind: type[Phy]) -> None:
    """22.2.4.1.5: only MDIO is alive; leaving it establishes the link anew."""
    bench = Bench(kind)
    control = bench.phy.read(0)
    bench.forget()
    bench.phy.write(0, control | POWER_DOWN)
    assert bench.phy.read(0) == control | POWER_DOWN
    assert bench.phy.read(1) & (LINK | COMPLETE) == 0
    assert bench.phy.data_path == "none"
    bench.phy.set_cable(False)
    bench.phy.set_cable(True)
    bench.phy.write(0, control | POWER_DOWN | RESTART)
    assert not bench.phy.link.up
    bench.phy.write(0, control)
    assert [up for up, *_ in bench.links] == [False, True]
    assert bench.phy.data_path == "line"


def test_82540em_wakes_up_with_a_software_reset() -> None:
    """Table 13-16, bit 12: reset and restart are performed without being asked for."""
    phy = m88()
    phy.write(29, 5)
    phy.write(0, 0x1140 | POWER_DOWN)
    assert phy.read(29) == 5
    phy.write(0, 0x1140)
    assert phy.read(29) == 0


@pytest.mark.parametrize("kind", KINDS)
def test_loopback_cuts_the_medium_off(kind: type[Phy]) -> None:
    """22.2.4.1.2."""
    bench = Bench(kind)
    control = bench.phy.read(0)
    bench.phy.write(0, control | LOOPBACK)
    assert bench.phy.data_path == "loopback"
    assert not bench.phy.link.up
    bench.phy.write(0, control | LOOPBACK | ISOLATE)
    assert bench.phy.data_path == "none"
    bench.phy.write(0, control)
    assert bench.phy.data_path == "line"
    assert bench.phy.link.up


def test_linux_e1000_loopback_test() -> None:
    """The order of writes in which Linux's e1000 tests loopback; SDM 15.1.3.1 gives the same."""
    bench = Bench(M88E1000, wire=True)
    bench.advance(4 * SECOND)
    phy = bench.phy
    phy.write(16, 0x0808)
    phy.write(0, 0x9140)
    assert phy.read(0) == 0x1140
    phy.write(0, 0x8140)
    assert phy.read(0) == 0x0140
    phy.write(0, 0x4140)
    for number, value in ((29, 0x1F), (30, 0x8FFC), (29, 0x1A), (30, 0x8FF0)):
        phy.write(number, value)
    bench.advance(10 * SECOND)
    assert phy.data_path == "loopback"
    assert not phy.link.up
    phy.write(0, phy.read(0) & ~LOOPBACK)
    phy.write(0, phy.read(0) | RESET)
    phy.write(0, phy.read(0) | AUTONEG | RESTART)
    bench.advance(4 * SECOND)
    assert phy.link.up
    assert phy.link.speed == 1000


@pytest.mark.parametrize("kind", KINDS)
def test_isolate_keeps_the_link(kind: type[Phy]) -> None:
    """22.2.4.1.6: isolation is from the MII, not from the medium."""
    bench = Bench(kind)
    bench.forget()
    bench.phy.write(0, bench.phy.read(0) | ISOLATE)
    assert bench.phy.data_path == "none"
    assert bench.phy.link.up
    assert bench.links == []


def test_restart_is_ignored_without_autonegotiation() -> None:
    """22.2.4.1.7."""
    bench = Bench(FastPhy)
    bench.phy.write(0, SPEED_100 | DUPLEX)
    bench.forget()
    bench.phy.write(0, SPEED_100 | DUPLEX | RESTART)
    assert bench.links == []
    assert bench.phy.read(0) == SPEED_100 | DUPLEX


def test_standard_mode_bits_act_when_written() -> None:
    bench = Bench(FastPhy)
    bench.forget()
    bench.phy.write(0, AUTONEG | SPEED_10)  # no effect while negotiating (22.2.4.1.3, 22.2.4.1.8)
    assert bench.links == []
    bench.phy.write(0, SPEED_100)
    assert bench.phy.link == Link(True, 100, False)
    bench.phy.write(0, SPEED_10)
    assert bench.phy.link == Link(True, 10, False)
    assert bench.phy.read(1) & COMPLETE == 0  # 22.2.4.2.10
    bench.phy.write(0, AUTONEG)
    assert bench.phy.link == Link(True, 100, True)


@pytest.mark.parametrize("trigger", ["reset", "restart", "power-down", "cable"])
def test_82540em_mode_bits_act_later(trigger: str) -> None:
    """SDM 11.1.3."""
    bench = Bench(M88E1000)
    bench.forget()
    bench.phy.write(0, SPEED_100)
    assert bench.links == []
    assert bench.phy.read(0) == SPEED_100
    assert bench.phy.link.speed == 1000
    if trigger == "reset":
        bench.phy.write(0, SPEED_100 | RESET)
    elif trigger == "restart":
        bench.phy.write(0, SPEED_100 | RESTART)
    elif trigger == "power-down":
        bench.phy.write(0, SPEED_100 | POWER_DOWN)
        bench.phy.write(0, SPEED_100)
    else:
        bench.phy.set_cable(False)
        bench.phy.set_cable(True)
    assert bench.links == [DOWN_1000, (True, 100, False)]
    assert bench.phy.read(0) == SPEED_100


# BMSR and the link


@pytest.mark.parametrize("kind", KINDS)
def test_link_bit_latches_low(kind: type[Phy]) -> None:
    """22.2.4.2.13."""
    bench = Bench(kind)
    bench.phy.read(1)
    assert bench.phy.read(1) & LINK
    bench.phy.set_cable(False)
    bench.phy.set_cable(True)
    assert bench.phy.link.up
    assert not bench.phy.read(1) & LINK
    assert bench.phy.read(1) & LINK
    bench.phy.set_cable(False)
    assert not bench.phy.read(1) & LINK
    assert not bench.phy.read(1) & LINK


@pytest.mark.parametrize("kind", KINDS)
def test_cable_changes_are_reported_once(kind: type[Phy]) -> None:
    bench = Bench(kind)
    first = bench.links[0]
    bench.forget()
    bench.phy.set_cable(True)
    assert bench.links == []
    bench.phy.set_cable(False)
    bench.phy.set_cable(False)
    assert bench.links == [(False, *first[1:])]
    bench.phy.set_cable(True)
    assert bench.links == [(False, *first[1:]), first]


def test_remote_fault_is_latched() -> None:
    """22.2.4.2.11: set by the partner's base page, cleared by reading."""
    phy = ieee(partner=LinkPartner(remote_fault=True))
    assert phy.read(1) & 0x0010
    assert not phy.read(1) & 0x0010
    assert phy.read(5) & 0x2000


def test_idle_errors_are_counted_and_cleared_by_reading() -> None:
    """Table 40-3, register 10 bits 7:0."""
    phy = ieee()
    phy.count_idle_errors(3)
    assert phy.read(10) & 0xFF == 3
    assert phy.read(10) & 0xFF == 0
    phy.count_idle_errors(1000)
    assert phy.read(10) & 0xFF == 0xFF


# Autonegotiation: result


MODES = [mode.name for mode in LINK_MODES]


@pytest.mark.parametrize("rank", range(len(MODES)), ids=MODES)
def test_best_common_mode_wins(rank: int) -> None:
    """Annex 28B.3: each mode wins over all below it."""
    phy = ieee(partner=LinkPartner(MODES[rank:]))
    mode = LINK_MODES[rank]
    assert (phy.link.up, phy.link.speed, phy.link.full_duplex) == (True, mode.speed, mode.full_duplex)
    assert not phy.link.duplex_mismatch


@given(
    anar=st.integers(0, 15).map(lambda bits: bits << 5 | 1),
    gbcr=st.integers(0, 3).map(lambda bits: bits << 8),
    modes=st.lists(st.sampled_from(MODES), min_size=1),
)
def test_negotiation_picks_the_first_common_mode(anar: int, gbcr: int, modes: list[str]) -> None:
    phy = ieee(partner=LinkPartner(modes))
    phy.write(4, anar)
    phy.write(9, gbcr)
    phy.write(0, AUTONEG | RESTART)
    common = [m for m in LINK_MODES if m.name in modes and (anar & m.anar or gbcr & m.gbcr)]
    assert phy.link.up == bool(common)
    if common:
        assert (phy.link.speed, phy.link.full_duplex) == (common[0].speed, common[0].full_duplex)
    assert bool(phy.read(1) & COMPLETE) == bool(common)


def test_results_of_a_negotiation() -> None:
    """28.2.4.1.4, 28.2.4.1.5, table 40-3."""
    phy = m88()
    assert phy.read(5) == 0xCDE1  # next page, acknowledge, pause both ways, all of 10/100, IEEE 802.3
    assert phy.read(6) == 0x000F
    assert phy.read(6) == 0x000D  # page received is latched until read
    assert phy.read(10) == 0x7800  # master, both receivers fine, partner can do full duplex


def test_gigabit_is_not_told_apart_when_not_advertised() -> None:
    """Without our next pages the partner sends none (28.2.3.4, 40.5.1.2)."""
    phy = m88()
    phy.write(9, 0)
    phy.write(0, 0x1140 | RESTART)
    assert phy.link == Link(True, 100, True)
    assert phy.read(10) == 0


def test_advertisement_counts_from_the_next_negotiation() -> None:
    """28.2.4.1.3, SDM table 13-20."""
    bench = Bench(M88E1000)
    bench.forget()
    bench.phy.write(9, 0)
    bench.phy.write(4, 0x0041)
    assert bench.links == []
    bench.phy.set_cable(False)
    bench.phy.set_cable(True)
    assert bench.links == [DOWN_1000, (True, 10, True)]


@pytest.mark.parametrize(
    ("local", "remote", "expected"),
    [  # (PAUSE, ASM_DIR) of either side; (transmit, receive): table 28B-3
        ((0, 0), (0, 0), (False, False)),
        ((0, 0), (1, 1), (False, False)),
        ((0, 1), (0, 0), (False, False)),
        ((0, 1), (0, 1), (False, False)),
        ((0, 1), (1, 0), (False, False)),
        ((0, 1), (1, 1), (True, False)),
        ((1, 0), (0, 0), (False, False)),
        ((1, 0), (0, 1), (False, False)),
        ((1, 0), (1, 0), (True, True)),
        ((1, 0), (1, 1), (True, True)),
        ((1, 1), (0, 0), (False, False)),
        ((1, 1), (0, 1), (False, True)),
        ((1, 1), (1, 0), (True, True)),
        ((1, 1), (1, 1), (True, True)),
    ],
)
def test_pause_resolution(local: tuple[int, int], remote: tuple[int, int], expected: tuple[bool, bool]) -> None:
    word = local[0] << 10 | local[1] << 11
    other = LinkPartner(pause=bool(remote[0]), asm_dir=bool(remote[1]))
    assert resolve_pause(word, other.base_page) == expected
    phy = m88(partner=other)
    phy.write(4, 0x01E1 | word)
    phy.write(0, 0x1140 | RESTART)
    assert (phy.link.transmit_pause, phy.link.receive_pause) == expected
    assert phy.read(17) & 0x000C == expected[0] << 3 | expected[1] << 2


def test_pause_is_for_full_duplex_only() -> None:
    """31B.1: PAUSE is defined for full duplex links."""
    phy = ieee(partner=partner("100baseT/Half"))
    phy.write(4, 0x0DE1)
    phy.write(0, AUTONEG | RESTART)
    assert phy.link == Link(True, 100, False)


@pytest.mark.parametrize(
    ("gbcr", "other", "master"),
    [  # table 40-5
        (0x1800, LinkPartner(), True),
        (0x1000, LinkPartner(), False),
        (0x1800, LinkPartner(master=False), True),
        (0x1800, LinkPartner(master=True), None),
        (0x1000, LinkPartner(master=False), None),
        (0x0000, LinkPartner(master=True), False),
        (0x0400, LinkPartner(master=False), True),
        (0x0400, LinkPartner(multiport=False), True),
        (0x0400, LinkPartner(multiport=True), False),
        (0x0000, LinkPartner(multiport=True), False),
        (0x0000, LinkPartner(multiport=False), False),
    ],
)
def test_master_resolution(gbcr: int, other: LinkPartner, master: bool | None) -> None:
    assert resolve_master(gbcr, other) is master
    phy = m88(partner=other)
    phy.write(9, gbcr | 0x0200)
    phy.read(10)
    phy.write(0, 0x1140 | RESTART)
    assert phy.link.up == (master is not None)
    status = phy.read(10)
    assert status & 0xF000 == {True: 0x7000, False: 0x3000, None: 0x8000}[master]
    assert phy.read(10) & 0x8000 == 0  # the fault is latched until read


def test_no_common_mode_means_no_link() -> None:
    phy = m88(partner=partner("10baseT/Half"))
    phy.write(4, 0x0181)
    phy.read(19)
    phy.write(0, 0x1140 | RESTART)
    assert not phy.link.up
    assert phy.read(1) & (LINK | COMPLETE) == 0
    assert phy.read(19) & 0x8800 == 0x8000  # autonegotiation error, not complete (table 13-37)
    phy.set_partner(LinkPartner())
    assert phy.link.up


@pytest.mark.parametrize(("mode", "ability"), [("100baseT/Half", 0x0080), ("10baseT/Half", 0x0020)])
def test_parallel_detection(mode: str, ability: int) -> None:
    """28.2.3.1: a partner that does not negotiate; half duplex, its technology shows in the ability register."""
    phy = ieee(partner=forced(mode))
    assert phy.link == Link(True, next(m.speed for m in LINK_MODES if m.name == mode), False)
    assert phy.read(5) == ability
    assert phy.read(6) == 0
    assert phy.read(1) & COMPLETE


def test_parallel_detection_cannot_tell_the_duplex_mode() -> None:
    """SDM 11.6.2: forced full duplex against autonegotiation disagree."""
    phy = ieee(partner=forced("100baseT/Full"))
    assert phy.link == Link(True, 100, False, duplex_mismatch=True)


def test_parallel_detection_needs_the_local_ability() -> None:
    bench = Bench(Phy, options={"partner": forced("100baseT/Half")})
    bench.phy.write(4, 0x0061)
    bench.phy.write(0, AUTONEG | RESTART)
    assert not bench.phy.link.up
    bench.phy.set_partner(forced("10baseT/Half"))
    assert bench.phy.link == Link(True, 10, False)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("ours", ["100baseT/Full", "100baseT/Half", "10baseT/Full", "10baseT/Half"])
@pytest.mark.parametrize("theirs", ["100baseT/Full", "100baseT/Half", "10baseT/Full", "10baseT/Half"])
def test_both_sides_forced(kind: type[Phy], ours: str, theirs: str) -> None:
    """Equal speeds make a link, whatever the duplex modes; different ones none (SDM 11.6.2)."""
    phy = kind(partner=forced(theirs))
    phy.hardware_reset()
    mine, other = (next(m for m in LINK_MODES if m.name == name) for name in (ours, theirs))
    control = (SPEED_100 if mine.speed == 100 else SPEED_10) | DUPLEX * mine.full_duplex
    phy.write(0, control)
    phy.write(0, control | (RESET if kind is M88E1000 else 0))
    if mine.speed == other.speed:
        mismatch = mine.full_duplex != other.full_duplex
        assert phy.link == Link(True, mine.speed, mine.full_duplex, duplex_mismatch=mismatch)
    else:
        assert not phy.link.up
    assert phy.read(1) & COMPLETE == 0


def test_forced_against_a_partner_that_negotiates() -> None:
    """The partner detects us in parallel and speaks half duplex."""
    phy = ieee()
    phy.write(0, SPEED_100 | DUPLEX)
    assert phy.link == Link(True, 100, True, duplex_mismatch=True)
    phy.write(0, SPEED_100)
    assert phy.link == Link(True, 100, False)
    phy.set_partner(partner("1000baseT/Full", "100baseT/Full"))
    assert not phy.link.up  # it has no half duplex mode to fall back to


@pytest.mark.parametrize(("duplex", "full"), [(DUPLEX, True), (0, False)])
def test_forced_gigabit_still_negotiates(duplex: int, full: bool) -> None:
    """40.5.1; SDM table 13-16: only 1000BASE-T of that duplex mode is advertised."""
    phy = m88(partner=LinkPartner(MODES))
    phy.write(4, 0x01E1)
    phy.write(0, SPEED_1000 | duplex | RESET)
    assert phy.read(0) == SPEED_1000 | duplex
    assert (phy.link.up, phy.link.speed, phy.link.full_duplex) == (True, 1000, full)
    phy.set_partner(partner("100baseT/Full"))
    assert not phy.link.up


def test_low_power_states_leave_gigabit_out() -> None:
    """SDM 11.4.3."""
    bench = Bench(M88E1000)
    bench.forget()
    bench.phy.restrict_speed(True)
    bench.phy.restrict_speed(True)
    bench.phy.restrict_speed(False)
    assert bench.links == [DOWN_1000, (True, 100, True), (False, 100, True), UP_1000]
    assert bench.phy.read(9) == 0x1E00


# Autonegotiation: time


def negotiation_time(bench: Bench) -> int:
    start = bench.now
    assert not bench.phy.link.up
    while not bench.phy.link.up:
        assert bench.deadline is not None
        bench.advance(bench.deadline - bench.now)
    return bench.now - start


@pytest.mark.parametrize(
    ("other", "pages"),
    [(LinkPartner(), 4), (partner("100baseT/Full"), 1)],
    ids=["1000BASE-T", "100BASE-TX"],
)
def test_negotiation_takes_the_standards_time(other: LinkPartner, pages: int) -> None:
    """Table 28-9 (break_link_timer 1.2 to 1.5 s), then the pages; Linux gives it 4 s."""
    bench = Bench(M88E1000, wire=True, options={"partner": other})
    elapsed = negotiation_time(bench)
    assert elapsed == M88E1000.BREAK_LINK_NS + pages * M88E1000.PAGE_NS
    assert 1.2 * SECOND <= elapsed < 4 * SECOND
    assert bench.deadline is None


def test_parallel_detection_takes_autoneg_wait_timer() -> None:
    """Table 28-9: 0.5 to 1 s."""
    bench = Bench(Phy, wire=True, options={"partner": forced("100baseT/Half")})
    assert negotiation_time(bench) == Phy.BREAK_LINK_NS + Phy.PARALLEL_NS


@pytest.mark.parametrize(("speed", "bit"), [(10, SPEED_10), (100, SPEED_100)])
def test_forced_link_takes_little_time(speed: int, bit: int) -> None:
    bench = Bench(Phy, wire=True)
    bench.phy.write(0, bit)
    assert negotiation_time(bench) == Phy.SETTLE_NS[speed]


def test_restart_during_negotiation_starts_over() -> None:
    bench = Bench(Phy, wire=True)
    bench.advance(SECOND)
    bench.phy.write(0, AUTONEG | RESTART)
    assert negotiation_time(bench) == Phy.BREAK_LINK_NS + 4 * Phy.PAGE_NS


def test_advertisement_is_latched_when_pulses_begin() -> None:
    """SDM 11.1.3: writes count until the Ability Detect state, not after."""
    bench = Bench(M88E1000, wire=True)
    bench.advance(M88E1000.BREAK_LINK_NS - 1)
    bench.phy.write(9, 0)
    bench.advance(1)
    bench.phy.write(4, 0x0021)
    bench.advance(SECOND)
    assert bench.links == [(True, 100, True)]


def test_cable_plugged_in_late_and_pulled_in_between() -> None:
    bench = Bench(Phy, wire=True, options={"cable": Cable(connected=False)})
    bench.advance(10 * SECOND)
    assert bench.deadline is None
    bench.phy.set_cable(True)
    bench.advance(Phy.PAGE_NS)
    bench.phy.set_cable(False)
    bench.advance(10 * SECOND)
    assert bench.links == []
    bench.phy.set_cable(True)
    assert negotiation_time(bench) == 4 * Phy.PAGE_NS


def test_partner_changes_during_the_exchange() -> None:
    bench = Bench(Phy, wire=True)
    bench.advance(Phy.BREAK_LINK_NS + Phy.PAGE_NS)
    bench.phy.set_partner(partner("10baseT/Full"))
    assert negotiation_time(bench) == Phy.PAGE_NS
    assert bench.links == [(True, 10, True)]


def test_reads_notice_that_time_has_passed() -> None:
    """Nobody polls: a driver that looks finds the link up all the same."""
    bench = Bench(M88E1000, wire=True)
    bench.now += 4 * SECOND
    bench.phy.read(1)
    assert bench.phy.read(1) & (LINK | COMPLETE) == LINK | COMPLETE
    assert bench.links == [UP_1000]
    assert bench.deadline is None


def test_late_polls_do_not_stretch_time() -> None:
    bench = Bench(Phy, wire=True)
    start = bench.now
    bench.now += Phy.BREAK_LINK_NS + Phy.PAGE_NS
    bench.phy.poll()
    assert bench.phy.deadline_ns == start + Phy.BREAK_LINK_NS + 4 * Phy.PAGE_NS


def test_power_down_and_reset_stop_the_clock() -> None:
    bench = Bench(Phy, wire=True)
    assert bench.deadline is not None
    bench.phy.write(0, 0x1140 | POWER_DOWN)
    assert bench.deadline is None
    bench.phy.write(0, 0x1140)
    assert bench.deadline is not None
    bench.phy.set_reset(True)
    assert bench.deadline is None


def test_durations_can_be_chosen() -> None:
    nominal: list[int] = []
    bench = Bench(Phy, wire=True, options={"duration": lambda ns: nominal.append(ns) or 0})
    assert bench.links == [UP_1000]
    assert nominal == [Phy.BREAK_LINK_NS, 4 * Phy.PAGE_NS]


# The 82540EM's own registers


def test_specific_status_shows_the_link() -> None:
    """13.4.7.1.14."""
    phy = m88(partner=partner("100baseT/Full"))
    assert phy.read(17) == 0x7C00  # 100, full, page received, resolved, up
    assert phy.read(17) == 0x6C00  # page received is latched until read
    phy.set_cable(False)
    assert phy.read(17) == 0x6000  # speed and duplex stay, no longer valid
    phy.set_partner(partner("10baseT/Half"))
    phy.set_cable(True)
    assert phy.read(17) == 0x1C00


def test_specific_status_is_resolved_while_forced() -> None:
    """Table 13-33: "or Auto-Negotiation is disabled"."""
    phy = m88(cable=Cable(connected=False))
    phy.write(0, SPEED_100 | DUPLEX | RESET)
    assert phy.read(17) == 0x6800


@pytest.mark.parametrize(
    ("length", "code"), [(0, 0), (49, 0), (50, 1), (80, 2), (110, 3), (139, 3), (140, 4), (999, 4)]
)
def test_cable_length(length: int, code: int) -> None:
    """Table 13-33: 100 and 1000 Mb/s only."""
    phy = m88(cable=Cable(length_m=length))
    assert phy.read(17) >> 7 & 7 == code
    phy.set_partner(partner("10baseT/Full"))
    assert phy.read(17) >> 7 & 7 == 0


def test_interrupts_of_a_negotiation() -> None:
    """13.4.7.1.16: complete, page, link, and the changes of speed and duplex."""
    bench = Bench(M88E1000)
    phy = bench.phy
    assert phy.read(19) == 0x7C00
    assert phy.read(19) == 0
    phy.write(0, 0x1140 | RESTART)
    assert phy.read(19) == 0x1C00  # same speed and duplex as before
    phy.set_partner(partner("100baseT/Half"))
    assert phy.read(19) == 0x7C00
    phy.set_cable(False)
    assert phy.read(19) == 0x0400


def test_interrupt_pin_follows_enable_and_status() -> None:
    bench = Bench(M88E1000)
    phy = bench.phy
    assert bench.levels == []
    phy.write(18, 0x0800)  # the cause is pending already
    assert bench.levels == [True]
    assert phy.interrupt
    phy.read(17)
    assert phy.interrupt
    phy.read(19)
    assert bench.levels == [True, False]
    phy.set_cable(False)  # link changes are not enabled
    assert bench.levels == [True, False]
    phy.set_cable(True)
    assert bench.levels == [True, False, True]
    phy.write(18, 0)
    assert bench.levels == [True, False, True, False]


@pytest.mark.parametrize("reset", ["software", "hardware"])
def test_resets_clear_the_interrupt(reset: str) -> None:
    bench = Bench(M88E1000, wire=True)
    bench.advance(4 * SECOND)
    bench.phy.write(18, 0xFFFF)
    assert bench.levels == [True]
    if reset == "software":
        bench.phy.write(0, 0x1140 | RESET)
    else:
        bench.phy.hardware_reset()
    assert bench.levels == [True, False]
    assert bench.phy.read(19) == 0


def test_receive_errors() -> None:
    """13.4.7.1.18: counts to FFFFh, cleared by reading."""
    bench = Bench(M88E1000)
    phy = bench.phy
    assert isinstance(phy, M88E1000)
    phy.read(19)
    phy.count_receive_errors(7)
    assert phy.read(19) == 0x0200
    assert [phy.read(21), phy.read(21)] == [7, 0]
    phy.count_receive_errors(0x20000)
    assert phy.read(21) == 0xFFFF


def test_register_30_is_a_window() -> None:
    """13.4.7.1.25, 13.4.7.1.26."""
    phy = m88()
    for page in range(32):
        phy.write(29, page)
        phy.write(30, 0x8000 | page)
    for page in range(32):
        phy.write(29, page)
        assert phy.read(29) == page
        assert phy.read(30) == 0x8000 | page
    phy.write(29, 0xFFFF)
    assert phy.read(30) == 0x801F


def test_crossover_is_set_with_the_next_link() -> None:
    """Table 13-31 bits 6:5 and 11.1.3: Update."""
    phy = m88()
    phy.read(19)
    phy.write(16, 0x0028)
    assert phy.read(17) & 0x0040 == 0
    phy.write(0, 0x1140 | RESET)
    assert phy.read(17) & 0x0040
    phy.read(19)
    phy.write(16, 0x0068)
    phy.write(0, 0x1140 | RESTART)
    assert phy.read(17) & 0x0040 == 0
    assert phy.read(19) & 0x0040


def test_energy_detect() -> None:
    """SDM 11.4.1."""
    phy = m88()
    phy.read(19)
    phy.write(16, 0x0268)
    assert phy.read(17) & 0x0010 == 0
    phy.set_cable(False)
    assert phy.read(17) & 0x0010
    assert phy.read(19) & 0x0010
    phy.write(16, 0x0168)
    assert phy.read(17) & 0x0010 == 0
    phy.write(16, 0x0368)
    assert phy.read(17) & 0x0010
    phy.write(0, 0x1140 | POWER_DOWN)
    assert phy.read(17) & 0x0010 == 0
    phy.write(0, 0x1140)
    phy.set_cable(True)
    assert phy.read(17) & 0x0010 == 0


def test_forced_good_link() -> None:
    """Table 13-31 bit 10: the link is always up, but not in 1000BASE-T."""
    bench = Bench(M88E1000, options={"cable": Cable(connected=False)})
    phy = bench.phy
    phy.write(16, 0x0468)
    assert not phy.link.up
    phy.write(0, SPEED_100 | DUPLEX | RESET)
    assert phy.link.up
    bench.forget()
    phy.set_cable(True)
    phy.set_cable(False)
    assert bench.links == []
    phy.write(16, 0x0068)
    assert bench.links == [(False, 100, True)]
    phy.write(16, 0x0468)
    assert bench.links == [(False, 100, True), (True, 100, True)]


@pytest.mark.parametrize("pairs", [2, 3])
def test_downshift_on_a_poor_cable(pairs: int) -> None:
    """SDM 11.2.2, table 13-39: after four attempts as master."""
    bench = Bench(M88E1000, wire=True, options={"cable": Cable(pairs=pairs)})
    assert negotiation_time(bench) == M88E1000.BREAK_LINK_NS + 5 * 4 * M88E1000.PAGE_NS
    assert bench.links == [(True, 100, True)]
    assert bench.phy.read(17) & 0x0020
    assert bench.phy.read(19) & 0x0020
    bench.phy.set_cable(False)
    bench.phy.set_cable(True)
    bench.advance(4 * SECOND)
    assert bench.phy.link.speed == 1000
    assert bench.phy.read(17) & 0x0020 == 0


def test_downshift_can_be_disabled() -> None:
    """Table 13-39 bits 9:8 = 00; changes need a software reset."""
    phy = m88(cable=Cable(pairs=2))
    phy.write(9, 0x0200)
    phy.write(20, 0x0C60)
    phy.write(0, 0x1140 | RESET)
    assert not phy.link.up
    assert phy.read(19) & 0x8000
    assert not ieee(cable=Cable(pairs=2)).link.up  # a PHY without the feature


# Subclasses


class PagedPhy(Phy):
    """A made-up part with two pages, the page in register 22, and hooks on both."""

    TABLE = Table(
        "paged",
        64,
        (
            *MII_1000.registers,
            mii_register(16, "CONTROL", "", "", pages=(0,)),
            mii_register(22, "PAGE", "", "", [Field("PAGE", 0, 8), Reserved(8, 8)]),
            mii_register(16, "MAC", "", "", pages=(1,), reset=0x1234),
            mii_register(17, "W1C", "", "", [Field("A", 0, 16, "rw")], pages=(1,)),
        ),
        pages=2,
    )
    log: tuple[str, ...] = ()

    def write_22(self, old: int, value: int) -> None:
        self.page = value & 0xFF

    def read_16(self, value: int) -> int:
        return value | 1

    def write_16(self, old: int, value: int) -> None:
        self.log += (f"control {old:#x} {value:#x}",)

    def write_p1_16(self, old: int, value: int) -> None:
        self.log += (f"mac {old:#x} {value:#x}",)


def test_paged_registers_and_hooks() -> None:
    phy = PagedPhy()
    phy.hardware_reset()
    phy.write(16, 0x8000)
    assert phy.read(16) == 0x8001
    phy.write(22, 1)
    assert phy.read(16) == 0x1234
    phy.write(16, 5)
    assert phy.read(16) == 5
    assert phy.read(2) == phy.peek("PHYID1")  # registers without pages are on all of them
    phy.write(22, 77)
    assert (phy.read(16), phy.read(0)) == (0, 0)  # no such page
    assert phy.log == ("control 0x0 0x8000", "mac 0x1234 0x5")
    assert (phy.peek("CONTROL"), phy.peek("MAC")) == (0x8000, 5)
    with pytest.raises(KeyError):
        phy.peek(16)
    copy = PagedPhy()
    copy.load_state(phy.state())
    assert copy.state() == phy.state()


@pytest.mark.parametrize("table", [MII_100, MII_1000, M88E1000.TABLE], ids=["MII_100", "MII_1000", "M88E1000"])
def test_tables_hold_documented_16_bit_registers(table: Table) -> None:
    for register in table:
        assert register.size == 2
        assert register.offset % 2 == 0
        assert register.section
        assert register.doc
        assert register.offset // 2 < 32


# Mistakes of the host program


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"modes": ["2500baseT/Full"]}, "expected one of 1000baseT/Full"),
        ({"modes": []}, "expected a list of"),
        ({"modes": "100baseT/Full"}, "expected a list of"),
        ({"modes": [7]}, "link mode 7"),
        ({"autoneg": False}, "one mode of 10 or 100"),
        ({"modes": ["1000baseT/Full"], "autoneg": False}, "one mode of 10 or 100"),
        ({"pause": 1}, "pause is 1; expected true or false"),
        ({"master": "yes"}, "master is 'yes'"),
    ],
)
def test_impossible_partners_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        LinkPartner(**arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"connected": 1}, "connected"),
        ({"pairs": 1}, "expected 2, 3 or 4"),
        ({"pairs": 4.0}, "expected 2, 3 or 4"),
        ({"length_m": -1}, "0 or more"),
    ],
)
def test_impossible_cables_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        Cable(**arguments)
    bench = Bench(M88E1000)
    with pytest.raises(ConfigurationError, match=message):
        bench.phy.set_cable(**{"connected": True, **arguments})
    assert bench.links == [UP_1000]


# Snapshot


@given(
    time=st.integers(0, 3 * SECOND), later=st.integers(0, 3 * SECOND), kind=st.sampled_from([Phy, FastPhy, M88E1000])
)
def test_state_carries_a_negotiation_over(time: int, later: int, kind: type[Phy]) -> None:
    """A PHY restored at any moment goes on like the one that it was saved from."""
    bench, copy = Bench(kind, wire=True), Bench(kind, wire=True, now=99)
    bench.phy.write(18, 0xFFFF)
    bench.advance(time)
    saved = json.loads(json.dumps(bench.phy.state()))
    copy.forget()
    copy.phy.load_state(saved)
    assert copy.phy.state() == saved
    assert copy.phy.interrupt == bench.phy.interrupt
    assert copy.links == copy.levels == []
    assert (copy.deadline is None) == (bench.deadline is None)
    bench.forget()
    for each in (bench, copy):
        each.advance(later)
    assert copy.links == bench.links
    assert copy.levels == bench.levels
    assert copy.phy.state() == bench.phy.state()


def test_state_names_registers() -> None:
    registers = m88().state()["registers"]
    assert registers["PCTRL"] == 0x1140
    assert registers["PSSTAT"] == 0xBC00


def test_state_of_a_slow_phy_loads_into_a_fast_one() -> None:
    bench, fast = Bench(M88E1000, wire=True), Bench(M88E1000)
    fast.forget()
    fast.phy.load_state(bench.phy.state())
    assert not fast.phy.link.up
    fast.phy.poll()
    assert fast.links == [UP_1000]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"stage": "asleep"}, "expected one of reset"),
        ({"stage": ["up"]}, "expected one of reset"),
        ({"stage": "exchange"}, "remaining_ns is None"),
        ({"remaining_ns": 5}, "remaining_ns is 5"),
        ({"stage": "exchange", "remaining_ns": -5}, "remaining_ns"),
        ({"stage": "listen"}, "link.up is True"),
        ({"page": -1}, "page"),
        ({"page": "0"}, "page"),
        ({"slow": 0}, "slow"),
        ({"advertised": [1]}, "advertised"),
        ({"advertised": [1, 1 << 16]}, "advertised"),
        ({"advertised": "ab"}, "advertised"),
        ({"in_effect": {"PCTRL": 0}}, "in_effect"),
        ({"in_effect": {"PCTRL": 0, "PSCON": 0, "EPSCON1": None}}, "EPSCON1"),
        ({"registers": {}}, "registers"),
        ({"link": None}, "link"),
        ({"link": {**Link(True).__dict__, "speed": 40}}, "speed is 40"),
        ({"link": {**Link(True).__dict__, "master": None}}, "master"),
        ({"cable": {"connected": True}}, "cable"),
        ({"cable": {"connected": True, "pairs": 9, "length_m": 1}}, "pairs"),
        ({"partner": {}}, "partner"),
        ({"window": [0] * 31}, "window"),
        ({"window": [0] * 31 + [-1]}, "window"),
        ({"window": 5}, "window"),
        ({"surprise": 1}, "entries"),
    ],
)
def test_bad_state_is_refused_whole(change: dict[str, Any], message: str) -> None:
    bench = Bench(M88E1000)
    before = bench.phy.state()
    good = Bench(M88E1000, options={"partner": partner("100baseT/Full")}).phy.state()
    with pytest.raises(SnapshotError, match=message):
        bench.phy.load_state({**good, **change})
    assert bench.phy.state() == before
    bench.phy.load_state(good)
    assert bench.phy.state() == good


@pytest.mark.parametrize(("name", "value"), [("PINTS", 0x0004), ("PCTRL", 1 << 16), ("PCTRL", True), ("PSCON", "1")])
def test_bad_register_values_are_refused(name: str, value: Any) -> None:
    phy = m88()
    state = phy.state()
    state["registers"][name] = value
    with pytest.raises(SnapshotError, match=name):
        phy.load_state(state)


# Any guest

ACCESSES = st.one_of(
    st.tuples(st.just("read"), st.integers(0, 63)),
    st.tuples(st.just("write"), st.integers(0, 63), st.integers(0, 0xFFFF)),
    st.tuples(st.just("write"), st.sampled_from([0, 0, 4, 9, 16, 18, 29, 30]), st.integers(0, 0xFFFF)),
    st.tuples(st.just("cable"), st.booleans(), st.sampled_from([2, 3, 4])),
    st.tuples(st.just("partner"), st.lists(st.sampled_from(MODES), min_size=1), st.booleans()),
    st.tuples(st.just("force"), st.sampled_from(MODES[2:])),
    st.tuples(st.just("time"), st.integers(0, 3 * SECOND)),
    st.tuples(st.just("reset"), st.booleans()),
)


def perform(bench: Bench, step: tuple[Any, ...]) -> None:
    phy = bench.phy
    if step[0] == "read":
        assert 0 <= phy.read(step[1]) <= 0xFFFF
    elif step[0] == "write":
        phy.write(step[1], step[2])
    elif step[0] == "cable":
        phy.set_cable(step[1], pairs=step[2])
    elif step[0] == "partner":
        phy.set_partner(LinkPartner(step[1], pause=step[2], master=step[2] or None))
    elif step[0] == "force":
        phy.set_partner(forced(step[1]))
    elif step[0] == "time":
        bench.advance(step[1])
    else:
        phy.set_reset(step[1])


@settings(max_examples=200, deadline=None)
@given(
    kind=st.sampled_from([Phy, FastPhy, M88E1000]),
    wire=st.booleans(),
    steps=st.lists(ACCESSES, max_size=40),
)
def test_random_accesses_are_harmless(kind: type[Phy], wire: bool, steps: list[tuple[Any, ...]]) -> None:
    """No exception; reports match the state; fixed bits stay; every state can be saved and restored."""
    bench, other = Bench(kind, wire=wire), Bench(kind, wire=wire)
    phy = bench.phy
    for step in steps:
        perform(bench, step)
        assert bool(bench.links and bench.links[-1][0]) == phy.link.up
        assert bool(bench.levels and bench.levels[-1]) == phy.interrupt
        assert bench.deadline == phy.deadline_ns
        other.phy.load_state(phy.state())
        assert other.phy.state() == phy.state()
        for register in kind.TABLE:
            fixed = register.mask_of(State.RESERVED) & ~register.mask("write")
            assert phy.peek(register.name) & fixed == register.reset_value() & fixed
    ups = [up for up, *_ in bench.links]
    assert all(a != b for a, b in pairwise(ups))
    assert all(a != b for a, b in pairwise(bench.levels))


@settings(max_examples=100, deadline=None)
@given(kind=st.sampled_from([Phy, FastPhy, M88E1000]), steps=st.lists(ACCESSES, max_size=30))
def test_a_good_link_always_comes_back(kind: type[Phy], steps: list[tuple[Any, ...]]) -> None:
    """Whatever happened: after a hardware reset, a sound cable and four seconds the best link is up."""
    bench = Bench(kind, wire=True)
    for step in steps:
        perform(bench, step)
    bench.phy.set_cable(True)
    bench.phy.set_partner(LinkPartner())
    bench.phy.restrict_speed(False)
    bench.phy.hardware_reset()
    bench.advance(4 * SECOND)
    assert bench.phy.link.up
    assert bench.phy.link.speed == (1000 if bench.phy.gigabit else 100)
