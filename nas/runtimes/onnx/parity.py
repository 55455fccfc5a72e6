"""Whether two forms of a network compute the same, and where they first do not."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from nas.models.int8 import block_modules
from nas.runtimes.onnx.layers import block_outputs

if TYPE_CHECKING:
    import onnx
    from torch import nn

Outputs = Callable[[np.ndarray], Mapping[str, np.ndarray]]  # of one image, every output of a graph by its name
LEAST_SNR = 10.0  # dB of a block's output against its error: a third of the values' size is error
_DEQUANTIZED = ("_DequantizeLinear_Output", "_DequantizeLinear_Output_1", "")  # how ONNX Runtime names what it rounded


def snr(wanted: Sequence[np.ndarray], got: Sequence[np.ndarray]) -> float:
    """The ratio of a signal to its error in dB, over all images; infinite where they are equal."""
    signal = sum(float((w.astype(np.float64) ** 2).sum()) for w in wanted)
    error = sum(float(((w.astype(np.float64) - g) ** 2).sum()) for w, g in zip(wanted, got, strict=True))
    if not math.isfinite(error):
        return -math.inf
    return 10 * math.log10(max(signal, 1e-30) / error) if error else math.inf


def agreement(wanted: Sequence[np.ndarray], got: Sequence[np.ndarray]) -> float:
    """The share of images with the same first class, of scores (1, classes) of each image."""
    return float(np.mean([w.argmax() == g.argmax() for w, g in zip(wanted, got, strict=True)]))


def first_that_differs(
    module: nn.Module, exported: onnx.ModelProto, model: onnx.ModelProto, images: Iterable[np.ndarray],
    outputs: Callable[[bytes], Outputs], least: float = LEAST_SNR,
) -> str | None:  # fmt: skip
    """The first block whose output is not the module's: its SNR is below `least` dB. None where each is.

    `model` was made from `exported`, an export of the module whose nodes are named by `name_nodes`.
    """
    import torch

    images = list(images)
    wanted: dict[str, list[np.ndarray]] = {}
    hooks = [
        part.register_forward_hook(lambda _, inputs, out, name=name: wanted.setdefault(name, []).append(out.numpy()))
        for name, part in block_modules(module).items()
    ]
    try:
        with torch.inference_mode():
            for image in images:
                module(torch.from_numpy(image))
    finally:
        for hook in hooks:
            hook.remove()
    watched, tensors = _watched(model, block_outputs(exported.graph))
    got = [run_all(image) for run_all in [outputs(watched.SerializeToString())] for image in images]
    for block, values in wanted.items():
        if block in tensors:
            there = [each[tensors[block]].astype(np.float32) for each in got]
            if snr(values, [v.reshape(values[0].shape) for v in there]) < least:
                return block
    return None


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
