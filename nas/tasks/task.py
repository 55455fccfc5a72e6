"""A task: what a network is trained for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from torch import Generator, Tensor

from nas.models.trained import Resize
from nas.run.average_precision import AveragePrecision
from nas.space.hyperparameters import Augmentation
from nas.space.network import Network

if TYPE_CHECKING:
    from typing import Self


class Task(Protocol):
    """The heads that a network needs, the loss that it is trained with, and the metric that it is chosen by.

    The metric is counted batch by batch: `reset`, `process` for every batch, `evaluate`.
    """

    @property
    def name(self) -> str:
        """The task's name in files."""

    @property
    def classes(self) -> tuple[str, ...]:
        """What it tells apart."""

    @property
    def resize(self) -> Resize:
        """How its pictures become squares."""

    @property
    def guessed(self) -> float:
        """The metric of a network that guesses; 0: it gets nothing right."""

    def check(self, network: Network, dataset: str) -> None:
        """Raises UserError, with the dataset's name, unless the network ends in what the task needs."""

    def augment(
        self, pixels: Tensor, target: Tensor, augmentation: Augmentation, *, flip: bool, generator: Generator
    ) -> tuple[Tensor, Tensor]:
        """A batch, uint8 (n, r, r, 3), and its targets as they are trained on; `flip`: images may be mirrored."""

    def loss(self, output: Tensor, target: Tensor, label_smoothing: float) -> Tensor:
        """The mean loss of a batch, a scalar. `output` is float32, as the network returned it."""

    def reset(self) -> None:
        """Forgets every batch."""

    def process(self, output: Tensor, target: Tensor) -> None:
        """Counts one batch. Raises FloatingPointError when the network's output is not finite."""

    def evaluate(self) -> float:
        """The metric over every batch since `reset`, from 0 to 1, higher is better."""

    def details(self) -> AveragePrecision | None:
        """What the metric is a mean of, over the same batches; None where there is nothing more to say."""

    def unweighted(self) -> Self:
        """The same task, new and without weights of classes: what networks are measured by."""
