"""QEMU as a process: its command line, its end, and its QMP channel."""

from __future__ import annotations

import json
import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from .provision import Tree

MEMORY = 512 << 20


class QemuError(Exception):
    """QEMU did not start, died, or refused a command; the text carries what it printed."""


class Qemu:
    """A QEMU process whose guest memory is shared, as a device process behind vfio-user needs it.

    Sockets, the process's own messages and other files of the run lie in ``folder``.
    """

    def __init__(self, tree: Tree, folder: Path, arguments: list[str], accelerator: str = "tcg") -> None:
        self.folder = folder
        self.messages = folder / "qemu.log"
        memory = f"memory-backend-memfd,id=memory,size={MEMORY},share=on"
        command = [*tree.qemu(), "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"]
        command += ["-run-with", "exit-with-parent=on", "-qmp", f"unix:{folder}/qmp,server=on,wait=off"]
        command += ["-M", f"pc,accel={accelerator},memory-backend=memory", "-m", f"{MEMORY >> 20}M"]
        command += ["-object", memory, *arguments]
        with open(self.messages, "w") as messages:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=messages, stderr=messages)
        self._qmp: socket.socket | None = None

    def __enter__(self) -> Qemu:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._qmp is not None:
            self._qmp.close()
        stop(self.process)

    def said(self) -> str:
        """What QEMU printed so far."""
        return self.messages.read_text(errors="replace")

    def command(self, name: str, /, **arguments: Any) -> Any:
        """Execute a QMP command and return its value; QemuError when QEMU refuses it."""
        if self._qmp is None:
            self._qmp = connect(self.folder / "qmp", 10)
            self._lines = self._qmp.makefile("r")
            self._lines.readline()
            self._execute("qmp_capabilities", {})
        return self._execute(name, arguments)

    def _execute(self, name: str, arguments: dict[str, Any]) -> Any:
        assert self._qmp is not None
        self._qmp.sendall(json.dumps({"execute": name, "arguments": arguments}).encode() + b"\n")
        while line := self._lines.readline():
            answer = json.loads(line)
            if "return" in answer:
                return answer["return"]
            if "error" in answer:
                raise QemuError(f"{name} {arguments}: {answer['error']['desc']}")
        raise QemuError(f"QEMU closed the QMP channel at {name}: {self.said()}")


def connect(path: Path, seconds: float) -> socket.socket:
    """Connect to a Unix stream socket that may not be listening yet."""
    deadline = time.monotonic() + seconds
    while True:
        channel = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            channel.connect(str(path))
        except (FileNotFoundError, ConnectionRefusedError):
            channel.close()
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            channel.settimeout(seconds)
            return channel


def stop(process: subprocess.Popen[Any]) -> None:
    """End a process politely, then for certain."""
    process.terminate()
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
