"""A task: what a network is trained for."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

from nas.space.layer import Shape


class Task(Protocol):
    """The heads that a network needs, the loss that it is trained with, and the metric that it is chosen by.

    The metric is counted batch by batch: `reset`, `process` for every batch, `evaluate`.
    """

    @property
    def name(self) -> str:
        """The task's name in files."""

    @property
    def heads(self) -> tuple[Shape, ...]:
        """The output shape (channels, height, width) of each head that a network for this task ends in."""

    def loss(self, output: Tensor, target: Tensor, label_smoothing: float) -> Tensor:
        """The mean loss of a batch, a scalar. `output` is float32, as the network returned it."""

    def reset(self) -> None:
        """Forgets every batch."""

    def process(self, output: Tensor, target: Tensor) -> None:
        """Counts one batch. Raises FloatingPointError when the network's output is not finite."""

    def evaluate(self) -> float:
        """The metric over every batch since `reset`, from 0 to 1, higher is better."""
