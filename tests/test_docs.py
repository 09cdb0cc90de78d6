"""Generated pages and headers stand as the tables say, and the hand-written pages lead somewhere."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest

from nicemu.codegen import CARDS, header
from nicemu.devices import find_class, models
from nicemu.docgen import page

ROOT = Path(__file__).resolve().parent.parent
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), ROOT / "conformance/README.md"]


@pytest.mark.parametrize("card", CARDS)
def test_reference_pages_are_up_to_date(card: str) -> None:
    tables = import_module(f"nicemu.devices.{card}_tables")
    written = (ROOT / "docs" / f"{card}-registers.md").read_text()
    assert written == page(card, tables.TABLES, tables.RULES), "run `python -m nicemu.docgen`"


@pytest.mark.parametrize("card", CARDS)
def test_headers_are_up_to_date(card: str) -> None:
    tables = import_module(f"nicemu.devices.{card}_tables")
    written = (ROOT / "csrc" / f"{card}_registers.h").read_text()
    assert written == header(card, tables.TABLES, tables.RULES), "run `python -m nicemu.codegen`"


def test_every_model_is_covered() -> None:
    """Every register of every model is in a page and a header, and none is left over of a card that is gone."""
    assert {find_class(info.name).CARD for info in models()} == set(CARDS)
    assert {path.name.removesuffix("-registers.md") for path in ROOT.glob("docs/*-registers.md")} == set(CARDS)
    assert {path.name.removesuffix("_registers.h") for path in ROOT.glob("csrc/*_registers.h")} == set(CARDS)
    for info in models():
        model = find_class(info.name)
        shared = import_module(f"nicemu.devices.{model.CARD}_tables").TABLES
        for table, family in zip(model.TABLES, shared, strict=True):
            assert [register.name for register in table] == [register.name for register in family], info.name


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)", page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_named_files_exist(page: Path) -> None:
    """Paths in backticks that look like ours are files of this checkout."""
    for path in re.findall(r"`((?:nicemu|csrc|tests|conformance|docs|examples)/[\w./-]+\.\w+)`", page.read_text()):
        assert (ROOT / path).exists(), path
