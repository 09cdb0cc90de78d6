"""User-mode networking against real sockets of this machine: addresses, DHCP, ping, TCP, UDP, forwarding, loss."""

from __future__ import annotations

import gc
import hashlib
import os
import resource
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import dpkt
import pytest
from backend_station import DNS, GATEWAY, GUEST, MAC, Connection, Station

from nicemu.backends import User
from nicemu.backends.forwarding import HostForward
from nicemu.backends.user import library_version
from nicemu.errors import BackendError, ConfigurationError

ACK, RST, PSH, FIN = dpkt.tcp.TH_ACK, dpkt.tcp.TH_RST, dpkt.tcp.TH_PUSH, dpkt.tcp.TH_FIN


@pytest.fixture
def user() -> Iterator[User]:
    with User() as backend:
        yield backend


@pytest.fixture
def station(user: User) -> Iterator[Station]:
    made = Station(user)
    yield made
    made.close()


def listener(kind: int = socket.SOCK_STREAM) -> socket.socket:
    server = socket.socket(socket.AF_INET, kind)
    server.bind(("127.0.0.1", 0))
    server.settimeout(30)
    if kind == socket.SOCK_STREAM:
        server.listen()
    return server


def free_port(kind: int = socket.SOCK_STREAM) -> int:
    with listener(kind) as server:
        return int(server.getsockname()[1])


# ---------------------------------------------------------------------- addresses


def test_the_gateway_and_the_name_server_answer_arp(station: Station) -> None:
    gateway = station.arp(GATEWAY)
    assert bytes(gateway.spa) == GATEWAY
    assert bytes(gateway.sha) == b"\x52\x55\x0a\x00\x02\x02"
    assert bytes(station.arp(DNS).spa) == DNS


def test_frames_for_the_guest_are_at_least_60_bytes_long(station: Station, user: User) -> None:
    station.put(station.ethernet(bytes(dpkt.arp.ARP(sha=MAC, spa=GUEST, tpa=GATEWAY)), 0x806, b"\xff" * 6))
    station.wait(lambda: station.wire.received)
    assert all(len(f) >= 60 for f in station.wire.received)


def test_dhcp_gives_a_lease() -> None:
    with User(hostname="guest7", domainname="lab.test", bootfile="boot.ipxe", tftp_server_name="tftp.test") as user:
        station = Station(user)
        offer = station.dhcp(dpkt.dhcp.DHCPDISCOVER)
        assert offer.yiaddr == int.from_bytes(GUEST, "big")
        assert offer.file.rstrip(b"\0") == b"boot.ipxe"
        lease = station.dhcp(dpkt.dhcp.DHCPREQUEST, o50=GUEST)
        options = dict(lease.opts)
        assert options[53] == bytes([dpkt.dhcp.DHCPACK])
        assert options[1] == bytes([255, 255, 255, 0])
        assert options[3] == GATEWAY
        assert options[6] == DNS
        assert options[12] == b"guest7"
        assert options[15] == b"lab.test"
        assert options[66] == b"tftp.test"
        station.close()


def test_another_network() -> None:
    options = {"net": "192.168.76.0/24", "host": "192.168.76.9", "dhcpstart": "192.168.76.50", "dns": "192.168.76.10"}
    with User(**options) as user:  # type: ignore[arg-type]
        station = Station(user)
        offer = station.dhcp(dpkt.dhcp.DHCPDISCOVER)
        assert offer.yiaddr == int.from_bytes(bytes([192, 168, 76, 50]), "big")
        assert dict(offer.opts)[3] == bytes([192, 168, 76, 9])
        station.close()


@pytest.mark.parametrize("data", [b"", b"nicemu", bytes(1472)])
def test_the_gateway_answers_ping(station: Station, data: bytes) -> None:
    station.arp()
    assert station.ping(GATEWAY, data) == data


