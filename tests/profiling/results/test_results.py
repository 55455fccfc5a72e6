"""Reading what an agent wrote: a file recorded from a real run, and what strangers may send instead."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from nas.errors import UserError
from nas.profiling.results.results import Results, pooled, read_results, speeds, steadiness

RECORDED = Path(__file__).parents[1] / "recorded/results.json"  # nas-bench-macro on two shared virtual cores
VISIT = {"at": 1.0, "runs": 10, "median_ms": 2.0, "p90_ms": 3.0, "p99_ms": 4.0, "relative": 8.0, "reference_ms": 0.25}


def recorded() -> dict[str, Any]:
    content: dict[str, Any] = json.loads(RECORDED.read_text())
    return content


def with_visits(**visits: list[dict[str, float]]) -> Results:
    """Results of these items alone: a, b ... are blocks in fp32."""
    content = recorded()
    content["plan"]["items"] += [
        {"id": name, "name": name, "precision": "fp32", "kind": "block", "sha256": "0"}
        for name in visits
        if len(name) == 1
    ]
    return Results.model_validate(content | {"items": visits})


def test_a_recorded_file_is_read() -> None:
    results = read_results(RECORDED)
    assert results.space().name == "nas-bench-macro"
    assert results.precisions == ("fp32", "int8")
    assert len(results.items_of("calibrate")) == 2 * 12 and len(results.items_of("check")) == 2 * 10
    assert results.machine.runtime.startswith("ONNX Runtime")


def test_visits_are_pooled_by_their_median() -> None:
    results = with_visits(a=[VISIT | {"relative": relative} for relative in (4.0, 36.0, 8.0)])
    found = pooled(results)["a"]
    assert (found.median_ms, found.p90_ms, found.p99_ms, found.runs) == (2.0, 3.0, 4.0, 30)  # 8 times 0.25 ms


def test_a_visit_while_the_machine_was_fast_counts_like_any_other() -> None:
    slow = [VISIT | {"median_ms": 4.0, "p90_ms": 6.0, "p99_ms": 8.0, "reference_ms": 0.5}] * 9
    fast = VISIT | {"median_ms": 1.5, "p90_ms": 2.25, "p99_ms": 3.0, "relative": 6.0, "reference_ms": 0.25}
    times = pooled(with_visits(a=slow, b=[fast]))
    assert times["a"].median_ms == 4.0
    assert times["b"].median_ms == 3.0  # what 1.5 ms at twice the speed are


def test_each_precision_has_a_reference_of_its_own() -> None:
    content = recorded()
    for precision in ("fp32", "int8"):
        content["plan"]["items"].append(
            {"id": precision, "name": "x", "precision": precision, "kind": "block", "sha256": "0"}
        )
    visits = {"fp32": [VISIT], "int8": [VISIT | {"relative": 4.0, "reference_ms": 0.1}]}
    times = pooled(Results.model_validate(content | {"items": visits}))
    assert (times["fp32"].median_ms, times["int8"].median_ms) == pytest.approx((2.0, 0.4))


def test_times_can_be_had_at_the_speed_of_another_measurement() -> None:
    results = with_visits(a=[VISIT])  # 8 times the reference, which takes 0.25 ms
    precision = next(iter(speeds(results)))
    assert speeds(results) == {precision: 0.25}
    assert pooled(results, {precision: 0.5})["a"].median_ms == 4.0


def test_steadiness_sees_the_swing_and_what_the_correction_left() -> None:
    name = next(item["id"] for item in recorded()["plan"]["items"] if item["kind"] == "check")
    even = [VISIT | {"at": float(i), "reference_ms": 0.25 * (1 + i % 2)} for i in range(12)]
    found = steadiness(with_visits(**{name: even}))
    assert found.swing == pytest.approx(2.0) and found.drift == 0
    risen = [visit | {"relative": 8.0 if i < 6 else 8.8} for i, visit in enumerate(even)]
    assert steadiness(with_visits(**{name: risen})).drift == pytest.approx(0.1)


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
