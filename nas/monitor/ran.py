"""What a deployed file gives for images whose classes are known."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch

from nas.data.dataset import Split
from nas.data.images import ImagesInMemory
from nas.models.trained import TrainedModel
from nas.runtimes.by_name import runtime_of
from nas.runtimes.images import network_inputs
from nas.runtimes.onnx.features import FEATURES
from nas.runtimes.onnxruntime import OnnxRuntime
from nas.runtimes.runtime import RuntimeName


@dataclass(frozen=True, slots=True, eq=False)
class Ran:
    """What a file gave for some images: scores (n, classes), features (n, d) or None, and the true classes (n,)."""

    scores: np.ndarray
    features: np.ndarray | None
    labels: np.ndarray

    @property
    def predicted(self) -> np.ndarray:
        return np.asarray(self.scores.argmax(axis=1))


Run = Callable[[np.ndarray, np.ndarray], Ran]


def runner(model: TrainedModel, content: bytes, runtime: RuntimeName = "onnxruntime") -> Run:
    """What runs a file on images uint8 (n, r, r, 3) with their classes (n,)."""
    if runtime == OnnxRuntime.name:
        run = OnnxRuntime().outputs(content)
    else:
        session = runtime_of(runtime).session(content)

        def run(images: np.ndarray) -> Mapping[str, np.ndarray]:
            return {"scores": session(images)}

    def ran(pixels: np.ndarray, labels: np.ndarray) -> Ran:
        split = Split(ImagesInMemory(torch.from_numpy(pixels)), torch.from_numpy(labels))
        found = [run(image) for image in network_inputs(model.preprocessing, split)]
        scores = np.concatenate([next(iter(each.values())) for each in found])
        features = [each[FEATURES] for each in found if FEATURES in each]
        return Ran(scores, np.concatenate(features) if features else None, labels)

    return ran
