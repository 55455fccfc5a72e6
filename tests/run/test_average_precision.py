"""What a run keeps of a detector's average precision: read as it was written, and nothing else is read."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

from nas.errors import UserError
from nas.run import AveragePrecision, load_run, write_trials
from nas.run.average_precision import BOX_COLUMNS, MOST_CLASSES
from tests.runs import make_detector_run, make_run

ONE = AveragePrecision(0.9, 0.95, 0.5, None, 0.25, 1 / 3, (0.5, None, 1.0), (1, None, 1.0))


def test_a_run_of_detectors_keeps_all_of_it(tmp_path: Path) -> None:
    run = make_detector_run(tmp_path / "run")
    again = load_run(tmp_path / "run")
    assert again.trials == run.trials and again.settings.class_names == ("RBC", "a|b <i>", "Platelets")
    kept = again.trials[0].average_precision
    assert kept is not None and (kept.small, kept.of_classes[2]) == (None, None)
    assert again.trials[4].average_precision is None  # it failed
    header = (tmp_path / "run/trials.csv").read_text().partition("\n")[0].split(",")
    assert header[-len(BOX_COLUMNS) :] == list(BOX_COLUMNS)
    front = json.loads((tmp_path / "run/pareto.json").read_text())["front"]
    assert front[0]["ap_of_classes"][2] is None and front[0]["ap50"] > front[0]["ap_of_classes"][0]
    assert again.trials[0].value("ap50") == kept.at_50 and math.isnan(again.trials[4].value("ap50"))
    assert "ap50" in again.front.columns


def test_files_of_classifiers_have_nothing_of_it(tmp_path: Path) -> None:
    make_run(tmp_path / "run")
    text = "".join((tmp_path / "run" / name).read_text() for name in ("trials.csv", "pareto.json", "run.toml"))
    assert "ap50" not in text and "class_names" not in text


def test_precisions_of_many_classes_are_not_kept() -> None:
    many = AveragePrecision(0.9, 0.9, 0.9, of_classes=(0.5,) * (MOST_CLASSES + 1), at_50_of_classes=(0.5,) * 1001)
    assert many.columns()["ap_of_classes"] == [] and len(json.dumps([0.123456] * MOST_CLASSES).replace(" ", "")) < 1e4


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (",0.95,", ",1.5,", "ap50 must be a fraction from 0 to 1; got '1.5'"),
        (",0.95,", ",,", "ap50 must be a fraction from 0 to 1; got 'None'"),
        (",0.95,", ",x,", "ap50: not a readable JSON file"),
        ("[0.5,null,1.0]", "[0.5,-1,1.0]", "ap_of_classes must be a list of fractions"),
        ("[0.5,null,1.0]", "[0.5]", "ap_of_classes and ap50_of_classes must be of as many classes"),
        ("[0.5,null,1.0]", "{}", "ap_of_classes must be a list of fractions"),
    ],
)
def test_a_strange_table_is_one_line(tmp_path: Path, old: str, new: str, said: str) -> None:
    run = make_detector_run(tmp_path / "run")
    write_trials(run.path, run.settings, [replace(run.trials[0], average_precision=ONE)])
    assert load_run(run.path).trials[0].average_precision == AveragePrecision(
        0.9, 0.95, 0.5, None, 0.25, 0.333333, (0.5, None, 1.0), (1, None, 1.0)
    )
    file = run.path / "trials.csv"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))
    with pytest.raises(UserError) as error:
        load_run(run.path)
    assert said in str(error.value) and "trials.csv line 2" in str(error.value) and "\n" not in str(error.value)


def test_as_many_names_as_classes(tmp_path: Path) -> None:
    make_detector_run(tmp_path / "run")
    file = tmp_path / "run/run.toml"
    file.write_text(file.read_text().replace("classes = 3", "classes = 4"))
    with pytest.raises(UserError, match=r"run.toml: class_names: must be 4; got 3"):
        load_run(tmp_path / "run")
