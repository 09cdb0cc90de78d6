"""PCnet, findings: each rule with a driver that breaks it and one that keeps it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from pcnet_rig import BLOCK, IDON, INIT, MAC, PEER, RX_RING, STOP, STRT, TDMD, TX_BUFFERS, TX_RING, Rig, frame

from nicemu.devices.pcnet_descriptors import Rx, Tx
from nicemu.devices.pcnet_tables import RULES

WHOLE = Tx.OWN | Tx.STP | Tx.ENP
APAD_XMT = 0x0915


def running(model: str = "pcnet", **options: object) -> Rig:
    rig = Rig(model, **options)
    rig.start()
    return rig


def _width(keep: bool) -> Rig:
    rig = Rig()
    rig.bar.write(0x12, 0, 2 if keep else 1)
    return rig


def _width_before_dword_mode(keep: bool) -> Rig:
    rig = Rig()
    if keep:
        rig.bar.write(0x10, 0, 4)  # the switch itself is allowed
    rig.bar.write(0x14 if keep else 0x12, 0, 4)
    return rig


def _reserved(keep: bool) -> Rig:
    rig = Rig()
    rig.csr(3, 0 if keep else 1)
    return rig


def _unmapped(keep: bool) -> Rig:
    rig = Rig()
    rig.csr(47 if keep else 50)
    return rig


def _locked(number: int) -> Callable[[bool], Rig]:
    def case(keep: bool) -> Rig:
        rig = running()
        rig.csr(5, int(keep))  # SPND
        rig.csr(number, 0x1410 if number == 80 else 0xFFF0)
        return rig

    return case


def _bus_master(keep: bool) -> Rig:
    rig = Rig()
    rig.nic.config.write(4, 7 if keep else 3, 2)
    rig.start(start=False)
    return rig


def _dma_unmapped(keep: bool) -> Rig:
    rig = running()
    rig.put(TX_RING, 0, 0x8000 if keep else 0x7000_0000, 100, WHOLE)
    rig.csr(0, TDMD)
    return rig


def _block_unaligned(keep: bool) -> Rig:
    rig = Rig()
    rig.csr(1, BLOCK + (0 if keep else 1))
    rig.csr(2, 0)
    rig.csr(0, INIT)
    return rig


def _init_not_waited(keep: bool) -> Rig:
    rig = Rig(profile="wire")
    rig.start(start=False)
    if keep:
        rig.clock.advance(10**6)
        assert rig.csr(0) & IDON
    rig.csr(0, STRT)
    return rig


def _init_while_running(keep: bool) -> Rig:
    rig = running()
    if keep:
        rig.csr(0, STOP)
    rig.csr(0, INIT)
    return rig


def _never_initialized(keep: bool) -> Rig:
    rig = Rig()
    if keep:
        rig.start(start=False)
    rig.csr(0, STRT)
    return rig


def _style_undefined(keep: bool) -> Rig:
    rig = Rig()
    rig.bcr(20, 3 if keep else 4)
    return rig


def _style_after_init(keep: bool) -> Rig:
    rig = Rig()
    if not keep:
        rig.start(start=False)
        rig.csr(5, 1)
    rig.bcr(20, 3)
    return rig


def _rings(rx: int, code: int) -> Callable[[bool], Rig]:
    def case(keep: bool) -> Rig:
        rig = Rig()
        rig.memory.write(
            BLOCK, rig.layout.block(0, MAC, 0, (RX_RING if keep else rx, 2 if keep else code), (TX_RING, 2))
        )
        rig.csr(1, BLOCK)
        rig.csr(2, 0)
        rig.csr(0, INIT)
        return rig

    return case


def _length_sign(keep: bool) -> Rig:
    rig = Rig()
    for number in (76, 78):
        rig.csr(number, -4 & 0xFFFF if keep else 4)
    return rig


def _send(data: int, flags: int, kept_data: int = 60, kept_flags: int = WHOLE) -> Callable[[bool], Rig]:
    def case(keep: bool) -> Rig:
        rig = running()
        rig.send(frame(kept_data if keep else data, PEER), flags=kept_flags if keep else flags)
        return rig

    return case


def _chain_broken(keep: bool) -> Rig:
    rig = running()
    if keep:
        rig.put_tx(1, frame(60, PEER), Tx.OWN | Tx.ENP)
    rig.send(frame(60, PEER), flags=Tx.OWN | Tx.STP)
    return rig


def _runt(keep: bool) -> Rig:
    rig = running()
    rig.csr(4, APAD_XMT if keep else 0x0115)
    rig.send(frame(59, PEER))
    return rig


def _changed(place: int, value: bytes) -> Callable[[bool], Rig]:
    """The driver of a chip whose frames take time touches the frame: before it has left, or behind it."""

    def case(keep: bool) -> Rig:
        rig = Rig(profile="wire")
        rig.start(start=False)
        rig.clock.advance(10**6)
        rig.csr(0, IDON | STRT)
        rig.send(frame(1514, PEER))
        if keep:
            rig.clock.advance(2 * 10**6)
            assert rig.wire.frames == [frame(1514, PEER)]
        rig.memory.write(place, value)
        rig.clock.advance(2 * 10**6)
        return rig

    return case


def _receive_descriptor_changed(place: int, value: bytes) -> Callable[[bool], Rig]:
    """The driver moves a buffer that it has given to the chip, or takes it back; or one that it has not given."""

    def case(keep: bool) -> Rig:
        rig = Rig(profile="wire")
        rig.put_rx(2, flags=0)
        rig.start(start=False)
        rig.clock.advance(10**6)
        rig.csr(0, IDON | STRT)
        rig.arrive(frame())
        rig.memory.write(rig.at(RX_RING, 2 if keep else 1) + place, value)
        rig.put_rx(0)
        rig.arrive(frame())
        return rig

    return case


def _ones(ring: int) -> Callable[[bool], Rig]:
    def case(keep: bool) -> Rig:
        rig = running()
        rig.put_tx(0, frame(60, PEER))
        if not keep:
            place = rig.at(ring, 0) + 5
            rig.memory.write(place, bytes([rig.memory.read(place, 1)[0] & 0x0F]))
        rig.csr(0, TDMD)
        rig.arrive(frame())
        return rig

    return case


def _link_down(keep: bool) -> Rig:
    rig = running()
    rig.nic.set_link(keep)
    rig.send(frame(60, PEER))
    return rig


def _missed(keep: bool) -> Rig:
    rig = running()
    rig.put_rx(0, flags=Rx.OWN if keep else 0)
    rig.arrive(frame())
    return rig


def _buffer_short(keep: bool) -> Rig:
    rig = running()
    rig.put_rx(0, length=64)
    rig.put_rx(1, flags=Rx.OWN if keep else 0)
    rig.arrive(frame(150))
    return rig


def _pins(keep: bool) -> Rig:
    rig = Rig()
    rig.bcr(19, 0x14 if keep else 0x04)
    return rig


def _bad_phy(keep: bool) -> Rig:
    rig = Rig("pcnet-fast3")
    rig.bcr(33, (0x1E if keep else 3) << 5 | 1)
    rig.bcr(34)
    return rig


def _timer_zero(keep: bool) -> Rig:
    rig = Rig("pcnet-fast3")
    rig.bcr(31, 100 if keep else 0)
    return rig


CASES: list[tuple[str, Callable[[bool], Rig]]] = [
    ("access.width", _width),
    ("access.width", _width_before_dword_mode),
    ("access.reserved-bits", _reserved),
    ("access.unmapped", _unmapped),
    *(("access.locked", _locked(number)) for number in (1, 2, 8, 12, 15, 24, 30, 47, 76, 78, 80, 112)),
    ("dma.bus-master-off", _bus_master),
    ("dma.unmapped", _dma_unmapped),
    ("init.block-unaligned", _block_unaligned),
    ("init.not-waited", _init_not_waited),
    ("init.while-running", _init_while_running),
    ("start.never-initialized", _never_initialized),
    ("style.undefined", _style_undefined),
    ("style.after-init", _style_after_init),
    ("ring.unaligned", _rings(RX_RING + 8, 2)),
    ("ring.length-encoding", _rings(RX_RING, 10)),
    ("ring.length-sign", _length_sign),
    ("tx.no-start", _send(60, Tx.OWN | Tx.ENP)),
    ("tx.chain-broken", _chain_broken),
    ("tx.changed", _changed(TX_BUFFERS + 1513, b"\x55")),
    ("tx.changed", _changed(TX_RING, b"\0\0\x02\0")),
    ("tx.changed", _changed(TX_RING + 7, b"\0")),
    ("tx.count-ones", _ones(TX_RING)),
    ("tx.count-ones", _ones(RX_RING)),
    ("tx.runt", _runt),
    ("tx.babble", _send(1515, WHOLE, kept_data=1514)),
    ("tx.link-down", _link_down),
    ("rx.missed", _missed),
    ("rx.changed", _receive_descriptor_changed(1, b"\x90")),
    ("rx.changed", _receive_descriptor_changed(7, b"\0")),
    ("rx.buffer-short", _buffer_short),
    ("eeprom.no-enable", _pins),
    ("mii.bad-phy", _bad_phy),
    ("timer.zero", _timer_zero),
]


@pytest.mark.parametrize(("rule", "case"), CASES)
def test_a_rule_is_broken_and_kept(rule: str, case: Callable[[bool], Rig]) -> None:
    """The driver that breaks it is found out, the one that keeps it breaks no other rule either."""
    broken = case(False)
    assert f"pcnet.{rule}" in broken.nic.finding_counts
    broken.nic.close()
    kept = case(True)
    assert kept.nic.finding_counts == {}
    kept.nic.close()


def test_every_rule_has_a_case() -> None:
    assert {f"pcnet.{rule}" for rule, _ in CASES} == {rule.id for rule in RULES}


def test_dma_goes_on_when_the_bus_is_given() -> None:
    """What was asked for while bus mastering was off is done when it comes on (PCI Command Register)."""
    rig = _bus_master(keep=False)
    assert not rig.csr(0) & IDON
    rig.nic.config.write(0x04, 7, 2)
    rig.nic.poll()
    assert rig.csr(0) & IDON
    rig.nic.close()


def test_a_length_code_that_is_too_long_is_the_longest() -> None:
    rig = _rings(RX_RING, 10)(False)
    assert rig.csr(76) == -512 & 0xFFFF
    rig.nic.close()
