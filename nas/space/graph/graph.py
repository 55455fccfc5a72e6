"""A network as a graph of tensors, as an ONNX file or a trace gives it, and its way to layers.

The reader of a format names each operation with one of the words of `Node.op`; what several operations mean together
(a batch norm after a convolution, a hard-swish written out, a channel shuffle) and which tensors are alive is decided
here, once for all formats.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import isclose, prod
from typing import cast

from nas.space.graph.activations import with_activations
from nas.space.graph.layout import without_transposes
from nas.space.graph.node import Node, Tensors
from nas.space.graph.origins import Origin, origins
from nas.space.layer import Layer, Op, Precision, Shape
from nas.space.network import Network, imported

GATED = {"sigmoid": "swish", "hsigmoid": "hswish"}  # x times this function of x


@dataclass(frozen=True, slots=True)
class Reading:
    """A network that was read, and the operations in it that were not understood, each as "Op name".

    `precision` is that of most of the multiply-adds, as the file has them; `origins` says where each of the network's
    layers stands in the graph.
    """

    network: Network
    unread: tuple[str, ...]
    precision: Precision = "fp32"
    origins: tuple[Origin, ...] = ()


def read_graph(nodes: Sequence[Node], shapes: Tensors, outputs: Iterable[str]) -> Reading:
    """The layers of `nodes`, given in order of execution; `shapes` holds every tensor's, batch 1 included.

    Nodes that no output needs are left out, as every runtime leaves them out.
    """
    tensors, ends = dict(shapes), list(outputs)
    steps = without_transposes(_needed(nodes, ends), tensors, ends)
    ends = _aliased(steps, ends)
    steps = _aliases([replace(node, source=tensors[node.inputs[0]]) for node in steps], tensors)
    steps = with_activations(steps, set(ends))
    for rewrite in (_hard_sigmoids, _gates, _folds, _pads):
        steps = rewrite(steps, tensors)
    layered = _with_stored([(node, _layer(node, tensors)) for node in steps])
    layers = _with_held(layered, tensors, set(ends))
    unread = dict.fromkeys(node.name for node in steps if node.op == "unread")
    return Reading(imported(layers), tuple(unread), _precision(steps, tensors), origins(layered))


def _needed(nodes: Sequence[Node], outputs: Sequence[str]) -> list[Node]:
    wanted = set(outputs)
    kept = []
    for node in reversed(nodes):
        if node.output in wanted:
            wanted.update(node.inputs)
            kept.append(node)
    return kept[::-1]


def _precision(steps: Iterable[Node], shapes: Tensors) -> Precision:
    """That of most multiply-adds."""
    macs: dict[Precision, int] = {"fp32": 0}
    for node in steps:
        if node.op in ("conv", "linear") and (layer := _layer(node, shapes)) is not None:
            macs[node.precision] = macs.get(node.precision, 0) + layer.macs
    return max(macs, key=lambda precision: macs[precision])


def _with_stored(steps: Iterable[tuple[Node, Layer | None]]) -> list[tuple[Node, Layer | None]]:
    """The layers with each parameter counted once, where the shapes alone would tell another number."""
    counted: set[str] = set()
    found: list[tuple[Node, Layer | None]] = []
    for node, layer in steps:
        if layer is not None and node.stored is not None:
            own = {key: size for key, size in node.stored if key not in counted}
            counted.update(own)
            if (params := sum(own.values())) != layer.params:
                layer = replace(layer, stored=params)
        found.append((node, layer))
    return found


def _users(nodes: Iterable[Node]) -> dict[str, list[Node]]:
    users: dict[str, list[Node]] = {}
    for node in nodes:
        for name in node.inputs:
            users.setdefault(name, []).append(node)
    return users


def _renamed(nodes: Iterable[Node], names: Mapping[str, str]) -> list[Node]:
    def last(name: str) -> str:
        while name in names:
            name = names[name]
        return name

    return [replace(node, inputs=tuple(map(last, node.inputs))) for node in nodes]


def _aliases(nodes: list[Node], shapes: Tensors) -> list[Node]:
    names = {node.output: node.inputs[0] for node in nodes if node.op == "alias"}
    return _renamed((node for node in nodes if node.op != "alias"), names)


def _aliased(nodes: Iterable[Node], outputs: Iterable[str]) -> list[str]:
    """The outputs by the names that stay when aliases are gone."""
    names = {node.output: node.inputs[0] for node in nodes if node.op == "alias"}
    ends = []
    for name in outputs:
        while name in names:
            name = names[name]
        ends.append(name)
    return ends


def _absorb(nodes: list[Node], pair: Callable[[Node, Node], Node | None]) -> list[Node]:
    """`pair(before, after)` may turn a node and the only user of its output into one node in the latter's place."""
    users = _users(nodes)
    gone: set[str] = set()
    done: dict[str, Node] = {}
    for node in nodes:
        for name in dict.fromkeys(node.inputs):
            before = done.get(name)
            if before is None or len(users[name]) > 1:
                continue
            if (merged := pair(before, node)) is not None:
                gone.add(name)
                node = replace(merged, output=node.output)
                break
        done[node.output] = node
    return [done[node.output] for node in nodes if node.output not in gone]


def _hard_sigmoids(nodes: list[Node], shapes: Tensors) -> list[Node]:
    """relu6(x + 3) is a hard sigmoid but for a factor of 1/6, wherever that is applied."""

    def pair(before: Node, after: Node) -> Node | None:
        if before.op == "shift" and before.value == 3.0 and after.function == "relu6":
            return replace(after, inputs=before.inputs, function="hsigmoid")
        return _sixth(before, after)

    return _absorb(nodes, pair)


