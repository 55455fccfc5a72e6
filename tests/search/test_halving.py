"""Early stopping by Pareto rank, alone and in a search."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest

from nas.run import Run, load_run, read_curves
from nas.search.halving import EarlyStopping
from nas.search.loop import search
from nas.search.progress import Progress
from nas.space.search_space import load_space
from tests.search.small_tasks import CountingPricer, FormulaEvaluator, settings_for


def filled(epochs: int = 8) -> EarlyStopping:
    """Ten trials with costs from 1 to 10 ms, the dearer the better, each 5 points better after four more epochs."""
    rule = EarlyStopping(epochs)
    for k in range(10):
        accuracies = [0.50 + 0.03 * k] * 4 + [0.55 + 0.03 * k] * 4
        for epoch, accuracy in enumerate(accuracies, start=1):
            assert not rule.report(k, epoch, accuracy, (1.0 + k,))  # all are on the front
    return rule


def test_rungs_are_after_a_quarter_and_half_of_the_epochs() -> None:
    assert [EarlyStopping(n).rungs for n in (1, 2, 3, 6, 20)] == [[], [1], [1, 2], [2, 3], [5, 10]]


def test_what_half_of_the_others_beat_is_stopped_and_what_is_cheap_or_good_is_not() -> None:
    rule = filled()
    assert not rule.report(20, 1, 0.01, (9.0,))  # no rung
    assert rule.report(20, 2, 0.01, (9.0,))  # nine are better and cheaper: but they are one front
    assert not rule.report(21, 1, 0.01, (0.5,)) and not rule.report(21, 2, 0.01, (0.5,))  # the cheapest of all
    assert not rule.report(22, 1, 0.99, (50.0,)) and not rule.report(22, 2, 0.99, (50.0,))  # the best of all


def test_a_trial_on_the_second_front_of_three_goes_on() -> None:
    rule = EarlyStopping(8)
    for k in range(4):
        rule.add(k, [0.6] * 2, (1.0 + k, 4.0 - k))
    for k in range(4, 9):
        rule.add(k, [0.5] * 2, (1.0 + k, 9.0 - k))
    rule.report(30, 1, 0.55, (2.0, 4.0))
    assert not rule.report(30, 2, 0.55, (2.0, 4.0))  # of ten, four lie on a better front


def test_few_trials_stop_nothing() -> None:
    rule = EarlyStopping(8)
    for k in range(6):
        rule.add(k, [0.9] * 8, (1.0,))
    assert not rule.report(7, 1, 0.1, (5.0,)) and not rule.report(7, 2, 0.1, (5.0,))


def test_an_accuracy_that_is_no_number_is_the_worst() -> None:
    rule = filled()
    rule.report(20, 1, math.nan, (9.0,))
    assert rule.report(20, 2, math.nan, (9.0,)) and rule.expected(20) is not None


def test_what_a_stopped_trial_would_have_had() -> None:
    rule = filled()
    rule.report(20, 1, 0.5, (9.0,))
    rule.report(20, 2, 0.5, (9.0,))
    gains = [math.log((0.55 + 0.03 * k) / (0.45 - 0.03 * k)) - math.log((0.5 + 0.03 * k) / (0.5 - 0.03 * k))
             for k in range(10)]  # fmt: skip
    expected = 1 / (1 + math.exp(-sorted(gains)[4] / 2 - sorted(gains)[5] / 2))
    assert rule.expected(20) == pytest.approx(expected)
    assert EarlyStopping(4).rungs == [1, 2]
    alone = EarlyStopping(4)
    alone.report(0, 1, 0.5, (1.0,))
    assert alone.expected(0) is None


def rows(run: Run) -> list[tuple[object, ...]]:
    return [(t.trial, t.state, t.candidate, t.accuracy, t.seed) for t in run.trials]


@pytest.mark.parametrize("sampler", ["pareto", "random"])
def test_a_search_trains_less_and_resumes_as_if_it_had_not_been_stopped(tmp_path: Path, sampler: str) -> None:
    tiny = load_space("tiny")
    settings = settings_for(
        tiny, sampler=sampler, trials=30, early_stopping=True, proxy={"epochs": 8}, objectives=("accuracy", "latency")
    )
    whole = search(tiny, CountingPricer(tiny), FormulaEvaluator(epochs=8), settings, tmp_path / "whole")
    stopped = [t for t in whole.trials if t.state == "stopped"]
    curves = read_curves(whole.path)
    assert len(whole.trials) == 30 and stopped and all(t.accuracy is None for t in stopped)
    assert {len(curves[t.trial]) for t in stopped} <= {2, 4}
    assert all(len(curves[t.trial]) == 8 for t in whole.trials if t.state == "trained")
    assert {t.state for t in whole.front_trials} == {"trained"}

    def interrupt(progress: Progress) -> None:
        if progress.done in (9, 21) and progress.trial:
            raise KeyboardInterrupt

    for resume in (False, True):
        with pytest.raises(KeyboardInterrupt):
            search(
                tiny, CountingPricer(tiny), FormulaEvaluator(epochs=8), settings, tmp_path / "cut", resume=resume,
                on_progress=interrupt,
            )  # fmt: skip
    search(tiny, CountingPricer(tiny), FormulaEvaluator(epochs=8), settings, tmp_path / "cut", resume=True)
    assert rows(load_run(tmp_path / "cut")) == rows(whole)
    if sampler == "random":
        plain = search(
            tiny, CountingPricer(tiny), FormulaEvaluator(epochs=8), replace(settings, early_stopping=False),
            tmp_path / "plain",
        )  # fmt: skip
        assert {t.state for t in plain.trials} == {"trained"}
