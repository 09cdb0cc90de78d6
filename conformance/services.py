"""What a guest finds on the host at 10.0.2.2: an iperf3 server and a small TCP service, both on free local ports."""

from __future__ import annotations

import hashlib
import socket
import socketserver
import subprocess
import threading
import time
from types import TracebackType

from .provision import Tree
from .qemu import stop


class _Conversation(socketserver.StreamRequestHandler):
    """``echo TEXT`` answers TEXT, ``get N`` the numbers 1 to N, ``put SIZE`` the SHA-256 of what follows."""

    def handle(self) -> None:
        verb, _, argument = self.rfile.readline().decode().strip().partition(" ")
        if verb == "echo":
            self.wfile.write(argument.encode() + b"\n")
        elif verb == "get":
            self.wfile.write(b"".join(b"%d\n" % number for number in range(1, int(argument) + 1)))
        elif verb == "put":
            content = self.rfile.read(int(argument))
            self.wfile.write(hashlib.sha256(content).hexdigest().encode() + b"\n")


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    request_queue_size = 128


class Services:
    """Both services for the time of a ``with`` block; ``iperf`` and ``service`` are their ports."""

    def __init__(self, tree: Tree) -> None:
        self._iperf3 = tree.program("iperf3")

    def __enter__(self) -> Services:
        self._server = _Server(("127.0.0.1", 0), _Conversation)
        self.service = int(self._server.server_address[1])
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.iperf = free_port()
        command = [*self._iperf3, "-s", "-B", "127.0.0.1", "-p", str(self.iperf)]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for_port(self.iperf, 10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        stop(self._process)
        self._server.shutdown()
        self._server.server_close()


def free_port() -> int:
    """A TCP port that nobody listens on at 127.0.0.1."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for_port(port: int, seconds: float) -> None:
    """Wait until the port is listened on, as the kernel's table tells; a trial connection would disturb iperf3."""
    deadline = time.monotonic() + seconds
    entry = f" 0100007F:{port:04X} 00000000:0000 0A "
    while True:
        with open("/proc/net/tcp") as table:
            if entry in table.read():
                return
        if time.monotonic() > deadline:
            raise TimeoutError(f"nothing listens on 127.0.0.1:{port} after {seconds} s")
        time.sleep(0.02)
