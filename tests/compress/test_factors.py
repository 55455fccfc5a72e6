"""Weights as products: exact where the weight has that rank, else the nearest, and what is lost."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn.functional import conv2d

from nas.compress.factors import factors, losses, possible_ranks


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def product(parts: dict[str, Tensor]) -> Tensor:
    """The weight (out, in, k, k) that the factors compute."""
    core = parts.get("core")
    if core is None:
        return torch.einsum("orkl,rikl->oikl", parts["expand"], parts["reduce"])
    return torch.einsum("os,srkl,ri->oikl", parts["expand"][..., 0, 0], core, parts["reduce"][..., 0, 0])


def test_a_weight_of_low_rank_is_its_product() -> None:
    weight = (drawn(40, 8) @ drawn(8, 24, seed=1))[:, :, None, None]
    parts = factors(weight, (8,))
    assert parts["reduce"].shape == (8, 24, 1, 1) and parts["expand"].shape == (40, 8, 1, 1)
    torch.testing.assert_close(product(parts), weight, rtol=1e-4, atol=1e-4)
    nothing, something = losses(weight, [(8,), (4,)])
    assert nothing == pytest.approx(0, abs=1e-5) and something > 0.05
    flat = factors(weight[:, :, 0, 0], (8,))
    torch.testing.assert_close(flat["expand"] @ flat["reduce"], weight[:, :, 0, 0], rtol=1e-4, atol=1e-4)


def test_a_wide_kernel_of_low_rank_is_its_product_and_computes_the_same() -> None:
    weight = torch.einsum("os,srkl,ri->oikl", drawn(32, 16), drawn(16, 8, 3, 3, seed=1), drawn(8, 24, seed=2))
    parts = factors(weight, (8, 16))
    assert [tuple(part.shape) for part in parts.values()] == [(8, 24, 1, 1), (16, 8, 3, 3), (32, 16, 1, 1)]
    torch.testing.assert_close(product(parts), weight, rtol=1e-3, atol=1e-3)
    image = drawn(2, 24, 9, 9, seed=3)
    inner = conv2d(conv2d(image, parts["reduce"]), parts["core"], stride=2, padding=1)
    wanted = conv2d(image, weight, stride=2, padding=1)
    torch.testing.assert_close(conv2d(inner, parts["expand"]), wanted, rtol=1e-3, atol=1e-2)
    assert losses(weight, [(8, 16)]) == pytest.approx([0], abs=1e-5)


def test_what_is_lost_is_what_the_product_lacks() -> None:
    """Each output channel counts as much, however large its weights are: a batch norm makes them equal."""
    weight = drawn(32, 24, 1, 1)
    weight[3] *= 100
    for shape, ranks in (((32, 24, 1, 1), (8,)), ((32, 24, 3, 3), (8, 16))):
        weight = drawn(*shape)
        weight[3] *= 100
        length = weight.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
        error = float((((product(factors(weight, ranks)) - weight) / length) ** 2).sum() / 32)
        assert losses(weight, [ranks])[0] == pytest.approx(error, rel=1e-4) and 0.1 < error < 0.9


def test_ranks_are_multiples_of_8_that_save_values() -> None:
    assert list(possible_ranks(drawn(96, 24, 1, 1))) == [(16,), (8,)]
    assert list(possible_ranks(drawn(10, 8, 1, 1))) == [] == list(possible_ranks(drawn(16, 3, 3, 3)))
    wide = list(possible_ranks(drawn(320, 1280, 1, 1)))
    assert wide[0] == (240,) and wide[-1] == (24,) and len(wide) <= 12
    assert list(possible_ranks(drawn(64, 32, 3, 3)))[:2] == [(24, 48), (16, 40)]
