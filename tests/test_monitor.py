"""The monitor: commands as lines, as JSON, and from Python; clients that mean ill."""

from __future__ import annotations

import json
import os
import pty
import select
import socket
import stat
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

import pytest
from program import Program, ask
from vfio_client import CONFIG, Client

from nicemu import Network, Nic
from nicemu.errors import ConfigurationError, SnapshotError
from nicemu.monitor import Monitor, MonitorServer
from nicemu.monitor.server import answer_json, answer_line, split_values


@contextmanager
def watched() -> Iterator[tuple[Nic, Monitor]]:
    """A card without a cable, and its monitor."""
    with Network() as network:
        yield network.device_add("e1000"), Monitor(network)


@pytest.fixture
def monitor() -> Iterator[Monitor]:
    """Two cards and a user network on hub 0, a card at a loopback plug that is recorded, a netdev that nobody has."""
    with Network() as network:
        network.netdev_add("user", {"id": "u0"})
        network.netdev_add("hubport", {"id": "hub0port0", "hubid": 0, "netdev": "u0"})
        network.netdev_add("hubport", {"id": "hub0port1", "hubid": 0})
        network.netdev_add("hubport", {"id": "hub0port2", "hubid": 0})
        network.netdev_add("loopback", {"id": "l0"})
        network.object_add("filter-dump", {"id": "f0", "netdev": "l0", "file": "/dev/null"})
        network.netdev_add("null", {"id": "n0"})
        network.device_add("e1000", {"netdev": "hub0port1"})
        network.device_add("e1000", {"netdev": "l0", "id": "lo"})
        yield Monitor(network)


# ------------------------------------------------------------------------------------------------- commands


def test_info_network_is_laid_out_as_qemu_does(monitor: Monitor) -> None:
    assert monitor.line("info network").split("\n") == [
        "hub 0",
        " \\ hub0port0: u0: index=0,type=user,net=10.0.2.0,restrict=off",
        " \\ hub0port1: e1000.0: index=0,type=nic,model=e1000,macaddr=52:54:00:12:34:56",
        " \\ hub0port2",
        "n0: index=0,type=null",
        "lo: index=0,type=nic,model=e1000,macaddr=52:54:00:12:34:57",
        " \\ l0: index=0,type=loopback",
        "filters:",
        "  - f0: type=filter-dump,file=/dev/null",
    ]


def test_info_nic_has_registers_rings_counters_and_findings(monitor: Monitor) -> None:
    nic = monitor.network.find_nic("lo")
    nic.bars[0].write(0x2808, 4096)
    nic.bars[0].write(0x2818, 7)
    nic.bars[0].read(0, 1)
    text = monitor.line("info nic lo").split("\n")
    assert text[0] == "lo: model=e1000,macaddr=52:54:00:12:34:57,link=up"
    assert any(line.startswith("  CTRL = 0x00000201 FD") for line in text)
    assert any(line.startswith("  receive: ") and line.endswith("descriptors=256 head=0 tail=7") for line in text)
    assert "  odd_widths 1" in text
    assert "  e1000.access.width 1" in text


def test_hostfwd(monitor: Monitor) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    assert monitor.line(f"hostfwd_add tcp:127.0.0.1:{port}-:22") == ""
    (header, *_, rule) = monitor.line("info usernet").split("\n")
    assert header == "Hub 0 (u0):"
    assert f" {port} " in rule
    assert monitor.line(f"hostfwd_remove u0 tcp:127.0.0.1:{port}") == ""
    assert f" {port} " not in monitor.line("info usernet")
    with pytest.raises(ConfigurationError, match="nothing is forwarded"):
        monitor.line(f"hostfwd_remove tcp:127.0.0.1:{port}")
    with pytest.raises(ConfigurationError, match="no user network l0; there are: u0"):
        monitor.line("hostfwd_add l0 tcp::1-:1")


def test_netdev_and_object_commands(monitor: Monitor) -> None:
    monitor.line("netdev_add user,id=u1,net=10.9.0.0/24,restrict=on")
    assert "u1: index=0,type=user,net=10.9.0.0,restrict=on" in monitor.line("info network")
    monitor.line("object_add filter-dump,id=f1,netdev=u1,file=/dev/null")
    assert "  - f1: type=filter-dump,file=/dev/null" in monitor.line("info network")
    monitor.line("netdev_del u1")
    assert "u1" not in monitor.line("info network")
    for wrong, message in (
        ("netdev_add user", "needs an id"),
        ("netdev_add usr,id=x", "unknown netdev type 'usr'; expected one of: user"),
        ("netdev_add user,id=x,foo=3", "no option 'foo'; expected one of: id, net"),
        ("netdev_del x", "no netdev 'x'; there are: u0"),
    ):
        with pytest.raises(ConfigurationError, match=message):
            monitor.line(wrong)


