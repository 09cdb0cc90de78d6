"""`python -m nicemu serve`: a card for QEMU over vfio-user."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING

from nicemu.cli.lists import print_model_options, print_models, print_netdevs
from nicemu.cli.make import make_nic, make_wire
from nicemu.cli.status import DONE
from nicemu.cli.stopper import Stopper
from nicemu.errors import ConfigurationError
from nicemu.options import parse

if TYPE_CHECKING:
    from nicemu.core import Nic
    from nicemu.hosts.vfio_user import Server

__all__ = ["run"]


def run(arguments: argparse.Namespace) -> int:
    """The command; returns its exit status."""
    card, wire = parse(arguments.model), parse(arguments.netdev)
    if card.help or wire.help:
        if not card.help:
            print_netdevs(wire.word)
        elif card.word:
            print_model_options(card.word)
        else:
            print_models()
        return DONE
    if arguments.socket_path is None and arguments.fd is None:
        raise ConfigurationError("serve needs --socket-path PATH or --fd N")
    with ExitStack() as stack:
        return _run_server(arguments, stack)


def _run_server(arguments: argparse.Namespace, stack: ExitStack) -> int:
    from nicemu.hosts.vfio_user import Server
    from nicemu.loop import Loop

    loop = Loop()
    stopper = stack.enter_context(Stopper(loop))
    nic = stack.enter_context(make_nic(arguments.model, loop=loop))
    wire = stack.enter_context(make_wire(arguments.netdev))
    if arguments.pcap:
        from nicemu.backends import Pcap

        wire = stack.enter_context(Pcap(wire, arguments.pcap))
    nic.plug(wire)
    if arguments.monitor:
        from nicemu.monitor import Monitor

        stack.enter_context(Monitor([nic], arguments.monitor, on_quit=stopper.stop))
    server = stack.enter_context(Server(nic, socket_path=arguments.socket_path, fd=arguments.fd))
    print(_greeting(nic, server, arguments), file=sys.stderr, flush=True)
    if arguments.trace:
        _run_traced(nic, stopper)
    else:
        loop.run()
    return DONE


def _greeting(nic: Nic, server: Server, arguments: argparse.Namespace) -> str:
    who = f"nicemu: {nic.MODEL} {nic.mac.hex(':')}"
    if server.socket_path is None:
        return f"{who} serves file descriptor {arguments.fd}"
    device = {"driver": "vfio-user-pci", "socket": {"type": "unix", "path": server.socket_path}}
    return (
        f"{who} listens at {server.socket_path}; "
        "qemu-system-x86_64 -m 512M -object memory-backend-memfd,id=m,size=512M,share=on -machine q35,memory-backend=m "
        f"-device {shlex.quote(json.dumps(device, separators=(',', ':')))}"
    )


def _run_traced(nic: Nic, stopper: Stopper) -> None:
    nic.start_trace()
    while not stopper.stopped:
        nic.loop.turn(None)
        for entry in nic.take_trace():
            print(entry, file=sys.stderr)
        sys.stderr.flush()
