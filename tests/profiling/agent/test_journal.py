"""The file of measurements: a torn line, another setting, a second agent."""

from __future__ import annotations

import json

import pytest

from nas.profiling.agent.command import main
from nas.profiling.agent.journal import Journal, alone
from nas.profiling.agent.terminal import Refused
from tests.profiling.agent.bundle import SETTING, journal_of, keep_fp32, refusal


def test_a_torn_last_line_is_dropped(tmp_path):
    path = tmp_path / "m.jsonl"
    journal = Journal(path, SETTING)
    journal.add({"kind": "idle", "start": 1.0, "end": 2.0, "joules": None})
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"kind": "id')
    again = Journal(path, SETTING)
    assert again.entries == journal.entries and path.read_bytes() == whole
    again.add({"kind": "idle", "start": 2.0, "end": 3.0, "joules": None})
    assert [entry["start"] for entry in Journal(path, SETTING).entries] == [1.0, 2.0]
    path.write_bytes(b'{"agent": "1", "pl')  # killed while the first line was written
    assert Journal(path, SETTING).entries == []


def test_another_setting_or_file_is_refused(tmp_path):
    path = tmp_path / "m.jsonl"
    Journal(path, SETTING)
    with pytest.raises(Refused, match="was begun with threads 1, this is 2; move it away"):
        Journal(path, SETTING | {"threads": 2})
    with pytest.raises(Refused, match="was begun with another plan; move it away"):
        Journal(path, SETTING | {"plan": "x"})
    begun = path.read_text()
    visit = {"kind": "visit", "id": "b", "at": 1.0, "runs": 2, "median_ms": "fast"}
    for entry in (visit, {"kind": "idle", "start": 1.0}, {"kind": "window", "start": 1.0, "end": None, "runs": 3}):
        path.write_text(f"{begun}{json.dumps(entry)}\n")
        with pytest.raises(Refused, match="was changed by something else"):
            Journal(path, SETTING)
    for content in (b"id,ms\n1,2\n", b"[1]\n", b"\xff\xfe\n", b"[" * 100_000 + b"\n"):
        path.write_bytes(content)
        with pytest.raises(Refused, match="is no file of measurements"):
            Journal(path, SETTING)
        assert path.read_bytes() == content


def test_another_number_of_threads_is_refused_and_so_is_a_second_agent(bundle, capsys):
    keep_fp32(bundle)
    arguments = ["--bundle", str(bundle), "--out", str(bundle / "results.json")]
    assert main(arguments) == 0
    assert "wrote " in capsys.readouterr().err
    assert "was begun with threads 1, this is 2" in refusal(capsys, *arguments, "--threads", "2")
    with alone(journal_of(bundle)):
        assert "another agent is measuring into it" in refusal(capsys, *arguments)
