"""A deployment from a run to a folder, step by step; what a step gave is kept, so that the same command goes on."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from pathlib import Path

from nas.compress.quantize import calibration_images
from nas.data.dataset import Split
from nas.deploy.card import CARD, card_text, read_card
from nas.deploy.folder import WORK, check_folder, clear_parts, find_version, use_version, version_folder, write_version
from nas.deploy.images import dataset_of
from nas.deploy.make import Files, as_dataset_sees, card_of, measured_on_images, next_version
from nas.deploy.predicted import device_or_none
from nas.errors import UserError
from nas.files.atomic import make_folder, recover_folder, write_atomic
from nas.files.lock import locked
from nas.models.trained import TrainedModel, load_trained, load_trial, save_trained
from nas.run import Run, Trial
from nas.runtimes.onnxruntime import OnnxRuntime
from nas.runtimes.runtime import Exported
from nas.space.layer import Precision

FORMAT = 1  # of a job's digest: another way of making a version gives another one
BUSY = "another process is deploying into {path}; wait for it"

Tell = Callable[[str], None]  # one line about the work


@dataclass(frozen=True, slots=True)
class Job:
    """What was asked: a trial of a run, in these precisions, the one that is used first. fp32 is always among them."""

    run: Run
    trial: Trial
    precisions: tuple[Precision, ...]
    train: bool = True

    def __post_init__(self) -> None:
        known = OnnxRuntime().exported
        if odd := [p for p in self.precisions if p not in known]:
            raise UserError(f"ONNX files are exported in {', '.join(known)}; got {odd[0]}")
        if "fp32" not in self.precisions:
            object.__setattr__(self, "precisions", (*self.precisions, "fp32"))

    @property
    def digest(self) -> str:
        """A SHA-256 of all that the version is made from, its weights' run among them."""
        s = self.run.settings
        parts = [FORMAT, self.run.path.name, self.trial.trial, self.trial.candidate.json(), self.precisions, self.train]
        return sha256(json.dumps([*parts, s.space_sha256, s.dataset_sha256, s.created, s.seed]).encode()).hexdigest()


def steps_of(job: Job, out: Path) -> list[str]:
    """What will be done, a line a step: said before any of it."""
    t, s = job.trial, job.run.settings
    training = "train it in full" if job.train else "no training: the weights of the search's short training are used"
    return [
        f"trial {t.trial} of {job.run.path}: {training}",
        f"export {' and '.join(job.precisions)} for ONNX Runtime",
        f"run every file on the validation and test images of {s.dataset}, and time them here",
        f"write {out}/versions/{next_version(out)}, and put it into use",
    ]


def deploy(job: Job, out: Path, *, tell: Tell = lambda line: None) -> Path:
    """Makes the next version of the deployment folder `out`, puts it into use, and returns its folder.

    Where the same command has made one, that one is put into use. A process that dies loses the step that it was in, at
    most. Raises UserError before anything is written for a run without weights of the trial, and a folder of something
    else; Stopped as `measure_models`.
    """
    check_folder(out)
    source = _source(job)
    with locked(out, BUSY):
        check_folder(out)
        clear_parts(out)
        done = find_version(out, job.digest)
        if done is not None:
            use_version(out, done)
            _clear(out, job)
            tell(f"version {done} was made by this command already; it is in use")
            return version_folder(out, done)
        work = out / WORK / job.digest[:16]
        make_folder(work)
        for number, line in enumerate(steps_of(job, out), 1):
            tell(f"{number}. {line}")
        place = _made(job, source, out, work, tell)
        _clear(out, job)
        return place


def _source(job: Job) -> TrainedModel:
    """The model that the run keeps of the trial. Raises UserError where it keeps none."""
    if job.train:
        raise UserError("nas deploy does not train in full yet: give --no-train to deploy the search's own weights")
    return load_trial(job.run.path, job.trial.trial)


def _made(job: Job, source: TrainedModel, out: Path, work: Path, tell: Tell) -> Path:
    s = job.run.settings
    data = dataset_of(s.dataset, s.dataset_sha256, s.seed)
    model = _kept(work / "model", lambda: as_dataset_sees(source, data))
    files = _exported(job, model, calibration_images(data), work, tell)
    version = next_version(out)
    if (work / CARD).exists():
        card = read_card(work).model_copy(update={"version": version})
    else:
        tell("running the files on their images")
        bare = card_of(model, files, s, device_or_none(s.device), version, job.digest)
        card = measured_on_images(bare, model, files, data)
        write_atomic(work / CARD, card_text(card).encode())
    return write_version(out, model, card, {p: one.path for p, one in files.items()})


def _kept(folder: Path, make: Callable[[], TrainedModel]) -> TrainedModel:
    """The model in a folder, made where there is none yet."""
    recover_folder(folder)
    if not folder.exists():
        save_trained(folder, make())
    return load_trained(folder)


def _exported(job: Job, model: TrainedModel, images: Split, work: Path, tell: Tell) -> Files:
    """The file of each precision; what an earlier process wrote is not written again."""
    files: dict[Precision, Exported] = {}
    for precision in job.precisions:
        path, note = work / f"model-{precision}.onnx", work / f"exported-{precision}.json"
        if not note.exists():
            tell(f"exporting {precision}")
            one = OnnxRuntime().export(replace(model, precision=precision), path, calibration=images)
            for line in one.notes:
                tell(f"{precision}: {line}")
            write_atomic(note, json.dumps(asdict(one) | {"path": path.name}).encode())
        facts = json.loads(note.read_text("utf-8"))
        lists = {name: tuple(facts[name]) for name in ("input_shape", "notes")}
        files[precision] = Exported(**facts | lists | {"path": path})
    return files


def _clear(out: Path, job: Job) -> None:
    """Removes what only an unfinished job needs."""
    shutil.rmtree(out / WORK / job.digest[:16], ignore_errors=True)
    if (out / WORK).is_dir() and not any((out / WORK).iterdir()):
        (out / WORK).rmdir()
