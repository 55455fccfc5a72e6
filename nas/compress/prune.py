"""Structured pruning, a step: whole channels leave, those that cost the device most for what they give."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from nas.compress.channels import groups_of, importance, pruned
from nas.compress.plan import latency, sizes_for
from nas.compress.step import Given, with_step
from nas.errors import UserError
from nas.models.int8 import without_int8
from nas.numbers import figure, percent
from nas.space.candidate import Value
from nas.space.hyperparameters import HYPERPARAMETERS
from nas.space.layer import Precision
from nas.tasks.by_name import task_of
from nas.train.loop import best_device, calibrate, evaluate, fit
from nas.train.recipe import recipe

if TYPE_CHECKING:
    from nas.models.trained import TrainedModel

MULTIPLE, INT8_MULTIPLE = 8, 16  # of channels; others than these are slower than what was pruned
EPOCHS, BATCH, CALIBRATED = 5, 32, 512
GENTLER = 0.3  # times the training's peak learning rate: the weights are nearly there


@dataclass(frozen=True, slots=True)
class Prune:
    """A `Step`. `share` of the latency that the device's profile predicts is taken away, then the rest is fine-tuned.

    What the device gains is said before anything is trained. Channels stay multiples of 8, in int8 of 16: unrounded,
    MobileNetV2 with half the MACs was 1.23 times slower in ONNX Runtime.
    """

    name: str = field(default="prune", init=False)
    share: float = 0.3
    epochs: int = EPOCHS
    precision: Precision | None = None  # that latency is predicted in; None: the model's

    def __post_init__(self) -> None:
        if not 0 < self.share < 1:
            raise UserError(f"the share of the latency to prune must be above 0 and below 1; got {self.share:g}")
        if self.epochs < 1:
            raise UserError(f"a pruned network needs at least 1 epoch; got {self.epochs}")

    def apply(self, model: TrainedModel, given: Given) -> TrainedModel:
        """Raises UserError without a profile, where it cannot predict or reach that, and for a training that fails."""
        profile, data, precision = given.profile, given.dataset, self.precision or model.precision
        if profile is None:
            raise UserError("what to prune is chosen by a device's profile; name it with --device")
        if model.classes != data.classes:
            raise UserError(f"dataset {data.name} must have the model's classes; got others")
        multiple = INT8_MULTIPLE if precision == "int8" else MULTIPLE
        before = latency(profile, model.network, precision)
        groups = groups_of(model.network)
        worth = importance(model, groups)
        made = pruned(model, sizes_for(model.network, worth, profile, precision, self.share, multiple), worth)
        after, old, new = latency(profile, made.network, precision), model.network, made.network
        gain = (
            f"{profile.name} {figure(before)} to {figure(after)} ms predicted in {precision}, {after / before:.2f} of "
            f"the latency, {new.macs / old.macs:.2f} of the MACs, {new.params / old.params:.2f} of the parameters"
        )
        given.on_progress(f"{gain}; nothing is trained yet")
        task, module, resolution = task_of(data.task, data.classes, new), made.module(), new.input_shape[1]
        device = best_device()
        was = evaluate(model.module().to(device), task, data.validation, resolution)
        module.to(device)
        calibrate(module, data.train, resolution, CALIBRATED)
        raw = evaluate(module, task, data.validation, resolution)
        given.on_progress(f"{percent(was)} of {len(data.validation):,} validation images before, {percent(raw)} pruned")
        values: dict[str, Value] = {n: v for n, v in model.recipe.items() if n in HYPERPARAMETERS}
        chosen = recipe(
            values, epochs=self.epochs, batch_size=BATCH, resolution=resolution, calibration_images=CALIBRATED
        )
        chosen = replace(chosen, learning_rate=GENTLER * chosen.learning_rate)
        try:
            curve = fit(module, task, data.train, data.validation, chosen, seed=given.seed, flip=data.flip)
        except FloatingPointError as error:
            raise UserError(f"the pruned network cannot be fine-tuned: {error}") from None
        weights = {name: tensor.detach().cpu().contiguous() for name, tensor in module.state_dict().items()}
        tuned = curve[-1].validation_accuracy
        reached = f"{percent(was)} of validation images before, {percent(tuned)} after {self.epochs} epochs"
        line = f"{self.name}: {gain}; {reached}"
        given.on_progress(line)
        return with_step(replace(made, weights=weights, recipe=without_int8(made.recipe)), line)
