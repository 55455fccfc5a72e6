"""Early stopping on real trainings: `python early_stopping.py --out early_stopping.csv`. See README.md.

Handwritten digits, space tiny, Raspberry Pi 4, 40 trials of 8 epochs, with and without early stopping, same seeds.
Hypervolume is that of the run (accuracy, latency, energy); epochs are counted, since seconds vary with the machine.
"""

from __future__ import annotations

import argparse
import csv
import tempfile
from pathlib import Path

from nas.run import load_run, read_curves
from nas.search.job import search_front

EPOCHS, TRIALS = 8, 40


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--samplers", default="pareto,random")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    rows = []
    for sampler in given.samplers.split(","):
        for seed in range(given.seeds):
            for stopping in (False, True):
                with tempfile.TemporaryDirectory() as folder:
                    run = search_front(
                        "raspberry-pi-4", sampler=sampler, trials=TRIALS, proxy={"epochs": EPOCHS, "data_share": 0.5},
                        seed=seed, early_stopping=stopping, out=Path(folder) / "run", test=False,
                    )  # fmt: skip
                    run = load_run(run.path)
                    epochs = sum(map(len, read_curves(run.path).values()))
                    stopped = sum(t.state == "stopped" for t in run.trials)
                    rows.append((sampler, seed, stopping, stopped, epochs, f"{sum(t.seconds for t in run.trials):.1f}",
                                 f"{run.hypervolume:.5f}"))  # fmt: skip
                    print(*rows[-1], flush=True)
    with given.out.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("sampler", "seed", "early_stopping", "stopped", "epochs", "seconds", "hypervolume"))
        writer.writerows(rows)


if __name__ == "__main__":
    main()
