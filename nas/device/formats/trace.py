"""What a runtime's own profile of one network says: its operations in order of execution, each with its time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

MOST_MS = 1e9  # of an operation or a run: eleven days
MOST_NODES = 100_000
NodeKind = Literal["weighted", "add", "multiply", "product", "activation", "pool", "other"]


@dataclass(frozen=True, slots=True)
class Node:
    """One operation. `weighted` is a convolution or linear layer; `multiply` a map by a value a channel, `product`
    of two maps (of which some runtimes make an activation).
    """

    kind: NodeKind
    name: str
    ms: float  # median or mean over the runs
    depthwise: bool | None = None  # None: the trace does not say
    size: tuple[int, int] | None = None  # output height and width
    channels: int | None = None  # of the output
    kernel: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Trace:
    """The nodes in order of execution, and one run's time from end to end, in ms."""

    nodes: tuple[Node, ...]
    total_ms: float
