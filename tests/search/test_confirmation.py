"""Searches whose accuracies are noisy: networks trained again with other seeds, and the front of what is expected."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nas.errors import UserError
from nas.models.trained import load_trial
from nas.run import Run, load_run, model_folder, pareto_trials, read_curves, read_errors
from nas.search import contenders
from nas.search.confirmation import Confirmation
from nas.search.journal import Journal
from nas.search.loop import search
from nas.search.progress import Progress
from nas.search.settings import training_seed
from nas.search.trainings import Trainings
from nas.space.search_space import SearchSpace, load_space
from tests.runs import trial
from tests.search.small_tasks import CountingPricer, FormulaEvaluator, formula, settings_for, small_space

NOISE, IMAGES = 0.03, 200


@pytest.fixture
def tiny() -> SearchSpace:
    return load_space("tiny")


def noisy(space: SearchSpace, path: Path, evaluator: FormulaEvaluator | None = None, **changed: object) -> Run:
    """A search of 20 trials, with 8 more trainings."""
    settings = settings_for(space, **{"sampler": "random", "validation_images": IMAGES, "confirm": 0.4} | changed)
    return search(space, CountingPricer(space), evaluator or FormulaEvaluator(noise=NOISE), settings, path)


def told(run: Run) -> list[tuple[object, ...]]:
    """What must be equal in equal runs: everything but the clock."""
    return [
        (t.trial, t.state, t.candidate, t.accuracy, t.seed, t.trainings, t.expected_accuracy, t.accuracy_deviation,
         t.front_probability, t.test_accuracy) for t in run.trials
    ]  # fmt: skip


def test_a_share_of_the_trials_confirms_the_front(tiny: SearchSpace, tmp_path: Path) -> None:
    evaluator, events = FormulaEvaluator(noise=NOISE), list[Progress]()
    settings = settings_for(tiny, sampler="random", validation_images=IMAGES, confirm=0.4)
    run = search(tiny, CountingPricer(tiny), evaluator, settings, tmp_path / "run", on_progress=events.append)
    assert len(evaluator.seen) == 28 and len(set(evaluator.seen)) == 20 == len(run.trials)
    assert sum(t.trainings for t in run.trials) == 28 and run.proposals == {"train": 20}
    quality, repeated = run.rank_quality, [t for t in run.trials if t.trainings > 1]
    assert quality is not None and (quality.networks, quality.repeated) == (20, len(repeated))
    assert 0 < quality.two_trainings < quality.one_training < 1
    assert [(e.confirmed, e.confirming) for e in events if e.confirming] == [(i, 8) for i in range(1, 9)]
    assert events[-1].done == 20
    for t in run.trials:
        assert t.expected_accuracy is not None and t.accuracy_deviation and t.front_probability is not None
        assert t.seconds > 0
    reported = [t.trial for t in run.front_trials]
    assert {t.trial for t in pareto_trials(run.trials, run.settings)} == {*reported, *(t.trial for t in run.left_off)}
    assert run.left_off and events[-1].front == len(reported)  # the progress counts as the report does
    summary = json.loads((run.path / "pareto.json").read_text())
    assert [row["trial"] for row in summary["front"]] == reported
    assert summary["left_off"] == [t.trial for t in run.left_off]
    assert all((t.front_probability or 0) > 0.1 for t in run.front_trials)
    often = [t for t in run.trials if t.trainings > 1]
    assert np.mean([t.front_probability or 0 for t in often]) > np.mean([t.front_probability or 0 for t in run.trials])


def test_the_samplers_study_holds_each_replicate_as_an_observation_of_its_own(
    tiny: SearchSpace, tmp_path: Path
) -> None:  # fmt: skip
    run = noisy(tiny, tmp_path / "run")
    trials = Journal(tmp_path / "run", run.settings).trials()
    again = [t for t in trials if t.user_attrs["kind"] == "replicate"]
    assert len(again) == 8 and all(t.state.name == "COMPLETE" for t in again)
    for t in again:
        first = next(
            f for f in trials if f.user_attrs["kind"] == "train" and f.user_attrs["trial"] == t.user_attrs["trial"]
        )
        assert t.params == first.params and t.user_attrs["seed"] != first.user_attrs["seed"]
        assert t.values[0] != first.values[0] and t.values[1:] == first.values[1:]
        assert t.values[0] == t.user_attrs["result"]["accuracy"]
    seeds = [t.user_attrs["seed"] for t in trials if t.user_attrs["kind"] in ("train", "replicate")]
    assert len(set(seeds)) == 28


def test_nothing_is_confirmed_where_accuracies_are_exact_or_nobody_asked(tiny: SearchSpace, tmp_path: Path) -> None:
    exact = noisy(tiny, tmp_path / "exact", FormulaEvaluator(), validation_images=0)
    assert all(t.trainings == 1 and t.expected_accuracy is None for t in exact.trials)
    unasked = noisy(tiny, tmp_path / "unasked", confirm=0.0)
    assert all(t.trainings == 1 and t.expected_accuracy is not None for t in unasked.trials)
    costs_only = noisy(tiny, tmp_path / "costs", objectives=("latency", "params"))
    assert all(t.trainings == 1 and t.expected_accuracy is None for t in costs_only.trials)


def test_a_search_interrupted_while_it_confirms_comes_to_the_same_end(tiny: SearchSpace, tmp_path: Path) -> None:
    whole = noisy(tiny, tmp_path / "whole")
    evaluator = FormulaEvaluator(noise=NOISE)

    def interrupt(progress: Progress) -> None:
        if progress.trial and (progress.done, progress.confirmed) in ((7, 0), (20, 1), (20, 5)):
            raise KeyboardInterrupt

    settings = settings_for(tiny, sampler="random", validation_images=IMAGES, confirm=0.4)
    for attempt in range(4):
        try:
            search(
                tiny, CountingPricer(tiny), evaluator, settings, tmp_path / "cut", resume=attempt > 0,
                on_progress=interrupt,
            )  # fmt: skip
        except KeyboardInterrupt:
            assert attempt < 3
    assert told(load_run(tmp_path / "cut")) == told(whole) and len(evaluator.seen) == 28
    again = search(tiny, CountingPricer(tiny), evaluator, settings, tmp_path / "cut", resume=True)
    assert told(again) == told(whole) and len(evaluator.seen) == 28
    assert again.rank_quality == whole.rank_quality is not None
    more = replace(settings, trials=25, confirm=0.5)
    longer = search(tiny, CountingPricer(tiny), evaluator, more, tmp_path / "cut", resume=True)
    assert len(longer.trials) == 25 and sum(t.trainings for t in longer.trials) == 25 + 12
    assert len(evaluator.seen) == 37


def test_every_network_on_the_front_can_be_built_and_tests_are_of_its_weights(
    tiny: SearchSpace, tmp_path: Path
) -> None:  # fmt: skip
    run = noisy(tiny, tmp_path / "run", FormulaEvaluator(noise=NOISE, weights=True), seed=2)
    check_weights(tiny, run)
    raw = pareto_trials([replace(t, expected_accuracy=None) for t in run.trials], run.settings)
    assert {t.trial for t in raw} != {t.trial for t in run.front_trials}  # the raw front alone would not do


def check_weights(space: SearchSpace, run: Run) -> None:
    """The weights of each network of the front are there, and have the accuracy that the tables say."""
    assert run.front_trials
    for t in run.front_trials:
        model = load_trial(run.path, t.trial)
        assert model.network == space.network(t.candidate)
        assert float(model.weights["classifier.bias"][0]) == pytest.approx(t.accuracy)
        assert t.test_accuracy == pytest.approx((t.accuracy or 0) - 0.01)


def test_weights_that_were_not_kept_are_trained_anew(
    tiny: SearchSpace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the raw front's are kept here: what belongs on the front after all is trained with a seed of its own."""
    monkeypatch.setattr(contenders, "MARGIN", 0.0)
    settings = settings_for(tiny, sampler="random", validation_images=IMAGES)
    evaluator = FormulaEvaluator(noise=NOISE, weights=True)
    run = search(tiny, CountingPricer(tiny), evaluator, settings, tmp_path / "run")
    check_weights(tiny, run)
    anew = [t for t in run.trials if t.seed != training_seed(1, t.candidate)]
    assert anew and all(t.trainings == 2 for t in anew) and len(evaluator.seen) == 20 + len(anew)
    again = search(tiny, CountingPricer(tiny), evaluator, settings, tmp_path / "run", resume=True)
    assert [t[:-1] for t in told(again)] == [t[:-1] for t in told(run)] and len(evaluator.seen) == 20 + len(anew)
    check_weights(tiny, again)


