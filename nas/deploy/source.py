"""The model that a verb works on: a folder that `save_trained` wrote, or a trial of a run, and its dataset."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nas.catalog import home
from nas.errors import UserError
from nas.run import read_settings

if TYPE_CHECKING:
    from nas.data.dataset import Dataset
    from nas.models.trained import TrainedModel


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """A model, and how its dataset is found: by its name and the seed of its validation split; None where unknown.

    `device` is the name of the profile that its run was searched for, `folder` where the model lies.
    """

    folder: Path
    model: TrainedModel
    dataset_name: str | None
    seed: int
    device: str | None = None

    def dataset(self) -> Dataset:
        """Its images. Raises UserError where it is unknown, cannot be read, or is not the one of the training."""
        from nas.data.catalog import load_dataset

        if self.dataset_name is None:
            raise UserError("the model does not say which dataset it was trained on; name it with --dataset")
        found = load_dataset(self.dataset_name, seed=self.seed, cache_dir=home() / "datasets")
        if found.classes != self.model.classes:
            raise UserError(
                f"dataset {found.name} must have the model's {len(self.model.classes)} classes "
                f"({', '.join(self.model.classes)[:80]}); got {len(found.classes)} ({', '.join(found.classes)[:80]})"
            )
        known = self.model.lineage.hashes.get("dataset", "")
        if known and known != found.fingerprint:
            raise UserError(
                f"dataset {found.name} must be the one that the model was trained on, with the same split; got "
                f"another, or with another seed than {self.seed}"
            )
        return found


def load_source(
    path: Path | str, *, pick: int | None = None, dataset: str | None = None, seed: int | None = None
) -> Source:
    """The model in a folder, or with `pick` that of a trial of a run: in RUN/trained where it was trained in full.

    `dataset` and `seed` go before those that the model's recipe names, or its run, where the folder lies within it.
    Raises UserError for a folder that is neither, a run without `pick`, a model's folder with one, and a trial without
    a model.
    """
    from nas.models.trained import best_folder, load_best, load_trained

    path = folder = Path(path)
    if not (path / "run.toml").exists():
        if pick is not None:
            raise UserError(f"{path} is not a run folder, so it has no trial {pick}: give a run, or leave --pick out")
        model = load_trained(path)
        named, split = model.recipe.get("dataset"), model.recipe.get("dataset_seed", 0)
        device = str(model.recipe["device"]) if "device" in model.recipe else None
        own, own_seed = (str(named) if named else None), int(split) if isinstance(split, int) else 0
        run = path.absolute().parent.parent  # of RUN/trained/17
        if own is None and (run / "run.toml").exists() and model.lineage.run == run.name:
            settings = read_settings(run)
            own, own_seed, device = settings.dataset, settings.seed, settings.device
    elif pick is None:
        raise UserError(f"{path} is a run of many networks: say which with --pick")
    else:
        folder, model, settings = best_folder(path, pick), load_best(path, pick), read_settings(path)
        own, own_seed, device = settings.dataset, settings.seed, settings.device
    return Source(folder, model, dataset or own, own_seed if seed is None else seed, device)
