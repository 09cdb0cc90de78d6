"""Guest memory: regions, their edges, functions, and files that vanish under the card's hands."""

from __future__ import annotations

import mmap
import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from random import Random

import numpy as np
import pytest

import nicemu
from nicemu import ConfigurationError, GuestMemory
from nicemu.engine import lib

PAGE = mmap.PAGESIZE
TOP = 1 << 64


@pytest.fixture
def file() -> Iterator[int]:
    """A memory file of four pages: each byte is the number of its page."""
    fd = os.memfd_create("guest")
    os.write(fd, b"".join(bytes([n]) * PAGE for n in range(4)))
    yield fd
    os.close(fd)


def test_size_is_ram_at_zero() -> None:
    memory = GuestMemory(1 << 16)
    assert memory.regions == [(0, 1 << 16)]
    assert memory.read(0, 1 << 16) == bytes(1 << 16)
    memory.write(100, b"hello")
    assert memory.read(98, 9) == b"\0\0hello\0\0"
    assert bytes(memory.view(100, 5)) == b"hello"


@pytest.mark.parametrize("kind", [bytearray, lambda n: mmap.mmap(-1, n), lambda n: np.zeros(n, np.uint8)])
def test_buffers_are_used_in_place(kind: type[bytearray]) -> None:
    buffer = kind(256)
    memory = GuestMemory()
    memory.add(0x1000, buffer)
    memory.write(0x1010, b"from the guest")
    assert bytes(memoryview(buffer)[16:30]) == b"from the guest"
    buffer[32:35] = b"abc" if not isinstance(buffer, np.ndarray) else np.frombuffer(b"abc", np.uint8)
    assert memory.read(0x1020, 3) == b"abc"


def test_a_buffer_is_kept_while_it_is_mapped() -> None:
    memory = GuestMemory()
    memory.add(0, bytearray(b"kept" * 1000))
    assert memory.read(3996, 4) == b"kept"
    memory.remove(0, 4000)
    assert memory.regions == []


@pytest.mark.parametrize(
    ("address", "length"),
    [
        (0, 0),
        (TOP - 1, 2),
        (TOP - PAGE, 2 * PAGE),
        (0x1FFF, 1),
        (0x2FFF, 1),
        (0x1800, PAGE),
        (0x1000, PAGE),
        (0, 1 << 20),
    ],
)
def test_regions_that_cannot_be(address: int, length: int) -> None:
    """Empty, past the end of the address space, or over one that is there: from either side, inside, around."""
    memory = GuestMemory()
    memory.add(0x1000, bytearray(0x2000))
    with pytest.raises(ConfigurationError, match=r"overlaps|empty"):
        memory.add_functions(address, length, lambda a, n: bytes(n))
    assert memory.regions == [(0x1000, 0x2000)]
    assert memory.read(0x1000, 0x2000) == bytes(0x2000)


@pytest.mark.parametrize(
    ("address", "length"), [(0x1000, 0xFFF), (0x1001, 0xFFF), (0, 0x1000), (0x1000, 0), (0x1000, 0x2000)]
)
def test_only_whole_regions_are_removed(address: int, length: int) -> None:
    memory = GuestMemory()
    memory.add(0x1000, bytearray(0x1000))
    with pytest.raises(ConfigurationError, match="is not exactly one of the regions"):
        memory.remove(address, length)
    assert memory.read(0x1800, 1) == b"\0"


def test_accesses_span_regions_of_all_kinds(file: int) -> None:
    """One access may go from mapped memory through a file to functions; holes end it."""
    written: dict[int, bytes] = {}
    memory = GuestMemory()
    memory.add(0, bytearray(b"\x55" * PAGE))
    memory.add_fd(PAGE, 2 * PAGE, file, PAGE)
    memory.add_functions(3 * PAGE, PAGE, lambda a, n: bytes([0x77]) * n, written.__setitem__)
    assert memory.read(PAGE - 2, 2 * PAGE + 4) == b"\x55\x55" + b"\1" * PAGE + b"\2" * PAGE + b"\x77\x77"
    memory.write(PAGE - 1, b"\xee" * (2 * PAGE + 3))
    assert memory.read(PAGE - 1, 2) == b"\xee\xee"
    assert os.pread(file, 1, PAGE) == b"\xee"
    assert written == {3 * PAGE: b"\xee\xee"}
    for address, length in ((4 * PAGE - 1, 2), (4 * PAGE, 1), (TOP - 1, 1)):
        with pytest.raises(ConfigurationError, match="no guest memory to read"):
            memory.read(address, length)


