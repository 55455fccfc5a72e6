"""A layer: one primitive operation with every shape in it, and what can be counted from the shapes alone."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Literal, get_args

Shape = tuple[int, int, int]  # channels, height, width; a vector of n values is (n, 1, 1)
Op = Literal["conv", "linear", "activation", "pool", "global_pool", "add", "multiply", "shuffle", "concat", "resize"]
Kind = Literal[
    "standard", "pointwise", "depthwise", "grouped", "linear",
    "activation", "pool", "global_pool", "add", "multiply", "shuffle", "concat", "resize",
]  # fmt: skip
Precision = Literal["fp32", "fp16", "int8"]

PRECISIONS: tuple[Precision, ...] = get_args(Precision)
BYTES: dict[Precision, int] = {"fp32": 4, "fp16": 2, "int8": 1}
BIAS_BYTES: dict[Precision, int] = {"fp32": 4, "fp16": 2, "int8": 4}  # int8 kernels add 32-bit biases

FUSED = frozenset({"relu", "relu6"})  # activations that every mobile runtime fuses into the layer before


@dataclass(frozen=True, slots=True)
class Layer:
    """One operation of a network at batch 1. Shapes are (channels, height, width).

    `function` names the activation ("relu", "relu6", "hswish", "swish", "hsigmoid", "sigmoid", ...) or the pooling
    ("avg", "max"). `norm` says that a batch norm follows, which inference folds into the weights. `held` counts the
    values that must stay in memory beside input and output while the layer runs (a residual's other branch).
    `stored` is the number of parameters where it is not what the shapes tell: weights that an earlier layer counted,
    the product of two images, the slopes of a PReLU.
    """

    op: Op
    in_shape: Shape
    out_shape: Shape
    kernel: tuple[int, int] = (1, 1)
    stride: int = 1
    groups: int = 1
    function: str = ""
    norm: bool = False
    bias: bool = False
    held: int = 0
    stored: int | None = None

    @property
    def kind(self) -> Kind:
        """The operation as a cost model sees it: convolutions are told apart by groups and kernel."""
        if self.op != "conv":
            return self.op
        if self.groups > 1:
            return "depthwise" if self.groups == self.in_shape[0] else "grouped"
        return "pointwise" if self.kernel == (1, 1) else "standard"

    @property
    def inputs(self) -> int:
        """Values read, without the weights. An addition or a product reads two tensors."""
        other = {"add": self.out_shape, "multiply": (self.out_shape[0], 1, 1)}.get(self.op)
        return prod(self.in_shape) + (prod(other) if other else 0)

    @property
    def outputs(self) -> int:
        """Values written."""
        return prod(self.out_shape)

    @property
    def weights(self) -> int:
        """Multiplied weights, without biases and batch norm."""
        if self.op == "linear":
            return self.in_shape[0] * self.out_shape[0]
        if self.op == "conv":
            return self.in_shape[0] // self.groups * self.out_shape[0] * self.kernel[0] * self.kernel[1]
        return 0

    @property
    def params(self) -> int:
        """Trained parameters: weights, biases, and the scale and shift of a batch norm."""
        if self.stored is not None:
            return self.stored
        return self.weights + self.out_shape[0] * (int(self.bias) + 2 * int(self.norm))

    @property
    def macs(self) -> int:
        """Multiply-adds of convolutions and linear layers; one multiply-add is one MAC, the rest counts 0."""
        return self.weights * (self.out_shape[1] * self.out_shape[2] if self.op == "conv" else 1)

    def weight_bytes(self, precision: Precision) -> int:
        """Bytes of the deployed weights: batch norm folded, one bias per output channel."""
        weights = self.weights if self.stored is None else min(self.weights, self.stored)
        if not weights:
            return 0
        return weights * BYTES[precision] + self.out_shape[0] * BIAS_BYTES[precision]

    @property
    def live(self) -> int:
        """Values alive while the layer runs. Elementwise operations write over their input."""
        if self.op in ("activation", "add", "multiply"):
            return max(self.inputs, self.outputs) + self.held
        return self.inputs + self.outputs + self.held
