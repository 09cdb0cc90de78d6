"""The command line: `python -m nicemu serve|info|selftest|bench`.

Option names, lists and help are QEMU's.  Everything heavy is imported where it is used, so that `info` answers at once.
Exit status: 0 done, 1 something failed, 2 the command line makes no sense; errors are one line on stderr.
"""

from __future__ import annotations

import argparse
import json
import shlex
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, NoReturn

from nicemu import __version__
from nicemu.errors import BackendError, ConfigurationError, NicemuError
from nicemu.options import backend_help, model_arguments, model_help, parse

if TYPE_CHECKING:
    from nicemu.backends import Backend
    from nicemu.core import Nic
    from nicemu.hosts.vfio_user import Server
    from nicemu.loop import Loop
    from nicemu.registers import Register

__all__ = ["Parser", "main", "make_nic", "make_wire"]

DONE, FAILED, USAGE = 0, 1, 2


class Parser(argparse.ArgumentParser):
    """A parser that raises ConfigurationError instead of leaving the program."""

    def error(self, message: str) -> NoReturn:
        """Tells what is wrong in one line."""
        raise ConfigurationError(message)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns its exit status."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    try:
        if arguments[:1] == ["bench"]:
            from nicemu import bench

            return int(bench.main(arguments[1:]) or DONE)
        if arguments[:1] == ["selftest"]:
            from nicemu import selftest

            return int(selftest.main(arguments[1:]) or DONE)
        parsed = _parser().parse_args(arguments)
        command: Callable[[argparse.Namespace], int] = parsed.command
        return command(parsed)
    except ConfigurationError as error:
        return _fail(error, USAGE)
    except (NicemuError, OSError, ImportError) as error:
        return _fail(error, FAILED)


def _fail(error: Exception, status: int) -> int:
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    where = f": {error.filename}" if isinstance(error, OSError) and error.filename else ""
    print(f"nicemu: {text}{where}".replace("\n", " "), file=sys.stderr)
    return status


# ------------------------------------------------------------------------------------------------- the grammar

EPILOG = """\
examples:
  python -m nicemu serve e1000,mac=52:54:00:12:34:56 --netdev user,hostfwd=tcp::2222-:22 --socket-path nic.sock
  python -m nicemu serve help               the models            --netdev help   the types of netdev
  python -m nicemu serve e1000,help         a model's options     --netdev user,help
  python -m nicemu info regs e1000 CTRL     a register, from the table that the engine runs
"""


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="python -m nicemu",
        description="Network cards at register level, as the silicon behaves.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"nicemu {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True, parser_class=Parser)
    _add_serve(commands)
    _add_info(commands)
    commands.add_parser("selftest", help="try every model on this machine (selftest --help)")
    commands.add_parser("bench", help="measure the data path on this machine (bench --help)")
    return parser


def _add_serve(commands: Any) -> None:
    serve = commands.add_parser(
        "serve",
        help="offer a card to QEMU over vfio-user",
        description="Offers a card to QEMU (10.1 or newer, 11.1 recommended) over a vfio-user socket, until SIGTERM or "
        "SIGINT.  The card keeps its state while clients come and go.",
    )
    serve.add_argument(
        "model", metavar="MODEL[,OPTION=VALUE...]", help="the card; `help` lists models, `MODEL,help` options"
    )
    serve.add_argument(
        "--netdev",
        metavar="TYPE[,OPTION=VALUE...]",
        default="user",
        help="what the cable leads to (default: user); `help` lists types, `TYPE,help` options",
    )
    where = serve.add_mutually_exclusive_group()
    where.add_argument("--socket-path", metavar="PATH", help="listen at this Unix socket, made with mode 0600")
    where.add_argument("--fd", metavar="N", type=int, help="serve on an inherited socket, listening or connected")
    serve.add_argument("--pcap", metavar="FILE", help="record the frames; pcapng if FILE ends so, else classic pcap")
    serve.add_argument("--trace", action="store_true", help="print every register access, decoded, to stderr")
    serve.add_argument("--monitor", metavar="PATH", help="take monitor commands at this Unix socket, mode 0600")
    serve.set_defaults(command=_serve)


