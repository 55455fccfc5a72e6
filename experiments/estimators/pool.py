"""What a fixed pool costs: the sum of log ranks within the networks compared, and against the others as the pool.

`python pool.py nas_bench_macro.csv macro/values.csv macro-fresh/values.csv`
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from scipy.stats import kendalltau

from nas.estimate.bench.measurements import choose
from nas.estimate.table import Known, read_known
from nas.estimate.zero_cost import depth
from nas.estimate.zero_cost.estimator import AGGREGATE
from nas.estimate.zero_cost.log_ranks import LogRanks
from nas.files.csv import read_rows
from nas.space.search_space import load_space

table, *files = map(Path, sys.argv[1:4])
known = read_known(table, load_space("nas-bench-macro"), ("acc_seed0", "acc_seed1", "acc_seed2"))
drawn = choose(known, 106, 0, 0, 0).drawn, choose(known, 63, 0, 106, 0).drawn


def scores(networks: tuple[Known, ...], file: Path) -> dict[str, np.ndarray]:
    """Depth, SWAP and trainability of the networks, each (n,)."""
    values = {(row["network"], row["estimator"]): float(row["value"]) for _, row in read_rows(file, ())}
    found = {s: np.array([values[k.name, s] for k in networks]) for s in AGGREGATE if s != "depth"}
    return {"depth": np.array([depth(k.network) for k in networks]), **found}


both = [scores(networks, file) for networks, file in zip(drawn, files, strict=True)]
for this, other, networks in zip(both, both[::-1], drawn, strict=True):
    truth = [k.accuracy for k in networks]
    rows = [{s: this[s][i] for s in AGGREGATE} for i in range(len(networks))]
    pools = LogRanks(this, AGGREGATE), LogRanks(other, AGGREGATE)
    taus = (kendalltau([pool.value(row) for row in rows], truth).statistic for pool in pools)
    print(f"{len(networks)} networks: ranked among themselves {next(taus):.3f}, among the others {next(taus):.3f}")
