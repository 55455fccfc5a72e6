"""Proxy weights of the networks on the front, as safetensors."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from nas.run import weights_file, write_atomic

if TYPE_CHECKING:
    from torch import Tensor


def save_weights(path: Path, trial: int, weights: Mapping[str, Tensor]) -> None:
    """Writes a state_dict. Raises UserError when the disk is full."""
    from safetensors.torch import save

    write_atomic(weights_file(path, trial), save({name: tensor.contiguous() for name, tensor in weights.items()}))


def read_weights(path: Path, trial: int) -> dict[str, Tensor] | None:
    """The state_dict of a trial; None where none is kept."""
    from safetensors.torch import load_file

    file = weights_file(path, trial)
    return load_file(file) if file.exists() else None


def drop_weights(path: Path, front: set[int]) -> None:
    """Removes the weights of every trial that is not on the front."""
    for file in (path / "weights").glob("*.safetensors"):
        if int(file.stem) not in front:
            file.unlink()
