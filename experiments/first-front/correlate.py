"""What accuracy goes with, over all trials of a run: rank correlations from its trials.csv.

python experiments/first-front/correlate.py experiments/first-front/trials.csv
"""

import csv
import json
import sys
from pathlib import Path

from scipy.stats import spearmanr


def main(path: Path) -> None:
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    accuracy = [float(row["accuracy"]) for row in rows]
    print(f"{len(rows)} trials, {sum(float(row['seconds']) for row in rows) / 60:.0f} minutes of training")
    print(f"accuracy {min(accuracy):.1%} to {max(accuracy):.1%}")
    candidates = [json.loads(row["candidate"]) for row in rows]
    against = {name: [float(candidate[name]) for candidate in candidates] for name in ("resolution", "learning_rate")}
    for name, values in (against | {"macs": [float(row["macs"]) for row in rows]}).items():
        print(f"Spearman of accuracy with {name}: {spearmanr(accuracy, values).statistic:.2f}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
