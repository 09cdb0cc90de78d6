"""Faults of the data path, and where each is held:

D1-D4   tap deleted, down, full, short reads    tests/test_backend_tap.py
D5-D12  sockets: EINTR, resets, truncation      tests/test_backend_socket_faults.py
D13     a backend slower than the guest         tests/test_loss.py, tests/robustness/test_wire.py
D14     a guest slower than the backend         tests/test_loss.py, tests/robustness/test_wire.py
D15     capture file: disk full, EPIPE, deleted tests/test_backend_pcap.py, conformance/test_dump.py
D17     no descriptors left                     tests/test_backend_socket_faults.py
D18     signals and exceptions in callbacks     tests/test_loop.py, tests/test_port.py
D19     fork                                    this module, tests/robustness/test_life.py
D22     VDE switch stops                        tests/test_backend_vde.py, conformance/test_vde.py
D24     allocation failure                      tests/robustness/test_allocation.py
D25     guest memory that goes away             tests/robustness/test_dma.py
D26-D27 interpreter shutdown, closing twice     tests/robustness/test_life.py
"""

from __future__ import annotations

import os
import re
import socket
from pathlib import Path

import nicemu
from nicemu.backends import Faults, Pcap, Rate, Stream
from nicemu.drivers import attach


def test_what_the_table_names_is_there() -> None:
    root = Path(__file__).parents[2]
    named = re.findall(r"(?:tests|conformance)/[\w/]+\.py", __doc__ or "")
    assert len(named) > 10
    assert [path for path in named if not (root / path).exists()] == []


def test_a_forked_child_closes_a_wire_with_frames_under_way(tmp_path: Path) -> None:
    """D19: the parent's frames, sockets and file do not notice."""
    ours, theirs = socket.socketpair()
    theirs.settimeout(10)
    wire = Pcap(Faults(Rate(Stream(fd=ours), rate="1G"), delay=1, delay_time="1ms"), tmp_path / "a.pcap")
    clock = nicemu.Clock.virtual()
    with nicemu.create("e1000", memory=nicemu.GuestMemory(4 << 20), clock=clock, backend=wire) as nic:
        driver = attach(nic)
        driver.start()
        driver.wait(driver.link_up, "link")
        sent = b"\xff" * 6 + driver.mac + b"\x88\xb5" + bytes(46)
        driver.send(sent)
        pid = os.fork()
        if not pid:
            status = 1
            try:
                nic.close()
                wire.close()
                status = 0
            finally:
                os._exit(status)
        assert os.waitpid(pid, 0)[1] == 0
        clock.advance(10**9)
        nic.poll()
        assert theirs.recv(4 + 60, socket.MSG_WAITALL) == (60).to_bytes(4, "big") + sent
        assert wire.records == 1
    wire.close()
    theirs.close()