def test_device_and_object_commands(monitor: Monitor, tmp_path: Path) -> None:
    """As lines, in JSON and from Python; what was removed leaves `info network` as it was before."""
    before = monitor.line("info network")
    monitor.line("device_add e1000,id=e9,netdev=n0,mac=52:54:00:00:00:09,socket=" + str(tmp_path / "nic"))
    monitor.line("object_add filter-dump,id=f9,netdev=n0,file=/dev/null")
    assert (tmp_path / "nic").is_socket()
    assert monitor.line("info network").split("\n")[-4:] == [
        "e9: index=0,type=nic,model=e1000,macaddr=52:54:00:00:00:09",
        " \\ n0: index=0,type=null",
        "filters:",
        "  - f9: type=filter-dump,file=/dev/null",
    ]
    assert json.loads(answer_json(monitor, '{"execute": "object-del", "arguments": {"id": "f9"}}')) == {"return": {}}
    monitor.execute("device_del", {"id": "e9"})
    assert not (tmp_path / "nic").exists()
    assert monitor.line("info network") == before
    added = '{"execute": "device_add", "arguments": {"driver": "e1000", "id": "e9", "netdev": "n0", "vectors": 4}}'
    assert json.loads(answer_json(monitor, added)) == {
        "return": {"warning": "vectors= has no effect: e1000 has no MSI-X"}
    }
    assert monitor.line("device_del e9") == ""
    for wrong, message in (
        ("device_add e1001", "no model 'e1001'; expected one of"),
        ("device_add e1000,colour=red", "no option 'colour'; expected one of: netdev, socket"),
        ("device_add e1000,netdev=l0", "netdev l0 is in use by lo"),
        ("device_del n0", "no card 'n0'; there are: e1000.0, lo"),
        ("object_add filter-dump,id=f0,netdev=n0,file=/dev/null", "'f0' is taken by an object"),
        ("object_del lo", "no object 'lo'; there are: f0"),
        ("device_del", "expected device_del ID"),
    ):
        with pytest.raises(ConfigurationError, match=message):
            monitor.line(wrong)
    with pytest.raises(OSError, match="nowhere"):
        monitor.line(f"device_add e1000,id=e9,socket={tmp_path}/nowhere/nic")
    assert monitor.line("info network") == before, "a card that cannot be served is none"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("help", "device_add MODEL,id=ID,netdev=ID[,OPTION=VALUE...]  make a card"),
        ("help object_del", "object_del ID  take a wrapper"),
        ("netdev_add help", "Available netdev backend types:"),
        ("netdev_add user,help", "hostfwd=<rule>"),
        ("device_add ?", 'name "e1000"'),
        ("device_add e1000,help", "socket=<file>"),
        ("object_add help", "filter-dump"),
        ("object_add rate,?", "netdev=<id>"),
    ],
)
def test_help(monitor: Monitor, line: str, expected: str) -> None:
    before = monitor.line("info network")
    assert expected in monitor.line(line)
    assert monitor.line("info network") == before


def test_a_served_card_can_go_while_its_client_is_there(tmp_path: Path, started: list[Program]) -> None:
    """The client is hung up on; the socket file goes, and one of the same name can be made again."""
    path = tmp_path / "monitor"
    program = Program(tmp_path, "--monitor", str(path))
    started.append(program)
    for _ in range(2):
        with Client(program.path) as client:
            client.negotiate()
            assert ask(path, "device_del e1000.0") == ["OK"]
            assert client.socket.recv(1) == b""
        assert not program.path.exists()
        assert ask(path, "info network") == ["null.0: index=0,type=null", "OK"]
        assert ask(path, f"device_add e1000,netdev=null.0,socket={program.path}") == ["OK"]
    with Client(program.path) as client:
        client.negotiate()
        assert client.read(CONFIG, 0) == 0x100E8086
    assert ask(path, "quit") == ["OK"]
    program.ended()


