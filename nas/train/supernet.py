"""The training of a supernet: a path at a time, all state in one object, so that it goes on where it was stopped."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, relu
from torch.nn.utils import clip_grad_norm_

from nas.data.augmentation import augment
from nas.data.dataset import Split
from nas.errors import UserError
from nas.models.supernet import OWN, Supernet
from nas.space.candidate import Candidate
from nas.space.network import Network
from nas.space.search_space import SearchSpace
from nas.tasks.task import Task
from nas.train.loop import best_device, generator_of, mixed_precision, normalize, schedule

SMALLEST_RESOLUTION = 8  # pixels
RESOLUTION_STEP = 8  # so that few resized copies of the data are made
WARMUP_SHARE = 0.05
CLIP_NORM = 5.0
MOMENTUM = 0.9


@dataclass(frozen=True, slots=True)
class SupernetRecipe:
    """How a supernet is trained, and at what share of a candidate's resolution it is trained and scored."""

    epochs: int = 16
    batch_size: int = 64
    resolution_share: float = 0.5
    learning_rate: float = 0.1  # the peak of the schedule
    weight_decay: float = 1e-4  # not on batch norms and biases
    sandwich: bool = False  # the largest network, the smallest and two random ones a step; else one random one
    rank_weight: float = 0.0  # at the end, of what a network of more MACs loses more than another on the same images
    own: int = OWN  # variants of a block at one position that still have weights of their own, not slices

    def __post_init__(self) -> None:
        if not (0 < self.resolution_share <= 1 and 0 < self.learning_rate <= 10 and 0 <= self.weight_decay <= 1):
            raise UserError(
                "resolution_share must be above 0 and at most 1, learning_rate above 0 and at most 10, weight_decay "
                f"from 0 to 1; got {self.resolution_share}, {self.learning_rate}, {self.weight_decay}"
            )
        if self.epochs < 1 or self.batch_size < 2 or self.own < 0 or not 0 <= self.rank_weight < math.inf:
            raise UserError(
                "epochs must be at least 1, batch_size at least 2 for batch norm, own and rank_weight at least 0; "
                f"got {self.epochs}, {self.batch_size}, {self.own}, {self.rank_weight}"
            )

    def resolution(self, network: Network) -> int:
        """Pixels of the images that a network is trained and scored on: candidates differ in it as in their own."""
        size = network.input_shape[1]
        share = RESOLUTION_STEP * round(size * self.resolution_share / RESOLUTION_STEP)
        return min(size, max(SMALLEST_RESOLUTION, share))


@dataclass(slots=True, eq=False)
class State:
    """All that a training is in. It is the same after `step` steps whether or not it was saved and read in between."""

    supernet: Supernet
    momentum: Mapping[str, Tensor]  # by the weight's name
    step: int = 0


def begin(supernet: Supernet) -> State:
    """A training before its first step."""
    return State(supernet, {name: torch.zeros_like(weight) for name, weight in supernet.weights.items()})


