"""nas profile vela: a profile of an Ethos-U without hardware, by Arm's compiler."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nas.cli import completion
from nas.cli.amounts import listed
from nas.cli.output import Quiet, hushed, note, stderr_console
from nas.cli.own_profile import own_folder
from nas.numbers import percent


def vela(
    config: Annotated[
        str, typer.Option(help="The NPU: ethos-u55-32 to -256, ethos-u65-256 or -512, ethos-u85-128 to -2048.")
    ],
    space: Annotated[
        str,
        typer.Option(help="Search spaces, with commas between.", autocompletion=completion.spaces),
    ] = "tiny",
    resolution: Annotated[int | None, typer.Option(help="Only this resolution of the spaces (default: all).")] = None,
    sram: Annotated[
        int | None,
        typer.Option(metavar="KIB", min=1, help="The chip's SRAM; blocks beyond it do not fit.", show_default="2048"),
    ] = None,
    networks: Annotated[int, typer.Option(min=4, max=1000, help="Whole networks of each space, which check it.")] = 20,
    seed: Annotated[int, typer.Option(min=0, help="Random seed of the whole networks.")] = 0,
    name: Annotated[str | None, typer.Option(help="The profile's name (default: that of the NPU).")] = None,
    out: Annotated[Path | None, typer.Option(help="The profile's folder (default: among your own profiles).")] = None,
    quiet: Quiet = False,
) -> None:
    """Estimate the blocks of search spaces on an Arm Ethos-U with Vela, its compiler: no board is needed.

    The profile is marked as a compiler estimate. It needs Vela: pip install 'ethos-u-vela>=5.2,<6'.

    Example: nas profile vela --config ethos-u55-128 --space mobilenet-v2,mobilenet-v3
    """
    from rich.progress import track

    from nas.catalog import home
    from nas.profiling.vela.configurations import SRAM_KIB, configuration_of
    from nas.profiling.vela.profile import vela_profile

    folder = own_folder(name or configuration_of(config).name, out)
    console = stderr_console()
    steps = None

    def show(done: int, total: int) -> None:
        nonlocal steps
        if steps is None:
            steps = iter(track(range(total), "compiling", console=console, disable=not console.is_terminal))
        next(steps, None)

    with hushed():
        found = vela_profile(
            listed(space), config, folder, resolution=resolution, sram_kib=sram or SRAM_KIB, networks=networks,
            seed=seed, progress=show,
        )  # fmt: skip
    if found.left_out:
        note(f"{len(found.left_out)} blocks have an operator that stays on the CPU, and no figure: {found.left_out[0]}")
    e = found.error
    print(
        f"int8: mean error {percent(e.mean)} on {e.networks} networks compiled whole, a fifth held out at a time "
        f"(a constant: {percent(e.constant)}, MACs: {percent(e.macs)}), Spearman {e.spearman:.3f}"
    )
    own = folder == home() / "device_profiles" / folder.name
    print(f"{folder}: a compiler estimate; search with --device {folder.name if own else folder}")
