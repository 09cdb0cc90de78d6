"""Wires over sockets: stream, dgram and their older names carry every frame both ways, unchanged and in order."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from backend_station import Station

from nicemu.backends import Backend, Dgram, L2tpv3, Stream, parse
from nicemu.errors import BackendError, ConfigurationError

Ends = Callable[[Path], tuple[Backend, Backend]]


def frames(count: int, seed: int, longest: int = 1514) -> list[bytes]:
    return [
        i.to_bytes(4, "big") + bytes((seed * i) % 251 for _ in range(10 + seed * i % longest)) for i in range(count)
    ]


def free_port(kind: int) -> int:
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def unix_dgram(folder: Path) -> tuple[Backend, Backend]:
    a, b = folder / "a", folder / "b"
    return Dgram(local_path=a, remote_path=b), Dgram(local_path=b, remote_path=a)


def dgram_pair(folder: Path) -> tuple[Backend, Backend]:
    a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    return Dgram(fd=a), Dgram(fd=b.detach())


def udp(folder: Path) -> tuple[Backend, Backend]:
    a, b = free_port(socket.SOCK_DGRAM), free_port(socket.SOCK_DGRAM)
    host = {"local_host": "127.0.0.1", "remote_host": "127.0.0.1"}
    return Dgram(local_port=a, remote_port=b, **host), Dgram(local_port=b, remote_port=a, **host)  # type: ignore[arg-type]


def multicast(folder: Path) -> tuple[Backend, Backend]:
    port = free_port(socket.SOCK_DGRAM)
    a, b = (Dgram(local_host="127.0.0.1", remote_host="230.0.0.1", remote_port=port) for _ in range(2))
    return a, b


def unix_stream(folder: Path) -> tuple[Backend, Backend]:
    return Stream(server=True, addr_path=folder / "a"), Stream(addr_path=folder / "a")


def tcp(folder: Path) -> tuple[Backend, Backend]:
    server = Stream(server=True, addr_host="127.0.0.1", addr_port=0)
    return server, Stream(addr_host="127.0.0.1", addr_port=server.address.rpartition(":")[2])


def abstract(folder: Path) -> tuple[Backend, Backend]:
    return Stream(server=True, addr_path=folder, addr_abstract=True), Stream(addr_path=folder, addr_abstract=True)


def stream_pair(folder: Path) -> tuple[Backend, Backend]:
    a, b = socket.socketpair()
    return Stream(fd=a), Stream(fd=b.detach())


def exchange(near: Station, far: Station, out: list[bytes], back: list[bytes]) -> None:
    """Sends both lists at once, as fast as the wires take them (a hub holds 100 frames); they arrive."""
    gone = come = 0
    for _ in range(20_000):
        near.turn()
        far.turn()
        gone += near.wire.deliver(out[gone : len(far.wire.received) + 100])
        come += far.wire.deliver(back[come : len(near.wire.received) + 100])
        if len(far.wire.received) == len(out) and len(near.wire.received) == len(back):
            break
    assert far.wire.received == out
    assert near.wire.received == back


@pytest.mark.parametrize("ends", [unix_dgram, dgram_pair, udp, multicast, unix_stream, abstract, tcp, stream_pair])
def test_frames_pass_both_ways_in_order(ends: Ends, tmp_path: Path) -> None:
    here, there = ends(tmp_path)
    near, far = Station(here), Station(there)
    near.wait(lambda: near.turn() or far.turn() or (here.link_up and there.link_up))
    exchange(near, far, frames(700, 3), frames(500, 7))
    for wire in (here, there):
        assert wire.counters.send_drops == wire.counters.receive_drops == wire.counters.errors == 0
    near.close()
    far.close()
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("make", [Dgram, Stream])
def test_nothing_given_is_answered_with_what_is_expected(make: type[Backend]) -> None:
    with pytest.raises(ConfigurationError, match="expected"):
        make()  # type: ignore[call-arg]


def keeps_alive(peer: tuple[str, int]) -> bool:
    """SO_KEEPALIVE of this process's socket that is connected to the peer."""
    for number in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            if not os.readlink(f"/proc/self/fd/{number}").startswith("socket:"):
                continue
            with socket.socket(fileno=os.dup(int(number))) as copy:
                if copy.getpeername() != peer:
                    continue
                return bool(copy.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE))
    raise AssertionError(f"nothing is connected to {peer}")


