"""Adapting to a new board from a few networks measured on it: which to measure, and what every block then costs.

A network's cost is the sum of its blocks'. Before anything is measured the new board's block costs are taken to be
those of some known device (an anchor), up to scale, and to differ from it along the differences between the known
devices, along the work that layers do, along how many layers of each kind there are (what a GPU at batch 1 mostly
charges for), and block by block. Each is a Gaussian, so a few networks update it in closed form; how far the board
may differ in each way, and how noisy its timings are, is not tuned: a grid of answers is averaged, each weighted by
how probable it makes what was measured (Bayesian model averaging; Hoeting et al., Statistical Science 1999). The mean
is again a table of blocks. A network that the others contradict is believed less, as if errors had Student's t
distribution (Lange et al., JASA 1989). Networks are chosen one by one, each to leave the least variance over a pool of
candidates (Seo et al., IJCNN 2000), which needs no measurement.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from nas.device.adapt.known_devices import Library
from nas.device.adapt.prior import Answers, Prior
from nas.device.tables.blocks import BlockTime
from nas.errors import UserError
from nas.space.block_table import BlockTable

CHOICE_SPREAD, CHOICE_NOISE = (0.3, 0.3, 0.3, 0.1), 0.02  # about the middle of the grids
TAIL, ROUNDS = 4, 5  # degrees of freedom of Student's t, as is customary; rounds of reweighting
FEWEST = 4  # networks to adapt from
FLOOR = 1e-6  # ms or mJ of a block: a lookup table holds costs above 0
HOLD = 1e-2  # ridge that keeps the non-negative table near the fitted one where networks do not tell
OPTIONS = {"maxiter": 5000, "maxfun": 10000, "ftol": 1e-14, "gtol": 1e-9}


@dataclass(frozen=True, eq=False)
class Adapted:
    """A new board's costs, in ms or mJ: `costs` (blocks,), above 0, and `offset` paid once per inference, 0 or more.

    `measured` (n,) are the networks adapted from and `left_out` (n,) what each is predicted to cost from the others.
    `weights` says which known devices the answer was built around: shares that sum to 1, largest first.
    """

    library: Library
    costs: np.ndarray
    offset: float
    measured: np.ndarray
    left_out: np.ndarray
    weights: Mapping[str, float]

    def total(self, networks: BlockTable) -> np.ndarray:
        """What networks of the library's blocks cost, (n,), in ms or mJ."""
        return np.asarray(self.library.uses(networks) @ np.append(self.costs, self.offset))

    @property
    def error(self) -> float:
        """Mean absolute error on the measured networks, each predicted from the others, as a fraction."""
        return float(np.mean(np.abs(self.left_out / self.measured - 1)))


def block_times(latency: Adapted, energy: Adapted | None = None) -> tuple[BlockTime, ...]:
    """The rows of a profile's blocks.csv; the offsets belong on its calibration lines, with slope 1."""
    mj = [None] * len(latency.costs) if energy is None else energy.costs.tolist()
    return tuple(
        BlockTime(block.key, latency.library.precision, ms, None, len(latency.measured), e)
        for block, ms, e in zip(latency.library.blocks, latency.costs.tolist(), mj, strict=True)
    )


def choose(library: Library, pool: BlockTable, n: int) -> np.ndarray:
    """The n networks of the pool to measure on a new board, (n,) rows of the pool in the order of their worth.

    A thousand random networks of the space make a good pool. Raises UserError for fewer than 4, or more than it has.
    """
    uses = library.uses(pool)
    if not FEWEST <= n <= len(uses):
        raise UserError(f"from {FEWEST} to {len(uses)} networks can be chosen of {len(uses)}; got {n}")
    prior = Prior.of(library, uses)
    relative = uses / (uses @ prior.centre)[:, None]
    covariance = np.tensordot(np.square(CHOICE_SPREAD), prior.kernels(prior.centre, relative), 1) + 1  # free scale
    chosen: list[int] = []
    for _ in range(n):
        variance = np.diag(covariance) + CHOICE_NOISE**2
        gain = np.square(covariance).sum(axis=0) / variance
        gain[chosen] = -np.inf
        chosen.append(best := int(gain.argmax()))
        covariance = covariance - np.outer(covariance[best], covariance[best]) / variance[best]
    return np.array(chosen)


