"""D26 and D27, G14 and G18: making, closing and forgetting cards in every order; the pin and its listeners.

G22, registers from two threads, does not apply: a card, its wire and its host live in one thread (ARCHITECTURE.md).
"""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import textwrap
import threading
import weakref
from random import Random

import pytest
from fuzz.families import family_of
from fuzz.world import World
from measure import not_growing, repeat

import nicemu
from nicemu import ConfigurationError
from nicemu.backends import Loopback, Null, Pair, PythonBackend
from nicemu.engine import lib


def test_no_call_after_close(model: str) -> None:
    """A clock that moves on, a wire that delivers, a loop that turns: a card that was closed hears of none of it."""
    world = World(family_of(model), model, profile="wire")
    generator = world.family.generator(Random(14), model)
    world.run([*generator.setup(), *generator.traffic()])
    assert world.clock.next_deadline is not None
    loop = world.nic.loop
    world.nic.close()
    levels = world.levels
    assert world.clock.next_deadline is None
    world.clock.advance(10**10)
    world.wire.deliver([bytes(60)])
    world.wire.turn()
    loop.turn()
    assert world.levels == levels
    assert world.wire.in_use is False
    world.close()


def test_close_twice_and_use_after(model: str) -> None:
    nic = nicemu.create(model)
    nic.close()
    nic.close()
    assert "closed" in repr(nic)


@pytest.mark.parametrize("order", range(6))
def test_forgetting_in_any_order(model: str, order: int) -> None:
    """Clock, loop, memory, wire and card refer to each other; whichever goes first, nothing is freed too early."""
    things = [nicemu.Clock.virtual(), nicemu.Loop(), nicemu.GuestMemory(1 << 16), Loopback()]
    clock, loop, memory, wire = things
    nic = nicemu.create(model, clock=clock, loop=loop, memory=memory, backend=wire)
    gone = weakref.ref(nic)
    del clock, loop, memory, wire
    if order % 2:
        things.append(nic)
    Random(order).shuffle(things)
    del nic
    while things:
        things.pop()
        gc.collect()
    assert gone() is None


def test_cards_come_and_go(model: str) -> None:
    def life() -> None:
        wire = PythonBackend()
        nic = nicemu.create(model, memory=nicemu.GuestMemory(1 << 16), backend=wire, irq=lambda level: None)
        nic.start_trace(64)
        nic.poll()
        nic.close()
        wire.close()

    for _ in range(3):
        life()
    with not_growing():
        for _ in range(repeat(100, 10_000)):
            life()


def test_wires_come_and_go(model: str) -> None:
    """Plugged, pulled, plugged elsewhere, closed while plugged."""
    first, second = nicemu.create(model), nicemu.create(model)
    for _ in range(2):
        with not_growing() if _ else pytest.MonkeyPatch.context():
            for n in range(50):
                a, b = Pair.create()
                first.plug(a)
                second.plug(b)
                first.plug(None)
                first.plug(Null())
                (a, b)[n % 2].close()
                second.poll()
                first.poll()
    first.close()
    second.close()


CALLBACKS = ("irq", "send", "read")


@pytest.mark.parametrize("place", CALLBACKS)
def test_closing_from_inside(model: str, place: str) -> None:
    """A card that is closed from inside one of its own calls says so, and lives on."""
    world = World(family_of(model), model, watch=False)
    caught: list[str] = []

    def close(*_: object) -> None:
        try:
            world.nic.close()
        except ConfigurationError as error:
            caught.append(str(error))

    world.operations["close"] = close
    if place == "read" and not world.family.dma:
        place = "irq"  # it calls out for no DMA
    name, operations = next(iter(world.family.scenes(place)))
    world.run([*operations[:-1], ("inside", place, [("close",)]), operations[-1]])
    assert len(caught) == 1, name
    assert "from inside one of its own calls" in caught[0]
    world.check_alive()
    world.close()


EXIT = """
import nicemu, threading
def card(model):
    return nicemu.create(model, memory=nicemu.GuestMemory(1 << 16), backend=nicemu.backends.Loopback())
nics = [card(info.name) for info in nicemu.models() for _ in range(3)]
for nic in nics[::3]:
    nic.loop.fileno()
kept = [nic.bars for nic in nics[1::3]]
del nics[2::3]
loop = nicemu.Loop()
{more}
"""


