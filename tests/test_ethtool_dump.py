"""Register dumps in the layout of Linux's drivers (conformance has the real ethtool decode them)."""

from __future__ import annotations

import struct

import pytest

import nicemu
from nicemu.backends import Null
from nicemu.core import Nic
from nicemu.errors import ConfigurationError


def test_e1000() -> None:
    with nicemu.create("e1000", backend=Null()) as nic:
        nic.bars[0].write(0x0000, 0x40)
        nic.bars[0].write(0x00D0, 4)  # IMS: the link's change waits in ICR, which reading clears
        before = nic.save()
        dump = nic.ethtool_dump()
        assert nic.save() == before, "a dump has no side effects"
        words = struct.unpack("=32I", dump.data)
        assert (dump.driver, dump.version) == ("e1000", 0x0102100E)
        assert words[:2] == (nic.regs.CTRL.value, nic.regs.STATUS.value)
        assert words[13] & 0x0C00 == 0x0C00, "PSSTAT: link up, resolved"
        assert words[26] == nic.regs.MANC.value


def test_yukon2() -> None:
    with nicemu.create("yukon2", backend=Null()) as nic:
        bar = nic.bars[0]
        bar.write(0x00C, 0xC000001D, 4)
        bar.write(0x190, 0x24, 1)
        bar.write(0x180, 0x1234, 4)  # what sky2 leaves out
        bar.write(0x158, 2, 1)
        bar.write(0x1C80, 5, 4)
        bar.read(0x01C, 4)  # enters the handler
        before = nic.save()
        dump = nic.ethtool_dump()
        assert nic.save() == before, "a dump has no side effects"
        assert (dump.driver, dump.version, len(dump.data)) == ("sky2", 1, 0x4000)
        skipped = [*range(0x080, 0x100), *range(0x180, 0x190), *range(0x280, 0x380), *range(0x2A80, 0x4000)]
        assert not any(dump.data[offset] for offset in skipped)
        bar.read(0x028, 4)
        for offset in (0x000, 0x004, 0x008, 0x100, 0x118, 0x190, 0x434, 0x6B4, 0xE80, 0xF04, 0x1C00, 0x1C2C, 0x1C80,
                       0x1CC0, 0x2804, 0x2880):  # fmt: skip
            assert int.from_bytes(dump.data[offset : offset + 4], "little") == bar.read(offset, 4), f"{offset:#x}"


def test_a_model_whose_driver_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    with nicemu.create("e1000") as nic, pytest.raises(ConfigurationError, match="of e1000 has no register dump"):
        Nic.ethtool_dump(nic)
