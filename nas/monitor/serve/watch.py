"""What watches a network at work: the pictures, its features, its accuracy without labels, and its latency.

    watch = Watch(read_reference(version_folder / "watch.npz", precision), state=what_watch_state_gave_before)
    events = watch.observe(pixels, scores, features, ms, image="frame 17")    # for every frame that is served
    watch.latency.health(temperature_c=61.0, frequency_mhz=1800.0, throttled=[])  # when it is read, every few seconds
    events = watch.labels([("frame 17", 3)])                                  # when somebody has looked at an image
    watch.estimate()     # what stands in a `window` line: accuracy, accuracy_low, accuracy_high, trusted
    watch.state()        # plain JSON values, below 200 kB

An event is an object with `kind`: `alarm` (chart: picture, features, accuracy or latency; value, limit,
expected_loss_points, usual, the accuracy that it is lost from), `clear` (chart), `profile` (why), `labels` (labels,
right). Two stages: the charts of pictures and features say that something changed, the estimate of accuracy says
whether it matters.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, Mapping, Sequence

import numpy as np

from .accuracy import WINDOW, Estimate, Estimator, Labeled, facts_of
from .charts import GROUP, Chart
from .latency import LatencyChart
from .picture import Pictures
from .recent import Recent

Event = Dict[str, Any]
Reference = Mapping[str, "np.ndarray"]
FORMAT = 2  # of the state
LOOKS = 500  # frames between two looks at the accuracy: with the last group of a window of the log
ENDS = 0.5  # of the interval above an estimate: an alarm of the accuracy ends when what is usual lies within
FEWEST, FEW = 16, 200  # frames that a change is judged by; below FEW by means alone
MOST_NAMES, LONGEST_NAME = 1000, 100  # images that labels may speak of


def read_reference(path: Path, precision: str) -> Reference | None:
    """What a version's watch.npz holds for the file of a precision; None where a folder has none: it is older."""
    if not path.is_file():
        return None
    with np.load(str(path), allow_pickle=False) as file:
        start = precision + "/"
        names = [name for name in file.files if name.startswith(start)]
        return {name[len(start) :]: file[name] for name in names} or None


def part_of(reference: Reference, part: str) -> dict[str, np.ndarray]:
    """The arrays whose names begin with `part`/."""
    return {name[len(part) + 1 :]: value for name, value in reference.items() if name.startswith(part + "/")}


def coordinates_of(features: np.ndarray, scores: np.ndarray, basis: np.ndarray) -> np.ndarray:
    """What the features' chart looks at, float64 (n, k + 2): features (n, d) projected on `basis` (d, k), the energy of
    the scores (n, classes), and how far the first class is ahead.
    """
    largest = scores.max(axis=1, keepdims=True)
    energy = largest[:, 0] + np.log(np.exp(scores - largest).sum(axis=1))
    ahead = largest[:, 0] - np.partition(scores, -2, axis=1)[:, -2]
    return np.concatenate([features @ basis, energy[:, None], ahead[:, None]], axis=1).astype(np.float64)


