"""The estimator `table`: candidates and accuracies of a CSV."""

from __future__ import annotations

from pathlib import Path

import pytest

from nas.errors import UserError
from nas.estimate.by_name import make_estimator
from nas.estimate.table import read_known, table_lookup
from nas.space.search_space import load_space
from tests.shared_data import shared_data

SPACE = load_space("nas-bench-macro")


def written(folder: Path, text: str) -> Path:
    path = folder / "t.csv"
    path.write_text(text)
    return path


def test_rows_of_one_network_are_its_trainings(tmp_path: Path) -> None:
    """An identity before an operation, or behind it, is the same network."""
    path = written(tmp_path, "arch,accuracy_1,accuracy_2\n00000010,0.5,0.6\n00000001,0.7,0.8\n11111111,0.9,0.9\n")
    first, second = read_known(path, SPACE)
    assert (first.name, second.name) == ("00000010", "11111111")
    assert (first.accuracy, second.accuracy) == (pytest.approx(0.65), pytest.approx(0.9))


def test_percentages_and_candidates_are_understood(tmp_path: Path) -> None:
    names = [choice.name for choice in SPACE.choices if choice.name != "precision"]
    candidate = ";".join(f"{name}=e3_k3" for name in names)
    found = read_known(written(tmp_path, f"candidate,top1\n{candidate},88.5\n"), SPACE, ("top1",))
    assert found[0].accuracy == pytest.approx(0.885) and found[0].network.blocks[1].mid == 96


def test_the_lookup_is_an_estimator(tmp_path: Path) -> None:
    path = written(tmp_path, "arch,accuracy\n00000000,0.5\n11111111,0.9\n")
    known = read_known(path, SPACE)
    settings = {"path": str(path), "accuracy": "accuracy"}
    for lookup in (table_lookup(path, SPACE), make_estimator("table", None, settings, 0, SPACE)):
        lookup.prepare()
        estimate = lookup.estimate(known[1].network, {"learning_rate": 0.1}, seed=3)
        assert estimate.accuracy == 0.9 and estimate.model is None
    other = read_known(written(tmp_path, "arch,accuracy\n22222222,0.7\n"), SPACE)[0]
    with pytest.raises(RuntimeError, match="no accuracy of this network"):
        lookup.estimate(other.network, {}, seed=0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("arch,accuracy\n", "has no rows"),
        ("arch,acc\n00000000,0.5\n", "needs a column accuracy or accuracy_1"),
        ("network,accuracy\n00000000,0.5\n", "needs a column candidate or arch"),
        ("arch,accuracy\n0000000,0.5\n", "line 2: an arch of nas-bench-macro must have 8 digits; got '0000000'"),
        ("arch,accuracy\n00000003,0.5\n", "must be a digit below 3; got 3"),
        ("arch,accuracy\n00000000,nan\n", "accuracy must be a finite number .*line 2"),
        ("arch,accuracy\n00000000,101\n", "at most 100"),
        ("candidate,accuracy\n{},0.5\n", "line 2: a candidate of nas-bench-macro must name"),
    ],
)
def test_a_table_that_is_wrong_is_refused_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        read_known(written(tmp_path, text), SPACE)


def test_nas_bench_macro_has_3969_networks() -> None:
    known = read_known(shared_data("nas_bench_macro/nas_bench_macro.csv"), SPACE, ("acc_seed0", "acc_seed1"))
    assert len(known) == 3969 and max(k.accuracy for k in known) == pytest.approx(0.9325, abs=0.003)


@pytest.mark.parametrize(
    ("settings", "message"),
    [({}, "needs the search space and the path"), ({"file": "x"}, "unknown table setting"), ({"path": 1}, "a text")],
)
def test_a_table_needs_a_path(settings: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        make_estimator("table", None, settings, 0, SPACE)
