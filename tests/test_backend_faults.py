"""What a bad wire does: each fault as often as asked, the same for a seed, seen by a card as by silicon, counted."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
from backend_station import Wire
from e1000_rig import MAC, RCTL, Rig, close_rigs, ethernet  # noqa: F401

import nicemu
from nicemu.backends import Faults, Hub, Loopback, Null, Pair, Pcap, PythonBackend
from nicemu.drivers import attach
from nicemu.errors import ConfigurationError
from nicemu.registers import Reset

KINDS = ("loss", "duplicate", "reorder", "delay", "corrupt", "runt", "jabber")


def frame(number: int, length: int = 100) -> bytes:
    return ethernet(payload=number.to_bytes(4, "big"), size=length)


def number(data: bytes) -> int:
    return int.from_bytes(data[14:18], "big")


class Bench:
    """Two wires with faults between them, on a virtual clock: near is the card's side, far the world's."""

    def __init__(self, **options: object) -> None:
        self.far = Wire()
        self.faults = Faults(self.far, **options)  # type: ignore[arg-type]
        self.clock = nicemu.Clock.virtual()
        self.nic = nicemu.create("e1000", memory=nicemu.GuestMemory(4 << 20), clock=self.clock, overflow="drop")
        self.driver = attach(self.nic, tx_count=64, rx_count=256)
        self.nic.plug(self.faults)
        self.driver.start()
        self.clock.advance(10**10)
        self.driver.wait(self.driver.link_up, "link")

    def out(self, count: int, length: int = 100) -> list[bytes]:
        """Sends so many frames; those that arrived by now."""
        for n in range(count):
            self.driver.send(frame(n, length))
        return self.taken()

    def taken(self) -> list[bytes]:
        taken, self.far.received[:] = list(self.far.received), []
        return taken

    def come(self, count: int, length: int = 100) -> list[bytes]:
        """So many frames come; those that the driver got by now."""
        got = []
        for n in range(count):
            self.far.deliver([self.driver.mac + frame(n, length)[6:]])
            self.nic.poll()
            got += [f.data for f in self.driver.receive()]
        return got

    def close(self) -> None:
        self.nic.close()
        self.faults.close()


@pytest.mark.parametrize("kind", KINDS)
def test_every_nth(kind: str) -> None:
    bench = Bench(**{kind: "every:10"}, fcs="good")
    sent = bench.out(100)
    bench.clock.advance(10**9)
    sent += bench.taken()
    counters = bench.faults.sent_faults
    assert getattr(counters, kind) == 10
    assert sum(getattr(counters, k) for k in KINDS) == 10
    whole = [frame(n) for n in range(100)]
    tenths = [n for n in range(100) if n % 10 == 9]
    if kind == "loss":
        assert sent == [f for n, f in enumerate(whole) if n not in tenths]
        assert bench.faults.counters.send_drops == 10
    elif kind == "duplicate":
        assert sent == [f for n, f in enumerate(whole) for _ in range(1 + (n in tenths))]
    elif kind == "delay":
        assert sent == whole
    elif kind == "reorder":
        assert sorted(sent) == sorted(whole)
        for n in tenths[:-1]:
            assert sent.index(whole[n]) == n + 3
    else:
        assert [f for n, f in enumerate(sent) if n not in tenths] == [f for n, f in enumerate(whole) if n not in tenths]
        for n in tenths:
            judge(kind, sent[n], whole[n])
    bench.close()


def judge(kind: str, damaged: bytes, original: bytes) -> None:
    if kind == "corrupt":
        wrong = int.from_bytes(damaged, "big") ^ int.from_bytes(original, "big")
        assert wrong.bit_count() == 1
        assert damaged[:14] == original[:14]
    elif kind == "runt":
        assert 8 <= len(damaged) <= 59
        assert damaged == original[: len(damaged)]
    else:
        assert 1519 <= len(damaged) <= 16384
        assert damaged[: len(original)] == original


@pytest.mark.parametrize("share", ["20%", 0.2, "0.2"])
def test_by_chance_and_by_seed(share: float | str) -> None:
    """About as many as asked, the same ones each time, others with another seed or in the other direction."""
    runs = []
    for seed in (1, 1, 2):
        bench = Bench(loss=share, seed=seed)
        runs.append([number(f) for f in bench.out(500)])
        runs.append([number(f) for f in bench.come(500)])
        assert 60 < bench.faults.sent_faults.loss < 140  # 100 expected, standard deviation 9
        assert bench.faults.sent_faults.loss + len(runs[-2]) == 500
        assert bench.faults.received_faults.loss + len(runs[-1]) == 500
        assert bench.faults.counters.receive_drops == bench.faults.received_faults.loss
        bench.close()
    assert runs[0] == runs[2]
    assert runs[1] == runs[3]
    assert len({tuple(run) for run in (runs[0], runs[1], runs[4], runs[5])}) == 4


def test_one_rule_does_not_disturb_another() -> None:
    """Which frames are lost does not depend on what else may happen to them."""
    survivors = []
    for more in ({}, {"corrupt": 0.3, "duplicate": 0.3, "jabber": 0.1}):
        bench = Bench(loss=0.5, fcs="good", seed=9, **more)
        bench.out(200)
        survivors.append(bench.faults.sent_faults.loss)
        bench.close()
    assert survivors[0] == survivors[1]


def test_all_and_none() -> None:
    bench = Bench(loss=1)
    assert bench.out(20) == []
    bench.close()
    bench = Bench()
    assert bench.out(20) == [frame(n) for n in range(20)]
    bench.close()


@pytest.mark.parametrize(("queue", "lost"), [("all", (5, 5)), ("rx", (5, 0)), ("tx", (0, 5))])
def test_directions_have_qemus_names(queue: str, lost: tuple[int, int]) -> None:
    """rx is what the netdev receives from the card."""
    bench = Bench(loss=1, queue=queue)
    bench.out(5)
    bench.come(5)
    assert (bench.faults.sent_faults.loss, bench.faults.received_faults.loss) == lost
    bench.close()


# ---------------------------------------------------------------------- time


def test_delay_holds_up_what_comes_behind() -> None:
    bench = Bench(delay="every:3", delay_time="5ms")
    assert [number(f) for f in bench.out(5)] == [0, 1]
    assert bench.clock.next_deadline == bench.clock.now + 5_000_000
    bench.clock.advance(4_999_999)
    assert bench.taken() == []
    bench.clock.advance(1)
    assert [number(f) for f in bench.taken()] == [2, 3, 4]
    bench.close()


def test_what_is_overtaken_by_nobody_comes_when_its_time_is_over() -> None:
    bench = Bench(reorder="every:2", reorder_gap=16, reorder_time="1ms")
    assert [number(f) for f in bench.out(2)] == [0]
    bench.clock.advance(999_999)
    assert bench.taken() == []
    bench.clock.advance(1)
    assert [number(f) for f in bench.taken()] == [1]
    bench.close()


def test_frames_reach_the_card_at_their_time_without_a_poll() -> None:
    bench = Bench(delay=1, delay_time="2ms", queue="tx")
    bench.far.deliver([bench.driver.mac + frame(7)[6:]])
    bench.nic.poll()
    bench.clock.advance(1_999_999)
    assert bench.driver.receive() == []
    bench.clock.advance(1)
    assert [number(f.data) for f in bench.driver.receive()] == [7]
    bench.close()


def test_a_live_clock_wakes_the_loop() -> None:
    """Loop.turn waits for as long as the frame is under way, not for its own bound."""
    with Faults(Loopback(), delay=1, delay_time="20ms", queue="rx") as faults:
        loop = nicemu.Loop()
        nic = nicemu.create("e1000", memory=nicemu.GuestMemory(4 << 20), loop=loop, backend=faults)
        driver = attach(nic)
        driver.start()
        driver.wait(driver.link_up, "link")
        driver.send(ethernet(destination=driver.mac))
        got: list[object] = []
        for _ in range(8):
            loop.turn(10.0)
            got += driver.receive()
            if got:
                break
        assert len(got) == 1
        nic.close()


# ---------------------------------------------------------------------- what the card sees


def bad(**rules: object) -> Rig:
    rig = Rig(count=32)
    rig.nic.plug(None)
    faults = Faults(rig.tap, queue="tx", **rules)  # type: ignore[arg-type]
    rig.nic.plug(faults)
    rig.clock.advance(10**10)
    rig.start_receive()
    for register in ("CRCERRS", "RUC", "RFC", "ROC", "RJC", "RXERRC", "GPRC", "TPR"):
        rig[register]
    return rig


@pytest.mark.parametrize(
    ("kind", "fcs", "counted"),
    [
        ("corrupt", "bad", "CRCERRS"),
        ("corrupt", "good", "GPRC"),
        ("runt", "bad", "RFC"),
        ("runt", "good", "RUC"),
        ("jabber", "bad", "RJC"),
        ("jabber", "good", "ROC"),
    ],
)
def test_the_82540em_counts_them_as_silicon(kind: str, fcs: str, counted: str) -> None:
    """8254x SDM 13.7: CRC errors, fragments and undersize, jabber and oversize are told apart by length and FCS."""
    rig = bad(**{kind: 1}, fcs=fcs)
    for n in range(20):
        rig.arrive(MAC + frame(n)[6:])
    assert rig[counted] == 20
    assert rig["TPR"] == 20
    frames = rig.frames()
    if counted == "GPRC":
        assert len(frames) == 20
        for n, data in enumerate(frames):
            judge(kind, data[:-4], MAC + frame(n)[6:])
    else:
        assert frames == []


def test_bad_frames_are_stored_when_asked_for() -> None:
    """RCTL.SBP stores frames with a bad FCS, with the error in the descriptor."""
    rig = bad(corrupt=1)
    rig.start_receive(RCTL.SBP)
    rig.arrive(MAC + frame(1)[6:])
    ((data, descriptor),) = rig.received()
    assert int(descriptor["errors"]) & 1  # CE
    judge("corrupt", data[:-4], MAC + frame(1)[6:])


def test_damage_travels_to_another_card_and_ends_where_frames_have_no_fcs() -> None:
    near, far = Pair.create()
    rig = Rig()
    rig.nic.plug(far)
    rig.clock.advance(10**10)
    rig.start_receive()
    bench = Bench(corrupt=1)
    bench.nic.plug(None)
    faults = Faults(near, corrupt=1)
    bench.nic.plug(faults)
    bench.driver.wait(bench.driver.link_up, "link")
    bench.driver.send(ethernet(destination=MAC))
    rig.nic.poll()
    assert rig["CRCERRS"] == 1
    bench.nic.close()
    faults.close()
    bench = Bench(corrupt="every:2")
    assert [number(f) for f in bench.out(10)] == [0, 2, 4, 6, 8]
    assert bench.far.counters.send_drops == 5
    bench.close()


# ---------------------------------------------------------------------- room


def test_a_wire_that_takes_nothing_holds_the_card_back() -> None:
    bench = Bench(duplicate="every:5")
    bench.far.room = 0
    for n in range(2000):
        bench.driver.queue(frame(n, 1514))  # type: ignore[attr-defined]
        if n % 32 == 31:
            bench.driver.ring()  # type: ignore[attr-defined]
        if bench.nic.counters["port_blocked"]:
            break
    assert bench.nic.counters["port_blocked"] == 1
    before = bench.faults.counters.sent_frames
    bench.far.room = None
    bench.far.writable()
    bench.clock.advance(1)
    sent = [number(f) for f in bench.taken()]
    assert list(dict.fromkeys(sent)) == list(range(len(set(sent))))
    assert len(set(sent)) > before
    assert bench.faults.counters.send_drops == 0
    bench.close()


def test_overflow_drop_counts() -> None:
    bench = Bench(duplicate="every:5", overflow="drop")
    bench.far.room = 0
    for n in range(1000):
        bench.driver.send(frame(n, 1514))
    lost = bench.faults.sent_faults.overflow
    assert 0 < lost < 1000
    assert bench.faults.counters.send_drops == lost
    assert bench.nic.counters["port_blocked"] == 0
    bench.far.room = None
    bench.far.writable()
    assert len({number(f) for f in bench.taken()}) == 1000 - lost
    bench.close()


def test_a_ring_without_room_holds_the_wire_back() -> None:
    """Overflow hold of the card: what the ring does not take waits in the wrapper, then in the wire; none is lost."""
    far = Wire()
    faults = Faults(far, duplicate="every:50")
    clock = nicemu.Clock.virtual()
    nic = nicemu.create("e1000", memory=nicemu.GuestMemory(4 << 20), clock=clock, overflow="hold", backend=faults)
    driver = attach(nic, tx_count=8, rx_count=8)
    driver.start()
    driver.wait(driver.link_up, "link")
    offered = 0
    for _ in range(200):
        offered += far.deliver([driver.mac + frame(offered + i, 1514)[6:] for i in range(40)][: 2000 - offered])
        nic.poll()
    got: list[int] = []
    for _ in range(3000):
        got += [number(f.data) for f in driver.receive()]
        nic.poll()
    assert 1000 < offered <= 2000
    assert got == [n for n in range(offered) for _ in range(1 + (n % 50 == 49))]
    assert faults.counters.receive_drops == 0
    nic.close()
    faults.close()


# ---------------------------------------------------------------------- life


@pytest.mark.parametrize("event", ["soft", "bus", "unplug", "close", "close wire", "move", "cable"])
def test_events_with_frames_under_way(event: str) -> None:
    bench = Bench(delay=1, delay_time="5ms", reorder="every:4")
    bench.out(20)
    bench.come(20)
    other = nicemu.create("e1000", memory=nicemu.GuestMemory(1 << 16))
    if event in ("soft", "bus"):
        bench.nic.reset(Reset.SOFT if event == "soft" else Reset.BUS)
    elif event == "unplug":
        bench.nic.plug(None)
        assert bench.faults.counters.send_drops == bench.faults.counters.receive_drops == 20
    elif event == "move":
        bench.nic.plug(None)
        other.plug(bench.faults)
    elif event == "cable":
        bench.nic.set_link(False)
    elif event == "close":
        bench.nic.close()
    else:
        bench.faults.close()
    bench.clock.advance(10**9)
    other.poll()
    arrived = len(bench.taken())
    assert arrived == (20 if event in ("soft", "bus", "cable") else 0)
    other.close()
    bench.close()


def test_wrappers_on_a_hub_live_by_the_first_cards_clock() -> None:
    far = Wire()
    clock = nicemu.Clock.virtual()
    with Hub() as hub:
        nic = nicemu.create("e1000", memory=nicemu.GuestMemory(4 << 20), clock=clock, backend=hub.port())
        hub.connect(Faults(far, delay=1, delay_time="1ms"))
        driver = attach(nic)
        driver.start()
        driver.wait(driver.link_up, "link")
        driver.send(frame(1))
        nic.poll()
        assert clock.next_deadline == clock.now + 1_000_000
        clock.advance(1_000_000)
        assert far.received == [frame(1)]
        nic.close()
        assert clock.next_deadline is None


def test_wrappers_around_wrappers(tmp_path: Path) -> None:
    """What each records is what passes at its place."""
    far = Wire()
    inner = Pcap(far, tmp_path / "inner.pcap")
    faults = Faults(inner, loss="every:2")
    with Pcap(faults, tmp_path / "outer.pcap") as outer, Hub() as hub:
        source = Wire()
        hub.connect(source)
        hub.connect(outer)
        source.deliver([frame(n) for n in range(10)])
        hub.turn()
        hub.turn()
        assert (outer.records, inner.records, len(far.received)) == (10, 5, 5)
        assert outer.lossless == far.lossless
    assert far.closed


def test_random_treatment_loses_nothing_uncounted() -> None:
    """Every frame that went in came out, once or twice, or was counted as lost."""
    random = Random(5)
    for seed in range(20):
        rules = {kind: random.choice([0, 0.1, 0.5, "every:3"]) for kind in KINDS if kind not in ("runt", "jabber")}
        bench = Bench(**rules, fcs="good", seed=seed, reorder_gap=random.randint(1, 16))
        sent = bench.out(200)
        bench.clock.advance(10**9)
        sent += bench.taken()
        done = bench.faults.sent_faults
        assert len(sent) == 200 - done.loss + done.duplicate, rules
        bench.close()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"loss": 1.5}, "loss=1.5 is no rule; expected a share such as 0.01 or 1%, or every:100"),
        ({"loss": "-1"}, "loss=-1 is no rule"),
        ({"corrupt": "every:0"}, "corrupt=every:0 is no rule"),
        ({"jabber": "often"}, "jabber=often is no rule"),
        ({"fcs": "none"}, "fcs=none; expected bad or good"),
        ({"queue": "up"}, r"queue=up; expected all, rx \(what the card sends\) or tx"),
        ({"overflow": "wait"}, "overflow=wait; expected drop or hold"),
        ({"delay_time": "10"}, "delay-time=10 is not a time; expected one like 10ms"),
        ({"delay_time": "2h"}, "delay-time=2h is not a time"),
        ({"reorder_gap": 0}, "reorder-gap=0 is out of range; expected 1 to 16 frames"),
    ],
)
def test_mistakes(options: dict[str, object], message: str) -> None:
    with Null() as null:
        with pytest.raises(ConfigurationError, match=message):
            Faults(null, **options)  # type: ignore[arg-type]
        assert not null.in_use


def test_a_wire_in_use() -> None:
    with (
        PythonBackend(name="p0") as wire,
        Faults(wire),
        pytest.raises(ConfigurationError, match="p0 is already in use"),
    ):
        Faults(wire)
