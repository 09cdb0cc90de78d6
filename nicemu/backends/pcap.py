"""A wrapper that records a wire in a file."""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
from typing import Any

from nicemu.backends.base import Backend, Wrapper, WrapperType
from nicemu.engine import ffi, lib
from nicemu.errors import BackendError, ConfigurationError
from nicemu.options import Option

__all__ = ["WRAPPERS", "Pcap"]

FORMATS = ("pcap", "pcapng")
#: The engine's numbers, by format and precision.
LAYOUTS = {("pcap", "ns"): 0, ("pcapng", "ns"): 1, ("pcap", "us"): 2}
F_SETPIPE_SZ, PIPE_BYTES = 1031, 1 << 20


def _never_wait(fd: int) -> None:
    """A pipe gets room, and does not make the card wait when it is full all the same."""
    if stat.S_ISFIFO(os.fstat(fd).st_mode):
        os.set_blocking(fd, False)
        with contextlib.suppress(OSError):  # beyond what the machine allows
            fcntl.fcntl(fd, F_SETPIPE_SZ, PIPE_BYTES)


class Pcap(Wrapper):
    """Records every frame of `lower` in `path` and passes it on: `Pcap(User(), "boot.pcap")`.

    `format` is `pcap` (classic) or `pcapng` (direction of each packet as seen by the card); by default the suffix of
    `path` decides, and is pcap.  `precision` of timestamps is `ns`, or for pcap `us`: the file of QEMU's filter-dump,
    which readers without the nanosecond magic understand too.  `snaplen` is the most bytes of a frame that are
    kept.  Timestamps are the time of day plus the advance of the card's clock; `start` sets the wall time, in ns since
    1970, at which the card's clock reads 0, so that a run on a virtual clock writes the same bytes each time.

    When the file cannot be written (disk full, a pipe that nobody reads) the dump ends at its last whole record,
    `error` tells why, and the traffic goes on.  Frames stand without FCS; those that the wire below loses by choice
    stand too, for they left the card.

    Raises BackendError if the file cannot be opened, ConfigurationError for a wrong option.
    """

    kind = "pcap"

    def __init__(
        self,
        lower: Backend,
        path: str | os.PathLike[str],
        *,
        format: str = "",
        precision: str = "ns",
        snaplen: int = 65535,
        start: int | None = None,
        name: str = "",
    ) -> None:
        path = os.fspath(path)
        format = format or ("pcapng" if path.endswith(".pcapng") else "pcap")
        if format not in FORMATS:
            raise ConfigurationError(f"unknown format {format!r}; expected one of: {', '.join(FORMATS)}")
        if (format, precision) not in LAYOUTS:
            raise ConfigurationError(f"precision={precision} of {format}; expected ns, or us for pcap")
        if not 1 <= snaplen <= 262144:
            raise ConfigurationError(f"snaplen {snaplen} is out of range; expected 1 to 262144 bytes")
        if start is not None and start < 0:
            raise ConfigurationError(f"start {start} is out of range; expected ns since 1970, 0 or more")
        if lower.in_use:
            raise ConfigurationError(f"{lower.name} is already in use; expected a backend that nothing has")
        try:
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
            _never_wait(fd)
        except OSError as error:
            raise BackendError(error.errno, f"cannot write the capture file: {error.strerror}", path) from error
        failure = ffi.new("int *")
        handle = lib.nic_pcap_new(fd, LAYOUTS[format, precision], snaplen, -1 if start is None else start, failure)
        if handle == ffi.NULL:
            reason = os.strerror(failure[0])
            raise BackendError(failure[0], f"cannot write the capture file: {reason}", path)
        super().__init__(handle, lower, name)
        self.path = path
        self.format = format

    @property
    def error(self) -> OSError | None:
        """Why the dump ended early, or None."""
        code = lib.nic_pcap_error(self.handle)
        return OSError(code, os.strerror(code), self.path) if code else None

    @property
    def records(self) -> int:
        """Whole records in the file."""
        return int(lib.nic_pcap_records(self.handle))


def _make_dump(lower: Backend, *, file: str, maxlen: int = 65536, precision: str = "", **options: Any) -> Wrapper:
    precision = precision or ("ns" if file.endswith(".pcapng") else "us")
    return Pcap(lower, file, snaplen=maxlen, precision=precision, **options)


WRAPPERS = (
    WrapperType(
        "filter-dump",
        "record the frames of a netdev in a file",
        (
            Option("file", "file", "the file; pcapng if it ends so, else classic pcap", required=True),
            Option("maxlen", "int", "the most bytes of a frame that are kept", "65536"),
            Option("precision", "str", "of timestamps: us (as QEMU's) or ns", "us; pcapng: ns"),
        ),
        _make_dump,
    ),
)
