"""The card differs from QEMU's model of it only where ``conformance/differences`` says so, and there it does."""

from __future__ import annotations

import pytest

from .differential import complaints, load_differences, load_scripts, models, observe
from .provision import ensure

NAMES = ("e1000", "ne2000", "ne2000_isa", "pcnet", "rtl8139")
SCRIPTS = [(name, script) for name in NAMES for script in load_scripts(name).SCRIPTS]


@pytest.mark.timeout(120)
@pytest.mark.parametrize(("name", "script"), SCRIPTS)
def test_differential(name: str, script: str) -> None:
    tree, scripts, (model, model_of_qemu) = ensure(), load_scripts(name), models(name)
    theirs = observe(tree, model_of_qemu, scripts, script, peer=True)
    ours = observe(tree, model, scripts, script, peer=False)
    found = list(complaints(script, ours, theirs, load_differences(name)))
    assert not found, "\n".join(found)


@pytest.mark.parametrize("name", NAMES)
def test_every_listed_difference_belongs_to_a_script(name: str) -> None:
    unknown = {listed for listed in load_differences(name) if listed.split("/")[0] not in load_scripts(name).SCRIPTS}
    assert not unknown
