"""82540EM, interrupts (8254x SDM 13.4.17 to 13.4.21, 3.2.7, 3.4.3, 4.1.3): causes, mask, throttling, delays, MSI."""

from __future__ import annotations

from typing import Any

import pytest
from e1000_rig import (
    BROADCAST,
    CTRL,
    ICR,
    MAC,
    PEER,
    RCTL,
    RDTR,
    Rig,
    close_rigs,  # noqa: F401 (a fixture)
    ethernet,
)

import nicemu
from nicemu.devices.e1000_descriptors import LegacyCommand

SENT = LegacyCommand.EOP | LegacyCommand.IFCS | LegacyCommand.RS
LATE = SENT | LegacyCommand.IDE
ALL = 0x1FFFF
TICK = 1024


@pytest.fixture
def rig() -> Rig:
    rig = Rig(count=64)
    rig.start_transmit()
    rig.start_receive(RCTL.SECRC)
    rig["ICR"]
    rig.levels.clear()
    return rig


def for_us(**values: Any) -> bytes:
    return ethernet(MAC, PEER, **values)


# ------------------------------------------------------------------ cause and mask


@pytest.mark.parametrize("bit", range(17))
def test_each_cause(rig: Rig, bit: int) -> None:
    """As a driver's self-test does: masked, unmasked, and every other one masked."""
    cause = 1 << bit
    rig["IMC"] = ALL
    rig["ICS"] = cause
    assert not rig.nic.interrupt
    assert rig["ICR"] == cause
    rig["IMS"] = cause
    rig["ICS"] = cause
    assert rig.nic.interrupt
    assert rig["ICR"] == cause
    assert not rig.nic.interrupt
    rig["ICS"] = ALL & ~cause
    assert not rig.nic.interrupt


def test_reading_icr_clears_all_of_it_and_lowers_the_line(rig: Rig) -> None:
    rig["IMS"] = ICR.LSC
    rig["ICS"] = ICR.LSC | ICR.RXO | ICR.MDAC
    assert rig["ICR"] == ICR.LSC | ICR.RXO | ICR.MDAC
    assert rig["ICR"] == 0
    assert rig.levels == [True, False]


def test_writing_icr_clears_ones(rig: Rig) -> None:
    rig["IMS"] = ICR.LSC | ICR.RXO
    rig["ICS"] = ICR.LSC | ICR.RXO
    rig["ICR"] = ICR.LSC
    assert rig.nic.interrupt
    rig["ICR"] = ICR.RXO
    assert not rig.nic.interrupt
    assert rig["ICR"] == 0


def test_unmasking_a_pending_cause_asserts(rig: Rig) -> None:
    rig["ICS"] = ICR.RXT0
    assert not rig.nic.interrupt
    rig["IMS"] = ICR.RXT0
    assert rig.nic.interrupt
    rig["IMC"] = ICR.RXT0
    assert not rig.nic.interrupt
    assert rig.stored("ICR") == ICR.RXT0, "masking does not acknowledge"


def test_ims_and_imc_set_and_clear(rig: Rig) -> None:
    rig["IMS"] = 0x0F
    rig["IMS"] = 0xF0
    assert rig["IMS"] == 0xFF
    rig["IMC"] = 0xFFFFFF0F
    assert rig["IMS"] == 0xF0


def test_the_status_bit_of_configuration_space_is_not_on_this_part(rig: Rig) -> None:
    """SDM table 4-3: PCI 2.3's bits came with the 82541."""
    rig["IMS"] = rig["ICS"] = ICR.LSC
    assert not rig.nic.config.read(0x06, 2) & 8


def test_reset_lowers_the_line(rig: Rig) -> None:
    rig["IMS"] = rig["ICS"] = ICR.TXDW
    assert rig.nic.interrupt
    rig["CTRL"] = CTRL.RST
    assert not rig.nic.interrupt
    assert (rig["IMS"], rig["ICR"] & ICR.TXDW) == (0, 0)


