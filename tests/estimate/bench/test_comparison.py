"""Estimators compared on a small table: what is estimated, kept, gone on with, and said."""

from __future__ import annotations

import csv
import time
from itertools import product
from pathlib import Path

import pytest

from nas.data.catalog import load_dataset
from nas.data.dataset import Dataset
from nas.errors import UserError
from nas.estimate.bench.chart import draw_comparison
from nas.estimate.bench.comparison import SUM, Bench, Compared, compare, comparison_csv, no_better
from nas.estimate.bench.measurements import choose, read_measurements
from nas.estimate.table import Known, read_known
from nas.space.search_space import SearchSpace, parse_space

SMALL = """
name = "small"
title = "Small"
source = "the tests"
classes = 10
resolution = 8
stage = [
  { block = "conv", kernel = 3, channels = 8, stride = 2, activation = "relu" },
  { block = "mbconv", per = "stage", depth = [1, 2, 3], kernel = [3, 5], expand = [1, 2, 4], channels = 8 },
  { block = "pool_linear" },
]
"""


@pytest.fixture(scope="module")
def space() -> SearchSpace:
    return parse_space(SMALL, Path("small.toml"))


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load_dataset("digits")


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """18 networks, the better the deeper and wider."""
    path = tmp_path / "t.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["arch", "accuracy"])
        for digits in product(range(3), range(2), range(3)):
            writer.writerow(
                ["".join(map(str, digits)), f"{0.5 + digits[0] / 10 + digits[2] / 30 + digits[1] / 99:.4f}"]
            )
    return path


def test_estimators_stand_beside_baselines_each_best_first(
    table: Path, space: SearchSpace, digits: Dataset, tmp_path: Path
) -> None:
    given = Bench(table, space, digits, ("depth+swap+naswot", "swap", "table"), networks=11, best=1, initializations=1)
    said: list[tuple[int, int]] = []
    compared = compare(given, tmp_path / "out" / "values.csv", lambda *x: said.append(x))
    estimators, baselines = [c for c in compared if not c.baseline], [c for c in compared if c.baseline]
    assert [c.name for c in compared] == [c.name for c in (*estimators, *baselines)]
    assert {c.name for c in estimators} == {"depth+swap+naswot", "swap", "table"} and len(baselines) == 6
    for group in (estimators, baselines):
        taus = [c.agreement.tau for c in group]
        assert taus == sorted(taus, reverse=True)
    truth = estimators[0]
    assert truth.name == "table" and truth.agreement.tau == pytest.approx(1) and truth.better > 0.9
    by_name = {c.name: c for c in compared}
    assert by_name["depth+swap+naswot"].seconds >= by_name["swap"].seconds > 0 == by_name["depth"].seconds
    assert said[0] == (0, 36) and said[-1] == (36, 36)  # swap, naswot, table; a baseline needs no estimate
    assert comparison_csv(compared).count("\n") == 1 + len(compared)
    best, level = no_better(compared)
    assert best == baselines[0].name and "table" not in level
    draw_comparison(compared, "small $1$", tmp_path / "tau.png")
    assert (tmp_path / "tau.png").read_bytes().startswith(b"\x89PNG")


def test_a_stopped_comparison_goes_on(table: Path, space: SearchSpace, digits: Dataset, tmp_path: Path) -> None:
    file = tmp_path / "values.csv"
    given = Bench(table, space, digits, ("swap",), networks=6, initializations=1)
    whole = compare(given, file)
    lines = file.read_text().splitlines(keepends=True)
    file.write_text("".join(lines[:4]) + lines[4][:9])  # killed in the middle of the fourth row
    begun: list[int] = []
    again = compare(given, file, lambda done, total: begun.append(done))
    assert begun[0] == 3
    assert [repr(c.agreement) for c in again] == [repr(c.agreement) for c in whole]  # NaN equals no NaN
    assert [line.split(",")[:4] for line in file.read_text().splitlines()] == [
        line.rstrip().split(",")[:4] for line in lines
    ]


def test_results_of_another_comparison_are_never_mixed_in(
    table: Path, space: SearchSpace, digits: Dataset, tmp_path: Path
) -> None:
    file = tmp_path / "values.csv"
    compare(Bench(table, space, digits, ("swap",), networks=3, initializations=1), file)
    kept = file.read_bytes()
    for change in ({"seed": 1}, {"initializations": 2}):
        with pytest.raises(UserError, match=r"must hold results of t-.*give another --out"):
            compare(Bench(table, space, digits, ("swap",), networks=3, **change), file)  # type: ignore[arg-type]
    assert file.read_bytes() == kept
    file.write_text("a,b\n1,2\n")
    with pytest.raises(UserError, match="is not a file of nas bench estimators"):
        read_measurements(file, "t")


def test_a_proxy_training_can_be_compared_too(table: Path, space: SearchSpace, digits: Dataset, tmp_path: Path) -> None:
    quick = SearchSpace(space.table.model_copy(update={"proxy": space.proxy.model_copy(update={"epochs": 1})}), "x")
    begun = time.process_time()
    compared = compare(Bench(table, quick, digits, ("proxy",), networks=3), tmp_path / "values.csv")
    assert compared[0].name == "proxy" and 0 < compared[0].seconds <= time.process_time() - begun


