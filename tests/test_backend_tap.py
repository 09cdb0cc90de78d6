"""The tap backend without a tap: options, and the engine's part over a socket pair that keeps frames apart.

What needs a kernel's tap is in conformance/test_tap.py.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import struct
import time
from collections.abc import Iterator
from functools import partial

import pytest
from backend_station import Station
from packets import PSH, judge, packet

import nicemu
from nicemu.backends import Backend, Bridge, Tap, available, create
from nicemu.backends.tap import _ask_helper, _helper_command, _tell_loss
from nicemu.drivers import Driver, attach
from nicemu.engine import ffi, lib
from nicemu.errors import BackendError, ConfigurationError

PLAIN, NEEDS_CSUM = bytes(10), 1
TCP4, UFO, TCP6, USO = 1, 3, 4, 5


def header(kind: int, size: int, start: int, offset: int, flags: int = NEEDS_CSUM) -> bytes:
    """struct virtio_net_hdr of this machine's byte order."""
    return struct.pack("=BBHHHH", flags, kind, start + 20, size, start, offset)


class StandIn(Backend):
    """The engine's tap over one end of a socket pair; `far` is the kernel's."""

    kind = "tap"
    lossless = True

    def __init__(self, size: int, kind: int = socket.SOCK_SEQPACKET, room: int = 0) -> None:
        near, self.far = socket.socketpair(socket.AF_UNIX, kind)
        near.setblocking(False)
        if room:
            near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, room)
        self.far.setblocking(False)
        kinds = lib.NIC_OFFLOAD_CHECKSUM | lib.NIC_OFFLOAD_TCP4 | lib.NIC_OFFLOAD_TCP6
        self.told = ffi.new_handle(partial(_tell_loss, "tap9"))
        super().__init__(lib.nic_tap_new(near.detach(), size, kinds, self.told))

    def close(self) -> None:
        super().close()
        self.far.close()

    def heard(self) -> list[bytes]:
        """What has come out at the far end."""
        found = []
        while True:
            try:
                found.append(self.far.recv(70000))
            except BlockingIOError:
                return found


@pytest.fixture(params=[0, 10, 12])
def tap(request: pytest.FixtureRequest) -> Iterator[StandIn]:
    with StandIn(request.param) as tap:
        tap.front = bytes(request.param)
        yield tap


@pytest.fixture
def headed() -> Iterator[StandIn]:
    with StandIn(10) as tap:
        yield tap


@pytest.fixture
def station(headed: StandIn) -> Iterator[Station]:
    station = Station(headed)
    yield station
    station.close()


def numbered(count: int, size: int = 60) -> list[bytes]:
    return [b"\xff" * 6 + bytes(6) + struct.pack(">I", i) + bytes(size - 16) for i in range(count)]


# ------------------------------------------------------------------------------------------------- frames


def test_frames_both_ways(tap: StandIn) -> None:
    station, frames = Station(tap), numbered(200)
    station.wire.deliver(frames[:64])
    station.turn()
    assert tap.heard() == [tap.front + f for f in frames[:64]]
    for f in frames:
        tap.far.send(tap.front + f)
    station.wait(lambda: len(station.wire.received) == 200)
    assert station.frames() == frames
    station.close()


@pytest.mark.parametrize(("version", "kind"), [(4, TCP4), (6, TCP6)])
def test_a_large_packet_is_cut_for_what_takes_frames_only(
    station: Station, headed: StandIn, version: int, kind: int
) -> None:
    payload = os.urandom(60000)
    start = 34 if version == 4 else 54
    headed.far.send(header(kind, 1400, start, 16) + packet(version, 6, payload, flags=PSH))
    headed.far.send(PLAIN + numbered(1)[0])
    station.wait(lambda: len(station.wire.received) == 44)
    *frames, last = station.frames()
    assert b"".join(judge(f)[1].data for f in frames) == payload
    assert last == numbered(1)[0], "behind it, not among it"


def test_datagrams_and_missing_checksums(station: Station, headed: StandIn) -> None:
    headed.far.send(header(USO, 500, 34, 6) + packet(4, 17, bytes(1200)))
    headed.far.send(header(0, 0, 34, 16) + packet(4, 6, b"abc"))
    station.wait(lambda: len(station.wire.received) == 4)
    assert [len(judge(f)[1].data) for f in station.frames()] == [500, 500, 200, 3]


