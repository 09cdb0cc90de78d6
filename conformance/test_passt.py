"""The backend passt with passt of Debian, in a network namespace of its own: DHCP, ping, TCP and UDP, both ways."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import dpkt  # type: ignore[import-untyped]
import pytest

from nicemu.backends import Passt
from nicemu.errors import BackendError

from . import provision

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests"))

from backend_station import GATEWAY, GUEST, MAC, Connection, Station

SERVER = """
import socket, threading
tcp = socket.create_server(("127.0.0.1", 7001))
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.bind(("127.0.0.1", 7002))
def echo():
    while True:
        data, peer = udp.recvfrom(65536)
        udp.sendto(data.upper(), peer)
def echo6():
    while True:
        data, peer = udp6.recvfrom(65536)
        udp6.sendto(data.upper(), peer)
udp6 = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
udp6.bind(("::1", 7003))
threading.Thread(target=echo, daemon=True).start()
threading.Thread(target=echo6, daemon=True).start()
print("ready", flush=True)
while True:
    connection, _ = tcp.accept()
    with connection:
        received = 0
        while received < 300000:
            data = connection.recv(65536)
            if not data:
                break
            received += len(data)
            connection.sendall(data)
"""


class Namespace:
    """A network namespace with loopback, a network of its own, and the servers; nothing leaves it."""

    def __init__(self) -> None:
        self.name = f"nicemu-passt-{os.getpid()}"
        self.server: subprocess.Popen[bytes] | None = None

    def open(self) -> None:
        subprocess.run(["ip", "netns", "add", self.name], check=True)
        for command in (
            "ip link set lo up",
            "ip link add world type veth peer name wall",
            "ip address add 192.0.2.10/24 dev world",
            "ip link set world up",
            "ip link set wall up",
            "ip route add default via 192.0.2.1",
            "ip address add 2001:db8:2::10/64 dev world nodad",
            "ip -6 route add default via 2001:db8:2::1 dev world",
            "sysctl -qw net.ipv4.ping_group_range=0\\ 2147483647",
        ):
            subprocess.run([*self.enter(), *shlex.split(command)], check=True)
        self.server = subprocess.Popen([*self.enter(), sys.executable, "-c", SERVER], stdout=subprocess.PIPE)
        assert self.server.stdout is not None
        assert self.server.stdout.readline() == b"ready\n"

    def enter(self) -> list[str]:
        return ["ip", "netns", "exec", self.name]

    def program(self, folder: Path) -> Path:
        """passt, run in here."""
        path = folder / "passt"
        command = shlex.join([*self.enter(), *provision.ensure().program("passt")])
        path.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
        path.chmod(0o755)
        return path

    def close(self) -> None:
        if self.server is not None:
            with self.server as server:
                server.kill()
        subprocess.run(["ip", "netns", "delete", self.name], check=True)


@pytest.fixture(scope="module")
def namespace() -> Iterator[Namespace]:
    made = Namespace()
    try:
        made.open()
        yield made
    finally:
        made.close()


OPTIONS = {"address": "10.0.2.15", "netmask": "255.255.255.0", "gateway": "10.0.2.2", "ipv6": False, "mtu": 1500}


@pytest.fixture
def passt(namespace: Namespace, tmp_path: Path) -> Iterator[Passt]:
    forwards = {"tcp_ports": ["127.0.0.1/8001:9001"], "udp_ports": ["127.0.0.1/8002:9002"]}
    with Passt(path=namespace.program(tmp_path), **OPTIONS, **forwards) as backend:
        yield backend


@pytest.fixture
def station(passt: Passt) -> Iterator[Station]:
    made = Station(passt)
    yield made
    made.close()


def test_dhcp_gives_what_was_asked_for(station: Station) -> None:
    offer = station.dhcp(dpkt.dhcp.DHCPDISCOVER)
    options = dict(offer.opts)
    assert offer.yiaddr == int.from_bytes(GUEST, "big")
    assert options[dpkt.dhcp.DHCP_OPT_NETMASK] == bytes([255, 255, 255, 0])
    assert options[dpkt.dhcp.DHCP_OPT_ROUTER] == GATEWAY
    answer = station.dhcp(dpkt.dhcp.DHCPREQUEST, _50=GUEST, _54=options[dpkt.dhcp.DHCP_OPT_SERVER_ID])
    assert dict(answer.opts)[dpkt.dhcp.DHCP_OPT_MSGTYPE] == bytes([dpkt.dhcp.DHCPACK])


def test_ping(station: Station) -> None:
    station.arp()
    assert station.ping(GATEWAY, b"nicemu" * 9) == b"nicemu" * 9


def test_udp(station: Station) -> None:
    station.arp()
    station.udp(GATEWAY, 7002, b"hello")
    answer = station.expect(lambda p: isinstance(p.data, dpkt.udp.UDP) and p.data.dport == 40000)
    assert bytes(answer.data.data) == b"HELLO"


class Scaled(Connection):
    """Heeds the window scale of the other end, which passt uses whether or not it is asked to (RFC 7323)."""

    shift = 0

    def take_segment(self, segment: dpkt.tcp.TCP) -> None:
        super().take_segment(segment)
        if segment.flags & dpkt.tcp.TH_SYN:
            for kind, value in dpkt.tcp.parse_opts(segment.opts):
                if kind == dpkt.tcp.TCP_OPT_WSCALE:
                    self.shift = value[0]
        else:
            self.peer_window <<= self.shift


def test_tcp_there_and_back(station: Station) -> None:
    """300 000 bytes come back as they were sent, and then the end of the connection."""
    station.arp()
    data = os.urandom(300_000)
    connection = Scaled(station, 41000, GATEWAY, 7001).connect()
    connection.send(data)
    connection.until(lambda: len(connection.received) == len(data))
    assert connection.received == data
    connection.until(lambda: connection.finished)


CLIENT = """
import socket
with socket.create_connection(("127.0.0.1", 8001), 10) as tcp:
    tcp.sendall(b"from outside")
    tcp.shutdown(socket.SHUT_WR)
    print(tcp.recv(100).decode())