def solicit_routers(station: Station) -> None:
    source = bytes.fromhex("fe80000000000000505400fffe123456")
    solicit = dpkt.icmp6.ICMP6(type=133, data=b"\0" * 4)
    packet = dpkt.ip6.IP6(src=source, dst=bytes.fromhex("ff02" + "00" * 13 + "02"), nxt=58, hlim=255, data=solicit)
    packet.plen = len(bytes(solicit))
    station.put(station.ethernet(bytes(packet), 0x86DD, bytes.fromhex("333300000002")))


def test_without_ipv6_the_guest_is_told_nothing_of_it_and_ipv4_goes_on() -> None:
    """D21."""
    with User(ipv6=False) as user:
        station = Station(user)
        station.arp()
        for _ in range(20):
            solicit_routers(station)
            station.turn()
        echo = dpkt.icmp.ICMP(type=8, data=dpkt.icmp.ICMP.Echo(id=7, seq=1, data=b"nicemu"))
        station.put(station.ip(echo, dpkt.ip.IP_PROTO_ICMP, GATEWAY))
        station.wait(lambda: any(f[12:14] == b"\x08\x00" for f in station.wire.received))
        assert [f for f in station.frames() if f[12:14] == b"\x86\xdd"] == []
        assert user.counters.errors == 0
        station.close()


def test_ipv6_router_is_advertised_and_answers() -> None:
    with User(ipv6_net="fec0:7::/64") as user:
        station = Station(user)
        solicit_routers(station)
        found: list[bytes] = []

        def advertised() -> bool:
            found.extend(f for f in station.frames() if f[12:14] == b"\x86\xdd" and f[54] == 134)
            return bool(found)

        station.wait(advertised)
        assert bytes.fromhex("fec0000700000000") in found[0]
        station.close()


# ---------------------------------------------------------------------- UDP and TCP out


def test_udp_reaches_a_server_and_comes_back(station: Station) -> None:
    station.arp()
    with listener(socket.SOCK_DGRAM) as server:
        station.udp(GATEWAY, server.getsockname()[1], b"question")
        station.turn()
        data, sender = server.recvfrom(2000)
        assert data == b"question"
        server.sendto(b"answer", sender)
        reply = station.expect(lambda p: isinstance(p.data, dpkt.udp.UDP) and p.data.dport == 40000)
        assert bytes(reply.data.data) == b"answer"
        assert reply.src == GATEWAY


def test_tcp_carries_both_ways_and_closes(station: Station, user: User) -> None:
    station.arp()
    with listener() as server:
        connection = Connection(station, 41000, GATEWAY, server.getsockname()[1]).connect()
        peer, _ = server.accept()
        with peer:
            peer.settimeout(30)
            connection.send(b"from the guest")
            assert peer.recv(100) == b"from the guest"
            peer.sendall(b"to the guest")
            connection.until(lambda: connection.received == b"to the guest")
            assert "ESTABLISHED" in user.info()
            connection.transmit(ACK | FIN)
            connection.until(lambda: connection.peer_acknowledged == connection.sequence)
            assert peer.recv(100) == b""
        connection.until(lambda: connection.finished)


def test_tcp_to_a_closed_port_is_refused(station: Station) -> None:
    station.arp()
    connection = Connection(station, 41001, GATEWAY, free_port()).connect()
    assert connection.reset


def test_urgent_data_arrives_as_ordinary_data(station: Station, user: User) -> None:
    station.arp()
    with listener() as server:
        connection = Connection(station, 41002, GATEWAY, server.getsockname()[1]).connect()
        peer, _ = server.accept()
        with peer:
            peer.settimeout(30)
            connection.send(b"urgent!", urgent=0xFFFF)
            assert peer.recv(100) == b"urgent!"
    assert user.user_counters.urgent_cleared == 1


def find_library_file(name: str) -> str:
    """Where this process has mapped a library."""
    with open("/proc/self/maps") as maps:
        return next(line.split()[-1] for line in maps if line.rstrip().endswith(name))


