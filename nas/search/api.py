"""The main job: a device, a space and a dataset in, a run folder with its Pareto front out."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Any

from pydantic import ValidationError

from nas.catalog import home, lasting, lasting_dataset
from nas.device.profile import DeviceProfile, load_device
from nas.device.support.narrow import for_target
from nas.device.support.target import Target, target_of
from nas.errors import UserError, require, unknown
from nas.files.toml import first_problem
from nas.run import (
    Run,
    Settings,
    Storage,
    check_budgets,
    check_free,
    check_objectives,
    default_objectives,
    has_ended,
    read_settings,
    read_storage,
)
from nas.run.average_precision import MOST_CLASSES
from nas.run.objectives import ENERGY
from nas.search import loop
from nas.search.estimator import check_unchanged, estimator_of, with_estimator
from nas.search.guided import MOST_TIME, NONE, check_guide, guide_of, usual_guide
from nas.search.plan import minutes_of
from nas.search.problem.costs import DevicePricer, references
from nas.search.problem.feasibility import feasible_pool
from nas.search.progress import OnProgress, Progress
from nas.search.samplers.by_name import default_sampler
from nas.search.settings import check_settings, check_storage
from nas.search.timed import Asked, in_time
from nas.search.workers.workers import Cluster
from nas.space.layer import PRECISIONS, Precision
from nas.space.search_space import SearchSpace, load_space

TRIALS = 50  # of a search that is not limited by a time
MINUTES = 5.0  # of a search that is given neither a time nor a number of trials
CONFIRM = 0.2
OnNote = Callable[[str], object]  # what the user should know before the search: a line

USUAL = {
    "classification": ("tiny", "digits"),
    "detection": ("tiny-detector", "drawn"),
}  # space and dataset of each task
BOXED = ("drawn", "coco", "voc")  # kinds of datasets with boxes


def search(
    device: str,
    space: str | None = None,
    dataset: str | None = None,
    objectives: Sequence[str] | None = None,
    *,
    sampler: str | None = None,
    trials: int | None = None,
    time: str | float | None = None,
    task: str | None = None,
    precisions: Sequence[Precision] | None = None,
    target: str | None = None,
    budgets: Mapping[str, float] | None = None,
    proxy: Mapping[str, float] | None = None,
    estimator: str = "proxy",
    estimator_settings: Mapping[str, str | float] | None = None,
    guide: str | None = None,
    seed: int = 0,
    early_stopping: bool = False,
    confirm: float = CONFIRM,
    cluster: Cluster | None = None,
    storage: str = "",
    out: Path | str | None = None,
    test: bool = True,
    on_progress: OnProgress = lambda _: None,
    on_note: OnNote = lambda _: None,
) -> Run:
    """Searches `space` for the Pareto front on a named device and returns the finished run.

    With a `cluster`, Ray trains several networks at a time; `storage` is an Optuna URL for the trials (default: a file
    in the run's folder). The run folder keeps the URL without its password, which may also be in the environment
    variable NAS_STORAGE_PASSWORD.

    `time` is that of the whole search, such as 30m, 90s or 2h, or a number of minutes: how many networks are trained
    and for how long follows from it and from how fast this machine is (`nas.search.plan`), but what `trials` and
    `proxy` give stays. Without either it is 5 minutes; with `trials` alone there is no limit, and trainings are as the
    space has them.

    The `task` is that of the dataset. For "classification" space and dataset are tiny and digits where they are not
    given, for "detection" tiny-detector and drawn; the accuracies of detectors are COCO's mAP.

    `objectives` are some of accuracy, robust-accuracy, latency, energy, params, macs, peak-memory, size (default:
    accuracy, latency, and energy where the device has it). `sampler` is pareto, tpe, nsga2 or random (default: pareto,
    and tpe where the objectives are fewer than two or more than four). `budgets` may hold max_latency_ms,
    max_energy_mj, max_size_mb, max_memory_mb, max_params, max_macs. `target` is an accelerator (default: the device's,
    where it names one): choices that its compiler cannot map leave the space, and only networks that run on it as a
    whole are trained. `proxy` may change epochs, data_share,
    resolution_share, full_resolution_share, batch_size. `estimator` is what accuracies come from: proxy, which trains
    every network; curve and combined, which predict them after some trainings; or table, a CSV. `estimator_settings`
    are its own: first (epochs) of curve, trainings and design of both, labels (a CSV) and score of combined, path (a
    CSV) and accuracy (its columns) of table. `guide` names scores of untrained networks, with + between
    (zero-cost+supernet), from which the search learns where to look first: 100 networks are scored before it; of
    networks that are not clearly less accurate, `nas.pick` then takes the guide's favorite. Default: zero-cost in
    searches of 15 minutes and more, as long as the scores take less than 8% of the time; none: no guide. `confirm` is
    the share of the trials, or of the time where that is limited, that is spent at the end on training the front's
    networks and their rivals again with other seeds; the front is formed of the expected accuracies. `out` is the run's
    folder (default: runs/SPACE-DEVICE-N).
    Raises UserError.

        nas.search("raspberry-pi-4", trials=50, budgets={"max_latency_ms": 3.0}).front
    """
    for what, value in (("dataset", dataset or ""), ("storage", storage), ("guide", guide or ""), ("task", task or "")):
        require(what, value, str, "text")
    space, dataset = _usual(task, space, dataset)
    for what, listed in (("objectives", objectives or []), ("precisions", precisions or [])):
        require(what, listed, (list, tuple), "a list of names")
    for what, named in (("budgets", budgets or {}), ("proxy", proxy or {})):
        require(what, named, Mapping, "numbers by name")
    require("out", out or "", (str, Path), "a folder")
    begun, minutes = perf_counter(), 0.0 if time is None else minutes_of(time)
    if time is None and trials is None and estimator == "proxy":
        minutes = MINUTES
    database = read_storage(storage) if storage else None
    profile, searched = load_device(device), load_space(space)
    accelerator = target_of(profile, None if target is None else lasting(target, ".toml"))
    wanted = default_objectives(energy=profile.has_energy) if objectives is None else tuple(objectives)
    limits = dict(budgets or {})
    _check_device(profile, wanted, limits)
    if odd := sorted({*(proxy or {})} - {*type(searched.proxy).model_fields}):
        raise unknown("proxy setting", odd[0], type(searched.proxy).model_fields)
    chosen = tuple(p for p in (precisions or PRECISIONS) if p in profile.precisions)
    if precisions and (missing := [p for p in precisions if p not in profile.precisions]):
        profile.require(precision=missing[0])
    if accelerator is not None:
        chosen = accelerator.precisions(chosen, named=bool(precisions))
    settings = Settings(
        space=lasting(space, ".toml"), space_sha256=searched.fingerprint, device=lasting(device),
        device_sha256=profile.fingerprint, dataset=lasting_dataset(dataset), classes=0, objectives=wanted,
        task=searched.task,
        sampler=sampler or default_sampler(len(wanted)), seed=seed,
        trials=TRIALS if trials is None else trials, max_minutes=minutes, confirm=confirm,
        early_stopping=early_stopping,
        precisions=tuple(searched.only(chosen).table.precision), budgets=limits,
        target=accelerator.name if accelerator else "", target_sha256=accelerator.sha256 if accelerator else "",
        proxy=searched.proxy.model_dump() | dict(proxy or {}),
    )  # fmt: skip
    check_settings(settings)
    settings = with_estimator(settings, estimator, estimator_settings or {})
    path = Path(out) if out is not None else free_folder(Path("runs"), f"{searched.name}-{profile.name}")
    if not (path / "run.toml").exists() or has_ended(path):
        check_free(path)  # before anything takes time
    if guide not in (None, NONE):
        check_guide(guide, settings)
        settings = replace(settings, guide=guide)
    elif guide is None and estimator == "proxy" and settings.task == "classification":
        settings = replace(settings, guide=usual_guide(minutes, settings, path))
    asked = Asked(minutes, begun, trials, proxy or {}, guide is not None) if minutes and estimator == "proxy" else None
    return _run(
        settings, profile, searched, accelerator, path, False, asked, test, cluster, database, on_progress, on_note
    )


def _usual(task: str | None, space: str | None, dataset: str | None) -> tuple[str, str]:
    """The space and the dataset of a task where they are not given. Raises UserError for an unknown task."""
    if task is None:
        kind = (dataset or "").partition(":")[0]
        task = "detection" if kind in BOXED else "classification"
    if task not in USUAL:
        raise unknown("task", task, USUAL)
    usual_space, usual_dataset = USUAL[task]
    return space or usual_space, dataset or usual_dataset


def resume(
    path: Path | str, *, trials: int | None = None, time: str | float | None = None, confirm: float | None = None,
    test: bool = True, cluster: Cluster | None = None, storage: str = "", on_progress: OnProgress = lambda _: None,
    on_note: OnNote = lambda _: None,
) -> Run:  # fmt: skip
    """Goes on with the run in a folder, with more trials, time or confirmation if given, and returns it.

    `time` is that of all trainings of the run, those before included; the trainings stay as they were. With more
    `trials` and no time there is no limit. A run whose trials are in a database needs its `storage` again: a folder
    from elsewhere opens none unasked. Raises UserError, before anything is written, for a folder that holds what no
    search would have written.
    """
    kept, database = read_settings(Path(path)), read_storage(storage) if storage else None
    check_storage(Path(path), kept, database)
    settings = replace(
        kept,
        trials=kept.trials if trials is None else trials,
        max_minutes=minutes_of(time) if time is not None else 0.0 if trials is not None else kept.max_minutes,
        confirm=kept.confirm if confirm is None else confirm,
    )
    check_settings(settings)
    profile, space = load_device(kept.device), load_space(kept.space)
    target = target_of(profile, kept.target or None)
    check_proxy(space, kept.proxy, f"{path}/run.toml")
    check_unchanged(kept, path)
    for what, now, was in (
        ("space", space.fingerprint, kept.space_sha256),
        ("device", profile.fingerprint, kept.device_sha256),
        ("target", target.sha256 if target else "", kept.target_sha256),
    ):
        if now != was:
            raise UserError(f"{what} {getattr(kept, what)} has changed since {path} was begun, so it cannot be resumed")
    return _run(settings, profile, space, target, Path(path), True, None, test, cluster, database, on_progress, on_note)


def _run(
    settings: Settings, profile: DeviceProfile, space: SearchSpace, target: Target | None, path: Path, resume: bool,
    asked: Asked | None, test: bool, cluster: Cluster | None, storage: Storage | None, on_progress: OnProgress,
    on_note: OnNote,
) -> Run:  # fmt: skip
    import torch

    from nas.data.catalog import load_dataset
    from nas.estimate.by_name import REPEATABLE
    from nas.estimate.proxy import ProxyTraining
    from nas.search.pictures import SamplePictures

    threads = torch.get_num_threads()
    dataset = load_dataset(settings.dataset, seed=settings.seed, cache_dir=home() / "datasets")
    if dataset.task != space.task:
        raise UserError(f"space {space.name} is for {space.task}, and dataset {dataset.name} for {dataset.task}")
    settings = replace(settings, classes=len(dataset.classes), dataset_sha256=dataset.fingerprint)
    if dataset.task == "detection" and len(dataset.classes) <= MOST_CLASSES:
        settings = replace(settings, class_names=dataset.classes)
    searched = for_target(space, tuple(p for p in PRECISIONS if p in settings.precisions), target, settings.classes)
    narrowed = searched.space
    pricer = DevicePricer(profile, narrowed, settings.classes, target)
    estimator = estimator_of(settings, dataset, space)
    gap, pool = pricer.gap(), feasible_pool(narrowed, pricer, settings)
    planned, guided, guide = "", "", None
    if settings.guide:
        seconds = 60 * MOST_TIME * asked.minutes if asked is not None and not asked.guided else math.inf

        def tell(done: int, total: int, what: str) -> None:
            on_progress(Progress(0, settings.trials, 0, 0.0, 0.0, None, None, preparing=(what, done, total)))

        settings, guide = guide_of(
            settings, narrowed, pool, dataset, path, resume=resume, seconds=seconds, on_prepare=tell
        )
        if guide is not None:
            guided = f"guided by {settings.guide} of {guide.networks} untrained networks"
    if asked is not None:
        settings, planned = in_time(settings, asked, estimator, narrowed, path, pool, cluster)
        estimator = estimator_of(settings, dataset, space)
    if settings.estimator in REPEATABLE and isinstance(estimator, ProxyTraining):
        settings = replace(settings, validation_images=estimator.validation.counted)
    notes = [note for note in (dataset.description, *searched.removed, gap, guided, planned) if note]

    def show(progress: Progress) -> None:
        while notes:  # once the search has begun: nothing is said of one that cannot
            on_note(notes.pop(0))
        on_progress(progress)

    try:
        return loop.search(
            narrowed, pricer, estimator, settings, path,
            resume=resume, references=references(profile, profile.precisions, target), test=test, cluster=cluster,
            storage=storage, pool=pool, guide=guide, on_progress=show,
            samples=SamplePictures(dataset) if dataset.task == "detection" else None,
        )  # fmt: skip
    finally:
        torch.set_num_threads(threads)  # a plan may have changed it


def check_proxy(space: SearchSpace, proxy: Mapping[str, Any], where: str) -> None:
    """Raises UserError unless a run's proxy settings are those that a space can have, of their types.

    Also for a run of before `full_resolution_share`: its accuracies were measured at a smaller resolution.
    """
    try:
        type(space.proxy).model_validate(dict(proxy))
    except ValidationError as error:
        raise UserError(f"{where}: proxy.{first_problem(error)}") from None
    if proxy.get("resolution_share", 1) < 1 and "full_resolution_share" not in proxy:
        raise UserError(
            f"{where}: proxy must have full_resolution_share; an older version of nas began this run and measured its "
            "accuracies at a smaller resolution: begin a new one"
        )


def _check_device(profile: DeviceProfile, objectives: Sequence[str], budgets: Mapping[str, Any]) -> None:
    check_objectives(objectives)
    check_budgets(list(budgets))
    profile.require(energy=ENERGY.name in objectives or ENERGY.budget in budgets)


def free_folder(parent: Path, name: str) -> Path:
    """The first of name-1, name-2, ... that does not exist."""
    return next(path for n in range(1, 10**6) if not (path := parent / f"{name}-{n}").exists())
