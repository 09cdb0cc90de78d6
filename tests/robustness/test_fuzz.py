"""G20 random operations by seed, G21 pasts that must not show, the corpus, and the fuzzer's own alertness."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from fuzz.cases import CORPUS, Case, load
from fuzz.generate import generate
from fuzz.minimise import minimise
from fuzz.run import run_all, run_case
from fuzz.world import OracleError
from measure import repeat

from nicemu.engine import lib

FILES = sorted(CORPUS.glob("*.py"))


def test_there_is_a_corpus() -> None:
    assert FILES


@pytest.mark.timeout(120, method="thread")
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_corpus(path: Path) -> None:
    """What once failed, and what was thought of: each with the oracles, and beside a card of another past."""
    load(path).run()
    replace(load(path), twin=True).run()


@pytest.mark.timeout(600, method="thread")
def test_seeds(model: str) -> None:
    """A few cases; the fuzzer runs far more of them (`python -m tests.fuzz`)."""
    seeds = range(repeat(24, 200))
    results = list(run_all(lambda seed: generate(seed, 600, [model]), seeds, time.monotonic() + 500))
    assert [seed for seed, _ in results] == list(seeds)
    assert [(seed, result) for seed, result in results if result.kind] == []


def test_equal_seeds_make_equal_cases(model: str) -> None:
    for seed in range(5):
        case = generate(seed, 300, [model])
        assert case == generate(seed, 300, [model])
        assert case.run() == case.run()


def test_files_hold_what_was_written(tmp_path: Path) -> None:
    case = generate(1, 100)
    path = tmp_path / "case.py"
    path.write_text(case.text("what it\nshows"))
    assert load(path) == case


# ------------------------------------------------------------------------------------------------- its own alertness


@dataclass(frozen=True)
class Bad(Case):
    """A case whose operations are real, and that goes wrong if one of them is a write to offset 0x77777."""

    how: str = ""

    def run(self) -> str:
        digest = super().run()
        if any(operation[:3] == ("write", 0, 0x77777) for operation in self.operations):
            getattr(self, self.how)()
        return digest

    def raises(self) -> None:
        raise LookupError("planted")

    def violates(self) -> None:
        raise OracleError("NOWRITE: planted")

    def hangs(self) -> None:
        time.sleep(1000)

    def crashes(self) -> None:
        os.kill(os.getpid(), signal.SIGSEGV)

    def ends(self) -> None:
        os._exit(0)


def bad(how: str, model: str) -> Bad:
    case = generate(3, 120, [model])
    operations = [*case.operations[:100], ("write", 0, 0x77777, 1, 4), *case.operations[100:]]
    return Bad(model, operations=operations, how=how)


KINDS = {
    "raises": "LookupError in test_fuzz.py:raises",
    "violates": "NOWRITE",
    "hangs": "BOUND",
    "crashes": f"exit status {int(signal.SIGSEGV)}",
    "ends": "exit status 0",
}


@pytest.mark.parametrize("how", list(KINDS))
def test_failures_of_all_kinds_are_results(model: str, how: str) -> None:
    result = run_case(bad(how, model), 1.0 if how == "hangs" else 60.0)
    assert result.kind.split(" of ")[0] == KINDS[how] or (how == "crashes" and "SEGV" in result.kind), result


def test_the_seed_of_a_failure_is_told(model: str) -> None:
    """And the others of its batch are run all the same."""
    results = dict(
        run_all(
            lambda seed: bad("crashes", model) if seed == 5 else generate(seed, 30, [model]),
            range(9),
            time.monotonic() + 60,
        )
    )
    assert list(results) == list(range(9))
    assert [seed for seed, result in results.items() if result.kind] == [5]


def test_a_failing_case_is_made_small(model: str) -> None:
    small = minimise(bad("violates", model), "NOWRITE", say=lambda text: None)
    assert list(small.operations) == [("write", 0, 0x77777, 1, 4)]
    assert (small.profile, small.twin, small.seed) == ("instant", False, 0)


def test_oracles_notice(model: str) -> None:
    """Each oracle with something that violates it."""
    world = Case(model).world()
    world.buffers["keep"][7] ^= 1
    with pytest.raises(OracleError, match="NOWRITE: 1 bytes of keep"):
        world.finish()
    world.restore()
    lib.nic_device_counters(world.nic.handle).python_errors += 1
    with pytest.raises(OracleError, match="NOEXC: a hook raised"):
        world.run([("poll",)])
    lib.nic_device_counters(world.nic.handle).python_errors -= 1
    world.limit = -1.0
    with pytest.raises(OracleError, match=r"BOUND: .* of processor time"):
        world.run([("poll",)])
    world.limit = 10.0
    world.operations["wild"] = lambda: setattr(
        lib.nic_device_counters(world.nic.handle), "descriptors", world.family.most_descriptors + 1
    )
    with pytest.raises(OracleError, match=r"BOUND: .* descriptors"):
        world.run([("wild",)])
    world.nic.set_link(False)
    world.family.live = lambda *_: (_ for _ in ()).throw(AssertionError("dead"))  # type: ignore[method-assign]
    with pytest.raises(AssertionError, match="dead"):
        world.check_alive()
    del world.family.live
    world.close()


def test_a_past_that_shows_is_noticed(model: str) -> None:
    """A wire on which the old card's bytes turn up."""

    @dataclass(frozen=True)
    class Leaky(Case):
        def world(self, *, clean: bool = True):  # type: ignore[no-untyped-def]
            world = super().world(clean=clean)
            world.note("sent", b"secret" if not clean else b"zeros!")
            return world

    with pytest.raises(OracleError, match="NOLEAK: the card's past shows"):
        Leaky(model, twin=True, operations=[("poll",)]).run()
