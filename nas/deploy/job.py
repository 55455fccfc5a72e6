"""A deployment from a run, or a trained model, to a folder, step by step.

What a step gave is kept in the folder's .work, so that the same command goes on where it was.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from hashlib import sha256
from itertools import product
from pathlib import Path

from nas.compress.quantize import Quantize, calibration_images
from nas.compress.step import Given
from nas.data.corrupted import KINDS
from nas.data.dataset import Dataset, Split
from nas.data.licence import LONGEST
from nas.deploy.card import CARD, card_text, read_card
from nas.deploy.compress import kept
from nas.deploy.detected import FOUND
from nas.deploy.facts import digest_of, fault_in
from nas.deploy.folder import (
    MODELS,
    WORK,
    check_folder,
    clear_parts,
    find_version,
    next_version,
    use_version,
    version_folder,
    write_version,
)
from nas.deploy.images import dataset_of
from nas.deploy.make import Files, Origin, as_dataset_sees, card_of, measured_on_images
from nas.deploy.predicted import device_or_none
from nas.deploy.robustness import MOST_IMAGES, with_robustness
from nas.deploy.source import Source, load_source
from nas.deploy.teachers import find_teacher
from nas.deploy.train import TrainingOptions, train
from nas.errors import UserError
from nas.files.atomic import make_folder, remove_folder, write_atomic
from nas.files.lock import locked
from nas.models.trained import MODEL, WEIGHTS, TrainedModel, save_trained
from nas.numbers import duration
from nas.run import load_run, trained_folder
from nas.runtimes.by_name import deployed_runtime
from nas.runtimes.images import check_calibration
from nas.runtimes.onnx.adapt import ARRAYS, GRAPH
from nas.runtimes.onnxruntime import OnnxRuntime
from nas.runtimes.runtime import TITLES, Exported, Form, RuntimeName, form_of
from nas.space.layer import Precision
from nas.train.full_folder import read_begun
from nas.train.loop import best_device
from nas.train.pilot import TrainingPlan
from nas.train.resumption import OnFullProgress

FORMAT = 6  # of a job's digest: another way of making a version gives another one
USUAL = TrainingOptions(minutes=6.0)  # with the other steps, ten minutes of two cores at most
FIXED_S, FILE_S = 20.0, 20.0  # seconds of the other steps on two cores, and of each file that is exported and measured
BUSY = "another process is deploying into {path}; wait for it"

Tell = Callable[[str], None]  # one line about the work
Watched = Callable[[TrainedModel, Mapping[Form, Path], Split, Tell, Mapping[str, bytes]], Mapping[str, bytes]]


@dataclass(frozen=True, slots=True)
class Job:
    """What was asked: a trial of a run, or a trained model's folder, in these precisions, the one that is used first.

    fp32 is always among the files, to compare with. `training` USUAL: the full training that RUN/trained has, one that
    was begun there, or else a new one; None: the weights that are there. `most`: the largest drop of accuracy, a
    fraction; None: whatever int8 loses. `budgets` by their names in a run's settings.
    """

    source: Path
    trial: int | None
    precisions: tuple[Precision, ...] = ()  # none: the model's
    training: TrainingOptions | None = USUAL
    most: float | None = None
    device: str = ""  # a profile to predict by; empty: none
    budgets: Mapping[str, float] = field(default_factory=dict)
    dataset: str | None = None  # where the model does not say
    runtimes: tuple[RuntimeName, ...] = ("onnxruntime",)  # that every precision is exported for; the first is used
    licence: str = ""  # of the dataset, where it does not say

    def __post_init__(self) -> None:
        for name in self.runtimes:
            deployed_runtime(name).check()
        if len(self.licence) > LONGEST or not self.licence.isprintable():
            raise UserError(
                f"a licence must have at most {LONGEST} printable characters, in one line; got {self.licence[:80]!r}"
            )
        if self.most is not None and self.precisions[:1] == ("fp32",):
            raise UserError("a largest drop is that of int8 or fp16: name one of them first")
        if self.training is not None and self.trial is None:
            raise UserError(f"{self.source} is a trained model: it is deployed as it is (--no-train)")


def job_of_run(
    path: Path, trial: int, precisions: tuple[Precision, ...] = (), *, training: TrainingOptions | None,
    most: float | None = None, runtimes: tuple[RuntimeName, ...] = ("onnxruntime",),
) -> Job:  # fmt: skip
    """A job of a run's trial, with the run's device and budgets, in the trial's precision where none is named.

    Raises UserError for a folder that is not a run, and a trial that it has not.
    """
    run = load_run(path)
    own, s = run.trial(trial).candidate.precision, run.settings
    return Job(path, trial, precisions or (own,), training, most, s.device, s.budgets, runtimes=runtimes)


def steps_of(job: Job, out: Path, precisions: tuple[Precision, ...], *, use: bool = True) -> list[str]:
    """What will be done, a line a step: said before any of it."""
    first = precisions[0]
    drop = "" if first == "fp32" or job.most is None else f", losing at most {100 * job.most:g} points"
    return [
        f"{'' if job.trial is None else f'trial {job.trial} of '}{job.source}: {_training(job)}",
        f"export {' and '.join(precisions)} for {' and '.join(TITLES[name] for name in job.runtimes)}{drop}",
        "run every file on the validation and test images, and time them here",
        f"write {out}/versions/{next_version(out)}" + ", and put it into use" * use,
    ]


def _training(job: Job) -> str:
    """What the first step does, in words."""
    if job.trial is None:
        return "no training: its weights are used"
    asked, place = job.training, trained_folder(job.source, job.trial)
    if asked in (None, USUAL) and (place / MODEL).exists():
        return f"no training: {place} holds it, trained in full"
    if asked is None:
        return "no training: the weights of the search's short training are used"
    if asked == USUAL and read_begun(place) is not None:
        return f"go on with the full training that was begun in {place}"
    how = f"{asked.epochs} epochs" if asked.epochs else f"at most {asked.minutes:g} minutes" if asked.minutes else "all"
    return f"train it in full, from scratch, {how}; teacher: {asked.teacher}"


def deploy(
    job: Job, out: Path, *, tell: Tell = lambda line: None, on_training: OnFullProgress = lambda _: None,
    use: bool = True, watched: Watched | None = None,
) -> Path:  # fmt: skip
    """Makes the next version of the deployment folder `out`, puts it into use, and returns its folder.

    With `use` false the version in use stays in use. `watched` makes what the board needs to watch the version,
    `nas.monitor.reference.watch_files`; without it only its latency is watched there.

    Where the same model was deployed in the same way, that version is put into use. A process that dies loses the step
    that it was in, at most. Raises UserError before anything is written for a source without a model, a dataset that
    has changed, and a folder of something else; later as its steps do; Stopped as `measure_models`.
    """
    check_folder(out)
    source = _there(job)
    data = _dataset(job) if source is None else source.dataset()
    if source is None and job.training is not None:
        find_teacher(job.training.teacher, load_run(job.source), data, best_device())  # refused before it is trained
    if "int8" in _precisions(job, source):
        check_calibration(data.classes, calibration_images(data))
    with locked(out, BUSY):
        check_folder(out)
        clear_parts(out)
        if source is None:
            _say(steps_of(job, out, _precisions(job, None), use=use), tell)
            source, told = _train(job, data, tell, on_training), True
        else:
            told = False
        precisions, digest = _precisions(job, source), _digest(job, source)
        done = find_version(out, digest)
        if done is not None and (fault := fault_in(version_folder(out, done))):
            tell(f"version {done} was made by this command already, but {fault}; it is made anew")
        elif done is not None:
            if use:
                use_version(out, done)
            _clear(out, digest)
            tell(f"version {done} was made by this command already" + ("; it is in use" if use else ""))
            return version_folder(out, done)
        if not told:
            _say(steps_of(job, out, precisions, use=use), tell)
        work = out / WORK / digest[:16]
        make_folder(work)
        trained = as_dataset_sees(source.model, data)
        model = _compressed(job, trained, precisions, data, source.seed, work, tell, on_training)
        place = _made(
            job, model, trained, precisions, data, source.seed, digest, out, work, tell, use=use, watched=watched
        )
        _clear(out, digest)
        return place


def _say(steps: Sequence[str], tell: Tell) -> None:
    for number, line in enumerate(steps, 1):
        tell(f"{number}. {line}")


def _precisions(job: Job, source: Source | None) -> tuple[Precision, ...]:
    """Of the files, the one that is used first."""
    asked: tuple[Precision, ...] = job.precisions or ((source.model.precision,) if source else ("fp32",))
    return asked if "fp32" in asked else (*asked, "fp32")


def _there(job: Job) -> Source | None:
    """The model that needs no training, and its dataset; None where there is none.

    Raises UserError where none is to be trained, and the run keeps none of the trial.
    """
    if job.trial is not None and job.training is not None:
        trained = (trained_folder(job.source, job.trial) / MODEL).exists()
        if job.training != USUAL or not trained:
            return None
    return load_source(job.source, pick=job.trial, dataset=job.dataset)


def _dataset(job: Job) -> Dataset:
    s = load_run(job.source).settings
    return dataset_of(s.dataset, s.dataset_sha256, s.seed)


def _train(job: Job, data: Dataset, tell: Tell, on_training: OnFullProgress) -> Source:
    """The model of a training in full, in RUN/trained/TRIAL, which nas train would make too."""
    number, precisions, asked = job.trial or 0, _precisions(job, None), job.training
    resume = asked == USUAL and read_begun(trained_folder(job.source, number)) is not None

    def plan(planned: TrainingPlan) -> None:
        looked = planned.seconds / max(1, planned.epochs * (3 * len(data.train) + len(data.validation)))
        images = 2 * len(precisions) * len(job.runtimes) * (len(data.validation) + len(data.test_split()))
        images += MOST_IMAGES * (1 + len(KINDS))  # corrupted ones, of one file
        rest = FIXED_S + FILE_S * len(precisions) * len(job.runtimes) + looked * images
        tell(f"training: {planned.text}; after it about {duration(rest)} for the other steps")

    given = None if resume else asked
    folder, _ = train(job.source, pick=number, options=given, resume=resume, on_progress=on_training, on_plan=plan)
    tell(f"trained: {folder}")
    return load_source(job.source, pick=number)


def _digest(job: Job, source: Source) -> str:
    """A SHA-256 of all that the version is made from."""
    made = [digest_of(source.folder / name) for name in (MODEL, WEIGHTS)]
    asked = [
        FORMAT,
        made,
        job.precisions,
        job.most,
        job.device,
        dict(job.budgets),
        job.dataset,
        job.runtimes,
        job.licence,
    ]
    return sha256(json.dumps(asked).encode()).hexdigest()


def _compressed(
    job: Job, model: TrainedModel, precisions: tuple[Precision, ...], data: Dataset, seed: int, work: Path, tell: Tell,
    on_training: OnFullProgress,
) -> TrainedModel:  # fmt: skip
    """The model in the precision that is used; with a largest drop, in the one that keeps it."""
    first = precisions[0]
    if job.most is None or first == "fp32":
        return replace(model, precision=first)
    make_folder(work / "quantize")
    given = Given(data, seed, work / "quantize", on_progress=tell, on_training=on_training)
    return kept(work / "quantized", lambda: Quantize(first, job.most, runtimes=job.runtimes).apply(model, given))


def _made(
    job: Job, model: TrainedModel, trained: TrainedModel, precisions: tuple[Precision, ...], data: Dataset, seed: int,
    digest: str, out: Path, work: Path, tell: Tell, *, use: bool, watched: Watched | None,
) -> Path:  # fmt: skip
    """The version; only the file that is used has other weights than the model as it was `trained`."""
    given = dict.fromkeys((model.precision, *(p for p in precisions[1:] if p != model.precision)))
    models = {p: model if p == model.precision else trained for p in given}
    files = _exported(models, job.runtimes, data, work, tell)
    version = next_version(out)
    if (work / CARD).exists():
        card = read_card(work).model_copy(update={"version": version})
    else:
        tell("running the files on their images")
        profile = device_or_none(job.device) if job.device else None
        origin = Origin(data.name, data.fingerprint, seed, job.device, job.budgets, job.licence or data.licence)
        card, pictures = measured_on_images(
            card_of(model, files, origin, profile, version, digest), model, files, data
        )  # fmt: skip
        if pictures is not None:
            write_atomic(work / FOUND, pictures)
        card = with_robustness(card, model, files[card.first].path, data, tell)
        write_atomic(work / CARD, card_text(card).encode())
    own = {form: one for form, one in files.items() if models[one.precision] is model or _equal(model, trained)}
    paths, beside = {form: files[form].path for form in card.models}, _beside(model, own, data, tell)
    if (work / FOUND).exists():
        beside[FOUND] = (work / FOUND).read_bytes()
    if watched is not None:
        tell("running the files on validation images under shifts, for what watches them")
        beside |= watched(model, paths, data.validation, tell, beside)
    own_model = out / MODELS / str(version)
    remove_folder(own_model)  # of a process that died before it wrote the version
    if model.lineage.steps != trained.lineage.steps:  # for `nas calibrate`, which goes on from it
        make_folder(own_model.parent)
        save_trained(own_model, model)
    return write_version(out, model, card, paths, beside, use=use)


def _equal(model: TrainedModel, other: TrainedModel) -> bool:
    """Whether quantization has left the weights as they were."""
    return all(tensor.equal(other.weights[name]) for name, tensor in model.weights.items())


def _beside(model: TrainedModel, files: Files, data: Dataset, tell: Tell) -> dict[str, bytes]:
    """What the board needs beside the models to adapt those that have these weights: `nas.runtimes.onnx.adapt`."""
    try:
        onnx = {one.precision: one.path.read_bytes() for one in files.values() if one.path.suffix == ".onnx"}
        if not onnx or model.network.detects:
            return {}
        made = OnnxRuntime().adaptable(model, onnx, calibration_images(data))
    except UserError as error:
        tell(str(error))
        return {}
    return {GRAPH: made.graph, ARRAYS: made.arrays}


def _exported(
    models: Mapping[Precision, TrainedModel], runtimes: tuple[RuntimeName, ...], data: Dataset, work: Path, tell: Tell
) -> Files:  # fmt: skip
    """The file of each precision for each runtime; what an earlier process wrote is not written again."""
    files: dict[Form, Exported] = {}
    for name, (precision, model) in product(runtimes, models.items()):
        runtime, form = deployed_runtime(name), form_of(precision, name)
        path, note = work / f"model-{precision}{runtime.suffix}", work / f"exported-{form}.json"
        if not note.exists():
            tell(f"exporting {form}")
            images = calibration_images(data)
            one = runtime.export(replace(model, precision=precision), path, calibration=images)
            write_atomic(note, json.dumps(asdict(one) | {"path": path.name}).encode())
            for line in one.notes:
                tell(f"{form}: {line}")
        facts = json.loads(note.read_text("utf-8"))
        lists = {"input_shape": tuple(facts["input_shape"]), "notes": tuple(facts["notes"])}
        files[form] = Exported(**facts | lists | {"path": path})
    return files


def _clear(out: Path, digest: str) -> None:
    """Removes what only an unfinished job needs."""
    shutil.rmtree(out / WORK / digest[:16], ignore_errors=True)
    if (out / WORK).is_dir() and not any((out / WORK).iterdir()):
        (out / WORK).rmdir()
