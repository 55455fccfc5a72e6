"""Several models loaded together: those of the version in use, and smaller or larger ones of other versions."""

from __future__ import annotations

from pathlib import Path
from typing import Sequence

from .terminal import Refused, say
from .versions import Model, load, versions_of

MOST_MODELS = 4
ROUNDS = 15
SPARE_MB, TIMES_FILE = 64.0, 4.0  # memory that stays free; what a model takes, of its file


def load_fleet(folder: Path, version: int, threads: int | None = None) -> list[Model]:
    """The models to choose among, the most accurate first, so in falling order of their usual times.

    All of the version, then those of other versions with the same classes, the newest first, while memory lasts and
    at most four. A model that is slower than a more accurate one is left out. Raises Refused where the version itself
    cannot be served.
    """
    first = load(folder, version, None, threads)
    loaded = [first]
    for number in [version, *(n for n in reversed(versions_of(folder)) if n != version)]:
        try:
            loaded += _others(folder, number, first, threads, MOST_MODELS - len(loaded))
        except Refused as refused:
            say(f"version {number} is not among the models to choose from: {refused}")
    measure(loaded)
    return front(loaded)


def _others(folder: Path, number: int, first: Model, threads: int | None, most: int) -> list[Model]:
    """At most so many models of a version that answer as `first` does, but for that one."""
    found: list[Model] = []
    if most <= 0:
        return found
    probe = first if number == first.version else load(folder, number, None, threads)
    if probe.classes != first.classes or probe.detects != first.detects:
        return found
    if probe is not first:
        found.append(probe)
    for precision in probe.deployment.precisions:
        if precision == probe.precision or len(found) >= most:
            continue
        size = (probe.place / probe.deployment.facts["models"][precision]).stat().st_size / 1e6
        free = available_mb()
        if free is not None and free < SPARE_MB + TIMES_FILE * size:
            say(f"{number}:{precision} is not loaded: {free:.0f} MB of memory are left")
            continue
        try:
            found.append(load(folder, number, precision, threads))
        except Refused as refused:  # its runtime is not there, or it has no room
            say(f"{number}:{precision} is not among the models to choose from: {refused}")
    return found[:most]


def measure(models: Sequence[Model], rounds: int = ROUNDS) -> None:
    """Sets each model's usual milliseconds: medians of runs in turn, so that the load of the moment falls on all."""
    times: list[list[float]] = [[] for _ in models]
    for _ in range(rounds):
        for model, taken in zip(models, times):
            taken.append(model.run(model.empty)[2])
    for model, taken in zip(models, times):
        model.ms = sorted(taken)[len(taken) // 2]


def front(models: Sequence[Model]) -> list[Model]:
    """The models that no other one beats in both accuracy and time, the most accurate first.

    Where an accuracy is not known, the slower model is taken for the more accurate one.
    """
    known = all(model.accuracy is not None for model in models)
    ordered = sorted(models, key=lambda m: (-(m.accuracy or 0.0) if known else 0.0, m.ms if known else -m.ms))
    found: list[Model] = []
    for model in ordered:
        if not found or model.ms < found[-1].ms:
            found.append(model)
    return found


def available_mb() -> float | None:
    """Megabytes (10^6 bytes) that a new process could take, on Linux; None elsewhere."""
    try:
        with Path("/proc/meminfo").open(encoding="ascii") as file:
            for line in file:
                if line.startswith("MemAvailable:"):
                    return int(line.split()[1]) * 1024 / 1e6
    except (OSError, ValueError, IndexError):
        return None
    return None
