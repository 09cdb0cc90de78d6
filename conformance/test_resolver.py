"""The user network on a host whose resolver is missing, dead or silent, and on one without IPv6. Needs root.

The guest is told at once what the host knows, and nothing that the host waits for holds up what else the guest says.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from .namespace import Namespace

TESTS = Path(__file__).parent.parent / "tests"
QUESTIONS = 50
#: Seconds; a resolver's own timeout, waited for with each question, would take minutes.
PROMPT = 10.0

PROGRAM = """
import json, socket, sys, time
import dpkt
from backend_station import DNS, GATEWAY, Station
from nicemu.backends import User

QUESTION = bytes.fromhex("0001 0100 0001 0000 0000 0000 01 61 00 0001 0001")
OWN, HOST = bytes.fromhex("fe80000000000000505400fffe123456"), bytes.fromhex("fec0" + "00" * 13 + "02")
silent = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
if sys.argv[1] == "silent":
    silent.bind(("127.0.0.9", 53))


def knock(station):
    tcp = dpkt.tcp.TCP(sport=40000, dport=22, seq=1, flags=dpkt.tcp.TH_SYN, win=65535)
    packet = dpkt.ip6.IP6(src=OWN, dst=HOST, nxt=6, hlim=64, data=tcp)
    packet.plen = len(tcp)
    station.put(station.ethernet(bytes(packet), 0x86DD))


with User() as user:
    station = Station(user)
    station.arp()
    begun = time.monotonic()
    told = []

    def answered(packet):
        if isinstance(packet.data, dpkt.icmp.ICMP):
            told.append((packet.data.type, packet.data.code))
        return told[-1:] == [(0, 0)]

    for number in range(int(sys.argv[2])):
        station.udp(DNS, 53, QUESTION, 40000 + number)
        knock(station)
        echo = dpkt.icmp.ICMP(type=8, data=dpkt.icmp.ICMP.Echo(id=7, seq=number, data=b"alive"))
        station.put(station.ip(echo, dpkt.ip.IP_PROTO_ICMP, GATEWAY))
        station.expect(answered)
    taken = time.monotonic() - begun
    unreachable = sorted({code for kind, code in told if kind == 3})
    echoes = sum(kind == 0 for kind, code in told)
    print(json.dumps({"echoes": echoes, "unreachable": unreachable, "taken": taken, "errors": user.counters.errors}))
"""


def ask(space: Namespace, resolver: Path, kind: str) -> dict[str, Any]:
    """What a guest was told in a namespace whose resolver's configuration is that file."""
    program = f'mount --bind {resolver} /etc/resolv.conf && exec "$@"'
    command = ["unshare", "--mount", "sh", "-c", program, "sh", sys.executable, "-c", PROGRAM, kind, str(QUESTIONS)]
    done = subprocess.run(space.inside("env", f"PYTHONPATH={TESTS}", *command), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


@pytest.mark.parametrize("ipv6", [True, False], ids=["IPv6", "no IPv6"])
@pytest.mark.parametrize(
    ("kind", "configuration", "codes"),
    [
        ("missing", "", [0]),  # RFC 792: net unreachable
        ("dead", "nameserver 127.0.0.9\n", [3]),  # port unreachable
        ("silent", "nameserver 127.0.0.9\n", []),
    ],
    ids=["missing", "dead", "silent"],
)
def test_a_resolver_that_does_not_answer(
    kind: str, configuration: str, codes: list[int], ipv6: bool, tmp_path: Path
) -> None:
    resolver = tmp_path / "resolv.conf"
    resolver.write_text(configuration)
    with Namespace() as space:
        if not ipv6:
            space.run("sh", "-c", "echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6")
        told = ask(space, resolver, kind)
    assert told["echoes"] == QUESTIONS
    assert told["unreachable"] == codes
    assert told["taken"] < PROMPT
