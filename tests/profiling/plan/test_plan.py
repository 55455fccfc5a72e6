"""Plans: what is measured, and that nothing is measured twice or left out."""

from __future__ import annotations

import onnx
import pytest

from nas.errors import UserError
from nas.profiling.plan.model_files import model as model_of
from nas.profiling.plan.plan import Plan, check_resolution, make_plan, plan_of, sample_networks, with_runtime
from nas.space.search_space import SearchSpace, load_space


@pytest.fixture
def space() -> SearchSpace:
    return load_space("tiny")


def of(plan: Plan, *kinds: str) -> list[str]:
    return [item.name for item in plan.items if item.kind in kinds]


def test_a_plan_has_every_block_in_every_precision_and_no_network_twice(space: SearchSpace) -> None:
    plan = make_plan(space, ("fp32", "int8"))
    calibrating = set(of(plan, "calibrate"))
    assert len(calibrating) == 22 and not of(plan, "check")
    names = {(item.name, item.precision) for item in plan.items[2:]}
    assert len(names) == len(plan.items) - 2 and len({item.id for item in plan.items}) == len(plan.items)
    assert [(item.kind, item.precision) for item in plan.items[:2]] == [("reference", p) for p in ("fp32", "int8")]
    for item in plan.items:
        if item.candidate:
            assert all((block.key, p) in names for block in item.network.blocks for p in ("fp32", "int8"))
            assert space.network(item.candidate) == item.network
    assert make_plan(space, ("fp32", "int8")) == plan
    other = make_plan(space, ("fp32", "int8"), seed=1)
    assert set(of(other, "calibrate")) != calibrating
    assert [item.network for item in other.items[:2]] == [item.network for item in plan.items[:2]]  # one yardstick
    assert plan.seconds > make_plan(space, ("fp32",)).seconds > 0


def test_a_plan_of_detectors_measures_heads_on_their_taps() -> None:
    """Heads are blocks that are timed alone; a whole network gives the boxes of all its heads."""
    space = load_space("tiny-detector")
    plan = make_plan(space, ("fp32",), resolution=96, networks=4)
    names = set(of(plan, "block"))
    heads = {item.name for item in plan.items if item.kind == "block" and item.network.detects}
    assert heads and all(name.startswith("anchor_free") for name in heads)
    for item in plan.items:
        if item.kind == "calibrate":
            assert {block.key for block in item.network.blocks} <= names
    item = next(item for item in plan.items if item.kind == "calibrate" and len(item.network.heads) == 3)
    model = onnx.load_model_from_string(model_of(item))
    shape = [dim.dim_value for dim in model.graph.output[0].type.tensor_type.shape.dim]
    maps = [item.network.blocks[head].in_shape[1] ** 2 for head in item.network.heads]
    assert shape == [1, sum(maps), 14] and maps == sorted(maps)
    made = {name: node for node in model.graph.node for name in node.output}
    (joined,) = [node for node in model.graph.node if node.op_type == "Concat"]
    assert len(joined.input) == 3 and all(made[name].op_type == "Reshape" for name in joined.input)


def test_a_plan_for_one_resolution_has_only_its_blocks() -> None:
    plan = make_plan(load_space("mobilenet-v3"), ("fp32",), resolution=160)
    assert {item.network.input_shape for item in plan.items if item.candidate} == {(3, 160, 160)}
    assert all(max(item.network.input_shape[1:]) <= 160 for item in plan.items)
    with pytest.raises(UserError, match="resolutions"):
        make_plan(load_space("mobilenet-v3"), ("fp32",), resolution=161)


def test_a_plan_to_check_a_profile_has_networks_alone(space: SearchSpace) -> None:
    plan = make_plan(space, ("fp32",), None, 3, 20, blocks=False)
    assert [item.kind for item in plan.items] == ["reference"] + ["check"] * 20


def test_a_quick_plan_has_the_networks_given(space: SearchSpace) -> None:
    chosen = sample_networks(space, 5, 32, seed=0)
    plan = plan_of(space, chosen, ("int8",), seed=0)
    assert plan.quick and [item.candidate for item in plan.items[1:]] == chosen
    assert {candidate["resolution"] for candidate in chosen} == {32}


@pytest.mark.parametrize("precisions", [("bf16",), ()])
def test_precisions_that_cannot_be_measured_are_refused(space: SearchSpace, precisions: tuple[str, ...]) -> None:
    with pytest.raises(UserError, match="fp32, fp16, int8"):
        make_plan(space, precisions)  # type: ignore[arg-type]


def test_a_plan_is_for_a_known_runtime_and_what_it_computes(space: SearchSpace) -> None:
    plan = make_plan(space, ("fp32", "int8"))
    assert plan.runtime == "onnxruntime" and with_runtime(plan, "litert").items == plan.items
    with pytest.raises(UserError, match=r"unknown runtime 'tvm' \(known: litert, onnxruntime\)"):
        with_runtime(plan, "tvm")
    with pytest.raises(UserError, match="fp16 is not"):
        with_runtime(make_plan(space, ("fp32", "fp16")), "litert")


def test_a_resolution_is_one_of_the_spaces_also_where_it_has_one_only() -> None:
    one = load_space("nas-bench-macro")  # 32 pixels
    assert check_resolution(one, 32) is None and check_resolution(one, None) is None
    with pytest.raises(UserError, match=r"--resolution must be one .*nas-bench-macro has one resolution, 32; got 64"):
        make_plan(one, ["fp32"], 64)
    several = load_space("mobilenet-v3")
    assert check_resolution(several, 160) == 160 and check_resolution(several, None) is None
    with pytest.raises(UserError, match=r"has the resolutions .*; got 161"):
        make_plan(several, ["fp32"], 161)
