"""nas bench estimators on a table of networks without a search space."""

from __future__ import annotations

from pathlib import Path

from nas.cli.bench_tables import folded, print_comparison, say_level, tau_text
from nas.cli.output import print_table
from nas.errors import UserError


def show(
    table: Path, accuracy: list[str], features: list[str], curve: list[str], first: int,
    asked: tuple[str, ...] | None, seed: int, out: Path | None, as_json: bool,
) -> None:  # fmt: skip
    """Compares, writes agreement.csv and prints. Raises UserError."""
    from nas.estimate.bench.comparison import comparison_csv, no_better
    from nas.estimate.bench.plain_table import DRAWS, LEARNING, compare_plain, read_plain
    from nas.files.atomic import make_folder, write_atomic

    if len(accuracy) != 1:
        raise UserError(f"--accuracy must name one column of a table without a space; got {', '.join(accuracy)}")
    read = read_plain(table, accuracy[0], features, curve, first)
    default = tuple(f"{name}:20" for name in LEARNING if (name == "curve") <= bool(curve) and (features or curve))
    compared = compare_plain(read, default if asked is None else asked, seed=seed)
    folder = out or Path(f"bench-{table.stem}")
    make_folder(folder)
    write_atomic(folder / "agreement.csv", comparison_csv(compared).encode())
    reference, level = no_better(compared)
    if as_json:
        print_comparison(table, reference, level, compared)
        return
    heads = ("estimator", "tau", "best\ntenth", "lost\nof 1", "lost\nof 5", "networks")
    rows = []
    for c in compared:
        a = c.agreement
        lost = [f"{100 * x:.2f}" for x in (a.regret_1, a.regret_5)]
        tau = f"{tau_text(a.tau)} ±{(a.high - a.low) / 2:.2f}"
        rows.append((folded(c.name), tau, tau_text(a.top), *lost, f"{a.networks}"))
    print_table(heads, rows, right=heads[1:])
    print(f"{len(read.accuracies)} networks; what learns: means over {DRAWS} draws of its labels, of the others.")
    say_level(reference, level)
    print(f"Results: {folder / 'agreement.csv'}")
