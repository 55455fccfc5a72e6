"""What the visits to each item say together: its time at one speed of the machine, and how even that speed was."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from nas.profiling.agent.timing import uncertainty
from nas.profiling.results.results import Results, Visit
from nas.space.layer import Precision

SUSTAINED = 0.85  # chosen on four spaces of one machine: experiments/device-profiles


@dataclass(frozen=True, slots=True)
class Timing:
    """One inference, batch 1, in milliseconds: quantiles over `runs` runs, at the speed it has when busy.

    `within` is half the 95% confidence interval of the median, as a fraction of it.
    """

    median_ms: float
    p90_ms: float
    p99_ms: float
    runs: int
    within: float


def speeds(results: Results) -> dict[Precision, float]:
    """What the reference of each precision took, in ms, where the machine was at its slower (SUSTAINED of all visits).

    A quiet board is hardly slower then than at its median. A shared machine has a speed with and one without a busy
    neighbour; of two runs one may have seen more of it.
    """
    return {
        precision: float(np.quantile([v.reference_ms for visits in visited.values() for v in visits], SUSTAINED))
        for precision, visited in _by_precision(results).items()
    }


def pooled(results: Results, at: Mapping[Precision, float] | None = None) -> Mapping[str, Timing]:
    """All visits to each item together, by its id.

    Each visit counts relative to the reference measured in turn with it, times what that precision's reference takes at
    the speed that is meant, `at` or `speeds(results)`: the median of these is the median, and likewise the other
    quantiles.
    """
    found: dict[str, Timing] = {}
    typical = speeds(results) | dict(at or {})
    for precision, visited in _by_precision(results).items():
        for name, visits in visited.items():
            relative = np.array([visit.relative for visit in visits])
            tails = [[getattr(v, q) / v.median_ms for v in visits] for q in ("p90_ms", "p99_ms")]
            median, p90, p99 = (typical[precision] * float(np.median(relative * tail)) for tail in (1.0, *tails))
            runs = sum(visit.runs for visit in visits)
            within = float(uncertainty([visit.relative for visit in visits]))
            found[name] = Timing(median, p90, p99, runs, within)
    return found


def _by_precision(results: Results) -> dict[Precision, dict[str, list[Visit]]]:
    """The visits to each item that was measured, by its precision: each precision has a reference of its own."""
    found: dict[Precision, dict[str, list[Visit]]] = {}
    for item in results.items_of("block", "calibrate", "check"):
        found.setdefault(item.precision, {})[item.id] = results.items[item.id]
    return found


@dataclass(frozen=True, slots=True)
class Steadiness:
    """How even the machine's speed was: of the reference, and of whole networks after the correction for it.

    `swing` is the reference's 90th percentile over its 10th; `drift` how far the medians of the second half of the
    visits to whole networks lie from those of the first, on average over them, as a fraction; None with few visits.
    """

    swing: float
    drift: float | None


def steadiness(results: Results) -> Steadiness:
    took = [
        np.array([visit.reference_ms for visits in visited.values() for visit in visits])
        for visited in _by_precision(results).values()
    ]
    low, high = np.quantile(np.concatenate([ms / np.median(ms) for ms in took]), [0.1, 0.9])
    return Steadiness(float(high / low), _drift([results.items[i.id] for i in results.items_of("calibrate", "check")]))


def _drift(networks: Sequence[Sequence[Visit]]) -> float | None:
    ratios = []
    for visits in networks:
        ordered = [visit.relative for visit in sorted(visits, key=lambda visit: visit.at)]
        half = len(ordered) // 2
        if half >= 3:
            ratios.append(np.median(ordered[half:]) / np.median(ordered[:half]) - 1)
    return abs(float(np.mean(ratios))) if ratios else None
