"""A wrapper that makes a wire slow and long."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from nicemu.backends.base import OVERFLOW, QUEUE, Backend, Wrapper, WrapperType, directions, drops
from nicemu.backends.units import parse_rate, parse_size, parse_time
from nicemu.engine import ffi, lib
from nicemu.errors import ConfigurationError
from nicemu.options import Option

__all__ = ["WRAPPERS", "Rate", "RateCounters"]

LIMIT_MAX, LIMIT_BYTES_MAX = 1 << 20, 1 << 26


@dataclass(frozen=True)
class RateCounters:
    """What happened to the frames of one direction; all since the wrapper was made."""

    #: Found the limit reached, and were lost (overflow `drop`).
    overflow: int
    #: The most frames that waited or were under way.
    longest: int


class Rate(Wrapper):
    """Gives a wire a speed and a length: `Rate(User(), rate="10M", latency="20ms")`.

    rate:        bits per second in each direction, as a number or `"10M"`; 0: no bound.  A frame takes the line for its
                 own bytes (60 at least) and 24 more of preamble, FCS and gap (IEEE 802.3), so that 10M is 10BASE-T.
    latency:     how long a frame is under way besides, in ns or as `"20ms"`.
    jitter:      each is under way for that much more or less, evenly drawn from `seed`; frames stay in order.
    limit:       the most frames that wait or are under way in each direction (1 to 1048576),
    limit_bytes: and their bytes (up to 64 MiB).  Both must leave room for what is under way: rate times latency.
    queue:       `all`, `rx` (what the card sends, which the netdev receives) or `tx` (what the card receives), as
                 QEMU's filters have it.
    overflow:    a frame beyond a limit is lost at the tail and counted (`drop`, as in a switch), or held back (`hold`).

    Time is that of the card's clock: on a virtual one, the same frames at the same times come out at the same times.
    Frames under way are lost, and counted, when the wire is taken from a card on a virtual clock.

    Raises ConfigurationError for a wrong option.
    """

    kind = "rate"

    def __init__(
        self,
        lower: Backend,
        *,
        rate: int | str = 0,
        latency: int | str = 0,
        jitter: int | str = 0,
        limit: int = 1000,
        limit_bytes: int | str = "2M",
        queue: str = "all",
        overflow: str = "drop",
        seed: int = 0,
        name: str = "",
    ) -> None:
        size = parse_size("limit-bytes", limit_bytes)
        if not 1 <= limit <= LIMIT_MAX:
            raise ConfigurationError(f"limit={limit} is out of range; expected 1 to {LIMIT_MAX} frames")
        if not 1514 <= size <= LIMIT_BYTES_MAX:
            raise ConfigurationError(f"limit-bytes={limit_bytes} is out of range; expected 1514 to 64M")
        config = ffi.new("nic_rate_config *")
        config.bits = parse_rate("rate", rate)
        config.latency_ns, config.jitter_ns = parse_time("latency", latency), parse_time("jitter", jitter)
        config.seed = seed & (1 << 64) - 1
        config.limit, config.limit_bytes = limit, size
        config.sent, config.received = directions(queue)
        config.drop = drops(overflow)
        super().__init__(lib.nic_rate_new(config), lower, name)

    def _counters(self, direction: int) -> RateCounters:
        counters = lib.nic_rate_get_counters(self.handle)
        return RateCounters(int(counters.overflows[direction]), int(counters.longest[direction]))

    @property
    def sent_counters(self) -> RateCounters:
        """Of what the card sent."""
        return self._counters(0)

    @property
    def received_counters(self) -> RateCounters:
        """Of what was on its way to the card."""
        return self._counters(1)


def _make(lower: Backend, **options: Any) -> Wrapper:
    return Rate(lower, **options)


WRAPPERS = (
    WrapperType(
        "rate",
        "give a wire a speed and a length",
        (
            Option("rate", "rate", "bits per second, as 10M; 0: no bound", "0"),
            Option("latency", "time", "how long frames are under way, as 20ms", "0"),
            Option("jitter", "time", "more or less", "0"),
            Option("limit", "int", "the most frames that wait or are under way, each way", "1000"),
            Option("limit-bytes", "size", "and their bytes, as 64k", "2M"),
            QUEUE,
            replace(OVERFLOW, default="drop"),
            Option("seed", "int", "what jitter is drawn from", "0"),
        ),
        _make,
    ),
)