@dataclass(frozen=True, slots=True, eq=False)
class Paths:
    """Networks of a space, by number: any number's is the same whatever was drawn before.

    Of as many as the widest choice of the architecture has options, each option of every choice is drawn about as often
    as any other (strict fairness, FairNAS: Chu et al., ICCV 2021), but with a step for each path and not for all.
    """

    space: SearchSpace
    classes: int
    seed: int

    def network(self, number: int) -> Network:
        sizes = [len(choice.options) if self._architecture(choice.name) else 1 for choice in self.space.choices]
        turn, place = divmod(number, max(sizes))
        rng = np.random.default_rng([self.seed, turn])
        code = [
            np.concatenate([rng.permutation(n) for _ in range(-(-max(sizes) // n))])[place] if n > 1 else 0
            for n in sizes
        ]
        return self._decoded(code)

    def largest(self) -> Network:
        """The network of the most MACs that is found by setting one choice after the other."""
        return self._extreme(lambda macs: -macs)

    def smallest(self) -> Network:
        return self._extreme(lambda macs: macs)

    def _extreme(self, key: Callable[[int], int]) -> Network:
        code = [0] * len(self.space.choices)
        for _ in range(2):  # a choice of depth tells only where its blocks are there
            for column, choice in enumerate(self.space.choices):
                if self._architecture(choice.name):
                    options = [[*code[:column], n, *code[column + 1 :]] for n in range(len(choice.options))]
                    code = min(options, key=lambda option: key(self._decoded(option).macs))
        return self._decoded(code)

    def _architecture(self, name: str) -> bool:
        return name not in self.space.table.hyperparameters and name != "precision"

    def _decoded(self, code: list[int]) -> Network:
        values = (
            (c.name, c.options[int(n)])
            for c, n in zip(self.space.choices, code, strict=True)
            if self._architecture(c.name)
        )
        return self.space.network(Candidate(tuple(values)), self.classes)


def total_steps(train: Split, recipe: SupernetRecipe) -> int:
    return recipe.epochs * max(1, len(train) // recipe.batch_size)  # the last, short batch is left out


def train_supernet(
    state: State, paths: Paths, task: Task, train: Split, recipe: SupernetRecipe, *,
    flip: bool, device: torch.device | None = None, on_step: Callable[[State], object] = lambda state: None,
) -> State:  # fmt: skip
    """Trains on from `state`, which it changes, and returns the state after the last step.

    Each step trains a batch on one path, drawn uniformly (Guo et al., ECCV 2020), or on the largest, the smallest and
    two drawn, of which the largest learns the labels and the others what it says of the images (the sandwich rule with
    in-place distillation: Yu and Huang, ICCV 2019). With `rank_weight` at least two paths are drawn, and what those of
    more MACs lose more than others is added to the loss, with a weight that grows from 0.
    What a step does depends only on its number, the paths' seed and the state it finds; `on_step` hears of every one.
    Raises FloatingPointError, naming the step, when a gradient is not finite.
    """
    device = device or best_device()
    half = mixed_precision(device) if mixed_precision(device) is torch.bfloat16 else None
    weights = {name: _placed(weight, device).requires_grad_() for name, weight in state.supernet.weights.items()}
    momentum = {name: _placed(state.momentum[name], device) for name in weights}
    state.supernet, state.momentum = replace(state.supernet, weights=weights), momentum
    optimizer = _optimizer(state, recipe)
    batches, steps = max(1, len(train) // recipe.batch_size), total_steps(train, recipe)
    extremes = (paths.largest(), paths.smallest()) if recipe.sandwich else ()
    drawn = 2 if recipe.sandwich or recipe.rank_weight else 1
    order, epoch = torch.empty(0), -1
    while state.step < steps:
        step = state.step
        if epoch != step // batches:
            epoch = step // batches
            order = torch.randperm(len(train), generator=generator_of(paths.seed, 0, epoch))
        for group in optimizer.param_groups:
            group["lr"] = recipe.learning_rate * schedule(step, steps, max(1, round(WARMUP_SHARE * steps)))
        chosen = order[step % batches * recipe.batch_size :][: recipe.batch_size]
        networks = [*extremes, *(paths.network(step * drawn + n) for n in range(drawn))]
        # a step's networks see the same images, of the size that is the first drawn one's
        pixels = train.images.take(chosen, recipe.resolution(networks[-drawn]))
        images = augment(pixels, "crop-flip", flip=flip, generator=generator_of(paths.seed, 1, step))
        images, labels = normalize(images.to(device)), train.labels[chosen].to(device)
        with torch.autocast(device.type, half, enabled=half is not None):
            outputs = [state.supernet.forward(network, images).float() for network in networks]
        losses = [task.loss(output, labels, 0.0) for output in outputs]
        wanted = losses
        if recipe.sandwich:
            soft = outputs[0].detach().softmax(1)
            wanted = [losses[0], *(cross_entropy(output, soft) for output in outputs[1:])]
        loss = torch.stack(wanted).sum()
        if recipe.rank_weight:
            loss = loss + recipe.rank_weight * step / steps * disorder(networks, losses)
        optimizer.zero_grad()  # what no path of the step has is then left as it is
        loss.backward()  # type: ignore[no-untyped-call]
        norm = clip_grad_norm_(weights.values(), CLIP_NORM)
        if not bool(norm.isfinite()):
            raise FloatingPointError(f"the gradient is not finite at step {step + 1} of {steps}")
        optimizer.step()
        state.step = step + 1
        on_step(state)
    return state


def disorder(networks: Sequence[Network], losses: Sequence[Tensor]) -> Tensor:
    """The sum over pairs of what the network of more MACs loses more than the other, a scalar."""
    order = sorted(range(len(networks)), key=lambda n: networks[n].macs)
    pairs = [(i, j) for i, j in combinations(order, 2) if networks[i].macs < networks[j].macs]
    return sum((relu(losses[j] - losses[i]) for i, j in pairs), torch.zeros_like(losses[0]))


def _optimizer(state: State, recipe: SupernetRecipe) -> torch.optim.Optimizer:
    """Weight decay only on what has more than one dimension. Its momentum is the state's, changed in place."""
    weights = state.supernet.weights
    groups = [
        {"params": [w for w in weights.values() if w.ndim > 1], "weight_decay": recipe.weight_decay},
        {"params": [w for w in weights.values() if w.ndim <= 1], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.SGD(groups, lr=recipe.learning_rate, momentum=MOMENTUM, nesterov=True)
    for name, weight in weights.items():
        optimizer.state[weight]["momentum_buffer"] = state.momentum[name]
    return optimizer


def _placed(tensor: Tensor, device: torch.device) -> Tensor:
    """A copy on the device, convolutions' weights channels last."""
    form = torch.channels_last if tensor.ndim == 4 else torch.contiguous_format
    return tensor.detach().clone().to(device).contiguous(memory_format=form)
