"""A full training that is killed: `python -m tests.train.kills FOLDER MOMENTS`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from nas.train.full import train_full
from tests.kills import killed
from tests.train.lessons import CPU, few_digits, short_recipe, small_network

ROOT = Path(sys.argv[1])
NAMES = ["curve.csv", "curve.html", "model.json", "result.json", "weights.safetensors"]
DIGITS = few_digits(64)
RECIPE = short_recipe(images=64, epochs=2, mixup=0.2, hyperparameters={"optimizer": "adamw"})
NETWORK = small_network()


def train(folder: Path) -> None:
    train_full(NETWORK, DIGITS, RECIPE, folder, device=CPU, save_seconds=0.0, precision="int8")


def files(folder: Path) -> dict[str, bytes]:
    """What does not tell the time."""
    return {name: (folder / name).read_bytes() for name in ("weights.safetensors", "model.json")}


def wrong(folder: Path, go_on: Callable[[], int]) -> str:
    if status := go_on():
        return f"exit status {status}"
    beside = sorted(p.name for p in folder.parent.iterdir() if p != folder)
    inside = sorted(p.name for p in folder.iterdir())
    if beside or inside != NAMES:
        return f"left: {beside}, {inside}"
    return "" if files(folder) == files(ROOT / "whole/17") else "other weights"


if __name__ == "__main__":
    print(killed(ROOT, sys.argv[2], train, wrong, name="17"))
