"""Average precision of detections, as COCO counts it (Lin et al., ECCV 2014), by faster-coco-eval."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from nas.data.boxes import Detections
from nas.run.average_precision import AveragePrecision

AREAS = ((0.0, 32.0**2), (32.0**2, 96.0**2), (96.0**2, 1e10))  # pixels of small, medium and large objects, both ends in

DRAWS = 20  # of the images, for a deviation: it is then known to a sixth of itself


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """The objects of one picture. Boxes float32 (n, 4) in shares of the square that it fills, of `side` pixels."""

    labels: np.ndarray  # int64 (n,)
    boxes: np.ndarray
    crowd: np.ndarray  # bool (n,)
    side: float
    areas: np.ndarray | None = None  # float (n,), pixels of the picture; None: those of the boxes

    @classmethod
    def of(cls, rows: np.ndarray) -> Truth:
        """Of a target, float32 (m, 8), as a `Detection` takes it."""
        kept = rows[rows[:, 0] >= 0]
        side = float(rows[:, 6].max()) if len(rows) else 1.0
        return cls(kept[:, 0].astype(np.int64), kept[:, 1:5], kept[:, 5] > 0, side or 1.0, kept[:, 7])

    @property
    def sizes(self) -> np.ndarray:
        """The area of each object in pixels of its picture, float64 (n,)."""
        return _pixels(self.boxes, self.side)[:, 2:].prod(1) if self.areas is None else self.areas.astype(np.float64)


def average_precision(found: Sequence[Detections], truth: Sequence[Truth], classes: Sequence[str]) -> AveragePrecision:
    """Of what was found in every picture against what is there. Without any object all is 0."""
    from faster_coco_eval import COCO, COCOeval_faster

    objects: list[dict[str, object]] = []
    results: list[dict[str, object]] = []
    for image, (there, said) in enumerate(zip(truth, found, strict=True), 1):
        boxes = _pixels(there.boxes, there.side)
        for label, box, area, crowd in zip(there.labels, boxes, there.sizes, there.crowd, strict=True):
            objects.append({
                "id": len(objects) + 1, "image_id": image, "category_id": int(label) + 1, "bbox": box.tolist(),
                "area": float(area), "iscrowd": int(crowd),
            })  # fmt: skip
        for label, score, box in zip(said.labels, said.scores, _pixels(said.boxes, there.side), strict=True):
            results.append({
                "image_id": image, "category_id": int(label) + 1, "bbox": box.tolist(), "score": float(score),
            })  # fmt: skip
    if not objects or not results:
        return _nothing_found(truth, len(classes))
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
    small, medium, large = (mean(precision[:, :, :, size, -1]) for size in (1, 2, 3))
    return AveragePrecision(
        mean(every) or 0.0, mean(every[0]) or 0.0, mean(every[5]) or 0.0, small, medium, large,
        tuple(mean(every[:, :, k]) for k in range(len(classes))),
        tuple(mean(every[0, :, k]) for k in range(len(classes))),
    )  # fmt: skip


def _nothing_found(truth: Sequence[Truth], classes: int) -> AveragePrecision:
    """0 for what is there, crowds aside, and None for what is not."""
    labels = np.concatenate([one.labels[~one.crowd] for one in truth] or [np.empty(0, np.int64)])
    areas = np.concatenate([one.sizes[~one.crowd] for one in truth] or [np.empty(0)])
    of_classes = tuple(0.0 if k in labels else None for k in range(classes))
    small, medium, large = (0.0 if bool(((areas >= a) & (areas <= b)).any()) else None for a, b in AREAS)
    return AveragePrecision(0.0, 0.0, 0.0, small, medium, large, of_classes, of_classes)


def deviation(of: Callable[[np.ndarray], np.ndarray], images: int) -> np.ndarray:
    """The standard deviations (k,) of the figures (k,) that `of` gives for rows of the images, by drawing these anew.

    (Efron, Annals of Statistics, 1979.) The same draws at each call.
    """
    rng = np.random.default_rng(0)
    drawn = np.array([of(rng.integers(images, size=images)) for _ in range(DRAWS)])
    return np.asarray(drawn.std(axis=0, ddof=1))


def _pixels(boxes: np.ndarray, side: float) -> np.ndarray:
    """Boxes as COCO writes them: x, y, width, height in pixels."""
    scaled = boxes.astype(np.float64) * side
    return np.concatenate([scaled[:, :2], scaled[:, 2:] - scaled[:, :2]], axis=1)
