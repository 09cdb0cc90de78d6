"""A card's port: what is taken, held, dropped and counted between a wire and a ring, and who may call whom."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fuzz.families import family_of
from selection import models_with

import nicemu
from nicemu.backends import PythonBackend
from nicemu.drivers import Driver, attach
from nicemu.errors import ConfigurationError
from nicemu.registers import Reset

#: What has no rings in memory sends a frame at a time.
WITH_RINGS = models_with(lambda card: family_of(card.MODEL).dma)


class Wire(PythonBackend):
    """Keeps what leaves the card; takes at most `room` frames of a batch, if that is set."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[bytes] = []
        self.room: int | None = None
        self.during: list[object] = []

    def send(self, frames: list[bytes]) -> int:
        for action in self.during:
            action()  # type: ignore[operator]
        taken = len(frames) if self.room is None else min(self.room, len(frames))
        self.sent += frames[:taken]
        return taken


class Rig:
    """A card with its reference driver on a wire of the test."""

    def __init__(self, model: str, *, overflow: str = "drop", buffers: int = 8) -> None:
        self.wire = Wire()
        self.irqs: list[bool] = []
        self.nic = nicemu.create(
            model,
            memory=nicemu.GuestMemory(1 << 20),
            clock=nicemu.Clock.virtual(),
            backend=self.wire,
            overflow=overflow,
            irq=self.irqs.append,
        )
        self.driver: Driver = attach(self.nic, tx_count=8, rx_count=buffers)
        self.driver.start()

    def frame(self, number: int, length: int = 60, to: bytes | None = None) -> bytes:
        head = (to or self.driver.mac) + b"\x52\x54\0\0\0\x02\x88\xb5" + number.to_bytes(4, "big")
        return head + bytes(i * number & 255 for i in range(length - len(head)))

    def received(self) -> list[bytes]:
        got: list[bytes] = []
        while True:
            self.nic.poll()
            part = [frame.data for frame in self.driver.receive()]
            if not part:
                return got
            got += part


@pytest.fixture(params=["drop", "hold"])
def rig(model: str, request: pytest.FixtureRequest) -> Iterator[Rig]:
    rig = Rig(model, overflow=request.param)
    yield rig
    rig.nic.close()


# ---------------------------------------------------------------- out


def test_frames_leave_in_order(rig: Rig) -> None:
    frames = [rig.frame(n, 60 + n) for n in range(100)]
    for frame in frames:
        rig.driver.send(frame)
    assert rig.wire.sent == frames
    counters = rig.nic.counters
    assert counters["port_sent_frames"] == 100
    assert counters["port_sent_bytes"] == sum(map(len, frames))
    assert counters["port_blocked"] == 0


@pytest.mark.parametrize("model", WITH_RINGS)
@pytest.mark.parametrize("room", [0, 1, 3])
def test_a_short_send_goes_on_where_it_stopped(rig: Rig, room: int) -> None:
    if rig.driver.tx_count < 6:  # type: ignore[attr-defined]
        room = 0  # each packet has a doorbell of its own, and so fits or does not
    rig.wire.room = room
    frames = [rig.frame(n) for n in range(min(6, rig.driver.tx_count))]  # type: ignore[attr-defined]
    for frame in frames:
        rig.driver.queue(frame)  # type: ignore[attr-defined]
    rig.driver.ring()  # type: ignore[attr-defined]
    assert rig.wire.sent == frames[:room]
    assert rig.nic.counters["port_blocked"] >= 1
    rig.nic.poll()
    assert rig.wire.sent == frames[:room], "nobody said that there is room"
    for _ in range(6):
        rig.wire.room = 1
        rig.wire.writable()
    assert rig.wire.sent == frames
    assert rig.nic.counters["port_sent_frames"] == len(frames)


def test_sending_with_nothing_plugged_in(rig: Rig) -> None:
    """No wire, no link: what a driver sends anyway waits for one, as the chip does, or is lost with a reset."""
    rig.nic.plug(None)
    assert not rig.nic.wire_up
    assert not rig.driver.link_up() or not rig.driver.link_visible
    rig.driver.send(rig.frame(1))
    assert rig.wire.sent == []
    rig.nic.plug(rig.wire)
    rig.driver.start()
    rig.driver.wait(rig.driver.link_up, "link")
    rig.driver.send(rig.frame(2))
    assert rig.wire.sent in ([rig.frame(2)], [rig.frame(1), rig.frame(2)])


