"""82540EM, findings: each rule with a driver that breaks it and one that keeps it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from e1000_rig import (
    CTRL,
    MAC,
    MEMORY,
    PEER,
    RAH,
    RCTL,
    SECOND,
    TCTL,
    TX_BUFFERS,
    WUFC,
    Bits,
    Rig,
    close_rigs,  # noqa: F401 (a fixture)
    ethernet,
)

from nicemu.devices.e1000_descriptors import (
    ContextCommand,
    DataCommand,
    LegacyCommand,
    PacketOptions,
    context,
    data,
    legacy,
)
from nicemu.devices.e1000_tables import RULES
from nicemu.registers import Reset

EECD, MDIC = Bits("EECD"), Bits("MDIC")
GROUP = bytes.fromhex("01005e000001")
SENT = LegacyCommand.EOP | LegacyCommand.IFCS | LegacyCommand.RS
LAST = DataCommand.EOP | DataCommand.IFCS
TSO = {"hdrlen": 54, "mss": 100, "paylen": 146, "ipcss": 14, "tucss": 34, "tucso": 50, "ipcso": 24}
TUCMD = ContextCommand.TSE | ContextCommand.TCP | ContextCommand.IP


def prepared() -> Rig:
    rig = Rig(count=16)
    rig.start_transmit()
    rig.start_receive(RCTL.SECRC)
    rig.nic.findings  # noqa: B018 (what the rig's own start left)
    return rig


def power_on(rig: Rig) -> None:
    rig.nic.reset(Reset.POWER)
    rig.nic.config.write(0x04, 7, 2)


def fresh(*skip: str) -> Rig:
    """A card as power-on leaves it, with everything written but some registers."""
    rig = Rig(count=16)
    power_on(rig)
    rig["CTRL"] |= CTRL.SLU | CTRL.VME | CTRL.RFCE | CTRL.TFCE
    rig.clock.advance(10_000_000_000)
    for name in ("VET", "TIPG", "FCAL", "FCAH", "FCT", "FCTTV", "RDBAL", "RDBAH", "TDBAL", "TDBAH"):
        if name not in skip:
            rig[name] = 0
    rig["RDLEN"] = rig["TDLEN"] = 256
    rig["RDT"] = 15
    rig["TCTL"] = TCTL.EN
    rig["RCTL"] = RCTL.EN
    return rig


def undefined(name: str) -> Callable[[bool], Rig]:
    return lambda good: fresh() if good else fresh(name)


def segmented(rig: Rig, length: int = 200, first: int = 54, dcmd: int = 0, popts: int = 0, **values: int) -> Rig:
    rig.place(ethernet(size=60) + bytes(3000))
    rig.put(
        context(TUCMD, **{**TSO, **values}),
        data(TX_BUFFERS, first, DataCommand.TSE | dcmd, popts=popts),
        data(TX_BUFFERS + first, length - first, LAST | DataCommand.TSE),
    )
    return rig


def table(name: str, offset: int) -> Callable[[bool], Rig]:
    """Everything of both tables is written, or all but the last element of one."""

    def run(good: bool) -> Rig:
        rig = Rig(count=16)
        power_on(rig)
        rig["VET"] = 0x8100
        for each in ("MTA", "VFTA"):
            for i in range(128 if good or each != name else 127):
                rig[each, i] = 0
        rig.start_receive(RCTL.VFE)
        if not good:
            assert [f.first for f in rig.nic.findings if f.id == "e1000.filter.undefined-used"] == [offset]
        return rig

    return run


def tables_by_and_by(rig: Rig, good: bool) -> None:
    """Promiscuous drivers need no tables; those that stop to be so do."""
    power_on(rig)
    rig["RCTL"] = RCTL.EN | RCTL.MPE
    assert "e1000.filter.undefined-used" not in rig.nic.finding_counts
    rig["RCTL"] = RCTL.EN | (RCTL.MPE if good else 0)


def act(action: Callable[[Rig, bool], object]) -> Callable[[bool], Rig]:
    def run(good: bool) -> Rig:
        rig = prepared()
        action(rig, good)
        return rig

    return run


def stopped(action: Callable[[Rig, bool], object]) -> Callable[[bool], Rig]:
    """With both directions disabled."""

    def run(good: bool) -> Rig:
        rig = prepared()
        rig["RCTL"] = rig["TCTL"] = 0
        action(rig, good)
        return rig

    return run


def set_register(name: str, bad: int, good: int) -> Callable[[Rig, bool], None]:
    def action(rig: Rig, keep: bool) -> None:
        rig[name] = good if keep else bad

    return action


def head_while_enabled(name: str, control: str) -> Callable[[Rig, bool], None]:
    def action(rig: Rig, good: bool) -> None:
        if good:
            rig[control] = 0
        rig[name] = 0

    return action


def tx_tail_equals_head(rig: Rig, good: bool) -> None:
    rig.nic.set_link(False)  # so that the ring is not emptied
    rig["TDT"] = 5
    rig["TDT"] = 6 if good else 0


def tidy_tail(rig: Rig, good: bool) -> None:
    """Drivers that have switched the ring off put both ends back to 0."""
    rig.nic.set_link(False)
    rig["TDT"] = 5
    if good:
        rig["TCTL"] = 0
    rig["TDT"] = 0


def receive_twice(rig: Rig, good: bool) -> None:
    rig["RCTL"] = 0
    if good:
        rig["CTRL"] = CTRL.RST
        rig["CTRL"] |= CTRL.SLU
        rig.clock.advance(10_000_000_000)
    rig["RCTL"] = RCTL.EN


def late_mode(mode: int, register: str) -> Callable[[Rig, bool], None]:
    """A mode of CTRL is switched on while frames flow."""

    def action(rig: Rig, good: bool) -> None:
        power_on(rig)
        for name in ("VET", "FCAL", "FCAH", "FCT", "FCTTV"):
            if good or name != register:
                rig[name] = 0
        for name in ("TIPG", "RDBAL", "RDBAH", "TDBAL", "TDBAH"):
            rig[name] = 0
        rig["RCTL"], rig["TCTL"] = RCTL.EN, TCTL.EN
        assert "e1000.control.undefined-used" not in rig.nic.finding_counts
        rig["CTRL"] |= mode

    return action


def pause_by_hand(rig: Rig, good: bool) -> None:
    power_on(rig)
    for name in ("FCAL", "FCAH", "FCT", *(["FCTTV"] if good else [])):
        rig[name] = 0
    rig["TCTL"] = TCTL.SWXOFF


def low_above_high(rig: Rig, good: bool) -> None:
    """FCRTL goes first; what counts is where both stand when frames are to be sent."""
    rig["FCRTH"] = 0x4000
    rig["FCRTL"] = 0x3000 if good else 0x5000
    assert "e1000.flow.threshold" not in rig.nic.finding_counts
    rig["CTRL"] |= CTRL.TFCE


def without_buffers(rig: Rig, good: bool) -> None:
    rig["RDT"] = 5 if good else rig["RDH"]
    rig["RCTL"] = RCTL.EN


def overrun(rig: Rig, good: bool) -> None:
    rig["RDT"] = rig["RDH"]
    rig.arrive(*[ethernet(MAC, PEER, size=1500)] * (10 if good else 60))


def high_first(rig: Rig, good: bool) -> None:
    rig.send(ethernet())
    if good:
        rig["TOTL"]
    rig["TOTH"]


def address_without_low(rig: Rig, good: bool) -> None:
    power_on(rig)
    rig.nic.config.write(0x04, 7, 2)
    if good:
        rig["RAL", 3] = 1
    rig["RAH", 3] = RAH.AV


def flexible(rig: Rig, good: bool) -> None:
    rig["WUFC"] = WUFC.EX if good else WUFC.FLX2
    rig["FFLT", 1] = 8
    rig["FFMT", 5] = 1
    rig["FFVT", 5] = 1


def link_down(rig: Rig, good: bool) -> None:
    rig.nic.set_link(good)
    rig.send(ethernet())


def vlan(rig: Rig, good: bool) -> None:
    rig["CTRL"] = rig["CTRL"] & ~CTRL.VME | (CTRL.VME if good else 0)
    rig.send(ethernet(), SENT | LegacyCommand.VLE)


def mixed(rig: Rig, good: bool) -> None:
    rig.place(ethernet())
    rig.put(data(TX_BUFFERS, 30, 0), data(TX_BUFFERS + 30, 30, LAST) if good else legacy(TX_BUFFERS, 30, SENT))


def context_within(rig: Rig, good: bool) -> None:
    rig.place(ethernet())
    pieces = [data(TX_BUFFERS, 30, 0), data(TX_BUFFERS + 30, 30, LAST)]
    rig.put(*([context(0), *pieces] if good else [pieces[0], context(0), pieces[1]]))


def bus_master(rig: Rig, good: bool) -> None:
    rig.nic.config.write(0x04, 7 if good else 3, 2)
    rig.send(ethernet())


def accesses(offset: int, size: int = 4, value: int | None = None) -> Callable[[Rig, bool], None]:
    """A read, or a write of `value`; a driver that keeps the rule writes CTRL back."""

    def action(rig: Rig, good: bool) -> None:
        bar = rig.nic.bars[0]
        if good:
            rig["CTRL"] = rig["CTRL"]
        elif value is None:
            bar.read(offset, size)
        else:
            bar.write(offset, value, size)

    return action


def timed(action: Callable[[Rig, bool], object]) -> Callable[[bool], Rig]:
    """On a card whose accesses take their time."""

    def run(good: bool) -> Rig:
        rig = Rig(profile="wire")
        rig.nic.findings  # noqa: B018
        action(rig, good)
        return rig

    return run


def during_reset(rig: Rig, good: bool) -> None:
    rig["CTRL"] |= CTRL.RST
    rig.clock.advance(1000 if good else 999)
    rig["STATUS"]


def forced(rig: Rig, good: bool, mode: int = 0) -> None:
    """The PHY negotiates 1000 Mb/s, full duplex."""
    wrong = mode or CTRL.FRCSPD | CTRL.FRCDPLX | CTRL.FD | CTRL(SPEED=1)
    right = CTRL.FRCSPD | CTRL.FRCDPLX | CTRL.FD | CTRL(SPEED=2)
    rig["CTRL"] = CTRL.SLU | wrong
    rig.clock.advance(500_000_000)  # as long as a driver may take to tell the PHY
    if good:
        rig["CTRL"] = CTRL.SLU | right
    rig.clock.advance(600_000_000)


def pins(rig: Rig, good: bool) -> None:
    if good:
        rig["EECD"] = EECD.EE_REQ
        assert rig["EECD"] & EECD.EE_GNT
    rig["EECD"] = EECD.CS | (EECD.EE_REQ if good else 0)


def eerd_with_pins(rig: Rig, good: bool) -> None:
    rig["EECD"] = EECD.EE_REQ
    if good:
        rig["EECD"] = 0
    rig["EERD"] = 1


def eerd_twice(rig: Rig, good: bool) -> None:
    rig["EERD"] = 1
    rig.clock.advance(SECOND if good else 1000)
    rig["EERD"] = 0x101


def mdic_twice(rig: Rig, good: bool) -> None:
    rig["MDIC"] = MDIC(OP=2, PHYADD=1, REGADD=1)
    rig.clock.advance(SECOND if good else 1000)
    rig["MDIC"] = MDIC(OP=2, PHYADD=1, REGADD=2)


MDIC_READ = MDIC(OP=2, PHYADD=1, REGADD=1)

CASES: dict[str, list[Callable[[bool], Rig]]] = {
    "access.width": [act(accesses(0x0008, 2)), act(accesses(0x0100, 1, 0)), act(accesses(0x5200, 8))],
    "access.reserved-bits": [act(accesses(0x0100, value=1 << 31)), act(accesses(0x5404, value=1 << 20))],
    "access.unmapped": [act(accesses(0x0004)), act(accesses(0x0F000, value=0))],
    "access.during-reset": [timed(during_reset)],
    "control.undefined-used": [
        undefined(n) for n in ("VET", "FCAL", "FCAH", "FCT", "FCTTV", "RDBAL", "RDBAH", "TDBAL", "TDBAH")
    ]
    + [
        act(late_mode(CTRL.VME, "VET")),
        act(late_mode(CTRL.RFCE, "FCAL")),
        act(late_mode(CTRL.TFCE, "FCTTV")),
        act(pause_by_hand),
    ],
    "control.packet-buffer": [stopped(set_register("PBA", bad, 40)) for bad in (0, 47, 64, 72)],
    "link.forced-mismatch": [
        act(forced),
        timed(forced),
        act(lambda r, good: forced(r, good, CTRL.FRCDPLX | CTRL(SPEED=2))),
    ],
    "eeprom.no-grant": [act(pins)],
    "eeprom.busy": [act(eerd_with_pins), timed(eerd_twice)],
    "mdic.busy": [timed(mdic_twice)],
    "mdic.command": [
        act(set_register("MDIC", bad, MDIC_READ))
        for bad in (MDIC(PHYADD=1), MDIC(OP=3, PHYADD=1), MDIC_READ | MDIC.R, MDIC_READ | MDIC.E)
    ],
    "mdic.bad-phy": [act(set_register("MDIC", MDIC(OP=2, PHYADD=2), MDIC_READ))],
    "flow.threshold": [stopped(set_register("FCRTH", 0xC008, 0xC000)), act(low_above_high)],
    "dma.bus-master-off": [act(bus_master)],
    "dma.unmapped": [act(lambda r, good: r.put(legacy(TX_BUFFERS if good else MEMORY, 60, SENT)))],
    "tx.ring-unaligned": [stopped(set_register("TDBAL", 0x1008, 0x1010))],
    "tx.ring-length": [
        stopped(set_register("TDLEN", 0x90, 0x80)),
        stopped(lambda r, good: (set_register("TDLEN", 0, 0x100)(r, good), set_register("TDT", 3, 3)(r, good))),
    ],
    "tx.tail-out-of-ring": [act(set_register("TDT", 16, 15))],
    "tx.tail-equals-head": [act(tx_tail_equals_head), act(tidy_tail)],
    "tx.head-written-while-enabled": [act(head_while_enabled("TDH", "TCTL"))],
    "tx.runt": [
        act(lambda r, good: r.send(ethernet()[: 60 if good else 59])),
        act(lambda r, good: (r.nic.bars[0].write(0x400, TCTL.EN | TCTL.PSP), r.send(ethernet()[: 48 if good else 47]))),
    ],
    "tx.length-zero": [act(lambda r, good: r.put(legacy(TX_BUFFERS, 60 if good else 0, SENT)))],
    "tx.oversize": [act(lambda r, good: r.put(legacy(TX_BUFFERS, 16288 if good else 16289, SENT)))],
    "tx.checksum-offset": [
        act(lambda r, good: r.send(ethernet(), SENT | LegacyCommand.IC, css=14, cso=40 if good else 59)),
        act(lambda r, good: r.send(ethernet(), SENT | LegacyCommand.IC, css=14 if good else 60, cso=40)),
    ],
    "tx.tso-header": [
        act(lambda r, good: segmented(r, hdrlen=54 if good else 241)),
        act(lambda r, good: segmented(r, first=34 if good else 40)),
    ],
    "tx.tso-mss": [act(lambda r, good, mss=mss: segmented(r, mss=100 if good else mss)) for mss in (0, 16240)],
    "tx.tso-length": [act(lambda r, good, p=p: segmented(r, paylen=146 if good else p)) for p in (145, 147)],
    "tx.context-missing": [
        act(
            lambda r, good: r.put(
                *([context(0, ipcso=24)] if good else []),
                data(TX_BUFFERS, 60, LAST, popts=PacketOptions.IXSM),
            )
        )
    ],
    "tx.mixed-descriptors": [act(mixed), act(context_within)],
    "tx.descriptor-reserved": [
        act(lambda r, good: r.send(ethernet(), SENT if good else SENT | 0x10)),
        act(lambda r, good: r.put(context(ContextCommand.RS if good else 1 << 4))),
    ],
    "tx.vlan-mode": [act(vlan)],
    "tx.tidv-zero": [
        act(lambda r, good: (set_register("TIDV", 0, 1)(r, good), r.send(ethernet(), SENT | LegacyCommand.IDE)))
    ],
    "tx.gap-undefined": [undefined("TIPG")],
    "tx.link-down": [act(link_down)],
    "rx.ring-unaligned": [stopped(set_register("RDBAL", 0x12001, 0x12000))],
    "rx.ring-length": [
        stopped(set_register("RDLEN", 1 << 20, 0x80)),
        stopped(lambda r, good: (set_register("RDLEN", 0, 0x100)(r, good), set_register("RDT", 3, 3)(r, good))),
    ],
    "rx.tail-out-of-ring": [act(set_register("RDT", 16, 14))],
    "rx.tail-equals-head": [act(set_register("RDT", 0, 1))],
    "rx.head-written-while-enabled": [act(head_while_enabled("RDH", "RCTL"))],
    "rx.enabled-without-buffers": [stopped(without_buffers)],
    "rx.reenabled": [act(receive_twice)],
    "rx.control-reserved": [act(set_register("RCTL", bad, RCTL.EN)) for bad in (RCTL.BSEX, RCTL(RDMTS=3), RCTL(LBM=1))],
    "rx.overrun": [act(overrun)],
    "filter.undefined-used": [
        table("MTA", 0x53FC),
        table("VFTA", 0x57FC),
        act(tables_by_and_by),
        act(address_without_low),
    ],
    "wake.written-while-enabled": [act(flexible)],
    "stats.high-first": [act(high_first)],
}


def test_every_rule_has_a_driver_that_breaks_it_and_one_that_keeps_it() -> None:
    assert {f"e1000.{rule}" for rule, cases in CASES.items() if cases} == {rule.id for rule in RULES}


@pytest.mark.parametrize(("rule", "number"), [(rule, n) for rule, cases in CASES.items() for n in range(len(cases))])
def test_rule(rule: str, number: int) -> None:
    broken = CASES[rule][number](False)
    assert f"e1000.{rule}" in broken.nic.finding_counts
    found = [f for f in broken.nic.findings if f.id == f"e1000.{rule}"]
    assert all("8254x SDM" in str(f) for f in found)
    kept = CASES[rule][number](True)
    assert f"e1000.{rule}" not in kept.nic.finding_counts


def test_a_careful_driver_breaks_nothing() -> None:
    rig = Rig(count=16)
    rig.start_transmit()
    rig.start_receive(RCTL.SECRC)
    for _ in range(40):
        rig.send(ethernet())
        rig.arrive(ethernet(MAC, PEER), ethernet(GROUP, PEER))
        rig.received()
        rig["RDT"] = (rig["RDH"] - 1) % 16
    assert rig.nic.finding_counts == {}


def test_one_mistake_is_one_finding() -> None:
    """A segmentation that cannot be is not one of the wrong length as well."""
    rig = prepared()
    segmented(rig, mss=0)
    assert rig.nic.finding_counts == {"e1000.tx.tso-mss": 1}


def test_what_was_written_is_part_of_a_snapshot() -> None:
    rig = fresh("VET")
    rig["CTRL"] &= ~CTRL.VME
    other = Rig(count=16)
    other.nic.load(rig.nic.save())
    other["CTRL"] |= CTRL.VME
    assert [f.first for f in other.nic.findings if f.id == "e1000.control.undefined-used"] == [0x38]
