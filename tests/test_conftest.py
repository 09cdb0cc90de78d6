"""What the tests' own set-up promises: a skip is a failure."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

SKIPS = """
import pytest

def test_runs():
    pass

def test_skips():
    pytest.skip("not today")

@pytest.mark.skip
def test_is_marked():
    pass

@pytest.mark.xfail
def test_is_expected_to_fail():
    assert False

@pytest.fixture
def absent():
    pytest.skip("nothing here")

def test_needs_what_is_absent(absent):
    pass
"""


@pytest.fixture
def run(pytester: pytest.Pytester) -> pytest.Pytester:
    pytester.makeconftest((Path(__file__).parents[1] / "conftest.py").read_text())
    return pytester


def test_a_skip_is_a_failure(run: pytest.Pytester) -> None:
    run.makepyfile(SKIPS)
    result = run.runpytest_inprocess("-p", "no:cacheprovider")
    outcomes = result.parseoutcomes()
    assert outcomes.pop("passed") == 1
    assert sum(outcomes.values()) == 4
    assert set(outcomes) <= {"failed", "errors"}
    result.stdout.fnmatch_lines(["*skipped: here a test runs, or it is not there*not today*"])


def test_a_module_that_skips_itself_is_a_failure(run: pytest.Pytester) -> None:
    run.makepyfile("import pytest\npytest.skip('the whole module', allow_module_level=True)")
    result = run.runpytest_inprocess("-p", "no:cacheprovider")
    assert result.ret != 0
    assert result.parseoutcomes() == {"errors": 1}
