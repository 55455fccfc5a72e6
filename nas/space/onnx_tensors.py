"""What is known of the tensors of an ONNX model before it runs: shapes, and the values of small constants."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import onnx

_SMALL = 4096  # values of a constant that is computed while reading: shapes, axes, limits; never weights


class OnnxTensors:
    """Shapes of all tensors, after shape inference; `constants` names those that depend on no image."""

    def __init__(self, model: onnx.ModelProto) -> None:
        import onnx

        self.opset = max((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), default=1)
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.constants: set[str] = set()
        self._values: dict[str, np.ndarray] = {}
        graph = model.graph
        for value in (*graph.input, *graph.value_info, *graph.output):
            tensor = value.type.tensor_type
            if tensor.HasField("shape") and all(dim.HasField("dim_value") for dim in tensor.shape.dim):
                self.shapes[value.name] = tuple(dim.dim_value for dim in tensor.shape.dim)
        for weight in graph.initializer:
            self.constants.add(weight.name)
            self.shapes[weight.name] = tuple(weight.dims)
            if prod(weight.dims) <= _SMALL and weight.data_location != onnx.TensorProto.EXTERNAL:
                self._values[weight.name] = onnx.numpy_helper.to_array(weight)

    def fold(self, node: onnx.NodeProto) -> bool:
        """Whether the node depends on no image, such as arithmetic on shapes; its value is kept if it is small."""
        known = [name for name in node.input if name]
        if node.op_type == "Shape" and node.input[0] in self.shapes:
            start, end = attribute(node, "start", 0), attribute(node, "end", None)
            shape = np.array(self.shapes[node.input[0]][start:end], dtype=np.int64)
            self._keep(node.output[0], shape)
            return True
        if not all(name in self.constants for name in known) or node.op_type in ("RandomNormal", "RandomUniform"):
            return False
        self.constants.update(node.output)
        if all(name in self._values for name in known) and self._stays_small(node):
            try:
                values = self._computed(node)
            except Exception:  # an operation without reference: its value stays unknown, its shape does not
                return True
            for name, value in zip(node.output, values, strict=False):
                self._keep(name, np.asarray(value))
        return True

    def _computed(self, node: onnx.NodeProto) -> list[np.ndarray]:
        import onnx
        from onnx.reference import ReferenceEvaluator

        feeds = {name: self._values[name] for name in node.input if name}
        types = [onnx.helper.np_dtype_to_tensor_dtype(value.dtype) for value in feeds.values()]
        inputs = [onnx.helper.make_tensor_value_info(*given, None) for given in zip(feeds, types, strict=True)]
        outputs = [onnx.ValueInfoProto(name=name) for name in node.output]
        graph = onnx.helper.make_graph([node], "constant", inputs, outputs)
        # a whole model, for a node alone is evaluated as of the newest opset
        model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", self.opset)])
        return list(ReferenceEvaluator(model).run(None, feeds))

    def _stays_small(self, node: onnx.NodeProto) -> bool:
        if node.op_type not in ("ConstantOfShape", "Expand", "Tile", "Range"):
            return sum(self._values[name].size for name in node.input if name) <= _SMALL
        return 0 <= float(np.prod(self._values[node.input[-2 if node.op_type == "Range" else -1]])) <= _SMALL

    def _keep(self, name: str, value: np.ndarray) -> None:
        self.constants.add(name)
        self.shapes[name] = value.shape
        self._values[name] = value

    def value(self, name: str) -> np.ndarray | None:
        """The value of a small constant; None if it is large, or not known."""
        return self._values.get(name)

    def number(self, name: str, default: float) -> float | None:
        """The single number that an optional input holds; None if it is not known."""
        if not name:
            return default
        value = self._values.get(name)
        return None if value is None or value.size != 1 else float(value.reshape(()))


def attribute(node: onnx.NodeProto, name: str, default: Any) -> Any:
    import onnx

    return next((onnx.helper.get_attribute_value(a) for a in node.attribute if a.name == name), default)
