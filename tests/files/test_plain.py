"""Files from strangers: what is no plain, bounded, harmless file is refused before it is believed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from nas.errors import UserError
from nas.files.plain import file_in, has_tricks, read_bytes, read_text
from nas.files.toml import Table, read_toml


class Named(Table):
    name: str
    ms: float = 1.0


@pytest.mark.parametrize(("size", "fits"), [(0, True), (100, True), (101, False)])
def test_no_more_than_the_bound_is_read(size: int, fits: bool, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"x" * size)
    if fits:
        assert read_bytes(tmp_path / "f", 100) == b"x" * size
    else:
        with pytest.raises(UserError, match=r"f: must have at most 0\.0001 MB"):
            read_bytes(tmp_path / "f", 100)


def test_a_pipe_or_a_device_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero"), tmp_path):
        with pytest.raises(UserError, match="a folder, a pipe or a device"):
            read_bytes(path, 100)


@pytest.mark.parametrize("trick", ["\x1b[2J", "\x07", "\x9b31m", "\u202e", "\u200b", "\x00", "\u2028"])
def test_what_a_terminal_acts_on_is_refused_with_its_line(trick: str, tmp_path: Path) -> None:
    (tmp_path / "f").write_text(f"a plain line\nanother {trick} line\n", encoding="utf-8")
    with pytest.raises(UserError, match="no control characters; line 2 has") as refused:
        read_text(tmp_path / "f", 1000)
    assert not has_tricks(str(refused.value))


def test_plain_text_of_any_language_is_read(tmp_path: Path) -> None:
    text = "µs\t±2 %\r\nЯчейка, 芯片, é\n"
    (tmp_path / "f").write_bytes(b"\xef\xbb\xbf" + text.encode())  # with the mark that spreadsheets put first
    assert read_text(tmp_path / "f", 1000) == text


def test_a_link_may_stay_in_the_folder_and_not_leave_it(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "real").write_text("1")
    (folder / "near").symlink_to("real")
    (tmp_path / "secret").write_text("2")
    (folder / "far").symlink_to("../secret")
    (folder / "loop").symlink_to("loop")
    assert file_in(folder, "near") == folder / "near" and file_in(folder, "gone") is None
    for name in ("far", "loop"):
        with pytest.raises(UserError, match=f"{name}: is a link that leads out of"):
            file_in(folder, name)
    (tmp_path / "alias").symlink_to(folder)  # the folder itself may be a link: the user named it
    assert file_in(tmp_path / "alias", "real") == tmp_path / "alias" / "real"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('name = "a\\u001b[31mred"', r"a text must have no control characters .*got 9: 'a\\x1b\[31mred'"),
        ('name = "a"\n"\\u0007key" = 1', r"a text must have no control characters"),
        (f'name = "{"x" * 10_001}"', "at most 10,000 characters; got 10,001"),
        ("name = " + "[" * 50_000, "too deep in each other"),
        ("name" + ".a" * 20_000 + " = 1", "a line must have at most 200 dots"),
        ("name = " + "1" * 5_000, "not a readable TOML file"),
        ('name = "a"\nms = nan', "ms: Input should be a finite number"),
        ('name = "a"\nms = inf', "ms: Input should be a finite number"),
        ('name = "a"\nms = 1e999', "ms: Input should be a finite number"),
        ("#" * 250_001, r"must have at most 0\.25 MB"),
    ],
)
def test_a_toml_file_of_tricks_is_refused_in_a_short_line(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "f.toml").write_text(text)
    with pytest.raises(UserError, match=message) as refused:
        read_toml(tmp_path / "f.toml", Named)
    assert len(str(refused.value)) < 500 and not has_tricks(str(refused.value))


def test_a_wrong_value_is_shown_cut(tmp_path: Path) -> None:
    (tmp_path / "f.toml").write_text(f'name = "a"\nms = "{"9" * 5_000}"\n')
    with pytest.raises(UserError, match=r"ms: .*got '9{70,}\.\.\.$"):
        read_toml(tmp_path / "f.toml", Named)
