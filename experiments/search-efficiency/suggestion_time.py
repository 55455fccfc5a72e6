"""Seconds of one suggestion after 300 trials in the MobileNetV3 space: `python suggestion_time.py`."""

from __future__ import annotations

import time

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.trial import create_trial

from nas.device.profile import load_device
from nas.search.pareto_sampler import ParetoSampler
from nas.search.pricer import DevicePricer
from nas.space.search_space import load_space

space = load_space("mobilenet-v3").only(("fp32",))
pricer = DevicePricer(load_device("raspberry-pi-4"), space, 1000)
choices = [c for c in space.choices if len(c.options) > 1]
distributions: dict[str, BaseDistribution] = {c.name: CategoricalDistribution(c.options) for c in choices}
rng = np.random.default_rng(0)


def code(params: dict[str, object]) -> np.ndarray:
    return np.array([c.options.index(params[c.name]) if c.name in params else 0 for c in space.choices], float)


def canonical(params: dict[str, object]) -> dict[str, object]:
    values = space.canonical(space.decode(code(params))).as_dict()
    return {c.name: values[c.name] for c in choices}


def price(many: list[dict[str, object]]) -> list[list[float | None]]:
    return [[None, float(ms)] for ms in pricer.columns(np.array([code(p) for p in many]))["latency_ms"]]


optuna.logging.set_verbosity(optuna.logging.ERROR)
study = optuna.create_study(
    directions=["maximize", "minimize"],
    sampler=ParetoSampler(known_many=price, canonical=canonical, seed=0, space=distributions),
)
for row in space.sample_codes(300, rng):
    values = space.decode(row).as_dict()
    params = {c.name: values[c.name] for c in choices}
    ms = price([params])[0][1]
    assert ms is not None
    accuracy = float(np.clip(0.75 - 0.3 * np.exp(-ms / 80) + 0.005 * rng.standard_normal(), 0, 1))
    study.add_trial(create_trial(params=params, distributions=distributions, values=[accuracy, ms]))
seconds = []
for _ in range(15):
    begun = time.perf_counter(), time.process_time()
    trial = study.ask(distributions)
    seconds.append((time.perf_counter() - begun[0], time.process_time() - begun[1]))
    ms = price([trial.params])[0][1]
    assert ms is not None
    study.tell(trial, [0.75 - 0.3 * float(np.exp(-ms / 80)), ms])
found = np.array(seconds)
print(f"{len(choices)} choices, {len(study.trials)} trials")
print(f"wall s: first {found[0, 0]:.2f} (with the import of BoTorch and a fit), median {np.median(found[:, 0]):.2f}, "
      f"largest after the first {found[1:, 0].max():.2f}; CPU s: median {np.median(found[:, 1]):.2f}")  # fmt: skip
