"""Training with int8's rounding: where it rounds, what it leaves as it was, and that every kind of block trains so."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch

from nas.models.builder import build
from nas.space.block import Block
from nas.space.network import Network
from nas.train.fake_quantization import FakeQuantized, plain
from nas.train.loop import normalize
from nas.train.rounding import quantized
from tests.compress.networks import SIDE, digits, trained


def images(count: int = 64) -> torch.Tensor:
    return normalize(digits().validation.images.take(torch.arange(count), SIDE))


def fake() -> FakeQuantized:
    return FakeQuantized(trained().module(), digits().train, SIDE).eval()


def test_it_computes_what_the_deployed_file_is_simulated_to_compute() -> None:
    """There batch norms are folded before weights are rounded, here they are kept: the same steps, but for ties."""
    deployed = quantized(trained().module(), "int8", digits().train, SIDE)
    with torch.no_grad():
        logits, exact, told = fake()(images()), trained().module()(images()), deployed(images())
    assert 0 < (logits - told).abs().mean() < 0.1 * (logits - exact).abs().mean()
    assert bool((logits.argmax(1) == told.argmax(1)).all())


def test_the_network_within_stays_a_plain_one() -> None:
    made = fake()
    assert plain(made) is made.network and plain(made.network) is made.network
    with torch.no_grad():
        made(images(4))
        torch.testing.assert_close(made.network(images()), trained().module()(images()))
    build(trained().network).load_state_dict(made.network.state_dict(), strict=True)
    assert all(torch.equal(made.network.state_dict()[n], w) for n, w in trained().weights.items())


def test_in_training_weights_get_gradients_and_statistics_and_ranges_follow() -> None:
    made = fake().train()
    before = deepcopy(made.state_dict())
    made(images()).square().mean().backward()  # type: ignore[no-untyped-call]
    for name, weight in made.network.named_parameters():
        assert weight.grad is not None and bool(weight.grad.isfinite().all()) and bool((weight.grad != 0).any()), name
    changed = {name for name, value in made.state_dict().items() if not torch.equal(value, before[name])}
    kinds = {name.rpartition(".")[2] for name in changed}
    assert kinds == {"running_mean", "running_var", "num_batches_tracked", "low", "high"}
    again = deepcopy(made).eval()
    still = deepcopy(again.state_dict())
    with torch.no_grad():
        assert torch.equal(again(images()), made.eval()(images()))
    assert all(torch.equal(value, still[name]) for name, value in again.state_dict().items())


@pytest.mark.parametrize("activation", ["relu", "relu6", "hswish", "swish"])
@pytest.mark.parametrize("kind", ["ds", "mbconv", "fused_mbconv", "shuffle"])
def test_every_kind_of_block_trains(kind: str, activation: str) -> None:
    """With squeeze-excite where it has one, and with an addition; the loss on the same images falls."""
    shape = (8, 8, 8)
    squeeze = {} if kind == "shuffle" else {"se": 4, "gate": "hsigmoid" if activation == "hswish" else "sigmoid"}
    mid = {} if kind == "ds" else {"mid": 16}
    groups = {"groups": 2} if kind == "shuffle" else {}
    blocks = (
        Block("conv", (3, 8, 8), shape, 3, 1, activation=activation),
        Block(kind, shape, shape, 3, 1, activation=activation, **mid, **squeeze, **groups),  # type: ignore[arg-type]
        Block("pool_linear", shape, (10, 1, 1)),
    )
    assert blocks[1].residual
    made = FakeQuantized(build(Network(blocks, (0, 1, 2)), seed=1), digits().train, 8).train()
    chosen = torch.arange(128)
    seen, labels = normalize(digits().train.images.take(chosen, 8)), digits().train.labels[chosen]
    optimizer = torch.optim.SGD(made.parameters(), 1.0, momentum=0.9)
    losses = []
    for _ in range(16):
        loss = torch.nn.functional.cross_entropy(made(seen), labels)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses.append(loss.item())
    assert losses[0] > 2.2 and losses[-1] < 1.5
