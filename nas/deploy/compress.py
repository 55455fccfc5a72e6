"""A trained model compressed, step by step: `nas compress`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from nas.catalog import lasting_dataset
from nas.compress.step import Given, OnProgress
from nas.errors import UserError
from nas.models.trained import save_trained

if TYPE_CHECKING:
    from nas.compress.step import Step
    from nas.deploy.source import Source
    from nas.device.profile import DeviceProfile
    from nas.models.trained import TrainedModel


def compress(
    source: Source, steps: Sequence[Step], out: Path, *, profile: DeviceProfile | None = None, force: bool = False,
    on_progress: OnProgress = lambda line: None,
) -> TrainedModel:  # fmt: skip
    """Applies the steps in order and writes the model as a folder, which `nas export` and further steps take.

    An existing folder is replaced only with `force`, and only where it is a model's. Raises UserError as the steps do.
    """
    check_model_folder(out, force=force)
    if not steps:
        raise UserError("compress needs a step, e.g. --quantize int8")
    dataset, model = source.dataset(), source.model
    with TemporaryDirectory(prefix="nas-") as folder:
        given = Given(dataset, source.seed, Path(folder), profile, on_progress)
        for step in steps:
            model = step.apply(model, given)
    data: dict[str, str | int | float] = {"dataset": lasting_dataset(dataset.name), "dataset_seed": source.seed}
    if source.device is not None:
        data["device"] = source.device
    model = replace(model, recipe={**model.recipe, **data})  # for what is done with the folder next
    save_trained(out, model)
    return model


def check_model_folder(out: Path, *, force: bool) -> None:
    """Raises UserError unless a model's folder can be written; an existing one only with `force`."""
    if not out.parent.is_dir():
        raise UserError(f"cannot write {out}: there is no folder {out.parent}")
    if not out.exists() and not out.is_symlink():
        return
    if not (out / "model.json").is_file() or not (out / "weights.safetensors").is_file() or out.is_symlink():
        raise UserError(f"{out} already exists and is not a model's folder; choose another name")
    if not force:
        raise UserError(f"{out} already exists; replace it with --force, or choose another name")
