"""The vfio-user server with clients that mean well: QEMU's and cloud-hypervisor's habits, interrupts, DMA, sockets."""

from __future__ import annotations

import array
import errno
import fcntl
import gc
import logging
import os
import select
import socket
import stat
import struct
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import vfio_client as vfio
from vfio_client import CONFIG, Client
from vfio_served import Served, open_fds, served, serving

import nicemu
from nicemu.backends import Null
from nicemu.errors import ConfigurationError
from nicemu.hosts import HostError
from nicemu.hosts.vfio_user import Server, version_reply

__all__ = ["served"]

# Registers of the 82540EM (8254x SDM 13.4).
STATUS, ICR, ICS, IMS, IMC, MTA = 0x0008, 0x00C0, 0x00C8, 0x00D0, 0x00D8, 0x5200
TCTL, TDBAL, TDBAH, TDLEN, TDH, TDT = 0x0400, 0x3800, 0x3804, 0x3808, 0x3810, 0x3818
CAUSE = 1 << 4  # RXDMT0
OTHER_CAUSE = 1 << 6  # RXO
TRIGGER, MASK, UNMASK = 0x24, 0x9, 0x11  # eventfd|trigger, none|mask, none|unmask
RESAMPLE = 0x14  # eventfd|unmask
DISABLE = 0x21


# ------------------------------------------------------------------------------------------------- negotiation


def test_version_reply_of_qemu_is_short_and_a_subset(served: Served) -> None:
    with Client(served.path) as client:
        request = vfio.version(vfio.QEMU_CAPABILITIES, minor=0)
        reply = client.request(vfio.VERSION, request)
        assert reply.errno == 0
        assert len(reply.payload) <= len(request)
        text = b'{"capabilities":{"max_msg_fds":16,"max_data_xfer_size":1048576}}\0'
        assert reply.payload == struct.pack("=HH", 0, 0) + text


@pytest.mark.parametrize("length", range(4, 120))
def test_version_reply_never_exceeds_the_request(length: int) -> None:
    reply = version_reply(7, {"max_msg_fds": 8, "max_data_xfer_size": 4096, "write_multiple": True}, length, True)
    assert len(reply) <= length
    assert reply[:4] == struct.pack("=HH", 0, 1)
    assert reply[4:] == b"" or reply.endswith(b"}}\0")


def test_write_multiple_is_offered_only_on_request(tmp_path: Path) -> None:
    with serving(tmp_path / "s", write_multiple=True) as served, Client(served.path) as client:
        assert b'"write_multiple":true' in client.negotiate().payload


def test_version_without_capabilities(served: Served) -> None:
    with Client(served.path) as client:
        assert client.negotiate(None).payload == struct.pack("=HH", 0, 1)
        assert client.read(CONFIG, 0) == 0x100E8086


def test_device_regions_and_interrupts(served: Served) -> None:
    with served.client() as client:
        info = client.request(vfio.GET_INFO, struct.pack("=IIII", 16, 0, 0, 0))
        assert struct.unpack("=IIII", info.payload) == (16, 3, 9, 5)
        spaces = {number: space.size for number, space in served.nic.bars.items()} | {7: 256}
        for index in range(9):
            reply = client.request(vfio.GET_REGION_INFO, struct.pack("=IIIIQQ", 32, 0, index, 0, 0, 0))
            size = spaces.get(index, 0)
            expected = (32, 3 if size else 0, index, 0, size, 0)
            assert struct.unpack("=IIIIQQ", reply.payload) == expected
        msi = any(id == 5 for id, _ in client.capabilities())
        kinds = {0: (7, 1), 1: (9, 1) if msi else (0, 0), 2: (0, 0), 3: (0, 0), 4: (0, 0)}
        for index, (flags, count) in kinds.items():
            reply = client.request(vfio.GET_IRQ_INFO, struct.pack("=IIII", 16, 0, index, 0))
            assert struct.unpack("=IIII", reply.payload) == (16, flags, index, count)


def test_replies_carry_id_command_and_order(served: Served) -> None:
    with served.client() as client:
        read = vfio.access(CONFIG, 0, 4)
        client.send(b"".join(vfio.command(vfio.REGION_READ, read, id=id) for id in (9, 9, 0, 0xFFFF, 3)))
        assert [client.receive().id for _ in range(5)] == [9, 9, 0, 0xFFFF, 3]


