"""Backends within the process: what is sent arrives, in order, unchanged, and what is lost is counted."""

from __future__ import annotations

import gc
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from backend_station import Wire

from nicemu.backends import Hub, Loopback, Null, Pair, PythonBackend
from nicemu.errors import BackendError, ConfigurationError


def frame(number: int, length: int = 60) -> bytes:
    return number.to_bytes(4, "big") + bytes((number + i) & 0xFF for i in range(length - 4))


def joined(*backends: object) -> Hub:
    hub = Hub()
    for backend in backends:
        hub.connect(backend)  # type: ignore[arg-type]
    return hub


def test_null_swallows_and_counts() -> None:
    wire, null = Wire(), Null()
    with joined(wire, null) as hub:
        wire.deliver([frame(i, 100) for i in range(10)])
        hub.turn()
        assert null.counters.sent_frames == 10
        assert null.counters.sent_bytes == 1000
        assert wire.received == []


@pytest.mark.parametrize("length", [4, 14, 59, 60, 61, 1514, 9014, 16384])
def test_loopback_returns_every_frame_unchanged(length: int) -> None:
    wire, plug = Wire(), Loopback()
    frames = [frame(i, length) for i in range(7)]
    with joined(wire, plug) as hub:
        wire.deliver(frames)
        hub.turn()
        hub.turn()
        assert wire.received == frames
        assert plug.counters.sent_frames == plug.counters.received_frames == 7
        assert plug.counters.received_bytes == 7 * length


def test_a_frame_of_no_bytes_passes() -> None:
    wire, plug = Wire(), Loopback()
    with joined(wire, plug) as hub:
        wire.deliver([b"", frame(1)])
        hub.turn()
        hub.turn()
        assert wire.received == [b"", frame(1)]


def test_a_full_loopback_holds_the_sender_back_and_loses_nothing() -> None:
    wire, plug = Wire(), Loopback()
    frames = [frame(i, 16384) for i in range(15)]
    with joined(wire, plug) as hub:
        wire.room = 0
        for _ in range(3):
            assert wire.deliver(frames[:5]) == 5
            frames = frames[5:] + frames[:5]
            hub.turn()
        assert plug.counters.sent_frames == 15
        wire.room = None
        wire.writable()
        for _ in range(5):
            hub.turn()
        assert wire.received == frames


def test_pair_carries_both_ways_in_order() -> None:
    near, far = Wire(), Wire()
    a, b = Pair.create()
    with joined(near, a) as left, joined(far, b) as right:
        out, back = [frame(i) for i in range(200)], [frame(1000 + i, 1514) for i in range(100)]
        near.deliver(out)
        far.deliver(back)
        for _ in range(4):
            left.turn()
            right.turn()
        assert far.received == out
        assert near.received == back


def test_pair_holds_back_the_sender_of_an_end_that_takes_nothing() -> None:
    near, far = Wire(), Wire()
    a, b = Pair.create()
    sent = [frame(i, 1514) for i in range(600)]
    with joined(near, a) as left, joined(far, b) as right:
        queued = 0
        for _ in range(10):  # the far end is not polled: its queue fills, then that of the near hub's port
            queued += near.deliver(sent[queued : queued + 32])
            left.turn()
        accepted = a.counters.sent_frames
        assert 150 < accepted < queued, "256 KiB of frames and not more"
        for _ in range(30):
            right.turn()
            left.turn()
        lost = left.ports[1].counters.receive_drops
        assert len(far.received) == queued - lost
        assert far.received == sent[: queued - lost]


def test_pair_without_a_far_card_drops_and_counts() -> None:
    near = Wire()
    a, b = Pair.create()
    with joined(near, a) as hub, b:
        near.deliver([frame(1), frame(2)])
        hub.turn()
        assert a.counters.send_drops == 2
        assert not b.in_use


def test_closing_one_end_of_a_pair_takes_the_link_from_the_other() -> None:
    a, b = Pair.create()
    assert a.link_up
    assert b.link_up
    b.close()
    assert not a.link_up
    a.close()