# ---------------------------------------------------------------- in


def test_frames_arrive_in_order(rig: Rig) -> None:
    frames = [rig.frame(n, 60 + n) for n in range(7)]
    assert rig.wire.deliver(frames) == 7
    assert rig.received() == frames
    assert rig.nic.counters["port_received_frames"] == 7
    assert rig.nic.counters["port_received_bytes"] == sum(map(len, frames))


def test_hold_loses_nothing_and_tells_the_wire(model: str) -> None:
    """More than ring, card and queue take: the wire is told how many there was room for, and brings the rest later."""
    rig = Rig(model, overflow="hold")
    frames = [rig.frame(n, 1500) for n in range(2500)]
    got: list[bytes] = []
    waiting = frames
    while waiting:
        taken = rig.wire.deliver(waiting[:500])
        waiting = waiting[taken:]
        rig.nic.poll()
        if not taken:
            got += rig.received()
    got += rig.received()
    assert got == frames
    counters = rig.nic.counters
    assert counters["port_queue_full"] == 0
    assert counters["port_received_frames"] == 2500
    rig.nic.close()


def test_what_is_held_back_is_counted_when_the_link_goes(model: str) -> None:
    rig = Rig(model, overflow="hold")
    offered = 0
    while taken := rig.wire.deliver([rig.frame(n, 1500) for n in range(100)]):
        offered += taken
        rig.nic.poll()
    rig.nic.set_link(False)
    for _ in range(20):
        rig.nic.poll()
    counters = rig.nic.counters
    assert counters["port_link_down"] > 0
    assert counters["port_received_frames"] + counters["port_link_down"] == offered
    rig.nic.close()


def test_what_is_held_back_is_counted_when_the_bus_is_reset(model: str) -> None:
    rig = Rig(model, overflow="hold")
    offered = 0
    while taken := rig.wire.deliver([rig.frame(n, 1500) for n in range(100)]):
        offered += taken
        rig.nic.poll()
    rig.nic.reset(Reset.BUS)
    rig.nic.set_link(False)  # what was on the wire yet
    for _ in range(20):
        rig.nic.poll()
    counters = rig.nic.counters
    assert counters["port_reset"] > 0
    assert counters["port_received_frames"] + counters["port_reset"] + counters["port_link_down"] == offered
    rig.nic.close()


def test_drop_never_stops_the_wire(model: str) -> None:
    """A guest that does not look loses frames; what it gets afterwards comes in order."""
    rig = Rig(model, overflow="drop")
    rig.driver.set_filters(promiscuous=True)
    frames = [rig.frame(n, 1500) for n in range(500)]
    for begin in range(0, 500, 50):
        assert rig.wire.deliver(frames[begin : begin + 50]) == 50
        rig.nic.poll()
    assert rig.nic.counters["port_received_frames"] == 500
    got = rig.received()
    assert 0 < len(got) < 500
    assert got == frames[: len(got)]
    assert rig.wire.deliver([rig.frame(1000)]) == 1
    assert rig.received() == [rig.frame(1000)]
    rig.nic.close()


def test_an_oversize_frame_is_refused_where_it_is_made(rig: Rig) -> None:
    with pytest.raises(ConfigurationError, match="a frame of 16385 bytes; expected at most 16384"):
        rig.wire.deliver([rig.frame(1), bytes(16385)])
    assert rig.received() == []


def test_frames_wait_while_the_card_is_not_polled(rig: Rig) -> None:
    rig.wire.deliver([rig.frame(n) for n in range(5)])
    assert rig.driver.receive() == []
    assert len(rig.received()) == 5


# ---------------------------------------------------------------- link


