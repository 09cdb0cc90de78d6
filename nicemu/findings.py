"""Findings: the rules of a data sheet that a driver broke.

A card lists its rules once, in its tables; the C engine reports a broken rule by its number (the generated header names
it), and Python turns that into a `Finding` that says what the data sheet asks and where.  A finding never changes what
the guest sees.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Finding", "Rule"]

Severity = Literal["error", "warning", "note"]


@dataclass(frozen=True)
class Rule:
    """One rule that a driver can break.

    id:       `card.part.what`, such as `e1000.tx.ring-unaligned`.
    severity: "error": hardware misbehaves or hangs; "warning": works by luck; "note": unusual.
    asks:     what the data sheet asks, as one sentence.
    section:  where it says so.
    first, second: what the two values of a report are; empty where unused.
    """

    id: str
    severity: Severity
    asks: str
    section: str
    first: str = ""
    second: str = ""

    @property
    def constant(self) -> str:
        """The rule's name in C: `e1000.tx.ring-unaligned` is E1000_FIND_TX_RING_UNALIGNED."""
        card, _, rest = self.id.partition(".")
        return f"{card}_FIND_{rest}".upper().replace(".", "_").replace("-", "_")


@dataclass(frozen=True)
class Finding:
    """One broken rule: when (ns on the card's clock), which, and the two values that the rule describes."""

    time: int
    rule: Rule
    first: int
    second: int

    @property
    def id(self) -> str:
        """The rule's id."""
        return self.rule.id

    def __str__(self) -> str:
        values = ", ".join(
            f"{name} = {value:#x}"
            for name, value in ((self.rule.first, self.first), (self.rule.second, self.second))
            if name
        )
        return f"{self.rule.severity}: {self.rule.id}: {self.rule.asks} ({self.rule.section})" + (
            f"; {values}" if values else ""
        )
