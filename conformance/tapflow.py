"""Bulk TCP packets through a kernel tap with and without virtio-net headers: at the device, and from a guest.

``python -m conformance.tapflow e1000 [--seconds 5] [--rounds 5]`` needs root.

At the device: a ring of TCP packets of 59 KB stands ready in guest memory, and one doorbell sends them through the tap
and a bridge to an interface that ends them; nothing answers. The time is from the doorbell until the card has sent all;
a write to a tap comes back when the kernel has passed the packet on, and the bridge's far port must then have counted
every byte. From a guest: iperf3 to a server in the namespace, which is TCP with all its acknowledgements.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import nicemu
from nicemu.backends import Tap
from nicemu.devices.e1000_descriptors import TX_LEGACY, ContextCommand, DataCommand, PacketOptions, context, data
from nicemu.devices.e1000_tables import MMIO
from nicemu.drivers import attach
from nicemu.engine import lib

from .cards import Card, Check, card
from .guest import booted
from .namespace import ADDRESS, Namespace
from .nic import Served
from .provision import KERNEL_SUITES, cache, ensure
from .throughput import DIRECTIONS, run

MSS, PAYLOAD, PACKETS = 1448, 41 * 1448, 200
HEADERS, STRIDE = 54, 1 << 16
BUFFERS = 16 << 20
GUEST = bytes([10, 0, 2, 15])
HOST = bytes(map(int, ADDRESS.split(".")))


class Sender:
    """A card on a tap in a bridge, with a ring of packets."""

    def __init__(self, space: Namespace, vnet_hdr: bool) -> None:
        space.bridge()
        space.ip("link", "add", "near", "type", "veth", "peer", "name", "far")
        space.ip("link", "set", "far", "up")
        space.ip("link", "set", "near", "master", "br0", "up")
        self.space = space
        self.tap = Tap(ifname=space.tap, script="no", downscript="no", vnet_hdr=vnet_hdr)
        space.take(space.tap, "br0")
        for interface in ("near", space.tap):
            space.forwards(interface)
        memory = nicemu.GuestMemory(BUFFERS + PACKETS * STRIDE)
        self.nic = nicemu.create("e1000", memory=memory, backend=self.tap)
        driver = attach(self.nic, tx_count=1024)
        driver.start()
        driver.wait(driver.link_up, "link")
        memory.write(0, ring())
        for number in range(PACKETS):
            memory.write(BUFFERS + STRIDE * number, headers(driver.mac, number * PAYLOAD))

    def close(self) -> None:
        self.nic.close()
        self.tap.close()

    def arrived(self) -> int:
        """Bytes that the bridge has passed on."""
        return self.space.count("near", "tx_bytes")

    def burst(self) -> float:
        """Mbit/s of payload of one ring; AssertionError if not all of it came out."""
        self.write("TDH", 0)
        self.write("TDT", 0)
        before = self.arrived()
        begun = time.monotonic_ns()
        self.write("TDT", 4 * PACKETS)
        while self.nic.bars[0].read(MMIO["TDH"].offset) != 4 * PACKETS:
            self.nic.loop.turn(0)
        taken = time.monotonic_ns() - begun
        frames = 1 if self.tap.vnet_hdr else PAYLOAD // MSS
        passed = self.arrived() - before
        assert passed >= PACKETS * (PAYLOAD + frames * HEADERS), f"{passed} bytes passed on: some were lost"
        return PACKETS * PAYLOAD * 8e3 / taken

    def write(self, register: str, value: int) -> None:
        self.nic.bars[0].write(MMIO[register].offset, value)


def headers(source: bytes, sequence: int) -> bytes:
    """Ethernet, IPv4 and TCP headers of a packet to an address that the bridge floods, for a card that segments."""
    pseudo = GUEST + HOST + struct.pack(">HH", 6, 0)
    total = int(lib.nic_checksum(pseudo, len(pseudo), 0))
    ip = struct.pack(">BBHHHBBH", 0x45, 0, 0, 0, 0x4000, 64, 6, 0) + GUEST + HOST
    return (
        b"\x02" * 6
        + source
        + b"\x08\x00"
        + ip
        + struct.pack(">HHIIBBHHH", 1, 2, sequence, 0, 0x50, 0x18, 65535, total, 0)
    )


def ring() -> bytes:
    """For each packet a context, its headers, and its payload in two pieces."""
    tcp = ContextCommand.TCP | ContextCommand.IP | ContextCommand.TSE
    each = DataCommand.IFCS | DataCommand.TSE | DataCommand.RS
    options = PacketOptions.TXSM | PacketOptions.IXSM
    about = context(tcp, ipcss=14, ipcso=24, ipcse=33, tucss=34, tucso=50, mss=MSS, hdrlen=HEADERS, paylen=PAYLOAD)
    half = PAYLOAD // 2
    made = np.zeros(4 * PACKETS, TX_LEGACY)
    made[0::4] = np.frombuffer(about, TX_LEGACY)
    made[1::4] = np.frombuffer(data(0, HEADERS, each, popts=options), TX_LEGACY)
    made[2::4] = np.frombuffer(data(0, half, each), TX_LEGACY)
    made[3::4] = np.frombuffer(data(0, PAYLOAD - half, each | DataCommand.EOP), TX_LEGACY)
    for row, offset in ((1, 0), (2, HEADERS), (3, HEADERS + half)):
        made[row::4]["address"] = BUFFERS + offset + STRIDE * np.arange(PACKETS)
    return made.tobytes()


def device(rounds: int) -> dict[str, float]:
    """Mbit/s with the headers (`on`) and without (`off`): the medians of rounds that take turns."""
    found: dict[str, list[float]] = {"on": [], "off": []}
    with Namespace() as first, Namespace() as second:
        senders = {"on": Sender(first, True), "off": Sender(second, False)}
        for number in range(rounds + 1):
            for name, sender in senders.items():
                rate = sender.burst()
                if number:  # the first warms up
                    found[name].append(rate)
        for sender in senders.values():
            sender.close()
    return {name: statistics.median(rates) for name, rates in found.items()}


# ------------------------------------------------------------------------------------------------- in a guest


class ServedInside(Served):
    """A card served from inside a namespace, where its tap is."""

    def __init__(self, space: Namespace, model: str, folder: Path, netdev: str) -> None:
        super().__init__(model, folder, ("--netdev", netdev))
        self.command = space.inside(*self.command)


def guest(tested: Card, version: str, vnet_hdr: str, seconds: int) -> dict[str, float]:
    """Mbit/s of iperf3 in a guest, both ways, through a tap that a script puts into a bridge."""
    tree = ensure()
    console = cache() / "logs" / f"tap-{tested.model}-{vnet_hdr}.log"
    console.parent.mkdir(parents=True, exist_ok=True)
    with (
        Namespace() as space,
        tempfile.TemporaryDirectory(prefix="nicemu-tap-") as name,
        contextlib.ExitStack() as stack,
    ):
        folder = Path(name)
        space.bridge()
        ifup = folder / "qemu-ifup"
        ifup.write_text("#!/bin/sh\nip link set $1 master br0 up\n")
        ifup.chmod(0o755)
        server = subprocess.Popen(
            space.inside(*tree.program("iperf3"), "-s"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        stack.callback(server.wait)
        stack.callback(server.kill)
        netdev = f"tap,ifname={space.tap},script={ifup},downscript=no,vnet_hdr={vnet_hdr}"
        nic = stack.enter_context(ServedInside(space, tested.model, folder, netdev))
        parameters = {"module": tested.module, "iperf": "5201", "service": "5203"}
        running = stack.enter_context(booted(tree, version, nic, console, parameters, None))
        run(running, Check("probe", "probe", tested.checks[0].arguments))
        rates = {}
        for direction, extra in DIRECTIONS.items():
            check = Check(f"rate {direction}", "rate", (str(seconds), *extra), seconds=seconds + 60)
            (note,) = run(running, check).notes
            rates[direction] = float(note.split()[0])
        return rates


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m conformance.tapflow", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("card", help="a file of conformance/cards, such as e1000")
    parser.add_argument("--kernel", choices=list(KERNEL_SUITES), default=list(KERNEL_SUITES)[-1])
    parser.add_argument("--rounds", type=int, default=5, help="of bursts at the device")
    parser.add_argument("--seconds", type=int, default=5, help="of each measurement in the guest; 0: none")
    options = parser.parse_args()
    figures: dict[str, object] = {"device": device(options.rounds)}
    if options.seconds:
        tested = card(options.card)
        figures["guest"] = {way: guest(tested, options.kernel, way, options.seconds) for way in ("on", "off")}
    print(json.dumps(figures, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
