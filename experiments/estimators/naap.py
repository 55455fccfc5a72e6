"""How well structure and the first epochs of NAAP-440's networks tell their accuracy after 90 epochs.

`python naap.py naap440.csv` writes naap.csv. Labels are drawn at random, 20 times; figures are of all other networks.
"""

from __future__ import annotations

import sys
from pathlib import Path

from nas.estimate.bench.plain_table import compare_plain, read_plain
from nas.files.csv import csv_text

STRUCTURE = ("NumMACs", "NumParams", "NumLayers", "NumStages", "FirstLayerWidth", "LastLayerWidth")
CURVES = {"accuracy": ("e*Accuracy",), "loss": ("e*LossMean",), "accuracy, loss": ("e*Accuracy", "e*LossMean")}
COLUMNS = ("features", "labels", "networks", "tau", "low", "high", "best_tenth", "lost_of_1", "lost_of_5")

rows: list[tuple[object, ...]] = []


def add(name: str, features: tuple[str, ...], curve: tuple[str, ...], first: int, estimators: list[str]) -> None:
    """A row for each estimator, or column."""
    table = read_plain(Path(sys.argv[1]), "MaxAccuracy", features, curve, first)
    for c in compare_plain(table, estimators):
        if c.name in estimators:
            a, labels = c.agreement, int(c.name.partition(":")[2] or 0)
            lost = 100 * a.regret_1, 100 * a.regret_5
            rows.append((name or c.name, labels, a.networks, a.tau, a.low, a.high, a.top, *lost))
            print(*rows[-1], flush=True)


add("", STRUCTURE, (), 1, ["NumMACs", "NumParams", "NumMACs+NumParams"])
for epochs in (1, 3, 6, 7, 9, 15, 30):
    add("", STRUCTURE[:1], CURVES["accuracy, loss"], epochs, [f"e{epochs}Accuracy", f"e{epochs}LossMean"])
learned = [f"{{}}:{labels}" for labels in (20, 40, 80)]
add("structure", STRUCTURE, (), 1, [name.format("combined") for name in learned])
for epochs in (3, 9):
    for which, columns in CURVES.items():
        add(f"structure, {epochs} epochs of {which}", STRUCTURE, columns, epochs, [n.format("curve") for n in learned])
    add(
        f"{epochs} epochs of accuracy, loss", (), CURVES["accuracy, loss"], epochs, [n.format("curve") for n in learned]
    )
Path("naap.csv").write_text(csv_text(COLUMNS, rows))