def bulk(size: int) -> bytes:
    block = b"".join(hashlib.sha256(struct.pack(">I", i)).digest() for i in range(1024))
    return (block * (size // len(block) + 1))[:size]


def test_bulk_out_is_complete(station: Station) -> None:
    station.arp()
    data, got = bulk(400_000), hashlib.sha256()
    with listener() as server:
        connection = Connection(station, 41003, GATEWAY, server.getsockname()[1]).connect()
        peer, _ = server.accept()

        def read() -> None:
            with peer:
                while block := peer.recv(65536):
                    got.update(block)

        reader = threading.Thread(target=read)
        reader.start()
        connection.send(data)
        connection.transmit(ACK | FIN)
        connection.until(lambda: connection.finished)
        reader.join(10)
    assert got.digest() == hashlib.sha256(data).digest()


def send_from_host(server: socket.socket, data: bytes) -> threading.Thread:
    peer, _ = server.accept()

    def write() -> None:
        with peer:
            peer.sendall(data)

    writer = threading.Thread(target=write)
    writer.start()
    return writer


def test_bulk_in_is_complete(station: Station) -> None:
    station.arp()
    data = bulk(2_000_000)
    with listener() as server:
        connection = Connection(station, 41004, GATEWAY, server.getsockname()[1]).connect()
        writer = send_from_host(server, data)
        connection.until(lambda: connection.finished)
        writer.join(10)
    assert connection.received == data


def test_tftp_serves_the_folder_and_nothing_above_it(tmp_path: Path) -> None:
    folder = tmp_path / "served"
    folder.mkdir()
    (folder / "boot.ipxe").write_bytes(b"#!ipxe" + bytes(100))
    (tmp_path / "secret").write_bytes(b"secret")
    with User(tftp=folder) as user:
        station = Station(user)
        station.arp()
        for name, operation in ((b"boot.ipxe", 3), (b"/boot.ipxe", 3), (b"../secret", 5), (b"none", 5)):
            station.udp(GATEWAY, 69, b"\0\1" + name + b"\0octet\0")
            reply = station.expect(lambda p: isinstance(p.data, dpkt.udp.UDP) and p.data.dport == 40000)
            data = bytes(reply.data.data)
            assert data[1] == operation, name
            assert (data[4:] == b"#!ipxe" + bytes(100)) == (operation == 3)
        station.close()


# ---------------------------------------------------------------------- forwarding in


def test_a_forwarded_port_reaches_the_guest(station: Station, user: User) -> None:
    station.dhcp(dpkt.dhcp.DHCPDISCOVER)
    port = free_port()
    user.hostfwd_add(f"tcp:127.0.0.1:{port}-:22")
    assert f"{port}" in user.info()
    with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
        syn = station.expect(lambda p: isinstance(p.data, dpkt.tcp.TCP) and p.data.dport == 22)
        assert syn.data.flags & dpkt.tcp.TH_SYN
        connection = Connection(station, 22, syn.src, syn.data.sport)
        connection.acknowledged = syn.data.seq + 1
        connection.transmit(ACK | dpkt.tcp.TH_SYN)
        client.sendall(b"hello guest")
        connection.until(lambda: connection.received == b"hello guest")
        connection.send(b"hello host")
        assert client.recv(100) == b"hello host"
    user.hostfwd_remove(f"tcp:127.0.0.1:{port}")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=1)
    with pytest.raises(ConfigurationError, match="nothing is forwarded"):
        user.hostfwd_remove(f"tcp:127.0.0.1:{port}")


def test_a_forwarded_udp_port_reaches_the_guest() -> None:
    port = free_port(socket.SOCK_DGRAM)
    with User(hostfwd=[f"udp:127.0.0.1:{port}-10.0.2.15:53"]) as user:
        station = Station(user)
        station.arp()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(30)
            client.sendto(b"question", ("127.0.0.1", port))
            packet = station.expect(lambda p: isinstance(p.data, dpkt.udp.UDP) and p.data.dport == 53)
            assert bytes(packet.data.data) == b"question"
            station.udp(packet.src, packet.data.sport, b"answer", 53)
            station.turn()
            assert client.recv(100) == b"answer"
        station.close()


def test_a_port_that_is_taken_is_an_error(user: User) -> None:
    with listener() as server:
        port = server.getsockname()[1]
        with pytest.raises(BackendError, match="Address already in use"):
            user.hostfwd_add(f"tcp:127.0.0.1:{port}-:22")
        with pytest.raises(BackendError, match=f"hostfwd=tcp:127.0.0.1:{port}"):
            User(hostfwd=[f"tcp:127.0.0.1:{port}-:22"])


def test_restrict_lets_nothing_out() -> None:
    with User(restrict=True) as user, listener(socket.SOCK_DGRAM) as server:
        station = Station(user)
        station.arp()
        assert station.ping(GATEWAY) == b"nicemu"
        station.udp(GATEWAY, server.getsockname()[1], b"out")
        server.settimeout(0.2)
        for _ in range(20):
            station.turn()
        with pytest.raises(TimeoutError):
            server.recvfrom(100)
        station.close()


# ---------------------------------------------------------------------- fragments (RFC 791 3.2), jumbo frames


def echo(size: int) -> bytes:
    """An IPv4 packet with an echo request of `size` bytes of data to the gateway."""
    request = dpkt.icmp.ICMP(type=8, data=dpkt.icmp.ICMP.Echo(id=7, seq=1, data=bulk(size)))
    packet = dpkt.ip.IP(src=GUEST, dst=GATEWAY, p=1, id=77, ttl=64, data=request)
    packet.len = len(packet)
    return bytes(packet)


def pieces(station: Station, packet: bytes, number: int = 77) -> list[bytes]:
    """The packet's fragments as frames, 1480 bytes of payload each."""
    payload, frames = packet[20:], []
    for at in range(0, len(payload), 1480):
        part = dpkt.ip.IP(src=GUEST, dst=GATEWAY, p=1, id=number, ttl=64, data=payload[at : at + 1480])
        part.mf, part.offset = int(at + 1480 < len(payload)), at >> 3
        part.len = len(part)
        frames.append(station.ethernet(bytes(part)))
    return frames


def echoed(station: Station, turns: int = 50) -> int:
    """Bytes of echo replies, in however many fragments, that come within some turns."""
    total = 0
    for _ in range(turns):
        station.turn()
        total += sum(len(ip.data) for ip in station.packets() if ip.p == 1)
    return total


@pytest.mark.parametrize("order", ["ascending", "descending", "last first"])
def test_a_fragmented_ping_is_answered(station: Station, user: User, order: str) -> None:
    station.arp()
    frames = pieces(station, echo(4000))
    frames = {"ascending": frames, "descending": frames[::-1], "last first": frames[-1:] + frames[:-1]}[order]
    station.put(*frames)
    assert echoed(station) >= 4000
    assert user.user_counters.filtered["held"] == 2
    assert user.counters.filtered == 0


def test_a_jumbo_ping_is_answered(station: Station) -> None:
    station.arp()
    station.put(station.ethernet(echo(8972)))
    assert echoed(station) >= 8972


def test_overlapping_fragments_lose_the_datagram(station: Station, user: User) -> None:
    """RFC 5722: any overlap, even of equal bytes, gives the datagram up, with what follows of it."""
    station.arp()
    first, second, third = pieces(station, echo(4000))
    station.put(first, second, second, third)
    assert echoed(station) == 0
    assert user.user_counters.filtered["fragment"] == 2
    station.put(*pieces(station, echo(3000)))
    assert echoed(station) == 0
    assert user.user_counters.filtered["fragment"] == 5, "the identification is spoilt until the timer runs out"


def test_many_unfinished_datagrams_hold_nothing_up(station: Station, user: User) -> None:
    """Only a few are kept; the one that was quiet for longest goes, and a whole one still gets through."""
    station.arp()
    for number in range(100):
        station.put(pieces(station, echo(4000), number)[0])
    station.put(*pieces(station, echo(4000)))
    assert echoed(station) >= 4000
    assert user.counters.filtered == 0


# ---------------------------------------------------------------------- hostile guests, loss, resources


def test_refused_frames_are_counted_by_reason(station: Station, user: User) -> None:
    station.put(bytes(60), b"\0" * 13)
    station.udp(GATEWAY, 9, b"")
    station.turn()
    counters = user.user_counters
    assert {k: v for k, v in counters.filtered.items() if v} == {"ethertype": 1, "short": 1}
    assert counters.passed == 1
    assert user.counters.filtered == 2
    assert user.counters.sent_frames == 3


def test_any_bytes_leave_it_working(station: Station, user: User) -> None:
    """Frames that pass the filter by their head and are noise behind it reach libslirp's parsers."""
    noise = bulk(1 << 16)
    for i in range(2000):
        at = i * 29 % 60000
        length = 28 + i * 7 % 1400
        body = noise[at : at + length]
        protocol = (1, 6, 17)[i % 3]
        head = struct.pack(">BBHHHBBH", 0x45, 0, 20 + length, i, 0, 64, protocol, 0) + GUEST + GATEWAY
        check = dpkt.in_cksum(head)
        station.wire.deliver([station.ethernet(head[:10] + struct.pack(">H", check) + head[12:] + body)])
        station.turn()
        station.frames()
    assert user.user_counters.passed > 400
    station.arp()
    assert station.ping(GATEWAY) == b"nicemu"


def test_a_guest_that_never_receives_costs_bounded_memory(station: Station, user: User) -> None:
    station.arp()
    station.wire.room = 0
    request = station.ethernet(bytes(dpkt.arp.ARP(sha=MAC, spa=GUEST, tpa=GATEWAY)), 0x806, b"\xff" * 6)

    def lost_of(batches: int) -> int:
        before = user.user_counters.queue_full
        for _ in range(batches):
            assert station.wire.deliver([request] * 100) == 100
            station.turn()
        return user.user_counters.queue_full - before

    assert lost_of(400) > 1000
    assert lost_of(50) == 5000, "every answer more is one more that is lost, and counted"
    station.wire.room = None
    station.wire.writable()
    station.wait(lambda: len(station.wire.received) > 1000)
    station.frames()
    assert station.ping(GATEWAY) == b"nicemu"


def test_no_descriptor_left_for_a_new_connection_does_not_turn_in_circles(station: Station, user: User) -> None:
    station.arp()
    port = free_port()
    user.hostfwd_add(f"tcp:127.0.0.1:{port}-:22")
    station.turn()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    clients = [socket.socket() for _ in range(2)]
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(c.fileno() for c in clients) + 1, hard))
    try:
        for client in clients:
            client.connect(("127.0.0.1", port))
        station.wait(lambda: [station.turn() for _ in range(100)] and user.user_counters.stalls)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    station.expect(lambda p: isinstance(p.data, dpkt.tcp.TCP) and p.data.dport == 22)
    for client in clients:
        client.close()


