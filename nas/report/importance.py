"""Which choices decided accuracy, as far as the trials of a run can tell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from nas.run import ACCURACY, Run
from nas.space.candidate import Value

LEAST, MOST = 20, 200  # trained networks: too few say nothing, and more take seconds to say the same
FOLDS, REPEATS, TREES = 5, 5, 100
EXPLAINED = 0.1  # of the variance, on networks left out: below it nothing is said


@dataclass(frozen=True, slots=True)
class Importance:
    """`choices`: (name, R² lost when its values are shuffled, standard deviation over folds), the greatest first."""

    choices: tuple[tuple[str, float, float], ...]
    text: str  # what it is, or why there is none


def importance(run: Run) -> Importance:
    """Permutation importance (Breiman, Machine Learning 2001) of a random forest, on networks that it did not see."""
    trained = [t for t in run.trials if t.state == "trained"]
    if len(trained) < LEAST:
        return Importance((), f"No conclusion: {len(trained)} networks are trained, and at least {LEAST} are needed.")
    if (every := len(trained)) > MOST:
        trained = [trained[i * every // MOST] for i in range(MOST)]
    names, x = _encoded([t.candidate.as_dict() for t in trained])
    x, y = np.nan_to_num(x), np.array([t.value(ACCURACY.column) for t in trained])
    if not names or np.ptp(y) == 0:
        return Importance((), "No conclusion: all networks are equally accurate.")
    from sklearn.ensemble import RandomForestRegressor
    from sklearn.metrics import r2_score
    from sklearn.model_selection import KFold

    rng = np.random.default_rng(0)
    lost, explained = [], []
    for fit, held in KFold(FOLDS, shuffle=True, random_state=0).split(x):
        forest = RandomForestRegressor(TREES, min_samples_leaf=2, random_state=0).fit(x[fit], y[fit])
        shuffled = np.tile(x[held], (len(names), REPEATS, 1, 1))  # (choice, repeat, network, choice)
        for i in range(len(names)):
            shuffled[i, :, :, i] = [rng.permutation(x[held, i]) for _ in range(REPEATS)]
        known = float(r2_score(y[held], forest.predict(x[held])))
        guessed = forest.predict(shuffled.reshape(-1, len(names))).reshape(len(names), REPEATS, -1)
        explained.append(known)
        lost.append([known - np.mean([r2_score(y[held], g) for g in each]) for each in guessed])
    share = float(np.mean(explained))
    if share < EXPLAINED:
        return Importance((), (
            "No conclusion: a random forest that reads the choices does not predict the accuracy of held-out networks "
            f"(R² {share:.2f})."
        ))  # fmt: skip
    mean, spread = np.mean(lost, axis=0), np.std(lost, axis=0)
    order = np.argsort(-mean)
    return Importance(
        tuple((names[i], float(mean[i]), float(spread[i])) for i in order if mean[i] > 0),
        f"A random forest that reads the choices explains {share:.0%} of the variance in the accuracy of held-out "
        "networks. A bar shows how much of that is lost when the values of one choice are shuffled; choices that "
        "vary together share it." + (f" From {MOST} of the {every:,} trained networks." if every > MOST else ""),
    )


def _encoded(candidates: Sequence[Mapping[str, Value]]) -> tuple[list[str], np.ndarray]:
    """Numbers as they are, words by their order; choices with one value are left out."""
    names = [n for n in candidates[0] if len({repr(c.get(n)) for c in candidates}) > 1]
    columns = []
    for name in names:
        values = [c.get(name) for c in candidates]
        words = sorted({str(v) for v in values})
        columns.append([float(v) if isinstance(v, int | float) else float(words.index(str(v))) for v in values])
    return names, np.array(columns).T
