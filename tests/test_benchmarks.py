"""What a frame costs each card, by pytest-benchmark: `make bench`, or `pytest -o addopts= tests/test_benchmarks.py`.

A turn is thousands of frames; `ns_per_frame` is told among the extra information.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

import nicemu
from nicemu.bench import Bench, measured
from nicemu.drivers.workload import workloads

CASES = [(name, workload) for name in measured() for workload in workloads(name)]


@pytest.fixture(params=CASES, ids=[f"{model}-{workload.name}" for model, workload in CASES])
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    model, workload = request.param
    found = Bench(model, workload)
    yield found
    found.close()


def test_turn(bench: Bench, benchmark: BenchmarkFixture) -> None:
    benchmark.pedantic(bench.turns, args=(1,), rounds=50, warmup_rounds=2)
    benchmark.extra_info["frames"] = bench.workload.frames
    if benchmark.stats is not None:
        benchmark.extra_info["ns_per_frame"] = benchmark.stats.stats.median * 1e9 / bench.workload.frames


def test_register_read(benchmark: BenchmarkFixture) -> None:
    """One access from Python: the price of every step of a reference driver."""
    with nicemu.create("e1000") as nic:
        assert benchmark(nic.bars[0].read, 0x0008) == nic.regs.STATUS.value
