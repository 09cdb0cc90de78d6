"""QEMU's network options: what each form makes, what `help` lists, what a mistake is answered with; `run`."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from program import ask
from vfio_client import CONFIG, Client

from nicemu import Network
from nicemu.cli import main
from nicemu.cli.plan import Given, Plan
from nicemu.errors import ConfigurationError
from nicemu.monitor import Monitor


def given(line: str) -> list[Given]:
    """`-net nic -net user` as the command line keeps it."""
    words = line.split()
    return [Given(option.lstrip("-"), text) for option, text in zip(words[::2], words[1::2], strict=True)]


def shown(line: str) -> list[str]:
    """What `info network` says of a command line."""
    with Network() as network:
        Plan(given(line)).make(network)
        return Monitor(network).line("info network").split("\n")


USER = "index=0,type=user,net=10.0.2.0,restrict=off"
CARD = "index=0,type=nic,model=e1000,macaddr=52:54:00:12:34:"


@pytest.mark.parametrize(
    ("line", "lines"),
    [
        (
            "-netdev user,id=n0 -device e1000,netdev=n0,id=e0,mac=52:54:00:00:00:01,addr=3",
            ["e0: index=0,type=nic,model=e1000,macaddr=52:54:00:00:00:01", f" \\ n0: {USER}"],
        ),
        ("-device e1000,netdev=n0 -netdev user,id=n0", [f"e1000.0: {CARD}56", f" \\ n0: {USER}"]),
        ("-netdev type=user,id=n0 -device driver=e1000,netdev=n0", [f"e1000.0: {CARD}56", f" \\ n0: {USER}"]),
        (
            '-netdev {"type":"user","id":"n0","restrict":true} -device {"driver":"e1000","netdev":"n0"}',
            [f"e1000.0: {CARD}56", f" \\ n0: {USER.replace('off', 'on')}"],
        ),
        (
            "-nic user,model=e1000,id=e0,net=10.9.0.0/24",
            [f"e0: {CARD}56", " \\ user.0: " + USER.replace("10.0.2.0", "10.9.0.0")],
        ),
        ("-nic user,ip=10.9.0.0", [f"e1000.0: {CARD}56", " \\ user.0: " + USER.replace("10.0.2.0", "10.9.0.0")]),
        ("-nic null", [f"e1000.0: {CARD}56", " \\ null.0: index=0,type=null"]),
        ("-nic none", [""]),
        ("-net none", [""]),
        (
            "-net nic -net user",
            ["hub 0", f" \\ hub0port0: e1000.0: {CARD}56", f" \\ hub0port1: user.0: {USER}"],
        ),
        (
            "-net nic,vlan=0 -net nic,vlan=1,macaddr=52:54:00:12:34:99,name=bob,addr=4 -net nic,vlan=1",
            [
                "hub 0",
                f" \\ hub0port0: e1000.0: {CARD}56",
                "hub 1",
                f" \\ hub1port0: bob: {CARD}99",
                f" \\ hub1port1: e1000.1: {CARD}57",
            ],
        ),
        (
            "-net nic,netdev=n0 -netdev null,id=n0 -net loopback,vlan=7,name=l7",
            ["hub 7", " \\ hub7port0: l7: index=0,type=loopback", f"e1000.0: {CARD}56", " \\ n0: index=0,type=null"],
        ),
        (
            "-netdev hubport,id=p0,hubid=3,netdev=n0 -netdev null,id=n0 -netdev hubport,id=p1,hubid=3 "
            "-device e1000,netdev=p1",
            ["hub 3", f" \\ p1: e1000.0: {CARD}56", " \\ p0: n0: index=0,type=null"],
        ),
        (
            "-object filter-dump,id=f0,netdev=n0,file=/dev/null -netdev null,id=n0 -device e1000,netdev=n0",
            [
                f"e1000.0: {CARD}56",
                " \\ n0: index=0,type=null",
                "filters:",
                "  - f0: type=filter-dump,file=/dev/null",
            ],
        ),
        (
            "-net nic -net null -net dump,vlan=0,file=/dev/null,len=96",
            [
                "hub 0",
                f" \\ hub0port0: e1000.0: {CARD}56",
                " \\ hub0port1: null.0: index=0,type=null",
                " \\ hub0port2: null.1: index=0,type=null",
                "filters:",
                "  - filter-dump.0: type=filter-dump,file=/dev/null,maxlen=96",
            ],
        ),
        (
            "-netdev pair,id=a,peer=b -device e1000,netdev=a -device e1000,netdev=b",
            [f"e1000.0: {CARD}56", " \\ a: index=0,type=pair", f"e1000.1: {CARD}57", " \\ b: index=0,type=pair"],
        ),
    ],
)
def test_forms(line: str, lines: list[str]) -> None:
    assert shown(line) == lines


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("-netdev usr,id=n0", "unknown netdev type 'usr'; expected one of: user"),
        ("-netdev user,id=n0,speed=9", "backend user has no option 'speed'; expected one of: id, net"),
        ("-netdev user,id=n0 -netdev null,id=n0", "'n0' is taken by a netdev"),
        ("-device e1000,netdev=n7", "no netdev 'n7'; there is none"),
        ("-device e1001", "no model 'e1001'; expected one of"),
        ("-device e1000,colour=red", "no option 'colour'; expected one of: netdev, socket, fd, addr, vectors, mac"),
        ("-device e1000,addr=99x", "addr=99x is no PCI slot"),
        ("-device e1000,socket=x,fd=3", "expected one of them"),
        ("-device e1000,vectors=lots", "vectors=lots; expected a number"),
        ("-nic usr", "unknown netdev type 'usr'; expected one of: user, .*none"),
        ("-nic user,colour=red", "no option 'colour'"),
        ("-net nic,vlan=x", "vlan=x; expected a number"),
        ("-net nic,vlan=0,vlan=1", "option vlan is given 2 times; expected once"),
        ("-net nic,model=e1000,model=rtl8139", "option model is given 2 times"),
        ("-net nic,mac=52:54:00:00:00:01,macaddr=52:54:00:00:00:02", "macaddr and mac are one option"),
        ("-netdev ,id=n0", r"-netdev ,id=n0: expected TYPE\[,option=value...\]; `help` lists them"),
        ("-device id=e0", r"-device id=e0: expected MODEL\[,option"),
        ("-net dump,vlan=0,colour=red", "no option 'colour'"),
        ("-net null,len=5", "no option 'len'"),
        ("-net usr", "unknown netdev type 'usr'"),
        ("-net user,vlan=0,colour=red", "no option 'colour'"),
        ("-object filter-dump,netdev=n0,file=x", "no netdev 'n0'"),
        ("-object filter-dmp,netdev=n0", "unknown object 'filter-dmp'"),
        ("-redir tcp:5555::22", "-redir needs a user network"),
        ("-net user -redir tcp:5555:22", r"expected \[tcp|udp\]:host-port"),
        ("-tftp /tmp", "-tftp needs a user network"),
        ("-netdev {", "-netdev {: "),
        ("-netdev user,id=a -netdev hubport,id=p,hubid=0,netdev=a -device e1000,netdev=a", "a is in use by p"),
    ],
)
def test_mistakes(line: str, message: str) -> None:
    with Network() as network, pytest.raises(ConfigurationError, match=message):
        Plan(given(line)).make(network)


def test_legacy_options_reach_the_user_network(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    plan = Plan(given(f"-redir tcp:{port}::22 -net nic,vectors=4 -net user -tftp {tmp_path} -bootp pxe.0"))
    with Network() as network:
        plan.make(network)
        assert f" {port} " in Monitor(network).line("info usernet")
    assert plan.netdevs[0].values["tftp"] == [str(tmp_path)]
    assert plan.netdevs[0].values["bootfile"] == ["pxe.0"]
    assert plan.warnings == ["vectors= has no effect: e1000 has no MSI-X"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("-device help", 'name "e1000"'),
        ("-device ?", 'name "e1000"'),
        ("-device e1000,help", "socket=<file>"),
        ("-net nic,model=?", 'name "e1000"'),
        ("-net nic,model=help", 'name "e1000"'),
        ("-nic model=help", 'name "e1000"'),
        ("-nic user,model=?", 'name "e1000"'),
        ("-netdev help", "hubport"),
        ("-netdev ?", "hubport"),
        ("-net help", "-net nic,model=help"),
        ("-netdev user,help", "hostfwd=<rule>"),
        ("-netdev hubport,help", "hubid=<int>"),
        ("-net dump,help", "len=<int>"),
        ("-net nic,help", "socket=<file>"),
        ("-nic ?", "none         neither wire nor card"),
        ("-net user,?", "hostfwd=<rule>"),
        ("-object help", "filter-dump"),
        ("-object filter-dump,help", "maxlen="),
        ("--netdev help", "hubport"),
    ],
)
@pytest.mark.parametrize("command", ["serve", "run"])
def test_help(capsys: pytest.CaptureFixture[str], command: str, arguments: str, expected: str) -> None:
    assert main([command, *arguments.split()]) == 0
    assert expected in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("serve -net nic -net user", "card e1000 needs socket=PATH"),
        ("serve -net user", "serve needs a card"),
        ("serve -netdev usr", "unknown netdev type 'usr'; expected one of: user"),
        ("serve -netdev user,colour=red", "netdev user has no option 'colour'; expected one of: id, net"),
        ("serve -object filter-dump,netdev=n0", "object filter-dump needs file=<file>"),
        ('serve -device {"driver":"e1000","sockt":"x"}', "no option 'sockt'; expected one of: netdev, socket"),
        ("serve -nic null --socket-path a --fd 3", "not allowed with"),
        ("serve e1000,socket=a -nic null,socket=b --socket-path c", "for one card without socket=; there are 0"),
        ("serve -nic null,socket=a -nic null,socket=b --socket-path c", "for one card without socket=; there are 0"),
        ("run", "run needs something to run"),
        ("run -netdev", "expected one argument"),
        ("run -nic null -m lots", "'lots' is no size; expected one like 64M"),
        ("run -nic null -drive x", "unrecognized arguments: -drive"),
        ("run -nic null -monitor unix:x,colour=red", "'colour=red' cannot be; expected unix:PATH,server=on,wait=off"),
        ("run -netdev null,id=a -netdev null,id=b --pcap x", "--pcap records one netdev, and there are 2"),
    ],
)
def test_wrong_command_lines(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: str, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(arguments.split()) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


# ------------------------------------------------------------------------------------------------- programs


def program(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "nicemu", *arguments],
        cwd=folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def connected(process: subprocess.Popen[str], path: Path) -> socket.socket:
    """A connection to the program's monitor, as soon as it listens."""
    client = socket.socket(socket.AF_UNIX)
    while client.connect_ex(str(path)):  # the file is there a moment before anybody listens
        assert process.poll() is None
        time.sleep(0.01)
    return client


