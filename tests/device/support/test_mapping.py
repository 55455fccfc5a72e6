"""Which layers stay on the CPU, on networks small enough to count by hand."""

from __future__ import annotations

import pytest

from nas.device.support.mapping import AFTER, SHORTER, fault, on_cpu
from nas.device.support.support import load_support
from nas.space.block import Block
from nas.space.layer import Layer
from nas.space.network import Network
from nas.space.reference import reference_network

# FIRST: standard, relu6; ODD: standard, hswish; BODY: pointwise, relu, depthwise, relu, pointwise, add; HEAD: pool and
# linear
FIRST = Block("conv", (3, 32, 32), (8, 16, 16), 3, 2, activation="relu6")
ODD = Block("conv", (8, 16, 16), (8, 16, 16), 3, 1, activation="hswish")
BODY = Block("mbconv", (8, 16, 16), (8, 16, 16), 3, 1, 16, activation="relu")
HEAD = Block("pool_linear", (8, 16, 16), (10, 1, 1))
PLAIN, WITH_HSWISH = Network((FIRST, BODY, HEAD)), Network((FIRST, ODD, BODY, HEAD))


def test_hswish_ends_the_mapping_on_the_edge_tpu_at_that_layer() -> None:
    rules = load_support("edge-tpu").rules
    assert on_cpu(rules, PLAIN) == ()
    found = on_cpu(rules, WITH_HSWISH)
    assert [x.place for x in found] == list(range(3, 12))  # the fourth layer and all after it
    assert found[0].layer.function == "hswish" and found[0].rule == "hswish is not mapped"
    assert {x.rule for x in found[1:]} == {AFTER}


def test_where_nothing_ends_the_mapping_only_the_layer_stays() -> None:
    rules = load_support("edge-tpu").rules.model_copy(update={"first_unsupported_ends": False})
    assert [x.place for x in on_cpu(rules, WITH_HSWISH)] == [3]


def test_only_the_longest_run_leaves_the_cpu_where_there_is_one_partition() -> None:
    rules = load_support("litert-gpu").rules.model_copy(update={"activations": ["relu", "relu6"]})
    found = on_cpu(rules, WITH_HSWISH)
    assert [(x.place, x.rule) for x in found] == [
        (0, SHORTER), (1, SHORTER), (2, SHORTER), (3, "hswish is not mapped")
    ]  # fmt: skip
    nothing = rules.model_copy(update={"activations": [], "operators": ["concat"]})
    assert len(on_cpu(nothing, WITH_HSWISH)) == 12


@pytest.mark.parametrize(
    ("target", "layer", "rule"),
    [
        ("rknn", Layer("conv", (8, 64, 64), (8, 64, 64), (31, 3)), ""),
        ("rknn", Layer("conv", (8, 64, 64), (8, 64, 64), (33, 3)),
         "a convolution must have a kernel of at most 31; got 33"),
        ("rknn", Layer("conv", (8, 64, 64), (8, 8, 8), (3, 3), 8),
         "a convolution must have a stride of at most 7; got 8"),
        ("ethos-u55", Layer("conv", (8, 64, 64), (8, 16, 16), (5, 5), 4, 8),
         "a depthwise convolution must have a stride of at most 3; got 4"),
        ("ethos-u85", Layer("conv", (8, 64, 64), (8, 16, 16), (5, 5), 4, 8), ""),
        ("ethos-u55", Layer("resize", (8, 8, 8), (8, 32, 32)), ""),
        ("ethos-u55", Layer("resize", (8, 8, 8), (8, 24, 24)),
         "a resize must be by 2, 4, 8, the same in both directions; got 3 and 3"),
        ("ethos-u55", Layer("resize", (8, 8, 8), (8, 16, 32)),
         "a resize must be by 2, 4, 8, the same in both directions; got 2 and 4"),
        ("edge-tpu", Layer("conv", (8, 8, 8), (8, 8, 8), (3, 3), groups=2), "grouped convolution is not mapped"),
        ("edge-tpu", Layer("shuffle", (8, 8, 8), (8, 8, 8), groups=2), "channel shuffle is not mapped"),
        ("edge-tpu", Layer("activation", (8, 8, 8), (8, 8, 8), function="leaky_relu"), "leaky_relu is not mapped"),
        ("tensorrt", Layer("activation", (8, 8, 8), (8, 8, 8), function="mish"), ""),
    ],
)  # fmt: skip
def test_rules_of_single_layers(target: str, layer: Layer, rule: str) -> None:
    assert fault(load_support(target).rules, layer) == rule


def test_known_networks_map_as_their_makers_say() -> None:
    """MobileNetV2 and EfficientNet-Lite were made for it; MobileNetV3's h-swish is in its first block."""
    rules = load_support("edge-tpu").rules
    assert on_cpu(rules, reference_network("mobilenet_v2", resolution=224, width=1.0)) == ()
    assert on_cpu(rules, reference_network("efficientnet_lite0", resolution=224, width=1.0)) == ()
    large = reference_network("mobilenet_v3_large", resolution=224, width=1.0)
    assert [x.place for x in on_cpu(rules, large)] == list(range(1, len(list(large.layers))))
    assert on_cpu(load_support("ethos-u55").rules, large) == ()
