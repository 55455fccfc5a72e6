"""TFLite's profile: the "Run Order" table that `benchmark_model --enable_op_profiling=true` prints."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from nas.device.formats.trace import Node, NodeKind, Trace
from nas.errors import UserError
from nas.files.plain import MB, read_text

MOST_BYTES = 64 * MB

# what a node type holds, in lower case, tried in this order: TFLite's own kernels and XNNPACK's
_KINDS: tuple[tuple[str, NodeKind], ...] = (
    ("conv", "weighted"), ("fully_connected", "weighted"), ("fully connected", "weighted"),
    ("hard_swish", "activation"), ("hardswish", "activation"), ("relu", "activation"), ("clamp", "activation"),
    ("logistic", "activation"), ("sigmoid", "activation"),
    ("average_pool", "pool"), ("global average pooling", "pool"), ("mean", "pool"),
    ("add", "add"), ("mul", "product"),
)  # fmt: skip
_TOTAL = re.compile(r"Inference(?: \(avg\))?: ([0-9.]+(?:e[+-]?[0-9]+)?)\s*$", re.MULTILINE)


def read_tflite(path: Path) -> Trace:
    """The trace of the regular runs, means as TFLite prints them; in microseconds its "Inference (avg)" is the whole.

    Raises UserError for a text without such a table, or a row whose time is no number.
    """
    text = read_text(path, MOST_BYTES, "text")
    nodes = tuple(_nodes(text, path))
    if not nodes:
        raise UserError(f"{path}: must hold TFLite's table of operators (benchmark_model --enable_op_profiling=true)")
    whole = _TOTAL.findall(text)
    return Trace(nodes, float(whole[-1]) / 1000 if whole else sum(node.ms for node in nodes))


def _nodes(text: str, path: Path) -> Iterator[Node]:
    """The rows of the last table in run order: one before it is that of initialisation."""
    lines = text.splitlines()
    start = max((i for i, line in enumerate(lines) if "== Run Order ==" in line), default=len(lines))
    row = _row_pattern(lines[start + 1]) if start + 1 < len(lines) else None
    for number, line in enumerate(lines[start + 2 :] if row else [], start=start + 3):
        if not line.strip() or "=====" in line:
            return
        found = row.match(line.strip()) if row else None
        if found is None:
            raise UserError(f"{path}: line {number} must be an operator and its times; came {line.strip()[:80]!r}")
        yield _node(found["type"].strip(), found["name"].strip(), float(found["avg"]))


def _row_pattern(heading: str) -> re.Pattern[str] | None:
    """How a row reads under this heading, tabs or commas; None for another heading.

    Older versions have a column [start]. The node types of XNNPACK have commas: "Convolution (NHWC, QU8) GEMM".
    """
    for separator, average in (("\t", "[avg ms]"), (",", "avg_ms")):
        names = [name.strip() for name in heading.strip().split(separator)]
        if average in names:
            figure = rf"\s*[0-9.]+\s*{separator}"
            before = names.index(average) - 1
            average_ms = rf"\s*(?P<avg>[0-9]+(?:\.[0-9]+)?)\s*{separator}"
            return re.compile(rf"(?P<type>.+?){separator}(?:{figure}){{{before}}}{average_ms}.*?(?P<name>[^\t]+)$")
    return None


def _node(operation: str, name: str, ms: float) -> Node:
    lower = operation.lower()
    kind: NodeKind = next((kind for word, kind in _KINDS if word in lower), "other")
    depthwise = "depthwise" in lower or "dwconv" in lower
    return Node(kind, name, ms, depthwise if kind == "weighted" else None)
