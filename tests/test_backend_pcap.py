"""The capture file is what independent readers expect, and a full disk does not stop the traffic."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dpkt
import pytest
from backend_station import Wire

from nicemu.backends import Hub, Loopback, Null, Pcap
from nicemu.errors import BackendError, ConfigurationError


def frame(length: int, seed: int = 0) -> bytes:
    return bytes((seed + i) & 0xFF for i in range(length))


LENGTHS = [0, 1, 14, 59, 60, 61, 62, 63, 1514, 9014, 16384]


def record(path: Path, frames: list[bytes], **options: object) -> Pcap:
    """Sends frames through a recorded loopback plug; the wrapper is open still."""
    wire = Wire()
    dump = Pcap(Loopback(), path, **options)  # type: ignore[arg-type]
    hub = Hub()
    hub.connect(wire)
    hub.connect(dump)
    for f in frames:
        wire.deliver([f])
        hub.turn()
    hub.turn()
    assert wire.received == frames
    dump.hub = hub  # type: ignore[attr-defined]
    return dump


def test_classic_pcap_with_nanoseconds(tmp_path: Path) -> None:
    frames = [frame(n, i) for i, n in enumerate(LENGTHS)]
    before = time.time()
    with record(tmp_path / "a.pcap", frames) as dump:
        assert dump.records == 2 * len(frames)
        assert dump.format == "pcap"
    data = (tmp_path / "a.pcap").read_bytes()
    assert data[:4] == (0xA1B23C4D).to_bytes(4, "little")
    with open(tmp_path / "a.pcap", "rb") as file:
        reader = dpkt.pcap.Reader(file)
        records = list(reader)
    assert reader.datalink() == dpkt.pcap.DLT_EN10MB
    assert sorted(bytes(f) for _, f in records) == sorted(frames * 2)
    times = [float(t) for t, _ in records]
    assert times == sorted(times)
    assert before - 1 < times[0] <= times[-1] < time.time() + 1


def test_pcapng_says_directions_and_nanoseconds(tmp_path: Path) -> None:
    frames = [frame(n, i) for i, n in enumerate(LENGTHS)]
    record(tmp_path / "a.pcapng", frames, start=5_000_000_000_000_000_001).close()
    data = (tmp_path / "a.pcapng").read_bytes()
    at, directions, found = 0, [], []
    while at < len(data):
        kind, size = (int.from_bytes(data[at + i : at + i + 4], "little") for i in (0, 4))
        assert size % 4 == 0
        assert data[at + size - 4 : at + size] == data[at + 4 : at + 8]
        if kind == 6:
            captured = int.from_bytes(data[at + 20 : at + 24], "little")
            found.append(data[at + 28 : at + 28 + captured])
            tail = at + 28 + (captured + 3) // 4 * 4
            assert data[tail : tail + 4] == b"\x02\0\x04\0"
            directions.append(data[tail + 4])
        at += size
    assert sorted(found) == sorted(frames * 2)
    assert directions.count(2) == directions.count(1) == len(frames)
    with open(tmp_path / "a.pcapng", "rb") as file:
        reader = dpkt.pcapng.Reader(file)
        records = list(reader)
    assert [bytes(f) for _, f in records] == found
    assert float(records[0][0]) >= 5_000_000_000


def test_snaplen_cuts_the_bytes_and_keeps_the_length(tmp_path: Path) -> None:
    for name in ("a.pcap", "a.pcapng"):
        record(tmp_path / name, [frame(1514), frame(60)], snaplen=61).close()
    data = (tmp_path / "a.pcap").read_bytes()
    assert len(data) == 24 + 2 * (16 + 61) + 2 * (16 + 60)
    assert int.from_bytes(data[24 + 8 : 24 + 12], "little") == 61
    assert int.from_bytes(data[24 + 12 : 24 + 16], "little") == 1514
    with open(tmp_path / "a.pcapng", "rb") as file:
        assert sorted(len(f) for _, f in dpkt.pcapng.Reader(file)) == [60, 60, 61, 61]


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, old[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)


@pytest.mark.parametrize("name", ["a.pcap", "a.pcapng"])
def test_a_full_disk_ends_the_dump_at_a_whole_record(tmp_path: Path, name: str) -> None:
    wire, plug = Wire(), Loopback()
    path = tmp_path / name
    with Hub() as hub, Pcap(plug, path) as dump:
        hub.connect(wire)
        hub.connect(dump)
        with file_size_limit(20_000):
            for i in range(30):
                wire.deliver([frame(1514, i)] * 3)
                hub.turn()
            hub.turn()
        assert dump.error is not None
        assert dump.error.errno == 27  # EFBIG
        assert dump.counters.errors == 1
        assert len(wire.received) == 90
        kept = dump.records
    reader = dpkt.pcapng.Reader if name.endswith("ng") else dpkt.pcap.Reader
    with open(path, "rb") as file:
        records = list(reader(file))
    assert len(records) == kept > 0
    assert all(len(f) == 1514 for _, f in records)


def test_files_that_cannot_be_written(tmp_path: Path) -> None:
    with Null() as null:
        with pytest.raises(BackendError, match="capture file"):
            Pcap(null, tmp_path / "none" / "a.pcap")
        with pytest.raises(BackendError, match="No space left"):
            Pcap(null, "/dev/full")
        with pytest.raises(ConfigurationError, match="expected one of: pcap, pcapng"):
            Pcap(null, tmp_path / "a", format="cap")
        with pytest.raises(ConfigurationError, match="snaplen"):
            Pcap(null, tmp_path / "a", snaplen=0)
        assert not null.in_use
        assert not os.listdir(tmp_path)


def test_a_link_that_goes_passes_through(tmp_path: Path) -> None:
    wire = Wire()
    with Pcap(wire, tmp_path / "a.pcap") as dump:
        assert dump.link_up
        wire.set_link(False)
        assert not dump.link_up
        assert dump.lossless == wire.lossless
    assert wire.closed
