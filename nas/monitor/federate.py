"""nas federate: several sites learn on from a deployed version, and a new version is written; their images stay there.

FOLDER/.models/N             the model of the new version, with the mean of the sites' batch norms
FOLDER/.models/N-sites/NAME  the same with the batch norms of one site: nas deploy makes a folder of it
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

import torch

from nas.catalog import home
from nas.data.catalog import load_found
from nas.data.dataset import Split
from nas.deploy.card import Card, read_card
from nas.deploy.facts import read_facts
from nas.deploy.folder import MODELS, version_folder
from nas.deploy.images import dataset_of
from nas.deploy.job import deploy
from nas.errors import UserError
from nas.files.atomic import make_folder
from nas.files.lock import locked
from nas.models.trained import TrainedModel, save_trained
from nas.monitor.calibrate import WORK, Calibration, find_model, job_like
from nas.monitor.reference import watch_files
from nas.tasks.classification import Classification
from nas.train.federated import Client, Federated, Federation, Map, OnRound, federate, one_by_one
from nas.train.loop import evaluate

HELD_SHARE = 3  # every third image of a class, where a site's folder has no test/
LEAST = 2  # images of a class at a site
BUSY = "another process is calibrating {path}; wait for it"

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True, eq=False)
class Done:
    """The new version, what came of it, and the accuracy on the old test images before and after, as fractions."""

    version: int | None
    found: Federated
    old_before: float
    old_after: float


def federate_folder(
    folder: Path, sites: Sequence[Path], asked: Federation, *, model: Path | None = None,
    max_loss: float | None = None, run: Map = one_by_one, tell: Tell = lambda line: None,
    on_round: OnRound = lambda number, accuracy: None,
) -> Done:  # fmt: skip
    """Trains the version in use on at every site, compares, and writes a new version that is not yet in use.

    Each of `sites` is a folder of labelled pictures, as `nas.data.folder` reads them, with test/ or without. Raises
    UserError for classes that the network does not know, a site named twice, and what `find_model` and `federate` do;
    and, with `max_loss`, where more than this fraction is lost on the old test images: then nothing is written.
    """
    place = version_folder(folder)
    card, facts = read_card(place), read_facts(place)
    if card.task != "classification":
        raise UserError(f"{place}: only classifiers learn again from a board's pictures; this is for {card.task}")
    clients = [client_of(path, facts.classes) for path in sites]
    names = [client.name for client in clients]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise UserError(f"a site is called by its folder's name; two are called {twice[:80]!r}")
    known = find_model(Calibration(folder, model=model), card)
    data = dataset_of(card.dataset, card.dataset_sha256, card.dataset_seed)
    for client in clients:
        tell(f"{client.name}: {len(client.train):,} images to learn from, {len(client.held):,} to measure on")
    with locked(folder / WORK, BUSY, own=True):
        found = federate(known, clients, asked, run=run, on_round=on_round)
        resolution, test = known.preprocessing.resolution, data.test_split()
        old_before, old_after = (
            evaluate(one.module(), Classification(one.classes), test, resolution) for one in (known, found.model)
        )
        lost = old_before - old_after
        if max_loss is not None and lost > max_loss:
            raise UserError(
                f"no version is written: {100 * lost:.1f} points are lost on the old test images, where at most "
                f"{100 * max_loss:g} are allowed (--max-loss)"
            )
        line = f"federated fine-tuning at {len(clients)} sites, {asked.rounds} rounds, after version {card.version}"
        version = _written(folder, card, known, found, data.fingerprint, line, tell)
    return Done(version, found, old_before, old_after)


def client_of(path: Path, classes: Sequence[str]) -> Client:
    """A site's folder. Raises UserError for a class that the network does not know, or of too few images."""
    found = load_found(f"folder:{path}", cache_dir=home() / "datasets")
    if odd := [name for name in found.classes if name not in classes]:
        raise UserError(f"{path}: its class {odd[0]!r} is not one of the network's ({', '.join(classes)[:200]})")
    numbers = torch.tensor([classes.index(name) for name in found.classes])

    def mapped(split: Split) -> Split:
        return Split(split.images, numbers[split.labels])

    whole = mapped(found.train)
    if found.test is not None:
        return Client(path.absolute().name, whole, mapped(found.test))
    held = torch.zeros(len(whole), dtype=torch.bool)
    for label in sorted(set(whole.labels.tolist())):
        own = (whole.labels == label).nonzero()[:, 0]
        if len(own) < LEAST:
            raise UserError(f"{path}: class {classes[label]!r} has {len(own)} image; a site needs at least {LEAST}")
        held[own[1::HELD_SHARE]] = True
    learned, measured = (whole.subset(part.nonzero()[:, 0]) for part in (~held, held))
    return Client(path.absolute().name, learned, measured)


def privacy_of(asked: Federation, found: Federated) -> str:
    """What leaves a site, and what that protects, in words: no more than it is."""
    said = f"Only weights leave a site: {found.sent_mb:.2f} MB a round, no images and no labels."
    if not asked.clip:
        return f"{said} An update that is not clipped may still tell something of the images that it was made of."
    if not asked.noise:
        return (
            f"{said} Each update is clipped to a norm of {asked.clip:g}, which bounds what one site can change, "
            "but hides nothing by itself."
        )
    return (
        f"{said} Each update is clipped to a norm of {asked.clip:g}, and the sum has noise of {asked.noise:g} times "
        "what one site can change. This makes images harder to read out of it; no epsilon was computed, so no "
        "differential privacy is claimed."
    )


def _written(
    folder: Path, card: Card, known: TrainedModel, found: Federated, fingerprint: str, line: str, tell: Tell
) -> int:
    def signed(model: TrainedModel, line: str) -> TrainedModel:
        made = sha256(b"".join(t.contiguous().numpy().tobytes() for t in model.weights.values())).hexdigest()
        hashes = dict(known.lineage.hashes) | {"dataset": fingerprint, "training": made}
        return replace(model, lineage=replace(known.lineage, steps=(*known.lineage.steps, line), hashes=hashes))

    whole = signed(found.model, line)
    work = folder / WORK / "federated"
    save_trained(work, whole)
    version = read_card(deploy(job_like(card, work), folder, tell=tell, use=False, watched=watch_files)).version
    make_folder(folder / MODELS / f"{version}-sites")
    save_trained(folder / MODELS / str(version), whole)
    for name, model in found.own.items():
        save_trained(folder / MODELS / f"{version}-sites" / name, signed(model, f"{line}: batch norms of {name}"))
    return version
