"""nas bench estimators: how well estimators rank networks whose accuracy is known."""

from __future__ import annotations

import dataclasses
import math
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nas.cli.amounts import listed
from nas.cli.output import Quiet, print_json, print_table, progress_bar
from nas.numbers import figure

if TYPE_CHECKING:
    from nas.estimate.bench.comparison import Compared

NAME = 25  # characters of an estimator's name on one line of the table


def estimators(
    table: Annotated[Path, typer.Option(help="A CSV of networks of the space and their accuracies; see below.")],
    space: Annotated[str, typer.Option(help="The search space that the networks are of.")],
    dataset: Annotated[
        str | None, typer.Option(help="The images that they were trained on: cifar10, npz:PATH, folder:PATH.")
    ] = None,
    names: Annotated[
        str | None,
        typer.Option("--estimators", help="Estimators, scores, or sums of scores as depth+swap (default: all scores)."),
    ] = None,
    accuracy: Annotated[
        str | None, typer.Option(help="Columns of accuracies (default: accuracy, accuracy_1, accuracy_2, ...).")
    ] = None,
    networks: Annotated[int, typer.Option(min=3, max=100_000, help="Number of random networks.")] = 100,
    best: Annotated[
        int, typer.Option(min=0, max=100_000, help="Further networks of the best tenth, for tau among the best.")
    ] = 0,
    skip: Annotated[
        int, typer.Option(min=0, max=1_000_000, help="Leave out so many of the random order, to try fresh networks.")
    ] = 0,
    seed: Annotated[int, typer.Option(min=0, max=2**31, help="Random seed.")] = 0,
    initializations: Annotated[int, typer.Option(min=1, max=1000, help="Initializations of a score.")] = 3,
    out: Annotated[
        Path | None, typer.Option(help="Folder for values.csv, agreement.csv and tau.png (default: bench-TABLE).")
    ] = None,
    quiet: Quiet = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Do estimators rank networks as their accuracies do, and better than depth or MACs would?

    The CSV has one row a network: its candidate, as nas pick prints it, or arch, a digit for each choice of the
    space; and accuracy, or accuracy_1, accuracy_2, ... of several trainings. Printed are Kendall's tau with half
    the width of its 90% interval over 500 bootstrap samples, tau among networks of equal depth, and among those of
    the table's best tenth; the points of accuracy lost by taking the best network of an estimator, or the truly
    best of its best five; and seconds of one core. Two trainings of one network rank the best tenth at about 0.4,
    so expect no more there. Baselines that need no images stand below. A stopped run goes on.

    Example: nas bench estimators --table networks.csv --space tiny --dataset folder:photos

    Example: nas bench estimators --table networks.csv --space tiny --dataset digits --estimators proxy,depth+swap
    """
    from nas.catalog import home
    from nas.data.catalog import load_dataset
    from nas.estimate.bench.chart import draw_comparison
    from nas.estimate.bench.comparison import DEFAULT, Bench, check_estimators, compare, comparison_csv, no_better
    from nas.files.atomic import make_folder, write_atomic
    from nas.space.search_space import load_space

    asked = DEFAULT if names is None else tuple(listed(names))
    check_estimators(asked)
    images = load_dataset(dataset, seed=seed, cache_dir=home() / "datasets") if dataset else None
    given = Bench(
        table, load_space(space), images, asked, tuple(listed(accuracy)), networks, best, skip, seed, initializations
    )
    folder = out or Path(f"bench-{table.stem}")
    with progress_bar("estimates") as show:
        compared = compare(given, folder / "values.csv", show, lambda done, total: show(done, total, "preparation"))
    make_folder(folder)
    write_atomic(folder / "agreement.csv", comparison_csv(compared).encode())
    draw_comparison(compared, f"{table.stem}: how well estimators rank networks", folder / "tau.png")
    reference, level = no_better(compared)
    if as_json:
        print_json({
            "table": str(table), "best_baseline": reference, "no_better_than_it": level,
            "estimators": [_plain(c) for c in compared],
        })  # fmt: skip
        return
    heads = ("estimator", "tau", "equal\ndepth", "best\ntenth", "lost\nof 1", "lost\nof 5", "core\ns")
    print_table(heads, [_row(c) for c in compared], right=heads[1:])
    print(f"{compared[0].agreement.networks} networks; of the best tenth {compared[0].agreement.top_networks}.")
    if level:
        print(textwrap.fill(f"Not seen to rank better than {reference}, a baseline: {', '.join(level)}.", 80))
    print(f"Results: {folder / 'agreement.csv'}, {folder / 'values.csv'}\nPicture: {folder / 'tau.png'}")


def _row(c: Compared) -> tuple[str, ...]:
    a = c.agreement
    lost = (f"{100 * x:.2f}" for x in (a.regret_1, a.regret_5))
    taus = (f"{_tau(a.tau)} ±{(a.high - a.low) / 2:.2f}", _tau(a.equal_depth), _tau(a.top))
    return (_folded(c.name), *taus, *lost, figure(c.seconds, 2) if c.seconds else "-")


def _folded(name: str) -> str:
    """A sum of scores on lines that leave room for the figures."""
    lines = [""]
    for part in name.replace("+", "+ ").split():
        if lines[-1] and len(lines[-1] + part) > NAME:
            lines.append("")
        lines[-1] += part
    return "\n".join(lines)


def _tau(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.2f}"


def _plain(c: Compared) -> dict[str, Any]:
    return {
        "name": c.name, "baseline": c.baseline, "core_seconds": c.seconds, "share_better_than_best_baseline": c.better,
        **dataclasses.asdict(c.agreement),
    }  # fmt: skip
