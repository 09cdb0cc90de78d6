"""Backends under a real card and a real loop: loss, holding back, idling, waking, links, capture on a virtual clock."""

from __future__ import annotations

import resource
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import dpkt
import pytest
from backend_station import GATEWAY, Connection, Station

import nicemu
from nicemu.backends import Hub, Loopback, Null, Pair, Pcap, PythonBackend, User
from nicemu.drivers import Driver, attach
from nicemu.engine import ffi, lib
from nicemu.errors import ConfigurationError


def frame(number: int, length: int = 60) -> bytes:
    return b"\xff" * 6 + bytes(6) + number.to_bytes(4, "big") + bytes(number + i & 255 for i in range(length - 16))


def card(**options: object) -> tuple[nicemu.Nic, Driver]:
    nic = nicemu.create("e1000", memory=nicemu.GuestMemory(8 << 20), **options)
    driver = attach(nic)
    driver.start()
    return nic, driver


@pytest.fixture
def loop() -> nicemu.Loop:
    return nicemu.Loop()


def cpu_share(loop: nicemu.Loop, seconds: float = 0.6) -> float:
    """Processor time that the loop takes while nothing happens, as a share of real time."""
    for _ in range(20):
        loop.turn(0)
    start, used = time.monotonic(), time.process_time()
    while (left := start + seconds - time.monotonic()) > 0:
        loop.turn(left)
    return (time.process_time() - used) / seconds


class CardWire:
    """The far end of a card's driver, in the shape of the stations' wire."""

    def __init__(self, nic: nicemu.Nic, driver: Driver) -> None:
        self.nic, self.driver = nic, driver
        self.received: list[bytes] = []
        self.reading = True

    def deliver(self, frames: tuple[bytes, ...]) -> int:
        for f in frames:
            self.driver.send(f)
        return len(frames)


class CardStation(Station):
    """The scripted station behind a card."""

    def __init__(self, nic: nicemu.Nic, driver: Driver) -> None:
        self.wire = CardWire(nic, driver)  # type: ignore[assignment]
        self.gateway_mac = b""

    def turn(self) -> None:
        self.wire.nic.poll()  # type: ignore[attr-defined]
        if self.wire.reading:  # type: ignore[attr-defined]
            self.wire.received += [f.data for f in self.wire.driver.receive()]  # type: ignore[attr-defined]


# ---------------------------------------------------------------------- loss


def test_loopback_brings_back_what_the_card_sends() -> None:
    nic, driver = card(backend=Loopback(), overflow="hold")
    sent = [frame(i, 60 + i % 1400) for i in range(500)]
    got: list[bytes] = []
    for f in sent:
        driver.send(f)
        nic.poll()
        got += [r.data for r in driver.receive()]
    assert got == sent
    nic.close()


def test_user_holds_tcp_back_while_the_ring_is_full_and_loses_nothing(loop: nicemu.Loop) -> None:
    nic = nicemu.create("e1000", memory=nicemu.GuestMemory(8 << 20), loop=loop, backend=User())
    driver = attach(nic, rx_count=8)
    driver.start()
    station = CardStation(nic, driver)
    station.arp()
    data = bytes(range(256)) * 3_000
    with socket.create_server(("127.0.0.1", 0)) as server:
        connections = [Connection(station, 42000 + i, GATEWAY, server.getsockname()[1]).connect() for i in range(10)]
        peers = [server.accept()[0] for _ in connections]
        writers = [threading.Thread(target=lambda p: (p.sendall(data), p.close()), args=(p,)) for p in peers]
        for writer in writers:
            writer.start()
        deadline = time.monotonic() + 40
        while not all(c.finished for c in connections):
            assert time.monotonic() < deadline
            for _ in range(5):  # the guest is slow: the ring fills
                nic.poll()
            station.turn()
            deal(station, connections)
        for writer in writers:
            writer.join(10)
    user = nic.backend
    assert isinstance(user, User)
    assert all(c.received == data for c in connections)
    assert user.user_counters.queue_full == 0
    assert user.counters.receive_drops == 0
    assert user.user_counters.holds > 0
    nic.close()


def deal(station: Station, connections: list[Connection]) -> None:
    """Gives each connection its segments, in order, with one acknowledgement each."""
    packets = [p for p in station.packets() if isinstance(p.data, dpkt.tcp.TCP)]
    for connection in connections:
        before = connection.acknowledged
        for packet in packets:
            if packet.data.dport == connection.local:
                connection.take_segment(packet.data)
        if connection.acknowledged != before:
            connection.transmit(dpkt.tcp.TH_ACK)


