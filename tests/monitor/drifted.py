"""What a board has noted of a drift: an alarm that stands, and frames that were kept of it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from nas.data.corruptions import corrupt
from nas.data.dataset import Dataset

ALARM = {"kind": "alarm", "chart": "accuracy", "value": 5.0, "limit": 3.0, "expected_loss_points": 12.3, "frames": []}


def write_log(folder: Path, *events: dict[str, object]) -> None:
    (folder / "monitor").mkdir(exist_ok=True)
    lines = [
        {"n": n, "time": f"2026-11-26T10:{n:02}:00Z", "version": 1, "precision": "fp32", **event}
        for n, event in enumerate(events, 1)
    ]
    (folder / "monitor/log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def write_frames(data: Dataset, folder: Path, count: int = 24, severity: int = 5) -> list[str]:
    """Noisy test images of 24 pixels, and their true classes."""
    test = data.test_split()
    pixels = test.images.take(torch.arange(len(test)), 24).numpy()
    drifted = corrupt(pixels, "gaussian-noise", severity, seed=0)
    folder.mkdir(parents=True)
    for number in range(count):
        frame = drifted[number % len(drifted)] ^ np.uint8(number // len(drifted))
        Image.fromarray(frame).save(folder / f"1-{number:02}.png")
    return [data.classes[int(test.labels[number % len(drifted)])] for number in range(count)]
