"""Estimators by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, fields, replace
from hashlib import sha256
from pathlib import Path
from typing import Any, get_args

import numpy as np

from nas.catalog import home
from nas.data.dataset import Dataset
from nas.errors import UserError, unknown
from nas.estimate.combined import Combined
from nas.estimate.curve import CurveExtrapolation
from nas.estimate.design import Design
from nas.estimate.ensemble import FEWEST
from nas.estimate.estimator import Estimator
from nas.estimate.fidelity import Fidelity
from nas.estimate.labels import KnownLabels, Labels, TrainedLabels, table_labels
from nas.estimate.proxy import ProxyTraining
from nas.estimate.structure import Structure
from nas.estimate.supernet import SupernetScores
from nas.estimate.table import table_lookup
from nas.estimate.zero_cost.estimator import AGGREGATE, ZeroCost, shown
from nas.run.settings import score_weight
from nas.space.search_space import SearchSpace
from nas.train.supernet import SupernetRecipe

POOL = 64  # random networks that zero-cost scores are ranked among
MOST_POOL = 10_000
MOST_TRAININGS = 300  # a third of the pool that a design chooses from

Make = Callable[[Dataset | None, Mapping[str, Any], int, SearchSpace | None], Estimator]


def _proxy(dataset: Dataset | None, fidelity: Mapping[str, Any], seed: int, space: SearchSpace | None) -> Estimator:
    return ProxyTraining(_needed(dataset, "proxy"), _fidelity(fidelity), seed)


def _fidelity(settings: Mapping[str, Any]) -> Fidelity:
    return Fidelity(**_checked("proxy", settings, {field.name: field.default for field in fields(Fidelity)}))


def _zero_cost(dataset: Dataset | None, settings: Mapping[str, Any], seed: int, space: SearchSpace | None) -> Estimator:
    """Settings: initializations, the pool's networks, and the weight of each score."""
    if space is None:
        raise UserError("estimator zero-cost needs the search space, for a pool of networks to rank in")
    numbers = _checked("zero-cost", {k: v for k, v in settings.items() if k != "weights"}, ZERO_COST)
    weights = settings.get("weights", AGGREGATE)
    if not isinstance(weights, Mapping):
        raise UserError(f"weights must give a number for each score; got {str(weights)[:80]!r}")
    if not 2 <= numbers.get("pool", POOL) <= MOST_POOL:
        raise UserError(f"pool must be from 2 to {MOST_POOL:,} networks; got {numbers['pool']}")
    known = _needed(dataset, "zero-cost")
    rng = np.random.default_rng(seed)
    pool = tuple(space.network(space.sample(rng), len(known.classes)) for _ in range(numbers.get("pool", POOL)))
    return ZeroCost(
        shown(known.train, seed), _checked("score", weights, dict.fromkeys(weights, 1.0)), pool,
        numbers.get("initializations", 3), seed,
    )  # fmt: skip


def _combined(dataset: Dataset | None, settings: Mapping[str, Any], seed: int, space: SearchSpace | None) -> Estimator:
    """Settings: those of `COMBINED`, and of `proxy`, whose trainings are the labels where no table is given."""
    own, fidelity = _apart(settings, COMBINED)
    if space is None:
        raise UserError("estimator combined needs the search space, whose structure it reads")
    structure = Structure(space, len(dataset.classes) if dataset else None)
    training = _fidelity(fidelity)  # also where nothing is trained: a name that is not known is an error
    labels: Labels
    weight = 0.0
    if own["labels"]:
        columns = tuple(filter(None, own["accuracy"].split(",")))
        labels = KnownLabels(table_labels(Path(own["labels"]), space, columns, structure.classes))
    else:
        labels = _trained("combined", dataset, fidelity, seed, structure, own)
        weight = score_weight(training.epochs * training.data_share)
    scored = own["score"] != "none" and not (own["labels"] and dataset is None and own["score"] == COMBINED["score"])
    score = make_estimator(own["score"], dataset, {}, seed, space) if scored else None
    return Combined(structure, labels, score, seed, weight if score else 0.0)


def _curve(dataset: Dataset | None, settings: Mapping[str, Any], seed: int, space: SearchSpace | None) -> Estimator:
    """Settings: those of `CURVE`, and of `proxy`: the whole training, of which candidates get the first epochs."""
    own, fidelity = _apart(settings, CURVE)
    if space is None:
        raise UserError("estimator curve needs the search space, whose structure it reads")
    structure = Structure(space, len(dataset.classes) if dataset else None)
    labels = _trained("curve", dataset, fidelity, seed, structure, own)
    epochs = _fidelity(fidelity).epochs
    if not 1 <= own["first"] <= epochs:
        raise UserError(f"first must be from 1 to the training's {epochs} epochs; got {own['first']}")
    return CurveExtrapolation(structure, labels.training, labels, own["first"])


