"""nas monitor and nas switch on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nas.cli.output import print_lines
from nas.monitor.serve.frames import of_arrays
from nas.monitor.serve.loop import Serving
from nas.monitor.serve.options import Options
from tests.cli.command import call
from tests.monitor.serve.deployments import make_version, picture


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make_version(tmp_path / "flowers", 1)
    make_version(tmp_path / "flowers", 2)
    Serving(tmp_path / "flowers", Options(every=True, quiet=True, window=3)).run(of_arrays([picture("red")] * 7))
    return tmp_path / "flowers"


def test_monitor_prints_80_columns_and_what_to_do(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    said = call(capsys, monkeypatch, "monitor", str(folder))
    assert said.status == 0 and said.err == ""
    lines = said.out.splitlines()
    assert max(map(len, lines)) <= 80
    assert sum("2 fp32" in line for line in lines) == 3
    assert lines[-1].startswith("Serving ended at ") and "the frames ended" in said.out
    found = json.loads(call(capsys, monkeypatch, "monitor", str(folder), "--json").out)
    assert [period["served"] for period in found["periods"]] == [3, 3, 1]
    assert len(found["events"]) == 2 and len(found["next"]) == 1
    missing = call(capsys, monkeypatch, "monitor", str(folder.parent))
    assert missing.status == 2 and "was not served yet" in missing.err and missing.err.count("\n") == 1


def test_sentences_are_as_wide_as_the_terminal_and_a_command_stays_whole(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    command = "`nas calibrate flowers --labels labels.csv`"
    print_lines(["What the camera sees has changed since noon: " + command + " makes a version for it.", "Short."])
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if len(line) > 40] == [f"  {command}"], "which is longer than a line"
    assert lines[1].startswith("  ") and lines[-1] == "Short."


def test_switch_there_and_back(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def switch(*words: str) -> tuple[int, str, str]:
        said = call(capsys, monkeypatch, "switch", str(folder), *words)
        return said.status, said.out, said.err

    assert switch("--to", "1")[1].startswith("version 1 is in use; `nas switch ")
    assert switch("--to", "1") == (0, "version 1 is in use already\n", "")
    assert switch("--back")[1].startswith("version 2 is in use") and (folder / "current").read_text() == "2\n"
    assert json.loads(switch("--back", "--json")[1]) == {"in_use": 1}
    assert switch("--back") == (
        2, "", f"nas: {folder}: there is no version to go back to: none was in use before 1\n",
    )  # fmt: skip
    assert switch("--to", "9")[2] == f"nas: {folder} has no version 9; its versions are 1, 2\n"
    assert switch("--to", "2", "--back")[0] == 2
    rows = json.loads(switch("--json")[1])
    assert [(row["version"], row["in_use"], row["wrong"]) for row in rows] == [(1, True, ""), (2, False, "")]
    assert "in use" in switch()[1]
