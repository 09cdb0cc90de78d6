"""The command line: `python -m nicemu serve|run|info|selftest|net|bench`.

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
        _expect_command(arguments)
        parsed = _parser().parse_args(arguments)
        command: Callable[[argparse.Namespace], int] = parsed.command
        return command(parsed)
    except ConfigurationError as error:
        return _fail(error, USAGE)
    except (NicemuError, OSError, ImportError) as error:
        return _fail(error, FAILED)


def _expect_command(arguments: Sequence[str]) -> None:
    """QEMU's options come after `serve` or `run`."""
    first = arguments[0] if arguments else ""
    if not first or first.lstrip("-") in [name for name, _, _ in NETWORK_OPTIONS]:
        wrong = f", not {first}" * bool(first)
        raise ConfigurationError(f"expected a command first{wrong}: {', '.join(COMMANDS)}; --help tells more")


def _fail(error: Exception, status: int) -> int:
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    where = f": {error.filename}" if isinstance(error, OSError) and error.filename else ""
    print(f"nicemu: {text}{where}".replace("\n", " "), file=sys.stderr)
    return status


# ------------------------------------------------------------------------------------------------- the grammar

EPILOG = """\
examples:
  python -m nicemu serve e1000,mac=52:54:00:12:34:56 -netdev user,hostfwd=tcp::2222-:22 --socket-path nic.sock
  python -m nicemu serve -net nic,model=e1000,socket=a.sock -net nic,socket=b.sock -net user
  python -m nicemu run -net user -net stream,server=on,addr.type=unix,addr.path=wire.sock
  python -m nicemu serve -device help       the models            -netdev help   the types of netdev
  python -m nicemu serve -device e1000,help a model's options     -netdev user,help
  python -m nicemu info regs e1000 CTRL     a register, from the table that the engine runs
"""

COMMANDS = ("serve", "run", "info", "selftest", "net", "bench")

#: QEMU's network options, with one dash or two; what they give is kept in order.
NETWORK_OPTIONS = (
    ("netdev", "TYPE[,id=ID][,...]", "a wire: `help` lists types, `TYPE,help` options"),
    ("device", "MODEL[,netdev=ID][,socket=PATH][,...]", "a card: `help` lists models, `MODEL,help` options"),
    ("nic", "TYPE[,model=MODEL][,...]", "a wire and its card in one; `none` for none"),
    ("net", "nic|TYPE[,vlan=N][,...]", "a card or a wire on the numbered VLAN (0), which is a hub"),
    ("object", "TYPE,netdev=ID[,...]", "a wrapper around a netdev, such as filter-dump: `help` lists types"),
    ("redir", "[tcp|udp]:PORT:[GUEST]:PORT", "forward a port of this host to the first user network's guest"),
    ("tftp", "FOLDER", "serve a folder by TFTP in the first user network"),
    ("bootp", "FILE", "the file that the first user network's DHCP names for booting"),
    ("smb", "FOLDER", "serve a folder by SMB in the first user network"),
)


class _Keep(argparse.Action):
    """Keeps what network options give, in the order of the command line."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: str | None = None) -> None:
        from nicemu.cli.plan import Given

        namespace.given = [*namespace.given, Given(self.dest, values)]


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="python -m nicemu",
        description="Network cards at register level, as the silicon behaves.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", "-version", action="version", version=f"nicemu {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True, parser_class=Parser)
    _add_serve(commands)
    _add_run(commands)
    _add_info(commands)
    commands.add_parser("selftest", help="try every model on this machine (selftest --help)")
    commands.add_parser("net", help="make taps and bridges of this machine, and undo it (net --help)")
    commands.add_parser("bench", help="measure the data path on this machine (bench --help)")
    return parser


def _add_serve(commands: Any) -> None:
    serve = commands.add_parser(
        "serve",
        help="offer cards to QEMU over vfio-user",
        description="Offers cards to QEMU (10.1 or newer, 11.1 recommended) over vfio-user sockets, until SIGTERM or "
        "SIGINT.  A card keeps its state while clients come and go.",
        allow_abbrev=False,
    )
    serve.add_argument(
        "model",
        metavar="MODEL[,OPTION=VALUE...]",
        nargs="?",
        help="a card at the first netdev (default: user); the other way to name one is -device",
    )
    where = serve.add_mutually_exclusive_group()
    where.add_argument("--socket-path", metavar="PATH", help="listen at this Unix socket, made with mode 0600")
    where.add_argument("--fd", metavar="N", type=int, help="serve on an inherited socket, listening or connected")
    _add_network(serve)
    serve.set_defaults(command=_serve)


def _add_run(commands: Any) -> None:
    run = commands.add_parser(
        "run",
        help="run wires, hubs and cards without QEMU",
        description="Runs wires that hubs join, and cards that a script drives, until SIGTERM or SIGINT, or until the "
        "script ends.  Cards with socket= are served as well.",
        allow_abbrev=False,
    )
    run.add_argument(
        "script",
        metavar="SCRIPT",
        nargs="*",
        help="a Python program that drives the cards, and its arguments; it finds the network as `network`",
    )
    run.add_argument(
        "-m", metavar="SIZE", type=_size, default="16M", help="memory that each card has for itself (default: 16M)"
    )
    _add_network(run)
    run.set_defaults(command=_run)


def _size(text: str) -> int:
    """QEMU's -m: MiB, or with a suffix."""
    units = {"k": 10, "m": 20, "g": 30}
    number, unit = (text[:-1], text[-1].lower()) if text[-1:].lower() in units else (text, "m")
    if not number.isdecimal() or not 0 < int(number) << units[unit] <= 1 << 40:
        raise argparse.ArgumentTypeError(f"{text!r} is no size; expected one like 64M")
    return int(number) << units[unit]


def _add_network(command: argparse.ArgumentParser) -> None:
    for name, form, text in NETWORK_OPTIONS:
        command.add_argument(f"-{name}", f"--{name}", metavar=form, dest=name, action=_Keep, help=text)
    command.add_argument("--pcap", metavar="FILE", help="record the one netdev; pcapng if FILE ends so")
    command.add_argument("--trace", action="store_true", help="print every register access, decoded, to stderr")
    command.add_argument(
        "-monitor", "--monitor", metavar="stdio|PATH", action="append", default=[], help="take commands there"
    )
    command.add_argument("-qmp", "--qmp", metavar="PATH", action="append", default=[], help="take JSON commands there")
    command.set_defaults(given=[])


def _add_info(commands: Any) -> None:
    info = commands.add_parser(
        "info",
        help="what there is: models, netdevs, registers, rules",
        description="info: models, netdevs, objects and versions.  info MODEL: its options.  info regs MODEL "
        "[REGISTER]: its registers.  info rules MODEL: the rules whose violation is a finding.",
    )
    info.add_argument("what", metavar="MODEL | regs | rules", nargs="?", help="nothing: an overview")
    info.add_argument("names", metavar="NAME", nargs="*", help="the model, and for regs a register")
    info.set_defaults(command=_info)


def _serve(arguments: argparse.Namespace) -> int:
    from nicemu.cli import serve

    return serve.serve(arguments)


def _run(arguments: argparse.Namespace) -> int:
    from nicemu.cli import serve

    return serve.run(arguments)


def _info(arguments: argparse.Namespace) -> int:
    from nicemu.cli import info

    return info.run(arguments)
