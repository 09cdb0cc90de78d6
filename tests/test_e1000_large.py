"""82540EM: what is left to a wire that segments and sums shows nowhere else: frames, statistics, write-backs, causes.

The same packets go through two cards (large_rig.py).  What comes out of that on a tap's engine part is completed by
csrc/gso.c, which test_gso.py judges by dpkt.
"""

from __future__ import annotations

import select
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from backend_station import Wire
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from large_rig import Side, both, complete, side, two_sides
from packets import ACK, CWR, FIN, PSH, packet
from test_backend_tap import StandIn

from nicemu.backends import Pcap, Tee
from nicemu.devices.e1000_tables import MMIO

STATISTICS = ("PTC64", "PTC127", "PTC255", "PTC511", "PTC1023", "PTC1522", "TPT", "GPTC", "TOTL", "TOTH", "GOTCL")
STATISTICS += ("GOTCH", "MPTC", "BPTC", "TSCTC", "TSCTFC", "TDH", "ICR", "DC")


def outcome(side: Side) -> tuple[list[int], bytes]:
    """Statistics and causes, and the status bytes of the ring."""
    registers = [side.nic.bars[0].read(MMIO[name].offset) for name in STATISTICS]
    return registers, bytes(side.driver.tx["sta"])


@pytest.fixture(scope="module")
def sides() -> Iterator[tuple[Side, Side]]:
    with two_sides("e1000", outcome) as pair:
        yield pair


@given(
    version=st.sampled_from([4, 6]),
    size=st.integers(1, 60000),
    mss=st.integers(100, 9000),
    flags=st.sampled_from([ACK, ACK | PSH, ACK | PSH | FIN, ACK | CWR]),
    group=st.sampled_from([b"\x52", b"\x01", b"\xff"]),
    cuts=st.lists(st.integers(100, 1000), max_size=3, unique=True),
)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_tcp_packets(
    sides: object, version: int, size: int, mss: int, flags: int, group: bytes, cuts: list[int]
) -> None:
    frame = packet(version, 6, bytes(i * 31 & 0xFF for i in range(size)), flags=flags)
    frame[0:6] = group * 6
    both(sides, bytes(frame), mss=mss, cuts=[c for c in cuts if c < len(frame)])


@given(
    version=st.sampled_from([4, 6]), protocol=st.sampled_from([6, 17]), payload=st.binary(min_size=20, max_size=1400)
)
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_checksums(sides: object, version: int, protocol: int, payload: bytes) -> None:
    (message,) = both(sides, bytes(packet(version, protocol, payload)), checksum=True)
    assert message[0] == 1, "left to the wire"


@pytest.mark.parametrize("version", [4, 6])
def test_a_large_packet_is_one_message(sides: tuple[Side, Side], version: int) -> None:
    (message,) = both(sides, bytes(packet(version, 6, bytes(60000))), mss=1448)
    assert message[1] == (1 if version == 4 else 4)


def test_what_the_wire_would_cut_otherwise_is_cut_by_the_card(sides: tuple[Side, Side]) -> None:
    assert len(both(sides, bytes(packet(4, 6, bytes(5000), flags=ACK | CWR)), mss=1000)) == 5
    assert len(both(sides, bytes(packet(4, 6, bytes(500))), mss=1000)) == 1, "one frame is no segmentation"


def test_tags_of_the_card(sides: tuple[Side, Side]) -> None:
    for one in sides:
        one.driver.set_vlan_offload(True)
    assert len(both(sides, bytes(packet(4, 6, bytes(5000))), mss=1000, vlan=5)) == 5
    (message,) = both(sides, bytes(packet(4, 6, bytes(500))), checksum=True, vlan=5)
    assert message[0] == 1
    for one in sides:
        one.driver.set_vlan_offload(False)


def test_a_dump_and_a_tee_pass_it_on_and_get_frames(sides: tuple[Side, Side], tmp_path: Path) -> None:
    """The wire below segments as it does without them; what they record and copy are the frames that come of it."""
    plain, _ = sides
    plain.wire.received.clear()
    copies = Wire()
    with Tee(Pcap(StandIn(10), tmp_path / "dump"), copies) as wrapped:
        able = side("e1000", outcome, wrapped.lower.lower, wrapped)
        packets = [(bytes(packet(version, 6, bytes(20000))), {"mss": 1448}) for version in (4, 6)]
        packets += [(bytes(packet(4, 17, b"sum")), {"checksum": True}), (bytes(packet(4, 6, b"as it is")), {})]
        messages = []
        for frame, how in packets:
            for one in (plain, able):
                one.driver.send(frame, **how)
            messages += able.wire.heard()
        frames = list(plain.wire.received)
        assert [message[1] for message in messages] == [1, 4, 0, 0]
        assert [f for m in messages for f in complete(m)] == frames
        assert copies.received == frames
        recorded, at, data = [], 24, (tmp_path / "dump").read_bytes()
        while at < len(data):
            length = int.from_bytes(data[at + 8 : at + 12], sys.byteorder)
            recorded.append(data[at + 16 : at + 16 + length])
            at += 16 + length
        assert recorded == frames
        able.nic.close()


def test_a_large_packet_that_the_kernel_cannot_take_yet_goes_first_and_once() -> None:
    with StandIn(10) as tap:
        one = side("e1000", outcome, tap)
        frames = [bytes(packet(4, 6, bytes([i]) * 50000)) for i in range(12)]
        plain = bytes(packet(4, 6, bytes(1000)))
        for frame in frames:
            one.driver.send(frame, mss=1448)
            one.driver.send(plain)
        heard: list[bytes] = []
        for _ in range(2000):
            if select.select([tap.far], [], [], 0)[0]:
                heard.append(tap.far.recv(70000))
            one.nic.poll()
        payload = b"".join(f[66:] for m in heard for f in complete(m) if f != plain)
        assert payload == b"".join(bytes([i]) * 50000 for i in range(12))
        assert [m for m in heard if m[10:] == plain] == [bytes(10) + plain] * 12
        assert any(m[1] for m in heard)
        assert tap.counters.send_drops == 0
        one.nic.close()
