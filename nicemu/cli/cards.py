"""Cards of the command line and of the monitor: what -device takes, and how QEMU reaches the card."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from nicemu.core import Nic
from nicemu.devices import find_class
from nicemu.errors import ConfigurationError
from nicemu.memory import GuestMemory
from nicemu.network import Network
from nicemu.options import COMMON, Option

if TYPE_CHECKING:
    from nicemu.hosts.vfio_user import Server

__all__ = ["DEVICE_OPTIONS", "Slot", "card_options", "greeting", "make_card", "serve_card"]

#: What -device, -nic and -net nic take besides the options of the model.
DEVICE_OPTIONS = (
    Option("netdev", "netdev", "the netdev that the cable leads to", "none: no cable"),
    Option("socket", "file", "serve the card to QEMU at this Unix socket, made with mode 0600"),
    Option("fd", "int", "serve the card on an inherited socket, listening or connected"),
    Option("addr", "str", "slot and function in QEMU's machine, such as 3 or 0x1f.2"),
    Option("vectors", "int", "MSI-X vectors: accepted for QEMU's sake; no card here has MSI-X"),
)


class Slot(NamedTuple):
    """A card, and how QEMU reaches it."""

    nic: Nic
    socket: str
    fd: int | None
    addr: str
    warning: str  #: of an option without effect, or nothing


def card_options(model: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options of -device as `Network.device_add` and `make_card` take them.

    Raises ConfigurationError, naming what is valid.
    """
    found = find_class(model)
    own = {option.name: option for option in DEVICE_OPTIONS}
    known = [*own, *(o.name for o in (*COMMON, *found.OPTIONS))]
    wrong = [name for name in options if name not in known]
    if wrong:
        raise ConfigurationError(f"{model} has no option {wrong[0]!r}; expected one of: {', '.join(known)}")
    values = {n: v if n not in own else own[n].read(v) for n, v in options.items()}
    addr = str(values.get("addr", ""))
    if addr and not re.fullmatch(r"(0x)?[0-9a-fA-F]{1,2}(\.[0-7])?", addr):
        raise ConfigurationError(f"addr={addr} is no PCI slot; expected one like 3 or 0x1f.2")
    if "socket" in values and "fd" in values:
        raise ConfigurationError(f"socket={values['socket']} and fd={values['fd']}: expected one of them")
    return values


def make_card(network: Network, model: str, options: Mapping[str, Any], memory: int = 0) -> Slot:
    """Makes a card in `network` from the keys of -device.

    memory: bytes of memory that it has for itself; 0: none, for its client maps its own.
    Raises ConfigurationError, naming what is valid.
    """
    values = card_options(model, options)
    addr, socket, fd = str(values.pop("addr", "")), str(values.pop("socket", "")), values.pop("fd", None)
    warning = f"vectors= has no effect: {model} has no MSI-X" if values.pop("vectors", None) else ""
    more = {"memory": GuestMemory(memory)} if memory else {}
    return Slot(network.device_add(model, values, **more), socket, fd, addr, warning)


def serve_card(slot: Slot) -> Server | None:
    """Offers a card where it was told to be; it ends with the card."""
    if not slot.socket and slot.fd is None:
        return None
    from nicemu.hosts.vfio_user import Server

    return Server(slot.nic, socket_path=slot.socket or None, fd=slot.fd)


def greeting(slot: Slot, server: Server) -> str:
    """How QEMU gets a card that is served."""
    who = f"nicemu: {slot.nic.MODEL} {slot.nic.mac.hex(':')}"
    if server.socket_path is None:
        return f"{who} serves file descriptor {slot.fd}"
    device = {"driver": "vfio-user-pci", "socket": {"type": "unix", "path": server.socket_path}}
    device |= {"addr": slot.addr} if slot.addr else {}
    return (
        f"{who} listens at {server.socket_path}; "
        "qemu-system-x86_64 -m 512M -object memory-backend-memfd,id=m,size=512M,share=on -machine q35,memory-backend=m "
        f"-device {shlex.quote(json.dumps(device, separators=(',', ':')))}"
    )
