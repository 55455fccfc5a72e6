"""A network that guesses has no accuracy worth comparing."""

from __future__ import annotations

LEVEL = 0.01  # how often a network that guesses may pass for one that has learned
CLEAR = 2  # times the accuracy of guessing, which the validation images must be able to tell from it
LEAST_STEPS = 50  # of a training that is judged: after fewer any network may be at chance


class AtChance(ArithmeticError):
    """The network is no better than guessing on the validation images. Its trial fails; the search goes on."""


def check_above_chance(accuracy: float, *, images: int, classes: int, steps: int) -> None:
    """Raises AtChance when `accuracy` on so many validation images may be that of guessing one of the classes.

    One-sided binomial test against 1 / classes at 1%. A training of fewer than 50 steps is not judged, and nothing is
    where the images are too few to tell even twice the accuracy of guessing from it (fewer than about 800 with 100
    classes): then it is not the network that is to blame, and its accuracy is reported as it is.
    """
    guessed, right = images / classes, round(accuracy * images)
    if steps < LEAST_STEPS or _may_be_guessed(round(CLEAR * guessed), images, classes):
        return
    if _may_be_guessed(right, images, classes):
        raise AtChance(
            f"at chance after {steps} steps: {right} of {images} validation images right, where guessing one of "
            f"{classes} classes gets {guessed:.0f}; if every network is, train for more epochs"
        )


def _may_be_guessed(right: int, images: int, classes: int) -> bool:
    """Whether guessing gets at least so many right in more than 1% of cases."""
    from scipy.stats import binom

    return bool(binom.sf(right - 1, images, 1 / classes) > LEVEL)
