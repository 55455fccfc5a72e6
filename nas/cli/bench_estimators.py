"""nas bench estimators: how well estimators rank networks whose accuracy is known."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nas.cli.amounts import listed
from nas.cli.bench_tables import folded, print_comparison, say_level, tau_text
from nas.cli.output import Quiet, print_table, progress_bar
from nas.errors import UserError
from nas.numbers import figure

if TYPE_CHECKING:
    from nas.estimate.bench.comparison import Compared

NETWORKS = 100


def estimators(
    table: Annotated[Path | None, typer.Option(help="A CSV of networks and their accuracies; see above.")] = None,
    space: Annotated[
        str | None, typer.Option(help="The search space that the networks are of, if they are of one.")
    ] = None,
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
    features: Annotated[
        str | None, typer.Option(metavar="COLUMNS", help="Without a space: columns of numbers, e.g. 'params,Num*'.")
    ] = None,
    curve: Annotated[
        str | None,
        typer.Option(metavar="COLUMNS", help="Columns of each epoch, * for its number, e.g. 'acc_*,loss_*'."),
    ] = None,
    first: Annotated[int, typer.Option(min=1, max=1000, help="Number of epochs that curve reads.")] = 9,
    self_check: Annotated[
        bool, typer.Option("--self-check", help="Without a table: does an estimator agree with itself?")
    ] = False,
    networks: Annotated[
        int | None,
        typer.Option(min=3, max=100_000, help="Number of random networks (default: 100; 20 to --self-check)."),
    ] = None,
    best: Annotated[
        int, typer.Option(min=0, max=100_000, help="Further networks of the best tenth, for tau among the best.")
    ] = 0,
    skip: Annotated[
        int, typer.Option(min=0, max=1_000_000, help="Leave out so many of the random order, to try fresh networks.")
    ] = 0,
    epochs: Annotated[
        int | None,
        typer.Option(min=1, max=100_000, help="Epochs of a proxy's or a supernet's training (default: its own)."),
    ] = None,
    data_share: Annotated[
        float | None, typer.Option(help="Share of the training images that a proxy training uses.")
    ] = None,
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

    combined:20 learns from 20 networks of the table that are not compared.

    Without --space the CSV is read as numbers: --features names columns such as MACs and layers, --curve those of
    the epochs, a loss where the name says so, --accuracy what was reached in the end. combined:20 learns from the
    features of 20 networks, curve:20 from their first epochs too; figures are means over 20 draws of those.

    With --self-check no accuracy has to be known: random networks of the space are estimated with two seeds, and
    once with three times the epochs or initializations.

    Example: nas bench estimators --table networks.csv --space tiny --dataset folder:photos

    Example: nas bench estimators --table networks.csv --space tiny --dataset digits --estimators proxy,combined:20

    Example: nas bench estimators --table naap440.csv --accuracy MaxAccuracy --features 'Num*' --curve 'e*Accuracy'

    Example: nas bench estimators --self-check --space tiny --dataset digits --estimators proxy,swap
    """
    from nas.cli import bench_plain_table, bench_self_check

    asked = None if names is None else tuple(listed(names))
    proxy = {k: v for k, v in {"epochs": epochs, "data_share": data_share}.items() if v is not None}
    _check(table, space, dataset, features, curve, self_check)
    if self_check and space and dataset:
        bench_self_check.show(space, dataset, asked, networks, proxy, seed, initializations, out, as_json)
    elif table and not space:
        columns = listed(accuracy) or ["accuracy"]
        bench_plain_table.show(table, columns, listed(features), listed(curve), first, asked, seed, out, as_json)
    elif table and space:
        given = (listed(accuracy), networks or NETWORKS, best, skip, seed, initializations, proxy)
        _compare(table, space, dataset, asked, *given, out, as_json)


def _check(
    table: Path | None, space: str | None, dataset: str | None, features: str | None, curve: str | None,
    self_check: bool,
) -> None:  # fmt: skip
    """Raises UserError for options that do not go together."""
    if self_check and (table or not space or not dataset):
        raise UserError("--self-check needs --space and --dataset, and no --table")
    if not self_check and not table:
        raise UserError("give --table with networks of known accuracy, or --self-check with --space and --dataset")
    if table and not space and not (features or curve):
        raise UserError(
            "give --space, if the networks are of one, or --features and --curve to read columns of numbers"
        )
    if table and not space and dataset:
        raise UserError("--dataset is for networks of a search space: give --space, or leave it out")
    if space and (features or curve):
        raise UserError("--features and --curve are for a table without a space; leave out --space")


def _compare(
    table: Path, space: str, dataset: str | None, asked: tuple[str, ...] | None, accuracy: list[str], networks: int,
    best: int, skip: int, seed: int, initializations: int, proxy: dict[str, Any], out: Path | None, as_json: bool,
) -> None:  # fmt: skip
    """Networks of a search space."""
    from nas.catalog import home
    from nas.data.catalog import load_dataset
    from nas.estimate.bench.chart import draw_comparison
    from nas.estimate.bench.comparison import DEFAULT, Bench, check_estimators, compare, comparison_csv, no_better
    from nas.files.atomic import make_folder, write_atomic
    from nas.space.search_space import load_space

    asked = DEFAULT if asked is None else asked
    check_estimators(asked)
    images = load_dataset(dataset, seed=seed, cache_dir=home() / "datasets") if dataset else None
    given = Bench(
        table, load_space(space), images, asked, tuple(accuracy), networks, best, skip, seed, initializations, proxy
    )
    folder = out or Path(f"bench-{table.stem}")
    with progress_bar("estimates") as show:
        compared = compare(given, folder / "values.csv", show, show)
    make_folder(folder)
    write_atomic(folder / "agreement.csv", comparison_csv(compared).encode())
    draw_comparison(compared, f"{table.stem}: how well estimators rank networks", folder / "tau.png")
    reference, level = no_better(compared)
    if as_json:
        print_comparison(table, reference, level, compared)
        return
    heads = ("estimator", "tau", "equal\ndepth", "best\ntenth", "lost\nof 1", "lost\nof 5", "core\ns")
    print_table(heads, [_row(c) for c in compared], right=heads[1:])
    print(f"{compared[0].agreement.networks} networks; of the best tenth {compared[0].agreement.top_networks}.")
    say_level(reference, level)
    print(f"Results: {folder / 'agreement.csv'}, {folder / 'values.csv'}\nPicture: {folder / 'tau.png'}")


def _row(c: Compared) -> tuple[str, ...]:
    a = c.agreement
    lost = (f"{100 * x:.2f}" for x in (a.regret_1, a.regret_5))
    taus = (f"{tau_text(a.tau)} ±{(a.high - a.low) / 2:.2f}", tau_text(a.equal_depth), tau_text(a.top))
    return (folded(c.name), *taus, *lost, figure(c.seconds, 2) if c.seconds else "-")
