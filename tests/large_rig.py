"""Two cards of one model that send the same: one on a wire that takes frames only, one on a tap's engine part.

What the second leaves to its wire must show nowhere: in no frame, no register and no descriptor.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from backend_station import Wire
from test_backend_tap import StandIn
from test_gso import segmented

import nicemu
from nicemu.backends import Backend
from nicemu.drivers import attach
from nicemu.engine import lib

KINDS = {1: "TCP4", 4: "TCP6"}


@dataclass
class Side:
    """A card with its driver, and what came out of it."""

    nic: nicemu.Nic
    driver: Any
    wire: Wire | StandIn
    outcome: Callable[[Side], object]  #: what a driver could see of all that was sent


def side(model: str, outcome: Callable[[Side], object], wire: Wire | StandIn, wrapped: Backend | None = None) -> Side:
    """A card at the wire, or at what is wrapped around it, that may send."""
    memory, clock = nicemu.GuestMemory(8 << 20), nicemu.Clock.virtual()
    nic = nicemu.create(model, memory=memory, backend=wrapped or wire, clock=clock)
    driver = attach(nic)
    driver.start()
    driver.wait(driver.link_up, "link")
    return Side(nic, driver, wire, outcome)


@contextmanager
def two_sides(model: str, outcome: Callable[[Side], object]) -> Iterator[tuple[Side, Side]]:
    with StandIn(10) as tap, Wire() as wire:
        pair = side(model, outcome, wire), side(model, outcome, tap)
        yield pair
        for one in pair:
            one.nic.close()


def complete(message: bytes) -> list[bytes]:
    """The frames that a message with a virtio-net header stands for."""
    flags, kind, _, size, start, offset = struct.unpack_from("=BBHHHH", message)
    frame = message[10:]
    if not flags:
        return [frame]
    if not kind:
        return segmented(frame, lib.NIC_OFFLOAD_CHECKSUM, checksum_start=start, checksum_offset=offset)
    return segmented(frame, getattr(lib, f"NIC_OFFLOAD_{KINDS[kind]}"), segment_size=size)


def both(sides: tuple[Side, Side], frame: bytes, **how: object) -> list[bytes]:
    """Sends it through both cards and compares everything; returns the messages of the wire that takes offloads."""
    plain, able = sides
    for one in sides:
        one.driver.send(frame, **how)
    messages = able.wire.heard()
    for _ in range(len(frame) // 100 + 1):  # a socket holds only so many at a time
        able.nic.poll()
        messages += able.wire.heard()
    frames, plain.wire.received[:] = list(plain.wire.received), []
    assert [f for m in messages for f in complete(m)] == frames
    assert able.outcome(able) == plain.outcome(plain)
    return messages
