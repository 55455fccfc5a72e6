"""An ONNX image classifier, read into layers: float or int8 (QDQ), whatever tool wrote it."""

from __future__ import annotations

from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from nas.errors import UserError
from nas.space.graph import Reading, read_graph
from nas.space.onnx_ops import label, read_node
from nas.space.onnx_tensors import OnnxTensors

if TYPE_CHECKING:
    import onnx

_IMAGE_CHANNELS = (1, 3, 4)


def read_onnx(path: Path | str) -> Reading:
    """The network in an ONNX file (opset 7 or later, one image input, batch 1 or any), and what was not understood.

    Raises UserError if the file is no ONNX model, refers to weights outside its folder, or leaves shapes open.
    """
    path = Path(path)
    model = _load(path)
    _check_external_data(model, path)
    image = _image_input(model, path)
    _fix_batch(model, image, path)
    tensors, active = _with_shapes(model, path)
    nodes = [node for proto in active for node in read_node(proto, tensors)]
    if not any(node.op in ("conv", "linear") for node in nodes):
        raise UserError(f"{path}: holds no convolution or linear layer on its input, so it is not an image classifier")
    return read_graph(nodes, tensors.shapes, [o.name for o in model.graph.output])


def _load(path: Path) -> onnx.ModelProto:
    import onnx
    from google.protobuf.message import DecodeError

    if not path.is_file():
        raise UserError(f"{path}: no such file; an ONNX model is expected")
    try:
        model = onnx.load(str(path), load_external_data=False)
    except (DecodeError, ValueError) as error:
        raise UserError(f"{path}: not an ONNX file, or a truncated one ({error})") from error
    if not model.ir_version or not model.graph.node:
        raise UserError(f"{path}: not an ONNX file, or one without any operation")
    if model.functions:
        from onnx.inliner import inline_local_functions

        model = inline_local_functions(model)
    return model


def _check_external_data(model: onnx.ModelProto, path: Path) -> None:
    from onnx.external_data_helper import uses_external_data

    for tensor in model.graph.initializer:
        if not uses_external_data(tensor):
            continue
        location = next((entry.value for entry in tensor.external_data if entry.key == "location"), "")
        inside = PurePath(location.replace("\\", "/"))
        if not location or inside.is_absolute() or ".." in inside.parts:
            raise UserError(f"{path}: weight {tensor.name!r} points outside the file's folder, at {location!r}")
        if not (path.parent / inside).is_file():
            raise UserError(f"{path}: weight {tensor.name!r} is in {location!r}, which is not beside the file")


def _image_input(model: onnx.ModelProto, path: Path) -> onnx.ValueInfoProto:
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in weights]
    images: list[onnx.ValueInfoProto] = [value for value in inputs if len(value.type.tensor_type.shape.dim) == 4]
    if len(images) == 1 and len(inputs) == 1:
        return images[0]
    found = ", ".join(f"{v.name!r} of {len(v.type.tensor_type.shape.dim)} dimensions" for v in inputs) or "none"
    raise UserError(f"{path}: must have exactly one input, an image of 4 dimensions; it has {found}")


def _fix_batch(model: onnx.ModelProto, image: onnx.ValueInfoProto, path: Path) -> None:
    """Sets an open batch to 1, and forgets every recorded shape that depended on it."""
    batch, *rest = image.type.tensor_type.shape.dim
    sizes = [dim.dim_value for dim in rest]
    if min(sizes) < 1:
        shown = ", ".join(dim.dim_param or str(dim.dim_value or "?") for dim in (batch, *rest))
        raise UserError(f"{path}: input {image.name!r} is ({shown}); export it with a fixed image size")
    if batch.dim_value > 1:
        raise UserError(f"{path}: input {image.name!r} has a batch of {batch.dim_value}; export it with batch 1")
    if sizes[0] not in _IMAGE_CHANNELS and sizes[2] not in _IMAGE_CHANNELS:
        raise UserError(f"{path}: input {image.name!r} is no image: its shape is (1, {', '.join(map(str, sizes))})")
    if batch.dim_value == 1:
        return
    batch.Clear()
    batch.dim_value = 1
    del model.graph.value_info[:]
    for output in model.graph.output:
        output.type.tensor_type.ClearField("shape")


def _with_shapes(model: onnx.ModelProto, path: Path) -> tuple[OnnxTensors, list[onnx.NodeProto]]:
    """The tensors, and the nodes that work on the image. Arithmetic on shapes is replaced by its result until every
    shape is known: shape inference alone does not follow it everywhere."""
    import onnx

    while True:
        tensors = OnnxTensors(_inferred(model, path))
        active = [node for node in model.graph.node if not tensors.fold(node)]
        known = {"", *tensors.shapes, *tensors.constants}
        needed = ((node, name) for node in active for name in (*node.input, *node.output[:1]))
        missing = next(((node, name) for node, name in needed if name not in known), None)
        if missing is None:
            return tensors, active
        outputs = {name: tensors.value(name) for node in model.graph.node for name in node.output}
        computed = {name: value for name, value in outputs.items() if value is not None}
        if not computed:
            raise UserError(f"{path}: the shape of {missing[1]!r} at {label(missing[0])} is not known")
        kept = [node for node in model.graph.node if not computed.keys() & set(node.output)]
        del model.graph.node[:]
        model.graph.node.extend(kept)
        model.graph.initializer.extend(onnx.numpy_helper.from_array(value, name) for name, value in computed.items())


def _inferred(model: onnx.ModelProto, path: Path) -> onnx.ModelProto:
    import onnx

    try:
        return onnx.shape_inference.infer_shapes(model, data_prop=True)
    except (onnx.shape_inference.InferenceError, RuntimeError, ValueError) as error:
        raise UserError(f"{path}: its shapes do not fit together ({' '.join(str(error).split())[:200]})") from error
