"""What a report says of detectors beyond their mAP: AP50, by the objects' size, by class, and boxes on pictures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypedDict

from nas.numbers import percent
from nas.page.boxes import Drawn, colors_of
from nas.run import AveragePrecision, Run, Trial
from nas.run.average_precision import SIZES
from nas.run.pictures import Box, Picture

FEW = 10  # classes: as many are named one by one where there is no room for more
NONE = "none"  # instead of a number: there is no such object


def metric(run: Run) -> str:
    """What an accuracy of the run is called."""
    return "mAP" if run.settings.task == "detection" else "accuracy"


def detected(trials: Sequence[Trial]) -> bool:
    """Whether any of them has more to say than a mean."""
    return any(t.average_precision for t in trials)


def share_text(value: float | None) -> str:
    """A precision as a percentage; none where there is no such object among the pictures."""
    return NONE if value is None else percent(value)


def size_and_class_lines(run: Run, trial: Trial) -> list[str]:
    """AP50, mAP by size and, of few classes, by class: a line each; none for a classifier."""
    found = trial.average_precision
    if found is None:
        return []
    sizes = ", ".join(f"{size} {share_text(value)}" for size, value in found.of_sizes.items())
    lines = [f"AP50 {percent(found.at_50)}, AP75 {percent(found.at_75)}; mAP by size: {sizes}"]
    named = _named(run, found)
    if len(named) > FEW:
        return [*lines, f"mAP of each of the {len(named)} classes: --json, or the report"]
    return lines + [
        f"  {name}: none in the validation pictures" if mean is None else
        f"  {name}: mAP {percent(mean)}, AP50 {share_text(at_50)}"
        for name, mean, at_50 in named
    ]  # fmt: skip


def _named(run: Run, found: AveragePrecision) -> list[tuple[str, float | None, float | None]]:
    """Each class with its mAP and AP50, where they were kept."""
    names = run.settings.class_names
    if len(names) != len(found.of_classes) or len(names) != len(found.at_50_of_classes):
        return []
    return list(zip(names, found.of_classes, found.at_50_of_classes, strict=True))


def by_size_and_class(run: Run) -> tuple[list[str], list[list[str]]]:
    """A table of the front's networks: heads, then a row each; classes where they are few. Empty of classifiers."""
    front = [t for t in run.front_trials if t.average_precision]
    names = list(run.settings.class_names)
    few = bool(names) and len(names) <= FEW
    heads = ["trial", "mAP", "AP50", "AP75", *SIZES, *(names if few else [])]
    rows = []
    for t in front:
        found = t.average_precision
        if found is None:
            continue
        classes = [share_text(v) for v in found.of_classes] or ["-"] * len(names)
        numbers = [percent(t.accuracy), percent(found.at_50), percent(found.at_75)]
        rows.append([str(t.trial), *numbers, *map(share_text, found.of_sizes.values()), *(classes if few else [])])
    return (heads, rows) if rows else ([], [])


def notes(run: Run) -> list[str]:
    """How to read sizes and classes, a sentence each."""
    if not detected(run.trials):
        return []
    return [
        "Objects are small below 32 x 32 pixels, medium up to 96 x 96 and large beyond, by their area in their own "
        "picture, as COCO has it. None: there is no such object among the validation pictures."
    ]


class Sample(TypedDict):
    """A network's boxes on each picture."""

    trial: int
    boxes: list[list[tuple[str, float, tuple[float, float, float, float]]]]


def drawn_pictures(pictures: Sequence[Picture]) -> list[Drawn]:
    """The pictures as a page draws them, by their places."""
    return [
        Drawn(f"picture-{place}", p.uri, p.width, p.height, [
            (name, _pixels(p, corners), crowd) for name, *corners, crowd in p.objects
        ])
        for place, p in enumerate(pictures)
    ]  # fmt: skip


def samples(run: Run) -> Iterator[Sample]:
    """What each network of the front found in the pictures that were kept."""
    kept, on = run.pictures, {t.trial for t in run.front_trials}
    for trial, found in (kept.found if kept else {}).items():
        if kept and trial in on:
            yield {"trial": trial, "boxes": [
                pixel_boxes(picture, boxes) for picture, boxes in zip(kept.pictures, found, strict=True)
            ]}  # fmt: skip


def pixel_boxes(picture: Picture, boxes: Sequence[Box]) -> list[tuple[str, float, tuple[float, float, float, float]]]:
    """Boxes in the picture's pixels, each with its class and probability."""
    return [(name, p, _pixels(picture, corners)) for name, p, *corners in boxes]


def class_colors(run: Run) -> dict[str, str]:
    """The color of each class that a picture has or a network found."""
    kept = run.pictures
    if kept is None:
        return {}
    there = [row[0] for picture in kept.pictures for row in picture.objects]
    found = sorted({box[0] for networks in kept.found.values() for boxes in networks for box in boxes})
    return colors_of([*run.settings.class_names, *there, *found])


def page_detection(run: Run) -> dict[str, Any] | None:
    """What the page is given: classes, and mAP and AP50 of each by trial, of the front and those left off it."""
    if not detected(run.trials):
        return None
    shown = [t for t in (*run.front_trials, *run.left_off) if t.average_precision and _named(run, t.average_precision)]
    return {
        "names": list(run.settings.class_names), "sizes": list(SIZES),
        "of": {t.trial: [found.of_classes, found.at_50_of_classes] for t in shown if (found := t.average_precision)},
    }  # fmt: skip


def _pixels(picture: Picture, corners: Sequence[Any]) -> tuple[float, float, float, float]:
    x1, y1, x2, y2 = (picture.side * float(v) for v in corners)
    return x1, y1, min(x2, picture.width), min(y2, picture.height)
