"""The training loop: reads from top to bottom, no callbacks but one."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import perf_counter

import numpy as np
import torch
from torch import Tensor, nn

from nas.data.dataset import Split
from nas.tasks.task import Task
from nas.train.memory import keep_freed_memory
from nas.train.recipe import Recipe

EVALUATION_BATCH = 256  # images at most
EVALUATION_PIXELS = 2**19  # of a batch: 32 images of 128 pixels; more only take more memory
CALIBRATION_BATCH = 128


@dataclass(frozen=True, slots=True)
class Epoch:
    """What one pass over the training images gave."""

    train_loss: float  # mean over the epoch's steps, label smoothing included
    validation_accuracy: float  # a fraction, at the resolution of the epoch's last step
    seconds: float  # of training and validation
    validation_loss: float | None = None  # mean, on the same images, without label smoothing


TrainingCurve = tuple[Epoch, ...]
OnEpoch = Callable[[int, Epoch], bool | None]  # number from 1; True ends the training


def fit(
    model: nn.Module, task: Task, train: Split, validation: Split, recipe: Recipe, *,
    seed: int, flip: bool = False, device: torch.device | None = None, on_epoch: OnEpoch | None = None,
) -> TrainingCurve:  # fmt: skip
    """Train `model` in place on `device` (None: the best of this machine) and return the curve, one entry an epoch.

    The last step is at the recipe's whole resolution, batch norm's statistics are then set anew where the recipe says
    so, and the last accuracy of the curve is that of the model as it is returned.
    Equal seeds give equal weights on one machine with one number of threads. Raises FloatingPointError, naming the
    epoch, when the loss, a weight or the output on a validation image is not finite: such a network is not trained.
    """
    keep_freed_memory()
    device = device or best_device()
    generator = torch.Generator().manual_seed(seed)  # order and augmentation; the model has no dropout
    model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # ten times faster on a CPU
    optimizer = optimizer_of(model, recipe)
    batches = max(1, len(train) // recipe.batch_size)  # the last, short batch is left out
    steps = batches * recipe.epochs
    warmup = max(1, round(recipe.warmup_share * steps))
    precision = mixed_precision(device)
    scaler = torch.amp.GradScaler(device.type, enabled=precision is torch.float16)
    curve: list[Epoch] = []
    for number in range(1, recipe.epochs + 1):
        start = perf_counter()
        model.train()
        order = torch.randperm(len(train), generator=generator)
        losses = []
        for batch in range(batches):
            step = (number - 1) * batches + batch
            for group in optimizer.param_groups:
                group["lr"] = recipe.learning_rate * schedule(step, steps, warmup)
            chosen = order[batch * recipe.batch_size : (batch + 1) * recipe.batch_size]
            resolution = recipe.resolution_at(step, steps)
            pixels = train.images.take(chosen, resolution)
            pixels, labels = task.augment(
                pixels, train.labels[chosen], recipe.augmentation, flip=flip, generator=generator
            )
            with torch.autocast(device.type, precision, enabled=precision is not None):
                logits = model(normalize(pixels.to(device)))
            loss = task.loss(logits.float(), labels.to(device), recipe.label_smoothing)
            losses.append(loss.detach())
            optimizer.zero_grad()
            scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
            scaler.unscale_(optimizer)
            nn.utils.clip_grad_norm_(model.parameters(), recipe.clip_norm)
            scaler.step(optimizer)
            scaler.update()
        train_loss = float(torch.stack(losses).mean())
        if not math.isfinite(train_loss):
            raise FloatingPointError(f"loss not finite at epoch {number}")
        if not all_finite(model.state_dict()):
            raise FloatingPointError(f"weights not finite at epoch {number}")
        try:
            if number == recipe.epochs and recipe.calibration_images:
                calibrate(model, train, resolution, recipe.calibration_images)
            reached, loss_there = measure(model, task, validation, resolution)
        except FloatingPointError as error:
            raise FloatingPointError(f"{error} at epoch {number}") from None
        epoch = Epoch(train_loss, reached, perf_counter() - start, loss_there)
        curve.append(epoch)
        if on_epoch and on_epoch(number, epoch):
            break
    return tuple(curve)


@torch.no_grad()
def calibrate(model: nn.Module, train: Split, resolution: int, images: int) -> None:
    """Sets the statistics of batch norm anew, in place: means over batches of `images` training images.

    They are those of other weights after a training, and of other sizes where the resolution grew (Touvron et al.,
    NeurIPS 2019, "Fixing the train-test resolution discrepancy"). Equal images give equal statistics.
    """
    device = next(model.parameters()).device
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    before = [norm.momentum for norm in norms]
    model.eval()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a cumulative mean
        norm.train()
    chosen = spread(len(train), images)
    batches = max(1, round(len(chosen) / CALIBRATION_BATCH))
    for batch in torch.tensor_split(chosen, batches):  # of one size, so that the mean over them is that over images
        model(normalize(train.images.take(batch, resolution).to(device)))
    for norm, momentum in zip(norms, before, strict=True):
        norm.momentum = momentum
    model.eval()


def spread(length: int, number: int) -> Tensor:
    """`number` of `length` indices, or all, drawn without a seed: always the same, in an order that mixes classes."""
    return torch.randperm(length, generator=torch.Generator().manual_seed(0))[:number]


@torch.no_grad()
def measure(model: nn.Module, task: Task, split: Split, resolution: int) -> tuple[float, float]:
    """The task's metric of `model` on a split at `resolution` pixels, from 0 to 1, and its mean loss.

    In evaluation mode, and without label smoothing. Raises FloatingPointError when an output is not finite.
    """
    device = next(model.parameters()).device
    model.eval()
    task.reset()
    total = torch.zeros((), dtype=torch.float64)
    batch = min(EVALUATION_BATCH, max(1, EVALUATION_PIXELS // resolution**2))
    for chosen in torch.arange(len(split)).split(batch):  # type: ignore[no-untyped-call]
        output, labels = model(normalize(split.images.take(chosen, resolution).to(device))), split.labels[chosen]
        task.process(output, labels)
        total += task.loss(output.float(), labels.to(device), 0.0).cpu() * len(chosen)
    return task.evaluate(), float(total) / len(split)


def evaluate(model: nn.Module, task: Task, split: Split, resolution: int) -> float:
    """The task's metric, as of `measure`."""
    return measure(model, task, split, resolution)[0]


