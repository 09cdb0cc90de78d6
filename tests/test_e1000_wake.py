"""82540EM, wake-up (8254x SDM 6.4, 13.6): which frames wake the system, and what is kept of them."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from e1000_rig import (
    BROADCAST,
    MAC,
    PEER,
    RAH,
    RCTL,
    WUC,
    WUFC,
    WUS,
    Rig,
    close_rigs,  # noqa: F401 (a fixture)
    ethernet,
)

GROUP = bytes.fromhex("01005e010203")
IP4 = bytes([10, 0, 2, 15])
IP6 = bytes(range(16))


@pytest.fixture
def rig() -> Rig:
    woken: list[int] = []
    rig = Rig(on_wake=woken.append)
    rig.woken = woken
    rig.start_receive(RCTL.SECRC)
    rig["WUC"] = WUC.PME_EN
    rig["IP4AT", 1] = int.from_bytes(IP4, "little")
    for i in range(4):
        rig["IP6AT", i] = int.from_bytes(IP6[4 * i : 4 * i + 4], "little")
    rig["IPAV"] = 0
    return rig


def for_us(kind: int = 0x88B5, payload: bytes = b"", size: int = 60, destination: bytes = MAC) -> bytes:
    return ethernet(destination, PEER, kind, payload, size)


def magic(
    destination: bytes = MAC, *, before: bytes = b"", ones: int = 6, address: bytes = MAC, copies: int = 16
) -> bytes:
    return for_us(payload=before + b"\xff" * ones + address * copies, destination=destination)


def arp(target: bytes = IP4, operation: int = 1) -> bytes:
    return struct.pack(">HHBBH", 1, 0x800, 6, 4, operation) + PEER + bytes(4) + bytes(6) + target


def ipv4(target: bytes = IP4) -> bytes:
    return struct.pack(">BBHHHBBH", 0x45, 0, 46, 0, 0, 64, 1, 0) + bytes(4) + target + bytes(26)


def ipv6(target: bytes = IP6) -> bytes:
    return struct.pack(">IHBB", 6 << 28, 20, 58, 255) + bytes(16) + target + bytes(20)


def wakes(rig: Rig, frame: bytes) -> int:
    """WUS bits that a frame sets; they are cleared."""
    rig["RDT"] = (rig["RDH"] - 1) % 8
    rig.arrive(frame)
    bits = rig["WUS"]
    rig["WUS"] = 0xFFFFFFFF
    assert rig["WUS"] == 0
    return bits


# ------------------------------------------------------------------ filters (6.4.3)


@pytest.mark.parametrize("filters", [0, 0xFFFFFFFF])
def test_only_what_is_enabled(rig: Rig, filters: int) -> None:
    rig["WUFC"] = filters & ~WUFC.MAG
    assert wakes(rig, for_us()) == (WUS.EX if filters else 0)
    assert wakes(rig, for_us(destination=BROADCAST)) == (WUS.BC if filters else 0)
    rig["WUC"] = 0
    assert wakes(rig, for_us()) == 0


def test_directed_multicast_and_broadcast(rig: Rig) -> None:
    rig["WUFC"] = WUFC.EX | WUFC.MC | WUFC.BC
    assert wakes(rig, for_us(destination=PEER)) == 0
    assert wakes(rig, for_us(destination=GROUP)) == 0
    for i in range(128):
        rig["MTA", i] = 0xFFFFFFFF
    assert wakes(rig, for_us(destination=GROUP)) == WUS.MC
    rig["RAL", 3] = int.from_bytes(GROUP[:4], "little")
    rig["RAH", 3] = int.from_bytes(GROUP[4:], "little") | RAH.AV
    assert wakes(rig, for_us(destination=GROUP)) == WUS.MC | WUS.EX


@pytest.mark.parametrize(
    ("values", "matches"),
    [
        ({}, True),
        ({"before": b"\x00" * 30}, True),
        ({"ones": 5}, False),
        ({"ones": 7}, True),
        ({"ones": 40}, True),
        ({"copies": 15}, False),
        ({"address": PEER}, False),
        ({"before": b"\xff" * 6 + MAC * 15}, True),
        ({"before": b"\xff" * 6 + MAC * 3 + b"\x01"}, True),
        ({"destination": PEER}, False),
        ({"destination": BROADCAST}, True),
    ],
)
@pytest.mark.parametrize("apm", [False, True])
def test_magic_packets(rig: Rig, values: dict[str, Any], matches: bool, apm: bool) -> None:
    rig["WUC"], rig["WUFC"] = (WUC.APME | WUC.APMPME, 0) if apm else (WUC.PME_EN, WUFC.MAG)
    assert wakes(rig, magic(**values)) == (WUS.MAG if matches else 0)


def test_broadcast_magic_packets_need_no_bam(rig: Rig) -> None:
    rig["WUFC"] = WUFC.MAG | WUFC.BC
    rig["RCTL"] &= ~RCTL.BAM
    assert wakes(rig, magic(BROADCAST)) == WUS.MAG
    assert rig.frames() == []


def test_apm_works_before_a_driver_comes(rig: Rig) -> None:
    """6.4.1: with the address from the EEPROM; PME only if APMPME says so."""
    rig["RCTL"] = 0
    rig["WUC"] = WUC.APME
    assert wakes(rig, magic()) == WUS.MAG
    assert not rig["WUC"] & WUC.PME_STATUS
    assert rig.woken == []
    rig["WUC"] = WUC.APME | WUC.APMPME
    assert wakes(rig, magic()) == WUS.MAG
    assert rig["WUC"] & WUC.PME_STATUS
    assert rig.woken == [WUS.MAG]


def tagged(frame: bytes) -> bytes:
    return frame[:12] + b"\x81\x00\x00\x07" + frame[12:]


def snapped(frame: bytes) -> bytes:
    return frame[:12] + (len(frame) - 14 + 8).to_bytes(2, "big") + b"\xaa\xaa\x03\0\0\0" + frame[12:]


@pytest.mark.parametrize("wrap", [bytes, tagged, snapped, lambda f: tagged(snapped(f)[:14] + snapped(f)[14:])])
def test_addresses_of_ip(rig: Rig, wrap: Any) -> None:
    """The addresses that IPAV says are valid; tags and SNAP headers are passed over."""
    rig["WUFC"] = WUFC.ARP | WUFC.IPV4 | WUFC.IPV6
    frames = {
        WUS.ARP: wrap(for_us(0x806, arp(), destination=BROADCAST)),
        WUS.IPV4: wrap(for_us(0x800, ipv4())),
        WUS.IPV6: wrap(for_us(0x86DD, ipv6())),
    }
    for frame in frames.values():
        assert wakes(rig, frame) == 0
    rig["IPAV"] = 0x00010002
    for bit, frame in frames.items():
        assert wakes(rig, frame) == bit
    rig["IPAV"] = 0x0000000D
    for frame in frames.values():
        assert wakes(rig, frame) == 0


@pytest.mark.parametrize(
    "frame",
    [
        for_us(0x806, arp(bytes(4)), destination=BROADCAST),
        for_us(0x806, arp(operation=2), destination=BROADCAST),
        for_us(0x806, arp()),
        for_us(0x800, ipv4(bytes(4))),
        for_us(0x800, ipv4(), destination=BROADCAST),
        for_us(0x800, b"\x65" + ipv4()[1:]),
        for_us(0x86DD, ipv6(bytes(16))),
        for_us(0x800, ipv6()),
        for_us(0x806, arp(), destination=BROADCAST)[:40],
    ],
)
def test_what_is_not_for_these_addresses(rig: Rig, frame: bytes) -> None:
    rig["WUFC"] = WUFC.ARP | WUFC.IPV4 | WUFC.IPV6
    rig["IPAV"] = 0x0001000F
    for i in (0, 2, 3):
        rig["IP4AT", i] = 0xFFFFFFFF
    assert wakes(rig, frame) == 0


@pytest.mark.parametrize("number", range(4))
def test_flexible_filters(rig: Rig, number: int) -> None:
    """6.4.3.3: masked bytes up to the length; a shorter packet does not match."""
    flx = WUFC.FLX0 << number
    frame = for_us(size=100)
    rig["FFLT", number] = 80
    for i in range(128):
        care = i in (0, 12, 40, 79)
        rig["FFMT", i] = 1 << number if care or i in (80, 90) else 0
        rig["FFVT", i] = frame[i] << 8 * number if care else 0x77777777
    rig["WUFC"] = flx
    assert wakes(rig, frame) == flx
    assert wakes(rig, frame[:40] + b"\xee" + frame[41:]) == 0
    assert wakes(rig, frame[:41] + b"\xee" + frame[42:]) == flx
    assert wakes(rig, frame[:79]) == 0
    assert wakes(rig, frame[:80]) == flx
    rig["WUFC"] = WUFC.FLX0 << (number ^ 1)
    assert wakes(rig, frame) == 0


# ------------------------------------------------------------------ what is kept (6.4.2, 13.6.7, 13.6.8)


def test_the_first_packet_is_kept_until_it_is_acknowledged(rig: Rig) -> None:
    rig["WUFC"] = WUFC.EX | WUFC.BC
    first = for_us(size=300)
    rig.arrive(first)
    rig.arrive(for_us(destination=BROADCAST))
    assert rig["WUS"] == WUS.EX
    assert rig["WUPL"] == 304
    memory = b"".join(rig["WUPM", i].to_bytes(4, "little") for i in range(32))
    assert memory == first[:128]
    assert rig.woken == [WUS.EX]
    rig["WUS"] = WUS.EX
    rig.arrive(for_us(destination=BROADCAST))
    assert rig["WUS"] == WUS.BC


def test_pme_status_is_that_of_configuration_space(rig: Rig) -> None:
    rig["WUFC"] = WUFC.EX
    rig.arrive(for_us())
    assert rig["WUC"] & WUC.PME_STATUS
    assert rig.nic.config.read(0xE0, 2) & 0x8000
    rig["WUC"] = WUC.PME_EN | WUC.PME_STATUS
    assert not rig["WUC"] & WUC.PME_STATUS
    assert not rig.nic.config.read(0xE0, 2) & 0x8000


def test_packets_that_wake_are_received_too(rig: Rig) -> None:
    rig["WUFC"] = WUFC.EX
    rig.arrive(frame := for_us())
    assert rig.frames() == [frame]


def test_the_link_wakes(rig: Rig) -> None:
    """LNKC: up and down, apart from the packets."""
    rig["WUFC"] = WUFC.LNKC | WUFC.EX
    rig.nic.set_link(False)
    assert rig["WUS"] == WUS.LNKC
    assert rig["WUC"] & WUC.PME_STATUS
    rig["WUS"] = WUS.LNKC
    rig.nic.set_link(True)
    rig.clock.advance(10_000_000_000)
    assert rig["WUS"] == WUS.LNKC
    rig.arrive(for_us())
    assert rig["WUS"] == WUS.LNKC | WUS.EX
    rig["WUFC"] = 0
    rig["WUS"] = 0xFFFFFFFF
    rig.nic.set_link(False)
    assert rig["WUS"] == 0
