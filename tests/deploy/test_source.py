"""MODEL or RUN: the model that a verb works on, and its dataset."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from nas.deploy.source import load_source
from nas.errors import UserError
from nas.models.trained import save_trained
from nas.search.models import save_model
from tests.compress.networks import digits, trained
from tests.runs import make_run


def test_a_folder_and_a_trial_of_a_run_give_model_and_dataset(tmp_path: Path) -> None:
    save_trained(tmp_path / "model", trained())
    run = make_run(tmp_path / "run", dataset_sha256=digits().fingerprint)
    save_model(run.path, run.settings, 1, trained())
    within = run.path / "trained" / "1"  # where nas train writes
    save_trained(within, replace(trained(), recipe={}, lineage=replace(trained().lineage, run="run", trial=1)))
    assert load_source(run.path, pick=1).device == load_source(within).device == "raspberry-pi-4"
    for source in (load_source(tmp_path / "model"), load_source(run.path, pick=1), load_source(within)):
        assert source.model.network == trained().network
        assert source.dataset().fingerprint == digits().fingerprint


def test_a_dataset_that_is_not_the_models_is_refused(tmp_path: Path) -> None:
    nameless = replace(trained(), recipe={})
    save_trained(tmp_path / "model", nameless)
    with pytest.raises(UserError, match="which dataset it was trained on; name it with --dataset"):
        load_source(tmp_path / "model").dataset()
    assert load_source(tmp_path / "model", dataset="digits").dataset().name == "digits"
    with pytest.raises(UserError, match=r"must be the one that the model was trained on.*another seed than 7"):
        load_source(tmp_path / "model", dataset="digits", seed=7).dataset()
    save_trained(tmp_path / "other", replace(nameless, classes=tuple("abcdefghij")))
    with pytest.raises(UserError, match=r"must have the model's 10 classes \(a, b, c"):
        load_source(tmp_path / "other", dataset="digits").dataset()


def test_what_is_neither_is_refused(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    save_trained(tmp_path / "model", trained())
    (tmp_path / "empty").mkdir()
    for path, pick, message in (
        (tmp_path / "empty", None, "is not a model's folder"),
        (tmp_path / "nowhere", None, "is not a model's folder"),
        (tmp_path / "model", 3, "is not a run folder, so it has no trial 3"),
        (run.path, None, "is a run of many networks: say which with --pick"),
        (run.path, 1, "run has no weights: .*models is not there; nas train trains a trial anew"),
    ):
        with pytest.raises(UserError, match=message):
            load_source(path, pick=pick)
