"""What the detectors of a front find in some validation pictures, kept for the report."""

from __future__ import annotations

import torch

from nas.data.boxes import Detections
from nas.data.dataset import Dataset
from nas.data.shown import chosen, shown_boxes, shown_picture
from nas.models.trained import TrainedModel
from nas.run.pictures import MOST_SIDE, Found, Picture
from nas.tasks.detection import Detection
from nas.train.loop import best_device, normalize
from nas.train.rounding import quantized


class SamplePictures:
    """Some validation pictures of a dataset with boxes, the same for every network, and what a network finds there."""

    def __init__(self, data: Dataset) -> None:
        self.data, self.numbers = data, chosen(data.validation.labels)

    def pictures(self) -> list[Picture]:
        split = self.data.validation
        squares = split.images.take(self.numbers, split.images.side or MOST_SIDE).numpy()
        rows = split.labels[self.numbers].numpy()
        return [shown_picture(square, own, self.data.classes) for square, own in zip(squares, rows, strict=True)]

    @torch.no_grad()
    def found(self, model: TrainedModel) -> Found:
        """In the model's precision, at its own resolution. Raises FloatingPointError where its output is not finite."""
        device, resolution = best_device(), model.preprocessing.resolution
        module = model.module().to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        deployed = quantized(module, model.precision, self.data.train, resolution).eval()
        task = Detection(self.data.classes, model.network)
        images = self.data.validation.images.take(self.numbers, resolution)
        task.process(deployed(normalize(images.to(device))), self.data.validation.labels[self.numbers])
        seen: list[Detections] = task.found[0]
        return [shown_boxes(one, self.data.classes) for one in seen]
