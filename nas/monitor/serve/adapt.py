"""A network adapted to what the camera sees now, without gradients: batch norms get recent images' statistics.

Of Schneider et al., "Improving robustness against common corruptions by covariate shift adaptation", NeurIPS 2020; when
a change was found and not all the time, as Niu et al. and OD-TTA do, since it costs accuracy on clean images. One pass
of adapt.onnx gives the statistics of every norm, NumPy folds them into the weights of the model's file, in memory: the
folder is not changed. An int8 file stays int8: a channel's integers stay, their scale and the bias follow.
"""

from __future__ import annotations

import io
from typing import Any, Callable, NamedTuple, Sequence, Tuple

import numpy as np

GRAPH, ARRAYS = "adapt.onnx", "adapt.npz"
FEWEST, MOST = 64, 512  # images
LEAST_MIX = 0.6  # of the entropy of predicted classes, to that of as many classes as the network has
LEAST_GAIN = 0.01  # of the estimated accuracy
SHARES = (1.0, 0.8)  # of the recent images' statistics, that are tried; those of the training have the rest
EXPOSURE = "exposure"  # another way: pictures made as bright as usual
TINY = 1e-12  # as adapt.onnx was written with

Scores = np.ndarray  # float32 (n, classes)
# of scores, and whether the network's norms were adapted: accuracy, low, high, whether it can be trusted
Estimate = Callable[[Scores, bool], Tuple[float, float, float, bool]]
Start = Callable[
    [bytes], Any
]  # a model's bytes to a network as the version's program has it, with `ready` and `outputs`
Content = Callable[[], bytes]  # reads a file when it is needed


class NotAdaptable(Exception):
    """Says in one line why a version, or a window of images, cannot be adapted to."""


class Outcome(NamedTuple):
    """What an attempt gave: the adapted network where it was accepted, and the facts of the log's line."""

    network: Any
    facts: dict[str, Any]


class Exposed:
    """A network that sees pictures as bright as those of its training: see `table_of`.

    `network` is one of the version's program; `mean` and `std` (3,) are of its preprocessing.
    """

    def __init__(self, network: Any, table: np.ndarray, mean: Sequence[float], std: Sequence[float]) -> None:
        self.network, self.table = network, table
        self.mean, self.std = (np.array(values, np.float32)[None, :, None, None] for values in (mean, std))

    def ready(self, image: np.ndarray) -> Any:
        """float32 (1, 3, r, r) as the network takes it."""
        values = image * self.std + self.mean
        largest = np.clip(np.rint(values.max(axis=1, keepdims=True)), 0, 255).astype(np.int64)
        changed = np.clip(np.rint(values * (self.table[largest] / np.maximum(largest, 1))), 0, 255)
        return self.network.ready(((changed - self.mean) / self.std).astype(np.float32))

    def outputs(self, ready: Any) -> tuple[np.ndarray, Any]:
        found: tuple[np.ndarray, Any] = self.network.outputs(ready)
        return found


def table_of(
    images: Sequence[np.ndarray], usual: np.ndarray, mean: Sequence[float], std: Sequence[float]
) -> np.ndarray:
    """For each brightness from 0 to 255 the one (256,) that it would have in pictures of the training.

    A pixel's brightness is its largest channel, and its channels change in proportion. The brightnesses of recent
    images, float32 (1, 3, r, r) each, are mapped in their order to `usual` (256,), the counts of those of the training:
    a level to the mean of its part. That undoes light and exposure as far as nothing was lost at the ends.
    """
    scale, middle = (np.array(values, np.float32)[:, None, None] for values in (std, mean))
    counts = np.zeros(256)
    for image in images:
        values = (image[0] * scale + middle).max(axis=0)
        counts += np.bincount(np.clip(np.rint(values), 0, 255).astype(np.int64).ravel(), minlength=256)
    ends = np.concatenate([[0.0], np.cumsum(counts) / counts.sum()])
    reached = np.concatenate([[0.0], np.cumsum(usual) / usual.sum()])
    summed = np.concatenate([[0.0], np.cumsum(usual * np.arange(256)) / usual.sum()])
    parts = np.diff(np.interp(ends, reached, summed))
    shares = np.diff(ends)
    at = np.interp(ends[:-1], reached, np.arange(257) - 0.5)  # of levels that are not there
    return np.asarray(np.clip(np.where(shares > 1e-9, parts / np.maximum(shares, 1e-9), at), 0, 255))