def test_hub_repeats_to_all_others_and_not_back() -> None:
    wires = [Wire() for _ in range(4)]
    with joined(*wires) as hub:
        wires[1].deliver([frame(1)])
        wires[3].deliver([frame(3)])
        hub.turn()
        assert wires[0].received == [frame(1), frame(3)]
        assert wires[1].received == [frame(3)]
        assert wires[2].received == [frame(1), frame(3)]
        assert wires[3].received == [frame(1)]


def test_a_blocked_hub_port_delays_nobody_and_loses_only_its_own() -> None:
    source, stuck, free = Wire(), Wire(), Wire()
    stuck.room = 0
    with joined(source, stuck, free) as hub:
        sent = [frame(i, 1514) for i in range(400)]
        for at in range(0, 400, 40):
            source.deliver(sent[at : at + 40])
            hub.turn()
        assert free.received == sent
        port = hub.ports[1]
        lost = port.counters.receive_drops
        assert 0 < lost < 400
        stuck.room = None
        stuck.writable()
        for _ in range(5):
            hub.turn()
        assert stuck.received == sent[: 400 - lost]


def test_a_hub_of_two_holds_back_instead() -> None:
    """Nobody else could be delayed: what finds no room waits, and passes in order when there is room."""
    source, stuck = Wire(), Wire()
    stuck.room = 0
    sent = [frame(i, 1514) for i in range(600)]
    with joined(source, stuck) as hub:
        accepted = 0
        for _ in range(40):
            accepted += source.deliver(sent[accepted : accepted + 40])
            hub.turn()
        assert 300 < accepted < 600, "the queues of both ends, and not more"
        stuck.room = None
        stuck.writable()
        for _ in range(40):
            accepted += source.deliver(sent[accepted : accepted + 40])
            hub.turn()
        assert stuck.received == sent
        assert hub.ports[1].counters.receive_drops == 0


def test_a_hub_holds_nobody_back_once_a_third_has_come() -> None:
    source, stuck, late = Wire(), Wire(), Wire()
    stuck.room = 0
    with joined(source, stuck) as hub:
        while source.deliver([frame(0, 1514)]):
            hub.turn()
        hub.connect(late)
        for _ in range(4):
            hub.turn()
        assert len(late.received) > 100, "what was held back at the source"
        assert hub.ports[1].counters.receive_drops == len(late.received)
        sent = [frame(i, 1514) for i in range(40)]
        assert source.deliver(sent) == 40
        hub.turn()
        assert late.received[-40:] == sent


@pytest.mark.parametrize("end", ["shut", "closed"])
def test_what_a_hub_of_two_holds_back_goes_on_when_the_other_goes(end: str) -> None:
    source, stuck = Wire(), Wire()
    stuck.room = 0
    with joined(source, stuck) as hub:
        while source.deliver([frame(0, 1514)]):
            hub.turn()
        if end == "shut":
            hub.ports[1].set_link(False)
        else:
            hub.ports[1].close()
        for _ in range(4):
            hub.turn()
        assert source.deliver([frame(i, 1514) for i in range(40)]) == 40


def test_a_hub_has_64_ports_and_reuses_those_that_were_closed() -> None:
    with Hub() as hub:
        ports = [hub.port() for _ in range(64)]
        with pytest.raises(ConfigurationError, match="at most 64"):
            hub.port()
        ports[10].close()
        hub.port()


def test_a_backend_has_one_owner() -> None:
    null = Null(name="n0")
    with Hub() as hub:
        hub.connect(null)
        with pytest.raises(ConfigurationError, match="n0 is already in use"):
            hub.connect(null)
        assert len(hub.ports) == 1


def test_closing_again_is_harmless_and_use_after_is_an_error() -> None:
    with Loopback() as plug:
        plug.close()
    plug.close()
    assert plug.closed
    with pytest.raises(BackendError, match="closed"):
        plug.turn()
    assert "closed" in repr(plug)


