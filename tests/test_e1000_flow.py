"""82540EM, flow control (8254x SDM 8.7): PAUSE frames obeyed, made, and filtered."""

from __future__ import annotations

import pytest
from e1000_rig import (
    CTRL,
    FCRTL,
    MAC,
    PEER,
    RCTL,
    STATUS,
    TCTL,
    Rig,
    close_rigs,  # noqa: F401 (a fixture)
    ethernet,
)

FCA = bytes.fromhex("0180c2000001")


def control(destination: bytes = FCA, opcode: int = 1, time: int = 100, kind: int = 0x8808) -> bytes:
    return ethernet(destination, PEER, kind, opcode.to_bytes(2, "big") + time.to_bytes(2, "big") + bytes(42))


def sent_pause(time: int) -> bytes:
    return FCA + MAC + b"\x88\x08\x00\x01" + time.to_bytes(2, "big") + bytes(42)


def for_us(size: int = 60) -> bytes:
    return ethernet(MAC, PEER, size=size)


@pytest.fixture
def rig() -> Rig:
    rig = Rig(count=64)
    rig.start_transmit()
    rig.start_receive(RCTL.SECRC)
    rig["CTRL"] |= CTRL.RFCE
    return rig


# ------------------------------------------------------------------ obeying (8.7.3)


@pytest.mark.parametrize("destination", [FCA, MAC])
def test_xoff_stops_transmission_for_its_time(rig: Rig, destination: bytes) -> None:
    """In slots of 512 bit times: 512 ns at 1 Gb/s."""
    rig.arrive(control(destination, time=100))
    assert rig["STATUS"] & STATUS.TXOFF
    rig.send(frame := ethernet())
    assert rig.take() == []
    assert rig["TDH"] == 1, "it waits in the FIFO"
    rig.clock.advance(100 * 512 - 1)
    assert rig.take() == []
    rig.clock.advance(1)
    assert rig.take() == [frame]
    assert not rig["STATUS"] & STATUS.TXOFF
    assert (rig["XOFFRXC"], rig["XONRXC"], rig["DC"]) == (1, 0, 1)


@pytest.mark.parametrize(("code", "slot"), [(0, 51200), (1, 5120), (2, 512)])
def test_the_slot_is_that_of_the_speed(rig: Rig, code: int, slot: int) -> None:
    rig.nic.regs.STATUS.SPEED = code
    rig.arrive(control(time=3))
    rig.clock.advance(3 * slot - 1)
    assert rig["STATUS"] & STATUS.TXOFF
    rig.clock.advance(1)
    assert not rig["STATUS"] & STATUS.TXOFF


def test_xon_ends_the_pause(rig: Rig) -> None:
    rig.arrive(control(time=0xFFFF))
    rig.send(frame := ethernet())
    assert rig.take() == []
    rig.arrive(control(time=0))
    assert rig.take() == [frame]
    assert (rig["XOFFRXC"], rig["XONRXC"]) == (1, 1)


def test_another_xoff_starts_the_time_over(rig: Rig) -> None:
    rig.arrive(control(time=100))
    rig.clock.advance(90 * 512)
    rig.arrive(control(time=100))
    rig.clock.advance(99 * 512)
    assert rig["STATUS"] & STATUS.TXOFF
    rig.clock.advance(512)
    assert not rig["STATUS"] & STATUS.TXOFF


def test_a_pause_holds_no_more_than_the_fifo(rig: Rig) -> None:
    rig.arrive(control(time=0xFFFF))
    for _ in range(40):
        rig.send(ethernet(size=1514))
    assert rig["TDH"] == 16384 // 1528
    rig.arrive(control(time=0))
    assert len(rig.take()) == 40
    assert rig["TDH"] == 40


@pytest.mark.parametrize(
    "frame", [control(PEER), control(opcode=2), control(kind=0x8809), control(bytes.fromhex("0180c2000002"))]
)
def test_what_is_no_pause_frame_pauses_nothing(rig: Rig, frame: bytes) -> None:
    rig.arrive(frame)
    assert not rig["STATUS"] & STATUS.TXOFF
    assert (rig["XOFFRXC"], rig["XONRXC"]) == (0, 0)


