"""nas compress: a trained model made smaller or faster, step by step."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nas.cli.amounts import drop
from nas.cli.output import Quiet, note, print_json
from nas.cli.source import DatasetName, Model, Pick, Seed, read_source
from nas.errors import UserError
from nas.space.layer import Precision

QUANTIZED: tuple[Precision, ...] = ("int8", "fp16")


def compress(
    model: Model,
    out: Annotated[Path, typer.Option(help="The folder to write: a model for nas export and further steps.")],
    pick: Pick = None,
    quantize: Annotated[str | None, typer.Option(metavar="int8|fp16", help="Quantize after training.")] = None,
    max_drop: Annotated[
        str | None, typer.Option(metavar="PERCENT", help="Largest loss of accuracy in points, e.g. 1%.")
    ] = None,
    dynamic: Annotated[
        bool, typer.Option("--dynamic", help="int8 in linear layers alone, ranges measured at each inference.")
    ] = False,
    dataset: DatasetName = None,
    seed: Seed = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the folder if it is a model's.")] = False,
    quiet: Quiet = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Compress a trained model; the result is a model like any other.

    What quantization loses is measured with the exported file in ONNX Runtime, against fp32 on the same validation
    images. With --max-drop a larger loss is not accepted: the blocks that suffer most stay in float, then the whole
    network in fp16, then fp32, each measured.

    Example: nas compress runs/tiny-raspberry-pi-4-1 --pick 17 --quantize int8 --max-drop 1% --out tiny-int8
    """
    from nas.deploy.compress import check_model_folder
    from nas.deploy.compress import compress as compress_model

    most = drop(max_drop, "--max-drop")
    if quantize is None:
        raise UserError("nas compress needs a step, e.g. --quantize int8")
    precision = next((p for p in QUANTIZED if p == quantize), None)
    if precision is None:
        raise UserError(f"--quantize must be {' or '.join(QUANTIZED)}; got {quantize[:80]!r}")
    if dynamic and quantize != "int8":
        raise UserError("--dynamic is for --quantize int8")
    check_model_folder(out, force=force)
    source = read_source(model, pick, dataset, seed)

    from nas.compress.quantize import Quantize

    step = Quantize(precision, most, "dynamic" if dynamic else "static")
    made = compress_model(source, [step], out, force=force, on_progress=note)
    done = made.lineage.steps[len(source.model.lineage.steps) :]
    if as_json:
        print_json({"folder": str(out), "precision": made.precision, "recipe": dict(made.recipe), "steps": list(done)})
    else:
        print(f"{out}: {'; '.join(done)}")
