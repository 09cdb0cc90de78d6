"""The backend vde at the real switch of Debian's vde2, with its own vde_plug as the judge; and through libvdeplug."""

from __future__ import annotations

import ctypes
import os
import select
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

import nicemu
from nicemu.backends import Backend, Hub, PythonBackend, Vde, VdePlug, parse
from nicemu.drivers import attach
from nicemu.errors import BackendError

from . import provision
from .qemu import stop


class Wire(PythonBackend):
    """Keeps what comes over the wire."""

    def __init__(self) -> None:
        self.received: list[bytes] = []
        super().__init__()

    def send(self, frames: list[bytes]) -> None:
        self.received += frames


class Switch:
    """vde_switch as a process; its console is kept open, for it ends with it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        command = [*provision.ensure().program("vde_switch"), "-sock", str(folder)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        until(lambda: (folder / "ctl").exists() and (time.sleep(0.1) or True))

    def close(self) -> None:
        stop(self.process)
        for end in (self.process.stdin, self.process.stdout):
            assert end is not None
            end.close()


class Plug:
    """vde_plug as a process: frames behind their length of two bytes, on its standard input and output."""

    def __init__(self, switch: Switch) -> None:
        command = [*provision.ensure().program("vde_plug"), f"vde://{switch.folder}"]
        before = set(switch.folder.glob("[0-9]*"))
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.unread = b""
        until(lambda: set(switch.folder.glob("[0-9]*")) - before)  # the switch's socket for its port

    def send(self, frame: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(struct.pack(">H", len(frame)) + frame)
        self.process.stdin.flush()

    def frames(self) -> list[bytes]:
        """What has come."""
        assert self.process.stdout is not None
        while select.select([self.process.stdout], [], [], 0)[0]:
            self.unread += self.process.stdout.read1(1 << 16)  # type: ignore[attr-defined]
        found = []
        while len(self.unread) >= 2 and len(self.unread) >= 2 + (length := int.from_bytes(self.unread[:2], "big")):
            found.append(self.unread[2 : 2 + length])
            self.unread = self.unread[2 + length :]
        return found

    def close(self) -> None:
        stop(self.process)
        for end in (self.process.stdin, self.process.stdout):
            assert end is not None
            end.close()


def until(condition: Callable[[], object], *turns: Callable[[], object], seconds: float = 50) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        for turn in turns:
            turn()
        time.sleep(0.002)


@pytest.fixture
def switch(tmp_path: Path) -> Iterator[Switch]:
    made = Switch(tmp_path / "switch")
    yield made
    made.close()


def station(number: int) -> bytes:
    return bytes([0x52, 0x54, 0, 0, 0, number])


def frame(to: bytes, source: bytes, number: int, length: int = 60) -> bytes:
    return (
        to + source + b"\x88\xb5" + number.to_bytes(2, "big") + bytes((number + i) & 0xFF for i in range(length - 16))
    )


def test_two_wires_and_a_plug_of_vdes_own(switch: Switch) -> None:
    """Broadcasts reach both others; the switch learns addresses, so that what is for one reaches that one alone."""
    everybody = b"\xff" * 6
    plug = Plug(switch)
    near, far = Wire(), Wire()
    heard: list[bytes] = []
    with Hub() as left, Hub() as right:
        for hub, wire in ((left, near), (right, far)):
            hub.connect(wire)
            hub.connect(Vde(switch.folder))
        turns = (left.turn, right.turn, lambda: heard.extend(plug.frames()))
        near.deliver([frame(everybody, station(1), 1)])
        until(lambda: heard and far.received, *turns)
        assert heard == far.received == [frame(everybody, station(1), 1)]
        far.deliver([frame(everybody, station(2), 2, 1514)])
        plug.send(frame(everybody, station(3), 3))
        until(lambda: len(near.received) == 2 and len(heard) == 2 and len(far.received) == 2, *turns)
        assert heard[1:] == [frame(everybody, station(2), 2, 1514)]
        assert far.received[1:] == [frame(everybody, station(3), 3)]
        for ours in (near, far):
            ours.received.clear()
        heard.clear()
        near.deliver([frame(station(2), station(1), n) for n in range(100)])
        far.deliver([frame(station(3), station(2), n) for n in range(50)])
        plug.send(frame(station(1), station(3), 7))
        until(lambda: len(far.received) == 100 and len(heard) == 50 and near.received, *turns)
        assert far.received == [frame(station(2), station(1), n) for n in range(100)]
        assert heard == [frame(station(3), station(2), n) for n in range(50)]
        assert near.received == [frame(station(1), station(3), 7)]
    plug.close()


def test_a_chosen_port_and_its_description(switch: Switch) -> None:
    """The switch itself lists the port, and who has it."""
    with Vde(switch.folder, port=9):
        assert b"Port 0009" in port_list(switch)


def port_list(switch: Switch) -> bytes:
    """What the switch says of its ports, up to the line of ours."""
    assert switch.process.stdin is not None
    switch.process.stdin.write(b"port/allprint\n")
    switch.process.stdin.flush()
    said = b""
    deadline = time.monotonic() + 30
    while b"nicemu user=" not in said:
        assert time.monotonic() < deadline, said
        if select.select([switch.process.stdout], [], [], 0.1)[0]:
            said += switch.process.stdout.read1(4096)  # type: ignore[union-attr]
    return said


def test_a_switch_that_is_killed_and_started_again(tmp_path: Path) -> None:
    """D22: link down, then up again by itself, and frames pass as before."""
    first = Switch(tmp_path / "switch")
    loop = nicemu.Loop()
    plug = Vde(first.folder)
    nic = nicemu.create("e1000", memory=nicemu.GuestMemory(4 << 20), loop=loop, backend=plug)
    loop.turn()
    assert nic.wire_up
    first.process.kill()
    until(lambda: not nic.wire_up, lambda: loop.turn(0.05))
    first.close()
    for leftover in tmp_path.glob("switch/ctl"):
        leftover.unlink()
    second = Switch(tmp_path / "switch")
    until(lambda: nic.wire_up, lambda: loop.turn(0.05))
    judge = Plug(second)
    driver = attach(nic)
    driver.start()
    driver.wait(driver.link_up, "link")
    heard: list[bytes] = []
    driver.send(frame(b"\xff" * 6, driver.mac, 1))
    until(lambda: heard, lambda: loop.turn(0.01), lambda: heard.extend(judge.frames()))
    assert heard == [frame(b"\xff" * 6, driver.mac, 1)]
    assert plug.vde_counters.connects == 2
    nic.close()
    plug.close()
    judge.close()
    second.close()


CHILD = """
import sys, time, nicemu
from nicemu.backends import parse
from nicemu.drivers import attach
loop = nicemu.Loop()
nic = nicemu.create("e1000", mac="52:54:00:00:00:" + sys.argv[2], memory=nicemu.GuestMemory(4 << 20), loop=loop,
                    backend=parse("vde,id=v,sock=" + sys.argv[1]))
