"""A wrapper that treats frames as a bad wire does."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from nicemu.backends.base import OVERFLOW, QUEUE, Backend, Wrapper, WrapperType, directions, drops
from nicemu.backends.units import parse_time
from nicemu.engine import ffi, lib
from nicemu.errors import ConfigurationError
from nicemu.options import Option

__all__ = ["WRAPPERS", "FaultCounters", "Faults"]

#: By the engine's numbers.
KINDS = ("loss", "duplicate", "reorder", "delay", "corrupt", "runt", "jabber")
GAP_MAX = 16


@dataclass(frozen=True)
class FaultCounters:
    """What was done to the frames of one direction, by kind of fault; all since the wrapper was made."""

    loss: int
    duplicate: int
    reorder: int
    delay: int
    corrupt: int
    runt: int
    jabber: int
    #: Found no room in the wrapper, and were lost (overflow `drop`).
    overflow: int


def _rule(option: str, value: float | str) -> tuple[int, int]:
    """(chance of 2**32, every n-th) of 0.01, `1%` or `every:100`."""
    match = re.fullmatch(r"every:([1-9]\d{0,8})|(\d+(?:\.\d*)?|\.\d+)(%?)", str(value))
    if match and match[1]:
        return 0, int(match[1])
    chance = float(match[2]) / (100 if match[3] else 1) if match else -1
    if not 0 <= chance <= 1:
        raise ConfigurationError(f"{option}={value} is no rule; expected a share such as 0.01 or 1%, or every:100")
    return round(chance * (1 << 32)), 0


class Faults(Wrapper):
    """Loses, doubles, reorders, delays and damages frames: `Faults(User(), loss="1%", seed=7)`.

    A fault happens by chance (`0.01`, `"1%"`) or to every n-th frame (`"every:100"`):

    loss:       the frame is gone.
    duplicate:  it comes twice.
    reorder:    `reorder_gap` (1 to 16) later ones overtake it, or as many as come within `reorder_time`.
    delay:      it and all behind it wait for `delay_time`.
    corrupt:    one bit is wrong, behind the Ethernet header.
    runt:       8 to 59 bytes are left of it, as of a collision.
    jabber:     it goes on with noise, to a length of up to 16384 bytes.

    fcs:      `bad`: corrupt, runt and jabber show in the FCS, and a card that checks it notices; a wire below that
              carries frames without FCS (a socket, a user network) discards such frames, counted as its `send_drops`.
              `good`: the damage was done before the FCS was computed, and the frame passes for what it looks like.
    queue:    `all`, `rx` (what the card sends, which the netdev receives) or `tx` (what the card receives), as QEMU's
              filters have it.  Put one wrapper around another for different faults in the two directions.
    overflow: where frames find no room (1 MiB each way wait at most): `hold` them back, or `drop` and count.

    Times are those of the card's clock, in ns or as `"10ms"`.  The same seed does the same to the n-th frame of a
    direction each time, whatever the other options are.  Frames under way are lost, and counted, when the wire is taken
    from a card on a virtual clock.

    Raises ConfigurationError for a wrong option.
    """

    kind = "faults"

    def __init__(
        self,
        lower: Backend,
        *,
        loss: float | str = 0,
        duplicate: float | str = 0,
        reorder: float | str = 0,
        reorder_gap: int = 3,
        reorder_time: int | str = "10ms",
        delay: float | str = 0,
        delay_time: int | str = "10ms",
        corrupt: float | str = 0,
        runt: float | str = 0,
        jabber: float | str = 0,
        fcs: str = "bad",
        queue: str = "all",
        overflow: str = "hold",
        seed: int = 0,
        name: str = "",
    ) -> None:
        if fcs not in ("bad", "good"):
            raise ConfigurationError(f"fcs={fcs}; expected bad or good")
        if not 1 <= reorder_gap <= GAP_MAX:
            raise ConfigurationError(f"reorder-gap={reorder_gap} is out of range; expected 1 to {GAP_MAX} frames")
        config = ffi.new("nic_fault_config *")
        for number, value in enumerate((loss, duplicate, reorder, delay, corrupt, runt, jabber)):
            config.rules[number].chance, config.rules[number].every = _rule(KINDS[number], value)
        config.seed = seed & (1 << 64) - 1
        config.delay_ns = parse_time("delay-time", delay_time)
        config.reorder_ns, config.reorder_gap = parse_time("reorder-time", reorder_time), reorder_gap
        config.bad_fcs = fcs == "bad"
        config.sent, config.received = directions(queue)
        config.drop = drops(overflow)
        super().__init__(lib.nic_faults_new(config), lower, name)

    def _counters(self, direction: int) -> FaultCounters:
        counters = lib.nic_faults_get_counters(self.handle)
        done = {kind: int(counters.done[direction][number]) for number, kind in enumerate(KINDS)}
        return FaultCounters(**done, overflow=int(counters.overflows[direction]))

    @property
    def sent_faults(self) -> FaultCounters:
        """What was done to what the card sent."""
        return self._counters(0)

    @property
    def received_faults(self) -> FaultCounters:
        """What was done to what was on its way to the card."""
        return self._counters(1)


def _make(lower: Backend, **options: Any) -> Wrapper:
    return Faults(lower, **options)


_RULE = "rule"
WRAPPERS = (
    WrapperType(
        "faults",
        "treat frames as a bad wire does: each rule is a share (0.01, 1%) or every:N",
        (
            Option("loss", _RULE, "frames are lost", "0"),
            Option("duplicate", _RULE, "frames come twice", "0"),
            Option("reorder", _RULE, "frames are overtaken by later ones", "0"),
            Option("reorder-gap", "int", "by so many, 1 to 16", "3"),
            Option("reorder-time", "time", "and wait at most so long", "10ms"),
            Option("delay", _RULE, "frames wait, and all behind them", "0"),
            Option("delay-time", "time", "for so long", "10ms"),
            Option("corrupt", _RULE, "one bit of a frame is wrong", "0"),
            Option("runt", _RULE, "frames are cut to 8 to 59 bytes", "0"),
            Option("jabber", _RULE, "frames go on with noise", "0"),
            Option("fcs", "str", "whether damage shows in the FCS: bad or good", "bad"),
            QUEUE,
            OVERFLOW,
            Option("seed", "int", "what chance starts from", "0"),
        ),
        _make,
    ),
)
