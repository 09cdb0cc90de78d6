"""What the self-test checks of a card.

Each check runs on a fresh card.  The register checks hold the engine against the tables; all others work through the
family's reference driver, as a guest would, over wires whose frames are judged by `nicemu.drivers.wire`.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Any

from nicemu import drivers
from nicemu.backends import Backend, Loopback, Null, PythonBackend, User
from nicemu.clock import Clock
from nicemu.devices import create, find_class
from nicemu.drivers import Frame, wire
from nicemu.engine import ffi, lib
from nicemu.memory import GuestMemory
from nicemu.model import Model
from nicemu.registers import Register, Reset, Table

__all__ = ["CHECKS", "MEMORY", "Check", "CheckError", "check_user"]

MEMORY = 8 << 20
POWER_UP_NS = 1000  #: no driver is there earlier than that
PEER = bytes.fromhex("020000000001")
GROUP = bytes.fromhex("01005e000001")
OTHER_GROUP = bytes.fromhex("01005e7ffffa")
EXPERIMENTAL = 0x88B5  #: EtherType for local experiments (IEEE 802)
ADDRESSES4 = IPv4Address("192.0.2.1"), IPv4Address("192.0.2.2")
ADDRESSES6 = IPv6Address("2001:db8::1"), IPv6Address("2001:db8::2")


class CheckError(Exception):
    """A check found a difference; the message says what was seen and what was expected."""


def expect(condition: object, message: str) -> None:
    """Raises CheckError with `message` unless `condition` holds."""
    if not condition:
        raise CheckError(message)


@dataclass(frozen=True)
class Check:
    """One line of the table: what it needs of the driver's features, and the function that returns a detail."""

    name: str
    function: Callable[[str], str]
    needs: str = ""


# ------------------------------------------------------------------------------------------------- set-up


class Recorder(PythonBackend):
    """A wire whose frames can be looked at and made up."""

    def __init__(self) -> None:
        self.frames: list[bytes] = []
        super().__init__()

    def send(self, frames: list[bytes]) -> None:
        """Keeps what the card sends."""
        self.frames += frames


class Rig:
    """A card with memory, a wire and a started driver whose link is up; at its end the driver must have no findings."""

    def __init__(self, model: str, backend: Backend, *, max_frame: int = 1514, **options: Any) -> None:
        self.lines: list[bool] = []
        self.backend = backend
        self.nic = create(model, memory=GuestMemory(MEMORY), backend=backend, irq=self.lines.append, **options)
        self.driver = drivers.attach(self.nic, max_frame=max_frame)
        self.driver.delay(POWER_UP_NS)
        self.driver.start()
        self.driver.wait(self.driver.link_up, "link")

    def __enter__(self) -> Rig:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        findings = self.nic.findings
        self.nic.close()
        self.backend.close()
        if kind is None and findings:
            raise CheckError(f"the reference driver broke a rule: {findings[0]}")

    def receive(self, count: int, seconds: float = 2.0) -> list[Frame]:
        """The next `count` frames, in order; DriverError if they do not come."""
        frames: list[Frame] = []

        def enough() -> bool:
            frames.extend(self.driver.receive())
            return len(frames) >= count

        self.driver.wait(enough, f"{count} frames", seconds)
        return frames

    def nothing_comes(self) -> bool:
        """Whether no frame waits, after a moment for those under way."""
        self.nic.poll()
        self.nic.poll()
        return not self.driver.receive()

    def sent(self, recorder: Recorder, count: int) -> list[bytes]:
        """The next `count` frames on the wire."""
        self.driver.wait(lambda: len(recorder.frames) >= count, f"{count} frames on the wire", 2.0)
        frames, recorder.frames = recorder.frames, []
        return frames


def _payload(length: int, seed: int = 0) -> bytes:
    return random.Random(length * 1000 + seed).randbytes(length)


def _frame(rig: Rig, length: int, *, to: bytes = b"", seed: int = 0) -> bytes:
    """A frame of `length` bytes to the card itself, or to another address."""
    return wire.ethernet(to or rig.driver.mac, PEER, EXPERIMENTAL, _payload(length - 14, seed))


