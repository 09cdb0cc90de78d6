"""Backends by QEMU's names and options; a mistake is answered with what is valid."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from nicemu.backends import Backend, Loopback, Null, User, available, create, parse, wrap, wrappers
from nicemu.errors import ConfigurationError

#: What types need that cannot be made of nothing.
NEEDED: dict[str, Callable[[], dict[str, object]]] = {
    "stream": lambda: {"fd": socket.socketpair()[0]},
    "dgram": lambda: {"fd": socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)[0]},
    "socket": lambda: {"fd": socket.socketpair()[0]},
    "l2tpv3": lambda: {"src": "127.0.0.1", "dst": "127.0.0.1", "udp": True, "srcport": 0, "dstport": 9, "txsession": 1},
}
#: Types that need an interface of the kernel: conformance/test_tap.py makes them.
PRIVILEGED = {"tap", "bridge"}
#: Types that need another program: tests/test_backend_passt.py and test_backend_vde.py stand in for them.
PROGRAMS = {"passt", "vde"}


def test_every_type_is_listed_with_options_that_it_takes() -> None:
    names = [kind.name for kind in available()]
    assert names == ["user", "tap", "bridge", "stream", "dgram", "socket", "l2tpv3", "passt", "vde", "loopback", "null"]
    for kind in available():
        assert kind.description
        assert all(option.doc and option.kind for option in kind.options)
        if kind.name in PRIVILEGED | PROGRAMS:
            continue
        with kind.make(**NEEDED.get(kind.name, lambda: {})()) as backend:
            assert isinstance(backend, Backend)
            assert backend.kind == kind.name


@pytest.mark.parametrize(("text", "kind"), [("null", Null), ("loopback,id=x", Loopback), ("user,id=n0", User)])
def test_names_make_backends(text: str, kind: type[Backend]) -> None:
    with parse(text) as backend:
        assert type(backend) is kind
        assert backend.name == (text.partition("id=")[2] or kind.kind)


def test_options_reach_the_backend() -> None:
    with parse("user,id=n0,net=10.1.0.0/24,restrict,ipv6=off,dnssearch=a.test,dnssearch=b.test") as backend:
        assert isinstance(backend, User)
        assert str(backend.ipv4.host) == "10.1.0.2"
        assert backend.restrict is True
    with create("user", {"net": "10.3.0.0/24", "ipv6-net": "fec0:9::/64", "restrict": False}) as backend:
        assert isinstance(backend, User)
        assert str(backend.ipv6.dns) == "fec0:9::3"


def test_documented_defaults_are_the_real_ones() -> None:
    documented = {o.keyword: o.default for kind in available() if kind.name == "user" for o in kind.options}
    with User() as user:
        assert documented["net"] == str(user.ipv4.net)
        assert documented["host"] == str(user.ipv4.host)
        assert documented["dns"] == str(user.ipv4.dns)
        assert documented["dhcpstart"] == str(user.ipv4.dhcpstart)
        assert documented["ipv6_net"] == str(user.ipv6.prefix)
        assert documented["ipv6_host"] == str(user.ipv6.host)
        assert documented["ipv6_dns"] == str(user.ipv6.dns)


def test_a_comma_in_a_value_is_written_twice() -> None:
    with pytest.raises(ConfigurationError, match="net=1,2 is not a network"):
        parse("user,net=1,,2")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "",
            "unknown backend ''; expected one of: user, tap, bridge, stream, dgram, socket, l2tpv3, passt",
        ),
        ("taps", "expected one of: user"),
        ("user,nett=1", "no option 'nett'; expected one of: id, net, host"),
        ("null,net=1", "backend null has no option 'net'; expected one of: id"),
        ("user,net=10.0.2.0/24,net=10.0.3.0/24", "option net is given 2 times"),
        ("user,restrict=maybe", "expected on or off"),
    ],
)
def test_mistakes_are_answered_with_what_is_valid(text: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        parse(text)


def test_wrappers(tmp_path: Path) -> None:
    assert "filter-dump" in [t.name for t in wrappers()]
    wire = wrap(Null(), "filter-dump", {"id": "f0", "file": str(tmp_path / "x.pcap"), "maxlen": "100"})
    assert wire.name == "f0"
    wire.close()
    assert (tmp_path / "x.pcap").stat().st_size == 24


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("filter-dmp", {}, "unknown object 'filter-dmp'; expected one of: filter-dump"),
        ("filter-dump", {}, "object filter-dump needs file=<file>: the file"),
        ("filter-dump", {"file": "/nowhere/x", "colour": "red"}, "has no option 'colour'; expected one of: id, file"),
        ("filter-dump", {"file": "/nowhere/x", "maxlen": "many"}, "maxlen=many; expected a number"),
    ],
)
def test_wrong_wrappers(kind: str, options: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        wrap(Null(), kind, options)


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (
            "faults",
            {"loss": "1%", "delay": "every:3", "delay-time": "1ms", "fcs": "good", "seed": "0x7", "queue": "rx"},
        ),
        ("rate", {"rate": "10M", "latency": "1ms", "limit": "10", "limit-bytes": "64k", "overflow": "hold"}),
        ("tee", {"outdev": Null(name="n1")}),
    ],
)
def test_wrappers_by_name(kind: str, options: dict[str, object]) -> None:
    assert set(options) <= {o.name for t in wrappers() if t.name == kind for o in t.options}
    with wrap(Null(), kind, {"id": "w0", **options}) as wire:
        assert (wire.name, wire.kind) == ("w0", kind)


def test_every_backend_may_hold_or_drop() -> None:
    for text, choice in (("null", "hold"), ("loopback,overflow=drop", "drop"), ("user,overflow=hold", "hold")):
        with parse(text) as backend:
            assert backend.overflow == choice
    with pytest.raises(ConfigurationError, match="overflow=wait; expected drop or hold"):
        parse("null,overflow=wait")
