"""Time comes from outside: a card lives by the clock that it is given."""

from __future__ import annotations

from nicemu.engine import lib, owned, raise_pending
from nicemu.errors import ConfigurationError

__all__ = ["Clock"]

NEVER = 2**64 - 1


class Clock:
    """A clock in nanoseconds.

    `Clock()` follows the machine's monotonic clock.  `Clock.virtual()` stands still until `advance` moves it, stops at
    every timer on its way, and so gives the same outputs for the same inputs.
    """

    def __init__(self, *, _handle: object = None, _virtual: bool = False) -> None:
        self.handle = owned(lib.nic_clock_new_monotonic() if _handle is None else _handle, lib.nic_clock_free)
        self.is_virtual = _virtual

    @classmethod
    def virtual(cls, now: int = 0) -> Clock:
        """A virtual clock that starts at `now` ns."""
        return cls(_handle=lib.nic_clock_new_virtual(now), _virtual=True)

    @property
    def now(self) -> int:
        """The time, in ns."""
        return int(lib.nic_clock_now(self.handle))

    @property
    def next_deadline(self) -> int | None:
        """When the first timer of any card on this clock is due, in ns; None if none is set."""
        deadline = int(lib.nic_clock_next(self.handle))
        return None if deadline == NEVER else deadline

    def advance(self, ns: int) -> None:
        """Moves a virtual clock on by `ns`, running what falls due on the way.

        Raises ConfigurationError for a clock that is not virtual, a negative `ns`, a time beyond 2**64 ns, or from
        inside a timer.
        """
        if ns < 0 or not self.is_virtual:
            raise ConfigurationError(f"cannot advance by {ns} ns; expected a virtual clock and a time of 0 or more")
        if lib.nic_clock_advance(self.handle, ns):
            raise ConfigurationError("a clock cannot be advanced from inside one of its timers, nor beyond 2**64 ns")
        raise_pending()
