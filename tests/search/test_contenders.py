"""Whose weights are kept while it is not known yet who is on the front."""

from __future__ import annotations

import pytest

from nas.run import Front
from nas.search import contenders as module
from nas.search.contenders import Contenders
from tests.runs import settings, trial

ROWS = ((0.90, 10.0), (0.88, 10.5), (0.70, 11.0), (0.95, 20.0), (0.60, 5.0), (0.93, 25.0))  # accuracy, ms


@pytest.mark.parametrize(
    ("images", "kept"),
    [(0, {0, 3, 4}), (300, {0, 1, 3, 4, 5}), (3, {0, 1, 2, 3, 4, 5}), (10**6, {0, 3, 4})],
)
def test_those_that_noise_alone_may_keep_from_the_front(images: int, kept: set[int]) -> None:
    """Three deviations of a difference: at 90% of 300 images 7.3 points."""
    given = settings(objectives=("accuracy", "latency"), validation_images=images)
    for order in (1, -1):
        front, contenders = Front(given), Contenders(given)
        for number, (accuracy, ms) in list(enumerate(ROWS))[::order]:
            front.add(t := trial(number, accuracy, ms, 1.0))
            contenders.update([t], front)
        assert contenders.numbers == kept
        assert contenders.update([trial(7, None, 1.0, 1.0)], front) == {7}  # it failed


def test_the_least_behind_are_kept_when_there_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST", 5)
    given = settings(objectives=("accuracy", "latency"), validation_images=100)
    front, contenders = Front(given), Contenders(given)
    front.add(best := trial(0, 0.9, 1.0, 1.0))
    contenders.update([best], front)
    for number in range(1, 40):
        dropped = contenders.update([trial(number, 0.9 - 0.001 * ((number * 7) % 40), 2.0, 1.0)], front)
        assert len(contenders.numbers) == min(number, 5) + 1 and len(dropped) == (number > 5)
    assert {(number * 7) % 40 for number in contenders.numbers} == {0, 1, 2, 3, 4, 5}


def test_an_accuracy_that_is_no_objective_brings_nobody_near() -> None:
    given = settings(
        objectives=("latency", "params"), validation_images=10, reference_point={"latency_ms": 100.0, "params": 1e6}
    )
    front, contenders = Front(given), Contenders(given)
    for number, (accuracy, ms) in enumerate(ROWS):
        front.add(t := trial(number, accuracy, ms, 1.0))
        contenders.update([t], front)
    assert contenders.numbers == {4}
