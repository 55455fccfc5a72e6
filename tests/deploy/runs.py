"""A run of the space tiny, whose networks can be made again, and its images."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from nas.data.dataset import Dataset
from nas.run import Run, load_run, write_settings, write_trials
from nas.space.candidate import Candidate
from nas.space.search_space import load_space
from tests.runs import settings, trial
from tests.train.lessons import few_digits


def digits() -> Dataset:
    return few_digits(64, 32)


def make_tiny_run(path: Path, dataset: Dataset | None = None, **changed: Any) -> Run:
    """Three trials of 24 pixels, the last of which failed; no models."""
    space, rng = load_space("tiny"), np.random.default_rng(5)
    given = {"space_sha256": space.fingerprint, "dataset_sha256": (dataset or digits()).fingerprint,
             "proxy": {"batch_size": 16}} | changed  # fmt: skip
    trials = []
    for number, accuracy, ms in ((0, 0.9, 10.0), (1, 0.8, 5.0), (2, None, 3.0)):
        values = space.sample(rng).as_dict() | {"resolution": 24, "precision": "int8" if number else "fp32"}
        trials.append(replace(trial(number, accuracy, ms, 2 * ms), candidate=Candidate.of(values)))
    write_settings(path, settings(**given))
    write_trials(path, settings(**given), trials)
    return load_run(path)
