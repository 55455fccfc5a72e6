"""One row a space, round and precision: how far that round's profile was off on the 20 networks that neither saw.

Errors are at the speed that the machine had when the profile was made, by the reference network that both were taken in
turn with; `as_measured` is the mean error without that, `machine` how much slower the machine was, `agree` how far the
second round's profile is from the first's, on average over 200 random networks of the space, `agree_even` the same at
one speed.
"""

import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

RAW = ["--as-measured"]
FIGURES = ("networks", "mean", "ratio", "scaled", "within_5", "within_10", "spearman", "constant", "macs")


def devices(*arguments: object) -> dict[str, Any]:
    done = subprocess.run(
        ["nas", "devices", *map(str, arguments), "--json"], capture_output=True, text=True, check=True
    )
    return dict(json.loads(done.stdout))


work = Path(sys.argv[1])
rows = csv.writer(sys.stdout, lineterminator="\n")
rows.writerow(["space", "round", "precision", *FIGURES, "as_measured", "machine", "agree", "agree_even"])
for check in sorted(work.glob("check-*/results.json")):
    space = check.parent.name.removeprefix("check-")
    folders = [
        work / f"{turn}-{space}" for turn in ("first", "second") if (work / f"{turn}-{space}/blocks.csv").exists()
    ]
    for folder in folders:
        both: dict[str, Any] = devices("diff", *folders, "--space", space) if len(folders) > 1 else {}
        alike, raw = (devices("validate", folder, "--against", check, *more)["agreement"] for more in ([], RAW))
        for row, as_measured in zip(alike, raw, strict=True):
            found = [both.get(which, {}).get(row["precision"]) for which in ("predicted", "predicted_at_one_speed")]
            agree = [one["ratios"]["off"] if one else float("nan") for one in found]
            figures = [*(row[figure] for figure in FIGURES), as_measured["mean"], as_measured["ratio"] / row["ratio"]]
            named = (space, folder.name.partition("-")[0], row["precision"])
            rows.writerow([*named, *(f"{x:.4g}" for x in [*figures, *agree])])