def test_a_loose_abstract_name_is_another_than_a_tight_one(tmp_path: Path) -> None:
    name = str(tmp_path)
    with Stream(server=True, addr_path=name, addr_abstract=True, addr_tight=False) as server:
        assert server.address == f"@{name}"
        with pytest.raises(BackendError, match="start its server first"):
            Stream(addr_path=name, addr_abstract=True)
        with socket.socket(socket.AF_UNIX) as peer:
            peer.connect(b"\0" + os.fsencode(name).ljust(107, b"\0"))
        with Stream(addr_path=name, addr_abstract=True, addr_tight=False, reconnect_ms=1) as client:
            Station(client).wait(lambda: client.link_up)


def test_the_first_free_port_of_a_range() -> None:
    with Stream(server=True, addr_host="127.0.0.1", addr_port=0) as first:
        taken = int(first.address.rpartition(":")[2])
        with Stream(server=True, addr_host="127.0.0.1", addr_port=taken, addr_to=min(taken + 50, 65535)) as second:
            assert taken < int(second.address.rpartition(":")[2]) <= taken + 50
        with pytest.raises(BackendError, match=f"cannot listen at 127.0.0.1:{taken}"):
            Stream(server=True, addr_host="127.0.0.1", addr_port=taken, addr_to=taken)


@pytest.mark.parametrize("wanted", [True, False])
def test_keep_alive(wanted: bool) -> None:
    with (
        Stream(server=True, addr_host="127.0.0.1", addr_port=0, addr_keep_alive=wanted) as server,
        socket.create_connection(("127.0.0.1", int(server.address.rpartition(":")[2]))) as peer,
    ):
        station = Station(server)
        station.wait(lambda: server.link_up)
        assert keeps_alive(peer.getsockname()) == wanted
        station.close()


def test_a_client_without_a_server_says_so(tmp_path: Path) -> None:
    with pytest.raises(BackendError, match="start its server first, or give reconnect-ms"):
        Stream(addr_path=tmp_path / "nobody")


# ---------------------------------------------------------------------- l2tpv3


def packet(session: int, cookie: int, frame: bytes, word: int = 0x30000) -> bytes:
    return struct.pack(">IIQ", word, session, cookie) + frame


