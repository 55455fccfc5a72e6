"""Fitting a device's rates to whole networks that were measured on it, and checking them on networks left out.

Rates are the non-negative least squares of the relative errors, because a rate below 0 would make some network
faster by adding to it, and because 1 ms matters more to a network of 5 ms than to one of 400 ms. A small ridge keeps
counts that always come together (layers and additions, say) from trading places. How far weights and activations
that do not fit the cache slow a network differs between boards, precisions and kernels; so three fits, without and
with those counts, are averaged by how well each does inside the data at hand, which is again a table of rates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from nas.device.counts import INDEX, network_counts
from nas.device.fit.held_out import SEEDS, Folds, check, random_folds
from nas.device.formats.mlperf import Run
from nas.device.tables.rates import QUANTITIES, Quantity, Rate, Rates
from nas.device.tables.validation import HeldOutError, Validation
from nas.errors import UserError
from nas.space.layer import PRECISIONS

Split = Literal["network", "family"]

# Of the squared length of each column of relative counts. Measured latency is noisier than energy, so its rates are
# held back more. Counts, forms and these figures were chosen by the held-out errors of nine MLPerf platforms together,
# the Raspberry Pi 4's among them: its held-out errors are of rates that never saw the network, not of a blind form.
RIDGE: dict[Quantity, float] = {"latency": 0.006, "energy": 0.003}
FORMS: tuple[tuple[str, ...], ...] = (  # counts left out of each of the fits that are averaged
    ("streamed_weights", "streamed_values"),
    ("streamed_values",),
    (),
)
SHARPNESS = 4  # a form's weight is its error inside the data to the power of -4
INNER_FOLDS = 10
LEAST_RUNS = 10  # of a precision; below that, a held-out error says nothing


@dataclass(frozen=True, slots=True)
class FittedProfile:
    """What rates.csv and validation.csv are written from, and the table of held-out errors."""

    rates: Rates
    validation: tuple[Validation, ...]
    errors: tuple[HeldOutError, ...]


def fit_profile(runs: Sequence[Run]) -> FittedProfile:
    """Fits rates to all runs, and predicts each run from fits that did not see it: its fold, and its family."""
    rates = fit_rates(runs)
    validation: list[Validation] = []
    errors: list[HeldOutError] = []
    for precision in PRECISIONS:
        chosen = [run for run in runs if run.precision == precision]
        several = len({run.family for run in chosen}) > 1
        for split in [s for s in get_args(Split) if chosen and (s == "network" or several)]:
            held_out = {q: _held_out(chosen, q, split) for q in QUANTITIES if rates.get(precision, q)}
            errors += [error for error, _ in held_out.values()]
            ms = held_out["latency"][1]
            mj = held_out["energy"][1] if "energy" in held_out else [None] * len(chosen)
            validation += [
                Validation(
                    r.name, precision, split, r.latency_ms, float(t), r.energy_mj, None if e is None else float(e)
                )
                for r, t, e in zip(chosen, ms, mj, strict=True)
            ]
    return FittedProfile(rates, tuple(validation), tuple(errors))


def fit_rates(runs: Sequence[Run]) -> Rates:
    """Rates for each precision among the runs: latency, and energy where every run of that precision has it.

    Raises UserError when a precision has fewer than 10 runs.
    """
    fits: list[Rate] = []
    for precision in PRECISIONS:
        chosen = [run for run in runs if run.precision == precision]
        if chosen and len(chosen) < LEAST_RUNS:
            raise UserError(f"a fit needs at least {LEAST_RUNS} networks of a precision; {precision} has {len(chosen)}")
        counts = _counts(chosen)
        for quantity in QUANTITIES if chosen else ():
            if (cost := _costs(chosen, quantity)) is not None:
                low, high = counts.min(axis=0), counts.max(axis=0)
                fits.append(Rate(precision, quantity, solve(counts, cost, quantity), low, high, cost.min(), cost.max()))
    return Rates(tuple(fits))


def solve(counts: np.ndarray, cost: np.ndarray, quantity: Quantity) -> np.ndarray:
    """Rates (c,), none below 0, with `counts @ rates` near `cost` in relative terms.

    `counts` is (n, c), `cost` (n,) in ms or mJ, above 0. The fits of all FORMS, averaged with weights from their
    errors on tenths of these networks left out.
    """
    relative, everything = counts / cost[:, None], np.arange(len(cost))
    rates, weights = [], []
    for left_out in FORMS:
        used = relative.any(axis=0)
        used[[INDEX[name] for name in left_out]] = False
        rates.append(_least_squares(relative, used, RIDGE[quantity]))
        error = np.zeros(len(cost))
        for fold in (everything[first::INNER_FOLDS] for first in range(INNER_FOLDS)):
            rest = _least_squares(np.delete(relative, fold, axis=0), used, RIDGE[quantity])
            error[fold] = np.abs(relative[fold] @ rest - 1)
        weights.append(max(float(error.mean()), 1e-6) ** -SHARPNESS)
    return np.average(rates, axis=0, weights=weights)


def _least_squares(relative: np.ndarray, used: np.ndarray, ridge: float) -> np.ndarray:
    """Rates (c,), none below 0, with `relative @ rates` near 1; `relative` (n, c), `used` bool (c,)."""
    from scipy.optimize import nnls

    used = used & relative.any(axis=0)
    if not used.any():  # no network left: scipy's nnls must not be called on nothing, it may end the process
        return np.zeros(relative.shape[1])
    scale = np.sqrt((relative[:, used] ** 2).sum(axis=0))
    system = np.vstack([relative[:, used] / scale, np.sqrt(ridge) * np.eye(len(scale))])
    rates = np.zeros(relative.shape[1])
    rates[used] = nnls(system, np.concatenate([np.ones(len(relative)), np.zeros(len(scale))]))[0] / scale
    return rates


def _counts(runs: Sequence[Run]) -> np.ndarray:
    """Counts of the runs' networks, (n, len(COUNTS))."""
    return np.array([network_counts(run.network, run.precision) for run in runs]).reshape(-1, len(INDEX))


def _costs(runs: Sequence[Run], quantity: Quantity) -> np.ndarray | None:
    """Measured ms or mJ of the runs, (n,); None where a run has no energy."""
    values = [run.latency_ms if quantity == "latency" else run.energy_mj for run in runs]
    return None if None in values else np.array(values, dtype=float)


def _foldings(runs: Sequence[Run], split: Split) -> list[Folds]:
    """The ways of leaving runs out: each family at once, or fifths at random, several times."""
    if split == "family":
        families = sorted({run.family for run in runs})
        return [[np.array([i for i, run in enumerate(runs) if run.family == family]) for family in families]]
    return [random_folds(len(runs), seed) for seed in range(SEEDS)]


def _held_out(runs: Sequence[Run], quantity: Quantity, split: Split) -> tuple[HeldOutError, np.ndarray]:
    """The errors on runs left out, and the predictions of the first way of splitting, (n,)."""
    cost = _costs(runs, quantity)
    assert cost is not None  # the caller fitted it
    counts = _counts(runs)
    macs = np.array([run.network.macs / 1e6 for run in runs])

    def by_rates(rest: np.ndarray, wanted: np.ndarray) -> np.ndarray:
        return np.asarray(counts[wanted] @ solve(counts[rest], cost[rest], quantity))

    return check(by_rates, cost, macs, _foldings(runs, split), runs[0].precision, quantity, split)
