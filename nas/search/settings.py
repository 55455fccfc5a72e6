"""What a search may be asked for, and what it adds to its settings so that it can be repeated."""

from __future__ import annotations

import platform
import shlex
import sys
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from numbers import Integral, Real
from pathlib import Path
from uuid import uuid4

import numpy as np

from nas import __version__
from nas.errors import UserError, require, unknown
from nas.run import ACCURACY, Settings, Storage, check_budgets, check_objectives
from nas.run.storage import PASSWORD, without_secrets
from nas.search.problem.feasibility import Pool
from nas.search.samplers.by_name import PARETO_OBJECTIVES, SAMPLERS, start_size
from nas.space.candidate import Candidate


def check_settings(settings: Settings) -> None:
    """Raises UserError for the first setting that no search can have."""
    check_objectives(settings.objectives)
    require("sampler", settings.sampler, str, "a name")
    for name, value in (("trials", settings.trials), ("seed", settings.seed)):
        require(name, value, Integral, "a whole number")
    for name, amount in (
        ("max_minutes", settings.max_minutes),
        ("confirm", settings.confirm),
        *settings.budgets.items(),
    ):
        require(name, amount, Real, "a number")
    if settings.sampler not in SAMPLERS:
        raise unknown("sampler", settings.sampler, SAMPLERS)
    if settings.sampler == "pareto" and len(settings.objectives) not in PARETO_OBJECTIVES:
        raise UserError(f"sampler pareto needs 2 to 4 objectives; got {len(settings.objectives)}: take another sampler")
    check_budgets(list(settings.budgets))
    for name, limit in settings.budgets.items():
        if not 0 < limit < float("inf"):
            raise UserError(f"budget {name} must be above 0; got {limit:g}")
    if settings.early_stopping and not (isinstance(epochs := settings.proxy.get("epochs"), int) and epochs >= 1):
        raise UserError(f"early stopping needs proxy epochs of 1 or more; got {str(epochs)[:40]}")
    if settings.early_stopping and (odd := [g.name for g in settings.goals if not g.known and g != ACCURACY]):
        raise UserError(f"early stopping compares accuracies after each epoch, so {odd[0]} cannot be an objective")
    if settings.trials < 1:
        raise UserError(f"a search needs at least 1 trial; got {settings.trials}")
    if settings.seed < 0:
        raise UserError(f"seed must be 0 or more; got {settings.seed}")
    if not 0 <= settings.max_minutes < float("inf"):
        raise UserError(f"max_minutes must be 0 (no limit) or more; got {settings.max_minutes:g}")
    if not 0 <= settings.confirm < 1:
        raise UserError(f"confirm must be a share from 0 to below 1; got {settings.confirm:g}")


def check_storage(path: Path, settings: Settings, storage: Storage | None) -> None:
    """Raises UserError unless the run's trials are where the user says: a stranger's run.toml opens no database."""
    if settings.storage and storage is None:
        raise UserError(
            f"the trials of {path} are in the database {settings.storage}; give its URL with --storage to open it "
            f"(the password may be in {PASSWORD})"
        )
    if storage is not None and storage.public != settings.storage:
        where = settings.storage or path / "journal.log"
        raise UserError(f"the trials of {path} are in {where}, not in {storage.public}: --storage must be the same")


def complete(settings: Settings, pool: Pool, storage: Storage | None = None) -> Settings:
    """The settings with date, versions, command, and the hypervolume's reference point, in each cost's own unit.

    The reference point is the budget where there is one, else a tenth above the dearest of the random candidates, so
    that the dearest still adds to the hypervolume.
    """
    program = "nas" if Path(sys.argv[0]).stem == "nas" else sys.argv[0]
    words = shlex.split(settings.command) if settings.command else [program, *sys.argv[1:]]
    if storage is not None:
        words = [word.replace(storage.given, storage.public) for word in words]
        words = [word if storage.public in word else storage.masked(word) for word in words]
    return replace(
        settings,
        storage=storage.public if storage else "",
        study=f"nas-{uuid4().hex[:12]}" if storage else "",
        start=start_size(settings.sampler, settings.trials),
        command=shlex.join(map(without_secrets, words)),
        created=settings.created or datetime.now(UTC).isoformat(timespec="seconds"),
        versions={"python": platform.python_version(), "nas": __version__}
        | {name: _version(name) for name in ("torch", "timm", "optuna", "botorch")},
        reference_point={
            c: settings.limits.get(c, 1.1 * float(np.max(pool.columns[c])) or 1.0) for c in settings.costs
        },
    )


def training_seed(seed: int, candidate: Candidate, repetition: int = 0) -> int:
    """A candidate's own seed, the same whenever in a run it is trained; another one for each repetition."""
    words = [seed, int(candidate.digest, 16), *[repetition] * (repetition > 0)]
    return int(np.random.SeedSequence(words).generate_state(1)[0]) >> 1


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "unknown"
