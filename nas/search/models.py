"""The trained models of a run's front, a folder each."""

from __future__ import annotations

import shutil
from collections.abc import Set
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from nas.run import Settings, model_folder

if TYPE_CHECKING:
    from nas.models.trained import TrainedModel


def save_model(path: Path, settings: Settings, trial: int, model: TrainedModel) -> None:
    """Keeps a trial's model in the run's folder `path`. Raises UserError when the disk is full."""
    from nas.models.trained import save_trained

    hashes = {
        "space": settings.space_sha256, "device": settings.device_sha256, "dataset": settings.dataset_sha256
    }  # fmt: skip
    lineage = replace(model.lineage, run=path.name, trial=trial, hashes={k: v for k, v in hashes.items() if v})
    save_trained(model_folder(path, trial), replace(model, lineage=lineage))


def read_model(path: Path, trial: int) -> TrainedModel | None:
    """A trial's model; None where none is kept. Raises UserError as `load_trained` does."""
    from nas.models.trained import load_trained

    folder = model_folder(path, trial)
    return load_trained(folder) if folder.exists() else None


def drop_models(path: Path, drop: Set[int] = frozenset(), *, keep: Set[int] | None = None) -> None:
    """Removes the models of some trials; with `keep` of all but those, and what a killed process left half written."""
    if keep is None:
        folders = [model_folder(path, trial) for trial in drop]
    else:
        kept = {model_folder(path, trial) for trial in keep}
        folders = [folder for folder in (path / "models").glob("*") if folder not in kept]
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
