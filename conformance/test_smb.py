"""`smb=` with Samba itself: a kernel behind a tap, on a hub with the user network, reads and writes the folder."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from . import samba
from .namespace import Namespace
from .qemu import stop

DATA = bytes(range(256)) * 4096


@pytest.mark.timeout(600)  # for a first run, which fetches Samba
def test_a_folder_is_served(tmp_path: Path) -> None:
    tools = samba.programs()
    shared, client = tmp_path / "shared", tmp_path / "client"
    for folder in (shared, client):
        folder.mkdir()
    (shared / "greeting").write_text("from this machine\n")
    (client / "upload").write_bytes(DATA)
    network = f"-net user,smb={shared} -net tap,ifname=tap0,script=no,downscript=no -monitor stdio"
    with (
        Namespace() as space,
        subprocess.Popen(
            space.inside(sys.executable, "-m", "nicemu", "run", *network.split()),
            env=os.environ | {"PATH": f"{tools}:{os.environ['PATH']}"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
        ) as served,
    ):
        try:
            assert served.stdin
            assert served.stdout
            served.stdin.write(b"info network\n")
            assert served.stdout.readline() == b"hub 0\n", "everything is made"
            space.ip("addr", "add", "10.0.2.15/24", "dev", "tap0")
            space.ip("link", "set", "tap0", "up")
            places = ("lock directory", "state directory", "cache directory", "private dir")
            options = ["-s", "/dev/null", *(f"--option={place}={client}" for place in places), "-N"]
            command = [str(tools / "smbclient"), *options, "//10.0.2.4/qemu", "-c", "get greeting; put upload; ls"]
            listed = subprocess.run(space.inside(*command), cwd=client, capture_output=True, text=True, timeout=120)
        finally:
            stop(served)
    assert listed.returncode == 0, listed.stdout + listed.stderr
    assert "greeting" in listed.stdout
    assert (client / "greeting").read_text() == "from this machine\n"
    assert (shared / "upload").read_bytes() == DATA
