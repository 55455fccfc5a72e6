"""Which convolution or linear layer of a network each timed operation of a trace is.

By name where the trace has the names of the file that it ran, as ONNX Runtime's has: a runtime may run branches in any
order. Else by shape, and by place: an operation cannot run before what its layer needs. An operation that may be one of
several layers is matched only where all of them are of one kind, for then it does not matter which it is.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from nas.device.counts import primitive
from nas.device.formats.trace import Node
from nas.errors import UserError
from nas.space.graph.origins import Origin
from nas.space.layer import Layer

MOST = 2_000  # layers of one network
_ADDED = re.compile(
    r"^fused |(?:_nchwc|_nhwc|_quant|/MatMulAddFusion|_token_\d+)$"
)  # by ONNX Runtime, to a node's name


def match(
    nodes: Sequence[Node], layers: Sequence[Layer], origins: Sequence[Origin], *, chain: bool = False
) -> list[str]:
    """For each node, the kind of the layer that it is (`primitive`); the `origins` are those of the layers.

    `chain`: there are no origins, and each layer needs the one before. Raises UserError where a node can be none of the
    layers, or the trace does not tell which of several.
    """
    if len(layers) != len(nodes):
        raise UserError(
            f"the trace does not fit the model: it ran {len(nodes)} convolutions and linear layers, "
            f"the model has {len(layers)}"
        )
    if len(layers) > MOST:
        raise UserError(f"a traced network must have at most {MOST:,} convolutions and linear layers")
    shaped = np.array([[_may_be(node, layer) for layer in layers] for node in nodes]).reshape(len(nodes), -1)
    named = _named(nodes, origins)
    placed = np.eye(len(nodes), dtype=bool) if chain else _placed(len(nodes), origins)
    possible = shaped & np.where(named.any(axis=1, keepdims=True), named, placed)
    for i, node in enumerate(nodes):
        if not possible[i].any():
            meant: list[int] = np.flatnonzero(named[i] if named[i].any() else placed[i]).tolist()
            raise UserError(_none(node, [layers[j] for j in meant]))
    kinds = [primitive(layer) or "network" for layer in layers]
    of_kind = {kind: np.array([k == kind for k in kinds]) for kind in dict.fromkeys(kinds)}
    if not _complete(possible):
        raise UserError("the trace does not fit the model: its operations are not the model's layers, one to one")
    found = []
    for i, node in enumerate(nodes):
        options = [kind for kind, members in of_kind.items() if (possible[i] & members).any()]
        if len(options) > 1:
            options = [kind for kind in options if _complete(_with(possible, i, of_kind[kind]))]
        if len(options) > 1:
            raise UserError(
                f"the trace does not tell which layer {node.name[:80]!r} is: {' or '.join(options)}; the model has "
                "branches, and no layer of that name and shape"
            )
        found.append(options[0])
    return found


def _may_be(node: Node, layer: Layer) -> bool:
    """Whether all that the trace says of an operation is true of a layer."""
    depthwise = node.depthwise is None or node.depthwise == (layer.kind == "depthwise")
    size = node.size is None or node.size == layer.out_shape[1:]
    channels = node.channels is None or node.channels == layer.out_shape[0]
    kernel = node.kernel is None or layer.op != "conv" or node.kernel == layer.kernel
    return depthwise and size and channels and kernel


def _named(nodes: Sequence[Node], origins: Sequence[Origin]) -> np.ndarray:
    """Whether a node has the name of a layer, as it stands or without what the runtime added; bool (nodes, layers)."""
    by_name: dict[str, list[int]] = {}
    for j, origin in enumerate(origins):
        for name in origin.names - {""}:
            by_name.setdefault(name, []).append(j)
    named = np.zeros((len(nodes), max(len(origins), len(nodes))), dtype=bool)
    for i, node in enumerate(nodes):
        name, shorter = "", node.name
        while name != shorter and shorter not in by_name:
            name, shorter = shorter, _ADDED.sub("", shorter)
        named[i, by_name.get(shorter, [])] = True
    return named


def _placed(n: int, origins: Sequence[Origin]) -> np.ndarray:
    """Whether the node in a place may be a layer: all that the layer needs has run, what needs it has not; (n, n)."""
    before = np.zeros((n, n), dtype=bool)  # before[j, k]: layer j needs layer k
    for j, origin in enumerate(origins):
        for k in origin.needs:
            before[j] |= before[k]
            before[j, k] = True
    places = np.arange(n)[:, None]
    return np.asarray((before.sum(axis=1) <= places) & (places < n - before.sum(axis=0)))


def _complete(possible: np.ndarray) -> bool:
    """Whether the nodes can be all of the layers, each one of them."""
    from scipy.sparse import csr_matrix
    from scipy.sparse.csgraph import maximum_bipartite_matching

    return bool((maximum_bipartite_matching(csr_matrix(possible)) >= 0).all())


def _with(possible: np.ndarray, row: int, members: np.ndarray) -> np.ndarray:
    changed = possible.copy()
    changed[row] &= members
    return changed


def _none(node: Node, meant: Sequence[Layer]) -> str:
    depthwise = None if node.depthwise is None else "depthwise" if node.depthwise else "not depthwise"
    said = _words(depthwise, node.size, node.channels, node.kernel)
    layers = [f"a {x.kind} layer " + _words(None, x.out_shape[1:], x.out_shape[0], x.kernel) for x in meant[:3]]
    place = " or ".join(dict.fromkeys(layers)) or "no layer"
    return f"the trace does not fit the model: {node.name[:80]!r} ({said}) is at the place of {place}"


def _words(
    depthwise: str | None, size: tuple[int, int] | None, channels: int | None, kernel: tuple[int, int] | None
) -> str:
    each = {"of": size, "with channels": channels, "by": kernel}
    return " ".join(
        [depthwise or "", *(f"{word} {value}" for word, value in each.items() if value is not None)]
    ).strip()