def test_a_network_whose_trainings_with_other_seeds_fail_is_a_failure(
    tiny: SearchSpace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contenders, "MARGIN", 0.0)

    class Failing(FormulaEvaluator):
        def estimate(self, network, hyperparameters, *, seed, on_epoch=None):  # type: ignore[no-untyped-def]
            if len(self.seen) >= 20:
                self.seen.append(None)  # type: ignore[arg-type]
                raise RuntimeError("out of memory")
            return super().estimate(network, hyperparameters, seed=seed)

    run = noisy(tiny, tmp_path / "run", Failing(noise=NOISE, weights=True), confirm=0.0)
    failed = [t for t in run.trials if t.state == "failed"]
    assert failed and all(t.accuracy is None and t.expected_accuracy is None for t in failed)
    assert set(read_errors(run.path).values()) == {"3 trainings with other seeds failed"}
    assert read_curves(run.path).keys() == {t.trial for t in run.trials}
    check_weights(tiny, run)


def test_few_weights_are_kept_beside_the_fronts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contenders, "MOST", 3)
    space, most = small_space(tmp_path), 0

    def count(progress: Progress) -> None:
        nonlocal most
        if progress.trial and not progress.confirmed:
            most = max(most, len(list((tmp_path / "run/models").iterdir())) - progress.front)

    settings = settings_for(space, sampler="random", trials=40, validation_images=IMAGES)
    evaluator = FormulaEvaluator(noise=NOISE, weights=True)
    run = search(space, CountingPricer(space), evaluator, settings, tmp_path / "run", on_progress=count)
    assert 1 <= most <= 3
    check_weights(space, run)
    sure = [t for t in run.trials if (t.front_probability or 0) < 0.05 and t.test_accuracy is None]
    assert sure and not any(model_folder(run.path, t.trial).exists() for t in sure)


