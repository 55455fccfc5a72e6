"""What ONNX Runtime computes in integers of an int8 file, and what in float, which is what makes one slow."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx

_CONVOLUTIONS = ("QLinearConv", "ConvInteger"), ("Conv", "FusedConv", "NhwcFusedConv")  # in integers, in float
_LINEAR = (
    ("QGemm", "QLinearMatMul", "MatMulInteger", "MatMulIntegerToFloat", "DynamicQuantizeMatMul"),
    ("Gemm", "FusedGemm", "MatMul", "FusedMatMul"),
)
# conversions, and what moves values without computing any
_FREE = (
    "QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "Cast", "Reshape", "Flatten", "Squeeze", "Unsqueeze",
    "Transpose", "Identity", "ReorderInput", "ReorderOutput",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Fusion:
    """Operators of the graph that a runtime made of a file and runs."""

    convolutions: tuple[int, int]  # in integers, of all
    linear: tuple[int, int]
    clips: int  # before a QuantizeLinear: what keeps a convolution from being fused
    others: Counter[str]  # all other operators in float

    @property
    def text(self) -> str:
        """One line: what runs in integers, and each operator that does not."""
        (convs, all_convs), (linear, all_linear) = self.convolutions, self.linear
        said = f"{convs} of {all_convs} convolutions and {linear} of {all_linear} linear layers run in integers"
        left = Counter(self.others)
        if self.clips:
            left["Clip before QuantizeLinear"] = self.clips
            left["Clip"] -= self.clips
        named = ", ".join(f"{count} {op}" for op, count in sorted(left.items()) if count > 0)
        return f"{said}; in float: {named}" if named else said


def fusion_of(optimized: onnx.ModelProto) -> Fusion:
    """Counts the operators of a graph as the runtime optimized it."""
    nodes = optimized.graph.node
    ops = Counter(node.op_type for node in nodes)
    quantized = {node.input[0] for node in nodes if node.op_type == "QuantizeLinear"}
    clips = sum(node.op_type == "Clip" and node.output[0] in quantized for node in nodes)
    weighted = {op for kind in (_CONVOLUTIONS, _LINEAR) for place in kind for op in place}
    others = Counter({
        op: count for op, count in ops.items()
        if op not in weighted and op not in _FREE and not op.startswith("QLinear")
    })  # fmt: skip

    def counted(kind: tuple[tuple[str, ...], tuple[str, ...]]) -> tuple[int, int]:
        integer, in_float = (sum(ops[op] for op in place) for place in kind)
        return integer, integer + in_float

    return Fusion(counted(_CONVOLUTIONS), counted(_LINEAR), clips, others)
