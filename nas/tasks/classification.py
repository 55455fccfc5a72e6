"""Image classification: one logit a class, cross-entropy, and the share of images classified correctly."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Generator, Tensor, bincount
from torch.nn.functional import cross_entropy

from nas.data.augmentation import augment
from nas.errors import UserError
from nas.models.trained import Resize
from nas.space.hyperparameters import Augmentation
from nas.space.network import Network


class Classification:
    """A `Task`. Outputs are logits (n, classes), targets labels int64 (n,); the metric is top-1 accuracy.

    The loss also takes targets float32 (n, classes), shares of each class. `weights` (classes,) multiply the loss of
    each class.
    """

    name = "classification"
    resize: Resize = "center square, bilinear"

    def __init__(self, classes: Sequence[str], weights: Tensor | None = None) -> None:
        self.classes, self.weights = tuple(classes), weights
        self.reset()

    @property
    def guessed(self) -> float:
        return 1 / len(self.classes)

    def check(self, network: Network, dataset: str) -> None:
        if network.detects:
            raise UserError(f"{dataset} has no boxes, which a network with a detector's heads needs")
        if (len(self.classes), 1, 1) != network.blocks[-1].out_shape:
            found = f"{len(self.classes)} of {dataset}"
            raise UserError(f"a network of {network.classes} classes cannot learn the {found}")

    def augment(
        self, pixels: Tensor, target: Tensor, augmentation: Augmentation, *, flip: bool, generator: Generator
    ) -> tuple[Tensor, Tensor]:
        return augment(pixels, augmentation, flip=flip, generator=generator), target

    def loss(self, output: Tensor, target: Tensor, label_smoothing: float) -> Tensor:
        """Cross-entropy with label smoothing (Szegedy et al., CVPR 2016)."""
        weights = None if self.weights is None else self.weights.to(output.device)
        return cross_entropy(output, target, weights, label_smoothing=label_smoothing)

    def reset(self) -> None:
        self._right = self._total = 0

    def process(self, output: Tensor, target: Tensor) -> None:
        if not bool(output.isfinite().all()):
            raise FloatingPointError("the network's output is not finite")
        self._right += int((output.argmax(1).cpu() == target.cpu()).sum())
        self._total += len(target)

    def evaluate(self) -> float:
        """The share of images whose largest logit is that of their class. Raises ZeroDivisionError before any batch."""
        return self._right / self._total

    def details(self) -> None:
        return None

    def unweighted(self) -> Classification:
        return Classification(self.classes)


def balanced_weights(labels: Tensor, classes: int) -> Tensor:
    """Weights float32 (classes,) by which every class has the same part in the loss; their mean over images is 1.

    A class without an image has the weight 0.
    """
    counts = bincount(labels, minlength=classes)
    share = counts.clamp_min(1).float().reciprocal() * len(labels) / max(1, int((counts > 0).sum()))
    return share.where(counts > 0, 0.0)
