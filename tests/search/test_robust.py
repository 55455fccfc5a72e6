"""Robust accuracy as an objective: searched, kept, resumed, shown and picked."""

from __future__ import annotations

import csv
import re
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import nas
from nas.errors import UserError
from nas.estimate.estimator import Estimate
from nas.pareto import non_dominated
from nas.report.markdown import markdown
from nas.report.words import pick_text
from nas.run import Run, load_run
from nas.search.api import resume
from nas.search.loop import search
from nas.space.candidate import Candidate, Value
from nas.space.network import Network
from tests.report.test_report import printed
from tests.runs import make_run
from tests.search.small_tasks import SMALL, CountingPricer, FormulaEvaluator, settings_for, small_space

OBJECTIVES = ("accuracy", "robust-accuracy", "latency")
QUICK = {"epochs": 1, "data_share": 0.2, "resolution_share": 1.0}


class RobustFormula(FormulaEvaluator):
    """The robust accuracy falls where the accuracy rises."""

    def estimate(self, network: Network, hyperparameters: Mapping[str, Value], **given: object) -> Estimate:
        found = super().estimate(network, hyperparameters, **given)
        kernel = int(Candidate.of(hyperparameters).as_dict()["stage1.kernel"])
        return replace(found, robust_accuracy=0.9 - 0.5 * found.value + 0.02 * kernel)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Two networks of the small space, really trained on digits."""
    folder = tmp_path_factory.mktemp("robust")
    (folder / "small.toml").write_text(SMALL)
    return nas.search(
        "raspberry-pi-4", str(folder / "small.toml"), "digits", OBJECTIVES, trials=2, proxy=QUICK, out=folder / "run"
    )


def test_a_search_measures_robust_accuracy_and_keeps_it(run: Run) -> None:
    with (run.path / "trials.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [r["state"] for r in rows] == ["trained", "trained"]
    assert all(0 < float(r["robust_accuracy"]) < 1 and r["robust_accuracy"] != r["accuracy"] for r in rows)
    steps = [float(r["robust_accuracy"]) * 18 * 128 for r in rows]
    assert steps == pytest.approx([round(s) for s in steps], abs=1e-4)  # of 128 images in 18 versions
    assert load_run(run.path).trials == run.trials and run.settings.learned == ("accuracy", "robust_accuracy")
    assert run.front["robust_accuracy"].between(0, 1).all()


def test_a_search_resumed_goes_on_as_one_that_was_not(run: Run, tmp_path: Path) -> None:
    space, out = run.settings.space, tmp_path / "whole"
    whole = nas.search("raspberry-pi-4", space, "digits", OBJECTIVES, trials=3, proxy=QUICK, out=out)
    shutil.copytree(run.path, tmp_path / "run")
    resumed = resume(tmp_path / "run", trials=3)
    for one, other in zip(whole.trials, resumed.trials, strict=True):
        assert (one.candidate, one.accuracy, one.robust_accuracy) == (
            other.candidate, other.accuracy, other.robust_accuracy
        )  # fmt: skip


def test_report_and_pick_tell_it(run: Run) -> None:
    page = nas.report(run, formats=["html"])[0].read_text()
    assert ">robust<" in page and "Robust accuracy is the mean over noise" in page
    best = max(run.trials, key=lambda t: t.robust_accuracy or 0)
    assert f"{100 * (best.robust_accuracy or 0):.1f}% on corrupted images" in pick_text(run, best)
    assert "| robust |" in markdown(run) and re.search(r"\brobust\b", printed(run))
    assert nas.pick(run, min_robust_accuracy=best.robust_accuracy) == best
    with pytest.raises(UserError, match=rf"reaches 99% on corrupted images; the best reaches .* \(trial {best.trial},"):
        nas.pick(run, min_robust_accuracy=0.99)


def test_a_run_without_it_has_no_column_on_the_page_and_cannot_be_picked_by_it(tmp_path: Path) -> None:
    other = make_run(tmp_path / "run")
    assert ">robust<" not in nas.report(other, formats=["html"])[0].read_text()
    assert "robust" not in markdown(other) and "robust" not in pick_text(other, other.trials[0])
    with pytest.raises(UserError, match="has no robust accuracy: it was not an objective of the search"):
        nas.pick(other, min_robust_accuracy=0.5)
    with pytest.raises(UserError, match="from 0 to 1; got 2"):
        nas.pick(other, min_robust_accuracy=2.0)


def test_a_table_of_an_older_search_has_no_such_column(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    with (run.path / "trials.csv").open() as file:
        rows = list(csv.DictReader(file))
    with (run.path / "trials.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, [c for c in rows[0] if c != "robust_accuracy"], extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    assert "robust" not in (run.path / "trials.csv").read_text() and load_run(run.path).trials == run.trials


@pytest.mark.parametrize("sampler", ["pareto", "tpe", "nsga2"])
def test_two_learned_objectives_form_one_front(tmp_path: Path, sampler: str) -> None:
    space = small_space(tmp_path)
    settings = settings_for(space, objectives=OBJECTIVES, sampler=sampler, trials=14)
    run = search(space, CountingPricer(space), RobustFormula(), settings, tmp_path / "run")
    values = np.array([[-t.accuracy, -(t.robust_accuracy or 0), t.costs.latency_ms] for t in run.trials if t.accuracy])
    assert len(values) == 14
    on_front = {t.trial for t, on in zip(run.trials, non_dominated(values), strict=True) if on}
    assert {t.trial for t in run.front_trials} == on_front
    assert any(t.robust_accuracy == max(u.robust_accuracy or 0 for u in run.trials) for t in run.front_trials)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (r',"robust_accuracy":0\.\d+', "", "result must have robust_accuracy, an objective of the run"),
        (r'"robust_accuracy":0\.\d+', '"robust_accuracy":17', "robust_accuracy must be a fraction from 0 to 1; got 17"),
        (r'"robust_accuracy":0\.\d+', '"robust_accuracy":"high"', "robust_accuracy must be a fraction from 0 to 1"),
    ],
)
def test_a_journal_without_it_is_refused(tmp_path: Path, old: str, new: str, message: str) -> None:
    space = small_space(tmp_path)
    settings = settings_for(space, objectives=OBJECTIVES, sampler="random", trials=2)
    path = search(space, CountingPricer(space), RobustFormula(), settings, tmp_path / "run").path
    text = (path / "journal.log").read_text()
    assert re.search(old, text)
    (path / "journal.log").write_text(re.sub(old, new, text, count=1))
    with pytest.raises(UserError, match=message):
        search(space, CountingPricer(space), RobustFormula(), replace(settings, trials=3), path, resume=True)


def test_trainings_are_not_stopped_by_what_is_measured_at_their_end(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"early stopping compares accuracies .* so robust-accuracy cannot"):
        nas.search("raspberry-pi-4", objectives=OBJECTIVES, early_stopping=True, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()
