"""A network's trainings as one trial."""

from __future__ import annotations

from dataclasses import replace

from nas.search.trainings import Trainings
from tests.runs import trial


def test_trainings_with_other_seeds_add_to_a_trial_and_leave_its_weights() -> None:
    found = Trainings()
    found.add(first := trial(0, 0.9, 1.0, 1.0))
    found.add(trial(1, 0.8, 1.0, 1.0))
    found.add_tested(0, 0.85)
    found.add_again(replace(first, accuracy=0.7, seed=11, seconds=2.0), keeps=False)
    found.add_again(replace(first, state="failed", accuracy=None, seed=12, seconds=1.0), keeps=False)
    whole = found.whole(0)
    assert (whole.accuracy, whole.seed, whole.trainings, whole.seconds, whole.test_accuracy) == (0.9, 7, 2, 4.5, 0.85)
    assert found.accuracies(0) == [0.9, 0.7] and found.repetitions(0) == 2 and len(found) == 4 == 2 + found.repeated
    assert [t.trial for t in found] == [0, 1] and found.whole(1) == trial(1, 0.8, 1.0, 1.0)


def test_weights_trained_anew_have_their_own_accuracy_and_no_test_accuracy_yet() -> None:
    found = Trainings()
    found.add(first := trial(0, 0.9, 1.0, 1.0))
    found.add_tested(0, 0.85)
    found.add_again(replace(first, state="failed", accuracy=None, seed=12), keeps=True)
    assert not found.replaced(0) and found.whole(0).test_accuracy == 0.85
    found.add_again(replace(first, accuracy=0.7, seed=11), keeps=True)
    whole = found.whole(0)
    assert found.replaced(0)
    assert (whole.accuracy, whole.seed, whole.trainings, whole.test_accuracy) == (0.7, 11, 2, None)


def test_three_failures_and_no_success_make_a_failed_trial() -> None:
    found = Trainings()
    found.add(first := trial(0, 0.9, 1.0, 1.0))
    for seed in range(3):
        assert found.whole(0).state == "trained"
        found.add_again(replace(first, state="failed", accuracy=None, seed=seed), keeps=False)
    assert found.whole(0).state == "failed" and found.whole(0).accuracy is None
    found.add_again(first, keeps=False)
    assert found.whole(0).state == "trained"
