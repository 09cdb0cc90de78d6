"""Reference drivers: small and polled, one for each family of cards, after the data sheets' programming sections.

    nic = nicemu.create("e1000", memory=nicemu.GuestMemory(16 << 20), backend=Loopback())
    driver = nicemu.drivers.attach(nic)
    driver.start()
    driver.send(frame)
    nic.poll()
    [received] = driver.receive()

A driver touches a card only as a guest does: through its BARs, configuration space and guest memory.  The self-test,
the benchmarks and the fuzzers drive every family through `Driver`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar

from nicemu.errors import ConfigurationError, NicemuError

if TYPE_CHECKING:
    from nicemu.core import Nic
    from nicemu.memory import GuestMemory

__all__ = [
    "BUS_MASTER",
    "IO_SPACE",
    "MEMORY_SPACE",
    "Driver",
    "DriverError",
    "Frame",
    "RingDriver",
    "attach",
    "microwire_read",
]

#: Bits of COMMAND in configuration space (PCI Local Bus 3.0, 6.2.2).
IO_SPACE, MEMORY_SPACE, BUS_MASTER = 1 << 0, 1 << 1, 1 << 2
COMMAND = 0x04
#: Delays up to this are shorter than a sleep can be.
BUSY_NS = 50_000


class DriverError(NicemuError):
    """A card did not do what its data sheet says: a wait ran out, a ring was corrupted, a value is wrong."""


@dataclass(frozen=True)
class Frame:
    """A received frame without FCS.

    vlan:         the TCI that the card stripped, or None.
    ip_checksum:  what the card says of the IPv4 header checksum: right, wrong, or None where it does not say.
    l4_checksum:  the same of the TCP or UDP checksum.
    good:         the card reported no error of the frame itself.
    buffers:      descriptors that the frame took.
    """

    data: bytes
    vlan: int | None = None
    ip_checksum: bool | None = None
    l4_checksum: bool | None = None
    good: bool = True
    buffers: int = 1


class Driver(ABC):
    """What all reference drivers have in common.

    nic:       the card; the driver turns bus mastering on.
    memory:    where rings and buffers live, the card's own memory by default: `footprint` bytes from `base` on, which
               must be one mapped buffer.
    max_frame: longest frame to receive, in bytes without FCS and tag; above 1514 needs the feature "jumbo".

    features says what the card can do beside plain frames: "checksum" and "tso" (with IPv6: "checksum6", "tso6") on
    sending, "rx-checksum" on receiving (with IPv6: "checksum6"), "vlan" tags inserted and stripped, filters for
    "multicast" and "vlan-filter", "jumbo" frames, "scatter" (frames in several buffers), and the parts "eeprom", "phy"
    and "interrupts".
    """

    features: ClassVar[frozenset[str]] = frozenset()
    link_interrupts: ClassVar[bool] = True  #: the card interrupts when the link changes
    link_visible: ClassVar[bool] = True  #: the card shows whether there is a link

    def __init__(self, nic: Nic, memory: GuestMemory | None = None, *, base: int = 0, max_frame: int = 1514) -> None:
        if max_frame > 1514 and "jumbo" not in self.features:
            raise ConfigurationError(f"max_frame={max_frame}; {nic.MODEL} takes frames of up to 1514 bytes")
        self.nic = nic
        self.memory = memory if memory is not None else nic.memory
        self.base = base
        self.max_frame = max_frame
        self.view = self.memory.view(base, self.footprint)
        self.mac = bytes(6)

    @property
    @abstractmethod
    def footprint(self) -> int:
        """Bytes of guest memory that the driver uses."""

    # ------------------------------------------------------------------ every driver

    @abstractmethod
    def start(self) -> None:
        """Resets the card, reads its address, sets up rings and switches reception and transmission on.

        It does not wait for the link: `driver.wait(driver.link_up, "link")` does.

        Raises DriverError if the card does not follow.
        """

    @abstractmethod
    def stop(self) -> None:
        """Quiets the card: no DMA and no interrupt after this."""

    @abstractmethod
    def send(
        self, frame: bytes, *, vlan: int | None = None, checksum: bool = False, mss: int = 0, cuts: Sequence[int] = ()
    ) -> None:
        """Hands a frame without FCS to the card; returns when the card has been told, not when it is sent.

        vlan:     TCI of a tag that the card inserts.
        checksum: the card inserts the IPv4 header checksum and the TCP or UDP checksum, whatever the frame holds.
        mss:      the card cuts the frame into segments of so many bytes of payload ("tso"); implies checksum.
        cuts:     offsets at which the frame is cut into buffers ("scatter"); empty: one buffer.

        Raises DriverError if the ring stays full, ConfigurationError for what the card or driver cannot do.
        """

    @abstractmethod
    def receive(self) -> list[Frame]:
        """Takes the frames that the card has put into memory, and gives it new buffers; does not wait."""

    @abstractmethod
    def set_filters(
        self,
        *,
        promiscuous: bool = False,
        all_multicast: bool = False,
        multicast: Sequence[bytes] = (),
        vlans: Sequence[int] | None = None,
    ) -> None:
        """What is received beside frames to `mac` and broadcasts.

        multicast: group addresses.  vlans: VLAN identifiers to let through; None: the filter is off ("vlan-filter").
        """

    @abstractmethod
    def set_mac(self, mac: bytes) -> None:
        """Makes the card receive frames to `mac` in place of its own address."""

    def set_vlan_offload(self, enable: bool) -> None:
        """Lets the card insert tags on sending (`send(vlan=)`) and strip them on receiving ("vlan"); off at first."""
        raise NotImplementedError

    @abstractmethod
    def link_up(self) -> bool:
        """Whether the card sees a link."""

    # ------------------------------------------------------------------ where the features say so

    def check_eeprom(self) -> None:
        """Reads the EEPROM in every way that the card has; DriverError if they differ or the checksum is wrong."""
        raise NotImplementedError

    def check_phy(self) -> None:
        """Identifies the PHY and follows a negotiation; DriverError if it does not come to a link."""
        raise NotImplementedError

    def enable_interrupts(self, enable: bool) -> None:
        """Lets the card assert its interrupt for received and sent frames and link changes, or keeps it from it."""
        raise NotImplementedError

    def acknowledge(self) -> frozenset[str]:
        """What an interrupt handler does first: takes the causes; among them "rx", "tx" and "link" if there is one."""
        raise NotImplementedError

    # ------------------------------------------------------------------ the bus

    def set_command(self, bits: int, on: bool = True) -> None:
        """Sets bits of COMMAND in configuration space, or clears them."""
        command = self.nic.config.read(COMMAND, 2) & ~bits
        self.nic.config.write(COMMAND, command | (bits if on else 0), 2)

    # ------------------------------------------------------------------ waiting

    def wait(self, condition: Callable[[], bool], what: str, seconds: float = 5.0) -> None:
        """Polls until `condition` holds, on the card's clock: a virtual one moves on, else time goes by.

        Raises DriverError, naming `what` was waited for, after `seconds`.
        """
        deadline = self.nic.clock.now + int(seconds * 1e9)
        while not condition():
            if self.nic.clock.now >= deadline:
                raise DriverError(f"{self.nic.MODEL}: no {what} within {seconds} s")
            if self.nic.clock.is_virtual:
                due = self.nic.clock.next_deadline
                now = self.nic.clock.now
                self.nic.clock.advance(max(1000, min(due or deadline, deadline) - now))
                self.nic.poll()
            else:
                self.nic.loop.turn(0.001)

    def delay(self, ns: int) -> None:
        """Lets `ns` nanoseconds go by on the card's clock; short ones in a busy loop, as a driver's own."""
        if self.nic.clock.is_virtual:
            self.nic.clock.advance(ns)
            return
        end = self.nic.clock.now + ns
        while (left := end - self.nic.clock.now) > 0:
            if left > BUSY_NS:
                self.nic.loop.turn(left / 1e9)


class RingDriver(Driver):
    """A driver that fills transmit descriptors in turn, each with a buffer of its own, and then tells the card.

    Its indices: `_tx_next` is filled next, `_tx_free` is the oldest that the card may still need.
    """

    tx_count: int  #: descriptors of the ring

    def send(
        self, frame: bytes, *, vlan: int | None = None, checksum: bool = False, mss: int = 0, cuts: Sequence[int] = ()
    ) -> None:
        """Puts a frame into the ring and tells the card."""
        self.queue(frame, vlan=vlan, checksum=checksum, mss=mss, cuts=cuts)
        self.ring()

    @abstractmethod
    def queue(
        self, frame: bytes, *, vlan: int | None = None, checksum: bool = False, mss: int = 0, cuts: Sequence[int] = ()
    ) -> None:
        """Puts a frame into the ring without telling the card; arguments and errors are those of `send`."""

    @abstractmethod
    def ring(self) -> None:
        """The doorbell: everything that is queued may be sent."""

    def _empty_ring(self) -> None:
        self._tx_next = self._tx_free = 0
        self._tx_pending: deque[int] = deque()  # last descriptors of frames that are under way

    def _make_room(self, count: int) -> None:
        """Waits until so many descriptors are free."""
        if count >= self.tx_count:
            raise ConfigurationError(f"a frame of {count} descriptors does not fit a ring of {self.tx_count}")
        if not self._has_room(count):
            self.ring()
            self.wait(lambda: self._has_room(count), "free transmit descriptors")

    def _has_room(self, count: int) -> bool:
        """Whether so many descriptors are free, and one more: a full ring would look like an empty one."""
        self._reclaim()
        return (self._tx_free - self._tx_next - 1) % self.tx_count >= count

    def _reclaim(self) -> None:
        """Moves `_tx_free` on beyond what the card is done with."""
        while self._tx_pending and self._is_sent(self._tx_pending[0]):
            self._tx_free = (self._tx_pending.popleft() + 1) % self.tx_count

    def _is_sent(self, index: int) -> bool:
        """Whether the card is done with the frame whose last descriptor this is."""
        raise NotImplementedError

    def _advance(self, count: int) -> None:
        """So many descriptors have been filled with one frame."""
        self._tx_next = (self._tx_next + count) % self.tx_count
        self._tx_pending.append((self._tx_next - 1) % self.tx_count)

    @staticmethod
    def _cut(frame: bytes, cuts: Sequence[int], longest: int) -> list[tuple[int, int]]:
        """(begin, end) of each buffer, of which none is longer than `longest`."""
        limits = sorted({0, len(frame), *cuts, *range(0, len(frame), longest)})
        if not frame or limits[0] < 0 or limits[-1] > len(frame):
            raise ConfigurationError(f"{cuts=} of a frame of {len(frame)} bytes; expected offsets inside it")
        return list(pairwise(limits))


def microwire_read(word: int, width: int = 6) -> list[int]:
    """Levels of DI that ask a 93Cxx for a word: start bit, opcode 10, and an address of `width` bits."""
    instruction = 0b110 << width | word
    return [instruction >> bit & 1 for bit in range(width + 2, -1, -1)]


def attach(
    nic: Nic, memory: GuestMemory | None = None, *, base: int = 0, max_frame: int = 1514, **options: Any
) -> Driver:
    """The reference driver of a card's family, not yet started; arguments are those of `Driver` and of the family's.

    Raises ConfigurationError if there is none, or if the memory has no mapped room for it.
    """
    try:
        module = import_module(f"nicemu.drivers.{nic.CARD}")
    except ModuleNotFoundError as error:
        raise ConfigurationError(f"no reference driver for {nic.MODEL} ({nic.CARD})") from error
    driver: Driver = module.DRIVER(nic, memory, base=base, max_frame=max_frame, **options)
    return driver