def test_addresses_and_type_are_those_of_the_registers(rig: Rig) -> None:
    rig["FCAL"], rig["FCAH"], rig["FCT"] = 0x44332211, 0x6655, 0xABCD
    rig.arrive(control())
    assert not rig["STATUS"] & STATUS.TXOFF
    rig.arrive(control(bytes.fromhex("112233445566"), kind=0xABCD))
    assert rig["STATUS"] & STATUS.TXOFF


def test_without_rfce_they_are_frames_like_others(rig: Rig) -> None:
    rig["CTRL"] &= ~CTRL.RFCE
    rig.arrive(frame := control(MAC), control())
    assert rig.frames() == [frame]
    assert not rig["STATUS"] & STATUS.TXOFF
    assert (rig["XOFFRXC"], rig["GPRC"]) == (0, 1)


def test_half_duplex_does_not_pause(rig: Rig) -> None:
    rig.nic.regs.STATUS.FD = 0
    rig.arrive(control())
    assert not rig["STATUS"] & STATUS.TXOFF


def test_a_link_that_goes_ends_the_pause(rig: Rig) -> None:
    rig.arrive(control(time=0xFFFF))
    rig.nic.set_link(False)
    assert not rig["STATUS"] & STATUS.TXOFF


# ------------------------------------------------------------------ filtering (8.7.4, 13.4.22)


def test_discard_pause_frames(rig: Rig) -> None:
    """DPF: those to the station address only; those to the group pass as the filters say."""
    rig.arrive(frame := control(MAC))
    assert rig.frames() == [frame]
    rig["RCTL"] |= RCTL.DPF
    rig.arrive(control(MAC))
    assert rig.frames() == []
    rig["RCTL"] |= RCTL.MPE
    rig.arrive(control(MAC), group := control())
    assert rig.frames() == [group]
    assert rig["XOFFRXC"] == 4, "obeyed all the same"


def test_pass_mac_control_frames(rig: Rig) -> None:
    """PMCF: those with another opcode, beside what the filters pass."""
    rig.arrive(control(opcode=5))
    assert rig.frames() == []
    rig["RCTL"] |= RCTL.PMCF
    rig.arrive(frame := control(opcode=5), control(), control(PEER, opcode=5))
    assert rig.frames() == [frame]
    assert rig["FCRUC"] == 2


def test_flow_control_does_not_count_as_traffic(rig: Rig) -> None:
    """13.7: not in GPRC, MPRC, GORC and the size bins; in TPR and TOR."""
    rig["RCTL"] |= RCTL.MPE | RCTL.PMCF
    rig.arrive(control(), control(opcode=9), control(MAC, time=0))
    assert [rig[n] for n in ("GPRC", "MPRC", "GORCL", "PRC64", "RNBC")] == [0] * 5
    assert (rig["TPR"], rig["TORL"]) == (3, 192)


# ------------------------------------------------------------------ making (8.7.5)


def flow(rig: Rig, high: int, low: int, *, xon: bool = True) -> None:
    rig["FCRTH"], rig["FCRTL"] = high, low | (FCRTL.XONE if xon else 0)
    rig["CTRL"] |= CTRL.TFCE


def fill(rig: Rig, count: int) -> None:
    rig["RDT"] = rig["RDH"]
    for _ in range(count):
        rig.arrive(for_us(992))


def test_xoff_and_xon_at_the_thresholds(rig: Rig) -> None:
    flow(rig, 8000, 3000)
    fill(rig, 7)
    assert rig.take() == []
    fill(rig, 1)
    assert rig.take() == [sent_pause(0x1234)]
    fill(rig, 5)
    assert rig.take() == [], "once until the level was low again"
    rig["RDT"] = (rig["RDH"] + 9) % 64
    assert rig.take() == []
    rig["RDT"] = (rig["RDH"] + 1) % 64
    assert rig.take() == [sent_pause(0)]
    assert (rig["XOFFTXC"], rig["XONTXC"]) == (1, 1)
    fill(rig, 5)
    assert rig.take() == [sent_pause(0x1234)]


def test_no_xon_without_xone(rig: Rig) -> None:
    flow(rig, 2000, 1000, xon=False)
    fill(rig, 3)
    assert rig.take() == [sent_pause(0x1234)]
    rig["RDT"] = (rig["RDH"] + 9) % 64
    assert rig.take() == []


