"""A runtime that runs models, and how one visit to a model is timed."""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

from .terminal import Refused

WARM_UP_BATCH, WARM_UP_BATCHES, STEADY = 3, 8, 0.95  # warm once three runs are no longer 5% faster than those before


class Runner(ABC):
    """Runs models: `threads` threads, one operation after the other. The runtimes are its subclasses.

    `title` is the runtime with its version, `provider` what it computes with, `name` both in words, `clock` gives
    seconds. Raises Refused with status 3 where something is missing: what it `needs`.
    """

    title, name, provider, needs = "", "", "CPU", ""

    def __init__(self, threads: int) -> None:
        try:
            import numpy
        except ImportError as error:
            raise self.missing(error) from None
        self.numpy, self.threads = numpy, threads

    def missing(self, error: ImportError) -> Refused:
        return Refused(f"this needs NumPy and {self.needs} ({error})", 3)

    def set_clock(self, alone: bool) -> None:
        """The time in which the thread ran, if it computes `alone`: turns of other programs are not the model's."""
        # too coarse on Windows
        fine = hasattr(time, "thread_time") and time.get_clock_info("thread_time").resolution < 1e-6
        self.clock_name = "thread" if alone and fine else "wall"
        self.clock = time.thread_time if self.clock_name == "thread" else time.perf_counter

    @abstractmethod
    def load(self, model: bytes, seed: int) -> Callable[[], Any]:
        """A function that runs the model once, on random data of its input's type."""

    @abstractmethod
    def runs_as_float32(self, model: bytes) -> bool:
        """Whether this runtime computes a float16 model in float32."""

    def prepare(self, model: bytes, seed: int = 0) -> Callable[[], float]:
        """The model on random data, warmed up: each call runs it once and returns the seconds that it took."""
        run, clock = self.load(model, seed), self.clock

        def once() -> float:
            start = clock()
            run()
            return clock() - start

        try:
            warm_up(once)
        except Exception as error:
            raise self.failed(error) from None
        return once

    def visit(self, model: bytes, reference: Callable[[], float], settings: Mapping[str, Any]) -> dict[str, Any]:
        """Times a model in turn with the reference: `relative` is the median of each run's time over that of the
        reference runs around it, the machine's speed at that moment left out.

        Only the second of two runs counts, so neither pays for the other's cache misses.
        """
        np, once = self.numpy, self.prepare(model)
        both = max(2 * (once() + reference()), 1e-7)
        runs = int(min(settings["most_runs"], max(settings["runs"], settings["visit_s"] / both)))
        at, beside, times = time.time(), [warm(reference)], []
        for _ in range(runs):
            times.append(warm(once))
            beside.append(warm(reference))
        ms, around = np.array(times) * 1000, np.array(beside) * 1000
        between = (around[:-1] + around[1:]) / 2
        fine = (ms > 0) & (between > 0)  # a clock of the thread's time stands still now and then
        if fine.mean() < 0.9:
            raise Refused(f"the clock of this machine ({self.clock_name}) is too coarse to time a model")
        ms, between = ms[fine], between[fine]
        figures = {
            "median_ms": np.median(ms), "p90_ms": np.quantile(ms, 0.9), "p99_ms": np.quantile(ms, 0.99),
            "relative": np.median(ms / between), "reference_ms": np.median(between),
        }  # fmt: skip
        return dict({key: float(f"{value:.6g}") for key, value in figures.items()}, at=at, runs=runs)

    def failed(self, error: Exception) -> Refused:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        return Refused(f"{self.title} cannot run a model: {reason[:300]}")


def warm_up(once: Callable[[], float]) -> None:
    """Runs it until it gets no faster."""
    before = math.inf
    for _ in range(WARM_UP_BATCHES):
        batch = min(once() for _ in range(WARM_UP_BATCH))
        if batch > STEADY * before:
            break
        before = min(before, batch)


def warm(once: Callable[[], float]) -> float:
    """Seconds of the second of two runs."""
    once()
    return once()