def test_snapshots(monitor: Monitor, tmp_path: Path) -> None:
    one, both = tmp_path / "one", tmp_path / "both"
    nics = [card.nic for card in monitor.network.cards.values()]
    monitor.line(f"snapshot save {both}")
    monitor.line(f"snapshot save {one} lo")
    before = [nic.save() for nic in nics]
    for nic in nics:
        nic.bars[0].write(0x0100, 0x2)
    monitor.line(f"snapshot load {one} lo")
    assert [nic.save() == old for nic, old in zip(nics, before, strict=True)] == [False, True]
    monitor.line(f"snapshot load {both}")
    assert [nic.save() for nic in nics] == before
    broken = json.loads(both.read_bytes())
    broken["nics"]["lo"]["model"] = "other"
    one.write_text(json.dumps(broken))
    nics[0].bars[0].write(0x0100, 0x2)
    before = [nic.save() for nic in nics]
    for text in (one.read_text(), "[]", "{", '{"nics": {}}', '{"nics": 5}'):
        one.write_text(text)
        with pytest.raises(SnapshotError):
            monitor.line(f"snapshot load {one}")
        assert [nic.save() for nic in nics] == before, "a refused snapshot changes no card"
    with pytest.raises(FileNotFoundError):
        monitor.line(f"snapshot save {tmp_path}/nowhere/x")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["both", "one"]


def test_dump_for_ethtool(monitor: Monitor, tmp_path: Path) -> None:
    answer = monitor.line(f"dump ethtool lo {tmp_path}/regs")
    assert answer == f"{tmp_path}/regs: 128 bytes, driver e1000, version 0x0102100e"
    assert (
        struct.unpack("=I", (tmp_path / "regs").read_bytes()[:4])[0] == monitor.network.find_nic("lo").regs.CTRL.value
    )


def test_python_api(monitor: Monitor) -> None:
    monitor.execute("set_link", {"name": "lo", "up": False})
    assert monitor.execute("query-nic", {"name": "lo"})["link"] is False
    assert monitor.execute("query_network")["clients"][1]["peer"]["name"] == "l0"
    monitor.execute(
        "netdev_add", {"type": "user", "id": "u7", "hostfwd": [{"str": "tcp:127.0.0.1:0-:1"}][:0], "ipv6": False}
    )
    assert "u7" in monitor.network.netdevs


# ------------------------------------------------------------------------------------------------- JSON


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ('{"execute": "set_link", "arguments": {"name": "lo", "up": false}, "id": [1]}', {"return": {}, "id": [1]}),
        ('{"execute": "qmp_capabilities"}', {"return": {}}),
        ('{"execute": "human-monitor-command", "arguments": {"command-line": "info findings"}}', {"return": ""}),
        ('{"execute": "query_findings"}', {"return": {}}),
        ('{"execute": "snapshot-load", "arguments": {"file": "a\\u0000b"}}', "null byte"),
        ('{"execute": "snapshot-load", "arguments": {"file": "\\ud800"}}', "encode"),
        ('{"execute": "netdev_add", "arguments": {"type": "hubport", "id": "h", "hubid": 1e999}}', "hubid=inf"),
        ("{", "invalid JSON"),
        ("{" * 4000, "invalid JSON"),
        ('{"a":' * 800, "invalid JSON"),
        ("[" * 4000, "invalid JSON"),
        ('{"execute": "netdev_add", "arguments": ' + '{"a":' * 780 + "1" + "}" * 781, "needs an id"),
        ("[]", "expected"),
        ("{}", "expected"),
        ('{"execute": 5}', "expected"),
        ('{"execute": "set_link", "arguments": 5}', "arguments must be an object"),
        ('{"execute": "set_link", "colour": 5}', "unexpected 'colour'"),
        ('{"execute": "set_link", "arguments": {"name": "lo"}}', "needs the argument 'up'"),
        ('{"execute": "set_link", "arguments": {"name": "lo", "up": "on"}}', "expected a bool"),
        ('{"execute": "set_link", "arguments": {"name": {}, "up": true}}', "expected a str"),
        ('{"execute": "set_link", "arguments": {"nam": "lo", "up": true}}', "no argument 'nam'; expected one of: name"),
        ('{"execute": "netdev_add", "arguments": {"type": "user"}}', "needs an id"),
        ('{"execute": "netdev_add", "arguments": {"type": ["a", "b"], "id": {"x": [{}]}}}', "needs an id"),
        ('{"execute": "netdev_add", "arguments": {"type": "user", "id": [1, null], "net": [[]]}}', ""),
        ('{"execute": "netdev_add", "arguments": {"type": "null", "id": 7}}', {"return": {}}),
        ('{"execute": "launch"}', "The command launch has not been found"),
        ('{"execute": "human-monitor-command"}', "needs the argument 'command-line'"),
        ('{"execute": "human-monitor-command", "arguments": {"command-line": "foo"}}', "unknown command 'foo'"),
    ],
)
def test_json(monitor: Monitor, line: str, answer: Any) -> None:
    given = json.loads(answer_json(monitor, line))
    if isinstance(answer, dict):
        assert given == answer
    else:
        assert answer in given["error"]["desc"]


