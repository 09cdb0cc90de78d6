"""The e1000's reference driver and the frame builders: right frames by dpkt's judgement, and clear errors."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

import dpkt
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nicemu
from nicemu import drivers
from nicemu.backends import Loopback, Null
from nicemu.checks import Recorder
from nicemu.drivers import DriverError, wire
from nicemu.drivers.e1000 import E1000Driver
from nicemu.errors import ConfigurationError
from nicemu.registers import Reset

A4, B4 = IPv4Address("192.0.2.1"), IPv4Address("198.51.100.7")
A6, B6 = IPv6Address("2001:db8::1"), IPv6Address("2001:db8:ffff::2")
PEER = bytes.fromhex("020000000001")
MEMORY = 8 << 20


def started(
    backend: nicemu.backends.Backend, *, base: int = 0, clock: nicemu.Clock | None = None, **options: int
) -> E1000Driver:
    nic = nicemu.create("e1000", memory=nicemu.GuestMemory(MEMORY), backend=backend, clock=clock)
    driver = E1000Driver(nic, base=base, **options)
    driver.start()
    driver.wait(driver.link_up, "link")
    return driver


def frame_to(driver: E1000Driver, length: int, fill: int = 0) -> bytes:
    return wire.ethernet(driver.mac, PEER, 0x88B5, bytes((fill + i) & 0xFF for i in range(length - 14)))


# ------------------------------------------------------------------------------------------------- frame builders


@pytest.mark.parametrize("length", [0, 1, 2, 511, 1400])
@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("protocol", ["tcp", "udp"])
@pytest.mark.parametrize("vlan", [None, 0x6007])
def test_packets_by_dpkt(length: int, version: int, protocol: str, vlan: int | None) -> None:
    payload = bytes(i * 7 & 0xFF for i in range(length))
    a, b = (A4, B4) if version == 4 else (A6, B6)
    segment = (wire.tcp if protocol == "tcp" else wire.udp)(a, b, (1024, 80), payload)
    number = wire.TCP if protocol == "tcp" else wire.UDP
    packet = wire.ipv4(A4, B4, number, segment) if version == 4 else wire.ipv6(A6, B6, number, segment)
    frame = wire.ethernet(PEER, b"\2\0\0\0\0\2", wire.IPV4 if version == 4 else wire.IPV6, packet, vlan=vlan)
    parsed = dpkt.ethernet.Ethernet(frame)
    assert (parsed.dst, parsed.src) == (PEER, b"\2\0\0\0\0\2")
    assert (parsed.vlan_tags[0].id if vlan is not None else None) == (7 if vlan is not None else None)
    ip = parsed.data
    transport = ip.data
    assert (ip.src, ip.dst) == (a.packed, b.packed)
    assert (transport.sport, transport.dport, transport.data) == (1024, 80, payload)
    sums = (getattr(ip, "sum", 0), transport.sum)
    if version == 4:
        ip.sum = 0
    transport.sum = 0
    rebuilt = type(ip)(bytes(ip))
    assert (getattr(rebuilt, "sum", 0), rebuilt.data.sum) == sums, "dpkt computes other checksums"
    assert wire.check(frame) == []
    found = wire.parse(frame)
    assert found is not None
    assert frame[found.payload : found.end] == payload


def test_check_names_what_is_wrong() -> None:
    packet = wire.ipv4(A4, B4, wire.UDP, wire.udp(A4, B4, (1, 2), b"some data"))
    frame = wire.ethernet(PEER, PEER, wire.IPV4, packet)
    assert wire.check(frame[:-1] + b"!") == ["UDP"]
    assert wire.check(frame[:22] + b"\x01" + frame[23:]) == ["IPv4"]
    assert wire.check(frame[:40] + b"\0\0" + frame[42:]) == [], "a UDP checksum of 0 means none"
    echo = wire.ethernet(PEER, PEER, wire.IPV4, wire.ipv4(A4, B4, wire.ICMP, wire.echo_request(1, 2, b"abc")))
    assert wire.check(echo) == []
    assert wire.check(echo[:-1] + b"d") == ["ICMP"]


@given(st.binary(max_size=120), st.sampled_from([b"", b"\x08\x00", b"\x86\xdd", b"\x81\x00\x00\x07\x08\x00"]))
def test_any_bytes_can_be_parsed(data: bytes, kind: bytes) -> None:
    frame = bytes(12) + kind + data
    packet = wire.parse(frame)
    if packet is not None:
        assert 14 <= packet.network < packet.transport <= packet.payload <= packet.end <= len(frame)
        wire.check(frame)
    wire.dhcp_answer(frame, 1)
    wire.arp_reply_address(frame, A4)
    wire.is_echo_reply(frame, b"\x08\0\0\0\0\0\0\0")


def test_dhcp_by_dpkt() -> None:
    offer = wire.Lease(wire.OFFER, A4, B4, None)
    for message, kind in ((wire.dhcp_message(PEER, 7), 1), (wire.dhcp_message(PEER, 7, offer), 3)):
        assert wire.check(message) == []
        ip = dpkt.ethernet.Ethernet(message).data
        dhcp = dpkt.dhcp.DHCP(ip.data.data)
        assert (ip.data.sport, ip.data.dport, dhcp.xid, dhcp.chaddr[:6]) == (68, 67, 7, PEER)
        options = dict(dhcp.opts)
        assert options[53] == bytes([kind])
    assert (options[50], options[54]) == (A4.packed, B4.packed)


# ------------------------------------------------------------------------------------------------- the driver


@pytest.fixture
def loop() -> Iterator[E1000Driver]:
    driver = started(Loopback())
    yield driver
    assert driver.nic.findings == []
    driver.nic.close()


def test_attach_finds_the_family() -> None:
    nic = nicemu.create("e1000", memory=nicemu.GuestMemory(MEMORY), backend=Loopback())
    driver = drivers.attach(nic, tx_count=8)
    assert isinstance(driver, E1000Driver)
    assert driver.tx_count == 8
    driver.start()
    assert driver.mac == nic.mac


def test_rings_wrap_and_lie_anywhere() -> None:
    """The smallest rings, high up in memory, carry more frames than they have descriptors."""
    driver = started(Loopback(), base=MEMORY - (8 * (16 + 4096) + 8 * (16 + 2048)), tx_count=8, rx_count=8)
    for number in range(100):
        frame = frame_to(driver, 60 + number, number)
        driver.send(frame)
        driver.nic.poll()
        assert [f.data for f in driver.receive()] == [frame]
    assert driver.nic.findings == []


def test_a_doorbell_sends_all_that_is_queued(loop: E1000Driver) -> None:
    frames = [frame_to(loop, 100 + i, i) for i in range(20)]
    for frame in frames:
        loop.queue(frame)
    loop.nic.poll()
    assert loop.receive() == []
    loop.ring()
    loop.nic.poll()
    assert [f.data for f in loop.receive()] == frames


def test_full_ring_waits_for_the_wire() -> None:
    """A wire that takes nothing ends in an error; one that goes on lets the driver go on."""

    class Stubborn(Recorder):
        room = 0

        def send(self, frames: list[bytes]) -> int:
            taken = frames[: self.room]
            self.frames += taken
            self.room -= len(taken)
            return len(taken)

    backend = Stubborn()
    driver = started(backend, clock=nicemu.Clock.virtual(), tx_count=8)
    sent = 0
    try:
        while sent < 1000:
            driver.send(frame_to(driver, 1500))
            sent += 1
    except DriverError as error:
        assert "no free transmit descriptors" in str(error)  # noqa: PT017 (the count before it matters)
    assert 5 <= sent < 1000
    backend.room = 10_000
    backend.writable()
    driver.wait(lambda: len(backend.frames) >= sent, "frames")
    driver.send(frame_to(driver, 1000))
    driver.wait(lambda: len(backend.frames[-1]) == 1000, "the last frame")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"cuts": [0, 2000]}, "offsets inside"),
        ({"cuts": [-1]}, "offsets inside"),
        ({"vlan": 5}, "set_vlan_offload"),
        ({"checksum": True}, "TCP or UDP"),
        ({"mss": 100}, "TCP or UDP"),
        ({"cuts": range(1, 400)}, "does not fit a ring"),
    ],
)
def test_what_cannot_be_sent(loop: E1000Driver, arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        loop.send(frame_to(loop, 1000), **arguments)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="0 bytes"):
        loop.send(b"")
    frame = frame_to(loop, 64)
    loop.send(frame)
    loop.nic.poll()
    assert [f.data for f in loop.receive()] == [frame], "a refused frame leaves no descriptor behind"


@pytest.mark.parametrize("options", [{"tx_count": 12}, {"rx_count": 0}, {"tx_count": 4104}, {"max_frame": 16381}])
def test_impossible_rings(options: dict[str, int]) -> None:
    nic = nicemu.create("e1000", memory=nicemu.GuestMemory(MEMORY))
    with pytest.raises(ConfigurationError, match=r"expected|at most"):
        drivers.attach(nic, **options)  # type: ignore[arg-type]


def test_memory_must_have_room() -> None:
    with pytest.raises(ConfigurationError, match="not one mapped buffer"):
        drivers.attach(nicemu.create("e1000", memory=nicemu.GuestMemory(4096)))
    with pytest.raises(ConfigurationError, match="not one mapped buffer"):
        drivers.attach(nicemu.create("e1000"))


def test_stop_ends_dma_and_interrupts() -> None:
    backend = Recorder()
    driver = started(backend)
    driver.enable_interrupts(True)
    driver.stop()
    before = bytes(driver.view)
    backend.deliver([frame_to(driver, 100)])
    driver.nic.poll()
    driver.nic.poll()
    assert bytes(driver.view) == before
    assert not driver.nic.interrupt
    driver.start()
    driver.wait(driver.link_up, "link")
    backend.deliver([frame_to(driver, 100)])
    driver.nic.poll()
    assert len(driver.receive()) == 1


@pytest.mark.parametrize("profile", ["instant", "wire"])
def test_start_twice_and_after_resets(profile: str) -> None:
    clock = nicemu.Clock.virtual()
    nic = nicemu.create("e1000", memory=nicemu.GuestMemory(MEMORY), backend=Loopback(), profile=profile, clock=clock)
    driver = drivers.attach(nic)
    clock.advance(1000)
    for kind in (None, *Reset):
        if kind is not None:
            nic.reset(kind)
            clock.advance(1000)
        driver.start()
        driver.wait(driver.link_up, "link")
        frame = wire.ethernet(driver.mac, PEER, 0x88B5, b"again" * 10)
        driver.send(frame)
        received: list[drivers.Frame] = []
        driver.wait(lambda found=received: bool(found.extend(driver.receive()) or found), "frame")  # type: ignore[misc]
        assert received[0].data[: len(frame)] == frame
    assert nic.findings == []


def test_wait_gives_up() -> None:
    for clock in (nicemu.Clock.virtual(), nicemu.Clock()):
        nic = nicemu.create("e1000", memory=nicemu.GuestMemory(MEMORY), clock=clock)
        driver = drivers.attach(nic)
        driver.start()
        start = clock.now
        with pytest.raises(DriverError, match=r"e1000: no link within 0\.05 s"):
            driver.wait(driver.link_up, "link", 0.05)
        assert 0.05e9 <= clock.now - start < 5e9


# ------------------------------------------------------------------------------------------------- offloads


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("vlan", [None, 0x2123])
def test_segments_by_dpkt(version: int, vlan: int | None) -> None:
    backend = Recorder()
    driver = started(backend)
    driver.set_vlan_offload(True)
    payload = bytes(i * 31 & 0xFF for i in range(10_000))
    a, b = (A4, B4) if version == 4 else (A6, B6)
    segment = wire.tcp(a, b, (5000, 6000), payload, sequence=0xFFFFF000)
    packet = wire.ipv4(A4, B4, 6, segment, ident=0xFFFE) if version == 4 else wire.ipv6(A6, B6, 6, segment)
    kind = wire.IPV4 if version == 4 else wire.IPV6
    driver.send(wire.ethernet(PEER, driver.mac, kind, packet), mss=1000, vlan=vlan, cuts=[10, 40, 70, 5000])
    driver.wait(lambda: len(backend.frames) >= 10, "segments")
    assert len(backend.frames) == 10
    data = b""
    for number, frame in enumerate(backend.frames):
        ethernet = dpkt.ethernet.Ethernet(frame)
        assert (ethernet.vlan_tags[0].id if vlan is not None else None) == (0x123 if vlan is not None else None)
        ip, tcp = ethernet.data, ethernet.data.data
        assert tcp.seq == (0xFFFFF000 + 1000 * number) & 0xFFFFFFFF
        assert tcp.flags == (0x18 if number == 9 else 0x10)
        assert (ip.id == (0xFFFE + number) & 0xFFFF) if version == 4 else (ip.plen == 20 + len(tcp.data))
        assert wire.check(frame) == []
        data += tcp.data
    assert data == payload


def test_checksum_offload_repairs_what_the_frame_holds() -> None:
    """The driver hands over a prepared frame, so wrong checksums in it do not matter."""
    backend = Recorder()
    driver = started(backend)
    packet = wire.ipv4(A4, B4, 17, wire.udp(A4, B4, (1, 2), b"data" * 20))
    frame = wire.ethernet(PEER, driver.mac, wire.IPV4, packet)
    broken = frame[:24] + b"\xde\xad" + frame[26:40] + b"\xbe\xef" + frame[42:]
    assert wire.check(broken) == ["IPv4", "UDP"]
    driver.send(broken, checksum=True, cuts=[14, 35])
    driver.send(broken)
    driver.wait(lambda: len(backend.frames) >= 2, "frames")
    assert backend.frames == [frame, broken]


# ------------------------------------------------------------------------------------------------- EEPROM and PHY


def test_eeprom_faults_are_found(tmp_path: Path) -> None:
    rom = tmp_path / "rom"
    nicemu.create("e1000", eeprom=rom).close()
    image = bytearray(rom.read_bytes())
    image[0x50] ^= 1
    rom.write_bytes(image)
    nic = nicemu.create("e1000", eeprom=rom, memory=nicemu.GuestMemory(MEMORY), backend=Null())
    driver = drivers.attach(nic)
    driver.start()
    with pytest.raises(DriverError, match=r"add up to 0xbab[9b]; expected 0xbaba"):
        driver.check_eeprom()


def test_eeprom_both_ways_in_data_sheet_time() -> None:
    clock = nicemu.Clock.virtual()
    nic = nicemu.create("e1000", memory=nicemu.GuestMemory(MEMORY), backend=Null(), profile="wire", clock=clock)
    driver = drivers.attach(nic)
    clock.advance(1000)
    driver.start()
    before = clock.now
    driver.check_eeprom()
    assert clock.now - before > 64 * 25 * 1000, "25 bits at 1 MHz for each word"
    driver.check_phy()
    assert nic.findings == []


def test_phy_registers(loop: E1000Driver) -> None:
    assert (loop.read_phy(2), loop.read_phy(3) & 0xFFF0) == (0x0141, 0x0C20)
    loop.write_phy(4, 0x0DE1)
    assert loop.read_phy(4) == 0x0DE1
    loop.check_phy()


def test_no_link_without_a_cable() -> None:
    nic = nicemu.create("e1000", memory=nicemu.GuestMemory(MEMORY), clock=nicemu.Clock.virtual())
    driver = drivers.attach(nic)
    driver.start()
    with pytest.raises(DriverError, match="link after negotiation"):
        driver.check_phy()
