"""A network of a run, trained in full: what `nas train` does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING

from nas.deploy.teachers import find_teacher
from nas.deploy.timm_weights import FROM, pretrained
from nas.errors import UserError, require
from nas.run import Run, Trial, load_run, trained_folder
from nas.space.hyperparameters import Augmentation
from nas.space.network import Network

if TYPE_CHECKING:
    import torch

    from nas.data.dataset import Dataset
    from nas.models.trained import Lineage, TrainedModel
    from nas.train.full_folder import Begun
    from nas.train.full_recipe import FullRecipe
    from nas.train.resumption import OnFullProgress, OnPlan

BATCH_SIZE = 64  # where the run says nothing
OnNote = Callable[[str], object]


@dataclass(frozen=True, slots=True)
class TrainingOptions:
    """What may be asked of a full training. None: the candidate's own, or what follows from the number of images."""

    epochs: int | None = None
    minutes: float = 0.0  # that it may take; 0: no limit
    teacher: str = "none"  # as of `find_teacher`
    batch_size: int | None = None
    learning_rate: float | None = None
    augmentation: Augmentation | None = None
    mixup: float | None = None
    balanced: bool = False
    pretrained: bool = False  # begin with timm's weights, where the network is one of timm's
    crops: int = 0  # epochs that a detector's body is trained first, as a classifier of what its boxes hold
    temperature: float = 4.0
    alpha: float = 0.9
    seed: int = 0
    gpus: int | None = None  # None: all that are there


def train(
    run: Run | Path | str, *, pick: int | Trial, options: TrainingOptions | None = None, out: Path | str | None = None,
    resume: bool = False, force: bool = False,
    on_progress: OnFullProgress = lambda _: None, on_plan: OnPlan | None = None, on_note: OnNote = lambda _: None,
) -> tuple[Path, TrainedModel]:  # fmt: skip
    """Trains a network of a run from scratch, in full, at its own resolution; returns the folder and the model in it.

    `pick` is a trial's number, or what `nas.pick` returned; its hyperparameters are those of the training, whatever the
    options do not change. The images are those of the run, which must not have changed. `out` is the model's folder
    (default: RUN/trained/TRIAL). The same call goes on with a training that was stopped; `resume` does so with the
    options that it was begun with, and `force` replaces another one. Raises UserError and KeyboardInterrupt as
    `train_full` does.

    >>> from nas.deploy.train import TrainingOptions, train
    >>> train("runs/tiny-raspberry-pi-4-1", pick=17, options=TrainingOptions(epochs=60))  # doctest: +SKIP
    """
    require("pick", pick, (Integral, Trial), "a trial, or its number")
    require("out", out or "", (str, Path), "a folder")
    asked = options or TrainingOptions()
    found = run if isinstance(run, Run) else load_run(run)
    number = pick.trial if isinstance(pick, Trial) else int(pick)
    trial = found.trial(number)
    folder = Path(out) if out else trained_folder(found.path, number)
    if asked.teacher == str(number):
        raise UserError(f"trial {number} cannot be its own teacher")
    begun = _resumed(folder, asked) if resume else None

    from nas.deploy.images import dataset_of
    from nas.models.trained import Lineage
    from nas.train.full import train_full
    from nas.train.full_folder import work_folder
    from nas.train.loop import best_device

    body, settings = work_folder(folder).with_name(f"{folder.name}-body"), found.settings
    dataset = dataset_of(settings.dataset, settings.dataset_sha256, settings.seed)
    network = _network(found, trial)
    recipe = begun.recipe if begun else _recipe(found, trial, asked, dataset, network)
    device = best_device()
    teacher = find_teacher(begun.teacher if begun else asked.teacher, found, dataset, device)
    on_note(dataset.description)
    processes, said = gpus_used(device, asked.gpus, recipe.batch_size, taught=teacher is not None)
    if said:
        on_note(said)
    hashes = {"space": settings.space_sha256, "device": settings.device_sha256}
    lineage = Lineage(found.path.absolute().name, number, (), hashes)
    start: Network | TrainedModel = network
    if begun.start.startswith(FROM) if begun else asked.pretrained:
        start = pretrained(_untrained(network, dataset, trial, lineage, begun.seed if begun else asked.seed))
    if crops := _crops(body, begun, asked):
        start = _body(network, dataset, trial, lineage, body, crops, begun.seed if begun else asked.seed, on_progress)
    model = train_full(
        start, dataset, recipe, folder,
        seed=begun.seed if begun else asked.seed, teacher=teacher,
        minutes=begun.minutes if begun else asked.minutes, precision=trial.candidate.precision,
        lineage=None if start is not network else lineage, device=device, force=force,
        recorded={"dataset": settings.dataset, "dataset_seed": settings.seed}, on_progress=on_progress,
        on_plan=on_plan, processes=processes,
    )  # fmt: skip
    return folder, model


