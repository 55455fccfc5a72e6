"""nas bench search: tables read, searches repeated and scored, results that go on."""

from __future__ import annotations

import csv
import re
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from nas.errors import UserError
from nas.search.bench import results
from nas.search.bench.results import Bench, read_curves, run_bench
from nas.search.bench.run import Searched, bench, bench_sampler, shares, walk_shares
from nas.search.bench.task import read_task

OPS = ("skip", "small", "large")


def write_table(path: Path, drop: int = 0) -> Path:
    """81 rows of four operations, of which the order of the first two does not matter; the last rows may be left out.

    A large operation adds 4 ms and more accuracy than a small one; two trainings differ by 0.2%.
    """
    rows = []
    for ops in product(OPS, repeat=4):
        worth = sum((0, 2, 5)[OPS.index(op)] * (1 + 0.1 * k) for k, op in enumerate(sorted(ops[:2]) + list(ops[2:])))
        accuracy = 0.95 - 0.4 * float(np.exp(-worth / 8))
        ms = 1 + sum((0, 2, 4)[OPS.index(op)] for op in ops)
        network = "-".join([*sorted(ops[:2]), *ops[2:]])
        rows.append([*ops, network, f"{accuracy - 0.001:.4f}", f"{accuracy + 0.001:.4f}", ms, 2 * ms])
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["a", "b", "c", "d", "network", "accuracy_1", "accuracy_2", "latency_ms", "params"])
        writer.writerows(rows[: len(rows) - drop])
    return path


