"""Quantization-aware training: weights that become used to int8's rounding before they are quantized."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from nas.compress.finetune import EPOCHS, check_epochs, fine_tuned, tuning_recipe
from nas.compress.step import Given
from nas.errors import UserError
from nas.space.hyperparameters import check_hyperparameter
from nas.train.distill import teacher_of
from nas.train.full_recipe import FullRecipe, Rounding
from nas.train.loop import best_device

if TYPE_CHECKING:
    from nas.models.trained import TrainedModel

TEACHER = "the float model"
TEMPERATURE, ALPHA = 4.0, 0.9  # of its soft targets, as of `nas train`


@dataclass(frozen=True, slots=True)
class Qat:
    """How a model is trained on with int8's rounding in every step; `Quantize` does it, and measures what it gives.

    The rounding is our own (`nas.train.fake_quantization`, where it is said why), so that the weights fit the network
    afterwards and are quantized again by ONNX Runtime, whose files are the fast ones. The recipe is that of the model's
    last training, gentler. `taught`: by the float model as teacher too, which lost two points against labels alone
    (experiments/deployment). With `rounding` "none" it is the control: as long a training without the rounding.
    """

    epochs: int = EPOCHS
    learning_rate: float | None = None  # its peak; None: a share of the last training's
    taught: bool = False
    rounding: Rounding = "int8"

    def __post_init__(self) -> None:
        check_epochs(self.epochs)
        if self.learning_rate is not None:
            check_hyperparameter("learning_rate", self.learning_rate)

    @property
    def text(self) -> str:
        rate = "" if self.learning_rate is None else f" from a learning rate of {self.learning_rate:g}"
        what = "QAT" if self.rounding == "int8" else "training without rounding"
        return f"{self.epochs} epoch{'s' * (self.epochs > 1)} of {what}{rate}{f', taught by {TEACHER}' * self.taught}"

    def recipe(self, model: TrainedModel) -> FullRecipe:
        """Raises UserError for values in the model's recipe that no training can have."""
        own = tuning_recipe(model, self.epochs)
        return replace(
            own, learning_rate=self.learning_rate or own.learning_rate, rounding=self.rounding,
            temperature=TEMPERATURE, alpha=ALPHA,
        )  # fmt: skip

    def train(self, model: TrainedModel, given: Given) -> TrainedModel:
        """The model with other weights. Raises UserError for a detector that is taught; else as `fine_tuned`."""
        if self.taught and model.network.detects:
            raise UserError("a detector learns from boxes alone, not from a teacher")
        teacher = teacher_of(model, TEACHER, best_device()) if self.taught else None
        tuned = fine_tuned(
            model,
            model,
            given,
            self.epochs,
            recipe=self.recipe(model),
            teacher=teacher,
            change="int8's rounding" if self.rounding == "int8" else "the same weights",
        )
        given.on_progress(f"{self.text}: {tuned.text}")
        return tuned.model