@pytest.mark.parametrize("side", ["cable", "far side"])
def test_the_link_goes_down_and_up(rig: Rig, side: str) -> None:
    """Either end of the cable takes the link away; frames of that time are lost and counted, both ways."""
    switch = rig.nic.set_link if side == "cable" else rig.wire.set_link
    switch(False)
    assert not rig.nic.wire_up
    assert not rig.driver.link_up() or not rig.driver.link_visible
    rig.wire.deliver([rig.frame(n) for n in range(3)])
    assert rig.received() == []
    assert rig.nic.counters["port_link_down"] == 3
    switch(False)  # again is harmless
    switch(True)
    assert rig.nic.wire_up
    rig.driver.wait(rig.driver.link_up, "link")
    rig.driver.send(rig.frame(7))
    rig.wire.deliver([rig.frame(8)])
    assert rig.wire.sent[-1] == rig.frame(7)
    assert rig.received() == [rig.frame(8)]


def test_both_ends_have_to_be_up(rig: Rig) -> None:
    rig.nic.set_link(False)
    rig.wire.set_link(False)
    rig.nic.set_link(True)
    assert not rig.nic.wire_up
    rig.wire.set_link(True)
    assert rig.nic.wire_up


def test_the_link_of_another_wire(rig: Rig) -> None:
    """A wire that is down from the beginning, and one that comes in place of it."""
    other = Wire()
    other.set_link(False)
    rig.nic.plug(other)
    assert not rig.nic.wire_up
    rig.nic.plug(rig.wire)
    assert rig.nic.wire_up
    with pytest.raises(ConfigurationError, match="is already in use"):
        nicemu.create(rig.nic.MODEL, backend=rig.wire)


# ---------------------------------------------------------------- from inside


def test_a_wire_may_answer_from_inside_send(rig: Rig) -> None:
    """Frames that it delivers reach the card with the next poll, never while the card is sending."""
    answers = [rig.frame(n) for n in range(3)]
    rig.wire.during = [lambda: rig.wire.deliver(answers)]
    rig.driver.send(rig.frame(99))
    rig.wire.during = []
    assert rig.driver.receive() == []
    assert rig.received() == answers


@pytest.mark.parametrize("model", WITH_RINGS)
def test_a_wire_may_touch_the_card_from_inside_send(rig: Rig) -> None:
    """Registers answer, work waits until the card has done what it is at, and that is counted."""
    seen: list[int] = []

    def meddle() -> None:
        rig.wire.during = []
        seen.append(rig.nic.config.read(0, 4))
        rig.driver.send(rig.frame(2))
        seen.append(len(rig.wire.sent))

    rig.wire.during = [meddle]
    rig.driver.send(rig.frame(1))
    assert seen == [rig.nic.config.read(0, 4), 0]
    assert rig.wire.sent == [rig.frame(1), rig.frame(2)]
    assert rig.nic.counters["reentries"] > 0


def test_time_may_move_from_inside_send(rig: Rig) -> None:
    rig.wire.during = [lambda: rig.nic.clock.advance(10**6), rig.nic.poll]
    for n in range(20):
        rig.driver.send(rig.frame(n))
    assert rig.wire.sent == [rig.frame(n) for n in range(20)]


def test_the_cable_may_be_pulled_from_inside_send(rig: Rig) -> None:
    rig.wire.during = [lambda: rig.nic.set_link(False)]
    rig.driver.send(rig.frame(1))
    rig.wire.during = []
    rig.nic.set_link(True)
    rig.driver.wait(rig.driver.link_up, "link")
    rig.driver.send(rig.frame(2))
    assert rig.wire.sent[-1] == rig.frame(2)


def test_what_send_raises_surfaces_and_the_card_goes_on(rig: Rig) -> None:
    def fail() -> None:
        rig.wire.during = []
        raise LookupError("the wire broke")

    rig.wire.during = [fail]
    with pytest.raises(LookupError, match="the wire broke"):
        rig.driver.send(rig.frame(1))
    rig.driver.send(rig.frame(2))
    assert rig.wire.sent == [rig.frame(2)]


@pytest.mark.parametrize("answer", [-5, 10**9, True, 2.7])
def test_answers_of_send_that_make_no_sense(rig: Rig, answer: object) -> None:
    """A count below 0 or above the batch is taken as none or all of it."""
    rig.wire.send = lambda frames: answer  # type: ignore[method-assign,assignment,return-value]
    rig.driver.send(rig.frame(1))
    del rig.wire.send
    rig.wire.writable()
    rig.driver.send(rig.frame(2))
    assert rig.wire.sent[-1] == rig.frame(2)
