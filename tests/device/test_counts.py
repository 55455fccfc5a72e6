"""Counts of layers, by hand, and their properties."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nas.device.counts import COUNTS, INDEX, layer_counts, missing, network_counts, once_counts, total_counts
from nas.space.layer import Layer
from nas.space.network import Network, imported
from nas.space.reference import reference_network

SEEN = np.ones(len(COUNTS))


def above_zero(layer: Layer, precision: str = "fp32") -> dict[str, float]:
    counts = layer_counts(layer, precision)  # type: ignore[arg-type]
    return {name: float(counts[i]) for name, i in INDEX.items() if counts[i]}


def test_a_pointwise_convolution_by_hand() -> None:
    # 64 x 14 x 14 -> 128 x 14 x 14: 64 * 128 weights, each used at 196 places
    counted = above_zero(Layer("conv", (64, 14, 14), (128, 14, 14), norm=True))
    assert counted == pytest.approx(
        {"layer": 1, "pointwise": 1.605632, "moved": (12544 + 25088) * 4 / 1e6, "weights": 0.032768}
    )


def test_what_does_not_fit_the_cache_is_streamed() -> None:
    # 512 x 512 weights of 4 bytes are 1,048,576 bytes: 786,432 more than 256 KiB; the maps of 100,352 bytes fit
    counted = above_zero(Layer("conv", (512, 7, 7), (512, 7, 7)))
    assert counted["streamed_weights"] == pytest.approx(0.786432)
    assert "streamed_values" not in counted
    # as int8 the weights are 262,144 bytes, which just fit
    assert "streamed_weights" not in above_zero(Layer("conv", (512, 7, 7), (512, 7, 7)), "int8")
    # 32 x 112 x 112 float values are 1,605,632 bytes, read and written: twice 1,343,488 too many
    big = Layer("conv", (32, 112, 112), (32, 112, 112), (3, 3), groups=32)
    assert above_zero(big)["streamed_values"] == pytest.approx(2.686976)


@pytest.mark.parametrize(
    ("layer", "name", "millions"),
    [
        (Layer("conv", (3, 32, 32), (16, 16, 16), (3, 3), 2), "stem", 27 * 16 * 256 / 1e6),
        (Layer("conv", (8, 32, 32), (16, 32, 32), (3, 3)), "standard", 72 * 16 * 1024 / 1e6),
        (Layer("conv", (8, 32, 32), (8, 32, 32), (3, 3), groups=8), "depthwise3", 72 * 1024 / 1e6),
        (Layer("conv", (8, 32, 32), (8, 16, 16), (5, 5), 2, groups=8), "depthwise5", 200 * 256 / 1e6),
        (Layer("conv", (8, 32, 32), (8, 32, 32), (7, 7), groups=8), "depthwise7", 392 * 1024 / 1e6),
        (Layer("linear", (64, 1, 1), (10, 1, 1), bias=True), "linear", 640 / 1e6),
        (Layer("conv", (64, 1, 1), (16, 1, 1), bias=True), "linear", 1024 / 1e6),
        (Layer("activation", (8, 4, 4), (8, 4, 4), function="hswish"), "hswish", 128 / 1e6),
        (Layer("activation", (8, 4, 4), (8, 4, 4), function="gelu"), "activation", 128 / 1e6),
        (Layer("add", (8, 4, 4), (8, 4, 4)), "add", 128 / 1e6),
        (Layer("multiply", (8, 4, 4), (8, 4, 4)), "multiply", 128 / 1e6),
    ],
)
def test_each_primitive_has_its_own_count(layer: Layer, name: str, millions: float) -> None:
    assert above_zero(layer)[name] == pytest.approx(millions)
    own = set(COUNTS) - {"network", "image", "layer", "moved", "weights", "streamed_weights", "streamed_values"}
    assert own & set(above_zero(layer)) == {name}


def test_fused_activations_count_nothing() -> None:
    assert above_zero(Layer("activation", (8, 4, 4), (8, 4, 4), function="relu6")) == {}


def test_once_per_inference_by_hand() -> None:
    counts = once_counts((3, 224, 224))
    assert counts[INDEX["network"]] == 1
    assert counts[INDEX["image"]] == pytest.approx(0.150528)
    assert np.count_nonzero(counts) == 2


def test_a_networks_counts_are_those_of_its_layers() -> None:
    network = reference_network("mobilenet_v3_small")
    counts = network_counts(network, "int8")
    assert np.allclose(counts, total_counts(network.layers, "int8") + once_counts((3, 224, 224)))
    macs = sum(counts[INDEX[n]] for n in ("stem", "standard", "pointwise", "depthwise3", "depthwise5", "linear"))
    assert macs == pytest.approx(56.51, abs=0.01)  # timm's tf_mobilenetv3_small_100 has 56,510,400 MACs


@pytest.mark.parametrize(
    ("layer", "name"),
    [
        (Layer("conv", (8, 4, 4), (16, 4, 4), groups=2), "grouped"),
        (Layer("shuffle", (8, 4, 4), (8, 4, 4), groups=2), "shuffle"),
        (Layer("pool", (8, 4, 4), (8, 2, 2), (2, 2), 2, function="max"), "pool max"),
    ],
)
def test_kinds_without_a_count_are_missing_even_where_all_counts_were_seen(layer: Layer, name: str) -> None:
    assert missing(layer, SEEN) == name
    assert above_zero(layer)["moved"] > 0


def test_an_activation_that_was_not_seen_is_missing_and_another_kernel_is_not() -> None:
    seen = SEEN.copy()
    seen[[INDEX["swish"], INDEX["depthwise7"], INDEX["standard"]]] = 0
    assert missing(Layer("activation", (8, 4, 4), (8, 4, 4), function="swish"), seen) == "activation swish"
    assert missing(Layer("activation", (8, 4, 4), (8, 4, 4), function="hswish"), seen) is None
    assert missing(Layer("conv", (8, 8, 8), (8, 8, 8), (7, 7), groups=8), seen) is None
    assert missing(Layer("conv", (8, 8, 8), (8, 8, 8), (3, 3)), seen) is None


sizes = st.integers(1, 40)


@settings(max_examples=200, deadline=None)
@given(channels=sizes, width=sizes, size=st.integers(2, 60), more=st.integers(0, 30), larger=st.integers(0, 30))
def test_more_channels_or_pixels_never_count_less(channels: int, width: int, size: int, more: int, larger: int) -> None:
    def network(channels: int, size: int) -> Network:
        shape = (channels * 8, size, size)
        out = (width * 8, size, size)
        return imported([Layer("conv", shape, out), Layer("conv", out, out, (3, 3), groups=width * 8)])

    small = network_counts(network(channels, size), "fp32")
    assert (network_counts(network(channels + more, size + larger), "fp32") >= small).all()
