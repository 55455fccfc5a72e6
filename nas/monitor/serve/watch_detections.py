"""What watches a detector at work: the pictures, what its boxes look like, and its latency; as `watch` a classifier.

    watch = DetectionWatch(read_reference(version_folder / "watch.npz", precision), state=what_state_gave_before)
    events = watch.observe(answer.pixels, answer.scores, None, ms)      # of each `answers.Found`

The pictures are looked at without the grey beside them. Both charts say that something changed; what it costs is said
where the reference has an estimate of AP50, which stands in the place of the accuracy.
"""

from __future__ import annotations

from typing import Any, Sequence

import numpy as np

from .accuracy import FEWEST, WINDOW, Estimate, facts_of
from .charts import GROUP, Chart, Event
from .latency import LatencyChart
from .objects import NAMES
from .picture import Pictures
from .precision import Distances, PrecisionEstimator
from .watch import LOOKS, Reference, part_of

FORMAT = 1  # of the state
MOST_SHAPES = 8  # of pictures, that are known at a time
WHAT = {"picture": "the pictures have changed", "detections": "what is detected has changed"}


def values_of(scores: np.ndarray, basis: np.ndarray) -> np.ndarray:
    """What the chart of detections looks at, float64 (n, 7 + k): of `objects.scores_of` (n, 7 + d) the figures as they
    are, and what the heads say projected on `basis` (d, k).
    """
    return np.concatenate([scores[:, : len(NAMES)], scores[:, len(NAMES) :] @ basis], axis=1)


