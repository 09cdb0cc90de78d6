"""The mirror port: a copy of what passes, both ways, that neither delays nor changes it."""

from __future__ import annotations

from pathlib import Path

import pytest
from backend_station import Wire

import nicemu
from nicemu.backends import Hub, Loopback, Null, Pair, Pcap, Tee
from nicemu.drivers import attach
from nicemu.errors import ConfigurationError


def frame(number: int, length: int = 60) -> bytes:
    return number.to_bytes(4, "big") + bytes((number + i) & 0xFF for i in range(length - 4))


def test_both_directions_are_copied_as_they_pass() -> None:
    near, far, watcher = Wire(), Wire(), Wire()
    with Hub() as hub, Tee(far, watcher) as tee:
        hub.connect(near)
        hub.connect(tee)
        near.deliver([frame(n) for n in range(3)])
        hub.turn()
        far.deliver([frame(n) for n in range(10, 14)])
        hub.turn()
        hub.turn()
        assert far.received == [frame(n) for n in range(3)]
        assert near.received == [frame(n) for n in range(10, 14)]
        assert watcher.received == far.received + near.received
        assert (tee.lost, tee.ignored) == (0, 0)
    assert far.closed
    assert watcher.closed


def test_what_is_held_back_is_copied_once_when_it_passes() -> None:
    near, far, watcher = Wire(), Wire(), Wire()
    far.room = 2
    with Hub() as hub, Tee(far, watcher) as tee:
        hub.connect(near)
        hub.connect(tee)
        near.deliver([frame(n) for n in range(5)])
        hub.turn()
        assert watcher.received == far.received == [frame(0), frame(1)]
        far.room = None
        far.writable()
        hub.turn()
        assert watcher.received == far.received == [frame(n) for n in range(5)]


def test_a_stuck_watcher_delays_nobody_and_loses_only_its_own() -> None:
    near, far, watcher = Wire(), Wire(), Wire()
    watcher.room = 0
    sent = [frame(n, 1514) for n in range(400)]
    with Hub() as hub, Tee(far, watcher) as tee:
        hub.connect(near)
        hub.connect(tee)
        for at in range(0, 400, 40):
            near.deliver(sent[at : at + 40])
            hub.turn()
        assert far.received == sent
        assert 0 < tee.lost < 400
        watcher.room = None
        watcher.writable()
        assert watcher.received == sent[: 400 - tee.lost]


def test_what_the_watcher_brings_goes_nowhere() -> None:
    near, far = Wire(), Wire()
    with Hub() as hub, Tee(far, Loopback()) as tee:
        hub.connect(near)
        hub.connect(tee)
        near.deliver([frame(1), frame(2)])
        for _ in range(3):
            hub.turn()
        assert near.received == []
        assert far.received == [frame(1), frame(2)]
        assert tee.ignored == 2


def test_under_a_card_with_another_card_as_watcher(tmp_path: Path) -> None:
    """The second wire runs on the first card's loop and clock; that a card is at its end makes no difference."""
    near, far = Pair.create()
    dump = Pcap(near, tmp_path / "copy.pcap", start=0)
    clock = nicemu.Clock.virtual(5_000_000_000)
    tee = Tee(Null(), dump)
    nic = nicemu.create("e1000", memory=nicemu.GuestMemory(4 << 20), clock=clock, backend=tee)
    watcher = nicemu.create("e1000", memory=nicemu.GuestMemory(4 << 20), backend=far)
    driver, ears = attach(nic), attach(watcher)
    for one in (driver, ears):
        one.start()
        one.wait(one.link_up, "link")
    driver.send(ears.mac + frame(1)[6:])
    nic.poll()
    watcher.poll()
    assert [f.data for f in ears.receive()] == [ears.mac + frame(1)[6:]]
    ears.send(driver.mac + frame(2)[6:])
    nic.poll()
    assert driver.receive() == []
    assert tee.ignored == 1
    nic.close()
    tee.close()
    seconds = (tmp_path / "copy.pcap").read_bytes()[24:28]
    assert int.from_bytes(seconds, "little") >= 5, "the time of the card's clock"
    watcher.close()


@pytest.mark.parametrize("first", ["lower", "copy", "card"])
def test_closing_in_any_order(first: str) -> None:
    far, watcher = Wire(), Wire()
    tee = Tee(far, watcher)
    nic = nicemu.create("e1000", memory=nicemu.GuestMemory(4 << 20), backend=tee)
    driver = attach(nic)
    driver.start()
    driver.wait(driver.link_up, "link")
    {"lower": far, "copy": watcher, "card": nic}[first].close()
    if first != "card":
        driver.send(frame(1))
        nic.poll()
        kept = watcher if first == "lower" else far
        assert kept.received == [frame(1)]
    nic.close()
    tee.close()
    tee.close()


def test_mistakes() -> None:
    wire = Null(name="n0")
    with pytest.raises(ConfigurationError, match="n0 is already in use; expected two wires that nothing has"):
        Tee(wire, wire)
    with Tee(wire, Null()), pytest.raises(ConfigurationError, match="n0 is already in use"):
        Tee(Null(), wire)
