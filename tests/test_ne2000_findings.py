"""NE2000 family, findings: each rule with a driver that breaks it and one that keeps it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from ne2000_rig import (
    AB,
    AM,
    DATA,
    INHIBIT,
    LAS,
    LS,
    NO_DMA,
    OVW,
    PRO,
    READ,
    STA,
    STP,
    TXP,
    WRITE,
    WTS,
    Rig,
    frame,
)

from nicemu.devices.ne2000_tables import RULES

UNLOCKED = 3 << 6
RESET_NS = 1_600_000


def started(**options: int) -> Rig:
    return Rig().start(**options)


def _width(keep: bool) -> Rig:
    rig = Rig()
    rig.io.read(0, 4 if keep else 8)
    return rig


def _reserved(keep: bool) -> Rig:
    rig = Rig()
    rig.write("IMR", 0x7F if keep else 0xFF)
    return rig


def _unmapped(keep: bool) -> Rig:
    rig = Rig("ne2k_isa")
    rig.io.read(7 if keep else 0x0A, 1)
    return rig


def _locked(keep: bool) -> Rig:
    rig = Rig()
    if keep:
        rig.write("CR9346", UNLOCKED)
    rig.write("CONFIG3", 1 << 6)
    return rig


def _remote_command(keep: bool) -> Rig:
    rig = started()
    rig.io.write(0, STA | (NO_DMA if keep else 0), 1)
    return rig


def _transmit_stopped(keep: bool) -> Rig:
    rig = started()
    rig.load(frame(60))
    if not keep:
        rig.command(STP)
    rig.command((STA if keep else STP) | TXP)
    return rig


def _transmit_busy(keep: bool) -> Rig:
    rig = Rig(profile="wire").start()
    rig.send(frame(60))
    if keep:
        rig.clock.advance(10**6)
    rig.command(STA | TXP)
    return rig


def _page(keep: bool) -> Rig:
    rig = Rig("ne2k_pci" if keep else "ne2k_isa")
    rig.command(STP, page=3)
    return rig


def _start_before_reset(keep: bool) -> Rig:
    rig = Rig(profile="wire").start()
    rig.send(frame(1514))
    rig.command(STP)
    if keep:
        rig.clock.advance(RESET_NS)
    rig.command(STA)
    return rig


def _undefined(keep: bool) -> Rig:
    """PAR is left as power-on made it."""
    rig = Rig()
    if keep:
        return rig.start()
    for name in ("PSTART", "PSTOP", "BNRY", "DCR", "RCR", "TCR", "CURR"):
        rig.write(name, {"PSTOP": 0x80, "DCR": WTS | LS}.get(name, 0x4C if name[0] in "PBC" else 0))
    rig.command(STA)
    return rig


def _probing(keep: bool) -> Rig:
    """Reading the PROM first, with reception and wire off."""
    rig = Rig()
    rig.write("DCR", WTS | LS)
    rig.write("RCR", 1 << 5 if keep else AB)
    rig.write("TCR", 1 << 1)
    rig.peek(0, 32)
    rig.command(STA)
    return rig


def _ring(first: int, last: int) -> Callable[[bool], Rig]:
    def case(keep: bool) -> Rig:
        rig = started()
        rig.command(STP)
        if not keep:
            rig.write("PSTART", first)
            rig.write("PSTOP", last)
        rig.command(STA)
        return rig

    return case


def _boundary(value: int) -> Callable[[bool], Rig]:
    """Three packets of a page each are in the ring."""

    def case(keep: bool) -> Rig:
        rig = started()
        rig.arrive(*[frame(60)] * 3)
        rig.write("BNRY", 0x4E if keep else value)
        return rig

    return case


def _overflow(rig: Rig) -> Rig:
    while not rig.read("ISR") & OVW:
        rig.arrive(frame(1514))
    return rig


def _recovery(keep: bool) -> Rig:
    rig = _overflow(started())
    if keep:
        rig.command(STP)
        rig.clock.advance(RESET_NS)
        rig.write("TCR", 1 << 1)
        rig.command(STA)
    rig.write("BNRY", 0x51)
    return rig


def _recovery_on_the_wire(keep: bool) -> Rig:
    rig = _overflow(started())
    rig.command(STP)
    rig.clock.advance(RESET_NS)
    if keep:
        rig.write("TCR", 1 << 1)
    rig.command(STA)
    rig.write("BNRY", 0x51)
    return rig


def _promiscuous(keep: bool) -> Rig:
    rig = started()
    if keep:
        for n in range(8):
            rig.write("MAR", 0xFF, n)
    rig.write("RCR", PRO | AB | AM)
    return rig


def _long_address(keep: bool) -> Rig:
    rig = Rig()
    rig.write("DCR", WTS | LS | (0 if keep else LAS))
    return rig


def _idle(keep: bool) -> Rig:
    rig = started()
    if keep:
        rig.remote(READ, 0x4000, 2)
    rig.io.read(DATA, 2)
    return rig


def _beyond(keep: bool) -> Rig:
    rig = started()
    rig.remote(READ, 0x4000, 8)
    rig.io.read_repeat(DATA, 2, 4 if keep else 5)
    return rig


def _direction(keep: bool) -> Rig:
    rig = started()
    rig.remote(WRITE if keep else READ, 0x4000, 2)
    rig.io.write(DATA, 0, 2)
    return rig


def _dma_width(wts: int, size: int) -> Callable[[bool], Rig]:
    def case(keep: bool) -> Rig:
        rig = started(dcr=(wts if not keep else WTS if size > 1 else 0) | LS)
        rig.remote(READ, 0x4000, 8)
        rig.io.read(DATA, size)
        return rig

    return case


def _odd_port(keep: bool) -> Rig:
    rig = started()
    rig.remote(READ, 0x4000, 2)
    rig.io.read(0x12 if keep else 0x11, 2)
    return rig


def _odd_count(keep: bool) -> Rig:
    rig = started()
    rig.remote(WRITE, 0x4000, 4 if keep else 3)
    return rig


def _zero_count(keep: bool) -> Rig:
    rig = started()
    rig.remote(READ, 0x4000, 2 if keep else 0)
    return rig


def _unfinished(keep: bool) -> Rig:
    rig = started()
    rig.remote(READ, 0x4000, 4)
    rig.io.read_repeat(DATA, 2, 2 if keep else 1)
    rig.command(STA | WRITE)
    return rig


def _outside(keep: bool) -> Rig:
    rig = started()
    rig.poke(0x4000 if keep else 0, b"ab")
    return rig


def _size(length: int, inhibited: bool = False) -> Callable[[bool], Rig]:
    def case(keep: bool) -> Rig:
        rig = started(tcr=INHIBIT if inhibited else 0)
        rig.send(frame(64 if keep else length))
        return rig

    return case


def _outside_memory(keep: bool) -> Rig:
    rig = started()
    rig.load(frame(300))
    rig.write("TPSR", 0x7E if keep else 0x7F)
    rig.command(STA | TXP)
    return rig


def _in_use(keep: bool) -> Rig:
    rig = Rig(profile="wire").start()
    rig.send(frame(300))
    if keep:
        rig.clock.advance(10**6)
    rig.poke(0x4100, b"ab")
    return rig


def _not_selected(keep: bool) -> Rig:
    rig = started(tcr=1 << 1, dcr=WTS | (0 if keep else LS))
    rig.send(frame(60))
    return rig


CASES: dict[str, list[Callable[[bool], Rig]]] = {
    "access.width": [_width],
    "access.reserved-bits": [_reserved],
    "access.unmapped": [_unmapped],
    "access.locked": [_locked],
    "cr.remote-command": [_remote_command],
    "cr.transmit-stopped": [_transmit_stopped],
    "cr.transmit-busy": [_transmit_busy],
    "cr.page": [_page],
    "cr.start-before-reset": [_start_before_reset],
    "start.undefined": [_undefined, _probing],
    "start.ring": [_ring(0x60, 0x50), _ring(0x20, 0x80), _ring(0x4C, 0x90)],
    "ring.boundary": [_boundary(0x4B), _boundary(0x80)],
    "ring.boundary-equals-current": [_boundary(0x4F)],
    "rx.overflow-recovery": [_recovery],
    "rx.overflow-loopback": [_recovery_on_the_wire],
    "rcr.promiscuous": [_promiscuous],
    "dcr.long-address": [_long_address],
    "dma.idle": [_idle, _beyond],
    "dma.direction": [_direction],
    "dma.width": [_dma_width(WTS, 1), _dma_width(0, 2), _dma_width(0, 4)],
    "dma.odd-port": [_odd_port],
    "dma.odd-count": [_odd_count],
    "dma.zero-count": [_zero_count],
    "dma.unfinished": [_unfinished],
    "dma.outside-memory": [_outside],
    "tx.runt": [_size(59), _size(63, inhibited=True)],
    "tx.oversize": [_size(1519)],
    "tx.outside-memory": [_outside_memory],
    "tx.buffer-in-use": [_in_use],
    "loopback.not-selected": [_not_selected],
}


def test_every_rule_has_a_case() -> None:
    assert {f"ne2000.{rule}" for rule in CASES} == {rule.id for rule in RULES}


@pytest.mark.parametrize(("rule", "number"), [(rule, n) for rule, cases in CASES.items() for n in range(len(cases))])
def test_rule(rule: str, number: int) -> None:
    assert f"ne2000.{rule}" in CASES[rule][number](False).found
    assert f"ne2000.{rule}" not in CASES[rule][number](True).found
