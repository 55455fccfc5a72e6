"""Tasks by their names in files."""

from __future__ import annotations

from collections.abc import Sequence

from nas.space.network import Network
from nas.tasks.classification import Classification
from nas.tasks.task import Task


def task_of(name: str, classes: Sequence[str], network: Network) -> Task:
    """A task of its own, which counts batches, for networks like this one. Raises ValueError for an unknown name."""
    if name == Classification.name:
        return Classification(classes)
    raise ValueError(f"no task is called {name!r}")
