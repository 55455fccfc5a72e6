"""What a detector needs to be watched: watch.npz, from validation pictures run through the deployed files themselves.

For each precision, under its name: `picture/` and `detections/` are the references of the two charts, `basis` (d, k)
what the heads say is projected on, and `precision/` what the estimate of AP50 needs, where there is one.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from nas.data.boxes import Detections, Map, detections, priors
from nas.data.dataset import Split
from nas.data.images import ImagesInMemory
from nas.data.pixels import PADDING
from nas.models.trained import TrainedModel
from nas.monitor.limits import chart_reference
from nas.monitor.precision import precision_reference
from nas.monitor.ran import Ran
from nas.monitor.reference import (
    CHUNK,
    FEATURE_WEIGHT,
    FILE,
    MOST_BYTES,
    MOST_CLEAN,
    PICTURE_WEIGHT,
    Tell,
    basis_of,
)
from nas.monitor.serve.answers import EDGE
from nas.monitor.serve.charts import CAREFUL
from nas.monitor.serve.objects import LEAST, NAMES, scores_of
from nas.monitor.serve.picture import NAMES as STATISTICS
from nas.monitor.serve.picture import Pictures
from nas.monitor.serve.watch_detections import values_of
from nas.monitor.shifts import SEVERITIES, Shift, shifts
from nas.runtimes.by_name import runtime_of
from nas.runtimes.images import network_inputs
from nas.runtimes.runtime import Form, parts_of
from nas.tasks.detection import heads_of
from nas.tasks.precision import Truth, average_precision

LEAST_CLEAN = 50  # validation pictures; with fewer nothing can be calibrated
SHIFTED = 40, 100  # of them under each shift: at least, and at most
SECONDS = 60.0  # that those of one precision may take, about
SCENES = 8  # kinds of pictures, of which a stream may show one for a while

Found = tuple[np.ndarray, list[Detections]]  # of pictures: `scores_of` each (n, 7 + d), and its boxes


@dataclass(frozen=True, slots=True)
class Reader:
    """What runs a detector's file on pictures uint8 (n, r, r, 3)."""

    model: TrainedModel
    run: Callable[[np.ndarray], np.ndarray]
    head: str
    maps: Sequence[Map]

    def __call__(self, pixels: np.ndarray) -> Found:
        prior, split = (
            priors(self.head, self.maps),
            Split(ImagesInMemory(torch.from_numpy(pixels)), torch.zeros(len(pixels))),
        )
        said = [self.run(image)[0] for image in network_inputs(self.model.preprocessing, split)]
        boxes = [detections(one, prior, self.head, least=LEAST) for one in said]
        return np.stack([scores_of(one, found, self.maps) for one, found in zip(said, boxes, strict=True)]), boxes


def reader(model: TrainedModel, path: Path, form: Form) -> Reader:
    """Of a version's file."""
    head, maps = heads_of(model.network)
    return Reader(model, runtime_of(parts_of(form)[1]).session(path.read_bytes()), head, maps)


