"""An estimator: how good a candidate is, as far as a search needs to know before the network is trained in full."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

from nas.run.average_precision import AveragePrecision
from nas.space.candidate import Value
from nas.space.network import Network

if TYPE_CHECKING:  # a process that only hands estimates on starts without PyTorch
    from nas.models.trained import TrainedModel
    from nas.train.loop import OnEpoch, TrainingCurve


OnPrepare = Callable[[int, int, str], object]  # how much is done, of how much, and of what, such as labels


@dataclass(frozen=True, slots=True)
class Estimate:
    """What an estimator says of a candidate, in the candidate's precision; higher is better."""

    value: float  # an accuracy from 0 to 1, or any number that only ranks candidates
    seconds: float  # that the estimate took
    standard_deviation: float | None = None  # of `value`; None: not known
    curve: TrainingCurve = field(default=(), repr=False)  # in float32, whatever the candidate's precision
    model: TrainedModel | None = field(default=None, repr=False)  # None: nothing was trained
    kind: Literal["accuracy", "rank"] = "accuracy"
    robust_accuracy: float | None = None  # mean over corrupted images; None: it was not asked for
    log_loss: float | None = None  # mean on the images that an accuracy is of, in nats; None: not known
    average_precision: AveragePrecision | None = None  # what a detector's accuracy is a mean of

    @property
    def accuracy(self) -> float:
        """The value as an accuracy. Raises ValueError where it is only a rank."""
        if self.kind != "accuracy":
            raise ValueError(f"the estimate {self.value} only ranks candidates; it is not an accuracy")
        return self.value


class Estimator(Protocol):
    """Estimates candidates one by one. Equal seeds give equal estimates on one machine."""

    def prepare(self, on_progress: OnPrepare | None = None) -> None:
        """What has to be done once before the first estimate; a second call does nothing.

        It may take hours: then it goes on where a process that was killed stopped. Raises UserError where it fails.
        """
        ...

    def estimate(
        self, network: Network, hyperparameters: Mapping[str, Value], *, seed: int, on_epoch: OnEpoch | None = None
    ) -> Estimate:
        """The estimate of one candidate; `on_epoch` hears of every epoch and may end a training.

        Raises ArithmeticError, RuntimeError or MemoryError when this candidate cannot be estimated, which fails its
        trial and not the search.
        """
        ...

    def test_accuracy(self, model: TrainedModel) -> float:
        """The accuracy on the test split, from 0 to 1: asked once for each network of the final front.

        Raises ArithmeticError when the network's output is not finite.
        """
        ...
