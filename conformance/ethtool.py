"""The real ethtool decodes register dumps of our cards, from files.

ethtool chooses a decoder by the name of the interface's driver, also for a dump that lies in a file; a small shim
(`ethtool_shim.c`, built here) stands in for the interface.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from nicemu.core import EthtoolDump

from .provision import ensure

SHIM = Path(__file__).with_name("ethtool_shim.c")


def decode(dump: EthtoolDump, folder: Path) -> str:
    """What `ethtool -d` prints for a dump; `folder` is for the files in between."""
    shim, file = folder / "shim.so", folder / "registers"
    subprocess.run(["cc", "-Wall", "-Werror", "-shared", "-fPIC", "-o", shim, SHIM], check=True)
    file.write_bytes(dump.data)
    loader, *program = ensure().program("ethtool")
    command = [loader, "--preload", str(shim), *program, "-d", "lo", "file", str(file)]
    environment = os.environ | {"SHIM_DRIVER": dump.driver, "SHIM_VERSION": str(dump.version)}
    return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout
