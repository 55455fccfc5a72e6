"""How long a model takes on this machine, by ONNX Runtime on the CPU."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from time import get_clock_info, perf_counter, thread_time

import numpy as np
import onnxruntime

_WARM_UP_BATCH = 3
_WARM_UP_BATCHES = 8
_STEADY = 0.95  # warmed up once three runs are no longer 5% faster than the three before


@dataclass(frozen=True, slots=True)
class Timing:
    """One inference, batch 1, in milliseconds: median and 90th percentile over `runs` runs after warm-up.

    On one thread it is the time in which the thread ran, on several the time that passed: where the machine is idle
    otherwise that is the same, and where it is not, the turns of other programs are not part of the model's time.
    """

    median_ms: float
    p90_ms: float
    runs: int


def runtime() -> str:
    """The name and version of what runs the models."""
    return f"ONNX Runtime {onnxruntime.__version__} CPU"


def session(model: bytes, threads: int) -> onnxruntime.InferenceSession:
    """A session that runs one operation after the other, each on so many threads."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


@dataclass(frozen=True, slots=True)
class Compared:
    """Runs of a model in turn with runs of a reference model, so that the machine's speed at that moment is known.

    `relative` is the median of each run's time over that of the reference runs around it.
    """

    timing: Timing
    relative: float
    reference_ms: float


def time_model(model: bytes, threads: int, runs: int, seed: int = 0) -> Timing:
    """Times a serialised model with one input on random data. Input and output stay in place, nothing is copied."""
    once = prepare(model, threads, seed)
    times = np.array([once() for _ in range(runs)]) * 1000
    return Timing(float(np.median(times)), float(np.quantile(times, 0.9)), runs)


def compare(once: Callable[[], float], reference: Callable[[], float], runs: int) -> Compared:
    """Times one prepared model in turn with another. A shared machine's speed changes by half within a second."""
    beside = [reference()]
    times = []
    for _ in range(runs):
        times.append(once())
        beside.append(reference())
    ms, reference_ms = np.array(times) * 1000, np.array(beside) * 1000
    relative = float(np.median(ms / ((reference_ms[:-1] + reference_ms[1:]) / 2)))
    timing = Timing(float(np.median(ms)), float(np.quantile(ms, 0.9)), runs)
    return Compared(timing, relative, float(np.median(reference_ms)))


def prepare(model: bytes, threads: int, seed: int = 0) -> Callable[[], float]:
    """A session on random data, warmed up: each call runs it once and returns the seconds that it took."""
    run = session(model, threads)
    image = run.get_inputs()[0]
    rng = np.random.default_rng(seed)
    if image.type == "tensor(uint8)":
        values = rng.integers(0, 256, image.shape, dtype=np.uint8)
    else:
        values = rng.standard_normal(image.shape).astype(np.float32)
    binding = run.io_binding()
    binding.bind_cpu_input(image.name, values)
    binding.bind_output(run.get_outputs()[0].name)
    clock = _clock(threads)

    def once() -> float:
        start = clock()
        run.run_with_iobinding(binding)
        return clock() - start

    _warm_up(once)
    return once


def _clock(threads: int) -> Callable[[], float]:
    fine = get_clock_info("thread_time").resolution < 1e-6  # not so on Windows
    return thread_time if threads == 1 and fine else perf_counter


def _warm_up(once: Callable[[], float]) -> None:
    before = np.inf
    for _ in range(_WARM_UP_BATCHES):
        batch = min(once() for _ in range(_WARM_UP_BATCH))
        if batch > _STEADY * before:
            return
        before = min(before, batch)
