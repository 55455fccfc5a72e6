"""State and log fetched from a board over ssh, against a real sshd on loopback."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from nas.errors import UserError
from nas.monitor.fetch import fetch
from nas.monitor.log import read_log, read_state
from tests.profiling.boards.ssh_board import Board, running_board

LINE = {"n": 1, "time": "2026-11-26T13:00:00Z", "kind": "start", "version": 1, "precision": "int8"}


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Board]:
    with running_board(tmp_path_factory.mktemp("board")) as board:
        yield board


@pytest.fixture
def served(board: Board, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """The folder's monitor/ on the board; a user without any ssh configuration."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    place = board.home / "flowers/monitor"
    (place / "frames").mkdir(parents=True)
    (place / "log.jsonl").write_text(json.dumps(LINE | {"n": 2}) + "\n")
    (place / "log.1.jsonl").write_text(json.dumps(LINE) + "\n")
    (place / "state.json").write_text('{"version": 1}')
    (place / "frames/a.png").write_bytes(b"private")
    (place / "log.9.jsonl").write_text("not ours")
    yield place
    shutil.rmtree(place.parent)


def get(board: Board, place: Path, folder: str = "flowers") -> None:
    fetch(f"{board.user}@127.0.0.1:{board.port}", folder, place, known_hosts=board.known_hosts, key=board.key)


def test_state_and_log_come_and_nothing_else(board: Board, served: Path, tmp_path: Path) -> None:
    get(board, tmp_path / "here")
    assert [record.n for record in read_log(tmp_path / "here").records] == [1, 2]
    assert read_state(tmp_path / "here") == {"version": 1}
    found = sorted(path.relative_to(tmp_path / "here").as_posix() for path in (tmp_path / "here").rglob("*"))
    assert found == ["monitor", "monitor/log.1.jsonl", "monitor/log.jsonl", "monitor/state.json"]


def test_what_cannot_be_fetched_is_one_line_and_leaves_nothing(board: Board, served: Path, tmp_path: Path) -> None:
    for folder, message in (("other", "was not served there yet"), ("a;b", "plain letters"), ("../x", "plain letters")):
        with pytest.raises(UserError, match=message):
            get(board, tmp_path / "here", folder)
    (served / "log.jsonl").write_bytes(b" " * 5_000_000)
    with pytest.raises(UserError, match="at most 4,000,000 bytes"):
        get(board, tmp_path / "here")
    (served / "log.jsonl").unlink()
    (served / "log.jsonl").symlink_to("/etc/passwd")
    with pytest.raises(UserError, match="must be a file"):
        get(board, tmp_path / "here")
    assert not (tmp_path / "here").exists()
