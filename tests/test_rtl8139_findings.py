"""RTL8139, findings: each rule with a driver that breaks it and one that keeps it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from rtl8139_rig import (
    AB,
    APM,
    BUFE,
    CONFIG_WRITE,
    CPRX,
    CPTX,
    EOR,
    FS,
    LGSEN,
    LS,
    OWN,
    PROGRAMMING,
    RE,
    ROK,
    RST,
    RX_RING,
    TALLY,
    TE,
    TOK,
    TX_DATA,
    TX_RING,
    WRAP,
    Rig,
    frame,
)

from nicemu.devices.rtl8139_tables import RULES


def c_mode(rcr: int = APM | AB) -> Rig:
    return Rig().start(rcr)


def plus() -> Rig:
    return Rig().start_plus()


def _width(keep: bool) -> Rig:
    rig = Rig()
    rig.nic.bars[1].read(0x40, 4 if keep else 8)
    return rig


def _reserved(keep: bool) -> Rig:
    rig = Rig()
    rig.write("CR", 0 if keep else 0x80)
    return rig


def _unmapped(keep: bool) -> Rig:
    rig = Rig()
    rig.nic.bars[1].read(0x40 if keep else 0xDC, 4)
    return rig


def _pending(keep: bool) -> Rig:
    rig = Rig(profile="wire")
    rig.write("CR", RST)
    if keep:
        rig.clock.advance(10**6)
        assert not rig.read("CR") & RST
    rig.write("CR", RE)
    return rig


def _doubleword(keep: bool) -> Rig:
    rig = Rig()
    rig.write("CR9346", CONFIG_WRITE)
    rig.write("IDR", 0x52, size=4 if keep else 1)
    return rig


def _bus_master(keep: bool) -> Rig:
    rig = c_mode()
    rig.nic.config.write(4, 7 if keep else 3, 2)
    rig.send(frame(60))
    return rig


def _dma_unmapped(keep: bool) -> Rig:
    rig = c_mode()
    rig.write("TSAD0", TX_DATA if keep else 0x7000_0000)
    rig.write("TSD", 60)
    return rig


def _locked(keep: bool) -> Rig:
    rig = Rig()
    if keep:
        rig.write("CR9346", CONFIG_WRITE)
    rig.write("CONFIG1", 0x8D)
    return rig


def _rcr_before_re(keep: bool) -> Rig:
    rig = Rig()
    if keep:
        rig.write("CR", RE)
    rig.write("RCR", APM)
    return rig


def _bmcr(keep: bool) -> Rig:
    rig = Rig()
    if keep:
        rig.write("CR9346", CONFIG_WRITE)
    rig.write("BMCR", 0x2100)
    return rig


def _pins(keep: bool) -> Rig:
    rig = Rig()
    rig.write("CR9346", (PROGRAMMING if keep else 0) | 8)
    return rig


def _order(keep: bool) -> Rig:
    rig = c_mode()
    rig.send(frame(60), 0 if keep else 2)
    return rig


def _busy(keep: bool) -> Rig:
    rig = Rig(profile="wire").start()  # in which a packet takes its time
    rig.send(frame(60))
    if keep:
        rig.clock.advance(10**6)
    rig.write("TSD", 60, 1 if keep else 0)
    return rig


def _address_busy(keep: bool) -> Rig:
    rig = Rig(profile="wire").start()
    rig.send(frame(60))
    if keep:
        rig.clock.advance(10**6)
    rig.write("TSAD0", TX_DATA + 0x100)
    return rig


def _disabled(keep: bool) -> Rig:
    rig = Rig()
    if keep:
        rig.write("CR", TE)
    rig.send(frame(60))
    return rig


def _unaligned(keep: bool) -> Rig:
    rig = c_mode()
    rig.write("TSAD0", TX_DATA + (0 if keep else 2))
    rig.write("TSD", 60)
    return rig


def _size(bad: int) -> Callable[[bool], Rig]:
    def case(keep: bool) -> Rig:
        rig = c_mode()
        rig.write("TSAD0", TX_DATA)
        rig.write("TSD", 1500 if keep else bad)
        return rig

    return case


def _link_down(keep: bool) -> Rig:
    rig = c_mode()
    rig.nic.set_link(keep)
    rig.send(frame(60))
    return rig


def _abort(keep: bool) -> Rig:
    rig = Rig()
    rig.write("CR9346", CONFIG_WRITE)
    rig.write("BMCR", 0x2000)  # half duplex
    rig.start()
    rig.nic.disturb("excessive-collisions" if keep else "one-collision")
    rig.send(frame(60))
    rig.write("TCR", 0x03000600 | 1)
    return rig


def _ring_unaligned(keep: bool) -> Rig:
    rig = plus()
    rig.write("TNPDSL", TX_RING + (0 if keep else 64))
    return rig


def _ring_length(keep: bool) -> Rig:
    rig = plus()
    for n in range(64):
        rig.put(TX_RING, n, OWN | FS | LS | 60 | (EOR if keep and n == 63 else 0), TX_DATA)
    rig.write("TPPOLL", 0x40)
    return rig


def _high(keep: bool) -> Rig:
    rig = plus()
    rig.put(TX_RING, 0, OWN | FS | LS | EOR | 60, TX_DATA + (0 if keep else 1 << 32))
    rig.write("TPPOLL", 0x40)
    return rig


def _enable_order(keep: bool) -> Rig:
    rig = Rig()
    for name, value in (("CPCR", CPTX | CPRX), ("CR", RE | TE))[:: 1 if keep else -1]:
        rig.write(name, value)
    return rig


def _descriptors(*bad: int) -> Callable[[bool], Rig]:
    """A ring of one good packet, or of these first doublewords."""

    def case(keep: bool) -> Rig:
        rig = plus()
        for n, opts1 in enumerate((OWN | FS | LS | EOR | 60,) if keep else bad):
            rig.put(TX_RING, n, opts1, TX_DATA)
        rig.write("TPPOLL", 0x40)
        return rig

    return case


def _poll_disabled(keep: bool) -> Rig:
    rig = plus() if keep else Rig()
    rig.write("TPPOLL", 0x40)
    return rig


def _dump(keep: bool) -> Rig:
    rig = plus()
    rig.write("DTCCRL", TALLY + (0 if keep else 16) | 8)
    return rig


def _rbstart(keep: bool) -> Rig:
    rig = Rig()
    rig.write("RBSTART", 0x80000 + (0 if keep else 2))
    return rig


def _capr(value: int) -> Callable[[bool], Rig]:
    """One packet of 60 bytes is read: 4 + 64 bytes of the buffer."""

    def case(keep: bool) -> Rig:
        rig = c_mode()
        rig.arrive(frame(60), frame(60))
        rig.write("CAPR", 68 - 16 if keep else value)
        return rig

    return case


def _overrun(keep: bool) -> Rig:
    rig = c_mode()
    for _ in range(4 if keep else 10):
        rig.arrive(frame(1500))
    return rig


def _cleared_full(keep: bool) -> Rig:
    rig = c_mode()
    for _ in range(10):
        rig.arrive(frame(1500))
    if keep:
        rig.write("CAPR", rig.read("CBR") - 16 & 0xFFFF)
    rig.write("ISR", 0x10)
    return rig


def _handler(rig: Rig, clear_first: bool) -> None:
    """An interrupt is answered: one packet of 60 bytes is read, and another comes after the last look at BUFE."""
    rig.read("ISR")
    if clear_first:
        rig.write("ISR", ROK)
    rig.arrive(frame(60))
    while not rig.read("CR") & BUFE:
        rig.write("CAPR", rig.read("CAPR") + 68 & 0xFFFF)
    rig.arrive(frame(60))
    if not clear_first:
        rig.write("ISR", ROK)


def _acknowledged(keep: bool) -> Rig:
    """Cleared behind the last look at the buffer, ROK does not tell of what came in between."""
    rig = c_mode()
    rig.write("ISR", 0xFFFF)
    rig.write("IMR", ROK)
    rig.arrive(frame(60))
    for _ in range(2):
        _handler(rig, clear_first=keep)
    return rig


def _acknowledged_blindly(keep: bool) -> Rig:
    """Causes are cleared that came after ISR was read."""
    rig = c_mode()
    rig.write("ISR", 0xFFFF)
    rig.write("IMR", ROK | TOK)
    assert rig.read("CR") & BUFE
    rig.send(frame(60))
    causes = rig.read("ISR")
    assert causes == TOK
    rig.arrive(frame(60))
    rig.write("ISR", causes if keep else 0xFFFF)
    rig.read("ISR")
    return rig


def _storm(keep: bool) -> Rig:
    """A handler that reads ISR and goes is called for ever."""
    rig = c_mode()
    rig.write("ISR", 0xFFFF)
    rig.write("IMR", TOK)
    rig.send(frame(60))
    for n in range(100):
        rig.read("ISR")
        if keep and n == 50:
            rig.write("ISR", TOK)
    return rig


def _wrap_64k(keep: bool) -> Rig:
    return c_mode(APM | WRAP | (2 if keep else 3) << 11)


def _buffer_size(keep: bool) -> Rig:
    rig = plus()
    rig.put(RX_RING, 0, OWN | (64 if keep else 60), 0x40000)
    rig.arrive(frame(200))
    return rig


CASES: dict[str, list[Callable[[bool], Rig]]] = {
    "access.width": [_width],
    "access.reserved-bits": [_reserved],
    "access.unmapped": [_unmapped],
    "cr.reset-pending": [_pending],
    "access.doubleword": [_doubleword],
    "isr.unacknowledged": [_storm],
    "dma.bus-master-off": [_bus_master],
    "dma.unmapped": [_dma_unmapped],
    "access.locked": [_locked, _rcr_before_re],
    "config.bmcr-locked": [_bmcr],
    "eeprom.mode": [_pins],
    "tx.order": [_order],
    "tx.busy": [_busy, _address_busy],
    "tx.disabled": [_disabled],
    "tx.unaligned": [_unaligned],
    "tx.too-long": [_size(1793)],
    "tx.runt": [_size(59)],
    "tx.length-zero": [_size(0), _descriptors(OWN | FS | LS | EOR)],
    "tx.link-down": [_link_down],
    "tx.abort-clear": [_abort],
    "cp.ring-unaligned": [_ring_unaligned],
    "cp.ring-length": [_ring_length],
    "cp.high-address": [_high],
    "cp.enable-order": [_enable_order],
    "cp.no-first": [_descriptors(OWN | LS | EOR | 60), _descriptors(OWN | FS | 60, OWN | FS | LS | EOR | 60)],
    "cp.no-last": [_descriptors(OWN | FS | EOR | 60)],
    "cp.oversize": [_descriptors(OWN | FS | LS | EOR | 20000)],
    "cp.mss": [_descriptors(OWN | FS | LS | EOR | LGSEN | 60)],
    "cp.large-send": [_descriptors(OWN | FS | LS | EOR | LGSEN | 100 << 16 | 60)],
    "cp.checksum": [_descriptors(OWN | FS | LS | EOR | 1 << 18 | 60)],
    "cp.poll-disabled": [_poll_disabled],
    "cp.dump-unaligned": [_dump],
    "rx.buffer-unaligned": [_rbstart],
    "rx.capr-unaligned": [_capr(54)],
    "rx.capr-out-of-data": [_capr(0x1000)],
    "rx.overrun": [_overrun],
    "rx.overflow-cleared-full": [_cleared_full],
    "rx.acknowledged-unread": [_acknowledged, _acknowledged_blindly],
    "rx.wrap-64k": [_wrap_64k],
    "rx.buffer-size": [_buffer_size],
}


def test_every_rule_has_a_case() -> None:
    assert {f"rtl8139.{rule}" for rule in CASES} == {rule.id for rule in RULES}


@pytest.mark.parametrize(("rule", "number"), [(rule, n) for rule, cases in CASES.items() for n in range(len(cases))])
def test_rule(rule: str, number: int) -> None:
    assert f"rtl8139.{rule}" in CASES[rule][number](False).found
    assert f"rtl8139.{rule}" not in CASES[rule][number](True).found
