"""Clocks: who moves them, in which order timers run, and what a timer may do."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import pytest

import nicemu
from nicemu import Clock, ConfigurationError


class Alarm:
    """A card with timers of its own that note when they ran."""

    def __init__(self, model: str, clock: Clock, *names: str) -> None:
        self.clock = clock
        self.nic = nicemu.create(model, clock=clock)
        self.ran: list[tuple[str, int]] = []
        self.then: dict[str, Callable[[], None]] = {}
        self.timers = {name: self.nic.timer(name, lambda name=name: self._run(name)) for name in names}

    def _run(self, name: str) -> None:
        self.ran.append((name, self.clock.now))
        self.then.get(name, lambda: None)()


def test_a_virtual_clock_moves_only_when_told(clock: Clock) -> None:
    assert clock.is_virtual
    assert clock.now == 0
    time.sleep(0.001)
    assert clock.now == 0
    clock.advance(5)
    clock.advance(0)
    assert clock.now == 5
    assert Clock.virtual(77).now == 77


def test_a_monotonic_clock_follows_the_machine() -> None:
    clock = Clock()
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
    assert before <= clock.now <= clock.now <= time.clock_gettime_ns(time.CLOCK_MONOTONIC)
    with pytest.raises(ConfigurationError, match="expected a virtual clock"):
        clock.advance(1)


@pytest.mark.parametrize("ns", [-1, -(10**18)])
def test_time_does_not_go_back(clock: Clock, ns: int) -> None:
    with pytest.raises(ConfigurationError, match="a time of 0 or more"):
        clock.advance(ns)
    assert clock.now == 0


def test_timers_run_in_order_at_their_time(model: str, clock: Clock) -> None:
    alarm = Alarm(model, clock, "c", "a", "b")
    for name, deadline in (("a", 300), ("b", 100), ("c", 200)):
        alarm.timers[name].at(deadline)
    assert clock.next_deadline == 100
    clock.advance(250)
    assert alarm.ran == [("b", 100), ("c", 200)]
    assert clock.now == 250
    assert clock.next_deadline == 300
    clock.advance(50)
    assert alarm.ran[2:] == [("a", 300)]
    assert clock.next_deadline is None


def test_ties_go_to_the_timer_that_was_made_first(model: str, clock: Clock) -> None:
    alarm = Alarm(model, clock, "first", "second", "third")
    for name in ("third", "first", "second"):
        alarm.timers[name].at(10)
    clock.advance(10)
    assert [name for name, _ in alarm.ran] == ["first", "second", "third"]


def test_timers_of_several_cards(model: str, clock: Clock) -> None:
    alarms = [Alarm(model, clock, str(n)) for n in range(5)]
    order: list[str] = []
    for n, alarm in enumerate(alarms):
        alarm.then[str(n)] = lambda n=n: order.append(str(n))
        alarm.timers[str(n)].at(100 - 10 * n)
    clock.advance(100)
    assert order == ["4", "3", "2", "1", "0"]
    alarms[2].nic.close()
    alarms[3].timers["3"].start(5)
    clock.advance(5)
    assert order[5:] == ["3"]


def test_stopping_and_restarting(model: str, clock: Clock) -> None:
    alarm = Alarm(model, clock, "a", "b")
    a, b = alarm.timers["a"], alarm.timers["b"]
    a.start(100)
    assert a.running
    a.stop()
    assert not a.running
    a.start(100)
    a.start(500)
    b.at(None)
    clock.advance(400)
    assert alarm.ran == []
    clock.advance(100)
    assert alarm.ran == [("a", 500)]
    assert not a.running


def test_a_timer_may_set_timers(model: str, clock: Clock) -> None:
    """One that sets itself again runs as often as it is due; one in the past runs at once, at the time that it is."""
    alarm = Alarm(model, clock, "tick", "late")
    alarm.then["tick"] = lambda: alarm.timers["tick"].start(10)
    alarm.timers["tick"].start(10)
    clock.advance(1000)
    assert alarm.ran == [("tick", 10 * n) for n in range(1, 101)]
    alarm.timers["tick"].stop()
    alarm.timers["late"].at(3)
    assert clock.next_deadline == 3
    clock.advance(0)
    assert alarm.ran[-1] == ("late", 1000)


def test_a_clock_is_not_moved_from_inside_a_timer(model: str, clock: Clock) -> None:
    alarm = Alarm(model, clock, "a", "b")
    caught: list[str] = []

    def move() -> None:
        try:
            clock.advance(100)
        except ConfigurationError as error:
            caught.append(str(error))

    alarm.then["a"] = move
    alarm.timers["a"].at(10)
    alarm.timers["b"].at(20)
    clock.advance(50)
    assert len(caught) == 1
    assert "from inside one of its timers" in caught[0]
    assert alarm.ran == [("a", 10), ("b", 20)]
    assert clock.now == 50


def test_the_end_of_time() -> None:
    """A step beyond 2**64 ns is refused; the clock stands where it stood."""
    clock = Clock.virtual(2**64 - 100)
    with pytest.raises(ConfigurationError, match="beyond 2\\*\\*64 ns"):
        clock.advance(1000)
    assert clock.now == 2**64 - 100
    clock.advance(50)
    assert clock.now == 2**64 - 50


def test_live_timers_run_with_the_loop(model: str) -> None:
    alarm = Alarm(model, Clock(), "soon", "never")
    begin = alarm.clock.now
    alarm.timers["soon"].start(2_000_000)
    while not alarm.ran:
        alarm.nic.loop.turn(1.0)
    [(name, at)] = alarm.ran
    assert name == "soon"
    assert 2_000_000 <= at - begin < 1_000_000_000
    alarm.nic.close()


def test_a_live_timer_that_is_always_due_does_not_hold_the_loop(model: str) -> None:
    alarm = Alarm(model, Clock(), "always")
    alarm.then["always"] = lambda: alarm.timers["always"].start(0)
    alarm.timers["always"].start(0)
    alarm.nic.poll()
    first = len(alarm.ran)
    assert 1 <= first <= 64
    alarm.nic.poll()
    assert len(alarm.ran) > first
    alarm.nic.close()


def test_timers_stop_with_their_card(model: str, clock: Clock) -> None:
    alarm = Alarm(model, clock, "a")
    alarm.timers["a"].start(10)
    alarm.nic.close()
    assert clock.next_deadline is None
    clock.advance(100)
    assert alarm.ran == []


def test_more_timers_than_there_are(model: str, clock: Clock) -> None:
    alarm = Alarm(model, clock)
    made = [alarm.nic.timer(f"t{n}", lambda: None) for n in range(24 - len(_names(alarm)))]
    assert len({timer.number for timer in made}) == len(made)
    with pytest.raises(ConfigurationError, match="no more timers"):
        alarm.nic.timer("one more", lambda: None)


def _names(alarm: Alarm) -> list[str]:
    return list(json.loads(alarm.nic.save())["timers"])
