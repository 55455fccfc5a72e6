"""nas calibrate: from what a board has noted to a new version that does better on what its camera sees now.

FOLDER/monitor/labels   pictures to label, where a person is asked      FOLDER/.models/N      the model of version N
FOLDER/.calibrating     what is done so far: the same command goes on there
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

import numpy as np

from nas.compress.quantize import calibration_images
from nas.data.dataset import Dataset
from nas.deploy.card import Card, read_card
from nas.deploy.facts import MOST_MODEL, Facts, read_facts
from nas.deploy.folder import MODELS, version_folder
from nas.deploy.images import dataset_of
from nas.deploy.job import Job, deploy
from nas.errors import UserError
from nas.files.atomic import make_folder, remove_folder
from nas.files.lock import locked
from nas.files.plain import read_bytes
from nas.models.trained import TrainedModel, load_trained, save_trained
from nas.monitor.advice import lost_points, open_alarms
from nas.monitor.compare import Verification, compare, scores_of
from nas.monitor.labels import PLACE, Labelled, Pictures, most_uncertain, read_labels, read_pictures, write_request
from nas.monitor.likeness import Likeness, likenesses, nearest
from nas.monitor.log import FRAMES, MONITOR, Log, Window, read_log
from nas.monitor.reference import watch_files
from nas.monitor.relearn import EPOCHS, STEP, Lesson, relearn, split_labels, words_of
from nas.runtimes.by_name import deployed_runtime
from nas.runtimes.runtime import parts_of
from nas.train.loop import spread
from nas.train.resumption import OnFullProgress

WORK = ".calibrating"
ASKED = 200  # pictures to label
LEAST_FRAMES = 8  # that say what a drift looks like
CHARTS = ("picture", "features", "accuracy")  # alarms that a new version may help against
BUSY = "another process is calibrating {path}; wait for it"

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Calibration:
    """What is asked. `images`: a folder of pictures in the place of the frames that the board kept.

    `model`: the folder of the model that the version was made of, where it is not found by itself. `max_loss`: points
    of accuracy on the old test images, a fraction. `unlabelled`: ask for no labels.
    """

    folder: Path
    labels: Path | None = None
    images: Path | None = None
    model: Path | None = None
    max_loss: float = 0.01
    epochs: int = EPOCHS
    ask: int = ASKED
    unlabelled: bool = False
    dry_run: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.max_loss < 1:
            raise UserError(f"--max-loss must be from 0% to below 100%; got {100 * self.max_loss:g}%")


@dataclass(frozen=True, slots=True)
class Need:
    """Whether anything needs doing, and why, in words; the alarms that hold."""

    needed: bool
    why: str
    charts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Done:
    """What came of it: a new version, a file to fill in, or nothing. `lines` say what was found."""

    version: int | None = None
    asked: Path | None = None
    verification: Verification | None = None


def needed(log: Log, version: int) -> Need:
    """By the alarms of a version that have not ended."""
    holding = {one.chart: one for one in open_alarms(log) if one.chart in CHARTS and one.version == version}
    last = next((window for window in reversed(log.of(Window)) if window.version == version), None)
    if not holding:
        return Need(False, f"no alarm of version {version} holds: nothing needs doing")
    charts = tuple(chart for chart in CHARTS if chart in holding)
    lost = lost_points(log, list(holding.values()))
    said = f"alarms of the {' and the '.join(charts)} hold"
    if lost is not None:
        said += f"; expected to cost {lost:.1f} points of accuracy"
    if last is not None and last.accuracy is not None:
        said += f"; estimated accuracy {100 * last.accuracy:.1f}%{'' if last.trusted else ', not to be trusted'}"
    return Need(True, said, charts)


def calibrate(
    asked: Calibration, *, tell: Tell = lambda line: None, on_training: OnFullProgress = lambda _: None
) -> Done:  # fmt: skip
    """Decides, asks for labels or learns again, verifies, and writes a new version; the one in use stays in use.

    Without labels a person is asked for some first, where there are pictures. A process that dies loses the training
    steps since the last checkpoint, at most. Raises UserError for what is not a deployment folder, files of it that
    were changed, labels that cannot be, a dataset or a model that is not there; and for a new model that loses more
    than `max_loss` on the old test images, or is no better on the drift: then nothing is written.
    """
    place = version_folder(asked.folder)
    card, facts = read_card(place), read_facts(place)
    if card.task != "classification":
        raise UserError(f"{place}: only classifiers learn again from a board's pictures; this is for {card.task}")
    if card.precision not in facts.models:
        raise UserError(f"{place}: two models are compared by ONNX Runtime; deploy it with --runtime onnxruntime too")
    need = _need(asked, card.version)
    tell(f"version {card.version}, {card.precision}: {need.why}")
    if not need.needed:
        return Done()
    frames = _frames(asked, facts)
    labelled = read_labels(asked.labels, facts) if asked.labels is not None else None
    for note in labelled.notes if labelled is not None else ():
        tell(note)
    if labelled is None and not asked.unlabelled and len(frames):
        return _asked(asked, card, facts, frames, place, tell)
    if labelled is None and len(frames) < LEAST_FRAMES:
        raise UserError(
            f"{asked.folder}: what the drift looks like must be known from at least {LEAST_FRAMES} pictures; got "
            f"{len(frames)}: serve with --keep, or give --images or --labels"
        )
    data = dataset_of(card.dataset, card.dataset_sha256, card.dataset_seed)
    model = find_model(asked, card)
    seen = labelled.pictures if labelled is not None and len(labelled.pictures) >= len(frames) else frames
    found = likenesses(seen.pixels, _clean(data, facts.resolution), seed=asked.seed)
    drifts = nearest(found)
    tell(f"the pictures look like {words_of(drifts)} (clean is {_clean_rank(found)} of {len(found)})")
    learned, held = split_labels(labelled) if labelled is not None else (None, None)
    lesson = Lesson(drifts, learned, asked.epochs, asked.seed)
    tell(
        f"{asked.epochs} epochs on pictures of the training, as they are and so changed"
        + (f", and {len(learned.labels)} pictures with new labels ({len(held.labels)} are kept to verify)"
           if learned is not None and held is not None else "")
        + f"; may lose {100 * asked.max_loss:g} points on old test images"
    )  # fmt: skip
    if asked.dry_run:
        tell("nothing is written: --dry-run")
        return Done()
    with locked(asked.folder / WORK, BUSY, own=True):
        work = asked.folder / WORK / _digest(asked, card, lesson, frames)
        make_folder(work)
        line = f"{STEP} to {words_of(drifts)} after version {card.version}"
        made = relearn(model, data, lesson, work / "trained", line=line, on_progress=on_training)
        verification = _verified(card, facts, place, made, data, drifts, held, frames)
        for text in verification.lines:
            tell(text)
        _check(verification, asked.max_loss)
        if not (work / "model").exists():
            save_trained(work / "model", made)
        parts = [(card.precision, card.runtime), *map(parts_of, card.models)]
        precisions, runtimes = (tuple(dict.fromkeys(each)) for each in zip(*parts, strict=True))
        job = Job(
            work / "model", None, precisions, None, None, card.device, card.budgets, card.dataset, runtimes=runtimes
        )
        new = deploy(job, asked.folder, tell=tell, use=False, watched=watch_files)
        version = read_card(new).version
        kept = asked.folder / MODELS / str(version)
        if not kept.exists():
            make_folder(kept.parent)
            save_trained(kept, made)
        remove_folder(work)
    with suppress(OSError):  # a process that was killed made it, or another work lies there
        (asked.folder / WORK).rmdir()
    return Done(version=version, verification=verification)


def job_like(card: Card, model: Path) -> Job:
    """A deployment of a model's folder in the precisions and for the runtimes of a version."""
    parts = [parts_of(form) for form in card.models]
    precisions = dict.fromkeys((card.precision, *(precision for precision, _ in parts)))
    runtimes = dict.fromkeys((card.runtime, *(runtime for _, runtime in parts)))
    return Job(
        model, None, tuple(precisions), None, None, card.device, card.budgets, card.dataset, runtimes=tuple(runtimes),
        licence=card.licence,
    )  # fmt: skip


