"""Run folders with trials whose numbers are chosen by hand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from nas.run import (
    AveragePrecision,
    Costs,
    RankQuality,
    Reference,
    Run,
    Settings,
    Trial,
    load_run,
    write_references,
    write_settings,
    write_trials,
)
from nas.run.pictures import write_pictures
from nas.space.candidate import Candidate

ROWS: tuple[tuple[int, float | None, float, float | None], ...] = (  # trial, accuracy, ms, mJ
    (0, 0.90, 10.0, 30.0), (1, 0.95, 20.0, 50.0), (2, 0.80, 5.0, 20.0), (3, 0.85, 12.0, 40.0), (4, None, 3.0, 9.0),
    (5, 0.95, 25.0, 45.0), (6, 0.96, 80.0, 200.0),
)  # fmt: skip


def settings(**changed: Any) -> Settings:
    given: dict[str, Any] = {
        "space": "tiny", "space_sha256": "a" * 64, "device": "raspberry-pi-4", "device_sha256": "b" * 64,
        "dataset": "digits", "classes": 10, "objectives": ("accuracy", "latency", "energy"), "sampler": "nsga2",
        "seed": 0, "trials": 7, "reference_point": {"latency_ms": 100.0, "energy_mj": 400.0},
    }  # fmt: skip
    return Settings(**given | changed)


def costs(ms: float, mj: float | None) -> Costs:
    low, high = (None, None) if mj is None else (mj * 0.75, mj * 1.5)
    return Costs(
        ms,
        ms / 2,
        ms * 2,
        mj,
        low,
        high,
        int(1e4 * ms),
        int(1e6 * ms),
        ms / 10,
        0.5,
        "fitted",
        None if mj is None else "fitted",
    )


def trial(number: int, accuracy: float | None, ms: float, mj: float | None, **changed: Any) -> Trial:
    values = {"resolution": 32, "stage2.depth": 2, "stage2.block1.kernel": 3, "stage2.block2.kernel": 5,
              "learning_rate": 0.1, "precision": "int8" if number % 2 else "fp32"} | changed  # fmt: skip
    state = "failed" if accuracy is None else "trained"
    return Trial(number, state, accuracy, None, costs(ms, mj), 1.5, 7, Candidate.of(values))  # type: ignore[arg-type]


def make_run(path: Path, rows: tuple[tuple[int, float | None, float, float | None], ...] = ROWS, **changed: Any) -> Run:
    """A run folder with these trials, and one reference network in each precision."""
    run = Run(path, settings(**changed), tuple(trial(*row) for row in rows))
    write_settings(path, run.settings)
    write_trials(path, run.settings, run.trials)
    energy = next((row[3] for row in rows), None) is not None
    references = [
        Reference("MobileNetV2 1.0 @224", p, costs(60.0, 150.0 if energy else None)) for p in ("fp32", "int8")
    ]
    write_references(path, references)
    return run


NAMES = ("RBC", "a|b <i>", "Platelets")  # of classes; a name may hold anything that can be printed


def make_detector_run(path: Path, names: tuple[str, ...] = NAMES, **changed: Any) -> Run:
    """The run of `make_run`, of detectors: no objects are small, and none of the last class; with pictures."""
    from nas.data.boxes import Detections  # late: other runs need no PyTorch
    from nas.data.pixels import PADDING
    from nas.data.shown import shown_boxes, shown_picture

    run = make_run(path, task="detection", classes=len(names), class_names=names, validation_images=40, **changed)
    trials = [
        replace(t, average_precision=AveragePrecision(
            t.accuracy, round(0.95 + t.trial / 1000, 6), 0.5, None, round(t.accuracy / 2, 6), t.accuracy,
            (0.125, round(t.accuracy, 6), None), (0.25, 1.0, None),
        )) if t.accuracy is not None else t
        for t in run.trials
    ]  # fmt: skip
    write_trials(path, run.settings, trials)
    pixels = np.full((48, 64, 3), 200, np.uint8)
    square = np.full((64, 64, 3), PADDING, np.uint8)
    square[:48] = pixels
    rows = np.array([[1, 0.1, 0.1, 0.5, 0.5, 0, 64, 100], [0, 0.5, 0.1, 0.9, 0.7, 1, 64, 100]], np.float32)
    boxes = np.array([[0.1, 0.1, 0.5, 0.52], [0.2, 0.2, 0.4, 0.4]], np.float32)
    said = Detections(np.array([1, 0]), np.array([0.9, 0.2], np.float32), boxes)
    found = [shown_boxes(said, names)]
    write_pictures(path, [shown_picture(square, rows, names)], {t.trial: found for t in run.front_trials[:2]})
    return load_run(path)


BELIEFS: Mapping[int, tuple[float, float | None]] = {  # trials 1 and 6 cannot be told apart
    0: (0.90, 0.01), 1: (0.955, 0.008), 2: (0.80, 0.01), 3: (0.85, 0.01), 5: (0.95, 0.0002), 6: (0.96, 0.006),
}  # fmt: skip


def make_believed_run(path: Path, beliefs: Mapping[int, tuple[float, float | None]] = BELIEFS, **changed: Any) -> Run:
    """The run of `make_run`, with the expected accuracy and its deviation of some trials, by their numbers."""
    run = make_run(path, **changed)
    trials = [
        replace(
            t, expected_accuracy=beliefs[t.trial][0], accuracy_deviation=beliefs[t.trial][1], trainings=1 + t.trial % 3,
            front_probability=0.25 if t.trial % 2 else 0.5,
        ) if t.trial in beliefs else t
        for t in run.trials
    ]  # fmt: skip
    write_trials(path, run.settings, trials)
    return load_run(path)


QUALITY = RankQuality(
    networks=6, repeated=5, two_trainings=0.71, one_training=0.8, expected=0.846, first_second=0.4, low=-0.004, high=0.9
)  # fmt: skip


def make_ranked_run(path: Path, quality: RankQuality = QUALITY, **changed: Any) -> Run:
    """The run of `make_believed_run`, with what it says of its own ranking."""
    run = make_believed_run(path, **changed)
    write_trials(path, run.settings, run.trials, {}, quality)
    return load_run(path)
