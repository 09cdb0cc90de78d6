"""Wires over sockets: stream, dgram and their older names carry every frame both ways, unchanged and in order."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from backend_station import Station

from nicemu.backends import Backend, Dgram, Stream
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


@pytest.mark.parametrize("ends", [unix_dgram, dgram_pair, udp, multicast, unix_stream, tcp, stream_pair])
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


def test_a_client_without_a_server_says_so(tmp_path: Path) -> None:
    with pytest.raises(BackendError, match="start its server first, or give reconnect-ms"):
        Stream(addr_path=tmp_path / "nobody")
