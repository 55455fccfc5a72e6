"""From what was measured to a profile: recorded results, and others made by hand with a known answer."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nas.device.cost import predict
from nas.device.profile import read_profile
from nas.errors import UserError
from nas.profiling.build.profile import build_profile, compared
from nas.profiling.build.space_profile import fit_line, on_line, require_steady, space_profile
from nas.profiling.energy.windows import measured_energy
from nas.profiling.results.results import Results, candidate_of, read_results

RECORDED = Path(__file__).parents[1] / "recorded/results.json"


def content() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(RECORDED.read_text())
    return found


def exact(energy: bool = False, of: str = "") -> Results:
    """Results in which a network takes 1 ms and twice the sum of its blocks, each k microseconds for the k-th; energy
    likewise, 3 mJ for each ms, at 2 W idle, of items whose id begins with `of`.
    """
    found = content()
    rows = found["plan"]["items"]
    space = Results.model_validate(found).space()
    ms = {row["name"]: 0.001 * (k + 1) for k, row in enumerate(rows) if row["kind"] == "block"}
    times = {}
    for row in rows[1:]:
        if row["kind"] == "block":
            times[row["id"]] = ms[row["name"]]
        else:
            candidate = candidate_of(space, Results.model_validate(found).plan.items[rows.index(row)])
            times[row["id"]] = 1 + 2 * sum(ms[b.key] for b in space.network(candidate).blocks)
    visit = {"at": 1.0, "runs": 10, "reference_ms": 1.0}
    found["items"] = {
        name: [visit | {"median_ms": t, "p90_ms": 1.1 * t, "p99_ms": 1.2 * t, "relative": t}] * 4
        for name, t in times.items()
    }
    if energy:
        start = 1000.0
        windows = []
        for name, t in times.items():
            if name.startswith(of):
                runs = round(3000 / t)
                windows.append({"id": name, "start": start, "end": start + 3, "runs": runs, "joules": 0.003 * t * runs})
                start += 4
        idle = [{"start": start + 4 * k, "end": start + 4 * k + 3, "joules": 6.0} for k in range(4)]
        found["energy"] = {"meter": "rapl", "includes": "package", "idle": idle, "windows": windows, "pattern": []}
    return Results.model_validate(found)


def test_recorded_results_make_a_profile_that_predicts_what_was_held_out(tmp_path: Path) -> None:
    results = read_results(RECORDED)
    built = build_profile(results, tmp_path / "board", noisy=True)
    profile = read_profile(tmp_path / "board")
    assert profile.precisions == ("fp32", "int8") and not profile.has_energy
    assert len(profile.lookup_table) == 36 and all(t.median_ms <= (t.p99_ms or 0) for t in profile.lookup_table)
    assert built.agreement is None and profile.about.noise and "-fold" in profile.about.noise
    for error in profile.errors:  # of a busy machine, with less than half of its visits kept
        assert error.networks == 22 and error.mean < 0.08 and error.mean < error.constant
    space = results.space()
    for item in results.items_of("check")[:3]:
        row = next(v for v in profile.validation if (v.network, v.precision) == (item.name, item.precision))
        found = predict(profile, space.network(candidate_of(space, item)), item.precision)
        assert found.latency_basis == "measured" and found.latency_ms == pytest.approx(row.predicted_ms, rel=0.05)


def test_an_exact_line_is_found_and_predicts_exactly() -> None:
    found = space_profile(exact())
    for precision in ("fp32", "int8"):
        line = found.calibration[precision]
        assert (line.slope, line.offset_ms) == pytest.approx((2, 1))
    assert all(row.predicted_ms == pytest.approx(row.measured_ms) for row in found.validation)
    assert [error.mean for error in found.errors] == pytest.approx([0, 0], abs=1e-6)


def test_energy_of_blocks_goes_on_a_line_of_its_own(tmp_path: Path) -> None:
    build_profile(exact(energy=True), tmp_path / "board", noisy=True)
    profile = read_profile(tmp_path / "board")
    assert profile.about.idle_w == pytest.approx(2) and "idle" in (profile.about.energy or "")
    line = profile.about.energy_calibration["fp32"]
    assert (line.slope, line.offset_mj) == pytest.approx((2, 3), rel=0.05)  # whole numbers of runs in a window
    rows = [row for row in profile.validation if row.split == "network"]
    assert rows and all(row.predicted_mj == pytest.approx(row.measured_mj, rel=0.03) for row in rows)
    results = exact()
    item = results.items_of("check")[0]
    found = predict(profile, results.space().network(candidate_of(results.space(), item)), "fp32")
    assert found.energy_mj == pytest.approx(3 * found.latency_ms, rel=0.05)


def test_energy_of_whole_networks_alone_is_fitted_and_times_stay_measured(tmp_path: Path) -> None:
    build_profile(exact(energy=True, of="n"), tmp_path / "board", noisy=True)
    profile = read_profile(tmp_path / "board")
    assert profile.rates is not None and not profile.about.energy_calibration
    assert "fitted to 44 whole networks" in (profile.about.energy or "")
    results = exact()
    item = results.items_of("check")[0]
    found = predict(profile, results.space().network(candidate_of(results.space(), item)), "fp32")
    assert found.latency_basis == "measured"
    assert found.energy_mj == pytest.approx(3 * found.latency_ms, rel=0.2)
    assert {error.quantity for error in profile.errors} == {"latency", "energy"}


def test_a_machine_that_was_too_uneven_is_refused() -> None:
    uneven = content()
    for visits in uneven["items"].values():
        for i, visit in enumerate(visits):
            visit["reference_ms"] *= 1 + 5 * (i % 2)
    with pytest.raises(UserError, match=r"-fold.*--noisy"):
        require_steady(Results.model_validate(uneven))
    drifting = exact().model_dump()
    for visits in drifting["items"].values():
        visits += [visit | {"at": 9.0, "relative": 1.2 * visit["relative"]} for visit in visits]
    with pytest.raises(UserError, match=r"20\.0% more or less"):
        require_steady(Results.model_validate(drifting))


def test_what_was_not_measured_is_named() -> None:
    lacking = content()
    block = next(row for row in lacking["plan"]["items"] if row["kind"] == "block")
    del lacking["items"][block["id"]]
    with pytest.raises(UserError, match=block["name"]):
        space_profile(Results.model_validate(lacking))
    few = content()
    few["items"] = {name: visits for name, visits in few["items"].items() if name.startswith("b")}
    with pytest.raises(UserError, match="at least 4 are needed"):
        space_profile(Results.model_validate(few))


def slowed(results: Results, factor: float) -> Results:
    """The same measurement of a device so many times slower, beside a reference that is not."""
    found = results.model_dump()
    times = ("median_ms", "p90_ms", "p99_ms", "relative")
    for visits in found["items"].values():
        visits[:] = [visit | {key: factor * visit[key] for key in times} for visit in visits]
    return Results.model_validate(found)


@pytest.mark.parametrize(
    ("factor", "verdict"), [(1.0, "agrees"), (1.02, "agrees"), (0.9, "does NOT agree"), (1.1, "does NOT agree")]
)
def test_a_second_measurement_is_compared_with_the_first(factor: float, verdict: str, tmp_path: Path) -> None:
    assert build_profile(exact(), tmp_path / "board", noisy=True).agreement is None
    built = build_profile(slowed(exact(), factor), tmp_path / "board", noisy=True)
    off = f"{100 * abs(factor - 1):.1f}% on average over 44 whole networks"
    assert built.agreement and built.agreement.startswith(f"{verdict} within 3%") and off in built.agreement


def test_a_machine_that_was_slower_before_is_told_from_a_measurement_that_was_off() -> None:
    rows = space_profile(exact()).validation
    slower = tuple(type(r)(r.network, r.precision, r.split, 1.1 * r.measured_ms, r.predicted_ms) for r in rows)
    found = compared(slower, rows, {"fp32": 1.1, "int8": 1.1}) or ""  # the machine itself was slower the first time
    assert "does NOT agree" in found and "0.0% once both are at one speed" in found
    assert "does NOT agree" in (compared(rows, slower) or "") and "10.0% on average" in (compared(rows, slower) or "")


def test_a_foreign_folder_is_not_written_into(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(UserError, match=r"thesis\.tex"):
        build_profile(exact(), tmp_path, noisy=True)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def terms(sums: list[float], blocks: list[float], params: list[float]) -> np.ndarray:
    return np.stack([sums, blocks, params, np.ones(len(sums))], axis=1)


def test_the_line_through_exact_networks_is_found() -> None:
    found = terms([1.0, 2.0, 4.0, 5.0, 7.0], [3.0, 5.0, 4.0, 6.0, 3.0], [0.2, 1.5, 0.1, 0.7, 2.5])
    for line in ([1.5, 0, 0, 0], [1.5, 0, 0, 1.0], [1.5, -0.1, 0, 0], [1.5, 0, 0.3, 0], [1.5, -0.1, 0.3, 0]):
        assert fit_line(found, found @ line) == pytest.approx(line, abs=1e-9)


def test_a_network_far_below_the_others_is_never_predicted_below_0() -> None:
    """Held out, the smallest network may lie where the line through the others is negative."""
    others = np.array([[1.0, 4, 0.1, 1], [1.1, 4, 0.1, 1], [1.2, 4, 0.1, 1], [1.3, 4, 0.1, 1]])
    line = fit_line(others, np.array([0.5, 0.8, 1.1, 1.4]))
    small = np.array([[0.2, 4, 0.1, 1], [1.15, 4, 0.1, 1]])
    assert (small @ line)[0] < 0
    assert on_line(small, line) == pytest.approx([0.2, 0.95], rel=0.02)


def test_weights_never_make_a_network_cheaper() -> None:
    found = terms([1.0, 2.0, 4.0, 5.0, 7.0], [3.0, 5.0, 4.0, 6.0, 3.0], [0.2, 1.5, 0.1, 0.7, 2.5])
    assert fit_line(found, found @ [1.5, 0, -0.1, 0])[2] == 0


def test_networks_of_one_depth_have_no_cost_per_block_and_those_all_alike_a_line_through_the_origin() -> None:
    found = terms([1.0, 2.0, 4.0, 5.0], [7.0] * 4, [1.0] * 4)
    assert fit_line(found, found @ [1.5, 0, 0, 1.0])[:3] == pytest.approx([1.5, 0, 0])
    alike = terms([2.0, 2.0001], [3.0, 3.0], [1.0, 1.0])
    assert fit_line(alike, np.array([3.0, 2.9])) == pytest.approx((1.475, 0, 0, 0), rel=0.01)


def without_windows(results: Results, lost: Sequence[str]) -> Results:
    """The results as they are where the windows of some items were lost, as in a gap of a meter's trace."""
    assert results.energy is not None
    windows = [window for window in results.energy.windows if window.id not in lost]
    return results.model_copy(update={"energy": results.energy.model_copy(update={"windows": windows})})


