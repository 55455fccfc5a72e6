"""A step of compression: a trained model in, a trained model out, priced, built and exported like any other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from nas.data.dataset import Dataset
    from nas.device.profile import DeviceProfile
    from nas.models.trained import TrainedModel
    from nas.train.resumption import OnFullProgress

OnProgress = Callable[[str], None]  # one line about what was done


@dataclass(frozen=True, slots=True, eq=False)
class Given:
    """What a step may use beside the model: the data it was trained on, and the device it is for."""

    dataset: Dataset
    seed: int
    folder: Path  # for its own work, which it goes on with; what is in it is the step's
    profile: DeviceProfile | None = None
    on_progress: OnProgress = lambda line: None
    on_training: OnFullProgress = lambda progress: None  # after each step of a fine-tuning


class Step(Protocol):
    """One kind of compression; its options are its fields."""

    @property
    def name(self) -> str: ...

    def apply(self, model: TrainedModel, given: Given) -> TrainedModel:
        """A model whose weights fit `build(model.network)`, with one more line in its lineage's steps.

        Raises UserError for a model or data that the step cannot take.
        """
        ...


def with_step(model: TrainedModel, line: str) -> TrainedModel:
    """The model with one more line in its lineage."""
    return replace(model, lineage=replace(model.lineage, steps=(*model.lineage.steps, line)))
