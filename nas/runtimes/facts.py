"""What an exported file says of itself, for a program on the board that has no nas."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from nas.space.layer import Precision

if TYPE_CHECKING:
    from nas.models.trained import TrainedModel


def facts_of(model: TrainedModel, precision: Precision) -> dict[str, str]:
    """Task, classes, preprocessing, the file's precision and lineage, the last four as JSON."""
    return {
        "task": model.task,
        "classes": json.dumps(model.classes),
        "preprocessing": json.dumps(asdict(model.preprocessing)),
        "precision": json.dumps(precision),
        "lineage": json.dumps(asdict(model.lineage)),
    }