def find_model(asked: Calibration, card: Card) -> TrainedModel:
    """The model that a version was made of, with the weights that its card's hashes name. Raises UserError."""
    run = Path(card.run)
    places = [asked.folder / MODELS / str(card.version), *sorted((asked.folder / WORK).glob("*/model"))]
    if asked.model is not None:
        places = [asked.model]
    elif card.trial is not None and card.run:
        roots = (Path("runs"), asked.folder.absolute().parent, Path())
        places += [root / run.name / kind / str(card.trial) for root in roots for kind in ("trained", "models")]
    for place in places:
        if not (place / "model.json").is_file():
            continue
        model = load_trained(place)
        if list(model.lineage.steps) == card.steps and dict(model.lineage.hashes) == card.hashes:
            return replace(model, precision=card.precision)
        if asked.model is not None:
            raise UserError(f"{place}: must be the model of version {card.version}; its steps or hashes are others")
    named = f"{card.run}, trial {card.trial}" if card.trial is not None else card.run or "no run"
    raise UserError(
        f"{asked.folder}: the model of version {card.version} ({named}) is not found; name its folder with --model"
    )


def _need(asked: Calibration, version: int) -> Need:
    if asked.labels is not None:
        return Need(True, f"labels are given in {asked.labels}")
    if asked.images is not None:
        return Need(True, f"pictures are given in {asked.images}")
    return needed(read_log(asked.folder), version)