class Folding:
    """adapt.onnx and adapt.npz of a version, for one model of it. Raises NotAdaptable where they are not there.

    `arrays` are the bytes of adapt.npz; `graph` and `model` read adapt.onnx and the model that is served, whenever they
    are needed: a board that adapts nothing has the memory for itself. The caller checks all three.
    """

    def __init__(self, graph: Content, arrays: bytes, model: Content, precision: str, threads: int = 1) -> None:
        with np.load(io.BytesIO(arrays), allow_pickle=False) as found:
            held = {name: found[name] for name in found.files}
        if precision + "/offsets" not in held:
            raise NotAdaptable(f"the {precision} model has no weights that could be adapted in place")
        self.gamma, self.beta, self.least, self.bias = (held[n] for n in ("gamma", "beta", "least", "bias"))
        self.usual = held["brightness"]  # counts (256,), as of `table_of`
        self.channels, self.batch = held["channels"].tolist(), int(held["batch"])
        self.offsets, self.counts = held[precision + "/offsets"].tolist(), held[precision + "/counts"].tolist()
        self.kinds = held[precision + "/kinds"].tolist()
        self.graph, self.read_model, self.threads = graph, model, threads

    @property
    def model(self) -> bytes:
        """The model that is served, as its file has it."""
        return self.read_model()

    def statistics(self, images: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Means and variances (c,) of all norms over images, each float32 (1, 3, r, r).

        Of more images than fit into a pass, the passes' means are averaged, and their spread is part of the variance.
        Neighboring images, which show the same things, come into different passes.
        """
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = self.threads, 1
        options.log_severity_level = 3
        session = onnxruntime.InferenceSession(self.graph(), options, providers=["CPUExecutionProvider"])
        name, passes = session.get_inputs()[0].name, max(1, round(len(images) / self.batch))
        found = [
            session.run(["means", "variances"], {name: np.concatenate([images[i] for i in part])})
            for part in (range(first, len(images), passes) for first in range(passes))
        ]
        means = np.array([one[0] for one in found], np.float64)
        variances = np.array([one[1] for one in found], np.float64)
        return means.mean(axis=0), variances.mean(axis=0) + means.var(axis=0)

    def blended(self, means: np.ndarray, variances: np.ndarray, share: float) -> tuple[np.ndarray, np.ndarray]:
        """Statistics (c,) of which recent images have that share, and those of the training the rest.

        They are the mean and the variance of a mixture of the two.
        """
        usual, rest = np.maximum(self.gamma.astype(np.float64) ** 2 - self.least, 0), 1 - share
        mixed = share * variances + rest * usual + share * rest * (means - self.beta) ** 2
        return share * means + rest * self.beta, mixed

    def folded(self, means: np.ndarray, variances: np.ndarray) -> bytes:
        """The model's file with these statistics (c,) in its weights."""
        still = self.gamma == 0  # such a channel is a constant whatever comes in
        factors = np.where(still, 1.0, np.abs(self.gamma) / np.sqrt(variances + np.maximum(self.least, TINY)))
        biases = np.where(still, self.bias, self.beta + (self.bias - means) * factors)
        made, start = bytearray(self.model), 0
        for channels, offsets, count, kinds in zip(self.channels, self.offsets, self.counts, self.kinds):
            part = slice(start, start + channels)
            start += channels
            factor, bias = factors[part], biases[part]
            weights = _read(made, offsets[0], count, kinds[0]).reshape(channels, -1)
            _write(made, offsets[0], weights * factor[:, None], kinds[0])
            if offsets[2] >= 0:  # of an int8 convolution: whole numbers, times a scale
                scales = _read(made, offsets[2], channels, kinds[2]) * factor
                _write(made, offsets[2], scales, kinds[2])
                bias = np.clip(np.rint(bias / scales), -(2**31) + 1, 2**31 - 1)
            _write(made, offsets[1], bias, kinds[1])
        return bytes(made)


def _read(data: bytearray, offset: int, count: int, kind: str) -> np.ndarray:
    return np.frombuffer(data, kind, count, offset).astype(np.float64)


def _write(data: bytearray, offset: int, values: np.ndarray, kind: str) -> None:
    packed = values.astype(kind).tobytes()
    data[offset : offset + len(packed)] = packed


def mix_of(predicted: np.ndarray, classes: int) -> float:
    """How evenly images spread over the classes that were predicted, from 0 (one class) to 1 (all alike).

    The entropy of their shares, to the largest that so many images of so many classes can have.
    """
    counts = np.bincount(predicted, minlength=classes)
    shares = counts[counts > 0] / max(1, counts.sum())
    largest = np.log(min(classes, max(2, len(predicted))))
    return float(-(shares * np.log(shares)).sum() / largest)


def balanced(predicted: np.ndarray, classes: int, most: int = MOST) -> np.ndarray:
    """Indices of the newest images, as nearly as many of each predicted class as there are, in order of time.

    `predicted` (n,), the oldest first. Raises NotAdaptable for too few images, and for a window of too few classes:
    its statistics would be those of these classes, and make the network worse than it was.
    """
    if len(predicted) < FEWEST:
        raise NotAdaptable(f"needs {FEWEST} recent images; got {len(predicted)}")
    mix = mix_of(predicted, classes)
    if mix < LEAST_MIX:
        raise NotAdaptable(f"recent images are of too few classes: their mix is {mix:.2f} of 1, below {LEAST_MIX}")
    counts = np.bincount(predicted, minlength=classes)
    limit = most  # of each class: the largest for which not too many are taken
    while np.minimum(counts, limit).sum() > most:
        limit -= 1
    limit = min(limit, max(1, int(2 * len(predicted) / classes)))
    chosen = [np.flatnonzero(predicted == label)[-limit:] for label in range(classes)]
    return np.sort(np.concatenate(chosen))


class Inputs(Sequence[np.ndarray]):
    """Frames as a network takes them, float32 (1, 3, r, r), each made when it is asked for: all take four times the
    memory of the frames.
    """

    def __init__(self, frames: Sequence[np.ndarray], as_input: Callable[[np.ndarray], np.ndarray]) -> None:
        self.frames, self.as_input = frames, as_input

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, index: Any) -> Any:
        return self.as_input(self.frames[index])

    def of(self, indices: np.ndarray) -> Inputs:
        """Some of them, by their indices (n,)."""
        return Inputs([self.frames[i] for i in indices], self.as_input)