def test_serve_several_cards_each_on_its_socket(tmp_path: Path) -> None:
    line = "serve -net nic,socket=a,addr=3 -net nic,socket=b -net user -qmp unix:q,server=on,wait=off -monitor m"
    with program(tmp_path, *line.split()) as process:
        assert process.stderr
        first, second = process.stderr.readline(), process.stderr.readline()
        assert "52:54:00:12:34:56 listens at a" in first
        assert '"addr":"3"' in first
        assert "52:54:00:12:34:57 listens at b" in second
        for name in ("a", "b"):
            with Client(tmp_path / name) as client:
                client.negotiate()
                assert client.read(CONFIG, 0) == 0x100E8086
        assert ask(tmp_path / "m", "info network")[0] == "hub 0"
        process.send_signal(signal.SIGTERM)
        assert process.communicate() == ("", "")
    assert process.returncode == 0
    assert list(tmp_path.iterdir()) == []


SCRIPT = """
import sys
from nicemu.drivers import attach

drivers = [attach(card.nic) for card in network.cards.values()]
for driver in drivers:
    driver.start()
frame = b"\\xff" * 6 + drivers[1].mac + b"\\x88\\xb5" + bytes(46)
drivers[1].send(frame)
for _ in range(10):
    network.loop.turn(0.001)
print([len(driver.receive()) for driver in drivers], sys.argv)
sys.exit(3)
"""


