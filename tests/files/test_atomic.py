"""Whole files and folders or none, and one writer at a time."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from nas.errors import UserError
from nas.files.atomic import atomic_file, atomic_folder, recover_folder, remove_folder, write_atomic
from nas.files.lock import locked


def test_an_error_in_the_middle_leaves_the_file_before_and_nothing_beside_it(tmp_path: Path) -> None:
    file = tmp_path / "x.csv"
    write_atomic(file, b"before")
    with pytest.raises(ZeroDivisionError), atomic_file(file) as part:
        part.write_bytes(bytes([1 // 0]))
    assert file.read_bytes() == b"before" and list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize("write", [atomic_file, atomic_folder])
def test_an_error_leaves_none_of_the_folders_above_that_were_made_for_it(write: Any, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    with pytest.raises(ZeroDivisionError), write(tmp_path / "there" / "a" / "b" / "x") as part:
        (part.parent / str(1 // 0)).touch()
    assert list(tmp_path.rglob("*")) == [tmp_path / "there"]


def test_a_folder_that_somebody_else_has_come_into_stays(tmp_path: Path) -> None:
    def write() -> None:
        with atomic_file(tmp_path / "a" / "b" / "x"):
            (tmp_path / "a" / "other").write_text("")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write()
    assert set(tmp_path.rglob("*")) == {tmp_path / "a", tmp_path / "a" / "other"}


def test_a_file_of_the_users_own_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "x.onnx.partial").write_bytes(b"the user's")
    write_atomic(tmp_path / "x.onnx", b"new")
    assert (tmp_path / "x.onnx.partial").read_bytes() == b"the user's"


def test_permissions_are_those_asked_for(tmp_path: Path) -> None:
    write_atomic(tmp_path / "secret", b"x", mode=0o600)
    assert (tmp_path / "secret").stat().st_mode & 0o777 == 0o600


def test_a_place_that_cannot_be_written_is_an_error_of_the_user(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write"):
        write_atomic(tmp_path / "file" / "x", b"")


def test_a_folder_is_replaced_whole(tmp_path: Path) -> None:
    folder = tmp_path / "profile"
    for names in (("a", "b"), ("c",)):
        with atomic_folder(folder) as part:
            for name in names:
                (part / name).write_text(name)
    assert [p.name for p in folder.iterdir()] == ["c"] and list(tmp_path.iterdir()) == [folder]
    with pytest.raises(ZeroDivisionError), atomic_folder(folder) as part:
        (part / "d").write_bytes(bytes([1 // 0]))
    assert [p.name for p in folder.iterdir()] == ["c"] and list(tmp_path.iterdir()) == [folder]


KILLED = """
import os, sys
from pathlib import Path
from nas.files.atomic import atomic_folder
seen = 0
replace = Path.replace
def replace_or_die(self, target):
    global seen
    seen += 1
    if seen == int(sys.argv[2]): os._exit(9)
    return replace(self, target)
Path.replace = replace_or_die
with atomic_folder(Path(sys.argv[1])) as part: (part / "new").write_text("")
"""


@pytest.mark.parametrize("moment", [1, 2])
def test_a_kill_between_the_two_renames_loses_nothing(moment: int, tmp_path: Path) -> None:
    folder = tmp_path / "profile"
    with atomic_folder(folder) as part:
        (part / "old").write_text("")
    done = subprocess.run([sys.executable, "-c", KILLED, str(folder), str(moment)], check=False)
    assert done.returncode == 9
    recover_folder(folder)
    assert [p.name for p in folder.iterdir()] == ["old"]
    with atomic_folder(folder) as part:
        (part / "newer").write_text("")
    assert [p.name for p in folder.iterdir()] == ["newer"]
    assert [p.name for p in tmp_path.iterdir()] == ["profile"]


def test_a_second_writer_is_kept_out_and_the_lock_leaves_nothing(tmp_path: Path) -> None:
    with locked(tmp_path / "run"):
        with (
            pytest.raises(UserError, match=r"searching in .*run now"),
            locked(tmp_path / "run", "searching in {path} now"),
        ):
            pass
        assert (tmp_path / "run" / ".lock").exists()
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "run").mkdir()
    with locked(tmp_path / "run"):
        pass
    assert list((tmp_path / "run").iterdir()) == []


def test_a_folder_is_removed_at_once_with_what_an_earlier_removal_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that dies while files are deleted leaves none of the folder under its name."""
    for name in ("x", ".x.gone"):
        (tmp_path / name / "inner").mkdir(parents=True)
    real, there = shutil.rmtree, []

    def rmtree(path: Path, **given: Any) -> None:
        there.append((path.name, (tmp_path / "x").exists()))
        real(path, **given)

    monkeypatch.setattr(shutil, "rmtree", rmtree)
    remove_folder(tmp_path / "x")
    assert list(tmp_path.iterdir()) == [] and there[-1] == (".x.gone", False)
    remove_folder(tmp_path / "x")
