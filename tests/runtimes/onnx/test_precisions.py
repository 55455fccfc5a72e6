"""int8 and fp16 files of a trained model: what is in them, what they compute, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from nas.data.dataset import Split
from nas.errors import UserError
from nas.models.int8 import Int8
from nas.runtimes.images import network_inputs
from nas.runtimes.onnx.features import add_features, features_of
from nas.runtimes.onnx.fusion import Fusion, fusion_of
from nas.runtimes.onnx.parity import first_that_differs
from nas.runtimes.onnx.variants import Variants
from nas.runtimes.onnxruntime import OnnxRuntime
from nas.train.loop import normalize, spread
from tests.compress.networks import digits, trained, uneven


@pytest.fixture(scope="module")
def images() -> Split:
    return digits().train.subset(spread(len(digits().train), 64))


@pytest.fixture(scope="module")
def variants(images: Split) -> Variants:
    return OnnxRuntime().variants(trained(), images)


def fusion(graph: onnx.ModelProto) -> Fusion:
    return fusion_of(OnnxRuntime().optimized(graph.SerializeToString()))


def test_images_reach_the_file_as_they_reached_the_training(images: Split) -> None:
    wanted = normalize(images.images.take(torch.arange(5), 16)).numpy()
    found = list(network_inputs(trained().preprocessing, images, 5))
    assert len(found) == 5 and found[0].shape == (1, 3, 16, 16)
    np.testing.assert_allclose(np.concatenate(found), wanted, atol=1e-6)


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_a_file_in_its_precision_agrees_with_the_module(precision: str, images: Split, tmp_path: Path) -> None:
    written = OnnxRuntime().export(replace(trained(), precision=precision), tmp_path / "net.onnx", calibration=images)
    assert written.precision == precision and written.agreement >= 0.95 and written.difference < 0.2
    facts = {p.key: p.value for p in onnx.load(str(tmp_path / "net.onnx")).metadata_props}
    assert facts["precision"] == f'"{precision}"' and facts.keys() >= {"classes", "preprocessing", "lineage"}
    note = "a CPU converts it" if precision == "fp16" else "12 of 12 convolutions and 1 of 1 linear layers run in int"
    assert len(written.notes) == 1 and note in written.notes[0]
    session = OnnxRuntime().session((tmp_path / "net.onnx").read_bytes())
    scores = session(next(network_inputs(trained().preprocessing, images)))
    assert scores.dtype == np.float32 and scores.shape == (1, 10)


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_a_file_also_gives_what_its_classifier_reads_at_no_cost(precision: str, variants: Variants) -> None:
    plain, watched = variants.graph(precision), variants.graph(precision)
    add_features(watched, features_of(variants.exported))
    module, read = variants.module, []
    linear = [part for part in module.modules() if isinstance(part, torch.nn.Linear)][-1]
    hook = linear.register_forward_hook(lambda _, inputs, __: read.append(inputs[0].numpy()))
    runtime = OnnxRuntime()
    found = runtime.outputs(watched.SerializeToString())(variants.images[0])
    with torch.inference_mode():
        module(torch.from_numpy(variants.images[0]))
    hook.remove()
    assert list(found) == ["logits", "features"]  # run.py reads the first
    assert found["features"].dtype == np.float32 and found["features"].shape == read[0].shape
    allowed = {"fp32": 1e-4, "fp16": 2e-2, "int8": 0.25}[precision] * np.abs(read[0]).max()
    np.testing.assert_allclose(found["features"], read[0], atol=allowed)
    scores = runtime.session(plain.SerializeToString())(variants.images[0])
    np.testing.assert_allclose(found["logits"], scores, atol=2e-3 if precision == "fp16" else 0)
    assert fusion(watched) == fusion(plain)
    count = [len(runtime.optimized(graph.SerializeToString()).graph.node) for graph in (plain, watched)]
    assert count[1] - count[0] <= {"fp32": 0, "fp16": 3, "int8": 1}[precision]  # a conversion of the features alone


def test_a_graph_without_a_classifier_has_no_features(variants: Variants) -> None:
    graph = onnx.ModelProto()
    graph.CopyFrom(variants.exported)
    linear = next(node for node in graph.graph.node if node.op_type == "Gemm")
    graph.graph.node.remove(linear)
    assert features_of(graph) is None
    before = graph.SerializeToString()
    add_features(graph, None)
    assert graph.SerializeToString() == before


def test_blocks_that_stay_in_float_are_not_quantized(variants: Variants) -> None:
    whole, part = (fusion(variants.graph("int8", Int8(float_blocks=b))) for b in ((), ("blocks.1.1", "conv_stem")))
    assert whole.convolutions == (12, 12) and whole.linear == (1, 1)
    assert part.convolutions == (6, 12)  # mbconv has 3 and 2 of squeeze-excite, and the stem's
    assert part.text.startswith("6 of 12 convolutions and 1 of 1 linear layers run in integers; in float: ")


def test_dynamic_ranges_are_for_linear_layers_alone(variants: Variants) -> None:
    counted = fusion(variants.graph("int8", Int8("dynamic")))
    assert counted.convolutions == (0, 12) and counted.linear == (1, 1)


def test_activations_for_tensorrt_are_signed_and_symmetric(variants: Variants) -> None:
    graph = variants.graph("int8", Int8(target="tensorrt")).graph
    values = {t.name: onnx.numpy_helper.to_array(t) for t in graph.initializer}
    zeros = [values[n.input[2]] for n in graph.node if n.op_type == "QuantizeLinear"]
    assert len(zeros) > 20 and all(z.dtype == np.int8 and not z.any() for z in zeros)
    assert not any(v.dtype == np.int32 for v in values.values())  # biases stay in float


def test_a_clip_before_quantization_and_a_convolution_in_float_are_counted() -> None:
    node = onnx.helper.make_node
    graph = onnx.helper.make_graph(
        [
            node("QLinearConv", list("abcdefgh"), ["i"]), node("Conv", ["x", "w"], ["y"]),
            node("Clip", ["y"], ["z"]), node("QuantizeLinear", ["z", "s"], ["q"]), node("Clip", ["q"], ["end"]),
            node("HardSigmoid", ["y"], ["u"]), node("QLinearAdd", list("abcdefgh"), ["k"]),
        ],
        "made by hand", [], [],
    )  # fmt: skip
    counted = fusion_of(onnx.helper.make_model(graph))
    assert (counted.convolutions, counted.linear, counted.clips) == ((1, 2), (0, 0), 1)
    assert counted.text == (
        "1 of 2 convolutions and 0 of 0 linear layers run in integers; "
        "in float: 1 Clip, 1 Clip before QuantizeLinear, 1 HardSigmoid"
    )


def test_the_first_block_that_differs_is_named(variants: Variants) -> None:
    broken = onnx.ModelProto()
    broken.CopyFrom(variants.exported)
    node = next(n for n in broken.graph.node if n.name.startswith("blocks.1.0.bn2"))
    weight = next(t for t in broken.graph.initializer if t.name == node.input[1])
    weight.CopyFrom(onnx.numpy_helper.from_array(-onnx.numpy_helper.to_array(weight), weight.name))
    outputs = OnnxRuntime().outputs
    found = [
        first_that_differs(variants.module, variants.exported, graph, variants.images[:3], outputs)
        for graph in (variants.exported, variants.graph("int8"), variants.graph("fp16"), broken)
    ]
    assert found == [None, None, None, "blocks.1.0"]


def test_an_int8_file_that_is_wrong_says_where(images: Split, tmp_path: Path) -> None:
    written = OnnxRuntime().export(replace(uneven(), precision="int8"), tmp_path / "net.onnx", calibration=images)
    assert written.agreement < 0.5
    assert "int8 gives another class than fp32 on" in written.notes[1] and " of 32 images" in written.notes[1]


def test_an_overflow_of_fp16_is_not_written(images: Split, tmp_path: Path) -> None:
    weights = {name: tensor.clone() for name, tensor in trained().weights.items()}
    weights["blocks.1.1.conv_pw.weight"] *= 1e6  # what follows is beyond 65504
    with pytest.raises(UserError, match=r"in fp16 the exported network differs .* first block that differs is blocks"):
        OnnxRuntime().export(
            replace(trained(), weights=weights, precision="fp16"), tmp_path / "net.onnx", calibration=images
        )
    assert not list(tmp_path.iterdir())


def test_calibration_images_that_cannot_serve_are_refused(images: Split, tmp_path: Path) -> None:
    model, one = replace(trained(), precision="int8"), images.subset(torch.where(images.labels == 3)[0])
    other = Split(images.images, images.labels + 5)
    for given, message in (
        (None, "takes its ranges from calibration images; got none"),
        (images.subset(torch.zeros(0, dtype=torch.int64)), "takes its ranges from calibration images; got none"),
        (one, f"at least two classes; got {len(one)} of '3' alone"),
        (other, "of the model's 10 classes; got other labels"),
    ):
        with pytest.raises(UserError, match=message):
            OnnxRuntime().export(model, tmp_path / "net.onnx", calibration=given)
    assert not list(tmp_path.iterdir())
