"""Where candidates are trained: one after the other in this process, or by Ray (`nas.search.workers.ray`)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from nas.estimate.estimator import Estimate, Estimator
from nas.search.halving import EarlyStopping
from nas.space.candidate import Value
from nas.space.network import Network

if TYPE_CHECKING:
    from nas.train.loop import Epoch

Stops = Callable[[int, int, float, tuple[float, ...]], bool]  # EarlyStopping.report
ERRORS = (RuntimeError, ArithmeticError, MemoryError)  # of a training: they end the trial, not the search


@dataclass(frozen=True, slots=True)
class Cluster:
    """Where Ray trains: `workers` at a time (None: as many as fit), each with so many processors and GPUs.

    `address`: of a cluster that runs already; None: Ray is started on this machine.
    """

    workers: int | None
    address: str | None = None
    cpus: float = 1.0
    gpus: float = 0.0


@dataclass(frozen=True, slots=True)
class Job:
    """One training. `number` is the proposal's, `costs` are its known objectives, minimized."""

    number: int
    network: Network
    hyperparameters: Mapping[str, Value]
    seed: int
    costs: tuple[float, ...]
    again: bool = False  # the network was trained before, with another seed: early stopping has no part in it


@dataclass(frozen=True, slots=True)
class Done:
    """A training that ended: with an estimate, also where it was stopped early, or with what went wrong."""

    number: int
    estimate: Estimate | None
    error: str = ""
    stopped: bool = False


class Workers(Protocol):
    """Trains jobs, several at a time."""

    def free(self) -> int:
        """How many more jobs would be trained at once."""
        ...

    def submit(self, job: Job) -> None: ...

    def wait(self) -> Done:
        """The next job that has ended, whichever it is. Early stopping forgets one that failed."""
        ...

    def close(self) -> None:
        """Ends whatever runs."""
        ...


class Serial:
    """One training at a time, in this process."""

    def __init__(self, estimator: Estimator, stopping: EarlyStopping | None = None) -> None:
        self.estimator, self.stopping = estimator, stopping
        self.waiting: deque[Job] = deque()

    def free(self) -> int:
        return 1 - len(self.waiting)

    def submit(self, job: Job) -> None:
        self.waiting.append(job)

    def wait(self) -> Done:
        done = train(self.estimator, self.waiting.popleft(), self.stopping.report if self.stopping else None)
        if done.estimate is None and self.stopping:
            self.stopping.forget(done.number)
        return done

    def close(self) -> None:
        self.waiting.clear()


def train(estimator: Estimator, job: Job, stops: Stops | None) -> Done:
    """Trains one candidate; `stops` hears of every epoch and may end it."""
    stopped = False

    def report(number: int, epoch: Epoch) -> bool:
        nonlocal stopped
        stopped = (
            stops is not None and not job.again and stops(job.number, number, epoch.validation_accuracy, job.costs)
        )
        return stopped

    try:
        estimate = estimator.estimate(job.network, job.hyperparameters, seed=job.seed, on_epoch=report)
    except ERRORS as error:
        return Done(job.number, None, str(error) or type(error).__name__)
    return Done(job.number, estimate, stopped=stopped)
