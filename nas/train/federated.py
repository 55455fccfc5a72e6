"""Federated averaging with local batch norm: several sites learn one network without sending their images.

McMahan et al., "Communication-efficient learning of deep networks from decentralized data", AISTATS 2017, with batch
norms that stay where they are: Li et al., "FedBN", ICLR 2021, which is right where sites differ in light, lens or
noise. Updates are clipped, and noised, as in McMahan et al., ICLR 2018.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from nas.data.dataset import Split
from nas.data.images import ImagesInMemory
from nas.errors import UserError
from nas.models.trained import TrainedModel
from nas.tasks.classification import Classification
from nas.train.loop import evaluate, fit
from nas.train.recipe import Recipe

NORM_IMAGES = 512  # of a site that give its batch norms their statistics after each training

Weights = Mapping[str, Tensor]  # of a state_dict, or a part of one


@dataclass(frozen=True, slots=True, eq=False)
class Client:
    """A site: images that it learns from, and others that it is measured on; labels are those of the model."""

    name: str
    train: Split
    held: Split


@dataclass(frozen=True, slots=True)
class Federation:
    """How is learned: `rounds` of `epochs` at each site.

    `clip`: the largest norm of a site's update (L2, all weights that travel together); 0: not clipped. `noise`: the
    deviation of the Gaussian noise in the sum of the updates, in units of what one site can change; 0: none.
    """

    rounds: int = 10
    epochs: int = 1
    learning_rate: float = 0.01
    batch_size: int = 32
    clip: float = 0.0
    noise: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in (("rounds", 1), ("epochs", 1), ("batch_size", 2)):
            if getattr(self, name) < least:
                raise UserError(f"{name} must be {least} or more; got {getattr(self, name)}")
        for name in ("clip", "noise"):
            if not 0 <= getattr(self, name) < math.inf:
                raise UserError(f"{name} must be 0 or more; got {getattr(self, name)}")
        if self.noise and not self.clip:
            raise UserError("noise is measured in what one site can change, which only a clip bounds: give both")


@dataclass(frozen=True, slots=True, eq=False)
class Federated:
    """What came of it. `model` has the mean of the sites' batch norms, `own` each site's own, by its name.

    `accuracy`: on each site's held images, by its name: before, local (alone, as many epochs), federated (with its own
    batch norms), central (all images in one place). `sent_mb` by each site in a round, 10^6 bytes.
    """

    model: TrainedModel
    own: Mapping[str, TrainedModel]
    accuracy: Mapping[str, Mapping[str, float]]
    sent_mb: float


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """One training at a site: what a worker is sent, and all that it needs."""

    model: TrainedModel
    train: Split
    recipe: Recipe
    seed: int


Train = Callable[[Task], Weights]
Map = Callable[[Train, Sequence[Task]], "list[Weights]"]
OnRound = Callable[[int, Mapping[str, float]], object]  # the round, from 1; accuracies by site


def one_by_one(train: Train, tasks: Sequence[Task]) -> list[Weights]:
    """A `Map` in this process."""
    return [train(task) for task in tasks]


def federate(
    model: TrainedModel, clients: Sequence[Client], asked: Federation, *, run: Map = one_by_one,
    on_round: OnRound = lambda number, accuracy: None,
) -> Federated:  # fmt: skip
    """Trains the model on at all sites, and by itself at each and on all images in one place to compare with.

    Equal seeds give equal weights. Raises UserError for fewer than two sites, and a training that is not finite.
    """
    if len(clients) < 2:
        raise UserError(f"a federation needs at least two sites; got {len(clients)}")
    local = _local_names(model)
    shared: dict[str, Tensor] = {name: w.clone() for name, w in model.weights.items() if name not in local}
    own = {client.name: {name: model.weights[name].clone() for name in local} for client in clients}
    sizes = torch.tensor([float(len(client.train)) for client in clients])
    shares = sizes / sizes.sum()
    noise = torch.Generator().manual_seed(asked.seed)
    accuracy = {c.name: {"before": _accuracy(model, c.held)} for c in clients}
    for number in range(asked.rounds):
        seed = asked.seed + 1000 * number
        tasks = [
            Task(_with(model, shared | own[c.name]), c.train, _recipe(model, asked, len(c.train)), seed)
            for c in clients
        ]
        found = run(train_here, tasks)
        updates = []
        for client, weights in zip(clients, found, strict=True):
            own[client.name] = {name: weights[name] for name in local}
            updates.append(clipped({name: weights[name] - shared[name] for name in shared}, asked.clip))
        step = averaged(updates, shares.tolist())
        if asked.noise:
            deviation = asked.noise * asked.clip * float(shares.max())
            step = {name: w + deviation * torch.randn(w.shape, generator=noise) for name, w in step.items()}
        shared = {name: shared[name] + step[name] for name in shared}
        on_round(number + 1, {c.name: _accuracy(_with(model, shared | own[c.name]), c.held) for c in clients})
    models = {client.name: _with(model, shared | own[client.name]) for client in clients}
    alone = replace(asked, epochs=asked.rounds * asked.epochs)
    pooled = _pooled([client.train for client in clients], model.preprocessing.resolution)
    tasks = [Task(model, part, _recipe(model, alone, len(part)), asked.seed) for part in
             (*(client.train for client in clients), pooled)]  # fmt: skip
    *locals_, central = run(train_here, tasks)
    for client, weights in zip(clients, locals_, strict=True):
        accuracy[client.name] |= {
            "local": _accuracy(_with(model, weights), client.held),
            "federated": _accuracy(models[client.name], client.held),
            "central": _accuracy(_with(model, central), client.held),
        }
    mean = averaged([own[client.name] for client in clients], shares.tolist())
    sent = sum(tensor.numel() * tensor.element_size() for tensor in shared.values()) / 1e6
    return Federated(_with(model, shared | mean), models, accuracy, sent)


def train_here(task: Task) -> Weights:
    """A site's training: the whole state_dict afterwards. Raises UserError where it is not finite."""
    module = task.model.module()
    some = task.train.subset(torch.arange(min(64, len(task.train))))  # looked at, not used
    try:
        fit(
            module, Classification(task.model.classes), task.train, some, task.recipe, seed=task.seed,
            device=torch.device("cpu"), flip=False,
        )  # fmt: skip
    except FloatingPointError as error:
        raise UserError(f"a site's training: {error}; take a smaller learning rate or --clip") from None
    return {name: tensor.detach().clone() for name, tensor in module.state_dict().items()}


