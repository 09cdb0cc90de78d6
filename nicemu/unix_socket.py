"""Unix sockets with a path: private, in place of a dead one, never in place of anything else."""

from __future__ import annotations

import errno
import os
import socket
import stat

__all__ = ["SocketFile", "bind_datagram", "listen", "path_bytes"]


def listen(path: str, backlog: int = 8) -> socket.socket:
    """A listening, non-blocking socket at `path` with mode 0600; a socket file that nobody listens at is replaced.

    Raises OSError, with a message that tells why, if the path is taken, too long (107 bytes) or cannot be used.
    """
    path_bytes(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        os.fchmod(listener.fileno(), 0o600)  # bind gives the file the mode of the socket
        _remove_dead(path, socket.SOCK_STREAM)
        listener.bind(path)
        listener.listen(backlog)
    except OSError as error:
        listener.close()
        raise OSError(error.errno, f"cannot listen at {path}: {error.strerror}") from None
    listener.setblocking(False)
    return listener


def bind_datagram(path: str) -> tuple[socket.socket, socket.socket]:
    """Two datagram sockets with the address `path`, mode 0600: the one that senders reach, and one to send from.

    One to send from may be connected without the other's hearing nobody but that peer any more.  Raises as `listen`.
    """
    path_bytes(path)
    receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        _remove_dead(path, socket.SOCK_DGRAM)
        sender.bind(path)
        os.unlink(path)  # the socket keeps the name
        os.fchmod(receiver.fileno(), 0o600)
        receiver.bind(path)
    except OSError as error:
        receiver.close()
        sender.close()
        raise OSError(error.errno, f"cannot bind to {path}: {error.strerror}") from None
    return receiver, sender


def path_bytes(path: str) -> bytes:
    """The path as bytes; OSError unless a socket's address can hold it."""
    encoded = os.fsencode(path)
    if not 1 <= len(encoded) <= 107 or b"\0" in encoded:
        raise OSError(errno.EINVAL, f"{path!r} has {len(encoded)} bytes; expected 1 to 107 for the path of a socket")
    return encoded


class SocketFile:
    """The file of a bound socket, to be removed with it: not by a forked child, and not once another has its place."""

    def __init__(self, path: str) -> None:
        self.path, self._pid, self._identity = os.path.abspath(path), os.getpid(), _identity(path)

    def remove(self) -> None:
        """Removes the file if it is still the one."""
        if self._pid == os.getpid() and self._identity is not None and _identity(self.path) == self._identity:
            os.unlink(self.path)


def _identity(path: str) -> tuple[int, int] | None:
    try:
        status = os.lstat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _remove_dead(path: str, kind: int) -> None:
    """Removes a socket that nobody listens at; OSError if somebody does, or if it is something else."""
    try:
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            raise OSError(errno.EEXIST, "it exists and is no socket")
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, kind) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
            return
        except OSError as error:  # alive: its queue is full, it has a peer, or it is of another type
            if error.errno not in (errno.EAGAIN, errno.EPERM, errno.EPROTOTYPE):
                raise
    raise OSError(errno.EADDRINUSE, "another program listens there")
