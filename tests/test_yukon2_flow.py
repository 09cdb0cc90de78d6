"""88E8057, PAUSE frames of its own (docs/yukon2-facts.md, 2.11): when they are sent, when again, and when not."""

from __future__ import annotations

import pytest
from yukon2_rig import MAC, PEER, RX_BUFFERS, RX_STEP, Rig, close_rigs, ethernet

from nicemu.devices.yukon2_descriptors import Opcode, element

__all__ = ["close_rigs"]

FRAME = ethernet(MAC, PEER, size=100)
QUANTUM = 512  # ns at 1000 Mb/s
PAUSE_ON, PAUSE_OFF = 1 << 3, 1 << 2


def pause(quanta: int) -> bytes:
    return bytes.fromhex("0180c2000001") + MAC + bytes.fromhex("88080001") + quanta.to_bytes(2, "big") + bytes(42)


def phy(rig: Rig, register: int, value: int) -> None:
    rig["GM_SMI_DATA"] = value
    rig["GM_SMI_CTRL"] = register << 6


def negotiate(rig: Rig, advertised: int) -> None:
    phy(rig, 4, advertised)
    phy(rig, 0, 0x1340)
    rig.clock.advance(10**10)


def rig_with(buffers: int, quanta: int = 0xFFFF, **options: str) -> Rig:
    rig = Rig(**options)
    negotiate(rig, 0x0DE1)  # with PAUSE, as sky2 does
    rig["GM_TX_FLOW_CTRL"] = quanta
    rig["GMAC_CTRL"] = PAUSE_ON
    rig.start_transmit()
    rig.start_receive(buffers=buffers)
    return rig


def give_buffers(rig: Rig, count: int) -> None:
    rig.give(*(element(Opcode.PACKET, RX_BUFFERS + RX_STEP * (n + 8), 2048) for n in range(count)))


def test_a_frame_without_a_buffer_has_the_far_side_pause_until_there_are_buffers() -> None:
    rig = rig_with(1)
    rig.arrive(FRAME)
    assert rig.take() == []
    rig.arrive(FRAME, FRAME)
    assert rig.take() == [pause(0xFFFF)], "once, however many are lost"
    rig.arrive(FRAME)
    assert rig.take() == []
    rig.clock.advance(0xFFFF * QUANTUM // 2)
    assert rig.take() == [pause(0xFFFF)], "again before the pause is over"
    assert rig.counter("TXF_MPAUSE") == 2
    give_buffers(rig, 1)
    assert rig.take() == [pause(0)]
    rig.clock.advance(10**9)
    assert rig.take() == []
    rig.arrive(FRAME)
    assert len(rig.status()) == 2
    assert rig.take() == []


def test_frames_that_are_held_back_come_in_before_the_far_side_may_go_on() -> None:
    rig = rig_with(1, overflow="hold")
    for _ in range(4):
        rig.arrive(FRAME)
    assert rig.take() == [pause(0xFFFF)]
    give_buffers(rig, 2)
    assert (rig.take(), len(rig.status())) == ([], 3), "one still waits"
    give_buffers(rig, 2)
    assert (rig.take(), len(rig.status())) == ([pause(0)], 1)


def test_a_receiver_that_is_switched_off_asks_for_nothing() -> None:
    rig = rig_with(0)
    rig.arrive(FRAME)
    assert rig.take() == [pause(0xFFFF)]
    rig["GM_GP_CTRL"] &= ~(1 << 11)
    rig.clock.advance(10**9)
    assert rig.take() == [pause(0)]


def test_it_waits_for_a_wire_that_is_busy() -> None:
    rig = rig_with(0)
    rig.tap.room = 0
    rig.arrive(FRAME)
    rig.tap.room = None
    rig.tap.writable()
    rig.nic.poll()
    assert rig.take() == [pause(0xFFFF)]


@pytest.mark.parametrize("why", ["off", "disabled", "no time", "half duplex", "transmitter off", "loopback"])
def test_when_none_is_sent(why: str) -> None:
    rig = rig_with(0, quanta=0 if why == "no time" else 0xFFFF)
    if why == "off":
        rig["GMAC_CTRL"] = PAUSE_OFF
    elif why == "disabled":
        rig["GM_GP_CTRL"] |= 1 << 13 | 1 << 1  # FC_TX_DIS counts where the PHY does not decide: AU_FCT_DIS
    elif why == "half duplex":
        phy(rig, 0, 0xA000)  # 100 Mb/s, no negotiation, from the reset on
    elif why == "transmitter off":
        rig["GM_GP_CTRL"] &= ~(1 << 12)
    elif why == "loopback":
        rig["GM_GP_CTRL"] |= 1 << 9
    rig.arrive(FRAME)
    rig.clock.advance(10**9)
    assert rig.take() == []
    assert rig.counter("TXF_MPAUSE") == 0


def test_what_was_negotiated_counts() -> None:
    rig = rig_with(0)
    negotiate(rig, 0x01E1)
    assert rig["GM_GP_STAT"] >> 13 & 1
    rig.arrive(FRAME)
    assert rig.take() == []
    rig["GM_GP_CTRL"] |= 1 << 1  # the driver decides
    rig.arrive(FRAME)
    assert rig.take() == [pause(0xFFFF)]
