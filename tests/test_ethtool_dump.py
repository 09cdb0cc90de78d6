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


def test_a_model_whose_driver_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    with nicemu.create("e1000") as nic, pytest.raises(ConfigurationError, match="of e1000 has no register dump"):
        Nic.ethtool_dump(nic)
