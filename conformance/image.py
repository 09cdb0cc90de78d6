"""Guest images: an initrd with busybox, network tools and the cards' modules, made once for each kernel.

The image holds what comes from packages. The scripts of ``conformance/guest`` are a second, small archive that every
boot lays over it (:func:`scripts`), so that editing one needs no new image.
"""

from __future__ import annotations

import functools
import gzip
import hashlib
import itertools
import lzma
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from .provision import LIBRARIES, LOADER, Kernel, ProvisionError, Tree, locked, run

MODULES = ("e1000", "8139too", "8139cp", "ne2k-pci", "pcnet32", "sky2", "8021q", "af_packet")
# dash, because busybox's own shell would run its applets in place of the programs here.
PROGRAMS = ("dash", "ethtool", "iperf3", "ip", "lspci", "ping", "setpci")
LOADED_AT_RUN_TIME = ("libgcc_s.so.1",)  # pthread_cancel, in iperf3
SCRIPTS = Path(__file__).parent / "guest"
SCRIPTS_AT = "conformance"
DECOMPRESS: dict[str, Callable[[bytes], bytes]] = {".ko": bytes, ".ko.xz": lzma.decompress, ".ko.gz": gzip.decompress}


def image(tree: Tree, version: str) -> Path:
    """The initrd for the kernel of that version, built when this file or the tree is newer."""
    recipe = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:12]
    target = tree.path / "images" / f"{version}-{recipe}.cpio"
    if target.exists():
        return target
    with locked("image"), tempfile.TemporaryDirectory(dir=tree.path) as folder:
        stage = Path(folder)
        add_modules(tree, tree.kernel(version), stage)
        add_programs(tree, stage)
        for name in ("dev", "etc", "proc", "root", "sys", "tmp"):
            (stage / name).mkdir(exist_ok=True)
        (stage / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
        target.parent.mkdir(exist_ok=True)
        finished = target.with_suffix(".new")
        finished.write_bytes(archive(walk(stage, "")))
        finished.rename(target)
    return target


def scripts() -> bytes:
    """The archive that lays ``conformance/guest`` and ``port_cost.c`` over an image, at ``/conformance``."""
    entries = walk(SCRIPTS, SCRIPTS_AT)
    return archive(itertools.chain(entries, [(f"{SCRIPTS_AT}/port-cost", stat.S_IFREG | 0o755, port_cost())]))


@functools.cache
def port_cost() -> bytes:
    """The program that measures what a port access costs, for any guest."""
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "port-cost"
        run("gcc", "-static", "-O2", "-o", str(program), str(Path(__file__).parent / "port_cost.c"))
        return program.read_bytes()


def add_modules(tree: Tree, kernel: Kernel, stage: Path) -> None:
    """Unpack MODULES and what they depend on, and index them for modprobe."""
    target = stage / "lib/modules" / kernel.release
    target.mkdir(parents=True)
    files = {re.sub(r"\.ko.*", "", path.name).replace("-", "_"): path for path in kernel.modules.rglob("*.ko*")}
    builtin = (kernel.modules / "modules.builtin").read_text()
    wanted = [name.replace("-", "_") for name in MODULES]
    done: set[str] = set()
    while wanted:
        name = wanted.pop()
        if name in done or re.search(rf"/{name.replace('_', '[-_]')}\.ko$", builtin, re.MULTILINE):
            continue
        if name not in files:
            raise ProvisionError(f"kernel {kernel.release} has no module {name}")
        path = files[name]
        suffix = path.name[path.name.index(".ko") :]
        if suffix not in DECOMPRESS:
            raise ProvisionError(f"{path.name}: modules compressed as {suffix} are not provided for")
        content = DECOMPRESS[suffix](path.read_bytes())
        (target / f"{name}.ko").write_bytes(content)
        depends = re.search(rb"\0depends=([^\0]*)\0", content)
        wanted += [] if depends is None else [part for part in depends[1].decode().replace("-", "_").split(",") if part]
        done.add(name)
    for index in ("modules.builtin", "modules.builtin.modinfo", "modules.order"):
        shutil.copy(kernel.modules / index, target)
    run(*tree.program("depmod"), "-b", str(stage), kernel.release)


def add_programs(tree: Tree, stage: Path) -> None:
    """Copy busybox with its applets, and PROGRAMS (which take precedence) with their libraries and loader."""
    folder = stage / "bin"
    folder.mkdir()
    busybox = tree.root / "usr/bin/busybox"
    shutil.copy(busybox, folder)
    for applet in run(str(busybox), "--list").split():
        if applet not in (*PROGRAMS, "busybox", "sh"):
            (folder / applet).symlink_to("busybox")
    (folder / "sh").symlink_to("dash")
    for top in ("usr/bin", "usr/sbin", "sbin"):
        (stage / top).parent.mkdir(exist_ok=True)
        (stage / top).symlink_to("/bin")
    libraries = stage / "lib" / "x86_64-linux-gnu"
    libraries.mkdir(parents=True)
    (stage / "lib64").mkdir()
    for name in LOADED_AT_RUN_TIME:
        shutil.copy(tree.root / LIBRARIES / name, libraries)
    loader = tree.root / LOADER
    shutil.copy(loader, stage / "lib64")
    for program in PROGRAMS:
        binary = Path(tree.program(program)[-1]).resolve()
        shutil.copy(binary, folder / program)
        listed = run(str(loader), "--library-path", str(tree.root / LIBRARIES), "--list", str(binary))
        for path in re.findall(r"=> (/\S+)", listed):
            if Path(path).name != loader.name:
                shutil.copy(path, libraries)


def walk(top: Path, prefix: str) -> Iterator[tuple[str, int, bytes]]:
    """Every entry below a folder as archive name, mode and content; folders come before what they hold."""
    if prefix:
        yield prefix, stat.S_IFDIR | 0o755, b""
    for path in sorted(top.rglob("*")):
        name = f"{prefix}/{path.relative_to(top)}".lstrip("/")
        if path.is_symlink():
            yield name, stat.S_IFLNK | 0o777, os.readlink(path).encode()
        elif path.is_dir():
            yield name, stat.S_IFDIR | 0o755, b""
        else:
            yield name, stat.S_IFREG | 0o755, path.read_bytes()


def archive(entries: Iterator[tuple[str, int, bytes]]) -> bytes:
    """A cpio archive in the "newc" form that the kernel unpacks (Documentation/driver-api/early-userspace)."""
    out = bytearray()

    def add(number: int, name: str, mode: int, content: bytes) -> None:
        fields = (number, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name) + 1, 0)
        out.extend(b"070701" + b"".join(b"%08X" % field for field in fields) + name.encode() + b"\0")
        out.extend(bytes(-len(out) % 4) + content)
        out.extend(bytes(-len(out) % 4))

    for number, (name, mode, content) in enumerate(entries, 1):
        add(number, name, mode, content)
    add(0, "TRAILER!!!", 0, b"")
    return bytes(out) + bytes(-len(out) % 512)