"""


def test_a_connection_from_outside(station: Station, namespace: Namespace) -> None:
    """Port 8001 of the namespace's loopback is port 9001 of the guest."""
    station.arp()
    client = subprocess.Popen([*namespace.enter(), sys.executable, "-c", CLIENT], stdout=subprocess.PIPE, text=True)
    found: list[dpkt.ip.IP] = []

    def asked() -> bool:
        found.extend(p for p in station.packets() if isinstance(p.data, dpkt.tcp.TCP) and p.data.dport == 9001)
        return bool(found)

    station.wait(asked)
    request = found[0]
    connection = Connection(station, 9001, bytes(request.src), request.data.sport)
    connection.acknowledged = request.data.seq + 1
    connection.transmit(dpkt.tcp.TH_SYN | dpkt.tcp.TH_ACK)
    connection.until(lambda: connection.finished)
    assert connection.received == b"from outside"
    connection.transmit(dpkt.tcp.TH_ACK | dpkt.tcp.TH_PSH if hasattr(dpkt.tcp, "TH_PSH") else 0x18, b"from inside")
    connection.transmit(dpkt.tcp.TH_FIN | dpkt.tcp.TH_ACK)
    connection.until(lambda: client.poll() is not None)
    assert client.communicate() == ("from inside\n", None)


# ------------------------------------------------------------------------------------------------- IPv6

LINK_LOCAL, OURS = bytes.fromhex("fe80000000000000505400fffe123456"), bytes.fromhex("20010db8000200000000000000000010")
ROUTER = bytes.fromhex("20010db8000200000000000000000001")


def ipv6(source: bytes, to: bytes, protocol: int, payload: bytes, field: int) -> bytes:
    """A packet whose checksum, at `field` of the payload, is computed here (RFC 8200 8.1)."""
    pseudo = source + to + len(payload).to_bytes(4, "big") + protocol.to_bytes(4, "big")
    total = sum(int.from_bytes(chunk.ljust(2, b"\0"), "big") for chunk in in_pairs(pseudo + payload))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    payload = payload[:field] + (~total & 0xFFFF).to_bytes(2, "big") + payload[field + 2 :]
    return b"\x60\0\0\0" + len(payload).to_bytes(2, "big") + bytes([protocol, 255]) + source + to + payload


def in_pairs(data: bytes) -> Iterator[bytes]:
    return (data[at : at + 2] for at in range(0, len(data), 2))


