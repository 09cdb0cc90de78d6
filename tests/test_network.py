"""Cards, netdevs and hubs by name: joined, separated and joined again while frames run; what is lost is counted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from backend_station import Wire

import nicemu
from nicemu import GuestMemory, Network
from nicemu.backends import Backend, Hub, Pair
from nicemu.drivers import Driver, attach
from nicemu.errors import ConfigurationError

BROADCAST = b"\xff" * 6


def frame(number: int) -> bytes:
    return BROADCAST + b"\x02\0\0\0\0\1" + b"\x88\xb5" + bytes([number]) * 46


class Bench:
    """A network whose cards have drivers."""

    def __init__(self) -> None:
        self.network = Network()
        self.drivers: dict[str, Driver] = {}

    def card(self, name: str, netdev: str = "") -> Driver:
        options = {"id": name} | ({"netdev": netdev} if netdev else {})
        self.drivers[name] = attach(self.network.device_add("e1000", options, memory=GuestMemory(4 << 20)))
        self.drivers[name].start()
        return self.drivers[name]

    def turn(self, count: int = 8) -> None:
        for _ in range(count):
            self.network.loop.turn(0.001)

    def heard(self) -> dict[str, list[bytes]]:
        self.turn()
        return {name: [f.data for f in driver.receive()] for name, driver in self.drivers.items()}

    def wire(self, name: str) -> Wire:
        """A Python backend as a netdev."""
        wire = Wire()
        wire.name = name
        self.adopt(wire)
        return wire

    def adopt(self, wire: Backend) -> None:
        from nicemu.network import Netdev

        self.network.netdevs[wire.name] = Netdev(wire.name, wire.kind, wire, wire)


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    with bench.network:
        yield bench


def test_three_cards_on_two_vlans(bench: Bench) -> None:
    """The second and third share VLAN 1; the first, on VLAN 0, does not hear them."""
    for number, vlan in enumerate((0, 1, 1)):
        bench.network.netdev_add("hubport", {"id": f"p{number}", "hubid": vlan})
        bench.card(f"e{number}", f"p{number}")
    bench.drivers["e1"].send(frame(1))
    bench.drivers["e0"].send(frame(0))
    assert bench.heard() == {"e0": [], "e1": [], "e2": [frame(1)]}
    bench.drivers["e2"].send(frame(2))
    assert bench.heard() == {"e0": [], "e1": [frame(2)], "e2": []}


def test_a_hub_joins_netdevs_without_any_card(bench: Bench) -> None:
    wires = [bench.wire(f"w{i}") for i in range(3)]
    for wire in wires:
        bench.network.netdev_add("hubport", {"id": f"p-{wire.name}", "hubid": 5, "netdev": wire.name})
    wires[0].deliver([frame(1)])
    bench.turn()
    assert [wire.received for wire in wires] == [[], [frame(1)], [frame(1)]]
    assert bench.network.without_peer() == []


def test_pair(bench: Bench) -> None:
    bench.network.netdev_add("pair", {"id": "a", "peer": "b"})
    bench.card("e0", "a").send(frame(0))
    bench.card("e1", "b").send(frame(1))
    assert bench.heard()["e0"] == [frame(1)]


def test_overflow_of_ports_and_cables(bench: Bench) -> None:
    network = bench.network
    network.netdev_add("loopback", {"id": "n0"})
    network.netdev_add("hubport", {"id": "p0", "hubid": 0, "netdev": "n0", "overflow": "drop"})
    network.netdev_add("hubport", {"id": "p1", "hubid": 0})
    network.netdev_add("pair", {"id": "a", "peer": "b", "overflow": "drop"})
    network.object_add("rate", {"netdev": "n0", "rate": "1G"})  # the port is made anew
    found = {name: netdev.end.overflow for name, netdev in network.netdevs.items()}
    assert found == {"n0": "hold", "p0": "drop", "p1": "hold", "a": "drop", "b": "drop"}
    with pytest.raises(ConfigurationError, match="overflow=lose; expected drop or hold"):
        network.netdev_add("hubport", {"id": "p2", "hubid": 0, "overflow": "lose"})
    assert "p2" not in network.netdevs


def test_netdev_del_and_add_on_a_live_card(bench: Bench) -> None:
    bench.network.netdev_add("loopback", {"id": "n0"})
    driver = bench.card("e0", "n0")
    nic = bench.network.find_nic("e0")
    assert nic.wire_up
    bench.network.netdev_del("n0")
    assert not nic.wire_up
    assert "n0" not in bench.network.netdevs
    driver.send(frame(1))
    assert bench.heard()["e0"] == [], "without a link the frame waits in the ring"
    bench.network.netdev_add("loopback", {"id": "n0"})
    driver.wait(driver.link_up, "link")
    driver.send(frame(2))
    assert bench.heard()["e0"] == [frame(1), frame(2)]


def test_device_del_frees_its_netdev_and_no_other(bench: Bench) -> None:
    """On a cable the other end loses its link, on a hub the port stands free; each takes a new card, which hears."""
    network = bench.network
    network.netdev_add("pair", {"id": "a", "peer": "b"})
    network.netdev_add("hubport", {"id": "p0", "hubid": 0})
    network.netdev_add("hubport", {"id": "p1", "hubid": 0})
    for name, netdev in (("e0", "a"), ("e1", "b"), ("h0", "p0"), ("h1", "p1")):
        bench.card(name, netdev)
    for name, netdev, other in (("e0", "a", "e1"), ("h0", "p0", "h1")):
        driver = bench.drivers.pop(name)
        network.device_del(name)
        assert driver.nic.handle is None
        assert network.holder(netdev) == ""
        bench.drivers[other].send(frame(1))
        assert bench.heard()[other] == []
        bench.card(name, netdev)
        bench.drivers[other].wait(bench.drivers[other].link_up, "link")
        bench.heard()
        bench.drivers[name].send(frame(2))
        assert bench.heard()[other] == [frame(2)]
    with pytest.raises(ConfigurationError, match="no card 'e9'; there are: e1, h1, e0, h0"):
        network.device_del("e9")


def test_a_card_that_is_removed_from_its_own_call_stays(bench: Bench) -> None:
    failures: list[str] = []

    class Grim(Wire):
        def send(self, frames: list[bytes]) -> int | None:
            try:
                bench.network.device_del("e0")
            except ConfigurationError as error:
                failures.append(str(error))
            return None

    wire = Grim()
    wire.name = "n0"
    bench.adopt(wire)
    bench.card("e0", "n0").send(frame(1))
    bench.turn()
    assert failures == ["e0 cannot be closed from inside one of its own calls"]
    assert list(bench.network.cards) == ["e0"]


def test_objects_come_and_go_around_a_live_wire(bench: Bench, tmp_path: Path) -> None:
    """In the middle, on top and at the bottom, on a card and on a hub; frames pass before, between and after."""
    network = bench.network
    network.netdev_add("loopback", {"id": "n0"})
    wire = network.netdevs["n0"].end
    network.netdev_add("loopback", {"id": "h0"})
    network.netdev_add("hubport", {"id": "p0", "hubid": 0, "netdev": "h0"})
    network.netdev_add("hubport", {"id": "p1", "hubid": 0})
    bench.card("e0", "n0")
    bench.card("e1", "p1")

    def goes_round(lost: bool = False) -> None:
        for driver in bench.drivers.values():
            driver.wait(driver.link_up, "link")
            driver.send(frame(1))
        assert bench.heard() == {"e0": [frame(1)] * (not lost), "e1": [frame(1)] * (not lost)}

    for name, netdev in (("a", "n0"), ("b", "h0")):
        network.object_add("filter-dump", {"id": name, "netdev": netdev, "file": str(tmp_path / name)})
        network.object_add("faults", {"id": f"{name}-lossy", "netdev": netdev, "loss": "100%"})
        network.object_add("rate", {"netdev": netdev, "rate": "1G"})
    assert [f.name for f in network.netdevs["n0"].filters] == ["a", "a-lossy", "rate.0"]
    goes_round(lost=True)
    for name in ("a-lossy", "b-lossy"):
        network.object_del(name)
    goes_round()
    for name in ("a", "rate.1"):
        network.object_del(name)
    goes_round()
    for name in ("rate.0", "b"):
        network.object_del(name)
    goes_round()
    assert network.netdevs["n0"].wire is wire
    assert not network.netdevs["n0"].filters
    assert (tmp_path / "a").stat().st_size == 24 + 2 * (16 + 60), "one frame, out and in, with padding"
    with pytest.raises(ConfigurationError, match="no object 'a'; there is none"):
        network.object_del("a")


def test_a_port_that_is_shut_stays_so_under_an_object(bench: Bench) -> None:
    bench.network.netdev_add("loopback", {"id": "n0"})
    bench.network.netdev_add("hubport", {"id": "p0", "hubid": 0, "netdev": "n0"})
    bench.network.netdev_add("hubport", {"id": "p1", "hubid": 0})
    driver = bench.card("e0", "p1")
    bench.network.set_link("n0", False)
    bench.network.object_add("rate", {"netdev": "n0", "rate": "1G"})
    driver.send(frame(1))
    assert bench.heard() == {"e0": []}
    bench.network.set_link("n0", True)
    driver.send(frame(2))
    assert bench.heard() == {"e0": [frame(2)]}


def test_the_copies_of_a_tee_end_with_it(bench: Bench) -> None:
    bench.network.netdev_add("loopback", {"id": "n0"})
    copy = bench.wire("c0")
    driver = bench.card("e0", "n0")
    bench.network.object_add("tee", {"id": "t0", "netdev": "n0", "outdev": "c0"})
    driver.send(frame(1))
    assert bench.heard() == {"e0": [frame(1)]}
    assert len(copy.received) == 2
    bench.network.object_del("t0")
    driver.send(frame(2))
    assert bench.heard() == {"e0": [frame(2)]}
    assert (len(copy.received), copy.closed, copy.in_use) == (2, False, False)


def test_netdev_del_and_add_on_a_hub(bench: Bench) -> None:
    network = bench.network
    network.netdev_add("loopback", {"id": "back"})
    network.netdev_add("hubport", {"id": "p0", "hubid": 0, "netdev": "back"})
    network.netdev_add("hubport", {"id": "p1", "hubid": 0})
    driver = bench.card("e0", "p1")
    driver.send(frame(1))
    assert bench.heard()["e0"] == [frame(1)]
    network.netdev_del("back")
    driver.send(frame(2))
    assert bench.heard()["e0"] == []
    network.netdev_add("loopback", {"id": "back"})
    driver.send(frame(3))
    assert bench.heard()["e0"] == [frame(3)]
    network.netdev_del("p1")
    driver.send(frame(4))
    assert bench.heard()["e0"] == []


@pytest.mark.parametrize("name", ["e0", "n0"])
def test_set_link_of_a_card(bench: Bench, name: str) -> None:
    wire = bench.wire("n0")
    driver, nic = bench.card("e0", "n0"), bench.network.find_nic("e0")
    bench.network.set_link(name, False)
    assert not driver.link_up()
    wire.deliver([frame(1)])
    assert bench.heard()["e0"] == []
    assert nic.counters["port_link_down"] == 1
    bench.network.set_link(name, True)
    driver.wait(driver.link_up, "link")
    wire.deliver([frame(2)])
    assert bench.heard()["e0"] == [frame(2)]


def test_set_link_of_a_wire_on_a_hub(bench: Bench) -> None:
    network, wire = bench.network, bench.wire("w")
    network.netdev_add("hubport", {"id": "p0", "hubid": 0, "netdev": "w"})
    network.netdev_add("hubport", {"id": "p1", "hubid": 0})
    network.netdev_add("hubport", {"id": "p2", "hubid": 0})
    sender, port = bench.card("e1", "p1"), network.netdevs["p0"].end
    bench.card("e2", "p2")
    network.set_link("w", False)
    wire.deliver([frame(1)])
    sender.send(frame(2))
    assert bench.heard() == {"e1": [], "e2": [frame(2)]}, "only the wire is cut off"
    assert wire.received == []
    assert (port.counters.send_drops, port.counters.receive_drops) == (1, 1)
    network.set_link("p0", True)
    wire.deliver([frame(3)])
    assert bench.heard() == {"e1": [frame(3)], "e2": [frame(3)]}
    network.netdevs["p2"].end.set_link(False)  # type: ignore[attr-defined]
    assert not bench.drivers["e2"].link_up(), "a card at a shut port has no link"


def test_an_object_wraps_a_live_netdev(bench: Bench, tmp_path: object) -> None:
    bench.network.netdev_add("loopback", {"id": "n0"})
    driver = bench.card("e0", "n0")
    bench.network.object_add("filter-dump", {"id": "f0", "netdev": "n0", "file": f"{tmp_path}/x.pcap"})
    driver.wait(driver.link_up, "link")
    driver.send(frame(1))
    assert bench.heard()["e0"] == [frame(1)]
    assert bench.network.netdevs["n0"].wire.records == 2  # type: ignore[attr-defined]
    with pytest.raises(nicemu.NicemuError):
        bench.network.object_add("filter-dump", {"netdev": "n0", "file": "/nowhere/x"})
    driver.wait(driver.link_up, "link: a failed object leaves the card where it was")


def test_cards_have_addresses_and_names_of_their_own(bench: Bench) -> None:
    nics = [bench.network.device_add("e1000", {}) for _ in range(3)]
    assert [nic.mac.hex(":")[-2:] for nic in nics] == ["56", "57", "58"]
    assert list(bench.network.cards) == ["e1000.0", "e1000.1", "e1000.2"]
    assert bench.network.without_peer() == ["e1000.0", "e1000.1", "e1000.2"]


def test_adopted_cards() -> None:
    loop = nicemu.Loop()
    near, far = Pair.create()
    nic = nicemu.create("e1000", loop=loop, name="old", backend=near)
    with far, Network(loop) as network:
        network.adopt(nic)
        assert network.find_nic("pair.0") is nic
        network.set_link("old", False)
        assert not nic.wire_up
        with pytest.raises(ConfigurationError, match="another loop"), nicemu.create("e1000") as stranger:
            network.adopt(stranger)
    assert nic.handle is None, "a closed network closes its cards"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda n: n.netdev_add("usr", {}), "unknown netdev type 'usr'; expected one of: user, .*hubport, pair"),
        (lambda n: n.netdev_add("null", {"id": "n0"}), "'n0' is taken by a netdev"),
        (lambda n: n.netdev_add("null", {"id": "e0"}), "'e0' is taken by a card"),
        (lambda n: n.netdev_add("hubport", {}), "needs hubid=<int>"),
        (lambda n: n.netdev_add("hubport", {"hubid": "x"}), "hubid=x; expected a number"),
        (lambda n: n.netdev_add("hubport", {"hubid": 0, "netdev": "n0"}), "n0 is in use by e0"),
        (lambda n: n.netdev_add("hubport", {"hubid": 0, "netdev": "n9"}), "no netdev 'n9'; there are: n0, n1"),
        (lambda n: n.netdev_add("pair", {"id": "a", "peer": "a"}), "peer=a is the id itself"),
        (lambda n: n.netdev_add("pair", {"id": "a", "peer": "n0"}), "'n0' is taken"),
        (lambda n: n.netdev_del("n9"), "no netdev 'n9'"),
        (lambda n: n.device_add("e1000", {"netdev": "n0"}), "n0 is in use by e0"),
        (lambda n: n.device_add("e1000", {"netdev": "n9"}), "no netdev 'n9'"),
        (lambda n: n.device_add("e1000", {"id": "n0"}), "'n0' is taken"),
        (lambda n: n.device_add("e1001", {}), "no model 'e1001'"),
        (lambda n: n.device_add("e1000", {"speed": "9"}), "no option 'speed'; expected one of: mac"),
        (lambda n: n.object_add("filter-dmp", {}), "unknown object 'filter-dmp'; expected one of: filter-dump"),
        (lambda n: n.object_add("filter-dump", {"file": "x"}), "needs netdev=<id>"),
        (lambda n: n.object_add("filter-dump", {"file": "x", "netdev": "q"}), "no netdev 'q'"),
        (lambda n: n.object_del("x"), "no object 'x'; there is none"),
        (lambda n: n.device_del("n0"), "no card 'n0'; there are: e0"),
        (lambda n: n.set_link("e9", True), "no card or netdev 'e9'; there are: e0, n0, n1"),
        (lambda n: n.set_link("n1", True), "n1 leads nowhere"),
        (lambda n: n.find_nic("zz"), "no card 'zz'; there are: e0"),
    ],
)
def test_mistakes_are_told(bench: Bench, call: object, message: str) -> None:
    bench.network.netdev_add("null", {"id": "n0"})
    bench.network.netdev_add("null", {"id": "n1"})
    bench.network.device_add("e1000", {"id": "e0", "netdev": "n0"})
    with pytest.raises(ConfigurationError, match=message):
        call(bench.network)  # type: ignore[operator]
    assert (list(bench.network.netdevs), list(bench.network.cards)) == (["n0", "n1"], ["e0"])


def test_a_wire_is_on_one_loop_only() -> None:
    loop = nicemu.Loop()
    with Hub() as hub:
        port = hub.port()
        loop.add_wire(port)
        with pytest.raises(ConfigurationError, match="cannot add"):
            loop.add_wire(port)
        port.close()
        loop.turn(0)
