"""What scores of some untrained networks tell of every candidate of a space: where a search may begin to look."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from time import perf_counter

import numpy as np

from nas.catalog import home
from nas.data.dataset import Dataset
from nas.errors import UserError, unknown
from nas.estimate.by_name import make_estimator
from nas.estimate.ensemble import Ensemble, fit_ensemble
from nas.estimate.estimator import OnPrepare
from nas.estimate.structure import Structure
from nas.estimate.zero_cost import DESCRIPTORS, SCORES
from nas.estimate.zero_cost.estimator import AGGREGATE, ZeroCost, shown
from nas.estimate.zero_cost.log_ranks import LogRanks
from nas.files.atomic import make_folder
from nas.files.csv import append_rows, read_appended, whole_number
from nas.pareto import Array
from nas.space.network import Network

SCORED = 100  # networks, by default
FEWEST = 24  # of which something can be learned
TRIED = 3  # networks after which it is known how long a score takes
INITIALIZATIONS = 3  # of each score
SUPERNET = "supernet"
SUMS: Mapping[str, tuple[str, ...]] = {"zero-cost": tuple(AGGREGATE)}


def guide_scores(text: str) -> tuple[str, ...]:
    """The scores that a guide is the sum of: names with + between, of which zero-cost stands for three.

    Raises UserError for a name that is none.
    """
    names = [part for name in text.split("+") for part in SUMS.get(name, (name,))]
    for name in names:
        if name not in DESCRIPTORS and name not in SCORES and name != SUPERNET:
            raise unknown("score", name, [*SUMS, SUPERNET, *SCORES, *DESCRIPTORS])
    return tuple(dict.fromkeys(names))


@dataclass(frozen=True, eq=False)
class Guide:
    """The mean of the log ranks of scores, as predicted of any candidate from its structure.

    It was learned from so many `networks` that were scored, not trained. Hyperparameters and precision have no part.
    """

    structure: Structure
    ensemble: Ensemble
    networks: int

    def of_codes(self, codes: Array) -> Array:
        """The rank (n,) that is predicted of codes (n, d), from 0, the worst, to about 1, the best of those scored."""
        return np.exp(self.ensemble.predict(self.structure.of_codes(codes)[:, self.structure.of_network])[0])


@dataclass(frozen=True, eq=False)
class ScoredNetworks:
    """Scores of the networks of a pool, kept in a file as they are found, so that none is computed twice.

    The pool's networks are scored in their order, at the least resolution among them: scores of different resolutions
    cannot be compared, and what a resolution is worth the search learns from trainings.
    """

    structure: Structure
    dataset: Dataset
    pool: Sequence[Network]
    names: tuple[str, ...]
    seed: int
    folder: Path | None = None  # default: the user's own, scores/

    @cached_property
    def file(self) -> Path:
        """Where the scores are kept; other networks, images, scores or another seed have another place."""
        made_of = self.structure.space.fingerprint, self.dataset.fingerprint, self.names, self.seed, self.pool
        digest = sha256(repr(made_of).encode()).hexdigest()[:16]
        return (self.folder or home() / "scores") / f"{self.structure.space.name}-{digest}" / "scores.csv"

    def scores(self, most: int, seconds: float, on_progress: OnPrepare | None = None) -> Array:
        """Scores (n, s) of the first n networks of the pool, at most so many, NaN where one is not finite.

        It ends when the seconds are over, or when it is seen they are too few for any guide. Raises UserError for a
        file of something else, and what preparing a supernet raises.
        """
        there, begun = dict(self._read()), perf_counter()
        kept = len(there)
        make_folder(self.file.parent)
        drawn = {name: 1.0 for name in self.names if name != SUPERNET}
        resolution = min(network.input_shape[1] for network in self.pool)
        zero_cost = ZeroCost(
            shown(self.dataset.train, self.seed), drawn, tuple(self.pool[:1]), INITIALIZATIONS, self.seed, resolution
        ) if drawn else None  # fmt: skip
        supernet = None
        most = min(most, len(self.pool))
        for number in range(most):
            if on_progress:
                on_progress(number, most, "scores of untrained networks")
            if number in there:
                continue
            took, new = perf_counter() - begun, len(there) - kept
            if took > seconds or (new >= TRIED and took / new * (FEWEST - kept) > seconds):
                return self._table(there, number)
            if SUPERNET in self.names and supernet is None:
                supernet = make_estimator(SUPERNET, self.dataset, {}, self.seed, self.structure.space)
                supernet.prepare(on_progress)
            network = self.pool[number]
            try:
                found = zero_cost.scores(network, self.seed) if zero_cost else {}
                if supernet:
                    found[SUPERNET] = supernet.estimate(network, {}, seed=self.seed).value
            except FloatingPointError:
                found = {}
            there[number] = tuple(found.get(name, math.nan) for name in self.names)
            append_rows(self.file, ("network", *self.names), [(number, *map(repr, there[number]))])
        return self._table(there, most)

    def _table(self, there: Mapping[int, tuple[float, ...]], count: int) -> Array:
        return np.array([there[number] for number in range(count)]).reshape(count, len(self.names))

    def _read(self) -> Iterator[tuple[int, tuple[float, ...]]]:
        for line, row in read_appended(self.file, ("network", *self.names), "scores"):
            try:
                values = tuple(float(row[name]) for name in self.names)
            except ValueError:
                raise UserError(f"{self.file}: scores must be numbers; line {line} has another text") from None
            yield whole_number(row["network"], self.file, line, "network"), values


def make_guide(
    scored: ScoredNetworks, most: int = SCORED, seconds: float = math.inf, on_progress: OnPrepare | None = None
) -> Guide | None:
    """The guide that so many scored networks give; None where too few could be scored in these seconds."""
    scores = scored.scores(most, seconds, on_progress)
    rows = np.flatnonzero(np.isfinite(scores).all(axis=1))
    if len(rows) < FEWEST:
        return None
    ranks = LogRanks(
        {name: scores[rows, j] for j, name in enumerate(scored.names)}, dict.fromkeys(scored.names, 1.0)
    )  # fmt: skip
    sums = np.array([ranks.value(dict(zip(scored.names, scores[i], strict=True))) for i in rows])
    structure = scored.structure
    columns = structure.of_network
    features = structure.of_networks([scored.pool[int(i)] for i in rows])[:, columns]
    every = structure.of_networks(scored.pool)[:, columns]
    return Guide(structure, fit_ensemble(features, sums / len(scored.names), every), len(scores))
