"""The short trainings of finished runs, as recipes.csv of ../estimators has them; see README.md there.

python labels.py nas_bench_macro.csv hour-0 hour-1 --out hour_recipes.csv
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

from real_front import read_table

import nas
from nas.run import read_curves
from nas.space.search_space import load_space

COLUMNS = ("recipe", "network", "seed", "accuracy", "log_loss", "train_loss", "seconds", "truth")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", type=Path)
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, default=Path("hour_recipes.csv"))
    given = parser.parse_args()
    table, space = read_table(given.table, "raspberry-pi-4"), load_space("nas-bench-macro")
    with given.out.open("w") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for path in given.runs:
            run, curves = nas.load_run(path), read_curves(path)
            for t in run.trials:
                row = table.blocks[space.network(t.candidate).blocks]
                loss = curves[t.trial][-1]["train_loss"]
                known = [t.accuracy, t.log_loss, loss, t.seconds, table.truth[row] / 100]
                writer.writerow([path.name, table.archs[row], 0, *known])


if __name__ == "__main__":
    main()
