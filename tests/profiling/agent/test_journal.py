"""The file of measurements: a torn line, another setting, a second agent."""

from __future__ import annotations

import json
import os

import pytest

from nas.profiling.agent.command import main
from nas.profiling.agent.journal import FIGURES, Journal, alone
from nas.profiling.agent.terminal import Refused
from tests.profiling.agent.bundle import SETTING, journal_of, keep_fp32, refusal

IDS = ["a", "b"]
VISIT = {"kind": "visit", "id": "b", "at": 1.0, "runs": 2} | dict.fromkeys(FIGURES, 7.25)


def test_a_torn_last_line_is_dropped(tmp_path):
    path = tmp_path / "m.jsonl"
    journal = Journal(path, SETTING, IDS)
    journal.add({"kind": "idle", "start": 1.0, "end": 2.0, "joules": None})
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"kind": "id')
    again = Journal(path, SETTING, IDS)
    assert again.entries == journal.entries and path.read_bytes() == whole
    again.add({"kind": "idle", "start": 2.0, "end": 3.0, "joules": None})
    assert [entry["start"] for entry in Journal(path, SETTING, IDS).entries] == [1.0, 2.0]
    path.write_bytes(b'{"agent": "1", "pl')  # killed while the first line was written
    assert Journal(path, SETTING, IDS).entries == []


def test_another_setting_or_file_is_refused(tmp_path):
    path = tmp_path / "m.jsonl"
    Journal(path, SETTING, IDS)
    with pytest.raises(Refused, match="was begun with threads 1, this is 2; move it away"):
        Journal(path, SETTING | {"threads": 2}, IDS)
    with pytest.raises(Refused, match="was begun with another plan; move it away"):
        Journal(path, SETTING | {"plan": "x"}, IDS)
    begun = path.read_text()
    for entry in (
        VISIT | {"median_ms": "fast"}, VISIT | {"id": "foreign"}, VISIT | {"id": None}, VISIT | {"id": ["b"]},
        {key: value for key, value in VISIT.items() if key != "id"}, VISIT | {"relative": 0.0}, VISIT | {"runs": True},
        VISIT | {"p99_ms": 1e300}, VISIT | {"at": -1.0}, VISIT | {"runs": 0}, VISIT | {"kind": "guess"}, {},
        {"kind": "idle", "start": 1.0}, {"kind": "window", "id": "b", "start": 1.0, "end": None, "runs": 3},
        {"kind": "window", "id": "x", "start": 1.0, "end": 2.0, "runs": 3},
        {"kind": "idle", "start": 1.0, "end": 2.0, "joules": "much"},
    ):  # fmt: skip
        path.write_text(f"{begun}{json.dumps(VISIT)}\n{json.dumps(entry)}\n")
        with pytest.raises(Refused, match="line 3 is not a measurement of this plan"):
            Journal(path, SETTING, IDS)
    for number in ("NaN", "Infinity", "-Infinity"):
        path.write_text(f"{begun}{json.dumps(VISIT)}\n".replace("7.25", number))
        with pytest.raises(Refused, match="is not a file of measurements"):
            Journal(path, SETTING, IDS)
    path.write_text(f"{begun}{json.dumps(VISIT)}\n")
    assert Journal(path, SETTING, IDS).entries == [VISIT]
    for content in (b"id,ms\n1,2\n", b"[1]\n", b"\xff\xfe\n", b"[" * 100_000 + b"\n"):
        path.write_bytes(content)
        with pytest.raises(Refused, match="is not a file of measurements"):
            Journal(path, SETTING, IDS)
        assert path.read_bytes() == content


def test_another_number_of_threads_is_refused_and_so_is_a_second_agent(bundle, capsys):
    keep_fp32(bundle)
    arguments = ["--bundle", str(bundle), "--out", str(bundle / "results.json")]
    assert main(arguments) == 0
    assert "wrote " in capsys.readouterr().err
    assert "was begun with threads 1, this is 2" in refusal(capsys, *arguments, "--threads", "2")
    with alone(journal_of(bundle)):
        assert "another agent is measuring into it" in refusal(capsys, *arguments)


def test_a_refused_file_is_as_it_was_and_a_pipe_is_not_opened(tmp_path):
    path = tmp_path / "m.jsonl"
    Journal(path, SETTING, IDS).add(VISIT)
    content = path.read_bytes() + b'{"kind": "vis'
    path.write_bytes(content)
    with pytest.raises(Refused, match="was begun with threads 1"):
        Journal(path, SETTING | {"threads": 2}, IDS)
    with pytest.raises(Refused, match="line 2 is not"):
        Journal(path, SETTING, ["a"])
    assert path.read_bytes() == content
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(Refused, match="must be a file of at most 256 MB"):
        Journal(path, SETTING, IDS)
