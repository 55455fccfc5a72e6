"""Distillation: a network learns what a teacher says of each image, beside the image's label."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256

import torch
from torch import Tensor
from torch.nn.functional import interpolate, kl_div, log_softmax, softmax

from nas.data.dataset import Dataset, Split
from nas.errors import UserError
from nas.models.trained import TrainedModel
from nas.numbers import percent
from nas.train.loop import EVALUATION_PIXELS, normalize, spread

CHECKED_IMAGES = 1024  # of the validation split, that a teacher is tried on
ABOVE_CHANCE = 3.0  # standard deviations of a guess


@dataclass(frozen=True, slots=True, eq=False)
class Teacher:
    """A network that is trained already, wherever it runs.

    `logits` takes float32 images (n, 3, resolution, resolution) from -1 to 1 and gives float32 logits (n, classes), one
    for each of `classes` in their order, on the device of the images. It learns nothing from it.
    """

    name: str  # as the user named it
    classes: tuple[str, ...] | int  # an int: only their number is known
    resolution: int
    fingerprint: str  # of its weights, SHA-256
    logits: Callable[[Tensor], Tensor]

    def look(self, images: Tensor) -> Tensor:
        """Its logits on images (n, 3, r, r) of any size, which are resized to its own."""
        size = (self.resolution, self.resolution)
        if images.shape[-1] != self.resolution:
            images = interpolate(images.float(), size, mode="bilinear", antialias=True)
        with torch.no_grad():
            return self.logits(images).float()


def teacher_of(model: TrainedModel, name: str, device: torch.device) -> Teacher:
    """A trained model as a teacher, in float32 whatever the precision that it is deployed in."""
    module = model.module().to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    used = model.preprocessing
    mean, std = (torch.tensor(v, device=device).view(1, 3, 1, 1) for v in (used.mean, used.std))
    digest = sha256()
    for key, tensor in sorted(model.weights.items()):
        digest.update(key.encode() + tensor.contiguous().numpy().tobytes())

    def logits(images: Tensor) -> Tensor:
        found: Tensor = module((127.5 * images + (127.5 - mean)) / std)
        return found

    return Teacher(name, model.classes, used.resolution, digest.hexdigest(), logits)


def soft_loss(output: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """The Kullback-Leibler divergence of two softened distributions, times the temperature squared, mean of a batch.

    Logits (n, classes) both. The square keeps the gradient's size whatever the temperature is (Hinton, Vinyals and
    Dean, 2015, "Distilling the knowledge in a neural network").
    """
    soft = softmax(teacher / temperature, 1)
    return kl_div(log_softmax(output / temperature, 1), soft, reduction="batchmean") * temperature**2


def all_logits(teacher: Teacher, split: Split, device: torch.device) -> Tensor:
    """The teacher's logits (n, classes) on every image of a split at its own resolution, on the CPU."""
    batch = min(256, max(1, EVALUATION_PIXELS // teacher.resolution**2))
    parts = [
        teacher.look(normalize(split.images.take(chosen, teacher.resolution).to(device))).cpu()
        for chosen in torch.arange(len(split)).split(batch)  # type: ignore[no-untyped-call]
    ]
    return torch.cat(parts)


def check_classes(name: str, classes: tuple[str, ...] | int, dataset: Dataset) -> None:
    """Raises UserError unless the classes of teacher `name` are those of the dataset, in their order."""
    many = classes if isinstance(classes, int) else len(classes)
    if many != len(dataset.classes):
        raise UserError(f"teacher {name}: must have the {len(dataset.classes)} classes of {dataset.name}; got {many}")
    if not isinstance(classes, int) and classes != dataset.classes:
        pairs = zip(dataset.classes, classes, strict=True)
        number, (want, got) = next((n, pair) for n, pair in enumerate(pairs) if pair[0] != pair[1])
        raise UserError(
            f"teacher {name}: must have the classes of {dataset.name} in their order; "
            f"class {number} is {want!r} there and {got!r} here"
        )


def check_teacher(teacher: Teacher, dataset: Dataset, device: torch.device) -> float:
    """The teacher's accuracy on up to 1,024 validation images.

    Raises UserError when its classes are not those of the dataset, or it is no better than guessing: then its classes
    are in another order, or it wants its images otherwise.
    """
    check_classes(teacher.name, teacher.classes, dataset)
    split = dataset.validation.subset(spread(len(dataset.validation), CHECKED_IMAGES))
    found = all_logits(teacher, split, device)
    if found.shape[1:] != (len(dataset.classes),) or not bool(found.isfinite().all()):
        raise UserError(
            f"teacher {teacher.name}: its outputs must be {len(dataset.classes)} finite logits an image; "
            f"got shape {tuple(found.shape[1:])}"
        )
    right = float((found.argmax(1) == split.labels).double().mean())
    chance = float(torch.bincount(split.labels).max()) / len(split)
    if right <= chance + ABOVE_CHANCE * (chance * (1 - chance) / len(split)) ** 0.5:
        raise UserError(
            f"teacher {teacher.name}: must classify validation images better than a guess ({percent(chance)}); "
            f"got {percent(right)}: its classes may be in another order, or its images prepared otherwise"
        )
    return right
