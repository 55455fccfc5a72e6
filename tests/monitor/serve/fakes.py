"""A model without a network, for what serving does around one: the class is the picture's most colorful channel."""

from __future__ import annotations

import contextlib
import itertools
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from nas.monitor.serve.health import Health


class NotAPicture(Exception):
    pass


PROGRAM = SimpleNamespace(
    quiet=contextlib.nullcontext, NotAPicture=NotAPicture,
    probabilities=lambda scores: scores / scores.sum(),
    likeliest=lambda classes, chances, top: [(classes[i], float(chances[i])) for i in np.argsort(-chances)[:top]],
    line_of=lambda name, found, ms: f"{name}: {found[0][0]}, {ms:.2f} ms",
    object_of=lambda name, found, ms: {"image": name, "classes": [{"class": found[0][0]}], "ms": ms},
)  # fmt: skip


class FakeModel:
    """`times`: the milliseconds that each run says it took, the last one from then on."""

    detects = False

    def __init__(self, folder: Path, version: int, precision: str = "fp32", times: Any = (1.0,)) -> None:
        self.version, self.precision, self.classes = version, precision, ["red", "green", "blue"]
        self.program, self.threads, self.accuracy = PROGRAM, 1, None
        self.times, self.ms = iter(times), 1.0
        self.network = self.deployed = object()
        self.lock = threading.Lock()
        self.place = folder / "versions" / str(version)
        self.deployment = SimpleNamespace(image=lambda pixels: pixels, input=lambda pixels: pixels, folder=self.place)

    @property
    def name(self) -> str:
        return f"{self.version}:{self.precision}"

    def run(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray | None, float, float]:
        self.ms = next(self.times, self.ms)
        return image.reshape(-1, 3).mean(0).astype(np.float32), None, self.ms, self.ms


def uneven(folder: Path) -> Any:
    """A loader of a model whose runs take from 1 to 2 ms."""
    return lambda version: [
        FakeModel(folder, version, times=(1.0 + 0.001 * (n * 7919 % 997) for n in itertools.count()))
    ]


class Healthy(Health):
    """Facts that a test gives, and no thread."""

    def __init__(self, **facts: Any) -> None:
        super().__init__("/nowhere")
        self.facts = dict(self.facts, **facts)

    def start(self) -> None: ...
