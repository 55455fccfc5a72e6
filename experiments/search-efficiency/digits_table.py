"""Trains every network of a small space on handwritten digits and writes them as a table: `python digits_table.py`.

`nas bench search` ships what it writes, nas/search/bench/digits.csv. Costs are those of the Raspberry Pi 4's profile.
"""

from __future__ import annotations

import csv
from itertools import product
from pathlib import Path

import numpy as np

from nas.data.catalog import load_dataset
from nas.device.cost import predict
from nas.device.profile import load_device
from nas.estimate.fidelity import Fidelity
from nas.estimate.proxy import ProxyTraining
from nas.space.search_space import load_space

SEEDS = 2
FIDELITY = Fidelity(epochs=2, data_share=1.0, resolution_share=1.0, batch_size=64)
SPACE = """
name = "bench-digits"
title = "128 networks for handwritten digits"
source = "made for nas bench search"
classes = 10
resolution = 16
width = 1.0
precision = ["fp32"]
stage = [
  { block = "conv", kernel = 3, stride = 2, channels = 8, activation = "relu" },
  { block = "mbconv", depth = [1, 2], kernel = [3, 5], expand = [1, 4], channels = 12, per = "stage" },
  { block = "mbconv", depth = [1, 2], kernel = [3, 5], expand = [1, 2, 4, 6], channels = 24, stride = 2, per = "stage"},
  { block = "pool_linear" },
]
"""
HERE = Path(__file__).parent
TABLE = HERE.parents[1] / "nas/search/bench/digits.csv"


def main() -> None:
    (HERE / "bench-digits.toml").write_text(SPACE)
    space, device = load_space(str(HERE / "bench-digits.toml")), load_device("raspberry-pi-4")
    (HERE / "bench-digits.toml").unlink()
    choices = [c for c in space.choices if len(c.options) > 1]
    trainings = [ProxyTraining(load_dataset("digits", seed=0), FIDELITY, seed) for seed in range(SEEDS)]
    with TABLE.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        names = [c.name for c in choices]
        writer.writerow([*names, *(f"accuracy_{n + 1}" for n in range(SEEDS)), "latency_ms", "energy_mj", "params"])
        for code in product(*(range(max(1, len(c.options))) for c in space.choices)):
            candidate = space.decode(np.array(code, dtype=float))
            network = space.network(candidate)
            cost = predict(device, network, "fp32")
            found = [t.estimate(network, candidate.as_dict(), seed=seed).value for seed, t in enumerate(trainings)]
            row = [candidate[name] for name in names]
            writer.writerow([*row, *(f"{a:.4f}" for a in found), f"{cost.latency_ms:.4g}", f"{cost.energy_mj:.4g}",
                             network.params])  # fmt: skip
            file.flush()


if __name__ == "__main__":
    main()