def _add_info(commands: Any) -> None:
    info = commands.add_parser(
        "info",
        help="what there is: models, netdevs, registers, rules",
        description="info: models, netdevs and versions.  info MODEL: its options.  info regs MODEL [REGISTER]: its "
        "registers.  info rules MODEL: the rules whose violation is a finding.",
    )
    info.add_argument("what", metavar="MODEL | regs | rules", nargs="?", help="nothing: an overview")
    info.add_argument("names", metavar="NAME", nargs="*", help="the model, and for regs a register")
    info.set_defaults(command=_info)


# ------------------------------------------------------------------------------------------------- cards and wires


def make_nic(text: str, **more: Any) -> Nic:
    """A card from `MODEL[,option=value...]`; ConfigurationError names what is wrong."""
    from nicemu.devices import find_class

    options = parse(text)
    model = find_class(options.word)
    return model(**model_arguments(model, options), **more)


def make_wire(text: str) -> Backend:
    """A backend from `TYPE[,option=value...]`; ConfigurationError names what is wrong."""
    from nicemu import backends

    options = parse(text)
    return backends.create(options.word, options.values)


def _print_models() -> None:
    from nicemu.devices import models

    for info in models():
        alias = "".join(f', alias "{a}"' for a in info.aliases)
        print(f'name "{info.name}", bus {info.bus}{alias}, desc "{info.description}"')


def _print_model_options(name: str) -> None:
    from nicemu.devices import find_class

    print(f"{name} options:\n{model_help(find_class(name))}")


def _print_netdevs(kind: str = "") -> None:
    from nicemu.backends import available

    if not kind:
        print("Available netdev backend types:")
        print("\n".join(f"  {backend.name:<10} {backend.description}" for backend in available()))
        return
    chosen = [backend for backend in available() if backend.name == kind]
    if not chosen:
        raise ConfigurationError(f"no netdev type {kind!r}; expected one of: {', '.join(b.name for b in available())}")
    print(f"netdev {kind} options:\n{backend_help(chosen[0])}")


# ------------------------------------------------------------------------------------------------- serve


def _serve(arguments: argparse.Namespace) -> int:
    card, wire = parse(arguments.model), parse(arguments.netdev)
    if card.help or wire.help:
        if not card.help:
            _print_netdevs(wire.word)
        elif card.word:
            _print_model_options(card.word)
        else:
            _print_models()
        return DONE
    if arguments.socket_path is None and arguments.fd is None:
        raise ConfigurationError("serve needs --socket-path PATH or --fd N")
    with ExitStack() as stack:
        return _run_server(arguments, stack)


def _run_server(arguments: argparse.Namespace, stack: ExitStack) -> int:
    from nicemu.hosts.vfio_user import Server
    from nicemu.loop import Loop

    loop = Loop()
    stopper = stack.enter_context(_Stopper(loop))
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


def _run_traced(nic: Nic, stopper: _Stopper) -> None:
    nic.start_trace()
    while not stopper.stopped:
        nic.loop.turn(None)
        for entry in nic.take_trace():
            print(entry, file=sys.stderr)
        sys.stderr.flush()


