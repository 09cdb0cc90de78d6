"""RTL8139C+: what is left to a wire that segments shows nowhere else: frames, tally counters, descriptors, causes.

The same packets go through two cards, as in test_e1000_large.py: one on a wire that takes frames only, one on a tap's
engine part over a socket pair.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from backend_station import Wire
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from packets import ACK, CWR, FIN, PSH, packet
from test_backend_tap import StandIn
from test_e1000_large import complete

import nicemu
from nicemu.drivers import attach
from nicemu.drivers.rtl8139 import CPlusDriver

TALLY = 0x7F_0000


@dataclass
class Side:
    """A card with its driver, and what came out of it."""

    nic: nicemu.Nic
    memory: nicemu.GuestMemory
    driver: CPlusDriver
    wire: Wire | StandIn

    def outcome(self) -> tuple[bytes, bytes, int]:
        """The tally counters, the ring, and the causes, which are cleared."""
        self.driver.write("DTCCRH", 0)
        self.driver.write("DTCCRL", TALLY | 8)
        causes = self.driver.read("ISR")
        self.driver.write("ISR", causes)
        return self.memory.read(TALLY, 64), self.driver.tx["opts1"].tobytes(), causes


def side(wire: Wire | StandIn) -> Side:
    memory = nicemu.GuestMemory(8 << 20)
    nic = nicemu.create("rtl8139", memory=memory, backend=wire, clock=nicemu.Clock.virtual())
    driver = attach(nic)
    assert isinstance(driver, CPlusDriver)
    driver.start()
    driver.wait(driver.link_up, "link")
    return Side(nic, memory, driver, wire)


@pytest.fixture(scope="module")
def sides() -> Iterator[tuple[Side, Side]]:
    with StandIn(10) as tap, Wire() as wire:
        pair = side(wire), side(tap)
        yield pair
        for one in pair:
            one.nic.close()


def both(sides: tuple[Side, Side], frame: bytes, **how: object) -> list[bytes]:
    """Sends it through both cards and compares everything; returns the messages of the wire that takes offloads."""
    plain, able = sides
    for one in sides:
        one.driver.send(frame, **how)  # type: ignore[arg-type]
    messages = able.wire.heard()
    for _ in range(len(frame) // 100 + 1):  # a socket holds only so many at a time
        able.nic.poll()
        messages += able.wire.heard()
    frames, plain.wire.received[:] = list(plain.wire.received), []
    assert [f for m in messages for f in complete(m)] == frames
    assert able.outcome() == plain.outcome()
    return messages


@given(
    size=st.integers(1, 60000),
    mss=st.integers(100, 2047),
    flags=st.sampled_from([ACK, ACK | PSH, ACK | PSH | FIN, ACK | CWR]),
    cuts=st.lists(st.integers(20, 1000), max_size=3, unique=True),
)
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_tcp_packets(sides: object, size: int, mss: int, flags: int, cuts: list[int]) -> None:
    frame = packet(4, 6, bytes(i * 31 & 0xFF for i in range(size)), flags=flags)
    both(sides, bytes(frame), mss=mss, cuts=[c for c in cuts if c < len(frame)])  # type: ignore[arg-type]


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
        one = side(tap)
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
