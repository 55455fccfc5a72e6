"""Products chosen by a device's profile, on a network trained on the bundled digits."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from nas.compress import low_rank, plan
from nas.compress.low_rank import LowRank, as_products, factorized, weights_to_factorize
from nas.compress.share import sharing
from nas.compress.step import Given
from nas.device.profile import DeviceProfile, load_device
from nas.errors import UserError
from nas.models.builder import build
from nas.models.trained import TrainedModel, load_trained, save_trained
from nas.space.block import Block
from nas.space.network import Network
from nas.tasks.classification import Classification
from nas.train.loop import evaluate
from tests.compress.networks import SIDE, digits
from tests.compress.repeated import REPEATED, repeated


@pytest.fixture(scope="module")
def pi() -> DeviceProfile:
    return load_device("raspberry-pi-4")


def faster(profile: DeviceProfile, network: Network, precision: str) -> float:
    """A device whose time is its MACs'."""
    return network.macs / 1e6


def as_long(profile: DeviceProfile, network: Network, precision: str) -> float:
    """A device whose time is its layers'."""
    return float(len(list(network.layers)))


def test_weights_become_products_until_so_many_macs_are_gone(
    pi: DeviceProfile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan, "latency", faster)
    monkeypatch.setattr(low_rank, "latency", faster)
    lines: list[str] = []
    made = LowRank(0.4, 3).apply(repeated(), Given(digits(), 0, tmp_path, pi, lines.append))
    save_trained(tmp_path / "after", made)
    assert load_trained(tmp_path / "after").network == made.network
    assert made.network.macs <= 0.6 * REPEATED.macs and made.network.params < REPEATED.params
    ranks = [rank for block in made.network.blocks for weight in block.ranks for rank in weight]
    assert ranks and all(rank % 8 == 0 for rank in ranks)
    assert "of the latency, 0." in lines[0] and lines[0].endswith("; nothing is trained yet")
    assert made.lineage.steps == ("training", lines[-1]) and lines[-1].startswith("low-rank: raspberry-pi-4 ")
    task = Classification(made.classes)
    before, after = (evaluate(m.module(), task, digits().validation, SIDE) for m in (repeated(), made))
    assert before > 0.9 and after > before - 0.05


def test_where_the_device_gains_nothing_it_is_said_and_not_done(
    pi: DeviceProfile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan, "latency", as_long)
    monkeypatch.setattr(low_rank, "latency", as_long)
    with pytest.raises(UserError) as refused:
        LowRank(0.3).apply(repeated(), Given(digits(), 0, tmp_path, pi, on_training=lambda _: pytest.fail("trained")))
    said = str(refused.value)
    assert said.startswith("low-rank does not pay: raspberry-pi-4 ") and said.count("\n") == 0
    assert "of the latency, 0." in said and "of the MACs, 0." in said and said.endswith("file with --anyway")
    assert list(tmp_path.iterdir()) == []
    made = LowRank(0.3, 1, anyway=True).apply(repeated(), Given(digits(), 0, tmp_path, pi))
    assert made.network.macs <= 0.7 * REPEATED.macs


