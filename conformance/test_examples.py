"""The networks that guides to QEMU build, as command lines of `python -m nicemu run`, each program a process.

All run in a network namespace, so that multicast and taps meet nobody else. Needs root.
"""

from __future__ import annotations

import select
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from . import provision
from .namespace import Namespace
from .qemu import stop

#: What each program does with its cards: every card says its address again and again; what the cards have heard is a
#: line whenever it changes. It ends when its standard input does.
SCRIPT = """
import select, sys
from nicemu.drivers import attach

drivers = [attach(card.nic) for card in network.cards.values()]
for driver in drivers:
    driver.start()
heard = [set() for _ in drivers]
print("up", flush=True)
while not select.select([sys.stdin], [], [], 0)[0]:
    for driver, known in zip(drivers, heard):
        if driver.link_up():
            driver.send(b"\\xff" * 6 + driver.mac + b"\\x88\\xb5" + bytes(46))
        news = {f.data[11] for f in driver.receive() if f.data[12:14] == b"\\x88\\xb5"} - known
        known |= news
        if news:
            print(*(",".join(map(str, sorted(known))) or "-" for known in heard), flush=True)
    network.loop.turn(0.02)
"""


class Machine:
    """`python -m nicemu run ARGUMENTS` with the script, in the namespace."""

    def __init__(self, space: Namespace, folder: Path, line: str) -> None:
        (folder / "script.py").write_text(SCRIPT)
        command = [sys.executable, "-m", "nicemu", "run", *shlex.split(line), "script.py"]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(space.inside(*command), cwd=folder, stdin=pipe, stdout=pipe, bufsize=0)
        assert self.process.stdout
        self.out = self.process.stdout
        self.until("up")

    def until(self, line: str) -> None:
        """Waits for a line."""
        said: list[str] = []
        while line not in said:
            said.append(self.out.readline().decode().rstrip("\n"))
            assert said[-1], f"ended, and said {said}"

    def silent(self, seconds: float) -> bool:
        """Whether it says nothing for so long."""
        return not select.select([self.out], [], [], seconds)[0]

    def close(self) -> None:
        self.process.communicate(timeout=60)
        assert self.process.returncode == 0


@pytest.fixture
def space() -> Iterator[Namespace]:
    with Namespace() as space:
        space.ip("route", "add", "224.0.0.0/4", "dev", "lo")
        yield space


Run = Callable[[str], Machine]


@pytest.fixture
def run(space: Namespace, tmp_path: Path) -> Iterator[Run]:
    """Starts a program; all end with the test, each with status 0."""
    machines: list[Machine] = []

    def start(line: str) -> Machine:
        machines.append(Machine(space, tmp_path, line))
        return machines[-1]

    yield start
    for machine in machines:
        machine.close()


def hear_each_other(machines: list[Machine], *heard: str) -> None:
    for machine, line in zip(machines, heard, strict=True):
        machine.until(line)


MAC = "macaddr=52:54:00:12:34:"


def test_three_cards_of_which_two_share_a_vlan(run: Run) -> None:
    machine = run(f"-net nic,vlan=0,{MAC}01 -net nic,vlan=1,{MAC}02 -net nic,vlan=1,{MAC}03")
    machine.until("- 3 2")
    assert machine.silent(0.5), "the first hears nothing"


def test_tcp_listen_and_connect(run: Run) -> None:
    machines = [
        run(f"-net nic,{MAC}01 -net socket,listen=:1234"),
        run(f"-net nic,{MAC}02 -net socket,connect=127.0.0.1:1234"),
    ]
    hear_each_other(machines, "2", "1")


def test_udp_multicast_between_three(run: Run) -> None:
    machines = [run(f"-net nic,{MAC}0{n} -net socket,mcast=230.0.0.1:1234") for n in (1, 2, 3)]
    hear_each_other(machines, "2,3", "1,3", "1,2")


def test_tap_with_a_script(run: Run, space: Namespace, tmp_path: Path) -> None:
    """The contract of qemu-ifup and qemu-ifdown: they are given the interface's name; here they know a bridge."""
    space.bridge()
    for name, commands in {
        "qemu-ifup": 'ip link set "$1" up\nip link set "$1" master br0',
        "qemu-ifdown": 'ip link set "$1" nomaster\nip link set "$1" down',
    }.items():
        (tmp_path / name).write_text(f'#!/bin/sh -e\n{commands}\necho "$0 $1" >> log\n')
        (tmp_path / name).chmod(0o755)
    scripts = f"script={tmp_path}/qemu-ifup,downscript={tmp_path}/qemu-ifdown"
    machines = [run(f"-net nic,{MAC}0{n} -net tap,ifname=tap{n},{scripts}") for n in (1, 2)]
    hear_each_other(machines, "2", "1")
    for machine in machines:
        machine.close()
    ups, downs = [[f"{tmp_path}/qemu-if{way} tap{n}" for n in (1, 2)] for way in ("up", "down")]
    assert (tmp_path / "log").read_text().splitlines() == ups + downs


def test_tap_without_scripts(run: Run, space: Namespace) -> None:
    space.bridge()
    for n in (1, 2):
        space.ip("tuntap", "add", f"tap{n}", "mode", "tap")
        space.ip("link", "set", f"tap{n}", "up", "master", "br0")
    machines = [run(f"-net nic,{MAC}0{n} -net tap,ifname=tap{n},script=no,downscript=no") for n in (1, 2)]
    hear_each_other(machines, "2", "1")


@pytest.mark.parametrize("url", ["", "vde://"], ids=["protocol", "library"])
def test_a_vde_switch_between_two(
    run: Run, space: Namespace, tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = provision.ensure()
    for name in ("libvdeplug.so.2", "libvdeplug_mod.so.2", "vdeplug"):  # only these: the tree has a C library too
        (tmp_path / name).symlink_to(tree.root / provision.LIBRARIES / name)
    monkeypatch.setenv("LD_LIBRARY_PATH", str(tmp_path))
    command = [*tree.program("vde_switch"), "-sock", str(tmp_path / "myswitch")]
    switch = subprocess.Popen(space.inside(*command), stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    try:
        while not (tmp_path / "myswitch" / "ctl").exists():
            assert switch.poll() is None
            time.sleep(0.01)
        machines = [run(f"-net nic,{MAC}0{n} -net vde,sock={url}{tmp_path}/myswitch") for n in (1, 2)]
        hear_each_other(machines, "2", "1")
    finally:
        stop(switch)
        assert switch.stdin
        switch.stdin.close()


def test_filter_dump(run: Run, tmp_path: Path) -> None:
    """What a card of one program says is in the dump of the other's netdev, in classic pcap with microseconds."""
    dump = "-object filter-dump,id=f1,netdev=net0,file=dump.pcap"
    first = run(f"-netdev socket,id=net0,listen=:1234 -device e1000,netdev=net0,mac=52:54:00:12:34:01 {dump}")
    second = run("-netdev socket,id=net0,connect=127.0.0.1:1234 -device e1000,netdev=net0,mac=52:54:00:12:34:02")
    hear_each_other([first, second], "2", "1")
    first.close()
    data = (tmp_path / "dump.pcap").read_bytes()
    assert data[:4] == (0xA1B2C3D4).to_bytes(4, sys.byteorder)
    sources, at = set(), 24
    while at < len(data):
        length = int.from_bytes(data[at + 8 : at + 12], sys.byteorder)
        sources.add(data[at + 16 + 11])
        at += 16 + length
    assert (sources, at) == ({1, 2}, len(data))
