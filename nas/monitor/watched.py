"""What any version needs to be watched, whatever its task."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from nas.data.dataset import Split
from nas.models.trained import TrainedModel
from nas.monitor.detections import watch_detector
from nas.monitor.reference import Tell, watch_files
from nas.runtimes.runtime import Form


def watch_version(
    model: TrainedModel, files: Mapping[Form, Path], validation: Split, tell: Tell = lambda line: None,
    beside: Mapping[str, bytes] | None = None,
) -> dict[str, bytes]:  # fmt: skip
    """watch.npz by its name, as `watch_files` and `watch_detector` make it; `beside` is what it is adapted with."""
    if model.task == "detection":
        return watch_detector(model, files, validation, tell)
    return watch_files(model, files, validation, tell, beside)
