"""A vfio-user client for tests: speaks the protocol correctly by its methods, and anything else by `send`.

Everything blocks, with a time limit; while a reply is awaited, the server's DMA messages are answered by `on_dma`.
"""

from __future__ import annotations

import array
import contextlib
import errno
import itertools
import json
import socket
import struct
import time
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

VERSION, DMA_MAP, DMA_UNMAP, GET_INFO, GET_REGION_INFO, GET_REGION_IO_FDS, GET_IRQ_INFO, SET_IRQS = range(1, 9)
REGION_READ, REGION_WRITE, DMA_READ, DMA_WRITE, DEVICE_RESET, DIRTY_PAGES, REGION_WRITE_MULTI = range(9, 16)
DEVICE_FEATURE, MIG_DATA_READ, MIG_DATA_WRITE = 16, 17, 18
REPLY, NO_REPLY, ERROR = 0x1, 0x10, 0x20
CONFIG = 7
#: What QEMU 11.1 proposes.
QEMU_CAPABILITIES = {
    "pgsizes": 4096,
    "max_msg_fds": 16,
    "max_dma_maps": 65535,
    "max_data_xfer_size": 1048576,
    "migration": {"max_bitmap_size": 268435456, "pgsize": 4096},
    "write_multiple": True,
}


class Message(NamedTuple):
    """One message, either way."""

    id: int
    command: int
    flags: int
    error: int
    payload: bytes

    @property
    def errno(self) -> int:
        """The error of a reply, 0 for success; -1 for an error without a number."""
        return (self.error or -1) if self.flags & ERROR else 0

    def encode(self) -> bytes:
        """As bytes on the wire."""
        header = struct.pack("=HHIII", self.id, self.command, 16 + len(self.payload), self.flags, self.error)
        return header + self.payload


class DisconnectedError(Exception):
    """The server closed the connection."""


def command(number: int, payload: bytes = b"", *, id: int = 1, flags: int = 0) -> bytes:
    """A command message as bytes."""
    return Message(id, number, flags, 0, payload).encode()


def version(capabilities: object = QEMU_CAPABILITIES, *, major: int = 0, minor: int = 1) -> bytes:
    """The payload of a VERSION message; capabilities None: no text."""
    head = struct.pack("=HH", major, minor)
    return head if capabilities is None else head + json.dumps({"capabilities": capabilities}).encode() + b"\0"


def dma_map(address: int, size: int, *, offset: int = 0, flags: int = 3, argsz: int = 32) -> bytes:
    """The payload of DMA_MAP."""
    return struct.pack("=IIQQQ", argsz, flags, offset, address, size)


def dma_unmap(address: int, size: int, *, flags: int = 0, argsz: int = 24) -> bytes:
    """The payload of DMA_UNMAP."""
    return struct.pack("=IIQQ", argsz, flags, address, size)


def access(region: int, offset: int, count: int, data: bytes = b"") -> bytes:
    """The payload of REGION_READ or, with data, REGION_WRITE."""
    return struct.pack("=QII", offset, region, count) + data


def irqs(flags: int, index: int = 0, start: int = 0, count: int = 1, data: bytes = b"", argsz: int = 20) -> bytes:
    """The payload of SET_IRQS."""
    return struct.pack("=IIIII", argsz + len(data), flags, index, start, count) + data


