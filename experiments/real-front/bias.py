"""How biased are accuracies of some epochs as to final ones? See README.md.

    python bias.py naap440.csv

NAAP-440's 440 networks, 90 epochs each: of the better half, what a line from final accuracies to those of an epoch
leaves.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from scipy.stats import kendalltau

from nas.files.csv import read_rows

EPOCHS = (1, 2, 5, 9, 15, 20, 30, 45, 60, 90)


def main() -> None:
    rows = [row for _, row in read_rows(Path(sys.argv[1]), ("MaxAccuracy", *(f"e{e}Accuracy" for e in EPOCHS)))]
    final = 100 * np.array([float(row["MaxAccuracy"]) for row in rows])
    better = final >= np.median(final)
    for epoch in EPOCHS:
        then = 100 * np.array([float(row[f"e{epoch}Accuracy"]) for row in rows])[better]
        slope, shift = np.polyfit(final[better], then, 1)
        left = then - slope * final[better] - shift
        tau = kendalltau(then, final[better]).statistic
        print(f"{epoch} epochs: {then.mean():.1f}%, slope {slope:.2f}, {left.std():.2f} points left, tau {tau:.2f}")


if __name__ == "__main__":
    main()
