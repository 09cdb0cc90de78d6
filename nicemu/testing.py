"""Help for tests of drivers: a driver that breaks a rule of the data sheet fails its test.

>>> import nicemu
>>> from nicemu.testing import assert_no_findings, expect_finding
>>> nic = nicemu.create("e1000")
>>> assert_no_findings(nic)
>>> with expect_finding(nic, "e1000.tx.ring-unaligned") as found:
...     nic.bars[0].write(0x3800, 0x1008)  # TDBAL: not a multiple of 16
>>> hex(found[0].first)
'0x1008'
>>> assert_no_findings(nic)

With pytest there is also the fixture `no_findings` (see `nicemu.pytest_plugin`), which looks at the end of the test.

Both functions take what they look at out of `nic.findings`.  `python -m nicemu info rules MODEL` lists a card's rules.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from nicemu.errors import ConfigurationError
from nicemu.findings import Finding, Severity

if TYPE_CHECKING:
    from nicemu.core import Nic

__all__ = ["assert_no_findings", "expect_finding"]

SEVERITIES: tuple[Severity, ...] = ("note", "warning", "error")

#: Findings that `expect_finding` came upon without expecting them.
_unexpected: WeakKeyDictionary[Nic, list[Finding]] = WeakKeyDictionary()


def _check_rules(nic: Nic, patterns: Iterable[str]) -> list[str]:
    """The patterns; ConfigurationError for one that no rule of the card matches."""
    checked = [patterns] if isinstance(patterns, str) else list(patterns)
    for pattern in checked:
        if not any(fnmatchcase(rule.id, pattern) for rule in nic.RULES):
            raise ConfigurationError(
                f"{nic.MODEL} has no rule {pattern!r}; `python -m nicemu info rules {nic.MODEL}` lists them"
            )
    return checked


def _matches(finding: Finding, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(finding.id, pattern) for pattern in patterns)


def assert_no_findings(nic: Nic, *, allow: Iterable[str] = (), at_least: Severity = "note") -> None:
    """AssertionError, with what the data sheet asks, if the card's driver broke a rule since the last look.

    allow:    rules that may be broken: ids, or patterns such as "e1000.tx.*".
    at_least: the mildest severity that counts: "note" (all), "warning" or "error".
    Raises ConfigurationError for a pattern that no rule of the card matches, or another severity.
    """
    allowed = _check_rules(nic, allow)
    if at_least not in SEVERITIES:
        raise ConfigurationError(f"{at_least=}; expected one of {', '.join(SEVERITIES)}")
    counted = SEVERITIES[SEVERITIES.index(at_least) :]
    found = [*_unexpected.pop(nic, []), *nic.findings]
    broken = [f for f in found if f.rule.severity in counted and not _matches(f, allowed)]
    if broken:
        lines = "\n".join(f"  {f.time / 1e9:.9f} s  {f}" for f in broken)
        raise AssertionError(f"the driver of {nic.name} broke rules of the data sheet:\n{lines}")


@contextmanager
def expect_finding(nic: Nic, rule: str) -> Iterator[list[Finding]]:
    """The driver breaks `rule` (an id or a pattern) within the block; AssertionError if it does not.

    Yields a list that holds the findings of that rule after the block.  Others, and those from before the block, are
    left for the next `assert_no_findings`.
    Raises ConfigurationError if no rule of the card matches.
    """
    _check_rules(nic, [rule])
    others = _unexpected.setdefault(nic, [])
    others += nic.findings
    expected: list[Finding] = []
    try:
        yield expected
    finally:
        for finding in nic.findings:
            (expected if _matches(finding, [rule]) else others).append(finding)
    if not expected:
        seen = ", ".join(sorted({f.id for f in others})) or "none"
        raise AssertionError(f"the driver of {nic.name} did not break {rule}; findings: {seen}")
