"""How many objects a detector finds in a frame, by class, from what a log says of the last windows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from nas.monitor.log import Log, Objects, Window
from nas.numbers import figure, percent

LATEST = 16  # windows
MOST_CLASSES = 12
HEADS = ("objects a frame", "mean", "p90", "frames with none")
EVERY = "all"


@dataclass(frozen=True, slots=True)
class ObjectRow:
    """Objects a frame of one class, of all where `name` is None: the mean over the frames, the median window's 90th
    percentile, the share of frames without any.
    """

    name: str | None
    mean: float
    p90: float
    none: float


def object_rows(log: Log) -> list[ObjectRow]:
    """Of the last windows of the version that was served last, the most frequent classes first; none of a classifier.

    Objects are not tracked: one that stays in view counts in every frame.
    """
    windows = latest(log)
    if not windows:
        return []
    found = [_row(None, windows, [w.objects for w in windows])]
    names = list(dict.fromkeys(name for w in windows for name in w.objects_of))
    rows = [_row(name, windows, [w.objects_of.get(name) for w in windows]) for name in names]
    return found + sorted(rows, key=lambda row: -row.mean)[:MOST_CLASSES]


def latest(log: Log) -> list[Window]:
    """The last windows, at most 16, of the version that was served last, where it is a detector."""
    found: list[Window] = []
    for window in reversed(log.of(Window)):
        if len(found) == LATEST or window.objects is None or (found and window.version != found[0].version):
            break
        found.append(window)
    return found[::-1]


def measure_of(log: Log) -> str:
    """What is estimated without labels."""
    return "AP50" if latest(log) else "accuracy"


def more_classes(log: Log) -> int:
    """How many classes more than are named were seen in one of the last windows, at most."""
    return max((window.more_classes for window in latest(log)), default=0)


def cells_of(row: ObjectRow) -> tuple[str, ...]:
    """A row under HEADS, for a terminal."""
    name = EVERY if row.name is None else row.name if len(row.name) <= 40 else row.name[:39] + "…"
    return name, figure(row.mean), figure(row.p90), percent(row.none, 0)


def _row(name: str | None, windows: Sequence[Window], parts: Sequence[Objects | None]) -> ObjectRow:
    """Where a window does not name a class, it was too rare there, or not seen: that counts as none."""
    known = [part or Objects(mean=0, p90=0, none=1) for part in parts]
    frames = [max(window.served, 1) for window in windows]
    total = sum(frames)
    return ObjectRow(
        name, sum(n * part.mean for n, part in zip(frames, known, strict=True)) / total,
        median(part.p90 for part in known), sum(n * part.none for n, part in zip(frames, known, strict=True)) / total,
    )  # fmt: skip
