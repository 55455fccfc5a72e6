"""What a profile of this machine predicts for whole detectors that it was not fitted to, beside what they take.

For each space: `nas profile` times its blocks and 22 networks that calibrate their sum, `nas profile --networks` other
networks, drawn with another seed. Both in rounds, in turn with the space's reference network, one thread, CPU time.
"""

from __future__ import annotations

import argparse
import csv
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from nas.device.compare.with_measured import Priced, check
from nas.device.profile import read_profile
from nas.profiling.results.measured import read_measured

HERE = Path(__file__).parent
SPACES = {"tiny-detector": 128, "mobiledet": 192, "ssdlite-mobilenet-v3": 192}  # and the resolution that is measured
COLUMNS = ("space", "resolution", "precision", "network", "macs", "measured_ms", "predicted_ms")
SEED = 7  # of the networks to check with; those that calibrate are of seed 0


def measure(space: str, resolution: int, networks: int, rounds: int, folder: Path) -> None:
    """The space's profile, and whole networks to check it with; what is there already is not measured again."""
    common = ["--space", space, "--resolution", str(resolution)]
    profile, whole = folder / space, folder / f"{space}-check"
    for place, done, more in (
        (profile, "profile.toml", ["--rounds", str(rounds), "--noisy"]),
        (whole, "results.json", ["--networks", str(networks), "--rounds", "3", "--seed", str(SEED)]),
    ):
        if not (place / done).exists():
            command = [sys.executable, "-m", "nas", "profile", *common, "--out", str(place), *more]
            subprocess.run(command, check=True)


def checked(space: str, folder: Path) -> Iterator[Priced]:
    """Each of the networks to check with, as measured, at the speed of the profile, and as predicted."""
    profile = read_profile(folder / space)
    file = read_measured(folder / f"{space}-check/results.json", None, profile.about, all_networks=False, scale=True)
    found = check(profile, file.networks)
    assert not found.unpriced and not found.in_fit
    yield from found.priced


def by_macs(rows: Sequence[dict[str, str]]) -> np.ndarray:
    """The error of one rate, milliseconds a MAC, the median of all other networks' (n,)."""
    ms, macs = (np.array([float(row[name]) for row in rows]) for name in ("measured_ms", "macs"))
    rates = ms / macs
    others = np.array([np.median(np.delete(rates, i)) for i in range(len(rates))])
    return np.abs(others * macs / ms - 1)


def print_table(rows: Sequence[dict[str, str]]) -> None:
    print("| space | precision | networks | ms | error, % | median | worst | one rate of MACs, % | median | worst |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for space, precision in dict.fromkeys((row["space"], row["precision"]) for row in rows):
        own = [row for row in rows if (row["space"], row["precision"]) == (space, precision)]
        ms = np.array([float(row["measured_ms"]) for row in own])
        error = np.abs(np.array([float(row["predicted_ms"]) for row in own]) / ms - 1)
        cells = [f"{100 * f(e):.1f}" for e in (error, by_macs(own)) for f in (np.mean, np.median, np.max)]
        print(f"| {space} {own[0]['resolution']} | {precision} | {len(own)} | {ms.min():.2g} to {ms.max():.2g} | "
              + " | ".join(cells) + " |")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("cost_validation"), help="folder of what is measured")
    parser.add_argument("--networks", type=int, default=12, help="of each space")
    parser.add_argument("--rounds", type=int, default=2, help="visits to a block; a network gets three times as many")
    parser.add_argument("--table", action="store_true", help="measure nothing; print the table of the CSV file")
    options = parser.parse_args()
    path = HERE / "cost_validation.csv"
    if not options.table:
        options.out.mkdir(parents=True, exist_ok=True)
        path = options.out / path.name
        with path.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(COLUMNS)
            for space, resolution in SPACES.items():
                measure(space, resolution, options.networks, options.rounds, options.out)
                for one in checked(space, options.out):
                    row = one.row
                    figures = (one.macs, f"{row.measured_ms:.5g}", f"{row.predicted_ms:.5g}")
                    writer.writerow((space, resolution, row.precision, row.network, *figures))
                file.flush()
    with path.open(newline="") as file:
        print_table(list(csv.DictReader(file)))


if __name__ == "__main__":
    main()
