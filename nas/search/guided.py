"""The guide of a search: made from scores of untrained networks before it begins, or again when it is resumed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from nas.errors import UserError
from nas.run import ACCURACY, SAME, Settings, check_free, has_ended, read_settings
from nas.search.problem.feasibility import Pool
from nas.space.search_space import SearchSpace

if TYPE_CHECKING:
    from nas.data.dataset import Dataset
    from nas.estimate.estimator import OnPrepare
    from nas.estimate.guide import Guide

NONE = "none"
USUAL = "zero-cost"
GUIDED_FROM = 15.0  # minutes: of a shorter search, scores would take too large a share
MOST_TIME = 0.08  # of the time of a search that was not asked for a guide
MOST_POOL = 400  # networks


def check_guide(guide: str, settings: Settings) -> None:
    """Raises UserError for scores that there are not, and where accuracy is no objective."""
    from nas.estimate.guide import guide_scores  # late: PyTorch takes a second to start

    guide_scores(guide)
    if settings.task != "classification":
        raise UserError(f"guide {guide} scores classifiers; a search for {settings.task} has none")
    if ACCURACY not in settings.goals:
        raise UserError(f"guide {guide} needs the objective accuracy; got {', '.join(settings.objectives)}")


def usual_guide(minutes: float, settings: Settings, path: Path) -> str:
    """The guide of a search of so many minutes (0: it is not limited) that was not asked for one.

    A run of the same time in the folder `path` keeps what it has.
    """
    if (kept := begun_in(path)) is not None and kept.minutes == minutes:
        return kept.guide
    return USUAL if minutes >= GUIDED_FROM and ACCURACY in settings.goals else ""


def guide_of(
    settings: Settings, space: SearchSpace, pool: Pool, dataset: Dataset, path: Path, *, resume: bool, seconds: float,
    on_prepare: OnPrepare,
) -> tuple[Settings, Guide | None]:  # fmt: skip
    """The settings with how many networks were scored, and the guide; None where the seconds were over too early.

    A run in the folder `path` that has the same guide keeps its number of networks, so that it goes on as it began.
    Raises UserError, before anything is scored, for a folder that no such search can use.
    """
    from nas.estimate.guide import SCORED, ScoredNetworks, guide_scores, make_guide
    from nas.estimate.structure import Structure

    kept, most = begun_in(path), SCORED
    same = kept is not None and all(getattr(kept, name) == getattr(settings, name) for name in SAME if name != "proxy")
    if kept is not None and same and (resume or not has_ended(path)):
        most, seconds = kept.guide_networks, float("inf")
    else:
        check_free(path)
    networks = dict.fromkeys(
        space.network(space.canonical(space.decode(code)), settings.classes) for code in pool.codes[1 : MOST_POOL + 1]
    )
    scored = ScoredNetworks(
        Structure(space, settings.classes), dataset, tuple(networks), guide_scores(settings.guide), settings.seed
    )
    guide = make_guide(scored, most, seconds, on_prepare)
    if guide is None:
        return replace(settings, guide="", guide_networks=0), None
    return replace(settings, guide_networks=guide.networks), guide


def begun_in(path: Path) -> Settings | None:
    """The settings of the run in a folder, if there is one that can be read."""
    try:
        return read_settings(path)
    except UserError:
        return None
