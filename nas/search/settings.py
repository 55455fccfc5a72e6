"""What a search may be asked for, and what it adds to its settings so that it can be repeated."""

from __future__ import annotations

import platform
import shlex
import sys
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from uuid import uuid4

import numpy as np

from nas import __version__
from nas.errors import UserError, unknown
from nas.run import Settings, check_budgets, check_objectives
from nas.search.journal import lasting, shown
from nas.search.problem.feasibility import Pool
from nas.search.samplers.by_name import PARETO_OBJECTIVES, SAMPLERS, start_size
from nas.space.candidate import Candidate


def check_settings(settings: Settings) -> None:
    """Raises UserError for the first setting that no search can have."""
    check_objectives(settings.objectives)
    if settings.sampler not in SAMPLERS:
        raise unknown("sampler", settings.sampler, SAMPLERS)
    if settings.sampler == "pareto" and len(settings.objectives) not in PARETO_OBJECTIVES:
        raise UserError(
            f"sampler pareto needs 2 to 4 objectives; came {len(settings.objectives)}: take another sampler"
        )
    check_budgets(list(settings.budgets))
    for name, limit in settings.budgets.items():
        if not 0 < limit < float("inf"):
            raise UserError(f"budget {name} must be above 0; came {limit:g}")
    if settings.trials < 1:
        raise UserError(f"a search needs at least 1 trial; came {settings.trials}")
    if settings.seed < 0:
        raise UserError(f"seed must be 0 or more; came {settings.seed}")
    if not 0 <= settings.max_minutes < float("inf"):
        raise UserError(f"max_minutes must be 0 (no limit) or more; came {settings.max_minutes:g}")


def complete(settings: Settings, pool: Pool) -> Settings:
    """The settings with date, versions, command, and the hypervolume's reference point, in each cost's own unit.

    The reference point is the budget where there is one, else a tenth above the dearest of the random candidates, so
    that the dearest still adds to the hypervolume.
    """
    storage = lasting(settings.storage)
    program = "nas" if Path(sys.argv[0]).stem == "nas" else sys.argv[0]
    command = settings.command or shlex.join([program, *sys.argv[1:]])
    return replace(
        settings,
        storage=storage,
        study=f"nas-{uuid4().hex[:12]}" if settings.storage else "",
        start=start_size(settings.sampler, settings.trials),
        command=command.replace(settings.storage, shown(settings.storage)) if settings.storage else command,
        created=settings.created or datetime.now(UTC).isoformat(timespec="seconds"),
        versions={"python": platform.python_version(), "nas": __version__}
        | {name: _version(name) for name in ("torch", "timm", "optuna", "botorch")},
        reference_point={c: settings.limits.get(c, 1.1 * float(np.max(pool.columns[c]))) for c in settings.costs},
    )


def training_seed(seed: int, candidate: Candidate) -> int:
    """A candidate's own seed, the same whenever in a run it is trained."""
    return int(np.random.SeedSequence([seed, int(candidate.digest, 16)]).generate_state(1)[0]) >> 1


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "unknown"
