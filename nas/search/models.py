"""The trained models of a run's front, a folder each."""

from __future__ import annotations

import re
import shutil
from collections.abc import Set
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from nas.errors import UserError
from nas.run import Settings, model_folder

if TYPE_CHECKING:
    from nas.models.trained import TrainedModel

_OURS = re.compile(r"[0-9]+|\.[0-9]+\.(part|old)")  # a trial's folder, and those that `atomic_folder` writes beside it


def save_model(path: Path, settings: Settings, trial: int, model: TrainedModel) -> None:
    """Keeps a trial's model in the run's folder `path`. Raises UserError when the disk is full."""
    from nas.models.trained import save_trained

    _check_no_link(path)
    hashes = {
        "space": settings.space_sha256, "device": settings.device_sha256, "dataset": settings.dataset_sha256
    }  # fmt: skip
    lineage = replace(model.lineage, run=path.name, trial=trial, hashes={k: v for k, v in hashes.items() if v})
    save_trained(model_folder(path, trial), replace(model, lineage=lineage))


def read_model(path: Path, trial: int) -> TrainedModel | None:
    """A trial's model; None where none is kept. Raises UserError as `load_trial` does."""
    from nas.models.trained import load_trial

    return load_trial(path, trial) if model_folder(path, trial).exists() else None


def drop_models(path: Path, drop: Set[int] = frozenset(), *, keep: Set[int] | None = None) -> None:
    """Removes the models of some trials; with `keep` of all but those, and what a killed process left half written.

    Other files in the folder stay. Raises UserError where the folder is a link: what it leads to is not the run's.
    """
    _check_no_link(path)
    if keep is None:
        folders = [model_folder(path, trial) for trial in drop]
    else:
        kept = {str(trial) for trial in keep}
        folders = [f for f in (path / "models").glob("*") if _OURS.fullmatch(f.name) and f.name not in kept]
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


def _check_no_link(path: Path) -> None:
    if (path / "models").is_symlink():
        raise UserError(f"{path / 'models'}: must be a folder of the run; it is a link")
