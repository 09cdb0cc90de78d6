"""The cards: which there are, and making one by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from nicemu.errors import ConfigurationError

if TYPE_CHECKING:
    from nicemu.core import Nic

__all__ = ["MODELS", "ModelInfo", "create", "find_class", "models"]


@dataclass(frozen=True)
class ModelInfo:
    """What can be told of a model without loading it."""

    name: str
    description: str
    bus: str
    module: str
    class_name: str
    aliases: tuple[str, ...] = ()


#: Every model by its QEMU name.
MODELS: Mapping[str, ModelInfo] = {
    "e1000": ModelInfo(
        "e1000", "Intel 82540EM Gigabit Ethernet", "PCI", "nicemu.devices.e1000", "E1000", ("e1000-82540em",)
    ),
    "ne1k_isa": ModelInfo(
        "ne1k_isa", "Novell NE1000, 8-bit ISA", "ISA", "nicemu.devices.ne2000", "NE1000", ("ne1000",)
    ),
    "ne2k_isa": ModelInfo(
        "ne2k_isa", "Novell NE2000, 16-bit ISA", "ISA", "nicemu.devices.ne2000", "NE2000", ("ne2000",)
    ),
    "ne2k_pci": ModelInfo(
        "ne2k_pci",
        "Realtek RTL8029AS, NE2000 for PCI",
        "PCI",
        "nicemu.devices.ne2000",
        "RTL8029AS",
        ("rtl8029", "rtl8029as"),
    ),
    "pcnet": ModelInfo(
        "pcnet", "AMD Am79C970A PCnet-PCI II Ethernet", "PCI", "nicemu.devices.pcnet", "PCnet", ("am79c970a",)
    ),
    "pcnet-fast3": ModelInfo(
        "pcnet-fast3",
        "AMD Am79C973 PCnet-FAST III Fast Ethernet",
        "PCI",
        "nicemu.devices.pcnet",
        "PCnetFast3",
        ("am79c973",),
    ),
    "rtl8019as": ModelInfo(
        "rtl8019as",
        "Realtek RTL8019AS, NE2000 for 16-bit ISA",
        "ISA",
        "nicemu.devices.ne2000",
        "RTL8019AS",
        ("rtl8019",),
    ),
    "rtl8139": ModelInfo(
        "rtl8139", "Realtek RTL8139C+ Fast Ethernet", "PCI", "nicemu.devices.rtl8139", "RTL8139", ("rtl8139cp",)
    ),
    "rtl8139c": ModelInfo(
        "rtl8139c", "Realtek RTL8139C Fast Ethernet", "PCI", "nicemu.devices.rtl8139", "RTL8139C", ("rtl8139too",)
    ),
    "yukon2": ModelInfo(
        "yukon2",
        "Marvell 88E8057 (Yukon Ultra 2) Gigabit Ethernet",
        "PCIe",
        "nicemu.devices.yukon2",
        "Yukon2",
        ("sky2", "88e8057"),
    ),
}


def models() -> list[ModelInfo]:
    """Every model, by name."""
    return [MODELS[name] for name in sorted(MODELS)]


def find_class(name: str) -> type[Nic]:
    """The class of the model with this name or alias; ConfigurationError with the known names if there is none."""
    for info in MODELS.values():
        if name == info.name or name in info.aliases:
            found: type[Nic] = getattr(import_module(info.module), info.class_name)
            return found
    raise ConfigurationError(f"no model {name!r}; expected one of {', '.join(sorted(MODELS))}")


def create(model: str, **options: Any) -> Nic:
    """Makes a card.

    model: a name or alias of `models()`.
    options, all by keyword:
      mac       individual address, `52:54:00:12:34:56`
      memory    GuestMemory that the card's DMA reaches; without one DMA reaches nothing
      backend   the wire (`nicemu.backends`); without one no cable is plugged in
      clock     Clock; the machine's monotonic clock by default
      loop      Loop to share with other cards
      irq       called with the level of the INTx pin when it changes
      msi       called when a message signalled interrupt is sent
      profile   "instant", "wire" (data sheet times on the clock) or "chaos" (allowed orders and delays by seed)
      overflow  "drop" (silicon) or "hold" (lossless); by default what the backend asks for
      seed      fills what the data sheet leaves undefined, and drives chaos
      name      for messages and monitors
      romfile   a PCI expansion ROM (iPXE); None: no ROM BAR
      decode    True: enable memory and I/O decoding as firmware would (bus mastering stays with the driver)
    and the model's own (`python -m nicemu info e1000`).

    Raises ConfigurationError for an unknown model or a bad value, TypeError for an unknown option.
    """
    return find_class(model)(**options)
