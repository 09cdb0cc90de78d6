"""Quantities as options write them: times (`10ms`), rates (`10M`), sizes (`64k`)."""

from __future__ import annotations

import re

from nicemu.errors import ConfigurationError

__all__ = ["parse_rate", "parse_size", "parse_time"]

TIMES = {"ns": 1, "us": 10**3, "ms": 10**6, "s": 10**9}
RATES = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9}
SIZES = {"": 1, "k": 1 << 10, "M": 1 << 20, "G": 1 << 30}


def _parse(option: str, value: int | str, units: dict[str, int], what: str, most: int) -> int:
    if isinstance(value, int):
        amount = value
    else:
        match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([A-Za-z]*)", value)
        if not match or match[2] not in units:
            raise ConfigurationError(f"{option}={value} is not {what}")
        amount = round(float(match[1]) * units[match[2]])
    if not 0 <= amount <= most:
        raise ConfigurationError(f"{option}={value} is out of range; expected 0 to {most}")
    return amount


def parse_time(option: str, value: int | str) -> int:
    """Nanoseconds, from a number or a text such as `10ms` (ns, us, ms, s); ConfigurationError if it is neither."""
    return _parse(option, value, TIMES, "a time; expected one like 10ms, in ns, us, ms or s", 3600 * 10**9)


def parse_rate(option: str, value: int | str) -> int:
    """Bits per second, from a number or a text such as `10M` (k, M, G); ConfigurationError if it is neither."""
    return _parse(option, value, RATES, "a rate; expected bits per second like 10M, in k, M or G", 10**12)


def parse_size(option: str, value: int | str) -> int:
    """Bytes, from a number or a text such as `64k` (k, M, G: 1024 each); ConfigurationError if it is neither."""
    return _parse(option, value, SIZES, "a size; expected bytes like 64k, in k, M or G", 1 << 31)
