"""Blocks as TFLite models: they compute what the ONNX models of the same blocks do, and int8 nearly so."""

from __future__ import annotations

import sys
import zlib
from collections.abc import Iterator

import numpy as np
import onnxruntime
import pytest

from nas.catalog import shipped
from nas.errors import UserError
from nas.runtimes.onnx.blocks import network_graph
from nas.runtimes.tflite.blocks import tflite_graph
from nas.space.block import Block
from nas.space.block_table import all_blocks
from nas.space.layer import Layer
from nas.space.network import Network, imported
from nas.space.search_space import load_space

why = "ai-edge-litert is not installed: pip install -e '.[litert]'"
schema = pytest.importorskip("ai_edge_litert.schema_py_generated", reason=why)
interpreter = pytest.importorskip("ai_edge_litert.interpreter", reason=why)


def kinds() -> Iterator[Block]:
    """The smallest block of each kind that a shipped space has: all its texts, strides, paddings told apart."""
    found: dict[tuple[object, ...], Block] = {}
    for path in sorted(shipped("search_spaces").glob("*.toml")):
        for b in all_blocks(load_space(str(path))):
            texts = b.kind, b.activation, b.gate, b.project_activation
            key = (*texts, b.se > 0, b.groups > 1, b.norm, b.residual, b.stride, b.in_shape[1] % 2)
            if key not in found or np.prod(b.in_shape) < np.prod(found[key].in_shape):
                found[key] = b
    yield from {block.key: block for block in found.values()}.values()


SHIPPED = list(kinds())


class Model:
    """A TFLite model in the real interpreter."""

    def __init__(self, content: bytes) -> None:
        self.runtime = interpreter.Interpreter(model_content=content, num_threads=1)
        self.runtime.allocate_tensors()
        (self.input,), (self.output,) = self.runtime.get_input_details(), self.runtime.get_output_details()

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """The output as real values for an input of real values, which int8 tensors store."""
        scale, zero = self.input["quantization"]
        if self.input["dtype"] == np.int8:
            values = np.clip(np.rint(values / scale) + zero, -128, 127).astype(np.int8)
        self.runtime.set_tensor(self.input["index"], values)
        self.runtime.invoke()
        result = self.runtime.get_tensor(self.output["index"])
        scale, zero = self.output["quantization"]
        return (result.astype(np.float32) - zero) * scale if result.dtype == np.int8 else result


def image_for(block: Block) -> np.ndarray:
    """(1, c, h, w), of another seed than the weights, which would be correlated with it."""
    return np.random.default_rng(7).standard_normal((1, *block.in_shape)).astype(np.float32)


