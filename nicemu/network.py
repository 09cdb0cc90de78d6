"""Cards, netdevs and hubs of one loop, by name: what QEMU's command line and monitor speak of.

A netdev is the wire of one card (`netdev=`) or of one port of a hub (`hubport,netdev=`).  Names outlive what they name:
a netdev that is removed leaves its card without a cable, and one that is added under the same name plugs it in again.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from nicemu import backends
from nicemu.backends import Backend, BackendType, Hub, HubPort, Pair, Wrapper, registry
from nicemu.backends.base import OVERFLOW, drops
from nicemu.core import Nic
from nicemu.devices import find_class
from nicemu.errors import ConfigurationError, SnapshotError
from nicemu.loop import Loop
from nicemu.options import Option, Options, model_arguments

__all__ = ["Card", "Netdev", "Network", "netdev_types"]

#: A value, or several where an option may be repeated.
Values = Mapping[str, Any]


def _only_here(**options: Any) -> Backend:
    raise ConfigurationError("this type of netdev is made by a Network; see Network.netdev_add")


_HUBPORT = BackendType(
    "hubport",
    "a port of a hub (a numbered VLAN): what one port sends all others hear",
    (
        Option("hubid", "int", "the number of the hub", required=True),
        Option("netdev", "netdev", "the netdev to join to the hub; without one the port is for a card"),
    ),
    _only_here,
)
_PAIR = BackendType(
    "pair",
    "a cable between two cards: makes both of its ends",
    (Option("peer", "str", "the id of the other end", required=True),),
    _only_here,
)


def netdev_types() -> list[BackendType]:
    """Every type of netdev of a network: the backends, and what joins them."""
    return [*backends.available(), _HUBPORT, _PAIR]


class Filter(NamedTuple):
    """A wrapper that `-object` put around a netdev."""

    name: str
    kind: str
    options: Values
    wire: Wrapper


@dataclass
class Netdev:
    """A wire by name."""

    name: str
    kind: str
    end: Backend  #: the backend itself
    wire: Backend  #: with what is wrapped around it; what a card or a hub is joined to
    filters: list[Filter] = field(default_factory=list)  #: the nearest to the wire first
    hub: int | None = None  #: a hubport's
    lower: str = ""  #: the name of the netdev that a hubport joins to its hub
    shut: bool = False  #: a hubport whose link was set off
    overflow: str = "hold"  #: a hubport's


@dataclass
class Card:
    """A card, and the name of its netdev."""

    nic: Nic
    netdev: str


class Network:
    """Makes, joins and removes cards, netdevs and hubs by name; all run on `loop`.

    >>> with Network() as network:
    ...     wire = network.netdev_add("user", {"id": "n0", "hostfwd": "tcp::5555-:22"})
    ...     nic = network.device_add("e1000", {"id": "e0", "netdev": "n0"})
    ...     network.set_link("e0", False)

    Options are QEMU's, as text or as Python values.  ConfigurationError tells what is wrong with a name or a value.
    Closing the network closes everything in it.
    """

    def __init__(self, loop: Loop | None = None) -> None:
        self.loop = loop or Loop()
        self.cards: dict[str, Card] = {}
        self.netdevs: dict[str, Netdev] = {}
        self.hubs: dict[int, Hub] = {}

    # ------------------------------------------------------------------ netdevs

    def netdev_add(self, kind: str, options: Values | None = None) -> Backend:
        """Makes a netdev; a card or a port that waits for one of its name is joined to it.

        options: those of the type, and `id`, its name (`user.0` by default).
        """
        values = dict(options or {})
        name = str(_one(values.pop("id", None)) or self._free_name(kind))
        self._check_new(name)
        if kind == "hubport":
            made = self._make_hubport(name, values)
        elif kind == "pair":
            made = self._make_pair(name, values)
        else:
            types = [t.name for t in netdev_types()]
            if kind not in types:
                raise ConfigurationError(f"unknown netdev type {kind!r}; expected one of: {', '.join(types)}")
            end = backends.create(kind, values | {"id": name})
            made = [Netdev(name, kind, end, end)]
        for netdev in made:
            self.netdevs[netdev.name] = netdev
            self._join_waiting(netdev)
        return made[0].wire

    def _check_new(self, name: str) -> None:
        if name in self.netdevs or name in self.cards:
            what = "netdev" if name in self.netdevs else "card"
            raise ConfigurationError(f"id {name!r} is taken by a {what}; expected a name of its own")

    def _free_name(self, kind: str) -> str:
        number = 0
        while f"{kind}.{number}" in self.netdevs or f"{kind}.{number}" in self.cards:
            number += 1
        return f"{kind}.{number}"

    def _make_hubport(self, name: str, values: Values) -> list[Netdev]:
        asked = registry.keywords("netdev", _HUBPORT, values)
        overflow = _overflow(asked)
        lower = str(asked.get("netdev", ""))
        if lower:
            self._check_free(lower)
        hub = self.hub(asked["hubid"])
        port = hub.connect(self.netdevs[lower].wire) if lower else hub.port()
        port.name = name
        port.overflow = overflow
        return [Netdev(name, "hubport", port, port, hub=asked["hubid"], lower=lower, overflow=overflow)]

    def _make_pair(self, name: str, values: Values) -> list[Netdev]:
        asked = registry.keywords("netdev", _PAIR, values)
        peer, overflow = asked["peer"], _overflow(asked)
        self._check_new(peer)
        if peer == name:
            raise ConfigurationError(f"peer={peer} is the id itself; expected a name for the other end")
        ends = Pair.create()
        for end, end_name in zip(ends, (name, peer), strict=True):
            end.name = end_name
            end.overflow = overflow
        return [Netdev(end.name, "pair", end, end) for end in ends]

    def hub(self, number: int) -> Hub:
        """The hub of a number, made when it is first asked for."""
        if number not in self.hubs:
            self.hubs[number] = Hub(name=f"hub {number}")
            self.hubs[number].run_on(self.loop)
        return self.hubs[number]

    def find_netdev(self, name: str) -> Netdev:
        """The netdev of a name; ConfigurationError with the names that there are."""
        if name not in self.netdevs:
            raise ConfigurationError(f"no netdev {name!r}; {_there_are(self.netdevs)}")
        return self.netdevs[name]

    def holder(self, name: str) -> str:
        """The name of the card or port that has a netdev, or nothing."""
        holders = [card for card, c in self.cards.items() if c.netdev == name]
        holders += [netdev.name for netdev in self.netdevs.values() if netdev.lower == name]
        return holders[0] if holders else ""

    def _check_free(self, name: str) -> None:
        netdev = self.find_netdev(name)
        holder = self.holder(name)
        if holder or netdev.lower:
            raise ConfigurationError(
                f"netdev {name} is in use by {holder or netdev.lower}; a hub joins more than two (-netdev hubport,help)"
            )

    def _join_waiting(self, netdev: Netdev) -> None:
        for card in self.cards.values():
            if card.netdev == netdev.name:
                card.nic.plug(netdev.wire)
        for port in self.netdevs.values():
            if port.lower == netdev.name and port is not netdev and not netdev.wire.in_use and port.hub is not None:
                self._rejoin(port, netdev)

    def _rejoin(self, port: Netdev, netdev: Netdev) -> None:
        """A port that lost its wire is made again with the new one."""
        port.end.close()
        made = self.hub(port.hub or 0).connect(netdev.wire)
        made.name = port.name
        made.overflow = port.overflow
        if port.shut:
            made.set_link(False)
        port.end = port.wire = made

    def netdev_del(self, name: str) -> None:
        """Closes a netdev; its card has no cable then, until one of the same name is added."""
        netdev = self.find_netdev(name)
        for card in self.cards.values():
            if card.netdev == name:
                card.nic.plug(None)
        netdev.wire.close()
        del self.netdevs[name]

    # ------------------------------------------------------------------ wrappers

    def object_add(self, kind: str, options: Values) -> Backend:
        """Wraps a netdev, also one that a card or a hub has; the wrapper that is made first is nearest to the wire.

        options: those of the type, `netdev`, and `id`.
        """
        values = dict(options)
        types = {t.name: t for t in backends.wrappers()}
        if kind not in types:
            raise ConfigurationError(f"unknown object {kind!r}; expected one of: {', '.join(types)}")
        target = str(_one(values.pop("netdev", None)) or "")
        if not target:
            raise ConfigurationError(f"object {kind} needs netdev=<id>: the netdev to wrap")
        netdev = self.find_netdev(target)
        if netdev.lower:
            raise ConfigurationError(f"netdev {target} only joins {netdev.lower} to its hub; expected {netdev.lower}")
        name = self._filter_name(kind, _one(values.pop("id", None)))
        wanted = values | {"id": name}
        for option in types[kind].options:
            if option.kind == "netdev" and option.name in values:
                self._check_free(str(_one(values[option.name])))
                wanted[option.name] = self.find_netdev(str(_one(values[option.name]))).wire
        with self._apart(netdev):
            netdev.wire = wrapper = backends.wrap(netdev.wire, kind, wanted)
        netdev.filters.append(Filter(name, kind, values, wrapper))
        return wrapper

    def object_del(self, name: str) -> None:
        """Takes a wrapper from around its netdev; frames under way in it are lost."""
        netdev = next((n for n in self.netdevs.values() if name in [f.name for f in n.filters]), None)
        if netdev is None:
            raise ConfigurationError(f"no object {name!r}; {_there_are(self._filters())}")
        at = [f.name for f in netdev.filters].index(name)
        above = netdev.filters[at + 1].wire if at + 1 < len(netdev.filters) else None
        with self._apart(netdev):
            below = netdev.filters.pop(at).wire.remove(above)
            netdev.wire = netdev.wire if above else below

    def _filters(self) -> list[str]:
        return [f.name for netdev in self.netdevs.values() for f in netdev.filters]

    def _filter_name(self, kind: str, asked: Any) -> str:
        taken = self._filters()
        if asked is None:
            return next(n for i in range(len(taken) + 1) if (n := f"{kind}.{i}") not in taken)
        if str(asked) in taken:
            raise ConfigurationError(f"id {str(asked)!r} is taken by an object; expected a name of its own")
        return str(asked)

    @contextmanager
    def _apart(self, netdev: Netdev) -> Iterator[None]:
        """Takes a netdev from its card or its hub, and gives it back, as it is then, in the end."""
        nics = [card.nic for card in self.cards.values() if card.netdev == netdev.name]
        ports = [port for port in self.netdevs.values() if port.lower == netdev.name]
        for nic in nics:
            nic.plug(None)
        for port in ports:
            port.end.close()
        try:
            yield
        finally:
            for nic in nics:
                nic.plug(netdev.wire)
            for port in ports:
                self._rejoin(port, netdev)

    # ------------------------------------------------------------------ cards

    def device_add(self, model: str, options: Values | None = None, **more: Any) -> Nic:
        """Makes a card.

        options: those of the model, and `netdev`, the name of its wire (none: no cable).  `id` is its name (`e1000.0`),
                 `mac` the first of 52:54:00:12:34:56 and up that no card has.
        more:    what only Python can give: `memory`, `clock`, `irq`, `msi` (`nicemu.create`).
        """
        values = dict(options or {})
        found = find_class(model)
        name = str(_one(values.pop("id", None)) or self._free_name(found.MODEL))
        self._check_new(name)
        netdev = str(_one(values.pop("netdev", None)) or "")
        if netdev:
            self._check_free(netdev)
        values.setdefault("mac", self._free_mac())
        lists = {key: value if isinstance(value, list) else [value] for key, value in values.items()}
        nic = found(**model_arguments(found, Options(model, lists)), name=name, loop=self.loop, **more)
        self.cards[name] = Card(nic, netdev)
        if netdev:
            nic.plug(self.netdevs[netdev].wire)
        return nic

    def device_del(self, name: str) -> None:
        """Closes a card and what serves it; its netdev stays, and is free for another."""
        if name not in self.cards:
            raise ConfigurationError(f"no card {name!r}; {_there_are(self.cards)}")
        self.cards[name].nic.close()
        del self.cards[name]

    def adopt(self, nic: Nic) -> None:
        """Takes in a card that was made elsewhere, under its own name, with the wire that it has."""
        if nic.loop is not self.loop:
            raise ConfigurationError(f"{nic.name} runs on another loop; expected the network's")
        self._check_new(nic.name)
        wire = nic.backend
        self.cards[nic.name] = Card(nic, wire.name if wire else "")
        if wire is not None and wire.name not in self.netdevs:
            end = wire
            while (lower := getattr(end, "lower", None)) is not None:
                end = lower
            self.netdevs[wire.name] = Netdev(wire.name, end.kind, end, wire)

    def _free_mac(self) -> str:
        taken = {card.nic.mac for card in self.cards.values()}
        number = 0x525400123456
        while number.to_bytes(6, "big") in taken:
            number += 1
        return number.to_bytes(6, "big").hex(":")

    def find_nic(self, name: str) -> Nic:
        """The card of a name or of a netdev's name; no name: the first.  ConfigurationError if there is none."""
        for card_name, card in self.cards.items():
            if name in ("", card_name, card.netdev):
                return card.nic
        raise ConfigurationError(f"no card {name!r}; {_there_are(self.cards)}")

    # ------------------------------------------------------------------ links

    def set_link(self, name: str, up: bool) -> None:
        """Plugs the cable of a card or a netdev in, or pulls it out.

        What is sent meanwhile is lost and counted, by the card (`port_link_down`) or by the port of the hub.
        """
        card = next((c for n, c in self.cards.items() if name in (n, c.netdev)), None)
        if card is not None:
            card.nic.set_link(up)
            return
        if name not in self.netdevs:
            raise ConfigurationError(f"no card or netdev {name!r}; {_there_are([*self.cards, *self.netdevs])}")
        ports = [n for n in self.netdevs.values() if name in (n.name, n.lower)]
        shut = False
        for port in ports:
            if isinstance(port.end, HubPort):
                port.end.set_link(up)
                port.shut, shut = not up, True
        if not shut:
            raise ConfigurationError(f"netdev {name} leads nowhere; expected one that a card or a hub has")

    # ------------------------------------------------------------------ snapshots

    def save(self) -> bytes:
        """The state of all cards, as JSON by name."""
        return json.dumps({"nics": {name: json.loads(card.nic.save()) for name, card in self.cards.items()}}).encode()

    def load(self, data: bytes) -> None:
        """Takes on the state of all cards; SnapshotError, and no change, if it is not one of these cards."""
        try:
            saved = json.loads(data)["nics"]
            names = set(saved)
        except (ValueError, KeyError, TypeError, RecursionError):
            raise SnapshotError("not a snapshot of a network; one card's is loaded by its name") from None
        if names != set(self.cards):
            raise SnapshotError(f"snapshot of {', '.join(sorted(names))}; there are: {', '.join(self.cards)}")
        before = {name: card.nic.save() for name, card in self.cards.items()}
        try:
            for name, card in self.cards.items():
                card.nic.load(json.dumps(saved[name]).encode())
        except SnapshotError:
            for name, card in self.cards.items():
                card.nic.load(before[name])
            raise

    # ------------------------------------------------------------------ life

    def without_peer(self) -> list[str]:
        """Names of netdevs that neither a card nor a hub has, and of cards without a netdev."""
        idle = [n.name for n in self.netdevs.values() if not n.lower and not self.holder(n.name)]
        return [*idle, *(name for name, card in self.cards.items() if not card.netdev)]

    def close(self) -> None:
        """Closes cards, hubs and netdevs; again is harmless."""
        for card in self.cards.values():
            card.nic.close()
        for hub in self.hubs.values():
            hub.close()
        for netdev in self.netdevs.values():
            netdev.wire.close()
        for held in (self.cards, self.hubs, self.netdevs):
            held.clear()

    def __enter__(self) -> Network:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _overflow(asked: Mapping[str, Any]) -> str:
    choice = str(asked.get(OVERFLOW.name, "hold"))
    drops(choice)
    return choice


def _one(value: Any) -> Any:
    """The value of an option that is given once, or as a list of one."""
    if isinstance(value, Sequence) and not isinstance(value, str):
        if len(value) != 1:
            raise ConfigurationError(f"{', '.join(map(str, value))}: {len(value)} values; expected one")
        return value[0]
    return value


def _there_are(names: Sequence[str] | Mapping[str, Any]) -> str:
    return f"there are: {', '.join(names)}" if names else "there is none"
