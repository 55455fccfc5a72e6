"""The reference of the estimate of AP50: a regression on validation pictures under shifts.

Its error is that on kinds of shift that were left out in turn: all of noise, all of blur, ...
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nas.monitor.serve.precision import distances_of, terms_of

KINDS = {
    "gaussian-noise": "noise", "specks": "noise", "dusk": "noise", "gaussian-blur": "blur", "defocus-blur": "blur",
    "shake": "blur", "brightness": "light", "haze": "light", "rime": "light", "contrast": "light", "warm": "color",
    "cool": "color", "jpeg": "detail", "pixelate": "detail",
}  # fmt: skip
PENALTY = 1.0
BEYOND = 0.3  # of a logarithm, beyond what was seen, that the regression may go
SHARE = 0.95
LEAST_ERROR, MOST_ERROR = 0.03, 0.25  # with a larger one there is no estimate
CLEAN = 14  # shifts that pictures as they are count for
LEAST_ROWS = 12  # shifts and severities
Row = tuple[str, np.ndarray, float]  # family of the shift, mean distances (2,), AP50


def precision_reference(
    scores: np.ndarray, ap50: float, changed: Sequence[tuple[str, np.ndarray, float]]
) -> dict[str, np.ndarray]:
    """What `nas.monitor.serve.precision.PrecisionEstimator` needs; empty where the estimate would say too little.

    `scores` (n, 7 + d) and AP50 are of validation pictures; `changed` of some under shifts: family, scores, AP50.
    """
    middle, scale = scores.mean(axis=0), np.maximum(scores.std(axis=0), 1e-3)
    rows: list[Row] = [("", distances_of(scores, middle, scale).mean(axis=0), ap50)] * CLEAN
    rows += [(family, distances_of(own, middle, scale).mean(axis=0), value) for family, own, value in changed]
    kinds = [KINDS.get(family, family) for family, _, _ in rows]
    if len(changed) < LEAST_ROWS or len(set(kinds)) < 3:
        return {}
    missed = []
    for kind in dict.fromkeys(kinds[CLEAN:]):
        found = _fitted([row for row, own in zip(rows, kinds, strict=True) if own != kind])
        missed += [abs(_predicted(found, row[1]) - row[2]) for row, own in zip(rows, kinds, strict=True) if own == kind]
    error = max(LEAST_ERROR, float(np.quantile(missed, SHARE)))
    constant = float(np.quantile([abs(row[2] - ap50) for row in rows[CLEAN:]], SHARE))
    if error > min(MOST_ERROR, constant):
        return {}
    return {"ap50": np.array(ap50), "error": np.array(error), "middle": middle, "scale": scale, **_fitted(rows)}


def _fitted(rows: Sequence[Row]) -> dict[str, np.ndarray]:
    """Weights (5,) of the terms by a ridge regression, the last one added, and the range of the distances."""
    distances, y = np.array([row[1] for row in rows]), np.array([row[2] for row in rows])
    terms = terms_of(distances)
    middle, scale = terms.mean(axis=0), np.maximum(terms.std(axis=0), 1e-3)
    z = (terms - middle) / scale
    weights = np.linalg.solve(z.T @ z + PENALTY * np.eye(z.shape[1]), z.T @ (y - y.mean())) / scale
    return {
        "weights": np.append(weights, y.mean() - middle @ weights),
        "lowest": distances.min(axis=0) - BEYOND, "highest": distances.max(axis=0) + BEYOND,
    }  # fmt: skip


def _predicted(found: dict[str, np.ndarray], distances: np.ndarray) -> float:
    inside = np.clip(distances, found["lowest"], found["highest"])
    return float(np.clip(terms_of(inside) @ found["weights"][:-1] + found["weights"][-1], 0.0, 1.0))
