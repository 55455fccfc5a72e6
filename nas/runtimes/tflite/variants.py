"""A trained model as TFLite files of several precisions: ranges measured once."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from nas.errors import UserError
from nas.models.int8 import Int8, names_of_blocks
from nas.runtimes.facts import facts_of
from nas.runtimes.images import check_calibration, network_inputs
from nas.runtimes.reference import Reference
from nas.runtimes.tflite.blocks import Written, write_network
from nas.runtimes.tflite.file import Ranges, TfliteFile
from nas.runtimes.tflite.weights import ToDeploy
from nas.space.layer import Precision

if TYPE_CHECKING:
    from nas.data.dataset import Split
    from nas.models.trained import TrainedModel

INPUT, OUTPUT = "image", "logits"
FACTS = "nas"  # the file's own metadata of that name

# a model's bytes, to a function from an image (1, c, h, w) to each output, real values, channels first where it has any
Open = Callable[[bytes], Callable[[np.ndarray], list[np.ndarray]]]


class Variants(Reference):
    """`file` gives the model in a precision; `open_outputs` runs a file. Raises UserError as `Reference`."""

    def __init__(self, model: TrainedModel, calibration: Split | None, open_outputs: Open) -> None:
        super().__init__(model, calibration)
        self.open_outputs = open_outputs

    @cached_property
    def ranges(self) -> Ranges:
        """The lowest and highest value of each tensor on all calibration images, in fp32.

        Raises UserError where there are none, or all of one class.
        """
        images = check_calibration(self.model.classes, self.calibration)
        graph, written = self._written("fp32", None)
        run = self.open_outputs(graph.file(written.first, graph.computed))
        low, high = np.full(len(graph.computed), np.inf), np.full(len(graph.computed), -np.inf)
        for image in network_inputs(self.model.preprocessing, images):
            values = run(image)
            low = np.minimum(low, [value.min() for value in values])
            high = np.maximum(high, [value.max() for value in values])
        return {t.name: (float(a), float(b)) for t, a, b in zip(graph.computed, low, high, strict=True)}

    def file(self, precision: Precision, int8: Int8 | None = None) -> bytes:
        """The model in a precision, with its facts; int8 as the model's recipe says where nothing else does.

        Raises UserError for int8 without calibration images, or with images of one class alone, and for a form of int8
        that LiteRT files do not have here.
        """
        graph, written = self._written(precision, int8)
        facts = json.dumps(facts_of(self.model, precision)).encode()
        return graph.file(written.first, written.last, {FACTS: facts})

    def blocks_of(
        self, precision: Precision, images: list[np.ndarray], int8: Int8 | None = None
    ) -> dict[str, list[np.ndarray]]:
        """What the file computes at the end of each block, by the block's name, of each image."""
        graph, written = self._written(precision, int8)
        run = self.open_outputs(graph.file(written.first, written.outputs))
        found = [run(image) for image in images]
        return {names[-1]: [values[n] for values in found] for n, names in enumerate(self.names)}

    @cached_property
    def names(self) -> tuple[tuple[str, ...], ...]:
        return names_of_blocks(self.model.network, self.module)

    def _written(self, precision: Precision, int8: Int8 | None) -> tuple[TfliteFile, Written]:
        """The graph, and its tensors."""
        left: set[str] = set()
        if precision == "int8":
            left = _float_blocks(int8 or Int8.of(self.model), self.names)
        graph = TfliteFile(ToDeploy(self.module), precision, self.ranges if precision == "int8" else None)
        names = [block[-1] for block in self.names]
        return graph, write_network(graph, self.model.network, names, in_float=left, ends=(INPUT, OUTPUT))


def _float_blocks(int8: Int8, names: tuple[tuple[str, ...], ...]) -> set[str]:
    """The blocks that are left in float, each by the last of its names."""
    if int8.scheme != "static" or int8.target != "cpu":
        got = "dynamic ranges" if int8.scheme != "static" else f"a target of {int8.target}"
        raise UserError(f"int8 files for LiteRT have static ranges, for processors; got {got}")
    return {block[-1] for block in names if set(block) & set(int8.float_blocks)}
