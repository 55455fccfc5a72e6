"""Image classification: one logit a class, cross-entropy, and the share of images classified correctly."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor
from torch.nn.functional import cross_entropy

from nas.space.layer import Shape


class Classification:
    """A `Task`. Outputs are logits (n, classes), targets are labels int64 (n,); the metric is top-1 accuracy."""

    name = "classification"

    def __init__(self, classes: Sequence[str]) -> None:
        self.classes = tuple(classes)
        self.reset()

    @property
    def heads(self) -> tuple[Shape, ...]:
        return ((len(self.classes), 1, 1),)

    def loss(self, output: Tensor, target: Tensor, label_smoothing: float) -> Tensor:
        """Cross-entropy with label smoothing (Szegedy et al., CVPR 2016)."""
        return cross_entropy(output, target, label_smoothing=label_smoothing)

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
