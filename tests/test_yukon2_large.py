"""88E8057: what is left to a wire that segments and sums shows nowhere else: frames, counters, reports.

The same packets go through two cards (large_rig.py).
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from large_rig import Side, both, complete, side, two_sides
from packets import ACK, CWR, FIN, PSH, packet
from test_backend_tap import StandIn

from nicemu.devices.yukon2_tables import MIB

SENT = [index for index, name in enumerate(MIB) if name.startswith("TX")]


def outcome(side: Side) -> list[int]:
    """The counters of sent frames, where the lists are, and what was reported, of which the driver takes note."""
    side.driver.receive()
    read = side.driver.read
    counters = [read("GM_MIB_HIGH", i) << 16 | read("GM_MIB_LOW", i) for i in SENT]
    return [*counters, read("XA1_PREF_GET_IDX"), read("STAT_TXA1_RIDX"), read("B0_ISRC"), read("B0_HWE_ISRC")]


@pytest.fixture(scope="module")
def sides() -> Iterator[tuple[Side, Side]]:
    with two_sides("yukon2", outcome) as pair:
        yield pair


@given(
    size=st.integers(1, 60000),
    mss=st.integers(100, 9000),
    flags=st.sampled_from([ACK, ACK | PSH, ACK | PSH | FIN, ACK | CWR]),
    group=st.sampled_from([b"\x52", b"\x01", b"\xff"]),
    cuts=st.lists(st.integers(20, 1000), max_size=3, unique=True),
)
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_tcp_packets(sides: object, size: int, mss: int, flags: int, group: bytes, cuts: list[int]) -> None:
    frame = packet(4, 6, bytes(i * 31 & 0xFF for i in range(size)), flags=flags)
    frame[0:6] = group * 6
    both(sides, bytes(frame), mss=mss, cuts=[c for c in cuts if c < len(frame)])


@given(
    version=st.sampled_from([4, 6]), protocol=st.sampled_from([6, 17]), payload=st.binary(min_size=20, max_size=1400)
)
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_checksums(sides: object, version: int, protocol: int, payload: bytes) -> None:
    (message,) = both(sides, bytes(packet(version, protocol, payload)), checksum=True)
    assert message[0] == 1, "left to the wire"


def test_a_large_packet_is_one_message(sides: tuple[Side, Side]) -> None:
    (message,) = both(sides, bytes(packet(4, 6, bytes(60000))), mss=1448)
    assert message[1] == 1


def test_what_the_wire_would_cut_otherwise_is_cut_by_the_card(sides: tuple[Side, Side]) -> None:
    large = bytes(packet(4, 6, bytes(5000)))
    assert len(both(sides, bytes(packet(4, 6, bytes(5000), flags=ACK | CWR)), mss=1000)) == 5
    assert len(both(sides, bytes(packet(4, 6, bytes(500))), mss=1000)) == 1, "one frame is no segmentation"
    for one in sides:
        one.driver.write("XA1_CSR", 1 << 12)  # all with the same identification
    assert len(both(sides, large, mss=1000)) == 5
    for one in sides:
        one.driver.write("XA1_CSR", 1 << 13)
        one.driver.set_vlan_offload(True)
    assert len(both(sides, large, mss=1000, vlan=5)) == 5
    (message,) = both(sides, bytes(packet(4, 6, bytes(500))), checksum=True, vlan=5)
    assert message[0] == 1
    for one in sides:
        one.driver.set_vlan_offload(False)


def test_large_packets_that_the_wire_cannot_take_yet_keep_their_order() -> None:
    with StandIn(10) as tap:
        one = side("yukon2", outcome, tap)
        frames = [bytes(packet(4, 6, bytes([i]) * 50000)) for i in range(12)]
        plain = bytes(packet(4, 6, bytes(1000)))
        heard: list[bytes] = []
        for frame in frames:
            one.driver.queue(frame, mss=1448)
            one.driver.queue(plain)
        one.driver.ring()
        for _ in range(200):
            heard += tap.heard()
            one.nic.poll()
        payload = b"".join(f[66:] for m in heard for f in complete(m) if f != plain)
        assert payload == b"".join(bytes([i]) * 50000 for i in range(12))
        assert sum(m[10:] == plain for m in heard) == 12
        one.nic.close()