# ------------------------------------------------------------------------------------------------- regions


def test_configuration_space_in_one_read(served: Served) -> None:
    with served.client() as client:
        whole = client.read(CONFIG, 0, 256).to_bytes(256, "little")
        pieces = b"".join(client.read(CONFIG, at, 1).to_bytes(1, "little") for at in range(256))
        assert whole == pieces
        assert whole[:4] == bytes.fromhex("86800e10")


@pytest.mark.parametrize("posted", [False, True])
def test_register_write_and_read(served: Served, posted: bool) -> None:
    with served.client() as client:
        client.write(0, MTA, 0x12345678, posted=posted)
        client.write(0, MTA + 4, 0x9ABCDEF0, posted=posted)
        assert client.read(0, MTA) == 0x12345678
        assert client.read(0, MTA, 8) == 0x9ABCDEF0_12345678
        client.write(0, MTA, 0x1111111122222222, 8, posted=posted)
        assert client.read(0, MTA + 4) == 0x11111111


def test_io_window(served: Served) -> None:
    bar = next(number for number, space in served.nic.bars.items() if space.table.name == "io")
    with served.client() as client:
        client.write(bar, 0, MTA + 8)
        client.write(bar, 4, 0xCAFE0001)
        assert client.read(0, MTA + 8) == 0xCAFE0001


@pytest.mark.parametrize("count", [1, 2, 3, 5, 6, 7, 12, 31])
def test_odd_counts_are_cut_at_natural_boundaries(served: Served, count: int) -> None:
    with served.client() as client:
        whole = client.read(CONFIG, 0, 64).to_bytes(64, "little")
        for offset in range(64 - count):
            assert client.read(CONFIG, offset, count).to_bytes(count, "little") == whole[offset : offset + count]


def test_write_multi(served: Served) -> None:
    with served.client() as client:
        writes = [(MTA + 4 * i, 0x1000 + i) for i in range(50)]
        body = b"".join(vfio.access(0, at, 4, value.to_bytes(8, "little")) for at, value in writes)
        reply = client.request(vfio.REGION_WRITE_MULTI, struct.pack("=Q", 50) + body)
        assert (reply.errno, reply.payload) == (0, struct.pack("=Q", 50))
        assert [client.read(0, at) for at, _ in writes] == [value for _, value in writes]


def test_reset_clears_and_keeps_serving(served: Served) -> None:
    with served.client() as client:
        client.write(0, IMS, CAUSE)
        assert client.request(vfio.DEVICE_RESET).errno == 0
        assert client.read(CONFIG, 4, 2) == 0
        client.write(CONFIG, 4, 7, 2)
        assert client.read(0, IMS) == 0


def test_region_accesses_never_enter_python(served: Served) -> None:
    with served.client() as client:
        before = served.counters()
        for _ in range(100):
            client.write(0, MTA, 1, posted=True)
            client.read(0, MTA)
        after = served.counters()
    assert after["python_requests"] == before["python_requests"]
    assert after["region_reads"] - before["region_reads"] == 100
    assert after["region_writes"] - before["region_writes"] == 100


# ------------------------------------------------------------------------------------------------- interrupts


class Event:
    """An eventfd of a client."""

    def __init__(self) -> None:
        self.fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)

    def fired(self, wait: float = 0.0) -> int:
        """How often it was signalled since the last look."""
        if not select.select([self.fd], [], [], wait)[0]:
            return 0
        return os.eventfd_read(self.fd)


@pytest.fixture
def event() -> Iterator[Event]:
    e = Event()
    yield e
    os.close(e.fd)


@pytest.fixture
def resample() -> Iterator[Event]:
    e = Event()
    yield e
    os.close(e.fd)


def raise_cause(client: Client, cause: int) -> None:
    client.write(0, ICS, cause, posted=True)
    client.read(0, STATUS)  # a read behind a posted write: the write is done


