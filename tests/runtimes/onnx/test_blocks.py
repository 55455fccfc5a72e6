"""Blocks as ONNX models: read back, they are the block's layers; run, they give the block's output shape."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from nas.errors import UserError
from nas.runtimes.onnx.blocks import network_graph
from nas.runtimes.onnx.int8 import quantized, within_network
from nas.space.block import Block
from nas.space.layer import Layer
from nas.space.network import Network, imported
from nas.space.onnx.file import read_onnx
from nas.space.reference import reference_network

BLOCKS = [
    Block("conv", (3, 32, 32), (16, 16, 16), 3, 2, activation="hswish"),
    Block("ds", (16, 16, 16), (8, 16, 16), 3, 1, activation="relu6", project_activation="relu6"),
    Block("mbconv", (8, 16, 16), (12, 8, 8), 5, 2, mid=24, activation="relu"),
    Block("mbconv", (4, 9, 9), (4, 9, 9), 7, 1, mid=16, se=8, activation="hswish", gate="hsigmoid"),
    Block("mbconv", (3, 9, 9), (3, 9, 9), 3, 1, mid=16, se=4, activation="swish", gate="sigmoid"),
    Block("shuffle", (4, 8, 8), (4, 8, 8), 3, 1, mid=8, groups=2, activation="relu"),
    Block("fused_mbconv", (4, 8, 8), (4, 8, 8), 3, 1, mid=16, se=4, activation="swish", gate="sigmoid"),
    Block("fused_mbconv", (4, 8, 8), (8, 4, 4), 3, 2, mid=4, activation="swish"),
    Block("pool_linear", (3, 7, 7), (10, 1, 1)),
    Block("linear", (3, 1, 1), (10, 1, 1)),
]


def kept(layer: Layer) -> tuple[object, ...]:
    """A layer without what inference folds away: the batch norm becomes a bias."""
    return (layer.op, layer.in_shape, layer.out_shape, layer.kernel, layer.stride, layer.groups, layer.function,
            layer.bias or layer.norm, layer.held)  # fmt: skip


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.key)
def test_a_written_block_is_read_back_as_its_layers(block: Block, tmp_path: Path) -> None:
    lead = Block("conv", (3, *block.in_shape[1:]), block.in_shape, 1, 1)
    blocks = [lead, block] if block.in_shape[0] > 4 else [block]  # the reader takes images only
    onnx.save(network_graph(Network(tuple(blocks))), tmp_path / "block.onnx")
    reading = read_onnx(tmp_path / "block.onnx")
    assert reading.unread == ()
    assert [kept(x) for x in reading.network.layers] == [kept(x) for b in blocks for x in b.layers]


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.key)
def test_a_written_block_runs_and_its_output_has_the_blocks_shape(block: Block) -> None:
    model = network_graph(Network((block,)))
    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    image = np.random.default_rng(0).standard_normal((1, *block.in_shape)).astype(np.float32)
    (result,) = session.run(None, {"input": image})
    linear = block.kind in ("linear", "pool_linear")
    assert result.shape == ((1, block.out_shape[0]) if linear else (1, *block.out_shape))
    assert np.isfinite(result).all() and np.ptp(result) > 0


def test_a_residual_block_adds_its_input() -> None:
    block = Block("mbconv", (4, 6, 6), (4, 6, 6), 3, 1, mid=8, activation="relu")
    model = network_graph(Network((block,)))
    for weight in model.graph.initializer:
        weight.CopyFrom(onnx.numpy_helper.from_array(np.zeros(tuple(weight.dims), np.float32), weight.name))
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    image = np.random.default_rng(0).standard_normal((1, 4, 6, 6)).astype(np.float32)
    np.testing.assert_array_equal(session.run(None, {"input": image})[0], image)


def test_a_whole_network_is_read_back_with_its_own_macs_and_memory(tmp_path: Path) -> None:
    network = reference_network("mobilenet_v3_small", resolution=64, classes=10)
    onnx.save(network_graph(network), tmp_path / "network.onnx")
    read = read_onnx(tmp_path / "network.onnx").network
    assert read.macs == network.macs
    assert read.size_mb("int8") == network.size_mb("int8")
    assert read.peak_memory_mb("fp32") == network.peak_memory_mb("fp32")


def test_equal_seeds_write_equal_models() -> None:
    first, again, other = (network_graph(Network((BLOCKS[2],)), seed).SerializeToString() for seed in (1, 1, 2))
    assert first == again != other


def test_int8_blocks_take_and_give_bytes_and_hold_int8_weights(tmp_path: Path) -> None:
    block = BLOCKS[2]
    model = within_network(quantized(network_graph(Network((block,)))))
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    assert [x.type for x in (*session.get_inputs(), *session.get_outputs())] == ["tensor(uint8)"] * 2
    weights = {w.name: w for w in model.graph.initializer}
    dequantised = [weights[n.input[0]] for n in model.graph.node
                   if n.op_type == "DequantizeLinear" and n.input[0] in weights]  # fmt: skip
    int8 = [w for w in dequantised if w.data_type == onnx.TensorProto.INT8]
    assert sorted(tuple(w.dims) for w in int8) == sorted([(24, 8, 1, 1), (24, 1, 5, 5), (12, 24, 1, 1)])
    (result,) = session.run(None, {session.get_inputs()[0].name: np.full((1, 8, 16, 16), 200, np.uint8)})
    assert result.shape == (1, 12, 8, 8) and result.dtype == np.uint8


def test_the_runtime_executes_an_int8_block_in_integers(tmp_path: Path) -> None:
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    options.log_severity_level = 3
    model = within_network(quantized(network_graph(Network((BLOCKS[2],)))))
    onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    ops = [node.op_type for node in onnx.load(tmp_path / "optimised.onnx").graph.node]
    assert ops.count("QLinearConv") == 3 and "Conv" not in ops


def test_a_quantised_network_is_read_with_the_macs_of_the_float_one(tmp_path: Path) -> None:
    network = reference_network("mobilenet_v2", resolution=32, classes=10)
    onnx.save(quantized(network_graph(network)), tmp_path / "int8.onnx")
    reading = read_onnx(tmp_path / "int8.onnx")
    assert reading.unread == ()
    assert reading.network.macs == network.macs
    convolutions = [layer.kind for layer in network.layers if layer.macs]
    assert [layer.kind for layer in reading.network.layers if layer.macs] == convolutions


@pytest.mark.parametrize(
    "network",
    [
        imported([Layer("conv", (3, 8, 8), (4, 8, 8))]),
        Network((Block("conv", (3, 8, 8), (4, 8, 8), 2, 1),)),
        Network((Block("conv", (3, 8, 8), (4, 8, 8), 3, 1, activation="tanh"),)),
    ],
)
def test_what_cannot_be_timed_is_refused(network: Network) -> None:
    with pytest.raises(UserError, match="cannot be timed"):
        network_graph(network)
