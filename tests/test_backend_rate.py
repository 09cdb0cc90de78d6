"""A slow, long wire: when frames come out is arithmetic, to the nanosecond on a virtual clock."""

from __future__ import annotations

import time
from fractions import Fraction

import pytest
from backend_station import Wire

import nicemu
from nicemu.backends import Null, Rate
from nicemu.drivers import attach
from nicemu.errors import ConfigurationError

AROUND = 24  # preamble and delimiter, FCS, gap


class Bench:
    """A card on a slow wire, on a virtual clock; what comes out at its far end has a time."""

    def __init__(self, **options: object) -> None:
        bench = self
        self.times: list[int] = []

        class Far(Wire):
            def send(self, frames: list[bytes]) -> int | None:
                bench.times += [bench.clock.now - bench.begin] * len(frames)
                return super().send(frames)

        self.clock = nicemu.Clock.virtual()
        self.far = Far()
        self.rate = Rate(self.far, **options)  # type: ignore[arg-type]
        self.nic = nicemu.create("e1000", memory=nicemu.GuestMemory(4 << 20), clock=self.clock, backend=self.rate)
        self.driver = attach(self.nic, tx_count=64, rx_count=64)
        self.driver.start()
        self.clock.advance(10**10)
        self.driver.wait(self.driver.link_up, "link")
        self.begin = self.clock.now

    def frame(self, length: int) -> bytes:
        return self.driver.mac + bytes(range(6)) + b"\x88\xb5" + bytes(length - 14)

    def close(self) -> None:
        self.nic.close()
        self.rate.close()


@pytest.mark.parametrize("bits", [10_000_000, 100_000_000, 1_000_000_000, 56_000, 3_333_333])
def test_frames_take_the_line_as_on_ethernet(bits: int) -> None:
    """IEEE 802.3: 14 880.95 frames/s of 60 bytes at 10 Mbit/s; rounding does not add up."""
    bench = Bench(rate=bits)
    lengths = [60, 1514, 61, 60, 800, 60, 60, 1514] * 5
    for length in lengths:
        bench.driver.send(bench.frame(length))
    assert bench.times == []
    bench.clock.advance(10**11)
    ideal, total = [], Fraction(0)
    for length in lengths:
        total += Fraction(8 * (length + AROUND) * 10**9, bits)
        ideal.append(int(total))
    assert bench.times == ideal
    assert [len(f) for f in bench.far.received] == lengths
    bench.close()


def test_short_frames_count_as_padded() -> None:
    """What the card's driver leaves to pad takes the time of 60 bytes, in both directions."""
    bench = Bench(rate="10M", queue="tx")
    bench.far.deliver([bench.frame(60)[:20]] * 2)
    bench.nic.poll()
    assert bench.clock.next_deadline == bench.clock.now + 8 * (60 + AROUND) * 100
    bench.close()


def test_a_line_whose_frames_are_overdue_takes_more_at_once() -> None:
    """The program came late: the line is full, but all that fills it is due, so that there is room and no stop."""
    far = Wire()
    wire = Rate(far, rate="1M", limit=4, overflow="hold")
    nic = nicemu.create("e1000", memory=nicemu.GuestMemory(4 << 20), backend=wire)
    driver = attach(nic)
    driver.start()
    driver.wait(driver.link_up, "link")
    for _ in range(3):
        for _ in range(4):
            driver.send(driver.mac * 2 + b"\x88\xb5" + bytes(1000))
        time.sleep(0.05)  # each takes 8.3 ms
    driver.wait(lambda: len(far.received) == 12, "frame at the far end")
    nic.close()
    wire.close()


def test_an_idle_line_does_not_save_time_up() -> None:
    bench = Bench(rate="1M")
    for wait in (0, 10**9):
        bench.clock.advance(wait)
        bench.begin = bench.clock.now
        bench.driver.send(bench.frame(60))
        bench.driver.send(bench.frame(60))
        bench.clock.advance(10**9)
    assert bench.times == [672_000, 1_344_000] * 2
    bench.close()


def test_latency_is_added_and_does_not_take_the_line() -> None:
    bench = Bench(rate="1G", latency="20ms")
    for _ in range(3):
        bench.driver.send(bench.frame(1514))
    bench.clock.advance(10**9)
    assert bench.times == [20_000_000 + n * 12_304 for n in (1, 2, 3)]
    bench.close()


def test_latency_alone() -> None:
    bench = Bench(latency=5)
    bench.driver.send(bench.frame(60))
    assert bench.clock.next_deadline == bench.clock.now + 5
    bench.clock.advance(5)
    assert bench.times == [5]
    bench.close()


