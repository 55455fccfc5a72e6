"""Equal networks have one canonical candidate and different networks have two: over random tables, and by hand."""

from __future__ import annotations

from collections import defaultdict
from itertools import islice, product
from math import prod

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from nas.catalog import names
from nas.errors import UserError
from nas.space.block import Block
from nas.space.candidate import Candidate
from nas.space.search_space import SearchSpace, load_space
from nas.space.stage_table import StageTable
from tests.space.random_tables import spaces

Made = tuple[tuple[Block, ...], tuple[object, ...]]
MOST = 500


def made(space: SearchSpace, candidate: Candidate) -> Made:
    """The candidate's blocks, and its other choices: hyperparameters and precision."""
    training = {*space.table.hyperparameters, "precision"}
    return space.network(candidate).blocks, tuple(v for name, v in candidate.values if name in training)


def every_candidate(space: SearchSpace) -> list[Candidate]:
    """All candidates of a space, or the first 500 of a larger one; ranges have their ends."""
    options = [choice.options or (choice.value(choice.low), choice.value(choice.high)) for choice in space.choices]
    names = [choice.name for choice in space.choices]
    return [Candidate(tuple(zip(names, values, strict=True))) for values in islice(product(*options), MOST)]


def number_of(space: SearchSpace) -> int:
    return prod(len(choice.options) or 2 for choice in space.choices)


@settings(max_examples=60, deadline=None)
@given(space=spaces(most_stages=3, most_depth=2), seed=st.integers(0, 2**32 - 1))
def test_candidates_are_equal_in_canonical_form_where_they_build_equal_networks(space: SearchSpace, seed: int) -> None:
    candidates = every_candidate(space)
    if number_of(space) > MOST:
        rng = np.random.default_rng(seed)
        candidates = [space.decode(code) for code in space.sample_codes(100, rng)]
    forms: dict[Made, set[Candidate]] = defaultdict(set)
    for candidate in candidates:
        canonical = space.canonical(candidate)
        assert made(space, canonical) == made(space, candidate)
        assert space.canonical(canonical) == canonical
        assert space.network(canonical) == space.network(candidate)
        forms[made(space, candidate)].add(canonical)
    assert all(len(of_one) == 1 for of_one in forms.values())


@settings(max_examples=60, deadline=None)
@given(space=spaces(most_stages=2, most_depth=2))
def test_size_is_the_number_of_networks_counted_one_by_one(space: SearchSpace) -> None:
    assume(number_of(space) <= MOST)
    assert space.size == len({space.network(candidate).blocks for candidate in every_candidate(space)})


@settings(max_examples=60, deadline=None)
@given(space=spaces(), seed=st.integers(0, 2**32 - 1))
def test_canonical_codes_are_those_of_the_canonical_candidates(space: SearchSpace, seed: int) -> None:
    codes = space.sample_codes(20, np.random.default_rng(seed))
    one_by_one = np.array([space.encode(space.canonical(space.decode(code))) for code in codes])
    before = codes.copy()
    np.testing.assert_array_equal(space.canonical_codes(codes), one_by_one)
    np.testing.assert_array_equal(codes, before)


@pytest.mark.parametrize("name", sorted(names("search_spaces", ".toml")))
def test_shipped_spaces_are_brought_to_canonical_form_column_by_column(name: str) -> None:
    space = load_space(name)
    assert space.canonical_form.forms is not None
    codes = space.sample_codes(50, np.random.default_rng(1))
    canonical = space.canonical_codes(codes)
    for code, form in zip(codes, canonical, strict=True):
        network, same = space.network(space.decode(code)), space.network(space.decode(form))
        assert network == same and network.stages == same.stages


STAGES = [
    {"block": "conv", "kernel": 3, "channels": 16, "activation": "relu"},
    {"block": "pool_linear"},
]
OPS = {"e3": {"block": "mbconv", "expand": 3}, "e6": {"block": "mbconv", "expand": 6}, "none": {"block": "skip"}}


def space_of(*stages: dict[str, object], **table: object) -> SearchSpace:
    head = {"name": "s", "title": "t", "source": "p", "resolution": 8, "ops": OPS}
    return SearchSpace(StageTable.model_validate({**head, "stage": [STAGES[0], *stages, STAGES[1]], **table}), "0" * 64)


def test_an_identity_stays_first_where_its_place_changes_the_shape() -> None:
    """The stem does not scale and the stage does: at width 0.5 its first block reduces 16 channels to 8."""
    stem = {**STAGES[0], "scale": "never"}
    body = {"block": "ops", "op": ["e3", "none"], "depth": 2, "channels": 16}
    space = space_of(width=[1, 0.5], stage=[stem, body, STAGES[1]])
    one, other = (
        Candidate.of({"width": 0.5, "stage1.block1.op": a, "stage1.block2.op": b, "precision": "fp32"})
        for a, b in (("none", "e3"), ("e3", "none"))
    )
    assert space.network(one).macs != space.network(other).macs
    assert space.canonical(one) != space.canonical(other)
    # width 1: no block, one or two; width 0.5: two first blocks (a 1x1 convolution for the identity), then one or none
    assert space.size == 3 + 4


@pytest.mark.parametrize(
    ("stages", "table", "size"),
    [
        # two stages alike, of 1 or 2 blocks: 2, 3 or 4 of them together
        ([{"block": "mbconv", "depth": [1, 2], "channels": 16}] * 2, {}, 3),
        # ratios that are rounded to the same channels: 16 x 1.05 and 16 are both 16
        ([{"block": "mbconv", "expand": [1, 1.05, 2], "channels": 16}], {}, 2),
        # widths that are rounded to the same channels; the second stage is what differs
        ([{"block": "mbconv", "channels": 16, "scale": "up"}], {"width": [1, 0.99, 2]}, 2),
        # the width and the channels make up for each other
        ([{"block": "mbconv", "channels": [8, 16, 32]}], {"width": [1, 2], "stage": None}, 4),
        # an image of one pixel: the stride changes nothing, but is there
        ([{"block": "ops", "op": ["e3", "none"], "depth": 2, "channels": 16, "stride": 2}], {"resolution": 1}, 4),
    ],
)  # fmt: skip
def test_size_by_hand(stages: list[dict[str, object]], table: dict[str, object], size: int) -> None:
    if "stage" in table:
        stem = {**STAGES[0], "scale": "never"}
        table = {**table, "stage": [stem, *stages, STAGES[1]]}
    space = space_of(*stages, **table)
    assert space.size == size
    assert len({space.network(candidate).blocks for candidate in every_candidate(space)}) == size
    assert len({space.canonical(candidate) for candidate in every_candidate(space)}) == size


def test_many_identities_are_counted_at_once() -> None:
    """Up to 900 blocks of one operation where shapes stay: none to 900 of them."""
    assert space_of({"block": "ops", "op": ["e3", "none"], "depth": 900, "channels": 16}).size == 901


def test_a_table_whose_networks_cannot_be_counted_says_so() -> None:
    stage = {"block": "mbconv", "depth": list(range(1, 10)), "channels": [16, 24, 32], "kernel": [3, 5]}
    with pytest.raises(UserError, match="cannot be counted: too many of its stages can make the same blocks"):
        _ = space_of(*[stage] * 60, width=[1 + n / 100 for n in range(20)]).size
