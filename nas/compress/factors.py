"""Weights as products of smaller ones: singular value decomposition, and Tucker-2 of kernels wider than 1x1."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from nas.space.block import Ranks

MULTIPLE = 8  # of ranks: kernels compute eight channels at once
TRIES = 12  # ranks of one weight, at most


def factors(weight: Tensor, ranks: Ranks) -> dict[str, Tensor]:
    """The factors "reduce", "core" where there are two ranks, and "expand" of a weight (out, in[, k, k])."""
    even, length = _even(weight)
    if len(ranks) == 1:
        left, values, right = torch.linalg.svd(even.flatten(1), full_matrices=False)
        root = values[: ranks[0]].sqrt()
        spatial = [1] * (weight.dim() - 2)
        reduce, expand = root[:, None] * right[: ranks[0]], left[:, : ranks[0]] * root * length[:, None]
        return {"reduce": reduce.reshape(*reduce.shape, *spatial), "expand": expand.reshape(*expand.shape, *spatial)}
    into, out = (basis[:, :rank] for basis, rank in zip(_bases(even), ranks, strict=True))
    return {
        "reduce": into.T[:, :, None, None], "core": _core(even, into, out),
        "expand": (out * length[:, None])[:, :, None, None],
    }  # fmt: skip


def losses(weight: Tensor, ways: Sequence[Ranks]) -> list[float]:
    """For each of several ranks, the share of an evened weight's squares that its product lacks, from 0 to 1."""
    even, _ = _even(weight)
    whole = float(even.square().sum())
    if weight[0, 0].numel() == 1:
        kept = torch.linalg.svdvals(even.flatten(1)).square().cumsum(0)
        return [max(0.0, 1 - float(kept[ranks[0] - 1]) / whole) for ranks in ways]
    into, out = _bases(even)
    cores = (_core(even, into[:, : ranks[0]], out[:, : ranks[1]]) for ranks in ways)
    return [max(0.0, 1 - float(core.square().sum()) / whole) for core in cores]


def possible_ranks(weight: Tensor) -> Iterator[Ranks]:
    """Ranks, multiples of 8 from the largest down, with which a weight (out, in[, k, k]) has fewer values."""
    out, into = weight.shape[:2]
    most = min(out, into) if weight[0, 0].numel() == 1 else max(out, into)
    step = max(MULTIPLE, round(most / TRIES / MULTIPLE) * MULTIPLE)
    for rank in range((most - 1) // step * step, 0, -step):
        if weight[0, 0].numel() == 1:
            ranks: Ranks = (rank,)
            values = rank * (out + into)
        else:
            ranks = _rounded(rank / most * into), _rounded(rank / most * out)
            values = ranks[0] * into + ranks[0] * ranks[1] * weight[0, 0].numel() + ranks[1] * out
        if values < weight.numel() and ranks[0] <= into and ranks[-1] <= out:
            yield ranks


def _even(weight: Tensor) -> tuple[Tensor, Tensor]:
    """The weight with each output channel scaled to length 1, and the lengths (out,), which the last factor gets back.

    A batch norm makes all channels as large, so an error in a small one counts as much.
    """
    length = weight.flatten(1).norm(dim=1).clamp_min(1e-12)
    return weight / length.view(-1, *[1] * (weight.dim() - 1)), length


def _bases(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Orthonormal bases of what a weight (out, in, k, k) reads and gives, by the singular values of its unfoldings.

    (De Lathauwer, De Moor and Vandewalle, SIAM Journal on Matrix Analysis, 2000.)
    """
    out = torch.linalg.svd(weight.flatten(1), full_matrices=False)[0]
    into = torch.linalg.svd(weight.transpose(0, 1).flatten(1), full_matrices=False)[0]
    return into, out


def _core(weight: Tensor, into: Tensor, out: Tensor) -> Tensor:
    """What remains of a weight (out, in, k, k) in bases (in, r) and (out, s), (s, r, k, k)."""
    core: Tensor = torch.einsum("oikl,ir,os->srkl", weight, into, out)
    return core


def _rounded(value: float) -> int:
    return max(MULTIPLE, round(value / MULTIPLE) * MULTIPLE)
