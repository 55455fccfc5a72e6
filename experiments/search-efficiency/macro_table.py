"""NAS-Bench-Macro as a table for `nas bench search`: `python macro_table.py nas_bench_macro.csv macro2.csv [energy]`.

Accuracies of three trainings (Su et al., CVPR 2021); latency, and with `energy` also energy, of a Raspberry Pi 4 from
its shipped profile; MACs, params and the stage sum, as `nas search` tells them to its sampler.
"""

import csv
import sys
from pathlib import Path

import numpy as np

from nas.device.profile import load_device
from nas.estimate.zero_cost.descriptors import of_codes
from nas.search.problem.costs import DevicePricer
from nas.space.search_space import load_space

source, target = map(Path, sys.argv[1:3])
columns = ("latency_ms", "energy_mj")[: 2 if "energy" in sys.argv[3:] else 1]
space = load_space("nas-bench-macro")
rows = list(csv.DictReader(source.open()))
ops = space.choices[0].options
codes = np.array([[*map(int, row["arch"]), 0] for row in rows], float)
prices = DevicePricer(load_device("raspberry-pi-4"), space, 10).columns(codes)
told = of_codes(space, codes)
with target.open("w", newline="") as file:
    writer = csv.writer(file, lineterminator="\n")
    names = [choice.name for choice in space.choices[:8]]
    writer.writerow([*names, "network", *(f"accuracy_{k + 1}" for k in range(3)), *columns, *told])
    for i, row in enumerate(rows):
        accuracies = [f"{float(row[f'acc_seed{k}']) / 100:.4f}" for k in range(3)]
        costs = [*(f"{prices[c][i]:.6g}" for c in columns), *(f"{values[i]:.10g}" for values in told.values())]
        writer.writerow([*(ops[int(x)] for x in row["arch"]), f"n{row['canonical_arch']}", *accuracies, *costs])