def test_json_describes_itself(monitor: Monitor) -> None:
    names = [c["name"] for c in json.loads(answer_json(monitor, '{"execute": "query-commands"}'))["return"]]
    assert {"query-network", "netdev_add", "human-monitor-command"} <= set(names)
    assert "qemu" in json.loads(answer_json(monitor, '{"execute": "query-version"}'))["return"]


def test_qmp_socket(tmp_path: Path) -> None:
    path = tmp_path / "qmp"
    with (
        watched() as (nic, monitor),
        MonitorServer(monitor, path, json_only=True),
        socket.socket(socket.AF_UNIX) as client,
    ):
        client.connect(str(path))
        client.settimeout(30)

        def say(line: str) -> Any:
            client.sendall(line.encode())
            for _ in range(5):
                nic.loop.turn(0.01)
            return json.loads(client.recv(65536))

        assert say("")["QMP"]["capabilities"] == []
        assert say('{"execute": "query-version"}')["error"]["class"] == "CommandNotFound"
        assert say('{"execute": "qmp_capabilities"}') == {"return": {}}
        assert say('{"execute": "query-version"}')["return"]["qemu"]["major"] == 0
        assert "error" in say("info network\n")


@pytest.mark.parametrize(
    ("data", "values", "rest"),
    [
        (b"", [], b""),
        (b'{"a": 1}', [b'{"a": 1}'], b""),
        (b' {"a":\n{"b": [1]}}\r\n{"c"', [b'{"a":\n{"b": [1]}}'], b'{"c"'),
        (b'{"}": "\\"}"}{}', [b'{"}": "\\"}"}', b"{}"], b""),
        (b'{"\\\\"}{', [b'{"\\\\"}'], b"{"),
        (b'{"', [], b'{"'),
        (b"nonsense", [], b"nonsense"),
        (b"nonsense\n{}", [b"nonsense\n", b"{}"], b""),
        (b"{]}", [b"{]"], b"}"),
        (b"}\n", [b"}\n"], b""),
    ],
)
def test_json_needs_no_lines(data: bytes, values: list[bytes], rest: bytes) -> None:
    assert split_values(data) == (values, rest)


# ------------------------------------------------------------------------------------------------- sockets


@pytest.fixture
def started() -> Iterator[list[Program]]:
    programs: list[Program] = []
    yield programs
    for program in programs:
        program.kill()


def test_monitor(tmp_path: Path, started: list[Program]) -> None:
    path = tmp_path / "monitor"
    program = Program(tmp_path, "--monitor", str(path), netdev="loopback")
    started.append(program)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    card = "e1000.0: index=0,type=nic,model=e1000,macaddr=52:54:00:12:34:56"
    wire = " \\ loopback.0: index=0,type=loopback"
    assert ask(path, "info network") == [card, wire, "OK"]
    down = f"{card},link=down"
    assert ask(path, "set_link off", "info network", "set_link e1000.0 on") == ["OK", down, wire, "OK", "OK"]
    assert ask(path, "set_link loopback.0 off", "info network")[1] == down
    assert any(line.startswith("set_link [NAME] on|off ") for line in ask(path, "help"))
    assert any(line.startswith("  CTRL = ") for line in ask(path, "info nic"))
    assert "port_sent_frames 0" in ask(path, "info counters e1000.0")
    assert ask(path, "info findings") == ["OK"]
    assert ask(path, "quit") == ["OK"]
    program.ended()
    assert not path.exists()
    assert not program.path.exists()


@pytest.mark.parametrize(
    "command", ["", "frobnicate", "info", "info weather", "set_link", "set_link maybe", "set_link x on", "info nic a b"]
)
def test_monitor_answers_errors(command: str) -> None:
    with watched() as (_, monitor):
        answer = answer_line(monitor, command)
        assert answer.startswith("ERR ")
        assert "\n" not in answer


def test_monitor_shows_findings() -> None:
    with watched() as (nic, monitor):
        nic.bars[0].read(0, 1)
        assert answer_line(monitor, "info findings") == "e1000.access.width 1\nOK"


