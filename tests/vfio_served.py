"""A card behind a vfio-user server whose loop runs in a thread of its own, for the tests of the server."""

from __future__ import annotations

import contextlib
import gc
import os
import queue
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeVar

import pytest
from vfio_client import CONFIG, Client

import nicemu
from nicemu.engine import ffi
from nicemu.hosts.vfio_user import Server

T = TypeVar("T")
COMMAND_ALL = 0x7  # I/O, memory, bus master


class Served:
    """A card, its server, and the thread that runs them; `call` runs a function in that thread."""

    def __init__(self, path: Path, **options: Any) -> None:
        self.path = path
        self.nic = nicemu.create("e1000")
        self.server = Server(self.nic, socket_path=path, **options)
        self._calls: queue.SimpleQueue[tuple[Callable[[], Any], Future[Any]]] = queue.SimpleQueue()
        self._bell, self._ring = os.pipe()
        self.nic.loop.watch(self._bell, self._run_calls)
        self.failures: list[BaseException] = []
        self.thread = threading.Thread(target=self._run, name="card")
        self.thread.start()
        self.call(lambda: None)  # the loop runs, and has all its descriptors

    def _run(self) -> None:
        try:
            self.nic.loop.run()
        except BaseException as error:  # shown by stop()
            self.failures.append(error)

    def _run_calls(self, events: int) -> None:
        os.read(self._bell, 1)
        function, future = self._calls.get()
        try:
            future.set_result(function())
        except BaseException as error:
            future.set_exception(error)

    def start_call(self, function: Callable[[], T]) -> Future[T]:
        """Runs a function in the card's thread; the future has its result."""
        future: Future[T] = Future()
        self._calls.put((function, future))
        os.write(self._ring, b"x")
        return future

    def call(self, function: Callable[[], T]) -> T:
        """As `start_call`, and waits."""
        return self.start_call(function).result(40)

    def counters(self) -> dict[str, int]:
        """The server's counters."""
        return self.call(lambda: self.server.counters)

    def wait_until(self, condition: Callable[[], bool], timeout: float = 30.0) -> None:
        """Waits until a condition of the card's thread holds."""
        end = time.monotonic() + timeout
        while not self.call(condition):
            assert time.monotonic() < end, "the condition did not come true"
            time.sleep(0.002)

    def wait_idle(self) -> None:
        """Waits until no client is there."""
        self.wait_until(lambda: not self.server.connected)

    @contextlib.contextmanager
    def client(self, **options: Any) -> Iterator[Client]:
        """A client that has negotiated, and has enabled decoding and bus mastering."""
        with Client(self.path, **options) as client:
            client.negotiate()
            client.write(CONFIG, 4, COMMAND_ALL, 2)
            yield client

    def check_alive(self) -> None:
        """A fresh client is served as if nothing had happened."""
        self.wait_idle()
        with self.client() as client:
            assert client.read(CONFIG, 0) == 0x100E8086
            client.write(0, 0x5200, 0xA5A5A5A5)
            assert client.read(0, 0x5200) == 0xA5A5A5A5
        self.wait_idle()

    def stop(self) -> None:
        """Ends the thread and closes everything."""
        if self.thread.is_alive():
            self.call(self.nic.loop.stop)
        self.thread.join(40)
        assert not self.thread.is_alive(), "the loop does not end"
        self.server.close()
        self.nic.close()
        os.close(self._bell)
        os.close(self._ring)
        ffi.release(self.nic.loop.handle)  # its descriptors go now: tests count them
        if self.failures:
            raise self.failures[0]


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    """A card that is served at a path of its own."""
    server = Served(tmp_path / "nic.sock")
    try:
        yield server
    finally:
        server.stop()


@contextlib.contextmanager
def serving(path: Path, **options: Any) -> Iterator[Served]:
    """As `served`, with options for the server."""
    server = Served(path, **options)
    try:
        yield server
    finally:
        server.stop()


def open_fds() -> int:
    """How many descriptors this process has, without those of what nobody refers to any more."""
    gc.collect()
    return len(os.listdir("/proc/self/fd"))