def watch_detector(
    model: TrainedModel, files: Mapping[Form, Path], validation: Split, tell: Tell = lambda line: None, *,
    families: Mapping[str, Shift] | None = None, seed: int = 0,
) -> dict[str, bytes]:  # fmt: skip
    """watch.npz by its name; nothing, and a word to `tell`, where there are too few validation pictures.

    `files` are those of the version; `families` the shifts to calibrate on, all of `shifts` unless given.
    """
    if len(validation) < LEAST_CLEAN:
        tell(f"not watched: that needs {LEAST_CLEAN} validation pictures, and there are {len(validation)}")
        return {}
    side = model.preprocessing.resolution
    most = min(MOST_CLEAN, max(LEAST_CLEAN, MOST_BYTES // (3 * side**2)))
    chosen = np.sort(np.random.default_rng(seed).permutation(len(validation))[:most])
    part = validation.subset(torch.from_numpy(chosen))
    pixels = part.images.take(torch.arange(len(part)), side).numpy()
    arrays: dict[str, np.ndarray] = {}
    for form, path in files.items():
        truth = Given(pixels, [Truth.of(rows) for rows in part.labels.numpy()], model.classes)
        found = reference(reader(model, path, form), truth, families or shifts(), seed=seed)
        arrays.update({f"{form}/{name}": value for name, value in found.items()})
    packed = io.BytesIO()
    np.savez_compressed(packed, **arrays)  # type: ignore[arg-type]  # its other argument is a bool
    return {FILE: packed.getvalue()}


@dataclass(frozen=True, slots=True, eq=False)
class Given:
    """Validation pictures in their squares, uint8 (n, r, r, 3), and the objects of each, of these classes."""

    pixels: np.ndarray
    truth: Sequence[Truth]
    classes: Sequence[str]

    def ap50(self, found: Sequence[Detections], rows: Sequence[int] | None = None) -> float:
        """Of what was found in the pictures of these rows; None: in all."""
        own = self.truth if rows is None else [self.truth[n] for n in rows]
        return average_precision(found, own, self.classes).at_50


def reference(
    read: Callable[[np.ndarray], Found], given: Given, families: Mapping[str, Shift], *, seed: int = 0
) -> dict[str, np.ndarray]:
    """The arrays of one file."""
    started, pixels = time.perf_counter(), given.pixels
    scores, boxes = read(pixels)
    each = (time.perf_counter() - started) / len(pixels)
    count = int(SECONDS / max(each * len(families) * len(SEVERITIES), 1e-9))
    count = min(len(pixels), max(SHIFTED[0], min(SHIFTED[1], count)))
    changed = []
    for family, _, made, rows in shifted(pixels, families, count, seed=seed):
        own, found = read(made)
        changed.append((family, own, given.ap50(found, rows.tolist())))
    return reference_of(statistics_of(pixels), scores, given.ap50(boxes), changed, seed=seed)


def reference_of(
    statistics: np.ndarray, scores: np.ndarray, ap50: float, changed: Sequence[tuple[str, np.ndarray, float]], *,
    seed: int = 0,
) -> dict[str, np.ndarray]:  # fmt: skip
    """The arrays of what a file gave for validation pictures, (n, 7 + d) with its AP50, and under each shift: its
    family, scores and AP50.
    """
    basis = basis_of(_ran(scores), [_ran(own) for _, own, _ in changed]).astype(np.float32)
    arrays: dict[str, np.ndarray] = {"basis": basis}
    for name, value in precision_reference(scores, ap50, changed).items():
        arrays[f"precision/{name}"] = np.asarray(value)
    for part, values, weight in (
        ("picture", statistics, PICTURE_WEIGHT), ("detections", values_of(scores, basis), FEATURE_WEIGHT),
    ):  # fmt: skip
        none = np.zeros(len(values), np.int64)
        found = chart_reference(values, none, scenes_of(values), SCENES, weight=weight, seed=seed)
        found["limit"] = found["limit"] * (1 + values.shape[1] / len(values))  # few pictures say little of the tail
        found["careful"] = np.array(careful(len(values), values.shape[1], weight, float(found["limit"][0])))
        arrays.update({f"{part}/{name}": np.asarray(value) for name, value in found.items()})
    return arrays


def careful(count: int, size: int, weight: float, limit: float) -> float:
    """By how much a chart's limit must be wider in the burn-in, where center and metric are those of `count` pictures.

    T2 of `size` statistics is n / (n - size - 2) of what it should be with a covariance of n pictures, and a center
    that is off by their mean's deviation adds to it; detectors have few validation pictures.
    """
    center = size / count * (2 - weight) / weight
    return CAREFUL * count / max(count - size - 2, count / 4) * (1 + 2 * center / limit)


def scenes_of(values: np.ndarray) -> np.ndarray:
    """Pictures (n, k) in kinds of as many each, by that in which they differ most: int64 (n,).

    A stream shows pictures of one kind for a while, as one of a classifier may show one class.
    """
    apart = (values - values.mean(axis=0)) / np.maximum(values.std(axis=0), 1e-6)
    along = apart @ np.linalg.svd(apart, full_matrices=False)[2][0]
    return np.asarray(along.argsort().argsort() * SCENES // len(values))


def _ran(scores: np.ndarray) -> Ran:
    """As of a classifier of one class, whose features are what the heads say."""
    return Ran(np.zeros((len(scores), 1)), scores[:, len(NAMES) :], np.zeros(len(scores), np.int64))


def statistics_of(pixels: np.ndarray) -> np.ndarray:
    """What the chart of pictures looks at: of each picture without the grey beside it, float64 (n, 15)."""
    known: dict[tuple[int, int], Pictures] = {}
    found = np.empty((len(pixels), len(STATISTICS)))
    for n, picture in enumerate(pixels):
        height, width = filled(picture)
        seen = known.setdefault((height, width), Pictures(height, width))
        found[n] = seen.statistics(seen.part(picture[:height, :width])[None])[0]
    return found


def filled(square: np.ndarray) -> tuple[int, int]:
    """Height and width of the picture in its square, uint8 (r, r, 3), without an edge that is mixed with the grey."""
    side = len(square)
    other = (square != PADDING).any(axis=2)
    height, width = (int(np.flatnonzero(there)[-1]) + 1 if there.any() else side
                     for there in (other.any(axis=1), other.any(axis=0)))  # fmt: skip
    return height if height == side else max(1, height - EDGE), width if width == side else max(1, width - EDGE)


def shifted(
    pixels: np.ndarray, families: Mapping[str, Shift], count: int, *, seed: int = 0,
    severities: Sequence[int] = SEVERITIES,
) -> Iterator[tuple[str, int, np.ndarray, np.ndarray]]:  # fmt: skip
    """Each family, severity, and so many pictures under it of a draw of their own, with the rows that they are of.

    The grey beside a picture stays: it is added after the camera.
    """
    rng = np.random.default_rng(seed)
    for name, shift in families.items():
        for severity in severities:
            drawn = np.sort(rng.permutation(len(pixels))[:count])
            yield name, severity, under(pixels[drawn], shift, severity, seed), drawn


def under(pixels: np.ndarray, shift: Shift, severity: int, seed: int) -> np.ndarray:
    """Pictures in their squares under a shift, those of one size together."""
    made = pixels.copy()
    sizes = [filled(picture) for picture in pixels]
    step = max(1, CHUNK // pixels[0].size)
    for size in dict.fromkeys(sizes):
        height, width = size
        rows = np.array([n for n, own in enumerate(sizes) if own == size])
        for at in range(0, len(rows), step):
            part = rows[at : at + step]
            made[part, :height, :width] = shift(pixels[part, :height, :width], severity, seed + at)
    return made