# ------------------------------------------------------------------ throttling (13.4.18)


def test_throttling_keeps_assertions_apart(rig: Rig) -> None:
    """The first comes at once, the next no sooner than ITR * 256 ns after it; ICR shows causes meanwhile."""
    rig["ITR"] = 1000
    rig["IMS"] = ALL
    rig["ICS"] = ICR.RXO
    assert rig.nic.interrupt
    rig["ICR"]
    rig.clock.advance(100_000)
    rig["ICS"] = ICR.MDAC
    assert not rig.nic.interrupt
    assert rig.stored("ICR") == ICR.MDAC
    rig.clock.advance(155_999)
    assert not rig.nic.interrupt
    rig.clock.advance(1)
    assert rig.nic.interrupt


def test_throttling_is_not_owed_after_a_quiet_time(rig: Rig) -> None:
    rig["ITR"] = 1000
    rig["IMS"] = ALL
    for _ in range(3):
        rig["ICS"] = ICR.RXO
        assert rig.nic.interrupt
        rig["ICR"]
        rig.clock.advance(256_000)


def test_what_is_read_before_the_interval_ends_asserts_nothing(rig: Rig) -> None:
    rig["ITR"] = 1000
    rig["IMS"] = ALL
    rig["ICS"] = ICR.RXO
    rig["ICR"]
    rig["ICS"] = ICR.RXO
    rig["ICR"]
    rig.clock.advance(1_000_000)
    assert rig.levels == [True, False]
    assert rig.clock.next_deadline is None or rig.clock.next_deadline > rig.clock.now


def test_switching_throttling_off_lets_go(rig: Rig) -> None:
    rig["ITR"] = 0xFFFF
    rig["IMS"] = ALL
    rig["ICS"] = ICR.RXO
    rig["ICR"]
    rig["ICS"] = ICR.RXO
    assert not rig.nic.interrupt
    rig["ITR"] = 0
    assert rig.nic.interrupt


def test_the_rate_of_a_storm_is_bounded(rig: Rig) -> None:
    rig["ITR"] = 488  # 8000 a second
    rig["IMS"] = ALL
    for _ in range(1000):
        rig["ICS"] = ICR.RXO
        rig.clock.advance(10_000)
        if rig.nic.interrupt:
            rig["ICR"]
    assert sum(rig.levels) <= 10_000_000 // (488 * 256) + 1


# ------------------------------------------------------------------ transmit delays (13.4.41, 13.4.44)


def test_without_ide_the_cause_comes_at_once(rig: Rig) -> None:
    rig["TIDV"] = 100
    rig.send(ethernet())
    assert rig["ICR"] & ICR.TXDW


def test_tidv_delays_and_starts_over(rig: Rig) -> None:
    rig["TIDV"] = 10
    rig.send(ethernet(), LATE)
    assert rig.tx_status(0) == 1, "the write-back is not delayed"
    rig.clock.advance(9 * TICK)
    rig.send(ethernet(), LATE)
    rig.clock.advance(9 * TICK)
    assert not rig["ICR"] & ICR.TXDW
    rig.clock.advance(TICK)
    assert rig["ICR"] & ICR.TXDW
    rig.clock.advance(100 * TICK)
    assert not rig["ICR"] & ICR.TXDW


def test_an_immediate_interrupt_cancels_the_delay(rig: Rig) -> None:
    rig["TIDV"], rig["TADV"] = 10, 20
    rig.send(ethernet(), LATE)
    rig.send(ethernet())
    assert rig["ICR"] & ICR.TXDW
    rig.clock.advance(100 * TICK)
    assert not rig["ICR"] & ICR.TXDW


