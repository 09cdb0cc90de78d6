"""D24 every allocation of the engine may fail: a typed error, nothing lost, and everything works afterwards."""

from __future__ import annotations

import ctypes
import gc
import os
import shlex
import socket
import subprocess
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fuzz.run import in_child

import nicemu
import nicemu.backends
import nicemu.hosts.vfio_user
from nicemu.devices import find_class
from nicemu.engine import ffi, lib
from nicemu.errors import NicemuError

HERE = Path(__file__).parent

#: What is done with the n-th allocation failing; `made` is closed afterwards, the last first.
ACTIONS = {
    "clock": "nicemu.Clock().now; nicemu.Clock.virtual().now",
    "memory": "m = nicemu.GuestMemory()\nfor n in range(40): m.add(n << 12, bytearray(4096))",
    "loop": "loop = nicemu.Loop()\nloop.watch(PIPE, print)\nloop.unwatch(PIPE)",
    "card": "made.append(nicemu.create(MODEL, memory=nicemu.GuestMemory(65536)))",
    "trace": "nic = card()\nnic.start_trace(1000)\nnic.config.read(0)\nnic.take_trace()",
    "snapshot": "nic = card()\ndata = nic.save()\nnic.load(data)\nassert nic.save() == data",
    "null": "made.append(nicemu.backends.Null())",
    "loopback": "made.append(nicemu.backends.Loopback())",
    "python": "made.append(nicemu.backends.PythonBackend())",
    "pair": "made.extend(nicemu.backends.Pair.create())",
    "hub": "hub = nicemu.backends.Hub(); made.append(hub)\nfor n in range(4): hub.port()",
    "pcap": "made.append(nicemu.backends.Pcap(nicemu.backends.Null(), '/dev/null'))",
    "faults": "made.append(nicemu.backends.Faults(nicemu.backends.Null()))",
    "rate": "made.append(nicemu.backends.Rate(nicemu.backends.Null()))",
    "tee": "made.append(nicemu.backends.Tee(nicemu.backends.Null(), nicemu.backends.Null()))",
    "user": "made.append(nicemu.backends.User())",
    "tap": """
near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
made.append(far)
made.append(nicemu.backends.Backend(lib.nic_tap_new(near.detach(), 10, 0, ffi.NULL)))
""",
    "vde": """
failure = ffi.new("int *")
end = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
texts = [ffi.new("char[]", (FOLDER + name).encode()) for name in ("/none", "/own", "us")]
config = {"fd": end.detach(), "control": texts[0], "own": texts[1], "description": texts[2]}
assert lib.nic_vde_new(ffi.new("nic_vde_config *", config), failure) == ffi.NULL
if failure[0] == 12:
    raise MemoryError("no memory")
""",
    "stream": "made.append(nicemu.backends.Stream(fd=socket.socketpair()[0]))",
    "passt": "made.append(nicemu.backends.Stream(fd=socket.socketpair()[0]))",  # what it is, besides a process
    "dgram": "made.append(nicemu.backends.Dgram(fd=socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)[0]))",
    "socket": "made.append(nicemu.backends.SocketStream(fd=socket.socketpair()[0]))",
    "l2tpv3": """
ends = {"src": "127.0.0.1", "dst": "127.0.0.1", "udp": True, "srcport": 0, "dstport": 9}
made.append(nicemu.backends.L2tpv3(**ends, txsession=1))
""",
    "plugged": "nic = card(backend=nicemu.backends.Loopback())\nnic.poll()",
    "server": """
nic = card()
server = nicemu.hosts.vfio_user.Server(nic, socket_path=FOLDER + '/s')
made.append(server)
client = socket.socket(socket.AF_UNIX)
client.connect(FOLDER + '/s')
client.send(bytes(8) + b'\\x20' + bytes(23))
for _ in range(3):
    nic.loop.turn(0.01)
client.close()
nic.loop.turn(0.01)
""",
}


def attempts(library: Path, folder: Path, model: str, action: str) -> list[tuple[str, int]]:
    """In a child process: what comes of an action as it is, and with each of its allocations failing.

    Each outcome stands with the number of allocations; behind every failure is the action as it is again.
    """
    faults = ctypes.CDLL(str(library))
    pipe, _ = os.pipe()
    names = {"nicemu": nicemu, "socket": socket, "ffi": ffi, "lib": lib}
    names |= {"FOLDER": str(folder), "MODEL": model, "PIPE": pipe}
    warm = nicemu.create(model)
    assert faults.faults_install(b"_engine") >= 3, "malloc, calloc and realloc of the engine were not found"

    def attempt(n: int) -> tuple[str, int]:
        made: list[Any] = []

        def card(**options: Any) -> nicemu.Nic:
            made.append(nicemu.create(model, **options))
            return made[-1]  # type: ignore[no-any-return]

        faults.faults_arm(n)
        try:
            exec(action, {**names, "made": made, "card": card})
            outcome = "done"
        except (NicemuError, MemoryError) as error:
            outcome = f"{type(error).__name__}: {error}"
        asked = faults.faults_arm(0)
        for thing in reversed(made):
            thing.close()
        gc.collect()
        return outcome, asked

    results = [attempt(0)]
    for n in range(1, 1 + results[0][1]):
        results += [attempt(n), attempt(0)]
    warm.poll()
    warm.close()
    return results


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library that makes allocations fail."""
    path = tmp_path_factory.mktemp("faults") / "faults.so"
    compiler = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC"))
    command = [*compiler, "-std=gnu11", "-Wall", "-Wextra", "-Werror", "-O1", "-shared", "-fPIC"]
    clean = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}
    subprocess.run([*command, "-o", path, HERE / "faults.c"], check=True, env=clean)
    return path


def cases() -> Iterator[pytest.param]:  # type: ignore[valid-type]
    """Each action, with every model if it makes a card of the model; a server takes those for PCI."""
    every = [info.name for info in nicemu.models()]
    for action, code in ACTIONS.items():
        for model in every if "MODEL" in code or "card(" in code else every[:1]:
            if action != "server" or find_class(model).FUNCTION:
                yield pytest.param(model, action, id=f"{model}-{action}")


@pytest.mark.parametrize(("model", "action"), list(cases()))
def test_the_nth_allocation_fails(model: str, action: str, library: Path, tmp_path: Path) -> None:
    outcomes = in_child(lambda: attempts(library, tmp_path, model, ACTIONS[action]))
    (first, asked), *others = outcomes
    assert first == "done", first
    assert asked > 0, "nothing was allocated"
    failed, intact = others[::2], others[1::2]
    assert len(failed) == asked
    assert [outcome for outcome, _ in intact] == ["done"] * asked, "something was left behind"
    for number, (outcome, _) in enumerate(failed, 1):
        assert outcome == "done" or "memory" in outcome.lower(), f"allocation {number}: {outcome}"


def test_every_kind_of_backend_is_here() -> None:
    """So that a new one joins."""
    kinds = {kind.name for kind in nicemu.backends.available()}
    kinds -= {"bridge"}  # a tap
    kinds |= {kind.name.replace("filter-dump", "pcap") for kind in nicemu.backends.wrappers()}
    assert kinds
    assert kinds <= set(ACTIONS), f"no allocation test for {sorted(kinds - set(ACTIONS))}"
