"""Reading what an agent wrote: a file recorded from a real run, and what strangers may send instead."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from nas.errors import UserError
from nas.profiling.results.results import Results, read_results

RECORDED = Path(__file__).parents[1] / "recorded/results.json"  # nas-bench-macro on two shared virtual cores
VISIT = {"at": 1.0, "runs": 10, "median_ms": 2.0, "p90_ms": 3.0, "p99_ms": 4.0, "relative": 8.0, "reference_ms": 0.25}


def recorded() -> dict[str, Any]:
    content: dict[str, Any] = json.loads(RECORDED.read_text())
    return content


def test_a_recorded_file_is_read() -> None:
    results = read_results(RECORDED)
    assert results.space().name == "nas-bench-macro"
    assert results.precisions == ("fp32", "int8")
    assert len(results.items_of("calibrate")) == 2 * 12 and len(results.items_of("check")) == 2 * 10
    assert results.machine.runtime.startswith("ONNX Runtime")


def change(content: dict[str, Any], path: str, value: object) -> None:
    *parents, last = path.split("/")
    place: Any = content
    for key in parents:
        place = place[int(key) if isinstance(place, list) else key]
    place[int(last) if isinstance(place, list) else last] = value


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("format", 2, "format 2"),
        ("plan/items", [], "plan.items"),
        ("plan/items/0/precision", "fp64", "precision"),
        ("machine/threads", 0, "threads"),
        ("machine/processor", "x" * 401, "processor"),
        ("items", {"b": [VISIT | {"median_ms": -1.0}]}, "median_ms"),
        ("items", {"b": [VISIT | {"relative": float("nan")}]}, "relative"),
        ("items", {"b": 3}, "items.b"),
    ],
)
def test_a_wrong_file_is_refused_in_one_line(tmp_path: Path, path: str, value: object, message: str) -> None:
    content = recorded()
    change(content, path, value)
    file = tmp_path / "results.json"
    file.write_text(json.dumps(content))
    with pytest.raises(UserError, match=message) as caught:
        read_results(file)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 500


def test_a_file_that_is_cut_off_too_large_or_absent_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    file.write_text(RECORDED.read_text()[:5000])
    with pytest.raises(UserError, match="no results file"):
        read_results(file)
    with file.open("wb") as large:
        large.truncate((256 << 20) + 1)
    with pytest.raises(UserError, match="at most 256 MB"):
        read_results(file)
    with pytest.raises(UserError, match="cannot be read"):
        read_results(tmp_path / "absent.json")


def test_results_of_a_space_that_changed_since_are_refused() -> None:
    content = recorded()
    change(content, "plan/space/sha256", "0" * 64)
    with pytest.raises(UserError, match="has changed since"):
        Results.model_validate(content).space()
