"""Taps of this machine's kernel: its bridge, its iperf3 and its ways of taking an interface away. Needs root."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import nicemu
from nicemu.backends import Bridge, Tap, parse
from nicemu.drivers import Driver, attach
from nicemu.engine import lib
from nicemu.errors import BackendError

from . import tapflow
from .cards import card
from .namespace import ADDRESS, Namespace, run
from .provision import LIBRARIES, LOADER, ensure

GUEST = bytes([10, 0, 2, 15])
BROADCAST = b"\xff" * 6


class OnTap:
    """A card on a tap, on a loop, with its reference driver."""

    def __init__(self, tap: Tap) -> None:
        self.tap, self.loop = tap, nicemu.Loop()
        self.nic = nicemu.create("e1000", memory=nicemu.GuestMemory(8 << 20), loop=self.loop, backend=tap)
        self.driver: Driver = attach(self.nic)
        self.driver.start()
        self.driver.wait(self.driver.link_up, "link")

    def close(self) -> None:
        self.nic.close()
        self.tap.close()

    def until(self, condition: Callable[[], object], seconds: float = 10.0) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, "not in time"
            self.loop.turn(0.01)

    def rest(self, seconds: float) -> float:
        """Turns for so long; the share of processor time that this took."""
        begun, used = time.monotonic(), time.process_time()
        while (left := begun + seconds - time.monotonic()) > 0:
            self.loop.turn(left)
        return (time.process_time() - used) / seconds

    def ask(self) -> None:
        """An ARP request for the host."""
        fixed = bytes.fromhex("0001 0800 06 04 0001") + self.driver.mac + GUEST + bytes(6)
        request = BROADCAST + self.driver.mac + b"\x08\x06" + fixed + bytes(map(int, ADDRESS.split(".")))
        self.driver.send(request.ljust(60, b"\0"))

    def answers(self) -> bool:
        """Whether the host answers it."""
        self.ask()
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            self.loop.turn(0.01)
            if any(f.data[12:14] == b"\x08\x06" and f.data[21] == 2 for f in self.driver.receive()):
                return True
        return False


@pytest.fixture
def space() -> Iterator[Namespace]:
    with Namespace() as space:
        yield space


@pytest.fixture(params=["on", "off"])
def wired(request: pytest.FixtureRequest, space: Namespace) -> Iterator[OnTap]:
    """A card on a tap that is the port of a bridge in a namespace."""
    space.bridge()
    one = OnTap(parse(f"tap,ifname={space.tap},script=no,downscript=no,vnet_hdr={request.param}"))
    space.take(space.tap, "br0")
    yield one
    one.close()


# ------------------------------------------------------------------------------------------------- faults


def test_the_kernel_answers(wired: OnTap) -> None:
    assert wired.answers()
    assert wired.tap.counters.send_drops == 0


def test_a_tap_that_is_deleted(wired: OnTap, space: Namespace, caplog: pytest.LogCaptureFixture) -> None:
    assert wired.answers()
    with caplog.at_level(logging.WARNING, "nicemu"):
        space.ip("link", "del", space.tap)
        assert wired.rest(2) < 0.01
    assert len(caplog.records) == 1
    assert space.tap in caplog.records[0].message
    assert not wired.tap.link_up
    assert not wired.driver.link_up()
    assert wired.tap.error is not None
    assert wired.tap.counters.errors == 1
    wired.ask()
    wired.loop.turn(0)
    assert wired.rest(0.2) < 0.05


def test_a_frame_for_a_tap_that_was_just_deleted_is_counted(wired: OnTap, space: Namespace) -> None:
    assert wired.answers()
    space.ip("link", "del", space.tap)
    before = wired.tap.counters.send_drops
    wired.ask()
    assert wired.tap.counters.send_drops == before + 1
    wired.until(lambda: not wired.driver.link_up())


def test_a_tap_that_is_taken_down_and_up(wired: OnTap, space: Namespace) -> None:
    assert wired.answers()
    space.ip("link", "set", space.tap, "down")
    before = wired.tap.counters.send_drops
    for _ in range(3):
        wired.ask()
    assert wired.rest(0.5) < 0.05
    assert wired.tap.counters.send_drops == before + 3
    assert wired.tap.error is None
    space.ip("link", "set", space.tap, "up")
    assert wired.answers()


def test_a_kernel_without_room_holds_the_card_back_and_loses_nothing(space: Namespace) -> None:
    """Behind the bridge a slow interface keeps the frames, and the send buffer's limit with them."""
    space.ip("link", "add", "slow", "type", "veth", "peer", "name", "end")
    space.bridge("br0", "10.0.3.1/24")
    space.ip("link", "set", "slow", "master", "br0", "up")
    space.ip("link", "set", "end", "up")
    space.run("tc", "qdisc", "add", "dev", "slow", "root", "tbf", "rate", "8mbit", "burst", "4k", "limit", "1m")
    one = OnTap(parse(f"tap,ifname={space.tap},script=no,downscript=no,sndbuf=16k"))
    space.take(space.tap, "br0")
    try:
        time.sleep(0.1)
        before = space.count("end", "rx_bytes")  # the kernel adds frames of its own, all of them shorter
        for number in range(200):
            one.driver.send(b"\x02" * 6 + one.driver.mac + b"\x88\xb5" + bytes([number]) * 986)
        assert lib.nic_device_port_counters(one.nic.handle).blocked
        used = time.process_time()
        one.until(lambda: space.count("end", "rx_bytes") >= before + 200 * 1000, 20)
        assert time.process_time() - used < 1.5
        assert one.tap.counters.sent_frames == 200
        assert one.tap.counters.send_drops == 0
    finally:
        one.close()


