"""A trained model as ONNX graphs of several precisions: traced once, calibrated once."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Protocol
from weakref import finalize

from nas.models.int8 import Int8
from nas.runtimes.images import check_calibration, network_inputs
from nas.runtimes.onnx.trace import float_graph
from nas.runtimes.reference import Reference
from nas.space.layer import Precision

if TYPE_CHECKING:
    import onnx

    from nas.data.dataset import Split
    from nas.models.trained import TrainedModel
    from nas.runtimes.parity import Outputs
    from nas.runtimes.runtime import Session


class _Runtime(Protocol):
    def session(self, model: bytes, threads: int = 1) -> Session: ...

    def outputs(self, model: bytes, threads: int = 1) -> Outputs: ...

    def optimized(self, model: bytes) -> onnx.ModelProto: ...


class Variants(Reference):
    """`exported` is the fp32 graph, its nodes named after the module's parts; `graph` gives those made from it.

    The ranges of activations are measured once, on all `calibration` images (training images of at least two classes),
    where this version of ONNX Runtime can keep them. Raises UserError for weights that are not finite.
    """

    def __init__(self, model: TrainedModel, calibration: Split | None, runtime: _Runtime) -> None:
        super().__init__(model, calibration)
        self.runtime = runtime
        self._folder = TemporaryDirectory(prefix="nas-")
        finalize(self, self._folder.cleanup)

    def of(self, model: TrainedModel) -> Variants:
        """Those of another model, calibrated on the same images."""
        return Variants(model, self.calibration, self.runtime)

    @cached_property
    def exported(self) -> onnx.ModelProto:
        return float_graph(self.module, self.model)

    def file(self, precision: Precision, int8: Int8 | None = None) -> bytes:
        """`graph`, as a file holds it."""
        return bytes(self.graph(precision, int8).SerializeToString())

    def graph(self, precision: Precision, int8: Int8 | None = None) -> onnx.ModelProto:
        """The graph in a precision, with the file's facts; int8 as the model's recipe says where nothing else does.

        Raises UserError for int8 without calibration images, or with images of one class alone.
        """
        from nas.runtimes.onnx.fp16 import halved
        from nas.runtimes.onnx.int8 import dynamically_quantized, quantized
        from nas.runtimes.onnx.layers import nodes_of

        if precision == "fp16":
            return self._with_facts(halved(self.exported, keep_io=True), precision)
        if precision == "fp32":
            return self._with_facts(self.exported, precision)
        int8 = int8 or Int8.of(self.model)
        if int8.scheme == "dynamic":
            return self._with_facts(dynamically_quantized(self.exported), precision)
        images = check_calibration(self.model.classes, self.calibration)
        made = quantized(
            self.exported,
            network_inputs(self.model.preprocessing, images),
            float_nodes=nodes_of(self.exported.graph, int8.float_blocks),
            target=int8.target,
            ranges=Path(self._folder.name) / f"ranges-{int8.target}.json",
        )
        return self._with_facts(made, precision)

    def _with_facts(self, graph: onnx.ModelProto, precision: Precision) -> onnx.ModelProto:
        import onnx

        from nas.runtimes.facts import facts_of

        copy = onnx.ModelProto()
        copy.CopyFrom(graph)
        del copy.metadata_props[:]
        for key, value in facts_of(self.model, precision).items():
            copy.metadata_props.add(key=key, value=value)
        return copy
