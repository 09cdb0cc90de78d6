"""The command line as users run it: options, help, errors, `serve` with its signals and monitor, `info`."""

from __future__ import annotations

import random
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import dpkt
import pytest
from program import Program, ask
from vfio_client import CONFIG, Client

from nicemu import options
from nicemu.cli import main, make_nic, make_wire
from nicemu.devices import find_class
from nicemu.errors import ConfigurationError

# ------------------------------------------------------------------------------------------------- option lists


@pytest.mark.parametrize(
    ("text", "word", "values", "asks"),
    [
        ("e1000", "e1000", {}, False),
        ("user,net=10.1.0.0/24,restrict", "user", {"net": ["10.1.0.0/24"], "restrict": ["on"]}, False),
        ("user,hostfwd=a,hostfwd=b", "user", {"hostfwd": ["a", "b"]}, False),
        ("e1000,eeprom=a,,b,,,,c=d", "e1000", {"eeprom": ["a,b,,c=d"]}, False),
        ("help", "", {}, True),
        ("?", "", {}, True),
        ("e1000,help", "e1000", {}, True),
        ("e1000,mac=x,?", "e1000", {"mac": ["x"]}, True),
        ("user,bootfile=", "user", {"bootfile": [""]}, False),
    ],
)
def test_option_lists(text: str, word: str, values: dict[str, list[str]], asks: bool) -> None:
    assert options.parse(text) == options.Options(word, values, asks)