def test_the_profile_says_to_how_many_networks_its_energy_was_fitted() -> None:
    results = exact(energy=True, of="n")
    networks = [item.id for item in results.items_of("calibrate", "check")]
    lost = [name for name in networks if name.endswith("fp32")][:5]
    results = without_windows(results, lost)
    found = space_profile(results, measured_energy(results.energy))
    assert found.energy is not None and f"energy fitted to {len(networks) - 5} whole networks" in found.energy
    assert sum(row.measured_mj is None for row in found.validation) == 5


def test_a_lost_window_leaves_its_network_out_where_blocks_have_energy_too() -> None:
    results = exact(energy=True)
    lost = [item.id for item in results.items_of("calibrate") if item.precision == "int8"][:2]
    results = without_windows(results, lost)
    found = space_profile(results, measured_energy(results.energy))
    assert sum(row.measured_mj is None for row in found.validation) == 2
    assert found.energy_calibration["int8"].slope == pytest.approx(2.0, rel=1e-3)  # as `exact` made them
    every = [item.id for item in results.items_of("calibrate", "check") if item.precision == "int8"]
    results = without_windows(results, every[3:])
    with pytest.raises(UserError, match="energy in int8 needs the windows of 4 whole networks or more; it has"):
        space_profile(results, measured_energy(results.energy))


def test_a_block_that_is_not_the_spaces_is_refused() -> None:
    results = exact()
    items = [item.model_copy(update={"name": "conv-3x9x9"}) if item.kind == "block" else item
             for item in results.plan.items]  # fmt: skip
    results = results.model_copy(update={"plan": results.plan.model_copy(update={"items": items})})
    with pytest.raises(UserError, match="the block conv-3x9x9 is not one of the space nas-bench-macro"):
        space_profile(results)
