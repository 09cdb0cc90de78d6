"""Cases: what kind of card, and the operations done to it, as Python literals in a file that can be read and edited.

An operation is a tuple, the name of one of `World`'s `op_` methods first:

    ("write", space, offset, value, size)     ("read", space, offset, size)     ("reads", space, offset, size, count)
    ("memory", address, hex)                  ("frames", [(hex of the front, length), ...], flags)
    ("advance", ns)     ("poll",)     ("link", up)     ("cable", plugged)     ("room", frames or None)
    ("reset", kind)     ("snapshot",)     ("migrate",)     ("unmap", region)     ("map", region)     ("truncate", bytes)
    ("disturb", what, frames)
    ("inside", "send", "irq", "read" or "write", [operations])
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from .families import family_of
from .world import OracleError, World

__all__ = ["CORPUS", "Case", "load"]

CORPUS = Path(__file__).parent / "corpus"


@dataclass(frozen=True)
class Case:
    """A model, the options of the card, operations.

    twin: run a second card of another past alongside, whose outputs must be the same.
    """

    model: str
    profile: str = "instant"
    overflow: str = ""
    seed: int = 0
    twin: bool = False
    operations: Sequence[tuple[Any, ...]] = field(default_factory=tuple)

    def world(self, *, clean: bool = True) -> World:
        """A fresh world for this case."""
        family = family_of(self.model)
        return World(family, self.model, profile=self.profile, overflow=self.overflow, seed=self.seed, clean=clean)

    def run(self) -> str:
        """Does the operations; returns the digest of what could be seen.  OracleError if something is wrong."""
        world = self.world()
        try:
            world.run(self.operations)
            digest = world.finish()
        finally:
            world.close()
        if self.twin:
            self._compare(world, digest)
        return digest

    def _compare(self, first: World, digest: str) -> None:
        second = self.world(clean=False)
        try:
            second.run(self.operations)
            other = second.finish()
        finally:
            second.close()
        if other != digest:
            raise OracleError(f"NOLEAK: the card's past shows {self._place(first, second)}")

    def _place(self, first: World, second: World) -> str:
        for operation, a, b in zip(self.operations, first.trail, second.trail, strict=True):
            if a != b:
                return f"at {operation!r}"
        parts = [name for name, left in first.left.items() if left != second.left[name]]
        return f"in the end, in {', '.join(parts)}"

    def without(self, begin: int, end: int) -> Case:
        """The case without operations [begin, end)."""
        return replace(self, operations=[*self.operations[:begin], *self.operations[end:]])

    def text(self, comment: str = "") -> str:
        """The case as the text of a file."""
        options = {"model": self.model, "profile": self.profile, "overflow": self.overflow, "seed": self.seed}
        lines = [f"# {line}" for line in comment.splitlines()]
        lines += [f"OPTIONS = {options | {'twin': self.twin}!r}", "OPERATIONS = ["]
        return "\n".join([*lines, *(f"    {operation!r}," for operation in self.operations), "]", ""])


def load(path: Path) -> Case:
    """Reads a case; KeyError or ValueError if the file holds none."""
    assigned = [node for node in ast.parse(path.read_text()).body if isinstance(node, ast.Assign)]
    found = {ast.unparse(node.targets[0]): ast.literal_eval(node.value) for node in assigned}
    return Case(**found["OPTIONS"], operations=found["OPERATIONS"])
