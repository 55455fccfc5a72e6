"""What is timed is what is deployed: both graphs have the same operators once the runtime has optimized them."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from nas.data.catalog import load_dataset
from nas.errors import UserError
from nas.models.builder import build
from nas.models.int8 import block_of
from nas.models.trained import Preprocessing, TrainedModel
from nas.runtimes.by_name import runtime_of
from nas.runtimes.litert import LiteRT
from nas.runtimes.onnxruntime import OnnxRuntime
from nas.runtimes.parity import block_values
from nas.space.block import Block
from nas.space.candidate import Candidate
from nas.space.layer import Precision
from nas.space.network import Network
from nas.space.onnx.file import read_onnx
from nas.space.search_space import SearchSpace, load_space

SPACES = ("tiny", "mobilenet-v3", "efficientnet", "fbnet-cifar", "tiny-detector")
# ReLU6; h-swish and squeeze-excite; swish; shuffles; heads without anchors


def trained(network: Network) -> TrainedModel:
    """With statistics as training leaves them: of an untrained batch norm the exporter drops the bias, which is 0."""
    weights, generator = build(network).state_dict(), torch.Generator().manual_seed(0)
    for name, tensor in weights.items():
        if name.endswith(("running_mean", "bias")):
            tensor.copy_(0.1 * torch.randn(tensor.shape, generator=generator))
    classes = tuple(map(str, range(network.classes)))
    return TrainedModel(network, weights, "classification", classes, Preprocessing(network.input_shape[1]))


def shallow(space: SearchSpace) -> Network:
    """A network of the space in which no stage has more than two blocks: a first one, and one like all that follow."""
    candidate = space.sample(np.random.default_rng(0)).as_dict()
    for choice in space.choices:
        if choice.name.endswith(".depth"):
            most = min((int(depth) for depth in choice.options if int(depth) >= 2), default=1)
            candidate[choice.name] = min(int(candidate[choice.name]), most)
    return space.network(space.canonical(Candidate.of(candidate)), 10)


def operators(model: bytes, folder: Path) -> Counter[str]:
    """How often each operator, with the activation fused into it, is in the graph that ONNX Runtime makes and runs."""
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath, options.log_severity_level = str(folder / "optimized.onnx"), 3
    onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    nodes = onnx.load(str(folder / "optimized.onnx")).graph.node
    fused = [next((a.s.decode() for a in node.attribute if a.name == "activation"), "") for node in nodes]
    return Counter(f"{node.op_type} {function}".strip() for node, function in zip(nodes, fused, strict=True))


@pytest.mark.parametrize("name", SPACES)
def test_the_timed_and_the_exported_graph_have_the_same_operators(name: str, tmp_path: Path) -> None:
    runtime, space = runtime_of("onnxruntime"), load_space(name)
    network = shallow(space)
    timed = operators(runtime.write_network(network, "fp32", whole=True), tmp_path)
    runtime.export(trained(network), tmp_path / "net.onnx")
    assert timed == operators((tmp_path / "net.onnx").read_bytes(), tmp_path)
    assert sum(count for op, count in timed.items() if "Conv" in op) >= 5


def tflite_operators(model: bytes) -> Counter[str]:
    """How often each operator, with the activation fused into it and its version, is in a TFLite file."""
    schema = pytest.importorskip("ai_edge_litert.schema_py_generated")
    read = schema.ModelT.InitFromPackedBuf(model)
    known = {number: name for name, number in vars(schema.BuiltinOperator).items() if not name.startswith("_")}
    codes = [read.operatorCodes[op.opcodeIndex] for op in read.subgraphs[0].operators]
    fused = [getattr(op.builtinOptions, "fusedActivationFunction", 0) for op in read.subgraphs[0].operators]
    return Counter(f"{known[c.builtinCode]} {c.version} {f}" for c, f in zip(codes, fused, strict=True))


@pytest.mark.parametrize("name", SPACES)
def test_so_have_those_of_litert(name: str) -> None:
    """In fp32 and int8, and neither moves values into another layout: channels are shuffled, and nothing else."""
    runtime, space = LiteRT(), load_space(name)
    network = shallow(space)
    variants = runtime.variants(trained(network), load_dataset("digits").train.subset(torch.arange(8)))
    shuffles = sum(layer.op == "shuffle" for layer in network.layers)
    for precision in runtime.timed:
        deployed = tflite_operators(variants.file(precision))
        assert tflite_operators(runtime.write_network(network, precision, whole=True)) == deployed
        assert sum(count for op, count in deployed.items() if op.startswith("TRANSPOSE")) == shuffles
        assert sum(count for op, count in deployed.items() if "CONV" in op) >= 5


def compressed_network() -> Network:
    """Weights of low rank, dense ones too, and three equal blocks that share theirs."""
    stem, wide = (16, 16, 16), (32, 8, 8)
    equal = Block("mbconv", wide, wide, 5, 1, mid=64, se=8, activation="relu6", ranks=((), (16,)))
    blocks = (
        Block("conv", (3, 16, 16), stem, 3, 1, activation="relu6"),
        Block("fused_mbconv", stem, wide, 3, 2, mid=64, activation="relu6", ranks=((8, 16), (8,))),
        equal, equal, equal,
        Block("conv", wide, wide, 3, 1, activation="relu6", ranks=((16, 8),)),
        Block("pool_linear", wide, (10, 1, 1), ranks=((8,),)),
    )  # fmt: skip
    return Network(blocks, (0, 1, 1, 1, 1, 2, 3), shared=(0, 1, 2, 2, 2, 5, 6))


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_factors_and_shared_weights_are_deployed_as_they_are_timed(precision: Precision, tmp_path: Path) -> None:
    """No batch norm is left, each shared weight is one initializer, and int8 computes in integers."""
    network, runtime = compressed_network(), OnnxRuntime()
    digits = load_dataset("digits").train.subset(torch.arange(16))
    model = replace(trained(network), precision=precision)
    graph = runtime.variants(model, digits).graph(precision)
    deployed = operators(graph.SerializeToString(), tmp_path)
    assert operators(runtime.write_network(network, precision, whole=True), tmp_path) == deployed
    if precision == "int8":
        assert deployed["QLinearConv"] == 1 + 5 + 3 * 6 + 3 and not deployed["Conv"]
        return
    assert not deployed["BatchNormalization"]
    written = runtime.export(model, tmp_path / "net.onnx", calibration=digits)
    assert written.difference < 1e-4
    features = onnx.load(str(tmp_path / "net.onnx")).graph.output[1]  # what the classifier reads, not its first factor
    assert [d.dim_value for d in features.type.tensor_type.shape.dim] == [1, 32]
    weights = [
        tensor.name for tensor in graph.graph.initializer if "blocks.0.1." in tensor.name and "weight" in tensor.name
    ]
    assert len(weights) == 6 and not any("blocks.0.2." in tensor.name for tensor in graph.graph.initializer)
    assert {block_of(node.name) for node in graph.graph.node} >= {"blocks.0.1", "blocks.0.2", "blocks.0.3"}
    wanted = block_values(model.module(), variants_images(network))
    assert list(wanted)[1:5] == [f"blocks.0.{n}" for n in range(4)] and len(wanted["blocks.0.1"]) == 2
    got = read_onnx(tmp_path / "net.onnx").network
    assert got.macs == network.macs and got.params < network.params  # its norms are folded


def test_so_are_those_of_litert(tmp_path: Path) -> None:
    """A weight that blocks share is one buffer, in every precision."""
    network, runtime = compressed_network(), LiteRT()
    digits = load_dataset("digits").train.subset(torch.arange(16))
    apart = replace(network, shared=())
    weights = trained(network).module().state_dict()
    equal = {name: weights[name.replace("blocks.0.2", "blocks.0.1").replace("blocks.0.3", "blocks.0.1")]
             for name in build(apart).state_dict()}  # fmt: skip
    for precision in runtime.timed:
        model = replace(trained(network), precision=precision)
        written = runtime.export(model, tmp_path / f"{precision}.tflite", calibration=digits)
        deployed = tflite_operators((tmp_path / f"{precision}.tflite").read_bytes())
        assert tflite_operators(runtime.write_network(network, precision, whole=True)) == deployed
        assert written.difference < (0.2 if precision == "int8" else 1e-4)
        each = runtime.export(
            replace(model, network=apart, weights=equal), tmp_path / "apart.tflite", calibration=digits
        )
        assert each.difference == written.difference


def variants_images(network: Network) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.standard_normal((1, *network.input_shape), dtype=np.float32) for _ in range(2)]


@pytest.mark.parametrize("activation", ["relu6", "hswish", "swish"])
def test_so_have_those_of_lower_precisions(activation: str, tmp_path: Path) -> None:
    """Every kind of block at 16 pixels, with squeeze-excite and without, and no Clip where int8 could be fused."""
    stem, wide, gate = (16, 16, 16), (32, 8, 8), "hsigmoid" if activation == "hswish" else "sigmoid"
    blocks = (
        Block("conv", (3, 16, 16), stem, 3, 1, activation=activation),
        Block("ds", stem, stem, 3, 1, activation=activation),
        Block("shuffle", stem, wide, 3, 2, mid=64, groups=2, activation="relu"),
        Block("mbconv", wide, wide, 5, 1, mid=64, se=8, activation=activation, gate=gate),
        Block("fused_mbconv", wide, wide, 3, 1, mid=64, activation=activation),
        Block("pool", wide, (32, 1, 1)),
        Block("conv", (32, 1, 1), (48, 1, 1), activation=activation, norm=False),
        Block("linear", (48, 1, 1), (10, 1, 1)),
    )
    network, runtime = Network(blocks, (0, 1, 2, 2, 2, 3, 3, 3)), OnnxRuntime()
    digits = load_dataset("digits").train.subset(torch.arange(16))
    variants = runtime.variants(trained(network), digits)
    for precision in ("int8", "fp16"):
        deployed = operators(variants.graph(precision).SerializeToString(), tmp_path)
        assert operators(runtime.write_network(Network(blocks), precision, whole=True), tmp_path) == deployed
        if precision == "int8":
            assert deployed["QLinearConv"] == 14 and not deployed["Conv"] and not deployed["Clip"]


def test_a_runtime_is_found_by_its_name() -> None:
    with pytest.raises(UserError, match="unknown runtime 'onnx'; did you mean 'onnxruntime'"):
        runtime_of("onnx")


def test_a_model_that_onnx_runtime_refuses_is_one_line() -> None:
    runtime, kind = OnnxRuntime(), onnx.TensorProto.FLOAT
    ends = [onnx.helper.make_tensor_value_info(name, kind, [1]) for name in "xy"]
    node = onnx.helper.make_node("Foo", ["x"], ["y"], domain="com.example", name="blocks.1.0.Foo")
    opsets = [onnx.helper.make_opsetid("", 17), onnx.helper.make_opsetid("com.example", 1)]
    strange = onnx.helper.make_model(
        onnx.helper.make_graph([node], "g", ends[:1], ends[1:]), opset_imports=opsets, ir_version=8
    )
    for data, message in ((strange.SerializeToString(), r"com\.example:Foo"), (b"no model", "protobuf parsing failed")):
        for call in (runtime.session, runtime.optimized):
            with pytest.raises(UserError, match=f"ONNX Runtime [0-9.]+ cannot run the model: .*{message}"):
                call(data)


@pytest.mark.parametrize("name", ["onnxruntime", "litert"])
def test_a_session_gives_scores_for_an_image(name: str) -> None:
    runtime, space = runtime_of(name), load_space("tiny")
    network = space.network(space.sample(np.random.default_rng(0)), 10)
    image = np.random.default_rng(1).standard_normal((1, *network.input_shape), dtype=np.float32)
    scores = runtime.session(runtime.write_network(network, "fp32", whole=True))(image)
    assert scores.shape == (1, 10) and scores.dtype == np.float32 and np.ptp(scores) > 0