def test_a_host_that_does_not_answer_delays_nobody_else(station: Station) -> None:
    """A listener whose queue is full keeps a connection waiting; what others say goes through meanwhile."""
    station.arp()
    segments = []

    def answer(packet: dpkt.ip.IP) -> bool:
        if isinstance(packet.data, dpkt.tcp.TCP):
            segments.append(packet.data)
        return isinstance(packet.data, dpkt.udp.UDP) and packet.data.dport == 40000

    with listener() as full, listener(socket.SOCK_DGRAM) as server:
        full.listen(0)
        first = socket.create_connection(full.getsockname())
        Connection(station, 41000, GATEWAY, full.getsockname()[1]).transmit(dpkt.tcp.TH_SYN)
        for number in range(20):
            station.udp(GATEWAY, server.getsockname()[1], b"question %d" % number)
            station.turn()
            data, sender = server.recvfrom(2000)
            server.sendto(data, sender)
            assert bytes(station.expect(answer).data.data) == b"question %d" % number
        assert segments == []
        first.close()


def test_it_leaves_no_descriptors_and_no_memory_behind() -> None:
    def cycle() -> None:
        with User(hostfwd=[f"tcp:127.0.0.1:{free_port()}-:22"]) as user, listener(socket.SOCK_DGRAM) as server:
            station = Station(user)
            station.arp()
            station.udp(GATEWAY, server.getsockname()[1], b"x")
            connection = Connection(station, 41005, GATEWAY, free_port())
            connection.transmit(dpkt.tcp.TH_SYN)
            station.turn()
            station.close()

    def resident() -> int:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * resource.getpagesize()

    for _ in range(20):
        cycle()
    gc.collect()  # of other tests too
    descriptors, memory = len(os.listdir("/proc/self/fd")), resident()
    for _ in range(200):
        cycle()
    assert len(os.listdir("/proc/self/fd")) == descriptors
    assert resident() - memory < 2 << 20


