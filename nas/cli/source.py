"""MODEL on the command line: a model's folder, or a run with --pick."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nas.cli.output import note
from nas.cli.pick import check_pick, picked
from nas.errors import UserError

if TYPE_CHECKING:
    from nas.deploy.source import Source

Model = Annotated[Path, typer.Argument(metavar="MODEL|RUN", help="A trained model's folder, or a run's, with --pick.")]
Pick = Annotated[str | None, typer.Option(metavar="TRIAL|knee", help="Of a run: a trial's number, or knee.")]
DatasetName = Annotated[
    str | None,
    typer.Option("--dataset", help="Dataset it was trained on, where the model does not say: e.g. folder:PATH."),
]
Seed = Annotated[int | None, typer.Option(min=0, help="Random seed of the dataset's validation split.")]


def read_source(path: Path, pick: str | None, dataset: str | None, seed: int | None) -> Source:
    """The model and how its dataset is found. Raises UserError."""
    from nas.deploy.source import load_source
    from nas.run import load_run

    check_pick(pick)
    is_run = (path / "run.toml").exists()
    if pick == "knee" and not is_run:
        raise UserError(f"{path} is not a run folder, so it has no knee: give a run, or leave --pick out")
    if pick is None or not is_run:
        return load_source(path, pick=None if pick is None else int(pick), dataset=dataset, seed=seed)
    run = load_run(path)
    choice = picked(run, pick, {})
    found = load_source(path, pick=choice.trial.trial, dataset=dataset, seed=seed)
    note(f"trial {choice.trial.trial}: {weights_text(path, choice.trial.trial)}")
    return found


def weights_text(run: Path, trial: int) -> str:
    """Of which training the best weights of a trial are."""
    from nas.models.trained import best_folder
    from nas.run import trained_folder

    full = best_folder(run, trial) == trained_folder(run, trial)
    return f"weights of its full training, {trained_folder(run, trial)}" if full else "weights of the short training"
