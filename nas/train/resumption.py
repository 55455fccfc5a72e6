"""A training whose state is kept in a file as it goes: a process that dies on the way changes none of its weights."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from torch import Tensor, nn

from nas.errors import UserError
from nas.train.crew import ALONE, Crew
from nas.train.fake_quantization import plain
from nas.train.full_recipe import FullRecipe
from nas.train.interrupt import waiting_interrupt
from nas.train.pilot import TrainingPlan, pace_of
from nas.train.training import Lesson, Training, begin, train_on
from nas.train.training_file import read_training, write_training

SAVE_SECONDS = 30.0  # between two checkpoints
USED = 0.95  # of a limit of time: the rest is for the beginning and the end
GOES_ON = "the same command goes on"


@dataclass(frozen=True, slots=True)
class FullProgress:
    """Where a training stands."""

    step: int
    steps: int
    epoch: int  # from 1
    epochs: int
    seconds_left: float
    loss: float | None  # of the epoch before, mean; None in the first
    accuracy: float | None  # after it, on the validation images, from 0 to 1


OnFullProgress = Callable[[FullProgress], object]
OnPlan = Callable[[TrainingPlan], object]


def train_resumably(
    start: Callable[[], nn.Module], lesson: Lesson, recipe: FullRecipe, file: Path, *,
    save_seconds: float = SAVE_SECONDS, on_progress: OnFullProgress = lambda _: None, on_plan: OnPlan | None = None,
    goes_on: str = GOES_ON,
) -> Training:  # fmt: skip
    """The training after its last step, gone on with from `file` where that is there; its state is then in `file`.

    `start` makes the module as it is before the first step, always the same. `on_plan` hears before the first step what
    the training will take, by a pilot of a few steps. A process that dies loses the steps since
    the last checkpoint. Raises UserError for a file of another training, and for a full disk; FloatingPointError as
    `train_on`; KeyboardInterrupt, saying that it `goes_on`, after the step has ended and was kept.
    """
    with waiting_interrupt() as interrupted:
        state = train_stoppably(
            start, lesson, recipe, file, interrupted, save_seconds=save_seconds, on_progress=on_progress,
            on_plan=on_plan,
        )  # fmt: skip
    return stopped(state, goes_on)


def stopped(state: Training, goes_on: str) -> Training:
    """The training where it has ended. Raises KeyboardInterrupt, saying that it `goes_on`, where it has not."""
    if state.step < state.steps:
        epoch = f"epoch {state.step // state.batches + 1} of {state.recipe.epochs}"
        raise KeyboardInterrupt(f"stopped in {epoch}; {goes_on}")
    return state


def train_stoppably(
    start: Callable[[], nn.Module], lesson: Lesson, recipe: FullRecipe, file: Path, interrupted: Callable[[], bool], *,
    save_seconds: float, on_progress: OnFullProgress, on_plan: OnPlan | None, crew: Crew = ALONE,
) -> Training:  # fmt: skip
    """`train_resumably` until it is `interrupted`, in one of a crew's processes: the first writes, and is heard of."""
    state = begin(start(), recipe, lesson.train, lesson.device)
    if file.exists():
        read_training(file, state)
    seconds = 0.0 if not state.step else state.seconds / state.step * (state.steps - state.step)
    if not state.step and (on_plan or lesson.limit_s < math.inf):
        pace = pace_of(begin(start(), recipe, lesson.train, lesson.device), lesson, crew)
        if lesson.limit_s < math.inf:
            fitting = max(1, int(USED * lesson.limit_s / pace.epoch))
            state.recipe = replace(recipe, epochs=min(recipe.epochs, fitting))
            crew.agreed(state, stop=False)
        seconds = pace.epoch * state.recipe.epochs
    if on_plan and crew.first and state.step < state.steps:
        on_plan(TrainingPlan(state.recipe.epochs, recipe.epochs, seconds))
    saved = time.monotonic()

    def on_step(now: Training) -> bool:
        nonlocal saved
        if crew.first:
            on_progress(_progress(now))
            if now.step < now.steps and time.monotonic() - saved >= save_seconds:
                write_training(file, now)
                saved = time.monotonic()
        return interrupted()

    train_on(state, lesson, on_step, crew)
    if crew.first:
        write_training(file, state)
    return state


def weights_of(state: Training) -> dict[str, Tensor]:
    """What a training gives: a state_dict of the network, in float32 on the CPU."""
    weights = plain(state.average).state_dict()
    return {name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()}


@contextmanager
def memory_told(what: str, recipe: FullRecipe) -> Iterator[None]:
    """Too little memory becomes one line, a UserError."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:  # PyTorch's on a GPU is a RuntimeError, and so is that on a CPU
        text = str(error).lower()
        if not isinstance(error, MemoryError) and "out of memory" not in text and "allocate memory" not in text:
            raise
        raise UserError(
            f"{what}: not enough memory for batches of {recipe.batch_size} images of {recipe.resolution} pixels; "
            "take a smaller batch size"
        ) from None


def _progress(state: Training) -> FullProgress:
    last = state.curve[-1] if state.curve else None
    return FullProgress(
        state.step, state.steps, min(state.recipe.epochs, state.step // state.batches + 1), state.recipe.epochs,
        state.seconds / state.step * (state.steps - state.step),
        last.train_loss if last else None, last.validation_accuracy if last else None,
    )  # fmt: skip
