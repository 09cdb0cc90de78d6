"""The self-test passes here, says so in every form, and notices what is broken."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from nicemu import checks, cli, drivers, selftest
from nicemu.devices import create, models
from nicemu.drivers.e1000 import TDLEN, E1000Driver
from nicemu.engine import lib
from nicemu.errors import BackendError, ConfigurationError
from nicemu.memory import GuestMemory


def outcome(name: str, model: str = "e1000") -> selftest.Result:
    """The result of one check."""
    [check] = [c for c in checks.CHECKS if c.name == name]
    [result] = selftest.run([model], only=[check])
    return result


def test_all_pass(model: str) -> None:
    results = list(selftest.run([model]))
    assert [r for r in results if r.outcome not in ("pass", "n/a")] == []
    assert len({r.check for r in results}) == len(checks.CHECKS)
    assert all(r.detail for r in results)
    assert sum(r.seconds for r in results) < 10


def test_a_driver_refuses_what_its_card_cannot_do(model: str) -> None:
    """What a check leaves out as "n/a" is nothing that a driver takes and then forgets."""
    wishes: dict[str, dict[str, Any]] = {
        "scatter": {"cuts": [20]},
        "vlan": {"vlan": 5},
        "checksum": {"checksum": True},
        "tso": {"mss": 500},
    }
    with create(model, memory=GuestMemory(checks.MEMORY)) as nic:
        driver = drivers.attach(nic)
        driver.start()
        for feature in wishes.keys() - driver.features:
            with pytest.raises(ConfigurationError):
                driver.send(bytes(100), **wishes[feature])


def test_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert selftest.main(["e1000", "--no-user"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(checks.CHECKS)  # one less, and the summary
    assert f"{len(checks.CHECKS) - 1} passed, 0 failed" in lines[-1]
    assert not any("user network" in line for line in lines)


def test_json() -> None:
    command = [sys.executable, "-m", "nicemu.selftest", "--json"]
    program = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (program.returncode, program.stderr) == (0, "")
    document = json.loads(program.stdout)
    assert document["passed"] is True
    assert {r["check"] for r in document["results"]} == {c.name for c in checks.CHECKS}


def test_through_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["selftest", "nonesuch"]) == 2
    assert cli.main(["selftest", "--colour"]) == 2
    assert capsys.readouterr().err.count("\n") == 2


def test_missing_libslirp_is_a_failure(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def missing() -> None:
        raise BackendError("backend user needs libslirp; install package libslirp0 (Debian, Ubuntu)")

    monkeypatch.setattr(checks, "User", missing)
    assert selftest.main(["--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert document["passed"] is False
    failed = [r for r in document["results"] if r["outcome"] == "fail"]
    assert [r["check"] for r in failed] == ["user network"] * len(models())
    assert all("libslirp0" in r["detail"] for r in failed)


class BrokenEngine:
    """The engine with some of its calls replaced."""

    def __init__(self, **calls: Any) -> None:
        self._calls = calls

    def __getattr__(self, name: str) -> Any:
        return self._calls.get(name) or getattr(lib, name)


def test_register_checks_notice_a_broken_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "lib", BrokenEngine(nic_reset=lambda device, kind: None))
    assert outcome("register resets").outcome == "fail"
    monkeypatch.setattr(checks, "lib", BrokenEngine(nic_write=lambda d, s, o, v, n: lib.nic_write(d, s, o, v | 1, n)))
    assert outcome("register access").outcome == "fail"
    monkeypatch.setattr(checks, "lib", BrokenEngine(nic_read=lambda d, s, o, n: lib.nic_read(d, s, o, n) ^ 1 << 3))
    assert outcome("register access").outcome == "fail"


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("frame sizes", lambda f: f[:-1] + bytes([f[-1] ^ 1])),
        ("frame sizes", lambda f: f + b"\0"),
        ("bursts", lambda f: f[:20] + b"\0" + f[21:]),
        ("scattered buffers", lambda f: f[:500] + f[501:]),
        ("jumbo frames", lambda f: f[:1400]),
        ("data sheet times", lambda f: f[:30] + b"!" + f[31:]),
        ("link", lambda f: f[:-4]),
    ],
)
def test_frame_checks_notice_damage(name: str, damage: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    class Damaging(checks.PythonBackend):
        def send(self, frames: list[bytes]) -> None:
            self.deliver(damage(frame) for frame in frames)

    monkeypatch.setattr(checks, "Loopback", Damaging)
    assert outcome(name).outcome == "fail"


def test_receive_checks_notice_damage(monkeypatch: pytest.MonkeyPatch) -> None:
    class Damaging(checks.Recorder):
        def deliver(self, frames: Any) -> int:
            return super().deliver(f[:50] + b"!!" + f[52:] for f in frames)

    monkeypatch.setattr(checks, "Recorder", Damaging)
    for name in ("receive checksums", "address filters", "VLAN filter", "snapshot"):
        assert outcome(name).outcome == "fail", name


@pytest.mark.parametrize("name", ["VLAN tags", "transmit checksums", "segmentation", "snapshot"])
def test_offload_checks_notice_damage(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Damaging(checks.Recorder):
        def send(self, frames: list[bytes]) -> None:
            super().send([frame[:-1] + bytes([frame[-1] ^ 0x80]) for frame in frames])

    monkeypatch.setattr(checks, "Recorder", Damaging)
    assert outcome(name).outcome == "fail"


@pytest.mark.parametrize(
    ("name", "method"),
    [
        ("address filters", "set_filters"),
        ("address filters", "set_mac"),
        ("multicast filter", "set_filters"),
        ("VLAN filter", "set_filters"),
        ("interrupts", "enable_interrupts"),
        ("interrupts", "acknowledge"),
    ],
)
def test_checks_need_what_the_driver_does(name: str, method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A check that passes without its driver doing anything would test nothing."""
    real = getattr(E1000Driver, method)

    def idle(self: E1000Driver, *arguments: Any, **options: Any) -> Any:
        if method == "set_mac" and arguments == (self.mac,):
            return real(self, *arguments)
        return frozenset() if method == "acknowledge" else None

    monkeypatch.setattr(E1000Driver, method, idle)
    assert outcome(name).outcome == "fail"


def test_findings_of_the_driver_are_failures(monkeypatch: pytest.MonkeyPatch) -> None:
    start = E1000Driver._start_transmit

    def careless(self: E1000Driver) -> None:
        start(self)
        self.nic.bars[0].write(TDLEN.offset + 1, 0, 1)

    monkeypatch.setattr(E1000Driver, "_start_transmit", careless)
    result = outcome("PHY")
    assert result.outcome == "fail"
    assert "e1000.access.width" in result.detail


def test_other_exceptions_are_failures_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(E1000Driver, "check_phy", lambda self: 1 // 0)
    result = outcome("PHY")
    assert (result.outcome, result.detail) == ("fail", "ZeroDivisionError: integer division or modulo by zero")


def test_a_card_without_a_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(E1000Driver, "features", E1000Driver.features - {"phy"})
    assert outcome("PHY").outcome == "n/a"