def test_the_expected_front_is_truer_than_the_raw_one(tmp_path: Path) -> None:
    """The winner's curse: what is measured highest was lucky."""
    space, raw_loss, loss = small_space(tmp_path), list[float](), list[float]()
    for seed in range(6):
        run = noisy(space, tmp_path / f"run{seed}", seed=seed, trials=40, confirm=0.25)
        truth = {t.trial: formula(space.network(t.candidate), t.candidate) for t in run.trials}
        first = [replace(t, expected_accuracy=None) for t in run.trials if t.trainings == 1]
        first += [replace(t, expected_accuracy=None, accuracy=t.accuracy) for t in run.trials if t.trainings > 1]
        raw_loss += [(t.accuracy or 0) - truth[t.trial] for t in pareto_trials(first, run.settings)]
        loss += [(t.expected_accuracy or 0) - truth[t.trial] for t in run.front_trials]
    assert np.mean(raw_loss) > 0.01  # points on the front promise too much
    assert abs(np.mean(loss)) < 0.3 * np.mean(raw_loss)


def test_early_stopping_has_no_part_in_trainings_with_other_seeds(tmp_path: Path) -> None:
    space = small_space(tmp_path)
    settings = settings_for(
        space, sampler="random", trials=24, early_stopping=True, proxy={"epochs": 8}, validation_images=IMAGES,
        confirm=0.25, objectives=("accuracy", "latency"),
    )  # fmt: skip
    run = search(space, CountingPricer(space), FormulaEvaluator(noise=NOISE, epochs=8), settings, tmp_path / "run")
    assert {t.state for t in run.trials} == {"trained", "stopped"} and len(run.trials) == 24
    again = [t for t in Journal(run.path, run.settings).trials() if t.user_attrs["kind"] == "replicate"]
    assert len(again) == 6 and all(len(t.user_attrs["result"]["curve"]) == 8 for t in again)
    assert all(t.expected_accuracy is None for t in run.trials if t.state == "stopped")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (r'"trial":\d+', '"trial":17', "must train the network of trial 17 again"),
        (r'"trial":\d+', '"trial":2', "must train the network of trial 2 again"),
        (r'"seed":\d+', '"keeps":"yes","seed":3', "keeps must be true or false"),
        (r'"kind":"replicate"', '"kind":"repeat"', "kind must be one of train, duplicate, infeasible, replicate"),
    ],
)
def test_a_replicate_that_no_search_wrote_is_refused(tmp_path: Path, old: str, new: str, message: str) -> None:
    space = small_space(tmp_path)
    run = noisy(space, tmp_path / "run", trials=3, confirm=0.4)
    journal = run.path / "journal.log"
    head, kind, tail = journal.read_text().partition('"kind":"replicate"')
    changed = head + re.sub(old, new, kind + tail, count=1)
    assert changed != journal.read_text()
    journal.write_text(changed)
    with pytest.raises(UserError, match=message) as caught:
        noisy_again(space, run)
    assert str(caught.value).startswith(f"{journal} is broken") and journal.read_text() == changed


def noisy_again(space: SearchSpace, run: Run) -> Run:
    return search(space, CountingPricer(space), FormulaEvaluator(), run.settings, run.path, resume=True)


def test_the_fronts_networks_come_first_when_few_trainings_are_left(tmp_path: Path) -> None:
    space = small_space(tmp_path)
    settings = settings_for(
        space, validation_images=IMAGES, objectives=("accuracy", "latency"), reference_point={"latency_ms": 100.0}
    )
    rng, trainings = np.random.default_rng(0), Trainings()
    for number, ms in enumerate((1.0, 2.0, 4.0, 4.1, 4.2)):
        accuracy = (0.5, 0.7, 0.9, 0.9, 0.895)[number]
        trainings.add(replace(trial(number, accuracy, ms, 1.0), candidate=space.sample(rng)))
    confirmation = Confirmation(space, settings, trainings)
    assert confirmation.update() and not confirmation.update()
    chosen = confirmation.next(5, 1e9, set())
    assert chosen is not None and chosen.trial in (2, 3, 4)  # who of these three is on the front, nobody knows
    front = {t.trial for t in pareto_trials(confirmation.trials, settings)}
    last = confirmation.next(1, 1e9, set())
    assert last is not None and last.trial in front
    assert confirmation.next(0, 1e9, set()) is None and confirmation.next(5, 1.0, set()) is None  # each takes 1.5 s
    busy = confirmation.next(5, 1e9, {chosen.trial})
    assert busy is not None and busy.trial != chosen.trial