def test_intx_masks_itself_until_unmasked(served: Served, event: Event) -> None:
    with served.client() as client:
        assert client.set_irqs(TRIGGER, 0, 0, 1, fds=[event.fd]) == 0
        client.write(0, IMS, CAUSE | OTHER_CAUSE)
        assert event.fired() == 0
        raise_cause(client, CAUSE)
        assert event.fired() == 1
        raise_cause(client, OTHER_CAUSE)
        assert event.fired() == 0, "masked since it fired"
        assert client.set_irqs(UNMASK, 0, 0, 1) == 0
        assert event.fired() == 1, "the line is still high"
        assert client.set_irqs(UNMASK, 0, 0, 1) == 0
        assert event.fired() == 1
        assert client.read(0, ICR) & (CAUSE | OTHER_CAUSE) == CAUSE | OTHER_CAUSE
        assert client.set_irqs(UNMASK, 0, 0, 1) == 0
        assert event.fired() == 0, "the line is low"
        raise_cause(client, CAUSE)
        assert event.fired() == 1


def test_mask_holds_an_interrupt_back(served: Served, event: Event) -> None:
    with served.client() as client:
        client.set_irqs(TRIGGER, 0, 0, 1, fds=[event.fd])
        client.write(0, IMS, CAUSE)
        assert client.set_irqs(MASK, 0, 0, 1) == 0
        raise_cause(client, CAUSE)
        assert event.fired() == 0
        assert client.set_irqs(0x12, 0, 0, 1, data=b"\0") == 0, "a false boolean unmasks nothing"
        assert event.fired() == 0
        assert client.set_irqs(0x12, 0, 0, 1, data=b"\1") == 0
        assert event.fired() == 1


def test_kvm_resampling(served: Served, event: Event, resample: Event) -> None:
    """KVM's order: trigger, mask, its resample descriptor, unmask; it writes to the latter at the guest's EOI."""
    with served.client() as client:
        assert client.set_irqs(TRIGGER, 0, 0, 1, fds=[event.fd]) == 0
        assert client.set_irqs(MASK, 0, 0, 1) == 0
        assert client.set_irqs(RESAMPLE, 0, 0, 1, fds=[resample.fd]) == 0
        assert client.set_irqs(UNMASK, 0, 0, 1) == 0
        client.write(0, IMS, CAUSE | OTHER_CAUSE)
        raise_cause(client, CAUSE)
        assert event.fired() == 1
        raise_cause(client, OTHER_CAUSE)
        assert event.fired() == 0
        os.eventfd_write(resample.fd, 1)
        assert event.fired(wait=5) == 1, "two causes, one served: fired again at the end of the first"
        client.read(0, ICR)
        os.eventfd_write(resample.fd, 1)
        served.wait_until(lambda: resample.fired() == 0)
        client.read(0, STATUS)
        assert event.fired() == 0
        assert client.set_irqs(RESAMPLE, 0, 0, 1) == 0, "taken away"
        raise_cause(client, CAUSE)
        assert event.fired() == 1
        os.eventfd_write(resample.fd, 1)
        client.read(0, STATUS)
        assert event.fired(wait=0.05) == 0
        assert resample.fired() == 1, "nobody reads it any more"


def test_disabled_and_replaced_eventfds(served: Served, event: Event, resample: Event) -> None:
    with served.client() as client:
        client.set_irqs(TRIGGER, 0, 0, 1, fds=[event.fd])
        client.write(0, IMS, CAUSE)
        assert client.set_irqs(DISABLE, 0, 0, 0) == 0
        raise_cause(client, CAUSE)
        assert event.fired() == 0
        assert client.set_irqs(TRIGGER, 0, 0, 1, fds=[resample.fd]) == 0
        assert (event.fired(), resample.fired()) == (0, 1), "the line was high when it was set"
        assert client.set_irqs(TRIGGER, 0, 0, 1) == 0
        client.read(0, ICR)
        raise_cause(client, CAUSE)
        assert (event.fired(), resample.fired()) == (0, 0)


def test_msi(served: Served, event: Event, resample: Event) -> None:
    with served.client() as client:
        msi = dict(client.capabilities())[5]
        client.set_irqs(TRIGGER, 0, 0, 1, fds=[resample.fd])
        assert client.set_irqs(TRIGGER, 1, 0, 1, fds=[event.fd]) == 0
        client.write(CONFIG, msi + 2, 1, 2)
        client.write(0, IMS, CAUSE)
        raise_cause(client, CAUSE)
        assert (event.fired(), resample.fired()) == (1, 0)
        client.read(0, ICR)
        raise_cause(client, CAUSE)
        assert (event.fired(), resample.fired()) == (1, 0), "no automatic mask"