def clipped(update: Weights, most: float) -> dict[str, Tensor]:
    """The update, made smaller where its norm is above `most`; 0: as it is."""
    norm = math.sqrt(sum(float(tensor.double().square().sum()) for tensor in update.values()))
    factor = 1.0 if not most or norm <= most else most / norm
    return {name: tensor * factor for name, tensor in update.items()}


def averaged(parts: Sequence[Weights], shares: Sequence[float]) -> dict[str, Tensor]:
    """The mean of weights of equal names, each with its share; whole numbers, as counts of batches, of the first."""
    return {
        name: sum((share * part[name] for share, part in zip(shares, parts, strict=True)), torch.zeros_like(first))
        if first.is_floating_point() else first
        for name, first in parts[0].items()
    }  # fmt: skip


def _local_names(model: TrainedModel) -> frozenset[str]:
    """The names of what stays at a site: all of its batch norms."""
    norms = [name for name, part in model.module().named_modules() if isinstance(part, nn.BatchNorm2d)]
    return frozenset(name for name in model.weights if name.rpartition(".")[0] in norms)


def _with(model: TrainedModel, weights: Weights) -> TrainedModel:
    return replace(model, weights={name: weights[name] for name in model.weights})


def _recipe(model: TrainedModel, asked: Federation, images: int) -> Recipe:
    batch = max(2, min(asked.batch_size, images))
    resolution = model.preprocessing.resolution
    return Recipe(
        asked.epochs, batch, resolution, asked.learning_rate, warmup_share=0.0, calibration_images=NORM_IMAGES
    )  # fmt: skip


def _accuracy(model: TrainedModel, held: Split) -> float:
    return evaluate(model.module(), Classification(model.classes), held, model.preprocessing.resolution)


def _pooled(splits: Sequence[Split], resolution: int) -> Split:
    """All sites' images in one place, which a federation avoids: to compare with."""
    pixels = [split.images.take(torch.arange(len(split)), resolution) for split in splits]
    return Split(ImagesInMemory(torch.cat(pixels)), torch.cat([split.labels for split in splits]))
