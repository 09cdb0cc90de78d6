"""The commands: one table for lines as QEMU's human monitor has them, and for QMP's names and arguments."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from nicemu import __version__
from nicemu.backends import User
from nicemu.core import Nic
from nicemu.errors import ConfigurationError, NicemuError
from nicemu.monitor import answers
from nicemu.network import Netdev, Network

__all__ = ["REFUSED", "Monitor"]

#: What a command may raise; the last three are of values that no check foresaw, and must not end the program either.
REFUSED = (NicemuError, OSError, ValueError, TypeError, OverflowError)


class Parameter(NamedTuple):
    """An argument of a command.

    kind: `str`; `switch`, on or off; `options`, QEMU's `TYPE,name=value,...`, in JSON all arguments; `name` is then how
          help shows its beginning.
    """

    name: str
    kind: str = "str"
    optional: bool = False

    def __str__(self) -> str:
        forms = {"switch": "on|off", "options": f"{self.name}[,OPTION=VALUE...]"}
        form = forms.get(self.kind, self.name.upper())
        return f"[{form}]" if self.optional else form


@dataclass(frozen=True)
class Command:
    """A command.

    line:  its words at the terminal.
    name:  its name in JSON.
    run:   called with the arguments by name; returns what JSON can hold.
    text:  what a terminal shows of that.
    """

    line: str
    name: str
    parameters: tuple[Parameter, ...]
    doc: str
    run: Callable[..., Any]
    text: Callable[[Any], str] = answers.nothing

    @property
    def usage(self) -> str:
        """How it is written."""
        return " ".join([self.line, *map(str, self.parameters)])


class Monitor:
    """Runs commands on a network, between two turns of its loop.

    on_quit: called for `quit`.
    memory:  bytes of memory that a card of `device_add` has for itself; 0: none, for its client maps its own.
    """

    def __init__(self, network: Network, *, on_quit: Callable[[], None] | None = None, memory: int = 0) -> None:
        self.network = network
        self._on_quit = on_quit
        self._memory = memory
        self.ended = False  # `quit` was given: nothing more is asked for
        self.commands = (*self._questions(), *self._orders())

    def _questions(self) -> list[Command]:
        one = (Parameter("name", optional=True),)
        return [
            Command("info network", "query-network", (), "cards, netdevs, hubs", self._network, answers.network),
            Command("info usernet", "query-usernet", (), "connections of users", self._usernet, answers.usernet),
            Command("info nic", "query-nic", one, "registers, rings, counters, findings", self._nic, answers.nic),
            Command("info registers", "query-registers", one, "those that are not 0", self._registers, answers.lines),
            Command("info counters", "query-counters", one, "of a card and its wire", self._counters, answers.table),
            Command("info findings", "query-findings", one, "rules that were broken", self._findings, answers.table),
            Command("help", "help", (Parameter("command", optional=True),), "this list", self._help, answers.lines),
        ]

    def _orders(self) -> list[Command]:
        one, name, file = Parameter("name", optional=True), Parameter("name"), Parameter("file")
        link = (one, Parameter("up", "switch"))
        made = (Parameter("TYPE,id=ID", "options"),)
        wrapped = (Parameter("TYPE,id=ID,netdev=ID", "options"),)
        card = (Parameter("MODEL,id=ID,netdev=ID", "options"),)
        gone = (Parameter("id"),)
        rule = (Parameter("id", optional=True), Parameter("rule"))
        return [
            Command("set_link", "set_link", link, "plug a card's or netdev's cable in, or pull it", self._set_link),
            Command("netdev_add", "netdev_add", made, "make a netdev", self._netdev_add),
            Command("netdev_del", "netdev_del", gone, "close a netdev", self._netdev_del),
            Command("device_add", "device_add", card, "make a card", self._device_add, answers.warning),
            Command("device_del", "device_del", gone, "close a card; its netdev stays", self._device_del),
            Command("object_add", "object-add", wrapped, "wrap a netdev", self._object_add),
            Command("object_del", "object-del", gone, "take a wrapper from its netdev", self._object_del),
            Command("hostfwd_add", "hostfwd_add", rule, "forward a port: tcp::5555-:22", self._hostfwd_add),
            Command("hostfwd_remove", "hostfwd_remove", rule, "end that: tcp::5555", self._hostfwd_remove),
            Command("snapshot save", "snapshot-save", (file, one), "the state of a card, or of all", self._save),
            Command("snapshot load", "snapshot-load", (file, one), "take a state on", self._load),
            Command("dump ethtool", "dump-ethtool", (name, file), "for ethtool -d", self._dump_ethtool, answers.dump),
            Command("quit", "quit", (), "end the program", self._quit),
        ]

    # ------------------------------------------------------------------ running

    def line(self, text: str) -> str:
        """Runs a command as a terminal has it; returns what it shows.

        Raises ConfigurationError, or whatever the command raises (NicemuError, OSError).
        """
        words = text.split()
        command = self._find(words)
        given = words[len(command.line.split()) :]
        return _help_of(command, given) or command.text(command.run(**self._arguments(command, given)))

    def _find(self, words: Sequence[str]) -> Command:
        for command in self.commands:
            name = command.line.split()
            if list(words[: len(name)]) == name:
                return command
        alike = [c.line.partition(" ")[2] for c in self.commands if words and c.line.startswith(f"{words[0]} ")]
        if alike:
            raise ConfigurationError(f"expected {words[0]} and one of: {', '.join(alike)}")
        known = dict.fromkeys(c.line.split()[0] for c in self.commands)
        raise ConfigurationError(f"unknown command {' '.join(words[:1])!r}; expected one of: {', '.join(known)}")

    def _arguments(self, command: Command, words: Sequence[str]) -> dict[str, Any]:
        parameters = list(command.parameters)
        for parameter in command.parameters:
            if parameter.optional and len(parameters) > len(words):
                parameters.remove(parameter)
        if len(parameters) != len(words):
            raise ConfigurationError(f"expected {command.usage}")
        found: dict[str, Any] = {}
        for parameter, word in zip(parameters, words, strict=True):
            if parameter.kind == "switch":
                if word not in ("on", "off"):
                    raise ConfigurationError(f"expected {command.usage}")
                found[parameter.name] = word == "on"
            elif parameter.kind == "options":
                found |= _split(command, word)
            else:
                found[parameter.name] = word
        return found

    def execute(self, name: str, arguments: Mapping[str, Any] | None = None) -> Any:
        """Runs a command by its name in JSON (`_` and `-` are one) with arguments by name; returns its data.

        Raises what `line` does.
        """
        given = dict(arguments or {})
        found = {c.name.replace("-", "_"): c for c in self.commands}.get(name.replace("-", "_"))
        if found is None:
            raise ConfigurationError(f"unknown command {name!r}; expected one of: {', '.join(self.names())}")
        if any(parameter.kind == "options" for parameter in found.parameters):
            return found.run(**_options(found, given))
        known = {parameter.name: parameter for parameter in found.parameters}
        for key, value in given.items():
            if key not in known:
                raise ConfigurationError(
                    f"{name} has no argument {key!r}; expected one of: {', '.join(known) or 'none'}"
                )
            wanted = bool if known[key].kind == "switch" else str
            if not isinstance(value, wanted):
                raise ConfigurationError(f"argument {key} of {name} is {value!r}; expected a {wanted.__name__}")
        missing = [key for key, parameter in known.items() if not parameter.optional and key not in given]
        if missing:
            raise ConfigurationError(f"{name} needs the argument {missing[0]!r}")
        return found.run(**given)

    def names(self) -> list[str]:
        """The names of all commands in JSON."""
        return [command.name for command in self.commands]

    # ------------------------------------------------------------------ what there is

    def _network(self) -> dict[str, Any]:
        network = self.network
        ports = {name: n for name, n in network.netdevs.items() if n.hub is not None}
        hubs = [
            {"id": hub, "ports": [{"name": p.name, "peer": self._peer(p)} for p in ports.values() if p.hub == hub]}
            for hub in network.hubs
        ]
        joined = {p.lower for p in ports.values()}
        idle = [n for n in network.netdevs.values() if n.name not in joined and n.hub is None]
        clients = [_netdev(n) for n in idle if not network.holder(n.name)]
        for name, card in network.cards.items():
            if card.netdev not in ports:
                wire = network.netdevs.get(card.netdev)
                clients.append(_card(name, card.nic) | ({"peer": _netdev(wire)} if wire else {}))
        return {"hubs": hubs, "clients": clients}

    def _peer(self, port: Netdev) -> dict[str, Any] | None:
        """What a port of a hub has on its other side."""
        if port.lower:
            lower = self.network.netdevs.get(port.lower)
            return _netdev(lower) if lower else None
        holder = self.network.holder(port.name)
        return _card(holder, self.network.cards[holder].nic) if holder else None

    def _usernet(self) -> list[dict[str, Any]]:
        hubs = {n.lower: n.hub for n in self.network.netdevs.values() if n.lower}
        users = [(n, n.end) for n in self.network.netdevs.values() if isinstance(n.end, User)]
        return [{"id": n.name, "hub": hubs.get(n.name), "connections": end.info()} for n, end in users]

    def _nic(self, name: str = "") -> dict[str, Any]:
        nic = self.network.find_nic(name)
        return {
            "name": nic.name,
            "model": nic.MODEL,
            "macaddr": nic.mac.hex(":"),
            "link": nic.wire_up,
            "registers": self._registers(name),
            "rings": {ring: asdict(view) for ring, view in nic.rings().items()},
            "counters": self._counters(name),
            "findings": self._findings(name),
        }

    def _registers(self, name: str = "") -> list[str]:
        return answers.registers(self.network.find_nic(name))

    def _counters(self, name: str = "") -> dict[str, int]:
        nic = self.network.find_nic(name)
        counts = nic.counters
        if nic.backend is not None:
            counts |= {f"backend_{counter}": value for counter, value in vars(nic.backend.counters).items()}
        return counts

    def _findings(self, name: str = "") -> dict[str, int]:
        return self.network.find_nic(name).finding_counts

    def _help(self, command: str = "") -> list[str]:
        chosen = [c for c in self.commands if not command or c.line.split()[0] == command]
        if not chosen:
            raise ConfigurationError(f"unknown command {command!r}; `help` lists them")
        width = max(len(c.usage) for c in chosen)
        return [f"{c.usage:<{width}}  {c.doc}" for c in chosen]

    # ------------------------------------------------------------------ what changes it

    def _set_link(self, up: bool, name: str = "") -> dict[str, Any]:
        self.network.set_link(name or self.network.find_nic("").name, up)
        return {}

    def _netdev_add(self, kind: str, options: dict[str, Any]) -> dict[str, Any]:
        if "id" not in options:
            raise ConfigurationError("netdev_add needs an id: netdev_add TYPE,id=ID")
        self.network.netdev_add(kind, options)
        return {}

    def _netdev_del(self, id: str) -> dict[str, Any]:
        self.network.netdev_del(id)
        return {}

    def _object_add(self, kind: str, options: dict[str, Any]) -> dict[str, Any]:
        self.network.object_add(kind, options)
        return {}

    def _object_del(self, id: str) -> dict[str, Any]:
        self.network.object_del(id)
        return {}

    def _device_add(self, kind: str, options: dict[str, Any]) -> dict[str, Any]:
        from nicemu.cli.cards import make_card, serve_card

        slot = make_card(self.network, kind, options, self._memory)
        try:
            serve_card(slot)
        except (NicemuError, OSError):
            self.network.device_del(slot.nic.name)
            raise
        return {"warning": slot.warning} if slot.warning else {}

    def _device_del(self, id: str) -> dict[str, Any]:
        self.network.device_del(id)
        return {}

    def _user(self, name: str) -> User:
        users = {n.name: n.end for n in self.network.netdevs.values() if isinstance(n.end, User)}
        if not users or (name and name not in users):
            known = f"there are: {', '.join(users)}" if users else "there is none"
            raise ConfigurationError(f"no user network {name}; {known}".replace(" ;", ";"))
        return users[name] if name else next(iter(users.values()))

    def _hostfwd_add(self, rule: str, id: str = "") -> dict[str, Any]:
        self._user(id).hostfwd_add(rule)
        return {}

    def _hostfwd_remove(self, rule: str, id: str = "") -> dict[str, Any]:
        self._user(id).hostfwd_remove(rule)
        return {}

    def _save(self, file: str, name: str = "") -> dict[str, Any]:
        write_whole(file, self.network.find_nic(name).save() if name else self.network.save())
        return {}

    def _load(self, file: str, name: str = "") -> dict[str, Any]:
        with open(file, "rb") as stream:
            data = stream.read()
        if name:
            self.network.find_nic(name).load(data)
        else:
            self.network.load(data)
        return {}

    def _dump_ethtool(self, name: str, file: str) -> dict[str, Any]:
        dump = self.network.find_nic(name).ethtool_dump()
        write_whole(file, dump.data)
        return {"driver": dump.driver, "version": dump.version, "bytes": len(dump.data), "file": file}

    def _quit(self) -> dict[str, Any]:
        self.ended = True
        if self._on_quit:
            self._on_quit()
        return {}

    def version(self) -> dict[str, Any]:
        """What QMP's greeting and query-version say."""
        major, minor, micro = (int(part) for part in __version__.split(".")[:3])
        return {"qemu": {"major": major, "minor": minor, "micro": micro}, "package": f"nicemu {__version__}"}


