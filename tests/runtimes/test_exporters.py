"""Files for OpenVINO, ExecuTorch and TensorRT: they agree with the module, name what differs, and say what is missing.

OpenVINO and ExecuTorch are tested where they are installed.
"""

from __future__ import annotations

import sys
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import onnx
import pytest
import torch
from torch import nn

import nas
from nas.data.dataset import Split
from nas.errors import UserError
from nas.models.int8 import Int8
from nas.models.trained import TrainedModel
from nas.runtimes import executorch
from nas.runtimes.by_name import exporter_of, runtime_of
from nas.runtimes.images import network_inputs
from nas.runtimes.onnx.trace import float_graph
from nas.runtimes.onnxruntime import OnnxRuntime
from nas.runtimes.runtime import RuntimeName
from nas.runtimes.tensorrt import TensorRt
from nas.space.layer import Precision
from nas.train.loop import spread
from tests.compress.networks import digits, trained

EXTRAS = ("openvino", "executorch")


@pytest.fixture(scope="module")
def images() -> Split:
    return digits().train.subset(spread(len(digits().train), 64))


def installed(name: str) -> None:
    pytest.importorskip("executorch.runtime" if name == "executorch" else name, reason=f"pip install -e '.[{name}]'")


@pytest.mark.parametrize(("name", "precision"), [
    ("openvino", "fp32"), ("openvino", "fp16"), ("openvino", "int8"), ("executorch", "fp32"), ("executorch", "int8"),
])  # fmt: skip
def test_a_file_agrees_with_the_module(name: str, precision: Precision, images: Split, tmp_path: Path) -> None:
    installed(name)
    exporter = exporter_of(name)
    path = tmp_path / f"net{exporter.suffix}"
    written = exporter.export(replace(trained(), precision=precision), path, calibration=images)
    assert written.agreement >= 0.95 and written.difference < {"fp32": 1e-5, "fp16": 5e-3, "int8": 0.2}[precision]
    there = {p.name for p in tmp_path.iterdir()}
    assert there == ({"net.xml", "net.bin"} if name == "openvino" else {"net.pte"})
    assert written.megabytes == pytest.approx(sum((tmp_path / n).stat().st_size for n in there) / 1e6)
    for data in (one.read_bytes() for one in tmp_path.iterdir()):
        assert str(tmp_path).encode() not in data and str(Path(nas.__file__).parent).encode() not in data


def test_openvino_names_the_first_block_that_differs(
    images: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed("openvino")

    def wrong(module: nn.Module, model: TrainedModel) -> onnx.ModelProto:
        made = float_graph(module, model)
        node = next(n for n in made.graph.node if n.name.startswith("blocks.1.0.bn2"))
        weight = next(t for t in made.graph.initializer if t.name == node.input[1])
        weight.CopyFrom(onnx.numpy_helper.from_array(-onnx.numpy_helper.to_array(weight), weight.name))
        return made

    monkeypatch.setattr("nas.runtimes.onnx.variants.float_graph", wrong)
    with pytest.raises(UserError, match=r"in fp32 the exported network differs .* block that differs is blocks\.1\.0$"):
        exporter_of("openvino").export(trained(), tmp_path / "net.xml", calibration=images)
    assert not list(tmp_path.iterdir())


def test_executorch_names_the_first_block_that_differs(
    images: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed("executorch")
    lowered = executorch._lowered

    def wrong(module: nn.Module, image: np.ndarray, calibration: list[np.ndarray]) -> bytes:
        copy = deepcopy(module)
        weight = next(p for p in copy.parameters() if p.shape == (64, 1, 3, 3))  # the first: of blocks.1.0
        with torch.no_grad():
            weight.neg_()
        return lowered(copy, image, calibration)

    monkeypatch.setattr(executorch, "_lowered", wrong)
    with pytest.raises(UserError, match=r"in fp32 the exported network differs .* block that differs is blocks\.1\.0$"):
        exporter_of("executorch").export(trained(), tmp_path / "net.pte", calibration=images)
    assert not list(tmp_path.iterdir())


def test_tensorrt_takes_an_onnx_file_in_the_precision_of_its_tensors(images: Split, tmp_path: Path) -> None:
    kinds = {}
    for precision in TensorRt().exported:
        path = tmp_path / f"{precision}.onnx"
        written = TensorRt().export(replace(trained(), precision=precision), path, calibration=images)
        line = f"trtexec --onnx={precision}.onnx --saveEngine={precision}.engine --stronglyTyped"
        assert written.notes[0] == f"on the board: {line}" and written.agreement >= 0.9
        assert f"--{precision} in place of" in written.notes[1] or precision == "fp32"
        graph = onnx.load(str(path)).graph
        kinds[precision] = {t.data_type for t in graph.initializer if len(t.dims) == 4}
        scores = OnnxRuntime().session(path.read_bytes())(next(network_inputs(trained().preprocessing, images)))
        assert scores.dtype == np.float32
        if precision == "int8":
            values = {t.name: onnx.numpy_helper.to_array(t) for t in graph.initializer}
            zeros = [values[n.input[2]] for n in graph.node if n.op_type == "QuantizeLinear"]
            assert len(zeros) > 20 and all(z.dtype == np.int8 and not z.any() for z in zeros)
    types = onnx.TensorProto
    assert kinds == {"fp32": {types.FLOAT}, "fp16": {types.FLOAT16}, "int8": {types.INT8}}


def test_forms_of_int8_that_a_runtime_has_not_are_refused(images: Split, tmp_path: Path) -> None:
    dynamic, signed = Int8("dynamic").within(trained()), Int8(target="tensorrt").within(trained())
    some = Int8(float_blocks=("conv_stem",)).within(trained())
    for name, model, message in (
        ("tensorrt", dynamic, "int8 files for TensorRT have static ranges; got dynamic ranges"),
        ("openvino", dynamic, "int8 files for OpenVINO have static ranges, for processors"),
        ("openvino", signed, "int8 files for OpenVINO have static ranges, for processors"),
        ("executorch", some, "int8 files for ExecuTorch are static, and all of int8"),
    ):
        if name in EXTRAS:
            try:
                exporter_of(name).check()
            except UserError:
                continue
        with pytest.raises(UserError, match=message):
            exporter_of(name).export(model, tmp_path / "net", calibration=images)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("name", "module"), [
    ("litert", "ai_edge_litert.interpreter"), ("openvino", "openvino"), ("executorch", "executorch.runtime"),
])  # fmt: skip
def test_a_missing_package_is_named_with_its_extra(name: str, module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UserError, match=rf'is not installed: pip install "edge-nas\[{name}\]"'):
        exporter_of(name).check()


def test_every_runtime_has_one_exporter_and_no_two_the_same_name() -> None:
    names = ("onnxruntime", "litert", "openvino", "executorch", "tensorrt")
    assert [exporter_of(name).name for name in names] == list(names)
    for name in get_args(RuntimeName):
        assert exporter_of(name).exported == runtime_of(name).exported
    with pytest.raises(UserError, match="unknown runtime 'tensort'; did you mean 'tensorrt'"):
        exporter_of("tensort")