def all_finite(weights: Mapping[str, Tensor]) -> bool:
    """Whether every value of a state_dict is a number: neither infinite nor NaN."""
    return all(bool(tensor.isfinite().all()) for tensor in weights.values())


def normalize(pixels: Tensor) -> Tensor:
    """uint8 (n, r, r, 3) to float32 (n, 3, r, r) from -1 to 1, channels last in memory, as MobileNets are trained."""
    return pixels.permute(0, 3, 1, 2).to(torch.float32, memory_format=torch.channels_last).sub_(127.5).div_(127.5)


def best_device() -> torch.device:
    """A GPU where torch finds one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def mixed_precision(device: torch.device) -> torch.dtype | None:
    """The half precision to compute in, or None where it does not help.

    GPUs: bfloat16, or float16 with a scaled loss before Ampere. CPUs: bfloat16 with AMX only; without it, bfloat16 is
    emulated and slower than float32.
    """
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
    capabilities: dict[str, bool] = getattr(torch.cpu, "get_capabilities", dict)()  # older PyTorch cannot tell
    if device.type == "cpu" and capabilities.get("amx_bf16"):
        return torch.bfloat16
    return None


def schedule(step: int, steps: int, warmup: int) -> float:
    """The share of the peak learning rate: a linear rise, then a linear fall to 0 (Bergsma et al., ICLR 2025).

    It leaves the last steps, those at the whole resolution, more to learn with than half a cosine does.
    """
    if step < warmup:
        return (step + 1) / warmup
    return 1 - (step - warmup) / max(1, steps - warmup)


def generator_of(seed: int, what: int, number: int) -> torch.Generator:
    """The random numbers of one step or epoch, which do not depend on those before: `what` tells kinds apart."""
    mixed = np.random.SeedSequence([seed, what, number]).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(mixed) >> 1)


def optimizer_of(model: nn.Module, recipe: Recipe, *, fused: bool = False) -> torch.optim.Optimizer:
    """Weight decay only on what has more than one dimension: not on batch norms and biases.

    `fused`: a step is one kernel. It is faster, and its weights differ in the last bit.
    """
    parameters = list(model.parameters())
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": recipe.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    if recipe.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=recipe.learning_rate, fused=fused)
    return torch.optim.SGD(groups, lr=recipe.learning_rate, momentum=0.9, nesterov=True, fused=fused)
