"""Tables without a search space: what is read, and how well columns and learned estimators rank."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nas.errors import UserError
from nas.estimate.bench.plain_table import Curve, PlainTable, compare_plain, read_plain
from tests.shared_data import shared_data


def written(folder: Path, networks: int = 60) -> Path:
    """Networks whose accuracy follows from two numbers and from something that only their curves show."""
    rng = np.random.default_rng(0)
    lines = ["name,macs,width,e1acc,e1loss,e2acc,e2loss,final"]
    for i in range(networks):
        macs, width, hidden = rng.uniform(6, 8), rng.uniform(0, 1), rng.uniform(0, 1)
        final = 1 - np.exp(-0.25 * macs - 0.4 * width - 0.3 * hidden)
        early = [0.4 * hidden + 0.05 * macs * k / 2 for k in (1, 2)]
        cells = [100 * (1 - np.exp(-x)) if j == 0 else np.exp(-x) for x in early for j in (0, 1)]
        lines.append(f"n{i},{10**macs:.0f},{width:.4f}," + ",".join(f"{c:.4f}" for c in cells) + f",{100 * final:.3f}")
    path = folder / "t.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_columns_are_found_by_pattern_and_brought_to_one_scale(tmp_path: Path) -> None:
    path = written(tmp_path, 12)
    table = read_plain(path, "final", ["macs", "w*"], ["e*acc", "e*loss"], first=2)
    accuracies, losses = table.curves
    assert list(table.features) == ["macs", "width"] and accuracies.columns == ("e1acc", "e2acc")
    assert (accuracies.loss, losses.loss) == (False, True)
    assert table.accuracies.max() < 1  # percentages in the file
    row = path.read_text().splitlines()[1].split(",")
    assert accuracies.values[0] == pytest.approx([float(row[3]) / 100, float(row[5]) / 100])
    assert losses.values[0] == pytest.approx([float(row[4]), float(row[6])])
    assert list(table.columns) == ["macs", "width", "e2acc", "e2loss"]  # of each, more is better
    assert table.columns["e2loss"][0] == -float(row[6])
    assert read_plain(path, "final", [], ["e*acc"], first=1).curves[0].columns == ("e1acc",)


def test_what_learns_beats_single_columns_and_curves_help(tmp_path: Path) -> None:
    table = read_plain(written(tmp_path), "final", ["macs", "width"], ["e*acc", "e*loss"], first=2)
    compared = compare_plain(table, ["combined:15", "curve:15", "macs+width", "macs"])
    assert [c.name for c in compared if c.baseline] == sorted(
        ["macs", "width", "e2acc", "e2loss"], key=lambda n: -next(c.agreement.tau for c in compared if c.name == n)
    )
    taus = {c.name: c.agreement.tau for c in compared}
    assert taus["curve:15"] > taus["combined:15"] + 0.1 and taus["curve:15"] > 0.8
    assert taus["combined:15"] > max(taus["macs"], taus["width"])
    curve = next(c for c in compared if c.name == "curve:15")
    assert curve.agreement.networks == 45 and curve.better > 0.95
    assert curve.agreement.low <= curve.agreement.tau <= curve.agreement.high
    again = compare_plain(table, ["curve:15"])[0].agreement
    assert again.tau == curve.agreement.tau


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("top1", ["macs"]), "needs the columns top1"),
        (("final", ["mac"]), "has no column 'mac'; it has name, macs"),
        (("final", ["*"]), "column final is what is to be predicted"),
        (("final", ["name"]), "name must be a finite number"),
        (("final", ["macs"], ["e*acc"], 3), "needs a column e3acc, for epoch 3"),
        (("final", ["macs"], ["acc_*"], 1), "has no column 'acc_\\*'"),
        (("macs", ["width"]), "macs must be a finite number of at most 100"),
    ],
)
def test_columns_that_are_not_there_are_named(tmp_path: Path, given: tuple[object, ...], message: str) -> None:
    with pytest.raises(UserError, match=message):
        read_plain(written(tmp_path, 5), *given)  # type: ignore[arg-type]
    empty = tmp_path / "empty.csv"
    empty.write_text("macs,final\n")
    with pytest.raises(UserError, match="has no rows"):
        read_plain(empty, "final", ["macs"])


@pytest.mark.parametrize(
    ("estimator", "message"),
    [
        ("combined", "unknown estimator 'combined'; did you mean 'combined:20'"),
        ("combined:2", "must learn from at least 3 networks; got combined:2"),
        ("combined:55", "combined:55 needs 65 networks, 10 of them to be ranked; the table has 60"),
        ("curve:10", "curve:10 reads first epochs: name their columns"),
        ("swap", "unknown estimator 'swap'"),
    ],
)
def test_estimators_that_cannot_be_are_refused(tmp_path: Path, estimator: str, message: str) -> None:
    table = read_plain(written(tmp_path), "final", ["macs"])
    with pytest.raises(UserError, match=message):
        compare_plain(table, [estimator])


def test_a_curve_alone_is_learned_from_too() -> None:
    accuracies = np.random.default_rng(0).uniform(0.5, 0.9, 40)
    table = PlainTable(accuracies, {}, (Curve(("e1",), accuracies[:, None] - 0.2, False),))
    assert compare_plain(table, ["curve:10"])[0].agreement.tau > 0.8


def test_naap_440_is_ranked_by_structure_and_first_epochs() -> None:
    """Structure alone 0.78, with nine epochs 0.85, last accuracy 0.79: experiments/estimators."""
    path = shared_data("naap440/naap440.csv")
    table = read_plain(path, "MaxAccuracy", ["Num*", "*Width"], ["e*Accuracy", "e*LossMean"], first=9)
    compared = {c.name: c.agreement.tau for c in compare_plain(table, ["combined:20", "curve:20", "NumMACs+NumParams"])}
    assert compared["NumMACs+NumParams"] == pytest.approx(0.74, abs=0.005)
    assert compared["e9Accuracy"] == pytest.approx(0.791, abs=0.005)
    assert compared["combined:20"] > 0.765 and compared["curve:20"] > 0.83
