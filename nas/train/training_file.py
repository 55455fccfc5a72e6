"""The file that a full training goes on from: weights, their average, the optimizer's state and the curve."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from nas.errors import UserError
from nas.files.atomic import write_atomic
from nas.files.plain import MB
from nas.models.trained import check_tensors, read_tensors
from nas.train.loop import Epoch
from nas.train.training import Training

MODEL, AVERAGE, OPTIMIZER = "model/", "average/", "optimizer/"
STEP, EPOCHS, SECONDS, LOSS, CURVE = "step", "epochs", "seconds", "loss", "curve"
HEADER = MB  # at most, of names and shapes


def write_training(path: Path, state: Training) -> None:
    """Writes the whole file or nothing. Raises UserError; FloatingPointError where a weight is not finite."""
    from safetensors.torch import save

    tensors = _live(state)
    for name, tensor in tensors.items():
        if not bool(tensor.isfinite().all()):
            raise FloatingPointError(f"{name.partition('/')[2]} not finite at step {state.step}")
    tensors |= {
        STEP: torch.tensor(state.step),
        EPOCHS: torch.tensor(state.recipe.epochs),
        SECONDS: torch.tensor(state.seconds, dtype=torch.float64),
        LOSS: state.loss,
        CURVE: torch.tensor([_row(epoch) for epoch in state.curve], dtype=torch.float64).view(-1, 4),
    }
    write_atomic(path, save({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}))


def read_training(path: Path, state: Training) -> None:
    """Makes `state`, a training that has just begun, the one that the file was written from.

    Raises UserError, naming the file, for anything that `write_training` would not have written of a training with this
    recipe; `state` is then as it was.
    """
    live = _live(state)
    most = HEADER + 8 * sum(tensor.numel() for tensor in live.values()) + 32 * state.recipe.epochs
    try:
        _read(path, state, live, most)
    except UserError as error:
        raise UserError(f"{error}; remove the file to train anew") from None


def _read(path: Path, state: Training, live: dict[str, Tensor], most: int) -> None:
    found = read_tensors(path, most)
    epochs = _whole(found, EPOCHS, path, state.recipe.epochs)
    step = _whole(found, STEP, path, state.batches * epochs)
    numbers = {
        STEP: found[STEP], EPOCHS: found[EPOCHS], SECONDS: torch.zeros((), dtype=torch.float64), LOSS: torch.zeros(()),
        CURVE: torch.zeros(step // state.batches, 4, dtype=torch.float64),
    }  # fmt: skip
    check_tensors(found, live | numbers, path, "a training of this network", "one of its tensors")
    for name, tensor in live.items():
        tensor.detach().copy_(found[name])  # it keeps its place and its layout in memory
    for slots in state.optimizer.state.values():
        if "step" in slots:
            slots["step"].fill_(step)
    state.loss.copy_(found[LOSS])
    state.step, state.seconds = step, max(0.0, float(found[SECONDS]))
    state.recipe = replace(state.recipe, epochs=epochs)
    state.curve[:] = [Epoch(loss, accuracy, s, validation) for loss, accuracy, s, validation in found[CURVE].tolist()]


def _whole(found: dict[str, Tensor], name: str, path: Path, most: int) -> int:
    tensor = found.get(name)
    if tensor is None or tensor.dtype != torch.int64 or tensor.ndim or not 0 <= int(tensor) <= most:
        raise UserError(f"{path}: must hold `{name}`, a whole number from 0 to {most:,}")
    return int(tensor)


def _row(epoch: Epoch) -> tuple[float, float, float, float]:
    return epoch.train_loss, epoch.validation_accuracy, epoch.seconds, epoch.validation_loss or 0.0


def _live(state: Training) -> dict[str, Tensor]:
    """The tensors that a training changes, by their names in the file."""
    tensors = {MODEL + name: tensor for name, tensor in state.model.state_dict().items()}
    tensors |= {AVERAGE + name: tensor for name, tensor in state.average.state_dict().items()}
    for name, weight in state.model.named_parameters():
        slots = state.optimizer.state[weight]
        tensors |= {f"{OPTIMIZER}{slot}/{name}": tensor for slot, tensor in slots.items() if slot != "step"}
    return tensors