@pytest.mark.parametrize(
    "junk",
    [
        bytes(9),
        PLAIN,
        header(UFO, 1000, 34, 6) + packet(4, 17, bytes(3000)),
        header(TCP4, 0, 34, 16) + packet(4, 6, bytes(3000)),
        header(TCP4, 1000, 34, 16) + bytes(3000),
        header(0, 0, 60000, 16) + packet(4, 6, b""),
    ],
    ids=["short header", "no frame", "UFO", "no size", "no packet", "checksum outside"],
)
def test_what_is_no_frame_is_dropped_and_counted(station: Station, headed: StandIn, junk: bytes) -> None:
    headed.far.send(junk)
    headed.far.send(PLAIN + numbered(1)[0])
    station.wait(lambda: station.wire.received)
    assert station.frames() == numbered(1)
    assert headed.counters.receive_drops == 1
    assert headed.link_up


def test_an_empty_read_is_counted() -> None:
    with StandIn(0, socket.SOCK_DGRAM) as tap:
        station = Station(tap)
        tap.far.send(b"")
        tap.far.send(numbered(1)[0])
        station.wait(lambda: station.wire.received)
        assert tap.counters.receive_drops == 1
        station.close()


# ------------------------------------------------------------------------------------------------- a card on a loop


def on_loop(tap: Backend, **options: object) -> tuple[nicemu.Loop, nicemu.Nic, Driver]:
    loop = nicemu.Loop()
    nic = nicemu.create("e1000", memory=nicemu.GuestMemory(8 << 20), loop=loop, backend=tap, **options)
    driver = attach(nic)
    driver.start()
    driver.wait(driver.link_up, "link")
    return loop, nic, driver


def received(driver: Driver) -> list[bytes]:
    return [frame.data for frame in driver.receive()]


