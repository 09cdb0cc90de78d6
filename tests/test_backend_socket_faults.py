"""What happens to a wire over sockets when its peer, the kernel or the program misbehaves: defined, and counted."""

from __future__ import annotations

import contextlib
import errno
import gc
import hashlib
import os
import resource
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from backend_station import Station

import nicemu
from nicemu.backends import Backend, Dgram, Stream
from nicemu.drivers import Driver, attach

FRAME = b"\xff" * 6 + bytes(range(54))


def framed(*frames: bytes) -> bytes:
    return b"".join(struct.pack(">I", len(frame)) + frame for frame in frames)


def unframed(data: bytes) -> list[bytes]:
    frames = []
    while data:
        (length,) = struct.unpack_from(">I", data)
        assert len(data) >= 4 + length, "the last frame is cut"
        frames.append(data[4 : 4 + length])
        data = data[4 + length :]
    return frames


def numbered(number: int, length: int) -> bytes:
    """A broadcast that says which it is."""
    return (b"\xff" * 6 + number.to_bytes(4, "big")).ljust(length, b"\0")


class Served:
    """A stream at a Unix socket or TCP port, and raw peers."""

    def __init__(self, folder: Path, tcp: bool = False) -> None:
        self.tcp = tcp
        where = {"addr_host": "127.0.0.1", "addr_port": 0} if tcp else {"addr_path": folder / "s"}
        self.wire = Stream(server=True, **where)  # type: ignore[arg-type]
        self.station = Station(self.wire)

    def peer(self) -> socket.socket:
        """A connected peer that the wire has taken."""
        end = socket.socket(socket.AF_INET if self.tcp else socket.AF_UNIX)
        host, _, port = self.wire.address.rpartition(":")
        end.connect((host, int(port)) if self.tcp else self.wire.address)
        self.station.wait(lambda: self.wire.link_up)
        return end

    def gone(self) -> None:
        """Waits until the wire has noticed that the peer left."""
        self.station.wait(lambda: not self.wire.link_up)

    def hears(self, end: socket.socket, *frames: bytes) -> None:
        """The peer's frames reach the station, and nothing else does."""
        end.sendall(framed(*frames))
        self.station.wait(lambda: len(self.station.wire.received) >= len(frames))
        assert self.station.frames() == list(frames)


@pytest.fixture(params=[False, True], ids=["unix", "tcp"])
def served(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Served]:
    found = Served(tmp_path, request.param)
    yield found
    found.station.close()


# ---------------------------------------------------------------------- the peer of a stream


@pytest.mark.parametrize("cut", [1, 3, 4, 5, 63])
@pytest.mark.parametrize("reset", [False, True])
def test_a_frame_that_ends_with_its_connection_is_gone_and_counted(served: Served, cut: int, reset: bool) -> None:
    with served.peer() as end:
        end.sendall(framed(FRAME, FRAME)[: 64 + cut])
        served.station.wait(lambda: served.wire.counters.received_frames == 1)
        if reset:
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    served.gone()
    assert served.station.frames() == [FRAME]
    assert served.wire.stream_counters.truncated == served.wire.counters.receive_drops == 1
    if reset and served.tcp:
        assert served.wire.error is not None
        assert served.wire.error.errno == errno.ECONNRESET
    else:
        assert served.wire.error is None
    with served.peer() as end:
        served.hears(end, FRAME[::-1])


def test_a_half_closed_peer_is_gone(served: Served) -> None:
    with served.peer() as end:
        end.sendall(framed(FRAME))
        end.shutdown(socket.SHUT_WR)
        served.gone()
        assert served.station.frames() == [FRAME]
    with served.peer() as end:
        served.hears(end, FRAME)
    assert served.wire.stream_counters.connects == 2


@pytest.mark.parametrize("length", [16385, 65536, 69632])
def test_a_frame_too_long_for_any_card_is_passed_over(served: Served, length: int) -> None:
    with served.peer() as end:
        end.settimeout(0)
        data = framed(FRAME, bytes(length), FRAME)
        while data:
            with contextlib.suppress(BlockingIOError):
                data = data[end.send(data[:5000]) :]
            served.station.turn()
        served.station.wait(lambda: len(served.station.wire.received) == 2)
        assert served.station.frames() == [FRAME, FRAME]
    assert served.wire.counters.receive_drops == 1


