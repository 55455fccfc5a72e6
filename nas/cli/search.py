"""nas search: the main job."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nas.cli import completion
from nas.cli.amounts import amount, listed, named_values, precisions
from nas.cli.output import Interrupted, Quiet, note, print_json, stderr_console
from nas.cli.pick import MaxEnergy, MaxLatency, MaxMemory, MaxSize, budgets
from nas.errors import UserError
from nas.files.plain import printable
from nas.numbers import clock

if TYPE_CHECKING:
    from nas.search.progress import Progress as State
    from nas.search.workers.workers import Cluster


def search(
    device: Annotated[
        str | None,
        typer.Option(
            help="A device profile, by name or folder; nas devices lists them.", autocompletion=completion.devices
        ),
    ] = None,
    space: Annotated[
        str | None,
        typer.Option(
            help="A search space, by name or file; nas spaces lists them (default: tiny; tiny-detector for detection).",
            autocompletion=completion.spaces,
        ),
    ] = None,
    dataset: Annotated[
        str | None,
        typer.Option(
            help="The images: digits, cifar10, folder:PATH or npz:PATH; with boxes drawn, coco:PATH or voc:PATH "
            "(default: digits; drawn for detection)."
        ),
    ] = None,
    task: Annotated[
        str | None, typer.Option(help="classification or detection (default: what the dataset is for).")
    ] = None,
    objectives: Annotated[
        str | None,
        typer.Option(
            help="What to optimize: some of accuracy, robust-accuracy, latency, energy, params, macs, peak-memory, "
            "size, with commas between (default: accuracy, latency, and energy where the device has it)."
        ),
    ] = None,
    time: Annotated[
        str | None,
        typer.Option(
            help="Time for the whole search, e.g. 90s, 30m or 2h; how many networks are trained, and for how long, "
            "follows from it (default: 5m; with --trials: no limit)."
        ),
    ] = None,
    trials: Annotated[
        int | None, typer.Option(help="Number of networks to train (default: as many as the time is enough for).")
    ] = None,
    max_latency: MaxLatency = None,
    max_energy: MaxEnergy = None,
    max_size: MaxSize = None,
    max_memory: MaxMemory = None,
    max_params: Annotated[
        str | None, typer.Option(metavar="COUNT", help="Budget for the parameters, e.g. 2.5M.")
    ] = None,
    max_macs: Annotated[
        str | None, typer.Option(metavar="COUNT", help="Budget for the multiply-adds, e.g. 100M.")
    ] = None,
    precision: Annotated[str | None, typer.Option(help="Search only these, e.g. int8.")] = None,
    target: Annotated[
        str | None,
        typer.Option(
            help="Propose only what this accelerator maps, e.g. edge-tpu, ethos-u55 or a TOML file (default: the "
            "device's, if it names one).",
            autocompletion=completion.targets,
        ),
    ] = None,
    estimator: Annotated[
        str,
        typer.Option(
            help="What accuracies come from: proxy, a short training; curve or combined, predictions after "
            "some trainings; or table, a CSV of known accuracies."
        ),
    ] = "proxy",
    estimator_setting: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="A setting of the estimator, e.g. path=networks.csv; may be repeated."),
    ] = None,
    guide: Annotated[
        str | None,
        typer.Option(
            metavar="SCORES",
            help="Score 100 untrained networks first, to begin where the front may be: zero-cost, supernet, other "
            "scores, sums as zero-cost+supernet, or none (default: zero-cost, from 15 minutes on).",
        ),
    ] = None,
    sampler: Annotated[
        str | None,
        typer.Option(
            help="Sampler: pareto, tpe, nsga2 or random (default: pareto; tpe for one objective, or more than four)."
        ),
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="Epochs of a proxy training (default: by the time).")] = None,
    data_share: Annotated[
        float | None, typer.Option(help="Share of the training images that a proxy training uses.")
    ] = None,
    resolution_share: Annotated[
        float | None,
        typer.Option(help="Resolution of the first training steps, as a share of the candidate's own."),
    ] = None,
    full_resolution_share: Annotated[
        float | None,
        typer.Option(help="Share of the training steps, the last, at the candidate's own resolution."),
    ] = None,
    validation_share: Annotated[
        float | None,
        typer.Option(help="Share of the validation images that accuracies are measured on (default: by the time)."),
    ] = None,
    batch_size: Annotated[int | None, typer.Option(help="Images in a training step.")] = None,
    confirm: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE",
            help="Share of the trials, or of the time, for training the front's networks and their rivals again with "
            "other seeds (default: 0.2; 0: none).",
        ),
    ] = None,
    early_stopping: Annotated[
        bool, typer.Option("--early-stopping", help="Stop trainings that are unlikely to reach the front (ASHA).")
    ] = False,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Number of trainings at a time, by Ray (default: 1).")
    ] = None,
    ray: Annotated[str | None, typer.Option(metavar="ADDRESS", help="Train on this Ray cluster, e.g. auto.")] = None,
    cpus_per_trial: Annotated[
        float | None,
        typer.Option(help="Processors for each training (default: this machine's, shared evenly; 1 on --ray)."),
    ] = None,
    gpus_per_trial: Annotated[float, typer.Option(help="GPUs for each training.")] = 0.0,
    storage: Annotated[
        str,
        typer.Option(
            metavar="URL",
            help="Keep the trials in this Optuna storage (default: a file in the run's folder). Put its password in "
            "NAS_STORAGE_PASSWORD; it is never written to a file. --resume needs the URL again.",
        ),
    ] = "",
    seed: Annotated[int, typer.Option(help="Random seed; equal seeds give equal runs on one machine.")] = 0,
    out: Annotated[Path | None, typer.Option(help="The run's folder (default: runs/SPACE-DEVICE-N).")] = None,
    resume: Annotated[
        Path | None, typer.Option(metavar="RUN", help="Resume this run, with the settings that it was begun with.")
    ] = None,
    test: Annotated[bool, typer.Option(help="Measure the final front on the test split.")] = True,
    quiet: Quiet = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the front as JSON; progress goes to stderr.")] = False,
) -> None:
    """Search a space for the best networks on a device, and write a run folder with their Pareto front.

    Networks are trained for a few epochs; their costs are predicted from the device's profile. Budgets are checked
    before training, so no network that exceeds one is trained. --resume continues a stopped run.

    Example: nas search --device raspberry-pi-4

    Example: nas search --device raspberry-pi-4 --space mobilenet-v3 --dataset cifar10 --max-latency 60ms --time 2h

    Example: nas search --task detection --device raspberry-pi-4 --space mobiledet --dataset coco:photos --time 2h
    """
    if (device is None) == (resume is None):
        raise UserError("give --device, or --resume with the run to continue; nas devices lists the devices")
    from nas.search import api

    cluster = _cluster(workers, ray, cpus_per_trial, gpus_per_trial)
    with _told(), _bar() as (show, say):
        if resume is not None:
            run = api.resume(
                resume, trials=trials, time=time, confirm=confirm, test=test, cluster=cluster,
                storage=storage, on_progress=show, on_note=say,
            )  # fmt: skip
        elif device is not None:
            limits = budgets(max_latency, max_energy, max_size, max_memory)
            for name, value in (("max_params", max_params), ("max_macs", max_macs)):
                if (count := amount(value, "", f"--{name.replace('_', '-')}")) is not None:
                    limits[name] = count
            proxy = {
                "epochs": epochs,
                "data_share": data_share,
                "resolution_share": resolution_share,
                "full_resolution_share": full_resolution_share,
                "validation_share": validation_share,
                "batch_size": batch_size,
            }
            run = api.search(
                device, space, dataset, None if objectives is None else listed(objectives),
                sampler=sampler, trials=trials, time=time, task=task,
                precisions=precisions(precision), target=target, budgets=limits,
                proxy={name: value for name, value in proxy.items() if value is not None},
                estimator=estimator, estimator_settings=named_values(estimator_setting, "--estimator-setting"),
                guide=guide, seed=seed, early_stopping=early_stopping,
                confirm=api.CONFIRM if confirm is None else confirm,
                cluster=cluster, storage=storage, out=out, test=test,
                on_progress=show, on_note=say,
            )  # fmt: skip
    from nas.report import front_table, write_report
    from nas.run import row_of

    write_report(run)
    if as_json:
        front = [row_of(t) | {"candidate": t.candidate.as_dict()} for t in run.front_trials]
        print_json({"run": str(run.path), "hypervolume": run.hypervolume, "front": front,
                    "left_off": [t.trial for t in run.left_off]})  # fmt: skip
        return
    from rich.console import Console

    Console().print(front_table(run))
    print(f"Run folder: {run.path}\nReport: {run.path / 'report.html'}")
    note(f"Next: nas pick {run.path} --knee")


def _cluster(workers: int | None, address: str | None, cpus: float | None, gpus: float) -> Cluster | None:
    if address is None and workers in (None, 1):
        if cpus is not None or gpus:
            raise UserError("--cpus-per-trial and --gpus-per-trial need --workers or --ray")
        return None
    import os

    from nas.search.workers.workers import Cluster

    if not all(0 <= x < float("inf") for x in (cpus or 0, gpus)) or (cpus == 0 and gpus == 0):
        raise UserError(f"a training needs processors and GPUs of 0 or more; got {cpus or 0:g} and {gpus:g}")
    shared = 1.0 if address else max(1.0, (os.cpu_count() or 1) / (workers or 1))
    return Cluster(workers, address, shared if cpus is None else cpus, gpus)


@contextmanager
def _told() -> Iterator[None]:
    """Takes what an interrupted search says past Typer."""
    try:
        yield
    except KeyboardInterrupt as stop:
        raise Interrupted(str(stop) or "interrupted") from None


@contextmanager
def _bar() -> Iterator[tuple[Callable[[State], None], Callable[[str], None]]]:
    """A bar on stderr with the front's size, its hypervolume and the time left, and a way to print a line above it.

    Lines instead of the bar where stderr is not a terminal.
    """
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    from nas.cli.elapsed import Elapsed

    console = stderr_console()
    columns = (BarColumn(14), MofNCompleteColumn(), TextColumn("{task.description},"), Elapsed())
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("loading", total=None)

        prepared: tuple[str, int] | None = None  # what the last line of the preparation told, in tenths

        def show_preparing(what: str, done: int, total: int) -> None:
            nonlocal prepared
            progress.update(task, total=total, completed=done, description=f"preparing {what}")
            tenth = what, 10 * done // max(1, total)
            if not console.is_terminal and tenth != prepared:
                console.print(f"preparing {what}: {done} of {total}")
            prepared = tenth

        def show(p: State) -> None:
            if p.preparing is not None:
                show_preparing(*p.preparing)
                return
            left = "" if p.seconds_left is None else f", {clock(p.seconds_left)} left"
            confirming = f"confirming {p.confirmed} of {p.confirming}, " if p.confirming else ""
            text = f"{confirming}front {p.front}, hypervolume {p.hypervolume:.3f}{left}"
            progress.update(task, total=p.total, completed=p.done, description=text)
            if p.note:
                console.print(p.note)
            elif not console.is_terminal and p.trial is not None:
                console.print(f"trial {p.done} of {p.total}: {text}")

        yield show, lambda line: console.print(printable(line), markup=False, highlight=False, soft_wrap=True)
