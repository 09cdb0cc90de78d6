"""`python -m nicemu` in a process of its own, and what its monitor answers."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from pathlib import Path


class Program:
    """`python -m nicemu serve` in a process of its own."""

    def __init__(self, folder: Path, *arguments: str, netdev: str = "null", pass_fds: tuple[int, ...] = ()) -> None:
        self.path = folder / "nic"
        where = () if pass_fds else ("--socket-path", str(self.path))
        command = [sys.executable, "-m", "nicemu", "serve", "e1000", "--netdev", netdev, *where, *arguments]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, pass_fds=pass_fds
        )
        assert self.process.stderr is not None
        self.greeting = self.process.stderr.readline()

    def end(self, number: int = signal.SIGTERM) -> str:
        """Sends a signal; what the program printed after its greeting."""
        self.process.send_signal(number)
        return self.ended()

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()

    def ended(self) -> str:
        out, err = self.process.communicate(timeout=40)
        assert self.process.returncode == 0, err
        assert out == ""
        return err


def ask(path: Path, *commands: str) -> list[str]:
    """The lines of the answers to `commands` over one connection."""
    lines = []
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(30)
        connection.connect(str(path))
        with connection.makefile("rw") as file:
            for command in commands:
                file.write(command + "\n")
                file.flush()
                while True:
                    line = file.readline().rstrip("\n")
                    lines.append(line)
                    if line == "OK" or line.startswith("ERR") or not line:
                        break
    return lines
