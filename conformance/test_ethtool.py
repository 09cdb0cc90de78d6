"""`ethtool -d` understands what our cards dump: names, values and the meaning of bits."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

import pytest

import nicemu
from nicemu.core import Nic

from .ethtool import decode


@dataclass(frozen=True)
class Decoded:
    """What ethtool must say of a model's dump once `writes` (BAR, offset, value, size) were done.

    registers: by the name that ethtool prints, the register of ours whose value it must be.
    words: patterns of lines that say what bits mean.
    """

    model: str
    writes: tuple[tuple[int, int, int, int], ...]
    registers: dict[str, str]
    words: tuple[str, ...]
    options: dict[str, str] = field(default_factory=dict)


CARDS = [
    Decoded(
        "e1000",
        (
            (0, 0x000, 0x241, 4),
            (0, 0x100, 0x0402801A, 4),
            (0, 0x400, 0x0103F0FA, 4),
            (0, 0x2808, 4096, 4),
            (0, 0x3818, 17, 4),
        ),
        {
            "0x00000: CTRL": "CTRL",
            "0x00008: STATUS": "STATUS",
            "0x00100: RCTL": "RCTL",
            "0x02808: RDLEN": "RDLEN",
            "0x00400: TCTL": "TCTL",
            "0x03818: TDT": "TDT",
        },
        (
            r"Receive buffer size: +512",
            r"Link up: +link config",
            r"Receiver: +enabled",
            r"Unicast promiscuous: +enabled",
            r"Multicast promiscuous: +enabled",
            r"Broadcast accept mode: +accept",
            r"Transmitter: +enabled",
            r"Pad short packets: +enabled",
            r"PHY type: +M88",
        ),
    ),
    Decoded(
        "yukon2",
        (
            (0, 0x00C, 0xC000001D, 4),
            (0, 0x014, 0x2E003F3F, 4),
            (0, 0xC4C, 0x187B, 2),
            (0, 0xE84, 2047, 2),
            (0, 0xE88, 0x12340, 4),
            (0, 0xEAC, 0x10, 1),
            (0, 0x434, 0x16, 4),
            (0, 0x434, 0xD28, 4),
            (0, 0x450, 0x2, 4),
            (0, 0x450, 0x8, 4),
            (0, 0x454, 1023, 2),
            (0, 0xF00, 0x2, 1),
        ),
        {
            "Interrupt Mask": "B0_IMSK",
            "Interrupt Hardware Error Mask": "B0_HWE_IMSK",
            "GMAC control": "GMAC_CTRL",
            "GPHY control": "GPHY_CTRL",
            "FIFO Flush Mask": "RX_GMF_FL_MSK",
        },
        (
            r"(?m)^00: ab 11 80 43 ",
            r"Addr 1 +52 54 00 12 34 56",
            r"PMD type +0x54 \(T\)",
            r"Chip Id +0xBA Yukon Ultra 2 \(rev 0\)",
            r"Status Prefetch\nControl +0x\w+\nLast Index +2047\nStart Address +0x0000000000012340\n",
            r"Receive 1 Prefetch\nControl +0x0000000A\nLast Index +1023\n",
            r"\tWatermark +0x10\n",
            r"Receive Queue 1\n-+\n",
            r"Sync Transmit Queue 1 \(disabled\)",
        ),
    ),
    Decoded(
        "yukon2",
        ((0, 0x00C, 0xC000001D, 4),),
        {"Interrupt Mask": "B0_IMSK"},
        (r"(?m)^00: ab 11 64 43 ", r"Chip Id +0xB4 Yukon-2 EC Ultra \(rev 3\)"),
        {"chip": "88e8056"},
    ),
]


@pytest.mark.parametrize("card", CARDS, ids=lambda card: "-".join((card.model, *card.options.values())))
def test_ethtool_decodes(card: Decoded, tmp_path: Path) -> None:
    with nicemu.create(card.model, backend=nicemu.backends.Null(), **card.options) as nic:
        for bar, offset, value, size in card.writes:
            nic.bars[bar].write(offset, value, size)
        before = nic.save()
        text = decode(nic.ethtool_dump(), tmp_path)
        assert nic.save() == before, "a dump has no side effects"
        expect(text, card, nic)


def expect(text: str, card: Decoded, nic: Nic) -> None:
    for printed, ours in card.registers.items():
        found = re.search(rf"^{re.escape(printed)} .*?0x([0-9A-F]+)$", text, re.MULTILINE | re.IGNORECASE)
        assert found, f"ethtool shows no {printed}:\n{text}"
        assert int(found[1], 16) == getattr(nic.regs, ours).value, printed
    for pattern in card.words:
        assert re.search(pattern, text), f"ethtool does not say {pattern!r}:\n{text}"
