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
from nas.monitor.serve.accuracy import WINDOW
from nas.monitor.serve.charts import GROUP
from nas.monitor.serve.precision import PrecisionEstimator
from nas.monitor.serve.watch import part_of
from nas.monitor.serve.watch_detections import DetectionWatch
from nas.monitor.shifts import shifts
from nas.runtimes.onnxruntime import OnnxRuntime
from nas.tasks.precision import Truth, average_precision

COLUMNS = ("model", "stream", "severity", "seed", "chart", "frames", "alarms", "delay")
ESTIMATES = ("model", "corruption", "severity", "ap50", "constant", "estimate", "low", "high", "trusted")
LIGHT = ("brightness", "haze", "rime", "contrast")
LEFT_OUT = {
    "gaussian-noise": ("gaussian-noise", "specks", "dusk"), "gaussian-blur": ("gaussian-blur", "defocus-blur", "shake"),
    "brightness": LIGHT, "contrast": LIGHT,
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
    parts = [name.rpartition("/")[0] for name in found if name.startswith("shifted/") and name.endswith("/scores")]
    changed = [
        (family, found[f"{part}/scores"], float(found[f"{part}/ap50"]))
        for part in parts
        if (family := part.split("/")[1]) not in left_out
    ]
    return reference_of(
        found["validation/statistics"], found["validation/scores"], float(found["validation/ap50"]), changed
    )


def alarms(watch: DetectionWatch, found: dict[str, np.ndarray], part: str, order: np.ndarray) -> list[tuple[int, str]]:
    """Frame and chart of each alarm; the charts are given what the parts hold, group by group."""
    said = []
    for at in range(0, len(order) - GROUP + 1, GROUP):
        rows = order[at : at + GROUP]
        events = watch.group(found[f"{part}/statistics"][rows], found[f"{part}/scores"][rows])
        said += [(at + GROUP, event["chart"]) for event in events if event["kind"] == "alarm"]
    return said


def estimates(name: str, found: dict[str, np.ndarray]) -> Iterator[tuple[object, ...]]:
    """AP50 of the test pictures under each corruption, and what is said of it by one that has seen none of its kind."""
    for check, left_out in {"-": (), **LEFT_OUT}.items():
        part = part_of(reference(found, left_out), "precision")
        for severity in CHECKS if left_out else (0,):
            of = f"checked/{check}/{severity}" if left_out else "clean/-/0"
            true, usual = float(found[f"{of}/ap50"]), float(found["validation/ap50"])
            if not part:
                yield name, check, severity, f"{true:.4f}", f"{usual:.4f}", "", "", "", ""
                continue
            estimator = PrecisionEstimator(part)
            scores = found[f"{of}/scores"]
            rows = np.random.default_rng(0).integers(0, len(scores), WINDOW)
            said = estimator.estimate(estimator.distances(scores[rows]))
            yield (
                name, check, severity, f"{true:.4f}", f"{usual:.4f}", f"{said.accuracy:.4f}", f"{said.low:.4f}",
                f"{said.high:.4f}", int(said.trusted),
            )  # fmt: skip


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
        found = cached(name, Path(folder), data, asked.work)
        append_rows(asked.out.with_name("drift_ap50.csv"), ESTIMATES, list(estimates(name, found)))
        append_rows(asked.out, COLUMNS, list(rows_of(name, found, asked.seeds)))


if __name__ == "__main__":
    main()
