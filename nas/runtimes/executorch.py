"""ExecuTorch on the CPU through XNNPACK: .pte files, lowered from the module itself."""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.data.pixels import muted
from nas.errors import UserError
from nas.files.atomic import write_atomic
from nas.models.int8 import Int8, block_of
from nas.runtimes.images import check_calibration, network_inputs
from nas.runtimes.parity import agreement, check_difference, first_block_that_differs, largest_difference
from nas.runtimes.reference import Reference
from nas.runtimes.runtime import Exported
from nas.space.layer import Precision

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor, nn

    from nas.data.dataset import Split
    from nas.models.trained import TrainedModel

NEEDS = 'ExecuTorch is not installed: pip install "edge-nas[executorch]"'


class ExecuTorch:
    """See `nas.runtimes.runtime.Exporter`. int8 is that of XNNPACK's own quantizer: signed, weights per channel."""

    name = "executorch"
    suffix = ".pte"
    exported: tuple[Precision, ...] = ("fp32", "int8")

    def check(self) -> None:
        try:
            import executorch.runtime  # noqa: F401
        except ImportError:
            raise UserError(NEEDS) from None

    def export(self, model: TrainedModel, path: Path, *, calibration: Split | None = None) -> Exported:
        self.check()
        if model.network.detects:
            raise UserError("a detector is exported for ONNX Runtime; its heads are not tried in ExecuTorch yet")
        precision, reference = model.precision, Reference(model, calibration)
        given: list[np.ndarray] = []
        if precision == "int8":
            if Int8.of(model) != Int8():
                raise UserError("int8 files for ExecuTorch are static, and all of int8; the model's recipe has others")
            given = list(network_inputs(model.preprocessing, check_calibration(model.classes, calibration)))
        data = _lowered(reference.module, reference.images[0], given)
        run, wanted = _session(data), reference.logits
        got = [run(image)[0] for image in reference.images]
        difference = largest_difference(wanted, got)

        def where(least: float) -> str | None:
            images = reference.images[:4]
            watched, names = _watched(reference.module)
            run = _session(_lowered(watched, images[0], given))
            found = [run(image) for image in images]
            values = {name: [each[n] for each in found] for n, name in enumerate(names)}
            return first_block_that_differs(reference.block_values(images), values, least)

        check_difference(path, precision, difference, where)
        write_atomic(path, data)
        return Exported(
            path, model.network.input_shape, len(data) / 1e6, difference, precision, agreement(wanted, got),
            ("the program is for XNNPACK, which the runtime on the board must be built with",),
        )  # fmt: skip


def _lowered(module: nn.Module, image: np.ndarray, calibration: list[np.ndarray]) -> bytes:
    """The module as an ExecuTorch program; in int8 where there are calibration images, float32 (1, 3, r, r)."""
    import torch
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import to_edge_transform_and_lower

    example = (torch.from_numpy(image),)
    with _quiet():
        exported = torch.export.export(module, example)
        if calibration:
            from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import (
                XNNPACKQuantizer,
                get_symmetric_quantization_config,
            )
            from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

            quantizer = XNNPACKQuantizer().set_global(get_symmetric_quantization_config(is_per_channel=True))
            prepared = prepare_pt2e(exported.module(), quantizer)
            for given in calibration:
                prepared(torch.from_numpy(given))
            exported = torch.export.export(convert_pt2e(prepared), example)
        lowered = to_edge_transform_and_lower(exported, partitioner=[XnnpackPartitioner()])
        return bytes(lowered.to_executorch().buffer)


def _session(program: bytes) -> Callable[[np.ndarray], list[np.ndarray]]:
    """The program, ready to give its outputs for an image. Raises UserError where the runtime refuses it."""
    import torch
    from executorch.runtime import Runtime

    try:
        with muted():  # it tells of the processor
            method = Runtime.get().load_program(program).load_method("forward")
    except RuntimeError as error:
        raise UserError(f"ExecuTorch cannot run the model: {str(error)[:300]}") from None
    if method is None:
        raise UserError("ExecuTorch cannot run the model: it has no method forward")

    def run(image: np.ndarray) -> list[np.ndarray]:
        return [found.numpy().copy() for found in method.execute([torch.from_numpy(image)])]

    return run


def _watched(module: nn.Module) -> tuple[nn.Module, list[str]]:
    """A module that gives the output of each block of a built network, and the blocks' names, in order."""
    from torch import nn

    parts: list[tuple[str, nn.Module]] = []
    for name, part in module.named_children():
        inner = [(f"blocks.{s}.{b}", m) for s, row in part.named_children() for b, m in row.named_children()]
        parts += inner if name == "blocks" else [(block_of(name), part)]
    names = [name for name, _ in parts]
    last = [n for n, name in enumerate(names) if name not in names[n + 1 :]]

    class Watched(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.parts = nn.ModuleList(part for _, part in parts)

        def forward(self, x: Tensor) -> tuple[Tensor, ...]:
            found = []
            for part in self.parts:
                x = part(x)
                found.append(x)
            return tuple(found[n] for n in last)

    return Watched().eval(), [names[n] for n in last]


@contextlib.contextmanager
def _quiet() -> Iterator[Any]:
    """Its libraries warn of each other."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)
