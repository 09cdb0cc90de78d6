"""The last thing that these tests look for."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fuzz.run import check_leaks


@pytest.fixture(scope="session", autouse=True)
def no_leaks() -> Iterator[None]:
    """With LeakSanitizer: whatever all tests before it did, the engine has lost no memory."""
    yield
    assert not check_leaks(), "memory is lost: LeakSanitizer's report is above"
