"""Serves a card whose wire is a Unix datagram socket, one frame a datagram: the counterpart of QEMU's -netdev dgram.

``python -m conformance.wired MODEL[,OPTION=VALUE...] --socket-path PATH --monitor PATH --local PATH --remote PATH``
stands in for ``python -m nicemu serve`` where a test makes up frames and looks at those that leave.
"""

from __future__ import annotations

import argparse
import contextlib
import socket

from nicemu.backends import PythonBackend
from nicemu.cli import make_nic
from nicemu.hosts.vfio_user import Server
from nicemu.loop import Loop
from nicemu.monitor import Monitor

LONGEST = 1 << 17
ROOM = 4 << 20


class Datagrams(PythonBackend):
    """One frame a datagram, from ``local`` to ``remote`` and back; a frame that finds no room is lost."""

    def __init__(self, local: str, remote: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, ROOM)
        self.socket.bind(local)
        self.remote = remote
        super().__init__()

    def fileno(self) -> int:
        return self.socket.fileno()

    def send(self, frames: list[bytes]) -> None:
        for frame in frames:
            with contextlib.suppress(BlockingIOError, ConnectionRefusedError, FileNotFoundError):
                self.socket.sendto(frame, self.remote)

    def poll(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                self.deliver([self.socket.recv(LONGEST)])


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m conformance.wired", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("model")
    for option in ("--socket-path", "--monitor", "--local", "--remote"):
        parser.add_argument(option, required=True, metavar="PATH")
    options = parser.parse_args()
    loop = Loop()
    with make_nic(options.model, loop=loop) as nic, Datagrams(options.local, options.remote) as wire:
        nic.plug(wire)
        with Monitor([nic], options.monitor), Server(nic, socket_path=options.socket_path):
            loop.run()


if __name__ == "__main__":
    main()
