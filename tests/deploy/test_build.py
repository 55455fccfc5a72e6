"""nas.build: the file of a trial of a run."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import onnx
import pytest

import nas
from nas.deploy.build import check_output
from nas.errors import UserError
from nas.run import Run
from nas.search.models import save_model
from nas.space.candidate import Candidate
from nas.space.search_space import load_space
from tests.runs import make_run
from tests.search.small_tasks import marked


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A run that keeps the model of trial 1, of a network of the space; its biases are 0.95."""
    made, space = make_run(tmp_path / "run"), load_space("tiny")
    network = space.network(space.sample(np.random.default_rng(0)), 10)
    save_model(made.path, made.settings, 1, marked(network, Candidate.of({"precision": "int8"}), 0.95))
    return made


@pytest.mark.parametrize("how", ["number", "trial", "folder", "column"])
def test_a_trial_becomes_a_file(run: Run, how: str, tmp_path: Path) -> None:
    pick = next(t for t in run.trials if t.trial == 1) if how == "trial" else 1
    if how == "column":  # NumPy's integers
        pick = next(number for number in run.front["trial"] if number == 1)
    written = nas.build(run.path if how == "folder" else run, pick=pick, onnx=tmp_path / "out.onnx")
    assert written.path == tmp_path / "out.onnx" and written.difference < 1e-3
    facts = {p.key: p.value for p in onnx.load(str(written.path)).metadata_props}
    assert '"run": "run"' in facts["lineage"] and '"trial": 1' in facts["lineage"]
    assert run.settings.space_sha256 in facts["lineage"]


def test_a_trial_without_a_model_is_refused(run: Run, tmp_path: Path) -> None:
    for number in (0, 99, -1):
        with pytest.raises(
            UserError, match=f"keeps the models of its front and of rivals, and trial {number} is none of these"
        ):
            nas.build(run, pick=number, onnx=tmp_path / "out.onnx")
    assert not (tmp_path / "out.onnx").exists()


def test_the_model_of_another_trial_is_refused(run: Run, tmp_path: Path) -> None:
    run.model(1).rename(run.model(2))
    with pytest.raises(UserError, match="must hold the model of trial 2; it holds that of trial 1"):
        nas.build(run, pick=2, onnx=tmp_path / "out.onnx")
    assert not (tmp_path / "out.onnx").exists()


def test_a_file_is_replaced_only_when_asked(run: Run, tmp_path: Path) -> None:
    (tmp_path / "out.onnx").write_text("mine")
    with pytest.raises(UserError, match="already exists"):
        nas.build(run, pick=1, onnx=tmp_path / "out.onnx")
    assert (tmp_path / "out.onnx").read_text() == "mine"
    nas.build(run, pick=1, onnx=tmp_path / "out.onnx", force=True)
    assert onnx.load(str(tmp_path / "out.onnx")).graph.node


def test_where_no_file_can_be_written_is_said_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "there.onnx").write_text("mine")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for name, force, message in (
        ("nowhere/net.onnx", True, "there is no folder"),
        ("pipe", True, "a folder, a pipe or a device"),
        ("folder", True, "a folder, a pipe or a device"),
        ("there.onnx", False, "already exists; replace it with --force"),
    ):
        with pytest.raises(UserError, match=message):
            check_output(tmp_path / name, force=force)
    check_output(tmp_path / "there.onnx", force=True)
    check_output(tmp_path / "new.onnx", force=False)