def attempt(
    folding: Folding, images: Inputs, scores: Scores, estimate: Estimate, start: Start,
    exposed: Callable[[Sequence[np.ndarray]], Any] | None = None,
) -> Outcome:  # fmt: skip
    """Adapts to recent images, with what the network said of them, the oldest first.

    Of each of SHARES, and of `exposed`, which gives a network for pictures as bright as some, the one is taken that the
    label-free estimate of the accuracy prefers on the same images, and accepted where that rises.
    Raises NotAdaptable as `balanced`.
    """
    predicted = scores.argmax(axis=1)
    chosen = balanced(predicted, scores.shape[1])
    before, recent = estimate(scores, False)[0], images.of(chosen)
    found = folding.statistics(recent)
    best: tuple[float, str, Any] = (-1.0, "", None)
    for way in (*SHARES, EXPOSURE):
        if way == EXPOSURE and exposed is None:
            continue
        if isinstance(way, str):
            network = exposed(recent) if exposed is not None else None
        else:
            network = start(folding.folded(*folding.blended(*found, way)))
        after = estimate(scores_of(network, images), way != EXPOSURE)[0]
        if after > best[0]:
            best = after, str(way), network
    accepted = best[0] >= before + LEAST_GAIN
    facts = {
        "before": round(before, 4), "after": round(best[0], 4), "images": len(chosen), "way": best[1],
        "mix": round(mix_of(predicted, scores.shape[1]), 3), "accepted": accepted,
    }  # fmt: skip
    return Outcome(best[2] if accepted else None, facts)


def scores_of(network: Any, images: Sequence[np.ndarray]) -> Scores:
    """What a network says of images, each float32 (1, 3, r, r)."""
    return np.stack([network.outputs(network.ready(image))[0] for image in images])
