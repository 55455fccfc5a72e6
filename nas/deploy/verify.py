"""nas verify: a deployed version run on test images and timed, here or on a board, beside what was predicted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from nas.data.shown import table_boxes
from nas.deploy.card import Card, Measured, Predicted, read_card
from nas.deploy.facts import Facts, read_facts
from nas.deploy.folder import PAGE, version_folder, versions_in
from nas.deploy.images import MOST_BYTES, Seen, dataset_of, other_images, seen
from nas.deploy.judgment import judged, judged_less
from nas.deploy.make import measured_of, where_of
from nas.deploy.measure import Part, Results, measure_models, measured_elsewhere, pack
from nas.deploy.predicted import device_or_none, predicted_for
from nas.deploy.slower import why_slower
from nas.deploy.verified import Verdict, Verified, VerifiedModel, keep, read_verified
from nas.deploy.verified_page import verified_page
from nas.device.info import About
from nas.device.profile import DeviceProfile, load_device
from nas.errors import UserError
from nas.files.atomic import write_atomic
from nas.files.lock import locked
from nas.models.price import read_model
from nas.profiling.results.machine import is_device
from nas.run import OBJECTIVES, UNITS
from nas.run.average_precision import MOST_CLASSES
from nas.runtimes.runtime import Form, fp32_of, parts_of


@dataclass(frozen=True, slots=True)
class Verification:
    """What was found of each version that was measured, in order, and the page of the folder."""

    cards: Mapping[int, Card]
    found: Mapping[int, Verified]
    page: Path


@dataclass(frozen=True, slots=True, eq=False)
class _Version:
    """A version that is to be measured."""

    place: Path
    card: Card
    part: Part


def verify(
    folder: Path, *, versions: Sequence[int] | None = None, ssh: str | None = None, python: str = "python3",
    device: str | None = None, images: str | None = None, threads: int | None = None, meter: str = "none",
    results: Path | None = None, settings: Mapping[str, float] | None = None,
) -> Verification:  # fmt: skip
    """Measures versions together, the one in use unless `versions` names others, and keeps what it finds.

    It runs here, or on the board `ssh`, with the threads of the first one's device unless told otherwise; or it reads
    `results`, which a board's agent wrote for the bundle that `bundle` made with the same options. `images` are those
    of another source than the run's dataset: its test images, all of them where it has no test split. `device` is a
    profile to predict by in the place of the run's; `meter` is none, rapl, ina3221 or nvml. Raises UserError and
    Stopped as `measure_models`, for a folder without such a version, a file of it that was changed, versions of
    different datasets, and a dataset that is not there or has changed.
    """
    profile = None if device is None else load_device(device)
    with ExitStack() as held:
        chosen = _chosen(folder, versions, images)
        for version in chosen.values():
            held.enter_context(locked(version.place, "another process is verifying {path}; wait for it"))
        parts = {str(number): version.part for number, version in chosen.items()}
        used = threads or next(iter(chosen.values())).card.threads
        if results is not None:
            measured = measured_elsewhere(results, parts, used, settings)
        else:
            measured = measure_models(parts, threads=used, ssh=ssh, python=python, meter=meter, settings=settings)
        found = _verified(chosen, measured, profile, ssh or (str(results.name) if results else ""), images is None)
        for number, one in found.items():
            keep(chosen[number].place, one)
    write_atomic(folder / PAGE, page_of(folder).encode())
    return Verification({number: version.card for number, version in chosen.items()}, found, folder / PAGE)


def bundle(
    folder: Path, target: Path, *, versions: Sequence[int] | None = None, images: str | None = None,
    threads: int | None = None,
) -> None:  # fmt: skip
    """Writes what a board without ssh measures by itself: a zip file, or a new folder. Raises UserError as `verify`."""
    chosen = _chosen(folder, versions, images)
    used = threads or next(iter(chosen.values())).card.threads
    pack(target, {str(number): version.part for number, version in chosen.items()}, used)


def page_of(folder: Path) -> str:
    """The page of all that verifications of a folder's versions found, the last one first."""
    places = {number: version_folder(folder, number) for number in versions_in(folder)}
    cards = {number: read_card(place) for number, place in places.items()}
    sessions: dict[tuple[str, str], dict[int, Verified]] = {}
    for number, place in places.items():
        for one in read_verified(place):
            sessions.setdefault((one.at, one.where), {})[number] = one
    shown = [sessions[key] for key in sorted(sessions, reverse=True)]
    return verified_page(folder.absolute().name, [(cards, session) for session in shown])


