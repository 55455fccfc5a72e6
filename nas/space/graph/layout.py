"""Where the axes of an image lie: transpositions that cancel, that turn the image, or that copy.

A converter writes Transpose before and after what it could not turn. Two that cancel cost nothing, also with
operations on single values between them; and a runtime takes its image in whichever order the first layer wants it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from nas.space.graph.node import Node

Shape = tuple[int, ...]

_EVERYWHERE = frozenset({"activation", "function", "scale", "shift", "alias", "add", "multiply", "concat"})
_ON_IMAGE = _EVERYWHERE | {"resize", "pad"}
_CHANNELS_FIRST = (0, 3, 1, 2)


def without_transposes(nodes: Sequence[Node], shapes: dict[str, Shape], outputs: Iterable[str]) -> list[Node]:
    """The nodes with each transposition removed, made an alias, or made a `shuffle`, which copies.

    Tensors of the image that is turned get their shape channels-first; `shapes` is completed in place.
    """
    turned = _turn_image(nodes, shapes)
    pending: dict[str, tuple[str, tuple[int, ...]]] = {}  # tensor -> the tensor that it is a transposition of, order
    names: dict[str, str] = {}
    kept: list[Node] = []
    made: dict[str, Node] = {}

    def real(name: str) -> str:
        """The tensor of that name, its transposition written down if that has not happened yet."""
        if name in pending:
            source, order = pending.pop(name)
            kept.append(_copy(made[name], source, order, name, shapes))
        return name

    for node in nodes:
        inputs = tuple(names.get(name, name) for name in node.inputs)
        node = replace(node, inputs=inputs)
        if node.output in turned:
            kept.append(replace(node, op="alias"))
        elif node.op == "transpose":
            source, before = pending.get(inputs[0], (inputs[0], tuple(range(len(shapes[inputs[0]])))))
            order = tuple(before[axis] for axis in node.order) if len(node.order) == len(before) else ()
            if not order:
                kept.append(replace(node, op="unread"))
            elif _moves_nothing(order, shapes[source]):
                kept.append(replace(node, op="alias", inputs=(source,)))
            else:
                pending[node.output] = source, order
                made[node.output] = node
        elif (common := _common_order(node, inputs, pending, shapes)) is not None:
            order = common
            output = f"{node.output} before its transposition"
            shape = shapes[node.output]
            shapes[output] = tuple(shape[order.index(axis)] for axis in range(len(order)))
            kept.append(replace(node, inputs=tuple(pending[name][0] for name in inputs), output=output))
            pending[node.output] = output, order
            made[node.output] = node
        else:
            kept.append(replace(node, inputs=tuple(map(real, inputs))))
    for name in outputs:
        real(name)
    return kept


def _turn_image(nodes: Sequence[Node], shapes: dict[str, Shape]) -> set[str]:
    """Gives the image channels-first shapes if it is turned before its first layer; the transpositions that do it."""
    made = {node.output for node in nodes}
    image = {name for node in nodes for name in node.inputs if name not in made and len(shapes[name]) == 4}
    turned = set()
    for node in nodes:
        if node.op == "transpose" and node.inputs[0] in image and node.order == _CHANNELS_FIRST:
            turned.add(node.output)
        elif node.op in _ON_IMAGE and image.issuperset(node.inputs) and len(shapes[node.output]) == 4:
            image.add(node.output)
    if turned:
        for name in image:
            shape = shapes[name]
            shapes[name] = tuple(shape[axis] for axis in _CHANNELS_FIRST)
    return turned


def _moves_nothing(order: Sequence[int], shape: Shape) -> bool:
    moved = [axis for axis in order if shape[axis] != 1]
    return moved == sorted(moved)


def _common_order(
    node: Node, inputs: Sequence[str], pending: dict[str, tuple[str, tuple[int, ...]]], shapes: dict[str, Shape]
) -> tuple[int, ...] | None:
    """The order that all inputs wait for, if the operation can be done before it."""
    orders = {pending[name][1] if name in pending else None for name in inputs}
    if node.op not in _EVERYWHERE or len(orders) != 1 or None in orders:
        return None
    order = orders.pop()
    same = node.op != "alias" or shapes[node.output] == shapes[inputs[0]]
    return order if order is not None and same and len(shapes[node.output]) == len(order) else None


def _copy(node: Node, source: str, order: tuple[int, ...], name: str, shapes: dict[str, Shape]) -> Node:
    groups = shapes[source][1] if order == (0, 2, 1, 3, 4) else 1
    return Node("shuffle", node.name, (source,), name, groups=groups, order=order)
