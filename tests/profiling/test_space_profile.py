"""Measuring on this machine, for real but little: no time is expected in milliseconds, only what must hold anywhere."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nas.errors import UserError
from nas.profiling import space_profile
from nas.profiling.block_graph import block_graph
from nas.profiling.measurements import Measurement, append_measurement, pooled, read_measurements
from nas.profiling.space_profile import Plan, fit_line, make_plan, measure, measure_network
from nas.profiling.timing import runtime, time_model
from nas.space.block import Block
from nas.space.network import Network
from nas.space.search_space import SearchSpace, load_space

ROW = Measurement("conv-3x8x8", "fp32", 0, runtime(), 1, 0.5, 0.75, 2.0, 0.25, 10)


@pytest.fixture
def space() -> SearchSpace:
    return load_space("tiny")


@pytest.fixture
def plan(space: SearchSpace, monkeypatch: pytest.MonkeyPatch) -> Plan:
    """Four networks, and the blocks in them."""
    monkeypatch.setattr(space_profile, "VISITS", 2)
    monkeypatch.setattr(space_profile, "RUNS_PER_VISIT", 3)
    plan = make_plan(space, ("fp32", "int8"), networks=2, held_out=2)
    used = {b.key for n in (*plan.calibrating.values(), *plan.held_out.values()) for b in n.blocks}
    return replace(plan, items=tuple(item for item in plan.items if item.whole or item.name in used))


def test_a_larger_block_takes_longer() -> None:
    small, large = (Block("conv", (16, n, n), (16, n, n), 3, 1, activation="relu") for n in (16, 64))
    times = [time_model(block_graph([block]).SerializeToString(), 1, 30) for block in (small, large)]
    assert times[0].runs == 30
    assert 0 < times[0].median_ms <= times[0].p90_ms
    assert times[0].median_ms < times[1].median_ms


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_a_network_is_measured_as_it_is_deployed(precision: str) -> None:
    network = Network((Block("conv", (3, 16, 16), (8, 8, 8), 3, 2), Block("pool_linear", (8, 8, 8), (10, 1, 1))))
    timing = measure_network(network, precision, threads=1, runs=5)  # type: ignore[arg-type]
    assert timing.runs == 5 and 0 < timing.median_ms <= timing.p90_ms


def test_a_plan_has_every_block_in_every_precision_and_no_network_twice(space: SearchSpace) -> None:
    plan = make_plan(space, ("fp32", "int8"))
    assert not plan.calibrating.keys() & plan.held_out.keys()
    assert not set(plan.calibrating.values()) & set(plan.held_out.values())
    names = {(item.name, item.precision) for item in plan.items}
    assert len(names) == len(plan.items)
    for network in (*plan.calibrating.values(), *plan.held_out.values()):
        assert all((block.key, p) in names for block in network.blocks for p in ("fp32", "int8"))
    assert make_plan(space, ("fp32", "int8")) == plan
    assert make_plan(space, ("fp32", "int8"), seed=1).held_out.keys() != plan.held_out.keys()
    assert plan.seconds > make_plan(space, ("fp32",)).seconds > 0


def test_a_plan_for_one_resolution_has_only_its_blocks() -> None:
    plan = make_plan(load_space("mobilenet-v3"), ("fp32",), resolution=160)
    assert {item.blocks[0].in_shape for item in plan.items if item.whole} == {(3, 160, 160)}
    assert all(max(item.blocks[0].in_shape[1:]) <= 160 for item in plan.items)
    with pytest.raises(UserError, match="resolutions"):
        make_plan(load_space("mobilenet-v3"), ("fp32",), resolution=161)


@pytest.mark.parametrize("precisions", [("fp16",), ()])
def test_precisions_that_cannot_be_measured_are_refused(space: SearchSpace, precisions: tuple[str, ...]) -> None:
    with pytest.raises(UserError, match="fp32, int8"):
        make_plan(space, precisions)  # type: ignore[arg-type]


def test_a_profile_has_all_that_was_planned_and_an_interrupted_one_goes_on(plan: Plan, tmp_path: Path) -> None:
    whole = sum(item.whole for item in plan.items)
    assert whole == 2 * 4
    total = 2 * (len(plan.items) - whole) + 6 * whole

    def stop(done: int, of: int, seconds: float) -> None:
        assert of == total and seconds >= 0
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        measure(plan, tmp_path, threads=1, progress=stop)
    path = tmp_path / "measurements.csv"
    before = path.read_text()
    assert before.count("\n") == 1 + 5

    steps: list[int] = []
    profile = measure(plan, tmp_path, threads=1, progress=lambda done, of, s: steps.append(done))
    assert steps == list(range(6, total + 1))
    assert path.read_text().startswith(before) and path.read_text().count("\n") == 1 + total
    blocks = {(item.name, item.precision) for item in plan.items if not item.whole}
    assert {(t.block, t.precision) for t in profile.blocks} == blocks
    assert all(t.runs == 6 and t.median_ms > 0 for t in profile.blocks)
    assert {row.network for row in profile.validation} == plan.held_out.keys()
    assert len(profile.validation) == 2 * len(plan.held_out)
    assert all(line.slope > 0 for line in profile.calibration.values())
    for row in profile.validation:
        times = {t.block: t.median_ms for t in profile.blocks if t.precision == row.precision}
        line = profile.calibration[row.precision]
        total_ms = sum(times[block.key] for block in plan.held_out[row.network].blocks)
        assert row.predicted_ms == pytest.approx(line.slope * total_ms + line.offset_ms)

    again: list[int] = []
    assert measure(plan, tmp_path, threads=1, progress=lambda done, of, s: again.append(done)) == profile
    assert again == []


def test_measurements_survive_a_kill_in_the_middle_of_a_row(tmp_path: Path) -> None:
    path = tmp_path / "measurements.csv"
    append_measurement(path, ROW)
    whole = path.read_text()
    path.write_text(whole + "conv-3x16x16,fp32,0,ONN")
    assert read_measurements(path, runtime(), 1) == [ROW]
    assert path.read_text() == whole


def test_visits_are_pooled_by_their_median() -> None:
    rows = [replace(ROW, visit=i, relative=x) for i, x in enumerate((4.0, 36.0, 8.0))]
    (timing,) = pooled(rows).values()
    assert (timing.median_ms, timing.p90_ms, timing.runs) == (2.0, 3.0, 30)  # 8 times 0.25 ms; the 90th is 1.5 times it


def test_a_visit_while_the_machine_was_slow_counts_like_any_other() -> None:
    quick = [replace(ROW, visit=i) for i in range(2)]
    slow = replace(ROW, name="mbconv-8x8x8", median_ms=3.0, p90_ms=4.5, relative=6.0, reference_ms=0.5)
    times = pooled([*quick, slow])
    assert times["conv-3x8x8", "fp32"].median_ms == 0.5
    assert times["mbconv-8x8x8", "fp32"].median_ms == 1.5  # what 3 ms at half the speed are


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("trial,accuracy\n1,0.5\n", "no file of measurements"),
        ("{header}\nconv,fp32,0,{runtime},2,0.5,0.7,2,0.25,10\n", "2 threads"),
        ("{header}\nconv,fp32,0,Other 1.0,1,0.5,0.7,2,0.25,10\n", "Other 1.0"),
        ("{header}\nconv,fp32,0,{runtime},1,-0.5,0.7,2,0.25,10\n", "median_ms"),
        ("{header}\nconv,fp64,0,{runtime},1,0.5,0.7,2,0.25,10\n", "line 2"),
        ("{header}\nconv,fp32,first,{runtime},1,0.5,0.7,2,0.25,10\n", "line 2"),
        ("{header}\nconv,fp32\n", "line 2"),
    ],
)
def test_foreign_measurements_are_refused_in_one_line(tmp_path: Path, text: str, message: str) -> None:
    header = "name,precision,visit,runtime,threads,median_ms,p90_ms,relative,reference_ms,runs"
    path = tmp_path / "measurements.csv"
    path.write_text(text.format(header=header, runtime=runtime()))
    with pytest.raises(UserError, match=message) as caught:
        read_measurements(path, runtime(), 1)
    assert "\n" not in str(caught.value)


def test_the_line_through_exact_networks_is_found() -> None:
    line = fit_line([1.0, 2.0, 4.0], [2.5, 4.0, 7.0])
    assert (line.slope, line.offset_ms) == pytest.approx((1.5, 1.0))


def test_networks_all_alike_give_a_line_through_the_origin() -> None:
    line = fit_line([2.0, 2.01], [3.0, 2.9])
    assert line.offset_ms == 0
    assert line.slope == pytest.approx(np.mean([3.0 / 2.0, 2.9 / 2.01]))
