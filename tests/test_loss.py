"""Loss is a choice, in both directions: hold loses nothing, drop counts each frame where it is lost."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from backend_station import GATEWAY, Connection, Station
from vde_switch import Switch

import nicemu
from nicemu.backends import Backend, Dgram, Faults, Hub, Rate, Stream, Tee, User, Vde
from nicemu.drivers import Driver, attach

FRAMES, LENGTH = 2000, 1000


def card(wire: Backend, *, ring: int = 8, overflow: str = "") -> tuple[nicemu.Nic, Driver]:
    nic = nicemu.create("e1000", memory=nicemu.GuestMemory(4 << 20), backend=wire, overflow=overflow)
    driver = attach(nic, tx_count=ring, rx_count=ring)
    driver.start()
    driver.wait(driver.link_up, "link")
    return nic, driver


def frame(driver: Driver, number: int) -> bytes:
    return b"\xff" * 6 + driver.mac + b"\x88\xb5" + number.to_bytes(4, "big") + bytes(LENGTH - 18)


# ---------------------------------------------------------------------- from the card


def over_stream(folder: Path) -> tuple[Backend, Callable[[], bytes]]:
    """The wire, and what reads the next frame at its far end."""
    ours, theirs = socket.socketpair()
    file = theirs.makefile("rb")

    def read() -> bytes:
        return file.read(int.from_bytes(file.read(4), "big"))

    return Stream(fd=ours), read


def over_datagrams(folder: Path) -> tuple[Backend, Callable[[], bytes]]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    return Dgram(fd=ours), lambda: theirs.recv(1 << 16)


def over_vde(folder: Path) -> tuple[Backend, Callable[[], bytes]]:
    switch = Switch(folder / "switch")
    asked = threading.Thread(
        target=lambda: [switch.step() or time.sleep(0.001) for _ in range(5000) if not switch.plugs]
    )
    asked.start()
    wire = Vde(switch.folder)
    asked.join()
    return wire, lambda: switch.plugs[0][1].recv(1 << 16)


def wrapped(around: Callable[[Backend], Backend]) -> Callable[[Path], tuple[Backend, Callable[[], bytes]]]:
    def over(folder: Path) -> tuple[Backend, Callable[[], bytes]]:
        wire, read = over_stream(folder)
        return around(wire), read

    return over


WIRES = {
    "stream": over_stream,
    "dgram": over_datagrams,
    "vde": over_vde,
    "faults": wrapped(lambda wire: Faults(wire, delay="every:7", delay_time="100us")),
    "rate": wrapped(lambda wire: Rate(wire, rate="500M", limit=16, overflow="hold")),
    "tee": wrapped(lambda wire: Tee(wire, nicemu.backends.Null())),
}


@pytest.mark.parametrize("name", list(WIRES))
def test_hold_a_slow_reader_holds_the_card_back_and_loses_nothing(name: str, tmp_path: Path) -> None:
    wire, read = WIRES[name](tmp_path)
    nic, driver = card(wire)
    got: list[bytes] = []

    def reader() -> None:
        for n in range(FRAMES):
            if n % 250 == 0:
                time.sleep(0.02)
            got.append(read())

    thread = threading.Thread(target=reader, daemon=True)
    thread.start()
    for n in range(FRAMES):
        driver.send(frame(driver, n))
    deadline = time.monotonic() + 40
    while thread.is_alive() and time.monotonic() < deadline:
        nic.loop.turn(0.01)
    assert [int.from_bytes(f[14:18], "big") for f in got] == list(range(FRAMES))
    assert got == [frame(driver, n) for n in range(FRAMES)]
    assert wire.overflow == "hold"
    assert wire.counters.send_drops == 0
    assert nic.counters["port_blocked"] > 0, "the wire was never full: this shows nothing"
    nic.close()
    wire.close()


@pytest.mark.parametrize("name", ["stream", "dgram", "vde"])
def test_drop_what_the_wire_does_not_take_is_lost_and_counted(name: str, tmp_path: Path) -> None:
    """Nobody reads: the socket fills up, the card goes on, every frame is either on its way or counted."""
    wire, _ = WIRES[name](tmp_path)
    wire.overflow = "drop"
    nic, driver = card(wire)
    for n in range(2 * FRAMES):
        driver.send(frame(driver, n))
    counters = wire.counters
    assert nic.counters["port_blocked"] == 0
    assert counters.send_drops > 0
    assert counters.sent_frames + counters.send_drops == 2 * FRAMES
    nic.close()
    wire.close()


# ---------------------------------------------------------------------- to the card


class CardStation(Station):
    """The station of backend_station, behind a card with a small ring: a driver that looks now and then."""

    def __init__(self, nic: nicemu.Nic, driver: Driver) -> None:
        self.nic, self.driver = nic, driver
        self.gateway_mac = b""
        self.taken = 0

    def turn(self) -> None:
        for _ in range(4):
            self.nic.loop.turn(0.0005)

    def put(self, *frames: bytes) -> None:
        for data in frames:
            self.driver.send(data)

    def frames(self) -> list[bytes]:
        frames = [f.data for f in self.driver.receive()]
        self.taken += len(frames)
        return frames


class Receiver(Connection):
    """Counts segments that do not follow what came before: something was lost, or sent again."""

    out_of_order = 0

    def take_segment(self, segment: object) -> None:
        fresh = self.acknowledged and segment.data and segment.seq != self.acknowledged  # type: ignore[attr-defined]
        self.out_of_order += bool(fresh)
        super().take_segment(segment)  # type: ignore[arg-type]


def serve(data: bytes) -> int:
    """A local TCP server that sends this; its port."""
    server = socket.create_server(("127.0.0.1", 0))

    def run() -> None:
        with server, server.accept()[0] as connection:
            connection.sendall(data)

    threading.Thread(target=run, daemon=True).start()
    return int(server.getsockname()[1])


@pytest.mark.parametrize("joined", ["netdev", "vlan"])
def test_hold_a_tcp_receiver_on_a_tiny_ring_does_not_collapse(joined: str) -> None:
    """A megabyte comes to a ring of 8 buffers as if the ring were endless: no segment is lost, none comes twice.

    At a netdev of its own, and on a numbered VLAN, which is a hub that only the two are on.
    """
    data = bytes(range(251)) * 4178
    wire, hub = User(), Hub()
    assert wire.lossless
    if joined == "vlan":
        hub.connect(wire)
    nic, driver = card(hub.port() if joined == "vlan" else wire)
    station = CardStation(nic, driver)
    station.arp()
    receiver = Receiver(station, 42000, GATEWAY, serve(data)).connect()
    receiver.until(lambda: receiver.finished)
    assert receiver.received == data
    assert receiver.out_of_order == 0
    assert wire.user_counters.queue_full == 0
    assert wire.counters.receive_drops == 0
    assert int(nic.regs.MPC) == 0
    assert all(port.counters.receive_drops == 0 for port in hub.ports)
    nic.close()
    hub.close()
    wire.close()


def test_drop_what_a_tiny_ring_loses_is_in_the_cards_own_counter() -> None:
    """Silicon's way: the ring overflows, Missed Packets Count says how often, and no frame is unaccounted for."""
    wire = User()
    nic, driver = card(wire, overflow="drop")
    station = CardStation(nic, driver)
    station.arp()
    before = station.taken
    handed = nic.counters["port_received_frames"]
    receiver = Receiver(station, 42001, GATEWAY, serve(bytes(1 << 20))).connect()
    deadline = time.monotonic() + 30
    while not nic.regs.MPC:
        assert time.monotonic() < deadline
        receiver.take()
        for _ in range(50):
            nic.loop.turn(0.0005)
    for _ in range(5):
        receiver.take()
    handed = nic.counters["port_received_frames"] - handed
    assert station.taken - before + int(nic.regs.MPC) == handed
    assert wire.counters.receive_drops == 0
    nic.close()
    wire.close()