def test_run_a_script_on_three_cards(tmp_path: Path) -> None:
    """The guide's example: the second and third share VLAN 1, and the first does not hear them."""
    (tmp_path / "script.py").write_text(SCRIPT)
    nets = "-net nic,vlan=0 -net nic,vlan=1 -net nic,vlan=1"
    with program(tmp_path, "run", *nets.split(), "script.py", "one") as process:
        out, err = process.communicate(timeout=40)
    assert (out, err) == ("[0, 0, 1] ['script.py', 'one']\n", "")
    assert process.returncode == 3


def test_net_dump_records_the_vlan(tmp_path: Path) -> None:
    """QEMU's older form of filter-dump: each frame of VLAN 1 once, cut to 60 bytes, in a file of its default name."""
    (tmp_path / "script.py").write_text(SCRIPT)
    nets = "-net nic,vlan=0 -net nic,vlan=1 -net nic,vlan=1 -net dump,vlan=1,len=60"
    with program(tmp_path, "run", *nets.split(), "script.py") as process:
        assert process.communicate(timeout=40)[0].startswith("[0, 0, 1]")
    data = (tmp_path / "qemu-vlan1.pcap").read_bytes()
    assert data[:4] == b"\xd4\xc3\xb2\xa1"
    assert len(data) == 24 + 16 + 60
    assert data[-60:-54] == b"\xff" * 6


def test_run_with_a_monitor_on_standard_input(tmp_path: Path) -> None:
    with program(tmp_path, "run", "-netdev", "null,id=n0", "-monitor", "stdio") as process:
        out, err = process.communicate("info network\nfoo\n\nquit\n", timeout=40)
    assert out.startswith("n0: index=0,type=null\nError: unknown command 'foo'")
    assert err == "nicemu: warning: netdev n0 has no peer\n"
    assert process.returncode == 0


def test_run_without_an_end_of_its_own_is_ended_by_a_signal(tmp_path: Path) -> None:
    with program(tmp_path, "run", "-net", "null", "-net", "loopback", "-qmp", "q", "-monitor", "stdio") as process:
        assert process.stdin
        process.stdin.close()  # the end of input is not the end of the program
        with connected(process, tmp_path / "q") as client:
            assert "QMP" in json.loads(client.makefile().readline())
        process.send_signal(signal.SIGINT)
        process.wait(40)
    assert process.returncode == 0
