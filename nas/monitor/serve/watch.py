"""What watches a network at work: the pictures, its features, its accuracy without labels, and its latency.

    watch = Watch(read_reference(version_folder / "watch.npz", precision), state=what_watch_state_gave_before)
    events = watch.observe(pixels, scores, features, ms, image="frame 17")     # for every frame that is served
    watch.health(temperature_c=61.0, frequency_mhz=1800.0, throttled=[])      # when it is read, every few seconds
    events = watch.labels([("frame 17", 3)])                                  # when somebody has looked at an image
    watch.estimate()     # what stands in a `window` line: accuracy, accuracy_low, accuracy_high, trusted
    watch.state()        # plain JSON values, below 200 kB

An event is an object with `kind`: `alarm` (chart: picture, features, accuracy or latency; value, limit,
expected_loss_points), `clear` (chart), `profile` (why), `labels` (count, right). Two stages: the charts of pictures and
features say that something changed, the estimate of accuracy says whether it matters.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, Mapping, Sequence

import numpy as np

from .latency import LatencyChart

Event = Dict[str, Any]
Reference = Mapping[str, "np.ndarray"]
FORMAT = 1  # of the state


def read_reference(path: Path, precision: str) -> Reference | None:
    """What a version's watch.npz holds for the file of a precision; None where a folder has none: it is older."""
    if not path.is_file():
        return None
    with np.load(str(path), allow_pickle=False) as file:
        start = precision + "/"
        names = [name for name in file.files if name.startswith(start)]
        return {name[len(start) :]: file[name] for name in names} or None


class Watch:
    """Watches one version in one precision. Without a `reference` only latency is watched; `off` says why, in words.

    `state` is what `state()` gave in an earlier process; that of another format is left aside.
    """

    def __init__(self, reference: Reference | None, state: dict[str, Any] | None = None) -> None:
        known = state if state and state.get("format") == FORMAT else {}
        self.latency = LatencyChart(known.get("latency"))
        self.frames = int(known.get("frames", 0))
        self.off: tuple[str, ...] = ()
        if reference is None:
            self.off = ("pictures, features and accuracy are not watched: the version has no watch.npz; "
                        "deploy it again",)  # fmt: skip

    def observe(
        self, pixels: np.ndarray, scores: np.ndarray, features: np.ndarray | None, ms: float, image: str = ""
    ) -> list[Event]:
        """One frame: uint8 (h, w, 3) as the network saw it, scores float32 (classes,), pooled features float32 (d,)
        or None, the milliseconds of the inference, and the name by which `labels` may speak of it.
        """
        self.frames += 1
        return self.latency.add(ms)

    def health(self, temperature_c: float | None, frequency_mhz: float | None, throttled: Sequence[str] = ()) -> None:
        """What the board says of itself, to explain its latency with. None: it does not say."""
        self.latency.health(temperature_c, frequency_mhz, throttled)

    def labels(self, pairs: Sequence[tuple[str, int]]) -> list[Event]:
        """True classes of images, by the names that `observe` was given; names that are not known any more are left."""
        return []

    def estimate(self) -> dict[str, Any]:
        """Accuracy from 0 to 1 over the last 500 frames with a 95% interval, and whether it is to be trusted.

        Keys as in a `window` line; None where nothing is known.
        """
        return {"accuracy": None, "accuracy_low": None, "accuracy_high": None, "trusted": False}

    def state(self) -> dict[str, Any]:
        """All that a new process needs to go on, as JSON has it: below 200 kB."""
        return {"format": FORMAT, "frames": self.frames, "latency": self.latency.state()}
