"""The pytest plugin: the fixture `no_findings`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from nicemu.core import Nic
    from nicemu.findings import Severity

__all__ = ["no_findings"]


@pytest.fixture
def no_findings() -> Iterator[Callable[..., Nic]]:
    """A function that has a card watched until it is closed or the test ends: its driver must not break a rule.

    `nic = no_findings(nicemu.create("e1000"), allow=["e1000.tx.runt"])`: returns the card; further arguments are those
    of `nicemu.testing.assert_no_findings`.
    """
    from nicemu.testing import assert_no_findings

    watches: list[Callable[[], None]] = []
    failures: list[str] = []

    def watch(nic: Nic, *, allow: Sequence[str] = (), at_least: Severity = "note") -> Nic:
        assert_no_findings(nic, allow=allow, at_least=at_least)  # says at once what is wrong with the arguments

        def look() -> None:
            watches.remove(look)
            nic.closers.remove(look)
            try:
                assert_no_findings(nic, allow=allow, at_least=at_least)
            except AssertionError as failure:
                failures.append(str(failure))

        watches.append(look)
        nic.closers.append(look)
        return nic

    yield watch
    while watches:
        watches[0]()
    if failures:
        pytest.fail("\n".join(failures), pytrace=False)
