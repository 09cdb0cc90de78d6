"""What bulk TCP reaches of the bound that port accesses set, for a card whose driver moves frames through a port.

``python -m conformance.port_bound ne2000 [--kernel 6.12] [--rounds 3] [--seconds 4]``. Over vfio-user each access to an
I/O port waits for another process. The guest measures what one costs while the transfer goes on; the card's counters
tell how many there were and how much data came or went. Accesses times cost is time that nothing can save: its share of
the time that went by is how near the transfer came to the bound. A machine's speed changes from minute to minute, so
both directions are measured in turn, a number of rounds that is fixed beforehand; every round is told, and the median
is what counts.

Reception stays below what it reaches. While the interrupt line is up, as it is until the driver has taken the frames,
QEMU unmasks it with each access, which is a second message that it waits for and that no counter here tells.
"""

from __future__ import annotations

import argparse
import statistics
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
SECONDS = 4
FULL_FRAME = 1514
#: Seconds of iperf3 before what is looked at: it opens connections, and its window opens.
LEAD = 2
LOST = ("port_queue_full", "port_oversize", "port_link_down", "port_no_backend", "backend_receive_drops",
        "backend_send_drops")  # fmt: skip


@dataclass(frozen=True)
class Sample:
    """The card's counters at a time, in seconds."""

    time: float
    counters: dict[str, int]


@dataclass(frozen=True)
class Bound:
    """One direction: ``cost`` is seconds an access, told by so many bursts; its data fills ``full`` full frames."""

    cost: float
    bursts: int
    seconds: float
    accesses: int
    full: float
    lost: dict[str, int]

    @property
    def reached(self) -> float:
        """Which part of the time was spent in accesses: 1 is the bound."""
        return self.accesses * self.cost / self.seconds

    def __str__(self) -> str:
        each = self.accesses / self.full
        bound, found = (8e-6 * FULL_FRAME * self.full / time for time in (self.accesses * self.cost, self.seconds))
        return (
            f"{each:.0f} accesses a frame of {1e6 * self.cost:.1f} us ({self.bursts} bursts): "
            f"bound {bound:.2f} Mbit/s, reached {found:.2f}, {100 * self.reached:.0f} %; lost {self.lost or 'nothing'}"
        )


def measure(tested: Card, version: str, rounds: int = ROUNDS, seconds: int = SECONDS) -> dict[str, list[Bound]]:
    """Boot once and measure both directions in turn, round after round; GuestError when a measurement fails."""
    found: dict[str, list[Bound]] = {direction: [] for direction in DIRECTIONS}
    with guest_of(tested, version) as guest:
        run(guest, Check("probe", "probe", tested.checks[0].arguments))
        for _ in range(rounds):
            for direction, extra in DIRECTIONS.items():
                found[direction].append(transfer(guest, extra, seconds))
                print(f"{direction:<4} {found[direction][-1]}", file=sys.stderr, flush=True)
    return found


def median(rounds: list[Bound]) -> float:
    """What the median round reached."""
    return statistics.median(bound.reached for bound in rounds)


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
    (note,) = run(guest, Check("bulk", "port-bound", arguments, seconds=LEAD + seconds + 60)).notes
    watcher.join()
    cost, bursts = note.split()
    end = nic.counters()
    first, last = samples
    counted = {name: last.counters[name] - first.counters[name] for name in last.counters}
    return Bound(
        cost=int(cost) / 1e9,
        bursts=int(bursts),
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
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="an odd number")
    parser.add_argument("--seconds", type=int, default=SECONDS, help="of each measurement")
    options = parser.parse_args()
    if options.rounds < 1 or options.rounds % 2 == 0:
        parser.error(f"--rounds {options.rounds}; expected an odd number")
    try:
        found = measure(card(options.card), options.kernel, options.rounds, options.seconds)
    except (GuestError, OSError, ProvisionError, QemuError, ServerError, ValueError) as error:
        print(f"port_bound: {error}", file=sys.stderr)
        return 1
    for direction, rounds in found.items():
        print(f"{direction:<4} median {100 * median(rounds):.0f} % of {len(rounds)} rounds")
    return 0


if __name__ == "__main__":
    sys.exit(main())
