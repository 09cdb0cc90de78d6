"""Wires within the process: none, back to the card, between two cards, between many."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nicemu.backends.base import Backend, BackendType, claim
from nicemu.engine import ffi, lib, raise_pending
from nicemu.errors import BackendError, ConfigurationError

if TYPE_CHECKING:
    from nicemu.loop import Loop

__all__ = ["TYPES", "Hub", "HubPort", "Loopback", "Null", "Pair"]


#: Ports of a hub, those of its wires included (csrc/backend_hub.c).
HUB_PORTS = 64


class Null(Backend):
    """A wire that swallows every frame and brings none."""

    kind = "null"

    def __init__(self, *, name: str = "") -> None:
        super().__init__(lib.nic_null_new(), name)


class Loopback(Backend):
    """A loopback plug: every frame that leaves comes back, with the card's next poll; none is lost."""

    kind = "loopback"

    def __init__(self, *, name: str = "") -> None:
        super().__init__(lib.nic_loopback_new(), name)


class Pair(Backend):
    """One end of a cable between two cards: `a, b = Pair.create()`.

    An end whose card holds frames back (overflow `hold`) holds back the other card's sending, so that nothing is lost.
    Frames sent while the other end has no card are dropped and counted (`send_drops`).  Pulling the cable at one end
    (`set_link`) takes the link from the other; so does closing an end.  Both ends belong to one thread.
    """

    kind = "pair"

    @classmethod
    def create(cls, *, name: str = "") -> tuple[Pair, Pair]:
        """Both ends of a new cable."""
        ends = ffi.new("nic_backend *[2]")
        if lib.nic_pair_new(ends, ends + 1):
            raise BackendError("no memory for a pair of backends")
        prefix = name or cls.kind
        return cls(ends[0], f"{prefix}.0"), cls(ends[1], f"{prefix}.1")


class HubPort(Backend):
    """A port of a `Hub`, made by `Hub.port` or `Hub.connect`.

    A card on it holds frames back while its ring is full; what the port cannot hold for it is lost (`receive_drops`),
    or held back at its sender where that is the only other port in use.
    """

    kind = "hubport"
    lossless = True

    def set_link(self, up: bool) -> None:
        """Shuts the port, or opens it: a card on it loses its link, and what goes through it is dropped and counted."""
        lib.nic_hub_port_set_link(self.handle, up)
        raise_pending()


class Hub:
    """A repeater: what one port sends all others hear (QEMU's `hubport` netdevs and numbered VLANs).

    `port()` is a backend for a card; `connect(backend)` joins a wire to the hub, for instance a `User` that several
    cards share.  A port that cannot pass frames on loses its own (`receive_drops`) and delays nobody; with only two in
    use it holds the other back, and nothing is lost.  At most 64 ports.  Everything on a hub belongs to one thread;
    the wires below run on the loop of the first card that has one.
    """

    def __init__(self, *, name: str = "hub") -> None:
        handle = lib.nic_hub_new()
        if handle == ffi.NULL:
            raise BackendError("no memory for a hub")
        self._handle = ffi.gc(handle, lib.nic_hub_free)
        self._ports: list[HubPort] = []
        self._lowers: list[Backend] = []
        self.name = name

    @property
    def ports(self) -> tuple[HubPort, ...]:
        """The ports that are open, those of `connect` included."""
        self._ports = [p for p in self._ports if not p.closed]
        return tuple(self._ports)

    def port(self) -> HubPort:
        """A new port for a card; ConfigurationError beyond 64."""
        handle = lib.nic_hub_port(self._handle)
        if handle == ffi.NULL and len(self.ports) < HUB_PORTS:
            raise BackendError(f"no memory for a port of {self.name}")
        if handle == ffi.NULL:
            raise ConfigurationError(f"{self.name} has no free port: a hub has at most {HUB_PORTS}")
        port = HubPort(handle, f"{self.name}.{len(self._ports)}")
        self._ports.append(port)
        return port

    def connect(self, backend: Backend) -> HubPort:
        """Joins a wire to the hub; ConfigurationError if something has it already."""
        port = self.port()
        try:
            claim(port.handle, backend)
        except ConfigurationError:
            port.close()
            raise
        self._lowers.append(backend)
        return port

    def run_on(self, loop: Loop) -> None:
        """Runs the hub on a loop whether or not it has cards; takes one of its ports."""
        loop.add_wire(self.port())

    def turn(self) -> None:
        """Passes frames on; a card on the hub does this with its own poll."""
        for port in self.ports[:1]:
            lib.nic_backend_poll_chain(port.handle)
        raise_pending()

    def close(self) -> None:
        """Closes its ports, and the wires that were connected; again is harmless."""
        for port in self.ports:
            port.close()
        for backend in self._lowers:
            backend.close()
        self._lowers.clear()

    def __enter__(self) -> Hub:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


TYPES = (
    BackendType("loopback", "a plug that returns every frame", (), Loopback),
    BackendType("null", "a wire that swallows every frame", (), Null),
)
