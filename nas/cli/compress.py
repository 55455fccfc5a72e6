"""nas compress: a trained model made smaller or faster, step by step."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nas.cli.amounts import drop, runtimes, share
from nas.cli.output import Quiet, note, print_json
from nas.cli.source import DatasetName, Model, Pick, Seed, read_source
from nas.cli.train import training_bar
from nas.errors import UserError
from nas.space.layer import Precision

if TYPE_CHECKING:
    from nas.compress.step import Step

QUANTIZED: tuple[Precision, ...] = ("int8", "fp16")


def compress(
    model: Model,
    out: Annotated[Path, typer.Option(help="The folder to write: a model for nas export and further steps.")],
    pick: Pick = None,
    quantize: Annotated[str | None, typer.Option(metavar="int8|fp16", help="Quantize after training.")] = None,
    max_drop: Annotated[
        str | None, typer.Option(metavar="PERCENT", help="Largest loss of accuracy in points, e.g. 1%.")
    ] = None,
    prune: Annotated[
        str | None,
        typer.Option(metavar="SHARE", help="Prune channels until so much of the latency is gone, e.g. 40%."),
    ] = None,
    low_rank: Annotated[
        str | None,
        typer.Option(metavar="SHARE", help="Factorize weights until so many of the MACs are gone, e.g. 50%."),
    ] = None,
    anyway: Annotated[
        bool, typer.Option("--anyway", help="With --low-rank: also where the device does not become faster.")
    ] = False,
    share_weights: Annotated[
        bool, typer.Option("--share", help="Let equal blocks of a stage share their weights: a smaller file.")
    ] = False,
    device: Annotated[
        str | None,
        typer.Option(help="With --prune and --low-rank: device profile that chooses what goes (default: the run's)."),
    ] = None,
    qat: Annotated[
        bool, typer.Option("--qat", help="With --quantize int8: first train on with int8's rounding.")
    ] = False,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="Epochs of each fine-tuning (default: 5); --quantize has one with --qat.")
    ] = None,
    learning_rate: Annotated[
        float | None, typer.Option(help="With --qat: peak of the learning rate (default: 0.3 of the last training's).")
    ] = None,
    runtime: Annotated[
        str,
        typer.Option(help="With --max-drop: where the loss is measured, onnxruntime, litert or both: the larger one."),
    ] = "onnxruntime",
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

    What quantization loses is measured with the exported file by its runtime, against fp32 on the same validation
    images. With --max-drop a larger loss is not accepted: the blocks that suffer most stay in float, then the weights
    are trained on with int8's rounding as --qat does, then the whole network is fp16, then fp32, each measured.

    --qat is quantization-aware training: the weights, batch norms kept, become used to int8's rounding, and are then
    quantized as without it. It helps where int8 loses points, and gives nothing where it loses none.

    --prune takes whole channels away, those that cost most for what they give by the device's profile, prints what the
    device gains, and then fine-tunes what is left.

    --low-rank makes pointwise, linear and dense weights products of smaller ones. That saves MACs and size, on many
    devices little time: where the profile predicts that less than a twentieth of the latency goes, it says so and does
    nothing, unless --anyway.

    --share lets equal blocks of a stage compute with one set of weights. The file becomes smaller and nothing faster.

    Steps chain, in one command always in this order: --share, --low-rank, --prune, --quantize. In another order, give
    the folder of one command to the next. If a command is stopped, the same command goes on.

    Example: nas compress runs/tiny-raspberry-pi-4-1 --pick 17 --quantize int8 --max-drop 1% --out tiny-int8

    Example: nas compress runs/tiny-raspberry-pi-4-1 --pick 17 --quantize int8 --qat --epochs 3 --out tiny-qat

    Example: nas compress runs/tiny-raspberry-pi-4-1 --pick 17 --prune 40% --quantize int8 --out tiny-pruned

    Example: nas compress tiny-pruned --share --low-rank 30% --device raspberry-pi-4 --out tiny-small
    """
    from nas.compress.finetune import EPOCHS
    from nas.compress.qat import Qat
    from nas.deploy.compress import check_model_folder
    from nas.deploy.compress import compress as compress_model
    from nas.runtimes.by_name import deployed_runtime

    most = drop(max_drop, "--max-drop")
    part, factor = share(prune, "--prune", whole=False), share(low_rank, "--low-rank", whole=False)
    changed = part is not None or factor is not None or share_weights
    if quantize is None and not changed:
        raise UserError("nas compress needs a step, e.g. --quantize int8")
    precision = next((p for p in QUANTIZED if p == quantize), None)
    if quantize is not None and precision is None:
        raise UserError(f"--quantize must be {' or '.join(QUANTIZED)}; got {quantize[:80]!r}")
    if dynamic and quantize != "int8":
        raise UserError("--dynamic is for --quantize int8")
    if qat and (quantize != "int8" or dynamic):
        raise UserError("--qat is for --quantize int8, without --dynamic: it trains with the rounding of int8")
    if learning_rate is not None and not qat:
        raise UserError("--learning-rate is for --qat")
    if epochs is not None and not (changed or qat):
        raise UserError("--epochs are those of fine-tuning, with --share, --low-rank, --prune or --qat")
    if anyway and factor is None:
        raise UserError("--anyway is for --low-rank")
    if most is not None and quantize is None:
        raise UserError("--max-drop is for --quantize")
    measured = runtimes(runtime)
    if measured != ("onnxruntime",) and quantize is None:
        raise UserError("--runtime is for --quantize: it says where its loss is measured")
    for name in measured:
        deployed_runtime(name).check()
    if device is not None and part is None and factor is None:
        raise UserError("--device is for --prune and --low-rank: its profile chooses what goes")
    tuning = Qat(epochs or EPOCHS, learning_rate) if qat else None
    check_model_folder(out, force=force)
    source = read_source(model, pick, dataset, seed)

    profile = None
    steps: list[Step] = []
    if share_weights:
        from nas.compress.share import Share

        steps.append(Share(epochs or EPOCHS))
    if part is not None or factor is not None:
        from nas.compress.low_rank import LowRank
        from nas.compress.prune import Prune
        from nas.device.profile import load_device

        if device is None and source.device is None:
            raise UserError("what to take away is chosen by a device's profile; name it with --device")
        profile = load_device(device or source.device or "")
        if factor is not None:
            steps.append(LowRank(factor, epochs or EPOCHS, precision, anyway=anyway))
        if part is not None:
            steps.append(Prune(part, epochs or EPOCHS, precision))
    if precision is not None:
        from nas.compress.quantize import Quantize

        steps.append(Quantize(precision, most, "dynamic" if dynamic else "static", tuning, measured))
    with training_bar() as show:
        made = compress_model(source, steps, out, profile=profile, force=force, on_progress=note, on_training=show)
    done = made.lineage.steps[len(source.model.lineage.steps) :]
    if as_json:
        print_json({"folder": str(out), "precision": made.precision, "recipe": dict(made.recipe), "steps": list(done)})
    else:
        print(f"{out}: {'; '.join(done)}")