def _packets(rig: Rig, length: int) -> Iterator[tuple[str, bytes]]:
    """TCP and UDP over IPv4, and IPv6 where the card knows it, to the card, each with `length` bytes of payload."""
    ports, payload = (1024, 2048), _payload(length)
    for transport, protocol in (("TCP", wire.TCP), ("UDP", wire.UDP)):
        build = wire.tcp if protocol == wire.TCP else wire.udp
        packet4 = wire.ipv4(*ADDRESSES4, protocol, build(*ADDRESSES4, ports, payload))
        yield f"{transport}/IPv4", wire.ethernet(rig.driver.mac, PEER, wire.IPV4, packet4)
        if "checksum6" not in rig.driver.features:
            continue
        packet6 = wire.ipv6(*ADDRESSES6, protocol, build(*ADDRESSES6, ports, payload))
        yield f"{transport}/IPv6", wire.ethernet(rig.driver.mac, PEER, wire.IPV6, packet6)


# ------------------------------------------------------------------------------------------------- registers


class _Bare:
    """A device that has a model's rows and none of the card's hooks, so that it does what the tables say."""

    def __init__(self, name: str) -> None:
        card = find_class(name)
        self.model = Model(name, card.CARD, card.model().spaces, card.TABLES, (), set(), set(), hooks=False)
        self.memory, self.clock = GuestMemory(), Clock.virtual()
        device = lib.nic_device_new(self.model.c, self.memory.handle, self.clock.handle, 1)
        self.handle = ffi.gc(device, lib.nic_device_free)
        self.cells = lib.nic_device_cells(self.handle)
        self.enable()

    def enable(self) -> None:
        """Lets it decode memory and I/O."""
        if self.model.c.pci.command != lib.NIC_NO_CELL:
            self.cells[self.model.c.pci.command] = 7
            lib.nic_pci_changed(self.handle)

    def open_gate(self, table: Table, register: Register) -> None:
        """Lets writes of a locked register count."""
        for gate in register.gates[:1]:
            where, _, name = gate.register.rpartition(".")
            self.cells[self.model.cell(where or table.name, name)] = gate.value

    def registers(self) -> Iterator[tuple[int, Table, Register, int]]:
        """(space, table, register, first cell) of all that the part has and that have storage of their own."""
        for space, table in self.model.spaces.items():
            for register in table:
                if register.present and not register.window and not register.cell and register.direction == "rw":
                    yield space, table, register, self.model.cell(table.name, register.name)


def check_resets(model: str) -> str:
    """Each of the three resets gives every defined bit the value of its table, and leaves what it must."""
    bare, count = _Bare(model), 0
    for kind in Reset:
        for _, _, register, cell in bare.registers():
            for index in range(register.count):
                bare.cells[cell + index] = 0xA5A5A5A5 & ((1 << 8 * register.size) - 1)
        lib.nic_reset(bare.handle, kind.value)
        for _, table, register, cell in bare.registers():
            defined = ((1 << 8 * register.size) - 1) & ~register.undefined
            kept = register.kept(kind) & defined
            for index in range(register.count):
                value = int(bare.cells[cell + index]) & defined
                wanted = (0xA5A5A5A5 & kept) | (register.reset_value(index) & defined & ~kept)
                where = f"{table.name}.{register.element_name(index)}"
                expect(value == wanted, f"{where} is {value:#x} after {kind.name} reset; expected {wanted:#x}")
                count += 1
        bare.enable()
    return f"{count} values after power-on, bus and soft reset"


