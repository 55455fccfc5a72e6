"""The file of a supernet's training: what was written is read, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from nas.errors import UserError
from nas.models.supernet import Supernet, make_supernet
from nas.train.checkpoint import read_state, write_state
from nas.train.supernet import State, begin
from tests.models.test_supernet import small

STEPS = 20


@pytest.fixture(scope="module")
def supernet() -> Supernet:
    return make_supernet(small(), 10)


def state_at(supernet: Supernet, step: int) -> State:
    momentum = {name: torch.full_like(weight, 0.5) for name, weight in supernet.weights.items()}
    return State(supernet, momentum, step)


def test_what_was_written_is_read_and_no_longer_has_momentum_at_the_end(supernet: Supernet, tmp_path: Path) -> None:
    file = tmp_path / "new" / "f"
    write_state(file, state_at(supernet, 3))
    found = read_state(file, make_supernet(small(), 10, seed=5), STEPS)
    assert found.step == 3 and all(bool((m == 0.5).all()) for m in found.momentum.values())
    assert all(torch.equal(w, supernet.weights[name]) for name, w in found.supernet.weights.items())
    half = file.stat().st_size
    write_state(file, state_at(supernet, STEPS), finished=True)
    assert read_state(file, supernet, STEPS).step == STEPS and file.stat().st_size < 0.7 * half
    assert [p.name for p in file.parent.iterdir()] == ["f"]


def test_a_training_begins_without_momentum(supernet: Supernet) -> None:
    state = begin(supernet)
    assert state.step == 0 and not any(bool(m.any()) for m in state.momentum.values())


def _changed(tensors: dict[str, Tensor], change: str) -> dict[str, Tensor]:
    name = next(n for n in tensors if n.endswith("conv_dw.weight") and not n.startswith("momentum"))
    return {
        "no step": {n: t for n, t in tensors.items() if n != "step"},
        "late step": tensors | {"step": torch.tensor(STEPS + 1)},
        "negative step": tensors | {"step": torch.tensor(-1)},
        "vector step": tensors | {"step": torch.tensor([3])},
        "real step": tensors | {"step": torch.tensor(3.0)},
        "missing": {n: t for n, t in tensors.items() if n != name},
        "no momentum": {n: t for n, t in tensors.items() if not n.startswith("momentum")},
        "more": tensors | {"evil\x1b[2J": torch.zeros(1)},
        "shape": tensors | {name: torch.zeros(3)},
        "type": tensors | {name: tensors[name].double()},
        "infinite": tensors | {name: tensors[name] * float("inf")},
    }[change]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("no step", "must hold a step from 0 to 20"), ("late step", "a step from 0 to 20"),
        ("negative step", "a step from 0 to 20"), ("vector step", "a step from 0 to 20"),
        ("real step", "a step from 0 to 20"), ("missing", "conv_dw.weight' is missing"),
        ("no momentum", "is missing"), ("more", r"'evil\\x1b\[2J' is not one of them"),
        ("shape", r"must be torch.float32 of shape \(\d+, 1, \d, \d\); got torch.float32 \(3,\)"),
        ("type", "got torch.float64"), ("infinite", "must be finite"),
    ],
)  # fmt: skip
def test_a_file_of_something_else_is_one_clear_line(
    supernet: Supernet, change: str, message: str, tmp_path: Path
) -> None:
    file = tmp_path / "f"
    write_state(file, state_at(supernet, 3))
    save_file(_changed(load_file(file), change), file)
    with pytest.raises(UserError, match=message) as error:
        read_state(file, supernet, STEPS)
    assert str(error.value).startswith(f"{file}: ") and "\n" not in str(error.value)
    assert "\x1b" not in str(error.value) and "remove the file to train anew" in str(error.value)


@pytest.mark.parametrize("data", [b"", b"abc", b"\xff" * 100, (2**40).to_bytes(8, "little") + b"{}", b"\x80\x04."])
def test_a_file_that_is_not_safetensors_is_one_clear_line(supernet: Supernet, data: bytes, tmp_path: Path) -> None:
    file = tmp_path / "f"
    file.write_bytes(data)
    with pytest.raises(UserError, match="not a readable safetensors file") as error:
        read_state(file, supernet, STEPS)
    assert "\n" not in str(error.value)


def test_a_file_far_too_large_is_not_read(supernet: Supernet, tmp_path: Path) -> None:
    file = tmp_path / "f"
    with file.open("wb") as opened:
        opened.truncate(10**9)  # sparse: it takes no disk
    with pytest.raises(UserError, match="must have at most"):
        read_state(file, supernet, STEPS)