def test_a_card_without_room_lets_the_kernel_keep_the_frames(wired: OnTap, space: Namespace) -> None:
    assert wired.answers()
    sent = 3000
    program = "import socket\ns = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)\n"
    program += f"s.bind(('{space.tap}', 0))\n"
    frame = wired.driver.mac + bytes(6) + b"\x88\xb5"
    program += f"for i in range({sent}): s.send({frame!r} + i.to_bytes(4, 'big') + bytes(800))"
    space.run(sys.executable, "-c", program)
    wired.loop.turn(0)
    wired.rest(0.2)
    assert wired.rest(1) < 0.01, "a descriptor that is polled although its frames have no place"
    got: list[int] = []

    def take() -> bool:
        got.extend(int.from_bytes(f.data[14:18], "big") for f in wired.driver.receive() if f.data[12:14] == b"\x88\xb5")
        return len(got) + space.count(space.tap, "tx_dropped") >= sent

    wired.until(take)
    wired.rest(0.2)
    take()
    assert got == sorted(set(got))
    others = len(got) + space.count(space.tap, "tx_dropped") - sent  # dropped: what the kernel says of its own accord
    assert 0 <= others <= 8
    assert wired.answers()


# ------------------------------------------------------------------------------------------------- how taps are had


def script(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def test_scripts_get_the_name_and_no_descriptor(space: Namespace, tmp_path: Path) -> None:
    leak = os.open("/etc/passwd", os.O_RDONLY)
    os.set_inheritable(leak, True)
    tell = "echo $0 $* $# >> {0}/told; ls -l /proc/self/fd >> {0}/fds; ip link set $1 {1}"
    up = script(tmp_path / "up", tell.format(tmp_path, "up"))
    down = script(tmp_path / "down", tell.format(tmp_path, "down"))
    with parse(f"tap,ifname={space.tap},script={up},downscript={down}") as tap:
        assert f"script={up}" in tap.details
        assert "UP" in run("ip", "link", "show", space.tap).split("<")[1].split(">")[0]
    os.close(leak)
    assert (tmp_path / "told").read_text().split("\n")[:2] == [f"{up} {space.tap} 1", f"{down} {space.tap} 1"]
    assert "tun" not in (tmp_path / "fds").read_text()
    assert "passwd" not in (tmp_path / "fds").read_text()
    assert not Path(f"/sys/class/net/{space.tap}").exists()


def test_a_script_that_fails_leaves_no_tap(space: Namespace, tmp_path: Path) -> None:
    with pytest.raises(BackendError, match=r"/up \S+ failed with status 7"):
        Tap(ifname=space.tap, script=str(script(tmp_path / "up", "exit 7")), downscript="no")
    assert not Path(f"/sys/class/net/{space.tap}").exists()
    tap = Tap(ifname=space.tap, script="no", downscript=str(script(tmp_path / "down", "exit 9")))
    with pytest.raises(BackendError, match="status 9"):
        tap.close()
    assert tap.closed
    assert not Path(f"/sys/class/net/{space.tap}").exists()


def test_a_descriptor_of_another_kind(space: Namespace) -> None:
    program = "import fcntl, os, sys\nfd = os.open('/dev/net/tun', os.O_RDWR)\n"
    program += "fcntl.ioctl(fd, 0x400454CA, sys.argv[1].encode().ljust(16, b'\\0') + b'\\x01\\x10' + bytes(22))\n"
    program += "from nicemu.backends import Tap\nTap(fd=fd)"
    done = subprocess.run([sys.executable, "-c", program, space.tap], capture_output=True, text=True)
    assert "is a tun (IP packets); expected IFF_TAP and IFF_NO_PI" in done.stderr


def test_taps_and_bridge_that_are_set_up_and_taken_away(space: Namespace) -> None:
    net = (sys.executable, "-m", "nicemu", "net")
    space.run(
        *net,
        "setup",
        "--bridge",
        "br7",
        "--address",
        "10.9.0.1/24",
        "--tap",
        "tap-a",
        "--tap",
        "tap-b",
        "--user",
        "nobody",
    )
    assert "10.9.0.1/24" in space.ip("addr", "show", "br7")
    for tap in ("tap-a", "tap-b"):
        assert "master br7" in space.ip("link", "show", tap)
    assert space.run("cat", "/sys/class/net/tap-a/owner").strip() == run("id", "-u", "nobody").strip()
    with pytest.raises(Exception, match="File exists"):
        space.run(*net, "setup", "--bridge", "br8", "--tap", "tap-b")
    assert "br8" not in space.ip("link", "show"), "what a failure left"
    with pytest.raises(Exception, match="other ports: tap-b"):
        space.run(*net, "teardown", "--bridge", "br7", "--tap", "tap-a")
    space.run(*net, "teardown", "--bridge", "br7", "--tap", "tap-a", "--tap", "tap-b")
    assert [n for n in ("tap-a", "tap-b", "br7") if n in space.ip("link", "show")] == []


def test_br_puts_the_tap_into_a_bridge(space: Namespace) -> None:
    space.bridge()
    program = f"from nicemu.backends import parse\nt = parse('tap,ifname={space.tap},br=br0')\n"
    program += (
        f"import subprocess\nprint(subprocess.run(['ip', 'link', 'show', '{space.tap}'], capture_output=True).stdout)"
    )
    shown = space.run(sys.executable, "-c", program)
    assert "master br0" in shown
    assert ",UP" in shown


def test_the_bridge_helper_of_qemu(space: Namespace, tmp_path: Path) -> None:
    """Debian's helper, with a bridge.conf laid over the machine's in a mount namespace of its own."""
    root = ensure().root
    (tmp_path / "etc/qemu").mkdir(parents=True)
    (tmp_path / "etc/qemu/bridge.conf").write_text("allow br0\n")
    program = f"{root / LOADER} --library-path {root / LIBRARIES} {root}/usr/lib/qemu/qemu-bridge-helper"
    overlay = f"mount -t overlay overlay -o lowerdir={tmp_path}/etc:/etc /etc"
    inside = f"{' '.join(space.inside())} unshare --mount"
    helper = script(tmp_path / "helper", f'exec {inside} sh -c \'{overlay} && exec "$@"\' sh {program} "$@"')
    space.bridge()
    with Bridge(br="br0", helper=str(helper)) as tap:
        assert tap.vnet_hdr
        assert "master br0" in space.ip("link", "show", tap.ifname)
        one = OnTap(tap)
        space.ip("link", "set", tap.ifname, "up")
        assert one.answers()
        one.nic.close()
    with pytest.raises(BackendError, match="failed with status"):
        Bridge(br="br9", helper=str(helper))


# ------------------------------------------------------------------------------------------------- throughput


@pytest.mark.alone
def test_tcp_packets_at_the_device_are_three_times_as_fast_with_headers() -> None:
    figures = tapflow.device(rounds=3)
    assert figures["on"] / figures["off"] >= 3, figures


@pytest.mark.alone
def test_a_guest_moves_bulk_tcp_through_tap_and_bridge() -> None:
    for vnet_hdr in ("on", "off"):
        rates = tapflow.guest(card("e1000"), "6.12", vnet_hdr, seconds=3)
        assert rates["out"] > 0
        assert rates["in"] > 0