def check_access(model: str) -> str:
    """Writes and reads of every register act as the access words say: full width, ones, zeros and a pattern."""
    bare, count = _Bare(model), 0
    for space, table, register, cell in bare.registers():
        if table.pages > 1:
            lib.nic_select_page(bare.handle, space, register.pages[0] if register.pages else 0)
        bare.open_gate(table, register)
        top = (1 << 8 * register.size) - 1
        rules = {rule: register.mask(rule) for rule in ("read", "write", "w1c", "w1s", "rc")}
        for index in {0, register.count - 1}:
            where = register.offset + index * register.stride
            name = f"{table.name}.{register.element_name(index)}"
            for old, value in ((0, top), (top, 0), (top, top), (0x5A5A5A5A & top, 0x33333333 & top)):
                bare.cells[cell + index] = old
                lib.nic_write(bare.handle, space, where, value, register.size)
                stored = (old & ~rules["write"]) | (value & rules["write"])
                stored = (stored | (value & rules["w1s"])) & ~(value & rules["w1c"])
                low, high = value & register.pairs, value & register.pairs << 1
                stored = (stored | low | high) & ~(low << 1) & ~(high >> 1)
                found = int(bare.cells[cell + index])
                expect(found == stored, f"{name}: {value:#x} over {old:#x} stored {found:#x}; expected {stored:#x}")
                bare.cells[cell + index] = old
                shown = int(lib.nic_read(bare.handle, space, where, register.size))
                left, seen = int(bare.cells[cell + index]), old & rules["read"]
                expect(shown == seen, f"{name}: {old:#x} read as {shown:#x}; expected {seen:#x}")
                expect(left == old & ~rules["rc"], f"{name}: a read left {left:#x} of {old:#x}")
                count += 2
    return f"{count} accesses"


def check_reset_of_a_used_card(model: str) -> str:
    """A card that has worked is, after RST#, as a fresh one, but for what RST# leaves."""
    with Rig(model, Null()) as fresh:
        fresh.nic.reset(Reset.POWER)
        before = {name: view.value for name, view in fresh.nic.regs}
    with Rig(model, Null()) as rig:
        for length in (60, 1514):
            rig.driver.send(_frame(rig, length))
        rig.driver.set_filters(promiscuous=True, multicast=[GROUP])
        rig.nic.reset(Reset.BUS)
        kept = {r.name: r.kept(Reset.BUS) | r.undefined for table in rig.nic.TABLES for r in table}
        for name, view in rig.nic.regs:
            differs = (view.value ^ before[name]) & ~kept[name.partition("[")[0]]
            expect(not differs, f"{name} is {view.value:#x} after RST#; a fresh card has {before[name]:#x}")
    return f"{len(before)} registers"


# ------------------------------------------------------------------------------------------------- frames


def check_sizes(model: str) -> str:
    """Frames of every kind of size come back as they were sent; short ones padded to 60 bytes."""
    sizes = [14, 42, *range(59, 70), 127, 128, 255, 256, 511, 512, 1023, 1024, 1500, 1513, 1514]
    with Rig(model, Loopback()) as rig:
        for size in sizes:
            frame = _frame(rig, size)
            rig.driver.send(frame)
            [received] = rig.receive(1)
            expect(len(received.data) == max(size, 60), f"{size} bytes came back as {len(received.data)}")
            expect(received.data[:size] == frame and received.good, f"a frame of {size} bytes came back changed")
    return f"{len(sizes)} sizes, 14 to 1514 bytes"


def check_burst(model: str) -> str:
    """More frames than the rings hold come back complete and in order."""
    count, batch = 2000, 50
    with Rig(model, Loopback(), overflow="hold") as rig:
        for first in range(0, count, batch):
            frames = [_frame(rig, 60 + (first + i) % 200, seed=first + i) for i in range(batch)]
            for frame in frames:
                rig.driver.send(frame)
            received = rig.receive(batch)
            expect([f.data for f in received] == frames, f"frames {first} to {first + batch} came back otherwise")
    return f"{count} frames in order"


def check_buffers(model: str) -> str:
    """Frames that are cut into several buffers, at any place, leave as one."""
    layouts = ([1], [14], [13, 15], [17, 33, 34, 70], list(range(50, 1000, 50)), [1513])
    with Rig(model, Loopback()) as rig:
        for cuts in layouts:
            frame = _frame(rig, 1514)
            rig.driver.send(frame, cuts=cuts)
            [received] = rig.receive(1)
            expect(received.data == frame, f"a frame cut at {cuts} came back changed")
    return f"up to {max(map(len, layouts)) + 1} buffers"


