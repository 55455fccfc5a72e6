"""A full training: all state in one object, so that it goes on where it was stopped and ends with the same weights."""

from __future__ import annotations

import math
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field, replace
from time import perf_counter

import torch
from torch import Tensor, nn

from nas.data.augmentation import mix
from nas.data.dataset import Split
from nas.tasks.task import Task
from nas.train.crew import ALONE, Crew
from nas.train.distill import Teacher, all_logits, soft_loss
from nas.train.full_recipe import FullRecipe
from nas.train.loop import (
    Epoch,
    all_finite,
    calibrate,
    generator_of,
    measure,
    mixed_precision,
    normalize,
    optimizer_of,
)
from nas.train.memory import keep_freed_memory

ORDER, AUGMENTATION, MIXING = 0, 1, 2  # what random numbers are for
LATE = 1.05  # times the limit, that a training may be going to take before its epochs become fewer


@dataclass(slots=True, eq=False)
class Training:
    """It is the same after `step` steps whether or not it was saved and read in between.

    `average` is the exponential moving average of the model's weights and statistics (Polyak and Juditsky, 1992), which
    is what a training gives: with a learning rate that falls to 0 its last epoch is no worse than its best, and no
    epoch is chosen by the validation images, so that their accuracy is not flattered.
    """

    model: nn.Module
    average: nn.Module
    optimizer: torch.optim.Optimizer
    recipe: FullRecipe  # with a limit of time its epochs may become fewer
    batches: int  # steps of an epoch
    loss: Tensor  # the sum over the epoch's steps so far, on the model's device
    step: int = 0
    seconds: float = 0.0  # of all processes that took part
    curve: list[Epoch] = field(default_factory=list)

    @property
    def steps(self) -> int:
        return self.batches * self.recipe.epochs


@dataclass(frozen=True, slots=True, eq=False)
class Lesson:
    """What a training learns, and from what."""

    task: Task  # with the class weights, if any
    train: Split
    validation: Split
    flip: bool
    seed: int
    device: torch.device
    teacher: Teacher | None = None
    limit_s: float = math.inf  # of the whole training


def begin(model: nn.Module, recipe: FullRecipe, train: Split, device: torch.device) -> Training:
    """A training before its first step; the optimizer's state is there, and 0."""
    model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = optimizer_of(model, recipe, fused=device.type in ("cpu", "cuda"))
    for weight in model.parameters():
        slots = ("momentum_buffer",) if recipe.optimizer == "sgd" else ("exp_avg", "exp_avg_sq")
        optimizer.state[weight] = {slot: torch.zeros_like(weight) for slot in slots}
        if recipe.optimizer == "adamw":
            optimizer.state[weight]["step"] = torch.zeros((), device=device)
    average = deepcopy(model).eval().requires_grad_(requires_grad=False)
    batches = max(1, len(train) // recipe.batch_size)  # the last, short batch is left out
    return Training(model, average, optimizer, recipe, batches, torch.zeros((), device=device))


def train_on(
    state: Training, lesson: Lesson, on_step: Callable[[Training], bool | None], crew: Crew = ALONE
) -> None:  # fmt: skip
    """Trains on from `state`, which it changes, to the end; `on_step` hears of every step, and True stops there.

    In one of a crew's processes it takes its part of each batch; average and curve are then the first one's.

    What a step does depends only on its number, the seed and the state that it finds. Raises FloatingPointError, naming
    the epoch, when a loss, a weight or an output is not finite.
    """
    keep_freed_memory()
    recipe, device, train = state.recipe, lesson.device, lesson.train
    half = mixed_precision(device) if mixed_precision(device) is torch.bfloat16 else None
    pairs, weights = _pairs(state), list(state.model.parameters())
    teacher = lesson.teacher
    known = None  # the teacher's logits, where nothing changes the images
    if teacher and recipe.augmentation == "none" and not recipe.mixup and not recipe.small_share:
        known = all_logits(teacher, train, device)
    order, epoch = torch.empty(0), -1
    model = crew.wrapped(state.model)
    _set_training(state)
    while state.step < state.steps:
        begun, step, steps = perf_counter(), state.step, state.steps
        if epoch != step // state.batches:
            epoch = step // state.batches
            order = torch.randperm(len(train), generator=generator_of(lesson.seed, ORDER, epoch))
        rate = recipe.learning_rate * cosine(step, steps, max(1, round(recipe.warmup_share * steps)))
        for group in state.optimizer.param_groups:
            group["lr"] = rate
        chosen = crew.part(order[step % state.batches * recipe.batch_size :][: recipe.batch_size])
        pixels, labels = train.images.take(chosen, recipe.resolution_at(step, steps)), train.labels[chosen]
        if recipe.augmentation != "none":
            drawn = generator_of(lesson.seed, AUGMENTATION, crew.number(step))
            pixels, labels = lesson.task.augment(pixels, labels, recipe.augmentation, flip=lesson.flip, generator=drawn)
        images, targets = normalize(pixels.to(device)), labels.to(device)
        if recipe.mixup:
            drawn = generator_of(lesson.seed, MIXING, crew.number(step))
            images, targets = mix(images, targets, len(lesson.task.classes), recipe.mixup, drawn)
        with torch.autocast(device.type, half, enabled=half is not None):
            output = model(images)
        output = output.float()
        loss = lesson.task.loss(output, targets, recipe.label_smoothing)
        if teacher:
            said = teacher.look(images) if known is None else known[chosen].to(device)
            soft = soft_loss(output, said, recipe.temperature)
            loss = recipe.alpha * soft + (1 - recipe.alpha) * loss
        state.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(weights, recipe.clip_norm)
        state.optimizer.step()
        state.loss += loss.detach()
        share = max(1 / max(1.0, recipe.average_share * steps), 9 / (10 + step))  # at first of fewer steps
        if crew.first:
            torch._foreach_lerp_(pairs[0], pairs[1], share)
        state.step = step + 1
        if state.step % state.batches == 0 and crew.first:
            _end_epoch(state, lesson, perf_counter() - begun)
            _set_training(state)
        state.seconds += perf_counter() - begun
        if state.step % state.batches == 0:
            _keep_limit(state, lesson.limit_s)
        if crew.agreed(state, on_step(state)):
            return


def _set_training(state: Training) -> None:
    """Training mode, but for batch norms whose statistics are kept."""
    state.model.train()
    for module in state.model.modules() if state.recipe.norms == "kept" else ():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()


def cosine(step: int, steps: int, warmup: int) -> float:
    """The share of the peak rate: a linear rise, then half a cosine to 0 (Loshchilov and Hutter, ICLR 2017)."""
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))