@pytest.mark.parametrize("text", ["e1000,", "e1000,mac=x,", "e1000,=5"])
def test_empty_options_are_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="empty option"):
        options.parse(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("e1000,colour=red", r"e1000 has no option 'colour'; expected one of: mac, id, .*eeprom"),
        ("e1000,mac=1,mac=2", "given 2 times"),
        ("e1000,seed=x", "seed=x; expected a number"),
        ("e1000,mac=01:00:00:00:00:01", "group address"),
        ("e1000,profile=fast", "expected one of instant, wire, chaos"),
        ("e1000,overflow=on", "expected drop or hold"),
        ("ne3200", "no model 'ne3200'"),
        ("", "no model ''"),
    ],
)
def test_wrong_models(text: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        make_nic(text)


def test_model_options_take_effect(tmp_path: Path) -> None:
    with make_nic(f"e1000-82540em,mac=52:54:00:aa:bb:cc,id=net7,profile=wire,seed=0x10,eeprom={tmp_path}/rom") as nic:
        assert (nic.mac.hex(), nic.name, nic.profile, nic.seed) == ("525400aabbcc", "net7", "wire", 16)
        assert len((tmp_path / "rom").read_bytes()) == 128


def test_wires() -> None:
    with make_wire("null,id=n0") as wire:
        assert (wire.kind, wire.name) == ("null", "n0")
    with pytest.raises(ConfigurationError, match="expected one of: user"):
        make_wire("carrier-pigeon")


# ------------------------------------------------------------------------------------------------- info, help, errors


def output(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(arguments) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    return captured.out


def test_info(capsys: pytest.CaptureFixture[str]) -> None:
    text = output(capsys, "info")
    assert 'name "e1000", bus PCI, alias "e1000-82540em"' in text
    assert "  user " in text
    assert "libslirp" in text


def test_info_of_a_model(capsys: pytest.CaptureFixture[str]) -> None:
    text = output(capsys, "info", "e1000")
    assert "mac=<str>" in text
    assert "eeprom=<file>" in text


def test_registers(capsys: pytest.CaptureFixture[str]) -> None:
    text = output(capsys, "info", "regs", "e1000")
    assert "0x05200  MTA[128]" in text
    assert "VENDOR_ID" in text
    for table in find_class("e1000").TABLES:
        for register in table:
            assert f" {register.name}" in text
    ctrl = output(capsys, "info", "regs", "e1000", "ctrl")
    assert ctrl.startswith("CTRL at 0x0, 32 bits, reset 0x00000a09")
    assert "    26 sc      RST" in ctrl
    assert "2:1 rsvd" in ctrl
    assert "0x2 1000" in ctrl
    assert "reset undefined" in output(capsys, "info", "regs", "e1000", "MTA")


def test_info_of_an_isa_model(capsys: pytest.CaptureFixture[str]) -> None:
    """It has neither ROM nor sockets, and of the family's registers only its own."""
    text = output(capsys, "info", "rtl8019as")
    assert "iobase=<int>" in text
    assert "netdev=<id>" in text
    assert not any(name in text for name in ("romfile", "socket", "addr", "vectors"))
    assert " CONFIG1 " in output(capsys, "info", "regs", "rtl8019as")
    assert "CONFIG" not in output(capsys, "info", "regs", "ne2k_isa")


def test_rules(capsys: pytest.CaptureFixture[str]) -> None:
    text = output(capsys, "info", "rules", "e1000")
    assert all(rule.id in text for rule in find_class("e1000").RULES)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["serve", "help"], 'name "e1000"'),
        (["serve", "?"], 'name "e1000"'),
        (["serve", "e1000,help"], "profile=<str>"),
        (["serve", "e1000", "--netdev", "help"], "loopback"),
        (["serve", "e1000", "--netdev=user,help"], "hostfwd=<rule>"),
    ],
)
def test_help_lists(capsys: pytest.CaptureFixture[str], arguments: list[str], expected: str) -> None:
    assert expected in output(capsys, *arguments)


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["serve", "e1000"], 2, "--socket-path PATH or --fd N"),
        (["serve"], 2, "serve needs a card"),
        (["serve", "e1001", "--socket-path", "x"], 2, "no model 'e1001'"),
        (["serve", "e1000", "--socket-path", "x", "--fd", "3"], 2, "not allowed with"),
        (["serve", "e1000", "--netdev", "user,net=1.2.3.4.5", "--socket-path", "x"], 2, "net=1.2.3.4.5"),
        (["serve", "e1000", "--netdev", "usr", "--socket-path", "x"], 2, "'usr'"),
        (["serve", "e1000", "--netdev", "usr,help"], 2, "no netdev type 'usr'"),
        (["serve", "e1000", "--fd", "one"], 2, "invalid int value"),
        (["serve", "e1000", "--netdev", "null", "--fd", "987"], 2, "fd=987"),
        (["serve", "e1000", "--netdev", "null", "--socket-path", "/nowhere/nic"], 1, "/nowhere/nic"),
        (["serve", "e1000", "--netdev", "null", "--socket-path", "x", "--pcap", "/nowhere/f"], 1, "/nowhere/f"),
        (["serve", "e1000", "--netdev", "null", "--socket-path", "x", "--monitor", "/nowhere/m"], 1, "/nowhere/m"),
        (["serve", "e1000", "--netdev", "null", "--socket-path", "x" * 200], 1, "expected 1 to 107"),
        (["info", "e1001"], 2, "no model"),
        (["info", "regs"], 2, "info regs MODEL"),
        (["info", "regs", "e1000", "CTRL", "x"], 2, "info regs MODEL"),
        (["info", "regs", "e1000", "CTRLX"], 2, "no register 'CTRLX'"),
        (["info", "regs", "ne2k_pci", "CONFIG1"], 2, "no register 'CONFIG1'"),
        (["serve", "ne2k_isa", "--socket-path", "isa.sock"], 2, "is an ISA card; vfio-user serves PCI cards"),
        (["serve", "ne2k_isa,romfile=x", "--socket-path", "isa.sock"], 2, "ne2k_isa has no option 'romfile'"),
        (["info", "e1000", "CTRL"], 2, "unexpected 'CTRL'"),
        (["launch"], 2, "launch"),
        ([], 2, "expected a command first: serve, run, info"),
        (["-netdev", "help"], 2, "expected a command first, not -netdev: serve, run, info"),
        (
            ["serve", "-netdevs", "user"],
            2,
            "unrecognized arguments: -netdevs; --help after the command lists options",
        ),
    ],
)
def test_errors_are_one_line(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    status: int,
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    before = signal.getsignal(signal.SIGTERM)
    assert main(arguments) == status
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("nicemu: ")
    assert captured.err.count("\n") == 1
    assert message in captured.err
    assert list(tmp_path.iterdir()) in ([], [tmp_path / "f"]), "a failed start leaves nothing behind"
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_file_in_the_way_is_kept(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for option in ("--socket-path", "--monitor"):
        path = tmp_path / option.strip("-")
        path.write_text("precious")
        where = [] if option == "--socket-path" else ["--socket-path", str(tmp_path / "nic")]
        assert main(["serve", "e1000", "--netdev", "null", *where, f"{option}={path}"]) == 1
        assert "socket" in capsys.readouterr().err
        assert path.read_text() == "precious"


def test_info_imports_little() -> None:
    """`info` is used in scripts: it must not load what only drivers and tables need."""
    program = "import sys; from nicemu.cli import main; main(['info']); print(*sorted(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert not {"numpy", "rich", "nicemu.selftest", "nicemu.hosts.vfio_user", "asyncio"} & set(loaded)


# ------------------------------------------------------------------------------------------------- serve


@pytest.fixture
def started(tmp_path: Path) -> Iterator[list[Program]]:
    programs: list[Program] = []
    yield programs
    for program in programs:
        program.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_serve(tmp_path: Path, started: list[Program], number: signal.Signals) -> None:
    program = Program(tmp_path)
    started.append(program)
    assert "52:54:00:12:34:56 listens at" in program.greeting
    assert '"driver":"vfio-user-pci"' in program.greeting
    assert stat.S_IMODE(program.path.stat().st_mode) == 0o600
    with Client(program.path) as client:
        client.negotiate()
        assert client.read(CONFIG, 0) == 0x100E8086
    assert program.end(number) == ""
    assert not program.path.exists()


def test_signals_are_not_lost(tmp_path: Path, started: list[Program]) -> None:
    """At any moment after the greeting one signal ends the program, also one that meets it between two turns."""
    pauses = random.Random(1)
    for _ in range(8):
        program = Program(tmp_path)
        started.append(program)
        time.sleep(pauses.uniform(0, 0.003))
        assert program.end() == ""


def test_a_client_that_stays_does_not_keep_it(tmp_path: Path, started: list[Program]) -> None:
    program = Program(tmp_path)
    started.append(program)
    with Client(program.path) as client:
        client.negotiate()
        program.end()


def test_inherited_descriptors(tmp_path: Path, started: list[Program]) -> None:
    listener = socket.socket(socket.AF_UNIX)
    path = tmp_path / "given"
    with listener:
        listener.bind(str(path))
        listener.listen()
        program = Program(tmp_path, "--fd", str(listener.fileno()), pass_fds=(listener.fileno(),))
        started.append(program)
    assert "serves file descriptor" in program.greeting
    with Client(path) as client:
        client.negotiate()
        assert client.read(CONFIG, 0) == 0x100E8086
    program.end()


def test_trace(tmp_path: Path, started: list[Program]) -> None:
    program = Program(tmp_path, "--trace")
    started.append(program)
    with Client(program.path) as client:
        client.negotiate()
        client.write(CONFIG, 4, 2, 2)
        client.read(0, 8)
        client.write(0, 0x100, 1 << 15)
        client.read(0, 0x100)
    lines = program.end().splitlines()
    assert any("STATUS" in line and "->" in line for line in lines)
    assert any("RCTL" in line and "<- 0x00008000 BAM" in line for line in lines)


def test_pcap(tmp_path: Path, started: list[Program]) -> None:
    program = Program(tmp_path, "--pcap", str(tmp_path / "wire.pcap"), "--monitor", str(tmp_path / "monitor"))
    started.append(program)
    recorded = f"  - pcap: type=filter-dump,file={tmp_path}/wire.pcap"
    answer = ask(tmp_path / "monitor", "info network")
    assert answer[1:] == [" \\ null.0: index=0,type=null", "filters:", recorded, "OK"]
    program.end()
    with open(tmp_path / "wire.pcap", "rb") as file:
        assert list(dpkt.pcap.UniversalReader(file)) == []


def test_idle_program_uses_no_time(tmp_path: Path, started: list[Program]) -> None:
    program = Program(tmp_path, netdev="user")
    started.append(program)
    time.sleep(0.3)

    def ticks() -> int:
        fields = Path(f"/proc/{program.process.pid}/stat").read_text().rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])

    before = ticks()
    time.sleep(1)
    assert ticks() - before <= 1
    program.end()