def check_jumbo(model: str) -> str:
    """Long frames come back over several receive buffers."""
    with Rig(model, Loopback(), max_frame=9014) as rig:
        buffers = 0
        for size in (1515, 2044, 2048, 2049, 4096, 9014):
            frame = _frame(rig, size)
            rig.driver.send(frame)
            [received] = rig.receive(1)
            expect(received.data == frame, f"a frame of {size} bytes came back changed")
            buffers = max(buffers, received.buffers)
        expect(buffers > 1, "9014 bytes came in one buffer; expected several")
    return f"up to 9014 bytes in {buffers} buffers"


def check_wire_profile(model: str) -> str:
    """The same with the times of the data sheet, on a virtual clock."""
    clock = Clock.virtual()
    with Rig(model, Loopback(), profile="wire", clock=clock) as rig:
        started, sizes = clock.now, (60, 512, 1514)
        for size in sizes:
            frame = _frame(rig, size)
            rig.driver.send(frame)
            expect([f.data for f in rig.receive(1)] == [frame], f"a frame of {size} bytes came back changed")
        expect(clock.now > started, "sending took no time")
    return f"link after {started / 1e6:.0f} ms, {(clock.now - started) / 1000 / len(sizes):.0f} µs a frame"


# ------------------------------------------------------------------------------------------------- filters


def check_filters(model: str) -> str:
    """Own address and broadcast come through, others do not, unless promiscuous; a changed address counts at once."""
    with Rig(model, Recorder()) as rig:
        _expect_passes(rig, {"own address": rig.driver.mac, "broadcast": wire.BROADCAST}, {"another address": PEER})
        rig.driver.set_filters(promiscuous=True)
        _expect_passes(rig, {"another address, promiscuous": PEER}, {})
        rig.driver.set_filters()
        old, new = rig.driver.mac, bytes.fromhex("02aabbccddee")
        rig.driver.set_mac(new)
        _expect_passes(rig, {"new address": new}, {"old address": old, "another address": PEER})
    return "own, broadcast, promiscuous, changed address"


def check_multicast(model: str) -> str:
    """Groups come through by the filter table, and all of them where asked."""
    with Rig(model, Recorder()) as rig:
        _expect_passes(rig, {}, {"a group": GROUP})
        rig.driver.set_filters(multicast=[GROUP])
        _expect_passes(rig, {"a group that is listed": GROUP}, {"another group": OTHER_GROUP})
        rig.driver.set_filters(all_multicast=True)
        _expect_passes(rig, {"any group": OTHER_GROUP}, {"another address": PEER})
    return "hash table, all multicast"


def _expect_passes(rig: Rig, passes: dict[str, bytes], stops: dict[str, bytes]) -> None:
    for name, address in (passes | stops).items():
        assert isinstance(rig.backend, Recorder)
        frame = _frame(rig, 100, to=address)
        rig.backend.deliver([frame])
        if name in passes:
            expect([f.data for f in rig.receive(1)] == [frame], f"a frame to {name} came in changed")
        else:
            expect(rig.nothing_comes(), f"a frame to {name} came through")


# ------------------------------------------------------------------------------------------------- VLAN


def check_vlan(model: str) -> str:
    """The card inserts tags and strips those that come in where it is told to; otherwise they pass as they are."""
    recorder = Recorder()
    with Rig(model, recorder) as rig:
        plain = _frame(rig, 100)
        tagged = plain[:12] + bytes.fromhex("8100 6007") + plain[12:]
        recorder.deliver([tagged])
        [received] = rig.receive(1)
        expect((received.data, received.vlan) == (tagged, None), "a tag was stripped with the offload off")
        rig.driver.set_vlan_offload(True)
        rig.driver.send(plain, vlan=0x6007)
        rig.driver.send(plain)
        expect(rig.sent(recorder, 2) == [tagged, plain], "a tag was not inserted as asked")
        recorder.deliver([tagged, plain])
        received, untagged = rig.receive(2)
        expect((received.data, received.vlan) == (plain, 0x6007), f"stripped tag is {received.vlan}; expected 0x6007")
        expect((untagged.data, untagged.vlan) == (plain, None), "a frame without a tag came in changed")
    return "insert, strip, pass"


