"""`python -m nicemu bench` measures what it says, and says so when it cannot; and what costs memory stays unloaded."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import pytest

import nicemu
from nicemu import bench
from nicemu.bench import Bench, BenchError, Row
from nicemu.drivers.workload import Arrive, Block, Read, Store, Until, workloads

TRANSMIT = next(w for w in workloads("e1000") if w.name == "TX 60")
RECEIVE = next(w for w in workloads("e1000") if w.name == "RX 60")


@pytest.fixture(params=bench.measured())
def model(request: pytest.FixtureRequest) -> str:
    """Every model that has workloads."""
    return str(request.param)


def test_every_workload_moves_the_frames_it_names(model: str) -> None:
    for workload in workloads(model):
        found = Bench(model, workload)
        try:
            assert found.turns(2) > 0
            assert found.idle(2) > 0
            sent, received = found.nic.counters["port_sent_frames"], found.nic.counters["port_received_frames"]
            looped = workload.name.startswith("loopback")
            assert sent + received == (0 if looped else 3 * workload.frames)
            assert found.nic.counters["dma_errors"] == 0
        finally:
            found.close()


def test_a_turn_leaves_the_ring_as_a_driver_would_see_it() -> None:
    """The frames really came: length, status and content are in the ring and the buffers."""
    found = Bench("e1000", RECEIVE)
    try:
        arrival = next(step for step in RECEIVE.kick if isinstance(step, Arrive))
        stores = [step for step in RECEIVE.setup if isinstance(step, Store)]
        ring, buffers = (step.address for step in stores)
        last = arrival.count - 1
        descriptor = found.memory.read(ring + 16 * last, 16)
        assert descriptor[8:10] == len(arrival.frame).to_bytes(2, "little")
        assert descriptor[12] & 3 == 3  # DD, EOP
        assert found.memory.read(buffers + 2048 * last, len(arrival.frame)) == arrival.frame
    finally:
        found.close()


def test_workloads_break_no_rule_but_the_one_that_putting_the_ring_back_breaks(model: str) -> None:
    for workload in workloads(model):
        found = Bench(model, workload)
        assert not {rule for rule in found.nic.finding_counts if "head-written-while-enabled" not in rule}
        found.close()


def test_blocks_are_played() -> None:
    """What a driver writes to the data port lies in packet memory."""
    [workload] = [w for w in workloads("ne2k_pci") if w.name == "TX 60 through ports"]
    kick = tuple(replace(step, content=b"x" * 60) if isinstance(step, Block) else step for step in workload.kick)
    found = Bench("ne2k_pci", replace(workload, kick=kick))
    for offset, value in ((8, 0), (9, 0x40), (10, 60), (11, 0), (0, 0x0A)):  # remote read
        found.nic.bars[0].write(offset, value, 1)
    assert found.nic.bars[0].read_repeat(0x10, 2, 30) == b"x" * 60
    found.close()


def test_a_flag_that_is_not_there_counts_no_frames() -> None:
    [workload] = [w for w in workloads("ne2k_pci") if w.name == "TX 60"]
    with pytest.raises(BenchError, match="0 frames counted, not 64"):
        Bench("ne2k_pci", replace(workload, kick=workload.rest))


def test_whom_a_workload_is_for() -> None:
    shared = [w.name for w in workloads("ne2k_pci") if not w.ours_alone]
    assert shared == ["TX 60", "TX 1514"], "QEMU's model has no loopback, and no arrivals"
    assert not any(w.ours_alone for w in workloads("e1000"))


# ------------------------------------------------------------------ what goes wrong is said


def test_frames_that_were_not_counted_are_an_error() -> None:
    with pytest.raises(BenchError, match="4095 frames counted, not 4094"):
        Bench("e1000", replace(TRANSMIT, frames=4094))


def test_a_register_that_never_gets_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "PATIENCE", 0.05)
    with pytest.raises(BenchError, match="0x8 & 0x8 never was 0x8"):
        Bench("e1000", replace(TRANSMIT, setup=(Until(0, 8, 8, 8),)))


def test_memory_that_is_not_there() -> None:
    with pytest.raises(BenchError, match="no such memory"):
        Bench("e1000", replace(TRANSMIT, kick=(Store(bench.MEMORY, b"beyond"),)))


def test_frames_that_the_card_does_not_take() -> None:
    """A longer frame than any wire carries is refused, not counted as received."""
    with pytest.raises(BenchError, match=r"0 frames counted"):
        Bench("e1000", replace(RECEIVE, kick=(Arrive(RECEIVE.frames, bytes(20000)),)))


@pytest.mark.parametrize("step", [Arrive(1, bytes(60))])
def test_steps_out_of_place(step: Arrive) -> None:
    with pytest.raises(BenchError, match="in a turn only"):
        Bench("e1000", replace(TRANSMIT, setup=(step,)))
    with pytest.raises(BenchError, match="waits for nothing"):
        Bench("e1000", replace(TRANSMIT, kick=(Until(0, 8, 0, 0),)))


def test_stores_and_reads_are_steps_of_a_turn() -> None:
    """Rings whose descriptors must be written anew are put back by stores."""
    store = Store(0x8000, b"written by the script")
    found = Bench("e1000", replace(TRANSMIT, back=(store, Read(0, 8), *TRANSMIT.back), fence=(Read(0, 8),)))
    assert found.memory.read(0x8000, 21) == b"written by the script"
    found.close()


def test_a_model_without_workloads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nicemu.devices.find_class("e1000"), "CARD", "nosuch")
    with pytest.raises(nicemu.ConfigurationError, match="no workloads for e1000"):
        workloads("e1000")


# ------------------------------------------------------------------ command line


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "nicemu", "bench", *arguments], capture_output=True, text=True)


def test_table_and_json() -> None:
    done = run("e1000", "--workload", "TX 60", "--rounds", "2", "--json")
    assert done.returncode == 0, done.stderr
    (row,) = json.loads(done.stdout)
    assert row["workload"] == "TX 60"
    assert len(row["rounds"]) == 2
    assert 0 < row["best"] <= row["median"]
    assert done.stderr.splitlines() == ["round 1 of 2", "round 2 of 2"]
    table = run("e1000", "--workload", "TX 60", "--rounds", "1").stdout.splitlines()
    assert table[0].split() == ["model", "workload", "frames", "best", "ns", "median", "ns", "M/s"]
    assert table[1].startswith("e1000  TX 60     ")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("nosuch",), "no model 'nosuch'"),
        (("e1000", "--workload", "TX 61"), "no workload TX 61; there are TX 60 RS"),
        (("e1000", "--rounds", "0"), "--rounds 0; expected 1 or more"),
        (("e1000", "--once", "TX 61"), "no workload TX 61; there are TX 60 RS"),
    ],
)
def test_bad_command_lines(arguments: tuple[str, ...], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert bench.main(arguments) == 2
    assert says in capsys.readouterr().err


def test_peers_need_a_checkout(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def missing(name: str) -> object:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr(bench, "import_module", missing)
    assert bench.main(["e1000", "--peer"]) == 2
    assert "--peer needs a checkout" in capsys.readouterr().err


def test_a_round_that_fails_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(BenchError, match="ended with status 1"):
        list(bench.run_rounds([(Row("e1000", "TX 60", 4095), TRANSMIT)], 1))


def test_ratio_is_taken_within_rounds() -> None:
    row = Row("e1000", "TX 60", 4095, rounds=[20, 40, 30], peer=[100, 400, 100])
    assert row.ratio == 0.2
    assert row.summary()["peer_median"] == 100
    row.peer[1] = -5  # what qtest itself takes, taken off, was more than what was left
    assert row.ratio is None


def test_instructions_are_counted_between_idle_and_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three dumps a workload: one to warm up, one turn, one idle turn."""

    def child(*arguments: str, prefix: list[str]) -> str:
        out = next(word.partition("=")[2] for word in prefix if word.startswith("--callgrind-out-file="))
        for number, total in enumerate([9, 1100, 100, 9, 2400, 400], 1):
            with open(f"{out}.{number}", "w") as dump:
                dump.write(f"events: Ir\nsummary: {total}\n")
        return '{"TX 60": 10, "RX 60": 20}'

    monkeypatch.setattr(bench, "_child", child)
    monkeypatch.setattr(bench.shutil, "which", lambda name: "/usr/bin/valgrind")
    assert bench.count_instructions("e1000") == {"TX 60": 100, "RX 60": 100}


# ------------------------------------------------------------------ lean


def test_serving_loads_no_numpy(model: str) -> None:
    """Descriptor layouts are for drivers; a served card does without them and their 20 MB."""
    program = (
        "import sys, nicemu.cli, nicemu.monitor, nicemu.hosts.vfio_user, nicemu.snapshot\n"
        "from nicemu.backends import User, Pcap\n"
        "nicemu.cli.make_nic(sys.argv[1]).save()\n"
        "assert 'numpy' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program, model], check=True)
