"""Faults of the data path, and where each is held:

D1-D4   tap deleted, down, full, short reads    tests/test_backend_tap.py
D5-D12  sockets: EINTR, resets, truncation      tests/test_backend_socket_faults.py
D13     a backend slower than the guest         tests/test_loss.py, tests/robustness/test_wire.py, this module
D14     a guest slower than the backend         tests/test_loss.py, tests/robustness/test_wire.py
D15     capture file: disk full, EPIPE, deleted tests/test_backend_pcap.py, conformance/test_dump.py
D16     clocks that jump                        this module
D17     no descriptors left                     tests/test_backend_socket_faults.py
D18     signals and exceptions in callbacks     tests/test_loop.py, tests/test_port.py
D19     fork                                    this module, tests/robustness/test_life.py
D20     exceptions of one wire of several       this module
D21     hosts that do not answer, no resolver   tests/test_backend_user.py, conformance/test_resolver.py
D22     VDE switch stops                        tests/test_backend_vde.py, conformance/test_vde.py
D23     a host that refuses jumbo frames        tests/test_backend_socket_faults.py, tests/test_backend_tap.py
D24     allocation failure                      tests/robustness/test_allocation.py
D25     guest memory that goes away             tests/robustness/test_dma.py
D26-D27 interpreter shutdown, closing twice     tests/robustness/test_life.py
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import re
import socket
import struct
import time
from pathlib import Path

import pytest

import nicemu
from nicemu.backends import Faults, Null, Pcap, PythonBackend, Rate, Stream
from nicemu.drivers import Driver, attach


def test_what_the_table_names_is_there() -> None:
    root = Path(__file__).parents[2]
    named = re.findall(r"(?:tests|conformance)/[\w/]+\.py", __doc__ or "")
    assert len(named) > 10
    assert [path for path in named if not (root / path).exists()] == []


def test_a_forked_child_closes_a_wire_with_frames_under_way(tmp_path: Path) -> None:
    """D19: the parent's frames, sockets and file do not notice."""
    ours, theirs = socket.socketpair()
    theirs.settimeout(30)
    wire = Pcap(Faults(Rate(Stream(fd=ours), rate="1G"), delay=1, delay_time="1ms"), tmp_path / "a.pcap")
    clock = nicemu.Clock.virtual()
    with nicemu.create("e1000", memory=nicemu.GuestMemory(4 << 20), clock=clock, backend=wire) as nic:
        driver = attach(nic)
        driver.start()
        driver.wait(driver.link_up, "link")
        sent = b"\xff" * 6 + driver.mac + b"\x88\xb5" + bytes(46)
        driver.send(sent)
        pid = os.fork()
        if not pid:
            status = 1
            try:
                nic.close()
                wire.close()
                status = 0
            finally:
                os._exit(status)
        assert os.waitpid(pid, 0)[1] == 0
        clock.advance(10**9)
        nic.poll()
        assert theirs.recv(4 + 60, socket.MSG_WAITALL) == (60).to_bytes(4, "big") + sent
        assert wire.records == 1
    wire.close()
    theirs.close()


def numbered(source: bytes, number: int) -> bytes:
    """A broadcast of 60 bytes that says which it is."""
    return b"\xff" * 6 + source + b"\x88\xb5" + number.to_bytes(4, "big") + bytes(42)


def on(wire: nicemu.backends.Backend, **options: object) -> tuple[nicemu.Nic, Driver]:
    """A card that is up on that wire."""
    nic = nicemu.create("e1000", memory=nicemu.GuestMemory(4 << 20), backend=wire, **options)
    driver = attach(nic)
    driver.start()
    driver.wait(driver.link_up, "link")
    return nic, driver


# ------------------------------------------------------------------------------------------------- D13


def test_a_card_that_is_reset_while_its_wire_is_full() -> None:
    """A frame that the wire had begun comes to its end, what it had not taken is gone, and nothing comes twice."""
    near, far = socket.socketpair()
    near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2048)
    nic, driver = on(Stream(fd=near))
    for number in range(200):
        driver.send(numbered(driver.mac, number))
    assert nic.counters["port_blocked"]
    taken = nic.counters["port_sent_frames"]
    assert 0 < taken < 200
    nic.reset()
    driver.start()
    driver.wait(driver.link_up, "link")
    far.setblocking(False)
    heard, wanted = b"", [*range(taken), 1000]
    for _ in range(10000):
        try:
            heard += far.recv(1 << 16)
        except BlockingIOError:
            if len(heard) >= taken * 64:
                break
        nic.poll()
    driver.send(numbered(driver.mac, 1000))
    heard += far.recv(1 << 16)
    frames = [heard[at : at + 64] for at in range(0, len(heard), 64)]
    assert frames == [struct.pack(">I", 60) + numbered(driver.mac, number) for number in wanted]
    nic.close()
    far.close()


# ------------------------------------------------------------------------------------------------- D16


