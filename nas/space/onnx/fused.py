"""Quantized and fused operations in the standard ones that they stand for: ONNX's own, and those of ONNX Runtime.

Sources: https://onnx.ai/onnx/operators (QLinearConv, ConvInteger, ...) and ONNX Runtime's ContribOperators.md.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from nas.space.onnx.tensors import Value, attribute, label

if TYPE_CHECKING:
    import onnx

Fail = Callable[[str], NoReturn]

_MICROSOFT, _NCHWC = "com.microsoft", "com.microsoft.nchwc"
_CHANNELS_FIRST, _CHANNELS_LAST = [0, 3, 1, 2], [0, 2, 3, 1]  # of a picture
_WINDOW = ("auto_pad", "dilations", "group", "kernel_shape", "pads", "strides", "ceil_mode", "count_include_pad")
# op of int8 inputs -> standard op, and which inputs are its tensors; the others are scales and zero points
_QUANTIZED: dict[str, tuple[str, tuple[int, ...]]] = {
    "QLinearConv": ("Conv", (0, 3, 8)), "ConvInteger": ("Conv", (0, 1)), "QLinearMatMul": ("MatMul", (0, 3)),
    "MatMulInteger": ("MatMul", (0, 1)), "QGemm": ("Gemm", (0, 3, 6)), "QLinearAdd": ("Add", (0, 3)),
    "QLinearMul": ("Mul", (0, 3)), "QLinearSigmoid": ("Sigmoid", (0,)), "QLinearLeakyRelu": ("LeakyRelu", (0,)),
    "QLinearSoftmax": ("Softmax", (0,)), "QLinearAveragePool": ("AveragePool", (0,)),
    "QLinearGlobalAveragePool": ("GlobalAveragePool", (0,)), "QLinearReduceMean": ("ReduceMean", (0,)),
}  # fmt: skip
_BIASED = {"MatMulIntegerToFloat": 6, "DynamicQuantizeMatMul": 4}  # MatMul of the first two inputs, and this bias
_CONVOLUTIONS = ("FusedConv", "NhwcFusedConv")
_PARAMETERS = {"LeakyRelu": ("alpha",), "Clip": ("min", "max"), "HardSigmoid": ("alpha", "beta"), "Elu": ("alpha",)}


@dataclass(frozen=True, slots=True)
class Expansion:
    """Nodes that compute a node's first output from its inputs, under the same names."""

    nodes: tuple[onnx.NodeProto, ...]
    int8: bool = False


def standard(node: onnx.NodeProto, ins: Sequence[Value | None], fail: Fail) -> Expansion | None:
    """The standard operations that a quantized or fused one stands for; None for all others.

    Raises UserError, through `fail`, for weights that ONNX Runtime has padded: their true size is lost.
    """
    op, domain = node.op_type, node.domain
    if domain == _NCHWC:
        return _blocked(node, ins, fail)
    if domain not in ("", "ai.onnx", _MICROSOFT):
        return None
    build = _Builder(node, len((ins[0].shape if ins and ins[0] is not None else None) or (0,) * 4))
    if op in _QUANTIZED:
        _quantized(build, *_QUANTIZED[op])
    elif op == "QLinearConcat":
        build.add("Concat", build.inputs[2::3], build.output, axis=attribute(node, "axis", 1))
    elif op in _BIASED:
        last = build.inputs[_BIASED[op] :][:1]
        build.chain([("MatMul", build.inputs[:2]), *([("Add", last)] if last and last[0] else [])])
    elif domain == _MICROSOFT and op in _CONVOLUTIONS:
        _fused_convolution(build, channels_last=op.startswith("Nhwc"))
    elif domain == _MICROSOFT and op == "FusedGemm":
        build.chain([("Gemm", build.inputs[:3]), *build.activation()], transA=0, transB=0, alpha=1.0)
    elif domain == _MICROSOFT and op == "NhwcMaxPool":
        build.channels_last("MaxPool", build.inputs[:1])
    elif domain == _MICROSOFT and op in ("BiasGelu", "FastGelu", "QuickGelu"):
        bias = [name for name in build.inputs[1:2] if name]
        source = build.inputs[:1]
        build.chain([*([("Add", [*source, *bias])] if bias else []), ("Gelu", [] if bias else source)])
    elif domain == _MICROSOFT and op == "SkipLayerNormalization":
        build.chain([("Add", build.inputs[:2]), ("LayerNormalization", build.inputs[2:4])])
    elif domain == _MICROSOFT and op in ("QuantizeLinear", "DequantizeLinear"):
        build.add(op, build.inputs, build.output, axis=attribute(node, "axis", 1))
    else:
        return None
    return Expansion(tuple(build.nodes), int8=op in _QUANTIZED or op in _BIASED)