def test_a_forked_child_takes_nothing_from_its_parent(station: Station, user: User) -> None:
    station.arp()
    with listener() as server:
        connection = Connection(station, 41006, GATEWAY, server.getsockname()[1]).connect()
        peer, _ = server.accept()
        with peer:
            for _ in range(3):  # until the stack waits for this socket's data and for nothing else
                station.turn()
            child = os.fork()
            if not child:
                station.close()
                os._exit(0)
            assert os.waitpid(child, 0)[1] == 0
            peer.sendall(b"still here")
            connection.until(lambda: connection.received == b"still here")


def test_frames_queue_within_one_turn_in_bounded_time(station: Station) -> None:
    station.arp()
    frames = [station.ethernet(bytes(dpkt.arp.ARP(sha=MAC, spa=GUEST, tpa=GATEWAY)), 0x806, b"\xff" * 6)] * 1000
    start = time.process_time()
    station.put(*frames)
    station.turn()
    assert time.process_time() - start < 2


# ---------------------------------------------------------------------- mistakes of the host program


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"net": "10.0.2"}, "net=10.0.2 is not a network"),
        ({"ip": "10.9.0"}, "ip=10.9.0 is not an IPv4 address"),
        ({"net": "10.9.0.0/16", "ip": "10.9.0.0"}, "net=10.9.0.0/16 and ip=10.9.0.0 are one option"),
        ({"net": "10.0.2.0/33"}, "is not a network"),
        ({"net": "10.0.2.0/30"}, "at most 28 bits"),
        ({"host": "10.0.3.2"}, "host=10.0.3.2 is no station's address in net=10.0.2.0/24"),
        ({"host": "10.0.2.255"}, "no station's address"),
        ({"dns": "nowhere"}, "dns=nowhere is not an IPv4 address"),
        ({"dns": "10.0.2.2"}, "three different addresses"),
        ({"dhcpstart": "10.0.2.3"}, "three different addresses"),
        ({"ipv4": False, "ipv6": False}, "at least one"),
        ({"ipv6_net": "fec0::/127"}, "at most 126 bits"),
        ({"ipv6_net": "x"}, "is not a prefix"),
        ({"ipv6_host": "fec1::1"}, "outside of ipv6-net"),
        ({"ipv6_dns": "1.2.3.4"}, "is not an IPv6 address"),
        ({"hostname": "x" * 256}, "hostname: expected at most 255 bytes"),
        ({"domainname": "a\nb"}, "control characters"),
        ({"bootfile": "x" * 128}, "bootfile: expected at most 127 bytes"),
        ({"tftp": "/nonexistent"}, "is not a folder"),
        ({"hostfwd": "tcp::1-:2"}, "take lists"),
        ({"hostfwd": ["tcp:5555"]}, r"expected \[tcp\|udp\]"),
        ({"hostfwd": ["sctp::1-:2"]}, r"expected \[tcp\|udp\]"),
        ({"hostfwd": ["tcp::0-:2"]}, "expected 1 to 65535"),
        ({"hostfwd": ["tcp::1-:65536"]}, "expected 1 to 65535"),
        ({"hostfwd": ["tcp:x:1-:2"]}, "is not an IPv4 address"),
    ],
)
def test_wrong_options_say_what_was_expected(options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        User(**options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("net", "expected"),
    [
        ("10.9.8.0", "10.0.0.0/8"),
        ("172.20.1.1", "172.16.0.0/12"),
        ("192.168.5.0", "192.168.0.0/16"),
        ("198.19.0.0", "198.18.0.0/15"),
        ("9.0.0.0", "9.0.0.0/8"),
        ("130.1.0.0", "130.1.0.0/16"),
        ("200.1.2.0", "200.1.2.0/24"),
        ("10.0.5.77/255.255.255.0", "10.0.5.0/24"),
    ],
)
def test_a_network_without_a_mask_goes_by_its_class(net: str, expected: str) -> None:
    with User(net=net) as user:
        assert str(user.ipv4.net) == expected


def test_a_rule_reads_back_as_it_stands() -> None:
    assert str(HostForward.parse("tcp::5555-:22")) == "tcp:0.0.0.0:5555-0.0.0.0:22"
    assert HostForward.parse(":127.0.0.1:1-10.0.2.15:2").udp is False
    assert str(HostForward.parse("udp:127.0.0.1:1-10.0.2.15:2")) == "udp:127.0.0.1:1-10.0.2.15:2"


def test_the_version_is_that_of_the_library(user: User) -> None:
    assert user.version == library_version()
    assert [int(n) for n in user.version.split(".")[:2]] >= [4, 0]


@pytest.mark.parametrize(("content", "reason"), [("", "file too short"), ("libm.so.6", "has no slirp_version_string")])
def test_a_missing_library_is_an_error_that_names_the_package(tmp_path: Path, content: str, reason: str) -> None:
    library = tmp_path / "libslirp.so.0"
    library.write_bytes(Path(find_library_file(content)).read_bytes() if content else b"")
    script = "from nicemu.backends import User\ntry:\n    User()\nexcept OSError as e:\n    print(type(e).__name__, e)"
    out = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "LD_LIBRARY_PATH": str(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert out.stdout.startswith("BackendError backend user needs libslirp")
    assert reason in out.stdout
    assert "libslirp0 (Debian, Ubuntu)" in out.stdout


# ---------------------------------------------------------------------- Unix sockets, guestfwd, SMB


def test_a_unix_socket_leads_to_the_guest(station: Station, user: User, tmp_path: Path) -> None:
    path = tmp_path / "guest.sock"
    station.arp()
    user.hostfwd_add(f"unix:{path}-:22")
    assert path.stat().st_mode & 0o777 == 0o600
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(30)
        client.connect(str(path))
        connection = Connection(station, 22, GATEWAY, 0)
        connection.until(lambda: connection.acknowledged)
        connection.transmit(dpkt.tcp.TH_SYN | ACK)
        client.sendall(b"hello, guest")
        connection.until(lambda: connection.received == b"hello, guest")
        connection.send(b"hello, host")
        assert client.recv(100) == b"hello, host"
    user.hostfwd_remove(f"unix:{path}")
    assert not path.exists()
    with pytest.raises(ConfigurationError, match="nothing is forwarded"):
        user.hostfwd_remove(f"unix:{path}")


def test_unix_sockets_go_with_the_backend(tmp_path: Path) -> None:
    path = tmp_path / "a-b.sock"
    with User(hostfwd=[f"unix:{path}-:22"]) as user:
        assert path.exists()
        with pytest.raises(BackendError, match="Address already in use"):
            user.hostfwd_add(f"unix:{path}-:23")
    assert not path.exists()


SERVER = bytes([10, 0, 2, 100])


def talk(rule: str, said: bytes, answer: bytes, address: bytes = SERVER, port: int = 80, **options: object) -> None:
    """A guest connects to the place of a rule, says something, and is answered."""
    with User(guestfwd=[rule] if rule else [], **options) as user:  # type: ignore[arg-type]
        station = Station(user)
        station.arp()
        connection = Connection(station, 41005, address, port).connect()
        connection.send(said)
        connection.until(lambda: connection.received == answer)
        connection.transmit(ACK | FIN)
        connection.until(lambda: connection.finished or connection.reset)
        station.close()


def test_guestfwd_to_a_command() -> None:
    talk("tcp:10.0.2.100:80-cmd:sed -u 's/guest/host/'", b"the guest\n", b"the host\n", restrict=True)


def test_guestfwd_to_a_unix_socket(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "s"))
        server.listen()
        threading.Thread(target=answer_once, args=(server,)).start()
        talk(f"tcp:10.0.2.100:80-unix:{tmp_path}/s", b"question", b"[question]")


def test_guestfwd_to_a_tcp_server() -> None:
    with listener() as server:
        thread = threading.Thread(target=answer_once, args=(server,))
        thread.start()
        place = server.getsockname()[1]
        talk(f"tcp::80-tcp:127.0.0.1:{place}", b"question", b"[question]", address=bytes([10, 0, 2, 4]))
        thread.join()


def answer_once(server: socket.socket) -> None:
    peer, _ = server.accept()
    with peer:
        peer.sendall(b"[" + peer.recv(100) + b"]")
        peer.recv(100)


@pytest.mark.parametrize("port", [139, 445])
def test_smb_starts_smbd_with_its_share(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, port: int) -> None:
    """A stand-in for smbd shows what it is told."""
    smbd = tmp_path / "smbd"
    smbd.write_text('#!/bin/sh\nread line\ngrep "^path" "$4"\n')
    smbd.chmod(0o755)
    monkeypatch.setattr("nicemu.backends.smb.PLACES", (str(tmp_path), os.environ["PATH"]))
    place = bytes([10, 0, 2, 50])
    talk("", b"SMB\n", f"path = {tmp_path}\n".encode(), address=place, port=port, smb=tmp_path, smbserver="10.0.2.50")


def test_smb_without_smbd_names_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nicemu.backends.smb.PLACES", (str(tmp_path),))
    with pytest.raises(BackendError, match="needs smbd; install package samba"):
        User(smb=tmp_path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hostfwd": ["unix:/x"]}, "expected unix:path-"),
        ({"hostfwd": [f"unix:/{'x' * 200}-:22"]}, "1 to 107 bytes"),
        ({"hostfwd": ["unix:/x-:0"]}, "'0' is not a port"),
        ({"guestfwd": ["udp:10.0.2.100:80-cmd:x"]}, "guestfwd=udp.* is not a rule; expected tcp:"),
        ({"guestfwd": ["tcp:10.0.2.100:80-file:x"]}, "expected tcp:.*-cmd:COMMAND, -unix:PATH or -tcp:HOST:PORT"),
        ({"guestfwd": ["tcp:10.0.3.100:80-cmd:x"]}, "guestfwd=10.0.3.100; expected a free address in net=10.0.2.0/24"),
        ({"guestfwd": ["tcp:10.0.2.2:80-cmd:x"]}, "guestfwd=10.0.2.2; expected a free address"),
        ({"guestfwd": ["tcp:10.0.2.9:80-tcp:host"]}, "is not a port"),
        ({"guestfwd": "tcp::80-cmd:x"}, "take lists"),
        ({"smb": "/nowhere"}, "smb=/nowhere is not a folder"),
        ({"smbserver": "10.0.9.9"}, "smbserver=10.0.9.9; expected a free address"),
        ({"smbserver": "x"}, "smbserver=x is not an IPv4 address"),
        ({"ipv6_net": "fec0::/64", "ipv6_prefix": "fec0::"}, "expected one of them"),
        ({"ipv6_prefix": "x"}, "ipv6-net=x/64 is not a prefix"),
        ({"ipv6_prefixlen": 127}, "at most 126 bits"),
    ],
)
def test_wrong_forwards_say_what_was_expected(options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        User(**options)  # type: ignore[arg-type]


def test_two_rules_for_one_place_are_an_error() -> None:
    with pytest.raises(ConfigurationError, match=r"guestfwd to 10.0.2.100:80 is given twice"):
        User(guestfwd=["tcp:10.0.2.100:80-cmd:a", "tcp:10.0.2.100:80-cmd:b"])


def test_ipv6_prefix_in_two_parts() -> None:
    with User(ipv6_prefix="fec0:9::", ipv6_prefixlen=48) as user:
        assert str(user.ipv6.prefix) == "fec0:9::/48"
        assert str(user.ipv6.host) == "fec0:9::2"