def test_what_saves_time_goes_first(pi: DeviceProfile, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a device whose time is all in its dense convolution only that one becomes a product."""

    def dense(profile: DeviceProfile, network: Network, precision: str) -> float:
        return sum(layer.macs for layer in network.layers if layer.kind == "standard") + 1.0

    monkeypatch.setattr(low_rank, "latency", dense)
    network = factorized(REPEATED, weights_to_factorize(repeated()), pi, "fp32", 0.1)
    assert [number for number, block in enumerate(network.blocks) if block.ranks] == [1]
    assert len(network.blocks[1].ranks[0]) == 2 and network.blocks[1].ranks[1] == ()


def test_no_more_is_taken_than_was_asked_for(pi: DeviceProfile, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the last weight the largest ranks that are enough: a step of 8 more would leave too many MACs."""
    monkeypatch.setattr(low_rank, "latency", faster)
    weights = weights_to_factorize(repeated())
    for share in (0.1, 0.3, 0.5):
        network = factorized(REPEATED, weights, pi, "fp32", share)
        assert (1 - share) * REPEATED.macs - 0.1 * REPEATED.macs < network.macs <= (1 - share) * REPEATED.macs


def test_a_profile_is_asked_for_block_and_network_by_the_same_figures() -> None:
    """A profile of measured blocks that has rates too compares by its rates."""
    pi = load_device("raspberry-pi-4")
    assert plan.comparable(pi, "fp32").lookup_table == ()
    measured = load_device("samsung-note10")
    assert plan.comparable(measured, "fp32") is measured
    with pytest.raises(UserError, match="cannot predict the compressed network"):
        plan.gain(measured, REPEATED, REPEATED, "fp32")


def test_weights_that_have_the_rank_compute_the_same(pi: DeviceProfile) -> None:
    """Every weight that may be a product, of every kind of block, made to have rank 8 before."""
    stem, wide = (32, 8, 8), (48, 4, 4)
    blocks = (
        Block("conv", (3, 8, 8), stem, 3, 1, activation="relu"),
        Block("ds", stem, stem, 3, 1, activation="relu", se=8),
        Block("fused_mbconv", stem, wide, 3, 2, mid=96, activation="relu"),
        Block("fused_mbconv", wide, wide, 3, 1, mid=48, activation="relu"),
        Block("mbconv", wide, wide, 5, 1, mid=96, activation="hswish", se=24),
        Block("conv", wide, wide, 3, 1, activation="relu", norm=False),
        Block("pool", wide, (48, 1, 1)),
        Block("conv", (48, 1, 1), (64, 1, 1), activation="hswish", norm=False),
        Block("linear", (64, 1, 1), (40, 1, 1)),
    )
    network = Network(blocks)
    full = replace(repeated(), network=network, weights=build(network, seed=1).state_dict())
    weights = weights_to_factorize(full)
    assert [(w.block, w.place) for w in weights] == [
        (1, 0), (2, 0), (2, 1), (3, 0), (4, 0), (4, 1), (5, 0), (7, 0), (8, 0),
    ]  # fmt: skip
    changed = list(blocks)
    for weight in weights:
        ranks = (*changed[weight.block].ranks, (8,) * len(weight.ways[0][0]))
        changed[weight.block] = replace(changed[weight.block], ranks=ranks)
    products = replace(network, blocks=tuple(changed))
    once = as_products(full, products)
    image = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    assert all(name in once.weights for name in ("classifier.reduce.bias", "conv_head.expand.bias"))
    # a product's own product is a weight of that rank
    with torch.no_grad():
        assert not torch.allclose(once.module()(image), full.module()(image), atol=1e-3)
    whole = _multiplied(once, full)
    again = as_products(whole, products)
    with torch.no_grad():
        torch.testing.assert_close(again.module()(image), whole.module()(image), rtol=1e-3, atol=1e-4)
        torch.testing.assert_close(once.module()(image), whole.module()(image), rtol=1e-3, atol=1e-4)


def _multiplied(model: TrainedModel, like: TrainedModel) -> TrainedModel:
    """The model with each product as one weight, of the network of `like`."""
    weights = {}
    for name, tensor in like.weights.items():
        part, _, what = name.rpartition(".")
        if f"{part}.reduce.weight" not in model.weights:
            weights[name] = model.weights[name]
        elif what == "bias":
            weights[name] = model.weights[f"{part}.expand.bias"]
        else:
            reduce, expand = (model.weights[f"{part}.{end}.weight"] for end in ("reduce", "expand"))
            core = model.weights.get(f"{part}.core.weight")
            if core is None:
                weights[name] = torch.einsum("or,ri->oi", expand.flatten(1), reduce.flatten(1)).reshape(tensor.shape)
            else:
                weights[name] = torch.einsum("os,srkl,ri->oikl", expand.flatten(1), core, reduce.flatten(1))
    return replace(like, weights=weights)


def test_blocks_that_share_their_weights_become_the_same_products(
    pi: DeviceProfile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(low_rank, "latency", faster)
    network = sharing(REPEATED)
    weights = {name: t for name, t in repeated().weights.items() if not name.startswith(("blocks.1.1.", "blocks.1.2."))}
    shared = replace(repeated(), network=network, weights=weights)
    changed = factorized(network, weights_to_factorize(shared), pi, "fp32", 0.5)
    assert changed.blocks[2].ranks and changed.blocks[2] == changed.blocks[3] == changed.blocks[4]
    made = as_products(shared, changed)
    made.module()
    assert changed.params == sum(t.numel() for n, t in made.weights.items() if "running" not in n and "num" not in n)


def test_what_cannot_be_is_refused(pi: DeviceProfile, tmp_path: Path) -> None:
    for share in (0.0, 1.0, -0.5, float("nan")):
        with pytest.raises(UserError, match="must be above 0 and below 1"):
            LowRank(share)
    with pytest.raises(UserError, match="fine-tuning takes at least 1 epoch; got 0"):
        LowRank(0.3, 0)
    with pytest.raises(UserError, match="told by a device's profile; name it with --device"):
        LowRank(0.3).apply(repeated(), Given(digits(), 0, tmp_path))
    with pytest.raises(UserError, match=r"takes [0-9]+% of the MACs at most; got 99%"):
        LowRank(0.99).apply(repeated(), Given(digits(), 0, tmp_path, pi))
    with pytest.raises(UserError, match="must have the model's classes"):
        LowRank(0.3).apply(replace(repeated(), classes=tuple("abcdefghij")), Given(digits(), 0, tmp_path, pi))
    tiny = Network((Block("conv", (3, SIDE, SIDE), (8, 16, 16), 3), Block("pool_linear", (8, 16, 16), (10, 1, 1))))
    bare = replace(repeated(), network=tiny, weights=build(tiny).state_dict())
    with pytest.raises(UserError, match="nothing to factorize"):
        LowRank(0.3).apply(bare, Given(digits(), 0, tmp_path, pi))