class _Stopper:
    """Ends a loop on SIGTERM and SIGINT, whether the signal meets it in C or in Python.

    The interpreter writes the signal's number into a socket that the loop watches; a handler alone would not do, for
    one that runs between two turns leaves nothing behind for the next to see.
    """

    SIGNALS = (signal.SIGTERM, signal.SIGINT)

    def __init__(self, loop: Loop) -> None:
        self.loop, self.stopped = loop, False

    def __enter__(self) -> _Stopper:
        self._read, self._write = socket.socketpair()
        self._read.setblocking(False)
        self._write.setblocking(False)
        self._old_fd = signal.set_wakeup_fd(self._write.fileno())
        self._old = {number: signal.signal(number, lambda *_: None) for number in self.SIGNALS}
        self.loop.watch(self._read.fileno(), self._ready)
        return self

    def _ready(self, events: int) -> None:
        if any(number in self.SIGNALS for number in self._read.recv(64)):
            self.stop()

    def stop(self) -> None:
        """Ends the loop with its present turn."""
        self.stopped = True
        self.loop.stop()

    def __exit__(self, *_: object) -> None:
        self.loop.unwatch(self._read.fileno())
        for number, handler in self._old.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._old_fd)
        self._read.close()
        self._write.close()


# ------------------------------------------------------------------------------------------------- info


def _info(arguments: argparse.Namespace) -> int:
    what, names = arguments.what, arguments.names
    if what is None:
        _print_overview()
    elif what in ("regs", "rules"):
        most = 2 if what == "regs" else 1
        if not 1 <= len(names) <= most:
            raise ConfigurationError(f"expected info {what} MODEL{' [REGISTER]' if most == 2 else ''}")
        (_print_registers if what == "regs" else _print_rules)(*names)
    elif names:
        raise ConfigurationError(f"unexpected {names[0]!r}; expected info MODEL, info regs MODEL or info rules MODEL")
    else:
        _print_model_options(what)
    return DONE


def _print_overview() -> None:
    import platform

    from nicemu.backends.user import library_version

    print(f"nicemu {__version__}, Python {platform.python_version()}\n\nModels:")
    _print_models()
    print()
    _print_netdevs()
    try:
        found = f"libslirp {library_version()}"
    except BackendError as error:
        found = f"libslirp is missing: {error}"
    print(f"\nLibraries:\n  {found}")


def _print_rules(model: str) -> None:
    from nicemu.devices import find_class

    for rule in find_class(model).RULES:
        print(f"{rule.severity:<8}{rule.id}\n        {rule.asks} ({rule.section})")


def _print_registers(model: str, name: str = "") -> None:
    from nicemu.devices import find_class
    from nicemu.pci import config_table

    found = find_class(model)
    tables = [*found.TABLES, *([config_table(found.FUNCTION)] if found.FUNCTION else [])]
    if name:
        _print_register(model, name, [r for t in tables for r in t])
        return
    for table in tables:
        print(f"{table.name}: {table.doc}, {table.size:#x} bytes")
        for register in table:
            print(f"  {register.offset:#07x}  {_shape(register):<18} {register.doc}")


def _shape(register: Register) -> str:
    return register.name if register.count == 1 else f"{register.name}[{register.count}]"


def _print_register(model: str, name: str, registers: Sequence[Register]) -> None:
    from nicemu.registers import State

    chosen = [r for r in registers if r.name == name.upper()]
    if not chosen:
        raise ConfigurationError(f"{model} has no register {name!r}; `info regs {model}` lists them")
    for r in chosen:
        stride = f", {r.stride} bytes apart" if r.count > 1 else ""
        reset = "undefined" if r.undefined else f"{r.reset_value():#0{2 + 2 * r.size}x}"
        print(f"{_shape(r)} at {r.offset:#x}{stride}, {8 * r.size} bits, reset {reset}: {r.doc} ({r.section})")
        for f in r.fields:
            bits = f"{f.bit + f.width - 1}:{f.bit}" if f.width > 1 else f"{f.bit}"
            notes = "" if f.state in (State.MODELLED, State.RESERVED) else f" [{f.state.value}]"
            words = "; ".join(f"{v:#x} {text}" for v, text in f.values.items())
            print(f"  {bits:>6} {f.access:<7} {f.name:<14} {f.doc}{notes}{f' ({words})' if words else ''}".rstrip())
