"""Searches with a guide: real scores of untrained networks, real trainings of a few."""

from __future__ import annotations

from pathlib import Path

import pytest

import nas
from nas.errors import UserError
from nas.report.pick import choose
from nas.report.ties import preferred
from nas.run import Settings, load_run, read_settings
from nas.search import api, guided
from nas.search.api import resume
from nas.search.progress import Progress
from tests.search.small_tasks import SMALL

QUICK = {"epochs": 1, "data_share": 0.1, "batch_size": 32}


@pytest.fixture(autouse=True)
def few(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nas.estimate.guide.SCORED", 30)
    monkeypatch.setenv("NAS_HOME", str(tmp_path / "home"))


def searched(tmp_path: Path, **given: object) -> nas.Run:
    space = tmp_path / "small.toml"
    space.write_text(SMALL)
    settings = {"guide": "depth+macs", "trials": 4, "proxy": QUICK, "confirm": 0.0, "test": False}
    return nas.search("raspberry-pi-4", str(space), out=tmp_path / "run", **(settings | given))


def test_a_guide_is_made_told_of_and_kept(tmp_path: Path) -> None:
    told: list[Progress] = []
    notes: list[str] = []
    run = searched(tmp_path, on_progress=told.append, on_note=notes.append)
    assert (run.settings.guide, run.settings.guide_networks) == ("depth+macs", 30)
    assert [p.preparing for p in told[:2]] == [("scores of untrained networks", n, 30) for n in (0, 1)]
    assert "guided by depth+macs of 30 untrained networks" in notes
    scores = {t.candidate: t.guide_score for t in run.trials}
    assert all(score is not None and score > 0 for score in scores.values()) and len(set(scores.values())) > 1
    more = resume(tmp_path / "run", trials=5, test=False)
    assert {t.candidate: t.guide_score for t in more.trials}.items() > scores.items()
    assert load_run(tmp_path / "run").trials == more.trials


def test_the_guide_decides_between_networks_that_cannot_be_told_apart(tmp_path: Path) -> None:
    run = searched(tmp_path, trials=6, confirm=0.3)
    ties = choose(run, {}).ties
    picked = nas.pick(run)
    assert picked == preferred(ties) and picked.promise == max(t.promise or 0 for t in ties)
    assert run.settings.guide_weight == pytest.approx(1 / 1.1)
    assert all(0 < (t.promise or 0) < 1.5 for t in run.trials) and len({t.promise for t in run.trials}) > 3
    assert load_run(run.path).trials == run.trials
    assert len(ties) > 1 and all(run.model(t.trial).exists() for t in ties)


def test_a_search_of_fifteen_minutes_has_a_guide_if_the_scores_are_quick(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings("tiny", "", "", "", "digits", 10, ("accuracy", "latency"), "pareto", 0, 1)
    at = tmp_path / "none"
    assert [guided.usual_guide(m, settings, at) for m in (0.0, 5.0, 15.0, 60.0)] == ["", "", "zero-cost", "zero-cost"]
    monkeypatch.setattr(guided, "MOST_TIME", -1.0)
    monkeypatch.setattr(api, "MOST_TIME", -1.0)
    run = searched(tmp_path, guide=None, time="15m", trials=1)
    assert run.settings.guide == "" and run.trials[0].guide_score is None


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"guide": "sawp"}, "unknown score 'sawp'; did you mean 'swap'"),
        ({"guide": 3}, "guide must be text; got 3"),
        ({"guide": "swap", "objectives": ["latency", "params"]}, "guide swap needs the objective accuracy"),
    ],
)
def test_what_no_guide_can_be_is_refused(tmp_path: Path, given: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        searched(tmp_path, **given)
    assert not (tmp_path / "run").exists()


def test_a_folder_that_is_not_free_is_refused_before_anything_is_scored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "mine.txt").write_text("kept")
    monkeypatch.setattr("nas.estimate.guide.make_guide", lambda *given: pytest.fail("scored"))
    with pytest.raises(UserError, match="run"):
        searched(tmp_path)


def test_another_search_in_the_folder_is_refused_before_anything_is_scored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    searched(tmp_path, trials=1)
    monkeypatch.setattr("nas.estimate.guide.make_guide", lambda *given: pytest.fail("scored"))
    with pytest.raises(UserError, match="choose another folder"):
        searched(tmp_path, trials=1, seed=1)


def test_another_guide_is_another_run(tmp_path: Path) -> None:
    searched(tmp_path, trials=1)
    assert read_settings(tmp_path / "run").guide == "depth+macs"
    with pytest.raises(UserError):
        searched(tmp_path, trials=1, guide="naswot")
