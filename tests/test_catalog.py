"""Where spaces and profiles are found, and what is said when they are not."""

from __future__ import annotations

from pathlib import Path
from shutil import copytree

import pytest

from nas.catalog import find, home, names, shipped
from nas.errors import UserError, unknown


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's own folder, still empty."""
    monkeypatch.setenv("NAS_HOME", str(tmp_path / "mine"))
    return tmp_path / "mine"


def test_home_is_nas_home_or_a_hidden_folder(mine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert home() == mine
    monkeypatch.delenv("NAS_HOME")
    assert home() == Path.home() / ".nas"


def test_what_ships_is_listed_by_name(mine: Path) -> None:
    spaces = names("search_spaces", ".toml")
    assert list(spaces) == sorted(spaces)
    assert {"tiny", "mobilenet-v2", "mobilenet-v3", "efficientnet", "efficientnet-lite", "fbnet-cifar",
            "nas-bench-macro"} <= spaces.keys()  # fmt: skip
    assert spaces["tiny"] == shipped("search_spaces") / "tiny.toml"
    assert names("device_profiles")["pixel-1"] == shipped("device_profiles") / "pixel-1"


def test_the_users_own_come_before_those_shipped(mine: Path) -> None:
    copytree(shipped("device_profiles") / "pixel-1", mine / "device_profiles" / "pixel-1")
    copytree(shipped("device_profiles") / "pixel-1", mine / "device_profiles" / "my-phone")
    found = names("device_profiles")
    assert found["pixel-1"] == mine / "device_profiles" / "pixel-1"
    assert found["my-phone"] == find("device", "device_profiles", "my-phone")
    assert found["samsung-note10"] == shipped("device_profiles") / "samsung-note10"


def test_a_folder_without_a_profile_is_none(mine: Path) -> None:
    (mine / "device_profiles" / "notes").mkdir(parents=True)
    assert "notes" not in names("device_profiles")


def test_a_path_is_taken_as_it_is(mine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my.toml").write_text("")
    (tmp_path / "board").mkdir()
    monkeypatch.chdir(tmp_path)
    assert find("search space", "search_spaces", "my.toml", ".toml") == Path("my.toml")
    assert find("device", "device_profiles", "./board") == Path("board")
    assert find("device", "device_profiles", str(tmp_path / "board")) == tmp_path / "board"


@pytest.mark.parametrize(
    ("what", "folder", "name", "ending", "message"),
    [
        ("device", "device_profiles", "raspbery-pi-4", "", "unknown device .*; did you mean 'raspberry-pi-4'"),
        ("device", "device_profiles", "Pixel-1", "", "did you mean 'pixel-1'"),
        ("device", "device_profiles", "toaster", "", r"unknown device 'toaster' \(known: .*, samsung-note10, .*\)"),
        ("device", "device_profiles", "./toaster", "", r"device \./toaster: there is no such folder"),
        ("search space", "search_spaces", "tinny", ".toml", "unknown search space 'tinny'; did you mean 'tiny'"),
        ("search space", "search_spaces", "my.toml", ".toml", "search space my.toml: there is no such file"),
    ],
)
def test_what_is_not_there_is_an_error_of_the_user(
    what: str, folder: str, name: str, ending: str, message: str, mine: Path
) -> None:
    with pytest.raises(UserError, match=message):
        find(what, folder, name, ending)


def test_an_unknown_name_among_none() -> None:
    assert str(unknown("platform", "x", [])) == "unknown platform 'x' (known: none)"


@pytest.mark.parametrize("name", ["x" * 300, f"./{'x' * 300}", f"{'x' * 300}/y", f"./{'x' * 300}.toml", "x/" * 5_000])
@pytest.mark.parametrize("ending", ["", ".toml"])
def test_a_name_that_no_file_system_takes_is_refused_in_a_short_line(name: str, ending: str, mine: Path) -> None:
    with pytest.raises(UserError) as refusal:
        find("device", "device_profiles" if not ending else "search_spaces", name, ending)
    known = len(str(unknown("device", "x", names("device_profiles"))))
    assert len(str(refusal.value)) < 200 + known


def test_a_home_that_no_file_system_takes_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAS_HOME", "/" + "x" * 300)
    with pytest.raises(UserError, match="not a readable path: File name too long"):
        find("search space", "search_spaces", "tiny", ".toml")