def _end_epoch(state: Training, lesson: Lesson, seconds: float) -> None:
    """Looks at the epoch that has ended, and adds it to the curve. Raises FloatingPointError."""
    number, begun = state.step // state.batches, perf_counter()
    loss = float(state.loss) / state.batches
    state.loss.zero_()
    if not math.isfinite(loss):
        raise FloatingPointError(f"loss not finite at epoch {number}")
    if not all_finite(state.model.state_dict()):
        raise FloatingPointError(f"weights not finite at epoch {number}")
    recipe, plain = state.recipe, lesson.task.unweighted()
    for name, tensor in state.model.named_buffers():  # counts of batches are not averaged
        if not tensor.is_floating_point():
            state.average.get_buffer(name).copy_(tensor)
    resolution = recipe.resolution_at(state.step - 1, state.steps)
    if state.step == state.steps and recipe.calibration_images:
        calibrate(state.average, lesson.train, resolution, recipe.calibration_images)
    try:
        reached, validation_loss = measure(state.average, plain, lesson.validation, resolution)
    except FloatingPointError as error:
        raise FloatingPointError(f"{error} at epoch {number}") from None
    before = sum(epoch.seconds for epoch in state.curve)
    spent = state.seconds + seconds + perf_counter() - begun - before
    state.curve.append(Epoch(loss, reached, spent, validation_loss))


def _keep_limit(state: Training, limit_s: float) -> None:
    """Takes epochs away where the training would exceed its limit; one more is left, whose rate falls to 0."""
    done = state.step // state.batches
    each = state.seconds / done
    if state.recipe.epochs * each > LATE * limit_s:
        fitting = done + max(1, int((limit_s - state.seconds) / each))
        state.recipe = replace(state.recipe, epochs=min(state.recipe.epochs, fitting))


def _pairs(state: Training) -> tuple[list[Tensor], list[Tensor]]:
    """What is averaged, and what it is an average of: weights and batch norm's statistics."""
    averages, now = state.average.state_dict(), state.model.state_dict()
    names = [name for name, tensor in now.items() if tensor.is_floating_point()]
    return [averages[name] for name in names], [now[name] for name in names]
