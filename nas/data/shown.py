"""Pictures with boxes as a report shows them: small, without the grey beside them."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from nas.data.boxes import Detections
from nas.data.pixels import PADDING
from nas.run.pictures import LEAST, MOST_BOXES, MOST_PICTURES, MOST_SIDE, Box, Picture, lines_of

QUALITY = 80  # of JPEG
LOOKED_AT = 1000  # pictures among which those to show are chosen


def chosen(objects: Tensor, most: int = MOST_PICTURES) -> Tensor:
    """Which pictures are shown, always the same: some with objects, of as many classes as there are.

    `objects` float32 (n, m, 8) as of `nas.tasks.detection`; int64 (at most `most`,).
    """
    order = torch.randperm(len(objects), generator=torch.Generator().manual_seed(0))[:LOOKED_AT].tolist()
    labels = objects[order]
    there = (labels[..., 0] >= 0) & (labels[..., 5] == 0)
    classes = [set(row[is_there].tolist()) for row, is_there in zip(labels[..., 0], there, strict=True)]
    picked: list[int] = []
    seen: set[float] = set()
    while len(picked) < most:
        left = [place for place, own in enumerate(classes) if own and place not in picked]
        if not left:
            break
        best = max(left, key=lambda place: (len(classes[place] - seen), -place))  # the first that adds most classes
        picked.append(best)
        seen |= classes[best]
    return torch.tensor([order[place] for place in picked], dtype=torch.int64)


def shown_picture(square: np.ndarray, rows: np.ndarray, classes: Sequence[str]) -> Picture:
    """Of a picture in its square, uint8 (n, n, 3), and its objects, float32 (m, 8) as of `nas.tasks.detection`."""
    seen = _without_padding(square)
    scale = min(1.0, MOST_SIDE / len(square))
    height, width = (max(1, round(scale * length)) for length in seen.shape[:2])
    packed = BytesIO()
    Image.fromarray(seen).resize((width, height), Image.Resampling.LANCZOS).save(packed, "JPEG", quality=QUALITY)
    objects = [(classes[int(row[0])], *_corners(row[1:5].tolist()), bool(row[5])) for row in rows if row[0] >= 0]
    return Picture(width=width, height=height, jpeg=lines_of(packed.getvalue()), objects=objects[:1000])


def shown_boxes(found: Detections, classes: Sequence[str]) -> list[Box]:
    """The most probable of what was found, as a page draws it."""
    rows = zip(found.labels.tolist(), found.scores.tolist(), found.boxes.tolist(), strict=True)
    return [
        (classes[label], round(score, 3), *_corners(box)) for label, score, box in rows if score >= LEAST
    ][:MOST_BOXES]  # fmt: skip


def table_boxes(answer: Sequence[Sequence[float]], classes: Sequence[str]) -> list[Box]:
    """`shown_boxes` of an answer as a deployed program gives it: class, probability and corners of each object."""
    table = np.array(answer, np.float32).reshape(-1, 6)
    return shown_boxes(Detections(table[:, 0].astype(np.int64), table[:, 1], table[:, 2:]), classes)


def _corners(box: Sequence[float]) -> tuple[float, float, float, float]:
    x1, y1, x2, y2 = (round(min(max(v, 0.0), 1.0), 4) for v in box)
    return x1, y1, x2, y2


def _without_padding(square: np.ndarray) -> np.ndarray:
    """Without the grey below the picture, or beside it: it fills the square's other side."""
    filled = (square != PADDING).any(axis=2)
    rows, columns = (int(np.flatnonzero(filled.any(axis=axis)).max(initial=0)) + 1 for axis in (1, 0))
    return square[:rows] if rows <= columns else square[:, :columns]
