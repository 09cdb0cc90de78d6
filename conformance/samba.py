"""Samba's server and client, as Debian packages in a tree of their own beside that of ``provision``."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

from .provision import LIBRARIES, LOADER, PrivateApt, cache, debian_mirror, locked, run, say

PACKAGES = ("samba", "smbclient")


def programs() -> Path:
    """A folder with ``smbd`` and ``smbclient``, fetched first when it is missing; ProvisionError if that cannot be."""
    recipe = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:12]
    tree = cache() / f"samba-{recipe}"
    if not tree.is_dir():
        with locked("samba"):
            if not tree.is_dir():
                build(tree)
    return tree / "bin"


def build(tree: Path) -> None:
    """Fetch and unpack everything beside the final place, then move it there."""
    for old in cache().glob("samba-*"):
        shutil.rmtree(old, ignore_errors=old.name == "samba-new")
    work = tree.with_name("samba-new")
    (work / "bin").mkdir(parents=True)
    apt = PrivateApt(work / "apt", debian_mirror())
    apt.update()
    say(f"{', '.join(PACKAGES)} with what they depend on")
    for package in apt.download(PACKAGES):
        run("dpkg-deb", "-x", str(package), str(work / "root"))
    shutil.rmtree(work / "apt")
    root = tree / "root"
    for name in ("usr/sbin/smbd", "usr/bin/smbclient"):
        start = work / "bin" / Path(name).name
        libraries = f"{root / LIBRARIES}:{root / LIBRARIES / 'samba'}"
        command = f"{root / LOADER} --library-path {libraries} --argv0 {start.name} {root / name}"
        start.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
        start.chmod(0o755)
    work.rename(tree)
