"""nas search: what it prints beside the front."""

from __future__ import annotations

import pytest

from nas.cli.search import _bar
from nas.search.progress import Progress


def test_a_note_is_one_line_without_escape_sequences(capsys: pytest.CaptureFixture[str]) -> None:
    with _bar() as (_, say):
        say("folder:x: left out: folders beside the splits: \x1b[2J[red]" + "a" * 200)
    said = capsys.readouterr().err
    assert "\x1b" not in said and "\\x1b[2J[red]" in said and said.count("\n") == 1


def test_labels_are_counted_in_lines_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with _bar() as (show, _):
        for done in range(61):
            show(Progress(0, 50, 0, 0.0, 1.0, None, None, preparing=("labels", done, 60)))
        show(Progress(0, 50, 0, 0.0, 1.0, None, None))
    said = capsys.readouterr().err.splitlines()
    assert said == [f"preparing labels: {done} of 60" for done in range(0, 61, 6)]


def test_the_bar_of_a_terminal_counts_labels_then_trials(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "80")
    with _bar() as (show, _):
        show(Progress(0, 50, 0, 0.0, 1.0, None, None, preparing=("labels", 12, 60)))
    preparing = capsys.readouterr().err
    with _bar() as (show, _):
        show(Progress(0, 50, 0, 0.0, 1.0, None, None, preparing=("labels", 12, 60)))
        show(Progress(3, 50, 2, 0.5, 1.0, None, None))
    searching = capsys.readouterr().err
    assert "12/60" in preparing and "preparing labels" in preparing
    assert "3/50" in searching and "front 2" in searching
