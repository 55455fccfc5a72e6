"""What is noticed of drift by what watches a detector, and what it costs. A row a stream; see README.md.

    python drift.py coco:bccd NAME=MODEL [NAME=MODEL ...] [--work drift-cache] [--out drift.csv] [--seeds 5]

MODEL is a folder of nas train, or of bccd.py. Limits come from the validation pictures, streams from the test pictures
in four orientations, drawn again and again: blood cells have no upper side. A corruption is checked with a reference
that has seen none of its kind.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from nas.data.catalog import load_dataset
from nas.data.corruptions import corrupt
from nas.data.dataset import Dataset
from nas.files.csv import append_rows
from nas.models.trained import load_trained
from nas.monitor.detections import filled, reader, reference_of, shifted, statistics_of, under
from nas.monitor.serve.charts import GROUP
from nas.monitor.serve.watch_detections import DetectionWatch
from nas.monitor.shifts import shifts
from nas.runtimes.onnxruntime import OnnxRuntime
from nas.tasks.precision import Truth, average_precision

COLUMNS = ("model", "stream", "severity", "seed", "chart", "frames", "alarms", "delay")
LEFT_OUT = {
    "gaussian-noise": ("gaussian-noise", "specks", "dusk"), "gaussian-blur": ("gaussian-blur", "defocus-blur", "shake"),
    "brightness": ("brightness", "haze", "rime"), "contrast": ("contrast", "haze"),
}  # fmt: skip
CHECKS = (3, 5)
BURNT, CLEAN, LONGEST = 2000, 20_000, 1000  # frames of the burn-in, then without a change, and after one


def pictures(data: Dataset, side: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Validation and test pictures with their targets, the latter in four orientations, the grey where it was."""
    validation, test = data.validation, data.test_split()
    own, other = (s.images.take(torch.arange(len(s)), side).numpy() for s in (validation, test))
    turned, labels = [other], [test.labels.numpy()]
    for down, across in ((True, False), (False, True), (True, True)):
        made, rows = other.copy(), test.labels.numpy().copy()
        for picture, row in zip(made, rows, strict=True):
            height, width = filled(picture)
            part = picture[:height, :width]
            picture[:height, :width] = part[:: -1 if down else 1, :: -1 if across else 1].copy()
            there = row[:, 0] >= 0
            if across:
                row[there, 1], row[there, 3] = width / side - row[there, 3], width / side - row[there, 1]
            if down:
                row[there, 2], row[there, 4] = height / side - row[there, 4], height / side - row[there, 2]
        turned.append(made)
        labels.append(rows)
    return own, validation.labels.numpy(), np.concatenate(turned), np.concatenate(labels)


def cached(name: str, model_folder: Path, data: Dataset, work: Path) -> dict[str, np.ndarray]:
    """What the network gave for every part, and the AP50 of each; computed once."""
    path = work / f"{name}.npz"
    if path.exists():
        with np.load(path) as file:
            return dict(file)
    work.mkdir(parents=True, exist_ok=True)
    model = load_trained(model_folder)
    side = model.preprocessing.resolution
    exported = work / f"{name}.onnx"
    OnnxRuntime().export(model, exported)
    read = reader(model, exported, "fp32")
    own, own_labels, test, test_labels = pictures(data, side)
    found: dict[str, np.ndarray] = {}

    def add(part: str, pixels: np.ndarray, labels: np.ndarray) -> None:
        found[f"{part}/scores"], boxes = read(pixels)
        found[f"{part}/statistics"] = statistics_of(pixels)
        found[f"{part}/ap50"] = np.array(average_precision(boxes, [Truth.of(r) for r in labels], data.classes).at_50)
        print(name, part, float(found[f"{part}/ap50"]), flush=True)

    add("validation", own, own_labels)
    for family, severity, pixels, rows in shifted(own, shifts(), len(own)):
        add(f"shifted/{family}/{severity}", pixels, own_labels[rows])
    add("clean/-/0", test, test_labels)
    for check in LEFT_OUT:
        for severity in CHECKS:
            changed = under(test, lambda part, s, seed, kind=check: corrupt(part, kind, s, seed=seed), severity, 7)
            add(f"checked/{check}/{severity}", changed, test_labels)
    np.savez_compressed(path, **found)
    return found


def reference(found: dict[str, np.ndarray], left_out: tuple[str, ...] = ()) -> dict[str, np.ndarray]:
    kept = [part for part in found if part.startswith("shifted/") and part.endswith("/scores")]
    changed = [found[part] for part in kept if part.split("/")[1] not in left_out]
    return reference_of(found["validation/statistics"], found["validation/scores"], changed)


def alarms(watch: DetectionWatch, found: dict[str, np.ndarray], part: str, order: np.ndarray) -> list[tuple[int, str]]:
    """Frame and chart of each alarm; the charts are given what the parts hold, group by group."""
    said = []
    for at in range(0, len(order) - GROUP + 1, GROUP):
        rows = order[at : at + GROUP]
        events = watch.group(found[f"{part}/statistics"][rows], found[f"{part}/scores"][rows])
        said += [(at + GROUP, event["chart"]) for event in events if event["kind"] == "alarm"]
    return said


def rows_of(name: str, found: dict[str, np.ndarray], seeds: int) -> Iterator[tuple[object, ...]]:
    count = len(found["clean/-/0/scores"])
    known = {left_out: reference(found, left_out) for left_out in ((), *LEFT_OUT.values())}
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        watch = DetectionWatch(known[()])
        first = alarms(watch, found, "clean/-/0", rng.integers(0, count, BURNT))
        later = alarms(watch, found, "clean/-/0", rng.integers(0, count, CLEAN))
        for chart in ("picture", "detections"):
            yield name, "burn-in", 0, seed, chart, BURNT, sum(c == chart for _, c in first), ""
            yield name, "clean", 0, seed, chart, CLEAN, sum(c == chart for _, c in later), ""
        for check, left_out in LEFT_OUT.items():
            burnt = DetectionWatch(known[left_out])
            alarms(burnt, found, "clean/-/0", rng.integers(0, count, BURNT + GROUP * 10))
            state = burnt.state()
            for severity in CHECKS:
                watch = DetectionWatch(known[left_out], state)
                there = alarms(watch, found, f"checked/{check}/{severity}", rng.integers(0, count, LONGEST))
                for chart in ("picture", "detections"):
                    delay = min((frame for frame, c in there if c == chart), default="")
                    yield name, check, severity, seed, chart, LONGEST, int(delay != ""), delay


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset")
    parser.add_argument("models", nargs="+")
    parser.add_argument("--work", type=Path, default=Path("drift-cache"))
    parser.add_argument("--out", type=Path, default=Path("drift.csv"))
    parser.add_argument("--seeds", type=int, default=5)
    asked = parser.parse_args()
    data = load_dataset(asked.dataset)
    for given in asked.models:
        name, _, folder = given.partition("=")
        append_rows(asked.out, COLUMNS, list(rows_of(name, cached(name, Path(folder), data, asked.work), asked.seeds)))


if __name__ == "__main__":
    main()
