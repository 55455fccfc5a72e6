"""The operations of an ONNX graph that its outputs need, in an order in which they can run."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, NoReturn

from nas.space.onnx.tensors import label, shown

if TYPE_CHECKING:
    import onnx


def plan(
    nodes: Sequence[onnx.NodeProto], outputs: Sequence[str], fail: Callable[[str], NoReturn]
) -> list[onnx.NodeProto]:
    """The nodes that `outputs` need, in the file's order as far as it can run: some tools do not sort them."""
    nodes = list(nodes)
    maker: dict[str, int] = {}
    for index, node in enumerate(nodes):
        for name in node.output:
            if name and maker.setdefault(name, index) != index:
                fail(f"{label(node)} makes {shown(name)}, which {label(nodes[maker[name]])} makes too")
    before: dict[int, set[int]] = {}
    waiting = [maker[name] for name in outputs if name in maker]
    while waiting:
        index = waiting.pop()
        if index not in before:
            before[index] = {maker[name] for name in reads(nodes[index]) if name in maker}
            waiting.extend(before[index])
    after: dict[int, list[int]] = {}
    open_inputs = {index: len(needed) for index, needed in before.items()}
    for index, needed in before.items():
        for other in needed:
            after.setdefault(other, []).append(index)
    ready = [index for index, needed in open_inputs.items() if not needed]
    heapq.heapify(ready)
    order: list[onnx.NodeProto] = []
    while ready:
        index = heapq.heappop(ready)
        order.append(nodes[index])
        for user in after.get(index, ()):
            open_inputs[user] -= 1
            if not open_inputs[user]:
                heapq.heappush(ready, user)
    if len(order) < len(before):
        stuck = next(index for index, needed in open_inputs.items() if needed)
        fail(f"{label(nodes[stuck])} needs its own output: the graph has a cycle")
    return order


def reads(node: onnx.NodeProto) -> Iterator[str]:
    """The names of outer tensors that a node reads, those that its subgraphs capture included."""
    yield from filter(None, node.input)
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield from _captured(attribute.g)


def _captured(graph: onnx.GraphProto) -> Iterator[str]:
    own = {value.name for value in graph.input} | {tensor.name for tensor in graph.initializer}
    own |= {name for node in graph.node for name in node.output}
    for node in graph.node:
        yield from (name for name in reads(node) if name not in own)
    yield from (output.name for output in graph.output if output.name not in own)
