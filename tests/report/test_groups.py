"""Runs that differ by their seed alone, on run folders made by hand."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from nas.numbers import percent
from nas.report.compare import best_under, common_box, compare_rows, compare_table
from nas.report.groups import attained, groups_of, spread
from nas.run import Run
from tests.runs import make_believed_run, make_run, trial


def runs_of(folder: Path, sampler: str, accuracies: tuple[float, ...], **changed: object) -> list[Run]:
    """A run a seed, each with a network of 10 ms and this accuracy, and one of 20 ms and 95%."""
    rows = [((0, accuracy, 10.0, 30.0), (1, 0.95, 20.0, 60.0)) for accuracy in accuracies]
    return [
        make_run(folder / f"{sampler}-{seed}", row, sampler=sampler, seed=seed, **changed)
        for seed, row in enumerate(rows)
    ]


def test_runs_are_grouped_by_all_settings_but_the_seed(tmp_path: Path) -> None:
    random, pareto = runs_of(tmp_path, "random", (0.5, 0.6)), runs_of(tmp_path, "pareto", (0.7, 0.8))
    lone = make_run(tmp_path / "lone", sampler="random", seed=7, budgets={"max_latency_ms": 50.0})
    groups = groups_of([random[0], pareto[0], random[1], lone, pareto[1]])
    assert [(g.name, [r.settings.seed for r in g.runs]) for g in groups] == [
        ("random, 2 seeds", [0, 1]), ("pareto, 2 seeds", [0, 1]), (str(tmp_path / "lone"), [7]),
    ]  # fmt: skip


def test_groups_are_named_by_what_differs(tmp_path: Path) -> None:
    loose = runs_of(tmp_path / "loose", "random", (0.5, 0.6))
    tight = runs_of(tmp_path / "tight", "random", (0.5, 0.6), budgets={"max_latency_ms": 50.0})
    names = [g.name for g in groups_of([*loose, *tight])]
    assert names == ["budgets none, 2 seeds", "budgets max_latency_ms=50.0, 2 seeds"]


@pytest.mark.parametrize(
    ("values", "text"),
    [([], "-"), ([0.5], "50.0%"), ([0.9, 0.6, 0.8], "80.0% (60.0% to 90.0%)"), ([0.5, 0.5], "50.0%")],
)
def test_a_spread_is_the_median_and_the_ends(values: list[float], text: str) -> None:
    assert spread(values, percent) == text


def test_what_all_half_and_any_run_reach() -> None:
    """By hand: at 10 ms the runs reach 90%, 60% and nothing; at 15 ms the third reaches 70%; at 20 ms one rises."""
    fronts = [
        [trial(0, 0.9, 10.0, 1.0)], [trial(0, 0.6, 10.0, 1.0), trial(1, 0.95, 20.0, 1.0)], [trial(0, 0.7, 15.0, 1.0)]
    ]  # fmt: skip
    costs, (least, half, most) = attained(fronts, "latency_ms")
    assert costs.tolist() == [10, 15, 20]
    np.testing.assert_array_equal(least, [np.nan, 0.6, 0.7])
    np.testing.assert_array_equal(half, [0.6, 0.7, 0.9])
    np.testing.assert_array_equal(most, [0.9, 0.9, 0.95])


def test_rows_and_budgets_of_a_group_have_its_spread(tmp_path: Path) -> None:
    groups = groups_of(runs_of(tmp_path, "random", (0.9, 0.6, 0.8)))
    (row,) = compare_rows(groups, common_box(groups[0].runs))
    assert row[4:7] == ["0, 1, 2", "2", "2"] and row[8] == "95.0%"
    assert [(r["budget"], r["cells"]) for r in best_under(groups)] == [
        ("10.0 ms", ["80.0% (60.0% to 90.0%)"]), ("20.0 ms", ["95.0%"]),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "name", ["short", "a-folder-with-a-name-that-no-terminal-of-eighty-columns-has-room-for-on-one-line"]
)
def test_a_comparison_fits_a_terminal(name: str, tmp_path: Path) -> None:
    runs = [
        *runs_of(tmp_path / name, "random", (0.9, 0.6)), make_run(tmp_path / name / "alone", device="jetson-agx-xavier")
    ]  # fmt: skip
    out = io.StringIO()
    Console(file=out, width=80).print(compare_table(runs))
    assert max(map(len, out.getvalue().splitlines())) <= 80
    assert "random, 2 seeds" in out.getvalue() and "0 at 100 ms, 400 mJ" in " ".join(out.getvalue().split())


def test_names_in_a_comparison_do_not_act_on_a_terminal(tmp_path: Path) -> None:
    runs = [make_run(tmp_path / "a", space="\x1b[31mred"), make_run(tmp_path / "b", space="[bold]tiny")]
    out = io.StringIO()
    Console(file=out, width=200).print(compare_table(runs))
    assert "\x1b" not in out.getvalue() and "[bold]tiny" in out.getvalue()


def test_a_comparison_has_the_deviations_of_single_runs(tmp_path: Path) -> None:
    runs = [make_believed_run(tmp_path / "sure"), make_run(tmp_path / "plain", device="jetson-agx-xavier")]
    groups = groups_of(runs)
    assert [row[8] for row in compare_rows(groups, common_box(runs))] == ["96.0 ±0.6%", "96.0%"]
    assert best_under(groups)[-1]["cells"][0] == "96.0 ±0.6% (trial 6, 80.0 ms, 200 mJ)"  # the best, greedily
    out = io.StringIO()
    Console(file=out, width=80).print(compare_table(runs))
    assert "96.0 ±0.6%" in out.getvalue() and max(map(len, out.getvalue().splitlines())) <= 80
    assert "Accuracies are the expected ones, ± one standard deviation" in " ".join(out.getvalue().split())