class DetectionWatch:
    """Watches one version in one precision. Without a `reference` only latency is watched; `off` says why, in words.

    `state` is what `state()` gave in an earlier process; that of another format is left aside. Frames are looked at in
    groups of 16: a new process does not know the last ones of an unfinished group.
    """

    def __init__(self, reference: Reference | None, state: dict[str, Any] | None = None) -> None:
        known = state if state and state.get("format") == FORMAT and state.get("task") == "detection" else {}
        self.latency = LatencyChart(known.get("latency"))
        self.frames = int(known.get("frames", 0))
        self.off: tuple[str, ...] = ()
        self.reference = reference
        if reference is None:
            self.off = ("pictures and detections are not watched: the version has no watch.npz; deploy it again",)
            return
        self.basis = np.asarray(reference["basis"])
        self.charts = {
            name: Chart(name, part_of(reference, name), known.get(name)) for name in ("picture", "detections")
        }
        part = part_of(reference, "precision")
        self.estimator = PrecisionEstimator(part) if part else None
        self.recent, self.looked = Distances(known.get("recent")), int(known.get("looked", 0))
        self.low = bool(known.get("low", False))  # whether an alarm of AP50 stands
        self.usual = [float(v) for v in known.get("usual", [])]  # estimates of the burn-in
        self.pictures: dict[tuple[int, ...], Pictures] = {}  # by the pictures' shape
        self.seen: Pictures | None = None  # of the unfinished group
        self.count = 0  # frames in it

    def observe(
        self, pixels: np.ndarray, scores: np.ndarray, features: np.ndarray | None, ms: float,
        computing_ms: float = 0.0, image: str = "",
    ) -> list[Event]:  # fmt: skip
        """One frame: uint8 (h, w, 3), the picture without the grey beside it; `objects.scores_of` it (7 + d,); and the
        milliseconds of the inference, by the clock and of the processor (0: not known).
        """
        self.frames += 1
        events = self.latency.add(ms, computing_ms)
        if self.reference is None:
            return events
        seen = self._of_shape(pixels.shape)
        if self.seen is None or seen.shape != self.seen.shape:
            self.count = 0
            self.parts = np.empty((GROUP, *seen.shape), np.uint8)
            self.scores = np.empty((GROUP, len(scores)))
        self.seen = seen
        self.parts[self.count], self.scores[self.count] = seen.part(pixels), scores
        self.count += 1
        if self.count == GROUP:
            self.count = 0
            events = events + self.group(seen.statistics(self.parts), self.scores)
        return events

    def _of_shape(self, shape: tuple[int, ...]) -> Pictures:
        """Frames of all sizes, but for the smallest, give parts of one shape, and so stand in one group."""
        if shape not in self.pictures:
            if len(self.pictures) >= MOST_SHAPES:
                self.pictures.clear()
            self.pictures[shape] = Pictures(shape[0], shape[1])
        return self.pictures[shape]

    def group(self, statistics: np.ndarray, scores: np.ndarray) -> list[Event]:
        """What the charts say of 16 frames: statistics (16, 15) of the pictures, `objects.scores_of` (16, 7 + d)."""
        alike = np.zeros(GROUP, np.int64)  # a picture has no class
        events = self.charts["picture"].add(statistics, alike)
        events = events + self.charts["detections"].add(values_of(scores, self.basis), alike)
        if self.estimator is not None:
            self.recent.add(self.estimator.distances(scores))
        for event in events:
            if event["kind"] == "alarm":
                self._expect(event)
        self.looked += GROUP
        if self.estimator is not None and -self.looked % LOOKS < GROUP and len(self.recent.values) >= FEWEST:
            events = events + self._look(self.estimator)
        return events

    def _expect(self, event: Event) -> None:
        """Says in an alarm what is expected to be lost, by the frames since the chart rose."""
        what = WHAT[event["chart"]]
        if self.estimator is None:
            event["why"] = f"{what}; what that costs is not known without labels"
            return
        rising = max(GROUP, GROUP * self.charts[event["chart"]].rising)
        found = self.estimator.estimate(self.recent.values[-rising:])
        usual = self.baseline(self.estimator)
        loss, high, low = (100 * (usual - value) for value in found[:3])
        event.update(
            expected_loss_points=round(loss, 1), loss_low_points=round(low, 1), loss_high_points=round(high, 1),
            trusted=found.trusted, usual=round(usual, 4),
            why=f"{what}; it is estimated to cost {loss:.0f} points of AP50 ({low:.0f} to {high:.0f})",
        )  # fmt: skip

    def baseline(self, estimator: PrecisionEstimator) -> float:
        """The AP50 that is usual: as estimated in the burn-in, before that as in validation."""
        return sum(self.usual) / len(self.usual) if self.usual else estimator.ap50

    def _look(self, estimator: PrecisionEstimator) -> list[Event]:
        """Whether the AP50 of the last 500 frames is surely below what is usual."""
        found = estimator.estimate(self.recent.values)
        if not self.charts["picture"].burnt_in and not any(chart.alarmed for chart in self.charts.values()):
            self.usual = [*self.usual[-7:], found.accuracy]
        usual = self.baseline(estimator)
        if self.low == (found.high < usual):
            return []
        self.low = not self.low
        loss = round(100 * (usual - found.accuracy), 1)
        event = {"chart": "accuracy", "value": round(found.accuracy, 4), "limit": round(usual, 4),
                 "expected_loss_points": loss, "trusted": found.trusted}  # fmt: skip
        if self.low:
            return [dict(event, kind="alarm", why=f"AP50 is estimated to be {loss:.0f} points lower")]
        return [dict(event, kind="clear")]

    @property
    def alarms(self) -> set[str]:
        """The charts whose alarms stand."""
        found = {"latency"} if self.latency.alarmed else set()
        if self.reference is not None:
            found |= {name for name, chart in self.charts.items() if chart.alarmed}
            found |= {"accuracy"} if self.low else set()
        return found

    def labels(self, pairs: Sequence[tuple[str, int]]) -> list[Event]:
        """Nothing: what a person says of a frame is one class, and not its boxes."""
        return []

    def estimate(self) -> dict[str, Any]:
        """AP50 over the last 500 frames, with the keys of a `window` line; None where it cannot be told."""
        found: Estimate | None = None
        if self.reference is not None and self.estimator is not None and len(self.recent.values) >= GROUP:
            found = self.estimator.estimate(self.recent.values[-WINDOW:])
        return facts_of(found)

    def state(self) -> dict[str, Any]:
        """All that a new process needs to go on, as JSON has it."""
        found: dict[str, Any] = {
            "format": FORMAT, "task": "detection", "frames": self.frames, "latency": self.latency.state(),
        }  # fmt: skip
        if self.reference is not None:
            found.update({name: chart.state() for name, chart in self.charts.items()})
            found.update(recent=self.recent.state(), looked=self.looked, low=self.low, usual=self.usual)
        return found
