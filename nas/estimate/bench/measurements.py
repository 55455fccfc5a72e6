"""The file of `nas bench estimators`: one row for each network and estimator; it grows as networks are estimated."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nas.errors import UserError
from nas.estimate.bench.agreement import TOP
from nas.estimate.estimator import Estimator, OnPrepare
from nas.estimate.table import Known
from nas.files.csv import append_rows, number, read_appended
from nas.files.lock import locked

COLUMNS = ("bench", "network", "estimator", "value", "seconds")
BUSY = "another nas bench estimators is running in {path}; wait for it, or give another --out"


@dataclass(frozen=True, slots=True)
class Measured:
    """What an estimator said of one network."""

    value: float  # higher is better
    seconds: float  # of one processor core


Results = dict[tuple[str, str], Measured]  # by network and estimator


@dataclass(frozen=True, slots=True)
class Chosen:
    """The networks that estimators are compared on: drawn from all that are known, then more of the best tenth."""

    drawn: tuple[Known, ...]
    extra: tuple[Known, ...]
    top_accuracy: float  # the best tenth of all that are known begins here

    @property
    def networks(self) -> tuple[Known, ...]:
        return (*self.drawn, *self.extra)


def choose(known: Sequence[Known], networks: int, best: int, skip: int, seed: int) -> Chosen:
    """`networks` of those known in the order of `seed`, after the first `skip`; and `best` others of the best tenth.

    Raises UserError where there are not that many.
    """
    if skip + networks > len(known) or networks < 3:
        raise UserError(
            f"the table must have as many networks as are asked for, and at least 3; "
            f"got {len(known):,} networks and {skip + networks:,}"
        )
    order = np.random.default_rng(seed).permutation(len(known))
    accuracies = np.array([k.accuracy for k in known])
    begins = float(np.quantile(accuracies, 1 - TOP))
    drawn = order[skip : skip + networks]
    more = [i for i in order if accuracies[i] >= begins and i not in set(drawn.tolist())][:best]
    if len(more) < best:
        raise UserError(f"the best tenth of the table must have {best} networks that are not drawn; got {len(more)}")
    return Chosen(tuple(known[i] for i in drawn), tuple(known[i] for i in more), begins)


def measure(
    networks: Sequence[Known], estimators: Mapping[str, Callable[[], Estimator]], file: Path, bench: str, seed: int,
    on_progress: Callable[[int, int], object] = lambda done, total: None, on_prepare: OnPrepare | None = None,
) -> Results:  # fmt: skip
    """Estimates what the file lacks, one network after the other, and adds it to the file.

    `bench` names what the values depend on; rows of another are an error. An estimator is made when it is first needed;
    what it prepares is not in its seconds. Raises UserError.
    """
    with locked(file.parent, BUSY):
        found = read_measurements(file, bench)
        missing = [(e, k) for e in estimators for k in networks if (k.name, e) not in found]
        total = len(networks) * len(estimators)
        on_progress(total - len(missing), total)
        made: dict[str, Estimator] = {}
        for done, (name, known) in enumerate(missing, total - len(missing) + 1):
            if name not in made:
                made[name] = estimators[name]()
                made[name].prepare(on_prepare)
            begun = time.process_time()
            try:
                value = made[name].estimate(known.network, {}, seed=seed).value
            except (ArithmeticError, RuntimeError, MemoryError) as error:
                raise UserError(f"{name} cannot estimate network {known.name[:80]}: {error}") from None
            found[known.name, name] = Measured(value, time.process_time() - begun)
            row = (bench, known.name, name, repr(value), f"{found[known.name, name].seconds:.4f}")
            append_rows(file, COLUMNS, [row])
            on_progress(done, total)
    return {key: found[key] for key in _wanted(networks, estimators)}


def _wanted(networks: Sequence[Known], estimators: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    return ((known.name, name) for name in estimators for known in networks)


def read_measurements(file: Path, bench: str) -> Results:
    """The file's values; none where there is no file. Half a last line, of a process that was killed, is left out.

    Raises UserError for a file of something else.
    """
    found: Results = {}
    for line, row in read_appended(file, COLUMNS, "nas bench estimators"):
        if row["bench"] != bench:
            raise UserError(
                f"{file}: must hold results of {bench}; line {line} has {row['bench'][:80]!r}; give another --out"
            )
        value = number(row["value"], file, line, "value", least=-float("inf"))
        found[row["network"], row["estimator"]] = Measured(
            value, number(row["seconds"], file, line, "seconds", least=0)
        )
    return found
