"""A lookup table fitted to whole networks: what each block of a space costs, where only networks were measured.

A network's time is what it pays once, plus its blocks'. A block's is what its layers' counts cost (as in rates) and
its kind's own share, where blocks alike but for the image's size are one kind: thousands of networks are few for the
thousand blocks of a space with 25 resolutions. All parts are 0 or more. They are fitted by least absolute relative
errors, because timings have outliers upwards, which squares would follow; iteratively reweighted least squares
(Daubechies et al., CPAM 2010). What the networks cannot tell apart (the stem from the head, say, which all have) the
ridge splits evenly; it moves no sum.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from nas.device.counts import INDEX, block_counts, once_counts
from nas.device.fit.held_out import SEEDS, check, random_folds
from nas.device.formats.network_table import NetworkTable
from nas.device.tables.blocks import BlockTime
from nas.device.tables.validation import HeldOutError, Validation
from nas.errors import UserError
from nas.space.block import Block
from nas.space.layer import Precision

# Form and ridge were chosen on the columns of batch 32 and 64, of which no profile is made.
RIDGE = 1e-4  # of the squared length of each column
ROUNDS = 15
SURE = 2e-3  # residuals below this share of the latency weigh the same
LEAST_MS = 1e-6  # of a block: a lookup table holds times above 0
LEAST_NETWORKS = 100  # below that, rates for each primitive are the better fit (`nas.device.fit.rates`)
SHOWN = 400  # networks that validation.csv lists, evenly spaced over those measured; errors are over all


@dataclass(frozen=True, slots=True)
class FittedBlocks:
    """What blocks.csv, validation.csv and errors.csv are written from; `offset_ms` is paid once per inference."""

    times: tuple[BlockTime, ...]
    offset_ms: float
    validation: tuple[Validation, ...]
    errors: tuple[HeldOutError, ...]


def fit_blocks(networks: NetworkTable) -> FittedBlocks:
    """Fits the blocks' times to all networks, and predicts each network from fits that did not see its fifth.

    Raises UserError for fewer than 100 networks.
    """
    cost, n = networks.latency_ms, len(networks.names)
    if n < LEAST_NETWORKS:
        raise UserError(f"a fit of blocks needs at least {LEAST_NETWORKS} networks; got {n}")
    uses, per_block = networks.uses, _features(networks.blocks.blocks, networks.precision)
    features = uses @ per_block
    features[:, INDEX["network"]] = 1

    def predictor(rest: np.ndarray, wanted: np.ndarray) -> np.ndarray:
        return np.asarray(features[wanted] @ solve(features[rest], cost[rest]))

    foldings = [random_folds(n, seed) for seed in range(SEEDS)]
    error, predicted = check(predictor, cost, networks.macs, foldings, networks.precision, "latency", "network")
    parts = solve(features, cost)
    times = np.maximum(per_block @ parts, LEAST_MS)
    runs = (uses > 0).sum(axis=0)
    shown = range(0, n, -(-n // SHOWN))
    return FittedBlocks(
        tuple(
            BlockTime(block.key, networks.precision, float(ms), None, int(k), None)
            for block, ms, k in zip(networks.blocks.blocks, times, runs, strict=True)
        ),
        float(parts[INDEX["network"]]),
        tuple(
            Validation(networks.names[i], networks.precision, "network", float(cost[i]), float(predicted[i]))
            for i in shown
        ),
        (error,),
    )


def solve(features: np.ndarray, cost: np.ndarray) -> np.ndarray:
    """Parts (f,), none below 0, with `features @ parts` near `cost` in relative terms; features (n, f), cost (n,)."""
    from scipy.optimize import nnls

    used = features.any(axis=0)
    relative = features[:, used] / cost[:, None]
    relative /= (scale := np.sqrt((relative**2).sum(axis=0)))
    weight = np.ones(len(cost))
    for _ in range(ROUNDS):
        weighted = relative * weight[:, None]
        root = np.linalg.cholesky(weighted.T @ relative + RIDGE * np.eye(len(scale)))
        solution = nnls(root.T, np.linalg.solve(root, weighted.sum(axis=0)))[0]
        weight = 1 / np.maximum(np.abs(relative @ solution - 1), SURE)
        weight /= weight.mean()
    parts = np.zeros(features.shape[1])
    parts[used] = solution / scale
    return parts


def _features(blocks: Sequence[Block], precision: Precision) -> np.ndarray:
    """Each block's counts and kind, (blocks, counts + kinds). An image is copied in by the block that reads it."""
    kinds = [_kind(block) for block in blocks]
    numbers = {kind: i for i, kind in enumerate(dict.fromkeys(kinds))}
    counts = np.array([block_counts(block, precision) for block in blocks])
    for row, block in zip(counts, blocks, strict=True):
        if block.in_shape[0] == 3:
            row += once_counts(block.in_shape)
    counts[:, INDEX["network"]] = 0
    return np.hstack([counts, np.eye(len(numbers))[[numbers[kind] for kind in kinds]]])


def _kind(block: Block) -> str:
    """The block's name without the image's size."""
    shapes = [(shape[0], 1, 1) for shape in (block.in_shape, block.out_shape)]
    return replace(block, in_shape=shapes[0], out_shape=shapes[1]).key
