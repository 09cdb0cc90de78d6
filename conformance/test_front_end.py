"""The command line and QEMU: the same options say the same, and several served cards are one machine's devices."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

from nicemu import Network
from nicemu.cli.plan import Given, Plan
from nicemu.monitor import Monitor

from .provision import ensure
from .qemu import Qemu, stop

NETWORK = shlex.split(
    "-netdev user,id=n0,net=10.9.0.0/24,restrict=on -device e1000,netdev=n0,id=e0,mac=52:54:00:00:00:01 "
    "-netdev user,id=n1 "
    "-netdev user,id=n2 -netdev hubport,id=p0,hubid=3,netdev=n2 -netdev hubport,id=p1,hubid=3 "
    "-device e1000,netdev=p1,id=e1,mac=52:54:00:00:00:02 "
    "-net nic,model=e1000,macaddr=52:54:00:00:00:03 -net user,id=n4"
)


def test_info_network_is_that_of_qemu(tmp_path: Path) -> None:
    """Line by line; QEMU lists the ports of a hub and what -net makes in an order of its own."""
    with Network() as network:
        given = [Given(option.lstrip("-"), text) for option, text in zip(NETWORK[::2], NETWORK[1::2], strict=True)]
        Plan(given).make(network)
        ours = Monitor(network).line("info network").split("\n")
    with Qemu(ensure(), tmp_path, NETWORK) as qemu:
        theirs = qemu.command("human-monitor-command", **{"command-line": "info network"}).splitlines()
    assert sorted(map(ports_unnamed, ours)) == sorted(map(ports_unnamed, theirs))
    assert " \\ n0: index=0,type=user,net=10.9.0.0,restrict=on" in ours


def ports_unnamed(line: str) -> str:
    """QEMU numbers the ports of a VLAN as they come to it, we as they were written."""
    return line.replace("hub0port0", "hub0port").replace("hub0port1", "hub0port")


def test_qemu_takes_two_cards_of_one_program(tmp_path: Path) -> None:
    line = "-net nic,socket=a,addr=5 -net nic,socket=b,addr=6 -net user"
    command = [sys.executable, "-m", "nicemu", "serve", *line.split()]
    served = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    assert served.stderr
    try:
        devices = []
        for _ in range(2):
            told = json.loads(shlex.split(served.stderr.readline())[-1])
            told["socket"]["path"] = str(tmp_path / told["socket"]["path"])
            devices += ["-device", json.dumps(told)]
        with Qemu(ensure(), tmp_path, devices) as qemu:
            found = {d["slot"]: ids(d) for bus in qemu.command("query-pci") for d in bus["devices"]}
            assert {slot: found.get(slot) for slot in (5, 6)} == {5: (0x8086, 0x100E), 6: (0x8086, 0x100E)}
    finally:
        stop(served)


def ids(device: dict[str, Any]) -> tuple[int, int]:
    return device["id"]["vendor"], device["id"]["device"]