def test_monitor_survives_its_clients(tmp_path: Path) -> None:
    """Half lines, endless lines, silent readers and hang-ups end a connection at most."""
    path = tmp_path / "monitor"
    with watched() as (nic, monitor), MonitorServer(monitor, path):

        def turn() -> None:
            for _ in range(20):
                nic.loop.turn(0.001)

        def connect() -> socket.socket:
            connection = socket.socket(socket.AF_UNIX)
            connection.connect(str(path))
            connection.settimeout(30)
            return connection

        with connect() as half, connect() as other:
            half.sendall(b"info net")
            other.sendall(b"help\nhelp\n")
            turn()
            assert other.recv(65536).count(b"\nOK\n") == 2
            half.sendall(b"work\n")
            turn()
            assert half.recv(65536).endswith(b"OK\n")
        with connect() as endless:
            endless.sendall(b"x" * 5000)
            turn()
            assert endless.recv(10) == b""
        with connect() as silent:
            silent.setblocking(False)
            for _ in range(2000):
                try:
                    silent.sendall(b"info nic\n" * 20)
                except (BlockingIOError, BrokenPipeError):
                    break
                turn()
            turn()
        crowd = []
        for _ in range(20):
            crowd.append(connect())
            turn()
        assert crowd[-1].recv(1) == b"", "more than sixteen at a time are turned away"
        for connection in crowd:
            connection.close()
        turn()
        with connect() as last:
            last.sendall(b"info findings\n")
            turn()
            assert last.recv(100) == b"OK\n"
    assert not path.exists()


def test_monitor_replaces_a_dead_socket(tmp_path: Path) -> None:
    path = tmp_path / "monitor"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    with watched() as (_, monitor), MonitorServer(monitor, path):
        with pytest.raises(OSError, match="another program listens"):
            MonitorServer(monitor, path)
        assert path.exists()


def test_monitor_leaves_no_descriptors(tmp_path: Path) -> None:
    with watched() as (nic, monitor):
        before = len(os.listdir("/proc/self/fd"))
        with MonitorServer(monitor, tmp_path / "monitor"), socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(tmp_path / "monitor"))
            nic.loop.turn(0.01)
        assert len(os.listdir("/proc/self/fd")) == before


def test_a_terminal_has_a_prompt_completion_and_history(tmp_path: Path) -> None:
    """At a pseudo-terminal: a word completed with the tab key, the line before with the up key, an end of input."""
    leader, follower = pty.openpty()
    before = termios.tcgetattr(follower)
    command = [sys.executable, "-m", "nicemu", "run", "-netdev", "null,id=n0", "-monitor", "stdio"]
    environment = os.environ | {"TERM": "dumb", "INPUTRC": "/dev/null"}
    with subprocess.Popen(command, stdin=follower, stdout=follower, stderr=follower, env=environment) as process:
        shown = ""

        def until(text: str, times: int = 1) -> None:
            nonlocal shown
            while shown.count(text) < times:
                assert select.select([leader], [], [], 20)[0], shown
                shown += os.read(leader, 4096).decode()

        until("(nicemu) ")
        os.write(leader, b"info netw\t\r")
        until("n0: index=0,type=null")
        until("(nicemu) ", 2)
        os.write(leader, b"\x1b[A\r")
        until("n0: index=0,type=null", 2)
        until("(nicemu) ", 3)
        os.write(leader, b"\x04")
        until("`quit` ends the program")
        until("(nicemu) ", 4)
        os.write(leader, b"quit\r")
        assert process.wait(20) == 0, shown
    assert termios.tcgetattr(follower) == before, "the terminal is as it was"
    os.close(leader)
    os.close(follower)


def test_random_commands_leave_it_working(monitor: Monitor) -> None:
    words = [word for command in monitor.commands for word in command.line.split()]
    words += ["lo", "l0", "n0", "u0", "on", "off", "id=x", "null,id=n9", "user,id=q,net=\x00", "hubport,id=z,hubid=0"]
    words += [
        "tcp::1-:1",
        "unix:/x-:1",
        "{",
        '"',
        "\udc80",
        "filter-dump,netdev=l0,file=/dev/null",
        "e1000.0",
        "hub0port2",
    ]
    words += ["null,id=a\x00b", "filter-dump,netdev=n0,file=a\x00b", "hubport,id=h,hubid=1e9"]
    random = Random(7)
    for _ in range(2000):
        line = " ".join(random.choices([w for w in words if w not in ("save", "dump")], k=random.randint(0, 4)))
        assert answer_line(monitor, line).splitlines()[-1].startswith(("OK", "ERR "))
        bytes_ = json.dumps({"execute": line.partition(" ")[0], "arguments": {"name": line, "options": [line]}})
        json.loads(answer_json(monitor, bytes_[: random.randint(1, len(bytes_))]))
    monitor.network.loop.turn(0)
    assert "hub 0" in monitor.line("info network")