def search_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Searches of a benchmark run in this process: another would import for seconds."""
    monkeypatch.setattr(results, "ProcessPoolExecutor", lambda processes, mp_context: ThreadPoolExecutor(1))


@pytest.mark.parametrize("sampler", ["pareto", "tpe", "nsga2", "random", "optuna.samplers:QMCSampler"])
def test_a_search_sees_one_training_and_never_pays_twice_for_a_network(tmp_path: Path, sampler: str) -> None:
    task = read_task(write_table(tmp_path / "t.csv"), ["latency_ms"])
    found = bench(task, sampler, 3, 54)  # as many as there are networks
    names = {tuple(p.values()) for p in found.params}
    assert len(names) == len(found.params) <= 54 and all(task.canonical(p) == p for p in found.params)
    mean = task.mean(found.params)
    assert np.abs(np.array(found.accuracies) - mean) == pytest.approx(0.001, abs=1e-6)
    curve = shares(task, found)
    assert len(curve) == len(found.params) and 0 <= curve[0] <= 1 and curve.max() <= 1 + 1e-9
    if len(curve) == 54:
        assert curve[-1] == pytest.approx(1, abs=0.01)
    again = bench(task, sampler, 3, 10)
    assert again.params == found.params[:10]


def test_the_true_front_is_worth_one(tmp_path: Path) -> None:
    path = write_table(tmp_path / "t.csv")
    task = read_task(path, ["latency_ms"], least_accuracy=0.6)
    points = [(float(r["accuracy_1"]) + 0.001, float(r["latency_ms"])) for r in csv.DictReader(path.open())]
    worst = max(ms for _, ms in points)
    front = sorted({p for p in points if not any(q[0] >= p[0] and q[1] <= p[1] and q != p for q in points)},
                   key=lambda p: p[1])  # fmt: skip
    volume, before = 0.0, 0.6
    for accuracy, ms in front:
        volume += max(0.0, accuracy - max(before, 0.6)) * (worst - ms)
        before = max(before, accuracy)
    assert task.truth == pytest.approx(volume, rel=1e-6)
    assert task.reference.tolist() == pytest.approx([0.4, worst])


def test_what_the_table_lacks_is_infeasible(tmp_path: Path) -> None:
    task = read_task(write_table(tmp_path / "t.csv", drop=40), ["latency_ms"])
    large = dict.fromkeys("abcd", "large")
    assert not task.feasible(large) and task.feasible(dict.fromkeys("abcd", "skip"))
    for sampler in ("pareto", "random"):
        found = bench(task, sampler, 0, 12)
        assert len(found.params) == 12 and all(task.feasible(p) for p in found.params)


def test_results_grow_and_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = Bench(write_table(tmp_path / "t.csv"), ("pareto", "random"), 2, 12, ("latency_ms",))
    file = tmp_path / "results.csv"
    seen: list[tuple[int, int]] = []
    curves = run_bench(given, file, lambda done, total: seen.append((done, total)))
    assert seen[0] == (0, 4) and seen[-1] == (4, 4)
    search_here(monkeypatch)  # what other processes find is there
    assert {s: sorted(by_seed) for s, by_seed in curves.items()} == {"pareto": [0, 1], "random": [0, 1]}
    kept = file.read_text()
    seen.clear()
    again = run_bench(given, file, lambda done, total: seen.append((done, total)))
    assert seen == [(4, 4)] and file.read_text() == kept
    assert all((again[s][k] == curves[s][k]).all() for s in curves for k in range(2))
    more = Bench(given.table, ("random",), 2, 20, ("latency_ms",))
    longer = run_bench(more, file)["random"][0]
    assert len(longer) == 20 and longer[:12] == pytest.approx(curves["random"][0], abs=1e-5)
    with pytest.raises(UserError, match="another table or reference"):
        run_bench(Bench(given.table, ("random",), 2, 12, ("params",)), file)
    file.write_text(kept + "a,b,c\n")
    with pytest.raises(UserError, match=r"a row must have 6 cells; line .* has 3"):
        read_curves(file)
    file.write_text(kept.replace("pareto,0,2,", "pareto,0,9,", 1))
    with pytest.raises(UserError, match=r"evaluations must rise by one; line \d+ has 9 after 1"):
        read_curves(file)


@pytest.mark.parametrize("cut", [1, 9, 40, 300])
def test_a_row_that_a_kill_cut_is_made_again(tmp_path: Path, cut: int, monkeypatch: pytest.MonkeyPatch) -> None:
    search_here(monkeypatch)
    given = Bench(write_table(tmp_path / "t.csv"), ("random",), 2, 6, ("latency_ms",))
    file = tmp_path / "results.csv"
    run_bench(given, file)
    whole = file.read_text()
    file.write_text(whole[:-cut])
    run_bench(given, file)
    assert read_curves(file).keys() == {(given.name, "random", seed) for seed in range(2)}
    assert all(len(curve) == 6 for curve in read_curves(file).values())
    assert all(len(line.split(",")) == 6 for line in file.read_text().splitlines())


def test_a_table_that_is_wrong_leaves_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    search_here(monkeypatch)
    (tmp_path / "t.csv").write_text("a,b\n1,2\n")
    with pytest.raises(UserError, match="needs a column accuracy"):
        run_bench(Bench(tmp_path / "t.csv", ("random",), 1, 5), tmp_path / "new/folder/results.csv")
    assert [p.name for p in tmp_path.iterdir()] == ["t.csv"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("latency_ms,params", "time,size", "needs a column accuracy or accuracy_1, one to three of"),
        ("accuracy_1", "x_1", ""),
        ("accuracy_1,accuracy_2", "x_1,x_2", "needs a column accuracy"),
        ("0.5490", "54.90", "accuracy_1 must be a fraction from 0 to 1; line 2"),
        ("0.5490", "high", "accuracy_1 must be a finite number; line 2"),
        ("skip,skip,skip,small", "skip,skip,skip,skip", "line 3 repeats the choices of line 2"),
        ("accuracy_2", "accuracy_std", "column accuracy_std is not a training"),
        ("a,b,c,d", "macs,size_mb,energy_mj,d", "has 5 costs .* choose one to three of them by --costs"),
    ],
)
def test_a_table_that_is_wrong_is_one_line(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = write_table(tmp_path / "t.csv")
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    if not message:
        assert read_task(path, ["latency_ms"]).space.keys() > {"x_1"}
        return
    with pytest.raises(UserError, match=message):
        read_task(path)


@pytest.mark.parametrize(
    ("costs", "message"),
    [
        (["accuracy_1"], r"costs must be columns of costs, each once; got accuracy_1"),
        (["params", "params"], r"each once; got params, params"),
        (["a"], "a must be a finite number; line 2 has 'skip'"),
        (["flops"], "has no column flops"),
    ],
)
def test_costs_that_are_none_are_one_line(tmp_path: Path, costs: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        read_task(write_table(tmp_path / "t.csv"), costs)


def test_a_cost_may_have_any_name_and_numbers_any_size(tmp_path: Path) -> None:
    path = write_table(tmp_path / "t.csv")
    path.write_text(path.read_text().replace("latency_ms,params", "flops,hash"))
    assert list(read_task(path, ["flops"]).space) == ["a", "b", "c", "d", "hash"]
    path.write_text("hash,accuracy,latency_ms\n" + "".join(f"{10**19 + i},0.{i + 1},{i}\n" for i in range(8)))
    assert len(bench(read_task(path), "pareto", 0, 8).params) == 8


def test_a_search_ends_when_every_network_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    search_here(monkeypatch)
    given = Bench(write_table(tmp_path / "t.csv"), ("random",), 1, 70, ("latency_ms",))  # 54 networks
    (curve,) = run_bench(given, tmp_path / "results.csv")["random"].values()
    assert len(curve) == 70 and curve[-1] == pytest.approx(1, abs=0.01)
    kept = (tmp_path / "results.csv").read_text()
    run_bench(given, tmp_path / "results.csv")
    assert (tmp_path / "results.csv").read_text() == kept


def test_a_sampler_that_meets_no_row_has_found_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    search_here(monkeypatch)
    rng = np.random.default_rng(0)  # 40 rows of a grid of 10^12
    rows = "".join(",".join(map(str, rng.integers(0, 10, 12))) + f",0.{i + 10},{i + 1}\n" for i in range(40))
    (tmp_path / "t.csv").write_text(",".join("abcdefghijkl") + ",accuracy,latency_ms\n" + rows)
    found = run_bench(Bench(tmp_path / "t.csv", ("random",), 1, 5), tmp_path / "results.csv")["random"]
    assert found[0].tolist() == [0.0] * 5


@pytest.mark.parametrize("name", ["nothing.here:Sampler", "optuna.samplers:Nothing", "collections:Counter"])
def test_a_sampler_that_is_none_is_one_line(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match=re.escape(name)):
        bench_sampler(name, read_task(write_table(tmp_path / "t.csv"), ["latency_ms"]), 0)


def write_described(path: Path) -> Path:
    """The table above with MACs, which are 10 and more for each operation by its size, and a stage sum of no use."""
    write_table(path)
    rows = list(csv.DictReader(path.open()))
    for i, row in enumerate(rows):
        row["macs"] = str(100 + sum((0, 10, 30)[OPS.index(row[c])] for c in "abcd"))
        row["stage_sum"] = str(i % 7)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def test_the_walk_is_spread_along_the_front_of_macs_and_the_first_cost(tmp_path: Path) -> None:
    """Of s small and l large operations the latency is 1 + 2 s + 4 l and the MACs 100 + 10 s + 30 l: fewer small ones
    for as much time have more MACs, so along the front s is 0 or 1."""
    task = read_task(write_described(tmp_path / "t.csv"), ["latency_ms"])
    assert task.walk is not None
    nine = task.walk(9)
    assert task.costs(nine)[:, 0].tolist() == [1.0 + 2 * k for k in range(9)]
    assert [sum(op == "small" for op in p.values()) for p in nine] == [0, 1, 0, 1, 0, 1, 0, 1, 0]
    assert task.costs(task.walk(3))[:, 0].tolist() == [1.0, 9.0, 17.0]
    assert len(task.walk(40)) == 9
    curve = walk_shares(task.walk, task, 0, 12)
    assert len(curve) == 12 and curve[8:] == pytest.approx(curve[8])
    three = Searched(task.walk(3), [task.seen(p, 0) for p in task.walk(3)], [])
    assert curve[2] == pytest.approx(shares(task, three)[-1])


def test_a_walk_in_the_results_is_a_search_like_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    search_here(monkeypatch)
    given = Bench(write_described(tmp_path / "t.csv"), ("walk", "random"), 2, 12, ("latency_ms",))
    curves = run_bench(given, tmp_path / "results.csv")
    assert {s: len(by_seed) for s, by_seed in curves.items()} == {"walk": 2, "random": 2}
    assert (curves["walk"][0] == run_bench(given, tmp_path / "results.csv")["walk"][0]).all()


def test_without_macs_there_is_no_walk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    search_here(monkeypatch)
    given = Bench(write_table(tmp_path / "t.csv"), ("walk",), 1, 5, ("latency_ms",))
    with pytest.raises(UserError, match=r"t\.csv: walk needs a column macs; it has none"):
        run_bench(given, tmp_path / "new/results.csv")
    assert [p.name for p in tmp_path.iterdir()] == ["t.csv"]


def test_descriptors_are_columns_of_their_own(tmp_path: Path) -> None:
    path = write_described(tmp_path / "t.csv")
    some = [{"a": "skip", "b": "small", "c": "skip", "d": "large"}]
    task = read_task(path, ["latency_ms"])
    assert sorted(task.space) == ["a", "b", "c", "d"] and task.describe is not None
    assert task.describe(some).tolist() == [[140.0, 2 * 7.0, (3 * 3 + 2) % 7]]
    chosen = read_task(path, ["latency_ms"], descriptors=["macs"])
    assert chosen.describe is not None and chosen.describe(some).tolist() == [[140.0]]
    assert "stage_sum" not in chosen.space and read_task(path, ["latency_ms"], descriptors=[]).describe is None
    for wrong, message in ((["latency_ms"], "other columns than costs"), (["depth"], "has no column depth")):
        with pytest.raises(UserError, match=message):
            read_task(path, ["latency_ms"], descriptors=wrong)
