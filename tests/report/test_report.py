"""Tables and pictures of run folders."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from matplotlib.figure import Figure
from matplotlib.text import Annotation
from rich.console import Console

from nas.errors import UserError
from nas.numbers import figure
from nas.report import FORMATS, front_table, write_report
from nas.report.markdown import markdown
from nas.report.report import report_json
from nas.report.table import summary
from nas.run import Reference, Run, front_volume, write_references
from nas.space.candidate import Candidate
from tests.runs import BELIEFS, costs, make_believed_run, make_run

TIED = {**BELIEFS, 5: (0.957, 0.01)}  # trial 5, dearer than 1 in latency alone, is on the front, and tied with it


def printed(run: Run, width: int = 80) -> str:
    out = io.StringIO()
    Console(file=out, width=width).print(front_table(run))
    return out.getvalue()


def drawn(run: Run, monkeypatch: pytest.MonkeyPatch) -> Figure:
    """The figure behind the picture."""
    figures, save = list[Figure](), Figure.savefig

    def keep(self: Figure, *args: object, **options: object) -> None:
        figures.append(self)
        save(self, *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(Figure, "savefig", keep)
    assert all(path.exists() for path in write_report(run))
    return figures[0]


def test_the_table_fits_a_terminal_and_holds_the_front(tmp_path: Path) -> None:
    text = printed(make_run(tmp_path / "run"))
    lines = text.splitlines()
    assert max(map(len, lines)) <= 80
    assert "5 of 7 trials on the front" in text
    rows = [line.split() for line in lines if line.strip()[:1].isdigit()]
    assert rows[0] == ["2", "80.0", "5.00", "20.0", "0.500", "fp32", "@32", "d2k35"]
    assert [row[0] for row in rows] == ["2", "0", "1", "5", "6"]
    assert "latency, int8, fitted: 90% of held-out networks fell within -50% to +100%" in text
    assert "energy, int8, fitted: 90% of held-out networks fell within -25% to +50%" in text


def test_accuracies_stand_with_their_deviations_and_ties(tmp_path: Path) -> None:
    run = make_believed_run(tmp_path / "run", TIED)
    text = printed(run)
    lines = text.splitlines()
    assert max(map(len, lines)) <= 80 and "4 of 7 trials on the front" in text
    rows = {line.split()[0]: line.split()[1:4] for line in lines if line.strip()[:1].isdigit() and "±" in line}
    assert rows["1"][:2] == ["95.5", "±0.8"] and rows["5"] == ["95.7", "±1.0", "25"] and "6" not in rows
    assert [line.split()[4] for line in lines if line.strip().startswith("5 ")] == ["1"]  # tied with trial 1
    told = " ".join(text.split())
    assert "tie: the cheapest network of the front that cannot be told from this one" in told
    assert "3 of the 4 networks on the front can be told apart." in told  # all but 5
    assert "1 network was left off the front, as it cannot be told from a cheaper one of it: trial 6." in told
    assert "Differences between networks are surer than that: all were validated on the same images." in told
    write_report(run, ["md"])
    found = (run.path / "report.md").read_text()
    assert "| trial | expected accuracy | front | tie | measured | ms |" in found
    assert "| 5 | 95.7 ±1.0% | 25% | 1 | 95.0% | 25.0 |" in found and "| 6 |" not in found and "trial 6." in found
    assert "95.0 ±&lt;0.1%" in markdown(make_believed_run(tmp_path / "sure"))


def test_intervals_are_those_of_new_images(tmp_path: Path) -> None:
    """Of 100 validation images 95.5% is 2.1 points from the truth, whatever is known of the differences."""
    run = make_believed_run(tmp_path / "run", validation_images=100)
    assert "95.5 ±2.2" in printed(run) and "95.5 ±2.2%" in markdown(run)
    (row,) = (row for row in report_json(run, [])["front"] if row["trial"] == 1)
    assert row["accuracy_deviation"] == 0.008  # that which tells networks apart


def test_many_that_are_left_off_are_counted_and_named(tmp_path: Path) -> None:
    """Of networks that differ by less than is known of any: the cheapest stands for all, and every file says so."""
    rows = tuple((i, 0.9, 10.0 + i, 30.0 + i) for i in range(12))
    run = make_believed_run(tmp_path / "run", {i: (0.9 + 0.0001 * i, 0.01) for i in range(12)}, rows=rows)
    others = list(range(1, 12))
    assert [t.trial for t in run.front_trials] == [0] and [t.trial for t in run.left_off] == others
    assert (
        "11 networks were left off the front, as they cannot be told from cheaper ones of it: trials 1, 2,"
        in " ".join(printed(run).split())
    )
    write_report(run, ["csv", "json", "md"])
    for name in ("pareto.csv", "front.csv"):
        assert [row["trial"] for row in csv.DictReader((run.path / name).open())] == ["0"]
    for told in (
        *(json.loads((run.path / f).read_text()) for f in ("pareto.json", "front.json")),
        report_json(run, []),
    ):
        assert [row["trial"] for row in told["front"]] == [0] and told["left_off"] == others
        assert told["hypervolume"] == pytest.approx(run.hypervolume)
    assert run.hypervolume > front_volume(run.front_trials, run.settings)  # those that were left off count
    assert len(run.front) == 1 and "1 on the front" in repr(run)


@pytest.mark.parametrize("digits", [4, 5])
def test_the_widest_table_fits_a_terminal_too(tmp_path: Path, digits: int) -> None:
    """Tested, robust, tied, with energies, and numbers of trials as in a long search."""
    run = make_believed_run(tmp_path / "run", TIED)
    far = [
        replace(t, trial=t.trial + 10**digits - 10, test_accuracy=0.951, robust_accuracy=0.612,
                costs=replace(t.costs, latency_ms=123.4 * t.costs.latency_ms, energy_mj=0.00123 * t.value("energy_mj")))
        for t in run.trials
    ]  # fmt: skip
    text = printed(replace(run, trials=tuple(far)))
    assert max(map(len, text.splitlines())) <= 80
    assert all(
        word in text for word in ("expected", "front", "tie", "test", "robust", "mJ", "95.7 ±1.0", "95.1", "61.2")
    )


def test_without_an_expected_accuracy_nothing_is_said_of_ties(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    write_report(run, ["md", "html"])
    told = printed(run) + (run.path / "report.md").read_text()
    assert "±" not in told and "tie" not in told and "expected" not in told
    assert "tied with" not in (run.path / "report.html").read_text()


def test_machine_readable_files_have_what_is_believed(tmp_path: Path) -> None:
    run = make_believed_run(tmp_path / "run", TIED)
    write_report(run, ["csv", "json"])
    for row in (
        json.loads((run.path / "front.json").read_text())["front"][-1], report_json(run, [])["front"][-1],
        next(row for row in csv.DictReader((run.path / "front.csv").open()) if row["trial"] == "5"),
    ):  # fmt: skip
        assert [float(row[c]) for c in ("expected_accuracy", "accuracy_deviation", "front_probability")] == [
            TIED[5][0], TIED[5][1], 0.25
        ]  # fmt: skip
        assert int(row["trainings"]) == 3
    assert report_json(run, [])["front"][-1]["tied_with"] == [1]


def test_the_picture_draws_expected_accuracies_with_their_deviations(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = drawn(make_believed_run(tmp_path / "run", validation_images=100), monkeypatch).axes[0]
    assert left.get_ylabel() == "expected accuracy (%)"
    steps = next(line for line in left.lines if line.get_drawstyle() == "steps-post")
    assert [list(p) for p in steps.get_xydata()] == [[5, 80], [10, 90], [20, 95.5]]  # type: ignore[union-attr]
    bars = [[list(end) for end in bar] for c in left.collections for bar in c.get_segments()]  # type: ignore[attr-defined]
    off = 100 * (0.008**2 + 0.955 * 0.045 / 100) ** 0.5  # of trial 1, on new images
    assert [[20, pytest.approx(95.5 - off)], [20, pytest.approx(95.5 + off)]] in bars
    assert len(bars) == 8  # four on the front, across and upright; trial 6 was left off, as it cannot be told from 1


def test_the_report_writes_pages_and_the_front_only_where_asked(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    kept = {p: p.read_bytes() for p in run.path.iterdir()}
    assert [p.name for p in write_report(run)] == ["front.png", "report.md", "report.html"]
    assert [p.name for p in write_report(run, ("csv", "json"))] == ["front.csv", "front.json"]
    assert (run.path / "front.csv").read_bytes() == kept[run.path / "pareto.csv"]
    summary = json.loads(kept[run.path / "pareto.json"])
    assert json.loads((run.path / "front.json").read_text()) | {"ended": True} == summary
    assert {p: p.read_bytes() for p in kept} == kept
    assert (run.path / "front.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_the_picture_has_two_panels_with_units_budgets_and_references(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    figure = drawn(make_run(tmp_path / "run", budgets={"max_latency_ms": 90.0, "max_size_mb": 9.0}), monkeypatch)
    left, right = figure.axes
    assert left.get_xlabel() == "latency on raspberry-pi-4, one image (ms)"
    assert right.get_xlabel() == "energy on raspberry-pi-4, one image (mJ)"
    assert left.get_ylabel() == "validation accuracy (%)"

    def labels(panel: int) -> list[str]:
        return [text.get_text() for text in figure.axes[panel].texts if isinstance(text, Annotation)]

    assert labels(0) == ["budget 90 ms", "MobileNetV2 1.0 @224"]
    assert labels(1) == ["MobileNetV2 1.0 @224"]
    steps = next(line for line in left.lines if line.get_drawstyle() == "steps-post")
    assert [list(p) for p in steps.get_xydata()] == [[5, 80], [10, 90], [20, 95], [80, 96]]  # type: ignore[union-attr]
    points = sorted(float(x) for line in left.lines if line.get_marker() == "o" for x in line.get_xdata())  # type: ignore[union-attr]
    assert points == [5, 10, 12, 20, 25, 80]  # every trained trial, no failed one


def test_no_two_labels_of_a_picture_overlap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    figure = drawn(make_run(tmp_path / "run", budgets={"max_latency_ms": 90.0}), monkeypatch)
    for axes in figure.axes:
        (low, high), (floor, top) = axes.get_xlim(), axes.get_ylim()
        texts = [*axes.texts, axes.xaxis.label, axes.yaxis.label, *figure.texts]
        texts += [t for t in axes.get_xticklabels() if low <= t.get_position()[0] <= high]
        texts += [t for t in axes.get_yticklabels() if floor <= t.get_position()[1] <= top]
        boxes = [(t.get_text(), t.get_window_extent()) for t in texts if t.get_text() and t.get_visible()]
        assert len(boxes) > 8
        for i, (text, extent) in enumerate(boxes):
            assert not [other for other, beside in boxes[i + 1 :] if extent.overlaps(beside)], text


@pytest.mark.parametrize("rows", [(), ((0, None, 3.0, 9.0),), ((0, 0.5, 3.0, 9.0),)])
def test_runs_with_hardly_a_trial_are_reported_too(
    tmp_path: Path, rows: tuple[tuple[int, float | None, float, float | None], ...]
) -> None:
    run = make_run(tmp_path / "run", rows)
    assert len(write_report(run, FORMATS)) == 5
    assert f"of {len(rows)} trials on the front" in printed(run)


def test_without_energy_there_is_one_panel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run(tmp_path / "run", ((0, 0.9, 10.0, None), (1, 0.8, 5.0, None)), objectives=("accuracy", "latency"))
    assert len(drawn(run, monkeypatch).axes) == 1
    assert "mJ" not in printed(run)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0123456, "0.0123"),
        (1.0, "1.00"),
        (99.96, "100"),
        (123.4, "123"),
        (12345.6, "12,346"),
        (None, "-"),
        (0, "0"),
    ],
)
def test_costs_have_three_digits(value: float | None, text: str) -> None:
    assert figure(value) == text


def test_a_summary_names_depth_kernel_and_expansion_of_each_stage() -> None:
    values = {"resolution": 160, "width": 0.5, "s1.depth": 2, "s1.block1.kernel": 3, "s1.block2.kernel": 7,
              "s1.block3.kernel": 3, "s2.op": "e3_k3", "learning_rate": 0.1, "precision": "int8"}  # fmt: skip
    assert summary(Candidate.of(values)) == "@160 x0.5 d2k37 e3_k3"


@pytest.mark.parametrize("step", [0.05, 1e-4, 1e-6])
def test_no_label_is_cut_off(step: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Accuracies that hardly differ have ticks of many digits, which push the label to the left."""
    rows = tuple((i, 0.5 + i * step, 5.0 + i, None) for i in range(6))
    run = make_run(tmp_path / "run", rows, objectives=("accuracy", "latency"))
    figure = drawn(run, monkeypatch)
    box = figure.axes[0].yaxis.get_tightbbox()
    assert box is not None and box.x0 >= 0


def test_names_in_a_table_do_not_act_on_a_terminal(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    odd = replace(run, settings=replace(run.settings, space="\x1b[2J[bold red]x", dataset="[link=file:]y"))
    text = printed(odd, 120)
    assert "\x1b" not in text and "[bold red]x" in text and "[link=file:]y" in text


def test_nothing_is_written_where_one_of_the_files_cannot_be(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    (run.path / "report.html").mkdir()
    kept = sorted(run.path.iterdir())
    with pytest.raises(UserError, match=r"report\.html: a folder"):
        write_report(run)
    assert sorted(run.path.iterdir()) == kept


def test_a_chart_names_ten_of_the_references_that_it_does_not_draw(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(tmp_path / "run")
    write_references(run.path, [Reference(f"net{n}", "fp32", costs(1e4 + n, None)) for n in range(900)])
    notes = " ".join(text.get_text() for text in drawn(run, monkeypatch).texts).replace("\n", " ")
    assert "net9 " in notes and "net10 " not in notes and "and 890 more" in notes
