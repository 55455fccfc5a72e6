"""nas.deploy.compress: steps in order, and the folder they end in."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
import torch

from nas.compress.finetune import fine_tuned
from nas.compress.qat import Qat
from nas.compress.quantize import Quantize
from nas.compress.step import Given, with_step
from nas.deploy.compress import compress, work_folder
from nas.deploy.source import Source
from nas.errors import UserError
from nas.files.lock import locked
from nas.models.int8 import Int8
from nas.models.trained import TrainedModel, load_trained, save_trained
from nas.train.resumption import FullProgress
from tests.compress.networks import trained
from tests.kills import moments_of, run_kills


@dataclass(frozen=True)
class Marked:
    name: str

    def apply(self, model: TrainedModel, given: Given) -> TrainedModel:
        given.on_progress(self.name)
        (given.folder / "mine").write_text(given.dataset.name)
        return with_step(replace(model, precision="fp16"), self.name)


@dataclass(frozen=True)
class Tuned:
    name: str = field(default="tune", init=False)

    def apply(self, model: TrainedModel, given: Given) -> TrainedModel:
        return with_step(fine_tuned(model, model, given, 1).model, self.name)


@dataclass(frozen=True)
class Refused:
    name: str = field(default="refused", init=False)

    def apply(self, model: TrainedModel, given: Given) -> TrainedModel:
        raise UserError("not this model")


def test_steps_chain_into_a_folder(tmp_path: Path) -> None:
    lines: list[str] = []
    source = Source(Path("model"), trained(), "digits", 0)
    compress(source, [Marked("first"), Marked("second")], tmp_path / "out", on_progress=lines.append)
    made = load_trained(tmp_path / "out")
    assert made.lineage.steps == ("training", "first", "second") and made.precision == "fp16"
    assert lines == ["first", "second"] and [p.name for p in tmp_path.iterdir()] == ["out"]


def test_only_a_models_folder_is_replaced_and_only_when_asked(tmp_path: Path) -> None:
    source, out = Source(Path("model"), trained(), "digits", 0), tmp_path / "out"
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


def test_a_compression_that_is_killed_goes_on_to_the_same_files(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    """A fine-tuning and a step after it."""
    (found,) = run_kills("tests.deploy.compress_kills", tmp_path, moments_of(pytestconfig, 8))
    assert found["moments"] >= 8 and found["operations"] > 0 and found["wrong"] == {}


def test_an_interrupted_fine_tuning_is_gone_on_with(tmp_path: Path) -> None:
    """Ctrl-C after the first step of training; the same call ends with the weights of one that was not stopped."""
    source, seen = Source(Path("model"), trained(), "digits", 0), list[int]()

    def press(progress: FullProgress) -> None:
        seen.append(progress.step)
        if len(seen) == 1:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt, match=r"^stopped in epoch 1 of 1; the same command goes on$"):
        compress(source, [Tuned()], tmp_path / "out", on_training=press)
    assert [path.name for path in tmp_path.iterdir()] == [".out.compressing"]
    made = compress(source, [Tuned()], tmp_path / "out", on_training=press)
    assert seen == list(range(1, max(seen) + 1)) and [path.name for path in tmp_path.iterdir()] == ["out"]
    whole = compress(source, [Tuned()], tmp_path / "whole")
    assert all(torch.equal(tensor, made.weights[name]) for name, tensor in whole.weights.items())
    before = (tmp_path / "out/model.json").stat().st_mtime_ns
    compress(source, [Tuned()], tmp_path / "out", on_training=lambda _: pytest.fail("it has ended"))
    with pytest.raises(UserError, match="already exists; replace it with --force"):
        compress(source, [Marked("other")], tmp_path / "out")
    assert (tmp_path / "out/model.json").stat().st_mtime_ns == before


def test_a_step_that_is_refused_leaves_nothing_and_what_went_before_is_kept(tmp_path: Path) -> None:
    source, lines = Source(Path("model"), trained(), "digits", 0), list[str]()
    with pytest.raises(UserError, match="not this model"):
        compress(source, [Refused()], tmp_path / "out")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(UserError, match="not this model"):
        compress(source, [Marked("first"), Refused()], tmp_path / "out", on_progress=lines.append)
    compress(source, [Marked("first"), Marked("second")], tmp_path / "out", on_progress=lines.append)
    assert lines == ["first", "second"] and [path.name for path in tmp_path.iterdir()] == ["out"]


def test_two_processes_do_not_compress_into_one_folder(tmp_path: Path) -> None:
    with locked(work_folder(tmp_path / "out")), pytest.raises(UserError, match="another process is compressing into"):
        compress(Source(Path("model"), trained(), "digits", 0), [Marked("one")], tmp_path / "out")


def test_what_is_int8_already_is_not_quantized_again(tmp_path: Path) -> None:
    """What it loses would be measured against itself; after a step that changes the weights it is in float again."""
    source = Source(Path("model"), Int8().within(trained()), "digits", 0)
    with pytest.raises(UserError, match="the model is int8 already; quantize the one that it was made from"):
        compress(source, [Quantize("int8", qat=Qat())], tmp_path / "out")
    assert not list(tmp_path.iterdir())
    compress(source, [Marked("one")], tmp_path / "out")
