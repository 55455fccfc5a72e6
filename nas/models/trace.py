"""A timm model or torch module, read into layers: one forward pass without values, every aten operation noted."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from math import inf, prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten
from torch.utils.module_tracker import ModuleTracker

from nas.errors import UserError, unknown
from nas.space.graph.graph import Reading, read_graph
from nas.space.graph.node import Node, NodeOp

_FUNCTIONS = {
    "relu": "relu", "hardswish": "hswish", "silu": "swish", "hardsigmoid": "hsigmoid", "sigmoid": "sigmoid",
    "leaky_relu": "leaky_relu", "_prelu_kernel": "prelu", "elu": "elu", "gelu": "gelu", "tanh": "tanh", "mish": "mish",
}  # fmt: skip
_FREE = frozenset({
    "view", "_unsafe_view", "reshape", "squeeze", "unsqueeze", "expand", "alias", "detach", "clone", "contiguous",
    "_to_copy", "dropout", "lift_fresh",
})  # fmt: skip
_NORMS = frozenset({
    "native_batch_norm", "cudnn_batch_norm", "_native_batch_norm_legit_no_training", "_batch_norm_with_update",
    "_batch_norm_no_update",
})  # fmt: skip

MOST_PIXELS = 32_768  # a side


def read_timm(name: str, resolution: int | None = None) -> Reading:
    """The network of timm model `name` at its own or the given resolution in pixels; no weights are made or loaded.

    Raises UserError if timm has no such model or the model cannot take the resolution.
    """
    import timm

    if not timm.is_model(name):
        raise unknown_model(name)
    with torch.device("meta"):
        try:
            model = timm.create_model(name, pretrained=False).eval()
        except RuntimeError as error:  # a weight tag that does not exist
            raise UserError(f"timm cannot build {name!r}: {error}") from error
    config: Any = model.pretrained_cfg
    channels, height, width = config["input_size"]
    if resolution is not None:
        height = width = resolution
    try:
        return read_module(model, (channels, height, width))
    except (RuntimeError, AssertionError, ValueError) as error:
        raise UserError(f"{name} cannot take images of {height} x {width}: {' '.join(str(error).split())}") from error


def unknown_model(name: str) -> UserError:
    """The error for a name that timm does not know; timm knows over a thousand, so only the nearest is shown."""
    import difflib

    import timm

    near = difflib.get_close_matches(name.lower(), timm.list_models(), n=1, cutoff=0.3)
    return unknown("timm model", name, near)


def trace_module(model: nn.Module, shape: Sequence[int]) -> Reading:
    """The layers of a torch module for one image of `shape` (channels, height, width); the module is left as it is.

    Raises UserError if the shape is not one of an image, or if the module cannot take it.
    """
    sizes = list(shape[1:] if len(shape) == 4 and shape[0] == 1 else shape)
    whole = all(isinstance(size, int) and not isinstance(size, bool) and 0 < size <= MOST_PIXELS for size in sizes)
    if len(sizes) != 3 or not whole:
        raise UserError(
            f"input_shape must be (channels, height, width), each 1 to {MOST_PIXELS}; got {tuple(shape)[:8]}"
        )
    channels, height, width = sizes
    try:
        reading = read_module(_without_values(model).eval(), (channels, height, width))
    except UserError:
        raise
    except Exception as error:  # whatever a stranger's forward pass raises
        said = " ".join(str(error).split())[:200]
        kind = type(model).__name__
        raise UserError(f"{kind} cannot be run on one image of {channels} x {height} x {width}: {said}") from error
    if not any(layer.weights for layer in reading.network.layers):
        raise UserError(f"{type(model).__name__} has no convolution or linear layer on its image")
    return reading


def _without_values(model: nn.Module) -> nn.Module:
    """A copy of a module on the meta device; no weight is copied."""
    memo: dict[int, Any] = {}
    for parameter in model.parameters():
        memo[id(parameter)] = nn.Parameter(torch.empty_like(parameter, device="meta"), requires_grad=False)
    for buffer in model.buffers():
        memo[id(buffer)] = torch.empty_like(buffer, device="meta")
    return copy.deepcopy(model, memo)


def read_module(model: nn.Module, shape: tuple[int, int, int]) -> Reading:
    """The layers of any image model, run once on an image of `shape` (channels, height, width) without values.

    The model must be in evaluation mode and on the meta device.
    """
    trace = _Trace(model)
    image = torch.empty(1, *shape, device="meta")
    trace.name(image)
    with torch.no_grad(), trace.modules, trace:
        output = model(image)
    outputs, _ = tree_flatten(output)
    names = [trace.names[id(tensor)] for tensor in outputs if id(tensor) in trace.names]
    if not names:
        raise UserError(f"what {type(model).__name__} returns does not depend on its image")
    return read_graph(trace.nodes, trace.shapes, names)


class _Trace(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notes what happens to the tensors computed from the image; what is computed from weights alone is a constant."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        # by id: the parameters behind a tensor that depends on no image, and their numbers of values
        self.stored = {id(p): {name: p.numel()} for name, p in model.named_parameters()}
        self.nodes: list[Node] = []
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.names: dict[int, str] = {}  # by id: a tensor changed in place gets a new name
        self.modules = ModuleTracker()
        self._kept: list[Tensor] = []  # an id is only unique among tensors that are still there

    def name(self, tensor: Tensor) -> str:
        name = f"t{len(self.shapes)}"
        self.names[id(tensor)] = name
        self.shapes[name] = tuple(tensor.shape)
        self._kept.append(tensor)
        return name

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        flat = [item for arg in args for item in (arg if isinstance(arg, (list, tuple)) else [arg])]
        tensors = [arg for arg in flat if isinstance(arg, Tensor)]
        inputs = tuple(self.names[id(tensor)] for tensor in tensors if id(tensor) in self.names)
        constants = [tensor for tensor in tensors if id(tensor) not in self.names]
        stored = {key: size for tensor in constants for key, size in self.stored.get(id(tensor), {}).items()}
        if not inputs:
            for made in result if isinstance(result, (list, tuple)) else [result]:
                if stored and isinstance(made, Tensor):
                    self.stored[id(made)] = stored
                    self._kept.append(made)
            return result
        op = func.overloadpacket.__name__
        several = op in ("split", "split_with_sizes", "chunk")
        outputs = result if several else result[:1] if isinstance(result, (list, tuple)) else [result]
        reader = _READERS.get(op) or _READERS.get(op.removesuffix("_"))
        call = _Call(args, kwargs or {}, tensors, constants, outputs[0])
        fields = (reader(op.removesuffix("_"), call) if reader else None) or {"op": "unread"}
        label = f"{op} {max(self.modules.parents, key=len)}"
        common = {"name": label, "inputs": inputs, "stored": tuple(stored.items())}
        for output in outputs:
            self.nodes.append(Node(**{**common, "output": self.name(output), **fields}))
        return result


class _Call:
    """One aten call: its arguments and result, with the tensors that come from the image told from the constants."""

    def __init__(
        self, args: tuple[Any, ...], kwargs: Mapping[str, Any], tensors: list[Tensor], constants: list[Tensor],
        output: Tensor,
    ) -> None:  # fmt: skip
        self.args = args
        self.kwargs = kwargs
        self.tensors = tensors
        self.constants = constants
        self.output = output

    def arg(self, index: int, name: str, default: Any) -> Any:
        return self.args[index] if len(self.args) > index else self.kwargs.get(name, default)


Fields = dict[str, Any] | None  # of a Node; None: not understood
Reader = Callable[[str, _Call], Fields]


def _convolution(op: str, call: _Call) -> Fields:
    weight, bias, stride, transposed, groups = (call.args[i] for i in (1, 2, 3, 6, 8))
    if weight.dim() != 4 or transposed or not any(weight is constant for constant in call.constants):
        return None
    kernel = tuple(weight.shape[2:])
    return {"op": "conv", "kernel": kernel, "stride": max(stride), "groups": groups, "bias": bias is not None}


def _linear(op: str, call: _Call) -> Fields:
    """addmm(bias, x, weight) and mm(x, weight): the weight is stored transposed."""
    weight = call.tensors[-1]
    if not any(weight is constant for constant in call.constants) or weight.dim() != 2:
        return None
    return {"op": "linear", "features": tuple(weight.shape), "bias": op == "addmm"}


def _activation(op: str, call: _Call) -> Fields:
    return {"op": "activation", "function": _FUNCTIONS[op]}


def _clamp(op: str, call: _Call) -> Fields:
    low, high = call.arg(1, "min", None), call.arg(2, "max", None)
    if op == "hardtanh":
        low, high = call.arg(1, "min_val", -1), call.arg(2, "max_val", 1)
    function = {(0, 6): "relu6", (0, None): "relu", (0, inf): "relu"}.get((low, high))
    return {"op": "activation", "function": function} if function else None


def _softmax(op: str, call: _Call) -> Fields:
    return {"op": "activation", "function": "softmax"} if call.output.dim() == 2 else None


def _mean(op: str, call: _Call) -> Fields:
    axes = call.arg(1, "dim", None) or ()
    if call.args[0].dim() != 4 or sorted(axis % 4 for axis in axes) != [2, 3]:
        return None
    return {"op": "global_pool", "function": "avg" if op == "mean" else "max"}


def _adaptive_pool(op: str, call: _Call) -> Fields:
    if call.output.shape == call.args[0].shape:
        return {"op": "alias"}
    function = "max" if "max" in op else "avg"
    return {"op": "global_pool", "function": function} if call.output.shape[-2:] == (1, 1) else None


def _pool(op: str, call: _Call) -> Fields:
    kernel = call.args[1]
    kernel = (kernel[0], kernel[-1])
    stride = max(call.arg(2, "stride", None) or kernel)
    return {"op": "pool", "kernel": kernel, "stride": stride, "function": "max" if "max" in op else "avg"}


def _arithmetic(op: str, call: _Call) -> Fields:
    """Sums and products: of two tensors from the image, or of one and a constant."""
    sum_ = op in ("add", "sub")
    if len(call.tensors) - len(call.constants) == 2:
        return {"op": "add" if sum_ else "multiply"} if op != "div" else None
    other = call.args[1]
    if isinstance(other, Tensor):
        if not any(other is constant for constant in call.constants):
            return None
        if other.numel() not in (1, *call.output.shape):  # not one value a channel: a tensor to add or multiply
            return {"op": "add" if sum_ else "multiply"}
        return {"op": "shift" if sum_ else "scale"}
    value = {"add": other, "sub": -other, "mul": other, "div": 1 / other if other else inf}[op]
    return {"op": "shift" if sum_ else "scale", "value": float(value)}


def _copy(op: str, call: _Call) -> Fields:
    """cat, slice and split: values are copied, none is computed."""
    same = len(call.tensors) == 1 and call.tensors[0].shape == call.output.shape
    return {"op": "alias" if same else "concat"}


def _transpose(op: str, call: _Call) -> Fields:
    rank = call.args[0].dim()
    order = list(range(rank))
    if op == "permute":
        order = [axis % rank for axis in call.args[1]]
    else:
        first, second = (axis % rank for axis in call.args[1:3])
        order[first], order[second] = second, first
    return {"op": "transpose", "order": tuple(order)}


def _shuffle(op: str, call: _Call) -> Fields:
    """channel_shuffle: a view, a transposition and a view in one."""
    groups = call.arg(1, "groups", 1)
    return {"op": "shuffle", "groups": groups} if groups > 1 else {"op": "alias"}


def _free(op: str, call: _Call) -> Fields:
    """A view; `expand` that repeats values is none."""
    return {"op": "alias"} if call.output.numel() == prod(call.args[0].shape) else None


def _plain(op: NodeOp) -> Reader:
    return lambda _, call: {"op": op}


_READERS: dict[str, Reader] = {
    **dict.fromkeys(_FUNCTIONS, _activation), **dict.fromkeys(_FREE, _free), **dict.fromkeys(_NORMS, _plain("norm")),
    **dict.fromkeys(("add", "sub", "mul", "div"), _arithmetic), **dict.fromkeys(("addmm", "mm"), _linear),
    **dict.fromkeys(("hardtanh", "clamp", "clamp_min", "relu6"), _clamp), **dict.fromkeys(("mean", "amax"), _mean),
    **dict.fromkeys(("max_pool2d_with_indices", "max_pool2d", "avg_pool2d"), _pool),
    **dict.fromkeys(("_adaptive_avg_pool2d", "adaptive_max_pool2d"), _adaptive_pool),
    **dict.fromkeys(("cat", "slice", "split", "split_with_sizes"), _copy),
    **dict.fromkeys(("permute", "transpose"), _transpose), "convolution": _convolution, "_softmax": _softmax,
    **dict.fromkeys(("upsample_nearest2d", "upsample_bilinear2d", "upsample_bicubic2d"), _plain("resize")),
    "constant_pad_nd": _plain("pad"), **dict.fromkeys(("channel_shuffle", "native_channel_shuffle"), _shuffle),
}  # fmt: skip
