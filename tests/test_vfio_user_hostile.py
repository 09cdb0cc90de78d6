"""The vfio-user server with clients that mean ill, are broken, slow or gone: whatever one sends, the server answers in
bounded time, leaks nothing, and serves the next client as if nothing had happened."""

from __future__ import annotations

import array
import contextlib
import errno
import os
import random
import select
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import vfio_client as vfio
from vfio_client import CONFIG, Client, command
from vfio_served import Served, open_fds, served, serving

import nicemu
from nicemu.backends import Null
from nicemu.errors import ConfigurationError
from nicemu.hosts.vfio_user import Server
from nicemu.registers import Reset

__all__ = ["served"]

MTA = 0x5200
U32 = 0xFFFFFFFF
U64 = 0xFFFFFFFFFFFFFFFF
MAX_MESSAGE = (1 << 20) + 4096
TRIGGER, UNMASK = 0x24, 0x11


@contextlib.contextmanager
def unharmed(served: Served) -> Iterator[None]:
    """Whatever happens inside, the next client is served and no descriptor is left open."""
    served.check_alive()
    before = open_fds()
    yield
    served.check_alive()
    assert open_fds() == before
    assert served.call(lambda: served.server.maps) == []


@pytest.fixture
def ram() -> Iterator[int]:
    fd = os.memfd_create("ram")
    os.ftruncate(fd, 65536)
    yield fd
    os.close(fd)


@pytest.fixture
def event() -> Iterator[int]:
    fd = os.eventfd(0)
    yield fd
    os.close(fd)


def info(index: int = 0, argsz: int = 16) -> bytes:
    return struct.pack("=IIII", argsz, 0, index, 0)


def region_info(index: int = 0, argsz: int = 32) -> bytes:
    return struct.pack("=IIIIQQ", argsz, 0, index, 0, 0, 0)


def multi(*writes: bytes, count: int | None = None) -> bytes:
    return struct.pack("=Q", len(writes) if count is None else count) + b"".join(w.ljust(24, b"\0") for w in writes)


#: A correct request for every command, and whether it brings a memory descriptor (m) or an eventfd (e).
REQUESTS: dict[str, tuple[int, bytes, str]] = {
    "DMA_MAP": (vfio.DMA_MAP, vfio.dma_map(0, 0x1000), "m"),
    "DMA_UNMAP": (vfio.DMA_UNMAP, vfio.dma_unmap(0x7000, 0x1000), ""),
    "GET_INFO": (vfio.GET_INFO, info(), ""),
    "GET_REGION_INFO": (vfio.GET_REGION_INFO, region_info(), ""),
    "GET_REGION_IO_FDS": (vfio.GET_REGION_IO_FDS, info(), ""),
    "GET_IRQ_INFO": (vfio.GET_IRQ_INFO, info(), ""),
    "SET_IRQS": (vfio.SET_IRQS, vfio.irqs(TRIGGER), "e"),
    "REGION_READ": (vfio.REGION_READ, vfio.access(CONFIG, 0, 4), ""),
    "REGION_WRITE": (vfio.REGION_WRITE, vfio.access(0, MTA, 4, bytes(4)), ""),
    "DEVICE_RESET": (vfio.DEVICE_RESET, b"", ""),
    "REGION_WRITE_MULTI": (vfio.REGION_WRITE_MULTI, multi(vfio.access(0, MTA, 4)), ""),
    "DEVICE_FEATURE": (vfio.DEVICE_FEATURE, struct.pack("=II", 8, 1 << 16 | 1), ""),
}
UNSUPPORTED = {"GET_REGION_IO_FDS", "DEVICE_FEATURE"}
COMMANDS = sorted(REQUESTS)


# ------------------------------------------------------------------------------------------------- F1-F5: framing


@pytest.mark.parametrize("size", [0, 1, 15, MAX_MESSAGE + 1, U32])
def test_impossible_sizes_end_the_session(served: Served, size: int) -> None:
    with unharmed(served):
        with served.client() as client:
            good = command(vfio.REGION_READ, vfio.access(CONFIG, 0, 4), id=7)
            client.send(good + struct.pack("=HHIII", 1, vfio.GET_INFO, size, 0, 0))
            assert client.receive().id == 7, "what came before is answered"
            assert client.closed_by_server()
        assert served.counters()["protocol_errors"] == 1


@pytest.mark.parametrize("name", COMMANDS)
def test_header_without_its_payload(served: Served, name: str) -> None:
    number = REQUESTS[name][0]
    with unharmed(served), served.client() as client:
        expected = 0 if name == "DEVICE_RESET" else errno.EOPNOTSUPP if name == "GET_REGION_IO_FDS" else errno.EINVAL
        assert client.request(number).errno == expected


@pytest.mark.parametrize("name", COMMANDS)
def test_every_shorter_payload(served: Served, name: str) -> None:
    number, payload, _ = REQUESTS[name]
    with unharmed(served), served.client() as client:
        for length in range(len(payload)):
            assert client.request(number, payload[:length]).errno != 0, length


