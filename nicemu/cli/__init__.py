"""The command line: `python -m nicemu serve|info|selftest|net|bench`.

Option names, lists and help are QEMU's.  Everything heavy is imported where it is used, so that `info` answers at once.
Exit status: 0 done, 1 something failed, 2 the command line makes no sense; errors are one line on stderr.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import Any

from nicemu import __version__
from nicemu.cli.make import make_nic, make_wire
from nicemu.cli.parser import Parser
from nicemu.cli.status import DONE, FAILED, USAGE
from nicemu.errors import ConfigurationError, NicemuError

__all__ = ["Parser", "main", "make_nic", "make_wire"]


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
        if arguments[:1] == ["net"]:
            from nicemu import hostnet

            return int(hostnet.main(arguments[1:]) or DONE)
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
    commands.add_parser("net", help="make taps and bridges of this machine, and undo it (net --help)")
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


def _serve(arguments: argparse.Namespace) -> int:
    from nicemu.cli import serve

    return serve.run(arguments)


def _info(arguments: argparse.Namespace) -> int:
    from nicemu.cli import info

    return info.run(arguments)