def test_ipv6(namespace: Namespace, tmp_path: Path) -> None:
    """A router advertisement with the network's prefix, the router's address, and UDP to the namespace's loopback."""
    wire = Passt(path=namespace.program(tmp_path), ipv4=False, mtu=1500)
    station = Station(wire)

    def expect(kind: Callable[[dpkt.ip6.IP6], object]) -> dpkt.ip6.IP6:
        found: list[dpkt.ip6.IP6] = []

        def came() -> bool:
            packets = [dpkt.ethernet.Ethernet(f).data for f in station.frames()]
            found.extend(p for p in packets if isinstance(p, dpkt.ip6.IP6) and kind(p))
            return bool(found)

        station.wait(came, seconds=30)
        return found[0]

    def icmp(kind: int) -> Callable[[dpkt.ip6.IP6], object]:
        return lambda p: isinstance(p.data, dpkt.icmp6.ICMP6) and p.data.type == kind

    def put(to: bytes, packet: bytes) -> None:
        station.put(to + MAC + b"\x86\xdd" + packet)

    all_routers = bytes.fromhex("ff020000000000000000000000000002")
    own = b"\x01\x01" + MAC
    put(bytes.fromhex("333300000002"), ipv6(LINK_LOCAL, all_routers, 58, b"\x85" + bytes(7) + own, 2))
    advertised = bytes(expect(icmp(134)).data)
    assert OURS[:8] in advertised, "the prefix of the namespace"
    solicited = bytes.fromhex("ff0200000000000000000001ff000001")
    put(bytes.fromhex("3333ff000001"), ipv6(LINK_LOCAL, solicited, 58, b"\x87" + bytes(7) + ROUTER + own, 2))
    neighbour = bytes(expect(icmp(136)).data)
    router = neighbour[-6:]
    assert neighbour[8:24] == ROUTER
    datagram = (40000).to_bytes(2, "big") + (7003).to_bytes(2, "big") + (13).to_bytes(2, "big") + b"\0\0hello"
    put(router, ipv6(OURS, ROUTER, 17, datagram, 6))
    answer = expect(lambda p: isinstance(p.data, dpkt.udp.UDP) and p.data.dport == 40000)
    assert bytes(answer.data.data) == b"HELLO"
    assert answer.src == ROUTER
    station.close()


def test_a_passt_that_runs_already(namespace: Namespace, tmp_path: Path) -> None:
    """`socket=`: it is met at its path; when it ends the link goes down, and its successor is found."""
    place = str(tmp_path / "passt.socket")

    def start() -> subprocess.Popen[bytes]:
        command = [str(namespace.program(tmp_path)), "--foreground", "--quiet", "--socket", place, "--runas", "0"]
        options = ["--address", "10.0.2.15", "--netmask", "24", "--gateway", "10.0.2.2", "--ipv4-only"]
        return subprocess.Popen([*command, *options], stderr=subprocess.DEVNULL)

    first = start()
    with Passt(socket=place) as wire:
        station = Station(wire)
        station.wait(lambda: wire.link_up, seconds=30)
        station.arp()
        assert station.ping(GATEWAY) == b"nicemu"
        assert wire.pid is None
        first.terminate()
        first.wait()
        station.wait(lambda: not wire.link_up, seconds=30)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(place)
        second = start()
        station.wait(lambda: wire.link_up, seconds=30)
        station.arp()
        assert station.ping(GATEWAY) == b"nicemu"
        station.close()
    second.terminate()
    second.wait()


def test_passt_that_ends(passt: Passt, station: Station) -> None:
    """Link down, counted; and it is reaped."""
    station.arp()
    pid = passt.pid
    assert pid is not None
    os.kill(pid, signal.SIGTERM)
    station.wait(lambda: not passt.link_up)
    assert passt.stream_counters.disconnects == 1
    deadline = time.monotonic() + 5
    while os.path.exists(f"/proc/{pid}"):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_it_ends_with_the_backend(passt: Passt) -> None:
    pid = passt.pid
    passt.close()
    assert not os.path.exists(f"/proc/{pid}")


def test_passts_own_words(namespace: Namespace, tmp_path: Path) -> None:
    with pytest.raises(BackendError, match=r"passt ended with status 1: .*10\.0\.2\.999"):
        Passt(path=namespace.program(tmp_path), address="10.0.2.999")
