"""What a board needs to adapt a network without gradients: batch statistics, and where the files keep their weights.

A serving file has its batch norms folded into the convolutions before them, so their statistics cannot be replaced by
themselves. adapt.onnx is the same graph with each norm unfolded again: it normalizes with the statistics of the batch
that it is given, and gives them out. adapt.npz says what NumPy folds them with, and at which bytes of which file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np

from nas.errors import UserError
from nas.space.layer import Precision

if TYPE_CHECKING:
    import onnx
    from torch import nn

    from nas.runtimes.onnx.variants import Variants

GRAPH, ARRAYS = "adapt.onnx", "adapt.npz"
BATCH_BYTES = 12 * 10**6  # of the largest activation of a batch, of which a few are there at a time
BRIGHTNESS_IMAGES = 512
SMALLEST_BATCH, LARGEST_BATCH = 4, 256  # of 224 pixels 4 have more positions for a norm than 16 of 32 pixels
TINY = 1e-12  # below any variance that can be divided by
_KINDS = {"float32": "<f4", "float16": "<f2", "int32": "<i4"}


@dataclass(frozen=True, slots=True)
class Norm:
    """A batch norm and the convolution that it was folded into; arrays are float32 (channels,)."""

    convolution: str  # the node's name
    output: str  # the tensor that it ends in
    weight: str  # names of initializers
    bias: str
    gamma: np.ndarray
    beta: np.ndarray
    least: np.ndarray  # its eps, in units of the folded convolution's output


@dataclass(frozen=True, slots=True)
class Adaptable:
    """adapt.onnx and adapt.npz, as bytes."""

    graph: bytes
    arrays: bytes


def adaptable(variants: Variants, files: Mapping[Precision, bytes]) -> Adaptable:
    """What a deployment carries to be adapted on the board; `files` are the serving models by their precision.

    adapt.onnx takes float32 images (n, 3, r, r), as the network, and gives `means` and `variances`, float32 (c,): those
    of the folded convolutions' outputs over the batch, one norm after another. adapt.npz: `gamma`, `beta` and `least`
    likewise, `bias` as it is folded; `channels` (norms,), `names` of the folded weights, `batch` images to a pass; and
    for each precision whose file can be patched `<precision>/offsets` (norms, 3), `<precision>/counts` (norms,) and
    `<precision>/kinds` (norms, 3): where the weights, or the scales of int8 weights, the biases and their scales stand
    in the file, -1 for none. `brightness` (256,): of how many pixels of the calibration images the largest channel has
    each value. Raises UserError for a network without batch norms, or whose norms are not folded.
    """
    from onnx import numpy_helper

    graph = variants.graph("fp32")
    norms, held = _norms(graph, variants.module), {tensor.name: tensor for tensor in graph.graph.initializer}
    arrays: dict[str, np.ndarray] = {
        "gamma": np.concatenate([norm.gamma for norm in norms]),
        "beta": np.concatenate([norm.beta for norm in norms]),
        "least": np.concatenate([norm.least for norm in norms]),
        "bias": np.concatenate([numpy_helper.to_array(held[norm.bias]) for norm in norms]),
        "channels": np.array([len(norm.gamma) for norm in norms], np.int64),
        "names": np.array([norm.weight for norm in norms]),
        "batch": np.array(_batch(variants)),
        "brightness": _brightness(variants),
    }
    for precision, data in files.items():
        places = _places(data, norms)
        if places is not None:
            offsets, counts, kinds = places
            arrays |= {f"{precision}/offsets": offsets, f"{precision}/counts": counts, f"{precision}/kinds": kinds}
    packed = BytesIO()
    np.savez_compressed(packed, allow_pickle=False, **arrays)
    return Adaptable(_unfolded(graph, norms), packed.getvalue())


def _norms(graph: onnx.ModelProto, module: nn.Module) -> list[Norm]:
    """The norms in the order of the graph. A folded convolution has the name of its norm: see `name_nodes`."""
    import torch

    found = []
    batch_norms = {name: part for name, part in module.named_modules() if isinstance(part, torch.nn.BatchNorm2d)}
    for node in graph.graph.node:
        part = batch_norms.get(node.name.removesuffix(".Conv")) if node.op_type == "Conv" else None
        if part is None or part.running_var is None or len(node.input) < 3:
            continue
        del batch_norms[node.name.removesuffix(".Conv")]
        gamma, beta = part.weight.detach().numpy(), part.bias.detach().numpy()
        least = part.eps * gamma.astype(np.float64) ** 2 / (part.running_var.numpy().astype(np.float64) + part.eps)
        own = gamma, beta, least.astype(np.float32)
        found.append(Norm(node.name, node.output[0], node.input[1], node.input[2], *own))
    if not found or batch_norms:
        named = (
            f"{next(iter(batch_norms))} is not folded into a weight and a bias"
            if batch_norms
            else "it has no batch norm"
        )
        raise UserError(f"the network cannot be adapted on a board: {named}")
    return found


def _unfolded(graph: onnx.ModelProto, norms: list[Norm]) -> bytes:
    """The graph of any batch, its norms with the batch's own statistics, and these as its two outputs."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    made = onnx.ModelProto()
    made.CopyFrom(graph)
    inner = made.graph
    by_output = {norm.output: (number, norm) for number, norm in enumerate(norms)}
    shapes = {shape.name for shape in inner.initializer}
    nodes: list[onnx.NodeProto] = []
    for node in inner.node:
        if node.op_type == "Reshape" and node.input[1] in shapes:
            _of_any_batch(inner, node.input[1])
        if node.output[0] not in by_output:
            nodes.append(node)
            continue
        number, norm = by_output[node.output[0]]
        name = f"norm{number}"
        raw = f"{name}.raw"
        node.output[0] = raw
        constants = {"scale": np.abs(norm.gamma), "least": np.maximum(norm.least, TINY), "beta": norm.beta}
        for what, values in constants.items():
            inner.initializer.append(numpy_helper.from_array(values.reshape(1, -1, 1, 1), f"{name}.{what}"))
        nodes += [
            node,
            helper.make_node("GlobalAveragePool", [raw], [f"{name}.pooled"]),
            helper.make_node("ReduceMean", [f"{name}.pooled", "adapt.batch"], [f"{name}.mean"], keepdims=1),
            helper.make_node("Sub", [raw, f"{name}.mean"], [f"{name}.centered"]),
            helper.make_node("Mul", [f"{name}.centered", f"{name}.centered"], [f"{name}.squares"]),
            helper.make_node("GlobalAveragePool", [f"{name}.squares"], [f"{name}.averaged"]),
            helper.make_node("ReduceMean", [f"{name}.averaged", "adapt.batch"], [f"{name}.variance"], keepdims=1),
            helper.make_node("Add", [f"{name}.variance", f"{name}.least"], [f"{name}.sum"]),
            helper.make_node("Sqrt", [f"{name}.sum"], [f"{name}.deviation"]),
            helper.make_node("Div", [f"{name}.scale", f"{name}.deviation"], [f"{name}.factor"]),
            helper.make_node("Mul", [f"{name}.centered", f"{name}.factor"], [f"{name}.scaled"]),
            helper.make_node("Add", [f"{name}.scaled", f"{name}.beta"], [norm.output]),
        ]
    inner.initializer.append(numpy_helper.from_array(np.array([0], np.int64), "adapt.batch"))
    inner.initializer.append(numpy_helper.from_array(np.array([-1], np.int64), "adapt.flat"))
    for what, output in (("mean", "means"), ("variance", "variances")):
        joined = [f"norm{number}.{what}" for number in range(len(norms))]
        nodes.append(helper.make_node("Concat", joined, [f"{output}.joined"], axis=1))
        nodes.append(helper.make_node("Reshape", [f"{output}.joined", "adapt.flat"], [output]))
    channels = sum(len(norm.gamma) for norm in norms)
    del inner.node[:], inner.output[:], inner.value_info[:], made.metadata_props[:]
    inner.node.extend(nodes)
    for output in ("means", "variances"):
        inner.output.append(helper.make_tensor_value_info(output, TensorProto.FLOAT, [channels]))
    inner.input[0].type.tensor_type.shape.dim[0].dim_param = "n"
    _prune(inner)
    return bytes(made.SerializeToString())


