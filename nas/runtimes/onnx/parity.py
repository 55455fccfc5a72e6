"""The outputs of blocks in an ONNX file, to compare them with the module's."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from nas.runtimes.onnx.layers import block_outputs
from nas.runtimes.parity import LEAST_SNR, Outputs, block_values, first_block_that_differs

if TYPE_CHECKING:
    import numpy as np
    import onnx
    from torch import nn

_DEQUANTIZED = ("_DequantizeLinear_Output", "_DequantizeLinear_Output_1", "")  # how ONNX Runtime names what it rounded


def first_that_differs(
    module: nn.Module, exported: onnx.ModelProto, model: onnx.ModelProto, images: Sequence[np.ndarray],
    outputs: Callable[[bytes], Outputs], least: float = LEAST_SNR,
) -> str | None:  # fmt: skip
    """The first block whose output is not the module's: its SNR is below `least` dB. None where each is.

    `model` was made from `exported`, an export of the module whose nodes are named by `name_nodes`.
    """
    watched, tensors = _watched(model, block_outputs(exported.graph))
    run_all = outputs(watched.SerializeToString())
    found = [run_all(image) for image in images]
    got = {block: [each[tensor] for each in found] for block, tensor in tensors.items()}
    return first_block_that_differs(block_values(module, images), got, least)


def _watched(model: onnx.ModelProto, blocks: Mapping[str, str]) -> tuple[onnx.ModelProto, dict[str, str]]:
    """A copy that gives the outputs of blocks, and the name of each one's tensor in it."""
    import onnx

    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    made = {name for node in watched.graph.node for name in node.output}
    tensors = {}
    for block, tensor in blocks.items():
        rounded = next((tensor + end for end in _DEQUANTIZED if tensor + end in made), None)
        if rounded is not None:
            tensors[block] = rounded
    del watched.graph.output[:]
    for name in dict.fromkeys(tensors.values()):
        watched.graph.output.append(onnx.ValueInfoProto(name=name))
    return watched, tensors
