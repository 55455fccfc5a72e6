"""Parts of modules, and how residual blocks begin."""

import numpy as np
import pytest
import torch
from torch import nn

from nas.models.builder import build
from nas.models.parts import silence_residuals
from nas.space.search_space import load_space


@pytest.mark.parametrize("name", ["nas-bench-macro", "mobilenet-v3", "efficientnetv2", "efficientnet-lite"])
def test_every_residual_block_begins_as_the_identity_and_can_learn(name: str) -> None:
    space = load_space(name)
    rng = np.random.default_rng(0)
    network = next(n for n in (space.network(space.sample(rng), 10) for _ in range(50)) if _residuals(build(n)))
    model = build(network, seed=0)
    silence_residuals(model)
    silent = [block for block in _residuals(model) if (_last_scale(block) == 0).all()]
    assert silent
    taken: list[torch.Tensor] = []
    for block in silent:
        block.register_forward_hook(lambda module, given, out: taken.append((out - given[0]).detach().abs().max()))
    side = network.input_shape[1]
    model(torch.randn(4, 3, side, side)).square().sum().backward()
    assert len(taken) == len(silent) and float(torch.stack(taken).max()) == 0
    for block in _residuals(model):
        scale = [p for p in block.modules() if isinstance(p, nn.BatchNorm2d)][-1].weight
        assert scale.grad is not None and (scale.grad != 0).any()


def _residuals(model: nn.Module) -> list[nn.Module]:
    return [module for module in model.modules() if getattr(module, "residual", False)]


def _last_scale(block: nn.Module) -> torch.Tensor:
    return [part for part in block.modules() if isinstance(part, nn.BatchNorm2d)][-1].weight
