"""OpenVINO on Intel's processors: an .xml file with its weights in a .bin file, made from the ONNX file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from nas.errors import UserError
from nas.files.atomic import write_atomic
from nas.models.int8 import Int8
from nas.runtimes.parity import agreement, check_difference, largest_difference
from nas.runtimes.runtime import Exported
from nas.space.layer import Precision

if TYPE_CHECKING:
    import numpy as np

    from nas.data.dataset import Split
    from nas.models.trained import TrainedModel
    from nas.runtimes.parity import Outputs

NEEDS = 'OpenVINO is not installed: pip install "edge-nas[openvino]"'
EXACT = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1}  # it computes in bfloat16 where it can


class OpenVino:
    """See `nas.runtimes.runtime.Exporter`."""

    name = "openvino"
    suffix = ".xml"
    exported: tuple[Precision, ...] = ("fp32", "fp16", "int8")

    def check(self) -> None:
        _openvino()

    def export(self, model: TrainedModel, path: Path, *, calibration: Split | None = None) -> Exported:
        """The weights stand beside `path`, in a file of the same name that ends in .bin."""
        from nas.runtimes.onnx.parity import first_that_differs
        from nas.runtimes.onnxruntime import OnnxRuntime

        precision, ov = model.precision, _openvino()
        if precision == "int8" and (int8 := Int8.of(model)) != Int8(float_blocks=int8.float_blocks):
            raise UserError("int8 files for OpenVINO have static ranges, for processors; the model's recipe has others")
        variants = OnnxRuntime().variants(model, calibration)
        graph = variants.graph("fp32" if precision == "fp16" else precision)
        with TemporaryDirectory(prefix="nas-") as folder:
            xml, weights = Path(folder) / "model.xml", Path(folder) / "model.bin"
            with _read(ov, graph.SerializeToString()) as read:
                ov.save_model(read, xml, compress_to_fp16=precision == "fp16")
            run, wanted = _session(ov, ov.Core().read_model(xml)), variants.logits
            got = [next(iter(run(image).values())) for image in variants.images]
            difference = largest_difference(wanted, got)
            check_difference(path, precision, difference, lambda least: first_that_differs(
                variants.module, variants.exported, graph, variants.images[:4], self.outputs, least
            ))  # fmt: skip
            size = xml.stat().st_size + weights.stat().st_size
            write_atomic(path.with_suffix(".bin"), weights.read_bytes())
            write_atomic(path, xml.read_bytes())
        notes = (f"weights are in {path.with_suffix('.bin').name}: keep the two together",)
        return Exported(
            path,
            model.network.input_shape,
            size / 1e6,
            difference,
            precision,
            agreement(wanted, got),
            notes,
            model.network.detects,
        )

    def outputs(self, model: bytes) -> Outputs:
        """An ONNX model in OpenVINO on this processor, ready to give every output of its graph by name."""
        ov = _openvino()
        with _read(ov, model) as read:
            return _session(ov, read)


def _openvino() -> Any:
    try:
        import openvino
    except ImportError:
        raise UserError(NEEDS) from None
    return openvino


@contextmanager
def _read(ov: Any, model: bytes) -> Iterator[Any]:
    """An ONNX model as OpenVINO reads it, from a file that is there meanwhile."""
    with TemporaryDirectory(prefix="nas-") as folder:
        path = Path(folder) / "model.onnx"
        path.write_bytes(model)
        yield ov.Core().read_model(path)


def _session(ov: Any, read: Any) -> Outputs:
    compiled = ov.Core().compile_model(read, "CPU", EXACT)
    names = [output.get_any_name() for output in compiled.outputs]

    def run(images: np.ndarray) -> dict[str, np.ndarray]:
        found = compiled([images])
        return {name: found[n].copy() for n, name in enumerate(names)}

    return run
