"""Picking one network, on seven trials whose numbers are chosen by hand (tests/runs.py)."""

from __future__ import annotations

from pathlib import Path

import pytest

from nas.errors import UserError
from nas.report import pick
from nas.report.pick import choose
from nas.report.words import pick_json, pick_text, ties_text
from nas.run import MeasuredCosts, Run, load_run, write_measured
from tests.runs import BELIEFS, make_believed_run, make_run


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return make_run(tmp_path / "run")


@pytest.mark.parametrize(
    ("limits", "trial"),
    [
        ({}, 6),
        ({"max_latency_ms": 20.0}, 1),
        ({"max_latency_ms": 19.9}, 0),
        ({"max_energy_mj": 45.0}, 5),  # as accurate as trial 1, which needs 50 mJ
        ({"max_latency_ms": 30.0}, 1),  # as accurate as trial 5, and faster
        ({"max_size_mb": 0.5}, 2),
        ({"max_params": 100_000.0}, 0),
        ({"max_macs": 5e6}, 2),
        ({"max_latency_ms": 30.0, "max_energy_mj": 30.0}, 0),
        ({"min_accuracy": 0.9}, 0),  # the fastest that reaches it
        ({"min_accuracy": 0.9, "max_latency_ms": 30.0}, 0),
        ({"trial": 3}, 3),
        ({"knee": True}, 1),  # scaled error + ms + mJ: 1 has .06 + .2 + .17, 5 .06 + .27 + .14, 0 .38 + .07 + .06
        ({"knee": True, "max_latency_ms": 9.0}, 2),
    ],
)
def test_the_best_under_the_budgets(run: Run, limits: dict[str, float], trial: int) -> None:
    assert pick(run, **limits).trial == trial  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"max_latency_ms": 4.0}, r"keeps latency within 4.00 ms; the smallest latency is 5.00 ms \(trial 2, 80.0%\)"),
        ({"max_latency_ms": 4.0, "knee": True}, r"the smallest latency is 5.00 ms \(trial 2, 80.0%\)"),
        (
            {"max_latency_ms": 12.0, "max_energy_mj": 10.0},
            r"keeps energy within 10.0 mJ; the smallest energy is 20.0 mJ \(trial 2, 80.0%\)",
        ),
        (
            {"max_latency_ms": 4.0, "max_params": 10.0},
            r"within 4.00 ms and params within 10; the smallest latency is 5.00 ms .*; the smallest params is 50.0 k",
        ),
        ({"min_accuracy": 0.99}, r"reaches 99%; the most accurate is trial 6, 96.0%"),
        (
            {"min_accuracy": 0.94, "max_latency_ms": 12.0},
            "reaches 94% within the budgets; the most accurate is trial 0, 90.0%",
        ),
        ({"trial": 40}, "has no trial 40; its trials are 0 to 6"),
        ({"trial": 4}, "trial 4 .* failed to train"),
        ({"trial": 1, "knee": True}, "by its number or by limits"),
        ({"max_latency_ms": 0.0}, "must be above 0"),
        ({"min_accuracy": 95.0}, "from 0 to 1"),
    ],
)
def test_what_cannot_be_picked_says_why(run: Run, limits: dict[str, float], message: str) -> None:
    with pytest.raises(UserError, match=message):
        pick(run, **limits)  # type: ignore[arg-type]


def test_a_run_without_energy_or_without_trials(tmp_path: Path) -> None:
    run = make_run(tmp_path / "a", ((0, 0.9, 10.0, None),), objectives=("accuracy", "latency"))
    with pytest.raises(UserError, match="has no energy_mj: device profile raspberry-pi-4 does not predict it"):
        pick(run, max_energy_mj=10.0)
    empty = make_run(tmp_path / "b", ())
    with pytest.raises(UserError, match=r"no trained network yet: nas search --resume .*b continues the search"):
        pick(empty)
    with pytest.raises(UserError, match="has no trial 0; it has none yet"):
        pick(empty, trial=0)
    failed = make_run(tmp_path / "c", ((0, None, 3.0, 9.0), (1, None, 4.0, 9.0)))
    with pytest.raises(UserError, match="no trained network: of its 2 trials, 2 failed and 0 were stopped early"):
        pick(failed, knee=True)


