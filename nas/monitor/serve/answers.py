"""What a network says of one frame: the classes of a classifier, or the objects of a detector.

An answer has what the frame's line says, and what the watch is told: `pixels`, `scores` and `features`.
"""

from __future__ import annotations

from typing import Any, Union

import numpy as np

from .objects import CERTAIN, LEAST, scores_of
from .options import Options

EDGE = 1  # pixels of a picture beside its grey border, which scaling may have mixed with it


class Named:
    """Of a classifier: its likeliest classes. `pixels` uint8 (r, r, 3), `scores` float32 (classes,)."""

    def __init__(self, model: Any, pixels: np.ndarray, scores: np.ndarray, features: Any, top: int) -> None:
        self.program, self.pixels, self.scores, self.features = model.program, pixels, scores, features
        self.likeliest = self.program.likeliest(model.classes, self.program.probabilities(scores), top)

    def line(self, name: str, ms: float) -> str:
        """What is printed of the frame."""
        return str(self.program.line_of(name, self.likeliest, ms))

    def object(self, name: str, ms: float) -> dict[str, Any]:
        """What --json prints of it."""
        return dict(self.program.object_of(name, self.likeliest, ms))


class Found:
    """Of a detector: the objects whose probability is at least `least`, their boxes in the frame's own pixels.

    `pixels` are those of the picture alone, without the grey beside it; `scores` what `scores_of` makes of all boxes,
    also the less certain ones. `picture` is what the program reads; it raises NotAPicture where its size cannot be
    read. `counts` (classes,) says how many objects of each class there are.
    """

    features = None

    def __init__(self, model: Any, picture: Any, pixels: np.ndarray, said: np.ndarray, least: float) -> None:
        self.program, deployment = model.program, model.deployment
        size = picture.shape[1::-1] if isinstance(picture, np.ndarray) else self.program.full_size(picture)
        height, width = part_of(size, len(pixels))
        self.pixels = pixels[:height, :width]
        found = deployment.found(said, min(least, LEAST))
        self.scores = scores_of(said, _surest(found, LEAST), deployment.heads["maps"])
        certain = _surest(found, least)
        self.counts = np.bincount(certain.labels, minlength=len(model.classes))
        self.objects: list[dict[str, Any]] = self.program.objects_of(model.classes, certain, size)

    def line(self, name: str, ms: float) -> str:
        """Each class with how many objects there are of it and the probability of the surest."""
        best: dict[str, list[float]] = {}
        for thing in self.objects:  # the surest first
            best.setdefault(thing["class"], []).append(thing["probability"])
        shown = self.program.shown
        words = ", ".join(f"{shown(label)} {len(values)} ({values[0]:.1%})" for label, values in best.items())
        return f"{shown(name)}: {words or 'nothing found'}, {ms:.2f} ms"

    def object(self, name: str, ms: float) -> dict[str, Any]:
        """What --json prints of it."""
        return {"image": name, "objects": self.objects, "ms": round(ms, 4)}


def _surest(found: Any, least: float) -> Any:
    """Those detections, which stand in falling order of probability, that have so large a one."""
    count = int(np.searchsorted(-found.scores, -least, side="right"))
    return type(found)(*(part[:count] for part in found))


Answer = Union[Named, Found]


def part_of(size: tuple[int, int], resolution: int) -> tuple[int, int]:
    """Height and width of a picture of that width and height in its square of `resolution` pixels, without its edge."""
    longer = max(size)
    height, width = (
        resolution if side == longer else max(1, int(resolution * side / longer) - EDGE) for side in size[::-1]
    )
    return height, width


def answer_of(model: Any, picture: Any, options: Options) -> tuple[Answer, float, float]:
    """What a model says of a picture, and the milliseconds of its network, as `Model.run` has them.

    Raises the program's NotAPicture.
    """
    with model.program.quiet():
        pixels = model.deployment.image(picture)
    scores, features, ms, computing_ms = model.run(model.deployment.input(pixels))
    if model.detects:
        return Found(model, picture, pixels, scores, options.least or CERTAIN), ms, computing_ms
    return Named(model, pixels, scores, features, options.top), ms, computing_ms
