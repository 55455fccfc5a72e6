"""The estimator `supernet`: the loss of a candidate whose weights are those that the whole space shares."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from hashlib import sha256
from pathlib import Path

import torch

from nas import catalog
from nas.data.dataset import Dataset, Split
from nas.errors import UserError
from nas.estimate.estimator import Estimate, OnPrepare
from nas.files.lock import locked
from nas.models.supernet import Supernet, make_supernet
from nas.models.trained import TrainedModel
from nas.space.candidate import Value
from nas.space.network import Network
from nas.space.search_space import SearchSpace
from nas.tasks.classification import Classification
from nas.train.checkpoint import read_state, write_state
from nas.train.loop import OnEpoch, best_device, calibrate, measure, spread
from nas.train.supernet import Paths, State, SupernetRecipe, begin, total_steps, train_supernet

FORMAT = 1  # of what a fingerprint stands for: another training method is another supernet
FILE = "training.safetensors"
SAVE_SECONDS = 60.0  # between two checkpoints
CALIBRATION_IMAGES = 1024  # of the training split, that a candidate's batch norms get their statistics from
SCORED_IMAGES = 2048  # of the validation split, at most
BUSY = "another process is training this supernet in {path}; wait for it"


@dataclass(frozen=True, slots=True, eq=False)
class SupernetScores:
    """An `Estimator` whose value is a rank: minus the mean log-loss on validation images, in nats.

    `prepare` trains the weights that all networks of `space` share, once a space, dataset, recipe and seed, and keeps
    them in `folder` (default: the user's own, supernets/). It goes on where a process that was killed stopped, and ends
    with the same weights. A candidate is then scored in seconds: its slices are copied, batch norm's statistics are set
    anew on the copy from 1,024 training images, and the loss is that of up to 2,048 validation images, all at the share
    of the candidate's own resolution that the training had. Precision and hyperparameters have no part in it.

    An accuracy of shared weights is far below that of the network trained alone; only the order means something. Small
    networks learn faster, so look at the rank at equal depth (`nas bench estimators`).
    """

    dataset: Dataset
    space: SearchSpace
    recipe: SupernetRecipe = field(default_factory=SupernetRecipe)
    seed: int = 0
    device: torch.device | None = None
    folder: Path | None = None
    scored: Split = field(init=False, repr=False)
    _trained: list[Supernet] = field(default_factory=list, init=False, repr=False)

    def __post_init__(self) -> None:
        validation = self.dataset.validation
        object.__setattr__(self, "scored", validation.subset(spread(len(validation), SCORED_IMAGES)))

    @property
    def file(self) -> Path:
        """Where the training is kept; another space, dataset, recipe or seed has another place."""
        made_of = (
            FORMAT,
            self.space.fingerprint,
            self.dataset.fingerprint,
            sorted(asdict(self.recipe).items()),
            self.seed,
        )
        digest = sha256(repr(made_of).encode()).hexdigest()[:16]
        return (self.folder or catalog.home() / "supernets") / f"{self.space.name}-{digest}" / FILE

    def prepare(self, on_progress: OnPrepare | None = None) -> None:
        """Trains the supernet, or finds it; `on_progress` hears of every step.

        Raises UserError while another process trains it, for a file that holds something else, and where the training
        fails.
        """
        if self._trained:
            return
        supernet = make_supernet(self.space, len(self.dataset.classes), own=self.recipe.own, seed=self.seed)
        steps = total_steps(self.dataset.train, self.recipe)
        state = self._begun(supernet, steps)
        if state.step < steps:
            with locked(self.file.parent, BUSY):
                for left in self.file.parent.glob(f".{FILE}.*.part"):  # of a process that died while it wrote
                    left.unlink(missing_ok=True)
                state = self._train(self._begun(supernet, steps), steps, on_progress)
        weights = {name: weight.detach().cpu() for name, weight in state.supernet.weights.items()}
        self._trained.append(replace(supernet, weights=weights))

    def _begun(self, supernet: Supernet, steps: int) -> State:
        return read_state(self.file, supernet, steps) if self.file.exists() else begin(supernet)

    def _train(self, state: State, steps: int, on_progress: OnPrepare | None) -> State:
        saved = time.monotonic()

        def on_step(now: State) -> None:
            nonlocal saved
            if time.monotonic() - saved >= SAVE_SECONDS and now.step < steps:
                write_state(self.file, now)
                saved = time.monotonic()
            if on_progress:
                on_progress(now.step, steps, "supernet steps")

        paths = Paths(self.space, len(self.dataset.classes), self.seed)
        try:
            state = train_supernet(
                state, paths, self._task(), self.dataset.train, self.recipe,
                flip=self.dataset.flip, device=self.device, on_step=on_step,
            )  # fmt: skip
        except FloatingPointError as error:
            raise UserError(f"the supernet of {self.space.name}: {error}; take a smaller learning_rate") from None
        write_state(self.file, state, finished=True)
        return state

    def estimate(
        self, network: Network, hyperparameters: Mapping[str, Value], *, seed: int, on_epoch: OnEpoch | None = None
    ) -> Estimate:
        """Minus the log-loss of the network with the shared weights; the same for every seed.

        Raises FloatingPointError when an output is not finite; UserError for a network of another space or number of
        classes.
        """
        start = time.perf_counter()
        if network.classes != len(self.dataset.classes):
            found = f"{len(self.dataset.classes)} of {self.dataset.name}"
            raise UserError(f"a network of {network.classes} classes cannot be scored on the {found}")
        self.prepare()
        device, resolution = self.device or best_device(), self.recipe.resolution(network)
        model = self._trained[0].network(network).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        calibrate(model, self.dataset.train, resolution, CALIBRATION_IMAGES)
        _, loss = measure(model, self._task(), self.scored, resolution)
        return Estimate(-loss, time.perf_counter() - start, kind="rank")

    def test_accuracy(self, model: TrainedModel) -> float:
        """Raises UserError: no network was trained on its own, so none has a test accuracy."""
        raise UserError("a supernet's scores train no network on its own, so there is no test accuracy")

    def _task(self) -> Classification:
        return Classification(self.dataset.classes)