driver = attach(nic)
driver.start()
driver.wait(driver.link_up, "link")
print("up", flush=True)
to = bytes.fromhex("5254000000" + sys.argv[3])
deadline = time.monotonic() + 50
while time.monotonic() < deadline:
    driver.send(to + driver.mac + b"\\x88\\xb5" + bytes(46))
    loop.turn(0.02)
    if any(f.data[6:12] == to for f in driver.receive()):
        print("heard", flush=True)
        break
for _ in range(10):
    driver.send(to + driver.mac + b"\\x88\\xb5" + bytes(46))
    loop.turn(0.02)
"""


def test_switch_between_two_processes(switch: Switch) -> None:
    """The guide's example: two machines, each with a card at the switch, hear each other."""
    both = [
        subprocess.Popen([sys.executable, "-c", CHILD, str(switch.folder), *ends], stdout=subprocess.PIPE, text=True)
        for ends in (("01", "02"), ("02", "01"))
    ]
    said = [process.communicate(timeout=40)[0] for process in both]
    assert said == ["up\nheard\n"] * 2
    assert [process.returncode for process in both] == [0, 0]


# ------------------------------------------------------------------------------------------------- libvdeplug


@pytest.fixture(scope="module")
def library() -> None:
    """Debian's libvdeplug2: once it is loaded its name finds it, and it finds its modules beside itself."""
    tree = provision.ensure().root / provision.LIBRARIES
    for name in ("libvdeplug_mod.so.2", "libvdeplug.so.2"):
        ctypes.CDLL(str(tree / name))


def both_have(near: Wire, far: Wire, count: int) -> bool:
    return len(near.received) >= count and len(far.received) >= count


#: As many as fit a socket's queue: the switch loses what a busy reader does not take in time.
BURST = 8