def test_the_end_of_the_address_space() -> None:
    """What ends at 2**64 - 1 does not go on at 0."""
    memory = GuestMemory()
    memory.add(TOP - PAGE, bytearray(PAGE))
    memory.add(0, bytearray(PAGE))
    memory.write(TOP - 4, b"last")
    assert memory.read(TOP - 4, 4) == b"last"
    with pytest.raises(ConfigurationError):
        memory.read(TOP - 4, 5)
    with pytest.raises(ConfigurationError):
        memory.write(TOP - 4, b"last!")
    assert memory.read(0, 1) == b"\0"


def test_read_only_memory() -> None:
    memory = GuestMemory()
    memory.add(0, b"read only", writable=False)
    memory.add_functions(0x1000, 16, lambda a, n: bytes(n))
    memory.add_functions(0x2000, 16, None, lambda a, d: None)
    assert memory.read(0, 9) == b"read only"
    for address in (0, 0x1000):
        with pytest.raises(ConfigurationError, match="no guest memory to write"):
            memory.write(address, b"x")
    with pytest.raises(ConfigurationError, match="no guest memory to read"):
        memory.read(0x2000, 1)
    assert memory.read(0, 9) == b"read only"


def test_what_has_no_buffer_is_refused() -> None:
    memory = GuestMemory()
    for wrong in (object(), 7, "text"):
        with pytest.raises(TypeError):
            memory.add(0, wrong)
    with pytest.raises((TypeError, BufferError)):
        memory.add(0, b"cannot be written")
    assert memory.regions == []


@pytest.mark.parametrize("answer", [b"", b"x", bytes(17), "0123456789abcdef", None])
def test_functions_that_answer_wrongly(answer: object) -> None:
    """Not the bytes that were asked for: the access fails, and a type that is no bytes is the program's error."""
    memory = GuestMemory()
    memory.add_functions(0, 64, lambda a, n: answer)  # type: ignore[arg-type,return-value]
    with pytest.raises((ConfigurationError, TypeError)):
        memory.read(0, 16)


def test_exceptions_of_functions_surface_once() -> None:
    def read(address: int, length: int) -> bytes:
        raise KeyError(address)

    memory = GuestMemory()
    memory.add_functions(0, 64, read)
    with pytest.raises(KeyError, match="8"):
        memory.read(8, 1)
    memory.add(64, bytearray(64))
    assert memory.read(64, 1) == b"\0"


# ------------------------------------------------------------------------------------------------- files


@pytest.mark.parametrize(("offset", "length"), [(0, 4 * PAGE), (1, 10), (PAGE - 1, 2), (PAGE + 3, 3 * PAGE - 3)])
def test_files_at_any_offset(file: int, offset: int, length: int) -> None:
    memory = GuestMemory()
    memory.add_fd(0x5000, length, file, offset)
    assert memory.read(0x5000, length) == os.pread(file, length, offset)
    memory.write(0x5000, b"!")
    assert os.pread(file, 1, offset) == b"!"


@pytest.mark.parametrize(
    ("offset", "length"),
    [(0, 4 * PAGE + 1), (4 * PAGE, 1), (TOP - PAGE, PAGE), (1 << 63, PAGE), (PAGE, TOP - 2 * PAGE)],
)
def test_files_that_end_too_early(file: int, offset: int, length: int) -> None:
    memory = GuestMemory()
    with pytest.raises(ConfigurationError, match="lies beyond the end of its file"):
        memory.add_fd(0, length, file, offset)
    assert memory.regions == []


def test_descriptors_that_cannot_be_mapped(file: int) -> None:
    memory = GuestMemory()
    reader, writer = os.pipe()
    folder = os.open("/", os.O_RDONLY)
    for fd in (reader, writer, folder, -1, 9999):
        with pytest.raises(ConfigurationError, match="guest memory 0x0"):
            memory.add_fd(0, PAGE, fd)
    for fd in (reader, writer, folder):
        os.close(fd)
    assert memory.regions == []


def test_read_only_files(file: int) -> None:
    fd = os.open(f"/proc/self/fd/{file}", os.O_RDONLY)
    memory = GuestMemory()
    with pytest.raises(ConfigurationError):
        memory.add_fd(0, PAGE, fd)
    memory.add_fd(0, PAGE, fd, writable=False)
    assert memory.read(0, 1) == b"\0"
    with pytest.raises(ConfigurationError):
        memory.write(0, b"x")
    os.close(fd)


def test_a_truncated_file_costs_data_only(file: int) -> None:
    """SIGBUS: the missing pages read as 0, take writes, and are counted; what is left of the file is still there."""
    memory = GuestMemory()
    memory.add_fd(0, 4 * PAGE, file)
    before = memory.faults
    assert memory.read(2 * PAGE, 1) == b"\2"
    os.truncate(file, PAGE + 1)
    assert memory.read(0, 4 * PAGE) == bytes(PAGE) + b"\1" + bytes(3 * PAGE - 1)
    memory.write(3 * PAGE, b"into nothing")
    assert memory.read(3 * PAGE, 12) == b"into nothing"
    assert memory.faults == before + 2
    assert os.fstat(file).st_size == PAGE + 1
    memory.remove(0, 4 * PAGE)


