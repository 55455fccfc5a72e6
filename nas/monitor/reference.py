"""What a version needs to be watched: watch.npz, made from validation images run through the deployed files themselves.

For each precision, under its name: `picture/` and `features/` are the references of the two charts, `basis` (d, k) what
features are projected on, and `accuracy/` what the estimate of accuracy needs. Nothing in it is a pickle.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from nas.data.corruptions import SMALL
from nas.data.dataset import Split
from nas.data.images import ImagesInMemory
from nas.models.trained import TrainedModel
from nas.monitor.estimates import accuracy_reference
from nas.monitor.limits import chart_reference
from nas.monitor.ran import Ran, Run, runner
from nas.monitor.serve.acting import MOST_BYTES as MOST_ADAPTED_BYTES
from nas.monitor.serve.adapt import ARRAYS, FEWEST, GRAPH, SHARES, Folding, NotAdaptable
from nas.monitor.serve.picture import Pictures
from nas.monitor.serve.watch import coordinates_of
from nas.monitor.shifts import SEVERITIES, Shift, shifts
from nas.runtimes.images import network_inputs
from nas.runtimes.onnxruntime import OnnxRuntime
from nas.runtimes.runtime import Form, parts_of
from nas.space.layer import Precision

FILE = "watch.npz"
MOST_CLEAN = 4000  # validation images
LEAST_CLEAN = 100  # with fewer nothing can be calibrated
MOST_SHIFTED = 500  # of them, under each shift
LEAST_SHIFTED, MOST_LARGE = 100, 200  # at least; at most, of images of more than 64 pixels
MOST_BYTES = 2 * 10**8  # of the images
CHUNK = 4_000_000  # values that are shifted at a time
SECONDS = 90.0  # that all images of one precision may take, about
PICTURE_WEIGHT, FEATURE_WEIGHT = 0.05, 0.02  # of the newest frame
COMPONENTS, DIRECTIONS = 8, 8  # of the features: the largest ones, and those in which the shifts move them
SHRINKAGE = 0.02
LEAST_NEW = 0.3  # of a direction that the others do not say
Tell = Callable[[str], None]


def watch_files(
    model: TrainedModel, files: Mapping[Form, Path], validation: Split, tell: Tell = lambda line: None,
    beside: Mapping[str, bytes] | None = None, *, families: Mapping[str, Shift] | None = None, seed: int = 0,
) -> dict[str, bytes]:  # fmt: skip
    """watch.npz by its name; nothing, and a word to `tell`, where there are too few validation images.

    `files` are those of the version, `beside` what they are adapted with (`nas.runtimes.onnx.adapt`); `families` the
    shifts to calibrate on, all of `shifts` unless given. Only ONNX files give features.
    """
    if len(validation) < LEAST_CLEAN:
        tell(f"not watched: that needs {LEAST_CLEAN} validation images, and there are {len(validation)}")
        return {}
    most = min(MOST_CLEAN, max(LEAST_CLEAN, MOST_BYTES // (3 * model.preprocessing.resolution**2)))
    chosen = np.random.default_rng(seed).permutation(len(validation))[:most]
    part = validation.subset(torch.from_numpy(np.sort(chosen)))
    pixels = part.images.take(torch.arange(len(part)), model.preprocessing.resolution).numpy()
    arrays: dict[str, np.ndarray] = {}
    for form, path in files.items():
        content, (precision, runtime) = path.read_bytes(), parts_of(form)
        run = runner(model, content, runtime)
        folding = _folding(content, precision, beside or {}) if runtime == OnnxRuntime.name else None
        found = reference(model, run, pixels, part.labels.numpy(), families or shifts(), folding=folding, seed=seed)
        arrays.update({f"{form}/{name}": value for name, value in found.items()})
    packed = io.BytesIO()
    np.savez_compressed(packed, **arrays)  # type: ignore[arg-type]  # its other argument is a bool
    return {FILE: packed.getvalue()}


def _folding(content: bytes, precision: Precision, beside: Mapping[str, bytes]) -> Folding | None:
    """What adapts a file; None where it cannot be adapted."""
    if not {GRAPH, ARRAYS} <= set(beside):
        return None
    try:
        return Folding(lambda: beside[GRAPH], beside[ARRAYS], lambda: content, precision)
    except NotAdaptable:
        return None


def reference(
    model: TrainedModel, run: Run, pixels: np.ndarray, labels: np.ndarray, families: Mapping[str, Shift], *,
    folding: Folding | None = None, seed: int = 0,
) -> dict[str, np.ndarray]:  # fmt: skip
    """The arrays of one file, from validation images uint8 (n, r, r, 3) and their classes (n,)."""
    started = time.perf_counter()
    clean = run(pixels, labels)
    each = (time.perf_counter() - started) / len(pixels)
    passes = len(SEVERITIES) + (len(SHARES) + 1 if folding is not None else 0)
    count = int(SECONDS / max(each * len(families) * passes, 1e-9))
    most = MOST_SHIFTED if pixels.shape[1] <= SMALL else MOST_LARGE
    count = min(len(pixels), max(LEAST_SHIFTED, min(most, count)))
    shifted = [
        (name, severity, run(made, own))
        for name, severity, made, own in _images(pixels, labels, families, SEVERITIES, count, seed)
    ]
    adapted = [] if folding is None else list(_adapted(model, folding, pixels, labels, families, count, seed))
    return reference_of(pixels, clean, shifted, len(model.classes), adapted=adapted, seed=seed)


def reference_of(
    pixels: np.ndarray, clean: Ran, shifted: list[tuple[str, int, Ran]], classes: int, *,
    adapted: Sequence[tuple[str, int, Ran]] = (), seed: int = 0,
) -> dict[str, np.ndarray]:  # fmt: skip
    """The arrays of what a file gave for validation images, as they are and by family and severity under shifts, and
    of what it gave when it was adapted to them.
    """
    seen = Pictures(*pixels.shape[1:3])
    values = np.concatenate([seen.statistics(np.stack([seen.part(p) for p in pixels[n : n + 64]]))
                             for n in range(0, len(pixels), 64)])  # fmt: skip
    parts = {
        "picture": chart_reference(values, clean.predicted, clean.labels, classes, weight=PICTURE_WEIGHT, seed=seed)
    }
    arrays: dict[str, np.ndarray] = {}
    charted: dict[str, np.ndarray] | None = None
    if clean.features is not None:
        basis = basis_of(clean, [ran for _, severity, ran in shifted if severity > min(SEVERITIES)])
        arrays["basis"] = basis.astype(np.float32)
        values = coordinates_of(clean.features, clean.scores, arrays["basis"])
        charted = chart_reference(values, clean.predicted, clean.labels, classes, weight=FEATURE_WEIGHT, seed=seed)
        parts["features"] = charted
    parts["accuracy"] = accuracy_reference(
        clean, shifted, classes, arrays.get("basis"), charted, adapted=adapted, seed=seed
    )
    for part, found in parts.items():
        arrays.update({f"{part}/{name}": np.asarray(value) for name, value in found.items()})
    return arrays


def basis_of(clean: Ran, shifted: list[Ran]) -> np.ndarray:
    """Directions (d, k) of the features: those that vary most within a named class, and those that shifts move most.

    The latter are Fisher's: the mean's move under each shift, weighed by the inverse of the covariance.
    """
    assert clean.features is not None
    features, named = clean.features.astype(np.float64), clean.predicted
    means = np.tile(features.mean(axis=0), (clean.scores.shape[1], 1))
    for c in np.unique(named):
        means[c] = features[named == c].mean(axis=0)
    left = features - means[named]
    covariance = left.T @ left / len(left)
    size = len(covariance)
    values, vectors = np.linalg.eigh(covariance)
    largest = vectors[:, np.argsort(-values)[: min(COMPONENTS, size)]]
    weighed = covariance + SHRINKAGE * np.trace(covariance) / size * np.eye(size) + 1e-12 * np.eye(size)
    moves = []
    for ran in shifted:
        if ran.features is not None:
            move = np.linalg.solve(weighed, (ran.features - means[ran.predicted]).mean(axis=0))
            moves.append(move / np.sqrt(max(move @ weighed @ move, 1e-12)))
    if not moves:
        return largest
    directions = np.linalg.svd(np.array(moves), full_matrices=False)[2]
    return _independent(np.hstack([largest, directions[:DIRECTIONS].T]), weighed)


def _independent(directions: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """Those columns (d, k) that say more than the ones before them do."""
    root = np.linalg.cholesky(covariance).T
    kept: list[int] = []
    seen = np.empty((len(covariance), 0))
    for n, column in enumerate(directions.T):
        value = root @ column
        value /= max(float(np.linalg.norm(value)), 1e-12)
        rest = value - seen @ (seen.T @ value)
        if (length := float(np.linalg.norm(rest))) > LEAST_NEW:
            kept.append(n)
            seen = np.hstack([seen, (rest / length)[:, None]])
    return directions[:, kept]


def _images(
    pixels: np.ndarray, labels: np.ndarray, families: Mapping[str, Shift], severities: Sequence[int], count: int,
    seed: int,
) -> Iterator[tuple[str, int, np.ndarray, np.ndarray]]:  # fmt: skip
    """Each family and severity on images of its own draw, so that none of their luck is in all of them."""
    rng = np.random.default_rng(seed)
    for name, shift in families.items():
        for severity in severities:
            drawn = rng.permutation(len(pixels))[:count]
            step = max(1, CHUNK // pixels[0].size)
            made = [shift(pixels[drawn[at : at + step]], severity, seed + at) for at in range(0, count, step)]
            yield name, severity, np.concatenate(made), labels[drawn]


def _adapted(
    model: TrainedModel, folding: Folding, pixels: np.ndarray, labels: np.ndarray, families: Mapping[str, Shift],
    count: int, seed: int,
) -> Iterator[tuple[str, int, Ran]]:  # fmt: skip
    """Each family at its strongest, seen by the network adapted to it in each of the ways of a board."""
    for name, severity, made, own in _images(pixels, labels, families, SEVERITIES[-1:], count, seed + 1):
        recent = Split(ImagesInMemory(torch.from_numpy(made)), torch.from_numpy(own))
        most = max(FEWEST, MOST_ADAPTED_BYTES // made[0].nbytes)
        found = folding.statistics(list(network_inputs(model.preprocessing, recent, most)))
        for share in SHARES:
            yield name, severity, runner(model, folding.folded(*folding.blended(*found, share)))(made, own)