@pytest.mark.parametrize("length", [69633, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF])
def test_a_peer_that_speaks_another_protocol_is_sent_away(served: Served, length: int) -> None:
    with served.peer() as end:
        end.sendall(framed(FRAME) + struct.pack(">I", length))
        served.gone()
        assert served.station.frames() == [FRAME]
        end.settimeout(30)
        assert end.recv(1) == b""
    assert served.wire.stream_counters.protocol_errors == 1
    assert served.wire.error is not None
    assert served.wire.error.errno == errno.EPROTO
    with served.peer() as end:
        served.hears(end, FRAME)


def test_a_length_of_0_is_no_frame(served: Served) -> None:
    with served.peer() as end:
        end.sendall(framed(FRAME, b"", b"", FRAME))
        served.station.wait(lambda: len(served.station.wire.received) == 2)
    assert served.wire.counters.receive_drops == 2


def test_headers_and_frames_may_come_byte_by_byte(served: Served) -> None:
    frames = [bytes([i]) * (60 + i) for i in range(5)]
    with served.peer() as end:
        for byte in framed(*frames):
            end.sendall(bytes([byte]))
            served.station.turn()
        served.station.wait(lambda: len(served.station.wire.received) == 5)
    assert served.station.frames() == frames


def test_the_next_connection_begins_with_a_whole_frame(served: Served) -> None:
    """The peer does not read until the socket is full, and goes; what is held back by then is for the next."""
    frames = [bytes([i]) * 1500 for i in range(100)]
    deadline = time.monotonic() + 30
    with served.peer():
        while served.station.wire.deliver(frames) == len(frames):
            assert time.monotonic() < deadline
            served.station.turn()
    served.gone()
    data, last = b"", 0
    with served.peer() as end:
        end.setblocking(False)
        while not data.endswith(framed(FRAME)):
            assert time.monotonic() < deadline
            served.station.turn()
            last = last or served.station.wire.deliver([FRAME])
            with contextlib.suppress(BlockingIOError):
                data += end.recv(1 << 20)
    assert unframed(data)[-1] == FRAME


