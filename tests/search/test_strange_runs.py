"""Run folders from strangers: each fault is one line that names the file, and nothing of the folder is changed."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from nas.errors import UserError
from nas.run import COST_COLUMNS, Run, load_run, read_curves, read_settings
from nas.search import api
from nas.search.loop import search
from nas.space.search_space import SearchSpace
from tests.search.small_tasks import CountingPricer, FormulaEvaluator, settings_for, small_space

Change = Callable[[Path], None]


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> tuple[SearchSpace, Path]:
    """A run of three trials, of which six are wanted."""
    folder = tmp_path_factory.mktemp("strange")
    space = small_space(folder)
    settings = settings_for(space, sampler="random", trials=3, proxy={"epochs": 2})
    search(space, CountingPricer(space), FormulaEvaluator(weights=True), settings, folder / "run")
    return space, folder / "run"


def edit(name: str, old: str, new: str) -> Change:
    """Replaces the first match of a pattern in a file."""

    def change(run: Path) -> None:
        text = (run / name).read_text()
        assert re.search(old, text), (old, text[:2000])
        (run / name).write_text(re.sub(old, lambda _: new, text, count=1))

    return change


def write(name: str, text: str) -> Change:
    return lambda run: (run / name).write_text(text) and None


def pipe(name: str) -> Change:
    def change(run: Path) -> None:
        (run / name).unlink()
        os.mkfifo(run / name)

    return change


def folder(name: str) -> Change:
    def change(run: Path) -> None:
        (run / name).unlink()
        (run / name).mkdir()

    return change


def grow(name: str, size: int) -> Change:
    """Makes a file as large as a bomb, without taking the disk."""

    def change(run: Path) -> None:
        with (run / name).open("r+b") as file:
            file.truncate(size)

    return change


READ = {  # what report, pick, build and resume read
    "no-objectives": (edit("run.toml", r"objectives = \[[^\]]*\]", "objectives = []"), r"run\.toml: .*an objective"),
    "reference-zero": (edit("run.toml", r"latency_ms = [\d.e+-]+", "latency_ms = 0.0"), "reference_point.latency_ms"),
    "reference-nan": (edit("run.toml", r"latency_ms = [\d.e+-]+", "latency_ms = nan"), "reference_point.latency_ms"),
    "reference-of-nothing": (edit("run.toml", r"\nlatency_ms = ", "\nlatency = "), "reference_point: must be of costs"),
    "reference-gone": (edit("run.toml", r"\nlatency_ms = .*", ""), "latency_ms is missing"),
    "classes-negative": (edit("run.toml", r"classes = 10", "classes = -10"), r"run\.toml: classes"),
    "classes-zero": (edit("run.toml", r"classes = 10", "classes = 0"), r"run\.toml: classes"),
    "digits": (edit("run.toml", r"seed = 1", "seed = " + "9" * 5000), r"run\.toml"),
    "deep": (edit("run.toml", r"seed = 1", "seed = " + "[" * 20_000), r"run\.toml"),
    "deep-table": (edit("run.toml", r"versions\]", ".".join("a" * 9000) + "]"), r"run\.toml"),
    "unknown-key": (edit("run.toml", r"seed = 1", "seed = 1\nsead = 2"), r"run\.toml: sead: unknown key"),
    "type": (edit("run.toml", r"trials = 3", "trials = 3.5"), r"run\.toml: trials"),
    "escape": (edit("run.toml", r'command = "', 'command = "\\u001b[2J'), r"run\.toml: .*control characters"),
    "settings-pipe": (pipe("run.toml"), r"run\.toml: .*pipe"),
    "settings-huge": (grow("run.toml", 300_000_000), r"run\.toml: must have at most"),
    "trials-pipe": (pipe("trials.csv"), r"trials\.csv: .*pipe"),
    "trials-huge": (grow("trials.csv", 300_000_000), r"trials\.csv: must have at most"),
}  # fmt: skip
NAMES = "name,precision," + ",".join(COST_COLUMNS) + "\n"
MEASURED = "trial,latency_ms,latency_p90_ms,energy_mj,where,date\n"
RESUMED = {  # what only a search reads
    "directions": (edit("journal.log", r'"directions": ?\[2', '"directions":[1'), "must be of the run's objectives"),
    "objectives-in-another-order": (edit("journal.log", r'\["accuracy", ?"latency"', '["latency","accuracy"'),
                                    "got latency, accuracy"),
    "references": (write("references.csv", NAMES + "\x1b" + "," * NAMES.count(",") + "\n"), r"references\.csv: must"),
    "references-many": (write("references.csv", NAMES + 1001 * ("x" + "," * NAMES.count(",") + "\n")),
                        r"references\.csv: must have at most 1,000 networks"),
    "references-long": (write("references.csv", NAMES + 101 * "x" + "," * NAMES.count(",") + "\n"),
                        r"references\.csv: a name must have 1 to 100"),
    "a-folder": (folder("curves.jsonl"),
                 r"cannot write .*curves\.jsonl: a folder"),
    "test-bool": (edit("journal.log", r'"user_attr":\{"\d+":0\.\d+', '"user_attr":{"7":true'), "accuracy of trial 7"),
    "measured": (write("measured.csv", MEASURED + "1,0,1,,here,now\n"), r"measured\.csv: latency_ms"),
    "proxy-type": (edit("run.toml", r"epochs = 2", 'epochs = "two"'), "epochs|another run"),
    "line-broken": (edit("journal.log", r"\n\{", "\n{{"), r"journal\.log is broken: line 2 must be JSON"),
    "line-list": (edit("journal.log", r"\n\{[^\n]*", "\n[1]"), "line 2 must be one of Optuna's operations"),
    "line-deep": (edit("journal.log", r"\n\{[^\n]*", "\n" + "[" * 100_000), "line 2 must be JSON"),
    "line-long": (edit("journal.log", r"\n\{", "\n" + " " * 2_000_000 + "{"), "line 2 must have at most"),
    "operation": (edit("journal.log", r'"op_code":4', '"op_code":77'), r"journal\.log is broken"),
    "no-field": (edit("journal.log", r'"study_id":0,"datetime_start"', '"datetime_start"'), r"journal\.log is broken"),
    "cost-text": (edit("journal.log", r'"latency_ms":[\d.e-]+', '"latency_ms":"fast"'), "latency_ms of the costs"),
    "cost-nan": (edit("journal.log", r'"latency_ms":[\d.e-]+', '"latency_ms":NaN'), "latency_ms of the costs"),
    "cost-negative": (edit("journal.log", r'"params":(?=[0-9])', '"params":-'), "params of the costs"),
    "cost-unknown": (edit("journal.log", r'"latency_ms":', '"lat":1,"latency_ms":'), "costs must be .*nothing else"),
    "basis": (edit("journal.log", r'"latency_basis":"\w+"', '"latency_basis":"guessed"'), "latency_basis of the costs"),
    "kind": (edit("journal.log", r'"kind":"train"', '"kind":"learn"'), "kind must be one of train"),
    "digits": (edit("journal.log", r'"seed":\d+', '"seed":' + "9" * 5000), "line 2 must be JSON|line 3 must be JSON"),
    "candidate": (edit("journal.log", r'"candidate":\{"resolution":\d+', '"candidate":{"resolution":17'), "resolution"),
    "candidate-choice": (edit("journal.log", r'"candidate":\{"resolution"', '"candidate":{"resolving"'), "each choice"),
    "candidate-type": (edit("journal.log", r'"resolution":\d+', '"resolution":[1]'), "candidate|resolution|broken"),
    "params": (edit("journal.log", r'"params":\{"resolution":\d+', '"params":{"resolution":99'), "broken"),
    "distribution": (edit("journal.log", r'\\"choices\\": ?\[', '\\\\"choices\\\\": [7, '), "not one of space|broken"),
    "accuracy": (edit("journal.log", r'"accuracy":0\.\d+', '"accuracy":17'), "accuracy must be a fraction"),
    "curve": (edit("journal.log", r'"curve":\[', '"curve":[3,'), "curve must be a list of epochs"),
    "trial": (edit("journal.log", r'"trial":1', '"trial":7'), "must be trial 1; got 7"),
    "test": (edit("journal.log", r'"user_attr":\{"\d+":0\.\d+', '"user_attr":{"7":"all"'), "test accuracy of trial 7"),
    "journal-pipe": (pipe("journal.log"), r"journal\.log: .*pipe"),
    "journal-huge": (grow("journal.log", 300_000_000), r"journal\.log: must have at most"),
    "journal-lines": (lambda run: write("journal.log", (run / "journal.log").read_text() + "{}\n" * 250_000)(run),
                      "must have at most 250,000 lines"),
    "journal-gone": (lambda run: (run / "journal.log").unlink(), "does not hold the trials"),
    "journal-shorter": (lambda run: (run / "journal.log").write_text(""), "does not hold the trials"),
}  # fmt: skip


def contents(folder: Path) -> dict[str, object]:
    return {
        str(p.relative_to(folder)): (p.stat().st_size, p.stat().st_mtime_ns, p.stat().st_ino)
        for p in folder.rglob("*") if not p.is_dir()
    }  # fmt: skip


def refused(folder: Path, call: Callable[[], object], message: str) -> None:
    before = contents(folder)
    with pytest.raises(UserError) as caught:
        call()
    said = str(caught.value)
    assert re.search(message, said), said
    assert len(said) < 1000 and "\n" not in said
    assert contents(folder) == before


def go_on(begun: tuple[SearchSpace, Path], path: Path) -> Run:
    """Resumes the run of a folder with the settings of the run that was begun."""
    space, run = begun
    return search(space, CountingPricer(space), FormulaEvaluator(), read_settings(run), path, resume=True)


@pytest.mark.parametrize(("change", "message"), READ.values(), ids=READ)
def test_a_folder_that_no_search_wrote_is_refused(
    begun: tuple[SearchSpace, Path], tmp_path: Path, change: Change, message: str
) -> None:
    change(shutil.copytree(begun[1], tmp_path / "run"))
    refused(tmp_path, lambda: load_run(tmp_path / "run"), message)
    refused(tmp_path, lambda: go_on(begun, tmp_path / "run"), message)


@pytest.mark.parametrize(("change", "message"), RESUMED.values(), ids=RESUMED)
def test_a_journal_that_no_search_wrote_is_not_gone_on_with(
    begun: tuple[SearchSpace, Path], tmp_path: Path, change: Change, message: str
) -> None:
    change(shutil.copytree(begun[1], tmp_path / "run"))
    refused(tmp_path, lambda: go_on(begun, tmp_path / "run"), message)


@pytest.mark.parametrize("line", ["[", "3", '{"trial": "a", "curve": []}', '{"trial": 1, "curve": [{"a": 1}]}',
                                  '{"trial": 1, "curve": [[]]}', '{"trial": 1, "curve": [], "error": 3}', "[" * 50_000,
                                  '{"trial": 1, "curve": [{"validation_accuracy": "high"}]}'])  # fmt: skip
def test_a_curve_that_is_none_is_named_with_its_line(tmp_path: Path, line: str) -> None:
    (tmp_path / "curves.jsonl").write_text(json.dumps({"trial": 0, "curve": []}) + "\n" + line + "\n")
    with pytest.raises(UserError, match=r"curves\.jsonl line 2"):
        read_curves(tmp_path)


def test_proxy_settings_of_another_type_are_refused(tmp_path: Path) -> None:
    space = small_space(tmp_path)
    for wrong in ({"epochs": "two"}, {"epochs": True}, {"data_share": 3.0}, {"epoch": 3}):
        with pytest.raises(UserError, match=r"run\.toml: proxy\."):
            api.check_proxy(space, wrong, "run.toml")
    api.check_proxy(space, {"epochs": 3, "data_share": 0.5}, "run.toml")
    with pytest.raises(UserError, match=r"run\.toml: proxy must have full_resolution_share; an older version"):
        api.check_proxy(space, {"epochs": 3, "resolution_share": 0.5}, "run.toml")
    api.check_proxy(space, {"epochs": 3, "resolution_share": 0.5, "full_resolution_share": 0.2}, "run.toml")
