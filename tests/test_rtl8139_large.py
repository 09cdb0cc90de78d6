"""RTL8139C+: what is left to a wire that segments shows nowhere else: frames, tally counters, descriptors, causes.

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

TALLY = 0x7F_0000


def outcome(side: Side) -> tuple[bytes, bytes, int]:
    """The tally counters, the ring, and the causes, which are cleared."""
    side.driver.write("DTCCRH", 0)
    side.driver.write("DTCCRL", TALLY | 8)
    causes = side.driver.read("ISR")
    side.driver.write("ISR", causes)
    return side.driver.memory.read(TALLY, 64), side.driver.tx["opts1"].tobytes(), causes


@pytest.fixture(scope="module")
def sides() -> Iterator[tuple[Side, Side]]:
    with two_sides("rtl8139", outcome) as pair:
        yield pair


@given(
    size=st.integers(1, 60000),
    mss=st.integers(100, 2047),
    flags=st.sampled_from([ACK, ACK | PSH, ACK | PSH | FIN, ACK | CWR]),
    cuts=st.lists(st.integers(20, 1000), max_size=3, unique=True),
)
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_tcp_packets(sides: object, size: int, mss: int, flags: int, cuts: list[int]) -> None:
    frame = packet(4, 6, bytes(i * 31 & 0xFF for i in range(size)), flags=flags)
    both(sides, bytes(frame), mss=mss, cuts=[c for c in cuts if c < len(frame)])


def test_a_large_packet_is_one_message(sides: tuple[Side, Side]) -> None:
    (message,) = both(sides, bytes(packet(4, 6, bytes(60000))), mss=1448)
    assert message[1] == 1


def test_what_the_wire_would_cut_otherwise_is_cut_by_the_card(sides: tuple[Side, Side]) -> None:
    assert len(both(sides, bytes(packet(4, 6, bytes(5000), flags=ACK | CWR)), mss=1000)) == 5
    assert len(both(sides, bytes(packet(4, 6, bytes(500))), mss=1000)) == 1, "one frame is no segmentation"
    for one in sides:
        one.driver.set_vlan_offload(True)
    assert len(both(sides, bytes(packet(4, 6, bytes(5000))), mss=1000, vlan=5)) == 5
    for one in sides:
        one.driver.set_vlan_offload(False)


def test_large_packets_that_the_wire_cannot_take_yet_keep_their_order() -> None:
    with StandIn(10) as tap:
        one = side("rtl8139", outcome, tap)
        plain = bytes(packet(4, 6, bytes(1000)))
        heard: list[bytes] = []
        for number in range(12):
            one.driver.queue(bytes(packet(4, 6, bytes([number]) * 5000)), mss=1448)
            one.driver.queue(plain)
        one.driver.ring()
        for _ in range(200):
            heard += tap.heard()
            one.nic.poll()
        payload = b"".join(f[66:] for m in heard for f in complete(m) if f != plain)
        assert payload == b"".join(bytes([number]) * 5000 for number in range(12))
        assert sum(m[10:] == plain for m in heard) == 12
        one.nic.close()
