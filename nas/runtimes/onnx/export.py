"""A trained model as an ONNX file, checked against the module that it came from."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from nas.errors import UserError
from nas.files.atomic import write_atomic
from nas.runtimes.runtime import Exported, Session

if TYPE_CHECKING:
    import onnx
    from google.protobuf.message import Message
    from torch import Tensor, nn

    from nas.models.trained import TrainedModel

TOLERANCE = 1e-3  # of the largest logit: ONNX Runtime fuses and reorders sums


def export_onnx(model: TrainedModel, path: Path, session: Callable[[bytes], Session]) -> Exported:
    """Writes an fp32 ONNX file of batch 1 (input "image", output "logits"), after running it once in a `session`.

    The file's metadata_props hold task, classes, preprocessing, precision and lineage, the last four as JSON. It holds
    nothing of the machine that wrote it, and appears only when it agrees with the module on a random image. Raises
    UserError when it cannot be written, when weights or outputs are not finite, and when the file disagrees.
    """
    import numpy as np
    import torch

    from nas.models.trained import check_finite

    check_finite(model.weights, f"{path} is not written")
    module = model.module()
    image = torch.randn(1, *model.network.input_shape, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        wanted = module(image).numpy()
    if not np.isfinite(wanted).all():
        raise UserError(f"{path} is not written: the network's outputs are not finite")
    proto = _traced(module, image)
    _strip(proto)
    _pool_globally(proto.graph)
    for key, value in _facts(model).items():
        proto.metadata_props.add(key=key, value=value)
    data = proto.SerializeToString()
    got = session(data)(image.numpy())
    difference = float(np.abs(got - wanted).max() / max(np.abs(wanted).max(), 1e-6))
    if not difference <= TOLERANCE:
        raise UserError(
            f"{path} is not written: the exported network differs from the module by {difference:.2%} of its largest "
            f"logit, where at most {TOLERANCE:.2%} is allowed"
        )
    write_atomic(path, data)
    return Exported(path, model.network.input_shape, len(data) / 1e6, difference)


def _facts(model: TrainedModel) -> dict[str, str]:
    return {
        "task": model.task,
        "classes": json.dumps(model.classes),
        "preprocessing": json.dumps(asdict(model.preprocessing)),
        "precision": json.dumps("fp32"),  # this file's, whatever the model is to be deployed in
        "lineage": json.dumps(asdict(model.lineage)),
    }


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
