"""From QEMU's network options to a network: -netdev, -device, -nic, -net, -object, -redir, -tftp, -bootp, -smb.

The options are read first, whatever their order, and things are then made in this order: netdevs, the objects around
them, what joins netdevs to hubs, cards.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from nicemu import backends
from nicemu.backends.base import Kind
from nicemu.cli.cards import Slot, card_options, make_card
from nicemu.errors import ConfigurationError
from nicemu.network import Network, netdev_types
from nicemu.options import HELP_WORDS, parse

__all__ = ["KEYS", "Given", "Plan", "split"]

Values = dict[str, list[str]]

DEFAULT_MODEL = "e1000"


class Given(NamedTuple):
    """One network option of the command line: its name, `netdev`, and its argument."""

    option: str
    text: str


class Parts(NamedTuple):
    """An option list: the word in front (or the value of the key that stands for it), values, whether help is asked."""

    word: str
    values: Values
    help: bool

    @property
    def model(self) -> str | None:
        """The value of `model`, if it was given."""
        return self.values.get("model", [None])[0]


#: The key that stands for the first word, by option; those of -nic and -net may have neither.
KEYS = {"netdev": "type", "net": "type", "nic": "type", "object": "qom-type", "device": "driver"}


def split(given: Given) -> Parts:
    """The parts of an option list in any of QEMU's forms: `user,id=n0`, `type=user,id=n0`, `{"type": "user", ...}`."""
    key = KEYS[given.option]
    if given.text.startswith("{"):
        values = _from_json(given)
        return Parts("".join(values.pop(key, [])), values, False)
    options = parse(given.text)
    values = {name: list(listed) for name, listed in options.values.items()}
    name, equals, value = options.word.partition("=")
    if equals:
        values.setdefault(name, []).insert(0, value)
    word = _one(values, key) if equals else options.word
    if any(values.get(name, [""])[0] in HELP_WORDS for name in ("model", "driver")) or word in HELP_WORDS:
        return Parts("" if word in HELP_WORDS else word, values, True)
    if not word and not options.help and given.option in ("netdev", "object", "device"):
        what = "MODEL" if given.option == "device" else "TYPE"
        raise ConfigurationError(f"-{given.option} {given.text}: expected {what}[,option=value...]; `help` lists them")
    return Parts(word, values, options.help)


def _one(values: Values, name: str, default: str = "") -> str:
    """Takes the value of a key that is given once at most."""
    found = values.pop(name, [default])
    if len(found) > 1:
        raise ConfigurationError(f"option {name} is given {len(found)} times; expected once")
    return found[0]


def _from_json(given: Given) -> Values:
    try:
        tree = json.loads(given.text)
    except ValueError as error:
        raise ConfigurationError(f"-{given.option} {given.text}: {error}") from None
    return dict(_flat("", tree))


def _flat(prefix: str, tree: dict[str, Any]) -> Iterator[tuple[str, list[str]]]:
    for name, value in tree.items():
        if isinstance(value, dict):
            yield from _flat(f"{prefix}{name}.", value)
            continue
        listed = value if isinstance(value, list) else [value]
        texts = [str(v.get("str", v)) if isinstance(v, dict) else v for v in listed]
        yield prefix + name, [("on" if v else "off") if isinstance(v, bool) else str(v) for v in texts]


