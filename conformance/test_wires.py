"""Each wire over sockets against QEMU's own: its e1000 on one side, nicemu's on the other, frames both ways."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

import nicemu
from nicemu.backends import Stream, parse
from nicemu.drivers import Driver, attach

from .emulated import driven
from .provision import ensure

COUNT = 150
NEGOTIATION = 100_000_000  # ns that QEMU's card may take each time it is looked at
OURS, THEIRS = 1, 2  # in a byte of the source address


@dataclass(frozen=True)
class Pairing:
    """QEMU's netdev and ours, and whose is made first. ``{dir}`` is a folder, ``{a}`` and ``{b}`` are free ports."""

    name: str
    qemu: str
    ours: str
    first: str = "ours"


UDP = "local.type=inet,local.host=127.0.0.1,local.port={},remote.type=inet,remote.host=127.0.0.1,remote.port={}"
UNIX = "local.type=unix,local.path={{dir}}/{},remote.type=unix,remote.path={{dir}}/{}"
TUNNEL = "src=127.0.0.1,dst=127.0.0.1,udp=on,srcport={},dstport={},txsession={},rxsession={}"
GROUP = "230.0.0.1"
PAIRINGS = (
    Pairing("socket-listen", "socket,listen=127.0.0.1:{a}", "socket,connect=127.0.0.1:{a}", "QEMU"),
    Pairing("socket-connect", "socket,connect=127.0.0.1:{a}", "socket,listen=127.0.0.1:{a}"),
    Pairing("socket-mcast", f"socket,mcast={GROUP}:{{a}}", f"socket,mcast={GROUP}:{{a}}"),
    Pairing(
        "socket-udp",
        "socket,udp=127.0.0.1:{a},localaddr=127.0.0.1:{b}",
        "socket,udp=127.0.0.1:{b},localaddr=127.0.0.1:{a}",
    ),
    Pairing(
        "stream-unix-server",
        "stream,server=on,addr.type=unix,addr.path={dir}/s",
        "stream,addr.type=unix,addr.path={dir}/s",
        "QEMU",
    ),
    Pairing(
        "stream-unix-client",
        "stream,server=off,addr.type=unix,addr.path={dir}/s",
        "stream,server=on,addr.type=unix,addr.path={dir}/s",
    ),
    Pairing(
        "stream-inet-server",
        "stream,server=on,addr.type=inet,addr.host=127.0.0.1,addr.port={a}",
        "stream,addr.type=inet,addr.host=127.0.0.1,addr.port={a},reconnect-ms=50",
        "QEMU",
    ),
    Pairing(
        "stream-inet-reconnect",
        "stream,server=off,addr.type=inet,addr.host=127.0.0.1,addr.port={a},reconnect-ms=50",
        "stream,server=on,addr.type=inet,addr.host=127.0.0.1,addr.port={a}",
        "QEMU",
    ),
    Pairing("dgram-unix", "dgram," + UNIX.format("b", "a"), "dgram," + UNIX.format("a", "b")),
    Pairing("dgram-inet", "dgram," + UDP.format("{b}", "{a}"), "dgram," + UDP.format("{a}", "{b}")),
    Pairing("dgram-multicast", *[f"dgram,remote.type=inet,remote.host={GROUP},remote.port={{a}}"] * 2),
    Pairing("l2tpv3-udp", "l2tpv3," + TUNNEL.format("{a}", "{b}", 1, 2), "l2tpv3," + TUNNEL.format("{b}", "{a}", 2, 1)),
    Pairing(
        "l2tpv3-all",
        "l2tpv3,cookie64=on,counter=on,offset=5,txcookie=0x1122334455667788,rxcookie=0x99,"
        + TUNNEL.format("{a}", "{b}", "0xffff0001", 2),
        "l2tpv3,cookie64=on,counter=on,offset=5,txcookie=0x99,rxcookie=0x1122334455667788,"
        + TUNNEL.format("{b}", "{a}", 2, "0xffff0001"),
    ),
    Pairing(
        "l2tpv3-ip",
        "l2tpv3,src=127.0.0.2,dst=127.0.0.3,txsession=7,rxsession=8,txcookie=5,rxcookie=6",
        "l2tpv3,src=127.0.0.3,dst=127.0.0.2,txsession=8,rxsession=7,txcookie=6,rxcookie=5",
    ),
)


def free_ports() -> dict[str, int]:
    """Ports that neither TCP nor UDP uses."""
    ports: dict[str, int] = {}
    while len(ports) < 2:
        with socket.socket() as tcp, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            tcp.bind(("127.0.0.1", 0))
            port = tcp.getsockname()[1]
            if not udp.connect_ex(("127.0.0.1", port)) and port not in ports.values():
                ports["ab"[len(ports)]] = port
    return ports


def frames(mark: int) -> list[bytes]:
    """Broadcasts of all lengths, each of its own."""
    return [
        b"\xff" * 6 + bytes([0x52, mark, 0, 0, 0, 0]) + b"\x88\xb5" + os.urandom(46 + i * 97 % 1455)
        for i in range(COUNT)
    ]


def wait(condition: Callable[[], object], what: str, seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"no {what} within {seconds} s"
        time.sleep(0.001)


def exchange(nic: nicemu.Nic, ours: Driver, theirs: Driver) -> None:
    """Frames both ways, at once, as fast as both sides take them."""
    out, back = frames(OURS), frames(THEIRS)
    at_ours: list[bytes] = []
    at_theirs: list[bytes] = []
    for at in range(0, COUNT, 30):
        for frame, answer in zip(out[at : at + 30], back[at : at + 30], strict=True):
            ours.send(frame)
            theirs.send(answer)

        def arrived(expected: int = at + 30) -> bool:
            nic.poll()
            at_ours.extend(f.data for f in ours.receive())
            # QEMU's multicast brings back what it sent, ours does not.
            at_theirs.extend(f.data for f in theirs.receive() if f.data[7] != THEIRS)
            return len(at_ours) >= expected and len(at_theirs) >= expected

        wait(arrived, f"{at + 30} frames: {len(at_ours)} and {len(at_theirs)}")
    assert at_theirs == out
    assert at_ours == back


@pytest.mark.parametrize("pairing", PAIRINGS, ids=lambda pairing: pairing.name)
def test_frames_pass_both_ways(pairing: Pairing, tmp_path: Path) -> None:
    tree = ensure()
    place = {"dir": str(tmp_path), **{name: str(port) for name, port in free_ports().items()}}
    wire = parse(pairing.ours.format(**place)) if pairing.first == "ours" else None
    with driven(tree, tmp_path, "e1000", pairing.qemu.format(**place)) as (computer, theirs):
        wire = wire or parse(pairing.ours.format(**place))
        nic = nicemu.create("e1000", memory=nicemu.GuestMemory(8 << 20), backend=wire)
        ours = attach(nic)
        ours.start()
        wait(lambda: nic.poll() or computer.advance(NEGOTIATION) or (ours.link_up() and theirs.link_up()), "link")
        exchange(nic, ours, theirs)
        assert wire.counters.send_drops == wire.counters.receive_drops == wire.counters.errors == 0
        computer.qemu.command("quit")
    if isinstance(wire, Stream):
        wait(lambda: nic.poll() or not ours.link_up(), "end of the link")
    nic.close()
    wire.close()
