"""Every rule that a driver of the 88E8057 can break, broken and kept (docs/yukon2-facts.md)."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from yukon2_rig import EOP, MAC, PEER, STATUS_LIST, SUMS, TX_BUFFERS, Rig, close_rigs, ethernet

from nicemu.devices.yukon2_descriptors import Control, Opcode, element
from nicemu.devices.yukon2_tables import RULES

__all__ = ["close_rigs"]

FRAME = ethernet(MAC, PEER, size=100)
Act = Callable[[Rig], None]


def plain(rig: Rig) -> None:
    rig.start_transmit()
    rig.send(ethernet())


def elements(*made: object, vlan: bool = True) -> Act:
    """Transmit list elements; headers that fit a segmentation request lie in the buffer."""

    def act(rig: Rig) -> None:
        rig.start_transmit(count=128)
        rig["TX_GMF_CTRL"] = 1 << 24 + vlan
        headers = PEER + MAC + b"\x08\x00\x45" + bytes(8) + b"\x06" + bytes(22) + b"\x50" + bytes(7)
        rig.place(headers.ljust(54, b"\0"))
        rig.put(*made)  # type: ignore[arg-type]

    return act


def frame(length: int, control: int = 0, opcode: Opcode = Opcode.PACKET) -> object:
    return element(opcode, TX_BUFFERS, length, control | EOP)


def smi(rig: Rig, wait: bool) -> None:
    rig["GM_SMI_CTRL"] = 0x20
    rig.clock.advance(30_000 if wait else 10)
    rig["GM_SMI_CTRL"] = 0x20


def received(buffer: int, count: int) -> Act:
    def act(rig: Rig) -> None:
        rig.start_receive(buffers=3, size=buffer)
        rig.arrive(*[FRAME] * count)

    return act


def put(index: int, *, reset: bool = False, off: bool = False) -> Act:
    def act(rig: Rig) -> None:
        rig.start_transmit(count=8)
        if off:
            rig["XA1_PREF_CTRL"] = 4
        if reset:
            rig["B0_CTST"] = 1
            rig["XA1_PREF_LAST_IDX"] = 7
        rig["XA1_PREF_PUT_IDX"] = index

    return act


def sending(enabled: bool) -> Act:
    def act(rig: Rig) -> None:
        rig.start_transmit()
        rig["GM_GP_CTRL"] = enabled << 12
        rig.send(ethernet())

    return act


def reception(first: bool) -> Act:
    def act(rig: Rig) -> None:
        if first:
            rig["GM_GP_CTRL"] = 1 << 11
        rig.start_receive()

    return act


def status_list(count: int, frames: int, on: bool = True) -> Act:
    def act(rig: Rig) -> None:
        rig["STAT_LAST_IDX"] = count - 1
        if not on:
            rig["STAT_CTRL"] = 4
        rig.start_transmit(count=1024)
        for _ in range(frames):
            rig.send(ethernet())

    return act


def write(register: str, value: int) -> Act:
    return lambda rig: rig.__setitem__(register, value)


SUM = element(Opcode.TCPLISW, 34 << 16 | 50, 0, 1)
FAR = element(Opcode.TCPLISW, 34 << 16 | 99, 0, 1)
LARGE = element(Opcode.LRGLEN, 154)

#: By rule: what breaks it, and what keeps it.
CASES: dict[str, tuple[Act, Act]] = {
    "smi.bad-phy": (write("GM_SMI_CTRL", 0x820), write("GM_SMI_CTRL", 0x20)),
    "reset.held": (put(1, reset=True), put(1)),
    "list.put-out-of-list": (put(8), put(7)),
    "list.put-while-off": (put(1, off=True), put(1)),
    "list.unaligned": (write("R1_PREF_ADDR_LO", 0x1004), write("R1_PREF_ADDR_LO", 0x1008)),
    "list.not-owned": (put(1), plain),
    "list.opcode": (elements(element(Opcode.RXSTAT)), plain),
    "tx.order": (elements(element(Opcode.PACKET, TX_BUFFERS, 60), LARGE, frame(60)), plain),
    "tx.length-zero": (elements(frame(13)), elements(frame(14))),
    "tx.oversize": (elements(frame(16385)), elements(frame(16384))),
    "tx.checksum-offset": (elements(FAR, frame(100, SUMS)), elements(FAR, frame(101, SUMS))),
    "tx.checksum-partial": (elements(SUM, frame(100, Control.CALSUM)), elements(SUM, frame(100, SUMS))),
    "tx.tso-headers": (
        elements(LARGE, frame(53, 0, Opcode.LARGESEND)),
        elements(LARGE, frame(54, 0, Opcode.LARGESEND)),
    ),
    "tx.tso-length": (
        elements(element(Opcode.LRGLEN, 54), frame(1000, 0, Opcode.LARGESEND)),
        elements(element(Opcode.LRGLEN, 55), frame(60, 0, Opcode.LARGESEND)),
    ),
    "tx.vlan-mode": (
        elements(frame(100, Control.INS_VLAN), vlan=False),
        elements(frame(100, Control.INS_VLAN), vlan=True),
    ),
    "tx.disabled": (sending(False), sending(True)),
    "rx.buffers-too-small": (received(64, 1), received(100, 1)),
    "rx.overrun": (received(128, 4), received(128, 3)),
    "rx.enabled-without-list": (reception(True), reception(False)),
    "status.unaligned": (write("STAT_LIST_ADDR_LO", STATUS_LIST + 4), write("STAT_LIST_ADDR_LO", STATUS_LIST)),
    "status.overrun": (status_list(4, 5), status_list(4, 4)),
    "status.off": (status_list(2048, 520, on=False), status_list(2048, 520)),
}


@pytest.mark.parametrize("rule", CASES)
def test_rules(rule: str) -> None:
    for act, broken in zip(CASES[rule], (True, False), strict=True):
        rig = Rig()
        act(rig)
        found = rig.nic.finding_counts.get(f"yukon2.{rule}", 0)
        assert bool(found) == broken, rig.nic.finding_counts


@pytest.mark.parametrize("wait", [False, True])
def test_phy_accesses_that_do_not_wait(wait: bool) -> None:
    rig = Rig(profile="wire")
    smi(rig, wait)
    assert bool(rig.nic.finding_counts) != wait


def test_every_rule_has_its_test() -> None:
    elsewhere = {"smi.busy"} | {r.id.removeprefix("yukon2.") for r in RULES if ".access." in r.id or ".dma." in r.id}
    assert {rule.id.removeprefix("yukon2.") for rule in RULES} == set(CASES) | elsewhere
