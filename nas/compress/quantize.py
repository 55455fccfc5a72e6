"""Quantization after training, a step: int8 or fp16, down to what a largest drop allows."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from nas.compress.ladder import Ladder
from nas.compress.qat import Qat
from nas.compress.step import Given, with_step
from nas.errors import UserError
from nas.models.int8 import Int8, Scheme, Target, without_int8
from nas.runtimes.onnxruntime import OnnxRuntime
from nas.runtimes.runtime import RuntimeName
from nas.space.layer import Precision
from nas.train.loop import spread
from nas.train.rounding import CALIBRATION_IMAGES

if TYPE_CHECKING:
    from nas.data.dataset import Dataset, Split
    from nas.models.trained import TrainedModel


@dataclass(frozen=True, slots=True)
class Quantize:
    """A `Step`. The float weights stay; precision and recipe say how the model is exported.

    `most` is the largest drop of accuracy, of a detector of AP50, a fraction, measured on the validation images with
    the exported file, by its runtime, against fp32. What loses more is not given: see `Ladder.descend`. None: whatever
    it loses, which is said. With several `runtimes` it is the loss in the worst of them; which blocks suffer is found
    in ONNX Runtime.
    `qat` comes before the rest: the weights are then those of a quantization-aware training, and still float.
    """

    name: str = field(default="quantize", init=False)
    precision: Precision = "int8"
    most: float | None = None
    scheme: Scheme = "static"
    qat: Qat | None = None
    runtimes: tuple[RuntimeName, ...] = ("onnxruntime",)
    target: Target = "cpu"

    def __post_init__(self) -> None:
        if self.precision == "fp32":
            raise UserError("a model is quantized to int8 or fp16; got fp32")
        if self.most is not None and not 0 <= self.most < 1:
            raise UserError(f"the largest drop must be from 0% to below 100%; got {100 * self.most:g}%")
        if self.scheme == "dynamic" and self.runtimes != ("onnxruntime",):
            raise UserError("int8 with dynamic ranges is for ONNX Runtime")
        if self.qat and (self.precision != "int8" or self.scheme != "static"):
            raise UserError("quantization-aware training is for int8 with ranges that are measured before (static)")

    def apply(self, model: TrainedModel, given: Given) -> TrainedModel:
        """Raises UserError for data of other classes, without images to validate, or to calibrate, of two classes."""
        if model.classes != given.dataset.classes:
            raise UserError(f"dataset {given.dataset.name} must have the model's classes; got others")
        variants = OnnxRuntime().variants(model, calibration_images(given.dataset))
        ladder = Ladder(variants, given.dataset.validation, given.on_progress, self.runtimes)
        int8 = Int8(self.scheme, self.target) if self.precision == "int8" else None
        rung = ladder.measure(self.precision, int8)
        qat = self.qat or Qat()

        def train() -> TrainedModel:
            given.on_progress(f"{qat.text}, from the float weights")
            return qat.train(model, given)

        if self.qat and int8:
            rung = ladder.trained_on(int8, train)
        if self.most is not None:
            rung = ladder.descend(rung, self.most, train)
        trained = rung.tuned.model if rung.tuned else model
        plain = replace(trained, recipe=without_int8(model.recipe), precision=rung.precision)
        made = plain if rung.int8 is None else rung.int8.within(plain)
        return with_step(made, f"{self.name}: {rung.text}" + f"; {qat.text}" * (rung.tuned is not None))


def calibration_images(dataset: Dataset) -> Split:
    """The training images that give int8 its ranges: those that an estimator rounds with."""
    return dataset.train.subset(spread(len(dataset.train), CALIBRATION_IMAGES))
