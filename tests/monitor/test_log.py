"""The log of a served folder: written by the board's side, read strictly on the workstation."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from nas.errors import UserError
from nas.monitor.log import Alarm, Switch, Window, read_log, read_state
from nas.monitor.serve.log import LogFile

AT = {"time": "2026-11-26T13:00:00Z", "version": 1, "precision": "int8"}
WINDOW = {"kind": "window", "captured": 600, "served": 500, "skipped": 100, "late": 3, "p90_ms": 2.5, **AT}
ALARM = {"kind": "alarm", "chart": "picture", "value": 9.5, "limit": 4, "expected_loss_points": 6.1, **AT}
SWITCH = {"kind": "switch", "from": 1, "to": 2, "why": "current names it", **AT}


def write(folder: Path, *lines: dict[str, Any] | str, name: str = "log.jsonl") -> Path:
    (folder / "monitor").mkdir(exist_ok=True)
    text = "".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines)
    (folder / "monitor" / name).write_text(text, "utf-8")
    return folder


def test_records_have_types_and_stand_in_order_over_all_files(tmp_path: Path) -> None:
    write(tmp_path, SWITCH | {"n": 3}, {"kind": "of tomorrow", **AT}, ALARM | {"n": 4, "frames": ["a-1.png"], "x": 1})
    write(
        tmp_path,
        WINDOW | {"n": 1},
        WINDOW | {"n": 2, "accuracy": 0.61, "throttled": ["under-voltage"]},
        name="log.1.jsonl",
    )
    log = read_log(tmp_path)
    assert [record.n for record in log.records] == [1, 2, 3, 4]
    first, second = log.of(Window)
    assert (first.skipped, first.p90_ms, first.accuracy, second.accuracy, second.throttled) == (
        100, 2.5, None, 0.61, ("under-voltage",),
    )  # fmt: skip
    (switch,), (alarm,) = log.of(Switch), log.of(Alarm)
    assert (switch.old, switch.new, switch.failed) == (1, 2, False)
    assert alarm.expected_loss_points == 6.1 and log.frame("a-1.png") is None
    assert log.first is not None and log.first.isoformat() == "2026-11-26T13:00:00+00:00" and log.last == log.first


def test_half_a_line_at_the_end_is_left_out(tmp_path: Path) -> None:
    write(tmp_path, WINDOW)
    with (tmp_path / "monitor/log.jsonl").open("a") as file:
        file.write('{"kind": "wind')
    assert len(read_log(tmp_path).records) == 1


@pytest.mark.parametrize(
    "line",
    [
        "[]", "{}", "", "null", "nonsense", '{"kind": 5}', "[" * 100_000, WINDOW | {"served": -1},
        WINDOW | {"p90_ms": 1e300}, json.dumps(WINDOW).replace("2.5", "NaN"),
        json.dumps(WINDOW).replace("2.5", "1e999"), WINDOW | {"version": "x"},
        WINDOW | {"time": "yesterday"}, WINDOW | {"time": "2026-11-26T13:00:00"}, ALARM | {"chart": "none"},
        ALARM | {"expected_loss_points": 1000}, ALARM | {"frames": ["../../etc/passwd"]}, SWITCH | {"why": "\x1b[2J"},
        SWITCH | {"why": "x" * 5000}, json.dumps(SWITCH).replace('"from": 1, ', ""), WINDOW | {"precision": "‮"},
    ],
)  # fmt: skip
def test_a_line_that_serving_never_wrote_is_one_line(tmp_path: Path, line: dict[str, Any] | str) -> None:
    write(tmp_path, WINDOW, line, WINDOW)
    with pytest.raises(UserError, match=r"log\.jsonl: ") as caught:
        read_log(tmp_path)
    said = str(caught.value)
    assert "\x1b" not in said and "‮" not in said and "\n" not in said and len(said) < 1000


def test_a_log_that_is_not_a_plain_file_of_that_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="was not served yet"):
        read_log(tmp_path)
    write(tmp_path, *[WINDOW] * 30_000)
    with pytest.raises(UserError, match="at most 4 MB"):
        read_log(tmp_path)
    (tmp_path / "monitor/log.jsonl").unlink()
    os.mkfifo(tmp_path / "monitor/log.jsonl")
    with pytest.raises(UserError, match="a pipe"):
        read_log(tmp_path)
    (tmp_path / "monitor/log.jsonl").unlink()
    (tmp_path / "monitor/log.jsonl").symlink_to("/etc/hostname")
    with pytest.raises(UserError, match="leads out of"):
        read_log(tmp_path)


def test_the_state_is_an_object(tmp_path: Path) -> None:
    assert read_state(tmp_path) is None
    write(tmp_path, {"version": 2}, name="state.json")
    assert read_state(tmp_path) == {"version": 2}
    for text in ("[]", "{", '{"a": "\\u001b"}', '{"a": 1e999}'):
        write(tmp_path, text, name="state.json")
        with pytest.raises(UserError, match=r"state\.json"):
            read_state(tmp_path)


def numbered(n: int) -> dict[str, Any]:
    return WINDOW | {"n": n}


def test_the_log_is_bounded_and_keeps_the_newest_lines(tmp_path: Path) -> None:
    (tmp_path / "monitor").mkdir()
    log = LogFile(tmp_path / "monitor", most_bytes=2000)
    log.open()
    for n in range(1, 201):
        log.append(numbered(n))
    files = sorted(path.name for path in (tmp_path / "monitor").iterdir())
    assert files == ["log.1.jsonl", "log.2.jsonl", "log.3.jsonl", "log.4.jsonl", "log.jsonl"]
    assert all(path.stat().st_size <= 2000 for path in (tmp_path / "monitor").iterdir())
    kept = [record.n for record in read_log(tmp_path).records]
    assert kept == list(range(kept[0], 201)) and len(kept) > 40


def test_a_line_that_is_there_already_is_not_written_twice(tmp_path: Path) -> None:
    (tmp_path / "monitor").mkdir()
    first = LogFile(tmp_path / "monitor")
    first.open()
    first.append(numbered(1))
    first.append(numbered(2))
    first.path.write_bytes(first.path.read_bytes() + b'{"n": 3, "kind"')  # killed while it wrote the third
    again = LogFile(tmp_path / "monitor")
    again.open()
    assert again.last == 2
    for n in (1, 2, 3):
        again.append(numbered(n))
    assert [record.n for record in read_log(tmp_path).records] == [1, 2, 3]
    again.path.replace(again.file(1))  # killed between two renames
    third = LogFile(tmp_path / "monitor")
    third.open()
    assert third.last == 3
