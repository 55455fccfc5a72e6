"""The networks that bccd.py trained, side by side: AP50 and mAP of seeds, with intervals; see README.md.

    python compare.py coco:bccd [--csv bccd.csv] [--work bccd-models] [--minutes 10] [--out compared.csv]

A network's figure is the mean over its seeds, `sd` their standard deviation. Intervals are of 95%, by drawing the
pictures 200 times anew, the same ones for all networks, so that the difference to the first network has its own.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from bccd import COLUMNS, found_by

from nas.data.boxes import Detections
from nas.data.catalog import load_dataset
from nas.files.csv import append_rows, read_appended
from nas.models.trained import load_trained
from nas.tasks.precision import Truth, average_precision

DRAWS = 200
OUT = (
    "network", "split", "seeds", "minutes", "crops", "latency_ms", "ap50", "ap50_sd", "ap50_low", "ap50_high",
    "ap50_more", "ap50_more_low", "ap50_more_high", "map", "ap50_of_classes",
)  # fmt: skip


def figures(found: Sequence[Detections], truth: Sequence[Truth], classes: Sequence[str]) -> np.ndarray:
    """AP50, mAP, and AP50 of each class."""
    counted = average_precision(found, truth, classes)
    return np.array([counted.at_50, counted.mean, *(value or 0.0 for value in counted.at_50_of_classes)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset")
    parser.add_argument("--csv", type=Path, default=Path("bccd.csv"))
    parser.add_argument("--work", type=Path, default=Path("bccd-models"))
    parser.add_argument("--minutes", default="10")
    parser.add_argument("--out", type=Path, default=Path("compared.csv"))
    asked = parser.parse_args()
    data = load_dataset(asked.dataset)
    trained: dict[tuple[str, str], list[dict[str, str]]] = {}
    for _, row in read_appended(asked.csv, COLUMNS, "bccd.py"):
        if row["minutes"] == asked.minutes:
            trained.setdefault((row["network"], row["crops"]), []).append(row)
    for split, pictures in (("validation", data.validation), ("test", data.test_split())):
        rng = np.random.default_rng(0)
        drawn = [np.arange(len(pictures)), *rng.integers(len(pictures), size=(DRAWS, len(pictures)))]
        first: np.ndarray | None = None
        for (name, crops), rows in trained.items():
            each = []  # (seeds, 1 + draws, figures)
            for row in rows:
                place = "-".join(row[k] for k in ("network", "seed", "minutes", "crops")).replace(" ", "_")
                found, truth = found_by(load_trained(asked.work / place), data, pictures)
                each.append([figures([found[i] for i in d], [truth[i] for i in d], data.classes) for d in drawn])
            seeds = np.array(each)
            mean = seeds.mean(0)
            first = mean if first is None else first
            more = (mean - first)[:, 0]
            limits = [*np.quantile(mean[1:, 0], (0.025, 0.975)), more[0], *np.quantile(more[1:], (0.025, 0.975))]
            sd = seeds[:, 0, 0].std(ddof=1) if len(rows) > 1 else float("nan")
            classes = " ".join(f"{c} {v:.3f}" for c, v in zip(data.classes, mean[0, 2:], strict=True))
            numbers = (f"{v:.4f}" for v in (mean[0, 0], sd, *limits, mean[0, 1]))
            line = (name, split, len(rows), asked.minutes, crops, rows[0]["latency_ms"], *numbers, classes)
            append_rows(asked.out, OUT, [line])
            print(*line, sep=" | ", flush=True)


if __name__ == "__main__":
    main()
