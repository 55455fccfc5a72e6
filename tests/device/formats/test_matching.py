"""Timed operations are laid over the layers that they are: by name, shape and dependence, never by position alone."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from nas.device.counts import INDEX, network_counts
from nas.device.formats.layer_times import read_trace
from nas.errors import UserError
from nas.space.graph.graph import Reading
from nas.space.onnx.file import read_onnx
from tests.shared_data import shared_data

MS = {"stem": 0.1, "one": 0.2, "three": 3.0, "after": 0.4, "fc": 0.05}  # of each convolution, and of the classifier


def branched(folder: Path) -> Reading:
    """A stem, a 1x1 beside a 3x3 with a ReLU each, both into one 3x3, and a classifier."""
    rng = np.random.default_rng(0)
    weights = {
        "stem": (8, 3, 3, 3), "one": (8, 8, 1, 1), "three": (8, 8, 3, 3), "after": (8, 16, 3, 3), "fc": (4, 8),
    }  # fmt: skip

    def conv(name: str, source: str) -> list[onnx.NodeProto]:
        pad = weights[name][2] // 2
        return [
            helper.make_node("Conv", [source, f"{name}_w"], [f"{name}_out"], name=name, pads=[pad] * 4),
            helper.make_node("Relu", [f"{name}_out"], [f"{name}_relu"], name=f"{name}_act"),
        ]

    nodes = [
        *conv("stem", "x"), *conv("one", "stem_relu"), *conv("three", "stem_relu"),
        helper.make_node("Concat", ["one_relu", "three_relu"], ["cat"], name="cat", axis=1), *conv("after", "cat"),
        helper.make_node("GlobalAveragePool", ["after_relu"], ["pooled"], name="pool"),
        helper.make_node("Flatten", ["pooled"], ["flat"], name="flat"),
        helper.make_node("Gemm", ["flat", "fc_w"], ["y"], name="fc", transB=1),
    ]  # fmt: skip
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 16, 16])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 4])],
        [numpy_helper.from_array(rng.normal(size=s).astype(np.float32), f"{n}_w") for n, s in weights.items()],
    )  # fmt: skip
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), folder / "net.onnx")
    return read_onnx(folder / "net.onnx")


SHAPES = {
    "stem": ([1, 3, 16, 16], [8, 3, 3, 3], [1, 8, 16, 16]), "one": ([1, 8, 16, 16], [8, 8, 1, 1], [1, 8, 16, 16]),
    "three": ([1, 8, 16, 16], [8, 8, 3, 3], [1, 8, 16, 16]), "after": ([1, 16, 16, 16], [8, 16, 3, 3], [1, 8, 16, 16]),
    "fc": ([1, 8], None, [1, 4]),
}  # fmt: skip


def profile(folder: Path, names: dict[str, str], *, shapes: bool, order: str = "stem three one after fc") -> Path:
    """As ONNX Runtime writes it, with these names for the model's nodes; the 3x3 runs before the 1x1."""
    events: list[dict[str, object]] = [{"cat": "Session", "name": "model_run", "dur": 1000 * sum(MS.values())}]
    for index, node in enumerate(order.split()):
        given, weights, out = SHAPES[node]
        args: dict[str, object] = {"op_name": "Gemm" if node == "fc" else "Conv", "node_index": str(index)}
        if shapes:
            args["input_type_shape"] = [{"float": s} for s in (given, weights) if s]
            args["output_type_shape"] = [{"float": out}]
        events.append({"cat": "Node", "name": f"{names[node]}_kernel_time", "dur": 1000 * MS[node], "args": args})
    (folder / "profile.json").write_text(json.dumps(events))
    return folder / "profile.json"


def spent(path: Path, form: str, model: Reading) -> dict[str, float]:
    """Milliseconds by kind of layer, 1x1 and 3x3 and the rest."""
    rate = read_trace(path, form, model, "fp32").rates[0].rate
    counts = network_counts(model.network, "fp32")
    return {k: float(rate[INDEX[k]] * counts[INDEX[k]]) for k in ("stem", "pointwise", "standard", "linear")}