def times(path: Path) -> list[int]:
    """ns of each record of a classic capture file with nanoseconds."""
    data, at, found = path.read_bytes(), 24, []
    while at < len(data):
        seconds, fraction, captured, _ = struct.unpack_from("=IIII", data, at)
        found.append(seconds * 10**9 + fraction)
        at += 16 + captured
    return found


def test_a_capture_of_a_card_whose_clock_is_ahead_of_the_time_of_day(tmp_path: Path) -> None:
    """The device's time 0 is then before 1970: the first record has the time of day all the same, and others follow."""
    clock = nicemu.Clock.virtual(now=2 * time.time_ns())
    wire = Pcap(Null(), tmp_path / "a.pcap")
    nic, driver = on(wire, clock=clock)
    before = time.time_ns()
    for number in range(3):
        driver.send(numbered(driver.mac, number))
        clock.advance(10**9)
    nic.close()
    wire.close()
    first, *rest = times(tmp_path / "a.pcap")
    assert before <= first <= time.time_ns()
    assert rest == [first + 10**9, first + 2 * 10**9]


def test_a_capture_that_goes_on_with_a_clock_that_is_far_behind(tmp_path: Path) -> None:
    """No time stamp is before 1970, nor one that wraps to the year 2106."""
    wire = Pcap(Null(), tmp_path / "a.pcap")
    for now in (3 * time.time_ns(), 0):
        nic, driver = on(wire, clock=nicemu.Clock.virtual(now=now))
        driver.send(numbered(driver.mac, 0))
        nic.close()
    wire.close()
    first, second = times(tmp_path / "a.pcap")
    assert second == 0 < first <= time.time_ns()


def test_what_is_long_overdue_neither_sleeps_nor_is_lost() -> None:
    """The program stood still while frames were under way: the loop waits neither a negative time for them nor anew."""
    near, far = socket.socketpair()
    loop = nicemu.Loop()
    nic, driver = on(Rate(Stream(fd=near), latency="5ms"), loop=loop)
    driver.send(numbered(driver.mac, 7))
    time.sleep(0.05)
    begun = time.monotonic()
    loop.turn(60)
    assert time.monotonic() - begun < 30
    far.settimeout(10)
    assert far.recv(100)[4:] == numbered(driver.mac, 7)
    nic.close()
    far.close()


# ------------------------------------------------------------------------------------------------- D19


def serve_in_child(near: socket.socket, number: int) -> None:
    """A card of the child's own, which sends one frame."""
    with Stream(fd=near) as wire:
        nic, driver = on(wire)
        driver.send(numbered(bytes(6), number))
        nic.close()


@pytest.mark.parametrize("method", ["spawn", "fork"])
def test_a_process_of_multiprocessing_has_cards_of_its_own(method: str) -> None:
    """Its card works, and neither that nor its end disturbs the parent's."""
    ours, theirs = socket.socketpair()
    nic, driver = on(Stream(fd=ours))
    driver.send(numbered(driver.mac, 1))
    with pytest.raises(TypeError, match="pickle"):
        pickle.dumps(nic)
    near, far = socket.socketpair()
    child = multiprocessing.get_context(method).Process(target=serve_in_child, args=(near, 5))
    child.start()
    near.close()
    far.settimeout(60)
    assert far.recv(64, socket.MSG_WAITALL)[4:] == numbered(bytes(6), 5)
    child.join(60)
    assert child.exitcode == 0
    driver.send(numbered(driver.mac, 2))
    theirs.settimeout(10)
    heard = theirs.recv(128, socket.MSG_WAITALL)
    assert [heard[4:64], heard[68:]] == [numbered(driver.mac, 1), numbered(driver.mac, 2)]
    theirs.sendall(struct.pack(">I", 60) + numbered(bytes(6), 3))
    driver.wait(lambda: nic.poll() or nic.counters["port_received_frames"] == 1, "frame")
    assert [frame.data for frame in driver.receive()] == [numbered(bytes(6), 3)]
    nic.close()
    far.close()
    theirs.close()


# ------------------------------------------------------------------------------------------------- D20


class Broken(PythonBackend):
    """A wire that fails in every turn."""

    def poll(self) -> None:
        raise RuntimeError("broken")


def test_a_wire_that_fails_leaves_the_other_cards_of_its_loop_alone() -> None:
    """The exception comes out of the loop each time it is raised; the others' frames move in the same turns."""
    loop = nicemu.Loop()
    near, far = socket.socketpair()
    bad = nicemu.create("e1000", memory=nicemu.GuestMemory(4 << 20), loop=loop, backend=Broken())
    good, driver = on(Stream(fd=near), loop=loop)
    for number in range(3):
        far.sendall(struct.pack(">I", 60) + numbered(bytes(6), number))
        for _ in range(1000):
            with pytest.raises(RuntimeError, match="broken"):
                loop.turn(0.01)
            if found := driver.receive():
                break
        assert [frame.data for frame in found] == [numbered(bytes(6), number)]
        driver.send(numbered(driver.mac, number))
        assert far.recv(100)[4:] == numbered(driver.mac, number)
    bad.plug(None)
    loop.turn()
    for nic in (bad, good):
        nic.close()
    far.close()
