"""nas switch: atomic, checked first, and back again, also twice and from every moment of a kill."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from nas.errors import UserError
from nas.monitor.serve import versions
from nas.monitor.switch import back, use, versions_in
from tests.monitor.serve.deployments import make_version


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Versions 1 to 4, of which 1 is in use, and none was before."""
    for number in (1, 2, 3, 4):
        make_version(tmp_path / "flowers", number)
    (tmp_path / "flowers/previous").unlink()
    (tmp_path / "flowers/current").write_text("1\n")
    return tmp_path / "flowers"


def in_use(folder: Path) -> str:
    return (folder / "current").read_text()


def test_back_goes_the_whole_way(folder: Path) -> None:
    assert [use(folder, number) for number in (2, 4, 2, 3)] == [1, 2, 4, 2]
    assert [back(folder) for _ in range(4)] == [2, 4, 2, 1] and in_use(folder) == "1\n"
    with pytest.raises(UserError, match="there is no version to go back to"):
        back(folder)
    assert use(folder, 1) == 1 and in_use(folder) == "1\n"
    (folder / "current").write_text("the first\n")
    with pytest.raises(UserError, match="no version to go back to: current names no version either"):
        back(folder)


def test_a_deployment_remembers_too(tmp_path: Path) -> None:
    for number in (1, 2, 3):
        make_version(tmp_path, number)
    assert [back(tmp_path), back(tmp_path)] == [2, 1]


def test_a_version_that_was_chosen_by_hand_is_gone_back_from(folder: Path) -> None:
    use(folder, 2)
    (folder / "current").write_text("4")
    assert back(folder) == 1
    (folder / "current").write_text("nothing")
    use(folder, 3)
    assert in_use(folder) == "3\n"


@pytest.mark.parametrize("name", ["model-fp32.onnx", "run.py", "preprocess.json"])
@pytest.mark.parametrize("harm", ["changed", "gone", "pipe", "folder"])
def test_a_version_that_is_not_whole_is_refused_and_nothing_changes(folder: Path, name: str, harm: str) -> None:
    use(folder, 2)
    path = folder / "versions/3" / name
    if harm == "changed":
        path.write_bytes(path.read_bytes() + b" ")
    else:
        path.unlink()
    if harm == "pipe":
        os.mkfifo(path)
    elif harm == "folder":
        path.mkdir()
    with pytest.raises(UserError, match=r"copy the version again|must be a file|cannot be read"):
        use(folder, 3)
    assert in_use(folder) == "2\n" and (folder / "previous").read_text() == "1\n"
    found = {one.number: one for one in versions_in(folder)}
    assert found[3].wrong and not found[2].wrong and [n for n, one in found.items() if one.in_use] == [2]


@pytest.mark.parametrize(
    "text", ["", "x\n", "0" * 64, "0" * 64 + "  ../../current\n", "\x1b[2J  run.py\n", "a" * 200_000]
)
def test_a_list_of_checksums_that_is_none_is_refused(folder: Path, text: str) -> None:
    (folder / "versions/3/SHA256SUMS").write_text(text)
    with pytest.raises(UserError, match="SHA256SUMS"):
        use(folder, 3)
    assert in_use(folder) == "1\n"


def test_what_is_no_folder_or_version_is_one_line(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="has no version 7; its versions are 1, 2, 3, 4"):
        use(folder, 7)
    with pytest.raises(UserError, match="is not a deployment folder"):
        use(tmp_path, 1)


def test_a_model_may_be_deleted_where_another_is_left(tmp_path: Path) -> None:
    make_version(tmp_path, 1, {"int8": b"one", "fp32": b"two"})
    (tmp_path / "versions/1/model-fp32.onnx").unlink()
    versions.check(tmp_path, 1)
    (tmp_path / "versions/1/model-int8.onnx").unlink()
    with pytest.raises(versions.Refused, match=r"model-int8\.onnx: cannot be read"):
        versions.check(tmp_path, 1)


class Killed(Exception):
    pass


@pytest.mark.parametrize("moment", range(3))
def test_a_kill_between_two_writes_loses_nothing(folder: Path, moment: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the first, between the two, and after the second of each switch; then going back goes the whole way."""
    real = versions.write_atomic
    left = moment

    def write(path: Path, content: bytes) -> None:
        nonlocal left
        if left == 0:
            raise Killed
        left -= 1
        real(path, content)

    for number in (2, 3):
        left = moment
        monkeypatch.setattr(versions, "write_atomic", write)
        try:
            use(folder, number)
        except Killed:
            assert moment < 2
        monkeypatch.setattr(versions, "write_atomic", real)
        assert in_use(folder) in (f"{number - 1}\n", f"{number}\n")
        use(folder, number)
    left = moment
    monkeypatch.setattr(versions, "write_atomic", write)
    try:
        assert back(folder) == 2
    except Killed:
        assert moment < 2
    monkeypatch.setattr(versions, "write_atomic", real)
    assert in_use(folder) in ("2\n", "3\n")
    while in_use(folder) != "1\n":
        back(folder)
    with pytest.raises(UserError, match="no version to go back to"):
        back(folder)
