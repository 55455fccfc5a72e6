"""Picking one network, on seven trials whose numbers are chosen by hand (tests/runs.py)."""

from __future__ import annotations

from pathlib import Path

import pytest

from nas.errors import UserError
from nas.report import pick
from nas.run import Run
from tests.runs import make_run


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
        ({"max_latency_ms": 4.0}, r"the nearest is trial 2 with 5 ms \(limit 4\)"),
        ({"max_latency_ms": 12.0, "max_energy_mj": 10.0}, r"trial 2 with 5 ms \(limit 12\), 20 mJ \(limit 10\)"),
        ({"min_accuracy": 0.99}, r"reaches 99%; the nearest is trial 6 with 96.0%"),
        (
            {"min_accuracy": 0.94, "max_latency_ms": 12.0},
            "reaches 94% under these budgets; the nearest is trial 0 with 90",
        ),
        ({"trial": 40}, r"has no trial 40 \(it has 0 to 6\)"),
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
    with pytest.raises(UserError, match="has no energy_mj: device raspberry-pi-4 cannot tell it"):
        pick(run, max_energy_mj=10.0)
    with pytest.raises(UserError, match="no trained network yet"):
        pick(make_run(tmp_path / "b", ()))
