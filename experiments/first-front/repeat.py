"""Trains the networks of a run's front again with other seeds: how far does one proxy training tell them apart?

python experiments/first-front/repeat.py runs/first-front 2
"""

import csv
import sys
from pathlib import Path

import numpy as np

from nas import load_run, load_space
from nas.data.catalog import load_dataset
from nas.estimate.fidelity import Fidelity
from nas.estimate.proxy import ProxyTraining


def main(path: Path, seeds: int) -> None:
    run = load_run(path)
    s = run.settings
    space = load_space(s.space)
    training = ProxyTraining(load_dataset(s.dataset, seed=s.seed), Fidelity(**s.proxy), s.seed)
    writer = csv.writer(sys.stdout)
    writer.writerow(["trial", "first", *(f"seed{i}" for i in range(1, seeds + 1)), "sd"])
    for trial in run.front_trials:
        network = space.network(trial.candidate, s.classes)
        again = [
            training.estimate(network, trial.candidate.as_dict(), seed=seed).accuracy for seed in range(1, seeds + 1)
        ]
        figures = [trial.accuracy or 0.0, *again]
        writer.writerow([trial.trial, *(f"{x:.4f}" for x in figures), f"{np.std(figures, ddof=1):.4f}"])
        sys.stdout.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
