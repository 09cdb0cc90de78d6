"""The harness itself: it must not pass what is wrong."""

from __future__ import annotations

import struct
from pathlib import Path

import dpkt  # type: ignore[import-untyped]
import pytest

from . import provision
from .cards import Check
from .differential import Difference, complaints, load_differences
from .guest import Result, Said, judge, table
from .station import MAC, PLAIN_ADDRESS, VLAN, VLAN_ADDRESS, reply

LISTED = {"a/one": Difference("1", "2", "1.1", "because")}


def test_difference_that_is_listed_and_there() -> None:
    assert not list(complaints("a", {"a/one": "1", "a/two": "5"}, {"a/one": "2", "a/two": "5"}, LISTED))


@pytest.mark.parametrize(
    ("ours", "theirs", "words"),
    [
        ({"a/one": "1", "a/two": "6"}, {"a/one": "2", "a/two": "5"}, "a/two: not listed"),
        ({"a/one": "2"}, {"a/one": "2"}, "listed, but both show 2"),
        ({"a/one": "3"}, {"a/one": "2"}, "listed as nicemu 1, QEMU 2; now nicemu 3, QEMU 2"),
        ({"a/one": "1"}, {"a/one": "3"}, "listed as nicemu 1, QEMU 2; now nicemu 1, QEMU 3"),
        ({}, {}, "a/one: listed, but nothing of that name was observed"),
        ({"a/one": "1", "a/two": "6"}, {"a/one": "2"}, "a/two: not listed: nicemu 6, QEMU -"),
    ],
)
def test_every_disagreement_is_told(ours: dict[str, str], theirs: dict[str, str], words: str) -> None:
    (complaint,) = complaints("a", ours, theirs, LISTED)
    assert words in complaint


def test_other_scripts_entries_are_left_alone() -> None:
    assert not list(complaints("b", {}, {}, LISTED))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[[difference]]\nsection = "1"\nwhy = ""\nseen = { "a/b" = { nicemu = "1", qemu = "2" } }', "no reason"),
        ('[[difference]]\nsection = "1"\nwhy = "w"\nseen = { "a/b" = { nicemu = "1", qemu = "2" } }\n' * 2, "twice"),
    ],
)
def test_file_of_differences_is_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, words: str) -> None:
    (tmp_path / "differences").mkdir()
    (tmp_path / "differences" / "x.toml").write_text(text)
    monkeypatch.setattr("conformance.differential.HERE", tmp_path)
    with pytest.raises(ValueError, match=words):
        load_differences("x")


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (Said(["FAIL: no lease"], [], 1), "FAIL: no lease"),
        (Said(["fine"], [], 1), "status 1"),
        (Said(["fine"], [], 137), "not done after 60 s"),
        (Said(["something else"], [], 0), "not shown: ^fine$"),
        (Said(["FAIL: but went on", "fine"], [], 0), "FAIL: but went on"),
        (Said(["fine", "odd"], [], 0), "odd one out"),
    ],
)
def test_guest_check_fails(said: Said, words: str) -> None:
    check = Check("c", "c", expect=("^fine$",), judge=lambda text: ["odd one out"] if "odd" in text else [])
    assert any(words in complaint for complaint in judge(check, said))


def test_guest_check_passes() -> None:
    assert not judge(Check("c", "c", expect=("^fine$",)), Said(["so", "fine"]))


def test_table_tells_passes_and_failures() -> None:
    good, bad = Check("good", "g"), Check("bad", "b")
    text = table("card", [Result(good, "6.1", [], 1.0, "noted"), Result(bad, "6.1", ["why"], 2.0, "", "what it said")])
    assert "good  PASS   1.0 s  noted" in text
    assert "bad on Linux 6.1: why" in text
    assert "what it said" in text
    assert text.endswith("1 passed, 1 failed")


def echo_request(vlan: int = VLAN, target: bytes = VLAN_ADDRESS) -> bytes:
    echo = dpkt.icmp.ICMP(type=8, data=dpkt.icmp.ICMP.Echo(id=1, seq=2, data=b"x" * 33))
    packet = dpkt.ip.IP(src=bytes((10, 0, 5, 1)), dst=target, p=1, data=echo)
    packet.len = len(packet)
    return MAC + bytes.fromhex("525400123456") + struct.pack(">HHH", 0x8100, vlan, 0x0800) + bytes(packet)


def test_station_answers_in_its_vlan() -> None:
    answer = reply(echo_request())
    assert answer is not None
    assert answer[:16] == bytes.fromhex("525400123456") + MAC + struct.pack(">HH", 0x8100, VLAN)
    packet = dpkt.ip.IP(answer[18:])
    assert (packet.src, packet.data.type, packet.data.data.data) == (VLAN_ADDRESS, 0, b"x" * 33)
    assert dpkt.in_cksum(bytes(packet.data)) == 0


def test_station_answers_without_a_tag() -> None:
    request = echo_request(target=PLAIN_ADDRESS)
    answer = reply(request[:12] + request[16:])
    assert answer is not None
    assert dpkt.ip.IP(answer[14:]).src == PLAIN_ADDRESS


@pytest.mark.parametrize("frame", [
    echo_request(vlan=VLAN + 1), echo_request(target=bytes((10, 0, 5, 9))), echo_request()[:12] + echo_request()[16:],
    echo_request()[:-1] + b"y", b"", b"\xff" * 18,
])  # fmt: skip
def test_station_ignores_what_is_not_right(frame: bytes) -> None:
    assert reply(frame) is None


def test_no_mirror_is_an_error_that_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provision, "run", lambda *command, **more: "http://example.invalid/ubuntu\n")
    with pytest.raises(provision.ProvisionError, match="no Debian mirror"):
        provision.debian_mirror()


def test_missing_apt_is_an_error_that_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NICEMU_CACHE", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(provision.ProvisionError, match="apt-get not found"):
        provision.ensure()


def test_failing_command_is_told_with_its_words() -> None:
    with pytest.raises(provision.ProvisionError, match="status 3:\nwords"):
        provision.run("sh", "-c", "echo words >&2; exit 3")