def distance_of(values: np.ndarray, named: np.ndarray, means: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """The logarithm of each frame's mean squared distance (n,) from the mean of its named class, in deviations."""
    apart = (values - means[named]) / scale
    return np.asarray(np.log((apart * apart).mean(axis=1) + 1e-6))


class Watch:
    """Watches one version in one precision. Without a `reference` only latency is watched; `off` says why, in words.

    `state` is what `state()` gave in an earlier process; that of another format is left aside. Frames are looked at in
    groups of 16: a new process does not know the last ones of an unfinished group.
    """

    def __init__(self, reference: Reference | None, state: dict[str, Any] | None = None) -> None:
        known = state if state and state.get("format") == FORMAT else {}
        self.latency = LatencyChart(known.get("latency"))
        self.frames = int(known.get("frames", 0))
        self.off: tuple[str, ...] = ()
        lacks = "no watch.npz"
        if reference is not None and "accuracy/covariance" not in reference:
            reference, lacks = None, "a watch.npz of an older release"
        self.reference = reference
        if reference is None:
            self.off = (f"pictures, features and accuracy are not watched: the version has {lacks}; deploy it again",)
            return
        self.estimator = Estimator(part_of(reference, "accuracy"))
        self.picture = Chart("picture", part_of(reference, "picture"), known.get("picture"))
        self.basis = reference.get("basis")
        self.features: Chart | None = None
        if self.basis is None:
            self.off = ("features are not watched: the model's file does not give them",)
        else:
            self.features = Chart("features", part_of(reference, "features"), known.get("features"))
        if known.get("adapted"):  # a new process serves the network that was deployed
            known = dict(known, recent=None, labeled=None)
        self.adapted = False
        self.recent = Recent(len(self.estimator.prior), known.get("recent"))
        self.labeled = Labeled(known.get("labeled"))
        self.named: dict[str, list[float]] = {str(k): list(v) for k, v in known.get("named", {}).items()}
        self.change = int(known.get("change", 0))  # how often charts have alarmed and cleared
        self.low = bool(known.get("low", False))  # whether an alarm of the accuracy stands
        self.usual = [float(v) for v in known.get("usual", [])]  # estimates, and mixes, of the burn-in
        self.mixes = [float(v) for v in known.get("mixes", [])]
        self.pictures: Pictures | None = None
        self.shape: tuple[int, ...] = ()
        self.count = 0  # frames in the unfinished group
        self._found: dict[tuple[int, int], Estimate] = {}  # the last estimate, by all frames so far and its own

    def observe(
        self, pixels: np.ndarray, scores: np.ndarray, features: np.ndarray | None, ms: float,
        computing_ms: float = 0.0, image: str = "",
    ) -> list[Event]:  # fmt: skip
        """One frame: uint8 (h, w, 3) as the network saw it, scores float32 (classes,), pooled features float32 (d,)
        or None, the milliseconds of the inference by the clock and of the processor (0: not known), and the name by
        which `labels` may speak of it.
        """
        self.frames += 1
        events = self.latency.add(ms, computing_ms)
        if self.reference is None:
            return events
        if self.pictures is None or pixels.shape != self.shape:
            self._begin(pixels.shape, len(scores))
        assert self.pictures is not None
        n = self.count
        self.parts[n], self.scores[n], self.names[n] = self.pictures.part(pixels), scores, image
        if self.basis is not None:
            if features is None:
                self.basis, self.features = None, None
            else:
                self.vectors[n] = features.reshape(-1)
        self.count = n + 1
        if self.count == GROUP:
            self.count = 0
            events = events + self._group()
        return events

    def _begin(self, shape: tuple[int, ...], classes: int) -> None:
        self.shape, self.count, self.pictures = shape, 0, Pictures(shape[0], shape[1])
        self.parts = np.empty((GROUP, *self.pictures.shape), np.uint8)
        self.scores, self.names = np.empty((GROUP, classes), np.float32), [""] * GROUP
        if self.basis is not None:
            self.vectors = np.empty((GROUP, len(self.basis)), np.float32)

    def _group(self) -> list[Event]:
        named = self.scores.argmax(axis=1)
        events = self.picture.add(self.pictures.statistics(self.parts), named) if self.pictures else []
        away = None
        if self.features is not None and self.basis is not None:
            values = coordinates_of(self.vectors, self.scores, self.basis)
            away = distance_of(values, named, self.features.means, self.features.scale)
            events = events + self.features.add(values, named)
        seen = self.estimator.frames(self.scores, away)
        self.recent.add(seen)
        if any(self.names):
            self._remember(named, seen.probabilities)
        if events:
            self.change += 1
            self.labeled.clear()
            for event in events:
                if event["kind"] == "alarm":
                    self._expect(event)
        if self.recent.count > WINDOW - GROUP and -self.recent.total % LOOKS < GROUP:
            events = events + self._look()
        return events

    def _expect(self, event: Event) -> None:
        """Adds to an alarm the points of accuracy that are expected to be lost, by the frames since the chart rose."""
        chart = self.picture if event["chart"] == "picture" else self.features
        rising = GROUP * chart.rising if chart is not None else WINDOW
        found = self._estimated(min(max(rising, FEWEST), WINDOW))
        loss, high, low = (100 * (self.baseline - value) for value in found[:3])
        what = "pictures" if event["chart"] == "picture" else "features"
        event.update(
            expected_loss_points=round(loss, 1), loss_low_points=round(low, 1), loss_high_points=round(high, 1),
            trusted=found.trusted, usual=round(self.baseline, 4),
            why=f"the {what} changed; it is estimated to cost {loss:.1f} points of accuracy ({low:.1f} to {high:.1f})",
        )  # fmt: skip

    @property
    def baseline(self) -> float:
        """The accuracy that is usual: as estimated in the burn-in, before that as in validation."""
        return sum(self.usual) / len(self.usual) if self.usual else self.estimator.accuracy

    @property
    def alarms(self) -> set[str]:
        """The charts whose alarms stand."""
        found = {"latency"} if self.latency.alarmed else set()
        if self.reference is not None:
            found |= {"picture"} if self.picture.alarmed else set()
            found |= {"features"} if self.features is not None and self.features.alarmed else set()
            found |= {"accuracy"} if self.low else set()
        return found

    @property
    def alarmed(self) -> bool:
        """Whether an alarm of pictures or features stands."""
        return self.picture.alarmed or (self.features is not None and self.features.alarmed)

    @property
    def correlated(self) -> bool:
        """Whether this camera's frames do not have the classes of validation images in any 500: no mix is assumed."""
        return bool(self.mixes) and sum(self.mixes) / len(self.mixes) > self.estimator.usual_mix

    def _estimated(self, count: int) -> Estimate:
        """Of the last so many frames; what was found is kept until there are others, or more is known of them."""
        if (self.recent.total, count) not in self._found:
            self._found = {(self.recent.total, count): self._estimate(count)}
        return self._found[self.recent.total, count]

    def _estimate(self, count: int) -> Estimate:
        frames = self.recent.last(count)
        mixed = len(frames.probabilities) >= FEW and not self.correlated
        if mixed and not self.alarmed:
            mixed = self.estimator.mix(frames) <= self.estimator.usual_mix
        return self.labeled.tightened(self.estimator.estimate(frames, mixed=mixed, adapted=self.adapted))

    def replaced(self, *, adapted: bool) -> None:
        """Another network serves from here on: one whose batch norms were `adapted`, or the one that was deployed.

        What is known of frames before is not of it.
        """
        if self.reference is None:
            return
        self.adapted, self.count = adapted, 0
        self.recent = Recent(len(self.estimator.prior))
        self.labeled.clear()
        self._found.clear()
        self.change += 1

    def _look(self) -> list[Event]:
        """Whether the accuracy of the last 500 frames is surely below what is usual.

        An alarm ends where it is likely no longer so: at the same line, an estimate near it would raise one alarm after
        the other, as that of an adapted network does, which is between the two.
        """
        found = self._estimated(WINDOW)
        if not self.picture.burnt_in and not self.alarmed:
            self.usual = [*self.usual[-7:], found.accuracy]
            self.mixes = [*self.mixes[-7:], self.estimator.mix(self.recent.last(WINDOW))]
        highest = found.accuracy + ENDS * (found.high - found.accuracy) if self.low else found.high
        if self.low == (highest < self.baseline):
            return []
        self.low = not self.low
        loss = round(100 * (self.baseline - found.accuracy), 1)
        event = {"chart": "accuracy", "value": round(found.accuracy, 4), "limit": round(self.baseline, 4),
                 "expected_loss_points": loss, "trusted": found.trusted}  # fmt: skip
        if self.low:
            return [dict(event, kind="alarm", why=f"the accuracy is estimated to be {loss:.1f} points lower")]
        return [dict(event, kind="clear")]

    def _remember(self, named: np.ndarray, probabilities: np.ndarray) -> None:
        likely, change = probabilities[np.arange(GROUP), named].round(4).tolist(), float(self.change)
        for image, label, chance in zip(self.names, named.tolist(), likely):
            if image:
                self.named[image[:LONGEST_NAME]] = [float(label), chance, change]
        while len(self.named) > MOST_NAMES:
            del self.named[next(iter(self.named))]

    def labels(self, pairs: Sequence[tuple[str, int]]) -> list[Event]:
        """True classes of images, by the names that `observe` was given; names that are not known any more are left.

        Those since the last change tighten the estimate.
        """
        if self.reference is None:
            return []
        count = right = 0
        gap = 0.0
        if self.recent.count >= FEW:
            frames = self.recent.last(WINDOW)
            gap = self._estimated(WINDOW).accuracy - float(frames.probabilities.max(axis=1).mean())
        for image, label in pairs:
            found = self.named.pop(image[:LONGEST_NAME], None)
            if found is None:
                continue
            count += 1
            right += found[0] == label
            if found[2] == self.change:
                self.labeled.add(found[0] == label, found[1] + gap)
        self._found.clear()
        return [{"kind": "labels", "labels": count, "right": int(right)}] if count else []

    def estimate(self) -> dict[str, Any]:
        """Accuracy from 0 to 1 over the last 500 frames with a 95% interval, and whether it is to be trusted.

        Keys as in a `window` line; None where nothing is known.
        """
        if self.reference is None or self.recent.count < FEWEST:
            return facts_of(None)
        return facts_of(self._estimated(WINDOW))

    def accuracy_of(self, scores: np.ndarray, adapted: bool = False) -> Estimate:
        """The same of some frames' scores (n, classes) alone, whose classes have the mix of validation images, of the
        network that was deployed or of one that was adapted.
        """
        if self.reference is None:
            raise ValueError("the accuracy of this version is not watched")
        return self.estimator.estimate(self.estimator.frames(scores, None), mixed=True, adapted=adapted)

    def state(self) -> dict[str, Any]:
        """All that a new process needs to go on, as JSON has it: below 200 kB."""
        found: dict[str, Any] = {"format": FORMAT, "frames": self.frames, "latency": self.latency.state()}
        if self.reference is not None:
            found.update(
                picture=self.picture.state(), features=self.features.state() if self.features else None,
                recent=self.recent.state(), labeled=self.labeled.state(), named=self.named, change=self.change,
                low=self.low, usual=self.usual, mixes=self.mixes, adapted=self.adapted,
            )  # fmt: skip
        return found
