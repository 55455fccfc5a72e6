"""The lock on a folder: what is left of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from nas.errors import UserError
from nas.files.lock import locked


@pytest.mark.parametrize("own", [False, True])
def test_folders_that_were_made_for_it_go_where_they_are_empty(tmp_path: Path, own: bool) -> None:
    with locked(tmp_path / "a/b", own=own), pytest.raises(UserError, match="another process"), locked(tmp_path / "a/b"):
        pass
    assert list(tmp_path.iterdir()) == []
    with locked(tmp_path / "a/b", own=own):
        (tmp_path / "a/b/file").write_text("kept")
    assert [path.name for path in (tmp_path / "a/b").iterdir()] == ["file"]


def test_a_work_folder_that_a_killed_process_left_goes_too(tmp_path: Path) -> None:
    """nas calibrate that was killed and went on left an empty .calibrating."""
    for own in (False, True):
        (tmp_path / "work").mkdir(exist_ok=True)
        with locked(tmp_path / "work", own=own):
            pass
        assert (tmp_path / "work").exists() != own
    (tmp_path / "work").mkdir()
    (tmp_path / "work/file").write_text("kept")
    with locked(tmp_path / "work", own=True):
        pass
    assert (tmp_path / "work/file").read_text() == "kept"
