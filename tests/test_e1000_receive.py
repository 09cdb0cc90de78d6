"""82540EM, receive (8254x SDM 3.2): buffers, filters, offloads, the FIFO, causes, statistics, hostile rings."""

from __future__ import annotations

import struct
import zlib
from typing import Any

import pytest
from e1000_rig import (
    BROADCAST,
    CTRL,
    ICR,
    MAC,
    MEMORY,
    PEER,
    RAH,
    RCTL,
    RX_BUFFERS,
    RX_RING,
    RXCSUM,
    RXDCTL,
    STATUS,
    Rig,
    close_rigs,  # noqa: F401 (a fixture)
    ethernet,
    functions_memory,
    ones_sum,
    untouched,
)

from nicemu.devices.e1000_descriptors import RxError, RxStatus
from nicemu.engine import lib

DONE = RxStatus.DD | RxStatus.EOP | RxStatus.IXSM
GROUP = bytes.fromhex("01005e123456")


def fcs(frame: bytes) -> bytes:
    return zlib.crc32(frame).to_bytes(4, "little")


def for_us(**values: Any) -> bytes:
    return ethernet(MAC, PEER, **values)


@pytest.fixture
def rig() -> Rig:
    rig = Rig()
    rig.start_receive(RCTL.SECRC)
    return rig


# ------------------------------------------------------------------ descriptors and buffers (3.2.3, 13.4.22)


def test_all_fields_of_a_descriptor(rig: Rig) -> None:
    frame = for_us()
    before = bytes(rig.ram)
    rig.arrive(frame)
    d = rig.descriptor(0)
    assert (d["address"], d["length"], d["errors"], d["special"]) == (RX_BUFFERS, 60, 0, 0)
    assert d["status"] == DONE
    assert d["checksum"] == 0xFFFF ^ ones_sum(frame)
    assert rig.frames() == [frame]
    assert (rig["RDH"], rig["RDT"]) == (1, 7)
    assert untouched(rig, [(RX_BUFFERS, RX_BUFFERS + 60), (RX_RING + 8, RX_RING + 16)], before)


@pytest.mark.parametrize("size", [60, 61, 62, 63, 64, 1514])
def test_the_fcs_is_stored_unless_stripped(size: int) -> None:
    rig = Rig()
    rig.start_receive()
    frame = for_us(size=size)
    rig.arrive(frame)
    ((data, d),) = rig.received()
    assert data == frame + fcs(frame)
    assert d["checksum"] == 0xFFFF ^ ones_sum(data)


