"""Every kind of block that a stage table can hold has a module, found by the name of its file."""

from __future__ import annotations

from pathlib import Path

import nas.models.blocks
import nas.space.blocks
from nas.models.blocks import MODULES
from nas.space.block import KINDS


def files(package: str | None) -> set[str]:
    assert package is not None
    return {path.stem for path in Path(package).parent.glob("*.py")} - {"__init__"}


def test_every_file_is_a_kind_and_every_kind_has_a_module() -> None:
    assert files(nas.space.blocks.__file__) == set(KINDS)
    assert files(nas.models.blocks.__file__) == set(MODULES)
    assert {name for name, kind in KINDS.items() if kind.in_tables} == set(MODULES)