def test_client_triggers_for_a_test(served: Served, event: Event) -> None:
    with served.client() as client:
        client.set_irqs(TRIGGER, 0, 0, 1, fds=[event.fd])
        assert client.set_irqs(DISABLE, 0, 0, 1) == 0
        assert event.fired() == 1
        assert client.set_irqs(0x22, 0, 0, 1, data=b"\0") == 0
        assert event.fired() == 0
        assert client.set_irqs(0x22, 0, 0, 1, data=b"\1") == 0
        assert event.fired() == 1


def test_a_full_eventfd_blocks_nobody(served: Served, event: Event) -> None:
    os.set_blocking(event.fd, True)
    os.eventfd_write(event.fd, 2**64 - 2)
    with served.client() as client:
        client.set_irqs(TRIGGER, 0, 0, 1, fds=[event.fd])
        client.write(0, IMS, CAUSE)
        raise_cause(client, CAUSE)
        assert client.read(CONFIG, 0) == 0x100E8086


# ------------------------------------------------------------------------------------------------- mapped memory


@pytest.fixture
def ram() -> Iterator[int]:
    """A memfd of 64 KiB."""
    fd = os.memfd_create("ram")
    os.ftruncate(fd, 65536)
    yield fd
    os.close(fd)


def test_mapped_memory(served: Served, ram: int) -> None:
    memory = served.nic.memory
    os.pwrite(ram, b"hello", 0x2000)
    with served.client() as client:
        assert client.map(0x100000, 0x4000, ram, offset=0x2000) == 0
        assert served.call(lambda: memory.read(0x100000, 5)) == b"hello"
        served.call(lambda: memory.write(0x100010, b"card"))
        assert os.pread(ram, 4, 0x2010) == b"card"
        assert client.map(0x200000, 0x1000, ram, flags=1) == 0
        with pytest.raises(ConfigurationError):
            served.call(lambda: memory.write(0x200000, b"x"))
        assert served.call(lambda: served.server.maps) == [(0x100000, 0x4000), (0x200000, 0x1000)]
        assert client.unmap(0x100000, 0x4000) == 0
        with pytest.raises(ConfigurationError):
            served.call(lambda: memory.read(0x100000, 1))
    served.wait_idle()
    assert served.call(lambda: served.server.maps) == []
    with pytest.raises(ConfigurationError):
        served.call(lambda: memory.read(0x200000, 1))


def test_unmap_all(served: Served, ram: int) -> None:
    with served.client() as client:
        for i in range(5):
            assert client.map(i << 20, 0x1000, ram if i & 1 else None) == 0
        assert client.unmap(0, 0, flags=2) == 0
        assert served.call(lambda: served.server.maps) == []
        assert client.map(0, 0x1000, ram) == 0


def transmit(client: Client, ring: int, count: int) -> None:
    """Gives the card `count` legacy descriptors at `ring` (8254x SDM 3.3.3, 14.5)."""
    client.write(0, TDBAL, ring, posted=True)
    client.write(0, TDBAH, 0, posted=True)
    client.write(0, TDLEN, 128, posted=True)
    client.write(0, TDH, 0, posted=True)
    client.write(0, TCTL, 1 << 1 | 1 << 3, posted=True)
    client.write(0, TDT, count, posted=True)


def descriptor(address: int, length: int) -> bytes:
    """A legacy transmit descriptor: end of packet, insert FCS, report status."""
    return struct.pack("<QHBBBBH", address, length, 0, 0x0B, 0, 0, 0)


def test_transmit_from_mapped_memory(served: Served, ram: int) -> None:
    os.pwrite(ram, b"".join(descriptor(0x1000 + 0x100 * i, 60) for i in range(3)), 0)
    served.call(lambda: served.nic.plug(Null()))
    with served.client() as client:
        client.map(0, 65536, ram)
        client.write(0, 0, 0x40, posted=True)  # CTRL.SLU
        transmit(client, 0, 3)
        served.wait_until(lambda: served.nic.counters["port_sent_frames"] == 3)
        assert client.read(0, TDH) == 3
    assert [os.pread(ram, 1, 16 * i + 12)[0] & 1 for i in range(3)] == [1, 1, 1], "DD"