def test_tadv_bounds_the_delay(rig: Rig) -> None:
    rig["TIDV"], rig["TADV"] = 10, 25
    for _ in range(3):
        rig.send(ethernet(), LATE)
        rig.clock.advance(8 * TICK)
    assert not rig["ICR"] & ICR.TXDW
    rig.clock.advance(TICK)
    assert rig["ICR"] & ICR.TXDW, "25 after the first"
    rig.clock.advance(100 * TICK)
    assert not rig["ICR"] & ICR.TXDW, "and TIDV is stopped"


def test_tidv_of_zero_is_found(rig: Rig) -> None:
    rig["TIDV"] = 0
    rig.send(ethernet(), LATE)
    assert rig["ICR"] & ICR.TXDW
    assert rig.nic.finding_counts["e1000.tx.tidv-zero"] == 1


# ------------------------------------------------------------------ receive delays (13.4.30, 13.4.31)


def test_rdtr_of_zero_reports_each_packet(rig: Rig) -> None:
    rig["RADV"] = 100  # disabled with it
    rig.arrive(for_us())
    assert rig["ICR"] & ICR.RXT0


def test_rdtr_delays_and_starts_over(rig: Rig) -> None:
    rig["RDTR"] = 10
    rig.arrive(for_us())
    assert rig.frames() == [for_us()], "the packet itself is not delayed"
    rig.clock.advance(9 * TICK)
    rig.arrive(for_us())
    rig.clock.advance(9 * TICK)
    assert not rig["ICR"] & ICR.RXT0
    rig.clock.advance(TICK)
    assert rig["ICR"] & ICR.RXT0
    rig.clock.advance(100 * TICK)
    assert not rig["ICR"] & ICR.RXT0


def test_radv_bounds_the_delay(rig: Rig) -> None:
    rig["RDTR"], rig["RADV"] = 10, 25
    for _ in range(3):
        rig.arrive(for_us())
        rig.clock.advance(8 * TICK)
    assert not rig["ICR"] & ICR.RXT0
    rig.clock.advance(TICK)
    assert rig["ICR"] & ICR.RXT0
    rig.clock.advance(100 * TICK)
    assert not rig["ICR"] & ICR.RXT0


def test_fpd_ends_the_delay(rig: Rig) -> None:
    rig["RDTR"], rig["RADV"] = 10, 20
    rig.arrive(for_us())
    rig["RDTR"] = RDTR.FPD | 10
    assert rig["ICR"] & ICR.RXT0
    rig.clock.advance(100 * TICK)
    assert not rig["ICR"] & ICR.RXT0


@pytest.mark.parametrize(("size", "small"), [(59, True), (60, True), (64, True), (65, False), (300, False)])
def test_small_packets_are_reported_at_once(rig: Rig, size: int, small: bool) -> None:
    """3.2.7.2: SRPD and RXT0, and the delays start over with the next packet."""
    rig["RDTR"], rig["RADV"], rig["RSRPD"] = 10, 20, 64
    rig.arrive(for_us(size=size))
    assert bool(rig["ICR"] & ICR.SRPD) == small
    rig.clock.advance(100 * TICK)
    assert bool(rig["ICR"] & ICR.RXT0) == (not small)


def test_the_fcs_counts_for_small_packets_unless_stripped(rig: Rig) -> None:
    rig["RSRPD"] = 63
    rig.arrive(for_us())
    assert rig["ICR"] & ICR.SRPD
    rig["RCTL"] &= ~RCTL.SECRC
    rig.arrive(for_us())
    assert rig["ICR"] & (ICR.SRPD | ICR.RXT0) == ICR.RXT0


@pytest.mark.parametrize("fraction", range(3))
def test_receive_minimum_threshold(fraction: int) -> None:
    """3.2.7.3: when the free descriptors come down to 1/2, 1/4 or 1/8 of the ring."""
    rig = Rig(count=64)
    rig.start_receive(RCTL.SECRC | RCTL(RDMTS=fraction))
    for free in range(62, -1, -1):
        rig["ICR"]
        rig.arrive(for_us())
        assert bool(rig["ICR"] & ICR.RXDMT0) == (free == 64 >> (fraction + 1)), free
    rig["RDT"] = 62
    rig["ICR"]
    rig.arrive(*[for_us()] * 60)
    assert rig["ICR"] & ICR.RXDMT0, "in one batch too"


