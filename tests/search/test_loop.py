"""The search loop on real spaces and real Optuna, with accuracies that cost nothing."""

from __future__ import annotations

import csv
import time
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from nas.errors import UserError
from nas.estimate.estimator import OnPrepare
from nas.pareto import non_dominated
from nas.report import FORMATS, write_report
from nas.run import Run, load_run, locked, read_curves
from nas.search.journal import Journal
from nas.search.loop import search
from nas.search.progress import Progress
from nas.search.samplers.by_name import SAMPLERS
from nas.space.search_space import SearchSpace, load_space
from tests.full_disk import small_files
from tests.kills import run_kills
from tests.search.small_tasks import (
    CountingPricer,
    FormulaEvaluator,
    TableEvaluator,
    formula,
    settings_for,
    small_space,
)
from tests.shared_data import shared_data


@pytest.fixture
def tiny() -> SearchSpace:
    return load_space("tiny")


def rows(run: Run) -> list[tuple[object, ...]]:
    """What must be equal in equal runs: everything but the clock."""
    return [(t.trial, t.candidate, t.accuracy, t.seed, t.costs) for t in run.trials]


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_search_trains_as_many_new_candidates_as_asked(tiny: SearchSpace, tmp_path: Path, sampler: str) -> None:
    evaluator, events = FormulaEvaluator(weights=True), list[Progress]()
    settings = settings_for(tiny, sampler=sampler)
    run = search(tiny, CountingPricer(tiny), evaluator, settings, tmp_path / "run", on_progress=events.append)

    assert [t.trial for t in run.trials] == list(range(20))
    assert len(set(evaluator.seen)) == len(evaluator.seen) == 20
    objectives = np.array([[-t.accuracy, t.costs.latency_ms, t.costs.energy_mj] for t in run.trials if t.accuracy])
    on_front = {t.trial for t, on in zip(run.trials, non_dominated(objectives), strict=True) if on}
    assert {t.trial for t in run.front_trials} == on_front == set(run.front["trial"])
    assert {int(f.name) for f in (tmp_path / "run/models").iterdir()} == on_front
    assert len(evaluator.tested) == len(on_front)  # the test split meets the front alone, and only once
    for t in run.trials:
        assert t.test_accuracy == (pytest.approx(t.accuracy - 0.01) if t.trial in on_front else None)
    assert read_curves(run.path)[7][0]["validation_accuracy"] == pytest.approx(run.trials[7].accuracy, abs=1e-8)
    assert (events[0].done, events[-1].done, events[-1].total, events[-1].front) == (0, 20, 20, len(on_front))
    assert [e.hypervolume for e in events] == sorted(e.hypervolume for e in events)
    assert 0 < events[-1].hypervolume < 1
    assert run.settings.reference_point.keys() == {"latency_ms", "energy_mj"}
    assert run.settings.versions.keys() == {"python", "nas", "torch", "timm", "optuna", "botorch"}


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_equal_seeds_give_equal_trials_also_when_interrupted(tiny: SearchSpace, tmp_path: Path, sampler: str) -> None:
    budgets = {"max_latency_ms": 6.0}
    settings = settings_for(tiny, sampler=sampler, trials=20, budgets=budgets)
    whole = search(tiny, CountingPricer(tiny), FormulaEvaluator(), settings, tmp_path / "whole")
    evaluator = FormulaEvaluator()

    def interrupt(progress: Progress) -> None:
        if progress.done in (4, 11, 15) and progress.trial:
            raise KeyboardInterrupt

    for attempt in range(4):
        resume = attempt > 0
        if attempt == 3:
            search(tiny, CountingPricer(tiny), evaluator, settings, tmp_path / "cut", resume=True)
        else:
            with pytest.raises(KeyboardInterrupt, match="of 20 trials; --resume goes on"):
                search(
                    tiny, CountingPricer(tiny), evaluator, settings, tmp_path / "cut", resume=resume,
                    on_progress=interrupt,
                )  # fmt: skip
    assert rows(load_run(tmp_path / "cut")) == rows(whole)
    assert len(evaluator.seen) == 20
    other = search(tiny, CountingPricer(tiny), evaluator, replace(settings, seed=2, trials=3), tmp_path / "other")
    assert rows(other)[:3] != rows(whole)[:3]


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("limit", [20.0, 1.0])
def test_nothing_over_budget_is_ever_trained(tiny: SearchSpace, tmp_path: Path, sampler: str, limit: float) -> None:
    """A latency of 1 ms leaves less than one random candidate in a hundred."""
    evaluator = FormulaEvaluator()
    settings = settings_for(tiny, sampler=sampler, budgets={"max_latency_ms": limit, "max_params": 300_000})
    run = search(tiny, CountingPricer(tiny), evaluator, settings, tmp_path / "run")
    assert len(run.trials) == len(evaluator.seen) == 20
    for candidate in evaluator.seen:
        network = tiny.network(candidate)
        assert network.macs / 1e6 * (1.0 if candidate.precision == "fp32" else 0.5) <= limit
        assert network.params <= 300_000


