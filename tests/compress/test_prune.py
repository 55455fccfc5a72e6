"""Pruning by a device's profile, on a network trained on the bundled digits."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
import torch

from nas.compress import plan
from nas.compress.channels import groups_of
from nas.compress.plan import latency, sizes_for
from nas.compress.prune import Prune
from nas.compress.step import Given
from nas.device.profile import DeviceProfile, load_device
from nas.errors import UserError
from nas.models.builder import build
from nas.models.trained import Preprocessing, TrainedModel, load_trained, save_trained
from nas.space.block import Block
from nas.space.network import Network
from nas.tasks.classification import Classification
from nas.train.loop import evaluate, fit
from nas.train.recipe import Recipe
from tests.compress.networks import SIDE, digits

STEM, WIDE = (16, 16, 16), (32, 8, 8)
NETWORK = Network((
    Block("conv", (3, SIDE, SIDE), STEM, 3, 1, activation="relu6"),
    Block("mbconv", STEM, WIDE, 3, 2, mid=96, activation="relu6"),
    Block("mbconv", WIDE, WIDE, 3, 1, mid=128, activation="relu6"),
    Block("pool_linear", WIDE, (10, 1, 1)),
))  # fmt: skip


@cache
def trained() -> TrainedModel:
    task, data, module = Classification("0123456789"), digits(), build(NETWORK, seed=0)
    fit(module, task, data.train, data.validation, Recipe(3, 16, SIDE, 0.1), seed=0, device=torch.device("cpu"))
    weights = {name: tensor.detach().clone() for name, tensor in module.state_dict().items()}
    recipe = {"optimizer": "sgd", "learning_rate": 0.1}
    return TrainedModel(NETWORK, weights, task.name, task.classes, Preprocessing(SIDE), recipe=recipe)


@pytest.fixture(scope="module")
def pi() -> DeviceProfile:
    return load_device("raspberry-pi-4")


def test_a_network_is_pruned_until_the_device_is_that_much_faster(pi: DeviceProfile, tmp_path: Path) -> None:
    lines: list[str] = []
    save_trained(tmp_path / "before", trained())
    made = Prune(0.1, 3).apply(load_trained(tmp_path / "before"), Given(digits(), 0, tmp_path, pi, lines.append))
    save_trained(tmp_path / "after", made)
    assert load_trained(tmp_path / "after").network == made.network
    assert latency(pi, made.network, "fp32") <= 0.9 * latency(pi, NETWORK, "fp32")
    assert "ms predicted in fp32, 0." in lines[0] and lines[0].endswith("; nothing is trained yet")
    assert lines[1].startswith("77% of the MACs for 10% of the latency: ") and "every layer costs" in lines[1]
    assert "% with the change, not yet fine-tuned" in lines[2] and made.lineage.steps == (lines[-1],)
    widths = [n for b in made.network.blocks[:3] for n in (b.out_shape[0], b.mid) if n]
    assert all(n % 8 == 0 for n in widths) and len(widths) == 5 and sum(widths) < 304
    reached = evaluate(made.module(), Classification(made.classes), digits().validation, SIDE)
    before = evaluate(trained().module(), Classification(made.classes), digits().validation, SIDE)
    assert before > 0.9 and reached > before - 0.05


def test_where_time_follows_the_macs_nothing_is_warned_of(
    pi: DeviceProfile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan, "latency", lambda _, network, __: network.macs / 1e6)
    lines: list[str] = []
    Prune(0.2, 1).apply(trained(), Given(digits(), 0, tmp_path, pi, lines.append))
    assert not any("every layer costs" in line for line in lines)


def test_the_profile_chooses_and_not_the_macs(pi: DeviceProfile, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a device whose time is all in one expansion only that one is pruned, to multiples of what was asked."""

    def time(profile: DeviceProfile, network: Network, precision: str) -> float:
        return sum(1.0 + (b.mid if b.in_shape[0] == b.out_shape[0] else 0) for b in network.blocks)

    monkeypatch.setattr(plan, "latency", time)
    worth = {group: torch.full((group.channels,), 1 / group.channels) for group in groups_of(NETWORK)}
    sizes = sizes_for(NETWORK, worth, pi, "int8", 0.4, 16)
    assert {group.members: size for group, size in sizes.items()} == {((2, "mid"),): 64}


def test_importance_decides_between_equal_savings(pi: DeviceProfile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "latency", lambda _, network, __: float(sum(b.mid for b in network.blocks)))
    worth = {group: torch.full((group.channels,), 1 / group.channels) for group in groups_of(NETWORK)}
    first, second = (next(g for g in worth if g.members == ((n, "mid"),)) for n in (1, 2))
    uneven = torch.cat([torch.full((32,), 1e-4), torch.full((96,), 1 / 96)])
    worth[second] = uneven / uneven.sum()
    assert sizes_for(NETWORK, worth, pi, "fp32", 32 / 224, 8) == {second: 96}
    assert first.channels == 96


def test_what_cannot_be_is_refused(pi: DeviceProfile, tmp_path: Path) -> None:
    for share in (0.0, 1.0, -0.5, float("nan")):
        with pytest.raises(UserError, match="must be above 0 and below 1"):
            Prune(share)
    with pytest.raises(UserError, match="fine-tuning takes at least 1 epoch; got 0"):
        Prune(0.3, 0)
    with pytest.raises(UserError, match="chosen by a device's profile; name it with --device"):
        Prune(0.3).apply(trained(), Given(digits(), 0, tmp_path))
    with pytest.raises(UserError, match=r"takes [0-9]+% of the latency on raspberry-pi-4 at most; got 99%"):
        Prune(0.99).apply(trained(), Given(digits(), 0, tmp_path, pi))