def test_a_truncated_file_under_a_card(model: str, file: int) -> None:
    """The card's rings lie in a file that vanishes: the guest loses data, the process lives."""
    os.truncate(file, 1 << 20)
    memory = GuestMemory()
    memory.add_fd(0, 1 << 20, file)
    nic = nicemu.create(model, memory=memory, clock=nicemu.Clock.virtual())
    nic.config.write(4, 7, 2)
    os.truncate(file, 0)
    random = Random(1)
    for offset in range(0x2800, 0x3830, 4):
        nic.bars[0].write(offset, random.getrandbits(19))
    nic.poll()
    nic.reset()
    nic.close()


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=60)


PREAMBLE = """
import mmap, os, signal, sys
import nicemu
fd = os.memfd_create("x"); os.truncate(fd, 8192)
memory = nicemu.GuestMemory()
memory.add_fd(0, 8192, fd)
other = mmap.mmap(fd, 8192)
os.truncate(fd, 0)
"""


def test_sigbus_elsewhere_is_not_swallowed() -> None:
    """The handler repairs its own mappings only: another's fault ends the process as it would have."""
    result = run(PREAMBLE + "print(memory.read(0, 1), flush=True)\nother[0]\nprint('survived')")
    assert result.stdout == "b'\\x00'\n"
    assert result.returncode != 0


def test_a_handler_of_the_program_still_hears_of_sigbus() -> None:
    code = (
        """
import faulthandler
faulthandler.enable()
"""
        + PREAMBLE
        + "print(memory.read(0, 1), flush=True)\nother[0]"
    )
    result = run(code)
    assert result.stdout == "b'\\x00'\n"
    assert "Bus error" in result.stderr
    assert result.returncode != 0


def test_the_handler_goes_with_the_last_mapping() -> None:
    code = """
import ctypes, os, signal, nicemu
libc = ctypes.CDLL(None)
def action():
    old = (ctypes.c_uint64 * 64)()
    libc.sigaction(signal.SIGBUS, None, old)
    return old[0]
before = action()
memory = nicemu.GuestMemory()
fd = os.memfd_create("x"); os.truncate(fd, 8192)
for round in range(3):
    memory.add_fd(0, 4096, fd)
    memory.add_fd(4096, 4096, fd)
    assert action() != before
    memory.remove(0, 4096)
    assert action() != before
    memory.clear()
    assert action() == before
"""
    result = run(code)
    assert result.returncode == 0, result.stderr


def test_many_files(file: int) -> None:
    """As many mappings as the table of the SIGBUS handler holds; one more is refused, and nothing is lost by that."""
    memory = GuestMemory()
    count = 4000  # the table has 4096 places for the whole process
    for n in range(count):
        memory.add_fd(n * PAGE, PAGE, file, n % 4 * PAGE)
    with pytest.raises(ConfigurationError, match="Cannot allocate memory"):
        [memory.add_fd(n * PAGE, PAGE, file) for n in range(count, 4097)]
    assert count <= len(memory.regions) <= 4096
    assert [memory.read(n * PAGE, 1)[0] for n in range(0, count, 97)] == [n % 4 for n in range(0, count, 97)]
    memory.clear()
    memory.add_fd(0, PAGE, file)
    assert memory.read(0, 1) == b"\0"


# ------------------------------------------------------------------------------------------------- against a model


def test_against_a_plain_model() -> None:
    """Random regions and accesses, compared with a dictionary of bytes."""
    random = Random(4)
    memory, model = GuestMemory(), {}
    regions: dict[int, int] = {}
    for _ in range(4000):
        address, length = random.randrange(0, 3000), random.randrange(1, 200)
        kind = random.randrange(10)
        covered = [a in model for a in range(address, address + length)]
        if kind == 0:
            if any(covered):
                with pytest.raises(ConfigurationError):
                    memory.add(address, bytearray(length))
            else:
                memory.add(address, bytearray(length))
                regions[address] = length
                model |= dict.fromkeys(range(address, address + length), 0)
        elif kind == 1 and regions:
            address = random.choice(list(regions))
            memory.remove(address, regions[address])
            for a in range(address, address + regions.pop(address)):
                del model[a]
        elif kind < 6 and all(covered):
            data = random.randbytes(length)
            memory.write(address, data)
            model |= {address + i: byte for i, byte in enumerate(data)}
        elif all(covered):
            assert memory.read(address, length) == bytes(model[a] for a in range(address, address + length))
        else:
            with pytest.raises(ConfigurationError):
                memory.read(address, length)
        assert memory.regions == sorted(regions.items())
        assert lib.nic_memory_regions(memory.handle) == len(regions)
