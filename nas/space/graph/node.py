"""One operation of a network that is read from a file or a trace, in words that all formats share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from nas.space.layer import Precision

NodeOp = Literal[
    "conv", "linear", "activation", "pool", "global_pool", "add", "multiply", "shuffle", "concat", "resize",  # layers
    "alias",  # costs nothing: the output is the first input under another shape
    "pad",  # zeros around an image, done by the convolution or pooling that follows
    "norm", "scale", "shift",  # batch norm; product and sum with a constant, one value a channel or one in all
    "transpose",
    "function",  # a function of single values that is part of an activation written out
    "unread",
]  # fmt: skip
Tensors = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Node:
    """One operation on tensors, which are names. `inputs` leaves out weights and other constants."""

    op: NodeOp
    name: str  # as the user finds it in the file: "Conv /stem/Conv"
    inputs: tuple[str, ...]
    output: str
    kernel: tuple[int, int] = (1, 1)
    stride: int = 1
    groups: int = 1
    function: str = ""
    norm: bool = False
    bias: bool = False
    value: float | None = None  # scale, shift and function: the constant, if it is a single number
    order: tuple[int, ...] = ()  # transpose: the permutation
    features: tuple[int, int] = (0, 0)  # linear: values in, values out
    positions: tuple[int, ...] | None = None  # linear: where it is applied; None: at all axes but the last
    # parameters it reads, each with a key that tells it from all others, and its values; None: as the shapes tell
    stored: tuple[tuple[str, int], ...] | None = None
    precision: Precision = "fp32"  # of a layer's arithmetic, as the file has it
    source: tuple[int, ...] = ()  # shape of the first input as the operation sees it; filled in by read_graph
