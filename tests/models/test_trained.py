"""A trained model comes back from its folder as it was, and a stranger's folder is refused before it costs anything."""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save

from nas.errors import UserError
from nas.models.builder import build
from nas.models.trained import Lineage, Preprocessing, TrainedModel, load_trained, save_trained
from nas.space.block import Block
from nas.space.network import Network
from nas.space.search_space import SearchSpace, load_space
from tests.space.random_tables import spaces


@pytest.fixture(scope="module")
def model() -> TrainedModel:
    space = load_space("tiny")
    network = space.network(space.sample(np.random.default_rng(2)), 3)
    lineage = Lineage("run-1", 7, ("proxy training",), {"space": "ab"})
    return TrainedModel(
        network, build(network, seed=1).state_dict(), "classification", ("ant", "bee", "café"),
        Preprocessing(network.input_shape[1]), "int8", {"epochs": 2, "learning_rate": 0.1, "optimizer": "sgd"}, lineage,
    )  # fmt: skip


def test_a_model_comes_back_as_it_was(model: TrainedModel, tmp_path: Path) -> None:
    save_trained(tmp_path / "m", model)
    again = load_trained(tmp_path / "m")
    for name in ("network", "task", "classes", "preprocessing", "precision", "recipe", "lineage"):
        assert getattr(again, name) == getattr(model, name), name
    assert again.weights.keys() == model.weights.keys()
    assert all(torch.equal(tensor, model.weights[name]) for name, tensor in again.weights.items())
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["m", "model.json", "weights.safetensors"]


