"""TFLite's profile: the "Run Order" table that `benchmark_model --enable_op_profiling=true` prints."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from pathlib import Path

from nas.device.formats.trace import MOST_MS, MOST_NODES, Node, NodeKind, Trace
from nas.errors import UserError
from nas.files.plain import MB, read_text

MOST_BYTES = 2 * MB
LONGEST = 2_000  # characters of a row

# what a node type holds, in lower case, tried in this order: TFLite's own kernels and XNNPACK's
_WORDS: tuple[tuple[str, NodeKind], ...] = (
    ("conv(?!ert)|fully[_ ]connected", "weighted"),
    ("hard_?swish|relu|clamp|logistic|sigmoid", "activation"),
    ("average_pool|global average pooling|(?<![a-z])mean(?![a-z])", "pool"),
    ("(?<![a-z])add(?![a-z])", "add"),
    ("(?<![a-z])mul(?![a-z])|multiply", "product"),
)
_DELEGATE = re.compile(r"delegate|custom-op", re.IGNORECASE)
_TOTAL = re.compile(r"Inference(?: \(avg\))?: ([0-9.]{1,20}(?:e[+-]?[0-9]{1,3})?)\s*$", re.MULTILINE)
_LOGCAT = re.compile(  # what Android's log writes before each line: in its forms threadtime, time, brief, tag, process
    r"^(?:(?:\d{4}-)?\d\d-\d\d \d\d:\d\d:\d\d\.\d+ +(?:\d+ +\d+ +[VDIWEF] [^:\t]{0,80}: ?)?)?"
    r"(?:[VDIWEF]/[^(:\t]{0,80}(?:\( *\d+\))?: ?|[VDIWEF]\( *\d+\) )?"
)


def read_tflite(path: Path) -> Trace:
    """The trace of the regular runs, means as TFLite prints them; in microseconds its "Inference (avg)" is the whole.

    Raises UserError for a text without such a table, a row whose time is not a number, and where a delegate ran
    operators as one, so that their times are not known.
    """
    lines = [_LOGCAT.sub("", line, count=1) for line in read_text(path, MOST_BYTES, "text").splitlines()]
    nodes = tuple(_nodes(lines, path))
    if not nodes:
        only = "; it has only the summary by node type" if any("Summary by node type" in line for line in lines) else ""
        raise UserError(
            f"{path}: must hold TFLite's table of operators in run order "
            f"(benchmark_model --enable_op_profiling=true){only}"
        )
    whole = _TOTAL.findall("\n".join(lines))
    total = float(whole[-1]) / 1000 if whole else sum(node.ms for node in nodes)
    if not 0 < total <= MOST_MS:
        raise UserError(f"{path}: an inference must take more than 0 and at most {MOST_MS:g} ms; got {total:g}")
    return Trace(nodes, total)


def _nodes(lines: list[str], path: Path) -> Iterator[Node]:
    """The rows of the last table in run order: one before it is that of initialisation."""
    internal = next((i for i, line in enumerate(lines) if line.startswith("Delegate internal")), len(lines))
    start = max((i for i, line in enumerate(lines[:internal]) if "== Run Order ==" in line), default=len(lines))
    row = _row_pattern(lines[start + 1]) if start + 1 < len(lines) else None
    for number, line in enumerate(lines[start + 2 :] if row else [], start=start + 3):
        if not line.strip() or "=====" in line:
            return
        found = row.match(line.strip()) if row and len(line) <= LONGEST else None
        if found is None or not math.isfinite(ms := float(found["avg"])) or not ms <= MOST_MS:
            raise UserError(f"{path}: line {number} must be an operator and its times; got {line.strip()[:80]!r}")
        if number - start > MOST_NODES:
            raise UserError(f"{path}: must have at most {MOST_NODES:,} operators")
        if _DELEGATE.search(found["type"]):
            raise UserError(
                f"{path}: line {number}: {found['type'].strip()[:80]!r} ran several operators as one, so the times of "
                "single ones are not known; profile without the delegate (--use_xnnpack=false, --use_gpu=false), or "
                "with a version that profiles inside it"
            )
        yield _node(found["type"].strip(), found["name"].strip(), ms)


def _row_pattern(heading: str) -> re.Pattern[str] | None:
    """How a row reads under this heading, tabs or commas; None for another heading.

    Older versions have a column [start]. The node types of XNNPACK have commas: "Convolution (NHWC, QU8) GEMM".
    """
    for separator, average in (("\t", "[avg ms]"), (",", "avg_ms")):
        names = [name.strip() for name in heading[:LONGEST].strip().split(separator)]
        if average in names:
            figure = rf" *[0-9.]+ *{separator}"  # no \s, which matches the separator, too: it would try every split
            before = names.index(average) - 1
            average_ms = rf" *(?P<avg>[0-9]+(?:\.[0-9]+)?) *{separator}"
            return re.compile(rf"(?P<type>.+?){separator}(?:{figure}){{{before}}}{average_ms}.*?(?P<name>[^\t]+)$")
    return None


def _node(operation: str, name: str, ms: float) -> Node:
    lower = operation.lower()
    kind: NodeKind = next((kind for words, kind in _WORDS if re.search(words, lower)), "other")
    depthwise = "depthwise" in lower or "dwconv" in lower
    return Node(kind, name, ms, depthwise if kind == "weighted" else None)
