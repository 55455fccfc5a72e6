"""How sure the accuracies of a run are, in words, and which of its networks a pick cannot tell apart."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from nas.numbers import percent
from nas.run import TIE_DEVIATIONS, Settings, Trial, expected, tied
from nas.run.settings import HALVED


def interval(trial: Trial, images: int) -> float | None:
    """The standard deviation of the accuracy that a network would have on new images; None where it is not known.

    images: that accuracies were validated on (`Settings.validation_images`). `Trial.accuracy_deviation` is of the
    accuracy on these same images, which all networks share; on others all of them together may lie higher or lower, by
    the binomial deviation.
    """
    if trial.accuracy_deviation is None:
        return None
    p = expected(trial)  # not hypot: the page computes the same to the last digit
    return math.sqrt(trial.accuracy_deviation**2 + (p * (1 - p) / images if images else 0.0))


def expected_text(trial: Trial, images: int) -> str:
    """The expected accuracy with the standard deviation of that on new images (`interval`): 96.1 ±0.8%."""
    return percent(expected(trial), deviation=interval(trial, images))


CLEAR = 2.0
"""Standard deviations of a difference in accuracy beyond which it outweighs what a guide says; more than of ties."""
BIAS = 0.06
"""What short trainings tell of full ones is biased, towards networks that learn fast, which no repetition shows: its
standard deviation is BIAS times p (1 - p) at an accuracy p, and half of that after HALVED passes over the images. As in
NAAP-440 (Hakim, 2022), where accuracies of some epochs against final ones (90 epochs) of the better half leave
1.7 points after 2 to 9 epochs at 49 to 60%, 1.1 after 20 and 0.6 after 45 (experiments/real-front/bias.py).
"""


def ties_of_best(among: Sequence[Trial], settings: Settings, deviations: float | None = None) -> tuple[Trial, ...]:
    """The networks that cannot be told from the most accurate, which is the last of them, cheapest first.

    Of the networks that no other of `among` beats in both accuracy and the run's first cost: one that is only tied
    because little is known of it does not stand for a better one. Where the search had a guide, which tells something
    of each: of all, and those that are not clearly less accurate, with the bias of short trainings.
    """
    stairs: list[Trial] = []
    ordered = sorted(among, key=lambda t: cost_order(t, settings))
    for t in ordered:
        if not stairs or expected(t) > expected(stairs[-1]):
            stairs.append(t)
    if guided(among) and stairs:
        best, apart = stairs[-1], CLEAR if deviations is None else deviations
        share = bias_share(settings)
        return (*(t for t in ordered if t is not best and tied(_biased(t, share), _biased(best, share), apart)), best)
    apart = TIE_DEVIATIONS if deviations is None else deviations
    return tuple(t for t in stairs if t is stairs[-1] or tied(t, stairs[-1], apart))


def bias_share(settings: Settings) -> float:
    """The bias of the run's trainings, as a share of p (1 - p); 0 where it is not known how long they were."""
    return 0.0 if settings.passes is None else BIAS / (1 + settings.passes / HALVED)


def _biased(t: Trial, share: float) -> Trial:
    """With a deviation that has the bias of short trainings."""
    p, own = expected(t), t.accuracy_deviation
    return t if own is None else replace(t, accuracy_deviation=math.sqrt(own**2 + (share * p * (1 - p)) ** 2))


def guided(among: Sequence[Trial]) -> bool:
    """Whether the search had a guide, which says something of each."""
    return all(t.guide_score is not None for t in among)


def preferred(ties: Sequence[Trial]) -> Trial:
    """Of networks that cannot be told apart, cheapest first, the one to take: without a guide the cheapest.

    With one that of most promise: short trainings favor networks that learn fast, and scores of untrained networks have
    other faults, so both together tell best what a full training would give (experiments/real-front). Of a run of
    before there was a promise, the guide's.
    """
    if not guided(ties):
        return ties[0]
    promised = all(t.promise is not None for t in ties)
    return max(ties, key=lambda t: (t.promise if promised else t.guide_score) or 0.0)


def cost_order(t: Trial, settings: Settings) -> tuple[float, ...]:
    """Sorts the cheapest first: by the run's first cost, of equal ones the more accurate, then by its other costs."""
    first = settings.first_cost
    return (t.value(first), -expected(t), *(t.value(c) for c in settings.costs if c != first), t.trial)


def tied_with(front: Sequence[Trial]) -> dict[int, tuple[int, ...]]:
    """For each trial of a front, cheapest first, the cheaper ones of it that cannot be told from it and that are
    expected to be less accurate."""
    return {
        t.trial: tuple(s.trial for s in front[:i] if expected(s) <= expected(t) and tied(s, t))
        for i, t in enumerate(front)
    }


def told_apart(front: Sequence[Trial]) -> int:
    """How many networks of a front can be told from each other: of the least accurate, then of each next one that can
    be told from all that count."""
    counted: list[Trial] = []
    for t in sorted(front, key=expected):
        if not any(tied(t, s) for s in counted):
            counted.append(t)
    return len(counted)