def test_budgets_that_only_together_are_too_small_name_the_nearest(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", ((0, 0.9, 5.0, 50.0), (1, 0.8, 50.0, 5.0)))
    with pytest.raises(UserError, match=(
        r"keeps latency within 10.0 ms and energy within 10.0 mJ at once; "
        r"the nearest is trial 0, 90.0%, with 5.00 ms and 50.0 mJ"
    )):  # fmt: skip
        pick(run, max_latency_ms=10.0, max_energy_mj=10.0)


def test_a_run_may_be_given_by_its_folder(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    assert pick(run.path, knee=True) == pick(str(run.path), knee=True) == pick(run, knee=True)


@pytest.mark.parametrize(
    ("limits", "trial"),
    [
        ({}, 1),  # cannot be told from trial 6, and needs 20 ms of its 80
        ({"greedy": True}, 6),
        ({"max_latency_ms": 79.0}, 1),
        ({"max_latency_ms": 19.9}, 0),
        ({"max_energy_mj": 45.0}, 5),
        ({"min_robust_accuracy": None}, 1),
        ({"min_accuracy": 0.953}, 1),  # expected; 95% were measured
        ({"min_accuracy": 0.956}, 6),
        ({"trial": 6}, 6),
    ],
)
def test_of_networks_that_cannot_be_told_apart_the_cheapest(
    tmp_path: Path, limits: dict[str, float], trial: int
) -> None:
    assert pick(make_believed_run(tmp_path / "run"), **limits).trial == trial  # type: ignore[arg-type]


@pytest.mark.parametrize("beliefs", [{}, {6: (0.96, None), 1: (0.96, None)}, {6: (0.96, 0.01)}])
def test_without_deviations_the_best_is_picked(tmp_path: Path, beliefs: dict[int, tuple[float, float | None]]) -> None:
    run = make_believed_run(tmp_path / "run", beliefs)
    expected = 1 if 1 in beliefs else 6  # 1 is as accurate, and faster
    assert pick(run).trial == pick(run, greedy=True).trial == expected
    assert ties_text(run, choose(run, {}).ties) == ""


def test_a_measured_cost_decides_which_tie_is_the_cheapest(tmp_path: Path) -> None:
    run = make_believed_run(tmp_path / "run")
    write_measured(run.path, [MeasuredCosts(1, 90.0, 91.0, None, "a board", "2026-11-26")])
    assert pick(load_run(run.path)).trial == 6


@pytest.mark.parametrize("other", [{"knee": True}, {"trial": 1}, {"min_accuracy": 0.9}])
def test_greedy_is_for_the_most_accurate_alone(run: Run, other: dict[str, float]) -> None:
    with pytest.raises(UserError, match="greedy is for the most accurate network: not with a knee"):
        pick(run, greedy=True, **other)  # type: ignore[arg-type]


def test_a_pick_says_which_networks_cannot_be_told_apart(tmp_path: Path) -> None:
    run = make_believed_run(tmp_path / "run", {**BELIEFS, 5: (0.957, 0.01)})
    choice = choose(run, {})
    lines = pick_text(run, choice.trial, choice.ties).splitlines()
    assert lines[0] == "trial 1: 95.5 ±0.8% at 20.0 ms, 50.0 mJ (fitted)"
    assert " ".join(lines[1:3]) == (
        "trial 1 and 1 other cannot be told from the most accurate, trial 6 (96.0 ±0.6%); this is the fastest"
    )
    assert lines[3] == "that accuracy is expected; measured: 95.0%, of one of 2 trainings"
    assert max(map(len, lines[:5])) <= 80
    found = pick_json(run, choice.trial, choice.ties)
    assert found["ties"] == [1, 5, 6] and found["expected_accuracy"] == 0.955 and found["accuracy_deviation"] == 0.008
    frugal = make_believed_run(tmp_path / "frugal", objectives=("accuracy", "energy", "latency"))
    assert ties_text(frugal, choose(frugal, {}).ties) == (
        "trial 1 cannot be told from the most accurate, trial 6 (96.0 ±0.6%); this is the one of least energy"
    )
    greedy = choose(run, {}, greedy=True)
    assert "told" not in pick_text(run, greedy.trial, greedy.ties)