def _trained(
    name: str, dataset: Dataset | None, fidelity: Mapping[str, Any], seed: int, structure: Structure,
    own: Mapping[str, Any],
) -> TrainedLabels:  # fmt: skip
    """Labels of proxy trainings, kept in the user's own folder by all that they depend on."""
    if not FEWEST <= own["trainings"] <= MOST_TRAININGS:
        raise UserError(f"trainings must be from {FEWEST} to {MOST_TRAININGS:,}; got {own['trainings']}")
    if own["design"] not in get_args(Design):
        raise unknown("design", own["design"], get_args(Design))
    proxy = _proxy(_needed(dataset, name), fidelity, seed, None)
    assert isinstance(proxy, ProxyTraining)
    space = structure.space
    made_of = space.fingerprint, proxy.dataset.fingerprint, sorted(asdict(proxy.fidelity).items()), seed
    folder = home() / "labels" / f"{space.name}-{sha256(repr(made_of).encode()).hexdigest()[:16]}"
    epochs = proxy.fidelity.epochs * proxy.fidelity.data_share
    return TrainedLabels(structure, proxy, folder / "labels.csv", own["trainings"], own["design"], seed, epochs)


def _apart(settings: Mapping[str, Any], defaults: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The settings among `defaults`, of their types, and the others. Raises UserError."""
    own = {name: value for name, value in settings.items() if name in defaults}
    texts = {name: value for name, value in own.items() if isinstance(defaults[name], str)}
    for name, value in texts.items():
        if not isinstance(value, str):
            raise UserError(f"{name} must be a text; got {str(value)[:80]!r}")
    numbers = _checked("estimator", {name: value for name, value in own.items() if name not in texts}, defaults)
    return {**defaults, **texts, **numbers}, {name: value for name, value in settings.items() if name not in defaults}


def _supernet(dataset: Dataset | None, settings: Mapping[str, Any], seed: int, space: SearchSpace | None) -> Estimator:
    """Settings: those of its training; sandwich may be written as true or false, as a command line has it."""
    if space is None:
        raise UserError("estimator supernet needs the search space, whose networks share their weights")
    defaults = {field.name: field.default for field in fields(SupernetRecipe)}
    words = {"true": True, "false": False}
    typed = {k: words.get(str(v), v) if isinstance(defaults.get(k), bool) else v for k, v in settings.items()}
    recipe = SupernetRecipe(**_checked("supernet", typed, defaults))
    return SupernetScores(_needed(dataset, "supernet"), space, recipe, seed)


def _table(dataset: Dataset | None, settings: Mapping[str, Any], seed: int, space: SearchSpace | None) -> Estimator:
    """Settings: path, and the columns of the accuracies, separated by commas, where they have another name."""
    for name, value in settings.items():
        if name not in TABLE:
            raise unknown("table setting", name, TABLE)
        if not isinstance(value, str):
            raise UserError(f"{name} must be a text; got {str(value)[:80]!r}")
    if space is None or not settings.get("path"):
        raise UserError("estimator table needs the search space and the path of a CSV")
    columns = tuple(filter(None, settings.get("accuracy", "").split(",")))
    return table_lookup(Path(settings["path"]), space, columns, len(dataset.classes) if dataset else None)


ZERO_COST: dict[str, Any] = {"initializations": 3, "pool": POOL}
TABLE = ("path", "accuracy")
LABELLED: dict[str, Any] = {"trainings": 40, "design": "d-optimal"}  # networks to train, and how they are chosen
COMBINED: dict[str, Any] = {"labels": "", "accuracy": "", "score": "zero-cost", **LABELLED}  # labels: a CSV of networks
CURVE: dict[str, Any] = {"first": 2, **LABELLED}  # epochs
ACCURATE = ("proxy", "curve", "combined", "table")  # their estimates are accuracies; those of the others are ranks
ON_PROXY = ("proxy", "curve", "combined")  # they train, so their settings include those of `proxy`
REPEATABLE = ("proxy",)  # whose accuracy differs with the seed of a training
ESTIMATORS: dict[str, Make] = {
    "proxy": _proxy,
    "zero-cost": _zero_cost,
    "combined": _combined,
    "curve": _curve,
    "supernet": _supernet,
    "table": _table,
}


def make_estimator(
    name: str, dataset: Dataset | None, settings: Mapping[str, Any], seed: int, space: SearchSpace | None = None, *,
    robust: bool = False,
) -> Estimator:  # fmt: skip
    """The estimator called `name`; `settings` are its own: what a training may cost, of `proxy`.

    All but `proxy` need the space. With `robust` its estimates have a robust accuracy too. Raises UserError for
    an unknown name, and for what that estimator cannot be asked.
    """
    if name not in ESTIMATORS:
        raise unknown("estimator", name, ESTIMATORS)
    estimator = ESTIMATORS[name](dataset, settings, seed, space)
    if not robust:
        return estimator
    if not isinstance(estimator, ProxyTraining):
        raise UserError(f"estimator {name} does not tell the robust accuracy; take proxy")
    return replace(estimator, robust=True)


def _checked(what: str, settings: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """The settings, whose names and types must be those of the defaults. Raises UserError."""
    for name, value in settings.items():
        if name not in defaults:
            raise unknown(f"{what} setting", name, defaults)
        if isinstance(defaults[name], bool):
            if not isinstance(value, bool):
                raise UserError(f"{name} must be true or false; got {str(value)[:80]!r}")
            continue
        whole = isinstance(defaults[name], int)
        if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
            raise UserError(f"{name} must be a {'whole ' if whole else ''}number; got {str(value)[:80]!r}")
    return dict(settings)


def _needed(dataset: Dataset | None, name: str) -> Dataset:
    if dataset is None:
        raise UserError(f"estimator {name} needs a dataset")
    return dataset
