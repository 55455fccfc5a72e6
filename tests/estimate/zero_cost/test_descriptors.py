"""Descriptors of a network counted by hand."""

from __future__ import annotations

from math import log

import pytest

from nas.estimate.table import of_digits
from nas.estimate.zero_cost import DESCRIPTORS
from nas.space.search_space import load_space


@pytest.mark.parametrize(
    ("arch", "depth", "layers", "operations", "stages"),
    [
        ("00000000", 1, 1 + 3 + 2, 0, (1,)),  # the stem; three convolutions for identities; the head's two
        ("12000000", 3, 1 + 6 + 2 + 2, 9, (1, 2)),
        ("12011102", 7, 1 + 6 + (1 + 6) + (3 + 3) + 2, 24, (1, 2, 2, 2)),
    ],
)
def test_descriptors_of_nas_bench_macro(
    arch: str, depth: int, layers: int, operations: float, stages: tuple[int, ...]
) -> None:
    space = load_space("nas-bench-macro")
    network = space.network(of_digits(space, arch))
    found = {name: f(network) for name, f in DESCRIPTORS.items()}
    assert (found["depth"], found["layers"], found["operations"]) == (depth, layers, operations)
    assert found["stage-sum"] == pytest.approx(sum(log(1 + n) for n in stages))
    assert (found["macs"], found["params"]) == (network.macs, network.params)


def test_stage_sums_of_equal_products_are_exactly_equal() -> None:
    """They are ranked: a last bit of difference would part networks that are alike."""
    space = load_space("nas-bench-macro")
    one, other = (DESCRIPTORS["stage-sum"](space.network(of_digits(space, a))) for a in ("11100111", "11111100"))
    assert one == other
