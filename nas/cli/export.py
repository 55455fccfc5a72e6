"""nas export: a trained model as a file for a runtime."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nas.cli.amounts import precisions
from nas.cli.output import Quiet, hushed, note, print_json
from nas.cli.source import DatasetName, Model, Pick, Seed, read_source
from nas.errors import UserError
from nas.numbers import figure


def export(
    model: Model,
    out: Annotated[Path, typer.Option(help="The file to write.")],
    pick: Pick = None,
    runtime: Annotated[
        str, typer.Option(help="Runtime: onnxruntime, litert, openvino, executorch, tensorrt.")
    ] = "onnxruntime",
    precision: Annotated[
        str | None, typer.Option(metavar="fp32|fp16|int8", help="Precision (default: the model's).")
    ] = None,
    dynamic: Annotated[
        bool, typer.Option("--dynamic", help="int8 in linear layers alone, ranges measured at each inference.")
    ] = False,
    dataset: DatasetName = None,
    seed: Seed = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it exists.")] = False,
    quiet: Quiet = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Write a trained model as a file for a runtime, once it agrees with the model on training images.

    int8 takes its ranges from 256 training images. What of an int8 file does not run in integers is said: it is what
    makes such a file slow. To bound what int8 loses, run nas compress first.

    For TensorRT the file is ONNX, with the command that builds an engine of it on the board.

    Example: nas export runs/tiny-raspberry-pi-4-1 --pick 17 --precision int8 --out tiny-int8.onnx
    """
    from nas.deploy.export import export as export_model

    asked = precisions(precision) or []
    if len(asked) > 1:
        raise UserError(f"--precision must be one of fp32, fp16, int8; got {(precision or '')[:80]!r}")
    source = read_source(model, pick, dataset, seed)
    with hushed():
        written = export_model(
            source, out, runtime=runtime, precision=asked[0] if asked else None, force=force, dynamic=dynamic,
        )  # fmt: skip
    if as_json:
        print_json({
            "file": str(out), "runtime": runtime, "precision": written.precision, "megabytes": written.megabytes,
            "difference": written.difference, "agreement": written.agreement, "notes": list(written.notes),
        })  # fmt: skip
        return
    size = "x".join(map(str, written.input_shape))
    print(f"{out}: {written.precision}, input image 1x{size}, {figure(written.megabytes)} MB; {written.agreed}")
    for line in written.notes:
        note(line)
