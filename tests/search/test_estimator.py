"""The estimator of a search: accuracies from a table, and what is refused before anything is written."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest

import nas
from nas.errors import UserError
from nas.run import Run
from nas.search.api import resume
from nas.space.candidate import Candidate
from tests.search.small_tasks import SMALL

OPTIONS = ((16, 24, 32), (1, 2), (3, 5), (2, 4, 6))  # of the small space's architecture: resolution, depth, ...


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The small space, of 7 classes, and the accuracy of its every network in percent."""
    (tmp_path / "small.toml").write_text(SMALL.replace("classes = 10", "classes = 7"))
    archs = ["".join(map(str, digits)) for digits in product(*(range(len(options)) for options in OPTIONS))]
    rows = [f"{arch},{accuracy(arch)}" for arch in archs]
    (tmp_path / "networks.csv").write_text("\n".join(["arch,accuracy", *rows]) + "\n")
    return tmp_path


def accuracy(arch: str) -> float:
    return 50.0 + int(arch, 4) / 10


def searched(folder: Path, **changed: object) -> Run:
    given: dict[str, object] = {
        "trials": 4, "sampler": "random", "confirm": 0.0, "estimator": "table", "out": folder / "run",
        "estimator_settings": {"path": str(folder / "networks.csv")},
    }  # fmt: skip
    space = str(folder / "small.toml")
    return nas.search("raspberry-pi-4", space, "digits", ["accuracy", "macs"], **given | changed)  # type: ignore[arg-type]


def arch(candidate: Candidate) -> str:
    values = [value for name, value in candidate.values if name != "precision"]
    return "".join(str(options.index(value)) for options, value in zip(OPTIONS, values, strict=True))  # type: ignore[arg-type]


def test_accuracies_are_those_of_the_table_for_the_datasets_number_of_classes(folder: Path) -> None:
    run = searched(folder)
    assert run.settings.estimator == "table" and run.settings.classes == 10
    assert run.settings.estimator_settings == {"path": str(folder / "networks.csv")}
    assert [t.accuracy for t in run.trials] == [pytest.approx(accuracy(arch(t.candidate)) / 100) for t in run.trials]


def test_a_resumed_search_has_the_same_table_and_notices_another(folder: Path) -> None:
    run = searched(folder)
    again = resume(run.path, trials=6)
    assert len(again.trials) == 6 and again.trials[:4] == run.trials
    (folder / "networks.csv").write_text((folder / "networks.csv").read_text() + "0000,50.0\n")
    with pytest.raises(UserError, match=r"networks\.csv has changed since .* was begun"):
        resume(run.path, trials=7)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"estimator": "tabel"}, "unknown estimator 'tabel'; did you mean 'table'"),
        ({"estimator": 3}, "estimator must be a name; got 3"),
        ({"estimator": "zero-cost", "estimator_settings": {}}, "estimator zero-cost only ranks networks"),
        ({"estimator_settings": {}}, "needs the search space and the path of a CSV"),
        ({"estimator_settings": {"path": "nowhere.csv"}}, r"nowhere\.csv: not a readable CSV file"),
        ({"estimator_settings": {"path": 3}}, "path must be a text; got '3'"),
        ({"estimator_settings": {"file": "x.csv"}}, "unknown table setting 'file'"),
        ({"estimator_settings": {"path": True}}, "path of the estimator must be text or a number"),
        ({"estimator_settings": "x.csv"}, "estimator_settings must be values by name"),
        ({"estimator": "proxy"}, "estimator proxy has no setting 'path' of its own"),
    ],
)
def test_what_no_estimator_can_be_asked_is_refused(folder: Path, changed: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        searched(folder, **changed)
    assert not (folder / "run").exists()
