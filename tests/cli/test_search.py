"""nas search: what it prints beside the front."""

from __future__ import annotations

import pytest

from nas.cli.search import _bar


def test_a_note_is_one_line_without_escape_sequences(capsys: pytest.CaptureFixture[str]) -> None:
    with _bar() as (_, say):
        say("folder:x: left out: folders beside the splits: \x1b[2J[red]" + "a" * 200)
    said = capsys.readouterr().err
    assert "\x1b" not in said and "\\x1b[2J[red]" in said and said.count("\n") == 1
