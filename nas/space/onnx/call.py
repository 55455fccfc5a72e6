"""One ONNX operation with its tensors, and what must hold of it before anything is counted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any, NoReturn

from nas.space.layer import Precision
from nas.space.onnx.tensors import Shape, Value, attribute

if TYPE_CHECKING:
    import onnx

Fail = Callable[[str], NoReturn]
Fields = dict[str, Any] | None  # of a Node; None: not understood

DOMAINS = ("", "ai.onnx", "com.microsoft")
_SAME_SHAPE = frozenset({
    "Celu", "Clip", "CumSum", "DequantizeLinear", "DynamicQuantizeLinear", "Elu", "Erf", "Gelu", "GroupNormalization",
    "HardSigmoid", "HardSwish", "InstanceNormalization", "LayerNormalization", "LeakyRelu",
    "MeanVarianceNormalization", "Mish", "QuantizeLinear", "Relu", "RMSNormalization", "Selu", "Sigmoid",
    "SimplifiedLayerNormalization", "Softplus", "Swish", "Tanh",
})  # fmt: skip


@dataclass(slots=True)
class Call:
    """An operation with its tensors: None stands for an optional input that is not given."""

    node: onnx.NodeProto
    ins: Sequence[Value | None]
    outs: Sequence[Value]
    label: str
    int8: bool  # quantized by its own kind
    use: str  # tells this operation of the file from all others; equal when a loop meets it again
    room: Callable[[str, Shape], str]  # makes the name of a tensor inside the operation

    def attribute(self, name: str, default: Any) -> Any:
        return attribute(self.node, name, default)

    def at(self, index: int) -> Value | None:
        return self.ins[index] if index < len(self.ins) else None

    def shape(self, index: int) -> Shape:
        """The shape of an input; () where it is not given."""
        value = self.at(index)
        return (value.shape or ()) if value is not None else ()

    @property
    def out(self) -> Shape:
        return self.outs[0].shape or ()

    @property
    def active(self) -> tuple[str, ...]:
        """The inputs that depend on the image."""
        return tuple(value.name for value in self.ins if value is not None and not value.constant)

    def number(self, index: int, default: float) -> float | None:
        """The single number that an optional input holds; None if it is not known."""
        value = self.at(index)
        return default if value is None else value.number

    def stored(self, *values: Value | None) -> tuple[tuple[str, int], ...]:
        """The parameters behind constants: weights, then biases.

        Each has a key, so that a second use is told from a second tensor. Exporters keep equal tensors once, and a
        network that was not trained has many: so a tensor of one value is a parameter of each operation that uses it,
        and a bias is the same only with the same weights.
        """
        found: list[tuple[str, int]] = []
        for index, value in enumerate(values):
            if value is not None and value.constant:
                before = "".join(key for key, _ in found) or (self.use if value.uniform else "")
                sizes = value.stored or {value.name: prod(value.shape or ())}
                found += [(f"{index} {before} {key}" if before else key, size) for key, size in sizes.items()]
        return tuple(found)

    def precision(self, source: Value | None, weight: Value | None) -> Precision:
        if self.int8 or (source is not None and weight is not None and source.quantized and weight.quantized):
            return "int8"
        return "fp16" if weight is not None and weight.half else "fp32"


def check_node(node: onnx.NodeProto, ins: Sequence[Value | None], title: str, fail: Fail) -> None:
    """Refuses what no runtime takes, before any arithmetic is done with it."""
    for name in ("strides", "dilations", "kernel_shape"):
        values = attribute(node, name, ())
        if isinstance(values, list) and any(not isinstance(v, int) or not 0 < v < 2**31 for v in values):
            fail(f"{title}: {name} must be 1 or more; got {values[:8]}")
    group = attribute(node, "group", 1)
    if not isinstance(group, int) or group < 1:
        fail(f"{title}: group must be 1 or more; got {group}")
    if node.op_type not in ("Conv", "ConvTranspose") or len(ins) < 2 or ins[0] is None or ins[1] is None:
        return
    source, weight = ins[0].shape or (), ins[1].shape or ()
    if len(weight) < 3 or len(source) != len(weight):
        fail(f"{title}: input and weights must have the same number of dimensions, 3 or more; "
             f"got {len(source)} and {len(weight)}")  # fmt: skip
    if any(dim < 1 for dim in weight):
        fail(f"{title}: weights must have dimensions of 1 or more; got {weight}")
    kernel = attribute(node, "kernel_shape", None)
    if kernel is not None and tuple(kernel) != weight[2:]:
        fail(f"{title}: kernel_shape is {kernel[:8]}, its weights are {list(weight[2:])}")
    inner = weight[1] * group if node.op_type == "Conv" else weight[0]
    if source[1] != inner or weight[0] % group:
        fail(f"{title}: weights {weight} in {group} groups do not fit an input of {source[1]} channels")


def own_shape(node: onnx.NodeProto, ins: Sequence[Value | None]) -> Shape | None:
    """The first output's shape for operations whose shape ONNX's own inference does not know; None for others."""
    first = ins[0].shape if ins and ins[0] is not None else None
    if first is None:
        return None
    if node.op_type in _SAME_SHAPE and node.domain in DOMAINS:
        return first
    if node.domain != "com.microsoft":
        return None
    if node.op_type in ("FusedMatMul", "TransposeMatMul") and len(ins) > 1 and ins[1] is not None:
        left, right = list(first), list(ins[1].shape or ())
        for dims, name in ((left, "transA"), (right, "transB")):
            if attribute(node, name, 0) and len(dims) > 1:
                dims[-2:] = dims[:-3:-1]
        batch = left[:-2] if len(left) >= len(right) else right[:-2]
        return (*batch, left[-2], right[-1]) if min(len(left), len(right)) > 1 else None
    if node.op_type == "MatMulNBits":
        return (*first[:-1], int(attribute(node, "N", 1)))
    return None