def _frames(asked: Calibration, facts: Facts) -> Pictures:
    place = asked.images or asked.folder / MONITOR / FRAMES
    if asked.images is None and not place.is_dir():
        return Pictures((), np.zeros((0, facts.resolution, facts.resolution, 3), np.uint8))
    return read_pictures(place, facts)


def _asked(asked: Calibration, card: Card, facts: Facts, frames: Pictures, place: Path, tell: Tell) -> Done:
    """Writes the pictures whose labels tell most, for a person to fill in."""
    run = deployed_runtime(card.runtime).session(read_bytes(place / facts.models[card.first], MOST_MODEL))
    scores = scores_of(run, frames.pixels, facts)
    chosen = most_uncertain(scores, min(asked.ask, len(frames)))
    tell(f"{len(chosen)} of {len(frames)} pictures are to be labelled: the least certain ones, and a few of the others")
    if asked.dry_run:
        tell("nothing is written: --dry-run")
        return Done()
    some = Pictures(tuple(frames.paths[i] for i in chosen), frames.pixels[chosen])
    path = write_request(asked.folder / MONITOR / PLACE, some, scores[chosen].argmax(axis=1), facts.classes)
    return Done(asked=path)


def _clean(data: Dataset, resolution: int) -> np.ndarray:
    return data.validation.images.take(spread(len(data.validation), 1000), resolution).numpy()


def _clean_rank(found: tuple[Likeness, ...]) -> str:
    number = next(n for n, one in enumerate(found, 1) if not one.severity)
    return f"number {number}"


def _digest(asked: Calibration, card: Card, lesson: Lesson, frames: Pictures) -> str:
    """Names the work of equal commands on equal pictures."""
    parts = [card.version, card.job, words_of(lesson.drifts), lesson.epochs, lesson.seed, frames.pixels.tobytes()]
    if lesson.labelled is not None:
        parts += [lesson.labelled.pictures.pixels.tobytes(), lesson.labelled.labels.tobytes()]
    made = sha256()
    for part in parts:
        made.update(part if isinstance(part, bytes) else repr(part).encode())
    return made.hexdigest()[:16]


def _verified(
    card: Card, facts: Facts, place: Path, made: TrainedModel, data: Dataset, drifts: tuple[Likeness, ...],
    held: Labelled | None, frames: Pictures,
) -> Verification:  # fmt: skip
    runtime = deployed_runtime(card.runtime)
    before = runtime.session(read_bytes(place / facts.models[card.first], MOST_MODEL))
    after = runtime.variants(made, calibration_images(data)).file(card.precision)
    return compare(before, runtime.session(after), facts, data, drifts, held, frames)


def _check(verification: Verification, max_loss: float) -> None:
    lost = verification.old.drop.value
    if lost > max_loss:
        raise UserError(
            f"no version is written: the new model loses {100 * lost:.1f} points on old test images, where at most "
            f"{100 * max_loss:g} is allowed (--max-loss); more labels or fewer --epochs may help"
        )
    new = verification.decides
    if new is not None and new.after <= new.before:
        raise UserError(
            f"no version is written: the new model does not do better on {new.what}: {100 * new.after:.1f}% after "
            f"{100 * new.before:.1f}%"
        )
