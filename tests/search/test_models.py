"""The models of a run: kept for the front, and nothing else is touched."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nas.errors import UserError
from nas.run import model_folder
from nas.search.models import drop_models, read_model, save_model
from nas.space.candidate import Candidate
from nas.space.search_space import load_space
from tests.runs import settings
from tests.search.small_tasks import marked


def test_a_model_is_kept_with_its_lineage_and_read_back(tmp_path: Path) -> None:
    space = load_space("tiny")
    model = marked(space.network(space.sample(np.random.default_rng(0)), 10), Candidate.of({}), 0.5)
    save_model(tmp_path / "run", settings(dataset_sha256="c" * 64), 7, model)
    again = read_model(tmp_path / "run", 7)
    assert again is not None and (again.lineage.run, again.lineage.trial) == ("run", 7)
    assert again.lineage.hashes == {"space": "a" * 64, "device": "b" * 64, "dataset": "c" * 64}
    assert float(again.weights["classifier.bias"][0]) == 0.5
    assert read_model(tmp_path / "run", 8) is None


def test_only_models_of_trials_are_dropped(tmp_path: Path) -> None:
    names = ("1", "2", "3", ".4.part", ".2.old", "notes", "7b", ".mine")
    for name in names:
        (tmp_path / "models" / name).mkdir(parents=True)
        (tmp_path / "models" / name / "file").write_text("")
    drop_models(tmp_path, {3})
    assert not model_folder(tmp_path, 3).exists() and model_folder(tmp_path, 1).exists()
    drop_models(tmp_path, keep={2})
    assert sorted(p.name for p in (tmp_path / "models").iterdir()) == [".mine", "2", "7b", "notes"]


def test_a_link_in_the_place_of_the_models_is_not_followed(tmp_path: Path) -> None:
    """A stranger's run must not have another folder emptied."""
    (tmp_path / "photos/1").mkdir(parents=True)
    (tmp_path / "run").mkdir()
    (tmp_path / "run/models").symlink_to(tmp_path / "photos")
    with pytest.raises(UserError, match="must be a folder of the run; it is a link"):
        drop_models(tmp_path / "run", keep=set())
    space = load_space("tiny")
    model = marked(space.network(space.sample(np.random.default_rng(0)), 10), Candidate.of({}), 0.5)
    with pytest.raises(UserError, match="it is a link"):
        save_model(tmp_path / "run", settings(), 1, model)
    assert [p.name for p in (tmp_path / "photos").rglob("*")] == ["1"]