def exchange(one: Backend, other: Backend, count: int = 300) -> None:
    """Frames of many lengths both ways, each whole and in order."""
    near, far = Wire(), Wire()
    sent = [frame(b"\xff" * 6, station(1), n, 60 + 7 * n % 1455) for n in range(count)]
    answers = [frame(b"\xff" * 6, station(2), n, 60 + 11 * n % 1455) for n in range(count)]
    with Hub() as left, Hub() as right:
        for hub, ends in ((left, (near, one)), (right, (far, other))):
            for end in ends:
                hub.connect(end)
        for at in range(0, count, BURST):
            near.deliver(sent[at : at + BURST])
            far.deliver(answers[at : at + BURST])
            until(partial(both_have, near, far, min(at + BURST, count)), left.turn, right.turn)
        assert (far.received, near.received) == (sent, answers)
        assert (one.counters.errors, one.counters.send_drops) == (0, 0)


@pytest.mark.usefixtures("library")
def test_the_library_at_a_switch_and_a_plug_without_it(switch: Switch) -> None:
    with parse(f"vde,id=v0,sock=vde://{switch.folder},port=4") as plug:
        assert isinstance(plug, VdePlug)
        assert plug.details == f"sock=vde://{switch.folder},port=4"
        assert b"Port 0004" in port_list(switch)
        exchange(plug, Vde(switch.folder))


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize("module", ["ptp", "switch", "hub"])
def test_networks_that_the_library_makes_itself(module: str, tmp_path: Path) -> None:
    """Two plugs of a point-to-point line; a plug that is a switch, and our own client of it."""
    with VdePlug(f"{module}://{tmp_path}/net") as made:
        if module == "ptp":
            exchange(made, VdePlug(f"ptp://{tmp_path}/net"))
            return
        loop = nicemu.Loop()
        memory = nicemu.GuestMemory(4 << 20)
        nic = nicemu.create("e1000", mac=station(1).hex(":"), memory=memory, loop=loop, backend=made)
        child = subprocess.Popen([sys.executable, "-c", CHILD, f"{tmp_path}/net", "02", "01"], stdout=subprocess.PIPE)
        driver = attach(nic)
        driver.start()
        driver.wait(driver.link_up, "link")
        heard: list[bytes] = []
        until(
            lambda: heard,
            lambda: loop.turn(0.01),
            lambda: heard.extend(f.data for f in driver.receive() if f.data[6:12] == station(2)),
        )
        while child.poll() is None:
            driver.send(station(2) + station(1) + b"\x88\xb5" + bytes(46))
            loop.turn(0.01)
        assert child.communicate()[0] == b"up\nheard\n"
        nic.close()


@pytest.mark.usefixtures("library")
def test_a_tap_by_its_url() -> None:
    """tap:// makes an interface of this machine; what is sent is what a packet socket hears there, and back."""
    name = f"nicemuv{os.getpid() % 100000}"
    with VdePlug(f"tap://{name}") as plug, Hub() as hub, socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as judge:
        wire = Wire()
        hub.connect(wire)
        hub.connect(plug)
        subprocess.run(["ip", "link", "set", name, "up"], check=True)
        judge.bind((name, 0x88B5))
        judge.settimeout(20)
        wire.deliver([frame(b"\xff" * 6, station(1), 1)])
        hub.turn()
        assert judge.recv(2048) == frame(b"\xff" * 6, station(1), 1)
        judge.send(frame(station(1), station(2), 2))
        until(lambda: frame(station(1), station(2), 2) in wire.received, hub.turn)


@pytest.mark.usefixtures("library")
def test_a_switch_that_ends_takes_the_link_of_the_library_down(switch: Switch) -> None:
    """The processor then rests, and frames are counted as lost."""
    loop = nicemu.Loop()
    plug = VdePlug(f"vde://{switch.folder}")
    nic = nicemu.create("e1000", memory=nicemu.GuestMemory(4 << 20), loop=loop, backend=plug)
    loop.turn(0.01)
    assert nic.wire_up
    switch.process.kill()
    until(lambda: not nic.wire_up, lambda: loop.turn(0.05))
    begin, used = time.monotonic(), time.process_time()
    while time.monotonic() < begin + 0.3:
        loop.turn(0.3)
    assert time.process_time() - used < 0.2
    nic.close()
    plug.close()


@pytest.mark.usefixtures("library")
def test_what_the_library_refuses(tmp_path: Path) -> None:
    for url, message in (
        (f"vde://{tmp_path}/none", "No such file or directory"),
        ("carrier-pigeon://x", "is no URL of libvdeplug"),
        ("pigeon://x", "libvdeplug has no module 'pigeon' here"),
    ):
        with pytest.raises((BackendError, ValueError), match=message):
            VdePlug(url)
