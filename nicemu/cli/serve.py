"""`python -m nicemu serve` and `run`: cards and wires of the command line, live."""

from __future__ import annotations

import argparse
import runpy
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING

from nicemu.cli.cards import Slot, greeting, serve_card
from nicemu.cli.lists import asked
from nicemu.cli.plan import Given, Plan
from nicemu.cli.status import DONE
from nicemu.cli.stopper import Stopper
from nicemu.errors import ConfigurationError

if TYPE_CHECKING:
    from nicemu.core import Nic
    from nicemu.loop import Loop
    from nicemu.monitor import Monitor
    from nicemu.network import Network

__all__ = ["run", "serve"]


def serve(arguments: argparse.Namespace) -> int:
    """Serves every card of the command line, until a signal or `quit`; returns the exit status."""
    if _helped(arguments):
        return DONE
    plan = Plan(arguments.given)
    if arguments.model is not None:
        if arguments.socket_path is None and arguments.fd is None and "socket=" not in arguments.model:
            raise ConfigurationError("serve needs --socket-path PATH or --fd N")
        plan.add_card(arguments.model, arguments.socket_path, arguments.fd)
    else:
        plan.place(arguments.socket_path, arguments.fd)
    plan.check()
    if not plan.devices:
        raise ConfigurationError("serve needs a card; expected MODEL, -device, -nic or -net nic")
    for card in plan.devices:
        if "socket" not in card.values and "fd" not in card.values:
            raise ConfigurationError(f"card {card.name or card.kind} needs socket=PATH to be served at (or `run` it)")
    with ExitStack() as stack:
        return _live(arguments, plan, stack)


def run(arguments: argparse.Namespace) -> int:
    """Runs wires and cards without QEMU, until a signal, `quit`, or the script's end; returns the exit status."""
    if _helped(arguments):
        return DONE
    plan = Plan(arguments.given)
    plan.check()
    if not plan.netdevs and not plan.devices and not plan.joints:
        raise ConfigurationError("run needs something to run; expected -netdev, -net, -nic or -device")
    with ExitStack() as stack:
        return _live(arguments, plan, stack)


def _helped(arguments: argparse.Namespace) -> bool:
    given = list(arguments.given)
    if getattr(arguments, "model", None) is not None:
        given.insert(0, Given("device", arguments.model))
    answer = asked(given)
    if answer:
        print(answer)
    return bool(answer)


def _live(arguments: argparse.Namespace, plan: Plan, stack: ExitStack) -> int:
    from nicemu.loop import Loop
    from nicemu.network import Network

    loop = Loop()
    stopper = stack.enter_context(Stopper(loop))
    network = stack.enter_context(Network(loop))
    slots = plan.make(network, getattr(arguments, "m", 0))
    if arguments.pcap:
        _capture(network, arguments.pcap)
    monitor = _add_monitors(arguments, network, stopper, stack)
    _serve_all(slots, stack)
    for warning in plan.warnings:
        print(f"nicemu: warning: {warning}", file=sys.stderr, flush=True)
    if "stdio" in arguments.monitor:  # last: from here on the terminal is the prompt's
        from nicemu.monitor.console import Console

        stack.enter_context(Console(monitor))
    script = getattr(arguments, "script", None)
    if script:
        return _run_script(network, script)
    _run_loop(network, loop, stopper, arguments.trace)
    return DONE


def _capture(network: Network, file: str) -> None:
    """--pcap: of the one netdev there is."""
    names = [name for name, netdev in network.netdevs.items() if netdev.kind != "hubport"]
    if len(names) != 1:
        raise ConfigurationError(
            f"--pcap records one netdev, and there are {len(names)}; expected -object filter-dump,netdev=ID,file={file}"
        )
    network.object_add("filter-dump", {"id": "pcap", "netdev": names[0], "file": file})


def _add_monitors(arguments: argparse.Namespace, network: Network, stopper: Stopper, stack: ExitStack) -> Monitor:
    """Monitors on sockets; answers what all of them talk to, the terminal's included."""
    from nicemu.monitor import Monitor, MonitorServer

    monitor = Monitor(network, on_quit=stopper.stop, memory=getattr(arguments, "m", 0))
    for place in arguments.monitor:
        if place not in ("stdio", "none"):
            stack.enter_context(MonitorServer(monitor, _socket_path(place)))
    for place in arguments.qmp:
        stack.enter_context(MonitorServer(monitor, _socket_path(place), json_only=True))
    return monitor


def _socket_path(place: str) -> str:
    """The path in `PATH` or QEMU's `unix:PATH,server=on,wait=off`."""
    path, *options = place.removeprefix("unix:").split(",")
    wrong = [o for o in options if o not in ("server", "server=on", "nowait", "wait=off")]
    if wrong:
        raise ConfigurationError(f"{place}: {wrong[0]!r} cannot be; expected unix:PATH,server=on,wait=off")
    return path


# ------------------------------------------------------------------------------------------------- cards for QEMU


def _serve_all(slots: list[Slot], stack: ExitStack) -> None:
    for slot in slots:
        server = serve_card(slot)
        if server is not None:
            stack.enter_context(server)
            print(greeting(slot, server), file=sys.stderr, flush=True)


# ------------------------------------------------------------------------------------------------- running


def _run_loop(network: Network, loop: Loop, stopper: Stopper, trace: bool) -> None:
    if not trace:
        if not stopper.stopped:
            loop.run()
        return
    traced: set[Nic] = set()
    while not stopper.stopped:
        cards = {card.nic for card in network.cards.values()}
        for nic in cards - traced:  # at first all, later those of device_add
            nic.start_trace()
        traced = cards
        loop.turn(None)
        for name, card in network.cards.items():
            for entry in card.nic.take_trace():
                print(f"{name}: {entry}" if len(network.cards) > 1 else entry, file=sys.stderr)
        sys.stderr.flush()


def _run_script(network: Network, script: list[str]) -> int:
    """A host program in this process: it finds the network as `network`, and ends the run when it ends."""
    before = sys.argv
    sys.argv = script
    try:
        runpy.run_path(script[0], init_globals={"network": network}, run_name="__main__")
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    finally:
        sys.argv = before
    return DONE