# ------------------------------------------------------------------------------------------------- DMA by message


class Ram:
    """Memory of a client that the server cannot map."""

    def __init__(self, size: int) -> None:
        self.bytes = bytearray(size)

    def __call__(self, command: int, address: int, count: int, data: bytes) -> bytes | int:
        if address + count > len(self.bytes):
            return errno.EFAULT
        if command == vfio.DMA_READ:
            return bytes(self.bytes[address : address + count])
        assert len(data) == count
        self.bytes[address : address + count] = data
        return b""


def serve_call(served: Served, client: Client, function: object) -> object:
    """Runs a function in the card's thread while the client answers its DMA messages."""
    future = served.start_call(function)  # type: ignore[arg-type]
    client.serve_until(future.done)
    return future.result()


def test_message_dma(served: Served) -> None:
    memory = served.nic.memory
    with served.client() as client:
        client.on_dma = ram = Ram(65536)
        ram.bytes[0x1000:0x1005] = b"hello"
        assert client.map(0, 65536) == 0
        assert serve_call(served, client, lambda: memory.read(0x1000, 5)) == b"hello"
        serve_call(served, client, lambda: memory.write(0x2000, b"card"))
        assert ram.bytes[0x2000:0x2004] == b"card"
        probe, *rest = client.dma_log
        assert probe == (vfio.DMA_READ, 0x1000, 0x100000001), "the layout is probed once"
        assert rest == [(vfio.DMA_READ, 0x1000, 5), (vfio.DMA_WRITE, 0x2000, 4)]


def test_message_dma_respects_the_client_s_limit(served: Served) -> None:
    with Client(served.path) as client:
        client.negotiate({"max_data_xfer_size": 4096})
        client.on_dma = ram = Ram(65536)
        ram.bytes[:] = bytes(range(256)) * 256
        client.map(0, 65536)
        assert serve_call(served, client, lambda: served.nic.memory.read(0x10, 10000)) == bytes(ram.bytes[0x10:10016])
        assert [count for _, _, count in client.dma_log[1:]] == [4096, 4096, 1808]


def test_transmit_by_message(served: Served) -> None:
    """The doorbell is answered before the card reads memory, and register reads are answered while it does."""
    served.call(lambda: served.nic.plug(Null()))
    with served.client() as client:
        client.on_dma = ram = Ram(65536)
        ram.bytes[0:48] = b"".join(descriptor(0x1000 + 0x100 * i, 60) for i in range(3))
        client.map(0, 65536)
        client.write(0, 0, 0x40)
        transmit(client, 0, 0)
        client.write(0, TDT, 3)  # awaited: its reply comes first
        while client.read(0, TDH) != 3:
            pass
        client.serve_until(lambda: all(ram.bytes[16 * i + 12] & 1 for i in range(3)))
        served.wait_until(lambda: served.nic.counters["port_sent_frames"] == 3)
        assert served.counters()["dma_refused"] == 0


@pytest.mark.parametrize("body", [b"", struct.pack("=QI", 0x2000, 4), struct.pack("=QQ", 0x2000, 4)])
def test_dma_write_replies_of_every_length(served: Served, body: bytes) -> None:
    """QEMU 11.1 answers with 32 bytes, older ones with 16, the specification's table makes 28."""
    with served.client() as client:
        client.map(0, 65536)
        future = served.start_call(lambda: served.nic.memory.write(0x2000, b"card"))
        client.answer(client.receive(), error=errno.E2BIG)
        client.answer(client.receive(), body)
        assert future.result(5) is None


