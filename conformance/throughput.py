"""Bulk TCP in the guest through the card over vfio-user, next to QEMU's own model in the same run.

``python -m conformance.throughput e1000 [--kernel 6.12] [--rounds 5] [--seconds 6] [--json FILE]``. A machine's speed
changes from minute to minute, so each round boots both, one right after the other and the other way round every
second time, and the ratio is taken within the round; what is told is the median of the rounds.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass

from .cards import Card, Check, card
from .guest import GuestError, guest_of, judge
from .nic import ServerError
from .provision import KERNEL_SUITES, ProvisionError
from .qemu import QemuError

DIRECTIONS = {"out": (), "in": ("-R",)}


@dataclass(frozen=True)
class Measure:
    """Mbit/s that the receiver got, as iperf3 tells, and the guest's interrupts in that time."""

    out: float
    out_interrupts: int
    back: float
    back_interrupts: int


@dataclass(frozen=True)
class Round:
    """Both sides, one right after the other."""

    nicemu: Measure
    qemu: Measure

    def ratio(self, direction: str) -> float:
        """Ours over QEMU's, ``out`` or ``back``."""
        return float(getattr(self.nicemu, direction)) / float(getattr(self.qemu, direction))


def measure(tested: Card, version: str, seconds: int, peer: bool) -> Measure:
    """Boot once and measure both directions; GuestError when a measurement fails."""
    rates = []
    with guest_of(tested, version, peer) as guest:
        for check in (
            Check("probe", "probe", tested.checks[0].arguments),
            *(Check(f"rate {name}", "rate", (str(seconds), *extra), seconds=seconds + 60)
              for name, extra in DIRECTIONS.items()),
        ):  # fmt: skip
            said = guest.run(check)
            if found := judge(check, said):
                raise GuestError(f"{check.name}: {'; '.join(found)}\n" + "\n".join(said.lines))
            rates += [note.split() for note in said.notes if check.script == "rate"]
    (out, out_interrupts), (back, back_interrupts) = rates
    return Measure(float(out), int(out_interrupts), float(back), int(back_interrupts))


def rounds(tested: Card, version: str, seconds: int, count: int) -> Iterator[Round]:
    """Round after round, beginning with ours and with QEMU's in turn."""
    for number in range(count):
        order = (False, True) if number % 2 == 0 else (True, False)
        found = {peer: measure(tested, version, seconds, peer) for peer in order}
        yield Round(nicemu=found[False], qemu=found[True])


def summary(done: list[Round]) -> dict[str, dict[str, float]]:
    """Medians by direction."""
    return {
        name: {
            "nicemu_mbit_s": statistics.median(getattr(entry.nicemu, direction) for entry in done),
            "qemu_mbit_s": statistics.median(getattr(entry.qemu, direction) for entry in done),
            "ratio": statistics.median(entry.ratio(direction) for entry in done),
            "least_ratio": min(entry.ratio(direction) for entry in done),
            "greatest_ratio": max(entry.ratio(direction) for entry in done),
        }
        for name, direction in (("out", "out"), ("in", "back"))
    }


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
            print(
                f"round {len(done)}: out {entry.nicemu.out:.0f} / {entry.qemu.out:.0f} = {entry.ratio('out'):.2f}, "
                f"in {entry.nicemu.back:.0f} / {entry.qemu.back:.0f} = {entry.ratio('back'):.2f}", flush=True,
            )  # fmt: skip
    except (GuestError, OSError, ProvisionError, QemuError, ServerError, ValueError) as error:
        print(f"throughput: {error}", file=sys.stderr)
        return 1
    medians = summary(done)
    for name, found in medians.items():
        print(f"{name:<4} nicemu {found['nicemu_mbit_s']:6.0f}  QEMU {found['qemu_mbit_s']:6.0f} Mbit/s  "
              f"ratio {found['ratio']:.2f} ({found['least_ratio']:.2f} to {found['greatest_ratio']:.2f})")  # fmt: skip
    if options.json:
        with open(options.json, "w") as target:
            json.dump({"card": options.card, "kernel": options.kernel, "seconds": options.seconds,
                       "median": medians, "rounds": [asdict(entry) for entry in done]}, target, indent=1)  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main())
