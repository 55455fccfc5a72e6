"""Adaptive serving on a recorded load: time shares and missed budgets, beside fixed choices and an oracle. See README.

    python experiments/self-calibration/adaptive.py table                       from load.csv beside this file
    python experiments/self-calibration/adaptive.py record [--out load.csv]     a new recording on this machine

A row of the recording has the milliseconds of four networks, run one after the other: so every choice can be replayed
on the same load. Other processes compute meanwhile, none, one, two or three of them in turn.
"""

from __future__ import annotations

import argparse
import csv
import multiprocessing
import os
import time
from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path

import numpy as np

from nas.monitor.serve.controller import Controller

LOAD = Path(__file__).with_name("load.csv")
# timm's top-1 on ImageNet, in results/results-imagenet.csv of its repository; 224 pixels
ACCURACY = {
    "efficientnet_b0": 77.7, "mobilenetv3_large_100": 75.8, "mobilenetv3_small_100": 67.7,
    "mobilenetv3_small_050": 57.9,
}  # fmt: skip
NAMES = tuple(ACCURACY)
ROUNDS = 250  # of each phase
PHASES = (0, 1, 3, 0, 2, 1, 0, 3)  # processes that compute beside
WARM_UP = 10


def record(out: Path) -> None:
    """Times each network in turn, round after round, with one thread."""
    networks = [network_of(name) for name in NAMES]
    image = np.random.default_rng(0).normal(size=(1, 3, 224, 224)).astype(np.float32)
    for network in networks:
        for _ in range(WARM_UP):
            network(image)
    with out.open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerow(["processes", *NAMES])
    for busy in PHASES:
        rows = []
        burning = [multiprocessing.Process(target=burn, daemon=True) for _ in range(busy)]
        for process in burning:
            process.start()
        for _ in range(ROUNDS):
            row = []
            for network in networks:
                start = time.perf_counter()
                network(image)
                row.append(1000 * (time.perf_counter() - start))
            rows.append([busy, *(f"{ms:.4g}" for ms in row)])
        for process in burning:
            process.terminate()
            process.join()
        with out.open("a", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows(rows)


def burn() -> None:
    """Computes until it is ended, with less right to the processor than what is timed."""
    os.nice(5)
    values = np.ones((256, 256), np.float32)
    while True:
        values = np.tanh(values @ values)


def network_of(name: str) -> Callable[[np.ndarray], object]:
    """A network with random weights, which take as long as trained ones, in ONNX Runtime."""
    import onnxruntime
    import timm
    import torch

    torch.manual_seed(0)
    file = BytesIO()
    module = timm.create_model(name, exportable=True).eval()
    torch.onnx.export(module, (torch.zeros(1, 3, 224, 224),), file, input_names=["image"], dynamo=False)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(file.getvalue(), options, providers=["CPUExecutionProvider"])
    return lambda image: session.run(None, {"image": image})


def fixed(index: int) -> Callable[[np.ndarray, float], list[int]]:
    """Always the same network."""
    return lambda times, budget: [index] * len(times)


def controlled(times: np.ndarray, budget: float) -> list[int]:
    """The controller of serve.pyz; what the networks usually take are medians of the first 30 frames."""
    controller = Controller(np.median(times[:30], axis=0).tolist(), budget)
    chosen = []
    for row in times:
        chosen.append(controller.index)
        controller.add(float(row[controller.index]))
    return chosen


def oracle(times: np.ndarray, budget: float) -> list[int]:
    """Of each frame the most accurate network that keeps the budget in it; it knows what nobody can know before."""
    last = times.shape[1] - 1
    return [next((n for n, ms in enumerate(row) if ms <= budget), last) for row in times]


def table(path: Path, budgets: Sequence[float]) -> None:
    """A table for each budget, as README.md has them."""
    with path.open(newline="") as file:
        head, *rows = csv.reader(file)
    times = np.array([row[1:] for row in rows], float)
    accuracy = np.array([ACCURACY[name] for name in head[1:]])
    choices: dict[str, Callable[[np.ndarray, float], list[int]]] = {
        **{f"always {name}": fixed(n) for n, name in enumerate(head[1:])},
        "the controller": controlled, "oracle": oracle,
    }  # fmt: skip
    medians = ", ".join(f"{name} {ms:.1f} ms" for name, ms in zip(head[1:], np.median(times, axis=0), strict=True))
    print(f"{len(times)} frames; medians: {medians}\n")
    for budget in budgets:
        print(f"| budget {budget:g} ms | missed | accuracy | accuracy in time | shares | changes |")
        print("|---|---|---|---|---|---|")
        for name, choose in choices.items():
            chosen = np.array(choose(times, budget))
            taken = times[np.arange(len(times)), chosen]
            shares = " / ".join(f"{100 * np.mean(chosen == n):.0f}" for n in range(times.shape[1]))
            in_time = float(np.mean(accuracy[chosen] * (taken <= budget)))
            cells = [
                f"{100 * np.mean(taken > budget):.1f}%", f"{accuracy[chosen].mean():.1f}", f"{in_time:.1f}", shares,
                str(int(np.sum(np.diff(chosen) != 0))),
            ]  # fmt: skip
            print(f"| {name} | {' | '.join(cells)} |")
        print()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("what", choices=["table", "record"])
    parser.add_argument("--out", type=Path, default=LOAD)
    parser.add_argument("--budgets", type=float, nargs="+", default=[10.0, 20.0, 40.0])
    given = parser.parse_args()
    if given.what == "record":
        record(given.out)
    else:
        table(given.out, given.budgets)