def channels_last(values: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(values.transpose(0, 2, 3, 1)) if values.ndim == 4 else values


def by_onnx(network: Network, image: np.ndarray) -> np.ndarray:
    """What ONNX Runtime computes, channels last."""
    content = network_graph(network).SerializeToString()
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    return channels_last(session.run(None, {"input": image})[0])


def operations(content: bytes) -> list[tuple[str, int, int]]:
    """The name of each operation, its version, and the activation computed with it."""
    model = schema.ModelT.InitFromPackedBuf(content)
    known = {number: name for name, number in vars(schema.BuiltinOperator).items() if not name.startswith("_")}
    found = []
    for op in model.subgraphs[0].operators:
        code = model.operatorCodes[op.opcodeIndex]
        fused = getattr(op.builtinOptions, "fusedActivationFunction", 0)
        found.append((known[code.builtinCode], code.version, fused))
    return found


def test_the_shipped_spaces_have_every_kind_of_block():
    assert {block.kind for block in SHIPPED} >= {"conv", "ds", "mbconv", "shuffle", "pool", "linear", "pool_linear"}
    assert {block.activation for block in SHIPPED} >= {"relu", "relu6", "hswish", "swish"}
    assert {block.gate for block in SHIPPED} >= {"", "hsigmoid"}


@pytest.mark.parametrize("block", SHIPPED, ids=lambda block: block.key)
def test_float32_computes_what_onnx_does(block):
    image, network = image_for(block), Network((block,))
    wanted = by_onnx(network, image)
    np.testing.assert_allclose(Model(tflite_graph(network))(channels_last(image)), wanted, rtol=0, atol=1e-4)


@pytest.mark.parametrize("block", SHIPPED, ids=lambda block: block.key)
def test_int8_takes_and_gives_int8_and_is_near(block):
    image, model = image_for(block), Model(tflite_graph(Network((block,)), int8=True, float_io=False))
    assert model.input["dtype"] == model.output["dtype"] == np.int8
    wanted, got = by_onnx(Network((block,)), image), model(channels_last(image))
    assert got.shape == wanted.shape
    # the scales are estimated, and small values rounded more coarsely than calibrated ones would be
    assert np.linalg.norm(got - wanted) < 0.3 * np.linalg.norm(wanted)


def test_int8_weights_have_a_scale_for_each_channel():
    block = Block("mbconv", (4, 8, 8), (12, 8, 8), 3, 1, mid=16, activation="relu6")
    graph = schema.ModelT.InitFromPackedBuf(tflite_graph(Network((block,)), int8=True)).subgraphs[0]
    weights = [t for t in graph.tensors if t.type == schema.TensorType.INT8 and t.buffer]
    assert [list(t.shape) for t in weights] == [[16, 1, 1, 4], [1, 3, 3, 16], [12, 1, 1, 16]]
    assert [t.quantization.quantizedDimension for t in weights] == [0, 3, 0]
    assert [len(t.quantization.scale) for t in weights] == [16, 16, 12]


def test_operations_are_those_of_the_converter():
    relu6 = schema.ActivationFunctionType.RELU6
    block = Block("mbconv", (8, 9, 9), (8, 9, 9), 3, 1, mid=16, se=4, activation="hswish", gate="hsigmoid")
    assert operations(tflite_graph(Network((block,)))) == [
        ("CONV_2D", 1, 0), ("HARD_SWISH", 1, 0), ("DEPTHWISE_CONV_2D", 1, 0), ("HARD_SWISH", 1, 0), ("MEAN", 1, 0),
        ("CONV_2D", 1, 1), ("CONV_2D", 1, 0), ("ADD", 1, relu6), ("MUL", 1, 0), ("MUL", 1, 0), ("CONV_2D", 1, 0),
        ("ADD", 1, 0),
    ]  # fmt: skip
    down = Block("mbconv", (4, 8, 8), (8, 4, 4), 3, 2, mid=8, activation="relu6")  # 8 to 4: more padding on the left
    assert operations(tflite_graph(Network((down,)), int8=True)) == [
        ("QUANTIZE", 1, 0), ("CONV_2D", 3, relu6), ("PAD", 2, 0), ("DEPTHWISE_CONV_2D", 3, relu6), ("CONV_2D", 3, 0),
        ("DEQUANTIZE", 2, 0),
    ]  # fmt: skip
    shuffled = operations(tflite_graph(Network((Block("shuffle", (4, 8, 8), (8, 8, 8), 3, 1, mid=8, groups=2),))))
    assert [name for name, _, _ in shuffled] == [
        "CONV_2D",
        "RESHAPE",
        "TRANSPOSE",
        "RESHAPE",
        "DEPTHWISE_CONV_2D",
        "CONV_2D",
    ]
    assert shuffled[0][1] == 6  # https://www.tensorflow.org/mlir/tfl_ops: groups came with version 6


@pytest.mark.parametrize("space", ["nas-bench-macro", "mobilenet-v3", "fbnet-cifar", "tiny-detector"])
def test_whole_networks_take_images_and_give_scores(space):
    searched = load_space(space)
    network = searched.network(searched.sample(np.random.default_rng(3)))
    image = image_for(network.blocks[0])
    wanted = by_onnx(network, image)
    got = Model(tflite_graph(network))(channels_last(image))
    assert got.shape == (wanted.shape if network.detects else (1, network.classes))
    np.testing.assert_allclose(got, wanted, rtol=0, atol=1e-3 * np.abs(wanted).max())
    int8 = Model(tflite_graph(network, int8=True))
    assert int8.input["dtype"] == int8.output["dtype"] == np.float32
    assert np.corrcoef(int8(channels_last(image)).ravel(), wanted.ravel())[0, 1] > 0.5


def test_equal_seeds_write_equal_models_which_pack_small():
    network = Network((Block("mbconv", (64, 8, 8), (64, 8, 8), 3, 1, mid=384, activation="relu"),))
    for int8 in (False, True):
        content = tflite_graph(network, int8=int8)
        assert content == tflite_graph(network, int8=int8) != tflite_graph(network, seed=1, int8=int8)
        assert len(zlib.compress(content)) < len(content) / 3


def test_what_cannot_be_written_is_named(monkeypatch):
    layer = Layer("conv", (3, 8, 8), (8, 8, 8), (3, 3))
    with pytest.raises(UserError, match="a block read from a file cannot be timed on its own"):
        tflite_graph(imported([layer]))
    with pytest.raises(UserError, match="a block with the activation 'gelu' cannot be timed"):
        tflite_graph(Network((Block("conv", (3, 8, 8), (4, 8, 8), 3, 1, activation="gelu"),)))
    monkeypatch.setitem(sys.modules, "ai_edge_litert", None)
    with pytest.raises(UserError, match="pip install 'ai-edge-litert"):
        tflite_graph(Network((Block("linear", (3, 1, 1), (10, 1, 1)),)))
