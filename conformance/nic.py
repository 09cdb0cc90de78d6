"""The card under test as QEMU gets it: ours from a nicemu server over vfio-user, or QEMU's own model of it."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Protocol

from .qemu import Qemu, connect, stop

MAC = "52:54:00:12:34:56"
CHECKOUT = Path(__file__).parent.parent


class ServerError(Exception):
    """The nicemu server did not start or refused a command; the text carries what it printed."""


class Nic(Protocol):
    """What the runner needs of either kind."""

    def __enter__(self) -> Nic: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def arguments(self) -> list[str]:
        """QEMU's options that plug the card in."""
        ...

    def set_link(self, qemu: Qemu, up: bool) -> None:
        """Plug or unplug the cable."""
        ...


class Served:
    """A card served by ``python -m nicemu serve``, as any user starts it."""

    def __init__(self, model: str, folder: Path, options: tuple[str, ...] = ("--netdev", "user")) -> None:
        self.folder = folder
        self.path = folder / "nic"
        self.monitor = folder / "monitor"
        self.messages = folder / "nicemu.log"
        self.command = [sys.executable, "-m", "nicemu", "serve", f"{model},mac={MAC}", *options]
        self.command += ["--socket-path", str(self.path), "--monitor", str(self.monitor)]
        self._monitor: socket.socket | None = None

    def __enter__(self) -> Served:
        with open(self.messages, "w") as messages:
            self.process = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=messages, stderr=messages, cwd=CHECKOUT
            )
        deadline = time.monotonic() + 20
        while not self.path.exists():
            if self.process.poll() is not None or time.monotonic() > deadline:
                stop(self.process)
                raise ServerError(f"`{' '.join(self.command)}` made no socket: {self.said()}")
            time.sleep(0.01)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._monitor is not None:
            self._monitor.close()
        stop(self.process)

    def said(self) -> str:
        """What the server printed so far."""
        return self.messages.read_text(errors="replace")

    def arguments(self) -> list[str]:
        where = {"type": "unix", "path": str(self.path)}
        return ["-device", json.dumps({"driver": "vfio-user-pci", "id": "nic", "addr": "5", "socket": where})]

    def set_link(self, qemu: Qemu, up: bool) -> None:
        self.ask(f"set_link {'on' if up else 'off'}")

    def counters(self) -> dict[str, int]:
        """What the card and its wire counted so far, by name."""
        return {name: int(value) for name, value in (line.split() for line in self.ask("info counters"))}

    def ask(self, command: str) -> list[str]:
        """The monitor's answer to a command, without its last line, OK; ServerError when that is another."""
        if self._monitor is None:
            self._monitor = connect(self.monitor, 5)
            self._replies = self._monitor.makefile("r")
        self._monitor.sendall(command.encode() + b"\n")
        lines = []
        while (reply := self._replies.readline().strip()) != "OK":
            if not reply or reply.startswith("ERR"):
                raise ServerError(f"monitor: {command!r} was answered {reply!r}: {self.said()}")
            lines.append(reply)
        return lines


class Wired(Served):
    """A card whose wire is a Unix datagram socket; what finds its ring full is lost, as on any other wire."""

    def __init__(self, model: str, folder: Path, local: Path, remote: Path) -> None:
        super().__init__(f"{model},overflow=drop", folder, ("--netdev", datagrams(local, remote)))


def datagrams(local: Path, remote: Path) -> str:
    """A netdev, nicemu's and QEMU's: a Unix datagram socket, one frame a datagram."""
    return f"dgram,local.type=unix,local.path={local},remote.type=unix,remote.path={remote}"


class Peer:
    """QEMU's own model of the card, for comparison."""

    def __init__(self, model: str, netdev: str = "user") -> None:
        self.model = model
        self.netdev = netdev

    def __enter__(self) -> Peer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def arguments(self) -> list[str]:
        device = f"{self.model},netdev=wire,id=nic,mac={MAC},addr=5,romfile="
        return ["-netdev", f"{self.netdev},id=wire", "-device", device]

    def set_link(self, qemu: Qemu, up: bool) -> None:
        qemu.command("set_link", name="nic", up=up)
