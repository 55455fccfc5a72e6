"""ONNX Runtime's profile: the JSON that `session.end_profiling()` writes, a list of events with microseconds."""

from __future__ import annotations

from pathlib import Path
from statistics import median
from typing import Any

from nas.device.formats.trace import MOST_MS, MOST_NODES, Node, NodeKind, Trace
from nas.errors import UserError
from nas.files.json import read_json
from nas.files.plain import MB

MOST_BYTES = 15 * MB  # a hundred runs of a network of 200 nodes
SUFFIX = "_kernel_time"
LONGEST = 1_000  # characters of a node's name

_OPERATIONS: dict[NodeKind, tuple[str, ...]] = {
    "weighted": (
        "Conv", "FusedConv", "NhwcFusedConv", "QLinearConv", "ConvInteger", "Gemm", "FusedGemm", "QGemm", "MatMul",
        "FusedMatMul", "QLinearMatMul", "MatMulInteger",
    ),
    "add": ("Add", "QLinearAdd", "Sum"),
    "activation": ("Relu", "Clip", "HardSwish", "HardSigmoid", "Sigmoid", "QLinearSigmoid", "QuickGelu", "LeakyRelu"),
    "pool": ("ReduceMean", "GlobalAveragePool", "QLinearReduceMean", "QLinearGlobalAveragePool"),
}  # fmt: skip
_KINDS: dict[str, NodeKind] = {op: kind for kind, ops in _OPERATIONS.items() for op in ops}


def read_onnxruntime(path: Path) -> Trace:
    """The trace, medians over its runs; the first run, which warms up, is left out where there are several.

    Raises UserError for a file that is not such a profile, or has no run of a network in it.
    """
    events = read_json(path, MOST_BYTES)
    if not isinstance(events, list) or not all(isinstance(event, dict) for event in events):
        raise UserError(f"{path}: must be a profile of ONNX Runtime: a list of events")
    runs: list[float] = []
    times: dict[tuple[str, str], list[float]] = {}
    described: dict[tuple[str, str], dict[str, Any]] = {}
    for event in events:
        name, args = str(event.get("name", "")), event.get("args")
        if event.get("cat") == "Session" and name == "model_run":
            runs.append(_ms(event, path))
        elif event.get("cat") == "Node" and name.endswith(SUFFIX) and isinstance(args, dict):
            key = (str(args.get("node_index", ""))[:LONGEST], name.removesuffix(SUFFIX)[:LONGEST])
            times.setdefault(key, []).append(_ms(event, path))
            described[key] = args
    if not runs or not times:
        raise UserError(
            f"{path}: must be a profile of ONNX Runtime with runs; it has {len(runs)} of {len(times)} nodes"
        )
    if len(times) > MOST_NODES:
        raise UserError(f"{path}: must have at most {MOST_NODES:,} operators")
    nodes = tuple(_node(key[1], described[key], _usual(times[key])) for key in times)
    return Trace(nodes, _usual(runs))


def _usual(times: list[float]) -> float:
    return median(times[1:] or times)


def _ms(event: dict[str, Any], path: Path) -> float:
    duration = event.get("dur")
    if not isinstance(duration, int | float) or isinstance(duration, bool) or not 0 <= duration <= 1000 * MOST_MS:
        raise UserError(
            f"{path}: event {str(event.get('name'))[:80]!r} must have a duration from 0 to {1000 * MOST_MS:g} us; "
            f"got {str(duration)[:80]}"
        )
    return duration / 1000


def _node(name: str, args: dict[str, Any], ms: float) -> Node:
    op = str(args.get("op_name", ""))
    inputs, outputs = _shapes(args.get("input_type_shape")), _shapes(args.get("output_type_shape"))
    if op in ("Mul", "QLinearMul"):
        gated = any(shape[-2:] == [1, 1] or len(shape) < 2 for shape in inputs if shape)
        return Node("multiply" if gated else "product", name, ms)
    kind = _KINDS.get(op, "other")
    if kind != "weighted":
        return Node(kind, name, ms)
    weights = next((shape for shape in inputs[1:] if len(shape) == 4), None)
    out = outputs[0] if outputs else []
    size = (out[2], out[3]) if len(out) == 4 else (1, 1) if len(out) == 2 else None
    channels = out[1] if len(out) in (2, 4) and not name.endswith("_nchwc") else None  # there they are padded
    if weights is None or "Conv" not in op:
        return Node("weighted", name, ms, None, size, channels)
    depthwise = weights[1] == 1 and inputs[0][1] > 1 if len(inputs[0]) == 4 else None
    return Node("weighted", name, ms, depthwise, size, channels, (weights[2], weights[3]))


def _shapes(given: object) -> list[list[int]]:
    """The shapes of a list such as [{"float": [1, 24, 56, 56]}, ...]; of anything else, none."""
    if not isinstance(given, list):
        return []
    shapes: list[object] = [next(iter(entry.values()), []) for entry in given if isinstance(entry, dict)]
    return [s if isinstance(s, list) and all(isinstance(x, int) for x in s) else [] for s in shapes]
