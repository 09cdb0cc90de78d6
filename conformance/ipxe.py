"""iPXE's own driver gets a DHCP lease, pings the host and boots over HTTP from it, through the card under test.

``python -m conformance.ipxe e1000 [--peer]``; the exit status tells. Unlike Linux, iPXE polls the card, and reads its
EEPROM and resets it in its own way.
"""

from __future__ import annotations

import argparse
import http.server
import re
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from .cards import MAC, Card, card
from .nic import Peer, Served, ServerError
from .provision import ProvisionError, Tree, cache, ensure
from .qemu import Qemu, QemuError

SECONDS = 90
SCRIPT = """#!ipxe
ifstat
dhcp net0 || goto failed
ifstat
show net0/ip
ping -c 3 10.0.2.2 || goto failed
echo @@pinged
chain http://10.0.2.2:{port}/script && goto end || goto failed
:failed
ifstat
echo @@failed
:end
"""
LINE = b"# one of many lines that do nothing\n"


@dataclass(frozen=True)
class Outcome:
    """What iPXE printed, without terminal control, and what stands against a pass."""

    console: str
    complaints: list[str]


class _Handler(http.server.BaseHTTPRequestHandler):
    """Serves a script that only a whole and undamaged transfer runs to its last line."""

    lines: int

    def do_GET(self) -> None:
        script = b"#!ipxe\necho @@started\n" + LINE * self.lines + b"echo @@fetched\n"
        self.send_response(200)
        self.send_header("Content-Length", str(len(script)))
        self.end_headers()
        self.wfile.write(script)

    def log_message(self, format: str, *arguments: object) -> None:
        pass


def run(tested: Card, peer: bool = False) -> Outcome:
    """Boot iPXE with the card, or QEMU's own model of it, and judge its console.

    Raises ProvisionError, ServerError or QemuError when it does not come to a boot, ValueError when there is nothing
    to boot: iPXE or QEMU has no such card.
    """
    if tested.ipxe is None or (peer and tested.peer is None):
        raise ValueError(f"{'QEMU' if tested.ipxe else 'iPXE'} has no {tested.model}")
    tree = ensure()
    handler = type("_Sized", (_Handler,), {"lines": tested.lines})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with tempfile.TemporaryDirectory(prefix="nicemu-ipxe-") as name:
            folder = Path(name)
            script = folder / "script"
            script.write_text(SCRIPT.format(port=server.server_address[1]))
            nic: Peer | Served = Peer(tested.peer) if peer and tested.peer else Served(tested.model, folder)
            with nic:
                console = watch(tree, folder, nic)
        server.shutdown()
    log = cache() / "logs" / f"ipxe-{tested.model}{'-peer' if peer else ''}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text(console)
    return Outcome(console, judge(console, tested.ipxe))


def watch(tree: Tree, folder: Path, nic: Peer | Served) -> str:
    """Boot until iPXE is through with its script or the time is up; the console's text."""
    console = folder / "console"
    firmware = tree.root / "usr/lib/ipxe/ipxe.lkrn"
    # Without a display SeaBIOS copies the console to the serial port.
    arguments = ["-M", "graphics=off", "-chardev", f"file,id=console,path={console}", "-serial", "chardev:console"]
    arguments += ["-kernel", str(firmware), "-initrd", str(folder / "script"), *nic.arguments()]
    deadline = time.monotonic() + SECONDS
    text = ""
    with Qemu(tree, folder, arguments) as qemu:
        while not re.search(r"@@(fetched|failed)", text) and time.monotonic() < deadline:
            if qemu.process.poll() is not None:
                raise QemuError(f"QEMU ended: {qemu.said()}")
            time.sleep(0.1)
            raw = console.read_text(errors="replace") if console.exists() else ""
            text = re.sub(r"\x1b(\[[0-9;?]*[A-Za-z]|c)", "", raw).replace("\r", "")
    return text


def judge(console: str, driver: str) -> list[str]:
    """Everything that speaks against a pass."""
    wanted = {
        "the card": rf"^net0: {MAC} using {re.escape(driver)} on ",
        "a link": r"\[Link:up",
        "a lease": r"^net0\.dhcp/ip:ipv4 = 10\.0\.2\.\d+$",
        "three answers to ping": r"seq=1$[^@]*seq=2$[^@]*seq=3$[^@]*^@@pinged$",
        "a file over HTTP": r"^@@started$\s*^@@fetched$",
    }
    return [f"no sign of {what}" for what, pattern in wanted.items() if not re.search(pattern, console, re.MULTILINE)]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m conformance.ipxe", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("card", help="a file of conformance/cards, such as e1000")
    parser.add_argument("--peer", action="store_true", help="QEMU's own model in place of nicemu's")
    options = parser.parse_args()
    try:
        outcome = run(card(options.card), options.peer)
    except (OSError, ProvisionError, QemuError, ServerError, ValueError, subprocess.SubprocessError) as error:
        print(f"ipxe: {error}", file=sys.stderr)
        return 1
    print(outcome.console)
    print("ipxe: " + ("; ".join(outcome.complaints) or "lease, ping and HTTP: PASS"))
    return 1 if outcome.complaints else 0


if __name__ == "__main__":
    sys.exit(main())