def turns(loop: nicemu.Loop, condition: object = None, seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while condition is None or not condition():
        loop.turn(0.02)
        if condition is None or time.monotonic() > deadline:
            assert condition is None, "not in time"
            return


def test_a_full_kernel_holds_the_card_back_in_order(headed: StandIn) -> None:
    loop, nic, driver = on_loop(headed)
    headed.far.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    frames, heard = numbered(200, 1000), []
    for f in frames:
        driver.send(f)  # the ring has room for all of them
    loop.turn(0)
    assert lib.nic_device_port_counters(nic.handle).blocked
    used = time.process_time()
    turns(loop, lambda: heard.extend(headed.heard()) or len(heard) == 200)
    assert time.process_time() - used < 2
    assert heard == [PLAIN + f for f in frames]
    assert headed.counters.send_drops == 0
    nic.close()


def test_a_frame_that_the_kernel_refuses_is_lost_alone() -> None:
    """EMSGSIZE here; ENOBUFS, ENOMEM and EIO (the interface is down) say no more than that about the next frame."""
    with StandIn(10, room=4096) as tap:
        station = Station(tap)
        first, last = numbered(2)
        station.put(first, first.ljust(12000, b"\0"), last)
        station.turn()
        assert tap.heard() == [PLAIN + first, PLAIN + last]
        assert (tap.counters.send_drops, tap.counters.errors) == (1, 1)
        assert tap.link_up
        station.close()


def test_while_the_card_has_no_room_the_descriptor_rests(headed: StandIn) -> None:
    loop, nic, driver = on_loop(headed)
    sent, frames = 0, numbered(4000, 1000)
    quiet = 0
    while quiet < 3:  # until neither the card nor the kernel takes any more
        quiet += 1
        while True:
            try:
                headed.far.send(PLAIN + frames[sent])
            except BlockingIOError:
                break
            sent, quiet = sent + 1, 0
        loop.turn(0)
    begun, used = time.monotonic(), time.process_time()
    while time.monotonic() - begun < 0.5:
        loop.turn(0.5)
    assert time.process_time() - used < 0.1, "a loop that turns although nothing can be done"
    got: list[bytes] = []
    turns(loop, lambda: got.extend(received(driver)) or len(got) == sent)
    assert got == frames[:sent]
    nic.close()


def test_interrupted_calls_lose_and_double_nothing(headed: StandIn) -> None:
    loop, nic, driver = on_loop(headed)
    hits = []
    before = signal.signal(signal.SIGALRM, lambda *_: hits.append(1))
    signal.setitimer(signal.ITIMER_REAL, 0.0002, 0.0002)
    try:
        frames, out, got = numbered(2000, 300), [], []
        for f in frames:
            headed.far.setblocking(True)
            headed.far.send(PLAIN + f)
            headed.far.setblocking(False)
            driver.send(f)
            loop.turn(0)
            out += headed.heard()
            got += received(driver)
        turns(loop, lambda: got.extend(received(driver)) or out.extend(headed.heard()) or len(got) == len(out) == 2000)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert hits
    assert got == frames
    assert out == [PLAIN + f for f in frames]
    nic.close()


def test_an_interface_that_goes_takes_the_link_down_once(headed: StandIn, caplog: pytest.LogCaptureFixture) -> None:
    loop, nic, driver = on_loop(headed)
    turns(loop)
    headed.far.close()
    with caplog.at_level(logging.WARNING, "nicemu.tap"):
        turns(loop, lambda: not headed.link_up)
        begun, used = time.monotonic(), time.process_time()
        while time.monotonic() - begun < 0.5:
            loop.turn(0.5)
    assert time.process_time() - used < 0.05
    assert [r.message for r in caplog.records] == ["tap tap9 went away (No such device): its wire is down"]
    assert headed.counters.errors == 1
    driver.send(numbered(1)[0])
    nic.close()


# ------------------------------------------------------------------------------------------------- options


def test_it_is_listed_with_qemus_options() -> None:
    types = {t.name: t for t in available()}
    names = {o.name for o in types["tap"].options}
    assert names == {"ifname", "fd", "script", "downscript", "br", "helper", "sndbuf", "vnet_hdr"}
    assert {o.name for o in types["bridge"].options} == {"br", "helper"}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"fd": "3", "ifname": "tap0"}, "ifname is invalid with fd"),
        ({"fd": "3", "script": "no"}, "script is invalid with fd"),
        ({"fd": "3", "vnet_hdr": "on"}, "vnet_hdr is invalid with fd"),
        ({"fd": "3", "helper": "/bin/true"}, "helper is invalid with fd"),
        ({"helper": "/bin/true", "ifname": "tap0"}, "ifname is invalid with helper"),
        ({"ifname": "a-name-of-16-long"}, "1 to 15 bytes"),
        ({"ifname": "a/b"}, "no interface name"),
        ({"br": " "}, "no interface name"),
        ({"sndbuf": "much"}, "sndbuf=much"),
        ({"vnet_hdr": "maybe"}, "vnet_hdr=maybe"),
        ({"vhost": "on"}, "expected one of: id, ifname"),
        ({"fd": "three"}, "fd=three"),
    ],
)
def test_options_that_make_no_sense(options: dict[str, str], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        create("tap", options)


def test_a_descriptor_of_something_else_is_refused_and_stays_open() -> None:
    with open("/dev/null") as other:
        with pytest.raises(BackendError, match="is no tap's"):
            Tap(fd=other.fileno())
        os.fstat(other.fileno())
    with pytest.raises(BackendError, match="is no tap's"):
        Tap(fd=9999)


def test_a_downscript_that_cannot_run_is_told_before_anything_is_made() -> None:
    with pytest.raises(BackendError, match="network script /nonexistent"):
        Tap(ifname="none", script="no", downscript="/nonexistent")


def test_the_helpers_command_line() -> None:
    assert _helper_command("/h", "br7", 5) == ["/h", "--use-vnet", "--br=br7", "--fd=5"]
    assert _helper_command("/h --br=x -v", "br7", 5) == ["/h", "--br=x", "-v", "--use-vnet", "--fd=5"]
    assert _helper_command("/h -v", "br7", 5) == ["/h", "-v", "--use-vnet", "--br=br7", "--fd=5"]
    assert _helper_command("/h --use-vnet", "br7", 5) == ["/h", "--use-vnet", "--br=br7", "--fd=5"]


@pytest.mark.parametrize("helper", ["/nonexistent", "/bin/false", "/bin/true"])
def test_a_helper_that_brings_no_tap(helper: str) -> None:
    with pytest.raises(BackendError, match="bridge helper"):
        Bridge(helper=helper)


def test_the_helper_gets_no_descriptor_but_its_own(tmp_path: object) -> None:
    secret = os.open("/dev/null", os.O_RDONLY)
    os.set_inheritable(secret, True)
    script = tmp_path / "helper"
    script.write_text(f"#!/bin/sh\nls -l /proc/self/fd > {tmp_path}/fds\nexit 3\n")
    script.chmod(0o755)
    try:
        with pytest.raises(BackendError, match="status 3"):
            _ask_helper(str(script), "br0")
    finally:
        os.close(secret)
    listed = (tmp_path / "fds").read_text()
    assert listed.count("socket:") == 1
    assert listed.count("/dev/null") == 1, "standard input alone"
