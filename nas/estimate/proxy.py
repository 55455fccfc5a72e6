"""Proxy training, an estimator: a candidate's accuracy from a short training, most of it on small images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from statistics import fmean
from time import perf_counter

import torch
from torch import nn

from nas.data.corrupted import CorruptedSplit
from nas.data.dataset import Dataset, Split
from nas.estimate.chance import check_above_chance
from nas.estimate.estimator import Estimate, OnPrepare
from nas.estimate.fidelity import Fidelity, watched_images
from nas.models.builder import build
from nas.models.parts import silence_residuals
from nas.models.trained import Lineage, Preprocessing, TrainedModel
from nas.space.candidate import Candidate, Value
from nas.space.layer import Precision
from nas.space.network import Network
from nas.tasks.by_name import task_of
from nas.tasks.task import Task
from nas.train.loop import OnEpoch, best_device, evaluate, fit, measure, spread
from nas.train.recipe import recipe
from nas.train.rounding import quantized

CALIBRATION_IMAGES = 512  # that batch norm's final statistics are of


@dataclass(frozen=True, slots=True, eq=False)
class ProxyTraining:
    """An `Estimator`: trains candidates on `dataset` at `fidelity`.

    `seed` draws the share of the training images, the same for every candidate. `device` None is the best device of
    the machine that trains, which may be another one than this. With `robust` the estimates have a robust accuracy too,
    on the same corrupted validation images for every candidate, which are made once for each resolution.
    """

    dataset: Dataset
    fidelity: Fidelity
    seed: int = 0
    device: torch.device | None = None
    robust: bool = False
    train: Split = field(init=False, repr=False)
    validation: Split = field(init=False, repr=False)  # that accuracies are measured on
    watched: Split = field(init=False, repr=False)  # the validation images that the curve is measured on
    corrupted: CorruptedSplit = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "train", self.dataset.train.share(self.fidelity.data_share, self.seed))
        validation = self.dataset.validation
        kept = max(1, round(self.fidelity.validation_share * len(validation)))
        validation = validation.subset(spread(len(validation), kept)) if kept < len(validation) else validation
        object.__setattr__(self, "validation", validation)
        most = watched_images(len(self.train), len(validation))
        few = validation.subset(spread(len(validation), most)) if most < len(validation) else validation
        object.__setattr__(self, "watched", few)
        object.__setattr__(self, "corrupted", CorruptedSplit(validation, self.seed))

    def prepare(self, on_progress: OnPrepare | None = None) -> None:
        """Nothing: each training is on its own."""

    def estimate(
        self, network: Network, hyperparameters: Mapping[str, Value], *, seed: int, on_epoch: OnEpoch | None = None
    ) -> Estimate:
        """Train `network` from scratch with a candidate's hyperparameters and measure its validation accuracy.

        The mapping may hold learning_rate, weight_decay, label_smoothing, optimizer, augmentation and precision; what
        is missing is the recipe's default, and the names of architecture choices are left out. The accuracy is that of
        the network as it would be deployed: at its own resolution, and of an int8 or fp16 candidate after rounding as
        `quantized` does, on every validation image of the fidelity; the curve is in float32, on some of them. Equal
        seeds give equal estimates on one machine.

        `on_epoch` may end the training early; the value is then that of the last epoch, in float32 and at the
        resolution it was trained at, and there is no model. Raises UserError for values no recipe can have, and when
        the network has not the dataset's number of classes; FloatingPointError as `fit` does; AtChance when it
        has learned nothing.
        """
        start = perf_counter()
        task = self._task(network)
        task.check(network, self.dataset.name)
        fidelity, resolution = self.fidelity, network.input_shape[1]
        small = fidelity.small_resolution(network)
        chosen = recipe(
            hyperparameters, epochs=fidelity.epochs, batch_size=fidelity.batch_size, resolution=resolution,
            small_resolution=small, small_share=1 - fidelity.full_resolution_share if small < resolution else 0.0,
            calibration_images=CALIBRATION_IMAGES,
        )  # fmt: skip
        model = build(network, seed=seed)
        silence_residuals(model)
        validation = self.validation
        curve = fit(
            model, task, self.train, self.watched, chosen,
            seed=seed, flip=self.dataset.flip, device=self.device, on_epoch=on_epoch,
        )  # fmt: skip
        reached, log_loss = curve[-1].validation_accuracy, curve[-1].validation_loss
        if len(curve) < fidelity.epochs:
            return Estimate(reached, perf_counter() - start, curve=curve)
        precision = Candidate.of(hyperparameters).precision
        if precision != "fp32" or self.watched is not validation:
            deployed = quantized(model, precision, self.train, resolution)
            reached, log_loss = measure(deployed, task, validation, resolution)
        details = task.details()  # of the same images as `reached`
        steps = fidelity.epochs * max(1, len(self.train) // fidelity.batch_size)
        if task.guessed:
            check_above_chance(reached, images=len(validation), classes=network.classes, steps=steps)
        robust = self._robust_accuracy(model, network, precision) if self.robust else None
        weights = {name: tensor.detach().cpu() for name, tensor in model.state_dict().items()}
        trained = TrainedModel(
            network, weights, task.name, task.classes,
            Preprocessing(resolution, self.train.images.side, task.resize), precision,
            recipe=asdict(chosen) | {"seed": seed, "data_share": self.fidelity.data_share},
            lineage=Lineage(steps=("proxy training",)),
        )  # fmt: skip
        return Estimate(
            reached, perf_counter() - start, curve=curve, model=trained, robust_accuracy=robust, log_loss=log_loss,
            average_precision=details,
        )  # fmt: skip

    def test_accuracy(self, model: TrainedModel) -> float:
        """The share of test images that a trained network gets right, in its precision and at its own resolution."""
        device = self.device or best_device()
        module = model.module().to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        resolution = model.preprocessing.resolution
        deployed = quantized(module, model.precision, self.train, resolution)
        return evaluate(deployed, self._task(model.network), self.dataset.test_split(), resolution)

    def _robust_accuracy(self, model: nn.Module, network: Network, precision: Precision) -> float:
        """The mean over every corruption and severity, at the candidate's own resolution and in its precision."""
        resolution = network.input_shape[1]
        deployed = quantized(model, precision, self.train, resolution)
        task = self._task(network)
        return fmean(evaluate(deployed, task, split, resolution) for split in self.corrupted.at(resolution))

    def _task(self, network: Network) -> Task:
        """A task of this training's own: it counts batches."""
        return task_of(self.dataset.task, self.dataset.classes, network, self.train.labels)
