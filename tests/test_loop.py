"""The event loop: alone, inside another loop, with descriptors of the program, signals and exceptions."""

from __future__ import annotations

import asyncio
import gc
import os
import select
import signal
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

import nicemu
from nicemu import Clock, Loop
from nicemu.backends import PythonBackend
from nicemu.errors import NicemuError


class Pipe:
    """A descriptor that becomes readable when told to."""

    def __init__(self) -> None:
        self.reader, self.writer = os.pipe()

    def ring(self) -> None:
        os.write(self.writer, b"x")

    def close(self) -> None:
        os.close(self.reader)
        os.close(self.writer)


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    pipe = Pipe()
    yield pipe
    pipe.close()


@pytest.fixture
def loop() -> Loop:
    return Loop()


def readable(fd: int, timeout: float = 0.0) -> bool:
    return bool(select.select([fd], [], [], timeout)[0])


# ---------------------------------------------------------------- turns


def test_an_idle_loop_waits_as_long_as_it_may(loop: Loop) -> None:
    begin = time.monotonic()
    loop.turn(0.05)
    assert 0.045 <= time.monotonic() - begin < 5
    begin = time.monotonic()
    loop.turn()
    assert time.monotonic() - begin < 30


def test_descriptors_of_the_program(loop: Loop, pipe: Pipe) -> None:
    events: list[int] = []
    loop.watch(pipe.reader, events.append)
    loop.turn()
    assert events == []
    pipe.ring()
    loop.turn(1.0)
    loop.turn(1.0)
    assert events == [select.EPOLLIN] * 2
    os.read(pipe.reader, 1)
    loop.turn()
    loop.unwatch(pipe.reader)
    loop.unwatch(pipe.reader)
    pipe.ring()
    loop.turn()
    assert len(events) == 2


def test_other_events(loop: Loop, pipe: Pipe) -> None:
    events: list[int] = []
    loop.watch(pipe.writer, events.append, select.EPOLLOUT)
    loop.turn()
    assert events == [select.EPOLLOUT]


def test_descriptors_that_cannot_be_watched(loop: Loop, pipe: Pipe) -> None:
    for fd in (-1, 9999):
        with pytest.raises(NicemuError, match=f"cannot watch file descriptor {fd}"):
            loop.watch(fd, print)
    loop.watch(pipe.reader, print)
    with pytest.raises(NicemuError, match="exists"):
        loop.watch(pipe.reader, print)


def test_a_callback_may_unwatch_itself_and_others(loop: Loop) -> None:
    """Also those that are ready in the same turn, and not yet served."""
    pipes = [Pipe() for _ in range(8)]
    served: list[int] = []

    def callback(number: int) -> None:
        served.append(number)
        for pipe in pipes:
            loop.unwatch(pipe.reader)

    for number, pipe in enumerate(pipes):
        loop.watch(pipe.reader, lambda events, number=number: callback(number))
        pipe.ring()
    loop.turn(1.0)
    loop.turn()
    assert len(served) == 1
    for pipe in pipes:
        pipe.close()


def test_a_callback_may_watch_others(loop: Loop, pipe: Pipe) -> None:
    second = Pipe()
    seen: list[str] = []

    def first(events: int) -> None:
        seen.append("first")
        loop.unwatch(pipe.reader)
        loop.watch(second.reader, lambda events: seen.append("second"))
        second.ring()

    loop.watch(pipe.reader, first)
    pipe.ring()
    loop.turn(1.0)
    loop.turn(1.0)
    assert seen == ["first", "second"]
    second.close()


def test_a_turn_inside_a_turn(loop: Loop, pipe: Pipe) -> None:
    depth: list[int] = []

    def callback(events: int) -> None:
        os.read(pipe.reader, 1)
        depth.append(len(depth))
        if len(depth) < 3:
            pipe.ring()
            loop.turn(1.0)

    loop.watch(pipe.reader, callback)
    pipe.ring()
    loop.turn(1.0)
    assert depth == [0, 1, 2]


# ---------------------------------------------------------------- running


def test_run_until_stopped(loop: Loop, pipe: Pipe) -> None:
    turns: list[int] = []

    def callback(events: int) -> None:
        turns.append(events)
        if len(turns) == 5:
            loop.stop()

    loop.watch(pipe.reader, callback)
    pipe.ring()
    loop.run()
    assert len(turns) == 5


def test_an_exception_of_a_callback_ends_the_run(loop: Loop, pipe: Pipe) -> None:
    def callback(events: int) -> None:
        os.read(pipe.reader, 1)
        raise LookupError("from inside")

    loop.watch(pipe.reader, callback)
    pipe.ring()
    with pytest.raises(LookupError, match="from inside"):
        loop.run()
    loop.turn()
    loop.watch(pipe.writer, lambda events: loop.stop(), select.EPOLLOUT)
    loop.run()


