"""Ethernet transceivers as seen through MDIO: clause 22 registers, autonegotiation, link.

`Phy` has the registers of IEEE 802.3.  A real part is a subclass with its register table and, for registers that do
something, methods named after the register number: `read_17(value)` returns what the reader sees,
`write_16(old, value)` acts on a write after it has been stored (`old` is the register before, `value` the word
written).  For page p above 0 they are `read_p2_16` and so on; a subclass turns pages by setting `page`.

How a link comes about, as stages (IEEE 802.3 28.3, figure 28-18):

    break link  transmitting stops so that the partner drops the link too, for break_link_timer
    listen      link pulses go out with the advertisement that was latched; nobody answers, or to no avail
    exchange    pages are exchanged with the partner, or a partner that does not negotiate is detected in parallel
    forced      autonegotiation is off and there is no signal of that speed
    settle      autonegotiation is off and a signal of that speed has been seen
    up          the link is up
    idle        power-down or loopback: the medium is left alone
    reset       the reset pin is held; the PHY does not answer

Time comes from the card: `now_ns` is its clock, `on_deadline` is told when `poll` is to be called next.  Without a
clock all of it happens within the call that causes it.

Sources: IEEE Std 802.3 clauses 22.2.4, 28, 40.5; Intel 8254x Software Developer's Manual (SDM) 11.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, ClassVar, TypeVar

from nicemu.errors import ConfigurationError, SnapshotError
from nicemu.link import LINK_MODES, Cable, Link, LinkPartner, Outcome, resolve_master, resolve_pause
from nicemu.mii import (
    AN_ACKNOWLEDGE,
    ANAR,
    ANER,
    ANER_NEXT_PAGE,
    ANER_PAGE,
    ANER_PARTNER_ABLE,
    ANER_PARTNER_NEXT_PAGE,
    ANLPAR,
    BMCR,
    BMCR_AUTONEG,
    BMCR_DUPLEX,
    BMCR_ISOLATE,
    BMCR_LOOPBACK,
    BMCR_MODE,
    BMCR_POWER_DOWN,
    BMCR_RESET,
    BMCR_RESTART,
    BMCR_SPEED_LSB,
    BMCR_SPEED_MSB,
    BMSR,
    BMSR_COMPLETE,
    BMSR_LINK,
    BMSR_REMOTE_FAULT,
    GBCR,
    GBCR_MODES,
    GBSR,
    GBSR_FAULT,
    GBSR_IDLE_ERRORS,
    GBSR_LOCAL_OK,
    GBSR_MASTER,
    GBSR_REMOTE_OK,
    MII_1000,
    PHYID1,
    PHYID2,
)
from nicemu.registers import Register, Reset, State, Table

__all__ = ["Cable", "Link", "LinkPartner", "Phy"]


@dataclass(frozen=True)
class _Row:
    """A register with what an access to it needs, worked out once."""

    register: Register
    key: int  # page << 5 | number
    readable: int = field(init=False)
    writable: int = field(init=False)
    clears: int = field(init=False)  # by reading
    triggers: int = field(init=False)
    reserved: int = field(init=False)
    unmodelled: int = field(init=False)
    reset: int = field(init=False)
    kept: int = field(init=False)  # by the software reset

    def __post_init__(self) -> None:
        r = self.register
        values = {
            "readable": r.mask("read"),
            "writable": r.mask("write"),
            "clears": r.mask("rc"),
            "triggers": r.mask("trigger"),
            "reserved": r.mask_of(State.RESERVED),
            "unmodelled": r.mask_of(State.UNMODELLED),
            "reset": r.reset_value(),
            "kept": r.kept(Reset.SOFT),
        }
        for name, value in values.items():
            object.__setattr__(self, name, value)


class Phy:
    """A PHY with the registers of IEEE 802.3 clause 22, its cable and its link partner.

    identifier:   the 32 bits of PHYID1 and PHYID2; None: those of the table.
    partner:      what is at the other end of the cable.
    cable:        the cable.
    now_ns:       the card's clock; None: everything happens at once.
    duration:     turns a nominal time in ns into the one to take (`lambda ns: 0` for at once); None: leaves it.
    on_link_change: called with (up, speed in Mb/s, full duplex) when the link comes up or goes down.
    on_interrupt: called with the level of the interrupt pin, when it changes.
    on_deadline:  called with the time at which `poll` is due, None for never, when that changes.
    on_odd_access: called with (kind, register number, value) when an access does what the data sheet does not foresee:
                  `unmapped read`, `unmapped write`, `read-only` (a write with no effect at all), `reserved` (reserved
                  bits written with other than their reset value), `unmodelled` (bits changed that have no effect here).

    The reset pin is held until `hardware_reset` or `set_reset(False)`.  Calls take any guest value without complaint.
    """

    #: Registers, at byte offsets of twice their number.
    TABLE: ClassVar[Table] = MII_1000
    #: Speed, duplex and autonegotiation bits take effect when the link is next established, not when written.
    UPDATES_LATER: ClassVar[bool] = False
    #: Registers of which the link uses the values that they had when it was last established.
    LATCHED: ClassVar[Sequence[int]] = (BMCR,)

    #: break_link_timer, 1.2 to 1.5 s (802.3 table 28-9).
    BREAK_LINK_NS: ClassVar[int] = 1_250_000_000
    #: A page takes three bursts to be recognised, three to be acknowledged and six to eight to finish (28.2.1.2.4,
    #: 28.3.2), with a burst every 16 ms (28.2.1.1.1).
    PAGE_NS: ClassVar[int] = 12 * 16_000_000
    #: 1000BASE-T adds a message page and two unformatted pages to the base page (40.5.1.2).
    GIGABIT_PAGES: ClassVar[int] = 3
    #: autoneg_wait_timer, 0.5 to 1 s (table 28-9): how long parallel detection makes sure.
    PARALLEL_NS: ClassVar[int] = 500_000_000
    #: Signal to link without negotiation: seven link pulses 16 ms apart (14.2.1.7), stabilize_timer (24.3.4.4).
    SETTLE_NS: ClassVar[Mapping[int, int]] = {10: 7 * 16_000_000, 100: 1_000_000}

    def __init__(
        self,
        *,
        identifier: int | None = None,
        partner: LinkPartner | None = None,
        cable: Cable | None = None,
        now_ns: Callable[[], int] | None = None,
        duration: Callable[[int], int] | None = None,
        on_link_change: Callable[[bool, int, bool], None] | None = None,
        on_interrupt: Callable[[bool], None] | None = None,
        on_deadline: Callable[[int | None], None] | None = None,
        on_odd_access: Callable[[str, int, int], None] | None = None,
    ) -> None:
        self.on_link_change = on_link_change
        self.on_interrupt = on_interrupt
        self.on_deadline = on_deadline
        self.on_odd_access = on_odd_access
        self.partner = partner or LinkPartner()
        self.cable = cable or Cable()
        self.link = Link()
        self.page = 0
        self.interrupt = False
        self._now = now_ns
        self._duration = duration
        self._deadline: int | None = None
        self._stage = "reset"
        self._slow = False  # 1000BASE-T is not advertised, to save power
        self._in_effect = dict.fromkeys(self.LATCHED, 0)  # values of the latched registers
        self._advertised = (0, 0)  # ANAR and GBCR as sent
        self._build_rows(identifier)
        self._reset_registers(Reset.POWER)

    def _build_rows(self, identifier: int | None) -> None:
        self._pages: list[dict[int, _Row]] = [{} for _ in range(self.TABLE.pages)]
        self._by_name: dict[str, _Row] = {}
        self._read_hooks: dict[int, Callable[[int], int]] = {}
        self._write_hooks: dict[int, Callable[[int, int], None]] = {}
        for register in self.TABLE:
            number = register.offset // 2
            page = register.pages[0] if register.pages else 0
            row = self._by_name[register.name] = _Row(register, page << 5 | number)
            for visible in register.pages or range(self.TABLE.pages):
                self._pages[visible][number] = row
            suffix = f"p{page}_{number}" if page else str(number)
            for hooks, kind in ((self._read_hooks, "read"), (self._write_hooks, "write")):
                hook = getattr(self, f"{kind}_{suffix}", None)
                if hook is not None:
                    hooks[row.key] = hook
        self._fixed = {} if identifier is None else {PHYID1: identifier >> 16 & 0xFFFF, PHYID2: identifier & 0xFFFF}

    # Registers

    def read(self, number: int) -> int:
        """Return what an MDIO read of register `number` (its low 5 bits) gives."""
        number &= 31
        self.poll()
        if self._stage == "reset":
            return 0xFFFF  # nobody drives MDIO, which is pulled up
        row = self._row(number)
        if row is None:
            self._report_odd("unmapped read", number, 0)
            return 0
        value = self._cells[row.key] & row.readable
        hook = self._read_hooks.get(row.key)
        if hook is not None:
            value = hook(value)
        self._cells[row.key] &= ~row.clears
        if row.register.interrupt:
            self._update_interrupt()
        return value

    def write(self, number: int, value: int) -> None:
        """Carry out an MDIO write of the low 16 bits of `value` to register `number` (its low 5 bits)."""
        number &= 31
        value &= 0xFFFF
        self.poll()
        if self._stage == "reset":
            return
        row = self._row(number)
        if row is None:
            self._report_odd("unmapped write", number, value)
            return
        old = self._cells[row.key]
        if not row.writable | row.triggers:
            self._report_odd("read-only", number, value)
        elif (value ^ row.reset) & row.reserved:
            self._report_odd("reserved", number, value)
        if (value ^ old) & row.unmodelled & row.writable:
            self._report_odd("unmodelled", number, value)
        self._cells[row.key] = old & ~row.writable | value & row.writable
        hook = self._write_hooks.get(row.key)
        if hook is not None:
            hook(old, value)
        if row.register.interrupt:
            self._update_interrupt()

    def peek(self, register: int | str) -> int:
        """Return a register of the page in view by number, or any by name, without the effects of a read.

        Raises KeyError if there is none.
        """
        row = self._by_name.get(register) if isinstance(register, str) else self._row(register)
        if row is None:
            raise KeyError(f"table {self.TABLE.name} has no register {register!r}")
        return self._cells[row.key]

    def _row(self, number: int) -> _Row | None:
        return self._pages[self.page].get(number) if self.page < len(self._pages) else None

    def _report_odd(self, kind: str, number: int, value: int) -> None:
        if self.on_odd_access is not None:
            self.on_odd_access(kind, number, value)

    def _change(self, key: int, clear: int, put: int = 0) -> None:
        """Clear and then set bits of a register from inside."""
        self._cells[key] = self._cells[key] & ~clear | put

    @property
    def gigabit(self) -> bool:
        """Whether the PHY has 1000BASE-T."""
        return GBCR in self._pages[0]

    def read_1(self, value: int) -> int:
        """BMSR: after a read the link bit shows the present again (22.2.4.2.13)."""
        self._change(BMSR, BMSR_LINK, BMSR_LINK * self.link.up)
        return value

    def write_0(self, old: int, value: int) -> None:
        """BMCR: reset, power-down, loopback, a new negotiation, another forced mode (22.2.4.1)."""
        new = self._cells[BMCR]
        changed = old ^ new
        if value & BMCR_RESET:
            self.soft_reset()
        elif changed & old & BMCR_POWER_DOWN:
            self._wake_up()
        elif changed & (BMCR_POWER_DOWN | BMCR_LOOPBACK):
            self._restart()
        elif self.UPDATES_LATER:
            if value & BMCR_RESTART:
                self._restart()
        elif (value & BMCR_RESTART and new & BMCR_AUTONEG) or self._mode_differs(changed, new):
            self._restart()

    @staticmethod
    def _mode_differs(changed: int, bmcr: int) -> bool:
        """Whether a change of BMCR asks for another link: speed and duplex count while not negotiating."""
        return bool(changed & (BMCR_AUTONEG if bmcr & BMCR_AUTONEG else BMCR_MODE))

    # Resets

    def hardware_reset(self) -> None:
        """Pulse the reset pin: every register comes up anew and the link is established from scratch."""
        self.set_reset(True)
        self.set_reset(False)

    def set_reset(self, asserted: bool) -> None:
        """Drive the reset pin: while it is asserted the PHY is silent on MDIO and on the medium."""
        if asserted:
            self._reset(Reset.POWER)
        elif self._stage == "reset":
            self._restart()

    def soft_reset(self) -> None:
        """Reset as by BMCR bit 15: registers go back except for what the table says is kept; the link starts anew.

        It takes no time; the standard allows half a second (22.2.4.1.1).
        """
        self._reset(Reset.SOFT)
        self._restart()

    def _reset(self, reset: Reset) -> None:
        self._wait_for_nothing("reset")
        self._drop_link()
        if reset is Reset.POWER:
            self.link = Link()
            self._advertised = (0, 0)
        self._reset_registers(reset)
        self._update_interrupt()

    def _reset_registers(self, reset: Reset) -> None:
        if reset is Reset.POWER:
            self._cells = {row.key: row.reset for row in self._by_name.values()} | self._fixed
        else:
            for row in self._by_name.values():
                initial = self._fixed.get(row.key, row.reset)
                self._cells[row.key] = self._cells[row.key] & row.kept | initial & ~row.kept
        self.page = 0

    def _wake_up(self) -> None:
        """Leave power-down."""
        self._restart()

    # Medium

    def set_cable(self, connected: bool, *, pairs: int = 4, length_m: int = 10) -> None:
        """Plug the cable in or pull it out; see `Cable`."""
        self._set_medium(Cable(connected, pairs, length_m), self.partner)

    def set_partner(self, partner: LinkPartner) -> None:
        """Put something else at the other end of the cable."""
        self._set_medium(self.cable, partner)

    def _set_medium(self, cable: Cable, partner: LinkPartner) -> None:
        self.poll()
        if (cable, partner) == (self.cable, self.partner):
            return
        self.cable, self.partner = cable, partner
        self._medium_changed()
        if self._stage == "up" and not self._link_is_forced():
            self._restart()
        elif self._stage in ("listen", "exchange"):
            self._listen()
        elif self._stage in ("forced", "settle"):
            self._force()

    def _medium_changed(self) -> None:
        """For PHYs that show it in a register."""

    def restrict_speed(self, slow: bool) -> None:
        """Leave 1000BASE-T out of the advertisement, or take it in again, and negotiate anew.

        For controllers that do so in low power states (SDM 11.4.3).
        """
        self.poll()
        if slow != self._slow:
            self._slow = slow
            if self._stage != "reset":
                self._restart()

    @property
    def data_path(self) -> str:
        """Where the MAC's frames go: `line`, `loopback` (back to the MAC), or `none`."""
        bmcr = self._cells[BMCR]
        if self._stage == "reset" or bmcr & (BMCR_POWER_DOWN | BMCR_ISOLATE):
            return "none"
        if bmcr & BMCR_LOOPBACK:
            return "loopback"
        return "line" if self.link.up else "none"

    def count_idle_errors(self, count: int = 1) -> None:
        """Let the 1000BASE-T receiver see errors while the line is idle (GBSR bits 7:0, which stick at FFh)."""
        if self.gigabit and self._stage != "reset":
            errors = self._cells[GBSR] & GBSR_IDLE_ERRORS
            self._change(GBSR, GBSR_IDLE_ERRORS, min(errors + count, GBSR_IDLE_ERRORS))

    # Time

    def poll(self) -> None:
        """Do what is due by the clock.  Reads and writes do so too."""
        while self._deadline is not None:
            due = self._deadline
            if self._now is not None and self._now() < due:
                return
            self._deadline = None
            self._step(due)
            if self._deadline is None and self.on_deadline is not None:
                self.on_deadline(None)

    @property
    def deadline_ns(self) -> int | None:
        """When `poll` is due, on the card's clock; None: never."""
        return self._deadline

    def _set_deadline(self, deadline: int | None) -> None:
        if deadline != self._deadline:
            self._deadline = deadline
            if self.on_deadline is not None:
                self.on_deadline(deadline)

    def _wait(self, stage: str, nominal_ns: int, since: int | None) -> None:
        """Enter a stage that ends after a time counted from `since` (None: from now)."""
        self._stage = stage
        delay = nominal_ns if self._duration is None else self._duration(nominal_ns)
        if self._now is None or delay <= 0:
            self._set_deadline(None)
            self._step(since)
        else:
            self._set_deadline((self._now() if since is None else since) + delay)

    def _wait_for_nothing(self, stage: str) -> None:
        self._stage = stage
        self._set_deadline(None)

    def _step(self, now: int | None) -> None:
        if self._stage == "break link":
            self._advertise()
            self._listen(now)
        elif self._stage == "exchange":
            self._conclude(self._resolve())
        elif self._stage == "settle":
            self._force_link()

    # Establishing the link

    @property
    def negotiates(self) -> bool:
        """Whether the mode in effect is negotiated; 1000BASE-T is even when forced (40.5.1, SDM table 13-16)."""
        return bool(self._mode & BMCR_AUTONEG) or (self.gigabit and bool(self._mode & BMCR_SPEED_MSB))

    @property
    def _mode(self) -> int:
        """Speed, duplex and autonegotiation bits of BMCR, as they are in effect."""
        return self._in_effect[BMCR] & BMCR_MODE

    @property
    def _forced_speed(self) -> int:
        return 100 if self._mode & BMCR_SPEED_LSB else 10

    def _restart(self) -> None:
        """Give up the link, if there is one, and establish it anew with the mode that BMCR has now."""
        self._drop_link()
        self._update_mode()
        self._change(BMSR, BMSR_COMPLETE)
        self._cells[ANER] = 0
        if self._cells[BMCR] & (BMCR_POWER_DOWN | BMCR_LOOPBACK):
            self._wait_for_nothing("idle")
        elif self.negotiates:
            self._wait("break link", self.BREAK_LINK_NS, None)
        else:
            self._force()

    def _update_mode(self) -> None:
        self._in_effect = {key: self._cells[key] for key in self.LATCHED}

    def _advertise(self) -> None:
        """Latch what is advertised from now on."""
        anar, gbcr = self._cells[ANAR], self._cells[GBCR] if self.gigabit else 0
        if not self._mode & BMCR_AUTONEG:
            wanted = next(m for m in LINK_MODES if m.speed == 1000 and m.full_duplex == bool(self._mode & BMCR_DUPLEX))
            anar &= ~sum(mode.anar for mode in LINK_MODES)
            gbcr = gbcr & ~GBCR_MODES | wanted.gbcr
        if self._slow:
            gbcr &= ~GBCR_MODES
        self._advertised = anar, gbcr

    def _listen(self, since: int | None = None) -> None:
        """Answer the partner, if there is one that can be understood, or wait for it."""
        outcome = self._resolve()
        if not self.cable.connected or (outcome.parallel and outcome.mode is None):
            self._wait_for_nothing("listen")
        else:
            self._wait("exchange", self._exchange_ns(outcome), since)

    def _exchange_ns(self, outcome: Outcome) -> int:
        """How long it takes to come to `outcome`."""
        if outcome.parallel:
            return self.PARALLEL_NS
        gigabit = self._advertised[1] & GBCR_MODES and self.partner.gigabit
        duration = self.PAGE_NS * (1 + (self.GIGABIT_PAGES if gigabit else 0))
        if outcome.downshift:
            duration *= 1 + (self._downshift_attempts(bool(outcome.master)) or 0)
        return duration

    def _downshift_attempts(self, master: bool) -> int | None:
        """How many failures at 1000 Mb/s make the PHY try less; None: it never does."""
        return None

    def _resolve(self) -> Outcome:
        """Work out what the advertisement, the partner and the cable lead to (Annex 28B.3, 28.2.3.1)."""
        anar, gbcr = self._advertised
        local = [mode for mode in LINK_MODES if anar & mode.anar or gbcr & mode.gbcr]
        if not self.partner.autoneg:
            # Nothing tells the partner's duplex mode, so it is half; no ability of ours, no recognition.
            speed = self.partner.link_modes[0].speed
            return Outcome(next((m for m in local if m.speed == speed and not m.full_duplex), None), parallel=True)
        common = [mode for mode in local if mode in self.partner.link_modes]
        if not common or common[0].speed != 1000:
            return Outcome(common[0] if common else None)
        master = resolve_master(gbcr, self.partner)
        if master is None:
            return Outcome(None, master=None)
        if self.cable.pairs == 4:
            return Outcome(common[0], master=master)
        slower = [mode for mode in common if mode.speed < 1000]
        if not slower or self._downshift_attempts(master) is None:
            return Outcome(None, master=master)
        return Outcome(slower[0], downshift=True, master=master)

    def _conclude(self, outcome: Outcome) -> None:
        """End the exchange: show its results in the registers and bring the link up.

        A negotiation without result would be repeated for ever with the same; here it waits for something to change.
        """
        mode, partner = outcome.mode, self.partner
        if outcome.parallel:
            self._cells[ANLPAR] = mode.anar if mode else 0
        else:
            self._receive_pages(outcome)
        if mode is None:
            self._wait_for_nothing("listen")
            self._negotiation_failed(outcome)
            return
        self._change(BMSR, 0, BMSR_COMPLETE)
        transmit, receive = (False, False)
        if mode.full_duplex and not outcome.parallel:
            transmit, receive = resolve_pause(self._advertised[0], partner.base_page)
        mismatch = outcome.parallel and partner.link_modes[0].full_duplex
        master = mode.speed == 1000 and bool(outcome.master)
        self._stage = "up"
        self._negotiation_complete(outcome)
        self._raise_link(Link(True, mode.speed, mode.full_duplex, transmit, receive, master, mismatch))

    def _receive_pages(self, outcome: Outcome) -> None:
        partner = self.partner
        self._cells[ANLPAR] = partner.base_page | AN_ACKNOWLEDGE
        able = ANER_PARTNER_ABLE | ANER_PAGE | ANER_PARTNER_NEXT_PAGE * partner.gigabit
        self._cells[ANER] = able | ANER_NEXT_PAGE * self.gigabit
        if partner.remote_fault:
            self._change(BMSR, 0, BMSR_REMOTE_FAULT)
        if not self.gigabit:
            return
        status = sum(mode.gbsr for mode in partner.link_modes) if self._advertised[1] & GBCR_MODES else 0
        if outcome.master is None:
            status |= GBSR_FAULT
        elif outcome.mode is not None and outcome.mode.speed == 1000:
            status |= GBSR_LOCAL_OK | GBSR_REMOTE_OK | GBSR_MASTER * outcome.master
        self._change(GBSR, ~GBSR_IDLE_ERRORS & ~GBSR_FAULT, status)

    def _force(self) -> None:
        """Without negotiation: wait for a signal of the forced speed."""
        speed = self._forced_speed
        # A partner that negotiates recognises us by parallel detection and then speaks half duplex.
        heard = any(m.speed == speed and not (m.full_duplex and self.partner.autoneg) for m in self.partner.link_modes)
        if self._link_is_forced():
            self._force_link()
        elif self.cable.connected and heard:
            self._wait("settle", self.SETTLE_NS[speed], None)
        else:
            self._wait_for_nothing("forced")

    def _force_link(self) -> None:
        """Bring the link up as forced by BMCR."""
        full = bool(self._mode & BMCR_DUPLEX)
        theirs = not self.partner.autoneg and self.partner.link_modes[0].full_duplex
        self._set_deadline(None)
        self._stage = "up"
        self._raise_link(Link(True, self._forced_speed, full, duplex_mismatch=full != theirs))

    def _raise_link(self, link: Link) -> None:
        before, self.link = self.link, link
        self._link_changed(before)
        if self.on_link_change is not None:
            self.on_link_change(True, link.speed, link.full_duplex)

    def _drop_link(self) -> None:
        """Take the link down; BMSR shows it until read (22.2.4.2.13)."""
        if not self.link.up:
            return
        before, self.link = self.link, replace(self.link, up=False)
        self._change(BMSR, BMSR_LINK)
        if self.gigabit:
            self._change(GBSR, GBSR_LOCAL_OK | GBSR_REMOTE_OK)
        self._link_changed(before)
        if self.on_link_change is not None:
            self.on_link_change(False, self.link.speed, self.link.full_duplex)

    # For PHYs that show more than the standard's registers

    def _link_is_forced(self) -> bool:
        """Whether the link is to be up without regard to the medium."""
        return False

    def _link_changed(self, before: Link) -> None:
        """`link` has a new value."""

    def _negotiation_complete(self, outcome: Outcome) -> None:
        """Both sides have agreed."""

    def _negotiation_failed(self, outcome: Outcome) -> None:
        """Pages were exchanged to no avail."""

    def _interrupt_level(self) -> bool:
        return False

    def _update_interrupt(self) -> None:
        level = self._interrupt_level()
        if level != self.interrupt:
            self.interrupt = level
            if self.on_interrupt is not None:
                self.on_interrupt(level)

    # Snapshot

    def state(self) -> dict[str, Any]:
        """Return all that the PHY remembers, cable and partner included, as plain values.

        `remaining_ns` is what is left of the time until `poll` is due.
        """
        remaining = None
        if self._deadline is not None:
            remaining = max(0, self._deadline - (self._now() if self._now is not None else 0))
        return {
            "registers": {name: self._cells[row.key] for name, row in self._by_name.items()},
            "page": self.page,
            "stage": self._stage,
            "remaining_ns": remaining,
            "in_effect": {self._name(key): value for key, value in self._in_effect.items()},
            "advertised": list(self._advertised),
            "slow": self._slow,
            "link": asdict(self.link),
            "cable": asdict(self.cable),
            "partner": {**asdict(self.partner), "modes": list(self.partner.modes)},
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Take over what `state` returned, of a PHY of the same kind.

        Neither the link nor the interrupt is reported, as the card restores its own view of them; the deadline is.
        Raises SnapshotError, and changes nothing, when `state` is not such a description.
        """
        _check_entries(state, self.state(), f"the state of a {type(self).__name__}")
        link = _restored(Link, state["link"], "link")
        cable = _restored(Cable, state["cable"], "cable")
        partner = _restored(LinkPartner, state["partner"], "partner")
        self._check_state(state, link)
        self.link, self.cable, self.partner = link, cable, partner
        self._cells = {row.key: state["registers"][name] for name, row in self._by_name.items()}
        self._in_effect = {key: state["in_effect"][self._name(key)] for key in self.LATCHED}
        self._advertised = (state["advertised"][0], state["advertised"][1])
        self.page, self._stage, self._slow = state["page"], state["stage"], state["slow"]
        self._load_more(state)
        self.interrupt = self._interrupt_level()
        remaining, now = state["remaining_ns"], 0 if self._now is None else self._now()
        self._set_deadline(None if remaining is None else now + remaining)

    def _load_more(self, state: Mapping[str, Any]) -> None:
        """Take over what a subclass added to the state."""

    def _check_state(self, state: Mapping[str, Any], link: Link) -> None:
        """Raise SnapshotError unless everything in `state` can be; a subclass checks what it added."""
        _check_entries(state["registers"], self._by_name, "registers")
        for name, row in self._by_name.items():
            value = state["registers"][name]
            _check_number(value, 0xFFFF, name)
            fixed = row.reserved & ~row.writable
            if (value ^ row.reset) & fixed:
                raise SnapshotError(f"{name} is {value:#06x}; its reserved bits read {row.reset & fixed:#06x}")
        _check_entries(state["in_effect"], [self._name(key) for key in self.LATCHED], "in_effect")
        for name, value in state["in_effect"].items():
            _check_number(value, 0xFFFF, f"in_effect {name}")
        advertised = state["advertised"]
        if not isinstance(advertised, Sequence) or isinstance(advertised, str) or len(advertised) != 2:
            raise SnapshotError(f"advertised is {advertised!r}; expected the values of two registers")
        for value in advertised:
            _check_number(value, 0xFFFF, "advertised")
        _check_number(state["page"], 0xFFFF, "page")
        if type(state["slow"]) is not bool:
            raise SnapshotError(f"slow is {state['slow']!r}; expected true or false")
        self._check_stage(state["stage"], state["remaining_ns"], link)

    @staticmethod
    def _check_stage(stage: Any, remaining: Any, link: Link) -> None:
        timed = ("break link", "exchange", "settle")
        stages = ("reset", "idle", "listen", "forced", "up", *timed)
        if stage not in stages:
            raise SnapshotError(f"stage is {stage!r}; expected one of {', '.join(stages)}")
        if (remaining is not None) != (stage in timed):
            raise SnapshotError(f"remaining_ns is {remaining!r} in stage {stage!r}")
        if remaining is not None:
            _check_number(remaining, 1 << 62, "remaining_ns")
        if link.up != (stage == "up"):
            raise SnapshotError(f"link.up is {link.up} in stage {stage!r}")

    def _name(self, key: int) -> str:
        return self._pages[key >> 5][key & 31].register.name


def _check_number(value: Any, most: int, what: str) -> None:
    if type(value) is not int or not 0 <= value <= most:
        raise SnapshotError(f"{what} is {value!r}; expected 0..{most:#x}")


def _check_entries(saved: Any, names: Iterable[str], what: str) -> None:
    expected = list(names)
    if not isinstance(saved, Mapping) or set(saved) != set(expected):
        raise SnapshotError(f"{what} is a mapping with the entries {', '.join(expected)}")


_T = TypeVar("_T", Link, Cable, LinkPartner)


def _restored(kind: type[_T], saved: Any, what: str) -> _T:
    """Build `kind` from what `asdict` made of it."""
    _check_entries(saved, [f.name for f in fields(kind)], what)
    try:
        return kind(**saved)
    except ConfigurationError as error:
        raise SnapshotError(f"{what}: {error}") from error