class Labelled(FormulaEvaluator):
    """Trains five labels before its first estimate."""

    def prepare(self, on_progress: OnPrepare | None = None) -> None:
        assert on_progress is not None
        for done in range(6):
            on_progress(done, 5, "labels")


def test_what_an_estimator_prepares_is_told_before_the_first_trial(tmp_path: Path) -> None:
    space, events = small_space(tmp_path), list[Progress]()
    settings = settings_for(space, trials=3)
    search(space, CountingPricer(space), Labelled(), settings, tmp_path / "run", on_progress=events.append)
    assert [e.preparing for e in events] == [("labels", done, 5) for done in range(6)] + [None] * 4
    assert [(e.done, e.total) for e in events] == [(0, 3)] * 7 + [(1, 3), (2, 3), (3, 3)]


def test_budgets_that_nothing_meets_say_what_can_be_reached(tmp_path: Path) -> None:
    space = small_space(tmp_path)
    codes = product(range(3), range(2), range(2), range(3), [0, 1])
    everything = [space.network(space.decode(np.array(code))) for code in codes]
    least_ms, least_params = min(n.macs for n in everything) / 2e6, min(n.params for n in everything)
    settings = settings_for(space, budgets={"max_latency_ms": least_ms * 0.9, "max_params": 1e9})
    with pytest.raises(UserError) as caught:
        search(space, CountingPricer(space), FormulaEvaluator(), settings, tmp_path / "run")
    assert f"latency {least_ms:.4g} ms (budget" in str(caught.value)
    assert f"params {least_params:.4g} (budget 1e+09)" in str(caught.value)
    assert not (tmp_path / "run").exists()
    settings = settings_for(space, trials=1, budgets={"max_latency_ms": least_ms})
    assert len(search(space, CountingPricer(space), FormulaEvaluator(), settings, tmp_path / "run").trials) == 1


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_space_that_is_used_up_ends_the_search(tmp_path: Path, sampler: str) -> None:
    space, events = small_space(tmp_path), list[Progress]()
    settings = settings_for(space, sampler=sampler, trials=500)
    run = search(
        space, CountingPricer(space), FormulaEvaluator(), settings, tmp_path / "run", on_progress=events.append
    )
    assert len(run.trials) == 72 == len({t.candidate for t in run.trials})
    assert "all 72 feasible candidates" in events[-1].note


def test_duplicates_are_told_what_is_known(tmp_path: Path) -> None:
    space = small_space(tmp_path)
    evaluator, settings = FormulaEvaluator(), settings_for(space, sampler="random", trials=50)
    run = search(space, CountingPricer(space), evaluator, settings, tmp_path / "run")
    journal = Journal(tmp_path / "run", settings).trials()
    trained = {str(t.user_attrs["candidate"]): t.values for t in journal if t.user_attrs["kind"] == "train"}
    duplicates = [t for t in journal if t.user_attrs["kind"] == "duplicate"]
    assert run.proposals == {"train": 50, "duplicate": len(duplicates)}
    assert len(duplicates) > 10 and len(trained) == len(evaluator.seen) == 50
    assert all(t.values == trained[str(t.user_attrs["candidate"])] for t in duplicates)


