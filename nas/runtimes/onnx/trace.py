"""A built network as an ONNX graph in fp32, traced by torch."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections import OrderedDict
from collections.abc import Iterator
from hashlib import sha256
from typing import TYPE_CHECKING

from nas.runtimes.onnx.layers import name_nodes

if TYPE_CHECKING:
    import onnx
    from google.protobuf.message import Message
    from torch import Tensor, nn

    from nas.models.trained import TrainedModel

KEPT = 4  # graphs: a trace takes seconds, and a model is exported in several precisions
_kept: OrderedDict[str, bytes] = OrderedDict()  # the latest last, by what they are traced from


def float_graph(module: nn.Module, model: TrainedModel) -> onnx.ModelProto:
    """The graph of batch 1 of the model's module, input "image", output "logits", nodes named after the module's parts.

    It holds nothing of the machine that made it. The graphs of the last models are kept.
    """
    import onnx

    digest = _digest(module, model)
    if digest not in _kept:
        _kept[digest] = _float_graph(module, model).SerializeToString()
    _kept.move_to_end(digest)
    if len(_kept) > KEPT:
        _kept.popitem(last=False)
    return onnx.load_model_from_string(_kept[digest])


def _digest(module: nn.Module, model: TrainedModel) -> str:
    """A SHA-256 of the network and of the module's weights."""
    found = sha256(f"{model.network} {module}".encode())
    for name, tensor in module.state_dict().items():
        found.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        found.update(tensor.detach().contiguous().numpy())
    return found.hexdigest()


def _float_graph(module: nn.Module, model: TrainedModel) -> onnx.ModelProto:
    import torch

    from nas.models.fold import without_batch_norms

    if model.network.shared:
        module = without_batch_norms(module)
    proto = _traced(module, torch.zeros(1, *model.network.input_shape))
    name_nodes(proto.graph)
    _strip(proto)
    _pool_globally(proto.graph)
    return proto


def _traced(module: nn.Module, image: Tensor) -> onnx.ModelProto:
    import torch

    with _quiet():
        program = torch.onnx.export(
            module, (image,), input_names=["image"], output_names=["logits"], dynamo=True, verbose=False
        )
    if program is None:
        raise RuntimeError("torch exported nothing")
    proto: onnx.ModelProto = program.model_proto
    return proto


def _strip(part: Message) -> None:
    """Removes every doc string and every metadata property below a protobuf message.

    The exporter writes stack traces into them, with the paths of the machine.
    """
    for descriptor, value in part.ListFields():
        if descriptor.name in ("doc_string", "metadata_props"):
            part.ClearField(descriptor.name)
        elif descriptor.message_type is not None:
            for inner in [value] if hasattr(value, "ListFields") else value:
                _strip(inner)


def _pool_globally(graph: onnx.GraphProto) -> None:
    """Writes the mean over height and width as GlobalAveragePool, in place, and a reshape to a vector as Flatten.

    The exporter writes ReduceMean and Reshape. ONNX Runtime runs these in another memory layout, with copies before
    and after; and blocks are timed with the pool.
    """
    import onnx

    constants = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        numbers = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        second = constants.get(node.input[1]) if len(node.input) > 1 else None
        values = [] if second is None else onnx.numpy_helper.to_array(second).flatten().tolist()
        if node.op_type == "ReduceMean" and sorted(v % 4 for v in values) == [2, 3] and numbers.get("keepdims", 1):
            _become(node, "GlobalAveragePool")
        elif node.op_type == "Reshape" and len(values) == 2 and values[0] == 1:  # the batch is 1
            _become(node, "Flatten")
    used = {name for node in graph.node for name in node.input}
    for tensor in [t for t in graph.initializer if t.name not in used]:
        graph.initializer.remove(tensor)


def _become(node: onnx.NodeProto, op: str) -> None:
    node.op_type = op
    del node.input[1:], node.attribute[:]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The exporter prints a page of progress and warnings that tell the user nothing."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)
