"""A network namespace with a bridge, where a tap's far side can be, and what taps need of the machine.

Needs root. What cannot be had is an error, never a test left out.
"""

from __future__ import annotations

import os
import stat
import subprocess
import time
from itertools import count
from pathlib import Path
from types import TracebackType

DEVICE = Path("/dev/net/tun")
ADDRESS = "10.0.2.2"  # where guests look for the host
#: Seconds that the kernel gets for what it does by and by.
PATIENCE = 30.0
_numbers = count()


class NamespaceError(Exception):
    """This machine has no taps or namespaces for us; the text says what was tried."""


def need_taps() -> None:
    """Sees to it that there is a tun device; NamespaceError if that cannot be."""
    if os.geteuid():
        raise NamespaceError("taps and namespaces are made by root only: run this test as root")
    if not DEVICE.exists():
        DEVICE.parent.mkdir(parents=True, exist_ok=True)
        os.mknod(DEVICE, stat.S_IFCHR | 0o600, os.makedev(10, 200))
    try:
        os.close(os.open(DEVICE, os.O_RDWR))
    except OSError as error:
        raise NamespaceError(f"{DEVICE}: {error.strerror}; the kernel needs CONFIG_TUN") from error


def run(*command: str) -> str:
    """Standard output of a command; NamespaceError with what it said when it fails."""
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode:
        raise NamespaceError(f"`{' '.join(command)}` failed: {(done.stderr or done.stdout).strip()}")
    return done.stdout


class Namespace:
    """A namespace for the time of a ``with`` block; ``tap`` is a name for an interface that nothing else has."""

    def __init__(self) -> None:
        number = next(_numbers)
        self.name = f"nicemu-{os.getpid()}-{number}"
        self.tap = f"nt{os.getpid()}.{number}"

    def __enter__(self) -> Namespace:
        need_taps()
        run("ip", "netns", "add", self.name)
        run("ip", "-n", self.name, "link", "set", "lo", "up")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        run("ip", "netns", "del", self.name)

    def inside(self, *command: str) -> list[str]:
        """A command line that runs in the namespace."""
        return ["ip", "netns", "exec", self.name, *command]

    def run(self, *command: str) -> str:
        """Runs a command there."""
        return run(*self.inside(*command))

    def ip(self, *words: str) -> str:
        """Runs ip there."""
        return run("ip", "-n", self.name, *words)

    def bridge(self, name: str = "br0", address: str = f"{ADDRESS}/24") -> None:
        """Makes a bridge with an address."""
        self.ip("link", "add", name, "type", "bridge")
        self.ip("addr", "add", address, "dev", name)
        self.ip("link", "set", name, "up")

    def take(self, interface: str, bridge: str = "") -> None:
        """Moves an interface of this namespace into that one, and takes it up there; its descriptor stays good.

        Where it is to be a port of a bridge, that passes frames on and answers when this returns.
        """
        run("ip", "link", "set", interface, "netns", self.name)
        if bridge:
            self.ip("link", "set", interface, "master", bridge)
        self.ip("link", "set", interface, "up")
        if bridge:
            self.forwards(interface)
            self.carries(bridge)

    def forwards(self, interface: str) -> None:
        """Waits until a port of the bridge forwards, which the kernel sees to by and by."""
        deadline = time.monotonic() + PATIENCE
        while "state forwarding" not in self.run("bridge", "link", "show", "dev", interface):
            if time.monotonic() > deadline:
                raise NamespaceError(f"{interface} does not forward")
            time.sleep(0.01)

    def carries(self, interface: str) -> None:
        """Waits until an interface has a carrier that its queue knows of; before, what it sends is lost."""
        deadline = time.monotonic() + PATIENCE
        while "state UP" not in self.ip("link", "show", interface):
            if time.monotonic() > deadline:
                raise NamespaceError(f"{interface} is not up")
            time.sleep(0.01)

    def count(self, interface: str, counter: str) -> int:
        """One of the interface's statistics."""
        return int(self.run("cat", f"/sys/class/net/{interface}/statistics/{counter}"))
