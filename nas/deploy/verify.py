"""nas verify: a deployed version run on test images and timed, here or on a board, beside what was predicted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from nas.deploy.accuracy import Accuracy, accuracy_of, difference_of
from nas.deploy.card import Card, Measured, Predicted, read_card
from nas.deploy.facts import Facts, read_facts
from nas.deploy.folder import version_folder
from nas.deploy.images import Seen, dataset_of, other_images, seen
from nas.deploy.make import measured_of, where_of
from nas.deploy.measure import Results, measure_models
from nas.deploy.predicted import device_or_none, predicted_for
from nas.deploy.slower import why_slower
from nas.device.info import About
from nas.device.profile import DeviceProfile, load_device
from nas.errors import UserError
from nas.files.atomic import write_atomic
from nas.files.json import read_json_table
from nas.files.lock import locked
from nas.files.plain import MB
from nas.files.toml import Table
from nas.models.price import read_model
from nas.profiling.results.machine import is_device
from nas.run import OBJECTIVES, UNITS
from nas.runtimes.runtime import Form, fp32_of, parts_of

VERIFIED, PAGE = "verified.json", "verified.md"
MOST_JSON = 4 * MB
Verdict = Literal["feasible", "violates", "not known", "no budgets"]


class VerifiedModel(Table):
    """One file as it was found on one machine, beside what its card says."""

    file: str
    megabytes: float
    accuracy: Accuracy
    of_card: Accuracy | None  # on the test images, when the version was made
    less_fp32: Accuracy | None  # the accuracy less that of fp32, on the same images; None: of fp32 itself
    measured: Measured
    relative: tuple[float, float, float] | None  # to fp32's time in the same round: median, and its 95% interval
    predicted: Predicted | None
    verdict: Verdict  # on the run's budgets, by what was measured
    verdict_words: str
    slower: list[str]  # why it is slower than fp32, where it is


class Verified(Table):
    """One verification of a version."""

    at: str
    where: str
    board: str  # "": this machine
    images: str
    count: int
    total: int
    threads: int
    same_device: bool  # whether it is the device that was predicted for
    pictures: int  # files whose pixels were equal to the bit there
    notes: list[str]
    models: dict[Form, VerifiedModel]


class _File(Table):
    format: Literal[1] = 1
    verified: Annotated[list[Verified], Field(max_length=1000)] = []


@dataclass(frozen=True, slots=True)
class Verification:
    """What was found, and the files that keep it."""

    card: Card
    folder: Path
    found: Verified


def verify(
    folder: Path, *, version: int | None = None, ssh: str | None = None, python: str = "python3",
    device: str | None = None, images: str | None = None, threads: int | None = None,
    meter: str = "none",
    settings: Mapping[str, float] | None = None,
) -> Verification:  # fmt: skip
    """Measures a version, the one in use unless `version` names another, and keeps what it finds in its folder.

    It runs here, or on the board `ssh`, with the threads of the run's device unless told otherwise. `images` are those
    of another source than the run's dataset: its test images, all of them where it has no test split. `device` is a
    profile to predict by in the place of the run's; `meter` is none, rapl, ina3221 or nvml. Raises UserError and
    Stopped as `measure_models`, for a folder without such a version, a file of it that was changed, and a dataset that
    is not there or has changed.
    """
    place = version_folder(folder, version)
    card, facts = read_card(place), read_facts(place)
    profile = device_or_none(card.device) if device is None else load_device(device)
    paths = {precision: place / name for precision, name in facts.models.items()}
    shown = _images(card, facts, images)
    with locked(place, "another process is verifying {path}; wait for it"):
        before = read_verified(place)
        results = measure_models(
            facts, paths, shown, threads=threads or card.threads, ssh=ssh, python=python, meter=meter, settings=settings
        )
        found = _verified(card, shown, results, profile, paths, ssh or "", own=images is None)
        _write(place, card, [v for v in before if (v.where, v.images) != (found.where, found.images)] + [found])
    return Verification(card, place, found)


def read_verified(place: Path) -> list[Verified]:
    """What earlier verifications of a version found. Raises UserError for what nas verify would not have written."""
    file = place / VERIFIED
    return list(read_json_table(file, _File, MOST_JSON).verified) if file.exists() else []


def _write(place: Path, card: Card, verified: list[Verified]) -> None:
    from nas.deploy.verified_page import verified_page

    write_atomic(place / VERIFIED, (_File(verified=verified).model_dump_json(indent=1) + "\n").encode())
    write_atomic(place / PAGE, verified_page(card, verified).encode())


def _images(card: Card, facts: Facts, source: str | None) -> Seen:
    if source is not None:
        return seen(source, other_images(source, facts.classes), facts)
    data = dataset_of(card.dataset, card.dataset_sha256, card.dataset_seed)
    if data.classes != facts.classes:
        raise UserError(f"{card.dataset}: its classes must be those of the deployment; name images with --images")
    return seen(card.dataset, data.test_split(), facts)


def _verified(
    card: Card, images: Seen, results: Results, profile: DeviceProfile | None, paths: Mapping[Form, Path],
    board: str, *, own: bool,
) -> Verified:  # fmt: skip
    machine = results.machine
    same = profile is not None and is_device(profile.about, machine.identity)
    right = {p: (np.array(m.answers) == images.labels).tolist() for p, m in results.models.items()}
    predicted, said = _predicted(card, profile, next(iter(paths.values())).parent)
    models: dict[Form, VerifiedModel] = {}
    for p, timed in results.models.items():
        without_idle = profile is not None and profile.about.energy_without_idle
        measured = measured_of(timed, without_idle=without_idle)
        base = fp32_of(p)
        compared = p != base and base in results.models
        relative = (timed.relative, timed.relative_low, timed.relative_high) if compared else None
        verdict, words = _verdict(card, p, measured, profile.about if profile else None, same=same)
        slow = compared and timed.relative_low > 1
        models[p] = VerifiedModel(
            file=paths[p].name, megabytes=paths[p].stat().st_size / 1e6, accuracy=accuracy_of(right[p]),
            of_card=card.models[p].test if own and p in card.models else None,
            less_fp32=difference_of(right[p], right[base]) if compared else None, measured=measured,
            relative=relative, predicted=predicted.get(p), verdict=verdict, verdict_words=words,
            slower=why_slower(paths[p], p, results) if slow else [],
        )  # fmt: skip
    return Verified(
        at=datetime.now(UTC).isoformat(timespec="seconds"), where=where_of(results), board=board, images=images.name,
        count=len(images.labels), total=images.total, threads=machine.threads, same_device=same,
        pictures=len(images.pictures), notes=_notes(results) + said, models=models,
    )  # fmt: skip


def _predicted(
    card: Card, profile: DeviceProfile | None, place: Path
) -> tuple[dict[Form, Predicted | None], list[str]]:  # fmt: skip
    """The card's predictions, by another profile than the card's those of the network in an ONNX file; and what to say.

    The fp32 file is taken before any other.
    """
    by_card = {p: m.predicted for p, m in card.models.items()}
    if profile is None or all(found is not None and found.device == profile.name for found in by_card.values()):
        return by_card, []
    forms = sorted(card.models, key=lambda p: p != "fp32")
    files = [card.models[p].file for p in forms if card.models[p].runtime == "onnxruntime"]
    if not files:
        return dict.fromkeys(card.models), [f"{profile.name} predicts from an ONNX file, and this version has none"]
    network = read_model(str(place / files[0])).network
    return {p: predicted_for(profile, network, parts_of(p)[0]) for p in card.models}, []


def _verdict(card: Card, form: Form, measured: Measured, about: About | None, *, same: bool) -> tuple[Verdict, str]:
    """On each budget that can be measured: the median latency, on the run's device; the file's size anywhere."""
    if not card.limits:
        return "no budgets", "the card has none"
    size = card.models[form].megabytes
    found = {"size_mb": size} | ({"latency_ms": measured.p50_ms} if same else {})
    if predicted := card.models[form].predicted:
        found |= {"peak_memory_mb": predicted.activations_mb}
    found |= {"params": float(card.params), "macs": float(card.macs)}
    if same and measured.energy_mj is not None:
        found["energy_mj"] = measured.energy_mj
    words, broken = [], False
    for column, limit in card.limits.items():
        name = next(o.words for o in OBJECTIVES.values() if o.column == column)
        unit = f" {UNITS[column]}" if column in UNITS else ""
        if column not in found:
            device = about.name if about else card.device
            why = f"this machine is not {device}" if column == "latency_ms" else "not measured"
            words.append(f"{name}: {why}")
            continue
        broken |= found[column] > limit
        words.append(f"{name} {found[column]:.4g} of {limit:.4g}{unit}")
    known = all(column in found for column in card.limits)
    return "violates" if broken else "feasible" if known else "not known", "; ".join(words)


def _notes(results: Results) -> list[str]:
    machine = results.machine
    left = [f"{form} did not run: {why}" for form, why in results.missing.items()]
    energy = [f"energy is of {machine.energy}"] if machine.energy else []
    return left + energy + [f"noticed: {what}" for what in machine.throttled]
