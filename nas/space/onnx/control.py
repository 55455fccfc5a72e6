"""If, Loop and Scan of an ONNX model, followed as they would run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

import numpy as np

from nas.space.onnx.scope import Scope
from nas.space.onnx.tensors import BOOL, INT64, Shape, Value, attribute

if TYPE_CHECKING:
    import onnx

Inputs = Sequence[Value | None]


class Walker(Protocol):
    """What control flow needs of the walk that meets it."""

    def fail(self, message: str) -> NoReturn: ...
    def spend(self, what: str) -> None: ...
    def graph(self, graph: onnx.GraphProto, scope: Scope) -> list[Value]: ...
    def shaped(self, value: Value, reader: str) -> Shape: ...
    def copied(self, values: Sequence[Value], shape: Shape, title: str) -> Value: ...


Control = Callable[["Walker", "onnx.NodeProto", Inputs, Scope, str], Sequence[Value]]


def take_branch(walk: Walker, node: onnx.NodeProto, ins: Inputs, scope: Scope, title: str) -> Sequence[Value]:
    """The outputs of the branch that If takes."""
    condition = ins[0] if ins else None
    if condition is None or condition.number is None:
        walk.fail(f"which branch {title} takes depends on the image, or on values that the file does not hold")
    branch = attribute(node, "then_branch" if condition.number else "else_branch", None)
    if branch is None:
        walk.fail(f"{title} does not have the branch that it takes")
    return walk.graph(branch, scope.inner())


def run_loop(walk: Walker, node: onnx.NodeProto, ins: Inputs, scope: Scope, title: str) -> Sequence[Value]:
    """The outputs of Loop after all its turns; a body that runs twice is counted twice."""
    body = attribute(node, "body", None)
    turns, condition, *start = [*ins, None, None][: max(2, len(ins))]
    known = all(value is None or value.number is not None for value in (turns, condition))
    if body is None or not known or None in start:
        walk.fail(f"how often {title} runs its body depends on the image, or on values that the file does not hold")
    state = [value for value in start if value is not None]
    _check(walk, body, 2 + len(state), 1 + len(state), title)
    most = None if turns is None else int(turns.number or 0)
    goes, turn = condition is None or bool(condition.number), 0
    kept: list[list[Value]] = [[] for _ in body.output[1 + len(state) :]]
    while goes and (most is None or turn < most):
        walk.spend(title)
        given = [_number(turn, np.int64, INT64), _number(True, np.bool_, BOOL), *state]
        again, *results = walk.graph(body, _filled(scope, body, given))
        if again.number is None:
            walk.fail(f"how often {title} runs its body depends on the image")
        goes, state, turn = bool(again.number), results[: len(state)], turn + 1
        for values, value in zip(kept, results[len(state) :], strict=True):
            values.append(value)
    return [*state, *(_joined(walk, values, 0, title) for values in kept)]


def run_scan(walk: Walker, node: onnx.NodeProto, ins: Inputs, scope: Scope, title: str) -> Sequence[Value]:
    """The outputs of Scan (opset 9 or later) after its last step."""
    body, taken = attribute(node, "body", None), attribute(node, "num_scan_inputs", 0)
    given = [value for value in ins if value is not None]
    if body is None or scope.opset.get("", 1) < 9 or len(given) < len(ins) or not 0 < taken <= len(ins):
        walk.fail(f"{title} must have a body and inputs to scan, as of opset 9")
    state, scanned = given[: len(given) - taken], given[len(given) - taken :]
    _check(walk, body, len(given), len(state), title)
    shapes = [walk.shaped(value, title) for value in scanned]
    axes = attribute(node, "scan_input_axes", None) or [0] * taken
    if len(axes) != taken or any(
        not -len(shape) <= axis < len(shape) for axis, shape in zip(axes, shapes, strict=True)
    ):
        walk.fail(f"{title} scans axes that its inputs do not have")
    axes = [axis % len(shape) for axis, shape in zip(axes, shapes, strict=True)]
    lengths = {shape[axis] for axis, shape in zip(axes, shapes, strict=True)}
    if len(lengths) != 1:
        walk.fail(f"the sequences that {title} scans differ in length")
    kept: list[list[Value]] = [[] for _ in body.output[len(state) :]]
    for _ in range(lengths.pop()):
        walk.spend(title)
        parts = [
            walk.copied([value], shape[:axis] + shape[axis + 1 :], title)
            for value, shape, axis in zip(scanned, shapes, axes, strict=True)
        ]
        results = walk.graph(body, _filled(scope, body, [*state, *parts]))
        state = results[: len(state)]
        for values, value in zip(kept, results[len(state) :], strict=True):
            values.append(value)
    out_axes = attribute(node, "scan_output_axes", None) or [0] * len(kept)
    return [*state, *(_joined(walk, values, axis, title) for axis, values in zip(out_axes, kept, strict=False))]


def _check(walk: Walker, body: onnx.GraphProto, inputs: int, outputs: int, title: str) -> None:
    if len(body.input) != inputs or len(body.output) < outputs:
        walk.fail(f"the body of {title} must have {inputs} inputs and {outputs} outputs or more; "
                  f"got {len(body.input)} and {len(body.output)}")  # fmt: skip


def _filled(scope: Scope, body: onnx.GraphProto, given: Sequence[Value]) -> Scope:
    inner = scope.inner()
    inner.values = {info.name: value for info, value in zip(body.input, given, strict=True)}
    return inner


def _number(value: object, dtype: Any, elem: int) -> Value:
    return Value("turn", (), elem, constant=True, data=np.array(value, dtype))


def _joined(walk: Walker, values: Sequence[Value], axis: int, title: str) -> Value:
    """The results of all turns, stacked."""
    if not values:
        return Value(title, None, maker=title)
    shape = list(walk.shaped(values[0], title))
    shape.insert(axis % (len(shape) + 1), len(values))
    return walk.copied(values, tuple(shape), title)


CONTROL: dict[str, Control] = {"If": take_branch, "Loop": run_loop, "Scan": run_scan}