def _of_any_batch(graph: onnx.GraphProto, name: str) -> None:
    """A reshape's constant shape that begins with a batch of 1, with the batch of what goes in."""
    from onnx import numpy_helper

    for tensor in graph.initializer:
        if tensor.name == name:
            shape = numpy_helper.to_array(tensor).copy()
            if shape.size > 1 and shape[0] == 1 and (shape > 0).all():
                shape[0] = -1
                tensor.CopyFrom(numpy_helper.from_array(shape, name))


def _prune(graph: onnx.GraphProto) -> None:
    """Removes, in place, what no output needs: the end of the network, its classifier."""
    needed = {output.name for output in graph.output}
    kept = []
    for node in reversed(graph.node):
        if needed.intersection(node.output):
            kept.append(node)
            needed.update(node.input)
    del graph.node[:]
    graph.node.extend(reversed(kept))
    tensors = [tensor for tensor in graph.initializer if tensor.name in needed]
    del graph.initializer[:]
    graph.initializer.extend(tensors)


def _brightness(variants: Variants) -> np.ndarray:
    """Counts (256,); all alike where there are no calibration images."""
    import torch

    images = variants.calibration
    if images is None or not len(images):
        return np.ones(256, np.int64)
    chosen = torch.arange(min(len(images), BRIGHTNESS_IMAGES))
    pixels = images.images.take(chosen, variants.model.preprocessing.resolution).numpy()
    return np.bincount(pixels.max(axis=3).ravel(), minlength=256)


