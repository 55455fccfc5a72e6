"""The time and the trainings that a search may spend, and the share of them that confirms its front."""

from __future__ import annotations

import pytest

from nas.search import budget as module
from nas.search.budget import Budget, confirm_share
from tests.runs import settings


def test_the_share_is_of_the_trials_and_of_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    budget = Budget(settings(trials=50, max_minutes=10.0, confirm=0.2, validation_images=300))
    assert budget.replicates == 10 and budget.typical is None and not budget.search_is_over()
    for _ in range(4):
        budget.add(20.0)
    now[0] += 455
    assert (budget.left, budget.search_left, budget.typical) == (145, 25, 20)
    assert not budget.search_is_over()
    now[0] += 10
    assert budget.search_is_over() and budget.left == 135  # another trial would end after 480 s


def test_what_other_processes_trained_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.time, "monotonic", lambda: 0.0)
    budget = Budget(settings(max_minutes=10.0))
    budget.add(250.0)
    budget.resume()
    assert budget.left == 350 == budget.search_left
    budget.add(100.0)  # of this process: its clock counts it
    assert budget.left == 350 and budget.typical == 175


@pytest.mark.parametrize(
    ("changed", "share"),
    [({}, 0.3), ({"validation_images": 0}, 0.0), ({"objectives": ("latency", "params")}, 0.0), ({"confirm": 0.0}, 0.0)],
)
def test_nothing_is_set_aside_where_nothing_can_be_confirmed(changed: dict[str, object], share: float) -> None:
    given = settings(**{"confirm": 0.3, "validation_images": 200, "trials": 10} | changed)
    assert confirm_share(given) == share
    assert Budget(given).replicates == round(10 * share) and Budget(given).search_left == float("inf")
