"""Seconds of one suggestion of `nas search` after 300 trials in the MobileNetV3 space: `python suggestion_time.py`."""

from __future__ import annotations

import argparse
import time

import numpy as np
import optuna
from optuna.trial import create_trial

from nas.device.profile import load_device
from nas.run import Settings
from nas.search.problem.costs import DevicePricer
from nas.search.problem.encoding import candidate_of, distributions, params_of
from nas.search.samplers.by_name import Problem, build_sampler
from nas.space.candidate import Candidate
from nas.space.search_space import load_space

CLASSES, SUGGESTIONS = 100, 30


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--trials", type=int, default=300)
    parser.add_argument("--objectives", default="accuracy,latency", help="of accuracy,latency,energy")
    given = parser.parse_args()
    objectives = tuple(given.objectives.split(","))
    space = load_space("mobilenet-v3")
    pricer = DevicePricer(load_device("raspberry-pi-4"), space, CLASSES)
    settings = Settings(
        space=space.name, space_sha256="", device="raspberry-pi-4", device_sha256="", dataset="", classes=CLASSES,
        objectives=objectives, sampler="pareto", seed=0, trials=given.trials, early_stopping=False, storage="",
        max_minutes=0, precisions=tuple(space.table.precision), budgets={}, proxy={},
    )  # fmt: skip
    sampler, named = build_sampler("pareto", Problem(space, pricer, settings))(0), distributions(space)
    rng = np.random.default_rng(0)

    def values(params: dict[str, object]) -> list[float]:
        """An accuracy that rises with latency and flattens, with noise, and the prices."""
        columns = pricer.columns(space.encode(candidate_of(space, params))[None])
        ms = float(columns["latency_ms"][0])
        accuracy = float(np.clip(0.75 - 0.3 * np.exp(-ms / 80) + 0.005 * rng.standard_normal(), 0, 1))
        return [accuracy if c == "accuracy" else float(columns[c][0]) for c in settings.columns]

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    directions = ["maximize" if c == "accuracy" else "minimize" for c in settings.columns]
    study = optuna.create_study(directions=directions, sampler=sampler)
    for code in space.sample_codes(given.trials, rng):
        params = params_of(space, space.canonical(Candidate.of(space.decode(code).as_dict())))
        study.add_trial(create_trial(params=params, distributions=named, values=values(params)))
    found = np.zeros((SUGGESTIONS, 2))
    for row in found:
        begun = time.perf_counter(), time.process_time()
        trial = study.ask(named)
        row[:] = time.perf_counter() - begun[0], time.process_time() - begun[1]
        study.tell(trial, values(trial.params))
    print(f"{len(named)} choices, {given.trials} to {len(study.trials)} trials, objectives {given.objectives}")
    print(
        f"first (imports BoTorch, prices all trials, fits): {found[0, 0]:.2f} s, {found[0, 1]:.2f} s of CPU; "
        f"median {np.median(found[:, 0]):.2f} s, {np.median(found[:, 1]):.2f} s of CPU; "
        f"longest after the first {found[1:, 0].max():.2f} s"
    )


if __name__ == "__main__":
    main()
