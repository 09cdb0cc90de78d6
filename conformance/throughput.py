"""Bulk TCP in the guest through the card over vfio-user, next to QEMU's own model in the same run.

``python -m conformance.throughput e1000 [--kernel 6.12] [--rounds 5] [--seconds 6] [--json FILE]``. A machine's speed
changes from minute to minute, so each round boots both, one right after the other and the other way round every
second time, and the ratio is taken within the round; what is told is the median of the rounds. A register access over
vfio-user is a message to another process, so accesses, interrupts and frames of our card are told too.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass

from .cards import Card, Check, card
from .guest import Guest, GuestError, Said, guest_of, judge
from .nic import Served, ServerError
from .provision import KERNEL_SUITES, ProvisionError
from .qemu import QemuError

DIRECTIONS: dict[str, tuple[str, ...]] = {"out": (), "in": ("-R",)}
COUNTED = ("reads", "writes", "interrupts", "port_sent_frames", "port_received_frames")


@dataclass(frozen=True)
class Measure:
    """Mbit/s that the receiver got, as iperf3 tells, the guest's interrupts, and what our card counted meanwhile."""

    mbit_s: float
    guest_interrupts: int
    counted: dict[str, int]


@dataclass(frozen=True)
class Round:
    """Both sides, one right after the other; measures by direction."""

    nicemu: dict[str, Measure]
    qemu: dict[str, Measure]

    def ratio(self, direction: str) -> float:
        """Ours over QEMU's."""
        return self.nicemu[direction].mbit_s / self.qemu[direction].mbit_s


def measure(tested: Card, version: str, seconds: int, peer: bool) -> dict[str, Measure]:
    """Boot once and measure both directions; GuestError when a measurement fails."""
    measured = {}
    with guest_of(tested, version, peer) as guest:
        run(guest, Check("probe", "probe", tested.checks[0].arguments))
        for direction, extra in DIRECTIONS.items():
            before = counters(guest)
            (note,) = run(guest, Check(f"rate {direction}", "rate", (str(seconds), *extra), seconds=seconds + 60)).notes
            rate, interrupts = note.split()
            counted = {name: value - before[name] for name, value in counters(guest).items()}
            measured[direction] = Measure(float(rate), int(interrupts), counted)
    return measured


def run(guest: Guest, check: Check) -> Said:
    """What a check said; GuestError when it did not pass."""
    said = guest.run(check)
    if found := judge(check, said):
        raise GuestError(f"{check.name}: {'; '.join(found)}\n" + "\n".join(said.lines))
    return said


def counters(guest: Guest) -> dict[str, int]:
    """Those of COUNTED, of our card; nothing for QEMU's."""
    if not isinstance(guest.nic, Served):
        return {}
    found = guest.nic.counters()
    return {name: found[name] for name in COUNTED}


def rounds(tested: Card, version: str, seconds: int, count: int) -> Iterator[Round]:
    """Round after round, beginning with ours and with QEMU's in turn."""
    for number in range(count):
        order = (False, True) if number % 2 == 0 else (True, False)
        found = {peer: measure(tested, version, seconds, peer) for peer in order}
        yield Round(nicemu=found[False], qemu=found[True])


def summary(done: list[Round]) -> dict[str, dict[str, float]]:
    """Medians by direction."""
    found = {}
    for direction in DIRECTIONS:
        ratios = [entry.ratio(direction) for entry in done]
        found[direction] = {
            "nicemu_mbit_s": statistics.median(entry.nicemu[direction].mbit_s for entry in done),
            "qemu_mbit_s": statistics.median(entry.qemu[direction].mbit_s for entry in done),
            "ratio": statistics.median(ratios),
            "least_ratio": min(ratios),
            "greatest_ratio": max(ratios),
        }
        for name in COUNTED:
            found[direction][name] = statistics.median(entry.nicemu[direction].counted[name] for entry in done)
    return found


def describe(found: dict[str, float]) -> str:
    """One direction in a line."""
    frames = max(found["port_sent_frames"] + found["port_received_frames"], 1)
    accesses = ", ".join(f"{1000 * found[name] / frames:.0f} {name}" for name in ("reads", "writes", "interrupts"))
    return (
        f"nicemu {found['nicemu_mbit_s']:6.0f}  QEMU {found['qemu_mbit_s']:6.0f} Mbit/s  ratio {found['ratio']:.2f} "
        f"({found['least_ratio']:.2f} to {found['greatest_ratio']:.2f}); of ours, per 1000 frames: {accesses}"
    )


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m conformance.throughput", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("card", help="a file of conformance/cards, such as e1000")
    parser.add_argument("--kernel", choices=list(KERNEL_SUITES), default=list(KERNEL_SUITES)[-1])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=6, help="of each measurement")
    parser.add_argument("--json", metavar="FILE", help="write every figure there")
    options = parser.parse_args()
    done: list[Round] = []
    try:
        for entry in rounds(card(options.card), options.kernel, options.seconds, options.rounds):
            done.append(entry)
            figures = (
                f"{way} {entry.nicemu[way].mbit_s:.0f} / {entry.qemu[way].mbit_s:.0f} = {entry.ratio(way):.2f}"
                for way in DIRECTIONS
            )
            print(f"round {len(done)}: {', '.join(figures)}", flush=True)
    except (GuestError, OSError, ProvisionError, QemuError, ServerError, ValueError) as error:
        print(f"throughput: {error}", file=sys.stderr)
        return 1
    medians = summary(done)
    for way, found in medians.items():
        print(f"{way:<4} {describe(found)}")
    if options.json:
        with open(options.json, "w") as target:
            json.dump({"card": options.card, "kernel": options.kernel, "seconds": options.seconds,
                       "median": medians, "rounds": [asdict(entry) for entry in done]}, target, indent=1)  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main())