def test_a_supernet_is_trained_once_for_so_many_epochs(
    table: Path, space: SearchSpace, digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NAS_HOME", str(tmp_path / "home"))
    prepared: list[tuple[int, int]] = []
    given = Bench(table, space, digits, ("supernet",), networks=5, proxy={"epochs": 2, "data_share": 0.5})
    found = compare(
        given, tmp_path / "one" / "v.csv", on_prepare=lambda done, total, what: prepared.append((done, total))
    )
    steps = 2 * (len(digits.train) // 64)
    assert prepared == [(n, steps) for n in range(1, steps + 1)]
    again = compare(given, tmp_path / "two" / "v.csv", on_prepare=lambda done, total, what: prepared.append((0, 0)))
    assert (0, 0) not in prepared and again[0].agreement == found[0].agreement and found[0].name == "supernet"


@pytest.mark.parametrize(
    ("estimators", "message"),
    [
        (("swop",), "unknown estimator 'swop'; did you mean 'swap'"),
        (("swap+",), "unknown estimator ''"),
        ((), "estimators must be some of"),
    ],
)
def test_unknown_estimators_are_refused_before_anything_is_written(
    table: Path, space: SearchSpace, digits: Dataset, tmp_path: Path, estimators: tuple[str, ...], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        compare(Bench(table, space, digits, estimators), tmp_path / "out" / "values.csv")
    assert not (tmp_path / "out").exists()


def test_scores_need_images(table: Path, space: SearchSpace, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="swap looks at images"):
        compare(Bench(table, space, None, ("swap",), networks=3), tmp_path / "out" / "values.csv")
    assert not (tmp_path / "out").exists()
    baselines: list[Compared] = compare(Bench(table, space, None, ("depth",), networks=18), tmp_path / "values.csv")
    assert all(c.baseline for c in baselines) and not (tmp_path / "values.csv").exists()


def test_fresh_networks_are_those_behind_the_first(table: Path, space: SearchSpace) -> None:
    known = read_known(table, space)
    first, fresh = choose(known, 10, 0, 0, seed=4), choose(known, 8, 0, 10, seed=4)
    assert {k.name for k in first.drawn} | {k.name for k in fresh.drawn} == {k.name for k in known}
    few = choose(known, 3, 1, 0, seed=4)
    assert few.extra[0].accuracy >= few.top_accuracy and few.extra[0] not in few.drawn
    again: tuple[Known, ...] = choose(known, 10, 0, 0, seed=4).drawn
    assert first.drawn == again != choose(known, 10, 0, 0, seed=5).drawn


@pytest.mark.parametrize(("networks", "best", "skip"), [(19, 0, 0), (10, 0, 9), (2, 0, 0), (18, 1, 0)])
def test_more_networks_than_there_are_are_refused(
    table: Path, space: SearchSpace, networks: int, best: int, skip: int
) -> None:
    with pytest.raises(UserError, match="must have"):
        choose(read_known(table, space), networks, best, skip, seed=0)


def test_the_sum_by_default_is_the_estimators_own() -> None:
    assert SUM == "depth+swap+trainability"


def test_further_networks_of_the_best_tenth_change_no_other_figure(
    table: Path, space: SearchSpace, digits: Dataset, tmp_path: Path
) -> None:
    """A sum of ranks is among those that were drawn."""
    plain, more = (
        compare(Bench(table, space, digits, ("depth+swap",), (), 11, best, initializations=1), tmp_path / "v.csv")
        for best in (0, 1)
    )  # fmt: skip
    figures = [[(c.name, c.agreement.tau, c.agreement.equal_depth, c.agreement.low) for c in x] for x in (plain, more)]
    assert figures[0] == figures[1] and more[0].agreement.top_networks == plain[0].agreement.top_networks + 1


def test_combined_learns_from_networks_that_are_not_compared(
    table: Path, space: SearchSpace, digits: Dataset, tmp_path: Path
) -> None:
    given = Bench(table, space, None, ("combined:8", "combined:4"), networks=10)
    compared = {c.name: c.agreement.tau for c in compare(given, tmp_path / "values.csv")}
    assert compared["combined:8"] > 0.8 and "combined:4" in compared
    scored = Bench(table, space, digits, ("combined:4",), networks=5, initializations=1)
    assert compare(scored, tmp_path / "scored" / "values.csv")[0].seconds > 0
    for estimators, message in (
        (("combined:9",), "combined:9 needs 9 networks of the table that are not compared; got 8"),
        (("combined:2",), "combined must learn from at least 3 networks; got combined:2"),
        (("combined:x",), "unknown estimator 'combined:x'; did you mean 'combined"),
    ):
        with pytest.raises(UserError, match=message):
            compare(Bench(table, space, None, estimators, networks=10), tmp_path / "fresh" / "values.csv")
    assert not (tmp_path / "fresh").exists()
