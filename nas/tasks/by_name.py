"""Tasks by their names in files."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from nas.space.network import Network
from nas.tasks.classification import Classification
from nas.tasks.detection import Detection, object_weights
from nas.tasks.task import Task


def task_of(name: str, classes: Sequence[str], network: Network, targets: Tensor | None = None) -> Task:
    """A task of its own, which counts batches, for networks like this one.

    With the `targets` of the training images a detector's classes have weights in the loss: the metric is a mean over
    classes, and what is rare among objects would otherwise be learned last.
    Raises ValueError for an unknown name, UserError for a network that has not the heads which the task needs.
    """
    if name == Classification.name:
        return Classification(classes)
    if name == Detection.name:
        return Detection(classes, network, None if targets is None else object_weights(targets, len(classes)))
    raise ValueError(f"no task is called {name!r}")
