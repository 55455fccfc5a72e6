"""A search that was given a time: its settings follow from it, after a look at how fast this machine trains."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

from nas.run import Settings
from nas.search.guided import begun_in
from nas.search.plan import BATCHES, Plan, Speed, plan
from nas.search.problem.feasibility import Pool
from nas.search.speed import fastest_threads, images_of, measure_speed, measure_training, timed_candidates, typical

if TYPE_CHECKING:
    from nas.estimate.estimator import Estimator
    from nas.search.workers.workers import Cluster
    from nas.space.search_space import SearchSpace

MEASURED = 0.03  # of the time, that measuring the speed may take
AT_LEAST = 0.1  # of the time, that is searched for, however long it took to begin
LAST = 0.03  # of the time, for a last training that is longer than the others, and the report


@dataclass(frozen=True, slots=True)
class Asked:
    """What the user asked of the length of a search."""

    minutes: float
    begun: float  # by `perf_counter`: since then the time runs
    networks: int | None  # None: as many as fit
    proxy: Mapping[str, Any]  # the settings of a training that are not to be changed
    guided: bool = False  # the guide was asked for, however long it takes


def in_time(
    settings: Settings, asked: Asked, estimator: Estimator, space: SearchSpace, path: Path,
    pool: Pool, cluster: Cluster | None,
) -> tuple[Settings, str]:  # fmt: skip
    """The settings of a search of so many minutes, and the plan in a line.

    A run in the folder `path` that was begun with the same time keeps its plan, so that the same command goes on with
    it. Where there is time, one candidate of middling size is trained as planned, and the plan is made anew by what
    that took. PyTorch has one thread afterwards where that is faster than all.
    """
    if (kept := begun_in(path)) is not None and kept.minutes == asked.minutes:
        found = replace(settings, trials=kept.trials, max_minutes=kept.max_minutes, proxy=kept.proxy)
        return replace(found, minutes=kept.minutes), ""
    import torch

    from nas.estimate.fidelity import Fidelity
    from nas.estimate.proxy import ProxyTraining

    if not isinstance(estimator, ProxyTraining):
        raise ValueError("only a search by proxy trainings can be planned")
    batch = int(asked.proxy.get("batch_size", BATCHES[0]))
    candidates = tuple(timed_candidates(pool, space, settings.classes))
    if cluster is None:
        torch.set_num_threads(fastest_threads(estimator, min(candidates, key=lambda network: network.macs), batch))
    threads = max(1, int(cluster.cpus)) if cluster else None
    speed = measure_speed(estimator, candidates, batch, 60 * MEASURED * asked.minutes, threads=threads)
    images, workers = images_of(estimator, settings.precisions), (cluster.workers or 1) if cluster else 1

    def planned_for(speed: Speed) -> Plan:
        spent = perf_counter() - asked.begun
        return plan(
            asked.minutes, spent, speed, images, settings.proxy, confirm=settings.confirm, chosen=asked.proxy,
            networks=asked.networks, workers=workers,
        )  # fmt: skip

    planned = planned_for(speed)
    if planned.seconds < 60 * MEASURED * asked.minutes:  # a few steps tell little of the speed of a whole training
        whole = replace(estimator, fidelity=Fidelity(**planned.proxy))
        with suppress(ArithmeticError, RuntimeError, MemoryError):
            took = measure_training(whole, typical(candidates), threads=threads)
            planned = planned_for(speed.times(took / planned.seconds))
    left = max(AT_LEAST * asked.minutes, (1 - LAST) * asked.minutes - (perf_counter() - asked.begun) / 60)
    found = replace(settings, trials=asked.networks or planned.most, max_minutes=round(left, 3), proxy=planned.proxy)
    return replace(found, minutes=asked.minutes), planned.sentence()