def check_vlan_filter(model: str) -> str:
    """Only listed VLANs come through; untagged frames do."""
    recorder = Recorder()
    with Rig(model, recorder) as rig:
        rig.driver.set_filters(vlans=[7, 4094])
        plain = _frame(rig, 100)
        for identifier, passes in ((7, True), (4094, True), (8, False), (0, False)):
            tagged = plain[:12] + b"\x81\x00" + identifier.to_bytes(2, "big") + plain[12:]
            recorder.deliver([tagged])
            if passes:
                expect([f.data for f in rig.receive(1)] == [tagged], f"VLAN {identifier} came in changed")
            else:
                expect(rig.nothing_comes(), f"VLAN {identifier} came through")
        recorder.deliver([plain])
        expect([f.data for f in rig.receive(1)] == [plain], "an untagged frame came in changed")
    return "2 of 4 VLANs"


# ------------------------------------------------------------------------------------------------- offloads


def check_transmit_checksum(model: str) -> str:
    """Checksums that the card inserts are right on the wire."""
    recorder = Recorder()
    count = 0
    with Rig(model, recorder) as rig:
        for length in (1, 18, 19, 500, 1400):
            for name, packet in _packets(rig, length):
                rig.driver.send(packet, checksum=True)
                [sent] = rig.sent(recorder, 1)
                wrong = wire.check(sent)
                expect(not wrong, f"{name} with {length} bytes left with a wrong checksum: {', '.join(wrong)}")
                expect(sent[: len(packet)] == packet, f"{name} with {length} bytes left changed")
                count += 1
        versions = "IPv4 and IPv6" if "checksum6" in rig.driver.features else "IPv4"
    return f"{count} packets, TCP and UDP over {versions}"


def check_receive_checksum(model: str) -> str:
    """The card tells right checksums from wrong ones."""
    recorder = Recorder()
    count = 0
    with Rig(model, recorder) as rig:
        for name, packet in _packets(rig, 333):
            ip = True if "IPv4" in name else None
            broken = packet[:-1] + bytes([packet[-1] ^ 1])
            recorder.deliver([packet, broken])
            right, wrong = rig.receive(2)
            seen = right.ip_checksum, right.l4_checksum, wrong.ip_checksum, wrong.l4_checksum
            expect(seen == (ip, True, ip, False), f"{name}: reported {seen}; expected {(ip, True, ip, False)}")
            count += 2
        name, packet = next(_packets(rig, 333))
        recorder.deliver([packet[:22] + b"\x07" + packet[23:], _frame(rig, 100)])
        header, other = rig.receive(2)
        expect(header.ip_checksum is False, "a wrong IPv4 header checksum was not reported")
        expect((other.ip_checksum, other.l4_checksum) == (None, None), "checksums were reported of a frame without IP")
    return f"{count + 2} packets"


