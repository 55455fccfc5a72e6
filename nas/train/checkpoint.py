"""The file that a supernet's training goes on from: shared weights, their momentum and the step, as safetensors."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from nas.errors import UserError
from nas.files.atomic import write_atomic
from nas.files.plain import MB
from nas.models.supernet import Supernet
from nas.models.trained import check_tensors, read_tensors
from nas.train.supernet import State

STEP, MOMENTUM = "step", "momentum/"
HEADER = MB  # at most, of names and shapes


def write_state(path: Path, state: State, *, finished: bool = False) -> None:
    """Writes the whole file or nothing; a training that has ended needs no momentum. Raises UserError."""
    from safetensors.torch import save

    tensors = dict(state.supernet.weights)
    if not finished:
        tensors |= {MOMENTUM + name: tensor for name, tensor in state.momentum.items()}
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    write_atomic(path, save(tensors | {STEP: torch.tensor(state.step)}))


def read_state(path: Path, supernet: Supernet, steps: int) -> State:
    """The state of a training of so many steps, with the shapes of `supernet`.

    Raises UserError, naming the file, for anything that `write_state` would not have written.
    """
    try:
        return _read(path, supernet, steps)
    except UserError as error:
        raise UserError(f"{error}; remove the file to train anew") from None


def _read(path: Path, supernet: Supernet, steps: int) -> State:
    most = HEADER + 8 * sum(weight.numel() for weight in supernet.weights.values())
    found = read_tensors(path, most)
    step = found.pop(STEP, None)
    if step is None or step.dtype != torch.int64 or step.ndim or not 0 <= int(step) <= steps:
        raise UserError(f"{path}: must hold a step from 0 to {steps:,}")
    expected: dict[str, Tensor] = dict(supernet.weights)
    if int(step) < steps:
        expected |= {MOMENTUM + name: weight for name, weight in supernet.weights.items()}
    check_tensors(found, expected, path, "the weights of the space's supernet", "one of them")
    weights = {name: found[name] for name in supernet.weights}
    momentum = {name: found[MOMENTUM + name] for name in weights if MOMENTUM + name in found}
    return State(replace(supernet, weights=weights), momentum, int(step))
