"""The object filter-dump next to QEMU's own: the same frames, the same file; and a disk that fills up under it."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from pathlib import Path

import pytest

from nicemu.backends import Backend, Hub, Null, PythonBackend, wrap

from . import provision
from .qemu import stop

LENGTHS = [60, 61, 62, 63, 64, 100, 128, 1000, 1513, 1514, 4096, 9000]


def frame(number: int, length: int) -> bytes:
    return b"\xff" * 6 + b"\x52\x54\0\0\0\x01\x88\xb5" + bytes((number + i) & 0xFF for i in range(length - 14))


FRAMES = [frame(n, length) for n, length in enumerate(LENGTHS)]


def qemus_dump(folder: Path, maxlen: int) -> bytes:
    """Two netdevs of QEMU on one hub, the frames from the first to the second, recorded at the first."""
    tree = provision.ensure()
    command = [*tree.qemu(), "-M", "none", "-nodefaults", "-display", "none", "-run-with", "exit-with-parent=on"]
    ends = {}
    for name in ("a", "b"):
        ends[name] = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        ends[name].bind(str(folder / f"{name}.test"))
        ends[name].settimeout(10)
        paths = f"local.type=unix,local.path={folder}/{name}.qemu,remote.type=unix,remote.path={folder}/{name}.test"
        command += ["-netdev", f"dgram,id={name},{paths}", "-netdev", f"hubport,id={name}.hub,hubid=0,netdev={name}"]
    command += ["-object", f"filter-dump,id=f,netdev=a,file={folder}/qemu.pcap,maxlen={maxlen}"]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 20
        while not (folder / "b.qemu").exists():
            assert time.monotonic() < deadline, "QEMU does not start"
            time.sleep(0.05)
        for sent in FRAMES:
            ends["a"].sendto(sent, str(folder / "a.qemu"))
            assert ends["b"].recv(1 << 17) == sent
    finally:
        stop(process)
        for end in ends.values():
            end.close()
    return (folder / "qemu.pcap").read_bytes()


class Source(PythonBackend):
    """Brings the frames."""


def our_dump(folder: Path, maxlen: int) -> bytes:
    with Hub() as hub:
        source, file = Source(), folder / "ours.pcap"
        dump = wrap(source, "filter-dump", {"file": str(file), "maxlen": str(maxlen)})
        hub.connect(dump)
        hub.connect(Null())
        for sent in FRAMES:
            source.deliver([sent])
            hub.turn()
    return file.read_bytes()


def split(data: bytes) -> tuple[bytes, list[tuple[float, bytes]]]:
    """The file's header, and of each record its time and everything else."""
    at, records = 24, []
    while at < len(data):
        seconds, fraction, captured, _ = (int.from_bytes(data[at + i : at + i + 4], "little") for i in (0, 4, 8, 12))
        records.append((seconds + fraction / 1e6, data[at + 8 : at + 16 + captured]))
        at += 16 + captured
    assert at == len(data)
    return data[:24], records


@pytest.mark.parametrize("maxlen", [65536, 100])
def test_the_file_of_qemus_filter_dump(tmp_path: Path, maxlen: int) -> None:
    begin = time.time()
    (their_header, theirs), (our_header, ours) = split(qemus_dump(tmp_path, maxlen)), split(our_dump(tmp_path, maxlen))
    assert our_header == their_header
    assert len(ours) == len(theirs) == len(FRAMES)
    assert [rest for _, rest in ours] == [rest for _, rest in theirs]
    for records in (theirs, ours):
        times = [at for at, _ in records]
        assert times == sorted(times)
        assert all(begin - 5 < at < time.time() + 5 for at in times)


class Wire(PythonBackend):
    """Counts what leaves."""

    frames = 0

    def send(self, frames: list[bytes]) -> None:
        self.frames += len(frames)


def record(lower: Backend, folder: Path, kind: str) -> Backend:
    return wrap(lower, "filter-dump", {"file": str(folder / f"full.{kind}")})


@pytest.mark.parametrize("kind", ["pcap", "pcapng"])
def test_a_disk_that_fills_up(tmp_path: Path, kind: str) -> None:
    """A file system of 64 KiB: the dump ends at a whole record, once, and the traffic goes on (robustness D15)."""
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(disk)], check=True)
    try:
        source, wire = Source(), Wire()
        dump = record(wire, disk, kind)
        with Hub() as hub:
            hub.connect(source)
            hub.connect(dump)
            for _ in range(100):
                source.deliver([frame(1, 1514)])
                hub.turn()
            assert wire.frames == 100
            assert dump.error is not None  # type: ignore[attr-defined]
            assert dump.error.errno == 28  # type: ignore[attr-defined]  # ENOSPC
            assert dump.counters.errors == 1
            records = dump.records  # type: ignore[attr-defined]
        size = os.stat(disk / f"full.{kind}").st_size
        head, each = (24, 16 + 1514) if kind == "pcap" else (28 + 40, 28 + 1516 + 16)
        assert 30 < records < 100
        assert size == head + each * records
    finally:
        subprocess.run(["umount", str(disk)], check=True)