# ------------------------------------------------------------------------------------------------- parts of commands


#: The option of the command line that says the same, by name in JSON.
OPTION_LISTS = {"netdev_add": "netdev", "device_add": "device", "object-add": "object"}


def _split(command: Command, text: str) -> dict[str, Any]:
    """The type and the options of an option list."""
    from nicemu.cli.plan import Given, split

    parts = split(Given(OPTION_LISTS[command.name], text))
    return {"kind": parts.word, "options": parts.values}


def _help_of(command: Command, words: Sequence[str]) -> str:
    """`netdev_add help`, `netdev_add user,help`: what the command line answers."""
    if command.name not in OPTION_LISTS or len(words) != 1 or words[0].startswith("{"):
        return ""
    from nicemu.cli.lists import asked
    from nicemu.cli.plan import Given

    return asked([Given(OPTION_LISTS[command.name], words[0])])


def _options(command: Command, given: dict[str, Any]) -> dict[str, Any]:
    return _split(command, json.dumps(given))


def _netdev(netdev: Netdev) -> dict[str, Any]:
    filters = [{"name": f.name, "type": f.kind} | {k: _joined(v) for k, v in f.options.items()} for f in netdev.filters]
    return {"name": netdev.name, "type": netdev.kind, "details": netdev.end.details, "filters": filters}


def _joined(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


def _card(name: str, nic: Nic) -> dict[str, Any]:
    return {"name": name, "type": "nic", "model": nic.MODEL, "macaddr": nic.mac.hex(":"), "link": nic.wire_up}


def write_whole(file: str, data: bytes) -> None:
    """Writes a file whole or not at all."""
    work = f"{file}.part"
    try:
        with open(work, "wb") as stream:
            stream.write(data)
        os.replace(work, file)
    except OSError:
        if os.path.exists(work):
            os.unlink(work)
        raise
