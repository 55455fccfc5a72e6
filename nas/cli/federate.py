"""nas federate: several sites learn one network without sending their images."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nas.cli.amounts import drop
from nas.cli.output import Quiet, hushed, note, print_json, print_table
from nas.errors import UserError
from nas.files.plain import printable
from nas.numbers import percent

if TYPE_CHECKING:
    from nas.monitor.federate import Done
    from nas.train.federated import Map

WAYS = ("before", "local", "federated", "central")


def federate(
    folder: Annotated[Path, typer.Argument(help="The deployment folder.")],
    clients: Annotated[
        list[Path], typer.Option(metavar="DIR", help="A site's labelled pictures, a folder a class; once a site.")
    ],
    rounds: Annotated[int, typer.Option(min=1, help="Rounds: each site learns, then the weights are averaged.")] = 10,
    epochs: Annotated[int, typer.Option(min=1, help="Epochs at each site in a round.")] = 1,
    learning_rate: Annotated[float, typer.Option(help="Learning rate at the sites.")] = 0.01,
    clip: Annotated[float, typer.Option(help="Largest norm of a site's update; 0: not clipped.")] = 0.0,
    noise: Annotated[
        float, typer.Option(help="Noise in the sum of the updates, in units of what one site can change.")
    ] = 0.0,
    max_loss: Annotated[
        str | None, typer.Option(metavar="PERCENT", help="Largest loss on the old test images, in points.")
    ] = None,
    model: Annotated[
        Path | None, typer.Option(metavar="DIR", help="The trained model of the version (default: found in its run).")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Sites that train at once, by Ray (default: one a processor).")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Random seed.")] = 0,
    quiet: Quiet = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Let several sites learn on from the version in use, by federated averaging with local batch norms.

    Each site's accuracy is printed before, alone, federated, and with all images in one place. The new version has the
    mean of the sites' batch norms; each site's own model lies beside it. It is put into use by nas switch.

    Example: nas federate flowers --clients gate --clients yard --clients roof
    """
    from nas.monitor.federate import federate_folder, privacy_of
    from nas.profiling.boards.local import Stopped
    from nas.train.federated import Federation

    asked = Federation(rounds, epochs, learning_rate, clip=clip, noise=noise, seed=seed)
    most = drop(max_loss, "--max-loss")
    try:
        with hushed():
            done = federate_folder(
                folder, clients, asked, model=model, max_loss=most, run=_map(workers, len(clients)), tell=note,
                on_round=_told,
            )  # fmt: skip
    except Stopped as stopped:
        raise typer.Exit(stopped.status) from None
    if as_json:
        print_json({
            "version": done.version, "accuracy": done.found.accuracy, "sent_mb": done.found.sent_mb,
            "old_test": {"before": done.old_before, "after": done.old_after},
        })  # fmt: skip
        return
    _print(folder, done)
    print(privacy_of(asked, done.found))


def _map(workers: int | None, sites: int) -> Map:
    """Ray's, where it is there and pays; else one site after the other."""
    from importlib.util import find_spec

    from nas.train.federated import one_by_one

    number = min(sites, workers or os.cpu_count() or 1)
    if number > 1 and find_spec("ray") is not None:
        from nas.search.workers.ray import mapped

        return mapped(number)
    if number > 1 and workers is not None:
        raise UserError("several workers need Ray: pip install ray")
    return one_by_one


def _told(number: int, accuracy: dict[str, float] | object) -> None:
    if isinstance(accuracy, dict):
        note(f"round {number}: {', '.join(f'{name} {percent(value)}' for name, value in accuracy.items())}")


def _print(folder: Path, done: Done) -> None:
    rows = [(name, *(percent(one[way]) for way in WAYS)) for name, one in done.found.accuracy.items()]
    print_table(["site", *WAYS], rows, right=list(WAYS))
    print(f"old test images: {percent(done.old_before)} before, {percent(done.old_after)} after")
    print(
        printable(
            f"Written: version {done.version}; put it into use: nas switch {folder} --to {done.version}; a site's own "
            f"model: {folder}/.models/{done.version}-sites/SITE"
        )
    )