@settings(max_examples=25, deadline=None, derandomize=True)
@given(space=spaces(), seed=st.integers(0, 2**16))
def test_the_module_of_any_network_takes_its_weights(
    space: SearchSpace, seed: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Whatever the legal stage table: what was saved can be built and filled, and computes what it did."""
    network = space.network(space.sample(np.random.default_rng(seed)))
    module = build(network, seed=seed).eval()
    classes, side = tuple(map(str, range(network.classes))), network.input_shape[1]
    folder = tmp_path_factory.mktemp("models") / "m"
    save_trained(folder, TrainedModel(network, module.state_dict(), "classification", classes, Preprocessing(side)))
    again = load_trained(folder)
    assert again.network == network and again.network.stages == network.stages
    image = torch.randn(1, *network.input_shape, generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        assert torch.equal(again.module()(image), module(image))


def test_factors_and_shared_weights_come_back_as_they_were(tmp_path: Path) -> None:
    """A shared weight is one tensor of the file."""
    wide = (16, 8, 8)
    equal = Block("mbconv", wide, wide, 3, 1, mid=32, activation="relu", ranks=((), (8,)))
    stem = Block("conv", (3, 8, 8), wide, 3, 1, activation="relu")
    head = Block("pool_linear", wide, (3, 1, 1), ranks=((4,),))
    network = Network((stem, equal, equal, head), (0, 1, 1, 2), shared=(0, 1, 1, 3))
    module = build(network, seed=1).eval()
    saved = TrainedModel(network, module.state_dict(), "classification", ("a", "b", "c"), Preprocessing(8))
    save_trained(tmp_path / "m", saved)
    again = load_trained(tmp_path / "m")
    assert again.network == network and again.network.shared == (0, 1, 1, 3)
    assert not [name for name in again.weights if name.startswith("blocks.0.1.")]
    image = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(again.module()(image), module(image))
    for key, value, message in (
        ("shared", [0, 0, 0, 3], "block 1 must be equal to block 0"),
        ("shared", [0, 1], "each of 4 blocks has weights"),
        ("blocks", [[10**6]], "ranks must be from 1 to 65536; block 1 has 1000000"),
        ("blocks", [[2, 2, 2]], "cannot have the ranks"),
    ):
        table = json.loads((tmp_path / "m/model.json").read_text())
        if key == "shared":
            table["shared"] = value
        else:
            table["blocks"][1]["ranks"] = table["blocks"][2]["ranks"] = value
        (tmp_path / "odd").mkdir(exist_ok=True)
        (tmp_path / "odd/model.json").write_text(json.dumps(table))
        (tmp_path / "odd/weights.safetensors").write_bytes((tmp_path / "m/weights.safetensors").read_bytes())
        with pytest.raises(UserError, match=message):
            load_trained(tmp_path / "odd")


def test_saving_again_replaces_the_folder_whole(model: TrainedModel, tmp_path: Path) -> None:
    save_trained(tmp_path / "m", model)
    (tmp_path / "m" / "note.txt").write_text("old")
    save_trained(tmp_path / "m", replace(model, precision="fp16"))
    assert load_trained(tmp_path / "m").precision == "fp16" and not (tmp_path / "m" / "note.txt").exists()


def test_weights_with_nan_are_not_saved(model: TrainedModel, tmp_path: Path) -> None:
    weights = {name: tensor.clone() for name, tensor in model.weights.items()}
    weights["bn1.bias"][0] = float("nan")
    with pytest.raises(UserError, match=r"weights must be finite; bn1\.bias"):
        save_trained(tmp_path / "m", replace(model, weights=weights))
    assert not list(tmp_path.iterdir())


def _weights(change: Callable[[dict[str, Any]], object]) -> Callable[[Path, TrainedModel], None]:
    def broken(folder: Path, model: TrainedModel) -> None:
        weights = {name: tensor.clone() for name, tensor in model.weights.items()}
        change(weights)
        (folder / "weights.safetensors").write_bytes(save(weights))

    return broken


def _json(change: Callable[[dict[str, Any]], object]) -> Callable[[Path, TrainedModel], None]:
    def broken(folder: Path, model: TrainedModel) -> None:
        file = folder / "model.json"
        table = json.loads(file.read_text())
        change(table)
        file.write_text(json.dumps(table))

    return broken


def _bytes(name: str, data: bytes) -> Callable[[Path, TrainedModel], None]:
    return lambda folder, model: (folder / name).write_bytes(data) and None


def _pipe(folder: Path, model: TrainedModel) -> None:
    (folder / "weights.safetensors").unlink()
    os.mkfifo(folder / "weights.safetensors")


def _link(folder: Path, model: TrainedModel) -> None:
    (folder / "weights.safetensors").unlink()
    (folder / "weights.safetensors").symlink_to("/dev/zero")


def _sparse(folder: Path, model: TrainedModel) -> None:
    os.truncate(folder / "weights.safetensors", 3 * 10**9)


BROKEN: dict[str, tuple[Callable[[Path, TrainedModel], None], str]] = {
    "pickle": (_bytes("weights.safetensors", pickle.dumps({"w": 1})), "not a readable safetensors file"),
    "empty": (_bytes("weights.safetensors", b""), "not a readable safetensors file"),
    "huge header": (_bytes("weights.safetensors", b"\xff" * 7 + b"\x00" + b"{" * 99), "not a readable safetensors"),
    "sparse": (_sparse, "must have at most"),
    "pipe": (_pipe, "it is a folder, a pipe or a device"),
    "link": (_link, "leads out of"),
    "nan": (_weights(lambda w: w["bn1.bias"].fill_(float("inf"))), r"must be finite; bn1\.bias"),
    "a weight too few": (_weights(lambda w: w.pop("bn1.bias")), r"'bn1\.bias' is missing"),
    "a weight too many": (_weights(lambda w: w.update(zzz=torch.zeros(1))), "'zzz' is not one of the network's"),
    "another shape": (_weights(lambda w: w.update({"bn1.bias": torch.zeros(5)})), r"bn1\.bias must be .*got .*\(5,\)"),
    "another type": (
        _weights(lambda w: w.update({"bn1.bias": w["bn1.bias"].double()})),
        r"bn1\.bias must be .*got torch\.float64",
    ),
    "no json": (_bytes("model.json", b"PK\x03\x04"), "model.json"),
    "deep": (_bytes("model.json", b"[" * 10**6), "too deep"),
    "unknown key": (_json(lambda t: t.update(evil=1)), "evil: unknown key"),
    "another format": (_json(lambda t: t.update(format=2)), "format: "),
    "no blocks": (_json(lambda t: t.update(blocks=[], stages=[])), "blocks must be 1 to 1000"),
    "wide": (_json(lambda t: t["blocks"][2].update(mid=10**12)), "mid and se must be from 0 to 65536"),
    "wide within bounds": (
        _json(lambda t: [b.update(mid=65_000, out_shape=[65_000, 9, 9]) for b in t["blocks"][1:3]]),
        "the network must have at most|cannot be built",
    ),
    "negative": (_json(lambda t: t["blocks"][1].update(stride=-1)), "shapes must be from 1 to 65536; block 1 has -1"),
    "groups": (_json(lambda t: t["blocks"][2].update(kind="shuffle", groups=7)), "cannot be built|hold the weights"),
    "a text for a number": (_json(lambda t: t["blocks"][1].update(kernel="3")), "kernel"),
    "classes": (_json(lambda t: t.update(classes=["a"])), "3 outputs for 1 classes"),
    "escape": (_json(lambda t: t.update(classes=["a", "b", "\x1b[2J"])), "no control characters"),
    "resolution": (_json(lambda t: t["preprocessing"].update(resolution=9)), "input must be"),
    "std": (_json(lambda t: t["preprocessing"].update(std=[0.0, 1.0, 1.0])), "std must be above 0"),
    "unknown kind": (_json(lambda t: t["blocks"][1].update(kind="evil")), "cannot be built: .*evil"),
    "heads": (_json(lambda t: t.update(heads=[99], taps=[98])), "cannot be built"),
    "imported": (_json(lambda t: t["blocks"][1].update(kind="imported")), "made of blocks"),
}  # fmt: skip


@pytest.mark.parametrize("fault", BROKEN)
def test_a_strangers_folder_is_refused_in_one_line(fault: str, model: TrainedModel, tmp_path: Path) -> None:
    folder, (broken, message) = tmp_path / "m", BROKEN[fault]
    save_trained(folder, model)
    broken(folder, model)
    with pytest.raises(UserError, match=message) as error:
        load_trained(folder)
    assert "\n" not in str(error.value) and "\x1b" not in str(error.value) and len(str(error.value)) < 500


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is not a model's folder"):
        load_trained(tmp_path)
