"""What a run says of its own ranking, in pareto.json: written, read, and refused where no search wrote it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from nas.errors import UserError
from nas.run import load_run
from tests.runs import QUALITY, make_believed_run, make_ranked_run


def test_what_is_written_is_read(tmp_path: Path) -> None:
    assert make_ranked_run(tmp_path / "run").rank_quality == QUALITY
    few = QUALITY.model_copy(update={"repeated": 2, "first_second": None, "low": None, "high": None})
    assert make_ranked_run(tmp_path / "few", few).rank_quality == few


def test_older_runs_and_those_that_do_not_know_say_nothing(tmp_path: Path) -> None:
    run = make_believed_run(tmp_path / "run")
    assert run.rank_quality is None and json.loads((run.path / "pareto.json").read_text())["rank_quality"] is None
    summary = json.loads((run.path / "pareto.json").read_text())
    del summary["rank_quality"]
    (run.path / "pareto.json").write_text(json.dumps(summary))
    assert load_run(run.path).rank_quality is None
    (run.path / "pareto.json").unlink()
    assert load_run(run.path).rank_quality is None


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"expected": 1.1}, "expected: Input should be less than or equal to 1; got 1.1"),
        ({"two_trainings": -2}, "two_trainings: "),
        ({"one_training": True}, "one_training: "),
        ({"one_training": "0.5"}, "one_training: "),
        ({"one_training": None}, "one_training: "),
        ({"networks": 4}, "networks: "),
        ({"networks": 6.0}, "networks: "),
        ({"networks": 10**400}, "networks: "),
        ({"repeated": 0}, "repeated: "),
        ({"repeated": 7}, "repeated must be at most networks, 6; got 7"),
        ({"repeated": 3}, "first_second, low and high must be numbers where repeated is 5 or more, else null"),
        ({"low": None}, "first_second, low and high must be numbers where repeated is 5 or more, else null"),
        ({"low": 0.95}, "low must be at most high; got 0.95 and 0.9"),
        ({"more\x1b[2J": 1}, "unknown key"),
        ({"expected": {}}, "expected: "),
    ],
)
def test_what_no_search_wrote_is_an_error_of_one_line(tmp_path: Path, changed: dict[str, Any], said: str) -> None:
    run = make_ranked_run(tmp_path / "run")
    file = run.path / "pareto.json"
    summary = json.loads(file.read_text())
    file.write_text(json.dumps(summary | {"rank_quality": summary["rank_quality"] | changed}))
    with pytest.raises(UserError) as error:
        _ = load_run(run.path).rank_quality
    assert str(error.value).startswith(f"{file}: rank_quality: ") and said in str(error.value)
    assert "\n" not in str(error.value) and len(str(error.value)) < len(str(file)) + 250


@pytest.mark.parametrize("value", [[], 1, "x", {}, {"networks": 6}, True])
def test_something_else_in_its_place_is_an_error(tmp_path: Path, value: object) -> None:
    run = make_ranked_run(tmp_path / "run")
    (run.path / "pareto.json").write_text(json.dumps({"rank_quality": value}))
    with pytest.raises(UserError, match=r"pareto\.json: rank_quality: .*; --resume writes it anew$"):
        _ = load_run(run.path).rank_quality
