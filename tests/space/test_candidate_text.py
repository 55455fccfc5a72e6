"""Candidates written by people: both forms, and everything that may be wrong in them."""

from __future__ import annotations

import numpy as np
import pytest

from nas.errors import UserError
from nas.space.candidate_text import read_candidate
from nas.space.search_space import load_space

STAGES = ";".join(f"stage{i}.depth=1;stage{i}.kernel=5;stage{i}.expand=4" for i in (2, 3, 4))
TEXT = f"resolution=32; width=0.5; {STAGES}"


def test_pairs_name_the_options_with_their_own_types() -> None:
    found = read_candidate(load_space("tiny"), TEXT)
    assert found.as_dict() | {"resolution": 32, "width": 0.5, "stage3.kernel": 5} == found.as_dict()
    assert isinstance(found["resolution"], int) and "learning_rate" not in found.as_dict()


@pytest.mark.parametrize("space", ["tiny", "mobilenet-v3", "fbnet-cifar"])
def test_json_of_a_sampled_candidate_builds_the_same_network(space: str) -> None:
    searched = load_space(space)
    candidate = searched.sample(np.random.default_rng(4))
    again = read_candidate(searched, candidate.json())
    assert again == candidate
    pairs = ";".join(f"{name}={value}" for name, value in candidate.values)
    assert searched.network(read_candidate(searched, pairs)) == searched.network(candidate)


def test_blocks_beyond_the_depth_need_no_word() -> None:
    searched = load_space("mobilenet-v3")
    candidate = searched.sample(np.random.default_rng(0)).as_dict()
    stage = next(name.partition(".")[0] for name in candidate if name.endswith(".depth"))
    shallow = {**candidate, f"{stage}.depth": 2}
    kept = {n: v for n, v in shallow.items() if not n.startswith((f"{stage}.block3", f"{stage}.block4"))}
    assert len(kept) < len(shallow)
    pairs = ";".join(f"{n}={v}" for n, v in kept.items())
    full = ";".join(f"{n}={v}" for n, v in shallow.items())
    assert searched.network(read_candidate(searched, pairs)) == searched.network(read_candidate(searched, full))
    with pytest.raises(UserError, match=f"must name {stage}.block2"):
        read_candidate(searched, ";".join(f"{n}={v}" for n, v in kept.items() if f"{stage}.block2" not in n))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (TEXT.replace("width", "wide"), r"unknown choice of tiny 'wide'; did you mean 'width'"),
        (TEXT.replace("width=0.5; ", ""), "a candidate of tiny must name width"),
        (TEXT.replace("0.5", "0.6"), r"choice width must be one of .*got 0\.6"),
        (TEXT.replace("=32", "=big"), r"choice resolution must be one of .*got 'big'"),
        (f"{TEXT};width=0.5", "each once; got 'width=0.5'"),
        ("deep", "or choice=value with ';' between"),
        ('{"resolution": [32]}', "a JSON object of choices and plain values"),
        ("{" + "[" * 9_000, "must be a JSON object"),
        ('{"a": ' + "1" * 5_000 + "}", "must be a JSON object"),
    ],
)
def test_what_is_no_candidate_is_said(text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        read_candidate(load_space("tiny"), text)