def test_one_batch_is_one_interrupt(rig: Rig) -> None:
    rig["IMS"] = ALL
    rig.arrive(*[for_us()] * 30)
    assert rig.levels == [True]
    rig["ICR"]
    rig.levels.clear()
    rig.nic.regs.TCTL.EN = 0
    for _ in range(20):
        rig.send(ethernet())
    rig["TCTL"] = 2
    assert rig.levels == [True]


# ------------------------------------------------------------------ MSI (4.1.3)


def test_msi_is_sent_once_until_icr_is_read() -> None:
    messages: list[int] = []
    rig = Rig(count=64, msi=lambda: messages.append(1))
    rig.start_transmit()
    rig["ICR"]
    rig["IMS"] = ALL
    rig.nic.config.write(0xF4, 0xFEE00000, 4)
    rig.nic.config.write(0xFC, 0x4041, 2)
    rig.nic.config.write(0xF2, 1, 2)
    rig.levels.clear()
    rig.send(ethernet())
    rig.send(ethernet())
    assert len(messages) == 1
    assert rig.levels == [], "the pin rests while MSI is enabled"
    rig["ICR"]
    rig.send(ethernet())
    assert len(messages) == 2


# ------------------------------------------------------------------ life of timers (G14, G15)


def test_timers_do_not_outlive_a_reset(rig: Rig) -> None:
    rig["TIDV"] = rig["RDTR"] = 0xFFFF
    rig["RADV"] = rig["TADV"] = 0xFFFF
    rig.send(ethernet(), LATE)
    rig.arrive(for_us())
    rig["CTRL"] = CTRL.RST
    rig.clock.advance(1_000_000_000)
    assert not rig.stored("ICR") & (ICR.TXDW | ICR.RXT0)


def test_intervals_at_their_ends(rig: Rig) -> None:
    for value in (1, 0xFFFF):
        for name in ("ITR", "TIDV", "TADV", "RDTR", "RADV"):
            rig[name] = value
        rig["IMS"] = ALL
        rig.send(ethernet(), LATE)
        rig.arrive(for_us(), ethernet(BROADCAST))
        rig.clock.advance(0xFFFF * TICK + 0xFFFF * 256)
        assert rig.nic.interrupt
        assert rig["ICR"] & (ICR.TXDW | ICR.RXT0) == ICR.TXDW | ICR.RXT0


def test_a_storm_of_resets_leaves_the_power_on_state() -> None:
    rig = Rig(count=64)
    rig.start_transmit()
    rig.nic.reset(nicemu.registers.Reset.SOFT)
    reference = rig.nic.save()
    for i in range(200):
        rig["CTRL"] |= CTRL.SLU
        rig.start_transmit()
        rig.start_receive()
        rig["TIDV"] = rig["RDTR"] = 1 + i
        rig.tap.room = 0 if i % 2 else None
        rig.send(ethernet(), LATE)
        rig.arrive(for_us())
        rig["CTRL"] = CTRL.RST
    rig.tap.room = None
    rig.take()
    state = [line for line in rig.nic.save().decode().splitlines() if '"tx.partial"' not in line]
    changed = {
        a.split('"')[1]
        for a, b in zip(state, [x for x in reference.decode().splitlines() if '"tx.partial"' not in x], strict=True)
        if a != b and '"' in a
    }
    kept = {
        "RDBAL",
        "RDBAH",
        "TDBAL",
        "TDBAH",
        "TIDV",
        "TIPG",
        "FCAL",
        "FCAH",
        "FCT",
        "FCTTV",
        "VET",
        "random",
        "written",
    }
    assert {c for c in changed if not c.startswith("0x")} <= kept
