"""Unix sockets to listen at: private, in place of a dead one, never in place of anything else."""

from __future__ import annotations

import errno
import os
import socket
import stat

__all__ = ["listen"]


def listen(path: str, backlog: int = 8) -> socket.socket:
    """A listening, non-blocking socket at `path` with mode 0600; a socket file that nobody listens at is replaced.

    Raises OSError, with a message that tells why, if the path is taken, too long (107 bytes) or cannot be used.
    """
    encoded = os.fsencode(path)
    if not 1 <= len(encoded) <= 107 or b"\0" in encoded:
        raise OSError(errno.EINVAL, f"{path!r} has {len(encoded)} bytes; expected 1 to 107 for the path of a socket")
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        os.fchmod(listener.fileno(), 0o600)  # bind gives the file the mode of the socket
        _remove_dead(path)
        listener.bind(path)
        listener.listen(backlog)
    except OSError as error:
        listener.close()
        raise OSError(error.errno, f"cannot listen at {path}: {error.strerror}") from None
    listener.setblocking(False)
    return listener


def _remove_dead(path: str) -> None:
    """Removes a socket that nobody listens at; OSError if somebody does, or if it is something else."""
    try:
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            raise OSError(errno.EEXIST, "it exists and is no socket")
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
            return
        except BlockingIOError:  # its queue is full, so it is alive
            pass
    raise OSError(errno.EADDRINUSE, "another program listens there")
