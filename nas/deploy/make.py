"""A version of a deployment made of a trained model: its files exported, run on their images, timed, and written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np

from nas import __version__
from nas.data.dataset import Dataset
from nas.data.shown import table_boxes
from nas.deploy.card import Card, Measured, ModelFile
from nas.deploy.detected import drawn
from nas.deploy.facts import digest_of, facts_of
from nas.deploy.images import Seen, seen
from nas.deploy.judgment import joined, judged
from nas.deploy.measure import Part, Results, Timed, measure_models
from nas.deploy.predicted import predicted_for
from nas.device.profile import DeviceProfile
from nas.models.trained import TrainedModel
from nas.runtimes.runtime import Exported, Form, parts_of

PROXY = "proxy training"  # of a model's lineage, whose weights are those of the search


Files = Mapping[Form, Exported]  # the one that is used first


@dataclass(frozen=True, slots=True)
class Origin:
    """The dataset of a model, by name, SHA-256 and the seed of its validation split; the device and the budgets."""

    dataset: str
    dataset_sha256: str
    dataset_seed: int
    device: str
    budgets: Mapping[str, float]
    licence: str = ""  # of the dataset


def as_dataset_sees(model: TrainedModel, data: Dataset) -> TrainedModel:
    """The model with the side at which its dataset keeps images: an older run's model does not know it."""
    return replace(model, preprocessing=replace(model.preprocessing, side=data.train.images.side))


def card_of(
    model: TrainedModel, files: Files, origin: Origin, profile: DeviceProfile | None, version: int, job: str
) -> Card:
    """The card of a version before anything was measured."""
    network, (precision, runtime) = model.network, parts_of(next(iter(files)))
    models = {
        form: ModelFile(
            file=f"model-{one.precision}{one.path.suffix}", runtime=parts_of(form)[1], sha256=digest_of(one.path),
            megabytes=one.megabytes, agreement=one.agreed, notes=list(one.notes),
            predicted=predicted_for(profile, network, one.precision),
        )
        for form, one in files.items()
    }  # fmt: skip
    return Card(
        version=version, made=datetime.now(UTC).isoformat(timespec="seconds"), tool=f"nas {__version__}",
        task=model.task, classes=len(model.classes), resolution=model.preprocessing.resolution, params=network.params,
        macs=network.macs, weights="proxy" if PROXY in model.lineage.steps else "full", precision=precision,
        runtime=runtime,
        run=model.lineage.run, trial=model.lineage.trial, steps=list(model.lineage.steps),
        hashes=dict(model.lineage.hashes), recipe=dict(model.recipe), job=job, models=models,
        threads=(profile.about.threads if profile else None) or 1, dataset=origin.dataset,
        dataset_sha256=origin.dataset_sha256, dataset_seed=origin.dataset_seed, device=origin.device,
        budgets=dict(origin.budgets), licence=origin.licence,
    )  # fmt: skip


def measured_on_images(
    card: Card, model: TrainedModel, files: Files, data: Dataset
) -> tuple[Card, bytes | None]:  # fmt: skip
    """The card with what each file reaches on validation and test images, and what it takes on this machine.

    Of a detector with some test pictures as a JPEG, and what the first file finds in them. Raises UserError and Stopped
    as `measure_models` does.
    """
    facts = facts_of(model, card)
    validation, test = (seen(data.name, split, facts) for split in (data.validation, data.test_split()))
    images = Seen(
        data.name, np.concatenate([test.pixels, validation.pixels]), joined(test.labels, validation.labels),
        test.total + validation.total, test.pictures, test.samples,
    )  # fmt: skip
    part, name = Part(facts, {p: one.path for p, one in files.items()}, images), str(card.version)
    results = measure_models({name: part}, threads=card.threads)
    found = results.versions[name].models
    tested, models = len(test.labels), {}
    for p, model_file in card.models.items():
        on_test = judged(found[p].answers[:tested], test.labels, model.classes)
        on_validation = judged(found[p].answers[tested:], validation.labels, model.classes)
        models[p] = model_file.model_copy(update={
            "test": on_test.accuracy, "test_at_50": on_test.at_50, "validation": on_validation.accuracy,
            "validation_at_50": on_validation.at_50, "detected": on_test.detected, "measured": measured_of(found[p]),
        })  # fmt: skip
    pictures = None
    if test.samples:
        boxes = [table_boxes(found[card.first].answers[n], model.classes) for _, n in test.samples]  # type: ignore[arg-type]  # of a detector
        pictures = drawn([picture for picture, _ in test.samples], boxes, model.classes)
    return card.model_copy(update={"models": models, "measured_on": where_of(results)}), pictures


def measured_of(timed: Timed, *, without_idle: bool = False) -> Measured:
    """What of a measurement stands on a card; the energy with the idle power, or without."""
    found = {name: getattr(timed, name) for name in Measured.model_fields}
    return Measured(**found | {"energy_mj": timed.energy_net_mj if without_idle else timed.energy_mj})


def where_of(found: Results) -> str:
    """The machine, its runtime and threads, in words."""
    m = found.machine
    threads = f"{m.threads} thread" + "s" * (m.threads > 1)
    return ", ".join(dict.fromkeys([m.identity.name, m.processor, m.runtime, threads]))
