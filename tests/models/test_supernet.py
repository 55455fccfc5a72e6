"""Shared weights: every network of a space is slices of them, and computes what the module of `build` computes."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from nas.errors import UserError
from nas.models.builder import build
from nas.models.supernet import Supernet, make_supernet, positions
from nas.space.network import Network
from nas.space.search_space import SearchSpace, load_space, parse_space

SPACES = (("nas-bench-macro", 8), ("nas-bench-macro", 0), ("tiny", 8), ("mobilenet-v3", 8), ("fbnet-cifar", 8))
SMALL = """
name = "small"
title = "Small"
source = "the tests"
classes = 10
resolution = 16
width = {width}
stage = [
  {{ block = "conv", kernel = 3, channels = 8, stride = 2, activation = "relu" }},
  {{ block = "mbconv", depth = [1, 2], kernel = [3, 5], expand = [2, 3], channels = 8, activation = "relu" }},
  {{ block = "pool_linear" }},
]
"""


def small(width: str = "1") -> SearchSpace:
    """Four variants at each of two positions."""
    return parse_space(SMALL.format(width=width), Path("small.toml"))


def draw(space: SearchSpace, seed: int, classes: int = 7) -> Network:
    return space.network(space.sample(np.random.default_rng(seed)), classes)


@pytest.mark.parametrize(("name", "own"), SPACES)
def test_a_networks_slices_compute_what_its_module_computes(name: str, own: int) -> None:
    space = load_space(name)
    supernet = make_supernet(space, 7, own=own)
    images = torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    for seed in range(2):
        network = draw(space, seed)
        copy = supernet.network(network).train()
        assert [n for n, _ in copy.named_parameters()] == [n for n, _ in build(network).named_parameters()]
        out = supernet.forward(network, images)
        assert out.shape == (3, 7) and torch.allclose(out, copy(images), atol=1e-4)


def test_slices_are_the_first_channels_and_the_middle_of_a_kernel() -> None:
    space = small()
    supernet = make_supernet(space, 10, own=0)
    blocks = {(b.kernel, b.mid): b for seed in range(40) for b in draw(space, seed).blocks if b.kind == "mbconv"}
    network = next(n for n in (draw(space, s) for s in range(40)) if blocks[3, 16] in n.blocks[1:2])
    largest = next(shape for key, shape in supernet.largest.items() if key[0] == (1, 0))
    assert (largest.kernel, largest.mid) == (5, 24)
    whole = {name: w for name, w in supernet.weights.items() if name.startswith("1.0.")}
    depthwise = next(w for name, w in whole.items() if name.endswith("conv_dw.weight"))
    expand = next(w for name, w in whole.items() if name.endswith("conv_pw.weight"))
    assert depthwise.shape == (24, 1, 5, 5)
    own = dict(supernet.network(network).named_parameters())
    assert torch.equal(own["blocks.0.0.conv_dw.weight"], depthwise[:16, :, 1:4, 1:4])
    assert torch.equal(own["blocks.0.0.conv_pw.weight"], expand[:16])


def test_few_variants_of_fixed_channels_have_their_own_weights_and_others_share() -> None:
    alone = make_supernet(small(), 10, own=8)  # four variants at each position
    assert {position for position in alone.alone if position[0] == 1} == {(1, 0), (1, 1)}
    assert sum(key[0] == (1, 0) for key in alone.largest) == 4
    for shared in (make_supernet(small(), 10, own=3), make_supernet(small("[1, 2]"), 10, own=8)):
        assert not {position for position in shared.alone if position[0] == 1}
        assert sum(key[0] == (1, 0) for key in shared.largest) == 1


def test_gradients_reach_only_the_weights_of_the_path() -> None:
    space = small()
    supernet = make_supernet(space, 10, own=8)
    weights = {name: w.requires_grad_() for name, w in supernet.weights.items()}
    network = next(n for n in (draw(space, s, 10) for s in range(40)) if len(n.blocks) == 3)
    supernet.forward(network, torch.randn(4, 3, 16, 16)).square().sum().backward()
    reached = {name for name, w in weights.items() if w.grad is not None and bool(w.grad.any())}
    assert {name.split(".")[:2] == ["1", "1"] for name in reached} == {False}
    assert len({name.split(".")[2] for name in reached}) == 3


def test_a_copy_leaves_the_shared_weights_and_other_copies_alone() -> None:
    space = small()
    supernet = make_supernet(space, 10)
    before = {name: w.clone() for name, w in supernet.weights.items()}
    network = draw(space, 1, 10)
    one = supernet.network(network).train()
    one(torch.randn(8, 3, 16, 16))
    with torch.no_grad():
        for parameter in one.parameters():
            parameter.add_(1)
    assert all(torch.equal(w, before[name]) for name, w in supernet.weights.items())
    fresh = supernet.network(network)
    assert all(
        not bool(buffer.any())
        for name, buffer in fresh.named_buffers()
        if name.endswith(("mean", "num_batches_tracked"))
    )


def test_weights_are_drawn_with_the_seed_and_torchs_generator_is_left_alone() -> None:
    torch.manual_seed(3)
    state = torch.get_rng_state()
    one, again, other = (make_supernet(small(), 10, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(w, again.weights[name]) for name, w in one.weights.items())
    assert any(not torch.equal(w, other.weights[name]) for name, w in one.weights.items())


@pytest.mark.parametrize("change", ["classes", "space", "width", "no stages"])
def test_a_network_of_another_space_is_refused(change: str) -> None:
    supernet = make_supernet(small(), 10, own=0)
    other = {
        "classes": draw(small(), 0, 11),
        "space": draw(load_space("tiny"), 0, 10),
        "width": draw(small("2"), 0, 10),
        "no stages": Network(draw(small(), 0, 10).blocks),
    }
    with pytest.raises(UserError, match="the supernet was made for another space; it has no "):
        supernet.forward(other[change], torch.randn(2, 3, 16, 16))


def test_a_space_of_too_many_weights_is_refused_before_they_are_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nas.models.supernet.MOST_WEIGHTS", 1_000)
    with pytest.raises(UserError, match=r"the supernet of small would have 0 MB of weights; at most"):
        make_supernet(small(), 10)


def test_positions_count_the_blocks_that_are_there() -> None:
    space = load_space("nas-bench-macro")
    names = {stage: [p for p, _ in positions(draw(space, 3)) if p[0] == stage] for stage in range(6)}
    assert all(found == [(stage, n) for n in range(len(found))] for stage, found in names.items())


def test_a_supernet_goes_to_another_process_whole() -> None:
    space = small()
    supernet = make_supernet(space, 10)
    sent: Supernet = pickle.loads(pickle.dumps(supernet))
    images, network = torch.randn(2, 3, 16, 16), draw(space, 0, 10)
    assert torch.equal(sent.forward(network, images), supernet.forward(network, images))
