"""A wrapper that copies a wire's traffic to a second wire."""

from __future__ import annotations

from typing import Any

from nicemu.backends.base import Backend, Wrapper, WrapperType
from nicemu.engine import lib
from nicemu.errors import ConfigurationError
from nicemu.options import Option

__all__ = ["WRAPPERS", "Tee"]


class Tee(Wrapper):
    """Copies what passes over `lower`, both ways, to `copy`: the mirror port of a switch.

    What `copy` cannot take waits in a queue of 256 KiB; beyond that copies are lost and counted (`lost`), and the
    traffic itself never waits.  Frames that `copy` brings go nowhere (`ignored`).  Closing it closes both wires.

    Raises ConfigurationError if one of the wires is in use.
    """

    kind = "tee"

    def __init__(self, lower: Backend, copy: Backend, *, name: str = "") -> None:
        for wire in (lower, copy):
            if wire.in_use or lower is copy:
                raise ConfigurationError(f"{wire.name} is already in use; expected two wires that nothing has")
        super().__init__(lib.nic_tee_new(copy.handle), lower, name)
        self.copy = copy

    @property
    def lost(self) -> int:
        """Copies that the second wire had no room for."""
        return int(lib.nic_tee_mirror_counters(self.handle).send_drops)

    @property
    def ignored(self) -> int:
        """Frames that the second wire brought."""
        return int(lib.nic_tee_mirror_counters(self.handle).receive_drops)

    def close(self) -> None:
        """Closes both wires."""
        super().close()
        self.copy.close()


def _make(lower: Backend, *, outdev: Backend, **options: Any) -> Wrapper:
    return Tee(lower, outdev, **options)


WRAPPERS = (
    WrapperType(
        "tee",
        "copy what passes, both ways, to a second netdev",
        (Option("outdev", "netdev", "the netdev that gets the copies", required=True),),
        _make,
    ),
)