def _batch(variants: Variants) -> int:
    """Images to a pass: few enough for the memory of a board."""
    blocks = variants.model.network.blocks
    values = max(max(b.mid or 0, b.out_shape[0], b.in_shape[0]) * b.in_shape[1] * b.in_shape[2] for b in blocks)
    return int(min(LARGEST_BATCH, max(SMALLEST_BATCH, BATCH_BYTES // (4 * values))))


def _places(data: bytes, norms: list[Norm]) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """Offsets, counts of weights, and kinds of numbers in a serving file; None where it is of another form."""
    import onnx

    model = onnx.load_model_from_string(data)
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    nodes = {node.name: node for node in model.graph.node}
    scales = {node.output[0]: node.input for node in model.graph.node if node.op_type == "DequantizeLinear"}
    offsets, counts, kinds = [], [], []
    for norm in norms:
        node = nodes.get(norm.convolution)
        if node is None or len(node.input) < 3:
            return None
        weight, bias = node.input[1], node.input[2]
        # weights (o, i, h, w) or, of int8 weights with a scale for each channel, these scales (o,)
        weight = scales[weight][1] if weight in scales else weight
        bias, bias_scale = scales[bias][:2] if bias in scales else (bias, None)
        names = [weight, bias, *([bias_scale] if bias_scale else [])]
        found = [_place(data, tensors[name]) if name in tensors else None for name in names]
        if any(place is None for place in found):
            return None
        sizes = [int(np.prod(tensors[name].dims)) for name in names]
        if sizes[0] % len(norm.gamma) or any(size != len(norm.gamma) for size in sizes[1:]):
            return None  # one scale for all channels
        places = [place for place in found if place is not None]
        offsets.append([place[0] for place in places] + [-1] * (3 - len(places)))
        kinds.append([place[1] for place in places] + [""] * (3 - len(places)))
        counts.append(sizes[0])
    used = [offset for row in offsets for offset in row if offset >= 0]
    if len(set(used)) < len(used):
        return None  # equal tensors are kept once
    return np.array(offsets, np.int64), np.array(counts, np.int64), np.array(kinds)


def _place(data: bytes, tensor: onnx.TensorProto) -> tuple[int, str] | None:
    """Where a tensor's values stand in a file, little-endian, and their kind; None where they are packed otherwise."""
    from onnx import numpy_helper

    values = numpy_helper.to_array(tensor)
    kind = _KINDS.get(values.dtype.name)
    if kind is None:
        return None
    message, content = tensor.SerializeToString(), values.astype(kind).tobytes()
    start, within = data.find(message), message.rfind(content)
    if start < 0 or within < 0 or data.find(message, start + 1) >= 0:
        return None
    return start + within, kind
