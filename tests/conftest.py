"""What all tests share."""

from __future__ import annotations

from collections.abc import Iterator

import hypothesis
import pytest

import nicemu

hypothesis.settings.register_profile("nicemu", deadline=None)  # what else the machine does is no matter here
hypothesis.settings.load_profile("nicemu")


@pytest.fixture(params=[info.name for info in nicemu.models()])
def model(request: pytest.FixtureRequest) -> str:
    """Every model in turn."""
    return str(request.param)


@pytest.fixture
def clock() -> nicemu.Clock:
    """A virtual clock at 0."""
    return nicemu.Clock.virtual()


@pytest.fixture(autouse=True)
def no_hook_raises() -> Iterator[None]:
    """No hook of a card may raise, whatever a test does to it: they are counted, and the log would hide them."""
    import logging

    raised: list[logging.LogRecord] = []

    class Collect(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            raised.append(record)

    handler = Collect(level=logging.ERROR)
    logging.getLogger("nicemu").addHandler(handler)
    yield
    logging.getLogger("nicemu").removeHandler(handler)
    assert not raised, [r.getMessage() + "\n" + (r.exc_text or "") for r in raised]
