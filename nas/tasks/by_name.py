"""Tasks by their names in files."""

from __future__ import annotations

from collections.abc import Sequence

from nas.space.network import Network
from nas.tasks.classification import Classification
from nas.tasks.detection import Detection
from nas.tasks.task import Task


def task_of(name: str, classes: Sequence[str], network: Network) -> Task:
    """A task of its own, which counts batches, for networks like this one.

    Raises ValueError for an unknown name, UserError for a network that has not the heads which the task needs.
    """
    if name == Classification.name:
        return Classification(classes)
    if name == Detection.name:
        return Detection(classes, network)
    raise ValueError(f"no task is called {name!r}")
