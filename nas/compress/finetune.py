"""The short training after a step that changed a network: gentler than the one before, and resumable."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

from nas.compress.step import Given
from nas.errors import UserError
from nas.models.int8 import without_int8
from nas.numbers import percent
from nas.space.candidate import Value
from nas.space.hyperparameters import HYPERPARAMETERS
from nas.tasks.by_name import task_of
from nas.train.distill import Teacher
from nas.train.fake_quantization import FakeQuantized
from nas.train.full_recipe import FullRecipe
from nas.train.loop import best_device, calibrate, evaluate
from nas.train.recipe import recipe as recipe_of
from nas.train.resumption import SAVE_SECONDS, memory_told, train_resumably, weights_of
from nas.train.training import Lesson

if TYPE_CHECKING:
    from torch import nn

    from nas.device.profile import DeviceProfile
    from nas.models.trained import TrainedModel

EPOCHS, CALIBRATED = 5, 512
BATCH, MOST_BATCH = 32, 512  # images; the first where the model's recipe says nothing
GENTLER = 0.3  # times the training's peak learning rate: the weights are nearly there
STATE = "training.safetensors"  # in the step's folder


@dataclass(frozen=True, slots=True)
class Tuned:
    """A model after its fine-tuning, and what was reached on validation images: the task's metric, from 0 to 1."""

    model: TrainedModel
    before: float  # by the model that the step was given
    untuned: float  # by the changed network, its batch norms' statistics measured anew
    after: float
    epochs: int

    @property
    def text(self) -> str:
        epochs = f"{self.epochs} epoch{'s' * (self.epochs > 1)}"
        return f"{_reached(self.before, self.model)} before, {percent(self.after)} after {epochs}"


def _reached(share: float, model: TrainedModel, images: str = "") -> str:
    """The task's metric in words: a share of the images, or mAP on them."""
    what = f"{images} validation images".lstrip()
    return f"mAP {percent(share)} on {what}" if model.network.detects else f"{percent(share)} of {what}"


class NotFinite(UserError):
    """A training whose numbers are not finite."""


def check_epochs(epochs: int) -> None:
    """Raises UserError for a number of epochs that no fine-tuning can have."""
    if epochs < 1:
        raise UserError(f"fine-tuning takes at least 1 epoch; got {epochs}")


def check_share(share: float, of: str) -> None:
    """Raises UserError for a share of something that cannot be taken away."""
    if not 0 < share < 1:
        raise UserError(f"the share of the {of} must be above 0 and below 1; got {share:g}")


def profile_for(model: TrainedModel, given: Given, why: str) -> DeviceProfile:
    """The device's profile, for a step that chooses by it and then trains. Raises UserError without one, saying why,
    and as `check_classes`."""
    if given.profile is None:
        raise UserError(f"{why}; name it with --device")
    check_classes(model, given)
    return given.profile


def check_classes(model: TrainedModel, given: Given) -> None:
    """Raises UserError for data of other classes than the model's."""
    if model.classes != given.dataset.classes:
        raise UserError(f"dataset {given.dataset.name} must have the model's classes; got others")


def fine_tuned(
    before: TrainedModel, changed: TrainedModel, given: Given, epochs: int, *, recipe: FullRecipe | None = None,
    teacher: Teacher | None = None, change: str = "the change",
) -> Tuned:  # fmt: skip
    """`changed`, made from `before`, trained on with the recipe that its last training had, but a gentler rate.

    `recipe` goes before that. The state is kept in the step's folder every half minute, and what is there is gone on
    with. Raises UserError for a full disk and too little memory, its kind NotFinite for numbers that are not finite,
    after which nothing is kept; KeyboardInterrupt after the state was kept.
    """
    data, device = given.dataset, best_device()
    task = task_of(data.task, data.classes, changed.network, data.train.labels)
    resolution = changed.network.input_shape[1]
    chosen = recipe or tuning_recipe(changed, epochs)

    def start() -> nn.Module:
        module = changed.module()
        if chosen.rounding == "int8":
            return FakeQuantized(module, data.train, resolution).to(device)
        calibrate(module.to(device), data.train, resolution, CALIBRATED)
        return module

    lesson = Lesson(task, data.train, data.validation, data.flip, given.seed, device, teacher)
    try:
        with memory_told("fine-tuning", chosen):
            was = evaluate(before.module().to(device), task, data.validation, resolution)
            raw = evaluate(start(), task, data.validation, resolution)
            reached = _reached(was, before, f"{len(data.validation):,}")
            given.on_progress(f"{reached} before, {percent(raw)} with {change}, not yet fine-tuned")
            state = train_resumably(
                start, lesson, chosen, given.folder / STATE, save_seconds=SAVE_SECONDS, on_progress=given.on_training
            )
    except FloatingPointError as error:
        (given.folder / STATE).unlink(missing_ok=True)  # what it kept would lead there again
        rate = chosen.learning_rate
        raise NotFinite(f"the network cannot be fine-tuned: {error}; the learning rate was {rate:g}") from None
    made = replace(changed, weights=weights_of(state), recipe=without_int8(changed.recipe))
    return Tuned(made, was, raw, state.curve[-1].validation_accuracy, epochs)


def tuning_recipe(model: TrainedModel, epochs: int) -> FullRecipe:
    """The recipe of the model's last training for so many epochs, with a gentler rate."""
    values: dict[str, Value] = {n: v for n, v in model.recipe.items() if n in HYPERPARAMETERS}
    own = model.recipe.get("batch_size", BATCH)
    batch = min(own, MOST_BATCH) if isinstance(own, int) and own > 1 else BATCH
    found = recipe_of(
        values, epochs=epochs, batch_size=batch, resolution=model.network.input_shape[1], calibration_images=CALIBRATED
    )
    made = FullRecipe(**asdict(replace(found, learning_rate=GENTLER * found.learning_rate)))
    # of shared batch norms each use would have statistics of its own in training, and one mean of them afterwards
    return replace(made, norms="kept", calibration_images=0) if model.network.shared else made