def check_segmentation(model: str) -> str:
    """The card cuts a large TCP packet into segments that add up to it."""
    recorder, details = Recorder(), []
    with Rig(model, recorder) as rig:
        versions = ["TCP/IPv4", "TCP/IPv6"] if "tso6" in rig.driver.features else ["TCP/IPv4"]
        for length, mss in ((20000, 1440), (1441, 1440), (1440, 1440), (65000 - 60, 536)):
            for name, packet in _packets(rig, length):
                if name in versions:
                    rig.driver.send(packet, mss=mss)
                    segments = rig.sent(recorder, -(-length // mss))
                    _expect_segments(name, packet, segments, mss)
                    details.append(len(segments))
    return f"{sum(details)} segments of {len(details)} packets, {', '.join(versions)}"


def _expect_segments(name: str, frame: bytes, segments: list[bytes], mss: int) -> None:
    whole = wire.parse(frame)
    assert whole is not None
    data, sequence = b"", int.from_bytes(frame[whole.transport + 4 : whole.transport + 8], "big")
    for number, segment in enumerate(segments):
        part = wire.parse(segment)
        expect(part is not None, f"{name}: segment {number} is no TCP packet")
        assert part is not None
        wrong = wire.check(segment)
        expect(not wrong, f"{name}: segment {number} has a wrong checksum: {', '.join(wrong)}")
        last = number == len(segments) - 1
        found = int.from_bytes(segment[part.transport + 4 : part.transport + 8], "big")
        expect(found == sequence + len(data), f"{name}: segment {number} has sequence number {found}")
        flags = segment[part.transport + 13]
        expect(flags == (0x18 if last else 0x10), f"{name}: segment {number} of {len(segments)} has flags {flags:#x}")
        expect(last or part.end - part.payload == mss, f"{name}: segment {number} has {part.end - part.payload} bytes")
        if part.version == 4:
            ident = int.from_bytes(segment[part.network + 4 : part.network + 6], "big")
            expect(ident == number, f"{name}: segment {number} has identification {ident}")
        data += segment[part.payload : part.end]
    expect(data == frame[whole.payload :], f"{name}: the segments do not add up to the packet")


# ------------------------------------------------------------------------------------------------- the rest


def check_interrupts(model: str) -> str:
    """The line follows enabled causes: sent and received frames, and link changes where the card has an interrupt for
    them; and nothing while they are masked."""
    with Rig(model, Loopback()) as rig:
        driver, nic = rig.driver, rig.nic
        driver.send(_frame(rig, 60))
        rig.receive(1)
        expect(not rig.lines and not nic.interrupt, "the line was asserted with all causes masked")
        driver.acknowledge()
        driver.enable_interrupts(True)
        driver.send(_frame(rig, 60))
        rig.receive(1)
        expect(nic.interrupt, "the line was not asserted for a frame")
        causes = driver.acknowledge()
        expect(causes >= {"rx", "tx"}, f"causes are {sorted(causes)}; expected rx and tx")
        expect(not nic.interrupt, "the line stayed asserted after its causes were taken")
        nic.set_link(False)
        if driver.link_interrupts:
            driver.wait(lambda: nic.interrupt, "interrupt for the link", 5.0)
            causes = driver.acknowledge()
            expect(causes == {"link"}, f"causes are {sorted(causes)}; expected link")
        driver.enable_interrupts(False)
        nic.set_link(True)
        driver.wait(driver.link_up, "link")
        expect(not nic.interrupt, "the line was asserted with all causes masked")
        expect(rig.lines[:2] == [True, False], f"the line went {rig.lines}; expected up and down")
    return "rx, tx, link, mask" if driver.link_interrupts else "rx, tx, mask"


def check_link(model: str) -> str:
    """Pulling the cable takes the link; a frame that is sent meanwhile leaves when it is back."""
    with Rig(model, Loopback()) as rig:
        rig.nic.set_link(False)
        if rig.driver.link_visible:
            rig.driver.wait(lambda: not rig.driver.link_up(), "loss of the link")
        rig.nic.set_link(True)
        rig.driver.wait(rig.driver.link_up, "link")
        frame = _frame(rig, 100)
        rig.driver.send(frame)
        expect([f.data for f in rig.receive(1)] == [frame], "a frame came back changed")
    return "down, up, frames again"


def check_eeprom(model: str) -> str:
    """The EEPROM reads the same in every way, its checksum is right, and it holds the address."""
    with Rig(model, Null(), mac="52:54:00:ab:cd:ef") as rig:
        rig.driver.check_eeprom()
        expect(rig.driver.mac.hex(":") == "52:54:00:ab:cd:ef", f"it holds the address {rig.driver.mac.hex(':')}")
    return "contents, checksum, address"


def check_phy(model: str) -> str:
    """The PHY says who it is, and negotiates a link after its reset."""
    with Rig(model, Null()) as rig:
        rig.driver.check_phy()
    return "identifiers, reset, negotiation"


def check_snapshot(model: str) -> str:
    """A card that is saved while it works goes on elsewhere, and saves to the same bytes."""
    recorder = Recorder()
    with Rig(model, recorder, profile="wire", clock=Clock.virtual()) as rig:
        incoming, outgoing = _frame(rig, 300), _frame(rig, 1000, to=PEER)
        recorder.deliver([incoming])
        rig.nic.poll()
        rig.driver.send(outgoing)
        saved = rig.nic.save()
        expect(not recorder.frames, "a frame left in no time")
        clock = Clock.virtual(rig.nic.clock.now)
        with create(model, memory=rig.nic.memory, profile="wire", clock=clock) as other:
            other.load(saved)
            expect(other.save() == saved, "the loaded card saves to other bytes")
            rig.nic.plug(None)
            other.plug(recorder)
            first, rig.driver.nic = rig.driver.nic, other
            expect(rig.sent(recorder, 1) == [outgoing], "the loaded card sent something else")
            expect([f.data for f in rig.receive(1)] == [incoming], "a frame that was under way came in changed")
            rig.driver.nic = first
            other.plug(None)
    return f"{len(saved) / 1024:.0f} KiB, equal after the round trip"


def check_user(model: str) -> str:
    """The card reaches the user network: ARP, a DHCP lease, and an echo from the gateway."""
    with Rig(model, User()) as rig:
        lease = _lease(rig)
        gateway = lease.router or lease.server
        rig.driver.send(wire.arp_request(rig.driver.mac, lease.address, gateway))
        address = _await(rig, "ARP reply", lambda data: wire.arp_reply_address(data, gateway))
        echo = wire.echo_request(0x6E69, 1, _payload(48))
        packet = wire.ipv4(lease.address, gateway, wire.ICMP, echo)
        rig.driver.send(wire.ethernet(address, rig.driver.mac, wire.IPV4, packet))
        _await(rig, f"echo from {gateway}", lambda data: wire.is_echo_reply(data, echo) or None)
    return f"DHCP gave {lease.address}, {gateway} answers ARP and ping"


def _lease(rig: Rig) -> wire.Lease:
    lease: wire.Lease
    rig.driver.send(wire.dhcp_message(rig.driver.mac, 0x6E696365))
    offer = _await(rig, "DHCP offer", lambda data: wire.dhcp_answer(data, 0x6E696365))
    rig.driver.send(wire.dhcp_message(rig.driver.mac, 0x6E696365, offer))
    lease = _await(rig, "DHCP answer to the request", lambda data: wire.dhcp_answer(data, 0x6E696365))
    expect(lease.kind == wire.ACK, f"the DHCP server answered with message {lease.kind}; expected ACK")
    return lease


def _await(rig: Rig, what: str, wanted: Callable[[bytes], Any]) -> Any:
    """What `wanted` makes of the first received frame for which it is not None."""
    found: list[Any] = []

    def came() -> bool:
        found.extend(answer for f in rig.driver.receive() if (answer := wanted(f.data)) is not None)
        return bool(found)

    rig.driver.wait(came, what, 3.0)
    return found[0]


CHECKS: Sequence[Check] = (
    Check("register resets", check_resets),
    Check("register access", check_access),
    Check("reset of a used card", check_reset_of_a_used_card),
    Check("frame sizes", check_sizes),
    Check("bursts", check_burst),
    Check("scattered buffers", check_buffers, "scatter"),
    Check("jumbo frames", check_jumbo, "jumbo"),
    Check("data sheet times", check_wire_profile),
    Check("address filters", check_filters),
    Check("multicast filter", check_multicast, "multicast"),
    Check("VLAN tags", check_vlan, "vlan"),
    Check("VLAN filter", check_vlan_filter, "vlan-filter"),
    Check("transmit checksums", check_transmit_checksum, "checksum"),
    Check("receive checksums", check_receive_checksum, "rx-checksum"),
    Check("segmentation", check_segmentation, "tso"),
    Check("interrupts", check_interrupts, "interrupts"),
    Check("link", check_link),
    Check("EEPROM", check_eeprom, "eeprom"),
    Check("PHY", check_phy, "phy"),
    Check("snapshot", check_snapshot),
    Check("user network", check_user),
)
