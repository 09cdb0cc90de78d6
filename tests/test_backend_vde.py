"""A port of a VDE switch, by its protocol; conformance meets the real switch."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from backend_station import Wire
from vde_switch import Switch

import nicemu
from nicemu.backends import Hub, Vde, VdePlug, parse
from nicemu.errors import BackendError, ConfigurationError


def frame(number: int, length: int = 60) -> bytes:
    return b"\xff" * 6 + number.to_bytes(8, "big") + bytes((number + i) & 0xFF for i in range(length - 14))


@pytest.fixture
def switch(tmp_path: Path) -> Iterator[Switch]:
    made = Switch(tmp_path / "switch")
    yield made
    made.close()


def join(switch: Switch, **options: object) -> Vde:
    """A plug, whose first request the switch answers meanwhile."""
    done = threading.Event()

    def serve() -> None:
        while not done.is_set():
            switch.step()
            time.sleep(0.001)

    server = threading.Thread(target=serve)
    server.start()
    try:
        return Vde(switch.folder, **options)  # type: ignore[arg-type]
    finally:
        done.set()
        server.join()


def until(condition: Callable[[], object], *turns: Callable[[], None], seconds: float = 40) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        for turn in turns:
            turn()
        time.sleep(0.001)


def test_the_request_is_the_protocols(switch: Switch) -> None:
    with join(switch, port=5, mode="0770") as plug:
        (_, _, request) = switch.plugs[0]
        assert struct.unpack_from("=III", request) == (0xFEEDFACE, 3, 5 << 8)
        own = Path(os.fsdecode(Switch.own_address(request)))
        assert own.parent == switch.folder
        assert own.stat().st_mode & 0o777 == 0o770
        assert request[122:].rstrip(b"\0").startswith(b"nicemu user=")
        assert plug.link_up
        assert plug.vde_counters.connects == 1
    assert not own.exists()


def test_frames_go_both_ways(switch: Switch) -> None:
    near, far = Wire(), Wire()
    with Hub() as left, Hub() as right, join(switch) as one, join(switch) as other:
        for hub, ends in ((left, (near, one)), (right, (far, other))):
            for end in ends:
                hub.connect(end)
        lengths = [60, 61, 1514, 9014, 16384]
        near.deliver([frame(n, length) for n, length in enumerate(lengths)])
        far.deliver([frame(100 + n) for n in range(200)])
        until(lambda: len(far.received) == 5 and len(near.received) == 200, left.turn, right.turn, switch.step)
        assert far.received == [frame(n, length) for n, length in enumerate(lengths)]
        assert near.received == [frame(100 + n) for n in range(200)]


def test_a_slow_switch_holds_the_card_back_and_loses_nothing(switch: Switch) -> None:
    """The switch's socket has room for a few frames; the rest waits."""
    with join(switch) as one, join(switch) as other:
        near, far = Wire(), Wire()
        with Hub() as left, Hub() as right:
            for hub, ends in ((left, (near, one)), (right, (far, other))):
                for end in ends:
                    hub.connect(end)
            assert near.deliver([frame(n, 1514) for n in range(150)]) == 150
            for _ in range(20):
                left.turn()
            assert 0 < one.counters.sent_frames < 150
            until(lambda: len(far.received) == 150, switch.step, left.turn, right.turn)
            assert far.received == [frame(n, 1514) for n in range(150)]
            assert one.counters.send_drops == 0


def test_a_switch_that_ends_and_comes_back(tmp_path: Path) -> None:
    """D22: link down, counted; frames meanwhile are counted; the port is asked for again, and the processor is idle."""
    first = Switch(tmp_path / "switch")
    plug = join(first)
    loop = nicemu.Loop()
    nic = nicemu.create("e1000", memory=nicemu.GuestMemory(1 << 16), loop=loop, backend=plug)
    loop.turn()
    assert nic.wire_up
    gone = time.monotonic()
    first.close()
    until(lambda: not nic.wire_up, lambda: loop.turn(0.1))
    assert plug.vde_counters.disconnects == 1
    begin, used = time.monotonic(), time.process_time()
    while time.monotonic() < begin + 0.5:
        loop.turn(0.5)
    assert time.process_time() - used < 0.2
    attempts = plug.vde_counters.attempts
    assert attempts >= 1
    assert 0.1 * (2**attempts - 1) <= time.monotonic() - gone, "after 0.1, 0.3, 0.7 s and so on"
    second = Switch(tmp_path / "switch")
    until(lambda: nic.wire_up, second.step, lambda: loop.turn(0.05))
    assert plug.vde_counters.connects == 2
    second.close()
    nic.close()
    plug.close()
    assert [p.name for p in (tmp_path / "switch").iterdir()] == []


def test_frames_for_a_switch_that_is_gone_are_counted(switch: Switch) -> None:
    near = Wire()
    with Hub() as hub, join(switch) as plug:
        hub.connect(near)
        hub.connect(plug)
        control, data, _ = switch.plugs.pop()
        control.close()
        data.close()
        until(lambda: not plug.link_up, hub.turn)
        near.deliver([frame(1), frame(2)])
        hub.turn()
        assert plug.counters.send_drops == 2


def test_by_name(switch: Switch) -> None:
    done = threading.Thread(target=lambda: until(lambda: switch.plugs, switch.step))
    done.start()
    with parse(f"vde,id=v0,sock={switch.folder},port=3") as plug:
        assert (plug.name, plug.kind, plug.details) == ("v0", "vde", f"sock={switch.folder},port=3")
    done.join()


def test_mistakes(tmp_path: Path, switch: Switch) -> None:
    with pytest.raises(BackendError, match=f"no VDE switch at {tmp_path}/none: No such file or directory"):
        Vde(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(BackendError, match=f"start it with vde_switch -sock {tmp_path}/empty"):
        Vde(tmp_path / "empty")
    assert not list((tmp_path / "empty").iterdir())
    switch.answers = False
    with pytest.raises(BackendError, match="the switch refused port 7"):
        join(switch, port=7)
    for options, message in (
        ({"port": 65536}, "port=65536 is out of range"),
        ({"mode": "rwx"}, "mode=rwx is not a mode; expected an octal number"),
        ({"group": "nobodys-group"}, "group=nobodys-group: there is no such group"),
    ):
        with pytest.raises(ConfigurationError, match=message):
            Vde(switch.folder, **options)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="expected 1 to 107 for the path of a socket"):
        Vde(tmp_path / ("x" * 120))


def test_urls_need_a_library_and_say_so(tmp_path: Path) -> None:
    """In a program that finds a libvdeplug which is none; the real one is met in conformance."""
    (tmp_path / "libvdeplug.so.2").write_text("no library")
    command = [sys.executable, "-m", "nicemu", "run", "-netdev", "vde,id=v0,sock=tap://tap0"]
    done = subprocess.run(
        command, env=os.environ | {"LD_LIBRARY_PATH": str(tmp_path)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "nicemu: cannot open tap://tap0: URLs need libvdeplug, Debian's libvdeplug2, and " in done.stderr
    assert done.stderr.endswith("(sock=FOLDER of a switch needs no library)\n")
    for url, message in (("tap0", "'tap0' is no URL of libvdeplug; expected one such as"), ("tap:/x", "is no URL")):
        with pytest.raises(ConfigurationError, match=message):
            VdePlug(url)
    with pytest.raises(ConfigurationError, match="port=-1 is out of range"):
        VdePlug("null://", port=-1)
    with pytest.raises(ConfigurationError, match="or VdePlug for the URL"):
        Vde("tap://tap0")