@pytest.mark.parametrize(
    "objectives", [("accuracy",), ("accuracy", "params"), ("latency", "size", "peak-memory", "macs")]
)
def test_any_subset_of_objectives(tmp_path: Path, objectives: tuple[str, ...]) -> None:
    space = small_space(tmp_path)
    settings = settings_for(space, objectives=objectives)
    run = search(space, CountingPricer(space), FormulaEvaluator(), settings, tmp_path / "run")
    assert len(run.trials) == 20 and len(run.front_trials) >= 1
    if objectives == ("accuracy",):
        assert [t.accuracy for t in run.front_trials] == [max(t.accuracy or 0 for t in run.trials)]


def test_a_device_without_energy_cannot_have_it_as_objective(tmp_path: Path) -> None:
    space = small_space(tmp_path)
    pricer = CountingPricer(space, energy=False)
    with pytest.raises(UserError, match="device counter has no energy for space small"):
        search(space, pricer, FormulaEvaluator(), settings_for(space), tmp_path / "run")
    settings = settings_for(space, objectives=("accuracy", "latency"))
    run = search(space, pricer, FormulaEvaluator(), settings, tmp_path / "run")
    assert all(t.costs.energy_mj is None for t in run.trials)


def test_the_time_limit_ends_a_search_that_can_be_resumed(
    tiny: SearchSpace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each training takes a quarter of the one second; a fifth would end after it."""
    now = [0.0]
    settings, events = settings_for(tiny, trials=1000, max_minutes=1 / 60), list[Progress]()
    with monkeypatch.context() as patch:
        patch.setattr(time, "monotonic", lambda: now[0])
        patch.setattr(time, "sleep", lambda seconds: now.__setitem__(0, now[0] + seconds))
        run = search(
            tiny, CountingPricer(tiny), FormulaEvaluator(seconds=0.25), settings, tmp_path / "run",
            on_progress=events.append,
        )  # fmt: skip
    assert len(run.trials) == 4 and now[0] == 1.0
    assert events[-1].note == "stopped after 1 s"
    again = replace(settings, trials=len(run.trials) + 2, max_minutes=0.0)
    resumed = search(tiny, CountingPricer(tiny), FormulaEvaluator(), again, tmp_path / "run", resume=True)
    assert rows(resumed)[: len(run.trials)] == rows(run) and len(resumed.trials) == len(run.trials) + 2


def test_a_training_that_fails_is_recorded_and_three_in_a_row_end_the_search(tiny: SearchSpace, tmp_path: Path) -> None:
    class Failing(FormulaEvaluator):
        def estimate(self, network, hyperparameters, *, seed, on_epoch=None):  # type: ignore[no-untyped-def]
            estimate = super().estimate(network, hyperparameters, seed=seed)
            if len(self.seen) in self.bad:
                raise RuntimeError("out of memory")
            return estimate

    evaluator = Failing()
    evaluator.bad = {2, 4}  # type: ignore[attr-defined]
    run = search(tiny, CountingPricer(tiny), evaluator, settings_for(tiny, trials=9), tmp_path / "run")
    assert [t.trial for t in run.trials if t.state == "failed"] == [1, 3] and len(run.trials) == 9
    evaluator = Failing()
    evaluator.bad = {3, 4, 5}  # type: ignore[attr-defined]
    with pytest.raises(UserError, match="3 trainings in a row failed, the last, trial 4: out of memory"):
        search(tiny, CountingPricer(tiny), evaluator, settings_for(tiny), tmp_path / "bad")


def test_a_folder_of_something_else_is_refused(tiny: SearchSpace, tmp_path: Path) -> None:
    def start(path: Path, *, resume: bool = False, **changed: object) -> Run:
        settings = settings_for(tiny, **{"trials": 2} | changed)
        return search(tiny, CountingPricer(tiny), FormulaEvaluator(), settings, path, resume=resume)

    (tmp_path / "other").mkdir()
    (tmp_path / "other/thesis.tex").write_text("dear")
    (tmp_path / "file").write_text("dear")
    for name in ("other", "file"):
        with pytest.raises(UserError, match="is not a run folder"):
            start(tmp_path / name)
    with pytest.raises(UserError, match=r"it has no run\.toml"):
        start(tmp_path / "nothing", resume=True)
    assert [p.name for p in (tmp_path / "other").iterdir()] == ["thesis.tex"]
    start(tmp_path / "run")
    with pytest.raises(UserError, match="holds a run already"):
        start(tmp_path / "run")
    with pytest.raises(UserError, match="another run: its device is counter, not abacus"):
        start(tmp_path / "run", resume=True, device="abacus")
    with pytest.raises(UserError, match="another run: its budgets"):
        start(tmp_path / "run", resume=True, budgets={"max_params": 1e6})


def test_a_second_search_on_the_same_folder_is_refused(tiny: SearchSpace, tmp_path: Path) -> None:
    path = tmp_path / "run"
    settings = settings_for(tiny, trials=2)
    search(tiny, CountingPricer(tiny), FormulaEvaluator(), settings, path)
    with locked(path), pytest.raises(UserError, match="another search is running"):
        search(tiny, CountingPricer(tiny), FormulaEvaluator(), settings, path, resume=True)
    search(tiny, CountingPricer(tiny), FormulaEvaluator(), replace(settings, trials=3), path, resume=True)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"objectives": ()}, "needs an objective"),
        ({"objectives": ("acuracy",)}, "did you mean 'accuracy'"),
        ({"objectives": ("latency", "latency")}, "given twice"),
        ({"sampler": "nsga3"}, "did you mean 'nsga2'"),
        ({"sampler": "pareto", "objectives": ("accuracy",)}, "needs 2 to 4 objectives; got 1"),
        ({"trials": 0}, "at least 1 trial"),
        ({"budgets": {"max_latency": 3.0}}, "did you mean 'max_latency_ms'"),
        ({"budgets": {"max_latency_ms": 0.0}}, "must be above 0"),
        ({"budgets": {"max_latency_ms": float("nan")}}, "must be above 0"),
        ({"max_minutes": -1.0}, "max_minutes"),
        ({"seed": -1}, "seed must be 0 or more"),
    ],
)
def test_settings_that_no_search_can_have(
    tiny: SearchSpace, tmp_path: Path, changed: dict[str, object], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        search(tiny, CountingPricer(tiny), FormulaEvaluator(), settings_for(tiny, **changed), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_full_disk_is_one_line_and_the_run_goes_on_later(tiny: SearchSpace, tmp_path: Path) -> None:
    path = tmp_path / "run"
    with small_files(40_000), pytest.raises(UserError, match=r"^cannot write .*\Z"):
        search(tiny, CountingPricer(tiny), FormulaEvaluator(), settings_for(tiny, trials=30), path)
    held = load_run(path)
    assert 3 < len(held.trials) < 30
    assert not list(path.glob(".*.part"))
    run = search(tiny, CountingPricer(tiny), FormulaEvaluator(), settings_for(tiny, trials=30), path, resume=True)
    assert rows(run)[: len(held.trials)] == rows(held)
    fresh = search(tiny, CountingPricer(tiny), FormulaEvaluator(), settings_for(tiny, trials=30), tmp_path / "whole")
    assert rows(run) == rows(fresh)


def test_kill_9_loses_nothing_and_repeats_nothing(
    tiny: SearchSpace, tmp_path: Path, pytestconfig: pytest.Config
) -> None:  # fmt: skip
    path, log, few = tmp_path / "run", tmp_path / "evaluated.txt", 16 if pytestconfig.getoption("--every-kill") else 12
    (found,) = run_kills("tests.search.repeated_kills", path, log, str(few))
    assert found == {"moments": few, "wrong": {}}
    assert len(load_run(path).trials) > 2 * few
    settings = settings_for(tiny, trials=150, budgets={"max_latency_ms": 6.0})
    run = search(tiny, CountingPricer(tiny), FormulaEvaluator(log=log), settings, path, resume=True)
    evaluated = log.read_text().splitlines()
    assert len(set(evaluated)) == 150 == len(run.trials)
    assert len(evaluated) <= 150 + few  # only what was in training when a process died is trained again
    whole = search(tiny, CountingPricer(tiny), FormulaEvaluator(), settings, tmp_path / "whole")
    assert rows(run) == rows(whole)
    for t in run.trials:
        assert t.accuracy == pytest.approx(formula(tiny.network(t.candidate), t.candidate), abs=1e-8)


def test_a_report_beside_a_running_search_changes_nothing_of_the_searchs_files(
    tiny: SearchSpace, tmp_path: Path
) -> None:  # fmt: skip
    """The report reads a snapshot; by the time it writes, the search is further: eight trials became five."""
    path, settings = tmp_path / "run", settings_for(tiny, trials=8)
    snapshots: list[Run] = []

    def report(progress: Progress) -> None:
        if progress.done == 5:
            snapshots.append(load_run(path))
        if progress.done == 8 and progress.trial:
            before = {p: p.read_bytes() for p in path.rglob("*") if p.is_file()}
            write_report(snapshots[0], FORMATS)
            assert {p: p.read_bytes() for p in before} == before

    run = search(tiny, CountingPricer(tiny), FormulaEvaluator(weights=True), settings, path, on_progress=report)
    assert len(snapshots[0].trials) == 5 and len(run.trials) == 8
    assert {"report.html", "report.md", "front.png", "front.csv", "front.json"} <= {p.name for p in path.iterdir()}
    write_report(run)
    assert load_run(path) == run


def test_half_a_line_at_the_end_of_the_journal_is_dropped(
    tiny: SearchSpace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, settings = tmp_path / "run", settings_for(tiny, trials=3)
    whole = search(tiny, CountingPricer(tiny), FormulaEvaluator(), settings, path)
    journal = path / "journal.log"
    journal.write_bytes(journal.read_bytes() + b'{"op_code":4,"worker')
    (path / "journal.log.lock").symlink_to(journal)  # of a process that died while it wrote
    waits: list[float] = []
    with monkeypatch.context() as patch:
        patch.setattr(time, "sleep", waits.append)
        run = search(tiny, CountingPricer(tiny), FormulaEvaluator(), replace(settings, trials=5), path, resume=True)
    assert sum(waits) < 5  # Optuna alone would wait 30 s for the lock
    assert rows(run)[:3] == rows(whole) and len(run.trials) == 5
    journal.write_bytes(b"nonsense\n" + journal.read_bytes())
    with pytest.raises(UserError, match=r"journal\.log is broken"):
        search(tiny, CountingPricer(tiny), FormulaEvaluator(), replace(settings, trials=6), path, resume=True)


def test_what_learns_finds_a_better_front_than_chance_on_nas_bench_macro(tmp_path: Path) -> None:
    """True accuracies against latency, 50 of 3,969 networks, the mean of two seeds."""
    table = shared_data("nas_bench_macro/nas_bench_macro.csv")
    with table.open() as file:
        accuracies = {row["arch"]: float(row["mean_acc"]) / 100 for row in csv.DictReader(file)}
    space = load_space("nas-bench-macro")
    volume = dict.fromkeys(("pareto", "nsga2", "random"), 0.0)
    for sampler, seed in product(volume, range(2)):
        settings = settings_for(space, sampler=sampler, seed=seed, trials=50, objectives=("accuracy", "latency"))
        path = tmp_path / f"{sampler}{seed}"
        run = search(space, CountingPricer(space), TableEvaluator(accuracies), settings, path, test=False)
        volume[sampler] += run.hypervolume / 2
    assert volume["pareto"] > volume["nsga2"] > volume["random"]
