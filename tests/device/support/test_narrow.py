"""A space for an accelerator: what cannot map leaves before sampling, by name, and nothing else does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nas.device.support.narrow import for_target
from nas.device.support.support import Support, load_support
from nas.device.support.target import Target
from nas.errors import UserError
from nas.space.candidate import Candidate
from nas.space.search_space import SearchSpace, load_space, parse_space

OPS = """
name = "ops"
title = "Blocks with and without h-swish"
source = "made for the tests"
classes = 10
resolution = [16, 32]
precision = ["fp32", "int8"]
stage = [
  { block = "conv", kernel = 3, stride = 2, channels = 8, activation = "relu6" },
  { block = "ops", depth = 3, op = ["plain", "smooth", "wide", "skip"], channels = 8 },
  { block = "mbconv", depth = [1, 2], kernel = [3, 5], expand = [2, 4], channels = 16, per = "stage" },
  { block = "pool_linear" },
]
[ops]
plain = { block = "mbconv", kernel = 3, expand = 2, activation = "relu" }
smooth = { block = "mbconv", kernel = 3, expand = 2, activation = "hswish" }
wide = { block = "mbconv", kernel = 7, expand = 2, activation = "relu" }
skip = { block = "skip" }
"""


def ops() -> SearchSpace:
    return parse_space(OPS, Path("ops.toml"))


def target(**changed: object) -> Target:
    rules = load_support("edge-tpu").rules
    return Target(Support.model_validate(rules.model_dump() | changed), "0" * 64, "edge-tpu")


def sampled(space: SearchSpace, n: int = 200) -> list[Candidate]:
    rng = np.random.default_rng(0)
    return [space.sample(rng) for _ in range(n)]


def test_choices_that_cannot_map_leave_and_are_named_with_layer_and_rule() -> None:
    found = for_target(ops(), ("int8",), target(max_kernel={"depthwise": 5}), 10)
    assert found.removed == (
        "edge-tpu: precision fp32 leaves the space (it has int8)",
        "edge-tpu: stage1.op smooth leaves the space (activation hswish 16x8x8 > 16x8x8: hswish is not mapped)",
        "edge-tpu: stage1.op wide leaves the space (depthwise 7x7 16x8x8 > 16x8x8: a depthwise convolution must have a "
        "kernel of at most 5; got 7)",
    )
    assert {c.as_dict()["stage1.block1.op"] for c in sampled(found.space)} == {"plain", "skip"}
    # of 4 operations in 3 places skip and plain are left: 1 + 1 + 1 + 1 strings; 2 resolutions, 2 depths of 4 pairs
    assert found.space.size == 4 * 2 * 8


def test_all_that_is_proposed_maps_where_all_that_does_not_has_left() -> None:
    aim = target(max_kernel={"depthwise": 3})
    found = for_target(ops(), ("int8",), aim, 10)
    for candidate in sampled(found.space):
        assert not any(map(aim.fault, found.space.network(candidate).blocks))


def test_a_choice_with_one_option_left_stays_a_choice_so_that_candidates_are_those_of_the_whole_space() -> None:
    whole = ops()
    found = for_target(whole, ("int8",), target(max_kernel={"depthwise": 3}), 10)
    assert any("stage2.kernel 5 leaves the space" in line for line in found.removed)
    assert [c.name for c in found.space.choices] == [c.name for c in whole.choices]
    assert next(c for c in found.space.choices if c.name == "stage2.kernel").options == (3,)
    for candidate in sampled(found.space, 50):
        assert whole.decode(whole.encode(candidate)) == candidate
        assert whole.network(candidate) == found.space.network(candidate)
        assert found.space.canonical(candidate) == candidate
        assert found.space.canonical_codes(found.space.encode(candidate)[None]).tolist() == [
            found.space.encode(candidate).tolist()
        ]


def test_without_a_target_and_where_all_maps_the_space_is_as_it_was() -> None:
    whole = load_space("mobilenet-v3")
    assert for_target(whole, ("int8",), None, 10).space.choices == whole.only(("int8",)).choices
    ethos = Target(load_support("ethos-u55").rules, "", "ethos-u55")
    found = for_target(whole, ("int8",), ethos, 10)
    assert found.removed == ("ethos-u55: precision fp32 leaves the space (it has int8)",)
    assert found.space.size == whole.size


@pytest.mark.parametrize(
    ("space", "said"),
    [
        (
            "mobilenet-v3",
            r"target edge-tpu maps no network of mobilenet-v3: stage stage0: activation hswish 24x64x64 > 24x64x64: "
            "hswish is not mapped",
        ),
        ("fbnet-cifar", ""),
        ("mobilenet-v2", ""),
        ("tiny", ""),
        ("efficientnet-lite", ""),
    ],
)
def test_a_shipped_space_of_which_nothing_maps_is_refused_in_one_line(space: str, said: str) -> None:
    if not said:
        for_target(load_space(space), ("int8",), target(), 10)
        return
    with pytest.raises(UserError) as refused:
        for_target(load_space(space), ("int8",), target(), 10)
    assert str(refused.value) == said


def test_grouped_operations_of_fbnet_leave_for_the_edge_tpu() -> None:
    found = for_target(load_space("fbnet-cifar"), ("int8",), target(), 10)
    assert len(found.removed) == 1 + 7 * 2  # fp32; in each of seven stages the grouped operations with kernel 3 and 5
    aim = target()
    assert not any(aim.fault(b) for c in sampled(found.space, 20) for b in found.space.network(c).blocks)


def test_blocks_that_the_chips_sram_does_not_hold_leave_with_the_resolution_that_makes_them() -> None:
    space = ops()
    stems = {
        resolution: space.network(Candidate.of(sampled(space, 1)[0].as_dict() | {"resolution": resolution})).blocks[0]
        for resolution in (16, 32)
    }
    needed = {stems[16].key: 100.0, stems[32].key: 300.0}
    aim = Target(load_support("ethos-u55").rules, "", "ethos-u55", needed, 256)
    found = for_target(space, ("int8",), aim, 10)
    key = stems[32].key
    assert found.removed[1] == (
        f"ethos-u55: resolution 32 leaves the space ({key}: needs 300 KiB of SRAM; the chip has 256)"
    )
    assert {c.as_dict()["resolution"] for c in sampled(found.space)} == {16}
    small = Target(load_support("ethos-u55").rules, "", "ethos-u55", needed, 64)
    with pytest.raises(
        UserError, match=r"maps no network of ops: stage stage0: .* needs 100 KiB of SRAM; the chip has 64"
    ):
        for_target(space, ("int8",), small, 10)
    network = space.network(sampled(space, 1)[0])
    assert small.too_large(network).endswith("the chip has 64") and not small.on_cpu(network)
