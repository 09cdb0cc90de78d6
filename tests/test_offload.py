"""Checksums, CRC and hashes of csrc/offload.c against independent definitions."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nicemu.engine import ffi, lib


def ones_sum(data: bytes) -> int:
    """RFC 1071 word by word."""
    data += b"\0" * (len(data) & 1)
    total = sum(data[i] << 8 | data[i + 1] for i in range(0, len(data), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def crc_bit_by_bit(data: bytes, *, big: bool) -> int:
    """IEEE 802.3 3.2.9 as a shift register, without the final inversion."""
    register = 0xFFFFFFFF
    for byte in data:
        for bit in range(8):
            carry = (register >> 31) ^ (byte >> bit & 1)
            register = (register << 1 & 0xFFFFFFFF) ^ (0x04C11DB7 if carry else 0)
    return register if big else int(f"{register:032b}"[::-1], 2)


@given(st.binary(max_size=600), st.integers(0, 64))
def test_checksum_of_any_data_in_any_pieces(data: bytes, piece: int) -> None:
    assert lib.nic_checksum(data, len(data), piece) == ones_sum(data)


@pytest.mark.parametrize("length", [127, 128, 129, 4096, 65535, 1 << 21, (1 << 21) + 3])
@pytest.mark.parametrize("byte", [0x00, 0x01, 0xFF])
def test_checksum_of_long_runs_has_no_lost_carry(length: int, byte: int) -> None:
    data = bytes([byte]) * length
    assert lib.nic_checksum(data, length, 0) == ones_sum(data)


def test_checksum_at_every_alignment() -> None:
    buffer = ffi.new("uint8_t[]", bytes(range(1, 255)))
    for first in range(17):
        for length in range(0, 200, 7):
            expected = ones_sum(bytes(ffi.buffer(buffer + first, length)))
            assert lib.nic_checksum(buffer + first, length, 0) == expected


def test_example_of_rfc_1071() -> None:
    data = bytes.fromhex("0001f203f4f5f6f7")
    assert lib.nic_checksum(data, len(data), 0) == 0xDDF2


@given(st.binary(max_size=2000), st.integers(0, 2000))
def test_crc_is_that_of_zlib_also_in_two_parts(data: bytes, cut: int) -> None:
    head, tail = data[:cut], data[cut:]
    crc = lib.nic_crc32(lib.nic_crc32(0, head, len(head)), tail, len(tail))
    assert crc == zlib.crc32(data)


@pytest.mark.parametrize("length", range(0, 300))
def test_crc_of_every_length(length: int) -> None:
    data = bytes((7 * i + length) & 0xFF for i in range(length))
    assert lib.nic_crc32(0, data, length) == zlib.crc32(data)


def test_crc_of_a_good_frame_is_the_residue() -> None:
    frame = bytes(range(60))
    frame += zlib.crc32(frame).to_bytes(4, "little")
    assert lib.nic_crc32(0, frame, len(frame)) == 0x2144DF1C


@given(st.binary(min_size=6, max_size=6))
def test_address_hashes_are_the_crc_register(address: bytes) -> None:
    assert lib.nic_hash_little(address) == crc_bit_by_bit(address, big=False)
    assert lib.nic_hash_big(address) == crc_bit_by_bit(address, big=True)
