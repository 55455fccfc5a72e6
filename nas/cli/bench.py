"""nas bench: samplers and estimators against tables whose every answer is known."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from nas.cli import bench_estimators
from nas.cli.amounts import listed, share
from nas.cli.output import Quiet, print_json, print_table, progress_bar
from nas.errors import UserError, unknown
from nas.numbers import figure

BUDGETS = (16, 32, 50, 75, 100, 150, 200, 300, 500)  # evaluations that have a column
COLUMNS = 6  # of them, at most: what 80 characters hold

app = typer.Typer(
    help="Compare samplers or estimators on a table of trained networks.\n\n"
    "Example: nas bench search --table networks.csv --seeds 10",
    no_args_is_help=True,
)


app.command("estimators", short_help="Compare how well estimators rank networks.")(bench_estimators.estimators)


@app.command("search", short_help="Compare how fast samplers find the true front.")
def search(
    table: Annotated[
        Path | None,
        typer.Option(help="A CSV of networks, as above (default: a small one that comes with nas)."),
    ] = None,
    samplers: Annotated[
        str,
        typer.Option(help="Some of pareto, tpe, nsga2, gp, random, walk, or module:Class of any Optuna sampler."),
    ] = "pareto,tpe,nsga2,random",
    seeds: Annotated[int, typer.Option(min=1, max=1000, help="Number of searches with each sampler.")] = 10,
    evaluations: Annotated[
        int, typer.Option(min=2, max=10_000, help="Number of distinct networks that each search trains.")
    ] = 100,
    costs: Annotated[
        str | None, typer.Option(help="Columns that are objectives besides accuracy (default: all costs).")
    ] = None,
    descriptors: Annotated[
        str | None,
        typer.Option(help="Columns that may tell of accuracy (default: macs, params, stage_sum, if no costs)."),
    ] = None,
    least_accuracy: Annotated[
        str | None,
        typer.Option(metavar="PERCENT", help="Accuracy of the reference point (default: the lower quartile)."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for results.csv and curves.png (default: bench-TABLE).")
    ] = None,
    quiet: Quiet = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Compare how much of the true front's hypervolume each sampler finds, by the number of trainings.

    The CSV has a row for each candidate: accuracy as a fraction, or accuracy_1, accuracy_2, ... of several trainings;
    costs named latency_ms, energy_mj, params, macs, size_mb or peak_memory_mb; network, if several rows build the same;
    every other column is a choice. A search sees the accuracy of one training; its front is scored by the mean.
    `pareto` knows the costs beforehand, as in nas search, and the descriptors, of which more promises better. `walk`
    learns nothing: so many networks, spread along the front of macs against the first cost. The same command
    continues a stopped comparison.

    Without --table: 128 networks, each trained twice on handwritten digits for two epochs, with costs on a Raspberry Pi
    4. They take seconds to search; conclusions need a larger table.

    Example: nas bench search --seeds 3 --evaluations 50

    Example: nas bench search --table networks.csv --seeds 10
    """
    from nas.search.bench.results import Bench, at_evaluations, draw_curves, run_bench, shipped_table, short
    from nas.search.bench.run import SAMPLERS, WALK

    chosen = tuple(listed(samplers))
    if not chosen:
        raise UserError(f"--samplers must name one of {', '.join([*SAMPLERS, WALK])}, or module:Class")
    if any(":" in name for name in chosen):
        sys.path.insert(0, str(Path.cwd()))  # modules beside the table, as python itself would find them
    if odd := [s for s in chosen if s not in (*SAMPLERS, WALK) and ":" not in s]:
        raise unknown("sampler", odd[0], [*SAMPLERS, WALK])
    table = table or shipped_table()
    if not table.is_file():
        raise UserError(f"{table}: no such file")
    given = Bench(
        table, chosen, seeds, evaluations, tuple(listed(costs)) if costs else None,
        share(least_accuracy, "--least-accuracy"), tuple(listed(descriptors)) if descriptors else None,
    )  # fmt: skip
    folder = out or Path(f"bench-{table.stem}")
    with progress_bar("searches") as show:
        curves = run_bench(given, folder / "results.csv", show)
    picture = folder / "curves.png"
    draw_curves(curves, f"{table.stem}: share of the true front found", picture)
    columns = [n for n in BUDGETS if n <= evaluations][-COLUMNS:]
    columns = columns if evaluations in columns else [*columns[-COLUMNS + 1 :], evaluations]
    found = {s: {n: at_evaluations(by_seed, n) for n in columns} for s, by_seed in curves.items()}
    if as_json:
        print_json({
            "table": str(table), "seeds": seeds,
            "share": {s: {n: {"mean": float(x.mean()), "std": float(x.std())} for n, x in row.items()}
                      for s, row in found.items()},
        })  # fmt: skip
        return
    heads = ("sampler", *map(str, columns))
    rows = [
        (short(s), *(f"{figure(100 * x.mean())} ±{100 * x.std():.1f}" for x in row.values()))
        for s, row in found.items()
    ]
    print_table(heads, rows, right=heads[1:])
    print(f"Percent of the true front's hypervolume after so many trainings: mean of {seeds}")
    print("seeds and their standard deviation.")
    print(f"Results: {folder / 'results.csv'}\nPicture: {picture}")