@pytest.mark.parametrize(
    "more",
    [
        "",
        "threading.Thread(target=loop.run, daemon=True).start()",
        "import atexit; atexit.register(lambda: [nic.poll() for nic in nics])",
        "for nic in nics: nic.myself = nic",
        "raise SystemExit(0)",
    ],
)
def test_the_interpreter_may_end_at_any_time(more: str) -> None:
    """With cards of every model at work."""
    code = textwrap.dedent(EXIT).format(more=more)
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""


def test_a_forked_child_may_go_its_way(model: str) -> None:
    """A child that ends without touching the card, and one that closes it: the parent's card does not notice."""
    world = World(family_of(model), model)
    for closes in (False, True):
        pid = os.fork()
        if not pid:
            status = 1
            try:
                if closes:
                    world.nic.close()
                status = 0
            finally:
                os._exit(status)
        assert os.waitpid(pid, 0)[1] == 0
        world.check_alive()
    world.close()


def test_one_card_in_each_of_many_threads(model: str) -> None:
    """What belongs to different threads shares nothing."""
    failed: list[BaseException] = []

    def work(number: int) -> None:
        try:
            world = World(family_of(model), model, seed=number, watch=False)
            world.run(world.family.generator(Random(number), model).operations(300))
            world.check_alive()
            world.close()
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []


def test_exceptions_stay_in_their_thread(model: str) -> None:
    """What a callback of one thread's card raises is not told to another thread, whose cards are busy too."""
    outcome: dict[str, object] = {}

    class Bad(PythonBackend):
        def poll(self) -> None:
            raise LookupError(threading.current_thread().name)

    def bad() -> None:
        nic = nicemu.create(model, backend=Bad())
        caught = 0
        for _ in range(300):
            try:
                nic.poll()
            except LookupError as error:
                caught += str(error) == "bad"
        outcome["bad"] = caught

    def good() -> None:
        nic = nicemu.create(model)
        try:
            for _ in range(3000):
                nic.config.read(0)
                nic.poll()
            outcome["good"] = True
        except BaseException as error:
            outcome["good"] = error

    threads = [threading.Thread(target=f, name=f.__name__) for f in (bad, good)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcome == {"bad": 300, "good": True}


# ------------------------------------------------------------------------------------------------- the pin (G18)


def test_eventfds_of_all_kinds(model: str) -> None:
    """One that is full, one that was closed, one that is no eventfd, none at all: the card does not wait for any."""
    world = World(family_of(model), model, watch=False)
    scenes = dict(world.family.scenes("irq"))
    full = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
    os.eventfd_write(full, 2**64 - 2)
    reader, writer = os.pipe2(os.O_NONBLOCK)
    closed = os.dup(reader)
    os.close(closed)
    for fd in (os.dup(full), os.dup(reader), os.dup(writer), os.open("/dev/null", os.O_RDONLY), -1):
        for which in (lib.NIC_IRQ_INTX, lib.NIC_IRQ_MSI, 77):
            if fd >= 0:
                lib.nic_interrupt_set_fd(world.nic.handle, which, os.dup(fd))
            else:
                lib.nic_interrupt_set_fd(world.nic.handle, which, -1)
            for operations in scenes.values():
                world.run([*operations, ("reset", 1)])
                lib.nic_interrupt_mask(world.nic.handle, True)
                lib.nic_interrupt_mask(world.nic.handle, False)
        if fd >= 0:
            os.close(fd)
    for fd in (full, reader, writer):
        os.close(fd)
    world.check_alive()
    world.close()


def test_masks_and_storms(model: str) -> None:
    """Each assertion is told once until it is unmasked, and again when it is unmasked while it still holds."""
    world = World(family_of(model), model, watch=False)
    event = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
    lib.nic_interrupt_set_fd(world.nic.handle, lib.NIC_IRQ_INTX, os.dup(event))
    name, operations = next(iter(world.family.scenes("irq")))
    world.run(operations)
    assert world.nic.interrupt, name
    assert os.eventfd_read(event) >= 1
    for _ in range(repeat(1000, 100_000)):
        lib.nic_interrupt_mask(world.nic.handle, False)
        assert os.eventfd_read(event) == 1
        world.run([operations[-1]])
    with pytest.raises(BlockingIOError):
        os.eventfd_read(event)
    world.run([("reset", 1)])
    lib.nic_interrupt_mask(world.nic.handle, False)
    with pytest.raises(BlockingIOError):
        os.eventfd_read(event)
    os.close(event)
    world.close()