OWN = {name: name for name in MS}
EXPECTED = pytest.approx({"stem": 0.1, "pointwise": 0.2, "standard": 3.4, "linear": 0.05})


@pytest.mark.parametrize("shapes", [True, False])
@pytest.mark.parametrize(
    "names",
    [
        OWN,
        {name: name if name == "fc" else f"{name}_relu_nchwc" for name in MS},  # its blocked layout, ReLU fused
        {name: f"fused {name}" for name in MS},
        {name: f"{name}_out_nchwc_token_3" for name in MS} | {"fc": "fc/MatMulAddFusion"},
    ],
    ids=["own", "nchwc", "fused", "token"],
)
def test_branches_are_matched_by_name_whatever_ran_first(names: dict[str, str], shapes: bool, tmp_path: Path) -> None:
    model = branched(tmp_path)
    assert spent(profile(tmp_path, names, shapes=shapes), "onnxruntime", model) == EXPECTED


@pytest.mark.parametrize("order", ["stem three one after fc", "stem one three after fc"])
def test_foreign_names_are_matched_by_shape(order: str, tmp_path: Path) -> None:
    model = branched(tmp_path)
    names = {name: f"n{i}" for i, name in enumerate(MS)}
    assert spent(profile(tmp_path, names, shapes=True, order=order), "onnxruntime", model) == EXPECTED


def test_what_cannot_be_told_apart_is_refused(tmp_path: Path) -> None:
    """Neither names nor shapes: the second operation may be the 1x1 or the 3x3."""
    names = {name: f"n{i}" for i, name in enumerate(MS)}
    path = profile(tmp_path, names, shapes=False)
    with pytest.raises(UserError, match="does not tell which layer 'n2' is: pointwise or standard; the model has bran"):
        read_trace(path, "onnxruntime", branched(tmp_path), "fp32")


def test_a_name_with_another_shape_is_of_another_network(tmp_path: Path) -> None:
    swapped = OWN | {"one": "three", "three": "one"}
    with pytest.raises(
        UserError, match=r"does not fit the model: 'one' \(not depthwise of .* by \(3, 3\)\) is at the place of"
    ):
        read_trace(profile(tmp_path, swapped, shapes=True), "onnxruntime", branched(tmp_path), "fp32")


def test_operations_that_run_before_what_they_need_are_of_another_network(tmp_path: Path) -> None:
    names = {name: f"n{i}" for i, name in enumerate(MS)}
    path = profile(tmp_path, names, shapes=True, order="one stem three after fc")
    with pytest.raises(UserError, match=r"does not fit the model: 'n1' .* is at the place of"):
        read_trace(path, "onnxruntime", branched(tmp_path), "fp32")


def test_tflites_table_of_a_branched_network_is_refused(tmp_path: Path) -> None:
    rows = "".join(f"CONV_2D\t{ms}\t{ms}\t1%\t[{name}]:0\n" for name, ms in MS.items())
    (tmp_path / "t.txt").write_text(f"== Run Order ==\n[node type]\t[first]\t[avg ms]\t[%]\t[Name]\n{rows}\n")
    with pytest.raises(UserError, match="does not tell which layer"):
        read_trace(tmp_path / "t.txt", "tflite", branched(tmp_path), "fp32")


@pytest.mark.parametrize("name", ["one_branch", "two_branches"])
def test_recorded_profiles_give_the_times_of_their_kernels(name: str) -> None:
    """Of the shared cases: truth.csv has the milliseconds of the 1x1 kernels, and of the larger ones with the stem."""
    folder = shared_data("../cases/ort-profiles")
    found = spent(folder / f"{name}.json", "onnxruntime", read_onnx(folder / f"{name}.onnx"))
    with (folder / "truth.csv").open() as file:
        truth = next(row for row in csv.DictReader(file) if row["network"] == name)
    assert found["pointwise"] == pytest.approx(float(truth["pointwise_ms"]), abs=1e-4)
    assert found["standard"] + found["stem"] == pytest.approx(float(truth["standard_ms"]), abs=1e-3)