def test_the_shifted_layout_is_refused(served: Served, caplog: pytest.LogCaptureFixture) -> None:
    """QEMU 10.1 to 11.0: the count is 32 bits wide, so the probe succeeds with one byte of data at 28."""
    with caplog.at_level(logging.WARNING, "nicemu"), served.client() as client:
        client.map(0, 65536)
        future = served.start_call(lambda: served.nic.memory.write(0x2000, b"card"))
        probe = client.receive()
        assert struct.unpack_from("=QI", probe.payload) == (0x2000, 1)
        client.answer(probe, struct.pack("=QI", 0x2000, 1) + b"\xaa" + bytes(4))
        with pytest.raises(ConfigurationError):
            future.result(5)
        with pytest.raises(ConfigurationError):
            served.call(lambda: served.nic.memory.read(0x2000, 4))
        assert "share=on" in caplog.text
        assert len(caplog.records) == 1
        assert served.counters()["dma_refused"] == 2
        assert client.read(CONFIG, 0) == 0x100E8086, "everything else works"


def test_the_shifted_layout_shows_in_the_count(served: Served, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "nicemu"), served.client() as client:
        client.map(0, 65536)
        future = served.start_call(lambda: served.nic.memory.read(0x2000, 8))
        client.answer(client.receive(), error=errno.ENODEV)
        request = client.receive()
        client.answer(request, struct.pack("=QI", 0x2000, 8) + b"\x01\x02\x03\x04\x05\x06\x07\x08" + bytes(4))
        with pytest.raises(ConfigurationError):
            future.result(5)
        assert "share=on" in caplog.text


# ------------------------------------------------------------------------------------------------- cloud-hypervisor


def test_failures_have_the_body_that_cloud_hypervisor_reads(served: Served) -> None:
    with served.client() as client:
        for region, offset, count in ((3, 0, 4), (8, 0, 8), (7, 256, 4)):
            reply = client.request(vfio.REGION_READ, vfio.access(region, offset, count))
            assert reply.errno == errno.EINVAL
            assert reply.payload == vfio.access(region, offset, count) + b"\xff" * count
        reply = client.request(vfio.REGION_WRITE, vfio.access(3, 0, 4, bytes(4)))
        assert (reply.errno, reply.payload) == (errno.EINVAL, vfio.access(3, 0, 4))
        reply = client.request(vfio.DMA_UNMAP, vfio.dma_unmap(0x1000, 0x1000))
        assert (reply.errno, reply.payload) == (errno.ENOENT, vfio.dma_unmap(0x1000, 0x1000))


def test_argsz_of_cloud_hypervisor(served: Served) -> None:
    with served.client() as client:
        assert client.request(vfio.GET_INFO, struct.pack("=IIII", 32, 0, 0, 0)).payload[:4] == struct.pack("=I", 16)


# ------------------------------------------------------------------------------------------------- sessions and sockets


def test_state_outlives_the_client(served: Served, event: Event) -> None:
    fds = open_fds()
    with served.client() as client:
        client.write(0, MTA, 0x600DCAFE)
        client.set_irqs(TRIGGER, 0, 0, 1, fds=[event.fd])
        client.map(0, 65536)
    served.wait_idle()
    assert open_fds() == fds
    assert served.call(lambda: served.server.maps) == []
    with served.client() as client:
        assert client.read(0, MTA) == 0x600DCAFE
        client.write(0, IMS, CAUSE)
        raise_cause(client, CAUSE)
        assert event.fired() == 0, "the eventfd went with its client"


def test_second_client_is_refused(served: Served) -> None:
    with served.client() as first:
        with Client(served.path) as second:
            assert second.closed_by_server()
        assert first.read(CONFIG, 0) == 0x100E8086
        assert served.counters()["refused_connections"] == 1
    served.check_alive()


def test_callbacks_tell_of_clients(tmp_path: Path) -> None:
    told: list[str] = []
    with serving(tmp_path / "s", on_connect=lambda: told.append("on"), on_disconnect=told.append) as served:
        served.check_alive()
    assert told == ["on", "it closed the connection"]


def test_socket_file(tmp_path: Path) -> None:
    path = tmp_path / "nic.sock"
    with serving(path) as served:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        with pytest.raises(HostError, match="another program"), nicemu.create("e1000") as nic:
            Server(nic, socket_path=path)
        served.check_alive()
    assert not path.exists()


def test_a_stale_socket_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "nic.sock"
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(path))
    assert path.exists()
    with serving(path) as served:
        served.check_alive()


def test_a_removed_or_replaced_socket_file_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "nic.sock"
    with serving(path):
        path.unlink()
        path.write_text("mine")
    assert path.read_text() == "mine"


