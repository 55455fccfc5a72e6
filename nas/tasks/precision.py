"""Average precision of detections, as COCO counts it (Lin et al., ECCV 2014), by faster-coco-eval."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from nas.data.boxes import Detections


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """The objects of one picture. Boxes float32 (n, 4) in shares of the square that it fills, of `side` pixels."""

    labels: np.ndarray  # int64 (n,)
    boxes: np.ndarray
    crowd: np.ndarray  # bool (n,)
    side: float

    @classmethod
    def of(cls, rows: np.ndarray) -> Truth:
        """Of a target, float32 (m, 7), as a `Detection` takes it."""
        kept = rows[rows[:, 0] >= 0]
        side = float(rows[:, 6].max()) if len(rows) else 1.0
        return cls(kept[:, 0].astype(np.int64), kept[:, 1:5], kept[:, 5] > 0, side or 1.0)


@dataclass(frozen=True, slots=True)
class AveragePrecision:
    """Shares from 0 to 1. None: there is no such object among the pictures."""

    mean: float  # over overlaps from 0.5 to 0.95: mAP
    at_50: float  # with an overlap of at least 0.5: AP50
    at_75: float
    of_classes: Mapping[str, float | None] = field(default_factory=dict)  # mAP
    at_50_of_classes: Mapping[str, float | None] = field(default_factory=dict)
    small: float | None = None  # of objects of less than 32 x 32 pixels of their picture
    medium: float | None = None
    large: float | None = None  # of 96 x 96 and more


def average_precision(found: Sequence[Detections], truth: Sequence[Truth], classes: Sequence[str]) -> AveragePrecision:
    """Of what was found in every picture against what is there. Without any object all is 0."""
    from faster_coco_eval import COCO, COCOeval_faster

    objects: list[dict[str, object]] = []
    results: list[dict[str, object]] = []
    for image, (there, said) in enumerate(zip(truth, found, strict=True), 1):
        for label, box, crowd in zip(there.labels, _pixels(there.boxes, there.side), there.crowd, strict=True):
            objects.append({
                "id": len(objects) + 1, "image_id": image, "category_id": int(label) + 1, "bbox": box.tolist(),
                "area": float(box[2] * box[3]), "iscrowd": int(crowd),
            })  # fmt: skip
        for label, score, box in zip(said.labels, said.scores, _pixels(said.boxes, there.side), strict=True):
            results.append({
                "image_id": image, "category_id": int(label) + 1, "bbox": box.tolist(), "score": float(score),
            })  # fmt: skip
    if not objects or not results:
        none = dict.fromkeys(classes) if not objects else dict.fromkeys(classes, 0.0)
        return AveragePrecision(0.0, 0.0, 0.0, none, none)
    data = {
        "images": [{"id": i + 1} for i in range(len(truth))], "annotations": objects,
        "categories": [{"id": i + 1, "name": name} for i, name in enumerate(classes)],
    }  # fmt: skip
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(data)
        counted = COCOeval_faster(coco, coco.loadRes(results), "bbox", print_function=lambda *_: None)
        counted.run()
    precision = counted.eval["precision"]  # (overlaps, recalls, classes, sizes, most)

    def mean(values: np.ndarray) -> float | None:
        known = values[values > -1]
        return float(known.mean()) if known.size else None

    every = precision[:, :, :, 0, -1]
    return AveragePrecision(
        mean(every) or 0.0, mean(every[0]) or 0.0, mean(every[5]) or 0.0,
        {name: mean(every[:, :, k]) for k, name in enumerate(classes)},
        {name: mean(every[0, :, k]) for k, name in enumerate(classes)},
        *(mean(precision[:, :, :, size, -1]) for size in (1, 2, 3)),
    )  # fmt: skip


def _pixels(boxes: np.ndarray, side: float) -> np.ndarray:
    """Boxes as COCO writes them: x, y, width, height in pixels."""
    scaled = boxes.astype(np.float64) * side
    return np.concatenate([scaled[:, :2], scaled[:, 2:] - scaled[:, :2]], axis=1)
