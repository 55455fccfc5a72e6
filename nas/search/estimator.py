"""The estimator that a search's accuracies come from: by name, with settings of its own that run.toml keeps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.errors import UserError, require, unknown
from nas.files.csv import MOST_BYTES
from nas.files.plain import read_text
from nas.run import ROBUST_ACCURACY, Settings
from nas.space.search_space import SearchSpace

if TYPE_CHECKING:
    from nas.data.dataset import Dataset
    from nas.estimate.estimator import Estimator

FILES = ("path", "labels")  # settings that name a CSV


def with_estimator(settings: Settings, name: str, own: Mapping[str, Any]) -> Settings:
    """The settings of a search whose accuracies `name` estimates; a file in `own` is hashed, its path made absolute.

    Raises UserError for an estimator that only ranks, and for settings that none has.
    """
    from nas.estimate.by_name import ACCURATE, ESTIMATORS  # late: PyTorch takes a second to start

    require("estimator", name, str, "a name")
    require("estimator_settings", own, Mapping, "values by name")
    if name not in ESTIMATORS:
        raise unknown("estimator", name, ESTIMATORS)
    if name not in ACCURATE:
        raise UserError(
            f"estimator {name} only ranks networks, and a front needs accuracies: take {' or '.join(ACCURATE)}"
        )
    if name == "proxy" and own:
        raise UserError(f"estimator proxy has no setting {min(own)!r} of its own; see --epochs and the other options")
    for key, value in own.items():
        require(f"{key} of the estimator", value, (str, int, float), "text or a number")
    kept = dict(own)
    for key in FILES:
        if isinstance(path := kept.get(key), str) and path:
            kept[key] = str(Path(path).expanduser().absolute())
    return replace(settings, estimator=name, estimator_settings=kept, estimator_sha256=_fingerprint(kept))


def check_unchanged(settings: Settings, path: Path | str) -> None:
    """Raises UserError where the file that the run in folder `path` has its accuracies from is another one now."""
    if _fingerprint(settings.estimator_settings) != settings.estimator_sha256:
        raise UserError(
            f"{_file(settings.estimator_settings)} has changed since {path} was begun, so it cannot be resumed"
        )


def estimator_of(settings: Settings, dataset: Dataset, space: SearchSpace) -> Estimator:
    """The estimator of a search. Raises UserError for settings that it cannot have."""
    from nas.estimate.by_name import ON_PROXY, make_estimator

    trains = settings.estimator in ON_PROXY
    own = {**(settings.proxy if trains else {}), **settings.estimator_settings}
    robust = ROBUST_ACCURACY.column in settings.learned
    return make_estimator(settings.estimator, dataset, own, settings.seed, space, robust=robust)


def _fingerprint(own: Mapping[str, Any]) -> str:
    """The SHA-256 of the file that settings name; nothing where they name none."""
    file = _file(own)
    return sha256(read_text(Path(file), MOST_BYTES, "CSV").encode()).hexdigest() if file else ""


def _file(own: Mapping[str, Any]) -> str:
    """The file that settings name, if any."""
    return next((own[key] for key in FILES if isinstance(own.get(key), str) and own[key]), "")