def _chosen(folder: Path, versions: Sequence[int] | None, source: str | None) -> dict[int, _Version]:
    """The versions by their number, with the same images as each one's networks see them."""
    places = [version_folder(folder, number) for number in sorted(set(versions))] if versions else [
        version_folder(folder)]  # fmt: skip
    cards = {int(place.name): read_card(place) for place in places}
    facts = {int(place.name): read_facts(place) for place in places}
    first = next(iter(cards.values()))
    if source is None and (odd := [n for n, c in cards.items() if _images_of(c) != _images_of(first)]):
        raise UserError(
            f"{folder}: versions that are compared must be of the same test images; version {odd[0]} is of others than "
            f"version {first.version}: name images with --images"
        )
    most = min(MOST_BYTES // len(cards) // (3 * one.resolution**2) for one in facts.values())
    return {
        int(place.name): _Version(place, cards[int(place.name)], Part(
            facts[int(place.name)],
            {form: place / name for form, name in facts[int(place.name)].models.items()},
            _images(cards[int(place.name)], facts[int(place.name)], source, max(1, most)),
        ))
        for place in places
    }  # fmt: skip


def _images_of(card: Card) -> tuple[str, int]:
    return card.dataset_sha256, card.dataset_seed


def _images(card: Card, facts: Facts, source: str | None, most: int) -> Seen:
    if source is not None:
        return seen(source, other_images(source, facts.classes), facts, most)
    data = dataset_of(card.dataset, card.dataset_sha256, card.dataset_seed)
    if data.classes != facts.classes:
        raise UserError(f"{card.dataset}: its classes must be those of the deployment; name images with --images")
    return seen(card.dataset, data.test_split(), facts, most)


def _verified(
    chosen: Mapping[int, _Version], results: Results, asked: DeviceProfile | None, board: str, own: bool
) -> dict[int, Verified]:  # fmt: skip
    machine, at = results.machine, datetime.now(UTC).isoformat(timespec="seconds")
    known = {number: results.versions[str(number)].models for number in chosen}
    answers = {(n, p): m.answers for n, ms in known.items() for p, m in ms.items()}
    first = next(iter(chosen))  # whose fp32 the agent compares with, too
    found = {}
    for number, version in chosen.items():
        card, shown, facts = version.card, version.part.images, version.part.facts
        profile = asked or device_or_none(card.device)
        same = profile is not None and is_device(profile.about, machine.identity)
        predicted, said = _predicted(card, profile, version.place)
        models: dict[Form, VerifiedModel] = {}
        for p, timed in known[number].items():
            path = version.part.models[p]
            without_idle = profile is not None and profile.about.energy_without_idle
            measured = measured_of(timed, without_idle=without_idle)
            base = first, fp32_of(p)
            compared = base in answers and base != (number, p)
            verdict, words = _verdict(card, p, measured, profile.about if profile else None, same=same)
            slow = compared and parts_of(p)[0] != "fp32" and timed.relative_low > 1
            judgment = judged(answers[number, p], shown.labels, facts.classes)
            less = judged_less(answers[number, p], answers[base], shown.labels, facts.classes) if compared else None
            models[p] = VerifiedModel(
                file=path.name, megabytes=path.stat().st_size / 1e6,
                accuracy=judgment.accuracy, at_50=judgment.at_50, detected=judgment.detected,
                boxes=[table_boxes(timed.answers[n], facts.classes) for _, n in shown.samples],  # type: ignore[arg-type]  # of a detector
                of_card=card.models[p].test if own and p in card.models else None,
                less_fp32=less.accuracy if less else None, at_50_less_fp32=less.at_50 if less else None,
                measured=measured, predicted=predicted.get(p), verdict=verdict, verdict_words=words,
                relative=(timed.relative, timed.relative_low, timed.relative_high) if compared else None,
                slower=why_slower(path, p, machine, known[first][base[1]].p50_ms) if slow else [],
            )  # fmt: skip
        found[number] = Verified(
            at=at, where=where_of(results), board=board, images=shown.name, count=len(shown.labels),
            total=shown.total, threads=machine.threads, same_device=same, pictures=len(shown.pictures),
            base="fp32" if len(chosen) == 1 else f"fp32 of version {first}",
            classes=list(facts.classes) if facts.heads and len(facts.classes) <= MOST_CLASSES else [],
            samples=[picture for picture, _ in shown.samples],
            together=list(chosen), notes=_notes(results, str(number)) + said, models=models,
        )  # fmt: skip
    return found


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


def _notes(results: Results, version: str) -> list[str]:
    machine = results.machine
    left = [f"{form} did not run: {why}" for form, why in results.versions[version].missing.items()]
    energy = [f"energy is of {machine.energy}"] if machine.energy else []
    return left + energy + [f"noticed: {what}" for what in machine.throttled]