def test_a_slow_reader_of_a_small_socket_gets_every_byte() -> None:
    near, far = socket.socketpair()
    near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2048)
    lengths = [60 + 37 * i % 1450 + 3000 * (i % 5 == 4) for i in range(200)]
    frames = [bytes((i + j) & 255 for j in range(length)) for i, length in enumerate(lengths)]
    station = Station(Stream(fd=near))
    far.setblocking(False)
    data, sent = b"", 0
    deadline = time.monotonic() + 30
    while len(data) < len(framed(*frames)) and time.monotonic() < deadline:
        sent += station.wire.deliver(frames[sent : len(data) // 800 + 100])
        station.turn()
        with contextlib.suppress(BlockingIOError):
            data += far.recv(991)
    assert unframed(data) == frames
    station.close()
    far.close()


def test_what_a_peer_left_behind_is_counted_to_the_frame() -> None:
    near, far = socket.socketpair()
    near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    wire = Stream(fd=near)
    station = Station(wire)
    station.put(*(bytes([number]) * 700 for number in range(60)))
    station.turn()
    assert wire.counters.sent_frames == 60
    far.setblocking(False)
    data = b""
    with contextlib.suppress(BlockingIOError):
        while piece := far.recv(1 << 16):
            data += piece
    far.close()
    station.wait(lambda: not wire.link_up)
    station.turn()
    whole = len(data) // 704
    assert 0 < whole < 60
    assert wire.counters.sent_frames - wire.counters.send_drops == whole
    station.close()


def test_no_signal_comes_of_a_peer_that_is_gone() -> None:
    code = """
import signal, socket
signal.signal(signal.SIGPIPE, signal.SIG_DFL)
from nicemu.backends import Dgram, Hub, PythonBackend, Stream
for kind, make in ((socket.SOCK_STREAM, Stream), (socket.SOCK_DGRAM, Dgram)):
    near, far = socket.socketpair(socket.AF_UNIX, kind)
    wire, hub, card = make(fd=near), Hub(), PythonBackend()
    hub.connect(wire)
    hub.connect(card)
    far.close()
    for _ in range(5):
        card.deliver([bytes(60)] * 3)
        hub.turn()
    assert wire.counters.send_drops, wire.counters
print("alive")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=50)
    assert (done.returncode, done.stdout, done.stderr) == (0, "alive\n", "")


def test_no_descriptor_left_to_accept_with(tmp_path: Path) -> None:
    loop = nicemu.Loop()
    wire = Stream(server=True, addr_path=tmp_path / "s")
    nic = nicemu.create("e1000", loop=loop, backend=wire)
    end = socket.socket(socket.AF_UNIX)
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = max(int(fd) for fd in os.listdir("/proc/self/fd"))
    fillers = [os.dup(0)]
    while fillers[-1] < used + 1:
        fillers.append(os.dup(0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (fillers[-1] + 1, before[1]))
    try:
        end.connect(str(tmp_path / "s"))
        turns, deadline = 0, time.monotonic() + 30
        while wire.stream_counters.refused < 4:
            assert time.monotonic() < deadline
            loop.turn(1)
            turns += 1
        assert not wire.link_up
        assert turns < 40, "the loop does not spin"
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
        for filler in fillers:
            os.close(filler)
    until = time.monotonic() + 30
    while not wire.link_up and time.monotonic() < until:
        loop.turn(0.05)
    assert wire.link_up
    end.close()
    nic.close()
    wire.close()


def test_a_client_comes_back_as_often_as_its_server() -> None:
    loop = nicemu.Loop()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    wire = Stream(addr_host="127.0.0.1", addr_port=port, reconnect_ms=10)
    nic = nicemu.create("e1000", loop=loop, backend=wire)

    def until(condition: object) -> None:
        deadline = time.monotonic() + 30
        while not condition():  # type: ignore[operator]
            assert time.monotonic() < deadline
            loop.turn(0.05)

    until(lambda: wire.stream_counters.attempts >= 3)
    assert wire.error is not None
    assert wire.error.errno == errno.ECONNREFUSED
    for times in (1, 2, 3):
        with socket.create_server(("127.0.0.1", port), reuse_port=False) as server:
            until(lambda: wire.link_up and nic.wire_up)
            end, _ = server.accept()
            with end:
                assert wire.stream_counters.connects == times
        until(lambda: not wire.link_up and not nic.wire_up)
    nic.close()
    wire.close()


# ---------------------------------------------------------------------- datagrams


@pytest.fixture
def paths(tmp_path: Path) -> tuple[Path, Path]:
    return tmp_path / "wire", tmp_path / "peer"


def bound(path: Path) -> socket.socket:
    end = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    end.bind(str(path))
    end.settimeout(30)
    return end


def test_empty_and_overlong_datagrams_are_lost_and_counted(paths: tuple[Path, Path]) -> None:
    local, remote = paths
    with bound(remote) as peer:
        wire = Dgram(local_path=local, remote_path=remote)
        station = Station(wire)
        for datagram in (FRAME, b"", bytes(16384), bytes(16385), bytes(60000), FRAME):
            peer.sendto(datagram, str(local))
            station.turn()
        station.wait(lambda: len(station.wire.received) == 3)
        assert station.frames() == [FRAME, bytes(16384), FRAME]
        assert wire.counters.receive_drops == 3
        station.close()


def test_a_frame_that_comes_when_its_socket_was_just_found_empty_is_not_lost() -> None:
    """A Unix socket has no error queue: asked for it, it gives the next datagram."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    sent = [numbered(number, 60) for number in range(5000)]
    with Dgram(fd=ours) as wire, theirs:
        station = Station(wire)
        sender = threading.Thread(target=lambda: [theirs.send(frame) for frame in sent])
        sender.start()
        while sender.is_alive():
            station.turn()
        sender.join()
        station.wait(lambda: len(station.wire.received) == len(sent) or wire.counters.errors)
        assert station.frames() == sent
        assert (wire.counters.send_drops, wire.counters.receive_drops, wire.counters.errors) == (0, 0, 0)
        station.close()


def dealt_with(wire: Backend) -> int:
    """Frames that came, or were lost and counted."""
    return wire.counters.received_frames + wire.counters.receive_drops


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_what_the_kernel_had_no_room_for_is_counted(family: int) -> None:
    """UDP: the receive buffer of a socket that is not read for a while."""
    host = "127.0.0.1" if family == socket.AF_INET else "::1"
    ours, theirs = (socket.socket(family, socket.SOCK_DGRAM) for _ in range(2))
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
    for end in (ours, theirs):
        end.bind((host, 0))
    ours.connect(theirs.getsockname())
    theirs.connect(ours.getsockname())
    with Dgram(fd=ours) as wire, theirs:
        station = Station(wire)
        for burst in (1, 2):
            sent = [numbered(number, 60) for number in range(1000)]
            for frame in sent:
                theirs.send(frame)
            station.wait(lambda burst=burst: dealt_with(wire) >= 1000 * burst)
            heard = station.frames()
            assert 0 < len(heard) < 1000
            assert heard == sent[: len(heard)]
        assert dealt_with(wire) == 2000
        station.close()


def test_a_unix_peer_that_is_gone_loses_and_its_successor_hears(paths: tuple[Path, Path]) -> None:
    local, remote = paths
    wire = Dgram(local_path=local, remote_path=remote)
    station = Station(wire)
    station.put(FRAME)
    station.turn()
    assert wire.counters.send_drops == 1, "nobody was there yet"
    for number in range(3):
        with bound(remote) as peer:
            station.put(bytes([number]) * 60)
            station.turn()
            assert peer.recv(1 << 16) == bytes([number]) * 60
            peer.sendto(FRAME, str(local))
            station.wait(lambda: station.wire.received)
            assert station.frames() == [FRAME]
        remote.unlink()
        drops = wire.counters.send_drops
        station.put(FRAME, FRAME)
        station.turn()
        assert wire.counters.send_drops == drops + 2
    station.close()
    assert not local.exists()


def test_a_peer_that_is_connected_to_our_address_is_served_too(paths: tuple[Path, Path]) -> None:
    local, remote = paths
    wire = Dgram(local_path=local, remote_path=remote)
    station = Station(wire)
    for _ in range(2):
        with bound(remote) as peer:
            peer.connect(str(local))
            sent = [bytes([i]) * 60 for i in range(40)]
            station.put(*sent)
            got: list[bytes] = []
            peer.settimeout(0)
            station.wait(lambda peer=peer, got=got: take(station, peer, got) == 40)
            assert got == sent
            peer.send(FRAME)
            station.wait(lambda: station.wire.received)
            assert station.frames() == [FRAME]
        remote.unlink()
    station.close()


def take(station: Station, peer: socket.socket, got: list[bytes]) -> int:
    """Turns, and takes what a peer that does not wait has; how much that is by now."""
    station.turn()
    with contextlib.suppress(BlockingIOError):
        while True:
            got.append(peer.recv(1 << 16))
    return len(got)


def test_udp_to_a_closed_port_loses_counts_and_goes_on() -> None:
    ports = []
    for _ in range(2):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind(("127.0.0.1", 0))
            ports.append(probe.getsockname()[1])
    host = {"local_host": "127.0.0.1", "remote_host": "127.0.0.1"}
    wire = Dgram(local_port=ports[0], remote_port=ports[1], **host)  # type: ignore[arg-type]
    loop = nicemu.Loop()
    nic = nicemu.create("e1000", memory=nicemu.GuestMemory(8 << 20), loop=loop, backend=wire)
    driver = attach(nic)
    driver.start()
    for _ in range(40):  # more often than a dead descriptor is forgiven
        driver.send(FRAME)
        loop.turn(0)
        loop.turn(0)
    loop.turn(0)
    assert wire.link_up
    assert wire.counters.errors >= wire.counters.send_drops > 10
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        peer.bind(("127.0.0.1", ports[1]))
        peer.settimeout(30)
        driver.send(FRAME)
        loop.turn(0)
        assert peer.recv(1 << 16)[:60] == FRAME
        peer.sendto(FRAME, ("127.0.0.1", ports[0]))
        deadline = time.monotonic() + 30
        while not (got := driver.receive()):
            assert time.monotonic() < deadline
            loop.turn(0.05)
        assert [frame.data for frame in got] == [FRAME]
    nic.close()
    wire.close()


def test_a_frame_too_long_for_the_socket_is_lost_alone() -> None:
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    far.settimeout(30)
    wire = Dgram(fd=near)
    station = Station(wire)
    station.put(FRAME, bytes(16000), FRAME[::-1])
    station.turn()
    assert [far.recv(1 << 16) for _ in range(2)] == [FRAME, FRAME[::-1]]
    assert wire.counters.send_drops == wire.counters.errors == 1
    station.close()
    far.close()


def test_multicast_does_not_return_ones_own_frames() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    wires = [Dgram(remote_host="230.0.0.1", remote_port=port, local_host="127.0.0.1") for _ in range(3)]
    stations = [Station(wire) for wire in wires]
    stations[0].put(FRAME)
    stations[0].turn()
    stations[0].wait(lambda: [s.turn() for s in stations] and stations[1].wire.received and stations[2].wire.received)
    for station in stations:
        station.turn()
    assert [station.frames() for station in stations] == [[], [FRAME], [FRAME]]
    for station in stations:
        station.close()


# ---------------------------------------------------------------------- room


def card(loop: nicemu.Loop, wire: Backend, **options: object) -> tuple[nicemu.Nic, Driver]:
    nic = nicemu.create("e1000", memory=nicemu.GuestMemory(8 << 20), loop=loop, backend=wire)
    driver = attach(nic, **options)  # type: ignore[arg-type]
    driver.start()
    return nic, driver


def pair_of(kind: int) -> tuple[Backend, socket.socket]:
    near, far = socket.socketpair(socket.AF_UNIX, kind)
    return (Stream(fd=near) if kind == socket.SOCK_STREAM else Dgram(fd=near)), far


KINDS = pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM], ids=["stream", "dgram"])


