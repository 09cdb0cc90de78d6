"""The guest table of each card: which checks its Linux driver must pass, one file a card.

A card's file lists its checks in the order they run, built from the helpers below; a helper takes what differs from
card to card. ``expect`` patterns must each be found in what the check printed, ``judge`` looks at the whole of it.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass

MAC = "52:54:00:12:34:56"
Judge = Callable[[str], list[str]]


@dataclass(frozen=True)
class Check:
    """One row of the table: a script of ``guest/tests`` with its arguments.

    ``judge`` returns complaints about the output; ``seconds`` is the time allowed. ``station`` puts the check into a
    boot of its own, on a raw wire with a station in place of the user network.
    """

    name: str
    script: str
    arguments: tuple[str, ...] = ()
    expect: tuple[str, ...] = ()
    judge: Judge | None = None
    seconds: int = 60
    station: bool = False


@dataclass(frozen=True)
class Card:
    """A card: its model name for nicemu, the kernel's module, and its checks.

    ``peer`` is QEMU's own model and ``ipxe`` what iPXE calls the card, each None where there is none. ``options`` are
    parameters of the module. ``least`` is what iperf3 must reach, in Mbit/s; ``lines`` how much goes each way to prove
    after a check that the card still works, 5 bytes a line.
    """

    model: str
    module: str
    peer: str | None
    ipxe: str | None
    checks: tuple[Check, ...]
    options: str = ""
    least: float = 1.0
    lines: int = 20000


def card(name: str) -> Card:
    """The card described by ``conformance/cards/NAME.py``; ValueError when there is none."""
    try:
        module = importlib.import_module(f"{__name__}.{name}")
    except ModuleNotFoundError as error:
        raise ValueError(f"no card {name!r} in conformance/cards") from error
    found = module.CARD
    assert isinstance(found, Card)
    return found


def first_light(mac: str = MAC) -> tuple[Check, ...]:
    """The driver finds the card and traffic flows."""
    return (
        Check("probe", "probe", (mac,)),
        Check("DHCP", "dhcp"),
        Check("ping", "ping"),
        Check("iperf3 out", "iperf3", ("3",)),
        Check("iperf3 in", "iperf3", ("3", "-R")),
    )


def show(option: str, *expect: str, judge: Judge | None = None, extra: tuple[str, ...] = ()) -> Check:
    """An ethtool option that prints something, held against what it must show."""
    return Check(f"ethtool {option}", "ethtool", (option, "eth0", *extra), expect, judge)


def refused(option: str, *extra: str) -> Check:
    """An ethtool option that the driver does not offer on this part."""
    return Check(f"ethtool {option}", "refused", (option, "eth0", *extra))


def life(known: str = "") -> tuple[Check, ...]:
    """What every driver goes through whatever the card offers, and the kernel's opinion of it all.

    known: a pattern of "test: line" in the kernel's log that is a fault of the driver, whatever the card does.
    """
    return (
        Check("MAC change", "mac-change"),
        Check("promiscuous", "promiscuous"),
        Check("allmulti", "all-multicast"),
        Check("ifdown/ifup", "ifdown-ifup", ("4",)),
        Check("rmmod/modprobe", "rmmod-modprobe", ("3",)),
        Check("link down/up", "link-down-up"),
        Check("1000 connections", "connections", ("1000",), seconds=120),
        Check("kernel log", "kernel-log", (known,) if known else ()),
    )


def soak(seconds: int) -> Check:
    """Mixed traffic for so long, and the frames that it came to; a round of it takes a quarter of a minute."""
    return Check("soak", "soak", (str(seconds),), seconds=seconds + 300)


def on_a_raw_wire(jumbo: int | None, vlan: tuple[str, ...] = ()) -> tuple[Check, ...]:
    """What the user network does not carry: VLANs, and frames up to the MTU of ``jumbo`` if the card has them.

    ``vlan`` names what the driver does not offer: ``no-tagging``, ``no-filter``.
    """
    return (
        Check("VLAN", "vlan", vlan, station=True),
        *([] if jumbo is None else [Check(f"MTU {jumbo}", "jumbo", (str(jumbo),), station=True)]),
        Check("kernel log, raw wire", "kernel-log", station=True),
    )
