"""The search as one call: what it is given is checked, the folder is locked, and a run comes out."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from nas.errors import UserError
from nas.estimate.estimator import Estimator
from nas.estimate.guide import Guide
from nas.files.atomic import check_files
from nas.files.plain import read_bytes
from nas.run import (
    Reference,
    Run,
    Settings,
    Storage,
    check_free,
    check_same,
    has_ended,
    load_run,
    locked,
    read_measured,
    read_references,
    read_settings,
    write_references,
    write_settings,
)
from nas.run.pictures import PICTURES
from nas.run.trial import MOST_BYTES
from nas.search.halving import EarlyStopping
from nas.search.problem.feasibility import Pool, Pricer, feasible_pool
from nas.search.progress import OnProgress
from nas.search.run_state import RunState
from nas.search.running import RunningSearch
from nas.search.settings import check_settings, check_storage, complete
from nas.search.workers.workers import Cluster, Serial, Workers
from nas.space.search_space import SearchSpace

if TYPE_CHECKING:
    from nas.search.pictures import SamplePictures

# what a search has written before its first proposal
BEGUN = ("journal.log", "references.csv", "curves.jsonl", "trials.csv", "pareto.csv", "pareto.json", "run.toml")


def search(
    space: SearchSpace, pricer: Pricer, estimator: Estimator, settings: Settings, path: Path, *,
    resume: bool = False, references: Sequence[Reference] = (), test: bool = True, cluster: Cluster | None = None,
    storage: Storage | None = None, pool: Pool | None = None, guide: Guide | None = None,
    samples: SamplePictures | None = None, on_progress: OnProgress = lambda _: None,
) -> Run:  # fmt: skip
    """Searches until `settings.trials` candidates are trained, or `settings.max_minutes` are over, into folder `path`.

    With a `cluster` Ray trains several at a time; what comes out then depends on which ends first. `storage`: a
    database for the trials, instead of a file in the folder. `pool`: what `feasible_pool` gave for these settings,
    where it was called before; `guide`: the one that they name. `resume` goes on with the run in the folder, however
    its process ended; `trials` and `max_minutes` may then be new ones. Without it, a run of the same settings that has
    not ended is gone on with too. Afterwards the networks of the front are measured on the test split, unless `test` is
    false, and what detectors of it find in the `samples` is kept.

    Nothing is written before all that was given was found good. Raises UserError for settings that no search can have,
    budgets that nothing meets, a folder of something else, and a full disk; KeyboardInterrupt, with a message, leaves
    a run that can be resumed.
    """
    check_settings(settings)
    if _on_ray(cluster) and find_spec("ray") is None:
        raise UserError("several workers need Ray: pip install ray")
    resume = resume or _unfinished(path, settings, storage)
    if resume:
        check_same(path, settings)
        kept = read_settings(path)
        settings = replace(kept, trials=settings.trials, max_minutes=settings.max_minutes, confirm=settings.confirm)
        check_storage(path, settings, storage)
        check_files(path, (*BEGUN, PICTURES))
        read_references(path), read_measured(path)  # the report at the end needs them
    else:
        check_free(path)
    if pool is None:
        pool = feasible_pool(space, pricer, settings)
    with locked(path, busy="another search is running in {path}; wait for it, or choose another folder"):
        if not resume:
            check_free(path)
            settings = complete(settings, pool, storage)
        state = RunState(space, pricer, settings, path, pool, storage, guide)
        _check_complete(path, state)
        try:
            _begin(path, settings, references, state, anew=not resume or settings != kept)
            running = RunningSearch(state, on_progress)
            estimator.prepare(running.preparing)
            workers = _workers(estimator, state.stopping, cluster)
            try:
                running.run(workers)
            finally:
                workers.close()
            if test:
                state.test(estimator)
            if samples is not None:
                state.show(samples)
            state.end()
        except KeyboardInterrupt:
            so_far = f"stopped after {state.done} of {settings.trials} trials"
            raise KeyboardInterrupt(f"{so_far}; --resume goes on (nas search --resume {path})") from None
        except UserError:
            if not resume and not state.counts:  # nothing was begun: the folder is as free as it was
                for name in BEGUN:
                    with suppress(OSError):
                        (path / name).unlink()
            raise
    return load_run(path)


def _begin(
    path: Path, settings: Settings, references: Sequence[Reference], state: RunState, *, anew: bool
) -> None:  # fmt: skip
    """Writes what a run begins with: run.toml first, for with it the folder can be resumed whatever happens next."""
    for left in path.glob(".*.part"):  # of a process that died while it wrote
        with suppress(OSError):
            left.unlink()
    if anew:
        write_settings(path, settings)
    if not (path / "references.csv").exists():
        write_references(path, references)
    state.begin()


def _unfinished(path: Path, settings: Settings, storage: Storage | None) -> bool:
    """Whether the folder holds a run of these settings that has not ended: the same command goes on with it."""
    if not (path / "run.toml").exists():
        return False
    kept = read_settings(path)
    if kept.storage != (storage.public if storage else "") or has_ended(path):
        return False
    try:
        check_same(path, settings)
    except UserError:
        return False
    return True


def _check_complete(path: Path, state: RunState) -> None:
    """Raises UserError where the journal lacks trials that the folder has: they would be trained again."""
    begun = sum(record.kind == "train" for _, record in state.left)
    if (ended := _ended(path)) > state.done + begun:
        raise UserError(
            f"{state.journal.file} does not hold the trials of {path}, of which trials.csv has {ended}"
        )  # fmt: skip


def _ended(path: Path) -> int:
    """How many trials trials.csv has."""
    table = path / "trials.csv"
    return max(0, read_bytes(table, MOST_BYTES, "CSV").count(b"\n") - 1) if table.exists() else 0


def _on_ray(cluster: Cluster | None) -> bool:
    return cluster is not None and (cluster.address is not None or cluster.workers != 1)


def _workers(estimator: Estimator, stopping: EarlyStopping | None, cluster: Cluster | None) -> Workers:
    if cluster is None or not _on_ray(cluster):
        return Serial(estimator, stopping)
    from nas.search.workers.ray import RayWorkers  # late: nobody waits for Ray who does not use it

    return RayWorkers(estimator, stopping, cluster)
