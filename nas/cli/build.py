"""nas build: a network of a run as a file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nas.cli.output import print_json
from nas.cli.pick import Greedy, MaxEnergy, MaxLatency, MaxMemory, MaxSize, budgets, check_pick, picked
from nas.cli.source import weights_text
from nas.numbers import figure


def build(
    run: Annotated[Path, typer.Argument(help="The run's folder.")],
    onnx: Annotated[Path, typer.Option(help="The ONNX file to write.")],
    which: Annotated[
        str | None, typer.Option("--pick", metavar="TRIAL|knee", help="A trial's number, or knee.")
    ] = None,
    max_latency: MaxLatency = None,
    max_energy: MaxEnergy = None,
    max_size: MaxSize = None,
    max_memory: MaxMemory = None,
    greedy: Greedy = False,
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it exists.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Write a picked network of a run as an fp32 ONNX file.

    The weights are those of nas train, where RUN/trained has the network; else those of the short proxy training, good
    enough to measure with, not to deploy.

    Example: nas build runs/tiny-raspberry-pi-4-1 --pick knee --onnx knee.onnx
    """
    from nas.deploy.build import build as build_onnx
    from nas.deploy.build import check_output
    from nas.run import load_run

    check_pick(which)
    check_output(onnx, force=force)
    found = load_run(run)
    limits = budgets(max_latency, max_energy, max_size, max_memory)
    choice = picked(found, which, limits, greedy=greedy)
    chosen = choice.trial
    written = build_onnx(found, pick=chosen, onnx=onnx, force=force)
    if as_json:
        print_json(
            {"trial": chosen.trial, "onnx": str(onnx), "megabytes": written.megabytes, "difference": written.difference}
        )
        return
    size = "x".join(map(str, written.input_shape))
    print(
        f"{onnx}: trial {chosen.trial}, {weights_text(found.path, chosen.trial)}, fp32, input image 1x{size}, "
        f"{figure(written.megabytes)} MB; its logits agree with PyTorch's within {written.difference:.1e}"
    )