@pytest.mark.parametrize("pieces", ["bytes", "sixteen"])
def test_a_conversation_in_small_pieces(served: Served, ram: int, event: int, pieces: str) -> None:
    with unharmed(served), Client(served.path) as client:
        for id, (name, (number, payload, fd)) in enumerate(
            [("VERSION", (vfio.VERSION, vfio.version(), "")), *sorted(REQUESTS.items())]
        ):
            message = command(number, payload, id=id)
            step = 1 if pieces == "bytes" else max(1, len(message) // 16)
            fds = [{"m": ram, "e": event}[fd]] if fd else []
            for at in range(0, len(message), step):
                client.send(message[at : at + step], fds if at == 0 else ())
            reply = client.receive()
            failed = name in UNSUPPORTED or name == "DMA_UNMAP"
            assert (reply.id, bool(reply.errno)) == (id, failed), name
        assert served.call(lambda: served.server.maps) == [(0, 0x1000)]
        assert served.call(lambda: served.nic.memory.read(0, 4)) == bytes(4)


def test_descriptors_that_come_with_a_later_piece(served: Served, ram: int) -> None:
    message = command(vfio.DMA_MAP, vfio.dma_map(0, 0x1000))
    with unharmed(served), served.client() as client:
        client.send(message[:20])
        client.send(message[20:], [ram])
        assert client.receive().errno == 0
        os.pwrite(ram, b"shared", 0)
        assert served.call(lambda: served.nic.memory.read(0, 6)) == b"shared"


def test_many_messages_in_one_send(served: Served) -> None:
    with unharmed(served), served.client() as client:
        client.send(b"".join(command(vfio.REGION_READ, vfio.access(CONFIG, 0, 4), id=i) for i in range(2000)))
        assert [client.receive().id for _ in range(2000)] == list(range(2000))


@pytest.mark.parametrize("name", COMMANDS)
def test_the_end_at_every_byte(served: Served, ram: int, event: int, name: str) -> None:
    number, payload, fd = REQUESTS[name]
    message = command(number, payload)
    fds = [{"m": ram, "e": event}[fd]] if fd else []
    with unharmed(served):
        for length in range(len(message) + 1):
            with served.client() as client:
                client.send(message[:length], fds if length else ())
            served.wait_idle()


@pytest.mark.parametrize("number", [0, 11, 12, 14, 17, 18, 19, 99, 0xFFFF])
def test_commands_that_no_server_serves(served: Served, number: int) -> None:
    with unharmed(served), served.client() as client:
        for payload in (b"", bytes(8), b"\xff" * 64, bytes(70000)):
            assert client.request(number, payload).errno == errno.EOPNOTSUPP
        assert client.read(CONFIG, 0) == 0x100E8086


@pytest.mark.parametrize("flags", [0x20, 0x40, 0x80000000, 0xFFFFFF60])
def test_flags_without_meaning_are_ignored(served: Served, flags: int) -> None:
    with unharmed(served), served.client() as client:
        reply = client.request(vfio.REGION_READ, vfio.access(CONFIG, 0, 4), flags=flags)
        assert (reply.errno, reply.flags) == (0, vfio.REPLY)


@pytest.mark.parametrize("kind", [2, 3, 15])
def test_types_that_are_neither_command_nor_reply(served: Served, kind: int) -> None:
    with unharmed(served), served.client() as client:
        assert client.request(vfio.REGION_READ, vfio.access(CONFIG, 0, 4), flags=kind).errno == errno.EINVAL


def test_replies_to_nothing(served: Served) -> None:
    with unharmed(served), served.client() as client:
        for number in (vfio.DMA_READ, vfio.DMA_WRITE, vfio.REGION_READ, 0, 0xFFFF):
            client.send(command(number, bytes(48), flags=vfio.REPLY))
        assert client.read(CONFIG, 0) == 0x100E8086
        assert served.counters()["stray_replies"] == 5


@pytest.mark.parametrize("name", COMMANDS)
def test_no_reply_is_honoured(served: Served, ram: int, event: int, name: str) -> None:
    number, payload, fd = REQUESTS[name]
    fds = [{"m": ram, "e": event}[fd]] if fd else []
    with unharmed(served), served.client() as client:
        client.send(command(number, payload, id=1, flags=vfio.NO_REPLY), fds)
        client.send(command(number, payload[:1], id=2, flags=vfio.NO_REPLY))
        client.send(command(vfio.GET_INFO, info(), id=3))
        assert client.receive().id == 3


def test_random_messages(served: Served) -> None:
    """Shaped noise: valid headers, payloads of the right structure with random numbers, now and then anything.

    A million messages with NICEMU_THOROUGH set.
    """
    connections = 10_000 if os.environ.get("NICEMU_THOROUGH") else 200
    chance = random.Random(20240229)
    numbers = [0, 1, 2, 4, 8, 16, 24, 32, 0x1000, 0xFFF, 1 << 31, U32, 1 << 63, U64]

    def number(bits: int) -> int:
        return (chance.choice(numbers) if chance.random() < 0.8 else chance.getrandbits(64)) & ((1 << bits) - 1)

    def message() -> bytes:
        kind = chance.choice([*range(1, 11), 13, 15, 16, chance.randrange(65536)])
        size = chance.choice([0, 16, 20, 24, 32, 40, chance.randrange(100)])
        payload = b"".join(struct.pack("=I", number(32)) for _ in range(size // 4)) + bytes(size % 4)
        flags = chance.choice([0, 0, vfio.NO_REPLY, 1, chance.getrandbits(32)])
        whole = command(kind, payload, id=chance.getrandbits(16), flags=flags)
        return whole if chance.random() < 0.995 else whole[: chance.randrange(len(whole))] + chance.randbytes(64)

    with unharmed(served):
        served.call(lambda: served.server.set_dma_timeout(0.05))
        for _ in range(connections):
            with served.client() as client, contextlib.suppress(OSError, vfio.DisconnectedError):
                client.send(b"".join(message() for _ in range(100)))
                client.socket.shutdown(socket.SHUT_WR)
                while client.socket.recv(65536):
                    pass
            served.wait_idle()
        served.call(lambda: served.nic.reset(Reset.POWER))


# ------------------------------------------------------------------------------------------------- F6: version


@pytest.mark.parametrize("name", COMMANDS)
def test_nothing_works_before_version(served: Served, ram: int, event: int, name: str) -> None:
    number, payload, fd = REQUESTS[name]
    with unharmed(served), Client(served.path) as client:
        fds = [{"m": ram, "e": event}[fd]] if fd else []
        assert client.request(number, payload, fds=fds).errno == errno.EINVAL
        client.negotiate()
        assert client.read(CONFIG, 0) == 0x100E8086


def test_version_comes_once(served: Served) -> None:
    with unharmed(served), served.client() as client:
        assert client.request(vfio.VERSION, vfio.version()).errno == errno.EINVAL
        assert client.read(CONFIG, 0) == 0x100E8086


@pytest.mark.parametrize("minor", [0, 1, 2, 65535])
def test_minor_versions(served: Served, minor: int) -> None:
    with unharmed(served), Client(served.path) as client:
        reply = client.request(vfio.VERSION, vfio.version(minor=minor))
        assert struct.unpack_from("=HH", reply.payload) == (0, min(minor, 1))


BAD_VERSIONS = {
    "major": vfio.version(major=1),
    "no minor": b"\0\0",
    "empty": b"",
    "no NUL": vfio.version()[:-1],
    "no brace": b"\0\0\0\0" + b'{"capabilities":{}\0',
    "no JSON": b"\0\0\0\0hello\0",
    "no UTF-8": b"\0\0\0\0\xff\xfe\0",
    "empty text": b"\0\0\0\0\0",
    "a list": b"\0\0\0\0[]\0",
    "a number": b"\0\0\0\0" + b"7\0",
    "not a number": b"\0\0\0\0" + b'{"capabilities":{"max_data_xfer_size":NaN}}\0',
    "capabilities a list": b'\0\0\0\0{"capabilities":[]}\0',
    "deep": b"\0\0\0\0" + b"[" * 60000 + b"\0",
    "deep object": b"\0\0\0\0" + b'{"a":' * 10000 + b"1" + b"}" * 10000 + b"\0",
    "long number": b'\0\0\0\0{"capabilities":{"max_msg_fds":' + b"9" * 50000 + b"}}\0",
    "1 MiB": b"\0\0\0\0" + b'{"a":"' + b"x" * ((1 << 20) - 100) + b'"}\0',
    **{
        f"{key}={value!r}": vfio.version({key: value})
        for key, values in {
            "max_msg_fds": (-1, "16", 1.5, None, True, [], {}),
            "max_data_xfer_size": (0, -1, "1", 1e6, None, False),
            "max_dma_maps": (0, -5, "x"),
            "pgsizes": (0, -4096, {}),
            "write_multiple": (1, "true", None),
        }.items()
        for value in values
    },
}


@pytest.mark.parametrize("name", BAD_VERSIONS)
def test_versions_that_make_no_sense(served: Served, name: str) -> None:
    with unharmed(served), Client(served.path) as client:
        client.send(command(vfio.VERSION, BAD_VERSIONS[name]))
        assert client.receive().errno in (errno.EINVAL, errno.ENOTSUP)
        assert client.closed_by_server()


@pytest.mark.parametrize(
    "text",
    [
        b'{"capabilities":{"max_msg_fds":1,"max_msg_fds":16}}',
        b'{"capabilities":{"max_msg_fds":0}}',
        b'{"capabilities":{"max_data_xfer_size":9223372036854775808}}',
        b'{"capabilities":{"max_data_xfer_size":123456789012345678901234567890}}',
        b'{"capabilities":{"pgsizes":3,"twin_socket":{"supported":true},"unheard of":[1]}}',
        b'{"other":1}',
        b"{}",
    ],
)
def test_versions_that_are_odd_but_right(served: Served, text: bytes) -> None:
    with unharmed(served), Client(served.path) as client:
        assert client.request(vfio.VERSION, b"\0\0\0\0" + text + b"\0").errno == 0
        assert client.read(CONFIG, 0) == 0x100E8086


# ------------------------------------------------------------------------------------------------- F7: descriptors


@contextlib.contextmanager
def descriptors(tmp_path: Path) -> Iterator[dict[str, int]]:
    """One of every kind."""
    r, w = os.pipe()
    left, right = socket.socketpair()
    file = tmp_path / "file"
    file.write_bytes(bytes(8192))
    poll = select.epoll()
    kinds = {
        "pipe": r,
        "pipe's end": w,
        "directory": os.open(tmp_path, os.O_RDONLY),
        "socket": left.fileno(),
        "/dev/null": os.open("/dev/null", os.O_RDWR),
        "read-only file": os.open(file, os.O_RDONLY),
        "path": os.open(file, os.O_PATH),
        "epoll": poll.fileno(),
    }
    try:
        yield kinds
    finally:
        for name, fd in kinds.items():
            if name not in ("socket", "epoll"):
                os.close(fd)
        left.close()
        right.close()
        poll.close()


def test_wrong_kinds_of_descriptor(served: Served, tmp_path: Path) -> None:
    with unharmed(served), descriptors(tmp_path) as kinds, served.client() as client:
        for name, fd in kinds.items():
            assert client.map(0x100000, 0x1000, fd) != 0, name
            for flags in (TRIGGER, 0x14):
                assert client.set_irqs(flags, 0, 0, 1, fds=[fd]) == errno.EINVAL, name
        assert client.map(0x100000, 0x1000, kinds["read-only file"], flags=1) == 0, "read only is what was asked for"


@pytest.mark.parametrize("count", [2, 8, 9, 16, 17, 200, 253])
def test_too_many_descriptors(served: Served, ram: int, event: int, count: int) -> None:
    refused = errno.EINVAL if count <= 16 else errno.EMSGSIZE
    with unharmed(served), served.client() as client:
        before = open_fds()
        reply = client.request(vfio.DMA_MAP, vfio.dma_map(0, 0x1000), fds=[ram] * count)
        assert reply.errno == refused
        assert client.set_irqs(TRIGGER, 0, 0, 1, fds=[event] * count) == refused
        assert open_fds() == before
        assert client.map(0, 0x1000, ram) == 0


@pytest.mark.parametrize("name", sorted(set(COMMANDS) - {"DMA_MAP", "SET_IRQS"}))
def test_descriptors_where_none_belong(served: Served, ram: int, name: str) -> None:
    number, payload, _ = REQUESTS[name]
    with unharmed(served), served.client() as client:
        before = open_fds()
        for count in (1, 16, 200):
            client.request(number, payload, fds=[ram] * count)
            assert client.request(vfio.GET_INFO, info()).errno == 0
            assert open_fds() == before
        assert served.counters()["stray_fds"] >= 33


def test_descriptors_for_half_a_message(served: Served, ram: int) -> None:
    with unharmed(served), served.client() as client:
        message = command(vfio.DMA_MAP, vfio.dma_map(0, 0x1000))
        for at in range(len(message) - 1):
            client.send(message[at : at + 1], [ram])
        client.send(message[-1:])
        assert client.receive().errno == errno.EMSGSIZE


# ------------------------------------------------------------------------------------------------- F8, F9: memory

MAPS = {
    "nothing": (vfio.dma_map(0, 0), 1, errno.EINVAL),
    "wraps": (vfio.dma_map(U64 & ~0xFFF, 0x2000), 1, errno.EINVAL),
    "wraps, message": (vfio.dma_map(U64 & ~0xFFF, 0x2000), 0, errno.EINVAL),
    "all there is": (vfio.dma_map(0, U64), 1, errno.EINVAL),
    "offset wraps": (vfio.dma_map(0, 0x1000, offset=U64 & ~0xFFF), 1, errno.EINVAL),
    "offset negative": (vfio.dma_map(0, 0x1000, offset=1 << 63), 1, errno.EINVAL),
    "behind the file": (vfio.dma_map(0, 0x1000, offset=65536), 1, errno.EINVAL),
    "over the file's end": (vfio.dma_map(0, 0x2000, offset=65536 - 0x1000), 1, errno.EINVAL),
    "8 TiB and more": (vfio.dma_map(0, (8 << 40) + 4096), 1, errno.EINVAL),
    "no access": (vfio.dma_map(0, 0x1000, flags=0), 1, errno.EINVAL),
    "execute": (vfio.dma_map(0, 0x1000, flags=4), 1, errno.EINVAL),
    "short argsz": (vfio.dma_map(0, 0x1000, argsz=31), 1, errno.EINVAL),
    "no argsz": (vfio.dma_map(0, 0x1000, argsz=0), 0, errno.EINVAL),
    "newer flags": (vfio.dma_map(0, 0x1000, flags=0xF), 1, 0),
    "the last page": (vfio.dma_map(U64 & ~0xFFF, 0x1000), 1, 0),
    "part of a page": (vfio.dma_map(0x800, 0x123, offset=0x801), 1, 0),
    "huge, message": (vfio.dma_map(0, 1 << 63), 0, 0),
    "long argsz": (vfio.dma_map(0, 0x1000, argsz=4096), 1, 0),
}


@pytest.mark.parametrize("name", MAPS)
def test_maps(served: Served, ram: int, name: str) -> None:
    payload, fds, expected = MAPS[name]
    with unharmed(served), served.client() as client:
        assert client.request(vfio.DMA_MAP, payload, fds=[ram] * fds).errno == expected
        assert len(served.call(lambda: served.server.maps)) == (expected == 0)


@pytest.mark.parametrize("shared", [True, False])
def test_overlapping_maps(served: Served, ram: int, shared: bool) -> None:
    fd = ram if shared else None
    with unharmed(served), served.client() as client:
        assert client.map(0x10000, 0x4000, fd) == 0
        for address, size in ((0x10000, 0x4000), (0x10000, 0x1000), (0x13000, 0x1000), (0x12000, 0x4000)):
            assert client.map(address, size, fd) == errno.EEXIST
            assert client.map(address, size) == errno.EEXIST
        assert client.map(0xF000, 0x6000, fd) == errno.EEXIST
        assert client.map(0xF000, 0x1000, fd) == 0
        assert client.map(0x14000, 0x1000, fd) == 0


def test_the_address_space_ends_somewhere(served: Served) -> None:
    fd = os.memfd_create("huge")
    os.ftruncate(fd, 8 << 40)
    with unharmed(served), served.client() as client:
        results = [client.map(i << 44, 8 << 40, fd) for i in range(40)]
        assert set(results) == {0, errno.ENOMEM}
    os.close(fd)


def test_no_more_maps_than_agreed(served: Served) -> None:
    with unharmed(served), served.client() as client:
        for first in range(0, 65535, 4369):
            numbers = range(first, first + 4369)
            client.send(
                b"".join(command(vfio.DMA_MAP, vfio.dma_map(i << 12, 0x1000), flags=vfio.NO_REPLY) for i in numbers)
            )
            client.request(vfio.GET_INFO, info())
        assert client.map(1 << 40, 0x1000) == errno.ENOSPC
        assert client.unmap(0x5000, 0x1000) == 0
        assert client.map(1 << 40, 0x1000) == 0


def test_memory_that_shrinks_under_the_card(served: Served, ram: int) -> None:
    memory = served.nic.memory
    with unharmed(served), served.client() as client:
        client.map(0, 65536, ram)
        os.pwrite(ram, b"x" * 65536, 0)
        os.ftruncate(ram, 4096)
        assert served.call(lambda: memory.read(0, 8)) == b"x" * 8
        assert served.call(lambda: memory.read(0x8000, 8)) == bytes(8)
        served.call(lambda: memory.write(0xC000, b"lost"))
        assert served.call(lambda: memory.faults) >= 2
        assert client.unmap(0, 65536) == 0


UNMAPS = {
    "nothing there": (vfio.dma_unmap(0x90000, 0x1000), errno.ENOENT),
    "first part": (vfio.dma_unmap(0x10000, 0x1000), errno.ENOENT),
    "inner part": (vfio.dma_unmap(0x11000, 0x1000), errno.ENOENT),
    "two at once": (vfio.dma_unmap(0x10000, 0x8000), errno.ENOENT),
    "too long": (vfio.dma_unmap(0x10000, 0x9000), errno.ENOENT),
    "empty": (vfio.dma_unmap(0x10000, 0), errno.ENOENT),
    "wraps": (vfio.dma_unmap(0x10000, U64), errno.ENOENT),
    "all, with an address": (vfio.dma_unmap(0x10000, 0, flags=2), errno.EINVAL),
    "all, with a size": (vfio.dma_unmap(0, 0x4000, flags=2), errno.EINVAL),
    "with a dirty bitmap": (vfio.dma_unmap(0x10000, 0x4000, flags=1), errno.EINVAL),
    "short argsz": (vfio.dma_unmap(0x10000, 0x4000, argsz=23), errno.EINVAL),
}


@pytest.mark.parametrize("name", UNMAPS)
def test_unmaps_that_match_nothing(served: Served, ram: int, name: str) -> None:
    payload, expected = UNMAPS[name]
    with unharmed(served), served.client() as client:
        client.map(0x10000, 0x4000, ram)
        client.map(0x14000, 0x4000)
        reply = client.request(vfio.DMA_UNMAP, payload)
        assert (reply.errno, reply.payload) == (expected, payload)
        assert len(served.call(lambda: served.server.maps)) == 2
        assert client.unmap(0x10000, 0x4000) == 0
        assert client.unmap(0x10000, 0x4000) == errno.ENOENT


def test_map_and_unmap_again_and_again(served: Served, ram: int) -> None:
    with unharmed(served), served.client() as client:
        for i in range(3000):
            assert client.map(0x10000, 0x4000, ram if i & 1 else None) == 0
            assert client.unmap(0x10000, 0x4000) == 0


# ------------------------------------------------------------------------------------------------- F10: regions

BAD_ACCESSES = [
    (9, 0, 4),
    (100, 0, 4),
    (U32, 0, 4),
    (3, 0, 4),
    (8, 0, 1),
    (0, 0x20000, 1),
    (0, 0x1FFFF, 2),
    (0, 0x1FFFD, 4),
    (0, 0x1FFFC, 8),
    (0, U64, 1),
    (0, U64 - 3, 4),
    (0, U64 - 3, 8),
    (0, 0, 0),
    (0, 0, 0x20001),
    (0, 0, (1 << 20) + 1),
    (0, 0, U32),
    (CONFIG, 255, 2),
    (CONFIG, 253, 4),
    (CONFIG, 0, 257),
]


@pytest.mark.parametrize(("region", "offset", "count"), BAD_ACCESSES)
def test_accesses_outside(served: Served, region: int, offset: int, count: int) -> None:
    with unharmed(served), served.client() as client:
        before = served.counters()["bad_accesses"]
        reply = client.request(vfio.REGION_READ, vfio.access(region, offset, count))
        assert reply.errno == errno.EINVAL
        assert reply.payload == vfio.access(region, offset, count) + (b"\xff" * count if count <= 4096 else b"")
        data = bytes(min(count, 1 << 20))
        assert client.request(vfio.REGION_WRITE, vfio.access(region, offset, count, data)).errno == errno.EINVAL
        one = multi(vfio.access(region, offset, count))
        reply = client.request(vfio.REGION_WRITE_MULTI, one)
        assert (reply.errno, reply.payload) == (errno.EINVAL, bytes(8))
        assert served.counters()["bad_accesses"] >= before + 2


@pytest.mark.parametrize(("count", "length"), [(4, 0), (4, 3), (4, 5), (4, 4096), (0, 4), (8, 4), (U32, 4)])
def test_data_that_does_not_match_the_count(served: Served, count: int, length: int) -> None:
    with unharmed(served), served.client() as client:
        client.write(0, MTA, 0x11111111)
        reply = client.request(vfio.REGION_WRITE, vfio.access(0, MTA, count, b"\xff" * length))
        assert reply.errno == errno.EINVAL
        assert client.read(0, MTA) == 0x11111111


@pytest.mark.parametrize("region", [0, CONFIG])
def test_every_offset_and_small_count(served: Served, region: int) -> None:
    size = 256 if region == CONFIG else 0x20000
    with unharmed(served), served.client() as client:
        for offset in [*range(16), *range(size - 16, size)]:
            for count in range(1, 10):
                reply = client.request(vfio.REGION_READ, vfio.access(region, offset, count))
                assert (reply.errno == 0) == (offset + count <= size)
                assert len(reply.payload) == 16 + count


def test_reads_of_a_whole_bar(served: Served) -> None:
    with unharmed(served), served.client() as client:
        reply = client.request(vfio.REGION_READ, vfio.access(0, 0, 0x20000))
        assert len(reply.payload) == 16 + 0x20000


@pytest.mark.parametrize("count", [0, 2, 200, 1 << 32, 1 << 63, U64, U64 // 24 + 1])
def test_write_multi_with_a_wrong_number(served: Served, count: int) -> None:
    with unharmed(served), served.client() as client:
        reply = client.request(vfio.REGION_WRITE_MULTI, multi(vfio.access(0, MTA, 4, b"\xff" * 4), count=count))
        assert (reply.errno, reply.payload) == (errno.EINVAL, bytes(8))
        assert client.read(0, MTA) == 0xA5A5A5A5 or client.read(0, MTA) == 0


def test_write_multi_stops_at_a_bad_write(served: Served) -> None:
    with unharmed(served), served.client() as client:
        body = multi(
            vfio.access(0, MTA, 4, b"\1\0\0\0"), vfio.access(0, 1 << 40, 4), vfio.access(0, MTA, 4, b"\2\0\0\0")
        )
        reply = client.request(vfio.REGION_WRITE_MULTI, body)
        assert (reply.errno, reply.payload) == (errno.EINVAL, struct.pack("=Q", 1))
        assert client.read(0, MTA) == 1
        reply = client.request(vfio.REGION_WRITE_MULTI, multi(vfio.access(0, MTA, 9, bytes(8))))
        assert reply.errno == errno.EINVAL
        assert client.request(vfio.REGION_WRITE_MULTI, multi()).errno == 0


# ------------------------------------------------------------------------------------------------- F11: interrupts

BAD_IRQS = {
    "index": vfio.irqs(TRIGGER, 5),
    "index 2^32": vfio.irqs(TRIGGER, U32),
    "MSI-X": vfio.irqs(TRIGGER, 2),
    "ERR": vfio.irqs(TRIGGER, 3),
    "REQ": vfio.irqs(TRIGGER, 4),
    "start": vfio.irqs(TRIGGER, 0, 1, 1),
    "start wraps": vfio.irqs(TRIGGER, 0, U32, 1),
    "both wrap": vfio.irqs(TRIGGER, 0, U32, U32),
    "count": vfio.irqs(TRIGGER, 0, 0, 2),
    "count 2^31": vfio.irqs(TRIGGER, 0, 0, 1 << 31),
    "no data": vfio.irqs(0x20),
    "two kinds of data": vfio.irqs(0x25),
    "all kinds of data": vfio.irqs(0x27),
    "no action": vfio.irqs(0x04),
    "two actions": vfio.irqs(0x34),
    "all actions": vfio.irqs(0x3C),
    "unknown flag": vfio.irqs(0x64),
    "all flags": vfio.irqs(U32),
    "none": vfio.irqs(0),
    "short argsz": vfio.irqs(TRIGGER, argsz=19),
    "eventfd for mask": vfio.irqs(0x0C),
    "mask of MSI": vfio.irqs(0x09, 1),
    "unmask of MSI": vfio.irqs(0x11, 1),
    "eventfd for unmask of MSI": vfio.irqs(0x14, 1),
    "no booleans": vfio.irqs(0x22),
    "count 0 with eventfd": vfio.irqs(TRIGGER, 0, 0, 0),
    "count 0 with mask": vfio.irqs(0x09, 0, 0, 0),
    "count 0 with start": vfio.irqs(0x21, 0, 1, 0),
}


@pytest.mark.parametrize("name", BAD_IRQS)
def test_interrupt_requests_that_make_no_sense(served: Served, event: int, name: str) -> None:
    with unharmed(served), served.client() as client:
        for fds in ([], [event]):
            assert client.request(vfio.SET_IRQS, BAD_IRQS[name], fds=fds).errno == errno.EINVAL
        assert client.set_irqs(TRIGGER, 0, 0, 1, fds=[event]) == 0


def test_eventfds_with_requests_that_take_none(served: Served, event: int) -> None:
    with unharmed(served), served.client() as client:
        for payload in (vfio.irqs(0x21), vfio.irqs(0x21, 0, 0, 0), vfio.irqs(0x22, data=b"\1")):
            assert client.request(vfio.SET_IRQS, payload, fds=[event]).errno == errno.EINVAL


def test_interrupts_without_an_eventfd(served: Served, event: int) -> None:
    with unharmed(served), served.client() as client:
        for flags in (0x21, UNMASK, 0x09, UNMASK, TRIGGER, 0x14):
            assert client.set_irqs(flags, 0, 0, 1) == 0
        for index in range(5):
            assert client.set_irqs(0x21, index, 0, 0) == 0


def test_the_same_eventfd_everywhere(served: Served, event: int) -> None:
    os.set_blocking(event, False)
    with unharmed(served), served.client() as client:
        for flags, index in ((TRIGGER, 0), (TRIGGER, 1), (0x14, 0), (TRIGGER, 0), (0x14, 0)):
            assert client.set_irqs(flags, index, 0, 1, fds=[event]) == 0
        client.write(0, 0xD0, 1 << 4)
        client.write(0, 0xC8, 1 << 4, posted=True)
        time.sleep(0.05)  # interrupt and resampling chase each other: the loop must still serve
        assert client.read(CONFIG, 0) == 0x100E8086
        client.read(0, 0xC0)


# ------------------------------------------------------------------------------------------------- F12: argsz


@pytest.mark.parametrize("argsz", [0, 1, 8, 15, 16, 17, 31, 32, 33, 4096, 1 << 31, U32])
def test_information_fits_argsz(served: Served, argsz: int) -> None:
    """The replies are compared whole: no byte of them is left to chance."""
    with unharmed(served), served.client() as client:
        reply = client.request(vfio.GET_INFO, info(0, argsz))
        expected = (errno.EINVAL, b"") if argsz < 16 else (0, struct.pack("=IIII", 16, 3, 9, 5))
        assert (reply.errno, reply.payload) == expected
        reply = client.request(vfio.GET_IRQ_INFO, info(0, argsz))
        expected = (errno.EINVAL, b"") if argsz < 16 else (0, struct.pack("=IIII", 16, 7, 0, 1))
        assert (reply.errno, reply.payload) == expected
        reply = client.request(vfio.GET_REGION_INFO, region_info(7, argsz))
        expected = (errno.EINVAL, b"") if argsz < 32 else (0, struct.pack("=IIIIQQ", 32, 3, 7, 0, 256, 0))
        assert (reply.errno, reply.payload) == expected


@pytest.mark.parametrize("index", [5, 9, 1000, U32])
def test_information_about_what_is_not_there(served: Served, index: int) -> None:
    with unharmed(served), served.client() as client:
        assert client.request(vfio.GET_IRQ_INFO, info(index)).errno == errno.EINVAL
        if index >= 9:
            assert client.request(vfio.GET_REGION_INFO, region_info(index)).errno == errno.EINVAL


# ------------------------------------------------------------------------------------------------- F14-F19: life


def ring_of(count: int, buffer: int, command_byte: int = 0x0B) -> bytes:
    return b"".join(struct.pack("<QHBBBBH", buffer, 60, 0, command_byte, 0, 0, 0) for _ in range(count))


def start_transmit(client: Client, ring: int, count: int) -> None:
    """A doorbell that makes the card read `ring`."""
    for register, value in ((0x0, 0x40), (0x3800, ring), (0x3804, 0), (0x3808, 128), (0x3810, 0), (0x3818, 0)):
        client.write(0, register, value)
    client.write(0, 0x400, 0xA)
    client.write(0, 0x3818, count)


def skip_probe(client: Client) -> None:
    message = client.receive()
    assert struct.unpack_from("=QQ", message.payload)[1] > U32
    client.answer(message, error=errno.E2BIG)


def begin_work(served: Served, client: Client) -> vfio.Message:
    """Has the card read its transmit ring by message; returns the request for the first descriptor."""
    client.map(0, 65536)
    start_transmit(client, 0x100, 2)
    skip_probe(client)
    message = client.receive()
    assert message.command == vfio.DMA_READ
    return message


@pytest.mark.parametrize("when", ["before the probe", "after the probe", "after the reply's header", "between two"])
def test_a_client_that_goes_during_dma(served: Served, when: str) -> None:
    served.call(lambda: served.nic.plug(Null()))
    with unharmed(served):
        with served.client() as client:
            if when == "before the probe":
                client.map(0, 65536)
                start_transmit(client, 0x100, 2)
            else:
                message = begin_work(served, client)
            if when == "after the reply's header":
                client.send(vfio.Message(message.id, message.command, vfio.REPLY, 0, bytes(32)).encode()[:20])
            elif when == "between two":
                client.answer(message, message.payload + ring_of(1, 0x1000).ljust(message.payload[8], b"\0"))
                client.receive()
        served.wait_idle()
        assert served.counters()["dma_timeouts"] == 0


def test_a_client_that_does_not_answer_dma(tmp_path: Path) -> None:
    with serving(tmp_path / "s", dma_timeout=0.2) as served:
        served.call(lambda: served.nic.plug(Null()))
        with unharmed(served):
            with served.client() as client:
                begin_work(served, client)
                start = time.monotonic()
                assert client.closed_by_server()
                assert time.monotonic() - start < 20, "the client's own patience ends after 30 s"
            served.wait_idle()
            assert served.counters()["dma_timeouts"] == 1


def test_a_client_that_never_reads(tmp_path: Path) -> None:
    """It is disconnected when too many replies wait; the other card on the loop is served all the while."""
    with serving(tmp_path / "s") as served, unharmed(served):
        other = served.call(lambda: nicemu.create("e1000", loop=served.nic.loop))
        neighbour = served.call(lambda: Server(other, socket_path=tmp_path / "other"))
        with served.client() as client, Client(tmp_path / "other") as calm:
            calm.negotiate()
            message = b"".join(command(vfio.REGION_READ, vfio.access(CONFIG, 0, 256)) for _ in range(100))
            for _ in range(1000):
                try:
                    client.send(message)
                except OSError:  # disconnected
                    break
                assert calm.read(CONFIG, 0) == 0x100E8086
            served.wait_idle()
            assert served.counters()["slow_clients"] == 1
        served.call(neighbour.close)
        served.call(other.close)


def test_a_client_that_reads_slowly(served: Served) -> None:
    with unharmed(served), served.client() as client:
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        client.send(b"".join(command(vfio.REGION_READ, vfio.access(0, 0x5000, 4096), id=i) for i in range(200)))
        expected = client_reads(client, 200)
        assert [id for id, _ in expected] == list(range(200))
        assert len({data for _, data in expected}) == 1


def client_reads(client: Client, count: int) -> list[tuple[int, bytes]]:
    """Replies, read in pieces of odd sizes with pauses."""
    stream, found = bytearray(), []
    chance = random.Random(5)
    while len(found) < count:
        part = client.socket.recv(chance.choice([1, 7, 100, 5000]))
        assert part
        stream += part
        if chance.random() < 0.01:
            time.sleep(0.001)
        while len(stream) >= 16 and len(stream) >= (size := struct.unpack_from("=I", stream, 4)[0]):
            found.append((struct.unpack_from("=H", stream)[0], bytes(stream[16:size])))
            del stream[:size]
    return found


def test_a_thousand_connections(served: Served) -> None:
    with unharmed(served):
        before = served.counters()
        for i in range(1000):
            with Client(served.path) as client:
                if i % 3:
                    client.send(command(vfio.VERSION, vfio.version())[: i % 40])
        served.wait_until(lambda: taken(served) - taken_of(before) == 1000)


def taken_of(counters: dict[str, int]) -> int:
    return counters["connections"] + counters["refused_connections"]


def taken(served: Served) -> int:
    return taken_of(served.server.counters)


def test_many_at_once(served: Served) -> None:
    with unharmed(served), served.client() as client, contextlib.ExitStack() as stack:
        refused = [stack.enter_context(Client(served.path)) for _ in range(100)]
        assert all(other.closed_by_server() for other in refused)
        assert client.read(CONFIG, 0) == 0x100E8086


def test_no_descriptor_left_for_a_client(served: Served) -> None:
    """The connection is refused, not announced forever."""
    import resource

    with unharmed(served):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(30)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(map(int, os.listdir("/proc/self/fd"))) + 1, hard))
        fill: list[int] = []
        try:
            with contextlib.suppress(OSError):
                while True:
                    fill.append(os.dup(0))
            client.connect(str(served.path))
            assert client.recv(1) == b""
        finally:
            for fd in fill:
                os.close(fd)
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            client.close()
        assert served.counters()["refused_connections"] == 1


# ------------------------------------------------------------------------------------------------- F20, F21: re-entry


def test_requests_are_answered_while_dma_waits(served: Served, ram: int, event: int) -> None:
    served.call(lambda: served.nic.plug(Null()))
    with unharmed(served), served.client() as client:
        message = begin_work(served, client)
        client.send(command(vfio.REGION_READ, vfio.access(CONFIG, 0, 4), id=900))
        assert client.receive().id == 900
        client.send(command(vfio.REGION_WRITE, vfio.access(0, MTA, 4, b"\7\0\0\0"), id=901))
        assert client.receive().id == 901
        client.send(command(vfio.REGION_WRITE, vfio.access(0, 0x3818, 4, b"\1\0\0\0"), flags=vfio.NO_REPLY))
        client.send(command(vfio.SET_IRQS, vfio.irqs(UNMASK), id=902))
        assert client.receive().id == 902
        client.send(command(vfio.DMA_MAP, vfio.dma_map(1 << 30, 0x1000), id=903), [ram])
        assert client.receive() == vfio.Message(903, vfio.DMA_MAP, vfio.REPLY, 0, b"")
        client.send(command(vfio.DMA_UNMAP, vfio.dma_unmap(0, 65536), id=904))
        assert client.receive().id == 904, "it has no pointer into message memory"
        client.answer(message, error=errno.EFAULT)
        assert client.request(vfio.REGION_READ, vfio.access(0, MTA, 4)).payload[16:] == b"\7\0\0\0"
        assert served.counters()["dma_aborted"] == 0


@pytest.mark.parametrize("what", ["reset", "unmap", "unmap all"])
def test_what_work_cannot_survive_ends_it_first(served: Served, ram: int, what: str) -> None:
    """The DMA message is given up, the request served in its turn; the late reply is nobody's."""
    served.call(lambda: served.nic.plug(Null()))
    with unharmed(served), served.client() as client:
        client.map(1 << 30, 0x1000, ram)
        message = begin_work(served, client)
        number, payload = {
            "reset": (vfio.DEVICE_RESET, b""),
            "unmap": (vfio.DMA_UNMAP, vfio.dma_unmap(1 << 30, 0x1000)),
            "unmap all": (vfio.DMA_UNMAP, vfio.dma_unmap(0, 0, flags=2)),
        }[what]
        client.send(command(number, payload, id=900) + command(vfio.GET_INFO, info(), id=901))
        replies = [client.reply(id).errno for id in (900, 901)]
        assert replies == [0, 0]
        client.answer(message, message.payload + bytes(message.payload[8]))
        client.on_dma = lambda command, address, count, data: errno.EFAULT
        assert client.read(CONFIG, 0) == 0x100E8086
        counters = served.counters()
        assert counters["dma_aborted"] == 1
        assert counters["stray_replies"] == 1


BAD_REPLIES: dict[str, Callable[[vfio.Message, bytes], bytes]] = {
    "error": lambda m, d: vfio.Message(m.id, m.command, 0x21, errno.EFAULT, b"").encode(),
    "error without a number": lambda m, d: vfio.Message(m.id, m.command, 0x21, 0, b"").encode(),
    "no body": lambda m, d: vfio.Message(m.id, m.command, 1, 0, b"").encode(),
    "half a body": lambda m, d: vfio.Message(m.id, m.command, 1, 0, m.payload[:9]).encode(),
    "no data": lambda m, d: vfio.Message(m.id, m.command, 1, 0, m.payload).encode(),
    "too little data": lambda m, d: vfio.Message(m.id, m.command, 1, 0, m.payload + d[:-1]).encode(),
    "a smaller count": lambda m, d: vfio.Message(m.id, m.command, 1, 0, m.payload[:8] + bytes(8) + d).encode(),
    "a larger count": lambda m, d: vfio.Message(
        m.id, m.command, 1, 0, m.payload[:8] + b"\xff\0\0\0\0\0\0\0" + d
    ).encode(),
}


@pytest.mark.parametrize("name", BAD_REPLIES)
def test_bad_replies_to_dma(served: Served, name: str) -> None:
    with unharmed(served), served.client() as client:
        client.map(0, 65536)
        future = served.start_call(lambda: served.nic.memory.read(0x100, 16))
        skip_probe(client)
        message = client.receive()
        client.send(BAD_REPLIES[name](message, bytes(16)))
        with pytest.raises(ConfigurationError):
            future.result(5)
        assert client.read(CONFIG, 0) == 0x100E8086
        assert served.counters()["dma_errors"] == 1


def test_replies_to_another_request(served: Served) -> None:
    with unharmed(served), served.client() as client:
        client.map(0, 65536)
        future = served.start_call(lambda: served.nic.memory.read(0x100, 4))
        skip_probe(client)
        message = client.receive()
        for wrong in (
            vfio.Message(message.id ^ 1, vfio.DMA_READ, 1, 0, message.payload + b"evil"),
            vfio.Message(message.id, vfio.DMA_WRITE, 1, 0, message.payload + b"evil"),
            vfio.Message(message.id, vfio.REGION_READ, 0x21, 5, b""),
        ):
            client.send(wrong.encode())
        client.answer(message, message.payload + b"good")
        assert future.result(5) == b"good"
        client.answer(message, message.payload + b"late")
        assert client.read(CONFIG, 0) == 0x100E8086
        assert served.counters()["stray_replies"] == 4


def test_no_dma_message_leaves_inside_a_request(served: Served) -> None:
    """A client may hold the lock that its DMA service needs until the request is answered."""
    results: list[object] = []

    def feature(payload: bytes, fds: list[int]) -> bytes:
        try:
            results.append(served.nic.memory.read(0, 4))
        except ConfigurationError as error:
            results.append(error)
        return b""

    with unharmed(served), served.client() as client:
        client.map(0, 65536)
        served.call(lambda: served.server._handlers.update({vfio.DEVICE_FEATURE: feature}))
        client.send(command(vfio.DEVICE_FEATURE, bytes(8), id=77))
        assert client.receive().id == 77
        assert isinstance(results[0], ConfigurationError)
        assert served.counters()["dma_refused"] == 1


def test_dma_into_the_card_s_own_registers(served: Served) -> None:
    """The client loops the write-back of a descriptor to the register that started the work."""
    served.call(lambda: served.nic.plug(Null()))
    doorbells = 0

    def loop_back(number: int, address: int, count: int, data: bytes) -> bytes | int:
        nonlocal doorbells
        if number == vfio.DMA_READ:
            return (ring_of(64, 0x1000) if address < 0x1000 else bytes(4096))[:count].ljust(count, b"\0")
        if doorbells < 200:
            doorbells += 1
            written = (address + count - 1 - 0x100) // 16
            tail = struct.pack("<I", (written + 2) % 8)  # one more than is done
            client.send(command(vfio.REGION_WRITE, vfio.access(0, 0x3818, 4, tail), flags=vfio.NO_REPLY))
        return b""

    with unharmed(served), served.client() as client:
        client.on_dma = loop_back
        client.map(0, 65536)
        start_transmit(client, 0x100, 1)
        client.serve_until(lambda: doorbells == 200)
        assert client.read(CONFIG, 0) == 0x100E8086
        client.write(0, 0x400, 0)
        client.request(vfio.DEVICE_RESET)


# ------------------------------------------------------------------------------------------------- host program


def test_signals_do_not_disturb(served: Served) -> None:
    """EINTR in every system call of the loop's thread: nothing is lost or doubled."""
    import signal

    stop = threading.Event()
    previous = signal.signal(signal.SIGUSR1, lambda *_: None)

    def pester() -> None:
        while not stop.is_set():
            signal.pthread_kill(served.thread.ident or 0, signal.SIGUSR1)
            time.sleep(0.0002)

    pest = threading.Thread(target=pester)
    with unharmed(served), served.client() as client:
        pest.start()
        try:
            for i in range(3000):
                client.write(0, MTA, i, posted=True)
                assert client.read(0, MTA) == i
        finally:
            stop.set()
            pest.join()
    signal.signal(signal.SIGUSR1, previous)


def test_ancillary_data_that_is_no_descriptor(served: Served) -> None:
    with unharmed(served), served.client() as client:
        credentials = struct.pack("=III", os.getpid(), os.getuid(), os.getgid())
        client.socket.sendmsg(
            [command(vfio.GET_INFO, info(), id=5)], [(socket.SOL_SOCKET, socket.SCM_CREDENTIALS, credentials)]
        )
        assert client.receive().id == 5
        assert array.array("i").itemsize == 4
