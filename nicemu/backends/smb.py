"""The folder that the user network serves by SMB (`smb=`), with Samba's smbd started for each connection."""

from __future__ import annotations

import getpass
import os
import shlex
import shutil
import tempfile
from pathlib import Path

from nicemu.errors import BackendError, ConfigurationError

__all__ = ["PORTS", "SmbShare"]

#: NetBIOS session and direct hosting.
PORTS = (139, 445)
PLACES = (os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin")


class SmbShare:
    """A share named `qemu`, as QEMU calls it, of one folder; guests need no password.

    Raises BackendError if smbd is missing, ConfigurationError if the folder is none.
    """

    def __init__(self, folder: str) -> None:
        if not Path(folder).is_dir() or any(ord(c) < 32 for c in folder):
            raise ConfigurationError(f"smb={folder} is not a folder; expected the one to serve")
        smbd = shutil.which("smbd", path=os.pathsep.join(PLACES))
        if smbd is None:
            raise BackendError(f"smb={folder} needs smbd; install package samba (Debian, Ubuntu, Fedora)")
        self._work = tempfile.TemporaryDirectory(prefix="nicemu-smb.")
        configuration = Path(self._work.name) / "smb.conf"
        configuration.write_text(_configuration(self._work.name, os.path.abspath(folder)))
        #: What is run for each connection, on the socket at its standard input and output.
        self.command = shlex.join([smbd, "-l", self._work.name, "-s", str(configuration)])

    def close(self) -> None:
        """Removes smbd's files; harmless when done twice."""
        self._work.cleanup()


def _configuration(work: str, folder: str) -> str:
    user = getpass.getuser()
    places = ("private", "pid", "lock", "state", "cache", "ncalrpc")
    general = [
        *(f"{place}{' dir' if place in ('private', 'ncalrpc') else ' directory'} = {work}" for place in places),
        f"log file = {work}/log.smbd",
        f"smb passwd file = {work}/smbpasswd",
        f"usershare path = {work}",
        "interfaces = 127.0.0.1",
        "bind interfaces only = yes",
        "security = user",
        "map to guest = Bad User",
        "load printers = no",
        "printing = bsd",
        "disable spoolss = yes",
        "usershare max shares = 0",
        f"force user = {user}",
    ]
    share = [f"path = {folder}", "read only = no", "guest ok = yes", f"force user = {user}"]
    return "\n".join(["[global]", *general, "[qemu]", *share, ""])
