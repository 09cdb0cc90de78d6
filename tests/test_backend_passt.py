"""passt as a process: how it is started, how it ends, and what becomes of the wire; conformance meets the real one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from backend_station import Wire

import nicemu
from nicemu.backends import Hub, Passt, Stream, parse
from nicemu.errors import BackendError, ConfigurationError


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    stub = Path(__file__).with_name("passt_stub.py")
    path = tmp_path / "passt"
    path.write_text(f'#!/bin/sh\nexec {sys.executable} -I {stub} "$@"\n')
    path.chmod(0o755)
    monkeypatch.setenv("PASST_STUB", str(tmp_path / "notes"))
    return path


def notes(program: Path) -> dict[str, Any]:
    path = program.with_name("notes")
    until(lambda: path.exists() and path.read_text().endswith("}"))
    return dict(json.loads(path.read_text()))


def until(condition: Callable[[], object], *turns: Callable[[], None], seconds: float = 40) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        for turn in turns:
            turn()
        time.sleep(0.002)


def gone(pid: int) -> bool:
    """No process, not even one that waits to be reaped."""
    return not os.path.exists(f"/proc/{pid}")


def test_frames_go_through_it_and_it_ends_with_the_backend(program: Path) -> None:
    wire = Wire()
    frames = [bytes([n]) * (60 + n) for n in range(100)]
    with Hub() as hub, Passt(path=program) as passt:
        hub.connect(wire)
        hub.connect(passt)
        wire.deliver(frames)
        until(lambda: len(wire.received) == 100, hub.turn)
        assert wire.received == frames
        pid = passt.pid
        assert pid == notes(program)["pid"]
        assert passt.details == f"pid={pid}"
        assert passt.lossless
    assert pid is not None
    assert gone(pid)
    passt.close()


def test_qemus_options_are_passts(program: Path) -> None:
    text = (
        f"passt,id=p0,path={program},mtu=1500,address=10.0.2.15,netmask=24,mac=9a:55:9a:55:9a:56,gateway=10.0.2.2,"
        "interface=eth0,dns=10.0.2.3,dns-forward=10.0.2.3,search=a.test,search=b.test,tcp-ports=2222:22,"
        "tcp-ports=8080:80,,8081:81,udp-ports=53,outbound-if4=eth0,udp=off,tcp=on,ra=off,dhcp-dns=off,freebind=on,"
        "ipv6=off,quiet=off,param=--trace,param=--no-map-gw"
    )
    with parse(text) as passt:
        assert passt.name == "p0"
        arguments = notes(program)["arguments"]
    assert arguments[:-4] == [
        "--mtu", "1500", "--address", "10.0.2.15", "--netmask", "24", "--mac-addr", "9a:55:9a:55:9a:56",
        "--gateway", "10.0.2.2", "--interface", "eth0", "--dns", "10.0.2.3", "--dns-forward", "10.0.2.3",
        "--search", "a.test", "--search", "b.test", "--tcp-ports", "2222:22", "--tcp-ports", "8080:80,8081:81",
        "--udp-ports", "53", "--outbound-if4", "eth0", "--no-udp", "--no-ra", "--no-dhcp-dns", "--freebind",
        "--ipv4-only", "--trace", "--no-map-gw", "--foreground",
    ]  # fmt: skip
    assert arguments[-4::2] == ["--pid", "--fd"]


def test_it_inherits_its_socket_and_nothing_else(program: Path) -> None:
    """F22: no descriptor of the loop, of a card or of another backend gets into it."""
    with Wire() as wire, nicemu.create("e1000", backend=wire) as nic, Passt(path=program) as passt:
        nic.loop.fileno()
        noted = notes(program)
        fd = int(noted["arguments"][-1])
        assert sorted(noted["descriptors"]) == [0, 1, 2, fd]
        assert passt.pid


def test_one_that_ends_by_itself(program: Path) -> None:
    """Link down, counted; it is reaped at once, and sending on is counted."""
    with Passt(path=program) as passt:
        loop = nicemu.Loop()
        nic = nicemu.create("e1000", loop=loop, backend=passt)
        loop.turn()
        assert nic.wire_up
        pid = passt.pid
        assert pid
        os.kill(pid, signal.SIGKILL)
        until(lambda: not nic.wire_up, lambda: loop.turn(0.05))
        assert passt.stream_counters.disconnects == 1
        until(lambda: gone(pid))
        assert passt.pid is None
        nic.close()


def test_it_ends_with_a_process_that_is_killed(program: Path) -> None:
    code = f"import time; from nicemu.backends import Passt; p = Passt(path={str(program)!r}); print(p.pid, flush=True)"
    parent = subprocess.Popen([sys.executable, "-c", code + "; time.sleep(60)"], stdout=subprocess.PIPE, text=True)
    assert parent.stdout
    pid = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    parent.stdout.close()
    until(lambda: gone(pid) or Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z")


def test_one_that_runs_already(tmp_path: Path) -> None:
    """By its socket: what serves there is a stream's peer, and is connected to again."""
    with Passt(socket=str(tmp_path / "s")) as passt:
        wire, far = Wire(), Wire()
        with Hub() as hub, Hub() as other, Stream(server=True, addr_path=str(tmp_path / "s")) as peer:
            for one, ends in ((hub, (wire, passt)), (other, (far, peer))):
                for end in ends:
                    one.connect(end)
            until(lambda: passt.link_up, hub.turn, other.turn)
            wire.deliver([bytes(60)])
            until(lambda: far.received, hub.turn, other.turn)
            assert passt.pid is None
            assert passt.details == ""


def test_mistakes(program: Path, tmp_path: Path) -> None:
    with pytest.raises(BackendError, match="backend passt needs the program /none/passt; install package passt"):
        Passt(path="/none/passt")
    with pytest.raises(BackendError, match="passt ended with status 1: Invalid MTU: bad"):
        Passt(path=program, param=["--mtu", "bad"])
    with pytest.raises(ConfigurationError, match="mtu=bad; expected a number from 0"):
        Passt(path=program, mtu="bad")
    with pytest.raises(ConfigurationError, match="backend passt has no option 'colour'; expected one of: path, socket"):
        Passt(path=program, colour="red")
    with pytest.raises(ConfigurationError, match="tcp=maybe is not a switch"):
        Passt(path=program, tcp="maybe")
    with pytest.raises(ConfigurationError, match="leave no network"):
        Passt(path=program, ipv4=False, ipv6=False)
    with pytest.raises(ConfigurationError, match="socket is that of a running passt"):
        Passt(socket="/tmp/x", mtu=1500)
    text = tmp_path / "text"
    text.write_text("no program")
    text.chmod(0o755)
    with pytest.raises(BackendError, match="Exec format error"):
        Passt(path=text)