@KINDS
@pytest.mark.parametrize("overflow", ["hold", "drop"])
def test_a_peer_that_does_not_read(kind: int, overflow: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def impatient(condition: Callable[[], bool], what: str, seconds: float = 0) -> None:
        if not condition():
            raise nicemu.drivers.DriverError(what)

    loop = nicemu.Loop()
    wire, far = pair_of(kind)
    wire.overflow = overflow
    nic, driver = card(loop, wire)
    monkeypatch.setattr(driver, "wait", impatient)
    sent = [bytes([i & 255]) * 1500 for i in range(1000)]
    gone = refused = 0
    while gone < len(sent) and refused < 100:
        try:
            driver.send(sent[gone])
            gone, refused = gone + 1, 0
        except nicemu.drivers.DriverError:
            refused += 1
        loop.turn(0)
    far.setblocking(False)
    data, datagrams = b"", []
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        loop.turn(0.01)
        with contextlib.suppress(BlockingIOError):
            while piece := far.recv(1 << 16):
                data += piece
                datagrams.append(piece)
        got = len(datagrams) if kind == socket.SOCK_DGRAM else data.count(b"\0\0\x05\xdc")
        if got + wire.counters.send_drops >= gone:
            break
    frames = datagrams if kind == socket.SOCK_DGRAM else unframed(data)
    assert len(frames) + wire.counters.send_drops == gone
    if overflow == "hold":
        assert wire.counters.send_drops == 0
        assert frames == sent[:gone]
        assert 256 < gone < len(sent), "the ring was full"
    else:
        assert wire.counters.send_drops > 0
        assert gone == len(sent)
    nic.close()
    wire.close()
    far.close()


@KINDS
def test_a_card_without_room_leaves_the_socket_alone(kind: int) -> None:
    loop = nicemu.Loop()
    wire, far = pair_of(kind)
    nic, driver = card(loop, wire, rx_count=8)
    far.setblocking(False)
    sent, got = 0, []
    for _ in range(200):  # until neither ring nor queues nor socket have room
        loop.turn(0)
        with contextlib.suppress(BlockingIOError):
            while sent < 3000:
                frame = numbered(sent, 1500)
                far.sendall(framed(frame) if kind == socket.SOCK_STREAM else frame)
                sent += 1
    assert sent < 3000
    used, until = time.process_time(), time.monotonic() + 0.3
    while (left := until - time.monotonic()) > 0:
        loop.turn(left)
    assert time.process_time() - used < 0.1, "a wire that is held costs nothing"
    deadline = time.monotonic() + 30
    while len(got) < sent and time.monotonic() < deadline:
        got += [int.from_bytes(f.data[6:10], "big") for f in driver.receive()]
        loop.turn(0)
    assert got == list(range(sent))
    assert wire.counters.receive_drops == 0
    nic.close()
    wire.close()
    far.close()


def test_a_held_wire_whose_peer_left_still_brings_what_came() -> None:
    loop = nicemu.Loop()
    wire, far = pair_of(socket.SOCK_STREAM)
    nic, driver = card(loop, wire, rx_count=8)
    far.setblocking(False)
    sent = 0
    with contextlib.suppress(BlockingIOError):
        while True:
            far.send(framed(numbered(sent, 60)))
            sent += 1
            loop.turn(0)
    far.close()
    used, until = time.process_time(), time.monotonic() + 0.2
    while (left := until - time.monotonic()) > 0:
        loop.turn(left)
    assert time.process_time() - used < 0.08
    assert wire.link_up, "its end comes behind its frames"
    assert wire.counters.received_frames < sent
    deadline = time.monotonic() + 30
    while wire.link_up and time.monotonic() < deadline:
        driver.receive()
        loop.turn(0)
    assert wire.counters.received_frames == sent
    assert not nic.wire_up
    nic.close()
    wire.close()


# ---------------------------------------------------------------------- signals, processes


@KINDS
def test_a_storm_of_signals_neither_loses_nor_doubles_a_byte(kind: int) -> None:
    a, b = socket.socketpair(socket.AF_UNIX, kind)
    make = Stream if kind == socket.SOCK_STREAM else Dgram
    near, far = Station(make(fd=a)), Station(make(fd=b))
    frames = [os.urandom(60 + i % 1000) for i in range(500)]
    caught = [0]

    def count(*_: object) -> None:
        caught[0] += 1

    old = signal.signal(signal.SIGALRM, count)
    signal.setitimer(signal.ITIMER_REAL, 1e-4, 1e-4)
    sums = [hashlib.sha256(), hashlib.sha256()]
    moved = [0, 0]
    sent = [0, 0]
    total = 20_000
    try:
        deadline = time.monotonic() + 30
        while min(moved) < total and time.monotonic() < deadline:
            for end, station in enumerate((near, far)):
                room = min(total, moved[1 - end] + 100) - sent[end]
                start = sent[end] % len(frames)
                sent[end] += station.wire.deliver(frames[start : start + max(room, 0)])
                station.turn()
                for frame in station.frames():
                    sums[end].update(frame)
                    moved[end] += 1
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)
    assert moved == [total, total]
    expected = hashlib.sha256(b"".join(frames) * (total // len(frames))).digest()
    assert [s.digest() for s in sums] == [expected, expected]
    assert caught[0] > 100
    near.close()
    far.close()


def test_every_descriptor_closes_on_exec(tmp_path: Path) -> None:
    gc.collect()
    before = set(os.listdir("/proc/self/fd"))
    near, far = socket.socketpair()
    os.set_inheritable(near.fileno(), True)
    wires: list[Backend] = [
        Stream(fd=near),
        Stream(server=True, addr_path=tmp_path / "s"),
        Dgram(local_path=tmp_path / "a", remote_path=tmp_path / "b"),
        Dgram(remote_host="230.0.0.1", remote_port=9999, local_host="127.0.0.1"),
    ]
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(tmp_path / "s"))
        wires[1].turn()
        assert wires[1].link_up
        new = set(os.listdir("/proc/self/fd")) - before
        live = [int(fd) for fd in new if os.path.exists(f"/proc/self/fd/{fd}")]
        assert len(live) > 7
        assert [fd for fd in live if os.get_inheritable(fd)] == []
    for wire in wires:
        wire.close()
    far.close()


def test_a_forked_child_takes_nothing_from_its_parent(tmp_path: Path) -> None:
    loop = nicemu.Loop()
    wire, far = pair_of(socket.SOCK_STREAM)
    server = Stream(server=True, addr_path=tmp_path / "s")
    nic, driver = card(loop, wire)
    other = nicemu.create("e1000", loop=loop, backend=server)
    loop.turn(0)
    child = os.fork()
    if not child:
        nic.close()
        other.close()
        wire.close()
        server.close()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert (tmp_path / "s").exists()
    far.sendall(framed(FRAME))
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(tmp_path / "s"))
        deadline = time.monotonic() + 30
        got: list[object] = []
        while not (got and server.link_up) and time.monotonic() < deadline:
            loop.turn(0.05)
            got += driver.receive()
        assert len(got) == 1
        assert server.link_up
    for closes in (nic, other, wire, server):
        closes.close()
    far.close()
