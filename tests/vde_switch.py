"""A VDE switch of the tests: gives each plug a port, and repeats what one sends to all others."""

from __future__ import annotations

import os
import select
import socket
import struct
from pathlib import Path

REQUEST = 4 + 4 + 4 + 110 + 128


class Switch:
    """Serves when `step` is called; `plugs` are (control connection, data socket, request)."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(str(folder / "ctl"))
        self.listener.listen(8)
        self.plugs: list[tuple[socket.socket, socket.socket, bytes]] = []
        self.answers = True

    def step(self) -> None:
        """Takes what has come."""
        while select.select([self.listener], [], [], 0)[0]:
            control, _ = self.listener.accept()
            request = control.recv(1024)
            assert len(request) == REQUEST
            if not self.answers:
                control.close()
                continue
            data = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            place = self.folder / f"{len(self.plugs) + 1:03d}.{os.getpid()}"
            data.bind(str(place))
            data.connect(self.own_address(request))
            control.send(struct.pack("H108s", socket.AF_UNIX, os.fsencode(place)))
            self.plugs.append((control, data, request))
        for _, data, _ in self.plugs:
            while select.select([data], [], [], 0)[0]:
                frame = data.recv(1 << 17)
                for _, other, _ in self.plugs:
                    if other is not data:
                        other.send(frame)

    @staticmethod
    def own_address(request: bytes) -> bytes:
        family = struct.unpack_from("H", request, 12)[0]
        assert family == socket.AF_UNIX
        return request[14:122].rstrip(b"\0")

    def close(self) -> None:
        self.listener.close()
        (self.folder / "ctl").unlink()
        for control, data, _ in self.plugs:
            control.close()
            data.close()
        for place in self.folder.glob(f"*.{os.getpid()}"):
            place.unlink()
