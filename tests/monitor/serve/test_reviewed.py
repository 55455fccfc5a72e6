"""Labels that somebody puts on a board are read once a change, and what is wrong with them stops nothing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from nas.monitor.serve.reviewed import MOST_BYTES, Reviewed


def write(folder: Path, text: str, at: int = 1) -> Path:
    path = folder / "labels" / "labels.csv"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, "utf-8")
    os.utime(path, ns=(at, at))
    return path


def test_labels_are_given_once_and_again_when_the_file_has_changed(tmp_path: Path) -> None:
    reviewed = Reviewed(tmp_path)
    assert reviewed.new(("cat", "dog")) == []
    write(tmp_path, "file,predicted,label\n1-2.png,cat,dog\n1-3.png,dog,\n1-4.png,dog, dog \n")
    assert reviewed.new(("cat", "dog")) == [("1-2.png", 1), ("1-4.png", 1)]
    assert reviewed.new(("cat", "dog")) == []
    write(tmp_path, "file,label\n1-3.png,cat\n", at=2)
    assert reviewed.new(("cat", "dog")) == [("1-3.png", 0)]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("file,label\na,bird\n", "'bird' is not one of the classes"),
        ("name,class\na,cat\n", "the columns file and label"),
        ("", "the columns file and label"),
        ("x" * (MOST_BYTES + 1), "at most 2,000,000 bytes"),
    ],
)
def test_what_is_wrong_is_said_once(tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, said: str) -> None:
    reviewed = Reviewed(tmp_path)
    write(tmp_path, text)
    assert reviewed.new(("cat",)) == [] and reviewed.new(("cat",)) == []
    assert capsys.readouterr().err.count(said) == 1


def test_a_folder_in_the_files_place_is_left(tmp_path: Path) -> None:
    (tmp_path / "labels" / "labels.csv").mkdir(parents=True)
    assert Reviewed(tmp_path).new(("cat",)) == []
