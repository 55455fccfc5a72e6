"""Which networks of a run cannot be told apart by what is known of their accuracy, and the front without them."""

from __future__ import annotations

import math
from collections.abc import Sequence

from nas.run.objectives import ACCURACY
from nas.run.settings import Settings
from nas.run.trial import Trial

TIE_DEVIATIONS = 0.7
"""Standard deviations of a difference in accuracy up to which two networks cannot be told apart.

Of two networks that are known equally well: one deviation of either, as in the rule of one standard error (Breiman et
al., Classification and Regression Trees, 1984, section 3.4.3). The cheaper one is taken as long as its chance to be at
least as accurate as the other is 24% or more. What this and other thresholds give up and gain: experiments/uncertainty.
"""
ROUNDING = 1e-9  # of accuracies in tables, which have nine digits


def expected(trial: Trial) -> float:
    """The accuracy that is expected of a network; where that is not known, the measured one; NaN where neither is."""
    return trial.value(ACCURACY.column if trial.expected_accuracy is None else "expected_accuracy")


def tied(one: Trial, other: Trial, deviations: float = TIE_DEVIATIONS) -> bool:
    """Whether two networks cannot be told apart: their accuracies differ by at most so many standard deviations.

    Only the deviation of each is known, so their errors are taken as independent; errors that they share make the
    difference more certain than this. A network whose deviation is not known is told apart from every other.
    """
    if one.accuracy_deviation is None or other.accuracy_deviation is None:
        return False
    # not hypot: the page computes the same to the last digit
    of_difference = math.sqrt(one.accuracy_deviation**2 + other.accuracy_deviation**2)
    return abs(expected(one) - expected(other)) <= deviations * of_difference + ROUNDING


def distinct(front: Sequence[Trial], settings: Settings) -> tuple[Trial, ...]:
    """The networks of a front that can be told from every no-dearer one of these: the front that is reported.

    Expected accuracies are smooth, so that a front of them has many networks that are nearly tied; of two such the
    dearer is often not better. From the cheapest up, a network is kept if it is better than every kept one that is no
    dearer: more accurate by more than the two are tied by, or better in another learned objective, of which no
    deviation is known. No dearer: in no cost among the objectives. Among networks of equal costs the more accurate
    counts as the cheaper.

    Whether a network is kept depends on no-dearer ones alone, so the same are kept in whatever order the front is
    given. The cheapest is; each one left off is tied with a kept one. All are kept where deviations are not known, and
    where accuracy is not an objective. In the order of `front`.
    """
    if ACCURACY not in settings.goals or all(t.accuracy_deviation is None for t in front):
        return tuple(front)
    costs = {t.trial: tuple(t.value(c) for c in settings.costs) for t in front}
    others = [goal.column for goal in settings.goals if not goal.known and goal != ACCURACY]

    def covers(kept: Trial, t: Trial) -> bool:
        """Whether a network that comes before another one leaves no reason to keep that."""
        no_dearer = all(a <= b for a, b in zip(costs[kept.trial], costs[t.trial], strict=True))
        better = expected(t) > expected(kept) and not tied(t, kept)
        return no_dearer and not better and all(t.value(c) <= kept.value(c) for c in others)

    stays: list[Trial] = []
    for t in sorted(front, key=lambda t: (*costs[t.trial], -expected(t), t.trial)):
        if not any(covers(kept, t) for kept in stays):
            stays.append(t)
    numbers = {t.trial for t in stays}
    return tuple(t for t in front if t.trial in numbers)
