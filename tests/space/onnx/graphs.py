"""ONNX models written by hand, so that every expected figure can be counted on paper."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

Weights = Mapping[str, np.ndarray]


def zeros(*shape: int) -> np.ndarray:
    return np.zeros(shape, dtype=np.float32)


def varied(*shape: int) -> np.ndarray:
    """Weights as training leaves them: not all the same, the last one not 0."""
    return (np.arange(np.prod(shape), dtype=np.float32) % 5 + 1).reshape(shape)


def node(op: str, inputs: str, outputs: str, domain: str = "", **attributes: Any) -> onnx.NodeProto:
    """Inputs and outputs are names between spaces; `-` stands for an input that is not given."""
    names = ["" if name == "-" else name for name in inputs.split()]
    return helper.make_node(op, names, outputs.split(), name=f"/{op}", domain=domain, **attributes)


def graph(
    nodes: Sequence[onnx.NodeProto],
    inputs: Iterable[onnx.ValueInfoProto | str],
    outputs: str,
    weights: Weights | None = None,
) -> onnx.GraphProto:
    """A graph or subgraph; an input given by its name has no type."""
    given = [helper.make_empty_tensor_value_info(i) if isinstance(i, str) else i for i in inputs]
    ends = [helper.make_empty_tensor_value_info(name) for name in outputs.split()]
    initializers = [numpy_helper.from_array(value, name) for name, value in (weights or {}).items()]
    return helper.make_graph(nodes, "g", given, ends, initializers)


def model(
    nodes: Sequence[onnx.NodeProto], weights: Weights, outputs: str = "y", shape: Sequence[object] = (1, 3, 8, 8),
    opset: int = 17, functions: Sequence[onnx.FunctionProto] = (),
) -> onnx.ModelProto:  # fmt: skip
    """A model of one image `x`."""
    image = helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1), helper.make_opsetid("mine", 1)]
    made = helper.make_model(graph(nodes, [image], outputs, weights), opset_imports=opsets, ir_version=8)
    made.functions.extend(functions)
    return made


def save(made: onnx.ModelProto, folder: Path, name: str = "m.onnx") -> Path:
    path = folder / name
    path.write_bytes(made.SerializeToString())
    return path