@pytest.mark.parametrize("kind", ["file", "directory"])
def test_other_files_are_never_replaced(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "nic.sock"
    if kind == "file":
        path.touch()
    else:
        path.mkdir()
    with pytest.raises(HostError, match="no socket"), nicemu.create("e1000") as nic:
        Server(nic, socket_path=path)
    assert path.exists()


@pytest.mark.parametrize("name", ["x" * 200, "", "a\0b"])
def test_impossible_paths(tmp_path: Path, name: str) -> None:
    path = str(tmp_path / name) if name else ""
    with pytest.raises(HostError, match="expected 1 to 107"), nicemu.create("e1000") as nic:
        Server(nic, socket_path=path)


def test_paths_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(HostError, match="cannot listen"), nicemu.create("e1000") as nic:
        Server(nic, socket_path=tmp_path / "nowhere" / "nic.sock")


def test_arguments_that_make_no_sense(tmp_path: Path) -> None:
    with nicemu.create("e1000") as nic, (tmp_path / "file").open("w") as file:
        for options in ({}, {"socket_path": "x", "fd": 3}, {"fd": file.fileno()}, {"fd": 9999}, {"fd": -1}):
            with pytest.raises(ConfigurationError):
                Server(nic, **options)  # type: ignore[arg-type]
        for options in ({"spin_us": -1}, {"dma_timeout": 0}):
            with pytest.raises(ConfigurationError):
                Server(nic, socket_path=tmp_path / "s", **options)  # type: ignore[arg-type]
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as datagrams, pytest.raises(ConfigurationError):
            Server(nic, fd=datagrams.fileno())
    with nicemu.create("e1000", memory=nicemu.GuestMemory(4096)) as nic, pytest.raises(ConfigurationError):
        Server(nic, socket_path=tmp_path / "s")


@pytest.mark.parametrize("listening", [True, False])
def test_inherited_descriptor(tmp_path: Path, listening: bool) -> None:
    path = tmp_path / "given.sock"
    fds = open_fds()
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()
    client = Client(path)
    given = listener if listening else listener.accept()[0]
    nic = nicemu.create("e1000")
    server = Server(nic, fd=given.detach())
    client.send(vfio.command(vfio.VERSION, vfio.version()))
    for _ in range(3):
        nic.loop.turn(0.1)
    assert client.receive().errno == 0
    client.close()
    for _ in range(3):
        nic.loop.turn(0.01)
    assert not server.connected
    server.close()
    nic.close()
    del nic, server
    listener.close()
    assert open_fds() <= fds + 1  # the loop's own descriptor may live until it is collected


def test_server_closes_with_a_client_there(served: Served) -> None:
    with served.client() as client:
        client.map(0, 65536)
        served.call(served.server.close)
        assert client.closed_by_server()
        with pytest.raises(ConfigurationError):
            _ = served.server.counters


def test_closing_the_card_closes_its_server(tmp_path: Path) -> None:
    nic = nicemu.create("e1000")
    server = Server(nic, socket_path=tmp_path / "s")
    with Client(tmp_path / "s") as client:
        nic.loop.turn(0.1)
        assert server.connected
        nic.close()
        assert not server.connected
        assert client.closed_by_server()
    assert not (tmp_path / "s").exists()
    nic.loop.turn(0)
    server.close()


def test_server_closed_from_its_own_callback(tmp_path: Path) -> None:
    served = Served(tmp_path / "s", on_disconnect=lambda why: served.server.close())
    with served.client() as client:
        client.map(0, 65536)
    served.wait_until(lambda: served.server.handle is None)
    served.stop()


def test_a_child_inherits_nothing(served: Served, event: Event, resample: Event, ram: int) -> None:
    """Every descriptor of the server, those of the client included, is closed on exec."""
    gc.collect()  # what other tests left open does not close in between
    before = set(os.listdir("/proc/self/fd"))
    with served.client() as client:
        client.set_irqs(TRIGGER, 0, 0, 1, fds=[event.fd])
        client.set_irqs(RESAMPLE, 0, 0, 1, fds=[resample.fd])
        client.map(0, 65536, ram)
        opened = set(os.listdir("/proc/self/fd")) - before
        assert len(opened) >= 4  # two ends of the connection, two eventfds
        assert [fd for fd in opened if fd_exists(int(fd)) and not fcntl.fcntl(int(fd), fcntl.F_GETFD)] == []
    loop, listener = (fd for fd in (served.nic.fileno(), listener_of(served)))
    assert fcntl.fcntl(loop, fcntl.F_GETFD)
    assert fcntl.fcntl(listener, fcntl.F_GETFD)


def fd_exists(fd: int) -> bool:
    return os.path.exists(f"/proc/self/fd/{fd}")


def listener_of(served: Served) -> int:
    """The server's listening socket."""
    for fd in map(int, os.listdir("/proc/self/fd")):
        if fd_exists(fd) and stat.S_ISSOCK(os.fstat(fd).st_mode):
            with socket.socket(fileno=os.dup(fd)) as candidate:
                named = candidate.family == socket.AF_UNIX and candidate.getsockname() == str(served.path)
                if named and candidate.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                    return fd
    raise AssertionError("no socket listens")


def test_two_servers_share_a_loop(tmp_path: Path) -> None:
    loop = nicemu.Loop()
    nics = [nicemu.create("e1000", loop=loop) for _ in range(2)]
    servers = [Server(nic, socket_path=tmp_path / f"{i}.sock") for i, nic in enumerate(nics)]
    clients = [Client(tmp_path / f"{i}.sock") for i in range(2)]
    for client in clients:
        client.send(vfio.command(vfio.VERSION, vfio.version()))
    end = time.monotonic() + 30
    while sum(server.counters["python_requests"] for server in servers) < 2:
        assert time.monotonic() < end
        loop.turn(0.01)
    assert [client.receive().errno for client in clients] == [0, 0]
    for thing in (*clients, *servers, *nics):
        thing.close()


def test_file_descriptors_of_coalesced_messages(served: Served, ram: int, event: Event) -> None:
    """Each of several messages gets its own descriptor, however the server's reads fall."""
    with served.client() as client:
        client.send(vfio.command(vfio.REGION_READ, vfio.access(CONFIG, 0, 4), id=1))
        client.send(vfio.command(vfio.DMA_MAP, vfio.dma_map(0, 0x1000), id=2), [ram])
        client.send(vfio.command(vfio.DMA_MAP, vfio.dma_map(0x10000, 0x1000), id=3))
        client.send(vfio.command(vfio.SET_IRQS, vfio.irqs(TRIGGER), id=4), [event.fd])
        client.send(vfio.command(vfio.DMA_MAP, vfio.dma_map(0x20000, 0x1000), id=5), [ram])
        client.send(vfio.command(vfio.REGION_READ, vfio.access(CONFIG, 0, 4), id=6))
        assert [client.receive().errno for _ in range(6)] == [0] * 6
        os.pwrite(ram, b"shared", 0)
        assert served.call(lambda: served.nic.memory.read(0, 6)) == b"shared"
        assert served.call(lambda: served.nic.memory.read(0x20000, 6)) == b"shared"
        client.on_dma = Ram(1 << 20)
        assert serve_call(served, client, lambda: served.nic.memory.read(0x10000, 6)) == bytes(6)
        assert served.counters()["stray_fds"] == 0
        client.set_irqs(DISABLE, 0, 0, 1)
        assert event.fired() == 1


def test_descriptors_go_with_the_last_message_of_one_send(served: Served, ram: int) -> None:
    with served.client() as client:
        message = vfio.command(vfio.GET_INFO, struct.pack("=IIII", 16, 0, 0, 0), id=1)
        message += vfio.command(vfio.DMA_MAP, vfio.dma_map(0, 0x1000), id=2)
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [ram]))]
        client.socket.sendmsg([message], rights)
        assert [client.receive().errno for _ in range(2)] == [0, 0]
        os.pwrite(ram, b"shared", 0)
        assert served.call(lambda: served.nic.memory.read(0, 6)) == b"shared"


def test_register_read_benchmark(served: Served, benchmark: object) -> None:
    with served.client() as client:
        message = vfio.command(vfio.REGION_READ, vfio.access(0, STATUS, 4))

        def read() -> None:
            client.socket.send(message)
            assert len(client.socket.recv(64)) == 36

        benchmark(read)  # type: ignore[operator]