def test_a_full_ring_that_holds_costs_no_processor_time(loop: nicemu.Loop) -> None:
    nic = nicemu.create("e1000", memory=nicemu.GuestMemory(8 << 20), loop=loop, backend=User())
    driver = attach(nic, rx_count=8)
    driver.start()
    station = CardStation(nic, driver)
    station.arp()
    server = socket.create_server(("127.0.0.1", 0))
    connections = [Connection(station, 43000 + i, GATEWAY, server.getsockname()[1]).connect() for i in range(64)]
    peers = [server.accept()[0] for _ in connections]
    station.wire.reading = False  # type: ignore[attr-defined]
    for peer in peers:
        peer.setblocking(False)
        peer.send(bytes(1 << 20))
    assert cpu_share(loop) < 0.02
    assert lib.nic_inbound(nic.handle, ffi.NULL, 0) > 50_000, "more than the ring and the chip's own FIFO hold"
    station.wire.reading = True  # type: ignore[attr-defined]
    start = len(connections[0].received)
    deadline = time.monotonic() + 40
    while len(connections[0].received) < start + 60_000:
        assert time.monotonic() < deadline
        station.turn()
        deal(station, connections)
    for s in (server, *peers):
        s.close()
    nic.close()


# ---------------------------------------------------------------------- idling and waking


