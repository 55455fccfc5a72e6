"""Where each layer of a network stands in the graph that it was read from: its names, and the layers before it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nas.space.graph.node import Node
    from nas.space.layer import Layer

FUSABLE = ("activation", "add", "multiply")  # what runtimes run as part of the convolution before it


@dataclass(frozen=True, slots=True)
class Origin:
    """`names`: the layer's node, its output, and those of what a runtime may fuse into it. `needs`: layers, by number,
    whose outputs it reads, also through operations that are not layers.
    """

    names: frozenset[str]
    needs: frozenset[int]


def origins(steps: Sequence[tuple[Node, Layer | None]]) -> tuple[Origin, ...]:
    """One for each layer, in their order."""
    users: dict[str, list[Node]] = {}
    for node, _ in steps:
        for name in node.inputs:
            users.setdefault(name, []).append(node)
    found: list[Origin] = []
    made: dict[str, frozenset[int]] = {}  # the layers that made a tensor
    for node, layer in steps:
        needs: frozenset[int] = frozenset().union(*(made.get(name, frozenset()) for name in node.inputs))
        made[node.output] = needs if layer is None else frozenset({len(found)})
        if layer is not None:
            found.append(Origin(frozenset(_names(node, users)), needs))
    return tuple(found)


def _names(node: Node, users: dict[str, list[Node]]) -> list[str]:
    names = [node.name.partition(" ")[2], node.output]
    seen = {node.output}
    while len(after := users.get(node.output, [])) == 1 and after[0].op in FUSABLE and after[0].output not in seen:
        node = after[0]
        seen.add(node.output)
        names += [node.name.partition(" ")[2], node.output]
    return names
