"""Early stopping on real trainings: `python early_stopping.py random --seeds 3 --out early_stopping.csv`.

See README.md. Handwritten digits, space tiny, Raspberry Pi 4, 30 trials of 8 epochs, with and without early stopping,
same seeds.
A row a trial: epochs trained so far, and the hypervolume of the front so far (accuracy, latency, energy). Epochs are
counted, since seconds vary with the machine. At equal hypervolume: where the worse of the two runs ended.
"""

from __future__ import annotations

import argparse
import csv
import tempfile
from pathlib import Path

import numpy as np

from nas.run import load_run, read_curves, volume_over_trials
from nas.search.api import search

EPOCHS, TRIALS = 8, 30


def searched(sampler: str, seed: int, stopping: bool) -> list[tuple[int, float]]:
    """After each trial: epochs trained so far, and hypervolume."""
    with tempfile.TemporaryDirectory() as folder:
        path = search(
            "raspberry-pi-4", sampler=sampler, trials=TRIALS, proxy={"epochs": EPOCHS, "data_share": 0.5},
            seed=seed, early_stopping=stopping, out=Path(folder) / "run", test=False,
        ).path  # fmt: skip
        run, curves = load_run(path), read_curves(path)
        epochs, found = 0, []
        for trial, _, volume in volume_over_trials(run.trials, run.settings):
            epochs += len(curves[trial])
            found.append((epochs, volume))
    return found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("sampler")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    every = []
    for seed in range(given.seeds):
        both = {stopping: searched(given.sampler, seed, stopping) for stopping in (False, True)}
        new = not given.out.exists()
        with given.out.open("a", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            if new:
                writer.writerow(("sampler", "seed", "early_stopping", "trial", "epochs", "hypervolume"))
            for stopping, found in both.items():
                for trial, (epochs, volume) in enumerate(found):
                    writer.writerow((given.sampler, seed, stopping, trial, epochs, f"{volume:.5f}"))
        equal = min(found[-1][1] for found in both.values())
        reached = {s: next(e for e, v in found if v >= equal) for s, found in both.items()}
        every.append((reached[False], reached[True], both[True][-1][0] / both[False][-1][0]))
        print(
            f"{given.sampler} {seed}: {both[False][-1]} without, {both[True][-1]} with; hypervolume {equal:.4f} after "
            f"{reached[False]} and {reached[True]} epochs",
            flush=True,
        )
    without, stopped, _ = np.sum(every, axis=0)
    print(
        f"{given.sampler}, {given.seeds} seeds: {stopped / without - 1:+.0%} epochs at equal hypervolume; all trials "
        f"took {np.mean([share for *_, share in every]) - 1:+.0%} epochs"
    )


if __name__ == "__main__":
    main()