@pytest.mark.parametrize("kind", ["null", "loopback", "user", "hostfwd", "hub", "pair"])
def test_an_idle_wire_costs_no_processor_time(loop: nicemu.Loop, kind: str, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    hub = Hub()
    if kind == "hub":
        hub.connect(User())
    makers = {
        "null": Null,
        "loopback": Loopback,
        "user": lambda: Pcap(User(), tmp_path / "a.pcap"),
        "hostfwd": lambda: User(hostfwd=[f"tcp:127.0.0.1:{port}-:22"]),
        "hub": hub.port,
        "pair": lambda: Pair.create()[0],
    }
    nic = nicemu.create("e1000", memory=nicemu.GuestMemory(8 << 20), loop=loop, backend=makers[kind]())
    attach(nic).start()
    assert cpu_share(loop) < 0.05
    nic.close()
    hub.close()


def test_a_connection_from_outside_wakes_a_waiting_loop(loop: nicemu.Loop) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    user = User(hostfwd=[f"tcp:127.0.0.1:{port}-:22"])
    nic = nicemu.create("e1000", memory=nicemu.GuestMemory(8 << 20), loop=loop, backend=user)
    driver = attach(nic)
    driver.start()
    station = CardStation(nic, driver)
    station.dhcp(dpkt.dhcp.DHCPDISCOVER)
    for _ in range(10):
        loop.turn(0)
    client = socket.socket()
    timer = threading.Timer(0.2, client.connect, [("127.0.0.1", port)])
    timer.start()
    start = time.monotonic()
    while not (frames := driver.receive()):
        loop.turn(50)
        assert time.monotonic() - start < 25, "the loop has slept through it"
    assert dpkt.ethernet.Ethernet(frames[0].data).data.data.dport == 22 or frames[0].data[12:14] == b"\x08\x06"
    timer.join()
    client.close()
    nic.close()


class Pipe(PythonBackend):
    def __init__(self) -> None:
        self.near, self.far = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.near.setblocking(False)
        self.polls = 0
        super().__init__()

    def fileno(self) -> int:
        return self.near.fileno()

    def poll(self) -> None:
        self.polls += 1
        self.deliver([self.near.recv(65536)])


def test_the_descriptor_of_a_python_backend_wakes_the_loop(loop: nicemu.Loop) -> None:
    pipe = Pipe()
    nic = nicemu.create("e1000", memory=nicemu.GuestMemory(8 << 20), loop=loop, backend=pipe)
    driver = attach(nic)
    driver.start()
    for _ in range(5):
        loop.turn(0)
    assert pipe.polls == 0
    pipe.far.send(frame(1))
    loop.turn(5)
    assert pipe.polls == 1
    assert [f.data for f in driver.receive()] == [frame(1)]
    nic.close()
    pipe.near.close()
    pipe.far.close()


# ---------------------------------------------------------------------- several cards


def test_two_cards_on_a_pair_and_the_cable_between_them(loop: nicemu.Loop) -> None:
    a, b = Pair.create()
    first, one = card(loop=loop, backend=a)
    second, two = card(loop=loop, backend=b)
    one.send(frame(1))
    two.send(frame(2, 1514))
    first.poll()
    assert [f.data for f in two.receive()] == [frame(1)]
    assert [f.data for f in one.receive()] == [frame(2, 1514)]
    first.set_link(False)
    assert not second.wire_up
    one.send(frame(3))
    first.poll()
    assert two.receive() == []
    first.set_link(True)
    assert second.wire_up
    b.close()
    assert not first.wire_up
    first.close()
    second.close()


def test_a_blast_over_a_pair_to_a_card_that_holds_is_complete(loop: nicemu.Loop) -> None:
    a, b = Pair.create()
    first, one = card(loop=loop, backend=a)
    second, two = card(loop=loop, backend=b, overflow="hold")
    sent = [frame(i, 1514) for i in range(2000)]
    got: list[bytes] = []
    for at in range(0, len(sent), 50):
        for f in sent[at : at + 50]:
            one.send(f)
        first.poll()
        got += [r.data for r in two.receive()]
    deadline = time.monotonic() + 40
    while len(got) < len(sent) and time.monotonic() < deadline:
        first.poll()
        got += [r.data for r in two.receive()]
    assert got == sent
    first.close()
    second.close()


def test_three_cards_and_a_user_network_share_a_hub(loop: nicemu.Loop) -> None:
    hub, user = Hub(), User()
    hub.connect(user)
    nics = [card(loop=loop, backend=hub.port()) for _ in range(3)]
    station = CardStation(*nics[0])
    station.arp()
    assert station.ping(GATEWAY) == b"nicemu"
    heard = [len(driver.receive()) for _, driver in nics[1:]]
    assert heard[0] >= 1
    assert heard[0] == heard[1]
    for nic, _ in nics:
        nic.close()
    hub.close()


def test_the_hub_follows_when_the_card_whose_loop_it_used_goes(loop: nicemu.Loop) -> None:
    hub = Hub()
    hub.connect(User())
    first, _ = card(loop=loop, backend=hub.port())
    second, driver = card(loop=nicemu.Loop(), backend=hub.port())
    first.close()
    station = CardStation(second, driver)
    station.arp()
    assert station.ping(GATEWAY) == b"nicemu"
    second.close()
    hub.close()


# ---------------------------------------------------------------------- plugging


def test_a_backend_belongs_to_one_card() -> None:
    null = Null()
    first = nicemu.create("e1000", backend=null)
    second = nicemu.create("e1000")
    with pytest.raises(ConfigurationError, match="already in use"):
        second.plug(null)
    first.plug(None)
    assert not first.wire_up
    second.plug(null)
    assert second.wire_up
    first.close()
    second.close()


def test_closing_a_plugged_backend_unplugs_it() -> None:
    nic, driver = card(backend=(plug := Loopback()))
    assert nic.wire_up
    plug.close()
    assert not nic.wire_up
    driver.send(frame(1))
    nic.poll()
    assert driver.receive() == []
    nic.close()


def test_user_survives_moving_from_card_to_card(loop: nicemu.Loop) -> None:
    user = User()
    first, _ = card(loop=loop, backend=user)
    first.plug(None)
    second, driver = card(loop=nicemu.Loop(), backend=user)
    station = CardStation(second, driver)
    station.arp()
    assert station.ping(GATEWAY) == b"nicemu"
    first.close()
    second.close()
    assert not user.in_use
    user.close()


# ---------------------------------------------------------------------- capture


def captures(path: Path) -> Iterator[bytes]:
    for name in ("a", "b"):
        clock = nicemu.Clock.virtual(1_000)
        dump = Pcap(Loopback(), path / name, format="pcapng", start=1_700_000_000_000_000_000)
        nic, driver = card(clock=clock, backend=dump)
        for i in range(5):
            driver.send(frame(i))
            nic.poll()
            clock.advance(10_000_007)
        nic.close()
        dump.close()
        yield (path / name).read_bytes()


def test_the_same_run_on_a_virtual_clock_writes_the_same_file(tmp_path: Path) -> None:
    first, second = captures(tmp_path)
    assert first == second
    with open(tmp_path / "a", "rb") as file:
        times = [t for t, _ in dpkt.pcapng.Reader(file)]
    assert len(times) == 10
    assert float(times[-1]) - float(times[0]) == pytest.approx(4 * 0.010000007, abs=1e-6)


def test_ten_thousand_frames_through_a_card_cost_no_memory() -> None:
    nic, driver = card(backend=Loopback())
    for i in range(500):
        driver.send(frame(i))
        nic.poll()
        driver.receive()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for i in range(10_000):
        driver.send(frame(i & 0xFFFF, 60 + i % 1400))
        nic.poll()
        driver.receive()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 1024
    nic.close()
