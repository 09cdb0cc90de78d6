"""What tests of drivers get: `nicemu.testing` and the pytest plugin."""

from __future__ import annotations

import doctest
from collections.abc import Iterator

import pytest

import nicemu
import nicemu.testing
from nicemu.testing import assert_no_findings, expect_finding

pytest_plugins = ["pytester"]

TDBAL, RDBAL = 0x3800, 0x2800
UNALIGNED = "e1000.tx.ring-unaligned"


@pytest.fixture
def nic() -> Iterator[nicemu.Nic]:
    with nicemu.create("e1000") as card:
        yield card


def break_rule(nic: nicemu.Nic, register: int = TDBAL) -> None:
    nic.bars[0].write(register, 0x1008)


def test_the_example_of_the_module() -> None:
    assert doctest.testmod(nicemu.testing).attempted > 5
    assert doctest.testmod(nicemu.testing).failed == 0


def test_a_driver_that_keeps_all_rules(nic: nicemu.Nic) -> None:
    nic.bars[0].write(TDBAL, 0x1000)
    assert_no_findings(nic)


def test_a_broken_rule_is_told_in_words(nic: nicemu.Nic) -> None:
    break_rule(nic)
    break_rule(nic, RDBAL)
    with pytest.raises(AssertionError) as raised:
        assert_no_findings(nic)
    assert "multiple of 16 (8254x SDM 13.4.36); TDBAL written = 0x1008" in str(raised.value)
    assert "e1000.rx.ring-unaligned" in str(raised.value)
    assert_no_findings(nic)  # each is told once


def test_allowed_rules(nic: nicemu.Nic) -> None:
    for allow in ([UNALIGNED], ["e1000.tx.*"], UNALIGNED):
        break_rule(nic)
        assert_no_findings(nic, allow=allow)
    break_rule(nic)
    break_rule(nic, RDBAL)
    with pytest.raises(AssertionError) as raised:
        assert_no_findings(nic, allow=[UNALIGNED])
    assert UNALIGNED not in str(raised.value)


def test_severity(nic: nicemu.Nic) -> None:
    nic.bars[0].read(0x0004)  # no register: a warning
    assert_no_findings(nic, at_least="error")
    nic.bars[0].read(0x0004)
    with pytest.raises(AssertionError, match=r"access\.unmapped"):
        assert_no_findings(nic, at_least="warning")
    with pytest.raises(nicemu.ConfigurationError, match="expected one of note, warning, error"):
        assert_no_findings(nic, at_least="fatal")  # type: ignore[arg-type]


@pytest.mark.parametrize("rule", ["e1000.tx.none", "tx.ring-unaligned", "rtl8139.*"])
def test_rules_that_are_not_there(nic: nicemu.Nic, rule: str) -> None:
    with pytest.raises(nicemu.ConfigurationError, match="has no rule"):
        assert_no_findings(nic, allow=[rule])
    with pytest.raises(nicemu.ConfigurationError, match="has no rule"), expect_finding(nic, rule):
        pass


def test_an_expected_finding(nic: nicemu.Nic) -> None:
    with expect_finding(nic, UNALIGNED) as found:
        break_rule(nic)
        break_rule(nic)
    assert [(f.id, f.first) for f in found] == [(UNALIGNED, 0x1008)] * 2
    assert_no_findings(nic)


def test_an_expected_finding_that_does_not_come(nic: nicemu.Nic) -> None:
    break_rule(nic)  # before the block: does not count
    with pytest.raises(AssertionError, match=r"did not break e1000\.tx\.ring-unaligned; findings: e1000\.rx"):  # noqa: SIM117
        with expect_finding(nic, UNALIGNED):
            break_rule(nic, RDBAL)
    with pytest.raises(AssertionError) as raised:
        assert_no_findings(nic)
    assert UNALIGNED in str(raised.value)
    assert "e1000.rx.ring-unaligned" in str(raised.value)


def test_what_fails_in_the_block_is_not_hidden(nic: nicemu.Nic) -> None:
    with pytest.raises(ZeroDivisionError), expect_finding(nic, UNALIGNED):
        raise ZeroDivisionError


def test_a_full_store_of_findings_still_tells(nic: nicemu.Nic) -> None:
    for _ in range(1000):
        break_rule(nic)
    with expect_finding(nic, "e1000.rx.*"):
        break_rule(nic, RDBAL)
    with pytest.raises(AssertionError, match=UNALIGNED):
        assert_no_findings(nic)


# ------------------------------------------------------------------ the fixture

DRIVER = """
import nicemu, pytest

def write(nic, value):
    nic.bars[0].write(0x3800, value)

def test_good(no_findings):
    write(no_findings(nicemu.create("e1000")), 0x1000)

def test_bad(no_findings):
    write(no_findings(nicemu.create("e1000")), 0x1008)

def test_bad_and_closed(no_findings):
    with no_findings(nicemu.create("e1000")) as nic:
        write(nic, 0x1008)

def test_allowed(no_findings):
    write(no_findings(nicemu.create("e1000"), allow=["e1000.tx.*"]), 0x1008)

def test_closed(no_findings):
    no_findings(nicemu.create("e1000")).close()

def test_wrong_name(no_findings):
    with pytest.raises(nicemu.ConfigurationError):
        no_findings(nicemu.create("e1000"), allow=["e1000.none"])
"""


def test_the_fixture(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(DRIVER)
    result = pytester.runpytest_inprocess("-p", "no:cacheprovider")
    result.assert_outcomes(passed=6, errors=2)  # found at the end of a test that passed
    result.stdout.fnmatch_lines(["*error: e1000.tx.ring-unaligned: The ring begins at a multiple of 16*"])
    assert not [line for line in result.outlines if "test_good" in line and "ERROR" in line]