def adapt(library: Library, pool: BlockTable, networks: BlockTable, measured: Sequence[float] | np.ndarray) -> Adapted:
    """The block costs of a new board on which n networks cost `measured` (n,), in the unit of the library.

    `pool` are networks of the kind that will be predicted: those that the measured ones were chosen from. Raises
    UserError for fewer than 4 networks, costs not above 0, or blocks that the library has not.
    """
    cost, seen, uses = np.asarray(measured, dtype=float), library.uses(networks), library.uses(pool)
    if cost.shape != (len(seen),) or len(cost) < FEWEST:
        raise UserError(f"a board is adapted from {FEWEST} or more networks, each with its cost; got {cost.size}")
    if not (np.isfinite(cost).all() and (cost > 0).all()):
        raise UserError("measured costs must be finite and above 0")
    prior = Prior.of(library, uses)
    scale = float(np.mean(cost / (seen @ prior.centre)))
    relative = seen * (scale / cost)[:, None]  # now every network should cost 1: errors are relative
    slack = np.ones(len(cost))  # of each network's noise
    for _ in range(ROUNDS):
        answers = [Answers.of(prior, anchor, relative, slack) for anchor in prior.anchors]
        without = _softmax(np.array([a.evidence_without for a in answers]), keep=1)
        surprise = np.einsum("agtn,agtn->n", without, np.array([a.surprise for a in answers]))
        slack = np.sqrt((TAIL + surprise) / (TAIL + 1))
    shares = _softmax(np.array([a.evidence for a in answers]))
    table = scale * np.sum([a.table(share) for a, share in zip(answers, shares, strict=True)], axis=0)
    left_out = np.einsum("agtn,agtn->n", without, np.array([a.left_out for a in answers])) * cost
    table = _not_negative(table, uses)
    weights = dict(zip(prior.names, shares.sum(axis=(1, 2)).tolist(), strict=True))
    ordered = dict(sorted(weights.items(), key=lambda pair: -pair[1]))
    return Adapted(library, np.maximum(table[:-1], FLOOR), float(table[-1]), cost, left_out, ordered)


def _softmax(evidence: np.ndarray, keep: int = 0) -> np.ndarray:
    """Shares that sum to 1 over all but the last `keep` axes."""
    axes = tuple(range(evidence.ndim - keep))
    shares = np.exp(evidence - evidence.max(axis=axes, keepdims=True))
    return np.asarray(shares / shares.sum(axis=axes, keepdims=True))


def _not_negative(table: np.ndarray, uses: np.ndarray) -> np.ndarray:
    """The table (blocks + 1,) without a negative entry that prices the networks most alike, in relative terms.

    What a block costs more and all those that could stand in its place cost less is the same: no network tells.
    """
    from scipy.optimize import minimize

    if (table >= 0).all():
        return table
    price = uses @ table
    relative = uses / np.maximum(price, 1e-3 * price.max())[:, None] / np.sqrt(len(uses))
    size = np.sqrt(np.square(relative).sum(axis=0))
    size = np.maximum(size, 1e-6 * size.max())  # of blocks that the pool has not
    system, first = relative / size, np.maximum(table, 0) * size

    def off(scaled: np.ndarray) -> tuple[float, np.ndarray]:
        miss, moved = system @ scaled - 1 / np.sqrt(len(uses)), HOLD * (scaled - first)
        return 0.5 * float(miss @ miss + moved @ moved), system.T @ miss + HOLD * moved

    found = minimize(off, first, jac=True, method="L-BFGS-B", bounds=[(0, None)] * len(first), options=OPTIONS)
    return np.asarray(found.x / size)
