"""nas.deploy.compress: steps in order, and the folder they end in."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from nas.compress.step import Given, with_step
from nas.deploy.compress import compress
from nas.deploy.source import Source
from nas.errors import UserError
from nas.models.trained import TrainedModel, load_trained, save_trained
from tests.compress.networks import trained


@dataclass(frozen=True)
class Marked:
    name: str

    def apply(self, model: TrainedModel, given: Given) -> TrainedModel:
        given.on_progress(self.name)
        (given.folder / "mine").write_text(given.dataset.name)
        return with_step(replace(model, precision="fp16"), self.name)


def test_steps_chain_into_a_folder(tmp_path: Path) -> None:
    lines: list[str] = []
    source = Source(trained(), "digits", 0)
    compress(source, [Marked("first"), Marked("second")], tmp_path / "out", on_progress=lines.append)
    made = load_trained(tmp_path / "out")
    assert made.lineage.steps == ("training", "first", "second") and made.precision == "fp16"
    assert lines == ["first", "second"] and [p.name for p in tmp_path.iterdir()] == ["out"]


def test_only_a_models_folder_is_replaced_and_only_when_asked(tmp_path: Path) -> None:
    source, out = Source(trained(), "digits", 0), tmp_path / "out"
    save_trained(out, trained())
    with pytest.raises(UserError, match="already exists; replace it with --force"):
        compress(source, [Marked("one")], out)
    assert load_trained(out).lineage.steps == ("training",)
    compress(source, [Marked("one")], out, force=True)
    assert load_trained(out).lineage.steps == ("training", "one")
    (tmp_path / "mine").mkdir()
    (tmp_path / "link").symlink_to(out)
    for name in ("mine", "link"):
        with pytest.raises(UserError, match="already exists and is not a model's folder"):
            compress(source, [Marked("one")], tmp_path / name, force=True)
    with pytest.raises(UserError, match="there is no folder"):
        compress(source, [Marked("one")], tmp_path / "nowhere" / "out")
    with pytest.raises(UserError, match="needs a step"):
        compress(source, [], tmp_path / "new")