def gpus_used(device: torch.device, asked: int | None, batch_size: int, *, taught: bool) -> tuple[int, str]:
    """How many GPUs share the training, and what a machine with several of them should be told.

    Raises UserError where more are asked for than are there.
    """
    import torch

    from nas.train.processes import LEAST_IMAGES, processes_for

    there = torch.cuda.device_count() if device.type == "cuda" else 0
    if asked is not None and asked > there:
        raise UserError(f"--gpus must be at most the number of GPUs that PyTorch finds here, {there}; got {asked}")
    if there < 2:
        return 1, ""
    used = 1 if taught else processes_for(asked or there, batch_size)
    if used > 1:
        return used, f"{used} of {there} GPUs share each batch of {batch_size} images"
    why = "; with a teacher no more are" if taught else f"; each must get at least {LEAST_IMAGES} images of a batch"
    return 1, f"one of {there} GPUs is used{why * (asked != 1)}; CUDA_VISIBLE_DEVICES says which"


def _resumed(folder: Path, asked: TrainingOptions) -> Begun:
    """What the training in `folder` was begun with. Raises UserError where there is none, or options are given."""
    from nas.train.full_folder import read_begun

    usual = TrainingOptions()
    if given := [
        f.name for f in fields(asked) if f.name != "gpus" and getattr(asked, f.name) != getattr(usual, f.name)
    ]:
        raise UserError(f"--resume keeps the options that the training was begun with; leave out {given[0]}")
    begun = read_begun(folder)
    if begun is None:
        raise UserError(f"{folder}: no training that could be resumed was begun there")
    return begun


def _network(run: Run, trial: Trial) -> Network:
    """The trial's network: of its model where the run keeps one, else made from the space again."""
    from nas.models.trained import load_trial
    from nas.space.search_space import load_space

    if run.model(trial.trial).exists():
        return load_trial(run.path, trial.trial).network
    space = load_space(run.settings.space)
    if space.fingerprint != run.settings.space_sha256:
        raise UserError(
            f"space {run.settings.space} has changed since {run.path} was searched, and no model of trial "
            f"{trial.trial} is kept, so its network is not known"
        )
    return space.network(trial.candidate, run.settings.classes)


def _untrained(network: Network, dataset: Dataset, trial: Trial, lineage: Lineage, seed: int) -> TrainedModel:
    """The network with the weights that a training of this seed begins with."""
    from nas.models.builder import build
    from nas.models.trained import Preprocessing, TrainedModel

    prepared, weights = Preprocessing(network.input_shape[1]), build(network, seed=seed).state_dict()
    return TrainedModel(
        network, weights, dataset.task, dataset.classes, prepared, trial.candidate.precision, lineage=lineage
    )


def _crops(body: Path, begun: Begun | None, asked: TrainingOptions) -> int:
    """How many epochs a detector's body is trained on crops first; of a training that is resumed as many as then."""
    from nas.train.full_folder import read_result

    return read_result(body).epochs if begun and body.exists() else asked.crops


def _body(
    network: Network, dataset: Dataset, trial: Trial, lineage: Lineage, body: Path, epochs: int, seed: int,
    on_progress: OnFullProgress,
) -> TrainedModel:  # fmt: skip
    """The detector, its body trained on crops first; what that gave is kept in the folder `body`."""
    from nas.train.crops import trained_body

    if dataset.task != "detection":
        raise UserError(f"crops are of boxes, and {dataset.name} has none")
    made = trained_body(network, dataset, body, epochs=epochs, seed=seed, on_progress=on_progress)
    steps = replace(lineage, steps=(*lineage.steps, *made.lineage.steps))
    return replace(made, precision=trial.candidate.precision, lineage=steps)


def _recipe(run: Run, trial: Trial, asked: TrainingOptions, dataset: Dataset, network: Network) -> FullRecipe:
    from nas.train.full_recipe import full_recipe

    tuned = int(run.settings.proxy.get("batch_size", BATCH_SIZE))
    batch = tuned if asked.batch_size is None else asked.batch_size
    chosen = trial.candidate.as_dict()
    if asked.augmentation is not None:
        chosen["augmentation"] = asked.augmentation
    if asked.learning_rate is not None:
        if "learning_rate" not in chosen:  # a candidate that has one is trained by SGD
            chosen.setdefault("optimizer", "adamw")
        chosen["learning_rate"], tuned = asked.learning_rate, batch
    mixup = 0.0 if asked.mixup is None and dataset.task != "classification" else asked.mixup
    return full_recipe(
        chosen, images=len(dataset.train), resolution=network.input_shape[1], batch_size=batch, tuned_batch_size=tuned,
        epochs=asked.epochs, mixup=mixup, class_weights="balanced" if asked.balanced else "none",
        temperature=asked.temperature, alpha=asked.alpha,
    )  # fmt: skip
