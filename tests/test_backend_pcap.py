"""The capture file is what independent readers expect, and a full disk does not stop the traffic."""

from __future__ import annotations

import os
import resource
import signal
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


def test_microseconds_as_qemus_filter_dump(tmp_path: Path) -> None:
    """Magic and fractions of the older form; conformance compares with a dump of QEMU's own."""
    start = 1_700_000_000_123_456_789
    record(tmp_path / "a.pcap", [frame(60)], precision="us", snaplen=65536, start=start).close()
    data = (tmp_path / "a.pcap").read_bytes()
    assert data[:24] == bytes.fromhex("d4c3b2a102000400000000000000000000000100010000 00")
    seconds, fraction = (int.from_bytes(data[at : at + 4], "little") for at in (24, 28))
    assert fraction < 10**6
    assert seconds * 10**6 + fraction >= start // 1000
    with Null() as null, pytest.raises(ConfigurationError, match="precision=us of pcapng; expected ns, or us for pcap"):
        Pcap(null, tmp_path / "a.pcapng", precision="us")


# ---------------------------------------------------------------------- what happens to the file (robustness D15)


class Traffic:
    """A recorded wire that frames go over, however the file fares."""

    def __init__(self, path: Path, **options: object) -> None:
        self.wire = Wire()
        self.dump = Pcap(Loopback(), path, **options)  # type: ignore[arg-type]
        self.hub = Hub()
        self.hub.connect(self.wire)
        self.hub.connect(self.dump)
        self.sent = 0

    def go(self, count: int) -> None:
        for _ in range(count):
            self.wire.deliver([frame(1514, self.sent)])
            self.sent += 1
            self.hub.turn()
        self.hub.turn()
        assert len(self.wire.received) == self.sent, "the traffic goes on"


def test_the_signal_of_the_size_limit_kills_nobody(tmp_path: Path) -> None:
    """The interpreter ignores SIGXFSZ; what writev says in its place ends the dump."""
    assert signal.getsignal(signal.SIGXFSZ) == signal.getsignal(signal.SIGPIPE) == signal.SIG_IGN
    traffic = Traffic(tmp_path / "a.pcap")
    with file_size_limit(10_000):
        traffic.go(20)
    assert traffic.dump.error is not None
    assert (traffic.dump.error.errno, traffic.dump.records) == (27, 6)
    traffic.hub.close()


def test_a_pipe_whose_reader_left(tmp_path: Path) -> None:
    """EPIPE ends the dump."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    traffic = Traffic(fifo)
    traffic.go(2)
    assert os.read(reader, 24)[:4] == (0xA1B23C4D).to_bytes(4, "little")
    os.close(reader)
    traffic.go(5)
    assert traffic.dump.error is not None
    assert traffic.dump.error.errno == 32
    assert traffic.dump.counters.errors == 1
    traffic.hub.close()


def test_a_pipe_that_nobody_reads_does_not_stop_the_traffic(tmp_path: Path) -> None:
    """A full pipe is a full disk: the dump ends, the card does not wait."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    traffic = Traffic(fifo)
    traffic.go(800)
    assert traffic.dump.error is not None
    assert traffic.dump.error.errno == 11  # EAGAIN
    traffic.hub.close()
    os.close(reader)


def test_a_file_that_is_deleted_is_written_to_its_end(tmp_path: Path) -> None:
    traffic = Traffic(tmp_path / "a.pcap")
    with open(tmp_path / "a.pcap", "rb") as kept:
        traffic.go(3)
        os.unlink(tmp_path / "a.pcap")
        traffic.go(3)
        assert traffic.dump.error is None
        traffic.hub.close()
        assert len(list(dpkt.pcap.Reader(kept))) == 12


def test_a_descriptor_that_is_gone(tmp_path: Path) -> None:
    """A host program that closed what was not its own: EBADF, once."""
    traffic = Traffic(tmp_path / "a.pcap")
    (mine,) = [fd for fd in range(256) if os.path.realpath(f"/proc/self/fd/{fd}") == str(tmp_path / "a.pcap")]
    os.close(mine)
    traffic.go(5)
    assert traffic.dump.error is not None
    assert traffic.dump.error.errno == 9
    traffic.hub.close()
