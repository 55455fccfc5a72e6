"""Counts against hand arithmetic."""

from nas.space.block import Block, make_divisible
from nas.space.layer import Layer
from nas.space.network import Network


def test_a_standard_convolution() -> None:
    layer = Layer("conv", (3, 32, 32), (16, 16, 16), (3, 3), 2, norm=True)
    assert layer.kind == "standard"
    assert layer.weights == 432  # 3 * 16 * 9
    assert layer.params == 464  # and a scale and a shift for 16 channels
    assert layer.macs == 110_592  # 432 * 256
    assert layer.weight_bytes("int8") == 432 + 4 * 16


def test_depthwise_pointwise_and_grouped_are_told_apart() -> None:
    assert Layer("conv", (8, 4, 4), (8, 4, 4), (3, 3), groups=8).kind == "depthwise"
    assert Layer("conv", (8, 4, 4), (8, 4, 4), (3, 3), groups=8).macs == 8 * 9 * 16
    assert Layer("conv", (8, 4, 4), (16, 4, 4)).kind == "pointwise"
    assert Layer("conv", (8, 4, 4), (16, 4, 4), groups=2).kind == "grouped"
    assert Layer("conv", (8, 4, 4), (16, 4, 4), groups=2).weights == 64


def test_an_inverted_residual_holds_its_input_until_the_addition() -> None:
    block = Block("mbconv", (8, 4, 4), (8, 4, 4), 3, 1, 32, activation="relu")
    ops = [layer.op for layer in block.layers]
    assert ops == ["conv", "activation", "conv", "activation", "conv", "add"]
    network = Network((block,))
    assert network.params == 8 * 32 + 64 + 9 * 32 + 64 + 32 * 8 + 16
    assert network.macs == (8 * 32 + 9 * 32 + 32 * 8) * 16
    # the depthwise layer reads and writes 32x4x4 while the block's 8x4x4 waits
    assert network.peak_memory_mb("fp32") == (2 * 32 * 16 + 8 * 16) * 4 / 1e6


def test_squeeze_excite_counts_its_two_small_convolutions() -> None:
    plain = Block("mbconv", (8, 4, 4), (8, 4, 4), 3, 2, 32, activation="hswish")
    gated = Block("mbconv", (8, 4, 4), (8, 4, 4), 3, 2, 32, 8, "hswish", "hsigmoid")
    added = Network((gated,)).params - Network((plain,)).params
    assert added == 32 * 8 + 8 + 8 * 32 + 32
    assert [layer.function for layer in gated.layers if layer.op == "activation"] == [
        "hswish", "hswish", "relu", "hsigmoid",
    ]  # fmt: skip


def test_make_divisible_as_in_the_paper() -> None:
    assert [make_divisible(x) for x in (3, 11.2, 16, 22.4, 33.6, 44.8)] == [8, 16, 16, 24, 32, 48]
