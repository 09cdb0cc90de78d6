"""QEMU, kernels, iPXE and guest programs, fetched as Debian packages into a cache outside the checkout.

Nothing is installed on this machine: a private apt state downloads the packages, ``dpkg-deb`` unpacks them into a
tree of their own, and :meth:`Tree.program` starts a program of the tree through the tree's own dynamic loader. The
mirror is the one this machine's apt is configured with. A finished tree is used as it stands until this file changes
or ``--refresh`` is given; each version of this file has a tree of its own, so that checkouts can share the cache.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT_SUITE = "trixie"
KERNEL_SUITES = {"6.1": "bookworm", "6.12": "trixie"}
QEMU_MINIMUM = 11
UNUSED_SECONDS = 7 * 24 * 3600  # after which the tree of another recipe goes
PACKAGES = (
    "qemu-system-x86", "ipxe-qemu", "ipxe",
    "busybox-static", "dash", "ethtool", "iperf3", "iproute2", "iputils-ping", "kmod", "pciutils",
    "passt", "vde2",
)  # fmt: skip
# What a guest can need of a kernel package: network and bus drivers, protocols, and what those are built on.
KERNEL_FILES = re.compile(
    r"\./(boot/vmlinuz-|(usr/)?lib/modules/[^/]+/(modules\.|kernel/(arch|crypto|drivers/(net|virtio)|lib|net)/))"
)
LIBRARIES = "usr/lib/x86_64-linux-gnu"
LOADER = "usr/lib64/ld-linux-x86-64.so.2"
QEMU_MODULES = Path("/") / LIBRARIES / "qemu"
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")


class ProvisionError(Exception):
    """The cache cannot be filled; the text says what was tried and what is needed."""


@dataclass(frozen=True)
class Kernel:
    """One unpacked kernel package: its release string, boot image and module directory."""

    release: str
    image: Path
    modules: Path


@dataclass(frozen=True)
class Tree:
    """A finished tree: programs under ``root``, kernels under ``kernels``."""

    path: Path

    @property
    def root(self) -> Path:
        return self.path / "root"

    def program(self, name: str) -> list[str]:
        """The command line prefix that starts ``usr/bin/name`` or ``usr/sbin/name`` of the tree on this machine."""
        for folder in ("usr/bin", "usr/sbin"):
            if (self.root / folder / name).exists():
                binary = self.root / folder / name
                break
        else:
            raise ProvisionError(f"no program {name!r} in {self.root}; `python -m conformance.provision --refresh`")
        loader = [str(self.root / LOADER), "--library-path", str(self.root / LIBRARIES)]
        return [*loader, "--argv0", name, str(binary)]

    def qemu(self) -> list[str]:
        """The command line prefix of QEMU, with its firmware directories.

        QEMU also looks for modules in the host's own module directory, and aborts on those of another build. Where
        the host has that directory, a private mount namespace lays the tree's modules over it.
        """
        command = self.program("qemu-system-x86_64")
        for folder in ("qemu", "seabios"):
            command += ["-L", str(self.root / "usr/share" / folder)]
        modules = str(self.root / LIBRARIES / "qemu")
        command = ["env", f"QEMU_MODULE_DIR={modules}", *command]
        if QEMU_MODULES.is_dir():
            user = [] if os.geteuid() == 0 else ["--map-root-user"]
            overlay = 'mount --bind "$1" "$2" && shift 2 && exec "$@"'
            command = ["unshare", "--mount", *user, "sh", "-c", overlay, "sh", modules, str(QEMU_MODULES), *command]
        return command

    def kernel(self, version: str) -> Kernel:
        """The kernel of a version named in ``KERNEL_SUITES``; ProvisionError for any other."""
        if version not in KERNEL_SUITES:
            raise ProvisionError(f"no kernel {version!r}; there are {', '.join(KERNEL_SUITES)}")
        top = self.path / "kernels" / version
        (modules,) = [*top.glob("lib/modules/*"), *top.glob("usr/lib/modules/*")]
        (image,) = top.glob("boot/vmlinuz-*")
        return Kernel(modules.name, image, modules)


def cache() -> Path:
    """``$NICEMU_CACHE``, or ``~/.cache/nicemu``."""
    return Path(os.environ.get("NICEMU_CACHE") or Path.home() / ".cache" / "nicemu")


def ensure(refresh: bool = False) -> Tree:
    """The tree, fetched first when it is missing, made by another recipe, or to be refreshed.

    Raises ProvisionError when a needed command, the mirror or a package is missing.
    """
    recipe = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:12]
    tree = Tree(cache() / f"tree-{recipe}")
    if refresh or not tree.path.is_dir():
        with locked("provision"):
            if refresh or not tree.path.is_dir():
                build(tree)
    os.utime(tree.path)
    return tree


@contextlib.contextmanager
def locked(name: str) -> Iterator[None]:
    """Hold the cache's lock of that name, waiting for whoever has it."""
    cache().mkdir(parents=True, exist_ok=True)
    with open(cache() / f"{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def build(tree: Tree) -> None:
    """Fetch and unpack everything beside the final place, then move it there."""
    for command in ("apt-get", "apt-cache", "dpkg-deb"):
        if shutil.which(command) is None:
            raise ProvisionError(f"{command} not found: provisioning needs a Debian system's apt and dpkg")
    work = tree.path.with_name("tree-new")
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    apt = PrivateApt(work / "apt", debian_mirror())
    say(f"package lists of {', '.join(apt.suites)} from {apt.mirror}")
    apt.update()
    say(f"{', '.join(PACKAGES)} with what they depend on")
    for package in apt.download(PACKAGES):
        run("dpkg-deb", "-x", str(package), str(work / "root"))
    for version, suite in KERNEL_SUITES.items():
        say(f"kernel {version}")
        unpack_kernel(apt.download_kernel(suite, version), work / "kernels" / version)
    shutil.rmtree(work / "apt")
    check_qemu(Tree(work))
    shutil.rmtree(tree.path, ignore_errors=True)
    work.rename(tree.path)
    for other in cache().glob("tree-*"):
        if time.time() - other.stat().st_mtime > UNUSED_SECONDS:
            shutil.rmtree(other)
    say(f"ready in {tree.path}")


def check_qemu(tree: Tree) -> None:
    """Hold the fetched QEMU against the version whose vfio-user client the tests are written for."""
    text = run(*tree.qemu(), "--version")
    found = re.search(r"version (\d+)", text)
    if not found or int(found[1]) < QEMU_MINIMUM:
        raise ProvisionError(f"QEMU {QEMU_MINIMUM} or newer is needed, {ROOT_SUITE}-backports gave: {text.strip()}")


def debian_mirror() -> str:
    """The Debian mirror that this machine's apt is configured with."""
    sites = run("apt-get", "indextargets", "--no-release-info", "--format", "$(SITE)", "Created-By: Packages").split()
    mirrors = [site for site in sites if re.search(r"/debian/?$", site)]
    if not mirrors:
        raise ProvisionError(
            "no Debian mirror (an address ending in /debian) among this machine's apt sources; "
            f"`apt-get indextargets --no-release-info` lists: {' '.join(sorted(set(sites))) or 'nothing'}"
        )
    return mirrors[0].rstrip("/")


class PrivateApt:
    """apt with sources, lists, cache and an empty package database of its own; proxies come from the machine."""

    def __init__(self, folder: Path, mirror: str) -> None:
        self.folder = folder
        self.mirror = mirror
        self.suites = [ROOT_SUITE, f"{ROOT_SUITE}-updates", f"{ROOT_SUITE}-backports"]
        self.suites += [suite for suite in KERNEL_SUITES.values() if suite not in self.suites]
        for name in ("lists/partial", "archives/partial"):
            (folder / name).mkdir(parents=True)
        (folder / "status").touch()
        signed = f"[signed-by={KEYRING}] " if KEYRING.exists() else ""
        sources = "".join(f"deb {signed}{mirror} {suite} main\n" for suite in self.suites)
        (folder / "sources.list").write_text(sources)
        self.config = folder / "apt.conf"
        self.config.write_text(
            f'Dir::State "{folder}"; Dir::State::status "{folder}/status"; Dir::Cache "{folder}";\n'
            f'Dir::Etc::sourcelist "{folder}/sources.list"; Dir::Etc::sourceparts "/dev/null";\n'
            'Dir::Etc::preferences "/dev/null"; Dir::Etc::preferencesparts "/dev/null";\n'
            'APT::Architecture "amd64"; APT::Architectures "amd64"; APT::Install-Recommends "false";\n'
            'APT::Sandbox::User "root"; Acquire::Languages "none"; Acquire::Retries "3"; Debug::NoLocking "true";\n'
            "#clear APT::Update::Post-Invoke;\n#clear APT::Update::Post-Invoke-Success;\n"
            "#clear DPkg::Pre-Install-Pkgs;\n"
        )

    def update(self) -> None:
        """Fetch the package lists; any that fails is an error."""
        run("apt-get", "-c", str(self.config), "-o", "APT::Update::Error-Mode=any", "update")

    def download(self, names: tuple[str, ...]) -> list[Path]:
        """The packages of those names and all they depend on, newest first from backports."""
        command = ["apt-get", "-c", str(self.config), "-t", f"{ROOT_SUITE}-backports"]
        run(*command, "install", "--yes", "--download-only", *names)
        return sorted((self.folder / "archives").glob("*.deb"))

    def download_kernel(self, suite: str, version: str) -> Path:
        """The image package that ``linux-image-amd64`` of the suite stands for, which must be of that version."""
        depends = run("apt-cache", "-c", str(self.config), "-t", suite, "depends", "linux-image-amd64")
        found = re.search(rf"Depends: (linux-image-{re.escape(version)}\.\S+)", depends)
        if not found:
            raise ProvisionError(f"linux-image-amd64 of {suite} does not name a {version} kernel:\n{depends}")
        run("apt-get", "-c", str(self.config), "download", found[1], cwd=self.folder)
        (package,) = self.folder.glob(f"{found[1]}_*.deb")
        return package


def unpack_kernel(package: Path, target: Path) -> None:
    """Unpack the boot image and the modules of KERNEL_FILES."""
    target.mkdir(parents=True)
    command = ["dpkg-deb", "--fsys-tarfile", str(package)]
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE) as stream,
        tarfile.open(fileobj=stream.stdout, mode="r|") as archive,
    ):
        for member in archive:
            if member.isfile() and KERNEL_FILES.match(member.name):
                archive.extract(member, target)
    if stream.returncode:
        raise ProvisionError(f"dpkg-deb could not read {package.name}")


def run(*command: str, cwd: Path | None = None) -> str:
    """Standard output of a command; ProvisionError with what it said when it fails."""
    done = subprocess.run(command, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode:
        said = (done.stderr or done.stdout).strip()[-2000:]
        raise ProvisionError(f"`{' '.join(command)}` failed with status {done.returncode}:\n{said}")
    return done.stdout


def say(text: str) -> None:
    print(f"provision: {text}", file=sys.stderr, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m conformance.provision", description=__doc__.split("\n")[0])
    parser.add_argument("--refresh", action="store_true", help="fetch anew even when the cache is complete")
    try:
        print(ensure(parser.parse_args().refresh).path)
    except ProvisionError as error:
        print(f"provision: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
