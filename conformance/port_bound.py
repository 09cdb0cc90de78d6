"""What bulk TCP reaches of the bound that port accesses set, for a card whose driver moves frames through a port.

``python -m conformance.port_bound ne2000 [--kernel 6.12] [--seconds 8]``. Over vfio-user each access to an I/O port
waits for another process. The guest measures what one costs while the transfer goes on; the card's counters tell how
many there were and how much data came or went. Accesses times cost is time that nothing can save:
its share of the time that went by is how near the transfer came to the bound.
"""

from __future__ import annotations

import argparse
import sys
import threading
import time
from dataclasses import dataclass

from .cards import Card, Check, card
from .guest import Guest, GuestError, guest_of
from .nic import Served, ServerError
from .provision import KERNEL_SUITES, ProvisionError
from .qemu import QemuError
from .throughput import DIRECTIONS, run

ROUNDS = 3
FULL_FRAME = 1514
#: Seconds of iperf3 before what is looked at: it opens connections, and its window opens.
LEAD = 3
LOST = ("port_queue_full", "port_oversize", "port_link_down", "port_no_backend", "backend_receive_drops",
        "backend_send_drops")  # fmt: skip


@dataclass(frozen=True)
class Sample:
    """The card's counters at a time, in seconds."""

    time: float
    counters: dict[str, int]


@dataclass(frozen=True)
class Bound:
    """One direction: ``cost`` is seconds an access, ``full`` how many full frames its data makes up."""

    cost: float
    seconds: float
    accesses: int
    full: float
    lost: dict[str, int]

    @property
    def reached(self) -> float:
        """Which part of the time was spent in accesses: 1 is the bound."""
        return self.accesses * self.cost / self.seconds

    @property
    def near(self) -> bool:
        """Whether the bound was reached within 20 percent; more than it tells that the cost changed meanwhile."""
        return 0.8 <= self.reached <= 1.2

    def __str__(self) -> str:
        each = self.accesses / self.full
        bound, found = (8e-6 * FULL_FRAME * self.full / time for time in (self.accesses * self.cost, self.seconds))
        return (
            f"{each:.0f} accesses a frame of {1e6 * self.cost:.1f} us: bound {bound:.2f} Mbit/s, reached {found:.2f}, "
            f"{100 * self.reached:.0f} %; lost {self.lost or 'nothing'}"
        )


def measure(tested: Card, version: str, seconds: int) -> dict[str, list[Bound]]:
    """Boot once and measure both directions; GuestError when a measurement fails.

    What an access costs depends on what else the machine does, and changes: each direction has up to ROUNDS until one
    comes near the bound.
    """
    found: dict[str, list[Bound]] = {}
    with guest_of(tested, version) as guest:
        run(guest, Check("probe", "probe", tested.checks[0].arguments))
        for direction, extra in DIRECTIONS.items():
            rounds = found[direction] = list[Bound]()
            while not rounds or not (rounds[-1].near or len(rounds) == ROUNDS):
                rounds.append(transfer(guest, extra, seconds))
                print(f"{direction:<4} {rounds[-1]}", file=sys.stderr, flush=True)
    return found


def transfer(guest: Guest, extra: tuple[str, ...], seconds: int) -> Bound:
    """One direction, looked at for that many seconds."""
    assert isinstance(guest.nic, Served)
    nic, samples = guest.nic, list[Sample]()

    def look() -> None:
        for pause in (LEAD, seconds):
            time.sleep(pause)
            samples.append(Sample(time.monotonic(), nic.counters()))

    start = nic.counters()
    watcher = threading.Thread(target=look)
    watcher.start()
    arguments = (str(LEAD), str(seconds), "-l", "4K", *extra)
    (cost,) = run(guest, Check("bulk", "port-bound", arguments, seconds=LEAD + seconds + 60)).notes
    watcher.join()
    end = nic.counters()
    first, last = samples
    counted = {name: last.counters[name] - first.counters[name] for name in last.counters}
    return Bound(
        cost=int(cost) / 1e9,
        seconds=last.time - first.time,
        accesses=counted["reads"] + counted["writes"],
        full=counted["port_received_bytes" if extra else "port_sent_bytes"] / FULL_FRAME,
        lost={name: end[name] - start[name] for name in LOST if end[name] != start[name]},
    )


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m conformance.port_bound", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("card", help="a file of conformance/cards, such as ne2000")
    parser.add_argument("--kernel", choices=list(KERNEL_SUITES), default=list(KERNEL_SUITES)[-1])
    parser.add_argument("--seconds", type=int, default=8, help="of each measurement")
    options = parser.parse_args()
    try:
        measure(card(options.card), options.kernel, options.seconds)
    except (GuestError, OSError, ProvisionError, QemuError, ServerError, ValueError) as error:
        print(f"port_bound: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
