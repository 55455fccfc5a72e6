"""Visits taken together: their median at one speed of the machine, and how even that was."""

from __future__ import annotations

import pytest

from nas.profiling.results.results import Results
from nas.profiling.results.timings import pooled, speeds, steadiness
from tests.profiling.results.test_results import VISIT, recorded


def with_visits(**visits: list[dict[str, float]]) -> Results:
    """Results of these items alone: a, b ... are blocks in fp32."""
    content = recorded()
    content["plan"]["items"] += [
        {"id": name, "name": name, "precision": "fp32", "kind": "block", "sha256": "0"}
        for name in visits
        if len(name) == 1
    ]
    return Results.model_validate(content | {"items": visits})


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