def test_one_more_xoff_when_the_fifo_overflows(rig: Rig) -> None:
    flow(rig, 8000, 3000)
    fill(rig, 60)
    assert rig["MPC"] > 5
    assert rig.take() == [sent_pause(0x1234)] * 2


def test_nothing_is_sent_without_tfce(rig: Rig) -> None:
    flow(rig, 2000, 1000)
    rig["CTRL"] &= ~CTRL.TFCE
    fill(rig, 60)
    rig["RDT"] = (rig["RDH"] - 1) % 64
    assert rig.take() == []


def test_nothing_is_sent_in_half_duplex_or_while_disabled(rig: Rig) -> None:
    flow(rig, 2000, 1000)
    rig["TCTL"] = 0
    fill(rig, 4)
    assert rig.take() == []
    rig["RDT"] = (rig["RDH"] - 1) % 64
    rig["TCTL"] = TCTL.EN
    rig.nic.regs.STATUS.FD = 0
    fill(rig, 4)
    assert rig.take() == []


def test_pause_frames_pass_what_is_paused(rig: Rig) -> None:
    """IEEE 802.3, 31B: a received PAUSE does not stop MAC control frames."""
    flow(rig, 2000, 1000)
    rig.arrive(control(time=0xFFFF))
    rig.send(ethernet())
    fill(rig, 3)
    assert rig.take() == [sent_pause(0x1234)]


def test_a_pause_frame_that_the_wire_did_not_take_goes_when_it_can(rig: Rig) -> None:
    flow(rig, 2000, 1000)
    rig.tap.room = 0
    fill(rig, 3)
    assert (rig.take(), rig["XOFFTXC"]) == ([], 0)
    rig.tap.room = None
    rig.tap.writable()
    assert rig.take() == [sent_pause(0x1234)]
    assert rig["XOFFTXC"] == 1


def test_frames_held_back_count_as_contents_of_the_fifo() -> None:
    rig = Rig(count=64, overflow="hold")
    rig.start_transmit()
    rig.start_receive(RCTL.SECRC)
    flow(rig, 0xC000, 0x8000)
    fill(rig, 80)
    assert rig.take() == [sent_pause(0x1234)]
    for _ in range(40):
        rig["RDT"] = (rig["RDH"] - 1) % 64
        rig.nic.poll()
    assert rig.take() == [sent_pause(0)]


@pytest.mark.parametrize(("time", "counter"), [(7, "XOFFTXC"), (0, "XONTXC")])
def test_software_pause(rig: Rig, time: int, counter: str) -> None:
    """8.7.6: whatever TFCE says; the bit clears itself; FCTTV of 0 makes it an XON."""
    rig["FCTTV"] = time
    rig["TCTL"] = TCTL.EN | TCTL.SWXOFF
    assert rig.take() == [sent_pause(time)]
    assert rig["TCTL"] == TCTL.EN
    assert rig[counter] == 1
    assert (rig["TPT"], rig["TOTL"]) == (1, 64)
    assert [rig[n] for n in ("GPTC", "PTC64", "MPTC", "GOTCL")] == [0] * 4


def test_two_cards_pause_each_other() -> None:
    """What one makes the other obeys, and nothing is lost between them."""
    import nicemu
    from nicemu.backends import Pair

    first, second = Pair.create()
    clock = nicemu.Clock.virtual()
    loop = nicemu.Loop()
    a, b = (Rig(count=64, clock=clock, loop=loop) for _ in range(2))
    for rig, wire in ((a, first), (b, second)):
        rig.nic.plug(None)
        rig.nic.plug(wire)
        rig.clock.advance(10_000_000_000)
        rig["CTRL"] |= CTRL.RFCE
        rig.start_transmit()
        rig.start_receive(RCTL.SECRC | RCTL.UPE)
    flow(b, 0x8000, 0x4000)
    b["FCTTV"] = 0xFFFF
    b["RDT"] = b["RDH"]
    for i in range(60):
        a.send(ethernet(payload=bytes([i]) * 986))
        loop.turn(0)
        loop.turn(0)
    assert a["STATUS"] & STATUS.TXOFF
    assert b["MPC"] == 0
    got = []
    for _ in range(20):
        b["RDT"] = (b["RDH"] - 1) % 64
        for _ in range(4):
            loop.turn(0)
        got += b.frames()
    assert [frame[14] for frame in got] == list(range(60))
    assert not a["STATUS"] & STATUS.TXOFF