def test_l2tpv3_takes_its_own_session_and_nothing_else() -> None:
    port = free_port(socket.SOCK_DGRAM)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        peer.bind(("127.0.0.1", 0))
        wire = L2tpv3(
            src="127.0.0.1", dst="127.0.0.1", udp=True, srcport=port, dstport=peer.getsockname()[1],
            txsession=7, rxsession=8, txcookie=0x1122334455667788, rxcookie=0x99, cookie64=True,
        )  # fmt: skip
        station = Station(wire)
        frame = bytes(range(60))
        for datagram in (
            packet(8, 0x99, frame),
            packet(9, 0x99, frame),
            packet(8, 0x98, frame),
            packet(8, 0x99, frame, 0x80030000),  # a control message
            packet(8, 0x99, frame, 0x20000),  # version 2
            packet(8, 0x99, b""),
            packet(8, 0x99, frame)[:11],
            packet(8, 0x99, frame[::-1]),
        ):
            peer.sendto(datagram, ("127.0.0.1", port))
        station.wait(lambda: len(station.wire.received) == 2)
        assert station.frames() == [frame, frame[::-1]]
        counters = wire.l2tpv3_counters
        assert (counters.bad_header, counters.bad_session, counters.bad_cookie) == (4, 1, 1)
        assert wire.counters.receive_drops == 6
        station.put(frame)
        station.turn()
        peer.settimeout(30)
        assert peer.recv(2048) == packet(7, 0x1122334455667788, frame)
        station.close()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("txsession=1", "needs src"),
        ("src=127.0.0.1,dst=127.0.0.1,udp=on,txsession=1", "needs srcport and dstport"),
        ("src=127.0.0.1,dst=127.0.0.1,txsession=0x100000000", "expected a number of 32 bits"),
        ("src=127.0.0.1,dst=127.0.0.1,txsession=1,txcookie=1", "expected both or neither"),
        ("src=127.0.0.1,dst=127.0.0.1,txsession=1,offset=257", "expected 0 to 256 bytes"),
    ],
)
def test_l2tpv3_mistakes(options: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        parse(f"l2tpv3,{options}")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("socket", "nothing given; expected one of: fd, listen, connect, mcast, udp"),
        ("socket,listen=:1,connect=:2", "listen and connect given"),
        ("socket,mcast=10.0.0.1:5", "no IPv4 multicast group"),
        ("socket,udp=127.0.0.1:5", "needs localaddr"),
        ("socket,connect=127.0.0.1", "expected host:port"),
        ("socket,fd=0x", "expected a number"),
        ("socket,fd=987654", "expected an open stream or datagram socket"),
        ("stream,addr.path=/x,addr.port=5", "options of inet and unix"),
        ("stream,addr.type=vsock", "expected one of: inet, unix, fd"),
        ("stream,addr.host=h,addr.port=5,addr.mptcp=on", "no option 'addr.mptcp'; expected one of: "),
        ("stream,addr.path=/x,addr.to=5", "addr.to is for addr.type=inet; here it is unix"),
        ("stream,addr.path=/x,addr.keep-alive=on", "addr.keep-alive is for addr.type=inet"),
        ("stream,addr.port=5,addr.abstract=on", "addr.abstract is for addr.type=unix"),
        ("stream,addr.port=5,addr.to=6", "addr.to=6 is the last port to try; expected server=on"),
        ("stream,server=on,addr.port=5,addr.to=4", "addr.to=4 is the last port to try"),
        ("stream,server=on,addr.path=/x,reconnect-ms=5", "for a client"),
        ("stream,addr.path=/" + "x" * 120, "expected 1 to 107"),
        ("dgram,local.path=/x", "expected local.path and remote.path"),
        ("dgram,local.port=70000,remote.host=127.0.0.1,remote.port=1", "not a port"),
    ],
)
def test_mistakes_say_what_is_expected(text: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        parse(text)


# ---------------------------------------------------------------------- between processes

STATION = """
import sys, time
import nicemu
from nicemu.backends import parse
from nicemu.drivers import attach
own, others, netdev = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
wire = parse(netdev)
nic = nicemu.create("e1000", memory=nicemu.GuestMemory(8 << 20), loop=nicemu.Loop(), backend=wire)
driver = attach(nic)
driver.start()
print("ready", flush=True)
sys.stdin.readline()
driver.wait(driver.link_up, "link")
heard = {}
for number in range(50):
    driver.send(b"\\xff" * 6 + bytes([2, 0, 0, 0, 0, own]) + number.to_bytes(2, "big") + bytes(46))
deadline = time.monotonic() + 40
while sum(map(len, heard.values())) < 50 * others and time.monotonic() < deadline:
    nic.loop.turn(0.05)
    for frame in driver.receive():
        heard.setdefault(frame.data[11], []).append(int.from_bytes(frame.data[12:14], "big"))
print(sorted((who, numbers == list(range(50))) for who, numbers in heard.items()), flush=True)
sys.stdin.readline()
"""


@pytest.mark.parametrize(
    "netdevs",
    [
        ("socket,listen=127.0.0.1:{port}", "socket,connect=127.0.0.1:{port}"),
        ("socket,mcast=230.0.0.1:{port},localaddr=127.0.0.1",) * 3,
    ],
    ids=["TCP between two", "multicast between three"],
)
def test_cards_in_several_programs_hear_one_another(netdevs: tuple[str, ...]) -> None:
    port = free_port(socket.SOCK_STREAM)
    stations: list[subprocess.Popen[str]] = []
    for own, netdev in enumerate(netdevs):
        command = [sys.executable, "-c", STATION, str(own), str(len(netdevs) - 1), netdev.format(port=port)]
        stations.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
        assert stations[-1].stdout is not None
        assert stations[-1].stdout.readline() == "ready\n"
    for line in ("go\n", "end\n"):
        for station in stations:
            assert station.stdin is not None
            station.stdin.write(line)
            station.stdin.flush()
        if line == "go\n":
            for own, station in enumerate(stations):
                assert station.stdout is not None
                assert station.stdout.readline() == f"{[(i, True) for i in range(len(stations)) if i != own]}\n"
    for station in stations:
        assert station.wait(30) == 0
        for pipe in (station.stdin, station.stdout):
            assert pipe is not None
            pipe.close()
