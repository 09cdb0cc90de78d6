"""What every test run here has in common, under tests and conformance."""

from __future__ import annotations

import gc
from collections.abc import Generator

import pytest

#: A test that does not run proves nothing: what a test is for is chosen when it is collected (tests/selection.py), and
#: what it needs is provided (conformance/provision.py).
REFUSED = "skipped: here a test runs, or it is not there"


def refuse_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Makes a failure of a report that is neither success nor failure."""
    if report.skipped:
        report.outcome = "failed"
        report.longrepr = f"{REFUSED}; {report.longrepr}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A test that skips itself, and one that is expected to fail."""
    report = yield
    refuse_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """A module that skips itself."""
    report = yield
    refuse_skip(report)
    return report


def pytest_collection_finish() -> None:
    """Tests collect garbage to see that nothing is left; the tests themselves need not be searched each time."""
    gc.collect()
    gc.freeze()
