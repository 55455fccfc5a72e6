"""A network as a graph of tensors, as an ONNX file or a trace gives it, and its way to layers.

The reader of a format names each operation with one of the words of `Node.op`; what several operations mean together
(a batch norm after a convolution, a hard-swish written out, a channel shuffle) and which tensors are alive is decided
here, once for all formats.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import isclose, prod
from typing import Literal, cast

from nas.space.layer import Layer, Op, Shape
from nas.space.network import Network, imported

NodeOp = Literal[
    "conv", "linear", "activation", "pool", "global_pool", "add", "multiply", "shuffle", "concat", "resize",  # layers
    "alias",  # costs nothing: the output is the first input under another shape
    "pad",  # zeros around an image, done by the convolution or pooling that follows
    "norm", "scale", "shift",  # batch norm; product and sum with a constant, one value a channel or one in all
    "transpose",
    "unread",
]  # fmt: skip
Tensors = Mapping[str, tuple[int, ...]]

GATED = {"sigmoid": "swish", "hsigmoid": "hswish"}  # x times this function of x


@dataclass(frozen=True, slots=True)
class Node:
    """One operation on tensors, which are names. `inputs` leaves out weights and other constants."""

    op: NodeOp
    name: str  # as the user finds it in the file: "Conv /stem/Conv"
    inputs: tuple[str, ...]
    output: str
    kernel: tuple[int, int] = (1, 1)
    stride: int = 1
    groups: int = 1
    function: str = ""
    norm: bool = False
    bias: bool = False
    value: float | None = None  # scale and shift: the constant, if it is a single number
    order: tuple[int, ...] = ()  # transpose: the permutation
    features: tuple[int, int] = (0, 0)  # linear: values in, values out
    source: tuple[int, ...] = ()  # shape of the first input as the operation sees it; filled in by read_graph


@dataclass(frozen=True, slots=True)
class Reading:
    """A network that was read, and the operations in it that were not understood, each as "Op name"."""

    network: Network
    unread: tuple[str, ...]


def read_graph(nodes: Sequence[Node], shapes: Tensors, outputs: Iterable[str]) -> Reading:
    """The layers of `nodes`, given in order of execution; `shapes` holds every tensor's, batch 1 included."""
    steps = [replace(node, source=shapes[node.inputs[0]]) for node in nodes]
    for rewrite in (_transposes, _aliases, _hard_sigmoids, _gates, _folds, _pads):
        steps = rewrite(steps, shapes)
    layers = _with_held([(node, _layer(node, shapes)) for node in steps], shapes, set(outputs))
    unread = dict.fromkeys(node.name for node in steps if node.op == "unread")
    return Reading(imported(layers), tuple(unread))


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


def _transposes(nodes: list[Node], shapes: Tensors) -> list[Node]:
    """A transposition is a channel shuffle, or moves nothing, or turns the image channels-first; else it is unread."""
    made = {node.output for node in nodes}

    def read(node: Node) -> Node:
        if node.op != "transpose":
            return node
        shape = shapes[node.inputs[0]]
        moved = [axis for axis in node.order if shape[axis] != 1]
        image = node.inputs[0] not in made and node.order == (0, 3, 1, 2)
        if image or moved == sorted(moved):
            return replace(node, op="alias")
        if node.order == (0, 2, 1, 3, 4):
            return replace(node, op="shuffle", groups=shape[1])
        return replace(node, op="unread")

    return [read(node) for node in nodes]


def _aliases(nodes: list[Node], shapes: Tensors) -> list[Node]:
    names = {node.output: node.inputs[0] for node in nodes if node.op == "alias"}
    return _renamed((node for node in nodes if node.op != "alias"), names)


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
        return replace(before, norm=before.norm or after.op == "norm", bias=before.bias or after.op == "shift")

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


def _layer(node: Node, shapes: Tensors) -> Layer | None:
    if node.op == "unread":
        return None
    source, out = node.source, _feature(shapes[node.output])
    if node.op == "linear":
        return _linear(node, shapes[node.output][:-1])
    if node.op == "shuffle":
        shape = (source[1] * source[2], source[3], source[4])
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
    if prod(positions) == 1:
        return Layer("linear", (values, 1, 1), (channels, 1, 1), norm=node.norm, bias=node.bias)
    height, *rest = (size for size in positions if size != 1)
    area = (height, prod(rest))
    return Layer("conv", (values, *area), (channels, *area), norm=node.norm, bias=node.bias)


def _with_held(steps: Sequence[tuple[Node, Layer | None]], shapes: Tensors, outputs: set[str]) -> list[Layer]:
    """The layers with `held` filled in: what is alive beside a layer's own tensors, which is read later on."""
    last: dict[str, int] = dict.fromkeys(outputs, len(steps))
    made = {node.output for node, _ in steps}
    for index, (node, _) in enumerate(steps):
        for name in node.inputs:
            last[name] = max(index, last.get(name, index))
    alive = {name for name in last if name not in made and name not in outputs}
    layers = []
    for index, (node, layer) in enumerate(steps):
        alive -= {name for name in alive if last[name] < index}
        if layer is not None:
            values = sum(prod(shapes[name]) for name in alive)
            reusable = (name for name in set(node.inputs) if last[name] == index)
            size = prod(shapes[node.output])
            if layer.op not in ("activation", "add", "multiply") or all(prod(shapes[n]) != size for n in reusable):
                values += size
            layers.append(replace(layer, held=max(0, values - layer.live)))
        alive.add(node.output)
        last.setdefault(node.output, index)
    return layers