def _sixth(before: Node, after: Node) -> Node | None:
    hard = before.function in ("hsigmoid", "hswish")
    if hard and after.op == "scale" and after.value is not None and isclose(after.value, 1 / 6, rel_tol=0.05):
        return before
    return None


def _gates(nodes: list[Node], shapes: Tensors) -> list[Node]:
    """x * sigmoid(x) is swish, x * hsigmoid(x) is hard-swish."""

    def pair(before: Node, after: Node) -> Node | None:
        if before.function in GATED and after.op == "multiply" and before.inputs[0] in after.inputs:
            return replace(after, op="activation", inputs=before.inputs, function=GATED[before.function])
        return _sixth(before, after)

    return _absorb(nodes, pair)


def _folds(nodes: list[Node], shapes: Tensors) -> list[Node]:
    """Inference folds what follows a convolution channel by channel into its weights and bias."""

    def pair(before: Node, after: Node) -> Node | None:
        if before.op not in ("conv", "linear") or after.op not in ("norm", "scale", "shift"):
            return None
        stored = before.stored
        if stored is not None:  # the same only with the same weights, as a bias is
            own = "".join(key for key, _ in stored)
            stored = (*stored, *((f"{own} {key}", size) for key, size in after.stored or ()))
        return replace(
            before, norm=before.norm or after.op == "norm", bias=before.bias or after.op == "shift", stored=stored
        )

    return _absorb(nodes, pair)


def _pads(nodes: list[Node], shapes: Tensors) -> list[Node]:
    users = _users(nodes)

    def folds(node: Node) -> bool:
        return node.op == "pad" and all(user.op in ("conv", "pool") for user in users.get(node.output, ()))

    pads = {node.output: node for node in nodes if folds(node)}
    kept = [
        replace(node, source=pads[node.inputs[0]].source) if node.inputs[0] in pads else node
        for node in nodes
        if node.output not in pads
    ]
    kept = _renamed(kept, {name: pad.inputs[0] for name, pad in pads.items()})
    return [replace(node, op="unread") if node.op == "pad" else node for node in kept]


def _feature(shape: tuple[int, ...]) -> Shape:
    """(channels, height, width) of a tensor; the product is always the number of its values."""
    dims = shape[1:] if len(shape) > 1 and shape[0] == 1 else shape
    return (dims[0], dims[1], prod(dims[2:])) if len(dims) > 1 else (prod(dims), 1, 1)


def _maps(shape: tuple[int, ...]) -> Shape:
    """(channels, height, width) of a convolution's tensor (n, channels, ...): n images stand below each other."""
    return (shape[1], shape[0] * shape[2], prod(shape[3:])) if len(shape) > 2 else _feature(shape)


def _layer(node: Node, shapes: Tensors) -> Layer | None:
    if node.op == "unread":
        return None
    source, out = node.source, _feature(shapes[node.output])
    if node.op == "conv":
        into, out = _maps(source), _maps(shapes[node.output])
        return Layer("conv", into, out, node.kernel, node.stride, node.groups, norm=node.norm, bias=node.bias)
    if node.op == "linear":
        return _linear(node, shapes[node.output][:-1] if node.positions is None else node.positions)
    if node.op == "shuffle" and node.groups > 1:
        shape = _feature(source) if len(source) == 4 else (source[1] * source[2], source[3], source[4])
        return Layer("shuffle", shape, shape, groups=node.groups)
    if node.op in ("norm", "scale", "shift"):  # not folded: a product and a sum for each channel
        return Layer("multiply", out, out, norm=node.op == "norm")
    into = out if node.op in ("add", "multiply", "concat", "activation") else _feature(source)
    return Layer(
        cast(Op, node.op), into, out, node.kernel, node.stride, node.groups, node.function, node.norm, node.bias
    )


def _linear(node: Node, positions: tuple[int, ...]) -> Layer:
    """A linear layer; applied at many positions (tokens, pixels) it is a pointwise convolution."""
    values, channels = node.features
    if prod(positions) == 1 and node.groups == 1:
        return Layer("linear", (values, 1, 1), (channels, 1, 1), norm=node.norm, bias=node.bias)
    height, *rest = [size for size in positions if size != 1] or [1]
    area, groups = (height, prod(rest)), node.groups  # groups: one product for each head
    source, out = (values * groups, *area), (channels * groups, *area)
    return Layer("conv", source, out, groups=groups, norm=node.norm, bias=node.bias)


def _with_held(steps: Sequence[tuple[Node, Layer | None]], shapes: Tensors, outputs: set[str]) -> list[Layer]:
    """The layers with `held` filled in: what is alive beside a layer's own tensors, which is read later on."""
    last: dict[str, int] = dict.fromkeys(outputs, len(steps))
    made = {node.output for node, _ in steps}
    for index, (node, _) in enumerate(steps):
        for name in node.inputs:
            last[name] = max(index, last.get(name, index))
    alive = {name for name in last if name not in made and name not in outputs}
    held = sum(prod(shapes[name]) for name in alive)
    ending: dict[int, list[str]] = {}
    for index, (node, _) in enumerate(steps):
        last[node.output] = max(index, last.get(node.output, index))
    for name, index in last.items():
        ending.setdefault(index, []).append(name)
    layers = []
    for index, (node, layer) in enumerate(steps):
        for name in ending.get(index - 1, ()):
            if name in alive:
                alive.remove(name)
                held -= prod(shapes[name])
        if layer is not None:
            values = held
            reusable = (name for name in set(node.inputs) if last[name] == index)
            size = prod(shapes[node.output])
            if layer.op not in ("activation", "add", "multiply") or all(prod(shapes[n]) != size for n in reusable):
                values += size
            layers.append(replace(layer, held=max(0, values - layer.live)))
        if node.output not in alive:
            alive.add(node.output)
            held += prod(shapes[node.output])
    return layers
