"""Features of structure: the same by codes, candidates and networks, and what hand arithmetic gives."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nas.estimate.structure import Structure, distinct, plain_features
from nas.space.search_space import SearchSpace, load_space, parse_space

SPACES = ("nas-bench-macro", "tiny", "mobilenet-v3", "efficientnetv2", "fbnet-cifar")


def features(space: SearchSpace, text: str) -> dict[str, float]:
    """By name, of the Macro network whose operations are the digits of `text`."""
    structure = Structure(space)
    codes = np.array([[*map(float, text), 0.0]])
    return dict(zip(structure.names, structure.of_codes(codes)[0], strict=True))


@pytest.mark.parametrize("name", SPACES)
def test_codes_candidates_and_networks_give_the_same_features(name: str) -> None:
    space = load_space(name)
    structure = Structure(space)
    codes = space.sample_codes(12, np.random.default_rng(3))
    candidates = [space.canonical(space.decode(code)) for code in codes]
    by_code = structure.of_codes(codes)  # not canonical: features are the network's, however it is written
    assert by_code.shape == (12, len(structure.names)) and np.isfinite(by_code).all()
    assert np.array_equal(by_code, structure.of_candidates(candidates))
    networks = [space.network(candidate) for candidate in candidates]
    by_network = structure.of_networks(networks, [candidate.as_dict() for candidate in candidates])
    assert np.allclose(by_code, by_network, rtol=1e-12)
    again = structure.names.index("log_macs")
    assert np.allclose(np.exp(by_network[:, again]), [network.macs for network in networks])


def test_features_of_a_macro_network_by_hand() -> None:
    """e6_k5, identity; identity, identity, e3_k3; e3_k3, e6_k5, identity."""
    space = load_space("nas-bench-macro")
    found = features(space, "20001120")
    assert found["stage1.depth"] == 1 and found["stage2.depth"] == 1 and found["stage3.depth"] == 2
    assert found["stage1.expand_sum"] == 6 and found["stage2.expand_sum"] == 3 and found["stage3.expand_sum"] == 9
    assert found["depth"] == 1 + 1 + 1 + 2  # the stem is a block that works too
    assert found["stage_sum"] == pytest.approx(np.log(2 * 2 * 2 * 3))  # of the stem and three stages
    assert found["stage2.block1.works"] == 0  # a stride of 2 needs a block: a 1x1 convolution for the identity
    assert found["stage2.block2.expand"] == 3  # the identity between is not there


def test_identities_in_the_middle_of_a_stage_change_nothing() -> None:
    space = load_space("nas-bench-macro")
    assert features(space, "20102120") == features(space, "20120120")
    assert features(space, "20102120") != features(space, "20120210")


def test_hyperparameters_are_features_and_a_missing_one_is_the_middle() -> None:
    space = load_space("tiny")
    structure = Structure(space)
    candidate = space.sample(np.random.default_rng(0))
    network = space.network(candidate)
    rate = structure.names.index("learning_rate")
    given = structure.of_networks([network], [{"learning_rate": 0.05, "precision": "int8"}])
    assert given[0, rate] == pytest.approx(np.log(0.05))
    low, high = next((c.low, c.high) for c in space.choices if c.name == "learning_rate")
    assert structure.of_networks([network])[0, rate] == pytest.approx(np.log(low * high) / 2)


def test_a_network_of_another_space_is_refused() -> None:
    space = load_space("mobilenet-v3")
    network = space.network(space.sample(np.random.default_rng(0)))
    with pytest.raises(ValueError, match="has no further block in stage"):
        Structure(load_space("nas-bench-macro")).of_networks([network])


def test_a_feature_that_repeats_another_is_left_out() -> None:
    x, y = np.random.default_rng(0).random((2, 50))
    assert distinct(np.stack([x, np.ones(50), 3 * x + 1, y, -x, x + y], axis=1)).tolist() == [
        True, False, False, True, False, True,
    ]  # fmt: skip


def test_numbers_that_differ_by_much_are_taken_in_logarithm() -> None:
    columns = {"macs": np.array([1e6, 4e6, 1e8]), "layers": np.array([3.0, 4, 5]), "loss": np.array([-1.0, 0, 100])}
    assert np.allclose(plain_features(columns).T, [np.log(columns["macs"]), columns["layers"], columns["loss"]])


def test_many_candidates_are_taken_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    structure = Structure(load_space("tiny"))
    codes = structure.space.sample_codes(40, np.random.default_rng(1))
    whole = structure.of_codes(codes)
    monkeypatch.setattr("nas.estimate.structure.MOST_NUMBERS", 1000)
    assert np.array_equal(structure.of_codes(codes), whole)


def test_a_space_without_choices_has_no_features() -> None:
    text = """
name = "one"
title = "One"
source = "the tests"
classes = 10
resolution = 8
stage = [{ block = "conv", kernel = 3, channels = 8, activation = "relu" }, { block = "pool_linear" }]
"""
    structure = Structure(parse_space(text, Path("one.toml")))
    assert structure.of_codes(np.zeros((3, 1))).shape == (3, 0) and structure.names == ()