def test_signals_reach_their_handlers_while_the_loop_runs(loop: Loop) -> None:
    """The loop waits in C without the GIL; a handler may end it, by stop() or by an exception."""
    caught: list[int] = []

    def handler(number: int, frame: Any) -> None:
        caught.append(number)
        if len(caught) == 2:
            loop.stop()
        if len(caught) == 3:
            raise InterruptedError

    old = signal.signal(signal.SIGALRM, handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
        loop.run()
        assert len(caught) == 2
        with pytest.raises(InterruptedError):
            loop.run()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)


def test_the_gil_is_free_while_the_loop_waits(loop: Loop, pipe: Pipe) -> None:
    """Only another thread can end the wait."""
    loop.watch(pipe.reader, lambda events: None)
    timer = threading.Timer(0.02, pipe.ring)
    timer.start()
    begin = time.monotonic()
    loop.turn(50)
    assert time.monotonic() - begin < 25
    timer.join()


# ---------------------------------------------------------------- cards on it


class Count(PythonBackend):
    def __init__(self) -> None:
        super().__init__()
        self.polls = 0

    def poll(self) -> None:
        self.polls += 1


def test_cards_share_a_loop(model: str, loop: Loop) -> None:
    wires = [Count() for _ in range(3)]
    cards = [nicemu.create(model, loop=loop, backend=wire) for wire in wires]
    loop.turn()
    assert [wire.polls for wire in wires] == [1, 1, 1]
    cards[1].close()
    loop.turn()
    assert [wire.polls for wire in wires] == [2, 1, 2]
    wires[1].close()
    cards[0].close()
    cards[2].close()
    loop.turn()


def test_as_many_cards_as_a_loop_has_room_for(model: str, loop: Loop) -> None:
    cards = [nicemu.create(model, loop=loop) for _ in range(256)]
    with pytest.raises(NicemuError, match=f"cannot add {model} to the loop"):
        nicemu.create(model, loop=loop)
    cards.pop().close()
    cards.append(nicemu.create(model, loop=loop))
    loop.turn()
    for card in cards:
        card.close()


def test_the_descriptor_tells_of_timers(model: str, loop: Loop) -> None:
    """fileno() is readable when a timer is due, and when something was left to do; not before, and not afterwards."""
    nic = nicemu.create(model, loop=loop, clock=Clock())
    ran: list[bool] = []
    timer = nic.timer("test", lambda: ran.append(True))
    fd = loop.fileno()
    assert loop.fileno() == fd
    while readable(fd):
        loop.turn()
    timer.start(20_000_000)
    assert not readable(fd)
    assert readable(fd, 2.0)
    while not ran:
        loop.turn()
    loop.turn()
    assert not readable(fd)
    timer.start(20_000_000)
    timer.stop()
    assert not readable(fd, 0.05)
    nic.close()


def test_the_descriptor_tells_of_frames(model: str, loop: Loop) -> None:
    wire = Count()
    wire.poll = lambda: None  # type: ignore[method-assign]
    nic = nicemu.create(model, loop=loop, backend=wire)
    fd = loop.fileno()
    loop.turn()
    wire.deliver([bytes(60)])
    assert readable(fd)
    nic.poll()
    assert nic.counters["port_received_frames"] + nic.counters["port_link_down"] == 1
    nic.close()


def test_inside_asyncio(model: str) -> None:
    """The loop as one descriptor of asyncio: timers and frames arrive, and nothing is polled in between."""
    ran: list[float] = []

    async def main() -> None:
        running = asyncio.get_running_loop()
        nic = nicemu.create(model, clock=Clock())
        done = asyncio.Event()

        def expired() -> None:
            ran.append(running.time())
            if len(ran) < 5:
                timer.start(5_000_000)
            else:
                done.set()

        timer = nic.timer("test", expired)
        turns = 0

        def turn() -> None:
            nonlocal turns
            turns += 1
            nic.poll()

        running.add_reader(nic.fileno(), turn)
        timer.start(5_000_000)
        await asyncio.wait_for(done.wait(), 10)
        running.remove_reader(nic.fileno())
        assert turns < 60
        nic.close()

    asyncio.run(main())
    assert len(ran) == 5


def test_loops_leave_no_descriptor_behind(model: str) -> None:
    def cycle() -> None:
        loop = Loop()
        nic = nicemu.create(model, loop=loop)
        loop.fileno()
        loop.turn()
        nic.close()

    cycle()
    gc.collect()
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(50):
        cycle()
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_virtual_clock_never_keeps_a_loop_waiting(model: str, loop: Loop) -> None:
    """Its timers are due when the program says so; a turn does not wait for them."""
    clock = Clock.virtual()
    nic = nicemu.create(model, loop=loop, clock=clock)
    ran: list[int] = []
    nic.timer("test", lambda: ran.append(clock.now)).start(10**12)
    while readable(loop.fileno()):
        loop.turn()
    begin = time.monotonic()
    loop.turn(0.02)
    assert 0.015 < time.monotonic() - begin < 2
    clock.advance(10**12)
    assert ran == [10**12]
    nic.close()
