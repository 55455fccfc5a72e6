"""nas bench estimators --self-check: whether an estimator agrees with itself, where no truth is known."""

from __future__ import annotations

import dataclasses
import textwrap
from pathlib import Path
from typing import Any

from nas.cli.bench_tables import tau_text
from nas.cli.output import print_json, print_table, progress_bar
from nas.numbers import figure

NETWORKS = 20


def show(
    space: str, dataset: str, asked: tuple[str, ...] | None, networks: int | None, proxy: dict[str, Any], seed: int,
    initializations: int, out: Path | None, as_json: bool,
) -> None:  # fmt: skip
    """Checks, writes values.csv and self_check.csv, and prints. Raises UserError."""
    from nas.catalog import home
    from nas.data.catalog import load_dataset
    from nas.estimate.bench.self_check import TIMES, SelfCheck, check_self, checked_csv
    from nas.files.atomic import make_folder, write_atomic
    from nas.space.search_space import load_space

    images = load_dataset(dataset, seed=seed, cache_dir=home() / "datasets")
    given = SelfCheck(
        load_space(space), images, ("proxy",) if asked is None else asked, networks or NETWORKS, seed, initializations,
        proxy,
    )  # fmt: skip
    folder = out or Path(f"self-check-{given.space.name}")
    with progress_bar("estimates") as progress:
        checked = check_self(given, folder / "values.csv", progress, progress)
    make_folder(folder)
    write_atomic(folder / "self_check.csv", checked_csv(checked).encode())
    if as_json:
        print_json({"space": given.space.name, "estimators": [dataclasses.asdict(c) for c in checked]})
        return
    heads = ("estimator", "tau, two\nseeds", f"tau, {TIMES}x\nas long", "noise\nallows", "core\ns", f"{TIMES}x\ns")
    rows = [
        (
            c.name, *(_interval(x) for x in (c.seeds, c.following)), tau_text(c.ceiling), figure(c.seconds, 2),
            "-" if c.next_seconds != c.next_seconds else figure(c.next_seconds, 2),
        )
        for c in checked
    ]  # fmt: skip
    print_table(heads, rows, right=heads[1:])
    print(textwrap.fill(
        f"{checked[0].networks} random networks of {given.space.name}, 90% intervals. A tau between two seeds below 1 "
        f"is noise: without any bias the tau with the truth would be what noise allows. A tau with {TIMES} times the "
        f"training that is below that between two seeds is bias, which no averaging takes away.", 80,
    ))  # fmt: skip
    print(f"Results: {folder / 'self_check.csv'}, {folder / 'values.csv'}")


def _interval(tau: tuple[float, float, float]) -> str:
    middle, low, high = tau
    return "-" if middle != middle else f"{middle:.2f} ±{(high - low) / 2:.2f}"
