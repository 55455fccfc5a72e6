"""How well do proxy trainings of several lengths and sizes rank networks? A row for each training; see README.md.

    python fidelities.py nas_bench_macro.csv cifar10.npz --fidelity "40,000 images, 16 then 32 px" [--networks 60]

Appends to fidelities.csv; what is there already is left out. Networks are the first random ones of the table, and with
--best some more of its best tenth; trained as `nas search` does, on a GPU where there is one. --part 2/8: every eighth
network, so that several processes share the work, each with a file of its own.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import torch

from nas.data.catalog import load_dataset
from nas.errors import UserError
from nas.estimate.bench.measurements import choose
from nas.estimate.fidelity import Fidelity
from nas.estimate.proxy import ProxyTraining
from nas.estimate.table import read_known
from nas.files.csv import append_rows, read_appended
from nas.space.search_space import load_space

COLUMNS = ("recipe", "network", "seed", "accuracy", "log_loss", "train_loss", "seconds", "truth", "best_tenth", "extra")
HALF, WHOLE = Fidelity(1, resolution_share=0.5), Fidelity(1, resolution_share=1.0)
FIDELITIES = {
    "5,600 images, 32 px": replace(WHOLE, data_share=0.14, batch_size=16),
    "10,000 images, 16 then 32 px": replace(HALF, data_share=0.25, batch_size=32),
    "10,000 images, 32 px": replace(WHOLE, data_share=0.25, batch_size=32),
    "20,000 images, 16 then 32 px": replace(HALF, data_share=0.5, batch_size=64),
    "20,000 images, 32 px": replace(WHOLE, data_share=0.5, batch_size=64),
    "40,000 images, 16 then 32 px": replace(HALF, batch_size=64),
    "40,000 images, 32 px": replace(WHOLE, batch_size=64),
    "80,000 images, 16 then 32 px": replace(HALF, epochs=2, batch_size=64),
    "160,000 images, 16 then 32 px": replace(HALF, epochs=4, batch_size=128),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", type=Path)
    parser.add_argument("images")
    parser.add_argument("--fidelity", choices=list(FIDELITIES), required=True)
    parser.add_argument("--networks", type=int, default=60)
    parser.add_argument("--best", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--part", default="1/1")
    parser.add_argument("--out", type=Path, default=Path("fidelities.csv"))
    given = parser.parse_args()
    part, parts = map(int, given.part.split("/"))
    torch.set_num_threads(1)
    known = read_known(given.table, load_space("nas-bench-macro"), ("acc_seed0", "acc_seed1", "acc_seed2"))
    chosen = choose(known, given.networks, given.best, 0, 0)
    proxy = ProxyTraining(load_dataset(f"npz:{given.images}", seed=0), FIDELITIES[given.fidelity])
    there = {(r["recipe"], r["network"], r["seed"]) for _, r in read_appended(given.out, COLUMNS, "fidelities.py")}
    for k in chosen.networks[part - 1 :: parts]:
        if (given.fidelity, k.name, str(given.seed)) in there:
            continue
        try:
            found = proxy.estimate(k.network, {}, seed=given.seed)
        except (UserError, ArithmeticError) as error:
            print(k.name, error, flush=True)
            continue
        loss, last = found.log_loss, found.curve[-1].train_loss if found.curve else float("nan")
        row = (given.fidelity, k.name, given.seed, f"{found.value:.4f}", f"{loss:.5f}", f"{last:.5f}")
        row = (*row, f"{found.seconds:.2f}", f"{k.accuracy:.5f}", int(k.accuracy >= chosen.top_accuracy))
        row = (*row, int(k in chosen.extra))
        append_rows(given.out, COLUMNS, [row])
        print(*row, flush=True)


if __name__ == "__main__":
    main()