def test_jitter_is_drawn_from_the_seed_and_keeps_the_order() -> None:
    runs = []
    for seed in (3, 3, 4):
        bench = Bench(latency="1ms", jitter="500us", seed=seed)
        for n in range(100):
            bench.driver.send(bench.frame(60 + n))
            bench.clock.advance(100_000)
        bench.clock.advance(10**9)
        assert [len(f) for f in bench.far.received] == [60 + n for n in range(100)]
        delays = [at - n * 100_000 for n, at in enumerate(bench.times)]
        assert all(500_000 <= d <= 1_500_000 for d in delays)
        assert max(delays) - min(delays) > 500_000
        runs.append(bench.times)
        bench.close()
    assert runs[0] == runs[1] != runs[2]


def test_the_card_receives_at_the_lines_speed() -> None:
    bench = Bench(rate="10M")
    bench.far.deliver([bench.frame(1514)] * 10)
    bench.nic.poll()
    got = []
    for _ in range(10):
        bench.clock.advance(8 * (1514 + AROUND) * 100 - 1)
        assert bench.driver.receive() == []
        bench.clock.advance(1)
        got += bench.driver.receive()
        assert len(got) > 0
        assert bench.driver.receive() == []
    assert len(got) == 10
    bench.close()


# ---------------------------------------------------------------------- limits


def test_what_is_beyond_the_limit_is_lost_at_the_tail() -> None:
    bench = Bench(rate="1M", limit=10)
    for n in range(25):
        bench.driver.send(bench.frame(60 + n))
    bench.clock.advance(10**9)
    assert [len(f) for f in bench.far.received] == [60 + n for n in range(10)]
    assert bench.rate.sent_counters == (type(bench.rate.sent_counters))(overflow=15, longest=10)
    assert bench.rate.counters.send_drops == 15
    assert bench.nic.counters["port_blocked"] == 0
    bench.close()


def test_the_limit_in_bytes() -> None:
    bench = Bench(rate="1M", limit_bytes=5000)
    for _ in range(6):
        bench.driver.send(bench.frame(1514))
    bench.driver.send(bench.frame(400))
    bench.clock.advance(10**9)
    assert [len(f) for f in bench.far.received] == [1514, 1514, 1514, 400]
    assert bench.rate.sent_counters.overflow == 3
    bench.close()


def test_overflow_hold_keeps_the_sender_waiting_and_loses_nothing() -> None:
    bench = Bench(rate="10M", limit=10, overflow="hold")
    for n in range(40):
        bench.driver.queue(bench.frame(60 + n))  # type: ignore[attr-defined]
    bench.driver.ring()  # type: ignore[attr-defined]
    assert bench.nic.counters["port_blocked"] == 1
    bench.clock.advance(10**9)
    assert [len(f) for f in bench.far.received] == [60 + n for n in range(40)]
    assert bench.rate.sent_counters.overflow == 0
    assert bench.rate.sent_counters.longest == 10
    bench.close()


def test_the_same_run_twice() -> None:
    """Traffic both ways through a wire with everything: the same times and the same frames."""

    def run() -> tuple[list[int], list[tuple[int, int]]]:
        bench = Bench(rate="5M", latency="3ms", jitter="1ms", limit=20, seed=11)
        came = []
        for n in range(200):
            bench.driver.send(bench.frame(60 + n))
            bench.far.deliver([bench.frame(1000 - n)])
            bench.nic.poll()
            bench.clock.advance(300_000)
            came += [(bench.clock.now, len(f.data)) for f in bench.driver.receive()]
        result = bench.times, came
        assert bench.rate.received_counters.overflow > 0
        bench.close()
        return result

    assert run() == run()


def test_a_wire_that_is_moved_starts_anew() -> None:
    bench = Bench(rate="1M", latency="10ms")
    for _ in range(5):
        bench.driver.send(bench.frame(1514))
    bench.nic.plug(None)
    assert bench.rate.counters.send_drops == 5
    bench.nic.plug(bench.rate)
    bench.driver.start()
    bench.driver.wait(bench.driver.link_up, "link")
    bench.begin = bench.clock.now
    bench.driver.send(bench.frame(60))
    bench.clock.advance(10**9)
    assert bench.times == [10_672_000]
    bench.close()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rate": "fast"}, "rate=fast is not a rate; expected bits per second like 10M"),
        ({"rate": "10m"}, "rate=10m is not a rate"),
        ({"rate": -1}, "rate=-1 is out of range"),
        ({"latency": "1"}, "latency=1 is not a time"),
        ({"latency": "4000s"}, "latency=4000s is out of range"),
        ({"limit": 0}, "limit=0 is out of range; expected 1 to 1048576 frames"),
        ({"limit_bytes": "1k"}, "limit-bytes=1k is out of range; expected 1514 to 64M"),
        ({"limit_bytes": "1m"}, "limit-bytes=1m is not a size"),
        ({"queue": "out"}, "queue=out; expected all, rx"),
        ({"overflow": "lose"}, "overflow=lose; expected drop or hold"),
    ],
)
def test_mistakes(options: dict[str, object], message: str) -> None:
    with Null() as null, pytest.raises(ConfigurationError, match=message):
        Rate(null, **options)  # type: ignore[arg-type]
