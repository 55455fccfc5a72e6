"""Serving for long: nothing grows, neither in memory nor on the disk."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any

import pytest

from nas.monitor.log import Window, read_log, read_state
from nas.monitor.serve.frames import of_arrays
from nas.monitor.serve.loop import Serving
from nas.monitor.serve.options import Options
from tests.monitor.serve.deployments import make_version, picture
from tests.monitor.serve.fakes import Healthy, uneven


def sizes(folder: Path) -> int:
    return sum(path.stat().st_size for path in (folder / "monitor").rglob("*") if path.is_file())


def test_many_frames_leave_bounded_files_and_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten times the frames of the log's length: old lines go, times are counted in bins, objects are as many."""
    monkeypatch.setattr("os.fsync", lambda descriptor: None)  # 2,000 of them take a minute
    make_version(tmp_path, 1)

    serving = Serving(tmp_path, Options(every=True, quiet=True, window=10), loader=uneven(tmp_path), health=Healthy())
    serving.journal.log.most_bytes = 8_000
    frame, objects, files = picture("red"), [], []

    def frames() -> Any:
        for number in range(20_001):
            if number % 5000 == 0 and number:
                gc.collect()
                objects.append(len(gc.get_objects()))
                files.append(sizes(tmp_path))
            yield frame

    assert serving.run(of_arrays(frames())) == 0
    assert max(objects) - objects[0] < 500, objects
    assert max(files) - files[0] < 12_000 and max(files) < 5 * 8_000 + 100_000, files
    log, state = read_log(tmp_path), read_state(tmp_path)
    assert state is not None and state["served"] == state["captured"] == 20_001
    assert 50 < len(log.of(Window)) < 200, "the oldest went"
    assert sum(count for _, count in state["inference"]) == 20_001 and len(state["inference"]) < 60
    assert 1.9 < (serving.counts.inference.at(0.9) or 0) < 2.0
