"""A trained model compressed, step by step: `nas compress`.

.OUT.compressing/DIGEST/    until OUT is written: a step's own work, and its model when it has ended. The digest is that
                            of the model and of all steps up to this one, so that the same command goes on there.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from nas.catalog import lasting_dataset
from nas.compress.step import Given, OnProgress
from nas.errors import UserError
from nas.files.atomic import make_folder, recover_folder
from nas.files.lock import locked
from nas.models.trained import MODEL, WEIGHTS, TrainedModel, load_trained, save_trained

if TYPE_CHECKING:
    from nas.compress.step import Step
    from nas.deploy.source import Source
    from nas.device.profile import DeviceProfile
    from nas.train.resumption import OnFullProgress

FORMAT = 1  # of a digest: another way of doing the steps gives other weights
BUSY = "another process is compressing into {path}; wait for it"
KEPT = "model"
HASH = "compression"  # in a model's lineage


def compress(
    source: Source, steps: Sequence[Step], out: Path, *, profile: DeviceProfile | None = None, force: bool = False,
    on_progress: OnProgress = lambda line: None, on_training: OnFullProgress = lambda progress: None,
) -> TrainedModel:  # fmt: skip
    """Applies the steps in order and writes the model as a folder, which `nas export` and further steps take.

    A process that dies loses half a minute of a step's fine-tuning at most: the same call goes on, and where it had
    ended it returns the model. An existing folder is replaced only with `force`, and only where it is a model's.
    Raises UserError as the steps do, and KeyboardInterrupt, with a message, after a training's state was kept.
    """
    check_model_folder(out, force=force)
    if not steps:
        raise UserError("compress needs a step, e.g. --quantize int8")
    if steps[0].name == "quantize" and "int8_scheme" in source.model.recipe:
        raise UserError("the model is int8 already; quantize the one that it was made from, whose accuracy is compared")
    dataset, model, work = source.dataset(), source.model, work_folder(out)
    digest = _digest(model, dataset.fingerprint, source.seed, profile)
    digests = [(digest := sha256(f"{digest} {step!r}".encode()).hexdigest()) for step in steps]
    recover_folder(out)
    try:
        with locked(work, BUSY):
            if out.exists():
                done = load_trained(out)
                if done.lineage.hashes.get(HASH) == digest:
                    _clear(work)
                    return done
                if not force:
                    raise _exists(out)
            for step, name in zip(steps, digests, strict=True):
                model = _applied(
                    step, model, Given(dataset, source.seed, work / name, profile, on_progress, on_training)
                )
            data: dict[str, str | int | float] = {
                "dataset": lasting_dataset(dataset.name), "dataset_seed": source.seed,
            }  # fmt: skip
            if source.device is not None:
                data["device"] = source.device
            hashes = {**model.lineage.hashes, HASH: digest}
            model = replace(  # for what is done with the folder next
                model, recipe={**model.recipe, **data}, lineage=replace(model.lineage, hashes=hashes)
            )
            save_trained(out, model)
            _clear(work)
            return model
    finally:
        _remove_empty(work)


def kept(folder: Path, make: Callable[[], TrainedModel]) -> TrainedModel:
    """The model in a folder, made where there is none yet."""
    recover_folder(folder)
    if not folder.exists():
        save_trained(folder, make())
    return load_trained(folder)


def work_folder(out: Path) -> Path:
    """Where a compression that will end in `out` keeps its work."""
    return out.with_name(f".{out.name}.compressing")


def check_model_folder(out: Path, *, force: bool) -> None:
    """Raises UserError unless a model's folder can be written: an existing one with `force`, or by the same command."""
    if not out.parent.is_dir():
        raise UserError(f"cannot write {out}: there is no folder {out.parent}")
    if not out.exists() and not out.is_symlink():
        return
    if not (out / MODEL).is_file() or not (out / WEIGHTS).is_file() or out.is_symlink():
        raise UserError(f"{out} already exists and is not a model's folder; choose another name")
    if not force and HASH not in load_trained(out).lineage.hashes:
        raise _exists(out)


def _exists(out: Path) -> UserError:
    return UserError(f"{out} already exists; replace it with --force, or choose another name")


def _applied(step: Step, model: TrainedModel, given: Given) -> TrainedModel:
    """What the step makes of the model; what an earlier process made is not made again."""
    make_folder(given.folder)
    return kept(given.folder / KEPT, lambda: step.apply(model, given))


def _digest(model: TrainedModel, images: str, seed: int, profile: DeviceProfile | None) -> str:
    """A SHA-256 of all that the steps begin with."""
    facts = (
        FORMAT, model.network, model.network.stages, model.classes, model.preprocessing, model.precision,
        sorted(model.recipe.items()), model.lineage.steps, images, seed, profile and profile.fingerprint,
    )  # fmt: skip
    made = sha256(repr(facts).encode())
    for name, tensor in sorted(model.weights.items()):
        made.update(name.encode() + tensor.contiguous().numpy().tobytes())
    return made.hexdigest()


def _clear(work: Path) -> None:
    """Removes the work; its lock stays until the end."""
    for entry in work.iterdir():
        if entry.is_dir():
            shutil.rmtree(entry, ignore_errors=True)


def _remove_empty(work: Path) -> None:
    """Removes the folders in which nothing is kept: a step that was refused leaves none."""
    with suppress(OSError):
        for folder in (*(entry for entry in work.iterdir() if entry.is_dir()), work):
            with suppress(OSError):
                folder.rmdir()