class Client:
    """One connection to a server.

    on_dma(command, address, count, data) answers the server's DMA messages: it returns the bytes read (b"" for a
    write), or an errno.  None: they are answered with EFAULT.
    """

    def __init__(self, path: object, timeout: float = 30.0) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.connect(str(path))  # waits while the backlog is full, which a socket with a time limit does not
        self.socket.settimeout(timeout)
        self.on_dma: Callable[[int, int, int, bytes], bytes | int] | None = None
        self.dma_log: list[tuple[int, int, int]] = []
        self._ids = itertools.count(1)

    # ------------------------------------------------------------------ the stream

    def send(self, data: bytes, fds: Sequence[int] = ()) -> None:
        """Sends bytes; the descriptors go with the first of them."""
        if fds:
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))]
            sent = self.socket.sendmsg([data], rights)
            data = data[sent:]
        if data:
            self.socket.sendall(data)

    def _exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            try:
                part = self.socket.recv(count - len(data))
            except ConnectionResetError:
                part = b""
            if not part:
                raise DisconnectedError
            data += part
        return data

    def receive(self) -> Message:
        """The next message; DisconnectedError at the end of the stream."""
        id, number, size, flags, error = struct.unpack("=HHIII", self._exactly(16))
        return Message(id, number, flags, error, self._exactly(size - 16))

    def close(self) -> None:
        """Closes the connection."""
        self.socket.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *args: object) -> None:
        self.close()

    def closed_by_server(self) -> bool:
        """Waits for the end of the stream, reading what comes before it; False if it does not come."""
        try:
            while True:
                self.receive()
        except DisconnectedError:
            return True
        except (TimeoutError, OSError):
            return False

    # ------------------------------------------------------------------ requests and replies

    def answer(self, message: Message, payload: bytes = b"", error: int = 0) -> None:
        """Answers a message of the server."""
        flags = REPLY | (ERROR if error else 0)
        self.send(Message(message.id, message.command, flags, error, b"" if error else payload).encode())

    def serve_dma(self, message: Message) -> None:
        """Answers a DMA message by `on_dma`, as QEMU 11.1 does."""
        address, count = struct.unpack_from("=QQ", message.payload)
        self.dma_log.append((message.command, address, count))
        if count > 1 << 20:
            self.answer(message, error=errno.E2BIG)
            return
        result = self.on_dma(message.command, address, count, message.payload[16:]) if self.on_dma else errno.EFAULT
        if isinstance(result, int):
            self.answer(message, error=result)
        else:
            self.answer(message, message.payload[:16] + result)

    def reply(self, id: int) -> Message:
        """The reply to a request, answering DMA messages that come before it."""
        while True:
            message = self.receive()
            if not message.flags & REPLY:
                self.serve_dma(message)
            elif message.id == id:
                return message
            else:
                raise AssertionError(f"reply {message}; expected one to {id}")

    def request(self, number: int, payload: bytes = b"", *, fds: Sequence[int] = (), flags: int = 0) -> Message:
        """Sends a command and returns its reply."""
        id = next(self._ids) & 0xFFFF
        self.send(command(number, payload, id=id, flags=flags), fds)
        reply = self.reply(id)
        assert reply.command == number
        return reply

    def serve_until(self, done: Callable[[], bool], timeout: float = 30.0) -> None:
        """Answers DMA messages until `done`."""
        usual = self.socket.gettimeout()
        self.socket.settimeout(0.02)
        end = time.monotonic() + timeout
        try:
            while not done():
                assert time.monotonic() < end, "not done in time"
                with contextlib.suppress(TimeoutError):
                    message = self.receive()
                    assert not message.flags & REPLY
                    self.serve_dma(message)
        finally:
            self.socket.settimeout(usual)

    # ------------------------------------------------------------------ what a well-behaved client does

    def negotiate(self, capabilities: object = QEMU_CAPABILITIES) -> Message:
        """VERSION."""
        reply = self.request(VERSION, version(capabilities))
        assert reply.errno == 0, reply
        return reply

    def map(self, address: int, size: int, fd: int | None = None, **fields: int) -> int:
        """DMA_MAP; returns the errno."""
        return self.request(DMA_MAP, dma_map(address, size, **fields), fds=[] if fd is None else [fd]).errno

    def unmap(self, address: int, size: int, **fields: int) -> int:
        """DMA_UNMAP; returns the errno."""
        return self.request(DMA_UNMAP, dma_unmap(address, size, **fields)).errno

    def read(self, region: int, offset: int, count: int = 4) -> int:
        """REGION_READ of a little-endian number."""
        reply = self.request(REGION_READ, access(region, offset, count))
        assert reply.errno == 0, reply
        assert reply.payload[:16] == access(region, offset, count)
        assert len(reply.payload) == 16 + count
        return int.from_bytes(reply.payload[16:], "little")

    def write(self, region: int, offset: int, value: int, count: int = 4, *, posted: bool = False) -> None:
        """REGION_WRITE of a little-endian number."""
        payload = access(region, offset, count, value.to_bytes(count, "little"))
        if posted:
            self.send(command(REGION_WRITE, payload, flags=NO_REPLY))
            return
        reply = self.request(REGION_WRITE, payload)
        assert reply.errno == 0, reply
        assert reply.payload == payload[:16]

    def set_irqs(self, *fields: int, fds: Sequence[int] = (), data: bytes = b"") -> int:
        """SET_IRQS (flags, index, start, count); returns the errno."""
        return self.request(SET_IRQS, irqs(*fields, data=data), fds=fds).errno

    def capabilities(self) -> Iterator[tuple[int, int]]:
        """(ID, offset) of each PCI capability."""
        at, seen = self.read(CONFIG, 0x34, 1), set()
        while at:
            assert at not in seen, "the capability list has a loop"
            seen.add(at)
            yield self.read(CONFIG, at, 1), at
            at = self.read(CONFIG, at + 1, 1)
