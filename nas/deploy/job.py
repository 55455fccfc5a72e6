"""A deployment from a run, or a trained model, to a folder, step by step.

What a step gave is kept in the folder's .work, so that the same command goes on where it was.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from hashlib import sha256
from pathlib import Path

from nas.compress.quantize import Quantize, calibration_images
from nas.compress.step import Given
from nas.data.dataset import Dataset
from nas.deploy.card import CARD, card_text, read_card
from nas.deploy.compress import kept
from nas.deploy.facts import digest_of
from nas.deploy.folder import (
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
from nas.deploy.source import Source, load_source
from nas.deploy.train import TrainingOptions, train
from nas.errors import UserError
from nas.files.atomic import make_folder, write_atomic
from nas.files.lock import locked
from nas.models.trained import MODEL, WEIGHTS, TrainedModel
from nas.run import load_run, model_folder
from nas.runtimes.onnx.adapt import ARRAYS, GRAPH
from nas.runtimes.onnxruntime import OnnxRuntime
from nas.runtimes.runtime import Exported
from nas.space.layer import Precision
from nas.train.resumption import OnFullProgress

FORMAT = 2  # of a job's digest: another way of making a version gives another one
BUSY = "another process is deploying into {path}; wait for it"

Tell = Callable[[str], None]  # one line about the work


@dataclass(frozen=True, slots=True)
class Job:
    """What was asked: a trial of a run, or a trained model's folder, in these precisions, the one that is used first.

    fp32 is always among the files, to compare with. `training` None: the weights that are there. `most`: the largest
    drop of accuracy, a fraction; None: whatever int8 loses. `budgets` by their names in a run's settings.
    """

    source: Path
    trial: int | None
    precisions: tuple[Precision, ...] = ()  # none: the model's
    training: TrainingOptions | None = field(default_factory=TrainingOptions)
    most: float | None = None
    device: str = ""  # a profile to predict by; empty: none
    budgets: Mapping[str, float] = field(default_factory=dict)
    dataset: str | None = None  # where the model does not say

    def __post_init__(self) -> None:
        known = OnnxRuntime().exported
        if odd := [p for p in self.precisions if p not in known]:
            raise UserError(f"ONNX files are exported in {', '.join(known)}; got {odd[0]}")
        if self.most is not None and self.precisions[:1] == ("fp32",):
            raise UserError("a largest drop is that of int8 or fp16: name one of them first")
        if self.training is not None and self.trial is None:
            raise UserError(f"{self.source} is a trained model: it is deployed as it is (--no-train)")


def job_of_run(
    path: Path, trial: int, precisions: tuple[Precision, ...] = (), *, training: TrainingOptions | None,
    most: float | None = None,
) -> Job:  # fmt: skip
    """A job of a run's trial, with the run's device and budgets, in the trial's precision where none is named.

    Raises UserError for a folder that is not a run, and a trial that it has not.
    """
    run = load_run(path)
    own = next((t.candidate.precision for t in run.trials if t.trial == trial), None)
    if own is None:
        raise UserError(f"{path} has no trial {trial}")
    s = run.settings
    return Job(path, trial, precisions or (own,), training, most, s.device, s.budgets)


def steps_of(job: Job, out: Path, precisions: tuple[Precision, ...]) -> list[str]:
    """What will be done, a line a step: said before any of it."""
    name = f"trial {job.trial} of {job.source}" if job.trial is not None else str(job.source)
    weights = "the weights of the search's short training are used" if job.trial is not None else "its weights are used"
    training = f"no training: {weights}"
    if job.training is not None:
        epochs, minutes = job.training.epochs, job.training.minutes
        how = (
            f"{epochs} epochs"
            if epochs
            else f"at most {minutes:g} minutes"
            if minutes
            else "as many epochs as nas train takes"
        )
        training = f"train it in full, from scratch: {how}; teacher: {job.training.teacher}"
    first = precisions[0]
    drop = "" if first == "fp32" or job.most is None else f", losing at most {100 * job.most:g} points"
    return [
        f"{name}: {training}",
        f"export {' and '.join(precisions)} for ONNX Runtime{drop}",
        "run every file on the validation and test images, and time them here",
        f"write {out}/versions/{next_version(out)}, and put it into use",
    ]


def deploy(
    job: Job, out: Path, *, tell: Tell = lambda line: None, on_training: OnFullProgress = lambda _: None
) -> Path:  # fmt: skip
    """Makes the next version of the deployment folder `out`, puts it into use, and returns its folder.

    Where the same command has made one, that one is put into use. A process that dies loses the step that it was in, at
    most. Raises UserError before anything is written for a source without a model, a dataset that has changed, and a
    folder of something else; later as its steps do; Stopped as `measure_models`.
    """
    check_folder(out)
    source = _source(job) if job.training is None else None
    digest = _digest(job)
    with locked(out, BUSY):
        check_folder(out)
        clear_parts(out)
        done = find_version(out, digest)
        if done is not None:
            use_version(out, done)
            _clear(out, digest)
            tell(f"version {done} was made by this command already; it is in use")
            return version_folder(out, done)
        precisions = job.precisions or ((source.model.precision,) if source else ("fp32",))
        precisions = precisions if "fp32" in precisions else (*precisions, "fp32")
        data, seed = _data(job, source)
        work = out / WORK / digest[:16]
        for number, line in enumerate(steps_of(job, out, precisions), 1):
            tell(f"{number}. {line}")
        make_folder(work)
        model = kept(work / "model", lambda: as_dataset_sees(_trained(job, source, tell, on_training), data))
        model = _compressed(job, model, precisions, data, seed, work, tell)
        place = _made(job, model, precisions, data, seed, digest, out, work, tell)
        _clear(out, digest)
        return place


def _source(job: Job) -> Source:
    """The model, and its dataset. Raises UserError where the run keeps no model of the trial."""
    return load_source(job.source, pick=job.trial, dataset=job.dataset)


def _digest(job: Job) -> str:
    """A SHA-256 of all that the version is made from."""
    if job.training is None or job.trial is None:
        folder = job.source if job.trial is None else model_folder(job.source, job.trial)
        made = [digest_of(folder / name) for name in (MODEL, WEIGHTS)]
    else:
        s = load_run(job.source).settings
        made = [s.space_sha256, s.dataset_sha256, str(s.seed), s.created, str(job.trial)]
    training = None if job.training is None else asdict(job.training)
    asked = [FORMAT, made, job.precisions, training, job.most, job.device, dict(job.budgets), job.dataset]
    return sha256(json.dumps(asked).encode()).hexdigest()


def _data(job: Job, source: Source | None) -> tuple[Dataset, int]:
    """The images, and the seed of their validation split."""
    if source is not None:
        return source.dataset(), source.seed
    s = load_run(job.source).settings
    return dataset_of(s.dataset, s.dataset_sha256, s.seed), s.seed


def _trained(job: Job, source: Source | None, tell: Tell, on_training: OnFullProgress) -> TrainedModel:
    """The model; of a training in full that of RUN/trained/TRIAL, which nas train would make too."""
    if source is not None:
        return source.model
    folder, model = train(
        job.source, pick=job.trial or 0, options=job.training, on_progress=on_training, on_note=lambda line: None
    )
    tell(f"trained: {folder}")
    return model


def _compressed(
    job: Job, model: TrainedModel, precisions: tuple[Precision, ...], data: Dataset, seed: int, work: Path, tell: Tell
) -> TrainedModel:  # fmt: skip
    """The model in the precision that is used; with a largest drop, in the one that keeps it."""
    first = precisions[0]
    if job.most is None or first == "fp32":
        return replace(model, precision=first)
    make_folder(work / "quantize")
    given = Given(data, seed, work / "quantize", on_progress=tell)
    return kept(work / "quantized", lambda: Quantize(first, job.most).apply(model, given))


def _made(
    job: Job, model: TrainedModel, precisions: tuple[Precision, ...], data: Dataset, seed: int, digest: str, out: Path,
    work: Path, tell: Tell,
) -> Path:  # fmt: skip
    given = dict.fromkeys((model.precision, *(p for p in precisions[1:] if p != model.precision)))
    files = _exported(model, tuple(given), data, work, tell)
    version = next_version(out)
    if (work / CARD).exists():
        card = read_card(work).model_copy(update={"version": version})
    else:
        tell("running the files on their images")
        profile = device_or_none(job.device) if job.device else None
        origin = Origin(data.name, data.fingerprint, seed, job.device, job.budgets)
        card = measured_on_images(card_of(model, files, origin, profile, version, digest), model, files, data)
        write_atomic(work / CARD, card_text(card).encode())
    return write_version(out, model, card, {p: one.path for p, one in files.items()}, _beside(model, files, tell))


def _beside(model: TrainedModel, files: Files, tell: Tell) -> dict[str, bytes]:
    """What the board needs beside the models to adapt them: see `nas.runtimes.onnx.adapt`."""
    try:
        made = OnnxRuntime().adaptable(model, {p: one.path.read_bytes() for p, one in files.items()})
    except UserError as error:
        tell(str(error))
        return {}
    return {GRAPH: made.graph, ARRAYS: made.arrays}


def _exported(
    model: TrainedModel, precisions: tuple[Precision, ...], data: Dataset, work: Path, tell: Tell
) -> Files:  # fmt: skip
    """The file of each precision; what an earlier process wrote is not written again."""
    files: dict[Precision, Exported] = {}
    for precision in precisions:
        path, note = work / f"model-{precision}.onnx", work / f"exported-{precision}.json"
        if not note.exists():
            tell(f"exporting {precision}")
            images = calibration_images(data)
            one = OnnxRuntime().export(replace(model, precision=precision), path, calibration=images)
            write_atomic(note, json.dumps(asdict(one) | {"path": path.name}).encode())
            for line in one.notes:
                tell(f"{precision}: {line}")
        facts = json.loads(note.read_text("utf-8"))
        lists = {"input_shape": tuple(facts["input_shape"]), "notes": tuple(facts["notes"])}
        files[precision] = Exported(**facts | lists | {"path": path})
    return files


def _clear(out: Path, digest: str) -> None:
    """Removes what only an unfinished job needs."""
    shutil.rmtree(out / WORK / digest[:16], ignore_errors=True)
    if (out / WORK).is_dir() and not any((out / WORK).iterdir()):
        (out / WORK).rmdir()
