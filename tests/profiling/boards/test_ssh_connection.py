"""Where a board is, as the user writes it; connections are tested with a real server in test_remote.py."""

from __future__ import annotations

import pytest

from nas.profiling.boards.ssh_connection import Target, parse_target


@pytest.mark.parametrize(
    ("text", "target", "command"),
    [
        ("raspberrypi", Target("raspberrypi"), "ssh raspberrypi"),
        ("pi@raspberrypi.local", Target("raspberrypi.local", "pi"), "ssh pi@raspberrypi.local"),
        ("pi@10.0.0.7:2222", Target("10.0.0.7", "pi", 2222), "ssh -p 2222 pi@10.0.0.7"),
        ("first.last_1@my-board_2:22", Target("my-board_2", "first.last_1", 22), "ssh -p 22 first.last_1@my-board_2"),
        ("pi@[fe80::1]:22", Target("fe80::1", "pi", 22), "ssh -p 22 pi@fe80::1"),
    ],
)
def test_a_target_is_read_and_written_back(text: str, target: Target, command: str) -> None:
    assert parse_target(text) == target
    assert str(target) == text
    assert target.command == command
