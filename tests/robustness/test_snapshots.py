"""G19 what is no snapshot, or one that somebody has edited: refused without effect, or loaded without harm."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

import pytest
from fuzz.busy import busy
from fuzz.world import World
from measure import repeat

from nicemu.errors import SnapshotError

#: What each kind of JSON value is replaced by.
EXTREMES: tuple[Any, ...] = (
    *(
        None,
        True,
        False,
        0,
        1,
        -1,
        63,
        64,
        65,
        255,
        256,
        65535,
        1 << 31,
        (1 << 32) - 1,
        1 << 32,
        1 << 63,
        (1 << 64) - 1,
    ),
    *(1 << 64, -(1 << 63), 10**30, 1.5, float("inf"), float("nan"), "", "x", "0xffffffff", "0xzz", "-0x1", "00" * 5),
    *([], [0], [None], ["0x0"] * 3, [1 << 70], {}, {"x": 1}),
)


@pytest.fixture
def world(model: str) -> Iterator[World]:
    world = busy(model)
    yield world
    world.close()


def refused(world: World, data: bytes, match: str = ".") -> None:
    """Loading fails with SnapshotError; the card, its pin and its wire are as before."""
    before, levels = world.nic.save(), world.levels
    with pytest.raises(SnapshotError, match=match):
        world.nic.load(data)
    assert world.nic.save() == before
    assert world.levels == levels


@pytest.mark.parametrize(
    ("data", "match"),
    [
        (b"", "not a snapshot"),
        (b"\0\xff\xfe", "not a snapshot"),
        (b"[]", "expected a JSON object"),
        (b"{}", "expected a JSON object"),
        (b"null", "expected a JSON object"),
        (b"[" * 100_000, "not a snapshot"),
        (b'{"format": "nicemu snapshot"}', "version None"),
    ],
)
def test_other_things(world: World, data: bytes, match: str) -> None:
    refused(world, data, match)


@pytest.mark.parametrize(
    ("key", "value", "match"),
    [
        ("version", 0, "this nicemu reads version"),
        ("version", 10**9, "this nicemu reads version"),
        ("model", "another", "this card is a"),
        ("model", None, "this card is a"),
        ("format", "qemu", "expected a JSON object"),
    ],
)
def test_the_wrong_kind(world: World, key: str, value: object, match: str) -> None:
    document = json.loads(world.nic.save())
    document[key] = value
    refused(world, json.dumps(document).encode(), match)


def test_every_truncation(world: World) -> None:
    data = world.nic.save()
    random = Random(3)
    for length in [
        *range(0, 200, repeat(20, 1)),
        *(random.randrange(len(data)) for _ in range(repeat(20, 2000))),
        len(data) - 1,
    ]:
        refused(world, data[:length])


def places(document: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place of a document; of long lists the ends."""
    if path:
        yield path
    if isinstance(document, dict):
        for key, value in document.items():
            yield from places(value, (*path, key))
    elif isinstance(document, list):
        for index in {0, 1, len(document) - 1} & set(range(len(document))):
            yield from places(document[index], (*path, index))


def edited(data: bytes, path: tuple[Any, ...], change: Callable[[Any, Any], None]) -> bytes:
    document = json.loads(data)
    target = document
    for key in path[:-1]:
        target = target[key]
    change(target, path[-1])
    return json.dumps(document).encode()


def replaced(data: bytes, path: tuple[Any, ...], value: object) -> bytes:
    """The snapshot with something else in that place."""
    return edited(data, path, lambda target, key: target.__setitem__(key, value))


def _try(world: World, data: bytes, what: object) -> None:
    """Either is the snapshot refused without effect, or it loads and the card goes on, works, and can be saved."""
    before = world.nic.save()
    try:
        world.nic.load(data)
    except SnapshotError:
        assert world.nic.save() == before, what
        return
    with world.watched(what):
        saved = world.nic.save()
        world.nic.load(saved)
        assert world.nic.save() == saved, what
    world.run([("poll",), ("frames", [("525400123456", 100)]), ("advance", 10**7), ("room", None)])
    world.nic.load(before)


def choose(tries: list[Any], part: str) -> list[Any]:
    """All of them, or some."""
    count = repeat(12, len(tries))
    return tries if count >= len(tries) else Random(part).sample(tries, count)


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("part", ["state", "timers", "parts", "inbound", "pages", "work", "random", "interrupt"])
def test_extreme_values(world: World, part: str) -> None:
    """Every field set to everything that it should not be."""
    data = world.nic.save()
    document = json.loads(data)[part]
    found = [(part, *path) for path in places(document)] if isinstance(document, dict | list) else [(part,)]
    for where, value in choose([(where, value) for where in found for value in EXTREMES], part):
        _try(world, replaced(data, where, value), (where, value))
    world.check_alive()


@pytest.mark.timeout(3600)
def test_extreme_registers(world: World) -> None:
    """Registers with every bit set or none; values that do not fit are refused."""
    data = world.nic.save()
    tries = [
        (("registers", table, name), value, text)
        for table, registers in json.loads(data)["registers"].items()
        for name, value in registers.items()
        for text in ("0x0", "0x" + "f" * 8, "0x" + "f" * 2, "0x1" + "0" * 8, "-0x1", "17")
    ]
    for where, value, text in choose(tries, "registers"):
        _try(world, replaced(data, where, text if isinstance(value, str) else [text] * len(value)), (where, text))
    world.check_alive()


@pytest.mark.timeout(3600)
def test_missing_and_unknown_names(world: World) -> None:
    data = world.nic.save()
    named = [
        p for p in places(json.loads(data)) if isinstance(p[-1], str) and p[0] not in ("format", "version", "model")
    ]
    for path in choose(named, "missing"):
        refused(world, edited(data, path, lambda target, key: target.pop(key)))
    for part in ("registers", "state", "timers", "parts"):
        refused(world, replaced(data, (part, "unknown"), {"X": "0x0"}))
    world.check_alive()


@pytest.mark.timeout(3600)
def test_random_damage(world: World) -> None:
    """Several fields at once, again and again."""
    random = Random(19)
    data = world.nic.save()
    everywhere = [path for path in places(json.loads(data)) if len(path) > 1 and path[0] != "registers"]
    for _ in range(repeat(25, 1000)):
        damaged = data
        for path in random.sample(everywhere, 3):
            with contextlib.suppress(
                AttributeError, KeyError, IndexError, TypeError
            ):  # within what was replaced before
                damaged = replaced(damaged, path, random.choice(EXTREMES))
        _try(world, damaged, damaged)
    world.check_alive()