class _Builder:
    def __init__(self, node: onnx.NodeProto, rank: int = 4) -> None:
        self.node = node
        axes = range(1, rank - 1)
        self.channels_first_order = [0, rank - 1, *axes]
        self.channels_last_order = [0, *(axis + 1 for axis in axes), 1]
        self.inputs = list(node.input)
        self.output = node.output[0]
        self.nodes: list[onnx.NodeProto] = []

    def add(self, op: str, inputs: Sequence[str], output: str = "", **attributes: Any) -> str:
        import onnx

        output = output or f"{self.output}/{len(self.nodes)}"
        kept = {name: value for name, value in attributes.items() if value is not None}
        self.nodes.append(onnx.helper.make_node(op, list(inputs), [output], **kept))
        return output

    def chain(self, steps: Sequence[tuple[str, Sequence[str]]], **defaults: Any) -> None:
        """Operations one after the other, each on the last result and its own inputs; the first takes `defaults`."""
        result: list[str] = []
        for index, (op, inputs) in enumerate(steps):
            given = {name: attribute(self.node, name, value) for name, value in defaults.items()} if not index else {}
            given |= self._parameters(op) if index else {}
            last = self.output if index == len(steps) - 1 else ""
            result = [self.add(op, [*result, *inputs], last, **given)]

    def activation(self) -> list[tuple[str, Sequence[str]]]:
        name = attribute(self.node, "activation", "")
        return [(name, [])] if name else []

    def _parameters(self, op: str) -> dict[str, Any]:
        names = _PARAMETERS.get(op, ())
        given = attribute(self.node, "activation_params", None)
        if given is None:
            given = [attribute(self.node, f"activation_{name}", None) for name in names]
        return {name: value for name, value in zip(names, given, strict=False) if value is not None}

    def window(self) -> dict[str, Any]:
        """The attributes of a convolution or pooling."""
        return {name: value for name in _WINDOW if (value := attribute(self.node, name, None)) is not None}

    def channels_last(self, op: str, inputs: Sequence[str]) -> None:
        source = self.add("Transpose", inputs[:1], perm=self.channels_first_order)
        result = self.add(op, [source, *inputs[1:]], **self.window())
        self.add("Transpose", [result], self.output, perm=self.channels_last_order)


def _quantized(build: _Builder, op: str, taken: Sequence[int]) -> None:
    inputs = [build.inputs[index] for index in taken if index < len(build.inputs)]
    while inputs and not inputs[-1]:
        inputs.pop()
    window = op in ("Conv", "AveragePool", "GlobalAveragePool")
    if window and attribute(build.node, "channels_last", 0):
        build.channels_last(op, inputs)
        return
    names = {"Gemm": ("transA", "transB", "alpha"), "Softmax": ("axis",), "ReduceMean": ("axes", "keepdims"),
             "LeakyRelu": ("alpha",)}.get(op, ())  # fmt: skip
    given = build.window() if window else {name: attribute(build.node, name, None) for name in names}
    build.add(op, inputs, build.output, **given)


def _fused_convolution(build: _Builder, *, channels_last: bool = False) -> None:
    """Conv, then the sum with a fourth input if there is one, then the activation."""
    source, *rest = build.inputs[:3]
    while rest and not rest[-1]:
        rest.pop()
    if channels_last:
        source = build.add("Transpose", [source], perm=build.channels_first_order)
    result = build.add("Conv", [source, *rest], **build.window())
    if channels_last:
        result = build.add("Transpose", [result], perm=build.channels_last_order)
    if len(build.inputs) > 3 and build.inputs[3]:
        result = build.add("Add", [result, build.inputs[3]])
    for name, _ in build.activation():
        result = build.add(name, [result], **build._parameters(name))
    build.add("Identity", [result], build.output)


def _blocked(node: onnx.NodeProto, ins: Sequence[Value | None], fail: Fail) -> Expansion | None:
    """ONNX Runtime's layout for one CPU: channels in blocks of 8 or 16, and padded to them."""
    build = _Builder(node)
    match node.op_type:
        case "Conv":
            source, weight = ins[0], ins[1] if len(ins) > 1 else None
            if any(value is not None and value.constant and value.padded for value in ins):
                _padded(node, fail)
            if source is not None and weight is not None and len(source.shape or ()) == len(weight.shape or ()) == 4:
                wide = (weight.shape or ())[1] * attribute(node, "group", 1)
                if (source.shape or ())[1] < wide < (source.shape or ())[1] + 16:
                    _padded(node, fail)
            _fused_convolution(build)
        case "MaxPool" | "AveragePool" | "GlobalAveragePool" | "GlobalMaxPool":
            build.add(node.op_type, build.inputs[:1], build.output, **build.window())
        case "ReorderInput":
            last = attribute(node, "channels_last", 0)
            build.add("Transpose" if last else "Identity", build.inputs[:1], build.output,
                      perm=_CHANNELS_FIRST if last else None)  # fmt: skip
        case "ReorderOutput":
            shape = ins[0].shape if ins and ins[0] is not None else None
            if shape is not None and len(shape) == 4 and attribute(node, "channels", shape[1]) != shape[1]:
                _padded(node, fail)
            last = attribute(node, "channels_last", 0)
            build.add("Transpose" if last else "Identity", build.inputs[:1], build.output,
                      perm=_CHANNELS_LAST if last else None)  # fmt: skip
        case _:
            return None
    return Expansion(tuple(build.nodes))


def _padded(node: onnx.NodeProto, fail: Fail) -> NoReturn:
    fail(
        f"ONNX Runtime has padded the weights for one CPU (NCHWc, at {label(node)}), so their size is lost; "
        "give the file from before that optimization"
    )
