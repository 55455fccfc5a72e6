"""A search without training: prices counted from the blocks, accuracies from a formula or a table."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nas.estimate.estimator import Estimate, OnPrepare
from nas.run import Costs, Settings
from nas.space.block_table import block_table
from nas.space.candidate import Candidate, Value
from nas.space.network import Network
from nas.space.search_space import SearchSpace, load_space

if TYPE_CHECKING:
    from nas.models.trained import TrainedModel
    from nas.train.loop import OnEpoch

SMALL = """
name = "small"
title = "72 candidates"
source = "made for the tests"
classes = 10
resolution = [16, 24, 32]
width = 1.0
precision = ["fp32", "int8"]
stage = [
  { block = "conv", kernel = 3, stride = 2, channels = 8, activation = "relu" },
  { block = "mbconv", depth = [1, 2], kernel = [3, 5], expand = [2, 4, 6], channels = 16, per = "stage" },
  { block = "pool_linear" },
]
"""


@dataclass(frozen=True)
class CountingPricer:
    """A device on which a million MACs take 1 ms and 3 mJ in fp32, half of both in int8."""

    space: SearchSpace
    energy: bool = True

    def columns(self, codes: np.ndarray) -> Mapping[str, np.ndarray]:
        table = block_table(self.space, codes)
        macs = table.total(np.array([sum(layer.macs for layer in b.layers) for b in table.blocks], dtype=float))
        params = table.total(np.array([sum(layer.params for layer in b.layers) for b in table.blocks], dtype=float))
        place = [c.name for c in self.space.choices].index("precision")
        options = self.space.choices[place].options
        share = np.array([1.0 if o == "fp32" else 0.5 for o in options])[codes[:, place].astype(int)]
        ms = macs / 1e6 * share
        return {
            "latency_ms": ms, "energy_mj": 3 * ms if self.energy else np.full(len(ms), np.nan), "params": params,
            "macs": macs, "size_mb": params / 1e6, "peak_memory_mb": params * 0 + 1.0,
        }  # fmt: skip

    def costs(self, candidate: Candidate, network: Network) -> Costs:
        ms = network.macs / 1e6 * (1.0 if candidate.precision == "fp32" else 0.5)
        mj = 3 * ms if self.energy else None
        low, high = (None, None) if mj is None else (0.9 * mj, 1.1 * mj)
        return Costs(
            ms, 0.9 * ms, 1.1 * ms, mj, low, high, network.params, network.macs, network.params / 1e6, 1.0,
            "fitted", None if mj is None else "fitted",
        )  # fmt: skip


@dataclass
class FormulaEvaluator:
    """Accuracy that grows with the MACs and differs a little from candidate to candidate; remembers who came."""

    seconds: float = 0.0
    log: Path | None = None
    weights: bool = False
    epochs: int = 0  # 0: no curve; else accuracy grows to its end over so many
    noise: float = 0.0  # standard deviation of a training's accuracy, by its seed
    seen: list[Candidate] = field(default_factory=list)
    tested: list[float] = field(default_factory=list)

    def prepare(self, on_progress: OnPrepare | None = None) -> None:
        pass

    def estimate(
        self, network: Network, hyperparameters: Mapping[str, Value], *, seed: int, on_epoch: OnEpoch | None = None
    ) -> Estimate:
        candidate = Candidate.of(hyperparameters)
        self.seen.append(candidate)
        if self.log:
            with self.log.open("a") as file:
                file.write(candidate.json() + "\n")
        accuracy = formula(network, candidate)
        if self.noise:
            accuracy = float(np.clip(accuracy + self.noise * np.random.default_rng(seed).standard_normal(), 0.0, 1.0))
        if self.epochs:
            return trained(accuracy, self.epochs, self.seconds, on_epoch)
        time.sleep(self.seconds)
        if not self.weights:
            return Estimate(accuracy, 0.0)
        from nas.train.loop import Epoch

        curve = (Epoch(1.0 - accuracy, accuracy, 0.0),)
        return Estimate(accuracy, 0.0, curve=curve, model=marked(network, candidate, accuracy))

    def test_accuracy(self, model: TrainedModel) -> float:
        self.tested.append(float(model.weights["classifier.bias"][0]))
        return self.tested[-1] - 0.01


@dataclass(frozen=True)
class TableEvaluator:
    """NAS-Bench-Macro's own accuracies, by the code of the nine operations."""

    accuracies: Mapping[str, float]

    def prepare(self, on_progress: OnPrepare | None = None) -> None:
        pass

    def estimate(
        self, network: Network, hyperparameters: Mapping[str, Value], *, seed: int, on_epoch: OnEpoch | None = None
    ) -> Estimate:
        operations = ("identity", "e3_k3", "e6_k5")
        code = "".join(str(operations.index(str(v))) for k, v in hyperparameters.items() if k.endswith(".op"))
        return Estimate(self.accuracies[code], 0.0)

    def test_accuracy(self, model: TrainedModel) -> float:
        raise NotImplementedError


def small_space(folder: Path) -> SearchSpace:
    (folder / "small.toml").write_text(SMALL)
    return load_space(str(folder / "small.toml"))


def settings_for(space: SearchSpace, **changed: Any) -> Settings:
    given: dict[str, Any] = {
        "space": space.name, "space_sha256": space.fingerprint, "device": "counter", "device_sha256": "0" * 64,
        "dataset": "formula", "classes": 10, "objectives": ("accuracy", "latency", "energy"), "sampler": "nsga2",
        "seed": 1, "trials": 20,
    }  # fmt: skip
    return Settings(**given | changed)


def marked(network: Network, candidate: Candidate, accuracy: float) -> TrainedModel:
    """A model whose weights tell its accuracy: the classifier's biases are equal to it."""
    import torch

    from nas.models.builder import build
    from nas.models.trained import Preprocessing, TrainedModel

    weights = build(network).state_dict()
    weights["classifier.bias"] = torch.full_like(weights["classifier.bias"], accuracy)
    classes = tuple(map(str, range(network.classes)))
    return TrainedModel(
        network, weights, "classification", classes, Preprocessing(network.input_shape[1]), candidate.precision
    )


def trained(accuracy: float, epochs: int, seconds: float, on_epoch: OnEpoch | None) -> Estimate:
    """A training whose accuracy comes nearer to its end by four tenths of the way each epoch."""
    from nas.train.loop import Epoch

    curve: list[Epoch] = []
    for number in range(1, epochs + 1):
        time.sleep(seconds / epochs)
        curve.append(Epoch(1.0, accuracy * (1 - 0.6**number) / (1 - 0.6**epochs), seconds / epochs))
        if on_epoch and on_epoch(number, curve[-1]):
            break
    return Estimate(curve[-1].validation_accuracy, seconds * len(curve) / epochs, curve=tuple(curve))


def formula(network: Network, candidate: Candidate) -> float:
    wobble = int(candidate.digest, 16) % 1000 / 1000
    return 0.98 - 0.5 * math.exp(-network.macs / 3e6) - 0.05 * wobble - (0.01 if candidate.precision == "int8" else 0)