@pytest.mark.parametrize(
    ("bits", "size"),
    [
        (RCTL(BSIZE=3), 256),
        (RCTL(BSIZE=2), 512),
        (RCTL(BSIZE=1), 1024),
        (RCTL(BSIZE=0), 2048),
        (RCTL(BSIZE=3) | RCTL.BSEX, 4096),
        (RCTL(BSIZE=2) | RCTL.BSEX, 8192),
        (RCTL(BSIZE=1) | RCTL.BSEX, 16384),
    ],
)
def test_buffer_sizes(bits: int, size: int) -> None:
    rig = Rig(count=128)
    rig.start_receive(RCTL.LPE | bits)
    for length in {60, 252, 253, 256, 257, size - 5, size - 4, size - 3, 2 * size - 4, 2 * size - 3, 16380}:
        if not 60 <= length <= 16380:
            continue
        frame = for_us(size=length)
        before = rig["RDH"]
        rig.arrive(frame)
        used = (rig["RDH"] - before) % 128
        assert used == -(-(length + 4) // size)
        for i in range(used):
            d = rig.descriptor((before + i) % 128)
            last = i == used - 1
            assert d["length"] == (length + 4 - i * size if last else size)
            assert d["status"] == (DONE if last else RxStatus.DD)
            assert d["checksum"] == (0xFFFF ^ ones_sum(frame + fcs(frame)) if i == 0 else 0)
        rig["RDT"] = (rig["RDH"] - 1) % 128
        assert rig.frames() == [frame + fcs(frame)]


def test_null_buffers_are_passed_over(rig: Rig) -> None:
    """3.2.5.2: DD is set and nothing else changes."""
    for i in (0, 2):
        rig.memory.write(RX_RING + 16 * i, bytes(8) + b"\xee" * 8)
    rig.arrive(frame := for_us(), frame)
    assert rig.memory.read(RX_RING, 16) == bytes(8) + b"\xee" * 4 + b"\xef" + b"\xee" * 3
    assert rig.descriptor(1)["status"] == DONE
    assert rig.descriptor(2)["status"] == 0xEF
    assert rig.descriptor(3)["status"] == DONE
    assert rig["RDH"] == 4


def test_null_buffers_in_mid_packet() -> None:
    rig = Rig()
    rig.start_receive(RCTL.SECRC | RCTL(BSIZE=3))
    rig.memory.write(RX_RING + 16, bytes(16))
    rig.arrive(frame := for_us(size=500))
    assert rig["RDH"] == 3
    assert rig.frames() == [frame]


def test_a_packet_goes_on_when_descriptors_come(rig: Rig) -> None:
    """What finds no descriptor waits in the FIFO; what found one is in memory."""
    rig = Rig()
    rig.start_receive(RCTL.SECRC | RCTL(BSIZE=3), tail=2)
    frame = for_us(size=1000)
    rig.arrive(frame)
    assert rig["RDH"] == 2
    assert [rig.descriptor(i)["status"] for i in range(3)] == [RxStatus.DD, RxStatus.DD, 0xEE]
    assert rig["RDFPC"] == 1
    rig["RDT"] = 3
    assert rig["RDH"] == 3
    rig["RDT"] = 5
    assert rig["RDH"] == 4
    assert rig.frames() == [frame]
    assert rig["RDFPC"] == 0


def test_the_ring_wraps(rig: Rig) -> None:
    for i in range(40):
        rig.arrive(frame := for_us(payload=bytes([i]) * 46))
        assert rig.frames() == [frame]
        rig["RDT"] = (rig["RDH"] - 1) % 8


def test_short_frames_from_wires_without_padding_are_padded(rig: Rig) -> None:
    """Every sender's MAC pads; a wire in software need not have one."""
    rig.arrive(for_us(size=42)[:42])
    assert rig.frames() == [for_us(size=42)[:42] + bytes(18)]
    assert rig["RUC"] == 0


# ------------------------------------------------------------------ address filters (3.2.1, 13.5)


def accepted(rig: Rig, frame: bytes) -> int | None:
    """Status of the frame's descriptor, or None if it was filtered out."""
    rig["RDT"] = (rig["RDH"] - 1) % rig.rx_count
    rig.arrive(frame)
    got = rig.received()
    assert len(got) <= 1
    return int(got[0][1]["status"]) if got else None


@pytest.mark.parametrize("index", range(16))
def test_receive_addresses(rig: Rig, index: int) -> None:
    address = bytes.fromhex("02aabbccdd00")[:5] + bytes([index])
    assert accepted(rig, ethernet(address, PEER)) is None
    rig["RAL", index] = int.from_bytes(address[:4], "little")
    rig["RAH", index] = int.from_bytes(address[4:], "little")
    assert accepted(rig, ethernet(address, PEER)) is None, "not valid yet"
    rig["RAH", index] = int.from_bytes(address[4:], "little") | RAH.AV
    assert accepted(rig, ethernet(address, PEER)) == DONE
    rig["RAH", index] = int.from_bytes(address[4:], "little") | RAH.AV | RAH(AS=1)
    assert accepted(rig, ethernet(address, PEER)) is None
    assert accepted(rig, ethernet(PEER, address)) == DONE, "compared with the source"


def test_promiscuous_unicast(rig: Rig) -> None:
    stranger = ethernet(PEER, PEER)
    assert accepted(rig, stranger) is None
    rig["RCTL"] |= RCTL.UPE
    assert accepted(rig, stranger) == DONE
    assert accepted(rig, ethernet(GROUP, PEER)) is None


def test_broadcast(rig: Rig) -> None:
    assert accepted(rig, ethernet(BROADCAST, PEER)) == DONE
    rig["RCTL"] &= ~RCTL.BAM
    assert accepted(rig, ethernet(BROADCAST, PEER)) is None
    rig["RCTL"] |= RCTL.MPE
    assert accepted(rig, ethernet(BROADCAST, PEER)) == DONE


@pytest.mark.parametrize("offset", range(4))
@pytest.mark.parametrize("address", ["01005e123456", "3333ff0a0b0c", "123456789abc", "01ffffffffff"])
def test_multicast_table(rig: Rig, offset: int, address: str) -> None:
    """13.5.1, with the manual's example of 12:34:56:78:9A:BC."""
    group = bytes([bytes.fromhex(address)[0] | 1]) + bytes.fromhex(address)[1:]
    number = int.from_bytes(group, "little")
    low = (36, 35, 34, 32)[offset]
    index = number >> low & 0xFFF
    if address == "123456789abc" and offset == 0:
        assert index == 0xBC9
    rig["RCTL"] |= RCTL(MO=offset)
    for i in range(128):
        rig["MTA", i] = 0xFFFFFFFF
    rig["MTA", index >> 5] = 0xFFFFFFFF ^ 1 << (index & 31)
    assert accepted(rig, ethernet(group, PEER)) is None
    for i in range(128):
        rig["MTA", i] = 0
    rig["MTA", index >> 5] = 1 << (index & 31)
    assert accepted(rig, ethernet(group, PEER)) == DONE | RxStatus.PIF


def test_pif_only_where_the_table_alone_passed_it(rig: Rig) -> None:
    """3.2.3.1."""
    for i in range(128):
        rig["MTA", i] = 0xFFFFFFFF
    assert accepted(rig, ethernet(GROUP, PEER)) == DONE | RxStatus.PIF
    assert accepted(rig, ethernet(BROADCAST, PEER)) == DONE
    rig["RAL", 1] = int.from_bytes(GROUP[:4], "little")
    rig["RAH", 1] = int.from_bytes(GROUP[4:], "little") | RAH.AV
    assert accepted(rig, ethernet(GROUP, PEER)) == DONE
    rig["RCTL"] |= RCTL.MPE
    assert accepted(rig, ethernet(GROUP[:5] + b"\0", PEER)) == DONE


# ------------------------------------------------------------------ VLAN (9.2.2, 9.3)


def tagged(tag: int, **values: Any) -> bytes:
    frame = for_us(**values)
    return frame[:12] + b"\x81\x00" + tag.to_bytes(2, "big") + frame[12:]


def test_tags_are_stripped_with_vme(rig: Rig) -> None:
    frame = tagged(0xA123)
    rig.arrive(frame)
    ((data, d),) = rig.received()
    assert (data, d["status"], d["special"]) == (frame, DONE, 0)
    rig["CTRL"] |= CTRL.VME
    rig.arrive(frame)
    ((data, d),) = rig.received()
    assert (data, d["status"], d["special"]) == (for_us(), DONE | RxStatus.VP, 0xA123)
    rig["VET"] = 0x9100
    rig.arrive(frame)
    ((data, d),) = rig.received()
    assert (data, d["status"], d["special"]) == (frame, DONE, 0)


def test_the_fcs_of_a_stripped_frame_is_that_of_the_wire() -> None:
    rig = Rig()
    rig.start_receive()
    rig["CTRL"] |= CTRL.VME
    frame = tagged(5)
    rig.arrive(frame)
    assert rig.frames() == [for_us() + fcs(frame)]


@pytest.mark.parametrize("identifier", [0, 1, 31, 32, 0x123, 4095])
def test_vlan_filter(rig: Rig, identifier: int) -> None:
    rig["RCTL"] |= RCTL.VFE
    frame = tagged(0xE000 | identifier)
    assert accepted(rig, frame) is None
    rig["VFTA", identifier >> 5] = 1 << (identifier & 31)
    assert accepted(rig, frame) == DONE
    assert accepted(rig, for_us()) == DONE, "untagged frames do not meet the filter"
    assert accepted(rig, frame[:0] + ethernet(PEER, PEER)) is None
    rig["VFTA", identifier >> 5] = 0xFFFFFFFF ^ 1 << (identifier & 31)
    assert accepted(rig, frame) is None


def test_canonical_form_indicator(rig: Rig) -> None:
    """13.4.22: with CFIEN, tagged packets whose CFI is RCTL.CFI."""
    for want in (0, RCTL.CFI):
        rig["RCTL"] = rig["RCTL"] & ~(RCTL.CFI | RCTL.CFIEN) | want
        assert accepted(rig, tagged(0x1001)) == DONE
        rig["RCTL"] |= RCTL.CFIEN
        assert (accepted(rig, tagged(0x1001)) is not None) == bool(want)
        assert (accepted(rig, tagged(0x0001)) is not None) == (not want)


# ------------------------------------------------------------------ lengths and bad packets (13.4.22, 13.7)


@pytest.mark.parametrize("long", [False, True])
@pytest.mark.parametrize("size", [1514, 1515, 1517, 1518, 1519, 9014, 16380, 16381, 16384])
def test_long_packets(long: bool, size: int) -> None:
    """Without LPE up to 1522 bytes with FCS, with it up to 16384."""
    rig = Rig(count=128)
    rig.start_receive(RCTL.SECRC | (RCTL.LPE if long else 0))
    frame = for_us(size=size)
    rig.arrive(frame)
    good = size + 4 <= (16384 if long else 1522)
    assert rig.frames() == ([frame] if good else [])
    assert (rig["ROC"], rig["RLEC"]) == ((0, 0) if good else (1, 1))
    assert rig["GPRC"] == int(good)


def test_store_bad_packets_keeps_long_ones() -> None:
    rig = Rig(count=128)
    rig.start_receive(RCTL.SECRC | RCTL.SBP)
    rig.arrive(frame := for_us(size=4000))
    assert rig.frames() == [frame]
    assert (rig["ROC"], rig["GPRC"]) == (1, 0)


@pytest.mark.parametrize("store", [False, True])
@pytest.mark.parametrize(
    ("size", "flags", "counts", "error"),
    [
        (60, lib.NIC_FRAME_BAD_FCS, {"CRCERRS"}, RxError.CE),
        (40, lib.NIC_FRAME_SHORT, {"RUC", "RLEC"}, 0),
        (40, lib.NIC_FRAME_SHORT | lib.NIC_FRAME_BAD_FCS, {"RFC", "RLEC"}, RxError.CE),
        (1600, 0, {"ROC", "RLEC"}, 0),
        (1600, lib.NIC_FRAME_BAD_FCS, {"RJC", "RLEC", "CRCERRS"}, RxError.CE),
        (100, lib.NIC_FRAME_RX_ERROR, {"RXERRC"}, RxError.RXE),
        (100, lib.NIC_FRAME_ALIGNMENT, {"CRCERRS"}, RxError.CE),
    ],
)
def test_bad_packets(store: bool, size: int, flags: int, counts: set[str], error: int) -> None:
    rig = Rig(count=128)
    rig.start_receive(RCTL.SBP if store else 0)
    rig["RXCSUM"] = RXCSUM.IPOFLD | RXCSUM.TUOFLD
    frame = for_us(size=size)[:size]
    rig.tap.deliver([frame], flags=flags)
    rig.nic.poll()
    got = rig.received()
    if store:
        ((data, d),) = got
        assert data[:-4] == frame
        assert (data[-4:] == fcs(frame)) == (not flags & (lib.NIC_FRAME_BAD_FCS | lib.NIC_FRAME_ALIGNMENT))
        assert (d["errors"], d["status"]) == (error, DONE)
    else:
        assert got == []
    every = {"CRCERRS", "ALGNERRC", "RXERRC", "RLEC", "RUC", "RFC", "ROC", "RJC"}
    assert {name for name in every if rig[name]} == counts
    assert (rig["GPRC"], rig["TPR"]) == (0, 1)
    assert not any(rig[name] for name in ("PRC64", "PRC127", "PRC1522", "GORCL"))


def test_alignment_errors_are_those_of_mii(rig: Rig) -> None:
    """13.7.2: only at 10 and 100 Mb/s."""
    rig.nic.regs.STATUS.SPEED = 1
    rig.tap.deliver([for_us()], flags=lib.NIC_FRAME_ALIGNMENT)
    rig.nic.poll()
    assert (rig["ALGNERRC"], rig["CRCERRS"]) == (1, 0)


def test_bad_packets_that_do_not_pass_the_filter_do_not_count(rig: Rig) -> None:
    rig.tap.deliver([ethernet(PEER, PEER)], flags=lib.NIC_FRAME_BAD_FCS)
    rig.nic.poll()
    assert (rig["CRCERRS"], rig["TPR"]) == (0, 0)


# ------------------------------------------------------------------ checksum verification (3.2.9)


A4 = bytes([10, 0, 2, 2, 10, 0, 2, 15])
A6 = bytes(range(32))


def ipv4(payload: bytes, protocol: int = 6, *, options: bytes = b"", fragment: int = 0x4000, extra: int = 0) -> bytes:
    length = 20 + len(options) + len(payload) + extra
    head = struct.pack(
        ">BBHHHBBH4s4s",
        0x40 | (20 + len(options)) // 4, 0, length, 1, fragment, 64, protocol, 0, A4[:4], A4[4:],
    )  # fmt: skip
    head += options
    return head[:10] + (0xFFFF ^ ones_sum(head)).to_bytes(2, "big") + head[12:] + payload


def ipv6(payload: bytes, following: int = 6, headers: bytes = b"") -> bytes:
    return (
        struct.pack(">IHBB", 6 << 28, len(headers) + len(payload), following, 64) + bytes(range(32)) + headers + payload
    )


def transport(protocol: int, addresses: bytes, *, size: int = 30, wrong: int = 0) -> bytes:
    body = bytes(range(size))
    if protocol == 6:
        head, at = struct.pack(">HHIIBBHHH", 1, 2, 3, 4, 0x50, 0x10, 5, 0, 0), 16
    else:
        head, at = struct.pack(">HHHH", 1, 2, 8 + size, 0), 6
    packet = head + body
    value = 0xFFFF ^ ones_sum(addresses + bytes([0, protocol]) + len(packet).to_bytes(2, "big") + packet)
    return packet[:at] + (value ^ wrong).to_bytes(2, "big") + packet[at + 2 :]


OK = RxStatus.DD | RxStatus.EOP
ALL = RXCSUM.IPOFLD | RXCSUM.TUOFLD | RXCSUM.IPV6OFL
IP, L4 = RxStatus.IPCS, RxStatus.TCPCS
HOP = bytes([6, 0]) + bytes(6)
LONG = bytes([6, 8]) + bytes(70)


def packet(kind: int, data: bytes, *, snap: bool = False, tag: bool = False) -> bytes:
    frame = MAC + PEER
    if tag:
        frame += b"\x81\x00\x00\x05"
    if snap:
        frame += (len(data) + 8).to_bytes(2, "big") + b"\xaa\xaa\x03\0\0\0"
    return frame + kind.to_bytes(2, "big") + data


TCP4, UDP4 = ipv4(transport(6, A4)), ipv4(transport(17, A4), 17)
CASES = {
    "tcp": (packet(0x800, TCP4), IP | L4, 0),
    "udp": (packet(0x800, UDP4), IP | L4, 0),
    "tcp-odd": (packet(0x800, ipv4(transport(6, A4, size=31))), IP | L4, 0),
    "tcp-padded": (packet(0x800, ipv4(transport(6, A4, size=0))) + b"\xff" * 6, IP | L4, 0),
    "tcp-wrong": (packet(0x800, ipv4(transport(6, A4, wrong=1))), IP | L4, RxError.TCPE),
    "udp-wrong": (packet(0x800, ipv4(transport(17, A4, wrong=256), 17)), IP | L4, RxError.TCPE),
    "ip-wrong": (packet(0x800, TCP4[:10] + b"\x12\x34" + TCP4[12:]), IP | L4, RxError.IPE),
    "both-wrong": (packet(0x800, TCP4[:10] + b"\x12\x34" + TCP4[12:-1] + b"\xee"), IP | L4, RxError.IPE | RxError.TCPE),
    "options": (packet(0x800, ipv4(transport(6, A4), options=b"\x01" * 40)), IP | L4, 0),
    "snap": (packet(0x800, TCP4, snap=True), IP | L4, 0),
    "tag": (packet(0x800, TCP4, tag=True), IP | L4, 0),
    "tag-snap": (packet(0x800, UDP4, tag=True, snap=True), IP | L4, 0),
    "jumbo": (packet(0x800, ipv4(transport(6, A4, size=0) + b"")), IP | L4, 0),
    "udp-without": (packet(0x800, ipv4(UDP4[20:26] + b"\0\0" + UDP4[28:], 17)), IP, 0),
    "icmp": (packet(0x800, ipv4(bytes(30), 1)), IP, 0),
    "fragment-first": (packet(0x800, ipv4(transport(6, A4), fragment=0x2000)), IP, 0),
    "fragment-later": (packet(0x800, ipv4(transport(6, A4), fragment=0x0010)), IP, 0),
    "ipv4-in-ipv4": (packet(0x800, ipv4(TCP4, 4)), 0, 0),
    "ipv6-in-ipv4": (packet(0x800, ipv4(ipv6(transport(6, A6)), 41)), IP | L4, 0),
    "ipv6-in-ipv4-wrong": (packet(0x800, ipv4(ipv6(transport(6, A6, wrong=1)), 41)), IP | L4, RxError.TCPE),
    "tcp6": (packet(0x86DD, ipv6(transport(6, A6))), L4, 0),
    "udp6": (packet(0x86DD, ipv6(transport(17, A6), 17)), L4, 0),
    "tcp6-wrong": (packet(0x86DD, ipv6(transport(6, A6, wrong=1))), L4, RxError.TCPE),
    "hop-by-hop": (packet(0x86DD, ipv6(transport(6, A6), 0, HOP)), L4, 0),
    "destination": (packet(0x86DD, ipv6(transport(6, A6), 60, HOP)), L4, 0),
    "two-headers": (packet(0x86DD, ipv6(transport(6, A6), 0, bytes([60, 0]) + bytes(6) + HOP)), L4, 0),
    "routing-done": (packet(0x86DD, ipv6(transport(6, A6), 43, HOP)), L4, 0),
    "routing": (
        packet(0x86DD, ipv6(transport(6, A6[:16] + bytes(16)), 43, bytes([6, 2, 0, 1]) + bytes(4) + bytes(16))), L4, 0,
    ),
    "long-extension": (packet(0x86DD, ipv6(transport(6, A6), 60, LONG)), 0, 0),
    "fragment6": (packet(0x86DD, ipv6(transport(6, A6), 44, HOP)), 0, 0),
    "icmp6": (packet(0x86DD, ipv6(bytes(30), 58)), 0, 0),
    "ipv6-in-ipv6": (packet(0x86DD, ipv6(ipv6(transport(6, A6)), 41)), 0, 0),
    "arp": (packet(0x806, bytes(28)), 0, 0),
    "version": (packet(0x800, b"\x55" + TCP4[1:]), 0, 0),
    "short-header": (packet(0x800, b"\x44" + TCP4[1:]), 0, 0),
    "cut": (packet(0x800, ipv4(transport(6, A4), extra=100)), IP, 0),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("vme", [False, True])
def test_checksum_verification(name: str, vme: bool) -> None:
    """Table 3-5, for a frame in one piece and with the tag stripped or not."""
    frame, status, errors = CASES[name]
    rig = Rig()
    rig.start_receive(RCTL.SECRC)
    rig["RXCSUM"] = ALL
    if vme:
        rig["CTRL"] |= CTRL.VME
        status |= RxStatus.VP if "tag" in name else 0
    rig.arrive(frame)
    ((_, d),) = rig.received()
    expected = OK | status | (0 if status & (IP | L4) else RxStatus.IXSM)
    assert RxStatus(int(d["status"])) == expected
    assert RxError(int(d["errors"])) == errors


@pytest.mark.parametrize(
    ("rxcsum", "v4", "v6"), [(0, 0, 0), (RXCSUM.IPOFLD, IP, 0), (RXCSUM.TUOFLD, L4, 0), (ALL, IP | L4, L4)]
)
def test_what_rxcsum_enables(rig: Rig, rxcsum: int, v4: int, v6: int) -> None:
    rig["RXCSUM"] = rxcsum
    rig.arrive(CASES["both-wrong"][0], CASES["tcp6-wrong"][0])
    (_, first), (_, second) = rig.received()
    assert first["status"] == OK | v4 | (0 if v4 else RxStatus.IXSM)
    assert first["errors"] == (RxError.IPE if v4 & IP else 0) | (RxError.TCPE if v4 & L4 else 0)
    assert second["status"] == OK | v6 | (0 if v6 else RxStatus.IXSM)


@pytest.mark.parametrize("length", range(14, 90))
@pytest.mark.parametrize("name", ["options", "udp", "hop-by-hop", "ipv6-in-ipv4", "tag-snap"])
def test_truncated_packets_are_not_verified(name: str, length: int) -> None:
    """G7: headers that end anywhere."""
    frame = CASES[name][0]
    if length >= len(frame):
        return
    rig = Rig()
    rig.start_receive(RCTL.SECRC | RCTL.SBP)
    rig["RXCSUM"] = ALL
    rig.tap.deliver([frame[:length]], flags=lib.NIC_FRAME_SHORT)
    rig.nic.poll()
    ((data, d),) = rig.received()
    assert data == frame[:length]
    assert not d["status"] & L4


@pytest.mark.parametrize("start", [0, 1, 14, 33, 59, 60, 255])
def test_packet_checksum(rig: Rig, start: int) -> None:
    """13.4.47: from PCSS on, after stripping, complemented; in the first descriptor."""
    rig["RXCSUM"] = start
    rig["CTRL"] |= CTRL.VME
    rig.arrive(tagged(3))
    ((data, d),) = rig.received()
    assert d["checksum"] == 0xFFFF ^ ones_sum(data[start:])


# ------------------------------------------------------------------ the FIFO, drop and hold (3.2.7.4, 13.7.5, 13.7.33)


def test_frames_wait_in_the_fifo_for_descriptors(rig: Rig) -> None:
    frames = [for_us(payload=bytes([i]) * 46) for i in range(20)]
    rig.arrive(*frames)
    assert rig.frames() == frames[:7]
    assert (rig["RNBC"], rig["MPC"], rig["RDFPC"]) == (13, 0, 13)
    rig["RDT"] = 6
    assert rig.frames() == frames[7:14]
    rig["RDT"] = 5
    assert rig.frames() == frames[14:]
    assert rig["RDFPC"] == 0
    assert rig["GPRC"] == 20


def test_a_full_fifo_loses_frames(rig: Rig) -> None:
    """48 KiB by default; what is lost is counted, told, and does not touch what came before."""
    frames = [for_us(payload=i.to_bytes(2, "big") * 700) for i in range(60)]
    rig["ICR"]
    rig.arrive(*frames)
    missed = rig["MPC"]
    assert 60 - missed == 7 + 49152 // 1432
    assert rig["ICR"] & ICR.RXO
    assert rig["GPRC"] == 60 - missed
    assert rig["TPR"] == 60
    assert "e1000.rx.overrun" in rig.nic.finding_counts
    got = rig.frames()
    while rig["RDFPC"]:
        rig["RDT"] = (rig["RDH"] - 1) % 8
        got += rig.frames()
    assert got == frames[: 60 - missed]
    rig.arrive(frame := for_us())
    rig["RDT"] = (rig["RDH"] - 1) % 8
    assert rig.frames() == [frame]


def test_hold_loses_nothing() -> None:
    rig = Rig(overflow="hold")
    rig.start_receive(RCTL.SECRC)
    frames = [for_us(payload=i.to_bytes(2, "big") * 700) for i in range(150)]
    for frame in frames:
        rig.tap.deliver([frame])
        rig.nic.poll()
    got = rig.frames()
    for _ in range(100):
        rig["RDT"] = (rig["RDH"] - 1) % 8
        rig.nic.poll()
        got += rig.frames()
    assert got == frames
    assert (rig["MPC"], rig["GPRC"]) == (0, 150)


def test_what_is_held_back_is_gone_when_the_receiver_stops() -> None:
    rig = Rig(overflow="hold")
    rig.start_receive(RCTL.SECRC)
    rig["RDT"] = rig["RDH"]
    rig.arrive(*[for_us(size=1500) for _ in range(60)])
    held = 60 - rig["RDFPC"]
    assert held > 0
    rctl = rig["RCTL"]
    rig["RCTL"] = 0
    rig.nic.poll()
    rig["RCTL"] = rctl
    for _ in range(20):
        rig["RDT"] = (rig["RDH"] - 1) % 8
        rig.nic.poll()
    assert len(rig.frames()) <= 60 - held
    assert rig["GPRC"] == 60 - held


def test_the_size_of_the_fifo_is_that_of_pba(rig: Rig) -> None:
    rig["PBA"] = 8
    assert rig["PBA"] == 56 << 16 | 8
    rig["RDT"] = rig["RDH"]
    rig.arrive(*[for_us(size=1000) for _ in range(20)])
    assert rig["RDFPC"] == 8192 // 1008
    assert rig["MPC"] == 20 - 8192 // 1008


def test_a_guest_that_writes_over_the_packet_buffer_harms_only_its_frames(rig: Rig) -> None:
    rig["RDT"] = rig["RDH"]
    rig.arrive(for_us(), for_us())
    rig["PBM", 0] = 0xFFFFFFFF
    rig["RDT"] = 7
    assert rig["RDFPC"] == 0
    rig.received()
    rig.arrive(frame := for_us())
    assert rig.frames() == [frame]


# ------------------------------------------------------------------ enabling, link


def test_nothing_comes_while_disabled(rig: Rig) -> None:
    rig["RCTL"] = 0
    rig.arrive(for_us())
    assert (rig["RDH"], rig["TPR"], rig["RNBC"]) == (0, 0, 0)


def test_the_fifo_keeps_its_frames_while_disabled(rig: Rig) -> None:
    """13.4.22, EN."""
    rig["RDT"] = rig["RDH"]
    rig.arrive(frame := for_us())
    rctl = rig["RCTL"]
    rig["RCTL"] = 0
    rig["RDT"] = 7
    assert rig["RDH"] == 0
    rig["RCTL"] = rctl
    assert rig.frames() == [frame]


def test_nothing_comes_without_a_link(rig: Rig) -> None:
    rig["CTRL"] &= ~CTRL.SLU
    assert not rig["STATUS"] & STATUS.LU
    rig.arrive(for_us())
    assert rig["RDH"] == 0


def test_frames_wait_while_the_bus_is_not_ours(rig: Rig) -> None:
    rig.nic.config.write(0x04, 3, 2)
    rig.arrive(frame := for_us())
    assert rig["RDH"] == 0
    assert rig["RDFPC"] == 1
    rig.nic.config.write(0x04, 7, 2)
    assert rig.frames() == [frame]


# ------------------------------------------------------------------ write-back (3.2.5)


def test_write_back_threshold_with_a_delay() -> None:
    """RXDCTL.WTHRESH descriptors at a time, or when the delay is over; RDH moves with them."""
    rig = Rig(count=16)
    rig.start_receive(RCTL.SECRC)
    rig["RXDCTL"] = RXDCTL(WTHRESH=4) | RXDCTL.GRAN
    rig["RDTR"] = 100
    frames = [for_us(payload=bytes([i]) * 46) for i in range(6)]
    for number, frame in enumerate(frames, 1):
        rig.arrive(frame)
        written = number // 4 * 4
        assert rig["RDH"] == written
        assert [rig.descriptor(i)["status"] != 0xEE for i in range(8)] == [i < written for i in range(8)]
    rig.clock.advance(100 * 1024)
    assert rig.frames() == frames


def test_flush_of_partial_descriptor_blocks() -> None:
    """13.4.30: RDTR.FPD writes back what is pending and raises RXT0; it reads 0."""
    rig = Rig(count=16)
    rig.start_receive(RCTL.SECRC)
    rig["RXDCTL"] = RXDCTL(WTHRESH=8) | RXDCTL.GRAN
    rig["RDTR"] = 1000
    rig.arrive(frame := for_us())
    assert rig["RDH"] == 0
    rig["ICR"]
    rig["RDTR"] = 0x80000000 | 1000
    assert rig["RDTR"] == 1000
    assert rig.frames() == [frame]
    assert rig["ICR"] & ICR.RXT0


# ------------------------------------------------------------------ statistics (13.7)


def test_statistics_of_sizes() -> None:
    rig = Rig(count=64)
    rig.start_receive()
    sizes = {"PRC64": 60, "PRC127": 123, "PRC255": 124, "PRC511": 252, "PRC1023": 508, "PRC1522": 1518}
    rig.arrive(*[for_us(size=size) for size in sizes.values()])
    for name in sizes:
        assert rig[name] == 1, name
        assert rig[name] == 0
    octets = sum(sizes.values()) + 24
    assert (rig["GPRC"], rig["TPR"]) == (6, 6)
    assert (rig["GORCL"], rig["GORCH"]) == (octets, 0)
    assert (rig["TORL"], rig["TORH"]) == (octets, 0)
    assert (rig["GORCL"], rig["TORL"]) == (0, 0)


def test_statistics_of_groups(rig: Rig) -> None:
    rig["RCTL"] |= RCTL.MPE
    rig.arrive(ethernet(BROADCAST, PEER), ethernet(GROUP, PEER), for_us(), ethernet(PEER, PEER))
    assert (rig["BPRC"], rig["MPRC"], rig["GPRC"]) == (1, 1, 3)
    rig["RCTL"] &= ~RCTL.BAM
    rig.arrive(ethernet(BROADCAST, PEER))
    assert rig["BPRC"] == 0, "13.7.28: not while the broadcast filter is off"


def test_statistics_stick(rig: Rig) -> None:
    rig.nic.regs.GPRC.value = 0xFFFFFFFF
    rig.nic.regs.GORCL.value = 0xFFFFFFF0
    rig.nic.regs.GORCH.value = 5
    rig.arrive(for_us())
    assert rig["GPRC"] == 0xFFFFFFFF
    assert (rig["GORCL"], rig["GORCH"]) == (0x30, 6)


# ------------------------------------------------------------------ loopback (13.4.22, 15.1.3)


def phy_write(rig: Rig, register: int, value: int) -> None:
    rig["MDIC"] = 1 << 26 | 1 << 21 | register << 16 | value


@pytest.mark.parametrize("way", ["mac", "phy"])
def test_loopback(way: str) -> None:
    rig = Rig(count=64)
    rig.start_transmit()
    rig.start_receive()
    if way == "mac":
        rig["RCTL"] |= RCTL(LBM=3)
    else:
        phy_write(rig, 0, 0x4140)
        rig["CTRL"] |= CTRL.FRCSPD | CTRL.FRCDPLX | CTRL.FD | CTRL(SPEED=2)
    frames = [ethernet(BROADCAST), ethernet(MAC), ethernet(PEER)]
    for frame in frames:
        rig.send(frame)
    assert rig.take() == []
    assert rig.frames() == [f + fcs(f) for f in frames[:2]], "through the filters"
    rig.arrive(for_us())
    assert rig.frames() == [], "the wire is cut off"
    assert (rig["GPTC"], rig["GPRC"]) == (3, 2)
    assert rig["TDH"] == 3


def test_loopback_without_descriptors_does_not_stop_the_transmitter() -> None:
    rig = Rig(count=64)
    rig.start_transmit()
    rig.start_receive(RCTL(LBM=3), tail=0)
    for _ in range(200):
        rig.send(ethernet(BROADCAST, size=1514))
    assert rig["TDH"] == 200 % 64
    assert rig["MPC"] == 200 - 49152 // 1528


@pytest.mark.parametrize("shift", [0, 1, 7, 30, 59, 60, -1, -59])
def test_loopback_onto_itself(shift: int) -> None:
    """G8: the receive buffer lies over what is being sent."""
    rig = Rig()
    rig.start_transmit()
    rig.start_receive(RCTL(LBM=3) | RCTL.SECRC)
    frame = ethernet(BROADCAST)
    source = RX_BUFFERS + 0x100
    rig.memory.write(RX_RING, (source + shift).to_bytes(8, "little"))
    rig.memory.write(source, frame)
    from nicemu.devices.e1000_descriptors import legacy

    rig.put(legacy(source, 60, 0x0B))
    assert rig.frames() == [frame]


# ------------------------------------------------------------------ memory that is not mapped, or not there


def test_memory_behind_functions() -> None:
    memory, _ = functions_memory()
    rig = Rig(memory=memory)
    rig.start_receive(RCTL(BSIZE=3))
    frame = for_us(size=700)
    rig.arrive(frame)
    assert rig.frames() == [frame + fcs(frame)]
    assert rig.descriptor(2)["status"] == DONE


@pytest.mark.parametrize("address", [MEMORY, MEMORY - 30, 0xFFFF_FFFF_FFFF_FFF0, 1 << 45])
def test_a_buffer_that_is_not_there(rig: Rig, address: int) -> None:
    """G10: no more is reported than was written."""
    rig.memory.write(RX_RING, address.to_bytes(8, "little"))
    rig.arrive(for_us(), frame := for_us())
    assert rig.descriptor(0)["length"] == 0
    assert rig.nic.counters["dma_errors"] >= 1
    assert rig.frames() == [b"", frame]


@pytest.mark.parametrize("base", [MEMORY, 0xFFFF_FFFF_FFFF_FFC0, 1 << 50])
def test_a_ring_that_is_not_there(rig: Rig, base: int) -> None:
    before = bytes(rig.ram)
    rig["RDBAL"], rig["RDBAH"] = base & 0xFFFFFFFF, base >> 32
    rig.arrive(for_us())
    assert rig["RDH"] == 0
    assert bytes(rig.ram) == before


def test_buffers_in_read_only_memory_are_left_alone() -> None:
    rig = Rig()
    rom = bytes(4096)
    rig.memory.add(MEMORY, rom, writable=False)
    rig.start_receive(RCTL.SECRC)
    rig.memory.write(RX_RING, MEMORY.to_bytes(8, "little"))
    rig.arrive(for_us())
    assert rom == bytes(4096)
    assert rig.descriptor(0)["length"] == 0


# ------------------------------------------------------------------ hostile rings (G1, G6)


@pytest.mark.parametrize("length", [0, 0x80, 0xFFF80, 0x7F])
@pytest.mark.parametrize("head", [0, 7, 8, 0xFFFF])
@pytest.mark.parametrize("tail", [0, 6, 7, 8, 0xFFFF])
def test_geometry(length: int, head: int, tail: int) -> None:
    rig = Rig()
    rig.ram[RX_RING:] = bytes(MEMORY - RX_RING)
    rig.start_receive()
    rig.ram[RX_RING:] = bytes(MEMORY - RX_RING)  # null descriptors: hardware may go through all of them
    rig["RDLEN"], rig["RDH"] = length, head
    descriptors = rig.nic.counters["descriptors"]
    rig["RDT"] = tail
    rig.arrive(for_us())
    count = (length & 0xFFF80) // 16
    assert rig.nic.counters["descriptors"] - descriptors <= 2 * count + 1
    assert rig.ram[RX_BUFFERS:] == bytes(MEMORY - RX_BUFFERS)
    rig["RCTL"] = 0
    rig["CTRL"] = CTRL.RST
    rig["CTRL"] |= CTRL.SLU
    rig.clock.advance(10_000_000_000)
    rig.start_receive(RCTL.SECRC)
    rig.arrive(frame := for_us())
    assert rig.frames() == [frame]


SIZES = [0, 1, 13, 14, 59, 60, 63, 64, *range(1513, 1524), 2047, 2048, 2049, 4092, 4093, 4097, 9018, 16383, 16384]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("flags", [0, lib.NIC_FRAME_SHORT])
def test_frames_of_every_size(size: int, flags: int) -> None:
    rig = Rig(count=128)
    rig.start_receive(RCTL.SBP | RCTL.UPE | RCTL.MPE | RCTL.LPE)
    rig["CTRL"] |= CTRL.VME
    before = bytes(rig.ram)
    frame = bytes(range(1, 250)) * 70
    rig.tap.deliver([frame[:size]], flags=flags)
    rig.nic.poll()
    got = rig.received()
    for data, _ in got:
        assert data[:size] == frame[:size][: len(data)]
    used = [(RX_BUFFERS + 0x4000 * i, RX_BUFFERS + 0x4000 * i + 2048) for i in range(rig["RDH"])]
    assert untouched(rig, [*used, (RX_RING, RX_RING + 16 * 128)], before)


# ------------------------------------------------------------------ time


@pytest.mark.parametrize("profile", ["wire", "chaos"])
def test_profiles_with_time_store_the_same_frames(profile: str) -> None:
    rig = Rig(count=64, profile=profile, seed=5)
    rig.start_receive(RCTL.SECRC)
    frames = [for_us(payload=bytes([i]) * (46 + 20 * i)) for i in range(30)]
    rig.arrive(*frames)
    assert rig["RDH"] == 0, "not at once"
    rig.clock.advance(1_000_000_000)
    assert rig.frames() == frames


def test_a_frame_that_waits_for_descriptors_wakes_nobody() -> None:
    """G14: no timer runs while there is nothing that it could do."""
    rig = Rig(count=64, profile="wire")
    rig.start_receive(RCTL.SECRC)
    rig["RDT"] = rig["RDH"]
    rig.arrive(frame := for_us())
    rig.clock.advance(1_000_000)
    assert rig["RDFPC"] == 1
    deadline = rig.clock.next_deadline
    assert deadline is None or deadline - rig.clock.now > 1_000_000
    rig["RDT"] = 5
    rig.clock.advance(1_000_000)
    assert rig.frames() == [frame]


# ------------------------------------------------------------------ snapshots


@pytest.mark.parametrize("case", ["fifo", "part", "owed"])
def test_snapshot_in_mid_work(case: str) -> None:
    def prepare() -> Rig:
        rig = Rig(count=16)
        rig.start_receive(RCTL.SECRC | RCTL(BSIZE=3), tail=15 if case == "owed" else 2)
        if case == "owed":
            rig["RXDCTL"] = RXDCTL(WTHRESH=8) | RXDCTL.GRAN
            rig["RDTR"] = 100
        rig.arrive(*[for_us(size=700)] * (1 if case == "part" else 3))
        return rig

    rig, other = prepare(), Rig(count=16)
    saved = rig.nic.save()
    other.memory.write(0, bytes(rig.ram))
    other.nic.load(saved)
    assert other.nic.save() == saved
    for r in (rig, other):
        r.rx_count = 16
        r["RDT"] = 15
        r.clock.advance(1_000_000)
    assert bytes(rig.ram) == bytes(other.ram)
    assert rig.nic.save() == other.nic.save()
