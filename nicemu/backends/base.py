"""What all backends have in common."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, ClassVar

from nicemu.engine import ffi, lib, raise_pending
from nicemu.errors import BackendError, ConfigurationError
from nicemu.options import Option

__all__ = ["Backend", "BackendType", "Counters", "Kind", "Wrapper", "WrapperType", "claim"]


@dataclass(frozen=True)
class Counters:
    """What went over a wire, as frames without FCS and their bytes; all since the backend was made."""

    sent_frames: int
    sent_bytes: int
    received_frames: int
    received_bytes: int
    #: Lost on the way out, by the backend's own choice or fault.
    send_drops: int
    #: Lost on the way in.
    receive_drops: int
    #: Refused by a rule.
    filtered: int
    #: Of the operating system.
    errors: int


class Backend:
    """One end of a wire: give it to a card (`backend=`, `Nic.plug`), to a wrapper (`Pcap`) or to a `Hub`.

    It belongs to one of these at a time and to the thread of that card's loop.  Close it when done (it is a context
    manager); closing unplugs it and frees its sockets and files.  A callback must not close the backend it came from.
    """

    #: QEMU's name of this type of netdev.
    kind: ClassVar[str] = ""
    #: Whether a card on this wire holds frames back while its ring is full (where overflow was not chosen).
    lossless: bool = False

    def __init__(self, handle: Any, name: str = "") -> None:
        if handle == ffi.NULL:
            raise BackendError(f"no memory for a {self.kind} backend")
        self._handle: Any = ffi.gc(handle, lib.nic_backend_free)
        #: How messages and monitors call it: the `id` of QEMU's -netdev, else its type.
        self.name = name or self.kind

    @property
    def handle(self) -> Any:
        """The engine's nic_backend (cdata); BackendError once it is closed."""
        if self._handle is None:
            raise BackendError(f"backend {self.name} is closed")
        return self._handle

    @property
    def closed(self) -> bool:
        """Whether close() was called."""
        return self._handle is None

    @property
    def in_use(self) -> bool:
        """Whether a card, a wrapper or a hub has it."""
        return bool(lib.nic_backend_in_use(self.handle))

    @property
    def link_up(self) -> bool:
        """Whether the far side of the wire is there."""
        return bool(lib.nic_backend_is_up(self.handle))

    @property
    def details(self) -> str:
        """What `info network` says of it behind its type, in QEMU's words: `net=10.0.2.0,restrict=off`."""
        return ""

    @property
    def counters(self) -> Counters:
        """A reading of the counters."""
        c = lib.nic_backend_get_counters(self.handle)
        return Counters(
            c.sent_frames,
            c.sent_bytes,
            c.received_frames,
            c.received_bytes,
            c.send_drops,
            c.receive_drops,
            c.filtered,
            c.errors,
        )

    @property
    def overflow(self) -> str:
        """What becomes of frames that the wire cannot take: `hold` (the card waits) or `drop` (`send_drops`)."""
        return "drop" if lib.nic_backend_drops(self.handle) else "hold"

    @overflow.setter
    def overflow(self, choice: str) -> None:
        lib.nic_backend_set_drop(self.handle, drops(choice))

    def turn(self) -> None:
        """Passes on what has arrived.  A card's poll() and its loop do this; it is for wires without a card."""
        lib.nic_backend_poll_chain(self.handle)
        raise_pending()

    def close(self) -> None:
        """Unplugs it and frees what it owns; again is harmless."""
        if self._handle is not None:
            ffi.release(self._handle)
            self._handle = None

    def __enter__(self) -> Backend:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "closed" if self.closed else "up" if self.link_up else "down"
        return f"<{type(self).__name__} {self.name}: {state}>"


class Wrapper(Backend):
    """A backend that passes on the frames of another, `lower`, and closes it with itself."""

    def __init__(self, handle: Any, lower: Backend, name: str = "") -> None:
        super().__init__(handle, name or lower.name)
        claim(self.handle, lower)
        self.lower = lower
        self.lossless = lower.lossless

    def remove(self, upper: Wrapper | None = None) -> Backend:
        """Frees what it owns and leaves the wire below, which is returned; frames under way in it are lost.

        upper: the wrapper around this one, which then goes around that wire.  No card and no hub may have the wire.
        """
        super().close()
        if upper is not None:
            claim(upper.handle, self.lower)
            upper.lower = self.lower
        return self.lower

    def close(self) -> None:
        """Frees what it owns, and closes the wire below."""
        super().close()
        self.lower.close()


@dataclass(frozen=True)
class Kind:
    """What can be made by name, as `help` shows it.

    name:        QEMU's name.
    description: a line about it.
    options:     its options, besides `id`, with QEMU's names.
    """

    name: str
    description: str
    options: tuple[Option, ...]

    @property
    def known(self) -> tuple[Option, ...]:
        """Its options, and those that all of this sort have, besides `id`."""
        return self.options


@dataclass(frozen=True)
class BackendType(Kind):
    """A type of netdev, as the command line and `create` know it.  It stands beside its class, in TYPES of its module.

    make: makes one from the options' keywords, and `name`.
    """

    make: Callable[..., Backend]

    @property
    def known(self) -> tuple[Option, ...]:
        """Its options and those of every backend, besides `id`."""
        own = any(option.name == OVERFLOW.name for option in self.options)
        return self.options if own else (*self.options, OVERFLOW)


@dataclass(frozen=True)
class WrapperType(Kind):
    """A type of wrapper, as `-object` and `wrap` know it.  It stands beside its class, in WRAPPERS of its module.

    The name is QEMU's name of the type of object (`filter-dump`), or one of our own; `netdev` is not among the options.
    The value of an option of kind `netdev` names another netdev; `make` is given that backend.

    make: makes one from the backend below it, the options' keywords, and `name`.
    """

    make: Callable[..., Wrapper]


def claim(wrapper: Any, lower: Backend) -> None:
    """Puts an engine wrapper above `lower`; ConfigurationError if something has `lower` already."""
    if lib.nic_backend_wrap(wrapper, lower.handle):
        raise ConfigurationError(f"{lower.name} is already in use; expected a backend that nothing has (a Hub shares)")


def drops(choice: str) -> bool:
    """Reads `overflow`; ConfigurationError if it is neither drop nor hold."""
    if choice not in ("drop", "hold"):
        raise ConfigurationError(f"overflow={choice}; expected drop or hold")
    return choice == "drop"


def directions(queue: str) -> tuple[bool, bool]:
    """Reads `queue` as (what the card sends, what it receives); ConfigurationError if it is not all, rx or tx."""
    if queue not in ("all", "rx", "tx"):
        raise ConfigurationError(f"queue={queue}; expected all, rx (what the card sends) or tx (what it receives)")
    return queue != "tx", queue != "rx"


#: Options that several wrappers have.
QUEUE = Option("queue", "str", "all, rx (what the card sends) or tx (what it receives), as the netdev sees it", "all")
OVERFLOW = Option("overflow", "str", "frames that find no room: drop (counted) or hold (the sender waits)", "hold")
