"""An ONNX image classifier, read into layers: float, half or int8, whatever tool wrote it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from nas.errors import UserError
from nas.space.graph.graph import Reading, read_graph
from nas.space.onnx.scope import opsets
from nas.space.onnx.tensors import FLOAT, Value, shown
from nas.space.onnx.walk import Walk
from nas.space.onnx.wire import load_structure

if TYPE_CHECKING:
    import onnx

OLDEST_OPSET = 7  # before it, shapes of sums and products were written in another way
_MOST_CHANNELS = 16  # satellites have 13
_MOST_PIXELS = 32_768  # a side


def read_onnx(path: Path | str) -> Reading:
    """The network in an ONNX file (opset 7 or later, one image input, batch 1 or any), and what was not understood.

    Branches, loops and functions are followed as they would run. Each parameter counts once, however often it is used.
    Raises UserError if the file is not an ONNX model, refers to weights outside its folder, leaves shapes open, or
    does what depends on the image's values.
    """
    path = Path(path)
    model = load_structure(path)
    if (opset := opsets(model.opset_import)[""]) < OLDEST_OPSET:
        raise UserError(f"{path}: must be of opset {OLDEST_OPSET} or later; got {opset}")
    image = _image_input(model, path)
    shape, batch = _image_shape(image, path)
    walk = Walk(model, path)
    outputs = walk.run(model, Value(image.name, shape, FLOAT, raw=True), {} if batch else _declared(model))
    if not any(node.op in ("conv", "linear") for node in walk.nodes):
        raise UserError(f"{path}: has no convolution or linear layer on its input, so it is not an image classifier")
    reading = read_graph(walk.nodes, walk.shapes, [value.name for value in outputs if not value.constant])
    if not any(layer.weights for layer in reading.network.layers):
        raise UserError(f"{path}: no convolution or linear layer leads from its image to an output")
    return reading


def image_of(path: Path) -> tuple[tuple[int, ...], bool]:
    """The shape (1, ...) of the one image that an ONNX file takes, and whether it takes any number at once.

    Raises UserError as `read_onnx` does.
    """
    model = load_structure(path)
    return _image_shape(_image_input(model, path), path)


def _image_input(model: onnx.ModelProto, path: Path) -> onnx.ValueInfoProto:
    weights = {tensor.name for tensor in model.graph.initializer}
    weights |= {tensor.values.name for tensor in model.graph.sparse_initializer}
    inputs = [value for value in model.graph.input if value.name not in weights]
    images: list[onnx.ValueInfoProto] = [value for value in inputs if len(value.type.tensor_type.shape.dim) == 4]
    if len(images) == 1 and len(inputs) == 1:
        return images[0]
    found = [f"{shown(v.name)} of {len(v.type.tensor_type.shape.dim)} dimensions" for v in inputs[:4]]
    found += [f"{len(inputs) - 4} more"] if len(inputs) > 4 else []
    got = ", ".join(found) or "none"
    raise UserError(f"{path}: must have exactly one input, an image of 4 dimensions; got {got}")


def _image_shape(image: onnx.ValueInfoProto, path: Path) -> tuple[tuple[int, ...], bool]:
    """The image's shape at batch 1, and whether the file leaves the batch open."""
    batch, *rest = image.type.tensor_type.shape.dim
    sizes = tuple(dim.dim_value for dim in rest)
    name = shown(image.name)
    if min(sizes) < 1:
        dims = ", ".join(dim.dim_param[:20] or str(dim.dim_value or "?") for dim in (batch, *rest))
        raise UserError(f"{path}: input {name} is ({ascii(dims)[1:-1]}); export it with a fixed image size")
    if batch.dim_value > 1:
        raise UserError(f"{path}: input {name} has a batch of {batch.dim_value}; export it with batch 1")
    channels_last = sizes[2] <= _MOST_CHANNELS < min(sizes[:2])
    if not (sizes[0] <= _MOST_CHANNELS or channels_last) or max(sizes) > _MOST_PIXELS:
        raise UserError(
            f"{path}: input {name} is not an image: its shape is (1, {', '.join(map(str, sizes))}), "
            f"and an image has 1 to {_MOST_CHANNELS} channels"
        )
    return (1, *sizes), batch.dim_value != 1


def _declared(model: onnx.ModelProto) -> dict[str, tuple[int, ...]]:
    """Shapes that the file states, for operations whose shape nobody else knows."""
    found = {}
    for value in (*model.graph.value_info, *model.graph.output):
        tensor = value.type.tensor_type
        dims = tensor.shape.dim
        if tensor.HasField("shape") and all(dim.HasField("dim_value") and dim.dim_value > 0 for dim in dims):
            found[value.name] = tuple(dim.dim_value for dim in dims)
    return found