@dataclass
class Entry:
    """Something to make: its type or model, and its options."""

    kind: str
    values: Values = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Its id, if it was given one."""
        return "".join(self.values.get("id", [])[:1])


class Plan:
    """What a command line asks for."""

    def __init__(self, given: Sequence[Given]) -> None:
        self.netdevs: list[Entry] = []
        self.objects: list[Entry] = []
        self.joints: list[Entry] = []
        self.devices: list[Entry] = []
        self.warnings: list[str] = []
        self._ports: dict[str, int] = {}
        readers = {
            "netdev": self._read_netdev,
            "object": self._read_object,
            "device": self._read_device,
            "nic": self._read_nic,
            "net": self._read_net,
        }
        for option in given:
            if option.option in readers:
                readers[option.option](option)
        self._legacy = [option for option in given if option.option not in readers]

    # ------------------------------------------------------------------ reading

    def _read_netdev(self, given: Given) -> None:
        kind, values, _ = split(given)
        entry = Entry(kind, values)
        self._name(entry)
        (self.joints if kind == "hubport" else self.netdevs).append(entry)

    def _name(self, entry: Entry) -> str:
        """The id of a netdev, made up as QEMU does where none was given: `user.0`."""
        if not entry.name:
            taken = {e.name for e in (*self.netdevs, *self.joints)}
            entry.values["id"] = [next(n for i in range(len(taken) + 1) if (n := f"{entry.kind}.{i}") not in taken)]
        return entry.name

    def _read_object(self, given: Given) -> None:
        kind, values, _ = split(given)
        self.objects.append(Entry(kind, values))

    def _read_device(self, given: Given) -> None:
        model, values, _ = split(given)
        self.devices.append(Entry(model, values))

    def _read_nic(self, given: Given) -> None:
        """-nic: a netdev and its card in one."""
        kind, values, _ = split(given)
        if kind == "none":
            return
        card = self._card(values)
        wire = Entry(kind or "user")
        types = {t.name: t for t in netdev_types()}
        if wire.kind not in types:
            raise ConfigurationError(f"unknown netdev type {kind!r}; expected one of: {', '.join(types)}, none")
        known = {option.name for option in types[wire.kind].options}
        for name in [name for name in card.values if name in known and name != "netdev"]:
            wire.values[name] = card.values.pop(name)
        self._name(wire)
        (self.joints if wire.kind == "hubport" else self.netdevs).append(wire)
        card.values["netdev"] = [wire.name]
        self.devices.append(card)

    def _card(self, values: Values) -> Entry:
        """A card from the keys of -nic and -net nic."""
        card = Entry(_one(values, "model", DEFAULT_MODEL), values)
        for old, new in (("macaddr", "mac"), ("name", "id")):
            if old in values and new in values:
                raise ConfigurationError(f"{old} and {new} are one option; expected one of them")
            if old in values:
                values[new] = values.pop(old)
        return card

    def _read_net(self, given: Given) -> None:
        """-net nic and -net TYPE: ports of a numbered VLAN, which is a hub."""
        kind, values, _ = split(given)
        if kind == "none":
            return
        vlan = _one(values, "vlan", "0")
        if not vlan.isdecimal():
            raise ConfigurationError(f"vlan={vlan}; expected a number from 0 on")
        if kind == "nic":
            card = self._card(values)
            if "netdev" not in values:
                values["netdev"] = [self._port(vlan)]
            self.devices.append(card)
            return
        if "name" in values:
            values["id"] = values.pop("name")
        dumped: Values = {}
        if kind == "dump":
            dumped["file"] = [f"qemu-vlan{vlan}.pcap"]
            dumped |= {new: values.pop(old) for old, new in (("file", "file"), ("len", "maxlen")) if old in values}
        wire = Entry("null" if dumped else kind, values)
        self.netdevs.append(wire)
        self._port(vlan, self._name(wire))
        if dumped:
            self.objects.append(Entry("filter-dump", dumped | {"netdev": [wire.name]}))

    def _port(self, vlan: str, netdev: str = "") -> str:
        number = self._ports[vlan] = self._ports.get(vlan, -1) + 1
        joint = Entry("hubport", {"id": [f"hub{vlan}port{number}"], "hubid": [vlan]})
        if netdev:
            joint.values["netdev"] = [netdev]
        self.joints.append(joint)
        return joint.name

    def _read_legacy(self, given: Given) -> None:
        """-redir, -tftp, -bootp and -smb speak of the first user netdev."""
        users = [entry for entry in self.netdevs if entry.kind == "user"]
        if not users:
            raise ConfigurationError(f"-{given.option} needs a user network; expected -net user or -netdev user")
        if given.option == "redir":
            users[0].values.setdefault("hostfwd", []).append(_redirection(given.text))
        else:
            users[0].values[{"bootp": "bootfile"}.get(given.option, given.option)] = [given.text]

    def add_card(self, text: str, socket: str | None, fd: int | None) -> None:
        """`serve MODEL`: a card at the first netdev that none has, or at a user network of its own."""
        model, values, _ = split(Given("device", text))
        used = {"".join(card.values.get("netdev", [])) for card in self.devices}
        used |= {"".join(joint.values.get("netdev", [])) for joint in self.joints}
        if "netdev" not in values:
            idle = [entry.name for entry in (*self.netdevs, *self.joints) if entry.name not in used]
            values["netdev"] = [idle[0] if idle else self._default()]
        self.devices.insert(0, Entry(model, values))
        self.place(socket, fd)

    def _default(self) -> str:
        self.netdevs.append(Entry("user"))
        return self._name(self.netdevs[-1])

    def place(self, socket: str | None, fd: int | None) -> None:
        """--socket-path and --fd: for the one card that has no socket of its own."""
        if socket is None and fd is None:
            return
        free = [card for card in self.devices if "socket" not in card.values and "fd" not in card.values]
        if len(free) != 1 and not (free and free[0] is self.devices[0] and len(self.devices) == 1):
            raise ConfigurationError(
                f"--socket-path and --fd are for one card without socket=; there are {len(free)}: give each its socket="
            )
        free[0].values["socket" if socket is not None else "fd"] = [str(fd if socket is None else socket)]

    # ------------------------------------------------------------------ checking and making

    def check(self) -> None:
        """Reads every name and value before anything is made; ConfigurationError, naming what is valid."""
        self._check_kinds("netdev", netdev_types(), [*self.netdevs, *self.joints])
        self._check_kinds("object", backends.wrappers(), self.objects)
        for card in self.devices:
            card_options(card.kind, card.values)

    def _check_kinds(self, what: str, kinds: Sequence[Kind], entries: Sequence[Entry]) -> None:
        known = {kind.name: kind for kind in kinds}
        for entry in entries:
            if entry.kind not in known:
                word = "netdev type" if what == "netdev" else what
                raise ConfigurationError(f"unknown {word} {entry.kind!r}; expected one of: {', '.join(known)}")
            target = () if what == "netdev" else ("netdev",)
            asked = {name: value for name, value in entry.values.items() if name not in target}
            backends.registry.keywords(what, known[entry.kind], asked)

    def make(self, network: Network, memory: int = 0) -> list[Slot]:
        """Makes everything in `network`; returns the cards.

        memory: bytes of memory that each card has for itself; 0: none, for its client maps its own.
        """
        for option in self._legacy:
            self._read_legacy(option)
        for entry in self.netdevs:
            network.netdev_add(entry.kind, entry.values)
        later = [entry for entry in self.joints if "netdev" in entry.values]
        for entry in self.joints:
            if entry not in later:
                network.netdev_add(entry.kind, entry.values)
        for entry in self.objects:
            network.object_add(entry.kind, entry.values)
        for entry in later:
            network.netdev_add(entry.kind, entry.values)
        slots = [make_card(network, entry.kind, entry.values, memory) for entry in self.devices]
        self.warnings += [slot.warning for slot in slots if slot.warning]
        idle = network.without_peer()
        self.warnings += [f"{'card' if n in network.cards else 'netdev'} {n} has no peer" for n in idle]
        return slots


def _redirection(text: str) -> str:
    """hostfwd's form of `tcp:5555::22`."""
    match = re.fullmatch(r"(tcp|udp|):(\d+):([^:]*):(\d+)", text)
    if not match:
        raise ConfigurationError(f"-redir {text}; expected [tcp|udp]:host-port:[guest-host]:guest-port")
    protocol, host_port, guest, guest_port = match.groups()
    return f"{protocol}::{host_port}-{guest}:{guest_port}"