def test_a_hub_outlives_ports_that_are_closed_after_it() -> None:
    hub = Hub()
    port = hub.port()
    del hub
    assert port.link_up
    port.close()


# ---------------------------------------------------------------------- Python backends


class Echo(PythonBackend):
    """Answers from inside send."""

    def send(self, frames: list[bytes]) -> None:
        self.deliver(frames)


def test_a_python_backend_may_deliver_from_inside_send() -> None:
    wire, echo = Wire(), Echo()
    with joined(wire, echo) as hub:
        wire.deliver([frame(1)])
        for _ in range(3):
            hub.turn()
        assert wire.received == [frame(1)]


def test_two_echoing_ends_do_not_hold_a_turn() -> None:
    first, second = Echo(), Echo()
    with joined(first, second) as hub:
        first.deliver([frame(1)])
        for _ in range(100):
            hub.turn()
        assert 40 <= second.counters.sent_frames <= 100


def test_a_python_backend_that_takes_less_gets_the_rest_later() -> None:
    source, slow = Wire(), Wire()
    slow.room = 3
    with joined(source, slow) as hub:
        source.deliver([frame(i) for i in range(10)])
        hub.turn()
        assert len(slow.received) == 3
        slow.room = None
        slow.writable()
        hub.turn()
        assert slow.received == [frame(i) for i in range(10)]


class Socket(PythonBackend):
    """Frames are datagrams of a socket."""

    def __init__(self, end: socket.socket) -> None:
        self.end = end
        super().__init__()

    def fileno(self) -> int:
        return self.end.fileno()

    def poll(self) -> None:
        try:
            while True:
                self.deliver([self.end.recv(65536)])
        except BlockingIOError:
            pass


def test_a_python_backend_with_a_descriptor_is_polled() -> None:
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    near.setblocking(False)
    wire, backend = Wire(), Socket(near)
    with joined(wire, backend) as hub, near, far:
        for i in range(3):
            far.send(frame(i))
        hub.turn()
        assert wire.received == [frame(i) for i in range(3)]


class Failing(PythonBackend):
    def send(self, frames: list[bytes]) -> None:
        raise RuntimeError("send failed")


def test_an_exception_of_a_python_backend_surfaces_and_the_wire_lives_on() -> None:
    wire, failing = Wire(), Failing()
    with joined(wire, failing) as hub:
        wire.deliver([frame(1)])
        with pytest.raises(RuntimeError, match="send failed"):
            hub.turn()
        hub.turn()
        failing.deliver([frame(2)])
        hub.turn()
        assert wire.received == [frame(2)]


def test_a_python_backend_refuses_a_frame_that_no_wire_carries() -> None:
    with Wire() as wire:
        assert wire.deliver([bytes(16384)]) == 1
        with pytest.raises(ConfigurationError, match="16385 bytes"):
            wire.deliver([bytes(16385)])


def test_delivering_more_than_fits_says_how_much_did() -> None:
    with Wire() as wire:
        taken = wire.deliver([bytes(1514)] * 1000)
        assert 150 < taken < 200
        assert wire.deliver([bytes(1514)]) == 0


def test_backends_leave_no_descriptors_behind() -> None:
    def turn() -> None:
        with Hub() as hub:
            for backend in (Null(), Loopback(), *Pair.create(), Wire()):
                hub.connect(backend)

    turn()
    gc.collect()  # what other tests left open does not close in between
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(200):
        turn()
    assert len(os.listdir("/proc/self/fd")) == before


def test_the_example_of_a_python_backend() -> None:
    """examples/python_backend.py: frames to another process and back."""
    example = Path(__file__).parents[1] / "examples" / "python_backend.py"
    done = subprocess.run([sys.executable, example], capture_output=True, text=True, timeout=50)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "10.0.0.1 is at 02:00:00:00:00:01\nit echoes nicemu\n"
